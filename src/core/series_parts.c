/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/series_parts.c - the parts of a series: its cell in this process, its record, its place in the family's list.
 */
#include "core/series_parts.h"

#include <string.h>

#include "base/escape.h"
#include "base/utf8.h"
#include "core/exemplar.h"
#include "core/guard.h"

/* ---- cells ---- */

struct kymo__cell *kymo__cell_at(const struct kymo__family *f, uint32_t ordinal)
{
    struct kymo__cell **blocks = kymo__load_acquire(&f->cells); /* with cell_ensure() */
    return &blocks[ordinal / KYMO__CELLS][ordinal % KYMO__CELLS];
}

struct kymo__cell *kymo__cell_of(const struct kymo__family *f, const struct kymo__series *series)
{
    return kymo__cell_at(f, series->ordinal);
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
        kymo__store_release(&f->cells, larger); /* with kymo__cell_at() */
        f->n_cell_blocks = n;
    }
    if (f->cells[block] == NULL)
        f->cells[block] =
            kymo__kept_alloc(f->reg, &f->kept, (f->n_labels ? KYMO__CELLS : 1) * sizeof(struct kymo__cell));
    return f->cells[block] != NULL ? 0 : KYMO_ENOMEM;
}

/* An ordinal whose cell is there and nobody's, after kymo__ordinal_ensure(). */
uint32_t kymo__ordinal_take(struct kymo__family *f)
{
    uint32_t ordinal = f->free_ordinal != 0 ? f->free_ordinal - 1 : f->n_ordinals;
    if (f->free_ordinal != 0)
        f->free_ordinal = kymo__cell_at(f, ordinal)->series;
    else
        f->n_ordinals++;
    return ordinal;
}

int kymo__ordinal_ensure(struct kymo__family *f)
{
    return f->free_ordinal != 0 ? 0 : cell_ensure(f, f->n_ordinals);
}

void kymo__cell_free(struct kymo__family *f, uint32_t ordinal)
{
    struct kymo__cell *cell = kymo__cell_at(f, ordinal);
    kymo__store_relaxed(&cell->loc, KYMO__NOBODY);
    kymo__store_relaxed(&cell->series, f->free_ordinal);
    f->free_ordinal = ordinal + 1;
}

/* ---- records ---- */

/* With exemplars, the ref of their block lies behind the text. */
static size_t record_bytes(const struct kymo__family *f, size_t text_len)
{
    if (f->exemplar_limit != 0)
        return kymo__exemplars_ref_at(text_len) + 8;
    return sizeof(struct kymo__series) + text_len + KYMO__SERIES_SLACK;
}

void kymo__record_free(struct kymo__family *f, struct kymo__series *series)
{
    struct kymo__segment *s = f->reg->segment;
    kymo__segment_give(s, kymo__ref(s, series), record_bytes(f, series->text_len));
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

/* What a series is called, without a slot; NULL and *error. */
struct kymo__series *kymo__record_build(struct kymo__family *f, const char *const *values, const struct kymo__key *key,
                                        size_t text_len, int *error)
{
    struct kymo__segment *s = f->reg->segment;
    uint32_t ref = kymo__segment_alloc(s, record_bytes(f, text_len), error);
    if (ref == 0)
        return NULL;
    struct kymo__series *series = kymo__at(s, ref);
    put_pairs(f, series->text, values);
    series->text_len = (uint32_t)text_len & 0xffffff; /* KYMO__MAX_TEXT bounds it */
    series->flags = text_len != key->text_len ? KYMO__SERIES_ESCAPED : 0;
    series->hash = key->hash;
    series->generation = s->n_ended;
    return series;
}

/* Slot and exemplars for a record that has none; KYMO__DEAD and *error. */
uint64_t kymo__series_furnish(struct kymo__family *f, struct kymo__series *series, int64_t now, int *error)
{
    uint32_t block = f->exemplar_limit != 0 ? kymo__exemplars_new(f, error) : 0;
    if (block == 0 && f->exemplar_limit != 0)
        return KYMO__DEAD;
    uint64_t loc = kymo__slot_take(f, now, error);
    if (loc == KYMO__DEAD && block != 0)
        kymo__exemplars_give(f->reg->segment, block);
    if (loc != KYMO__DEAD && block != 0)
        kymo__exemplars_attach(series, block);
    return loc;
}

struct kymo__series *kymo__series_build(struct kymo__family *f, const char *const *values, const struct kymo__key *key,
                                        size_t text_len, int *error)
{
    int64_t now = f->reg->clock.wall_ns(f->reg->clock.ctx);
    struct kymo__series *series = kymo__record_build(f, values, key, text_len, error);
    if (series == NULL)
        return NULL;
    uint64_t loc = kymo__series_furnish(f, series, now, error);
    if (loc == KYMO__DEAD) {
        kymo__record_free(f, series);
        return NULL;
    }
    series->loc = loc;
    series->start_ns = now;
    return series;
}

/* ---- list ---- */

int kymo__series_listed(const struct kymo__family *f, const struct kymo__series *series)
{
    uint32_t ref = kymo__ref(f->reg->segment, series);
    return series->prev != 0 ? kymo__series_at(f, series->prev)->next == ref : f->record->first_series == ref;
}

void kymo__series_link(struct kymo__family *f, struct kymo__series *series)
{
    struct kymo__family_record *record = f->record;
    uint32_t ref = kymo__ref(f->reg->segment, series);
    uint32_t last = record->last_series != 0 ? record->last_series : record->first_series;
    while (last != 0 && kymo__series_at(f, last)->next != 0) /* a creator that died may have left the hint behind */
        last = kymo__series_at(f, last)->next;
    series->next = 0;
    series->prev = last;
    kymo__store_release(last != 0 ? &kymo__series_at(f, last)->next : &record->first_series, ref);
    record->last_series = ref;
}

/* Walks that would have come to it next, or at last, come to its neighbours instead. */
static void walks_pass(struct kymo__family *f, const struct kymo__series *series)
{
    uint32_t ref = kymo__ref(f->reg->segment, series);
    for (struct kymo__walk *w = f->reg->walks; w != NULL; w = w->next) {
        if (w->family != f)
            continue;
        if (w->series == ref)
            w->series = w->series_last == ref ? 0 : series->next;
        if (w->series_last == ref)
            w->series_last = series->prev;
    }
}

void kymo__series_unlink(struct kymo__family *f, struct kymo__series *series)
{
    struct kymo__family_record *record = f->record;
    uint32_t next = series->next, prev = series->prev;
    walks_pass(f, series);
    kymo__store_release(prev != 0 ? &kymo__series_at(f, prev)->next : &record->first_series, next);
    if (next != 0)
        kymo__series_at(f, next)->prev = prev;
    if (record->last_series == kymo__ref(f->reg->segment, series))
        record->last_series = prev;
    series->next = series->prev = 0;
}

void kymo__series_count(struct kymo__family *f, int by)
{
    struct kymo__segment *s = f->reg->segment;
    uint32_t *all = f->guarded ? &s->n_guarded : &s->n_others;
    kymo__store_relaxed(&f->record->n_series, f->record->n_series + (uint32_t)by); /* counts, read on their own */
    kymo__store_relaxed(all, *all + (uint32_t)by);
}

/* KYMO_ELABEL stands for values that are too long. */
int kymo__values_check(const struct kymo__family *f, const char *const *values, size_t *text_len)
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
