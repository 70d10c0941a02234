/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/point_check.c - what a collector's point must be like for every format to take it.
 *
 * A server refuses a whole page for one bad point, so each is looked at where it comes in. Sources: Prometheus, "Native
 * Histograms"; OpenMetrics 1.0 on exemplars, quantiles and states.
 */
#include <math.h>
#include <string.h>

#include "base/utf8.h"
#include "core/core.h"

#define EXEMPLAR_CHARACTERS 128u /* names and values together */

/* ---- label values ---- */

static int values_check(const struct kymo__family *f, const struct kymo_point *point)
{
    if (f->n_labels == 0)
        return 0;
    if (point->values == NULL)
        return KYMO_EKIND;
    size_t total = 0;
    for (size_t i = 0; i < f->n_labels; i++) {
        if (point->values[i] == NULL)
            return KYMO_EKIND;
        size_t n = strlen(point->values[i]);
        if (n > KYMO__MAX_TEXT || (total += n) > KYMO__MAX_TEXT)
            return KYMO_ELIMIT;
        if (!kymo__utf8_valid(point->values[i], n))
            return KYMO_EUTF8;
    }
    return 0;
}

/* ---- pair text of exemplars ---- */

struct text {
    const char *at, *end;
    size_t characters; /* of names and values so far */
};

static int take(struct text *t, char c)
{
    if (t->at == t->end || *t->at != c)
        return 0;
    t->at++;
    return 1;
}

/* What stands between quotes, where only \\ \" and \n are escapes and nothing else may be one. */
static int take_quoted(struct text *t)
{
    if (!take(t, '"'))
        return 0;
    for (; t->at < t->end && *t->at != '"'; t->at++) {
        if (*t->at == '\n' || *t->at == '\0')
            return 0;
        if (*t->at == '\\' && (++t->at == t->end || strchr("\\\"n", *t->at) == NULL || *t->at == '\0'))
            return 0;
        t->characters += ((unsigned char)*t->at & 0xc0) != 0x80;
    }
    return take(t, '"');
}

/* [a-zA-Z_][a-zA-Z0-9_]*, or anything in quotes. */
static int take_name(struct text *t)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    const char *start = t->at;
    if (t->at < t->end && *t->at == '"')
        return take_quoted(t) && t->at - start > 2;
    while (t->at < t->end && *t->at != '\0' && strchr(letters, *t->at) != NULL)
        t->at++;
    t->characters += (size_t)(t->at - start);
    return t->at != start && !(*start >= '0' && *start <= '9');
}

static int pairs_check(const char *labels, size_t n)
{
    struct text t = {labels, labels + n, 0};
    if (n == 0)
        return 0;
    if (labels == NULL)
        return KYMO_EINVAL;
    if (!kymo__utf8_valid(labels, n))
        return KYMO_EUTF8;
    do {
        if (!take_name(&t) || !take(&t, '=') || !take_quoted(&t))
            return KYMO_ELABEL;
    } while (take(&t, ','));
    if (t.at != t.end)
        return KYMO_ELABEL;
    return t.characters <= EXEMPLAR_CHARACTERS ? 0 : KYMO_ELIMIT;
}

/* ---- exemplars ---- */

/* By ascending bucket, at most one in each of @n_buckets. */
static int exemplars_check(const struct kymo_point *point, size_t n_buckets)
{
    const struct kymo_exemplar_point *e = point->exemplars;
    int r = point->n_exemplars != 0 && e == NULL ? KYMO_EINVAL : 0;
    if (r == 0 && point->n_exemplars > n_buckets)
        r = KYMO_EKIND;
    for (size_t i = 0; i < point->n_exemplars && r == 0; i++) {
        if (e[i].bucket >= n_buckets || (i > 0 && e[i].bucket <= e[i - 1].bucket))
            return KYMO_EBUCKETS;
        r = pairs_check(e[i].labels, e[i].labels_len);
    }
    return r;
}

/* By ascending value. */
static int native_exemplars_check(const struct kymo_native_point *native)
{
    const struct kymo_exemplar_point *e = native->exemplars;
    int r = native->n_exemplars != 0 && e == NULL ? KYMO_EINVAL : 0;
    for (size_t i = 0; i < native->n_exemplars && r == 0; i++) {
        if (i > 0 && e[i].value < e[i - 1].value)
            return KYMO_EBUCKETS;
        r = pairs_check(e[i].labels, e[i].labels_len);
    }
    return r;
}

/* ---- histograms ---- */

