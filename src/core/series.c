/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/series.c - the series of a family: finding one by its label values, creating, ending.
 *
 * Finding takes no lock. A table's entry is one word, hash << 32 | ref, stored with release when the series is
 * complete; entries are never taken out of a table that can be reached, so a probe that meets an empty entry is done.
 * A table grows by a larger one beside it: each insertion moves a few entries, readers look in the new one, then in
 * the old one, and once more if either was replaced meanwhile. No call ever moves them all.
 */
#include "core/series.h"

#include <string.h>

#include "base/escape.h"
#include "base/utf8.h"
#include "core/record.h"

#define FIRST_LOG2 4u
#define MOVES_PER_INSERT 8u

/* ---- keys ---- */

static inline uint64_t mix(uint64_t h, uint64_t w)
{
#ifdef __SIZEOF_INT128__
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)(h ^ w) * 0x9e3779b97f4a7c15u;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
#else
    h = (h ^ w) * 0x9e3779b97f4a7c15u;
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93u;
    return h ^ h >> 32;
#endif
}

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && !defined(__SANITIZE_ADDRESS__)
#define READ_WORDS 1
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#undef READ_WORDS
#define READ_WORDS 0
#endif
#endif
#else
#define READ_WORDS 0
#endif

#if READ_WORDS
typedef uint64_t __attribute__((may_alias)) word_of_text;

#define LOW_BITS 0x0101010101010101u
#define HIGH_BITS 0x8080808080808080u

/* Non-zero iff a byte of w is zero; the lowest set bit marks the first. */
static inline uint64_t zero_byte(uint64_t w)
{
    return (w - LOW_BITS) & ~w & HIGH_BITS;
}

/*
 * Reads a string by aligned words: they cannot cross into a page, or a memory tag, that the string does not touch.
 * The bytes after its end that come along are masked off before they mean anything. A last part of fewer than eight
 * bytes has a zero on top, a whole word has none: values that follow each other cannot be taken for others.
 */
static inline __attribute__((always_inline)) uint64_t scan(const char *value, uint64_t h, uint32_t *len, uint64_t *tail)
{
    const word_of_text *at = (const word_of_text *)(const void *)((uintptr_t)value & ~(uintptr_t)7);
    uint32_t skip = (uint32_t)((uintptr_t)value & 7) * 8;
    uint64_t held = *at >> skip;           /* 64 - skip bits of the string, then zeros... */
    uint64_t fill = ~(UINT64_MAX >> skip); /* ...that are no end of it */
    uint64_t zero = zero_byte(held | fill);
    uint32_t n = 0;
    while (kymo__unlikely(zero == 0)) {
        uint64_t next = *++at;
        uint64_t word = held | next << 1 << (63 - skip);
        zero = zero_byte(word);
        if (zero != 0) {
            held = word;
            break;
        }
        h = mix(h, word);
        n += 8;
        held = skip != 0 ? next >> skip : next;
        zero = zero_byte(held | fill);
    }
    uint64_t below = ((zero & (0 - zero)) >> 7) - 1; /* all bits below the zero byte */
    *tail = held & below;
    *len = n + (uint32_t)__builtin_ctzll(zero) / 8;
    return mix(h, *tail);
}
#else
static inline uint64_t load_bytes(const char *at, size_t n)
{
    uint64_t w = 0;
    for (size_t i = 0; i < n; i++)
        w |= (uint64_t)(unsigned char)at[i] << (8 * i);
    return w;
}

static inline uint64_t scan(const char *value, uint64_t h, uint32_t *len, uint64_t *tail)
{
    size_t n = strlen(value), at = 0;
    for (; n - at >= 8; at += 8)
        h = mix(h, load_bytes(value + at, 8));
    *tail = load_bytes(value + at, n - at);
    *len = n < UINT32_MAX / 64 ? (uint32_t)n : UINT32_MAX / 64; /* too long in any case, and sums cannot wrap */
    return mix(h, *tail);
}
#endif

