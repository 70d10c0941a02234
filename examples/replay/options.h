/* SPDX-License-Identifier: Apache-2.0 */
/* options.h - the command line. */
#ifndef REPLAY_OPTIONS_H
#define REPLAY_OPTIONS_H

/* What happens after the trace when --seconds is not given. */
#define SERVE_UNTIL_SIGNAL (-1L)

/**
 * struct options - what the user asked for
 * @trace:     path of the trace
 * @speed:     trace seconds that pass in one second; INFINITY for "max"
 * @port:      0 lets the system choose
 * @n_threads: threads that replay, 1 to 256
 * @seconds:   how long to serve after the trace has ended, or SERVE_UNTIL_SIGNAL
 * @bomb:      non-zero: one client makes up models and tenants, see bomb.h
 * @help:      non-zero: print options_help() and do nothing else
 */
struct options {
    const char *trace;
    double speed;
    unsigned port;
    unsigned n_threads;
    long seconds;
    int bomb;
    int help;
};

/** options_parse() - fills @o from the command line; 0, or -1 after a complaint */
int options_parse(int argc, char **argv, struct options *o);

/** options_help() - prints what the program does and takes */
void options_help(void);

#endif
