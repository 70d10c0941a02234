/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/native_read.c - putting a native histogram together: the table, and every shard's words, as one state reads them.
 *
 * Every part says at which schema it was made; here it is reduced to the schema in force, and folded into the zero
 * bucket where that has grown. A shard is taken as one state of whole observations, its own entries of the table
 * included. What a coarser or newer state has written meanwhile makes the reader begin again. Read native.h first.
 */
#include <string.h>

#include "core/native.h"

#define SLACK KYMO__WINDOW_MAX /* buckets that nobody announced: of threads that died before they could */

/* ---- scratch ---- */

static size_t scratch_bytes(uint32_t cap)
{
    return sizeof(struct kymo__native_scratch) + (size_t)cap * (4 * sizeof(uint64_t) + 2 * sizeof(int32_t));
}

int kymo__native_scratch_ensure(struct kymo_registry *reg, const struct kymo__family *f)
{
    uint32_t cap = f->table_entries + SLACK;
    if (reg->native != NULL && reg->native->cap >= cap)
        return 0;
    struct kymo__native_scratch *larger = kymo__heap_alloc(reg, scratch_bytes(cap));
    if (larger == NULL)
        return KYMO_ENOMEM;
    kymo__native_scratch_free(reg);
    larger->cap = cap;
    larger->bytes = scratch_bytes(cap);
    larger->side[0].count = (uint64_t *)(larger + 1);
    larger->side[1].count = larger->side[0].count + cap;
    larger->own = larger->side[1].count + cap;
    larger->own_key = larger->own + cap;
    larger->side[0].index = (int32_t *)(larger->own_key + cap);
    larger->side[1].index = larger->side[0].index + cap;
    reg->native = larger;
    return 0;
}

void kymo__native_scratch_free(struct kymo_registry *reg)
{
    if (reg->native != NULL)
        kymo__heap_free(reg, reg->native, reg->native->bytes);
    reg->native = NULL;
}

/* ---- what a reading gathers ---- */

struct reading {
    const struct kymo__family *f;
    struct kymo__native_site site;
    uint64_t state;
    struct kymo__native_scratch *scratch; /* NULL: totals are enough */
    uint64_t *classic;                    /* n_bounds + 1 */
    uint64_t count, zero;
    double sum;
};

