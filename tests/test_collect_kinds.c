/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_collect_kinds.c - points of every kind, from collectors: what is good is shown exactly as it was reported,
 * though the collector's memory is gone by then; what a server would refuse is refused here, by name.
 *
 * How: a collector that reports the point it is given, from copies of its arrays that are overwritten as soon as
 * kymo_collect() has returned.
 */
#include <math.h>

#include "page.h"

enum { COUNTER, GAUGE, HISTOGRAM, INFO, STATES, SUMMARY, SIZES, UNKNOWN, ALL_STATES, N_FAMILIES };

static const char *const facts[] = {"version"};
static const char *const three_states[] = {"idle", "busy", "gone"};
static const char *all_states[64];
static char state_names[64][4];

#define DESC(name_) .size = sizeof(struct kymo_desc), .name = name_, .help = "Of a collector."
static const struct kymo_desc descs[N_FAMILIES] = {
    [COUNTER] = {DESC("c_total")},
    [GAUGE] = {DESC("g")},
    [HISTOGRAM] = {DESC("h")},
    [INFO] = {DESC("build_info"), .labels = facts, .n_labels = 1},
    [STATES] = {DESC("state"), .states = three_states, .n_states = 3},
    [SUMMARY] = {DESC("s")},
    [SIZES] = {DESC("sizes")},
    [UNKNOWN] = {DESC("u")},
    [ALL_STATES] = {DESC("every_state"), .states = all_states, .n_states = 64},
};
static const enum kymo_kind kinds[N_FAMILIES] = {KYMO_COUNTER,  KYMO_GAUGE,   KYMO_HISTOGRAM,       KYMO_INFO,
                                                 KYMO_STATESET, KYMO_SUMMARY, KYMO_GAUGE_HISTOGRAM, KYMO_UNKNOWN,
                                                 KYMO_STATESET};

/* What is to be reported, and what was seen of it. */
struct job {
    size_t family;
    struct kymo_point point;
    int error; /* what kymo_collect() said */
    size_t seen;
};

/* ---- reporting from memory that goes away ---- */

static void *lent[64];
static size_t lent_bytes[64], n_lent;

static const void *lend(const void *from, size_t bytes)
{
    if (from == NULL)
        return NULL;
    REQUIRE(n_lent < 64);
    void *copy = malloc(bytes ? bytes : 1);
    REQUIRE(copy != NULL);
    memcpy(copy, from, bytes);
    lent[n_lent] = copy;
    lent_bytes[n_lent++] = bytes;
    return copy;
}

static void take_back(void)
{
    while (n_lent > 0) {
        n_lent--;
        memset(lent[n_lent], 0xa5, lent_bytes[n_lent]);
        free(lent[n_lent]);
    }
}

static const struct kymo_exemplar_point *lend_exemplars(const struct kymo_exemplar_point *from, size_t n)
{
    struct kymo_exemplar_point *e = (struct kymo_exemplar_point *)(uintptr_t)lend(from, n * sizeof(*from));
    for (size_t i = 0; e != NULL && i < n; i++)
        e[i].labels = lend(e[i].labels, e[i].labels_len);
    return e;
}

static void lend_histogram(struct kymo_histogram_point *h)
{
    h->bounds = lend(h->bounds, h->n_bounds * sizeof(double));
    h->buckets = lend(h->buckets, (h->n_bounds + 1) * sizeof(uint64_t));
    if (h->native == NULL)
        return;
    struct kymo_native_point *n = (struct kymo_native_point *)(uintptr_t)lend(h->native, sizeof(*n));
    n->positive_index = lend(n->positive_index, n->n_positive * sizeof(int32_t));
    n->positive_count = lend(n->positive_count, n->n_positive * sizeof(uint64_t));
    n->negative_index = lend(n->negative_index, n->n_negative * sizeof(int32_t));
    n->negative_count = lend(n->negative_count, n->n_negative * sizeof(uint64_t));
    n->exemplars = lend_exemplars(n->exemplars, n->n_exemplars);
    h->native = n;
}

