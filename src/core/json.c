/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/json.c - JSON into a sink. Read core/json.h first.
 */
#include <math.h>
#include <string.h>

#include "base/number.h"
#include "base/utf8.h"
#include "core/json.h"

#define FIRST_CAP ((size_t)4096)

void kymo__json_begin(struct kymo__json *j, struct kymo_registry *reg, const struct kymo_sink *sink)
{
    memset(j, 0, sizeof(*j));
    j->reg = reg;
    j->sink = sink;
}

int kymo__json_flush(struct kymo__json *j)
{
    if (j->error == 0 && j->n != 0)
        j->error = j->sink->write(j->sink->ctx, j->text, j->n);
    j->n = 0;
    return j->error;
}

int kymo__json_end(struct kymo__json *j)
{
    int r = kymo__json_flush(j);
    kymo__heap_free(j->reg, j->text, j->cap);
    j->text = NULL;
    return r;
}

/* Room for @n more bytes, or NULL and an error that stays. */
static char *room(struct kymo__json *j, size_t n)
{
    if (j->error != 0)
        return NULL;
    if (j->cap - j->n < n) {
        size_t cap = j->cap ? j->cap * 2 : FIRST_CAP;
        while (cap - j->n < n)
            cap *= 2;
        char *larger = kymo__heap_alloc(j->reg, cap);
        if (larger == NULL) {
            j->error = KYMO_ENOMEM;
            return NULL;
        }
        if (j->n != 0)
            memcpy(larger, j->text, j->n);
        kymo__heap_free(j->reg, j->text, j->cap);
        j->text = larger;
        j->cap = cap;
    }
    return j->text + j->n;
}

static void put(struct kymo__json *j, const char *s, size_t n)
{
    char *to = room(j, n);
    if (to != NULL) {
        memcpy(to, s, n);
        j->n += n;
    }
}

/* What a byte becomes that may not stand for itself, or NULL. @spare: room for 7 characters. */
static const char *escape_of(unsigned char c, int is_utf8, char *spare)
{
    static const char digits[] = "0123456789abcdef";
    if (c == '"')
        return "\\\"";
    if (c == '\\')
        return "\\\\";
    if (c == '\n')
        return "\\n";
    if (c < 0x20) {
        memcpy(spare, "\\u00", 4);
        spare[4] = digits[c >> 4];
        spare[5] = digits[c & 15];
        spare[6] = '\0';
        return spare;
    }
    return c >= 0x80 && !is_utf8 ? "\\ufffd" : NULL;
}

static void put_string(struct kymo__json *j, const char *s)
{
    size_t n = strlen(s), from = 0;
    int is_utf8 = kymo__utf8_valid(s, n);
    char spare[8];
    put(j, "\"", 1);
    for (size_t i = 0; i < n; i++) {
        const char *escaped = escape_of((unsigned char)s[i], is_utf8, spare);
        if (escaped == NULL)
            continue;
        put(j, s + from, i - from);
        put(j, escaped, strlen(escaped));
        from = i + 1;
    }
    put(j, s + from, n - from);
    put(j, "\"", 1);
}

/* What comes before a value. */
static void lead(struct kymo__json *j, const char *key)
{
    if (j->comma)
        put(j, ",", 1);
    j->comma = 1;
    if (key != NULL) {
        put_string(j, key);
        put(j, ":", 1);
    }
}

void kymo__json_open(struct kymo__json *j, const char *key, char bracket)
{
    lead(j, key);
    put(j, &bracket, 1);
    j->comma = 0;
}

void kymo__json_close(struct kymo__json *j, char bracket)
{
    put(j, &bracket, 1);
    j->comma = 1;
}

void kymo__json_text(struct kymo__json *j, const char *key, const char *s)
{
    lead(j, key);
    put_string(j, s);
}

void kymo__json_number(struct kymo__json *j, const char *key, double v)
{
    char number[KYMO__NUMBER_MAX];
    lead(j, key);
    if (isfinite(v))
        put(j, number, kymo__format_value(number, v));
    else
        put(j, "null", 4);
}

void kymo__json_whole(struct kymo__json *j, const char *key, uint64_t v)
{
    char number[KYMO__NUMBER_MAX];
    lead(j, key);
    put(j, number, kymo__format_u64(number, v));
}
