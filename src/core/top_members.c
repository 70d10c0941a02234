/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/top_members.c - who is among the heaviest, decided at each upkeep.
 *
 * Read core/top_private.h first. Under the registry's lock.
 */
#include "core/guard.h"
#include "core/table.h"
#include "core/top_private.h"

/* ---- what becomes of a series ---- */

/* From now on it is recorded into. */
static void begin(struct kymo__family *f, struct kymo__series *series, struct kymo__standing *st)
{
    uint64_t slot = kymo__load_relaxed(&series->loc) & KYMO__SLOT_MASK;
    st->promised = 0;
    st->weight = kymo__top_sketch_take(kymo__top_sketch_of(kymo__top_of(f)), series->hash);
    kymo__idle_forget(f, series->ordinal);
    kymo__store_release(&series->loc, slot); /* with kymo__guard_home(): the slot's column is there */
    kymo__store_release(&kymo__cell_of(f, series)->loc, kymo__loc_of_process(f->reg, slot)); /* with kymo__begin() */
}

/* From now on it is not; who is inside still may. */
static void freeze(struct kymo__family *f, struct kymo__series *series, struct kymo__standing *st, int64_t now)
{
    uint64_t slot = kymo__load_relaxed(&series->loc) & KYMO__SLOT_MASK;
    st->since_ns = now;
    kymo__store_relaxed(&kymo__cell_of(f, series)->loc, KYMO__DEAD); /* its slot stays its own: nothing is waited for */
    kymo__store_relaxed(&series->loc, KYMO__DEAD_BIT | KYMO__STANDBY_BIT | slot);
    if (st->weight != 0)
        kymo__top_sketch_put(kymo__top_sketch_of(kymo__top_of(f)), series->hash, st->weight);
    st->weight = 0;
}

void kymo__top_demote(struct kymo__family *f, struct kymo__series *series, int64_t now_ns)
{
    if (kymo__is_overflow(f, series) || !kymo__loc_lives(kymo__load_relaxed(&series->loc)) ||
        kymo__top_private_ensure(f, now_ns) == NULL)
        return;
    struct kymo__standing *st = kymo__top_standing(f, series);
    st->weight = 0; /* else it would be back at once */
    freeze(f, series, st, now_ns);
}

/* ---- picks: two heaps, whose first has the least order ---- */

static void sift(struct kymo__pick *heap, uint32_t n, uint32_t i)
{
    struct kymo__pick moved = heap[i];
    for (uint32_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && heap[child + 1].order < heap[child].order)
            child++;
        if (moved.order <= heap[child].order)
            break;
        heap[i] = heap[child];
    }
    heap[i] = moved;
}

static void heap_make(struct kymo__pick *heap, uint32_t n)
{
    for (uint32_t i = n / 2; i-- > 0;)
        sift(heap, n, i);
}

static struct kymo__series *heap_pop(const struct kymo__family *f, struct kymo__pick *heap, uint32_t *n)
{
    uint32_t series = heap[0].series;
    heap[0] = heap[--*n];
    if (*n != 0)
        sift(heap, *n, 0);
    return kymo__series_at(f, series);
}

/* ---- all that are on the page ---- */

static int has_lingered(const struct kymo__family *f, struct kymo__standing *st, int64_t now)
{
    if (now < st->since_ns)
        st->since_ns = now;
    return now - st->since_ns >= (int64_t)f->guard.linger_ms * 1000000;
}

static void look_at(struct kymo__family *f, struct kymo__series *series, int64_t now)
{
    struct kymo__top_private *p = f->top;
    struct kymo__standing *st = kymo__top_standing(f, series);
    uint32_t ref = st->series;
    int lives = kymo__loc_lives(kymo__load_relaxed(&series->loc));
    if (lives) {
        p->members[p->n_members++] = (struct kymo__pick){st->weight, ref, 0};
    } else if (!st->promised) {
        if (has_lingered(f, st, now) && kymo__life_end(f, series, KYMO__END) == 0)
            return;
        uint64_t weight = kymo__top_sketch_get(kymo__top_sketch_of(kymo__top_of(f)), series->hash);
        p->frozen[p->n_frozen++] = (struct kymo__pick){~weight, ref, 0};
    }
    p->n_promises += st->promised != 0;
    p->n_standing += lives || st->promised;
    p->n_shown++;
}

static void look_over(struct kymo__family *f, int64_t now)
{
    struct kymo__top_private *p = f->top;
    struct kymo__walk cursor;
    struct kymo__series *series;
    p->n_promises = p->n_standing = p->n_shown = p->n_members = p->n_frozen = 0;
    kymo__cursor_begin(&cursor, f);
    while ((series = kymo__cursor_next(&cursor)) != NULL)
        if (!kymo__is_overflow(f, series))
            look_at(f, series, now);
    kymo__cursor_end(&cursor);
    heap_make(p->members, p->n_members);
    heap_make(p->frozen, p->n_frozen);
}

/* ---- who comes, who goes ---- */

/* Too many by so many: the lightest members go. */
static void make_room(struct kymo__family *f, int64_t now)
{
    struct kymo__top_private *p = f->top;
    while (p->n_standing > f->guard.max_series && p->n_members != 0) {
        struct kymo__series *series = heap_pop(f, p->members, &p->n_members);
        freeze(f, series, kymo__top_standing(f, series), now);
        p->n_standing--;
    }
}

