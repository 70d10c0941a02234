/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/series.c - the life of a series: its cell in this process, its creation, its end.
 *
 * Creating is under the registry's lock and publishes last: list, then table. Whatever can fail comes before.
 */
#include <string.h>

#include "base/escape.h"
#include "base/utf8.h"
#include "core/exemplar.h"
#include "core/native.h"
#include "core/table.h"

/* ---- cells ---- */

struct kymo__cell *kymo__cell_of(const struct kymo__family *f, const struct kymo__series *series)
{
    struct kymo__cell **blocks = kymo__load_acquire(&f->cells); /* with cell_ensure() */
    return &blocks[series->ordinal / KYMO__CELLS][series->ordinal % KYMO__CELLS];
}

/* Makes sure that the cell of an ordinal exists. */
static int cell_ensure(struct kymo__family *f, uint32_t ordinal)
{
    uint32_t block = ordinal / KYMO__CELLS;
    if (block >= f->n_cell_blocks) {
        uint32_t n = f->n_cell_blocks ? f->n_cell_blocks * 2 : 1;
        struct kymo__cell **larger = kymo__kept_alloc(f->reg, &f->kept, n * sizeof(struct kymo__cell *));
        if (larger == NULL)
            return KYMO_ENOMEM;
        if (f->n_cell_blocks != 0)
            memcpy(larger, f->cells, f->n_cell_blocks * sizeof(struct kymo__cell *));
        kymo__store_release(&f->cells, larger); /* with kymo__cell_of() */
        f->n_cell_blocks = n;
    }
    if (f->cells[block] == NULL)
        f->cells[block] =
            kymo__kept_alloc(f->reg, &f->kept, (f->n_labels ? KYMO__CELLS : 1) * sizeof(struct kymo__cell));
    return f->cells[block] != NULL ? 0 : KYMO_ENOMEM;
}

/* ---- creating: all of it under the registry's lock ---- */

/* Whether a slot that was left has what a series of the family needs: a native one has its table as well. */
static int slot_fits(const struct kymo__family *f, const struct kymo__series *left)
{
    if (left->text_len != f->n_words)
        return 0;
    const struct kymo__pair *head = kymo__pairs_at(f->reg->segment, left->loc & ~KYMO__DEAD_BIT);
    return f->class != KYMO__NATIVE || head[KYMO__P_TABLE].sum == f->table_entries;
}

/* A slot that a series of the same shape left behind, or KYMO__DEAD. */
static uint64_t slot_reuse(struct kymo__family *f)
{
    struct kymo__segment *s = f->reg->segment;
    for (uint32_t *link = &s->free_slots[f->class]; *link != 0;) {
        struct kymo__series *left = kymo__at(s, *link);
        if (slot_fits(f, left)) {
            *link = left->next;
            return left->loc & ~KYMO__DEAD_BIT;
        }
        link = &left->next;
    }
    return KYMO__DEAD;
}

static uint64_t slot_take(struct kymo__family *f, int *error)
{
    struct kymo_registry *reg = f->reg;
    uint64_t loc = slot_reuse(f);
    if (loc == KYMO__DEAD)
        loc = kymo__slot_new(reg->segment, f->class, f->n_words, error);
    if (loc != KYMO__DEAD && (*error = kymo__columns_publish(reg)) != 0) {
        kymo__slot_undo(reg->segment, loc, f->n_words);
        return KYMO__DEAD;
    }
    return loc;
}

/* With exemplars, the ref of their block lies behind the text. */
static size_t series_bytes(const struct kymo__family *f, size_t text_len)
{
    if (f->exemplar_limit != 0)
        return kymo__exemplars_ref_at(text_len) + 8;
    return sizeof(struct kymo__series) + text_len + KYMO__SERIES_SLACK;
}

/* Memory for a series and what belongs to it, but no slot; 0 and *error. */
static uint32_t series_alloc(struct kymo__family *f, size_t text_len, int *error)
{
    struct kymo__segment *s = f->reg->segment;
    uint32_t block = f->exemplar_limit != 0 ? kymo__exemplars_new(f, error) : 0;
    if (block == 0 && f->exemplar_limit != 0)
        return 0;
    uint32_t ref = kymo__segment_alloc(s, series_bytes(f, text_len), error);
    if (ref == 0 && block != 0)
        kymo__exemplars_give(s, block);
    if (ref != 0 && block != 0)
        *(uint32_t *)(void *)((char *)kymo__at(s, ref) + kymo__exemplars_ref_at(text_len)) = block;
    return ref;
}

