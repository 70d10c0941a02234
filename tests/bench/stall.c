/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stall.c - what a scrape does to those who record: the share of a recorder's wall time in calls of over 100 us.
 *
 * What must hold: the recorder times each of its calls while another thread scrapes in a loop; the same is done, in
 * turns, with an empty call, and subtracted: what the system takes from any thread is not the scrape's doing. Where
 * there are two CPUs, time for which the recorder was preempted is left out of both.
 */
#include "bench.h"

#include <kymo/kymo.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { LONG_NS = 100000, SLICE_TIMES = 10, SMOKE_TIMES = 1, PAIRS = 9 };

struct stalling {
    const struct bench_op *op;
    void (*scrape)(void *ctx);
    void *ctx;
    uint64_t slice_ns;
    size_t n_pairs;
    int apart; /* recorder and scraper have a CPU each */
    pthread_barrier_t ready;
    int stop; /* atomic: the recorder is done */
    uint64_t n_scrapes;
    double above[PAIRS];
    double empty[PAIRS];
};

/* Where the thread stood when it last looked: to tell who made a call long. */
struct mark {
    uint64_t wall;
    uint64_t cpu;
    long voluntary; /* times it gave up its CPU by itself, as in a lock */
};

static void set_mark(struct mark *m)
{
    struct rusage r;

    m->voluntary = getrusage(RUSAGE_THREAD, &r) == 0 ? r.ru_nvcsw : 0;
    m->cpu = bench_cpu_ns();
    m->wall = bench_now_ns();
}

/*
 * How long the thread has been without a CPU since @m, if it never gave it up by itself; moves the mark. Recorder and
 * scraper are bound to different CPUs: what preempts the recorder is another program then, not the scrape.
 */
static uint64_t time_preempted(struct mark *m)
{
    struct mark now;
    uint64_t off = 0;

    set_mark(&now);
    if (now.voluntary == m->voluntary && now.wall - m->wall > now.cpu - m->cpu)
        off = (now.wall - m->wall) - (now.cpu - m->cpu);
    *m = now;
    return off;
}

/* Percent of a slice that was spent in calls over LONG_NS. */
static double stalled_percent(const struct stalling *s, const struct bench_op *op, struct bench_lane *lane)
{
    uint64_t start, before, now, stalled = 0, preempted = 0;
    struct mark mark;

    set_mark(&mark);
    start = before = mark.wall;
    do {
        op->loop(op, lane, 1);
        now = bench_now_ns();
        if (now - before > LONG_NS) {
            uint64_t took = now - before, off = s->apart ? time_preempted(&mark) : 0;

            off = off < took ? off : took;
            preempted += off;
            if (took - off > LONG_NS)
                stalled += took - off;
            now = bench_now_ns();
        }
        before = now;
    } while (now - start < s->slice_ns);
    return 100 * (double)stalled / (double)(now - start - preempted);
}

static void *record(void *arg)
{
    struct stalling *s = arg;
    struct bench_lane lane = {.index = 0, .at = 0};

    bench_pin(0);
    if (s->op->prepare)
        s->op->prepare(s->op, &lane);
    pthread_barrier_wait(&s->ready);
    for (size_t i = 0; i < s->n_pairs; i++) {
        s->empty[i] = stalled_percent(s, &bench_plt_call, &lane);
        s->above[i] = stalled_percent(s, s->op, &lane) - s->empty[i];
    }
    __atomic_store_n(&s->stop, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void *scrape_on(void *arg)
{
    struct stalling *s = arg;

    bench_pin(1);
    pthread_barrier_wait(&s->ready);
    while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
        s->scrape(s->ctx);
        s->n_scrapes++;
    }
    return NULL;
}

void bench_stalls(const struct bench *b, const struct bench_op *op, void (*scrape)(void *ctx), void *ctx,
                  struct bench_figures *out)
{
    struct stalling s = {.op = op, .scrape = scrape, .ctx = ctx, .n_pairs = b->smoke ? 1 : PAIRS};
    pthread_t recorder, scraper;

    s.apart = bench_n_cpus() > 1;
    s.slice_ns = b->slice_ns * (b->smoke ? SMOKE_TIMES : SLICE_TIMES);
    pthread_barrier_init(&s.ready, NULL, 2);
    if (pthread_create(&recorder, NULL, record, &s) != 0 || pthread_create(&scraper, NULL, scrape_on, &s) != 0)
        bench_die("no threads could be started to record and to scrape");
    pthread_join(recorder, NULL);
    pthread_join(scraper, NULL);
    pthread_barrier_destroy(&s.ready);
    if (s.n_scrapes == 0 && !b->smoke)
        bench_die("not one scrape was completed while an operation was timed");
    out->value = bench_median(s.above, s.n_pairs);
    out->baseline = bench_median(s.empty, s.n_pairs);
    out->ratio = NAN; /* points above the baseline, not a multiple of it */
}

static void scrape_registry(void *ctx)
{
    const struct kymo_sink sink = {.size = sizeof(sink), .write = bench_swallow};

    bench_write(ctx, &sink);
}

/* Creates the 10 000 series that are scraped; the lookups go over them. */
static void fill(const struct bench_op *lookup)
{
    struct bench_lane lane = {.index = 0, .at = 0};

    lookup->prepare(lookup, &lane);
}

static void measure(const struct bench *b, const char *name, struct bench_figures *out)
{
    struct kymo_registry *reg = bench_registry();
    struct bench_op series, op = {0};

    bench_op_new(reg, "lookup2_inc_10000", &series);
    fill(&series);
    if (name)
        bench_op_new(reg, name, &op);
    bench_stalls(b, name ? &op : &series, scrape_registry, reg, out);
    bench_op_free(&op);
    bench_op_free(&series);
    kymo_registry_free(reg);
}

void bench_stall(struct bench *b)
{
    static const struct {
        struct bench_row row;
        const char *op; /* NULL: a lookup among the series that are scraped */
    } stalls[] = {
#define POINTS "points", "empty_call_percent", 0, 0.5
        {{"stall_share_inc", POINTS}, "counter_inc"},
        {{"stall_share_observe", POINTS}, "classic_observe"},
        {{"stall_share_lookup", POINTS}, NULL},
    };
    const struct bench_row worst_row = {"stall_share", POINTS};
    struct bench_figures figures, worst = {-INFINITY, NAN, NAN};
    int worst_wanted = bench_wanted(b, "stall", worst_row.name);

    for (size_t i = 0; i < sizeof(stalls) / sizeof(*stalls); i++) {
        int wanted = bench_wanted(b, "stall", stalls[i].row.name);

        if (!wanted && !worst_wanted)
            continue;
        measure(b, stalls[i].op, &figures);
        if (wanted)
            bench_report(b, &stalls[i].row, &figures);
        if (figures.value > worst.value)
            worst = figures;
    }
    if (worst_wanted)
        bench_report(b, &worst_row, &worst);
}
