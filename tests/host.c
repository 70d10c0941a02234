/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/host.c - see host.h.
 *
 * A reply is made whole before its first byte is sent, so that its length stands in its head. A client that stops
 * talking is left after five seconds; who asks is another program of the same test.
 */
#define _GNU_SOURCE

#include "host.h"

#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void host_json_string(FILE *f, const char *s)
{
    fputc('"', f);
    for (; *s != '\0'; s++) {
        if ((unsigned char)*s < 0x20)
            fprintf(f, "\\u%04x", (unsigned)*s);
        else
            fprintf(f, *s == '"' || *s == '\\' ? "\\%c" : "%c", *s);
    }
    fputc('"', f);
}

long host_seconds(const char *text, long otherwise)
{
    char *end;
    if (text == NULL)
        return otherwise;
    long seconds = strtol(text, &end, 10);
    return *end == '\0' && seconds > 0 && seconds <= 3600 ? seconds : 0;
}

/* ---- connections ---- */

static int64_t now_ms(void)
{
    struct timespec now;
    MUST(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int listen_somewhere(unsigned *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(fd >= 0);
    MUST(bind(fd, (const struct sockaddr *)&address, size) == 0 && listen(fd, 64) == 0);
    MUST(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static int send_all(int fd, const char *data, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, data, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return -1;
        data += sent;
        n -= (size_t)sent;
    }
    return 0;
}

/* ---- requests ---- */

/* Copies up to the end of the line; 0 if it does not fit. */
static int copy_line(char *to, size_t cap, const char *from)
{
    size_t n = strcspn(from, "\r\n");
    if (n >= cap)
        return 0;
    memcpy(to, from, n);
    to[n] = '\0';
    return 1;
}

/* The value of a header, whose name begins a line; "" without it. */
static int copy_header(char *to, size_t cap, const char *head, const char *name)
{
    size_t n = strlen(name);
    to[0] = '\0';
    for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, n) == 0 && line[n] == ':')
            return copy_line(to, cap, line + n + 1 + strspn(line + n + 1, " \t"));
    }
    return 1;
}

static int parse_request(char *head, struct host_request *request)
{
    size_t n = strncmp(head, "GET ", 4) == 0 ? strcspn(head + 4, " \r\n") : 0;
    if (n == 0 || n >= sizeof(request->path) || head[4 + n] != ' ')
        return 0;
    memcpy(request->path, head + 4, n);
    request->path[n] = '\0';
    return copy_header(request->accept, sizeof(request->accept), head, "Accept") &&
           copy_header(request->accept_encoding, sizeof(request->accept_encoding), head, "Accept-Encoding");
}

/* Reads up to the empty line after the headers; whether it was a GET that can be understood. */
static int read_request(int fd, struct host_request *request)
{
    char text[8192];
    size_t n = 0;
    text[0] = '\0';
    while (strstr(text, "\r\n\r\n") == NULL) {
        ssize_t got = recv(fd, text + n, sizeof(text) - 1 - n, 0);
        if (got <= 0)
            return 0;
        n += (size_t)got;
        text[n] = '\0';
    }
    return parse_request(text, request);
}

/* ---- replies ---- */

static int send_reply(int fd, struct host_reply *reply, char *body, size_t n)
{
    char head[512];
    int len = snprintf(head, sizeof(head),
                       "HTTP/1.1 200 OK\r\nContent-Type: %s\r\n%sContent-Length: %zu\r\nConnection: close\r\n\r\n",
                       reply->content_type, reply->gzip ? "Content-Encoding: gzip\r\n" : "", n);
    MUST(len > 0 && (size_t)len < sizeof(head));
    int r = send_all(fd, head, (size_t)len);
    return r == 0 ? send_all(fd, body, n) : r;
}

static void answer_request(int fd, const struct host_request *request, host_answer answer)
{
    static const char not_found[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    struct host_reply reply = {NULL, "", 0, ""};
    char *body = NULL;
    size_t n = 0;
    reply.body = open_memstream(&body, &n);
    MUST(reply.body != NULL);
    int found = answer(request, &reply);
    MUST(fclose(reply.body) == 0);
    if (reply.gzip)
        host_gzip(&body, &n);
    if (!found)
        (void)send_all(fd, not_found, sizeof(not_found) - 1);
    else if (send_reply(fd, &reply, body, n) == 0 && reply.said[0] != '\0')
        printf("%s\n", reply.said);
    free(body);
}

static void serve_one(int fd, host_answer answer)
{
    struct host_request request;
    const struct timeval patience = {.tv_sec = 5, .tv_usec = 0};
    MUST(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0);
    MUST(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) == 0);
    if (read_request(fd, &request))
        answer_request(fd, &request, answer);
}

void host_serve(long seconds, host_answer answer)
{
    const int64_t end = now_ms() + seconds * 1000;
    unsigned port;
    struct pollfd door = {.fd = listen_somewhere(&port), .events = POLLIN};
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("port %u\n", port);
    for (int64_t left; (left = end - now_ms()) > 0;) {
        if (poll(&door, 1, (int)left) <= 0)
            continue;
        int fd = accept(door.fd, NULL, NULL);
        if (fd < 0)
            continue;
        serve_one(fd, answer);
        close(fd);
    }
    close(door.fd);
}