static int collect(void *ctx, struct kymo_visit *visit)
{
    struct job *job = ctx;
    struct kymo_point point = job->point;
    if (job->family == HISTOGRAM || job->family == SIZES)
        lend_histogram(&point.value.histogram);
    if (job->family == SUMMARY)
        point.value.summary.quantiles =
            lend(point.value.summary.quantiles, point.value.summary.n_quantiles * sizeof(struct kymo_quantile));
    point.exemplars = lend_exemplars(point.exemplars, point.n_exemplars);
    job->error = kymo_collect(visit, job->family, &point);
    take_back();
    return 0;
}

/* ---- comparing ---- */

static void exemplars_must_be_same(const struct kymo_exemplar_point *have, const struct kymo_exemplar_point *want,
                                   size_t n)
{
    for (size_t i = 0; i < n; i++) {
        CHECK_U64(have[i].labels_len, want[i].labels_len);
        CHECK(have[i].labels != NULL);
        CHECK(memcmp(have[i].labels, want[i].labels ? want[i].labels : "", want[i].labels_len) == 0);
        CHECK(have[i].value == want[i].value);
        CHECK(have[i].timestamp_ns == want[i].timestamp_ns);
        CHECK_U64(have[i].bucket, want[i].bucket);
    }
}

#define SAME_ARRAY(have, want, n) CHECK((n) == 0 || memcmp(have, want, (n) * sizeof(*(have))) == 0)

static void native_must_be_same(const struct kymo_native_point *have, const struct kymo_native_point *want)
{
    CHECK_INT(have->schema, want->schema);
    CHECK(have->zero_threshold == want->zero_threshold);
    CHECK_U64(have->zero_count, want->zero_count);
    CHECK_U64(have->n_positive, want->n_positive);
    CHECK_U64(have->n_negative, want->n_negative);
    CHECK_U64(have->n_exemplars, want->n_exemplars);
    SAME_ARRAY(have->positive_index, want->positive_index, want->n_positive);
    SAME_ARRAY(have->positive_count, want->positive_count, want->n_positive);
    SAME_ARRAY(have->negative_index, want->negative_index, want->n_negative);
    SAME_ARRAY(have->negative_count, want->negative_count, want->n_negative);
    exemplars_must_be_same(have->exemplars, want->exemplars, want->n_exemplars);
}

static void histogram_must_be_same(const struct kymo_histogram_point *have, const struct kymo_histogram_point *want)
{
    CHECK_U64(have->count, want->count);
    CHECK(memcmp(&have->sum, &want->sum, sizeof(double)) == 0);
    CHECK_U64(have->n_bounds, want->n_bounds);
    CHECK(have->buckets != NULL && have->bounds != NULL); /* encoders may rely on them */
    SAME_ARRAY(have->bounds, want->bounds, want->n_bounds);
    if (want->buckets != NULL)
        SAME_ARRAY(have->buckets, want->buckets, want->n_bounds + 1);
    else
        CHECK_U64(have->buckets[0], want->count);
    CHECK((have->native == NULL) == (want->native == NULL));
    if (have->native != NULL)
        native_must_be_same(have->native, want->native);
}

static void summary_must_be_same(const struct kymo_summary_point *have, const struct kymo_summary_point *want)
{
    CHECK_U64(have->count, want->count);
    CHECK(have->sum == want->sum);
    CHECK_U64(have->n_quantiles, want->n_quantiles);
    SAME_ARRAY(have->quantiles, want->quantiles, want->n_quantiles);
}

static int on_sample(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    struct job *job = ctx;
    if (strcmp(family->desc->name, descs[job->family].name) != 0)
        return 0;
    job->seen++;
    CHECK(family->kind == kinds[job->family]);
    CHECK(point->start_ns == job->point.start_ns);
    CHECK(point->id == 0 && point->generation == 0);
    CHECK_U64(point->n_exemplars, job->point.n_exemplars);
    exemplars_must_be_same(point->exemplars, job->point.exemplars, job->point.n_exemplars);
    if (family->kind == KYMO_HISTOGRAM || family->kind == KYMO_GAUGE_HISTOGRAM)
        histogram_must_be_same(&point->value.histogram, &job->point.value.histogram);
    else if (family->kind == KYMO_SUMMARY)
        summary_must_be_same(&point->value.summary, &job->point.value.summary);
    else if (family->kind == KYMO_STATESET)
        CHECK_U64(point->value.states, job->point.value.states);
    else if (family->kind == KYMO_UNKNOWN)
        CHECK(point->value.gauge == job->point.value.gauge);
    return 0;
}

