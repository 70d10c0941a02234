/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/metric.c - the recording calls.
 *
 * Each tries the thread's own memory (record.h) and leaves the rest to slow.c. Nothing here may lock, allocate, read a
 * clock, or be unsafe in a signal handler. Look at the assembly after a change: kymo_counter_inc() has no frame, no
 * call and no locked instruction on its way through.
 */
#include <math.h>

#include "core/core.h"
#include "core/native.h"

static inline struct kymo__cell *cell_of_counter(struct kymo_counter *c)
{
    return (struct kymo__cell *)c;
}

/* ---- counters ---- */

/* Apart, so that the way through needs no frame for what the slow one passes on. */
static __attribute__((noinline)) void slow(const struct kymo__cell *cell, enum kymo__op op, uint64_t n, double v)
{
    struct kymo__record what = {op, n, v, NULL};
    kymo__record_slow(cell, what);
}

static inline void add_whole(struct kymo__cell *cell, uint64_t n)
{
    uint64_t loc, busy;
    struct kymo__entry *entry = kymo__begin(cell, &loc, &busy);
    if (kymo__unlikely(entry == NULL)) {
        slow(cell, KYMO__ADD_WHOLE, n, 0);
        return;
    }
    kymo__add_word(&entry->words[loc & (KYMO__WORDS - 1)], n);
    kymo__end(entry->ctl, busy);
}

static inline void add_fraction(struct kymo__cell *cell, double v)
{
    uint64_t loc, busy;
    struct kymo__entry *entry = kymo__begin(cell, &loc, &busy);
    uint64_t *words = entry != NULL ? kymo__load_acquire(&entry->fractions) : NULL; /* with entry_add_chunk() */
    if (kymo__likely(words != NULL))
        kymo__add_fraction(&words[loc & (KYMO__WORDS - 1)], v);
    if (kymo__likely(entry != NULL))
        kymo__end(entry->ctl, busy);
    if (kymo__unlikely(words == NULL))
        slow(cell, KYMO__ADD_FRACTION, 0, v);
}

void kymo_counter_inc(struct kymo_counter *c)
{
    if (kymo__likely(c != NULL))
        add_whole(cell_of_counter(c), 1);
}

/* Whether the count would come near the end of its words. What is added at the same moment may still pass it. */
static int would_overflow(const struct kymo__cell *cell, uint64_t n)
{
    struct kymo_point point;
    if (n > KYMO__COUNT_MAX || !kymo__read_cell(cell, NULL, &point))
        return n > KYMO__COUNT_MAX;
    return point.value.counter.whole > KYMO__COUNT_MAX - n;
}

void kymo_counter_add_int(struct kymo_counter *c, uint64_t n)
{
    if (c == NULL)
        return;
    if (kymo__unlikely(n > (uint64_t)1 << 32) && would_overflow(cell_of_counter(c), n))
        kymo__refuse(cell_of_counter(c)->family, KYMO__OVERFLOW);
    else
        add_whole(cell_of_counter(c), n);
}

void kymo_counter_add(struct kymo_counter *c, double v)
{
    if (c == NULL)
        return;
    struct kymo__cell *cell = cell_of_counter(c);
    if (kymo__likely(v >= 0 && v <= KYMO__WHOLE_MAX)) {
        uint64_t whole = (uint64_t)v;
        if ((double)whole == v)
            add_whole(cell, whole);
        else
            add_fraction(cell, v);
        return;
    }
    if (!kymo__counter_refuses(cell->family, v))
        add_fraction(cell, v);
}

/* ---- gauges ---- */

/* @touch: also leaves word that it was set, should the value be the same; see look() in upkeep.c */
static inline void set_shared(struct kymo__cell *cell, double v, int touch)
{
    uint64_t loc, busy;
    struct kymo__entry *entry = kymo__begin(cell, &loc, &busy);
    if (kymo__unlikely(entry == NULL)) {
        slow(cell, KYMO__SET, 0, v);
        return;
    }
    kymo__store_relaxed(&entry->pairs[loc & (KYMO__WORDS - 1)].sum, kymo__bits(v)); /* the last one wins */
    if (touch)
        kymo__add_relaxed(&entry->pairs[loc & (KYMO__WORDS - 1)].n, 1); /* that it differs is all that counts */
    kymo__end(entry->ctl, busy);
}

static inline void add_shared(struct kymo__cell *cell, double v)
{
    uint64_t loc, busy;
    struct kymo__entry *entry = kymo__begin(cell, &loc, &busy);
    if (kymo__unlikely(entry == NULL)) {
        slow(cell, KYMO__ADD_SHARED, 0, v);
        return;
    }
    kymo__add_double_relaxed(&entry->pairs[loc & (KYMO__WORDS - 1)].sum, v);
    kymo__end(entry->ctl, busy);
}

/* An up/down gauge keeps whole amounts in words, as two's complement, and others in fractions. */
static inline void add_updown(struct kymo__cell *cell, double v)
{
    if (kymo__likely(v >= -KYMO__WHOLE_MAX && v <= KYMO__WHOLE_MAX)) {
        int64_t whole = (int64_t)v;
        if ((double)whole == v)
            add_whole(cell, (uint64_t)whole);
        else
            add_fraction(cell, v);
    } else if (isfinite(v)) {
        add_fraction(cell, v);
    } else {
        kymo__refuse(cell->family, isnan(v) ? KYMO__NAN : KYMO__INFINITE);
    }
}

