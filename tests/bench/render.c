/* SPDX-License-Identifier: Apache-2.0 */
/*
 * render.c - the rows of writing pages: ns per sample (that is, per line), and what a scrape takes of memory.
 *
 * What must hold: two threads have recorded into every series, so that two shards are summed; the page is compared with
 * the bare loop's before either is timed; both go to the same sink in chunks of at most 64 KiB. Read first: bare.h.
 */
#include "bare.h"

#include <kymo/kymo.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_COUNTERS = 100000, N_HISTOGRAMS = 1000, OBSERVATIONS = 50, RSS_EVERY = 8 };

/* What the registry has asked of its allocator. Atomic: several threads register. */
struct account {
    size_t now;
    size_t peak;
};

struct page;

/* What tells the four pages apart. */
struct page_kind {
    struct bench_row row;
    const char *name; /* of the family */
    size_t n;
    size_t lines; /* per series */
    void (*make)(struct page *p);
    /* Round 0 asks for what the thread needs, round 1 finds it. */
    void (*record)(struct page *p, size_t i, int round, uint64_t *random);
    void (*fill)(struct page *p);
    const char *format; /* NULL: text */
};

struct page {
    const struct page_kind *kind;
    struct kymo_registry *reg;
    struct account account;
    struct bench_labels labels;
    void *family;
    void **handles;
    double *expected; /* counters: the total; histograms: the number of observations */
    unsigned n_recorders;
    struct bare bare;
    uint64_t slice_ns;
};

/* ---- the allocator of these registries ---- */

static void *counted_alloc(void *ctx, size_t bytes)
{
    struct account *a = ctx;
    size_t now = __atomic_add_fetch(&a->now, bytes, __ATOMIC_RELAXED), peak = a->peak;

    while (now > peak && !__atomic_compare_exchange_n(&a->peak, &peak, now, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        continue;
    return malloc(bytes);
}

static void counted_free(void *ctx, void *ptr, size_t bytes)
{
    struct account *a = ctx;

    __atomic_sub_fetch(&a->now, bytes, __ATOMIC_RELAXED);
    free(ptr);
}

static struct kymo_registry *counted_registry(struct account *account)
{
    const struct kymo_allocator allocator = {sizeof(allocator), account, counted_alloc, counted_free};
    const struct kymo_registry_options options = {
        .size = sizeof(options), .allocator = &allocator, .no_self_metrics = 1, .max_series = BENCH_MAX_SERIES};
    struct kymo_registry *reg;

    bench_check(kymo_registry_new(&options, &reg), "making a registry");
    return reg;
}

/* ---- counters ---- */

static void make_counters(struct page *p)
{
    p->family = bench_counter_family(p->reg);
}

static struct kymo_counter *counter_at(struct page *p, size_t i, int round)
{
    if (round == 0)
        p->handles[i] = kymo_counter_with(p->family, p->labels.values[i], 3);
    return p->handles[i];
}

static void record_whole(struct page *p, size_t i, int round, uint64_t *random)
{
    uint64_t amount = round == 0 ? 1 : 500000 + bench_random(random) % 4500000; /* seven digits in all */

    kymo_counter_add_int(counter_at(p, i, round), amount);
    p->expected[i] += (double)amount;
}

static void record_real(struct page *p, size_t i, int round, uint64_t *random)
{
    double amount = round == 0 ? 0.5 : 1000 * bench_random_unit(random);

    kymo_counter_add(counter_at(p, i, round), amount);
    p->expected[i] += amount;
}

/* The order of additions is kymo's own, so that a real total may differ from ours in its last digits. */
static double counter_total(const struct page *p, size_t i)
{
    double total = kymo_counter_value(p->handles[i]);

    if (!(fabs(total - p->expected[i]) <= 1e-12 * p->expected[i]))
        bench_die("%s: series %zu holds %.17g instead of %.17g", p->kind->name, i, total, p->expected[i]);
    return total;
}

static void fill_whole(struct page *p)
{
    bare_init_counters(&p->bare, p->kind->name, &p->labels, 1);
    for (size_t i = 0; i < p->labels.n; i++)
        p->bare.whole[i] = (uint64_t)counter_total(p, i);
}

static void fill_real(struct page *p)
{
    bare_init_counters(&p->bare, p->kind->name, &p->labels, 0);
    for (size_t i = 0; i < p->labels.n; i++)
        p->bare.real[i] = counter_total(p, i);
}

/* ---- counters in protobuf ---- */

struct starts {
    int64_t *ns;
    size_t n;
};

static int note_start(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    struct starts *s = ctx;

    (void)family;
    s->ns[s->n++] = point->start_ns;
    return 0;
}

static void fill_protobuf(struct page *p)
{
    struct starts starts = {bench_alloc(p->labels.n, sizeof(*starts.ns)), 0};
    const struct kymo_visitor visitor = {sizeof(visitor), &starts, NULL, note_start, NULL};

    bench_check(kymo_registry_visit(p->reg, &visitor), "visiting a registry");
    if (starts.n != p->labels.n)
        bench_die("%s: %zu series were seen instead of %zu", p->kind->name, starts.n, p->labels.n);
    bare_init_protobuf(&p->bare, &p->labels, starts.ns);
    free(starts.ns);
    for (size_t i = 0; i < p->labels.n; i++)
        p->bare.real[i] = counter_total(p, i);
}

/* ---- histograms ---- */

static void make_histograms(struct page *p)
{
    p->family = bench_histogram_family(p->reg);
}

static void record_histogram(struct page *p, size_t i, int round, uint64_t *random)
{
    if (round == 0)
        p->handles[i] = kymo_histogram_with(p->family, p->labels.values[i], 3);
    for (int k = 0; k < (round == 0 ? 1 : OBSERVATIONS); k++) {
        kymo_histogram_observe(p->handles[i], 0.001 * exp(11 * bench_random_unit(random)));
        p->expected[i]++;
    }
}

static void fill_histograms(struct page *p)
{
    bare_init_histograms(&p->bare, p->kind->name, &p->labels);
    for (size_t i = 0; i < p->labels.n; i++) {
        struct bare_histogram *h = &p->bare.histograms[i];
        uint64_t count = kymo_histogram_value(p->handles[i], &h->sum, h->buckets, BARE_BUCKETS);

        if ((double)count != p->expected[i])
            bench_die("%s: series %zu holds %.0f observations instead of %.0f", p->kind->name, i, (double)count,
                      p->expected[i]);
    }
}

/* ---- making a page ---- */

static void record_all(struct page *p)
{
    uint64_t random = ++p->n_recorders;

    bench_check(kymo_thread_attach(p->reg), "attaching a thread");
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < p->labels.n; i++)
            p->kind->record(p, i, round, &random);
        bench_check(kymo_registry_sweep(p->reg, 0), "sweeping");
    }
}

