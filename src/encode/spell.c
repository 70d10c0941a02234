/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode/spell.c - see spell.h. Each size is the most that the function beside it writes.
 */
#include "encode/spell.h"

#include "base/escape.h"
#include "base/name.h"
#include "encode/lines.h"
#include "encode/names.h"

/* ---- points ---- */

int kymo__needs_quotes(const char *name, size_t n, enum kymo_escaping escaping)
{
    return escaping == KYMO_ALLOW_UTF8 && !kymo__name_plain(name, n);
}

char *kymo__put_spelled(char *at, const char *name, size_t n, enum kymo_escaping escaping)
{
    return escaping == KYMO_ALLOW_UTF8 ? kymo__escape_label(at, name, n) : kymo__name_put(at, name, n, escaping);
}

size_t kymo__spelled_size(const char *name, size_t n, enum kymo_escaping escaping)
{
    return 2 + (escaping == KYMO_ALLOW_UTF8 ? kymo__escape_label_size(name, n) : kymo__name_size(name, n, escaping));
}

/* The pairs of point->values with their label names as a scheme has them. */
static char *put_spelled_values(char *at, const struct kymo_desc *desc, const char *const *values,
                                enum kymo_escaping escaping)
{
    if (escaping == KYMO_ALLOW_UTF8)
        return kymo__label_pairs(at, desc->labels, values, desc->n_labels);
    for (size_t i = 0; i < desc->n_labels; i++) {
        if (i > 0)
            *at++ = ',';
        at += kymo__name_escape(at, desc->labels[i], strlen(desc->labels[i]), KYMO__LABEL_NAME,
                                (enum kymo__scheme)escaping, 0);
        at = kymo__put_string(at, "=\"");
        at = kymo__escape_label(at, values[i], strlen(values[i]));
        *at++ = '"';
    }
    return at;
}

static size_t spelled_values_size(const struct kymo_desc *desc, const char *const *values, enum kymo_escaping escaping)
{
    size_t size = 0;
    if (escaping == KYMO_ALLOW_UTF8)
        return kymo__label_pairs_size(desc->labels, values, desc->n_labels);
    for (size_t i = 0; i < desc->n_labels; i++) {
        size += kymo__name_escape(NULL, desc->labels[i], strlen(desc->labels[i]), KYMO__LABEL_NAME,
                                  (enum kymo__scheme)escaping, 0);
        size += kymo__escape_label_size(values[i], strlen(values[i])) + sizeof(",=\"\"");
    }
    return size;
}

char *kymo__put_spelled_labels(char *at, const struct kymo_family *family, const struct kymo_point *point,
                               enum kymo_escaping escaping)
{
    char *start = at;
    at = kymo__pairs_put(at, family->labels, family->labels_len, escaping);
    if (at != start)
        *at++ = ',';
    char *own = at;
    if (point->labels != NULL)
        at = kymo__pairs_put(at, point->labels, point->labels_len, escaping);
    else if (point->values != NULL)
        at = put_spelled_values(at, family->desc, point->values, escaping);
    return at == own && own != start ? own - 1 : at;
}

size_t kymo__spelled_labels_size(const struct kymo_family *family, const struct kymo_point *point,
                                 enum kymo_escaping escaping)
{
    size_t size = kymo__pairs_size(family->labels, family->labels_len, escaping);
    if (point->labels != NULL)
        return size + kymo__pairs_size(point->labels, point->labels_len, escaping);
    return size + (point->values == NULL ? 0 : spelled_values_size(family->desc, point->values, escaping));
}

/* ---- families ---- */

size_t kymo__family_name_size(const struct kymo_page *page, const struct kymo_family *family)
{
    if (!family->utf8)
        return family->name_len;
    return kymo__spelled_size(family->name, family->name_len, page->format->escaping);
}

char *kymo__family_name_put(char *at, const struct kymo_page *page, const struct kymo_family *family, size_t cut)
{
    if (!family->utf8)
        return kymo__put_exact(at, family->name, family->name_len - cut);
    const char *quote = kymo__needs_quotes(family->name, family->name_len, page->format->escaping) ? "\"" : "";
    at = kymo__put_string(at, quote);
    /* Each scheme spells the end of the name as it stands, or with one _ more, which stays with the family. */
    at = kymo__put_spelled(at, family->name, family->name_len, page->format->escaping) - cut;
    return kymo__put_string(at, quote);
}
