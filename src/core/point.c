/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/point.c - label values of a point, for visitors that want them one by one.
 */
#include <string.h>

#include "base/escape.h"
#include "core/core.h"

/* How much of a value fits without cutting a character: continuation bytes begin with the bits 10. */
static size_t cut(const char *value, size_t n)
{
    while (n > 0 && ((unsigned char)value[n] & 0xc0) == 0x80)
        n--;
    return n;
}

static size_t copy_value(const char *value, char *buf, size_t cap)
{
    size_t n = strlen(value);
    if (cap == 0)
        return n;
    size_t fits = n < cap ? n : cut(value, cap - 1);
    memcpy(buf, value, fits);
    buf[fits] = '\0';
    return n;
}

size_t kymo_point_value(const struct kymo_family *family, const struct kymo_point *point, size_t i, char *buf,
                        size_t cap)
{
    size_t n;
    if (cap > 0)
        buf[0] = '\0';
    if (i >= family->desc->n_labels)
        return 0;
    if (point->labels == NULL)
        return point->values != NULL && point->values[i] != NULL ? copy_value(point->values[i], buf, cap) : 0;
    const char *escaped = kymo__label_pairs_value(point->labels, point->labels_len, i, &n);
    return escaped != NULL ? kymo__unescape_label(buf, cap, escaped, n) : 0;
}