static void *record_second(void *arg)
{
    record_all(arg);
    return NULL;
}

/* The first thread outlives the second: had it ended, the second would have taken over its shard. */
static void *record_first(void *arg)
{
    record_all(arg);
    bench_run_thread(record_second, arg);
    return NULL;
}

static void page_init(struct page *p, const struct page_kind *kind, size_t n)
{
    struct kymo_registry_stats stats = {.size = sizeof(stats)};

    *p = (struct page){.kind = kind};
    p->reg = counted_registry(&p->account);
    bench_labels_init(&p->labels, n);
    p->handles = bench_alloc(n, sizeof(*p->handles));
    p->expected = bench_alloc(n, sizeof(*p->expected));
    kind->make(p);
    bench_run_thread(record_first, p);
    bench_check(kymo_registry_get_stats(p->reg, &stats), "asking for the registry's statistics");
    if (stats.n_shards < 2)
        bench_die("%s: there are %zu shards, two were to be summed", kind->name, stats.n_shards);
}

static void page_deinit(struct page *p)
{
    kymo_registry_free(p->reg);
    bench_labels_deinit(&p->labels);
    free(p->handles);
    free(p->expected);
    bare_deinit(&p->bare);
}

/* ---- comparing the two pages ---- */

struct text {
    char *at;
    size_t n;
    size_t cap;
};

static int append(void *ctx, const char *data, size_t n)
{
    struct text *t = ctx;

    if (t->n + n > t->cap) {
        t->cap = 2 * (t->n + n);
        t->at = realloc(t->at, t->cap);
        if (!t->at)
            bench_die("out of memory for a page of %zu bytes", t->cap);
    }
    memcpy(t->at + t->n, data, n);
    t->n += n;
    return 0;
}

/* Length of the line at @at with its newline. */
static size_t line_len(const char *at, const char *end)
{
    const char *newline = memchr(at, '\n', (size_t)(end - at));

    return newline ? (size_t)(newline + 1 - at) : (size_t)(end - at);
}

static void drop_comments(struct text *t)
{
    char *from = t->at, *to = t->at, *end = t->at + t->n;

    while (from < end) {
        size_t n = line_len(from, end);

        if (*from != '#') {
            memmove(to, from, n);
            to += n;
        }
        from += n;
    }
    t->n = (size_t)(to - t->at);
}

