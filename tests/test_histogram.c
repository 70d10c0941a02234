/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Observations are whole: whatever a reader finds, count, sum and buckets belong to the same ones (K3), none is lost
 * (K5) and no count goes back (K2) - in shards, in the shared store, and where both hold parts of one histogram.
 */
#include "torture.h"

#include <math.h>

/* ---- never torn ---- */

enum { MOST_WRITERS = 2, HISTOGRAMS = 2 };

static struct {
    struct kymo_registry *reg;
    struct kymo_histogram *h[HISTOGRAMS];
    _Atomic unsigned left;
    pthread_barrier_t attached; /* who wants a shard has it before the others record */
} m;

struct writer {
    pthread_t thread;
    uint64_t n;
    uint64_t in_bucket[EXACT_BUCKETS]; /* what this thread observed, in both histograms together */
    int attaches;
};

/* Two histograms in turn, so that the redo record changes hands between them. */
static void *observe_exactly(void *arg)
{
    struct writer *w = arg;
    uint64_t random = 2463534242u + (uint64_t)(uintptr_t)w;
    if (w->attaches)
        CHECK_INT(kymo_thread_attach(m.reg), 0);
    pthread_barrier_wait(&m.attached);
    for (uint64_t i = 0; i < w->n; i += 16) {
        uint64_t r = random_next(&random);
        for (unsigned k = 0; k < 16; k++, r >>= 4) {
            unsigned bucket = (unsigned)(r & 15) * EXACT_BUCKETS / 16;
            kymo_histogram_observe(m.h[k & 1], exact_value(bucket));
            w->in_bucket[bucket]++;
        }
    }
    atomic_fetch_sub(&m.left, 1);
    return NULL;
}

static void reads_while_writing(struct watch *watch, uint64_t *reads)
{
    uint64_t last[HISTOGRAMS] = {0, 0};
    for (; atomic_load(&m.left) > 0; ++*reads) {
        uint64_t now = exact_count(m.h[*reads & 1]);
        CHECK(now >= last[*reads & 1]);
        last[*reads & 1] = now;
        if (*reads % 256 == 0) {
            struct text_page page = watch_page(watch, m.reg);
            text_page_free(&page);
        }
    }
}

static void buckets_are_those_of(const struct writer *writers, unsigned n_writers)
{
    uint64_t have[EXACT_BUCKETS] = {0}, one[EXACT_BUCKETS];
    for (int i = 0; i < HISTOGRAMS; i++) {
        (void)exact_count(m.h[i]);
        (void)kymo_histogram_value(m.h[i], NULL, one, EXACT_BUCKETS);
        for (unsigned b = 0; b < EXACT_BUCKETS; b++)
            have[b] += one[b];
    }
    for (unsigned b = 0; b < EXACT_BUCKETS; b++) {
        for (unsigned w = 0; w < n_writers; w++)
            have[b] -= writers[w].in_bucket[b];
        CHECK_U64(have[b], 0);
    }
}

/* shards: 0 for plenty; the main thread holds one. n_attached of the two writers have one, too. */
static void never_torn(const char *what, size_t max_shards, unsigned n_attached, uint64_t n)
{
    static struct watch watch;
    struct writer writers[MOST_WRITERS];
    uint64_t reads = 0;
    memset(&watch, 0, sizeof(watch));
    memset(writers, 0, sizeof(writers));
    m.reg = registry_with_shards(max_shards);
    REQUIRE(kymo_histogram_new(m.reg, EXACT_DESC(.name = "exact_a"), &m.h[0]) == 0);
    REQUIRE(kymo_histogram_new(m.reg, EXACT_DESC(.name = "exact_b"), &m.h[1]) == 0);
    m.left = MOST_WRITERS;
    pthread_barrier_init(&m.attached, NULL, MOST_WRITERS);
    for (unsigned i = 0; i < MOST_WRITERS; i++) {
        writers[i].n = n / MOST_WRITERS;
        writers[i].attaches = i < n_attached;
        REQUIRE(pthread_create(&writers[i].thread, NULL, observe_exactly, &writers[i]) == 0);
    }
    reads_while_writing(&watch, &reads);
    for (unsigned i = 0; i < MOST_WRITERS; i++)
        pthread_join(writers[i].thread, NULL);
    pthread_barrier_destroy(&m.attached);
    buckets_are_those_of(writers, MOST_WRITERS);
    printf("histogram, %s: %" PRIu64 " observations, %" PRIu64 " reads and %" PRIu64 " pages, none torn\n", what, n,
           reads, watch.n_pages);
    kymo_registry_free(m.reg);
}

static void observations_in_shards_are_never_torn(void)
{
    never_torn("in shards", 0, 2, UINT64_C(32) * (test_long() ? 32000000 : 1000000));
}

static void observations_in_the_shared_store_are_never_torn(void)
{
    never_torn("in the shared store", 1, 0, UINT64_C(32) * (test_long() ? 3200000 : 200000));
}

