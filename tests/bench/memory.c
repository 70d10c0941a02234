/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.c - the rows of registration and of memory.
 *
 * What must hold: label strings and the array of handles exist, in touched memory, before anything is measured. Bytes
 * are what the process has grown by, in a child of its own; what the registry says of itself, pages that nobody wrote
 * included, stands beside it.
 */
#include "bench.h"

#include <kymo/kymo.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { N_COUNTERS = 100000, N_HISTOGRAMS = 10000, N_NATIVES = 1000, LONGEST_RUNS = 7, BASELINE_CALLS = 2000000 };

/* ---- registration ---- */

static double take_registration(void *ctx)
{
    const struct bench_labels *l = ctx;
    struct kymo_registry *reg = bench_registry();
    struct kymo_counter_family *f = bench_counter_family(reg);
    uint64_t start, took;

    bench_check(kymo_thread_attach(reg), "attaching a thread");
    start = bench_cpu_ns();
    for (size_t i = 0; i < l->n; i++)
        if (!kymo_counter_with(f, l->values[i], 3))
            bench_die("series %zu could not be registered", i);
    took = bench_cpu_ns() - start;
    kymo_registry_free(reg);
    return (double)took / (double)l->n;
}

static double take_fetch_add(void *ctx)
{
    uint64_t start = bench_cpu_ns();

    (void)ctx;
    bench_fetch_add.loop(&bench_fetch_add, NULL, BASELINE_CALLS);
    return (double)(bench_cpu_ns() - start) / BASELINE_CALLS;
}

static void measure_registration(struct bench *b, struct bench_labels *l)
{
    const struct bench_row row = {"register_ns", "ns", "fetch_add", 0, 280};
    const struct bench_probe subject = {take_registration, l}, baseline = {take_fetch_add, NULL};
    struct bench_figures figures;

    bench_alternate(b, &subject, &baseline, 0, &figures);
    bench_report(b, &row, &figures);
}

/* The longest of all calls, in CPU time: what a preempted thread waits is not the call's doing. */
static double longest_call_us(const struct bench_labels *l)
{
    struct kymo_registry *reg = bench_registry();
    struct kymo_counter_family *f = bench_counter_family(reg);
    uint64_t longest = 0;

    bench_check(kymo_thread_attach(reg), "attaching a thread");
    for (size_t i = 0; i < l->n; i++) {
        uint64_t start = bench_cpu_ns(), took;

        kymo_counter_with(f, l->values[i], 3);
        took = bench_cpu_ns() - start;
        if (took > longest)
            longest = took;
    }
    kymo_registry_free(reg);
    return (double)longest / 1000;
}

static void measure_longest(struct bench *b, const struct bench_labels *l)
{
    const struct bench_row row = {.name = "register_longest_us", .unit = "us", .max_value = 1000};
    const struct bench_row worst_row = {.name = "register_longest_worst_us", .unit = "us"};
    double runs[LONGEST_RUNS], worst = 0;
    size_t n = b->smoke ? 1 : LONGEST_RUNS;

    for (size_t i = 0; i < n; i++) {
        runs[i] = longest_call_us(l);
        worst = fmax(worst, runs[i]);
    }
    bench_report_value(b, &row, bench_median(runs, n));
    bench_report_value(b, &worst_row, worst);
}

/* ---- bytes ---- */

struct bench_level bench_level_now(struct kymo_registry *reg)
{
    struct kymo_registry_stats stats = {.size = sizeof(stats)};
    struct bench_level now;

    bench_check(kymo_registry_get_stats(reg, &stats), "asking for the registry's statistics");
    now.registry = (double)stats.segment_used_bytes + (double)stats.heap_bytes;
    now.process = (double)bench_rss_bytes();
    return now;
}

void bench_put_growth(double *figures, struct bench_level before, struct bench_level after, size_t n)
{
    figures[0] = (after.process - before.process) / (double)n;
    figures[1] = (after.registry - before.registry) / (double)n;
}

struct second_thread {
    struct kymo_registry *reg;
    struct kymo_counter_family *family;
    const struct bench_labels *labels;
};

static void *record_as_second(void *arg)
{
    const struct second_thread *t = arg;

    if (!t)
        return NULL;
    bench_check(kymo_thread_attach(t->reg), "attaching the second thread");
    for (size_t i = 0; i < t->labels->n; i++) {
        struct kymo_counter *c = kymo_counter_with(t->family, t->labels->values[i], 3);

        kymo_counter_inc(c);
        kymo_counter_release(c);
    }
    return NULL;
}

/* Figures: per counter with a handle held, and what a second thread's recordings add to it. */
static void counter_bytes(void *ctx, double *figures)
{
    const struct bench_labels *l = ctx;
    struct kymo_counter **handles = bench_alloc(l->n, sizeof(*handles));
    struct kymo_registry *reg = bench_registry();
    struct second_thread second = {reg, bench_counter_family(reg), l};
    struct bench_level empty, one, two;

    bench_check(kymo_thread_attach(reg), "attaching a thread");
    bench_run_thread(record_as_second, NULL); /* its stack is paid for */
    empty = bench_level_now(reg);
    for (size_t i = 0; i < l->n; i++) {
        handles[i] = kymo_counter_with(second.family, l->values[i], 3);
        kymo_counter_inc(handles[i]);
    }
    one = bench_level_now(reg);
    bench_run_thread(record_as_second, &second);
    two = bench_level_now(reg);
    for (size_t i = 0; i < l->n; i++)
        if (!handles[i] || kymo_counter_value(handles[i]) != 2)
            bench_die("series %zu did not take both threads' recordings", i);
    bench_put_growth(&figures[0], empty, one, l->n);
    bench_put_growth(&figures[2], one, two, l->n);
}

