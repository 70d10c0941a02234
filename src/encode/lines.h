/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode/lines.h - one point as the lines that the text formats share.
 *
 * A point is written whole or not at all: its room is asked for once, kymo__lines_size(), and then nothing is
 * checked. The room includes KYMO__SLOP bytes, so that texts are copied and numbers formatted in whole blocks
 * that may spill over their end; what comes next overwrites the spill. A point with an id is the registry's
 * own: its texts and its family's name may be read KYMO__SPILL bytes past their end. Nothing is promised of
 * other points, nor of constant labels, exemplars, or a family whose utf8 is set.
 */
#ifndef KYMO__LINES_H
#define KYMO__LINES_H

#include <string.h>

#include <kymo/encode.h>

#include "base/number.h"
#include "base/sanitize.h"

#define KYMO__SPILL 32u /* two half blocks */
#define KYMO__SLOP 64u
_Static_assert(KYMO__SLOP >= KYMO__SPILL && KYMO__SLOP >= KYMO__NUMBER_MAX, "nothing may spill past a page");

/* The formats that have lines. */
enum kymo__dialect {
    KYMO__TEXT,        /* Prometheus text: samples under the names that are queried, nothing but samples */
    KYMO__OPENMETRICS, /* suffixes by kind, exemplars, _created where the page's format asks for it */
};

/** kymo__lines_size() - most room the lines of a point may take, with KYMO__SLOP */
size_t kymo__lines_size(const struct kymo_page *page, const struct kymo_family *family, const struct kymo_point *point,
                        enum kymo__dialect dialect);

/**
 * kymo__lines_put() - writes the lines of a point and advances the page, or returns KYMO_EAGAIN and does
 * nothing
 *
 * A counter has one line, exact as long as all that was added was whole; a histogram a bucket line per bound and
 * one for +Inf, cumulative, then its sum and count; a summary a line per quantile, then the same; a state set a
 * line per state. OpenMetrics knows no sum below 0 and no sum beside a negative bound: what would make its readers
 * refuse the page is left out there. Never KYMO_EAGAIN where kymo__lines_size() bytes are left.
 */
int kymo__lines_put(struct kymo_page *page, const struct kymo_family *family, const struct kymo_point *point,
                    enum kymo__dialect dialect);

/* What a format puts before a family's lines. */
struct kymo__header {
    size_t (*size)(const struct kymo_page *page, const struct kymo_family *family); /* at most */
    char *(*put)(char *at, const struct kymo_page *page, const struct kymo_family *family);
};

/** kymo__lines_begin() - the header and the first point of a family, both or KYMO_EAGAIN; the page is not fresh then. */
int kymo__lines_begin(struct kymo_page *page, const struct kymo_family *family, const struct kymo_point *point,
                      enum kymo__dialect dialect, const struct kymo__header *header);

/* A vector register, where there are some: gcc would keep an array in memory between load and store. */
typedef char kymo__half_block __attribute__((vector_size(16)));

/** kymo__put_block() - copies @n bytes in blocks: reads and writes up to KYMO__SPILL bytes past them. */
static inline char *kymo__put_block(char *to, const char *from, size_t n)
{
#if KYMO__SANITIZED
    memcpy(to, from, n);
    return to + n;
#endif
    size_t i = 0;
    do {
        kymo__half_block a, b; /* both read before one is written: the spill may overlap */
        memcpy(&a, from + i, sizeof a);
        memcpy(&b, from + i + sizeof a, sizeof b);
        memcpy(to + i, &a, sizeof a);
        memcpy(to + i + sizeof a, &b, sizeof b);
        i += KYMO__SPILL;
    } while (i < n);
    return to + n;
}

/** kymo__put_exact() - copies @n bytes and reads no more. */
static inline char *kymo__put_exact(char *to, const char *from, size_t n)
{
    memcpy(to, from, n);
    return to + n;
}

/** kymo__put_string() - copies up to the NUL. */
static inline char *kymo__put_string(char *to, const char *s)
{
    return kymo__put_exact(to, s, strlen(s));
}

#endif
