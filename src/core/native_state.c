/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/native_state.c - native histograms: the state, how it reads entries, and the steps it can take. Read native_parts.h first.
 */
#include "core/native_parts.h"

struct kymo__native_site kymo__native_site_of(struct kymo__family *f, struct kymo__pair *head)
{
    struct kymo__native_site site = {f, head, NULL, NULL};
    site.keys = kymo__at(f->reg->segment, (uint32_t)kymo__load_relaxed(&head[KYMO__P_TABLE].n)); /* as the slot began */
    site.counts = (struct kymo__pair *)(void *)(site.keys + f->table_entries);
    return site;
}

/* ---- how a state reads an entry ---- */

double kymo__native_threshold(const struct kymo__family *f, uint64_t state)
{
    unsigned wide = state >> KYMO__WIDE_SHIFT & 15;
    if (wide == 0)
        return f->native.zero_threshold > 0 ? f->native.zero_threshold : 0;
    return kymo__index_bound((int32_t)(state >> KYMO__WIDE_INDEX_SHIFT & KYMO__INDEX_MASK) - KYMO__INDEX_BIAS,
                             (int)wide - 5);
}

int kymo__native_in_zero(uint64_t state, int schema, int32_t index)
{
    int wide = (int)(state >> KYMO__WIDE_SHIFT & 15) - 5;
    if (wide < KYMO__SCHEMA_MIN || schema < wide) /* made at a coarser schema: it was above the threshold then */
        return 0;
    int32_t last = (int32_t)(state >> KYMO__WIDE_INDEX_SHIFT & KYMO__INDEX_MASK) - KYMO__INDEX_BIAS;
    return kymo__index_reduce(index, (unsigned)(schema - wide)) <= last;
}

struct kymo__native_entry kymo__native_entry(uint64_t state, uint64_t key)
{
    struct kymo__native_entry entry = {0};
    int schema = kymo__state_schema(key), steps = schema - kymo__state_schema(state);
    entry.live = key != 0 && kymo__state_epoch(key) == kymo__state_epoch(state);
    if (!entry.live)
        return entry;
    entry.newer = steps < 0;
    entry.own = (key & KYMO__OWN) != 0;
    entry.who = (uint32_t)(key >> KYMO__WHO_SHIFT);
    entry.zero = kymo__native_kind(key) == KYMO__ZERO_SIDE;
    entry.negative = kymo__native_kind(key) == KYMO__NEGATIVE_SIDE;
    if (entry.zero || entry.newer)
        return entry;
    int32_t index = (int32_t)(key >> KYMO__INDEX_SHIFT & KYMO__INDEX_MASK) - KYMO__INDEX_BIAS;
    entry.zero = kymo__native_in_zero(state, schema, index);
    entry.index = kymo__index_reduce(index, (unsigned)steps);
    return entry;
}

uint64_t kymo__native_count(uint64_t state, uint64_t n)
{
    return (n >> KYMO__COUNT_BITS & KYMO__EPOCH_MASK) == kymo__state_epoch(state) ? n & KYMO__COUNT_MASK : 0;
}

/* The entries that a state counts as populated buckets: steps through them. */
static int next_populated(const struct kymo__native_site *site, uint64_t state, uint32_t *at,
                          struct kymo__native_entry *entry)
{
    for (; *at < site->f->table_entries; ++*at) {
        uint64_t key = kymo__load_relaxed(&site->keys[*at]); /* a key is all there is to see */
        if (key == 0)
            return 0;
        *entry = kymo__native_entry(state, key);
        if (entry->live && !entry->newer && !entry->zero)
            return 1;
    }
    return 0;
}

static int repeated(const struct kymo__native_site *site, uint64_t state, uint32_t before,
                    const struct kymo__native_entry *entry)
{
    struct kymo__native_entry other;
    for (uint32_t at = 0; next_populated(site, state, &at, &other) && at < before; at++)
        if (other.index == entry->index && other.negative == entry->negative)
            return 1;
    return 0;
}

/* Distinct buckets. A few bits remember what was seen: only where one is set already somebody has to look closer. */
static uint32_t count_populated(const struct kymo__native_site *site, uint64_t state)
{
    struct kymo__native_entry entry;
    uint64_t seen[64] = {0};
    uint32_t n = 0;
    for (uint32_t at = 0; next_populated(site, state, &at, &entry); at++) {
        uint32_t mix = ((uint32_t)entry.index * 2 + (uint32_t)entry.negative) * 0x9e3779b1u;
        uint64_t bit = (uint64_t)1 << (mix >> 20 & 63), *word = &seen[mix >> 26];
        n += !(*word & bit) || !repeated(site, state, at, &entry);
        *word |= bit;
    }
    return n;
}

