/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/json.h - JSON that a registry writes: whether it is valid (RFC 8259), and a value of it by its path.
 *
 * Shares no code with the writer. A path is keys and indices with dots between them, "families.0.name"; keys are
 * compared as they stand in the text, so that one with a dot of its own cannot be asked for. What is found comes back
 * as its JSON text: "\"x\"", "1.5", "[1,2]".
 */
#ifndef KYMO_TESTS_JSON_H
#define KYMO_TESTS_JSON_H

#include <ctype.h>

#include "page.h"

struct json_text {
    const char *at, *end;
    unsigned depth;
};

static inline int json_take(struct json_text *t, char c)
{
    if (t->at == t->end || *t->at != c)
        return 0;
    t->at++;
    return 1;
}

static inline int json_word(struct json_text *t, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(t->end - t->at) < n || memcmp(t->at, word, n) != 0)
        return 0;
    t->at += n;
    return 1;
}

static inline int json_digits(struct json_text *t)
{
    const char *start = t->at;
    while (t->at < t->end && isdigit((unsigned char)*t->at))
        t->at++;
    return t->at != start;
}

static inline int json_number(struct json_text *t)
{
    (void)json_take(t, '-');
    if (!json_take(t, '0') && !json_digits(t))
        return 0;
    if (json_take(t, '.') && !json_digits(t))
        return 0;
    if (!json_take(t, 'e') && !json_take(t, 'E'))
        return 1;
    if (!json_take(t, '+'))
        (void)json_take(t, '-');
    return json_digits(t);
}

static inline int json_escape(struct json_text *t)
{
    if (json_take(t, 'u')) {
        for (int i = 0; i < 4; i++, t->at++)
            if (t->at == t->end || !isxdigit((unsigned char)*t->at))
                return 0;
        return 1;
    }
    if (t->at == t->end || *t->at == '\0' || strchr("\"\\/bfnrt", *t->at) == NULL)
        return 0;
    t->at++;
    return 1;
}

static inline int json_string(struct json_text *t)
{
    const char *start = t->at;
    if (!json_take(t, '"'))
        return 0;
    while (t->at < t->end && *t->at != '"') {
        unsigned char c = (unsigned char)*t->at++;
        if (c < 0x20 || (c == '\\' && !json_escape(t)))
            return 0;
    }
    return json_take(t, '"') && text_is_utf8(start, (size_t)(t->at - start));
}

static inline int json_value(struct json_text *t);

static inline int json_items(struct json_text *t, char close, int named)
{
    if (json_take(t, close))
        return 1;
    do {
        if (named && (!json_string(t) || !json_take(t, ':')))
            return 0;
        if (!json_value(t))
            return 0;
    } while (json_take(t, ','));
    return json_take(t, close);
}

static inline int json_value(struct json_text *t)
{
    if (t->at == t->end || ++t->depth > 20)
        return 0;
    int good = json_take(t, '{')   ? json_items(t, '}', 1)
               : json_take(t, '[') ? json_items(t, ']', 0)
               : *t->at == '"'
                   ? json_string(t)
                   : json_word(t, "true") || json_word(t, "false") || json_word(t, "null") || json_number(t);
    t->depth--;
    return good;
}

static inline int json_valid(const char *text, size_t n)
{
    struct json_text t = {text, text + n, 0};
    return json_value(&t) && t.at == t.end;
}

/* At a value: goes to the one of its members that the first part of the path names; 0 if it has none. */
static inline int json_enter(struct json_text *t, const char *part, size_t n)
{
    int named = *t->at == '{';
    if (!named && *t->at != '[')
        return 0;
    t->at++;
    for (unsigned long i = 0; *t->at != '}' && *t->at != ']'; i++) {
        const char *key = t->at + 1;
        if (named && (!json_string(t) || !json_take(t, ':')))
            return 0;
        int found = named ? (size_t)(t->at - 2 - key) == n && memcmp(key, part, n) == 0 : i == strtoul(part, NULL, 10);
        if (found)
            return 1;
        if (!json_value(t))
            return 0;
        (void)json_take(t, ',');
    }
    return 0;
}

static inline char *json_copy(const char *from, size_t n)
{
    char *copy = calloc(1, n + 1);
    REQUIRE(copy != NULL);
    memcpy(copy, from, n);
    return copy;
}

/* Valid text only. The caller frees; "" if there is no such value. */
static inline char *json_get(const char *text, const char *path)
{
    struct json_text t = {text, text + strlen(text), 0};
    while (*path != '\0') {
        size_t n = strcspn(path, ".");
        if (!json_enter(&t, path, n))
            return json_copy("", 0);
        path += n + (path[n] == '.');
    }
    const char *start = t.at;
    (void)json_value(&t);
    return json_copy(start, (size_t)(t.at - start));
}

#define CHECK_JSON(text, path, want)                                                                                   \
    do {                                                                                                               \
        char *json_have_ = json_get(text, path);                                                                       \
        CHECK_STRING(json_have_, want);                                                                                \
        free(json_have_);                                                                                              \
    } while (0)

/* What one of the two calls writes, which must be valid. */
static inline struct page json_of(struct kymo_registry *reg,
                                  int (*write)(struct kymo_registry *reg, const struct kymo_sink *sink))
{
    struct page p = {NULL, 0, 0, 0};
    const struct kymo_sink sink = {sizeof(sink), &p, page_append};
    page_append(&p, "", 0);
    CHECK_INT(write(reg, &sink), 0);
    CHECK(json_valid(p.text, p.n));
    return p;
}

#endif
