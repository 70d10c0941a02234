/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode/bucket_lines.c - histograms and gauge histograms as lines.
 *
 * A bucket line is the first line up to its `le="`, copied, and then the bound's text, the count so far, and in
 * OpenMetrics an exemplar. Read heads.h first.
 */
#include "encode/heads.h"

static const struct kymo__suffix suffix_bucket = {"_bucket", 7};
static const struct kymo__suffix suffix_gsum = {"_gsum", 5};
static const struct kymo__suffix suffix_gcount = {"_gcount", 7};

/* ---- bounds ---- */

/*
 * A bound's text, kept in the page's scratch from one histogram to the next: most have the same bounds, and
 * formatting one costs more than the rest of its line. A cell is checked by the bound's own bits, so it
 * cannot be stale.
 */
struct bound_text {
    uint64_t bits;
    char text[KYMO__SPILL]; /* `0.25"} `, its length in the last byte; 0: nothing here yet */
};

#define BOUND_TEXT_MAX 31u
_Static_assert(sizeof("-1.7976931348623157e+308\"} ") - 1 <= BOUND_TEXT_MAX, "the length has its byte");

static void fill_bound_text(struct bound_text *cell, uint64_t bits, double bound)
{
    char text[KYMO__NUMBER_MAX + 3];
    size_t n = (size_t)(kymo__put_float(text, bound) - text);
    memcpy(cell->text, text, n);
    cell->text[BOUND_TEXT_MAX] = (char)n;
    cell->bits = bits;
}

/* @cell is NULL where there is no scratch for it. */
static inline char *put_bound(char *at, double bound, struct bound_text *cell)
{
    if (cell == NULL)
        return kymo__put_float(at, bound);
    uint64_t bits;
    memcpy(&bits, &bound, sizeof bits);
    if (cell->bits != bits || cell->text[BOUND_TEXT_MAX] == 0)
        fill_bound_text(cell, bits, bound);
    memcpy(at, cell->text, sizeof cell->text);
    return at + cell->text[BOUND_TEXT_MAX];
}

/* ---- bucket lines ---- */

/* The exemplars that the bucket lines still have to show, by ascending bucket. */
struct exemplars {
    const struct kymo_exemplar_point *next;
    size_t n;
    size_t bucket; /* of the next one; no bucket's if there is none */
};

static void find_next(struct exemplars *e)
{
    e->bucket = e->n > 0 ? e->next->bucket : SIZE_MAX;
}

/* Text has none; nor have native buckets alone, whose exemplars lie in buckets that have no lines. */
static void find_first(struct exemplars *e, const struct kymo__lines *l)
{
    const struct kymo_histogram_point *h = &l->point->value.histogram;
    int none = l->dialect != KYMO__OPENMETRICS || (h->n_bounds == 0 && h->native != NULL);
    e->next = l->point->exemplars;
    e->n = none ? 0 : l->point->n_exemplars;
    find_next(e);
}

static __attribute__((noinline)) char *put_next(struct exemplars *e, const struct kymo__lines *l, char *at)
{
    at = kymo__put_exemplar(l, at, e->next++);
    e->n--;
    find_next(e);
    return at;
}

static inline char *put_bucket_count(const struct kymo__lines *l, char *at, uint64_t n, struct exemplars *e,
                                     size_t bucket)
{
    at += kymo__format_u64(at, n);
    if (bucket == e->bucket)
        at = put_next(e, l, at);
    *at++ = '\n';
    return at;
}

/* Locals for what the loop needs: the compiler must think that each byte written may change anything else. */
static char *put_bucket_lines(struct kymo__lines *l, char *at, uint64_t *total)
{
    const struct kymo_histogram_point *h = &l->point->value.histogram;
    const double *bounds = h->bounds;
    const uint64_t *buckets = h->buckets;
    size_t n_bounds = h->n_bounds;
    struct bound_text *cells = l->page->scratch;
    size_t n_cells = l->page->scratch_bytes / sizeof(struct bound_text);
    struct exemplars e;
    const char *first = at;
    find_first(&e, l);
    at = kymo__next_label(l, kymo__open_head(l, at, &suffix_bucket));
    memcpy(at, "le=\"", 4);
    at += 4;
    size_t head_len = (size_t)(at - first);
    uint64_t n = 0;
    for (size_t i = 0; i < n_bounds; i++) {
        at = put_bound(at, bounds[i], i < n_cells ? &cells[i] : NULL);
        n += buckets[i];
        at = put_bucket_count(l, at, n, &e, i);
        at = kymo__put_block(at, first, head_len);
    }
    n += buckets[n_bounds];
    memcpy(at, "+Inf\"} ", 8);
    at += 7;
    *total = n;
    return put_bucket_count(l, at, n, &e, n_bounds);
}

/* ---- sum and count ---- */

/* OpenMetrics: a histogram's sum is a counter; a gauge histogram's goes below 0 only beside a negative bound. */
static int sum_may_stand(const struct kymo__lines *l)
{
    const struct kymo_histogram_point *h = &l->point->value.histogram;
    int negative_bound = h->n_bounds > 0 && h->bounds[0] < 0;
    if (l->dialect != KYMO__OPENMETRICS)
        return 1;
    if (l->family->kind == KYMO_HISTOGRAM)
        return !negative_bound && h->sum >= 0;
    return h->sum >= 0 || (h->sum < 0 && negative_bound);
}

char *kymo__put_histogram(struct kymo__lines *l, char *at)
{
    int gauge = l->dialect == KYMO__OPENMETRICS && l->family->kind == KYMO_GAUGE_HISTOGRAM;
    uint64_t total;
    at = put_bucket_lines(l, at, &total);
    if (sum_may_stand(l)) {
        at = kymo__put_sum(l, at, gauge ? &suffix_gsum : &kymo__suffix_sum, l->point->value.histogram.sum);
        /* Servers insist that _count is the +Inf bucket: by construction it is, whatever the point says. */
        at = kymo__put_count(l, at, gauge ? &suffix_gcount : &kymo__suffix_count, total);
    }
    return kymo__put_created(l, at);
}
