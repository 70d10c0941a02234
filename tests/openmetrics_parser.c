/* SPDX-License-Identifier: Apache-2.0 */
/*
 * openmetrics_parser.c - see openmetrics_parser.h.
 *
 * Two steps: lines are read one by one, with a cursor; when a labelset of a family is complete, because another one
 * begins or the family ends, its samples are held against what their kind may have. Every function that reads or
 * checks returns 0 after refuse(). Strings go unescaped into one block of twice the page's size, which suffices: none
 * is longer than its source, each has a delimiter there, whose byte pays for the NUL.
 */
#include "openmetrics_parser.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text_parser.h"

enum { MAX_SUFFIXES = 5, MAX_EXEMPLAR = 128 };

/* What samples of a type may be called; and whether it may have a unit. */
struct type {
    const char *word;
    const char *suffixes[MAX_SUFFIXES];
    const char *own_label; /* a label that tells samples of one labelset apart */
    int has_unit;
};

static const struct type types[] = {
    {"counter", {"_total", "_created"}, NULL, 1},
    {"gauge", {""}, NULL, 1},
    {"histogram", {"_bucket", "_sum", "_count", "_created"}, "le", 1},
    {"gaugehistogram", {"_bucket", "_gsum", "_gcount"}, "le", 1},
    {"summary", {"", "_sum", "_count", "_created"}, "quantile", 1},
    {"info", {"_info"}, NULL, 0},
    {"stateset", {""}, "", 0}, /* called as the family */
    {"unknown", {""}, NULL, 1},
};

enum metadata { NOTHING, TYPE, UNIT, HELP };

struct reader {
    struct om_page *page;
    const char *at;
    const char *end;
    size_t line;
    char *string_at;
    const struct type *type; /* of the last family */
    enum metadata last;      /* what of its metadata was read last */
    size_t group;            /* index of the first sample of the labelset that is being read */
};

static int refuse(struct reader *r, const char *why)
{
    if (r->page->error[0] == '\0')
        snprintf(r->page->error, sizeof r->page->error, "line %zu: %s", r->line, why);
    return 0;
}

static void *must_have(void *memory)
{
    if (memory == NULL) {
        fprintf(stderr, "openmetrics_parser: out of memory\n");
        exit(1);
    }
    return memory;
}

/* Room for one more item in a vector that doubles. */
static void *grow(void *items, size_t n, size_t item_size)
{
    return (n & (n - 1)) != 0 ? items : must_have(realloc(items, (n == 0 ? 1 : 2 * n) * item_size));
}

/* ---- words ---- */

static int skip(struct reader *r, const char *what)
{
    size_t n = strlen(what);
    if ((size_t)(r->end - r->at) < n || memcmp(r->at, what, n) != 0)
        return 0;
    r->at += n;
    return 1;
}

static int is_name_char(char c, int first, int colon)
{
    if (c >= '0' && c <= '9')
        return !first;
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c == ':' && colon);
}

static const char *keep(struct reader *r, const char *s, size_t n)
{
    char *kept = memcpy(r->string_at, s, n);
    kept[n] = '\0';
    r->string_at += n + 1;
    return kept;
}

/* The rest of the line up to @stop or its end, which is left. */
static const char *read_until(struct reader *r, char stop)
{
    const char *start = r->at;
    while (r->at < r->end && *r->at != stop && *r->at != '\n' && *r->at != '\0')
        r->at++;
    return keep(r, start, (size_t)(r->at - start));
}

