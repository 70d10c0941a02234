/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_openmetrics.c - whatever stands in names, help, labels and exemplars, an OpenMetrics page is one that a strict
 * reader takes and that gives the same strings back.
 *
 * Input: one byte chooses the kind, one the way names are written, the rest is split at NULs into what follows the
 * first letter of the family's name, help, the value of a constant label, name and value of an exemplar's label, and
 * up to four pairs of a label's name and value. First letters are given, so that names are never empty and never the
 * same twice, in any scheme. Bytes that are not UTF-8 never reach an encoder and are made ASCII. The point is written
 * from label text and from plain values, which must give the same bytes, and read by a parser that shares no code with
 * the encoder. Names come back through a decoder of this file's own, but for the scheme that cannot be undone.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kymo/kymo.h>

#include "base/escape.h"
#include "base/name.h"
#include "encode/lines.h"
#include "openmetrics_parser.h"
#include "text_parser.h"

#define FUZZ_NAME "fuzz_openmetrics"
#include "must.h"

enum { MAX_LABELS = 4, NAME, HELP, CONST_VALUE, EXEMPLAR_NAME, EXEMPLAR_VALUE, LABELS };

#define MAX_STRINGS ((size_t)LABELS - NAME + 2 * MAX_LABELS)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    char *bytes;
    const char *strings[MAX_STRINGS];
    enum kymo_kind kind;
    struct kymo_format format;
    int with_const;
    size_t n_labels;
    /* What became of them. */
    char *name;
    char *exemplar_name;
    char *exemplar_value;
    char *names[MAX_LABELS];
    const char *values[MAX_LABELS];
    char *states[2];
};

static char *joined(const char *first, const char *rest)
{
    char *s = room(strlen(first) + strlen(rest) + 1);
    strcpy(s, first);
    strcat(s, rest);
    return s;
}

/* The string up to @most characters. */
static char *cut(char *s, size_t most)
{
    size_t i = 0;
    for (; s[i] != '\0'; i++)
        if (((unsigned char)s[i] & 0xc0) != 0x80 && most-- == 0)
            break;
    s[i] = '\0';
    return s;
}

/* ---- input ---- */

static const char *string_of(const struct input *in, int which)
{
    return in->strings[which - NAME];
}

static void split(struct input *in, size_t size)
{
    const char *at = in->bytes, *end = in->bytes + size;
    if (!text_is_utf8(in->bytes, size))
        for (size_t i = 0; i < size; i++)
            in->bytes[i] = (char)(in->bytes[i] & 0x7f);
    size_t n = 0;
    for (; n < MAX_STRINGS && at < end; n++, at += strlen(at) + 1)
        in->strings[n] = at;
    size_t in_pairs = n > (size_t)(LABELS - NAME) ? n - (size_t)(LABELS - NAME) : 0;
    in->n_labels = in_pairs / 2;
    for (; n < MAX_STRINGS; n++)
        in->strings[n] = "";
}

/* Colons stand in metrics' names, but a state set's name is that of a label too: registration refuses it. */
static void name_all(struct input *in)
{
    in->name = joined("m", string_of(in, NAME));
    for (char *c = in->name; in->kind == KYMO_STATESET && *c != '\0'; c++)
        *c = *c == ':' ? '.' : *c;
    /* 128 characters in all, whatever the name becomes. */
    in->exemplar_name = cut(joined("e", string_of(in, EXEMPLAR_NAME)), 8);
    in->exemplar_value = cut(joined("", string_of(in, EXEMPLAR_VALUE)), 40);
    in->states[0] = joined("0", string_of(in, CONST_VALUE));
    in->states[1] = joined("1", string_of(in, CONST_VALUE));
    for (size_t i = 0; i < in->n_labels; i++) {
        const char first[] = {'l', (char)('0' + i), '\0'};
        in->names[i] = joined(first, in->strings[LABELS - NAME + 2 * i]);
        in->values[i] = in->strings[LABELS - NAME + 2 * i + 1];
    }
}

