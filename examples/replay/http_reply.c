/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_reply.c - see http_reply.h.
 *
 * A page's length is not known before its end, so it goes out as it is written: in chunks to HTTP/1.1 clients, who
 * then notice a page cut short, and up to the end of the connection to HTTP/1.0 clients.
 */
#define _POSIX_C_SOURCE 200809L
#include "http_reply.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { HEAD_BYTES = 512, PIECE_BYTES = 16384 };

/* Caches between us and the client must not hand one client's format to another. */
#define VARY "Vary: Accept, Accept-Encoding\r\n"

/* A chunk's length line has a fixed width, so that length, data and end leave in one send. */
#define CHUNK_HEAD "%06zx\r\n"
enum { CHUNK_HEAD_BYTES = 8, CHUNK_END_BYTES = 2 };

static const char *reason_of(int status)
{
    switch (status) {
#define REASON(code, text)                                                                                             \
    case code:                                                                                                         \
        return text;
        HTTP_STATUS_MAP(REASON)
#undef REASON
    default:
        return "";
    }
}

static int is_head(const struct http_request *request)
{
    return strcmp(request->method, "HEAD") == 0;
}

static void format_date(char *buf, size_t cap)
{
    const time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(buf, cap, "%a, %d %b %Y %H:%M:%S GMT", &utc);
}

/* @more: further header lines, each with its CRLF. */
static int send_head(const struct http_conn *c, int status, const char *content_type, const char *more)
{
    char date[64];
    char head[HEAD_BYTES];
    format_date(date, sizeof(date));
    const int n =
        snprintf(head, sizeof(head), "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: %s\r\nConnection: close\r\n%s\r\n",
                 status, reason_of(status), date, content_type, more);
    if (n < 0 || (size_t)n >= sizeof(head))
        return -1;
    return http_conn_write(c, head, (size_t)n);
}

void http_reply_refuse(const struct http_conn *c, int status, const struct http_request *request)
{
    char body[128];
    char more[128];
    const int n = snprintf(body, sizeof(body), "%d %s%s\n", status, reason_of(status),
                           status == 404 ? ": the metrics are at /metrics" : "");
    snprintf(more, sizeof(more), "%sContent-Length: %d\r\n", status == 405 ? "Allow: GET, HEAD\r\n" : "", n);
    if (send_head(c, status, "text/plain; charset=utf-8", more) == 0 && !is_head(request))
        http_conn_write(c, body, (size_t)n);
}

/* ---- pages ---- */

/* @buf has CHUNK_HEAD_BYTES of room before the data and CHUNK_END_BYTES behind it; n = 0 ends the body. */
static int send_chunk(const struct http_conn *c, char *buf, size_t n)
{
    char length[CHUNK_HEAD_BYTES + 1];
    snprintf(length, sizeof(length), CHUNK_HEAD, n);
    memcpy(buf, length, CHUNK_HEAD_BYTES);
    memcpy(buf + CHUNK_HEAD_BYTES + n, "\r\n", CHUNK_END_BYTES);
    return http_conn_write(c, buf, CHUNK_HEAD_BYTES + n + CHUNK_END_BYTES);
}

static int send_body(const struct http_conn *c, int chunked, struct kymo_scrape *scrape)
{
    char buf[CHUNK_HEAD_BYTES + PIECE_BYTES + CHUNK_END_BYTES];
    char *data = buf + CHUNK_HEAD_BYTES;
    size_t n;
    do {
        if (kymo_scrape_read(scrape, data, PIECE_BYTES, &n) != 0)
            return -1;
        if ((chunked ? send_chunk(c, buf, n) : http_conn_write(c, data, n)) != 0)
            return -1;
    } while (n > 0);
    return 0;
}

/*
 * format.gzip is ignored: a page as it is answers those who would like it compressed too, and zlib would be the second
 * library this program needs. format.created stays off, since most receivers take _created samples for series of their
 * own; protobuf has the start times in any case.
 */
static struct kymo_format format_for(const struct http_request *request)
{
    struct kymo_format format;
    kymo_negotiate(request->accept, request->accept_encoding, &format);
    format.names = request->names;
    format.n_names = request->n_names;
    return format;
}

int http_reply_page(const struct http_conn *c, const struct http_request *request, struct kymo_registry *reg)
{
    const int chunked = request->minor > 0;
    const struct kymo_format format = format_for(request);
    struct kymo_scrape *scrape;
    if (kymo_scrape_new(reg, &format, &scrape) != 0) {
        http_reply_refuse(c, 500, request);
        return 500;
    }
    int r = send_head(c, 200, format.content_type, chunked ? VARY "Transfer-Encoding: chunked\r\n" : VARY);
    if (r == 0 && !is_head(request))
        r = send_body(c, chunked, scrape);
    kymo_scrape_free(scrape);
    return r == 0 ? 200 : 0;
}
