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
 */
struct kymo_family {
    size_t size;
    const struct kymo_desc *desc;
    enum kymo_kind kind;
    const char *name;
    size_t name_len;
    const char *labels;
    size_t labels_len;
};

/**
 * struct kymo_histogram_point - a classic histogram's value: one state of whole observations
 * @count:     number of observations: the sum of @buckets
 * @sum:       sum of exactly those observations, infinities left out
 * @bounds:    @n_bounds upper bounds, without +Inf
 * @buckets:   @n_bounds + 1 counts, not cumulative, the last one above all bounds
 */
struct kymo_histogram_point {
    uint64_t count;
    double sum;
    const double *bounds;
    size_t n_bounds;
    const uint64_t *buckets;
};

/**
 * struct kymo_point - one series with its complete value
 * @id:         the same as long as the series lives, unique in the registry together with @generation; 0 from
 *              collectors that have none. References may be cached by it.
 * @generation: how often @id was used before by other series
 * @start_ns:   when the series began, wall clock, or 0 if unknown
 * @labels:     label pairs escaped as in the text format, @labels_len bytes, or NULL: then take @values
 * @values:     one string per label name of the family, or NULL: then take @labels (kymo_point_value() reads both)
 * @counter:    counters: @counter.whole + @counter.fraction; the whole part is exact
 * @gauge:      gauges
 * @histogram:  histograms
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
    } value;
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
 * Errors: KYMO_EKIND (no such index, wrong number of values, a family's points torn apart), KYMO_EUTF8, KYMO_ENOMEM,
 * KYMO_ELIMIT (collector_bytes, or values of over 60 000 bytes together), KYMO_EBUCKETS (bounds not as in struct
 * kymo_desc, or a count that is not the sum of the buckets). An error is remembered: the collector's part of this scrape
 * is dropped; so it is if the same labels were reported twice.
 */
KYMO_API int kymo_collect(struct kymo_visit *visit, size_t family, const struct kymo_point *point);

#ifdef __cplusplus
}
#endif
#endif
