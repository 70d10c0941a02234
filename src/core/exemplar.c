/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/exemplar.c - exemplar blocks: their memory, claiming and writing a record, reading it. Read core/exemplar.h first.
 */
#include <string.h>

#include "core/exemplar.h"
#include "core/record.h"

#define CLAIMED ((uint64_t)1)
#define GAVE_WAY ((uint64_t)2)
#define TURN_SHIFT 16u

/* ---- blocks ---- */

static size_t block_bytes(const struct kymo__family *f)
{
    size_t bytes = sizeof(struct kymo__exemplars) + (f->n_bounds + 1) * sizeof(struct kymo__exemplar);
    if (f->desc.native != NULL)
        bytes += sizeof(struct kymo__exemplar_store) +
                 f->native.max_exemplars * (sizeof(struct kymo__exemplar_rank) + sizeof(struct kymo__exemplar));
    return bytes;
}

uint32_t kymo__exemplars_new(const struct kymo__family *f, int *error)
{
    struct kymo__segment *s = f->reg->segment;
    size_t bytes = block_bytes(f);
    uint32_t ref = kymo__segment_alloc(s, bytes, error);
    if (ref != 0)
        ((struct kymo__exemplars *)kymo__at(s, ref))->bytes = bytes;
    return ref;
}

static void block_zero(struct kymo__exemplars *block)
{
    uint64_t *word = (uint64_t *)(void *)block->classic;
    uint64_t *end = (uint64_t *)(void *)((char *)block + block->bytes);
    for (; word < end; word++)
        if (kymo__load_relaxed(word) != 0) /* an untouched page stays untouched */
            kymo__store_relaxed(word, 0);
}

void kymo__exemplars_give(struct kymo__segment *s, uint32_t ref)
{
    if (ref != 0)
        kymo__segment_give(s, ref, ((struct kymo__exemplars *)kymo__at(s, ref))->bytes);
}

void kymo__exemplars_clear(const struct kymo__family *f, const struct kymo__series *series)
{
    struct kymo__exemplars *block = kymo__exemplars_of(f, series);
    if (block != NULL)
        block_zero(block);
}

/* ---- claims ---- */

uint64_t kymo__exemplar_claim(uint64_t *word)
{
    uint64_t seen = kymo__load_relaxed(word); /* a hint: the compare-exchange says whether it holds */
    uint64_t claim = ((seen >> TURN_SHIFT) + 1) << TURN_SHIFT | CLAIMED;
    int patient = (seen & (((uint64_t)1 << TURN_SHIFT) - 1)) < KYMO__EXEMPLAR_PATIENCE * GAVE_WAY;
    if ((seen & CLAIMED) && patient) {
        (void)kymo__cas_relaxed(word, &seen, seen + GAVE_WAY); /* if that fails somebody else was here just now */
        return 0;
    }
    if (!kymo__cas_full(word, &seen, claim))
        return 0;
    kymo__fence_release(); /* who sees what is written from now on sees the claim, or later; with kymo__exemplar_get() */
    return claim;
}

int kymo__exemplar_release(uint64_t *word, uint64_t claim)
{
    uint64_t seen = kymo__load_relaxed(word);
    while (seen >> TURN_SHIFT == claim >> TURN_SHIFT) /* repeats as often as others give way, at most */
        if (kymo__cas_full(word, &seen, seen >> TURN_SHIFT << TURN_SHIFT))
            return 1;
    return 0;
}

/* ---- records ---- */

/* Any word that is not what was written changes it, wherever it stands; the terms do not wait for each other. */
static inline uint64_t check_term(uint64_t word, uint64_t place)
{
    uint64_t x = (word ^ place * 0x9e3779b97f4a7c15u) * 0xd6e8feb86659fd93u;
    return x ^ x >> 32;
}

static inline uint64_t check_begin(uint64_t value, uint64_t timestamp, uint64_t text_len)
{
    return check_term(value, 1) + check_term(timestamp, 2) + check_term(text_len, 3);
}

/* Relaxed throughout: the claim around it gives the order. */
void kymo__exemplar_put(struct kymo__exemplar *record, const struct kymo__exemplar_copy *copy)
{
    size_t n = (copy->text_len + 7) / 8;
    uint64_t value = kymo__bits(copy->value), timestamp = (uint64_t)copy->timestamp_ns;
    uint64_t check = check_begin(value, timestamp, copy->text_len);
    kymo__store_relaxed(&record->value, value);
    kymo__store_relaxed(&record->timestamp, timestamp);
    kymo__store_relaxed(&record->text_len, copy->text_len);
    for (size_t i = 0; i < n; i++) {
        check += check_term(copy->text[i], i + 4);
        kymo__store_relaxed(&record->text[i], copy->text[i]);
    }
    kymo__store_relaxed(&record->check, check);
}

int kymo__exemplar_get(const struct kymo__exemplar *record, struct kymo__exemplar_copy *copy)
{
    uint64_t value = kymo__load_relaxed(&record->value), timestamp = kymo__load_relaxed(&record->timestamp);
    uint64_t text_len = kymo__load_relaxed(&record->text_len);
    uint64_t check = check_begin(value, timestamp, text_len);
    if (text_len > KYMO__EXEMPLAR_TEXT)
        return 0;
    for (size_t i = 0; i < (text_len + 7) / 8; i++) {
        copy->text[i] = kymo__load_relaxed(&record->text[i]);
        check += check_term(copy->text[i], i + 4);
    }
    copy->value = kymo__double(value);
    copy->timestamp_ns = (int64_t)timestamp;
    copy->text_len = (size_t)text_len;
    return check == kymo__load_relaxed(&record->check);
}

