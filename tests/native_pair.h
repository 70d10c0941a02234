/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/native_pair.h - a native histogram of kymo and the model of it, led through the same program.
 *
 * A program is a row of steps: observe, let time pass, look. Each look compares everything that a visitor is shown. Where
 * one fails it is cut down to the fewest steps that still do, and printed; tests and the fuzzer share this.
 */
#ifndef KYMO_TESTS_NATIVE_PAIR_H
#define KYMO_TESTS_NATIVE_PAIR_H

#include "native_model.h"
#include "page.h"

#define BENCH_EPOCH_NS INT64_C(1700000000000000000)
#define MINUTE_NS INT64_C(60000000000)

/* A registry whose clock moves when it is told to. At a fixed address: the clock's context points into it. */
struct native_bench {
    struct kymo_registry *reg;
    struct stopped_clock clock;
    int loose_sums; /* where recordings go to the shared store, which keeps a sum for each bucket */
    unsigned used;  /* histograms so far: ended families leave a little behind, so a bench is renewed now and then */
};

static inline void bench_new(struct native_bench *b, size_t max_shards)
{
    const struct kymo_clock clock = {sizeof(clock), &b->clock, stopped_wall, stopped_monotonic};
    struct kymo_registry_options o = {
        .size = sizeof(o), .clock = &clock, .max_shards = max_shards, .no_self_metrics = 1, .config = ""};
    b->clock = (struct stopped_clock){BENCH_EPOCH_NS, 0};
    b->used = 0;
    REQUIRE(kymo_registry_new(&o, &b->reg) == 0);
}

static inline void bench_free(struct native_bench *b)
{
    kymo_registry_free(b->reg);
    b->reg = NULL;
}

static inline void bench_advance(struct native_bench *b, int64_t ns)
{
    b->clock.wall_ns += ns;
    b->clock.monotonic_ns += ns;
}

struct native_pair {
    struct native_bench *bench;
    struct kymo_histogram *h;
    struct native_model model;
};

static inline void pair_new(struct native_pair *p, struct native_bench *b, const struct kymo_native *native,
                            const double *bounds, size_t n_bounds)
{
    int r = kymo_histogram_new(b->reg,
                               KYMO_DESC(.name = "native", .help = "x", .native = native,
                                         .bounds = n_bounds > 0 ? bounds : NULL, .n_bounds = n_bounds),
                               &p->h);
    if (r != 0)
        fprintf(stderr, "kymo_histogram_new: %s\n", kymo_error_name(r));
    REQUIRE(r == 0);
    p->bench = b;
    b->used++;
    native_model_init(&p->model, native, n_bounds > 0 ? bounds : NULL, n_bounds, b->clock.wall_ns);
    p->model.loose_sum = b->loose_sums;
}

static inline void pair_end(struct native_pair *p)
{
    REQUIRE(kymo_registry_unregister(p->bench->reg, "native") == 0);
    native_model_free(&p->model);
}

static inline void pair_observe(struct native_pair *p, double v, uint64_t n)
{
    if (n == 1)
        kymo_histogram_observe(p->h, v);
    else
        kymo_histogram_observe_n(p->h, v, n);
    native_model_observe(&p->model, v, n, p->bench->clock.wall_ns);
}

struct pair_look {
    const struct native_pair *pair;
    const char *wrong;
    double sum;
    unsigned found;
    int prints;
};

static inline int pair_on_sample(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    struct pair_look *look = ctx;
    const struct native_model *m = &look->pair->model;
    if (strcmp(family->name, "native") != 0)
        return 0;
    look->found++;
    look->sum = point->value.histogram.sum;
    look->wrong = native_point_wrong(&point->value.histogram, m->options.max_buckets);
    if (look->wrong == NULL)
        look->wrong = native_model_differs(m, point);
    if (look->wrong != NULL && look->prints) {
        char *have = native_point_text(point, BENCH_EPOCH_NS), *want = native_model_text(m, BENCH_EPOCH_NS);
        fprintf(stderr, "kymo:  %s\nmodel: %s\n", have, want);
        free(have);
        free(want);
    }
    return 0;
}

/* What the value call reads right after a visit: the same as that one saw. */
static inline const char *pair_value_differs(const struct native_pair *p, double seen_sum)
{
    double sum = 0;
    uint64_t buckets[NATIVE_CLASSIC_MAX + 1];
    uint64_t n = kymo_histogram_value(p->h, &sum, p->model.n_bounds > 0 ? buckets : NULL,
                                      p->model.n_bounds > 0 ? p->model.n_bounds + 1 : 0);
    if (n != p->model.count)
        return "count of kymo_histogram_value()";
    if (sum != seen_sum && !(sum != sum && seen_sum != seen_sum))
        return "sum of kymo_histogram_value()";
    for (size_t i = 0; p->model.n_bounds > 0 && i <= p->model.n_bounds; i++) {
        if (buckets[i] != p->model.classic[i])
            return "buckets of kymo_histogram_value()";
    }
    return NULL;
}