/* ---- steps ---- */

/*
 * The state with the zero bucket widened by the bucket nearest to it, or 0 if that is not allowed. *folds: how many
 * buckets that takes, of either sign.
 */
static uint64_t widened(const struct kymo__native_site *site, uint64_t state, uint32_t *folds)
{
    const struct kymo_native *native = &site->f->native;
    struct kymo__native_entry entry;
    int32_t smallest = INT32_MAX;
    int schema = kymo__state_schema(state), signs = 0;
    if (!(kymo__native_threshold(site->f, state) < native->max_zero_threshold))
        return 0;
    for (uint32_t at = 0; next_populated(site, state, &at, &entry); at++) {
        if (entry.index > smallest)
            continue;
        signs = (entry.index == smallest ? signs : 0) | (entry.negative ? 2 : 1);
        smallest = entry.index;
    }
    *folds = signs == 3 ? 2 : 1;
    if (smallest == INT32_MAX || !(kymo__index_bound(smallest, schema) <= native->max_zero_threshold))
        return 0;
    const uint64_t kept = ~((uint64_t)15 << KYMO__WIDE_SHIFT | KYMO__INDEX_MASK << KYMO__WIDE_INDEX_SHIFT);
    return (state & kept) | (uint64_t)(schema + 5) << KYMO__WIDE_SHIFT |
           (uint64_t)(uint32_t)(smallest + KYMO__INDEX_BIAS) << KYMO__WIDE_INDEX_SHIFT;
}

static int can_act(const struct kymo__native_site *site, uint64_t state)
{
    uint32_t folds;
    return kymo__state_schema(state) > KYMO__SCHEMA_MIN ||
           (site->f->native.min_reset_ns > 0 && !(state & KYMO__RESET_DUE)) || widened(site, state, &folds) != 0;
}

static uint64_t with_populated(const struct kymo__native_site *site, uint64_t state, uint32_t n)
{
    const uint32_t most = 0x3ffff;
    state &= ~(KYMO__OVER | (uint64_t)most << KYMO__POPULATED_SHIFT);
    state |= (uint64_t)(n < most ? n : most) << KYMO__POPULATED_SHIFT;
    return n > site->f->native.max_buckets && can_act(site, state) ? state | KYMO__OVER : state;
}

/* Widens the zero bucket, else halves the resolution; 0 if neither can be. */
static uint64_t stepped(const struct kymo__native_site *site, uint64_t state)
{
    uint32_t folds, populated = kymo__state_populated(state);
    uint64_t next = widened(site, state, &folds);
    if (next != 0)
        return with_populated(site, next, populated > folds ? populated - folds : 0);
    if (kymo__state_schema(state) == KYMO__SCHEMA_MIN)
        return 0;
    next = state - ((uint64_t)1 << KYMO__SCHEMA_SHIFT);
    return with_populated(site, next, count_populated(site, next));
}

static struct kymo__pair head_read(const struct kymo__native_site *site)
{
    struct kymo__pair old;
    double start;
    kymo__pair_read(&site->head[KYMO__P_STATE], &old.n, &start);
    old.sum = kymo__bits(start);
    return old;
}

static int64_t start_of(const struct kymo__pair *head)
{
    return (int64_t)head->sum;
}

static int head_replace(const struct kymo__native_site *site, struct kymo__pair *old, uint64_t state, int64_t start_ns)
{
    struct kymo__pair new = {state, (uint64_t)start_ns};
    return kymo__pair_cas(&site->head[KYMO__P_STATE], old, new);
}

static uint64_t state_fresh(const struct kymo__family *f, uint64_t old)
{
    uint64_t epoch = (old + 1) & KYMO__EPOCH_MASK;
    return (epoch != 0 ? epoch : 1) | (uint64_t)(f->native_schema - KYMO__SCHEMA_MIN) << KYMO__SCHEMA_SHIFT;
}

/*
 * Epochs are numbered modulo 2^15. Before a number comes again, and four times by then, whatever bears an old one loses
 * it: else what was left behind long ago would be live again.
 */
#define PURGE_MASK ((uint64_t)0x1fff)

