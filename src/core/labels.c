/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/labels.c - recording by label values in one call.
 *
 * The thread is busy from before the family's table is read until the word is written, so that neither the table nor
 * the slot can be given away meanwhile. Nothing is pinned.
 */
#include "core/guard.h"
#include "core/native.h"

/* Where a recording by labels has arrived. */
struct found {
    struct kymo__entry *entry; /* NULL: go the slow way */
    struct kymo__ctl *ctl;     /* busy if not NULL */
    uint64_t busy;
    uint32_t word;
};

/* No living series has these labels: some other one may be meant to take the recording. KYMO__DEAD: the slow way knows. */
static __attribute__((noinline)) uint64_t reroute(struct kymo__family *f, const char *const *values, int found,
                                                  double weight, enum kymo__need need)
{
    const struct kymo__series *series = found ? NULL : kymo__guard_miss(f, values, weight, need);
    return series != NULL ? kymo__load_acquire(&series->loc) : KYMO__DEAD;
}

/* Busy from before the table is read until the caller is done: tables and slots stay what they are. */
static inline __attribute__((always_inline)) struct found find_entry(struct kymo__family *f, const char *const *values,
                                                                     size_t n, double weight, enum kymo__need need)
{
    struct found to = {NULL, NULL, 0, 0};
    struct kymo__entry *home = kymo__entry_of(f->reg->home);
    struct kymo__ctl *ctl = home != NULL ? kymo__load_acquire(&home->ctl) : NULL; /* with lease() */
    if (kymo__unlikely(ctl == NULL || n != f->n_labels || values == NULL) || !kymo__set_busy(ctl, &to.busy))
        return to;
    to.ctl = ctl;
    const struct kymo__series *series = kymo__series_find(f, values);
    /* We are busy: it stays ours. Acquire as in kymo__guard_home(): it may have come to life after it was found. */
    uint64_t loc = series != NULL ? kymo__load_acquire(&series->loc) : KYMO__DEAD;
    if (kymo__unlikely(loc & KYMO__DEAD_BIT)) {
        loc = reroute(f, values, series != NULL, weight, need);
        if (loc & KYMO__DEAD_BIT)
            return to;
    }
    to.word = (uint32_t)(loc & (KYMO__WORDS - 1));
    struct kymo__entry *entry = kymo__entry_of(kymo__load_acquire(&f->reg->columns)[loc >> KYMO__WORD_BITS]);
    if (kymo__likely(entry != NULL && kymo__load_acquire(&entry->ctl) != NULL))
        to.entry = entry;
    return to;
}

static void leave(struct found to)
{
    if (to.ctl != NULL)
        kymo__end(to.ctl, to.busy);
}

static __attribute__((noinline)) void slow_labels(struct kymo__family *f, const char *const *values, size_t n,
                                                  enum kymo__op op, uint64_t whole, double v)
{
    struct kymo__record what = {op, whole, v, NULL};
    kymo__record_slow_labels(f, values, n, what);
}

static inline void add_whole_labels(struct kymo__family *f, uint64_t amount, const char *const *values, size_t n)
{
    struct found to = find_entry(f, values, n, (double)amount, KYMO__NEED_ENTRY);
    if (kymo__likely(to.entry != NULL))
        kymo__add_word(&to.entry->words[to.word], amount);
    leave(to);
    if (kymo__unlikely(to.entry == NULL))
        slow_labels(f, values, n, KYMO__ADD_WHOLE, amount, 0);
}

static void add_fraction_labels(struct kymo__family *f, double v, const char *const *values, size_t n)
{
    struct found to = find_entry(f, values, n, v, KYMO__NEED_FRACTIONS);
    uint64_t *words = to.entry != NULL ? kymo__load_acquire(&to.entry->fractions) : NULL;
    if (kymo__likely(words != NULL))
        kymo__add_fraction(&words[to.word], v);
    leave(to);
    if (kymo__unlikely(words == NULL))
        slow_labels(f, values, n, KYMO__ADD_FRACTION, 0, v);
}

