/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ends.c - the rows of the ends of series: what it costs to end one, what it does to recorders, what stays behind.
 *
 * What must hold: time stands still but for what a row says, on a clock of its own; each row counts the ends that it
 * timed and dies if one is missing; calls are timed in CPU time of their thread, so that what another program takes is
 * nobody's cost here. Read first: guards.c; bench.h for children and levels of memory.
 */
#include "bench.h"

#include <kymo/kymo.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { N_SERIES = 1000, ROUNDS = 15, TEXT = 16, N_REVIVED = 64, MAX_SWEEPS = 1000 };
enum { STORMS = 7, STORM_ROUNDS = 20, N_CHURN = 100000, N_PINNED = 100000, WARM_SHARE = 5 };

static const int64_t idle_ns = INT64_C(60000000000);
static const char family_name[] = "ending_total";
static const char *const label_names[] = {"group", "id"};

/* ---- a family whose series end, and a clock that stands still ---- */

/**
 * struct ending - a registry with one such family
 * @now_ns:  what the clock says; atomic
 * @n_told:  series that the event callback was told of
 * @labels:  of N_SERIES series, each with one of three groups
 */
struct ending {
    struct kymo_registry *reg;
    struct kymo_counter_family *family;
    int64_t now_ns;
    size_t n_told;
    size_t n;
    const char *(*labels)[2];
    char *text;
};

static int64_t read_clock(void *ctx)
{
    return __atomic_load_n(&((struct ending *)ctx)->now_ns, __ATOMIC_RELAXED);
}

static void note_end(void *ctx, const struct kymo_event *event)
{
    struct ending *e = ctx;

    (void)event;
    e->n_told++;
}

static void make_labels(struct ending *e, size_t n)
{
    static const char *const groups[] = {"forgotten", "removed", "idle"};

    e->n = n;
    e->labels = bench_alloc(n, sizeof(*e->labels));
    e->text = bench_alloc(n, TEXT);
    for (size_t i = 0; i < n; i++) {
        snprintf(e->text + i * TEXT, TEXT, "id-%07zu", i % 10000000);
        e->labels[i][0] = groups[i % 3];
        e->labels[i][1] = e->text + i * TEXT;
    }
}

static void ending_init(struct ending *e, size_t n, enum kymo_after_end after_end)
{
    const struct kymo_clock clock = {sizeof(clock), e, read_clock, read_clock};
    const struct kymo_registry_options options = {.size = sizeof(options),
                                                  .clock = &clock,
                                                  .event = note_end,
                                                  .event_ctx = e,
                                                  .no_self_metrics = 1,
                                                  .max_series = BENCH_MAX_SERIES};

    *e = (struct ending){.now_ns = idle_ns};
    make_labels(e, n);
    bench_check(kymo_registry_new(&options, &e->reg), "making a registry");
    bench_check(
        kymo_counter_family_new(e->reg,
                                KYMO_DESC(.name = family_name, .help = "Counted.", .labels = label_names, .n_labels = 2,
                                          KYMO_GUARD(.policy = KYMO_GUARD_LIMIT, .after_end = after_end,
                                                     .max_series = BENCH_MAX_SERIES, .idle_ns = idle_ns)),
                                &e->family),
        "registering a family whose series end");
    bench_check(kymo_thread_attach(e->reg), "attaching a thread");
}

static void ending_deinit(struct ending *e)
{
    kymo_registry_free(e->reg);
    free(e->labels);
    free(e->text);
}

static void record_all(const struct ending *e)
{
    for (size_t i = 0; i < e->n; i++)
        kymo_counter_family_inc(e->family, e->labels[i], 2);
}

static void sweep(const struct ending *e)
{
    bench_check(kymo_registry_sweep(e->reg, 0), "sweeping");
}

/* A recorder that lost its CPU inside a series that ends may keep ends waiting: then again, after what it costs to see. */
static void forget(const struct ending *e, size_t i)
{
    int r = kymo_registry_forget(e->reg, family_name, e->labels[i], 2);

    for (int k = 0; r == KYMO_EBUSY && k < MAX_SWEEPS; k++) {
        sweep(e);
        r = kymo_registry_forget(e->reg, family_name, e->labels[i], 2);
    }
    bench_check(r, "forgetting a series");
}

