/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/escape.h - label values and help as the text formats write them.
 *
 * A label value has `\` `"` and LF escaped, help has `\` and LF; every other byte stands for itself. A series
 * keeps its labels as pair text, `a="b","c.d"="e"`, escaped once when the series is created and copied at each
 * scrape; the values path of collectors builds the same text. A label's name that is not plain (name.h) stands there
 * in quotes, escaped like a value. Source: Prometheus exposition formats, "Text format details".
 */
#ifndef KYMO__ESCAPE_H
#define KYMO__ESCAPE_H

#include <stddef.h>

/** kymo__escape_label_size() - bytes that kymo__escape_label() will write: @n to 2 @n */
size_t kymo__escape_label_size(const char *s, size_t n);
/** kymo__escape_label() - writes the value escaped, no quotes, no NUL, nothing beyond; returns the end */
char *kymo__escape_label(char *to, const char *s, size_t n);

/** kymo__escape_help_size() - the same for help */
size_t kymo__escape_help_size(const char *s, size_t n);
/** kymo__escape_help() - the same for help */
char *kymo__escape_help(char *to, const char *s, size_t n);

/**
 * kymo__unescape_label() - the value again, from the @n bytes that escaping it gave
 * @buf: receives up to @cap - 1 bytes, cut before a character that does not fit whole, and a NUL;
 *       may be NULL if @cap is 0
 * Returns the length of the whole value, as snprintf does.
 */
size_t kymo__unescape_label(char *buf, size_t cap, const char *s, size_t n);

/** kymo__label_name_size() - bytes of a label's name as it stands in pair text, with quotes if it needs them */
size_t kymo__label_name_size(const char *name);
/** kymo__label_pairs_size() - bytes of the pair text of @n names and values */
size_t kymo__label_pairs_size(const char *const *names, const char *const *values, size_t n);
/** kymo__label_pairs() - writes the pair text, no NUL, nothing beyond; returns the end */
char *kymo__label_pairs(char *to, const char *const *names, const char *const *values, size_t n);

/**
 * kymo__label_pair() - the parts of the first pair between @text and @end
 * @name:      receives where its name begins, behind the quote if it has one; @name_len bytes, as they stand there
 * @value_len: receives the length of the value, still escaped
 * Returns where the value begins, or NULL if no whole pair stands there.
 */
const char *kymo__label_pair(const char *text, const char *end, const char **name, size_t *name_len, size_t *value_len);

/**
 * kymo__label_pairs_value() - finds a value in pair text
 * @text: @len bytes of pair text
 * @i:    which pair, from 0
 * @n:    receives the length of the value, still escaped
 * Returns where the value begins, or NULL if there are not so many pairs.
 */
const char *kymo__label_pairs_value(const char *text, size_t len, size_t i, size_t *n);

#endif
