/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model of a native histogram: see native_model.h. Sources: Prometheus, "Native Histograms"; the limit strategy and
 * the table of bounds are those of client_golang, whose sums of rounding errors every server expects.
 */
#include "native_model.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "native model: %s\n", what);
        abort();
    }
}

/* ---- keys and bounds ---- */

/*
 * A schema's table is the coarser one with the products by one root between: rounded twice, which is what the numbers
 * in use deviate by. The product must be rounded to a double at once.
 */
static void table_build(double tables[][NATIVE_TABLE_MAX])
{
    static const double roots[NATIVE_SCHEMA_MAX + 1] = {
        0,
        0x1.6a09e667f3bccp+0, /* one less in its last place than the root of 2 */
        0x1.306fe0a31b715p+0,
        0x1.172b83c7d517bp+0,
        0x1.0b5586cf9890fp+0,
        0x1.059b0d3158574p+0,
        0x1.02c9a3e778061p+0,
        0x1.0163da9fb3335p+0,
        0x1.00b1afa5abcbfp+0,
    };
    tables[0][0] = 0.5;
    for (int s = 1; s <= NATIVE_SCHEMA_MAX; s++) {
        for (int k = 0; k < 1 << (s - 1); k++) {
            volatile double product = tables[s - 1][k] * roots[s];
            tables[s][2 * k] = tables[s - 1][k];
            tables[s][2 * k + 1] = product;
        }
    }
}

const double *native_table(int schema)
{
    static double tables[NATIVE_SCHEMA_MAX + 1][NATIVE_TABLE_MAX];
    must(schema >= 0 && schema <= NATIVE_SCHEMA_MAX, "no such table");
    if (tables[0][0] == 0)
        table_build(tables);
    return tables[schema];
}

int32_t native_schema(double bucket_factor)
{
    double s = -floor(log2(log2(bucket_factor)));
    return (int32_t)(s < NATIVE_SCHEMA_MIN ? NATIVE_SCHEMA_MIN : s > NATIVE_SCHEMA_MAX ? NATIVE_SCHEMA_MAX : s);
}

/* How many of the table's fractions are less than @fraction. */
static int32_t table_position(int32_t schema, double fraction)
{
    const double *table = native_table(schema);
    int32_t j = 0;
    while (j < 1 << schema && table[j] < fraction)
        j++;
    return j;
}

static int32_t divide_up(int32_t k, int32_t by)
{
    int32_t q = k / by; /* towards 0 */
    return q + (k > 0 && k % by != 0);
}

int32_t native_key(double v, int32_t schema)
{
    int e, infinite = isinf(v) != 0;
    must(!isnan(v), "NaN has no key");
    double fraction = frexp(infinite ? DBL_MAX : fabs(v), &e);
    if (schema > 0)
        return table_position(schema, fraction) + (e - 1) * (1 << schema) + infinite;
    return divide_up(e - (fraction == 0.5), 1 << -schema) + infinite;
}

double native_bound(int32_t key, int32_t schema)
{
    int32_t per = schema > 0 ? 1 << schema : 1;
    int32_t position = ((key % per) + per) % per;
    int32_t e = schema > 0 ? (key - position) / per : key * (1 << -schema);
    double fraction = native_table(schema > 0 ? schema : 0)[position];
    return e == 1024 && fraction == 0.5 ? DBL_MAX : ldexp(fraction, e + 1);
}

/* ---- the buckets of one sign ---- */

