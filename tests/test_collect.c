/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_collect.c - collectors: what they report is shown, and one that fails costs its own families and nothing else.
 *
 * How: one scripted collector whose script is the test: it reports what it is told to, in the order it is told to, and
 * returns what it is told to. Calls that must not be made from inside a callback are made there, and each says so.
 */
#include <math.h>
#include <pthread.h>

#include "page.h"

static const char *const two_labels[] = {"a", "b"};
static const struct kymo_desc descs[] = {
    {.size = sizeof(struct kymo_desc), .name = "c_total", .help = "C.", .labels = two_labels, .n_labels = 2},
    {.size = sizeof(struct kymo_desc), .name = "g", .help = "G."},
    {.size = sizeof(struct kymo_desc), .name = "h_seconds", .help = "H.", .unit = "seconds"},
};
static const enum kymo_kind kinds[] = {KYMO_COUNTER, KYMO_GAUGE, KYMO_HISTOGRAM};

struct script {
    int (*play)(struct script *s, struct kymo_visit *visit);
    struct kymo_registry *reg;
    int returns;
    size_t runs, detached;
    int first_error; /* what kymo_collect() said first */
};

static int collect(void *ctx, struct kymo_visit *visit)
{
    struct script *s = ctx;
    s->runs++;
    s->first_error = s->play(s, visit);
    return s->returns;
}

static void detached(void *ctx)
{
    ((struct script *)ctx)->detached++;
}

static struct kymo_collector_ops ops_of(const char *name)
{
    const struct kymo_collector_ops ops = {sizeof(ops), name, descs, kinds, 3, collect, detached};
    return ops;
}

static struct kymo_registry *registry_new(size_t collector_bytes)
{
    struct kymo_registry_options o;
    struct kymo_registry *reg;
    struct kymo_counter *c;
    memset(&o, 0, sizeof(o));
    o.size = sizeof(o);
    o.prefix = "p_";
    o.collector_bytes = collector_bytes;
    REQUIRE(kymo_registry_new(&o, &reg) == 0);
    REQUIRE(kymo_counter_new(reg, KYMO_DESC(.name = "own_total", .help = "Own."), &c) == 0);
    kymo_counter_inc(c);
    return reg;
}

static int report_counter(struct kymo_visit *visit, size_t family, const char *a, const char *b, uint64_t n)
{
    const char *values[] = {a, b};
    struct kymo_point point;
    memset(&point, 0, sizeof(point));
    point.size = sizeof(point);
    point.values = values;
    point.value.counter.whole = n;
    return kymo_collect(visit, family, &point);
}

static int report_gauge(struct kymo_visit *visit, size_t family, double v)
{
    struct kymo_point point;
    memset(&point, 0, sizeof(point));
    point.size = sizeof(point);
    point.value.gauge = v;
    return kymo_collect(visit, family, &point);
}

static int report_histogram(struct kymo_visit *visit, size_t family, const double *bounds, size_t n,
                            const uint64_t *buckets, uint64_t count)
{
    struct kymo_point point;
    memset(&point, 0, sizeof(point));
    point.size = sizeof(point);
    point.value.histogram = (struct kymo_histogram_point){count, 2.5, bounds, n, buckets, NULL};
    return kymo_collect(visit, family, &point);
}

static const double bounds[] = {1, 2};
static const uint64_t buckets[] = {1, 2, 3};

static int play_well(struct script *s, struct kymo_visit *visit)
{
    (void)s;
    int r = report_histogram(visit, 2, bounds, 2, buckets, 6);
    r = r ? r : report_counter(visit, 0, "x\"\\\n", "", 7);
    r = r ? r : report_counter(visit, 0, "x", "1234567812345678", 8);
    return r ? r : report_gauge(visit, 1, (double)NAN);
}

static void must_show_well(struct kymo_registry *reg)
{
    CHECK(page_has(reg, "p_own_total 1"));
    CHECK(page_has(reg, "p_c_total{a=\"x\\\"\\\\\\n\",b=\"\"} 7"));
    CHECK(page_has(reg, "p_c_total{a=\"x\",b=\"1234567812345678\"} 8"));
    CHECK(page_has(reg, "p_g NaN"));
    CHECK(page_has(reg, "p_h_seconds_bucket{le=\"2.0\"} 3"));
    CHECK(page_has(reg, "p_h_seconds_count 6"));
    CHECK(page_has(reg, "p_h_seconds_sum 2.5"));
}