static inline __attribute__((always_inline)) int key_add(const char *value, uint64_t *h, uint32_t i,
                                                         struct kymo__key *key)
{
    if (kymo__unlikely(value == NULL))
        return 0;
    *h = scan(value, *h, &key->len[i], &key->tail[i]);
    key->text_len += key->len[i];
    return 1;
}

/*
 * Reads the first n values once; 0 if one is NULL. The first three are written out: with n known to the compiler
 * nothing of the key is in memory.
 */
static inline __attribute__((always_inline)) int key_read_n(const struct kymo__family *f, const char *const *values,
                                                            uint32_t n, struct kymo__key *key)
{
    uint64_t h = f->reg->seed;
    key->text_len = f->names_len;
    if ((n > 0 && !key_add(values[0], &h, 0, key)) || (n > 1 && !key_add(values[1], &h, 1, key)) ||
        (n > 2 && !key_add(values[2], &h, 2, key)))
        return 0;
    for (uint32_t i = 3; i < n; i++)
        if (!key_add(values[i], &h, i, key))
            return 0;
    key->hash = (uint32_t)(h ^ h >> 32) | 1; /* never 0: an entry is never empty */
    return 1;
}

static int key_read(const struct kymo__family *f, const char *const *values, struct kymo__key *key)
{
    return key_read_n(f, values, f->n_labels, key);
}

/* ---- comparing ---- */

static inline uint64_t load_word(const char *at)
{
    uint64_t w;
    memcpy(&w, at, 8);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap64(w);
#endif
    return w;
}

/* Whether a value and its closing quote stand at text. KYMO__SERIES_SLACK: there always is something to read. */
static inline __attribute__((always_inline)) int same_value(const char *text, const char *value, uint32_t len,
                                                            uint64_t tail)
{
    for (; kymo__unlikely(len >= 8); len -= 8, text += 8, value += 8)
        if (load_word(text) != load_word(value))
            return 0;
    uint32_t bits = len * 8;
    uint64_t quoted = tail | (uint64_t)'"' << bits;
    return ((load_word(text) ^ quoted) << (56 - bits)) == 0; /* len + 1 bytes are the same */
}

/* Whether text begins with the value as it would be escaped; its end, or NULL. */
static const char *same_escaped_value(const char *text, const char *value)
{
    for (; *value != '\0'; value++) {
        if (*value == '\\' || *value == '"' || *value == '\n') {
            if (*text++ != '\\')
                return NULL;
            if (*text++ != (*value == '\n' ? 'n' : *value))
                return NULL;
        } else if (*text++ != *value) {
            return NULL;
        }
    }
    return *text == '"' ? text : NULL;
}

static int same_escaped(const struct kymo__family *f, const struct kymo__series *series, const char *const *values)
{
    const char *text = series->text; /* ends in a quote, then zeros: no value can run past it */
    for (uint32_t i = 0; i < f->n_labels; i++) {
        text = same_escaped_value(text + f->label_len[i] + 2, values[i]);
        if (text == NULL)
            return 0;
        text += 2;
    }
    return 1;
}

/* One value at its place; where the next one stands, or NULL. */
static inline __attribute__((always_inline)) const char *
same_at(const struct kymo__family *f, const char *text, const char *value, uint32_t i, const struct kymo__key *key)
{
    text += f->label_len[i] + 2; /* name=" */
    if (kymo__unlikely(!same_value(text, value, key->len[i], key->tail[i])))
        return NULL;
    return text + key->len[i] + 2; /* ", */
}

