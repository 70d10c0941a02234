/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text_parser.c - see text_parser.h.
 *
 * One pass over the bytes with a cursor; every function that reads returns 0 after refuse(). Strings go
 * unescaped into one block of twice the page's size, which suffices: none is longer than its source, each has
 * a delimiter there, whose byte pays for the NUL. Histograms are followed line by line, duplicates are found
 * at the end by sorting.
 */
#include "text_parser.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    struct text_page *page;
    const char *at;
    const char *end;
    size_t line;
    char *string_at;
    int help_pending; /* HELP was read, its TYPE was not */
    /* The histogram or summary whose lines are being read. */
    size_t first_bucket; /* index of its first sample */
    size_t n_buckets;    /* 0: between histograms */
    double last_bound;
    double last_count;
    int have_sum;
};

static int refuse(struct reader *r, const char *why)
{
    if (r->page->error[0] == '\0')
        snprintf(r->page->error, sizeof r->page->error, "line %zu: %s", r->line, why);
    return 0;
}

/* Room for one more item in a vector that doubles. */
static void *grow(void *items, size_t n, size_t item_size)
{
    if ((n & (n - 1)) != 0)
        return items;
    void *larger = realloc(items, (n == 0 ? 1 : 2 * n) * item_size);
    if (larger == NULL) {
        fprintf(stderr, "text_parser: out of memory\n");
        exit(1);
    }
    return larger;
}

/* ---- characters ---- */

static size_t length_by_first(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first >> 5 == 6)
        return 2;
    if (first >> 4 == 14)
        return 3;
    return first >> 3 == 30 ? 4 : 0;
}

/* Decodes one character; its length, or 0 if there is none. */
static size_t decode(const unsigned char *s, size_t n)
{
    static const unsigned long least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = length_by_first(s[0]);
    if (length == 0 || length > n)
        return 0;
    unsigned long c = length == 1 ? s[0] : s[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((s[i] >> 6) != 2)
            return 0;
        c = c << 6 | (s[i] & 0x3fu);
    }
    return c < least[length] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ? 0 : length;
}

int text_is_utf8(const char *s, size_t n)
{
    while (n > 0) {
        size_t length = decode((const unsigned char *)s, n);
        if (length == 0)
            return 0;
        s += length;
        n -= length;
    }
    return 1;
}

static int is_name_char(char c, int first, int colon)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (colon && c == ':') ||
           (!first && c >= '0' && c <= '9');
}

static int skip(struct reader *r, const char *what)
{
    size_t n = strlen(what);
    if ((size_t)(r->end - r->at) < n || memcmp(r->at, what, n) != 0)
        return 0;
    r->at += n;
    return 1;
}

static const char *keep(struct reader *r, const char *s, size_t n)
{
    char *kept = r->string_at;
    memcpy(kept, s, n);
    kept[n] = '\0';
    r->string_at += n + 1;
    return kept;
}

/* Unescapes up to @stop, which is left; `\"` is for quoted text alone. NULL: no end, or a bad escape. */
static const char *read_escaped(struct reader *r, char stop, size_t *n)
{
    char *start = r->string_at;
    char *to = start;
    for (; r->at < r->end && *r->at != stop && *r->at != '\n'; r->at++) {
        char c = *r->at;
        if (c == '\\') {
            r->at++;
            c = r->at == r->end ? '\0' : *r->at;
            if (c != '\\' && c != 'n' && !(c == '"' && stop == '"'))
                return NULL;
            c = c == 'n' ? '\n' : c;
        }
        *to++ = c;
    }
    *n = (size_t)(to - start);
    *to = '\0';
    r->string_at = to + 1;
    return r->at < r->end && *r->at == stop && text_is_utf8(start, *n) ? start : NULL;
}

/* ---- names ---- */

/* After its first quote. NULL: not a name, or one that needs no quotes. */
static const char *read_quoted_name(struct reader *r, int colon)
{
    size_t n, legal = 0;
    const char *name = read_escaped(r, '"', &n);
    if (name == NULL || !skip(r, "\""))
        return NULL;
    while (legal < n && is_name_char(name[legal], legal == 0, colon))
        legal++;
    return legal < n ? name : NULL;
}

