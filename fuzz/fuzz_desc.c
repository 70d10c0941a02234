/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_desc.c - any descriptor is either refused by name, leaving the registry as it was, or accepted, and then the page
 * is good and shows exactly what was put in.
 *
 * Input: kind, flags, number of labels, number of bounds, one byte each; the bounds, eight bytes each; the rest is split
 * at NULs into name, help, unit, label names, label values. Two flags make the name and the label names legal letter by
 * letter, so that inputs get past them. The registry has a counter and a histogram to clash with. The page is read by
 * a parser that shares no code with the encoder.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kymo/kymo.h>

#include "page.h"

#define MAX_LABELS 5u
#define MAX_BOUNDS 520u
#define MAX_STRINGS (3u + 2u * MAX_LABELS)

enum { LEGAL_NAME = 1, LEGAL_LABELS = 2, SINGLE = 4, PREFIX = 8, CONST_LABEL = 16, UPDOWN = 32, NO_UNIT = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    char *bytes;
    enum kymo_kind kind;
    unsigned flags;
    size_t n_labels, n_bounds;
    const char *name, *help, *unit;
    const char *labels[MAX_LABELS], *values[MAX_LABELS];
    double bounds[MAX_BOUNDS];
};

static void make_legal(char *s)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz_____________sumcountbuckettotal";
    for (; *s != '\0'; s++)
        *s = letters[(unsigned char)*s % (sizeof(letters) - 1)];
}

static void read_strings(struct input *in, size_t n)
{
    char *strings[MAX_STRINGS];
    char *at = in->bytes, *end = in->bytes + n; /* bytes[n] is NUL */
    for (size_t i = 0; i < MAX_STRINGS; i++) {
        strings[i] = at;
        at = at < end ? at + strlen(at) + 1 : end;
        at = at > end ? end : at;
    }
    in->name = strings[0];
    in->help = strings[1];
    in->unit = in->flags & NO_UNIT ? NULL : strings[2];
    for (size_t i = 0; i < MAX_LABELS; i++) {
        in->labels[i] = strings[3 + i];
        in->values[i] = strings[3 + MAX_LABELS + i];
    }
    if (in->flags & LEGAL_NAME)
        make_legal(strings[0]);
    for (size_t i = 0; (in->flags & LEGAL_LABELS) && i < in->n_labels; i++)
        make_legal(strings[3 + i]);
}

static void read_input(struct input *in, const uint8_t *data, size_t size)
{
    static const enum kymo_kind kinds[] = {KYMO_COUNTER, KYMO_GAUGE, KYMO_HISTOGRAM};
    memset(in, 0, sizeof(*in));
    in->kind = kinds[data[0] % 3];
    in->flags = data[1];
    in->n_labels = data[2] % (MAX_LABELS + 1);
    in->n_bounds = (size_t)data[3] * 2 % (MAX_BOUNDS + 1);
    data += 4;
    size -= 4;
    if (in->n_bounds > size / sizeof(double))
        in->n_bounds = size / sizeof(double);
    memcpy(in->bounds, data, in->n_bounds * sizeof(double));
    data += in->n_bounds * sizeof(double);
    size -= in->n_bounds * sizeof(double);
    in->bytes = calloc(1, size + 1);
    REQUIRE(in->bytes != NULL);
    memcpy(in->bytes, data, size);
    read_strings(in, size);
}

static struct kymo_registry *registry_of(const struct input *in)
{
    static const struct kymo_label constant = {"site", "a\"b"};
    struct kymo_registry_options o;
    struct kymo_registry *reg;
    struct kymo_counter *c;
    struct kymo_histogram *h;
    memset(&o, 0, sizeof(o));
    o.size = sizeof(o);
    o.segment_bytes = 1024 * 1024;
    o.prefix = in->flags & PREFIX ? "pre_" : NULL;
    o.const_labels = &constant;
    o.n_const_labels = in->flags & CONST_LABEL ? 1 : 0;
    REQUIRE(kymo_registry_new(&o, &reg) == 0);
    REQUIRE(kymo_counter_new(reg, KYMO_DESC(.name = "a_total", .help = "A."), &c) == 0);
    REQUIRE(kymo_histogram_new(reg, KYMO_DESC(.name = "b", .help = "B.", KYMO_BOUNDS(1)), &h) == 0);
    kymo_counter_inc(c);
    return reg;
}

static struct kymo_desc desc_of(const struct input *in)
{
    struct kymo_desc d;
    kymo_desc_init(&d, in->name, in->help);
    kymo_desc_set_unit(&d, in->unit);
    kymo_desc_set_labels(&d, in->labels, in->n_labels);
    if (in->n_bounds != 0)
        kymo_desc_set_bounds(&d, in->bounds, in->n_bounds);
    if (in->flags & UPDOWN)
        kymo_desc_set_gauge_mode(&d, KYMO_GAUGE_UPDOWN);
    return d;
}

