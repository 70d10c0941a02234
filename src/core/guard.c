/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/guard.c - where recordings go whose labels have no living series; what a guard says, read and set.
 *
 * The first half runs in recording calls: no lock, no allocation, no clock. Read core/guard.h first.
 */
#include "core/guard.h"

#include <string.h>

#include "base/utf8.h"
#include "core/distinct.h"
#include "core/table.h"
#include "core/top.h"

#define NO_DISTINCT 1u /* record->distinct: there was no memory for it */

static struct kymo__series *overflow_of(const struct kymo__family *f)
{
    return kymo__series_at(f, f->record->overflow);
}

/* ---- counting what is dropped ---- */

/* Adds 1 to the counter of what was dropped; in words of the thread's own if it is busy and has some. */
static void count_dropped(struct kymo__family *f, int own)
{
    struct kymo_registry *reg = f->reg;
    uint64_t loc = f->record->dropped, column = loc >> KYMO__WORD_BITS;
    uint32_t at = kymo__load_acquire(&reg->columns)[column]; /* with kymo__columns_publish() */
    struct kymo__entry *entry = own ? kymo__entry_of(at) : NULL;
    if (entry != NULL && kymo__load_acquire(&entry->ctl) != NULL) { /* with entry_add_chunk() */
        kymo__add_word(&entry->words[loc & (KYMO__WORDS - 1)], 1);
        return;
    }
    kymo__add_relaxed(&kymo__pairs_at(reg->segment, loc)->n, 1); /* a count, read on its own */
    if (own)
        kymo__want(reg, at, (uint32_t)column, 1);
}

void kymo__guard_dropped(struct kymo__family *f)
{
    kymo__guard_overflowed(f);
    count_dropped(f, 0);
}

static void count_values(const struct kymo__family *f, const uint64_t *hashes)
{
    uint8_t *registers = kymo__at(f->reg->segment, f->record->distinct);
    for (uint32_t i = 0; i < f->n_labels; i++, registers += KYMO__DISTINCT_BYTES)
        kymo__distinct_add(registers, hashes[i]);
}

void kymo__guard_refused(struct kymo__family *f, const char *const *values)
{
    struct kymo__family_record *record = f->record;
    uint64_t hashes[KYMO__MAX_LABELS];
    int error;
    if (record->distinct == 0) {
        uint32_t ref = kymo__segment_alloc(f->reg->segment, (size_t)f->n_labels * KYMO__DISTINCT_BYTES, &error);
        kymo__store_release(&record->distinct, ref != 0 ? ref : NO_DISTINCT); /* with kymo__guard_miss() */
        kymo__log(f->reg, KYMO_LOG_WARNING,
                  "metric %.255s: no more series of their own than %u, or %u in the registry: what else comes goes "
                  "to " KYMO__OTHER "; kymo_label_distinct_values shows which label has so many values",
                  f->info.name, record->limit, f->reg->segment->budget);
    }
    for (uint32_t i = 0; i < f->n_labels; i++)
        hashes[i] = kymo__distinct_hash(values[i], f->reg->seed);
    if (record->distinct != NO_DISTINCT)
        count_values(f, hashes);
}

uint8_t *kymo__guard_distinct(const struct kymo__family *f, uint32_t label)
{
    uint32_t ref = kymo__load_acquire(&f->record->distinct); /* with kymo__guard_refused() */
    if (ref == 0 || ref == NO_DISTINCT)
        return NULL;
    return (uint8_t *)kymo__at(f->reg->segment, ref) + (size_t)label * KYMO__DISTINCT_BYTES;
}

/* ---- finding a place ---- */

int kymo__guard_map(const struct kymo__family *f, const char *const *values, const char **to)
{
    int changed = 0;
    for (uint32_t i = 0; i < f->n_labels; i++) {
        int stays = kymo__allow_has(f, i, values[i]);
        to[i] = stays ? values[i] : KYMO__OTHER;
        changed |= !stays;
    }
    return changed;
}

