/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kymo/desc.h - what a metric is: its name, help, unit, labels, buckets.
 *
 * In C the macros build a descriptor in place:
 *     KYMO_DESC(.name = "http_requests_total", .help = "Requests.", KYMO_LABELS("method", "code"))
 * In C++11, or where macros are not wanted, kymo_desc_init() and the setters do the same.
 * A descriptor and everything it points to may go away after the call that takes it: it is copied.
 */
#ifndef KYMO_DESC_H
#define KYMO_DESC_H

#include <kymo/base.h>

#ifdef __cplusplus
extern "C" {
#endif

enum kymo_kind {
    KYMO_COUNTER = 1,   /* only goes up: requests, tokens, seconds spent         */
    KYMO_GAUGE = 2,     /* goes up and down: queue depth, temperature, bytes now */
    KYMO_HISTOGRAM = 3, /* a distribution in buckets, classic, native or both    */
    KYMO_INFO = 4,      /* facts as labels, always 1: a version, a model's name  */
    KYMO_STATESET = 5,  /* which of some states hold                             */
    /* Only reported by collectors: what others have counted. */
    KYMO_SUMMARY = 6,         /* count, sum, quantiles computed at the source    */
    KYMO_GAUGE_HISTOGRAM = 7, /* a distribution of what is there now             */
    KYMO_UNKNOWN = 8,         /* a number of which no more is known              */
};

/**
 * enum kymo_gauge_mode - how the writes of a gauge meet
 * @KYMO_GAUGE_SET:    the default: one shared word, the last kymo_gauge_set() wins, kymo_gauge_add() is a
 *                     compare-exchange loop. For values one thread measures.
 * @KYMO_GAUGE_UPDOWN: sharded like a counter: add and sub from any number of threads cost a function call and are
 *                     exact. set is allowed and means base minus what the shards hold. For in-flight counts.
 */
enum kymo_gauge_mode { KYMO_GAUGE_SET = 0, KYMO_GAUGE_UPDOWN = 1 };

/**
 * struct kymo_alias - another name of a family, which it had before
 * @name:  the old name, without the registry's prefix
 * @until: when nobody should query it any more, for example "2027-03"
 *
 * The family is exposed under each alias too, as a family of its own whose help says the new name and the date; its
 * points have no id there, and a series that ends is announced under the family's own name only. A name that is someone
 * else's already is refused (KYMO_EEXIST, KYMO_ECLASH).
 */
struct kymo_alias {
    const char *name;
    const char *until;
};

/**
 * struct kymo_native - a native histogram: exponential buckets that come to be as values need them
 * @bucket_factor:      a bucket's upper bound is at most this times its lower one; the schema is the coarsest of -4 to 8
 *                      for which that holds. 0 means 1.1 (schema 3), else > 1
 * @zero_threshold:     |v| up to here counts in the zero bucket; 0 means 2^-128, negative means exactly 0
 * @max_zero_threshold: how far the threshold may be widened to keep the limit; 0: not at all
 * @max_buckets:        most populated buckets; 0 means 160, at most 1000
 * @min_reset_ns:       a histogram over its limit starts anew at most this often, in nanoseconds; 0: never
 * @max_exemplars:      exemplars kept beside the buckets, if the family has exemplars; 0 means 10, at most 64
 * @exemplar_ttl_ns:    an older exemplar is the first to be replaced; 0 means 5 minutes, negative: the oldest always is
 *
 * Over its limit, in this order: start anew if that is allowed now (and in any case as soon as it will be), else widen
 * the zero bucket, else halve the resolution: one step per observation. Index for index and step for step what Go's
 * client library does, for observations of one thread; but NaN is refused, and an infinity counted and not summed, as
 * everywhere here. Threads without memory of their own can widen the zero bucket about a thousand times before the
 * histogram starts anew; then it goes to the coarsest resolution. Source: Prometheus, "Native Histograms".
 */
struct kymo_native {
    double bucket_factor;
    double zero_threshold;
    double max_zero_threshold;
    uint32_t max_buckets;
    uint32_t max_exemplars;
    int64_t min_reset_ns;
    int64_t exemplar_ttl_ns;
};

/**
 * enum kymo_guard_policy - which label sets of a family have a series of their own; all others share `__other__`
 * With KYMO_GUARD_TOP what a label set weighs halves every hour, and a challenger has to be a tenth heavier than the
 * lightest that has a series.
 */
enum kymo_guard_policy {
    KYMO_GUARD_PLAIN = 0, /* as LIMIT, but labels known to have no bound (user_id, ...) are refused at registration */
    KYMO_GUARD_LIMIT = 1, /* the first max_series of them                                                         */
    KYMO_GUARD_TOP = 2,   /* the max_series heaviest: counters by amount, histograms by observations              */
};

/** enum kymo_after_end - where a recording goes through a handle whose series has ended */
enum kymo_after_end {
    KYMO_REVIVE = 0,      /* back to life: a new series with the same labels and a new start time */
    KYMO_TO_OVERFLOW = 1, /* to the overflow series, until somebody asks for the labels again     */
};

/**
 * struct kymo_guard - how many series a family may have, and how long they live; all zero is the default
 * @policy:          see enum kymo_guard_policy
 * @after_end:       see enum kymo_after_end. To come back to life an ended series keeps its label text as long as a
 *                   handle is out; with KYMO_TO_OVERFLOW 24 bytes, and about 10 more by which equal labels find it
 * @max_series:      series of their own, at most 10 000 000; 0 means 2000, with KYMO_GUARD_TOP 100
 * @max_value_bytes: a longer label value stands as `__other__`; at most 60 000, 0 means 1024
 * @linger_ms:       KYMO_GUARD_TOP: how long a series that is no longer among the heaviest stays, as it is; 0 means 5
 *                   minutes. A scraper with a shorter interval loses no increment: a new series is shown at 0 before it
 *                   counts. That is by one complete scrape, whoever's: to a second scraper the start time tells it
 * @touch:           non-zero: setting a gauge to the value it has keeps it from being idle
 * @idle_ns:         a series that did not change for so long ends; 0: never. Seen by scrapes, visits and
 *                   kymo_registry_sweep(): without any of them nothing ends
 *
 * Past the limit, or the registry's max_series, a label set has no series of its own: what is recorded for it goes to
 * the family's overflow series, whose labels all are `__other__`, and is counted in kymo_series_dropped_total{family}.
 * All of it can be changed later, but to and from KYMO_GUARD_TOP: kymo_registry_set_guard(). Families without labels
 * have no guard.
 */
struct kymo_guard {
    enum kymo_guard_policy policy;
    enum kymo_after_end after_end;
    uint32_t max_series;
    uint32_t max_value_bytes;
    uint32_t linger_ms;
    uint32_t touch;
    int64_t idle_ns;
};

/**
 * struct kymo_desc - description of a family
 * @size:       sizeof(struct kymo_desc)
 * @name:       [a-zA-Z_:][a-zA-Z0-9_:]*, the name as it is queried; counters end in _total by convention
 * @help:       one sentence; required
 * @unit:       base unit and last part of the name ("seconds", "bytes"), or NULL
 * @labels:     @n_labels label names, in the order in which values are given; NULL for a single series
 * @bounds:     histograms: @n_bounds upper bounds, inclusive, finite, strictly increasing, without +Inf;
 *              NULL means none if @native is given, else the preset kymo_buckets_web
 * @gauge_mode: gauges: see enum kymo_gauge_mode
 * @aliases:    @n_aliases further names
 * @native:     histograms: native buckets, alone or, with @bounds, beside classic ones from the same observation
 * @exemplar_every: counters and histograms: 0 keeps no exemplars; n considers one in n of a thread's recordings that
 *              bring one, evenly spread whatever their rhythm, in histograms bucket by bucket
 * @states:     state sets: @n_states names, 1 to 64
 * @guard:      how many series it may have and how long they live; NULL: the default of struct kymo_guard. Labels that
 *              are known to have no bound (user_id, customer_id, request_id, session_id, trace_id, span_id, email, ip)
 *              need one that names a policy
 */
struct kymo_desc {
    size_t size;
    const char *name;
    const char *help;
    const char *unit;
    const char *const *labels;
    size_t n_labels;
    const double *bounds;
    size_t n_bounds;
    enum kymo_gauge_mode gauge_mode;
    const struct kymo_alias *aliases;
    size_t n_aliases;
    const struct kymo_native *native;
    uint32_t exemplar_every;
    uint32_t reserved;
    const char *const *states;
    size_t n_states;
    const struct kymo_guard *guard;
};

/** kymo_desc_init() - a descriptor with name and help, everything else default; keeps the pointers. */
static inline void kymo_desc_init(struct kymo_desc *d, const char *name, const char *help)
{
    const struct kymo_desc zero = {
        sizeof(struct kymo_desc), 0, 0, 0, 0, 0, 0, 0, KYMO_GAUGE_SET, 0, 0, 0, 0, 0, 0, 0, 0};
    *d = zero;
    d->name = name;
    d->help = help;
}

/** kymo_desc_set_unit() - names the base unit; keeps the pointer. */
static inline void kymo_desc_set_unit(struct kymo_desc *d, const char *unit)
{
    d->unit = unit;
}

/** kymo_desc_set_labels() - names the labels; keeps the pointer. */
static inline void kymo_desc_set_labels(struct kymo_desc *d, const char *const *labels, size_t n)
{
    d->labels = labels;
    d->n_labels = n;
}

/** kymo_desc_set_bounds() - sets the bucket bounds of a histogram; keeps the pointer. */
static inline void kymo_desc_set_bounds(struct kymo_desc *d, const double *bounds, size_t n)
{
    d->bounds = bounds;
    d->n_bounds = n;
}

/** kymo_desc_set_gauge_mode() - chooses how a gauge's writes meet. */
static inline void kymo_desc_set_gauge_mode(struct kymo_desc *d, enum kymo_gauge_mode mode)
{
    d->gauge_mode = mode;
}

/** kymo_desc_set_aliases() - further names; keeps the pointer. */
static inline void kymo_desc_set_aliases(struct kymo_desc *d, const struct kymo_alias *aliases, size_t n)
{
    d->aliases = aliases;
    d->n_aliases = n;
}

/** kymo_desc_set_native() - native buckets; keeps the pointer. */
static inline void kymo_desc_set_native(struct kymo_desc *d, const struct kymo_native *native)
{
    d->native = native;
}

/** kymo_desc_set_exemplars() - exemplars of one in @every recordings. */
static inline void kymo_desc_set_exemplars(struct kymo_desc *d, uint32_t every)
{
    d->exemplar_every = every;
}

/** kymo_desc_set_states() - names the states of a state set; keeps the pointer. */
static inline void kymo_desc_set_states(struct kymo_desc *d, const char *const *states, size_t n)
{
    d->states = states;
    d->n_states = n;
}

/** kymo_desc_set_guard() - limits and life of the series; keeps the pointer. */
static inline void kymo_desc_set_guard(struct kymo_desc *d, const struct kymo_guard *guard)
{
    d->guard = guard;
}

#ifndef __cplusplus
/* KYMO_DESC(.name = ..., .help = ..., ...): pointer to a descriptor that lives as long as the enclosing block. */
#define KYMO_DESC(...) (&(const struct kymo_desc){.size = sizeof(struct kymo_desc), __VA_ARGS__})
/* Inside KYMO_DESC: the label names. */
#define KYMO_LABELS(...)                                                                                               \
    .labels = (const char *const[]){__VA_ARGS__},                                                                      \
    .n_labels = sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)
