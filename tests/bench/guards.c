/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guards.c - the rows of guards, as seen by those who record: known series, label sets past the limit, the heaviest.
 *
 * What must hold: label strings lie ready in the order in which they are used, 16 bytes each, so that a row shows the
 * library's cache misses and not the input's; past the limit no two of a million recordings in a row bring the same
 * labels; each row makes sure that what it timed went where its name says. Read next: ends.c, whose rows share the area.
 */
#include "bench.h"

#include <kymo/kymo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_KNOWN = 64, LIMIT = 100, TEXT = 16, N_MODELS = 64, N_STREAM = 1 << 20, N_KEYS = 1000000, HEAD = 1000 };
enum { LAYOUTS = 9, TOP_ROUNDS = 4, PREPARE_CALLS = 1000, SMOKE_STREAM = 1 << 14 };

static const int64_t hour_ns = INT64_C(3600000000000);

/* ---- known series: a guard that has nothing to do ---- */

/* The list of methods lets through all that there are, most of them several times over. */
static void guard_known(struct bench_op *op, const char *family, const struct bench_pairs *p)
{
    const struct kymo_guard guard = {.policy = KYMO_GUARD_LIMIT, .max_series = LIMIT, .idle_ns = hour_ns};
    const char *methods[N_KNOWN];

    for (size_t i = 0; i < N_KNOWN; i++)
        methods[i] = p->values[2 * i];
    bench_check(kymo_registry_set_guard(op->registry, family, &guard), "setting a guard");
    bench_check(kymo_registry_allow(op->registry, family, "method", methods, N_KNOWN), "setting the values of a label");
    bench_check(kymo_registry_set_max_series(op->registry, 2 * LIMIT), "setting a budget");
}

static void make_by_labels(struct bench_op *op, int guarded)
{
    bench_op_new(bench_registry(), "lookup2_inc", op);
    if (guarded)
        guard_known(op, "lookup2_inc", op->input);
}

/* Handles of all series that the operation by labels knows, in its order. */
struct handles {
    struct kymo_counter *of[N_KNOWN];
    struct bench_op by_labels;
};

static void loop_handles(const struct bench_op *op, struct bench_lane *lane, uint64_t n)
{
    struct kymo_counter *const *handles = ((const struct handles *)op->object)->of;
    uint64_t at = lane->at;

    for (; n; n--)
        kymo_counter_inc(handles[at++ & (N_KNOWN - 1)]);
    lane->at = at;
}

/* The first round leaves marks, the sweep provides: see ops.c. */
static void prepare(const struct bench_op *op, struct bench_lane *lane)
{
    bench_check(kymo_thread_attach(op->registry), "attaching a thread");
    for (int round = 0; round < 2; round++) {
        op->loop(op, lane, PREPARE_CALLS);
        bench_check(kymo_registry_sweep(op->registry, 0), "sweeping");
    }
}

static void make_by_handle(struct bench_op *op, int guarded)
{
    struct handles *h = bench_alloc(1, sizeof(*h));
    const struct bench_pairs *p;

    make_by_labels(&h->by_labels, guarded);
    p = h->by_labels.input;
    for (size_t i = 0; i < N_KNOWN; i++)
        h->of[i] = kymo_counter_with(h->by_labels.object, &p->values[2 * i], 2);
    *op = (struct bench_op){.loop = loop_handles, .prepare = prepare, .object = h, .registry = h->by_labels.registry};
}

static void free_by_labels(struct bench_op *op)
{
    kymo_registry_free(op->registry);
    bench_op_free(op);
}

static void free_by_handle(struct bench_op *op)
{
    struct handles *h = op->object;

    free_by_labels(&h->by_labels);
    free(h);
}

static const struct known {
    struct bench_row row;
    void (*make)(struct bench_op *op, int guarded);
    void (*end)(struct bench_op *op);
} knowns[] = {
    {{"known_series_ratio", "ns", "unguarded", 1.02, 0}, make_by_labels, free_by_labels},
    {{"known_handle_ratio", "ns", "unguarded", 1.02, 0}, make_by_handle, free_by_handle},
};

static int by_ratio(const void *a, const void *b)
{
    double x = ((const struct bench_figures *)a)->ratio, y = ((const struct bench_figures *)b)->ratio;

    return (x > y) - (x < y);
}

/*
 * Where things happen to lie in memory makes a difference of some percent for as long as they lie there. So it is
 * measured in several pairs of registries, made in turns, and the pair in the middle is the figure.
 */
static void measure_known(const struct bench *b, const struct known *k)
{
    struct bench_figures figures[LAYOUTS];
    size_t n = b->smoke ? 1 : LAYOUTS;
    struct bench_op ops[2];

    for (size_t i = 0; i < n; i++) {
        for (size_t turn = 0; turn < 2; turn++) {
            size_t guarded = (i + turn) % 2;

            k->make(&ops[guarded], (int)guarded);
        }
        bench_compare(b, &ops[1], 1, &ops[0], 1, k->row.max_ratio, &figures[i]);
        k->end(&ops[0]);
        k->end(&ops[1]);
    }
    qsort(figures, n, sizeof(*figures), by_ratio);
    bench_report(b, &k->row, &figures[n / 2]);
}

