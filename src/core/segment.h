/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/segment.h - a segment: all that a registry's series consist of, in one range of addresses, without pointers.
 *
 * What lies in a segment refers to what else lies in it by offset ("ref", in units of 8 bytes; 0 is nothing), so that
 * the same bytes mean the same in every process that maps them. Glossary, in the order of size:
 *
 *   segment   header, then whatever was allocated, in order; what is given back serves what comes, by size
 *   family    one metric name; its series hang in a list and stand in a hash table
 *   series    one label set: its text, when it began, its slot. What a series is at the moment, its loc says
 *   slot      the words of one series: 1 for counters and gauges, 2 + bounds for a histogram
 *   column    512 words: the slots that lie side by side. For each column there are
 *   pairs       the shared store: one {n, sum} pair per word, for any writer, with atomic instructions; and
 *   chunk       per shard at most one of whole words and one of fractions, 4 KiB each, one writer only
 *   shard     all chunks that one thread at a time writes, and its control line
 *
 * Publication: a thing is filled completely, then one word that makes it reachable is stored with release; readers
 * load that word with acquire. A creator that dies between two stores leaves unreachable bytes, never a broken list.
 * Creation is under the registry's lock; reading needs none.
 */
#ifndef KYMO__SEGMENT_H
#define KYMO__SEGMENT_H

#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/os.h"

#define KYMO__SEGMENT_MAGIC 0x31306f6d796b0a0du /* "\r\nkymo01", which a text-mode copy would spoil */
#define KYMO__SEGMENT_VERSION 1u
#define KYMO__WORDS 512u /* words of a column; a chunk of them is one page */
#define KYMO__WORD_BITS 9u
#define KYMO__COLUMN_BLOCK 128u /* column records allocated together */
#define KYMO__COLUMN_ROOTS 512u
#define KYMO__MAX_COLUMNS (KYMO__COLUMN_BLOCK * KYMO__COLUMN_ROOTS)
#define KYMO__SMALL_RUN 65536u /* small objects are cut from runs of this size */
#define KYMO__TABLE_CLASSES 32u
#define KYMO__SIZE_CLASSES 112u /* of what is given back: up to 16 units each its own, then 8 for each doubling */
#define KYMO__SLOT_LISTS 16u    /* of free slots, by how many words they have */
#define KYMO__TEXT_SLACK 32u    /* readable bytes after a text, so that it can be copied in blocks */
#define KYMO__SERIES_SLACK 8u   /* the same within a series' record, for comparing without the registry's lock */

/* Which words a column holds: they differ in who writes them and how many belong together. */
enum kymo__class {
    KYMO__SINGLE = 0,     /* counters and up/down gauges: one word each, sharded  */
    KYMO__HISTOGRAMS = 1, /* several words each, sharded                          */
    KYMO__SHARED = 2,     /* set gauges: only the shared store is ever written    */
    KYMO__NATIVE = 3,     /* histograms with native buckets, see core/native.h    */
    KYMO__CLASSES = 4,
};

/* Why a recording was refused; the order is that of kymo__refusal_names. */
enum kymo__refusal {
    KYMO__NAN,
    KYMO__NEGATIVE,
    KYMO__INFINITE,
    KYMO__OVERFLOW,
    KYMO__BAD_LABELS,
    KYMO__BAD_UTF8,
    KYMO__TOO_LONG,
    KYMO__NO_MEMORY,
    KYMO__UNREGISTERED,
    KYMO__CONTENDED,
    KYMO__EXEMPLAR_BUSY,
    KYMO__EXEMPLAR_BAD,
    KYMO__REFUSALS,
};

/*
 * The control line of a shard: written by its one writer, read by whoever reads its histograms, adopts the shard or
 * reclaims memory. busy is odd while the writer is inside an update. The redo record says in absolute values what the
 * histogram at redo_slot will look like when the update that made its sequence odd is complete.
 */
struct kymo__ctl {
    _Alignas(64) uint64_t busy;
    int64_t redo_slot; /* bytes from this line to the histogram's words */
    uint64_t redo_seq;
    uint64_t redo_sum; /* bits of a double */
    uint64_t redo_at;  /* two signed halves: up to two words, counted from the slot's first; 0 is none */
    uint64_t redo_value[2];
};
_Static_assert(sizeof(struct kymo__ctl) == 64, "a control line is one cache line: its writer is alone on it");

enum kymo__shard_state { KYMO__SHARD_FREE = 0, KYMO__SHARD_OWNED = 1 };

struct kymo__shard {
    struct kymo__ctl ctl;
    uint32_t state; /* enum kymo__shard_state */
    uint32_t next;  /* ref of the next shard of the segment */
    uint32_t first_chunk;
    uint32_t id;
    uint32_t unused[12];
};
_Static_assert(sizeof(struct kymo__shard) == 128, "shards are multiples of a cache line");

enum kymo__lane { KYMO__WHOLE = 0, KYMO__FRACTION = 1 };

