/* SPDX-License-Identifier: Apache-2.0 */
/* plan.c - see plan.h. Whole nanoseconds throughout, so that the result is the same on every machine. */
#include "plan.h"

#include "clock.h"
#include "say.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct server {
    int64_t prefill_free_ns;          /* when the last prompt taken on will have been read */
    int64_t slot_free_ns[PLAN_SLOTS]; /* when each slot's last request will have ended */
};

static int64_t max_ns(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t *earliest_slot(struct server *server)
{
    int64_t *earliest = &server->slot_free_ns[0];
    for (size_t i = 1; i < PLAN_SLOTS; i++)
        if (server->slot_free_ns[i] < *earliest)
            earliest = &server->slot_free_ns[i];
    return earliest;
}

static int64_t prefill_ns(const struct trace_row *row)
{
    return (int64_t)row->prompt_tokens * NS_PER_S / PLAN_PREFILL_TOKENS_PER_S;
}

/* The first token comes with the end of the prompt, so a gap follows each token but the last. */
static int64_t decode_ns(const struct trace_row *row)
{
    const int64_t gaps = row->completion_tokens > 0 ? (int64_t)row->completion_tokens - 1 : 0;
    return gaps * NS_PER_S / PLAN_DECODE_TOKENS_PER_S;
}

static struct plan_request serve(struct server *server, const struct trace_row *row)
{
    int64_t *slot = earliest_slot(server);
    const int64_t start = max_ns(row->arrive_ns, max_ns(server->prefill_free_ns, *slot));
    const int64_t first = start + prefill_ns(row);
    const int64_t end = first + decode_ns(row);
    server->prefill_free_ns = first;
    *slot = end;
    return (struct plan_request){row->arrive_ns, start, first, end, row->prompt_tokens, row->completion_tokens, ""};
}

/* Trace ids look random, these too, but are the same each time: Steele, Lea and Flood's splitmix64 of the number. */
static uint64_t scramble(uint64_t number)
{
    uint64_t z = number * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void name_trace(struct plan_request *request, uint64_t number)
{
    snprintf(request->trace_id, sizeof(request->trace_id), "%016" PRIx64 "%016" PRIx64, scramble(number), number);
}

int plan_make(const struct trace *trace, struct plan *plan)
{
    struct server server = {0};
    *plan = (struct plan){.requests = calloc(trace->n_rows, sizeof(*plan->requests))};
    if (plan->requests == NULL)
        return complain("out of memory for %zu requests", trace->n_rows);
    plan->n_requests = trace->n_rows;
    for (size_t i = 0; i < trace->n_rows; i++) {
        plan->requests[i] = serve(&server, &trace->rows[i]);
        name_trace(&plan->requests[i], i + 1);
    }
    return 0;
}

void plan_free(struct plan *plan)
{
    free(plan->requests);
    *plan = (struct plan){0};
}