/* What series_alloc() took, if it was the last; a block serves the next series in any case. */
static void series_undo(struct kymo__family *f, uint32_t ref, size_t text_len)
{
    struct kymo__segment *s = f->reg->segment;
    if (f->exemplar_limit != 0)
        kymo__exemplars_give(s, *(uint32_t *)(void *)((char *)kymo__at(s, ref) + kymo__exemplars_ref_at(text_len)));
    kymo__segment_undo(s, ref, series_bytes(f, text_len));
}

/* As kymo__label_pairs(), which has to look at each name to know whether it needs quotes. */
static void put_pairs(const struct kymo__family *f, char *to, const char *const *values)
{
    if (f->info.utf8) {
        kymo__label_pairs(to, f->desc.labels, values, f->n_labels);
        return;
    }
    for (uint32_t i = 0; i < f->n_labels; i++) {
        if (i > 0)
            *to++ = ',';
        memcpy(to, f->desc.labels[i], f->label_len[i]);
        to += f->label_len[i];
        *to++ = '=';
        *to++ = '"';
        to = kymo__escape_label(to, values[i], strlen(values[i]));
        *to++ = '"';
    }
}

/* A series, complete but for its place in list and table; NULL and *error. */
static struct kymo__series *series_build(struct kymo__family *f, const char *const *values, const struct kymo__key *key,
                                         size_t text_len, int *error)
{
    struct kymo__segment *s = f->reg->segment;
    uint32_t ref = series_alloc(f, text_len, error);
    if (ref == 0)
        return NULL;
    uint64_t loc = slot_take(f, error);
    int64_t start_ns = f->reg->clock.wall_ns(f->reg->clock.ctx);
    if (loc != KYMO__DEAD && f->class == KYMO__NATIVE && (*error = kymo__native_begin(f, loc, start_ns)) != 0) {
        kymo__slot_undo(s, loc, f->n_words);
        loc = KYMO__DEAD;
    }
    if (loc == KYMO__DEAD) {
        series_undo(f, ref, text_len);
        return NULL;
    }
    struct kymo__series *series = kymo__at(s, ref);
    put_pairs(f, series->text, values);
    series->text_len = (uint32_t)text_len & 0xffffff; /* KYMO__MAX_TEXT bounds it */
    series->flags = text_len != key->text_len ? KYMO__SERIES_ESCAPED : 0;
    series->loc = loc;
    series->start_ns = start_ns;
    series->ordinal = f->n_ordinals;
    return series;
}

/* The link that the next series of a family goes into. */
static uint32_t *list_end(struct kymo__segment *s, struct kymo__family_record *record)
{
    struct kymo__series *last = kymo__at(s, record->last_series);
    uint32_t *link = record->last_series ? &last->next : &record->first_series;
    while (*link != 0) /* a creator that died may have left the hint behind */
        link = &((struct kymo__series *)kymo__at(s, *link))->next;
    return link;
}

/* What comes after the list link; repeatable, so that it can be done again for a creator that died in it. */
static void series_account(struct kymo__family *f, struct kymo__series *series, uint32_t hash)
{
    struct kymo__segment *s = f->reg->segment;
    uint32_t ref = kymo__ref(s, series);
    struct kymo__family_record *record = f->record;
    if (!kymo__table_has(s, record->table, hash, ref))
        kymo__table_put(s, record->table, hash, ref);
    if (record->last_series != ref) {
        record->last_series = ref;
        record->n_series++;
        s->n_series++;
    }
    kymo__store_release(&f->n_ordinals, series->ordinal + 1); /* with kymo__series_get() */
    kymo__store_release(&record->pending, 0);
}