/* ---- a stream of label values ---- */

/* @mask + 1 strings of TEXT bytes, one after the other; models for a second label. */
struct stream {
    char *text;
    uint64_t mask;
    char models[N_MODELS][TEXT];
};

static struct stream *stream_new(const struct bench *b)
{
    struct stream *s = bench_alloc(1, sizeof(*s));

    s->mask = (b->smoke ? SMOKE_STREAM : N_STREAM) - 1;
    s->text = bench_alloc(s->mask + 1, TEXT);
    for (int i = 0; i < N_MODELS; i++)
        snprintf(s->models[i], TEXT, "model-%d", i);
    return s;
}

static void stream_free(struct stream *s)
{
    free(s->text);
    free(s);
}

static void put_key(struct stream *s, uint64_t at, uint32_t key)
{
    snprintf(s->text + at * TEXT, TEXT, "tenant-%07u", key % 10000000);
}

static void fill_unseen(const struct bench *b, struct stream *s)
{
    (void)b;
    for (uint64_t i = 0; i <= s->mask; i++)
        put_key(s, i, (uint32_t)i);
}

/* Sums of the weights 1, 1/2, 1/3, ... */
static double *zipf_sums(size_t n)
{
    double *sums = bench_alloc(n, sizeof(*sums)), sum = 0;

    for (size_t i = 0; i < n; i++)
        sums[i] = sum += 1 / (double)(i + 1);
    return sums;
}

/* The first rank whose sum exceeds @v. */
static uint32_t find_rank(const double *sums, size_t n, double v)
{
    size_t low = 0, high = n - 1;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (sums[middle] > v)
            high = middle;
        else
            low = middle + 1;
    }
    return (uint32_t)low;
}

static void fill_zipf_above(const struct bench *b, struct stream *s, size_t head)
{
    size_t n = bench_scale(b, N_KEYS);
    double *sums = zipf_sums(n), least = head ? sums[head - 1] : 0;
    uint64_t state = 1;

    for (uint64_t i = 0; i <= s->mask; i++)
        put_key(s, i, find_rank(sums, n, least + (sums[n - 1] - least) * bench_random_unit(&state)));
    free(sums);
}

static void fill_zipf(const struct bench *b, struct stream *s)
{
    fill_zipf_above(b, s, 0);
}

static void fill_tail(const struct bench *b, struct stream *s)
{
    fill_zipf_above(b, s, HEAD);
}

static void loop_stream(const struct bench_op *op, struct bench_lane *lane, uint64_t n)
{
    const struct stream *s = op->input;
    uint64_t at = lane->at, mask = s->mask;

    for (; n; n--) {
        const char *value = s->text + (at++ & mask) * TEXT;

        kymo_counter_family_inc(op->object, &value, 1);
    }
    lane->at = at;
}

/* Each time the stream begins anew it meets other models. */
static void loop_stream2(const struct bench_op *op, struct bench_lane *lane, uint64_t n)
{
    const struct stream *s = op->input;
    uint64_t at = lane->at, mask = s->mask;

    for (; n; n--, at++) {
        const char *values[2] = {s->models[(at + at / (mask + 1)) % N_MODELS], s->text + (at & mask) * TEXT};

        kymo_counter_family_inc(op->object, values, 2);
    }
    lane->at = at;
}

/* ---- families that the stream does not fit into ---- */

static const char *const label_names[] = {"model", "tenant"};

static void make_family(struct bench_op *op, const struct kymo_guard *guard, size_t n_labels)
{
    struct kymo_counter_family *f;

    op->registry = bench_registry();
    bench_check(kymo_counter_family_new(op->registry,
                                        KYMO_DESC(.name = "guarded_total", .help = "Counted.", .guard = guard,
                                                  .labels = label_names + 2 - n_labels, .n_labels = n_labels),
                                        &f),
                "registering a guarded family");
    op->object = f;
}

/* Series of their own up to the limit, so that nothing of a stream has one. */
static void fill_up(const struct bench_op *op, size_t n_labels)
{
    char text[TEXT];
    const char *values[2] = {"any", "any"};

    values[n_labels - 1] = text;
    for (int i = 0; i < LIMIT; i++) {
        snprintf(text, sizeof(text), "first-%d", i);
        kymo_counter_family_inc(op->object, values, n_labels);
    }
}

/* What the overflow series of a registry's only family holds. */
static int find_overflow(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    char value[TEXT];

    kymo_point_value(family, point, 0, value, sizeof(value));
    if (strcmp(value, "__other__") == 0)
        *(double *)ctx = (double)point->value.counter.whole;
    return 0;
}

static void must_overflow(const struct bench_op *op)
{
    struct kymo_registry_stats stats = {.size = sizeof(stats)};
    double value = 0;
    const struct kymo_visitor visitor = {.size = sizeof(visitor), .ctx = &value, .sample = find_overflow};

    bench_check(kymo_registry_get_stats(op->registry, &stats), "asking for the registry's statistics");
    bench_check(kymo_registry_visit(op->registry, &visitor), "looking for the overflow series");
    if (value < PREPARE_CALLS || stats.n_series > LIMIT)
        bench_die("the overflow series holds %g, and there are %zu series", value, stats.n_series);
}

