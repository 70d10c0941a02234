/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that come and go: what they counted stays (K5), what they held is held again by others, and memory does not
 * grow with their number. Series that come and go under recording threads: each recording is in the last value of the
 * series it meant, or counted as refused, and in no other (K7).
 */
#include "torture.h"

static struct one_of_each m;

static void metrics_new(size_t max_shards)
{
    m.reg = registry_with_shards(max_shards);
    one_of_each_new(&m);
}

static void records(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        kymo_counter_inc(m.whole);
        kymo_counter_add(m.fraction, 0.25);
        kymo_gauge_add(m.updown, 2.5);
        kymo_gauge_add(m.set, 0.25);
        kymo_histogram_observe(m.h, exact_value(i % EXACT_BUCKETS));
        kymo_counter_family_inc(m.c_labels, KYMO_VALUES("a"));
        kymo_histogram_family_observe(m.h_labels, exact_value(i % EXACT_BUCKETS), KYMO_VALUES("a"));
    }
}

static void totals_are(struct watch *watch, uint64_t n)
{
    struct text_page page = watch_page(watch, m.reg);
    CHECK_DOUBLE(page_value(&page, "whole_total"), (double)n);
    CHECK_DOUBLE(page_value(&page, "fraction_total"), 0.25 * (double)n);
    CHECK_DOUBLE(page_value(&page, "updown"), 2.5 * (double)n);
    CHECK_DOUBLE(page_value(&page, "set"), 0.25 * (double)n);
    CHECK_DOUBLE(page_value(&page, "exact_h_count"), (double)n);
    CHECK_DOUBLE(page_total(&page, "labels_total"), (double)n);
    CHECK_DOUBLE(page_total(&page, "exact_labels_count"), (double)n);
    text_page_free(&page);
}

static struct kymo_registry_stats stats_now(void)
{
    struct kymo_registry_stats stats = {.size = sizeof(stats)};
    CHECK_INT(kymo_registry_get_stats(m.reg, &stats), 0);
    return stats;
}

/* ---- short threads ---- */

enum { BATCH = 20, EACH = 200 };

static void *short_thread(void *arg)
{
    if ((uintptr_t)arg % 2 == 0)
        (void)kymo_thread_attach(m.reg); /* the others have what marks get them, or the shared store */
    records(EACH / 2);
    if ((uintptr_t)arg % 5 == 0)
        kymo_thread_detach(); /* and go on without */
    records(EACH / 2);
    return NULL;
}

static void batch_run(void)
{
    pthread_t threads[BATCH];
    for (uintptr_t i = 0; i < BATCH; i++)
        REQUIRE(pthread_create(&threads[i], NULL, short_thread, (void *)i) == 0);
    for (int i = 0; i < BATCH; i++)
        pthread_join(threads[i], NULL);
}

/* Shards: of those alive at once, and as many again that wait as spares or were not yet missed. */
static void short_threads_leave_their_counts_and_nothing_else(void)
{
    static struct watch watch;
    unsigned n = test_long() ? 40000 : 10000;
    struct kymo_registry_stats settled = {.size = sizeof(settled)};
    metrics_new(0);
    for (unsigned i = 0; i < n / BATCH; i++) {
        batch_run();
        if (i % 8 == 0)
            totals_are(&watch, (uint64_t)(i + 1) * BATCH * EACH); /* a page, which also provides */
        if (i == n / BATCH / 4)
            settled = stats_now();
    }
    totals_are(&watch, (uint64_t)n * EACH);
    struct kymo_registry_stats last = stats_now();
    printf("threads, short: %u threads x %d x 7 recordings, at most %d at once: %zu shards, %zu of them free, "
           "%zu KiB of segment (%zu after a quarter)\n",
           n, EACH, BATCH, last.n_shards, last.n_free_shards, last.segment_used_bytes / 1024,
           settled.segment_used_bytes / 1024);
    CHECK(last.n_shards <= 4 * BATCH);
    CHECK(last.segment_used_bytes <= 2 * settled.segment_used_bytes);
    kymo_registry_free(m.reg);
}

/* ---- more threads than shards ---- */

enum { MANY = 16 };

static void *many_records(void *arg)
{
    if ((uintptr_t)arg % 4 == 0)
        (void)kymo_thread_attach(m.reg);
    records(test_long() ? 1000000 : 40000);
    return NULL;
}