static struct kymo__waking *places_of(const struct kymo__family *f, uint32_t *n)
{
    uint32_t ref = kymo__load_acquire(&f->record->waking); /* with places_new() in upkeep.c */
    *n = ref != 0 ? f->record->n_waking : 0;
    return kymo__at(f->reg->segment, ref);
}

/* A series that sleeps takes a ready slot; its loc if it lives now, whoever woke it, or KYMO__DEAD. */
static uint64_t wake(struct kymo__family *f, struct kymo__series *series)
{
    uint32_t n, ref = kymo__ref(f->reg->segment, series);
    struct kymo__waking *places = places_of(f, &n);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t nobody = 0;
        if (kymo__load_relaxed(&places[i].slot) == 0 || !kymo__cas_full(&places[i].series, &nobody, ref))
            continue;
        uint64_t slot = kymo__load_acquire(&places[i].slot), loc = KYMO__ASLEEP; /* with kymo__upkeep_wakers() */
        if (slot != 0 && kymo__cas_full(&series->loc, &loc, slot - 1)) {
            kymo__add_relaxed(&f->record->n_woken, 1); /* counts, read on their own */
            kymo__add_relaxed(&f->reg->segment->n_woken, 1);
            return slot - 1;
        }
        kymo__store_release(&places[i].series, 0); /* with whoever claims it next */
        if (loc != KYMO__ASLEEP)
            return kymo__loc_lives(loc) ? loc : KYMO__DEAD;
    }
    return KYMO__DEAD;
}

int kymo__wakes(const struct kymo__family *f, const struct kymo__series *series)
{
    uint32_t n, ref = kymo__ref(f->reg->segment, series);
    const struct kymo__waking *places = places_of(f, &n);
    for (uint32_t i = 0; i < n; i++)
        if (places[i].series == ref && places[i].slot == series->loc + 1)
            return 1;
    return 0;
}

static uint64_t to_overflow(struct kymo__family *f, struct kymo__series **series)
{
    *series = overflow_of(f);
    kymo__guard_overflowed(f);
    return kymo__load_relaxed(&(*series)->loc);
}

/* Not living, not expiring. */
static uint64_t home_of_dead(struct kymo__family *f, struct kymo__series **series, uint64_t loc, double weight,
                             int by_handle)
{
    if (f->record->top != 0 && loc != KYMO__DEAD) {
        kymo__top_rest(f, *series, weight);
        return to_overflow(f, series);
    }
    if (loc == KYMO__ASLEEP) {
        uint64_t woken = kymo__guard_full(f) ? KYMO__DEAD : wake(f, *series);
        return woken != KYMO__DEAD || !by_handle ? woken : to_overflow(f, series);
    }
    return by_handle && f->guarded ? to_overflow(f, series) : KYMO__DEAD;
}

uint64_t kymo__guard_home(struct kymo__family *f, struct kymo__series **series, double weight, int by_handle)
{
    uint64_t loc = kymo__load_acquire(&(*series)->loc); /* with begin() in top_members.c, wake(): its column is there */
    if (kymo__loc_lives(loc))
        return loc;
    if (kymo__load_relaxed(&f->dead))
        return KYMO__DEAD;
    if (kymo__loc_expires(loc) && kymo__cas_full(&(*series)->loc, &loc, loc & KYMO__SLOT_MASK))
        return loc & KYMO__SLOT_MASK;
    return kymo__loc_lives(loc) ? loc : home_of_dead(f, series, loc, weight, by_handle);
}

/* What a look at label values says. */
enum look { CANNOT_STAND, MAY_STAND, SOME_OTHERS };

/*
 * One look at each value: what could not become label text is for the slow way to refuse; what may not stand as it is, is
 * another series' recording. The hashes are for whoever counts values.
 */
