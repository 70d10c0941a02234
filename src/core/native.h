/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/native.h - native histograms: what their words mean, and the way through for an observation.
 *
 * The buckets of a native histogram come to be as values need them, and their resolution may change for all writers at
 * once. Nothing that was written is ever rewritten for that: every count says at which resolution it was made, and who
 * reads reduces it to the one in force. Read docs/protocols.md, "A native histogram", and core/record.h first.
 *
 *   state   one word, in the shared store: the epoch (how often the histogram started anew), the schema, how far the
 *           zero bucket was widened, how many buckets are populated. It changes by compare-exchange only. Beside it,
 *           in the same pair, when the epoch began.
 *   shard   a thread's own words: sequence, sum, under which state they were begun (the tag), zero bucket, classic
 *           buckets, and a window of consecutive buckets around the thread's first value
 *   table   shared: one entry for each bucket that is populated, in the order in which they came to be; with a
 *           count where it is in nobody's window
 */
#ifndef KYMO__NATIVE_H
#define KYMO__NATIVE_H

#include "base/bucket_index.h"
#include "core/record.h"

/* ---- state ---- */

#define KYMO__EPOCH_MASK ((uint64_t)0x7fff) /* 1, 2, ...; 0 is nobody's */
#define KYMO__SCHEMA_SHIFT 15u              /* 4 bits: schema + 4 */
#define KYMO__WIDE_SHIFT 19u                /* 4 bits: schema of wide index + 5, or 0: not widened */
#define KYMO__WIDE_INDEX_SHIFT 23u          /* 20 bits: the bucket whose upper bound is the zero threshold */
#define KYMO__OVER ((uint64_t)1 << 43)      /* over the limit, and something can be done about it */
#define KYMO__RESET_DUE ((uint64_t)1 << 44) /* starts anew min_reset_ns after it last did */
#define KYMO__POPULATED_SHIFT 45u           /* 18 bits; the top bit of the word is the pair's */
#define KYMO__INDEX_BIAS 524288
#define KYMO__INDEX_MASK ((uint64_t)0xfffff)
/* What a shard's tag has in common with the state as long as its owner may go straight on. */
#define KYMO__SAME_MASK (KYMO__EPOCH_MASK | KYMO__OVER | KYMO__RESET_DUE)
#define KYMO__TAG_MASK (KYMO__OVER - 1)

static inline uint64_t kymo__state_epoch(uint64_t state)
{
    return state & KYMO__EPOCH_MASK;
}

static inline int kymo__state_schema(uint64_t state)
{
    return (int)(state >> KYMO__SCHEMA_SHIFT & 15) + KYMO__SCHEMA_MIN;
}

static inline uint32_t kymo__state_populated(uint64_t state)
{
    return (uint32_t)(state >> KYMO__POPULATED_SHIFT & 0x3ffff);
}

/* ---- words of a shard ---- */

enum kymo__native_word {
    KYMO__N_SEQ,       /* as in classic histograms; half of it is the observations of all epochs */
    KYMO__N_SUM,       /* of this epoch */
    KYMO__N_TAG,       /* the state they were begun under, or 0: nothing here counts */
    KYMO__N_BASE,      /* first bucket of the window as kymo__axis() has it, and where it stands; 0: none yet */
    KYMO__N_THRESHOLD, /* bits of the zero threshold of the tag */
    KYMO__N_ZERO,
    KYMO__N_HEAD, /* then n_bounds classic buckets, then the window */
};
#define KYMO__WINDOW_MAX 160u

/* One axis for the buckets of both signs, far apart, so that one subtraction tells whether one is in a window. */
static inline uint64_t kymo__axis(int negative, int32_t index)
{
    return (uint64_t)(negative != 0) << 32 | (uint32_t)(index + KYMO__INDEX_BIAS);
}

/*
 * The window is a ring: the word of its first bucket is anywhere in it. So it moves over empty buckets by one store of
 * the base, and no count ever moves.
 */
#define KYMO__AXIS_SHIFT 16u /* of the base word; below it which word is the first bucket's */

static inline uint64_t kymo__base_axis(uint64_t base)
{
    return base >> KYMO__AXIS_SHIFT;
}

/* The word of the i-th bucket of a window. */
static inline uint32_t kymo__window_word(uint64_t base, uint32_t window, uint32_t i)
{
    uint32_t word = i + (uint16_t)base;
    return word >= window ? word - window : word;
}

/* ---- pairs of the shared store ---- */

enum kymo__native_pair {
    KYMO__P_STATE,   /* n: state, sum: start_ns */
    KYMO__P_TABLE,   /* n: ref of the table, sum: number of its entries */
    KYMO__P_DROPPED, /* n: observations in table entries of earlier epochs that were used again; sum: made twice */
    KYMO__P_USED,    /* n: a hint, how many entries are in use: the newest are the likeliest; sum: loc of the slot */
};

