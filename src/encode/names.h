/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode/names.h - names that are not [a-zA-Z_:][a-zA-Z0-9_:]*, for servers that take no others.
 *
 * Only families whose utf8 field is set come here: everybody else's names are written as they are. Source: Prometheus,
 * "Escaping schemes", and its Go library where the two differ.
 */
#ifndef KYMO__NAMES_H
#define KYMO__NAMES_H

#include <kymo/encode.h>

/** kymo__name_plain() - whether a name needs neither quotes nor escaping; : counts as a letter */
int kymo__name_plain(const char *name, size_t n);

/** kymo__name_size() - bytes that kymo__name_put() will write */
size_t kymo__name_size(const char *name, size_t n, enum kymo_escaping escaping);
/**
 * kymo__name_put() - writes a name as a scheme has it, no NUL, nothing beyond; returns the end
 * With KYMO_ALLOW_UTF8 the name itself, without quotes and with nothing escaped. A plain name is the same in all schemes.
 */
char *kymo__name_put(char *to, const char *name, size_t n, enum kymo_escaping escaping);

/** struct kymo__pair_text - one pair of a pair text (`a="b","c.d"="e"`), still escaped as it stands there */
struct kymo__pair_text {
    const char *name; /* without quotes, but escaped if it had some */
    size_t name_len;
    const char *value;
    size_t value_len;
    int quoted; /* the name was */
};

/** kymo__pair_next() - takes the first pair off a pair text; 0 when none is left */
int kymo__pair_next(const char **text, size_t *len, struct kymo__pair_text *pair);

/** kymo__pairs_size(), kymo__pairs_put() - a pair text with its label names as a scheme has them, without braces */
size_t kymo__pairs_size(const char *text, size_t len, enum kymo_escaping escaping);
char *kymo__pairs_put(char *to, const char *text, size_t len, enum kymo_escaping escaping);

#endif
