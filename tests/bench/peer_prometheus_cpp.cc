// SPDX-License-Identifier: Apache-2.0
//
// peer_prometheus_cpp.cc - the same operations on prometheus-cpp, in turns with kymo's: the baseline of these rows is
// kymo's figure, so that the ratio says how many times longer the peer takes.
//
// What must hold: the peer is used as its own documentation says, with everything prepared that can be (handles, label
// strings); its inputs, series and threads are those of kymo's rows. Read first: ops.c, memory.c, stall.c.
#include "bench.h"

#include <kymo/kymo.h>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace
{

enum { n_counters = 100000, n_histograms = 10000, n_page_histograms = 1000, n_stall_series = 10000 };

const std::vector<double> bounds(bench_bounds, bench_bounds + BENCH_BOUNDS);

// ---- loops ----

void loop_counter_inc(const struct bench_op *op, struct bench_lane *, uint64_t n)
{
    auto *c = static_cast<prometheus::Counter *>(op->object);

    for (; n; n--)
        c->Increment();
}

void loop_counter_add_double(const struct bench_op *op, struct bench_lane *, uint64_t n)
{
    auto *c = static_cast<prometheus::Counter *>(op->object);

    for (; n; n--)
        c->Increment(1.5);
}

void loop_gauge_add(const struct bench_op *op, struct bench_lane *, uint64_t n)
{
    auto *g = static_cast<prometheus::Gauge *>(op->object);
    double step = 1;

    for (; n; n--) {
        g->Increment(step);
        step = -step;
    }
}

void loop_gauge_set(const struct bench_op *op, struct bench_lane *, uint64_t n)
{
    auto *g = static_cast<prometheus::Gauge *>(op->object);
    const auto *values = static_cast<const double *>(op->input);

    for (; n; n--)
        g->Set(values[n & 63]);
}

void loop_lookup2_inc(const struct bench_op *op, struct bench_lane *lane, uint64_t n)
{
    auto *f = static_cast<prometheus::Family<prometheus::Counter> *>(op->object);
    const auto *p = static_cast<const struct bench_pairs *>(op->input);
    uint64_t at = lane->at;

    for (; n; n--) {
        const char *const *v = &p->values[2 * static_cast<size_t>(p->order[at++ & p->mask])];

        f->Add({{"method", v[0]}, {"code", v[1]}}).Increment();
    }
    lane->at = at;
}

void loop_classic_observe(const struct bench_op *op, struct bench_lane *lane, uint64_t n)
{
    auto *h = static_cast<prometheus::Histogram *>(op->object);
    const auto *values = static_cast<const double *>(op->input);
    uint64_t at = lane->at;

    for (; n; n--)
        h->Observe(values[at++ & (BENCH_OBSERVATIONS - 1)]);
    lane->at = at;
}

// ---- the peer's side of each operation; its input is kymo's ----

prometheus::Family<prometheus::Counter> &counter_family(prometheus::Registry &reg)
{
    return prometheus::BuildCounter().Name("http_requests_total").Help("Requests.").Register(reg);
}

prometheus::Family<prometheus::Histogram> &histogram_family(prometheus::Registry &reg)
{
    return prometheus::BuildHistogram().Name("http_request_seconds").Help("Time of a request.").Register(reg);
}

void *make_counter(prometheus::Registry &reg)
{
    return &counter_family(reg).Add({});
}

void *make_gauge(prometheus::Registry &reg)
{
    return &prometheus::BuildGauge().Name("in_flight").Help("Requests now.").Register(reg).Add({});
}

void *make_histogram(prometheus::Registry &reg)
{
    return &histogram_family(reg).Add({}, bounds);
}

void *make_family(prometheus::Registry &reg)
{
    return &counter_family(reg);
}

const struct peer_row {
    const char *op; // kymo's name of it
    void (*loop)(const struct bench_op *op, struct bench_lane *lane, uint64_t n);
    void *(*make)(prometheus::Registry &reg);
    bool contended; // measured with several threads too
} rows[] = {
    {"counter_inc", loop_counter_inc, make_counter, true},
    {"counter_add_double", loop_counter_add_double, make_counter, true},
    {"gauge_add", loop_gauge_add, make_gauge, true},
    {"gauge_set", loop_gauge_set, make_gauge, false},
    {"lookup2_inc", loop_lookup2_inc, make_family, true},
    {"classic_observe", loop_classic_observe, make_histogram, true},
};

void report(const struct bench *b, const std::string &ours, const char *unit, const struct bench_figures &figures)
{
    const std::string name = "peer_prometheus_cpp_" + ours, base = "kymo " + ours;
    const struct bench_row row = {name.c_str(), unit, base.c_str(), 0, 0};

    bench_report(b, &row, &figures);
}

bool wanted(struct bench *b, const std::string &ours)
{
    return bench_wanted(b, "peer", ("peer_prometheus_cpp_" + ours).c_str()) != 0;
}

void measure(struct bench *b, const peer_row &row, unsigned n)
{
    const std::string name = std::string(row.op) + (n > 1 ? "_" + std::to_string(n) + "t" : "") + "_ns";
    prometheus::Registry theirs;
    struct bench_figures figures;
    struct bench_op kymo, peer;

    if (!wanted(b, name))
        return;
    struct kymo_registry *reg = bench_registry();

    bench_op_new(reg, row.op, &kymo);
    peer = kymo;
    peer.loop = row.loop;
    peer.prepare = nullptr;
    peer.object = row.make(theirs);
    bench_compare(b, &peer, n, &kymo, n, 0, &figures);
    report(b, name, "ns", figures);
    bench_op_free(&kymo);
    kymo_registry_free(reg);
}

// ---- pages ----

prometheus::Labels labels_of(const struct bench_labels &l, size_t i)
{
    prometheus::Labels labels;

    for (size_t k = 0; k < 3; k++)
        labels.emplace(bench_label_names[k], l.values[i][k]);
    return labels;
}

struct page {
    prometheus::Registry reg;
    prometheus::TextSerializer text;
    size_t lines = 0;
    uint64_t slice_ns = 0;
    uint64_t random = 1;

    void fill_counters(const struct bench_labels &l, bool whole)
    {
        auto &f = counter_family(reg);

        for (size_t i = 0; i < l.n; i++)
            f.Add(labels_of(l, i))
                .Increment(whole ? static_cast<double>(1000000 + bench_random(&random) % 9000000)
                                 : 1000 * bench_random_unit(&random));
        lines = l.n;
    }

    void fill_histograms(const struct bench_labels &l)
    {
        auto &f = histogram_family(reg);

        for (size_t i = 0; i < l.n; i++) {
            auto &h = f.Add(labels_of(l, i), bounds);

            for (int k = 0; k < 100; k++)
                h.Observe(0.001 * std::exp(11 * bench_random_unit(&random)));
        }
        lines = l.n * (BENCH_BOUNDS + 3);
    }

    static double take(void *ctx)
    {
        auto *p = static_cast<page *>(ctx);
        uint64_t start = bench_cpu_ns(), took, n = 0;

        do {
            const std::string written = p->text.Serialize(p->reg.Collect());

            if (written.empty())
                bench_die("prometheus-cpp has written an empty page");
            took = bench_cpu_ns() - start;
            n++;
        } while (took < p->slice_ns);
        return static_cast<double>(took) / static_cast<double>(n * p->lines);
    }
};

// ---- registration, memory, stalls ----

double take_registration(void *ctx)
{
    const auto *l = static_cast<const struct bench_labels *>(ctx);
    prometheus::Registry reg;
    auto &f = counter_family(reg);
    const uint64_t start = bench_cpu_ns();

    for (size_t i = 0; i < l->n; i++)
        f.Add(labels_of(*l, i));
    return static_cast<double>(bench_cpu_ns() - start) / static_cast<double>(l->n);
}

void counter_bytes(void *ctx, double *figures)
{
    const auto *l = static_cast<const struct bench_labels *>(ctx);
    prometheus::Registry reg;
    auto &f = counter_family(reg);
    const double before = static_cast<double>(bench_rss_bytes());

    for (size_t i = 0; i < l->n; i++)
        f.Add(labels_of(*l, i)).Increment();
    figures[0] = (static_cast<double>(bench_rss_bytes()) - before) / static_cast<double>(l->n);
}

void histogram_bytes(void *ctx, double *figures)
{
    const auto *l = static_cast<const struct bench_labels *>(ctx);
    prometheus::Registry reg;
    auto &f = histogram_family(reg);
    const double before = static_cast<double>(bench_rss_bytes());

    for (size_t i = 0; i < l->n; i++)
        f.Add(labels_of(*l, i), bounds).Observe(0.3);
    figures[0] = (static_cast<double>(bench_rss_bytes()) - before) / static_cast<double>(l->n);
}

double take_once(double (*take)(void *ctx), void *ctx, const struct bench *b)
{
    std::vector<double> taken;

    for (unsigned i = 0; i < b->pairs; i++)
        taken.push_back(take(ctx));
    return bench_median(taken.data(), taken.size());
}

void report_value(const struct bench *b, const std::string &ours, const char *unit, double value)
{
    const std::string name = "peer_prometheus_cpp_" + ours;
    const struct bench_row row = {name.c_str(), unit, nullptr, 0, 0};

    bench_report_value(b, &row, value);
}

void measure_page(struct bench *b, const char *name, size_t n, void (*fill)(page &p, const struct bench_labels &l))
{
    struct bench_labels labels;

    if (!wanted(b, name))
        return;
    bench_labels_init(&labels, bench_scale(b, n));
    {
        page p;

        p.slice_ns = b->slice_ns;
        fill(p, labels);
        report_value(b, name, "ns", take_once(page::take, &p, b));
    }
    bench_labels_deinit(&labels);
}

void measure_registration(struct bench *b)
{
    struct bench_labels labels;

    if (!wanted(b, "register_ns"))
        return;
    bench_labels_init(&labels, bench_scale(b, n_counters));
    report_value(b, "register_ns", "ns", take_once(take_registration, &labels, b));
    bench_labels_deinit(&labels);
}

void measure_bytes(struct bench *b, const char *name, size_t n, void (*fill)(void *ctx, double *figures))
{
    struct bench_labels labels;
    double figure = 0;

    if (!wanted(b, name))
        return;
    bench_labels_init(&labels, bench_scale(b, n));
    bench_child(fill, &labels, &figure, 1);
    report_value(b, name, "B", figure);
    bench_labels_deinit(&labels);
}

void scrape(void *ctx)
{
    auto *p = static_cast<page *>(ctx);

    p->text.Serialize(p->reg.Collect());
}

// A recorder that looks up one of the series that are scraped: here the peer's lock is met.
void measure_stall(struct bench *b)
{
    struct bench_pairs pairs;
    struct bench_op op = {};
    struct bench_figures figures;
    page p;

    if (!wanted(b, "stall_share_lookup"))
        return;
    bench_pairs_init(&pairs, n_stall_series);
    auto &f = counter_family(p.reg);

    for (size_t i = 0; i < pairs.n; i++)
        f.Add({{"method", pairs.values[2 * i]}, {"code", pairs.values[2 * i + 1]}}).Increment();
    op.loop = loop_lookup2_inc;
    op.object = &f;
    op.input = &pairs;
    bench_stalls(b, &op, scrape, &p, &figures);
    const struct bench_row row = {"peer_prometheus_cpp_stall_share_lookup", "points", "empty_call_percent", 0, 0};

    bench_report(b, &row, &figures);
    bench_pairs_deinit(&pairs);
}

} // namespace

void bench_peer(struct bench *b)
{
    measure_bytes(b, "bytes_per_counter", n_counters, counter_bytes);
    measure_bytes(b, "bytes_per_histogram", n_histograms, histogram_bytes);
    measure_registration(b);
    for (const auto &row : rows) {
        measure(b, row, 1);
        for (size_t k = 0; row.contended && k < b->n_threads; k++)
            if (b->threads[k] > 1)
                measure(b, row, b->threads[k]);
    }
    measure_page(b, "render_int_ns", n_counters,
                 [](page &p, const struct bench_labels &l) { p.fill_counters(l, true); });
    measure_page(b, "render_double_ns", n_counters,
                 [](page &p, const struct bench_labels &l) { p.fill_counters(l, false); });
    measure_page(b, "render_hist_ns", n_page_histograms,
                 [](page &p, const struct bench_labels &l) { p.fill_histograms(l); });
    measure_stall(b);
}
