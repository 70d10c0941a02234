/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_api.cpp - the same as test_api.c in C++11: the headers compile, and the function forms do what the macros do.
 */
#include <kymo/kymo.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <thread>

static int failures;

static void check(bool holds, const char *what, int line)
{
    if (holds)
        return;
    failures++;
    std::fprintf(stderr, "test_api.cpp:%d: %s\n", line, what);
}

#define CHECK(condition) check((condition), #condition, __LINE__)

static double half(void *)
{
    return 0.5;
}

static int collect(void *ctx, kymo_visit *visit)
{
    kymo_point point = kymo_point();
    point.size = sizeof(point);
    point.value.gauge = 6;
    ++*static_cast<int *>(ctx);
    return kymo_collect(visit, 0, &point);
}

static void detached(void *ctx)
{
    *static_cast<int *>(ctx) += 100;
}

static int append(void *ctx, const char *data, size_t n)
{
    static_cast<std::string *>(ctx)->append(data, n);
    return 0;
}

static int see(void *ctx, const kymo_family *family, const kymo_point *point)
{
    char value[16] = "";
    if (std::strcmp(family->name, "calls_total") == 0)
        CHECK(kymo_point_value(family, point, 1, value, sizeof(value)) == 3 && std::string(value) == "200");
    ++*static_cast<int *>(ctx);
    return 0;
}

static void record(kymo_registry *reg)
{
    static const double bounds[] = {1, 2};
    static const kymo_alias alias = {"old_g", "2027-03"};
    kymo_counter *c = nullptr;
    kymo_gauge *g = nullptr, *u = nullptr;
    kymo_histogram *h = nullptr;
    kymo_desc d;
    kymo_desc_init(&d, "c_seconds_total", "C.");
    kymo_desc_set_unit(&d, "seconds");
    CHECK(kymo_counter_new(reg, &d, &c) == 0);
    kymo_desc_init(&d, "g", "G.");
    kymo_desc_set_aliases(&d, &alias, 1);
    CHECK(kymo_gauge_new(reg, &d, &g) == 0);
    kymo_desc_init(&d, "u", "U.");
    kymo_desc_set_gauge_mode(&d, KYMO_GAUGE_UPDOWN);
    CHECK(kymo_gauge_new(reg, &d, &u) == 0);
    kymo_desc_init(&d, "h", "H.");
    kymo_desc_set_bounds(&d, bounds, 2);
    CHECK(kymo_histogram_new(reg, &d, &h) == 0);
    kymo_counter_inc(c);
    kymo_counter_add_int(c, 2);
    kymo_counter_add(c, 0.5);
    kymo_gauge_set_to_now(g);
    kymo_gauge_set(g, 1);
    kymo_gauge_add(u, 4);
    kymo_gauge_sub(u, 1);
    kymo_gauge_inc(u);
    kymo_gauge_dec(u);
    kymo_histogram_observe(h, 1.5);
    kymo_histogram_observe_n(h, 0.5, 2);
    std::thread other([=] { kymo_counter_inc(c); });
    other.join();
    CHECK(kymo_counter_value(c) == 4.5 && kymo_gauge_value(g) == 1 && kymo_gauge_value(u) == 3);
    uint64_t buckets[3];
    double sum = 0;
    CHECK(kymo_histogram_value(h, &sum, buckets, 3) == 3 && sum == 2.5 && buckets[0] == 2 && buckets[1] == 1);
    kymo_timer t = kymo_timer_start(reg);
    CHECK(kymo_timer_observe(t, h) >= 0);
    CHECK(kymo_timer_add(t, c) >= 0);
}

static void record_by_labels(kymo_registry *reg)
{
    static const char *const two[] = {"method", "code"}, *const one[] = {"op"};
    static const char *const get[] = {"GET", "200"}, *const read[] = {"read"};
    kymo_counter_family *cf = nullptr;
    kymo_gauge_family *gf = nullptr;
    kymo_histogram_family *hf = nullptr;
    kymo_desc d;
    kymo_desc_init(&d, "calls_total", "Calls.");
    kymo_desc_set_labels(&d, two, 2);
    CHECK(kymo_counter_family_new(reg, &d, &cf) == 0);
    kymo_desc_init(&d, "level", "Level.");
    kymo_desc_set_labels(&d, one, 1);
    CHECK(kymo_gauge_family_new(reg, &d, &gf) == 0);
    kymo_desc_init(&d, "took_seconds", "Took.");
    kymo_desc_set_labels(&d, one, 1);
    kymo_desc_set_bounds(&d, kymo_buckets_latency, kymo_buckets_latency_n);
    CHECK(kymo_histogram_family_new(reg, &d, &hf) == 0);
    kymo_counter *c = kymo_counter_with(cf, get, 2);
    kymo_gauge *g = kymo_gauge_with(gf, read, 1);
    kymo_histogram *h = kymo_histogram_with(hf, read, 1);
    kymo_counter_family_inc(cf, get, 2);
    kymo_counter_family_add(cf, 2, get, 2);
    kymo_gauge_family_set(gf, 4, read, 1);
    kymo_gauge_family_add(gf, 1, read, 1);
    kymo_histogram_family_observe(hf, 1, read, 1);
    CHECK(kymo_counter_value(c) == 3 && kymo_gauge_value(g) == 5);
    CHECK(kymo_histogram_value(h, nullptr, nullptr, 0) == 1);
    kymo_counter_release(c);
    kymo_gauge_release(g);
    kymo_histogram_release(h);
}

