/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/page.h - what tests of a whole registry share: its page as text, an allocator that counts and fails, a clock
 * that stands still, a log that remembers.
 *
 * Every page that is taken here is first read by the strict parser (text_parser.h): a test that compares one value also
 * proves that a server would have taken the rest.
 */
#ifndef KYMO_TESTS_PAGE_H
#define KYMO_TESTS_PAGE_H

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <kymo/kymo.h>

#include "test.h"
#include "text_parser.h"

/* ---- pages ---- */

struct page {
    char *text; /* n bytes and a NUL */
    size_t n, cap;
    size_t longest; /* chunk handed to the sink */
};

static inline int page_append(void *ctx, const char *data, size_t n)
{
    struct page *p = ctx;
    if (p->n + n + 1 > p->cap) {
        p->cap = 2 * (p->n + n + 1);
        p->text = realloc(p->text, p->cap);
        REQUIRE(p->text != NULL);
    }
    memcpy(p->text + p->n, data, n);
    p->n += n;
    p->text[p->n] = '\0';
    p->longest = n > p->longest ? n : p->longest;
    return 0;
}

static inline int page_write(struct kymo_registry *reg, struct page *p)
{
    const struct kymo_sink sink = {sizeof(sink), p, page_append};
    *p = (struct page){NULL, 0, 0, 0};
    page_append(p, "", 0);
    return kymo_registry_write(reg, kymo_format_find("text"), &sink);
}

static inline void page_free(struct page *p)
{
    free(p->text);
    p->text = NULL;
}

/* One thread at a time: the parser sorts with qsort(), which has no context. */
static inline void page_must_parse(const struct page *p)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct text_page parsed;
    pthread_mutex_lock(&lock);
    int good = text_parse(&parsed, p->text, p->n);
    pthread_mutex_unlock(&lock);
    if (!good)
        fprintf(stderr, "the parser says: %s\n", parsed.error);
    CHECK(good);
    text_page_free(&parsed);
}

/* A registry's page, which must be a good one. */
static inline struct page page_of(struct kymo_registry *reg)
{
    struct page p;
    CHECK_INT(page_write(reg, &p), 0);
    page_must_parse(&p);
    return p;
}

static inline int line_is_own(const char *line)
{
    return strncmp(line, "kymo_", 5) != 0 && strncmp(line, "# HELP kymo_", 12) != 0 &&
           strncmp(line, "# TYPE kymo_", 12) != 0;
}

/* Takes the kymo_* families out: they tell of bytes and failures, which may change. */
static inline void page_keep_own(struct page *p)
{
    char *to = p->text;
    for (char *line = p->text; *line != '\0';) {
        char *end = strchr(line, '\n') + 1;
        if (line_is_own(line)) {
            memmove(to, line, (size_t)(end - line));
            to += end - line;
        }
        line = end;
    }
    *to = '\0';
    p->n = (size_t)(to - p->text);
}

static inline struct page page_of_own(struct kymo_registry *reg)
{
    struct page p = page_of(reg);
    page_keep_own(&p);
    return p;
}

/* How often a whole line, given without its newline, stands in the text. */
static inline size_t lines_like(const char *text, const char *line)
{
    size_t n = 0, len = strlen(line);
    for (const char *at = text; *at != '\0'; at = strchr(at, '\n') + 1)
        n += strncmp(at, line, len) == 0 && at[len] == '\n';
    return n;
}

static inline int page_has(struct kymo_registry *reg, const char *line)
{
    struct page p = page_of(reg);
    size_t n = lines_like(p.text, line);
    if (n != 1)
        fprintf(stderr, "%zu lines like %s\n", n, line);
    page_free(&p);
    return n == 1;
}

static inline int page_mentions(struct kymo_registry *reg, const char *what)
{
    struct page p = page_of(reg);
    int found = strstr(p.text, what) != NULL;
    page_free(&p);
    return found;
}

/* What kymo_recordings_refused_total says of a family and a reason; 0 if it says nothing. */
static inline uint64_t refused(struct kymo_registry *reg, const char *family, const char *reason)
{
    struct page p = page_of(reg);
    struct text_page parsed;
    const struct text_sample *sample;
    uint64_t found = 0;
    (void)text_parse(&parsed, p.text, p.n); /* page_of() has complained already */
    for (size_t i = 0; (sample = text_find(&parsed, "kymo_recordings_refused_total", i)) != NULL; i++)
        if (strcmp(text_label_value(&parsed, sample, "family"), family) == 0 &&
            strcmp(text_label_value(&parsed, sample, "reason"), reason) == 0)
            found = strtoull(sample->raw, NULL, 10);
    text_page_free(&parsed);
    page_free(&p);
    return found;
}

