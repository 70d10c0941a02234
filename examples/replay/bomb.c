/* SPDX-License-Identifier: Apache-2.0 */
/* bomb.c - see bomb.h. */
#define _POSIX_C_SOURCE 200809L
#include "bomb.h"

#include "say.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { N_WAVES = 40, WAVE = 10000, EARLY_WAVE = 4, PAUSE_MS = 50, VALUE_CHARS = 32 };

const char *const bomb_names[N_BOMB_TARGETS] = {"llm_requests_rejected_total", "llm_tenant_requests_total",
                                                "llm_tenant_tokens_total"};

/* ---- families with guards ---- */

/*
 * Rejected requests have a limit: the first 50 pairs of model and reason are shown, the rest as one series. Of tenants
 * the heaviest are what one wants to see, whoever comes first: that is the other policy.
 */
int bomb_register(struct kymo_registry *reg, struct bomb *b)
{
    const struct kymo_desc *const descs[N_BOMB_TARGETS] = {
        KYMO_DESC(.name = "llm_requests_rejected_total", .help = "Requests that were turned away.",
                  KYMO_LABELS("model", "reason"), KYMO_GUARD(.policy = KYMO_GUARD_LIMIT, .max_series = 50)),
        KYMO_DESC(.name = "llm_tenant_requests_total", .help = "Requests by tenant, of the tenants with the most.",
                  KYMO_LABELS("tenant", "model"), KYMO_GUARD(.policy = KYMO_GUARD_TOP, .max_series = 20)),
        KYMO_DESC(.name = "llm_tenant_tokens_total", .help = "Tokens by tenant, of the tenants with the most.",
                  .unit = "tokens", KYMO_LABELS("tenant", "model", "type"),
                  KYMO_GUARD(.policy = KYMO_GUARD_TOP, .max_series = 40)),
    };
    int r = 0;
    b->registry = reg;
    for (size_t i = 0; r == 0 && i < N_BOMB_TARGETS; i++)
        r = kymo_counter_family_new(reg, descs[i], &b->families[i]);
    return r;
}

/* ---- the client ---- */

static void count(struct bomb *b, enum bomb_target target, unsigned amount, const char *const *values, size_t n)
{
    kymo_counter_family_add(b->families[target], amount, values, n);
    b->sent[target] += amount;
}

static void serve_tenant(struct bomb *b, const char *tenant, unsigned prompt_tokens, unsigned completion_tokens)
{
    count(b, BOMB_TENANT_REQUESTS, 1, KYMO_VALUES(tenant, "chat"));
    count(b, BOMB_TENANT_TOKENS, prompt_tokens, KYMO_VALUES(tenant, "chat", "prompt"));
    count(b, BOMB_TENANT_TOKENS, completion_tokens, KYMO_VALUES(tenant, "chat", "completion"));
}

static void send_honest(struct bomb *b)
{
    static const char *const tenants[] = {"ash", "birch", "cedar", "elm", "fir", "larch", "oak", "pine"};
    serve_tenant(b, tenants[b->n_requests / 4 % (sizeof(tenants) / sizeof(tenants[0]))], 400, 150);
}

/* Numbers that do not follow each other: as ids are made up. */
static void invent(char value[VALUE_CHARS], const char *what, unsigned long number)
{
    snprintf(value, VALUE_CHARS, "%s-%08lx", what, number * 0x9e3779b1ul & 0xfffffffful);
}

static void send_unknown_model(struct bomb *b)
{
    char model[VALUE_CHARS];
    invent(model, "model", b->n_requests);
    count(b, BOMB_REJECTED, 1, KYMO_VALUES(model, "unknown_model"));
    b->n_invented++;
}

static void send_unknown_tenant(struct bomb *b)
{
    char tenant[VALUE_CHARS];
    invent(tenant, "tenant", b->n_requests);
    serve_tenant(b, tenant, 3, 1);
    b->n_invented++;
}

/* One request in four is an honest tenant's. */
static void send_request(struct bomb *b)
{
    switch (b->n_requests % 4) {
    case 0:
        send_honest(b);
        break;
    case 1:
        send_unknown_model(b);
        break;
    default:
        send_unknown_tenant(b);
    }
    b->n_requests++;
}

/* ---- in waves ---- */

static int count_bytes(void *ctx, const char *data, size_t n)
{
    (void)data;
    *(size_t *)ctx += n;
    return 0;
}

/* A scrape of our own: the heaviest tenants get their series when somebody looks. */
static struct bomb_level measure(const struct bomb *b)
{
    struct bomb_level level = {0, 0};
    const struct kymo_sink sink = {.size = sizeof(sink), .ctx = &level.page_bytes, .write = count_bytes};
    struct kymo_registry_stats stats = {.size = sizeof(stats)};
    int r = kymo_registry_write(b->registry, NULL, &sink);
    if (r == 0)
        r = kymo_registry_get_stats(b->registry, &stats);
    if (r != 0)
        complain("cannot look at the page: %s", kymo_strerror(r));
    level.memory_bytes = stats.segment_used_bytes + stats.heap_bytes;
    return level;
}

static void pause_between_waves(const struct bomb *b)
{
    const struct timespec pause = {.tv_sec = 0, .tv_nsec = PAUSE_MS * 1000000L};
    if (!b->in_haste)
        nanosleep(&pause, NULL);
}

static void *be_client(void *arg)
{
    struct bomb *b = arg;
    kymo_thread_attach(b->registry);
    for (int wave = 0; wave < N_WAVES && !atomic_load(&b->stopping); wave++) {
        for (int i = 0; i < WAVE; i++)
            send_request(b);
        b->after = measure(b);
        if (wave < EARLY_WAVE)
            b->early = b->after;
        pause_between_waves(b);
    }
    atomic_store(&b->over, 1);
    return NULL;
}

/* ---- start and end ---- */

int bomb_start(struct bomb *b, int in_haste)
{
    b->in_haste = in_haste;
    b->before = measure(b);
    const int r = pthread_create(&b->thread, NULL, be_client, b);
    return r == 0 ? 0 : complain("cannot start a thread: %s", strerror(r));
}

void bomb_tell(struct bomb *b)
{
    if (b->told || !atomic_load(&b->over))
        return;
    b->told = 1;
    bomb_report(b);
}

void bomb_finish(struct bomb *b, int at_once)
{
    if (at_once)
        atomic_store(&b->stopping, 1);
    pthread_join(b->thread, NULL);
    bomb_tell(b);
}
