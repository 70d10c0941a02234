/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/native_table.c - native histograms: entries of the table, found or made, and counting in those of everybody.
 */
#include "core/native_parts.h"

/* ---- finding and making entries ---- */

/* Up to where an entry may be made: the last ones are for the coarsest schema, which cannot run out of them. */
static uint32_t room_for(const struct kymo__family *f, uint64_t key)
{
    uint32_t coarsest = KYMO__COARSEST_ENTRIES + f->n_bounds;
    if (!(key & KYMO__OWN) && kymo__state_schema(key) == KYMO__SCHEMA_MIN)
        return f->table_entries;
    return f->table_entries - coarsest - (key & KYMO__OWN ? f->n_bounds : 0);
}

/* Entries stay with whom they first had: everybody, or one shard. */
static int may_take(uint64_t key, uint64_t left)
{
    return key & KYMO__OWN ? (left & KYMO__OWN) && left >> KYMO__WHO_SHIFT == key >> KYMO__WHO_SHIFT
                           : !(left & KYMO__OWN);
}

struct search {
    int64_t found;   /* an entry, KYMO__STALE, or KYMO__FULL: there is none */
    int present;     /* the bucket is announced already */
    uint32_t vacant; /* where an entry can be made */
    uint64_t left;   /* what is there */
};

/* Most often the entry is there, and not far from the last one. */
static int64_t search_newest(const struct kymo__native_site *site, uint64_t key)
{
    uint64_t used = kymo__load_relaxed(&site->head[KYMO__P_USED].n); /* a hint */
    for (int64_t at = (int64_t)used - 1; at >= 0; at--)
        if (kymo__load_acquire(&site->keys[at]) == key) /* with kymo__native_entry_take() */
            return at;
    return KYMO__FULL;
}

static struct search search(const struct kymo__native_site *site, uint64_t state, uint64_t key)
{
    struct search s = {search_newest(site, key), 0, UINT32_MAX, 0};
    const struct kymo__native_entry wanted = kymo__native_entry(state, key);
    uint32_t room = room_for(site->f, key);
    for (uint32_t at = 0; s.found == KYMO__FULL && at < site->f->table_entries; at++) {
        uint64_t seen = kymo__load_acquire(&site->keys[at]);
        struct kymo__native_entry entry = kymo__native_entry(state, seen);
        if (entry.newer)
            kymo__native_reach(site, kymo__state_schema(seen));
        if (seen == key || entry.newer) {
            s.found = entry.newer ? KYMO__STALE : (int64_t)at;
            return s;
        }
        s.present |= entry.live && !entry.zero && entry.index == wanted.index && entry.negative == wanted.negative;
        int idle = !entry.live ||
                   (entry.zero && kymo__native_announces(seen)); /* what it announced is in the zero bucket now */
        if (idle && s.vacant == UINT32_MAX && at < room && (seen == 0 || may_take(key, seen))) {
            s.vacant = at;
            s.left = seen;
        }
        if (seen == 0)
            break;
    }
    return s;
}

int64_t kymo__native_entry_take(const struct kymo__native_site *site, uint64_t state, uint64_t key)
{
    for (;;) {
        struct search s = search(site, state, key);
        if (s.found != KYMO__FULL)
            return s.found;
        if (kymo__native_announces(key) && s.present)
            return KYMO__PRESENT;
        if (s.vacant == UINT32_MAX)
            return KYMO__FULL;
        if (s.left != 0 && kymo__native_epoch_now(site) != kymo__state_epoch(state))
            return KYMO__STALE; /* what was left may be newer than we are */
        if (!kymo__cas_full(&site->keys[s.vacant], &s.left, key))
            continue;
        if (kymo__load_relaxed(&site->head[KYMO__P_USED].n) <= s.vacant) /* a hint: who comes last is right enough */
            kymo__store_relaxed(&site->head[KYMO__P_USED].n, s.vacant + 1);
        if (!s.present && kymo__native_kind(key) != KYMO__ZERO_SIDE)
            kymo__native_populated_add(site, state);
        return s.vacant;
    }
}

/* ---- the shared way ---- */

/* Counts in an entry that is everybody's: 0, KYMO__STALE, or why it was refused. */
static int count_shared(const struct kymo__native_site *site, uint64_t state, uint32_t at, double add, uint64_t n)
{
    struct kymo__pair *pair = &site->counts[at];
    struct kymo__pair old = {kymo__load_relaxed(&pair->n), kymo__load_relaxed(&pair->sum)}, new;
    uint64_t epoch = kymo__state_epoch(state);
    for (;;) {
        uint64_t of = old.n >> KYMO__COUNT_BITS & KYMO__EPOCH_MASK, held = old.n & KYMO__COUNT_MASK;
        if (of != epoch && kymo__native_epoch_now(site) != epoch)
            return KYMO__STALE; /* it may be newer than we are */
        uint64_t before = of == epoch ? held : 0;
        if (before + n > KYMO__COUNT_MASK)
            return KYMO__OVERFLOW;
        new.n = epoch << KYMO__COUNT_BITS | (before + n);
        new.sum = kymo__bits((of == epoch ? kymo__double(old.sum) : 0.0) + add);
        int r = kymo__pair_cas(pair, &old, new);
        if (r < 0)
            return KYMO__CONTENDED;
        if (r > 0) {
            if (of != epoch && held != 0)
                kymo__add_relaxed(&site->head[KYMO__P_DROPPED].n, held); /* a count, read on its own */
            return 0;
        }
    }
}

static uint64_t key_shared(const struct kymo__family *f, uint64_t state, double v)
{
    uint64_t who = (uint64_t)(1 + (f->n_bounds != 0 ? kymo__bucket(f->bounds, f->n_bounds, v) : 0)) << KYMO__WHO_SHIFT;
    if (fabs(v) <= kymo__native_threshold(f, state))
        return kymo__native_key(state, KYMO__ZERO_SIDE, 0, who);
    return kymo__native_key(state, v < 0 ? KYMO__NEGATIVE_SIDE : KYMO__POSITIVE,
                            kymo__index(v, kymo__state_schema(state)), who);
}

int kymo__native_shared_once(const struct kymo__native_site *site, uint64_t state, double v, uint64_t n)
{
    int64_t at = kymo__native_entry_take(site, state, key_shared(site->f, state, v));
    if (at == KYMO__FULL && kymo__state_schema(state) > KYMO__SCHEMA_MIN) {
        kymo__native_reach(site, KYMO__SCHEMA_MIN);
        return KYMO__STALE;
    }
    if (at == KYMO__FULL)
        return KYMO__CONTENDED; /* only entries made twice, at the same moment, could bring that about */
    if (at < 0)
        return KYMO__STALE;
    return count_shared(site, state, (uint32_t)at, v - v == 0 ? v * (double)n : 0.0, n);
}

int kymo__native_observe_shared(struct kymo__family *f, struct kymo__pair *head, double v, uint64_t n)
{
    struct kymo__native_site site = kymo__native_site_of(f, head);
    kymo__native_reset_if_due(&site);
    for (;;) {
        uint64_t state = kymo__load_acquire(&head[KYMO__P_STATE].n) & ~KYMO__PAIR_TOP; /* with head_replace() */
        int r = kymo__native_shared_once(&site, state, v, n);
        if (r > 0)
            return r;
        if (r == 0 && !kymo__native_limit(&site))
            return 0;
        if (r == 0)
            kymo__add_relaxed(&head[KYMO__P_DROPPED].sum, n); /* it is made twice */
    }
}
