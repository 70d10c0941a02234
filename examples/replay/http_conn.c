/* SPDX-License-Identifier: Apache-2.0 */
/* http_conn.c - see http_conn.h. */
#define _POSIX_C_SOURCE 200809L
#include "http_conn.h"

#include "clock.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static const int64_t linger_ns = NS_PER_S / 4;

static int left_ms(const struct http_conn *c)
{
    const int64_t left = c->deadline_ns - clock_now_ns();
    return left > 0 ? (int)((left + 999999) / 1000000) : 0;
}

static enum http_wait wait_for(const struct http_conn *c, short events)
{
    struct pollfd fds[] = {{.fd = c->fd, .events = events}, {.fd = c->wake_fd, .events = POLLIN}};
    const int n = poll(fds, 2, left_ms(c));
    if (n < 0)
        return errno == EINTR ? HTTP_READY : HTTP_GONE; /* READY: the caller tries and comes back */
    if (fds[1].revents != 0)
        return HTTP_GONE;
    return n == 0 ? HTTP_LATE : HTTP_READY;
}

static int try_again(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

enum http_wait http_conn_read(const struct http_conn *c, char *buf, size_t cap, size_t *n)
{
    *n = 0;
    for (;;) {
        const enum http_wait wait = wait_for(c, POLLIN);
        if (wait != HTTP_READY)
            return wait;
        const ssize_t got = recv(c->fd, buf, cap, 0);
        if (got >= 0) {
            *n = (size_t)got;
            return HTTP_READY;
        }
        if (!try_again())
            return HTTP_GONE;
    }
}

int http_conn_write(const struct http_conn *c, const char *data, size_t n)
{
    while (n > 0) {
        if (wait_for(c, POLLOUT) != HTTP_READY)
            return -1;
        const ssize_t sent = send(c->fd, data, n, MSG_NOSIGNAL);
        if (sent < 0 && !try_again())
            return -1;
        if (sent > 0) {
            data += sent;
            n -= (size_t)sent;
        }
    }
    return 0;
}

/*
 * Closing with unread bytes makes the system reset the connection, and a reset can overtake the reply. So say that
 * nothing more comes, and read what the client still sends until it closes too, for a moment at most.
 */
void http_conn_close(struct http_conn *c)
{
    char rest[4096];
    size_t n = 0;
    c->deadline_ns = clock_now_ns() + linger_ns;
    if (shutdown(c->fd, SHUT_WR) == 0)
        while (http_conn_read(c, rest, sizeof(rest), &n) == HTTP_READY && n > 0)
            continue;
    close(c->fd);
}
