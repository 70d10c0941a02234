/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - replay: a trace of LLM requests as Prometheus metrics, the demonstration of kymo.
 *
 * What there is to see, in the order in which a program of yours would need it: metrics.c registers families and
 * records; http_reply.c streams a page in the format that its client asks for; this file sets a registry up, reads
 * series back for its own display, and ends everything in order. The rest is the simulation: trace.c, plan.c, engine.c.
 *
 * Uses the installed headers of kymo and POSIX only:
 *     cc -std=c11 *.c $(pkg-config --cflags --libs kymo) -pthread -o replay
 */
#define _POSIX_C_SOURCE 200809L

#include "bomb.h"
#include "clock.h"
#include "engine.h"
#include "http_server.h"
#include "metrics.h"
#include "options.h"
#include "plan.h"
#include "say.h"
#include "trace.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* The last thread of the engine sends this to the main thread, which waits for signals anyway. */
enum { SIGNAL_ENDED = SIGUSR1 };

struct demo {
    const struct options *options;
    struct plan plan;
    struct kymo_registry *registry;
    struct metrics metrics;
    struct http_server server;
    struct engine engine;
    struct bomb bomb;
    sigset_t signals;
    pthread_t main_thread;
    int on_terminal;
};

/* ---- the live line ---- */

/* Tokens are those of prompts + those of answers. Short, so that a terminal of 80 columns holds it. */
static void format_state(const struct demo *d, char *buf, size_t cap)
{
    const struct metrics *m = &d->metrics;
    snprintf(buf, cap, "%.0f requests, %.0f + %.0f tokens, %.0f running, %.0f waiting, %.0f scrapes",
             kymo_counter_value(m->requests), kymo_counter_value(m->prompt_tokens),
             kymo_counter_value(m->completion_tokens), kymo_gauge_value(m->running), kymo_gauge_value(m->waiting),
             kymo_counter_value(d->server.scrapes));
}

static void show_live_line(const struct demo *d)
{
    char state[256];
    if (!d->on_terminal)
        return;
    format_state(d, state, sizeof(state));
    printf("\r\033[K%s", state);
    fflush(stdout);
}

static void clear_live_line(const struct demo *d)
{
    if (d->on_terminal)
        fputs("\r\033[K", stdout);
}

/* ---- waiting ---- */

static void tell_main(void *ctx)
{
    const struct demo *d = ctx;
    metrics_enter(&d->metrics, STATE_ENDED);
    pthread_kill(d->main_thread, SIGNAL_ENDED);
}

/* Waits for the next signal, a second at most and not beyond @until_ns. Returns the signal or 0. */
static int wait_for_signal(const struct demo *d, int64_t until_ns)
{
    int64_t left = until_ns - clock_now_ns();
    left = left < 0 ? 0 : left > NS_PER_S ? NS_PER_S : left;
    const struct timespec timeout = {.tv_sec = (time_t)(left / NS_PER_S), .tv_nsec = (long)(left % NS_PER_S)};
    const int signal_number = sigtimedwait(&d->signals, NULL, &timeout);
    return signal_number > 0 ? signal_number : 0;
}

static void tell_of_bomb(struct demo *d)
{
    if (!d->options->bomb || d->bomb.told || !atomic_load(&d->bomb.over))
        return;
    clear_live_line(d);
    bomb_tell(&d->bomb);
}

/* Keeps the live line fresh until @until_ns or a signal. Returns the signal or 0. */
static int watch(struct demo *d, int64_t until_ns)
{
    int signal_number = 0;
    while (signal_number == 0 && clock_now_ns() < until_ns) {
        tell_of_bomb(d);
        show_live_line(d);
        signal_number = wait_for_signal(d, until_ns);
    }
    clear_live_line(d);
    return signal_number;
}

static void serve_on(struct demo *d)
{
    const long seconds = d->options->seconds;
    if (seconds == 0)
        return;
    if (seconds == SERVE_UNTIL_SIGNAL)
        say("serving until Ctrl-C");
    else
        say("serving for %ld s", seconds);
    watch(d, seconds == SERVE_UNTIL_SIGNAL ? INT64_MAX : clock_now_ns() + seconds * NS_PER_S);
}

