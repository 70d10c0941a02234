/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/series.c - how a series comes to be: made of its parts, and hung where scrapes and lookups find it.
 *
 * Creating is under the registry's lock and publishes last: list, then table. Whatever can fail comes before. life.c has
 * how series end.
 */
#include <string.h>

#include "core/guard.h"
#include "core/series_parts.h"

/* ---- creating: all of it under the registry's lock ---- */

/* What comes after the list link; repeatable, so that it can be done again for a creator that died in it. */
static void series_account(struct kymo__family *f, struct kymo__series *series)
{
    kymo__table_put(f, series->hash, kymo__ref(f->reg->segment, series));
    kymo__store_release(&f->n_created, f->n_created + 1); /* with kymo__series_get() */
    kymo__store_release(&f->record->pending, 0);
}

/* What is on its way onto the page: who dies in between is completed by kymo__series_recover(). */
static void pending_set(struct kymo__family *f, const struct kymo__series *series)
{
    uint32_t ref = kymo__ref(f->reg->segment, series);
    kymo__store_release(&f->record->pending, (uint64_t)series->hash << 32 | ref);
}

static void cell_set(struct kymo__family *f, const struct kymo__series *series, uint64_t loc)
{
    struct kymo__cell *cell = kymo__cell_of(f, series);
    if (cell->family != f) /* once: who releases a handle late may be reading it */
        cell->family = f;
    /* Release, as the next one: handles of a grave may be in use. With who takes the slow way: the record is complete. */
    kymo__store_release(&cell->series, kymo__ref(f->reg->segment, series));
    /* With kymo__begin(): the slot is ready. */
    kymo__store_release(&cell->loc, kymo__loc_lives(loc) ? kymo__loc_of_process(f->reg, loc) : KYMO__DEAD);
}

static int on_page(uint64_t loc)
{
    return kymo__loc_lives(loc) || kymo__loc_stands_by(loc);
}

/* Hangs a new series where scrapes and lookups find it. Nothing fails here. */
static void series_publish(struct kymo__family *f, struct kymo__series *series)
{
    uint32_t buried = kymo__grave_take(f, series);
    series->ordinal = buried != 0 ? buried - 1 : kymo__ordinal_take(f);
    kymo__idle_forget(f, series->ordinal);
    cell_set(f, series, series->loc);
    pending_set(f, series);
    if (on_page(series->loc)) {
        kymo__series_count(f, 1);
        kymo__series_link(f, series);
    } else {
        f->record->n_asleep++;
    }
    series_account(f, series);
}

/* @bits: of its loc, above the slot; KYMO__RESTING: there is none. */
static struct kymo__series *series_new(struct kymo__family *f, const char *const *values, const struct kymo__key *key,
                                       size_t text_len, uint64_t bits, int *error)
{
    *error = kymo__ordinal_ensure(f);
    if (*error == 0)
        *error = kymo__table_grow(f);
    if (*error != 0)
        return NULL;
    struct kymo__series *series = bits == KYMO__RESTING ? kymo__record_build(f, values, key, text_len, error)
                                                        : kymo__series_build(f, values, key, text_len, error);
    if (series == NULL)
        return NULL;
    series->loc |= bits;
    series_publish(f, series);
    kymo__table_move(f);
    return series;
}

/* In a family of the heaviest it has no slot before it is one of them. */
struct kymo__series *kymo__series_create(struct kymo__family *f, const char *const *values, const struct kymo__key *key,
                                         size_t text_len, int *error)
{
    return series_new(f, values, key, text_len, f->record->top != 0 ? KYMO__RESTING : 0, error);
}

/* A series that sleeps gets a slot again; NULL and *error. Some recorder may be quicker. */
struct kymo__series *kymo__series_revive(struct kymo__family *f, struct kymo__series *series, int *error)
{
    uint64_t asleep = KYMO__ASLEEP;
    *error = 0;
    uint64_t loc = kymo__series_furnish(f, series, series->start_ns, error);
    if (loc == KYMO__DEAD)
        return NULL;
    pending_set(f, series);
    if (kymo__cas_full(&series->loc, &asleep, loc)) {
        f->record->n_asleep--;
        series->generation = f->reg->segment->n_ended;
        kymo__series_count(f, 1);
        kymo__series_link(f, series);
        cell_set(f, series, loc);
        kymo__idle_forget(f, series->ordinal);
    } else {
        kymo__slot_give(f, loc);
        kymo__upkeep_wakers(f);
    }
    series_account(f, series);
    return series;
}

