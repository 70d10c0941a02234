/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/points.h - points made by hand, for tests of the formats that are text.
 *
 * Texts stand in blocks that end where an encoder's right to read ends, pages in blocks that end with the page, so
 * that sanitizers and valgrind see one byte too far.
 */
#ifndef KYMO_TESTS_POINTS_H
#define KYMO_TESTS_POINTS_H

#include <kymo/kymo.h>

#include "encode/lines.h"
#include "encode/names.h"
#include "test.h"

#define ROOM 8192u

/* A family and a point with the memory they need; filled by begin(), given back by end(). */
struct fixture {
    struct kymo_desc desc;
    struct kymo_family family;
    struct kymo_point point;
    char *name;
    char *labels;
    char *const_labels;
};

/* A copy in a block that ends @spill bytes after the text. */
static inline char *copy_with_spill(const char *s, size_t spill)
{
    size_t n = strlen(s);
    char *copy = malloc(n + spill + 1);
    REQUIRE(copy != NULL);
    memset(copy, '#', n + spill + 1);
    memcpy(copy, s, n);
    copy[n + spill] = '\0';
    return copy;
}

/* @labels is NULL for a point that has values, or nothing. A point with an id is a registry's own. */
static inline struct fixture *begin(enum kymo_kind kind, const char *name, uint64_t id, const char *const_labels,
                                    const char *labels)
{
    struct fixture *f = calloc(1, sizeof *f);
    int utf8 = !kymo__name_plain(name, strlen(name));
    REQUIRE(f != NULL);
    kymo_desc_init(&f->desc, name, "Help.");
    f->name = copy_with_spill(name, utf8 ? 0 : KYMO__SPILL);
    f->name[strlen(name)] = '\0';
    f->const_labels = copy_with_spill(const_labels, 0);
    f->family = (struct kymo_family){.size = sizeof f->family,
                                     .desc = &f->desc,
                                     .kind = kind,
                                     .name = f->name,
                                     .name_len = strlen(name),
                                     .labels = f->const_labels,
                                     .labels_len = strlen(const_labels),
                                     .utf8 = utf8};
    f->point = (struct kymo_point){.size = sizeof f->point, .id = id};
    if (labels != NULL) {
        f->labels = copy_with_spill(labels, id != 0 ? KYMO__SPILL - 1 : 0);
        f->point.labels = f->labels;
        f->point.labels_len = strlen(labels);
    }
    return f;
}

static inline void end(struct fixture *f)
{
    free(f->name);
    free(f->labels);
    free(f->const_labels);
    free(f);
}

/* Encodes into exactly @room bytes; the bytes as a string, "" after KYMO_EAGAIN. The caller frees it. */
static inline char *encode_in(const struct fixture *f, const struct kymo_format *format, int fresh, size_t room,
                              void *scratch, size_t bytes, int *r)
{
    char *block = malloc(room + 1);
    char *written = calloc(1, room + 1);
    REQUIRE(block != NULL && written != NULL);
    /* Right-aligned, so that the page's end is the block's. */
    char *start = block + 1;
    memset(block, 0x55, room + 1);
    struct kymo_page page = {start, start + room, format, fresh, scratch, bytes};
    *r = format->encoder->sample(&page, &f->family, &f->point);
    REQUIRE(*r == 0 || *r == KYMO_EAGAIN);
    REQUIRE(block[0] == 0x55);
    if (*r == 0) {
        REQUIRE(page.fresh == 0 && page.at > start && page.at <= page.end);
        memcpy(written, start, (size_t)(page.at - start));
    } else {
        REQUIRE(page.fresh == fresh && page.at == start);
        REQUIRE(room == 0 || (start[0] == 0x55 && memcmp(start, start + 1, room - 1) == 0));
    }
    free(block);
    return written;
}

static inline size_t lines_size(const struct fixture *f, const struct kymo_format *format, enum kymo__dialect dialect)
{
    struct kymo_page page = {NULL, NULL, format, 0, NULL, 0};
    return kymo__lines_size(&page, &f->family, &f->point, dialect);
}

/* In every room from none to plenty: all of the bytes or none, and all from kymo__lines_size() on. */
static inline void expect_whole_or_nothing(const struct fixture *f, const struct kymo_format *format,
                                           enum kymo__dialect dialect, int fresh)
{
    size_t enough = lines_size(f, format, dialect) + (fresh ? 256 : 0);
    int r, before = KYMO_EAGAIN;
    char *wanted = encode_in(f, format, fresh, enough, NULL, 0, &r);
    REQUIRE(r == 0);
    CHECK(strlen(wanted) + KYMO__SLOP <= enough);
    for (size_t room = 0; room <= enough; room++) {
        char *got = encode_in(f, format, fresh, room, NULL, 0, &r);
        CHECK(r == 0 || before == KYMO_EAGAIN);
        CHECK_STRING(got, r == 0 ? wanted : "");
        before = r;
        free(got);
    }
    CHECK_INT(before, 0);
    free(wanted);
}

/* ---- a value of every kind ---- */

static const double three_bounds[] = {0.005, 1, 10};
static const uint64_t four_buckets[] = {2, 0, 3, 1};

static inline void set_histogram(struct fixture *f, const double *le, size_t n, const uint64_t *counts, double sum)
{
    f->point.value.histogram =
        (struct kymo_histogram_point){.sum = sum, .bounds = le, .n_bounds = n, .buckets = counts};
    for (size_t i = 0; i <= n; i++)
        f->point.value.histogram.count += counts[i];
}

static inline void set_summary(struct fixture *f, const struct kymo_quantile *quantiles, size_t n, double sum)
{
    f->point.value.summary =
        (struct kymo_summary_point){.count = 6, .sum = sum, .quantiles = quantiles, .n_quantiles = n};
}

static inline void set_states(struct fixture *f, const char *const *states, size_t n, uint64_t held)
{
    kymo_desc_set_states(&f->desc, states, n);
    f->point.value.states = held;
}

enum { N_KINDS = 8 };

/* 7, a quarter, six observations, the second of two states. */
static inline void set_some_value(struct fixture *f)
{
    static const struct kymo_quantile quantiles[] = {{0, 0.25}, {0.5, 1}, {0.99, (double)NAN}};
    static const char *const states[] = {"on", "o\"ff\""};
    if (f->family.kind == KYMO_COUNTER)
        f->point.value.counter.whole = 7;
    else if (f->family.kind == KYMO_HISTOGRAM || f->family.kind == KYMO_GAUGE_HISTOGRAM)
        set_histogram(f, three_bounds, 3, four_buckets, 12.5);
    else if (f->family.kind == KYMO_SUMMARY)
        set_summary(f, quantiles, 3, 12.5);
    else if (f->family.kind == KYMO_STATESET)
        set_states(f, states, 2, 2);
    else if (f->family.kind != KYMO_INFO)
        f->point.value.gauge = 0.25;
}

/* The first two buckets and the last one have one. Every second has no time, or no labels. */
static const struct kymo_exemplar_point three_exemplars[] = {
    {"trace_id=\"a\\\"b\"", 15, 0.001, INT64_C(1700000000123456789), 0, 0},
    {"", 0, 0.5, 0, 1, 0},
    {"trace_id=\"\xc3\xa9\",span_id=\"7\"", 25, 1048576, INT64_C(1700000000500000000), 3, 0},
};

static inline void set_exemplars(struct fixture *f)
{
    f->point.exemplars = three_exemplars;
    f->point.n_exemplars = f->family.kind == KYMO_COUNTER ? 1 : 3;
}

#endif
