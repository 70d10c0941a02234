/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/seat.c - seats: directories, shards and chunks for them. Read core/process.h first.
 */
#include <string.h>

#include "core/process.h"

#define SEATS_PER_BLOCK (KYMO__PAGE / 64)
#define DIR_MIN 128u

/* A directory: cap entries, then cap marks; its pages live as long as the kymo__process. */
static struct kymo__entry *dir_new(uint32_t cap)
{
    return kymo__os_pages((size_t)cap * (sizeof(struct kymo__entry) + 1));
}

/* Lets a control use its seat's directory. n last: who sees it sees the directory it counts. */
static void control_publish(struct kymo__seat *seat)
{
    struct kymo__thread *control = seat->control;
    kymo__store_relaxed(&control->marks, (uint8_t *)(seat->dir + seat->cap));
    kymo__store_release(&control->dir, seat->dir);
    kymo__store_release(&control->n, seat->cap); /* with entry_of() in record.h */
    kymo__store_relaxed(&control->seat, seat);
}

/* A larger directory; the old one stays mapped, since its thread may be reading it. Marks are carried over. */
static int dir_grow(struct kymo__seat *seat, uint32_t need)
{
    uint32_t cap = seat->cap ? seat->cap : DIR_MIN;
    if (need <= seat->cap)
        return 0;
    while (cap < need)
        cap *= 2;
    struct kymo__entry *dir = dir_new(cap);
    if (dir == NULL)
        return KYMO_ENOMEM;
    if (seat->cap != 0) {
        memcpy(dir, seat->dir, seat->cap * sizeof(*dir));
        memcpy(dir + cap, seat->dir + seat->cap, seat->cap);
    }
    seat->dir = dir;
    seat->cap = cap;
    control_publish(seat);
    return 0;
}

static int seats_add(void)
{
    int wiped;
    struct kymo__thread *controls = kymo__os_wiped_pages(KYMO__PAGE, &wiped);
    struct kymo__seat *seats = controls ? kymo__os_pages(SEATS_PER_BLOCK * sizeof(*seats)) : NULL;
    if (seats == NULL) {
        if (controls != NULL)
            kymo__os_release(controls, KYMO__PAGE);
        return KYMO_ENOMEM;
    }
    for (uint32_t i = SEATS_PER_BLOCK; i-- > 0;) {
        seats[i].control = &controls[i];
        seats[i].next = kymo__process.seats;
        kymo__process.seats = &seats[i];
    }
    return 0;
}

static struct kymo__seat *seat_find_free(void)
{
    struct kymo__seat *seat = kymo__process.seats;
    while (seat != NULL && kymo__load_relaxed(&seat->state) != KYMO__SEAT_FREE)
        seat = seat->next;
    return seat;
}

/* A free seat with a directory, or NULL. */
struct kymo__seat *kymo__seat_take(enum kymo__seat_state state)
{
    struct kymo__seat *seat = seat_find_free();
    if (seat == NULL && seats_add() == 0)
        seat = seat_find_free();
    if (seat == NULL || dir_grow(seat, DIR_MIN) != 0)
        return NULL;
    control_publish(seat);
    seat->hooked = 0;
    kymo__store_relaxed(&seat->state, (uint32_t)state);
    return seat;
}

struct kymo__entry *kymo__entry_at(struct kymo__seat *seat, uint32_t process_column)
{
    return process_column < seat->cap ? &seat->dir[process_column] : NULL;
}

struct kymo__shard *kymo__shard_of(struct kymo__seat *seat, const struct kymo_registry *reg)
{
    struct kymo__entry *home = kymo__entry_at(seat, reg->home);
    return home != NULL ? (struct kymo__shard *)home->ctl : NULL;
}

/* Lets recordings use a chunk; the entry's ctl last, since that is what makes it usable. */
static void entry_add_chunk(struct kymo_registry *reg, struct kymo__seat *seat, const struct kymo__chunk *chunk)
{
    struct kymo__segment *s = reg->segment;
    struct kymo__entry *entry = kymo__entry_at(seat, reg->columns[chunk->column]);
    struct kymo__shard *shard = kymo__at(s, chunk->shard);
    kymo__store_relaxed(&entry->pairs, kymo__at(s, kymo__column_at(s, chunk->column)->pairs));
    if (chunk->lane == KYMO__FRACTION) {
        kymo__store_release(&entry->fractions, kymo__at(s, chunk->data)); /* with kymo_counter_add() */
        return;
    }
    kymo__store_relaxed(&entry->words, kymo__at(s, chunk->data));
    kymo__store_release(&entry->ctl, &shard->ctl); /* with kymo__begin() in record.h */
}

/* Set gauges need no chunk: the shared store, and the busy word that keeps their slot from being given away. */
static void entry_share(struct kymo_registry *reg, struct kymo__seat *seat, uint32_t column)
{
    struct kymo__entry *entry = kymo__entry_at(seat, reg->columns[column]);
    struct kymo__segment *s = reg->segment;
    if (entry->ctl != NULL)
        return; /* in use already */
    kymo__store_relaxed(&entry->pairs, kymo__at(s, kymo__column_at(s, column)->pairs));
    kymo__store_release(&entry->ctl, &kymo__shard_of(seat, reg)->ctl); /* with kymo__begin() in record.h */
}

