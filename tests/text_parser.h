/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text_parser.h - a strict reader of the Prometheus text format 0.0.4, for tests.
 *
 * It shares no code with the encoder and takes the narrowest view of the format: what any server refuses is
 * refused, and so is what servers tolerate but a page of ours never has (blank lines, comments, tabs,
 * timestamps, samples without TYPE, empty braces). Beyond the grammar it holds: names and label names legal
 * and unique, strings UTF-8, a family's lines together and never empty, each series once, numbers in range,
 * histograms whole: buckets ascending and cumulative, +Inf, _sum, _count equal to +Inf; and summaries: quantiles
 * ascending, _sum, _count. Names in quotes are taken where a name could not stand without.
 */
#ifndef KYMO_TESTS_TEXT_PARSER_H
#define KYMO_TESTS_TEXT_PARSER_H

#include <stddef.h>

struct text_label {
    const char *name;
    const char *value; /* unescaped, @value_len bytes and a NUL */
    size_t value_len;
};

struct text_sample {
    const char *name;
    size_t family;      /* index into the page's families */
    size_t first_label; /* index into the page's labels */
    size_t n_labels;
    double value;
    const char *raw; /* the value as it stands in the page */
};

struct text_family {
    const char *name;
    const char *help; /* unescaped, @help_len bytes and a NUL; "" without HELP */
    size_t help_len;
    const char *type;
    size_t first_sample;
    size_t n_samples;
};

struct text_page {
    struct text_family *families;
    size_t n_families;
    struct text_sample *samples;
    size_t n_samples;
    struct text_label *labels;
    size_t n_labels;
    char *strings;
    char error[160]; /* line and reason if the page was refused */
};

/* Whether these bytes are UTF-8, by a decoder of the parser's own. */
int text_is_utf8(const char *s, size_t n);

/* Reads a page: 1, or 0 if it is refused. Either way text_page_free() gives its memory back. */
int text_parse(struct text_page *page, const char *text, size_t n);
void text_page_free(struct text_page *page);

/* The labels of a sample, NULL if it has none. */
const struct text_label *text_labels(const struct text_page *page, const struct text_sample *sample);
/* The value of a label, or NULL. */
const char *text_label_value(const struct text_page *page, const struct text_sample *s, const char *name);
/* The n-th sample of this name, from 0, or NULL. */
const struct text_sample *text_find(const struct text_page *page, const char *name, size_t n);

#endif