/* The place of an index in a side, or where it would have to be. */
static uint32_t side_find(const struct kymo__native_side *side, int32_t index)
{
    uint32_t low = 0, high = side->n;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (side->index[middle] < index)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void side_add(struct reading *r, int negative, int32_t index, uint64_t n)
{
    if (r->scratch == NULL)
        return;
    struct kymo__native_side *side = &r->scratch->side[negative];
    uint32_t at = side_find(side, index);
    if (at < side->n && side->index[at] == index) {
        side->count[at] += n;
        return;
    }
    if (side->n == r->scratch->cap) /* cannot be: there are as many places as entries, and more */
        return;
    memmove(&side->index[at + 1], &side->index[at], (side->n - at) * sizeof(side->index[0]));
    memmove(&side->count[at + 1], &side->count[at], (side->n - at) * sizeof(side->count[0]));
    side->index[at] = index;
    side->count[at] = n;
    side->n++;
}

static void add_bucket(struct reading *r, const struct kymo__native_entry *entry, uint64_t n)
{
    r->count += n;
    if (entry->zero)
        r->zero += n;
    else
        side_add(r, entry->negative, entry->index, n);
}

/* Entries that are everybody's. 0: the state is outdated. */
static int add_shared(struct reading *r)
{
    for (uint32_t at = 0; at < r->f->table_entries; at++) {
        uint64_t key = kymo__load_acquire(&r->site.keys[at]), n; /* with entry_take() */
        struct kymo__native_entry entry = kymo__native_entry(r->state, key);
        double sum;
        if (key == 0)
            break;
        if (entry.newer) {
            kymo__native_reach(&r->site, kymo__state_schema(key));
            return 0;
        }
        if (!entry.live || entry.own || entry.who == 0)
            continue;
        kymo__pair_read(&r->site.counts[at], &n, &sum);
        n = kymo__native_count(r->state, n);
        if (n == 0)
            continue;
        add_bucket(r, &entry, n);
        r->classic[entry.who - 1] += n;
        r->sum += sum;
    }
    return 1;
}

/* ---- a shard ---- */

/* Its words at one moment, an update that is on its way completed. */
struct copy {
    uint64_t words[KYMO__WORDS];
    const uint64_t *redo_word[2];
    uint64_t redo_value[2];
};

static int copy_redo(const struct kymo__ctl *ctl, uint64_t *slot, uint32_t n_words, struct copy *to)
{
    if (kymo__load_relaxed(&ctl->redo_slot) != (int64_t)((const char *)slot - (const char *)ctl))
        return 0;
    uint64_t redo_at = kymo__load_relaxed(&ctl->redo_at);
    to->words[KYMO__N_SEQ] = kymo__load_relaxed(&ctl->redo_seq);
    to->words[KYMO__N_SUM] = kymo__load_relaxed(&ctl->redo_sum);
    for (unsigned i = 0; i < 2; i++) {
        to->redo_word[i] = kymo__redo_word(slot, redo_at, i);
        to->redo_value[i] = kymo__load_relaxed(&ctl->redo_value[i]);
        if (to->redo_word[i] > slot && to->redo_word[i] < slot + n_words)
            to->words[to->redo_word[i] - slot] = to->redo_value[i];
    }
    return 1;
}

static uint64_t own_count(const struct reading *r, const struct copy *copy, uint32_t at)
{
    const uint64_t *word = &r->site.counts[at].n;
    for (unsigned i = 0; i < 2; i++)
        if (copy->redo_word[i] == word)
            return kymo__native_count(r->state, copy->redo_value[i]);
    return kymo__native_count(r->state, kymo__load_relaxed(word));
}

/* What the shard's own entries hold, noted one by one where somebody wants to know. 0: the state is outdated. */
static int look_own(const struct reading *r, const struct copy *copy, uint32_t shard, uint64_t *total)
{
    *total = 0;
    for (uint32_t at = 0; at < r->f->table_entries; at++) {
        uint64_t key = kymo__load_acquire(&r->site.keys[at]); /* with entry_take() */
        struct kymo__native_entry entry = kymo__native_entry(r->state, key);
        if (key == 0)
            break;
        if (entry.newer) {
            kymo__native_reach(&r->site, kymo__state_schema(key));
            return 0;
        }
        uint64_t n = entry.live && entry.own && entry.who == shard ? own_count(r, copy, at) : 0;
        *total += n;
        if (r->scratch != NULL) {
            r->scratch->own[at] = n;
            r->scratch->own_key[at] = key;
        }
    }
    return 1;
}

static void add_own(struct reading *r, uint64_t total)
{
    if (r->scratch == NULL) {
        r->count += total;
        return;
    }
    for (uint32_t at = 0; total != 0; at++) {
        if (r->scratch->own[at] == 0)
            continue;
        struct kymo__native_entry entry = kymo__native_entry(r->state, r->scratch->own_key[at]);
        total -= r->scratch->own[at];
        add_bucket(r, &entry, r->scratch->own[at]);
    }
}

static void add_window(struct reading *r, const uint64_t *words)
{
    int schema = kymo__state_schema(words[KYMO__N_TAG]);
    unsigned steps = (unsigned)(schema - kymo__state_schema(r->state));
    uint64_t base = words[KYMO__N_BASE];
    int negative = kymo__base_axis(base) >> 32 != 0;
    int32_t first = (int32_t)((uint32_t)kymo__base_axis(base) - KYMO__INDEX_BIAS);
    const uint64_t *counts = words + KYMO__N_HEAD + r->f->n_bounds;
    struct kymo__native_entry entry = {.negative = negative};
    for (uint32_t i = 0; i < r->f->window; i++) {
        uint64_t n = counts[kymo__window_word(base, r->f->window, i)];
        if (n == 0)
            continue;
        entry.index = kymo__index_reduce(first + (int32_t)i, steps);
        entry.zero = kymo__native_in_zero(r->state, schema, first + (int32_t)i);
        add_bucket(r, &entry, n);
    }
}

static void add_copy(struct reading *r, const struct copy *copy, uint64_t own)
{
    uint64_t before = r->count, inside = 0;
    r->sum += kymo__double(copy->words[KYMO__N_SUM]);
    r->zero += copy->words[KYMO__N_ZERO];
    r->count += copy->words[KYMO__N_ZERO];
    add_window(r, copy->words);
    add_own(r, own);
    for (uint32_t i = 0; i < r->f->n_bounds; i++) {
        r->classic[i] += copy->words[KYMO__N_HEAD + i];
        inside += copy->words[KYMO__N_HEAD + i];
    }
    r->classic[r->f->n_bounds] += r->count - before - inside;
}

/* One look: 1 whole, 0 it changed meanwhile, -1 the state is outdated. */
static int look(const struct reading *r, const struct kymo__ctl *ctl, uint64_t *slot, struct copy *copy, uint64_t *own)
{
    uint64_t seq = kymo__load_acquire(&slot[KYMO__N_SEQ]); /* with kymo__change_words() */
    uint64_t tag = kymo__load_acquire(&slot[KYMO__N_TAG]); /* with shard_begin() */
    *own = 0;
    copy->redo_word[0] = copy->redo_word[1] = NULL;
    copy->words[KYMO__N_TAG] = 0;
    if (kymo__state_epoch(tag) != kymo__state_epoch(r->state))
        return 1; /* of another epoch, or of none: counts nowhere */
    if (kymo__state_schema(tag) < kymo__state_schema(r->state)) {
        kymo__native_reach(&r->site, kymo__state_schema(tag));
        return -1;
    }
    for (uint32_t i = 0; i < r->f->n_words; i++)
        copy->words[i] = kymo__load_relaxed(&slot[i]);
    if ((seq & 1) && !copy_redo(ctl, slot, r->f->n_words, copy))
        return 0;
    if (!look_own(r, copy, ((const struct kymo__shard *)(const void *)ctl)->id, own))
        return -1;
    kymo__fence_acquire(); /* everything above before the second look */
    return kymo__load_relaxed(&slot[KYMO__N_SEQ]) == seq && kymo__load_relaxed(&slot[KYMO__N_TAG]) == tag;
}

/* 0: the state is outdated. */
static int add_shard(struct reading *r, const struct kymo__ctl *ctl, uint64_t *slot)
{
    struct copy copy;
    uint64_t own;
    int seen;
    if (kymo__load_relaxed(&slot[KYMO__N_SEQ]) == 0)
        return 1; /* nothing yet: what is observed from now on began after us */
    do
        seen = look(r, ctl, slot, &copy, &own);
    while (seen == 0);
    if (seen > 0 && copy.words[KYMO__N_TAG] != 0)
        add_copy(r, &copy, own);
    return seen > 0;
}

/* ---- all of it ---- */

static void reading_clear(struct reading *r)
{
    r->count = r->zero = 0;
    r->sum = 0;
    memset(r->classic, 0, (r->f->n_bounds + 1) * sizeof(r->classic[0]));
    if (r->scratch != NULL)
        r->scratch->side[0].n = r->scratch->side[1].n = 0;
}

/* 0: the state is outdated. */
static int gather(struct reading *r, uint64_t loc)
{
    struct kymo__segment *s = r->f->reg->segment;
    const struct kymo__column *column = kymo__column_at(s, (uint32_t)(loc >> KYMO__WORD_BITS));
    uint32_t ref = kymo__load_acquire(&column->first_chunk[KYMO__WHOLE]); /* with kymo__chunk_new() */
    reading_clear(r);
    if (!add_shared(r))
        return 0;
    while (ref != 0) {
        const struct kymo__chunk *chunk = kymo__at(s, ref);
        struct kymo__shard *shard = kymo__at(s, chunk->shard);
        if (!add_shard(r, &shard->ctl, (uint64_t *)kymo__at(s, chunk->data) + (loc & (KYMO__WORDS - 1))))
            return 0;
        ref = kymo__load_acquire(&chunk->next_in_column); /* with kymo__chunk_new() */
    }
    /*
     * A new epoch uses its entries again, and by a wider zero bucket a thread may have moved counts into its own: what
     * was read is one picture only if it was read under one state.
     */
    kymo__fence_acquire(); /* everything above before the second look */
    return ((kymo__load_relaxed(&r->site.head[KYMO__P_STATE].n) ^ r->state) & KYMO__TAG_MASK) == 0;
}

static int64_t read_all(struct reading *r, uint64_t loc)
{
    struct kymo__pair *head = kymo__pairs_at(r->f->reg->segment, loc);
    struct kymo__family *f = (struct kymo__family *)(uintptr_t)r->f;
    int64_t start_ns;
    do
        r->site = kymo__native_look(f, head, &r->state, &start_ns);
    while (!gather(r, loc));
    return start_ns;
}

static void side_compress(struct kymo__native_side *side)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < side->n; i++) {
        if (side->count[i] == 0)
            continue;
        side->index[n] = side->index[i];
        side->count[n++] = side->count[i];
    }
    side->n = n;
}

