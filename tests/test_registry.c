/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_registry.c - registries, what is registered in them, the values they take and the labels they are found by.
 *
 * How: values are written through every recording call and compared with what the page shows, to the last digit; time
 * comes from a clock that stands still. What ends a series (unregistering) is checked from both sides: the handles that
 * are left, and the slots that others get. Pages are read by a strict parser whenever they are taken.
 */
#include <float.h>
#include <math.h>
#include <pthread.h>

#include "page.h"

static struct kymo_registry *registry_new(void)
{
    struct kymo_registry *reg;
    REQUIRE(kymo_registry_new(NULL, &reg) == 0);
    return reg;
}

static struct kymo_registry_options options(void)
{
    struct kymo_registry_options o;
    memset(&o, 0, sizeof(o));
    o.size = sizeof(o);
    return o;
}

static struct kymo_counter *counter_new(struct kymo_registry *reg, const char *name)
{
    struct kymo_counter *c;
    REQUIRE(kymo_counter_new(reg, KYMO_DESC(.name = name, .help = "Counter."), &c) == 0);
    return c;
}

static struct kymo_gauge *gauge_new(struct kymo_registry *reg, const char *name, enum kymo_gauge_mode mode)
{
    struct kymo_gauge *g;
    REQUIRE(kymo_gauge_new(reg, KYMO_DESC(.name = name, .help = "Gauge.", .gauge_mode = mode), &g) == 0);
    return g;
}

static struct kymo_counter_family *family_new(struct kymo_registry *reg, const char *name)
{
    struct kymo_counter_family *f;
    REQUIRE(kymo_counter_family_new(reg, KYMO_DESC(.name = name, .help = "Family.", KYMO_LABELS("v")), &f) == 0);
    return f;
}

/* The same with room for more series, or longer values, than there is without a word. */
static struct kymo_counter_family *large_family_new(struct kymo_registry *reg, const char *name)
{
    struct kymo_counter_family *f;
    REQUIRE(kymo_counter_family_new(reg,
                                    KYMO_DESC(.name = name, .help = "Family.", KYMO_LABELS("v"),
                                              KYMO_GUARD(.max_series = 10000, .max_value_bytes = 60000)),
                                    &f) == 0);
    return f;
}

/* ---- options ---- */

static void *no_alloc(void *ctx, size_t bytes)
{
    (void)ctx;
    (void)bytes;
    return NULL;
}

static void no_free(void *ctx, void *ptr, size_t bytes)
{
    (void)ctx;
    (void)ptr;
    (void)bytes;
}

static void must_refuse(const struct kymo_registry_options *o, int error)
{
    struct kymo_registry *reg = (struct kymo_registry *)&reg;
    CHECK_INT(kymo_registry_new(o, &reg), error);
    CHECK(reg == NULL);
}

static void test_bad_options_are_refused_by_name(void)
{
    struct kymo_registry_options o = options();
    CHECK_INT(kymo_registry_new(NULL, NULL), KYMO_EINVAL);
    o.size = 0;
    must_refuse(&o, KYMO_EINVAL);
    o = options();
    o.segment_bytes = 1024 * 1024 - 1;
    must_refuse(&o, KYMO_EINVAL);
#if SIZE_MAX > UINT32_MAX
    o.segment_bytes = ((size_t)1 << 35) + 1;
    must_refuse(&o, KYMO_EINVAL);
#endif
    o = options();
    o.max_shards = 65537;
    must_refuse(&o, KYMO_EINVAL);
    o = options();
    o.n_const_labels = 1;
    must_refuse(&o, KYMO_EINVAL);

    const struct kymo_allocator bad_allocators[] = {{0, NULL, no_alloc, no_free},
                                                    {sizeof(struct kymo_allocator), NULL, NULL, no_free},
                                                    {sizeof(struct kymo_allocator), NULL, no_alloc, NULL}};
    for (size_t i = 0; i < 3; i++) {
        o = options();
        o.allocator = &bad_allocators[i];
        must_refuse(&o, KYMO_EINVAL);
    }
    const struct kymo_allocator none = {sizeof(none), NULL, no_alloc, no_free};
    o.allocator = &none;
    must_refuse(&o, KYMO_ENOMEM);
    const struct kymo_clock bad_clocks[] = {{0, NULL, stopped_wall, stopped_monotonic},
                                            {sizeof(struct kymo_clock), NULL, NULL, stopped_monotonic},
                                            {sizeof(struct kymo_clock), NULL, stopped_wall, NULL}};
    for (size_t i = 0; i < 3; i++) {
        o = options();
        o.clock = &bad_clocks[i];
        must_refuse(&o, KYMO_EINVAL);
    }
}

static void test_bad_prefixes_and_constant_labels_are_refused_by_name(void)
{
    static const char *const prefixes[] = {"1x_", "a-b_", "a b", "\xc3\xa9_", "x\n"};
    static const struct {
        struct kymo_label label;
        int error;
    } bad[] = {
        {{"", "v"}, KYMO_ELABEL},        {{NULL, "v"}, KYMO_ELABEL},   {{"a:b", "v"}, KYMO_ELABEL},
        {{"9a", "v"}, KYMO_ELABEL},      {{"a-b", "v"}, KYMO_ELABEL},  {{"__a", "v"}, KYMO_ERESERVED},
        {{"a", NULL}, KYMO_EUTF8},       {{"a", "\xff"}, KYMO_EUTF8},  {{"a", "\xed\xa0\x80"}, KYMO_EUTF8},
        {{"a", "\xc0\x80"}, KYMO_EUTF8}, {{"good", "v"}, KYMO_ELABEL}, /* a second time */
    };
    struct kymo_registry_options o;
    struct log_book book = {0};
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        o = options();
        o.prefix = prefixes[i];
        o.log = log_note;
        o.log_ctx = &book;
        must_refuse(&o, KYMO_ENAME);
        CHECK(strstr(book.last, prefixes[i]) != NULL);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct kymo_label labels[] = {{"good", "v"}, bad[i].label};
        o = options();
        o.log = log_note;
        o.log_ctx = &book;
        o.const_labels = labels;
        o.n_const_labels = 2;
        book.last[0] = '\0';
        must_refuse(&o, bad[i].error);
        CHECK(bad[i].label.name == NULL || (book.last[0] != '\0' && strstr(book.last, bad[i].label.name) != NULL));
    }
    static struct kymo_label many[33];
    static char names[33][8];
    for (int i = 0; i < 33; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "l%d", i);
        many[i] = (struct kymo_label){names[i], "v"};
    }
    o = options();
    o.const_labels = many;
    o.n_const_labels = 33;
    must_refuse(&o, KYMO_ELABEL);
    char too_long[300];
    memset(too_long, 'a', 299);
    too_long[299] = '\0';
    o = options();
    o.prefix = too_long;
    must_refuse(&o, KYMO_ENAME);
}

/* The kymo_* families have labels of their own: a host that takes one of these names is told which. */
static void test_constant_labels_of_our_own_names_are_named_in_the_log(void)
{
    static const char *const names[] = {"family", "reason", "collector"};
    for (size_t i = 0; i < 3; i++) {
        const struct kymo_label label = {names[i], "v"};
        struct log_book book = {0};
        struct kymo_registry_options o = options();
        o.log = log_note;
        o.log_ctx = &book;
        o.const_labels = &label;
        o.n_const_labels = 1;
        must_refuse(&o, KYMO_ELABEL);
        CHECK(strstr(book.last, "kymo_") != NULL);
        o.no_self_metrics = 1;
        struct kymo_registry *reg;
        CHECK_INT(kymo_registry_new(&o, &reg), 0);
        kymo_registry_free(reg);
    }
}

