/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/formats_json.c - what a registry holds, as kymo_registry_visit() tells it: no encoder has a part in it.
 *
 * Numbers are strings, since JSON's have no NaN and readers round its integers: doubles by 17 digits, the rest exact.
 * A family is {"name","kind","help","unit","states","points"}, a point {"labels","start_ns","exemplars"} and, by kind,
 * "value", "whole" and "fraction", "states", "count" and "sum", "quantiles", "bounds" and "buckets", "native". The
 * labels of an exemplar stand there as the one text that a visitor gets.
 */
#include "formats_host.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const char *const kind_words[] = {
    [KYMO_COUNTER] = "counter",     [KYMO_GAUGE] = "gauge",
    [KYMO_HISTOGRAM] = "histogram", [KYMO_INFO] = "info",
    [KYMO_STATESET] = "stateset",   [KYMO_SUMMARY] = "summary",
    [KYMO_UNKNOWN] = "unknown",     [KYMO_GAUGE_HISTOGRAM] = "gaugehistogram",
};

/* ---- values ---- */

void formats_double_write(FILE *f, double v)
{
    char text[40];
    (void)snprintf(text, sizeof(text), "%.17g", v);
    host_json_string(f, isnan(v) ? "nan" : isinf(v) ? (v < 0 ? "-inf" : "inf") : text);
}

static void put_double(FILE *f, const char *key, double v)
{
    fprintf(f, ",\"%s\":", key);
    formats_double_write(f, v);
}

static void put_whole(FILE *f, const char *key, uint64_t v)
{
    fprintf(f, ",\"%s\":\"%" PRIu64 "\"", key, v);
}

static const char *comma(size_t i)
{
    return i == 0 ? "" : ",";
}

/* ---- what points have in common ---- */

static void put_labels(FILE *f, const struct kymo_family *family, const struct kymo_point *point)
{
    fputs("\"labels\":[", f);
    for (size_t i = 0; i < family->desc->n_labels; i++) {
        size_t n = kymo_point_value(family, point, i, NULL, 0);
        char *value = malloc(n + 1);
        MUST(value != NULL && kymo_point_value(family, point, i, value, n + 1) == n);
        fprintf(f, "%s[", comma(i));
        host_json_string(f, family->desc->labels[i]);
        fputc(',', f);
        host_json_string(f, value);
        fputc(']', f);
        free(value);
    }
    fputc(']', f);
}

static void put_exemplar(FILE *f, const struct kymo_exemplar_point *e)
{
    char *labels = malloc(e->labels_len + 1);
    MUST(labels != NULL);
    memcpy(labels, e->labels, e->labels_len);
    labels[e->labels_len] = '\0';
    fputs("{\"labels\":", f);
    host_json_string(f, labels);
    put_double(f, "value", e->value);
    fprintf(f, ",\"timestamp_ns\":\"%" PRId64 "\",\"bucket\":%" PRIu32 "}", e->timestamp_ns, e->bucket);
    free(labels);
}

static void put_exemplars(FILE *f, const struct kymo_exemplar_point *exemplars, size_t n)
{
    fputs(",\"exemplars\":[", f);
    for (size_t i = 0; i < n; i++) {
        fputs(comma(i), f);
        put_exemplar(f, &exemplars[i]);
    }
    fputc(']', f);
}

/* ---- histograms ---- */

static void put_side(FILE *f, const char *key, const int32_t *index, const uint64_t *count, size_t n)
{
    fprintf(f, ",\"%s\":[", key);
    for (size_t i = 0; i < n; i++)
        fprintf(f, "%s[%" PRId32 ",\"%" PRIu64 "\"]", comma(i), index[i], count[i]);
    fputc(']', f);
}

static void put_native(FILE *f, const struct kymo_native_point *native)
{
    fprintf(f, ",\"native\":{\"schema\":%" PRId32, native->schema);
    put_double(f, "zero_threshold", native->zero_threshold);
    put_whole(f, "zero_count", native->zero_count);
    put_side(f, "positive", native->positive_index, native->positive_count, native->n_positive);
    put_side(f, "negative", native->negative_index, native->negative_count, native->n_negative);
    put_exemplars(f, native->exemplars, native->n_exemplars);
    fputc('}', f);
}

