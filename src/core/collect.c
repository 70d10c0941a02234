/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/collect.c - collectors: attaching, running, and remembering what they report until it can be shown.
 *
 * A collector runs without the registry's lock, and what it reports is kept until it has returned: only then is it
 * known to be good. One that fails costs its own families and nothing else. The copies live in an arena of at most
 * collector_bytes, one collector's at a time. What a point must be like is in point_check.c.
 */
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "core/core.h"

#define BLOCK_BYTES ((size_t)16 * 1024)

_Thread_local int kymo__collecting;

/* ---- arena ---- */

struct block {
    struct block *next;
    size_t used, cap;
};

struct remembered {
    struct remembered *next;
    const struct kymo__family *family; /* among the collector's */
    struct kymo_point point;
};

struct kymo_visit {
    struct kymo_registry *reg;
    struct kymo_collector *collector;
    struct block *blocks;
    size_t bytes;
    struct remembered *first, *last; /* first: of what is still to be shown */
    struct remembered *run;          /* first of the family that is being shown */
    size_t name;                     /* it is shown under: 0 its own, i its i-th alias */
    int begun;                       /* and has been announced under it */
    size_t n_points;
    int error; /* the first one: what was reported before it is dropped as well */
};

static void *arena_alloc(struct kymo_visit *v, size_t bytes)
{
    bytes = (bytes + 15) & ~(size_t)15;
    if (v->blocks == NULL || v->blocks->cap - v->blocks->used < bytes) {
        size_t cap = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
        size_t whole = sizeof(struct block) + 16 + cap;
        if (v->bytes + whole > v->reg->collector_bytes) {
            v->error = KYMO_ELIMIT;
            return NULL;
        }
        struct block *block = kymo__heap_alloc(v->reg, whole);
        if (block == NULL) {
            v->error = KYMO_ENOMEM;
            return NULL;
        }
        block->cap = cap;
        block->next = v->blocks;
        v->blocks = block;
        v->bytes += whole;
    }
    char *at = (char *)(v->blocks + 1) + (16 - sizeof(struct block) % 16) % 16 + v->blocks->used;
    v->blocks->used += bytes;
    return at;
}

void kymo__collect_free(struct kymo_registry *reg, struct kymo_visit *v)
{
    if (v == NULL)
        return;
    while (v->blocks != NULL) {
        struct block *next = v->blocks->next;
        kymo__heap_free(reg, v->blocks, sizeof(struct block) + 16 + v->blocks->cap);
        v->blocks = next;
    }
    kymo__heap_free(reg, v, sizeof(*v));
}

/* ---- remembering ---- */

/* A family's points lie together: it is the last one's, or it has not been there yet. */
static int order_check(const struct kymo_visit *v, const struct kymo__family *f)
{
    if (v->last == NULL || v->last->family == f)
        return 0;
    for (const struct remembered *r = v->first; r != NULL; r = r->next)
        if (r->family == f)
            return KYMO_EKIND;
    return 0;
}

static int copy_labels(struct kymo_visit *v, const struct kymo__family *f, const struct kymo_point *from,
                       struct kymo_point *to)
{
    size_t n = kymo__label_pairs_size(f->desc.labels, from->values, f->n_labels);
    char *text = arena_alloc(v, n + KYMO__TEXT_SLACK);
    if (text == NULL)
        return v->error;
    kymo__label_pairs(text, f->desc.labels, from->values, f->n_labels);
    to->values = NULL;
    to->labels = text;
    to->labels_len = n;
    return 0;
}

/* A copy of @n elements with zeros behind it that may be read; NULL and v->error. */
static void *copied(struct kymo_visit *v, const void *from, size_t n, size_t bytes_each)
{
    if (n > v->reg->collector_bytes / bytes_each) {
        v->error = KYMO_ELIMIT;
        return NULL;
    }
    void *copy = arena_alloc(v, n * bytes_each + KYMO__TEXT_SLACK);
    if (copy != NULL && n != 0)
        memcpy(copy, from, n * bytes_each);
    return copy;
}

/* Puts a copy in its place; the error. */
#define COPY(v, array, n) (((array) = copied(v, array, n, sizeof(*(array)))) != NULL ? 0 : (v)->error)

static int copy_exemplars(struct kymo_visit *v, const struct kymo_exemplar_point **exemplars, size_t n)
{
    struct kymo_exemplar_point *e = copied(v, *exemplars, n, sizeof(*e));
    int r = e != NULL ? 0 : v->error;
    for (size_t i = 0; i < n && r == 0; i++)
        r = COPY(v, e[i].labels, e[i].labels_len);
    *exemplars = e;
    return r;
}

