/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/series_get.c - finding the series with some labels, and else creating it, waking it, or saying that there is no
 * place for it: then the overflow series stands for it.
 */
#include <string.h>

#include "core/guard.h"
#include "core/series_parts.h"

/* ---- finding, and else creating ---- */

/* Whether a handle may be given out for what a loc says without the registry's lock. */
static int may_pin(uint64_t loc)
{
    return kymo__loc_lives(loc) || loc == KYMO__RESTING || kymo__loc_stands_by(loc);
}

/* @known: whether there is one at all. */
static struct kymo__series *find_in_flight(struct kymo__family *f, const char *const *values, struct kymo__key *key,
                                           struct kymo__cell **pinned, int *known)
{
    int64_t *counter = kymo__in_flight_enter(f->reg->segment);
    struct kymo__series *series = kymo__table_find(f, values, key);
    *known = series != NULL;
    if (series != NULL && !may_pin(kymo__load_relaxed(&series->loc)))
        series = NULL;
    if (series != NULL && pinned != NULL) {
        *pinned = kymo__cell_of(f, series);
        kymo__add_full(&(*pinned)->pins, 1); /* before the second look; with still_pinned() in life.c */
        if (!may_pin(kymo__load_relaxed(&series->loc))) {
            kymo__add_full(&(*pinned)->pins, (uint32_t)-1);
            series = NULL;
        }
    }
    kymo__in_flight_leave(counter);
    return series;
}

static int all_other(const struct kymo__family *f, const char *const *values)
{
    uint32_t i = 0;
    if (values[0][0] != KYMO__OTHER[0])
        return 0;
    while (i < f->n_labels && strcmp(values[i], KYMO__OTHER) == 0)
        i++;
    return i == f->n_labels;
}

/* What somebody asks for. */
struct request {
    const char *const *asked;
    const char *const *values; /* what may stand of it */
    struct kymo__key key;
    size_t text_len;
};

/* Under the registry's lock. @series: what is there, or NULL. NULL: there is no place for it. */
static struct kymo__series *get_locked(struct kymo__family *f, const struct request *r, struct kymo__series *series,
                                       int *error)
{
    uint64_t loc = series != NULL ? kymo__load_relaxed(&series->loc) : KYMO__DEAD;
    if (f->guarded && all_other(f, r->values)) {
        kymo__guard_overflowed(f);
        return kymo__series_at(f, f->record->overflow);
    }
    if (kymo__loc_expires(loc) && kymo__cas_full(&series->loc, &loc, loc & KYMO__SLOT_MASK))
        return series;
    if (may_pin(loc))
        return series;
    *error = KYMO_ELIMIT;
    if (kymo__guard_full(f)) {
        if (series != NULL)
            kymo__life_discard(f, series); /* should its last handle have been released while it fell asleep */
        return NULL;
    }
    return series != NULL ? kymo__series_revive(f, series, error)
                          : kymo__series_create(f, r->values, &r->key, r->text_len, error);
}

/* Values that may not stand become others; 1 if there were any. */
static int request_map(const struct kymo__family *f, struct request *r, const char **room)
{
    int look = f->guarded && f->allow != NULL;
    for (uint32_t i = 0; f->guarded && i < f->n_labels; i++)
        look |= r->key.len[i] > f->guard.max_value_bytes;
    if (!look || !kymo__guard_map(f, r->asked, room))
        return 0;
    r->values = room;
    (void)kymo__key_read(f, room, &r->key);
    (void)kymo__values_check(f, room, &r->text_len);
    return 1;
}

/* The registry's lock is held: the series, or the overflow series in its place, with its cell. */
static struct kymo__series *find_place(struct kymo__family *f, struct request *r, int look, struct kymo__cell **pinned,
                                       int *error)
{
    struct kymo__series *series = look ? kymo__table_find(f, r->values, &r->key) : NULL;
    struct kymo__cell *cell = f->spill;
    series = get_locked(f, r, series, error);
    if (series != NULL) {
        cell = kymo__cell_of(f, series);
    } else if (f->guarded) {
        kymo__guard_refused(f, r->asked);
        series = kymo__series_at(f, f->record->overflow);
    }
    if (series != NULL && pinned != NULL) {
        kymo__add_full(&cell->pins, 1);
        *pinned = cell;
    }
    return series;
}

struct kymo__series *kymo__series_get(struct kymo__family *f, const char *const *values, size_t n,
                                      struct kymo__cell **pinned, int *error)
{
    struct kymo_registry *reg = f->reg;
    const char *room[KYMO__MAX_LABELS];
    struct request request;
    int known;
    *error = KYMO_EINVAL;
    if (n != f->n_labels || (n != 0 && values == NULL) || !kymo__key_read(f, values, &request.key))
        return NULL;
    request.asked = request.values = values;
    kymo__enter();
    uint32_t seen = kymo__load_acquire(&f->n_created); /* with series_account() */
    struct kymo__series *series = find_in_flight(f, values, &request.key, pinned, &known);
    *error = 0;
    if (series != NULL || (*error = kymo__values_check(f, values, &request.text_len)) != 0)
        return series;
    pthread_mutex_lock(&reg->lock);
    int look = request_map(f, &request, room) || known || f->n_created != seen; /* else it cannot be there */
    *error = f->dead ? KYMO_ENOENT : 0;
    if (*error == 0)
        series = find_place(f, &request, look, pinned, error);
    pthread_mutex_unlock(&reg->lock);
    return series;
}
