/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/formats_collector.c - what only collectors report: summaries, gauge histograms, unknowns; and points of the
 * other kinds that nobody could record: exemplars without a time or with a label in quotes, the outermost buckets.
 */
#include "formats_host.h"

#include <float.h>
#include <math.h>

enum {
    SUMMARY,
    SUMMARY_EMPTY,
    GAUGE_HISTOGRAM,
    GAUGE_HISTOGRAM_SIGNS,
    GAUGE_HISTOGRAM_NATIVE,
    UNKNOWN,
    COUNTER,
    NATIVE_COARSEST,
    NATIVE_FINEST,
    CLASSIC,
    STATES,
    INFO,
    FAMILIES
};

static const char *const labels[] = {"note"};
static const char *const states[] = {"up", "down"};
static const char *const values[] = {"a \"note\"\\\n"};

#define DESC(name_, unit_)                                                                                             \
    {                                                                                                                  \
        .size = sizeof(struct kymo_desc), .name = name_, .help = "Reported by a \"collector\".\\", .unit = unit_,      \
        .labels = labels, .n_labels = 1                                                                                \
    }

static const struct kymo_desc descs[FAMILIES] = {
    [SUMMARY] = DESC("told_seconds", "seconds"),
    [SUMMARY_EMPTY] = DESC("told_nothing", NULL),
    [GAUGE_HISTOGRAM] = DESC("queue_bytes", "bytes"),
    [GAUGE_HISTOGRAM_SIGNS] = DESC("queue_signs", NULL),
    [GAUGE_HISTOGRAM_NATIVE] = DESC("queue_native", NULL),
    [UNKNOWN] = DESC("whatever_ratio", "ratio"),
    [COUNTER] = DESC("told_bytes_total", "bytes"),
    [NATIVE_COARSEST] = DESC("told_coarse", NULL),
    [NATIVE_FINEST] = DESC("told_fine", NULL),
    [CLASSIC] = DESC("told_classic", NULL),
    [STATES] = {.size = sizeof(struct kymo_desc),
                .name = "told_states",
                .help = "Reported by a collector.",
                .labels = labels,
                .n_labels = 1,
                .states = states,
                .n_states = 2},
    [INFO] = DESC("told_info", NULL),
};

static const enum kymo_kind kinds[FAMILIES] = {
    [SUMMARY] = KYMO_SUMMARY,
    [SUMMARY_EMPTY] = KYMO_SUMMARY,
    [GAUGE_HISTOGRAM] = KYMO_GAUGE_HISTOGRAM,
    [GAUGE_HISTOGRAM_SIGNS] = KYMO_GAUGE_HISTOGRAM,
    [GAUGE_HISTOGRAM_NATIVE] = KYMO_GAUGE_HISTOGRAM,
    [UNKNOWN] = KYMO_UNKNOWN,
    [COUNTER] = KYMO_COUNTER,
    [NATIVE_COARSEST] = KYMO_HISTOGRAM,
    [NATIVE_FINEST] = KYMO_HISTOGRAM,
    [CLASSIC] = KYMO_HISTOGRAM,
    [STATES] = KYMO_STATESET,
    [INFO] = KYMO_INFO,
};

static int64_t started_ns;

static struct kymo_point blank(void)
{
    return (struct kymo_point){.size = sizeof(struct kymo_point), .start_ns = started_ns, .values = values};
}

/* ---- histograms ---- */

static const double few_bounds[] = {1, 2.5};
static const double signed_bounds[] = {-2, 2};
static const uint64_t three_buckets[] = {3, 0, 4};

static struct kymo_point classic(const double *bounds, double sum)
{
    struct kymo_point point = blank();
    point.value.histogram = (struct kymo_histogram_point){7, sum, bounds, 2, three_buckets, NULL};
    return point;
}

static struct kymo_point native_alone(const struct kymo_native_point *native, uint64_t count, double sum)
{
    struct kymo_point point = blank();
    point.value.histogram = (struct kymo_histogram_point){count, sum, NULL, 0, NULL, native};
    return point;
}

