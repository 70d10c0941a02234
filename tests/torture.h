/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/torture.h - what the exactness tests share: histograms that cannot be torn unseen, and an eye on pages.
 *
 * An exact histogram is only ever given the bounds of its buckets, which are distinct powers of two, and twice the
 * last one. Its sum is then a function of its buckets, in doubles without any rounding: a sum that belongs to other
 * observations than the buckets do shows. Its name begins with "exact_", by which a page's reader knows it.
 *
 * A watch remembers every sample of the counters and histograms it saw, and compares the next page with it (K2, K3).
 */
#ifndef KYMO_TESTS_TORTURE_H
#define KYMO_TESTS_TORTURE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* barriers, timers, gettid: include this header first */
#endif

#include <pthread.h>
#include <stdatomic.h>

#include "page.h"

/* ---- exact histograms ---- */

enum { EXACT_BOUNDS = 8, EXACT_BUCKETS = EXACT_BOUNDS + 1 };
#define EXACT_FIRST 0.25
#define EXACT_DESC(...)                                                                                                \
    KYMO_DESC(.help = "Powers of two.", .bounds = exact_bounds, .n_bounds = EXACT_BOUNDS, __VA_ARGS__)

static const double exact_bounds[EXACT_BOUNDS] = {0.25, 0.5, 1, 2, 4, 8, 16, 32};

static inline double exact_value(unsigned bucket)
{
    return bucket < EXACT_BOUNDS ? exact_bounds[bucket] : 2 * exact_bounds[EXACT_BOUNDS - 1];
}

/* Whether count, sum and buckets belong to the same observations. */
static inline int exact_holds(uint64_t count, double sum, const uint64_t *buckets)
{
    uint64_t n = 0;
    double v = 0;
    for (unsigned i = 0; i < EXACT_BUCKETS; i++) {
        n += buckets[i];
        v += (double)buckets[i] * exact_value(i);
    }
    if (n == count && v == sum)
        return 1;
    fprintf(stderr, "torn: count %" PRIu64 " sum %.17g, of buckets %" PRIu64 " and %.17g\n", count, sum, n, v);
    return 0;
}

/* Reads a histogram, which must be whole; its count. */
static inline uint64_t exact_count(const struct kymo_histogram *h)
{
    double sum;
    uint64_t buckets[EXACT_BUCKETS];
    uint64_t count = kymo_histogram_value(h, &sum, buckets, EXACT_BUCKETS);
    CHECK(exact_holds(count, sum, buckets));
    return count;
}

/* ---- small things ---- */

/* Numbers that differ from thread to thread; never 0 if the state is not. */
static inline uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static inline struct kymo_registry *registry_with_shards(size_t max_shards)
{
    struct kymo_registry *reg;
    struct kymo_registry_options o = {.size = sizeof(o), .max_shards = max_shards};
    REQUIRE(kymo_registry_new(&o, &reg) == 0);
    return reg;
}

/* ---- a watch over pages ---- */

enum { WATCH_SLOTS = 4096 };

struct watch {
    uint64_t n_pages;
    uint64_t n_samples; /* that were compared with an earlier one */
    struct {
        uint64_t key;
        double last;
    } seen[WATCH_SLOTS];
};

static inline uint64_t text_hash(uint64_t h, const char *s)
{
    for (; *s != '\0'; s++)
        h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
    return (h ^ 0xff) * UINT64_C(0x100000001b3);
}

static inline uint64_t sample_key(const struct text_page *page, const struct text_sample *s)
{
    const struct text_label *labels = text_labels(page, s);
    uint64_t h = text_hash(UINT64_C(0xcbf29ce484222325), s->name);
    for (size_t i = 0; i < s->n_labels; i++)
        h = text_hash(text_hash(h, labels[i].name), labels[i].value);
    return h | 1;
}

/* K2: no sample of a counter or histogram is less than it was, not by an ulp. Sums count if nothing negative is seen. */
static inline void watch_sample(struct watch *w, const struct text_page *page, const struct text_sample *s)
{
    uint64_t key = sample_key(page, s);
    size_t i = key % WATCH_SLOTS;
    while (w->seen[i].key != 0 && w->seen[i].key != key)
        i = (i + 1) % WATCH_SLOTS;
    if (w->seen[i].key != 0) {
        w->n_samples++;
        if (s->value < w->seen[i].last)
            fprintf(stderr, "%s went back from %.17g to %s\n", s->name, w->seen[i].last, s->raw);
        CHECK(s->value >= w->seen[i].last);
    }
    w->seen[i].key = key;
    w->seen[i].last = s->value;
}

