/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/utf8.c - strict UTF-8, ASCII eight bytes at a time.
 *
 * What tells a good sequence from a bad one is its first byte and the range of its second; all later bytes
 * are plain continuations. The table of RFC 3629, section 4, is written out below as ranges of the second
 * byte.
 */
#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

static int is_continuation(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

/* Second bytes that would make an overlong form, a surrogate or a character above U+10FFFF. */
static int second_is_out_of_range(unsigned char first, unsigned char second)
{
    if (first == 0xe0 || first == 0xf0)
        return second < (first == 0xe0 ? 0xa0 : 0x90);
    return (first == 0xed && second > 0x9f) || (first == 0xf4 && second > 0x8f);
}

/* Bytes in the sequence that @first opens; 0 if none may: c0 and c1 could only open overlong forms. */
static size_t sequence_length(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* Length of the good sequence at @s, of which @n bytes may be read; 0 if it is bad or cut short. */
static size_t sequence(const unsigned char *s, size_t n)
{
    size_t length = sequence_length(s[0]);
    if (length == 0 || length > n)
        return 0;
    for (size_t i = 1; i < length; i++)
        if (!is_continuation(s[i]))
            return 0;
    return length > 1 && second_is_out_of_range(s[0], s[1]) ? 0 : length;
}

#define HIGH_BITS UINT64_C(0x8080808080808080)

/* Whether n bytes are all ASCII; the last ones are looked at together with some before them. */
static int is_ascii(const char *s, size_t n)
{
    uint64_t word, seen = 0;
    uint32_t half;
    for (size_t at = 0; at + 8 <= n; at += 8) {
        memcpy(&word, s + at, 8);
        seen |= word;
    }
    if (n >= 8) {
        memcpy(&word, s + n - 8, 8);
        seen |= word;
    } else if (n >= 4) {
        memcpy(&half, s, 4);
        seen |= half;
        memcpy(&half, s + n - 4, 4);
        seen |= half;
    } else if (n > 0) {
        seen = (uint64_t)(unsigned char)s[0] | (unsigned char)s[n / 2] | (unsigned char)s[n - 1];
    }
    return (seen & HIGH_BITS) == 0;
}

int kymo__utf8_valid(const char *s, size_t n)
{
    const unsigned char *at = (const unsigned char *)s;
    if (is_ascii(s, n))
        return 1;
    while (n > 0) {
        uint64_t word;
        if (n >= sizeof word) {
            memcpy(&word, at, sizeof word);
            if ((word & HIGH_BITS) == 0) {
                at += sizeof word;
                n -= sizeof word;
                continue;
            }
        }
        size_t length = sequence(at, n);
        if (length == 0)
            return 0;
        at += length;
        n -= length;
    }
    return 1;
}