static inline __attribute__((always_inline)) int same_labels(const struct kymo__family *f,
                                                             const struct kymo__series *series,
                                                             const char *const *values, uint32_t n,
                                                             const struct kymo__key *key)
{
    const char *at = series->text;
    if (kymo__unlikely(series->flags & KYMO__SERIES_ESCAPED))
        return same_escaped(f, series, values);
    if (series->text_len != key->text_len)
        return 0;
    if ((n > 0 && (at = same_at(f, at, values[0], 0, key)) == NULL) ||
        (n > 1 && (at = same_at(f, at, values[1], 1, key)) == NULL) ||
        (n > 2 && (at = same_at(f, at, values[2], 2, key)) == NULL))
        return 0;
    for (uint32_t i = 3; i < n; i++)
        if ((at = same_at(f, at, values[i], i, key)) == NULL)
            return 0;
    return 1;
}

/* ---- tables ---- */

static inline __attribute__((always_inline)) struct kymo__series *
probe(const struct kymo__family *f, uint64_t table, const char *const *values, uint32_t n, const struct kymo__key *key)
{
    struct kymo__segment *s = f->reg->segment;
    const uint64_t *entries = kymo__at(s, (uint32_t)(table >> 8));
    uint32_t mask = ((uint32_t)1 << (table & 0xff)) - 1;
    for (uint32_t i = key->hash >> 1 & mask;; i = (i + 1) & mask) {
        uint64_t entry = kymo__load_acquire(&entries[i]); /* with table_put(): the series is complete */
        if (kymo__likely((uint32_t)(entry >> 32) == key->hash)) {
            struct kymo__series *series = kymo__at(s, (uint32_t)entry);
            if (kymo__likely(same_labels(f, series, values, n, key)))
                return series;
        } else if (entry == 0) {
            return NULL;
        }
    }
}

/* The whole truth, when the first look found nothing. */
static __attribute__((noinline)) struct kymo__series *find(const struct kymo__family *f, const char *const *values,
                                                           const struct kymo__key *key)
{
    struct kymo__family_record *record = f->record;
    for (;;) {
        uint64_t table = kymo__load_acquire(&record->table); /* with table_grow() */
        if (table == 0)
            return NULL;
        struct kymo__series *series = probe(f, table, values, f->n_labels, key);
        if (series != NULL)
            return series;
        uint64_t old = kymo__load_acquire(&record->old_table); /* with table_move() */
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
    uint64_t table = kymo__load_acquire(&f->record->table); /* with table_grow() */
    if (kymo__unlikely(!key_read_n(f, values, n, &key)))
        return NULL;
    struct kymo__series *series = table != 0 ? probe(f, table, values, n, &key) : NULL;
    if (kymo__likely(series != NULL))
        return series;
    key_read(f, values, &key); /* again, and rarely: so that key above need not be in memory */
    return find(f, values, &key);
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

static void table_put(struct kymo__segment *s, uint64_t table, uint32_t hash, uint32_t ref)
{
    uint64_t *entries = kymo__at(s, (uint32_t)(table >> 8));
    uint32_t mask = ((uint32_t)1 << (table & 0xff)) - 1;
    uint32_t i = hash >> 1 & mask;
    while (kymo__load_relaxed(&entries[i]) != 0)
        i = (i + 1) & mask;
    kymo__store_release(&entries[i], (uint64_t)hash << 32 | ref); /* with probe() */
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
    return ref == 0 ? 0 : kymo__table_pack(ref, log2);
}

/* Moves a few entries from the old table to the new one; the last of them retires the old one. */
static void table_move(struct kymo__family *f)
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
            table_put(f->reg->segment, record->table, (uint32_t)(entry >> 32), (uint32_t)entry);
    }
    if (record->migrated == size) {
        kymo__store_release(&record->old_table, 0); /* with find(): the new table has them all */
        kymo__retire_table(f->reg, old);
    }
}

