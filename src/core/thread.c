/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/thread.c - what a thread does for itself: attach, detach, end. Read core/process.h first.
 */
#include <string.h>

#include "core/process.h"

struct kymo__thread kymo__nobody;
_Thread_local struct kymo__thread *kymo__self = &kymo__nobody;

/* The seat's thread is gone or does not record: its shards go to whoever comes next. */
static void seat_leave(struct kymo__seat *seat)
{
    for (struct kymo_registry *reg = kymo__process.registries; reg != NULL; reg = reg->next) {
        struct kymo__shard *shard = kymo__shard_of(seat, reg);
        if (shard == NULL)
            continue;
        pthread_mutex_lock(&reg->lock);
        kymo__shard_settle(shard);
        kymo__entries_clear(reg, seat);
        kymo__store_release(&shard->state, KYMO__SHARD_FREE); /* with shard_adopt(): all its stores are there */
        pthread_mutex_unlock(&reg->lock);
    }
    memset(seat->dir + seat->cap, 0, seat->cap);
    memset(seat->control, 0, sizeof(*seat->control));
    kymo__store_relaxed(&seat->state, KYMO__SEAT_FREE);
}

void kymo__reap_locked(void)
{
    for (struct kymo__seat *seat = kymo__process.seats; seat != NULL; seat = seat->next)
        if (kymo__load_acquire(&seat->state) == KYMO__SEAT_TAKEN && !seat->hooked &&
            !kymo__os_thread_alive(seat->thread_id))
            seat_leave(seat);
}

void kymo__reap(void)
{
    pthread_mutex_lock(&kymo__process.lock);
    kymo__reap_locked();
    pthread_mutex_unlock(&kymo__process.lock);
}

/* Runs in the thread that ends, or detaches. */
void kymo__thread_exit(void *arg)
{
    struct kymo__seat *seat = arg;
    kymo__enter();
    pthread_mutex_lock(&kymo__process.lock);
    kymo__self = &kymo__nobody;
    kymo__fence_signal(); /* a handler from here on finds no seat */
    if (kymo__load_relaxed(&seat->state) == KYMO__SEAT_TAKEN)
        seat_leave(seat);
    pthread_mutex_unlock(&kymo__process.lock);
}

void kymo_thread_detach(void)
{
    struct kymo__seat *seat = kymo__load_relaxed(&kymo__self->seat);
    if (seat == NULL)
        return;
    if (seat->hooked)
        (void)pthread_setspecific(kymo__process.hook, NULL);
    kymo__thread_exit(seat);
}

static void hook(struct kymo__seat *seat)
{
    if (!seat->hooked && pthread_setspecific(kymo__process.hook, seat) == 0)
        seat->hooked = 1;
}

static struct kymo__seat *seat_of_self(void)
{
    struct kymo__seat *seat = kymo__load_relaxed(&kymo__self->seat);
    if (seat == NULL) {
        seat = kymo__seat_take(KYMO__SEAT_TAKEN);
        if (seat == NULL)
            return NULL;
        seat->thread_id = kymo__os_thread_id();
        kymo__self = seat->control;
    }
    hook(seat);
    return seat;
}

static int serve_self(struct kymo_registry *reg, struct kymo__seat *seat, uint32_t segment_column)
{
    pthread_mutex_lock(&reg->lock);
    int error =
        segment_column == UINT32_MAX ? kymo__seat_lease(reg, seat) : kymo__seat_serve(reg, seat, segment_column, 1);
    pthread_mutex_unlock(&reg->lock);
    return error;
}

static int has_entry(uint64_t process_column)
{
    const struct kymo__seat *seat = kymo__load_relaxed(&kymo__self->seat);
    if (seat == NULL || !seat->hooked)
        return 0;
    struct kymo__thread *t = kymo__self;
    return process_column < kymo__load_acquire(&t->n) &&
           kymo__load_relaxed(&kymo__load_acquire(&t->dir)[process_column].ctl) != NULL;
}

int kymo__is_served(uint64_t loc)
{
    return has_entry(loc >> KYMO__WORD_BITS);
}

int kymo__ensure_self(struct kymo_registry *reg, uint32_t segment_column)
{
    if (segment_column != UINT32_MAX && has_entry(kymo__load_acquire(&reg->columns)[segment_column]))
        return 0; /* acquire: with kymo__columns_publish() */
    pthread_mutex_lock(&kymo__process.lock);
    int error = KYMO_ENOMEM;
    struct kymo__seat *seat = seat_of_self();
    if (seat != NULL)
        error = serve_self(reg, seat, segment_column);
    if (error == KYMO_ELIMIT) { /* perhaps the dead have one */
        kymo__reap_locked();
        error = serve_self(reg, seat, segment_column);
    }
    pthread_mutex_unlock(&kymo__process.lock);
    return error;
}

int kymo_thread_attach(struct kymo_registry *reg)
{
    if (reg == NULL)
        return KYMO_EINVAL;
    kymo__enter();
    kymo__provide(reg);
    int error = kymo__ensure_self(reg, UINT32_MAX);
    for (uint32_t i = 0; error == 0 && i < kymo__load_acquire(&reg->segment->n_columns); i++)
        error = kymo__ensure_self(reg, i);
    return error;
}
