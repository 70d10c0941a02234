/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/native_shard.c - native histograms: the way of who is busy in a shard, when the way through is not enough.
 */
#include "core/native_parts.h"

/* What is in the shard is of another epoch: it counts nowhere, and goes. */
static void shard_begin(const struct kymo__family *f, uint64_t *slot, uint64_t state)
{
    kymo__store_relaxed(&slot[KYMO__N_TAG], 0);
    kymo__fence_release(); /* who sees a word below sees no tag, or the new one: with copy_slot() */
    for (uint32_t i = KYMO__N_SUM; i < f->n_words; i++)
        if (i != KYMO__N_TAG && kymo__load_relaxed(&slot[i]) != 0)
            kymo__store_relaxed(&slot[i], 0);
    kymo__store_relaxed(&slot[KYMO__N_THRESHOLD], kymo__bits(kymo__native_threshold(f, state)));
    kymo__store_release(&slot[KYMO__N_TAG], state & KYMO__TAG_MASK);
}

/* Where a value of this thread counts: a word of its own, counted from the slot, and the value the word has. */
struct place {
    int32_t at; /* 0: nowhere of its own */
    uint64_t held;
    uint64_t mark; /* top bits of the word */
};

static struct place place_word(const uint64_t *slot, uint32_t word)
{
    struct place place = {(int32_t)word, kymo__load_relaxed(&slot[word]), 0};
    return place;
}

/* In the window: the bucket is announced if this is its first observation here. 0, or KYMO__STALE. */
static int announce(const struct kymo__native_site *site, uint64_t state, int schema, int negative, int32_t index)
{
    int steps = schema - kymo__state_schema(state);
    if (steps < 0) {
        kymo__native_reach(site, schema);
        return KYMO__STALE;
    }
    if (kymo__native_in_zero(state, schema, index))
        return 0;
    uint64_t key = kymo__native_key(state, negative ? KYMO__NEGATIVE_SIDE : KYMO__POSITIVE,
                                    kymo__index_reduce(index, (unsigned)steps), 0);
    return kymo__native_entry_take(site, state, key) == KYMO__STALE ? KYMO__STALE
                                                                    : 0; /* without room the reader still finds it */
}

/* Moves what a word of this shard holds to another one: two words in one change, like an observation. */
static void move_count(const struct kymo__native_site *site, struct kymo__ctl *ctl, uint64_t *slot, int32_t from,
                       uint64_t n, const struct place *to)
{
    struct kymo__change change = {
        .slot = slot,
        .at = {from, to->at},
        .value = {0, to->mark | (to->held + n)},
        .sum = kymo__double(slot[KYMO__N_SUM]),
    };
    kymo__change_words(ctl, &change, 1);
    kymo__add_relaxed(&site->head[KYMO__P_DROPPED].sum, 1); /* the sequence moved, and nothing was observed */
}

/* Entries of this shard over which the zero bucket has grown: their counts move there, they may be used again. */
static int own_reclaim(const struct kymo__native_site *site, struct kymo__ctl *ctl, uint64_t *slot, uint64_t state,
                       uint64_t who)
{
    int reclaimed = 0;
    for (uint32_t at = 0; at < site->f->table_entries; at++) {
        uint64_t key = kymo__load_relaxed(&site->keys[at]); /* single writer, once it is ours */
        struct kymo__native_entry entry = kymo__native_entry(state, key);
        if (key == 0)
            break;
        if (!entry.live || !entry.own || !entry.zero || key >> KYMO__WHO_SHIFT != who >> KYMO__WHO_SHIFT)
            continue;
        uint64_t n = kymo__native_count(state, kymo__load_relaxed(&site->counts[at].n));
        struct place zero = place_word(slot, KYMO__N_ZERO);
        int64_t distance = &site->counts[at].n - slot;
        if (n != 0 && distance == (int32_t)distance)
            move_count(site, ctl, slot, (int32_t)distance, n, &zero);
        kymo__store_release(&site->keys[at], who); /* of no epoch */
        reclaimed = 1;
    }
    return reclaimed;
}

