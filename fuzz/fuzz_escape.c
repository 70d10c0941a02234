/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_escape.c - whatever stands in help and label values, the page is well formed and gives the same
 * strings back.
 *
 * Input: one byte chooses kind and constant labels, the rest is split at NULs into help, the value of a
 * constant label and up to eight label values. Bytes that are not UTF-8 never reach an encoder; here they are
 * first judged by our check and by the parser's own, which must agree, and then made ASCII, so that no input
 * is wasted. The page is written twice, from escaped label text and from plain values, which must give the
 * same bytes, and read by a parser that shares no code with the encoder.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kymo/kymo.h>

#include "base/escape.h"
#include "base/utf8.h"
#include "encode/lines.h"
#include "text_parser.h"

#define FUZZ_NAME "fuzz_escape"
#include "must.h"

#define MAX_LABELS 8u
#define MAX_STRINGS (2u + MAX_LABELS)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    char *bytes;
    const char *strings[MAX_STRINGS]; /* help, constant label, labels */
    size_t n_strings;
    enum kymo_kind kind;
    int with_const;
};

struct output {
    char *text;
    size_t cap;
    size_t n;
};

static void make_valid(char *bytes, size_t n)
{
    int valid = text_is_utf8(bytes, n);
    must(kymo__utf8_valid(bytes, n) == valid, "both UTF-8 checks agree");
    for (size_t i = 0; !valid && i < n; i++)
        bytes[i] = (char)(bytes[i] & 0x7f);
}

static void read_input(struct input *in, const uint8_t *data, size_t size)
{
    static const enum kymo_kind kinds[] = {KYMO_COUNTER, KYMO_GAUGE, KYMO_HISTOGRAM};
    *in = (struct input){.bytes = room(size + 1), .kind = kinds[data[0] % 3], .with_const = data[0] / 3 % 2};
    memcpy(in->bytes, data + 1, size - 1);
    make_valid(in->bytes, size - 1);
    const char *at = in->bytes;
    for (; in->n_strings < MAX_STRINGS && at < in->bytes + size; in->n_strings++) {
        in->strings[in->n_strings] = at;
        at += strlen(at) + 1;
    }
    if (in->n_strings < 2)
        in->strings[in->n_strings++] = "";
}

static void write_point(struct output *out, const struct kymo_family *family, const struct kymo_point *point)
{
    const struct kymo_encoder *encoder = kymo_encoder_find("text");
    must(encoder != NULL, "the build has the format");
    struct kymo_page page = {out->text, out->text + out->cap, kymo_format_find("text"), 1, NULL, 0};
    while (encoder->sample(&page, family, point) == KYMO_EAGAIN) {
        must(page.at == out->text && page.fresh == 1, "nothing was written without room");
        free(out->text);
        out->cap = 2 * out->cap;
        out->text = room(out->cap);
        page.at = out->text;
        page.end = out->text + out->cap;
    }
    out->n = (size_t)(page.at - out->text);
}

/* The pair text of @n labels in a block that ends where an encoder may read to. */
static char *pairs_with_spill(const char *const *names, const char *const *values, size_t n, size_t *len)
{
    *len = kymo__label_pairs_size(names, values, n);
    char *pairs = room(*len + KYMO__SPILL);
    must(kymo__label_pairs(pairs, names, values, n) == pairs + *len, "pair text has the size announced");
    return pairs;
}

static void must_be(const char *got, size_t n, const char *wanted, const char *what)
{
    must(got != NULL && n == strlen(wanted) && memcmp(got, wanted, n) == 0, what);
}

/* Our own way back, which kymo_point_value() takes. */
static void check_unescaping(const struct input *in, const char *pairs, size_t len)
{
    for (size_t i = 2; i < in->n_strings; i++) {
        size_t n = 0, whole = strlen(in->strings[i]);
        char *buf = room(whole + 1);
        const char *escaped = kymo__label_pairs_value(pairs, len, i - 2, &n);
        must(escaped != NULL, "the value is found");
        must(kymo__unescape_label(buf, whole + 1, escaped, n) == whole, "the value has its length");
        must_be(buf, strlen(buf), in->strings[i], "unescaping gives the value back");
        free(buf);
    }
}

static void check_page(const struct input *in, const struct output *out)
{
    struct text_page page;
    if (!text_parse(&page, out->text, out->n)) {
        fprintf(stderr, "%s\n", page.error);
        abort();
    }
    size_t n_lines = in->kind == KYMO_HISTOGRAM ? 4 : 1;
    must(page.n_families == 1 && page.n_samples == n_lines, "all lines are there");
    must_be(page.families[0].help, page.families[0].help_len, in->strings[0], "help comes back");
    for (size_t i = 0; i < page.n_samples; i++) {
        const struct text_label *labels = text_labels(&page, &page.samples[i]);
        size_t n = page.samples[i].n_labels - (in->kind == KYMO_HISTOGRAM && i < 2);
        must(n == in->n_strings - 2 + (size_t)in->with_const, "all labels are there");
        for (size_t j = 0; j < n; j++)
            must_be(labels[j].value, labels[j].value_len, in->strings[j + (in->with_const ? 1 : 2)],
                    "a label value comes back");
    }
    text_page_free(&page);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"l0", "l1", "l2", "l3", "l4", "l5", "l6", "l7"};
    static const char *const const_name = "site";
    static const double bound = 0.5;
    static const uint64_t buckets[] = {1, 2};
    struct input in;
    struct kymo_desc desc;
    char name[sizeof("fuzz_total") + KYMO__SPILL] = "fuzz_total";
    if (size == 0)
        return 0;
    read_input(&in, data, size);
    kymo_desc_init(&desc, name, in.strings[0]);
    kymo_desc_set_labels(&desc, names, in.n_strings - 2);

    struct kymo_family family = {
        .size = sizeof family, .desc = &desc, .kind = in.kind, .name = name, .name_len = strlen(name)};
    size_t n_const = (size_t)in.with_const;
    char *const_pairs = pairs_with_spill(&const_name, &in.strings[1], n_const, &family.labels_len);
    family.labels = const_pairs;
    struct kymo_point by_text = {.size = sizeof by_text, .id = 1};
    char *pairs = pairs_with_spill(names, in.strings + 2, desc.n_labels, &by_text.labels_len);
    by_text.labels = pairs;
    if (in.kind == KYMO_HISTOGRAM)
        by_text.value.histogram = (struct kymo_histogram_point){3, 1.5, &bound, 1, buckets, NULL};
    struct kymo_point by_values = by_text;
    by_values.id = 0;
    by_values.labels = NULL;
    by_values.values = in.strings + 2;

    struct output a = {room(64), 64, 0}, b = {room(64), 64, 0};
    write_point(&a, &family, &by_text);
    write_point(&b, &family, &by_values);
    must(a.n == b.n && memcmp(a.text, b.text, a.n) == 0, "label text and values give the same bytes");
    check_page(&in, &a);
    check_unescaping(&in, pairs, by_text.labels_len);
    free(a.text);
    free(b.text);
    free(pairs);
    free(const_pairs);
    free(in.bytes);
    return 0;
}
