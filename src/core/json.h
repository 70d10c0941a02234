/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/json.h - JSON into a sink, for what a registry says of itself to machines.
 *
 * What is written is kept until kymo__json_flush(), so that a writer may hold a lock that a slow sink must not wait
 * under. An error is remembered: what is written after it is dropped. Text that is not UTF-8 comes out as U+FFFD for
 * each byte above 127, numbers that JSON does not have as null: the document is valid whatever it is told. Source:
 * RFC 8259.
 */
#ifndef KYMO__JSON_H
#define KYMO__JSON_H

#include "core/core.h"

struct kymo__json {
    struct kymo_registry *reg; /* whose memory it takes */
    const struct kymo_sink *sink;
    char *text; /* not yet flushed */
    size_t n, cap;
    int comma; /* due before the next value */
    int error;
};

/** kymo__json_begin() - an empty document; kymo__json_end() flushes and frees it, and returns the first error. */
void kymo__json_begin(struct kymo__json *j, struct kymo_registry *reg, const struct kymo_sink *sink);
int kymo__json_end(struct kymo__json *j);
/** kymo__json_flush() - hands to the sink what there is; the first error, or 0. Not under a lock. */
int kymo__json_flush(struct kymo__json *j);

/* A value, or its beginning: @key is its name in an object, NULL in an array and for the document itself. */

/** kymo__json_open() - begins an object '{' or an array '['; kymo__json_close() ends it with '}' or ']'. */
void kymo__json_open(struct kymo__json *j, const char *key, char bracket);
void kymo__json_close(struct kymo__json *j, char bracket);
void kymo__json_text(struct kymo__json *j, const char *key, const char *s);
void kymo__json_number(struct kymo__json *j, const char *key, double v);
void kymo__json_whole(struct kymo__json *j, const char *key, uint64_t v);

#endif
