/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/grave.c - cells whose handles outlive a series of a family that sends them to its overflow series.
 *
 * They lead there since the series was parted with (part() in life.c), the slow way.
 * Nothing of the series is kept but a print of 62 bits, in the place of the cell's loc, made of its label text with the
 * registry's secret seed: if the same labels are asked for again, their new series gets the cell, and what is recorded
 * through the old handles reaches it. Two different texts have the same print with a chance of 2^-62. Under the
 * registry's lock.
 *
 * Prints are found by an open-addressed table of ordinals, at most half full; entries move back when one before them goes.
 */
#include <string.h>

#include "core/guard.h"
#include "core/key.h"

#define FIRST_LOG2 4u

static uint64_t print_of(const struct kymo__family *f, const struct kymo__series *series)
{
    uint64_t h = f->reg->seed ^ 0x6b796d6f67726176u;
    for (uint32_t at = 0; at < series->text_len; at += 8) { /* zeros behind the text: KYMO__SERIES_SLACK */
        uint64_t word;
        uint32_t left = series->text_len - at;
        memcpy(&word, series->text + at, 8);
        h = kymo__mix(h, left >= 8 ? word : word & (((uint64_t)1 << left * 8) - 1)) + f->reg->seed;
    }
    return KYMO__DEAD_BIT | kymo__mix(h, series->text_len) >> 2;
}

/* Replaced by one store, so that a child forked in between finds one of them. */
struct kymo__graves {
    uint32_t log2;
    uint32_t of[]; /* 1 << log2 of them: ordinals + 1, or 0 */
};

static size_t graves_bytes(uint32_t log2)
{
    return sizeof(struct kymo__graves) + (sizeof(uint32_t) << log2);
}

static uint32_t home_of(const struct kymo__graves *graves, uint64_t print)
{
    return (uint32_t)(print >> 32) & (((uint32_t)1 << graves->log2) - 1);
}

/* The place of a print, or the empty one where it would be. */
static uint32_t place_of(const struct kymo__family *f, const struct kymo__graves *graves, uint64_t print)
{
    uint32_t mask = ((uint32_t)1 << graves->log2) - 1, i = home_of(graves, print);
    while (graves->of[i] != 0 && kymo__cell_at(f, graves->of[i] - 1)->loc != print)
        i = (i + 1) & mask;
    return i;
}

static int grow(struct kymo__family *f)
{
    struct kymo__graves *old = f->graves, *larger;
    uint32_t n = old != NULL ? (uint32_t)1 << old->log2 : 0, log2 = old != NULL ? old->log2 + 1 : FIRST_LOG2;
    if (old != NULL && 2 * (f->n_graves + 1) <= n)
        return 0;
    larger = kymo__heap_alloc(f->reg, graves_bytes(log2));
    if (larger == NULL)
        return KYMO_ENOMEM;
    larger->log2 = log2;
    for (uint32_t i = 0; i < n; i++)
        if (old->of[i] != 0)
            larger->of[place_of(f, larger, kymo__cell_at(f, old->of[i] - 1)->loc)] = old->of[i];
    kymo__store_release(&f->graves, larger);
    if (old != NULL)
        kymo__heap_free(f->reg, old, graves_bytes(old->log2));
    return 0;
}

void kymo__grave_dig(struct kymo__family *f, const struct kymo__series *series)
{
    struct kymo__cell *cell = kymo__cell_of(f, series);
    uint64_t print = print_of(f, series);
    f->reg->n_pinned += !kymo__loc_is_print(cell->loc); /* it may be done again: kymo__life_recover() */
    kymo__store_release(&cell->loc, print);             /* no place: the slow way, which counts what is dropped */
    if (grow(f) != 0)                                   /* its labels will get another cell */
        return;
    uint32_t place = place_of(f, f->graves, print);
    if (f->graves->of[place] == 0) {
        kymo__store_release(&f->n_graves, f->n_graves + 1); /* first: one too many does no harm */
        kymo__store_release(&f->graves->of[place], series->ordinal + 1);
    }
}

/* Takes an entry out; what follows it in its run moves up. */
static void fill_up(struct kymo__family *f, uint32_t hole)
{
    struct kymo__graves *graves = f->graves;
    uint32_t mask = ((uint32_t)1 << graves->log2) - 1;
    graves->of[hole] = 0;
    for (uint32_t i = (hole + 1) & mask; graves->of[i] != 0; i = (i + 1) & mask) {
        uint32_t home = home_of(graves, kymo__cell_at(f, graves->of[i] - 1)->loc);
        if (((i - home) & mask) < ((i - hole) & mask))
            continue; /* it would stand before its home */
        graves->of[hole] = graves->of[i];
        graves->of[i] = 0;
        hole = i;
    }
    f->n_graves--;
}

/* Where a cell's print stands, or UINT32_MAX: there was no memory for it. */
static uint32_t place_of_cell(const struct kymo__family *f, const struct kymo__cell *cell)
{
    if (f->graves == NULL)
        return UINT32_MAX;
    uint32_t place = place_of(f, f->graves, cell->loc), ordinal = f->graves->of[place];
    return ordinal != 0 && kymo__cell_at(f, ordinal - 1) == cell ? place : UINT32_MAX;
}

uint32_t kymo__grave_take(struct kymo__family *f, const struct kymo__series *series)
{
    if (f->n_graves == 0 || f->graves == NULL)
        return 0;
    uint32_t place = place_of(f, f->graves, print_of(f, series)), buried = f->graves->of[place];
    if (buried != 0) {
        fill_up(f, place);
        f->reg->n_pinned--;
    }
    return buried;
}

/* Of a cell of this family, the long way. */
static uint32_t ordinal_of(const struct kymo__family *f, const struct kymo__cell *cell)
{
    uint32_t ordinal = 0;
    while (kymo__cell_at(f, ordinal) != cell)
        ordinal++;
    return ordinal;
}

void kymo__grave_close(struct kymo__family *f, struct kymo__cell *cell)
{
    uint32_t place = place_of_cell(f, cell);
    uint32_t ordinal = place != UINT32_MAX ? f->graves->of[place] - 1 : ordinal_of(f, cell);
    if (place != UINT32_MAX)
        fill_up(f, place);
    f->reg->n_pinned--;
    kymo__cell_free(f, ordinal);
}

void kymo__graves_free(struct kymo__family *f)
{
    if (f->graves != NULL)
        kymo__heap_free(f->reg, f->graves, graves_bytes(f->graves->log2));
    f->graves = NULL;
}