/* Inside KYMO_DESC: the bucket bounds. */
#define KYMO_BOUNDS(...)                                                                                               \
    .bounds = (const double[]){__VA_ARGS__}, .n_bounds = sizeof((const double[]){__VA_ARGS__}) / sizeof(double)
/* Inside KYMO_DESC: one of the presets below, for example KYMO_BUCKETS(kymo_buckets_ttft). */
#define KYMO_BUCKETS(preset) .bounds = (preset), .n_bounds = preset##_n
/* Inside KYMO_DESC: native buckets, KYMO_NATIVE(.bucket_factor = 1.1). */
#define KYMO_NATIVE(...) .native = (&(const struct kymo_native){__VA_ARGS__})
/* Inside KYMO_DESC: the guard, KYMO_GUARD(.policy = KYMO_GUARD_TOP, .max_series = 50). */
#define KYMO_GUARD(...) .guard = (&(const struct kymo_guard){__VA_ARGS__})
/* Inside KYMO_DESC: the states of a state set. */
#define KYMO_STATES(...)                                                                                               \
    .states = (const char *const[]){__VA_ARGS__},                                                                      \
    .n_states = sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)
/* As the two last arguments of kymo_..._with() and the calls by labels: KYMO_VALUES("GET", "200"). */
#define KYMO_VALUES(...)                                                                                               \
    (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)
