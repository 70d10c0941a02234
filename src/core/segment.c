/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/segment.c - memory of a segment: allocation, columns, slots, shards, chunks; and the grace period.
 *
 * Read segment.h first. Everything here but kymo__grace() runs under the registry's lock.
 */
#include "core/segment.h"

#include <string.h>

#include <kymo/base.h>

#define COMMIT_MIN ((size_t)64 * 1024)
#define COMMIT_MAX ((size_t)1024 * 1024)
#define GRACE_LOOKS 1024

static size_t round_up(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

struct kymo__segment *kymo__segment_new(size_t bytes)
{
    size_t first = round_up(sizeof(struct kymo__segment), kymo__os_granule());
    struct kymo__segment *s = kymo__os_reserve(bytes);
    if (s == NULL)
        return NULL;
    if (kymo__os_commit(s, first) != 0) {
        kymo__os_release(s, bytes);
        return NULL;
    }
    s->version = KYMO__SEGMENT_VERSION;
    s->word_bytes = (uint16_t)sizeof(void *);
    s->byte_order = 0x0102;
    s->reserved_bytes = bytes;
    s->used_bytes = first;
    s->committed_bytes = first;
    kymo__store_release(&s->magic, KYMO__SEGMENT_MAGIC); /* last: an attacher that sees it sees a whole header */
    return s;
}

void kymo__segment_free(struct kymo__segment *s)
{
    kymo__os_release(s, (size_t)s->reserved_bytes);
}

/* Makes everything below end usable, in steps that grow with the segment. */
static int commit_up_to(struct kymo__segment *s, uint64_t end)
{
    if (end <= s->committed_bytes)
        return 0;
    if (end > s->reserved_bytes)
        return KYMO_EFULL;
    size_t step = (size_t)(s->used_bytes / 8);
    if (step < COMMIT_MIN)
        step = COMMIT_MIN;
    if (step > COMMIT_MAX)
        step = COMMIT_MAX;
    if (end - s->committed_bytes < step)
        end = s->committed_bytes + step;
    uint64_t target = round_up((size_t)end, kymo__os_granule());
    if (target > s->reserved_bytes)
        target = s->reserved_bytes;
    if (kymo__os_commit((char *)s + s->committed_bytes, (size_t)(target - s->committed_bytes)) != 0)
        return KYMO_ENOMEM;
    s->committed_bytes = target;
    return 0;
}

static uint32_t take(struct kymo__segment *s, size_t bytes, int *error)
{
    uint64_t at = s->used_bytes;
    if (bytes > s->reserved_bytes || (*error = commit_up_to(s, at + bytes)) != 0) {
        *error = *error ? *error : KYMO_EFULL;
        return 0;
    }
    s->used_bytes = at + bytes;
    return (uint32_t)(at / 8);
}

uint32_t kymo__segment_pages(struct kymo__segment *s, size_t bytes, int *error)
{
    *error = 0;
    return take(s, round_up(bytes, KYMO__PAGE), error);
}

/*
 * Sizes in units of 8 bytes are rounded up to one of KYMO__SIZE_CLASSES, an eighth more at most, so that what was given
 * back fits what comes.
 */
static uint32_t size_class(size_t bytes, uint32_t *units)
{
    uint32_t n = (uint32_t)(round_up(bytes, 8) / 8);
    *units = n;
    if (n <= 16)
        return n != 0 ? n - 1 : 0;
    uint32_t shift = 31 - (uint32_t)__builtin_clz(n - 1) - 3;
    uint32_t step = (n - 1) >> shift; /* 8 to 15 */
    *units = (step + 1) << shift;
    return 16 + (shift - 1) * 8 + step - 8;
}

static uint32_t reuse(struct kymo__segment *s, uint32_t class, uint32_t units)
{
    uint32_t ref = class < KYMO__SIZE_CLASSES ? s->free_small[class] : 0;
    if (ref == 0)
        return 0;
    uint64_t *first = kymo__at(s, ref);
    kymo__store_relaxed(&s->free_small[class], (uint32_t)*first); /* one store: who dies here loses it, no more */
    memset(first, 0, (size_t)units * 8);
    return ref;
}

uint32_t kymo__segment_alloc(struct kymo__segment *s, size_t bytes, int *error)
{
    uint32_t units, class = size_class(bytes, &units);
    uint32_t ref = reuse(s, class, units);
    *error = 0;
    if (ref != 0)
        return ref;
    if (bytes > KYMO__SMALL_RUN / 4)
        return kymo__segment_pages(s, (size_t)units * 8 + KYMO__TEXT_SLACK, error);
    /* What is cut from a run may be read KYMO__TEXT_SLACK bytes beyond its end: the run's last bytes stay unused. */
    if (s->small_end - s->small_at < units + KYMO__TEXT_SLACK / 8) {
        uint32_t run = take(s, KYMO__SMALL_RUN, error);
        if (run == 0)
            return 0;
        /* A run that continues the last one takes over what was left of it. */
        if (s->small_end == 0 || run != s->small_end)
            s->small_at = run;
        s->small_end = run + KYMO__SMALL_RUN / 8;
    }
    ref = s->small_at;
    s->small_at += units;
    return ref;
}

void kymo__segment_give(struct kymo__segment *s, uint32_t ref, size_t bytes)
{
    uint32_t units, class = size_class(bytes, &units);
    if (ref == 0 || class >= KYMO__SIZE_CLASSES)
        return;
    if (ref + units == s->small_at) { /* the last of its run */
        memset(kymo__at(s, ref), 0, (size_t)units * 8);
        s->small_at = ref;
        return;
    }
    *(uint64_t *)kymo__at(s, ref) = s->free_small[class];
    kymo__store_relaxed(&s->free_small[class], ref);
}

static int column_block_ensure(struct kymo__segment *s, uint32_t index)
{
    uint32_t *root = &s->column_roots[index / KYMO__COLUMN_BLOCK];
    int error = 0;
    if (*root == 0) {
        uint32_t block = kymo__segment_alloc(s, KYMO__COLUMN_BLOCK * sizeof(struct kymo__column), &error);
        if (block != 0)
            kymo__store_release(root, block); /* with kymo__column_at() */
    }
    return error;
}

uint32_t kymo__column_new(struct kymo__segment *s, enum kymo__class class, int *error)
{
    uint32_t index = s->n_columns;
    if (index >= KYMO__MAX_COLUMNS) {
        *error = KYMO_ELIMIT;
        return 0;
    }
    if ((*error = column_block_ensure(s, index)) != 0)
        return 0;
    uint32_t pairs = kymo__segment_pages(s, KYMO__WORDS * sizeof(struct kymo__pair), error);
    if (pairs == 0)
        return 0;
    struct kymo__column *column = kymo__column_at(s, index);
    column->pairs = pairs;
    column->class = class;
    kymo__store_release(&s->n_columns, index + 1); /* with readers that walk all columns */
    return index + 1;
}

uint64_t kymo__slot_new(struct kymo__segment *s, enum kymo__class class, uint32_t n, int *error)
{
    uint32_t open = s->open_column[class];
    *error = 0;
    if (open == 0 || kymo__column_at(s, open - 1)->used + n > KYMO__WORDS) {
        open = kymo__column_new(s, class, error);
        if (open == 0)
            return KYMO__DEAD;
        s->open_column[class] = open;
    }
    struct kymo__column *column = kymo__column_at(s, open - 1);
    uint64_t loc = ((uint64_t)(open - 1) << KYMO__WORD_BITS) | column->used;
    column->used += n;
    return loc;
}

void kymo__slot_undo(struct kymo__segment *s, uint64_t loc, uint32_t n)
{
    struct kymo__column *column = kymo__column_at(s, (uint32_t)(loc >> KYMO__WORD_BITS));
    if (column->used == (loc & (KYMO__WORDS - 1)) + n)
        column->used -= n;
}

uint32_t kymo__shard_new(struct kymo__segment *s, int *error)
{
    /* 64 bytes more than needed, to place it on a cache line. */
    uint32_t ref = kymo__segment_alloc(s, sizeof(struct kymo__shard) + 64, error);
    if (ref == 0)
        return 0;
    ref = (ref + 7) & ~(uint32_t)7;
    struct kymo__shard *shard = kymo__at(s, ref);
    shard->state = KYMO__SHARD_OWNED;
    shard->id = s->n_shards;
    shard->next = s->first_shard;
    kymo__store_release(&s->first_shard, ref); /* with kymo__grace() and adoption, which walk all shards */
    s->n_shards++;
    return ref;
}

struct kymo__chunk *kymo__chunk_new(struct kymo__segment *s, uint32_t shard, uint32_t column, enum kymo__lane lane,
                                    int *error)
{
    uint32_t ref = kymo__segment_alloc(s, sizeof(struct kymo__chunk), error);
    uint32_t data = ref != 0 ? kymo__segment_pages(s, KYMO__WORDS * sizeof(uint64_t), error) : 0;
    if (data == 0) {
        kymo__segment_give(s, ref, sizeof(struct kymo__chunk));
        return NULL;
    }
    struct kymo__chunk *chunk = kymo__at(s, ref);
    struct kymo__shard *owner = kymo__at(s, shard);
    chunk->data = data;
    chunk->shard = shard;
    chunk->column = column;
    chunk->lane = lane;
    /*
     * Into the column before into the shard: whoever dies in between leaves a chunk that is summed and never written,
     * not one that is written and never summed. At the tail, since sums of doubles must always be added in the same
     * order, or a total could go back by an ulp.
     */
    uint32_t *link = &kymo__column_at(s, column)->first_chunk[lane];
    while (*link != 0)
        link = &((struct kymo__chunk *)kymo__at(s, *link))->next_in_column;
    kymo__store_release(link, ref); /* with whoever sums the column */
    chunk->next_in_shard = owner->first_chunk;
    kymo__store_release(&owner->first_chunk, ref); /* with whoever adopts the shard */
    return chunk;
}

void kymo__shard_settle(struct kymo__shard *shard)
{
    struct kymo__ctl *ctl = &shard->ctl;
    uint64_t busy = kymo__load_acquire(&ctl->busy); /* with the dead owner's stores */
    int64_t slot_at = kymo__load_relaxed(&ctl->redo_slot);
    if (!(busy & 1))
        return;
    uint64_t *slot = (uint64_t *)((char *)ctl + slot_at);
    if (slot_at != 0 && (kymo__load_acquire(&slot[0]) & 1)) {
        /* Absolute values: doing it twice, or after half of it was done, gives the same. */
        uint64_t redo_at = kymo__load_relaxed(&ctl->redo_at);
        kymo__store_relaxed(&slot[1], kymo__load_relaxed(&ctl->redo_sum));
        for (unsigned i = 0; i < 2; i++) {
            uint64_t *word = kymo__redo_word(slot, redo_at, i);
            if (word != NULL)
                kymo__store_relaxed(word, kymo__load_relaxed(&ctl->redo_value[i]));
        }
        kymo__store_release(&slot[0], kymo__load_relaxed(&ctl->redo_seq)); /* with read_slot() */
    }
    kymo__store_release(&ctl->busy, busy + 1);
}

/* Waits, within bounds, for a word to be even or to move on from what it was. */
static int moved_on(const uint64_t *busy)
{
    uint64_t seen = kymo__load_acquire(busy); /* with the recorder's release when it leaves */
    for (int i = 0; (seen & 1) && kymo__load_acquire(busy) == seen; i++) {
        if (i >= GRACE_LOOKS)
            return 0;
        if (i > 64)
            kymo__os_yield();
    }
    return 1;
}

static int drained(const int64_t *in_flight)
{
    for (int i = 0; kymo__load_acquire(in_flight) > 0; i++) { /* with the recorder's decrement */
        if (i >= GRACE_LOOKS)
            return 0;
        if (i > 64)
            kymo__os_yield();
    }
    return 1;
}

int kymo__grace(struct kymo__segment *s)
{
    if (kymo__os_membarrier() != 0)
        return 0;
    uint32_t ref = kymo__load_acquire(&s->first_shard);
    while (ref != 0) {
        struct kymo__shard *shard = kymo__at(s, ref);
        if (!moved_on(&shard->ctl.busy))
            return 0;
        ref = shard->next;
    }
    /*
     * Twice: a recorder that read the epoch before the first flip may count itself in the old one after we looked
     * there; the second flip waits for it.
     */
    for (int round = 0; round < 2; round++) {
        uint64_t epoch = kymo__add_full(&s->epoch, 1);
        if (!drained(&s->in_flight[epoch & 1][0]))
            return 0;
    }
    return 1;
}

int kymo__grace_within(struct kymo__segment *s, int64_t ns)
{
    int64_t end = kymo__os_monotonic_ns() + ns;
    while (!kymo__grace(s)) {
        if (kymo__os_membarrier() != 0 || kymo__os_monotonic_ns() >= end)
            return 0;
        kymo__os_nap();
    }
    return 1;
}