static void purge_count(const struct kymo__native_site *site, struct kymo__pair *pair, int own)
{
    struct kymo__pair none = {0, 0}, old = {kymo__load_relaxed(&pair->n), kymo__load_relaxed(&pair->sum)};
    uint64_t of = old.n >> KYMO__COUNT_BITS & KYMO__EPOCH_MASK;
    if (of == 0 || of == kymo__native_epoch_now(site) || kymo__pair_cas(pair, &old, none) <= 0)
        return;
    if (!own)
        kymo__add_relaxed(&site->head[KYMO__P_DROPPED].n, old.n & KYMO__COUNT_MASK); /* a count, read on its own */
}

/* Takes the epoch away from a word, unless it is the one in force, or somebody uses the word just now. */
static uint64_t purge_word(const struct kymo__native_site *site, uint64_t *word, uint64_t kept)
{
    uint64_t seen = kymo__load_relaxed(word), was = seen;
    if (kymo__state_epoch(seen) != 0 && kymo__state_epoch(seen) != kymo__native_epoch_now(site))
        (void)kymo__cas_full(word, &seen, seen & kept);
    return was;
}

static void purge(const struct kymo__native_site *site)
{
    struct kymo__segment *s = site->f->reg->segment;
    uint64_t loc = kymo__load_relaxed(&site->head[KYMO__P_USED].sum), key; /* as the slot began */
    const struct kymo__column *column = kymo__column_at(s, (uint32_t)(loc >> KYMO__WORD_BITS));
    uint32_t ref = kymo__load_acquire(&column->first_chunk[KYMO__WHOLE]); /* with kymo__chunk_new() */
    for (uint32_t at = 0; at < site->f->table_entries; at++) {
        key = purge_word(site, &site->keys[at], ~KYMO__EPOCH_MASK);
        if (key == 0)
            break;
        purge_count(site, &site->counts[at], (key & KYMO__OWN) != 0);
    }
    while (ref != 0) {
        const struct kymo__chunk *chunk = kymo__at(s, ref);
        uint64_t *slot = (uint64_t *)kymo__at(s, chunk->data) + (loc & (KYMO__WORDS - 1));
        (void)purge_word(site, &slot[KYMO__N_TAG], 0);
        ref = kymo__load_acquire(&chunk->next_in_column); /* with kymo__chunk_new() */
    }
}

static int start_anew(const struct kymo__native_site *site, struct kymo__pair *old, int64_t start_ns)
{
    uint64_t state = state_fresh(site->f, old->n);
    int r = head_replace(site, old, state, start_ns);
    if (r > 0)
        kymo__store_relaxed(&site->head[KYMO__P_USED].n, 0); /* a hint */
    if (r > 0 && (state & PURGE_MASK) == 0)
        purge(site);
    return r;
}

static int64_t now_of(const struct kymo__family *f)
{
    return f->reg->clock.wall_ns(f->reg->clock.ctx);
}

void kymo__native_reset_if_due(const struct kymo__native_site *site)
{
    struct kymo__pair old = head_read(site);
    while (old.n & KYMO__RESET_DUE) {
        int64_t due = start_of(&old) + site->f->native.min_reset_ns;
        if (now_of(site->f) < due || start_anew(site, &old, due) != 0)
            return;
    }
}

int kymo__native_limit(const struct kymo__native_site *site)
{
    const struct kymo__family *f = site->f;
    struct kymo__pair old = head_read(site);
    while (old.n & KYMO__OVER) {
        uint64_t state = old.n;
        int64_t start = start_of(&old);
        if (f->native.min_reset_ns > 0 && !(state & KYMO__RESET_DUE)) {
            int64_t now = now_of(f);
            if (now - start >= f->native.min_reset_ns) {
                int r = start_anew(site, &old, now);
                if (r != 0)
                    return r > 0;
                continue;
            }
            state |= KYMO__RESET_DUE;
        }
        uint64_t next = stepped(site, state);
        if (head_replace(site, &old, next != 0 ? next : state & ~KYMO__OVER, start) != 0)
            return 0;
    }
    return 0;
}

int kymo__native_reduce(struct kymo__family *f, struct kymo__pair *head, uint64_t state)
{
    struct kymo__native_site site = kymo__native_site_of(f, head);
    struct kymo__pair old = head_read(&site);
    if (((old.n ^ state) & KYMO__TAG_MASK) != 0)
        return 1; /* somebody was faster */
    uint64_t next = stepped(&site, old.n);
    return next != 0 && head_replace(&site, &old, next, start_of(&old)) >= 0; /* else somebody else's step */
}

struct kymo__native_site kymo__native_look(struct kymo__family *f, struct kymo__pair *head, uint64_t *state,
                                           int64_t *start_ns)
{
    struct kymo__native_site site = kymo__native_site_of(f, head);
    kymo__native_reset_if_due(&site);
    struct kymo__pair now = head_read(&site);
    *state = now.n;
    *start_ns = start_of(&now);
    return site;
}

