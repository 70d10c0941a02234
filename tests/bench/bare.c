/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bare.c - the bare loop over prebuilt line heads. What must hold, and what it is for: bare.h.
 */
#include "bare.h"

#include "number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 65536, MAX_LINE = 512, MAX_HEAD = 160 };

struct writer {
    const struct kymo_sink *sink;
    char buf[CHUNK];
};

static char *flush(struct writer *w, const char *at)
{
    w->sink->write(w->sink->ctx, w->buf, (size_t)(at - w->buf));
    return w->buf;
}

/* The place to write is passed by value all along: in the struct it would be stored and loaded with every byte. */
static inline char *keep_room(struct writer *w, char *at)
{
    return w->buf + CHUNK - at < MAX_LINE ? flush(w, at) : at;
}

static inline char *put(char *at, const char *text, size_t n)
{
    memcpy(at, text, n);
    return at + n;
}

static inline char *put_u64(char *at, uint64_t v)
{
    at += kymo__format_u64(at, v);
    *at = '\n';
    return at + 1;
}

static inline char *put_value(char *at, double v)
{
    at += kymo__format_value(at, v);
    *at = '\n';
    return at + 1;
}

static char *write_whole(const struct bare *bare, struct writer *w, char *at)
{
    const char *head = bare->heads;

    for (size_t i = 0; i < bare->n; head += bare->lens[i++])
        at = put_u64(put(keep_room(w, at), head, bare->lens[i]), bare->whole[i]);
    return at;
}

static char *write_real(const struct bare *bare, struct writer *w, char *at)
{
    const char *head = bare->heads;

    for (size_t i = 0; i < bare->n; head += bare->lens[i++])
        at = put_value(put(keep_room(w, at), head, bare->lens[i]), bare->real[i]);
    return at;
}

static char *write_metrics(const struct bare *bare, struct writer *w, char *at)
{
    const char *head = bare->heads;

    for (size_t i = 0; i < bare->n; head += bare->lens[i++]) {
        char *metric = keep_room(w, at);

        at = put(metric, head, bare->lens[i]);
        put(metric + bare->holes[i], (const char *)&bare->real[i], sizeof(bare->real[i]));
    }
    return at;
}

struct pieces {
    char bucket[64], sum[64], count[64];
    size_t bucket_len, sum_len, count_len;
};

static size_t name_piece(char *buf, size_t cap, const char *name, const char *suffix)
{
    return (size_t)snprintf(buf, cap, "%s%s{", name, suffix);
}

static char *write_histogram(const struct bare *bare, const struct pieces *p, struct writer *w, char *at,
                             const char *labels, size_t i)
{
    const struct bare_histogram *h = &bare->histograms[i];
    size_t len = bare->lens[i];
    uint64_t count = 0;

    for (size_t k = 0; k < BARE_BUCKETS; k++) {
        count += h->buckets[k];
        at = put(put(keep_room(w, at), p->bucket, p->bucket_len), labels, len);
        at = put_u64(put(at, bare->tails[k], bare->tail_lens[k]), count);
    }
    at = put(put(keep_room(w, at), p->sum, p->sum_len), labels, len);
    at = put_value(put(at, "} ", 2), h->sum);
    at = put(put(keep_room(w, at), p->count, p->count_len), labels, len);
    return put_u64(put(at, "} ", 2), count);
}

static char *write_histograms(const struct bare *bare, struct writer *w, char *at)
{
    const char *labels = bare->heads;
    struct pieces p;

    p.bucket_len = name_piece(p.bucket, sizeof(p.bucket), bare->name, "_bucket");
    p.sum_len = name_piece(p.sum, sizeof(p.sum), bare->name, "_sum");
    p.count_len = name_piece(p.count, sizeof(p.count), bare->name, "_count");
    for (size_t i = 0; i < bare->n; labels += bare->lens[i++])
        at = write_histogram(bare, &p, w, at, labels, i);
    return at;
}

void bare_write(const struct bare *bare, const struct kymo_sink *sink)
{
    struct writer w;

    w.sink = sink;
    if (bare->holes)
        flush(&w, write_metrics(bare, &w, w.buf));
    else if (bare->whole)
        flush(&w, write_whole(bare, &w, w.buf));
    else if (bare->real)
        flush(&w, write_real(bare, &w, w.buf));
    else
        flush(&w, write_histograms(bare, &w, w.buf));
}

