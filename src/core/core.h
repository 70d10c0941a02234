/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/core.h - what the files of src/core share: the private side of registries, families and handles.
 *
 * Read core/segment.h first. Private means this process's: pointers, callbacks, locks. The values are in the segment.
 *
 * Locks, in the order in which they may be taken: a registry's collect lock, the process lock (thread.c), a registry's
 * lock. No recording call takes any.
 */
#ifndef KYMO__CORE_H
#define KYMO__CORE_H

#include <pthread.h>

#include <kymo/kymo.h>

#include "core/segment.h"

#define KYMO__MAX_LABELS 32u
#define KYMO__MAX_TEXT 60000u
#define KYMO__MAX_BOUNDS 500u
#define KYMO__MAX_NAME 255u
#define KYMO__COUNT_MAX ((uint64_t)1 << 63) /* of a counter's whole part */
#define KYMO__CELLS 64u                     /* cells allocated together */
#define KYMO__LIMBO 8u
#define KYMO__ENDINGS 256u /* series that may be on their way out at once */

/*
 * What a handle points to. A recorder loads loc, announces itself by its control line's busy word, and loads loc
 * again: if it is unchanged its slot cannot be given to another series before it is done.
 */
struct kymo__cell {
    uint64_t
        loc; /* process column << 9 | word, KYMO__DEAD, KYMO__NOBODY, or a print: see grave.c. By who has the lock */
    struct kymo__family *family;
    uint32_t series; /* ref, in the family's registry's segment; of a cell that is free: the next one's ordinal + 1 */
    uint32_t pins;
};
_Static_assert(sizeof(struct kymo__cell) <= 24, "what a handle costs until it is released");

/* Whether a cell's loc is what is kept of labels whose series is gone: its two highest bits are 10. */
static inline int kymo__loc_is_print(uint64_t loc)
{
    return loc >> 62 == 2;
}

struct kymo__allow;
struct kymo__idle;
struct kymo__graves;

#define KYMO__NOBODY (UINT64_MAX - 3) /* the loc of a cell that is free */

/* A series on its way out: nobody gets to it any more, and who has may still be writing. See life.c. */
struct kymo__ending {
    struct kymo__family *family; /* NULL: done with */
    uint64_t loc;                /* its slot, or KYMO__DEAD: none, it slept */
    int64_t start_ns;
    uint32_t series;
    uint32_t how; /* enum kymo__end, or one of life.c's own */
    uint32_t generation;
    uint32_t exemplars; /* their block, or 0 */
};

/* A family under another of its names. */
struct kymo__alias {
    struct kymo_desc desc;
    struct kymo_family info;
};

/* All of kymo_counter_family, kymo_gauge_family and kymo_histogram_family. */
struct kymo__family {
    struct kymo_registry *reg;
    struct kymo__family_record *record;
    const double *bounds; /* with four times +Inf behind them */
    uint32_t n_bounds;
    uint32_t n_labels;
    uint32_t names_len; /* of a series' text, all but the values */
    uint32_t label_len[KYMO__MAX_LABELS];
    enum kymo__class class;
    int plain_set; /* a gauge that is set by one store, and nothing else */
    uint32_t n_words;
    int native_schema;         /* native: the one to begin with */
    uint32_t window;           /* native: buckets of a shard's window */
    uint32_t table_entries;    /* native: of the table */
    struct kymo_native native; /* its defaults filled in; only if desc.native points here */
    uint64_t exemplar_limit;   /* 2^32 / desc.exemplar_every, or 0: see kymo__exemplar_due() */
    int dead;                  /* unregistered: kept, since handles point here */
    struct kymo_desc desc;
    struct kymo_family info;
    struct kymo__alias *aliases; /* desc.n_aliases of them */
    uint32_t configured;         /* by the operator: bits of enum kymo__config_key */
    int guarded;                 /* it has labels whose values are the caller's */
    int distinct_known;          /* the values of its own series have been counted, too */
    struct kymo_guard guard;     /* its defaults filled in */
    struct kymo__allow *allow;   /* lists of values by label, or NULL */
    struct kymo__idle *idle;     /* what series looked like when they were last seen to change, once they may expire */
    struct kymo__top_private *top; /* of a family of the heaviest: see top.h */
    struct kymo__cell
        *spill; /* the handle of all that had no place: leads to the overflow series the slow way, which counts */
    struct kymo__graves *graves; /* see grave.c */
    uint32_t n_graves;
    uint32_t free_ordinal;     /* + 1, of the first cell that is free */
    uint32_t n_created;        /* ever; modulo 2^32: who finds it changed looks again */
    int unfinished;            /* dead, and not yet announced: see kymo__family_finish() */
    const char *const *first;  /* label values of the one series of an info, while it is registered */
    struct kymo__cell **cells; /* blocks of KYMO__CELLS, by ordinal; replaced by a larger copy as it grows */
    uint32_t n_cell_blocks;
    uint32_t n_ordinals;
    void *kept;         /* what cells was, and is */
    kymo_value_fn read; /* callback families */
    void *read_ctx;
    struct kymo__family *next;
    struct kymo__family *next_of_name; /* the one that had this name before */
    int succeeded;                     /* the name was registered again */
};