/* Looks at both: NULL, or what differs. */
static inline const char *pair_look(struct native_pair *p, int prints)
{
    struct pair_look look = {p, NULL, 0, 0, prints};
    const struct kymo_visitor visitor = {sizeof(visitor), &look, NULL, pair_on_sample, NULL};
    native_model_expose(&p->model, p->bench->clock.wall_ns);
    if (kymo_registry_visit(p->bench->reg, &visitor) != 0 || look.found != 1)
        return "the visit";
    if (look.wrong == NULL)
        look.wrong = pair_value_differs(p, look.sum);
    if (look.wrong != NULL && prints)
        fprintf(stderr, "kymo and the model differ in: %s\n", look.wrong);
    return look.wrong;
}

/* ---- programs ---- */

enum { PROGRAM_STEPS = 512 };
enum native_what { STEP_OBSERVE, STEP_ADVANCE, STEP_LOOK };

struct native_step {
    enum native_what what;
    double v;
    uint64_t n; /* observations */
    int64_t ns; /* time that passes */
};

struct native_program {
    struct kymo_native options;
    const double *bounds;
    size_t n_bounds;
    size_t n;
    struct native_step steps[PROGRAM_STEPS];
};

/* Runs it, with a look at its end; NULL or what differs first. What the model did is added up in *steps. */
static inline const char *program_run(struct native_bench *b, const struct native_program *program, int prints,
                                      struct native_steps *steps)
{
    struct native_pair pair;
    const char *wrong = NULL;
    b->clock = (struct stopped_clock){BENCH_EPOCH_NS, 0};
    pair_new(&pair, b, &program->options, program->bounds, program->n_bounds);
    for (size_t i = 0; i < program->n && wrong == NULL; i++) {
        const struct native_step *step = &program->steps[i];
        if (step->what == STEP_OBSERVE)
            pair_observe(&pair, step->v, step->n);
        else if (step->what == STEP_ADVANCE)
            bench_advance(b, step->ns);
        else
            wrong = pair_look(&pair, prints);
    }
    if (wrong == NULL)
        wrong = pair_look(&pair, prints);
    if (steps != NULL)
        *steps = pair.model.steps;
    pair_end(&pair);
    return wrong;
}

static inline void program_without(struct native_program *to, const struct native_program *from, size_t at, size_t n)
{
    *to = *from;
    memmove(&to->steps[at], &from->steps[at + n], (from->n - at - n) * sizeof(to->steps[0]));
    to->n = from->n - n;
}

/* Takes out whatever is not needed for it to fail. */
static inline void program_cut_down(struct native_bench *b, struct native_program *program)
{
    static struct native_program trial;
    for (size_t piece = program->n / 2; piece > 0; piece = piece > 1 ? piece / 2 : 0) {
        for (size_t at = 0; at + piece <= program->n;) {
            program_without(&trial, program, at, piece);
            if (program_run(b, &trial, 0, NULL) != NULL)
                *program = trial;
            else
                at += piece;
        }
    }
}

static inline void program_print(const struct native_program *p)
{
    const struct kymo_native *o = &p->options;
    fprintf(stderr,
            "KYMO_NATIVE(.bucket_factor = %.17g, .zero_threshold = %.17g, .max_zero_threshold = %.17g,\n"
            "            .max_buckets = %" PRIu32 ", .min_reset_ns = %" PRId64 "), %zu classic bounds\n",
            o->bucket_factor, o->zero_threshold, o->max_zero_threshold, o->max_buckets, o->min_reset_ns, p->n_bounds);
    for (size_t i = 0; i < p->n; i++) {
        const struct native_step *s = &p->steps[i];
        if (s->what == STEP_OBSERVE)
            fprintf(stderr, "  observe %.17g (%a) x %" PRIu64 "\n", s->v, s->v, s->n);
        else if (s->what == STEP_ADVANCE)
            fprintf(stderr, "  %" PRId64 " ns pass\n", s->ns);
        else
            fprintf(stderr, "  look\n");
    }
    fprintf(stderr, "  look\n");
}

/* Runs a program; if it fails, prints the least of it that does. Returns 1 or 0. */
static inline int program_holds(struct native_bench *b, const struct native_program *program,
                                struct native_steps *steps)
{
    static struct native_program least;
    if (program_run(b, program, 0, steps) == NULL)
        return 1;
    least = *program;
    program_cut_down(b, &least);
    fprintf(stderr, "the least program that fails:\n");
    program_print(&least);
    if (program_run(b, &least, 1, NULL) == NULL)
        fprintf(stderr, "(not every time)\n");
    return 0;
}

#endif
