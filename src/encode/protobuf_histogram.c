/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode/protobuf_histogram.c - histograms, with classic and native buckets, and summaries, as fields of a metric.
 *
 * Native buckets are runs of neighbours, spans, and the differences from one count to the next. Source: Prometheus,
 * "Native Histograms".
 */
#include "encode/protobuf.h"

#include <math.h>

/* ---- how much room ---- */

static uint64_t bits_of(const uint64_t *counts, size_t n)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < n; i++)
        bits |= counts[i];
    return bits;
}

/* An index is at most a span of its own, 14 bytes, and three buckets, two of them empty. */
static size_t native_room(const struct kymo_native_point *native)
{
    uint64_t bits =
        bits_of(native->positive_count, native->n_positive) | bits_of(native->negative_count, native->n_negative);
    size_t delta = bits >> 62 != 0 ? KYMO__VARINT_MAX : kymo__varint_size(2 * bits);
    return (native->n_positive + native->n_negative) * (14 + 3 * delta) + KYMO__PB_REST +
           kymo__pb_exemplars_room(native->exemplars, native->n_exemplars);
}

size_t kymo__pb_histogram_room(const struct kymo_histogram_point *h)
{
    return 24 * h->n_bounds + (h->native != NULL ? native_room(h->native) : 0);
}

/* ---- classic buckets ---- */

static char *put_bucket(char *at, const struct kymo_page *page, uint64_t count, double bound,
                        const struct kymo_exemplar_point *exemplar)
{
    at = kymo__put_tag(at, 3, KYMO__WIRE_BYTES);
    char *length = at++;
    at = kymo__put_uint_field(at, 1, count);
    at = kymo__put_double_field(at, 2, bound);
    if (exemplar != NULL)
        at = kymo__pb_put_exemplar(at, page, 3, exemplar);
    return kymo__nested_close(length, 1, at);
}

/* The bucket above all bounds goes without saying, unless it has an exemplar to carry. */
static char *put_buckets(char *at, const struct kymo_page *page, const struct kymo_point *point, uint64_t total)
{
    const struct kymo_histogram_point *h = &point->value.histogram;
    const struct kymo_exemplar_point *exemplars = point->exemplars;
    size_t e = 0, n_exemplars = point->n_exemplars;
    uint64_t n = 0;
    for (size_t i = 0; i < h->n_bounds; i++) {
        n += h->buckets[i];
        while (e < n_exemplars && exemplars[e].bucket < i)
            e++;
        int has_one = e < n_exemplars && exemplars[e].bucket == i;
        at = put_bucket(at, page, n, h->bounds[i], has_one ? &exemplars[e] : NULL);
    }
    if (n_exemplars > 0 && exemplars[n_exemplars - 1].bucket >= h->n_bounds)
        at = put_bucket(at, page, total, INFINITY, &exemplars[n_exemplars - 1]);
    return at;
}

/* ---- native buckets ---- */

/* So many empty buckets are written as such: a span of its own would take more. */
#define BRIDGED 2

static inline int64_t gap_before(const int32_t *index, size_t i)
{
    return (int64_t)index[i] - index[i - 1] - 1;
}

static char *put_span(char *at, uint32_t field, int64_t offset, int64_t length)
{
    at = kymo__put_tag(at, field, KYMO__WIRE_BYTES);
    char *bytes = at++;
    if (offset != 0)
        at = kymo__put_uint_field(at, 1, kymo__zigzag(offset));
    at = kymo__put_uint_field(at, 2, (uint64_t)length);
    *bytes = (char)(at - bytes - 1);
    return at;
}

char *kymo__pb_put_spans(char *at, uint32_t field, const int32_t *index, size_t n)
{
    int64_t end = 0; /* of the last span; the first offset is counted from 0 */
    for (size_t i = 0, next; i < n; i = next) {
        for (next = i + 1; next < n && gap_before(index, next) <= BRIDGED; next++)
            continue;
        at = put_span(at, field, index[i] - end, (int64_t)index[next - 1] - index[i] + 1);
        end = (int64_t)index[next - 1] + 1;
    }
    return at;
}

static inline char *put_delta(char *at, uint64_t count, uint64_t *last)
{
    at = kymo__put_varint(at, kymo__zigzag((int64_t)(count - *last)));
    *last = count;
    return at;
}