static size_t side_find(const struct native_side *s, int32_t key)
{
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->keys[middle] < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void side_grow(struct native_side *s)
{
    s->cap = s->cap == 0 ? 64 : 2 * s->cap;
    s->keys = realloc(s->keys, s->cap * sizeof(*s->keys));
    s->counts = realloc(s->counts, s->cap * sizeof(*s->counts));
    must(s->keys != NULL && s->counts != NULL, "out of memory");
}

static void side_add(struct native_side *s, int32_t key, uint64_t n)
{
    size_t i = side_find(s, key);
    if (i < s->n && s->keys[i] == key) {
        s->counts[i] += n;
        return;
    }
    if (s->n == s->cap)
        side_grow(s);
    memmove(&s->keys[i + 1], &s->keys[i], (s->n - i) * sizeof(*s->keys));
    memmove(&s->counts[i + 1], &s->counts[i], (s->n - i) * sizeof(*s->counts));
    s->keys[i] = key;
    s->counts[i] = n;
    s->n++;
}

/* Takes the first bucket away if it is @key; its count. */
static uint64_t side_take_first(struct native_side *s, int32_t key)
{
    if (s->n == 0 || s->keys[0] != key)
        return 0;
    uint64_t n = s->counts[0];
    s->n--;
    memmove(&s->keys[0], &s->keys[1], s->n * sizeof(*s->keys));
    memmove(&s->counts[0], &s->counts[1], s->n * sizeof(*s->counts));
    return n;
}

static void side_halve(struct native_side *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        int32_t key = divide_up(s->keys[i], 2);
        uint64_t count = s->counts[i];
        if (n > 0 && s->keys[n - 1] == key) {
            s->counts[n - 1] += count;
        } else {
            s->keys[n] = key;
            s->counts[n++] = count;
        }
    }
    s->n = n;
}

/* ---- the histogram ---- */

static double first_threshold(const struct kymo_native *o)
{
    return o->zero_threshold == 0 ? 0x1p-128 : o->zero_threshold < 0 ? 0 : o->zero_threshold;
}

static void begin(struct native_model *m, int64_t now_ns)
{
    memset(m->classic, 0, sizeof(m->classic));
    m->schema = native_schema(m->options.bucket_factor);
    m->zero_threshold = first_threshold(&m->options);
    m->zero_count = m->count = 0;
    m->sum = m->magnitude = 0;
    m->side[0].n = m->side[1].n = 0;
    m->start_ns = now_ns;
    m->pending = 0;
}

void native_model_init(struct native_model *m, const struct kymo_native *native, const double *bounds, size_t n_bounds,
                       int64_t now_ns)
{
    must(n_bounds <= NATIVE_CLASSIC_MAX, "too many classic bounds");
    memset(m, 0, sizeof(*m));
    m->options = *native;
    if (m->options.bucket_factor == 0)
        m->options.bucket_factor = 1.1;
    if (m->options.max_buckets == 0)
        m->options.max_buckets = 160;
    m->bounds = bounds;
    m->n_bounds = n_bounds;
    begin(m, now_ns);
}

void native_model_free(struct native_model *m)
{
    for (int i = 0; i < 2; i++) {
        free(m->side[i].keys);
        free(m->side[i].counts);
    }
    memset(m->side, 0, sizeof(m->side));
}

size_t native_model_populated(const struct native_model *m)
{
    return m->side[0].n + m->side[1].n;
}

static size_t classic_bucket(const struct native_model *m, double v)
{
    size_t i = 0;
    while (i < m->n_bounds && v > m->bounds[i])
        i++;
    return i;
}

static void count(struct native_model *m, double v, uint64_t n)
{
    m->count += n;
    m->classic[classic_bucket(m, v)] += n;
    if (!isinf(v)) {
        m->sum += v * (double)n;
        m->magnitude += fabs(v) * (double)n;
    }
    if (v > m->zero_threshold)
        side_add(&m->side[0], native_key(v, m->schema), n);
    else if (v < -m->zero_threshold)
        side_add(&m->side[1], native_key(v, m->schema), n);
    else
        m->zero_count += n;
}

/* A scheduled reset happens when it is due, whoever notices. */
static void settle(struct native_model *m, int64_t now_ns)
{
    if (!m->pending || now_ns - m->start_ns < m->options.min_reset_ns)
        return;
    begin(m, m->start_ns + m->options.min_reset_ns);
    m->steps.due++;
}

/* Step 3 of the strategy: the buckets nearest to 0 fall into the zero bucket. */
static int widen(struct native_model *m)
{
    const struct native_side *p = &m->side[0], *n = &m->side[1];
    if (p->n + n->n == 0 || !(m->zero_threshold < m->options.max_zero_threshold))
        return 0;
    int32_t key = n->n == 0 || (p->n != 0 && p->keys[0] < n->keys[0]) ? p->keys[0] : n->keys[0];
    double threshold = native_bound(key, m->schema);
    if (threshold > m->options.max_zero_threshold)
        return 0;
    m->zero_threshold = threshold;
    m->zero_count += side_take_first(&m->side[0], key);
    m->zero_count += side_take_first(&m->side[1], key);
    m->steps.widened++;
    return 1;
}