/* Unescapes up to @stop, which is left. NULL: no end, a quote that is not escaped, a bad escape, not UTF-8. */
static const char *read_escaped(struct reader *r, char stop, size_t *n)
{
    char *start = r->string_at, *to = start;
    for (; r->at < r->end && *r->at != '"' && *r->at != '\n'; r->at++) {
        char c = *r->at;
        if (c == '\\') {
            c = ++r->at == r->end ? '\0' : *r->at;
            if (c != '\\' && c != 'n' && c != '"')
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

static int is_legacy(const char *name, size_t n, int colon)
{
    size_t i = 0;
    while (i < n && is_name_char(name[i], i == 0, colon))
        i++;
    return n > 0 && i == n;
}

/* After its first quote. NULL: not a name, or one that needs no quotes. */
static const char *read_quoted_name(struct reader *r, int colon)
{
    size_t n;
    const char *name = read_escaped(r, '"', &n);
    r->page->n_quoted++;
    return name != NULL && skip(r, "\"") && n > 0 && !is_legacy(name, n, colon) ? name : NULL;
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

/* Skips one digit or more. */
static int skip_digits(const char **s)
{
    const char *start = *s;
    while (**s >= '0' && **s <= '9')
        (*s)++;
    return *s > start;
}

static int skip_one_of(const char **s, const char *choice)
{
    if (**s == '\0' || strchr(choice, **s) == NULL)
        return 0;
    (*s)++;
    return 1;
}

/* [-]digits[.digits][e(+|-)digits], the last part only if @exponent */
static int is_decimal(const char *s, int exponent)
{
    skip_one_of(&s, "-");
    if (!skip_digits(&s) || (skip_one_of(&s, ".") && !skip_digits(&s)))
        return 0;
    if (exponent && skip_one_of(&s, "e") && (!skip_one_of(&s, "+-") || !skip_digits(&s)))
        return 0;
    return *s == '\0';
}

static int number(const char *s, double *value)
{
    static const char *const names[] = {"NaN", "+Inf", "-Inf"};
    const double values[] = {(double)NAN, (double)INFINITY, -(double)INFINITY};
    for (size_t i = 0; i < 3; i++)
        if (strcmp(s, names[i]) == 0) {
            *value = values[i];
            return 1;
        }
    *value = strtod(s, NULL);
    return is_decimal(s, 1) && !isinf(*value);
}

static int is_count(double v)
{
    return v >= 0x1p53 || (v >= 0 && v == (double)(unsigned long long)v);
}

/* The number that a label's value is, written as a float. */
static int float_label(const char *text, double *value)
{
    return text != NULL && number(text, value) && strpbrk(text, ".eI") != NULL;
}

/* ---- samples of one labelset ---- */

static const char *label_of(const struct reader *r, const struct om_sample *s, const char *name)
{
    return om_label_value(r->page, s->labels, name);
}

/* Steps over the sample at @*i if it has this suffix. */
static const struct om_sample *take(const struct reader *r, size_t *i, const char *suffix)
{
    const struct om_sample *s = &r->page->samples[*i];
    if (*i == r->page->n_samples || strcmp(s->suffix, suffix) != 0)
        return NULL;
    (*i)++;
    return s;
}

static int exemplar_is_between(const struct om_sample *s, double above, double up_to)
{
    return !s->exemplar.present || (s->exemplar.value > above && s->exemplar.value <= up_to);
}

/* Buckets up to +Inf; @least receives the first bound, @count the last count. */
static int check_buckets(struct reader *r, size_t *i, double *least, double *count)
{
    const struct om_sample *s;
    double bound = -(double)INFINITY, next;
    *count = 0;
    for (size_t n = 0; (s = take(r, i, "_bucket")) != NULL; n++) {
        if (!float_label(label_of(r, s, "le"), &next) || !(next > bound))
            return refuse(r, "le is missing, not written as a float, or does not ascend");
        if (!is_count(s->value) || s->value < *count)
            return refuse(r, "a bucket's count is not whole, or less than the one before");
        if (!exemplar_is_between(s, bound, next))
            return refuse(r, "an exemplar lies outside of its bucket");
        *least = n == 0 ? next : *least;
        bound = next;
        *count = s->value;
    }
    return isinf(bound) && bound > 0 ? 1 : refuse(r, "no +Inf bucket");
}

static int check_histogram(struct reader *r, size_t i)
{
    double least, in_buckets;
    if (!check_buckets(r, &i, &least, &in_buckets))
        return 0;
    const struct om_sample *sum = take(r, &i, "_sum"), *count = take(r, &i, "_count");
    if ((sum == NULL) != (count == NULL))
        return refuse(r, "_sum without _count, or _count without _sum");
    if (sum != NULL && (least < 0 || !(sum->value >= 0) || count->value != in_buckets))
        return refuse(r, "a sum that may not be, or a count that is not the +Inf bucket");
    take(r, &i, "_created");
    return i == r->page->n_samples ? 1 : refuse(r, "not the line that a histogram has here");
}

static int check_gauge_histogram(struct reader *r, size_t i)
{
    double least, in_buckets;
    if (!check_buckets(r, &i, &least, &in_buckets))
        return 0;
    const struct om_sample *sum = take(r, &i, "_gsum"), *count = take(r, &i, "_gcount");
    if ((sum == NULL) != (count == NULL))
        return refuse(r, "_gsum without _gcount, or _gcount without _gsum");
    if (sum != NULL && (!(sum->value >= 0 || (sum->value < 0 && least < 0)) || count->value != in_buckets))
        return refuse(r, "a sum that may not be, or a count that is not the +Inf bucket");
    return i == r->page->n_samples ? 1 : refuse(r, "not the line that a gauge histogram has here");
}

static int check_summary(struct reader *r, size_t i)
{
    const struct om_sample *s;
    double quantile, last = -1;
    for (; (s = take(r, &i, "")) != NULL; last = quantile) {
        if (!float_label(label_of(r, s, "quantile"), &quantile) || !(quantile > last) || quantile > 1)
            return refuse(r, "quantile is missing, not written as a float, does not ascend, or is above 1");
        if (quantile < 0 || s->value < 0)
            return refuse(r, "a quantile or its value is negative");
    }
    if ((s = take(r, &i, "_sum")) != NULL && !(s->value >= 0))
        return refuse(r, "a summary's sum is negative or NaN");
    if ((s = take(r, &i, "_count")) != NULL && !is_count(s->value))
        return refuse(r, "a summary's count is not a whole number");
    take(r, &i, "_created");
    return i == r->page->n_samples ? 1 : refuse(r, "not the line that a summary has here");
}

static int check_counter(struct reader *r, size_t i)
{
    const struct om_sample *s = take(r, &i, "_total");
    if (s == NULL || !(s->value >= 0))
        return refuse(r, "a counter without _total, or one that is negative or NaN");
    take(r, &i, "_created");
    return i == r->page->n_samples ? 1 : refuse(r, "not the line that a counter has here");
}

static int check_stateset(struct reader *r, size_t i)
{
    const char *family = r->page->families[r->page->n_families - 1].name;
    for (size_t first = i; i < r->page->n_samples; i++) {
        const struct om_sample *s = &r->page->samples[i];
        const char *state = label_of(r, s, family);
        if (state == NULL || (s->value != 0 && s->value != 1))
            return refuse(r, "a state without its label, or neither 0 nor 1");
        for (size_t j = first; j < i; j++)
            if (strcmp(label_of(r, &r->page->samples[j], family), state) == 0)
                return refuse(r, "a state appears twice");
    }
    return 1;
}

static int check_single(struct reader *r, size_t i)
{
    if (r->page->n_samples != i + 1)
        return refuse(r, "a series appears twice");
    if (strcmp(r->type->word, "info") == 0 && r->page->samples[i].value != 1)
        return refuse(r, "an info is not 1");
    return 1;
}

/* The labelset that ends here, of the last family. */
static int check_group(struct reader *r)
{
    static const struct {
        const char *word;
        int (*check)(struct reader *r, size_t i);
    } checks[] = {{"counter", check_counter},
                  {"histogram", check_histogram},
                  {"gaugehistogram", check_gauge_histogram},
                  {"summary", check_summary},
                  {"stateset", check_stateset}};
    size_t first = r->group;
    r->group = r->page->n_samples;
    if (first == r->page->n_samples)
        return 1;
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++)
        if (strcmp(checks[i].word, r->type->word) == 0)
            return checks[i].check(r, first);
    return check_single(r, first);
}

static int same_key(const struct om_sample *a, const struct om_sample *b)
{
    return a->key_len == b->key_len && memcmp(a->key, b->key, a->key_len) == 0;
}

/* Before @s is added: it continues the labelset of the sample before it, or is the first of one that is new. */
static int check_order(struct reader *r, const struct om_sample *s)
{
    struct om_page *page = r->page;
    if (r->group < page->n_samples && same_key(s, &page->samples[page->n_samples - 1]))
        return 1;
    if (!check_group(r))
        return 0;
    for (size_t i = page->families[s->family].first_sample; i < page->n_samples; i++)
        if (same_key(s, &page->samples[i]))
            return refuse(r, "a labelset is torn apart, or appears twice");
    return 1;
}

/* ---- labels ---- */

static int read_label(struct reader *r, struct om_labels *labels)
{
    struct om_page *page = r->page;
    struct om_label label = {.name = read_name(r, 0)};
    if (label.name == NULL || !skip(r, "=\""))
        return refuse(r, "bad label name");
    if (om_label_value(page, *labels, label.name) != NULL)
        return refuse(r, "a label name appears twice");
    label.value = read_escaped(r, '"', &label.value_len);
    if (label.value == NULL || !skip(r, "\""))
        return refuse(r, "bad label value");
    page->labels = grow(page->labels, page->n_labels, sizeof *page->labels);
    page->labels[page->n_labels++] = label;
    labels->n++;
    return 1;
}

/* Pairs and the closing brace. */
static int read_pairs(struct reader *r, struct om_labels *labels)
{
    labels->first = r->page->n_labels;
    do {
        if (!read_label(r, labels))
            return 0;
    } while (skip(r, ","));
    return skip(r, "}") ? 1 : refuse(r, "labels do not end in a brace");
}

static int compare_labels(const void *a, const void *b)
{
    return strcmp((*(const struct om_label *const *)a)->name, (*(const struct om_label *const *)b)->name);
}

/* Each label as name, NUL, length, value, in the order of the names; all but the one called @own. */
static void make_key(const struct om_page *page, struct om_sample *s, const char *own)
{
    const struct om_label **order = must_have(malloc((s->labels.n + 1) * sizeof *order));
    size_t n = 0, bytes = 0;
    for (size_t i = 0; i < s->labels.n; i++) {
        const struct om_label *label = &page->labels[s->labels.first + i];
        if (own != NULL && strcmp(label->name, own) == 0)
            continue;
        order[n++] = label;
        bytes += strlen(label->name) + 1 + sizeof label->value_len + label->value_len;
    }
    qsort(order, n, sizeof *order, compare_labels);
    char *at = s->key = must_have(malloc(bytes + 1));
    for (size_t i = 0; i < n; i++) {
        size_t name_size = strlen(order[i]->name) + 1;
        memcpy(at, order[i]->name, name_size);
        memcpy(at + name_size, &order[i]->value_len, sizeof order[i]->value_len);
        memcpy(at + name_size + sizeof order[i]->value_len, order[i]->value, order[i]->value_len);
        at += name_size + sizeof order[i]->value_len + order[i]->value_len;
    }
    s->key_len = bytes;
    free(order);
}

/* ---- samples ---- */

static size_t n_characters(const char *s, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += ((unsigned char)s[i] & 0xc0) != 0x80;
    return count;
}

/* After ` # {`. */
static int read_exemplar(struct reader *r, struct om_sample *s)
{
    struct om_exemplar *e = &s->exemplar;
    size_t n = 0;
    *e = (struct om_exemplar){.present = 1, .timestamp = ""};
    if (strcmp(s->suffix, "_total") != 0 && strcmp(s->suffix, "_bucket") != 0)
        return refuse(r, "an exemplar where none may be");
    if (!skip(r, "}") && !read_pairs(r, &e->labels))
        return 0;
    for (size_t i = 0; i < e->labels.n; i++) {
        const struct om_label *label = &r->page->labels[e->labels.first + i];
        n += n_characters(label->name, strlen(label->name)) + n_characters(label->value, label->value_len);
    }
    if (n > MAX_EXEMPLAR)
        return refuse(r, "an exemplar's labels are too long");
    if (!skip(r, " ") || !number(read_until(r, ' '), &e->value))
        return refuse(r, "bad value of an exemplar");
    if (skip(r, " ") && !is_decimal(e->timestamp = read_until(r, ' '), 0))
        return refuse(r, "bad timestamp of an exemplar");
    return 1;
}

/* The family of a sample is the last one, or the sample is out of place. */
static int find_suffix(struct reader *r, struct om_sample *s)
{
    const char *family = r->page->families[s->family].name;
    size_t n = strlen(family);
    if (strncmp(s->name, family, n) != 0)
        return refuse(r, "a sample outside its family");
    for (size_t i = 0; i < MAX_SUFFIXES && r->type->suffixes[i] != NULL; i++)
        if (strcmp(s->name + n, r->type->suffixes[i]) == 0)
            s->suffix = r->type->suffixes[i];
    return s->suffix != NULL ? 1 : refuse(r, "not a sample that such a family has");
}

/* `name{pairs}` or `{"name",pairs}` */
static int read_series(struct reader *r, struct om_sample *s)
{
    if (!skip(r, "{")) {
        s->name = *r->at == '"' ? NULL : read_name(r, 1);
        if (s->name == NULL)
            return refuse(r, "neither metadata nor a sample");
        return !skip(r, "{") || read_pairs(r, &s->labels);
    }
    s->name = skip(r, "\"") ? read_quoted_name(r, 1) : NULL;
    if (s->name == NULL)
        return refuse(r, "a brace without a name in quotes");
    return skip(r, ",") ? read_pairs(r, &s->labels) : skip(r, "}") ? 1 : refuse(r, "no brace after a name in quotes");
}

static int has_own_label(const struct type *type, const char *suffix)
{
    return type->own_label != NULL && (suffix[0] == '\0' || strcmp(suffix, "_bucket") == 0);
}

static int read_sample(struct reader *r)
{
    struct om_page *page = r->page;
    if (page->n_families == 0)
        return refuse(r, "a sample before the first TYPE");
    struct om_sample s = {.family = page->n_families - 1, .exemplar = {.timestamp = ""}};
    if (!read_series(r, &s) || !find_suffix(r, &s))
        return 0;
    if (!skip(r, " ") || !number(s.raw = read_until(r, ' '), &s.value))
        return refuse(r, "bad value");
    if (skip(r, " # {") && !read_exemplar(r, &s))
        return 0;
    const char *own = r->type->own_label;
    if (own != NULL && own[0] == '\0')
        own = page->families[s.family].name;
    make_key(page, &s, has_own_label(r->type, s.suffix) ? own : NULL);
    if (!check_order(r, &s)) {
        free(s.key);
        return 0;
    }
    page->samples = grow(page->samples, page->n_samples, sizeof *page->samples);
    page->samples[page->n_samples++] = s;
    page->families[s.family].n_samples++;
    return 1;
}

/* ---- families ---- */

static int close_family(struct reader *r)
{
    if (r->page->n_families == 0)
        return 1;
    if (r->page->families[r->page->n_families - 1].n_samples == 0)
        return refuse(r, "a family without samples");
    return check_group(r);
}

static int read_type(struct reader *r)
{
    struct om_page *page = r->page;
    struct om_family family = {.name = read_name(r, 1), .unit = "", .help = ""};
    if (!close_family(r))
        return 0;
    if (family.name == NULL || !skip(r, " "))
        return refuse(r, "TYPE has no name or no type");
    family.type = read_until(r, ' ');
    family.first_sample = page->n_samples;
    r->type = NULL;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i].word, family.type) == 0)
            r->type = &types[i];
    if (r->type == NULL)
        return refuse(r, "no such type");
    page->families = grow(page->families, page->n_families, sizeof *page->families);
    page->families[page->n_families++] = family;
    r->last = TYPE;
    return 1;
}

