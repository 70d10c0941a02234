/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode/protobuf.c - the protobuf format: io.prometheus.client.MetricFamily, each with its length before it.
 *
 * What must hold: after every point the page is a row of whole messages, each behind its length in as few bytes as there
 * can be. So nothing is left to be closed when a page is full. The next point of the family goes on in the last message
 * and its length is written anew; where that message is stands in the page's scratch, and if it is not there, or not
 * this page's, a new message begins, with the family's name, help and type.
 *
 * Between two calls only the scrape may move page->at, and only back to where its buffer begins.
 *
 * Hence a family that fills more than a page is several messages of one name. Prometheus 2.42 and 3.5 read each message
 * for itself and were seen to store all series of such a family, histograms and native ones too, and its type and help.
 * A Pushgateway keeps the last one only: what is pushed there must be text, or fit one page.
 *
 * Where Go's client library writes a zero so do we; offsets, nanoseconds and what a kind does not have are left out.
 * Source: Prometheus client model, metrics.proto; "Native Histograms". Read first: protobuf.h, wire.h.
 */
#include "encode/protobuf.h"

#include "encode/quotes.h"

/* Numbers of fields and of types. */
enum { FAMILY_NAME = 1, FAMILY_HELP, FAMILY_TYPE, FAMILY_METRIC, FAMILY_UNIT };
enum { TYPE_COUNTER = 0, TYPE_GAUGE, TYPE_SUMMARY, TYPE_UNTYPED, TYPE_HISTOGRAM, TYPE_GAUGE_HISTOGRAM };

#define SECONDS_MIN (INT64_C(1) << 28) /* the first that takes five bytes */
#define CONSTANT_MAX 1024u

/*
 * The page's last message. What follows `metric_bytes` saves work from one of its metrics to the next.
 */
struct open {
    const char *at; /* the page's at and end when it was left */
    const char *end;
    char *length; /* where its length stands, in length_bytes */
    size_t length_bytes;
    size_t metric_bytes; /* of the last metric's length: most are alike */
    int64_t second_ns;   /* a whole second, */
    uint64_t second;     /* and it as a Timestamp field without its tag and length: six bytes, moved up by two */
    size_t constant_len; /* the constant labels as fields; more than CONSTANT_MAX: not here */
    char constant[CONSTANT_MAX];
};

/* ---- how much room ---- */

static inline size_t labels_room(const struct kymo_family *family, const struct kymo_point *point)
{
    size_t room = kymo__pb_pairs_room(family->labels_len, 1);
    if (point->labels != NULL && !family->utf8)
        return room + kymo__pb_pairs_room(point->labels_len, 0);
    return room +
           (point->labels != NULL ? kymo__pb_pairs_room(point->labels_len, 1) : kymo__pb_values_room(family, point));
}

static size_t states_room(const struct kymo_family *family, const struct kymo_point *point)
{
    size_t each = labels_room(family, point) + 8 * family->name_len + KYMO__PB_REST, room = 0;
    for (size_t i = 0; i < family->desc->n_states; i++)
        room += each + strlen(family->desc->states[i]);
    return room;
}

static __attribute__((noinline)) size_t rare_room(const struct kymo_family *family, const struct kymo_point *point)
{
    size_t room = kymo__pb_exemplars_room(point->exemplars, point->n_exemplars);
    switch (family->kind) {
    case KYMO_HISTOGRAM:
    case KYMO_GAUGE_HISTOGRAM:
        return room + kymo__pb_histogram_room(&point->value.histogram);
    case KYMO_SUMMARY:
        return room + 24 * point->value.summary.n_quantiles;
    case KYMO_STATESET:
        return states_room(family, point);
    default:
        return room;
    }
}

static inline size_t point_room(const struct kymo_family *family, const struct kymo_point *point)
{
    size_t room = labels_room(family, point) + KYMO__PB_REST;
    if (family->kind > KYMO_GAUGE || point->n_exemplars > 0)
        room += rare_room(family, point);
    return room;
}

static size_t header_room(const struct kymo_family *family)
{
    const struct kymo_desc *desc = family->desc;
    return 8 * family->name_len + (desc->help != NULL ? strlen(desc->help) : 0) +
           (desc->unit != NULL ? strlen(desc->unit) : 0) + KYMO__PB_REST;
}

/* ---- labels ---- */

static inline char *put_name(char *at, const struct kymo_page *page, const struct kymo_family *family, uint32_t field,
                             enum kymo__name_kind kind)
{
    if (family->utf8)
        return kymo__pb_put_name(at, page, field, kind, family->name, family->name_len);
    return kymo__put_bytes(at, field, family->name, family->name_len);
}

