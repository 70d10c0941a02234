/* SPDX-License-Identifier: Apache-2.0 */
/* http_server.c - see http_server.h. */
#define _POSIX_C_SOURCE 200809L
#include "http_server.h"

#include "clock.h"
#include "say.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 64, PAUSE_MS = 100 };

/* A scrape on the same machine takes milliseconds; whoever takes longer makes the others wait. */
static const int64_t client_ns = 2 * NS_PER_S;

/* ---- its own counters ---- */

static int register_counters(struct http_server *s)
{
    int r = kymo_counter_new(
        s->registry, KYMO_DESC(.name = "replay_scrapes_total", .help = "Pages sent to their last byte."), &s->scrapes);
    if (r != 0)
        return r;
    struct kymo_counter_family *replies;
    r = kymo_counter_family_new(
        s->registry,
        KYMO_DESC(.name = "replay_http_replies_total", .help = "HTTP replies sent, by status.", KYMO_LABELS("code")),
        &replies);
#define RESOLVE(code, text) s->replies_##code = kymo_counter_with(replies, KYMO_VALUES(#code));
    HTTP_STATUS_MAP(RESOLVE)
#undef RESOLVE
    return r;
}

static void count_reply(const struct http_server *s, int status)
{
    switch (status) {
#define COUNT(code, text)                                                                                              \
    case code:                                                                                                         \
        kymo_counter_inc(s->replies_##code);                                                                           \
        break;
        HTTP_STATUS_MAP(COUNT)
#undef COUNT
    default: /* 0: the reply was cut short */
        break;
    }
}

/* ---- one client ---- */

/* Returns the size of a whole request head, or 0 with *@status to refuse with; *@status 0: nobody is there. */
static size_t read_head(const struct http_conn *c, char *buf, size_t cap, int *status)
{
    size_t n = 0;
    while (!http_request_is_whole(buf, n)) {
        size_t got = 0;
        *status = 431;
        if (n == cap)
            return 0;
        const enum http_wait wait = http_conn_read(c, buf + n, cap - n, &got);
        *status = wait == HTTP_LATE ? 408 : wait == HTTP_GONE || n + got == 0 ? 0 : 400;
        if (wait != HTTP_READY || got == 0)
            return 0;
        n += got;
    }
    return n;
}

/* Returns the status to refuse with, or 0 if the page is to be sent. */
static int route(const struct http_request *request)
{
    if (strcmp(request->path, "/metrics") != 0)
        return 404;
    if (strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0)
        return 405;
    return 0;
}

static void refuse(const struct http_server *s, const struct http_conn *c, int status,
                   const struct http_request *request)
{
    http_reply_refuse(c, status, request);
    count_reply(s, status);
}

static void send_page(const struct http_server *s, const struct http_conn *c, const struct http_request *request)
{
    const int status = http_reply_page(c, request, s->registry);
    count_reply(s, status);
    if (status == 200 && strcmp(request->method, "GET") == 0)
        kymo_counter_inc(s->scrapes);
}

static void answer(const struct http_server *s, const struct http_conn *c)
{
    char head[HTTP_HEAD_BYTES + 1];
    struct http_request request = {.method = "", .path = ""};
    int status = 0;
    const size_t n = read_head(c, head, HTTP_HEAD_BYTES, &status);
    if (n > 0)
        status = http_request_parse(head, n, &request);
    else if (status == 0)
        return;
    if (status == 0)
        status = route(&request);
    if (status != 0)
        refuse(s, c, status, &request);
    else
        send_page(s, c, &request);
}

/* ---- the accept loop ---- */

static void set_up_client(int fd)
{
    const int on = 1;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* head and page leave in two sends */
}

static void serve_client(const struct http_server *s, int fd)
{
    struct http_conn c = {.fd = fd, .wake_fd = s->wake_read_fd, .deadline_ns = clock_now_ns() + client_ns};
    set_up_client(fd);
    answer(s, &c);
    http_conn_close(&c);
}

/* Without a free descriptor accept() would fail again at once, so wait a moment for one. */
static void pause_accepting(const struct http_server *s)
{
    struct pollfd wake = {.fd = s->wake_read_fd, .events = POLLIN};
    poll(&wake, 1, PAUSE_MS);
}

static void accept_client(const struct http_server *s)
{
    const int fd = accept(s->listen_fd, NULL, NULL);
    if (fd >= 0)
        serve_client(s, fd);
    else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
        pause_accepting(s);
}

static void *serve(void *arg)
{
    const struct http_server *s = arg;
    struct pollfd fds[] = {{.fd = s->listen_fd, .events = POLLIN}, {.fd = s->wake_read_fd, .events = POLLIN}};
    for (;;) {
        poll(fds, 2, -1);
        if (fds[1].revents != 0)
            return NULL;
        if (fds[0].revents != 0)
            accept_client(s);
    }
}

/* ---- starting and stopping ---- */

static int bind_and_listen(int fd, unsigned *port)
{
    const int on = 1;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)*port), .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)); /* a restart need not wait for old connections */
    fcntl(fd, F_SETFL, O_NONBLOCK); /* a client that gives up between poll() and accept() must not block it */
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (bind(fd, (const struct sockaddr *)&address, size) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        return -1;
    *port = ntohs(address.sin_port);
    return 0;
}

static int open_port(struct http_server *s, unsigned port)
{
    s->port = port;
    s->listen_fd = socket(AF_INET, SOCK_STREAM, 0);
    if (s->listen_fd >= 0 && bind_and_listen(s->listen_fd, &s->port) == 0)
        return 0;
    const int error = errno;
    if (s->listen_fd >= 0)
        close(s->listen_fd);
    return complain("cannot listen on 127.0.0.1:%u: %s%s", port, strerror(error),
                    error == EADDRINUSE ? " (choose another with --port; 0 picks a free one)" : "");
}

static int start_thread(struct http_server *s)
{
    int wake[2];
    if (pipe(wake) != 0)
        return complain("cannot open a pipe: %s", strerror(errno));
    s->wake_read_fd = wake[0];
    s->wake_write_fd = wake[1];
    const int r = pthread_create(&s->thread, NULL, serve, s);
    if (r == 0)
        return 0;
    close(wake[0]);
    close(wake[1]);
    return complain("cannot start a thread: %s", strerror(r));
}

int http_server_start(struct http_server *s, struct kymo_registry *reg, unsigned port)
{
    *s = (struct http_server){.registry = reg};
    const int r = register_counters(s);
    if (r != 0)
        return complain("cannot register the server's counters: %s", kymo_strerror(r));
    if (open_port(s, port) != 0)
        return -1;
    if (start_thread(s) != 0) {
        close(s->listen_fd);
        return -1;
    }
    return 0;
}

void http_server_stop(struct http_server *s)
{
    close(s->wake_write_fd);
    pthread_join(s->thread, NULL);
    close(s->wake_read_fd);
    close(s->listen_fd);
}
