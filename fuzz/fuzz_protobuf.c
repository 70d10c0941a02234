/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_protobuf.c - whatever stands in help, labels and buckets, the page is a row of well-formed messages and gives the
 * same strings and counts back.
 *
 * Input: two bytes choose the kind, a constant label and how much scratch there is; one says how many bytes of indices
 * follow, two to a bucket; the rest is split at NULs into help, the value of a constant label and up to eight label
 * values, made ASCII if it is not UTF-8. The point is written three times into one page, which grows where it is full,
 * from escaped text and from plain values. What reads it back shares no code with the encoder.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kymo/kymo.h>

#include "base/escape.h"
#include "encode/lines.h"
#include "text_parser.h"

#define FUZZ_NAME "fuzz_protobuf"
#include "must.h"

enum { MAX_LABELS = 8, MAX_STRINGS = 2 + MAX_LABELS, MAX_BUCKETS = 127, POINTS = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    char *bytes;
    const char *strings[MAX_STRINGS]; /* help, constant label, labels */
    size_t n_strings;
    enum kymo_kind kind;
    int with_const, with_scratch;
    int32_t index[MAX_BUCKETS];
    uint64_t count[MAX_BUCKETS];
    size_t n_buckets;
};

/* ---- the input ---- */

static void read_buckets(struct input *in, const uint8_t *data, size_t n)
{
    int32_t at = -1000;
    for (size_t i = 0; i + 1 < n; i += 2) {
        at += 1 + (data[i] & 7) * (data[i] & 8 ? 100000 : 1);
        in->index[in->n_buckets] = at;
        in->count[in->n_buckets++] = (UINT64_C(1) << data[i + 1] % 56) + data[i];
    }
}

static void read_strings(struct input *in, const uint8_t *data, size_t size)
{
    in->bytes = room(size + 1);
    memcpy(in->bytes, data, size);
    int valid = text_is_utf8(in->bytes, size);
    for (size_t i = 0; !valid && i < size; i++)
        in->bytes[i] = (char)(in->bytes[i] & 0x7f);
    for (const char *at = in->bytes; in->n_strings < MAX_STRINGS && at <= in->bytes + size; at += strlen(at) + 1)
        in->strings[in->n_strings++] = at;
    if (in->n_strings < 2)
        in->strings[in->n_strings++] = "";
}

static void read_input(struct input *in, const uint8_t *data, size_t size)
{
    static const enum kymo_kind kinds[] = {KYMO_COUNTER, KYMO_GAUGE,           KYMO_HISTOGRAM, KYMO_INFO,
                                           KYMO_UNKNOWN, KYMO_GAUGE_HISTOGRAM, KYMO_SUMMARY};
    size_t n = data[2] < size - 3 ? data[2] : size - 3;
    *in = (struct input){.kind = kinds[data[0] % 7], .with_const = data[1] & 1, .with_scratch = data[1] >> 1 & 1};
    read_buckets(in, data + 3, n);
    read_strings(in, data + 3 + n, size - 3 - n);
}

/* ---- reading messages ---- */

struct bytes {
    const unsigned char *at, *end;
};

struct field {
    uint64_t number;
    uint64_t value;     /* of a varint or the bits of a double */
    struct bytes bytes; /* of a string or message */
};

static uint64_t take_varint(struct bytes *b)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        must(b->at < b->end, "a varint ends before what it is in");
        unsigned char byte = *b->at++;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            must(byte != 0 || shift == 0, "a varint has no byte too many");
            return v;
        }
    }
    must(0, "a varint has ten bytes at most");
    return 0;
}

static struct bytes take_bytes(struct bytes *b)
{
    uint64_t n = take_varint(b);
    must(n <= (uint64_t)(b->end - b->at), "a message ends before what it is in");
    struct bytes part = {b->at, b->at + n};
    b->at += n;
    return part;
}

static int next_field(struct bytes *b, struct field *f)
{
    if (b->at == b->end)
        return 0;
    uint64_t tag = take_varint(b);
    *f = (struct field){.number = tag >> 3};
    if ((tag & 7) == 0) {
        f->value = take_varint(b);
    } else if ((tag & 7) == 1) {
        must(b->end - b->at >= 8, "a double has eight bytes");
        for (int i = 0; i < 8; i++)
            f->value |= (uint64_t)*b->at++ << 8 * i;
    } else {
        must((tag & 7) == 2, "no other types of fields");
        f->bytes = take_bytes(b);
    }
    return 1;
}

