/* SPDX-License-Identifier: Apache-2.0 */
/* engine.c - see engine.h. */
#define _POSIX_C_SOURCE 200809L
#include "engine.h"

#include "clock.h"
#include "say.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const double far_ns = 4e18;

/* Something to record: which moment of which request, and when on the trace's clock. */
struct event {
    int64_t at_ns;
    size_t request;
    enum moment moment;
};

/* One thread with its part of the plan. */
struct player {
    struct engine *engine;
    const struct event *events;
    size_t n_events;
    pthread_t thread;
};

/* ---- making the events ---- */

static int64_t moment_ns(const struct plan_request *request, enum moment moment)
{
    const int64_t at[N_MOMENTS] = {request->arrive_ns, request->start_ns, request->first_ns, request->end_ns};
    return at[moment];
}

/* By time; at the same time by request, and of one request in the order of its moments. */
static int compare_events(const void *a, const void *b)
{
    const struct event *x = a;
    const struct event *y = b;
    if (x->at_ns != y->at_ns)
        return x->at_ns < y->at_ns ? -1 : 1;
    if (x->request != y->request)
        return x->request < y->request ? -1 : 1;
    return (int)x->moment - (int)y->moment;
}

/* Writes the events of the requests first, first + step, ... and returns how many there are. */
static size_t make_events(const struct plan *plan, size_t first, size_t step, struct event *out)
{
    size_t n = 0;
    for (size_t i = first; i < plan->n_requests; i += step)
        for (int moment = 0; moment < N_MOMENTS; moment++)
            out[n++] = (struct event){moment_ns(&plan->requests[i], (enum moment)moment), i, (enum moment)moment};
    qsort(out, n, sizeof(*out), compare_events);
    return n;
}

static void deal_events(struct engine *e, unsigned n_threads)
{
    struct event *at = e->events;
    for (unsigned i = 0; i < n_threads; i++) {
        const size_t n = make_events(e->plan, i, n_threads, at);
        e->players[i] = (struct player){.engine = e, .events = at, .n_events = n};
        at += n;
    }
}

/* ---- playing them ---- */

/* At infinite speed every moment is due at once. What lies more than a century ahead would not fit, nor happen. */
static int64_t due_ns(const struct engine *e, const struct event *event)
{
    const double wait_ns = (double)event->at_ns / e->speed;
    return e->zero_ns + (wait_ns < far_ns ? (int64_t)wait_ns : (int64_t)far_ns);
}

static void sleep_until(struct engine *e, int64_t until_ns)
{
    const struct timespec until = {.tv_sec = (time_t)(until_ns / NS_PER_S), .tv_nsec = (long)(until_ns % NS_PER_S)};
    pthread_mutex_lock(&e->lock);
    while (!atomic_load(&e->stopping) && clock_now_ns() < until_ns)
        pthread_cond_timedwait(&e->stop, &e->lock, &until);
    pthread_mutex_unlock(&e->lock);
}

static void leave(struct engine *e)
{
    pthread_mutex_lock(&e->lock);
    const int last = --e->n_playing == 0;
    pthread_mutex_unlock(&e->lock);
    if (last)
        e->ended(e->ended_ctx);
}

static void *play(void *arg)
{
    const struct player *player = arg;
    struct engine *e = player->engine;
    kymo_thread_attach(e->registry); /* not needed, but from here on even the first recording is the fast one */
    for (size_t i = 0; i < player->n_events && !atomic_load(&e->stopping); i++) {
        const struct event *event = &player->events[i];
        const int64_t due = due_ns(e, event);
        if (clock_now_ns() < due)
            sleep_until(e, due);
        if (!atomic_load(&e->stopping))
            metrics_record(e->metrics, &e->plan->requests[event->request], event->moment);
    }
    leave(e);
    return NULL;
}

/* ---- starting and stopping ---- */

/* The condition must sleep by the clock that clock_now_ns() reads. */
static int init_sleep(struct engine *e)
{
    pthread_condattr_t attr;
    int r = pthread_condattr_init(&attr);
    if (r != 0)
        return r;
    r = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (r == 0)
        r = pthread_cond_init(&e->stop, &attr);
    pthread_condattr_destroy(&attr);
    if (r == 0)
        r = pthread_mutex_init(&e->lock, NULL);
    return r;
}

static int start_players(struct engine *e, unsigned n_threads)
{
    e->n_playing = n_threads;
    e->zero_ns = clock_now_ns();
    for (; e->n_players < n_threads; e->n_players++) {
        struct player *player = &e->players[e->n_players];
        const int r = pthread_create(&player->thread, NULL, play, player);
        if (r != 0)
            return complain("cannot start a thread: %s", strerror(r));
    }
    return 0;
}

static void free_parts(struct engine *e)
{
    free(e->events);
    free(e->players);
    e->events = NULL;
    e->players = NULL;
}

int engine_start(struct engine *e, unsigned n_threads)
{
    e->events = calloc(e->plan->n_requests, N_MOMENTS * sizeof(*e->events));
    e->players = calloc(n_threads, sizeof(*e->players));
    if (e->events == NULL || e->players == NULL || init_sleep(e) != 0) {
        free_parts(e);
        return complain("out of memory for %zu requests", e->plan->n_requests);
    }
    deal_events(e, n_threads);
    if (start_players(e, n_threads) != 0) {
        engine_stop(e);
        return -1;
    }
    return 0;
}

void engine_stop(struct engine *e)
{
    pthread_mutex_lock(&e->lock);
    atomic_store(&e->stopping, 1);
    pthread_cond_broadcast(&e->stop);
    pthread_mutex_unlock(&e->lock);
    for (unsigned i = 0; i < e->n_players; i++)
        pthread_join(e->players[i].thread, NULL);
    pthread_cond_destroy(&e->stop);
    pthread_mutex_destroy(&e->lock);
    free_parts(e);
}