/* Step 4: half the resolution. */
static int halve(struct native_model *m)
{
    size_t before = native_model_populated(m);
    if (m->schema <= NATIVE_SCHEMA_MIN)
        return 0;
    m->schema--;
    side_halve(&m->side[0]);
    side_halve(&m->side[1]);
    m->steps.halved++;
    m->steps.halved_in_vain += native_model_populated(m) == before;
    return 1;
}

static int over_limit(const struct native_model *m)
{
    return native_model_populated(m) > m->options.max_buckets;
}

/* One step at most, after what was observed has been counted. */
static void limit(struct native_model *m, double v, uint64_t n, int64_t now_ns)
{
    int64_t every = m->options.min_reset_ns;
    if (!over_limit(m))
        return;
    if (every > 0 && !m->pending && now_ns - m->start_ns >= every) {
        begin(m, now_ns);
        count(m, v, n);
        m->steps.resets++;
        return;
    }
    if (every > 0 && !m->pending) {
        m->pending = 1;
        m->steps.scheduled++;
    }
    if (!widen(m))
        (void)halve(m);
}

void native_model_observe(struct native_model *m, double v, uint64_t n, int64_t now_ns)
{
    if (n == 0)
        return;
    if (isnan(v)) {
        m->steps.refused++;
        return;
    }
    settle(m, now_ns);
    m->lifetime += n;
    count(m, v, n);
    limit(m, v, n, now_ns);
}

void native_model_expose(struct native_model *m, int64_t now_ns)
{
    settle(m, now_ns);
    while (over_limit(m) && (widen(m) || halve(m))) {
    }
}

/* ---- comparing ---- */

/* As texts agree: a sum of 0 has no sign, and no NaN is told from another. */
static int same_double(double a, double b)
{
    return memcmp(&a, &b, sizeof(a)) == 0 || (a == 0 && b == 0) || (isnan(a) && isnan(b));
}

/* The same terms in any order, whatever overflows on the way; some thousand of them. */
static int same_sum(const struct native_model *m, double sum)
{
    if (same_double(sum, m->sum))
        return 1;
    return m->loose_sum && (m->magnitude > DBL_MAX / 4 || fabs(sum - m->sum) <= 1e-12 * m->magnitude);
}

static int same_side(const struct native_side *want, const int32_t *keys, const uint64_t *counts, size_t n)
{
    if (n != want->n)
        return 0;
    for (size_t i = 0; i < n; i++) {
        if (keys[i] != want->keys[i] || counts[i] != want->counts[i])
            return 0;
    }
    return 1;
}

static int same_classic(const struct native_model *m, const struct kymo_histogram_point *h)
{
    if (h->n_bounds != m->n_bounds)
        return 0;
    for (size_t i = 0; m->n_bounds > 0 && i <= m->n_bounds; i++) {
        if (h->buckets[i] != m->classic[i] || (i < m->n_bounds && h->bounds[i] != m->bounds[i]))
            return 0;
    }
    return 1;
}

const char *native_model_differs(const struct native_model *m, const struct kymo_point *point)
{
    const struct kymo_histogram_point *h = &point->value.histogram;
    const struct kymo_native_point *p = h->native;
    if (p == NULL)
        return "no native buckets";
    if (p->schema != m->schema)
        return "schema";
    if (!same_double(p->zero_threshold, m->zero_threshold))
        return "zero threshold";
    if (p->zero_count != m->zero_count)
        return "zero count";
    if (!same_side(&m->side[0], p->positive_index, p->positive_count, p->n_positive))
        return "positive side";
    if (!same_side(&m->side[1], p->negative_index, p->negative_count, p->n_negative))
        return "negative side";
    if (h->count != m->count)
        return "count";
    if (!same_sum(m, h->sum))
        return "sum";
    if (point->start_ns != m->start_ns)
        return "start";
    return same_classic(m, h) ? NULL : "classic buckets";
}

static const char *side_wrong(const int32_t *keys, const uint64_t *counts, size_t n, uint64_t *total)
{
    for (size_t i = 0; i < n; i++) {
        if (counts[i] == 0)
            return "an empty bucket";
        if (i > 0 && keys[i] <= keys[i - 1])
            return "buckets out of order";
        *total += counts[i];
    }
    return NULL;
}