static void read_input(struct input *in, const uint8_t *data, size_t size)
{
    memset(in, 0, sizeof *in);
    in->bytes = room(size + 1);
    memcpy(in->bytes, data + 2, size - 2);
    in->kind = (enum kymo_kind)(1 + data[0] % 8);
    in->format = *kymo_format_find("openmetrics");
    in->format.escaping = (enum kymo_escaping)(data[1] % 4);
    in->format.created = data[1] / 4 % 2;
    in->with_const = data[1] / 8 % 2;
    split(in, size - 2);
    name_all(in);
}

static void free_input(struct input *in)
{
    free(in->bytes);
    free(in->name);
    free(in->exemplar_name);
    free(in->exemplar_value);
    free(in->states[0]);
    free(in->states[1]);
    for (size_t i = 0; i < in->n_labels; i++)
        free(in->names[i]);
}

/* ---- output ---- */

struct output {
    char *text;
    size_t cap;
    size_t n;
};

static void enlarge(struct output *out, struct kymo_page *page)
{
    must(page->at == out->text, "nothing was written without room");
    free(out->text);
    out->cap *= 2;
    out->text = page->at = room(out->cap);
    page->end = out->text + out->cap;
}

static void write_page(struct output *out, const struct input *in, const struct kymo_family *family,
                       const struct kymo_point *point)
{
    const struct kymo_encoder *encoder = in->format.encoder;
    struct kymo_page page;
    *out = (struct output){room(64), 64, 0};
    page = (struct kymo_page){out->text, out->text + out->cap, &in->format, 1, NULL, 0};
    while (encoder->sample(&page, family, point) == KYMO_EAGAIN) {
        must(page.fresh == 1, "the header is still due");
        enlarge(out, &page);
    }
    must(encoder->finish(&page) == 0, "there is room for the end: the slop");
    out->n = (size_t)(page.at - out->text);
}

/* Pair text in a block that ends where an encoder may read to. */
static char *pairs_of(const char *const *names, const char *const *values, size_t n, size_t *len)
{
    *len = kymo__label_pairs_size(names, values, n);
    char *pairs = room(*len + KYMO__SPILL);
    must(kymo__label_pairs(pairs, names, values, n) == pairs + *len, "pair text has the size announced");
    return pairs;
}

static void set_value(const struct input *in, struct kymo_point *point, struct kymo_exemplar_point *e)
{
    static const double bound = 0.5;
    static const uint64_t buckets[] = {1, 2};
    static const struct kymo_quantile quantile = {0.5, 1};
    e->value = 0.25;
    e->timestamp_ns = 1;
    point->start_ns = 1;
    point->exemplars = e;
    point->n_exemplars = 1;
    if (in->kind == KYMO_HISTOGRAM || in->kind == KYMO_GAUGE_HISTOGRAM)
        point->value.histogram = (struct kymo_histogram_point){3, 1.5, &bound, 1, buckets, NULL};
    else if (in->kind == KYMO_SUMMARY)
        point->value.summary = (struct kymo_summary_point){3, 1.5, &quantile, 1};
    else if (in->kind == KYMO_STATESET)
        point->value.states = 2;
}

/* ---- names, as they come back ---- */

/* What stands between two underscores, as a character; 0 if it is no number. */
static size_t decode_number(const char *s, char *to)
{
    char *end;
    unsigned long c = strtoul(s, &end, 16);
    must(*end == '_' && end > s, "a number between underscores");
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; c >>= 6)
        to[i] = (char)(0x80 | (c & 0x3f));
    to[0] = (char)((0xf00u >> n & 0xf0u) | c);
    return n;
}

static char *decode_values(const char *s)
{
    char *decoded = room(strlen(s) + 1), *to = decoded;
    for (s += 3; *s != '\0'; s++) {
        if (*s != '_' || s[1] == '_') {
            *to++ = *s;
            s += *s == '_';
        } else {
            to += decode_number(++s, to);
            s = strchr(s, '_');
        }
    }
    return decoded;
}

