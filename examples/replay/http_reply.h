/* SPDX-License-Identifier: Apache-2.0 */
/* http_reply.h - what goes back to the client: a page of metrics, or a refusal. */
#ifndef REPLAY_HTTP_REPLY_H
#define REPLAY_HTTP_REPLY_H

#include "http_conn.h"
#include "http_request.h"

#include <kymo/kymo.h>

/* Every status this server answers with. */
#define HTTP_STATUS_MAP(X)                                                                                             \
    X(200, "OK")                                                                                                       \
    X(400, "Bad Request")                                                                                              \
    X(404, "Not Found")                                                                                                \
    X(405, "Method Not Allowed")                                                                                       \
    X(408, "Request Timeout")                                                                                          \
    X(431, "Request Header Fields Too Large")                                                                          \
    X(500, "Internal Server Error")                                                                                    \
    X(505, "HTTP Version Not Supported")

/** http_reply_refuse() - sends a status with a line of text, the line left out if the request was HEAD */
void http_reply_refuse(const struct http_conn *c, int status, const struct http_request *request);

/**
 * http_reply_page() - sends what @reg holds now, in the format and with the families that @request asks for
 * Returns the status that was sent (200, or 500 if the page could not be begun), or 0 if the reply was cut short.
 */
int http_reply_page(const struct http_conn *c, const struct http_request *request, struct kymo_registry *reg);

#endif