static int classic_adds_up(const struct kymo_histogram_point *h)
{
    uint64_t total = 0;
    for (size_t i = 0; h->n_bounds > 0 && i <= h->n_bounds; i++)
        total += h->buckets[i];
    return h->n_bounds == 0 || total == h->count;
}

const char *native_point_wrong(const struct kymo_histogram_point *h, uint32_t max_buckets)
{
    const struct kymo_native_point *p = h->native;
    const char *wrong;
    uint64_t total;
    if (p == NULL)
        return "no native buckets";
    total = p->zero_count;
    wrong = side_wrong(p->positive_index, p->positive_count, p->n_positive, &total);
    if (wrong == NULL)
        wrong = side_wrong(p->negative_index, p->negative_count, p->n_negative, &total);
    if (wrong != NULL)
        return wrong;
    if (total != h->count)
        return "the native buckets are not the count";
    if (p->schema < NATIVE_SCHEMA_MIN || p->schema > NATIVE_SCHEMA_MAX)
        return "the schema";
    if (p->schema > NATIVE_SCHEMA_MIN && p->n_positive + p->n_negative > max_buckets)
        return "more buckets than the limit";
    return classic_adds_up(h) ? NULL : "the classic buckets are not the count";
}

/* ---- as text ---- */

struct text {
    char *s;
    size_t n, cap;
};

static void text_add(struct text *t, const char *format, ...)
{
    va_list args;
    if (t->cap - t->n < 128) {
        t->cap = 2 * t->cap + 512;
        t->s = realloc(t->s, t->cap);
        must(t->s != NULL, "out of memory");
    }
    va_start(args, format);
    t->n += (size_t)vsnprintf(t->s + t->n, t->cap - t->n, format, args);
    va_end(args);
}

static void side_text(struct text *t, char sign, const int32_t *keys, const uint64_t *counts, size_t n)
{
    text_add(t, ", %c", sign);
    for (size_t i = 0; i < n; i++)
        text_add(t, " %" PRId32 ":%" PRIu64, keys[i], counts[i]);
}

char *native_point_text(const struct kymo_point *point, int64_t epoch_ns)
{
    const struct kymo_histogram_point *h = &point->value.histogram;
    const struct kymo_native_point *p = h->native;
    struct text t = {NULL, 0, 0};
    if (p != NULL) {
        text_add(&t, "schema %" PRId32 ", zero %" PRIu64 " in %.16g", p->schema, p->zero_count, p->zero_threshold);
        side_text(&t, '+', p->positive_index, p->positive_count, p->n_positive);
        side_text(&t, '-', p->negative_index, p->negative_count, p->n_negative);
        text_add(&t, ", ");
    }
    text_add(&t, "count %" PRIu64 ", sum %.16g, start +%.16g", h->count, h->sum + 0.0,
             (double)(point->start_ns - epoch_ns) / 1e9);
    for (size_t i = 0; h->n_bounds > 0 && i <= h->n_bounds; i++)
        text_add(&t, "%s%" PRIu64, i == 0 ? ", classic " : " ", h->buckets[i]);
    return t.s;
}

char *native_model_text(const struct native_model *m, int64_t epoch_ns)
{
    const struct kymo_native_point p = {.schema = m->schema,
                                        .zero_threshold = m->zero_threshold,
                                        .zero_count = m->zero_count,
                                        .positive_index = m->side[0].keys,
                                        .positive_count = m->side[0].counts,
                                        .n_positive = m->side[0].n,
                                        .negative_index = m->side[1].keys,
                                        .negative_count = m->side[1].counts,
                                        .n_negative = m->side[1].n};
    struct kymo_point point;
    memset(&point, 0, sizeof(point));
    point.start_ns = m->start_ns;
    point.value.histogram.count = m->count;
    point.value.histogram.sum = m->sum;
    point.value.histogram.bounds = m->bounds;
    point.value.histogram.n_bounds = m->n_bounds;
    point.value.histogram.buckets = m->classic;
    point.value.histogram.native = &p;
    return native_point_text(&point, epoch_ns);
}