/* ---- a point through a registry ---- */

static struct heap heap = HEAP_INIT;

static struct kymo_registry *registry_with(struct job *job)
{
    const struct kymo_allocator allocator = {sizeof(allocator), &heap, heap_alloc, heap_free};
    const struct kymo_collector_ops ops = {sizeof(ops), "job", descs, kinds, N_FAMILIES, collect, NULL};
    struct kymo_registry_options o;
    struct kymo_registry *reg;
    memset(&o, 0, sizeof(o));
    o.size = sizeof(o);
    o.allocator = &allocator;
    for (int i = 0; i < 64; i++) {
        (void)snprintf(state_names[i], sizeof(state_names[i]), "s%d", i);
        all_states[i] = state_names[i];
    }
    REQUIRE(kymo_registry_new(&o, &reg) == 0);
    REQUIRE(kymo_collector_attach(reg, &ops, job, NULL) == 0);
    return reg;
}

static struct job job_of(size_t family)
{
    struct job job;
    memset(&job, 0, sizeof(job));
    job.family = family;
    job.point.size = sizeof(job.point);
    job.point.start_ns = 1234567890123456789;
    return job;
}

/* Reports it and looks at what is shown; @error: what must be said of it. */
static void run(struct job *job, int error, const char *what)
{
    const struct kymo_visitor visitor = {sizeof(visitor), job, NULL, on_sample, NULL};
    int before = test_failures;
    struct kymo_registry *reg = registry_with(job);
    job->seen = 0;
    CHECK_INT(kymo_registry_visit(reg, &visitor), 0);
    CHECK_INT(job->error, error);
    CHECK_U64(job->seen, error == 0);
    struct page p = page_of(reg); /* must parse */
    page_free(&p);
    kymo_registry_free(reg);
    heap_must_be_empty(&heap);
    if (test_failures != before)
        fprintf(stderr, "... in case \"%s\"\n", what);
}

/* ---- what is good ---- */

static const double bounds[] = {-1, 1, 2};
static const uint64_t buckets[] = {1, 2, 0, 4};
static const int32_t positive[] = {-8592, 0, 8193}, negative[] = {3};
static const uint64_t positive_counts[] = {1, 2, 1}, negative_counts[] = {1};
#define PAIRS "trace_id=\"abc\",\"a.b\"=\"\\\\ \\\" \\n \xc3\xa9\""
static const struct kymo_exemplar_point exemplars[] = {
    {PAIRS, sizeof(PAIRS) - 1, 0.5, 1700000000123456789, 1, 0},
    {NULL, 0, 9, 0, 3, 0},
};

static struct kymo_native_point native_point(void)
{
    const struct kymo_native_point n = {3, 0,        0x1p-128,        2, positive,  positive_counts,
                                        3, negative, negative_counts, 1, exemplars, 2};
    return n;
}

static void test_histograms_are_shown_as_they_were_reported(void)
{
    struct kymo_native_point native = native_point();
    for (size_t family = HISTOGRAM; family <= SIZES; family += SIZES - HISTOGRAM) {
        struct job job = job_of(family);
        job.point.value.histogram = (struct kymo_histogram_point){7, 3.5, bounds, 3, buckets, NULL};
        run(&job, 0, "classic");
        job.point.exemplars = exemplars;
        job.point.n_exemplars = 2;
        run(&job, 0, "exemplars");
        job.point.value.histogram.native = &native;
        run(&job, 0, "classic and native");
        job.point.n_exemplars = 0;
        job.point.value.histogram = (struct kymo_histogram_point){7, 3.5, NULL, 0, NULL, &native};
        run(&job, 0, "native alone");
        static const uint64_t all[] = {7};
        job.point.value.histogram = (struct kymo_histogram_point){7, 3.5, NULL, 0, all, &native};
        run(&job, 0, "native and +Inf");
        job.point.value.histogram.sum = (double)NAN;
        native.zero_count = 1; /* one observation was no number */
        run(&job, 0, "NaN in the sum");
        native.zero_count = 2;
        struct kymo_native_point empty = {-4, 0, 0, 0, NULL, NULL, 0, NULL, NULL, 0, NULL, 0};
        job.point.value.histogram = (struct kymo_histogram_point){0, 0, NULL, 0, NULL, &empty};
        run(&job, 0, "nothing yet");
    }
}

