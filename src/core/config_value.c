/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/config_value.c - the keys that an operator may set: what their values look like, where they are kept.
 *
 * One row a key. Reading a row's value, merging it and writing it again go by its type. Numbers are read as the C
 * locale has them, whatever the host's: a file means the same everywhere.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config.h"
#include "core/json.h"

#define MAX_NUMBER 64       /* characters */
#define MAX_SECONDS 2.592e9 /* 30000 days */
#define MAX_LINGER_NS ((int64_t)49 * 86400 * 1000000000)

enum type {
    BUCKETS,  /* bounds, a preset, none */
    SWITCH,   /* yes, no, a factor */
    COUNT,    /* uint32_t */
    NUMBER,   /* double */
    DURATION, /* int64_t, nanoseconds */
    MILLIS,   /* a time as well: uint32_t, milliseconds, not 0 */
    WORD,     /* uint32_t or an enum: one of words[key] */
    LIST,     /* see config_allow.c */
};

struct row {
    const char *name;
    enum type type;
    int zero_is_negative; /* 0 means the default where the value is kept: what is said to be 0 is kept as -1 */
    size_t offset;        /* in struct kymo__choices */
    double min, max;      /* of counts, numbers and words */
    const char *allowed;
};
_Static_assert(sizeof(enum kymo_guard_policy) == sizeof(uint32_t), "words are kept as numbers of 32 bits");

#define DETAIL(field) (offsetof(struct kymo__choices, details) + offsetof(struct kymo_native, field))
#define GUARD(field) (offsetof(struct kymo__choices, guard) + offsetof(struct kymo_guard, field))
#define A_DURATION "a time from 0 to 30000d, with a unit: ms, s, m, h or d"

static const struct row rows[KYMO__KEYS] = {
    [KYMO__KEY_BUCKETS] =
        {"buckets", BUCKETS, 0, 0, 0, 0,
         "1 to 500 numbers from small to large without +Inf, with commas between them, or none, or one "
         "of web, latency, ttft, itl, e2e, tokens"},
    [KYMO__KEY_NATIVE] = {"native", SWITCH, 0, 0, 0, 0, "yes, no, or a factor above 1 such as 1.1"},
    [KYMO__KEY_MAX_BUCKETS] = {"native.max_buckets", COUNT, 0, DETAIL(max_buckets), 1, 1000, "a number from 1 to 1000"},
    [KYMO__KEY_ZERO_THRESHOLD] = {"native.zero_threshold", NUMBER, 1, DETAIL(zero_threshold), 0, 0x1.fffffffffffffp1023,
                                  "a number from 0 on"},
    [KYMO__KEY_MAX_ZERO_THRESHOLD] = {"native.max_zero_threshold", NUMBER, 0, DETAIL(max_zero_threshold), 0,
                                      0x1.fffffffffffffp1023, "a number from 0 on"},
    [KYMO__KEY_MIN_RESET] = {"native.min_reset", DURATION, 0, DETAIL(min_reset_ns), 0, 0, A_DURATION},
    [KYMO__KEY_MAX_EXEMPLARS] = {"native.max_exemplars", COUNT, 0, DETAIL(max_exemplars), 1, 64,
                                 "a number from 1 to 64; exemplars = 0 turns all of them off"},
    [KYMO__KEY_EXEMPLAR_TTL] = {"native.exemplar_ttl", DURATION, 1, DETAIL(exemplar_ttl_ns), 0, 0, A_DURATION},
    [KYMO__KEY_EXEMPLARS] = {"exemplars", COUNT, 0, offsetof(struct kymo__choices, exemplar_every), 0, 1000000000,
                             "0 for none, or a number n: each n-th recording that brings one is considered"},
    [KYMO__KEY_MAX_SERIES] = {"max_series", COUNT, 0, GUARD(max_series), 1, 10000000, "a number from 1 to 10000000"},
    [KYMO__KEY_GUARD] = {"guard", WORD, 0, GUARD(policy), 1, 2, "limit or top"},
    [KYMO__KEY_AFTER_END] = {"after_end", WORD, 0, GUARD(after_end), 0, 1, "revive or overflow"},
    [KYMO__KEY_MAX_VALUE_BYTES] = {"max_value_bytes", COUNT, 0, GUARD(max_value_bytes), 16, 60000,
                                   "a number from 16 to 60000"},
    [KYMO__KEY_LINGER] = {"linger", MILLIS, 0, GUARD(linger_ms), 0, 0,
                          "a time from 1ms to 49d, with a unit: ms, s, m, h or d"},
    [KYMO__KEY_IDLE] = {"idle", DURATION, 0, GUARD(idle_ns), 0, 0, A_DURATION "; 0 is never"},
    [KYMO__KEY_TOUCH] = {"touch", WORD, 0, GUARD(touch), 0, 1, "yes or no"},
    [KYMO__KEY_ALLOW] = {"allow.<label>", LIST, 0, 0, 0, 0, ""},
};

