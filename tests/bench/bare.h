/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bare.h - the least work that writes a page: baseline of the render rows.
 *
 * What must hold: line heads lie ready, escaped, one after the other, and values in one array; the loop copies a head,
 * formats a value as kymo does, and hands on 64 KiB at a time. Its page is, but for HELP and TYPE, byte for byte kymo's
 * (render.c compares them before it times either). Of a protobuf page whole metrics lie ready, and the value is stored
 * into the copy.
 */
#ifndef KYMO_TESTS_BENCH_BARE_H
#define KYMO_TESTS_BENCH_BARE_H

#include "bench.h"

#include <kymo/encode.h>

enum { BARE_BUCKETS = BENCH_BOUNDS + 1 };

/* A value in the form of its page: one of the three. */
struct bare_histogram {
    uint64_t buckets[BARE_BUCKETS]; /* not cumulative */
    double sum;
};

/**
 * struct bare - a page that lies ready
 * @heads:   counters: `name{a="x",b="y",c="z"} ` per series; histograms: `a="x",b="y",c="z"`
 *           in protobuf: `metric {label.. counter {value start}}` with any value
 * @lens:    their lengths
 * @holes:   where in its head a series' value belongs, in protobuf; NULL: text
 * @whole, @real, @histograms: @n values, of the one kind this page has; the others NULL
 */
struct bare {
    size_t n;
    const char *name;
    char *heads;
    uint32_t *lens;
    uint8_t *holes;
    uint64_t *whole;
    double *real;
    struct bare_histogram *histograms;
    /* The three pieces of a histogram's lines are a name with "{", the labels, and one of these. */
    char tails[BARE_BUCKETS][32];
    uint32_t tail_lens[BARE_BUCKETS];
};

/** bare_init_counters() - heads of counters; @whole and @real are the caller's to fill, one of them is allocated */
void bare_init_counters(struct bare *bare, const char *name, const struct bench_labels *labels, int is_whole);
/** bare_init_protobuf() - counters of a protobuf page; @start_ns: when each series began; the values are the caller's to fill */
void bare_init_protobuf(struct bare *bare, const struct bench_labels *labels, const int64_t *start_ns);
/** bare_init_histograms() - pieces of histograms' lines; the histograms are the caller's to fill */
void bare_init_histograms(struct bare *bare, const char *name, const struct bench_labels *labels);
void bare_deinit(struct bare *bare);
/** bare_write() - the page, in chunks of at most 64 KiB */
void bare_write(const struct bare *bare, const struct kymo_sink *sink);

#endif