static void test_the_other_kinds_are_shown_as_they_were_reported(void)
{
    static const struct kymo_quantile quantiles[] = {{0, 1}, {0.5, (double)NAN}, {1, (double)INFINITY}};
    static const char *const version[] = {"1.0"};
    struct job job = job_of(SUMMARY);
    job.point.value.summary = (struct kymo_summary_point){3, 4.5, quantiles, 3};
    run(&job, 0, "summary");
    job.point.value.summary = (struct kymo_summary_point){3, 4.5, NULL, 0};
    run(&job, 0, "summary without quantiles");
    job = job_of(STATES);
    job.point.value.states = 5;
    run(&job, 0, "states");
    job = job_of(ALL_STATES);
    job.point.value.states = UINT64_MAX;
    run(&job, 0, "64 states");
    job = job_of(UNKNOWN);
    job.point.value.gauge = -2.5;
    run(&job, 0, "unknown");
    job = job_of(INFO);
    job.point.values = version;
    run(&job, 0, "info");
    job = job_of(COUNTER);
    job.point.value.counter.whole = 3;
    job.point.exemplars = &exemplars[1];
    run(&job, 0, "a pointer, but no exemplars");
    static const struct kymo_exemplar_point one = {"a=\"b\"", 5, 1, 0, 0, 0};
    job.point.exemplars = &one;
    job.point.n_exemplars = 1;
    run(&job, 0, "counter with an exemplar");
}

/* ---- what is not ---- */

static void must_refuse_native(struct kymo_native_point native, int error, const char *what)
{
    struct job job = job_of(HISTOGRAM);
    job.point.value.histogram = (struct kymo_histogram_point){7, 3.5, NULL, 0, NULL, &native};
    run(&job, error, what);
}

#define NATIVE(what, error, ...)                                                                                       \
    do {                                                                                                               \
        struct kymo_native_point n = native_point();                                                                   \
        __VA_ARGS__;                                                                                                   \
        must_refuse_native(n, error, what);                                                                            \
    } while (0)

static void test_native_buckets_that_no_server_takes_are_refused(void)
{
    static const int32_t falling[] = {0, 0, 1}, low[] = {-8593, 0, 1}, high[] = {0, 1, 8194}, coarse[] = {-68, 0, 1};
    static const uint64_t empty[] = {1, 0, 3}, many[] = {UINT64_MAX, 1, 4};
    static const struct kymo_exemplar_point mixed[] = {{NULL, 0, 2, 0, 0, 0}, {NULL, 0, 1, 0, 0, 0}};
    NATIVE("as it is", 0, (void)0);
    NATIVE("schema 9", KYMO_EBUCKETS, n.schema = 9);
    NATIVE("schema -5", KYMO_EBUCKETS, n.schema = -5);
    NATIVE("negative threshold", KYMO_EBUCKETS, n.zero_threshold = -1);
    NATIVE("infinite threshold", KYMO_EBUCKETS, n.zero_threshold = (double)INFINITY);
    NATIVE("NaN threshold", KYMO_EBUCKETS, n.zero_threshold = (double)NAN);
    NATIVE("not increasing", KYMO_EBUCKETS, n.positive_index = falling);
    NATIVE("too low", KYMO_EBUCKETS, n.positive_index = low);
    NATIVE("too high", KYMO_EBUCKETS, n.positive_index = high);
    NATIVE("too low for the schema", KYMO_EBUCKETS, n.schema = -4; n.positive_index = coarse);
    NATIVE("an empty bucket", KYMO_EBUCKETS, n.positive_count = empty);
    NATIVE("counts that overflow", KYMO_EBUCKETS, n.positive_count = many);
    NATIVE("no index", KYMO_EBUCKETS, n.positive_index = NULL);
    NATIVE("no counts", KYMO_EBUCKETS, n.negative_count = NULL);
    NATIVE("a count less", KYMO_EBUCKETS, n.zero_count = 1);
    NATIVE("a count more", KYMO_EBUCKETS, n.n_negative = 0);
    NATIVE("exemplars not by value", KYMO_EBUCKETS, n.exemplars = mixed);
    NATIVE("no exemplars", KYMO_EINVAL, n.exemplars = NULL);
}

