/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kymo/metric.h - the metrics: registration, handles, recording.
 *
 * Contract of all recording calls (inc, add, sub, set, observe):
 * - They return void, take no lock, allocate nothing, read no clock, and may be called by any thread, in a signal
 *   handler (also one that interrupted a recording), and in a child of fork(). The clock is read by a native histogram
 *   that is over its limit or waits to start anew, and for an exemplar that is kept and brings no time.
 * - A NULL handle records nothing.
 * - Counters, up/down gauges and classic histograms are wait-free for a thread that has memory of its own, native
 *   histograms lock-free. A thread that has none yet uses a shared store with atomic read-modify-write instructions,
 *   lock-free, and leaves a mark; the next call that may allocate, by any thread, provides.
 * - What cannot be recorded (NaN; for counters also negative and infinite amounts) changes nothing and is counted in
 *   kymo_recordings_refused_total{family,reason}. NaN never poisons a histogram; an infinity counts in its outermost bucket and
 *   in the count but not in the sum.
 *
 * Contract of handles: the registry owns them. A handle from `with` pins a cell of 24 bytes until it is released or
 * the registry ends; it stays safe to record into after its series has ended, and what is recorded then is not lost:
 * guard.h says where it goes.
 */
#ifndef KYMO_METRIC_H
#define KYMO_METRIC_H

#include <kymo/base.h>
#include <kymo/desc.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kymo_registry;
struct kymo_label;

/* One series. */
struct kymo_counter;
struct kymo_gauge;
struct kymo_histogram;
/* All series of one name, told apart by label values. */
struct kymo_counter_family;
struct kymo_gauge_family;
struct kymo_histogram_family;

/* ---- single series ---- */

/**
 * kymo_counter_new() - registers a family without labels and returns its one series, which starts at 0
 * @desc: see struct kymo_desc; must have no labels
 *
 * Errors (all leave the registry as it was): KYMO_EINVAL, KYMO_ENAME, KYMO_EHELP, KYMO_EUTF8, KYMO_EUNIT,
 * KYMO_EEXIST, KYMO_ECLASH, KYMO_EKIND (labels given, or bounds on a counter), KYMO_ENOMEM, KYMO_EFULL.
 * Threads: any. Not in signal handlers. Since 0.1.
 */
KYMO_API int kymo_counter_new(struct kymo_registry *reg, const struct kymo_desc *desc, struct kymo_counter **counter);
/** kymo_gauge_new() - the same for a gauge. */
KYMO_API int kymo_gauge_new(struct kymo_registry *reg, const struct kymo_desc *desc, struct kymo_gauge **gauge);
/** kymo_histogram_new() - the same for a histogram; KYMO_EBUCKETS and KYMO_ERESERVED (label le) come on top. */
KYMO_API int kymo_histogram_new(struct kymo_registry *reg, const struct kymo_desc *desc,
                                struct kymo_histogram **histogram);

/* ---- families ---- */

/**
 * kymo_counter_family_new() - registers a family with labels; it has no series until one is asked for
 * Errors as kymo_counter_new(), with KYMO_ELABEL, KYMO_ERESERVED and KYMO_EUNBOUNDED for the label names, and
 * KYMO_EGUARD.
 */
KYMO_API int kymo_counter_family_new(struct kymo_registry *reg, const struct kymo_desc *desc,
                                     struct kymo_counter_family **family);
KYMO_API int kymo_gauge_family_new(struct kymo_registry *reg, const struct kymo_desc *desc,
                                   struct kymo_gauge_family **family);
KYMO_API int kymo_histogram_family_new(struct kymo_registry *reg, const struct kymo_desc *desc,
                                       struct kymo_histogram_family **family);

/**
 * kymo_counter_with() - the series of a family that has these label values, created at 0 if it is new
 * @f:      family, or NULL
 * @values: n strings in the order of the family's label names; UTF-8; copied
 * @n:      the family's number of labels
 *
 * Returns the handle, the same one for equal values; past a limit (struct kymo_guard) or without memory one that
 * leads to the overflow series: each recording through it is counted in kymo_series_dropped_total. NULL, which records
 * nothing, if @f is NULL, @n is wrong, a value is not UTF-8 or the values together exceed 60 000 bytes; each but the
 * first is counted as refused (reasons "labels", "utf8", "too_long").
 * Ownership: the registry's; each call pins the handle once more, kymo_counter_release() takes one pin back.
 * Threads: any; lock-free if the series exists, takes the registry's lock to create it. Not in signal handlers.
 * Fork: handles stay valid in the child.
 * Cost: one hash of the values and one probe; resolve once, keep the handle.
 * Since 0.1. Source: Prometheus data model, "Metric names and labels".
 */