static int copy_native(struct kymo_visit *v, struct kymo_histogram_point *h)
{
    struct kymo_native_point *n = copied(v, h->native, 1, sizeof(*n));
    if (n == NULL)
        return v->error;
    h->native = n;
    int r = COPY(v, n->positive_index, n->n_positive);
    if (r == 0)
        r = COPY(v, n->positive_count, n->n_positive);
    if (r == 0)
        r = COPY(v, n->negative_index, n->n_negative);
    if (r == 0)
        r = COPY(v, n->negative_count, n->n_negative);
    return r != 0 ? r : copy_exemplars(v, &n->exemplars, n->n_exemplars);
}

/* Who has native buckets alone is given the classic one above all bounds: encoders find it in every histogram. */
static int copy_histogram(struct kymo_visit *v, struct kymo_histogram_point *h)
{
    uint64_t *buckets = copied(v, h->buckets, h->buckets != NULL ? h->n_bounds + 1 : 0, sizeof(*buckets));
    if (buckets != NULL && h->buckets == NULL)
        buckets[0] = h->count; /* there are zeros behind every copy */
    h->buckets = buckets;
    int r = buckets != NULL ? COPY(v, h->bounds, h->n_bounds) : v->error;
    return r != 0 || h->native == NULL ? r : copy_native(v, h);
}

static int copy_value(struct kymo_visit *v, enum kymo_kind kind, struct kymo_point *point)
{
    int r = 0;
    if (kind == KYMO_HISTOGRAM || kind == KYMO_GAUGE_HISTOGRAM)
        r = copy_histogram(v, &point->value.histogram);
    else if (kind == KYMO_SUMMARY)
        r = COPY(v, point->value.summary.quantiles, point->value.summary.n_quantiles);
    if (point->n_exemplars == 0)
        point->exemplars = NULL;
    return r != 0 || point->n_exemplars == 0 ? r : copy_exemplars(v, &point->exemplars, point->n_exemplars);
}

static int remember(struct kymo_visit *v, const struct kymo__family *f, const struct kymo_point *point)
{
    struct remembered *r = arena_alloc(v, sizeof(*r));
    if (r == NULL)
        return v->error;
    memset(r, 0, sizeof(*r));
    r->family = f;
    r->point = *point;
    int error = copy_labels(v, f, point, &r->point);
    if (error == 0)
        error = copy_value(v, f->info.kind, &r->point);
    if (error != 0)
        return error;
    if (v->last != NULL)
        v->last->next = r;
    else
        v->first = r;
    v->last = r;
    v->n_points++;
    return 0;
}

/* A caller's point of any known size as one of ours, which has no id. */
static struct kymo_point point_read(const struct kymo_point *from)
{
    struct kymo_point point;
    memset(&point, 0, sizeof(point));
    memcpy(&point, from, from->size < sizeof(point) ? from->size : sizeof(point));
    point.size = sizeof(point);
    point.id = point.generation = 0;
    return point;
}

int kymo_collect(struct kymo_visit *v, size_t family, const struct kymo_point *point)
{
    if (v == NULL || point == NULL || point->size == 0)
        return KYMO_EINVAL;
    if (v->error != 0)
        return v->error;
    if (family >= v->collector->ops.n_descs)
        return v->error = KYMO_EKIND;
    const struct kymo__family *f = v->collector->families[family];
    const struct kymo_point p = point_read(point);
    v->error = kymo__point_check(f, &p);
    if (v->error == 0)
        v->error = order_check(v, f);
    if (v->error == 0)
        v->error = remember(v, f, &p);
    return v->error;
}

/* ---- no series twice ---- */

static int by_family_and_labels(const void *a, const void *b)
{
    const struct remembered *x = *(const struct remembered *const *)a, *y = *(const struct remembered *const *)b;
    if (x->family != y->family)
        return (uintptr_t)x->family < (uintptr_t)y->family ? -1 : 1;
    size_t n = x->point.labels_len < y->point.labels_len ? x->point.labels_len : y->point.labels_len;
    int order = memcmp(x->point.labels, y->point.labels, n);
    return order != 0                                  ? order
           : x->point.labels_len < y->point.labels_len ? -1
                                                       : x->point.labels_len > y->point.labels_len;
}

/* A page that has a series twice is refused whole by some servers: it must not come to that. */
static int twice_check(struct kymo_registry *reg, const struct kymo_visit *v)
{
    if (v->n_points < 2)
        return 0;
    const struct remembered **all = kymo__heap_alloc(reg, v->n_points * sizeof(const struct remembered *));
    if (all == NULL)
        return KYMO_ENOMEM;
    size_t n = 0;
    for (const struct remembered *r = v->first; r != NULL; r = r->next)
        all[n++] = r;
    qsort(all, n, sizeof(const struct remembered *), by_family_and_labels);
    int error = 0;
    for (size_t i = 1; i < n && error == 0; i++)
        if (by_family_and_labels(&all[i - 1], &all[i]) == 0)
            error = KYMO_EEXIST;
    kymo__heap_free(reg, all, v->n_points * sizeof(const struct remembered *));
    return error;
}

