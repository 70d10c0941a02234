/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/slot.c - slots: taken for a series, given back when it has ended.
 *
 * A free slot's words are zero in every store but for its first pair in the shared one (in a native histogram the one of
 * dropped counts), which names the next free slot of as many words. Under the registry's lock.
 */
#include "core/guard.h"
#include "core/native.h"

/* The pair that links free slots: n is the next one's loc + 1, sum how many words this one has. */
static struct kymo__pair *link_of(const struct kymo__family *f, uint64_t loc)
{
    return kymo__pairs_at(f->reg->segment, loc) + (f->class == KYMO__NATIVE ? (uint32_t)KYMO__P_DROPPED : 0);
}

/* Whether a slot that was left has what a series of the family needs: a native one has its table as well. */
static int fits(const struct kymo__family *f, uint64_t loc)
{
    if (kymo__load_relaxed(&link_of(f, loc)->sum) != f->n_words)
        return 0;
    const struct kymo__pair *head = kymo__pairs_at(f->reg->segment, loc);
    return f->class != KYMO__NATIVE || head[KYMO__P_TABLE].sum == f->table_entries;
}

static uint64_t *list_of(const struct kymo__family *f)
{
    return &f->reg->segment->free_slots[f->class][f->n_words % KYMO__SLOT_LISTS];
}

/* One that a series of the same shape left behind, or KYMO__DEAD. */
static uint64_t reuse(struct kymo__family *f)
{
    for (uint64_t *link = list_of(f); *link != 0;) {
        uint64_t loc = *link - 1;
        struct kymo__pair *left = link_of(f, loc);
        if (fits(f, loc)) {
            kymo__store_relaxed(link, left->n); /* one store: who dies here loses it, no more */
            kymo__store_relaxed(&left->n, 0);
            kymo__store_relaxed(&left->sum, 0);
            return loc;
        }
        link = &left->n;
    }
    return KYMO__DEAD;
}

uint64_t kymo__slot_take(struct kymo__family *f, int64_t start_ns, int *error)
{
    struct kymo_registry *reg = f->reg;
    uint64_t loc = reuse(f);
    if (loc == KYMO__DEAD)
        loc = kymo__slot_new(reg->segment, f->class, f->n_words, error);
    if (loc == KYMO__DEAD)
        return KYMO__DEAD;
    *error = kymo__columns_publish(reg);
    if (*error == 0 && f->class == KYMO__NATIVE)
        *error = kymo__native_begin(f, loc, start_ns);
    if (*error != 0) {
        kymo__slot_undo(reg->segment, loc, f->n_words);
        return KYMO__DEAD;
    }
    return loc;
}

static void words_zero(uint64_t *words, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (kymo__load_relaxed(&words[i]) != 0) /* an untouched page stays untouched */
            kymo__store_relaxed(&words[i], 0);
}

void kymo__slot_give(struct kymo__family *f, uint64_t loc)
{
    struct kymo__segment *s = f->reg->segment;
    struct kymo__column *column = kymo__column_at(s, (uint32_t)(loc >> KYMO__WORD_BITS));
    uint32_t word = (uint32_t)(loc & (KYMO__WORDS - 1));
    for (int lane = 0; lane < 2; lane++) {
        for (uint32_t ref = column->first_chunk[lane]; ref != 0;) {
            struct kymo__chunk *chunk = kymo__at(s, ref);
            words_zero((uint64_t *)kymo__at(s, chunk->data) + word, f->n_words);
            ref = chunk->next_in_column;
        }
    }
    if (f->class != KYMO__NATIVE) /* state and table stay: the next epoch takes nothing of theirs for its own */
        words_zero((uint64_t *)(void *)kymo__pairs_at(s, loc), 2 * f->n_words);
    uint64_t *list = list_of(f);
    struct kymo__pair *link = link_of(f, loc);
    kymo__store_relaxed(&link->sum, f->n_words);
    kymo__store_relaxed(&link->n, *list);
    kymo__store_relaxed(list, loc + 1);
}

uint64_t kymo__loc_of_process(const struct kymo_registry *reg, uint64_t loc)
{
    uint64_t column = reg->columns[loc >> KYMO__WORD_BITS];
    return column << KYMO__WORD_BITS | (loc & (KYMO__WORDS - 1));
}
