/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.c - the rows of recording and of lookups: one thread, then several on the same series.
 *
 * What must hold: each row has a registry of its own, whose threads have been prepared (ops.c). Rows of several threads
 * are ns per operation of each thread, not per operation of all. Read first: team.c.
 */
#include "bench.h"

#include <kymo/kymo.h>
#include <stdio.h>
#include <string.h>

/**
 * struct recording - an operation with its rows
 * @row:         one thread's; baseline @base
 * @max_ratio_n: target of the row of n threads ("_ns" becomes "_2t_ns"), whose unit and baseline are the same; 0: none
 * @over_self:   the n threads are compared with one thread's time for the same operation instead
 */
static const struct recording {
    const char *area;
    const char *op;
    struct bench_row row;
    const struct bench_op *base;
    double max_ratio_n;
    int over_self;
} recordings[] = {
#define OVER_F "ns", "fetch_add"
#define OVER_C "ns", "plt_call"
    {"record", "counter_inc", {"counter_inc_ns", OVER_F, 0.4, 0}, &bench_fetch_add, 1.15, 1},
    {"record", "counter_inc", {"counter_inc_vs_call", OVER_C, 1.5, 0}, &bench_plt_call, 0, 0},
    {"record", "counter_add_double", {"counter_add_double_ns", OVER_F, 0.75, 0}, &bench_fetch_add, 0.75, 0},
    {"record", "gauge_add", {"gauge_add_ns", OVER_F, 0.5, 0}, &bench_fetch_add, 0.5, 0},
    {"record", "gauge_set", {"gauge_set_ns", OVER_C, 1.5, 0}, &bench_plt_call, 0, 0},
    {"record", "classic_observe", {"classic_observe_ns", OVER_F, 1.5, 0}, &bench_fetch_add, 1.7, 0},
    {"record", "native_observe", {"native_observe_ns", OVER_F, 1.7, 0}, &bench_fetch_add, 1.7, 0},
    {"record", "both_observe", {"both_observe_ns", OVER_F, 2.6, 0}, &bench_fetch_add, 0, 0},
    {"lookup", "lookup2_inc", {"lookup2_inc_ns", OVER_F, 2.5, 0}, &bench_fetch_add, 2.5, 0},
    {"lookup", "lookup2_inc_1024", {"lookup2_inc_1024_ns", OVER_F, 4, 0}, &bench_fetch_add, 0, 0},
    {"lookup", "lookup2_inc_100000", {"lookup2_inc_100000_ns", OVER_F, 0, 0}, &bench_fetch_add, 0, 0},
};

static void measure(const struct bench *b, const struct recording *r, const struct bench_row *row, unsigned n)
{
    struct kymo_registry *reg = bench_registry();
    int over_self = n > 1 && r->over_self;
    struct bench_figures figures;
    struct bench_op op;

    bench_op_new(reg, r->op, &op);
    bench_compare(b, &op, n, over_self ? &op : r->base, over_self ? 1 : n, row->max_ratio, &figures);
    bench_report(b, row, &figures);
    bench_op_free(&op);
    kymo_registry_free(reg);
}

static void measure_contended(struct bench *b, const struct recording *r, unsigned n)
{
    struct bench_row row = r->row;
    char name[64];

    snprintf(name, sizeof(name), "%.*s_%ut_ns", (int)(strlen(r->row.name) - strlen("_ns")), r->row.name, n);
    if (!bench_wanted(b, r->area, name))
        return;
    row.name = name;
    row.max_ratio = r->max_ratio_n;
    if (r->over_self)
        row.baseline_name = r->row.name;
    measure(b, r, &row, n);
}

/* Calls that bring an exemplar, and the plain ones that they are compared with. */
static const struct exemplar_row {
    const char *op;
    const char *plain;
    struct bench_row row;
} exemplar_rows[] = {
    {"inc_exemplar", "counter_inc", {"exemplar_ns", "ns", "counter_inc", 0, 60}},
    {"inc_exemplar_out", "counter_inc", {"exemplar_out_ns", "ns", "counter_inc", 0, 0}},
    {"observe_exemplar", "classic_observe", {"exemplar_observe_ns", "ns", "classic_observe", 0, 60}},
    {"observe_exemplar_out", "classic_observe", {"exemplar_observe_out_ns", "ns", "classic_observe", 0, 0}},
};

static void measure_exemplars(struct bench *b, const struct exemplar_row *r)
{
    struct kymo_registry *reg;
    struct bench_figures figures;
    struct bench_op op, plain;

    if (!bench_wanted(b, "record", r->row.name))
        return;
    reg = bench_registry();
    bench_op_new(reg, r->op, &op);
    bench_op_new(reg, r->plain, &plain);
    bench_compare(b, &op, 1, &plain, 1, r->row.max_ratio, &figures);
    bench_report(b, &r->row, &figures);
    bench_op_free(&op);
    bench_op_free(&plain);
    kymo_registry_free(reg);
}

/* F over C: ratios to F can be compared between machines only where this one is alike. */
static void measure_baselines(struct bench *b)
{
    const struct bench_row row = {"fetch_add_ns", "ns", "plt_call", 0, 0};
    struct bench_figures figures;

    if (!bench_wanted(b, "record", row.name))
        return;
    bench_compare(b, &bench_fetch_add, 1, &bench_plt_call, 1, 0, &figures);
    bench_report(b, &row, &figures);
}

void bench_record(struct bench *b)
{
    measure_baselines(b);
    for (size_t i = 0; i < sizeof(recordings) / sizeof(*recordings); i++) {
        const struct recording *r = &recordings[i];

        if (bench_wanted(b, r->area, r->row.name))
            measure(b, r, &r->row, 1);
        for (size_t k = 0; r->max_ratio_n > 0 && k < b->n_threads; k++)
            if (b->threads[k] > 1)
                measure_contended(b, r, b->threads[k]);
    }
    for (size_t i = 0; i < sizeof(exemplar_rows) / sizeof(*exemplar_rows); i++)
        measure_exemplars(b, &exemplar_rows[i]);
}
