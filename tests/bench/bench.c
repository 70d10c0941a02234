/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench.c - the benchmark program: its options, its rows, its exit status.
 *
 *     bench [--only AREA|ROW] [--json] [--threads N,...] [--smoke]
 *
 * What must hold: with --json each line of stdout is one object {"name","value","unit","baseline","ratio",...} as soon
 * as it is known; a figure that does not exist is null. The exit status says whether the program measured, not whether
 * targets are met. Read next: README.md, bench.h.
 */
#include "bench.h"

#include <kymo/kymo.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLICE_NS = 20000000, SMOKE_SLICE_NS = 100000, PAIRS = 7, MORE_PAIRS = 15, SMOKE_SHARE = 100 };

static const char usage[] = "usage: bench [--only AREA|ROW] [--json] [--threads N,...] [--smoke]\n"
                            "  --only     one area (memory, record, lookup, guards, render, stall, peer) or one row\n"
                            "  --json     one object per line\n"
                            "  --threads  thread counts of the contended rows, 1 to 64 each; default 2\n"
                            "  --smoke    every row once with small counts: the figures mean nothing\n";

/* The areas, in the order in which they run: memory first, while the process is small. */
static const struct {
    const char *name;
    void (*run)(struct bench *b);
} areas[] = {
    {"memory", bench_memory}, {"record and lookup", bench_record},
    {"guards", bench_guards}, {"render", bench_render},
    {"stall", bench_stall},   {"peer", bench_peer},
};

void bench_die(const char *format, ...)
{
    va_list args;

    fflush(stdout);
    fputs("bench: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

void bench_check(int error, const char *what)
{
    if (error)
        bench_die("%s: %s: %s", what, kymo_error_name(error), kymo_strerror(error));
}

void *bench_alloc(size_t n, size_t bytes)
{
    void *p = aligned_alloc(128, (n * bytes + 127) / 128 * 128);

    if (!p)
        bench_die("out of memory for %zu times %zu bytes", n, bytes);
    return memset(p, 0, n * bytes);
}

size_t bench_scale(const struct bench *b, size_t n)
{
    return b->smoke ? n / SMOKE_SHARE : n;
}

/* ---- rows ---- */

int bench_wanted(struct bench *b, const char *area, const char *name)
{
    if (b->only && strcmp(b->only, area) != 0 && strcmp(b->only, name) != 0)
        return 0;
    b->matched++;
    return 1;
}

static void print_json_number(const char *key, double v)
{
    if (isfinite(v))
        printf(",\"%s\":%.6g", key, v);
    else
        printf(",\"%s\":null", key);
}

static void print_json_text(const char *key, const char *text)
{
    if (text)
        printf(",\"%s\":\"%s\"", key, text);
    else
        printf(",\"%s\":null", key);
}

static void write_target(const struct bench_row *row, char *buf, size_t cap)
{
    char ratio[64] = "";

    buf[0] = 0;
    if (row->max_ratio > 0)
        snprintf(ratio, sizeof(ratio), " and <= %g x", row->max_ratio);
    if (row->max_value > 0)
        snprintf(buf, cap, "<= %g %s%s", row->max_value, row->unit, ratio);
    else if (row->max_ratio > 0)
        snprintf(buf, cap, "<= %g x", row->max_ratio);
}

static int is_met(const struct bench_row *row, const struct bench_figures *f)
{
    return (row->max_value <= 0 || f->value <= row->max_value) && (row->max_ratio <= 0 || f->ratio <= row->max_ratio);
}

static void report_json(const struct bench_row *row, const struct bench_figures *f, const char *target)
{
    printf("{\"name\":\"%s\"", row->name);
    print_json_number("value", f->value);
    print_json_text("unit", row->unit);
    print_json_number("baseline", f->baseline);
    print_json_number("ratio", f->ratio);
    print_json_text("baseline_name", row->baseline_name);
    print_json_text("target", *target ? target : NULL);
    printf(",\"met\":%s}\n", !*target ? "null" : is_met(row, f) ? "true" : "false");
}

static void report_line(const struct bench_row *row, const struct bench_figures *f, const char *target)
{
    const char *verdict = "";
    char ratio[96] = "";

    if (isfinite(f->ratio))
        snprintf(ratio, sizeof(ratio), "%.3g x %s (%.3g)", f->ratio, row->baseline_name, f->baseline);
    else if (isfinite(f->baseline))
        snprintf(ratio, sizeof(ratio), "%s: %.3g", row->baseline_name, f->baseline);
    if (*target)
        verdict = is_met(row, f) ? "met" : "NOT MET";
    printf("%-42s %10.*f %-6s  %-46s %-22s %s\n", row->name, f->value < 1000 ? 2 : 0, f->value, row->unit, ratio,
           target, verdict);
}

void bench_report(const struct bench *b, const struct bench_row *row, const struct bench_figures *figures)
{
    char target[96];

    write_target(row, target, sizeof(target));
    if (b->json)
        report_json(row, figures, target);
    else
        report_line(row, figures, target);
    fflush(stdout);
}

void bench_report_value(const struct bench *b, const struct bench_row *row, double value)
{
    bench_report(b, row, &(struct bench_figures){.value = value, .baseline = NAN, .ratio = NAN});
}

/* ---- options ---- */

__attribute__((noreturn)) static void refuse(const char *what)
{
    fprintf(stderr, "bench: %s\n%s", what, usage);
    exit(2);
}

static void parse_threads(struct bench *b, const char *list)
{
    b->n_threads = 0;
    for (const char *at = list; *at; at += *at == ',') {
        char *end;
        unsigned long n = strtoul(at, &end, 10);

        if (end == at || (*end && *end != ',') || n < 1 || n > BENCH_MAX_THREADS || b->n_threads == BENCH_MAX_COUNTS)
            refuse("--threads takes up to 16 numbers from 1 to 64, as in 1,2,4");
        if (n > bench_n_cpus())
            fprintf(stderr, "bench: %lu threads share %u CPUs: those rows show scheduling, not contention\n", n,
                    bench_n_cpus());
        b->threads[b->n_threads++] = (unsigned)n;
        at = end;
    }
    if (b->n_threads == 0)
        refuse("--threads needs a number");
}

static void parse(struct bench *b, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            b->json = 1;
        else if (strcmp(argv[i], "--smoke") == 0)
            b->smoke = 1;
        else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc)
            b->only = argv[++i];
        else if (strcmp(argv[i], "--threads") == 0 && i + 1 < argc)
            parse_threads(b, argv[++i]);
        else
            refuse(argv[i]);
    }
    if (b->smoke) {
        b->slice_ns = SMOKE_SLICE_NS;
        b->pairs = 1;
        b->more_pairs = 1;
    }
}

int main(int argc, char **argv)
{
    struct bench b = {.threads = {2}, .n_threads = 1, .slice_ns = SLICE_NS, .pairs = PAIRS, .more_pairs = MORE_PAIRS};

    parse(&b, argc, argv);
    for (size_t i = 0; i < sizeof(areas) / sizeof(*areas); i++)
        areas[i].run(&b);
    if (b.matched == 0) {
        fprintf(stderr, "bench: no area and no row is called %s\n%s", b.only, usage);
        return 2;
    }
    return 0;
}