/* Makes sure that one more entry fits, at a load of at most 7/8. */
static int table_grow(struct kymo__family *f)
{
    struct kymo__family_record *record = f->record;
    uint32_t log2 = (uint32_t)(record->table & 0xff);
    int error = 0;
    if (record->table != 0 && (uint64_t)(record->n_series + 1) * 8 <= ((uint64_t)7 << log2))
        return 0;
    while (record->old_table != 0) /* has happened long ago, unless a table of 16 filled up at once */
        table_move(f);
    uint64_t table = table_new(f->reg->segment, record->table == 0 ? FIRST_LOG2 : log2 + 1, &error);
    if (table == 0)
        return error;
    record->migrated = 0;
    kymo__store_release(&record->old_table, record->table); /* before the new one, so that find() misses nothing */
    kymo__store_release(&record->table, table);
    return 0;
}

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
        struct kymo__cell **larger = kymo__kept_alloc(f->reg, n * sizeof(struct kymo__cell *));
        if (larger == NULL)
            return KYMO_ENOMEM;
        if (f->n_cell_blocks != 0)
            memcpy(larger, f->cells, f->n_cell_blocks * sizeof(struct kymo__cell *));
        kymo__store_release(&f->cells, larger); /* with kymo__cell_of() */
        f->n_cell_blocks = n;
    }
    if (f->cells[block] == NULL)
        f->cells[block] = kymo__kept_alloc(f->reg, (f->n_labels ? KYMO__CELLS : 1) * sizeof(struct kymo__cell));
    return f->cells[block] != NULL ? 0 : KYMO_ENOMEM;
}

/* ---- creating: all of it under the registry's lock ---- */

