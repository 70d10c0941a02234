/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode/names.c - the names of base/name.h for encoders: by enum kymo_escaping, and within pair texts.
 *
 * A pair text is our own (base/escape.h), so it is taken as it is; one that is broken ends at the breach.
 */
#include "encode/names.h"

#include <string.h>

#include "base/escape.h"
#include "base/name.h"

_Static_assert((int)KYMO_ESCAPE_UNDERSCORES == (int)KYMO__UNDERSCORES, "one number, one scheme");
_Static_assert((int)KYMO_ESCAPE_DOTS == (int)KYMO__DOTS, "one number, one scheme");
_Static_assert((int)KYMO_ESCAPE_VALUES == (int)KYMO__VALUES, "one number, one scheme");

/* What is no scheme at all is the default. */
static enum kymo__scheme scheme_of(enum kymo_escaping escaping)
{
    return escaping == KYMO_ESCAPE_DOTS     ? KYMO__DOTS
           : escaping == KYMO_ESCAPE_VALUES ? KYMO__VALUES
                                            : KYMO__UNDERSCORES;
}

int kymo__name_plain(const char *name, size_t n)
{
    return kymo__name_is_plain(name, n, KYMO__METRIC_NAME);
}

size_t kymo__name_size(const char *name, size_t n, enum kymo_escaping escaping)
{
    if (escaping == KYMO_ALLOW_UTF8)
        return n;
    return kymo__name_escape(NULL, name, n, KYMO__METRIC_NAME, scheme_of(escaping), 0);
}

char *kymo__name_put(char *to, const char *name, size_t n, enum kymo_escaping escaping)
{
    if (escaping != KYMO_ALLOW_UTF8)
        return to + kymo__name_escape(to, name, n, KYMO__METRIC_NAME, scheme_of(escaping), 0);
    memcpy(to, name, n);
    return to + n;
}

/* ---- pair texts ---- */

int kymo__pair_next(const char **text, size_t *len, struct kymo__pair_text *pair)
{
    const char *at = *text, *end = at + *len;
    const char *value = kymo__label_pair(at, end, &pair->name, &pair->name_len, &pair->value_len);
    if (value == NULL)
        return 0;
    pair->value = value;
    pair->quoted = *at == '"';
    at = value + pair->value_len + 1;
    if (at < end && *at == ',')
        at++;
    *text = at;
    *len = (size_t)(end - at);
    return 1;
}

/* One pair with its name escaped, and the comma before it; counts if @to is NULL. */
static size_t pair_escape(char *to, const struct kymo__pair_text *pair, enum kymo__scheme scheme, int first)
{
    size_t n = first ? 0 : 1;
    if (to != NULL && !first)
        to[0] = ',';
    n += kymo__name_escape(to != NULL ? to + n : NULL, pair->name, pair->name_len, KYMO__LABEL_NAME, scheme,
                           pair->quoted);
    if (to != NULL) {
        memcpy(to + n, "=\"", 2);
        memcpy(to + n + 2, pair->value, pair->value_len);
        to[n + 2 + pair->value_len] = '"';
    }
    return n + pair->value_len + 3;
}

static size_t pairs_escape(char *to, const char *text, size_t len, enum kymo_escaping escaping)
{
    struct kymo__pair_text pair;
    size_t n = 0;
    while (kymo__pair_next(&text, &len, &pair))
        n += pair_escape(to != NULL ? to + n : NULL, &pair, scheme_of(escaping), n == 0);
    return n;
}

size_t kymo__pairs_size(const char *text, size_t len, enum kymo_escaping escaping)
{
    return escaping == KYMO_ALLOW_UTF8 ? len : pairs_escape(NULL, text, len, escaping);
}

char *kymo__pairs_put(char *to, const char *text, size_t len, enum kymo_escaping escaping)
{
    if (escaping != KYMO_ALLOW_UTF8)
        return to + pairs_escape(to, text, len, escaping);
    memcpy(to, text, len);
    return to + len;
}
