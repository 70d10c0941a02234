/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/formats_host.c - a registry with everything in it, served in the format that a client asks for.
 *
 *     formats_host --page ACCEPT     the page that an Accept header gets, to stdout
 *     formats_host --expected        what is in the registry, as JSON
 *     formats_host [--seconds N]     serves on a free port of 127.0.0.1 for N seconds (120) and prints "port P"
 *
 * Paths are /JOB/WHAT, where JOB is any word, by which a reader knows its requests in what is printed: a line
 * "scrape JOB CODING CONTENT-TYPE" for each page that was sent whole. WHAT is `metrics`, the page that the client's
 * own headers get; `created`, the same with start times in OpenMetrics; `text`, `openmetrics0`, `openmetrics1` or
 * `created1`, for clients that cannot be told what to ask for; `expected`.
 *
 * What must hold: all recording is over before the first byte is served, and the registry's clock stands still, so that
 * every page says the same. formats_registry.c fills the registry, formats_json.c says what is in it.
 */
#include "formats_host.h"

#include <string.h>

static struct kymo_registry *reg;

static int write_file(void *ctx, const char *data, size_t n)
{
    return fwrite(data, 1, n, ctx) == n ? 0 : KYMO_ESYSTEM;
}

static void write_page(FILE *file, const struct kymo_format *format)
{
    const struct kymo_sink sink = {sizeof(sink), file, write_file};
    MUST(kymo_registry_write(reg, format, &sink) == 0);
}

static void write_expected(FILE *file)
{
    fprintf(file, "{\"gzip\":%d,\"constant\":", host_can_gzip());
    formats_constant_write(file);
    fputs(",\n\"observed\":", file);
    formats_observed_write(file);
    fputs(",\n\"families\":", file);
    formats_families_write(file, reg);
    fputs("}\n", file);
}

/* ---- serving ---- */

/* @accept: what to take for the client's Accept header; NULL: what it sent */
static const struct what {
    const char *path;
    const char *accept;
    int created;
} whats[] = {
    {"metrics", NULL, 0},
    {"created", NULL, 1},
    {"text", "text/plain;version=0.0.4", 0},
    {"openmetrics0", "application/openmetrics-text;version=0.0.1", 0},
    {"openmetrics1", "application/openmetrics-text;version=1.0.0", 0},
    {"created1", "application/openmetrics-text;version=1.0.0", 1},
};

static const struct what *find_what(const char *path)
{
    for (size_t i = 0; i < COUNT(whats); i++)
        if (strcmp(whats[i].path, path) == 0)
            return &whats[i];
    return NULL;
}

static void answer_page(const struct host_request *request, const struct what *what, struct host_reply *reply)
{
    struct kymo_format format;
    kymo_negotiate(what->accept != NULL ? what->accept : request->accept, request->accept_encoding, &format);
    format.created = what->created;
    write_page(reply->body, &format);
    reply->gzip = format.gzip && host_can_gzip();
    (void)snprintf(reply->content_type, sizeof(reply->content_type), "%s", format.content_type);
    (void)snprintf(reply->said, sizeof(reply->said), "scrape %.*s %s %s", (int)strcspn(request->path + 1, "/"),
                   request->path + 1, reply->gzip ? "gzip" : "identity", format.content_type);
}

static int answer(const struct host_request *request, struct host_reply *reply)
{
    const char *last = strrchr(request->path, '/');
    const struct what *what = last == NULL ? NULL : find_what(last + 1);
    if (what != NULL) {
        answer_page(request, what, reply);
        return 1;
    }
    if (last == NULL || strcmp(last, "/expected") != 0)
        return 0;
    write_expected(reply->body);
    (void)snprintf(reply->content_type, sizeof(reply->content_type), "application/json");
    return 1;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "--seconds";
    long seconds = strcmp(what, "--seconds") == 0 ? host_seconds(argc > 2 ? argv[2] : NULL, 120) : 0;
    struct kymo_format format;
    if (seconds == 0 && strcmp(what, "--expected") != 0 && (strcmp(what, "--page") != 0 || argc < 3)) {
        fputs("usage: formats_host --page ACCEPT | --expected | [--seconds N], N from 1 to 3600\n", stderr);
        return 2;
    }
    reg = formats_registry_new();
    if (seconds != 0) {
        host_serve(seconds, answer);
    } else if (strcmp(what, "--page") == 0) {
        kymo_negotiate(argv[2], NULL, &format);
        write_page(stdout, &format);
    } else {
        write_expected(stdout);
    }
    kymo_registry_free(reg);
    return fflush(stdout) == 0 ? 0 : 1;
}