static void test_shorter_options_are_read_as_if_zeros_followed(void)
{
    struct kymo_registry_options o = options();
    struct kymo_registry *reg;
    memset(&o, 0xff, sizeof(o));
    o.size = offsetof(struct kymo_registry_options, allocator);
    CHECK_INT(kymo_registry_new(&o, &reg), 0);
    (void)counter_new(reg, "x_total");
    CHECK(page_has(reg, "x_total 0"));
    CHECK(page_mentions(reg, "kymo_registry_series 1\n"));
    kymo_registry_free(reg);
    kymo_registry_free(NULL);
}

static void test_prefix_and_constant_labels_are_in_every_line(void)
{
    static const struct kymo_label labels[] = {{"host", "a\\b\"c\nd"}, {"empty", ""}};
    struct kymo_registry_options o = options();
    struct kymo_registry *reg;
    o.prefix = "srv_";
    o.const_labels = labels;
    o.n_const_labels = 2;
    REQUIRE(kymo_registry_new(&o, &reg) == 0);
    kymo_counter_inc(counter_new(reg, "x_total"));
    struct kymo_counter_family *f = family_new(reg, "y_total");
    kymo_counter_family_inc(f, KYMO_VALUES("1"));
    struct kymo_histogram *h;
    REQUIRE(kymo_histogram_new(reg, KYMO_DESC(.name = "h", .help = "H.", KYMO_BOUNDS(1)), &h) == 0);
    CHECK(page_has(reg, "srv_x_total{host=\"a\\\\b\\\"c\\nd\",empty=\"\"} 1"));
    CHECK(page_has(reg, "srv_y_total{host=\"a\\\\b\\\"c\\nd\",empty=\"\",v=\"1\"} 1"));
    CHECK(page_has(reg, "srv_h_bucket{host=\"a\\\\b\\\"c\\nd\",empty=\"\",le=\"1.0\"} 0"));
    CHECK(page_has(reg, "srv_h_count{host=\"a\\\\b\\\"c\\nd\",empty=\"\"} 0"));
    CHECK(page_has(reg, "kymo_registry_series{host=\"a\\\\b\\\"c\\nd\",empty=\"\"} 3"));
    CHECK(!page_mentions(reg, "srv_kymo_"));
    kymo_registry_free(reg);
}

static void test_self_metrics_can_be_left_out(void)
{
    struct kymo_registry_options o = options();
    struct kymo_registry *reg;
    o.no_self_metrics = 1;
    REQUIRE(kymo_registry_new(&o, &reg) == 0);
    struct page p = page_of(reg);
    CHECK_STRING(p.text, "");
    page_free(&p);
    (void)counter_new(reg, "x_total");
    p = page_of(reg);
    CHECK_STRING(p.text, "# HELP x_total Counter.\n# TYPE x_total counter\nx_total 0\n");
    page_free(&p);
    kymo_registry_free(reg);
}

/* ---- many registries ---- */

static void test_registries_share_nothing(void)
{
    struct kymo_registry *regs[60];
    struct kymo_counter *c[60];
    struct kymo_registry_options o = options();
    o.segment_bytes = (size_t)16 << 20; /* sixty times the default is more than valgrind has to give */
    for (int i = 0; i < 60; i++) {
        REQUIRE(kymo_registry_new(&o, &regs[i]) == 0);
        c[i] = counter_new(regs[i], "same_total");
    }
    for (int i = 0; i < 60; i++)
        kymo_counter_add_int(c[i], (uint64_t)i);
    for (int i = 0; i < 60; i++) {
        char line[40];
        (void)snprintf(line, sizeof(line), "same_total %d", i);
        CHECK(page_has(regs[i], line));
    }
    for (int i = 0; i < 60; i += 2)
        kymo_registry_free(regs[i]);
    for (int i = 1; i < 60; i += 2) {
        kymo_counter_inc(c[i]);
        CHECK_DOUBLE(kymo_counter_value(c[i]), i + 1);
        kymo_registry_free(regs[i]);
    }
}

static void test_a_hundred_registries_in_turn_leave_nothing(void)
{
    struct heap heap = HEAP_INIT;
    const struct kymo_allocator allocator = {sizeof(allocator), &heap, heap_alloc, heap_free};
    struct kymo_registry_options o = options();
    o.allocator = &allocator;
    for (int i = 0; i < 100; i++) {
        struct kymo_registry *reg;
        REQUIRE(kymo_registry_new(&o, &reg) == 0);
        struct kymo_counter *c = counter_new(reg, "x_total");
        kymo_counter_inc(c);
        kymo_counter_add(c, 0.5);
        CHECK(page_has(reg, "x_total 1.5"));
        kymo_registry_free(reg);
        heap_must_be_empty(&heap);
    }
}

static void test_stats_tell_what_is_there(void)
{
    struct heap heap = HEAP_INIT;
    const struct kymo_allocator allocator = {sizeof(allocator), &heap, heap_alloc, heap_free};
    struct kymo_registry_options o = options();
    struct kymo_registry *reg;
    struct kymo_registry_stats stats = {.size = sizeof(stats)};
    o.allocator = &allocator;
    o.segment_bytes = 5000000;
    REQUIRE(kymo_registry_new(&o, &reg) == 0);
    CHECK_INT(kymo_registry_get_stats(NULL, &stats), KYMO_EINVAL);
    CHECK_INT(kymo_registry_get_stats(reg, NULL), KYMO_EINVAL);
    stats.size = 0;
    CHECK_INT(kymo_registry_get_stats(reg, &stats), KYMO_EINVAL);
    stats.size = sizeof(stats);
    CHECK_INT(kymo_registry_get_stats(reg, &stats), 0);
    CHECK_U64(stats.n_families, 0);
    CHECK_U64(stats.n_series, 0);
    CHECK_U64(stats.heap_bytes, heap.live);
    CHECK(stats.segment_reserved_bytes >= 5000000 && stats.segment_reserved_bytes < 5000000 + 65536);
    kymo_counter_inc(counter_new(reg, "x_total"));
    struct kymo_counter_family *f = family_new(reg, "y_total");
    kymo_counter_family_inc(f, KYMO_VALUES("1"));
    kymo_counter_family_inc(f, KYMO_VALUES("2"));
    CHECK_INT(kymo_registry_get_stats(reg, &stats), 0);
    CHECK_U64(stats.n_families, 2);
    CHECK_U64(stats.n_series, 3);
    CHECK_U64(stats.n_shards, 1);
    CHECK_U64(stats.n_free_shards, 0);
    CHECK_U64(stats.heap_bytes, heap.live);
    kymo_thread_detach();
    CHECK_INT(kymo_registry_get_stats(reg, &stats), 0);
    CHECK_U64(stats.n_free_shards, 1);
    CHECK_INT(kymo_thread_attach(reg), 0);
    CHECK_INT(kymo_registry_get_stats(reg, &stats), 0);
    CHECK_U64(stats.n_free_shards, 0);
    CHECK_INT(kymo_thread_attach(NULL), KYMO_EINVAL);
    CHECK_INT(kymo_registry_sweep(NULL, 0), KYMO_EINVAL);
    CHECK_INT(kymo_registry_sweep(reg, 0), 0);
    CHECK_INT(kymo_after_fork_child((enum kymo_fork_values)7), KYMO_EINVAL);
    CHECK_INT(kymo_after_fork_child(KYMO_FORK_ZERO), 0); /* no fresh child: nothing happens */
    CHECK(page_has(reg, "x_total 1"));
    kymo_registry_free(reg);
    heap_must_be_empty(&heap);
}