static void more_threads_than_shards_count_exactly(void)
{
    static struct watch watch;
    pthread_t threads[MANY];
    memset(&watch, 0, sizeof(watch));
    metrics_new(2);
    for (uintptr_t i = 0; i < MANY; i++)
        REQUIRE(pthread_create(&threads[i], NULL, many_records, (void *)i) == 0);
    for (int i = 0; i < MANY; i++) {
        struct text_page page = watch_page(&watch, m.reg);
        text_page_free(&page);
        pthread_join(threads[i], NULL);
    }
    totals_are(&watch, (uint64_t)MANY * (test_long() ? 1000000 : 40000));
    CHECK_U64(stats_now().n_shards, 2);
    printf("threads, %d over 2 shards: %d x 7 recordings each\n", MANY, test_long() ? 1000000 : 40000);
    kymo_registry_free(m.reg);
}

/* ---- shards of the dead ---- */

static void *record_without_attaching(void *arg)
{
    pthread_barrier_t *meet = arg;
    records(10);
    pthread_barrier_wait(meet); /* the other one takes a page, which provides */
    pthread_barrier_wait(meet);
    records(10);
    return NULL;
}

/*
 * A thread whose shard came by a mark dies without a word. Its shard is there for the next one who asks, even where
 * there can be no more.
 */
static void the_shard_of_a_thread_that_died_silently_is_adopted(void)
{
    static struct watch watch;
    pthread_barrier_t meet;
    pthread_t thread;
    memset(&watch, 0, sizeof(watch));
    pthread_barrier_init(&meet, NULL, 2);
    metrics_new(1);
    kymo_thread_detach();
    /* Main's shard is taken by the thread; the page below must not give it back to main first. */
    REQUIRE(pthread_create(&thread, NULL, record_without_attaching, &meet) == 0);
    pthread_barrier_wait(&meet);
    totals_are(&watch, 10);
    pthread_barrier_wait(&meet);
    pthread_join(thread, NULL);
    totals_are(&watch, 20);
    CHECK_U64(stats_now().n_shards, 1);
    CHECK_INT(kymo_thread_attach(m.reg), 0);
    records(10);
    totals_are(&watch, 30);
    kymo_registry_free(m.reg);
    pthread_barrier_destroy(&meet);
}

/* What a dead thread wanted of a registry that is gone is nobody's wish in the next one. */
static void marks_do_not_outlive_their_registry(void)
{
    static struct watch watch;
    pthread_barrier_t meet;
    pthread_t thread;
    pthread_barrier_init(&meet, NULL, 2);
    metrics_new(1);
    REQUIRE(pthread_create(&thread, NULL, record_without_attaching, &meet) == 0);
    pthread_barrier_wait(&meet);
    totals_are(&watch, 10); /* a seat without a shard, since main has the only one */
    pthread_barrier_wait(&meet);
    pthread_join(thread, NULL);
    kymo_registry_free(m.reg);
    metrics_new(2);
    records(1);
    totals_are((memset(&watch, 0, sizeof(watch)), &watch), 1);
    CHECK_U64(stats_now().n_shards, 1);
    kymo_registry_free(m.reg);
    pthread_barrier_destroy(&meet);
}

/* ---- threads that outlive registries ---- */

enum { SLEEPERS = 4, REGISTRIES = 30 };
static pthread_barrier_t turn;

/* Records between the first and the second meeting; registries change hands between the second and the next first. */
static void *outlive(void *arg)
{
    for (int i = 0; i < REGISTRIES; i++) {
        pthread_barrier_wait(&turn);
        if (((uintptr_t)arg + (unsigned)i) % 3 == 0)
            (void)kymo_thread_attach(m.reg); /* KYMO_ELIMIT where there are three shards */
        records(500);
        pthread_barrier_wait(&turn);
    }
    return NULL;
}