struct kymo_collector {
    struct kymo_registry *reg;
    struct kymo_collector_ops ops;
    void *ctx;
    struct kymo__family **families; /* ops.n_descs of them: names, checked and prefixed */
    int attached;
    uint64_t failures;
    int64_t duration_ns;
    struct kymo_collector *next;
};

struct kymo_registry {
    struct kymo__segment *segment;
    uint64_t seed;     /* of the hashes of label values */
    uint32_t home;     /* process column that stands for "a shard of this registry" */
    uint32_t wanting;  /* threads without a shard asked for one */
    uint32_t *columns; /* segment column -> process column; replaced by a larger copy as it grows */
    uint32_t columns_cap;
    uint32_t n_columns;  /* of which are mapped */
    uint32_t max_column; /* the highest process column in use, home included */
    uint32_t max_shards;
    uint32_t max_series; /* of families with labels, all together: the budget that is in force */
    pthread_mutex_t lock;
    pthread_mutex_t collect_lock;
    struct kymo_allocator allocator;
    struct kymo_clock clock;
    kymo_log_fn log;
    void *log_ctx;
    kymo_event_fn event;
    void *event_ctx;
    char *prefix;
    struct kymo_label *const_labels;
    size_t n_const_labels;
    int utf8_names;              /* names need not be plain */
    struct kymo__config *config; /* the operator's choices, or NULL; see config.h */
    char *const_text;            /* constant labels as in a line */
    size_t const_text_len;
    size_t collector_bytes;
    struct kymo__native_scratch *native; /* what native histograms are read into, once there are some */
    size_t heap_bytes;
    struct kymo__family *first_family, *last_family; /* own ones, in the order of registration */
    struct kymo__family *collected;                  /* those of collectors */
    struct kymo_collector *collectors;
    uint32_t n_walks;            /* under way: they may look at collectors that are gone */
    uint32_t n_detached;         /* collectors that are gone and not freed */
    uint64_t limbo[KYMO__LIMBO]; /* tables that recorders may still be reading */
    struct kymo__ending *ending; /* KYMO__ENDINGS of them, once a series has ended */
    uint32_t n_ending;
    int64_t now_ns;             /* of the last upkeep, monotonic clock */
    uint32_t n_pinned;          /* cells that wait for their labels to come back */
    uint32_t n_unfinished;      /* families */
    struct kymo__walk *walks;   /* under way */
    uint32_t last_walk;         /* its id */
    void *kept;                 /* arrays that were replaced by larger copies, and their successors */
    struct kymo_registry *next; /* of the process */
};

static inline struct kymo__series *kymo__series_at(const struct kymo__family *f, uint32_t ref)
{
    return kymo__at(f->reg->segment, ref);
}

/* Whether a series is the one that stands for all that have no place. */
static inline int kymo__is_overflow(const struct kymo__family *f, const struct kymo__series *series)
{
    return kymo__ref(f->reg->segment, series) == f->record->overflow; /* 0 where there is none: nobody's ref */
}

/* ---- memory.c ---- */