char *kymo__pb_put_deltas(char *at, uint32_t field, const int32_t *index, const uint64_t *count, size_t n)
{
    uint64_t last = 0;
    if (n == 0)
        return at;
    at = kymo__put_tag(at, field, KYMO__WIRE_BYTES);
    char *length = at++;
    for (size_t i = 0; i < n; i++) {
        int64_t gap = i > 0 ? gap_before(index, i) : 0;
        for (int64_t k = 0; gap <= BRIDGED && k < gap; k++)
            at = put_delta(at, 0, &last);
        at = put_delta(at, count[i], &last);
    }
    return kymo__nested_close(length, 1, at);
}

/*
 * What a histogram is recognised as native by, where it is empty and its zero bucket has no width: an empty bucket. An
 * empty span, as Go's client library writes it, is not enough for Prometheus 2.42, which looks for deltas.
 */
static char *put_native_mark(char *at)
{
    static const int32_t index = 0;
    static const uint64_t count = 0;
    return kymo__pb_put_deltas(kymo__pb_put_spans(at, 12, &index, 1), 13, &index, &count, 1);
}

static char *put_native(char *at, const struct kymo_native_point *native)
{
    at = kymo__put_uint_field(at, 5, kymo__zigzag(native->schema));
    at = kymo__put_double_field(at, 6, native->zero_threshold);
    at = kymo__put_uint_field(at, 7, native->zero_count);
    if (native->n_positive + native->n_negative == 0 && native->zero_count == 0 && !(native->zero_threshold > 0))
        return put_native_mark(at);
    at = kymo__pb_put_spans(at, 9, native->negative_index, native->n_negative);
    at = kymo__pb_put_deltas(at, 10, native->negative_index, native->negative_count, native->n_negative);
    at = kymo__pb_put_spans(at, 12, native->positive_index, native->n_positive);
    return kymo__pb_put_deltas(at, 13, native->positive_index, native->positive_count, native->n_positive);
}

/* ---- the whole ---- */

static uint64_t sum_of(const uint64_t *counts, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += counts[i];
    return sum;
}

/* Servers insist that the count is that of the buckets: by construction it is, whatever the point says. */
static uint64_t histogram_total(const struct kymo_histogram_point *h)
{
    const struct kymo_native_point *native = h->native;
    if (native != NULL)
        return native->zero_count + sum_of(native->positive_count, native->n_positive) +
               sum_of(native->negative_count, native->n_negative);
    return h->buckets != NULL ? sum_of(h->buckets, h->n_bounds + 1) : h->count;
}

char *kymo__pb_put_histogram(char *at, const struct kymo_page *page, const struct kymo_family *family,
                             const struct kymo_point *point)
{
    const struct kymo_histogram_point *h = &point->value.histogram;
    uint64_t total = histogram_total(h);
    at = kymo__put_tag(at, KYMO__PB_HISTOGRAM, KYMO__WIRE_BYTES);
    char *length = at;
    at = kymo__put_uint_field(at + 2, 1, total);
    at = kymo__put_double_field(at, 2, h->sum);
    at = put_buckets(at, page, point, total);
    if (h->native != NULL)
        at = put_native(at, h->native);
    if (point->start_ns != 0 && family->kind == KYMO_HISTOGRAM)
        at = kymo__pb_put_time(at, 15, point->start_ns);
    for (size_t i = 0; h->native != NULL && i < h->native->n_exemplars; i++)
        at = kymo__pb_put_exemplar(at, page, 16, &h->native->exemplars[i]);
    return kymo__nested_close(length, 2, at);
}

/* ---- summaries ---- */

char *kymo__pb_put_summary(char *at, const struct kymo_point *point)
{
    const struct kymo_summary_point *s = &point->value.summary;
    at = kymo__put_tag(at, KYMO__PB_SUMMARY, KYMO__WIRE_BYTES);
    char *length = at;
    at = kymo__put_uint_field(at + 2, 1, s->count);
    at = kymo__put_double_field(at, 2, s->sum);
    for (size_t i = 0; i < s->n_quantiles; i++) {
        at = kymo__put_tag(at, 3, KYMO__WIRE_BYTES);
        *at++ = 18;
        at = kymo__put_double_field(at, 1, s->quantiles[i].quantile);
        at = kymo__put_double_field(at, 2, s->quantiles[i].value);
    }
    if (point->start_ns != 0)
        at = kymo__pb_put_time(at, 4, point->start_ns);
    return kymo__nested_close(length, 2, at);
}
