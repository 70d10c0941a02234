/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/slow.c - recordings that cannot go to memory of the thread's own: the shared store, and what is refused.
 *
 * Taken by a thread that has no shard or no chunk yet, by a child of fork() before its first call that may allocate,
 * and by a signal handler that interrupted an update. Every write here is one atomic instruction or a compare-exchange
 * loop, so that any of these may meet any other. Before a recorder looks at a handle it counts itself as in flight;
 * whoever wants to reuse the slot waits for that count (kymo__grace()).
 */
#include "core/core.h"
#include "core/exemplar.h"
#include "core/guard.h"
#include "core/native.h"

#include <math.h>

const char *const kymo__refusal_names[KYMO__REFUSALS] = {
    [KYMO__NAN] = "nan",
    [KYMO__NEGATIVE] = "negative",
    [KYMO__INFINITE] = "infinite",
    [KYMO__OVERFLOW] = "overflow",
    [KYMO__BAD_LABELS] = "labels",
    [KYMO__BAD_UTF8] = "utf8",
    [KYMO__TOO_LONG] = "too_long",
    [KYMO__NO_MEMORY] = "memory",
    [KYMO__UNREGISTERED] = "unregistered",
    [KYMO__CONTENDED] = "contended",
    [KYMO__EXEMPLAR_BUSY] = "exemplar_busy",
    [KYMO__EXEMPLAR_BAD] = "exemplar_bad",
};

void kymo__refuse(struct kymo__family *f, enum kymo__refusal why)
{
    kymo__add_relaxed(&f->record->refused[why], 1); /* a count, read on its own */
}

enum kymo__refusal kymo__refusal_of(int error)
{
    switch (error) {
    case KYMO_EINVAL:
        return KYMO__BAD_LABELS;
    case KYMO_EUTF8:
        return KYMO__BAD_UTF8;
    case KYMO_ELABEL:
        return KYMO__TOO_LONG;
    case KYMO_ENOENT:
        return KYMO__UNREGISTERED;
    default:
        return KYMO__NO_MEMORY;
    }
}

int64_t *kymo__in_flight_enter(struct kymo__segment *s)
{
    int64_t *counter = &s->in_flight[kymo__load_relaxed(&s->epoch) & 1][0];
    kymo__add_full(counter, 1); /* full: the handle is looked at after; with drained() in segment.c */
    return counter;
}

void kymo__in_flight_leave(int64_t *counter)
{
    kymo__add_full(counter, -1);
}

/* An up/down gauge is set by its base: what the shards hold now is taken off. */
static void set_base(const struct kymo__family *f, uint64_t loc, struct kymo__pair *pair, double v)
{
    struct kymo__sum shards;
    int whole = fabs(v) <= 9007199254740992.0 && (double)(int64_t)v == v;
    kymo__sum_shards(f->reg->segment, loc, &shards);
    kymo__store_relaxed(&pair->n, (whole ? (uint64_t)(int64_t)v : 0) - shards.whole);
    kymo__store_relaxed(&pair->sum, kymo__bits((whole ? 0.0 : v) - shards.fraction));
}

/* Large amounts look before they add, so that the word cannot wrap; small ones never get there. */
static int add_whole(const struct kymo__family *f, struct kymo__pair *pair, uint64_t n)
{
    if (f->info.kind != KYMO_COUNTER || n <= (uint64_t)1 << 32) {
        kymo__add_relaxed(&pair->n, n);
        return 0;
    }
    uint64_t old = kymo__load_relaxed(&pair->n);
    do {
        if (old > KYMO__COUNT_MAX - n)
            return KYMO__OVERFLOW;
    } while (!kymo__cas_relaxed(&pair->n, &old, old + n));
    return 0;
}

/* 0, or why it was refused: enum kymo__refusal, none of which that can happen here is 0. */
static int record_shared(const struct kymo__family *f, uint64_t loc, struct kymo__record what)
{
    struct kymo__pair *pair = kymo__pairs_at(f->reg->segment, loc);
    switch (what.op) {
    case KYMO__ADD_WHOLE:
        return add_whole(f, pair, what.n);
    case KYMO__ADD_FRACTION:
    case KYMO__ADD_SHARED:
        kymo__add_double_relaxed(&pair->sum, what.v);
        return 0;
    case KYMO__SET:
        if (f->class == KYMO__SHARED) {
            kymo__store_relaxed(&pair->sum, kymo__bits(what.v));
            if (!kymo__load_relaxed(&f->plain_set))
                kymo__add_relaxed(&pair->n, 1); /* that it differs is all that counts: look() in upkeep.c */
        } else
            set_base(f, loc, pair, what.v);
        return 0;
    case KYMO__OBSERVE:
        if (f->class == KYMO__NATIVE)
            return kymo__native_observe_shared((struct kymo__family *)(uintptr_t)f, pair, what.v, what.n);
        pair += kymo__bucket(f->bounds, f->n_bounds, what.v);
        return kymo__pair_add(pair, what.n, isinf(what.v) ? 0.0 : what.v * (double)what.n) != 0 ? KYMO__CONTENDED : 0;
    case KYMO__STATES_SET:
        kymo__store_relaxed(&pair->n, what.n);
        return 0;
    case KYMO__STATES_OR:
        kymo__or_relaxed(&pair->n, what.n);
        return 0;
    case KYMO__STATES_AND:
        kymo__and_relaxed(&pair->n, what.n);
        return 0;
    }
    return 0;
}