static void observations_in_both_stores_are_never_torn(void)
{
    never_torn("in both", 2, 1, UINT64_C(32) * (test_long() ? 3200000 : 200000));
}

/* ---- what is special about a value ---- */

/* Takes the only shard and keeps it until both have met again. */
struct holder {
    struct kymo_registry *reg;
    pthread_barrier_t barrier;
};

static void *hold_the_shard(void *arg)
{
    struct holder *holder = arg;
    CHECK_INT(kymo_thread_attach(holder->reg), 0);
    pthread_barrier_wait(&holder->barrier);
    pthread_barrier_wait(&holder->barrier);
    return NULL;
}

static void in_the_shared_store(void (*check)(struct kymo_registry *))
{
    struct holder holder = {.reg = registry_with_shards(1)};
    pthread_t thread;
    pthread_barrier_init(&holder.barrier, NULL, 2);
    REQUIRE(pthread_create(&thread, NULL, hold_the_shard, &holder) == 0);
    pthread_barrier_wait(&holder.barrier);
    CHECK_INT(kymo_thread_attach(holder.reg), KYMO_ELIMIT);
    check(holder.reg);
    pthread_barrier_wait(&holder.barrier);
    pthread_join(thread, NULL);
    kymo_registry_free(holder.reg);
    pthread_barrier_destroy(&holder.barrier);
}

static void in_both_stores(void (*check)(struct kymo_registry *))
{
    struct kymo_registry *reg = registry_with_shards(1);
    CHECK_INT(kymo_thread_attach(reg), 0);
    check(reg);
    kymo_registry_free(reg);
    in_the_shared_store(check);
}

static void check_specials(struct kymo_registry *reg)
{
    struct kymo_histogram *h;
    double sum;
    uint64_t b[3];
    REQUIRE(kymo_histogram_new(reg, KYMO_DESC(.name = "special", .help = "x", KYMO_BOUNDS(-1, 1)), &h) == 0);
    kymo_histogram_observe(h, (double)INFINITY);
    kymo_histogram_observe(h, (double)-INFINITY);
    kymo_histogram_observe_n(h, (double)INFINITY, 5);
    kymo_histogram_observe(h, (double)NAN);
    kymo_histogram_observe_n(h, (double)NAN, 3);
    kymo_histogram_observe(h, -2.5);
    kymo_histogram_observe(h, -1);
    kymo_histogram_observe(h, -0.0);
    kymo_histogram_observe(h, 1);
    kymo_histogram_observe_n(h, 0.5, 0);
    kymo_histogram_observe_n(h, 0.5, (uint64_t)1 << 32);
    kymo_histogram_observe_n(h, 0.5, ((uint64_t)1 << 32) + 1);
    kymo_histogram_observe_n(h, 0.5, UINT64_MAX);
    CHECK_U64(kymo_histogram_value(h, &sum, b, 3), 11 + ((uint64_t)1 << 32));
    CHECK_DOUBLE(sum, -2.5 + 2147483648.0);
    CHECK_U64(b[0], 3);
    CHECK_U64(b[1], 2 + ((uint64_t)1 << 32));
    CHECK_U64(b[2], 6);
    CHECK_U64(refused(reg, "special", "nan"), 2);
    CHECK_U64(refused(reg, "special", "overflow"), 2);
}

static void an_infinity_is_counted_not_summed_and_nan_changes_nothing(void)
{
    in_both_stores(check_specials);
}

/* Every number of bounds up to the most there may be: the bucket is the first bound that is not below the value. */
static void check_buckets(struct kymo_registry *reg)
{
    static double bounds[500];
    static uint64_t b[501];
    for (size_t n = 1; n <= 500; n += n < 70 ? 1 : 43) {
        struct kymo_histogram *h;
        double sum, want = 0;
        for (size_t i = 0; i < n; i++)
            bounds[i] = (double)i;
        REQUIRE(kymo_histogram_new(reg, KYMO_DESC(.name = "wide", .help = "x", .bounds = bounds, .n_bounds = n), &h) ==
                0);
        for (size_t i = 0; i <= n; i++) {
            kymo_histogram_observe(h, (double)i);
            kymo_histogram_observe_n(h, (double)i - 0.5, i + 1);
            want += (double)i + ((double)i - 0.5) * (double)(i + 1);
        }
        CHECK_U64(kymo_histogram_value(h, &sum, b, n + 1), n + 1 + (n + 1) * (n + 2) / 2);
        CHECK_DOUBLE(sum, want);
        for (size_t i = 0; i <= n; i++)
            CHECK_U64(b[i], i + 2);
        CHECK_INT(kymo_registry_unregister(reg, "wide"), 0);
    }
}

static void every_value_falls_into_its_bucket(void)
{
    in_both_stores(check_buckets);
}

TEST_MAIN(TEST(observations_in_shards_are_never_torn), TEST(observations_in_the_shared_store_are_never_torn),
          TEST(observations_in_both_stores_are_never_torn),
          TEST(an_infinity_is_counted_not_summed_and_nan_changes_nothing), TEST(every_value_falls_into_its_bucket))
