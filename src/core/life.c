/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/life.c - the ends of series: taken off the page, waited for, announced, and what was theirs given back.
 *
 * An end has two halves, between which nobody may wait for a recorder. The first makes the series unreachable and notes
 * it in reg->ending; the second, after a grace period, reads the last value, announces it, and gives slot, record and
 * cell back. As a rule both happen in one call; if a recorder was stopped in the middle, the second is left to a later
 * upkeep. The note comes first: a child forked in between does again what may be half done (kymo__life_recover()).
 *
 * What becomes of the record (docs/protocols.md, "The life of a series"):
 *   no handle is out                     it goes, and its cell with it
 *   handles are out, KYMO_REVIVE         it sleeps: its labels are what the series comes back to life with
 *   handles are out, KYMO_TO_OVERFLOW    it goes; the cell points to the overflow series and keeps a print (grave.c)
 *   handles are out, KYMO_GUARD_TOP      it rests, until it is among the heaviest again
 * All of it under the registry's lock.
 */
#include <string.h>

#include "core/exemplar.h"
#include "core/guard.h"
#include "core/native.h"
#include "core/table.h"
#include "core/top.h"

/* What the second half has to do, in kymo__ending.how. */
enum {
    ENDED_GONE = KYMO__END_RECORD + 1, /* announce; slot, record and cell go back */
    ENDED_KEPT,                        /* announce; the slot goes back */
};

static struct kymo__series *series_of(const struct kymo__ending *e)
{
    return kymo__at(e->family->reg->segment, e->series);
}

/* ---- the first half ---- */

int kymo__life_prepare(struct kymo_registry *reg)
{
    if (reg->ending == NULL)
        reg->ending = kymo__heap_alloc(reg, KYMO__ENDINGS * sizeof(*reg->ending));
    return reg->ending != NULL ? 0 : KYMO_ENOMEM;
}

static int room(struct kymo_registry *reg)
{
    if (reg->n_ending == KYMO__ENDINGS)
        kymo__life_finish(reg);
    return reg->n_ending < KYMO__ENDINGS ? 0 : KYMO_EBUSY;
}

static struct kymo__ending *note(struct kymo__family *f, const struct kymo__series *series, uint64_t loc, uint32_t how)
{
    struct kymo_registry *reg = f->reg;
    struct kymo__ending *e = &reg->ending[reg->n_ending];
    *e = (struct kymo__ending){f, loc, series->start_ns, kymo__ref(reg->segment, series), how, series->generation, 0};
    kymo__store_release(&reg->n_ending, reg->n_ending + 1); /* whole, before anything of it is done */
    return e;
}

static void unnote(struct kymo__ending *e)
{
    kymo__store_relaxed(&e->family, NULL);
}

/* Pins that were there before the series became unreachable; with find_in_flight() in series.c. */
static int still_pinned(const struct kymo__family *f, const struct kymo__series *series)
{
    return kymo__add_full(&kymo__cell_of(f, series)->pins, 0) != 0;
}

/* What its loc says after its end, if handles are out. */
static uint64_t after_end(const struct kymo__family *f, uint32_t how)
{
    if (how == KYMO__END_BARRED)
        return KYMO__DEAD;
    if (f->record->top != 0)
        return KYMO__RESTING;
    return f->guard.after_end == KYMO_REVIVE ? KYMO__ASLEEP : KYMO__DEAD;
}

/* From @from, which recorders may change, to what it is after its end; 0: they have changed it. */
static int settle(struct kymo__ending *e, uint64_t from)
{
    struct kymo__family *f = e->family;
    struct kymo__series *series = series_of(e);
    uint64_t to = after_end(f, e->how);
    if (!kymo__cas_full(&series->loc, &from, to))
        return 0;
    uint64_t kept = to;
    /* Who wakes it meanwhile, by its labels, keeps it. */
    if (to != KYMO__DEAD && !still_pinned(f, series) && kymo__cas_full(&series->loc, &kept, KYMO__DEAD))
        to = KYMO__DEAD;
    e->how = to == KYMO__DEAD ? ENDED_GONE : ENDED_KEPT;
    return 1;
}

/* Off the page, and out of the table if nobody has a use for its labels. */
static void part(struct kymo__ending *e)
{
    struct kymo__family *f = e->family;
    struct kymo__series *series = series_of(e);
    if (f->exemplar_limit != 0)
        e->exemplars = kymo__exemplars_detach(series);
    if (e->how == ENDED_GONE) { /* neither handles nor labels lead to the record from now on */
        kymo__store_relaxed(&kymo__cell_of(f, series)->series, f->record->overflow);
        kymo__table_remove(f, series->hash, e->series);
    } else {
        f->record->n_asleep++;
    }
    kymo__series_unlink(f, series);
    kymo__series_count(f, -1);
    f->reg->segment->n_ended++;
    if (e->how == ENDED_KEPT && (f->record->waking == 0 || f->record->n_asleep <= f->record->n_waking))
        kymo__upkeep_wakers(f); /* a ready slot for it */
}

