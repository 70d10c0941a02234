/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/name.h - names that servers before Prometheus 3 take, and the three ways of making one of any other.
 *
 * A metric's name is plain if it is [a-zA-Z_:][a-zA-Z0-9_:]*; a label's must not have a colon either, since the text
 * formats take none there without quotes. A plain name is the same in every scheme. Whoever registers names has to see
 * where two of them become one. Source: Prometheus, "Escaping schemes", and its Go library where the two differ.
 */
#ifndef KYMO__NAME_H
#define KYMO__NAME_H

#include <stddef.h>

enum kymo__name_kind { KYMO__METRIC_NAME, KYMO__LABEL_NAME };

/* By the numbers of enum kymo_escaping, which base does not see. */
enum kymo__scheme { KYMO__UNDERSCORES = 0, KYMO__DOTS = 1, KYMO__VALUES = 2 };

/** kymo__name_is_plain() - whether all @n bytes make a plain name */
int kymo__name_is_plain(const char *name, size_t n, enum kymo__name_kind kind);

/**
 * kymo__name_escape() - a name as a scheme has it
 * @to:     receives it, without NUL; NULL: only its size is asked for
 * @quoted: non-zero: @name stands as between the quotes of a pair text, with \\ \" \n for the three it escapes
 * Returns its size, at most 6 @n + 3 bytes. Bytes that are not UTF-8 count as one bad character each.
 */
size_t kymo__name_escape(char *to, const char *name, size_t n, enum kymo__name_kind kind, enum kymo__scheme scheme,
                         int quoted);

/* The most that a metric's or a label's name of 255 bytes becomes: .. */
#define KYMO__NAME_ESCAPED_MAX (255u * 5 + 3)

#endif
