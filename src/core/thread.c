/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/thread.c - which thread writes where: controls, shards, chunks; threads that end, processes that fork.
 *
 * Every thread that records into memory of its own has
 *   a control (struct kymo__thread), which recording reads: one cache line in a page that a child of fork() finds
 *   zeroed, so that the child never writes where its parent writes; and
 *   a seat, which keeps what must outlive that: the control's place, its directory, who sits there.
 * A directory has one entry per process column. Registries of a process share the numbering, so that a handle names a
 * place in it and nothing else has to be looked up.
 *
 * A recording never gets a seat by allocation. It leaves a mark; kymo__provide(), called by whatever may allocate,
 * fills the pool of spare seats and the entries that were asked for; the thread's next recording takes a spare one
 * with a single exchange. Seats taken that way, possibly inside a signal handler, have no exit hook yet: whether such
 * a thread still runs is asked of the kernel by its id.
 *
 * Seats, controls and directories are never unmapped while a thread could still look at them.
 */
#include <string.h>

#include "core/core.h"

#define SEATS_PER_BLOCK (KYMO__PAGE / 64)
#define SPARES 16
#define MAX_PROCESS_COLUMNS 65536u
#define DIR_MIN 128u

enum seat_state { SEAT_FREE, SEAT_SPARE, SEAT_TAKEN, SEAT_DROPPED };

struct kymo__seat {
    struct kymo__thread *control;
    struct kymo__seat *next;
    uint32_t state; /* enum seat_state; process lock, but for SPARE -> TAKEN, which a recorder does */
    uint32_t thread_id;
    int hooked; /* the thread's exit will give the seat back */
    struct kymo__entry *dir;
    uint32_t cap;
};

/* Tells a fresh child of fork() from its parent: lives in a wiped page. */
struct token {
    uint32_t settled;
};

static struct {
    pthread_mutex_t lock;         /* everything here but what is said to be a recorder's */
    pthread_mutex_t columns_lock; /* columns_used; taken last */
    struct kymo_registry *registries;
    struct kymo__seat *seats;
    struct kymo__seat *spares[SPARES]; /* a recorder takes one by exchange */
    uint32_t wanting;                  /* threads that found no spare seat; counted by recorders */
    uint32_t round;                    /* of making spare seats: each thread asks once in each */
    uint32_t want_anything;            /* some mark was left since the last kymo__provide(); set by recorders */
    struct token *token;
    int wipes; /* the kernel wipes pages on fork; else a fork handler does */
    int hook_made;
    pthread_key_t hook;
    uint64_t columns_used[MAX_PROCESS_COLUMNS / 64];
} process = {.lock = PTHREAD_MUTEX_INITIALIZER, .columns_lock = PTHREAD_MUTEX_INITIALIZER};

struct kymo__thread kymo__nobody;
_Thread_local struct kymo__thread *kymo__self = &kymo__nobody;
/* The round in which this thread asked for a seat, plus 1: ask once, not once per recording. */
static _Thread_local uint32_t asked;

/* ---- process columns ---- */

static int column_take_locked(uint32_t *index)
{
    for (uint32_t i = 0; i < MAX_PROCESS_COLUMNS / 64; i++) {
        if (process.columns_used[i] != UINT64_MAX) {
            uint32_t bit = (uint32_t)__builtin_ctzll(~process.columns_used[i]);
            process.columns_used[i] |= (uint64_t)1 << bit;
            *index = i * 64 + bit;
            return 0;
        }
    }
    return KYMO_ELIMIT;
}

static int column_take(uint32_t *index)
{
    pthread_mutex_lock(&process.columns_lock);
    int r = column_take_locked(index);
    pthread_mutex_unlock(&process.columns_lock);
    return r;
}

static void column_give(uint32_t index)
{
    pthread_mutex_lock(&process.columns_lock);
    process.columns_used[index / 64] &= ~((uint64_t)1 << (index % 64));
    pthread_mutex_unlock(&process.columns_lock);
}

