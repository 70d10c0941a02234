/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/exemplar_record.c - the recording calls that bring an exemplar.
 *
 * Each records as its plain brother in metric.c does and then, where the thread's word is still at hand, asks whether
 * this one is to be kept. Mostly it is not: that must cost no frame and no call, so what follows if it is stands apart
 * and ends the recording itself. It may take its time: the thread is busy, but no histogram is being updated any more.
 */
#include "core/exemplar.h"
#include "core/native.h"

static __attribute__((noinline, cold)) void keep(const struct kymo__cell *cell, struct kymo__ctl *ctl, uint64_t busy,
                                                 double v, const struct kymo_exemplar *ex)
{
    struct kymo__family *f = cell->family;
    uint32_t bucket = f->info.kind == KYMO_HISTOGRAM ? kymo__bucket(f->bounds, f->n_bounds, v) : 0;
    const struct kymo__series *series =
        kymo__at(f->reg->segment, kymo__load_acquire(&cell->series)); /* with a loc of it */
    kymo__exemplar_keep(f, series, bucket, f->class == KYMO__NATIVE, v, ex);
    kymo__end(ctl, busy);
}

static __attribute__((noinline)) void slow(const struct kymo__cell *cell, enum kymo__op op, uint64_t n, double v,
                                           const struct kymo_exemplar *ex)
{
    struct kymo__record what = {op, n, v, ex};
    kymo__record_slow(cell, what);
}

/* ---- counters ---- */

static inline void add_whole(const struct kymo__cell *cell, uint64_t n, const struct kymo_exemplar *ex)
{
    uint64_t loc, busy;
    struct kymo__entry *entry = kymo__begin(cell, &loc, &busy);
    if (kymo__unlikely(entry == NULL)) {
        slow(cell, KYMO__ADD_WHOLE, n, 0, ex);
        return;
    }
    uint64_t *word = &entry->words[loc & (KYMO__WORDS - 1)];
    uint64_t before = kymo__load_relaxed(word);
    kymo__store_relaxed(word, before + n); /* single writer */
    if (kymo__unlikely(kymo__exemplar_due(cell->family, before)) && ex != NULL)
        keep(cell, entry->ctl, busy, (double)n, ex);
    else
        kymo__end(entry->ctl, busy);
}

static void add_fraction(const struct kymo__cell *cell, double v, const struct kymo_exemplar *ex)
{
    uint64_t loc, busy;
    struct kymo__entry *entry = kymo__begin(cell, &loc, &busy);
    uint64_t *words = entry != NULL ? kymo__load_acquire(&entry->fractions) : NULL; /* with entry_add_chunk() */
    if (kymo__unlikely(words == NULL)) {
        if (entry != NULL)
            kymo__end(entry->ctl, busy);
        slow(cell, KYMO__ADD_FRACTION, 0, v, ex);
        return;
    }
    uint64_t *word = &words[loc & (KYMO__WORDS - 1)];
    uint64_t before = kymo__load_relaxed(word);
    kymo__add_fraction(word, v);
    if (kymo__unlikely(kymo__exemplar_due_bits(cell->family, before)) && ex != NULL)
        keep(cell, entry->ctl, busy, v, ex);
    else
        kymo__end(entry->ctl, busy);
}

void kymo_counter_inc_exemplar(struct kymo_counter *c, const struct kymo_exemplar *ex)
{
    if (kymo__likely(c != NULL))
        add_whole((struct kymo__cell *)c, 1, ex);
}

void kymo_counter_add_exemplar(struct kymo_counter *c, double v, const struct kymo_exemplar *ex)
{
    struct kymo__cell *cell = (struct kymo__cell *)c;
    if (c == NULL || kymo__counter_refuses(cell->family, v))
        return;
    uint64_t whole = v <= KYMO__WHOLE_MAX ? (uint64_t)v : 0;
    if ((double)whole == v)
        add_whole(cell, whole, ex);
    else
        add_fraction(cell, v, ex);
}

/* ---- histograms ---- */

/* Apart, so that classic ones need no frame. */
static __attribute__((noinline)) void observe_native(const struct kymo__cell *cell, double v,
                                                     const struct kymo_exemplar *ex)
{
    uint64_t loc, busy;
    struct kymo__entry *entry = kymo__begin(cell, &loc, &busy);
    if (kymo__unlikely(entry == NULL)) {
        slow(cell, KYMO__OBSERVE, 1, v, ex);
        return;
    }
    uint32_t word = (uint32_t)(loc & (KYMO__WORDS - 1));
    uint64_t before = kymo__native_observe(cell->family, entry->ctl, &entry->words[word], &entry->pairs[word], v, 1);
    if (kymo__unlikely(kymo__exemplar_due(cell->family, before)) && ex != NULL)
        keep(cell, entry->ctl, busy, v, ex);
    else
        kymo__end(entry->ctl, busy);
}

/* Decided before it observes, so that nothing of this has to be kept in a register meanwhile. */
static __attribute__((noinline, cold)) void observe_and_keep(const struct kymo__cell *cell, struct kymo__ctl *ctl,
                                                             uint64_t *slot, uint64_t busy, double v,
                                                             const struct kymo_exemplar *ex)
{
    const struct kymo__family *f = cell->family;
    kymo__observe_words(ctl, slot, f->n_bounds, kymo__bucket(f->bounds, f->n_bounds, v), v - v == 0 ? v : 0.0, 1);
    keep(cell, ctl, busy, v, ex);
}

static inline void observe_classic(const struct kymo__cell *cell, double v, const struct kymo_exemplar *ex)
{
    uint64_t loc, busy;
    const struct kymo__family *f = cell->family;
    uint32_t bucket = kymo__bucket(f->bounds, f->n_bounds, v);
    struct kymo__entry *entry = kymo__begin(cell, &loc, &busy);
    if (kymo__unlikely(entry == NULL)) {
        slow(cell, KYMO__OBSERVE, 1, v, ex);
        return;
    }
    uint64_t *slot = &entry->words[loc & (KYMO__WORDS - 1)];
    /* The bucket above all bounds has no word: the sequence, which counts all observations, changes as well. */
    uint64_t before = kymo__load_relaxed(&slot[bucket < f->n_bounds ? 2 + bucket : 0]);
    if (kymo__unlikely(kymo__exemplar_due(f, before)) && ex != NULL) {
        observe_and_keep(cell, entry->ctl, slot, busy, v, ex);
        return;
    }
    kymo__observe_words(entry->ctl, slot, f->n_bounds, bucket, v - v == 0 ? v : 0.0, 1);
    kymo__end(entry->ctl, busy);
}

void kymo_histogram_observe_exemplar(struct kymo_histogram *h, double v, const struct kymo_exemplar *ex)
{
    struct kymo__cell *cell = (struct kymo__cell *)h;
    if (kymo__unlikely(h == NULL))
        return;
    if (kymo__unlikely(v != v))
        kymo__refuse(cell->family, KYMO__NAN);
    else if (kymo__likely(cell->family->class != KYMO__NATIVE))
        observe_classic(cell, v, ex);
    else
        observe_native(cell, v, ex);
}