/* ---- the table ---- */

#define KYMO__COUNT_BITS 48u /* of an entry's n; above them the epoch it counts for */
#define KYMO__COUNT_MASK (((uint64_t)1 << KYMO__COUNT_BITS) - 1)
#define KYMO__PAIR_TOP ((uint64_t)1 << 63) /* is the pair's own, where it has to be locked */

/* The shared parts of one histogram. */
struct kymo__native_site {
    struct kymo__family *f;
    struct kymo__pair *head;
    uint64_t *keys; /* f->table_entries; used from 0 up, 0 is the end */
    struct kymo__pair *counts;
};

/* An entry as a state reads it. */
struct kymo__native_entry {
    int live;  /* of this epoch; else nothing below is set */
    int newer; /* of a schema that the state does not know yet */
    int own;
    uint32_t who;
    int zero; /* in the zero bucket */
    int negative;
    int32_t index; /* at the state's schema */
};

struct kymo__native_entry kymo__native_entry(uint64_t state, uint64_t key);
/** kymo__native_count() - the count of an entry's n, if it is of the state's epoch. */
uint64_t kymo__native_count(uint64_t state, uint64_t n);
/** kymo__native_in_zero() - whether the zero bucket has grown over a bucket. */
int kymo__native_in_zero(uint64_t state, int schema, int32_t index);
/** kymo__native_look() - the histogram as it is now, started anew first if that is due. */
struct kymo__native_site kymo__native_look(struct kymo__family *f, struct kymo__pair *head, uint64_t *state,
                                           int64_t *start_ns);
/** kymo__native_reduce() - one step towards fewer buckets than a state has, by a reader; 0 if there is none. */
int kymo__native_reduce(struct kymo__family *f, struct kymo__pair *head, uint64_t state);
/**
 * kymo__native_reach() - goes to a schema at once, if the state has not come to it
 * The table is nearly full; or something was made at a coarser schema than the state's, which happens in a child of
 * fork(): its pages were copied one after the other while other threads of the parent went on.
 */
void kymo__native_reach(const struct kymo__native_site *site, int schema);
/** kymo__native_threshold() - the zero threshold of a state. */
double kymo__native_threshold(const struct kymo__family *f, uint64_t state);

/* ---- the way through ---- */

/** kymo__native_observe_slow() - the whole way, by who is busy in the shard of @ctl; returns as below. */
uint64_t kymo__native_observe_slow(struct kymo__family *f, struct kymo__ctl *ctl, uint64_t *slot,
                                   struct kymo__pair *head, double v, uint64_t n);
/** kymo__native_observe_shared() - without words of the thread's own: 0, or why it was refused. */
int kymo__native_observe_shared(struct kymo__family *f, struct kymo__pair *head, double v, uint64_t n);

/*
 * Where in its slot an observation counts, or 0: go the slow way. Takes numbers that are neither subnormal nor infinite.
 * The index of kymo__index(), negated until the end: an arithmetic shift rounds the wrong way then, which is the right one.
 */
static inline __attribute__((always_inline)) uint32_t kymo__native_at(const uint64_t *slot, uint64_t tag,
                                                                      uint32_t n_bounds, uint32_t window, double v)
{
    const uint64_t one = (uint64_t)1 << 52, infinity = (uint64_t)0x7ff << 52;
    uint64_t bits = kymo__bits(v), magnitude = bits & (UINT64_MAX >> 1), mantissa = bits & (one - 1);
    if (magnitude <= kymo__load_relaxed(&slot[KYMO__N_THRESHOLD]))
        return KYMO__N_ZERO;
    if (kymo__unlikely(magnitude - one >= infinity - one))
        return 0;
    uint64_t base = kymo__load_relaxed(&slot[KYMO__N_BASE]);
    uint32_t i = kymo__boundary_first[mantissa >> 44];
    i += mantissa > kymo__boundary[i];
    i += mantissa > kymo__boundary[i];
    int64_t below = (1023 * 256 - (int64_t)((magnitude >> 52) * 256 + i)) >>
                    (KYMO__SCHEMA_MAX - KYMO__SCHEMA_MIN - (tag >> KYMO__SCHEMA_SHIFT & 15));
    uint64_t at = (bits >> 63 << 32) + (uint64_t)(KYMO__INDEX_BIAS - below) - kymo__base_axis(base);
    if (kymo__unlikely(at >= window))
        return 0;
    uint32_t word = KYMO__N_HEAD + n_bounds + kymo__window_word(base, window, (uint32_t)at);
    return kymo__load_relaxed(&slot[word]) != 0 ? word : 0; /* a bucket's first observation has to announce it */
}

