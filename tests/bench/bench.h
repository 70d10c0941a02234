/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench.h - what the parts of the benchmark program share.
 *
 * What must hold: a figure is only worth its ratio to a baseline that ran in turns with it; nothing that is timed may
 * be visible to the compiler (kymo and the empty function are reached through the PLT); every set-up cost, of threads
 * as of series, is paid before the first timed slice. How each row is measured: README.md. Read first: timing.c,
 * team.c, ops.c.
 */
#ifndef KYMO_TESTS_BENCH_H
#define KYMO_TESTS_BENCH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kymo_registry;
struct kymo_sink;
struct kymo_counter_family;
struct kymo_histogram_family;
struct kymo_guard;

enum { BENCH_MAX_THREADS = 64, BENCH_MAX_COUNTS = 16, BENCH_BOUNDS = 12, BENCH_OBSERVATIONS = 65536 };
/* More than any row has: where a limit is not what is measured. */
enum { BENCH_MAX_SERIES = 1000000 };

/* ---- one run of the program, and its rows (bench.c) ---- */

/**
 * struct bench - the options of this run
 * @only:     area or row to run, or NULL for all
 * @threads:  @n_threads counts for the contended rows
 * @smoke:    every row once with small counts: the output is valid, the figures are not
 * @slice_ns: shortest time of one timed slice
 * @pairs:    slices of subject and baseline, in turns; @more_pairs where the ratio is close to a limit
 * @matched:  rows that @only let through
 */
struct bench {
    const char *only;
    unsigned threads[BENCH_MAX_COUNTS];
    size_t n_threads;
    int json;
    int smoke;
    uint64_t slice_ns;
    unsigned pairs;
    unsigned more_pairs;
    unsigned matched;
};

/**
 * struct bench_row - what is reported, and what it is held to
 * @baseline_name: NULL if the row has no baseline
 * @max_ratio, @max_value: targets, 0 for none; a row without either is reported only
 */
struct bench_row {
    const char *name;
    const char *unit;
    const char *baseline_name;
    double max_ratio;
    double max_value;
};

/* Medians of a row; NAN where there is none. @ratio is value / baseline: see bench_alternate() for the close ones. */
struct bench_figures {
    double value;
    double baseline;
    double ratio;
};

/** bench_wanted() - whether --only asks for this row of this area */
int bench_wanted(struct bench *b, const char *area, const char *name);
void bench_report(const struct bench *b, const struct bench_row *row, const struct bench_figures *figures);
/** bench_report_value() - the same for a row that has no baseline */
void bench_report_value(const struct bench *b, const struct bench_row *row, double value);
/** bench_scale() - @n, or a small part of it in a smoke run */
size_t bench_scale(const struct bench *b, size_t n);
/** bench_die() - ends the program, exit status 1, with a sentence on stderr */
#ifdef __GNUC__
__attribute__((noreturn, format(printf, 1, 2)))
#endif
void bench_die(const char *format, ...);
/** bench_check() - dies, naming @what and the error, if a call of kymo has failed */
void bench_check(int error, const char *what);
/** bench_alloc() - zeroed memory, touched page by page; dies if there is none */
void *bench_alloc(size_t n, size_t bytes);

/* ---- clocks, medians, turns (timing.c) ---- */

uint64_t bench_now_ns(void);
uint64_t bench_cpu_ns(void);
/** bench_random() - the next value of a fixed sequence; @state starts at any value */
uint64_t bench_random(uint64_t *state);
/** bench_random_unit() - the same as a double in [0, 1) with 53 random bits */
double bench_random_unit(uint64_t *state);
double bench_median(const double *values, size_t n);
/** bench_rss_bytes() - resident memory of this process, exact where the kernel offers smaps_rollup */
size_t bench_rss_bytes(void);

/* Something that can be measured once: returns its figure, for example ns per operation. */
struct bench_probe {
    double (*take)(void *ctx);
    void *ctx;
};

/**
 * bench_alternate() - takes both probes in turns and their medians
 * @max_ratio: the row's target, 0 for none
 * A ratio within 3 % of 1 or of its target is the median of the pairs' ratios, of at least b->more_pairs pairs.
 */
void bench_alternate(const struct bench *b, const struct bench_probe *subject, const struct bench_probe *baseline,
                     double max_ratio, struct bench_figures *out);

/* ---- operations on threads (team.c) ---- */

/* What a loop keeps for one thread: the thread's number and its place in the input. */
struct bench_lane {
    unsigned index;
    uint64_t at;
};

/**
 * struct bench_op - an operation that threads repeat
 * @loop:    does it @n times
 * @prepare: pays in the calling thread for all that is paid once; may be NULL
 * @object:  what is recorded into
 * @input:   values (a power of two of them) or struct bench_pairs to record, or NULL
 * @registry: of @object
 */
