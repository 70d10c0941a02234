/* SPDX-License-Identifier: Apache-2.0 */
/* http_query.c - see http_query.h. Encoded as forms are: %5B for a byte, + for a blank. */
#include "http_query.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* The byte that % and two digits stand for, or -1. No text can hold a NUL, so an encoded one is an error too. */
static int escaped_byte(const char *at)
{
    if (!isxdigit((unsigned char)at[1]) || !isxdigit((unsigned char)at[2]))
        return -1;
    const char digits[] = {at[1], at[2], '\0'};
    const long byte = strtol(digits, NULL, 16);
    return byte == 0 ? -1 : (int)byte;
}

/* In place: what is decoded is never longer. */
static int decode(char *text)
{
    char *to = text;
    for (const char *at = text; *at != '\0'; at++) {
        int byte = *at == '+' ? ' ' : (unsigned char)*at;
        if (*at == '%') {
            byte = escaped_byte(at);
            if (byte < 0)
                return -1;
            at += 2;
        }
        *to++ = (char)byte;
    }
    *to = '\0';
    return 0;
}

/* Cuts the text at @mark, if it is there, and returns what follows it, or the text's end. */
static char *split(char *text, char mark)
{
    char *at = strchr(text, mark);
    if (at == NULL)
        return text + strlen(text);
    *at = '\0';
    return at + 1;
}

int http_query_names(char *query, const char **names, size_t cap, size_t *n_names)
{
    *n_names = 0;
    while (*query != '\0') {
        char *key = query;
        query = split(query, '&');
        char *value = split(key, '=');
        if (decode(key) != 0 || decode(value) != 0)
            return -1;
        if (strcmp(key, "name[]") == 0 && *n_names < cap)
            names[(*n_names)++] = value;
    }
    return 0;
}
