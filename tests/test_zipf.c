/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_zipf.c - KYMO_GUARD_TOP against streams of Zipf's law: who gets a series of their own, and that nothing is lost.
 *
 * What is proven, of a family of which a hundred thousand (long form: a million) label sets share a hundred series:
 * - the series that are shown at the end belong to the heaviest by exact count, but for a few at the border;
 * - between two snapshots the increments of all series, one that was absent counted from 0, are what was recorded in
 *   between, exactly, through every replacement: what a server that adds up increments would have;
 * - each series of its own is shown at 0 before it is recorded into;
 * - with recorders that do not pause: nothing shown goes back, and what is shown and what was announced of series that
 *   ended is, at the end, what was recorded;
 * - memory does not grow with the number of label sets.
 * Time stands still but for a step before each snapshot. Amounts are small whole numbers, so that sums are exact.
 */
#define _GNU_SOURCE /* barriers */

#include <math.h>
#include <pthread.h>

#include <kymo/kymo.h>

#include "test.h"

enum { N_THREADS = 4, TOP = 100, LINGER_S = 60, STEP_S = 15, KEY_TEXT = 12, GUIDE = 1 << 16, MAX_AMOUNT = 4 };
enum { PHASES = 4, SHIFT = TOP / 2 };

#define FAMILY "zipf_total"
#define NS_PER_S INT64_C(1000000000)

/* ---- draws ---- */

/**
 * struct zipf - rank i is drawn with a weight of 1 / (i + 1)^s
 * @sums:  of the weights up to and with a rank
 * @guide: where to begin to look, by the first 16 bits of a draw
 */
struct zipf {
    size_t n;
    double *sums;
    uint32_t *guide;
};

static void zipf_init(struct zipf *z, size_t n, double s)
{
    double sum = 0;
    z->n = n;
    z->sums = malloc(n * sizeof(*z->sums));
    z->guide = malloc((GUIDE + 1) * sizeof(*z->guide));
    REQUIRE(z->sums != NULL && z->guide != NULL);
    for (size_t i = 0; i < n; i++)
        z->sums[i] = sum += pow((double)(i + 1), -s);
    for (size_t j = 0, i = 0; j <= GUIDE; j++) {
        while (i < n - 1 && z->sums[i] <= sum * (double)j / GUIDE)
            i++;
        z->guide[j] = (uint32_t)i;
    }
}

static void zipf_deinit(struct zipf *z)
{
    free(z->sums);
    free(z->guide);
}

