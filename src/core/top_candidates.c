/* SPDX-License-Identifier: Apache-2.0 */
/* core/top_candidates.c - places for heavy label sets. Read core/top_candidates.h first. */
#include "core/top_candidates.h"

#include <string.h>

enum state { FREE, WRITING, READY, TAKING };

#define STATE_BITS 2u
#define TRIES 4 /* to get a place while others are faster: then the key waits for the next upkeep */
#define NO_PLACE UINT32_MAX

_Static_assert(KYMO__TOP_TEXT <= UINT16_MAX && KYMO__MAX_LABELS <= UINT16_MAX, "sizes of a place");

static uint64_t head_of(uint64_t weight, enum state state)
{
    return weight << STATE_BITS | (uint64_t)state;
}

static enum state state_of(uint64_t head)
{
    return (enum state)(head & ((1u << STATE_BITS) - 1));
}

/* ---- recorders ---- */

/* A free place, or the lightest one that is lighter than weight; *head is what it was chosen for. */
static uint32_t choose(struct kymo__top_candidates *c, uint64_t weight, uint64_t *head)
{
    uint64_t least = KYMO__TOP_WEIGHT_MAX;
    uint32_t lightest = NO_PLACE;
    int upkeep = 0;
    for (uint32_t i = 0; i < KYMO__TOP_PLACES; i++) {
        uint64_t found = kymo__load_relaxed(&c->heads[i]); /* claim() looks again */
        if (state_of(found) == FREE) {
            *head = found;
            return i;
        }
        if (state_of(found) == READY && found >> STATE_BITS < least) {
            least = found >> STATE_BITS;
            lightest = i;
            *head = found;
        }
        upkeep |= state_of(found) == TAKING;
    }
    if (lightest != NO_PLACE && least < weight)
        return lightest;
    if (!upkeep) /* which is about to free places. A hint that is out of date refuses keys until the next upkeep */
        kymo__store_relaxed(&c->enough, least);
    return NO_PLACE;
}

/* A place that is ours to write. */
static uint32_t claim(struct kymo__top_candidates *c, uint64_t weight, uint32_t at, uint64_t head)
{
    for (int tries = 0; at != NO_PLACE && tries < TRIES; tries++) {
        /* full: nothing is written before the place is ours. Whoever had it stored its head with release. */
        if (kymo__cas_full(&c->heads[at], &head, head_of(weight, WRITING)))
            return at;
        at = choose(c, weight, &head);
    }
    return NO_PLACE;
}

/* Of a string, at most max. */
static uint32_t length(const char *value, uint32_t max)
{
    const char *end = memchr(value, '\0', max);
    return end != NULL ? (uint32_t)(end - value) : max;
}

static int fits(const char *const *values, uint32_t n)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < n && used <= KYMO__TOP_TEXT; i++)
        used += length(values[i], KYMO__TOP_TEXT) + 1;
    return n <= KYMO__MAX_LABELS && used <= KYMO__TOP_TEXT;
}

static void write_place(struct kymo__top_place *place, uint32_t hash, const char *const *values, uint32_t n)
{
    uint32_t i = 0, used = 0;
    for (; i < n && used < KYMO__TOP_TEXT; i++) { /* as fits() said, or else somebody changes the values: cut off */
        uint32_t len = length(values[i], KYMO__TOP_TEXT - 1 - used);
        memcpy(place->text + used, values[i], len);
        place->text[used + len] = '\0';
        used += len + 1;
    }
    place->hash = hash;
    place->n_labels = (uint16_t)i;
    place->n_bytes = (uint16_t)used;
}

int kymo__top_offer(struct kymo__top_candidates *c, struct kymo__top_sketch *s, uint32_t hash, uint64_t weight,
                    const char *const *values, uint32_t n_labels)
{
    uint64_t head = 0;
    if (weight <= kymo__load_relaxed(&c->enough))
        return 0;
    uint32_t at = choose(c, weight, &head);
    if (at == NO_PLACE || !kymo__top_sketch_offer(s, hash))
        return 0;
    at = fits(values, n_labels) ? claim(c, weight, at, head) : NO_PLACE;
    if (at == NO_PLACE)
        return 0;
    write_place(&c->places[at], hash, values, n_labels);
    kymo__store_release(&c->heads[at], head_of(weight, READY)); /* with claim() of upkeep or a recorder */
    return 1;
}

/* ---- upkeep ---- */

/* Makes a place ours to read. One that is in TAKING already was left to us: by the last call, or one that died. */
static int seize(uint64_t *at)
{
    uint64_t head = kymo__load_acquire(at); /* with the release of kymo__top_offer() */
    while (state_of(head) == READY)
        if (kymo__cas_full(at, &head, head_of(head >> STATE_BITS, TAKING)))
            return 1;
    return state_of(head) == TAKING;
}

static void give_back(uint64_t *at)
{
    kymo__store_release(at, head_of(0, FREE)); /* with claim(): what was read has been read */
}

static void copy_place(struct kymo__top_candidate *out, const struct kymo__top_place *place, uint64_t weight)
{
    const char *at = out->text;
    out->hash = place->hash;
    out->weight = weight;
    out->n_labels = place->n_labels;
    memcpy(out->text, place->text, place->n_bytes);
    for (uint32_t i = 0; i < out->n_labels; i++, at += strlen(at) + 1)
        out->values[i] = at;
}

int kymo__top_candidate_take(struct kymo__top_candidates *c, struct kymo__top_sketch *s,
                             struct kymo__top_candidate *out)
{
    uint32_t heaviest = NO_PLACE;
    uint64_t most = 0;
    for (uint32_t i = 0; i < KYMO__TOP_PLACES; i++) {
        if (!seize(&c->heads[i]))
            continue;
        uint64_t weight = kymo__top_sketch_get(s, c->places[i].hash);
        if (heaviest == NO_PLACE || weight > most) {
            most = weight;
            heaviest = i;
        }
    }
    if (heaviest == NO_PLACE)
        return 0;
    copy_place(out, &c->places[heaviest], most);
    give_back(&c->heads[heaviest]);
    return 1;
}

void kymo__top_candidates_clear(struct kymo__top_candidates *c, struct kymo__top_sketch *s)
{
    for (uint32_t i = 0; i < KYMO__TOP_PLACES; i++)
        if (seize(&c->heads[i]))
            give_back(&c->heads[i]);
    kymo__top_sketch_clear_offers(s);
    kymo__store_relaxed(&c->enough, 0); /* a hint */
}
