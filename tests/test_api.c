/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_api.c - every public function is called once, by a program that sees the public headers and the shared library.
 *
 * What each function does in depth is for the other tests; this one proves that it is exported, that its header stands
 * on its own in C11, and that the plainest use of it works. test_api.cpp is the same in C++11.
 */
#include <kymo/base.h>
#include <kymo/desc.h>
#include <kymo/encode.h>
#include <kymo/kymo.h>
#include <kymo/metric.h>
#include <kymo/registry.h>
#include <kymo/visit.h>

#include "test.h"

static double half(void *ctx)
{
    (void)ctx;
    return 0.5;
}

static int collect(void *ctx, struct kymo_visit *visit)
{
    struct kymo_point point;
    memset(&point, 0, sizeof(point));
    point.size = sizeof(point);
    point.value.gauge = 6;
    ++*(int *)ctx;
    return kymo_collect(visit, 0, &point);
}

static void detached(void *ctx)
{
    *(int *)ctx += 100;
}

static int print(void *ctx, const char *data, size_t n)
{
    char *text = ctx;
    size_t have = strlen(text);
    REQUIRE(have + n < 20000);
    memcpy(text + have, data, n);
    text[have + n] = '\0';
    return 0;
}

static int see(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    char value[16];
    if (family->desc->n_labels == 2 && strcmp(family->name, "calls_total") == 0) {
        CHECK_U64(kymo_point_value(family, point, 1, value, sizeof(value)), 3);
        CHECK_STRING(value, "200");
    }
    ++*(int *)ctx;
    return 0;
}

static void record(struct kymo_registry *reg)
{
    struct kymo_counter *c;
    struct kymo_gauge *g, *u;
    struct kymo_histogram *h;
    CHECK_INT(kymo_counter_new(reg, KYMO_DESC(.name = "c_seconds_total", .help = "C.", .unit = "seconds"), &c), 0);
    CHECK_INT(kymo_gauge_new(reg, KYMO_DESC(.name = "g", .help = "G."), &g), 0);
    CHECK_INT(kymo_gauge_new(reg, KYMO_DESC(.name = "u", .help = "U.", .gauge_mode = KYMO_GAUGE_UPDOWN), &u), 0);
    CHECK_INT(kymo_histogram_new(reg, KYMO_DESC(.name = "h", .help = "H.", KYMO_BOUNDS(1, 2)), &h), 0);
    kymo_counter_inc(c);
    kymo_counter_add_int(c, 2);
    kymo_counter_add(c, 0.5);
    kymo_gauge_set_to_now(g);
    CHECK(kymo_gauge_value(g) > 1e9);
    kymo_gauge_set(g, 1);
    kymo_gauge_add(u, 4);
    kymo_gauge_sub(u, 1);
    kymo_gauge_inc(u);
    kymo_gauge_dec(u);
    kymo_histogram_observe(h, 1.5);
    kymo_histogram_observe_n(h, 0.5, 2);
    CHECK_DOUBLE(kymo_counter_value(c), 3.5);
    CHECK_DOUBLE(kymo_gauge_value(g), 1);
    CHECK_DOUBLE(kymo_gauge_value(u), 3);
    uint64_t buckets[3];
    double sum;
    CHECK_U64(kymo_histogram_value(h, &sum, buckets, 3), 3);
    CHECK(sum == 2.5 && buckets[0] == 2 && buckets[1] == 1 && buckets[2] == 0);
    struct kymo_timer t = kymo_timer_start(reg);
    CHECK(kymo_timer_observe(t, h) >= 0);
    CHECK(kymo_timer_add(t, c) >= 0);
}

static void record_by_labels(struct kymo_registry *reg)
{
    struct kymo_counter_family *cf;
    struct kymo_gauge_family *gf;
    struct kymo_histogram_family *hf;
    CHECK_INT(kymo_counter_family_new(
                  reg, KYMO_DESC(.name = "calls_total", .help = "Calls.", KYMO_LABELS("method", "code")), &cf),
              0);
    CHECK_INT(kymo_gauge_family_new(reg, KYMO_DESC(.name = "level", .help = "Level.", KYMO_LABELS("tank")), &gf), 0);
    CHECK_INT(kymo_histogram_family_new(reg,
                                        KYMO_DESC(.name = "took_seconds", .help = "Took.", KYMO_LABELS("op"),
                                                  KYMO_BUCKETS(kymo_buckets_latency)),
                                        &hf),
              0);
    struct kymo_counter *c = kymo_counter_with(cf, KYMO_VALUES("GET", "200"));
    struct kymo_gauge *g = kymo_gauge_with(gf, KYMO_VALUES("a"));
    struct kymo_histogram *h = kymo_histogram_with(hf, KYMO_VALUES("read"));
    kymo_counter_family_inc(cf, KYMO_VALUES("GET", "200"));
    kymo_counter_family_add(cf, 2, KYMO_VALUES("GET", "200"));
    kymo_gauge_family_set(gf, 4, KYMO_VALUES("a"));
    kymo_gauge_family_add(gf, 1, KYMO_VALUES("a"));
    kymo_histogram_family_observe(hf, 1, KYMO_VALUES("read"));
    CHECK_DOUBLE(kymo_counter_value(c), 3);
    CHECK_DOUBLE(kymo_gauge_value(g), 5);
    CHECK_U64(kymo_histogram_value(h, NULL, NULL, 0), 1);
    kymo_counter_release(c);
    kymo_gauge_release(g);
    kymo_histogram_release(h);
}

