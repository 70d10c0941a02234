/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kymo/visit.h - the one interface between what has samples and what wants them.
 *
 * A collector calls a visitor; an encoder is one; the registry itself is collector number zero. A point is whole: one
 * labelled series with its complete value. Line suffixes, `le`, cumulation and escaping are the encoder's.
 *
 * What a visit lends: the family until the next family or end; a point, its labels and buckets, for that one call.
 * A visitor's non-zero return stops the visit and reaches the outer caller untouched (KYMO_EAGAIN excepted: it is the
 * page's way to say "full", see encode.h).
 */
#ifndef KYMO_VISIT_H
#define KYMO_VISIT_H

#include <kymo/base.h>
#include <kymo/desc.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kymo_registry;

/**
 * struct kymo_family - what a visitor is told of a family before its points
 * @desc:   its description; desc->name is the name without the registry's prefix
 * @kind:   its kind
 * @name:   full name, @name_len bytes, NUL-terminated
 * @labels: constant labels, escaped as in the text format (`a="b",c="d"`), @labels_len bytes; "" if none
 * @utf8:   non-zero if its name or a label's name is not [a-zA-Z_:][a-zA-Z0-9_:]*: an encoder has to quote or escape it.
 *          In pair texts such a label name stands quoted and escaped, `"a.b"="c"`
 */
struct kymo_family {
    size_t size;
    const struct kymo_desc *desc;
    enum kymo_kind kind;
    const char *name;
    size_t name_len;
    const char *labels;
    size_t labels_len;
    int utf8;
};

/**
 * struct kymo_exemplar_point - an exemplar as it was kept
 * @labels:       label pairs escaped as in the text format, @labels_len bytes; "" if none
 * @value:        the amount or the observation it stands for
 * @timestamp_ns: when, wall clock; 0 if unknown
 * @bucket:       index of the classic bucket it lies in; 0 for counters and where there are none
 */
struct kymo_exemplar_point {
    const char *labels;
    size_t labels_len;
    double value;
    int64_t timestamp_ns;
    uint32_t bucket;
    uint32_t reserved;
};

/**
 * struct kymo_native_point - the native buckets of a histogram
 * @schema:         -4 to 8: bucket i reaches up to and includes 2^(i / 2^schema)
 * @zero_threshold: the zero bucket holds what is not farther than this from 0
 * @zero_count:     observations in it
 * @positive_index: @n_positive bucket indices, strictly increasing
 * @positive_count: the count of each, not 0
 * @negative_index: the same for negative values, by their magnitude
 * @exemplars:      @n_exemplars of them, by ascending value
 */
struct kymo_native_point {
    int32_t schema;
    uint32_t reserved;
    double zero_threshold;
    uint64_t zero_count;
    const int32_t *positive_index;
    const uint64_t *positive_count;
    size_t n_positive;
    const int32_t *negative_index;
    const uint64_t *negative_count;
    size_t n_negative;
    const struct kymo_exemplar_point *exemplars;
    size_t n_exemplars;
};

/**
 * struct kymo_histogram_point - a histogram's value: one state of whole observations
 * @count:     number of observations: the sum of @buckets, and of the zero and all native buckets
 * @sum:       sum of exactly those observations, infinities left out
 * @bounds:    @n_bounds upper bounds, without +Inf; none if it has native buckets only
 * @buckets:   @n_bounds + 1 counts, not cumulative, the last one above all bounds
 * @native:    native buckets, or NULL
 * A gauge histogram has the same parts; its count and sum may go down.
 */
struct kymo_histogram_point {
    uint64_t count;
    double sum;
    const double *bounds;
    size_t n_bounds;
    const uint64_t *buckets;
    const struct kymo_native_point *native;
};

/** struct kymo_quantile - @value is what a share of @quantile (0 to 1) of the observations did not exceed, or NaN */
struct kymo_quantile {
    double quantile;
    double value;
};

/** struct kymo_summary_point - @n_quantiles of them, strictly increasing */
struct kymo_summary_point {
    uint64_t count;
    double sum;
    const struct kymo_quantile *quantiles;
    size_t n_quantiles;
};

/**
 * struct kymo_point - one series with its complete value
 * @id:         the same as long as the series lives, unique in the registry together with @generation; 0 from
 *              collectors that have none. References may be cached by it.
 * @generation: tells apart the series that have @id one after the other
 * @start_ns:   when the series began, wall clock, or 0 if unknown
 * @labels:     label pairs escaped as in the text format, @labels_len bytes, or NULL: then take @values
 * @values:     one string per label name of the family, or NULL: then take @labels (kymo_point_value() reads both)
 * @counter:    counters: @counter.whole + @counter.fraction; the whole part is exact
 * @gauge:      gauges and unknowns
 * @histogram:  histograms and gauge histograms
 * @summary:    summaries
 * @states:     state sets: bit i is set if state i of family->desc->states holds
 * @exemplars:  @n_exemplars of them, ascending by bucket, at most one a bucket; a counter has at most one
 * An info has no value: it is always 1.
 */
