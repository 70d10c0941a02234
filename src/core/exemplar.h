/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/exemplar.h - exemplars: where they lie, who may write one, which recordings bring one.
 *
 * A series of a family with exemplars has a block in the segment: a record for each classic bucket (a counter has
 * one) and, if it has native buckets, a store of some more, ranked by value. Whoever writes claims a record, or the
 * store, by compare-exchange of its claim word: it has one winner, and nobody waits. A claim that was never given back
 * (its owner was killed, or jumped out of) is taken over after KYMO__EXEMPLAR_PATIENCE others gave way to it; if its
 * owner was only slow and goes on writing, the record's check no longer fits what is in it, and readers pass it over
 * until it is written again. So a reader sees an exemplar as it was given, or none.
 *
 * Recorders are busy or in flight while they use a block, which is why it can be given away with the slot. Read
 * core/segment.h and core/record.h first.
 */
#ifndef KYMO__EXEMPLAR_H
#define KYMO__EXEMPLAR_H

#include "core/core.h"

#define KYMO__EXEMPLAR_WORDS 27u
#define KYMO__EXEMPLAR_TEXT (KYMO__EXEMPLAR_WORDS * 8) /* bytes of pair text that a record has room for */
#define KYMO__EXEMPLAR_CHARS 128u                      /* of names and values together. Source: OpenMetrics 1.0 */
#define KYMO__EXEMPLAR_STORE_MAX 64u                   /* of native.max_exemplars */
#define KYMO__EXEMPLAR_PATIENCE 32u
#define KYMO__EXEMPLAR_LOOKS 64 /* at what keeps changing, before it is taken as it is, or passed over */

/* ---- in the segment ---- */

/* A claim word: how often it was claimed << 16 | how many gave way to this claim << 1 | whether it is claimed now. */
struct kymo__exemplar {
    uint64_t claim; /* of a record in the store: unused */
    uint64_t check; /* of all below, up to text_len */
    uint64_t value; /* bits of a double */
    uint64_t timestamp;
    uint64_t text_len;
    uint64_t text[KYMO__EXEMPLAR_WORDS]; /* label pairs, escaped; zeros up to the end of the last word */
};
_Static_assert(sizeof(struct kymo__exemplar) == 256, "there is one for each bucket");

/* One of the store, by what decides about who has to go. */
struct kymo__exemplar_rank {
    uint64_t value; /* bits of a double */
    uint64_t timestamp;
    uint64_t ln;     /* bits of its logarithm */
    uint64_t record; /* index of its record */
};

/* native.max_exemplars ranks, of which n are in use, ascending by value; as many records behind them. */
struct kymo__exemplar_store {
    uint64_t claim;
    uint64_t n;
    struct kymo__exemplar_rank rank[];
};

struct kymo__exemplars {
    uint32_t next; /* ref of the next free block, if this one is free */
    uint32_t unused;
    uint64_t bytes;
    struct kymo__exemplar classic[]; /* n_bounds + 1 of them, then the store */
};

/* Where a series' record keeps the ref of its block: behind its text and what may be read beyond it. */
static inline size_t kymo__exemplars_ref_at(size_t text_len)
{
    return (sizeof(struct kymo__series) + text_len + KYMO__SERIES_SLACK + 7) & ~(size_t)7;
}

static inline uint32_t *kymo__exemplars_ref(const struct kymo__series *series)
{
    return (uint32_t *)(void *)((char *)(uintptr_t)series + kymo__exemplars_ref_at(series->text_len));
}

/* The block of a series of a family with exemplars; NULL while it has none: it came back to life just now. */
static inline struct kymo__exemplars *kymo__exemplars_of(const struct kymo__family *f,
                                                         const struct kymo__series *series)
{
    uint32_t ref = kymo__load_acquire(kymo__exemplars_ref(series)); /* with kymo__exemplars_attach() */
    return ref != 0 ? kymo__at(f->reg->segment, ref) : NULL;
}

static inline void kymo__exemplars_attach(const struct kymo__series *series, uint32_t block)
{
    kymo__store_release(kymo__exemplars_ref(series), block); /* with kymo__exemplars_of(): it is empty */
}

/* The series has none any more; who is busy or in flight may still look at what is returned. */
static inline uint32_t kymo__exemplars_detach(const struct kymo__series *series)
{
    uint32_t block = kymo__load_relaxed(kymo__exemplars_ref(series));
    kymo__store_relaxed(kymo__exemplars_ref(series), 0);
    return block;
}

static inline struct kymo__exemplar_store *kymo__exemplar_store_of(const struct kymo__family *f,
                                                                   struct kymo__exemplars *block)
{
    return (struct kymo__exemplar_store *)(void *)&block->classic[f->n_bounds + 1];
}

static inline struct kymo__exemplar *kymo__exemplar_store_record(const struct kymo__family *f,
                                                                 struct kymo__exemplar_store *store, uint64_t i)
{
    return (struct kymo__exemplar *)(void *)&store->rank[f->native.max_exemplars] + i;
}