static void scrape(struct kymo_registry *reg, const char *want)
{
    static char pushed[20000], pulled[20000];
    const struct kymo_sink sink = {sizeof(sink), pushed, print};
    const struct kymo_format *format = kymo_format_find("text");
    struct kymo_scrape *s;
    size_t at = 0, n = 1;
    REQUIRE(format != NULL && kymo_encoder_at(0) != NULL);
    pushed[0] = '\0';
    CHECK_INT(kymo_registry_write(reg, format, &sink), 0);
    CHECK(strstr(pushed, want) != NULL);
    CHECK_INT(kymo_scrape_new(reg, format, &s), 0);
    for (; n != 0 && at < sizeof(pulled); at += n)
        CHECK_INT(kymo_scrape_read(s, pulled + at, sizeof(pulled) - at, &n), 0);
    kymo_scrape_free(s);
    CHECK(at > 0 && strncmp(pulled, pushed, 20) == 0);
}

static void test_every_function_works_from_outside(void)
{
    static const struct kymo_desc seen = {.size = sizeof(seen), .name = "seen", .help = "Seen."};
    static const enum kymo_kind kind = KYMO_GAUGE;
    static const struct kymo_collector_ops ops = {sizeof(ops), "api", &seen, &kind, 1, collect, detached};
    struct kymo_registry *reg;
    struct kymo_collector *collector;
    struct kymo_registry_stats stats = {.size = sizeof(stats)};
    int runs = 0, points = 0;
    const struct kymo_visitor visitor = {sizeof(visitor), &points, NULL, see, NULL};
    CHECK_INT(kymo_registry_new(NULL, &reg), 0);
    CHECK_INT(kymo_thread_attach(reg), 0);
    record(reg);
    record_by_labels(reg);
    CHECK_INT(kymo_counter_callback(reg, KYMO_DESC(.name = "cb_total", .help = "Cb."), half, NULL), 0);
    CHECK_INT(kymo_gauge_callback(reg, KYMO_DESC(.name = "gb", .help = "Gb."), half, NULL), 0);
    CHECK_INT(kymo_collector_attach(reg, &ops, &runs, &collector), 0);
    scrape(reg, "\nseen 6\n");
    scrape(reg, "\ncb_total 0.5\n");
    CHECK_INT(kymo_registry_visit(reg, &visitor), 0);
    CHECK(points > 10 && runs == 5);
    CHECK_INT(kymo_collector_detach(collector), 0);
    CHECK_INT(runs, 105);
    CHECK_INT(kymo_registry_unregister(reg, "g"), 0);
    CHECK_INT(kymo_registry_sweep(reg, 0), 0);
    CHECK_INT(kymo_registry_get_stats(reg, &stats), 0);
    CHECK_U64(stats.n_families, 8);
    CHECK_INT(kymo_after_fork_child(KYMO_FORK_KEEP), 0);
    kymo_thread_detach();
    kymo_registry_free(reg);
}

static void test_what_needs_no_registry(void)
{
    double bounds[3];
    struct kymo_desc d;
    CHECK_U64(kymo_version(), KYMO_VERSION);
    CHECK_INT(kymo_has("encoder:text"), 1);
    CHECK_STRING(kymo_error_name(KYMO_ENAME), "KYMO_ENAME");
    CHECK(strlen(kymo_strerror(KYMO_ENAME)) > 10);
    CHECK_INT(kymo_buckets_linear(bounds, 3, 1, 1), 0);
    CHECK_INT(kymo_buckets_exponential(bounds, 3, 1, 2), 0);
    CHECK(kymo_buckets_web[0] == 0.005 && kymo_buckets_latency[15] == 60 && kymo_buckets_ttft[0] == 0.001 &&
          kymo_buckets_itl[0] == 0.01 && kymo_buckets_e2e[0] == 0.3 && kymo_buckets_tokens[0] == 1);
    kymo_desc_init(&d, "x", "X.");
    CHECK(d.size == sizeof(d) && d.unit == NULL && d.n_labels == 0);
}

TEST_MAIN(TEST(test_every_function_works_from_outside), TEST(test_what_needs_no_registry))
