/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/desc.c - what makes a descriptor good: names, labels, help, unit, bounds.
 *
 * The rules are those of the formats we write: a family that passes here can be exposed in any of them. Sources:
 * Prometheus data model; OpenMetrics 1.0 on units and on names that suffixes would make equal.
 */
#include <math.h>
#include <string.h>

#include "base/utf8.h"
#include "core/core.h"

static int is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

int kymo__name_valid(const char *name)
{
    if (name == NULL || !(is_alpha(name[0]) || name[0] == ':'))
        return 0;
    size_t n = 1;
    while (n <= KYMO__MAX_NAME && (is_alpha(name[n]) || is_digit(name[n]) || name[n] == ':'))
        n++;
    return n <= KYMO__MAX_NAME && name[n] == '\0';
}

int kymo__label_name_valid(const char *name)
{
    return kymo__name_valid(name) && strchr(name, ':') == NULL;
}

int kymo__desc_read(const struct kymo_desc *from, struct kymo_desc *to)
{
    memset(to, 0, sizeof(*to));
    if (from == NULL || from->size < offsetof(struct kymo_desc, unit))
        return KYMO_EINVAL;
    memcpy(to, from, from->size < sizeof(*to) ? from->size : sizeof(*to));
    to->size = sizeof(*to);
    return 0;
}

/* *culprit: the label that is wrong, where one is. */
static int labels_check(const struct kymo_registry *reg, const struct kymo_desc *d, enum kymo_kind kind,
                        const char **culprit)
{
    if (d->n_labels > KYMO__MAX_LABELS || (d->n_labels != 0 && d->labels == NULL))
        return KYMO_ELABEL;
    for (size_t i = 0; i < d->n_labels; i++) {
        const char *name = d->labels[i];
        *culprit = name;
        if (!kymo__label_name_valid(name))
            return KYMO_ELABEL;
        if (strncmp(name, "__", 2) == 0 || (kind == KYMO_HISTOGRAM && strcmp(name, "le") == 0))
            return KYMO_ERESERVED;
        for (size_t j = 0; j < i; j++)
            if (strcmp(name, d->labels[j]) == 0)
                return KYMO_ELABEL;
        for (size_t j = 0; j < reg->n_const_labels; j++)
            if (strcmp(name, reg->const_labels[j].name) == 0)
                return KYMO_ELABEL;
    }
    *culprit = "le";
    for (size_t j = 0; kind == KYMO_HISTOGRAM && j < reg->n_const_labels; j++)
        if (strcmp(reg->const_labels[j].name, "le") == 0)
            return KYMO_ERESERVED;
    *culprit = NULL;
    return 0;
}

static int ends_in(const char *name, size_t n, const char *end)
{
    size_t len = strlen(end);
    return n > len + 1 && name[n - len - 1] == '_' && memcmp(name + n - len, end, len) == 0;
}

static int unit_check(const struct kymo_desc *d, enum kymo_kind kind)
{
    if (d->unit == NULL || d->unit[0] == '\0')
        return 0;
    size_t n = strlen(d->name);
    if (kind == KYMO_COUNTER && ends_in(d->name, n, "total"))
        n -= strlen("_total");
    return ends_in(d->name, n, d->unit) ? 0 : KYMO_EUNIT;
}

static int bounds_check(const struct kymo_desc *d, enum kymo_kind kind)
{
    if (kind != KYMO_HISTOGRAM)
        return d->bounds == NULL && d->n_bounds == 0 ? 0 : KYMO_EKIND;
    if (d->n_bounds > KYMO__MAX_BOUNDS || (d->bounds == NULL) != (d->n_bounds == 0))
        return KYMO_EBUCKETS;
    for (size_t i = 0; i < d->n_bounds; i++)
        if (!isfinite(d->bounds[i]) || (i > 0 && !(d->bounds[i] > d->bounds[i - 1])))
            return KYMO_EBUCKETS;
    return 0;
}

