/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/record.h - how a recording begins and ends in memory of its own; inlined into every recording call.
 *
 * kymo__begin() finds the thread's entry for a handle and marks the thread busy; kymo__end() takes the mark back. In
 * between nobody else writes the thread's words, a handler that interrupts finds the mark and goes the slow way, and
 * whoever wants to give the slot to another series waits.
 */
#ifndef KYMO__RECORD_H
#define KYMO__RECORD_H

#include <math.h>

#include "core/core.h"

#define kymo__likely(x) __builtin_expect(!!(x), 1)
#define kymo__unlikely(x) __builtin_expect(!!(x), 0)

/* The thread's entry for a process column, or NULL: no control, or a fresh child of fork(). */
static inline struct kymo__entry *kymo__entry_of(uint64_t process_column)
{
    struct kymo__thread *t = kymo__self;
    /* n before dir: a directory at least as large as the n that was seen. With control_publish(). */
    if (kymo__unlikely(process_column >= kymo__load_acquire(&t->n)))
        return NULL;
    struct kymo__entry *dir = kymo__load_acquire(&t->dir);
    return kymo__likely(dir != NULL) ? dir + process_column : NULL; /* a handler may have forked: we are the child */
}

/* Marks the owner of a control line busy; 0 if it is already, since then we are a handler on top of its update. */
static inline int kymo__set_busy(struct kymo__ctl *ctl, uint64_t *busy)
{
    *busy = kymo__load_relaxed(&ctl->busy); /* only this thread, and handlers that ended, write it */
    if (kymo__unlikely(*busy & 1))
        return 0;
    kymo__store_relaxed(&ctl->busy, *busy + 1);
    kymo__fence_signal(); /* before the handle is looked at again; the reclaimer's membarrier is the other half */
    return 1;
}

static inline void kymo__end(struct kymo__ctl *ctl, uint64_t busy)
{
    kymo__store_release(&ctl->busy, busy + 2); /* with moved_on() and kymo__shard_settle() */
}

/* The entry to record into, busy marked, or NULL: go the slow way. *loc says which word. */
static inline struct kymo__entry *kymo__begin(const struct kymo__cell *cell, uint64_t *loc, uint64_t *busy)
{
    *loc = kymo__load_relaxed(&cell->loc); /* a hint: it is what the second look compares with */
    struct kymo__entry *entry = kymo__entry_of(*loc >> KYMO__WORD_BITS);
    if (kymo__unlikely(entry == NULL))
        return NULL;
    struct kymo__ctl *ctl = kymo__load_acquire(&entry->ctl); /* with entry_add_chunk(): the words are there */
    if (kymo__unlikely(ctl == NULL) || !kymo__set_busy(ctl, busy))
        return NULL;
    /* Before what follows; against who takes it away, the two halves of the fence. With who set it: the slot is ready. */
    if (kymo__likely(kymo__load_acquire(&cell->loc) == *loc))
        return entry;
    kymo__end(ctl, *busy);
    return NULL;
}

static inline void kymo__add_word(uint64_t *word, uint64_t n)
{
    kymo__store_relaxed(word, kymo__load_relaxed(word) + n); /* single writer; readers want the value, no order */
}

static inline void kymo__add_fraction(uint64_t *word, double v)
{
    kymo__store_relaxed(word, kymo__bits(kymo__double(kymo__load_relaxed(word)) + v));
}

/* Two doubles, two truths: what every machine we run on compares in one instruction, or the compiler spells out. */
typedef double kymo__double2 __attribute__((vector_size(16), aligned(8), may_alias));
typedef int64_t kymo__truth2 __attribute__((vector_size(16)));

