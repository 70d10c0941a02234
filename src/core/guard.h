/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/guard.h - limits of a family, and what becomes of recordings whose labels have no series that lives.
 *
 * Read core/segment.h and include/kymo/guard.h first. A family with labels has, from its registration on,
 *   an overflow series: its labels all are `__other__`; it stands on the page once something was recorded into it;
 *   a counter of what was dropped into it: a slot of its own, that no page shows as a series;
 *   with KYMO_GUARD_TOP, what top.h has to say.
 * So a recorder that finds no series of its own, or a dead one, always has somewhere to go without a lock.
 *
 * allow.c keeps lists of values; distinct.c estimates how many different values a label had; top.c finds the heaviest;
 * guard.c decides (recorders) and is read and set (hosts); life.c ends series; upkeep.c does what time brings.
 */
#ifndef KYMO__GUARD_H
#define KYMO__GUARD_H

#include "core/core.h"

#define KYMO__OTHER "__other__"
#define KYMO__SERIES_DEFAULT 2000u   /* guard.max_series */
#define KYMO__TOP_DEFAULT 100u       /* with KYMO_GUARD_TOP */
#define KYMO__VALUE_DEFAULT 1024u    /* guard.max_value_bytes */
#define KYMO__LINGER_DEFAULT 300000u /* guard.linger_ms */
#define KYMO__BUDGET_DEFAULT 10000u  /* kymo_registry_options.max_series */

/* ---- desc.c, family_build.c ---- */

/** kymo__guard_check() - whether a guard will do for a family: 0 or KYMO_EGUARD, KYMO_EUNBOUNDED. NULL is a guard. */
int kymo__guard_check(const struct kymo_desc *desc, enum kymo_kind kind, const char **culprit);
/** kymo__guard_fill() - the guard with its defaults in place of zeros; from may be NULL */
struct kymo_guard kymo__guard_fill(const struct kymo_guard *from);

/* ---- allow.c: lists of values that labels may have ---- */

/**
 * kymo__allow_set() - the values that label @i of the family may have; n = 0: any
 * Under the registry's lock, after kymo__family_build(). What it replaces is freed once nobody can be reading it.
 * KYMO_EUTF8, KYMO_ENOMEM: nothing was changed.
 */
int kymo__allow_set(struct kymo__family *f, uint32_t i, const char *const *values, size_t n);
/** kymo__allow_has() - whether a value may stand: on its label's list if there is one, and not too long. Lock-free. */
int kymo__allow_has(const struct kymo__family *f, uint32_t i, const char *value);
/** kymo__allow_free() - at the family's end. */
void kymo__allow_free(struct kymo_registry *reg, struct kymo__family *f);
/** kymo__allow_values() - the list of a label, *n of them; NULL: any value. Registry's lock. */
const char *const *kymo__allow_values(const struct kymo__family *f, uint32_t i, size_t *n);

/* ---- guard.c ---- */