/* @before and @after enclose each series' labels. */
static void init_heads(struct bare *bare, const char *name, const struct bench_labels *labels, const char *before,
                       const char *after)
{
    const char *const *names = bench_label_names;
    char *at;

    *bare = (struct bare){.n = labels->n, .name = name};
    bare->lens = bench_alloc(labels->n, sizeof(*bare->lens));
    at = bare->heads = bench_alloc(labels->n, MAX_HEAD);
    for (size_t i = 0; i < labels->n; i++) {
        const char *const *v = labels->values[i];
        int n = snprintf(at, MAX_HEAD, "%s%s=\"%s\",%s=\"%s\",%s=\"%s\"%s", before, names[0], v[0], names[1], v[1],
                         names[2], v[2], after);

        if (n < 0 || n >= MAX_HEAD)
            bench_die("a line head is longer than %d bytes", MAX_HEAD);
        bare->lens[i] = (uint32_t)n;
        at += n;
    }
}

void bare_init_counters(struct bare *bare, const char *name, const struct bench_labels *labels, int is_whole)
{
    char before[64];

    name_piece(before, sizeof(before), name, "");
    init_heads(bare, name, labels, before, "} ");
    if (is_whole)
        bare->whole = bench_alloc(bare->n, sizeof(*bare->whole));
    else
        bare->real = bench_alloc(bare->n, sizeof(*bare->real));
}

/* A field whose bytes are already there, @n of them, behind room for its tag and length: both are put before them. */
static char *close_field(char *field, int number, size_t n)
{
    if (n > 127)
        bench_die("a field is longer than the bare loop's lengths");
    field[0] = (char)(number << 3 | 2);
    field[1] = (char)n;
    return field + 2 + n;
}

static char *put_string(char *at, int number, const char *s)
{
    size_t n = strlen(s);

    put(at + 2, s, n);
    return close_field(at, number, n);
}

static char *put_number(char *at, int number, uint64_t v)
{
    for (*at++ = (char)(number << 3); v > 127; v >>= 7)
        *at++ = (char)(v | 128);
    *at = (char)v;
    return at + 1;
}

static char *put_start(char *at, int64_t start_ns)
{
    char *end = put_number(at + 2, 1, (uint64_t)(start_ns / 1000000000));

    if (start_ns % 1000000000 != 0)
        end = put_number(end, 2, (uint64_t)(start_ns % 1000000000));
    return close_field(at, 3, (size_t)(end - at - 2));
}

static char *put_metric(char *metric, const char *const *values, int64_t start_ns, uint8_t *hole)
{
    char *at = metric + 2;

    for (int k = 0; k < 3; k++) {
        char *label = at;

        at = put_string(at + 2, 1, bench_label_names[k]);
        at = put_string(at, 2, values[k]);
        at = close_field(label, 1, (size_t)(at - label - 2));
    }
    at[2] = 1 << 3 | 1;
    *hole = (uint8_t)(at + 3 - metric);
    at = close_field(at, 3, (size_t)(put_start(at + 11, start_ns) - at - 2));
    return close_field(metric, 4, (size_t)(at - metric - 2));
}

void bare_init_protobuf(struct bare *bare, const struct bench_labels *labels, const int64_t *start_ns)
{
    char *at;

    *bare = (struct bare){.n = labels->n};
    bare->lens = bench_alloc(bare->n, sizeof(*bare->lens));
    bare->holes = bench_alloc(bare->n, sizeof(*bare->holes));
    bare->real = bench_alloc(bare->n, sizeof(*bare->real));
    at = bare->heads = bench_alloc(labels->n, MAX_HEAD);
    for (size_t i = 0; i < bare->n; at += bare->lens[i++])
        bare->lens[i] = (uint32_t)(put_metric(at, labels->values[i], start_ns[i], &bare->holes[i]) - at);
}

void bare_init_histograms(struct bare *bare, const char *name, const struct bench_labels *labels)
{
    init_heads(bare, name, labels, "", "");
    bare->histograms = bench_alloc(bare->n, sizeof(*bare->histograms));
    for (size_t k = 0; k < BARE_BUCKETS; k++) {
        char bound[KYMO__NUMBER_MAX];
        size_t n = k < BENCH_BOUNDS ? kymo__format_le(bound, bench_bounds[k]) : kymo__format_le(bound, INFINITY);

        bare->tail_lens[k] =
            (uint32_t)snprintf(bare->tails[k], sizeof(bare->tails[k]), ",le=\"%.*s\"} ", (int)n, bound);
    }
}

void bare_deinit(struct bare *bare)
{
    free(bare->heads);
    free(bare->lens);
    free(bare->holes);
    free(bare->whole);
    free(bare->real);
    free(bare->histograms);
}
