/* SPDX-License-Identifier: Apache-2.0 */
/*
 * N threads times M recordings are N * M, for every kind and every call, while pages are taken all the time.
 *
 * Amounts are multiples of 0.25, so that sums of doubles are exact whatever their order. Proves K5 by the totals, K2
 * and K3 by the watch over each page (torture.h), K4 by what the writers had said to be done before a page began.
 */
#include "torture.h"

#define SERIES 64

static struct {
    struct kymo_registry *reg;
    struct kymo_counter *inc, *add_int, *add_whole, *add_fraction, *add_mixed, *handles[SERIES];
    struct kymo_gauge *updown, *set, *set_last;
    struct kymo_histogram *observe, *observe_n;
    struct kymo_counter_family *c_labels, *c_handles;
    struct kymo_gauge_family *g_labels, *g_set_labels;
    struct kymo_histogram_family *h_labels;
} m;

static const char *const values[SERIES] = {
#define TEN(t) t "0", t "1", t "2", t "3", t "4", t "5", t "6", t "7", t "8", t "9"
    TEN(""), TEN("1"), TEN("2"), TEN("3"), TEN("4"), TEN("5"), "60", "61", "62", "63",
};

static void counters_new(void)
{
    REQUIRE(kymo_counter_new(m.reg, KYMO_DESC(.name = "inc_total", .help = "x"), &m.inc) == 0);
    REQUIRE(kymo_counter_new(m.reg, KYMO_DESC(.name = "add_int_total", .help = "x"), &m.add_int) == 0);
    REQUIRE(kymo_counter_new(m.reg, KYMO_DESC(.name = "add_whole_total", .help = "x"), &m.add_whole) == 0);
    REQUIRE(kymo_counter_new(m.reg, KYMO_DESC(.name = "add_fraction_total", .help = "x"), &m.add_fraction) == 0);
    REQUIRE(kymo_counter_new(m.reg, KYMO_DESC(.name = "add_mixed_total", .help = "x"), &m.add_mixed) == 0);
    REQUIRE(kymo_counter_family_new(m.reg, KYMO_DESC(.name = "labels_total", .help = "x", KYMO_LABELS("i")),
                                    &m.c_labels) == 0);
    REQUIRE(kymo_counter_family_new(m.reg, KYMO_DESC(.name = "handles_total", .help = "x", KYMO_LABELS("a", "i")),
                                    &m.c_handles) == 0);
    for (int i = 0; i < SERIES; i++)
        REQUIRE((m.handles[i] = kymo_counter_with(m.c_handles, KYMO_VALUES("a", values[i]))) != NULL);
}

static void gauges_new(void)
{
    REQUIRE(kymo_gauge_new(m.reg, KYMO_DESC(.name = "updown", .help = "x", .gauge_mode = KYMO_GAUGE_UPDOWN),
                           &m.updown) == 0);
    REQUIRE(kymo_gauge_new(m.reg, KYMO_DESC(.name = "set_added", .help = "x"), &m.set) == 0);
    REQUIRE(kymo_gauge_new(m.reg, KYMO_DESC(.name = "set_last", .help = "x"), &m.set_last) == 0);
    REQUIRE(kymo_gauge_family_new(
                m.reg,
                KYMO_DESC(.name = "updown_labels", .help = "x", KYMO_LABELS("i"), .gauge_mode = KYMO_GAUGE_UPDOWN),
                &m.g_labels) == 0);
    REQUIRE(kymo_gauge_family_new(m.reg, KYMO_DESC(.name = "set_labels", .help = "x", KYMO_LABELS("i")),
                                  &m.g_set_labels) == 0);
}

static void metrics_new(size_t max_shards)
{
    m.reg = registry_with_shards(max_shards);
    counters_new();
    gauges_new();
    REQUIRE(kymo_histogram_new(m.reg, EXACT_DESC(.name = "exact_observe"), &m.observe) == 0);
    REQUIRE(kymo_histogram_new(m.reg, EXACT_DESC(.name = "exact_observe_n"), &m.observe_n) == 0);
    REQUIRE(kymo_histogram_family_new(m.reg, EXACT_DESC(.name = "exact_labels", KYMO_LABELS("i")), &m.h_labels) == 0);
}

