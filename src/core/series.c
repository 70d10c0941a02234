/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/series.c - how a series comes to be: its cell in this process, its record, its place in list and table.
 *
 * Creating is under the registry's lock and publishes last: list, then table. Whatever can fail comes before. Where
 * there is no place for a series, the overflow series stands for it; life.c has how series end.
 */
#include <string.h>

#include "base/escape.h"
#include "base/utf8.h"
#include "core/exemplar.h"
#include "core/guard.h"
#include "core/native.h"
#include "core/table.h"

/* ---- cells ---- */

struct kymo__cell *kymo__cell_at(const struct kymo__family *f, uint32_t ordinal)
{
    struct kymo__cell **blocks = kymo__load_acquire(&f->cells); /* with cell_ensure() */
    return &blocks[ordinal / KYMO__CELLS][ordinal % KYMO__CELLS];
}

struct kymo__cell *kymo__cell_of(const struct kymo__family *f, const struct kymo__series *series)
{
    return kymo__cell_at(f, series->ordinal);
}

/* Makes sure that the cell of an ordinal exists. */
static int cell_ensure(struct kymo__family *f, uint32_t ordinal)
{
    uint32_t block = ordinal / KYMO__CELLS;
    if (block >= f->n_cell_blocks) {
        uint32_t n = f->n_cell_blocks ? f->n_cell_blocks * 2 : 1;
        struct kymo__cell **larger = kymo__kept_alloc(f->reg, &f->kept, n * sizeof(struct kymo__cell *));
        if (larger == NULL)
            return KYMO_ENOMEM;
        if (f->n_cell_blocks != 0)
            memcpy(larger, f->cells, f->n_cell_blocks * sizeof(struct kymo__cell *));
        kymo__store_release(&f->cells, larger); /* with kymo__cell_at() */
        f->n_cell_blocks = n;
    }
    if (f->cells[block] == NULL)
        f->cells[block] =
            kymo__kept_alloc(f->reg, &f->kept, (f->n_labels ? KYMO__CELLS : 1) * sizeof(struct kymo__cell));
    return f->cells[block] != NULL ? 0 : KYMO_ENOMEM;
}

/* An ordinal whose cell is there and nobody's, after ordinal_ensure(). */
static uint32_t ordinal_take(struct kymo__family *f)
{
    uint32_t ordinal = f->free_ordinal != 0 ? f->free_ordinal - 1 : f->n_ordinals;
    if (f->free_ordinal != 0)
        f->free_ordinal = kymo__cell_at(f, ordinal)->series;
    else
        f->n_ordinals++;
    return ordinal;
}

static int ordinal_ensure(struct kymo__family *f)
{
    return f->free_ordinal != 0 ? 0 : cell_ensure(f, f->n_ordinals);
}

void kymo__cell_free(struct kymo__family *f, uint32_t ordinal)
{
    struct kymo__cell *cell = kymo__cell_at(f, ordinal);
    kymo__store_relaxed(&cell->loc, KYMO__NOBODY);
    kymo__store_relaxed(&cell->print, 0);
    kymo__store_relaxed(&cell->series, f->free_ordinal);
    f->free_ordinal = ordinal + 1;
}

/* ---- records ---- */

/* With exemplars, the ref of their block lies behind the text. */
static size_t record_bytes(const struct kymo__family *f, size_t text_len)
{
    if (f->exemplar_limit != 0)
        return kymo__exemplars_ref_at(text_len) + 8;
    return sizeof(struct kymo__series) + text_len + KYMO__SERIES_SLACK;
}

void kymo__record_free(struct kymo__family *f, struct kymo__series *series)
{
    struct kymo__segment *s = f->reg->segment;
    kymo__segment_give(s, kymo__ref(s, series), record_bytes(f, series->text_len));
}

/* As kymo__label_pairs(), which has to look at each name to know whether it needs quotes. */
static void put_pairs(const struct kymo__family *f, char *to, const char *const *values)
{
    if (f->info.utf8) {
        kymo__label_pairs(to, f->desc.labels, values, f->n_labels);
        return;
    }
    for (uint32_t i = 0; i < f->n_labels; i++) {
        if (i > 0)
            *to++ = ',';
        memcpy(to, f->desc.labels[i], f->label_len[i]);
        to += f->label_len[i];
        *to++ = '=';
        *to++ = '"';
        to = kymo__escape_label(to, values[i], strlen(values[i]));
        *to++ = '"';
    }
}

