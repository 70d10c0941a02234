/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/value.c - reading back the value of one series, and timers.
 */
#include "core/guard.h"

/* ---- timers ---- */

struct kymo_timer kymo_timer_start(const struct kymo_registry *reg)
{
    struct kymo_timer t = {reg, reg != NULL ? reg->clock.monotonic_ns(reg->clock.ctx) : kymo__os_monotonic_ns()};
    return t;
}

static double timer_seconds(struct kymo_timer t)
{
    struct kymo_timer now = kymo_timer_start(t.reg);
    return now.start_ns > t.start_ns ? (double)(now.start_ns - t.start_ns) / 1e9 : 0.0;
}

double kymo_timer_observe(struct kymo_timer t, struct kymo_histogram *h)
{
    double seconds = timer_seconds(t);
    kymo_histogram_observe(h, seconds);
    return seconds;
}

double kymo_timer_add(struct kymo_timer t, struct kymo_counter *c)
{
    double seconds = timer_seconds(t);
    kymo_counter_add(c, seconds);
    return seconds;
}

/* ---- reading back ---- */

/* The value of a handle's series, protected from its slot being given away; 0 if it has ended. */
int kymo__read_cell(const struct kymo__cell *cell, uint64_t *buckets, struct kymo_point *point)
{
    if (cell == NULL)
        return 0;
    struct kymo__segment *s = cell->family->reg->segment;
    int64_t *counter = kymo__in_flight_enter(s);
    uint64_t loc = KYMO__DEAD;
    if (!kymo__load_relaxed(&cell->family->dead)) { /* else its records may be gone */
        const struct kymo__series *series = kymo__at(s, kymo__load_acquire(&cell->series));
        loc = kymo__load_acquire(&series->loc); /* as kymo__guard_home() does */
    }
    if (kymo__guard_spills(cell)) /* what it leads to is not its own */
        loc = KYMO__DEAD;
    int lives = kymo__loc_lives(loc) || kymo__loc_expires(loc) || kymo__loc_stands_by(loc);
    if (lives)
        kymo__read_one(cell->family, loc & KYMO__SLOT_MASK, buckets, point);
    kymo__in_flight_leave(counter);
    return lives;
}

double kymo_counter_value(const struct kymo_counter *c)
{
    struct kymo_point point;
    if (!kymo__read_cell((const struct kymo__cell *)c, NULL, &point))
        return 0;
    return (double)point.value.counter.whole + point.value.counter.fraction;
}

double kymo_gauge_value(const struct kymo_gauge *g)
{
    struct kymo_point point;
    return kymo__read_cell((const struct kymo__cell *)g, NULL, &point) ? point.value.gauge : 0;
}

uint64_t kymo_histogram_value(const struct kymo_histogram *h, double *sum, uint64_t *buckets, size_t n)
{
    uint64_t counts[KYMO__MAX_BOUNDS + 1];
    struct kymo_point point;
    int lives = kymo__read_cell((const struct kymo__cell *)h, counts, &point);
    size_t have = lives ? point.value.histogram.n_bounds + 1 : 0;
    for (size_t i = 0; buckets != NULL && i < n; i++)
        buckets[i] = i < have ? counts[i] : 0;
    if (sum != NULL)
        *sum = lives ? point.value.histogram.sum : 0;
    return lives ? point.value.histogram.count : 0;
}