static void threads_outlive_registries(void)
{
    static struct watch watch;
    pthread_t threads[SLEEPERS];
    struct kymo_registry *other = registry_with_shards(0);
    struct kymo_counter *all;
    REQUIRE(kymo_counter_new(other, KYMO_DESC(.name = "all_total", .help = "x"), &all) == 0);
    pthread_barrier_init(&turn, NULL, SLEEPERS + 1);
    for (uintptr_t i = 0; i < SLEEPERS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, outlive, (void *)i) == 0);
    for (int i = 0; i < REGISTRIES; i++) {
        memset(&watch, 0, sizeof(watch));
        metrics_new(i % 2 == 0 ? 0 : 3);
        pthread_barrier_wait(&turn);
        for (int k = 0; k < 5; k++) {
            struct text_page page = watch_page(&watch, m.reg);
            text_page_free(&page);
            kymo_counter_inc(all);
        }
        pthread_barrier_wait(&turn);
        totals_are(&watch, SLEEPERS * 500);
        kymo_registry_free(m.reg);
    }
    for (int i = 0; i < SLEEPERS; i++)
        pthread_join(threads[i], NULL);
    CHECK_DOUBLE(kymo_counter_value(all), 5 * REGISTRIES);
    printf("threads, registries: %d threads outlive %d\n", SLEEPERS, REGISTRIES);
    kymo_registry_free(other);
    pthread_barrier_destroy(&turn);
}

/* ---- series that end under their recorders ---- */

enum { RECORDERS = 3 };

/* The two series of one generation; replaced, never freed: recorders may hold them long after. */
struct generation {
    struct kymo_counter *c;
    struct kymo_histogram *h;
};

static struct generation generations[100000];
static struct generation *_Atomic current;
static _Atomic int stop;
static double ended_counts, ended_observations; /* told by the registry, under its lock */
static struct kymo_counter *neighbour;

static void on_end(void *ctx, const struct kymo_event *event)
{
    const struct kymo_histogram_point *h = &event->point->value.histogram;
    (void)ctx;
    if (event->family->kind == KYMO_COUNTER) {
        ended_counts += (double)event->point->value.counter.whole;
        return;
    }
    ended_observations += (double)h->count;
    CHECK(exact_holds(h->count, h->sum, h->buckets)); /* K3 for the last value, too */
}

static void *record_into_what_may_have_ended(void *arg)
{
    uint64_t *n = arg;
    for (; !atomic_load_explicit(&stop, memory_order_relaxed); ++*n) {
        struct generation *g = atomic_load_explicit(&current, memory_order_acquire);
        kymo_counter_inc(g->c);
        kymo_histogram_observe(g->h, exact_value((unsigned)(*n % EXACT_BUCKETS)));
        kymo_counter_inc(neighbour);
        if (*n % 4096 == 4095)
            sched_yield();
        if (*n % 65536 == 65535)
            kymo_thread_detach();
    }
    return NULL;
}

static void generation_new(struct generation *g)
{
    REQUIRE(kymo_counter_new(m.reg, KYMO_DESC(.name = "brief_total", .help = "x"), &g->c) == 0);
    REQUIRE(kymo_histogram_new(m.reg, EXACT_DESC(.name = "exact_brief"), &g->h) == 0);
    atomic_store_explicit(&current, g, memory_order_release);
}

/* What was refused by all families that had this name in turn. */
static double refused_in_all(const char *name)
{
    struct page p;
    char head[128];
    uint64_t n = 0;
    CHECK_INT(page_write(m.reg, &p), 0);
    (void)snprintf(head, sizeof(head), "\nkymo_recordings_refused_total{family=\"%s\",reason=\"unregistered\"} ", name);
    for (const char *at = p.text; (at = strstr(at, head)) != NULL; at += strlen(head))
        n += strtoull(at + strlen(head), NULL, 10);
    page_free(&p);
    return (double)n;
}

static void a_series_that_ends_takes_nothing_into_another(void)
{
    unsigned n_ends = test_long() ? 4000 : 1000;
    pthread_t threads[RECORDERS];
    uint64_t n[RECORDERS] = {0}, all = 0;
    struct kymo_registry_options o = {.size = sizeof(o), .event = on_end, .max_shards = 2};
    REQUIRE(kymo_registry_new(&o, &m.reg) == 0);
    REQUIRE(kymo_counter_new(m.reg, KYMO_DESC(.name = "neighbour_total", .help = "x"), &neighbour) == 0);
    generation_new(&generations[0]);
    for (int i = 0; i < RECORDERS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, record_into_what_may_have_ended, &n[i]) == 0);
    for (unsigned i = 1; i <= n_ends; i++) {
        CHECK_INT(kymo_registry_unregister(m.reg, "brief_total"), 0);
        CHECK_INT(kymo_registry_unregister(m.reg, "exact_brief"), 0);
        CHECK_DOUBLE(kymo_counter_value(generations[i - 1].c), 0);
        generation_new(&generations[i]);
        while (kymo_counter_value(generations[i].c) < 100) /* it is in use before it ends */
            sched_yield();
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < RECORDERS; i++) {
        pthread_join(threads[i], NULL);
        all += n[i];
    }
    double counted = ended_counts + kymo_counter_value(generations[n_ends].c);
    double observed = ended_observations + (double)exact_count(generations[n_ends].h);
    double refused_counts = refused_in_all("brief_total"), refused_observations = refused_in_all("exact_brief");
    printf("threads, series that end: %u times, %" PRIu64
           " recordings x 3, %.0f and %.0f counted, %.0f and %.0f refused\n",
           n_ends, all, counted, observed, refused_counts, refused_observations);
    CHECK_DOUBLE(counted + refused_counts, (double)all);
    CHECK_DOUBLE(observed + refused_observations, (double)all);
    CHECK_DOUBLE(kymo_counter_value(neighbour), (double)all);
    kymo_registry_free(m.reg);
}