static size_t remove_group(const struct ending *e, const char *group)
{
    const struct kymo_label match = {"group", group};
    size_t n, n_removed = 0;
    int r = KYMO_EBUSY;

    for (int k = 0; r == KYMO_EBUSY && k < MAX_SWEEPS; k++) {
        r = kymo_registry_remove(e->reg, family_name, &match, 1, &n);
        n_removed += n;
        if (r == KYMO_EBUSY)
            sweep(e);
    }
    bench_check(r, "removing series");
    return n_removed;
}

static void pass_time(struct ending *e)
{
    __atomic_fetch_add(&e->now_ns, idle_ns + 1, __ATOMIC_RELAXED);
}

/* Sweeps until so many series have ended, of all rounds. */
static void sweep_until(struct ending *e, size_t wanted)
{
    for (int i = 0; e->n_told < wanted; i++) {
        if (i == MAX_SWEEPS)
            bench_die("of %zu series only %zu have ended", wanted, e->n_told);
        sweep(e);
    }
}

/* ---- the price of an end ---- */

static double take_expiry_us(struct ending *e)
{
    size_t wanted = e->n_told + e->n;
    uint64_t start;

    record_all(e);
    sweep(e); /* sees that they have changed */
    pass_time(e);
    start = bench_cpu_ns();
    sweep_until(e, wanted);
    return (double)(bench_cpu_ns() - start) / 1e3;
}

static double take_forget_us(struct ending *e)
{
    size_t wanted = e->n_told + e->n;
    uint64_t start, took;

    record_all(e);
    start = bench_cpu_ns();
    for (size_t i = 0; i < e->n; i++)
        forget(e, i);
    took = bench_cpu_ns() - start;
    sweep_until(e, wanted);
    return (double)took / 1e3 / (double)e->n;
}

/* Created, recorded into once, forgotten, released. */
static double take_churn_ns(struct ending *e)
{
    uint64_t start = bench_cpu_ns();

    for (size_t i = 0; i < e->n; i++) {
        struct kymo_counter *c = kymo_counter_with(e->family, e->labels[i], 2);

        kymo_counter_inc(c);
        forget(e, i);
        kymo_counter_release(c);
    }
    return (double)(bench_cpu_ns() - start) / (double)e->n;
}

static const struct price {
    struct bench_row row;
    double (*take)(struct ending *e);
    size_t n;
    size_t rounds;
} prices[] = {
    {{.name = "expire_us_per_1000", .unit = "us", .max_value = 200}, take_expiry_us, N_SERIES, ROUNDS},
    {{.name = "forget_us", .unit = "us"}, take_forget_us, N_SERIES, ROUNDS},
    {{.name = "churn_ns", .unit = "ns"}, take_churn_ns, N_CHURN, 7},
};

static void measure_price(const struct bench *b, const struct price *p)
{
    double figures[ROUNDS];
    size_t rounds = b->smoke ? 1 : p->rounds;
    struct ending e;

    /* Expiry is per 1000, and needs as many also in a smoke run. */
    ending_init(&e, p->n == N_SERIES ? p->n : bench_scale(b, p->n), KYMO_REVIVE);
    p->take(&e); /* memory, slots and tables are there from now on */
    for (size_t i = 0; i < rounds; i++)
        figures[i] = p->take(&e);
    bench_report_value(b, &p->row, bench_median(figures, rounds));
    ending_deinit(&e);
}

/* ---- coming back to life ---- */

static double take_revival_ns(struct ending *e, struct kymo_counter **handles)
{
    uint64_t start, took;

    for (size_t i = 0; i < N_REVIVED; i++)
        forget(e, i);
    sweep(e); /* makes slots ready */
    start = bench_cpu_ns();
    for (size_t i = 0; i < N_REVIVED; i++)
        kymo_counter_inc(handles[i]);
    took = bench_cpu_ns() - start;
    for (size_t i = 0; i < N_REVIVED; i++)
        if (kymo_counter_value(handles[i]) != 1)
            bench_die("series %zu did not come back to life", i);
    return (double)took / N_REVIVED;
}

