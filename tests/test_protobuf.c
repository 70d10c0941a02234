/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_protobuf.c - points become MetricFamily messages that another implementation decodes to the same values.
 *
 * How: points are built by hand, and what was written is decoded by protobuf-c from our own metrics.proto and compared
 * field by field; one page is compared byte for byte with one made by protoc. Texts of points with an id stand in blocks
 * that end where the encoder's right to read ends, pages in blocks that end with the page. After every point the page has
 * to be a row of whole messages.
 */
#include <float.h>
#include <math.h>

#include <kymo/kymo.h>

#include "encode/lines.h"
#include "encode/wire.h"
#include "metrics.pb-c.h"
#include "test.h"

#define ROOM 65536u
#define SECOND INT64_C(1000000000)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct kymo_encoder *encoder;
static const struct kymo_format *plain;
static double scratch[320];

/* ---- points ---- */

struct fixture {
    struct kymo_desc desc;
    struct kymo_family family;
    struct kymo_point point;
    char *name;
    char *labels;
};

/* A copy in a block that ends @spill bytes after the text. */
static char *copy_with_spill(const char *s, size_t spill)
{
    size_t n = strlen(s);
    char *copy = malloc(n + spill + 1);
    REQUIRE(copy != NULL);
    memset(copy, '"', n + spill + 1);
    memcpy(copy, s, n);
    copy[n + spill] = '\0';
    return copy;
}

static struct fixture *begin(enum kymo_kind kind, const char *name, uint64_t id, const char *labels)
{
    struct fixture *f = calloc(1, sizeof *f);
    REQUIRE(f != NULL);
    kymo_desc_init(&f->desc, name, "Help.");
    f->name = copy_with_spill(name, KYMO__SPILL);
    f->labels = copy_with_spill(labels, id != 0 ? KYMO__SPILL - 1 : 0);
    f->family = (struct kymo_family){.size = sizeof f->family,
                                     .desc = &f->desc,
                                     .kind = kind,
                                     .name = f->name,
                                     .name_len = strlen(name),
                                     .labels = ""};
    f->point =
        (struct kymo_point){.size = sizeof f->point, .id = id, .labels = f->labels, .labels_len = strlen(labels)};
    return f;
}

static void end(struct fixture *f)
{
    free(f->name);
    free(f->labels);
    free(f);
}

/* ---- pages ---- */

/* A page whose block ends where it ends; page_end() gives it back. */
static struct kymo_page page_begin(size_t room, int with_scratch)
{
    char *block = malloc(room + 1);
    REQUIRE(block != NULL);
    memset(block, 0x55, room + 1);
    memset(scratch, 0, sizeof scratch);
    return (struct kymo_page){
        block + 1, block + 1 + room, plain, 1, with_scratch ? scratch : NULL, with_scratch ? sizeof scratch : 0};
}

static void page_end(char *start)
{
    free(start - 1);
}

/* The next message of a page, and nothing but a length of the fewest bytes before it. */
static Metrics__Family *take(const char **at, const char *limit)
{
    uint64_t n = 0;
    const char *from = *at;
    for (int shift = 0;; shift += 7) {
        REQUIRE(*at < limit && shift < 35);
        unsigned char byte = (unsigned char)*(*at)++;
        n |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            break;
    }
    REQUIRE((size_t)(*at - from) == kymo__varint_size(n));
    REQUIRE(n <= (uint64_t)(limit - *at));
    Metrics__Family *family = metrics__family__unpack(NULL, (size_t)n, (const uint8_t *)*at);
    REQUIRE(family != NULL && family->n_metric > 0 && family->name != NULL && family->has_type);
    *at += n;
    return family;
}

static void drop(Metrics__Family *family)
{
    metrics__family__free_unpacked(family, NULL);
}

/* The point alone, decoded. */
static Metrics__Family *only_as(const struct fixture *f, const struct kymo_format *format)
{
    struct kymo_page page = page_begin(ROOM, 1);
    char *start = page.at;
    page.format = format;
    REQUIRE(encoder->sample(&page, &f->family, &f->point) == 0);
    REQUIRE(page.fresh == 0);
    const char *at = start;
    Metrics__Family *family = take(&at, page.at);
    REQUIRE(at == page.at);
    page_end(start);
    return family;
}

static Metrics__Family *only(const struct fixture *f)
{
    return only_as(f, plain);
}

static void check_label(const Metrics__Metric *metric, size_t i, const char *name, const char *value)
{
    REQUIRE(i < metric->n_label);
    CHECK_STRING(metric->label[i]->name, name);
    CHECK_STRING(metric->label[i]->value, value);
}

/* ---- varints ---- */

static void check_varint(uint64_t v)
{
    char exact[KYMO__VARINT_MAX + 1], loose[KYMO__WIRE_LOOSE + 1];
    memset(exact, 0x55, sizeof exact);
    memset(loose, 0x55, sizeof loose);
    size_t n = (size_t)(kymo__put_varint(exact, v) - exact);
    CHECK_U64(n, kymo__varint_size(v));
    CHECK_U64(kymo__put_varint_loose(loose, v) - loose, n);
    CHECK(memcmp(exact, loose, n) == 0);
    CHECK(exact[n] == 0x55 && loose[sizeof loose - 1] == 0x55);
    if (v >> 30 == 0) {
        memset(loose, 0x55, sizeof loose);
        CHECK_U64(kymo__put_varint30(loose, (uint32_t)v) - loose, n);
        CHECK(memcmp(exact, loose, n) == 0 && loose[sizeof loose - 1] == 0x55);
    }
    uint64_t back = 0;
    for (size_t i = 0; i < n; i++) {
        back |= (uint64_t)(exact[i] & 0x7f) << 7 * i;
        CHECK((exact[i] & 0x80) == (i + 1 < n ? 0x80 : 0));
    }
    CHECK_U64(back, v);
}