/* What a series is called, without a slot; NULL and *error. */
static struct kymo__series *record_build(struct kymo__family *f, const char *const *values, const struct kymo__key *key,
                                         size_t text_len, int *error)
{
    struct kymo__segment *s = f->reg->segment;
    uint32_t ref = kymo__segment_alloc(s, record_bytes(f, text_len), error);
    if (ref == 0)
        return NULL;
    struct kymo__series *series = kymo__at(s, ref);
    put_pairs(f, series->text, values);
    series->text_len = (uint32_t)text_len & 0xffffff; /* KYMO__MAX_TEXT bounds it */
    series->flags = text_len != key->text_len ? KYMO__SERIES_ESCAPED : 0;
    series->hash = key->hash;
    series->generation = s->n_ended;
    return series;
}

/* Slot and exemplars for a record that has none; KYMO__DEAD and *error. */
static uint64_t furnish(struct kymo__family *f, struct kymo__series *series, int64_t now, int *error)
{
    uint32_t block = f->exemplar_limit != 0 ? kymo__exemplars_new(f, error) : 0;
    if (block == 0 && f->exemplar_limit != 0)
        return KYMO__DEAD;
    uint64_t loc = kymo__slot_take(f, now, error);
    if (loc == KYMO__DEAD && block != 0)
        kymo__exemplars_give(f->reg->segment, block);
    if (loc != KYMO__DEAD && block != 0)
        kymo__exemplars_attach(series, block);
    return loc;
}

static struct kymo__series *series_build(struct kymo__family *f, const char *const *values, const struct kymo__key *key,
                                         size_t text_len, int *error)
{
    int64_t now = f->reg->clock.wall_ns(f->reg->clock.ctx);
    struct kymo__series *series = record_build(f, values, key, text_len, error);
    if (series == NULL)
        return NULL;
    uint64_t loc = furnish(f, series, now, error);
    if (loc == KYMO__DEAD) {
        kymo__record_free(f, series);
        return NULL;
    }
    series->loc = loc;
    series->start_ns = now;
    return series;
}

/* ---- list ---- */

static struct kymo__series *series_at(const struct kymo__family *f, uint32_t ref)
{
    return kymo__at(f->reg->segment, ref);
}

int kymo__series_listed(const struct kymo__family *f, const struct kymo__series *series)
{
    uint32_t ref = kymo__ref(f->reg->segment, series);
    return series->prev != 0 ? series_at(f, series->prev)->next == ref : f->record->first_series == ref;
}

void kymo__series_link(struct kymo__family *f, struct kymo__series *series)
{
    struct kymo__family_record *record = f->record;
    uint32_t ref = kymo__ref(f->reg->segment, series);
    uint32_t last = record->last_series != 0 ? record->last_series : record->first_series;
    while (last != 0 && series_at(f, last)->next != 0) /* a creator that died may have left the hint behind */
        last = series_at(f, last)->next;
    series->next = 0;
    series->prev = last;
    kymo__store_release(last != 0 ? &series_at(f, last)->next : &record->first_series, ref);
    record->last_series = ref;
}

/* Walks that would have come to it next, or at last, come to its neighbours instead. */
static void walks_pass(struct kymo__family *f, const struct kymo__series *series)
{
    uint32_t ref = kymo__ref(f->reg->segment, series);
    for (struct kymo__walk *w = f->reg->walks; w != NULL; w = w->next) {
        if (w->family != f)
            continue;
        if (w->series == ref)
            w->series = w->series_last == ref ? 0 : series->next;
        if (w->series_last == ref)
            w->series_last = series->prev;
    }
}

void kymo__series_unlink(struct kymo__family *f, struct kymo__series *series)
{
    struct kymo__family_record *record = f->record;
    uint32_t next = series->next, prev = series->prev;
    walks_pass(f, series);
    kymo__store_release(prev != 0 ? &series_at(f, prev)->next : &record->first_series, next);
    if (next != 0)
        series_at(f, next)->prev = prev;
    if (record->last_series == kymo__ref(f->reg->segment, series))
        record->last_series = prev;
    series->next = series->prev = 0;
}