/* By their values. The operator may choose those from min to max: "plain" is for the catalogue. */
static const char *const words[KYMO__KEYS][3] = {
    [KYMO__KEY_GUARD] = {"plain", "limit", "top"},
    [KYMO__KEY_AFTER_END] = {"revive", "overflow"},
    [KYMO__KEY_TOUCH] = {"no", "yes"},
};

static const struct {
    const char *name;
    const double *bounds;
    uint32_t n;
} presets[] = {
    {"web", kymo_buckets_web, kymo_buckets_web_n},    {"latency", kymo_buckets_latency, kymo_buckets_latency_n},
    {"ttft", kymo_buckets_ttft, kymo_buckets_ttft_n}, {"itl", kymo_buckets_itl, kymo_buckets_itl_n},
    {"e2e", kymo_buckets_e2e, kymo_buckets_e2e_n},    {"tokens", kymo_buckets_tokens, kymo_buckets_tokens_n},
};

static const struct {
    const char *name;
    double ns;
} units[] = {{"ms", 1e6}, {"s", 1e9}, {"m", 6e10}, {"h", 3.6e12}, {"d", 8.64e13}};

/* ---- names ---- */

static size_t least(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* In how many letters two names differ; many if one is too long for any key. */
static size_t distance(const char *a, const char *b)
{
    size_t row[40], n = strlen(b), far = 100;
    if (n >= sizeof(row) / sizeof(row[0]) || strlen(a) > far)
        return far;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t corner = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < n; j++) {
            size_t above = row[j + 1];
            row[j + 1] = least(above + 1, row[j] + 1, corner + (a[i] != b[j]));
            corner = above;
        }
    }
    return row[n];
}

#define ALLOW "allow."

/* What stands before the label in allow.<label>, the label itself being anything. */
static enum kymo__config_key allow_find(const char *name, enum kymo__config_key *near)
{
    char head[sizeof(ALLOW) + 2];
    size_t n = strcspn(name, ".") + 1;
    if (strncmp(name, ALLOW, strlen(ALLOW)) == 0 && name[strlen(ALLOW)] != '\0')
        return KYMO__KEY_ALLOW;
    (void)snprintf(head, sizeof(head), "%.*s", (int)(n < sizeof(head) ? n : 0), name);
    if (distance(head, ALLOW) <= 2)
        *near = KYMO__KEY_ALLOW;
    return KYMO__KEY_NONE;
}

enum kymo__config_key kymo__config_key_find(const char *name, enum kymo__config_key *near)
{
    size_t closest = strlen(name) / 3 + 2;
    *near = KYMO__KEY_NONE;
    if (allow_find(name, near) != KYMO__KEY_NONE)
        return KYMO__KEY_ALLOW;
    for (int key = 0; key < KYMO__KEY_ALLOW; key++) {
        size_t d = distance(name, rows[key].name);
        if (d == 0)
            return (enum kymo__config_key)key;
        if (d < closest) {
            closest = d;
            *near = (enum kymo__config_key)key;
        }
    }
    return KYMO__KEY_NONE;
}

const char *kymo__config_key_name(enum kymo__config_key key)
{
    return rows[key].name;
}

const char *kymo__config_word(enum kymo__config_key key, uint32_t value)
{
    return words[key][value];
}

void kymo__config_key_names(char *to, size_t cap)
{
    size_t n = 0;
    for (int key = 0; key < KYMO__KEYS && n < cap; key++)
        n += (size_t)snprintf(to + n, cap - n, "%s%s", key ? ", " : "", rows[key].name);
}

/* ---- reading ---- */

static double strtod_of_c(const char *s, char **end)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    *end = (char *)(uintptr_t)s;
    if (c == (locale_t)0)
        return 0;
    locale_t before = uselocale(c);
    double v = strtod(s, end);
    (void)uselocale(before);
    freelocale(c);
    return v;
}

/* A finite decimal number, all of the first @n characters. */
static int number_read(const char *s, size_t n, double *v)
{
    char copy[MAX_NUMBER + 1], *end;
    if (n == 0 || n > MAX_NUMBER)
        return 0;
    memcpy(copy, s, n);
    copy[n] = '\0';
    if (strspn(copy, "0123456789.eE+-") != n)
        return 0;
    *v = strtod_of_c(copy, &end);
    return *end == '\0' && isfinite(*v);
}