/* The value of the one sample of this name whose label has this value; -1 if there is none. */
static inline double page_labelled(struct kymo_registry *reg, const char *name, const char *label, const char *value)
{
    struct page p = page_of(reg);
    struct text_page parsed;
    const struct text_sample *sample;
    double found = -1;
    (void)text_parse(&parsed, p.text, p.n); /* page_of() has complained already */
    for (size_t i = 0; (sample = text_find(&parsed, name, i)) != NULL; i++)
        if (strcmp(text_label_value(&parsed, sample, label), value) == 0) {
            CHECK(found == -1);
            found = sample->value;
        }
    text_page_free(&parsed);
    page_free(&p);
    return found;
}

/* ---- an allocator that counts, checks sizes, and fails when told to ---- */

struct heap {
    pthread_mutex_t lock;
    size_t live;    /* bytes handed out and not given back */
    size_t calls;   /* since heap_arm() */
    size_t fail_at; /* which call fails, from 1; 0: none */
    int onwards;    /* and all after it */
    size_t failed;  /* how many did, since heap_arm() */
    size_t wrong;   /* blocks given back with another size, or twice */
};

#define HEAP_LIVE UINT64_C(0x6576696c6576696c)

/* In front of each block; its size is a multiple of any type's alignment. */
union heap_head {
    struct {
        uint64_t mark;
        size_t bytes;
    } is;
    char room[32];
};

static inline void *heap_alloc(void *ctx, size_t bytes)
{
    struct heap *h = ctx;
    pthread_mutex_lock(&h->lock);
    h->calls++;
    int fails = h->fail_at != 0 && (h->calls == h->fail_at || (h->onwards && h->calls > h->fail_at));
    h->failed += (size_t)fails;
    union heap_head *head = fails ? NULL : malloc(sizeof(*head) + bytes);
    if (head != NULL) {
        memset(head + 1, 0xa5, bytes); /* contents are undefined, by contract */
        head->is.mark = HEAP_LIVE;
        head->is.bytes = bytes;
        h->live += bytes;
    }
    pthread_mutex_unlock(&h->lock);
    return head != NULL ? head + 1 : NULL;
}

static inline void heap_free(void *ctx, void *ptr, size_t bytes)
{
    struct heap *h = ctx;
    union heap_head *head = (union heap_head *)ptr - 1;
    pthread_mutex_lock(&h->lock);
    if (head->is.mark != HEAP_LIVE || head->is.bytes != bytes)
        h->wrong++;
    h->live -= bytes;
    head->is.mark = 0;
    pthread_mutex_unlock(&h->lock);
    free(head);
}

static inline void heap_arm(struct heap *h, size_t fail_at, int onwards)
{
    pthread_mutex_lock(&h->lock);
    h->calls = h->failed = 0;
    h->fail_at = fail_at;
    h->onwards = onwards;
    pthread_mutex_unlock(&h->lock);
}

static inline void heap_must_be_empty(const struct heap *h)
{
    CHECK_U64(h->live, 0);
    CHECK_U64(h->wrong, 0);
}

#define HEAP_INIT                                                                                                      \
    {                                                                                                                  \
        .lock = PTHREAD_MUTEX_INITIALIZER                                                                              \
    }

/* ---- a clock that moves when it is told to ---- */

struct stopped_clock {
    int64_t wall_ns, monotonic_ns;
};

static inline int64_t stopped_wall(void *ctx)
{
    return ((struct stopped_clock *)ctx)->wall_ns;
}

static inline int64_t stopped_monotonic(void *ctx)
{
    return ((struct stopped_clock *)ctx)->monotonic_ns;
}

/* ---- a log that remembers its last sentence ---- */

struct log_book {
    size_t n;
    enum kymo_log_level level;
    char last[1024];
};

static inline void log_note(void *ctx, enum kymo_log_level level, const char *message)
{
    struct log_book *book = ctx;
    book->n++;
    book->level = level;
    (void)snprintf(book->last, sizeof(book->last), "%s", message);
}

#endif
