/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode/quotes.h - where the quotes of a pair text are, all at once.
 *
 * One bit a byte, so that what follows goes from value to value without looking at the bytes between. Reads whole blocks,
 * up to 15 bytes past the text, which a registry's own texts allow (lines.h).
 */
#ifndef KYMO__QUOTES_H
#define KYMO__QUOTES_H

#include <stdint.h>
#include <string.h>

#include "base/sanitize.h"
#include "encode/wire.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#if KYMO__SANITIZED
static inline uint64_t kymo__quotes_and(char other, const char *text, size_t n, uint64_t *others)
{
    uint64_t quotes = 0;
    *others = 0;
    for (size_t i = 0; i < n; i++) {
        quotes |= (uint64_t)(text[i] == '"') << i;
        *others |= (uint64_t)(text[i] == other) << i;
    }
    return quotes;
}
#elif defined(__SSE2__)
static inline uint64_t kymo__equal_bytes(__m128i block, char c)
{
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(block, _mm_set1_epi8(c)));
}

static inline uint64_t kymo__quotes_and(char other, const char *text, size_t n, uint64_t *others)
{
    const __m128i *from = (const __m128i *)(const void *)text, wanted = _mm_set1_epi8(other);
    __m128i block = _mm_loadu_si128(from), found = _mm_cmpeq_epi8(block, wanted);
    uint64_t quotes = kymo__equal_bytes(block, '"');
    if (n > 16) {
        block = _mm_loadu_si128(from + 1);
        found = _mm_or_si128(found, _mm_cmpeq_epi8(block, wanted));
        quotes |= kymo__equal_bytes(block, '"') << 16;
    }
    if (n > 32) {
        block = _mm_loadu_si128(from + 2);
        found = _mm_or_si128(found, _mm_cmpeq_epi8(block, wanted));
        quotes |= kymo__equal_bytes(block, '"') << 32;
    }
    if (n > 48) {
        block = _mm_loadu_si128(from + 3);
        found = _mm_or_si128(found, _mm_cmpeq_epi8(block, wanted));
        quotes |= kymo__equal_bytes(block, '"') << 48;
    }
    *others = (unsigned)_mm_movemask_epi8(found);
    return quotes;
}
#else
/* The top bit of each byte that is 0, exactly. */
static inline uint64_t kymo__zero_bytes(uint64_t word)
{
    const uint64_t low = UINT64_C(0x7f7f7f7f7f7f7f7f);
    return ~(((word & low) + low) | word | low);
}

static inline uint64_t kymo__quotes_and(char other, const char *text, size_t n, uint64_t *others)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), gather = UINT64_C(0x0102040810204080);
    uint64_t quotes = 0;
    *others = 0;
    for (size_t i = 0; i < n; i += 8) {
        uint64_t word;
        memcpy(&word, text + i, sizeof word);
        word = kymo__word_swap(word);
        *others |= kymo__zero_bytes(word ^ ones * (unsigned char)other);
        quotes |= (kymo__zero_bytes(word ^ ones * '"') >> 7) * gather >> 56 << i;
    }
    return quotes;
}
#endif

/**
 * kymo__find_quotes() - a bit for each quote among @len bytes, 1 to 64
 * Returns 0 if there is no `\` among them: then quotes open and close values, and nothing is escaped. What is not 0 may
 * have been found past the text.
 */
static inline int kymo__find_quotes(uint64_t *quotes, const char *text, size_t len)
{
    uint64_t escapes;
    *quotes = kymo__quotes_and('\\', text, len, &escapes) & UINT64_MAX >> (64 - len) % 64;
    return escapes != 0;
}

#endif