static void test_what_a_collector_reports_is_shown(void)
{
    struct kymo_registry *reg = registry_new(0);
    struct script s = {.play = play_well};
    struct kymo_collector_ops ops = ops_of("good");
    struct kymo_collector *c;
    CHECK_INT(kymo_collector_attach(reg, &ops, &s, &c), 0);
    memset(&ops, 0xff, sizeof(ops)); /* copied */
    must_show_well(reg);
    CHECK(page_has(reg, "kymo_collector_failures_total{collector=\"good\"} 0"));
    CHECK(page_mentions(reg, "kymo_collector_duration_seconds{collector=\"good\"}"));
    CHECK_INT(kymo_collector_detach(c), 0);
    CHECK_U64(s.detached, 1);
    size_t runs = s.runs;
    CHECK(!page_mentions(reg, "p_c_total"));
    CHECK(!page_mentions(reg, "\"good\""));
    CHECK_U64(s.runs, runs);
    CHECK_INT(kymo_collector_detach(NULL), KYMO_EINVAL);
    CHECK_U64(s.detached, 1);
    ops = ops_of("good"); /* names are free again */
    CHECK_INT(kymo_collector_attach(reg, &ops, &s, NULL), 0);
    must_show_well(reg);
    kymo_registry_free(reg);
    CHECK_U64(s.detached, 2);
}

/* ---- reports that are wrong ---- */

static int play_returns(struct script *s, struct kymo_visit *visit)
{
    (void)play_well(s, visit);
    return 0;
}

static int play_wrong_index(struct script *s, struct kymo_visit *visit)
{
    (void)s;
    CHECK_INT(report_gauge(visit, 1, 1), 0);
    int r = report_gauge(visit, 3, 1);
    CHECK_INT(report_gauge(visit, 1, 1), r); /* remembered */
    return r;
}

static int play_huge_index(struct script *s, struct kymo_visit *visit)
{
    (void)s;
    return report_gauge(visit, SIZE_MAX, 1);
}

static int play_no_values(struct script *s, struct kymo_visit *visit)
{
    (void)s;
    return report_gauge(visit, 0, 1);
}

static int play_null_value(struct script *s, struct kymo_visit *visit)
{
    (void)s;
    return report_counter(visit, 0, "x", NULL, 1);
}

static int play_bad_utf8(struct script *s, struct kymo_visit *visit)
{
    (void)s;
    return report_counter(visit, 0, "x", "\xff", 1);
}

static int play_torn(struct script *s, struct kymo_visit *visit)
{
    (void)s;
    int r = report_counter(visit, 0, "x", "1", 1);
    r = r ? r : report_gauge(visit, 1, 1);
    return r ? r : report_counter(visit, 0, "x", "2", 1);
}

static int play_too_much(struct script *s, struct kymo_visit *visit)
{
    int r = 0;
    char value[2000];
    (void)s;
    memset(value, 'x', sizeof(value));
    value[sizeof(value) - 1] = '\0';
    for (int i = 0; i < 1000 && r == 0; i++) {
        (void)snprintf(value, 8, "%07d", i);
        value[7] = 'x';
        r = report_counter(visit, 0, value, "", 1);
    }
    return r;
}

static int play_wrong_count(struct script *s, struct kymo_visit *visit)
{
    (void)s;
    return report_histogram(visit, 2, bounds, 2, buckets, 7);
}

static int play_no_buckets(struct script *s, struct kymo_visit *visit)
{
    (void)s;
    return report_histogram(visit, 2, bounds, 2, NULL, 6);
}

static int play_unsorted_bounds(struct script *s, struct kymo_visit *visit)
{
    static const double unsorted[] = {2, 1};
    (void)s;
    return report_histogram(visit, 2, unsorted, 2, buckets, 6);
}

static int play_nan_bounds(struct script *s, struct kymo_visit *visit)
{
    static const double nan_bounds[] = {1, (double)NAN};
    (void)s;
    return report_histogram(visit, 2, nan_bounds, 2, buckets, 6);
}

static int play_inf_bounds(struct script *s, struct kymo_visit *visit)
{
    static const double inf_bounds[] = {1, (double)INFINITY};
    (void)s;
    return report_histogram(visit, 2, inf_bounds, 2, buckets, 6);
}

static int play_twice(struct script *s, struct kymo_visit *visit)
{
    (void)s;
    int r = report_counter(visit, 0, "x", "1", 1);
    return r ? r : report_counter(visit, 0, "x", "1", 2);
}