/* The lowest and the highest buckets that there are, counts of one byte and of many. */
static int collect_natives(struct kymo_visit *visit)
{
    static const int32_t coarse[] = {-67, 0, 63, 64, 65};
    static const int32_t fine[] = {-274944, -1, 0, 1, 2, 5, 262143, 262144, 262145};
    static const uint64_t some[] = {1, 1000000, 1, 3, 1, 128, 16384, 2, 1};
    struct kymo_native_point native = {.schema = -4, .zero_threshold = 0, .zero_count = 9};
    native.positive_index = native.negative_index = coarse;
    native.positive_count = native.negative_count = some;
    native.n_positive = native.n_negative = COUNT(coarse);
    struct kymo_point point = native_alone(&native, 9 + 2 * UINT64_C(1000006), -5.5);
    int r = kymo_collect(visit, NATIVE_COARSEST, &point);
    native.schema = 8;
    native.positive_index = native.negative_index = fine;
    native.n_positive = native.n_negative = COUNT(fine);
    point = native_alone(&native, 9 + 2 * UINT64_C(1016521), DBL_MAX);
    return r != 0 ? r : kymo_collect(visit, NATIVE_FINEST, &point);
}

static int collect_gauge_histograms(struct kymo_visit *visit)
{
    static const int32_t index[] = {-3, 4};
    static const uint64_t count[] = {2, 5};
    static const struct kymo_native_point native = {
        .schema = 2, .zero_threshold = 0x1p-128, .positive_index = index, .positive_count = count, .n_positive = 2};
    struct kymo_point point = classic(few_bounds, 20.5);
    int r = kymo_collect(visit, GAUGE_HISTOGRAM, &point);
    point = classic(signed_bounds, -20.5);
    if (r == 0)
        r = kymo_collect(visit, GAUGE_HISTOGRAM_SIGNS, &point);
    point = native_alone(&native, 7, 12.25);
    return r != 0 ? r : kymo_collect(visit, GAUGE_HISTOGRAM_NATIVE, &point);
}

/* ---- exemplars ---- */

static const char plain_pairs[] = "trace_id=\"\\\"1\\\"\"";
static const char quoted_pairs[] = "\"trace.id\"=\"1\",b=\"\\\\\\n\"";

static int collect_traced(struct kymo_visit *visit)
{
    const struct kymo_exemplar_point at_some_time = {plain_pairs, sizeof(plain_pairs) - 1, 2, 0, 0, 0};
    const struct kymo_exemplar_point some[] = {
        {quoted_pairs, sizeof(quoted_pairs) - 1, 0.5, started_ns + 1000000, 0, 0},
        {"", 0, 12, started_ns + 2000000, 2, 0},
    };
    struct kymo_point counter = blank(), histogram = classic(few_bounds, 40);
    counter.value.counter.whole = UINT64_C(1000000000000000001);
    counter.exemplars = &at_some_time;
    counter.n_exemplars = 1;
    histogram.exemplars = some;
    histogram.n_exemplars = COUNT(some);
    int r = kymo_collect(visit, COUNTER, &counter);
    return r != 0 ? r : kymo_collect(visit, CLASSIC, &histogram);
}

/* ---- the rest ---- */

static int collect_summaries(struct kymo_visit *visit)
{
    static const struct kymo_quantile quantiles[] = {{0, 0.25}, {0.5, 1}, {0.99, (double)NAN}, {1, 1e6}};
    struct kymo_point told = blank(), nothing = blank();
    told.value.summary = (struct kymo_summary_point){12, 30.25, quantiles, COUNT(quantiles)};
    int r = kymo_collect(visit, SUMMARY, &told);
    return r != 0 ? r : kymo_collect(visit, SUMMARY_EMPTY, &nothing);
}

static int collect_single(struct kymo_visit *visit)
{
    struct kymo_point unknown = blank(), stateset = blank(), info = blank();
    unknown.value.gauge = -0.7;
    stateset.value.states = 2;
    int r = kymo_collect(visit, UNKNOWN, &unknown);
    if (r == 0)
        r = kymo_collect(visit, STATES, &stateset);
    return r != 0 ? r : kymo_collect(visit, INFO, &info);
}

static int collect(void *ctx, struct kymo_visit *visit)
{
    int (*const parts[])(struct kymo_visit *) = {collect_summaries, collect_gauge_histograms, collect_natives,
                                                 collect_traced, collect_single};
    int r = 0;
    (void)ctx;
    for (size_t i = 0; i < COUNT(parts) && r == 0; i++)
        r = parts[i](visit);
    MUST(r == 0);
    return r;
}

void formats_collector_attach(struct kymo_registry *reg, int64_t start_ns)
{
    static const struct kymo_collector_ops ops = {sizeof(ops), "formats", descs, kinds, FAMILIES, collect, NULL};
    started_ns = start_ns;
    MUST(kymo_collector_attach(reg, &ops, NULL, NULL) == 0);
}