/* Hangs the series where scrapes and lookups find it. Nothing fails here. */
static void series_publish(struct kymo__family *f, struct kymo__series *series, uint32_t hash)
{
    struct kymo__segment *s = f->reg->segment;
    uint32_t ref = kymo__ref(s, series);
    struct kymo__cell *cell = kymo__cell_of(f, series);
    uint64_t word = series->loc & (KYMO__WORDS - 1);
    cell->family = f;
    cell->series = ref;
    cell->loc = ((uint64_t)f->reg->columns[series->loc >> KYMO__WORD_BITS] << KYMO__WORD_BITS) | word;
    kymo__store_release(&f->record->pending, (uint64_t)hash << 32 | ref);
    kymo__store_release(list_end(s, f->record), ref);
    series_account(f, series, hash);
}

void kymo__series_recover(struct kymo__family *f)
{
    struct kymo__segment *s = f->reg->segment;
    uint64_t pending = f->record->pending;
    struct kymo__series *series = kymo__at(s, (uint32_t)pending);
    kymo__table_recover(f->record);
    if (pending == 0)
        return;
    uint32_t ref = f->record->first_series;
    while (ref != 0 && ref != (uint32_t)pending)
        ref = ((struct kymo__series *)kymo__at(s, ref))->next;
    if (ref != 0)
        series_account(f, series, (uint32_t)(pending >> 32));
    else
        f->record->pending = 0; /* nobody can have seen it: as if it had not been asked for */
}

static struct kymo__series *series_create(struct kymo__family *f, const char *const *values,
                                          const struct kymo__key *key, size_t text_len, int *error)
{
    *error = f->dead ? KYMO_ENOENT : cell_ensure(f, f->n_ordinals);
    if (*error == 0)
        *error = kymo__table_grow(f);
    if (*error != 0)
        return NULL;
    struct kymo__series *series = series_build(f, values, key, text_len, error);
    if (series == NULL)
        return NULL;
    series_publish(f, series, key->hash);
    kymo__table_move(f);
    return series;
}

/* KYMO_ELABEL stands for values that are too long. */
static int values_check(const struct kymo__family *f, const char *const *values, size_t *text_len)
{
    size_t total = 0;
    *text_len = f->names_len;
    for (uint32_t i = 0; i < f->n_labels; i++) {
        size_t n = strlen(values[i]);
        if (n > KYMO__MAX_TEXT || (total += n) > KYMO__MAX_TEXT)
            return KYMO_ELABEL;
        if (!kymo__utf8_valid(values[i], n))
            return KYMO_EUTF8;
        *text_len += kymo__escape_label_size(values[i], n);
    }
    return 0;
}

int kymo__series_first(struct kymo__family *f)
{
    struct kymo__key key;
    size_t text_len = 0;
    if (!kymo__key_read(f, f->first, &key))
        return KYMO_EINVAL;
    int error = values_check(f, f->first, &text_len);
    if (error == 0)
        (void)series_create(f, f->first, &key, text_len, &error);
    return error;
}

static struct kymo__series *find_in_flight(struct kymo__family *f, const char *const *values, struct kymo__key *key)
{
    int64_t *counter = kymo__in_flight_enter(f->reg->segment);
    struct kymo__series *series = kymo__table_find(f, values, key);
    kymo__in_flight_leave(counter);
    return series;
}

struct kymo__series *kymo__series_get(struct kymo__family *f, const char *const *values, size_t n, int *error)
{
    struct kymo_registry *reg = f->reg;
    struct kymo__key key;
    size_t text_len;
    *error = KYMO_EINVAL;
    if (n != f->n_labels || (n != 0 && values == NULL) || !kymo__key_read(f, values, &key))
        return NULL;
    kymo__enter();
    uint32_t seen = kymo__load_acquire(&f->n_ordinals); /* with series_publish() */
    struct kymo__series *series = find_in_flight(f, values, &key);
    if (series != NULL || (*error = values_check(f, values, &text_len)) != 0)
        return series;
    pthread_mutex_lock(&reg->lock);
    if (f->n_ordinals != seen) /* somebody else created one meanwhile: perhaps this one */
        series = kymo__table_find(f, values, &key);
    if (series == NULL)
        series = series_create(f, values, &key, text_len, error);
    pthread_mutex_unlock(&reg->lock);
    return series;
}

/* ---- ending ---- */