static uint64_t random_next(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static size_t zipf_draw(const struct zipf *z, uint64_t r)
{
    double v = (double)(r >> 11) * 0x1p-53 * z->sums[z->n - 1];
    size_t low = z->guide[r >> 48], high = z->guide[(r >> 48) + 1];
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (z->sums[middle] > v)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* ---- a family under its guard, and what was seen of it ---- */

/* What a key showed when it was last seen. */
struct seen {
    double last;
    uint64_t id;
    uint32_t generation;
    uint32_t snapshot;
};

/**
 * struct world - a registry with the family, its clock, and all that is known of it
 * @keys:     @n_keys texts of KEY_TEXT bytes
 * @seen:     by key; the last one is the overflow series
 * @snapshot: number of the one that is being taken, from 1
 * @sum, @increments, @n_own: what it shows: values, growth since the one before, series of their own
 * @ended, @n_ended: values of series that have ended, as announced
 */
struct world {
    struct kymo_registry *reg;
    enum kymo_kind kind; /* of the family: counters or histograms */
    void *family;
    int64_t now_ns; /* atomic */
    size_t n_keys;
    char *keys;
    struct seen *seen;
    uint32_t snapshot;
    double sum, increments;
    size_t n_own;
    double ended;
    size_t n_ended;
};

static int64_t read_clock(void *ctx)
{
    return __atomic_load_n(&((struct world *)ctx)->now_ns, __ATOMIC_RELAXED);
}

static void pass_time(struct world *w, int64_t seconds)
{
    __atomic_fetch_add(&w->now_ns, seconds * NS_PER_S, __ATOMIC_RELAXED);
}

static double value_of(const struct kymo_family *family, const struct kymo_point *point)
{
    return family->kind == KYMO_HISTOGRAM ? (double)point->value.histogram.count
                                          : (double)point->value.counter.whole + point->value.counter.fraction;
}

static int is_ours(const struct kymo_family *family)
{
    return strcmp(family->name, FAMILY) == 0;
}

static void note_end(void *ctx, const struct kymo_event *event)
{
    struct world *w = ctx;
    if (!is_ours(event->family))
        return;
    w->ended += value_of(event->family, event->point);
    w->n_ended++;
}

/* The number in a key's text; n_keys for `__other__`. */
static size_t key_of(const struct world *w, const struct kymo_family *family, const struct kymo_point *point)
{
    char text[64];
    size_t n = kymo_point_value(family, point, 0, text, sizeof(text));
    size_t key = text[0] == 'k' ? (size_t)strtoull(text + 1, NULL, 10) : w->n_keys;
    REQUIRE(n == strlen(key < w->n_keys ? w->keys + key * KEY_TEXT : "__other__"));
    REQUIRE(strcmp(text, key < w->n_keys ? w->keys + key * KEY_TEXT : "__other__") == 0);
    return key;
}

/* As a server reads it: what was not there before, and what went back, counts from 0. */
static int note_point(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    struct world *w = ctx;
    if (!is_ours(family))
        return 0;
    size_t key = key_of(w, family, point);
    struct seen *s = &w->seen[key];
    double value = value_of(family, point);
    int was_there = s->snapshot == w->snapshot - 1;
    if (was_there && s->id == point->id && s->generation == point->generation)
        CHECK(value >= s->last);
    CHECK(s->snapshot != w->snapshot);
    CHECK(was_there || value == 0 || key == w->n_keys); /* a server sees it at 0 first */
    w->increments += was_there && value >= s->last ? value - s->last : value;
    w->sum += value;
    w->n_own += key < w->n_keys;
    *s = (struct seen){value, point->id, point->generation, w->snapshot};
    return 0;
}

static void take_snapshot(struct world *w)
{
    const struct kymo_visitor visitor = {sizeof(visitor), w, NULL, note_point, NULL};
    pass_time(w, STEP_S);
    w->snapshot++;
    w->sum = w->increments = 0;
    w->n_own = 0;
    CHECK_INT(kymo_registry_visit(w->reg, &visitor), 0);
}

static const double bounds[] = {1, 2, 3};

static void add_family(struct world *w)
{
    struct kymo_histogram_family *h;
    struct kymo_counter_family *c;
    if (w->kind == KYMO_HISTOGRAM) {
        REQUIRE(kymo_histogram_family_new(
                    w->reg,
                    KYMO_DESC(.name = FAMILY, .help = "x", KYMO_LABELS("tenant"), .bounds = bounds, .n_bounds = 3,
                              KYMO_GUARD(.policy = KYMO_GUARD_TOP, .max_series = TOP, .linger_ms = 1000 * LINGER_S)),
                    &h) == 0);
        w->family = h;
    } else {
        REQUIRE(kymo_counter_family_new(
                    w->reg,
                    KYMO_DESC(.name = FAMILY, .help = "x", KYMO_LABELS("tenant"),
                              KYMO_GUARD(.policy = KYMO_GUARD_TOP, .max_series = TOP, .linger_ms = 1000 * LINGER_S)),
                    &c) == 0);
        w->family = c;
    }
}

static void world_init(struct world *w, enum kymo_kind kind, size_t n_keys)
{
    const struct kymo_clock clock = {sizeof(clock), w, read_clock, read_clock};
    const struct kymo_registry_options options = {
        .size = sizeof(options), .clock = &clock, .event = note_end, .event_ctx = w};
    *w = (struct world){.kind = kind, .now_ns = NS_PER_S, .n_keys = n_keys};
    w->keys = malloc(n_keys * KEY_TEXT);
    w->seen = calloc(n_keys + 1, sizeof(*w->seen));
    REQUIRE(w->keys != NULL && w->seen != NULL);
    for (size_t i = 0; i < n_keys; i++)
        (void)snprintf(w->keys + i * KEY_TEXT, KEY_TEXT, "k%zu", i % 10000000);
    REQUIRE(kymo_registry_new(&options, &w->reg) == 0);
    add_family(w);
}

static void world_deinit(struct world *w)
{
    kymo_registry_free(w->reg);
    free(w->keys);
    free(w->seen);
}

static size_t memory_of(const struct world *w)
{
    struct kymo_registry_stats stats = {.size = sizeof(stats)};
    CHECK_INT(kymo_registry_get_stats(w->reg, &stats), 0);
    return stats.segment_used_bytes + stats.heap_bytes;
}

/* ---- recorders ---- */

struct crew;

/* @weight: by key, what this thread recorded; @recorded: in all */
struct recorder {
    struct crew *crew;
    pthread_t thread;
    uint64_t random;
    uint32_t *weight;
    uint64_t recorded;
};

/**
 * struct crew - N_THREADS recorders that work in rounds
 * @batch:  recordings of a thread in a round
 * @paused: they wait for each other, and for the snapshot, before and after each round
 * @shift:  rank i is key i + shift: who is popular. Written between rounds
 * @n_done: threads that have; atomic
 */
struct crew {
    struct world *world;
    const struct zipf *zipf;
    size_t rounds, batch;
    int paused;
    size_t shift;
    int n_done;
    pthread_barrier_t gate;
    struct recorder recorders[N_THREADS];
};

/* A histogram's observations weigh 1 each, a counter's amounts what they are. */
static uint32_t record_key(const struct world *w, size_t key, uint64_t random)
{
    const char *text = w->keys + key * KEY_TEXT;
    uint32_t amount = (uint32_t)random % MAX_AMOUNT + 1;
    if (w->kind == KYMO_HISTOGRAM) {
        kymo_histogram_family_observe(w->family, amount, &text, 1);
        return 1;
    }
    kymo_counter_family_add(w->family, amount, &text, 1);
    return amount;
}

static void record_batch(struct recorder *r)
{
    const struct crew *c = r->crew;
    const struct world *w = c->world;
    size_t shift = c->shift;
    for (size_t i = 0; i < c->batch; i++) {
        size_t key = (zipf_draw(c->zipf, random_next(&r->random)) + shift) % w->n_keys;
        uint32_t amount = record_key(w, key, random_next(&r->random));
        r->weight[key] += amount;
        r->recorded += amount;
    }
}

static void *work(void *arg)
{
    struct recorder *r = arg;
    struct crew *c = r->crew;
    CHECK_INT(kymo_thread_attach(c->world->reg), 0);
    for (size_t i = 0; i < c->rounds; i++) {
        if (c->paused)
            pthread_barrier_wait(&c->gate);
        record_batch(r);
        if (c->paused)
            pthread_barrier_wait(&c->gate);
    }
    __atomic_fetch_add(&c->n_done, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void crew_start(struct crew *c)
{
    REQUIRE(pthread_barrier_init(&c->gate, NULL, N_THREADS + 1) == 0);
    for (unsigned i = 0; i < N_THREADS; i++) {
        struct recorder *r = &c->recorders[i];
        *r = (struct recorder){.crew = c, .random = 1000 * i + 1};
        r->weight = calloc(c->world->n_keys, sizeof(*r->weight));
        REQUIRE(r->weight != NULL);
        REQUIRE(pthread_create(&r->thread, NULL, work, r) == 0);
    }
}

/* What all of them have recorded; while they pause, or have ended. */
static double crew_recorded(const struct crew *c)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < N_THREADS; i++)
        n += c->recorders[i].recorded;
    return (double)n;
}

static void crew_join(struct crew *c)
{
    for (unsigned i = 0; i < N_THREADS; i++)
        REQUIRE(pthread_join(c->recorders[i].thread, NULL) == 0);
    pthread_barrier_destroy(&c->gate);
}

static void crew_free(struct crew *c)
{
    for (unsigned i = 0; i < N_THREADS; i++)
        free(c->recorders[i].weight);
}

/* ---- rounds, each with a snapshot after it ---- */

/* Who is popular changes three times; each time lasts twice as long as the one before, so that it has a chance to win. */
static size_t shift_of(const struct crew *c, size_t round)
{
    size_t phase = 0;
    for (size_t end = c->rounds / ((1u << PHASES) - 1); phase < PHASES - 1 && round >= end; phase++)
        end += c->rounds * (2u << phase) / ((1u << PHASES) - 1);
    return phase * SHIFT;
}

static void check_increments(const struct world *w, double before, double now)
{
    CHECK_DOUBLE(w->increments, now - before);
    CHECK(w->increments > 0);
}

/* Returns by how much memory grew after the first quarter. */
static long play_rounds(struct crew *c, int drifting)
{
    struct world *w = c->world;
    double before = 0;
    size_t quarter = 0;
    crew_start(c);
    for (size_t i = 0; i < c->rounds; i++) {
        c->shift = drifting ? shift_of(c, i) : 0;
        pthread_barrier_wait(&c->gate);
        pthread_barrier_wait(&c->gate);
        take_snapshot(w);
        check_increments(w, before, crew_recorded(c));
        before = crew_recorded(c);
        if (i == c->rounds / 4)
            quarter = memory_of(w);
    }
    crew_join(c);
    return (long)memory_of(w) - (long)quarter;
}

/* Snapshots in which nothing moves but those that linger, until none does. */
static void settle(struct world *w)
{
    for (int i = 0; i < 2 * LINGER_S / STEP_S + 4; i++) {
        take_snapshot(w);
        CHECK_DOUBLE(w->increments, 0);
    }
    CHECK(w->n_own <= TOP);
}

/* ---- who is on top ---- */

static int descending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x < y) - (x > y);
}

