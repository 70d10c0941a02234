/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/key.h - label values as a key: read once, hashed, and compared with a series' text.
 *
 * A series keeps its label pairs only as they will be printed: `a="GET",b="200"`. Values that need no escaping, nearly
 * all, are compared there in place; their position follows from the lengths of names and values. Inlined into the one
 * file that looks things up, since recording by labels lives on it.
 */
#ifndef KYMO__KEY_H
#define KYMO__KEY_H

#include <string.h>

#include "base/sanitize.h"
#include "core/record.h"

struct kymo__key {
    uint32_t hash;
    uint32_t text_len; /* of the pairs, if nothing needs escaping */
    uint32_t len[KYMO__MAX_LABELS];
    uint64_t tail[KYMO__MAX_LABELS]; /* the last len % 8 bytes of each value, the rest zero */
};

static inline uint64_t kymo__mix(uint64_t h, uint64_t w)
{
#ifdef __SIZEOF_INT128__
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)(h ^ w) * 0x9e3779b97f4a7c15u;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
#else
    h = (h ^ w) * 0x9e3779b97f4a7c15u;
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93u;
    return h ^ h >> 32;
#endif
}

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && !KYMO__SANITIZED
#define KYMO__READ_WORDS 1
#else
#define KYMO__READ_WORDS 0
#endif

#if KYMO__READ_WORDS
typedef uint64_t __attribute__((may_alias)) kymo__text_word;

#define KYMO__LOW_BITS 0x0101010101010101u
#define KYMO__HIGH_BITS 0x8080808080808080u

/* Non-zero iff a byte of w is zero; the lowest set bit marks the first. */
static inline uint64_t kymo__zero_byte(uint64_t w)
{
    return (w - KYMO__LOW_BITS) & ~w & KYMO__HIGH_BITS;
}

/*
 * Reads a string by aligned words: they cannot cross into a page, or a memory tag, that the string does not touch.
 * The bytes after its end that come along are masked off before they mean anything. A last part of fewer than eight
 * bytes has a zero on top, a whole word has none: values that follow each other cannot be taken for others.
 * @all: all bytes, or'ed together eight at a time.
 */
static inline __attribute__((always_inline)) uint64_t kymo__scan_all(const char *value, uint64_t h, uint32_t *len,
                                                                     uint64_t *tail, uint64_t *all)
{
    const kymo__text_word *at = (const kymo__text_word *)(const void *)((uintptr_t)value & ~(uintptr_t)7);
    uint32_t skip = (uint32_t)((uintptr_t)value & 7) * 8;
    uint64_t held = *at >> skip;           /* 64 - skip bits of the string, then zeros... */
    uint64_t fill = ~(UINT64_MAX >> skip); /* ...that are no end of it */
    uint64_t zero = kymo__zero_byte(held | fill);
    uint32_t n = 0;
    while (kymo__unlikely(zero == 0)) {
        uint64_t next = *++at;
        uint64_t word = held | next << 1 << (63 - skip);
        zero = kymo__zero_byte(word);
        if (zero != 0) {
            held = word;
            break;
        }
        *all |= word;
        h = kymo__mix(h, word);
        n += 8;
        held = skip != 0 ? next >> skip : next;
        zero = kymo__zero_byte(held | fill);
    }
    uint32_t bytes = (uint32_t)__builtin_ctzll(zero) / 8; /* before the zero one */
    *tail = held & (((uint64_t)1 << bytes * 8) - 1);
    *all |= *tail;
    *len = n + bytes;
    return kymo__mix(h, *tail);
}
#else
static inline uint64_t kymo__load_bytes(const char *at, size_t n)
{
    uint64_t w = 0;
    for (size_t i = 0; i < n; i++)
        w |= (uint64_t)(unsigned char)at[i] << (8 * i);
    return w;
}

static inline uint64_t kymo__scan_all(const char *value, uint64_t h, uint32_t *len, uint64_t *tail, uint64_t *all)
{
    size_t n = strlen(value), at = 0;
    for (; n - at >= 8; at += 8) {
        *all |= kymo__load_bytes(value + at, 8);
        h = kymo__mix(h, kymo__load_bytes(value + at, 8));
    }
    *tail = kymo__load_bytes(value + at, n - at);
    *all |= *tail;
    *len = n < UINT32_MAX / 64 ? (uint32_t)n : UINT32_MAX / 64; /* too long in any case, and sums cannot wrap */
    return kymo__mix(h, *tail);
}
#endif

static inline __attribute__((always_inline)) uint64_t kymo__scan(const char *value, uint64_t h, uint32_t *len,
                                                                 uint64_t *tail)
{
    uint64_t all = 0; /* nobody asks: it costs nothing */
    return kymo__scan_all(value, h, len, tail, &all);
}