static void point_totals(const struct reading *r, int64_t start_ns, struct kymo_point *point)
{
    struct kymo_histogram_point *h = &point->value.histogram;
    point->start_ns = start_ns;
    h->count = r->count;
    h->sum = r->sum;
    h->bounds = r->f->bounds;
    h->n_bounds = r->f->n_bounds;
    h->buckets = r->classic;
    h->native = NULL;
}

static void point_native(const struct reading *r, struct kymo_point *point)
{
    struct kymo__native_scratch *scratch = r->scratch;
    struct kymo_native_point *p = &scratch->point;
    memset(p, 0, sizeof(*p));
    p->schema = kymo__state_schema(r->state);
    p->zero_threshold = kymo__native_threshold(r->f, r->state);
    p->zero_count = r->zero;
    p->positive_index = scratch->side[0].index;
    p->positive_count = scratch->side[0].count;
    p->n_positive = scratch->side[0].n;
    p->negative_index = scratch->side[1].index;
    p->negative_count = scratch->side[1].count;
    p->n_negative = scratch->side[1].n;
    point->value.histogram.native = p;
}

void kymo__native_read(const struct kymo__family *f, uint64_t loc, uint64_t *buckets, struct kymo_point *point)
{
    struct kymo__native_scratch *scratch = f->reg->native;
    struct reading r = {.f = f, .scratch = scratch, .classic = buckets};
    struct kymo__pair *head = kymo__pairs_at(f->reg->segment, loc);
    int64_t start_ns;
    do {
        start_ns = read_all(&r, loc);
        side_compress(&scratch->side[0]);
        side_compress(&scratch->side[1]);
    } while (scratch->side[0].n + scratch->side[1].n > f->native.max_buckets &&
             kymo__native_reduce((struct kymo__family *)(uintptr_t)f, head, r.state));
    point_totals(&r, start_ns, point);
    point_native(&r, point);
}

