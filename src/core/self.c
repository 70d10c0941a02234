/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/self.c - what a registry says of itself: what it refused, what it holds, how its collectors fare.
 *
 * A collector like any other. Each family is one row of the table; every reason that a kind can have exists with 0
 * from the start.
 */
#include <string.h>

#include "core/distinct.h"
#include "core/guard.h"

static const char *const refused_labels[] = {"family", "reason"};
static const char *const family_labels[] = {"family"};
static const char *const distinct_labels[] = {"family", "label"};
static const char *const collector_labels[] = {"collector"};

enum {
    REFUSED,
    FAMILY_SERIES,
    FAMILY_LIMIT,
    DROPPED,
    DISTINCT,
    SERIES,
    LIMIT,
    SEGMENT_BYTES,
    HEAP_BYTES,
    SHARDS,
    COLLECTOR_FAILURES,
    COLLECTOR_SECONDS,
    FAMILIES
};

#define ROW(name_, help_, unit_, labels_, n_)                                                                          \
    {                                                                                                                  \
        .size = sizeof(struct kymo_desc), .name = name_, .help = help_, .unit = unit_, .labels = labels_,              \
        .n_labels = n_                                                                                                 \
    }

static const struct kymo_desc descs[FAMILIES] = {
    [REFUSED] = ROW("kymo_recordings_refused_total", "Recordings that changed nothing, by family and reason.", NULL,
                    refused_labels, 2),
    [FAMILY_SERIES] = ROW("kymo_series", "Label sets that have a series of their own.", NULL, family_labels, 1),
    [FAMILY_LIMIT] = ROW("kymo_series_limit", "Most label sets that may have one.", NULL, family_labels, 1),
    [DROPPED] = ROW("kymo_series_dropped_total",
                    "Recordings that went to __other__ since their label set had no series of its own.", NULL,
                    family_labels, 1),
    [DISTINCT] = ROW("kymo_label_distinct_values",
                     "Estimate of how many values a label had, since something was dropped.", NULL, distinct_labels, 2),
    [SERIES] = ROW("kymo_registry_series", "Series that live in this registry.", NULL, NULL, 0),
    [LIMIT] = ROW("kymo_registry_series_limit", "Most label sets that all families may have together.", NULL, NULL, 0),
    [SEGMENT_BYTES] = ROW("kymo_registry_segment_bytes", "Segment memory given out so far.", "bytes", NULL, 0),
    [HEAP_BYTES] = ROW("kymo_registry_heap_bytes", "Private memory taken from the allocator.", "bytes", NULL, 0),
    [SHARDS] = ROW("kymo_registry_shards", "Shards: the most threads that ever recorded at once.", NULL, NULL, 0),
    [COLLECTOR_FAILURES] = ROW("kymo_collector_failures_total", "Scrapes in which a collector's families are missing.",
                               NULL, collector_labels, 1),
    [COLLECTOR_SECONDS] =
        ROW("kymo_collector_duration_seconds", "How long the collector took last.", "seconds", collector_labels, 1),
};

static const enum kymo_kind kinds[FAMILIES] = {
    [REFUSED] = KYMO_COUNTER,
    [FAMILY_SERIES] = KYMO_GAUGE,
    [FAMILY_LIMIT] = KYMO_GAUGE,
    [DROPPED] = KYMO_COUNTER,
    [DISTINCT] = KYMO_GAUGE,
    [SERIES] = KYMO_GAUGE,
    [LIMIT] = KYMO_GAUGE,
    [SEGMENT_BYTES] = KYMO_GAUGE,
    [HEAP_BYTES] = KYMO_GAUGE,
    [SHARDS] = KYMO_GAUGE,
    [COLLECTOR_FAILURES] = KYMO_COUNTER,
    [COLLECTOR_SECONDS] = KYMO_GAUGE,
};

/* Which reasons a family's recordings can be refused for: bits by enum kymo__refusal. */
static unsigned reasons_of(const struct kymo__family *f)
{
    unsigned reasons = 1u << KYMO__UNREGISTERED;
    if (f->info.kind == KYMO_INFO)
        return 0; /* there is no call to be refused */
    if (f->exemplar_limit != 0)
        reasons |= 1u << KYMO__EXEMPLAR_BUSY | 1u << KYMO__EXEMPLAR_BAD;
    if (f->n_labels != 0)
        reasons |= 1u << KYMO__BAD_LABELS | 1u << KYMO__BAD_UTF8 | 1u << KYMO__TOO_LONG | 1u << KYMO__NO_MEMORY;
    if (f->info.kind == KYMO_COUNTER)
        reasons |= 1u << KYMO__NAN | 1u << KYMO__NEGATIVE | 1u << KYMO__INFINITE | 1u << KYMO__OVERFLOW;
    if (f->info.kind == KYMO_GAUGE && f->class == KYMO__SINGLE)
        reasons |= 1u << KYMO__NAN | 1u << KYMO__INFINITE;
    if (f->info.kind == KYMO_HISTOGRAM)
        reasons |= 1u << KYMO__NAN | 1u << KYMO__OVERFLOW;
    if (f->info.kind == KYMO_HISTOGRAM && !KYMO__PAIR_CAS)
        reasons |= 1u << KYMO__CONTENDED;
    return reasons;
}

