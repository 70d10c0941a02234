/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/handle.c - the calls that give a handle: one for each kind, and the series of a family by its label values.
 *
 * The kinds share one private struct; the public types keep them apart for the compiler.
 */
#include "core/core.h"

/* ---- one series, one family ---- */

static int single_new(struct kymo_registry *reg, const struct kymo_desc *desc, enum kymo_kind kind,
                      struct kymo__cell **cell)
{
    struct kymo__family *f;
    *cell = NULL;
    int r = kymo__family_new(reg, desc, kind, KYMO__REGISTER_SINGLE, &f);
    if (r != 0)
        return r;
    struct kymo__series *series = kymo__at(reg->segment, f->record->first_series);
    *cell = kymo__cell_of(f, series);
    kymo__add_relaxed(&(*cell)->pins, 1);
    (void)kymo__ensure_self(reg, (uint32_t)(series->loc >> KYMO__WORD_BITS)); /* else the shared store serves */
    return 0;
}

/* ---- with ---- */

/* Where the series of a pinned cell counts, or KYMO__DEAD. The pin keeps the cell, not the record. */
static uint64_t loc_of(const struct kymo__cell *cell)
{
    struct kymo__segment *s = cell->family->reg->segment;
    int64_t *counter = kymo__in_flight_enter(s);
    uint64_t loc = KYMO__DEAD;
    if (!kymo__load_relaxed(&cell->family->dead)) {
        const struct kymo__series *series = kymo__at(s, kymo__load_acquire(&cell->series));
        loc = kymo__load_relaxed(&series->loc);
    }
    kymo__in_flight_leave(counter);
    return loc;
}

static struct kymo__cell *with(struct kymo__family *f, const char *const *values, size_t n)
{
    int error;
    if (f == NULL)
        return NULL;
    struct kymo__cell *cell = NULL;
    if (kymo__series_get(f, values, n, &cell, &error) == NULL) {
        kymo__refuse(f, kymo__refusal_of(error));
        return NULL;
    }
    uint64_t loc = kymo__is_served(kymo__load_acquire(&cell->loc)) ? KYMO__DEAD : loc_of(cell);
    if (kymo__loc_lives(loc))
        (void)kymo__ensure_self(f->reg, (uint32_t)(loc >> KYMO__WORD_BITS)); /* else the shared store serves */
    return cell;
}

static void release(struct kymo__cell *cell)
{
    if (cell == NULL || kymo__add_full(&cell->pins, (uint32_t)-1) != 1) /* before the look below; with still_pinned() */
        return;
    uint64_t loc = kymo__load_relaxed(&cell->loc);
    if (loc == KYMO__DEAD || kymo__loc_is_print(loc))
        kymo__life_unpinned(cell);
}

/* ---- the kinds ---- */

int kymo_counter_new(struct kymo_registry *reg, const struct kymo_desc *desc, struct kymo_counter **counter)
{
    struct kymo__cell *cell;
    if (counter == NULL)
        return KYMO_EINVAL;
    int r = single_new(reg, desc, KYMO_COUNTER, &cell);
    *counter = (struct kymo_counter *)cell;
    return r;
}

int kymo_gauge_new(struct kymo_registry *reg, const struct kymo_desc *desc, struct kymo_gauge **gauge)
{
    struct kymo__cell *cell;
    if (gauge == NULL)
        return KYMO_EINVAL;
    int r = single_new(reg, desc, KYMO_GAUGE, &cell);
    *gauge = (struct kymo_gauge *)cell;
    return r;
}

int kymo_histogram_new(struct kymo_registry *reg, const struct kymo_desc *desc, struct kymo_histogram **histogram)
{
    struct kymo__cell *cell;
    if (histogram == NULL)
        return KYMO_EINVAL;
    int r = single_new(reg, desc, KYMO_HISTOGRAM, &cell);
    *histogram = (struct kymo_histogram *)cell;
    return r;
}

int kymo_counter_family_new(struct kymo_registry *reg, const struct kymo_desc *desc,
                            struct kymo_counter_family **family)
{
    if (family == NULL)
        return KYMO_EINVAL;
    struct kymo__family *f;
    int r = kymo__family_new(reg, desc, KYMO_COUNTER, KYMO__REGISTER_LABELLED, &f);
    *family = (struct kymo_counter_family *)f;
    return r;
}

int kymo_gauge_family_new(struct kymo_registry *reg, const struct kymo_desc *desc, struct kymo_gauge_family **family)
{
    if (family == NULL)
        return KYMO_EINVAL;
    struct kymo__family *f;
    int r = kymo__family_new(reg, desc, KYMO_GAUGE, KYMO__REGISTER_LABELLED, &f);
    *family = (struct kymo_gauge_family *)f;
    return r;
}

int kymo_histogram_family_new(struct kymo_registry *reg, const struct kymo_desc *desc,
                              struct kymo_histogram_family **family)
{
    if (family == NULL)
        return KYMO_EINVAL;
    struct kymo__family *f;
    int r = kymo__family_new(reg, desc, KYMO_HISTOGRAM, KYMO__REGISTER_LABELLED, &f);
    *family = (struct kymo_histogram_family *)f;
    return r;
}

struct kymo_counter *kymo_counter_with(struct kymo_counter_family *f, const char *const *values, size_t n)
{
    return (struct kymo_counter *)with((struct kymo__family *)f, values, n);
}

struct kymo_gauge *kymo_gauge_with(struct kymo_gauge_family *f, const char *const *values, size_t n)
{
    return (struct kymo_gauge *)with((struct kymo__family *)f, values, n);
}

struct kymo_histogram *kymo_histogram_with(struct kymo_histogram_family *f, const char *const *values, size_t n)
{
    return (struct kymo_histogram *)with((struct kymo__family *)f, values, n);
}

void kymo_counter_release(struct kymo_counter *c)
{
    release((struct kymo__cell *)c);
}

void kymo_gauge_release(struct kymo_gauge *g)
{
    release((struct kymo__cell *)g);
}

void kymo_histogram_release(struct kymo_histogram *h)
{
    release((struct kymo__cell *)h);
}
