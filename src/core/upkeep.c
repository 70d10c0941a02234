/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/upkeep.c - what time brings: ends are completed, what woke comes onto the page, what is idle ends.
 *
 * Scrapes, visits and sweeps do it first, under the registry's lock and in steps, between which it is free. Recorders
 * leave marks for it and wait for nothing.
 */
#include <string.h>

#include "core/distinct.h"
#include "core/exemplar.h"
#include "core/guard.h"
#include "core/native.h"
#include "core/table.h"
#include "core/top.h"

#define MOVES 1024         /* of some entries each */
#define STEP 1000u         /* series that are looked at under one lock */
#define WAKING_MAX 64u     /* places of a family */
#define WAKING_WORDS 1024u /* as long as their slots together have no more words than this */

/* ---- the overflow series ---- */

void kymo__upkeep_overflow(struct kymo__family *f)
{
    struct kymo__family_record *record = f->record;
    if (record->overflow == 0 || !kymo__load_relaxed(&record->overflowed))
        return;
    struct kymo__series *series = kymo__series_at(f, record->overflow);
    if (kymo__series_listed(f, series) || kymo__table_grow(f) != 0)
        return;
    kymo__series_link(f, series);
    kymo__table_put(f, series->hash, record->overflow);
}

/* What its labels had before anybody counted them is part of how many values they have. */
static void count_known_values(struct kymo__family *f)
{
    char value[1024];
    uint8_t *registers = kymo__guard_distinct(f, 0);
    if (registers == NULL || f->distinct_known)
        return;
    f->distinct_known = 1;
    for (uint32_t ref = f->record->first_series; ref != 0;) {
        const struct kymo__series *series = kymo__series_at(f, ref);
        struct kymo_point point = kymo__point_of(f, series);
        ref = series->next;
        for (uint32_t i = 0; i < f->n_labels && !kymo__is_overflow(f, series); i++) {
            (void)kymo_point_value(&f->info, &point, i, value, sizeof(value));
            kymo__distinct_add(kymo__guard_distinct(f, i), kymo__distinct_hash(value, f->reg->seed));
        }
    }
}

/* ---- what woke ---- */

static uint32_t places_wanted(const struct kymo__family *f)
{
    uint32_t n = WAKING_WORDS / f->n_words;
    return n < 4 ? 4 : n < WAKING_MAX ? n : WAKING_MAX;
}

static struct kymo__waking *places_new(struct kymo__family *f)
{
    struct kymo__family_record *record = f->record;
    int error;
    if (record->waking == 0 && record->n_asleep != 0 && record->top == 0) {
        record->n_waking = places_wanted(f);
        uint32_t ref = kymo__segment_alloc(f->reg->segment, record->n_waking * sizeof(struct kymo__waking), &error);
        kymo__store_release(&record->waking, ref); /* with places_of() in guard.c */
    }
    return record->waking != 0 ? kymo__at(f->reg->segment, record->waking) : NULL;
}

/* A series that a recorder woke comes onto the page. */
static void welcome(struct kymo__family *f, struct kymo__series *series, uint64_t slot)
{
    int error = 0;
    uint32_t block = f->exemplar_limit != 0 ? kymo__exemplars_new(f, &error) : 0;
    if (block != 0) /* else it has none */
        kymo__exemplars_attach(series, block);
    if (f->class == KYMO__NATIVE)
        kymo__native_start_from(f, slot, series->start_ns);
    series->generation = f->reg->segment->n_ended;
    f->record->n_asleep--;
    kymo__series_count(f, 1);
    kymo__add_relaxed(&f->record->n_woken, (uint32_t)-1); /* with wake() in guard.c: counts, read on their own */
    kymo__add_relaxed(&f->reg->segment->n_woken, (uint32_t)-1);
    kymo__store_release(&f->n_created, f->n_created + 1); /* with kymo__series_get() */
    kymo__series_link(f, series);
    kymo__store_release(&kymo__cell_of(f, series)->loc, kymo__loc_of_process(f->reg, slot)); /* with kymo__begin() */
    kymo__idle_forget(f, series->ordinal);
}

