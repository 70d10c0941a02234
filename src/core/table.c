/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/table.c - a family's hash table: finding a series by its label values without a lock, and growing step by step.
 *
 * A table's entry is one word, hash << 32 | ref, stored with release when the series is complete. An entry whose series
 * is gone becomes empty if it was the last of its run, else GONE, which a probe passes over and an insertion takes; so a
 * probe that meets an empty entry is done. Small tables are kept nearly empty. A table that has too many entries, or too
 * many GONE ones, is replaced by another beside it: each insertion moves a few entries, readers look in the new one,
 * then in the old one, and once more if either was replaced meanwhile. No call ever moves them all.
 */
#include "core/table.h"

#define FIRST_LOG2 4u
#define MOVES_PER_INSERT 8u
#define GONE ((uint64_t)1) /* no series has the hash 0 */

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
    const struct kymo__family_record *record = f->record;
    uint32_t moves = kymo__load_acquire(&record->table_moves); /* with kymo__table_grow(): before the table */
    uint64_t table = kymo__load_acquire(&record->table);
    if (kymo__unlikely(!kymo__key_read_n(f, values, n, &key)))
        return NULL;
    struct kymo__series *series = table != 0 ? probe(f, table, values, n, &key) : NULL;
    if (kymo__likely(series != NULL))
        return series;
    kymo__fence_acquire(); /* the probe before the second look */
    if (!(moves & 1) && kymo__load_relaxed(&record->table_moves) == moves)
        return NULL;                 /* no entry was on its way elsewhere */
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

static uint64_t *entries_of(const struct kymo__family *f, uint64_t table, uint32_t *mask)
{
    *mask = ((uint32_t)1 << (table & 0xff)) - 1;
    return kymo__at(f->reg->segment, (uint32_t)(table >> 8));
}

/* Where an entry is, or NULL. */
static uint64_t *entry_at(const struct kymo__family *f, uint64_t table, uint64_t wanted)
{
    uint32_t mask;
    if (table == 0)
        return NULL;
    uint64_t *entries = entries_of(f, table, &mask);
    uint32_t i = (uint32_t)(wanted >> 32) >> 1 & mask;
    while (entries[i] != 0 && entries[i] != wanted)
        i = (i + 1) & mask;
    return entries[i] == wanted ? &entries[i] : NULL;
}

/* Into the table that is the newest; what it cost is for the caller to count. Returns what was there: 0 or GONE. */
static uint64_t put(struct kymo__family *f, uint64_t entry)
{
    uint32_t mask;
    uint64_t *entries = entries_of(f, f->record->table, &mask);
    uint32_t i = (uint32_t)(entry >> 32) >> 1 & mask;
    while (entries[i] != 0 && entries[i] != GONE)
        i = (i + 1) & mask;
    uint64_t before = entries[i];
    kymo__store_release(&entries[i], entry); /* with probe() */
    return before;
}

int kymo__table_has(const struct kymo__family *f, uint32_t hash, uint32_t ref)
{
    uint64_t entry = (uint64_t)hash << 32 | ref;
    return entry_at(f, f->record->table, entry) != NULL || entry_at(f, f->record->old_table, entry) != NULL;
}

void kymo__table_put(struct kymo__family *f, uint32_t hash, uint32_t ref)
{
    if (kymo__table_has(f, hash, ref))
        return;
    if (put(f, (uint64_t)hash << 32 | ref) == GONE)
        f->record->n_gone--;
    else
        f->record->n_entries++;
}

/* An entry before an empty one ends its run: it, and those that are gone before it, are not in any probe's way. */
static void empty_back(struct kymo__family *f, uint64_t *entries, uint32_t i, uint32_t mask)
{
    kymo__store_relaxed(&entries[i], 0);
    f->record->n_entries--;
    for (i = (i - 1) & mask; entries[i] == GONE; i = (i - 1) & mask) {
        kymo__store_relaxed(&entries[i], 0);
        f->record->n_entries--;
        f->record->n_gone--;
    }
}