static int is_plain(const char *name, int colon)
{
    for (const char *c = name; *c != '\0'; c++) {
        int letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || *c == '_' || (colon && *c == ':');
        if (!letter && (c == name || *c < '0' || *c > '9'))
            return 0;
    }
    return 1;
}

/* Characters that are no letters, digits or colons are underscores: one each. */
static char *decode_underscores(const char *name, int colon)
{
    char *decoded = room(strlen(name) + 1), *to = decoded;
    for (const char *c = name; *c != '\0'; c++) {
        const char one[] = {*c, '\0'};
        if (((unsigned char)*c & 0xc0) != 0x80)
            *to++ = *c >= '0' && *c <= '9' ? *c : is_plain(one, colon) ? *c : '_';
    }
    return decoded;
}

static void must_be_spelled(const char *got, const char *name, enum kymo_escaping escaping, int colon)
{
    int good = is_plain(got, colon);
    char *other = NULL;
    if (is_plain(name, colon) || escaping == KYMO_ALLOW_UTF8) {
        good = strcmp(got, name) == 0;
    } else if (escaping == KYMO_ESCAPE_VALUES) {
        other = decode_values(got);
        good &= strncmp(got, "U__", 3) == 0 && strcmp(other, name) == 0;
    } else if (escaping == KYMO_ESCAPE_UNDERSCORES) {
        other = decode_underscores(name, colon);
        good = strcmp(got, other) == 0;
    }
    free(other);
    must(good, "a name comes back");
}

/* The family's name with what its samples have more, which is what was registered; but not if that lacked it. */
static void check_name(const struct input *in, const struct om_page *page)
{
    const char *suffix = in->kind == KYMO_COUNTER ? "_total" : in->kind == KYMO_INFO ? "_info" : "";
    size_t n = strlen(in->name), m = strlen(suffix);
    int had_it = n > m && strcmp(in->name + n - m, suffix) == 0;
    char *full = joined(page->families[0].name, had_it ? suffix : "");
    must_be_spelled(full, in->name, in->format.escaping, 1);
    free(full);
}

/* ---- checks ---- */

static void must_be(const struct om_label *label, const char *wanted, const char *what)
{
    must(label->value_len == strlen(wanted) && memcmp(label->value, wanted, label->value_len) == 0, what);
}

static size_t n_own_labels(const struct om_sample *s, const char *type)
{
    return strcmp(s->suffix, "_bucket") == 0 ||
           (s->suffix[0] == '\0' && (strcmp(type, "summary") == 0 || strcmp(type, "stateset") == 0));
}

static void check_labels(const struct input *in, const struct om_page *page, const struct om_sample *s)
{
    const struct om_label *label =
        page->labels != NULL ? &page->labels[s->labels.first] : NULL; /* a page without any */
    size_t own = n_own_labels(s, page->families[0].type), n = in->n_labels + (size_t)in->with_const;
    must(s->labels.n == n + own, "all labels are there");
    if (in->with_const)
        must_be(label++, string_of(in, CONST_VALUE), "the constant label's value comes back");
    for (size_t i = 0; i < in->n_labels; i++, label++) {
        must_be_spelled(label->name, in->names[i], in->format.escaping, 0);
        must_be(label, in->values[i], "a label value comes back");
    }
    if (in->kind == KYMO_STATESET)
        must_be(label, in->states[s->value == 1], "a state comes back");
}

static int may_have_exemplar(const struct input *in)
{
    return in->kind == KYMO_COUNTER || in->kind == KYMO_HISTOGRAM || in->kind == KYMO_GAUGE_HISTOGRAM;
}

