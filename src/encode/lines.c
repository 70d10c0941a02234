/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode/lines.c - points of every kind as lines.
 *
 * What must hold: kymo__lines_put() touches no more than kymo__lines_size() bytes. There are two ways through: a
 * point that is one line with a name as it stands, which is what most points are, is composed by put_line(); all
 * others by put_lines(), which is made for several lines (heads.h). Read lines.h first.
 */
#include "encode/lines.h"

#include "base/escape.h"
#include "encode/heads.h"
#include "encode/names.h"
#include "encode/spell.h"

/* Every byte of a line that is neither name, nor labels, nor the value of a label of its own. */
#define LINE_REST (sizeof("{\"_created\",,quantile=\"\"} \n") + KYMO__NUMBER_MAX)

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

/* ---- one line ---- */

static inline char *put_counter_value(char *at, const struct kymo_point *point)
{
    if (point->value.counter.fraction == 0)
        return at + kymo__format_u64(at, point->value.counter.whole);
    return at + kymo__format_value(at, (double)point->value.counter.whole + point->value.counter.fraction);
}

/* Counters, gauges and unknowns with names as they stand. */
static inline int put_line(struct kymo_page *page, const struct kymo_family *family, const struct kymo_point *point)
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

/* ---- the first line of several ---- */

static const struct kymo__suffix suffix_none = {"", 0};
static const struct kymo__suffix suffix_total = {"_total", 6};
static const struct kymo__suffix suffix_info = {"_info", 5};
static const struct kymo__suffix suffix_created = {"_created", 8};

char *kymo__put_first_name(struct kymo__lines *l, char *at)
{
    const struct kymo_family *family = l->family;
    enum kymo_escaping escaping = l->page->format->escaping;
    l->name = at;
    if (!family->utf8) {
        at = put_name(at, family, l->point);
    } else {
        l->quoted = kymo__needs_quotes(family->name, family->name_len, escaping);
        if (l->quoted)
            at = kymo__put_string(at, "{\"");
        at = kymo__put_spelled(at, family->name, family->name_len, escaping);
    }
    if (l->dialect == KYMO__OPENMETRICS)
        at -= kymo__name_cut(family);
    l->name_len = (size_t)(at - l->name);
    return at;
}

char *kymo__put_first_labels(struct kymo__lines *l, char *at)
{
    l->labels = at;
    if (l->family->utf8)
        at = kymo__put_spelled_labels(at, l->family, l->point, l->page->format->escaping);
    else
        at = put_labels(at, l->family, l->point);
    l->labels_len = (size_t)(at - l->labels);
    return at;
}

/* ---- exemplars and start times ---- */

#define EXEMPLAR_REST (sizeof(" # {}  ") + 2 * KYMO__NUMBER_MAX)

/* Exact: as many decimals as it takes. */
static char *put_seconds(char *at, int64_t ns)
{
    uint64_t magnitude = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    uint64_t rest = magnitude % 1000000000;
    if (ns < 0)
        *at++ = '-';
    at += kymo__format_u64(at, magnitude / 1000000000);
    if (rest == 0)
        return at;
    *at = '.';
    for (size_t i = 9; i > 0; i--, rest /= 10)
        at[i] = (char)('0' + rest % 10);
    at += 9;
    while (*at == '0')
        at--;
    return at + 1;
}

/* A name in quotes begins the text or follows a comma. May say yes of a value; never no of a name. */
static int may_have_quoted_name(const char *pairs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (pairs[i] == '"' && (i == 0 || pairs[i - 1] == ','))
            return 1;
    return 0;
}

static size_t exemplars_size(const struct kymo_page *page, const struct kymo_point *point)
{
    size_t size = 0;
    for (size_t i = 0; i < point->n_exemplars; i++) {
        const struct kymo_exemplar_point *e = &point->exemplars[i];
        size += EXEMPLAR_REST + e->labels_len;
        if (may_have_quoted_name(e->labels, e->labels_len))
            size += kymo__pairs_size(e->labels, e->labels_len, page->format->escaping);
    }
    return size;
}