static void *attach(void *arg)
{
    return (void *)(intptr_t)kymo_thread_attach(arg);
}

static void test_threads_beyond_max_shards_are_told_and_record_all_the_same(void)
{
    struct kymo_registry_options o = options();
    struct kymo_registry *reg;
    pthread_t thread;
    void *r;
    o.max_shards = 1;
    REQUIRE(kymo_registry_new(&o, &reg) == 0);
    (void)counter_new(reg, "x_total"); /* gives this thread the only shard */
    REQUIRE(pthread_create(&thread, NULL, attach, reg) == 0 && pthread_join(thread, &r) == 0);
    CHECK_INT((int)(intptr_t)r, KYMO_ELIMIT);
    kymo_registry_free(reg);
}

/* ---- time ---- */

static int note_start(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    if (strncmp(family->name, "kymo_", 5) != 0)
        *(int64_t *)ctx = point->start_ns;
    return 0;
}

static void test_time_comes_from_the_registry_s_clock(void)
{
    struct stopped_clock now = {1000000000500000000, 5000};
    const struct kymo_clock clock = {sizeof(clock), &now, stopped_wall, stopped_monotonic};
    struct kymo_registry_options o = options();
    struct kymo_registry *reg;
    struct kymo_histogram *h;
    int64_t start = 0;
    const struct kymo_visitor visitor = {sizeof(visitor), &start, NULL, note_start, NULL};
    o.clock = &clock;
    REQUIRE(kymo_registry_new(&o, &reg) == 0);
    struct kymo_gauge *g = gauge_new(reg, "last_seconds", KYMO_GAUGE_SET);
    CHECK_INT(kymo_registry_visit(reg, &visitor), 0);
    CHECK(start == 1000000000500000000);
    kymo_gauge_set_to_now(g);
    CHECK(page_has(reg, "last_seconds 1.0000000005e+09"));
    REQUIRE(kymo_histogram_new(reg, KYMO_DESC(.name = "t_seconds", .help = "T.", KYMO_BOUNDS(1, 2)), &h) == 0);
    struct kymo_counter *c = counter_new(reg, "spent_seconds_total");
    struct kymo_timer t = kymo_timer_start(reg);
    CHECK(t.start_ns == 5000);
    now.monotonic_ns += 1500000000;
    CHECK_DOUBLE(kymo_timer_observe(t, h), 1.5);
    CHECK_DOUBLE(kymo_timer_add(t, c), 1.5);
    now.monotonic_ns = 0; /* back: never negative */
    CHECK_DOUBLE(kymo_timer_observe(t, h), 0);
    CHECK(page_has(reg, "t_seconds_sum 1.5"));
    CHECK(page_has(reg, "t_seconds_bucket{le=\"2.0\"} 2"));
    CHECK(page_has(reg, "spent_seconds_total 1.5"));
    kymo_registry_free(reg);
}

/* A timer returns the seconds, NULL handle or not: those of the clock that started it. */
static void test_a_timer_without_a_handle_tells_the_same_seconds(void)
{
    struct stopped_clock now = {0, 1000};
    const struct kymo_clock clock = {sizeof(clock), &now, stopped_wall, stopped_monotonic};
    struct kymo_registry_options o = options();
    struct kymo_registry *reg;
    o.clock = &clock;
    REQUIRE(kymo_registry_new(&o, &reg) == 0);
    struct kymo_timer t = kymo_timer_start(reg);
    now.monotonic_ns += 2000000000;
    CHECK_DOUBLE(kymo_timer_observe(t, NULL), 2);
    CHECK_DOUBLE(kymo_timer_add(t, NULL), 2);
    kymo_registry_free(reg);
    t = kymo_timer_start(NULL);
    CHECK(kymo_timer_observe(t, NULL) >= 0);
}

/* ---- counters ---- */

static void test_counters_are_exact_around_every_power(void)
{
    static const uint64_t at[] = {UINT64_C(1) << 32, UINT64_C(1) << 53, UINT64_C(1) << 62, (UINT64_C(1) << 63) - 4};
    for (size_t i = 0; i < 4; i++) {
        struct kymo_registry *reg = registry_new();
        struct kymo_counter *c = counter_new(reg, "x_total");
        char line[40];
        kymo_counter_add_int(c, at[i] - 1);
        for (uint64_t n = at[i] - 1; n <= at[i] + 1; n++, kymo_counter_inc(c)) {
            (void)snprintf(line, sizeof(line), "x_total %" PRIu64, n);
            CHECK(page_has(reg, line));
            CHECK_DOUBLE(kymo_counter_value(c), (double)n);
        }
        kymo_registry_free(reg);
    }
}

static void test_counters_refuse_what_they_cannot_take_and_count_it(void)
{
    struct kymo_registry *reg = registry_new();
    struct kymo_counter *c = counter_new(reg, "x_total");
    struct kymo_counter_family *f = family_new(reg, "y_total");
    kymo_counter_add(c, (double)NAN);
    kymo_counter_add(c, -1);
    kymo_counter_add(c, -DBL_TRUE_MIN);
    kymo_counter_add(c, (double)INFINITY);
    kymo_counter_add(c, -(double)INFINITY);
    kymo_counter_add_int(c, (UINT64_C(1) << 63) + 1);
    kymo_counter_add_int(c, UINT64_MAX);
    kymo_counter_family_add(f, (double)NAN, KYMO_VALUES("1"));
    kymo_counter_family_add(f, -0.5, KYMO_VALUES("1"));
    kymo_counter_family_add(f, (double)INFINITY, KYMO_VALUES("1"));
    CHECK(page_has(reg, "x_total 0"));
    CHECK_U64(refused(reg, "x_total", "nan"), 1);
    CHECK_U64(refused(reg, "x_total", "negative"), 3);
    CHECK_U64(refused(reg, "x_total", "infinite"), 1);
    CHECK_U64(refused(reg, "x_total", "overflow"), 2);
    CHECK_U64(refused(reg, "y_total", "nan"), 1);
    CHECK_U64(refused(reg, "y_total", "negative"), 1);
    CHECK_U64(refused(reg, "y_total", "infinite"), 1);
    kymo_counter_add(c, -0.0);
    kymo_counter_add(c, 0);
    kymo_counter_add(c, DBL_TRUE_MIN);
    CHECK(page_has(reg, "x_total 5e-324"));
    kymo_counter_add(c, 4294967296.0);
    kymo_counter_add(c, 4294967297.0);
    CHECK_DOUBLE(kymo_counter_value(c), 8589934593.0);
    CHECK(page_has(reg, "x_total 8589934593"));
    kymo_counter_add(c, 0.1);
    kymo_counter_add(c, 0.2);
    CHECK_DOUBLE(kymo_counter_value(c), 4294967296.0 + (4294967297.0 + 0.1 + 0.2));
    kymo_registry_free(reg);
}

