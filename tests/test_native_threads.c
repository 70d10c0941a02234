/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Native histograms under many threads: whatever a visitor finds is whole (K3), nothing is lost (K5), no count goes back
 * unless the histogram began anew and says so (K2), and the limit is never seen exceeded.
 *
 * Threads draw their values from seeds, so that all of them can be drawn again at the end: schema and threshold of the
 * last point decide into which bucket each value must have come, in whatever order they were observed and however often
 * buckets were merged meanwhile.
 */
#include "torture.h"

#include <float.h>
#include <math.h>
#include <time.h>

#include "native_model.h"

/* Observations ever made, those before a reset too; the library's own account, since no visitor sees them all. */
extern uint64_t kymo__native_lifetime(const struct kymo_histogram *h);

enum { WRITERS = 8, MOST_BUCKETS = 1000, POWERS = 16 };

/*
 * What is observed: powers of two; whole numbers; all there is; what needs many buckets around 1; what grows in the
 * course of time, so that the zero bucket widens all the time; fractions above 0, whose sum only ever grows.
 */
enum values { VALUES_POWERS, VALUES_WHOLE, VALUES_ALL, VALUES_NARROW, VALUES_RISING, VALUES_POSITIVE };

struct variant {
    const char *name;
    struct kymo_native native;
    enum values values;
    int both;     /* classic buckets, too */
    int restless; /* threads leave and come back */
    size_t max_shards;
};

static const double power_bounds[POWERS] = {1,   2,   4,    8,    16,   32,   64,    128,
                                            256, 512, 1024, 2048, 4096, 8192, 16384, 32768};

/* ---- a scene: one histogram, its writers, its reader ---- */

static struct {
    const struct variant *variant;
    struct kymo_registry *reg;
    struct kymo_histogram *h;
    uint64_t each; /* observations of a writer, of one or some at once */
    _Atomic unsigned left;
    pthread_barrier_t start;
} m;

/* A thread's observation number i: @n of the value that is returned. */
static double value_next(enum values values, uint64_t i, uint64_t *random, uint64_t *n)
{
    uint64_t r = random_next(random);
    double sign = (r >> 60) & 1 ? 1 : -1, unit = (double)(r >> 11) * 0x1p-53, v;
    uint64_t bits = random_next(random) >> 2; /* of a positive number, at most 2 */
    *n = (r >> 1) % 16 == 0 ? 1 + (r >> 5) % 3 : 1;
    switch (values) {
    case VALUES_POWERS:
        return r % 17 == 0 ? 0 : sign * power_bounds[(r >> 8) % POWERS];
    case VALUES_WHOLE:
        return floor(unit * 2001) - 1000;
    case VALUES_RISING:
        return sign * exp(14 * (double)i / (double)m.each + unit);
    case VALUES_POSITIVE:
        return exp(10 * (double)i / (double)m.each + 3 * unit - 5);
    case VALUES_NARROW:
        return sign * exp(6 * unit - 3);
    default:
        if (r % 4096 == 5)
            return sign * (double)INFINITY;
        memcpy(&v, &bits, sizeof(v));
        return sign * v * ((r >> 7) % 2 == 0 ? 1 : 0x1p+511);
    }
}

struct writer {
    pthread_t thread;
    uint64_t seed;
    uint64_t observed;
};

