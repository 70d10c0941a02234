/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/guarded.h - what the tests of limits and ends of series share: snapshots, a book of ends, any kind by one name.
 *
 * A snapshot is what one visit showed, the library's own account of itself included; a book of ends is what the event
 * callback was told, in the same form. So a value can be followed from a series that lives to the one sentence that is
 * said of it when it ends. Amounts are multiples of 0.25: sums are exact in any order.
 */
#ifndef KYMO_TESTS_GUARDED_H
#define KYMO_TESTS_GUARDED_H

#include "torture.h"

#include <unistd.h>

#define OTHER "__other__"

/* CHECK with an expectation that is told: what was found, and what in words should have been. */
#define EXPECT(condition, ...)                                                                                         \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            __atomic_fetch_add(&test_failures, 1, __ATOMIC_RELAXED);                                                   \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);                                            \
            fprintf(stderr, __VA_ARGS__);                                                                              \
            fputc('\n', stderr);                                                                                       \
        }                                                                                                              \
    } while (0)

/* ---- what was seen of series ---- */

struct seen {
    char family[64];
    char values[112]; /* label values with | between them, cut where they are longer */
    enum kymo_kind kind;
    uint64_t id;
    uint32_t generation;
    int64_t start_ns;
    double amount; /* counters, gauges: the value; histograms: the count */
    double sum;    /* histograms */
    size_t n_exemplars;
};

struct snapshot {
    struct seen *all;
    size_t n, cap;
};

static inline double seen_amount(enum kymo_kind kind, const struct kymo_point *point)
{
    if (kind == KYMO_COUNTER)
        return (double)point->value.counter.whole + point->value.counter.fraction;
    if (kind == KYMO_HISTOGRAM)
        return (double)point->value.histogram.count;
    return point->value.gauge;
}

static inline void seen_values(struct seen *s, const struct kymo_family *family, const struct kymo_point *point)
{
    size_t at = 0;
    for (size_t i = 0; i < family->desc->n_labels && at + 1 < sizeof(s->values); i++) {
        if (i > 0)
            s->values[at++] = '|';
        size_t n = kymo_point_value(family, point, i, s->values + at, sizeof(s->values) - at);
        at = n < sizeof(s->values) - at ? at + n : sizeof(s->values) - 1;
    }
}

/* Every sample of a histogram is whole, a last value too (K3). */
static inline void seen_whole(const struct seen *s, const struct kymo_histogram_point *h)
{
    uint64_t n = 0;
    for (size_t i = 0; h->buckets != NULL && (h->n_bounds > 0 || h->native == NULL) && i <= h->n_bounds; i++)
        n += h->buckets[i];
    EXPECT(h->n_bounds == 0 || n == h->count, "%s{%s} has count %" PRIu64 " and buckets of %" PRIu64, s->family,
           s->values, h->count, n);
    n = h->native != NULL ? h->native->zero_count : 0;
    for (size_t i = 0; h->native != NULL && i < h->native->n_positive; i++)
        n += h->native->positive_count[i];
    for (size_t i = 0; h->native != NULL && i < h->native->n_negative; i++)
        n += h->native->negative_count[i];
    EXPECT(h->native == NULL || n == h->count, "%s{%s} has count %" PRIu64 " and native buckets of %" PRIu64, s->family,
           s->values, h->count, n);
}

static inline void seen_fill(struct seen *s, const struct kymo_family *family, const struct kymo_point *point)
{
    memset(s, 0, sizeof(*s));
    (void)snprintf(s->family, sizeof(s->family), "%s", family->name);
    seen_values(s, family, point);
    s->kind = family->kind;
    s->id = point->id;
    s->generation = point->generation;
    s->start_ns = point->start_ns;
    s->amount = seen_amount(family->kind, point);
    s->n_exemplars = point->n_exemplars;
    if (family->kind == KYMO_HISTOGRAM) {
        const struct kymo_native_point *native = point->value.histogram.native;
        s->sum = point->value.histogram.sum;
        s->n_exemplars += native != NULL ? native->n_exemplars : 0;
        seen_whole(s, &point->value.histogram);
    }
}