static void test_a_varint_has_the_fewest_bytes(void)
{
    uint64_t random = 1;
    check_varint(UINT64_MAX);
    for (unsigned bit = 0; bit < 64; bit++) {
        check_varint(UINT64_C(1) << bit);
        check_varint((UINT64_C(1) << bit) - 1);
        for (int i = 0; i < 100; i++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
            check_varint(random >> bit);
        }
    }
}

static void test_zigzag_keeps_small_numbers_small(void)
{
    static const int64_t signed_values[] = {0, -1, 1, -2, INT64_MAX, INT64_MIN};
    static const uint64_t wanted[] = {0, 1, 2, 3, UINT64_MAX - 1, UINT64_MAX};
    for (size_t i = 0; i < COUNT(wanted); i++)
        CHECK_U64(kymo__zigzag(signed_values[i]), wanted[i]);
}

/* ---- counters, gauges, infos, state sets, summaries ---- */

static void test_a_counter_has_name_labels_value_and_start(void)
{
    for (uint64_t id = 0; id < 2; id++) {
        struct fixture *f = begin(KYMO_COUNTER, "c_total", id, "a=\"b\",c=\"d e\"");
        f->point.value.counter.whole = 7;
        f->point.value.counter.fraction = 0.25;
        f->point.start_ns = 1700000000 * SECOND + 5;
        Metrics__Family *family = only(f);
        CHECK_STRING(family->name, "c_total");
        CHECK_STRING(family->help, "Help.");
        CHECK_INT((int)family->type, METRICS__TYPE__COUNTER);
        CHECK(family->unit == NULL);
        const Metrics__Metric *m = family->metric[0];
        CHECK(family->n_metric == 1 && m->n_label == 2 && !m->has_timestamp_ms);
        check_label(m, 0, "a", "b");
        check_label(m, 1, "c", "d e");
        CHECK(m->gauge == NULL && m->untyped == NULL && m->histogram == NULL && m->summary == NULL);
        REQUIRE(m->counter != NULL && m->counter->has_value && m->counter->start != NULL);
        CHECK_DOUBLE(m->counter->value, 7.25);
        CHECK(m->counter->exemplar == NULL);
        CHECK_U64(m->counter->start->seconds, 1700000000);
        CHECK_INT(m->counter->start->nanos, 5);
        drop(family);
        end(f);
    }
}

static void test_a_counter_of_zero_says_so(void)
{
    struct fixture *f = begin(KYMO_COUNTER, "c_total", 1, "");
    Metrics__Family *family = only(f);
    REQUIRE(family->metric[0]->counter != NULL);
    CHECK(family->metric[0]->counter->has_value && family->metric[0]->counter->value == 0);
    CHECK(family->metric[0]->counter->start == NULL);
    drop(family);
    f->point.value.counter.whole = (UINT64_C(1) << 53) + 3;
    family = only(f);
    CHECK_DOUBLE(family->metric[0]->counter->value, 9007199254740996.0);
    drop(family);
    end(f);
}

/* Every time in one page after the other, so that each finds another second kept. */
static void test_start_times_are_exact(void)
{
    static const int64_t times[] = {1,
                                    -1,
                                    999999999,
                                    SECOND,
                                    -SECOND,
                                    (INT64_C(1) << 28) * SECOND - 1,
                                    (INT64_C(1) << 28) * SECOND,
                                    (INT64_C(1) << 28) * SECOND + 1,
                                    1700000000 * SECOND,
                                    1700000000 * SECOND + 999999999,
                                    1700000001 * SECOND,
                                    1700000000 * SECOND + 1,
                                    INT64_MAX,
                                    INT64_MIN,
                                    1};
    struct fixture *f = begin(KYMO_COUNTER, "c_total", 1, "");
    struct kymo_page page = page_begin(ROOM, 1);
    char *start = page.at;
    for (size_t i = 0; i < COUNT(times); i++) {
        f->point.start_ns = times[i];
        REQUIRE(encoder->sample(&page, &f->family, &f->point) == 0);
    }
    const char *at = start;
    Metrics__Family *family = take(&at, page.at);
    REQUIRE(at == page.at && family->n_metric == COUNT(times));
    for (size_t i = 0; i < COUNT(times); i++) {
        const Metrics__Timestamp *t = family->metric[i]->counter->start;
        REQUIRE(t != NULL);
        CHECK(t->nanos >= 0 && t->nanos < SECOND);
        int64_t second = times[i] / SECOND, rest = times[i] % SECOND;
        CHECK(t->seconds == (rest < 0 ? second - 1 : second));
        CHECK(t->nanos == (rest < 0 ? rest + SECOND : rest));
    }
    drop(family);
    page_end(start);
    end(f);
}

