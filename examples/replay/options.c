/* SPDX-License-Identifier: Apache-2.0 */
/* options.c - see options.h. Each option but --bomb takes a value: `--port 80` or `--port=80`. */
#include "options.h"

#include "plan.h"
#include "say.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The build names the trace that lies beside these files; compiled by hand, it is looked for where one stands. */
#ifndef KYMO_REPLAY_TRACE
#define KYMO_REPLAY_TRACE "trace-small.csv"
#endif

enum { PORT_DEFAULT = 9464, PORT_MAX = 65535, THREADS_DEFAULT = 4, THREADS_MAX = 256, SECONDS_MAX = 1000000000 };

static const double speed_min = 0.001;
static const double speed_max = 1e6;

static int parse_whole(const char *name, const char *text, long min, long max, long *out)
{
    char *end;
    errno = 0;
    const long v = strtol(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || v < min || v > max)
        return complain("--%s takes a whole number from %ld to %ld, not \"%s\"", name, min, max, text);
    *out = v;
    return 0;
}

static int set_trace(struct options *o, const char *text)
{
    o->trace = text;
    return 0;
}

static int set_speed(struct options *o, const char *text)
{
    if (strcmp(text, "max") == 0) {
        o->speed = (double)INFINITY;
        return 0;
    }
    char *end;
    const double v = strtod(text, &end);
    if (end == text || *end != '\0' || !(v >= speed_min && v <= speed_max)) /* written so that NaN fails */
        return complain("--speed takes a number from %g to %g, or max, not \"%s\"", speed_min, speed_max, text);
    o->speed = v;
    return 0;
}

static int set_port(struct options *o, const char *text)
{
    long v = 0;
    if (parse_whole("port", text, 0, PORT_MAX, &v) != 0)
        return -1;
    o->port = (unsigned)v;
    return 0;
}

static int set_seconds(struct options *o, const char *text)
{
    return parse_whole("seconds", text, 0, SECONDS_MAX, &o->seconds);
}

static int set_threads(struct options *o, const char *text)
{
    long v = 0;
    if (parse_whole("threads", text, 1, THREADS_MAX, &v) != 0)
        return -1;
    o->n_threads = (unsigned)v;
    return 0;
}

struct option {
    const char *name;
    int (*set)(struct options *o, const char *text);
    const char *help;
};

static const struct option table[] = {
    {"trace", set_trace,
     "FILE    CSV with the columns TIMESTAMP, ContextTokens, GeneratedTokens;\n"
     "                  without it a small trace of our own"},
    {"speed", set_speed, "X|max   trace seconds per second, 1 by default; max does not wait at all"},
    {"port", set_port, "P        where to answer on 127.0.0.1, 9464 by default; 0 picks a free port"},
    {"seconds", set_seconds, "N     serve for N seconds after the trace, then end; without it until Ctrl-C"},
    {"threads", set_threads, "T     threads that replay, 4 by default"},
};

enum { N_OPTIONS = sizeof(table) / sizeof(table[0]) };

static const struct option *find_option(const char *name, size_t length)
{
    for (size_t i = 0; i < N_OPTIONS; i++)
        if (strlen(table[i].name) == length && memcmp(table[i].name, name, length) == 0)
            return &table[i];
    return NULL;
}

/* Applies argv[*i], and takes the next argument too if the value stands there. */
static int apply(int argc, char **argv, int *i, struct options *o)
{
    const char *arg = argv[*i];
    const char *name = strncmp(arg, "--", 2) == 0 ? arg + 2 : "";
    const size_t length = strcspn(name, "=");
    const struct option *option = find_option(name, length);
    if (option == NULL)
        return complain("unknown option \"%s\": see --help", arg);
    if (name[length] == '=')
        return option->set(o, name + length + 1);
    if (*i + 1 >= argc)
        return complain("%s needs a value: see --help", arg);
    *i += 1;
    return option->set(o, argv[*i]);
}

int options_parse(int argc, char **argv, struct options *o)
{
    *o = (struct options){.trace = KYMO_REPLAY_TRACE,
                          .speed = 1,
                          .port = PORT_DEFAULT,
                          .n_threads = THREADS_DEFAULT,
                          .seconds = SERVE_UNTIL_SIGNAL};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--bomb") == 0) {
            o->bomb = 1;
            continue;
        }
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            o->help = 1;
            return 0;
        }
        if (apply(argc, argv, &i, o) != 0)
            return -1;
    }
    return 0;
}

void options_help(void)
{
    puts("usage: replay [--trace FILE] [--speed X|max] [--port P] [--seconds N] [--threads T] [--bomb]\n"
         "\n"
         "Replays a trace of LLM requests and shows it as Prometheus metrics at http://127.0.0.1:P/metrics.\n");
    for (size_t i = 0; i < N_OPTIONS; i++)
        printf("  --%s %s\n", table[i].name, table[i].help);
    puts("  --bomb          one client of many makes up names of models and tenants, hundreds of thousands;\n"
         "                  afterwards the program says what became of the page, the memory and the sums");
    puts("\n"
         "The page is text, OpenMetrics or protobuf, as the client's Accept header says; name[]=F in the query\n"
         "leaves family F alone on it. Histograms have classic and native buckets, which the file that the\n"
         "environment variable KYMO_CONFIG names can change: see docs/configuration.md.");
    printf("\n"
           "Traces carry no latencies, so a simulated server makes them: requests wait in one queue, first come,\n"
           "first served; %d may run at a time; prompts are read one after the other at %d tokens/s; each\n"
           "answer is then written at %d tokens/s. All times are the trace's own, whatever the speed.\n",
           PLAN_SLOTS, PLAN_PREFILL_TOKENS_PER_S, PLAN_DECODE_TOKENS_PER_S);
}