static inline int snapshot_add(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    struct snapshot *snap = ctx;
    if (snap->n == snap->cap) {
        snap->cap = snap->cap != 0 ? 2 * snap->cap : 64;
        snap->all = realloc(snap->all, snap->cap * sizeof(*snap->all));
        REQUIRE(snap->all != NULL);
    }
    seen_fill(&snap->all[snap->n++], family, point);
    return 0;
}

static inline void snapshot_free(struct snapshot *snap)
{
    free(snap->all);
    *snap = (struct snapshot){NULL, 0, 0};
}

static inline struct snapshot snapshot_of(struct kymo_registry *reg)
{
    struct snapshot snap = {NULL, 0, 0};
    const struct kymo_visitor visitor = {sizeof(visitor), &snap, NULL, snapshot_add, NULL};
    CHECK_INT(kymo_registry_visit(reg, &visitor), 0);
    return snap;
}

/* The event callback; ctx is a snapshot that takes what ends. The registry's lock is held meanwhile. */
static inline void note_end(void *ctx, const struct kymo_event *event)
{
    (void)snapshot_add(ctx, event->family, event->point);
}

/* The only one with these values ("a|b"), NULL if there is none. */
static inline const struct seen *snapshot_find(const struct snapshot *snap, const char *family, const char *values)
{
    const struct seen *found = NULL;
    for (size_t i = 0; i < snap->n; i++) {
        if (strcmp(snap->all[i].family, family) != 0 || strcmp(snap->all[i].values, values) != 0)
            continue;
        EXPECT(found == NULL, "%s{%s} is there more than once", family, values);
        found = &snap->all[i];
    }
    return found;
}

/* Its amount; -1e9 if it is not there. */
static inline double snapshot_amount(const struct snapshot *snap, const char *family, const char *values)
{
    const struct seen *s = snapshot_find(snap, family, values);
    return s != NULL ? s->amount : -1e9;
}

static inline size_t snapshot_count(const struct snapshot *snap, const char *family)
{
    size_t n = 0;
    for (size_t i = 0; i < snap->n; i++)
        n += strcmp(snap->all[i].family, family) == 0;
    return n;
}

static inline double snapshot_total(const struct snapshot *snap, const char *family)
{
    double total = 0;
    for (size_t i = 0; i < snap->n; i++)
        total += strcmp(snap->all[i].family, family) == 0 ? snap->all[i].amount : 0;
    return total;
}

/* ---- what the library says of itself ---- */

/* A kymo_* sample by its label values; 0 if it is not there, as a counter that nobody counted. */
static inline double self_of(struct kymo_registry *reg, const char *name, const char *values)
{
    struct snapshot snap = snapshot_of(reg);
    const struct seen *s = snapshot_find(&snap, name, values);
    double v = s != NULL ? s->amount : 0;
    snapshot_free(&snap);
    return v;
}

static inline int self_has(struct kymo_registry *reg, const char *name, const char *values)
{
    struct snapshot snap = snapshot_of(reg);
    int found = snapshot_find(&snap, name, values) != NULL;
    snapshot_free(&snap);
    return found;
}

static inline double dropped(struct kymo_registry *reg, const char *family)
{
    return self_of(reg, "kymo_series_dropped_total", family);
}

static inline struct kymo_registry_stats stats_of(struct kymo_registry *reg)
{
    struct kymo_registry_stats stats = {.size = sizeof(stats)};
    CHECK_INT(kymo_registry_get_stats(reg, &stats), 0);
    return stats;
}

/* Memory of this process that is there, not only promised. */
static inline size_t resident_bytes(void)
{
    unsigned long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f != NULL) {
        if (fscanf(f, "%lu %lu", &pages, &resident) != 2)
            resident = 0;
        (void)fclose(f);
    }
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* ---- a registry with a clock, a heap that counts, and a book of ends ---- */

#define SECOND INT64_C(1000000000)
#define WALL_START (INT64_C(1700000000) * SECOND)