/* An entry of the shard's own for a bucket of the state's schema, if there is room for one. 0, or KYMO__STALE. */
static int place_entry(const struct kymo__native_site *site, uint64_t *slot, uint64_t state, struct kymo__ctl *ctl,
                       int negative, int32_t index, struct place *place)
{
    uint64_t who = KYMO__OWN | (uint64_t)((const struct kymo__shard *)(const void *)ctl)->id << KYMO__WHO_SHIFT;
    uint64_t key = kymo__native_key(state, negative ? KYMO__NEGATIVE_SIDE : KYMO__POSITIVE, index, who);
    int64_t at = kymo__native_entry_take(site, state, key);
    if (at == KYMO__FULL && own_reclaim(site, ctl, slot, state, who))
        at = kymo__native_entry_take(site, state, key);
    if (at < 0)
        return at == KYMO__STALE ? KYMO__STALE : 0;
    const uint64_t *word = &site->counts[at].n;
    int64_t distance = word - slot;
    if (distance != (int32_t)distance)
        return 0;
    place->at = (int32_t)distance;
    place->held = kymo__native_count(state, kymo__load_relaxed(word));
    place->mark = kymo__state_epoch(state) << KYMO__COUNT_BITS;
    return 0;
}

/* Outside of the window. */
static int place_outside(const struct kymo__native_site *site, uint64_t *slot, uint64_t state, struct kymo__ctl *ctl,
                         double v, struct place *place)
{
    if (fabs(v) <= kymo__native_threshold(site->f, state)) {
        *place = place_word(slot, KYMO__N_ZERO);
        return 0;
    }
    return place_entry(site, slot, state, ctl, v < 0, kymo__index(v, kymo__state_schema(state)), place);
}

/* The bucket of a window's word. */
static int32_t window_index(uint64_t base, uint32_t window, uint32_t word)
{
    uint32_t i = (word + window - (uint16_t)base) % window;
    return (int32_t)((uint32_t)kymo__base_axis(base) + i) - KYMO__INDEX_BIAS;
}

/* Takes what a word of the window holds elsewhere. 0, or it could not be done. */
static int window_empty(const struct kymo__native_site *site, struct kymo__ctl *ctl, uint64_t *slot, uint64_t state,
                        uint32_t word)
{
    uint64_t base = slot[KYMO__N_BASE], n = slot[KYMO__N_HEAD + site->f->n_bounds + word];
    int negative = kymo__base_axis(base) >> 32 != 0, schema = kymo__state_schema(slot[KYMO__N_TAG]);
    int32_t index = window_index(base, site->f->window, word);
    struct place place = place_word(slot, KYMO__N_ZERO);
    if (n == 0)
        return 0;
    if (!kymo__native_in_zero(state, schema, index)) {
        place.at = 0;
        index = kymo__index_reduce(index, (unsigned)(schema - kymo__state_schema(state)));
        if (place_entry(site, slot, state, ctl, negative, index, &place) != 0 || place.at == 0)
            return -1;
    }
    move_count(site, ctl, slot, (int32_t)(KYMO__N_HEAD + site->f->n_bounds + word), n, &place);
    return 0;
}

/* The resolution has been halved: a window that has been emptied holds twice as much. Whether that could be done. */
static int window_renew(const struct kymo__native_site *site, struct kymo__ctl *ctl, uint64_t *slot, uint64_t state)
{
    if (kymo__state_schema(slot[KYMO__N_TAG]) <= kymo__state_schema(state))
        return 0;
    for (uint32_t word = 0; word < site->f->window; word++)
        if (window_empty(site, ctl, slot, state, word) != 0)
            return 0;
    kymo__store_relaxed(&slot[KYMO__N_BASE], 0);
    kymo__store_relaxed(&slot[KYMO__N_THRESHOLD], kymo__bits(kymo__native_threshold(site->f, state)));
    kymo__store_release(&slot[KYMO__N_TAG], state & KYMO__TAG_MASK); /* with look() */
    return 1;
}

/* Moves the window to where it holds a bucket, if those that it leaves are empty, or in the zero bucket by now. */
static int window_move(const struct kymo__native_site *site, struct kymo__ctl *ctl, uint64_t *slot, uint64_t state,
                       uint64_t axis)
{
    uint32_t window = site->f->window;
    uint64_t base = slot[KYMO__N_BASE], first = kymo__base_axis(base), turn = (uint16_t)base;
    int64_t ahead = (int64_t)axis - (int64_t)first; /* below 0 or not below window */
    uint64_t leaves = ahead < 0 ? (uint64_t)-ahead : (uint64_t)ahead - window + 1;
    int schema = kymo__state_schema(slot[KYMO__N_TAG]);
    if (leaves >= window)
        return 0;
    for (uint32_t i = 0; i < leaves; i++) {
        uint32_t word = kymo__window_word(base, window, ahead < 0 ? window - 1 - i : i);
        if (slot[KYMO__N_HEAD + site->f->n_bounds + word] == 0)
            continue;
        if (!kymo__native_in_zero(state, schema, window_index(base, window, word)) ||
            window_empty(site, ctl, slot, state, word) != 0)
            return 0;
    }
    first = ahead < 0 ? first - leaves : first + leaves;
    turn = (ahead < 0 ? turn + window - leaves : turn + leaves) % window;
    kymo__store_relaxed(&slot[KYMO__N_BASE], first << KYMO__AXIS_SHIFT | turn);
    return 1;
}