/* The same, recorded by labels: no handle is held. */
static void unpinned_bytes(void *ctx, double *figures)
{
    const struct bench_labels *l = ctx;
    struct kymo_registry *reg = bench_registry();
    struct kymo_counter_family *f = bench_counter_family(reg);
    struct bench_level empty;

    bench_check(kymo_thread_attach(reg), "attaching a thread");
    empty = bench_level_now(reg);
    for (size_t i = 0; i < l->n; i++)
        kymo_counter_family_inc(f, l->values[i], 3);
    bench_put_growth(figures, empty, bench_level_now(reg), l->n);
}

static void histogram_bytes(void *ctx, double *figures)
{
    const struct bench_labels *l = ctx;
    struct kymo_histogram **handles = bench_alloc(l->n, sizeof(*handles));
    struct kymo_registry *reg = bench_registry();
    struct kymo_histogram_family *f = bench_histogram_family(reg);
    struct bench_level empty;

    bench_check(kymo_thread_attach(reg), "attaching a thread");
    empty = bench_level_now(reg);
    for (size_t i = 0; i < l->n; i++) {
        handles[i] = kymo_histogram_with(f, l->values[i], 3);
        kymo_histogram_observe(handles[i], 0.3);
    }
    bench_put_growth(figures, empty, bench_level_now(reg), l->n);
    for (size_t i = 0; i < l->n; i++)
        if (kymo_histogram_value(handles[i], NULL, NULL, 0) != 1)
            bench_die("histogram %zu did not take its observation", i);
}

enum { NATIVE_CALLS = 100 };

struct natives {
    struct kymo_registry *reg;
    struct kymo_histogram_family *family;
    const struct bench_labels *labels;
};

/* Values over three decades, the same for every histogram: about eighty buckets. */
static void *observe_natives(void *arg)
{
    const struct natives *n = arg;

    if (!n)
        return NULL;
    bench_check(kymo_thread_attach(n->reg), "attaching a thread");
    for (size_t i = 0; i < n->labels->n; i++) {
        struct kymo_histogram *h = kymo_histogram_with(n->family, n->labels->values[i], 3);

        for (int k = 0; k < NATIVE_CALLS; k++)
            kymo_histogram_observe(h, 0.01 * pow(10, 3.0 * k / NATIVE_CALLS));
        kymo_histogram_release(h);
    }
    return NULL;
}

static void native_bytes(void *ctx, double *figures)
{
    const struct bench_labels *l = ctx;
    struct natives n = {bench_registry(), NULL, l};
    struct bench_level empty, one;

    bench_check(kymo_histogram_family_new(n.reg,
                                          KYMO_DESC(.name = "bench_native_seconds", .help = "Time of a request.",
                                                    .labels = bench_label_names, .n_labels = 3, KYMO_NATIVE(0)),
                                          &n.family),
                "registering a family of native histograms");
    bench_run_thread(observe_natives, NULL); /* its stack is paid for */
    bench_check(kymo_thread_attach(n.reg), "attaching a thread");
    empty = bench_level_now(n.reg);
    observe_natives(&n);
    one = bench_level_now(n.reg);
    bench_put_growth(&figures[0], empty, one, l->n);
    bench_run_thread(observe_natives, &n);
    bench_put_growth(&figures[2], one, bench_level_now(n.reg), l->n);
}

/* A measurement of bytes: one or two growths, a row and an "_account" row for each. */
static const struct weighing {
    void (*measure)(void *ctx, double *figures);
    size_t n;
    struct bench_row rows[2];
} weighings[] = {
    {counter_bytes,
     N_COUNTERS,
     {{"bytes_per_counter", "B", NULL, 0, 170}, {"bytes_per_further_shard", "B", NULL, 0, 8}}},
    {unpinned_bytes, N_COUNTERS, {{"bytes_per_counter_by_labels", "B", NULL, 0, 0}}},
    {histogram_bytes, N_HISTOGRAMS, {{"bytes_per_histogram", "B", NULL, 0, 320}}},
    {native_bytes, N_NATIVES, {{"bytes_per_native", "B", NULL, 0, 0}, {"bytes_per_native_shard", "B", NULL, 0, 1600}}},
};

static void measure_bytes(struct bench *b, const struct weighing *w)
{
    char account[2][64];
    int wanted[4] = {0};
    double figures[4];
    struct bench_labels labels;

    for (int i = 0; i < 2 && w->rows[i].name; i++) {
        snprintf(account[i], sizeof(account[i]), "%s_account", w->rows[i].name);
        wanted[2 * i] = bench_wanted(b, "memory", w->rows[i].name);
        wanted[2 * i + 1] = bench_wanted(b, "memory", account[i]);
    }
    if (!wanted[0] && !wanted[1] && !wanted[2] && !wanted[3])
        return;
    bench_labels_init(&labels, bench_scale(b, w->n));
    bench_child(w->measure, &labels, figures, 4);
    bench_labels_deinit(&labels);
    for (int i = 0; i < 2; i++) {
        const struct bench_row account_row = {.name = account[i], .unit = "B"};

        if (wanted[2 * i])
            bench_report_value(b, &w->rows[i], figures[2 * i]);
        if (wanted[2 * i + 1])
            bench_report_value(b, &account_row, figures[2 * i + 1]);
    }
}

void bench_memory(struct bench *b)
{
    struct bench_labels labels;

    for (size_t i = 0; i < sizeof(weighings) / sizeof(*weighings); i++)
        measure_bytes(b, &weighings[i]);
    bench_labels_init(&labels, bench_scale(b, N_COUNTERS));
    if (bench_wanted(b, "memory", "register_ns"))
        measure_registration(b, &labels);
    if (bench_wanted(b, "memory", "register_longest_us"))
        measure_longest(b, &labels);
    bench_labels_deinit(&labels);
}
