/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/scrape.c - a scrape: a walk of the registry through an encoder, one page at a time.
 *
 * The page is what a scrape costs in memory. A point that does not fit waits for the next page; one that does not fit
 * an empty page makes it grow.
 */
#include <string.h>

#include "base/name.h"
#include "core/core.h"

#define PAGE_BYTES ((size_t)64 * 1024)
#define SCRATCH_BYTES 2560 /* 40 bytes for each of 64 bounds */
#define PAGE_MAX ((size_t)64 * 1024 * 1024)

struct kymo_scrape {
    struct kymo_registry *reg;
    struct kymo_format format;
    const struct kymo_encoder *encoder;
    struct kymo__walk walk;
    struct kymo_page page;
    char *buffer;
    size_t cap;
    size_t taken; /* of what is in the buffer, already read */
    int finished;
    double scratch[SCRATCH_BYTES / sizeof(double)]; /* the encoder's, see struct kymo_page */
};

/* ---- the families that were asked for ---- */

/* The name that the page has it under, which is its own unless it has to be escaped. */
static const char *name_on_page(const struct kymo_scrape *s, const struct kymo_family *family,
                                char buf[KYMO__NAME_ESCAPED_MAX + 1])
{
    if (!family->utf8 || s->format.escaping == KYMO_ALLOW_UTF8)
        return family->name;
    enum kymo__scheme scheme = s->format.escaping == KYMO_ESCAPE_DOTS     ? KYMO__DOTS
                               : s->format.escaping == KYMO_ESCAPE_VALUES ? KYMO__VALUES
                                                                          : KYMO__UNDERSCORES;
    buf[kymo__name_escape(buf, family->name, family->name_len, KYMO__METRIC_NAME, scheme, 0)] = '\0';
    return buf;
}

static int is_wanted(const struct kymo_scrape *s, const struct kymo_family *family)
{
    char buf[KYMO__NAME_ESCAPED_MAX + 1];
    if (s->format.n_names == 0)
        return 1;
    const char *shown = name_on_page(s, family, buf);
    for (size_t i = 0; i < s->format.n_names; i++) {
        const char *asked = s->format.names[i];
        if (asked != NULL && (kymo__name_covers(family->name, family->kind, asked) ||
                              (shown != family->name && kymo__name_covers(shown, family->kind, asked))))
            return 1;
    }
    return 0;
}

static int on_family(void *ctx, const struct kymo_family *family)
{
    struct kymo_scrape *s = ctx;
    s->page.fresh = 1;
    s->walk.pass_over = !is_wanted(s, family);
    return 0;
}

static int on_sample(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    struct kymo_scrape *s = ctx;
    if (s->walk.pass_over) /* a collector's: the walk passes over own ones itself */
        return 0;
    return s->encoder->sample(&s->page, family, point);
}

/* ---- pages ---- */

static int page_grow(struct kymo_scrape *s, size_t cap)
{
    char *larger = cap <= PAGE_MAX ? kymo__heap_alloc(s->reg, cap) : NULL;
    if (larger == NULL)
        return KYMO_ENOMEM;
    kymo__heap_free(s->reg, s->buffer, s->cap);
    s->buffer = larger;
    s->cap = cap;
    return 0;
}

static void page_empty(struct kymo_scrape *s)
{
    s->page.at = s->buffer;
    s->page.end = s->buffer + s->cap;
    s->taken = 0;
}

/* One more step with what room there is; 0 if the walk or the closing line is complete or the page full. */
static int page_step(struct kymo_scrape *s)
{
    const struct kymo_visitor visitor = {sizeof(visitor), s, on_family, on_sample, NULL};
    int r = s->walk.done ? 0 : kymo__walk_step(s->reg, &s->walk, &visitor);
    if (r == 0 && s->encoder->finish != NULL)
        r = s->encoder->finish(&s->page);
    if (r == 0)
        s->finished = 1;
    return r;
}

/* Fills an empty page; it stays empty only at the end. */
static int page_fill(struct kymo_scrape *s)
{
    page_empty(s);
    while (!s->finished) {
        int r = page_step(s);
        if (r != KYMO_EAGAIN)
            return r;
        if (s->page.at != s->buffer)
            return 0;
        r = page_grow(s, s->cap * 2);
        if (r != 0)
            return r;
        page_empty(s);
    }
    return 0;
}

