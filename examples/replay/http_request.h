/* SPDX-License-Identifier: Apache-2.0 */
/* http_request.h - the head of an HTTP/1.0 or 1.1 request: request line and header fields (RFC 9112). */
#ifndef REPLAY_HTTP_REQUEST_H
#define REPLAY_HTTP_REQUEST_H

#include <stddef.h>

/**
 * struct http_request - what this server needs of a request
 * @method: as sent
 * @path:   without scheme, host and query
 * @minor:  of the version: 0 for HTTP/1.0
 */
struct http_request {
    const char *method;
    const char *path;
    int minor;
};

/** http_request_is_whole() - whether @n bytes hold a head with the empty line that ends it */
int http_request_is_whole(const char *head, size_t n);

/**
 * http_request_parse() - takes a whole head apart, in place
 * @head: @n bytes, and room for one more; @request points into it
 * Returns 0, or the status to refuse with: 400 (malformed), 505 (not HTTP/1). What was read until then is in
 * @request, the rest is "".
 */
int http_request_parse(char *head, size_t n, struct http_request *request);

#endif