/* A slot that a series of the same shape left behind, or KYMO__DEAD. */
static uint64_t slot_reuse(struct kymo__segment *s, enum kymo__class class, uint32_t n_words)
{
    for (uint32_t *link = &s->free_slots[class]; *link != 0;) {
        struct kymo__series *left = kymo__at(s, *link);
        if (left->ordinal == n_words) {
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
    uint64_t loc = slot_reuse(reg->segment, f->class, f->n_words);
    if (loc == KYMO__DEAD)
        loc = kymo__slot_new(reg->segment, f->class, f->n_words, error);
    if (loc != KYMO__DEAD && (*error = kymo__columns_publish(reg)) != 0)
        return KYMO__DEAD;
    return loc;
}

/* A series, complete but for its place in list and table; NULL and *error. */
static struct kymo__series *series_build(struct kymo__family *f, const char *const *values, const struct kymo__key *key,
                                         size_t text_len, int *error)
{
    struct kymo__segment *s = f->reg->segment;
    uint32_t ref = kymo__segment_alloc(s, sizeof(struct kymo__series) + text_len + KYMO__SERIES_SLACK, error);
    if (ref == 0)
        return NULL;
    uint64_t loc = slot_take(f, error);
    if (loc == KYMO__DEAD)
        return NULL;
    struct kymo__series *series = kymo__at(s, ref);
    kymo__label_pairs(series->text, f->desc.labels, values, f->n_labels);
    series->text_len = (uint32_t)text_len & 0xffffff; /* KYMO__MAX_TEXT bounds it */
    series->flags = text_len != key->text_len ? KYMO__SERIES_ESCAPED : 0;
    series->loc = loc;
    series->start_ns = f->reg->clock.wall_ns(f->reg->clock.ctx);
    series->ordinal = f->n_ordinals;
    return series;
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
    uint32_t *link = f->record->last_series ? &((struct kymo__series *)kymo__at(s, f->record->last_series))->next
                                            : &f->record->first_series;
    while (*link != 0) /* a creator that died may have left the hint behind */
        link = &((struct kymo__series *)kymo__at(s, *link))->next;
    kymo__store_release(link, ref);
    f->record->last_series = ref;
    table_put(s, f->record->table, hash, ref);
    kymo__store_release(&f->n_ordinals, f->n_ordinals + 1); /* with kymo__series_get() */
    f->record->n_series++;
    s->n_series++;
}

static struct kymo__series *series_create(struct kymo__family *f, const char *const *values,
                                          const struct kymo__key *key, size_t text_len, int *error)
{
    *error = f->dead ? KYMO_ENOENT : cell_ensure(f, f->n_ordinals);
    if (*error == 0)
        *error = table_grow(f);
    if (*error != 0)
        return NULL;
    struct kymo__series *series = series_build(f, values, key, text_len, error);
    if (series == NULL)
        return NULL;
    series_publish(f, series, key->hash);
    table_move(f);
    return series;
}

/* KYMO_ELABEL stands for values that are too long. */
static int values_check(const struct kymo__family *f, const char *const *values, size_t *text_len)
{
    size_t total = 0;
    for (uint32_t i = 0; i < f->n_labels; i++) {
        size_t n = strlen(values[i]);
        if (n > KYMO__MAX_TEXT || (total += n) > KYMO__MAX_TEXT)
            return KYMO_ELABEL;
        if (!kymo__utf8_valid(values[i], n))
            return KYMO_EUTF8;
    }
    *text_len = kymo__label_pairs_size(f->desc.labels, values, f->n_labels);
    return 0;
}

static struct kymo__series *find_in_flight(struct kymo__family *f, const char *const *values, struct kymo__key *key)
{
    int64_t *counter = kymo__in_flight_enter(f->reg->segment);
    struct kymo__series *series = find(f, values, key);
    kymo__in_flight_leave(counter);
    return series;
}

struct kymo__series *kymo__series_get(struct kymo__family *f, const char *const *values, size_t n, int *error)
{
    struct kymo_registry *reg = f->reg;
    struct kymo__key key;
    size_t text_len;
    *error = KYMO_EINVAL;
    if (n != f->n_labels || (n != 0 && values == NULL) || !key_read(f, values, &key))
        return NULL;
    kymo__enter();
    uint32_t seen = kymo__load_acquire(&f->n_ordinals); /* with series_publish() */
    struct kymo__series *series = find_in_flight(f, values, &key);
    if (series != NULL || (*error = values_check(f, values, &text_len)) != 0)
        return series;
    pthread_mutex_lock(&reg->lock);
    if (f->n_ordinals != seen) /* somebody else created one meanwhile: perhaps this one */
        series = find(f, values, &key);
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
    struct kymo__column *column = kymo__column_at(s, (uint32_t)(loc >> KYMO__WORD_BITS));
    uint32_t word = (uint32_t)(loc & (KYMO__WORDS - 1));
    for (int lane = 0; lane < 2; lane++) {
        for (uint32_t ref = column->first_chunk[lane]; ref != 0;) {
            struct kymo__chunk *chunk = kymo__at(s, ref);
            words_zero((uint64_t *)kymo__at(s, chunk->data) + word, f->n_words);
            ref = chunk->next_in_column;
        }
    }
    words_zero((uint64_t *)(void *)kymo__pairs_at(s, loc), 2 * f->n_words);
    left->ordinal = f->n_words; /* the record stays, as an entry of the list of free slots */
    left->next = s->free_slots[f->class];
    s->free_slots[f->class] = kymo__ref(s, left);
}

void kymo__family_end(struct kymo__family *f)
{
    struct kymo__segment *s = f->reg->segment;
    struct kymo__series *series;
    f->dead = 1;
    for (uint32_t ref = f->record->first_series; ref != 0; ref = series->next) {
        series = kymo__at(s, ref);
        kymo__store_relaxed(&kymo__cell_of(f, series)->loc, KYMO__DEAD);
        kymo__store_relaxed(&series->loc, series->loc | KYMO__DEAD_BIT);
    }
    /* After this no recording can be on its way: the values are the last ones, the words may be given away. */
    int quiet = 0;
    for (int tries = 0; tries < 8 && !quiet; tries++)
        quiet = kymo__grace(s);
    for (uint32_t ref = f->record->first_series, next; ref != 0; ref = next) {
        series = kymo__at(s, ref);
        next = series->next;
        uint64_t loc = series->loc & ~KYMO__DEAD_BIT;
        announce(f, series, loc);
        if (quiet)
            slot_give(f, series, loc);
    }
    s->n_series -= f->record->n_series;
    f->record->first_series = f->record->last_series = f->record->n_series = 0;
}
