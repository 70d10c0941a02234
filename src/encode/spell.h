/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode/spell.h - names and labels of one point as a line has them when they cannot stand as they are.
 *
 * Only families whose utf8 is set need it: all others write their texts as they stand (lines.c). By the scheme that
 * the page asks for, a name is escaped (names.h) or put in quotes; in quotes it is escaped as a label value is.
 */
#ifndef KYMO__SPELL_H
#define KYMO__SPELL_H

#include <string.h>

#include <kymo/encode.h>

/** kymo__needs_quotes() - whether the name of a metric stands in quotes in this scheme */
int kymo__needs_quotes(const char *name, size_t n, enum kymo_escaping escaping);

/** kymo__spelled_size() - most bytes of a metric's name, with two quotes, due or not */
size_t kymo__spelled_size(const char *name, size_t n, enum kymo_escaping escaping);
/** kymo__put_spelled() - writes it without quotes; returns the end */
char *kymo__put_spelled(char *at, const char *name, size_t n, enum kymo_escaping escaping);

/** kymo__spelled_labels_size() - most bytes of a point's labels */
size_t kymo__spelled_labels_size(const struct kymo_family *family, const struct kymo_point *point,
                                 enum kymo_escaping escaping);
/** kymo__put_spelled_labels() - constant labels and the series' own, without braces; @at itself if there are none */
char *kymo__put_spelled_labels(char *at, const struct kymo_family *family, const struct kymo_point *point,
                               enum kymo_escaping escaping);

/** kymo__family_name_size() - most bytes that kymo__family_name_put() may write */
size_t kymo__family_name_size(const struct kymo_page *page, const struct kymo_family *family);
/**
 * kymo__family_name_put() - the name of any family as comment lines have it; returns the end
 * @cut: bytes to leave out at the end, 0 or kymo__name_cut()
 */
char *kymo__family_name_put(char *at, const struct kymo_page *page, const struct kymo_family *family, size_t cut);

static inline int kymo__name_ends_in(const struct kymo_family *family, const char *end, size_t n)
{
    return family->name_len > n && memcmp(family->name + family->name_len - n, end, n) == 0;
}

/** kymo__name_cut() - bytes at the end of its name that OpenMetrics leaves to the samples: those of _total or _info */
static inline size_t kymo__name_cut(const struct kymo_family *family)
{
    if (family->kind == KYMO_COUNTER)
        return kymo__name_ends_in(family, "_total", 6) ? 6 : 0;
    return family->kind == KYMO_INFO && kymo__name_ends_in(family, "_info", 5) ? 5 : 0;
}

#endif