KYMO_API struct kymo_counter *kymo_counter_with(struct kymo_counter_family *f, const char *const *values, size_t n);
KYMO_API struct kymo_gauge *kymo_gauge_with(struct kymo_gauge_family *f, const char *const *values, size_t n);
KYMO_API struct kymo_histogram *kymo_histogram_with(struct kymo_histogram_family *f, const char *const *values,
                                                    size_t n);

/**
 * kymo_counter_release() - takes back one pin of a handle
 * The series stays; only the handle must not be used after its last release. NULL is ignored. Threads: any. Takes the
 * registry's lock if the series has ended and this was the last pin.
 */
KYMO_API void kymo_counter_release(struct kymo_counter *c);
KYMO_API void kymo_gauge_release(struct kymo_gauge *g);
KYMO_API void kymo_histogram_release(struct kymo_histogram *h);

/* ---- counters ---- */

/** kymo_counter_inc() - adds 1. Cost: a function call and an addition in the thread's own memory. */
KYMO_API void kymo_counter_inc(struct kymo_counter *c);
/** kymo_counter_add_int() - adds @n; exact up to 2^63 in all, beyond which it is refused ("overflow"). */
KYMO_API void kymo_counter_add_int(struct kymo_counter *c, uint64_t n);
/**
 * kymo_counter_add() - adds @v: finite and not negative, anything else is refused ("nan", "negative", "infinite")
 * Whole numbers up to 2^32 go to the exact integer part, others to a double beside it; the value is their sum.
 */
KYMO_API void kymo_counter_add(struct kymo_counter *c, double v);

/* ---- gauges ---- */

/** kymo_gauge_set() - the value is @v, any double. On an up/down gauge: see enum kymo_gauge_mode. */
KYMO_API void kymo_gauge_set(struct kymo_gauge *g, double v);
/** kymo_gauge_add() - adds @v. Up/down gauges refuse NaN and infinities, others take any double. */
KYMO_API void kymo_gauge_add(struct kymo_gauge *g, double v);
KYMO_API void kymo_gauge_sub(struct kymo_gauge *g, double v);
KYMO_API void kymo_gauge_inc(struct kymo_gauge *g);
KYMO_API void kymo_gauge_dec(struct kymo_gauge *g);
/** kymo_gauge_set_to_now() - the value is the wall clock in seconds since 1970. Reads the registry's clock. */
KYMO_API void kymo_gauge_set_to_now(struct kymo_gauge *g);

/* ---- histograms ---- */

/** kymo_histogram_observe() - counts @v in its bucket and adds it to the sum, as one whole observation. */
KYMO_API void kymo_histogram_observe(struct kymo_histogram *h, double v);
/** kymo_histogram_observe_n() - @n observations of @v, as one whole; n = 0 does nothing. */
KYMO_API void kymo_histogram_observe_n(struct kymo_histogram *h, double v, uint64_t n);

/* ---- exemplars ---- */

/**
 * struct kymo_exemplar - what points from a number to one event behind it, usually a trace
 * @labels:       @n_labels pairs; names and values together at most 128 characters, and 216 bytes as `a="b",c="d"`,
 *                escaped; names are [a-zA-Z_][a-zA-Z0-9_]*
 * @timestamp_ns: when, wall clock; 0: now, read only if the exemplar is kept
 */
struct kymo_exemplar {
    const struct kymo_label *labels;
    size_t n_labels;
    int64_t timestamp_ns;
};

/**
 * kymo_counter_inc_exemplar() - adds 1 and, one in desc.exemplar_every times, keeps @ex as the counter's exemplar
 *
 * The recording is the same as without exemplar, whatever becomes of it. One writer at a time keeps one: who meets
 * another drops its exemplar (counted, reason "exemplar_busy"), as does one that is too long, has a bad or repeated
 * label name or is not UTF-8 (reason "exemplar_bad"). A family without exemplars ignores them, as all do with NULL.
 * Threads: any; signal-safe with the default clock; no lock, no allocation.
 */
KYMO_API void kymo_counter_inc_exemplar(struct kymo_counter *c, const struct kymo_exemplar *ex);
/** kymo_counter_add_exemplar() - the same for kymo_counter_add(). */
KYMO_API void kymo_counter_add_exemplar(struct kymo_counter *c, double v, const struct kymo_exemplar *ex);
/** kymo_histogram_observe_exemplar() - the same for kymo_histogram_observe(): the bucket's exemplar is replaced. */
KYMO_API void kymo_histogram_observe_exemplar(struct kymo_histogram *h, double v, const struct kymo_exemplar *ex);

/* ---- info and state sets ---- */