/* At most 64 bytes, in blocks: reads and writes up to KYMO__SPILL bytes past them. */
static inline void copy_64(char *to, const char *from, size_t n)
{
    kymo__half_block a, b;
#if KYMO__SANITIZED
    memcpy(to, from, n);
    return;
#endif
    memcpy(&a, from, sizeof a);
    memcpy(&b, from + sizeof a, sizeof b);
    memcpy(to, &a, sizeof a);
    memcpy(to + sizeof a, &b, sizeof b);
    if (n > 2 * sizeof a)
        kymo__put_block(to + 2 * sizeof a, from + 2 * sizeof a, n - 2 * sizeof a);
}

/* A field's tag and length, and those of the name that it begins with: each below 128. */
static inline void put_two_tags(char *at, uint32_t field, size_t length, size_t name)
{
    uint32_t bytes = (field << 3 | KYMO__WIRE_BYTES) + ((uint32_t)length << 8) + ((1 << 3 | KYMO__WIRE_BYTES) << 16) +
                     ((uint32_t)name << 24);
    kymo__put_word32(at, bytes);
}

/*
 * The pairs of a text that lie whole in its first 64 bytes, as fields; *text moves behind them. Between name and value
 * there are two bytes in the text and in the field, so that both are copied as one. NULL if a character is escaped.
 */
static inline char *quick_pairs(char *at, const char **text, size_t len)
{
    uint64_t quotes;
    const char *from = *text;
    if (kymo__find_quotes(&quotes, from, len) != 0)
        return NULL;
    while (quotes != 0) {
        size_t open = (size_t)__builtin_ctzll(quotes);
        quotes &= quotes - 1;
        if (quotes == 0)
            break;
        size_t close = (size_t)__builtin_ctzll(quotes);
        copy_64(at + 4, from, close);
        put_two_tags(at, KYMO__PB_LABEL, close + 2, open - 1);
        kymo__put_word16(at + 3 + open, (uint16_t)((2 << 3 | KYMO__WIRE_BYTES) + ((close - open - 1) << 8)));
        at += 4 + close;
        from += close + 2;
        quotes = quotes >> close >> 2;
    }
    *text = from;
    return at;
}

/* The labels of a registry's own series, whose names are plain. NULL: then kymo__pb_put_pairs() has to do it. */
static inline char *quick_labels(char *at, const char *text, size_t len)
{
    const char *end = text + len;
    while (text < end) {
        const char *from = text;
        at = quick_pairs(at, &text, (size_t)(end - text) < 64 ? (size_t)(end - text) : 64);
        if (at == NULL || text == from)
            return NULL;
    }
    return at;
}

static __attribute__((noinline)) char *put_constant(char *at, const struct kymo_page *page,
                                                    const struct kymo_family *family, struct open *open)
{
    if (open->constant_len == 0) {
        char *end = kymo__pb_put_pairs(at, page, family->labels, family->labels_len, 1);
        open->constant_len = (size_t)(end - at);
        if (open->constant_len <= CONSTANT_MAX)
            memcpy(open->constant, at, open->constant_len);
        return end;
    }
    if (open->constant_len > CONSTANT_MAX)
        return kymo__pb_put_pairs(at, page, family->labels, family->labels_len, 1);
    return kymo__put_exact(at, open->constant, open->constant_len);
}

static __attribute__((noinline)) char *put_any_labels(char *at, const struct kymo_page *page,
                                                      const struct kymo_family *family, const struct kymo_point *point)
{
    if (point->labels != NULL)
        return kymo__pb_put_pairs(at, page, point->labels, point->labels_len, family->utf8);
    return point->values != NULL ? kymo__pb_put_values(at, page, family, point->values) : at;
}

static inline char *put_labels(char *at, const struct kymo_page *page, const struct kymo_family *family,
                               const struct kymo_point *point, struct open *open)
{
    if (family->labels_len > 0)
        at = put_constant(at, page, family, open);
    if (point->id != 0 && point->labels != NULL && !family->utf8) {
        char *end = quick_labels(at, point->labels, point->labels_len);
        if (end != NULL)
            return end;
    }
    return put_any_labels(at, page, family, point);
}

/* ---- counters and gauges ---- */

static void keep_second(struct open *open, int64_t ns)
{
    int64_t seconds = ns / KYMO__NS_PER_S;
    char field[16] = {0};
    kymo__put_uint_field(field, 1, (uint64_t)seconds);
    memcpy(&open->second, field, sizeof open->second);
    open->second = kymo__word_swap(open->second) << 16;
    open->second_ns = seconds * KYMO__NS_PER_S;
}