struct kymo__chunk {
    uint32_t next_in_column;
    uint32_t next_in_shard;
    uint32_t data; /* ref of 512 words, page-aligned */
    uint32_t shard;
    uint32_t column;
    uint32_t lane; /* enum kymo__lane */
};

struct kymo__column {
    uint32_t pairs;          /* ref of 512 pairs */
    uint32_t first_chunk[2]; /* by lane; in the order of creation, which fixes the order of additions */
    uint32_t used;           /* words given out, from 0 up */
    uint32_t class;          /* enum kymo__class */
    uint32_t wanted;         /* marks of threads without a shard: 1 whole, 2 fractions */
    uint32_t unused[2];
};

struct kymo__series {
    uint64_t loc; /* column << 9 | word, or one of the codes below; changed by compare-exchange where recorders may */
    int64_t start_ns;
    uint32_t next, prev; /* refs of the family's series beside it; next alone is what counts, prev follows from it */
    uint32_t ordinal;    /* index in the family: finds the cell of a process */
    uint32_t generation; /* tells apart what has this ref one after the other */
    uint32_t hash;       /* of the label values, as in the table */
    uint32_t text_len : 24;
    uint32_t flags : 8;
    char text[]; /* label pairs, escaped; at least 8 more bytes of zeros; with exemplars, the ref of their block */
};
_Static_assert(sizeof(struct kymo__series) == 40, "there is one for each series: keep it small");
#define KYMO__SERIES_ESCAPED 1u /* some value differs from its text */

/* What a loc says, by its two highest bits: 0x living, 10 expiring, 11 on the page but not recorded into, or a code. */
#define KYMO__DEAD UINT64_MAX          /* ended, and not to be found any more                              */
#define KYMO__ASLEEP (UINT64_MAX - 1)  /* ended; handles are out, and who records through one may wake it  */
#define KYMO__RESTING (UINT64_MAX - 2) /* has no place among the heaviest; handles are out                 */
#define KYMO__DEAD_BIT ((uint64_t)1 << 63)
#define KYMO__STANDBY_BIT ((uint64_t)1 << 62)
#define KYMO__SLOT_MASK ((uint64_t)UINT32_MAX)

static inline int kymo__loc_lives(uint64_t loc)
{
    return !(loc & KYMO__DEAD_BIT);
}

/* Judged idle: whoever records first keeps it alive. */
static inline int kymo__loc_expires(uint64_t loc)
{
    return loc >> 62 == 2;
}

/* On the page with what it holds, and not recorded into: not yet among the heaviest, or no longer. */
static inline int kymo__loc_stands_by(uint64_t loc)
{
    return loc >> 32 == (KYMO__DEAD_BIT | KYMO__STANDBY_BIT) >> 32;
}

/* A ready slot that a recorder may take for a series that sleeps. */
struct kymo__waking {
    uint64_t slot;   /* loc + 1, or 0: none */
    uint32_t series; /* ref of the series it is for, or 0: free to be taken */
    uint32_t unused;
};

struct kymo__family_record {
    uint32_t next;
    uint32_t kind;
    uint32_t first_series;
    uint32_t last_series; /* a hint: the true last is found from here */
    uint32_t n_series;    /* that live and count against the limit */
    uint32_t n_woken;     /* and those that recorders woke since the last upkeep; atomic */
    uint32_t limit;       /* of n_series */
    uint32_t overflow;    /* the overflow series, or 0: the family has no labels */
    uint32_t overflowed;  /* something was recorded into it: it belongs on the page */
    uint32_t distinct;    /* 4 KiB for each label, once something was refused; 0: not yet */
    uint32_t top;         /* see top.h, or 0 */
    uint32_t waking;      /* n_waking places, or 0 */
    uint32_t n_waking;
    uint32_t n_asleep;    /* records that are kept for handles alone */
    uint32_t table_moves; /* odd while entries move from the old table to the new one */
    uint32_t n_entries;   /* in use, in the table or still to be moved there, n_gone included */
    uint32_t n_gone;      /* entries of the table whose series are gone */
    uint32_t migrated;    /* entries of old_table that were copied */
    uint64_t dropped;     /* loc of the counter of what went to the overflow series for want of a place */
    uint64_t table;       /* ref << 8 | log2 of its entries, or 0 */
    uint64_t old_table;   /* the same while its entries move, or 0 */
    uint64_t pending; /* hash << 32 | ref of a series that is being published, or 0: who died there left it half done */
    uint64_t refused[KYMO__REFUSALS];
};