static void scrape(kymo_registry *reg, const char *want)
{
    std::string pushed, pulled;
    const kymo_format *format = kymo_format_find("text");
    kymo_sink sink = {sizeof(kymo_sink), &pushed, append};
    kymo_scrape *s = nullptr;
    char piece[100];
    size_t n = 1;
    CHECK(format != nullptr && kymo_encoder_at(0) != nullptr);
    CHECK(kymo_registry_write(reg, format, &sink) == 0);
    CHECK(pushed.find(want) != std::string::npos);
    CHECK(kymo_scrape_new(reg, format, &s) == 0);
    while (n != 0 && kymo_scrape_read(s, piece, sizeof(piece), &n) == 0)
        pulled.append(piece, n);
    kymo_scrape_free(s);
    CHECK(pulled.find(want) != std::string::npos);
}

static void run_with_a_registry()
{
    kymo_desc seen;
    kymo_desc_init(&seen, "seen", "Seen.");
    const kymo_kind kind = KYMO_GAUGE;
    kymo_collector_ops ops = {sizeof(kymo_collector_ops), "api", &seen, &kind, 1, collect, detached};
    kymo_registry *reg = nullptr;
    kymo_collector *collector = nullptr;
    kymo_registry_options options = kymo_registry_options();
    kymo_registry_stats stats = kymo_registry_stats();
    int runs = 0, points = 0;
    kymo_visitor visitor = {sizeof(kymo_visitor), &points, nullptr, see, nullptr};
    kymo_desc d;
    options.size = sizeof(options);
    stats.size = sizeof(stats);
    CHECK(kymo_registry_new(&options, &reg) == 0);
    CHECK(kymo_thread_attach(reg) == 0);
    record(reg);
    record_by_labels(reg);
    kymo_desc_init(&d, "cb_total", "Cb.");
    CHECK(kymo_counter_callback(reg, &d, half, nullptr) == 0);
    kymo_desc_init(&d, "gb", "Gb.");
    CHECK(kymo_gauge_callback(reg, &d, half, nullptr) == 0);
    CHECK(kymo_collector_attach(reg, &ops, &runs, &collector) == 0);
    scrape(reg, "\nseen 6\n");
    CHECK(kymo_registry_visit(reg, &visitor) == 0);
    CHECK(points > 10 && runs == 3);
    CHECK(kymo_collector_detach(collector) == 0 && runs == 103);
    CHECK(kymo_registry_unregister(reg, "g") == 0);
    CHECK(kymo_registry_sweep(reg, 0) == 0);
    CHECK(kymo_registry_get_stats(reg, &stats) == 0 && stats.n_families == 8);
    CHECK(kymo_after_fork_child(KYMO_FORK_KEEP) == 0);
    kymo_thread_detach();
    kymo_registry_free(reg);
}

int main()
{
    double bounds[3];
    CHECK(kymo_version() == static_cast<unsigned>(KYMO_VERSION));
    CHECK(kymo_has("encoder:text") == 1);
    CHECK(std::string(kymo_error_name(KYMO_ENAME)) == "KYMO_ENAME");
    CHECK(std::strlen(kymo_strerror(KYMO_ENAME)) > 10);
    CHECK(kymo_buckets_linear(bounds, 3, 1, 1) == 0 && bounds[2] == 3);
    CHECK(kymo_buckets_exponential(bounds, 3, 1, 2) == 0 && bounds[2] == 4);
    CHECK(kymo_buckets_web[0] == 0.005 && kymo_buckets_ttft[0] == 0.001 && kymo_buckets_itl[0] == 0.01);
    CHECK(kymo_buckets_e2e[0] == 0.3 && kymo_buckets_tokens[0] == 1);
    run_with_a_registry();
    return failures == 0 ? 0 : 1;
}