static void must_be(struct bytes got, const char *wanted, const char *what)
{
    must((size_t)(got.end - got.at) == strlen(wanted) && memcmp(got.at, wanted, strlen(wanted)) == 0, what);
}

/* ---- what the messages must say ---- */

static void check_label(const struct input *in, struct bytes label, size_t i)
{
    char name[3] = "l0";
    struct field f;
    must(next_field(&label, &f) && f.number == 1, "a label has a name");
    size_t own = i - (size_t)in->with_const;
    name[1] = (char)('0' + own);
    must_be(f.bytes, in->with_const && i == 0 ? "site" : name, "a label's name comes back");
    must(next_field(&label, &f) && f.number == 2 && label.at == label.end, "a label has a value and nothing else");
    must_be(f.bytes, in->with_const && i == 0 ? in->strings[1] : in->strings[2 + own], "a label's value comes back");
}

static int64_t unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

struct sides {
    struct bytes spans[256];
    size_t n_spans;
    struct bytes deltas;
};

static void check_side(const struct input *in, const struct sides *sides)
{
    struct bytes deltas = sides->deltas;
    int64_t index = 0, count = 0;
    size_t next = 0;
    for (size_t s = 0; s < sides->n_spans; s++) {
        struct bytes span = sides->spans[s];
        struct field f;
        uint64_t length = 0;
        while (next_field(&span, &f)) {
            if (f.number == 1)
                index += unzigzag(f.value);
            else
                length = f.value;
        }
        for (; length > 0; length--, index++) {
            count += unzigzag(take_varint(&deltas));
            if (count == 0)
                continue;
            must(next < in->n_buckets && in->index[next] == index, "a bucket is where it was");
            must(in->count[next++] == (uint64_t)count, "a bucket's count comes back");
        }
    }
    must(next == in->n_buckets && deltas.at == deltas.end, "all buckets are there");
}

static void check_histogram(const struct input *in, struct bytes histogram)
{
    static struct sides negative, positive;
    struct field f;
    uint64_t count = 0, zero_count = 0, total = 0;
    negative = (struct sides){.n_spans = 0};
    positive = (struct sides){.n_spans = 0};
    while (next_field(&histogram, &f)) {
        struct sides *sides = f.number < 11 ? &negative : &positive;
        if (f.number == 1)
            count = f.value;
        else if (f.number == 7)
            zero_count = f.value;
        else if (f.number == 9 || f.number == 12)
            sides->spans[sides->n_spans++] = f.bytes;
        else if (f.number == 10 || f.number == 13)
            sides->deltas = f.bytes;
    }
    for (size_t i = 0; i < in->n_buckets; i++)
        total += 2 * in->count[i];
    must(zero_count == 1 && count == total + 1, "the count is that of the buckets");
    check_side(in, &negative);
    check_side(in, &positive);
}

static void check_metric(const struct input *in, struct bytes metric)
{
    static const unsigned char value_field[] = {
        [KYMO_COUNTER] = 3, [KYMO_GAUGE] = 2,           [KYMO_HISTOGRAM] = 7, [KYMO_INFO] = 2,
        [KYMO_SUMMARY] = 4, [KYMO_GAUGE_HISTOGRAM] = 7, [KYMO_UNKNOWN] = 5};
    struct field f;
    size_t n_labels = 0, n_values = 0;
    while (next_field(&metric, &f)) {
        if (f.number == 1) {
            check_label(in, f.bytes, n_labels++);
            continue;
        }
        must(f.number == value_field[in->kind], "the value is of its kind");
        n_values++;
        if (f.number == 7)
            check_histogram(in, f.bytes);
    }
    must(n_values == 1 && n_labels == in->n_strings - 2 + (size_t)in->with_const, "a value and all labels are there");
}