/* One that woke, and that no upkeep has seen yet, comes onto the page first. */
static int may_end(struct kymo__family *f, const struct kymo__series *series, uint64_t loc)
{
    if (!kymo__series_listed(f, series))
        kymo__upkeep_wakers(f);
    return kymo__series_listed(f, series) && (kymo__loc_lives(loc) || kymo__loc_stands_by(loc));
}

int kymo__life_end(struct kymo__family *f, struct kymo__series *series, enum kymo__end how)
{
    uint64_t loc = kymo__load_relaxed(&series->loc);
    int r = room(f->reg);
    if (r != 0)
        return r;
    if (!may_end(f, series, loc))
        return KYMO_EBUSY; /* it is on its way out, and somebody is recording into it */
    struct kymo__ending *e = note(f, series, loc & KYMO__SLOT_MASK, how);
    kymo__store_relaxed(&kymo__cell_of(f, series)->loc, KYMO__DEAD); /* ordered by the grace period */
    if (how == KYMO__END_IDLE) {
        kymo__store_relaxed(&series->loc, KYMO__DEAD_BIT | loc);
        return 0;
    }
    series->start_ns = f->reg->clock.wall_ns(f->reg->clock.ctx); /* of what may come to life from now on */
    (void)settle(e, loc);
    part(e);
    return 0;
}

void kymo__life_discard(struct kymo__family *f, struct kymo__series *series)
{
    uint64_t loc = kymo__load_relaxed(&series->loc), from = loc;
    if ((loc != KYMO__ASLEEP && loc != KYMO__RESTING) || room(f->reg) != 0)
        return;
    struct kymo__ending *e = note(f, series, KYMO__DEAD, KYMO__END_RECORD);
    if (still_pinned(f, series) || !kymo__cas_full(&series->loc, &from, KYMO__DEAD)) {
        unnote(e); /* a recorder woke it */
    } else if (still_pinned(f, series)) {
        kymo__store_release(&series->loc, loc);
        unnote(e);
    } else {
        kymo__table_remove(f, series->hash, kymo__ref(f->reg->segment, series));
        f->record->n_asleep--;
    }
}

/* ---- the second half ---- */

static void announce(const struct kymo__ending *e)
{
    struct kymo__family *f = e->family;
    struct kymo_registry *reg = f->reg;
    uint64_t buckets[KYMO__MAX_BOUNDS + 1];
    if (reg->event == NULL)
        return;
    struct kymo_point point = kymo__point_of(f, series_of(e));
    struct kymo_event event = {&f->info, &point};
    point.generation = e->generation;
    point.start_ns = e->start_ns;
    if (f->class == KYMO__NATIVE)
        kymo__native_read(f, e->loc, buckets, &point);
    else
        kymo__read_one(f, e->loc, buckets, &point);
    reg->event(reg->event_ctx, &event);
}

/* The last value is known: what it was counted in goes back. Done before it is done again: see kymo__life_recover(). */
static void slot_back(struct kymo__ending *e)
{
    uint64_t loc = e->loc;
    uint32_t block = e->exemplars;
    announce(e);
    kymo__store_release(&e->loc, KYMO__DEAD);
    kymo__store_release(&e->exemplars, 0);
    kymo__slot_give(e->family, loc);
    kymo__exemplars_give(e->family->reg->segment, block);
}

static void record_back(struct kymo__ending *e)
{
    struct kymo__family *f = e->family;
    struct kymo__series *series = series_of(e);
    int pinned = still_pinned(f, series);
    if (pinned)
        kymo__grave_dig(f, series); /* may be done again; what comes after the next line is not */
    kymo__store_release(&e->series, 0);
    if (!pinned)
        kymo__cell_free(f, series->ordinal);
    kymo__record_free(f, series);
}

/* It changed, or a recorder kept it alive: it goes on as if nothing had been. */
static void go_on(struct kymo__ending *e)
{
    struct kymo__series *series = series_of(e);
    uint64_t expiring = KYMO__DEAD_BIT | e->loc;
    (void)kymo__cas_full(&series->loc, &expiring, e->loc);
    kymo__store_release(&kymo__cell_of(e->family, series)->loc, /* as cell_set() */
                        kymo__loc_of_process(e->family->reg, e->loc));
}

