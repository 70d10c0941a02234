/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads make, record, release and end series all at once: every recording is in exactly one place.
 *
 * The last values told at ends, what lives, and the overflow series together are what was recorded, for each family, to
 * the last one; what is in the overflow series is what was dropped. What one visit shows of a series is never less than
 * what the one before showed, unless it is another series, and then it says so (id, generation, start time). What was
 * released takes no memory. Recording goes on in signal handlers, on top of whatever their thread was in.
 */
#include "guarded.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* 1: AddressSanitizer; 2: ThreadSanitizer, which delivers signals between instructions of its choice */
#if defined(__SANITIZE_THREAD__)
#define SANITIZED 2
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SANITIZED 2
#elif __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* ---- families of every sort of life ---- */

#define IDLE (10 * SECOND)
enum { F_REVIVE, F_OVERFLOW, F_CLASSIC, F_NATIVE, F_IDLE, F_TOP, N_F };
enum { SETS = 96, ROOM = 64, KINDS_OF_T = 4 };

static const struct {
    const char *name;
    enum any_kind kind;
    struct kymo_guard guard;
} sorts[N_F] = {
    {"revive_total", ANY_WHOLE, {.policy = KYMO_GUARD_LIMIT, .max_series = ROOM}},
    {"overflow_total", ANY_WHOLE, {.policy = KYMO_GUARD_LIMIT, .max_series = ROOM, .after_end = KYMO_TO_OVERFLOW}},
    {"classic", ANY_CLASSIC, {.policy = KYMO_GUARD_LIMIT, .max_series = ROOM}},
    {"native", ANY_BOTH, {.policy = KYMO_GUARD_LIMIT, .max_series = ROOM, .after_end = KYMO_TO_OVERFLOW}},
    {"idle_total", ANY_WHOLE, {.policy = KYMO_GUARD_LIMIT, .max_series = ROOM, .idle_ns = IDLE}},
    {"top_total", ANY_WHOLE, {.policy = KYMO_GUARD_TOP, .max_series = 8, .linger_ms = 20000}},
};

static struct {
    struct kymo_registry *reg;
    struct any f[N_F];
    struct kymo_counter_family *lasting; /* its one series never ends: handlers may record it by labels */
    double ended[N_F];                   /* told at ends, with the registry's lock held */
    uint64_t n_ends[N_F];
    _Atomic int64_t now;
    _Atomic int stop;
    int meddled; /* limits and lists changed meanwhile */
} m;

/* Never twice the same time: start times tell series apart. */
static int64_t moving_wall(void *ctx)
{
    (void)ctx;
    return WALL_START + atomic_fetch_add(&m.now, 1);
}

static int64_t moving_monotonic(void *ctx)
{
    (void)ctx;
    return atomic_fetch_add(&m.now, 1);
}

static int sort_of(const char *name)
{
    for (int i = 0; i < N_F; i++)
        if (strcmp(name, sorts[i].name) == 0)
            return i;
    return -1;
}

static void on_end(void *ctx, const struct kymo_event *event)
{
    struct seen s;
    int f = sort_of(event->family->name);
    (void)ctx;
    EXPECT(f >= 0, "an end of %s", event->family->name);
    if (f < 0)
        return;
    seen_fill(&s, event->family, event->point);
    EXPECT(sorts[f].kind != ANY_CLASSIC || s.sum == 2 * s.amount, "torn at its end: %g observations, sum %g", s.amount,
           s.sum);
    /* K7: of a label set that one thread has for a moment, nobody else's recordings are there */
    double most = s.values[0] == 'u'                                                 ? 3
                  : s.values[0] == ' ' || (s.values[0] >= '0' && s.values[0] <= '9') ? 2
                                                                                     : s.amount;
    EXPECT(s.amount <= most, "%s{%s} ended with %g, was recorded at most %g times", s.family, s.values, s.amount, most);
    m.ended[f] += s.amount;
    m.n_ends[f]++;
}

static struct any family_new(const char *name, enum any_kind kind, const struct kymo_guard *guard)
{
    static const char *const labels[] = {"i", "t"};
    static const struct kymo_native native = {.bucket_factor = 1.1};
    struct any any = {.kind = kind, .name = name, .n_labels = 2};
    struct kymo_desc d;
    kymo_desc_init(&d, name, "Any.");
    kymo_desc_set_labels(&d, labels, 2);
    kymo_desc_set_guard(&d, guard);
    if (kind != ANY_WHOLE)
        kymo_desc_set_bounds(&d, exact_bounds, EXACT_BOUNDS);
    kymo_desc_set_native(&d, kind == ANY_BOTH ? &native : NULL);
    kymo_desc_set_exemplars(&d, kind == ANY_BOTH ? 3 : 0);
    if (kind == ANY_WHOLE)
        REQUIRE(kymo_counter_family_new(m.reg, &d, &any.c) == 0);
    else
        REQUIRE(kymo_histogram_family_new(m.reg, &d, &any.h) == 0);
    return any;
}

static void metrics_new(size_t max_shards)
{
    const struct kymo_clock clock = {sizeof(clock), NULL, moving_wall, moving_monotonic};
    const struct kymo_registry_options o = {
        .size = sizeof(o), .max_shards = max_shards, .clock = &clock, .event = on_end, .config = ""};
    memset(&m, 0, sizeof(m));
    m.now = SECOND;
    REQUIRE(kymo_registry_new(&o, &m.reg) == 0);
    for (int i = 0; i < N_F; i++)
        m.f[i] = family_new(sorts[i].name, sorts[i].kind, &sorts[i].guard);
    m.lasting = counters_new(m.reg, "lasting_total", NULL);
    kymo_counter_family_inc(m.lasting, KYMO_VALUES("x"));
}

/* ---- those who churn ---- */

enum { HELD = 6, MOST_WORKERS = 8 };

struct worker {
    pthread_t thread;
    unsigned index;
    uint64_t n, state, unique;
    uint64_t recorded[N_F];
    void *held[N_F][HELD];
    /* the handler's own: handles that stay, and what it recorded */
    void *in_handler[N_F];
    volatile uint64_t handled[N_F];
};

static _Thread_local struct worker *me;

/* The labels of set i: t is for removing by a part of the labels. */
struct two_labels {
    char i[32], t[32];
};

static void labels_of(struct two_labels *l, uint64_t set)
{
    (void)numbered(l->i, "s", set);
    (void)numbered(l->t, "t", set % KINDS_OF_T);
}

static void record_by_labels(struct worker *w, int f, uint64_t set, unsigned n)
{
    struct two_labels l;
    labels_of(&l, set);
    any_record_labels(&m.f[f], (const char *const[]){l.i, l.t}, n);
    w->recorded[f] += n;
}

