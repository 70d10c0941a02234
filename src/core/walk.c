/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/walk.c - showing a registry to a visitor, in steps: its own series, then what collectors report.
 *
 * A step holds the registry's lock while it shows own series, so a page of 64 KiB is what registration may have to
 * wait for; recording waits for nothing. Between steps only the place is kept: families and series records are never
 * freed before the registry, and an ended family is passed over.
 */
#include <string.h>

#include "core/exemplar.h"
#include "core/record.h"
#include "core/top.h"

/* ---- scratch ---- */

static size_t view_bytes(uint32_t cap)
{
    return cap * (2 * sizeof(uint64_t *) + sizeof(struct kymo__ctl *)) + (KYMO__MAX_BOUNDS + 1) * sizeof(uint64_t);
}

/* Room for the chunks of as many shards as there are; under the lock, so there will be no more during the step. */
static int view_ensure(struct kymo_registry *reg, struct kymo__walk *w)
{
    uint32_t need = reg->segment->n_shards;
    w->view.column = 0;
    if (w->buckets != NULL && need <= w->view.cap)
        return 0;
    uint32_t cap = need < 16 ? 16 : need * 2;
    void *memory = kymo__heap_alloc(reg, view_bytes(cap));
    if (memory == NULL)
        return KYMO_ENOMEM;
    kymo__heap_free(reg, w->buckets, w->view_bytes);
    w->view_bytes = view_bytes(cap);
    w->buckets = memory;
    w->view.cap = cap;
    w->view.words = (uint64_t **)(w->buckets + KYMO__MAX_BOUNDS + 1);
    w->view.fractions = w->view.words + cap;
    w->view.ctls = (struct kymo__ctl **)(w->view.fractions + cap);
    return 0;
}

/* Points of one series, those of native buckets behind those of classic ones, and the texts of all. */
static size_t exemplar_bytes(size_t n)
{
    return n * (sizeof(struct kymo_exemplar_point) + KYMO__EXEMPLAR_TEXT) + 2 * KYMO__TEXT_SLACK;
}

static int exemplars_ensure(struct kymo_registry *reg, struct kymo__walk *w)
{
    const struct kymo__family *f = w->family;
    size_t need = f->n_bounds + 1 + (f->desc.native != NULL ? f->native.max_exemplars : 0);
    if (f->exemplar_limit == 0 || need <= w->n_exemplars)
        return 0;
    void *memory = kymo__heap_alloc(reg, exemplar_bytes(need));
    if (memory == NULL)
        return KYMO_ENOMEM;
    if (w->exemplars != NULL)
        kymo__heap_free(reg, w->exemplars, exemplar_bytes(w->n_exemplars));
    w->exemplars = memory;
    w->n_exemplars = need;
    return 0;
}

/* ---- who walks ---- */

static void watch(struct kymo_registry *reg, struct kymo__walk *w)
{
    w->next = reg->walks;
    reg->walks = w;
}

static void unwatch(struct kymo_registry *reg, struct kymo__walk *w)
{
    struct kymo__walk **link = &reg->walks;
    while (*link != NULL && *link != w)
        link = &(*link)->next;
    if (*link != NULL)
        *link = w->next;
}

/* Points at the first series of its family; the last one there is now is the last to be shown. */
static void family_from_start(struct kymo__walk *w)
{
    w->series = w->family != NULL ? w->family->record->first_series : 0;
    w->series_last = w->series != 0 ? w->family->record->last_series : 0;
}

static uint32_t series_after(const struct kymo__walk *w, const struct kymo__series *series)
{
    return w->series == w->series_last ? 0 : series->next;
}

void kymo__cursor_begin(struct kymo__walk *cursor, struct kymo__family *f)
{
    memset(cursor, 0, sizeof(*cursor));
    cursor->family = f;
    family_from_start(cursor);
    watch(f->reg, cursor);
}

struct kymo__series *kymo__cursor_next(struct kymo__walk *cursor)
{
    if (cursor->series == 0)
        return NULL;
    struct kymo__series *series = kymo__series_at(cursor->family, cursor->series);
    cursor->series = series_after(cursor, series);
    return series;
}

int kymo__cursor_pause(struct kymo__walk *cursor)
{
    struct kymo__family *f = cursor->family;
    pthread_mutex_unlock(&f->reg->lock);
    pthread_mutex_lock(&f->reg->lock);
    return !f->dead;
}

void kymo__cursor_end(struct kymo__walk *cursor)
{
    unwatch(cursor->family->reg, cursor);
}

void kymo__walk_begin(struct kymo_registry *reg, struct kymo__walk *w)
{
    memset(w, 0, sizeof(*w));
    kymo__upkeep(reg, 0);
    pthread_mutex_lock(&reg->lock);
    reg->n_walks++;
    if (++reg->last_walk == 0)
        reg->last_walk = 1;
    w->id = reg->last_walk;
    watch(reg, w);
    pthread_mutex_unlock(&reg->lock);
}