static double from_bits(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static void test_gauges_and_unknowns_keep_every_double_but_mark_nothing_as_gone(void)
{
    const double values[] = {0, -0.0, 0.1, -DBL_MAX, 5e-324, INFINITY, -INFINITY};
    const double nans[] = {NAN, -NAN, from_bits(UINT64_C(0x7ff0000000000002))};
    for (int unknown = 0; unknown < 2; unknown++) {
        struct fixture *f = begin(unknown ? KYMO_UNKNOWN : KYMO_GAUGE, "g", 1, "");
        for (size_t i = 0; i < COUNT(values) + COUNT(nans); i++) {
            f->point.value.gauge = i < COUNT(values) ? values[i] : nans[i - COUNT(values)];
            Metrics__Family *family = only(f);
            const Metrics__Number *n = unknown ? family->metric[0]->untyped : family->metric[0]->gauge;
            CHECK_INT((int)family->type, unknown ? METRICS__TYPE__UNTYPED : METRICS__TYPE__GAUGE);
            REQUIRE(n != NULL && n->has_value);
            double want = i < COUNT(values) ? values[i] : from_bits(UINT64_C(0x7ff8000000000001));
            CHECK(memcmp(&n->value, &want, sizeof want) == 0);
            drop(family);
        }
        end(f);
    }
}

static void test_an_info_is_a_gauge_of_one(void)
{
    struct fixture *f = begin(KYMO_INFO, "build_info", 1, "version=\"1\"");
    Metrics__Family *family = only(f);
    CHECK_STRING(family->name, "build_info");
    CHECK_INT((int)family->type, METRICS__TYPE__GAUGE);
    REQUIRE(family->metric[0]->gauge != NULL);
    CHECK_DOUBLE(family->metric[0]->gauge->value, 1);
    check_label(family->metric[0], 0, "version", "1");
    drop(family);
    end(f);
}

static void test_a_state_set_is_a_gauge_for_each_state(void)
{
    static const char *const states[] = {"idle", "busy", "\"\\\n"};
    struct fixture *f = begin(KYMO_STATESET, "engine_state", 1, "gpu=\"0\"");
    f->desc.states = states;
    f->desc.n_states = COUNT(states);
    f->point.value.states = 5;
    Metrics__Family *family = only(f);
    CHECK_INT((int)family->type, METRICS__TYPE__GAUGE);
    REQUIRE(family->n_metric == COUNT(states));
    for (size_t i = 0; i < COUNT(states); i++) {
        check_label(family->metric[i], 0, "gpu", "0");
        check_label(family->metric[i], 1, "engine_state", states[i]);
        CHECK(family->metric[i]->n_label == 2);
        CHECK_DOUBLE(family->metric[i]->gauge->value, i == 1 ? 0 : 1);
    }
    drop(family);
    end(f);
}

static void test_a_summary_has_its_quantiles(void)
{
    const struct kymo_quantile quantiles[] = {{0, -1}, {0.5, 2.5}, {0.99, NAN}};
    struct fixture *f = begin(KYMO_SUMMARY, "s", 1, "");
    f->point.value.summary = (struct kymo_summary_point){17, -3.5, quantiles, COUNT(quantiles)};
    f->point.start_ns = 3 * SECOND;
    Metrics__Family *family = only(f);
    const Metrics__Summary *s = family->metric[0]->summary;
    CHECK_INT((int)family->type, METRICS__TYPE__SUMMARY);
    REQUIRE(s != NULL && s->n_quantile == COUNT(quantiles) && s->start != NULL);
    CHECK_U64(s->count, 17);
    CHECK_DOUBLE(s->sum, -3.5);
    CHECK_U64(s->start->seconds, 3);
    CHECK_U64(s->start->has_nanos, 0);
    for (size_t i = 0; i < COUNT(quantiles); i++) {
        CHECK(s->quantile[i]->has_quantile && s->quantile[i]->quantile == quantiles[i].quantile);
        CHECK(s->quantile[i]->has_value && (s->quantile[i]->value == quantiles[i].value || i == 2));
    }
    CHECK(isnan(s->quantile[2]->value));
    drop(family);
    f->point.value.summary = (struct kymo_summary_point){0, 0, NULL, 0};
    family = only(f);
    CHECK(family->metric[0]->summary->has_count && family->metric[0]->summary->has_sum);
    drop(family);
    end(f);
}

/* ---- histograms ---- */

static const double three_bounds[] = {-2.5, 0, 1e10};
static const uint64_t four_buckets[] = {2, 0, 300, 1};

static struct fixture *begin_histogram(enum kymo_kind kind)
{
    struct fixture *f = begin(kind, "h_seconds", 1, "a=\"b\"");
    f->point.value.histogram =
        (struct kymo_histogram_point){303, 12.5, three_bounds, COUNT(three_bounds), four_buckets, NULL};
    f->point.start_ns = 1700000000 * SECOND;
    return f;
}

static void test_a_histogram_is_cumulative(void)
{
    for (int gauge = 0; gauge < 2; gauge++) {
        struct fixture *f = begin_histogram(gauge ? KYMO_GAUGE_HISTOGRAM : KYMO_HISTOGRAM);
        f->point.value.histogram.count = 99; /* a collector's word against its own buckets */
        Metrics__Family *family = only(f);
        const Metrics__Histogram *h = family->metric[0]->histogram;
        CHECK_INT((int)family->type, METRICS__TYPE__HISTOGRAM);
        REQUIRE(h != NULL && h->n_bucket == COUNT(three_bounds));
        CHECK_U64(h->count, 303);
        CHECK_DOUBLE(h->sum, 12.5);
        CHECK((h->start != NULL) == !gauge);
        static const uint64_t cumulative[] = {2, 2, 302};
        for (size_t i = 0; i < COUNT(three_bounds); i++) {
            CHECK_U64(h->bucket[i]->count, cumulative[i]);
            CHECK(h->bucket[i]->has_bound && h->bucket[i]->bound == three_bounds[i]);
            CHECK(h->bucket[i]->exemplar == NULL);
        }
        CHECK(!h->has_schema && !h->has_zero_threshold && !h->has_zero_count && h->n_positive_span == 0);
        drop(family);
        end(f);
    }
}

static void check_exemplar(const Metrics__Exemplar *e, const struct kymo_exemplar_point *want, const char *value)
{
    REQUIRE(e != NULL && e->has_value);
    CHECK_DOUBLE(e->value, want->value);
    REQUIRE(e->n_label == (want->labels_len > 0));
    if (e->n_label > 0)
        CHECK(strcmp(e->label[0]->name, "trace_id") == 0 && strcmp(e->label[0]->value, value) == 0);
    REQUIRE((e->timestamp != NULL) == (want->timestamp_ns != 0));
    if (e->timestamp != NULL)
        CHECK_U64(e->timestamp->seconds * SECOND + e->timestamp->nanos, want->timestamp_ns);
}

#define TRACE "trace_id=\"x\\\"y\""
static const struct kymo_exemplar_point exemplars[] = {
    {TRACE, sizeof(TRACE) - 1, -3, 1700000000 * SECOND + 500000000, 0, 0},
    {"", 0, 7, 0, 2, 0},
    {TRACE, sizeof(TRACE) - 1, 1e11, 1, 3, 0},
};

static void test_exemplars_go_with_their_buckets(void)
{
    struct fixture *f = begin_histogram(KYMO_HISTOGRAM);
    f->point.exemplars = exemplars;
    for (size_t n = 0; n <= COUNT(exemplars); n++) {
        f->point.n_exemplars = n;
        Metrics__Family *family = only(f);
        const Metrics__Histogram *h = family->metric[0]->histogram;
        REQUIRE(h->n_bucket == (n == 3 ? 4 : 3));
        for (size_t i = 0, next = 0; i < h->n_bucket; i++) {
            if (next < n && exemplars[next].bucket == i)
                check_exemplar(h->bucket[i]->exemplar, &exemplars[next++], "x\"y");
            else
                CHECK(h->bucket[i]->exemplar == NULL);
        }
        if (n == 3)
            CHECK(h->bucket[3]->count == 303 && h->bucket[3]->bound == INFINITY);
        drop(family);
    }
    end(f);
}

static void test_a_counter_has_its_exemplar(void)
{
    struct fixture *f = begin(KYMO_COUNTER, "c_total", 1, "a=\"b\"");
    f->point.exemplars = exemplars;
    f->point.n_exemplars = 1;
    Metrics__Family *family = only(f);
    check_exemplar(family->metric[0]->counter->exemplar, &exemplars[0], "x\"y");
    drop(family);
    end(f);
}

/* ---- native histograms ---- */

struct side {
    const int32_t *index;
    const uint64_t *count;
    size_t n;
};

/* Spans and deltas become indices and counts again; every bucket written must be populated, or bridge at most two. */
static void check_side(const struct side *side, Metrics__Span *const *spans, size_t n_spans, const int64_t *deltas,
                       size_t n_deltas)
{
    int64_t index = 0, count = 0;
    size_t next = 0, used = 0, empty = 0;
    for (size_t s = 0; s < n_spans; s++) {
        CHECK(s == 0 || spans[s]->offset > 2);
        CHECK(spans[s]->length > 0);
        index += spans[s]->offset;
        for (uint32_t k = 0; k < spans[s]->length; k++, index++) {
            REQUIRE(used < n_deltas);
            count += deltas[used++];
            empty = count == 0 ? empty + 1 : 0;
            CHECK(empty <= 2);
            if (count == 0)
                continue;
            REQUIRE(next < side->n);
            CHECK_INT((int)index, side->index[next]);
            CHECK_U64((uint64_t)count, side->count[next]);
            next++;
        }
    }
    CHECK_U64(used, n_deltas);
    CHECK_U64(next, side->n);
}

static void check_native(const struct side *positive, const struct side *negative)
{
    const struct kymo_native_point native = {.schema = -4,
                                             .zero_threshold = 0,
                                             .zero_count = 3,
                                             .positive_index = positive->index,
                                             .positive_count = positive->count,
                                             .n_positive = positive->n,
                                             .negative_index = negative->index,
                                             .negative_count = negative->count,
                                             .n_negative = negative->n};
    uint64_t total = 3;
    for (size_t i = 0; i < positive->n; i++)
        total += positive->count[i];
    for (size_t i = 0; i < negative->n; i++)
        total += negative->count[i];
    struct fixture *f = begin(KYMO_HISTOGRAM, "h", 1, "");
    f->point.value.histogram.native = &native;
    Metrics__Family *family = only(f);
    const Metrics__Histogram *h = family->metric[0]->histogram;
    CHECK_U64(h->count, total);
    CHECK(h->has_schema && h->schema == -4 && h->has_zero_threshold && h->zero_count == 3 && h->n_bucket == 0);
    check_side(positive, h->positive_span, h->n_positive_span, h->positive_delta, h->n_positive_delta);
    check_side(negative, h->negative_span, h->n_negative_span, h->negative_delta, h->n_negative_delta);
    drop(family);
    end(f);
}

static void test_native_buckets_come_back_from_spans_and_deltas(void)
{
    enum { MOST = 200 };
    static int32_t index[2][MOST];
    static uint64_t count[2][MOST];
    uint64_t random = 7;
    for (int round = 0; round < 500; round++) {
        struct side sides[2];
        for (int s = 0; s < 2; s++) {
            int64_t at = INT32_MIN;
            sides[s] = (struct side){index[s], count[s], (size_t)round % MOST};
            for (size_t i = 0; i < sides[s].n; i++) {
                random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
                at += 1 + (int64_t)(random >> 60) % (round % 7 + 1) * (random >> 59 & 1 ? 1 : 1000003);
                index[s][i] = (int32_t)at;
                count[s][i] = 1 + (random >> 20) % (UINT64_C(1) << random % 50);
            }
        }
        check_native(&sides[0], &sides[1]);
    }
}

static void check_spans(Metrics__Span *const *spans, size_t n_spans, const int *wanted, size_t n)
{
    REQUIRE(n_spans == n);
    for (size_t i = 0; i < n; i++) {
        CHECK_INT(spans[i]->offset, wanted[2 * i]);
        CHECK_U64(spans[i]->length, (uint64_t)wanted[2 * i + 1]);
    }
}

/* The two ways in which the specification writes these buckets, with two gaps that are bridged; and a gap of three. */
static void test_gaps_of_one_and_two_are_bridged(void)
{
    static const int32_t index[] = {-2, -1, 2, 4, 5, 9};
    static const uint64_t count[] = {3, 5, 1, 3, 2, 4};
    static const int64_t deltas[] = {3, 2, -5, 0, 1, -1, 3, -1, 2};
    static const int spans[] = {-2, 8, 3, 1};
    struct fixture *f = begin(KYMO_HISTOGRAM, "h", 1, "");
    struct kymo_native_point native = {.positive_index = index, .positive_count = count};
    f->point.value.histogram.native = &native;
    for (native.n_positive = 5; native.n_positive <= 6; native.n_positive++) {
        Metrics__Family *family = only(f);
        const Metrics__Histogram *h = family->metric[0]->histogram;
        check_spans(h->positive_span, h->n_positive_span, spans, native.n_positive - 4);
        REQUIRE(h->n_positive_delta == native.n_positive + 3);
        CHECK(memcmp(h->positive_delta, deltas, h->n_positive_delta * sizeof deltas[0]) == 0);
        drop(family);
    }
    end(f);
}

static void test_an_empty_native_histogram_can_be_told(void)
{
    struct kymo_native_point native = {.schema = 3};
    static const uint64_t none = 0;
    static const int mark[] = {0, 1};
    struct fixture *f = begin(KYMO_HISTOGRAM, "h", 1, "");
    f->point.value.histogram.native = &native;
    f->point.value.histogram.buckets = &none;
    Metrics__Family *family = only(f);
    const Metrics__Histogram *h = family->metric[0]->histogram;
    CHECK(h->has_count && h->count == 0 && h->has_zero_count && h->has_zero_threshold && h->n_bucket == 0);
    check_spans(h->positive_span, h->n_positive_span, mark, 1);
    CHECK(h->n_positive_delta == 1 && h->positive_delta[0] == 0);
    drop(family);
    native.zero_threshold = DBL_MIN;
    family = only(f);
    h = family->metric[0]->histogram;
    CHECK(h->n_positive_span == 0 && h->n_positive_delta == 0);
    CHECK_DOUBLE(h->zero_threshold, DBL_MIN);
    drop(family);
    end(f);
}

static void test_a_gauge_histogram_with_native_buckets_has_its_own_type(void)
{
    const struct kymo_native_point native = {.schema = 0, .zero_count = 4};
    struct fixture *f = begin(KYMO_GAUGE_HISTOGRAM, "h", 1, "");
    f->point.value.histogram.native = &native;
    f->point.start_ns = SECOND;
    Metrics__Family *family = only(f);
    CHECK_INT((int)family->type, METRICS__TYPE__GAUGE_HISTOGRAM);
    CHECK(family->metric[0]->histogram->count == 4 && family->metric[0]->histogram->start == NULL);
    CHECK(family->metric[0]->histogram->has_schema && family->metric[0]->histogram->schema == 0);
    drop(family);
    end(f);
}

static void test_classic_and_native_buckets_go_together_with_exemplars(void)
{
    static const int32_t index = 1;
    static const uint64_t count = 303;
    const struct kymo_native_point native = {.schema = 8,
                                             .zero_threshold = 0.5,
                                             .positive_index = &index,
                                             .positive_count = &count,
                                             .n_positive = 1,
                                             .exemplars = exemplars,
                                             .n_exemplars = COUNT(exemplars)};
    struct fixture *f = begin_histogram(KYMO_HISTOGRAM);
    f->point.value.histogram.native = &native;
    Metrics__Family *family = only(f);
    const Metrics__Histogram *h = family->metric[0]->histogram;
    CHECK_U64(h->count, 303);
    CHECK_U64(h->n_bucket, 3);
    CHECK_INT(h->schema, 8);
    REQUIRE(h->n_exemplar == COUNT(exemplars) && h->start != NULL);
    for (size_t i = 0; i < COUNT(exemplars); i++)
        check_exemplar(h->exemplar[i], &exemplars[i], "x\"y");
    drop(family);
    end(f);
}

/* Made by protoc from the same fields. */
static void test_the_bytes_are_those_of_another_encoder(void)
{
    static const char hex[] =
        "410a0168120178180422373a350804110000000000001840280631000000000000f0373801620210016204080e"
        "10016204080810016a030200007a060880e2cfaa06";
    static const int32_t index[] = {0, 8, 13};
    static const uint64_t count[] = {1, 1, 1};
    const struct kymo_native_point native = {.schema = 3,
                                             .zero_threshold = 0x1p-128,
                                             .zero_count = 1,
                                             .positive_index = index,
                                             .positive_count = count,
                                             .n_positive = 3};
    struct fixture *f = begin(KYMO_HISTOGRAM, "h", 1, "");
    f->desc.help = "x";
    f->point.value.histogram = (struct kymo_histogram_point){.count = 4, .sum = 6, .native = &native};
    f->point.start_ns = 1700000000 * SECOND;
    struct kymo_page page = page_begin(ROOM, 1);
    char *start = page.at, text[256] = "";
    REQUIRE(encoder->sample(&page, &f->family, &f->point) == 0);
    for (size_t i = 0; start + i < page.at && i < 120; i++)
        snprintf(text + 2 * i, 3, "%02x", (unsigned char)start[i]);
    CHECK_STRING(text, hex);
    page_end(start);
    end(f);
}

/* ---- headers and names ---- */

static void test_a_unit_is_only_said_where_the_name_has_it(void)
{
    static const struct {
        enum kymo_kind kind;
        const char *name, *unit;
        int said;
    } cases[] = {
        {KYMO_GAUGE, "a_seconds", "seconds", 1},
        {KYMO_GAUGE, "aseconds", "seconds", 0},
        {KYMO_GAUGE, "seconds", "seconds", 0},
        {KYMO_GAUGE, "a_seconds", "bytes", 0},
        {KYMO_GAUGE, "a_seconds", "", 0},
        {KYMO_GAUGE, "a_seconds_total", "seconds", 0},
        {KYMO_COUNTER, "a_seconds_total", "seconds", 1},
        {KYMO_COUNTER, "a_seconds", "seconds", 1},
        {KYMO_COUNTER, "a_total", "total", 0},
        {KYMO_COUNTER, "a_total", NULL, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fixture *f = begin(cases[i].kind, cases[i].name, 1, "");
        f->desc.unit = cases[i].unit;
        Metrics__Family *family = only(f);
        CHECK((family->unit != NULL) == cases[i].said);
        if (family->unit != NULL)
            CHECK_STRING(family->unit, cases[i].unit);
        CHECK_STRING(family->name, cases[i].name);
        drop(family);
        end(f);
    }
}

static void test_names_follow_the_format(void)
{
    static const struct {
        enum kymo_escaping escaping;
        const char *name, *label, *other;
    } cases[] = {
        {KYMO_ALLOW_UTF8, "my.metric_\xc3\xa9", "a.\"b\"\\\n", "c"},
        {KYMO_ESCAPE_UNDERSCORES, "my_metric__", "a__b___", "c"},
        {KYMO_ESCAPE_DOTS, "my_dot_metric____", "a_dot___b______", "c"},
        {KYMO_ESCAPE_VALUES, "U__my_2e_metric___e9_", "U__a_2e__22_b_22__5c__a_", "c"},
    };
    static const char *const label_names[] = {"a.\"b\"\\\n", "c"}, *const values[] = {"1\n", "2"};
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (int from_values = 0; from_values < 2; from_values++) {
            struct kymo_format format = *plain;
            struct fixture *f = begin(KYMO_COUNTER, "my.metric_\xc3\xa9", 1, "\"a.\\\"b\\\"\\\\\\n\"=\"1\\n\",c=\"2\"");
            f->family.utf8 = 1;
            f->family.labels = "\"x.y\"=\"z\"";
            f->family.labels_len = strlen(f->family.labels);
            kymo_desc_set_labels(&f->desc, label_names, 2);
            f->point.values = from_values ? values : NULL;
            f->point.labels = from_values ? NULL : f->labels;
            format.escaping = cases[i].escaping;
            Metrics__Family *family = only_as(f, &format);
            CHECK_STRING(family->name, cases[i].name);
            REQUIRE(family->metric[0]->n_label == 3);
            check_label(family->metric[0], 1, cases[i].label, "1\n");
            check_label(family->metric[0], 2, cases[i].other, "2");
            drop(family);
            end(f);
        }
    }
}

/* ---- labels ---- */

static uint64_t next_random(uint64_t *random)
{
    *random = *random * UINT64_C(6364136223846793005) + 1442695040888963407;
    return *random >> 33;
}

static void random_string(char *to, size_t most, int escapes, uint64_t *random)
{
    size_t n = next_random(random) % (most + 1);
    for (size_t i = 0; i < n; i++)
        to[i] = escapes && next_random(random) % 8 == 0 ? "\"\\\n,="[next_random(random) % 5]
                                                        : (char)('a' + next_random(random) % 26);
    to[n] = '\0';
}

enum { MOST_LABELS = 9, LONGEST = 300 };

struct label_set {
    char names[MOST_LABELS][LONGEST + 8], values[MOST_LABELS][LONGEST + 8];
    const char *name_list[MOST_LABELS], *value_list[MOST_LABELS];
    size_t n;
    char text[MOST_LABELS * 3 * LONGEST];
};

static void random_labels(struct label_set *set, int round, uint64_t *random)
{
    char *at = set->text;
    set->n = next_random(random) % MOST_LABELS;
    for (size_t i = 0; i < set->n; i++) {
        snprintf(set->names[i], sizeof set->names[i], "l%zu", i);
        random_string(set->names[i] + 2, round % 5 == 0 ? LONGEST : 10, 0, random);
        random_string(set->values[i], round % 3 == 0 ? LONGEST : 24, round % 4 == 0, random);
        set->name_list[i] = set->names[i];
        set->value_list[i] = set->values[i];
        at += sprintf(at, "%s%s=\"", i > 0 ? "," : "", set->names[i]);
        for (const char *v = set->values[i]; *v != '\0'; v++) {
            if (*v == '"' || *v == '\\' || *v == '\n')
                *at++ = '\\';
            *at++ = *v == '\n' ? 'n' : *v;
        }
        *at++ = '"';
    }
    *at = '\0';
}

static void check_labels(const struct label_set *set, const Metrics__Metric *metric, size_t n_const)
{
    REQUIRE(metric->n_label == set->n + n_const);
    if (n_const > 0)
        check_label(metric, 0, "site", "a \"b\"");
    for (size_t i = 0; i < set->n; i++)
        check_label(metric, n_const + i, set->names[i], set->values[i]);
}

/* The registry's own texts, other texts, and values: three ways through the encoder. */
static void test_labels_come_back_whatever_they_are_made_of(void)
{
    static struct label_set set;
    uint64_t random = 5;
    for (int round = 0; round < 3000; round++) {
        random_labels(&set, round, &random);
        for (int way = 0; way < 3; way++) {
            struct fixture *f = begin(KYMO_GAUGE, "g", way == 0, way < 2 ? set.text : "");
            kymo_desc_set_labels(&f->desc, set.name_list, set.n);
            f->family.labels = round % 2 ? "site=\"a \\\"b\\\"\"" : "";
            f->family.labels_len = strlen(f->family.labels);
            if (way == 2) {
                f->point.labels = NULL;
                f->point.values = set.value_list;
            }
            f->point.value.gauge = round;
            Metrics__Family *family = only(f);
            check_labels(&set, family->metric[0], (size_t)round % 2);
            CHECK_DOUBLE(family->metric[0]->gauge->value, round);
            drop(family);
            end(f);
        }
    }
}

/* Kept from one point to the next, they must end with their family; one of them is too long to be kept. */
static void test_constant_labels_are_those_of_the_family(void)
{
    static char texts[4][3000];
    struct fixture *f = begin(KYMO_GAUGE, "g", 1, "a=\"b\"");
    struct kymo_page page = page_begin(ROOM, 1);
    char *start = page.at;
    memset(texts[2], 'x', 2900);
    strcpy(texts[0], "c=\"1\"");
    strcpy(texts[1], "c=\"22\",d=\"3\"");
    memcpy(texts[2], "c=\"", 3);
    texts[2][2899] = '"';
    for (size_t i = 0; i < 12; i++) {
        page.fresh = i % 3 == 0 ? 1 : page.fresh;
        f->family.labels = texts[i / 3];
        f->family.labels_len = strlen(texts[i / 3]);
        REQUIRE(encoder->sample(&page, &f->family, &f->point) == 0);
    }
    const char *at = start;
    for (size_t i = 0; i < 4; i++) {
        static const size_t n_labels[] = {2, 3, 2, 1}, n_bytes[] = {1, 2, 2896, 1};
        Metrics__Family *family = take(&at, page.at);
        REQUIRE(family->n_metric == 3);
        for (size_t k = 0; k < 3; k++) {
            REQUIRE(family->metric[k]->n_label == n_labels[i]);
            CHECK_U64(strlen(family->metric[k]->label[0]->value), n_bytes[i]);
            check_label(family->metric[k], n_labels[i] - 1, "a", "b");
        }
        drop(family);
    }
    CHECK(at == page.at);
    page_end(start);
    end(f);
}

/* ---- pages ---- */

/* All kinds in turn, with lists and texts of every size. */
static struct fixture *nth_point(size_t i)
{
    static double bounds[64];
    static const uint64_t buckets[65] = {1, 0, UINT64_C(1) << 40, 3};
    static const int32_t index[] = {-1000000, 0, 1, 5};
    static const uint64_t counts[] = {UINT64_C(1) << 60, 1, 2, 3};
    static const struct kymo_native_point native = {.schema = 8,
                                                    .positive_index = index,
                                                    .positive_count = counts,
                                                    .n_positive = 4,
                                                    .negative_index = index,
                                                    .negative_count = counts,
                                                    .n_negative = 4,
                                                    .exemplars = exemplars,
                                                    .n_exemplars = COUNT(exemplars)};
    static const char *const states[] = {"s", "long_state_with_a_name_that_takes_room"};
    static const struct kymo_quantile quantiles[] = {{0.5, 1}, {0.9, 2}};
    static const enum kymo_kind kinds[] = {KYMO_COUNTER,  KYMO_GAUGE,   KYMO_HISTOGRAM,       KYMO_INFO,
                                           KYMO_STATESET, KYMO_SUMMARY, KYMO_GAUGE_HISTOGRAM, KYMO_UNKNOWN};
    static const char *const labels[] = {"", "a=\"b\"", "a=\"\\\"\\\\\\n\",b=\"0123456789012345678901234567890\""};
    for (int k = 0; k < 64; k++)
        bounds[k] = k - 31;
    struct fixture *f = begin(kinds[i % 8], "any_name_seconds_total", i / 8 % 2, labels[i / 16 % 3]);
    f->desc.states = states;
    f->desc.n_states = 2;
    f->desc.unit = "seconds";
    f->family.labels = i / 48 % 2 ? "const_label=\"value\"" : "";
    f->family.labels_len = strlen(f->family.labels);
    f->point.start_ns = -1;
    if (f->family.kind == KYMO_HISTOGRAM || f->family.kind == KYMO_GAUGE_HISTOGRAM) {
        f->point.value.histogram = (struct kymo_histogram_point){0, 1, bounds, 64, buckets, &native};
        f->point.exemplars = exemplars;
        f->point.n_exemplars = COUNT(exemplars);
    }
    if (f->family.kind == KYMO_SUMMARY)
        f->point.value.summary = (struct kymo_summary_point){1, 2, quantiles, 2};
    return f;
}

static void test_in_every_room_a_point_is_whole_or_absent(void)
{
    for (size_t i = 0; i < 96; i++) {
        struct fixture *f = nth_point(i);
        size_t fitted = 0;
        for (size_t room = 0; room < 8192; room += room < 1500 ? 1 : 61) {
            struct kymo_page page = page_begin(room, room % 2 == 0);
            char *start = page.at;
            int r = encoder->sample(&page, &f->family, &f->point);
            CHECK(r == 0 || r == KYMO_EAGAIN);
            if (r == 0) {
                const char *at = start;
                drop(take(&at, page.at));
                CHECK(at == page.at && page.at <= page.end && page.fresh == 0);
                fitted++;
            } else {
                CHECK(page.at == start && page.fresh == 1 && fitted == 0);
                CHECK(room == 0 || (start[0] == 0x55 && memcmp(start, start + 1, room - 1) == 0));
            }
            page_end(start);
        }
        CHECK(fitted > 0);
        end(f);
    }
}

static size_t metrics_in(const char *at, const char *limit, size_t *n_messages)
{
    size_t n = 0;
    for (*n_messages = 0; at < limit; ++*n_messages) {
        Metrics__Family *family = take(&at, limit);
        CHECK_STRING(family->name, "g");
        CHECK_STRING(family->help, "Help.");
        CHECK_INT((int)family->type, METRICS__TYPE__GAUGE);
        for (size_t i = 0; i < family->n_metric; i++)
            CHECK_DOUBLE(family->metric[i]->gauge->value, (double)n++);
        drop(family);
    }
    return n;
}

/* Through 127, 128 and 16383, 16384 bytes; without scratch, or if it is lost, there are more messages but no fewer points. */
static void test_after_every_point_the_page_is_whole(void)
{
    static const struct {
        int with_scratch;
        size_t lost_every, n_messages;
    } cases[] = {{1, 0, 1}, {1, 100, 15}, {0, 0, 1500}};
    enum { N = 1500 };
    for (size_t c = 0; c < COUNT(cases); c++) {
        struct fixture *f = begin(KYMO_GAUGE, "g", 1, "a=\"b\"");
        struct kymo_page page = page_begin(4 * ROOM, cases[c].with_scratch);
        char *start = page.at;
        size_t n_messages = 0;
        for (size_t i = 0; i < N; i++) {
            if (cases[c].lost_every != 0 && i % cases[c].lost_every == 0)
                memset(scratch, 0, sizeof scratch);
            f->point.value.gauge = (double)i;
            REQUIRE(encoder->sample(&page, &f->family, &f->point) == 0);
            if (i < 40 || i % 50 == 0 || (page.at - start > 16300 && page.at - start < 16500))
                CHECK_U64(metrics_in(start, page.at, &n_messages), i + 1);
        }
        CHECK(page.at - start > 16384 + 1000);
        CHECK_U64(metrics_in(start, page.at, &n_messages), N);
        CHECK_U64(n_messages, cases[c].n_messages);
        page_end(start);
        end(f);
    }
}

/* What a full page leaves behind must not be taken for the next one's: each begins with the family's name. */
static void test_a_large_family_is_a_message_on_each_page(void)
{
    enum { N = 5000, PAGE = 5000 };
    struct fixture *f = begin(KYMO_GAUGE, "g", 1, "a=\"0123456789\",b=\"x\"");
    struct kymo_page page = page_begin(PAGE, 1);
    char *start = page.at, *all = malloc(64 * N), *to = all;
    REQUIRE(all != NULL);
    size_t n_pages = 1, n_messages;
    for (size_t i = 0; i < N; i++) {
        f->point.value.gauge = (double)i;
        while (encoder->sample(&page, &f->family, &f->point) == KYMO_EAGAIN) {
            REQUIRE(page.at != start);
            memcpy(to, start, (size_t)(page.at - start));
            to += page.at - start;
            page.at = start;
            n_pages++;
        }
    }
    memcpy(to, start, (size_t)(page.at - start));
    to += page.at - start;
    CHECK_U64(metrics_in(all, to, &n_messages), N);
    CHECK_U64(n_messages, n_pages);
    CHECK(n_pages > 20);
    free(all);
    page_end(start);
    end(f);
}

/* ---- a registry ---- */

struct tally {
    size_t n_chunks, n_messages, n_metrics;
    unsigned char seen[20000];
};

/* Each chunk is decoded for itself: a message never lies on two. */
static int count_chunk(void *ctx, const char *data, size_t n)
{
    struct tally *t = ctx;
    const char *at = data;
    CHECK(n <= ROOM);
    for (t->n_chunks++; at < data + n; t->n_messages++) {
        Metrics__Family *family = take(&at, data + n);
        CHECK_STRING(family->name, "many_total");
        CHECK_STRING(family->help, "One of many.");
        CHECK_INT((int)family->type, METRICS__TYPE__COUNTER);
        t->n_metrics += family->n_metric;
        for (size_t i = 0; i < family->n_metric; i++) {
            const Metrics__Metric *m = family->metric[i];
            size_t number = strtoul(m->label[1]->value, NULL, 10);
            REQUIRE(m->n_label == 3 && number < sizeof t->seen);
            check_label(m, 0, "site", "here");
            CHECK_DOUBLE(m->counter->value, (double)number);
            CHECK(m->counter->start != NULL);
            t->seen[number]++;
        }
        drop(family);
    }
    return 0;
}

static void test_a_registry_of_many_series_arrives_once_and_whole(void)
{
    static struct tally tally;
    static const struct kymo_label site = {"site", "here"};
    const struct kymo_registry_options options = {
        .size = sizeof options,
        .const_labels = &site,
        .n_const_labels = 1,
        .no_self_metrics = 1,
        .max_series = sizeof tally.seen,
    };
    const struct kymo_sink sink = {sizeof sink, &tally, count_chunk};
    struct kymo_registry *reg;
    struct kymo_counter_family *family;
    REQUIRE(kymo_registry_new(&options, &reg) == 0);
    REQUIRE(
        kymo_counter_family_new(reg,
                                KYMO_DESC(.name = "many_total", .help = "One of many.", KYMO_LABELS("number", "text"),
                                          KYMO_GUARD(.max_series = sizeof tally.seen)),
                                &family) == 0);
    for (size_t i = 0; i < sizeof tally.seen; i++) {
        char number[24];
        snprintf(number, sizeof number, "%zu", i);
        struct kymo_counter *c =
            kymo_counter_with(family, KYMO_VALUES(number, i % 10 ? "plain" : "with \"quotes\" in it"));
        REQUIRE(c != NULL);
        kymo_counter_add_int(c, i);
        kymo_counter_release(c);
    }
    REQUIRE(kymo_registry_write(reg, plain, &sink) == 0);
    CHECK_U64(tally.n_metrics, sizeof tally.seen);
    CHECK_U64(tally.n_messages, tally.n_chunks);
    CHECK(tally.n_chunks > 10);
    for (size_t i = 0; i < sizeof tally.seen; i++)
        CHECK_INT(tally.seen[i], 1);
    kymo_registry_free(reg);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        TEST(test_a_varint_has_the_fewest_bytes),
        TEST(test_zigzag_keeps_small_numbers_small),
        TEST(test_a_counter_has_name_labels_value_and_start),
        TEST(test_a_counter_of_zero_says_so),
        TEST(test_start_times_are_exact),
        TEST(test_gauges_and_unknowns_keep_every_double_but_mark_nothing_as_gone),
        TEST(test_an_info_is_a_gauge_of_one),
        TEST(test_a_state_set_is_a_gauge_for_each_state),
        TEST(test_a_summary_has_its_quantiles),
        TEST(test_a_histogram_is_cumulative),
        TEST(test_exemplars_go_with_their_buckets),
        TEST(test_a_counter_has_its_exemplar),
        TEST(test_native_buckets_come_back_from_spans_and_deltas),
        TEST(test_gaps_of_one_and_two_are_bridged),
        TEST(test_an_empty_native_histogram_can_be_told),
        TEST(test_a_gauge_histogram_with_native_buckets_has_its_own_type),
        TEST(test_classic_and_native_buckets_go_together_with_exemplars),
        TEST(test_the_bytes_are_those_of_another_encoder),
        TEST(test_a_unit_is_only_said_where_the_name_has_it),
        TEST(test_names_follow_the_format),
        TEST(test_labels_come_back_whatever_they_are_made_of),
        TEST(test_constant_labels_are_those_of_the_family),
        TEST(test_in_every_room_a_point_is_whole_or_absent),
        TEST(test_after_every_point_the_page_is_whole),
        TEST(test_a_large_family_is_a_message_on_each_page),
        TEST(test_a_registry_of_many_series_arrives_once_and_whole),
    };
    encoder = kymo_encoder_find("protobuf");
    plain = kymo_format_find("protobuf");
    REQUIRE(encoder != NULL && plain != NULL && plain->encoder == encoder);
    return test_main(argc, argv, tests, COUNT(tests));
}
