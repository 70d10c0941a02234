/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/host.h - what programs share that show a page to programs which were not written here.
 *
 * HTTP enough for a client that asks for one page and reads it: one request a connection, on 127.0.0.1. Whatever fails
 * ends the program, and with it the test that runs it.
 */
#ifndef KYMO_TESTS_HOST_H
#define KYMO_TESTS_HOST_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define MUST(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/** host_json_string() - a string with its quotes, as JSON has it */
void host_json_string(FILE *f, const char *s);

/** host_seconds() - a command line's number of seconds, 1 to 3600, @otherwise without one, 0 if it is none */
long host_seconds(const char *text, long otherwise);

/** struct host_request - what was asked for; headers that are missing are "" */
struct host_request {
    char path[256];
    char accept[4096];
    char accept_encoding[256];
};

/**
 * struct host_reply - what is answered
 * @body: where it is written
 * @gzip: non-zero: to be compressed, for which there must be host_can_gzip()
 * @said: a line for stdout, once all was sent
 */
struct host_reply {
    FILE *body;
    char content_type[256];
    int gzip;
    char said[512];
};

/** typedef host_answer - fills the reply; 0: there is no such page */
typedef int (*host_answer)(const struct host_request *request, struct host_reply *reply);

/** host_serve() - serves on a free port for so long; prints "port P" first */
void host_serve(long seconds, host_answer answer);

/** host_can_gzip() - whether host_gzip() compresses */
int host_can_gzip(void);

/** host_gzip() - puts the compressed body, from malloc(), in the body's place */
void host_gzip(char **body, size_t *n);

#endif