static void *add_quarter(void *arg)
{
    for (int i = 0; i < 4; i++)
        kymo_counter_add_int(arg, UINT64_C(1) << 61);
    return NULL;
}

/* 2^63 in all is the limit, whichever thread adds and wherever it is kept: past it nothing wraps. */
static void test_a_counter_never_wraps_even_from_threads_without_memory(void)
{
    struct kymo_registry *reg = registry_new();
    struct kymo_counter *c = counter_new(reg, "x_total");
    double before = 0;
    for (int i = 0; i < 4; i++) {
        pthread_t thread;
        REQUIRE(pthread_create(&thread, NULL, add_quarter, c) == 0 && pthread_join(thread, NULL) == 0);
        CHECK(kymo_counter_value(c) >= before);
        before = kymo_counter_value(c);
    }
    CHECK(before <= 9223372036854775808.0);
    CHECK_U64(refused(reg, "x_total", "overflow"), 12);
    kymo_registry_free(reg);
}

/* ---- gauges ---- */

static void test_a_set_gauge_takes_any_double(void)
{
    static const struct {
        double v;
        const char *line;
    } cases[] = {
        {1, "g 1"},
        {-0.1, "g -0.1"},
        {(double)INFINITY, "g +Inf"},
        {-(double)INFINITY, "g -Inf"},
        {1e300, "g 1e+300"},
        {(double)NAN, "g NaN"},
        {0, "g 0"},
    };
    struct kymo_registry *reg = registry_new();
    struct kymo_gauge *g = gauge_new(reg, "g", KYMO_GAUGE_SET);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        kymo_gauge_set(g, cases[i].v);
        CHECK(page_has(reg, cases[i].line));
        double back = kymo_gauge_value(g);
        CHECK(isnan(cases[i].v) ? isnan(back) : back == cases[i].v);
    }
    kymo_gauge_add(g, 2.5);
    kymo_gauge_sub(g, 1);
    kymo_gauge_inc(g);
    kymo_gauge_inc(g);
    kymo_gauge_dec(g);
    CHECK_DOUBLE(kymo_gauge_value(g), 2.5);
    kymo_gauge_add(g, (double)NAN);
    CHECK(isnan(kymo_gauge_value(g)));
    kymo_gauge_set(g, 1);
    CHECK_DOUBLE(kymo_gauge_value(g), 1);
    kymo_registry_free(reg);
}

enum { UPDOWN_TURNS = 20000 };

static void *up_and_down(void *arg)
{
    struct kymo_gauge *g = arg;
    for (int i = 0; i < UPDOWN_TURNS; i++) {
        kymo_gauge_inc(g);
        kymo_gauge_add(g, 0.5);
        kymo_gauge_dec(g);
        kymo_gauge_sub(g, 0.25);
        kymo_gauge_sub(g, 3);
        kymo_gauge_add(g, 3);
    }
    return NULL;
}

static void test_an_up_down_gauge_is_exact_across_threads(void)
{
    struct kymo_registry *reg = registry_new();
    struct kymo_gauge *g = gauge_new(reg, "g", KYMO_GAUGE_UPDOWN);
    pthread_t threads[4];
    for (int round = 0; round < 2; round++) {
        kymo_gauge_set(g, 10);
        CHECK_DOUBLE(kymo_gauge_value(g), 10);
        for (int i = 0; i < 4; i++)
            REQUIRE(pthread_create(&threads[i], NULL, up_and_down, g) == 0);
        for (int i = 0; i < 4; i++)
            REQUIRE(pthread_join(threads[i], NULL) == 0);
        CHECK_DOUBLE(kymo_gauge_value(g), 10 + UPDOWN_TURNS);
        CHECK(page_has(reg, "g 20010"));
    }
    kymo_gauge_set(g, -2.75);
    CHECK_DOUBLE(kymo_gauge_value(g), -2.75);
    kymo_gauge_set(g, 0);
    kymo_gauge_sub(g, 1);
    CHECK(page_has(reg, "g -1"));
    kymo_gauge_add(g, (double)NAN);
    kymo_gauge_add(g, (double)INFINITY);
    kymo_gauge_sub(g, (double)INFINITY);
    CHECK(page_has(reg, "g -1"));
    CHECK_U64(refused(reg, "g", "nan"), 1);
    CHECK_U64(refused(reg, "g", "infinite"), 2);
    kymo_registry_free(reg);
}

/* ---- histograms ---- */

static void test_histograms_count_where_the_bound_says(void)
{
    struct kymo_registry *reg = registry_new();
    struct kymo_histogram *h;
    uint64_t buckets[6];
    double sum;
    REQUIRE(kymo_histogram_new(reg, KYMO_DESC(.name = "h", .help = "H.", KYMO_BOUNDS(-1, 0, 1)), &h) == 0);
    static const double values[] = {-1, -1.5, -0.5, 0, -0.0, 1, 0.5, 1.0000001, 7};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        kymo_histogram_observe(h, values[i]);
    kymo_histogram_observe(h, (double)INFINITY);
    kymo_histogram_observe(h, -(double)INFINITY);
    kymo_histogram_observe(h, (double)NAN);
    kymo_histogram_observe_n(h, 0.5, 0);
    kymo_histogram_observe_n(h, 0.5, 10);
    kymo_histogram_observe_n(h, 0.5, (UINT64_C(1) << 32) + 1);
    CHECK_U64(kymo_histogram_value(h, &sum, buckets, 6), 21);
    CHECK_DOUBLE(sum, -1 - 1.5 - 0.5 + 1 + 0.5 + 1.0000001 + 7 + 5);
    static const uint64_t want[] = {3, 3, 12, 3, 0, 0};
    for (int i = 0; i < 6; i++)
        CHECK_U64(buckets[i], want[i]);
    CHECK_U64(refused(reg, "h", "nan"), 1);
    CHECK_U64(refused(reg, "h", "overflow"), 1);
    CHECK(page_has(reg, "h_bucket{le=\"+Inf\"} 21"));
    CHECK(page_has(reg, "h_bucket{le=\"-1.0\"} 3"));
    CHECK_U64(kymo_histogram_value(h, NULL, NULL, 0), 21);
    buckets[0] = 99;
    CHECK_U64(kymo_histogram_value(NULL, &sum, buckets, 1), 0);
    CHECK_DOUBLE(sum, 0);
    kymo_registry_free(reg);
}

static void test_a_histogram_without_bounds_has_the_preset_and_one_with_500_works(void)
{
    struct kymo_registry *reg = registry_new();
    struct kymo_histogram *h;
    static double bounds[500];
    static uint64_t buckets[501];
    REQUIRE(kymo_histogram_new(reg, KYMO_DESC(.name = "web", .help = "H."), &h) == 0);
    CHECK(page_has(reg, "web_bucket{le=\"0.005\"} 0"));
    CHECK(page_has(reg, "web_bucket{le=\"10.0\"} 0"));
    CHECK_INT(kymo_buckets_linear(bounds, 500, 1, 1), 0);
    REQUIRE(kymo_histogram_new(reg, KYMO_DESC(.name = "w", .help = "H.", .bounds = bounds, .n_bounds = 500), &h) == 0);
    for (int i = 0; i <= 500; i++)
        kymo_histogram_observe(h, i + 0.5);
    CHECK_U64(kymo_histogram_value(h, NULL, buckets, 501), 501);
    for (int i = 0; i <= 500; i++)
        CHECK_U64(buckets[i], 1);
    kymo_registry_free(reg);
}