static const char *read_name(struct reader *r, int colon)
{
    const char *start = r->at;
    if (skip(r, "\""))
        return read_quoted_name(r, colon);
    while (r->at < r->end && is_name_char(*r->at, r->at == start, colon))
        r->at++;
    return r->at > start ? keep(r, start, (size_t)(r->at - start)) : NULL;
}

/* ---- numbers ---- */

static const char *skip_digits(const char *s)
{
    while (*s >= '0' && *s <= '9')
        s++;
    return s;
}

/* [-]digits[.digits][e(+|-)digits] */
static int is_decimal(const char *s)
{
    s += *s == '-';
    const char *digits = s;
    s = skip_digits(s);
    if (s == digits)
        return 0;
    if (*s == '.') {
        digits = ++s;
        s = skip_digits(s);
        if (s == digits)
            return 0;
    }
    if (*s == 'e') {
        if (s[1] != '+' && s[1] != '-')
            return 0;
        digits = s += 2;
        s = skip_digits(s);
        if (s - digits < 2)
            return 0;
    }
    return *s == '\0';
}

static int number(const char *s, double *value)
{
    if (strcmp(s, "NaN") == 0)
        *value = NAN;
    else if (strcmp(s, "+Inf") == 0)
        *value = INFINITY;
    else if (strcmp(s, "-Inf") == 0)
        *value = -INFINITY;
    else {
        *value = strtod(s, NULL);
        return is_decimal(s) && !isinf(*value);
    }
    return 1;
}

/* ---- families ---- */

static struct text_family *current(struct reader *r)
{
    return r->page->n_families == 0 ? NULL : &r->page->families[r->page->n_families - 1];
}

/* What must be true of a family when the next begins or the page ends. */
static int close_family(struct reader *r)
{
    if (current(r) == NULL)
        return 1;
    if (r->help_pending)
        return refuse(r, "HELP without TYPE");
    if (r->n_buckets > 0 || r->have_sum)
        return refuse(r, "a histogram or summary is not complete");
    return current(r)->n_samples > 0 ? 1 : refuse(r, "a family without samples");
}

static int open_family(struct reader *r, const char *name)
{
    struct text_page *page = r->page;
    if (!close_family(r))
        return 0;
    for (size_t i = 0; i < page->n_families; i++)
        if (strcmp(page->families[i].name, name) == 0)
            return refuse(r, "a family appears twice");
    page->families = grow(page->families, page->n_families, sizeof *page->families);
    page->families[page->n_families++] =
        (struct text_family){.name = name, .help = "", .type = "", .first_sample = page->n_samples};
    return 1;
}

static int read_help(struct reader *r)
{
    const char *name = read_name(r, 1);
    if (name == NULL || !skip(r, " "))
        return refuse(r, "HELP has no name or no text");
    if (!open_family(r, name))
        return 0;
    struct text_family *family = current(r);
    family->help = read_escaped(r, '\n', &family->help_len);
    if (family->help == NULL)
        return refuse(r, "bad help text");
    r->help_pending = 1;
    return 1;
}

static int read_type(struct reader *r)
{
    static const char *const types[] = {"counter", "gauge", "histogram", "summary", "untyped"};
    const char *name = read_name(r, 1);
    if (name == NULL || !skip(r, " "))
        return refuse(r, "TYPE has no name or no type");
    if (r->help_pending) {
        if (strcmp(current(r)->name, name) != 0)
            return refuse(r, "TYPE is of another family than the HELP before it");
        r->help_pending = 0;
    } else if (!open_family(r, name)) {
        return 0;
    }
    const char *type = read_name(r, 0);
    for (size_t i = 0; type != NULL && i < sizeof types / sizeof types[0]; i++)
        if (strcmp(type, types[i]) == 0)
            current(r)->type = types[i];
    return current(r)->type[0] != '\0' ? 1 : refuse(r, "no such type");
}

/* ---- samples ---- */

static int label_is_unique(const struct reader *r, const struct text_sample *s, const char *name)
{
    for (size_t i = 0; i < s->n_labels; i++)
        if (strcmp(r->page->labels[s->first_label + i].name, name) == 0)
            return 0;
    return 1;
}