void kymo__walk_end(struct kymo_registry *reg, struct kymo__walk *w)
{
    kymo__heap_free(reg, w->buckets, w->view_bytes);
    if (w->exemplars != NULL)
        kymo__heap_free(reg, w->exemplars, exemplar_bytes(w->n_exemplars));
    kymo__collect_free(reg, w->remembered);
    pthread_mutex_lock(&reg->lock);
    unwatch(reg, w);
    if (w->done)
        kymo__top_shown(reg, w->id);
    memset(w, 0, sizeof(*w));
    reg->n_walks--;
    pthread_mutex_unlock(&reg->lock);
    kymo__collector_purge(reg);
}

/* ---- own series ---- */

/* What the family is shown as. */
static const struct kymo_family *info_of(const struct kymo__walk *w)
{
    return w->name == 0 ? &w->family->info : &w->family->aliases[w->name - 1].info;
}

/* Where it counts, whether or not it is recorded into at the moment. */
static inline uint64_t slot_of(const struct kymo__series *series)
{
    return kymo__load_relaxed(&series->loc) & KYMO__SLOT_MASK; /* recorders change the bits above alone */
}

static int show_family(struct kymo__walk *w, const struct kymo_visitor *visitor)
{
    if (w->begun)
        return 0;
    w->begun = 1;
    return visitor->family != NULL ? visitor->family(visitor->ctx, info_of(w)) : 0;
}

/* Its id is known as that of the name a series has now: under another one it has none. */
static int show_point(const struct kymo__walk *w, struct kymo_point *point, const struct kymo_visitor *visitor)
{
    if (w->name != 0)
        point->id = point->generation = 0;
    return visitor->sample(visitor->ctx, info_of(w), point);
}

/* Exemplars of classic buckets and of the store lie side by side, and so do their texts. */
static size_t read_exemplars(const struct kymo__walk *w, const struct kymo__series *series, int native)
{
    const struct kymo__family *f = w->family;
    size_t from = native ? f->n_bounds + 1 : 0, room = native ? f->native.max_exemplars : f->n_bounds + 1;
    char *text = (char *)(w->exemplars + w->n_exemplars) + from * KYMO__EXEMPLAR_TEXT;
    if (native)
        text += KYMO__TEXT_SLACK;
    return kymo__exemplars_read(f, series, native, w->exemplars + from, room, text,
                                room * KYMO__EXEMPLAR_TEXT + KYMO__TEXT_SLACK);
}

/* The value is read after the exemplars: what they point at is in it then. @native: lent to the point. */
static void read_with_exemplars(struct kymo__walk *w, const struct kymo__series *series, struct kymo_point *point,
                                struct kymo_native_point *native)
{
    const struct kymo__family *f = w->family;
    size_t n_native = f->desc.native != NULL ? read_exemplars(w, series, 1) : 0;
    point->n_exemplars = read_exemplars(w, series, 0);
    point->exemplars = point->n_exemplars != 0 ? w->exemplars : NULL;
    kymo__read_series(&w->view, f, slot_of(series), w->buckets, point);
    if (n_native == 0)
        return;
    *native = *point->value.histogram.native;
    native->exemplars = w->exemplars + f->n_bounds + 1;
    native->n_exemplars = n_native;
    point->value.histogram.native = native;
}

static inline void read_point(struct kymo__walk *w, const struct kymo__series *series, struct kymo_point *point,
                              struct kymo_native_point *native)
{
    if (w->family->exemplar_limit != 0)
        read_with_exemplars(w, series, point, native);
    else
        kymo__read_series(&w->view, w->family, slot_of(series), w->buckets, point);
}

static int show_series(struct kymo__walk *w, const struct kymo_visitor *visitor)
{
    struct kymo__family *f = w->family;
    const struct kymo__series *series = kymo__at(f->reg->segment, w->series);
    struct kymo_native_point native;
    int r = exemplars_ensure(f->reg, w);
    if (r != 0 || w->series == 0)
        return r;
    struct kymo_point point = kymo__point_of(f, series);
    for (;;) {
        read_point(w, series, &point, &native);
        r = show_point(w, &point, visitor);
        if (r != 0)
            return r;
        if (kymo__unlikely(f->record->top != 0))
            kymo__top_seen(f, series, w->id);
        w->series = series_after(w, series);
        if (w->series == 0)
            return 0;
        series = kymo__at(f->reg->segment, w->series);
        kymo__point_name(&point, f, series);
    }
}

