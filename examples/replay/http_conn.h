/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_conn.h - one client's connection, with a deadline for all of it.
 *
 * Clients are answered one after the other, so none may take longer than the deadline, be it silent, slow or gone.
 */
#ifndef REPLAY_HTTP_CONN_H
#define REPLAY_HTTP_CONN_H

#include <stddef.h>
#include <stdint.h>

/**
 * struct http_conn - a connection
 * @fd:          the client, non-blocking
 * @wake_fd:     readable when the server is to stop, which ends every wait
 * @deadline_ns: on clock_now_ns()
 */
struct http_conn {
    int fd;
    int wake_fd;
    int64_t deadline_ns;
};

enum http_wait { HTTP_READY, HTTP_LATE, HTTP_GONE };

/** http_conn_read() - waits for bytes; *@n is 0 with HTTP_READY when the client will send no more */
enum http_wait http_conn_read(const struct http_conn *c, char *buf, size_t cap, size_t *n);

/** http_conn_write() - sends all @n bytes; 0, or -1 if the client is late, gone, or the server stops */
int http_conn_write(const struct http_conn *c, const char *data, size_t n);

/** http_conn_close() - closes so that the client can read all of the reply, also if it sent more than was read */
void http_conn_close(struct http_conn *c);

#endif
