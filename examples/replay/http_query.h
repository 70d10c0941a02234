/* SPDX-License-Identifier: Apache-2.0 */
/* http_query.h - what stands behind the question mark: name[]=llm_requests_total&name[]=llm_tokens_total. */
#ifndef REPLAY_HTTP_QUERY_H
#define REPLAY_HTTP_QUERY_H

#include <stddef.h>

/**
 * http_query_names() - the values of all parameters name[], others are ignored
 * @query: taken apart and decoded in place; @names point into it
 * @cap:   room in @names; what is beyond it is left out
 * Returns 0, or -1 if a parameter is malformed: a % without two hexadecimal digits, or an encoded NUL.
 */
int http_query_names(char *query, const char **names, size_t cap, size_t *n_names);

#endif