static int format_read(const struct kymo_format *from, struct kymo_format *to)
{
    if (from == NULL)
        from = kymo_format_find("text");
    memset(to, 0, sizeof(*to));
    if (from == NULL || from->size < offsetof(struct kymo_format, escaping) || from->encoder == NULL)
        return KYMO_EINVAL;
    memcpy(to, from, from->size < sizeof(*to) ? from->size : sizeof(*to));
    to->size = sizeof(*to);
    if (to->n_names != 0 && to->names == NULL)
        return KYMO_EINVAL;
    return to->encoder->size < sizeof(*to->encoder) || to->encoder->sample == NULL ? KYMO_EINVAL : 0;
}

int kymo_scrape_new(struct kymo_registry *reg, const struct kymo_format *format, struct kymo_scrape **scrape)
{
    struct kymo_format f;
    if (scrape == NULL)
        return KYMO_EINVAL;
    *scrape = NULL;
    if (reg == NULL || format_read(format, &f) != 0)
        return KYMO_EINVAL;
    if (kymo__collecting)
        return KYMO_EBUSY;
    kymo__enter();
    kymo__provide(reg);
    struct kymo_scrape *s = kymo__heap_alloc(reg, sizeof(*s));
    if (s == NULL)
        return KYMO_ENOMEM;
    s->reg = reg;
    s->format = f;
    s->encoder = f.encoder;
    s->page.format = &s->format;
    s->page.scratch = s->scratch;
    s->page.scratch_bytes = sizeof(s->scratch);
    if (page_grow(s, PAGE_BYTES) != 0) {
        kymo__heap_free(reg, s, sizeof(*s));
        return KYMO_ENOMEM;
    }
    page_empty(s);
    kymo__walk_begin(reg, &s->walk);
    *scrape = s;
    return 0;
}

void kymo_scrape_free(struct kymo_scrape *s)
{
    if (s == NULL)
        return;
    struct kymo_registry *reg = s->reg;
    if (!s->finished || s->buffer + s->taken != s->page.at)
        s->walk.done = 0; /* nobody was shown all of it */
    kymo__walk_end(reg, &s->walk);
    kymo__heap_free(reg, s->buffer, s->cap);
    kymo__heap_free(reg, s, sizeof(*s));
}

int kymo_scrape_read(struct kymo_scrape *s, char *buf, size_t cap, size_t *n)
{
    if (s == NULL || buf == NULL || cap == 0 || n == NULL)
        return KYMO_EINVAL;
    *n = 0;
    size_t filled = (size_t)(s->page.at - s->buffer);
    if (s->taken == filled && !s->finished) {
        int r = page_fill(s);
        if (r != 0)
            return r;
        filled = (size_t)(s->page.at - s->buffer);
    }
    *n = filled - s->taken < cap ? filled - s->taken : cap;
    memcpy(buf, s->buffer + s->taken, *n);
    s->taken += *n;
    return 0;
}

static int write_pages(struct kymo_scrape *s, const struct kymo_sink *sink)
{
    while (!s->finished) {
        int r = page_fill(s);
        for (char *at = s->buffer; r == 0 && at < s->page.at; at += PAGE_BYTES) {
            size_t left = (size_t)(s->page.at - at);
            r = sink->write(sink->ctx, at, left < PAGE_BYTES ? left : PAGE_BYTES);
        }
        if (r != 0)
            return r;
        s->taken = (size_t)(s->page.at - s->buffer);
    }
    return 0;
}

int kymo_registry_write(struct kymo_registry *reg, const struct kymo_format *format, const struct kymo_sink *sink)
{
    struct kymo_scrape *s;
    if (sink == NULL || sink->size < sizeof(*sink) || sink->write == NULL)
        return KYMO_EINVAL;
    int r = kymo_scrape_new(reg, format, &s);
    if (r != 0)
        return r;
    r = write_pages(s, sink);
    kymo_scrape_free(s);
    return r;
}