/* By key, into the first recorder's array. */
static void add_weights(struct crew *c)
{
    for (unsigned i = 1; i < N_THREADS; i++)
        for (size_t k = 0; k < c->world->n_keys; k++)
            c->recorders[0].weight[k] += c->recorders[i].weight[k];
}

/* What the last of the TOP heaviest weighs. */
static uint32_t border_of(const struct crew *c)
{
    size_t n = c->world->n_keys;
    uint32_t border, *sorted = malloc(n * sizeof(*sorted));
    REQUIRE(sorted != NULL);
    memcpy(sorted, c->recorders[0].weight, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), descending);
    border = sorted[TOP - 1];
    free(sorted);
    return border;
}

/* Of the TOP heaviest, how many have a series of their own in the last snapshot. */
static double recall_of(struct crew *c)
{
    const struct world *w = c->world;
    size_t n = 0;
    add_weights(c);
    uint32_t border = border_of(c);
    for (size_t k = 0; k < w->n_keys; k++)
        n += w->seen[k].snapshot == w->snapshot && c->recorders[0].weight[k] >= border;
    return (double)n / TOP;
}

/* ---- the tests ---- */

/* @drifting: who is popular changes; @recall: at least so much; @rounds: each with a snapshot */
struct stream {
    const char *name;
    enum kymo_kind kind;
    double s;
    int drifting;
    double recall;
    size_t rounds;
};