static void record_held(struct worker *w, int f, uint64_t r, unsigned n)
{
    void *h = w->held[f][r % HELD];
    any_record(&m.f[f], h, n);
    w->recorded[f] += h != NULL ? n : 0;
}

static void hold_another(struct worker *w, int f, uint64_t r, uint64_t set)
{
    struct two_labels l;
    void **slot = &w->held[f][r % HELD];
    any_release(&m.f[f], *slot);
    labels_of(&l, set);
    *slot = any_with(&m.f[f], (const char *const[]){l.i, l.t});
    EXPECT(*slot != NULL, "no handle of %s", m.f[f].name);
}

static void end_may_fail(int r)
{
    EXPECT(r == 0 || r == KYMO_ENOENT || r == KYMO_EBUSY, "ending gave %s", kymo_error_name(r));
}

/* One that nobody else knows: made, recorded into, released, ended. */
static void record_brief(struct worker *w, int f)
{
    char i[32], t[32];
    uint64_t n = w->unique++;
    const char *const values[] = {numbered(i, "u", n * MOST_WORKERS + w->index), numbered(t, "t", n % KINDS_OF_T)};
    void *h = any_with(&m.f[f], values);
    any_record(&m.f[f], h, 2);
    w->recorded[f] += 2;
    if (n % 2 == 0)
        any_release(&m.f[f], h);
    end_may_fail(kymo_registry_forget(m.reg, m.f[f].name, values, 2));
    if (n % 2 != 0) {
        any_record(&m.f[f], h, 1);
        w->recorded[f]++;
        any_release(&m.f[f], h);
    }
}

static void end_some(struct worker *w, int f, uint64_t r, uint64_t set)
{
    struct two_labels l;
    (void)w;
    labels_of(&l, set);
    const struct kymo_label match = {"t", l.t}, handlers = {"t", "handler"};
    if (r % 32 == 0)
        end_may_fail(kymo_registry_remove(m.reg, r / 32 % 4 == 0 ? NULL : m.f[f].name, &match, 1, NULL));
    else if (r % 32 == 1)
        end_may_fail(kymo_registry_remove(m.reg, m.f[f].name, &handlers, 1, NULL));
    else
        end_may_fail(kymo_registry_forget(m.reg, m.f[f].name, (const char *const[]){l.i, l.t}, 2));
}

static void churn_once(struct worker *w)
{
    uint64_t r = random_next(&w->state), what = r >> 8, set = (r >> 16) % SETS;
    int f = (int)((r >> 32) % N_F);
    switch (what % 16) {
    case 0:
    case 1:
    case 2:
        record_held(w, f, r >> 40, 1);
        break;
    case 3:
    case 4:
        hold_another(w, f, r >> 40, set);
        break;
    case 5:
        record_brief(w, f);
        break;
    case 6:
        end_some(w, f, r >> 40, set);
        break;
    case 7:
        record_held(w, f, r >> 40, 17);
        break;
    default:
        record_by_labels(w, f, what % 16 < 12 ? set : set % 8, 1 + (unsigned)(r >> 60));
    }
}

/* ---- in signal handlers ---- */

static void record_in_handler(int signal_number)
{
    struct worker *w = me;
    (void)signal_number;
    for (int f = 0; w != NULL && f < N_F; f++) {
        any_record_once(m.f[f].kind, w->in_handler[f]);
        w->handled[f] = w->handled[f] + 1;
    }
    if (w != NULL)
        kymo_counter_family_inc(m.lasting, KYMO_VALUES("x"));
}

/* Every 150 us of this thread's life. Under sanitizers, which delay signals, once a millisecond. */
static timer_t timer_on_this_thread(void)
{
    struct sigevent event;
    timer_t timer;
    const long ns = SANITIZED ? 1003003 : 150151;
    const struct itimerspec every = {{0, ns}, {0, ns}};
    memset(&event, 0, sizeof(event));
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGALRM;
    event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
    REQUIRE(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    REQUIRE(timer_settime(timer, 0, &every, NULL) == 0);
    return timer;
}

static void signals_block(int how)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    REQUIRE(pthread_sigmask(how, &set, NULL) == 0);
}

static void *churn(void *arg)
{
    struct worker *w = arg;
    for (int f = 0; f < N_F; f++) {
        char i[32];
        const char *const values[] = {numbered(i, "h", w->index), "handler"};
        w->in_handler[f] = any_with(&m.f[f], values);
    }
    me = w;
    signals_block(SIG_UNBLOCK);
    timer_t timer = timer_on_this_thread();
    for (uint64_t i = 0; i < w->n && !atomic_load_explicit(&m.stop, memory_order_relaxed); i++) {
        churn_once(w);
        if (i % 16384 == 16383)
            kymo_thread_detach();
    }
    signals_block(SIG_BLOCK);
    timer_delete(timer);
    me = NULL;
    for (int f = 0; f < N_F; f++)
        for (unsigned k = 0; k < HELD; k++)
            any_release(&m.f[f], w->held[f][k]);
    return NULL;
}

/* ---- those who look ---- */

enum { EYES = 1 << 16 };

/* What the last visit saw, by id. */
struct eyes {
    uint64_t id[EYES];
    uint32_t generation[EYES];
    int64_t start_ns[EYES];
    double amount[EYES];
    uint64_t labels[EYES];
    size_t n;
    uint64_t compared, visits;
};

static void eyes_compare(struct eyes *e, size_t at, const struct seen *s, uint64_t labels)
{
    if (s->generation == e->generation[at]) {
        EXPECT(s->amount >= e->amount[at], "%s{%s} went back from %.17g to %.17g", s->family, s->values, e->amount[at],
               s->amount);
        EXPECT(labels == e->labels[at], "series %" PRIu64 ", generation %" PRIu32 ", has other labels now: %s{%s}",
               s->id, s->generation, s->family, s->values);
        EXPECT(s->start_ns == e->start_ns[at],
               "%s{%s}: same id and generation, but it began at %" PRId64 ", not %" PRId64, s->family, s->values,
               s->start_ns - WALL_START, e->start_ns[at] - WALL_START);
        e->compared++;
    } else {
        EXPECT(s->generation > e->generation[at], "series %" PRIu64 " went from generation %" PRIu32 " to %" PRIu32,
               s->id, e->generation[at], s->generation);
        EXPECT(s->start_ns > e->start_ns[at], "%s{%s} is a new series without a new start time", s->family, s->values);
    }
}