/* When a series began. Most began in the second in which the one before did; five bytes hold it, from 1978 to 3058. */
static inline char *put_start(char *at, struct open *open, uint32_t field, int64_t ns)
{
    if (ns < open->second_ns || ns - open->second_ns >= KYMO__NS_PER_S) {
        if (ns < SECONDS_MIN * KYMO__NS_PER_S)
            return kymo__pb_put_time(at, field, ns);
        keep_second(open, ns);
    }
    uint32_t rest = (uint32_t)(ns - open->second_ns);
    char *end = at + 8;
    if (rest != 0)
        end = kymo__put_varint30(kymo__put_tag(end, 2, KYMO__WIRE_VARINT), rest);
    uint64_t tag = field << 3 | KYMO__WIRE_BYTES;
    kymo__put_fixed64(at, open->second | (uint64_t)(end - at - 2) << 8 | tag);
    return end;
}

static inline char *put_counter(char *at, const struct kymo_page *page, const struct kymo_point *point,
                                struct open *open)
{
    double v = (double)point->value.counter.whole + point->value.counter.fraction;
    at = kymo__put_tag(at, KYMO__PB_COUNTER, KYMO__WIRE_BYTES);
    char *length = at++;
    at = kymo__put_double_field(at, 1, v);
    if (point->n_exemplars > 0)
        at = kymo__pb_put_exemplar(at, page, 2, point->exemplars);
    if (point->start_ns != 0)
        at = put_start(at, open, 3, point->start_ns);
    return kymo__nested_close(length, 1, at);
}

static inline char *put_number(char *at, uint32_t field, double v)
{
    at = kymo__put_tag(at, field, KYMO__WIRE_BYTES);
    *at++ = 9;
    return kymo__put_double_field(at, 1, v);
}

/* ---- points ---- */

static __attribute__((noinline)) char *put_rare_value(char *at, const struct kymo_page *page,
                                                      const struct kymo_family *family, const struct kymo_point *point)
{
    switch (family->kind) {
    case KYMO_HISTOGRAM:
    case KYMO_GAUGE_HISTOGRAM:
        return kymo__pb_put_histogram(at, page, family, point);
    case KYMO_SUMMARY:
        return kymo__pb_put_summary(at, point);
    case KYMO_INFO:
        return put_number(at, KYMO__PB_GAUGE, 1);
    default:
        return put_number(at, KYMO__PB_UNTYPED, point->value.gauge);
    }
}

static inline char *put_value(char *at, const struct kymo_page *page, const struct kymo_family *family,
                              const struct kymo_point *point, struct open *open)
{
    if (family->kind == KYMO_COUNTER)
        return put_counter(at, page, point, open);
    if (family->kind == KYMO_GAUGE)
        return put_number(at, KYMO__PB_GAUGE, point->value.gauge);
    return put_rare_value(at, page, family, point);
}

/* One metric for each state, with the state under the family's name. */
static __attribute__((noinline)) char *put_states(char *at, const struct kymo_page *page,
                                                  const struct kymo_family *family, const struct kymo_point *point,
                                                  struct open *open)
{
    for (size_t i = 0; i < family->desc->n_states; i++) {
        const char *state = family->desc->states[i];
        at = kymo__put_tag(at, FAMILY_METRIC, KYMO__WIRE_BYTES);
        char *length = at++;
        at = put_labels(at, page, family, point, open);
        at = kymo__put_tag(at, KYMO__PB_LABEL, KYMO__WIRE_BYTES);
        char *pair = at++;
        at = put_name(at, page, family, 1, KYMO__LABEL_NAME);
        at = kymo__put_bytes(at, 2, state, strlen(state));
        at = kymo__nested_close(pair, 1, at);
        at = put_number(at, KYMO__PB_GAUGE, i < 64 ? (double)(point->value.states >> i & 1) : 0);
        at = kymo__nested_close(length, 1, at);
    }
    return at;
}

/* Inlined where most points go, however large it is. */
static inline __attribute__((always_inline)) char *put_point(char *at, const struct kymo_page *page,
                                                             const struct kymo_family *family,
                                                             const struct kymo_point *point, struct open *open)
{
    if (family->kind == KYMO_STATESET)
        return put_states(at, page, family, point, open);
    *at++ = FAMILY_METRIC << 3 | KYMO__WIRE_BYTES;
    char *length = at;
    at = put_labels(at + open->metric_bytes, page, family, point, open);
    at = put_value(at, page, family, point, open);
    return kymo__nested_end(length, &open->metric_bytes, at);
}

/* ---- messages ---- */

/*
 * Gauge histograms have a type of their own where they have native buckets. Classic ones go as histograms: Prometheus 2.42
 * gives the parts of the other type no suffixes, so that count and sum become one series.
 */
