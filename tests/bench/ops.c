/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ops.c - the operations that are timed: kymo's recording calls, and the two baselines.
 *
 * What must hold: a loop does nothing but its call and, where a value is recorded, one load of a prepared one. The
 * loops differ in the one call they make; they are written out because a call through a pointer would cost as much as
 * what is measured. prepare() leaves a thread with a shard, chunks and double lanes of its own: the steady state.
 */
#include "bench.h"

#include <kymo/kymo.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PREPARE_CALLS = 1000, ORDER = 65536, GAUGE_VALUES = 64 };

const double bench_bounds[BENCH_BOUNDS] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25};

/* ---- baselines ---- */

static void loop_fetch_add(const struct bench_op *op, struct bench_lane *lane, uint64_t n)
{
    _Alignas(128) uint64_t line[16] = {0};

    (void)op;
    (void)lane;
    __asm__ volatile("" : : "r"(line) : "memory");
    for (; n; n--)
        __atomic_fetch_add(&line[0], 1, __ATOMIC_RELAXED);
}

static void loop_plt_call(const struct bench_op *op, struct bench_lane *lane, uint64_t n)
{
    void *object = op->object;

    (void)lane;
    for (; n; n--)
        bench_callee_empty(object);
}

const struct bench_op bench_fetch_add = {.loop = loop_fetch_add};
const struct bench_op bench_plt_call = {.loop = loop_plt_call};

/* ---- kymo ---- */

static void prepare(const struct bench_op *op, struct bench_lane *lane)
{
    bench_check(kymo_thread_attach(op->registry), "attaching a thread");
    /* The first round leaves its marks in the shared store, the sweep provides, the second finds what is its own. */
    for (int round = 0; round < 2; round++) {
        op->loop(op, lane, PREPARE_CALLS);
        bench_check(kymo_registry_sweep(op->registry, 0), "sweeping");
    }
}

/* As prepare(), for lookups over many series: each of them is recorded into. */
static void prepare_pairs(const struct bench_op *op, struct bench_lane *lane)
{
    const struct bench_pairs *p = op->input;

    prepare(op, lane);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < p->n; i++)
            kymo_counter_family_inc(op->object, &p->values[2 * i], 2);
        bench_check(kymo_registry_sweep(op->registry, 0), "sweeping");
    }
}

static void loop_counter_inc(const struct bench_op *op, struct bench_lane *lane, uint64_t n)
{
    struct kymo_counter *c = op->object;

    (void)lane;
    for (; n; n--)
        kymo_counter_inc(c);
}

static void loop_counter_add_double(const struct bench_op *op, struct bench_lane *lane, uint64_t n)
{
    struct kymo_counter *c = op->object;

    (void)lane;
    for (; n; n--)
        kymo_counter_add(c, 1.5);
}

static void loop_gauge_add(const struct bench_op *op, struct bench_lane *lane, uint64_t n)
{
    struct kymo_gauge *g = op->object;
    double step = 1;

    (void)lane;
    for (; n; n--) {
        kymo_gauge_add(g, step);
        step = -step; /* stays near 0 however long it runs */
    }
}

static void loop_gauge_set(const struct bench_op *op, struct bench_lane *lane, uint64_t n)
{
    struct kymo_gauge *g = op->object;
    const double *values = op->input;

    (void)lane;
    for (; n; n--)
        kymo_gauge_set(g, values[n & (GAUGE_VALUES - 1)]);
}

static void loop_lookup2_inc(const struct bench_op *op, struct bench_lane *lane, uint64_t n)
{
    struct kymo_counter_family *f = op->object;
    const struct bench_pairs *p = op->input;
    const char *const *values = p->values;
    const uint32_t *order = p->order;
    uint64_t at = lane->at, mask = p->mask;

    for (; n; n--)
        kymo_counter_family_inc(f, &values[2 * (size_t)order[at++ & mask]], 2);
    lane->at = at;
}

static void loop_classic_observe(const struct bench_op *op, struct bench_lane *lane, uint64_t n)
{
    struct kymo_histogram *h = op->object;
    const double *values = op->input;
    uint64_t at = lane->at;

    for (; n; n--)
        kymo_histogram_observe(h, values[at++ & (BENCH_OBSERVATIONS - 1)]);
    lane->at = at;
}

/* As tracing libraries give it: the ids of a trace and of a span. */
static const struct kymo_label trace[] = {{"trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"},
                                          {"span_id", "00f067aa0ba902b7"}};
static const struct kymo_exemplar exemplar = {trace, 2, 0};