static void test_native_buckets_must_agree_with_the_count(void)
{
    struct kymo_native_point native = native_point();
    struct job job = job_of(HISTOGRAM);
    job.point.value.histogram = (struct kymo_histogram_point){6, (double)NAN, NULL, 0, NULL, &native};
    run(&job, KYMO_EBUCKETS, "more than the count, NaN in the sum");
    static const uint64_t other[] = {8};
    job.point.value.histogram = (struct kymo_histogram_point){8, 1, NULL, 0, other, &native};
    run(&job, KYMO_EBUCKETS, "the classic count is another");
    job.point.value.histogram = (struct kymo_histogram_point){7, 1, bounds, 3, NULL, &native};
    run(&job, KYMO_EBUCKETS, "bounds without buckets");
    job.point.value.histogram = (struct kymo_histogram_point){0, 1, NULL, 0, NULL, NULL};
    run(&job, KYMO_EBUCKETS, "no buckets at all");
    static const uint64_t wrapping[] = {UINT64_MAX, 1, 0, 7};
    job.point.value.histogram = (struct kymo_histogram_point){7, 1, bounds, 3, wrapping, NULL};
    run(&job, KYMO_EBUCKETS, "buckets that overflow");
}

static void must_refuse_quantiles(const struct kymo_quantile *quantiles, size_t n, int error, const char *what)
{
    struct job job = job_of(SUMMARY);
    job.point.value.summary = (struct kymo_summary_point){1, 1, quantiles, n};
    run(&job, error, what);
}

static void test_quantiles_and_states_beyond_the_last_are_refused(void)
{
    static const struct kymo_quantile below[] = {{-0.1, 1}}, above[] = {{1.1, 1}}, equal[] = {{0.5, 1}, {0.5, 1}},
                                      falling[] = {{0.5, 1}, {0.4, 1}}, nan[] = {{(double)NAN, 1}};
    must_refuse_quantiles(below, 1, KYMO_EBUCKETS, "below 0");
    must_refuse_quantiles(above, 1, KYMO_EBUCKETS, "above 1");
    must_refuse_quantiles(equal, 2, KYMO_EBUCKETS, "equal");
    must_refuse_quantiles(falling, 2, KYMO_EBUCKETS, "falling");
    must_refuse_quantiles(nan, 1, KYMO_EBUCKETS, "no number");
    must_refuse_quantiles(NULL, 1, KYMO_EINVAL, "no quantiles");
    struct job job = job_of(STATES);
    job.point.value.states = 8;
    run(&job, KYMO_EKIND, "a fourth of three states");
    job.point.value.states = (uint64_t)1 << 63;
    run(&job, KYMO_EKIND, "a 64th of three states");
}

static void must_answer_exemplar(const char *labels, int error)
{
    struct job job = job_of(COUNTER);
    const struct kymo_exemplar_point e = {labels, strlen(labels), 1, 0, 0, 0};
    job.point.exemplars = &e;
    job.point.n_exemplars = 1;
    run(&job, error, labels);
}

static void test_exemplars_labels_are_pair_text(void)
{
    static const char *const bad[] = {
        "a",         "a=",       "a=b",        "a=\"",      "a=\"b",     "a=\"b\",", ",a=\"b\"", "a=\"b\"c=\"d\"",
        "=\"b\"",    "1=\"b\"",  "a.b=\"c\"",  "a=\"b\\\"", "a=\"\\x\"", "a=\"\n\"", "a =\"b\"", "\"\"=\"b\"",
        "\"a=\"b\"", "a=\"b\" ", "a=\"b\"} 1", "a-=\"b\"",
    };
    char many[300] = "a=\"";
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        must_answer_exemplar(bad[i], KYMO_ELABEL);
    must_answer_exemplar("a=\"\xff\"", KYMO_EUTF8);
    must_answer_exemplar("a=\"\"", 0);
    must_answer_exemplar("a=\"=,{}\",_b1=\"\\\\\\\"\\n\"", 0);
    for (size_t i = 3; i < 3 + 2 * 127; i += 2)
        memcpy(many + i, "\xc3\xa9", 2); /* 127 characters and a name of one */
    memcpy(many + 3 + 2 * 127, "\"", 2);
    must_answer_exemplar(many, 0);
    memcpy(many + 3 + 2 * 127, "x\"", 3);
    must_answer_exemplar(many, KYMO_ELIMIT);
}