void kymo__native_populated_add(const struct kymo__native_site *site, uint64_t state)
{
    struct kymo__pair old = head_read(site);
    while (((old.n ^ state) & KYMO__TAG_MASK) == 0) {
        uint64_t next = with_populated(site, old.n, kymo__state_populated(old.n) + 1);
        if (head_replace(site, &old, next, start_of(&old)) != 0)
            return;
    }
}

void kymo__native_reach(const struct kymo__native_site *site, int schema)
{
    struct kymo__pair old = head_read(site);
    while (kymo__state_schema(old.n) > schema) {
        uint64_t next = old.n & ~((uint64_t)15 << KYMO__SCHEMA_SHIFT);
        next |= (uint64_t)(schema - KYMO__SCHEMA_MIN) << KYMO__SCHEMA_SHIFT;
        next = with_populated(site, next, count_populated(site, next));
        if (head_replace(site, &old, next, start_of(&old)) != 0)
            return;
    }
}

/* ---- beginnings ---- */

#define OWN_ENTRIES 1024u /* for what is outside of its thread's window */

void kymo__native_shape(struct kymo__family *f)
{
    uint32_t max = f->native.max_buckets;
    uint32_t room = KYMO__WORDS - KYMO__N_HEAD - f->n_bounds;
    int schema = KYMO__SCHEMA_MIN;
    while (schema < KYMO__SCHEMA_MAX && kymo__index_bound(1, schema) > f->native.bucket_factor)
        schema++;
    f->native_schema = schema;
    f->window = room < KYMO__WINDOW_MAX ? room : KYMO__WINDOW_MAX;
    f->n_words = KYMO__N_HEAD + f->n_bounds + f->window;
    /* Over the limit by one, then at each schema below half of them may come to be again. */
    uint32_t entries = max + 1 + (uint32_t)(schema - KYMO__SCHEMA_MIN) * (max + 2) / 2;
    entries += OWN_ENTRIES + 3 * f->n_bounds + KYMO__COARSEST_ENTRIES;
    f->table_entries = (entries + 7) & ~(uint32_t)7;
}

int kymo__native_begin(struct kymo__family *f, uint64_t loc, int64_t start_ns)
{
    struct kymo__segment *s = f->reg->segment;
    struct kymo__pair *head = kymo__pairs_at(s, loc);
    int error = 0;
    if (head[KYMO__P_TABLE].n == 0) {
        uint32_t table =
            kymo__segment_pages(s, f->table_entries * (sizeof(uint64_t) + sizeof(struct kymo__pair)), &error);
        if (table == 0)
            return error;
        head[KYMO__P_TABLE].sum = f->table_entries;
        head[KYMO__P_TABLE].n = table;
    }
    kymo__native_restart(f, loc, start_ns);
    return 0;
}

void kymo__native_start_from(struct kymo__family *f, uint64_t loc, int64_t start_ns)
{
    struct kymo__pair *head = kymo__pairs_at(f->reg->segment, loc);
    if ((int64_t)kymo__load_relaxed(&head[KYMO__P_STATE].sum) < start_ns) /* else it has started anew since */
        kymo__store_relaxed(&head[KYMO__P_STATE].sum, (uint64_t)start_ns);
}

void kymo__native_restart(struct kymo__family *f, uint64_t loc, int64_t start_ns)
{
    struct kymo__pair *head = kymo__pairs_at(f->reg->segment, loc);
    struct kymo__native_site site = kymo__native_site_of(f, head);
    uint64_t state = kymo__load_relaxed(&head[KYMO__P_STATE].n), left = 0;
    for (uint32_t at = 0; at < f->table_entries && site.keys[at] != 0; at++)
        left += site.keys[at] & KYMO__OWN ? 0 : site.counts[at].n & KYMO__COUNT_MASK;
    kymo__store_relaxed(&head[KYMO__P_DROPPED].n, 0);
    kymo__store_relaxed(&head[KYMO__P_DROPPED].sum, left); /* so that no more than what comes now was ever made */
    kymo__store_relaxed(&head[KYMO__P_USED].n, 0);
    kymo__store_relaxed(&head[KYMO__P_USED].sum, loc);
    kymo__store_relaxed(&head[KYMO__P_STATE].sum, (uint64_t)start_ns);
    kymo__store_relaxed(&head[KYMO__P_STATE].n, state_fresh(f, state));
}
