/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/read.c - putting a value together: the shared store, and every shard's words, in the order of their creation.
 *
 * Sums never go back: each part only grows (a dead thread's shard stays where it is), and doubles are always added in
 * the same order. A histogram is taken from each shard as one state of whole observations: see docs/protocols.md.
 */
#include "core/native.h"

#include <string.h>

/* A view that nobody keeps: the column's lists themselves. */
struct walk {
    struct kymo__segment *s;
    uint32_t ref;
};

static uint64_t *walk_next(struct walk *w, struct kymo__ctl **ctl)
{
    if (w->ref == 0)
        return NULL;
    const struct kymo__chunk *chunk = kymo__at(w->s, w->ref);
    *ctl = &((struct kymo__shard *)kymo__at(w->s, chunk->shard))->ctl;
    w->ref = kymo__load_acquire(&chunk->next_in_column); /* with kymo__chunk_new() */
    return kymo__at(w->s, chunk->data);
}

void kymo__view_point(struct kymo__view *v, struct kymo__segment *s, uint32_t column)
{
    const struct kymo__column *record = kymo__column_at(s, column);
    struct kymo__ctl *ctl;
    v->column = column + 1;
    v->pairs = kymo__at(s, record->pairs);
    v->n[KYMO__WHOLE] = v->n[KYMO__FRACTION] = 0;
    struct walk w = {s, record->first_chunk[KYMO__WHOLE]};
    for (uint64_t *words; v->n[KYMO__WHOLE] < v->cap && (words = walk_next(&w, &ctl)) != NULL;) {
        v->ctls[v->n[KYMO__WHOLE]] = ctl;
        v->words[v->n[KYMO__WHOLE]++] = words;
    }
    w.ref = record->first_chunk[KYMO__FRACTION];
    for (uint64_t *words; v->n[KYMO__FRACTION] < v->cap && (words = walk_next(&w, &ctl)) != NULL;)
        v->fractions[v->n[KYMO__FRACTION]++] = words;
}

/* ---- numbers ---- */

static inline uint64_t saturating(uint64_t a, uint64_t b)
{
    return a + b < a ? UINT64_MAX : a + b;
}

static inline void counter_begin(struct kymo__pair *pair, struct kymo__sum *sum)
{
    sum->whole = kymo__load_relaxed(&pair->n); /* relaxed throughout: each word is a count of its own */
    sum->fraction = kymo__double(kymo__load_relaxed(&pair->sum));
}

static void view_number(const struct kymo__view *v, uint32_t word, int is_signed, struct kymo__sum *sum)
{
    counter_begin(&v->pairs[word], sum);
    for (uint32_t i = 0; i < v->n[KYMO__WHOLE]; i++) {
        uint64_t add = kymo__load_relaxed(&v->words[i][word]);
        sum->whole = is_signed ? sum->whole + add : saturating(sum->whole, add);
    }
    for (uint32_t i = 0; i < v->n[KYMO__FRACTION]; i++)
        sum->fraction += kymo__double(kymo__load_relaxed(&v->fractions[i][word]));
}

static void add_shards(struct kymo__segment *s, uint64_t loc, int is_signed, struct kymo__sum *sum)
{
    const struct kymo__column *record = kymo__column_at(s, (uint32_t)(loc >> KYMO__WORD_BITS));
    uint32_t word = (uint32_t)(loc & (KYMO__WORDS - 1));
    struct kymo__ctl *ctl;
    struct walk w = {s, kymo__load_acquire(&record->first_chunk[KYMO__WHOLE])};
    for (uint64_t *words; (words = walk_next(&w, &ctl)) != NULL;) {
        uint64_t add = kymo__load_relaxed(&words[word]);
        sum->whole = is_signed ? sum->whole + add : saturating(sum->whole, add);
    }
    w.ref = kymo__load_acquire(&record->first_chunk[KYMO__FRACTION]);
    for (uint64_t *words; (words = walk_next(&w, &ctl)) != NULL;)
        sum->fraction += kymo__double(kymo__load_relaxed(&words[word]));
}

void kymo__sum_shards(struct kymo__segment *s, uint64_t loc, struct kymo__sum *sum)
{
    sum->whole = 0;
    sum->fraction = 0;
    add_shards(s, loc, 1, sum);
}

/* ---- histograms ---- */

struct state {
    uint64_t count;
    double sum;
    uint64_t *buckets; /* n_bounds + 1 */
};

/* The words at one moment, as they will be once an update that is on its way is complete; 0 if they changed. */
static int read_words(const struct kymo__ctl *ctl, const uint64_t *slot, uint32_t n, struct state *to)
{
    uint64_t seq = kymo__load_acquire(&slot[0]); /* with kymo__observe_words() */
    uint64_t final = seq;
    uint64_t sum = kymo__load_relaxed(&slot[1]);
    for (uint32_t i = 0; i < n; i++)
        to->buckets[i] = kymo__load_relaxed(&slot[2 + i]);
    if (seq & 1) {
        uint32_t at = (uint32_t)kymo__load_relaxed(&ctl->redo_at);
        if (kymo__load_relaxed(&ctl->redo_slot) != (int64_t)((const char *)slot - (const char *)ctl))
            return 0;
        final = kymo__load_relaxed(&ctl->redo_seq);
        sum = kymo__load_relaxed(&ctl->redo_sum);
        if (at >= 2 && at - 2 < n)
            to->buckets[at - 2] = kymo__load_relaxed(&ctl->redo_value[0]);
    }
    kymo__fence_acquire(); /* everything above before the second look */
    if (kymo__load_relaxed(&slot[0]) != seq)
        return 0;
    to->count = final / 2;
    to->sum = kymo__double(sum);
    return 1;
}

static void add_words(const struct kymo__ctl *ctl, const uint64_t *slot, uint32_t n, struct state *total)
{
    uint64_t buckets[KYMO__MAX_BOUNDS];
    struct state one = {0, 0, buckets};
    if (kymo__load_relaxed(&slot[0]) == 0)
        return; /* nothing yet: what is observed from now on began after us */
    while (!read_words(ctl, slot, n, &one)) {
    }
    uint64_t inside = 0;
    for (uint32_t i = 0; i < n; i++) {
        total->buckets[i] += buckets[i];
        inside += buckets[i];
    }
    total->buckets[n] += one.count - inside;
    total->count += one.count;
    total->sum += one.sum;
}

static void begin_pairs(struct kymo__pair *pairs, uint32_t n, struct state *total)
{
    total->count = 0;
    total->sum = 0;
    for (uint32_t i = 0; i <= n; i++) {
        double sum;
        total->buckets[i] = 0;
        if (kymo__load_relaxed(&pairs[i].n) == 0)
            continue;
        kymo__pair_read(&pairs[i], &total->buckets[i], &sum);
        total->count += total->buckets[i];
        total->sum += sum;
    }
}

/* ---- points ---- */

void kymo__point_name(struct kymo_point *point, const struct kymo__family *f, const struct kymo__series *series)
{
    point->id = kymo__ref(f->reg->segment, series);
    point->generation = series->generation;
    point->start_ns = series->start_ns;
    point->labels = series->text;
    point->labels_len = series->text_len;
}

struct kymo_point kymo__point_of(const struct kymo__family *f, const struct kymo__series *series)
{
    struct kymo_point point;
    memset(&point, 0, sizeof(point));
    point.size = sizeof(point);
    kymo__point_name(&point, f, series);
    return point;
}

static void point_histogram(const struct kymo__family *f, const struct state *state, struct kymo_point *point)
{
    struct kymo_histogram_point *h = &point->value.histogram;
    h->count = state->count;
    h->sum = state->sum;
    h->bounds = f->bounds;
    h->n_bounds = f->n_bounds;
    h->buckets = state->buckets;
    h->native = NULL;
}

static void point_number(const struct kymo__family *f, struct kymo__sum sum, struct kymo_point *point)
{
    if (f->info.kind == KYMO_COUNTER) {
        point->value.counter.whole = sum.whole;
        point->value.counter.fraction = sum.fraction;
    } else if (f->info.kind == KYMO_STATESET) {
        point->value.states = sum.whole;
    } else if (f->class == KYMO__SHARED) {
        point->value.gauge = sum.fraction;
    } else {
        point->value.gauge = (double)(int64_t)sum.whole + sum.fraction;
    }
}

void kymo__read_series(struct kymo__view *v, const struct kymo__family *f, uint64_t loc, uint64_t *buckets,
                       struct kymo_point *point)
{
    uint32_t column = (uint32_t)(loc >> KYMO__WORD_BITS), word = (uint32_t)(loc & (KYMO__WORDS - 1));
    if (f->class == KYMO__NATIVE) { /* finds its chunks itself */
        kymo__native_read(f, loc, buckets, point);
        return;
    }
    if (v->column != column + 1)
        kymo__view_point(v, f->reg->segment, column);
    if (f->class == KYMO__HISTOGRAMS) {
        struct state total = {0, 0, buckets};
        begin_pairs(&v->pairs[word], f->n_bounds, &total);
        for (uint32_t i = 0; i < v->n[KYMO__WHOLE]; i++)
            add_words(v->ctls[i], v->words[i] + word, f->n_bounds, &total);
        point_histogram(f, &total, point);
        return;
    }
    struct kymo__sum sum;
    view_number(v, word, f->info.kind == KYMO_GAUGE, &sum);
    point_number(f, sum, point);
}

void kymo__read_one(const struct kymo__family *f, uint64_t loc, uint64_t *buckets, struct kymo_point *point)
{
    struct kymo__segment *s = f->reg->segment;
    const struct kymo__column *record = kymo__column_at(s, (uint32_t)(loc >> KYMO__WORD_BITS));
    uint32_t word = (uint32_t)(loc & (KYMO__WORDS - 1));
    struct kymo__ctl *ctl;
    if (f->class == KYMO__NATIVE) {
        kymo__native_totals(f, loc, buckets, point);
        return;
    }
    if (f->class == KYMO__HISTOGRAMS) {
        struct state total = {0, 0, buckets};
        begin_pairs(kymo__pairs_at(s, loc), f->n_bounds, &total);
        struct walk w = {s, kymo__load_acquire(&record->first_chunk[KYMO__WHOLE])};
        for (uint64_t *words; (words = walk_next(&w, &ctl)) != NULL;)
            add_words(ctl, words + word, f->n_bounds, &total);
        point_histogram(f, &total, point);
        return;
    }
    struct kymo__sum sum;
    counter_begin(kymo__pairs_at(s, loc), &sum);
    add_shards(s, loc, f->info.kind == KYMO_GAUGE, &sum);
    point_number(f, sum, point);
}
