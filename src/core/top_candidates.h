/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/top_candidates.h - label sets that were found to be heavy, left by recorders for the next upkeep.
 *
 * Read core/top_sketch.h first. Recorders cannot make series; upkeep can, but knows only hashes from the sketch. So the
 * first recorder that finds a key above a threshold since the last upkeep writes its label values into one of 64
 * places. If all are taken, the lightest gives way to a heavier one.
 *
 * A place's head is one word, weight << 2 | state:
 *   FREE -> WRITING (a recorder) -> READY -> TAKING (upkeep) -> FREE, and
 *   READY -> WRITING (a recorder with a heavier key)
 * What must hold: text is written by who made the head WRITING, read by who made it TAKING. A recorder that is stopped
 * or killed in WRITING keeps that place from use, and nothing else; of one that died in TAKING the next upkeep goes on.
 * No pointers; all zero is empty.
 */
#ifndef KYMO__TOP_CANDIDATES_H
#define KYMO__TOP_CANDIDATES_H

#include "core/top_sketch.h"

#define KYMO__TOP_PLACES 64u
#define KYMO__TOP_TEXT 480u /* of all values, with a NUL each: longer label sets are never offered */

struct kymo__top_place {
    uint32_t hash;
    uint16_t n_labels;
    uint16_t n_bytes;
    char text[KYMO__TOP_TEXT]; /* values, one after the other */
};

struct kymo__top_candidates {
    _Alignas(64) uint64_t enough; /* a hint: what is not heavier finds no place */
    _Alignas(64) uint64_t heads[KYMO__TOP_PLACES];
    struct kymo__top_place places[KYMO__TOP_PLACES];
};

/* One that was taken: the caller's, values point into text. */
struct kymo__top_candidate {
    uint32_t hash;
    uint32_t n_labels;
    uint64_t weight; /* by the sketch, when it was taken */
    const char *values[KYMO__MAX_LABELS];
    char text[KYMO__TOP_TEXT];
};

/**
 * kymo__top_offer() - leaves a key's label values, if it is the first to do so since the last upkeep
 * @weight: of the key now; call it if kymo__top_due()
 * @values: @n_labels strings, not yet checked to be UTF-8
 *
 * Returns 1 if they stand in a place now. Any thread, signal handlers; never waits. Cost: mostly one comparison while
 * all places hold heavier ones, else a look at all places' heads and a copy, once for a key and upkeep.
 */
int kymo__top_offer(struct kymo__top_candidates *c, struct kymo__top_sketch *s, uint32_t hash, uint64_t weight,
                    const char *const *values, uint32_t n_labels);

/**
 * kymo__top_candidate_take() - copies the candidate that is heaviest now and frees its place; 0 if there is none
 * The others are kept from recorders until kymo__top_candidates_clear(), which ends an upkeep; those that come
 * meanwhile are found, too, so it is for the caller to have had enough. One caller at a time.
 */
int kymo__top_candidate_take(struct kymo__top_candidates *c, struct kymo__top_sketch *s,
                             struct kymo__top_candidate *out);

/** kymo__top_candidates_clear() - frees all places but those being written; keys may be offered again. As above. */
void kymo__top_candidates_clear(struct kymo__top_candidates *c, struct kymo__top_sketch *s);

#endif