static void measure_overflow(const struct bench *b, const struct bench_row *row, size_t n_labels)
{
    const struct kymo_guard guard = {.policy = KYMO_GUARD_LIMIT, .max_series = LIMIT};
    struct stream *s = stream_new(b);
    struct bench_op op = {.loop = n_labels == 2 ? loop_stream2 : loop_stream, .prepare = prepare, .input = s};
    struct bench_figures figures;

    fill_unseen(b, s);
    make_family(&op, &guard, n_labels);
    fill_up(&op, n_labels);
    bench_compare(b, &op, 1, &bench_fetch_add, 1, row->max_ratio, &figures);
    must_overflow(&op);
    bench_report(b, row, &figures);
    kymo_registry_free(op.registry);
    stream_free(s);
}

/* Through the handles of N_KNOWN series that have ended. */
static void measure_dead_handles(const struct bench *b, const struct bench_row *row)
{
    const struct kymo_guard guard = {.policy = KYMO_GUARD_LIMIT, .max_series = LIMIT, .after_end = KYMO_TO_OVERFLOW};
    struct handles *h = bench_alloc(1, sizeof(*h));
    struct bench_op op = {.loop = loop_handles, .prepare = prepare};
    struct bench_figures figures;
    char text[TEXT];
    const char *const value = text;

    make_family(&op, &guard, 1);
    for (int i = 0; i < N_KNOWN; i++) {
        snprintf(text, sizeof(text), "gone-%d", i);
        h->of[i] = kymo_counter_with(op.object, &value, 1);
        bench_check(kymo_registry_forget(op.registry, "guarded_total", &value, 1), "forgetting a series");
    }
    fill_up(&op, 1);
    op.object = h;
    bench_compare(b, &op, 1, &bench_fetch_add, 1, row->max_ratio, &figures);
    must_overflow(&op);
    bench_report(b, row, &figures);
    kymo_registry_free(op.registry);
    free(h);
}

/* ---- the heaviest ---- */

static void write_page(struct kymo_registry *reg)
{
    const struct kymo_sink sink = {.size = sizeof(sink), .write = bench_swallow};

    bench_write(reg, &sink);
}

/* The whole stream, some times over, with a scrape after each: the heaviest have their own series then. */
static void prepare_top(const struct bench_op *op, struct bench_lane *lane)
{
    const struct stream *s = op->input;

    prepare(op, lane);
    for (int round = 0; round < TOP_ROUNDS; round++) {
        op->loop(op, lane, s->mask + 1);
        write_page(op->registry);
    }
    bench_check(kymo_registry_sweep(op->registry, 0), "sweeping");
}

static const struct top {
    struct bench_row row;
    void (*fill)(const struct bench *b, struct stream *s);
} tops[] = {
    {{"topk_record_ns", "ns", "fetch_add", 0, 60}, fill_zipf},
    {{"topk_tail_ns", "ns", "fetch_add", 0, 60}, fill_tail},
};

static void measure_top(const struct bench *b, const struct top *t)
{
    const struct kymo_guard guard = {.policy = KYMO_GUARD_TOP, .max_series = LIMIT};
    struct kymo_registry_stats stats = {.size = sizeof(stats)};
    struct stream *s = stream_new(b);
    struct bench_op op = {.loop = loop_stream, .prepare = prepare_top, .input = s};
    struct bench_figures figures;

    t->fill(b, s);
    make_family(&op, &guard, 1);
    bench_compare(b, &op, 1, &bench_fetch_add, 1, t->row.max_ratio, &figures);
    bench_check(kymo_registry_get_stats(op.registry, &stats), "asking for the registry's statistics");
    if (stats.n_series < LIMIT)
        bench_die("of the heaviest %d only %zu have series of their own", LIMIT, stats.n_series);
    bench_report(b, &t->row, &figures);
    kymo_registry_free(op.registry);
    stream_free(s);
}

void bench_guards(struct bench *b)
{
    static const struct bench_row overflows[] = {{"overflow1_ns", "ns", "fetch_add", 0, 0},
                                                 {"overflow_ns", "ns", "fetch_add", 0, 40}};
    static const struct bench_row dead = {"overflow_handle_ns", "ns", "fetch_add", 0, 0};

    for (size_t i = 0; i < sizeof(knowns) / sizeof(*knowns); i++)
        if (bench_wanted(b, "guards", knowns[i].row.name))
            measure_known(b, &knowns[i]);
    for (size_t i = 0; i < 2; i++)
        if (bench_wanted(b, "guards", overflows[i].name))
            measure_overflow(b, &overflows[i], i + 1);
    if (bench_wanted(b, "guards", dead.name))
        measure_dead_handles(b, &dead);
    for (size_t i = 0; i < sizeof(tops) / sizeof(*tops); i++)
        if (bench_wanted(b, "guards", tops[i].row.name))
            measure_top(b, &tops[i]);
    bench_ends(b);
}