static int play_bad_arguments(struct script *s, struct kymo_visit *visit)
{
    struct kymo_point point;
    memset(&point, 0, sizeof(point));
    CHECK_INT(kymo_collect(NULL, 0, &point), KYMO_EINVAL);
    CHECK_INT(kymo_collect(visit, 0, NULL), KYMO_EINVAL);
    CHECK_INT(kymo_collect(visit, 0, &point), KYMO_EINVAL); /* no size */
    return play_no_values(s, visit);
}

enum { FOUND_AFTERWARDS = 0 };

static void test_a_failing_collector_costs_its_own_families_only(void)
{
    static const struct {
        const char *what;
        int (*play)(struct script *s, struct kymo_visit *visit);
        int returns, error;
    } cases[] = {
        {"returns an error", play_returns, 5, 0},
        {"wrong index", play_wrong_index, 0, KYMO_EKIND},
        {"huge index", play_huge_index, 0, KYMO_EKIND},
        {"no values", play_no_values, 0, KYMO_EKIND},
        {"null value", play_null_value, 0, KYMO_EKIND},
        {"bad utf8", play_bad_utf8, 0, KYMO_EUTF8},
        {"torn", play_torn, 0, KYMO_EKIND},
        {"too much", play_too_much, 0, KYMO_ELIMIT},
        {"wrong count", play_wrong_count, 0, KYMO_EBUCKETS},
        {"no buckets", play_no_buckets, 0, KYMO_EBUCKETS},
        {"unsorted bounds", play_unsorted_bounds, 0, KYMO_EBUCKETS},
        {"nan bounds", play_nan_bounds, 0, KYMO_EBUCKETS},
        {"infinite bounds", play_inf_bounds, 0, KYMO_EBUCKETS},
        {"the same series twice", play_twice, 0, FOUND_AFTERWARDS},
        {"bad arguments", play_bad_arguments, 0, KYMO_EKIND},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int before = test_failures;
        struct kymo_registry *reg = registry_new(100000);
        struct script bad = {.play = cases[i].play, .returns = cases[i].returns};
        const struct kymo_collector_ops ops = ops_of("bad");
        REQUIRE(kymo_collector_attach(reg, &ops, &bad, NULL) == 0);
        CHECK(page_has(reg, "p_own_total 1"));
        CHECK_INT(bad.first_error, cases[i].error);
        CHECK(!page_mentions(reg, "\np_c_total") && !page_mentions(reg, "\np_g") && !page_mentions(reg, "\np_h"));
        CHECK(page_has(reg, "kymo_collector_failures_total{collector=\"bad\"} 4"));
        bad.play = play_well; /* it recovers */
        bad.returns = 0;
        must_show_well(reg);
        if (test_failures != before)
            fprintf(stderr, "... in case \"%s\"\n", cases[i].what);
        kymo_registry_free(reg);
    }
}

/* A single point of it too large for any page: the collector's loss, not the page's. */
static int play_too_large(struct script *s, struct kymo_visit *visit)
{
    static double many[500];
    static uint64_t counts[501];
    size_t n = 300000;
    char *value = malloc(n + 1);
    const char *values[] = {value};
    struct kymo_point point;
    (void)s;
    REQUIRE(value != NULL);
    memset(value, 'x', n);
    value[n] = '\0';
    for (int i = 0; i < 500; i++)
        many[i] = i;
    memset(&point, 0, sizeof(point));
    point.size = sizeof(point);
    point.values = values;
    point.value.histogram = (struct kymo_histogram_point){0, 0, many, 500, counts, NULL};
    int r = kymo_collect(visit, 0, &point);
    free(value);
    return r;
}

static void test_a_collector_s_giant_point_does_not_cost_the_page(void)
{
    static const char *const label[] = {"l"};
    static const struct kymo_desc d = {
        .size = sizeof(d), .name = "giant", .help = "G.", .labels = label, .n_labels = 1};
    static const enum kymo_kind kind = KYMO_HISTOGRAM;
    const struct kymo_collector_ops ops = {sizeof(ops), "giant", &d, &kind, 1, collect, NULL};
    struct kymo_registry *reg = registry_new(0);
    struct script s = {.play = play_too_large};
    struct page p;
    REQUIRE(kymo_collector_attach(reg, &ops, &s, NULL) == 0);
    CHECK_INT(page_write(reg, &p), 0);
    CHECK_U64(lines_like(p.text, "p_own_total 1"), 1);
    page_free(&p);
    kymo_registry_free(reg);
}

/* ---- attaching ---- */