static int read_label(struct reader *r, struct text_sample *s)
{
    struct text_page *page = r->page;
    struct text_label label;
    label.name = read_name(r, 0);
    if (label.name == NULL || !skip(r, "=\""))
        return refuse(r, "bad label name");
    if (!label_is_unique(r, s, label.name))
        return refuse(r, "a label name appears twice");
    label.value = read_escaped(r, '"', &label.value_len);
    if (label.value == NULL || !skip(r, "\""))
        return refuse(r, "bad label value");
    page->labels = grow(page->labels, page->n_labels, sizeof *page->labels);
    page->labels[page->n_labels++] = label;
    s->n_labels++;
    return 1;
}

static int read_labels(struct reader *r, struct text_sample *s)
{
    do {
        if (!read_label(r, s))
            return 0;
    } while (skip(r, ","));
    return skip(r, "}") ? 1 : refuse(r, "labels do not end in a brace");
}

/* What a sample's name has after its family's, or NULL if it is another family's. */
static const char *suffix_of(const struct text_family *family, const char *name)
{
    size_t n = strlen(family->name);
    return strncmp(name, family->name, n) == 0 ? name + n : NULL;
}

/* Whether two samples have the same labels in the same order, the last @cut of @a left out. */
static int same_labels(const struct text_page *page, const struct text_sample *a, size_t cut,
                       const struct text_sample *b)
{
    if (a->n_labels - cut != b->n_labels)
        return 0;
    for (size_t i = 0; i < b->n_labels; i++) {
        const struct text_label *x = &page->labels[a->first_label + i];
        const struct text_label *y = &page->labels[b->first_label + i];
        if (strcmp(x->name, y->name) != 0 || x->value_len != y->value_len ||
            memcmp(x->value, y->value, x->value_len) != 0)
            return 0;
    }
    return 1;
}

static int is_count(double v)
{
    return v >= 0x1p53 || (v >= 0 && v == (double)(unsigned long long)v);
}

static int check_bucket(struct reader *r, const struct text_sample *s)
{
    double bound;
    const struct text_label *labels = text_labels(r->page, s);
    const struct text_label *le = labels == NULL ? NULL : &labels[s->n_labels - 1];
    if (le == NULL || strcmp(le->name, "le") != 0 || !number(le->value, &bound) || isnan(bound))
        return refuse(r, "a bucket's last label is not le with a number");
    if (strpbrk(le->value, ".eI") == NULL)
        return refuse(r, "le is not written as a float");
    if (!is_count(s->value))
        return refuse(r, "a bucket's count is not a whole number");
    if (r->n_buckets == 0) {
        r->first_bucket = r->page->n_samples;
        r->have_sum = 0;
    } else {
        struct text_sample shorter = *s;
        shorter.n_labels--;
        if (!same_labels(r->page, &r->page->samples[r->first_bucket], 1, &shorter))
            return refuse(r, "a bucket of another histogram before this one's +Inf, _sum and _count");
        if (r->have_sum || !(bound > r->last_bound) || !(s->value >= r->last_count))
            return refuse(r, "buckets do not ascend, or are not cumulative");
    }
    r->n_buckets++;
    r->last_bound = bound;
    r->last_count = s->value;
    return 1;
}

static int check_histogram_line(struct reader *r, const struct text_sample *s, const char *suffix)
{
    if (strcmp(suffix, "_bucket") == 0)
        return check_bucket(r, s);
    if (r->n_buckets == 0 || r->last_bound != INFINITY)
        return refuse(r, "_sum or _count without a +Inf bucket before it");
    if (!same_labels(r->page, &r->page->samples[r->first_bucket], 1, s))
        return refuse(r, "_sum or _count of another histogram");
    if (strcmp(suffix, "_sum") == 0 && !r->have_sum) {
        r->have_sum = 1;
        return 1;
    }
    if (strcmp(suffix, "_count") != 0 || !r->have_sum)
        return refuse(r, "not the line that a histogram has here");
    if (s->value != r->last_count)
        return refuse(r, "_count is not the +Inf bucket");
    r->n_buckets = 0;
    r->have_sum = 0;
    return 1;
}