static size_t n_keys(void)
{
    return test_long() ? 1000000 : 100000;
}

static size_t n_recordings(void)
{
    return test_long() ? 20000000 : 2000000;
}

static void play(const struct stream *stream)
{
    struct zipf zipf;
    struct world w;
    zipf_init(&zipf, n_keys(), stream->s);
    world_init(&w, stream->kind, n_keys());
    struct crew *c = calloc(1, sizeof(*c));
    REQUIRE(c != NULL);
    *c = (struct crew){.world = &w, .zipf = &zipf, .rounds = stream->rounds, .paused = 1};
    c->batch = n_recordings() / c->rounds / N_THREADS;
    long growth = play_rounds(c, stream->drifting);
    size_t replaced = w.n_ended;
    settle(&w);
    double recall = recall_of(c);
    printf("%s: s %g, %zu keys, %.0f recorded, %zu snapshots exact, recall %.2f, %zu replaced while recording, "
           "memory %+ld bytes after the first quarter, %zu in all\n",
           stream->name, stream->s, w.n_keys, crew_recorded(c), c->rounds, recall, replaced, growth, memory_of(&w));
    CHECK(recall >= stream->recall);
    CHECK(!stream->drifting || replaced >= SHIFT / 2);
    CHECK(growth < 65536);
    crew_free(c);
    free(c);
    world_deinit(&w);
    zipf_deinit(&zipf);
}