/* ---- running ---- */

static void run(struct kymo_registry *reg, struct kymo_collector *c, struct kymo_visit *v)
{
    int64_t start = reg->clock.monotonic_ns(reg->clock.ctx);
    kymo__collecting = 1;
    int r = c->ops.collect(c->ctx, v);
    kymo__collecting = 0;
    kymo__store_relaxed(&c->duration_ns, reg->clock.monotonic_ns(reg->clock.ctx) - start);
    if (r == 0)
        r = v->error;
    if (r == 0)
        r = twice_check(reg, v);
    if (r != 0) {
        kymo__add_relaxed(&c->failures, 1);
        kymo__log(reg, KYMO_LOG_WARNING, "collector %s failed, its families are left out: %s", c->ops.name,
                  kymo_strerror(r));
        v->first = v->last = NULL;
    }
    v->run = v->first;
}

struct kymo_visit *kymo__collect_run(struct kymo_registry *reg, struct kymo_collector *c, int *error)
{
    struct kymo_visit *v = kymo__heap_alloc(reg, sizeof(*v));
    *error = v == NULL ? KYMO_ENOMEM : 0;
    if (v == NULL)
        return NULL;
    v->reg = reg;
    v->collector = c;
    pthread_mutex_lock(&reg->collect_lock);
    if (c->attached)
        run(reg, c, v);
    pthread_mutex_unlock(&reg->collect_lock);
    return v;
}

static int run_ends(const struct remembered *r)
{
    return r->next == NULL || r->next->family != r->family;
}

static int show(struct kymo_visit *v, const struct kymo_visitor *visitor)
{
    const struct remembered *r = v->first;
    const struct kymo_family *info = v->name == 0 ? &r->family->info : &r->family->aliases[v->name - 1].info;
    int e = !v->begun && visitor->family != NULL ? visitor->family(visitor->ctx, info) : 0;
    if (e != 0)
        return e;
    v->begun = 1;
    e = visitor->sample(visitor->ctx, info, &r->point);
    if (e == 0 && run_ends(r) && visitor->end != NULL)
        e = visitor->end(visitor->ctx, info);
    return e;
}

/* The family's next point, the same points under its next name, or the next family. */
static void show_next(struct kymo_visit *v)
{
    const struct remembered *r = v->first;
    v->first = r->next;
    if (!run_ends(r))
        return;
    v->begun = 0;
    if (v->name < r->family->desc.n_aliases) {
        v->name++;
        v->first = v->run;
    } else {
        v->name = 0;
        v->run = v->first;
    }
}

int kymo__collect_replay(struct kymo_visit *visit, const struct kymo_visitor *visitor)
{
    while (visit->first != NULL) {
        int e = show(visit, visitor);
        if (e != 0)
            return e;
        show_next(visit);
    }
    return 0;
}

/* ---- attaching ---- */

static void collector_discard(struct kymo_registry *reg, struct kymo_collector *c)
{
    if (c->families != NULL)
        kymo__heap_free(reg, c->families, c->ops.n_descs * sizeof(struct kymo__family *));
    kymo__heap_text_free(reg, (char *)(uintptr_t)c->ops.name);
    kymo__heap_free(reg, c, sizeof(*c));
}

void kymo__collector_free_all(struct kymo_registry *reg)
{
    while (reg->collectors != NULL) {
        struct kymo_collector *c = reg->collectors;
        reg->collectors = c->next;
        if (c->attached && c->ops.detached != NULL)
            c->ops.detached(c->ctx);
        collector_discard(reg, c);
    }
}

static int ops_read(const struct kymo_collector_ops *from, struct kymo_collector_ops *to)
{
    memset(to, 0, sizeof(*to));
    if (from == NULL || from->size == 0)
        return KYMO_EINVAL;
    memcpy(to, from, from->size < sizeof(*to) ? from->size : sizeof(*to));
    if (to->collect == NULL || (to->n_descs != 0 && (to->descs == NULL || to->kinds == NULL)))
        return KYMO_EINVAL;
    return kymo__label_name_valid(to->name, 0) ? 0 : KYMO_ENAME;
}

static struct kymo_collector *collector_build(struct kymo_registry *reg, const struct kymo_collector_ops *ops,
                                              void *ctx)
{
    struct kymo_collector *c = kymo__heap_alloc(reg, sizeof(*c));
    if (c == NULL)
        return NULL;
    c->reg = reg;
    c->ctx = ctx;
    c->ops = *ops;
    c->ops.name = kymo__heap_text(reg, ops->name, "");
    if (ops->n_descs != 0)
        c->families = kymo__heap_alloc(reg, ops->n_descs * sizeof(struct kymo__family *));
    if (c->ops.name == NULL || (ops->n_descs != 0 && c->families == NULL)) {
        collector_discard(reg, c);
        return NULL;
    }
    return c;
}