static int increasing(const double *bounds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(bounds[i]) || (i > 0 && bounds[i] <= bounds[i - 1]))
            return 0;
    return 1;
}

static void test_bucket_helpers_and_presets_increase_strictly(void)
{
    double bounds[501];
    CHECK(increasing(kymo_buckets_web, kymo_buckets_web_n));
    CHECK(increasing(kymo_buckets_latency, kymo_buckets_latency_n));
    CHECK(increasing(kymo_buckets_ttft, kymo_buckets_ttft_n));
    CHECK(increasing(kymo_buckets_itl, kymo_buckets_itl_n));
    CHECK(increasing(kymo_buckets_e2e, kymo_buckets_e2e_n));
    CHECK(increasing(kymo_buckets_tokens, kymo_buckets_tokens_n));
    CHECK_INT(kymo_buckets_linear(bounds, 3, -1, 0.5), 0);
    CHECK(bounds[0] == -1 && bounds[1] == -0.5 && bounds[2] == 0);
    CHECK_INT(kymo_buckets_exponential(bounds, 4, 0.001, 10), 0);
    CHECK(increasing(bounds, 4) && bounds[0] == 0.001);
    CHECK_INT(kymo_buckets_linear(NULL, 3, 0, 1), KYMO_EINVAL);
    CHECK_INT(kymo_buckets_linear(bounds, 0, 0, 1), KYMO_EINVAL);
    CHECK_INT(kymo_buckets_linear(bounds, 501, 0, 1), KYMO_EBUCKETS);
    CHECK_INT(kymo_buckets_linear(bounds, 3, 0, 0), KYMO_EBUCKETS);
    CHECK_INT(kymo_buckets_linear(bounds, 3, 0, -1), KYMO_EBUCKETS);
    CHECK_INT(kymo_buckets_linear(bounds, 1, 0, -1), KYMO_EBUCKETS); /* width > 0, it says */
    CHECK_INT(kymo_buckets_linear(bounds, 3, (double)NAN, 1), KYMO_EBUCKETS);
    CHECK_INT(kymo_buckets_linear(bounds, 3, 1e300, 1), KYMO_EBUCKETS);
    CHECK_INT(kymo_buckets_linear(bounds, 3, 0, 1e308), KYMO_EBUCKETS);
    CHECK_INT(kymo_buckets_exponential(NULL, 3, 1, 2), KYMO_EINVAL);
    CHECK_INT(kymo_buckets_exponential(bounds, 3, 0, 2), KYMO_EBUCKETS);
    CHECK_INT(kymo_buckets_exponential(bounds, 3, 1, 1), KYMO_EBUCKETS);
    CHECK_INT(kymo_buckets_exponential(bounds, 3, 1, (double)NAN), KYMO_EBUCKETS);
    CHECK_INT(kymo_buckets_exponential(bounds, 500, 1, 10), KYMO_EBUCKETS);
}

/* ---- label values ---- */

static char *repeat(char c, size_t n)
{
    char *s = malloc(n + 1);
    REQUIRE(s != NULL);
    memset(s, c, n);
    s[n] = '\0';
    return s;
}

static void test_label_values_of_every_shape_are_found_again(void)
{
    static const char *const shapes[] = {
        "",
        "a",
        "1234567",
        "12345678",
        "123456789",
        "1234567812345678",
        "\\",
        "\"",
        "\n",
        "a\\",
        "\\n",
        "a\"",
        "\"\"\"\"\"\"\"\"",
        "a\nb\nc",
        "\\\\\"\n",
        "\xc3\xa9",
        "\xf0\x9f\x98\x80",
        "a,b=\"c\"",
        "x\",v=\"y",
        " ",
        "\t\r\x01",
        "1234567\"",
        "1234567\\",
        "12345678\"",
    };
    enum { N = sizeof(shapes) / sizeof(shapes[0]) };
    struct kymo_registry *reg = registry_new();
    struct kymo_counter_family *one = family_new(reg, "one_total"), *two;
    struct kymo_counter *handles[N][N];
    REQUIRE(kymo_counter_family_new(reg, KYMO_DESC(.name = "two_total", .help = "Two.", KYMO_LABELS("a", "b")), &two) ==
            0);
    for (size_t i = 0; i < N; i++) {
        struct kymo_counter *c = kymo_counter_with(one, KYMO_VALUES(shapes[i]));
        CHECK(c != NULL && c == kymo_counter_with(one, KYMO_VALUES(shapes[i])));
        kymo_counter_add_int(c, i);
        for (size_t j = 0; j < N; j++)
            handles[i][j] = kymo_counter_with(two, KYMO_VALUES(shapes[i], shapes[j]));
    }
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++) {
            kymo_counter_family_add(two, (double)(i * N + j), KYMO_VALUES(shapes[i], shapes[j]));
            CHECK(kymo_counter_with(two, KYMO_VALUES(shapes[i], shapes[j])) == handles[i][j]);
        }
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++)
            CHECK_DOUBLE(kymo_counter_value(handles[i][j]), (double)(i * N + j));
    struct page p = page_of(reg);
    struct text_page parsed;
    REQUIRE(text_parse(&parsed, p.text, p.n));
    for (size_t i = 0; i < N; i++) {
        const struct text_sample *s = text_find(&parsed, "one_total", i);
        CHECK_STRING(text_label_value(&parsed, s, "v"), shapes[i]);
        CHECK_DOUBLE(s->value, (double)i);
    }
    text_page_free(&parsed);
    page_free(&p);
    kymo_registry_free(reg);
}

static void test_long_label_values_work_up_to_the_limit_and_not_beyond(void)
{
    struct kymo_registry *reg = registry_new();
    struct kymo_counter_family *f = large_family_new(reg, "f_total"), *g;
    REQUIRE(kymo_counter_family_new(
                reg,
                KYMO_DESC(.name = "g_total", .help = "G.", KYMO_LABELS("a", "b"), KYMO_GUARD(.max_value_bytes = 60000)),
                &g) == 0);
    char *longest = repeat('x', 60000), *too_long = repeat('x', 60001), *half = repeat('"', 30000);
    struct kymo_counter *c = kymo_counter_with(f, KYMO_VALUES(longest));
    CHECK(c != NULL && c == kymo_counter_with(f, KYMO_VALUES(longest)));
    kymo_counter_inc(c);
    CHECK_DOUBLE(page_labelled(reg, "f_total", "v", longest), 1); /* under its own name, and no other */
    CHECK(kymo_counter_with(f, KYMO_VALUES(too_long)) == NULL);
    kymo_counter_family_inc(f, KYMO_VALUES(too_long));
    CHECK_U64(refused(reg, "f_total", "too_long"), 2);
    CHECK(kymo_counter_with(g, KYMO_VALUES(half, half)) != NULL);
    CHECK(kymo_counter_with(g, KYMO_VALUES(half, longest)) == NULL);
    CHECK_U64(refused(reg, "g_total", "too_long"), 1);
    CHECK_DOUBLE(page_labelled(reg, "g_total", "a", half), 0);
    CHECK(page_labelled(reg, "f_total", "v", "__other__") == -1); /* nothing was cut or folded on the way */
    CHECK(page_labelled(reg, "g_total", "b", "__other__") == -1);
    free(longest);
    free(too_long);
    free(half);
    kymo_registry_free(reg);
}

