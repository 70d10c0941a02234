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
#include "core/record.h"
#include "core/series.h"

/* Whole amounts up to here go to the integer word: sums of them cannot overflow within any host's life. */
#define WHOLE_MAX 4294967296.0
#define WORD_MAX ((uint64_t)1 << 63)

static inline struct kymo__cell *cell_of_counter(struct kymo_counter *c)
{
    return (struct kymo__cell *)c;
}

/* ---- counters ---- */

/* Apart, so that the way through needs no frame for what the slow one passes on. */
static __attribute__((noinline)) void slow(const struct kymo__cell *cell, enum kymo__op op, uint64_t n, double v)
{
    struct kymo__record what = {op, n, v};
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

/* The word may be near its end: refuse what would carry it past. Its thread alone writes it, so a look is enough. */
static int would_overflow(const struct kymo__cell *cell, uint64_t n)
{
    struct kymo__entry *entry = kymo__entry_of(kymo__load_relaxed(&cell->loc) >> KYMO__WORD_BITS);
    uint64_t *words = entry != NULL ? kymo__load_relaxed(&entry->words) : NULL;
    uint64_t have = words != NULL ? kymo__load_relaxed(&words[cell->loc & (KYMO__WORDS - 1)]) : 0;
    return n >= WORD_MAX || have >= WORD_MAX - n;
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

/* What a counter will not take; 0 if it will. */
static int counter_refuses(struct kymo__family *f, double v)
{
    if (kymo__likely(v >= 0 && v <= 1.7976931348623157e308))
        return 0;
    kymo__refuse(f, isnan(v) ? KYMO__NAN : v < 0 ? KYMO__NEGATIVE : KYMO__INFINITE);
    return 1;
}

void kymo_counter_add(struct kymo_counter *c, double v)
{
    if (c == NULL)
        return;
    struct kymo__cell *cell = cell_of_counter(c);
    if (kymo__likely(v >= 0 && v <= WHOLE_MAX)) {
        uint64_t whole = (uint64_t)v;
        if ((double)whole == v)
            add_whole(cell, whole);
        else
            add_fraction(cell, v);
        return;
    }
    if (!counter_refuses(cell->family, v))
        add_fraction(cell, v);
}

/* ---- gauges ---- */

static inline void set_shared(struct kymo__cell *cell, double v)
{
    uint64_t loc, busy;
    struct kymo__entry *entry = kymo__begin(cell, &loc, &busy);
    if (kymo__unlikely(entry == NULL)) {
        slow(cell, KYMO__SET, 0, v);
        return;
    }
    kymo__store_relaxed(&entry->pairs[loc & (KYMO__WORDS - 1)].sum, kymo__bits(v)); /* the last one wins */
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
    if (kymo__likely(v >= -WHOLE_MAX && v <= WHOLE_MAX)) {
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
    if (kymo__likely(cell->family->class == KYMO__SHARED))
        set_shared(cell, v);
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
    if (kymo__likely(h != NULL))
        observe((struct kymo__cell *)h, v, 1);
}

void kymo_histogram_observe_n(struct kymo_histogram *h, double v, uint64_t n)
{
    if (h != NULL)
        observe((struct kymo__cell *)h, v, n);
}

/* ---- by labels ---- */

/* Where a recording by labels has arrived. */
struct found {
    struct kymo__entry *entry; /* NULL: go the slow way */
    struct kymo__ctl *ctl;     /* busy if not NULL */
    uint64_t busy;
    uint32_t word;
};

/* Busy from before the table is read until the caller is done: tables and slots stay what they are. */
static inline __attribute__((always_inline)) struct found find_entry(struct kymo__family *f, const char *const *values,
                                                                     size_t n)
{
    struct found to = {NULL, NULL, 0, 0};
    struct kymo__entry *home = kymo__entry_of(f->reg->home);
    struct kymo__ctl *ctl = home != NULL ? kymo__load_acquire(&home->ctl) : NULL; /* with lease() */
    if (kymo__unlikely(ctl == NULL || n != f->n_labels || values == NULL) || !kymo__set_busy(ctl, &to.busy))
        return to;
    to.ctl = ctl;
    const struct kymo__series *series = kymo__series_find(f, values);
    uint64_t loc = series != NULL ? kymo__load_relaxed(&series->loc) : KYMO__DEAD; /* we are busy: it stays ours */
    if (kymo__unlikely(loc & KYMO__DEAD_BIT))
        return to;
    to.word = (uint32_t)(loc & (KYMO__WORDS - 1));
    struct kymo__entry *entry = kymo__entry_of(kymo__load_acquire(&f->reg->columns)[loc >> KYMO__WORD_BITS]);
    if (kymo__likely(entry != NULL && kymo__load_acquire(&entry->ctl) != NULL))
        to.entry = entry;
    return to;
}

static void leave(struct found to)
{
    if (to.ctl != NULL)
        kymo__end(to.ctl, to.busy);
}

static __attribute__((noinline)) void slow_labels(struct kymo__family *f, const char *const *values, size_t n,
                                                  enum kymo__op op, uint64_t whole, double v)
{
    struct kymo__record what = {op, whole, v};
    kymo__record_slow_labels(f, values, n, what);
}

static inline void add_whole_labels(struct kymo__family *f, uint64_t amount, const char *const *values, size_t n)
{
    struct found to = find_entry(f, values, n);
    if (kymo__likely(to.entry != NULL))
        kymo__add_word(&to.entry->words[to.word], amount);
    leave(to);
    if (kymo__unlikely(to.entry == NULL))
        slow_labels(f, values, n, KYMO__ADD_WHOLE, amount, 0);
}

static void add_fraction_labels(struct kymo__family *f, double v, const char *const *values, size_t n)
{
    struct found to = find_entry(f, values, n);
    uint64_t *words = to.entry != NULL ? kymo__load_acquire(&to.entry->fractions) : NULL;
    if (kymo__likely(words != NULL))
        kymo__add_fraction(&words[to.word], v);
    leave(to);
    if (kymo__unlikely(words == NULL))
        slow_labels(f, values, n, KYMO__ADD_FRACTION, 0, v);
}

void kymo_counter_family_inc(struct kymo_counter_family *f, const char *const *values, size_t n)
{
    if (kymo__likely(f != NULL))
        add_whole_labels((struct kymo__family *)f, 1, values, n);
}

void kymo_counter_family_add(struct kymo_counter_family *f, double v, const char *const *values, size_t n)
{
    struct kymo__family *family = (struct kymo__family *)f;
    if (f == NULL || counter_refuses(family, v))
        return;
    uint64_t whole = v <= WHOLE_MAX ? (uint64_t)v : 0;
    if ((double)whole == v)
        add_whole_labels(family, whole, values, n);
    else
        add_fraction_labels(family, v, values, n);
}

static void set_labels(struct kymo__family *f, double v, const char *const *values, size_t n)
{
    struct found to = find_entry(f, values, n);
    if (to.entry != NULL)
        kymo__store_relaxed(&to.entry->pairs[to.word].sum, kymo__bits(v));
    leave(to);
    if (to.entry == NULL)
        slow_labels(f, values, n, KYMO__SET, 0, v);
}

void kymo_gauge_family_set(struct kymo_gauge_family *f, double v, const char *const *values, size_t n)
{
    struct kymo__family *family = (struct kymo__family *)f;
    if (f == NULL)
        return;
    if (family->class == KYMO__SHARED)
        set_labels(family, v, values, n);
    else
        slow_labels(family, values, n, KYMO__SET, 0, v);
}

static void add_shared_labels(struct kymo__family *f, double v, const char *const *values, size_t n)
{
    struct found to = find_entry(f, values, n);
    if (to.entry != NULL)
        kymo__add_double_relaxed(&to.entry->pairs[to.word].sum, v);
    leave(to);
    if (to.entry == NULL)
        slow_labels(f, values, n, KYMO__ADD_SHARED, 0, v);
}

void kymo_gauge_family_add(struct kymo_gauge_family *f, double v, const char *const *values, size_t n)
{
    struct kymo__family *family = (struct kymo__family *)f;
    if (f == NULL)
        return;
    if (family->class == KYMO__SHARED) {
        add_shared_labels(family, v, values, n);
    } else if (!isfinite(v)) {
        kymo__refuse(family, isnan(v) ? KYMO__NAN : KYMO__INFINITE);
    } else {
        int64_t whole = fabs(v) <= WHOLE_MAX ? (int64_t)v : 0;
        if ((double)whole == v)
            add_whole_labels(family, (uint64_t)whole, values, n);
        else
            add_fraction_labels(family, v, values, n);
    }
}

void kymo_histogram_family_observe(struct kymo_histogram_family *f, double v, const char *const *values, size_t n)
{
    struct kymo__family *family = (struct kymo__family *)f;
    if (f == NULL)
        return;
    if (isnan(v)) {
        kymo__refuse(family, KYMO__NAN);
        return;
    }
    struct found to = find_entry(family, values, n);
    if (kymo__likely(to.entry != NULL))
        kymo__observe_words(to.ctl, &to.entry->words[to.word], family->n_bounds,
                            kymo__bucket(family->bounds, family->n_bounds, v), isinf(v) ? 0.0 : v, 1);
    leave(to);
    if (kymo__unlikely(to.entry == NULL))
        slow_labels(family, values, n, KYMO__OBSERVE, 1, v);
}

/* ---- timers ---- */

struct kymo_timer kymo_timer_start(const struct kymo_registry *reg)
{
    struct kymo_timer t = {reg != NULL ? reg->clock.monotonic_ns(reg->clock.ctx) : kymo__os_monotonic_ns()};
    return t;
}

static double timer_seconds(struct kymo_timer t, const struct kymo__cell *cell)
{
    struct kymo_timer now = kymo_timer_start(cell != NULL ? cell->family->reg : NULL);
    return now.start_ns > t.start_ns ? (double)(now.start_ns - t.start_ns) / 1e9 : 0.0;
}

double kymo_timer_observe(struct kymo_timer t, struct kymo_histogram *h)
{
    double seconds = timer_seconds(t, (struct kymo__cell *)h);
    kymo_histogram_observe(h, seconds);
    return seconds;
}

double kymo_timer_add(struct kymo_timer t, struct kymo_counter *c)
{
    double seconds = timer_seconds(t, (struct kymo__cell *)c);
    kymo_counter_add(c, seconds);
    return seconds;
}

/* ---- reading back ---- */

/* The value of a handle's series, protected from its slot being given away; 0 if it has ended. */
static int read_cell(const struct kymo__cell *cell, uint64_t *buckets, struct kymo_point *point)
{
    if (cell == NULL)
        return 0;
    struct kymo__segment *s = cell->family->reg->segment;
    int64_t *counter = kymo__in_flight_enter(s);
    const struct kymo__series *series = kymo__at(s, cell->series);
    uint64_t loc = kymo__load_relaxed(&series->loc);
    int lives = !(loc & KYMO__DEAD_BIT);
    if (lives)
        kymo__read_one(cell->family, loc, buckets, point);
    kymo__in_flight_leave(counter);
    return lives;
}

double kymo_counter_value(const struct kymo_counter *c)
{
    struct kymo_point point;
    if (!read_cell((const struct kymo__cell *)c, NULL, &point))
        return 0;
    return (double)point.value.counter.whole + point.value.counter.fraction;
}

double kymo_gauge_value(const struct kymo_gauge *g)
{
    struct kymo_point point;
    return read_cell((const struct kymo__cell *)g, NULL, &point) ? point.value.gauge : 0;
}

uint64_t kymo_histogram_value(const struct kymo_histogram *h, double *sum, uint64_t *buckets, size_t n)
{
    uint64_t counts[KYMO__MAX_BOUNDS + 1];
    struct kymo_point point;
    int lives = read_cell((const struct kymo__cell *)h, counts, &point);
    size_t have = lives ? point.value.histogram.n_bounds + 1 : 0;
    for (size_t i = 0; buckets != NULL && i < n; i++)
        buckets[i] = i < have ? counts[i] : 0;
    if (sum != NULL)
        *sum = lives ? point.value.histogram.sum : 0;
    return lives ? point.value.histogram.count : 0;
}
