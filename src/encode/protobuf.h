/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode/protobuf.h - the parts of a metric that protobuf.c puts together.
 *
 * What puts is given the room that the like-named function says, which includes KYMO__PB_REST, and returns the end. Names
 * are written as page->format wants them. Source: Prometheus client model, metrics.proto.
 */
#ifndef KYMO__PROTOBUF_H
#define KYMO__PROTOBUF_H

#include <kymo/encode.h>

#include "base/name.h"
#include "encode/lines.h"
#include "encode/wire.h"

/* Every byte that neither texts nor lists account for: lengths, names' prefixes, numbers, blocks that spill. */
#define KYMO__PB_REST (KYMO__SLOP + 128u)

/* Numbers of fields that more than one file writes. */
enum { KYMO__PB_LABEL = 1, KYMO__PB_GAUGE, KYMO__PB_COUNTER, KYMO__PB_SUMMARY, KYMO__PB_UNTYPED };
enum { KYMO__PB_HISTOGRAM = 7 };

/* ---- labels, exemplars, times: protobuf_labels.c ---- */

/**
 * kymo__pb_pairs_room() - bytes that a pair text may become
 * A pair takes two bytes more than its text, or, if that is long, a few more. @quoted: names may stand in quotes, and
 * become six times as long.
 */
static inline size_t kymo__pb_pairs_room(size_t len, int quoted)
{
    return (quoted ? 8 : 2) * len + 64;
}

/** kymo__pb_values_room() - the same for labels whose values are given, not their text */
size_t kymo__pb_values_room(const struct kymo_family *family, const struct kymo_point *point);

/** kymo__pb_put_name() - a string field with a name that is not plain */
char *kymo__pb_put_name(char *at, const struct kymo_page *page, uint32_t field, enum kymo__name_kind kind,
                        const char *name, size_t n);
/** kymo__pb_put_pairs() - a label field for each pair; @quoted as kymo__pb_pairs_room() was told */
char *kymo__pb_put_pairs(char *at, const struct kymo_page *page, const char *text, size_t len, int quoted);
/** kymo__pb_put_values() - a label field for each of a family's labels */
char *kymo__pb_put_values(char *at, const struct kymo_page *page, const struct kymo_family *family,
                          const char *const *values);

size_t kymo__pb_exemplars_room(const struct kymo_exemplar_point *exemplars, size_t n);
char *kymo__pb_put_exemplar(char *at, const struct kymo_page *page, uint32_t field,
                            const struct kymo_exemplar_point *exemplar);

#define KYMO__NS_PER_S INT64_C(1000000000)

/** kymo__pb_put_time() - a Timestamp field: seconds, and nanoseconds which are never negative */
char *kymo__pb_put_time(char *at, uint32_t field, int64_t ns);

/* ---- histograms and summaries: protobuf_histogram.c ---- */

/** kymo__pb_histogram_room() - lists only: labels and exemplars of buckets are the point's */
size_t kymo__pb_histogram_room(const struct kymo_histogram_point *h);
/** kymo__pb_put_histogram() - the field of a histogram or gauge histogram */
char *kymo__pb_put_histogram(char *at, const struct kymo_page *page, const struct kymo_family *family,
                             const struct kymo_point *point);
/** kymo__pb_put_summary() - the field of a summary; 24 bytes for each quantile */
char *kymo__pb_put_summary(char *at, const struct kymo_point *point);

/**
 * kymo__pb_put_spans() - a span field for each run of buckets, where one or two empty buckets do not end a run
 * @index: @n of them, strictly increasing
 */
char *kymo__pb_put_spans(char *at, uint32_t field, const int32_t *index, size_t n);
/** kymo__pb_put_deltas() - one packed field: what each bucket of these spans has more than the one before */
char *kymo__pb_put_deltas(char *at, uint32_t field, const int32_t *index, const uint64_t *count, size_t n);

#endif
