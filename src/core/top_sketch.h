/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/top_sketch.h - which label sets without a series of their own are recorded most, in memory that does not grow.
 *
 * The sketch is a table of keys, the hashes of label sets, and their weights: the sums of what was recorded. It has
 * about ten times as many buckets as series are wanted, of eight words each: a cache line. A key belongs into one
 * bucket. If it is not there and the bucket is full, it takes the place of the lightest and inherits that one's weight
 * (Space-Saving: Metwally, Agrawal, El Abbadi, ICDT 2005; here in each bucket for itself). So, as long as threads do
 * not meet in one bucket:
 *   T1 a key's weight is never less than what was recorded for it;
 *   T2 for a key that is not there, no more was recorded than its bucket's lightest weighs.
 * Threads that bring the same new key at once may leave two words of it: whoever reads one adds them up.
 *
 * A word: fingerprint (21 bits), whether the key has been offered (1), weight (42). All zero is empty. A key has 31
 * bits; with 1024 buckets or more, bucket and fingerprint say all of them, but that fingerprint 1 stands for 0 as well.
 *
 * It knows hashes alone. The label values of keys that turn out to be heavy are in top_candidates.h; of each key the
 * sketch remembers whether it has been offered there.
 *
 * What must hold: a change is one compare-exchange of one word. No pointers; all zero is a good beginning but for
 * kymo__top_sketch_init(). Recorders do not wait for anybody: any thread, signal handlers, processes that share memory.
 */
#ifndef KYMO__TOP_SKETCH_H
#define KYMO__TOP_SKETCH_H

#include <stddef.h>

#include "core/core.h"
#include "core/record.h"

#define KYMO__TOP_WAYS 8u
#define KYMO__TOP_WEIGHT_BITS 42u
#define KYMO__TOP_WEIGHT_MAX (((uint64_t)1 << KYMO__TOP_WEIGHT_BITS) - 1)
#define KYMO__TOP_OFFERED ((uint64_t)1 << KYMO__TOP_WEIGHT_BITS)
#define KYMO__TOP_UNIT 1024 /* of weight, for an amount of 1: 2^32 recordings of 1 fit */

struct kymo__top_sketch {
    _Alignas(64) uint32_t bucket_mask;
    uint32_t saturated; /* some weight has reached the highest there is */
    _Alignas(64) uint64_t words[];
};

/** kymo__top_sketch_bytes() - what a sketch for the heaviest k needs, aligned to 64. At most 64 MiB, for large k. */
size_t kymo__top_sketch_bytes(uint32_t k);
/** kymo__top_sketch_init() - in zeroed memory, before anybody else sees it */
void kymo__top_sketch_init(struct kymo__top_sketch *s, uint32_t k);

/** kymo__top_weight() - an amount in units of weight: at least one, at most the highest; 0 for what is not above 0. */
static inline uint64_t kymo__top_weight(double amount)
{
    double units = amount * KYMO__TOP_UNIT;
    if (units >= 1)
        return units < (double)KYMO__TOP_WEIGHT_MAX ? (uint64_t)units : KYMO__TOP_WEIGHT_MAX;
    return amount > 0;
}

/**
 * kymo__top_sketch_add() - one recording of a key
 * @weight: from kymo__top_weight()
 *
 * Returns the key's weight after it, and KYMO__TOP_OFFERED with it if it has been offered: see kymo__top_due(). A
 * weight of 0 changes nothing. Lock-free. Cost: one cache line, one compare-exchange.
 */
uint64_t kymo__top_sketch_add(struct kymo__top_sketch *s, uint32_t hash, uint64_t weight);

/** kymo__top_due() - whether what kymo__top_sketch_add() returned is more than a threshold, and not offered yet */
static inline int kymo__top_due(uint64_t added, uint64_t threshold)
{
    return added > threshold && added < KYMO__TOP_OFFERED;
}

/** kymo__top_sketch_get() - a key's weight, or 0 if it is not there */
uint64_t kymo__top_sketch_get(struct kymo__top_sketch *s, uint32_t hash);
/** kymo__top_sketch_take() - removes a key; the weight it had, or 0 if it was not there */
uint64_t kymo__top_sketch_take(struct kymo__top_sketch *s, uint32_t hash);
/**
 * kymo__top_sketch_put() - a key comes back with a weight of its own
 * It is added to what was recorded meanwhile. If all others in its bucket are at least as heavy it stays out.
 */
void kymo__top_sketch_put(struct kymo__top_sketch *s, uint32_t hash, uint64_t weight);
/** kymo__top_sketch_offer() - 1 if the key is there and this is the first time since kymo__top_sketch_clear_offers() */
int kymo__top_sketch_offer(struct kymo__top_sketch *s, uint32_t hash);
void kymo__top_sketch_clear_offers(struct kymo__top_sketch *s);
/** kymo__top_sketch_saturated() - whether kymo__top_sketch_halve() is overdue: weights have stopped to grow */
int kymo__top_sketch_saturated(const struct kymo__top_sketch *s);
/** kymo__top_sketch_halve() - ages all keys: half the weight, and those of one unit are gone */
void kymo__top_sketch_halve(struct kymo__top_sketch *s);

#endif