void kymo_counter_family_inc(struct kymo_counter_family *f, const char *const *values, size_t n)
{
    if (kymo__likely(f != NULL))
        add_whole_labels((struct kymo__family *)f, 1, values, n);
}

void kymo_counter_family_add(struct kymo_counter_family *f, double v, const char *const *values, size_t n)
{
    struct kymo__family *family = (struct kymo__family *)f;
    if (f == NULL || kymo__counter_refuses(family, v))
        return;
    uint64_t whole = v <= KYMO__WHOLE_MAX ? (uint64_t)v : 0;
    if ((double)whole == v)
        add_whole_labels(family, whole, values, n);
    else
        add_fraction_labels(family, v, values, n);
}

static void set_labels(struct kymo__family *f, double v, const char *const *values, size_t n)
{
    struct found to = find_entry(f, values, n, 0, KYMO__NEED_ENTRY);
    if (to.entry != NULL)
        kymo__store_relaxed(&to.entry->pairs[to.word].sum, kymo__bits(v));
    if (to.entry != NULL && !kymo__load_relaxed(&f->plain_set))
        kymo__add_relaxed(&to.entry->pairs[to.word].n, 1); /* that it differs is all that counts: look() in upkeep.c */
    leave(to);
    if (to.entry == NULL)
        slow_labels(f, values, n, KYMO__SET, 0, v);
}

void kymo_gauge_family_set(struct kymo_gauge_family *f, double v, const char *const *values, size_t n)
{
    struct kymo__family *family = (struct kymo__family *)f;
    if (f == NULL)
        return;
    if (family->class == KYMO__SHARED)
        set_labels(family, v, values, n);
    else
        slow_labels(family, values, n, KYMO__SET, 0, v);
}

static void add_shared_labels(struct kymo__family *f, double v, const char *const *values, size_t n)
{
    struct found to = find_entry(f, values, n, 0, KYMO__NEED_ENTRY);
    if (to.entry != NULL)
        kymo__add_double_relaxed(&to.entry->pairs[to.word].sum, v);
    leave(to);
    if (to.entry == NULL)
        slow_labels(f, values, n, KYMO__ADD_SHARED, 0, v);
}

void kymo_gauge_family_add(struct kymo_gauge_family *f, double v, const char *const *values, size_t n)
{
    struct kymo__family *family = (struct kymo__family *)f;
    if (f == NULL)
        return;
    if (family->class == KYMO__SHARED) {
        add_shared_labels(family, v, values, n);
    } else if (!isfinite(v)) {
        kymo__refuse(family, isnan(v) ? KYMO__NAN : KYMO__INFINITE);
    } else {
        int64_t whole = fabs(v) <= KYMO__WHOLE_MAX ? (int64_t)v : 0;
        if ((double)whole == v)
            add_whole_labels(family, (uint64_t)whole, values, n);
        else
            add_fraction_labels(family, v, values, n);
    }
}

void kymo_histogram_family_observe(struct kymo_histogram_family *f, double v, const char *const *values, size_t n)
{
    struct kymo__family *family = (struct kymo__family *)f;
    if (f == NULL)
        return;
    if (isnan(v)) {
        kymo__refuse(family, KYMO__NAN);
        return;
    }
    struct found to = find_entry(family, values, n, 1, KYMO__NEED_ENTRY);
    if (to.entry != NULL && family->class == KYMO__NATIVE)
        (void)kymo__native_observe(family, to.ctl, &to.entry->words[to.word], &to.entry->pairs[to.word], v, 1);
    else if (kymo__likely(to.entry != NULL))
        kymo__observe_words(to.ctl, &to.entry->words[to.word], family->n_bounds,
                            kymo__bucket(family->bounds, family->n_bounds, v), isinf(v) ? 0.0 : v, 1);
    leave(to);
    if (kymo__unlikely(to.entry == NULL))
        slow_labels(family, values, n, KYMO__OBSERVE, 1, v);
}