/* UNIT and HELP belong to the TYPE before them, come in this order and before samples. */
static struct om_family *open_metadata(struct reader *r, enum metadata which)
{
    struct om_family *family = r->page->n_families == 0 ? NULL : &r->page->families[r->page->n_families - 1];
    const char *name = read_name(r, 1);
    if (name == NULL || !skip(r, " ") || family == NULL || strcmp(family->name, name) != 0)
        return NULL;
    if (r->last >= which || family->n_samples > 0)
        return NULL;
    r->last = which;
    return family;
}

static int read_unit(struct reader *r)
{
    struct om_family *family = open_metadata(r, UNIT);
    if (family == NULL)
        return refuse(r, "UNIT out of place");
    family->unit = read_until(r, ' ');
    size_t n = strlen(family->unit), name_len = strlen(family->name);
    if (n == 0 || !r->type->has_unit)
        return refuse(r, "an empty unit, or one of a type that has none");
    if (name_len < n + 2 || strcmp(family->name + name_len - n, family->unit) != 0 ||
        family->name[name_len - n - 1] != '_')
        return refuse(r, "the unit is not the end of the family's name");
    return 1;
}

static int read_help(struct reader *r)
{
    struct om_family *family = open_metadata(r, HELP);
    if (family == NULL)
        return refuse(r, "HELP out of place");
    family->help = read_escaped(r, '\n', &family->help_len);
    return family->help != NULL && family->help_len > 0 ? 1 : refuse(r, "bad help text");
}

