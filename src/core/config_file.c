/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/config_file.c - where the operator's choices come from: the programme's options, or a file that the environment
 * names.
 *
 * A programme that runs with more rights than who started it does not look at that environment: the file's lines
 * would come back in error messages.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "core/config.h"

#define VARIABLE "KYMO_CONFIG"
#define MAX_BYTES ((size_t)1024 * 1024)

static int too_long(const struct kymo_registry *reg, const char *what)
{
    kymo__log(reg, KYMO_LOG_ERROR, "config %s is longer than %zu bytes", what, MAX_BYTES);
    return KYMO_ECONFIG;
}

static int refused(const struct kymo_registry *reg, const char *file, int error)
{
    char reason[128];
    if (strerror_r(error, reason, sizeof(reason)) != 0)
        (void)memcpy(reason, "error", sizeof("error"));
    kymo__log(reg, KYMO_LOG_ERROR, "config file %.300s, which " VARIABLE " names, cannot be read: %s", file, reason);
    return KYMO_ECONFIG;
}

/* At most @cap bytes, of which *n are there; 0 or an errno. */
static int read_bytes(int fd, char *to, size_t cap, size_t *n)
{
    *n = 0;
    while (*n < cap) {
        ssize_t got = read(fd, to + *n, cap - *n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        if (got == 0)
            break;
        *n += (size_t)got;
    }
    return 0;
}

static int read_file(const char *file, char *to, size_t cap, size_t *n)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return errno;
    int error = read_bytes(fd, to, cap, n);
    (void)close(fd);
    return error;
}

static int load_file(struct kymo_registry *reg, const char *file)
{
    size_t cap = MAX_BYTES + 1, n = 0; /* one more, to see that it is too long; parsing needs it too */
    char *text = kymo__heap_alloc(reg, cap);
    if (text == NULL)
        return KYMO_ENOMEM;
    int error = read_file(file, text, cap, &n);
    int r = error != 0 ? refused(reg, file, error)
            : n == cap ? too_long(reg, file)
                       : kymo__config_parse(reg, text, n, file);
    kymo__heap_free(reg, text, cap);
    return r;
}

static int load_text(struct kymo_registry *reg, const char *text)
{
    size_t n = strlen(text);
    if (n > MAX_BYTES)
        return too_long(reg, "text");
    char *copy = kymo__heap_alloc(reg, n + 1);
    if (copy == NULL)
        return KYMO_ENOMEM;
    memcpy(copy, text, n);
    int r = kymo__config_parse(reg, copy, n, NULL);
    kymo__heap_free(reg, copy, n + 1);
    return r;
}

static int load(struct kymo_registry *reg, const char *text)
{
    if (text != NULL)
        return text[0] != '\0' ? load_text(reg, text) : 0;
    const char *file = getauxval(AT_SECURE) == 0 ? getenv(VARIABLE) : NULL;
    return file != NULL && file[0] != '\0' ? load_file(reg, file) : 0;
}

int kymo__config_load(struct kymo_registry *reg, const char *text)
{
    int r = load(reg, text);
    const struct kymo__config_rule *rule = r == 0 && reg->config != NULL ? reg->config->first : NULL;
    for (; rule != NULL; rule = rule->next)
        if (rule->of_registry && (rule->choices.set & KYMO__KEY_BIT(KYMO__KEY_MAX_SERIES)))
            reg->max_series = rule->choices.guard.max_series; /* the last one wins */
    return r;
}
