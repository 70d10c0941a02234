/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_desc.c - any descriptor is either refused by name, leaving the registry as it was, or accepted, and then the
 * page is good and shows exactly what was put in.
 *
 * Input: kind, flags, number of labels and guard, number of bounds or states, one byte each; the bounds, eight bytes
 * each; the rest is split at NULs into name, help, unit, label names, label values, which are the states too. Two flags make the
 * name and the label names legal letter by letter, so that inputs get past them; one lets them be any UTF-8 text. All
 * kinds but the first three are reported by a collector. There are a counter and a histogram to clash with. The
 * page, with names escaped and with names as they are, is read by a parser that shares no code with the encoder.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kymo/kymo.h>

#include "base/name.h"
#include "page.h"

#define MAX_LABELS 5u
#define MAX_BOUNDS 520u
#define MAX_STRINGS (3u + 2u * MAX_LABELS)

enum {
    LEGAL_NAME = 1,
    LEGAL_LABELS = 2,
    SINGLE = 4,
    PREFIX = 8,
    CONST_LABEL = 16,
    UPDOWN = 32,
    NO_UNIT = 64,
    UTF8 = 128
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    char *bytes;
    enum kymo_kind kind;
    unsigned flags;
    size_t n_labels, n_bounds, n_states;
    int has_guard;
    struct kymo_guard guard;
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

/* One of 42 guards, good and bad ones. */
static void read_guard(struct input *in, unsigned which)
{
    static const uint32_t limits[] = {0, 1, 10000000, 10000001};
    in->has_guard = which != 0;
    if (!in->has_guard)
        return;
    in->guard.policy = (enum kymo_guard_policy)(which % 4);
    in->guard.after_end = (enum kymo_after_end)(which / 4 % 3);
    in->guard.max_series = limits[which / 12];
    in->guard.max_value_bytes = which % 5 == 0 ? 3 : 0;
    in->guard.idle_ns = which % 7 == 6 ? -1 : (int64_t)(which % 2) * INT64_MAX;
}

static void read_input(struct input *in, const uint8_t *data, size_t size)
{
    memset(in, 0, sizeof(*in));
    in->kind = (enum kymo_kind)(data[0] < 128 ? KYMO_COUNTER + data[0] % 3 : KYMO_INFO + data[0] % 5);
    in->flags = data[1];
    in->n_labels = data[2] % (MAX_LABELS + 1);
    read_guard(in, data[2] / (MAX_LABELS + 1));
    if (in->kind == KYMO_STATESET)
        in->n_states = data[3] % (MAX_LABELS + 1);
    else
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
    o.utf8_names = in->flags & UTF8 ? 1 : 0;
    o.config = "";
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
    if (in->n_states != 0)
        kymo_desc_set_states(&d, in->values, in->n_states);
    if (in->flags & UPDOWN)
        kymo_desc_set_gauge_mode(&d, KYMO_GAUGE_UPDOWN);
    if (in->has_guard)
        kymo_desc_set_guard(&d, &in->guard);
    return d;
}

/* One point of the only family, whatever its kind: all zeros is a value of each. */
static int report(void *ctx, struct kymo_visit *visit)
{
    static const double no_bounds[] = {0};
    static const uint64_t one_bucket[] = {0};
    const struct input *in = ctx;
    struct kymo_point point;
    memset(&point, 0, sizeof(point));
    point.size = sizeof(point);
    point.values = in->values;
    if (in->kind == KYMO_GAUGE_HISTOGRAM) {
        point.value.histogram.bounds = no_bounds;
        point.value.histogram.buckets = one_bucket;
    }
    return kymo_collect(visit, 0, &point);
}

static int attach(struct kymo_registry *reg, const struct input *in, const struct kymo_desc *d)
{
    struct kymo_collector_ops ops;
    memset(&ops, 0, sizeof(ops));
    ops.size = sizeof(ops);
    ops.name = "fuzzed";
    ops.descs = d;
    ops.kinds = &in->kind;
    ops.n_descs = 1;
    ops.collect = report;
    return kymo_collector_attach(reg, &ops, (void *)(uintptr_t)in, NULL);
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

/* Registers and records once; whether there is a series is *series. */
static int add(struct kymo_registry *reg, const struct input *in, const struct kymo_desc *d, int *series)
{
    if (in->kind > KYMO_HISTOGRAM) {
        int error = attach(reg, in, d);
        *series = error == 0 && values_are_good(in);
        return error;
    }
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

/* ---- the page ---- */

/* A name as this page should have it; there is room for any, 255 bytes with a prefix. */
static void shown(char to[2048], const char *prefix, const char *name, enum kymo__name_kind kind, int escaping)
{
    char full[512];
    (void)snprintf(full, sizeof(full), "%s%s", prefix, name);
    if (escaping == KYMO_ALLOW_UTF8)
        (void)strcpy(to, full);
    else
        to[kymo__name_escape(to, full, strlen(full), kind, (enum kymo__scheme)escaping, 0)] = '\0';
}

/* A value of a series of our own may be too long for its guard; collectors' are theirs to bound. */
static const char *value_shown(const struct input *in, size_t i)
{
    size_t max = in->guard.max_value_bytes != 0 ? in->guard.max_value_bytes : 1024;
    return in->kind <= KYMO_HISTOGRAM && strlen(in->values[i]) > max ? "__other__" : in->values[i];
}

/* Who is among the heaviest is decided between pages: till then the overflow series takes it, then both are shown. */
static int has_top(const struct input *in)
{
    return in->has_guard && in->guard.policy == KYMO_GUARD_TOP && in->kind <= KYMO_HISTOGRAM;
}

static void check_sample(const struct input *in, const struct text_page *page, const struct text_sample *sample,
                         int escaping)
{
    char name[2048];
    size_t skip = in->flags & CONST_LABEL ? 1 : 0;
    const struct text_label *labels = text_labels(page, sample);
    CHECK(sample->n_labels >= in->n_labels + skip && sample->n_labels <= in->n_labels + skip + 1);
    for (size_t i = 0; i < in->n_labels && sample->n_labels >= in->n_labels + skip; i++) {
        shown(name, "", in->labels[i], KYMO__LABEL_NAME, escaping);
        CHECK_STRING(labels[skip + i].name, name);
        if (!has_top(in) || strcmp(labels[skip + i].value, "__other__") != 0)
            CHECK_STRING(labels[skip + i].value, value_shown(in, i));
    }
}

static size_t n_lines(const struct input *in)
{
    size_t n_bounds = in->n_bounds != 0 ? in->n_bounds : kymo_buckets_web_n;
    return in->kind == KYMO_HISTOGRAM         ? n_bounds + 3
           : in->kind == KYMO_GAUGE_HISTOGRAM ? 3
           : in->kind == KYMO_SUMMARY         ? 2
           : in->kind == KYMO_STATESET        ? in->n_states
                                              : 1;
}

static void check_page(const struct input *in, struct kymo_registry *reg, int escaping)
{
    static const char *const words[] = {"",      "counter", "gauge",     "histogram", "gauge",
                                        "gauge", "summary", "histogram", "untyped"};
    struct kymo_format f = *kymo_format_find("text");
    struct page p = {NULL, 0, 0, 0};
    const struct kymo_sink sink = {sizeof(sink), &p, page_append};
    struct text_page page;
    char name[2048];
    size_t found = 0;
    int ours = strncmp(in->name, "kymo_", 5) == 0; /* these get no prefix */
    f.escaping = (enum kymo_escaping)escaping;
    page_append(&p, "", 0);
    CHECK_INT(kymo_registry_write(reg, &f, &sink), 0);
    page_must_parse(&p);
    shown(name, in->flags & PREFIX && !ours ? "pre_" : "", in->name, KYMO__METRIC_NAME, escaping);
    CHECK(text_parse(&page, p.text, p.n));
    for (size_t i = 0; i < page.n_families; i++) {
        const struct text_family *family = &page.families[i];
        if (strcmp(family->name, name) != 0)
            continue;
        found++;
        CHECK_STRING(family->help, in->help);
        CHECK_STRING(family->type, words[in->kind]);
        CHECK(family->n_samples == n_lines(in) || (has_top(in) && family->n_samples == 2 * n_lines(in)));
        for (size_t j = 0; j < family->n_samples; j++)
            check_sample(in, &page, &page.samples[family->first_sample + j], escaping);
    }
    CHECK_U64(found, 1);
    text_page_free(&page);
    page_free(&p);
}

static void check_accepted(const struct input *in, struct kymo_registry *reg)
{
    for (int escaping = KYMO_ESCAPE_UNDERSCORES; escaping <= KYMO_ALLOW_UTF8; escaping++)
        if (escaping == KYMO_ESCAPE_UNDERSCORES || (in->flags & UTF8))
            check_page(in, reg, escaping);
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