/* A family pointer, too, may be used after its end: nothing is recorded, and nothing else is touched. */
static void a_family_stays_safe_after_its_end(void)
{
    static const double many[] = {
#define TEN_BOUNDS(t) t + 0, t + 1, t + 2, t + 3, t + 4, t + 5, t + 6, t + 7, t + 8, t + 9
        TEN_BOUNDS(0),   TEN_BOUNDS(10),  TEN_BOUNDS(20),  TEN_BOUNDS(30), TEN_BOUNDS(40),
        TEN_BOUNDS(50),  TEN_BOUNDS(60),  TEN_BOUNDS(70),  TEN_BOUNDS(80), TEN_BOUNDS(90),
        TEN_BOUNDS(100), TEN_BOUNDS(110), TEN_BOUNDS(120), TEN_BOUNDS(130)};
    struct kymo_histogram_family *f;
    metrics_new(0);
    REQUIRE(kymo_histogram_family_new(m.reg,
                                      KYMO_DESC(.name = "wide", .help = "x", KYMO_LABELS("i"), .bounds = many,
                                                .n_bounds = sizeof(many) / sizeof(many[0])),
                                      &f) == 0);
    struct kymo_histogram *old = kymo_histogram_with(f, KYMO_VALUES("a"));
    kymo_histogram_observe(old, 1);
    CHECK_INT(kymo_registry_unregister(m.reg, "wide"), 0);
    kymo_histogram_observe(old, 2);
    kymo_histogram_family_observe(f, 3, KYMO_VALUES("a"));
    struct kymo_histogram *again = kymo_histogram_with(f, KYMO_VALUES("a"));
    CHECK(again == old || again == NULL);
    kymo_histogram_observe(again, 4);
    CHECK(kymo_histogram_with(f, KYMO_VALUES("b")) == NULL);
    CHECK_U64(kymo_histogram_value(old, NULL, NULL, 0), 0);
    struct page p = page_of(m.reg);
    page_free(&p);
    kymo_registry_free(m.reg);
}

/* A name that was registered, ended and registered again stands on the page once, its refusals too. */
static void a_name_may_be_registered_again(void)
{
    struct kymo_counter *c[3];
    uint64_t want = 0;
    metrics_new(0);
    for (unsigned i = 0; i < 3; i++) {
        REQUIRE(kymo_counter_new(m.reg, KYMO_DESC(.name = "again_total", .help = "x"), &c[i]) == 0);
        for (unsigned k = 0; k < i; k++, want++)
            kymo_counter_inc(c[k]);
        kymo_counter_inc(c[i]);
        struct page p = page_of(m.reg);
        CHECK_U64(lines_like(p.text, "again_total 1"), 1);
        page_free(&p);
        CHECK_U64(refused(m.reg, "again_total", "unregistered"), want);
        CHECK_INT(kymo_registry_unregister(m.reg, "again_total"), 0);
    }
    kymo_registry_free(m.reg);
}

TEST_MAIN(TEST(short_threads_leave_their_counts_and_nothing_else), TEST(more_threads_than_shards_count_exactly),
          TEST(the_shard_of_a_thread_that_died_silently_is_adopted), TEST(marks_do_not_outlive_their_registry),
          TEST(threads_outlive_registries), TEST(a_series_that_ends_takes_nothing_into_another),
          TEST(a_family_stays_safe_after_its_end), TEST(a_name_may_be_registered_again))