static int64_t clock_monotonic(void *ctx)
{
    struct timespec t;
    (void)ctx;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* A wall clock that nobody sets. */
static int64_t clock_wall(void *ctx)
{
    return INT64_C(1700000000000000000) + clock_monotonic(ctx);
}

static void scene_new(const struct variant *variant, uint64_t each)
{
    const struct kymo_clock clock = {sizeof(clock), NULL, clock_wall, clock_monotonic};
    struct kymo_registry_options o = {
        .size = sizeof(o), .clock = &clock, .max_shards = variant->max_shards, .config = ""};
    m.variant = variant;
    m.each = each;
    m.left = WRITERS;
    REQUIRE(kymo_registry_new(&o, &m.reg) == 0);
    REQUIRE(kymo_histogram_new(m.reg,
                               KYMO_DESC(.name = "native", .help = "x", .native = &variant->native,
                                         .bounds = variant->both ? power_bounds : NULL,
                                         .n_bounds = variant->both ? POWERS : 0),
                               &m.h) == 0);
    pthread_barrier_init(&m.start, NULL, WRITERS + 2);
}

static void *write_all(void *arg)
{
    struct writer *w = arg;
    uint64_t random = w->seed, n;
    if (w->seed % 4 != 0)
        (void)kymo_thread_attach(m.reg);
    pthread_barrier_wait(&m.start);
    for (uint64_t i = 0; i < m.each; i++) {
        double v = value_next(m.variant->values, i, &random, &n);
        if (n == 1)
            kymo_histogram_observe(m.h, v);
        else
            kymo_histogram_observe_n(m.h, v, n);
        w->observed += n;
        if (m.variant->restless && i % 1024 == w->seed % 1024)
            kymo_thread_detach();
        if (m.variant->restless && i % 4096 == 0)
            (void)kymo_thread_attach(m.reg);
    }
    atomic_fetch_sub(&m.left, 1);
    return NULL;
}

/* ---- what one look after the other must hold ---- */

struct side_seen {
    int32_t keys[10 * MOST_BUCKETS];
    uint64_t counts[10 * MOST_BUCKETS];
    size_t n;
};

/* The last point, and how many there were. */
struct sight {
    uint64_t looks, resets, steps;
    int64_t start_ns;
    uint64_t count, zero_count;
    int32_t schema;
    double zero_threshold;
    double sum;
    uint64_t classic[POWERS + 1];
    struct side_seen side[2];
};

static void side_remember(struct side_seen *s, const int32_t *keys, const uint64_t *counts, size_t n)
{
    REQUIRE(n <= sizeof(s->keys) / sizeof(s->keys[0]));
    if (n > 0) {
        memcpy(s->keys, keys, n * sizeof(*keys));
        memcpy(s->counts, counts, n * sizeof(*counts));
    }
    s->n = n;
}

/* Whether each bucket of then is there still with no less in it; the schema and the threshold are the same. */
static int side_grew(const struct side_seen *then, const int32_t *keys, const uint64_t *counts, size_t n)
{
    size_t k = 0;
    for (size_t i = 0; i < then->n; i++) {
        while (k < n && keys[k] < then->keys[i])
            k++;
        if (k == n || keys[k] != then->keys[i] || counts[k] < then->counts[i])
            return 0;
    }
    return 1;
}

static void sight_compare(struct sight *s, const struct kymo_point *point)
{
    const struct kymo_histogram_point *h = &point->value.histogram;
    const struct kymo_native_point *p = h->native;
    if (point->start_ns != s->start_ns) {
        CHECK(point->start_ns > s->start_ns);
        s->resets++;
        return;
    }
    CHECK(h->count >= s->count);
    if (m.variant->values == VALUES_POSITIVE)
        CHECK(h->sum >= s->sum); /* not by an ulp, whatever was merged */
    CHECK(p->zero_count >= s->zero_count);
    CHECK(p->schema <= s->schema);
    CHECK(p->zero_threshold >= s->zero_threshold);
    for (size_t i = 0; h->n_bounds > 0 && i <= h->n_bounds; i++)
        CHECK(h->buckets[i] >= s->classic[i]);
    if (p->schema != s->schema || p->zero_threshold != s->zero_threshold) {
        s->steps++;
        return;
    }
    CHECK(side_grew(&s->side[0], p->positive_index, p->positive_count, p->n_positive));
    CHECK(side_grew(&s->side[1], p->negative_index, p->negative_count, p->n_negative));
}

static void sight_remember(struct sight *s, const struct kymo_point *point)
{
    const struct kymo_histogram_point *h = &point->value.histogram;
    s->start_ns = point->start_ns;
    s->count = h->count;
    s->sum = h->sum;
    s->zero_count = h->native->zero_count;
    s->schema = h->native->schema;
    s->zero_threshold = h->native->zero_threshold;
    for (size_t i = 0; h->n_bounds > 0 && i <= h->n_bounds; i++)
        s->classic[i] = h->buckets[i];
    side_remember(&s->side[0], h->native->positive_index, h->native->positive_count, h->native->n_positive);
    side_remember(&s->side[1], h->native->negative_index, h->native->negative_count, h->native->n_negative);
    s->looks++;
}

static uint64_t bucket_of(const int32_t *keys, const uint64_t *counts, size_t n, int32_t key)
{
    for (size_t i = 0; i < n; i++) {
        if (keys[i] == key)
            return counts[i];
    }
    return 0;
}

/* Powers of two at schema 0: the sum is a function of the buckets, without rounding, and so are the classic ones. */
static void powers_belong_together(const struct kymo_histogram_point *h)
{
    const struct kymo_native_point *p = h->native;
    double sum = 0;
    CHECK_INT(p->schema, 0);
    for (size_t i = 0; i < p->n_positive; i++)
        sum += (double)p->positive_count[i] * ldexp(1, p->positive_index[i]);
    for (size_t i = 0; i < p->n_negative; i++)
        sum -= (double)p->negative_count[i] * ldexp(1, p->negative_index[i]);
    CHECK_DOUBLE(h->sum, sum);
    for (size_t i = 1; h->n_bounds > 0 && i <= h->n_bounds; i++)
        CHECK_U64(h->buckets[i], bucket_of(p->positive_index, p->positive_count, p->n_positive, (int32_t)i));
}

static int on_sample(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    struct sight *s = ctx;
    const struct kymo_histogram_point *h = &point->value.histogram;
    if (strcmp(family->name, "native") != 0)
        return 0;
    const char *wrong = native_point_wrong(h, m.variant->native.max_buckets != 0 ? m.variant->native.max_buckets : 160);
    if (wrong != NULL) {
        char *text = native_point_text(point, 0);
        fprintf(stderr, "look %" PRIu64 ": %s: %s\n", s->looks, wrong, text);
        free(text);
    }
    CHECK(wrong == NULL);
    if (h->native == NULL)
        return 0;
    if (m.variant->values == VALUES_POWERS)
        powers_belong_together(h);
    if (s->looks > 0)
        sight_compare(s, point);
    sight_remember(s, point);
    return 0;
}

static void look(struct sight *s)
{
    const struct kymo_visitor visitor = {sizeof(visitor), s, NULL, on_sample, NULL};
    CHECK_INT(kymo_registry_visit(m.reg, &visitor), 0);
}

/* Another reader beside the first: pages, and the one series' value. */
static void *read_beside(void *arg)
{
    uint64_t *pages = arg, buckets[POWERS + 1];
    pthread_barrier_wait(&m.start);
    while (atomic_load(&m.left) > 0) {
        double sum;
        uint64_t total = 0, n = kymo_histogram_value(m.h, &sum, m.variant->both ? buckets : NULL,
                                                     m.variant->both ? POWERS + 1 : 0);
        for (size_t i = 0; m.variant->both && i <= POWERS; i++)
            total += buckets[i];
        CHECK(!m.variant->both || total == n);
        struct page p = page_of(m.reg);
        page_free(&p);
        ++*pages;
        sched_yield();
    }
    return NULL;
}

/* ---- the end ---- */

/* Draws all values again and puts them where schema and threshold of the last look say. */
static void buckets_are_those_of(const struct writer *writers, const struct sight *last)
{
    struct kymo_native no_limit = {.bucket_factor = 2, .max_buckets = UINT32_MAX};
    struct native_model model;
    native_model_init(&model, &no_limit, NULL, 0, 0);
    model.schema = last->schema;
    model.zero_threshold = last->zero_threshold;
    for (unsigned w = 0; w < WRITERS; w++) {
        uint64_t random = writers[w].seed, n;
        for (uint64_t i = 0; i < m.each; i++) {
            double v = value_next(m.variant->values, i, &random, &n);
            native_model_observe(&model, v, n, 0);
        }
    }
    CHECK_U64(last->zero_count, model.zero_count);
    CHECK_U64(last->count, model.count);
    if (m.variant->values == VALUES_POWERS || m.variant->values == VALUES_WHOLE)
        CHECK_DOUBLE(last->sum, model.sum);
    for (int i = 0; i < 2; i++) {
        CHECK_U64(last->side[i].n, model.side[i].n);
        for (size_t k = 0; k < last->side[i].n && k < model.side[i].n; k++) {
            CHECK_INT(last->side[i].keys[k], model.side[i].keys[k]);
            CHECK_U64(last->side[i].counts[k], model.side[i].counts[k]);
        }
    }
    native_model_free(&model);
}

static void run_variant(const struct variant *variant, uint64_t each)
{
    static struct sight sight;
    struct writer writers[WRITERS];
    pthread_t reader;
    uint64_t observed = 0, pages = 0;
    memset(&sight, 0, sizeof(sight));
    memset(writers, 0, sizeof(writers));
    scene_new(variant, each);
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i].seed = 88172645463325252u + 7919 * (i + 1);
        REQUIRE(pthread_create(&writers[i].thread, NULL, write_all, &writers[i]) == 0);
    }
    REQUIRE(pthread_create(&reader, NULL, read_beside, &pages) == 0);
    pthread_barrier_wait(&m.start);
    while (atomic_load(&m.left) > 0)
        look(&sight);
    for (unsigned i = 0; i < WRITERS; i++) {
        pthread_join(writers[i].thread, NULL);
        observed += writers[i].observed;
    }
    pthread_join(reader, NULL);
    look(&sight);
    CHECK_U64(kymo__native_lifetime(m.h), observed);
    if (variant->native.min_reset_ns == 0)
        buckets_are_those_of(writers, &sight);
    printf("native, %s: %" PRIu64 " observations by %d threads, %" PRIu64 " looks and %" PRIu64
           " pages, schema %" PRId32 ", zero within %g, %zu buckets; seen beginning anew %" PRIu64
           " times, changing %" PRIu64 " times\n",
           variant->name, observed, WRITERS, sight.looks, pages, sight.schema, sight.zero_threshold,
           sight.side[0].n + sight.side[1].n, sight.resets, sight.steps);
    CHECK(variant->native.min_reset_ns == 0 ? sight.resets == 0 : sight.resets > 0);
    pthread_barrier_destroy(&m.start);
    kymo_registry_free(m.reg);
}

