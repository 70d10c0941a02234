/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/table.c - a family's hash table: finding a series by its label values without a lock, and growing step by step.
 *
 * A table's entry is one word, hash << 32 | ref, stored with release when the series is complete; entries are never
 * taken out of a table that can be reached, so a probe that meets an empty entry is done. Small tables are kept nearly
 * empty. A table grows by a larger one beside it: each insertion moves a few entries, readers look in the new one, then
 * in the old one, and once more if either was replaced meanwhile. No call ever moves them all.
 */
#include "core/table.h"

#define FIRST_LOG2 4u
#define MOVES_PER_INSERT 8u

int kymo__key_read(const struct kymo__family *f, const char *const *values, struct kymo__key *key)
{
    return kymo__key_read_n(f, values, f->n_labels, key);
}

static inline __attribute__((always_inline)) struct kymo__series *
probe(const struct kymo__family *f, uint64_t table, const char *const *values, uint32_t n, const struct kymo__key *key)
{
    struct kymo__segment *s = f->reg->segment;
    const uint64_t *entries = kymo__at(s, (uint32_t)(table >> 8));
    uint32_t mask = ((uint32_t)1 << (table & 0xff)) - 1;
    for (uint32_t i = key->hash >> 1 & mask;; i = (i + 1) & mask) {
        uint64_t entry = kymo__load_acquire(&entries[i]); /* with kymo__table_put(): the series is complete */
        if (kymo__likely((uint32_t)(entry >> 32) == key->hash)) {
            struct kymo__series *series = kymo__at(s, (uint32_t)entry);
            if (kymo__likely(kymo__same_labels(f, series, values, n, key)))
                return series;
        } else if (entry == 0) {
            return NULL;
        }
    }
}

/* The whole truth, when the first look found nothing. */
__attribute__((noinline)) struct kymo__series *kymo__table_find(const struct kymo__family *f, const char *const *values,
                                                                const struct kymo__key *key)
{
    struct kymo__family_record *record = f->record;
    for (;;) {
        uint64_t table = kymo__load_acquire(&record->table); /* with kymo__table_grow() */
        if (table == 0)
            return NULL;
        struct kymo__series *series = probe(f, table, values, f->n_labels, key);
        if (series != NULL)
            return series;
        uint64_t old = kymo__load_acquire(&record->old_table); /* with kymo__table_move() */
        if (old != 0)
            series = probe(f, old, values, f->n_labels, key);
        if (series != NULL)
            return series;
        /* Replaced while we looked: what moved in between may have been in neither place. */
        if (kymo__load_acquire(&record->table) == table && kymo__load_relaxed(&record->old_table) == old &&
            (old != 0 || probe(f, table, values, f->n_labels, key) == NULL))
            return NULL;
    }
}

/* With n known to the compiler, lengths and tails stay in registers. */
static inline __attribute__((always_inline)) struct kymo__series *find_n(const struct kymo__family *f,
                                                                         const char *const *values, uint32_t n)
{
    struct kymo__key key;
    uint64_t table = kymo__load_acquire(&f->record->table); /* with kymo__table_grow() */
    if (kymo__unlikely(!kymo__key_read_n(f, values, n, &key)))
        return NULL;
    struct kymo__series *series = table != 0 ? probe(f, table, values, n, &key) : NULL;
    if (kymo__likely(series != NULL))
        return series;
    kymo__key_read(f, values, &key); /* again, and rarely: so that key above need not be in memory */
    return kymo__table_find(f, values, &key);
}

struct kymo__series *kymo__series_find(const struct kymo__family *f, const char *const *values)
{
    switch (f->n_labels) {
    case 1:
        return find_n(f, values, 1);
    case 2:
        return find_n(f, values, 2);
    case 3:
        return find_n(f, values, 3);
    default:
        return find_n(f, values, f->n_labels);
    }
}

void kymo__table_put(struct kymo__segment *s, uint64_t table, uint32_t hash, uint32_t ref)
{
    uint64_t *entries = kymo__at(s, (uint32_t)(table >> 8));
    uint32_t mask = ((uint32_t)1 << (table & 0xff)) - 1;
    uint32_t i = hash >> 1 & mask;
    while (kymo__load_relaxed(&entries[i]) != 0)
        i = (i + 1) & mask;
    kymo__store_release(&entries[i], (uint64_t)hash << 32 | ref); /* with probe() */
}

int kymo__table_has(const struct kymo__segment *s, uint64_t table, uint32_t hash, uint32_t ref)
{
    const uint64_t *entries = kymo__at(s, (uint32_t)(table >> 8));
    uint32_t mask = ((uint32_t)1 << (table & 0xff)) - 1;
    uint64_t wanted = (uint64_t)hash << 32 | ref;
    uint32_t i = hash >> 1 & mask;
    while (entries[i] != 0 && entries[i] != wanted)
        i = (i + 1) & mask;
    return entries[i] == wanted;
}

static uint64_t table_new(struct kymo__segment *s, uint32_t log2, int *error)
{
    uint32_t ref = s->free_tables[log2];
    if (ref != 0) {
        uint64_t *first = kymo__at(s, ref);
        s->free_tables[log2] = (uint32_t)*first;
        *first = 0;
    } else {
        ref = kymo__segment_alloc(s, (size_t)8 << log2, error);
    }
    return ref == 0 ? 0 : (uint64_t)ref << 8 | log2;
}

/* Moves a few entries from the old table to the new one; the last of them retires the old one. */
void kymo__table_move(struct kymo__family *f)
{
    struct kymo__family_record *record = f->record;
    uint64_t old = record->old_table;
    if (old == 0)
        return;
    const uint64_t *entries = kymo__at(f->reg->segment, (uint32_t)(old >> 8));
    uint32_t size = (uint32_t)1 << (old & 0xff);
    for (uint32_t i = 0; i < MOVES_PER_INSERT && record->migrated < size; i++, record->migrated++) {
        uint64_t entry = kymo__load_relaxed(&entries[record->migrated]);
        if (entry != 0)
            kymo__table_put(f->reg->segment, record->table, (uint32_t)(entry >> 32), (uint32_t)entry);
    }
    if (record->migrated == size) {
        kymo__store_release(&record->old_table, 0); /* with kymo__table_find(): the new table has them all */
        kymo__retire_table(f->reg, old);
    }
}

/*
 * How many entries a table takes. Few where it is small: a second probe is a branch that nobody can predict, and it is
 * resolved only after the hash is known.
 */
static uint32_t capacity(uint32_t log2)
{
    uint32_t size = (uint32_t)1 << log2;
    return log2 <= 9 ? size / 8 : log2 <= 12 ? size / 4 : size / 8 * 7;
}

/* Makes sure that one more entry fits. */
int kymo__table_grow(struct kymo__family *f)
{
    struct kymo__family_record *record = f->record;
    uint32_t log2 = (uint32_t)(record->table & 0xff);
    int error = 0;
    if (record->table != 0 && record->n_series + 1 <= capacity(log2))
        return 0;
    while (record->old_table != 0) /* has happened long ago, unless a table of 16 filled up at once */
        kymo__table_move(f);
    uint64_t table = table_new(f->reg->segment, record->table == 0 ? FIRST_LOG2 : log2 + 1, &error);
    if (table == 0)
        return error;
    record->migrated = 0;
    kymo__store_release(&record->old_table,
                        record->table); /* before the new one, so that kymo__table_find() misses nothing */
    kymo__store_release(&record->table, table);
    return 0;
}

void kymo__table_recover(struct kymo__family_record *record)
{
    if (record->old_table == record->table)
        record->old_table = 0;
}