static int check_quantile(struct reader *r, const struct text_sample *s)
{
    double quantile;
    const struct text_label *labels = text_labels(r->page, s);
    const struct text_label *last = labels == NULL ? NULL : &labels[s->n_labels - 1];
    if (last == NULL || strcmp(last->name, "quantile") != 0 || !number(last->value, &quantile) || isnan(quantile))
        return refuse(r, "the last label is not quantile with a number");
    if (strpbrk(last->value, ".eI") == NULL)
        return refuse(r, "quantile is not written as a float");
    if (r->n_buckets == 0) {
        r->first_bucket = r->page->n_samples;
    } else {
        struct text_sample shorter = *s;
        shorter.n_labels--;
        if (!same_labels(r->page, &r->page->samples[r->first_bucket], 1, &shorter) || !(quantile > r->last_bound))
            return refuse(r, "quantiles do not ascend, or are of another summary before this one's _sum and _count");
    }
    r->n_buckets++;
    r->last_bound = quantile;
    return 1;
}

/* Quantiles, _sum, _count; the fields are those of a histogram, quantiles counting as buckets. */
static int check_summary_line(struct reader *r, const struct text_sample *s, const char *suffix)
{
    if (suffix[0] == '\0' && !r->have_sum)
        return check_quantile(r, s);
    if (strcmp(suffix, "_sum") == 0 && !r->have_sum) {
        if (r->n_buckets > 0 && !same_labels(r->page, &r->page->samples[r->first_bucket], 1, s))
            return refuse(r, "_sum of another summary");
        r->have_sum = 1;
        return 1;
    }
    if (strcmp(suffix, "_count") != 0 || !r->have_sum)
        return refuse(r, "not the line that a summary has here");
    if (!same_labels(r->page, &r->page->samples[r->page->n_samples - 1], 0, s) || !is_count(s->value))
        return refuse(r, "_count of another summary, or not a whole number");
    r->n_buckets = 0;
    r->have_sum = 0;
    return 1;
}

static int check_sample(struct reader *r, const struct text_sample *s)
{
    const struct text_family *family = current(r);
    const char *suffix = suffix_of(family, s->name);
    if (r->help_pending || suffix == NULL)
        return refuse(r, "a sample outside its family");
    if (strcmp(family->type, "histogram") == 0)
        return check_histogram_line(r, s, suffix);
    if (strcmp(family->type, "summary") == 0)
        return check_summary_line(r, s, suffix);
    if (suffix[0] != '\0')
        return refuse(r, "a sample outside its family");
    if (strcmp(family->type, "counter") == 0 && !(s->value >= 0))
        return refuse(r, "a counter is negative or NaN");
    return 1;
}

/* `name{labels}` or `{"name",labels}` */
static int read_series(struct reader *r, struct text_sample *s)
{
    if (!skip(r, "{")) {
        s->name = r->at < r->end && *r->at == '"' ? NULL : read_name(r, 1);
        if (s->name == NULL)
            return refuse(r, "neither a sample nor HELP nor TYPE");
        return !skip(r, "{") || read_labels(r, s);
    }
    s->name = skip(r, "\"") ? read_quoted_name(r, 1) : NULL;
    if (s->name == NULL)
        return refuse(r, "a brace without a name in quotes");
    return skip(r, ",") ? read_labels(r, s) : skip(r, "}") || refuse(r, "no brace after a name in quotes");
}

static int read_sample(struct reader *r)
{
    struct text_page *page = r->page;
    if (current(r) == NULL)
        return refuse(r, "a sample before the first TYPE");
    struct text_sample s = {.family = page->n_families - 1, .first_label = page->n_labels};
    if (!read_series(r, &s))
        return 0;
    const char *value = r->at + 1;
    if (!skip(r, " "))
        return refuse(r, "no blank before the value");
    while (r->at < r->end && *r->at != '\n')
        r->at++;
    s.raw = keep(r, value, (size_t)(r->at - value));
    if (strlen(s.raw) != (size_t)(r->at - value) || !number(s.raw, &s.value))
        return refuse(r, "bad value");
    if (!check_sample(r, &s))
        return 0;
    page->samples = grow(page->samples, page->n_samples, sizeof *page->samples);
    page->samples[page->n_samples++] = s;
    current(r)->n_samples++;
    return 1;
}