static uint64_t each(uint64_t n)
{
    return test_long() ? 30 * n : n;
}

static void sums_belong_to_buckets_in_every_look(void)
{
    static const struct variant own = {
        .name = "powers of two", .native = {.bucket_factor = 2, .max_buckets = MOST_BUCKETS}, .values = VALUES_POWERS};
    static const struct variant both = {.name = "powers of two, classic as well",
                                        .native = {.bucket_factor = 2, .max_buckets = MOST_BUCKETS},
                                        .values = VALUES_POWERS,
                                        .both = 1};
    static const struct variant shared = {.name = "powers of two, few shards",
                                          .native = {.bucket_factor = 2, .max_buckets = MOST_BUCKETS},
                                          .values = VALUES_POWERS,
                                          .both = 1,
                                          .restless = 1,
                                          .max_shards = 2};
    run_variant(&own, each(50000));
    run_variant(&both, each(50000));
    run_variant(&shared, each(25000));
}

static void nothing_is_lost_when_buckets_are_merged(void)
{
    static const struct variant all = {.name = "all magnitudes",
                                       .native = {.bucket_factor = 1.005, .max_buckets = 40, .zero_threshold = -1},
                                       .values = VALUES_ALL};
    static const struct variant whole = {
        .name = "whole numbers, the zero bucket widens",
        .native = {.bucket_factor = 1.005, .max_buckets = 100, .max_zero_threshold = 50},
        .values = VALUES_WHOLE,
        .both = 1};
    static const struct variant narrow = {
        .name = "values around 1, few shards",
        .native = {.bucket_factor = 1.005, .max_buckets = 30, .max_zero_threshold = 0.2},
        .values = VALUES_NARROW,
        .restless = 1,
        .max_shards = 3};
    static const struct variant wide = {
        .name = "all magnitudes, threads that come and go",
        .native = {.bucket_factor = 1.005, .max_buckets = 900, .max_zero_threshold = 1e-200, .zero_threshold = -1},
        .values = VALUES_ALL,
        .restless = 1};
    static const struct variant rising = {
        .name = "rising values, the zero bucket widens all the time",
        .native = {.bucket_factor = 1.005, .max_buckets = 600, .max_zero_threshold = DBL_MAX},
        .values = VALUES_RISING};
    static const struct variant rising_few = {
        .name = "rising values, few shards",
        .native = {.bucket_factor = 1.02, .max_buckets = 100, .max_zero_threshold = DBL_MAX},
        .values = VALUES_RISING,
        .both = 1,
        .restless = 1,
        .max_shards = 3};
    run_variant(&all, each(25000));
    run_variant(&whole, each(25000));
    run_variant(&narrow, each(25000));
    run_variant(&wide, each(25000));
    run_variant(&rising, each(25000));
    run_variant(&rising_few, each(25000));
}