static void test_exemplars_have_a_bucket_of_their_own(void)
{
    static const struct kymo_exemplar_point twice[] = {{NULL, 0, 1, 0, 1, 0}, {NULL, 0, 1, 0, 1, 0}},
                                            beyond[] = {{NULL, 0, 9, 0, 4, 0}}, at_0[] = {{NULL, 0, 1, 0, 0, 0}};
    struct job job = job_of(HISTOGRAM);
    job.point.value.histogram = (struct kymo_histogram_point){7, 3.5, bounds, 3, buckets, NULL};
    job.point.exemplars = twice;
    job.point.n_exemplars = 2;
    run(&job, KYMO_EBUCKETS, "two in a bucket");
    job.point.exemplars = beyond;
    job.point.n_exemplars = 1;
    run(&job, KYMO_EBUCKETS, "beyond the last bucket");
    job.point.exemplars = NULL;
    run(&job, KYMO_EINVAL, "none where one is said to be");
    job = job_of(COUNTER);
    job.point.exemplars = twice;
    job.point.n_exemplars = 2;
    run(&job, KYMO_EKIND, "two of a counter");
    job.point.n_exemplars = 1;
    run(&job, KYMO_EBUCKETS, "a counter has no buckets");
    static const size_t without[] = {GAUGE, STATES, SUMMARY, UNKNOWN};
    for (size_t i = 0; i < 4; i++) {
        job = job_of(without[i]);
        job.point.exemplars = at_0;
        job.point.n_exemplars = 1;
        run(&job, KYMO_EKIND, "a kind without exemplars");
    }
}

/* ---- old callers, short memory ---- */

static int collect_old(void *ctx, struct kymo_visit *visit)
{
    struct job *job = ctx;
    job->error = kymo_collect(visit, job->family, &job->point);
    return 0;
}

/* A point that ends before its exemplars: what lies behind it is not looked at. */
static void test_a_shorter_point_has_no_exemplars(void)
{
    const struct kymo_collector_ops ops = {sizeof(ops), "old", descs, kinds, N_FAMILIES, collect_old, NULL};
    struct job job = job_of(COUNTER);
    struct kymo_registry *reg;
    job.point.size = offsetof(struct kymo_point, exemplars);
    job.point.exemplars = (const struct kymo_exemplar_point *)(uintptr_t)16;
    job.point.n_exemplars = 99;
    job.point.value.counter.whole = 5;
    REQUIRE(kymo_registry_new(NULL, &reg) == 0);
    REQUIRE(kymo_collector_attach(reg, &ops, &job, NULL) == 0);
    CHECK(page_has(reg, "c_total 5"));
    CHECK_INT(job.error, 0);
    kymo_registry_free(reg);
}

static void test_a_collector_short_of_memory_leaves_nothing(void)
{
    struct kymo_native_point native = native_point();
    struct job job = job_of(HISTOGRAM);
    const struct kymo_visitor visitor = {sizeof(visitor), &job, NULL, on_sample, NULL};
    job.point.value.histogram = (struct kymo_histogram_point){7, 3.5, bounds, 3, buckets, &native};
    struct kymo_registry *reg = registry_with(&job);
    CHECK_INT(kymo_registry_visit(reg, &visitor), 0);
    size_t live = heap.live;
    for (size_t n = 1, failed = 1; failed != 0; n++) {
        heap_arm(&heap, n, 1);
        int r = kymo_registry_visit(reg, &visitor);
        failed = heap.failed;
        heap_arm(&heap, 0, 0);
        CHECK(r == 0 || r == KYMO_ENOMEM);
        CHECK_U64(heap.live, live);
        REQUIRE(n < 100);
    }
    kymo_registry_free(reg);
    heap_must_be_empty(&heap);
}

TEST_MAIN(TEST(test_histograms_are_shown_as_they_were_reported),
          TEST(test_the_other_kinds_are_shown_as_they_were_reported),
          TEST(test_native_buckets_that_no_server_takes_are_refused),
          TEST(test_native_buckets_must_agree_with_the_count),
          TEST(test_quantiles_and_states_beyond_the_last_are_refused), TEST(test_exemplars_labels_are_pair_text),
          TEST(test_exemplars_have_a_bucket_of_their_own), TEST(test_a_shorter_point_has_no_exemplars),
          TEST(test_a_collector_short_of_memory_leaves_nothing))