/** kymo__guard_new() - what a family with labels has from its registration on. Registry's lock. */
int kymo__guard_new(struct kymo__family *f);
/** kymo__guard_full() - whether a new series has no place. Any thread. */
static inline int kymo__guard_full(const struct kymo__family *f)
{
    const struct kymo__segment *s = f->reg->segment; /* relaxed: limits that are reached about now */
    uint64_t mine = (uint64_t)kymo__load_relaxed(&f->record->n_series) + kymo__load_relaxed(&f->record->n_woken);
    uint64_t all = (uint64_t)kymo__load_relaxed(&s->n_guarded) + kymo__load_relaxed(&s->n_woken);
    return f->guarded && (mine >= kymo__load_relaxed(&f->record->limit) || all >= kymo__load_relaxed(&s->budget));
}
/** kymo__guard_map() - label values as they may stand, in @to; 1 if one had to become `__other__`. Lock-free. */
int kymo__guard_map(const struct kymo__family *f, const char *const *values, const char **to);
/** kymo__guard_overflowed() - something goes to the overflow series: it belongs on the page. Any thread. */
static inline void kymo__guard_overflowed(struct kymo__family *f)
{
    if (!kymo__load_relaxed(&f->record->overflowed))
        kymo__store_relaxed(&f->record->overflowed, 1); /* a hint for kymo__upkeep_overflow() */
}
/** kymo__guard_spills() - whether a handle leads to the overflow series for want of a series of its own. */
static inline int kymo__guard_spills(const struct kymo__cell *cell)
{
    const struct kymo__family *f = cell->family;
    return f->guarded && kymo__load_relaxed(&cell->series) == f->record->overflow &&
           !kymo__loc_lives(kymo__load_relaxed(&cell->loc)); /* the overflow series' own cell does */
}
/** kymo__guard_refused() - a label set had no place: takes account of its values. Registry's lock. */
void kymo__guard_refused(struct kymo__family *f, const char *const *values);
/** kymo__guard_dropped() - a recording goes to the overflow series for want of a place. In flight. */
void kymo__guard_dropped(struct kymo__family *f);
/**
 * kymo__guard_home() - where a recording goes that found a series, living or not
 * @series: in and out: the overflow series may take its place
 * @weight: of the recording, for families of the heaviest
 * Returns a loc that lives, or KYMO__DEAD: the family has ended, or (found by labels) it has to be created. By who is in
 * flight, or busy. Lock-free.
 */
uint64_t kymo__guard_home(struct kymo__family *f, struct kymo__series **series, double weight, int by_handle);
/* What of its own memory a recorder needs to go on without atomic instructions. */
enum kymo__need { KYMO__NEED_NOTHING, KYMO__NEED_ENTRY, KYMO__NEED_FRACTIONS };
/**
 * kymo__guard_miss() - where a recording by labels goes that found no series
 * @need: KYMO__NEED_NOTHING: the caller is in flight. Else it is busy, and what there is not is no place for it
 * A series, and its recording is counted as it has to be; or NULL: go the slow way, its labels have to be created, or
 * refused. Lock-free.
 */
struct kymo__series *kymo__guard_miss(struct kymo__family *f, const char *const *values, double weight,
                                      enum kymo__need need);
/** kymo__guard_distinct() - the registers of a label's values, or NULL: nothing was refused yet. */
uint8_t *kymo__guard_distinct(const struct kymo__family *f, uint32_t label);
/** kymo__guard_dropped_count() - how many recordings and handles found no place. */
uint64_t kymo__guard_dropped_count(const struct kymo__family *f);
/** kymo__family_guarded() - the family of this name; NULL and KYMO_ENOENT, KYMO_EGUARD. Registry's lock. */
struct kymo__family *kymo__family_guarded(struct kymo_registry *reg, const char *name, int *error);
/** kymo__wakes() - whether a series is on its way back to life by a recorder. Registry's lock. */
int kymo__wakes(const struct kymo__family *f, const struct kymo__series *series);

/* ---- upkeep.c ---- */

/** kymo__idle_changed() - whether a series is not as it was when it was last seen to change; takes note if so. */
int kymo__idle_changed(struct kymo__family *f, const struct kymo__series *series, uint64_t loc);
/** kymo__idle_forget() - an ordinal's next series has not been seen yet. */
void kymo__idle_forget(struct kymo__family *f, uint32_t ordinal);
void kymo__idle_free(struct kymo__family *f);

/* ---- remove.c ---- */

/** kymo__series_barred() - whether a series has a value that may not stand. Registry's lock. */
int kymo__series_barred(const struct kymo__family *f, const struct kymo__series *series);

/* ---- grave.c: under the registry's lock ---- */

/** kymo__grave_dig() - from now on the cell of a series that ended leads to the overflow series. */
void kymo__grave_dig(struct kymo__family *f, const struct kymo__series *series);
/** kymo__grave_take() - the cell that a new series' labels had before, no grave any more: its ordinal + 1, or 0. */
uint32_t kymo__grave_take(struct kymo__family *f, const struct kymo__series *series);
/** kymo__grave_close() - the last handle was released. */
void kymo__grave_close(struct kymo__family *f, struct kymo__cell *cell);
void kymo__graves_free(struct kymo__family *f);

#endif