struct lab {
    struct kymo_registry *reg;
    struct snapshot ended;
    struct stopped_clock clock;
    struct heap heap;
};

/* o: options beside those of the lab, or NULL */
static inline void lab_new(struct lab *lab, const struct kymo_registry_options *o)
{
    const struct kymo_clock clock = {sizeof(clock), &lab->clock, stopped_wall, stopped_monotonic};
    const struct kymo_allocator allocator = {sizeof(allocator), &lab->heap, heap_alloc, heap_free};
    struct kymo_registry_options all = o != NULL ? *o : (struct kymo_registry_options){.size = sizeof(all)};
    *lab = (struct lab){.clock = {WALL_START, 1000 * SECOND}, .heap = HEAP_INIT};
    all.size = sizeof(all);
    all.clock = &clock;
    all.allocator = &allocator;
    all.event = note_end;
    all.event_ctx = &lab->ended;
    all.config = all.config != NULL ? all.config : "";
    REQUIRE(kymo_registry_new(&all, &lab->reg) == 0);
}

static inline void lab_tick(struct lab *lab, int64_t ns)
{
    lab->clock.wall_ns += ns;
    lab->clock.monotonic_ns += ns;
}

static inline void lab_end(struct lab *lab)
{
    struct page p = page_of(lab->reg); /* a last one, which the parser must take */
    page_free(&p);
    kymo_registry_free(lab->reg);
    heap_must_be_empty(&lab->heap);
    snapshot_free(&lab->ended);
}

/* ---- any kind of series by one name ---- */

enum any_kind { ANY_WHOLE, ANY_FRACTION, ANY_LEVEL, ANY_ADDED, ANY_UPDOWN, ANY_CLASSIC, ANY_NATIVE, ANY_BOTH, N_ANY };

struct any {
    enum any_kind kind;
    const char *name;
    size_t n_labels;
    struct kymo_counter_family *c;
    struct kymo_gauge_family *g;
    struct kymo_histogram_family *h;
};

static const char *const any_names[N_ANY] = {"whole_total", "fraction_total", "level",  "added",
                                             "updown",      "classic",        "native", "both"};
/* What one recording adds; a level is set to it. */
static const double any_weights[N_ANY] = {1, 0.25, 7, 0.5, -2, 1, 1, 1};

static inline int any_is_counter(enum any_kind kind)
{
    return kind <= ANY_FRACTION;
}

static inline int any_is_gauge(enum any_kind kind)
{
    return kind == ANY_LEVEL || kind == ANY_ADDED || kind == ANY_UPDOWN;
}

/* What n recordings into one series make. */
static inline double any_amount(enum any_kind kind, double n)
{
    return kind == ANY_LEVEL ? (n > 0 ? any_weights[kind] : 0) : n * any_weights[kind];
}

/* A family of labels a, b, ... with its kind's name; every recording with an exemplar may keep it. */
static inline struct any any_new(struct kymo_registry *reg, enum any_kind kind, size_t n_labels,
                                 const struct kymo_guard *guard)
{
    static const char *const labels[] = {"a", "b", "c"};
    static const struct kymo_native native = {.bucket_factor = 1.1};
    struct any any = {.kind = kind, .name = any_names[kind], .n_labels = n_labels};
    struct kymo_desc d;
    kymo_desc_init(&d, any.name, "Any.");
    kymo_desc_set_labels(&d, labels, n_labels);
    kymo_desc_set_guard(&d, guard);
    kymo_desc_set_gauge_mode(&d, kind == ANY_UPDOWN ? KYMO_GAUGE_UPDOWN : KYMO_GAUGE_SET);
    if (kind == ANY_CLASSIC || kind == ANY_BOTH)
        kymo_desc_set_bounds(&d, exact_bounds, EXACT_BOUNDS);
    kymo_desc_set_native(&d, kind == ANY_NATIVE || kind == ANY_BOTH ? &native : NULL);
    kymo_desc_set_exemplars(&d, any_is_gauge(kind) ? 0 : 1);
    if (any_is_counter(kind))
        REQUIRE(kymo_counter_family_new(reg, &d, &any.c) == 0);
    else if (any_is_gauge(kind))
        REQUIRE(kymo_gauge_family_new(reg, &d, &any.g) == 0);
    else
        REQUIRE(kymo_histogram_family_new(reg, &d, &any.h) == 0);
    return any;
}

