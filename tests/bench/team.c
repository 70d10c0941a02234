/* SPDX-License-Identifier: Apache-2.0 */
/*
 * team.c - threads that do an operation together for a slice of time.
 *
 * What must hold: all threads of a slice run at the same time from start to end (they meet spinning, and go by the
 * clock, not by a count); each measures its own ns per operation; a slice in which the system took a CPU away is
 * repeated, a few times at most, and if that does not help the time without a CPU is left out. A thread that sleeps by
 * itself, as on a mutex, does not count as disturbed.
 */
#include "bench.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { FIRST_BLOCK = 16, BLOCK_NS = 50000, WARM_SHARE = 8, MAX_RETRIES = 2, SPINS = 2000 };

struct member {
    struct team *team;
    struct bench_lane lane;
    double ns;
    int disturbed;
    pthread_t thread;
};

struct team {
    const struct bench *bench;
    const struct bench_op *ops[2]; /* subject, baseline */
    unsigned n;                    /* members */
    unsigned n_cpus;
    pthread_barrier_t begin;
    pthread_barrier_t end;
    /* The slice to do next; written by the leader before `begin`, read by the members after it. */
    const struct bench_op *op;
    unsigned active;
    unsigned arrived;
    struct member members[BENCH_MAX_THREADS];
};

/* One side of a comparison: the context of a probe. */
struct side {
    struct team *team;
    const struct bench_op *op;
    unsigned active;
};

unsigned bench_n_cpus(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;

    return n > 0 ? (unsigned)n : 1;
}

void bench_pin(unsigned index)
{
    cpu_set_t all, one;
    unsigned skip = index % bench_n_cpus();

    if (bench_n_cpus() < 2 || sched_getaffinity(0, sizeof(all), &all) != 0)
        return;
    CPU_ZERO(&one);
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &all) && skip-- == 0) {
            CPU_SET(cpu, &one);
            break;
        }
    }
    /* Where this is not allowed the scheduler places the threads; the figures are noisier, not wrong. */
    (void)pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
}

void bench_run_thread(void *(*body)(void *arg), void *arg)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, body, arg) != 0)
        bench_die("no thread could be started");
    pthread_join(thread, NULL);
}

struct moment {
    uint64_t wall;
    uint64_t cpu;
    long voluntary;   /* context switches: the thread slept */
    long involuntary; /* it was made to wait */
};

static void look(struct moment *m)
{
    struct rusage r = {0};

    getrusage(RUSAGE_THREAD, &r);
    m->voluntary = r.ru_nvcsw;
    m->involuntary = r.ru_nivcsw;
    m->cpu = bench_cpu_ns();
    m->wall = bench_now_ns();
}

/* Runs untimed for a part of the slice, and returns how many operations take about BLOCK_NS. */
static uint64_t warm_up(const struct bench_op *op, struct bench_lane *lane, uint64_t slice_ns)
{
    uint64_t block = FIRST_BLOCK, start = bench_now_ns(), before = start, now;

    do {
        op->loop(op, lane, block);
        now = bench_now_ns();
        if (now - before < BLOCK_NS / 2)
            block *= 2;
        before = now;
    } while (now - start < slice_ns / WARM_SHARE);
    return block;
}

/* All active members leave within nanoseconds of each other, if each has a CPU. */
static void meet(struct team *t)
{
    __atomic_fetch_add(&t->arrived, 1, __ATOMIC_ACQ_REL);
    for (unsigned spins = 0; __atomic_load_n(&t->arrived, __ATOMIC_ACQUIRE) < t->active; spins++)
        if (spins > SPINS)
            sched_yield();
}

static void time_slice(struct member *m)
{
    struct team *t = m->team;
    uint64_t block = warm_up(t->op, &m->lane, t->bench->slice_ns), n = 0, wall, cpu;
    struct moment start, end;

    meet(t);
    look(&start);
    do {
        t->op->loop(t->op, &m->lane, block);
        n += block;
        wall = bench_now_ns() - start.wall;
    } while (wall < t->bench->slice_ns);
    look(&end);
    cpu = end.cpu - start.cpu;
    m->disturbed = end.involuntary != start.involuntary && cpu < wall - wall / 20;
    /* With more threads than CPUs it is the members that make each other wait: that is what such a row shows. */
    if (m->disturbed && end.voluntary == start.voluntary && t->active <= t->n_cpus)
        wall = cpu;
    m->ns = (double)wall / (double)n;
}

static void *member_main(void *arg)
{
    struct member *m = arg;
    struct team *t = m->team;

    if (t->n > 1)
        bench_pin(m->lane.index);
    for (int i = 0; i < 2; i++)
        if (t->ops[i]->prepare)
            t->ops[i]->prepare(t->ops[i], &m->lane);
    for (;;) {
        pthread_barrier_wait(&t->begin);
        if (!t->op)
            return NULL;
        if (m->lane.index < t->active)
            time_slice(m);
        pthread_barrier_wait(&t->end);
    }
}

static int do_slice(struct team *t, const struct bench_op *op, unsigned active, double *mean_ns)
{
    double sum = 0;
    int disturbed = 0;

    t->op = op;
    t->active = active;
    t->arrived = 0;
    pthread_barrier_wait(&t->begin);
    pthread_barrier_wait(&t->end);
    for (unsigned i = 0; i < active; i++) {
        sum += t->members[i].ns;
        disturbed |= t->members[i].disturbed;
    }
    *mean_ns = sum / active;
    return disturbed;
}

static double take_side(void *ctx)
{
    struct side *s = ctx;
    double ns = 0;

    for (int i = 0; do_slice(s->team, s->op, s->active, &ns) && i < MAX_RETRIES; i++)
        continue;
    return ns;
}

static void start(struct team *t)
{
    pthread_barrier_init(&t->begin, NULL, t->n + 1);
    pthread_barrier_init(&t->end, NULL, t->n + 1);
    for (unsigned i = 0; i < t->n; i++) {
        struct member *m = &t->members[i];

        m->team = t;
        m->lane.index = i;
        m->lane.at = i * UINT64_C(9973); /* threads that read one input do so at different places */
        if (pthread_create(&m->thread, NULL, member_main, m) != 0)
            bench_die("no thread number %u could be started", i + 1);
    }
}

static void stop(struct team *t)
{
    t->op = NULL;
    pthread_barrier_wait(&t->begin);
    for (unsigned i = 0; i < t->n; i++)
        pthread_join(t->members[i].thread, NULL);
    pthread_barrier_destroy(&t->begin);
    pthread_barrier_destroy(&t->end);
}

void bench_compare(const struct bench *b, const struct bench_op *subject, unsigned n, const struct bench_op *baseline,
                   unsigned n_baseline, double max_ratio, struct bench_figures *out)
{
    struct team *t = bench_alloc(1, sizeof(*t));
    struct side sides[2] = {{t, subject, n}, {t, baseline, n_baseline}};
    struct bench_probe probes[2] = {{take_side, &sides[0]}, {take_side, &sides[1]}};

    t->bench = b;
    t->ops[0] = subject;
    t->ops[1] = baseline;
    t->n = n > n_baseline ? n : n_baseline;
    t->n_cpus = bench_n_cpus();
    start(t);
    bench_alternate(b, &probes[0], &probes[1], max_ratio, out);
    stop(t);
    free(t);
}