struct kymo_point {
    size_t size;
    uint64_t id;
    uint32_t generation;
    uint32_t reserved;
    int64_t start_ns;
    const char *labels;
    size_t labels_len;
    const char *const *values;
    union {
        struct {
            uint64_t whole;
            double fraction;
        } counter;
        double gauge;
        struct kymo_histogram_point histogram;
        struct kymo_summary_point summary;
        uint64_t states;
    } value;
    const struct kymo_exemplar_point *exemplars;
    size_t n_exemplars;
};

/**
 * struct kymo_visitor - receives families and points
 * @family: a family begins; may be NULL
 * @sample: one point of that family
 * @end:    the family is complete; may be NULL
 * All return 0 to go on.
 */
struct kymo_visitor {
    size_t size;
    void *ctx;
    int (*family)(void *ctx, const struct kymo_family *family);
    int (*sample)(void *ctx, const struct kymo_family *family, const struct kymo_point *point);
    int (*end)(void *ctx, const struct kymo_family *family);
};

/**
 * kymo_point_value() - unescapes one label value of a point
 * @i:   index of the label name in family->desc->labels
 * @buf: room for @cap bytes; receives the value and a NUL, cut at a character if it is too small
 * Returns the full length of the value in bytes, as snprintf does.
 */
KYMO_API size_t kymo_point_value(const struct kymo_family *family, const struct kymo_point *point, size_t i, char *buf,
                                 size_t cap);

/**
 * kymo_registry_visit() - shows every family and point to a visitor
 *
 * The registry's own series first, in the order of registration, then the collectors', then the kymo_* families. The
 * visitor is called without the registry's lock for collectors, with it for own series: it must not call back into
 * the registry and should be quick. Errors: KYMO_EINVAL, KYMO_ENOMEM, KYMO_EBUSY (from inside a callback), what the
 * visitor returns. Threads: any; collectors are run by one visit or scrape at a time.
 */
KYMO_API int kymo_registry_visit(struct kymo_registry *reg, const struct kymo_visitor *visitor);

/* ---- collectors ---- */

struct kymo_collector;

/**
 * struct kymo_collector_ops - something that reports families of its own at each scrape
 * @name:    shown in kymo_collector_* metrics; [a-zA-Z_][a-zA-Z0-9_]*
 * @descs:   @n_descs families it may report, checked for clashes when it is attached
 * @kinds:   the kind of each
 * @collect: reports: for each family kymo_collect(visit, index, point)... in any order of families, each family's
 *           points together; returns 0 or an error, which drops what this scrape had of it and is counted
 * @detached: called once when the collector is gone and @ctx may be freed; may be NULL
 */
struct kymo_visit;
struct kymo_collector_ops {
    size_t size;
    const char *name;
    const struct kymo_desc *descs;
    const enum kymo_kind *kinds;
    size_t n_descs;
    int (*collect)(void *ctx, struct kymo_visit *visit);
    void (*detached)(void *ctx);
};

/**
 * kymo_collector_attach() - adds a collector to a registry
 * @c: handle for kymo_collector_detach(), may be NULL
 * Errors: those of registering its families, by name in the log; KYMO_EEXIST also for a second collector of this name;
 * KYMO_EBUSY from inside a callback or collector.
 */
KYMO_API int kymo_collector_attach(struct kymo_registry *reg, const struct kymo_collector_ops *ops, void *ctx,
                                   struct kymo_collector **c);

/** kymo_collector_detach() - removes it; waits for a scrape that is inside it; @c must not be used after it. KYMO_EBUSY from inside a callback: nothing happened. */
KYMO_API int kymo_collector_detach(struct kymo_collector *c);

/**
 * kymo_collect() - reports one point of a collector's family
 * @family: index into ops->descs
 * @point:  with values (not labels) if the family has label names; copied
 * Errors: KYMO_EINVAL (an array that is said to have elements is NULL), KYMO_EKIND (no such index, wrong number of
 * values, a family's points torn apart, a state beyond the last, exemplars of a kind that has none), KYMO_EUTF8,
 * KYMO_ENOMEM, KYMO_ELIMIT (collector_bytes, values of over 60 000 bytes or an exemplar's labels of over 128 characters
 * together), KYMO_ELABEL (an exemplar's labels are no pair text), KYMO_EBUCKETS (bounds not as in struct kymo_desc, native
 * buckets, quantiles or exemplars not as above, or a count that is not the sum of the buckets; where the sum is NaN,
 * native ones may hold fewer). An error is remembered: the collector's part of this scrape is dropped; so it is if the
 * same labels were reported twice.
 */
KYMO_API int kymo_collect(struct kymo_visit *visit, size_t family, const struct kymo_point *point);

#ifdef __cplusplus
}
#endif
#endif
