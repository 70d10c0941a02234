/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/top_sketch.c - the heaviest keys: new ones, and what upkeep does with them. Read core/top_sketch.h first.
 *
 * Every loop here that tries again does so because somebody else has just changed the word: lock-free.
 */
#include "core/top_sketch.h"

#define MIN_BUCKETS 16u
#define MAX_BUCKETS (1u << 20)
#define PRINT_SHIFT (KYMO__TOP_WEIGHT_BITS + 1)
#define PRINT_UNIT ((uint64_t)1 << PRINT_SHIFT)

_Static_assert(offsetof(struct kymo__top_sketch, words) == 64, "buckets are cache lines");
_Static_assert(PRINT_SHIFT + 21 == 64, "a fingerprint is what a hash has above its lowest 11 bits");

static uint32_t n_buckets(uint32_t k)
{
    uint32_t n = MIN_BUCKETS;
    while (n < MAX_BUCKETS && n < (uint64_t)k * 10)
        n *= 2;
    return n;
}

size_t kymo__top_sketch_bytes(uint32_t k)
{
    return sizeof(struct kymo__top_sketch) + (size_t)n_buckets(k) * KYMO__TOP_WAYS * sizeof(uint64_t);
}

void kymo__top_sketch_init(struct kymo__top_sketch *s, uint32_t k)
{
    kymo__store_relaxed(&s->bucket_mask, n_buckets(k) - 1);
}

static inline uint64_t *bucket_of(struct kymo__top_sketch *s, uint32_t hash)
{
    /* Relaxed, here and with all words of a sketch: each of them says by itself all that it says. */
    return s->words + (size_t)(hash >> 1 & kymo__load_relaxed(&s->bucket_mask)) * KYMO__TOP_WAYS;
}

/* The lowest bit of a hash is always 1, and a fingerprint never 0, so that no key is found in an empty word. */
static inline uint64_t print_of(uint32_t hash)
{
    uint32_t print = hash >> 11;
    return print + (print == 0);
}

static uint64_t weight_of(uint64_t word)
{
    return word & KYMO__TOP_WEIGHT_MAX;
}

static uint64_t without_print(uint64_t word)
{
    return word & (KYMO__TOP_WEIGHT_MAX | KYMO__TOP_OFFERED);
}

static int is_key(uint64_t word, uint64_t print)
{
    return word >> PRINT_SHIFT == print;
}

/* A word that has become heavier, up to the highest weight. */
static inline uint64_t heavier(struct kymo__top_sketch *s, uint64_t word, uint64_t weight)
{
    uint64_t room = KYMO__TOP_WEIGHT_MAX - weight_of(word);
    if (kymo__unlikely(weight >= room)) {
        kymo__store_relaxed(&s->saturated, 1);
        weight = room;
    }
    return word + weight;
}

/* The least of eight, by a tournament: three comparisons deep, no branch. */
static inline uint64_t least_of(uint64_t order[KYMO__TOP_WAYS])
{
#pragma GCC unroll 3
    for (uint32_t half = KYMO__TOP_WAYS / 2; half > 0; half /= 2)
#pragma GCC unroll 4
        for (uint32_t i = 0; i < half; i++)
            order[i] = order[i] < order[i + half] ? order[i] : order[i + half];
    return order[0];
}

/*
 * The key's word, or the lightest one; an empty one has no weight and no key. *word is what it holds, looked at again.
 * Where in its bucket a key lies cannot be predicted, so there is one pass and no branch: weight and place are
 * compared as one number.
 */
static inline __attribute__((always_inline)) uint64_t *find(uint64_t *bucket, uint64_t print, uint64_t *word)
{
    uint64_t order[KYMO__TOP_WAYS];
    uint32_t found = 0;
#pragma GCC unroll 8
    for (uint32_t i = 0; i < KYMO__TOP_WAYS; i++) {
        uint64_t here = kymo__load_relaxed(&bucket[i]);
        order[i] = weight_of(here) * KYMO__TOP_WAYS + i;
        found |= (uint32_t)is_key(here, print) << i;
    }
    uint64_t lightest = least_of(order) % KYMO__TOP_WAYS;
    uint64_t *at = &bucket[found != 0 ? (uint32_t)__builtin_ctz(found) : lightest];
    *word = kymo__load_relaxed(at);
    return at;
}