/**
 * kymo_info_new() - registers facts: one series with these label values, always 1
 * @desc:   name ends in _info; labels are the names of the facts
 * @values: desc->n_labels strings, copied
 * Errors as kymo_counter_new(), KYMO_ELABEL, KYMO_ERESERVED for names, KYMO_EUTF8 and KYMO_ELIMIT for values.
 */
KYMO_API int kymo_info_new(struct kymo_registry *reg, const struct kymo_desc *desc, const char *const *values);

struct kymo_stateset;

/** kymo_stateset_new() - registers a state set without labels; desc->states are its states, none of which holds yet. */
KYMO_API int kymo_stateset_new(struct kymo_registry *reg, const struct kymo_desc *desc, struct kymo_stateset **states);
/** kymo_stateset_set() - says of state @i whether it holds; one beyond the last is ignored. Threads: any; signal-safe. */
KYMO_API void kymo_stateset_set(struct kymo_stateset *states, size_t i, int holds);
/** kymo_stateset_switch() - state @i holds and no other, at once. */
KYMO_API void kymo_stateset_switch(struct kymo_stateset *states, size_t i);

/* ---- timers ---- */

/** struct kymo_timer - a start on the monotonic clock of @reg, or the system's; the caller's memory, plain data */
struct kymo_timer {
    const struct kymo_registry *reg;
    int64_t start_ns;
};

/** kymo_timer_start() - reads the clock of the registry; NULL reads the system's. Signal-safe with the default clock. */
KYMO_API struct kymo_timer kymo_timer_start(const struct kymo_registry *reg);
/** kymo_timer_observe() - observes the seconds since @t in @h and returns them (never negative), NULL or not. */
KYMO_API double kymo_timer_observe(struct kymo_timer t, struct kymo_histogram *h);
/** kymo_timer_add() - adds the seconds since @t to a counter of seconds and returns them. */
KYMO_API double kymo_timer_add(struct kymo_timer t, struct kymo_counter *c);

/* ---- recording by labels, in one call ---- */

/**
 * kymo_counter_family_inc() - adds 1 to the series with these label values
 *
 * As with + inc + release, pinning nothing. If the series exists: no lock, no allocation, a hash and a probe. If it is
 * new it is created, which takes the registry's lock and may allocate; such a call must not be made from a signal
 * handler. Refusals are counted as by kymo_counter_with().
 */
KYMO_API void kymo_counter_family_inc(struct kymo_counter_family *f, const char *const *values, size_t n);
KYMO_API void kymo_counter_family_add(struct kymo_counter_family *f, double v, const char *const *values, size_t n);
KYMO_API void kymo_gauge_family_set(struct kymo_gauge_family *f, double v, const char *const *values, size_t n);
KYMO_API void kymo_gauge_family_add(struct kymo_gauge_family *f, double v, const char *const *values, size_t n);
KYMO_API void kymo_histogram_family_observe(struct kymo_histogram_family *f, double v, const char *const *values,
                                            size_t n);

/* ---- values read at scrape ---- */

/**
 * typedef kymo_value_fn - returns the value of a callback metric
 * Called during a scrape or visit by that thread, without the registry's lock. Must not unregister or free.
 */
typedef double (*kymo_value_fn)(void *ctx);

/**
 * kymo_counter_callback() - registers a counter without labels whose value @read returns at each scrape
 * What @read returns is the host's responsibility: it must not go back; NaN leaves the sample out.
 * Errors as kymo_counter_new(). @ctx must live until the family is unregistered or the registry freed.
 */
KYMO_API int kymo_counter_callback(struct kymo_registry *reg, const struct kymo_desc *desc, kymo_value_fn read,
                                   void *ctx);
/** kymo_gauge_callback() - the same for a gauge; NaN is exposed as NaN. */
KYMO_API int kymo_gauge_callback(struct kymo_registry *reg, const struct kymo_desc *desc, kymo_value_fn read,
                                 void *ctx);

/* ---- reading back one series ---- */

/**
 * kymo_counter_value() - the value a scrape beginning now would show
 * 0 for NULL, an ended series, or a handle that has none of its own and leads to the overflow series. Threads: any.
 */
KYMO_API double kymo_counter_value(const struct kymo_counter *c);
/** kymo_gauge_value() - the same for a gauge. */
KYMO_API double kymo_gauge_value(const struct kymo_gauge *g);
/**
 * kymo_histogram_value() - count and sum that a scrape beginning now would show
 * @buckets: NULL, or room for @n counts, one per bucket in ascending order, not cumulative, the last one +Inf
 * Returns the count; *@sum (if not NULL) belongs to the same observations, as do the buckets; 0 for NULL.
 */
KYMO_API uint64_t kymo_histogram_value(const struct kymo_histogram *h, double *sum, uint64_t *buckets, size_t n);

#ifdef __cplusplus
}
#endif
#endif