/*
 * Observes, busy in the shard of ctl. n_bounds is the family's; where it is known to be 0 there is less to do. Returns
 * what the bucket held in this shard before: exemplars are taken by it.
 */
static inline __attribute__((always_inline)) uint64_t kymo__native_observe_n(struct kymo__family *f,
                                                                             struct kymo__ctl *ctl, uint64_t *slot,
                                                                             struct kymo__pair *head, double v,
                                                                             uint64_t n, uint32_t n_bounds)
{
    uint64_t state = kymo__load_relaxed(&head[KYMO__P_STATE].n); /* one that is outdated was in force when we began */
    uint64_t tag = kymo__load_relaxed(&slot[KYMO__N_TAG]);       /* single writer, like all of the slot */
    uint32_t at = 0;
    if (kymo__likely(((state ^ tag) & KYMO__SAME_MASK) == 0))
        at = kymo__native_at(slot, tag, n_bounds, f->window, v);
    if (kymo__unlikely(at == 0)) /* what is not finite, too: thresholds are */
        return kymo__native_observe_slow(f, ctl, slot, head, v, n);
    uint64_t before = kymo__load_relaxed(&slot[at]);
    uint32_t classic = n_bounds != 0 ? kymo__bucket(f->bounds, n_bounds, v) : 0;
    struct kymo__change change = {
        .slot = slot,
        .at = {(int32_t)at, classic < n_bounds ? (int32_t)(KYMO__N_HEAD + classic) : 0},
        .value = {before + n, classic < n_bounds ? kymo__load_relaxed(&slot[KYMO__N_HEAD + classic]) + n : 0},
        .sum = kymo__double(kymo__load_relaxed(&slot[KYMO__N_SUM])) + v * (double)n,
    };
    kymo__change_words(ctl, &change, n);
    return before;
}

static inline uint64_t kymo__native_observe(struct kymo__family *f, struct kymo__ctl *ctl, uint64_t *slot,
                                            struct kymo__pair *head, double v, uint64_t n)
{
    return kymo__native_observe_n(f, ctl, slot, head, v, n, f->n_bounds);
}

/* ---- for the registry's side ---- */

/** kymo__native_shape() - window and table size of a native family. */
void kymo__native_shape(struct kymo__family *f);
/** kymo__native_begin() - makes a slot ready for a new series: state, start, table. Registry's lock. 0 or an error. */
int kymo__native_begin(struct kymo__family *f, uint64_t loc, int64_t start_ns);
/** kymo__native_start_from() - it did not begin before @start_ns: a slot that was made ready earlier. */
void kymo__native_start_from(struct kymo__family *f, uint64_t loc, int64_t start_ns);
/** kymo__native_restart() - starts anew, nothing in it: a child of fork() that wants its values at 0. */
void kymo__native_restart(struct kymo__family *f, uint64_t loc, int64_t start_ns);

/* ---- reading: native_read.c ---- */

/* Buckets of one sign as they are put together. */
struct kymo__native_side {
    int32_t *index;
    uint64_t *count;
    uint32_t n;
};

/* What a native histogram is read into; one per registry, under its lock. */
struct kymo__native_scratch {
    uint32_t cap;                     /* of each side */
    struct kymo__native_side side[2]; /* positive, negative */
    uint64_t *own_key;                /* the key that was seen */
    uint64_t *own;                    /* what each entry of the table holds of the shard that is looked at */
    struct kymo_native_point point;
    size_t bytes;
};

/** kymo__native_scratch_ensure() - room for the histograms of a family; KYMO_ENOMEM. Registry's lock. */
int kymo__native_scratch_ensure(struct kymo_registry *reg, const struct kymo__family *f);
void kymo__native_scratch_free(struct kymo_registry *reg);
/**
 * kymo__native_read() - the complete value, within the limit, into a point that is already named
 * @buckets: n_bounds + 1 counts of scratch
 * Publishes what steps the limit needs. Under the registry's lock: the point is lent until the next read.
 */
void kymo__native_read(const struct kymo__family *f, uint64_t loc, uint64_t *buckets, struct kymo_point *point);
/** kymo__native_totals() - count, sum and classic buckets alone; by who is in flight, or holds the registry's lock. */
void kymo__native_totals(const struct kymo__family *f, uint64_t loc, uint64_t *buckets, struct kymo_point *point);
/**
 * kymo__native_lifetime() - observations ever made, in all epochs; for tests
 * Exact while nobody records. Who is killed between taking over an entry of an earlier epoch and noting what it held
 * makes it short by that.
 */
uint64_t kymo__native_lifetime(const struct kymo_histogram *h);

#endif
