/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_request.h - the head of an HTTP/1.0 or 1.1 request: request line, query and header fields (RFC 9112).
 *
 * What chooses the page is all here: Accept and Accept-Encoding say how it is written, name[] in the query which
 * families are on it.
 */
#ifndef REPLAY_HTTP_REQUEST_H
#define REPLAY_HTTP_REQUEST_H

#include <stddef.h>

/* The longest head that is read, and so many name[] that no head can have more. */
enum { HTTP_HEAD_BYTES = 8192, HTTP_NAMES_MAX = HTTP_HEAD_BYTES / (int)sizeof("name[]") };

/**
 * struct http_request - what this server needs of a request
 * @method:          as sent
 * @path:            without scheme, host and query
 * @minor:           of the version: 0 for HTTP/1.0
 * @names:           @n_names values of name[] in the query, in the order in which they stand there
 * @accept:          the Accept field, its lines joined by commas as if they had been one; "" if there is none
 * @accept_encoding: the same for Accept-Encoding
 */
struct http_request {
    const char *method;
    const char *path;
    int minor;
    const char *names[HTTP_NAMES_MAX];
    size_t n_names;
    char accept[HTTP_HEAD_BYTES];
    char accept_encoding[HTTP_HEAD_BYTES];
};

/** http_request_is_whole() - whether @n bytes hold a head with the empty line that ends it */
int http_request_is_whole(const char *head, size_t n);

/**
 * http_request_parse() - takes a whole head apart, in place
 * @head: @n bytes, at most HTTP_HEAD_BYTES, and room for one more; @request points into it
 * Returns 0, or the status to refuse with: 400 (malformed), 505 (not HTTP/1). What was read until then is in
 * @request, the rest is "" or 0.
 */
int http_request_parse(char *head, size_t n, struct http_request *request);

#endif
