/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace.h - a trace of LLM requests, read from a CSV file.
 *
 * The first line names the columns; TIMESTAMP, ContextTokens and GeneratedTokens must be among them, in any order.
 * Then one request per line, sorted by time. Lines end in LF or CRLF, the last one may lack its end.
 * Timestamps look like 2023-11-16 18:15:46.6805900: no zone, up to nine decimals.
 */
#ifndef REPLAY_TRACE_H
#define REPLAY_TRACE_H

#include <stddef.h>
#include <stdint.h>

/* One line: when the request came, in nanoseconds after the first one, and its two lengths. */
struct trace_row {
    int64_t arrive_ns;
    uint32_t prompt_tokens;
    uint32_t completion_tokens;
};

struct trace {
    struct trace_row *rows;
    size_t n_rows;
};

/**
 * trace_read() - reads the whole file
 * Returns 0, or -1 after a complaint that names the file, the line and what is wrong; @trace is empty then.
 * Ownership: the caller's, trace_free() ends it.
 */
int trace_read(const char *path, struct trace *trace);

/** trace_free() - gives the rows back; an empty trace is fine */
void trace_free(struct trace *trace);

#endif