/* Not even where rounding could let it. */
static void a_sum_of_positive_values_never_goes_back(void)
{
    static const struct variant own = {.name = "fractions above 0",
                                       .native = {.bucket_factor = 1.05, .max_buckets = 60, .max_zero_threshold = 50},
                                       .values = VALUES_POSITIVE};
    static const struct variant few = {.name = "fractions above 0, few shards, threads that come and go",
                                       .native = {.bucket_factor = 1.05, .max_buckets = 60, .max_zero_threshold = 50},
                                       .values = VALUES_POSITIVE,
                                       .both = 1,
                                       .restless = 1,
                                       .max_shards = 3};
    run_variant(&own, each(25000));
    run_variant(&few, each(25000));
}

static void nothing_is_lost_when_it_begins_anew(void)
{
    static const struct variant often = {
        .name = "all magnitudes, anew each 2 ms",
        .native = {.bucket_factor = 1.005, .max_buckets = 40, .min_reset_ns = 2000000, .zero_threshold = -1},
        .values = VALUES_ALL};
    static const struct variant both = {
        .name = "values around 1, classic as well, anew each 1 ms",
        .native = {.bucket_factor = 1.005, .max_buckets = 30, .min_reset_ns = 1000000, .max_zero_threshold = 0.2},
        .values = VALUES_NARROW,
        .both = 1};
    static const struct variant few = {
        .name = "whole numbers, few shards, threads that come and go, anew each 1 ms",
        .native = {.bucket_factor = 1.005, .max_buckets = 10, .min_reset_ns = 1000000, .max_zero_threshold = 50},
        .values = VALUES_WHOLE,
        .both = 1,
        .restless = 1,
        .max_shards = 3};
    static const struct variant always = {
        .name = "all magnitudes, anew whenever there is one bucket too many",
        .native = {.bucket_factor = 2, .max_buckets = 20, .min_reset_ns = 1, .zero_threshold = -1},
        .values = VALUES_ALL};
    static const struct variant rising = {
        .name = "rising values, anew each 1 ms",
        .native = {.bucket_factor = 1.02, .max_buckets = 100, .min_reset_ns = 1000000, .max_zero_threshold = DBL_MAX},
        .values = VALUES_RISING,
        .max_shards = 5};
    run_variant(&often, each(25000));
    run_variant(&both, each(25000));
    run_variant(&few, each(25000));
    run_variant(&always, each(5000));
    run_variant(&rising, each(25000));
}

TEST_MAIN(TEST(sums_belong_to_buckets_in_every_look), TEST(nothing_is_lost_when_buckets_are_merged),
          TEST(a_sum_of_positive_values_never_goes_back), TEST(nothing_is_lost_when_it_begins_anew))