static void test_the_heaviest_have_their_series_and_every_increment_is_seen(void)
{
    static const struct stream streams[] = {
        {"flat", KYMO_COUNTER, 0.8, 0, 0.9, 100},
        {"natural", KYMO_COUNTER, 1.0, 0, 0.95, 100},
        {"steep", KYMO_COUNTER, 1.2, 0, 0.95, 100},
    };
    for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++)
        if (test_long() || streams[i].s == 1.0)
            play(&streams[i]);
}

static void test_every_increment_is_seen_through_replacements(void)
{
    play(&(const struct stream){"drifting", KYMO_COUNTER, 1.0, 1, 0.6, 150});
}

static void test_histograms_lose_no_observation_either(void)
{
    play(&(const struct stream){"histograms", KYMO_HISTOGRAM, 1.0, 1, 0.6, 150});
}

/*
 * Shown values and values of series that ended never become less, together. A snapshot in which some end is passed over:
 * they were shown and announced, or neither yet if a recorder was inside. Returns 1 if there was something to compare.
 */
static int check_total(const struct world *w, size_t ended_before, double *total)
{
    struct kymo_registry_stats stats = {.size = sizeof(stats)};
    CHECK_INT(kymo_registry_get_stats(w->reg, &stats), 0);
    if (w->n_ended != ended_before || stats.n_ending != 0)
        return 0;
    CHECK(w->sum + w->ended >= *total);
    *total = w->sum + w->ended;
    return 1;
}

static void test_recorders_that_go_on_lose_nothing(void)
{
    struct zipf zipf;
    struct world w;
    double total = 0;
    size_t n_snapshots = 0, n_compared = 0;
    zipf_init(&zipf, n_keys(), 1.0);
    world_init(&w, KYMO_COUNTER, n_keys());
    struct crew *c = calloc(1, sizeof(*c));
    REQUIRE(c != NULL);
    *c = (struct crew){.world = &w, .zipf = &zipf, .rounds = 1, .batch = n_recordings() / N_THREADS};
    crew_start(c);
    for (; __atomic_load_n(&c->n_done, __ATOMIC_ACQUIRE) < N_THREADS; n_snapshots++) {
        size_t ended = w.n_ended;
        take_snapshot(&w);
        n_compared += (size_t)check_total(&w, ended, &total);
    }
    crew_join(c);
    take_snapshot(&w);
    settle(&w);
    printf("not paused: %.0f recorded, %zu snapshots meanwhile, %zu of them compared, %zu series replaced\n",
           crew_recorded(c), n_snapshots, n_compared, w.n_ended);
    CHECK_DOUBLE(w.sum + w.ended, crew_recorded(c));
    CHECK(n_compared > 1);
    crew_free(c);
    free(c);
    world_deinit(&w);
    zipf_deinit(&zipf);
}

TEST_MAIN(TEST(test_the_heaviest_have_their_series_and_every_increment_is_seen),
          TEST(test_every_increment_is_seen_through_replacements), TEST(test_histograms_lose_no_observation_either),
          TEST(test_recorders_that_go_on_lose_nothing))