static void measure_revival(const struct bench *b)
{
    const struct bench_row row = {.name = "revive_ns", .unit = "ns"};
    struct kymo_counter *handles[N_REVIVED];
    double figures[ROUNDS];
    struct ending e;

    ending_init(&e, N_REVIVED, KYMO_REVIVE);
    for (size_t i = 0; i < N_REVIVED; i++) {
        handles[i] = kymo_counter_with(e.family, e.labels[i], 2);
        kymo_counter_inc(handles[i]);
    }
    for (size_t i = 0; i < ROUNDS; i++) /* slots, and words of the thread's own in their column */
        take_revival_ns(&e, handles);
    for (size_t i = 0; i < ROUNDS; i++)
        figures[i] = take_revival_ns(&e, handles);
    bench_report_value(b, &row, bench_median(figures, ROUNDS));
    ending_deinit(&e);
}

/* ---- a recorder while others end series by the thousand ---- */

/**
 * struct storm - a recorder and those who end
 * @dying:   handles of series that are ended again and again
 * @stable:  a family of which none ends, its series' labels are those of @ending
 * @n_calls, @longest_ns: the recorder's
 */
struct storm {
    struct ending ending;
    struct kymo_counter *dying[N_REVIVED];
    struct kymo_counter_family *stable;
    struct kymo_counter *handle;
    int stop; /* atomic */
    pthread_barrier_t ready;
    uint64_t n_calls;
    uint64_t longest_ns;
};

static void note_call(struct storm *s, uint64_t start)
{
    uint64_t took = bench_cpu_ns() - start;

    s->n_calls++;
    if (took > s->longest_ns)
        s->longest_ns = took;
}

static void record_timed(struct storm *s, size_t i)
{
    uint64_t start = bench_cpu_ns();

    kymo_counter_inc(s->handle);
    note_call(s, start);
    start = bench_cpu_ns();
    kymo_counter_inc(s->dying[i % N_REVIVED]);
    note_call(s, start);
    start = bench_cpu_ns();
    kymo_counter_family_inc(s->stable, s->ending.labels[i % s->ending.n], 2);
    note_call(s, start);
}

static void *record_in_storm(void *arg)
{
    struct storm *s = arg;
    struct bench_lane lane = {.index = 0, .at = 0};

    bench_pin(0);
    bench_check(kymo_thread_attach(s->ending.reg), "attaching a thread");
    for (size_t i = 0; i < 2 * s->ending.n; i++) /* the first calls of all create, and are not what is timed */
        kymo_counter_family_inc(s->stable, s->ending.labels[i % s->ending.n], 2);
    pthread_barrier_wait(&s->ready);
    while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE))
        record_timed(s, lane.at++);
    return NULL;
}

/* A thousand series come; the first group is forgotten one by one, the second removed, the third expires. */
static void end_thousands(struct storm *s)
{
    struct ending *e = &s->ending;
    size_t n_removed;

    record_all(e);
    sweep(e);
    for (size_t i = 0; i < e->n; i += 3)
        forget(e, i);
    n_removed = remove_group(e, "removed");
    pass_time(e);
    sweep(e);
    if (n_removed < e->n / 3)
        bench_die("only %zu series were removed", n_removed);
}

static void storm_init(struct storm *s)
{
    struct ending *e = &s->ending;
    const char *const labels[] = {"none", "none"};

    ending_init(e, N_SERIES, KYMO_REVIVE);
    bench_check(kymo_counter_family_new(e->reg,
                                        KYMO_DESC(.name = "stable_total", .help = "Counted.", .guard = &bench_roomy,
                                                  .labels = label_names, .n_labels = 2),
                                        &s->stable),
                "registering a family whose series stay");
    s->handle = kymo_counter_with(s->stable, labels, 2);
    for (size_t i = 0; i < N_REVIVED; i++)
        s->dying[i] = kymo_counter_with(e->family, e->labels[i], 2);
    s->stop = 0;
    s->n_calls = s->longest_ns = 0;
    pthread_barrier_init(&s->ready, NULL, 2);
}