static enum look look_at(const struct kymo__family *f, const char *const *values, uint64_t *hashes)
{
    size_t total = 0, max = kymo__load_relaxed(&f->guard.max_value_bytes); /* it may change: either will do */
    int others = kymo__load_relaxed(&f->allow) != NULL;
    for (uint32_t i = 0; i < f->n_labels; i++) {
        uint32_t n;
        uint64_t all = 0;
        if (values[i] == NULL)
            return CANNOT_STAND;
        hashes[i] = kymo__distinct_hash_n(values[i], f->reg->seed, &n, &all);
        total += n;
        int ascii = (all & 0x8080808080808080u) == 0;
        if (kymo__unlikely(total > KYMO__MAX_TEXT || (!ascii && !kymo__utf8_valid(values[i], n))))
            return CANNOT_STAND;
        others |= n > max;
    }
    return others ? SOME_OTHERS : MAY_STAND;
}

/* Labels of which some value may not stand as it is: the series of what may. */
static struct kymo__series *find_mapped(struct kymo__family *f, const char *const *values)
{
    const char *to[KYMO__MAX_LABELS];
    return kymo__guard_map(f, values, to) ? kymo__series_find(f, to) : NULL;
}

/* Whether the thread can record there without atomic instructions. */
static int has_need(const struct kymo__family *f, const struct kymo__series *series, enum kymo__need need)
{
    uint64_t loc = kymo__load_acquire(&series->loc); /* as kymo__guard_home() does */
    if (need == KYMO__NEED_NOTHING)
        return 1;
    if (!kymo__loc_lives(loc))
        return 0;
    const struct kymo__entry *entry = kymo__entry_of(kymo__load_acquire(&f->reg->columns)[loc >> KYMO__WORD_BITS]);
    return entry != NULL && kymo__load_acquire(&entry->ctl) != NULL &&
           (need == KYMO__NEED_ENTRY || kymo__load_relaxed(&entry->fractions) != NULL);
}

/* It is as it should be, and has no place: the overflow series has, once what values there were can be counted. */
static struct kymo__series *spill(struct kymo__family *f, const uint64_t *hashes, enum kymo__need need)
{
    uint32_t distinct = kymo__load_acquire(&f->record->distinct); /* with kymo__guard_refused() */
    struct kymo__series *series = overflow_of(f);
    if (distinct == 0 || !kymo__guard_full(f) || !has_need(f, series, need))
        return NULL;
    if (distinct != NO_DISTINCT)
        count_values(f, hashes);
    count_dropped(f, need != KYMO__NEED_NOTHING);
    kymo__guard_overflowed(f);
    return series;
}

struct kymo__series *kymo__guard_miss(struct kymo__family *f, const char *const *values, double weight,
                                      enum kymo__need need)
{
    uint64_t hashes[KYMO__MAX_LABELS];
    if (!f->guarded || kymo__load_relaxed(&f->dead))
        return NULL;
    enum look look = look_at(f, values, hashes);
    if (look == CANNOT_STAND)
        return NULL;
    struct kymo__series *mapped = look == SOME_OTHERS ? find_mapped(f, values) : NULL;
    if (mapped != NULL)
        return has_need(f, mapped, need) ? mapped : NULL;
    if (f->record->top != 0) {
        struct kymo__series *rest = overflow_of(f);
        if (!has_need(f, rest, need))
            return NULL;
        kymo__top_rest_labels(f, values, weight);
        kymo__guard_overflowed(f);
        return rest;
    }
    return spill(f, hashes, need);
}

/* ---- what a family has from the start ---- */

static uint64_t dropped_new(struct kymo__family *f, int *error)
{
    struct kymo_registry *reg = f->reg;
    uint64_t loc = kymo__slot_new(reg->segment, KYMO__SINGLE, 1, error);
    if (loc == KYMO__DEAD || (*error = kymo__columns_publish(reg)) == 0)
        return loc;
    kymo__slot_undo(reg->segment, loc, 1);
    return KYMO__DEAD;
}