static void settle_place(struct kymo__family *f, struct kymo__waking *place)
{
    uint32_t ref = kymo__load_acquire(&place->series); /* with wake() in guard.c */
    if (ref == 0 || place->slot == 0)
        return;
    struct kymo__series *series = kymo__series_at(f, ref);
    if (kymo__load_relaxed(&series->loc) != place->slot - 1)
        return; /* who claimed it is not done, or does not need it */
    if (!kymo__series_listed(f, series))
        welcome(f, series, place->slot - 1);
    kymo__store_relaxed(&place->slot, 0);
    kymo__store_release(&place->series, 0); /* free, and empty */
}

void kymo__upkeep_wakers(struct kymo__family *f)
{
    struct kymo__family_record *record = f->record;
    struct kymo__waking *places = places_new(f);
    int64_t now = places != NULL ? f->reg->clock.wall_ns(f->reg->clock.ctx) : 0;
    for (uint32_t i = 0; places != NULL && i < record->n_waking; i++)
        settle_place(f, &places[i]);
    for (uint32_t i = 0, error = 0; places != NULL && i < record->n_waking && i < record->n_asleep && !error; i++) {
        int why = 0;
        if (places[i].slot != 0 || kymo__load_relaxed(&places[i].series) != 0)
            continue;
        uint64_t loc = kymo__slot_take(f, now, &why);
        error = loc == KYMO__DEAD;
        kymo__store_release(&places[i].slot, loc + 1); /* 0 if there is none; with wake() in guard.c */
    }
}

void kymo__wakers_recover(struct kymo__family *f)
{
    struct kymo__family_record *record = f->record;
    struct kymo__waking *places = record->waking != 0 ? kymo__at(f->reg->segment, record->waking) : NULL;
    for (uint32_t i = 0; places != NULL && i < record->n_waking; i++) {
        uint32_t ref = places[i].series;
        if (ref != 0 && (places[i].slot == 0 || kymo__series_at(f, ref)->loc != places[i].slot - 1))
            places[i].series = 0; /* who claimed it is not there any more */
    }
    kymo__upkeep_wakers(f);
}

/* ---- what is idle ---- */

/* What a series looked like when it was last seen to change, and when that was; 0: it was not seen yet. */
struct seen {
    uint64_t value[2];
    int64_t changed_ns;
};

struct kymo__idle {
    size_t bytes;
    uint32_t n;
    struct seen of[]; /* by ordinal */
};

void kymo__idle_forget(struct kymo__family *f, uint32_t ordinal)
{
    if (f->idle != NULL && ordinal < f->idle->n)
        f->idle->of[ordinal].changed_ns = 0;
}

void kymo__idle_free(struct kymo__family *f)
{
    if (f->idle != NULL)
        kymo__heap_free(f->reg, f->idle, f->idle->bytes);
    f->idle = NULL;
}

/* Room for all ordinals; 0: there is no memory, and nothing expires. */
static int idle_ensure(struct kymo__family *f)
{
    struct kymo__idle *old = f->idle;
    uint32_t n = old != NULL ? old->n : 16;
    if (old != NULL && f->n_ordinals <= n)
        return 1;
    while (n < f->n_ordinals)
        n *= 2;
    size_t bytes = sizeof(struct kymo__idle) + n * sizeof(struct seen);
    struct kymo__idle *larger = kymo__heap_alloc(f->reg, bytes);
    if (larger == NULL)
        return 0;
    if (old != NULL)
        memcpy(larger, old, old->bytes);
    larger->bytes = bytes;
    larger->n = n;
    f->idle = larger; /* before the old one is gone: a child of fork() finds one of them */
    if (old != NULL)
        kymo__heap_free(f->reg, old, old->bytes);
    return 1;
}