void kymo__table_remove(struct kymo__family *f, uint32_t hash, uint32_t ref)
{
    struct kymo__family_record *record = f->record;
    uint64_t entry = (uint64_t)hash << 32 | ref;
    uint64_t *old = entry_at(f, record->old_table, entry), *new = entry_at(f, record->table, entry);
    uint32_t mask;
    if (old != NULL)
        kymo__store_relaxed(old, GONE);
    if (new == NULL) {
        record->n_entries -= old != NULL; /* it will not be moved */
        return;
    }
    uint64_t *entries = entries_of(f, record->table, &mask);
    uint32_t i = (uint32_t)(new - entries);
    if (entries[(i + 1) & mask] == 0) {
        empty_back(f, entries, i, mask);
    } else {
        kymo__store_relaxed(new, GONE);
        record->n_gone++;
    }
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
        if (entry != 0 && entry != GONE && entry_at(f, record->table, entry) == NULL)
            record->n_gone -= put(f, entry) == GONE ? 1u : 0u;
    }
    if (record->migrated == size) {
        kymo__store_release(&record->old_table, 0); /* with kymo__table_find(): the new table has them all */
        kymo__store_release(&record->table_moves, record->table_moves + 1); /* with find_n() */
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

/* How large the next table is: twice, unless most of the entries are gone. */
static uint32_t next_log2(const struct kymo__family_record *record)
{
    uint32_t log2 = (uint32_t)(record->table & 0xff), live = record->n_entries - record->n_gone + 1;
    if (record->table == 0)
        return FIRST_LOG2;
    while (log2 > FIRST_LOG2 && live <= capacity(log2 - 1) / 4)
        log2--;
    return live <= capacity(log2) / 4 * 3 ? log2 : log2 + 1;
}

/* Replaces the table by an empty one beside it. */
static int replace(struct kymo__family *f)
{
    struct kymo__family_record *record = f->record;
    int error = 0;
    uint64_t table = table_new(f->reg->segment, next_log2(record), &error);
    if (table == 0)
        return error;
    record->migrated = 0;
    record->n_entries -= record->n_gone; /* those of the old table, on their way */
    record->n_gone = 0;
    if (record->table != 0) {
        kymo__store_release(&record->table_moves, record->table_moves + 1); /* odd, before anything moves */
        kymo__store_release(&record->old_table,
                            record->table); /* before the new one: kymo__table_find() misses nothing */
    }
    kymo__store_release(&record->table, table);
    return 0;
}

/* Makes sure that one more entry fits. */
int kymo__table_grow(struct kymo__family *f)
{
    struct kymo__family_record *record = f->record;
    uint32_t log2 = (uint32_t)(record->table & 0xff);
    if (record->table != 0 && record->n_entries + 1 <= capacity(log2))
        return 0;
    while (record->old_table != 0) /* has happened long ago, unless a table of 16 filled up at once */
        kymo__table_move(f);
    int physically = record->table != 0 && record->n_entries + 2 <= (uint32_t)1 << log2; /* one stays empty */
    if (!kymo__can_retire(f->reg) && physically)
        return 0; /* somebody may still be reading so many tables: this one serves a while longer */
    int error = replace(f);
    return error != 0 && physically ? 0 : error;
}

void kymo__table_recover(struct kymo__family *f)
{
    struct kymo__family_record *record = f->record;
    uint64_t tables[2] = {record->table, record->old_table};
    if (record->old_table == record->table)
        record->old_table = tables[1] = 0;
    record->table_moves = (record->table_moves | 1) + (record->old_table == 0 ? 1u : 0u);
    record->n_entries = record->n_gone = 0;
    for (int t = 0; t < 2; t++) {
        uint32_t mask;
        const uint64_t *entries = tables[t] != 0 ? entries_of(f, tables[t], &mask) : NULL;
        for (uint32_t i = 0; entries != NULL && i <= mask; i++) {
            uint32_t gone = entries[i] == GONE ? 1 : 0;
            if (t == 0)
                record->n_gone += gone;
            if (entries[i] != 0 && (t == 0 || (!gone && entry_at(f, tables[0], entries[i]) == NULL)))
                record->n_entries++;
        }
    }
}