static int count_read(const char *s, double min, double max, uint32_t *to)
{
    double v;
    if (strspn(s, "0123456789") != strlen(s) || !number_read(s, strlen(s), &v) || v < min || v > max)
        return 0;
    *to = (uint32_t)v;
    return 1;
}

static int duration_read(const char *s, int64_t *to)
{
    double v;
    size_t n = strspn(s, "0123456789.eE+-");
    if (!number_read(s, n, &v) || !(v >= 0))
        return 0;
    const char *unit = s + n + strspn(s + n, " \t");
    *to = 0;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        double ns = v * units[i].ns;
        if (strcmp(unit, units[i].name) != 0)
            continue;
        *to = ns <= MAX_SECONDS * 1e9 ? (int64_t)(ns + 0.5) : -1;
        return *to >= 0;
    }
    return unit[0] == '\0' && v == 0;
}

static int switch_read(const char *s, struct kymo__choices *to)
{
    double factor = 0;
    int number = number_read(s, strlen(s), &factor);
    if (strcmp(s, "yes") != 0 && strcmp(s, "no") != 0 && !(number && factor > 1))
        return 0;
    to->native = strcmp(s, "no") != 0;
    to->details.bucket_factor = factor;
    return 1;
}

/* Numbers with commas between them, strictly increasing, at most KYMO__MAX_BOUNDS; how many, or 0. */
static uint32_t bounds_read(const char *s, double *bounds)
{
    uint32_t n = 0;
    for (;;) {
        s += strspn(s, " \t");
        size_t len = strcspn(s, ", \t");
        if (n == KYMO__MAX_BOUNDS || !number_read(s, len, &bounds[n]) || (n > 0 && !(bounds[n] > bounds[n - 1])))
            return 0;
        n++;
        s += len;
        s += strspn(s, " \t");
        if (*s == '\0')
            return n;
        if (*s++ != ',')
            return 0;
    }
}

static int bounds_keep(struct kymo_registry *reg, struct kymo__choices *to, const double *bounds, uint32_t n)
{
    double *kept = kymo__heap_alloc(reg, n * sizeof(double));
    if (kept == NULL)
        return KYMO_ENOMEM;
    memcpy(kept, bounds, n * sizeof(double));
    to->bounds = kept;
    to->n_bounds = n;
    return 0;
}

/* 0, or KYMO_ENOMEM; KYMO_ECONFIG where nothing is said yet. */
static int buckets_read(struct kymo_registry *reg, const char *s, struct kymo__choices *to)
{
    double bounds[KYMO__MAX_BOUNDS];
    if (strcmp(s, "none") == 0)
        return 0;
    for (size_t i = 0; i < sizeof(presets) / sizeof(presets[0]); i++)
        if (strcmp(s, presets[i].name) == 0)
            return bounds_keep(reg, to, presets[i].bounds, presets[i].n);
    uint32_t n = bounds_read(s, bounds);
    return n != 0 ? bounds_keep(reg, to, bounds, n) : KYMO_ECONFIG;
}

static void *field_of(struct kymo__choices *c, const struct row *row)
{
    return (char *)c + row->offset;
}

static int number_keep(const struct row *row, const char *s, double *to)
{
    if (!number_read(s, strlen(s), to) || !(*to >= row->min && *to <= row->max))
        return 0;
    if (*to == 0)
        *to = row->zero_is_negative ? -1 : 0; /* no -0 either */
    return 1;
}

static int duration_keep(const struct row *row, const char *s, int64_t *to)
{
    if (!duration_read(s, to))
        return 0;
    if (*to == 0 && row->zero_is_negative)
        *to = -1;
    return 1;
}

/* Rounded up: what is more than nothing is not none. */
static int millis_keep(const char *s, uint32_t *to)
{
    int64_t ns;
    if (!duration_read(s, &ns) || ns <= 0 || ns > MAX_LINGER_NS)
        return 0;
    *to = (uint32_t)((ns + 999999) / 1000000);
    return 1;
}

static int word_keep(const struct row *row, const char *s, uint32_t *to)
{
    for (uint32_t i = (uint32_t)row->min; i <= (uint32_t)row->max; i++) {
        if (strcmp(s, words[row - rows][i]) == 0) {
            *to = i;
            return 1;
        }
    }
    return 0;
}