static void put_histogram(FILE *f, const struct kymo_histogram_point *h)
{
    put_whole(f, "count", h->count);
    put_double(f, "sum", h->sum);
    fputs(",\"bounds\":[", f);
    for (size_t i = 0; i < h->n_bounds; i++) {
        fputs(comma(i), f);
        formats_double_write(f, h->bounds[i]);
    }
    fputs("],\"buckets\":[", f);
    for (size_t i = 0; h->buckets != NULL && i <= h->n_bounds; i++)
        fprintf(f, "%s\"%" PRIu64 "\"", comma(i), h->buckets[i]);
    fputc(']', f);
    if (h->native != NULL)
        put_native(f, h->native);
}

/* ---- points and families ---- */

static void put_summary(FILE *f, const struct kymo_summary_point *s)
{
    put_whole(f, "count", s->count);
    put_double(f, "sum", s->sum);
    fputs(",\"quantiles\":[", f);
    for (size_t i = 0; i < s->n_quantiles; i++) {
        fprintf(f, "%s[", comma(i));
        formats_double_write(f, s->quantiles[i].quantile);
        fputc(',', f);
        formats_double_write(f, s->quantiles[i].value);
        fputc(']', f);
    }
    fputc(']', f);
}

static void put_value(FILE *f, const struct kymo_family *family, const struct kymo_point *point)
{
    switch (family->kind) {
    case KYMO_COUNTER:
        put_whole(f, "whole", point->value.counter.whole);
        put_double(f, "fraction", point->value.counter.fraction);
        break;
    case KYMO_GAUGE:
    case KYMO_UNKNOWN:
        put_double(f, "value", point->value.gauge);
        break;
    case KYMO_HISTOGRAM:
    case KYMO_GAUGE_HISTOGRAM:
        put_histogram(f, &point->value.histogram);
        break;
    case KYMO_SUMMARY:
        put_summary(f, &point->value.summary);
        break;
    case KYMO_STATESET:
        put_whole(f, "states", point->value.states);
        break;
    case KYMO_INFO:
        break;
    }
}

struct writing {
    FILE *f;
    size_t n_families;
    size_t n_points;
};

static int family_begins(void *ctx, const struct kymo_family *family)
{
    struct writing *w = ctx;
    fprintf(w->f, "%s\n{\"name\":", comma(w->n_families++));
    host_json_string(w->f, family->name);
    fprintf(w->f, ",\"kind\":\"%s\",\"help\":", kind_words[family->kind]);
    host_json_string(w->f, family->desc->help);
    fputs(",\"unit\":", w->f);
    host_json_string(w->f, family->desc->unit != NULL ? family->desc->unit : "");
    fputs(",\"states\":[", w->f);
    for (size_t i = 0; i < family->desc->n_states; i++) {
        fputs(comma(i), w->f);
        host_json_string(w->f, family->desc->states[i]);
    }
    fputs("],\"points\":[", w->f);
    w->n_points = 0;
    return 0;
}

static int point_comes(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    struct writing *w = ctx;
    fprintf(w->f, "%s\n  {", comma(w->n_points++));
    put_labels(w->f, family, point);
    fprintf(w->f, ",\"start_ns\":\"%" PRId64 "\"", point->start_ns);
    put_exemplars(w->f, point->exemplars, point->n_exemplars);
    put_value(w->f, family, point);
    fputc('}', w->f);
    return 0;
}

static int family_ends(void *ctx, const struct kymo_family *family)
{
    struct writing *w = ctx;
    (void)family;
    fputs("]}", w->f);
    return 0;
}

void formats_families_write(FILE *f, struct kymo_registry *reg)
{
    struct writing w = {f, 0, 0};
    const struct kymo_visitor visitor = {sizeof(visitor), &w, family_begins, point_comes, family_ends};
    fputc('[', f);
    MUST(kymo_registry_visit(reg, &visitor) == 0);
    fputc(']', f);
}