int kymo__columns_publish(struct kymo_registry *reg)
{
    uint32_t have = reg->n_columns, need = reg->segment->n_columns;
    if (need > reg->columns_cap) {
        uint32_t cap = reg->columns_cap ? reg->columns_cap * 2 : 32;
        while (cap < need)
            cap *= 2;
        uint32_t *larger = kymo__kept_alloc(reg, cap * sizeof(*larger));
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

/* ---- seats ---- */

/* A directory: cap entries, then cap marks; its pages live as long as the process. */
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
        seats[i].next = process.seats;
        process.seats = &seats[i];
    }
    return 0;
}

static struct kymo__seat *seat_find_free(void)
{
    struct kymo__seat *seat = process.seats;
    while (seat != NULL && kymo__load_relaxed(&seat->state) != SEAT_FREE)
        seat = seat->next;
    return seat;
}

/* A free seat with a directory, or NULL. */
static struct kymo__seat *seat_take(enum seat_state state)
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

static struct kymo__entry *entry_at(struct kymo__seat *seat, uint32_t process_column)
{
    return process_column < seat->cap ? &seat->dir[process_column] : NULL;
}

static struct kymo__shard *shard_of(struct kymo__seat *seat, const struct kymo_registry *reg)
{
    struct kymo__entry *home = entry_at(seat, reg->home);
    return home != NULL ? (struct kymo__shard *)home->ctl : NULL;
}

