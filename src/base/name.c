/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/name.c - plain names, and the schemes that make others plain: one character after the other.
 *
 * What must hold: the size announced is the size written, since both come from one loop. Read name.h first.
 */
#include "base/name.h"

#include <stdint.h>
#include <string.h>

#include "base/utf8.h"

#define BAD UINT32_MAX /* no character */
#define ESCAPED_MAX 8u /* one character, escaped: _10ffff_ */

static int is_letter(uint32_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static int is_plain(uint32_t c, int first, enum kymo__name_kind kind)
{
    return is_letter(c) || (c >= '0' && c <= '9' && !first) || (c == ':' && kind == KYMO__METRIC_NAME);
}

int kymo__name_is_plain(const char *name, size_t n, enum kymo__name_kind kind)
{
    for (size_t i = 0; i < n; i++)
        if (!is_plain((unsigned char)name[i], i == 0, kind))
            return 0;
    return n > 0;
}

/* Bytes that the character beginning with this byte should have; utf8.h judges whether it does. */
static size_t length_of(unsigned char first)
{
    return first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* One character, or one bad byte. */
static uint32_t next_character(const char **at, const char *end)
{
    const unsigned char *s = (const unsigned char *)*at;
    size_t n = length_of(s[0]);
    if (n > (size_t)(end - *at) || !kymo__utf8_valid(*at, n)) {
        (*at)++;
        return BAD;
    }
    uint32_t c = n == 1 ? s[0] : s[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++)
        c = c << 6 | (s[i] & 0x3fu);
    *at += n;
    return c;
}

static uint32_t next_unescaped(const char **at, const char *end)
{
    if (**at != '\\' || end - *at < 2)
        return next_character(at, end);
    char c = (*at)[1];
    *at += 2;
    return c == 'n' ? '\n' : (unsigned char)c; /* the other two stand for themselves */
}

static size_t put_text(char *to, const char *text)
{
    size_t n = strlen(text);
    memcpy(to, text, n);
    return n;
}

static size_t put_hex(char *to, uint32_t c)
{
    size_t n = 0;
    int shift = 20;
    while (shift > 0 && c >> shift == 0)
        shift -= 4;
    to[n++] = '_';
    for (; shift >= 0; shift -= 4)
        to[n++] = "0123456789abcdef"[c >> shift & 0xf];
    to[n++] = '_';
    return n;
}

/* What stands for a character; plain: it could stay as it is. */
static size_t put_character(char to[ESCAPED_MAX], uint32_t c, int plain, enum kymo__scheme scheme)
{
    if (scheme != KYMO__UNDERSCORES && c == '_')
        return put_text(to, "__");
    if (plain) {
        to[0] = (char)c;
        return 1;
    }
    if (scheme == KYMO__DOTS)
        return put_text(to, c == '.' ? "_dot_" : "__");
    if (scheme == KYMO__VALUES)
        return c == BAD ? put_text(to, "_FFFD_") : put_hex(to, c);
    return put_text(to, "_");
}

size_t kymo__name_escape(char *to, const char *name, size_t n, enum kymo__name_kind kind, enum kymo__scheme scheme,
                         int quoted)
{
    const char *at = name, *end = name + n;
    char one[ESCAPED_MAX];
    if (kymo__name_is_plain(name, n, kind)) {
        if (to != NULL)
            memcpy(to, name, n);
        return n;
    }
    size_t size = scheme == KYMO__VALUES ? put_text(one, "U__") : 0;
    if (to != NULL)
        memcpy(to, one, size);
    while (at < end) {
        int first = at == name;
        uint32_t c = quoted ? next_unescaped(&at, end) : next_character(&at, end);
        size_t more = put_character(one, c, is_plain(c, first, kind), scheme);
        if (to != NULL)
            memcpy(to + size, one, more);
        size += more;
    }
    return size;
}
