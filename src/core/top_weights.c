/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/top_weights.c - the weights of members, how they grow and how all weights age, and the memory they are in.
 *
 * Read core/top_private.h first. Under the registry's lock.
 */
#include <string.h>

#include "core/top_private.h"

#define RESCALE 4 /* halvings at once, where weights have come to their end */
#define ROOM_TO_GROW (KYMO__TOP_WEIGHT_MAX >> 2 * RESCALE)
#define FINEST 0x1p64

/* ---- private memory ---- */

static size_t private_bytes(uint32_t n)
{
    return sizeof(struct kymo__top_private) + n * (sizeof(struct kymo__standing) + 2 * sizeof(struct kymo__pick));
}

static void private_point(struct kymo__top_private *p, uint32_t n)
{
    p->bytes = private_bytes(n);
    p->n = n;
    p->members = (struct kymo__pick *)(void *)(p->of + n);
    p->frozen = p->members + n;
}

struct kymo__top_private *kymo__top_private_ensure(struct kymo__family *f, int64_t now_ns)
{
    struct kymo__top_private *old = f->top, *larger;
    uint32_t need = f->n_ordinals + KYMO__TOP_CHANGES, n = old != NULL ? old->n : 2 * KYMO__TOP_CHANGES;
    if (old != NULL && need <= n)
        return old;
    while (n < need)
        n *= 2;
    larger = kymo__heap_alloc(f->reg, private_bytes(n));
    if (larger == NULL)
        return NULL;
    if (old != NULL)
        memcpy(larger, old, sizeof(*old) + old->n * sizeof(struct kymo__standing));
    else
        larger->aged_ns = now_ns;
    private_point(larger, n);
    f->top = larger; /* before the old one is gone: a child of fork() finds one of them */
    if (old != NULL)
        kymo__heap_free(f->reg, old, old->bytes);
    return larger;
}

void kymo__top_free(struct kymo__family *f)
{
    if (f->top != NULL)
        kymo__heap_free(f->reg, f->top, f->top->bytes);
    f->top = NULL;
}

struct kymo__standing *kymo__top_known(const struct kymo__family *f, const struct kymo__series *series)
{
    if (f->top == NULL || series->ordinal >= f->top->n)
        return NULL;
    struct kymo__standing *st = &f->top->of[series->ordinal];
    int same = st->series == kymo__ref(f->reg->segment, series) && st->generation == series->generation;
    return same ? st : NULL;
}

struct kymo__standing *kymo__top_standing(const struct kymo__family *f, const struct kymo__series *series)
{
    struct kymo__standing *st = kymo__top_known(f, series);
    if (st != NULL)
        return st;
    st = &f->top->of[series->ordinal];
    memset(st, 0, sizeof(*st));
    st->series = kymo__ref(f->reg->segment, series);
    st->generation = series->generation;
    st->promised = kymo__loc_stands_by(series->loc);
    return st;
}

/* ---- weights ---- */

static uint64_t sum_of(uint64_t weight, uint64_t more)
{
    return weight + more < KYMO__TOP_WEIGHT_MAX ? weight + more : KYMO__TOP_WEIGHT_MAX;
}

/* A member has become heavier by what was recorded since the last time. */
static void weigh(struct kymo__family *f, const struct kymo__series *series, struct kymo__standing *st)
{
    uint64_t buckets[KYMO__MAX_BOUNDS + 1], whole;
    double fraction = 0;
    struct kymo_point point;
    kymo__read_one(f, kymo__load_relaxed(&series->loc), buckets, &point);
    if (f->info.kind == KYMO_HISTOGRAM) {
        whole = point.value.histogram.count;
    } else {
        whole = point.value.counter.whole;
        fraction = point.value.counter.fraction;
    }
    if (whole < st->whole || fraction < st->fraction) { /* in a child of fork() values may begin anew */
        st->whole = 0;
        st->fraction = 0;
    }
    double more = (double)(whole - st->whole) + (fraction - st->fraction);
    st->weight = sum_of(st->weight, kymo__top_units(kymo__top_of(f), more));
    st->whole = whole;
    st->fraction = fraction;
    f->top->heaviest = st->weight > f->top->heaviest ? st->weight : f->top->heaviest;
}

static void halve(struct kymo__family *f, int64_t times)
{
    for (int64_t i = 0; i < times && i < (int64_t)KYMO__TOP_WEIGHT_BITS; i++) {
        kymo__top_sketch_halve(kymo__top_sketch_of(kymo__top_of(f)));
        for (uint32_t k = 0; k < f->top->n; k++)
            f->top->of[k].weight /= 2;
    }
}

static void rescale(struct kymo__top_record *top, double by)
{
    kymo__store_relaxed(&top->scale, kymo__bits(kymo__double(top->scale) * by));
}

/*
 * Weights that have come to their end say nothing more: the same amounts are fewer units from now on. Amounts below a
 * unit each count as one, as if all were the same: they are more units from now on, and what was before counts less.
 */
static void keep_in_range(struct kymo__family *f)
{
    struct kymo__top_record *top = kymo__top_of(f);
    uint64_t heaviest = f->top->heaviest;
    int too_coarse = kymo__load_relaxed(&top->too_coarse) != 0;
    if (heaviest == KYMO__TOP_WEIGHT_MAX || kymo__top_sketch_saturated(kymo__top_sketch_of(top))) {
        rescale(top, 1.0 / (1 << RESCALE));
        halve(f, RESCALE);
    } else if (too_coarse && heaviest < ROOM_TO_GROW && kymo__double(top->scale) < FINEST) {
        rescale(top, 1 << RESCALE);
    }
    if (too_coarse)
        kymo__store_relaxed(&top->too_coarse, 0);
}

static void age(struct kymo__family *f, int64_t now)
{
    struct kymo__top_private *p = f->top;
    if (now < p->aged_ns)
        p->aged_ns = now;
    int64_t times = (now - p->aged_ns) / KYMO__TOP_HALF_NS;
    p->aged_ns += times * KYMO__TOP_HALF_NS;
    halve(f, times);
}

static void weigh_members(struct kymo__family *f)
{
    f->top->heaviest = 0;
    for (uint32_t ref = f->record->first_series; ref != 0;) {
        struct kymo__series *series = kymo__at(f->reg->segment, ref);
        ref = series->next;
        if (!kymo__is_overflow(f, series) && kymo__loc_lives(kymo__load_relaxed(&series->loc)))
            weigh(f, series, kymo__top_standing(f, series));
    }
}

void kymo__top_weigh(struct kymo__family *f, int64_t now_ns)
{
    weigh_members(f);
    keep_in_range(f);
    age(f, now_ns);
}