static void must_not_attach(struct kymo_registry *reg, const struct kymo_collector_ops *ops, int error)
{
    struct kymo_collector *c = (struct kymo_collector *)&c;
    struct script s = {.play = play_well};
    struct page before = page_of_own(reg);
    CHECK_INT(kymo_collector_attach(reg, ops, &s, &c), error);
    CHECK(c == NULL);
    if (c != NULL)
        (void)kymo_collector_detach(c);
    struct page after = page_of_own(reg);
    CHECK_STRING(after.text, before.text);
    CHECK_U64(s.runs + s.detached, 0);
    page_free(&before);
    page_free(&after);
}

static void test_bad_collectors_are_refused_by_name(void)
{
    static const char *const names[] = {NULL, "", "a-b", "a:b", "1"};
    struct kymo_registry *reg = registry_new(0);
    struct script s = {.play = play_well};
    struct kymo_collector_ops ops;
    for (size_t i = 0; i < 5; i++) {
        ops = ops_of(names[i]);
        must_not_attach(reg, &ops, KYMO_ENAME);
    }
    ops = ops_of("x");
    ops.size = 0;
    must_not_attach(reg, &ops, KYMO_EINVAL);
    ops = ops_of("x");
    ops.collect = NULL;
    must_not_attach(reg, &ops, KYMO_EINVAL);
    ops = ops_of("x");
    ops.descs = NULL;
    must_not_attach(reg, &ops, KYMO_EINVAL);
    ops = ops_of("x");
    ops.kinds = NULL;
    must_not_attach(reg, &ops, KYMO_EINVAL);
    must_not_attach(reg, NULL, KYMO_EINVAL);
    CHECK_INT(kymo_collector_attach(NULL, &ops, &s, NULL), KYMO_EINVAL);

    static const enum kymo_kind no_kinds[] = {KYMO_COUNTER, (enum kymo_kind)0, KYMO_HISTOGRAM};
    ops = ops_of("x");
    ops.kinds = no_kinds;
    must_not_attach(reg, &ops, KYMO_EINVAL);

    struct kymo_desc clashing[3];
    memcpy(clashing, descs, sizeof(clashing));
    ops = ops_of("x");
    ops.descs = clashing;
    clashing[2].name = "own";
    clashing[2].unit = NULL;
    must_not_attach(reg, &ops, KYMO_ECLASH); /* own_total is there */
    clashing[2].name = "g";
    must_not_attach(reg, &ops, KYMO_EEXIST); /* it has that itself */
    clashing[2].name = "bad name";
    must_not_attach(reg, &ops, KYMO_ENAME);
    clashing[2].name = "h_seconds";
    clashing[2].help = NULL;
    must_not_attach(reg, &ops, KYMO_EHELP);

    ops = ops_of("x"); /* what failed has left no names behind */
    CHECK_INT(kymo_collector_attach(reg, &ops, &s, NULL), 0);
    struct kymo_collector_ops empty = ops_of("x");
    empty.n_descs = 0;
    must_not_attach(reg, &empty, KYMO_EEXIST);
    empty.name = "y";
    struct script t = {.play = play_well}; /* reports families it has not: index 2 of 0 */
    CHECK_INT(kymo_collector_attach(reg, &empty, &t, NULL), 0);
    must_show_well(reg);
    CHECK_INT(t.first_error, KYMO_EKIND);
    struct kymo_counter *c;
    CHECK_INT(kymo_counter_new(reg, KYMO_DESC(.name = "c_total", .help = "C."), &c), KYMO_EEXIST);
    CHECK_INT(kymo_registry_unregister(reg, "p_c_total"), KYMO_ENOENT);
    kymo_registry_free(reg);
}

/* ---- from inside ---- */

static int nothing_written(void *ctx, const char *data, size_t n)
{
    (void)ctx;
    (void)data;
    (void)n;
    return 0;
}

static int nothing_seen(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    (void)ctx;
    (void)family;
    (void)point;
    return 0;
}

static struct kymo_collector *myself;

static void make_forbidden_calls(struct kymo_registry *reg)
{
    const struct kymo_sink sink = {sizeof(sink), NULL, nothing_written};
    const struct kymo_visitor visitor = {sizeof(visitor), NULL, NULL, nothing_seen, NULL};
    struct kymo_scrape *s;
    CHECK_INT(kymo_registry_write(reg, kymo_format_find("text"), &sink), KYMO_EBUSY);
    CHECK_INT(kymo_scrape_new(reg, kymo_format_find("text"), &s), KYMO_EBUSY);
    CHECK(s == NULL);
    CHECK_INT(kymo_registry_visit(reg, &visitor), KYMO_EBUSY);
    CHECK_INT(kymo_registry_unregister(reg, "p_own_total"), KYMO_EBUSY);
    CHECK_INT(kymo_collector_detach(myself), KYMO_EBUSY);
}