static void check_exemplar(const struct input *in, const struct om_page *page)
{
    const struct om_exemplar *e = &page->samples[0].exemplar;
    must(e->present == may_have_exemplar(in), "the first line has the exemplar, if its kind may");
    if (!e->present)
        return;
    must(e->labels.n == 1 && e->value == 0.25 && strcmp(e->timestamp, "0.000000001") == 0, "the exemplar is whole");
    must_be_spelled(page->labels[e->labels.first].name, in->exemplar_name, in->format.escaping, 0);
    must_be(&page->labels[e->labels.first], in->exemplar_value, "its label's value comes back");
}

static void check_page(const struct input *in, const struct output *out)
{
    static const size_t n_lines[] = {0, 1, 1, 4, 1, 2, 3, 4, 1};
    struct om_page page;
    if (!om_parse(&page, out->text, out->n)) {
        fprintf(stderr, "%s\n%.*s", page.error, (int)out->n, out->text);
        abort();
    }
    int created =
        in->format.created && (in->kind == KYMO_COUNTER || in->kind == KYMO_HISTOGRAM || in->kind == KYMO_SUMMARY);
    must(page.n_families == 1 && page.n_samples == n_lines[in->kind] + (size_t)created, "all lines are there");
    must(in->format.escaping == KYMO_ALLOW_UTF8 || page.n_quoted == 0, "quotes only for those who know them");
    check_name(in, &page);
    const char *help = string_of(in, HELP);
    must(page.families[0].help_len == strlen(help) && memcmp(page.families[0].help, help, strlen(help)) == 0,
         "help comes back");
    for (size_t i = 0; i < page.n_samples; i++)
        check_labels(in, &page, &page.samples[i]);
    check_exemplar(in, &page);
    om_page_free(&page);
}

static int is_utf8_family(const struct input *in)
{
    int plain = is_plain(in->name, 1);
    for (size_t i = 0; i < in->n_labels; i++)
        plain &= is_plain(in->names[i], 0);
    return !plain;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const const_name = "const";
    struct input in;
    struct kymo_desc desc;
    if (size < 2)
        return 0;
    read_input(&in, data, size);
    kymo_desc_init(&desc, in.name, string_of(&in, HELP));
    kymo_desc_set_labels(&desc, (const char *const *)in.names, in.n_labels);
    kymo_desc_set_states(&desc, (const char *const *)in.states, 2);
    kymo_desc_set_unit(&desc, "s");

    char *name = room(strlen(in.name) + KYMO__SPILL + 1);
    strcpy(name, in.name);
    struct kymo_family family = {.size = sizeof family,
                                 .desc = &desc,
                                 .kind = in.kind,
                                 .name = name,
                                 .name_len = strlen(name),
                                 .utf8 = is_utf8_family(&in)};
    char *const_pairs =
        pairs_of(&const_name, in.strings + (CONST_VALUE - NAME), (size_t)in.with_const, &family.labels_len);
    family.labels = const_pairs;
    struct kymo_point by_text = {.size = sizeof by_text, .id = 1};
    char *pairs = pairs_of((const char *const *)in.names, in.values, in.n_labels, &by_text.labels_len);
    by_text.labels = pairs;
    struct kymo_exemplar_point exemplar = {0};
    char *exemplar_pairs = pairs_of((const char *const *)&in.exemplar_name, (const char *const *)&in.exemplar_value, 1,
                                    &exemplar.labels_len);
    exemplar.labels = exemplar_pairs;
    set_value(&in, &by_text, &exemplar);
    struct kymo_point by_values = by_text;
    by_values.id = 0;
    by_values.labels = NULL;
    by_values.values = in.values;

    struct output a, b;
    write_page(&a, &in, &family, &by_text);
    write_page(&b, &in, &family, &by_values);
    must(a.n == b.n && memcmp(a.text, b.text, a.n) == 0, "label text and values give the same bytes");
    check_page(&in, &a);
    free(a.text);
    free(b.text);
    free(pairs);
    free(const_pairs);
    free(exemplar_pairs);
    free(name);
    free_input(&in);
    return 0;
}