static int value_read(struct kymo_registry *reg, const struct row *row, const char *s, struct kymo__choices *to)
{
    int good = 0;
    switch (row->type) {
    case BUCKETS:
        return buckets_read(reg, s, to);
    case SWITCH:
        good = switch_read(s, to);
        break;
    case COUNT:
        good = count_read(s, row->min, row->max, field_of(to, row));
        break;
    case NUMBER:
        good = number_keep(row, s, field_of(to, row));
        break;
    case DURATION:
        good = duration_keep(row, s, field_of(to, row));
        break;
    case MILLIS:
        good = millis_keep(s, field_of(to, row));
        break;
    case WORD:
        good = word_keep(row, s, field_of(to, row));
        break;
    case LIST: /* kymo__config_allow_read() */
        break;
    }
    return good ? 0 : KYMO_ECONFIG;
}

int kymo__config_value_read(const struct kymo__config_place *place, enum kymo__config_key key, char *value,
                            struct kymo__choices *to)
{
    const struct row *row = &rows[key];
    int r = value_read(place->reg, row, value, to);
    if (r == 0)
        to->set |= KYMO__KEY_BIT(key);
    if (r == KYMO_ECONFIG)
        return kymo__config_error(place, "%s = %.60s%s: give %s", row->name, value, strlen(value) > 60 ? "..." : "",
                                  row->allowed);
    return r;
}

/* ---- merging and writing ---- */

static void merge(struct kymo__choices *to, const struct kymo__choices *from, const struct row *row)
{
    static const size_t bytes[] = {[COUNT] = sizeof(uint32_t),  [NUMBER] = sizeof(double), [DURATION] = sizeof(int64_t),
                                   [MILLIS] = sizeof(uint32_t), [WORD] = sizeof(uint32_t), [LIST] = 0};
    if (row->type == BUCKETS) {
        to->bounds = from->bounds;
        to->n_bounds = from->n_bounds;
    } else if (row->type == SWITCH) {
        to->native = from->native;
        to->details.bucket_factor = from->details.bucket_factor;
    } else {
        memcpy(field_of(to, row), (const char *)from + row->offset, bytes[row->type]);
    }
}

void kymo__choices_merge(struct kymo__choices *to, const struct kymo__choices *from)
{
    for (int key = 0; key < KYMO__KEYS; key++)
        if (from->set & KYMO__KEY_BIT(key))
            merge(to, from, &rows[key]);
    to->set |= from->set;
}

static void buckets_write(struct kymo__json *j, const char *name, const struct kymo__choices *c)
{
    if (c->n_bounds == 0) {
        kymo__json_text(j, name, "none");
        return;
    }
    kymo__json_open(j, name, '[');
    for (uint32_t i = 0; i < c->n_bounds; i++)
        kymo__json_number(j, NULL, c->bounds[i]);
    kymo__json_close(j, ']');
}

static void switch_write(struct kymo__json *j, const char *name, const struct kymo__choices *c)
{
    if (c->native && c->details.bucket_factor != 0)
        kymo__json_number(j, name, c->details.bucket_factor);
    else
        kymo__json_text(j, name, c->native ? "yes" : "no");
}

static void write_value(struct kymo__json *j, const struct row *row, const struct kymo__choices *c)
{
    const char *at = (const char *)c + row->offset;
    uint32_t count;
    double number;
    int64_t ns;
    switch (row->type) {
    case BUCKETS:
        buckets_write(j, row->name, c);
        break;
    case SWITCH:
        switch_write(j, row->name, c);
        break;
    case COUNT:
        memcpy(&count, at, sizeof(count));
        kymo__json_whole(j, row->name, count);
        break;
    case NUMBER:
        memcpy(&number, at, sizeof(number));
        kymo__json_number(j, row->name, number < 0 ? 0 : number);
        break;
    case DURATION:
        memcpy(&ns, at, sizeof(ns));
        kymo__json_number(j, row->name, ns < 0 ? 0 : (double)ns / 1e9);
        break;
    case MILLIS:
        memcpy(&count, at, sizeof(count));
        kymo__json_number(j, row->name, (double)count / 1e3);
        break;
    case WORD:
        memcpy(&count, at, sizeof(count));
        kymo__json_text(j, row->name, words[row - rows][count]);
        break;
    case LIST:
        kymo__config_allow_write(j, c);
        break;
    }
}

void kymo__choices_write(struct kymo__json *j, const struct kymo__choices *c)
{
    for (int key = 0; key < KYMO__KEYS; key++)
        if (c->set & KYMO__KEY_BIT(key))
            write_value(j, &rows[key], c);
}