static inline __attribute__((always_inline)) int kymo__key_add(const char *value, uint64_t *h, uint32_t i,
                                                               struct kymo__key *key)
{
    if (kymo__unlikely(value == NULL))
        return 0;
    *h = kymo__scan(value, *h, &key->len[i], &key->tail[i]);
    key->text_len += key->len[i];
    return 1;
}

/*
 * Reads the first n values once; 0 if one is NULL. The first three are written out: with n known to the compiler
 * nothing of the key is in memory.
 */
static inline __attribute__((always_inline)) int
kymo__key_read_n(const struct kymo__family *f, const char *const *values, uint32_t n, struct kymo__key *key)
{
    uint64_t h = f->reg->seed;
    key->text_len = f->names_len;
    if ((n > 0 && !kymo__key_add(values[0], &h, 0, key)) || (n > 1 && !kymo__key_add(values[1], &h, 1, key)) ||
        (n > 2 && !kymo__key_add(values[2], &h, 2, key)))
        return 0;
    for (uint32_t i = 3; i < n; i++)
        if (!kymo__key_add(values[i], &h, i, key))
            return 0;
    key->hash = (uint32_t)(h ^ h >> 32) | 1; /* never 0: an entry is never empty */
    return 1;
}

static inline uint64_t kymo__load_word(const char *at)
{
    uint64_t w;
    memcpy(&w, at, 8);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap64(w);
#endif
    return w;
}

/* Whether a value and its closing quote stand at text. KYMO__SERIES_SLACK: there always is something to read. */
static inline __attribute__((always_inline)) int kymo__same_value(const char *text, const char *value, uint32_t len,
                                                                  uint64_t tail)
{
    for (; kymo__unlikely(len >= 8); len -= 8, text += 8, value += 8)
        if (kymo__load_word(text) != kymo__load_word(value))
            return 0;
    uint32_t bits = len * 8;
    uint64_t quoted = tail | (uint64_t)'"' << bits;
    return ((kymo__load_word(text) ^ quoted) << (56 - bits)) == 0; /* len + 1 bytes are the same */
}

/* Whether text begins with the value as it would be escaped; its end, or NULL. */
static inline const char *kymo__same_escaped_value(const char *text, const char *value)
{
    for (; *value != '\0'; value++) {
        if (*value == '\\' || *value == '"' || *value == '\n') {
            if (*text++ != '\\')
                return NULL;
            if (*text++ != (*value == '\n' ? 'n' : *value))
                return NULL;
        } else if (*text++ != *value) {
            return NULL;
        }
    }
    return *text == '"' ? text : NULL;
}

static inline int kymo__same_escaped(const struct kymo__family *f, const struct kymo__series *series,
                                     const char *const *values)
{
    const char *text = series->text; /* ends in a quote, then zeros: no value can run past it */
    for (uint32_t i = 0; i < f->n_labels; i++) {
        text = kymo__same_escaped_value(text + f->label_len[i] + 2, values[i]);
        if (text == NULL)
            return 0;
        text += 2;
    }
    return 1;
}

/* One value at its place; where the next one stands, or NULL. */
static inline __attribute__((always_inline)) const char *kymo__same_at(const struct kymo__family *f, const char *text,
                                                                       const char *value, uint32_t i,
                                                                       const struct kymo__key *key)
{
    text += f->label_len[i] + 2; /* name=" */
    if (kymo__unlikely(!kymo__same_value(text, value, key->len[i], key->tail[i])))
        return NULL;
    return text + key->len[i] + 2; /* ", */
}

static inline __attribute__((always_inline)) int kymo__same_labels(const struct kymo__family *f,
                                                                   const struct kymo__series *series,
                                                                   const char *const *values, uint32_t n,
                                                                   const struct kymo__key *key)
{
    const char *at = series->text;
    if (kymo__unlikely(series->flags & KYMO__SERIES_ESCAPED))
        return kymo__same_escaped(f, series, values);
    if (series->text_len != key->text_len)
        return 0;
    if ((n > 0 && (at = kymo__same_at(f, at, values[0], 0, key)) == NULL) ||
        (n > 1 && (at = kymo__same_at(f, at, values[1], 1, key)) == NULL) ||
        (n > 2 && (at = kymo__same_at(f, at, values[2], 2, key)) == NULL))
        return 0;
    for (uint32_t i = 3; i < n; i++)
        if ((at = kymo__same_at(f, at, values[i], i, key)) == NULL)
            return 0;
    return 1;
}

#endif