/* How many bounds v lies above: its bucket. NaN lies above none. bounds are padded with +Inf to a multiple of four. */
static inline uint32_t kymo__bucket(const double *bounds, uint32_t n, double v)
{
    if (kymo__likely(n <= 32)) {
        const kymo__double2 *at = (const kymo__double2 *)(const void *)bounds;
        kymo__double2 both = {v, v};
        kymo__truth2 above = {0, 0}, more = {0, 0};
        for (uint32_t i = 0; i < n; i += 4, at += 2) {
            above -= both > at[0]; /* true is -1 */
            more -= both > at[1];
        }
        above += more;
        return (uint32_t)(above[0] + above[1]);
    }
    uint32_t base = 0;
    for (uint32_t left = n; left > 1;) { /* branch-free halving */
        uint32_t half = left / 2;
        base = v > bounds[base + half - 1] ? base + half : base;
        left -= half;
    }
    return base + (v > bounds[base]);
}

/* What an observation leaves behind: the sum, and one or two words of which at says where, counted from the slot. */
struct kymo__change {
    uint64_t *slot;
    int32_t at[2]; /* 0: none */
    uint64_t value[2];
    double sum;
};

/*
 * n observations, whole: the redo record says where they will end, the sequence is odd while they are on their way. See
 * docs/protocols.md, "A histogram's update".
 */
static inline __attribute__((always_inline)) void kymo__change_words(struct kymo__ctl *ctl,
                                                                     const struct kymo__change *change, uint64_t n)
{
    uint64_t *slot = change->slot;
    int32_t first = change->at[0], second = change->at[1];
    uint64_t seq = kymo__load_relaxed(&slot[0]); /* single writer */
    kymo__fence_release(); /* who sees the record below sees the last update's even sequence, or later */
    kymo__store_relaxed(&ctl->redo_slot, (int64_t)((char *)slot - (char *)ctl));
    kymo__store_relaxed(&ctl->redo_seq, seq + 2 * n);
    kymo__store_relaxed(&ctl->redo_sum, kymo__bits(change->sum));
    kymo__store_relaxed(&ctl->redo_value[0], change->value[0]);
    if (second != 0)
        kymo__store_relaxed(&ctl->redo_value[1], change->value[1]);
    kymo__store_relaxed(&ctl->redo_at, (uint64_t)(uint32_t)second << 32 | (uint32_t)first);
    kymo__store_release(&slot[0], seq + 1); /* with read_slot(): who sees it odd sees the redo record */
    kymo__fence_release();                  /* who sees a word below sees it odd, or later */
    kymo__store_relaxed(&slot[1], kymo__bits(change->sum));
    if (first != 0)
        kymo__store_relaxed(&slot[first], change->value[0]);
    if (second != 0)
        kymo__store_relaxed(&slot[second], change->value[1]);
    kymo__store_release(&slot[0], seq + 2 * n); /* who sees it even sees the words above */
}

/* The same for classic buckets alone; the one above all bounds has no word. */
static inline __attribute__((always_inline)) void
kymo__observe_words(struct kymo__ctl *ctl, uint64_t *slot, uint32_t n_bounds, uint32_t bucket, double add, uint64_t n)
{
    struct kymo__change change = {
        .slot = slot,
        .at = {bucket < n_bounds ? (int32_t)(2 + bucket) : 0, 0},
        .value = {bucket < n_bounds ? kymo__load_relaxed(&slot[2 + bucket]) + n : 0, 0},
        .sum = kymo__double(kymo__load_relaxed(&slot[1])) + add,
    };
    kymo__change_words(ctl, &change, n);
}

/* Whole amounts up to here go to the integer word: sums of them cannot overflow within any host's life. */
#define KYMO__WHOLE_MAX 4294967296.0

/* What a counter will not take; 0 if it will. */
static inline int kymo__counter_refuses(struct kymo__family *f, double v)
{
    if (kymo__likely(v >= 0 && v <= 1.7976931348623157e308))
        return 0;
    kymo__refuse(f, isnan(v) ? KYMO__NAN : v < 0 ? KYMO__NEGATIVE : KYMO__INFINITE);
    return 1;
}

#endif