/* ---- the registry's side: under its lock ---- */

/** kymo__exemplars_new() - a block for a series of @f, empty; its ref, or 0 and *@error. */
uint32_t kymo__exemplars_new(const struct kymo__family *f, int *error);
/** kymo__exemplars_give() - takes a block that nobody can be writing any more back, for series to come; 0 is none. */
void kymo__exemplars_give(struct kymo__segment *s, uint32_t ref);
/** kymo__exemplars_clear() - forgets the exemplars of a series; in a child of fork(), whose threads are its own. */
void kymo__exemplars_clear(const struct kymo__family *f, const struct kymo__series *series);

/* ---- recording ---- */

/*
 * Whether a recording is one of those whose exemplar is considered: one in exemplar_every. @before: what the thread's
 * word held before it, or any other number that changes with each recording. A multiple of the golden ratio, modulo 1,
 * is small that often and evenly spread, also where only each second or tenth recording brings an exemplar: a test
 * for "each n-th" would then see all of those or none. 0 for families without exemplars, whose limit is 0.
 */
static inline int kymo__exemplar_due(const struct kymo__family *f, uint64_t before)
{
    return (before * 0x9e3779b97f4a7c15u) >> 32 < f->exemplar_limit;
}

/* The same by a double, whose bits change where they are not looked at. */
static inline int kymo__exemplar_due_bits(const struct kymo__family *f, uint64_t bits)
{
    return kymo__exemplar_due(f, bits ^ bits >> 32);
}

/**
 * kymo__exemplar_keep() - keeps an exemplar, or counts why not ("exemplar_bad", "exemplar_busy")
 * @series: of a family with exemplars; the caller is busy or in flight
 * @bucket: the classic bucket whose exemplar it becomes; 0 for counters and where there are no bounds
 * @native: non-zero: and one of the store, too, if it is worth a place there
 * @v:      the amount, or what was observed; not NaN
 * Signal-safe if the registry's clock is; reads it only if @ex has no time and will be kept.
 */
void kymo__exemplar_keep(struct kymo__family *f, const struct kymo__series *series, uint32_t bucket, int native,
                         double v, const struct kymo_exemplar *ex);

/* ---- reading ---- */

/**
 * kymo__exemplars_read() - what was kept for a series
 * @series: of a family with exemplars; the caller is in flight or holds the registry's lock
 * @native: 0: of the classic buckets, ascending by bucket; else those of the store, ascending by value
 * @to:     room for @cap of them; n_bounds + 1, or native.max_exemplars, is enough
 * @text:   room for their labels: KYMO__EXEMPLAR_TEXT bytes each, and KYMO__TEXT_SLACK in all
 * Returns how many there are; what does not fit is left out.
 */
size_t kymo__exemplars_read(const struct kymo__family *f, const struct kymo__series *series, int native,
                            struct kymo_exemplar_point *to, size_t cap, char *text, size_t text_cap);

/* ---- between the files ---- */

/* An exemplar in memory of one's own. */
struct kymo__exemplar_copy {
    double value;
    int64_t timestamp_ns; /* 0: not yet known */
    size_t text_len;
    uint64_t text[KYMO__EXEMPLAR_WORDS]; /* zeros behind text_len */
};

/** kymo__exemplar_compose() - checks an exemplar and writes its text; 0 if it is not to be kept. exemplar_text.c */
int kymo__exemplar_compose(const struct kymo_exemplar *ex, struct kymo__exemplar_copy *to);

/** kymo__exemplar_claim() - the claim, or 0: somebody else has it, and gets one more sign of impatience. */
uint64_t kymo__exemplar_claim(uint64_t *word);
/** kymo__exemplar_release() - gives a claim back; 0 if it was taken over meanwhile: what was written is not to be read. */
int kymo__exemplar_release(uint64_t *word, uint64_t claim);
void kymo__exemplar_put(struct kymo__exemplar *record, const struct kymo__exemplar_copy *copy);
/** kymo__exemplar_get() - 1 if the record holds a whole exemplar. */
int kymo__exemplar_get(const struct kymo__exemplar *record, struct kymo__exemplar_copy *copy);
/** kymo__exemplar_stamp() - now, if the exemplar brought no time. */
void kymo__exemplar_stamp(const struct kymo__family *f, struct kymo__exemplar_copy *copy);

/** kymo__exemplar_store_keep() - lets an exemplar take its place in the store; 0: busy. exemplar_store.c */
int kymo__exemplar_store_keep(const struct kymo__family *f, struct kymo__exemplar_store *store,
                              struct kymo__exemplar_copy *copy);
/** kymo__exemplar_store_order() - records by ascending value, no index twice or out of range; returns how many. */
uint32_t kymo__exemplar_store_order(const struct kymo__family *f, const struct kymo__exemplar_store *store,
                                    uint8_t *records);
/** kymo__exemplar_ln() - the natural logarithm to the bit that Go's math.Log() computes, on which ties depend. */
double kymo__exemplar_ln(double v);

#endif