/* ---- duplicates ---- */

/* For qsort, which hands nothing on; tests read pages one at a time. */
static const struct text_page *sorted_page;

static int compare_labels(const void *a, const void *b)
{
    const struct text_label *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    if (order != 0)
        return order;
    size_t n = x->value_len < y->value_len ? x->value_len : y->value_len;
    order = memcmp(x->value, y->value, n);
    return order != 0 ? order : (x->value_len > y->value_len) - (x->value_len < y->value_len);
}

static int compare_samples(const void *a, const void *b)
{
    const struct text_sample *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    if (order == 0)
        order = (x->n_labels > y->n_labels) - (x->n_labels < y->n_labels);
    for (size_t i = 0; order == 0 && i < x->n_labels; i++)
        order = compare_labels(&text_labels(sorted_page, x)[i], &text_labels(sorted_page, y)[i]);
    return order;
}

static void *copy_of(const void *items, size_t bytes)
{
    void *copy = malloc(bytes + 1);
    if (copy == NULL) {
        fprintf(stderr, "text_parser: out of memory\n");
        exit(1);
    }
    if (bytes > 0)
        memcpy(copy, items, bytes);
    return copy;
}

/* Sorts copies: labels within each sample, then the samples, so that equal series are neighbours. */
static int series_are_unique(const struct text_page *page)
{
    struct text_page copy = *page;
    copy.labels = copy_of(page->labels, page->n_labels * sizeof *page->labels);
    copy.samples = copy_of(page->samples, page->n_samples * sizeof *page->samples);
    for (size_t i = 0; i < copy.n_samples; i++)
        if (copy.samples[i].n_labels > 1)
            qsort(copy.labels + copy.samples[i].first_label, copy.samples[i].n_labels, sizeof *copy.labels,
                  compare_labels);
    sorted_page = &copy;
    int unique = 1;
    if (copy.n_samples > 1)
        qsort(copy.samples, copy.n_samples, sizeof *copy.samples, compare_samples);
    for (size_t i = 1; i < copy.n_samples; i++)
        unique &= compare_samples(&copy.samples[i - 1], &copy.samples[i]) != 0;
    sorted_page = NULL;
    free(copy.labels);
    free(copy.samples);
    return unique;
}

/* ---- pages ---- */

static int read_line(struct reader *r)
{
    int good = skip(r, "# HELP ") ? read_help(r) : skip(r, "# TYPE ") ? read_type(r) : read_sample(r);
    if (!good)
        return 0;
    return skip(r, "\n") ? 1 : refuse(r, "something after the end of a line, or no LF");
}

int text_parse(struct text_page *page, const char *text, size_t n)
{
    memset(page, 0, sizeof *page);
    page->strings = malloc(2 * n + 64);
    struct reader r = {.page = page, .at = text, .end = text + n, .line = 1, .string_at = page->strings};
    if (page->strings == NULL)
        return refuse(&r, "out of memory");
    for (; r.at < r.end; r.line++)
        if (!read_line(&r))
            return 0;
    if (!close_family(&r))
        return 0;
    return series_are_unique(page) ? 1 : refuse(&r, "a series appears twice");
}

void text_page_free(struct text_page *page)
{
    free(page->families);
    free(page->samples);
    free(page->labels);
    free(page->strings);
    memset(page, 0, sizeof *page);
}

const struct text_label *text_labels(const struct text_page *page, const struct text_sample *sample)
{
    return sample->n_labels > 0 ? &page->labels[sample->first_label] : NULL;
}

const char *text_label_value(const struct text_page *page, const struct text_sample *sample, const char *name)
{
    for (size_t i = 0; i < sample->n_labels; i++)
        if (strcmp(text_labels(page, sample)[i].name, name) == 0)
            return text_labels(page, sample)[i].value;
    return NULL;
}

const struct text_sample *text_find(const struct text_page *page, const char *name, size_t n)
{
    for (size_t i = 0; i < page->n_samples; i++)
        if (strcmp(page->samples[i].name, name) == 0 && n-- == 0)
            return &page->samples[i];
    return NULL;
}
