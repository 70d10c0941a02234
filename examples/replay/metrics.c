/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.c - see metrics.h. */
#include "metrics.h"

#include <stdio.h>

/* ---- once, at the start ---- */

/* Facts do not change, so there is no handle: the version of the library that is loaded, and the simulated server. */
static int register_facts(struct kymo_registry *reg)
{
    char version[32], slots[16], prefill[16], decode[16];
    const unsigned v = kymo_version();
    snprintf(version, sizeof(version), "%u.%u.%u", v >> 16, v >> 8 & 0xff, v & 0xff);
    snprintf(slots, sizeof(slots), "%d", PLAN_SLOTS);
    snprintf(prefill, sizeof(prefill), "%d", PLAN_PREFILL_TOKENS_PER_S);
    snprintf(decode, sizeof(decode), "%d", PLAN_DECODE_TOKENS_PER_S);
    return kymo_info_new(
        reg,
        KYMO_DESC(.name = "replay_build_info",
                  .help = "The version of kymo, and what the simulated server is: slots, and tokens per second.",
                  KYMO_LABELS("kymo_version", "slots", "prefill_tokens_per_second", "decode_tokens_per_second")),
        (const char *const[]){version, slots, prefill, decode});
}

static int register_state(struct kymo_registry *reg, struct metrics *m)
{
    const int r = kymo_stateset_new(reg,
                                    KYMO_DESC(.name = "replay_state", .help = "Where the replay of the trace stands.",
                                              KYMO_STATES("starting", "replaying", "ended")), /* enum metrics_state */
                                    &m->state);
    metrics_enter(m, STATE_STARTING);
    return r;
}

/* The requests' exemplar is the trace id of one that was counted. */
static int register_totals(struct kymo_registry *reg, struct metrics *m)
{
    int r = kymo_counter_new(
        reg, KYMO_DESC(.name = "llm_requests_total", .help = "Requests finished.", .exemplar_every = 1), &m->requests);
    if (r != 0)
        return r;
    struct kymo_counter_family *tokens;
    r = kymo_counter_family_new(reg,
                                KYMO_DESC(.name = "llm_tokens_total",
                                          .help = "Tokens of finished prompts and of finished answers.",
                                          .unit = "tokens", KYMO_LABELS("type")),
                                &tokens);
    m->prompt_tokens = kymo_counter_with(tokens, KYMO_VALUES("prompt"));
    m->completion_tokens = kymo_counter_with(tokens, KYMO_VALUES("completion"));
    return r;
}

/* Up/down gauges: any number of threads add and subtract at the cost of a function call, and the sum is exact. */
static int register_queue(struct kymo_registry *reg, struct metrics *m)
{
    const int r = kymo_gauge_new(reg,
                                 KYMO_DESC(.name = "llm_requests_waiting", .help = "Requests in the queue now.",
                                           .gauge_mode = KYMO_GAUGE_UPDOWN),
                                 &m->waiting);
    if (r != 0)
        return r;
    return kymo_gauge_new(reg,
                          KYMO_DESC(.name = "llm_requests_running", .help = "Requests being answered now.",
                                    .gauge_mode = KYMO_GAUGE_UPDOWN),
                          &m->running);
}

/*
 * Every histogram is a pair of twins: the classic buckets that dashboards know, and native ones, of which each ends at
 * most a tenth above where it began. One observation counts in both. Buckets keep the trace id of a request in them.
 */
#define TWIN KYMO_NATIVE(.bucket_factor = 1.1), .exemplar_every = 1

/* Histograms differ in name, sentence, unit and buckets, so they are a table. */
struct histogram_row {
    const struct kymo_desc *desc;
    struct kymo_histogram **handle;
};

