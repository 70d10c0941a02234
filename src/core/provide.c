/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/provide.c - marks that recordings leave, and what answers them. Read core/process.h first.
 *
 * A recording never gets anything by allocation. It leaves a mark; kymo__provide(), called by whatever may allocate,
 * fills the pool of spare seats and the entries that were asked for; the thread's next recording takes a spare seat with
 * a single exchange. Seats taken that way, possibly inside a signal handler, have no exit hook yet: whether such a
 * thread still runs is asked of the kernel by its id.
 */
#include "core/process.h"

/* The round in which this thread asked for a seat, plus 1: ask once, not once per recording. */
static _Thread_local uint32_t asked;

static int claim_spare(void)
{
    for (int i = 0; i < KYMO__SPARES; i++) {
        struct kymo__seat *seat = kymo__exchange_full(&kymo__process.spares[i], NULL);
        if (seat != NULL) {
            seat->thread_id = kymo__os_thread_id();
            kymo__store_release(&seat->state, KYMO__SEAT_TAKEN); /* with kymo__reap(): the id is there */
            kymo__self = seat->control;
            return 1;
        }
    }
    return 0;
}

static void want_seat(struct kymo_registry *reg, uint32_t segment_column, uint8_t what)
{
    uint32_t round = kymo__load_relaxed(&kymo__process.round) + 1;
    if (asked != round) {
        asked = round;
        kymo__add_relaxed(&kymo__process.wanting, 1); /* only a number of seats to make: order does not matter */
    }
    struct kymo__column *column = kymo__column_at(reg->segment, segment_column);
    kymo__store_relaxed(&column->wanted, kymo__load_relaxed(&column->wanted) | what);
    kymo__store_relaxed(&reg->wanting, 1);
}

void kymo__want(struct kymo_registry *reg, uint32_t process_column, uint32_t segment_column, uint8_t what)
{
    if (kymo__load_relaxed(&kymo__self->seat) == NULL && !claim_spare()) {
        want_seat(reg, segment_column, what);
    } else {
        struct kymo__thread *t = kymo__self;
        uint32_t n = kymo__load_acquire(&t->n);
        uint8_t *marks = kymo__load_relaxed(&t->marks);
        if (process_column < n && marks != NULL) { /* NULL: a handler forked meanwhile, and we are the child */
            uint8_t *mark = &marks[process_column];
            kymo__store_relaxed(mark, (uint8_t)(kymo__load_relaxed(mark) | what));
        } else {
            kymo__store_relaxed(&t->want_column, process_column + 1);
        }
        kymo__store_relaxed(&t->wants, 1);
    }
    kymo__store_release(&kymo__process.want_anything, 1); /* with kymo__provide(): the marks are there */
}

/* The first error that is about memory: that there are enough shards already is no news. */
static int worse(int error, int r)
{
    return error != 0 || r == KYMO_ELIMIT ? error : r;
}

static int serve_marks(struct kymo_registry *reg, struct kymo__seat *seat)
{
    int error = 0;
    for (uint32_t i = 0; i < reg->n_columns && error == 0; i++) {
        uint32_t at = reg->columns[i];
        uint8_t *mark = at < seat->cap ? (uint8_t *)(seat->dir + seat->cap) + at : NULL;
        uint8_t what = mark != NULL ? kymo__load_relaxed(mark) : 0;
        if (kymo__load_relaxed(&seat->control->want_column) == at + 1)
            what |= 1;
        if (what == 0)
            continue;
        error = kymo__seat_serve(reg, seat, i, what);
        if (error == 0 && mark != NULL)
            kymo__store_relaxed(mark, 0);
    }
    return error;
}

static int serve_seat(struct kymo__seat *seat)
{
    int error = 0;
    kymo__store_relaxed(&seat->control->wants, 0);
    for (struct kymo_registry *reg = kymo__process.registries; reg != NULL; reg = reg->next) {
        pthread_mutex_lock(&reg->lock);
        int r = serve_marks(reg, seat);
        pthread_mutex_unlock(&reg->lock);
        error = worse(error, r);
    }
    kymo__store_relaxed(&seat->control->want_column, 0);
    if (error != 0)
        kymo__store_relaxed(&seat->control->wants, 1);
    return error;
}

/* What threads without a seat recorded into gets ready in each spare one. */
static int equip_spare(struct kymo__seat *seat)
{
    int error = 0;
    for (struct kymo_registry *reg = kymo__process.registries; reg != NULL; reg = reg->next) {
        if (!kymo__load_relaxed(&reg->wanting))
            continue;
        pthread_mutex_lock(&reg->lock);
        int r = kymo__seat_lease(reg, seat);
        for (uint32_t i = 0; i < reg->n_columns && r == 0; i++) {
            uint32_t what = kymo__load_relaxed(&kymo__column_at(reg->segment, i)->wanted);
            if (what != 0)
                r = kymo__seat_serve(reg, seat, i, (uint8_t)what);
        }
        pthread_mutex_unlock(&reg->lock);
        error = worse(error, r);
    }
    return error;
}

static int make_spares(uint32_t wanted)
{
    int error = 0;
    for (int i = 0; i < KYMO__SPARES && wanted > 0 && error == 0; i++) {
        if (kymo__load_relaxed(&kymo__process.spares[i]) != NULL)
            continue;
        struct kymo__seat *seat = kymo__seat_take(KYMO__SEAT_SPARE);
        if (seat == NULL)
            return KYMO_ENOMEM;
        error = worse(0, equip_spare(seat)); /* where there are shards enough, the seat spares its thread the asking */
        (void)kymo__exchange_full(&kymo__process.spares[i], seat);
        wanted--;
    }
    return error;
}

static int provide_locked(void)
{
    int error = 0;
    for (struct kymo__seat *seat = kymo__process.seats; seat != NULL; seat = seat->next)
        if (kymo__load_relaxed(&seat->state) == KYMO__SEAT_TAKEN && kymo__load_relaxed(&seat->control->wants))
            error = worse(error, serve_seat(seat));
    uint32_t wanting = kymo__exchange_full(&kymo__process.wanting, 0);
    kymo__store_relaxed(&kymo__process.round, kymo__process.round + 1);
    if (wanting != 0) {
        kymo__reap_locked();
        error = worse(error, make_spares(wanting));
    }
    return error;
}

void kymo__provide(struct kymo_registry *reg)
{
    if (!kymo__load_relaxed(&kymo__process.want_anything))
        return;
    pthread_mutex_lock(&kymo__process.lock);
    (void)kymo__exchange_full(&kymo__process.want_anything, 0);
    int error = provide_locked();
    if (error != 0)
        kymo__store_relaxed(&kymo__process.want_anything, 1);
    pthread_mutex_unlock(&kymo__process.lock);
    if (error != 0)
        kymo__log(reg, KYMO_LOG_WARNING, "no memory for a thread's own shard: it goes on in the shared store");
}
