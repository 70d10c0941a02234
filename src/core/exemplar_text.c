/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/exemplar_text.c - whether an exemplar may be kept, and its label pairs as they will be printed.
 *
 * In one go over the caller's strings, which may be of any length and are not read further than is needed to refuse
 * them. Nothing is written but the caller's copy, so a signal handler may do it. Source for the limit of 128 characters:
 * OpenMetrics 1.0, "Exemplars".
 */
#include <string.h>

#include "base/escape.h"
#include "base/utf8.h"
#include "core/exemplar.h"

#define EVERY_BYTE(b) (UINT64_C(0x0101010101010101) * (b))

/* What is being written: text up to end, characters that may still come. */
struct composing {
    char *at, *end;
    size_t chars_left;
};

static inline size_t room(const struct composing *c)
{
    return (size_t)(c->end - c->at);
}

/* ---- names ---- */

enum { BEGINS = 2, GOES_ON = 1 };

#define LETTERS(a)                                                                                                     \
    [a] = 3, [(a) + 1] = 3, [(a) + 2] = 3, [(a) + 3] = 3, [(a) + 4] = 3, [(a) + 5] = 3, [(a) + 6] = 3, [(a) + 7] = 3,  \
    [(a) + 8] = 3, [(a) + 9] = 3, [(a) + 10] = 3, [(a) + 11] = 3, [(a) + 12] = 3

/* Of an ASCII machine, as all are that have a page to show. */
static const unsigned char name_bytes[256] = {
    LETTERS('a'), LETTERS('n'), LETTERS('A'), LETTERS('N'), ['_'] = 3, ['0'] = 1, ['1'] = 1, ['2'] = 1,
    ['3'] = 1,    ['4'] = 1,    ['5'] = 1,    ['6'] = 1,    ['7'] = 1, ['8'] = 1, ['9'] = 1,
};

static int came_before(const struct kymo_exemplar *ex, size_t i)
{
    const char *name = ex->labels[i].name;
    for (size_t k = 0; k < i; k++)
        if (ex->labels[k].name[0] == name[0] && strcmp(ex->labels[k].name, name) == 0)
            return 1;
    return 0;
}

/* [a-zA-Z_][a-zA-Z0-9_]*, and none that came before. */
static inline int put_name(struct composing *c, const struct kymo_exemplar *ex, size_t i)
{
    const char *name = ex->labels[i].name;
    size_t n = 0, most = room(c) < c->chars_left ? room(c) : c->chars_left;
    if (name == NULL || !(name_bytes[(unsigned char)name[0]] & BEGINS))
        return 0;
    for (; n < most && (name_bytes[(unsigned char)name[n]] & GOES_ON); n++)
        c->at[n] = name[n];
    c->at += n;
    c->chars_left -= n;
    return name[n] == '\0' && !came_before(ex, i);
}

/* ---- values ---- */

/* Sixteen bytes at once, in what every machine we run on has for it, or the compiler spells out. */
typedef unsigned char bytes16 __attribute__((vector_size(16), may_alias));

/* Sets the top bit of a byte of special if it is not ASCII or has to be escaped. */
static inline void copy_block(char *to, const char *from, bytes16 *special)
{
    bytes16 block;
    memcpy(&block, from, sizeof(block));
    memcpy(to, &block, sizeof(block));
    *special |= block | (bytes16)(block == '\\') | (bytes16)(block == '"') | (bytes16)(block == '\n');
}

static inline int is_special(char c)
{
    return (unsigned char)c >= 0x80 || c == '\\' || c == '"' || c == '\n';
}

/* Copies; returns whether every byte is a character that stands for itself: nearly all values are like that. */
static inline int copy_plain(char *to, const char *s, size_t n)
{
    bytes16 special = {0};
    uint64_t top[2];
    int few = 0;
    if (n < sizeof(special)) {
        for (size_t i = 0; i < n; i++)
            few |= is_special(to[i] = s[i]);
        return !few;
    }
    for (size_t i = 0; i + sizeof(special) < n; i += sizeof(special))
        copy_block(to + i, s + i, &special);
    copy_block(to + n - sizeof(special), s + n - sizeof(special), &special);
    memcpy(top, &special, sizeof(top));
    return ((top[0] | top[1]) & EVERY_BYTE(0x80)) == 0;
}

static size_t count_characters(const char *s, size_t n)
{
    size_t chars = 0;
    for (size_t i = 0; i < n; i++)
        chars += ((unsigned char)s[i] & 0xc0) != 0x80; /* all but continuation bytes */
    return chars;
}

/* Behind ="; the closing quote is the caller's. */
static __attribute__((noinline)) int put_escaped(struct composing *c, const char *value, size_t n)
{
    if (!kymo__utf8_valid(value, n))
        return 0;
    size_t chars = count_characters(value, n);
    if (chars > c->chars_left || kymo__escape_label_size(value, n) >= room(c))
        return 0;
    c->chars_left -= chars;
    c->at = kymo__escape_label(c->at, value, n);
    return 1;
}

static inline int put_value(struct composing *c, const char *value)
{
    if (value == NULL || room(c) < 3) /* ="" */
        return 0;
    *c->at++ = '=';
    *c->at++ = '"';
    const char *zero = memchr(value, '\0', room(c));
    if (zero == NULL)
        return 0;
    size_t n = (size_t)(zero - value);
    if (n <= c->chars_left && copy_plain(c->at, value, n)) {
        c->at += n;
        c->chars_left -= n;
    } else if (!put_escaped(c, value, n)) {
        return 0;
    }
    *c->at++ = '"';
    return 1;
}

int kymo__exemplar_compose(const struct kymo_exemplar *ex, struct kymo__exemplar_copy *to)
{
    char *text = (char *)to->text;
    struct composing c = {text, text + sizeof(to->text), KYMO__EXEMPLAR_CHARS};
    if (ex->n_labels > KYMO__EXEMPLAR_CHARS || (ex->n_labels != 0 && ex->labels == NULL))
        return 0;
    for (size_t i = 0; i < ex->n_labels; i++) {
        if (i > 0 && room(&c) != 0)
            *c.at++ = ',';
        if (!put_name(&c, ex, i) || !put_value(&c, ex->labels[i].value))
            return 0;
    }
    to->text_len = (size_t)(c.at - text);
    to->timestamp_ns = ex->timestamp_ns;
    while ((c.at - text) % 8 != 0) /* the rest of the last word */
        *c.at++ = '\0';
    return 1;
}
