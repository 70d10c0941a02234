/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine.h - plays a plan on several threads: every moment of every request is recorded when its time has come.
 *
 * Each request belongs to one thread, which records its moments in order. The threads share nothing but the clock's
 * zero, the wish to stop, and the metrics' handles.
 */
#ifndef REPLAY_ENGINE_H
#define REPLAY_ENGINE_H

#include "metrics.h"
#include "plan.h"

#include <pthread.h>
#include <stdatomic.h>

struct player;

struct engine {
    const struct plan *plan;
    const struct metrics *metrics;
    struct kymo_registry *registry;
    double speed;
    int64_t zero_ns; /* when the trace's time 0 was, on clock_now_ns() */

    struct event *events; /* of all threads, each thread's in one piece */
    struct player *players;
    unsigned n_players; /* threads started */

    void (*ended)(void *ctx);
    void *ended_ctx;

    atomic_bool stopping;
    pthread_mutex_t lock; /* n_playing, and sleeping on stop */
    pthread_cond_t stop;
    unsigned n_playing;
};

/**
 * engine_start() - starts the threads
 * @e:     the caller's memory, zero; plan, metrics, registry, speed, ended and ended_ctx set, and kept by the caller
 *         until engine_stop()
 * @ended: called once, by the last thread to finish
 * Returns 0, or -1 after a complaint; engine_stop() is not needed then.
 */
int engine_start(struct engine *e, unsigned n_threads);

/** engine_stop() - ends the threads, finished or not, and frees what they used */
void engine_stop(struct engine *e);

#endif