/* ---- writers ---- */

enum { MOST_WRITERS = 16 };

struct writer {
    pthread_t thread;
    uint64_t n;
    int attaches;
    unsigned index;
    _Alignas(64) _Atomic uint64_t done; /* iterations that are complete: what K4 speaks of */
};

static void record_numbers(unsigned i)
{
    kymo_counter_inc(m.inc);
    kymo_counter_add_int(m.add_int, 3);
    kymo_counter_add(m.add_whole, 2);
    kymo_counter_add(m.add_fraction, 0.25);
    kymo_counter_add(m.add_mixed, i & 1 ? 1 : 1.5);
    kymo_gauge_inc(m.updown);
    kymo_gauge_add(m.updown, 1.5);
    kymo_gauge_sub(m.updown, 0.25);
    kymo_gauge_add(m.updown, -3);
    kymo_gauge_dec(m.updown);
    kymo_gauge_add(m.set, 0.5);
    kymo_gauge_sub(m.set, 0.25);
    kymo_gauge_set(m.set_last, 7);
}

static void record_the_rest(unsigned i)
{
    kymo_histogram_observe(m.observe, exact_value(i % EXACT_BUCKETS));
    kymo_histogram_observe_n(m.observe_n, exact_value(i % EXACT_BUCKETS), 1 + i % 3);
    kymo_counter_inc(m.handles[i % SERIES]);
    kymo_counter_family_inc(m.c_labels, KYMO_VALUES(values[i % SERIES]));
    kymo_counter_family_add(m.c_labels, 0.25, KYMO_VALUES(values[i % SERIES]));
    kymo_gauge_family_add(m.g_labels, -2, KYMO_VALUES(values[i % SERIES]));
    kymo_gauge_family_add(m.g_labels, 0.25, KYMO_VALUES(values[i % SERIES]));
    kymo_gauge_family_add(m.g_set_labels, 0.5, KYMO_VALUES(values[i % SERIES]));
    kymo_histogram_family_observe(m.h_labels, exact_value(i % EXACT_BUCKETS), KYMO_VALUES(values[i % SERIES]));
}

enum { CALLS = 13 + 9 };

static void *write_all(void *arg)
{
    struct writer *w = arg;
    if (w->attaches)
        (void)kymo_thread_attach(m.reg); /* KYMO_ELIMIT where shards are few: it goes on in the shared store */
    for (uint64_t i = 0; i < w->n; i++) {
        record_numbers((unsigned)i);
        record_the_rest((unsigned)i + w->index);
        atomic_store_explicit(&w->done, i + 1, memory_order_release);
    }
    return NULL;
}

/* ---- the reader ---- */

static uint64_t done_of(struct writer *writers, unsigned n)
{
    uint64_t done = 0;
    for (unsigned i = 0; i < n; i++)
        done += atomic_load_explicit(&writers[i].done, memory_order_acquire);
    return done;
}

/* K4: at least what was done before the page began; and at most what may have begun before it was complete. */
static void between(double have, double each, uint64_t before, uint64_t after)
{
    CHECK(have >= each * (double)before);
    CHECK(have <= each * (double)after);
}

static void page_while_writing(struct watch *watch, struct writer *writers, unsigned n)
{
    uint64_t before = done_of(writers, n);
    struct text_page page = watch_page(watch, m.reg);
    uint64_t after = done_of(writers, n) + n;
    between(page_value(&page, "inc_total"), 1, before, after);
    between(page_value(&page, "add_int_total"), 3, before, after);
    between(page_value(&page, "add_fraction_total"), 0.25, before, after);
    between(page_value(&page, "exact_observe_count"), 1, before, after);
    between(page_total(&page, "labels_total"), 1.25, before, after);
    between(page_total(&page, "exact_labels_count"), 1, before, after);
    text_page_free(&page);
}