static uint64_t type_of(enum kymo_kind kind, const struct kymo_point *point)
{
    switch (kind) {
    case KYMO_COUNTER:
        return TYPE_COUNTER;
    case KYMO_HISTOGRAM:
        return TYPE_HISTOGRAM;
    case KYMO_SUMMARY:
        return TYPE_SUMMARY;
    case KYMO_GAUGE_HISTOGRAM:
        return point->value.histogram.native != NULL ? TYPE_GAUGE_HISTOGRAM : TYPE_HISTOGRAM;
    case KYMO_UNKNOWN:
        return TYPE_UNTYPED;
    default: /* an info and a state set are gauges that happen to be 0 or 1 */
        return TYPE_GAUGE;
    }
}

/* Whether a name, but for a counter's _total, ends in _unit: Prometheus 2.53 to 3.8 drops the page if it does not. */
static int has_unit(const char *name, size_t n, const char *unit, enum kymo_kind kind)
{
    size_t unit_len = strlen(unit);
    if (kind == KYMO_COUNTER && n > 6 && memcmp(name + n - 6, "_total", 6) == 0)
        n -= 6;
    return unit_len > 0 && n > unit_len && name[n - unit_len - 1] == '_' &&
           memcmp(name + n - unit_len, unit, unit_len) == 0;
}

static char *put_header(char *at, const struct kymo_page *page, const struct kymo_family *family,
                        const struct kymo_point *point)
{
    const struct kymo_desc *desc = family->desc;
    const char *name = at + 1;
    at = put_name(at, page, family, FAMILY_NAME, KYMO__METRIC_NAME);
    while ((*name++ & 0x80) != 0) /* its length */
        continue;
    size_t name_len = (size_t)(at - name);
    if (desc->help != NULL && desc->help[0] != '\0')
        at = kymo__put_bytes(at, FAMILY_HELP, desc->help, strlen(desc->help));
    at = kymo__put_uint_field(at, FAMILY_TYPE, type_of(family->kind, point));
    if (desc->unit != NULL && has_unit(name, name_len, desc->unit, family->kind))
        at = kymo__put_bytes(at, FAMILY_UNIT, desc->unit, strlen(desc->unit));
    return at;
}

static __attribute__((noinline)) int begin(struct kymo_page *page, const struct kymo_family *family,
                                           const struct kymo_point *point, struct open *open)
{
    if (header_room(family) + point_room(family, point) > (size_t)(page->end - page->at))
        return KYMO_EAGAIN;
    open->length = page->at;
    open->length_bytes = 1;
    open->metric_bytes = 1;
    open->constant_len = 0;
    keep_second(open, SECONDS_MIN * KYMO__NS_PER_S);
    char *at = put_header(page->at + 1, page, family, point);
    at = put_point(at, page, family, point, open);
    page->at = kymo__nested_end(open->length, &open->length_bytes, at);
    open->at = page->at;
    open->end = page->end;
    page->fresh = 0;
    return 0;
}

static inline int go_on(struct kymo_page *page, const struct kymo_family *family, const struct kymo_point *point,
                        struct open *open)
{
    if (point_room(family, point) > (size_t)(page->end - page->at))
        return KYMO_EAGAIN;
    char *at = put_point(page->at, page, family, point, open);
    page->at = kymo__nested_grow(open->length, &open->length_bytes, at);
    open->at = page->at;
    return 0;
}

static __attribute__((noinline)) int begin_without_scratch(struct kymo_page *page, const struct kymo_family *family,
                                                           const struct kymo_point *point)
{
    struct open open;
    return begin(page, family, point, &open);
}

static int sample(struct kymo_page *page, const struct kymo_family *family, const struct kymo_point *point)
{
    struct open *open = page->scratch;
    if (page->scratch_bytes < sizeof *open)
        return begin_without_scratch(page, family, point);
    if (page->fresh || open->at != page->at || open->end != page->end)
        return begin(page, family, point, open);
    return go_on(page, family, point, open);
}

#define CONTENT_TYPE "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

extern const struct kymo_encoder kymo__encoder_protobuf;
extern const struct kymo_format kymo__format_protobuf;
const struct kymo_encoder kymo__encoder_protobuf = {
    .size = sizeof(struct kymo_encoder),
    .name = "protobuf",
    .content_type = CONTENT_TYPE,
    .sample = sample,
    .finish = NULL,
};
const struct kymo_format kymo__format_protobuf = {
    .size = sizeof(struct kymo_format),
    .encoder = &kymo__encoder_protobuf,
    .content_type = CONTENT_TYPE,
};
