/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace.c - see trace.h.
 *
 * Whatever the file holds, memory is bounded by its rows: lines have a greatest length. The limits on token counts
 * keep every sum of plan.c within 64 bits.
 */
#include "trace.h"

#include "say.h"
#include "timestamp.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 1024, FIELDS_MAX = 32 };
enum { TIMESTAMP, PROMPT, COMPLETION, N_COLUMNS };

static const char *const column_names[N_COLUMNS] = {"TIMESTAMP", "ContextTokens", "GeneratedTokens"};
static const char header_wanted[] = "the first line must name TIMESTAMP, ContextTokens, GeneratedTokens";

static const uint32_t tokens_max = 10000000;
static const uint64_t tokens_in_all_max = UINT64_C(100000000000);

struct reader {
    const char *path;
    FILE *file;
    unsigned long line; /* the one in buf; the first is 1 */
    char buf[LINE_BYTES + 1];
    char *fields[FIELDS_MAX];
    size_t n_fields;
    size_t n_columns;         /* fields of the header */
    size_t column[N_COLUMNS]; /* which field holds what */
    int64_t first_ns;
    int64_t last_ns;
    uint64_t tokens_in_all;
    size_t cap_rows;
};

/* ---- lines and fields ---- */

static int complain_line(const struct reader *r, const char *what)
{
    return complain("%s:%lu: %s", r->path, r->line, what);
}

/* Shows the field too, but not more of it than fits a line, nor bytes that a terminal would obey. */
static int complain_of(const struct reader *r, size_t column, const char *what)
{
    const char *field = r->fields[r->column[column]];
    char shown[41];
    size_t n = 0;
    for (; field[n] != '\0' && n < sizeof(shown) - 1; n++)
        shown[n] = field[n] >= ' ' && field[n] <= '~' ? field[n] : '?';
    shown[n] = '\0';
    return complain("%s:%lu: %s %s: \"%s\"", r->path, r->line, column_names[column], what, shown);
}

/* Returns 1 with the next line in buf, its end cut off; 0 at the end of the file; -1 after a complaint. */
static int next_line(struct reader *r)
{
    size_t n = 0;
    int c;
    r->line++;
    while ((c = getc(r->file)) != EOF && c != '\n') {
        if (c == '\0' || n == LINE_BYTES)
            return complain_line(r, c == '\0' ? "a NUL byte" : "the line is longer than 1024 bytes");
        r->buf[n++] = (char)c;
    }
    if (ferror(r->file))
        return complain("cannot read %s: %s", r->path, strerror(errno));
    if (c == EOF && n == 0)
        return 0;
    if (n > 0 && r->buf[n - 1] == '\r')
        n--;
    r->buf[n] = '\0';
    return 1;
}

static int split_fields(struct reader *r)
{
    char *at = r->buf;
    r->n_fields = 0;
    for (;;) {
        if (r->n_fields == FIELDS_MAX)
            return complain_line(r, "more than 32 fields");
        r->fields[r->n_fields++] = at;
        at += strcspn(at, ",");
        if (*at == '\0')
            return 0;
        *at++ = '\0';
    }
}

/* ---- the header ---- */

static int find_column(struct reader *r, size_t column)
{
    for (size_t i = 0; i < r->n_fields; i++) {
        if (strcmp(r->fields[i], column_names[column]) == 0) {
            r->column[column] = i;
            return 0;
        }
    }
    return complain("%s:%lu: no column %s: %s", r->path, r->line, column_names[column], header_wanted);
}

static int read_header(struct reader *r)
{
    const int got = next_line(r);
    if (got < 0)
        return -1;
    if (got == 0)
        return complain("%s:%lu: the file is empty: %s", r->path, r->line, header_wanted);
    if (split_fields(r) != 0)
        return -1;
    r->n_columns = r->n_fields;
    for (size_t column = 0; column < N_COLUMNS; column++)
        if (find_column(r, column) != 0)
            return -1;
    return 0;
}

/* ---- rows ---- */

static int parse_arrival(struct reader *r, const struct trace *trace, int64_t *arrive_ns)
{
    int64_t ns;
    if (timestamp_parse(r->fields[r->column[TIMESTAMP]], &ns) != 0)
        return complain_of(r, TIMESTAMP, "does not look like 2023-11-16 18:15:46.6805900");
    if (trace->n_rows == 0)
        r->first_ns = ns;
    else if (ns < r->last_ns)
        return complain_of(r, TIMESTAMP, "is earlier than on the line before, a trace must be sorted by time");
    r->last_ns = ns;
    *arrive_ns = ns - r->first_ns;
    return 0;
}

static int parse_tokens(struct reader *r, size_t column, uint32_t *tokens)
{
    const char *text = r->fields[r->column[column]];
    const char *digits = text + (*text == '-');
    if (*digits == '\0' || digits[strspn(digits, "0123456789")] != '\0')
        return complain_of(r, column, "is not a whole number");
    if (digits != text)
        return complain_of(r, column, "is negative");
    errno = 0;
    const unsigned long long v = strtoull(text, NULL, 10);
    if (errno != 0 || v > tokens_max)
        return complain_of(r, column, "is above the limit of 10000000");
    r->tokens_in_all += v;
    if (r->tokens_in_all > tokens_in_all_max)
        return complain_of(r, column, "takes the trace over the limit of 100000000000 tokens in all");
    *tokens = (uint32_t)v;
    return 0;
}

static int parse_row(struct reader *r, const struct trace *trace, struct trace_row *row)
{
    if (split_fields(r) != 0)
        return -1;
    if (r->n_fields != r->n_columns)
        return complain("%s:%lu: %zu fields where the header has %zu", r->path, r->line, r->n_fields, r->n_columns);
    if (parse_arrival(r, trace, &row->arrive_ns) != 0 || parse_tokens(r, PROMPT, &row->prompt_tokens) != 0)
        return -1;
    return parse_tokens(r, COMPLETION, &row->completion_tokens);
}

static int append_row(struct reader *r, struct trace *trace, const struct trace_row *row)
{
    if (trace->n_rows == r->cap_rows) {
        const size_t cap = r->cap_rows == 0 ? 1024 : r->cap_rows * 2;
        struct trace_row *rows = realloc(trace->rows, cap * sizeof(*rows));
        if (rows == NULL)
            return complain_line(r, "out of memory");
        trace->rows = rows;
        r->cap_rows = cap;
    }
    trace->rows[trace->n_rows++] = *row;
    return 0;
}

static int read_rows(struct reader *r, struct trace *trace)
{
    int got;
    while ((got = next_line(r)) == 1) {
        struct trace_row row;
        if (parse_row(r, trace, &row) != 0 || append_row(r, trace, &row) != 0)
            return -1;
    }
    if (got == 0 && trace->n_rows == 0)
        return complain_line(r, "no request follows the header");
    return got;
}

int trace_read(const char *path, struct trace *trace)
{
    struct reader r = {.path = path, .file = fopen(path, "r")};
    *trace = (struct trace){0};
    if (r.file == NULL)
        return complain("cannot read %s: %s", path, strerror(errno));
    int result = read_header(&r);
    if (result == 0)
        result = read_rows(&r, trace);
    if (result != 0)
        trace_free(trace);
    fclose(r.file);
    return result;
}

void trace_free(struct trace *trace)
{
    free(trace->rows);
    *trace = (struct trace){0};
}