/*
 * Under an unchanged claim word, odd or not, and with a check that fits: a claimed record is as good as another as
 * long as nothing was written yet, and if its owner died then, it stays so.
 */
static int get_claimed(const struct kymo__exemplar *record, struct kymo__exemplar_copy *copy)
{
    for (int looks = 0; looks < KYMO__EXEMPLAR_LOOKS; looks++) {
        uint64_t before = kymo__load_acquire(&record->claim); /* with kymo__exemplar_release() */
        if (before == 0)
            return 0;
        int whole = kymo__exemplar_get(record, copy);
        kymo__fence_acquire(); /* everything above before the second look */
        if (kymo__load_relaxed(&record->claim) == before && (whole || !(before & CLAIMED)))
            return whole;
    }
    return 0;
}

void kymo__exemplar_stamp(const struct kymo__family *f, struct kymo__exemplar_copy *copy)
{
    const struct kymo_clock *clock = &f->reg->clock;
    if (copy->timestamp_ns == 0)
        copy->timestamp_ns = clock->wall_ns(clock->ctx);
}

/* ---- keeping ---- */

static int keep_classic(const struct kymo__family *f, struct kymo__exemplar *record, struct kymo__exemplar_copy *copy)
{
    uint64_t claim = kymo__exemplar_claim(&record->claim);
    if (claim == 0)
        return 0;
    kymo__exemplar_stamp(f, copy);
    kymo__exemplar_put(record, copy);
    return kymo__exemplar_release(&record->claim, claim);
}

void kymo__exemplar_keep(struct kymo__family *f, const struct kymo__series *series, uint32_t bucket, int native,
                         double v, const struct kymo_exemplar *ex)
{
    struct kymo__exemplars *block = kymo__exemplars_of(f, series);
    struct kymo__exemplar_copy copy;
    if (block == NULL || !kymo__exemplar_compose(ex, &copy)) {
        kymo__refuse(f, block == NULL ? KYMO__EXEMPLAR_BUSY : KYMO__EXEMPLAR_BAD);
        return;
    }
    copy.value = v;
    if (!keep_classic(f, &block->classic[bucket], &copy))
        kymo__refuse(f, KYMO__EXEMPLAR_BUSY);
    if (native && !kymo__exemplar_store_keep(f, kymo__exemplar_store_of(f, block), &copy))
        kymo__refuse(f, KYMO__EXEMPLAR_BUSY);
}

/* ---- reading ---- */

/* Points that are being filled, and their texts. */
struct filling {
    struct kymo_exemplar_point *to;
    size_t n, cap;
    char *text, *text_end;
};

static int fill(struct filling *to, const struct kymo__exemplar_copy *copy, uint32_t bucket)
{
    if (to->n == to->cap || (size_t)(to->text_end - to->text) < copy->text_len + KYMO__TEXT_SLACK)
        return 0;
    struct kymo_exemplar_point *point = &to->to[to->n++];
    memset(point, 0, sizeof(*point));
    memcpy(to->text, copy->text, copy->text_len);
    point->labels = to->text;
    point->labels_len = copy->text_len;
    point->value = copy->value;
    point->timestamp_ns = copy->timestamp_ns;
    point->bucket = bucket;
    to->text += copy->text_len;
    return 1;
}

static void read_classic(const struct kymo__family *f, const struct kymo__exemplars *block, struct filling *to)
{
    struct kymo__exemplar_copy copy;
    for (uint32_t i = 0; i <= f->n_bounds; i++)
        if (get_claimed(&block->classic[i], &copy))
            (void)fill(to, &copy, i);
}

/* A rank may have been overtaken by its record: the last word on the order have the values. */
static void sort_last(struct filling *to)
{
    for (size_t i = to->n - 1; i > 0 && to->to[i - 1].value > to->to[i].value; i--) {
        struct kymo_exemplar_point later = to->to[i - 1];
        to->to[i - 1] = to->to[i];
        to->to[i] = later;
    }
}

static void read_store(const struct kymo__family *f, struct kymo__exemplar_store *store, struct filling *to)
{
    struct kymo__exemplar_copy copy;
    uint8_t records[KYMO__EXEMPLAR_STORE_MAX];
    uint32_t n = kymo__exemplar_store_order(f, store, records);
    for (uint32_t i = 0; i < n; i++)
        if (kymo__exemplar_get(kymo__exemplar_store_record(f, store, records[i]), &copy) &&
            fill(to, &copy, kymo__bucket(f->bounds, f->n_bounds, copy.value)))
            sort_last(to);
}

size_t kymo__exemplars_read(const struct kymo__family *f, const struct kymo__series *series, int native,
                            struct kymo_exemplar_point *to, size_t cap, char *text, size_t text_cap)
{
    struct filling filling = {to, 0, cap, text, text + text_cap};
    struct kymo__exemplars *block = kymo__exemplars_of(f, series);
    if (block == NULL)
        return 0;
    if (native)
        read_store(f, kymo__exemplar_store_of(f, block), &filling);
    else
        read_classic(f, block, &filling);
    return filling.n;
}
