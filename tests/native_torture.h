/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/native_torture.h - three native histograms for tests that interrupt, fork and kill.
 *
 * powers_native has powers of two at schema 0 and no limit: its sum is a function of its buckets, so that a torn
 * observation shows. merged_native has a low limit and values all over: it widens and halves at first. anew_native
 * does so again and again, since it begins anew a few thousand times a second; what it ever counted is asked of the
 * library. torture.h knows it by its name: its counts go back.
 */
#ifndef KYMO_TESTS_NATIVE_TORTURE_H
#define KYMO_TESTS_NATIVE_TORTURE_H

#include "torture.h"

#include "native_model.h"

/* Observations ever made, those before it began anew too. */
extern uint64_t kymo__native_lifetime(const struct kymo_histogram *h);

enum { THREE_POWERS, THREE_MERGED, THREE_ANEW, THREE };

struct native_three {
    struct kymo_registry *reg;
    struct kymo_histogram *h[THREE];
};

static inline void native_three_new(struct native_three *t, struct kymo_registry *reg)
{
    t->reg = reg;
    REQUIRE(kymo_histogram_new(
                reg,
                KYMO_DESC(.name = "powers_native", .help = "x", KYMO_NATIVE(.bucket_factor = 2, .max_buckets = 40)),
                &t->h[THREE_POWERS]) == 0);
    REQUIRE(
        kymo_histogram_new(reg,
                           KYMO_DESC(.name = "merged_native", .help = "x", KYMO_BOUNDS(0.5, 1, 2, 4),
                                     KYMO_NATIVE(.bucket_factor = 1.02, .max_buckets = 20, .max_zero_threshold = 0.75)),
                           &t->h[THREE_MERGED]) == 0);
    REQUIRE(kymo_histogram_new(reg,
                               KYMO_DESC(.name = "anew_native", .help = "x",
                                         KYMO_NATIVE(.bucket_factor = 1.02, .max_buckets = 6,
                                                     .max_zero_threshold = 0.75, .min_reset_ns = 200000)),
                               &t->h[THREE_ANEW]) == 0);
}

/* One observation of one of them. */
static inline void native_three_observe(const struct native_three *t, int which, unsigned i)
{
    if (which == THREE_POWERS)
        kymo_histogram_observe(t->h[which], exact_value(i % EXACT_BUCKETS));
    else
        kymo_histogram_observe(t->h[which], 0.125 * (1 + i % 97));
}

static inline void native_three_record(const struct native_three *t, unsigned i)
{
    for (int which = 0; which < THREE; which++)
        native_three_observe(t, which, i);
}

struct native_three_counts {
    uint64_t of[THREE];
};

static inline void native_powers_hold(const struct kymo_histogram_point *h)
{
    double sum = 0;
    for (size_t i = 0; i < h->native->n_positive; i++) {
        int32_t k = h->native->positive_index[i];
        sum += (double)h->native->positive_count[i] * (k >= 0 ? (double)(1u << k) : 1.0 / (double)(1u << -k));
    }
    CHECK_INT(h->native->schema, 0);
    CHECK_DOUBLE(h->sum, sum);
}

static inline int native_three_sample(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    static const char *const names[THREE] = {"powers_native", "merged_native", "anew_native"};
    static const uint32_t limits[THREE] = {40, 20, 6};
    struct native_three_counts *counts = ctx;
    for (int i = 0; i < THREE; i++) {
        if (strcmp(family->name, names[i]) != 0)
            continue;
        const char *wrong = native_point_wrong(&point->value.histogram, limits[i]);
        if (wrong != NULL)
            fprintf(stderr, "%s: %s\n", names[i], wrong);
        CHECK(wrong == NULL);
        if (i == THREE_POWERS && wrong == NULL)
            native_powers_hold(&point->value.histogram);
        counts->of[i] = point->value.histogram.count;
    }
    return 0;
}

/* How often each was observed, ever; all three must be whole. */
static inline struct native_three_counts native_three_counts(const struct native_three *t)
{
    struct native_three_counts counts = {{UINT64_MAX, UINT64_MAX, UINT64_MAX}};
    const struct kymo_visitor visitor = {sizeof(visitor), &counts, NULL, native_three_sample, NULL};
    CHECK_INT(kymo_registry_visit(t->reg, &visitor), 0);
    uint64_t ever = kymo__native_lifetime(t->h[THREE_ANEW]);
    CHECK(counts.of[THREE_ANEW] <= ever);
    counts.of[THREE_ANEW] = ever;
    return counts;
}

static inline void native_three_are(const struct native_three *t, uint64_t n)
{
    struct native_three_counts counts = native_three_counts(t);
    for (int i = 0; i < THREE; i++)
        CHECK_U64(counts.of[i], n);
}

#endif
