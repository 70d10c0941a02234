/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/native_model.h - a native histogram as the specification tells it: one thread, sorted arrays, no cleverness.
 *
 * Tests and fuzzers run it beside kymo and compare. It shares no code with the library, only the public headers. What
 * it follows is "Native Histograms" of Prometheus as Go's client library does it, step for step, with kymo's three
 * differences: NaN changes nothing, an infinity is counted and not summed, and whatever is shown obeys the limit if
 * that is possible at all (native_model_expose()).
 *
 * Times are nanoseconds of a clock whose wall and monotonic hands move alike.
 */
#ifndef KYMO_TESTS_NATIVE_MODEL_H
#define KYMO_TESTS_NATIVE_MODEL_H

#include <kymo/kymo.h>

enum { NATIVE_SCHEMA_MIN = -4, NATIVE_SCHEMA_MAX = 8, NATIVE_TABLE_MAX = 256, NATIVE_CLASSIC_MAX = 32 };

/* The buckets of one sign, by ascending key. */
struct native_side {
    int32_t *keys;
    uint64_t *counts;
    size_t n, cap;
};

/* How often each step of the strategy was taken: a test that never widened has proven nothing of widening. */
struct native_steps {
    uint64_t resets, scheduled, due, widened, halved, halved_in_vain, refused;
};

/**
 * struct native_model - the state after some observations
 * @options:    as given, defaults filled in
 * @bounds:     @n_bounds classic bounds, lent; @classic are their counts and the one above them
 * @side:       positive, negative
 * @start_ns:   when it was created or last began anew
 * @pending:    a reset is scheduled for start_ns + options.min_reset_ns
 * @lifetime:   observations ever made, resets or not
 * @magnitude:  the sum of the magnitudes of what @sum has
 * @loose_sum:  set by whoever compares with a sum whose terms are the same, added up in another order
 */
struct native_model {
    struct kymo_native options;
    const double *bounds;
    size_t n_bounds;
    uint64_t classic[NATIVE_CLASSIC_MAX + 1];
    int32_t schema;
    double zero_threshold;
    uint64_t zero_count;
    uint64_t count;
    double sum;
    struct native_side side[2];
    int64_t start_ns;
    int pending;
    uint64_t lifetime;
    double magnitude;
    int loose_sum;
    struct native_steps steps;
};

/* ---- what depends on nothing but numbers ---- */

/* The 2^schema fractions in [0.5, 1) at which buckets end; schema 0 to 8. */
const double *native_table(int schema);
/* The schema of a bucket factor. */
int32_t native_schema(double bucket_factor);
/* The key of the bucket that @v falls into by its magnitude; any value but NaN. */
int32_t native_key(double v, int32_t schema);
/* The upper bound of a bucket; infinite above that of DBL_MAX. */
double native_bound(int32_t key, int32_t schema);

/* ---- a histogram ---- */

/* @native: as in a descriptor; @bounds: lent, may be NULL; @now_ns: when it begins. */
void native_model_init(struct native_model *m, const struct kymo_native *native, const double *bounds, size_t n_bounds,
                       int64_t now_ns);
void native_model_free(struct native_model *m);
/* @n observations of @v at one moment. */
void native_model_observe(struct native_model *m, double v, uint64_t n, int64_t now_ns);
/* What a scrape does before it shows the histogram: a reset that is due, and steps until the limit holds. */
void native_model_expose(struct native_model *m, int64_t now_ns);
/* Populated buckets of both signs. */
size_t native_model_populated(const struct native_model *m);

/* ---- comparing and printing ---- */

/* What of a point is not this state, in a word or two; NULL if it is just this. */
const char *native_model_differs(const struct native_model *m, const struct kymo_point *point);
/*
 * What of a point does not belong to the rest: the count that is not the sum of the buckets, their order, an empty one,
 * more of them than the limit allows. NULL if it is whole.
 */
const char *native_point_wrong(const struct kymo_histogram_point *h, uint32_t max_buckets);
/* A point in one line, "schema 2, zero 1 in 0.5, + 0:1 3:2, - 0:7, count 11, sum 2.5, start +60"; to be freed. */
char *native_point_text(const struct kymo_point *point, int64_t epoch_ns);
char *native_model_text(const struct native_model *m, int64_t epoch_ns);

#endif