/* Adds counts up; 0 if there are too many for a number. */
static int add_count(uint64_t *sum, uint64_t n)
{
    *sum += n;
    return *sum >= n;
}

/* One side: the bucket of 5e-324 is the lowest, the one above that of DBL_MAX is for infinity and the highest. */
static int side_check(const struct kymo_native_point *native, const int32_t *index, const uint64_t *count, size_t n,
                      uint64_t *sum)
{
    int up = native->schema > 0 ? native->schema : 0, down = native->schema < 0 ? -native->schema : 0;
    int32_t lowest = -((1074 << up) >> down), highest = ((1024 << up) >> down) + 1;
    if (n != 0 && (index == NULL || count == NULL))
        return 0;
    for (size_t i = 0; i < n; i++)
        if (index[i] < lowest || index[i] > highest || (i > 0 && index[i] <= index[i - 1]) || count[i] == 0 ||
            !add_count(sum, count[i]))
            return 0;
    return 1;
}

static int native_check(const struct kymo_histogram_point *h)
{
    const struct kymo_native_point *native = h->native;
    uint64_t count = native->zero_count;
    if (native->schema < -4 || native->schema > 8)
        return KYMO_EBUCKETS;
    if (!(native->zero_threshold >= 0) || !isfinite(native->zero_threshold))
        return KYMO_EBUCKETS;
    if (!side_check(native, native->positive_index, native->positive_count, native->n_positive, &count) ||
        !side_check(native, native->negative_index, native->negative_count, native->n_negative, &count))
        return KYMO_EBUCKETS;
    /* NaN was observed where the sum is NaN: it is in the count and in no bucket. */
    if (isnan(h->sum) ? count > h->count : count != h->count)
        return KYMO_EBUCKETS;
    return native_exemplars_check(native);
}

static int classic_check(const struct kymo_histogram_point *h)
{
    uint64_t count = 0;
    if (h->native != NULL && h->n_bounds == 0 && h->buckets == NULL)
        return 0;
    if ((h->bounds == NULL && (h->n_bounds != 0 || h->native == NULL)) || h->buckets == NULL ||
        h->n_bounds > KYMO__MAX_BOUNDS)
        return KYMO_EBUCKETS;
    for (size_t i = 0; i < h->n_bounds; i++)
        if (!isfinite(h->bounds[i]) || (i > 0 && !(h->bounds[i] > h->bounds[i - 1])))
            return KYMO_EBUCKETS;
    for (size_t i = 0; i <= h->n_bounds; i++)
        if (!add_count(&count, h->buckets[i]))
            return KYMO_EBUCKETS;
    return count == h->count ? 0 : KYMO_EBUCKETS;
}

static int histogram_check(const struct kymo_point *point)
{
    const struct kymo_histogram_point *h = &point->value.histogram;
    int r = classic_check(h);
    if (r == 0 && h->native != NULL)
        r = native_check(h);
    return r != 0 ? r : exemplars_check(point, h->n_bounds + 1);
}

/* ---- the other kinds ---- */

static int summary_check(const struct kymo_summary_point *s)
{
    if (s->n_quantiles != 0 && s->quantiles == NULL)
        return KYMO_EINVAL;
    for (size_t i = 0; i < s->n_quantiles; i++) {
        double q = s->quantiles[i].quantile;
        if (!(q >= 0 && q <= 1) || (i > 0 && !(q > s->quantiles[i - 1].quantile)))
            return KYMO_EBUCKETS;
    }
    return 0;
}

static int states_check(uint64_t states, size_t n)
{
    return n >= 64 || states >> n == 0 ? 0 : KYMO_EKIND;
}

static int value_check(const struct kymo__family *f, const struct kymo_point *point)
{
    switch (f->info.kind) {
    case KYMO_HISTOGRAM:
    case KYMO_GAUGE_HISTOGRAM:
        return histogram_check(point);
    case KYMO_COUNTER:
        return exemplars_check(point, 1);
    case KYMO_SUMMARY:
        return point->n_exemplars != 0 ? KYMO_EKIND : summary_check(&point->value.summary);
    case KYMO_STATESET:
        return point->n_exemplars != 0 ? KYMO_EKIND : states_check(point->value.states, f->desc.n_states);
    case KYMO_GAUGE:
    case KYMO_INFO:
    case KYMO_UNKNOWN:
        break;
    }
    return point->n_exemplars != 0 ? KYMO_EKIND : 0;
}

int kymo__point_check(const struct kymo__family *f, const struct kymo_point *point)
{
    int r = values_check(f, point);
    return r != 0 ? r : value_check(f, point);
}