/* What a challenger has to exceed. */
static uint64_t bar(const struct kymo__family *f)
{
    const struct kymo__top_private *p = f->top;
    if (p->n_standing < f->guard.max_series)
        return 0;
    return p->n_members != 0 ? p->members[0].order / 10 * 11 : KYMO__TOP_WEIGHT_MAX;
}

static void thaw(struct kymo__family *f, int64_t now)
{
    struct kymo__top_private *p = f->top;
    struct kymo__series *series = heap_pop(f, p->frozen, &p->n_frozen);
    begin(f, series, kymo__top_standing(f, series));
    p->n_standing++;
    make_room(f, now);
}

/* Whether a candidate's labels may have a series; @series: the record they have, or NULL. */
static int resolve(struct kymo__family *f, const struct kymo__top_candidate *c, struct kymo__series **series)
{
    const char *to[KYMO__MAX_LABELS];
    struct kymo__key key;
    uint32_t ref = kymo__top_named(c);
    if (ref != 0) {
        *series = kymo__series_at(f, ref);
        return kymo__table_has(f, c->hash, ref) && !kymo__series_barred(f, *series);
    }
    if (c->n_labels != f->n_labels || kymo__guard_map(f, c->values, to))
        return 0;
    (void)kymo__key_read(f, c->values, &key);
    *series = kymo__table_find(f, c->values, &key);
    return key.hash == c->hash;
}

/* 0: there is no memory, so nobody else needs to try. */
static int promise(struct kymo__family *f, const struct kymo__top_candidate *c, int64_t now)
{
    struct kymo__top_private *p = f->top;
    struct kymo__series *series = NULL;
    int error = 0;
    if (p->n_shown / 2 >= f->guard.max_series || kymo__guard_full(f) || !resolve(f, c, &series))
        return 1;
    if (series != NULL && kymo__load_relaxed(&series->loc) != KYMO__RESTING)
        return 1; /* it is on the page */
    series = kymo__series_promise(f, c->values, series, &error);
    if (series == NULL)
        return error != KYMO_ENOMEM && error != KYMO_EFULL;
    (void)kymo__top_standing(f, series);
    p->n_promises++;
    p->n_standing++;
    p->n_shown++;
    make_room(f, now);
    return 1;
}

/* Those who may become members, the heaviest first, until one is not heavy enough. */
static void challenge(struct kymo__family *f, int64_t now)
{
    struct kymo__top_record *top = kymo__top_of(f);
    struct kymo__top_private *p = f->top;
    struct kymo__top_candidate c;
    int have = 0, going = 1;
    for (uint32_t n = 0; going && n < KYMO__TOP_CHANGES;) {
        have = have || kymo__top_candidate_take(&top->candidates, kymo__top_sketch_of(top), &c);
        uint64_t candidate = have ? c.weight : 0, frozen = p->n_frozen != 0 ? ~p->frozen[0].order : 0;
        if ((candidate > frozen ? candidate : frozen) <= bar(f))
            break;
        if (frozen >= candidate) {
            thaw(f, now);
        } else {
            going = promise(f, &c, now);
            have = 0;
            n++;
        }
    }
}

void kymo__top_upkeep(struct kymo__family *f, int64_t now_ns)
{
    struct kymo__top_record *top = kymo__top_of(f);
    if (kymo__top_private_ensure(f, now_ns) == NULL)
        return;
    kymo__top_weigh(f, now_ns);
    look_over(f, now_ns);
    make_room(f, now_ns);
    challenge(f, now_ns);
    /* What is promised only now will be members when the next challengers come. */
    kymo__store_relaxed(&top->threshold, f->top->n_members != 0 ? bar(f) : 0);
    kymo__top_candidates_clear(&top->candidates, kymo__top_sketch_of(top));
}

/* ---- what walks have shown ---- */

void kymo__top_seen(struct kymo__family *f, const struct kymo__series *series, uint32_t walk)
{
    struct kymo__standing *st = kymo__top_known(f, series);
    if (st != NULL && st->promised)
        st->shown_by = walk;
}

static void shown(struct kymo__family *f, uint32_t walk)
{
    for (uint32_t ref = f->record->first_series; ref != 0;) {
        struct kymo__series *series = kymo__series_at(f, ref);
        struct kymo__standing *st = kymo__top_known(f, series);
        ref = series->next;
        if (st != NULL && st->promised && st->shown_by == walk) {
            begin(f, series, st);
            f->top->n_promises--;
        }
    }
}

void kymo__top_shown(struct kymo_registry *reg, uint32_t walk)
{
    for (struct kymo__family *f = reg->first_family; f != NULL; f = f->next)
        if (!f->dead && f->top != NULL && f->top->n_promises != 0)
            shown(f, walk);
}

void kymo__top_recover(struct kymo__family *f)
{
    for (uint32_t ref = f->record->first_series; f->record->top != 0 && ref != 0;) {
        struct kymo__series *series = kymo__series_at(f, ref);
        uint64_t loc = kymo__load_relaxed(&series->loc);
        kymo__store_relaxed(&kymo__cell_of(f, series)->loc,
                            kymo__loc_lives(loc) ? kymo__loc_of_process(f->reg, loc) : KYMO__DEAD);
        ref = series->next;
    }
}