char *kymo__put_exemplar(const struct kymo__lines *l, char *at, const struct kymo_exemplar_point *e)
{
    at = kymo__put_string(at, " # {");
    if (may_have_quoted_name(e->labels, e->labels_len))
        at = kymo__pairs_put(at, e->labels, e->labels_len, l->page->format->escaping);
    else
        at = kymo__put_exact(at, e->labels, e->labels_len);
    at = kymo__put_string(at, "} ");
    at += kymo__format_value(at, e->value);
    if (e->timestamp_ns == 0)
        return at;
    *at++ = ' ';
    return put_seconds(at, e->timestamp_ns);
}

/* Whether OpenMetrics is to show when this series began. */
static inline int created_is_due(const struct kymo_page *page, const struct kymo_family *family,
                                 const struct kymo_point *point)
{
    if (!page->format->created || point->start_ns == 0)
        return 0;
    return family->kind == KYMO_COUNTER || family->kind == KYMO_HISTOGRAM || family->kind == KYMO_SUMMARY;
}

/* Servers look for it no further than the other samples of these labels. */
char *kymo__put_created(struct kymo__lines *l, char *at)
{
    if (l->dialect != KYMO__OPENMETRICS || !created_is_due(l->page, l->family, l->point))
        return at;
    at = kymo__open_head(l, at, &suffix_created);
    at = kymo__close_head(l, at);
    at = put_seconds(at, l->point->start_ns);
    *at++ = '\n';
    return at;
}

/* ---- kinds of one line ---- */

static const struct kymo__suffix *single_suffix(const struct kymo__lines *l)
{
    if (l->dialect != KYMO__OPENMETRICS)
        return &suffix_none;
    return l->family->kind == KYMO_COUNTER ? &suffix_total : l->family->kind == KYMO_INFO ? &suffix_info : &suffix_none;
}

static char *put_single(struct kymo__lines *l, char *at)
{
    const struct kymo_point *point = l->point;
    at = kymo__open_head(l, at, single_suffix(l));
    at = kymo__close_head(l, at);
    if (l->family->kind == KYMO_INFO)
        *at++ = '1';
    else if (l->family->kind == KYMO_COUNTER)
        at = put_counter_value(at, point);
    else
        at += kymo__format_value(at, point->value.gauge);
    if (l->dialect == KYMO__OPENMETRICS && l->family->kind == KYMO_COUNTER && point->n_exemplars > 0)
        at = kymo__put_exemplar(l, at, &point->exemplars[0]);
    *at++ = '\n';
    return kymo__put_created(l, at);
}

/* ---- summaries ---- */

/* OpenMetrics takes no other quantiles, and no negative values of them. */
static int quantile_may_stand(const struct kymo__lines *l, const struct kymo_quantile *q)
{
    return l->dialect != KYMO__OPENMETRICS || (q->quantile >= 0 && q->quantile <= 1 && !(q->value < 0));
}

static char *put_quantile(struct kymo__lines *l, char *at, const struct kymo_quantile *q)
{
    at = kymo__next_label(l, kymo__open_head(l, at, &suffix_none));
    at = kymo__put_string(at, "quantile=\"");
    at = kymo__put_float(at, q->quantile);
    at += kymo__format_value(at, q->value);
    *at++ = '\n';
    return at;
}

static char *put_summary(struct kymo__lines *l, char *at)
{
    const struct kymo_summary_point *s = &l->point->value.summary;
    for (size_t i = 0; i < s->n_quantiles; i++)
        if (quantile_may_stand(l, &s->quantiles[i]))
            at = put_quantile(l, at, &s->quantiles[i]);
    if (l->dialect != KYMO__OPENMETRICS || s->sum >= 0)
        at = kymo__put_sum(l, at, &kymo__suffix_sum, s->sum);
    at = kymo__put_count(l, at, &kymo__suffix_count, s->count);
    return kymo__put_created(l, at);
}

/* ---- state sets ---- */

/* The label that says the state has the family's name, in quotes if that is. */
static char *put_state_label(const struct kymo__lines *l, char *at)
{
    size_t brace = l->quoted ? 1 : 0;
    at = kymo__put_exact(at, l->name + brace, l->name_len - brace);
    return kymo__put_string(at, l->quoted ? "\"=\"" : "=\"");
}

static size_t n_states(const struct kymo_family *family)
{
    return family->desc->n_states < 64 ? family->desc->n_states : 64;
}