static void loop_inc_exemplar(const struct bench_op *op, struct bench_lane *lane, uint64_t n)
{
    struct kymo_counter *c = op->object;

    (void)lane;
    for (; n; n--)
        kymo_counter_inc_exemplar(c, &exemplar);
}

static void loop_observe_exemplar(const struct bench_op *op, struct bench_lane *lane, uint64_t n)
{
    struct kymo_histogram *h = op->object;
    const double *values = op->input;
    uint64_t at = lane->at;

    for (; n; n--)
        kymo_histogram_observe_exemplar(h, values[at++ & (BENCH_OBSERVATIONS - 1)], &exemplar);
    lane->at = at;
}

/* ---- their inputs ---- */

double *bench_observations(void)
{
    double *values = bench_alloc(BENCH_OBSERVATIONS, sizeof(*values));
    double low = log(bench_bounds[0] / 2), high = log(bench_bounds[BENCH_BOUNDS - 1] * 2);
    uint64_t state = 12;

    for (size_t i = 0; i < BENCH_OBSERVATIONS; i++)
        values[i] = exp(low + (high - low) * bench_random_unit(&state));
    return values;
}

static double *gauge_values(void)
{
    double *values = bench_alloc(GAUGE_VALUES, sizeof(*values));
    uint64_t state = 3;

    for (size_t i = 0; i < GAUGE_VALUES; i++)
        values[i] = bench_random_unit(&state);
    return values;
}

void bench_pairs_init(struct bench_pairs *p, size_t n)
{
    static const char *const methods[] = {"GET", "PUT", "POST", "HEAD", "PATCH", "TRACE", "DELETE", "OPTIONS"};
    enum { TEXT = 24 };
    size_t codes = 8;
    uint64_t state = n;

    while (codes * codes < n)
        codes += 8;
    p->n = n;
    p->mask = n > ORDER / 4 ? 4 * ORDER - 1 : ORDER - 1;
    p->values = bench_alloc(n, 2 * sizeof(*p->values));
    p->order = bench_alloc(p->mask + 1, sizeof(*p->order));
    p->text = bench_alloc(2 * n, TEXT);
    for (size_t i = 0; i < n; i++) {
        char *text = p->text + 2 * i * TEXT;
        size_t first = i / codes;

        if (first < 8)
            snprintf(text, TEXT, "%s", methods[first]);
        else
            snprintf(text, TEXT, "/api/v1/%03u", (unsigned)(first % 1000));
        snprintf(text + TEXT, TEXT, "%zu", 200 + i % codes);
        p->values[2 * i] = text;
        p->values[2 * i + 1] = text + TEXT;
    }
    for (uint64_t i = 0; i <= p->mask; i++)
        p->order[i] = (uint32_t)(bench_random(&state) % n);
}

void bench_pairs_deinit(struct bench_pairs *p)
{
    free(p->values);
    free(p->order);
    free(p->text);
}

/* ---- making them ---- */

struct kymo_registry *bench_registry(void)
{
    const struct kymo_registry_options options = {
        .size = sizeof(options), .no_self_metrics = 1, .max_series = BENCH_MAX_SERIES};
    struct kymo_registry *reg;

    bench_check(kymo_registry_new(&options, &reg), "making a registry");
    return reg;
}

static void make_counter(struct bench_op *op, const char *name)
{
    struct kymo_counter *c;

    bench_check(kymo_counter_new(op->registry, KYMO_DESC(.name = name, .help = "Counted."), &c), name);
    op->object = c;
}

/* Each exemplar is kept, or but one in a billion. */
enum { EVERY = 1, HARDLY_ANY = 1000000000 };

static void make_counter_exemplars(struct bench_op *op, const char *name, uint32_t every)
{
    struct kymo_counter *c;

    bench_check(
        kymo_counter_new(op->registry, KYMO_DESC(.name = name, .help = "Counted.", .exemplar_every = every), &c), name);
    op->object = c;
}

static void make_counter_kept(struct bench_op *op, const char *name)
{
    make_counter_exemplars(op, name, EVERY);
}

static void make_counter_out(struct bench_op *op, const char *name)
{
    make_counter_exemplars(op, name, HARDLY_ANY);
}

static void make_gauge(struct bench_op *op, const char *name, enum kymo_gauge_mode mode)
{
    struct kymo_gauge *g;

    bench_check(kymo_gauge_new(op->registry, KYMO_DESC(.name = name, .help = "Measured.", .gauge_mode = mode), &g),
                name);
    op->object = g;
}

static void make_updown(struct bench_op *op, const char *name)
{
    make_gauge(op, name, KYMO_GAUGE_UPDOWN);
}

