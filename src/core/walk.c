/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/walk.c - showing a registry to a visitor, in steps: its own series, then what collectors report.
 *
 * A step holds the registry's lock while it shows own series, so a page of 64 KiB is what registration may have to
 * wait for; recording waits for nothing. Between steps only the place is kept: families and series records are never
 * freed before the registry, and an ended family is passed over.
 */
#include <string.h>

#include "core/core.h"

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

void kymo__walk_begin(struct kymo_registry *reg, struct kymo__walk *w)
{
    memset(w, 0, sizeof(*w));
    pthread_mutex_lock(&reg->lock);
    reg->n_walks++;
    pthread_mutex_unlock(&reg->lock);
}

void kymo__walk_end(struct kymo_registry *reg, struct kymo__walk *w)
{
    kymo__heap_free(reg, w->buckets, w->view_bytes);
    kymo__collect_free(reg, w->remembered);
    memset(w, 0, sizeof(*w));
    pthread_mutex_lock(&reg->lock);
    reg->n_walks--;
    pthread_mutex_unlock(&reg->lock);
    kymo__collector_purge(reg);
}

/* ---- own series ---- */

static int show_family(struct kymo__walk *w, const struct kymo_visitor *visitor)
{
    if (w->begun)
        return 0;
    w->begun = 1;
    return visitor->family != NULL ? visitor->family(visitor->ctx, &w->family->info) : 0;
}

static int show_series(struct kymo__walk *w, const struct kymo_visitor *visitor)
{
    struct kymo__family *f = w->family;
    const struct kymo__series *series = kymo__at(f->reg->segment, w->series);
    if (w->series == 0)
        return 0;
    struct kymo_point point = kymo__point_of(f, series);
    for (;;) {
        kymo__read_series(&w->view, f, series->loc, w->buckets, &point);
        int r = visitor->sample(visitor->ctx, &f->info, &point);
        if (r != 0)
            return r;
        w->series = series->next;
        if (w->series == 0)
            return 0;
        series = kymo__at(f->reg->segment, w->series);
        kymo__point_name(&point, f, series);
    }
}

/* The value of a callback, read without the registry's lock: it may take its time. */
static int show_callback(struct kymo_registry *reg, struct kymo__walk *w, const struct kymo_visitor *visitor)
{
    struct kymo__family *f = w->family;
    struct kymo_point point;
    memset(&point, 0, sizeof(point));
    point.size = sizeof(point);
    point.labels = "";
    pthread_mutex_unlock(&reg->lock);
    pthread_mutex_lock(&reg->collect_lock);
    int lives = !f->dead;
    kymo__collecting = 1;
    double v = lives ? f->read(f->read_ctx) : 0;
    kymo__collecting = 0;
    pthread_mutex_unlock(&reg->collect_lock);
    pthread_mutex_lock(&reg->lock);
    int r = view_ensure(reg, w); /* the lock was away: there may be more shards */
    if (r != 0)
        return r;
    if (f->info.kind == KYMO_GAUGE)
        point.value.gauge = v;
    else
        point.value.counter.fraction = v;
    if (!lives || (f->info.kind == KYMO_COUNTER && !(v >= 0)))
        return 0;
    return visitor->sample(visitor->ctx, &f->info, &point);
}

static int show_points(struct kymo_registry *reg, struct kymo__walk *w, const struct kymo_visitor *visitor)
{
    if (w->family->dead)
        return 0;
    int r = show_family(w, visitor);
    if (r != 0)
        return r;
    r = w->family->read != NULL ? show_callback(reg, w, visitor) : show_series(w, visitor);
    if (r == 0 && visitor->end != NULL)
        r = visitor->end(visitor->ctx, &w->family->info);
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
    w->begun = 0;
    w->series = w->family != NULL ? w->family->record->first_series : 0;
    w->own_done = w->family == NULL;
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
            family_next(reg, w);
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