/* Registering, recording and reading are allowed there. */
static void make_allowed_calls(struct kymo_registry *reg, const char *name)
{
    struct kymo_counter *c;
    struct kymo_registry_stats stats = {.size = sizeof(stats)};
    int r = kymo_counter_new(reg, KYMO_DESC(.name = name, .help = "From inside."), &c);
    CHECK(r == 0 || r == KYMO_EEXIST);
    kymo_counter_inc(c);
    CHECK_INT(kymo_registry_get_stats(reg, &stats), 0);
    CHECK_INT(kymo_registry_sweep(reg, 0), 0);
    CHECK_INT(kymo_thread_attach(reg), 0);
}

static int play_inside(struct script *s, struct kymo_visit *visit)
{
    make_forbidden_calls(s->reg);
    make_allowed_calls(s->reg, "inside_collector_total");
    return play_well(s, visit);
}

static double value_inside(void *ctx)
{
    make_forbidden_calls(ctx);
    make_allowed_calls(ctx, "inside_callback_total");
    return 3;
}

static void test_calls_from_inside_that_would_wait_for_us_say_busy(void)
{
    struct kymo_registry *reg = registry_new(0);
    struct script s = {.play = play_inside, .reg = reg};
    const struct kymo_collector_ops ops = ops_of("inside");
    REQUIRE(kymo_collector_attach(reg, &ops, &s, &myself) == 0);
    REQUIRE(kymo_gauge_callback(reg, KYMO_DESC(.name = "cb", .help = "Cb."), value_inside, reg) == 0);
    must_show_well(reg);
    CHECK(page_has(reg, "p_cb 3"));
    CHECK(page_has(reg, "p_inside_collector_total 1"));
    CHECK(page_has(reg, "p_inside_callback_total 1"));
    CHECK_INT(kymo_collector_detach(myself), 0); /* outside again */
    CHECK_INT(kymo_registry_unregister(reg, "p_cb"), 0);
    kymo_registry_free(reg);
}

/* ---- detaching while it is used ---- */

static void *scrape_many(void *arg)
{
    for (int i = 0; i < 60; i++) {
        struct page p = page_of(arg);
        CHECK(strstr(p.text, "p_own_total 1\n") != NULL);
        page_free(&p);
    }
    return NULL;
}

struct freed_when_detached {
    int canary;
    size_t *gone;
};

static int collect_canary(void *ctx, struct kymo_visit *visit)
{
    const struct freed_when_detached *f = ctx;
    CHECK_INT(f->canary, 4711);
    return report_gauge(visit, 1, 1);
}

static void free_canary(void *ctx)
{
    struct freed_when_detached *f = ctx;
    ++*f->gone;
    f->canary = 0;
    free(f);
}

static void test_detaching_waits_for_scrapes_and_tells_once(void)
{
    struct kymo_registry *reg = registry_new(0);
    pthread_t threads[3];
    size_t gone = 0;
    for (int i = 0; i < 3; i++)
        REQUIRE(pthread_create(&threads[i], NULL, scrape_many, reg) == 0);
    for (int i = 0; i < 200; i++) {
        struct freed_when_detached *f = malloc(sizeof(*f));
        struct kymo_collector_ops ops = ops_of("canary");
        struct kymo_collector *c;
        REQUIRE(f != NULL);
        *f = (struct freed_when_detached){4711, &gone};
        ops.collect = collect_canary;
        ops.detached = free_canary;
        REQUIRE(kymo_collector_attach(reg, &ops, f, &c) == 0);
        CHECK_INT(kymo_collector_detach(c), 0);
        CHECK_U64(gone, (size_t)i + 1);
    }
    for (int i = 0; i < 3; i++)
        REQUIRE(pthread_join(threads[i], NULL) == 0);
    kymo_registry_free(reg);
    CHECK_U64(gone, 200);
}

TEST_MAIN(TEST(test_what_a_collector_reports_is_shown), TEST(test_a_failing_collector_costs_its_own_families_only),
          TEST(test_a_collector_s_giant_point_does_not_cost_the_page), TEST(test_bad_collectors_are_refused_by_name),
          TEST(test_calls_from_inside_that_would_wait_for_us_say_busy),
          TEST(test_detaching_waits_for_scrapes_and_tells_once))
