/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server.h - answers GET /metrics on 127.0.0.1 from one thread, one client after the other.
 *
 * Enough for the few scrapers a process has; a server for the open network is another program.
 */
#ifndef REPLAY_HTTP_SERVER_H
#define REPLAY_HTTP_SERVER_H

#include "http_reply.h"

#include <pthread.h>

struct http_server {
    struct kymo_registry *registry;
    struct kymo_counter *scrapes;
#define MEMBER(code, text) struct kymo_counter *replies_##code;
    HTTP_STATUS_MAP(MEMBER)
#undef MEMBER
    int listen_fd;
    int wake_read_fd; /* becomes readable when the other end is closed: the thread's sign to stop */
    int wake_write_fd;
    unsigned port;
    pthread_t thread;
};

/**
 * http_server_start() - listens, registers its own counters, and answers from a new thread
 * @s:    the caller's memory, until http_server_stop()
 * @reg:  what to show; outlives the server
 * @port: 0 lets the system choose; s->port tells which
 * Returns 0, or -1 after a complaint; http_server_stop() must not be called then.
 */
int http_server_start(struct http_server *s, struct kymo_registry *reg, unsigned port);

/** http_server_stop() - closes the port and ends the thread, also in the middle of a reply */
void http_server_stop(struct http_server *s);

#endif