/* ---- names that samples of another family could have ---- */

static const struct type *type_of(const struct om_family *family)
{
    size_t i = 0;
    while (strcmp(types[i].word, family->type) != 0)
        i++;
    return &types[i];
}

/* The k-th name that the family takes, with @suffix as its end: its own name, then those of its samples. */
static const char *taken(const struct om_family *family, size_t k)
{
    return k == 0 ? "" : k <= MAX_SUFFIXES ? type_of(family)->suffixes[k - 1] : NULL;
}

static int joined_equal(const char *a, const char *a_end, const char *b, const char *b_end)
{
    size_t n = strlen(a), m = strlen(b);
    if (n > m)
        return joined_equal(b, b_end, a, a_end);
    size_t more = m - n;
    return strncmp(a, b, n) == 0 && strncmp(a_end, b + n, more) == 0 && strlen(a_end) >= more &&
           strcmp(a_end + more, b_end) == 0;
}

static int families_clash(const struct om_family *a, const struct om_family *b)
{
    const char *a_end, *b_end;
    for (size_t i = 0; (a_end = taken(a, i)) != NULL; i++)
        for (size_t j = 0; (b_end = taken(b, j)) != NULL; j++)
            if (joined_equal(a->name, a_end, b->name, b_end))
                return 1;
    return 0;
}