static void test_bad_label_values_are_refused_and_counted(void)
{
    struct kymo_registry *reg = registry_new();
    struct kymo_counter_family *f;
    struct kymo_gauge_family *g;
    struct kymo_histogram_family *h;
    const char *const null[] = {"a", NULL};
    REQUIRE(kymo_counter_family_new(reg, KYMO_DESC(.name = "f_total", .help = "F.", KYMO_LABELS("a", "b")), &f) == 0);
    REQUIRE(kymo_gauge_family_new(reg, KYMO_DESC(.name = "g", .help = "G.", KYMO_LABELS("a", "b")), &g) == 0);
    REQUIRE(kymo_histogram_family_new(reg, KYMO_DESC(.name = "h", .help = "H.", KYMO_LABELS("a", "b")), &h) == 0);
    CHECK(kymo_counter_with(NULL, KYMO_VALUES("a", "b")) == NULL);
    CHECK(kymo_counter_with(f, KYMO_VALUES("a")) == NULL);
    CHECK(kymo_counter_with(f, KYMO_VALUES("a", "b", "c")) == NULL);
    CHECK(kymo_counter_with(f, NULL, 2) == NULL);
    CHECK(kymo_counter_with(f, NULL, 0) == NULL);
    CHECK(kymo_counter_with(f, null, 2) == NULL);
    CHECK_U64(refused(reg, "f_total", "labels"), 5);
    CHECK(kymo_counter_with(f, KYMO_VALUES("a", "\xff")) == NULL);
    CHECK(kymo_counter_with(f, KYMO_VALUES("\xe2\x82", "a")) == NULL);
    CHECK_U64(refused(reg, "f_total", "utf8"), 2);
    kymo_counter_family_inc(f, KYMO_VALUES("a"));
    kymo_counter_family_inc(f, null, 2);
    kymo_counter_family_inc(f, NULL, 2);
    kymo_counter_family_add(f, 1.5, KYMO_VALUES("a", "\xff"));
    kymo_counter_family_inc(NULL, KYMO_VALUES("a"));
    CHECK_U64(refused(reg, "f_total", "labels"), 8);
    CHECK_U64(refused(reg, "f_total", "utf8"), 3);
    kymo_gauge_family_set(g, 1, KYMO_VALUES("a"));
    kymo_gauge_family_add(g, 1, null, 2);
    kymo_gauge_family_set(g, 1, KYMO_VALUES("a", "\xff"));
    CHECK_U64(refused(reg, "g", "labels"), 2);
    CHECK_U64(refused(reg, "g", "utf8"), 1);
    kymo_histogram_family_observe(h, 1, KYMO_VALUES("a"));
    kymo_histogram_family_observe(h, (double)NAN, KYMO_VALUES("a", "b"));
    CHECK_U64(refused(reg, "h", "labels"), 1);
    CHECK_U64(refused(reg, "h", "nan"), 1);
    CHECK(page_mentions(reg, "kymo_registry_series 0\n"));
    kymo_registry_free(reg);
}

/* Values chosen so that most of their bytes are equal and tables grow eleven times on the way. */
static void test_ten_thousand_series_are_each_found_again(void)
{
    enum { N = 10000 };
    static struct kymo_counter *handles[N];
    static const char *const formats[] = {"%d", "0000000000000000%d", "%d\"", "%08d%08d"};
    for (size_t k = 0; k < 4; k++) {
        struct kymo_registry *reg = registry_new();
        struct kymo_counter_family *f = large_family_new(reg, "f_total");
        char value[64];
        for (int i = 0; i < N; i++) {
            (void)snprintf(value, sizeof(value), formats[k], i, i);
            handles[i] = kymo_counter_with(f, KYMO_VALUES(value));
            CHECK(handles[i] != NULL);
            kymo_counter_add_int(handles[i], (uint64_t)i);
            (void)snprintf(value, sizeof(value), formats[k], i / 2, i / 2);
            CHECK(kymo_counter_with(f, KYMO_VALUES(value)) == handles[i / 2]);
        }
        for (int i = 0; i < N; i++) {
            (void)snprintf(value, sizeof(value), formats[k], i, i);
            CHECK(kymo_counter_with(f, KYMO_VALUES(value)) == handles[i]);
            kymo_counter_family_inc(f, KYMO_VALUES(value));
            CHECK_DOUBLE(kymo_counter_value(handles[i]), i + 1.0);
        }
        kymo_registry_free(reg);
    }
}

static void test_a_family_without_labels_has_at_most_one_series(void)
{
    struct kymo_registry *reg = registry_new();
    struct kymo_counter_family *f;
    REQUIRE(kymo_counter_family_new(reg, KYMO_DESC(.name = "f_total", .help = "F."), &f) == 0);
    CHECK(!page_mentions(reg, "\nf_total"));
    kymo_counter_family_inc(f, NULL, 0);
    struct kymo_counter *c = kymo_counter_with(f, NULL, 0);
    kymo_counter_inc(c);
    kymo_counter_family_inc(f, NULL, 0);
    CHECK(page_has(reg, "f_total 3"));
    kymo_counter_release(c);
    kymo_registry_free(reg);
}

/* ---- unregistering ---- */

struct ends {
    size_t n;
    double total;
    char families[256];
    char labels[256];
};

static void on_event(void *ctx, const struct kymo_event *event)
{
    struct ends *ends = ctx;
    const struct kymo_point *point = event->point;
    ends->n++;
    if (event->family->kind == KYMO_COUNTER)
        ends->total += (double)point->value.counter.whole + point->value.counter.fraction;
    else if (event->family->kind == KYMO_GAUGE)
        ends->total += point->value.gauge;
    else
        ends->total += point->value.histogram.sum;
    (void)snprintf(ends->families, sizeof(ends->families), "%s", event->family->name);
    (void)snprintf(ends->labels, sizeof(ends->labels), "%.*s", (int)point->labels_len, point->labels);
}

static struct kymo_registry *registry_with_events(struct ends *ends)
{
    struct kymo_registry_options o = options();
    struct kymo_registry *reg;
    o.event = on_event;
    o.event_ctx = ends;
    o.prefix = "p_";
    REQUIRE(kymo_registry_new(&o, &reg) == 0);
    return reg;
}

static void test_what_ends_is_announced_with_its_last_value(void)
{
    struct ends ends = {0};
    struct kymo_registry *reg = registry_with_events(&ends);
    struct kymo_counter_family *f = family_new(reg, "f_total");
    kymo_counter_family_add(f, 2, KYMO_VALUES("a"));
    kymo_counter_family_add(f, 0.5, KYMO_VALUES("b\n"));
    CHECK_INT(kymo_registry_unregister(NULL, "f_total"), KYMO_EINVAL);
    CHECK_INT(kymo_registry_unregister(reg, NULL), KYMO_EINVAL);
    CHECK_INT(kymo_registry_unregister(reg, "f_total"), KYMO_ENOENT);
    CHECK_INT(kymo_registry_unregister(reg, "kymo_registry_series"), KYMO_ENOENT);
    CHECK_INT(kymo_registry_unregister(reg, "p_f_total"), 0);
    CHECK_U64(ends.n, 2);
    CHECK_DOUBLE(ends.total, 2.5);
    CHECK_STRING(ends.families, "p_f_total");
    CHECK_STRING(ends.labels, "v=\"b\\n\"");
    CHECK_INT(kymo_registry_unregister(reg, "p_f_total"), KYMO_ENOENT);
    struct kymo_histogram *h;
    REQUIRE(kymo_histogram_new(reg, KYMO_DESC(.name = "h", .help = "H."), &h) == 0);
    kymo_histogram_observe(h, 4);
    CHECK_INT(kymo_registry_unregister(reg, "p_h"), 0);
    kymo_gauge_set(gauge_new(reg, "g", KYMO_GAUGE_SET), 8);
    CHECK_INT(kymo_registry_unregister(reg, "p_g"), 0);
    CHECK_U64(ends.n, 4);
    CHECK_DOUBLE(ends.total, 14.5);
    kymo_registry_free(reg);
    CHECK_U64(ends.n, 4);
}