static double mixed_total(uint64_t n)
{
    return (double)(n / 2) * 2.5 + (n & 1 ? 1.5 : 0);
}

/* K5, on a last page and by reading back. */
static void totals_are_exact(struct watch *watch, unsigned n_writers, uint64_t n)
{
    struct text_page page = watch_page(watch, m.reg);
    double all = (double)(n * n_writers), n_total = 0;
    for (unsigned w = 0; w < n_writers; w++)
        for (uint64_t i = 0; i < 3; i++) /* how often (i + w) % 3 was each of 0, 1, 2 */
            n_total += (double)((i + w) % 3 + 1) * (double)(n / 3 + (i < n % 3));
    CHECK_DOUBLE(page_value(&page, "inc_total"), all);
    CHECK_DOUBLE(page_value(&page, "add_int_total"), 3 * all);
    CHECK_DOUBLE(page_value(&page, "add_whole_total"), 2 * all);
    CHECK_DOUBLE(page_value(&page, "add_fraction_total"), 0.25 * all);
    CHECK_DOUBLE(page_value(&page, "add_mixed_total"), n_writers * mixed_total(n));
    CHECK_DOUBLE(page_value(&page, "updown"), -1.75 * all);
    CHECK_DOUBLE(page_value(&page, "set_added"), 0.25 * all);
    CHECK_DOUBLE(page_value(&page, "set_last"), 7);
    CHECK_DOUBLE(page_value(&page, "exact_observe_count"), all);
    CHECK_DOUBLE(page_value(&page, "exact_observe_n_count"), n_total);
    CHECK_DOUBLE(page_total(&page, "handles_total"), all);
    CHECK_DOUBLE(page_total(&page, "labels_total"), 1.25 * all);
    CHECK_DOUBLE(page_total(&page, "updown_labels"), -1.75 * all);
    CHECK_DOUBLE(page_total(&page, "set_labels"), 0.5 * all);
    CHECK_DOUBLE(page_total(&page, "exact_labels_count"), all);
    CHECK_DOUBLE(kymo_counter_value(m.inc), all);
    CHECK_DOUBLE(kymo_gauge_value(m.updown), -1.75 * all);
    CHECK_U64(exact_count(m.observe), n * n_writers);
    CHECK(text_find(&page, "kymo_recordings_refused_total", 0) == NULL ||
          page_total(&page, "kymo_recordings_refused_total") == 0);
    CHECK_DOUBLE(page_total(&page, "kymo_series_dropped_total"), 0);
    text_page_free(&page);
}

static void run(const char *what, size_t max_shards, unsigned n_writers, uint64_t n)
{
    static struct writer writers[MOST_WRITERS];
    static struct watch watch;
    memset(writers, 0, sizeof(writers));
    memset(&watch, 0, sizeof(watch));
    metrics_new(max_shards);
    for (unsigned i = 0; i < n_writers; i++) {
        writers[i].n = n;
        writers[i].index = i;
        writers[i].attaches = (int)(i & 1);
        REQUIRE(pthread_create(&writers[i].thread, NULL, write_all, &writers[i]) == 0);
    }
    while (done_of(writers, n_writers) < n * n_writers)
        page_while_writing(&watch, writers, n_writers);
    for (unsigned i = 0; i < n_writers; i++)
        pthread_join(writers[i].thread, NULL);
    totals_are_exact(&watch, n_writers, n);
    printf("exact, %s: %u threads x %" PRIu64 " x %d calls, %" PRIu64 " pages, %" PRIu64 " samples compared\n", what,
           n_writers, n, CALLS, watch.n_pages, watch.n_samples);
    kymo_registry_free(m.reg);
}

static void n_threads_times_m_recordings_are_counted_with_shards_for_all(void)
{
    run("a shard each", 0, 4, test_long() ? 20000000 : 1200000);
}

static void n_threads_times_m_recordings_are_counted_in_the_shared_store(void)
{
    run("no shard left", 1, 4, test_long() ? 4000000 : 250000); /* the main thread has it */
}