/* Whether this one brings its exemplar, by what the pair holds before it; natively, where no pair counts, each one does. */
static int brings_exemplar(const struct kymo__family *f, uint64_t loc, struct kymo__record what)
{
    const struct kymo__pair *pair = kymo__pairs_at(f->reg->segment, loc);
    if (what.exemplar == NULL || f->exemplar_limit == 0)
        return 0;
    if (what.op == KYMO__ADD_FRACTION)
        return kymo__exemplar_due_bits(f, kymo__load_relaxed(&pair->sum));
    if (f->class == KYMO__HISTOGRAMS)
        pair += kymo__bucket(f->bounds, f->n_bounds, what.v);
    return f->class == KYMO__NATIVE || kymo__exemplar_due(f, kymo__load_relaxed(&pair->n));
}

static void keep_exemplar(struct kymo__family *f, const struct kymo__series *series, struct kymo__record what)
{
    int observed = what.op == KYMO__OBSERVE;
    uint32_t bucket = observed ? kymo__bucket(f->bounds, f->n_bounds, what.v) : 0;
    double amount = what.op == KYMO__ADD_WHOLE ? (double)what.n : what.v;
    kymo__exemplar_keep(f, series, bucket, f->class == KYMO__NATIVE, amount, what.exemplar);
}

static uint8_t words_of(enum kymo__op op)
{
    return op == KYMO__ADD_FRACTION ? 3 : 1;
}

/* In flight: records into a slot that lives, and marks what the thread lacks. */
static void record_living(struct kymo__family *f, const struct kymo__series *series, uint64_t loc,
                          struct kymo__record what)
{
    int brings = brings_exemplar(f, loc, what);
    int refused = record_shared(f, loc, what);
    if (refused != 0)
        kymo__refuse(f, (enum kymo__refusal)refused);
    else if (brings)
        keep_exemplar(f, series, what);
    uint32_t column = (uint32_t)(loc >> KYMO__WORD_BITS);
    uint32_t at = kymo__load_acquire(&f->reg->columns)[column]; /* with kymo__columns_publish() */
    const struct kymo__entry *entry = kymo__entry_of(at);
    if (entry == NULL || kymo__load_relaxed(&entry->ctl) == NULL ||
        (what.op == KYMO__ADD_FRACTION && kymo__load_relaxed(&entry->fractions) == NULL))
        kymo__want(f->reg, at, column, words_of(what.op));
}

/* What a recording weighs among the heaviest. */
static double weight_of(struct kymo__record what)
{
    switch (what.op) {
    case KYMO__ADD_WHOLE:
    case KYMO__OBSERVE:
        return (double)what.n;
    case KYMO__ADD_FRACTION:
        return what.v;
    default:
        return 0;
    }
}

void kymo__record_slow(const struct kymo__cell *cell, struct kymo__record what)
{
    struct kymo__family *f = cell->family;
    struct kymo__segment *s = f->reg->segment;
    int64_t *counter = kymo__in_flight_enter(s);
    uint64_t loc = KYMO__DEAD;
    if (!kymo__load_relaxed(&f->dead)) { /* else its records may be gone */
        struct kymo__series *series = kymo__at(s, kymo__load_acquire(&cell->series));
        loc = kymo__guard_home(f, &series, weight_of(what), 1);
        if (kymo__is_overflow(f, series) && f->record->top == 0 && cell != kymo__cell_of(f, series))
            kymo__guard_dropped(f);
        if (loc != KYMO__DEAD)
            record_living(f, series, loc, what);
    }
    kymo__in_flight_leave(counter);
    if (loc == KYMO__DEAD)
        kymo__refuse(f, KYMO__UNREGISTERED);
}

/* In flight: 1 if it is recorded, without creating anything. */
static int record_found(struct kymo__family *f, const char *const *values, struct kymo__record what)
{
    if (kymo__load_relaxed(&f->dead))
        return 0;
    struct kymo__series *series = kymo__series_find(f, values);
    if (series == NULL)
        series = kymo__guard_miss(f, values, weight_of(what), 0);
    uint64_t loc = series != NULL ? kymo__guard_home(f, &series, weight_of(what), 0) : KYMO__DEAD;
    if (loc != KYMO__DEAD)
        record_living(f, series, loc, what);
    return loc != KYMO__DEAD;
}

void kymo__record_slow_labels(struct kymo__family *f, const char *const *values, size_t n, struct kymo__record what)
{
    int error = 0, known = n == f->n_labels && (values != NULL || n == 0);
    for (;;) {
        int64_t *counter = kymo__in_flight_enter(f->reg->segment);
        int recorded = known && record_found(f, values, what);
        kymo__in_flight_leave(counter);
        if (recorded)
            return;
        /* Creating takes the lock, under which somebody may wait for us: leave, create, and come back. */
        struct kymo__series *series = kymo__series_get(f, values, n, NULL, &error);
        if (series == NULL) {
            kymo__refuse(f, kymo__refusal_of(error));
            return;
        }
        if (!kymo__is_overflow(f, series))
            continue;
        counter = kymo__in_flight_enter(f->reg->segment);
        int ended = kymo__load_relaxed(&f->dead);
        if (!ended && error != 0)
            kymo__guard_dropped(f);
        if (!ended)
            record_living(f, series, kymo__load_relaxed(&series->loc), what);
        kymo__in_flight_leave(counter);
        if (ended)
            kymo__refuse(f, KYMO__UNREGISTERED);
        return;
    }
}
