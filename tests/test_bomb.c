/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A label that should never have been one: hundreds of thousands of label sets at a family with room for a thousand.
 *
 * Eight threads throw label sets at it, each of which never comes again, while others go on with the thousand that are
 * known. Memory stays where it was, nothing is lost, every recording without a series of its own is counted, and the
 * library names the label that is to blame. What a known recording costs meanwhile is printed, not judged.
 */
#include "guarded.h"

#include <time.h>

enum { KNOWN = 1000, CODES = 5, BOMBERS = 8, KNOWERS = 2 };

static struct {
    struct kymo_registry *reg;
    struct kymo_counter_family *f;
    struct kymo_histogram_family *h;
    struct kymo_counter *handles[KNOWN];
    _Atomic int stop;
} m;

/* The values of known series i, or of the n-th that is new. */
struct values {
    char code[32], user[32];
};

static void known_values(struct values *v, uint64_t i)
{
    (void)numbered(v->code, "c", i % CODES);
    (void)numbered(v->user, "known", i);
}

static void bomb_new(void)
{
    const struct kymo_guard g = {.policy = KYMO_GUARD_LIMIT, .max_series = KNOWN};
    const struct kymo_registry_options o = {.size = sizeof(o), .config = ""};
    REQUIRE(kymo_registry_new(&o, &m.reg) == 0);
    REQUIRE(kymo_counter_family_new(
                m.reg, KYMO_DESC(.name = "hits_total", .help = "x", KYMO_LABELS("code", "user_id"), .guard = &g),
                &m.f) == 0);
    REQUIRE(kymo_histogram_family_new(m.reg,
                                      EXACT_DESC(.name = "exact_hits", KYMO_LABELS("code", "user_id"),
                                                 KYMO_GUARD(KYMO_GUARD_LIMIT, .max_series = 100)),
                                      &m.h) == 0);
    for (uint64_t i = 0; i < KNOWN; i++) {
        struct values v;
        known_values(&v, i);
        m.handles[i] = kymo_counter_with(m.f, KYMO_VALUES(v.code, v.user));
        kymo_counter_inc(m.handles[i]);
        if (i < 100)
            kymo_histogram_family_observe(m.h, 2, KYMO_VALUES(v.code, v.user));
    }
    struct page p = page_of(m.reg);
    page_free(&p);
}

/* ---- those who throw ---- */

struct bomber {
    pthread_t thread;
    uint64_t index, n;
    uint64_t counted, observed; /* recordings */
};

/* Half by labels, half by handles that are given back; one in eight into the histogram, too. */
static void *throw_bombs(void *arg)
{
    struct bomber *b = arg;
    for (uint64_t i = 0; i < b->n; i++) {
        struct values v;
        (void)numbered(v.code, "c", i % CODES);
        (void)numbered(v.user, "new", i * BOMBERS + b->index);
        if (i % 2 == 0) {
            kymo_counter_family_inc(m.f, KYMO_VALUES(v.code, v.user));
            b->counted++;
        } else {
            struct kymo_counter *c = kymo_counter_with(m.f, KYMO_VALUES(v.code, v.user));
            kymo_counter_inc(c);
            kymo_counter_add_int(c, 3);
            kymo_counter_release(c);
            b->counted += 2;
        }
        if (i % 8 == 0) {
            kymo_histogram_family_observe(m.h, 2, KYMO_VALUES(v.code, v.user));
            b->observed++;
        }
    }
    return NULL;
}

/* ---- those who go on ---- */

struct knower {
    pthread_t thread;
    uint64_t turns;
};

static void record_known(void)
{
    for (uint64_t i = 0; i < KNOWN; i++) {
        struct values v;
        known_values(&v, i);
        kymo_counter_inc(m.handles[i]);
        kymo_counter_family_inc(m.f, KYMO_VALUES(v.code, v.user));
    }
}

static void *go_on(void *arg)
{
    struct knower *k = arg;
    for (; !atomic_load_explicit(&m.stop, memory_order_relaxed); k->turns++)
        record_known();
    return NULL;
}

/* ---- what it costs ---- */

