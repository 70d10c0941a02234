/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/om_host.c - an OpenMetrics page with every kind on it, for programs that were not written here to read.
 *
 *     om_host           the page, to stdout
 *     om_host created   the same with start times
 *
 * Points are made by hand and given to the encoder as a registry would: what they are stands in the tables below, and,
 * in the reader's words, in test_accept_openmetrics.py.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kymo/kymo.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define START INT64_C(1600000000250000000)

struct host {
    struct kymo_format format;
    struct kymo_page page;
    char *bytes;
};

static void must(int holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "om_host: not so: %s\n", what);
    exit(1);
}

static void open_family(struct host *h, struct kymo_family *family, struct kymo_desc *desc, enum kymo_kind kind,
                        const char *name)
{
    kymo_desc_init(desc, name, "Help of \"this\" \\ and\nmore.");
    *family = (struct kymo_family){.size = sizeof(*family),
                                   .desc = desc,
                                   .kind = kind,
                                   .name = name,
                                   .name_len = strlen(name),
                                   .labels = "site=\"a \\\"b\\\"\"",
                                   .labels_len = strlen("site=\"a \\\"b\\\"\"")};
    h->page.fresh = 1;
}

static struct kymo_point point_of(const char *labels)
{
    return (struct kymo_point){
        .size = sizeof(struct kymo_point), .start_ns = START, .labels = labels, .labels_len = strlen(labels)};
}

static void put(struct host *h, const struct kymo_family *family, const struct kymo_point *point)
{
    must(h->format.encoder->sample(&h->page, family, point) == 0, "the page has room");
}

static void put_counters(struct host *h)
{
    static const char labels[] = "trace_id=\"0af7651916cd43dd\",note=\"\xc3\xa9\\n\"";
    const struct kymo_exemplar_point e = {labels, sizeof(labels) - 1, 0.5, INT64_C(1700000000123000000), 0, 0};
    struct kymo_family family;
    struct kymo_desc desc;
    open_family(h, &family, &desc, KYMO_COUNTER, "requests_total");
    struct kymo_point point = point_of("code=\"200\"");
    point.value.counter.whole = UINT64_C(9007199254740993);
    point.exemplars = &e;
    point.n_exemplars = 1;
    put(h, &family, &point);
    point = point_of("code=\"5\\\\0\\n0\"");
    point.value.counter.fraction = 0.1 + 0.2;
    put(h, &family, &point);
    open_family(h, &family, &desc, KYMO_COUNTER, "busy_seconds");
    kymo_desc_set_unit(&desc, "seconds");
    point = point_of("");
    put(h, &family, &point);
}

static void put_numbers(struct host *h)
{
    static const double values[] = {-1.5, 1e-9, 22361870, 1e300, 5e-324};
    static const enum kymo_kind kinds[] = {KYMO_GAUGE, KYMO_UNKNOWN};
    static const char *const names[] = {"depth", "reading"};
    for (size_t k = 0; k < 2; k++) {
        struct kymo_family family;
        struct kymo_desc desc;
        open_family(h, &family, &desc, kinds[k], names[k]);
        for (size_t i = 0; i < COUNT(values) + 3; i++) {
            const double odd[] = {(double)NAN, (double)INFINITY, -(double)INFINITY};
            char labels[16];
            (void)snprintf(labels, sizeof(labels), "i=\"%zu\"", i);
            struct kymo_point point = point_of(labels);
            point.value.gauge = i < COUNT(values) ? values[i] : odd[i - COUNT(values)];
            put(h, &family, &point);
        }
    }
}

static void put_histogram(struct host *h, enum kymo_kind kind, const char *name, double least, double sum)
{
    const double bounds[] = {least, 2.5, 1e6};
    static const uint64_t buckets[] = {1, 2, 0, 4};
    const struct kymo_exemplar_point e[] = {{"", 0, 2.25, 0, 1, 0},
                                            {"id=\"7\"", 6, 1e7, INT64_C(1700000000000000000), 3, 0}};
    struct kymo_family family;
    struct kymo_desc desc;
    open_family(h, &family, &desc, kind, name);
    kymo_desc_set_unit(&desc, "bytes");
    for (int i = 0; i < 2; i++) {
        struct kymo_point point = point_of(i == 0 ? "kind=\"x\"" : "");
        point.value.histogram = (struct kymo_histogram_point){7, sum, bounds, 3, buckets, NULL};
        point.exemplars = e;
        point.n_exemplars = i == 0 ? COUNT(e) : 0;
        put(h, &family, &point);
    }
}

static void put_summary(struct host *h)
{
    static const struct kymo_quantile quantiles[] = {{0, 0.25}, {0.5, 1}, {0.99, (double)NAN}, {1, 3}};
    struct kymo_family family;
    struct kymo_desc desc;
    open_family(h, &family, &desc, KYMO_SUMMARY, "wait_seconds");
    kymo_desc_set_unit(&desc, "seconds");
    struct kymo_point point = point_of("queue=\"q\"");
    point.value.summary = (struct kymo_summary_point){5, 6.5, quantiles, COUNT(quantiles)};
    put(h, &family, &point);
}

static void put_facts(struct host *h)
{
    static const char *const states[] = {"idle", "bu\"sy"};
    struct kymo_family family;
    struct kymo_desc desc;
    open_family(h, &family, &desc, KYMO_INFO, "build_info");
    struct kymo_point point = point_of("version=\"1.2\"");
    put(h, &family, &point);
    open_family(h, &family, &desc, KYMO_STATESET, "mode");
    kymo_desc_set_states(&desc, states, COUNT(states));
    point = point_of("unit=\"0\"");
    point.value.states = 2;
    put(h, &family, &point);
}

int main(int argc, char **argv)
{
    enum { BYTES = 1 << 20 };
    struct host h = {.bytes = malloc(BYTES)};
    const struct kymo_format *plain = kymo_format_find("openmetrics");
    must(plain != NULL && h.bytes != NULL, "the build has the format, and there is memory");
    h.format = *plain;
    h.format.created = argc > 1 && strcmp(argv[1], "created") == 0;
    h.page = (struct kymo_page){h.bytes, h.bytes + BYTES, &h.format, 1, NULL, 0};
    put_counters(&h);
    put_numbers(&h);
    put_histogram(&h, KYMO_HISTOGRAM, "size_bytes", 0, 12.5);
    put_histogram(&h, KYMO_HISTOGRAM, "change_bytes", -1, -3);
    put_histogram(&h, KYMO_GAUGE_HISTOGRAM, "held_bytes", 0.5, 12.5);
    put_histogram(&h, KYMO_GAUGE_HISTOGRAM, "drift_bytes", -1, -3);
    put_summary(&h);
    put_facts(&h);
    must(h.format.encoder->finish(&h.page) == 0, "the page has room for its end");
    size_t n = (size_t)(h.page.at - h.bytes);
    int good = fwrite(h.bytes, 1, n, stdout) == n && fflush(stdout) == 0;
    free(h.bytes);
    return good ? 0 : 1;
}
