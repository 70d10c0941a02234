/* SPDX-License-Identifier: Apache-2.0 */
/*
 * series.c - series with three labels: their strings, prepared before anything is timed, their families, their pages.
 *
 * What must hold: a line of such a series with a seven-digit value is about 83 bytes long, as in the figures that the
 * targets come from; all strings lie in touched memory before the first measurement.
 */
#include "bench.h"

#include <kymo/kymo.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXT = 16 };

const char *const bench_label_names[3] = {"method", "route", "endpoint"};
const struct kymo_guard bench_roomy = {.policy = KYMO_GUARD_LIMIT, .max_series = BENCH_MAX_SERIES};
const char bench_counter_name[] = "http_requests_total";
const char bench_histogram_name[] = "http_request_seconds";

void bench_labels_init(struct bench_labels *l, size_t n)
{
    static const char *const methods[] = {"GET", "PUT", "POST", "HEAD"};

    l->n = n;
    l->values = bench_alloc(n, sizeof(*l->values));
    l->text = bench_alloc(n, 3 * TEXT);
    for (size_t i = 0; i < n; i++) {
        char *text = l->text + i * 3 * TEXT;

        snprintf(text, TEXT, "%s", methods[i % 4]);
        snprintf(text + TEXT, TEXT, "/v1/r%03u", (unsigned)(i / 4 % 250));
        snprintf(text + 2 * TEXT, TEXT, "10.0.%u.%u:80", (unsigned)(i / 16000 % 256), (unsigned)(i / 1000 % 16));
        for (size_t k = 0; k < 3; k++)
            l->values[i][k] = text + k * TEXT;
    }
}

void bench_labels_deinit(struct bench_labels *l)
{
    free(l->values);
    free(l->text);
}

struct kymo_counter_family *bench_counter_family(struct kymo_registry *reg)
{
    struct kymo_counter_family *f;
    struct kymo_desc desc;

    kymo_desc_init(&desc, bench_counter_name, "Requests.");
    kymo_desc_set_labels(&desc, bench_label_names, 3);
    kymo_desc_set_guard(&desc, &bench_roomy);
    bench_check(kymo_counter_family_new(reg, &desc, &f), "registering a family of counters");
    return f;
}

struct kymo_histogram_family *bench_histogram_family(struct kymo_registry *reg)
{
    struct kymo_histogram_family *f;
    struct kymo_desc desc;

    kymo_desc_init(&desc, bench_histogram_name, "Time of a request.");
    kymo_desc_set_labels(&desc, bench_label_names, 3);
    kymo_desc_set_bounds(&desc, bench_bounds, BENCH_BOUNDS);
    kymo_desc_set_guard(&desc, &bench_roomy);
    bench_check(kymo_histogram_family_new(reg, &desc, &f), "registering a family of histograms");
    return f;
}

void bench_write(struct kymo_registry *reg, const struct kymo_sink *sink)
{
    const struct kymo_format *format = kymo_format_find("text");

    if (!format)
        bench_die("this kymo has no text encoder");
    bench_check(kymo_registry_write(reg, format, sink), "writing a page");
}

int bench_swallow(void *ctx, const char *data, size_t n)
{
    (void)ctx;
    (void)n;
    __asm__ volatile("" : : "r"(data) : "memory");
    return 0;
}