static int aliases_check(const struct kymo_desc *d)
{
    if (d->n_aliases != 0 && d->aliases == NULL)
        return KYMO_EINVAL;
    for (size_t i = 0; i < d->n_aliases; i++)
        if (!kymo__name_valid(d->aliases[i].name))
            return KYMO_ENAME;
    return 0;
}

static int full_name_check(const struct kymo_registry *reg, const char *name)
{
    if (!kymo__name_valid(name))
        return KYMO_ENAME;
    return strlen(name) + (reg->prefix ? strlen(reg->prefix) : 0) <= KYMO__MAX_NAME ? 0 : KYMO_ENAME;
}

static int desc_check(const struct kymo_registry *reg, const struct kymo_desc *d, enum kymo_kind kind,
                      const char **culprit)
{
    int r = kind >= KYMO_COUNTER && kind <= KYMO_HISTOGRAM ? full_name_check(reg, d->name) : KYMO_EINVAL;
    if (r == 0 && (d->help == NULL || d->help[0] == '\0'))
        r = KYMO_EHELP;
    if (r == 0 && !kymo__utf8_valid(d->help, strlen(d->help)))
        r = KYMO_EUTF8;
    if (r == 0)
        r = labels_check(reg, d, kind, culprit);
    if (r == 0)
        r = unit_check(d, kind);
    if (r == 0)
        r = bounds_check(d, kind);
    if (r == 0 && d->gauge_mode != KYMO_GAUGE_SET && kind != KYMO_GAUGE)
        r = KYMO_EKIND;
    if (r == 0 && d->gauge_mode != KYMO_GAUGE_SET && d->gauge_mode != KYMO_GAUGE_UPDOWN)
        r = KYMO_EINVAL;
    return r == 0 ? aliases_check(d) : r;
}

int kymo__desc_check(const struct kymo_registry *reg, const struct kymo_desc *d, enum kymo_kind kind)
{
    const char *culprit = NULL;
    int r = desc_check(reg, d, kind, &culprit);
    if (r != 0)
        kymo__log(reg, KYMO_LOG_ERROR, "metric %.255s%s%.64s: %s", d->name ? d->name : "(no name)",
                  culprit ? ", label " : "", culprit ? culprit : "", kymo_strerror(r));
    return r;
}

/* ---- clashes ---- */

/* The name of an OpenMetrics family: a counter's loses its _total. */
static size_t base_len(const char *name, enum kymo_kind kind)
{
    size_t n = strlen(name);
    return kind == KYMO_COUNTER && ends_in(name, n, "total") ? n - strlen("_total") : n;
}

static const char *const histogram_suffixes[] = {"_bucket", "_count", "_sum", "_created"};
static const char *const counter_suffixes[] = {"_total", "_created"};

/* Whether some line of family a, in any format, would bear the name that the first n bytes of b are. */
static int writes_line(const char *a, enum kymo_kind kind, const char *b, size_t n)
{
    size_t base = base_len(a, kind);
    const char *const *suffixes = kind == KYMO_HISTOGRAM ? histogram_suffixes : counter_suffixes;
    size_t n_suffixes = kind == KYMO_HISTOGRAM ? 4 : kind == KYMO_COUNTER ? 2 : 0;
    if (n <= base || strncmp(a, b, base) != 0)
        return 0;
    for (size_t i = 0; i < n_suffixes; i++)
        if (n - base == strlen(suffixes[i]) && memcmp(b + base, suffixes[i], n - base) == 0)
            return 1;
    return 0;
}

/* The name itself, and what OpenMetrics calls the family. */
static int writes_name(const char *a, enum kymo_kind a_kind, const char *b, enum kymo_kind b_kind)
{
    return writes_line(a, a_kind, b, strlen(b)) || writes_line(a, a_kind, b, base_len(b, b_kind));
}

int kymo__names_clash(const char *a, enum kymo_kind a_kind, const char *b, enum kymo_kind b_kind)
{
    size_t a_len = base_len(a, a_kind), b_len = base_len(b, b_kind);
    if (a_len == b_len && memcmp(a, b, a_len) == 0)
        return 1;
    return writes_name(a, a_kind, b, b_kind) || writes_name(b, b_kind, a, a_kind);
}