static double storm_longest_us(size_t rounds)
{
    struct storm *s = bench_alloc(1, sizeof(*s));
    pthread_t recorder;
    double longest;

    storm_init(s);
    if (pthread_create(&recorder, NULL, record_in_storm, s) != 0)
        bench_die("no thread could be started to record");
    pthread_barrier_wait(&s->ready);
    for (size_t i = 0; i < rounds; i++)
        end_thousands(s);
    __atomic_store_n(&s->stop, 1, __ATOMIC_RELEASE);
    pthread_join(recorder, NULL);
    if (s->n_calls == 0 && rounds > 1)
        bench_die("nothing was recorded while series ended");
    longest = (double)s->longest_ns / 1e3;
    pthread_barrier_destroy(&s->ready);
    ending_deinit(&s->ending);
    free(s);
    return longest;
}

static void measure_storm(const struct bench *b)
{
    const struct bench_row row = {.name = "expire_recorder_longest_us", .unit = "us", .max_value = 100};
    const struct bench_row worst_row = {.name = "expire_recorder_longest_worst_us", .unit = "us"};
    double runs[STORMS], worst = 0;
    size_t n = b->smoke ? 1 : STORMS;

    for (size_t i = 0; i < n; i++) {
        runs[i] = storm_longest_us(b->smoke ? 1 : STORM_ROUNDS);
        worst = fmax(worst, runs[i]);
    }
    bench_report_value(b, &row, bench_median(runs, n));
    bench_report_value(b, &worst_row, worst);
}

/* ---- what an ended series leaves behind for as long as a handle is out ---- */

/* N_SERIES at a time live and end, so that what grows is what stays. */
static void pinned_bytes(const struct bench *b, enum kymo_after_end after_end, double *figures)
{
    size_t n = bench_scale(b, N_PINNED), step = bench_scale(b, N_SERIES), warm = n / WARM_SHARE;
    struct bench_level before = {0, 0};
    struct ending e;
    size_t i = 0;

    ending_init(&e, n, after_end);
    while (i < n) {
        size_t first = i;

        if (i == warm)
            before = bench_level_now(e.reg);
        for (; i < first + step; i++)
            kymo_counter_inc(kymo_counter_with(e.family, e.labels[i], 2));
        for (size_t k = first; k < i; k++)
            forget(&e, k);
        sweep_until(&e, i);
    }
    bench_put_growth(figures, before, bench_level_now(e.reg), n - warm);
}

static void pinned_overflow(void *ctx, double *figures)
{
    pinned_bytes(ctx, KYMO_TO_OVERFLOW, figures);
}

static void pinned_revive(void *ctx, double *figures)
{
    pinned_bytes(ctx, KYMO_REVIVE, figures);
}

static void measure_pinned(struct bench *b)
{
    /* A cell of 32 bytes, and its share of an index of 8-byte entries that is half full. */
    static const struct {
        void (*measure)(void *ctx, double *figures);
        struct bench_row rows[2];
    } pins[] = {
        {pinned_overflow,
         {{.name = "bytes_per_pinned_overflow", .unit = "B", .max_value = 48},
          {.name = "bytes_per_pinned_overflow_account", .unit = "B"}}},
        {pinned_revive,
         {{.name = "bytes_per_pinned_revive", .unit = "B"}, {.name = "bytes_per_pinned_revive_account", .unit = "B"}}},
    };
    double figures[2];

    for (size_t i = 0; i < sizeof(pins) / sizeof(*pins); i++) {
        int wanted = bench_wanted(b, "guards", pins[i].rows[0].name);
        int account_wanted = bench_wanted(b, "guards", pins[i].rows[1].name);

        if (!wanted && !account_wanted)
            continue;
        bench_child(pins[i].measure, b, figures, 2);
        bench_report_value(b, &pins[i].rows[0], figures[0]);
        bench_report_value(b, &pins[i].rows[1], figures[1]);
    }
}

void bench_ends(struct bench *b)
{
    for (size_t i = 0; i < sizeof(prices) / sizeof(*prices); i++)
        if (bench_wanted(b, "guards", prices[i].row.name))
            measure_price(b, &prices[i]);
    if (bench_wanted(b, "guards", "revive_ns"))
        measure_revival(b);
    if (bench_wanted(b, "guards", "expire_recorder_longest_us"))
        measure_storm(b);
    measure_pinned(b);
}