void kymo__series_count(struct kymo__family *f, int by)
{
    kymo__add_relaxed(&f->record->n_series, (uint32_t)by); /* counts, read on their own */
    kymo__add_relaxed(&f->reg->segment->n_series, (uint32_t)by);
    if (f->guarded)
        kymo__add_relaxed(&f->reg->segment->n_guarded, (uint32_t)by);
}

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
    kymo__store_relaxed(&cell->series, kymo__ref(f->reg->segment, series));
    kymo__store_relaxed(&cell->print, 0);
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
    series->ordinal = buried != 0 ? buried - 1 : ordinal_take(f);
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
    *error = ordinal_ensure(f);
    if (*error == 0)
        *error = kymo__table_grow(f);
    if (*error != 0)
        return NULL;
    struct kymo__series *series = bits == KYMO__RESTING ? record_build(f, values, key, text_len, error)
                                                        : series_build(f, values, key, text_len, error);
    if (series == NULL)
        return NULL;
    series->loc |= bits;
    series_publish(f, series);
    kymo__table_move(f);
    return series;
}

/* In a family of the heaviest it has no slot before it is one of them. */
static struct kymo__series *series_create(struct kymo__family *f, const char *const *values,
                                          const struct kymo__key *key, size_t text_len, int *error)
{
    return series_new(f, values, key, text_len, f->record->top != 0 ? KYMO__RESTING : 0, error);
}

/* A series that sleeps gets a slot again; NULL and *error. Some recorder may be quicker. */
static struct kymo__series *series_revive(struct kymo__family *f, struct kymo__series *series, int *error)
{
    uint64_t asleep = KYMO__ASLEEP;
    *error = 0;
    uint64_t loc = furnish(f, series, series->start_ns, error);
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
    struct kymo__series *last = NULL, *at = NULL, *series = series_at(f, (uint32_t)pending);
    int listed = 0;
    kymo__table_recover(f);
    for (uint32_t ref = record->first_series; ref != 0; ref = at->next) {
        at = series_at(f, ref);
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

/* KYMO_ELABEL stands for values that are too long. */
static int values_check(const struct kymo__family *f, const char *const *values, size_t *text_len)
{
    size_t total = 0;
    *text_len = f->names_len;
    for (uint32_t i = 0; i < f->n_labels; i++) {
        size_t n = strlen(values[i]);
        if (n > KYMO__MAX_TEXT || (total += n) > KYMO__MAX_TEXT)
            return KYMO_ELABEL;
        if (!kymo__utf8_valid(values[i], n))
            return KYMO_EUTF8;
        *text_len += kymo__escape_label_size(values[i], n);
    }
    return 0;
}

/* A record that rests gets a slot, into which nobody records yet; NULL and *error. */
static struct kymo__series *series_stand_by(struct kymo__family *f, struct kymo__series *series, int *error)
{
    int64_t now = f->reg->clock.wall_ns(f->reg->clock.ctx);
    uint64_t loc = furnish(f, series, now, error);
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
    *error = kymo__key_read(f, values, &key) ? values_check(f, values, &text_len) : KYMO_EINVAL;
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
    int error = values_check(f, f->first, &text_len);
    if (error == 0)
        (void)series_create(f, f->first, &key, text_len, &error);
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
    error = values_check(f, values, &text_len);
    if (error == 0)
        error = ordinal_ensure(f);
    struct kymo__series *series = error == 0 ? series_build(f, values, &key, text_len, &error) : NULL;
    if (series == NULL)
        return error;
    series->ordinal = ordinal_take(f);
    cell_set(f, series, series->loc);
    f->spill = kymo__cell_at(f, ordinal_take(f)); /* of the same block */
    f->spill->family = f;
    f->spill->series = kymo__ref(f->reg->segment, series);
    f->spill->loc = KYMO__DEAD;
    f->record->overflow = f->spill->series;
    return 0;
}

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
        return series_at(f, f->record->overflow);
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
    return series != NULL ? series_revive(f, series, error) : series_create(f, r->values, &r->key, r->text_len, error);
}

/* Values that may not stand become others; 1 if there were any. */
static int request_map(const struct kymo__family *f, struct request *r, const char **room)
{
    if (!f->guarded || !kymo__guard_map(f, r->asked, room))
        return 0;
    r->values = room;
    (void)kymo__key_read(f, room, &r->key);
    (void)values_check(f, room, &r->text_len);
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
        series = series_at(f, f->record->overflow);
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
    if (series != NULL || (*error = values_check(f, values, &request.text_len)) != 0)
        return series;
    pthread_mutex_lock(&reg->lock);
    int look = request_map(f, &request, room) || known || f->n_created != seen; /* else it cannot be there */
    *error = f->dead ? KYMO_ENOENT : 0;
    if (*error == 0)
        series = find_place(f, &request, look, pinned, error);
    pthread_mutex_unlock(&reg->lock);
    return series;
}
