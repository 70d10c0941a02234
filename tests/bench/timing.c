/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timing.c - clocks, medians, and measuring two things in turns.
 *
 * What must hold: subject and baseline see the same machine. They are taken in turns, A B B A A B, so that a clock
 * frequency or a neighbour that drifts meets both.
 */
#include "bench.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_PAIRS = 64 };

/* Ratios nearer than this to 1, or to what they must not exceed, are worth more pairs. */
static const double near_by = 0.03;

static uint64_t read_clock(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t bench_now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t bench_cpu_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t bench_random(uint64_t *state)
{
    /* A Weyl sequence through a mixer: every state is a good one. */
    uint64_t x = *state += 0x9e3779b97f4a7c15u;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

double bench_random_unit(uint64_t *state)
{
    return (double)(bench_random(state) >> 11) * 0x1p-53;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double bench_median(const double *values, size_t n)
{
    double sorted[MAX_PAIRS];

    if (n == 0)
        return NAN;
    if (n > MAX_PAIRS)
        n = MAX_PAIRS;
    memcpy(sorted, values, n * sizeof(*values));
    qsort(sorted, n, sizeof(*sorted), ascending);
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

static ssize_t read_file(const char *path, char *buf, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t n = 0;

    if (fd < 0)
        return -1;
    for (ssize_t got = 1; got > 0 && n < cap - 1; n += (size_t)got) {
        got = read(fd, buf + n, cap - 1 - n);
        if (got < 0)
            got = 0;
    }
    close(fd);
    buf[n] = 0;
    return (ssize_t)n;
}

size_t bench_rss_bytes(void)
{
    char buf[4096];
    const char *line;

    /* statm is cheap but lags by what each thread has not yet added up: tens of pages. */
    if (read_file("/proc/self/smaps_rollup", buf, sizeof(buf)) > 0 && (line = strstr(buf, "\nRss:")) != NULL)
        return (size_t)strtoull(line + 5, NULL, 10) * 1024;
    if (read_file("/proc/self/statm", buf, sizeof(buf)) > 0 && (line = strchr(buf, ' ')) != NULL)
        return (size_t)strtoull(line, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
    bench_die("neither smaps_rollup nor statm of this process can be read");
}

struct series {
    double a[MAX_PAIRS];
    double b[MAX_PAIRS];
    double ratio[MAX_PAIRS];
    unsigned n;
};

static void take_pairs(struct series *s, unsigned until, const struct bench_probe *a, const struct bench_probe *b)
{
    for (; s->n < until; s->n++) {
        if (s->n % 2 == 0) {
            s->a[s->n] = a->take(a->ctx);
            s->b[s->n] = b->take(b->ctx);
        } else {
            s->b[s->n] = b->take(b->ctx);
            s->a[s->n] = a->take(a->ctx);
        }
        s->ratio[s->n] = s->a[s->n] / s->b[s->n];
    }
}

static int is_near(double ratio, double mark)
{
    return fabs(ratio / mark - 1) < near_by;
}

void bench_alternate(const struct bench *b, const struct bench_probe *subject, const struct bench_probe *baseline,
                     double max_ratio, struct bench_figures *out)
{
    struct series s = {.n = 0};
    int close;

    take_pairs(&s, b->pairs, subject, baseline);
    out->ratio = bench_median(s.a, s.n) / bench_median(s.b, s.n);
    close = is_near(out->ratio, 1) || (max_ratio > 0 && is_near(out->ratio, max_ratio));
    if (close)
        take_pairs(&s, b->more_pairs, subject, baseline);
    out->value = bench_median(s.a, s.n);
    out->baseline = bench_median(s.b, s.n);
    out->ratio = close ? bench_median(s.ratio, s.n) : out->value / out->baseline;
}
