/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.h - the simulated server: when each request of a trace would run.
 *
 * A trace says when requests came and how long they were, not how long they took. So a server is assumed: one queue,
 * first come, first served; PLAN_SLOTS requests run at a time; prompts are read one after the other at
 * PLAN_PREFILL_TOKENS_PER_S; each answer is then written at PLAN_DECODE_TOKENS_PER_S, its first token the moment its
 * prompt is read. All moments are on the trace's clock and follow from the trace alone, so neither the speed of the
 * replay nor the number of its threads changes a latency.
 */
#ifndef REPLAY_PLAN_H
#define REPLAY_PLAN_H

#include "trace.h"

enum { PLAN_SLOTS = 64, PLAN_PREFILL_TOKENS_PER_S = 12000, PLAN_DECODE_TOKENS_PER_S = 60 };

enum { TRACE_ID_CHARS = 32 };

/*
 * One request with its four moments, in nanoseconds after the trace's first arrival. @trace_id is what a client would
 * have sent along: 32 hexadecimal digits, of which the last 16 are the request's number, counted from 1.
 */
struct plan_request {
    int64_t arrive_ns;
    int64_t start_ns; /* leaves the queue */
    int64_t first_ns; /* prompt read, first token out */
    int64_t end_ns;
    uint32_t prompt_tokens;
    uint32_t completion_tokens;
    char trace_id[TRACE_ID_CHARS + 1];
};

struct plan {
    struct plan_request *requests; /* in order of arrival */
    size_t n_requests;
};

/**
 * plan_make() - works out every moment of a trace
 * Returns 0, or -1 after a complaint (out of memory). Ownership: the caller's, plan_free() ends it.
 */
int plan_make(const struct trace *trace, struct plan *plan);

/** plan_free() - gives the requests back; an empty plan is fine */
void plan_free(struct plan *plan);

#endif