static int register_histograms(struct kymo_registry *reg, struct metrics *m)
{
    const struct histogram_row rows[] = {
        {KYMO_DESC(.name = "llm_request_queue_seconds",
                   .help = "From arrival to leaving the queue, on the trace's clock.", .unit = "seconds",
                   KYMO_BUCKETS(kymo_buckets_ttft), TWIN),
         &m->queue_seconds},
        {KYMO_DESC(.name = "llm_time_to_first_token_seconds",
                   .help = "From arrival to the first token of the answer, on the trace's clock.", .unit = "seconds",
                   KYMO_BUCKETS(kymo_buckets_ttft), TWIN),
         &m->time_to_first_token_seconds},
        {KYMO_DESC(.name = "llm_time_per_output_token_seconds",
                   .help = "Mean gap between the tokens of an answer of at least two, on the trace's clock.",
                   .unit = "seconds", KYMO_BUCKETS(kymo_buckets_itl), TWIN),
         &m->time_per_output_token_seconds},
        {KYMO_DESC(.name = "llm_request_duration_seconds",
                   .help = "From arrival to the end of the answer, on the trace's clock.", .unit = "seconds",
                   KYMO_BUCKETS(kymo_buckets_e2e), TWIN),
         &m->duration_seconds},
        {KYMO_DESC(.name = "llm_request_prompt_tokens", .help = "Length of the prompt of each finished request.",
                   .unit = "tokens", KYMO_BUCKETS(kymo_buckets_tokens), TWIN),
         &m->request_prompt_tokens},
        {KYMO_DESC(.name = "llm_request_completion_tokens", .help = "Length of the answer of each finished request.",
                   .unit = "tokens", KYMO_BUCKETS(kymo_buckets_tokens), TWIN),
         &m->request_completion_tokens},
    };
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof(rows) / sizeof(rows[0]); i++)
        r = kymo_histogram_new(reg, rows[i].desc, rows[i].handle);
    return r;
}

int metrics_register(struct kymo_registry *reg, struct metrics *m)
{
    int r = register_facts(reg);
    if (r == 0)
        r = register_state(reg, m);
    if (r == 0)
        r = register_totals(reg, m);
    if (r == 0)
        r = register_queue(reg, m);
    if (r == 0)
        r = register_histograms(reg, m);
    if (r == 0)
        r = kymo_gauge_new(
            reg,
            KYMO_DESC(.name = "llm_replay_speed", .help = "Trace seconds replayed per second; +Inf without waiting."),
            &m->speed);
    return r;
}

/* ---- many times, by many threads ---- */

/* The states are the state set's, in the same order. */
void metrics_enter(const struct metrics *m, enum metrics_state state)
{
    kymo_stateset_switch(m->state, (size_t)state);
}

/* The registry keeps few of the exemplars that it is offered; those it copies, and only for those it reads a clock. */
static void observe(struct kymo_histogram *h, double v, const struct plan_request *request)
{
    const struct kymo_label trace = {"trace_id", request->trace_id};
    kymo_histogram_observe_exemplar(h, v, &(const struct kymo_exemplar){.labels = &trace, .n_labels = 1});
}

static void count(struct kymo_counter *c, const struct plan_request *request)
{
    const struct kymo_label trace = {"trace_id", request->trace_id};
    kymo_counter_inc_exemplar(c, &(const struct kymo_exemplar){.labels = &trace, .n_labels = 1});
}

static double seconds_between(int64_t from_ns, int64_t to_ns)
{
    return (double)(to_ns - from_ns) / 1e9;
}

static void record_arrive(const struct metrics *m)
{
    kymo_gauge_inc(m->waiting);
}

static void record_start(const struct metrics *m, const struct plan_request *request)
{
    kymo_gauge_dec(m->waiting);
    kymo_gauge_inc(m->running);
    observe(m->queue_seconds, seconds_between(request->arrive_ns, request->start_ns), request);
}

/* An answer without tokens has no first one. */
static void record_first_token(const struct metrics *m, const struct plan_request *request)
{
    if (request->completion_tokens > 0)
        observe(m->time_to_first_token_seconds, seconds_between(request->arrive_ns, request->first_ns), request);
}

static void record_end(const struct metrics *m, const struct plan_request *request)
{
    kymo_gauge_dec(m->running);
    count(m->requests, request);
    kymo_counter_add_int(m->prompt_tokens, request->prompt_tokens);
    kymo_counter_add_int(m->completion_tokens, request->completion_tokens);
    observe(m->request_prompt_tokens, request->prompt_tokens, request);
    observe(m->request_completion_tokens, request->completion_tokens, request);
    observe(m->duration_seconds, seconds_between(request->arrive_ns, request->end_ns), request);
    if (request->completion_tokens > 1)
        observe(m->time_per_output_token_seconds,
                seconds_between(request->first_ns, request->end_ns) / (request->completion_tokens - 1), request);
}

void metrics_record(const struct metrics *m, const struct plan_request *request, enum moment moment)
{
    switch (moment) {
    case MOMENT_ARRIVE:
        record_arrive(m);
        break;
    case MOMENT_START:
        record_start(m, request);
        break;
    case MOMENT_FIRST_TOKEN:
        record_first_token(m, request);
        break;
    case MOMENT_END:
        record_end(m, request);
        break;
    case N_MOMENTS:
        break;
    }
}
