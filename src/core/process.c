/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/process.c - the process: its registries, the numbering of their columns, and what a fork leaves behind.
 *
 * Read core/process.h first, and docs/protocols.md, "Fork, kill, and threads that end".
 */
#include <string.h>

#include "core/exemplar.h"
#include "core/native.h"
#include "core/process.h"

struct kymo__process kymo__process = {.lock = PTHREAD_MUTEX_INITIALIZER, .columns_lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- process columns ---- */

static int column_take_locked(uint32_t *index)
{
    for (uint32_t i = 0; i < KYMO__PROCESS_COLUMNS / 64; i++) {
        if (kymo__process.columns_used[i] != UINT64_MAX) {
            uint32_t bit = (uint32_t)__builtin_ctzll(~kymo__process.columns_used[i]);
            kymo__process.columns_used[i] |= (uint64_t)1 << bit;
            *index = i * 64 + bit;
            return 0;
        }
    }
    return KYMO_ELIMIT;
}

static int column_take(uint32_t *index)
{
    pthread_mutex_lock(&kymo__process.columns_lock);
    int r = column_take_locked(index);
    pthread_mutex_unlock(&kymo__process.columns_lock);
    return r;
}

static void column_give(uint32_t index)
{
    pthread_mutex_lock(&kymo__process.columns_lock);
    kymo__process.columns_used[index / 64] &= ~((uint64_t)1 << (index % 64));
    pthread_mutex_unlock(&kymo__process.columns_lock);
}

int kymo__columns_publish(struct kymo_registry *reg)
{
    uint32_t have = reg->n_columns, need = reg->segment->n_columns;
    if (need > reg->columns_cap) {
        uint32_t cap = reg->columns_cap ? reg->columns_cap * 2 : 32;
        while (cap < need)
            cap *= 2;
        uint32_t *larger = kymo__kept_alloc(reg, &reg->kept, cap * sizeof(*larger));
        if (larger == NULL)
            return KYMO_ENOMEM;
        if (have != 0)
            memcpy(larger, reg->columns, have * sizeof(*larger));
        kymo__store_release(&reg->columns, larger); /* with recorders by labels */
        reg->columns_cap = cap;
    }
    while (reg->n_columns < need) {
        uint32_t taken;
        int r = column_take(&taken);
        if (r != 0)
            return r;
        if (taken > reg->max_column)
            reg->max_column = taken;
        reg->columns[reg->n_columns++] = taken;
    }
    return 0;
}

/* ---- registries, forks ---- */

/* Where the kernel does not wipe, this does, in the child's only thread. */
static void wipe_after_fork(void)
{
    for (struct kymo__seat *seat = kymo__process.seats; seat != NULL; seat = seat->next)
        memset(seat->control, 0, sizeof(*seat->control));
    kymo__process.token->settled = 0;
}

static int process_start(void)
{
    if (kymo__process.token == NULL) {
        struct kymo__token *token = kymo__os_wiped_pages(KYMO__PAGE, &kymo__process.wipes);
        if (token == NULL)
            return KYMO_ENOMEM;
        token->settled = 1;
        if (!kymo__process.wipes && pthread_atfork(NULL, NULL, wipe_after_fork) != 0) {
            kymo__os_release(token, KYMO__PAGE);
            return KYMO_ENOMEM;
        }
        kymo__store_release(&kymo__process.token, token); /* with kymo__enter() */
    }
    if (!kymo__process.hook_made) {
        if (pthread_key_create(&kymo__process.hook, kymo__thread_exit) != 0)
            return KYMO_ESYSTEM;
        kymo__process.hook_made = 1;
    }
    return 0;
}

int kymo__process_add(struct kymo_registry *reg)
{
    pthread_mutex_lock(&kymo__process.lock);
    int r = process_start();
    if (r == 0)
        r = column_take(&reg->home);
    if (r == 0) {
        reg->max_column = reg->home;
        reg->next = kymo__process.registries;
        kymo__process.registries = reg;
    }
    pthread_mutex_unlock(&kymo__process.lock);
    return r;
}

void kymo__process_remove(struct kymo_registry *reg)
{
    pthread_mutex_lock(&kymo__process.lock);
    struct kymo_registry **link = &kymo__process.registries;
    while (*link != NULL && *link != reg)
        link = &(*link)->next;
    if (*link != NULL)
        *link = reg->next;
    for (struct kymo__seat *seat = kymo__process.seats; seat != NULL; seat = seat->next) {
        kymo__entries_clear(reg, seat);
        kymo__store_relaxed(&seat->control->want_column, 0);
    }
    for (uint32_t i = 0; i < reg->n_columns; i++)
        column_give(reg->columns[i]);
    column_give(reg->home);
    pthread_mutex_unlock(&kymo__process.lock);
}

/* Values of a column start again at 0, in all stores. */
static void column_zero(struct kymo__segment *s, struct kymo__column *column)
{
    if (column->class != KYMO__NATIVE) /* those start anew, with starts_renew() */
        memset(kymo__at(s, column->pairs), 0, KYMO__WORDS * sizeof(struct kymo__pair));
    for (int lane = 0; lane < 2; lane++) {
        for (uint32_t ref = column->first_chunk[lane]; ref != 0;) {
            struct kymo__chunk *chunk = kymo__at(s, ref);
            memset(kymo__at(s, chunk->data), 0, KYMO__WORDS * sizeof(uint64_t));
            ref = chunk->next_in_column;
        }
    }
}

static void starts_renew(struct kymo_registry *reg)
{
    int64_t now = reg->clock.wall_ns(reg->clock.ctx);
    for (struct kymo__family *f = reg->first_family; f != NULL; f = f->next) {
        for (uint32_t ref = f->record->first_series; ref != 0;) {
            struct kymo__series *series = kymo__at(reg->segment, ref);
            series->start_ns = now;
            if (f->class == KYMO__NATIVE)
                kymo__native_restart(f, series->loc & KYMO__SLOT_MASK, now);
            if (f->exemplar_limit != 0)
                kymo__exemplars_clear(f, series);
            ref = series->next;
        }
    }
}

/* The parent's threads do not exist here: their shards, as copied at the fork, are free. */
static void settle_registry(struct kymo_registry *reg, int zero)
{
    struct kymo__segment *s = reg->segment;
    pthread_mutex_init(&reg->lock, NULL);
    pthread_mutex_init(&reg->collect_lock, NULL);
    s->in_flight[0][0] = 0;
    s->in_flight[1][0] = 0;
    for (uint32_t ref = s->first_shard; ref != 0;) {
        struct kymo__shard *shard = kymo__at(s, ref);
        kymo__shard_settle(shard);
        kymo__store_release(&shard->state, KYMO__SHARD_FREE);
        ref = shard->next;
    }
    kymo__life_recover(reg);
    for (uint32_t i = 0; zero && i < s->n_columns; i++)
        if (kymo__column_at(s, i)->class != KYMO__SHARED)
            column_zero(s, kymo__column_at(s, i));
    if (zero) { /* words that linked free slots are 0 now, too: those slots are not used again */
        memset(s->free_slots[KYMO__SINGLE], 0, sizeof(s->free_slots[0]));
        memset(s->free_slots[KYMO__HISTOGRAMS], 0, sizeof(s->free_slots[0]));
        starts_renew(reg);
    }
}

/*
 * Old seats are dropped, not used again: the thread that forked still points to one of the controls, and may have
 * been inside a recording. What they hold stays mapped.
 */
static void settle_process(int zero)
{
    pthread_mutex_init(&kymo__process.lock, NULL);
    pthread_mutex_init(&kymo__process.columns_lock, NULL);
    for (struct kymo__seat *seat = kymo__process.seats; seat != NULL; seat = seat->next)
        kymo__store_relaxed(&seat->state, KYMO__SEAT_DROPPED);
    kymo__process.seats = NULL;
    for (int i = 0; i < KYMO__SPARES; i++)
        kymo__process.spares[i] = NULL;
    kymo__process.wanting = 0;
    kymo__process.round++;
    for (struct kymo_registry *reg = kymo__process.registries; reg != NULL; reg = reg->next)
        settle_registry(reg, zero);
}

void kymo__settle_child(int zero)
{
    enum { FRESH = 0, SETTLED = 1, SETTLING = 2 };
    struct kymo__token *token = kymo__load_acquire(&kymo__process.token); /* with process_start() */
    if (token == NULL || kymo__load_acquire(&token->settled) == SETTLED)
        return;
    uint32_t fresh = FRESH;
    if (kymo__cas_full(&token->settled, &fresh, SETTLING)) {
        settle_process(zero);
        kymo__store_release(&token->settled, SETTLED);
        return;
    }
    while (kymo__load_acquire(&token->settled) != SETTLED)
        kymo__os_yield();
}

void kymo__enter(void)
{
    kymo__settle_child(0);
}

int kymo_after_fork_child(enum kymo_fork_values values)
{
    if (values != KYMO_FORK_KEEP && values != KYMO_FORK_ZERO)
        return KYMO_EINVAL;
    kymo__settle_child(values == KYMO_FORK_ZERO);
    return 0;
}