uint64_t kymo__top_sketch_add(struct kymo__top_sketch *s, uint32_t hash, uint64_t weight)
{
    uint64_t *bucket = bucket_of(s, hash), print = print_of(hash), old, new, *at;
    do {
        at = find(bucket, print, &old);
        new = is_key(old, print) ? old : print *PRINT_UNIT | weight_of(old);
        new = heavier(s, new, weight);
        if (kymo__unlikely(weight == 0)) /* nobody gives way to nothing */
            return is_key(old, print) ? without_print(old) : 0;
    } while (!kymo__cas_relaxed(at, &old, new));
    return without_print(new);
}

uint64_t kymo__top_sketch_get(struct kymo__top_sketch *s, uint32_t hash)
{
    uint64_t *bucket = bucket_of(s, hash), print = print_of(hash), weight = 0;
    for (uint32_t i = 0; i < KYMO__TOP_WAYS; i++) {
        uint64_t word = kymo__load_relaxed(&bucket[i]);
        weight += is_key(word, print) ? weight_of(word) : 0;
    }
    return weight < KYMO__TOP_WEIGHT_MAX ? weight : KYMO__TOP_WEIGHT_MAX;
}

/* Empties a word if it is the key's; the weight it had. */
static uint64_t take_word(uint64_t *at, uint64_t print)
{
    uint64_t word = kymo__load_relaxed(at);
    while (is_key(word, print))
        if (kymo__cas_relaxed(at, &word, 0))
            return weight_of(word);
    return 0;
}

uint64_t kymo__top_sketch_take(struct kymo__top_sketch *s, uint32_t hash)
{
    uint64_t *bucket = bucket_of(s, hash), print = print_of(hash), weight = 0;
    for (uint32_t i = 0; i < KYMO__TOP_WAYS; i++)
        weight += take_word(&bucket[i], print);
    return weight < KYMO__TOP_WEIGHT_MAX ? weight : KYMO__TOP_WEIGHT_MAX;
}

void kymo__top_sketch_put(struct kymo__top_sketch *s, uint32_t hash, uint64_t weight)
{
    uint64_t *bucket = bucket_of(s, hash), print = print_of(hash), old, new, *at;
    do {
        at = find(bucket, print, &old);
        if (!is_key(old, print) && weight_of(old) >= weight)
            return;
        new = heavier(s, is_key(old, print) ? old : print * PRINT_UNIT, weight);
    } while (!kymo__cas_relaxed(at, &old, new));
}

int kymo__top_sketch_offer(struct kymo__top_sketch *s, uint32_t hash)
{
    uint64_t *bucket = bucket_of(s, hash), print = print_of(hash), word;
    uint64_t *at = find(bucket, print, &word);
    while (is_key(word, print) && !(word & KYMO__TOP_OFFERED))
        if (kymo__cas_relaxed(at, &word, word | KYMO__TOP_OFFERED))
            return 1;
    return 0;
}

static size_t n_words(const struct kymo__top_sketch *s)
{
    return ((size_t)kymo__load_relaxed(&s->bucket_mask) + 1) * KYMO__TOP_WAYS;
}

void kymo__top_sketch_clear_offers(struct kymo__top_sketch *s)
{
    for (size_t i = 0, n = n_words(s); i < n; i++)
        if (kymo__load_relaxed(&s->words[i]) & KYMO__TOP_OFFERED)
            kymo__and_relaxed(&s->words[i], ~KYMO__TOP_OFFERED);
}

int kymo__top_sketch_saturated(const struct kymo__top_sketch *s)
{
    return kymo__load_relaxed(&s->saturated) != 0;
}

static uint64_t half(uint64_t word)
{
    uint64_t weight = weight_of(word) / 2;
    return weight != 0 ? (word & ~KYMO__TOP_WEIGHT_MAX) | weight : 0;
}

void kymo__top_sketch_halve(struct kymo__top_sketch *s)
{
    kymo__store_relaxed(&s->saturated, 0); /* a recorder that saturates from here on sets it again, or is halved, too */
    for (size_t i = 0, n = n_words(s); i < n; i++) {
        uint64_t word = kymo__load_relaxed(&s->words[i]);
        while (word != 0 && !kymo__cas_relaxed(&s->words[i], &word, half(word))) {
        }
    }
}