/* ---- shards: registry's lock held, too ---- */

static uint32_t shard_adopt(struct kymo__segment *s)
{
    uint32_t ref = s->first_shard;
    while (ref != 0) {
        struct kymo__shard *shard = kymo__at(s, ref);
        if (kymo__load_acquire(&shard->state) == KYMO__SHARD_FREE) { /* with seat_leave() */
            kymo__shard_settle(shard);
            kymo__store_relaxed(&shard->state, KYMO__SHARD_OWNED);
            return ref;
        }
        ref = shard->next;
    }
    return 0;
}

/* Makes the seat the owner of a shard: an adopted one, values and all, or a new one. */
/* Where there are no more shards to be had: one that only waits in the pool of spare seats, or 0. */
static uint32_t shard_from_spares(struct kymo_registry *reg)
{
    for (int i = 0; i < KYMO__SPARES; i++) {
        struct kymo__seat *spare = kymo__exchange_full(&kymo__process.spares[i], NULL);
        struct kymo__shard *shard = spare != NULL ? kymo__shard_of(spare, reg) : NULL;
        if (shard != NULL)
            kymo__entries_clear(reg, spare);
        if (spare != NULL)
            (void)kymo__exchange_full(&kymo__process.spares[i], spare);
        if (shard != NULL)
            return kymo__ref(reg->segment, shard);
    }
    return 0;
}

static uint32_t shard_find(struct kymo_registry *reg, int *error)
{
    struct kymo__segment *s = reg->segment;
    uint32_t ref = shard_adopt(s);
    if (ref != 0)
        return ref;
    if (s->n_shards < reg->max_shards)
        return kymo__shard_new(s, error);
    ref = shard_from_spares(reg);
    if (ref == 0)
        *error = KYMO_ELIMIT;
    return ref;
}

int kymo__seat_lease(struct kymo_registry *reg, struct kymo__seat *seat)
{
    struct kymo__segment *s = reg->segment;
    int error = dir_grow(seat, reg->max_column + 1);
    if (error != 0 || kymo__shard_of(seat, reg) != NULL)
        return error;
    uint32_t ref = shard_find(reg, &error);
    if (ref == 0)
        return error;
    struct kymo__shard *shard = kymo__at(s, ref);
    kymo__store_release(&kymo__entry_at(seat, reg->home)->ctl, &shard->ctl); /* with recorders by labels */
    for (uint32_t at = shard->first_chunk; at != 0;) {
        const struct kymo__chunk *chunk = kymo__at(s, at);
        entry_add_chunk(reg, seat, chunk);
        at = chunk->next_in_shard;
    }
    return 0;
}

/* Gives a seat one lane of a column in its shard. */
static int chunk_ensure(struct kymo_registry *reg, struct kymo__seat *seat, uint32_t column, enum kymo__lane lane)
{
    struct kymo__entry *entry = kymo__entry_at(seat, reg->columns[column]);
    int error = 0;
    if ((lane == KYMO__WHOLE ? entry->words : entry->fractions) != NULL)
        return 0;
    uint32_t shard = kymo__ref(reg->segment, kymo__shard_of(seat, reg));
    struct kymo__chunk *chunk = kymo__chunk_new(reg->segment, shard, column, lane, &error);
    if (chunk == NULL)
        return error;
    /* Touched here, so that the recording that follows does not wait for the kernel to find a page. */
    kymo__add_relaxed((uint64_t *)kymo__at(reg->segment, chunk->data), 0);
    entry_add_chunk(reg, seat, chunk);
    return 0;
}

/* Gives a seat what it needs in a column; what: 1 whole words, 2 fractions as well. */
int kymo__seat_serve(struct kymo_registry *reg, struct kymo__seat *seat, uint32_t column, uint8_t what)
{
    int error = kymo__seat_lease(reg, seat);
    if (error != 0)
        return error;
    if (kymo__column_at(reg->segment, column)->class == KYMO__SHARED) {
        entry_share(reg, seat, column);
        return 0;
    }
    error = chunk_ensure(reg, seat, column, KYMO__WHOLE);
    if (error == 0 && (what & 2))
        error = chunk_ensure(reg, seat, column, KYMO__FRACTION);
    return error;
}

static void entry_clear(struct kymo__seat *seat, uint32_t process_column)
{
    const struct kymo__entry none = {0};
    if (process_column >= seat->cap)
        return;
    seat->dir[process_column] = none;
    /* The mark, too: the column's number may soon be another registry's. */
    kymo__store_relaxed((uint8_t *)(seat->dir + seat->cap) + process_column, 0);
}

void kymo__entries_clear(const struct kymo_registry *reg, struct kymo__seat *seat)
{
    for (uint32_t i = 0; i < reg->n_columns; i++)
        entry_clear(seat, reg->columns[i]);
    entry_clear(seat, reg->home);
}
