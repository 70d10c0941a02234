/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/native_parts.h - what native_state.c, native_table.c and native_shard.c share.
 *
 * Read native.h first. What must hold:
 * - An entry of the table means the same for ever: a bucket, at the schema it was made at, of one epoch. A coarser schema
 *   or a wider zero bucket changes how it is read, never what it says. So a step is one compare-exchange of the state.
 * - An entry belongs to everybody, and is counted in by compare-exchange of its pair; or to one shard, for good, and
 *   then that shard's redo record covers its count like any other word of the slot.
 * - A count carries its epoch in its top bits: what comes late meets another epoch and counts nowhere.
 * - Whoever populates a bucket announces it by an entry before it counts in it.
 * No function here locks, allocates or waits; the clock is read only when there are too many buckets, or have been.
 */
#ifndef KYMO__NATIVE_PARTS_H
#define KYMO__NATIVE_PARTS_H

#include "core/native.h"

/* ---- keys of entries ---- */

enum kymo__native_kinds { KYMO__POSITIVE = 1, KYMO__NEGATIVE_SIDE = 2, KYMO__ZERO_SIDE = 3 };

#define KYMO__SAME_SCHEMA_MASK ((uint64_t)0x7ffff) /* epoch and schema: the same bits as in a state */
#define KYMO__KIND_SHIFT 19u
#define KYMO__INDEX_SHIFT 21u
#define KYMO__OWN ((uint64_t)1 << 41)
#define KYMO__WHO_SHIFT 42u /* own: the shard; else 1 + the classic bucket, or 0: an entry that only announces */
#define KYMO__COARSEST_ENTRIES 268u

static inline enum kymo__native_kinds kymo__native_kind(uint64_t key)
{
    return (enum kymo__native_kinds)(key >> KYMO__KIND_SHIFT & 3);
}

static inline uint64_t kymo__native_key(uint64_t state, enum kymo__native_kinds kind, int32_t index, uint64_t who)
{
    return (state & KYMO__SAME_SCHEMA_MASK) | (uint64_t)kind << KYMO__KIND_SHIFT |
           (uint64_t)(uint32_t)(index + KYMO__INDEX_BIAS) << KYMO__INDEX_SHIFT | who;
}

/*
 * The epoch in force. Epochs come round, so that none can be told to be older than another by its number; but what was
 * read before this, and is of another epoch, is of an older one.
 */
static inline uint64_t kymo__native_epoch_now(const struct kymo__native_site *site)
{
    kymo__fence_acquire(); /* what was read before is older than what is read now */
    return kymo__state_epoch(kymo__load_relaxed(&site->head[KYMO__P_STATE].n));
}

/* An entry that announces a bucket and has no count: nobody keeps hold of it. */
static inline int kymo__native_announces(uint64_t key)
{
    return key >> KYMO__WHO_SHIFT == 0 && !(key & KYMO__OWN);
}

/* ---- native_state.c ---- */

struct kymo__native_site kymo__native_site_of(struct kymo__family *f, struct kymo__pair *head);
/** kymo__native_reset_if_due() - starts anew if that was put off until now. */
void kymo__native_reset_if_due(const struct kymo__native_site *site);
/**
 * kymo__native_limit() - after an observation: one step, if there are too many buckets
 * 1: the histogram started anew, and the observation has to be made again.
 */
int kymo__native_limit(const struct kymo__native_site *site);
/** kymo__native_populated_add() - one more bucket; if the state has changed meanwhile, who changed it has counted. */
void kymo__native_populated_add(const struct kymo__native_site *site, uint64_t state);

/* ---- native_table.c ---- */

enum { KYMO__STALE = -1, KYMO__FULL = -2, KYMO__PRESENT = -3 };

/**
 * kymo__native_entry_take() - the entry with this key, made if need be
 * KYMO__STALE: the state is not the last one. KYMO__FULL. KYMO__PRESENT: the key only announces and its bucket is
 * announced already.
 */
int64_t kymo__native_entry_take(const struct kymo__native_site *site, uint64_t state, uint64_t key);
/** kymo__native_shared_once() - counts in an entry that is everybody's: 0, KYMO__STALE, or why it was refused. */
int kymo__native_shared_once(const struct kymo__native_site *site, uint64_t state, double v, uint64_t n);

#endif
