/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_config.c - any text of an operator is either refused with one sentence that names a line, leaving nothing
 * behind, or accepted, and then every good descriptor is still registered, with good buckets and a good guard, on a good
 * page, nothing that is recorded is lost, whatever limits and lists of values there are, and what is in force reads back
 * as valid JSON.
 *
 * Input: the text, up to its first NUL.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kymo/kymo.h>

#include "json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct heap heap = HEAP_INIT;
static struct log_book book;

static int registry_try(const char *config, struct kymo_registry **reg)
{
    const struct kymo_allocator allocator = {sizeof(allocator), &heap, heap_alloc, heap_free};
    struct kymo_registry_options o;
    memset(&o, 0, sizeof(o));
    memset(&book, 0, sizeof(book));
    o.size = sizeof(o);
    o.allocator = &allocator;
    o.log = log_note;
    o.log_ctx = &book;
    o.segment_bytes = 1024 * 1024;
    o.config = config;
    return kymo_registry_new(&o, reg);
}

static void check_refused(int r)
{
    unsigned long line = 0;
    CHECK_INT(r, KYMO_ECONFIG);
    CHECK_U64(book.n, 1);
    CHECK(sscanf(book.last, "config line %lu: ", &line) == 1 && line >= 1);
    heap_must_be_empty(&heap);
}

#define N_RECORDED 5

/* Values that a list may have or not, one that has to be quoted there, one that is longer than the least limit. */
static void register_labelled(struct kymo_registry *reg)
{
    static const char *const values[N_RECORDED] = {"a", "b c", "", "seventeen letters", "a"};
    struct kymo_counter_family *t;
    struct kymo_gauge_family *g;
    CHECK_INT(kymo_counter_family_new(reg, KYMO_DESC(.name = "t_total", .help = "T.", KYMO_LABELS("x", "model")), &t),
              0);
    CHECK_INT(kymo_gauge_family_new(reg, KYMO_DESC(.name = "g", .help = "G.", KYMO_LABELS("x")), &g), 0);
    for (size_t i = 0; i < N_RECORDED; i++) {
        kymo_counter_family_inc(t, KYMO_VALUES(values[i], values[(i + 1) % N_RECORDED]));
        kymo_gauge_set(kymo_gauge_with(g, KYMO_VALUES(values[i])), 1);
    }
}

static void register_all(struct kymo_registry *reg)
{
    static const struct kymo_native native = {.bucket_factor = 1.5};
    static const struct kymo_alias alias = {"ab_seconds", NULL};
    struct kymo_histogram *h[3];
    struct kymo_counter *c;
    CHECK_INT(kymo_histogram_new(reg, KYMO_DESC(.name = "a_seconds", .help = "A."), &h[0]), 0);
    CHECK_INT(kymo_histogram_new(reg, KYMO_DESC(.name = "n", .help = "N.", .native = &native), &h[1]), 0);
    CHECK_INT(kymo_histogram_new(
                  reg,
                  KYMO_DESC(.name = "b_seconds", .help = "B.", KYMO_BOUNDS(1, 2), .aliases = &alias, .n_aliases = 1),
                  &h[2]),
              0);
    CHECK_INT(kymo_counter_new(reg, KYMO_DESC(.name = "c_total", .help = "C."), &c), 0);
    for (int i = 0; i < 3; i++)
        kymo_histogram_observe(h[i], 1.5);
    kymo_counter_inc(c);
    register_labelled(reg);
}

struct seen {
    size_t n_families;
    double recorded; /* of what register_labelled() counted */
};

static void check_guard(const struct kymo_family *family, const struct kymo_guard *g)
{
    CHECK(family->desc->n_labels != 0);
    CHECK(g->policy == KYMO_GUARD_PLAIN || g->policy == KYMO_GUARD_LIMIT ||
          (g->policy == KYMO_GUARD_TOP && family->kind != KYMO_GAUGE));
    CHECK(g->after_end == KYMO_REVIVE || g->after_end == KYMO_TO_OVERFLOW);
    CHECK(g->max_series >= 1 && g->max_series <= 10000000);
    CHECK(g->max_value_bytes >= 16 && g->max_value_bytes <= 60000);
    CHECK(g->linger_ms >= 1 && g->idle_ns >= 0 && g->touch <= 1);
}

/* A histogram has buckets of some kind, and every bound is more than the one before it. */
static int check_family(void *ctx, const struct kymo_family *family)
{
    const struct kymo_desc *d = family->desc;
    ((struct seen *)ctx)->n_families++;
    if (d->guard != NULL)
        check_guard(family, d->guard);
    if (family->kind != KYMO_HISTOGRAM)
        return 0;
    CHECK(d->n_bounds != 0 || d->native != NULL);
    CHECK(d->n_bounds <= 500);
    for (size_t i = 0; i < d->n_bounds; i++)
        CHECK(isfinite(d->bounds[i]) && (i == 0 || d->bounds[i] > d->bounds[i - 1]));
    if (d->native != NULL) {
        CHECK(d->native->bucket_factor > 1 && isfinite(d->native->bucket_factor));
        CHECK(d->native->max_buckets >= 1 && d->native->max_buckets <= 100000);
        CHECK(isfinite(d->native->zero_threshold) && isfinite(d->native->max_zero_threshold));
        CHECK(d->native->min_reset_ns >= 0 && d->native->max_exemplars >= 1 && d->native->max_exemplars <= 64);
    }
    return 0;
}

static int check_sample(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    if (strcmp(family->name, "t_total") == 0)
        ((struct seen *)ctx)->recorded += (double)point->value.counter.whole + point->value.counter.fraction;
    return 0;
}

static void check_accepted(struct kymo_registry *reg)
{
    struct seen seen = {0, 0};
    const struct kymo_visitor visitor = {sizeof(visitor), &seen, check_family, check_sample, NULL};
    CHECK_U64(book.n, 0);
    register_all(reg);
    CHECK_INT(kymo_registry_visit(reg, &visitor), 0);
    CHECK(seen.n_families > 6);
    CHECK_DOUBLE(seen.recorded, N_RECORDED);
    struct page p = page_of(reg);
    page_free(&p);
    p = json_of(reg, kymo_registry_config);
    page_free(&p);
    p = json_of(reg, kymo_registry_catalogue);
    page_free(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kymo_registry *reg;
    char *config = calloc(1, size + 1);
    REQUIRE(config != NULL);
    if (size != 0)
        memcpy(config, data, size);
    int r = registry_try(config, &reg);
    if (r == 0)
        check_accepted(reg);
    else
        check_refused(r);
    kymo_registry_free(reg);
    heap_must_be_empty(&heap);
    free(config);
    if (test_failures != 0)
        abort();
    return 0;
}