void kymo__series_recover(struct kymo__family *f)
{
    struct kymo__family_record *record = f->record;
    uint64_t pending = record->pending;
    struct kymo__series *last = NULL, *at = NULL, *series = kymo__series_at(f, (uint32_t)pending);
    int listed = 0;
    kymo__table_recover(f);
    for (uint32_t ref = record->first_series; ref != 0; ref = at->next) {
        at = kymo__series_at(f, ref);
        at->prev = last != NULL ? kymo__ref(f->reg->segment, last) : 0;
        listed |= ref == (uint32_t)pending;
        last = at;
    }
    record->last_series = last != NULL ? kymo__ref(f->reg->segment, last) : 0;
    if (pending == 0)
        return;
    int known = kymo__table_has(f, series->hash, (uint32_t)pending);
    if (known && !listed && on_page(series->loc) && !kymo__wakes(f, series)) {
        kymo__series_link(f, series);
        cell_set(f, series, series->loc);
    }
    if (known || listed)
        series_account(f, series);
    else
        record->pending = 0; /* nobody can have seen it: as if it had not been asked for */
}

/* A record that rests gets a slot, into which nobody records yet; NULL and *error. */
static struct kymo__series *series_stand_by(struct kymo__family *f, struct kymo__series *series, int *error)
{
    int64_t now = f->reg->clock.wall_ns(f->reg->clock.ctx);
    uint64_t loc = kymo__series_furnish(f, series, now, error);
    if (loc == KYMO__DEAD)
        return NULL;
    pending_set(f, series);
    series->start_ns = now;
    series->generation = f->reg->segment->n_ended;
    kymo__store_release(&series->loc, KYMO__DEAD_BIT | KYMO__STANDBY_BIT | loc); /* with kymo__read_cell() */
    f->record->n_asleep--;
    kymo__series_count(f, 1);
    kymo__series_link(f, series);
    series_account(f, series);
    return series;
}

struct kymo__series *kymo__series_promise(struct kymo__family *f, const char *const *values,
                                          struct kymo__series *series, int *error)
{
    struct kymo__key key;
    size_t text_len = 0;
    if (series != NULL)
        return series_stand_by(f, series, error);
    *error = kymo__key_read(f, values, &key) ? kymo__values_check(f, values, &text_len) : KYMO_EINVAL;
    if (*error != 0)
        return NULL;
    return series_new(f, values, &key, text_len, KYMO__DEAD_BIT | KYMO__STANDBY_BIT, error);
}

int kymo__series_first(struct kymo__family *f)
{
    struct kymo__key key;
    size_t text_len = 0;
    if (!kymo__key_read(f, f->first, &key))
        return KYMO_EINVAL;
    int error = kymo__values_check(f, f->first, &text_len);
    if (error == 0)
        (void)kymo__series_create(f, f->first, &key, text_len, &error);
    return error;
}

int kymo__series_overflow(struct kymo__family *f)
{
    const char *values[KYMO__MAX_LABELS];
    struct kymo__key key;
    size_t text_len = 0;
    int error = 0;
    for (uint32_t i = 0; i < f->n_labels; i++)
        values[i] = KYMO__OTHER;
    (void)kymo__key_read(f, values, &key);
    error = kymo__values_check(f, values, &text_len);
    if (error == 0)
        error = kymo__ordinal_ensure(f);
    struct kymo__series *series = error == 0 ? kymo__series_build(f, values, &key, text_len, &error) : NULL;
    if (series == NULL)
        return error;
    series->ordinal = kymo__ordinal_take(f);
    cell_set(f, series, series->loc);
    f->spill = kymo__cell_at(f, kymo__ordinal_take(f)); /* of the same block */
    f->spill->family = f;
    f->spill->series = kymo__ref(f->reg->segment, series);
    f->spill->loc = KYMO__DEAD;
    f->record->overflow = f->spill->series;
    return 0;
}