int kymo__guard_new(struct kymo__family *f)
{
    int error = 0;
    uint64_t dropped = kymo__life_prepare(f->reg) == 0 ? dropped_new(f, &error) : KYMO__DEAD;
    if (dropped == KYMO__DEAD)
        return error != 0 ? error : KYMO_ENOMEM;
    f->record->dropped = dropped;
    f->record->limit = f->guard.policy == KYMO_GUARD_TOP ? UINT32_MAX : f->guard.max_series;
    error = kymo__series_overflow(f);
    if (error == 0 && f->guard.policy == KYMO_GUARD_TOP)
        error = kymo__top_new(f);
    if (error != 0)
        kymo__slot_undo(f->reg->segment, dropped, 1);
    return error;
}

uint64_t kymo__guard_dropped_count(const struct kymo__family *f)
{
    struct kymo__sum sum;
    kymo__sum_shards(f->reg->segment, f->record->dropped, &sum);
    return sum.whole + kymo__load_relaxed(&kymo__pairs_at(f->reg->segment, f->record->dropped)->n);
}

/* ---- read and set ---- */

struct kymo__family *kymo__family_guarded(struct kymo_registry *reg, const char *name, int *error)
{
    for (struct kymo__family *f = reg->first_family; f != NULL; f = f->next) {
        if (!f->dead && strcmp(f->info.name, name) == 0) {
            *error = f->guarded ? 0 : KYMO_EGUARD;
            return f->guarded ? f : NULL;
        }
    }
    *error = KYMO_ENOENT;
    return NULL;
}

int kymo_registry_get_guard(struct kymo_registry *reg, const char *family, struct kymo_guard *guard)
{
    int r;
    if (reg == NULL || family == NULL || guard == NULL)
        return KYMO_EINVAL;
    kymo__enter();
    pthread_mutex_lock(&reg->lock);
    const struct kymo__family *f = kymo__family_guarded(reg, family, &r);
    if (f != NULL)
        *guard = f->guard;
    pthread_mutex_unlock(&reg->lock);
    return r;
}

static int guard_apply(struct kymo__family *f, const struct kymo_guard *guard)
{
    struct kymo_desc desc = f->desc;
    const char *culprit;
    desc.guard = guard;
    int r = kymo__guard_check(&desc, f->info.kind, &culprit);
    if (r == 0 && (guard->policy == KYMO_GUARD_TOP) != (f->guard.policy == KYMO_GUARD_TOP))
        r = KYMO_EGUARD;
    if (r != 0)
        return r;
    struct kymo_guard filled = kymo__guard_fill(guard);
    f->guard.policy = filled.policy;
    f->guard.after_end = filled.after_end;
    f->guard.max_series = filled.max_series;
    f->guard.linger_ms = filled.linger_ms;
    f->guard.touch = filled.touch;
    f->guard.idle_ns = filled.idle_ns;
    kymo__store_relaxed(&f->guard.max_value_bytes, filled.max_value_bytes); /* recorders read it: kymo__allow_has() */
    if (f->record->top == 0)
        kymo__store_relaxed(&f->record->limit, f->guard.max_series); /* a recorder may see it a little later */
    kymo__store_relaxed(&f->plain_set, f->class == KYMO__SHARED && !f->guard.touch);
    return 0;
}

int kymo_registry_set_guard(struct kymo_registry *reg, const char *family, const struct kymo_guard *guard)
{
    int r;
    if (reg == NULL || family == NULL || guard == NULL)
        return KYMO_EINVAL;
    kymo__enter();
    pthread_mutex_lock(&reg->lock);
    struct kymo__family *f = kymo__family_guarded(reg, family, &r);
    if (f != NULL)
        r = guard_apply(f, guard);
    pthread_mutex_unlock(&reg->lock);
    return r;
}

int kymo_registry_set_max_series(struct kymo_registry *reg, size_t n)
{
    if (reg == NULL)
        return KYMO_EINVAL;
    kymo__enter();
    pthread_mutex_lock(&reg->lock);
    uint32_t budget = n == 0 ? KYMO__BUDGET_DEFAULT : n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
    kymo__store_relaxed(&reg->segment->budget, budget); /* a recorder may see it a little later */
    reg->max_series = budget;
    pthread_mutex_unlock(&reg->lock);
    return 0;
}
