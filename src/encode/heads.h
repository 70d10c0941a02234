/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode/heads.h - what the lines of one point have in common, for points of more lines than one.
 *
 * The first line is composed from its parts; all others copy their head from it: it lies in the page and may therefore
 * be read in blocks, whatever the point was. Whether the name stands in quotes matters here and nowhere else. Read
 * lines.h first; nothing here asks for room.
 */
#ifndef KYMO__HEADS_H
#define KYMO__HEADS_H

#include "encode/lines.h"

/* A point being written. @name and @labels lie in the page, in the point's first line, once that has begun. */
struct kymo__lines {
    const struct kymo_page *page;
    const struct kymo_family *family;
    const struct kymo_point *point;
    enum kymo__dialect dialect;
    const char *name; /* as it begins the line: `name` or `{"name` */
    size_t name_len;
    const char *labels;
    size_t labels_len;
    int quoted;
};

struct kymo__suffix {
    char text[12]; /* 8 bytes of it are copied */
    size_t n;
};

static const struct kymo__suffix kymo__suffix_sum = {"_sum", 4};
static const struct kymo__suffix kymo__suffix_count = {"_count", 6};

/* The parts of the first line's head (lines.c). */
char *kymo__put_first_name(struct kymo__lines *l, char *at);
char *kymo__put_first_labels(struct kymo__lines *l, char *at);

/** kymo__put_exemplar() - ` # {labels} value timestamp` */
char *kymo__put_exemplar(const struct kymo__lines *l, char *at, const struct kymo_exemplar_point *e);

/** kymo__put_created() - the line that says when the series began, if it is due; after all others of these labels */
char *kymo__put_created(struct kymo__lines *l, char *at);

/** kymo__put_histogram() - all lines of a histogram or gauge histogram (bucket_lines.c) */
char *kymo__put_histogram(struct kymo__lines *l, char *at);

/**
 * kymo__open_head() - `name_suffix{labels` or `{"name_suffix",labels`
 * kymo__close_head() comes next, or kymo__next_label() and a label of the line's own.
 */
static inline char *kymo__open_head(struct kymo__lines *l, char *at, const struct kymo__suffix *suffix)
{
    int first = l->name == NULL;
    at = first ? kymo__put_first_name(l, at) : kymo__put_block(at, l->name, l->name_len);
    memcpy(at, suffix->text, 8);
    at += suffix->n;
    if (l->quoted)
        *at++ = '"';
    *at++ = l->quoted ? ',' : '{';
    return first ? kymo__put_first_labels(l, at) : kymo__put_block(at, l->labels, l->labels_len);
}

static inline char *kymo__close_head(const struct kymo__lines *l, char *at)
{
    if (l->labels_len == 0)
        at--; /* the brace or comma after which nothing came */
    if (l->labels_len > 0 || l->quoted)
        *at++ = '}';
    *at++ = ' ';
    return at;
}

/* What separates a label of the line's own from the series'. */
static inline char *kymo__next_label(const struct kymo__lines *l, char *at)
{
    if (l->labels_len > 0)
        *at++ = ',';
    return at;
}

static inline char *kymo__put_sum(struct kymo__lines *l, char *at, const struct kymo__suffix *suffix, double sum)
{
    at = kymo__close_head(l, kymo__open_head(l, at, suffix));
    at += kymo__format_value(at, sum);
    *at++ = '\n';
    return at;
}

static inline char *kymo__put_count(struct kymo__lines *l, char *at, const struct kymo__suffix *suffix, uint64_t count)
{
    at = kymo__close_head(l, kymo__open_head(l, at, suffix));
    at += kymo__format_u64(at, count);
    *at++ = '\n';
    return at;
}

/** kymo__put_float() - a bound or a quantile, and what closes its label and the head: `0.25"} ` */
static inline char *kymo__put_float(char *at, double v)
{
    at += kymo__format_le(at, v);
    memcpy(at, "\"} ", 3);
    return at + 3;
}

#endif