static void check_page(const struct input *in, struct bytes page)
{
    size_t n_messages = 0, n_metrics = 0;
    for (; page.at != page.end; n_messages++) {
        struct bytes family = take_bytes(&page);
        struct field f;
        while (next_field(&family, &f)) {
            if (f.number == 1)
                must_be(f.bytes, "fuzz_total", "the name comes back");
            else if (f.number == 2)
                must_be(f.bytes, in->strings[0], "help comes back");
            else if (f.number == 4)
                check_metric(in, f.bytes);
            n_metrics += f.number == 4;
        }
    }
    must(n_metrics == POINTS, "every point is there");
    must(n_messages == (in->with_scratch ? 1 : POINTS), "a family is one message as long as there is scratch");
}

/* ---- writing ---- */

static char *make_pairs(const char *const *names, const char *const *values, size_t n, size_t *len)
{
    *len = kymo__label_pairs_size(names, values, n);
    char *pairs = room(*len + KYMO__SPILL);
    kymo__label_pairs(pairs, names, values, n);
    return pairs;
}

/* All points in one page of exactly @cap bytes; 0 if it is too small. */
static int write_points(const struct input *in, const struct kymo_family *family, const struct kymo_point *points,
                        size_t cap)
{
    const struct kymo_encoder *encoder = kymo_encoder_find("protobuf");
    static double scratch[320];
    char *text = room(cap);
    struct kymo_page page = {text, text + cap, kymo_format_find("protobuf"), 1, NULL, 0};
    int r = 0;
    memset(scratch, 0, sizeof scratch);
    if (in->with_scratch) {
        page.scratch = scratch;
        page.scratch_bytes = sizeof scratch;
    }
    for (size_t i = 0; i < POINTS && r == 0; i++) {
        const char *before = page.at;
        r = encoder->sample(&page, family, &points[i]);
        must(r == 0 || (r == KYMO_EAGAIN && page.at == before), "nothing was written without room");
    }
    if (r == 0)
        check_page(in, (struct bytes){(const unsigned char *)text, (const unsigned char *)page.at});
    free(text);
    return r == 0;
}

static void set_value(const struct input *in, const struct kymo_native_point *native, struct kymo_point *point)
{
    if (in->kind == KYMO_HISTOGRAM || in->kind == KYMO_GAUGE_HISTOGRAM)
        point->value.histogram.native = native;
    else if (in->kind == KYMO_SUMMARY)
        point->value.summary.count = 1;
    else
        point->start_ns = (int64_t)in->n_strings << 50;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"l0", "l1", "l2", "l3", "l4", "l5", "l6", "l7"}, *const const_name = "site";
    static struct input in;
    struct kymo_desc desc;
    char name[sizeof("fuzz_total") + KYMO__SPILL] = "fuzz_total";
    if (size < 3)
        return 0;
    read_input(&in, data, size);
    kymo_desc_init(&desc, name, in.strings[0]);
    kymo_desc_set_labels(&desc, names, in.n_strings - 2);
    struct kymo_family family = {
        .size = sizeof family, .desc = &desc, .kind = in.kind, .name = name, .name_len = strlen(name)};
    char *const_pairs = make_pairs(&const_name, &in.strings[1], (size_t)in.with_const, &family.labels_len);
    family.labels = const_pairs;
    const struct kymo_native_point native = {.zero_count = 1,
                                             .positive_index = in.index,
                                             .positive_count = in.count,
                                             .n_positive = in.n_buckets,
                                             .negative_index = in.index,
                                             .negative_count = in.count,
                                             .n_negative = in.n_buckets};
    struct kymo_point points[POINTS] = {{.size = sizeof points[0], .id = 1}};
    char *pairs = make_pairs(names, in.strings + 2, desc.n_labels, &points[0].labels_len);
    points[0].labels = pairs;
    set_value(&in, &native, &points[0]);
    points[1] = points[2] = points[0];
    points[1].id = 0;
    points[2].labels = NULL;
    points[2].values = in.strings + 2;
    for (size_t cap = 64; !write_points(&in, &family, points, cap); cap *= 2)
        must(cap < 100 * (size + 1000), "a page of some size is enough");
    free(pairs);
    free(const_pairs);
    free(in.bytes);
    return 0;
}