#endif

/*
 * Bucket presets, in base units. Each `kymo_buckets_x` is an array of `kymo_buckets_x_n` bounds.
 * Source: Prometheus client library guidelines (web); serving engines' published boundaries, stretched to what users
 * of long generations ask for (the others).
 */
enum {
    kymo_buckets_web_n = 11,     /* 5 ms to 10 s: HTTP requests                                  */
    kymo_buckets_latency_n = 16, /* 100 us to 60 s: calls inside a service                       */
    kymo_buckets_ttft_n = 22,    /* 1 ms to 2560 s: time to first token                          */
    kymo_buckets_itl_n = 19,     /* 10 ms to 80 s: gap between two tokens                        */
    kymo_buckets_e2e_n = 21,     /* 300 ms to 2 h: a whole generation request                    */
    kymo_buckets_tokens_n = 17,  /* 1 to 200 000: prompt and completion lengths, 1-2-5 steps     */
};
extern KYMO_API const double kymo_buckets_web[kymo_buckets_web_n];
extern KYMO_API const double kymo_buckets_latency[kymo_buckets_latency_n];
extern KYMO_API const double kymo_buckets_ttft[kymo_buckets_ttft_n];
extern KYMO_API const double kymo_buckets_itl[kymo_buckets_itl_n];
extern KYMO_API const double kymo_buckets_e2e[kymo_buckets_e2e_n];
extern KYMO_API const double kymo_buckets_tokens[kymo_buckets_tokens_n];

/**
 * kymo_buckets_linear() - fills @bounds with start, start + width, ...
 * @n: number of bounds to write, 1 to 500; @width > 0
 * Returns 0, or KYMO_EBUCKETS if the bounds would not be finite and strictly increasing (nothing is promised of
 * @bounds then), or KYMO_EINVAL.
 */
KYMO_API int kymo_buckets_linear(double *bounds, size_t n, double start, double width);

/** kymo_buckets_exponential() - fills @bounds with start, start * factor, ...; @start > 0, @factor > 1; else as above. */
KYMO_API int kymo_buckets_exponential(double *bounds, size_t n, double start, double factor);

#ifdef __cplusplus
}
#endif
#endif
