/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/process.h - which thread of this process writes where: what the files on threads share.
 *
 * Every thread that records into memory of its own has
 *   a control (struct kymo__thread), which recording reads: one cache line in a page that a child of fork() finds
 *   zeroed, so that the child never writes where its parent writes; and
 *   a seat, which keeps what must outlive that: the control's place, its directory, who sits there.
 * A directory has one entry per process column. Registries of a process share the numbering, so that a handle names a
 * place in it and nothing else has to be looked up.
 *
 * seat.c gives seats their shards and chunks; provide.c does so for threads that only record, and left marks; thread.c
 * has what a thread does for itself, and its end; process.c the process's registries, and forks.
 * Seats, controls and directories are never unmapped while a thread could still look at them.
 */
#ifndef KYMO__PROCESS_H
#define KYMO__PROCESS_H

#include "core/core.h"

#define KYMO__SPARES 16
#define KYMO__PROCESS_COLUMNS 65536u

enum kymo__seat_state {
    KYMO__SEAT_FREE,
    KYMO__SEAT_SPARE,   /* in the pool, for a recorder to take */
    KYMO__SEAT_TAKEN,   /* some thread's */
    KYMO__SEAT_DROPPED, /* a parent's thread's, in a child of fork() */
};

struct kymo__seat {
    struct kymo__thread *control;
    struct kymo__seat *next;
    uint32_t state; /* enum kymo__seat_state; process lock, but for SPARE -> TAKEN, which a recorder does */
    uint32_t thread_id;
    int hooked; /* the thread's exit will give the seat back */
    struct kymo__entry *dir;
    uint32_t cap;
};

/* Tells a fresh child of fork() from its parent: lives in a wiped page. */
struct kymo__token {
    uint32_t settled;
};

struct kymo__process {
    pthread_mutex_t lock;         /* everything here but what is said to be a recorder's */
    pthread_mutex_t columns_lock; /* columns_used; taken last */
    struct kymo_registry *registries;
    struct kymo__seat *seats;
    struct kymo__seat *spares[KYMO__SPARES]; /* a recorder takes one by exchange */
    uint32_t wanting;                        /* threads that found no spare seat; counted by recorders */
    uint32_t round;                          /* of making spare seats: each thread asks once in each */
    uint32_t want_anything;                  /* some mark was left since the last kymo__provide(); set by recorders */
    struct kymo__token *token;
    int wipes; /* the kernel wipes pages on fork; else a fork handler does */
    int hook_made;
    pthread_key_t hook;
    uint64_t columns_used[KYMO__PROCESS_COLUMNS / 64];
};

extern struct kymo__process kymo__process __attribute__((visibility("hidden")));

/* ---- seat.c: under the process lock ---- */

/** kymo__seat_take() - a free seat with a directory, or NULL. */
struct kymo__seat *kymo__seat_take(enum kymo__seat_state state);
/** kymo__seat_lease() - makes the seat the owner of a shard: an adopted one, values and all, or a new one. Both locks. */
int kymo__seat_lease(struct kymo_registry *reg, struct kymo__seat *seat);
/** kymo__seat_serve() - gives a seat what it needs in a segment column; 1: whole words, 2: fractions too. Both locks. */
int kymo__seat_serve(struct kymo_registry *reg, struct kymo__seat *seat, uint32_t column, uint8_t what);
/** kymo__entry_at() - a seat's entry for a process column, or NULL if its directory ends before. */
struct kymo__entry *kymo__entry_at(struct kymo__seat *seat, uint32_t process_column);
/** kymo__shard_of() - the seat's shard of a registry, or NULL. */
struct kymo__shard *kymo__shard_of(struct kymo__seat *seat, const struct kymo_registry *reg);
/** kymo__entries_clear() - takes all of a registry's columns out of a seat's directory. */
void kymo__entries_clear(const struct kymo_registry *reg, struct kymo__seat *seat);

/* ---- thread.c ---- */

/** kymo__thread_exit() - gives the calling thread's seat back: a pthread key's destructor. */
void kymo__thread_exit(void *seat);
/** kymo__reap_locked() - kymo__reap(), under the process lock. */
void kymo__reap_locked(void);

#endif