static void announce(struct kymo__family *f, struct kymo__series *series, uint64_t loc)
{
    struct kymo_registry *reg = f->reg;
    uint64_t buckets[KYMO__MAX_BOUNDS + 1];
    if (reg->event == NULL)
        return;
    struct kymo_point point = kymo__point_of(f, series);
    struct kymo_event event = {&f->info, &point};
    if (f->class == KYMO__NATIVE)
        kymo__native_read(f, loc, buckets, &point);
    else
        kymo__read_one(f, loc, buckets, &point);
    reg->event(reg->event_ctx, &event);
}

static void words_zero(uint64_t *words, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (kymo__load_relaxed(&words[i]) != 0) /* an untouched page stays untouched */
            kymo__store_relaxed(&words[i], 0);
}

/* Words that nobody can be writing any more are zeroed in every store and may serve another series. */
static void slot_give(struct kymo__family *f, struct kymo__series *left, uint64_t loc)
{
    struct kymo__segment *s = f->reg->segment;
    if (f->exemplar_limit != 0)
        kymo__exemplars_give(s, kymo__ref(s, kymo__exemplars_of(f, left)));
    struct kymo__column *column = kymo__column_at(s, (uint32_t)(loc >> KYMO__WORD_BITS));
    uint32_t word = (uint32_t)(loc & (KYMO__WORDS - 1));
    for (int lane = 0; lane < 2; lane++) {
        for (uint32_t ref = column->first_chunk[lane]; ref != 0;) {
            struct kymo__chunk *chunk = kymo__at(s, ref);
            words_zero((uint64_t *)kymo__at(s, chunk->data) + word, f->n_words);
            ref = chunk->next_in_column;
        }
    }
    if (f->class == KYMO__NATIVE) /* state and table stay: the next epoch takes nothing of theirs for its own */
        words_zero(&kymo__pairs_at(s, loc)[KYMO__P_DROPPED].n, 2);
    else
        words_zero((uint64_t *)(void *)kymo__pairs_at(s, loc), 2 * f->n_words);
    left->text_len = f->n_words & 0xffffff; /* the record stays, as an entry of the list of free slots */
    left->next = s->free_slots[f->class];
    s->free_slots[f->class] = kymo__ref(s, left);
}

/*
 * Long enough for a recorder that was preempted in the middle to come back: what it adds after the last look would be in
 * nobody's count. One that never does, since it jumped out of an update, must not keep us here.
 */
#define QUIET_NS ((int64_t)200 * 1000000)

static int wait_until_quiet(struct kymo__segment *s)
{
    int64_t end = kymo__os_monotonic_ns() + QUIET_NS;
    while (!kymo__grace(s)) {
        if (kymo__os_membarrier() != 0 || kymo__os_monotonic_ns() >= end)
            return 0;
        kymo__os_nap();
    }
    return 1;
}

void kymo__family_end(struct kymo__family *f)
{
    struct kymo__segment *s = f->reg->segment;
    struct kymo__series *series;
    f->dead = 1;
    uint64_t tables[2] = {f->record->table, f->record->old_table};
    kymo__store_relaxed(&f->record->table, 0);
    kymo__store_relaxed(&f->record->old_table, 0);
    for (uint32_t ref = f->record->first_series; ref != 0; ref = series->next) {
        series = kymo__at(s, ref);
        kymo__store_relaxed(&kymo__cell_of(f, series)->loc, KYMO__DEAD);
        kymo__store_relaxed(&series->loc, series->loc | KYMO__DEAD_BIT);
    }
    /* After this no recording can be on its way: the values are the last ones, the words may be given away. */
    int quiet = wait_until_quiet(s);
    for (uint32_t ref = f->record->first_series, next; ref != 0; ref = next) {
        series = kymo__at(s, ref);
        next = series->next;
        uint64_t loc = series->loc & ~KYMO__DEAD_BIT;
        announce(f, series, loc);
        if (quiet)
            slot_give(f, series, loc);
    }
    for (int i = 0; i < 2; i++)
        if (tables[i] != 0)
            kymo__retire_table(f->reg, tables[i]);
    s->n_series -= f->record->n_series;
    f->record->first_series = f->record->last_series = f->record->n_series = 0;
}
