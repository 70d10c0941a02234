/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/series.h - label values as a key: read once, hashed, and compared with a series' text.
 *
 * A series keeps its label pairs only as they will be printed: `a="GET",b="200"`. Values that need no escaping, nearly
 * all, are compared there in place; their position follows from the lengths of names and values.
 */
#ifndef KYMO__SERIES_H
#define KYMO__SERIES_H

#include "core/core.h"

struct kymo__key {
    uint32_t hash;
    uint32_t text_len; /* of the pairs, if nothing needs escaping */
    uint32_t len[KYMO__MAX_LABELS];
    uint64_t tail[KYMO__MAX_LABELS]; /* the last len % 8 bytes of each value, the rest zero */
};

static inline uint64_t kymo__table_pack(uint32_t ref, uint32_t log2)
{
    return (uint64_t)ref << 8 | log2;
}

#endif