static int place_of(const struct kymo__native_site *site, struct kymo__ctl *ctl, uint64_t *slot, uint64_t state,
                    double v, struct place *place)
{
    const struct kymo__family *f = site->f;
    int schema = kymo__state_schema(slot[KYMO__N_TAG]);
    if (fabs(v) <= kymo__double(slot[KYMO__N_THRESHOLD])) {
        *place = place_word(slot, KYMO__N_ZERO);
        return 0;
    }
    int32_t index = kymo__index(v, schema);
    if (slot[KYMO__N_BASE] == 0)
        kymo__store_relaxed(&slot[KYMO__N_BASE], kymo__axis(v < 0, index - (int32_t)f->window / 2) << KYMO__AXIS_SHIFT);
    uint64_t axis = kymo__axis(v < 0, index), at = axis - kymo__base_axis(slot[KYMO__N_BASE]);
    if (at >= f->window && !window_move(site, ctl, slot, state, axis))
        return window_renew(site, ctl, slot, state) ? place_of(site, ctl, slot, state, v, place)
                                                    : place_outside(site, slot, state, ctl, v, place);
    at = axis - kymo__base_axis(slot[KYMO__N_BASE]);
    uint32_t word = kymo__window_word(slot[KYMO__N_BASE], f->window, (uint32_t)at);
    *place = place_word(slot, KYMO__N_HEAD + f->n_bounds + word);
    return place->held == 0 ? announce(site, state, schema, v < 0, index) : 0;
}

static void count_own(const struct kymo__family *f, struct kymo__ctl *ctl, uint64_t *slot, const struct place *place,
                      double v, uint64_t n)
{
    uint32_t classic = f->n_bounds != 0 ? kymo__bucket(f->bounds, f->n_bounds, v) : 0;
    int counts = classic < f->n_bounds;
    struct kymo__change change = {
        .slot = slot,
        .at = {place->at, counts ? (int32_t)(KYMO__N_HEAD + classic) : 0},
        .value = {place->mark | (place->held + n), counts ? kymo__load_relaxed(&slot[KYMO__N_HEAD + classic]) + n : 0},
        .sum = kymo__double(kymo__load_relaxed(&slot[KYMO__N_SUM])) + (v - v == 0 ? v * (double)n : 0.0),
    };
    kymo__change_words(ctl, &change, n);
}

/* One observation under one state: 0, KYMO__STALE, or why it was refused. */
static int observe_own(const struct kymo__native_site *site, struct kymo__ctl *ctl, uint64_t *slot, uint64_t state,
                       double v, uint64_t n, uint64_t *before)
{
    struct place place = {0, 0, 0};
    if (kymo__state_epoch(slot[KYMO__N_TAG]) != kymo__state_epoch(state))
        shard_begin(site->f, slot, state);
    if (place_of(site, ctl, slot, state, v, &place) == KYMO__STALE)
        return KYMO__STALE;
    *before = place.held;
    if (place.at == 0)
        return kymo__native_shared_once(site, state, v, n);
    if (place.held + n > KYMO__COUNT_MASK)
        return KYMO__OVERFLOW;
    count_own(site->f, ctl, slot, &place, v, n);
    return 0;
}

uint64_t kymo__native_observe_slow(struct kymo__family *f, struct kymo__ctl *ctl, uint64_t *slot,
                                   struct kymo__pair *head, double v, uint64_t n)
{
    struct kymo__native_site site = kymo__native_site_of(f, head);
    uint64_t before = 0;
    if (isnan(v)) {
        kymo__refuse(f, KYMO__NAN);
        return 0;
    }
    kymo__native_reset_if_due(&site);
    for (;;) {
        uint64_t state = kymo__load_acquire(&head[KYMO__P_STATE].n) & ~KYMO__PAIR_TOP; /* with head_replace() */
        int r = observe_own(&site, ctl, slot, state, v, n, &before);
        if (r > 0)
            kymo__refuse(f, (enum kymo__refusal)r);
        if (r > 0 || (r == 0 && !kymo__native_limit(&site)))
            return before;
        if (r == 0)
            kymo__add_relaxed(&head[KYMO__P_DROPPED].sum, n); /* it is made twice */
    }
}
