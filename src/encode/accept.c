/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode/accept.c - headers cut into entries, entries into parameters. Read accept.h first.
 *
 * Each byte is looked at a fixed number of times, and nothing is copied: a header of any length costs time alone.
 */
#include "encode/accept.h"

#include <string.h>

static int is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct kymo__slice trim(struct kymo__slice s)
{
    while (s.n > 0 && is_blank(s.at[0])) {
        s.at++;
        s.n--;
    }
    while (s.n > 0 && is_blank(s.at[s.n - 1]))
        s.n--;
    return s;
}

/* What stands before the first @sign, which goes with it; all, if there is none. */
static struct kymo__slice cut(struct kymo__slice *rest, char sign)
{
    const char *found = rest->n > 0 ? memchr(rest->at, sign, rest->n) : NULL;
    struct kymo__slice head = {rest->at, found != NULL ? (size_t)(found - rest->at) : rest->n};
    size_t taken = head.n + (found != NULL);
    rest->at += taken;
    rest->n -= taken;
    return trim(head);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

int kymo__slice_is(struct kymo__slice slice, const char *text)
{
    return slice.n == strlen(text) && memcmp(slice.at, text, slice.n) == 0;
}

int kymo__slice_is_word(struct kymo__slice slice, const char *text)
{
    if (slice.n != strlen(text))
        return 0;
    for (size_t i = 0; i < slice.n; i++)
        if (lower(slice.at[i]) != text[i])
            return 0;
    return 1;
}

/* ---- weights ---- */

static size_t digits_of(struct kymo__slice s, size_t from)
{
    size_t n = 0;
    while (from + n < s.n && s.at[from + n] >= '0' && s.at[from + n] <= '9')
        n++;
    return n;
}

/* Billionths; what is smaller than one of them and not 0 is one, since 0 would mean "not wanted". */
static uint32_t fraction_of(struct kymo__slice s, size_t from, size_t n)
{
    uint32_t weight = 0, unit = KYMO__WEIGHT_ONE / 10;
    int rest = 0;
    for (size_t i = 0; i < n; i++, unit /= 10) {
        uint32_t digit = (uint32_t)(s.at[from + i] - '0');
        weight += digit * unit;
        rest |= unit == 0 && digit != 0;
    }
    return weight == 0 && rest ? 1 : weight;
}

static int is_above_zero(struct kymo__slice s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s.at[i] != '0')
            return 1;
    return 0;
}

/* Digits, perhaps a point and digits; more than 1, and what is no such number, counts as 1. */
static uint32_t weight_of(struct kymo__slice s)
{
    size_t whole = digits_of(s, 0);
    size_t point = whole < s.n && s.at[whole] == '.';
    size_t part = point ? digits_of(s, whole + 1) : 0;
    if (whole + part == 0 || whole + point + part != s.n || is_above_zero(s, whole))
        return KYMO__WEIGHT_ONE;
    return fraction_of(s, whole + 1, part);
}

/* ---- entries ---- */

int kymo__param_next(struct kymo__slice *rest, struct kymo__slice *name, struct kymo__slice *value)
{
    if (rest->n == 0)
        return 0;
    *value = cut(rest, ';');
    *name = cut(value, '=');
    *value = trim(*value);
    return 1;
}

int kymo__accept_next(struct kymo__slice *rest, struct kymo__accept_entry *entry)
{
    struct kymo__slice name, value;
    if (rest->n == 0)
        return 0;
    entry->params = cut(rest, ',');
    entry->name = cut(&entry->params, ';');
    entry->weight = KYMO__WEIGHT_ONE;
    struct kymo__slice params = entry->params;
    while (kymo__param_next(&params, &name, &value))
        if (kymo__slice_is_word(name, "q"))
            entry->weight = weight_of(value);
    return 1;
}