/** kymo__heap_alloc() - zeroed private memory from the registry's allocator, or NULL. Registry's lock, or at set-up. */
void *kymo__heap_alloc(struct kymo_registry *reg, size_t bytes);
void kymo__heap_free(struct kymo_registry *reg, void *at, size_t bytes);
/** kymo__heap_text() - a copy of a string with KYMO__TEXT_SLACK more bytes of zeros; its size is strlen + 1 + that. */
char *kymo__heap_text(struct kymo_registry *reg, const char *a, const char *b);
void kymo__heap_text_free(struct kymo_registry *reg, char *at);
/**
 * kymo__kept_alloc() - zeroed memory that lives as long as what has the list
 * For arrays that recorders read without a lock and that grow by a larger copy: all copies together are less than
 * twice the last one.
 */
void *kymo__kept_alloc(struct kymo_registry *reg, void **list, size_t bytes);
void kymo__kept_free(struct kymo_registry *reg, void **list);
/** kymo__retire_table() - gives a table back as soon as no recorder can be reading it. */
void kymo__retire_table(struct kymo_registry *reg, uint64_t table);
/** kymo__can_retire() - whether there is room for one more to wait. */
int kymo__can_retire(struct kymo_registry *reg);
/** kymo__reclaim() - tries to free what was retired. */
void kymo__reclaim(struct kymo_registry *reg);

