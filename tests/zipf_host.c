/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zipf_host.c - a family under KYMO_GUARD_TOP for a real server to scrape, while a stream of Zipf's law goes into it.
 *
 *     zipf_host --seconds N --linger-ms L
 *
 * Serves /metrics on a free port of 127.0.0.1 for so long that a test has what it wants; prints "port P" first and
 * "scrape N" for each page sent. GET /start begins the stream, which lasts N seconds; then a line says what was
 * recorded, in whole numbers: "recorded TOTAL in EVENTS replaced ENDED". GET /replaced answers how many series have
 * ended so far.
 *
 * What must hold: nothing is recorded before the start, but for what stands on the first page, nor after the line. The
 * rate is what its name says: each thousandth of a second has its share, made up for if the thread slept longer. Who is
 * popular changes all the time: every rank moves on to the next key, ever more slowly, so that the later ones become the
 * heavier ones.
 */
#define _GNU_SOURCE

#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <kymo/kymo.h>

#include "host.h"

enum {
    N_KEYS = 20000,
    TOP = 20,
    RATE_PER_MS = 10,
    N_EARLY = 2000,
    EARLY_AMOUNT = 100,
    SERVE_MAX_S = 600,
    MAX_AMOUNT = 4
};

/**
 * struct stream - the family, and who records into it
 * @started: the thread runs; @n_ended: series that have; atomic
 */
struct stream {
    struct kymo_registry *reg;
    struct kymo_counter_family *family;
    double sums[N_KEYS];
    long seconds;
    int started;
    unsigned n_ended;
    pthread_t thread;
};

static struct stream stream;

static uint64_t random_next(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static size_t draw_rank(const struct stream *s, uint64_t r)
{
    double v = (double)(r >> 11) * 0x1p-53 * s->sums[N_KEYS - 1];
    size_t low = 0, high = N_KEYS - 1;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (s->sums[middle] > v)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* By so many keys the ranks have moved on: 5 after a second, 22 after twenty. */
static size_t shift_after(int64_t ms)
{
    return (size_t)sqrt((double)ms / 40);
}

static unsigned record_one(const struct stream *s, size_t shift, uint64_t *random)
{
    char tenant[24];
    const char *value = tenant;
    size_t key = (draw_rank(s, random_next(random)) + shift) % N_KEYS;
    unsigned amount = (unsigned)(random_next(random) % MAX_AMOUNT) + 1;
    (void)snprintf(tenant, sizeof(tenant), "tenant-%zu", key);
    kymo_counter_family_add(s->family, amount, &value, 1);
    return amount;
}

static int64_t now_ms(void)
{
    struct timespec now;
    MUST(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void *record(void *arg)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    struct stream *s = arg;
    const int64_t begin = now_ms();
    uint64_t random = 1, total = 0, events = 0;
    for (int64_t due = 0; due < s->seconds * 1000; nanosleep(&pause, NULL))
        for (int64_t now = now_ms() - begin; due < now && due < s->seconds * 1000; due++)
            for (int i = 0; i < RATE_PER_MS; i++, events++)
                total += record_one(s, shift_after(due), &random);
    printf("recorded %llu in %llu replaced %u\n", (unsigned long long)total, (unsigned long long)events,
           __atomic_load_n(&s->n_ended, __ATOMIC_RELAXED));
    return NULL;
}

/* ---- pages ---- */

static int write_body(void *ctx, const char *data, size_t n)
{
    return fwrite(data, 1, n, ctx) == n ? 0 : -1;
}

static int answer_metrics(struct host_reply *reply)
{
    static unsigned n_scrapes;
    const struct kymo_sink sink = {sizeof(sink), reply->body, write_body};
    const struct kymo_format *format = kymo_format_find("text");
    MUST(format != NULL && kymo_registry_write(stream.reg, format, &sink) == 0);
    (void)snprintf(reply->content_type, sizeof(reply->content_type), "%s", format->content_type);
    (void)snprintf(reply->said, sizeof(reply->said), "scrape %u", ++n_scrapes);
    return 1;
}

static int answer_start(struct host_reply *reply)
{
    MUST(!stream.started);
    stream.started = 1;
    MUST(pthread_create(&stream.thread, NULL, record, &stream) == 0);
    fputs("started\n", reply->body);
    return 1;
}

static int answer(const struct host_request *request, struct host_reply *reply)
{
    (void)snprintf(reply->content_type, sizeof(reply->content_type), "text/plain");
    if (strcmp(request->path, "/metrics") == 0)
        return answer_metrics(reply);
    if (strcmp(request->path, "/start") == 0)
        return answer_start(reply);
    if (strcmp(request->path, "/replaced") == 0)
        return fprintf(reply->body, "%u\n", __atomic_load_n(&stream.n_ended, __ATOMIC_RELAXED)) > 0;
    return 0;
}

/* ---- start and end ---- */

static void note_end(void *ctx, const struct kymo_event *event)
{
    struct stream *s = ctx;
    if (strcmp(event->family->name, "zipf_total") == 0)
        __atomic_fetch_add(&s->n_ended, 1, __ATOMIC_RELAXED);
}

/* As if the program had run for a while: a server that sees a counter near 0 takes it for a new one. */
static void record_early(unsigned i)
{
    char tenant[24];
    const char *value = tenant;
    (void)snprintf(tenant, sizeof(tenant), "early-%u", i);
    kymo_counter_family_add(stream.family, EARLY_AMOUNT, &value, 1);
}

static void prepare(long linger_ms)
{
    const struct kymo_registry_options options = {.size = sizeof(options), .event = note_end, .event_ctx = &stream};
    double sum = 0;
    for (size_t i = 0; i < N_KEYS; i++)
        stream.sums[i] = sum += 1 / pow((double)(i + 1), 1.1);
    MUST(kymo_registry_new(&options, &stream.reg) == 0);
    MUST(kymo_counter_family_new(
             stream.reg,
             KYMO_DESC(.name = "zipf_total", .help = "Amounts by tenant.", KYMO_LABELS("tenant"),
                       KYMO_GUARD(.policy = KYMO_GUARD_TOP, .max_series = TOP, .linger_ms = (uint32_t)linger_ms)),
             &stream.family) == 0);
    for (unsigned i = 0; i < N_EARLY; i++)
        record_early(i);
}

/* The number after an option's name; 0 without it. */
static long option(int argc, char **argv, const char *name)
{
    for (int i = 1; i + 1 < argc; i += 2)
        if (strcmp(argv[i], name) == 0)
            return strtol(argv[i + 1], NULL, 10);
    return 0;
}

int main(int argc, char **argv)
{
    long linger_ms = option(argc, argv, "--linger-ms");
    stream.seconds = option(argc, argv, "--seconds");
    if (stream.seconds < 1 || stream.seconds > SERVE_MAX_S / 2 || linger_ms < 1) {
        fputs("usage: zipf_host --seconds N --linger-ms L\n", stderr);
        return 2;
    }
    prepare(linger_ms);
    setvbuf(stdout, NULL, _IOLBF, 0);
    host_serve(SERVE_MAX_S, answer);
    if (stream.started)
        pthread_join(stream.thread, NULL);
    kymo_registry_free(stream.reg);
    return 0;
}