static double seconds_of_this_thread(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Nanoseconds of this thread's time for a known recording, by handle and by labels. */
static void known_cost(double cost[2], uint64_t *turns)
{
    enum { TURNS = 20 };
    double t0 = seconds_of_this_thread();
    for (unsigned k = 0; k < TURNS; k++)
        for (uint64_t i = 0; i < KNOWN; i++)
            kymo_counter_inc(m.handles[i]);
    double t1 = seconds_of_this_thread();
    for (unsigned k = 0; k < TURNS; k++)
        for (uint64_t i = 0; i < KNOWN; i++) {
            struct values v;
            known_values(&v, i);
            kymo_counter_family_inc(m.f, KYMO_VALUES(v.code, v.user));
        }
    double t2 = seconds_of_this_thread();
    cost[0] = (t1 - t0) * 1e9 / (TURNS * KNOWN);
    cost[1] = (t2 - t1) * 1e9 / (TURNS * KNOWN);
    *turns += TURNS;
}

/* ---- the account ---- */

struct account {
    double counted, amount, observed; /* recordings without a series, what they added, observations of that sort */
    uint64_t turns;                   /* each two recordings into every known series */
    uint64_t thrown;
};

static void known_are_exact(const struct snapshot *snap, const struct account *a)
{
    double want = 1 + 2.0 * (double)a->turns;
    for (uint64_t i = 0; i < KNOWN; i++) {
        struct values v;
        char values[80];
        known_values(&v, i);
        (void)snprintf(values, sizeof(values), "%s|%s", v.code, v.user);
        double have = snapshot_amount(snap, "hits_total", values);
        EXPECT(have == want, "hits_total{%s} is %.17g, should be %.17g", values, have, want);
    }
}

static void culprit_is_named(const struct snapshot *snap, const char *family, double users)
{
    char values[80];
    (void)snprintf(values, sizeof(values), "%s|user_id", family);
    double culprit = snapshot_amount(snap, "kymo_label_distinct_values", values);
    (void)snprintf(values, sizeof(values), "%s|code", family);
    double code = snapshot_amount(snap, "kymo_label_distinct_values", values);
    printf("bomb, %s: user_id has about %.0f values (%+.2f %%), code %.0f\n", family, culprit,
           100 * (culprit - users) / users, code);
    EXPECT(culprit > code, "%s: user_id should be the largest, has %g, code %g", family, culprit, code);
    /* 5 % is three standard deviations, and is held in test_guard.c by more than one attempt */
    EXPECT(culprit >= 0.93 * users && culprit <= 1.07 * users, "%s: %g values of user_id, should be %g within 7 %%",
           family, culprit, users);
    EXPECT(code == 5 || code == 4, "%s: %g values of code, should be 5", family, code);
}

static void account_is_exact(const struct account *a)
{
    struct snapshot snap = snapshot_of(m.reg);
    double d = snapshot_amount(&snap, "kymo_series_dropped_total", "hits_total");
    double other = snapshot_amount(&snap, "hits_total", OTHER "|" OTHER);
    EXPECT(snapshot_count(&snap, "hits_total") == KNOWN + 1, "%zu series, should be %d and the overflow",
           snapshot_count(&snap, "hits_total"), KNOWN);
    EXPECT(other == a->amount, "the overflow is %.17g, should be %.17g", other, a->amount);
    EXPECT(d == a->counted, "dropped %.17g, should be %.17g", d, a->counted);
    known_are_exact(&snap, a);
    d = snapshot_amount(&snap, "kymo_series_dropped_total", "exact_hits");
    other = snapshot_amount(&snap, "exact_hits", OTHER "|" OTHER);
    EXPECT(other == a->observed && d == a->observed, "histogram: overflow %.17g, dropped %.17g, should be %.17g", other,
           d, a->observed);
    EXPECT(snapshot_total(&snap, "kymo_recordings_refused_total") == 0, "%g recordings were refused",
           snapshot_total(&snap, "kymo_recordings_refused_total"));
    culprit_is_named(&snap, "hits_total", (double)a->thrown + KNOWN);
    snapshot_free(&snap);
}

static struct account bomb_runs(uint64_t n, double cost[2])
{
    static struct bomber bombers[BOMBERS];
    static struct knower knowers[KNOWERS];
    struct account a = {0, 0, 0, 0, 0};
    for (uint64_t i = 0; i < KNOWERS; i++)
        REQUIRE(pthread_create(&knowers[i].thread, NULL, go_on, &knowers[i]) == 0);
    for (uint64_t i = 0; i < BOMBERS; i++) {
        bombers[i] = (struct bomber){.index = i, .n = n / BOMBERS};
        REQUIRE(pthread_create(&bombers[i].thread, NULL, throw_bombs, &bombers[i]) == 0);
    }
    known_cost(cost, &a.turns);
    for (uint64_t i = 0; i < BOMBERS; i++) {
        struct page p = page_of(m.reg); /* while it goes on */
        page_free(&p);
        pthread_join(bombers[i].thread, NULL);
        a.counted += (double)bombers[i].counted;
        a.amount += (double)(bombers[i].counted + 2 * (n / BOMBERS / 2)); /* one in three is of 3 */
        a.observed += (double)bombers[i].observed;
        a.thrown += bombers[i].n;
    }
    atomic_store(&m.stop, 1);
    for (uint64_t i = 0; i < KNOWERS; i++) {
        pthread_join(knowers[i].thread, NULL);
        a.turns += knowers[i].turns;
    }
    return a;
}

static void label_sets_without_end_cost_nothing_and_are_all_counted(void)
{
    uint64_t n = test_long() ? 10000000 : 300000;
    double quiet[2], loud[2];
    uint64_t turns = 0;
    bomb_new();
    known_cost(quiet, &turns);
    struct kymo_registry_stats before = stats_of(m.reg);
    size_t resident = resident_bytes();
    struct account a = bomb_runs(n, loud);
    a.turns += turns;
    struct kymo_registry_stats after = stats_of(m.reg);
    size_t grown = after.segment_used_bytes + after.heap_bytes - before.segment_used_bytes - before.heap_bytes;
    printf("bomb: %" PRIu64 " label sets from %d threads: grew by %zu bytes (resident %+ld KiB, %zu shards more)\n",
           a.thrown, BOMBERS, grown, ((long)resident_bytes() - (long)resident) / 1024,
           after.n_shards - before.n_shards);
    printf("bomb: a known recording: %.1f ns by handle, %.1f by labels; meanwhile x %.2f and x %.2f\n", quiet[0],
           quiet[1], loud[0] / quiet[0], loud[1] / quiet[1]);
    EXPECT(grown < 1024 * 1024, "it grew by %zu bytes", grown);
    EXPECT(after.n_series <= before.n_series + 2, "%zu series more", after.n_series - before.n_series);
    account_is_exact(&a);
    kymo_registry_free(m.reg);
}

TEST_MAIN(TEST(label_sets_without_end_cost_nothing_and_are_all_counted))