static void eyes_see(struct eyes *e, const struct seen *s)
{
    size_t at = s->id * UINT64_C(0x9e3779b97f4a7c15) >> 48;
    uint64_t labels = text_hash(text_hash(1, s->family), s->values);
    if (s->id == 0 || sort_of(s->family) < 0)
        return;
    while (e->id[at] != 0 && e->id[at] != s->id)
        at = (at + 1) % EYES;
    if (e->id[at] != 0)
        eyes_compare(e, at, s, labels);
    else
        REQUIRE(++e->n < EYES / 2);
    e->id[at] = s->id;
    e->generation[at] = s->generation;
    e->start_ns[at] = s->start_ns;
    e->amount[at] = s->amount;
    e->labels[at] = labels;
}

static void *visit_all_the_time(void *arg)
{
    struct eyes *e = arg;
    for (; !atomic_load(&m.stop); e->visits++) {
        struct snapshot snap = snapshot_of(m.reg);
        for (size_t i = 0; i < snap.n; i++)
            eyes_see(e, &snap.all[i]);
        snapshot_free(&snap);
        sched_yield();
    }
    return NULL;
}

/* Pages in pieces of any size; each must be a good one. */
static void *scrape_all_the_time(void *arg)
{
    uint64_t *pages = arg, state = 4711;
    for (; !atomic_load(&m.stop); ++*pages) {
        struct kymo_scrape *scrape;
        struct page p = {NULL, 0, 0, 0};
        char buf[8192];
        size_t n = 1;
        page_append(&p, "", 0);
        REQUIRE(kymo_scrape_new(m.reg, NULL, &scrape) == 0);
        while (n != 0) {
            CHECK_INT(kymo_scrape_read(scrape, buf, 1 + random_next(&state) % sizeof(buf), &n), 0);
            page_append(&p, buf, n);
        }
        kymo_scrape_free(scrape);
        page_must_parse(&p);
        page_free(&p);
    }
    return NULL;
}

/* Time goes by in steps of a third of what makes idle. */
static void *sweep_all_the_time(void *arg)
{
    uint64_t *sweeps = arg;
    for (; !atomic_load(&m.stop); ++*sweeps) {
        atomic_fetch_add(&m.now, IDLE / 3);
        CHECK_INT(kymo_registry_sweep(m.reg, 0), 0);
        const struct timespec pause = {0, 2000000};
        (void)nanosleep(&pause, NULL); /* the others are to have some time in each interval */
    }
    return NULL;
}

/* Limits, lists, lives: whatever a host may change while it runs. */
static void meddle_once(uint64_t r)
{
    static const char *const kept_t[] = {"t0", "t2", "handler"}, *const kept_i[] = {"s1", "s2", "s3", "h0", "h1"};
    static const int64_t idles[] = {0, 1, IDLE / 4, IDLE};
    int f = (int)(r % N_F);
    struct kymo_guard g = sorts[f].guard;
    switch (r >> 8 & 7) {
    case 0:
        CHECK_INT(kymo_registry_set_max_series(m.reg, 40 + (r >> 16) % 400), 0);
        break;
    case 1:
        CHECK_INT(kymo_registry_allow(m.reg, sorts[f].name, "t", kept_t, r >> 16 & 1 ? 3 : 0), 0);
        break;
    case 2:
        CHECK_INT(kymo_registry_allow(m.reg, sorts[f].name, "i", kept_i, r >> 16 & 3 ? 0 : 5), 0);
        break;
    default:
        g.max_series = 1 + (uint32_t)(r >> 16) % 100;
        g.after_end = r >> 32 & 1 ? KYMO_REVIVE : KYMO_TO_OVERFLOW;
        g.idle_ns = idles[r >> 33 & 3];
        g.linger_ms = 1 + (uint32_t)(r >> 35) % 20000;
        CHECK_INT(kymo_registry_set_guard(m.reg, sorts[f].name, &g), 0);
    }
}