/* Nobody who was recording when it began to end still is. 1: it is done with. */
static int finish_idle(struct kymo__ending *e)
{
    struct kymo__family *f = e->family;
    struct kymo__series *series = series_of(e);
    int64_t start_ns = series->start_ns;
    int changed = kymo__idle_changed(f, series, e->loc);
    series->start_ns = f->reg->clock.wall_ns(f->reg->clock.ctx); /* before it may be woken */
    if (changed || !settle(e, KYMO__DEAD_BIT | e->loc)) {
        series->start_ns = start_ns;
        go_on(e);
        return 1;
    }
    part(e);
    slot_back(e);
    return e->how == ENDED_KEPT; /* its record may have been found until now: another grace period */
}

static int finish_one(struct kymo__ending *e)
{
    if (e->how == KYMO__END_IDLE)
        return finish_idle(e);
    if (e->loc != KYMO__DEAD)
        slot_back(e);
    if (e->how != ENDED_KEPT && e->series != 0)
        record_back(e);
    return 1;
}

/* Without membarrier nobody can be waited for: what ended is announced and stays where it is. */
static int finish_blind(struct kymo__ending *e)
{
    if (e->how == KYMO__END_IDLE)
        go_on(e);
    else if (e->loc != KYMO__DEAD)
        announce(e);
    return 1;
}

static void finish_all(struct kymo_registry *reg, int (*finish)(struct kymo__ending *))
{
    uint32_t n = reg->n_ending, last = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct kymo__ending *e = &reg->ending[i];
        if (e->family != NULL && finish(e))
            unnote(e);
        if (e->family != NULL)
            last = i + 1;
    }
    kymo__store_release(&reg->n_ending, last);
}

void kymo__life_finish(struct kymo_registry *reg)
{
    for (int round = 0; round < 2 && reg->n_ending != 0; round++) {
        if (kymo__grace(reg->segment))
            finish_all(reg, finish_one);
        else if (kymo__os_membarrier() != 0)
            finish_all(reg, finish_blind);
        else
            return;
    }
}

/* ---- handles that are released ---- */

void kymo__life_unpinned(struct kymo__cell *cell)
{
    struct kymo__family *f = cell->family;
    struct kymo_registry *reg = f->reg;
    pthread_mutex_lock(&reg->lock);
    uint64_t loc = kymo__load_relaxed(&cell->loc);
    int ended = loc == KYMO__DEAD || kymo__loc_is_print(loc);
    if (kymo__load_relaxed(&cell->pins) == 0 && ended && !f->dead) {
        if (kymo__loc_is_print(loc))
            kymo__grave_close(f, cell);
        else
            kymo__life_discard(f, kymo__at(reg->segment, cell->series));
        kymo__life_finish(reg);
    }
    pthread_mutex_unlock(&reg->lock);
}

/* ---- families that end ---- */

/*
 * Long enough for a recorder that was preempted in the middle to come back, as a rule. One that never does, since it
 * jumped out of an update, must not keep us here: what is left is done by a later upkeep.
 */
#define QUIET_NS ((int64_t)200 * 1000000)

static void hide_all(struct kymo__family *f)
{
    struct kymo__segment *s = f->reg->segment;
    for (uint32_t i = 0; i < f->n_ordinals; i++) {
        struct kymo__cell *cell = kymo__cell_at(f, i);
        f->reg->n_pinned -= kymo__loc_is_print(cell->loc) ? 1u : 0u;
        kymo__store_relaxed(&cell->loc, KYMO__DEAD);
    }
    for (uint32_t ref = f->record->first_series; ref != 0;) {
        struct kymo__series *series = kymo__at(s, ref);
        uint64_t slot = kymo__load_relaxed(&series->loc) & KYMO__SLOT_MASK;
        kymo__store_relaxed(&series->loc, KYMO__DEAD_BIT | slot);
        ref = series->next;
    }
}

/* Everything of a dead family that nobody can be using. Its handles and their cells stay. */
static void family_finish(struct kymo__family *f, int quiet)
{
    struct kymo__segment *s = f->reg->segment;
    for (uint32_t ref = f->record->first_series; ref != 0;) {
        struct kymo__series *series = kymo__at(s, ref);
        struct kymo__ending e = {f, series->loc & KYMO__SLOT_MASK, series->start_ns, ref, 0, series->generation, 0};
        ref = series->next;
        if (f->exemplar_limit != 0)
            e.exemplars = kymo__exemplars_detach(series);
        kymo__store_release(&f->record->first_series, ref);
        s->n_ended++;
        if (!quiet) {
            announce(&e);
            continue;
        }
        slot_back(&e);
        kymo__record_free(f, series);
    }
    if (quiet)
        kymo__top_end(f);
    kymo__add_relaxed(&s->n_woken, (uint32_t)-f->record->n_woken); /* in vain, since the family has ended */
    f->record->n_woken = 0;
    f->record->last_series = 0;
    f->unfinished = 0;
    f->reg->n_unfinished--;
}

