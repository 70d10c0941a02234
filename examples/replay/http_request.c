/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_request.c - see http_request.h.
 *
 * As strict as RFC 9112 demands of a server, no stricter: a bare LF ends a line too, empty lines before the request
 * line are skipped, the target may be absolute.
 */
#include "http_request.h"

#include "http_query.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { OK = 0, BAD_REQUEST = 400, VERSION_NOT_SUPPORTED = 505 };

static size_t leading_blank_lines(const char *head, size_t n)
{
    size_t i = 0;
    while (i < n && (head[i] == '\r' || head[i] == '\n'))
        i++;
    return i;
}

int http_request_is_whole(const char *head, size_t n)
{
    for (size_t i = leading_blank_lines(head, n); i + 1 < n; i++) {
        if (head[i] != '\n')
            continue;
        if (head[i + 1] == '\n' || (i + 2 < n && head[i + 1] == '\r' && head[i + 2] == '\n'))
            return 1;
    }
    return 0;
}

/* Cuts the line that begins at *at off and moves *at behind it. */
static char *take_line(char **at)
{
    char *line = *at;
    char *end = line + strcspn(line, "\n");
    *at = *end == '\0' ? end : end + 1;
    if (end > line && end[-1] == '\r')
        end--;
    *end = '\0';
    return line;
}

static int is_token(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)text[i]) && (text[i] == '\0' || strchr("!#$%&'*+-.^_`|~", text[i]) == NULL))
            return 0;
    return n > 0;
}

static int parse_version(const char *text, int *minor)
{
    if (strlen(text) != strlen("HTTP/1.1") || strncmp(text, "HTTP/", 5) != 0 || !isdigit((unsigned char)text[5]) ||
        text[6] != '.' || !isdigit((unsigned char)text[7]))
        return BAD_REQUEST;
    *minor = text[7] - '0';
    return text[5] == '1' ? OK : VERSION_NOT_SUPPORTED;
}

/* Cuts what begins with @mark off and returns the rest behind it, "" if there is no such. */
static char *cut_off(char *text, const char *mark)
{
    char *end = text + strcspn(text, mark);
    if (*end == '\0')
        return end;
    *end = '\0';
    return end + 1;
}

/* "http://host/path?query" and "/path?query" both ask for /path. */
static int parse_target(char *target, struct http_request *request)
{
    if (strncmp(target, "http://", 7) == 0)
        target += 7 + strcspn(target + 7, "/");
    cut_off(target, "#");
    char *query = cut_off(target, "?");
    request->path = target;
    return http_query_names(query, request->names, HTTP_NAMES_MAX, &request->n_names) == 0 ? OK : BAD_REQUEST;
}

static int parse_request_line(char *line, struct http_request *request)
{
    char *target = strchr(line, ' ');
    char *version = target == NULL ? NULL : strchr(target + 1, ' ');
    if (version == NULL || version == target + 1 || !is_token(line, (size_t)(target - line)))
        return BAD_REQUEST;
    *target++ = '\0';
    *version++ = '\0';
    const int status = parse_version(version, &request->minor);
    if (status != OK)
        return status;
    request->method = line;
    return parse_target(target, request);
}

/* @line has a field's name in its first @n bytes; @wanted is in lower case. */
static int is_field(const char *line, size_t n, const char *wanted)
{
    if (n != strlen(wanted))
        return 0;
    for (size_t i = 0; i < n; i++)
        if (tolower((unsigned char)line[i]) != wanted[i])
            return 0;
    return 1;
}

/* Lines of a field that is a list make one list. It always fits: a comma is shorter than the name of the field. */
static void join(char *list, const char *value)
{
    const size_t n = strlen(list);
    snprintf(list + n, HTTP_HEAD_BYTES - n, "%s%s", n > 0 ? "," : "", value);
}

/* A malformed field must be refused, known or not, and HTTP/1.1 needs exactly one Host. */
static int parse_fields(char *at, struct http_request *request)
{
    int n_hosts = 0;
    for (char *line = take_line(&at); *line != '\0'; line = take_line(&at)) {
        const size_t name = strcspn(line, ":");
        if (line[name] == '\0' || !is_token(line, name))
            return BAD_REQUEST;
        n_hosts += is_field(line, name, "host");
        if (is_field(line, name, "accept"))
            join(request->accept, line + name + 1);
        if (is_field(line, name, "accept-encoding"))
            join(request->accept_encoding, line + name + 1);
    }
    return n_hosts > 1 || (request->minor > 0 && n_hosts == 0) ? BAD_REQUEST : OK;
}

int http_request_parse(char *head, size_t n, struct http_request *request)
{
    *request = (struct http_request){.method = "", .path = ""};
    if (memchr(head, '\0', n) != NULL)
        return BAD_REQUEST;
    head[n] = '\0';
    char *at = head + leading_blank_lines(head, n);
    const int status = parse_request_line(take_line(&at), request);
    return status != OK ? status : parse_fields(at, request);
}