/* Lets recordings use a chunk; the entry's ctl last, since that is what makes it usable. */
static void entry_add_chunk(struct kymo_registry *reg, struct kymo__seat *seat, const struct kymo__chunk *chunk)
{
    struct kymo__segment *s = reg->segment;
    struct kymo__entry *entry = entry_at(seat, reg->columns[chunk->column]);
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
    struct kymo__entry *entry = entry_at(seat, reg->columns[column]);
    struct kymo__segment *s = reg->segment;
    kymo__store_relaxed(&entry->pairs, kymo__at(s, kymo__column_at(s, column)->pairs));
    kymo__store_release(&entry->ctl, &shard_of(seat, reg)->ctl); /* with kymo__begin() in record.h */
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
static int lease(struct kymo_registry *reg, struct kymo__seat *seat)
{
    struct kymo__segment *s = reg->segment;
    int error = dir_grow(seat, reg->max_column + 1);
    if (error != 0 || shard_of(seat, reg) != NULL)
        return error;
    uint32_t ref = shard_adopt(s);
    if (ref == 0)
        ref = s->n_shards < reg->max_shards ? kymo__shard_new(s, &error) : (error = KYMO_ELIMIT, 0u);
    if (ref == 0)
        return error;
    struct kymo__shard *shard = kymo__at(s, ref);
    kymo__store_release(&entry_at(seat, reg->home)->ctl, &shard->ctl); /* with recorders by labels */
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
    struct kymo__entry *entry = entry_at(seat, reg->columns[column]);
    int error = 0;
    if ((lane == KYMO__WHOLE ? entry->words : entry->fractions) != NULL)
        return 0;
    uint32_t shard = kymo__ref(reg->segment, shard_of(seat, reg));
    struct kymo__chunk *chunk = kymo__chunk_new(reg->segment, shard, column, lane, &error);
    if (chunk == NULL)
        return error;
    /* Touched here, so that the recording that follows does not wait for the kernel to find a page. */
    kymo__add_relaxed((uint64_t *)kymo__at(reg->segment, chunk->data), 0);
    entry_add_chunk(reg, seat, chunk);
    return 0;
}

/* Gives a seat what it needs in a column; what: 1 whole words, 2 fractions as well. */
static int serve_column(struct kymo_registry *reg, struct kymo__seat *seat, uint32_t column, uint8_t what)
{
    int error = lease(reg, seat);
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

/* ---- marks ---- */

static int claim_spare(void)
{
    for (int i = 0; i < SPARES; i++) {
        struct kymo__seat *seat = kymo__exchange_full(&process.spares[i], NULL);
        if (seat != NULL) {
            seat->thread_id = kymo__os_thread_id();
            kymo__store_release(&seat->state, SEAT_TAKEN); /* with kymo__reap(): the id is there */
            kymo__self = seat->control;
            return 1;
        }
    }
    return 0;
}

static void want_seat(struct kymo_registry *reg, uint32_t segment_column, uint8_t what)
{
    uint32_t round = kymo__load_relaxed(&process.round) + 1;
    if (asked != round) {
        asked = round;
        kymo__add_relaxed(&process.wanting, 1); /* only a number of seats to make: order does not matter */
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
        if (process_column < n) {
            uint8_t *mark = &kymo__load_relaxed(&t->marks)[process_column];
            kymo__store_relaxed(mark, (uint8_t)(kymo__load_relaxed(mark) | what));
        } else {
            kymo__store_relaxed(&t->want_column, process_column + 1);
        }
        kymo__store_relaxed(&t->wants, 1);
    }
    kymo__store_release(&process.want_anything, 1); /* with kymo__provide(): the marks are there */
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
        error = serve_column(reg, seat, i, what);
        if (error == 0 && mark != NULL)
            kymo__store_relaxed(mark, 0);
    }
    return error;
}

static int serve_seat(struct kymo__seat *seat)
{
    int error = 0;
    kymo__store_relaxed(&seat->control->wants, 0);
    for (struct kymo_registry *reg = process.registries; reg != NULL; reg = reg->next) {
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
    for (struct kymo_registry *reg = process.registries; reg != NULL; reg = reg->next) {
        if (!kymo__load_relaxed(&reg->wanting))
            continue;
        pthread_mutex_lock(&reg->lock);
        int r = lease(reg, seat);
        for (uint32_t i = 0; i < reg->n_columns && r == 0; i++) {
            uint32_t what = kymo__load_relaxed(&kymo__column_at(reg->segment, i)->wanted);
            if (what != 0)
                r = serve_column(reg, seat, i, (uint8_t)what);
        }
        pthread_mutex_unlock(&reg->lock);
        error = worse(error, r);
    }
    return error;
}

static int make_spares(uint32_t wanted)
{
    int error = 0;
    for (int i = 0; i < SPARES && wanted > 0 && error == 0; i++) {
        if (kymo__load_relaxed(&process.spares[i]) != NULL)
            continue;
        struct kymo__seat *seat = seat_take(SEAT_SPARE);
        if (seat == NULL)
            return KYMO_ENOMEM;
        error = worse(0, equip_spare(seat)); /* where there are shards enough, the seat spares its thread the asking */
        (void)kymo__exchange_full(&process.spares[i], seat);
        wanted--;
    }
    return error;
}

static void reap_locked(void);

static int provide_locked(void)
{
    int error = 0;
    for (struct kymo__seat *seat = process.seats; seat != NULL; seat = seat->next)
        if (kymo__load_relaxed(&seat->state) == SEAT_TAKEN && kymo__load_relaxed(&seat->control->wants))
            error = worse(error, serve_seat(seat));
    uint32_t wanting = kymo__exchange_full(&process.wanting, 0);
    kymo__store_relaxed(&process.round, process.round + 1);
    if (wanting != 0) {
        reap_locked();
        error = worse(error, make_spares(wanting));
    }
    return error;
}

void kymo__provide(struct kymo_registry *reg)
{
    if (!kymo__load_relaxed(&process.want_anything))
        return;
    pthread_mutex_lock(&process.lock);
    (void)kymo__exchange_full(&process.want_anything, 0);
    int error = provide_locked();
    if (error != 0)
        kymo__store_relaxed(&process.want_anything, 1);
    pthread_mutex_unlock(&process.lock);
    if (error != 0)
        kymo__log(reg, KYMO_LOG_WARNING, "no memory for a thread's own shard: it goes on in the shared store");
}

/* ---- threads that end ---- */

static void entries_clear(const struct kymo_registry *reg, struct kymo__seat *seat)
{
    const struct kymo__entry none = {0};
    for (uint32_t i = 0; i < reg->n_columns; i++)
        if (entry_at(seat, reg->columns[i]) != NULL)
            *entry_at(seat, reg->columns[i]) = none;
    if (entry_at(seat, reg->home) != NULL)
        *entry_at(seat, reg->home) = none;
}

/* The seat's thread is gone or does not record: its shards go to whoever comes next. */
static void seat_leave(struct kymo__seat *seat)
{
    for (struct kymo_registry *reg = process.registries; reg != NULL; reg = reg->next) {
        struct kymo__shard *shard = shard_of(seat, reg);
        if (shard == NULL)
            continue;
        pthread_mutex_lock(&reg->lock);
        kymo__shard_settle(shard);
        entries_clear(reg, seat);
        kymo__store_release(&shard->state, KYMO__SHARD_FREE); /* with shard_adopt(): all its stores are there */
        pthread_mutex_unlock(&reg->lock);
    }
    memset(seat->dir + seat->cap, 0, seat->cap);
    memset(seat->control, 0, sizeof(*seat->control));
    kymo__store_relaxed(&seat->state, SEAT_FREE);
}

static void reap_locked(void)
{
    for (struct kymo__seat *seat = process.seats; seat != NULL; seat = seat->next)
        if (kymo__load_acquire(&seat->state) == SEAT_TAKEN && !seat->hooked && !kymo__os_thread_alive(seat->thread_id))
            seat_leave(seat);
}

void kymo__reap(void)
{
    pthread_mutex_lock(&process.lock);
    reap_locked();
    pthread_mutex_unlock(&process.lock);
}

/* Runs in the thread that ends, or detaches. */
static void thread_exit(void *arg)
{
    struct kymo__seat *seat = arg;
    kymo__enter();
    pthread_mutex_lock(&process.lock);
    kymo__self = &kymo__nobody;
    kymo__fence_signal(); /* a handler from here on finds no seat */
    if (kymo__load_relaxed(&seat->state) == SEAT_TAKEN)
        seat_leave(seat);
    pthread_mutex_unlock(&process.lock);
}

void kymo_thread_detach(void)
{
    struct kymo__seat *seat = kymo__load_relaxed(&kymo__self->seat);
    if (seat == NULL)
        return;
    if (seat->hooked)
        (void)pthread_setspecific(process.hook, NULL);
    thread_exit(seat);
}

static void hook(struct kymo__seat *seat)
{
    if (!seat->hooked && pthread_setspecific(process.hook, seat) == 0)
        seat->hooked = 1;
}

static struct kymo__seat *seat_of_self(void)
{
    struct kymo__seat *seat = kymo__load_relaxed(&kymo__self->seat);
    if (seat == NULL) {
        seat = seat_take(SEAT_TAKEN);
        if (seat == NULL)
            return NULL;
        seat->thread_id = kymo__os_thread_id();
        kymo__self = seat->control;
    }
    hook(seat);
    return seat;
}

int kymo__ensure_self(struct kymo_registry *reg, uint32_t segment_column)
{
    struct kymo__seat *seat = kymo__load_relaxed(&kymo__self->seat);
    if (seat != NULL && seat->hooked && segment_column != UINT32_MAX) {
        uint32_t at = kymo__load_acquire(&reg->columns)[segment_column]; /* with kymo__columns_publish() */
        struct kymo__thread *t = kymo__self;
        if (at < kymo__load_acquire(&t->n) && kymo__load_relaxed(&kymo__load_acquire(&t->dir)[at].ctl) != NULL)
            return 0;
    }
    pthread_mutex_lock(&process.lock);
    int error = KYMO_ENOMEM;
    seat = seat_of_self();
    if (seat != NULL) {
        pthread_mutex_lock(&reg->lock);
        error = segment_column == UINT32_MAX ? lease(reg, seat) : serve_column(reg, seat, segment_column, 1);
        pthread_mutex_unlock(&reg->lock);
    }
    pthread_mutex_unlock(&process.lock);
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

/* ---- the process ---- */

/* Where the kernel does not wipe, this does, in the child's only thread. */
static void wipe_after_fork(void)
{
    for (struct kymo__seat *seat = process.seats; seat != NULL; seat = seat->next)
        memset(seat->control, 0, sizeof(*seat->control));
    process.token->settled = 0;
}

static int process_start(void)
{
    if (process.token == NULL) {
        struct token *token = kymo__os_wiped_pages(KYMO__PAGE, &process.wipes);
        if (token == NULL)
            return KYMO_ENOMEM;
        token->settled = 1;
        if (!process.wipes && pthread_atfork(NULL, NULL, wipe_after_fork) != 0) {
            kymo__os_release(token, KYMO__PAGE);
            return KYMO_ENOMEM;
        }
        kymo__store_release(&process.token, token); /* with kymo__enter() */
    }
    if (!process.hook_made) {
        if (pthread_key_create(&process.hook, thread_exit) != 0)
            return KYMO_ESYSTEM;
        process.hook_made = 1;
    }
    return 0;
}

int kymo__process_add(struct kymo_registry *reg)
{
    pthread_mutex_lock(&process.lock);
    int r = process_start();
    if (r == 0)
        r = column_take(&reg->home);
    if (r == 0) {
        reg->max_column = reg->home;
        reg->next = process.registries;
        process.registries = reg;
    }
    pthread_mutex_unlock(&process.lock);
    return r;
}

void kymo__process_remove(struct kymo_registry *reg)
{
    pthread_mutex_lock(&process.lock);
    struct kymo_registry **link = &process.registries;
    while (*link != NULL && *link != reg)
        link = &(*link)->next;
    if (*link == reg)
        *link = reg->next;
    for (struct kymo__seat *seat = process.seats; seat != NULL; seat = seat->next)
        entries_clear(reg, seat);
    for (uint32_t i = 0; i < reg->n_columns; i++)
        column_give(reg->columns[i]);
    column_give(reg->home);
    pthread_mutex_unlock(&process.lock);
}

/* Values of a column start again at 0, in all stores. */
static void column_zero(struct kymo__segment *s, struct kymo__column *column)
{
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
    for (uint32_t i = 0; zero && i < s->n_columns; i++)
        if (kymo__column_at(s, i)->class != KYMO__SHARED)
            column_zero(s, kymo__column_at(s, i));
    if (zero)
        starts_renew(reg);
}

/*
 * Old seats are dropped, not used again: the thread that forked still points to one of the controls, and may have
 * been inside a recording. What they hold stays mapped.
 */
static void settle_process(int zero)
{
    pthread_mutex_init(&process.lock, NULL);
    pthread_mutex_init(&process.columns_lock, NULL);
    for (struct kymo__seat *seat = process.seats; seat != NULL; seat = seat->next)
        kymo__store_relaxed(&seat->state, SEAT_DROPPED);
    process.seats = NULL;
    for (int i = 0; i < SPARES; i++)
        process.spares[i] = NULL;
    process.wanting = 0;
    process.round++;
    for (struct kymo_registry *reg = process.registries; reg != NULL; reg = reg->next)
        settle_registry(reg, zero);
}

void kymo__settle_child(int zero)
{
    enum { FRESH = 0, SETTLED = 1, SETTLING = 2 };
    struct token *token = kymo__load_acquire(&process.token); /* with process_start() */
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
