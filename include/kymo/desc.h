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
    KYMO_HISTOGRAM = 3, /* a distribution in classic buckets: latencies, sizes   */
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
 * @name:  the old name
 * @until: when nobody should query it any more, for example "2027-03"
 *
 * Checked, kept with the descriptor and shown to visitors. This version's encoders write the family's own name only.
 */
struct kymo_alias {
    const char *name;
    const char *until;
};

/**
 * struct kymo_desc - description of a family
 * @size:       sizeof(struct kymo_desc)
 * @name:       [a-zA-Z_:][a-zA-Z0-9_:]*, the name as it is queried; counters end in _total by convention
 * @help:       one sentence; required
 * @unit:       base unit and last part of the name ("seconds", "bytes"), or NULL
 * @labels:     @n_labels label names, in the order in which values are given; NULL for a single series
 * @bounds:     histograms: @n_bounds upper bounds, inclusive, finite, strictly increasing, without +Inf;
 *              NULL means the preset kymo_buckets_web
 * @gauge_mode: gauges: see enum kymo_gauge_mode
 * @aliases:    @n_aliases further names
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
};

/** kymo_desc_init() - a descriptor with name and help, everything else default; keeps the pointers. */
static inline void kymo_desc_init(struct kymo_desc *d, const char *name, const char *help)
{
    const struct kymo_desc zero = {sizeof(struct kymo_desc), 0, 0, 0, 0, 0, 0, 0, KYMO_GAUGE_SET, 0, 0};
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
