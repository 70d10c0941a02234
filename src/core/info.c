/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/info.c - info and state sets: families of one series that lives in the shared store.
 *
 * The states are the bits of one word, changed by one atomic instruction each, from any thread, handler or child of
 * fork(). A thread is busy or in flight meanwhile, as for a set gauge: a slot that was given away is never written.
 */
#include "core/core.h"
#include "core/record.h"

/* A family with its one series, whose label values are these if it has labels; or an error, and nothing is changed. */
static int one_series(struct kymo_registry *reg, const struct kymo_desc *desc, enum kymo_kind kind,
                      const char *const *values, struct kymo__family **family)
{
    enum kymo__registration how = kind == KYMO_INFO ? KYMO__REGISTER_LABELLED : KYMO__REGISTER_SINGLE;
    int r = kymo__family_prepare(reg, desc, kind, how, family);
    if (r != 0)
        return r;
    struct kymo__family *f = *family;
    f->first = values;
    r = f->n_labels != 0 && values == NULL ? KYMO_EINVAL : kymo__families_register(reg, &f, 1, KYMO__REGISTER_SINGLE);
    f->first = NULL;
    if (r != 0)
        kymo__family_discard(reg, f);
    return r == KYMO_ELABEL ? KYMO_ELIMIT : r; /* names are good by now: the values are too long */
}

int kymo_info_new(struct kymo_registry *reg, const struct kymo_desc *desc, const char *const *values)
{
    struct kymo__family *f;
    return one_series(reg, desc, KYMO_INFO, values, &f);
}

int kymo_stateset_new(struct kymo_registry *reg, const struct kymo_desc *desc, struct kymo_stateset **states)
{
    struct kymo__family *f;
    if (states == NULL)
        return KYMO_EINVAL;
    *states = NULL;
    int r = one_series(reg, desc, KYMO_STATESET, NULL, &f);
    if (r != 0)
        return r;
    const struct kymo__series *series = kymo__at(reg->segment, f->record->first_series);
    struct kymo__cell *cell = kymo__cell_of(f, series);
    kymo__add_relaxed(&cell->pins, 1);
    (void)kymo__ensure_self(reg, (uint32_t)(series->loc >> KYMO__WORD_BITS)); /* else the slow way serves */
    *states = (struct kymo_stateset *)cell;
    return 0;
}

static void change(struct kymo__cell *cell, enum kymo__op op, uint64_t states)
{
    uint64_t loc, busy;
    struct kymo__entry *entry = kymo__begin(cell, &loc, &busy);
    if (kymo__unlikely(entry == NULL)) {
        struct kymo__record what = {op, states, 0, NULL};
        kymo__record_slow(cell, what);
        return;
    }
    uint64_t *word = &entry->pairs[loc & (KYMO__WORDS - 1)].n;
    if (op == KYMO__STATES_OR)
        kymo__or_relaxed(word, states); /* relaxed: each change is whole, and nothing else belongs to it */
    else if (op == KYMO__STATES_AND)
        kymo__and_relaxed(word, states);
    else
        kymo__store_relaxed(word, states);
    kymo__end(entry->ctl, busy);
}

void kymo_stateset_set(struct kymo_stateset *states, size_t i, int holds)
{
    struct kymo__cell *cell = (struct kymo__cell *)states;
    if (states == NULL || i >= cell->family->desc.n_states)
        return;
    uint64_t bit = (uint64_t)1 << i;
    if (holds)
        change(cell, KYMO__STATES_OR, bit);
    else
        change(cell, KYMO__STATES_AND, ~bit);
}

void kymo_stateset_switch(struct kymo_stateset *states, size_t i)
{
    struct kymo__cell *cell = (struct kymo__cell *)states;
    if (states != NULL && i < cell->family->desc.n_states)
        change(cell, KYMO__STATES_SET, (uint64_t)1 << i);
}
