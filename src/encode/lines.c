/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode/lines.c - counters, gauges and histograms as lines.
 *
 * What must hold: kymo__lines_put() touches no more than kymo__lines_size() bytes. A histogram's first line
 * is composed from its parts; all others copy their head from that line, which lies in the page and may
 * therefore be read in blocks, whatever the point was. Read lines.h first.
 */
#include "encode/lines.h"

#include "base/escape.h"

/* Every byte of a line that is neither name, nor labels, nor value: `_bucket{` `,` `,le="` bound `"} ` LF. */
#define LINE_REST (sizeof("_bucket{,,le=\"\"} \n") + KYMO__NUMBER_MAX)

/* ---- labels ---- */

static inline size_t series_labels_size(const struct kymo_family *family, const struct kymo_point *point)
{
    if (point->labels != NULL)
        return point->labels_len;
    if (point->values == NULL)
        return 0;
    return kymo__label_pairs_size(family->desc->labels, point->values, family->desc->n_labels);
}

static inline size_t line_size(const struct kymo_family *family, const struct kymo_point *point)
{
    return family->name_len + family->labels_len + series_labels_size(family, point) + LINE_REST;
}

/* Constant labels and the series' own, without braces. Returns @at itself if there are none. */
static inline char *put_labels(char *at, const struct kymo_family *family, const struct kymo_point *point)
{
    char *start = at;
    if (family->labels_len > 0) {
        at = kymo__put_exact(at, family->labels, family->labels_len);
        *at++ = ',';
    }
    char *own = at;
    if (point->labels != NULL && point->id != 0)
        at = kymo__put_block(at, point->labels, point->labels_len);
    else if (point->labels != NULL)
        at = kymo__put_exact(at, point->labels, point->labels_len);
    else if (point->values != NULL)
        at = kymo__label_pairs(at, family->desc->labels, point->values, family->desc->n_labels);
    return at == own && own != start ? own - 1 : at;
}

static inline char *put_name(char *at, const struct kymo_family *family, const struct kymo_point *point)
{
    return point->id != 0 ? kymo__put_block(at, family->name, family->name_len)
                          : kymo__put_exact(at, family->name, family->name_len);
}

static __attribute__((noinline)) char *put_any_head(char *at, const struct kymo_family *family,
                                                    const struct kymo_point *point)
{
    at = put_name(at, family, point);
    *at = '{';
    char *labels = at + 1;
    char *end = put_labels(labels, family, point);
    if (end != labels) {
        *end = '}';
        at = end + 1;
    }
    *at = ' ';
    return at + 1;
}

/* `name{labels} ` or `name `; inline for what most points are, a labelled series of a registry's own. */
static inline char *put_head(char *at, const struct kymo_family *family, const struct kymo_point *point)
{
    if (point->id == 0 || point->labels == NULL || point->labels_len == 0 || family->labels_len > 0)
        return put_any_head(at, family, point);
    at = kymo__put_block(at, family->name, family->name_len);
    *at = '{';
    at = kymo__put_block(at + 1, point->labels, point->labels_len);
    memcpy(at, "} ", 2);
    return at + 2;
}

/* ---- counters and gauges ---- */

static inline char *put_counter_value(char *at, const struct kymo_point *point)
{
    if (point->value.counter.fraction == 0)
        return at + kymo__format_u64(at, point->value.counter.whole);
    return at + kymo__format_value(at, (double)point->value.counter.whole + point->value.counter.fraction);
}

static int put_line(struct kymo_page *page, const struct kymo_family *family, const struct kymo_point *point)
{
    size_t size = line_size(family, point) + KYMO__SLOP;
    if (size > (size_t)(page->end - page->at))
        return KYMO_EAGAIN;
    char *at = put_head(page->at, family, point);
    if (family->kind == KYMO_COUNTER)
        at = put_counter_value(at, point);
    else
        at += kymo__format_value(at, point->value.gauge);
    *at = '\n';
    page->at = at + 1;
    return 0;
}

/* ---- histograms ---- */

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

static char *format_bound(char *at, double bound)
{
    at += kymo__format_le(at, bound);
    memcpy(at, "\"} ", 3);
    return at + 3;
}

static void fill_bound_text(struct bound_text *cell, uint64_t bits, double bound)
{
    char text[KYMO__NUMBER_MAX + 3];
    size_t n = (size_t)(format_bound(text, bound) - text);
    memcpy(cell->text, text, n);
    cell->text[BOUND_TEXT_MAX] = (char)n;
    cell->bits = bits;
}