static void *meddle_all_the_time(void *arg)
{
    uint64_t state = 99;
    (void)arg;
    while (!atomic_load(&m.stop)) {
        const struct timespec pause = {0, 500000};
        meddle_once(random_next(&state));
        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

/* ---- the balance ---- */

static void family_balances(int f, const struct worker *workers, unsigned n_workers, const struct snapshot *snap)
{
    uint64_t recorded = 0;
    for (unsigned i = 0; i < n_workers; i++)
        recorded += workers[i].recorded[f] + workers[i].handled[f];
    double living = snapshot_total(snap, sorts[f].name), other = snapshot_amount(snap, sorts[f].name, OTHER "|" OTHER);
    double d = snapshot_amount(snap, "kymo_series_dropped_total", sorts[f].name);
    EXPECT(m.ended[f] + living == (double)recorded,
           "%s: recorded %" PRIu64 ", but %.17g: %.17g told at ends, %.17g living (%.17g of it in the overflow)",
           sorts[f].name, recorded, m.ended[f] + living, m.ended[f], living, other);
    double lost =
        sorts[f].guard.policy == KYMO_GUARD_TOP || other < 0 ? 0 : other; /* the rest of the heaviest is not dropped */
    if (m.meddled) /* what lists made of both labels is there, too, and was not dropped */
        EXPECT(d <= (other > 0 ? other : 0), "%s: %.17g in the overflow, %.17g dropped", sorts[f].name, other, d);
    else
        EXPECT((d > 0 ? d : 0) == lost, "%s: %.17g in the overflow, %.17g dropped", sorts[f].name, other, d);
    printf("churn, %-14s %10" PRIu64 " recorded, %10.0f told at %" PRIu64 " ends, %.0f in the overflow\n",
           sorts[f].name, recorded, m.ended[f], m.n_ends[f], other > 0 ? other : 0);
    EXPECT(m.n_ends[f] > 0, "%s: %" PRIu64 " series ended", sorts[f].name, m.n_ends[f]);
}

static void all_balances(const struct worker *workers, unsigned n_workers)
{
    for (int i = 0; i < 3; i++)
        CHECK_INT(kymo_registry_sweep(m.reg, 0), 0);
    struct kymo_registry_stats stats = stats_of(m.reg);
    EXPECT(stats.n_ending == 0, "%zu series are still ending with nobody left to record", stats.n_ending);
    struct snapshot snap = snapshot_of(m.reg);
    uint64_t handled = 1;
    for (int f = 0; f < N_F; f++)
        family_balances(f, workers, n_workers, &snap);
    for (unsigned i = 0; i < n_workers; i++)
        handled += workers[i].handled[0];
    EXPECT(snapshot_amount(&snap, "lasting_total", "x") == (double)handled,
           "lasting_total is %.17g, should be %" PRIu64, snapshot_amount(&snap, "lasting_total", "x"), handled);
    EXPECT(snapshot_total(&snap, "kymo_recordings_refused_total") == 0, "%g recordings were refused",
           snapshot_total(&snap, "kymo_recordings_refused_total"));
    uint64_t ends = 0;
    for (int f = 0; f < N_F; f++)
        ends += m.n_ends[f];
    EXPECT(stats.n_ended == ends, "n_ended is %zu, told were %" PRIu64, stats.n_ended, ends);
    snapshot_free(&snap);
}

/* After all that: nothing is counted that is not there, nothing is kept for handles that nobody has. */
static void nothing_is_left(struct worker *workers, unsigned n_workers)
{
    for (int f = 0; f < N_F; f++) {
        CHECK_INT(kymo_registry_allow(m.reg, sorts[f].name, "i", NULL, 0), 0);
        CHECK_INT(kymo_registry_allow(m.reg, sorts[f].name, "t", NULL, 0), 0);
        CHECK_INT(kymo_registry_set_guard(m.reg, sorts[f].name, &sorts[f].guard), 0);
        CHECK_INT(kymo_registry_remove(m.reg, sorts[f].name, NULL, 0, NULL), 0);
        for (unsigned i = 0; i < n_workers; i++)
            any_release(&m.f[f], workers[i].in_handler[f]);
    }
    CHECK_INT(kymo_registry_sweep(m.reg, 0), 0);
    struct kymo_registry_stats stats = stats_of(m.reg);
    EXPECT(stats.n_asleep == 0 && stats.n_pinned == 0 && stats.n_ending == 0,
           "%zu are kept asleep, %zu pinned, %zu ending, and no handle is out", stats.n_asleep, stats.n_pinned,
           stats.n_ending);
    CHECK_INT(kymo_registry_set_max_series(m.reg, ROOM / 2 + 6), 0); /* the lasting one, too */
    for (uint64_t i = 0; i < ROOM; i++) {
        char v[32];
        any_record_labels(&m.f[F_REVIVE], (const char *const[]){numbered(v, "l", i), "last"}, 1);
        any_record_labels(&m.f[F_CLASSIC], (const char *const[]){numbered(v, "l", i), "last"}, 1);
    }
    struct snapshot snap = snapshot_of(m.reg);
    double revive = snapshot_amount(&snap, "kymo_series", sorts[F_REVIVE].name);
    double classic = snapshot_amount(&snap, "kymo_series", sorts[F_CLASSIC].name);
    EXPECT(revive + classic == ROOM / 2 + 5, "a budget of %d has room for %g and %g series", ROOM / 2 + 5, revive,
           classic);
    for (int f = 0; f < N_F; f++) {
        size_t n =
            snapshot_count(&snap, sorts[f].name) - (snapshot_find(&snap, sorts[f].name, OTHER "|" OTHER) != NULL);
        EXPECT(f == F_REVIVE || f == F_CLASSIC || n == 0, "%s has %zu series after all ended", sorts[f].name, n);
        double says = snapshot_amount(&snap, "kymo_series", sorts[f].name);
        EXPECT(says == (double)n, "kymo_series{%s} is %g with %zu on the page", sorts[f].name, says, n);
    }
    snapshot_free(&snap);
}

static void run(size_t max_shards, unsigned n_workers, uint64_t n, int meddled)
{
    static struct worker workers[MOST_WORKERS];
    static struct eyes eyes;
    pthread_t visitor, scraper, sweeper, meddler;
    uint64_t pages = 0, sweeps = 0, handled = 0;
    memset(workers, 0, sizeof(workers));
    memset(&eyes, 0, sizeof(eyes));
    metrics_new(max_shards);
    m.meddled = meddled;
    signals_block(SIG_BLOCK); /* inherited: only workers take them */
    for (unsigned i = 0; i < n_workers; i++) {
        workers[i].index = i;
        workers[i].n = n;
        workers[i].state = UINT64_C(88172645463325252) + i * 7919;
        REQUIRE(pthread_create(&workers[i].thread, NULL, churn, &workers[i]) == 0);
    }
    REQUIRE(pthread_create(&visitor, NULL, visit_all_the_time, &eyes) == 0);
    REQUIRE(pthread_create(&scraper, NULL, scrape_all_the_time, &pages) == 0);
    REQUIRE(pthread_create(&sweeper, NULL, sweep_all_the_time, &sweeps) == 0);
    if (meddled)
        REQUIRE(pthread_create(&meddler, NULL, meddle_all_the_time, NULL) == 0);
    for (unsigned i = 0; i < n_workers; i++)
        pthread_join(workers[i].thread, NULL);
    atomic_store(&m.stop, 1);
    pthread_join(visitor, NULL);
    pthread_join(scraper, NULL);
    pthread_join(sweeper, NULL);
    if (meddled)
        pthread_join(meddler, NULL);
    for (unsigned i = 0; i < n_workers; i++)
        handled += workers[i].handled[0];
    all_balances(workers, n_workers);
    printf("churn: %u threads, %zu shards: %" PRIu64 " signals, %" PRIu64 " visits, %" PRIu64
           " samples compared, %" PRIu64 " pages, %" PRIu64 " sweeps\n",
           n_workers, max_shards, handled, eyes.visits, eyes.compared, pages, sweeps);
    nothing_is_left(workers, n_workers);
    EXPECT(eyes.compared > 0 && pages > 0 && handled > 0, "nobody looked");
    kymo_registry_free(m.reg);
}

static void handle_signals(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = record_in_handler;
    action.sa_flags = SA_RESTART;
    REQUIRE(sigaction(SIGALRM, &action, NULL) == 0);
}

static uint64_t turns(uint64_t brief)
{
    return test_long() ? 20 * brief : SANITIZED ? brief / 5 : brief;
}

static void every_recording_is_in_one_place_with_shards_for_all(void)
{
    handle_signals();
    run(0, 4, turns(200000), 0);
}

static void every_recording_is_in_one_place_with_two_shards(void)
{
    handle_signals();
    run(2, 6, turns(100000), 0);
}

static void every_recording_is_in_one_place_in_the_shared_store(void)
{
    handle_signals();
    REQUIRE(kymo_thread_attach(NULL) == KYMO_EINVAL);
    run(1, 4, turns(100000), 0);
}

static void every_recording_is_in_one_place_while_limits_and_lists_change(void)
{
    handle_signals();
    run(3, 4, turns(200000), 1);
}

/* ---- children of those who churn ---- */

/* A copy of whatever the threads were in the middle of: it can be read, ended, recorded into, and written out. */
static int child_goes_on(void)
{
    struct text_page parsed;
    struct page p;
    char t[32];
    test_failures = 0;
    (void)alarm(100); /* what never ends has failed, too */
    for (int f = 0; f < N_F; f++) {
        end_may_fail(kymo_registry_remove(m.reg, sorts[f].name, NULL, 0, NULL));
        for (uint64_t i = 0; i < 20; i++)
            any_record_labels(&m.f[f], (const char *const[]){"child", numbered(t, "t", i)}, 1);
    }
    for (int i = 0; i < 3; i++)
        CHECK_INT(kymo_registry_sweep(m.reg, 0), 0);
    struct snapshot snap = snapshot_of(m.reg);
    for (int f = 0; f < N_F; f++)
        EXPECT(sorts[f].guard.policy == KYMO_GUARD_TOP || snapshot_amount(&snap, sorts[f].name, "child|t3") == 1,
               "%s{child,t3} of a child is %g", sorts[f].name, snapshot_amount(&snap, sorts[f].name, "child|t3"));
    snapshot_free(&snap);
    CHECK_INT(page_write(m.reg, &p), 0);
    int good = text_parse(&parsed, p.text, p.n);
    EXPECT(good, "the parser says of a child's page: %s", parsed.error);
    text_page_free(&parsed);
    page_free(&p);
    fflush(NULL);
    return test_failures != 0;
}

static void children_of_churning_threads_use_their_copies(void)
{
    static struct worker workers[3];
    unsigned n_children = test_long() ? 2000 : 40;
    if (SANITIZED != 0) {
        test_skip("sanitizers have locks of their own, which a child of a process with threads may find taken");
        return;
    }
    handle_signals();
    memset(workers, 0, sizeof(workers));
    metrics_new(2);
    signals_block(SIG_BLOCK);
    for (unsigned i = 0; i < 3; i++) {
        workers[i].index = i;
        workers[i].n = UINT64_MAX;
        workers[i].state = 12345 + i;
        REQUIRE(pthread_create(&workers[i].thread, NULL, churn, &workers[i]) == 0);
    }
    for (unsigned k = 0; k < n_children; k++) {
        int status = 0;
        fflush(NULL);
        pid_t pid = fork();
        REQUIRE(pid >= 0);
        if (pid == 0)
            _exit(child_goes_on());
        REQUIRE(waitpid(pid, &status, 0) == pid);
        EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child %u ended with status %#x", k, (unsigned)status);
        atomic_fetch_add(&m.now, IDLE / 3);
        CHECK_INT(kymo_registry_sweep(m.reg, 0), 0);
    }
    atomic_store(&m.stop, 1);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(workers[i].thread, NULL);
    all_balances(workers, 3);
    kymo_registry_free(m.reg);
}

/* ---- a recorder that is stopped right inside ---- */

static struct {
    pthread_t thread;
    struct kymo_counter *c;
    struct kymo_histogram *h;
    uint64_t n;
    _Atomic int ready, parked, go; /* ready: it holds no lock from here on */
} stopped;

static void park(int signal_number)
{
    const struct timespec brief = {0, 100000};
    (void)signal_number;
    atomic_store(&stopped.parked, 1);
    while (!atomic_load(&stopped.go))
        (void)nanosleep(&brief, NULL);
    atomic_store(&stopped.parked, 0);
}

static void *record_until_stopped(void *arg)
{
    (void)arg;
    (void)kymo_thread_attach(m.reg);
    atomic_store(&stopped.ready, 1);
    for (; !atomic_load_explicit(&m.stop, memory_order_relaxed); stopped.n++) {
        kymo_counter_inc(stopped.c);
        kymo_histogram_observe(stopped.h, 2);
    }
    return NULL;
}

static void stop_recorder(void)
{
    atomic_store(&stopped.go, 0);
    REQUIRE(pthread_kill(stopped.thread, SIGUSR1) == 0);
    while (!atomic_load(&stopped.parked))
        sched_yield();
}

static void let_go(void)
{
    atomic_store(&stopped.go, 1);
    while (atomic_load(&stopped.parked))
        sched_yield();
}

static void stopped_new(int f_counter, int f_histogram)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = park;
    REQUIRE(sigaction(SIGUSR1, &action, NULL) == 0);
    metrics_new(0);
    memset(&stopped, 0, sizeof(stopped));
    stopped.c = kymo_counter_with(m.f[f_counter].c, KYMO_VALUES("stopped", "t"));
    stopped.h = kymo_histogram_with(m.f[f_histogram].h, KYMO_VALUES("stopped", "t"));
    REQUIRE(pthread_create(&stopped.thread, NULL, record_until_stopped, NULL) == 0);
    while (!atomic_load(&stopped.ready))
        sched_yield();
}

static void is_in_one_place(int f, uint64_t want)
{
    struct snapshot snap = snapshot_of(m.reg);
    double living = snapshot_total(&snap, sorts[f].name);
    EXPECT(m.ended[f] + living == (double)want, "%s: recorded %" PRIu64 ", but %.17g at ends and %.17g living",
           sorts[f].name, want, m.ended[f], living);
    snapshot_free(&snap);
}

/*
 * Its series ends while it stands in the middle, others record into what comes next: what it does when it goes on is in
 * the last value, which is told after that, or in the next series.
 */
static void stopped_in(int f_counter, int f_histogram)
{
    uint64_t mine = 0;
    unsigned n = test_long() ? 400 : 25, inside = 0;
    stopped_new(f_counter, f_histogram);
    const int f[] = {f_counter, f_histogram};
    for (unsigned i = 0; i < n; i++) {
        const struct timespec brief = {0, 300000 + 7919 * (long)i};
        (void)nanosleep(&brief, NULL);
        stop_recorder();
        for (int k = 0; k < 2; k++) {
            int r = kymo_registry_forget(m.reg, sorts[f[k]].name, KYMO_VALUES("stopped", "t"));
            EXPECT(r == 0 || r == KYMO_ENOENT || r == KYMO_EBUSY, "forget gave %s", kymo_error_name(r));
        }
        inside += stats_of(m.reg).n_ending > 0;
        kymo_counter_inc(stopped.c);
        kymo_histogram_observe(stopped.h, 2);
        kymo_counter_family_inc(m.f[f_counter].c, KYMO_VALUES("stopped", "t"));
        kymo_histogram_family_observe(m.f[f_histogram].h, 2, KYMO_VALUES("stopped", "t"));
        mine += 2;
        struct page p = page_of(m.reg);
        page_free(&p);
        let_go();
    }
    atomic_store(&m.stop, 1);
    pthread_join(stopped.thread, NULL);
    CHECK_INT(kymo_registry_sweep(m.reg, 0), 0);
    EXPECT(stats_of(m.reg).n_ending == 0, "%zu are ending", stats_of(m.reg).n_ending);
    is_in_one_place(f_counter, stopped.n + mine);
    is_in_one_place(f_histogram, stopped.n + mine);
    printf("churn, stopped: %u ends of what a recorder stood in, %u of them told later; %" PRIu64 " recordings x 2\n",
           n, inside, stopped.n);
    kymo_registry_free(m.reg);
}

static void what_a_stopped_recorder_was_in_is_told_when_it_has_gone_on(void)
{
    if (SANITIZED == 2) {
        test_skip("ThreadSanitizer delivers signals between recordings, never inside");
        return;
    }
    stopped_in(F_REVIVE, F_CLASSIC);
    stopped_in(F_OVERFLOW, F_NATIVE);
}

/* The thread that stands inside is not in a child: there the end is complete, and told. */
static void child_completes(int f, uint64_t least)
{
    test_failures = 0;
    (void)alarm(100);
    for (int i = 0; i < 3; i++)
        CHECK_INT(kymo_registry_sweep(m.reg, 0), 0);
    EXPECT(stats_of(m.reg).n_ending == 0, "%zu are ending in a child", stats_of(m.reg).n_ending);
    EXPECT(m.n_ends[f] == 1 && m.ended[f] >= (double)least && m.ended[f] <= (double)least + 1,
           "in a child: %" PRIu64 " ends told with %.17g, should be one with %" PRIu64 " or 1 more", m.n_ends[f],
           m.ended[f], least);
    kymo_counter_inc(stopped.c);
    struct snapshot snap = snapshot_of(m.reg);
    EXPECT(snapshot_amount(&snap, sorts[f].name, "stopped|t") == 1, "in a child: back to life with %g",
           snapshot_amount(&snap, sorts[f].name, "stopped|t"));
    snapshot_free(&snap);
    fflush(NULL);
    _exit(test_failures != 0);
}

static void a_child_completes_what_was_ending(void)
{
    unsigned inside = 0;
    if (SANITIZED != 0) {
        test_skip("sanitizers have locks of their own, which a child of a process with threads may find taken");
        return;
    }
    for (unsigned i = 0; i < 20; i++) {
        const struct timespec pause = {0, 1000000 + 7919 * (long)i};
        int status = 0;
        stopped_new(F_REVIVE, F_CLASSIC);
        (void)nanosleep(&pause, NULL);
        stop_recorder();
        uint64_t n = __atomic_load_n(&stopped.n, __ATOMIC_RELAXED);
        CHECK_INT(kymo_registry_forget(m.reg, sorts[F_REVIVE].name, KYMO_VALUES("stopped", "t")), 0);
        inside += stats_of(m.reg).n_ending > 0;
        fflush(NULL);
        pid_t pid = fork();
        REQUIRE(pid >= 0);
        if (pid == 0)
            child_completes(F_REVIVE, n);
        REQUIRE(waitpid(pid, &status, 0) == pid);
        EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child %u ended with status %#x", i, (unsigned)status);
        let_go();
        atomic_store(&m.stop, 1);
        pthread_join(stopped.thread, NULL);
        CHECK_INT(kymo_registry_sweep(m.reg, 0), 0);
        is_in_one_place(F_REVIVE, stopped.n);
        kymo_registry_free(m.reg);
    }
    printf("churn, stopped: 20 children, %u with an end under way\n", inside);
}

/* ---- a recorder that jumps out ---- */

static sigjmp_buf way_out;

static void jump_out(int signal_number)
{
    (void)signal_number;
    siglongjmp(way_out, 1);
}

static void *record_and_jump_out(void *arg)
{
    pthread_barrier_t *meet = arg;
    (void)kymo_thread_attach(m.reg);
    if (sigsetjmp(way_out, 1) == 0)
        for (;; stopped.n++)
            kymo_counter_inc(stopped.c);
    pthread_barrier_wait(meet); /* now series end */
    for (unsigned i = 0; i < 1000; i++, stopped.n++)
        kymo_counter_inc(stopped.c);
    pthread_barrier_wait(meet);
    pthread_barrier_wait(meet);
    return NULL;
}

/* Until its thread is gone, ends may be under way; then they are complete. Its last recording is in or not. */
static void who_jumps_out_of_a_recording_delays_ends_and_loses_nothing(void)
{
    unsigned delayed = 0;
    struct sigaction action;
    if (SANITIZED != 0) {
        test_skip("sanitizers do not follow a jump out of a handler");
        return;
    }
    for (unsigned i = 0; i < 20; i++) {
        const struct timespec pause = {0, 1000000 + 7919 * (long)i};
        pthread_barrier_t meet;
        pthread_barrier_init(&meet, NULL, 2);
        metrics_new(0);
        memset(&stopped, 0, sizeof(stopped));
        memset(&action, 0, sizeof(action));
        action.sa_handler = jump_out;
        REQUIRE(sigaction(SIGUSR2, &action, NULL) == 0);
        stopped.c = kymo_counter_with(m.f[F_REVIVE].c, KYMO_VALUES("stopped", "t"));
        REQUIRE(pthread_create(&stopped.thread, NULL, record_and_jump_out, &meet) == 0);
        while (kymo_counter_value(stopped.c) < 1)
            sched_yield();
        (void)nanosleep(&pause, NULL);
        REQUIRE(pthread_kill(stopped.thread, SIGUSR2) == 0);
        pthread_barrier_wait(&meet);
        pthread_barrier_wait(&meet);
        CHECK_INT(kymo_registry_forget(m.reg, sorts[F_REVIVE].name, KYMO_VALUES("stopped", "t")), 0);
        delayed += stats_of(m.reg).n_ending > 0;
        kymo_counter_inc(stopped.c);
        pthread_barrier_wait(&meet);
        pthread_join(stopped.thread, NULL);
        for (int k = 0; k < 3; k++)
            CHECK_INT(kymo_registry_sweep(m.reg, 0), 0);
        EXPECT(stats_of(m.reg).n_ending == 0, "%zu are ending after the thread that jumped is gone",
               stats_of(m.reg).n_ending);
        struct snapshot snap = snapshot_of(m.reg);
        double all = m.ended[F_REVIVE] + snapshot_total(&snap, sorts[F_REVIVE].name);
        EXPECT(all == (double)stopped.n + 1 || all == (double)stopped.n + 2, "%.17g counted, %" PRIu64 " recorded", all,
               stopped.n + 1);
        snapshot_free(&snap);
        kymo_registry_free(m.reg);
        pthread_barrier_destroy(&meet);
    }
    printf("churn, jumps: 20, %u delayed an end\n", delayed);
}

/* While one stands inside, hundreds of others end: they wait, or the call says that it is too many, and none is lost. */
static void too_many_ends_at_once_are_refused_by_name(void)
{
    enum { MANY = 2500, TURNS = 6 };
    struct kymo_guard g = sorts[F_REVIVE].guard;
    uint64_t others = 0;
    unsigned busy = 0;
    if (SANITIZED == 2) {
        test_skip("ThreadSanitizer delivers signals between recordings, never inside");
        return;
    }
    stopped_new(F_REVIVE, F_CLASSIC);
    g.max_series = MANY + 10;
    CHECK_INT(kymo_registry_set_guard(m.reg, sorts[F_REVIVE].name, &g), 0);
    for (unsigned turn = 0; turn < TURNS; turn++) {
        for (uint64_t i = 0; i < MANY; i++, others++) {
            char v[32];
            any_record_labels(&m.f[F_REVIVE], (const char *const[]){numbered(v, "x", i), "t"}, 1);
        }
        stop_recorder();
        int r = KYMO_EBUSY;
        for (int k = 0; k < 3 && r == KYMO_EBUSY; k++, busy += r == KYMO_EBUSY)
            r = kymo_registry_remove(m.reg, sorts[F_REVIVE].name, NULL, 0, NULL);
        EXPECT(r == 0 || r == KYMO_EBUSY, "remove gave %s", kymo_error_name(r));
        let_go();
        CHECK_INT(kymo_registry_sweep(m.reg, 0), 0);
    }
    atomic_store(&m.stop, 1);
    pthread_join(stopped.thread, NULL);
    CHECK_INT(kymo_registry_remove(m.reg, sorts[F_REVIVE].name, NULL, 0, NULL), 0);
    CHECK_INT(kymo_registry_sweep(m.reg, 0), 0);
    EXPECT(stats_of(m.reg).n_ending == 0, "%zu are ending", stats_of(m.reg).n_ending);
    is_in_one_place(F_REVIVE, stopped.n + others);
    is_in_one_place(F_CLASSIC, stopped.n);
    printf("churn, stopped: %" PRIu64 " ends of other series meanwhile, %u calls said busy\n", others, busy);
    kymo_registry_free(m.reg);
}

/* ---- families that end under their recorders ---- */

enum { GENERATIONS = 60, RECORDERS = 3 };

static struct {
    struct any families[GENERATIONS + 1];
    _Atomic unsigned current;
} brief;

static void *record_into_the_current(void *arg)
{
    struct worker *w = arg;
    unsigned held_of = 0;
    void *h = NULL;
    for (; !atomic_load_explicit(&m.stop, memory_order_relaxed); w->n++) {
        unsigned now = atomic_load(&brief.current);
        struct two_labels l;
        labels_of(&l, random_next(&w->state) % 12);
        const char *const values[] = {l.i, l.t};
        if (h == NULL || (now != held_of && w->n % 64 == 0)) {
            any_release(&brief.families[held_of], h);
            h = any_with(&brief.families[now], values);
            held_of = now;
            w->recorded[0] += h == NULL; /* it has just ended: the refusal is counted, too */
        }
        any_record(&brief.families[held_of], h, 1);
        w->recorded[0] += h != NULL;
        any_record_labels(&brief.families[now], values, 1);
        w->recorded[0]++;
        if (w->n % 1024 == 0)
            sched_yield();
    }
    any_release(&brief.families[held_of], h);
    return NULL;
}

/* What is recorded into a family that has ended, by labels or by handle, is refused, and in no other. */
static void a_family_that_ends_takes_its_overflow_along_and_nothing_else(void)
{
    static struct worker workers[RECORDERS];
    const struct kymo_guard g = {.policy = KYMO_GUARD_LIMIT, .max_series = 5};
    uint64_t recorded = 0;
    memset(workers, 0, sizeof(workers));
    memset(&brief, 0, sizeof(brief));
    metrics_new(0);
    CHECK_INT(kymo_registry_unregister(m.reg, sorts[F_REVIVE].name), 0);
    brief.families[0] = family_new(sorts[F_REVIVE].name, ANY_WHOLE, &g);
    for (unsigned i = 0; i < RECORDERS; i++) {
        workers[i].state = 31337 + i;
        REQUIRE(pthread_create(&workers[i].thread, NULL, record_into_the_current, &workers[i]) == 0);
    }
    for (unsigned k = 1; k <= GENERATIONS; k++) {
        while (self_of(m.reg, "kymo_series_dropped_total", sorts[F_REVIVE].name) < 100) /* it is full before it ends */
            sched_yield();
        CHECK_INT(kymo_registry_unregister(m.reg, sorts[F_REVIVE].name), 0);
        brief.families[k] = family_new(sorts[F_REVIVE].name, ANY_WHOLE, &g);
        atomic_store(&brief.current, k);
    }
    atomic_store(&m.stop, 1);
    for (unsigned i = 0; i < RECORDERS; i++) {
        pthread_join(workers[i].thread, NULL);
        recorded += workers[i].recorded[0];
    }
    CHECK_INT(kymo_registry_sweep(m.reg, 0), 0);
    struct snapshot snap = snapshot_of(m.reg);
    double living = snapshot_total(&snap, sorts[F_REVIVE].name);
    double refused_n = snapshot_total(&snap, "kymo_recordings_refused_total");
    EXPECT(m.ended[F_REVIVE] + living + refused_n == (double)recorded,
           "recorded %" PRIu64 ", but %.17g: %.17g told at ends, %.17g living, %.17g refused", recorded,
           m.ended[F_REVIVE] + living + refused_n, m.ended[F_REVIVE], living, refused_n);
    printf("churn, families: %d ended, %" PRIu64 " recorded, %.0f told, %.0f refused\n", GENERATIONS, recorded,
           m.ended[F_REVIVE], refused_n);
    snapshot_free(&snap);
    kymo_registry_free(m.reg);
}

/* ---- memory ---- */

enum { FLAT_THREADS = 2 };

struct flat {
    pthread_t thread;
    const struct any *any;
    uint64_t index, n, state;
    pthread_barrier_t *half;
    double recorded;
};

/* Labels of any length, each its own: made, recorded into, released; every second is forgotten before the release. */
static void flat_once(struct flat *w, uint64_t i)
{
    char value[256], t[32];
    int pad = (int)(random_next(&w->state) % 200);
    (void)snprintf(value, sizeof(value), "%*" PRIu64, pad, i * FLAT_THREADS + w->index);
    const char *const values[] = {value, numbered(t, "t", i % 4)};
    void *h = any_with(w->any, values);
    any_record_exemplar(w->any, h);
    w->recorded++;
    if (i % 2 == 0)
        any_release(w->any, h);
    if (i % 3 != 0)
        end_may_fail(kymo_registry_forget(m.reg, w->any->name, values, 2));
    if (i % 2 != 0) {
        any_record(w->any, h, i % 8 == 1); /* one in four comes back, and idles away */
        w->recorded += i % 8 == 1;
        any_release(w->any, h);
    }
}

static void *flat_run(void *arg)
{
    struct flat *w = arg;
    for (uint64_t i = 0; i < w->n; i++) {
        if (i == w->n / 2) {
            pthread_barrier_wait(w->half);
            pthread_barrier_wait(w->half);
        }
        flat_once(w, i);
        if (i % 64 == 63) {
            atomic_fetch_add(&m.now, IDLE / 3);
            CHECK_INT(kymo_registry_sweep(m.reg, 0), 0);
        }
    }
    return NULL;
}

struct used {
    size_t segment, heap, resident;
};

static struct used used_now(void)
{
    struct page p = page_of(m.reg);
    page_free(&p);
    struct kymo_registry_stats s = stats_of(m.reg);
    return (struct used){s.segment_used_bytes, s.heap_bytes, resident_bytes()};
}

static void flat_stays_flat(int f, uint64_t n)
{
    struct flat w[FLAT_THREADS];
    pthread_barrier_t half;
    double recorded = 0;
    metrics_new(0);
    pthread_barrier_init(&half, NULL, FLAT_THREADS + 1);
    struct kymo_guard g = sorts[f].guard;
    g.idle_ns = IDLE;
    g.max_series = 500;
    CHECK_INT(kymo_registry_set_guard(m.reg, sorts[f].name, &g), 0);
    for (unsigned i = 0; i < FLAT_THREADS; i++) {
        w[i] = (struct flat){.any = &m.f[f], .index = i, .n = n, .state = 99 + i, .half = &half};
        REQUIRE(pthread_create(&w[i].thread, NULL, flat_run, &w[i]) == 0);
    }
    pthread_barrier_wait(&half);
    struct used mid = used_now();
    pthread_barrier_wait(&half);
    for (unsigned i = 0; i < FLAT_THREADS; i++) {
        pthread_join(w[i].thread, NULL);
        recorded += w[i].recorded;
    }
    struct used end = used_now();
    printf(
        "churn, memory of %s: %zu ended; after a half %zu + %zu KiB, after all %zu + %zu KiB; resident %zu, %zu KiB\n",
        sorts[f].name, stats_of(m.reg).n_ended, mid.segment / 1024, mid.heap / 1024, end.segment / 1024,
        end.heap / 1024, mid.resident / 1024, end.resident / 1024);
    EXPECT(end.segment <= mid.segment + mid.segment / 8 + 131072, "%s: segment from %zu to %zu", sorts[f].name,
           mid.segment, end.segment);
    EXPECT(end.heap <= mid.heap + mid.heap / 16 + 16384, "%s: heap from %zu to %zu", sorts[f].name, mid.heap, end.heap);
    EXPECT(SANITIZED || end.resident <= mid.resident + 512 * 1024, "%s: resident from %zu to %zu", sorts[f].name,
           mid.resident, end.resident);
    struct snapshot snap = snapshot_of(m.reg);
    EXPECT(snapshot_total(&snap, sorts[f].name) + m.ended[f] == recorded, "%s: %.17g counted, %.17g recorded",
           sorts[f].name, snapshot_total(&snap, sorts[f].name) + m.ended[f], recorded);
    snapshot_free(&snap);
    pthread_barrier_destroy(&half);
    kymo_registry_free(m.reg);
}

static void released_handles_take_no_memory(void)
{
    flat_stays_flat(F_REVIVE, turns(40000));
    flat_stays_flat(F_OVERFLOW, turns(40000));
    flat_stays_flat(F_CLASSIC, turns(20000));
    flat_stays_flat(F_NATIVE, turns(40000));
}

enum { KEPT = 5000, BATCHES = 5 };

/* Handles that nobody gives back: what each costs once its series has ended, with labels of 20 bytes. */
static double bytes_of_a_kept_handle(enum kymo_after_end after_end)
{
    const struct kymo_guard g = {.policy = KYMO_GUARD_LIMIT, .max_series = 2 * KEPT, .after_end = after_end};
    const struct kymo_registry_options o = {.size = sizeof(o), .max_series = 2 * KEPT, .config = ""};
    size_t first = 0, last = 0;
    memset(&m, 0, sizeof(m));
    REQUIRE(kymo_registry_new(&o, &m.reg) == 0);
    struct kymo_counter_family *f = counters_new(m.reg, "kept_total", &g);
    for (unsigned batch = 0; batch < BATCHES; batch++) {
        for (unsigned i = 0; i < KEPT; i++) {
            char value[32];
            (void)snprintf(value, sizeof(value), "%020u", batch * KEPT + i);
            kymo_counter_inc(kymo_counter_with(f, KYMO_VALUES(value)));
        }
        CHECK_INT(kymo_registry_remove(m.reg, "kept_total", NULL, 0, NULL), 0);
        for (int i = 0; i < 3; i++)
            CHECK_INT(kymo_registry_sweep(m.reg, 0), 0);
        last = used_now().segment + used_now().heap;
        first = batch == 0 ? last : first;
    }
    struct kymo_registry_stats s = stats_of(m.reg);
    size_t kept = after_end == KYMO_REVIVE ? s.n_asleep : s.n_pinned;
    EXPECT(kept == BATCHES * KEPT, "%zu handles are kept, should be %d", kept, BATCHES * KEPT);
    EXPECT(s.n_ended == BATCHES * KEPT, "%zu ended", s.n_ended);
    kymo_registry_free(m.reg);
    return (double)(last - first) / ((BATCHES - 1) * KEPT);
}

static void a_kept_handle_costs_little(void)
{
    double revive = bytes_of_a_kept_handle(KYMO_REVIVE), other = bytes_of_a_kept_handle(KYMO_TO_OVERFLOW);
    printf("churn, bytes of a handle that is kept after its series ended: %.1f to come back to life, %.1f to the "
           "overflow\n",
           revive, other);
    EXPECT(other <= 64, "%.1f bytes, should be a cell of 32 and what finds it", other);
    EXPECT(revive <= 160, "%.1f bytes, should be a cell of 32, the label text of 24 bytes, and what finds it", revive);
}

TEST_MAIN(TEST(every_recording_is_in_one_place_with_shards_for_all),
          TEST(every_recording_is_in_one_place_with_two_shards),
          TEST(every_recording_is_in_one_place_in_the_shared_store),
          TEST(every_recording_is_in_one_place_while_limits_and_lists_change),
          TEST(children_of_churning_threads_use_their_copies),
          TEST(what_a_stopped_recorder_was_in_is_told_when_it_has_gone_on), TEST(a_child_completes_what_was_ending),
          TEST(who_jumps_out_of_a_recording_delays_ends_and_loses_nothing),
          TEST(too_many_ends_at_once_are_refused_by_name),
          TEST(a_family_that_ends_takes_its_overflow_along_and_nothing_else), TEST(released_handles_take_no_memory),
          TEST(a_kept_handle_costs_little))