/* Asks a callback once for all names, without the registry's lock: it may take its time. */
static int read_callback(struct kymo_registry *reg, struct kymo__walk *w)
{
    struct kymo__family *f = w->family;
    if (w->has_read)
        return 0;
    pthread_mutex_unlock(&reg->lock);
    pthread_mutex_lock(&reg->collect_lock);
    w->has_read = !f->dead;
    kymo__collecting = 1;
    w->read = w->has_read ? f->read(f->read_ctx) : 0;
    kymo__collecting = 0;
    pthread_mutex_unlock(&reg->collect_lock);
    pthread_mutex_lock(&reg->lock);
    return view_ensure(reg, w); /* the lock was away: there may be more shards */
}

static int show_callback(struct kymo_registry *reg, struct kymo__walk *w, const struct kymo_visitor *visitor)
{
    struct kymo__family *f = w->family;
    struct kymo_point point;
    int r = read_callback(reg, w);
    if (r != 0)
        return r;
    memset(&point, 0, sizeof(point));
    point.size = sizeof(point);
    point.labels = "";
    if (f->info.kind == KYMO_GAUGE)
        point.value.gauge = w->read;
    else
        point.value.counter.fraction = w->read;
    if (!w->has_read || (f->info.kind == KYMO_COUNTER && !(w->read >= 0)))
        return 0;
    return show_point(w, &point, visitor);
}

static int show_points(struct kymo_registry *reg, struct kymo__walk *w, const struct kymo_visitor *visitor)
{
    if (w->family->dead)
        return 0;
    int r = show_family(w, visitor);
    if (r != 0 || w->pass_over)
        return r;
    r = w->family->read != NULL ? show_callback(reg, w, visitor) : show_series(w, visitor);
    if (r == 0 && visitor->end != NULL)
        r = visitor->end(visitor->ctx, info_of(w));
    return r;
}

static void family_next(struct kymo_registry *reg, struct kymo__walk *w)
{
    if (!w->own_begun) {
        w->family = reg->first_family;
        w->last = reg->last_family; /* what is registered from now on is for the next walk: no name is shown twice */
    } else {
        w->family = w->family != w->last ? w->family->next : NULL;
    }
    w->own_begun = 1;
    w->name = 0;
    w->has_read = 0;
    w->begun = 0;
    family_from_start(w);
    w->own_done = w->family == NULL;
}

/* The family's next name, or the next family. */
static void name_next(struct kymo_registry *reg, struct kymo__walk *w)
{
    if (w->name == w->family->desc.n_aliases || w->family->dead) {
        family_next(reg, w);
        return;
    }
    w->name++;
    w->begun = 0;
    family_from_start(w);
}

static int step_own(struct kymo_registry *reg, struct kymo__walk *w, const struct kymo_visitor *visitor)
{
    pthread_mutex_lock(&reg->lock);
    int r = view_ensure(reg, w);
    if (r == 0 && !w->own_begun)
        family_next(reg, w);
    while (r == 0 && !w->own_done) {
        r = show_points(reg, w, visitor);
        if (r == 0)
            name_next(reg, w);
    }
    pthread_mutex_unlock(&reg->lock);
    return r;
}

/* ---- collectors ---- */

static struct kymo_collector *collector_next(struct kymo_registry *reg, struct kymo__walk *w)
{
    struct kymo_collector **link = w->collectors_begun ? &w->collector->next : &reg->collectors;
    w->collectors_begun = 1;
    w->collector = kymo__load_acquire(link); /* with collector_link() */
    return w->collector;
}

static int step_collectors(struct kymo_registry *reg, struct kymo__walk *w, const struct kymo_visitor *visitor)
{
    for (;;) {
        int error;
        if (w->remembered == NULL) {
            if (collector_next(reg, w) == NULL)
                return 0;
            w->remembered = kymo__collect_run(reg, w->collector, &error);
            if (error != 0)
                return error;
        }
        int r = kymo__collect_replay(w->remembered, visitor);
        if (r != 0)
            return r;
        kymo__collect_free(reg, w->remembered);
        w->remembered = NULL;
    }
}

int kymo__walk_step(struct kymo_registry *reg, struct kymo__walk *w, const struct kymo_visitor *visitor)
{
    int r = 0;
    if (!w->own_done)
        r = step_own(reg, w, visitor);
    if (r == 0)
        r = step_collectors(reg, w, visitor);
    if (r == 0)
        w->done = 1;
    return r;
}

int kymo_registry_visit(struct kymo_registry *reg, const struct kymo_visitor *visitor)
{
    struct kymo__walk w;
    struct kymo_visitor v;
    if (reg == NULL || visitor == NULL || visitor->size < sizeof(v) || visitor->sample == NULL)
        return KYMO_EINVAL;
    if (kymo__collecting)
        return KYMO_EBUSY;
    v = *visitor;
    kymo__enter();
    kymo__provide(reg);
    kymo__walk_begin(reg, &w);
    int r = kymo__walk_step(reg, &w, &v);
    kymo__walk_end(reg, &w);
    return r;
}