static void gauge_add(struct kymo__cell *cell, double v)
{
    if (cell->family->class == KYMO__SHARED)
        add_shared(cell, v);
    else
        add_updown(cell, v);
}

static void gauge_set(struct kymo__cell *cell, double v)
{
    if (kymo__likely(kymo__load_relaxed(&cell->family->plain_set))) /* one that changed just now may go either way */
        set_shared(cell, v, 0);
    else if (cell->family->class == KYMO__SHARED)
        set_shared(cell, v, 1);
    else
        slow(cell, KYMO__SET, 0, v);
}

void kymo_gauge_set(struct kymo_gauge *g, double v)
{
    if (kymo__likely(g != NULL))
        gauge_set((struct kymo__cell *)g, v);
}

void kymo_gauge_add(struct kymo_gauge *g, double v)
{
    if (kymo__likely(g != NULL))
        gauge_add((struct kymo__cell *)g, v);
}

void kymo_gauge_sub(struct kymo_gauge *g, double v)
{
    kymo_gauge_add(g, -v);
}

void kymo_gauge_inc(struct kymo_gauge *g)
{
    kymo_gauge_add(g, 1);
}

void kymo_gauge_dec(struct kymo_gauge *g)
{
    kymo_gauge_add(g, -1);
}

void kymo_gauge_set_to_now(struct kymo_gauge *g)
{
    if (g == NULL)
        return;
    const struct kymo_clock *clock = &((struct kymo__cell *)g)->family->reg->clock;
    kymo_gauge_set(g, (double)clock->wall_ns(clock->ctx) / 1e9);
}

/* ---- histograms ---- */

#define OBSERVATIONS_MAX ((uint64_t)1 << 32) /* in one call: more would be a mistake, and could overflow a count */

static void observe_slow(struct kymo__cell *cell, double v, uint64_t n)
{
    if (isnan(v))
        kymo__refuse(cell->family, KYMO__NAN);
    else if (n > OBSERVATIONS_MAX)
        kymo__refuse(cell->family, KYMO__OVERFLOW);
    else if (n > 0)
        slow(cell, KYMO__OBSERVE, n, v);
}

static inline __attribute__((always_inline)) void observe_native(struct kymo__cell *cell, double v, uint64_t n,
                                                                 uint32_t n_bounds)
{
    uint64_t loc, busy;
    struct kymo__entry *entry = NULL;
    if (kymo__likely(n - 1 < OBSERVATIONS_MAX))
        entry = kymo__begin(cell, &loc, &busy);
    if (kymo__unlikely(entry == NULL)) {
        observe_slow(cell, v, n);
        return;
    }
    struct kymo__ctl *ctl = entry->ctl;
    uint32_t word = (uint32_t)(loc & (KYMO__WORDS - 1));
    (void)kymo__native_observe_n(cell->family, ctl, &entry->words[word], &entry->pairs[word], v, n, n_bounds);
    kymo__end(ctl, busy);
}

/* Apart, so that each way has a frame for what it needs, which for the classic one is none. */
static __attribute__((noinline)) void observe_native_alone(struct kymo__cell *cell, double v)
{
    observe_native(cell, v, 1, 0);
}

static __attribute__((noinline)) void observe_native_too(struct kymo__cell *cell, double v, uint64_t n)
{
    observe_native(cell, v, n, cell->family->n_bounds);
}

static inline void observe(struct kymo__cell *cell, double v, uint64_t n)
{
    uint64_t loc, busy;
    const struct kymo__family *f = cell->family;
    uint32_t bucket = kymo__bucket(f->bounds, f->n_bounds, v);
    struct kymo__entry *entry = NULL;
    if (kymo__likely(v == v && n - 1 < OBSERVATIONS_MAX))
        entry = kymo__begin(cell, &loc, &busy);
    if (kymo__unlikely(entry == NULL)) {
        observe_slow(cell, v, n);
        return;
    }
    double add = v - v == 0 ? v * (double)n : 0.0; /* an infinity is counted, not summed */
    kymo__observe_words(entry->ctl, &entry->words[loc & (KYMO__WORDS - 1)], f->n_bounds, bucket, add, n);
    kymo__end(entry->ctl, busy);
}

void kymo_histogram_observe(struct kymo_histogram *h, double v)
{
    struct kymo__cell *cell = (struct kymo__cell *)h;
    if (kymo__unlikely(cell == NULL))
        return;
    if (kymo__likely(cell->family->class != KYMO__NATIVE))
        observe(cell, v, 1);
    else if (cell->family->n_bounds == 0)
        observe_native_alone(cell, v);
    else
        observe_native_too(cell, v, 1);
}

void kymo_histogram_observe_n(struct kymo_histogram *h, double v, uint64_t n)
{
    struct kymo__cell *cell = (struct kymo__cell *)h;
    if (cell == NULL)
        return;
    if (cell->family->class != KYMO__NATIVE)
        observe(cell, v, n);
    else
        observe_native_too(cell, v, n);
}