static void family_try(struct kymo__family *f, int quiet)
{
    if (quiet || kymo__os_membarrier() != 0)
        family_finish(f, quiet);
}

void kymo__family_end(struct kymo__family *f)
{
    struct kymo_registry *reg = f->reg;
    struct kymo__family_record *record = f->record;
    uint64_t tables[2] = {record->table, record->old_table};
    kymo__life_finish(reg);
    kymo__upkeep_wakers(f);
    kymo__upkeep_overflow(f);
    kymo__store_relaxed(&f->dead, 1); /* before the grace period; with kymo__record_slow() */
    kymo__store_relaxed(&record->table, 0);
    kymo__store_relaxed(&record->old_table, 0);
    kymo__store_release(&record->table_moves, (record->table_moves | 1) + 1);
    hide_all(f);
    for (int i = 0; i < 2; i++)
        if (tables[i] != 0)
            kymo__retire_table(reg, tables[i]);
    kymo__series_count(f, -(int)record->n_series);
    f->unfinished = 1;
    reg->n_unfinished++;
    family_try(f, kymo__grace_within(reg->segment, QUIET_NS));
}

void kymo__life_unfinished(struct kymo_registry *reg)
{
    for (struct kymo__family *f = reg->first_family; reg->n_unfinished != 0 && f != NULL; f = f->next)
        if (f->unfinished)
            family_try(f, kymo__grace(reg->segment));
}

/* ---- in a child of fork() ---- */

/* Whoever did it stopped anywhere: up to the change of loc nothing has happened, from there on all can be done again. */
static void redo(struct kymo__ending *e)
{
    struct kymo__family *f = e->family;
    if (e->how == KYMO__END_RECORD || e->series == 0)
        return;
    struct kymo__series *series = series_of(e);
    uint64_t loc = kymo__load_relaxed(&series->loc);
    if (kymo__loc_lives(loc) || kymo__loc_expires(loc) || kymo__loc_stands_by(loc)) {
        if (e->how <= KYMO__END_IDLE) {
            go_on(e);
            unnote(e);
        }
        return; /* ENDED_KEPT, and woken since: what it counted before is still to be announced */
    }
    e->how = loc == KYMO__DEAD ? ENDED_GONE : ENDED_KEPT;
    if (loc == KYMO__DEAD) {
        kymo__store_relaxed(&kymo__cell_of(f, series)->series, f->record->overflow);
        kymo__table_remove(f, series->hash, e->series);
    }
    if (kymo__series_listed(f, series))
        kymo__series_unlink(f, series);
}

static void recount(struct kymo__family *f)
{
    struct kymo__family_record *record = f->record;
    struct kymo__segment *s = f->reg->segment;
    uint32_t n = 0;
    for (uint32_t ref = record->first_series; ref != 0;) {
        n += ref != record->overflow;
        ref = ((struct kymo__series *)kymo__at(s, ref))->next;
    }
    kymo__series_count(f, (int)(n - record->n_series));
    s->n_woken -= record->n_woken;
    record->n_woken = 0;
    record->n_asleep = 0;
    for (uint32_t i = 0; i < f->n_ordinals; i++) {
        const struct kymo__cell *cell = kymo__cell_at(f, i);
        if (cell->loc == KYMO__DEAD) {
            uint64_t loc = ((const struct kymo__series *)kymo__at(s, cell->series))->loc;
            record->n_asleep += loc == KYMO__ASLEEP || loc == KYMO__RESTING;
        }
    }
}

void kymo__life_recover(struct kymo_registry *reg)
{
    reg->walks = NULL;
    for (struct kymo__family *f = reg->first_family; f != NULL; f = f->next)
        if (!f->dead)
            kymo__series_recover(f);
    for (uint32_t i = 0; i < reg->n_ending; i++)
        if (reg->ending[i].family != NULL)
            redo(&reg->ending[i]);
    for (struct kymo__family *f = reg->first_family; f != NULL; f = f->next) {
        if (f->dead)
            continue;
        kymo__wakers_recover(f);
        kymo__top_recover(f);
        recount(f);
    }
}
