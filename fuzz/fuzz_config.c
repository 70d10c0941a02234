/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_config.c - any text of an operator is either refused with one sentence that names a line, leaving nothing
 * behind, or accepted, and then every good descriptor is still registered, with good buckets, on a good page, and what is in
 * force reads back as valid JSON.
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
}

/* A histogram has buckets of some kind, and every bound is more than the one before it. */
static int check_family(void *ctx, const struct kymo_family *family)
{
    const struct kymo_desc *d = family->desc;
    ++*(size_t *)ctx;
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

static int skip_sample(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    (void)ctx;
    (void)family;
    (void)point;
    return 0;
}

static void check_accepted(struct kymo_registry *reg)
{
    size_t n = 0;
    const struct kymo_visitor visitor = {sizeof(visitor), &n, check_family, skip_sample, NULL};
    CHECK_U64(book.n, 0);
    register_all(reg);
    CHECK_INT(kymo_registry_visit(reg, &visitor), 0);
    CHECK(n > 4);
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