/** kymo__log() - one sentence to the host; printf-like. */
void kymo__log(const struct kymo_registry *reg, enum kymo_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- process.c, provide.c, thread.c ---- */

/** kymo__enter() - what every call that may allocate does first: settles a fresh child of fork(). Cheap. */
void kymo__enter(void);
int kymo__process_add(struct kymo_registry *reg);
void kymo__process_remove(struct kymo_registry *reg);
/** kymo__provide() - gives shards and chunks to all threads that left a mark. Takes the process lock. */
void kymo__provide(struct kymo_registry *reg);
/** kymo__ensure_self() - gives the calling thread a shard, and words in a process column (or in none: UINT32_MAX). */
int kymo__ensure_self(struct kymo_registry *reg, uint32_t segment_column);
/** kymo__is_served() - whether the calling thread has memory of its own where a cell's loc leads. */
int kymo__is_served(uint64_t loc);
/** kymo__columns_publish() - gives new segment columns their process columns. Under the registry's lock. */
int kymo__columns_publish(struct kymo_registry *reg);
/** kymo__reap() - takes back the seats of threads that died without a word. Takes the process lock. */
void kymo__reap(void);
/** kymo__settle_child() - settles a fresh child of fork() with its values kept or zeroed. */
void kymo__settle_child(int zero);

/* ---- desc.c ---- */

/** kymo__name_valid(), kymo__label_name_valid() - @utf8: whether any UTF-8 text may be one. NULL is none. */
int kymo__name_valid(const char *name, int utf8);
int kymo__label_name_valid(const char *name, int utf8);
/** kymo__label_name_reserved() - whether a valid label name is the server's or the formats': job, le, __x, ... */
int kymo__label_name_reserved(const char *name);
/** kymo__label_names_same() - whether two labels' names are one, as they are or escaped by any scheme. */
int kymo__label_names_same(const char *a, const char *b);
/** kymo__names_odd() - whether a family of this full name has names that some servers do not take as they are. */
int kymo__names_odd(const struct kymo_registry *reg, const char *name, const struct kymo_desc *desc);
/** kymo__desc_read() - copies a caller's descriptor of any known size into ours; KYMO_EINVAL if its size is unset. */
int kymo__desc_read(const struct kymo_desc *from, struct kymo_desc *to);
/** kymo__desc_check() - everything about a descriptor that does not depend on what else is registered. */
int kymo__desc_check(const struct kymo_registry *reg, const struct kymo_desc *desc, enum kymo_kind kind);
/** kymo__names_clash() - whether two families would write lines of the same name, escaped ones included. */
int kymo__names_clash(const char *a, enum kymo_kind a_kind, const char *b, enum kymo_kind b_kind);
/** kymo__name_covers() - whether a family of this name is called @asked, or has lines that are, in any format. */
int kymo__name_covers(const char *name, enum kymo_kind kind, const char *asked);

/* ---- family.c ---- */

enum kymo__registration {
    KYMO__REGISTER_SINGLE,    /* without labels: with its one series */
    KYMO__REGISTER_LABELLED,  /* series as they are asked for */
    KYMO__REGISTER_CALLBACK,  /* no series of its own */
    KYMO__REGISTER_COLLECTED, /* a collector's: a name and a shape */
};

/**
 * kymo__family_prepare() - a checked copy of a descriptor as a family that nobody can see yet
 * With what the operator chose for it, if it has series of its own.
 */
int kymo__family_prepare(struct kymo_registry *reg, const struct kymo_desc *desc, enum kymo_kind kind,
                         enum kymo__registration how, struct kymo__family **family);
/** kymo__families_register() - all of them, or none and an error; more than one only if they are a collector's. */
int kymo__families_register(struct kymo_registry *reg, struct kymo__family **families, size_t n,
                            enum kymo__registration how);
/** kymo__family_new() - prepares and registers one. */
int kymo__family_new(struct kymo_registry *reg, const struct kymo_desc *desc, enum kymo_kind kind,
                     enum kymo__registration how, struct kymo__family **family);
void kymo__family_unlink(struct kymo_registry *reg, struct kymo__family *f);

/* ---- family_build.c ---- */

/** kymo__family_build() - a copy of a checked descriptor, or NULL: out of memory. */
struct kymo__family *kymo__family_build(struct kymo_registry *reg, const struct kymo_desc *d, enum kymo_kind kind);
void kymo__family_discard(struct kymo_registry *reg, struct kymo__family *f);
/** kymo__prefix_of() - what comes before this name in this registry: its prefix, or "" for kymo_*. */
const char *kymo__prefix_of(const struct kymo_registry *reg, const char *name);

/* ---- alias.c ---- */

/** kymo__aliases_check() - each alias must do as a name of the family that a good descriptor describes. */
int kymo__aliases_check(const struct kymo_registry *reg, const struct kymo_desc *desc, enum kymo_kind kind);
/** kymo__aliases_build() - what is shown under each alias, from the family's complete desc and info. */
int kymo__aliases_build(struct kymo_registry *reg, struct kymo__family *f);
void kymo__aliases_free(struct kymo_registry *reg, struct kymo__family *f);

/* ---- slot.c: under the registry's lock ---- */

/** kymo__slot_take() - a slot for a series of the family, its columns known to the process; KYMO__DEAD and *error */
uint64_t kymo__slot_take(struct kymo__family *f, int64_t start_ns, int *error);
/** kymo__slot_give() - zeroes words that nobody can be writing any more; they may serve another series. */
void kymo__slot_give(struct kymo__family *f, uint64_t loc);
/** kymo__loc_of_process() - a segment's loc as cells have it. */
uint64_t kymo__loc_of_process(const struct kymo_registry *reg, uint64_t loc);

/* ---- series.c ---- */

/** kymo__series_find() - the series with these label values, or NULL; lock-free, by who is busy or in flight. */
struct kymo__series *kymo__series_find(const struct kymo__family *f, const char *const *values);
/**
 * kymo__series_get() - finds or creates; NULL and *error after a failure
 * @pinned: NULL, or receives its cell, pinned: it cannot go away before the caller does something with it
 * The overflow series where there is no place, *error saying why, and then the family's spill as its cell. Without
 * @pinned, the series may have ended again. KYMO_EINVAL (number of values, or one is NULL), KYMO_EUTF8, KYMO_ELABEL
 * (too long), KYMO_ENOENT (unregistered).
 */
struct kymo__series *kymo__series_get(struct kymo__family *f, const char *const *values, size_t n,
                                      struct kymo__cell **pinned, int *error);
/** kymo__series_first() - the one series of a family without labels, or with the values that f->first is. Registry's lock. */
int kymo__series_first(struct kymo__family *f);
/**
 * kymo__series_promise() - puts a series on the page that is not recorded into yet: its loc stands by. NULL and *error
 * @series: the record that rests, or NULL: there is none, and @values are what it is called
 * Registry's lock. KYMO_EUTF8, KYMO_ELABEL, KYMO_ENOMEM, KYMO_EFULL.
 */
struct kymo__series *kymo__series_promise(struct kymo__family *f, const char *const *values,
                                          struct kymo__series *series, int *error);
/** kymo__series_overflow() - makes the overflow series and the counter beside it. Registry's lock. */
int kymo__series_overflow(struct kymo__family *f);
/** kymo__series_link(), kymo__series_unlink() - puts a series on the page, takes it off. Registry's lock. */
void kymo__series_link(struct kymo__family *f, struct kymo__series *series);
void kymo__series_unlink(struct kymo__family *f, struct kymo__series *series);
int kymo__series_listed(const struct kymo__family *f, const struct kymo__series *series);
/** kymo__series_count() - so many series more, or less, that count against limits. Registry's lock. */
void kymo__series_count(struct kymo__family *f, int by);
/** kymo__series_recover() - completes, or forgets, what somebody who died was doing. Registry's lock, or alone. */
void kymo__series_recover(struct kymo__family *f);
/** kymo__record_free() - gives the memory of a series' record and its cell back. Registry's lock. */
void kymo__record_free(struct kymo__family *f, struct kymo__series *series);
/** kymo__cell_of() - the cell of a series of this process, which exists once the series does. */
struct kymo__cell *kymo__cell_of(const struct kymo__family *f, const struct kymo__series *series);
struct kymo__cell *kymo__cell_at(const struct kymo__family *f, uint32_t ordinal);
/** kymo__cell_free() - its ordinal may serve another series. Registry's lock. */
void kymo__cell_free(struct kymo__family *f, uint32_t ordinal);
/** kymo__point_of() - a point that names the series, without a value yet; kymo__point_name() makes one name another. */
void kymo__point_name(struct kymo_point *point, const struct kymo__family *f, const struct kymo__series *series);
struct kymo_point kymo__point_of(const struct kymo__family *f, const struct kymo__series *series);

/* ---- life.c: the ends of series; under the registry's lock ---- */

enum kymo__end {
    KYMO__END,        /* for good: what is recorded from now on goes where the guard says */
    KYMO__END_BARRED, /* for good, and its labels are not to come back by a recording */
    KYMO__END_IDLE,   /* unless it changes before nobody can be writing any more */
    KYMO__END_RECORD, /* it has ended: its record is not needed any more, either */
};

/** kymo__life_prepare() - memory for ends, so that none needs any later: KYMO_ENOMEM. */
int kymo__life_prepare(struct kymo_registry *reg);
/** kymo__life_end() - begins the end of a series that is on the page; KYMO_EBUSY: too many are ending. */
int kymo__life_end(struct kymo__family *f, struct kymo__series *series, enum kymo__end how);
/** kymo__life_finish() - completes the ends that were begun, as far as nobody is recording any more. */
void kymo__life_finish(struct kymo_registry *reg);
/** kymo__life_discard() - begins to give back a record that was kept for handles, if there are none. */
void kymo__life_discard(struct kymo__family *f, struct kymo__series *series);
/** kymo__life_unfinished() - completes the ends of families that had to be put off. */
void kymo__life_unfinished(struct kymo_registry *reg);
/** kymo__life_unpinned() - a cell's last pin was taken back, and its series may have ended. */
void kymo__life_unpinned(struct kymo__cell *cell);
/** kymo__life_recover() - in a child of fork(): does again what may have been half done. */
void kymo__life_recover(struct kymo_registry *reg);
/** kymo__family_end() - ends all series of a family: handles die, last values are announced, memory goes back. */
void kymo__family_end(struct kymo__family *f);

/* ---- upkeep.c ---- */

/** kymo__upkeep() - what scrapes and sweeps do first: ends, what woke, what is idle. Takes the registry's lock. */
void kymo__upkeep(struct kymo_registry *reg, int64_t now_ns);
/** kymo__upkeep_overflow() - puts the overflow series on the page, if it was used; registry's lock. */
void kymo__upkeep_overflow(struct kymo__family *f);
/** kymo__wakers_recover() - the same in a child of fork(), where no recorder is in the middle of waking one. */
void kymo__wakers_recover(struct kymo__family *f);
/** kymo__upkeep_wakers() - puts what woke on the page and fills the places up; registry's lock. */
void kymo__upkeep_wakers(struct kymo__family *f);

/* ---- read.c ---- */

/** struct kymo__sum - a value put together from all shards */
struct kymo__sum {
    uint64_t whole;
    double fraction;
};

/* The chunks of the column that was read last, so that the next series of it need not look for them. */
struct kymo__view {
    uint32_t column; /* index + 1, or 0 */
    uint32_t n[2];   /* chunks by lane */
    uint32_t cap;
    struct kymo__pair *pairs;
    uint64_t **words;        /* cap */
    struct kymo__ctl **ctls; /* cap */
    uint64_t **fractions;    /* cap */
};

void kymo__view_point(struct kymo__view *v, struct kymo__segment *s, uint32_t column);
/** kymo__read_series() - the complete value of a series, through a view; @buckets: n_bounds + 1 counts of scratch. */
void kymo__read_series(struct kymo__view *v, const struct kymo__family *f, uint64_t loc, uint64_t *buckets,
                       struct kymo_point *point);
/** kymo__sum_shards() - what all shards hold of a number, without the shared store. Lock-free. */
void kymo__sum_shards(struct kymo__segment *s, uint64_t loc, struct kymo__sum *sum);
/** kymo__read_cell() - the value of a handle's series, in flight meanwhile; 0 if it is NULL or has ended. */
int kymo__read_cell(const struct kymo__cell *cell, uint64_t *buckets, struct kymo_point *point);
/** kymo__read_one() - the same without a view: walks the column's chunks. Lock-free. */
void kymo__read_one(const struct kymo__family *f, uint64_t loc, uint64_t *buckets, struct kymo_point *point);

/* ---- walk.c ---- */

/** struct kymo__walk - where a visit of a registry's own series has got to; all zero is the beginning */
struct kymo__walk {
    struct kymo__family *family; /* being shown */
    struct kymo__family *last;   /* to be shown */
    uint32_t name;               /* it is shown under: 0 its own, i its i-th alias */
    uint32_t series;             /* the next one of it, or 0 */
    uint32_t series_last;        /* to be shown: what comes to be meanwhile is for the next walk */
    int begun;                   /* its info has been shown */
    int pass_over;               /* set by the visitor when it was: no need to read its points */
    int has_read;                /* callback families: what it returned, the same under all names */
    double read;
    int own_begun, own_done;
    struct kymo_collector *collector; /* whose points are in remembered, or were last */
    int collectors_begun;
    struct kymo_visit *remembered;
    int done;
    struct kymo__view view;
    uint64_t *buckets;
    size_t view_bytes;
    struct kymo_exemplar_point *exemplars; /* of one series, once there is one that has some */
    size_t n_exemplars;                    /* room for so many, and for their texts behind them */
    uint32_t id;                           /* of the walk, for series that have to be shown once; never 0 */
    struct kymo__walk *next;               /* of the registry's */
};

/**
 * kymo__walk_step() - shows families and points to a visitor until it says stop or all were shown
 * Own series under the registry's lock, collectors without. KYMO_EAGAIN from the visitor keeps the place: the same
 * point comes first in the next step.
 */
int kymo__walk_step(struct kymo_registry *reg, struct kymo__walk *walk, const struct kymo_visitor *visitor);
/**
 * struct kymo__walk as a cursor - the series of one family, under the registry's lock, while some of them may end
 * kymo__cursor_pause() lets others have the lock for a moment; 0: the family has ended meanwhile.
 */
void kymo__cursor_begin(struct kymo__walk *cursor, struct kymo__family *f);
struct kymo__series *kymo__cursor_next(struct kymo__walk *cursor);
int kymo__cursor_pause(struct kymo__walk *cursor);
void kymo__cursor_end(struct kymo__walk *cursor);
/** kymo__walk_begin(), kymo__walk_end() - between them nothing that the walk may look at is freed. */
void kymo__walk_begin(struct kymo_registry *reg, struct kymo__walk *walk);
void kymo__walk_end(struct kymo_registry *reg, struct kymo__walk *walk);

/* ---- point_check.c ---- */

/** kymo__point_check() - whether a collector's point is one that all formats take; the errors of kymo_collect(). */
int kymo__point_check(const struct kymo__family *f, const struct kymo_point *point);

/* ---- collect.c ---- */

/** kymo__collect_run() - runs a collector and remembers what it reports; NULL and *error only if memory is short. */
struct kymo_visit *kymo__collect_run(struct kymo_registry *reg, struct kymo_collector *c, int *error);
/** kymo__collect_replay() - shows what was remembered, under all names; after KYMO_EAGAIN it goes on with the same point. */
int kymo__collect_replay(struct kymo_visit *visit, const struct kymo_visitor *visitor);
void kymo__collect_free(struct kymo_registry *reg, struct kymo_visit *visit);
/** kymo__collector_purge() - frees collectors that were detached, and their families, if no walk is under way. */
void kymo__collector_purge(struct kymo_registry *reg);
/** kymo__collector_free_all() - at the registry's end. */
void kymo__collector_free_all(struct kymo_registry *reg);

/* ---- self.c ---- */

/** kymo__self_attach() - the registry's account of itself, as a collector like any other. */
int kymo__self_attach(struct kymo_registry *reg);

/* ---- slow.c ---- */

enum kymo__op {
    KYMO__ADD_WHOLE,
    KYMO__ADD_FRACTION,
    KYMO__SET,
    KYMO__ADD_SHARED,
    KYMO__OBSERVE,
    KYMO__STATES_SET, /* n: the states that hold */
    KYMO__STATES_OR,
    KYMO__STATES_AND,
};

struct kymo__record {
    enum kymo__op op;
    uint64_t n;
    double v;
    const struct kymo_exemplar *exemplar; /* or NULL */
};

/** kymo__record_slow() - records through the shared store, and leaves a mark for what the thread lacks. */
void kymo__record_slow(const struct kymo__cell *cell, struct kymo__record what);
/** kymo__record_slow_labels() - the same for a series found by its labels. */
void kymo__record_slow_labels(struct kymo__family *f, const char *const *values, size_t n, struct kymo__record what);
void kymo__refuse(struct kymo__family *f, enum kymo__refusal why);
/** kymo__refusal_of() - the reason under which an error of kymo__series_get() is counted. */
enum kymo__refusal kymo__refusal_of(int error);
/**
 * kymo__in_flight_enter() - counts the caller as one who may look at handles, tables and slots
 * Returns what kymo__in_flight_leave() takes. Signal-safe; costs two locked instructions.
 */
int64_t *kymo__in_flight_enter(struct kymo__segment *s);
void kymo__in_flight_leave(int64_t *counter);

extern const char *const kymo__refusal_names[KYMO__REFUSALS];

/* ---- for recording ---- */

/* Where a thread records in one process column. */
struct kymo__entry {
    uint64_t *words;       /* its own whole words, or NULL */
    uint64_t *fractions;   /* its own doubles, or NULL */
    struct kymo__ctl *ctl; /* stored last: the entry may be used once it is not NULL */
    struct kymo__pair *pairs;
};

struct kymo__seat;

/* A thread's control, in pages that read as zero in a child of fork(): n == 0 sends every recording the slow way. */
struct kymo__thread {
    uint32_t n;     /* entries that may be looked at */
    uint32_t wants; /* a mark was left below */
    struct kymo__entry *dir;
    uint8_t *marks;       /* n of them: 1 whole, 2 fractions wanted */
    uint32_t want_column; /* process column + 1 beyond n that was wanted last */
    uint32_t unused;
    struct kymo__seat *seat;
    uint64_t unused2[3];
};
_Static_assert(sizeof(struct kymo__thread) == 64 || sizeof(void *) != 8, "one cache line a thread");

/* The build chooses the TLS model (-ftls-model): one initial-exec pointer costs what a global would. */
extern _Thread_local struct kymo__thread *kymo__self __attribute__((visibility("hidden")));
/* This thread is inside a collector or a callback that a scrape called. */
extern _Thread_local int kymo__collecting __attribute__((visibility("hidden")));
/* The control of a thread that has none. */
extern struct kymo__thread kymo__nobody __attribute__((visibility("hidden")));

/** kymo__want() - leaves a mark: this thread, without words of its own, recorded in this column. Signal-safe. */
void kymo__want(struct kymo_registry *reg, uint32_t process_column, uint32_t segment_column, uint8_t what);

#endif