static void make_set(struct bench_op *op, const char *name)
{
    make_gauge(op, name, KYMO_GAUGE_SET);
    op->input = gauge_values();
}

static void make_histogram(struct bench_op *op, const char *name)
{
    struct kymo_histogram *h;

    bench_check(kymo_histogram_new(
                    op->registry,
                    KYMO_DESC(.name = name, .help = "Observed.", .bounds = bench_bounds, .n_bounds = BENCH_BOUNDS), &h),
                name);
    op->object = h;
    op->input = bench_observations();
}

static void make_native(struct bench_op *op, const char *name)
{
    struct kymo_histogram *h;

    bench_check(kymo_histogram_new(op->registry, KYMO_DESC(.name = name, .help = "Observed.", KYMO_NATIVE(0)), &h),
                name);
    op->object = h;
    op->input = bench_observations();
}

static void make_both(struct bench_op *op, const char *name)
{
    struct kymo_histogram *h;

    bench_check(kymo_histogram_new(op->registry,
                                   KYMO_DESC(.name = name, .help = "Observed.", .bounds = bench_bounds,
                                             .n_bounds = BENCH_BOUNDS, KYMO_NATIVE(0)),
                                   &h),
                name);
    op->object = h;
    op->input = bench_observations();
}

static void make_histogram_exemplars(struct bench_op *op, const char *name, uint32_t every)
{
    struct kymo_histogram *h;

    bench_check(kymo_histogram_new(op->registry,
                                   KYMO_DESC(.name = name, .help = "Observed.", .bounds = bench_bounds,
                                             .n_bounds = BENCH_BOUNDS, .exemplar_every = every),
                                   &h),
                name);
    op->object = h;
    op->input = bench_observations();
}

static void make_histogram_kept(struct bench_op *op, const char *name)
{
    make_histogram_exemplars(op, name, EVERY);
}

static void make_histogram_out(struct bench_op *op, const char *name)
{
    make_histogram_exemplars(op, name, HARDLY_ANY);
}

static void make_family(struct bench_op *op, const char *name)
{
    struct kymo_counter_family *f;

    bench_check(kymo_counter_family_new(
                    op->registry,
                    KYMO_DESC(.name = name, .help = "Counted.", .guard = &bench_roomy, KYMO_LABELS("method", "code")),
                    &f),
                name);
    op->object = f;
}

static const struct kind {
    const char *name;
    void (*loop)(const struct bench_op *op, struct bench_lane *lane, uint64_t n);
    void (*make)(struct bench_op *op, const char *name);
    size_t n_pairs; /* lookups */
} kinds[] = {
    {"counter_inc", loop_counter_inc, make_counter, 0},
    {"counter_add_double", loop_counter_add_double, make_counter, 0},
    {"gauge_add", loop_gauge_add, make_updown, 0},
    {"gauge_set", loop_gauge_set, make_set, 0},
    {"lookup2_inc", loop_lookup2_inc, make_family, 64},
    {"lookup2_inc_1024", loop_lookup2_inc, make_family, 1024},
    {"lookup2_inc_10000", loop_lookup2_inc, make_family, 10000},
    {"lookup2_inc_100000", loop_lookup2_inc, make_family, 100000},
    {"classic_observe", loop_classic_observe, make_histogram, 0},
    {"native_observe", loop_classic_observe, make_native, 0},
    {"both_observe", loop_classic_observe, make_both, 0},
    {"inc_exemplar", loop_inc_exemplar, make_counter_kept, 0},
    {"inc_exemplar_out", loop_inc_exemplar, make_counter_out, 0},
    {"observe_exemplar", loop_observe_exemplar, make_histogram_kept, 0},
    {"observe_exemplar_out", loop_observe_exemplar, make_histogram_out, 0},
};

static const struct kind *find_kind(const char *name)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    bench_die("there is no operation %s", name);
}

void bench_op_new(struct kymo_registry *reg, const char *name, struct bench_op *op)
{
    const struct kind *kind = find_kind(name);

    *op = (struct bench_op){.loop = kind->loop, .prepare = prepare, .registry = reg};
    kind->make(op, name);
    if (kind->n_pairs) {
        struct bench_pairs *p = bench_alloc(1, sizeof(*p));

        bench_pairs_init(p, kind->n_pairs);
        op->input = p;
        op->prepare = prepare_pairs;
    }
}

void bench_op_free(struct bench_op *op)
{
    if (op->prepare == prepare_pairs)
        bench_pairs_deinit(op->input);
    free(op->input);
    *op = (struct bench_op){0};
}