void kymo__native_totals(const struct kymo__family *f, uint64_t loc, uint64_t *buckets, struct kymo_point *point)
{
    struct reading r = {.f = f, .classic = buckets};
    int64_t start_ns = read_all(&r, loc);
    point_totals(&r, start_ns, point);
}

/* ---- for tests ---- */

/* The sequence of a shard, as it is once an update that is on its way is complete. */
static uint64_t made_in(const struct kymo__segment *s, const struct kymo__chunk *chunk, uint64_t loc)
{
    const struct kymo__shard *shard = kymo__at(s, chunk->shard);
    const uint64_t *slot = (const uint64_t *)kymo__at(s, chunk->data) + (loc & (KYMO__WORDS - 1));
    return slot[KYMO__N_SEQ] & 1 ? shard->ctl.redo_seq : slot[KYMO__N_SEQ];
}

uint64_t kymo__native_lifetime(const struct kymo_histogram *h)
{
    const struct kymo__cell *cell = (const struct kymo__cell *)h;
    struct kymo__segment *s = cell->family->reg->segment;
    uint64_t loc = ((const struct kymo__series *)kymo__at(s, cell->series))->loc;
    struct kymo__pair *head = kymo__pairs_at(s, loc);
    const uint64_t *keys = kymo__at(s, (uint32_t)head[KYMO__P_TABLE].n);
    const struct kymo__pair *counts = (const struct kymo__pair *)(const void *)(keys + cell->family->table_entries);
    uint64_t sum = head[KYMO__P_DROPPED].n - head[KYMO__P_DROPPED].sum; /* used again; made twice */
    for (uint32_t i = 0; i < cell->family->table_entries && keys[i] != 0; i++)
        sum += kymo__native_entry(keys[i], keys[i]).own ? 0 : counts[i].n & KYMO__COUNT_MASK;
    for (uint32_t ref = kymo__column_at(s, (uint32_t)(loc >> KYMO__WORD_BITS))->first_chunk[KYMO__WHOLE]; ref != 0;) {
        const struct kymo__chunk *chunk = kymo__at(s, ref);
        sum += made_in(s, chunk, loc) / 2;
        ref = chunk->next_in_column;
    }
    return sum;
}