static void compare_lines(const struct page *p, const struct text *ours, const struct text *bare)
{
    const char *a = ours->at, *b = bare->at, *a_end = a + ours->n, *b_end = b + bare->n;
    size_t lines = 0;

    for (; a < a_end && b < b_end; lines++) {
        size_t n = line_len(a, a_end), m = line_len(b, b_end);

        if (n != m || memcmp(a, b, n) != 0)
            bench_die("%s: line %zu is\n%.*sbut the bare loop writes\n%.*s", p->kind->name, lines + 1, (int)n, a,
                      (int)m, b);
        a += n;
        b += m;
    }
    if (a < a_end || b < b_end || lines != p->labels.n * p->kind->lines)
        bench_die("%s: %zu lines agree, %zu should", p->kind->name, lines, p->labels.n * p->kind->lines);
}

static uint64_t take_varint(const char **at)
{
    uint64_t v = 0;

    for (int shift = 0;; shift += 7) {
        unsigned char byte = (unsigned char)*(*at)++;

        v |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return v;
    }
}

/* Keeps of each family's message only its metrics, which are field 4. */
static void drop_headers(struct text *t)
{
    const char *from = t->at, *end = t->at + t->n;
    char *to = t->at;

    while (from < end) {
        size_t n = take_varint(&from);

        for (const char *message_end = from + n; from < message_end;) {
            const char *field = from;
            uint64_t tag = take_varint(&from), v = take_varint(&from);

            if ((tag & 7) == 2)
                from += v;
            if (tag >> 3 == 4) {
                memmove(to, field, (size_t)(from - field));
                to += from - field;
            }
        }
    }
    t->n = (size_t)(to - t->at);
}

static void compare_metrics(const struct page *p, const struct text *ours, const struct text *bare)
{
    size_t n = 0;

    while (n < ours->n && n < bare->n && ours->at[n] == bare->at[n])
        n++;
    if (n < ours->n || n < bare->n)
        bench_die("%s: the metrics have %zu bytes, the bare loop's %zu, and byte %zu differs", p->kind->row.name,
                  ours->n, bare->n, n);
}

static void write_kymo(const struct page *p, const struct kymo_sink *sink)
{
    if (!p->kind->format)
        bench_write(p->reg, sink);
    else
        bench_check(kymo_registry_write(p->reg, kymo_format_find(p->kind->format), sink), "writing a page");
}

static void compare_pages(struct page *p)
{
    struct text ours = {0}, bare = {0};
    const struct kymo_sink our_sink = {sizeof(our_sink), &ours, append};
    const struct kymo_sink bare_sink = {sizeof(bare_sink), &bare, append};

    write_kymo(p, &our_sink);
    bare_write(&p->bare, &bare_sink);
    if (p->kind->format) {
        drop_headers(&ours);
        compare_metrics(p, &ours, &bare);
    } else {
        drop_comments(&ours);
        compare_lines(p, &ours, &bare);
    }
    free(ours.at);
    free(bare.at);
}

/* ---- timing them ---- */

static void write_bare(const struct page *p, const struct kymo_sink *sink)
{
    bare_write(&p->bare, sink);
}

/* Repeated until a slice is full, as short pages would be lost in the noise. In CPU time: nothing here waits. */
static double time_pages(const struct page *p, void (*write_page)(const struct page *p, const struct kymo_sink *sink))
{
    const struct kymo_sink sink = {.size = sizeof(sink), .write = bench_swallow};
    uint64_t start = bench_cpu_ns(), took, n = 0;

    do {
        write_page(p, &sink);
        took = bench_cpu_ns() - start;
        n++;
    } while (took < p->slice_ns);
    return (double)took / (double)(n * p->labels.n * p->kind->lines);
}

static double take_kymo(void *ctx)
{
    return time_pages(ctx, write_kymo);
}

static double take_bare(void *ctx)
{
    return time_pages(ctx, write_bare);
}

static void measure(const struct bench *b, const struct page_kind *kind)
{
    struct page page;
    const struct bench_probe subject = {take_kymo, &page}, baseline = {take_bare, &page};
    struct bench_figures figures;

    page_init(&page, kind, bench_scale(b, kind->n));
    kind->fill(&page);
    page.slice_ns = b->slice_ns;
    compare_pages(&page);
    bench_alternate(b, &subject, &baseline, kind->row.max_ratio, &figures);
    bench_report(b, &kind->row, &figures);
    page_deinit(&page);
}