static void n_threads_times_m_recordings_are_counted_in_both(void)
{
    run("two shards", 2, 4, test_long() ? 8000000 : 400000);
    run("three shards for sixteen", 3, 16, test_long() ? 1000000 : 50000);
}

/* ---- sums of doubles never go back ---- */

enum { ADDERS = 4 };

static struct {
    struct kymo_counter *c;
    struct kymo_histogram *h;
    uint64_t n;
    _Atomic unsigned left;
    double sums[ADDERS];
} doubles;

/* Any double below 1, of any size down to 2^-40: sums are rounded, and in another order they would round otherwise. */
static double random_double(uint64_t *state)
{
    uint64_t r = random_next(state);
    return (double)(r >> 11) * 0x1p-53 / (double)((uint64_t)1 << (r % 40));
}

/* Detaches now and then, so that shards change hands in the middle. */
static void *add_doubles(void *arg)
{
    unsigned index = (unsigned)(uintptr_t)arg;
    uint64_t state = 88172645463325252u + index;
    double sum = 0;
    for (uint64_t i = 0; i < doubles.n; i++) {
        double v = random_double(&state);
        sum += v;
        kymo_counter_add(doubles.c, v);
        kymo_histogram_observe(doubles.h, v);
        if (i % 4096 == 4095)
            kymo_thread_detach();
    }
    doubles.sums[index] = sum;
    atomic_fetch_sub(&doubles.left, 1);
    return NULL;
}

static void never_less(double *last, double now)
{
    if (now < *last)
        fprintf(stderr, "went back from %.17g to %.17g\n", *last, now);
    CHECK(now >= *last);
    *last = now;
}

/* K2, K5: the total differs from the threads' own sums by rounding alone. */
static void sums_of_doubles_never_go_back_by_an_ulp(void)
{
    static struct watch watch;
    pthread_t threads[ADDERS];
    double last = 0, last_sum = 0, sum, want = 0;
    uint64_t reads = 0;
    m.reg = registry_with_shards(3);
    doubles.n = test_long() ? 40000000 : 2000000;
    doubles.left = ADDERS;
    REQUIRE(kymo_counter_new(m.reg, KYMO_DESC(.name = "doubles_total", .help = "x"), &doubles.c) == 0);
    REQUIRE(kymo_histogram_new(m.reg, KYMO_DESC(.name = "double_sizes", .help = "x", KYMO_BOUNDS(0.001, 0.1)),
                               &doubles.h) == 0);
    for (unsigned i = 0; i < ADDERS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, add_doubles, (void *)(uintptr_t)i) == 0);
    for (; atomic_load(&doubles.left) > 0; reads++) {
        never_less(&last, kymo_counter_value(doubles.c));
        (void)kymo_histogram_value(doubles.h, &sum, NULL, 0);
        never_less(&last_sum, sum);
        if (reads % 64 == 0) {
            struct text_page page = watch_page(&watch, m.reg);
            never_less(&last, page_value(&page, "doubles_total"));
            text_page_free(&page);
        }
    }
    for (unsigned i = 0; i < ADDERS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < ADDERS; i++)
        want += doubles.sums[i];
    CHECK_U64(kymo_histogram_value(doubles.h, &sum, NULL, 0), ADDERS * doubles.n);
    CHECK(sum > want * (1 - 1e-9) && sum < want * (1 + 1e-9));
    CHECK(kymo_counter_value(doubles.c) > want * (1 - 1e-9) && kymo_counter_value(doubles.c) < want * (1 + 1e-9));
    printf("exact, doubles: %d threads x %" PRIu64 ", %" PRIu64 " reads, %" PRIu64 " pages, none less than before\n",
           ADDERS, doubles.n, reads, watch.n_pages);
    kymo_registry_free(m.reg);
}

TEST_MAIN(TEST(n_threads_times_m_recordings_are_counted_with_shards_for_all),
          TEST(n_threads_times_m_recordings_are_counted_in_the_shared_store),
          TEST(n_threads_times_m_recordings_are_counted_in_both), TEST(sums_of_doubles_never_go_back_by_an_ulp))