static int check_clashes(struct reader *r)
{
    for (size_t i = 0; i < r->page->n_families; i++)
        for (size_t j = 0; j < i; j++)
            if (families_clash(&r->page->families[i], &r->page->families[j]))
                return refuse(r, "a family appears twice, or could be another's sample");
    return 1;
}

/* ---- pages ---- */

static int read_line(struct reader *r)
{
    int good = skip(r, "# TYPE ")   ? read_type(r)
               : skip(r, "# UNIT ") ? read_unit(r)
               : skip(r, "# HELP ") ? read_help(r)
                                    : read_sample(r);
    if (!good)
        return 0;
    return skip(r, "\n") ? 1 : refuse(r, "something after the end of a line, or no LF");
}

int om_parse(struct om_page *page, const char *text, size_t n)
{
    memset(page, 0, sizeof *page);
    page->strings = must_have(malloc(2 * n + 64));
    struct reader r = {.page = page, .at = text, .end = text + n, .line = 1, .string_at = page->strings};
    for (; r.at < r.end && !skip(&r, "# EOF\n"); r.line++)
        if (!read_line(&r))
            return 0;
    if (n < 6 || memcmp(text + n - 6, "# EOF\n", 6) != 0 || r.at != r.end)
        return refuse(&r, "no EOF, or something after it");
    return close_family(&r) && check_clashes(&r);
}

void om_page_free(struct om_page *page)
{
    for (size_t i = 0; i < page->n_samples; i++)
        free(page->samples[i].key);
    free(page->families);
    free(page->samples);
    free(page->labels);
    free(page->strings);
    memset(page, 0, sizeof *page);
}

const char *om_label_value(const struct om_page *page, struct om_labels labels, const char *name)
{
    for (size_t i = labels.first; i < labels.first + labels.n; i++)
        if (strcmp(page->labels[i].name, name) == 0)
            return page->labels[i].value;
    return NULL;
}