static void test_handles_of_an_ended_series_record_nothing_and_say_so(void)
{
    struct kymo_registry *reg = registry_new();
    struct kymo_counter *c = counter_new(reg, "c_total");
    struct kymo_gauge *g = gauge_new(reg, "g", KYMO_GAUGE_SET), *u = gauge_new(reg, "u", KYMO_GAUGE_UPDOWN);
    struct kymo_histogram *h;
    REQUIRE(kymo_histogram_new(reg, KYMO_DESC(.name = "h", .help = "H."), &h) == 0);
    CHECK_INT(kymo_registry_unregister(reg, "c_total"), 0);
    CHECK_INT(kymo_registry_unregister(reg, "g"), 0);
    CHECK_INT(kymo_registry_unregister(reg, "u"), 0);
    CHECK_INT(kymo_registry_unregister(reg, "h"), 0);
    kymo_counter_inc(c);
    kymo_counter_add(c, 0.5);
    kymo_counter_add_int(c, UINT64_C(1) << 40);
    kymo_gauge_set(g, 1);
    kymo_gauge_add(g, 1);
    kymo_gauge_set_to_now(g);
    kymo_gauge_set(u, 1);
    kymo_gauge_dec(u);
    kymo_histogram_observe(h, 1);
    kymo_histogram_observe_n(h, 1, 3);
    CHECK_DOUBLE(kymo_counter_value(c), 0);
    CHECK_DOUBLE(kymo_gauge_value(g), 0);
    CHECK_U64(kymo_histogram_value(h, NULL, NULL, 0), 0);
    CHECK_U64(refused(reg, "c_total", "unregistered"), 3);
    CHECK_U64(refused(reg, "g", "unregistered"), 3);
    CHECK_U64(refused(reg, "u", "unregistered"), 2);
    CHECK_U64(refused(reg, "h", "unregistered"), 2);
    kymo_counter_release(c);
    kymo_gauge_release(g);
    kymo_histogram_release(h);
    kymo_registry_free(reg);
}

/* The family's handle stays safe as well, for labels that were there and for new ones. */
static void test_a_family_handle_is_safe_after_unregistering(void)
{
    struct kymo_registry *reg = registry_new();
    struct kymo_counter_family *f = family_new(reg, "f_total");
    struct kymo_counter *other = counter_new(reg, "other_total");
    (void)kymo_counter_with(f, KYMO_VALUES("old"));
    CHECK_INT(kymo_registry_unregister(reg, "f_total"), 0);
    CHECK(kymo_counter_with(f, KYMO_VALUES("new")) == NULL);
    kymo_counter_family_inc(f, KYMO_VALUES("old"));
    kymo_counter_family_inc(f, KYMO_VALUES("new"));
    struct kymo_counter *c = kymo_counter_with(f, KYMO_VALUES("old"));
    CHECK(c == NULL);
    CHECK_U64(refused(reg, "f_total", "unregistered"), 4);
    CHECK_DOUBLE(kymo_counter_value(other), 0);
    kymo_registry_free(reg);
}

static void test_a_name_can_be_registered_again(void)
{
    struct kymo_registry *reg = registry_new();
    struct kymo_counter *old = counter_new(reg, "x_total");
    kymo_counter_add_int(old, 5);
    for (int i = 0; i < 5; i++) {
        CHECK_INT(kymo_registry_unregister(reg, "x_total"), 0);
        struct kymo_counter *c = counter_new(reg, "x_total");
        CHECK(c != old);
        CHECK(page_has(reg, "x_total 0"));
        kymo_counter_inc(old); /* not its own any more */
        kymo_counter_inc(c);
        CHECK(page_has(reg, "x_total 1"));
        CHECK_U64(refused(reg, "x_total", "unregistered"), (uint64_t)i + 1);
        old = c;
    }
    CHECK_INT(kymo_registry_unregister(reg, "x_total"), 0);
    struct kymo_histogram *h; /* another kind under the same name */
    CHECK_INT(kymo_histogram_new(reg, KYMO_DESC(.name = "x_total", .help = "H."), &h), 0);
    CHECK(page_has(reg, "x_total_count 0"));
    kymo_registry_free(reg);
}

static uint64_t segment_used(struct kymo_registry *reg)
{
    struct kymo_registry_stats stats = {.size = sizeof(stats)};
    CHECK_INT(kymo_registry_get_stats(reg, &stats), 0);
    return stats.segment_used_bytes;
}

/* K7: a slot given to another series shows nothing of the one before. */
static void test_slots_are_used_again_without_old_values(void)
{
    struct kymo_registry *reg = registry_new();
    static const double bounds[] = {1, 2, 3, 4, 5, 6, 7, 8};
    uint64_t early = 0;
    for (int turn = 0; turn < 600; turn++) {
        struct kymo_histogram *h;
        uint64_t buckets[9];
        double sum;
        REQUIRE(kymo_histogram_new(reg, KYMO_DESC(.name = "h", .help = "H.", .bounds = bounds, .n_bounds = 8), &h) ==
                0);
        struct kymo_counter *c = counter_new(reg, "c_total");
        struct kymo_gauge *g = gauge_new(reg, "g", KYMO_GAUGE_SET), *u = gauge_new(reg, "u", KYMO_GAUGE_UPDOWN);
        CHECK_DOUBLE(kymo_counter_value(c), 0);
        CHECK_DOUBLE(kymo_gauge_value(g), 0);
        CHECK_DOUBLE(kymo_gauge_value(u), 0);
        CHECK_U64(kymo_histogram_value(h, &sum, buckets, 9), 0);
        CHECK_DOUBLE(sum, 0);
        for (int i = 0; i < 9; i++)
            CHECK_U64(buckets[i], 0);
        kymo_histogram_observe(h, turn % 9 + 0.5);
        kymo_counter_add(c, turn + 0.5);
        kymo_counter_inc(c);
        kymo_gauge_set(g, turn);
        kymo_gauge_add(u, -turn - 0.25);
        kymo_gauge_inc(u);
        CHECK_INT(kymo_registry_unregister(reg, "h"), 0);
        CHECK_INT(kymo_registry_unregister(reg, "c_total"), 0);
        CHECK_INT(kymo_registry_unregister(reg, "g"), 0);
        CHECK_INT(kymo_registry_unregister(reg, "u"), 0);
        early = turn == 10 ? segment_used(reg) : early;
    }
    /* 590 turns of new words would take 12 columns of 8 KiB for histograms alone. */
    CHECK(segment_used(reg) - early < 4 * 65536 + 590 * 4 * 512);
    CHECK(page_mentions(reg, "kymo_registry_series 0\n"));
    kymo_registry_free(reg);
}

/* ---- callbacks ---- */