struct bench_op {
    void (*loop)(const struct bench_op *op, struct bench_lane *lane, uint64_t n);
    void (*prepare)(const struct bench_op *op, struct bench_lane *lane);
    void *object;
    void *input;
    struct kymo_registry *registry;
};

/**
 * bench_compare() - ns per operation and thread of two operations, slice by slice in turns
 * @n, @n_baseline: threads that do each; they are the same threads
 */
void bench_compare(const struct bench *b, const struct bench_op *subject, unsigned n, const struct bench_op *baseline,
                   unsigned n_baseline, double max_ratio, struct bench_figures *out);

/** bench_run_thread() - runs @body in a thread of its own, to its end */
void bench_run_thread(void *(*body)(void *arg), void *arg);

/** bench_n_cpus() - CPUs this process may run on */
unsigned bench_n_cpus(void);
/** bench_pin() - binds the calling thread to one of them, counted round; with one CPU it does nothing */
void bench_pin(unsigned index);

/* ---- the operations (ops.c) ---- */

/* F: fetch_add on a cache line of the thread's own. C: a call of an empty function through the PLT. */
extern const struct bench_op bench_fetch_add;
extern const struct bench_op bench_plt_call;

/** bench_registry() - a registry without kymo's own families, and with room for BENCH_MAX_SERIES */
struct kymo_registry *bench_registry(void);

/**
 * bench_op_new() - one of kymo's operations, on a family of its own in @reg
 * @name: "counter_inc", "counter_add_double", "gauge_add", "gauge_set", "lookup2_inc", "lookup2_inc_1024",
 *        "lookup2_inc_10000", "lookup2_inc_100000", "classic_observe", "inc_exemplar", "inc_exemplar_out",
 *        "observe_exemplar", "observe_exemplar_out"
 */
void bench_op_new(struct kymo_registry *reg, const char *name, struct bench_op *op);
/** bench_op_free() - frees its input; the registry is the caller's */
void bench_op_free(struct bench_op *op);

/**
 * struct bench_pairs - label values for the lookups: pairs of strings and a random order over them
 * @values: 2 * @n strings
 * @order:  @mask + 1 positions of pairs in @values
 */
struct bench_pairs {
    const char **values;
    uint32_t *order;
    uint64_t mask;
    size_t n;
    char *text;
};
void bench_pairs_init(struct bench_pairs *p, size_t n);
void bench_pairs_deinit(struct bench_pairs *p);

/* 12 upper bounds, and values that fall into the 13 buckets so that none is predictable: log-uniform. */
extern const double bench_bounds[BENCH_BOUNDS];
double *bench_observations(void);

/* ---- series with three labels, and their pages (series.c) ---- */

/* Label strings of @n series, three to a series. */
struct bench_labels {
    const char *(*values)[3];
    char *text;
    size_t n;
};
extern const char *const bench_label_names[3];
extern const struct kymo_guard bench_roomy;
extern const char bench_counter_name[];
extern const char bench_histogram_name[];
void bench_labels_init(struct bench_labels *l, size_t n);
void bench_labels_deinit(struct bench_labels *l);
struct kymo_counter_family *bench_counter_family(struct kymo_registry *reg);
struct kymo_histogram_family *bench_histogram_family(struct kymo_registry *reg);

/** bench_write() - one page in the text format, into @sink */
void bench_write(struct kymo_registry *reg, const struct kymo_sink *sink);
/** bench_swallow() - a sink's write() that does nothing with the bytes, out of the compiler's sight */
int bench_swallow(void *ctx, const char *data, size_t n);

/* ---- the parts (one file each) ---- */

/**
 * bench_stalls() - points of an operation's wall time spent in calls over 100 us while a scrape loops
 * @scrape: one whole scrape of what @op records into
 * Fills value (points above an empty call under the same conditions) and baseline (the empty call's share, percent).
 */
void bench_stalls(const struct bench *b, const struct bench_op *op, void (*scrape)(void *ctx), void *ctx,
                  struct bench_figures *out);

/** bench_child() - runs @measure in a forked child, so that its memory is its own; brings back @n figures */
void bench_child(void (*measure)(void *ctx, double *figures), void *ctx, double *figures, size_t n);

/* ---- levels of memory (memory.c) ---- */

struct bench_level {
    double registry; /* segment and heap, by the registry's own account */
    double process;  /* resident */
};
struct bench_level bench_level_now(struct kymo_registry *reg);
/** bench_put_growth() - two figures, per one of @n: resident memory, and the registry's own account */
void bench_put_growth(double *figures, struct bench_level before, struct bench_level after, size_t n);

void bench_ends(struct bench *b);
void bench_guards(struct bench *b);
void bench_memory(struct bench *b);
void bench_record(struct bench *b);
void bench_render(struct bench *b);
void bench_stall(struct bench *b);
void bench_peer(struct bench *b);

/* The shared library of the bench's own (callee.c): does nothing, elsewhere. */
void bench_callee_empty(void *object);

#ifdef __cplusplus
}
#endif
#endif
