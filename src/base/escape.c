/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/escape.c - escaping and its reverse, eight bytes at a time where there is nothing to escape, which is
 * nearly always.
 *
 * A word is tested for a byte b by the usual borrow trick: x - 0x01.. sets the top bit of the lowest zero
 * byte of x. It may mark bytes above a true hit by mistake but never a word without one, and only "any" is
 * asked here.
 */
#include "base/escape.h"

#include <stdint.h>
#include <string.h>

#include "base/name.h"

#define EVERY_BYTE(b) (UINT64_C(0x0101010101010101) * (b))

static inline uint64_t has_byte(uint64_t word, unsigned char b)
{
    uint64_t x = word ^ EVERY_BYTE(b);
    return (x - EVERY_BYTE(0x01)) & ~x & EVERY_BYTE(0x80);
}

/* @quote is `"` for label values; for help it is LF once more, which asks nothing new. */
static inline int must_escape(char c, char quote)
{
    return c == '\\' || c == '\n' || c == quote;
}

static inline int word_is_clean(uint64_t word, char quote)
{
    return (has_byte(word, '\\') | has_byte(word, '\n') | has_byte(word, (unsigned char)quote)) == 0;
}

static inline size_t escape_size(const char *s, size_t n, char quote)
{
    size_t extra = 0;
    size_t i = 0;
    while (i < n) {
        uint64_t word;
        size_t stop = n - i >= sizeof word ? i + sizeof word : n;
        if (stop - i == sizeof word) {
            memcpy(&word, s + i, sizeof word);
            if (word_is_clean(word, quote)) {
                i = stop;
                continue;
            }
        }
        for (; i < stop; i++)
            extra += (size_t)must_escape(s[i], quote);
    }
    return n + extra;
}

static inline char *escape_byte(char *to, char c, char quote)
{
    if (must_escape(c, quote)) {
        *to++ = '\\';
        c = c == '\n' ? 'n' : c;
    }
    *to++ = c;
    return to;
}

static inline char *escape(char *to, const char *s, size_t n, char quote)
{
    size_t i = 0;
    while (i < n) {
        uint64_t word;
        size_t stop = n - i >= sizeof word ? i + sizeof word : n;
        if (stop - i == sizeof word) {
            memcpy(&word, s + i, sizeof word);
            if (word_is_clean(word, quote)) {
                memcpy(to, &word, sizeof word);
                to += sizeof word;
                i = stop;
                continue;
            }
        }
        for (; i < stop; i++)
            to = escape_byte(to, s[i], quote);
    }
    return to;
}

size_t kymo__escape_label_size(const char *s, size_t n)
{
    return escape_size(s, n, '"');
}

char *kymo__escape_label(char *to, const char *s, size_t n)
{
    return escape(to, s, n, '"');
}

size_t kymo__escape_help_size(const char *s, size_t n)
{
    return escape_size(s, n, '\n');
}

char *kymo__escape_help(char *to, const char *s, size_t n)
{
    return escape(to, s, n, '\n');
}

/* The length of @buf cut to whole characters, when @dropped is the byte that would have come next. */
static size_t cut_at_character(const char *buf, size_t n, unsigned char dropped)
{
    while (n > 0 && (dropped & 0xc0) == 0x80)
        dropped = (unsigned char)buf[--n];
    return n;
}

size_t kymo__unescape_label(char *buf, size_t cap, const char *s, size_t n)
{
    size_t length = 0;
    unsigned char dropped = 0;
    for (size_t i = 0; i < n; i++, length++) {
        char c = s[i];
        if (c == '\\' && i + 1 < n) {
            c = s[++i];
            c = c == 'n' ? '\n' : c;
        }
        if (length + 1 < cap)
            buf[length] = c;
        else if (length + 1 == cap)
            dropped = (unsigned char)c;
    }
    if (cap > 0)
        buf[length < cap ? length : cut_at_character(buf, cap - 1, dropped)] = '\0';
    return length;
}

/* ---- pair texts ---- */

/* Quotes around a name that the text formats would not take without. */
static int must_quote(const char *name, size_t n)
{
    return !kymo__name_is_plain(name, n, KYMO__LABEL_NAME);
}

size_t kymo__label_name_size(const char *name)
{
    size_t n = strlen(name);
    return must_quote(name, n) ? kymo__escape_label_size(name, n) + 2 : n;
}

size_t kymo__label_pairs_size(const char *const *names, const char *const *values, size_t n)
{
    size_t size = n > 0 ? n - 1 : 0;
    for (size_t i = 0; i < n; i++)
        size += kymo__label_name_size(names[i]) + 3 + kymo__escape_label_size(values[i], strlen(values[i]));
    return size;
}

static char *put_quoted(char *to, const char *s, size_t n)
{
    *to++ = '"';
    to = kymo__escape_label(to, s, n);
    *to++ = '"';
    return to;
}

char *kymo__label_pairs(char *to, const char *const *names, const char *const *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t name_len = strlen(names[i]);
        if (i > 0)
            *to++ = ',';
        if (must_quote(names[i], name_len)) {
            to = put_quoted(to, names[i], name_len);
        } else {
            memcpy(to, names[i], name_len);
            to += name_len;
        }
        *to++ = '=';
        to = put_quoted(to, values[i], strlen(values[i]));
    }
    return to;
}

/* The quote that closes the value beginning at @s, or NULL. */
static const char *closing_quote(const char *s, const char *end)
{
    for (; s < end && *s != '"'; s++)
        if (*s == '\\' && s + 1 < end)
            s++;
    return s < end ? s : NULL;
}

const char *kymo__label_pair(const char *text, const char *end, const char **name, size_t *name_len, size_t *value_len)
{
    int quoted = text < end && *text == '"';
    *name = text + quoted;
    const char *stop = quoted ? closing_quote(*name, end) : memchr(text, '=', (size_t)(end - text));
    const char *equals = stop != NULL ? stop + quoted : end;
    if (end - equals < 2 || equals[0] != '=' || equals[1] != '"')
        return NULL;
    const char *quote = closing_quote(equals + 2, end);
    if (quote == NULL)
        return NULL;
    *name_len = (size_t)(stop - *name);
    *value_len = (size_t)(quote - equals) - 2;
    return equals + 2;
}

const char *kymo__label_pairs_value(const char *text, size_t len, size_t i, size_t *n)
{
    const char *end = text + len, *name;
    size_t name_len;
    for (const char *at = text; at < end; i--) {
        const char *value = kymo__label_pair(at, end, &name, &name_len, n);
        if (value == NULL || i == 0)
            return value;
        at = value + *n + 2; /* ", */
    }
    return NULL;
}