static inline char *put_bound(char *at, const struct kymo_page *page, double bound, size_t i)
{
    if (i >= page->scratch_bytes / sizeof(struct bound_text))
        return format_bound(at, bound);
    struct bound_text *cell = (struct bound_text *)page->scratch + i;
    uint64_t bits;
    memcpy(&bits, &bound, sizeof bits);
    if (cell->bits != bits || cell->text[BOUND_TEXT_MAX] == 0)
        fill_bound_text(cell, bits, bound);
    memcpy(at, cell->text, sizeof cell->text);
    return at + cell->text[BOUND_TEXT_MAX];
}

/* A histogram being written: its first line is where the others' heads come from. */
struct histogram_lines {
    const char *first; /* `name_bucket{labels,le="` */
    size_t name_len;
    size_t labels_len;
    size_t head_len;
};

#define BUCKET_LEN (sizeof("_bucket") - 1)

static char *begin_first_line(struct histogram_lines *lines, char *at, const struct kymo_family *family,
                              const struct kymo_point *point)
{
    lines->first = at;
    lines->name_len = family->name_len;
    at = put_name(at, family, point);
    memcpy(at, "_bucket{", 8);
    at += 8;
    char *end = put_labels(at, family, point);
    lines->labels_len = (size_t)(end - at);
    if (end != at)
        *end++ = ',';
    memcpy(end, "le=\"", 4);
    end += 4;
    lines->head_len = (size_t)(end - lines->first);
    return end;
}

/* `name_sum{labels} ` or the same with _count */
static char *put_suffixed_head(char *at, const struct histogram_lines *lines, const char suffix[8], size_t n)
{
    at = kymo__put_block(at, lines->first, lines->name_len);
    memcpy(at, suffix, 8);
    at += n;
    if (lines->labels_len > 0) {
        at = kymo__put_block(at, lines->first + lines->name_len + BUCKET_LEN, 1 + lines->labels_len);
        *at++ = '}';
    }
    *at = ' ';
    return at + 1;
}

static char *put_bucket_lines(struct kymo_page *page, char *at, const struct histogram_lines *lines,
                              const struct kymo_histogram_point *h, uint64_t *total)
{
    uint64_t n = 0;
    for (size_t i = 0; i < h->n_bounds; i++) {
        at = put_bound(at, page, h->bounds[i], i);
        n += h->buckets[i];
        at += kymo__format_u64(at, n);
        *at++ = '\n';
        at = kymo__put_block(at, lines->first, lines->head_len);
    }
    n += h->buckets[h->n_bounds];
    memcpy(at, "+Inf\"} ", 8);
    at += 7;
    at += kymo__format_u64(at, n);
    *at++ = '\n';
    *total = n;
    return at;
}

/* Out of line: its frame would burden the counters. */
static __attribute__((noinline)) int put_histogram(struct kymo_page *page, const struct kymo_family *family,
                                                   const struct kymo_point *point)
{
    const struct kymo_histogram_point *h = &point->value.histogram;
    struct histogram_lines lines;
    uint64_t total;
    if (kymo__lines_size(family, point) > (size_t)(page->end - page->at))
        return KYMO_EAGAIN;
    char *at = begin_first_line(&lines, page->at, family, point);
    at = put_bucket_lines(page, at, &lines, h, &total);
    at = put_suffixed_head(at, &lines, "_sum\0\0\0", 4);
    at += kymo__format_value(at, h->sum);
    *at++ = '\n';
    at = put_suffixed_head(at, &lines, "_count\0", 6);
    /* Servers insist that _count is the +Inf bucket: by construction it is, whatever the point says. */
    at += kymo__format_u64(at, total);
    *at++ = '\n';
    page->at = at;
    return 0;
}

/* ---- all kinds ---- */

size_t kymo__lines_size(const struct kymo_family *family, const struct kymo_point *point)
{
    size_t line = line_size(family, point);
    size_t n_lines = 1;
    if (family->kind == KYMO_HISTOGRAM) {
        line += KYMO__NUMBER_MAX; /* the bound */
        n_lines = point->value.histogram.n_bounds + 3;
    }
    return n_lines * line + KYMO__SLOP;
}

int kymo__lines_put(struct kymo_page *page, const struct kymo_family *family, const struct kymo_point *point)
{
    if (family->kind == KYMO_HISTOGRAM)
        return put_histogram(page, family, point);
    return put_line(page, family, point);
}