static char *put_stateset(struct kymo__lines *l, char *at)
{
    for (size_t i = 0; i < n_states(l->family); i++) {
        const char *state = l->family->desc->states[i];
        at = kymo__next_label(l, kymo__open_head(l, at, &suffix_none));
        at = put_state_label(l, at);
        at = kymo__escape_label(at, state, strlen(state));
        at = kymo__put_string(at, "\"} ");
        *at++ = (char)('0' + (l->point->value.states >> i & 1));
        *at++ = '\n';
    }
    return at;
}

static size_t states_size(const struct kymo_family *family, size_t name_size)
{
    size_t size = 0;
    for (size_t i = 0; i < n_states(family); i++)
        size += name_size + kymo__escape_label_size(family->desc->states[i], strlen(family->desc->states[i]));
    return size;
}

/* ---- all kinds ---- */

/* Start times not counted. */
static size_t max_lines(const struct kymo_family *family, const struct kymo_point *point)
{
    switch (family->kind) {
    case KYMO_HISTOGRAM:
    case KYMO_GAUGE_HISTOGRAM:
        return point->value.histogram.n_bounds + 3;
    case KYMO_SUMMARY:
        return point->value.summary.n_quantiles + 2;
    case KYMO_STATESET:
        return n_states(family);
    default:
        return 1;
    }
}

size_t kymo__lines_size(const struct kymo_page *page, const struct kymo_family *family, const struct kymo_point *point,
                        enum kymo__dialect dialect)
{
    size_t name = kymo__family_name_size(page, family);
    size_t line = line_size(family, point);
    if (family->utf8)
        line = name + kymo__spelled_labels_size(family, point, page->format->escaping) + LINE_REST;
    size_t size = max_lines(family, point) * (line + KYMO__NUMBER_MAX); /* a bound, a quantile */
    if (family->kind == KYMO_STATESET)
        size += states_size(family, name);
    if (dialect == KYMO__OPENMETRICS)
        size += exemplars_size(page, point) + (created_is_due(page, family, point) ? line : 0);
    return size + KYMO__SLOP;
}

/* Out of line: its frame would burden the counters. */
static __attribute__((noinline)) int put_lines(struct kymo_page *page, const struct kymo_family *family,
                                               const struct kymo_point *point, enum kymo__dialect dialect)
{
    struct kymo__lines l = {.page = page, .family = family, .point = point, .dialect = dialect};
    if (kymo__lines_size(page, family, point, dialect) > (size_t)(page->end - page->at))
        return KYMO_EAGAIN;
    if (family->kind == KYMO_HISTOGRAM || family->kind == KYMO_GAUGE_HISTOGRAM)
        page->at = kymo__put_histogram(&l, page->at);
    else if (family->kind == KYMO_SUMMARY)
        page->at = put_summary(&l, page->at);
    else if (family->kind == KYMO_STATESET)
        page->at = put_stateset(&l, page->at);
    else
        page->at = put_single(&l, page->at);
    return 0;
}

static inline int is_plain_line(const struct kymo_page *page, const struct kymo_family *family,
                                const struct kymo_point *point, enum kymo__dialect dialect)
{
    if (family->utf8)
        return 0;
    if (family->kind != KYMO_COUNTER)
        return family->kind == KYMO_GAUGE || family->kind == KYMO_UNKNOWN;
    if (dialect == KYMO__TEXT)
        return 1;
    return point->n_exemplars == 0 && !created_is_due(page, family, point) && kymo__name_cut(family) != 0;
}

int kymo__lines_put(struct kymo_page *page, const struct kymo_family *family, const struct kymo_point *point,
                    enum kymo__dialect dialect)
{
    if (is_plain_line(page, family, point, dialect))
        return put_line(page, family, point);
    return put_lines(page, family, point, dialect);
}

int kymo__lines_begin(struct kymo_page *page, const struct kymo_family *family, const struct kymo_point *point,
                      enum kymo__dialect dialect, const struct kymo__header *header)
{
    size_t size = header->size(page, family) + kymo__lines_size(page, family, point, dialect);
    if (size > (size_t)(page->end - page->at))
        return KYMO_EAGAIN;
    page->at = header->put(page->at, page, family);
    page->fresh = 0;
    return kymo__lines_put(page, family, point, dialect);
}
