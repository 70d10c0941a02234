/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/top.c - what recorders do for families of the heaviest: weigh, and offer what has become heavy.
 *
 * Read core/top.h first. No lock, no allocation, no clock; signal handlers come here, too.
 */
#include "core/top.h"

#include <string.h>

#include "core/guard.h"
#include "core/table.h"

#define LINE 64u /* candidates and sketch are aligned to it */
#define NAME_BYTES 10u

_Static_assert(sizeof(struct kymo__top_record) % LINE == 0, "the sketch behind it is aligned");

int kymo__top_new(struct kymo__family *f)
{
    struct kymo__segment *s = f->reg->segment;
    size_t bytes = sizeof(struct kymo__top_record) + kymo__top_sketch_bytes(f->guard.max_series) + LINE;
    int error = 0;
    uint32_t memory = kymo__segment_alloc(s, bytes, &error);
    if (memory == 0)
        return error;
    uint32_t ref = (memory + LINE / 8 - 1) / (LINE / 8) * (LINE / 8); /* a segment begins at a page */
    struct kymo__top_record *top = kymo__at(s, ref);
    top->memory = memory;
    top->memory_bytes = bytes;
    kymo__store_relaxed(&top->scale, kymo__bits(1));
    kymo__top_sketch_init(kymo__top_sketch_of(top), f->guard.max_series);
    kymo__store_release(&f->record->top, ref); /* with whoever finds the family */
    return 0;
}

void kymo__top_end(struct kymo__family *f)
{
    if (f->record->top == 0)
        return;
    const struct kymo__top_record *top = kymo__top_of(f);
    uint32_t memory = top->memory;
    size_t bytes = (size_t)top->memory_bytes;
    kymo__store_release(&f->record->top, 0);
    kymo__segment_give(f->reg->segment, memory, bytes);
}

/* ---- offers ---- */

/*
 * A record that exists is offered by its ref, in the place of label values: in one text that nobody's values are, since
 * it is not UTF-8. So its labels may be of any length, and nobody has to unescape them here.
 */
static void name_write(char name[NAME_BYTES], uint32_t ref)
{
    name[0] = (char)0xff;
    for (uint32_t i = 0; i < 8; i++)
        name[1 + i] = (char)('a' + (ref >> 4 * i & 15));
    name[9] = '\0';
}

uint32_t kymo__top_named(const struct kymo__top_candidate *candidate)
{
    const char *name = candidate->values[0];
    uint32_t ref = 0;
    if (candidate->n_labels != 1 || name[0] != (char)0xff || strlen(name) != NAME_BYTES - 1)
        return 0;
    for (uint32_t i = 0; i < 8; i++)
        ref |= (uint32_t)(name[1 + i] - 'a') << 4 * i;
    return ref;
}

static int due(const struct kymo__top_record *top, uint64_t added)
{
    return kymo__top_due(added, kymo__load_relaxed(&top->threshold)); /* relaxed: about now */
}

/* What a recording weighs. */
static uint64_t weigh(struct kymo__top_record *top, double amount)
{
    uint64_t units = kymo__top_units(top, amount);
    if (units == 1 && !kymo__load_relaxed(&top->too_coarse))
        kymo__store_relaxed(&top->too_coarse, 1); /* a mark for upkeep */
    return units;
}

void kymo__top_rest(struct kymo__family *f, const struct kymo__series *series, double amount)
{
    struct kymo__top_record *top = kymo__top_of(f);
    struct kymo__top_sketch *sketch = kymo__top_sketch_of(top);
    uint64_t units = weigh(top, amount);
    uint64_t added = units != 0 ? kymo__top_sketch_add(sketch, series->hash, units) : 0;
    /* Those on the page need no offer: upkeep looks at each of them. */
    if (units == 0 || !due(top, added) || kymo__load_relaxed(&series->loc) != KYMO__RESTING)
        return;
    char name[NAME_BYTES];
    const char *const names[1] = {name};
    name_write(name, kymo__ref(f->reg->segment, series));
    (void)kymo__top_offer(&top->candidates, sketch, series->hash, added, names, 1);
}

void kymo__top_rest_labels(struct kymo__family *f, const char *const *values, double amount)
{
    struct kymo__top_record *top = kymo__top_of(f);
    struct kymo__top_sketch *sketch = kymo__top_sketch_of(top);
    const struct kymo__series *overflow = kymo__at(f->reg->segment, f->record->overflow);
    const char *to[KYMO__MAX_LABELS];
    struct kymo__key key;
    uint64_t units = weigh(top, amount);
    (void)kymo__guard_map(f, values, to);
    /* Who has the hash of the overflow series is it, or one in 2^31 that cannot be told from it. */
    if (units == 0 || !kymo__key_read(f, to, &key) || key.hash == overflow->hash)
        return;
    uint64_t added = kymo__top_sketch_add(sketch, key.hash, units);
    if (due(top, added))
        (void)kymo__top_offer(&top->candidates, sketch, key.hash, added, to, f->n_labels);
}