struct kymo__segment {
    uint64_t magic;
    uint32_t version;
    uint16_t word_bytes;
    uint16_t byte_order; /* 0x0102 as written by its creator */
    uint64_t reserved_bytes;
    uint64_t used_bytes;          /* everything below was given out */
    uint64_t committed_bytes;     /* everything below may be touched */
    uint32_t small_at, small_end; /* refs: what is left of the current run of small objects */
    uint32_t first_shard, n_shards;
    uint32_t first_family, n_others; /* series of families without a guard */
    uint32_t n_columns;
    uint32_t n_guarded; /* series that count against the budget */
    uint32_t n_woken;   /* and those that recorders woke since the last upkeep; atomic */
    uint32_t budget;
    uint32_t n_ended;                    /* ever; modulo 2^32 */
    uint32_t open_column[KYMO__CLASSES]; /* index + 1 of the column that still has room */
    uint32_t free_tables[KYMO__TABLE_CLASSES];
    uint64_t free_slots[KYMO__CLASSES][KYMO__SLOT_LISTS]; /* loc + 1 of the first one, by its words; see slot.c */
    uint32_t free_small[KYMO__SIZE_CLASSES];              /* refs of memory that was given back */
    uint32_t column_roots[KYMO__COLUMN_ROOTS];
    /* Recorders without a shard of their own, counted in the epoch they began in; each on a line of its own. */
    _Alignas(64) uint64_t epoch;
    _Alignas(64) int64_t in_flight[2][8];
};

/* The word that half i of redo_at names, or NULL. It may lie outside the slot: in a native histogram's table. */
static inline uint64_t *kymo__redo_word(uint64_t *slot, uint64_t redo_at, unsigned i)
{
    int32_t at = (int32_t)(uint32_t)(redo_at >> 32 * i);
    return at != 0 ? slot + at : NULL;
}

static inline void *kymo__at(const struct kymo__segment *s, uint32_t ref)
{
    return (char *)(uintptr_t)s + (size_t)ref * 8;
}

static inline uint32_t kymo__ref(const struct kymo__segment *s, const void *at)
{
    return (uint32_t)((size_t)((const char *)at - (const char *)s) / 8);
}

static inline struct kymo__column *kymo__column_at(const struct kymo__segment *s, uint32_t index)
{
    uint32_t root = kymo__load_acquire(&s->column_roots[index / KYMO__COLUMN_BLOCK]); /* with kymo__column_new() */
    return (struct kymo__column *)kymo__at(s, root) + index % KYMO__COLUMN_BLOCK;
}

static inline struct kymo__pair *kymo__pairs_at(const struct kymo__segment *s, uint64_t loc)
{
    struct kymo__column *column = kymo__column_at(s, (uint32_t)(loc >> KYMO__WORD_BITS));
    return (struct kymo__pair *)kymo__at(s, column->pairs) + (loc & (KYMO__WORDS - 1));
}

/** kymo__segment_new() - an empty segment of at most @bytes, or NULL (KYMO_ENOMEM is meant). */
struct kymo__segment *kymo__segment_new(size_t bytes);
void kymo__segment_free(struct kymo__segment *s);

/**
 * kymo__segment_alloc() - @bytes of zeroed segment memory, aligned to 8; 0 and *@error set if there is none
 * Under the registry's lock, like all that follows.
 */
uint32_t kymo__segment_alloc(struct kymo__segment *s, size_t bytes, int *error);

/** kymo__segment_give() - takes memory back that nobody can be reading any more; @bytes as it was asked for. */
void kymo__segment_give(struct kymo__segment *s, uint32_t ref, size_t bytes);

/** kymo__segment_pages() - the same in whole pages, page-aligned. */
uint32_t kymo__segment_pages(struct kymo__segment *s, size_t bytes, int *error);

/** kymo__column_new() - a column of a class; returns its index + 1, or 0. */
uint32_t kymo__column_new(struct kymo__segment *s, enum kymo__class class, int *error);

/** kymo__slot_new() - @n words side by side in a column of a class: a loc, or KYMO__DEAD. */
uint64_t kymo__slot_new(struct kymo__segment *s, enum kymo__class class, uint32_t n, int *error);

/** kymo__slot_undo() - takes a slot back that nobody has used, if it was the last one. */
void kymo__slot_undo(struct kymo__segment *s, uint64_t loc, uint32_t n);

/** kymo__shard_new() - a shard, owned; its ref, or 0. */
uint32_t kymo__shard_new(struct kymo__segment *s, int *error);

/** kymo__chunk_new() - gives a shard memory for one lane of a column; the chunk, or NULL. */
struct kymo__chunk *kymo__chunk_new(struct kymo__segment *s, uint32_t shard, uint32_t column, enum kymo__lane lane,
                                    int *error);

/** kymo__shard_settle() - finishes what a dead owner left half done; repeatable, may itself be interrupted for good. */
void kymo__shard_settle(struct kymo__shard *shard);

/**
 * kymo__grace() - 1 once every recording that was under way when it was called has ended, else 0
 * Gives up after a bounded number of looks, or where there is no membarrier.
 */
int kymo__grace(struct kymo__segment *s);
/** kymo__grace_within() - the same, tried again for so long; 0 at once where there is no membarrier. */
int kymo__grace_within(struct kymo__segment *s, int64_t ns);

#endif