/* Registers and records once; whether there is a series is *series. */
static int add(struct kymo_registry *reg, const struct input *in, const struct kymo_desc *d, int *series)
{
    struct kymo_counter_family *cf;
    struct kymo_gauge_family *gf;
    struct kymo_histogram_family *hf;
    struct kymo_counter *c = NULL;
    struct kymo_gauge *g = NULL;
    struct kymo_histogram *h = NULL;
    int r;
    if (in->kind == KYMO_COUNTER) {
        r = in->flags & SINGLE ? kymo_counter_new(reg, d, &c) : kymo_counter_family_new(reg, d, &cf);
        if (r == 0 && !(in->flags & SINGLE))
            c = kymo_counter_with(cf, in->values, in->n_labels);
    } else if (in->kind == KYMO_GAUGE) {
        r = in->flags & SINGLE ? kymo_gauge_new(reg, d, &g) : kymo_gauge_family_new(reg, d, &gf);
        if (r == 0 && !(in->flags & SINGLE))
            g = kymo_gauge_with(gf, in->values, in->n_labels);
    } else {
        r = in->flags & SINGLE ? kymo_histogram_new(reg, d, &h) : kymo_histogram_family_new(reg, d, &hf);
        if (r == 0 && !(in->flags & SINGLE))
            h = kymo_histogram_with(hf, in->values, in->n_labels);
    }
    kymo_counter_inc(c);
    kymo_gauge_inc(g);
    kymo_histogram_observe(h, 1);
    *series = c != NULL || g != NULL || h != NULL;
    return r;
}

static int values_are_good(const struct input *in)
{
    size_t total = 0;
    for (size_t i = 0; i < in->n_labels; i++) {
        total += strlen(in->values[i]);
        if (!text_is_utf8(in->values[i], strlen(in->values[i])))
            return 0;
    }
    return total <= 60000;
}

static void check_sample(const struct input *in, const struct text_page *page, const struct text_sample *sample)
{
    size_t skip = in->flags & CONST_LABEL ? 1 : 0;
    const struct text_label *labels = text_labels(page, sample);
    CHECK(sample->n_labels >= in->n_labels + skip && sample->n_labels <= in->n_labels + skip + 1);
    for (size_t i = 0; i < in->n_labels && sample->n_labels >= in->n_labels + skip; i++) {
        CHECK_STRING(labels[skip + i].name, in->labels[i]);
        CHECK_STRING(labels[skip + i].value, in->values[i]);
    }
}

static void check_accepted(const struct input *in, struct kymo_registry *reg)
{
    static const char *const words[] = {"", "counter", "gauge", "histogram"};
    struct page p = page_of(reg);
    struct text_page page;
    char name[300];
    size_t found = 0;
    int ours = strncmp(in->name, "kymo_", 5) == 0; /* these get no prefix */
    (void)snprintf(name, sizeof(name), "%s%s", in->flags & PREFIX && !ours ? "pre_" : "", in->name);
    CHECK(text_parse(&page, p.text, p.n));
    for (size_t i = 0; i < page.n_families; i++) {
        const struct text_family *family = &page.families[i];
        if (strcmp(family->name, name) != 0)
            continue;
        found++;
        CHECK_STRING(family->help, in->help);
        CHECK_STRING(family->type, words[in->kind]);
        size_t n_bounds = in->n_bounds != 0 ? in->n_bounds : kymo_buckets_web_n;
        CHECK_U64(family->n_samples, in->kind == KYMO_HISTOGRAM ? n_bounds + 3 : 1);
        for (size_t j = 0; j < family->n_samples; j++)
            check_sample(in, &page, &page.samples[family->first_sample + j]);
    }
    CHECK_U64(found, 1);
    text_page_free(&page);
    page_free(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in;
    int series;
    if (size < 4)
        return 0;
    read_input(&in, data, size);
    struct kymo_registry *reg = registry_of(&in);
    struct kymo_desc d = desc_of(&in);
    struct page before = page_of_own(reg);
    int r = add(reg, &in, &d, &series);
    if (r == 0 && series) {
        check_accepted(&in, reg);
    } else {
        struct page after = page_of_own(reg);
        CHECK_STRING(after.text, before.text);
        CHECK(r == 0 || strncmp(kymo_error_name(r), "KYMO_E", 6) == 0);
        CHECK(r == 0 || strcmp(kymo_error_name(r), "KYMO_E?") != 0);
        CHECK(r != 0 || !values_are_good(&in));
        page_free(&after);
    }
    CHECK(!series || (in.flags & SINGLE) || values_are_good(&in));
    page_free(&before);
    kymo_registry_free(reg);
    free(in.bytes);
    if (test_failures != 0)
        abort();
    return 0;
}