/* Everything that a recording changes. */
static void look(const struct kymo__family *f, uint64_t loc, uint64_t value[2])
{
    uint64_t buckets[KYMO__MAX_BOUNDS + 1];
    struct kymo_point point;
    kymo__read_one(f, loc, buckets, &point);
    if (f->info.kind == KYMO_HISTOGRAM) {
        value[0] = point.value.histogram.count;
        value[1] = kymo__bits(point.value.histogram.sum);
    } else if (f->info.kind == KYMO_COUNTER) {
        value[0] = point.value.counter.whole;
        value[1] = kymo__bits(point.value.counter.fraction);
    } else {
        value[0] = kymo__bits(point.value.gauge);
        value[1] = f->class == KYMO__SHARED ? kymo__load_relaxed(&kymo__pairs_at(f->reg->segment, loc)->n) : 0;
    }
}

static int look_again(struct kymo__family *f, const struct kymo__series *series, uint64_t loc, int64_t now)
{
    struct seen *seen = &f->idle->of[series->ordinal];
    uint64_t value[2];
    look(f, loc, value);
    if (seen->changed_ns != 0 && seen->value[0] == value[0] && seen->value[1] == value[1])
        return 0;
    seen->value[0] = value[0];
    seen->value[1] = value[1];
    seen->changed_ns = now | 1; /* never 0 */
    return 1;
}

int kymo__idle_changed(struct kymo__family *f, const struct kymo__series *series, uint64_t loc)
{
    if (f->idle == NULL || series->ordinal >= f->idle->n)
        return 1;
    return look_again(f, series, loc, f->reg->now_ns);
}

static int is_idle(struct kymo__family *f, const struct kymo__series *series, int64_t now)
{
    uint64_t loc = kymo__load_relaxed(&series->loc);
    if (!kymo__loc_lives(loc) || kymo__is_overflow(f, series))
        return 0;
    if (look_again(f, series, loc, now))
        return 0;
    return now - f->idle->of[series->ordinal].changed_ns >= f->guard.idle_ns;
}

static void expire_one(struct kymo__family *f, struct kymo__series *series, int64_t now)
{
    if (!is_idle(f, series, now))
        return;
    if (f->record->top != 0)
        kymo__top_demote(f, series, now);
    else
        (void)kymo__life_end(f, series, KYMO__END_IDLE); /* else at the next upkeep */
}

/* ---- all of it ---- */

static void expire(struct kymo__family *f, int64_t now)
{
    struct kymo__walk cursor;
    struct kymo__series *series;
    if (f->guard.idle_ns <= 0 || !idle_ensure(f))
        return;
    kymo__cursor_begin(&cursor, f);
    for (uint32_t n = 1; (series = kymo__cursor_next(&cursor)) != NULL; n++) {
        expire_one(f, series, now);
        if (n % STEP != 0)
            continue;
        kymo__life_finish(f->reg);
        if (!kymo__cursor_pause(&cursor) || !idle_ensure(f))
            break;
    }
    kymo__life_finish(f->reg);
    kymo__cursor_end(&cursor);
}

static void family_upkeep(struct kymo__family *f, int64_t now)
{
    if (f->dead || !f->guarded)
        return;
    kymo__upkeep_wakers(f);
    kymo__upkeep_overflow(f);
    for (int i = 0; i < MOVES && f->record->old_table != 0; i++)
        kymo__table_move(f); /* a family that is full has no insertions that would */
    count_known_values(f);
    expire(f, now);
    if (f->record->top != 0 && !f->dead)
        kymo__top_upkeep(f, now);
}

void kymo__upkeep(struct kymo_registry *reg, int64_t now_ns)
{
    pthread_mutex_lock(&reg->lock);
    reg->now_ns = now_ns != 0 ? now_ns : reg->clock.monotonic_ns(reg->clock.ctx);
    kymo__life_finish(reg);
    kymo__life_unfinished(reg);
    for (struct kymo__family *f = reg->first_family; f != NULL; f = f->next)
        family_upkeep(f, reg->now_ns);
    kymo__life_finish(reg);
    pthread_mutex_unlock(&reg->lock);
}