static struct kymo_point blank(void)
{
    struct kymo_point point;
    memset(&point, 0, sizeof(point));
    point.size = sizeof(point);
    return point;
}

static int report_gauge(struct kymo_visit *visit, size_t family, double v)
{
    struct kymo_point point = blank();
    point.value.gauge = v;
    return kymo_collect(visit, family, &point);
}

/* A name that ended and was registered again has one account: what its families refused, all together. */
static uint64_t refused_in_all(const struct kymo__family *f, int why)
{
    uint64_t sum = 0;
    for (; f != NULL; f = f->next_of_name)
        sum += kymo__load_relaxed(&f->record->refused[why]);
    return sum;
}

static int report_refused(struct kymo_visit *visit, const struct kymo__family *f)
{
    struct kymo_point point = blank();
    unsigned reasons = reasons_of(f);
    int r = 0;
    for (int why = 0; why < KYMO__REFUSALS && r == 0; why++) {
        const char *values[] = {f->info.name, kymo__refusal_names[why]};
        point.values = values;
        point.value.counter.whole = refused_in_all(f, why);
        if ((reasons >> why & 1) || point.value.counter.whole != 0)
            r = kymo_collect(visit, REFUSED, &point);
    }
    return r;
}

static int report_number(struct kymo_visit *visit, const struct kymo__family *f, size_t family, double v)
{
    struct kymo_point point = blank();
    const char *values[] = {f->info.name};
    point.values = values;
    if (family == DROPPED)
        point.value.counter.whole = kymo__guard_dropped_count(f);
    else
        point.value.gauge = v;
    return kymo_collect(visit, family, &point);
}

static int report_distinct(struct kymo_visit *visit, const struct kymo__family *f)
{
    int r = 0;
    for (uint32_t i = 0; i < f->n_labels && r == 0; i++) {
        const uint8_t *registers = kymo__guard_distinct(f, i);
        const char *values[] = {f->info.name, f->desc.labels[i]};
        struct kymo_point point = blank();
        if (registers == NULL)
            return 0;
        point.values = values;
        point.value.gauge = kymo__distinct_estimate(registers);
        r = kymo_collect(visit, DISTINCT, &point);
    }
    return r;
}

/* One of the families above, for a family of the registry. */
static int report_family(struct kymo_visit *visit, const struct kymo__family *f, size_t family)
{
    if (family == REFUSED)
        return f->read == NULL && !f->succeeded ? report_refused(visit, f) : 0;
    if (!f->guarded || f->dead)
        return 0;
    if (family == DISTINCT)
        return report_distinct(visit, f);
    return report_number(visit, f, family,
                         family == FAMILY_SERIES ? kymo__load_relaxed(&f->record->n_series) : f->guard.max_series);
}

/* Families are only ever appended, and never freed before the registry: the list can be read between locks. */
static int report_families(struct kymo_registry *reg, struct kymo_visit *visit)
{
    int r = 0;
    pthread_mutex_lock(&reg->lock);
    for (size_t family = REFUSED; family <= DISTINCT; family++)
        for (const struct kymo__family *f = reg->first_family; f != NULL && r == 0; f = f->next)
            r = report_family(visit, f, family);
    pthread_mutex_unlock(&reg->lock);
    return r;
}

static int report_collectors(struct kymo_registry *reg, struct kymo_visit *visit, size_t family)
{
    int r = 0;
    for (const struct kymo_collector *c = reg->collectors; c != NULL && r == 0; c = c->next) {
        struct kymo_point point = blank();
        const char *values[] = {c->ops.name};
        point.values = values;
        if (family == COLLECTOR_FAILURES)
            point.value.counter.whole = kymo__load_relaxed(&c->failures);
        else
            point.value.gauge = (double)kymo__load_relaxed(&c->duration_ns) / 1e9;
        if (c->attached && c->ctx != reg) /* all but this one */
            r = kymo_collect(visit, family, &point);
    }
    return r;
}

static int collect(void *ctx, struct kymo_visit *visit)
{
    struct kymo_registry *reg = ctx;
    struct kymo_registry_stats stats;
    stats.size = sizeof(stats);
    int r = kymo_registry_get_stats(reg, &stats);
    if (r == 0)
        r = report_families(reg, visit);
    if (r == 0)
        r = report_gauge(visit, SERIES, (double)stats.n_series);
    if (r == 0)
        r = report_gauge(visit, LIMIT, (double)stats.max_series);
    if (r == 0)
        r = report_gauge(visit, SEGMENT_BYTES, (double)stats.segment_used_bytes);
    if (r == 0)
        r = report_gauge(visit, HEAP_BYTES, (double)stats.heap_bytes);
    if (r == 0)
        r = report_gauge(visit, SHARDS, (double)stats.n_shards);
    if (r == 0)
        r = report_collectors(reg, visit, COLLECTOR_FAILURES);
    if (r == 0)
        r = report_collectors(reg, visit, COLLECTOR_SECONDS);
    return r;
}

int kymo__self_attach(struct kymo_registry *reg)
{
    struct kymo_collector_ops ops;
    memset(&ops, 0, sizeof(ops));
    ops.size = sizeof(ops);
    ops.name = "kymo";
    ops.descs = descs;
    ops.kinds = kinds;
    ops.n_descs = FAMILIES;
    ops.collect = collect;
    return kymo_collector_attach(reg, &ops, reg, NULL);
}