/* What was prepared, or registered and never shown, without a trace. */
static void families_discard(struct kymo_collector *c)
{
    pthread_mutex_lock(&c->reg->lock);
    for (size_t i = 0; i < c->ops.n_descs; i++)
        if (c->families[i] != NULL)
            kymo__family_unlink(c->reg, c->families[i]);
    pthread_mutex_unlock(&c->reg->lock);
    for (size_t i = 0; i < c->ops.n_descs; i++)
        kymo__family_discard(c->reg, c->families[i]);
}

static int families_register(struct kymo_collector *c)
{
    int r = 0;
    for (size_t i = 0; i < c->ops.n_descs && r == 0; i++)
        r = kymo__family_prepare(c->reg, &c->ops.descs[i], c->ops.kinds[i], KYMO__REGISTER_COLLECTED, &c->families[i]);
    c->ops.descs = NULL; /* the caller's memory */
    c->ops.kinds = NULL;
    return r != 0 ? r : kymo__families_register(c->reg, c->families, c->ops.n_descs, KYMO__REGISTER_COLLECTED);
}

/* In the order of attaching; under the collect lock, which keeps scrapes out. */
static int collector_link(struct kymo_registry *reg, struct kymo_collector *c)
{
    struct kymo_collector **link = &reg->collectors;
    for (; *link != NULL; link = &(*link)->next)
        if ((*link)->attached && strcmp((*link)->ops.name, c->ops.name) == 0)
            return KYMO_EEXIST;
    c->attached = 1;
    kymo__store_release(link, c); /* with walks, which read the list without the lock */
    return 0;
}

int kymo_collector_attach(struct kymo_registry *reg, const struct kymo_collector_ops *ops, void *ctx,
                          struct kymo_collector **collector)
{
    struct kymo_collector_ops o;
    if (collector != NULL)
        *collector = NULL;
    int r = reg == NULL ? KYMO_EINVAL : ops_read(ops, &o);
    if (r == 0 && kymo__collecting)
        r = KYMO_EBUSY;
    if (r != 0)
        return r;
    kymo__enter();
    struct kymo_collector *c = collector_build(reg, &o, ctx);
    if (c == NULL)
        return KYMO_ENOMEM;
    r = families_register(c);
    pthread_mutex_lock(&reg->collect_lock);
    if (r == 0)
        r = collector_link(reg, c);
    pthread_mutex_unlock(&reg->collect_lock);
    if (r != 0) {
        families_discard(c);
        collector_discard(reg, c);
        return r;
    }
    if (collector != NULL)
        *collector = c;
    return 0;
}

/* The families of a collector that is gone: nobody writes them any more, their names are free. */
static void families_withdraw(struct kymo_collector *c)
{
    pthread_mutex_lock(&c->reg->lock);
    for (size_t i = 0; i < c->ops.n_descs; i++)
        c->families[i]->dead = 1;
    kymo__add_relaxed(&c->reg->n_detached, 1); /* a hint for those without the lock */
    pthread_mutex_unlock(&c->reg->lock);
}

/* Under the collect lock and the registry's. */
static void purge_locked(struct kymo_registry *reg)
{
    for (struct kymo_collector **link = &reg->collectors; *link != NULL;) {
        struct kymo_collector *c = *link;
        if (c->attached) {
            link = &c->next;
            continue;
        }
        *link = c->next;
        for (size_t i = 0; i < c->ops.n_descs; i++) {
            kymo__family_unlink(reg, c->families[i]);
            kymo__family_discard(reg, c->families[i]);
        }
        collector_discard(reg, c);
        kymo__add_relaxed(&reg->n_detached, (uint32_t)-1);
    }
}

void kymo__collector_purge(struct kymo_registry *reg)
{
    if (kymo__load_relaxed(&reg->n_detached) == 0 || kymo__collecting)
        return;
    pthread_mutex_lock(&reg->collect_lock);
    pthread_mutex_lock(&reg->lock);
    if (reg->n_walks == 0)
        purge_locked(reg);
    pthread_mutex_unlock(&reg->lock);
    pthread_mutex_unlock(&reg->collect_lock);
}

int kymo_collector_detach(struct kymo_collector *c)
{
    if (c == NULL)
        return KYMO_EINVAL;
    if (kymo__collecting)
        return KYMO_EBUSY;
    kymo__enter();
    pthread_mutex_lock(&c->reg->collect_lock);
    c->attached = 0; /* its place in the list stays while a walk may be looking at it */
    families_withdraw(c);
    pthread_mutex_unlock(&c->reg->collect_lock);
    if (c->ops.detached != NULL)
        c->ops.detached(c->ctx);
    kymo__collector_purge(c->reg);
    return 0;
}