static inline void *any_with(const struct any *any, const char *const *values)
{
    if (any->c != NULL)
        return kymo_counter_with(any->c, values, any->n_labels);
    if (any->g != NULL)
        return kymo_gauge_with(any->g, values, any->n_labels);
    return kymo_histogram_with(any->h, values, any->n_labels);
}

static inline void any_release(const struct any *any, void *handle)
{
    if (any->c != NULL)
        kymo_counter_release(handle);
    else if (any->g != NULL)
        kymo_gauge_release(handle);
    else
        kymo_histogram_release(handle);
}

static inline void any_record_once(enum any_kind kind, void *handle)
{
    switch (kind) {
    case ANY_WHOLE:
        kymo_counter_inc(handle);
        break;
    case ANY_FRACTION:
        kymo_counter_add(handle, any_weights[kind]);
        break;
    case ANY_LEVEL:
        kymo_gauge_set(handle, any_weights[kind]);
        break;
    case ANY_ADDED:
    case ANY_UPDOWN:
        kymo_gauge_add(handle, any_weights[kind]);
        break;
    default:
        kymo_histogram_observe(handle, 2);
    }
}

static inline void any_record(const struct any *any, void *handle, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        any_record_once(any->kind, handle);
}

static inline void any_record_exemplar(const struct any *any, void *handle)
{
    static const struct kymo_label label = {"trace_id", "t1"};
    const struct kymo_exemplar ex = {&label, 1, WALL_START};
    if (any->kind == ANY_WHOLE)
        kymo_counter_inc_exemplar(handle, &ex);
    else if (any->kind == ANY_FRACTION)
        kymo_counter_add_exemplar(handle, any_weights[any->kind], &ex);
    else if (any->h != NULL)
        kymo_histogram_observe_exemplar(handle, 2, &ex);
    else
        any_record_once(any->kind, handle);
}

static inline void any_record_labels(const struct any *any, const char *const *values, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (any->kind == ANY_WHOLE)
            kymo_counter_family_inc(any->c, values, any->n_labels);
        else if (any->c != NULL)
            kymo_counter_family_add(any->c, any_weights[any->kind], values, any->n_labels);
        else if (any->kind == ANY_LEVEL)
            kymo_gauge_family_set(any->g, any_weights[any->kind], values, any->n_labels);
        else if (any->g != NULL)
            kymo_gauge_family_add(any->g, any_weights[any->kind], values, any->n_labels);
        else
            kymo_histogram_family_observe(any->h, 2, values, any->n_labels);
    }
}

static inline double any_value(const struct any *any, void *handle)
{
    if (any->c != NULL)
        return kymo_counter_value(handle);
    if (any->g != NULL)
        return kymo_gauge_value(handle);
    return (double)kymo_histogram_value(handle, NULL, NULL, 0);
}

/* A counter family of one label, i, for tests of one kind. */
static inline struct kymo_counter_family *counters_new(struct kymo_registry *reg, const char *name,
                                                       const struct kymo_guard *guard)
{
    struct kymo_counter_family *f;
    REQUIRE(kymo_counter_family_new(reg, KYMO_DESC(.name = name, .help = "Numbered.", KYMO_LABELS("i"), .guard = guard),
                                    &f) == 0);
    return f;
}

/* The label value head + n, in buf. */
static inline const char *numbered(char buf[32], const char *head, uint64_t n)
{
    (void)snprintf(buf, 32, "%.8s%" PRIu64, head, n);
    return buf;
}

/* One recording by labels for the series head + n. */
static inline void count_numbered(struct kymo_counter_family *f, const char *head, uint64_t n)
{
    char value[32];
    kymo_counter_family_inc(f, KYMO_VALUES(numbered(value, head, n)));
}

#endif