struct told {
    double value;
    size_t calls;
};

static double tell(void *ctx)
{
    struct told *told = ctx;
    told->calls++;
    return told->value;
}

static void test_callbacks_are_read_at_each_scrape(void)
{
    struct kymo_registry *reg = registry_new();
    struct told c = {2, 0}, g = {-1.5, 0};
    CHECK_INT(kymo_counter_callback(reg, KYMO_DESC(.name = "c_total", .help = "C."), tell, &c), 0);
    CHECK_INT(kymo_gauge_callback(reg, KYMO_DESC(.name = "g", .help = "G."), tell, &g), 0);
    CHECK_INT(kymo_gauge_callback(reg, KYMO_DESC(.name = "n", .help = "N."), NULL, NULL), KYMO_EINVAL);
    CHECK_INT(kymo_gauge_callback(reg, KYMO_DESC(.name = "n", .help = "N.", KYMO_LABELS("a")), tell, &g), KYMO_EKIND);
    CHECK_INT(kymo_gauge_callback(reg, KYMO_DESC(.name = "g", .help = "N."), tell, &g), KYMO_EEXIST);
    CHECK(page_has(reg, "c_total 2"));
    CHECK(page_has(reg, "g -1.5"));
    CHECK_U64(c.calls, 2);
    c.value = (double)NAN;
    g.value = (double)NAN;
    CHECK(!page_mentions(reg, "c_total"));
    CHECK(page_has(reg, "g NaN"));
    c.value = -1; /* a counter is never negative */
    CHECK(!page_mentions(reg, "c_total"));
    CHECK_INT(kymo_registry_unregister(reg, "c_total"), 0);
    CHECK_INT(kymo_registry_unregister(reg, "g"), 0);
    size_t calls = c.calls + g.calls;
    CHECK(!page_mentions(reg, "g NaN"));
    CHECK_U64(c.calls + g.calls, calls);
    kymo_registry_free(reg);
}

/* ---- aliases ---- */

static int see_alias(void *ctx, const struct kymo_family *family)
{
    int *seen = ctx;
    if (strcmp(family->name, "x_total") == 0 && family->desc->n_aliases == 1)
        *seen += strcmp(family->desc->aliases[0].name, "old_total") == 0 &&
                 strcmp(family->desc->aliases[0].until, "2027-03") == 0;
    return 0;
}

static int see_nothing(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    (void)ctx, (void)family, (void)point;
    return 0;
}

static void test_an_alias_is_kept_and_shown(void)
{
    struct kymo_alias alias = {"old_total", "2027-03"};
    struct kymo_registry *reg = registry_new();
    struct kymo_counter *c;
    int seen = 0;
    const struct kymo_visitor visitor = {sizeof(visitor), &seen, see_alias, see_nothing, NULL};
    CHECK_INT(kymo_counter_new(reg, KYMO_DESC(.name = "x_total", .help = "X.", .aliases = &alias, .n_aliases = 1), &c),
              0);
    alias.name = alias.until = NULL; /* it was copied */
    kymo_counter_inc(c);
    CHECK(page_has(reg, "x_total 1"));
    CHECK(page_has(reg, "old_total 1"));
    CHECK_INT(kymo_registry_visit(reg, &visitor), 0);
    CHECK_INT(seen, 1);
    kymo_registry_free(reg);
}

/* ---- what needs no registry ---- */

static void test_version_features_and_null_handles(void)
{
    CHECK_U64(kymo_version(), KYMO_VERSION);
    CHECK_INT(kymo_has("encoder:text"), 1);
    CHECK_INT(kymo_has("encoder:nonsense"), 0);
    CHECK_INT(kymo_has("encoder:"), 0);
    CHECK_INT(kymo_has(""), 0);
    CHECK_INT(kymo_has(NULL), 0);
    CHECK_INT(kymo_has("nonsense"), 0);
    CHECK(kymo_has("wipe-on-fork") == 0 || kymo_has("wipe-on-fork") == 1);
    CHECK(kymo_has("asymmetric-fence") == 0 || kymo_has("asymmetric-fence") == 1);
    CHECK(kymo_has("pair-cas") == 0 || kymo_has("pair-cas") == 1);
    kymo_counter_inc(NULL);
    kymo_counter_add(NULL, -1);
    kymo_counter_add_int(NULL, 1);
    kymo_gauge_set(NULL, 1);
    kymo_gauge_add(NULL, 1);
    kymo_gauge_sub(NULL, 1);
    kymo_gauge_inc(NULL);
    kymo_gauge_dec(NULL);
    kymo_gauge_set_to_now(NULL);
    kymo_histogram_observe(NULL, 1);
    kymo_histogram_observe_n(NULL, 1, 1);
    kymo_counter_family_add(NULL, 1, NULL, 0);
    kymo_gauge_family_set(NULL, 1, NULL, 0);
    kymo_gauge_family_add(NULL, 1, NULL, 0);
    kymo_histogram_family_observe(NULL, 1, NULL, 0);
    kymo_counter_release(NULL);
    kymo_gauge_release(NULL);
    kymo_histogram_release(NULL);
    CHECK_DOUBLE(kymo_counter_value(NULL), 0);
    CHECK_DOUBLE(kymo_gauge_value(NULL), 0);
}

TEST_MAIN(TEST(test_bad_options_are_refused_by_name), TEST(test_bad_prefixes_and_constant_labels_are_refused_by_name),
          TEST(test_constant_labels_of_our_own_names_are_named_in_the_log),
          TEST(test_shorter_options_are_read_as_if_zeros_followed),
          TEST(test_prefix_and_constant_labels_are_in_every_line), TEST(test_self_metrics_can_be_left_out),
          TEST(test_registries_share_nothing), TEST(test_a_hundred_registries_in_turn_leave_nothing),
          TEST(test_stats_tell_what_is_there), TEST(test_threads_beyond_max_shards_are_told_and_record_all_the_same),
          TEST(test_time_comes_from_the_registry_s_clock), TEST(test_a_timer_without_a_handle_tells_the_same_seconds),
          TEST(test_counters_are_exact_around_every_power),
          TEST(test_counters_refuse_what_they_cannot_take_and_count_it),
          TEST(test_a_counter_never_wraps_even_from_threads_without_memory), TEST(test_a_set_gauge_takes_any_double),
          TEST(test_an_up_down_gauge_is_exact_across_threads), TEST(test_histograms_count_where_the_bound_says),
          TEST(test_a_histogram_without_bounds_has_the_preset_and_one_with_500_works),
          TEST(test_bucket_helpers_and_presets_increase_strictly),
          TEST(test_label_values_of_every_shape_are_found_again),
          TEST(test_long_label_values_work_up_to_the_limit_and_not_beyond),
          TEST(test_bad_label_values_are_refused_and_counted), TEST(test_ten_thousand_series_are_each_found_again),
          TEST(test_a_family_without_labels_has_at_most_one_series),
          TEST(test_what_ends_is_announced_with_its_last_value),
          TEST(test_handles_of_an_ended_series_record_nothing_and_say_so),
          TEST(test_a_family_handle_is_safe_after_unregistering), TEST(test_a_name_can_be_registered_again),
          TEST(test_slots_are_used_again_without_old_values), TEST(test_callbacks_are_read_at_each_scrape),
          TEST(test_an_alias_is_kept_and_shown), TEST(test_version_features_and_null_handles))
