/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/top.h - families of the heaviest: which label sets have a series of their own, and how that changes.
 *
 * A label set of such a family is, at any time, one of
 *   nobody       no record; its recordings go to the overflow series, its weight is in the sketch (top_sketch.h)
 *   resting      a record, KYMO__RESTING, kept for handles: the same, but its labels are known
 *   promised     on the page at 0, KYMO__DEAD_BIT | KYMO__STANDBY_BIT | slot; recordings still go to the overflow series
 *   a member     it lives, and is recorded into; its weight is private (top_private.h), and follows from its value
 *   frozen       on the page as it is, loc as when promised; recordings go to the overflow series again; ends after
 *                guard.linger_ms, or is a member again at once if it is heavy enough
 * nobody/resting -> promised -> (shown by one complete walk) -> member -> frozen -> ended (resting if handles are out).
 * So each recording is counted in one series that is on the page before and after, and a series begins at a 0 that was
 * shown. Members and promised ones are at most guard.max_series, and with the frozen ones at most twice as many: while
 * there are so many, nobody new is promised.
 *
 * Who is heavy: all weights halve every KYMO__TOP_HALF_NS, so that the last hour or two count most. A challenger takes
 * the place of the lightest member if it is a tenth heavier. Weights are amounts times a scale, 1 at first, which
 * follows the amounts: where sums reach the highest weight there is, all of them become a sixteenth, and where single
 * amounts are less than a unit of weight, those that come count sixteen times as much.
 *
 * Label values stand in all of this as they may stand (kymo__guard_map()); the label set that is all `__other__` is
 * the overflow series and has no weight.
 *
 * Recorders: kymo__top_rest...(), in top.c; everything else is under the registry's lock, in top_members.c and
 * top_weights.c.
 */
#ifndef KYMO__TOP_H
#define KYMO__TOP_H

#include "core/top_candidates.h"

#define KYMO__TOP_HALF_NS ((int64_t)3600 * 1000000000) /* said in desc.h, enum kymo_guard_policy */

/* In the segment; the sketch lies behind it. */
struct kymo__top_record {
    _Alignas(64) uint64_t threshold; /* a hint for recorders: what is not heavier has no chance */
    uint64_t scale;                  /* bits of a double: units of weight are kymo__top_weight(amount * scale) */
    uint32_t too_coarse;             /* a mark: some amount was not more than a unit */
    uint32_t memory;                 /* ref of what all this was allocated as, and how much that was */
    uint64_t memory_bytes;
    struct kymo__top_candidates candidates;
};

static inline struct kymo__top_record *kymo__top_of(const struct kymo__family *f)
{
    return kymo__at(f->reg->segment, f->record->top);
}

static inline struct kymo__top_sketch *kymo__top_sketch_of(struct kymo__top_record *top)
{
    return (struct kymo__top_sketch *)(void *)(top + 1);
}

/** kymo__top_units() - what an amount weighs, at the scale in force */
static inline uint64_t kymo__top_units(const struct kymo__top_record *top, double amount)
{
    return kymo__top_weight(amount * kymo__double(kymo__load_relaxed(&top->scale))); /* relaxed: about now */
}

/* ---- top.c ---- */

/** kymo__top_new() - what a family of the heaviest needs; record->top is set last. KYMO_ENOMEM, KYMO_EFULL. */
int kymo__top_new(struct kymo__family *f);
/** kymo__top_end() - gives it back: the family has ended, and nobody is recording any more. */
void kymo__top_end(struct kymo__family *f);
/** kymo__top_rest() - weighs a recording for a series that is not a member. Lock-free; busy or in flight. */
void kymo__top_rest(struct kymo__family *f, const struct kymo__series *series, double amount);
/** kymo__top_rest_labels() - the same for labels that have no record; they are UTF-8. */
void kymo__top_rest_labels(struct kymo__family *f, const char *const *values, double amount);
/** kymo__top_named() - the ref of the record that a candidate was offered by, or 0: it was by its label values */
uint32_t kymo__top_named(const struct kymo__top_candidate *candidate);

/* ---- top_weights.c, top_members.c ---- */

void kymo__top_free(struct kymo__family *f);
/**
 * kymo__top_upkeep() - weighs members, promotes, demotes, ends what has lingered; @now_ns monotonic
 * A clock that goes back makes ages and lingering begin anew. Cost: a look at each series on the page, and at the sketch.
 */
void kymo__top_upkeep(struct kymo__family *f, int64_t now_ns);
/** kymo__top_demote() - a member that is idle is frozen, its weight forgotten; anything else is left as it is. */
void kymo__top_demote(struct kymo__family *f, struct kymo__series *series, int64_t now_ns);
/** kymo__top_seen() - a walk has shown a series; kymo__top_shown() - and is complete: what it promised may begin. */
void kymo__top_seen(struct kymo__family *f, const struct kymo__series *series, uint32_t walk);
void kymo__top_shown(struct kymo_registry *reg, uint32_t walk);
/**
 * kymo__top_recover() - in a child of fork(): what a series is, its loc alone says; its cell follows
 * Who died may have changed one and not the other. What was promised has to be shown by a walk of the child's.
 */
void kymo__top_recover(struct kymo__family *f);

#endif