static const struct page_kind kinds[] = {
    {{"render_int_ns", "ns", "bare_loop", 2.7, 20},
     bench_counter_name,
     N_COUNTERS,
     1,
     make_counters,
     record_whole,
     fill_whole,
     NULL},
    {{"render_double_ns", "ns", "bare_loop", 1.6, 55},
     bench_counter_name,
     N_COUNTERS,
     1,
     make_counters,
     record_real,
     fill_real,
     NULL},
    {{"render_hist_ns", "ns", "bare_loop", 2.3, 22},
     bench_histogram_name,
     N_HISTOGRAMS,
     BENCH_BOUNDS + 3,
     make_histograms,
     record_histogram,
     fill_histograms,
     NULL},
    {{"render_proto_ns", "ns", "bare_loop", 0, 25},
     bench_counter_name,
     N_COUNTERS,
     1,
     make_counters,
     record_whole,
     fill_protobuf,
     "protobuf"},
};

/* ---- OpenMetrics beside text: the same counters, the same lines but for comments ---- */

static void write_openmetrics(const struct page *p, const struct kymo_sink *sink)
{
    bench_check(kymo_registry_write(p->reg, kymo_format_find("openmetrics"), sink), "writing an OpenMetrics page");
}

static double take_openmetrics(void *ctx)
{
    return time_pages(ctx, write_openmetrics);
}

static void compare_openmetrics(struct page *p)
{
    struct text ours = {0}, bare = {0};
    const struct kymo_sink our_sink = {sizeof(our_sink), &ours, append};
    const struct kymo_sink bare_sink = {sizeof(bare_sink), &bare, append};

    write_openmetrics(p, &our_sink);
    bare_write(&p->bare, &bare_sink);
    drop_comments(&ours);
    compare_lines(p, &ours, &bare);
    free(ours.at);
    free(bare.at);
}

static void measure_openmetrics(struct bench *b)
{
    const struct bench_row row = {"render_om_ns", "ns", "text_page", 1.2, 0};
    struct page page;
    const struct bench_probe subject = {take_openmetrics, &page}, baseline = {take_kymo, &page};
    struct bench_figures figures;

    if (!bench_wanted(b, "render", row.name))
        return;
    page_init(&page, &kinds[0], bench_scale(b, kinds[0].n));
    fill_whole(&page);
    page.slice_ns = b->slice_ns;
    compare_pages(&page);
    compare_openmetrics(&page);
    bench_alternate(b, &subject, &baseline, row.max_ratio, &figures);
    bench_report(b, &row, &figures);
    page_deinit(&page);
}

/* ---- what a scrape takes ---- */

struct watch {
    size_t chunks;
    size_t most;
};

static int watch_memory(void *ctx, const char *data, size_t n)
{
    struct watch *w = ctx;
    size_t rss;

    bench_swallow(NULL, data, n);
    if (w->chunks++ % RSS_EVERY == 0 && (rss = bench_rss_bytes()) > w->most)
        w->most = rss;
    return 0;
}

static void scrape_watched(struct page *p, struct watch *w)
{
    const struct kymo_sink sink = {sizeof(sink), w, watch_memory};

    bench_write(p->reg, &sink);
}

/* Figures: heap at its highest above before, resident memory likewise. */
static void scrape_bytes(void *ctx, double *figures)
{
    const size_t *n = ctx;
    struct page small, page;
    struct watch watch = {0, 0};
    size_t heap, rss;

    page_init(&small, &kinds[0], 1);
    page_init(&page, &kinds[0], *n);
    scrape_watched(&small, &watch); /* the code it runs through is resident now */
    watch = (struct watch){0, 0};
    heap = page.account.now;
    page.account.peak = heap;
    rss = bench_rss_bytes();
    scrape_watched(&page, &watch);
    figures[0] = (double)(page.account.peak - heap);
    figures[1] = watch.most > rss ? (double)(watch.most - rss) : 0;
}

static void measure_scrape_bytes(struct bench *b)
{
    const struct bench_row row = {.name = "scrape_extra_bytes", .unit = "B", .max_value = 131072};
    size_t n = bench_scale(b, N_COUNTERS);
    double figures[2];

    if (!bench_wanted(b, "render", row.name))
        return;
    bench_child(scrape_bytes, &n, figures, 2);
    bench_report_value(b, &row, fmax(figures[0], figures[1]));
}

void bench_render(struct bench *b)
{
    measure_scrape_bytes(b);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
        if (bench_wanted(b, "render", kinds[i].row.name))
            measure(b, &kinds[i]);
    measure_openmetrics(b);
}
