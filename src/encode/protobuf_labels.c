/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode/protobuf_labels.c - labels, exemplars and times as fields, whatever stands in them.
 *
 * Most labels do not come here: see quick_labels() in protobuf.c.
 */
#include "encode/protobuf.h"

#include "base/escape.h"
#include "encode/names.h"

size_t kymo__pb_values_room(const struct kymo_family *family, const struct kymo_point *point)
{
    size_t room = 0;
    for (size_t i = 0; point->values != NULL && i < family->desc->n_labels; i++)
        room += 8 * strlen(family->desc->labels[i]) + strlen(point->values[i]) + 64;
    return room;
}

/* @quoted: as it stands between the quotes of a pair text */
static char *put_escaped_name(char *at, const struct kymo_page *page, uint32_t field, enum kymo__name_kind kind,
                              const char *name, size_t n, int quoted)
{
    enum kymo__scheme scheme = page->format != NULL ? (enum kymo__scheme)page->format->escaping : KYMO__UNDERSCORES;
    at = kymo__put_tag(at, field, KYMO__WIRE_BYTES);
    if (page->format != NULL && page->format->escaping == KYMO_ALLOW_UTF8) {
        size_t size = quoted ? kymo__unescape_label(NULL, 0, name, n) : n;
        at = kymo__put_varint(at, size);
        if (quoted)
            kymo__unescape_label(at, size + 1, name, n);
        else
            memcpy(at, name, n);
        return at + size;
    }
    at = kymo__put_varint(at, kymo__name_escape(NULL, name, n, kind, scheme, quoted));
    return at + kymo__name_escape(at, name, n, kind, scheme, quoted);
}

char *kymo__pb_put_name(char *at, const struct kymo_page *page, uint32_t field, enum kymo__name_kind kind,
                        const char *name, size_t n)
{
    return put_escaped_name(at, page, field, kind, name, n, 0);
}

static char *put_pair(char *at, const struct kymo_page *page, const struct kymo__pair_text *pair, int quoted)
{
    size_t n = kymo__unescape_label(NULL, 0, pair->value, pair->value_len);
    at = kymo__put_tag(at, KYMO__PB_LABEL, KYMO__WIRE_BYTES);
    char *length = at++;
    if (quoted)
        at = put_escaped_name(at, page, 1, KYMO__LABEL_NAME, pair->name, pair->name_len, pair->quoted);
    else
        at = kymo__put_bytes(at, 1, pair->name, pair->name_len);
    at = kymo__put_varint(kymo__put_tag(at, 2, KYMO__WIRE_BYTES), n);
    kymo__unescape_label(at, n + 1, pair->value, pair->value_len);
    return kymo__nested_close(length, 1, at + n);
}

/* @quoted: names may stand in quotes, for which kymo__pb_pairs_room() had to be asked likewise */
char *kymo__pb_put_pairs(char *at, const struct kymo_page *page, const char *text, size_t len, int quoted)
{
    struct kymo__pair_text pair;
    while (kymo__pair_next(&text, &len, &pair))
        at = put_pair(at, page, &pair, quoted);
    return at;
}

char *kymo__pb_put_values(char *at, const struct kymo_page *page, const struct kymo_family *family,
                          const char *const *values)
{
    for (size_t i = 0; i < family->desc->n_labels; i++) {
        const char *name = family->desc->labels[i];
        at = kymo__put_tag(at, KYMO__PB_LABEL, KYMO__WIRE_BYTES);
        char *length = at++;
        at = put_escaped_name(at, page, 1, KYMO__LABEL_NAME, name, strlen(name), 0);
        at = kymo__put_bytes(at, 2, values[i], strlen(values[i]));
        at = kymo__nested_close(length, 1, at);
    }
    return at;
}

size_t kymo__pb_exemplars_room(const struct kymo_exemplar_point *exemplars, size_t n)
{
    size_t room = 0;
    for (size_t i = 0; i < n; i++)
        room += kymo__pb_pairs_room(exemplars[i].labels_len, 1) + KYMO__PB_REST;
    return room;
}

/* Seconds and nanoseconds, which are never negative. */
char *kymo__pb_put_time(char *at, uint32_t field, int64_t ns)
{
    int64_t seconds = ns / KYMO__NS_PER_S, rest = ns % KYMO__NS_PER_S;
    if (rest < 0) {
        seconds--;
        rest += KYMO__NS_PER_S;
    }
    at = kymo__put_tag(at, field, KYMO__WIRE_BYTES);
    char *length = at++;
    if (seconds != 0)
        at = kymo__put_uint_field(at, 1, (uint64_t)seconds);
    if (rest != 0)
        at = kymo__put_uint_field(at, 2, (uint64_t)rest);
    *length = (char)(at - length - 1);
    return at;
}

char *kymo__pb_put_exemplar(char *at, const struct kymo_page *page, uint32_t field,
                            const struct kymo_exemplar_point *exemplar)
{
    at = kymo__put_tag(at, field, KYMO__WIRE_BYTES);
    char *length = at++;
    at = kymo__pb_put_pairs(at, page, exemplar->labels, exemplar->labels_len, 1);
    at = kymo__put_double_field(at, 2, exemplar->value);
    if (exemplar->timestamp_ns != 0)
        at = kymo__pb_put_time(at, 3, exemplar->timestamp_ns);
    return kymo__nested_close(length, 1, at);
}
