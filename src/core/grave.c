/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/grave.c - cells whose handles outlive a series of a family that sends them to its overflow series.
 *
 * They lead there since the series was parted with (part() in life.c), the slow way.
 * Nothing of the series is kept but a print of 64 bits, made of its label text with the registry's secret seed: if the
 * same labels are asked for again, their new series gets the cell, and what is recorded through the old handles reaches
 * it. Two different texts have the same print with a chance of 2^-64. Under the registry's lock.
 *
 * f->graves is an open-addressed table of ordinals + 1, at most half full; entries move back when one before them goes.
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
    return kymo__mix(h, series->text_len) | 1;
}

static uint32_t home_of(const struct kymo__family *f, uint64_t print)
{
    return (uint32_t)(print >> 32) & (((uint32_t)1 << f->graves_log2) - 1);
}

/* The place of a print, or the empty one where it would be. */
static uint32_t place_of(const struct kymo__family *f, uint64_t print)
{
    uint32_t mask = ((uint32_t)1 << f->graves_log2) - 1, i = home_of(f, print);
    while (f->graves[i] != 0 && kymo__cell_at(f, f->graves[i] - 1)->print != print)
        i = (i + 1) & mask;
    return i;
}

static int grow(struct kymo__family *f)
{
    uint32_t log2 = f->graves != NULL ? f->graves_log2 + 1 : FIRST_LOG2, *old = f->graves;
    uint32_t n = old != NULL ? (uint32_t)1 << f->graves_log2 : 0;
    if (old != NULL && 2 * (f->n_graves + 1) <= n)
        return 0;
    uint32_t *graves = kymo__heap_alloc(f->reg, sizeof(*graves) << log2);
    if (graves == NULL)
        return KYMO_ENOMEM;
    f->graves = graves;
    f->graves_log2 = log2;
    for (uint32_t i = 0; i < n; i++)
        if (old[i] != 0)
            graves[place_of(f, kymo__cell_at(f, old[i] - 1)->print)] = old[i];
    kymo__heap_free(f->reg, old, n * sizeof(*old));
    return 0;
}

void kymo__grave_dig(struct kymo__family *f, const struct kymo__series *series)
{
    struct kymo__cell *cell = kymo__cell_of(f, series);
    uint64_t print = print_of(f, series);
    f->reg->n_pinned += cell->print == 0;     /* it may be done again: kymo__life_recover() */
    kymo__store_release(&cell->print, print); /* its loc stays KYMO__DEAD: the slow way, which counts what is dropped */
    if (grow(f) == 0 && f->graves[place_of(f, print)] == 0) { /* else its labels will get another cell */
        f->graves[place_of(f, print)] = series->ordinal + 1;
        f->n_graves++;
    }
}

/* Takes an entry out; what follows it in its run moves up. */
static void fill_up(struct kymo__family *f, uint32_t hole)
{
    uint32_t mask = ((uint32_t)1 << f->graves_log2) - 1;
    f->graves[hole] = 0;
    for (uint32_t i = (hole + 1) & mask; f->graves[i] != 0; i = (i + 1) & mask) {
        uint32_t home = home_of(f, kymo__cell_at(f, f->graves[i] - 1)->print);
        if (((i - home) & mask) < ((i - hole) & mask))
            continue; /* it would stand before its home */
        f->graves[hole] = f->graves[i];
        f->graves[i] = 0;
        hole = i;
    }
    f->n_graves--;
}

/* Where a cell's print stands, or UINT32_MAX: there was no memory for it. */
static uint32_t place_of_cell(const struct kymo__family *f, const struct kymo__cell *cell)
{
    uint32_t place = f->graves != NULL ? place_of(f, cell->print) : 0;
    int there = f->graves != NULL && f->graves[place] != 0 && kymo__cell_at(f, f->graves[place] - 1) == cell;
    return there ? place : UINT32_MAX;
}

uint32_t kymo__grave_take(struct kymo__family *f, const struct kymo__series *series)
{
    if (f->n_graves == 0)
        return 0;
    uint32_t place = place_of(f, print_of(f, series)), buried = f->graves[place];
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
    uint32_t ordinal = place != UINT32_MAX ? f->graves[place] - 1 : ordinal_of(f, cell);
    if (place != UINT32_MAX)
        fill_up(f, place);
    f->reg->n_pinned--;
    kymo__cell_free(f, ordinal);
}

void kymo__graves_free(struct kymo__family *f)
{
    if (f->graves != NULL)
        kymo__heap_free(f->reg, f->graves, sizeof(*f->graves) << f->graves_log2);
    f->graves = NULL;
}
