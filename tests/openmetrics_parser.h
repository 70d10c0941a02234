/* SPDX-License-Identifier: Apache-2.0 */
/*
 * openmetrics_parser.h - a strict reader of OpenMetrics text 1.0, for tests.
 *
 * It shares no code with the encoder, and with the other format's reader only the check of UTF-8. It takes what the
 * standard allows and a page of ours may have: beyond the standard, timestamps of samples, samples without TYPE, empty
 * braces and families without samples are refused, and metadata must stand in the recommended order. Names in quotes,
 * which are Prometheus's own, are taken where a name could not stand without; a page says how many it had. Held: each
 * kind's suffixes, values and order of lines, one labelset finished before the next, no family that could be another's
 * sample, exemplars where and as long as they may be.
 */
#ifndef KYMO_TESTS_OPENMETRICS_PARSER_H
#define KYMO_TESTS_OPENMETRICS_PARSER_H

#include <stddef.h>

struct om_label {
    const char *name;
    const char *value; /* unescaped, @value_len bytes and a NUL */
    size_t value_len;
};

struct om_labels {
    size_t first; /* index into the page's labels */
    size_t n;
};

struct om_exemplar {
    int present;
    struct om_labels labels;
    double value;
    const char *timestamp; /* as it stands, "" if it has none */
};

struct om_sample {
    const char *name;
    const char *suffix; /* what the name has after its family's */
    size_t family;      /* index into the page's families */
    struct om_labels labels;
    double value;
    const char *raw; /* the value as it stands in the page */
    struct om_exemplar exemplar;
    char *key; /* the labels in an order that depends on nothing but them, without le, quantile, the state */
    size_t key_len;
};

struct om_family {
    const char *name;
    const char *type;
    const char *unit; /* "" if there is none, as with @help */
    const char *help; /* unescaped, @help_len bytes and a NUL */
    size_t help_len;
    size_t first_sample;
    size_t n_samples;
};

struct om_page {
    struct om_family *families;
    size_t n_families;
    struct om_sample *samples;
    size_t n_samples;
    struct om_label *labels;
    size_t n_labels;
    size_t n_quoted; /* names in quotes */
    char *strings;
    char error[160]; /* line and reason if the page was refused */
};

/* Reads a page: 1, or 0 if it is refused. Either way om_page_free() gives its memory back. */
int om_parse(struct om_page *page, const char *text, size_t n);
void om_page_free(struct om_page *page);

/* The value of a label, or NULL. */
const char *om_label_value(const struct om_page *page, struct om_labels labels, const char *name);

#endif
