/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bomb.h - a client that makes up label values by the hundred thousand, and what guards make of it.
 *
 * What a server must never do is to take a label's value from its clients; what it does all the same is to count by
 * model and by tenant. So one client among honest ones asks for models that there are none of, and says it is a tenant
 * that nobody knows. bomb.c has the families, each with a guard, and the client; bomb_report.c tells what came of it.
 */
#ifndef REPLAY_BOMB_H
#define REPLAY_BOMB_H

#include <kymo/kymo.h>

#include <pthread.h>
#include <stdatomic.h>

/* The families that are bombed. */
enum bomb_target { BOMB_REJECTED, BOMB_TENANT_REQUESTS, BOMB_TENANT_TOKENS, N_BOMB_TARGETS };

/** bomb_names - their names */
extern const char *const bomb_names[N_BOMB_TARGETS];

/** struct bomb_level - how large a page is, and how much memory the registry has */
struct bomb_level {
    size_t page_bytes;
    size_t memory_bytes;
};

/**
 * struct bomb - the client, and what it has done
 * @sent:     by family: what was counted into it
 * @n_requests, @n_invented: requests so far, and how many of them brought a value that never was before
 * @before, @early, @after: levels at the beginning, after a tenth of the requests, and at the end
 * @in_haste: without pauses
 */
struct bomb {
    struct kymo_registry *registry;
    struct kymo_counter_family *families[N_BOMB_TARGETS];
    uint64_t sent[N_BOMB_TARGETS];
    unsigned long n_requests;
    unsigned long n_invented;
    struct bomb_level before;
    struct bomb_level early;
    struct bomb_level after;
    int in_haste;
    atomic_bool stopping;
    atomic_bool over;
    pthread_t thread;
    int told;
};

/** bomb_register() - registers the families; 0, or the error of the library */
int bomb_register(struct kymo_registry *reg, struct bomb *b);

/** bomb_start() - lets the client begin, in a thread of its own; 0, or -1 after a complaint */
int bomb_start(struct bomb *b, int in_haste);

/** bomb_tell() - says what came of it, once the client is done and only once */
void bomb_tell(struct bomb *b);

/** bomb_finish() - waits until the client is done, or stops it at once, and tells if that was not done before */
void bomb_finish(struct bomb *b, int at_once);

/** bomb_report() - prints it: families, self-metrics, sums (bomb_report.c) */
void bomb_report(const struct bomb *b);

#endif