/* K3: a histogram's lines stand together: buckets, then _sum, then _count. */
static inline void watch_exact(const struct text_page *page, const struct text_family *f)
{
    uint64_t buckets[EXACT_BUCKETS];
    CHECK(f->n_samples % (EXACT_BUCKETS + 2) == 0);
    for (size_t first = 0; first + EXACT_BUCKETS + 2 <= f->n_samples; first += EXACT_BUCKETS + 2) {
        const struct text_sample *s = &page->samples[f->first_sample + first];
        for (unsigned i = 0; i < EXACT_BUCKETS; i++)
            buckets[i] = (uint64_t)s[i].value - (i > 0 ? (uint64_t)s[i - 1].value : 0);
        CHECK(exact_holds((uint64_t)s[EXACT_BUCKETS + 1].value, s[EXACT_BUCKETS].value, buckets));
    }
}

static inline void watch_family(struct watch *w, const struct text_page *page, const struct text_family *f)
{
    int histogram = strcmp(f->type, "histogram") == 0;
    if (strcmp(f->name, "anew_native") == 0)
        return; /* native_torture.h: it may go back, and says when */
    if (histogram && strncmp(f->name, "exact_", 6) == 0)
        watch_exact(page, f);
    for (size_t i = 0; i < f->n_samples && (histogram || strcmp(f->type, "counter") == 0); i++)
        watch_sample(w, page, &page->samples[f->first_sample + i]);
}

/* Takes a page, which must be a good one, and compares it with the last; the caller frees what was parsed. */
static inline struct text_page watch_page(struct watch *w, struct kymo_registry *reg)
{
    struct page p;
    struct text_page parsed;
    CHECK_INT(page_write(reg, &p), 0);
    int good = text_parse(&parsed, p.text, p.n);
    if (!good)
        fprintf(stderr, "the parser says: %s\n", parsed.error);
    CHECK(good);
    for (size_t i = 0; good && i < parsed.n_families; i++)
        watch_family(w, &parsed, &parsed.families[i]);
    page_free(&p);
    w->n_pages++;
    return parsed;
}

/* The value of the only sample of this name. */
static inline double page_value(const struct text_page *page, const char *name)
{
    const struct text_sample *s = text_find(page, name, 0);
    CHECK(s != NULL && text_find(page, name, 1) == NULL);
    return s != NULL ? s->value : -1;
}

/* The same of all samples of a family together. */
static inline double page_total(const struct text_page *page, const char *name)
{
    double total = 0;
    for (size_t i = 0; text_find(page, name, i) != NULL; i++)
        total += text_find(page, name, i)->value;
    return total;
}

/* A metric of every kind, for tests that record into all of them. */
struct one_of_each {
    struct kymo_registry *reg;
    struct kymo_counter *whole, *fraction;
    struct kymo_gauge *updown, *set;
    struct kymo_histogram *h;
    struct kymo_counter_family *c_labels;
    struct kymo_histogram_family *h_labels;
};

/* Registers them in m->reg, which exists. */
static inline void one_of_each_new(struct one_of_each *m)
{
    REQUIRE(kymo_counter_new(m->reg, KYMO_DESC(.name = "whole_total", .help = "x"), &m->whole) == 0);
    REQUIRE(kymo_counter_new(m->reg, KYMO_DESC(.name = "fraction_total", .help = "x"), &m->fraction) == 0);
    REQUIRE(kymo_gauge_new(m->reg, KYMO_DESC(.name = "updown", .help = "x", .gauge_mode = KYMO_GAUGE_UPDOWN),
                           &m->updown) == 0);
    REQUIRE(kymo_gauge_new(m->reg, KYMO_DESC(.name = "set", .help = "x"), &m->set) == 0);
    REQUIRE(kymo_histogram_new(m->reg, EXACT_DESC(.name = "exact_h"), &m->h) == 0);
    REQUIRE(kymo_counter_family_new(m->reg, KYMO_DESC(.name = "labels_total", .help = "x", KYMO_LABELS("i")),
                                    &m->c_labels) == 0);
    REQUIRE(kymo_histogram_family_new(m->reg, EXACT_DESC(.name = "exact_labels", KYMO_LABELS("i")), &m->h_labels) == 0);
}

#endif