/* ---- start and end ---- */

static void announce(const struct demo *d)
{
    const struct plan *plan = &d->plan;
    char speed[32];
    snprintf(speed, sizeof(speed), isinf(d->options->speed) ? "max" : "%g", d->options->speed);
    say("%zu requests over %lld s from %s, on %u threads at speed %s", plan->n_requests,
        (long long)(plan->requests[plan->n_requests - 1].arrive_ns / NS_PER_S), d->options->trace,
        d->options->n_threads, speed);
    say("metrics are at http://127.0.0.1:%u/metrics", d->server.port);
}

/* From here on the signals wait until the main thread asks for them, in every thread. */
static void hold_signals(struct demo *d)
{
    d->main_thread = pthread_self();
    sigemptyset(&d->signals);
    sigaddset(&d->signals, SIGINT);
    sigaddset(&d->signals, SIGTERM);
    sigaddset(&d->signals, SIGNAL_ENDED);
    pthread_sigmask(SIG_BLOCK, &d->signals, NULL);
}

/* Stopping joins the threads, so what is said then is final. */
static int run_engine(struct demo *d)
{
    char state[256];
    d->engine = (struct engine){.plan = &d->plan,
                                .metrics = &d->metrics,
                                .registry = d->registry,
                                .speed = d->options->speed,
                                .ended = tell_main,
                                .ended_ctx = d};
    metrics_enter(&d->metrics, STATE_REPLAYING);
    announce(d);
    if (engine_start(&d->engine, d->options->n_threads) != 0)
        return -1;
    if (d->options->bomb && bomb_start(&d->bomb, isinf(d->options->speed)) != 0) {
        engine_stop(&d->engine);
        return -1;
    }
    const int signal_number = watch(d, INT64_MAX);
    engine_stop(&d->engine);
    if (d->options->bomb)
        bomb_finish(&d->bomb, signal_number != SIGNAL_ENDED);
    format_state(d, state, sizeof(state));
    say("%s: %s", signal_number == SIGNAL_ENDED ? "the trace has ended" : "interrupted", state);
    if (signal_number == SIGNAL_ENDED)
        serve_on(d);
    return 0;
}

static int run_server(struct demo *d)
{
    if (http_server_start(&d->server, d->registry, d->options->port) != 0)
        return -1;
    const int result = run_engine(d);
    http_server_stop(&d->server);
    return result;
}

static void log_failure(void *ctx, enum kymo_log_level level, const char *message)
{
    (void)ctx;
    if (level <= KYMO_LOG_WARNING)
        complain("%s", message);
}

static int run_registry(struct demo *d)
{
    const struct kymo_registry_options options = {.size = sizeof(options), .log = log_failure};
    int r = kymo_registry_new(&options, &d->registry);
    if (r != 0)
        return complain("cannot make a registry: %s", kymo_strerror(r));
    r = metrics_register(d->registry, &d->metrics);
    if (r == 0 && d->options->bomb)
        r = bomb_register(d->registry, &d->bomb);
    if (r != 0)
        complain("cannot register the metrics: %s", kymo_strerror(r));
    kymo_gauge_set(d->metrics.speed, d->options->speed);
    const int result = r == 0 ? run_server(d) : -1;
    kymo_registry_free(d->registry);
    return result;
}

static int load_plan(const char *path, struct plan *plan)
{
    struct trace trace;
    if (trace_read(path, &trace) != 0)
        return -1;
    const int result = plan_make(&trace, plan);
    trace_free(&trace);
    return result;
}

static int run(const struct options *options)
{
    struct demo d = {.options = options, .on_terminal = isatty(STDOUT_FILENO)};
    if (load_plan(options->trace, &d.plan) != 0)
        return EXIT_FAILED;
    hold_signals(&d);
    const int result = run_registry(&d);
    plan_free(&d.plan);
    if (result == 0)
        say("stopped");
    return result == 0 ? EXIT_OK : EXIT_FAILED;
}

int main(int argc, char **argv)
{
    struct options options;
    if (options_parse(argc, argv, &options) != 0)
        return EXIT_USAGE;
    if (options.help) {
        options_help();
        return EXIT_OK;
    }
    return run(&options);
}
