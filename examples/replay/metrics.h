/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.h - what the replay measures: every family it registers, and the handles it records through.
 *
 * Handles are resolved here, once. What records later takes no lock, fails never and looks nothing up.
 */
#ifndef REPLAY_METRICS_H
#define REPLAY_METRICS_H

#include "plan.h"

#include <kymo/kymo.h>

struct metrics {
    struct kymo_counter *requests;
    struct kymo_counter *prompt_tokens;
    struct kymo_counter *completion_tokens;
    struct kymo_gauge *waiting;
    struct kymo_gauge *running;
    struct kymo_histogram *queue_seconds;
    struct kymo_histogram *time_to_first_token_seconds;
    struct kymo_histogram *time_per_output_token_seconds;
    struct kymo_histogram *duration_seconds;
    struct kymo_histogram *request_prompt_tokens;
    struct kymo_histogram *request_completion_tokens;
    struct kymo_gauge *speed;
    struct kymo_stateset *state;
};

/* Where the replay stands, one at a time. */
enum metrics_state { STATE_STARTING, STATE_REPLAYING, STATE_ENDED };

/** metrics_register() - registers everything; 0, or the error of the library (the registry's log names the culprit) */
int metrics_register(struct kymo_registry *reg, struct metrics *m);

/* What happens to a request, in this order. */
enum moment { MOMENT_ARRIVE, MOMENT_START, MOMENT_FIRST_TOKEN, MOMENT_END, N_MOMENTS };

/** metrics_enter() - says where the replay stands now. Threads: any. */
void metrics_enter(const struct metrics *m, enum metrics_state state);

/** metrics_record() - records that a request has come to a moment. Threads: any, each moment of a request once. */
void metrics_record(const struct metrics *m, const struct plan_request *request, enum moment moment);

#endif
