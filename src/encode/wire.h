/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode/wire.h - the bytes that protocol buffers are made of: varints, tags, fixed words, nested messages.
 *
 * Whatever is put comes back as the end. Nothing is checked here: whoever calls has asked for the room. What is called
 * loose may overwrite KYMO__WIRE_LOOSE bytes in all, however many it returns; what comes next overwrites those. Source:
 * Protocol Buffers, "Encoding".
 */
#ifndef KYMO__WIRE_H
#define KYMO__WIRE_H

#include <stdint.h>
#include <string.h>

enum kymo__wire_type { KYMO__WIRE_VARINT = 0, KYMO__WIRE_FIXED64 = 1, KYMO__WIRE_BYTES = 2 };

#define KYMO__VARINT_MAX 10u
#define KYMO__WIRE_LOOSE 10u

/** kymo__word_swap() - a word as its bytes follow each other in memory, first one lowest; and back */
static inline uint64_t kymo__word_swap(uint64_t word)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return __builtin_bswap64(word);
#else
    return word;
#endif
}

static inline void kymo__put_word(char *at, uint64_t word)
{
    word = kymo__word_swap(word);
    memcpy(at, &word, sizeof word);
}

static inline void kymo__put_word32(char *at, uint32_t word)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap32(word);
#endif
    memcpy(at, &word, sizeof word);
}

static inline void kymo__put_word16(char *at, uint16_t word)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap16(word);
#endif
    memcpy(at, &word, sizeof word);
}

static inline size_t kymo__varint_size(uint64_t v)
{
    return (70 - (size_t)__builtin_clzll(v | 1)) / 7;
}

/** kymo__put_varint() - seven bits a byte, the low ones first; as few bytes as there can be */
static inline char *kymo__put_varint(char *at, uint64_t v)
{
    for (; v > 0x7f; v >>= 7)
        *at++ = (char)(v | 0x80);
    *at = (char)v;
    return at + 1;
}

/** kymo__put_varint_loose() - the same without a branch that values decide, as long as they are below 2^56 */
static inline char *kymo__put_varint_loose(char *at, uint64_t v)
{
    if (v >> 56 != 0)
        return kymo__put_varint(at, v);
    /* Groups of 28, 14 and at last 7 bits move to where their bytes are. */
    v = (v & 0x000000000fffffff) | (v & 0x00fffffff0000000) << 4;
    v = (v & 0x00003fff00003fff) | (v & 0x0fffc0000fffc000) << 2;
    v = (v & 0x007f007f007f007f) | (v & 0x3f803f803f803f80) << 1;
    unsigned last = (63 - (unsigned)__builtin_clzll(v | 1)) & 56; /* where the last byte is */
    v |= 0x8080808080808080 & ((UINT64_C(1) << last) - 1);
    kymo__put_word(at, v);
    return at + last / 8 + 1;
}

/** kymo__put_varint30() - the same below 2^30, quickest from 2^21 on, where nearly all nanoseconds are */
static inline char *kymo__put_varint30(char *at, uint32_t v)
{
    if (v >> 21 == 0)
        return kymo__put_varint_loose(at, v);
    uint32_t low = (v & 0x00003fff) | (v & 0x0fffc000) << 2;
    low = (low & 0x007f007f) | (low & 0x3f803f80) << 1;
    uint32_t top = v >> 28, goes_on = top != 0 ? 0x80808080 : 0x00808080;
    kymo__put_word32(at, low | goes_on);
    at[4] = (char)top;
    return at + 4 + (top != 0);
}

/** kymo__zigzag() - signed numbers so that small ones are short: 0, -1, 1, -2 become 0, 1, 2, 3 */
static inline uint64_t kymo__zigzag(int64_t v)
{
    return (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0);
}

static inline char *kymo__put_tag(char *at, uint32_t field, enum kymo__wire_type type)
{
    return kymo__put_varint(at, field << 3 | (uint32_t)type);
}

static inline char *kymo__put_fixed64(char *at, uint64_t bits)
{
    kymo__put_word(at, bits);
    return at + sizeof bits;
}

/** kymo__put_double() - any NaN becomes the one that means no more than that: another one marks a series as gone */
static inline char *kymo__put_double(char *at, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return kymo__put_fixed64(at, v == v ? bits : UINT64_C(0x7ff8000000000001));
}

static inline char *kymo__put_bytes(char *at, uint32_t field, const char *bytes, size_t n)
{
    at = kymo__put_varint(kymo__put_tag(at, field, KYMO__WIRE_BYTES), n);
    if (n > 0)
        memcpy(at, bytes, n);
    return at + n;
}

static inline char *kymo__put_uint_field(char *at, uint32_t field, uint64_t v)
{
    return kymo__put_varint_loose(kymo__put_tag(at, field, KYMO__WIRE_VARINT), v);
}

static inline char *kymo__put_double_field(char *at, uint32_t field, double v)
{
    return kymo__put_double(kymo__put_tag(at, field, KYMO__WIRE_FIXED64), v);
}

/**
 * kymo__nested_end() - puts the length before a nested message whose bytes are already there
 * @length: where its length belongs
 * @bytes:  so many after that the message begins; becomes what the length took: a guess for the next one
 * @end:    where it ends
 * A message behind a wrong guess is moved, so that the length has always as few bytes as there can be; there must be room
 * for it to be moved by 4.
 */
static inline char *kymo__nested_end(char *length, size_t *bytes, char *end)
{
    size_t n = (size_t)(end - length) - *bytes;
    if (n < 0x80 && *bytes == 1) {
        *length = (char)n;
        return end;
    }
    size_t size = kymo__varint_size(n);
    if (size != *bytes) {
        memmove(length + size, length + *bytes, n);
        *bytes = size;
    }
    kymo__put_varint(length, n);
    return length + size + n;
}

/** kymo__nested_grow() - the same for a message that had its length already and has become longer */
static inline char *kymo__nested_grow(char *length, size_t *bytes, char *end)
{
    size_t n = (size_t)(end - length) - *bytes;
    if (*bytes == 3 && n < 0x200000) {
        length[0] = (char)(n | 0x80);
        length[1] = (char)(n >> 7 | 0x80);
        length[2] = (char)(n >> 14);
        return end;
    }
    return kymo__nested_end(length, bytes, end);
}

/** kymo__nested_close() - the same where the guess is of no further use */
static inline char *kymo__nested_close(char *length, size_t bytes, char *end)
{
    return kymo__nested_end(length, &bytes, end);
}

#endif
