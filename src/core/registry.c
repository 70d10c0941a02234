/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/registry.c - a registry's set-up and end, its upkeep, its figures.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "base/utf8.h"
#include "core/config.h"
#include "core/guard.h"
#include "core/native.h"

#define SEGMENT_MIN ((size_t)1024 * 1024)
#define SEGMENT_DEFAULT (sizeof(void *) == 8 ? (size_t)1 << 32 : (size_t)1 << 28)
#if SIZE_MAX > UINT32_MAX
#define SEGMENT_MAX ((size_t)1 << 35) /* refs are 32 bits of 8 bytes */
#else
#define SEGMENT_MAX (SIZE_MAX / 2)
#endif
#define SHARDS_DEFAULT 1024u
#define CONST_TEXT_MAX 4096u /* constant labels stand in every line */
#define COLLECTOR_BYTES_DEFAULT ((size_t)16 * 1024 * 1024)

static void *default_alloc(void *ctx, size_t bytes)
{
    (void)ctx;
    return malloc(bytes);
}

static void default_free(void *ctx, void *ptr, size_t bytes)
{
    (void)ctx;
    (void)bytes;
    free(ptr);
}

static int64_t default_wall_ns(void *ctx)
{
    (void)ctx;
    return kymo__os_wall_ns();
}

static int64_t default_monotonic_ns(void *ctx)
{
    (void)ctx;
    return kymo__os_monotonic_ns();
}

/* ---- options ---- */

static int options_read(const struct kymo_registry_options *from, struct kymo_registry_options *to)
{
    memset(to, 0, sizeof(*to));
    if (from == NULL)
        return 0;
    if (from->size == 0)
        return KYMO_EINVAL;
    memcpy(to, from, from->size < sizeof(*to) ? from->size : sizeof(*to));
    if (to->allocator != NULL && (to->allocator->size == 0 || !to->allocator->alloc || !to->allocator->free))
        return KYMO_EINVAL;
    if (to->clock != NULL && (to->clock->size == 0 || !to->clock->wall_ns || !to->clock->monotonic_ns))
        return KYMO_EINVAL;
    if (to->segment_bytes != 0 && (to->segment_bytes < SEGMENT_MIN || to->segment_bytes > SEGMENT_MAX))
        return KYMO_EINVAL;
    return to->max_shards > 65536 ? KYMO_EINVAL : 0;
}

/* There is no registry yet that could log. */
static void complain(const struct kymo_registry_options *o, const char *what, const char *name, int error)
{
    char message[256];
    if (o->log == NULL)
        return;
    (void)snprintf(message, sizeof(message), "%s %.64s: %s", what, name ? name : "(no name)", kymo_strerror(error));
    o->log(o->log_ctx, KYMO_LOG_ERROR, message);
}

/* A prefix is the beginning of a name: with any letter behind it, it must be one. */
static int prefix_check(const char *prefix, int utf8)
{
    char name[KYMO__MAX_NAME + 2];
    if (prefix == NULL || prefix[0] == '\0')
        return 0;
    size_t n = strlen(prefix);
    if (n >= KYMO__MAX_NAME)
        return KYMO_ENAME;
    memcpy(name, prefix, n);
    memcpy(name + n, "x", 2);
    return kymo__name_valid(name, utf8) ? 0 : KYMO_ENAME;
}

static int const_label_check(const struct kymo_label *labels, size_t i, int utf8)
{
    if (!kymo__label_name_valid(labels[i].name, utf8))
        return KYMO_ELABEL;
    if (kymo__label_name_reserved(labels[i].name))
        return KYMO_ERESERVED;
    if (labels[i].value == NULL || !kymo__utf8_valid(labels[i].value, strlen(labels[i].value)))
        return KYMO_EUTF8;
    for (size_t j = 0; j < i; j++)
        if (kymo__label_names_same(labels[j].name, labels[i].name))
            return KYMO_ELABEL;
    return 0;
}

static int const_labels_check(const struct kymo_registry_options *o)
{
    if (o->n_const_labels > KYMO__MAX_LABELS)
        return KYMO_ELABEL;
    if (o->n_const_labels != 0 && o->const_labels == NULL)
        return KYMO_EINVAL;
    size_t bytes = 0;
    for (size_t i = 0; i < o->n_const_labels; i++) {
        int r = const_label_check(o->const_labels, i, o->utf8_names);
        if (r == 0 && (bytes += strlen(o->const_labels[i].value)) > CONST_TEXT_MAX)
            r = KYMO_ELIMIT;
        if (r != 0) {
            complain(o, "constant label", o->const_labels[i].name, r);
            return r;
        }
    }
    return 0;
}

static int const_text_build(struct kymo_registry *reg)
{
    const char *names[KYMO__MAX_LABELS], *values[KYMO__MAX_LABELS];
    for (size_t i = 0; i < reg->n_const_labels; i++) {
        names[i] = reg->const_labels[i].name;
        values[i] = reg->const_labels[i].value;
    }
    size_t n = kymo__label_pairs_size(names, values, reg->n_const_labels);
    reg->const_text = kymo__heap_alloc(reg, n + 1 + KYMO__TEXT_SLACK);
    if (reg->const_text == NULL)
        return KYMO_ENOMEM;
    reg->const_text_len = n;
    kymo__label_pairs(reg->const_text, names, values, reg->n_const_labels);
    return 0;
}

static int const_labels_copy(struct kymo_registry *reg, const struct kymo_registry_options *o)
{
    if (o->n_const_labels == 0)
        return 0;
    reg->const_labels = kymo__heap_alloc(reg, o->n_const_labels * sizeof(*reg->const_labels));
    if (reg->const_labels == NULL)
        return KYMO_ENOMEM;
    reg->n_const_labels = o->n_const_labels;
    for (size_t i = 0; i < o->n_const_labels; i++) {
        reg->const_labels[i].name = kymo__heap_text(reg, o->const_labels[i].name, "");
        reg->const_labels[i].value = kymo__heap_text(reg, o->const_labels[i].value, "");
        if (reg->const_labels[i].name == NULL || reg->const_labels[i].value == NULL)
            return KYMO_ENOMEM;
    }
    return const_text_build(reg);
}

/* ---- set-up and end ---- */

static int64_t (*wall_of(const struct kymo_registry_options *o))(void *)
{
    return o->clock != NULL ? o->clock->wall_ns : default_wall_ns;
}

static struct kymo_registry *registry_alloc(const struct kymo_registry_options *o)
{
    struct kymo_allocator allocator = {sizeof(allocator), NULL, default_alloc, default_free};
    if (o->allocator != NULL)
        allocator = *o->allocator;
    struct kymo_registry *reg = allocator.alloc(allocator.ctx, sizeof(*reg));
    if (reg == NULL)
        return NULL;
    memset(reg, 0, sizeof(*reg));
    reg->allocator = allocator;
    reg->heap_bytes = sizeof(*reg);
    reg->clock.size = sizeof(reg->clock);
    reg->clock.ctx = o->clock != NULL ? o->clock->ctx : NULL;
    reg->clock.wall_ns = wall_of(o);
    reg->clock.monotonic_ns = o->clock != NULL ? o->clock->monotonic_ns : default_monotonic_ns;
    reg->log = o->log;
    reg->log_ctx = o->log_ctx;
    reg->utf8_names = o->utf8_names != 0;
    reg->event = o->event;
    reg->event_ctx = o->event_ctx;
    reg->max_shards = o->max_shards ? (uint32_t)o->max_shards : SHARDS_DEFAULT;
    reg->max_series = o->max_series == 0           ? KYMO__BUDGET_DEFAULT
                      : o->max_series < UINT32_MAX ? (uint32_t)o->max_series
                                                   : UINT32_MAX;
    reg->collector_bytes = o->collector_bytes ? o->collector_bytes : COLLECTOR_BYTES_DEFAULT;
    reg->seed = kymo__os_random();
    return reg;
}

/* The default is halved until the system grants it: address space may be limited. */
static int segment_build(struct kymo_registry *reg, size_t bytes)
{
    size_t granule = kymo__os_granule();
    size_t want = bytes ? (bytes + granule - 1) / granule * granule : SEGMENT_DEFAULT;
    reg->segment = kymo__segment_new(want);
    while (reg->segment == NULL && bytes == 0 && want > 16 * SEGMENT_MIN) {
        want /= 2;
        reg->segment = kymo__segment_new(want);
    }
    if (reg->segment == NULL)
        return KYMO_ENOMEM;
    reg->segment->budget = reg->max_series;
    return 0;
}

static void families_free(struct kymo_registry *reg, struct kymo__family *f)
{
    while (f != NULL) {
        struct kymo__family *next = f->next;
        kymo__family_discard(reg, f);
        f = next;
    }
}

/* Everything but the segment's place in the process, which may not exist yet. */
static void registry_discard(struct kymo_registry *reg)
{
    kymo__collector_free_all(reg);
    families_free(reg, reg->first_family);
    families_free(reg, reg->collected);
    kymo__kept_free(reg, &reg->kept);
    kymo__heap_free(reg, reg->ending, KYMO__ENDINGS * sizeof(*reg->ending));
    for (size_t i = 0; i < reg->n_const_labels; i++) {
        kymo__heap_text_free(reg, (char *)(uintptr_t)reg->const_labels[i].name);
        kymo__heap_text_free(reg, (char *)(uintptr_t)reg->const_labels[i].value);
    }
    kymo__native_scratch_free(reg);
    kymo__heap_free(reg, reg->const_labels, reg->n_const_labels * sizeof(*reg->const_labels));
    kymo__heap_free(reg, reg->const_text, reg->const_text_len + 1 + KYMO__TEXT_SLACK);
    kymo__heap_text_free(reg, reg->prefix);
    kymo__config_free(reg);
    if (reg->segment != NULL)
        kymo__segment_free(reg->segment);
    pthread_mutex_destroy(&reg->lock);
    pthread_mutex_destroy(&reg->collect_lock);
    struct kymo_allocator allocator = reg->allocator;
    allocator.free(allocator.ctx, reg, sizeof(*reg));
}

static int registry_fill(struct kymo_registry *reg, const struct kymo_registry_options *o)
{
    if (o->prefix != NULL && o->prefix[0] != '\0' && (reg->prefix = kymo__heap_text(reg, o->prefix, "")) == NULL)
        return KYMO_ENOMEM;
    int r = const_labels_copy(reg, o);
    if (r == 0)
        r = kymo__config_load(reg, o->config);
    return r != 0 ? r : segment_build(reg, o->segment_bytes);
}

int kymo_registry_new(const struct kymo_registry_options *options, struct kymo_registry **reg)
{
    struct kymo_registry_options o;
    if (reg == NULL)
        return KYMO_EINVAL;
    *reg = NULL;
    int r = options_read(options, &o);
    if (r == 0 && (r = prefix_check(o.prefix, o.utf8_names)) != 0)
        complain(&o, "prefix", o.prefix, r);
    if (r == 0)
        r = const_labels_check(&o);
    if (r != 0)
        return r;
    kymo__enter();
    struct kymo_registry *new = registry_alloc(&o);
    if (new == NULL)
        return KYMO_ENOMEM;
    pthread_mutex_init(&new->lock, NULL);
    pthread_mutex_init(&new->collect_lock, NULL);
    r = registry_fill(new, &o);
    if (r == 0)
        r = kymo__process_add(new);
    if (r != 0) {
        registry_discard(new);
        return r;
    }
    if (!o.no_self_metrics && (r = kymo__self_attach(new)) != 0) {
        kymo_registry_free(new);
        return r;
    }
    *reg = new;
    return 0;
}

void kymo_registry_free(struct kymo_registry *reg)
{
    if (reg == NULL)
        return;
    kymo__enter();
    kymo__process_remove(reg);
    registry_discard(reg);
}

/* ---- upkeep ---- */

int kymo_registry_sweep(struct kymo_registry *reg, int64_t now_ns)
{
    if (reg == NULL)
        return KYMO_EINVAL;
    kymo__enter();
    kymo__reap();
    kymo__provide(reg);
    kymo__upkeep(reg, now_ns);
    pthread_mutex_lock(&reg->lock);
    kymo__reclaim(reg);
    pthread_mutex_unlock(&reg->lock);
    return 0;
}

static size_t shards_free(const struct kymo__segment *s)
{
    size_t n = 0;
    for (uint32_t ref = s->first_shard; ref != 0;) {
        const struct kymo__shard *shard = kymo__at(s, ref);
        n += kymo__load_relaxed(&shard->state) == KYMO__SHARD_FREE;
        ref = shard->next;
    }
    return n;
}

static size_t endings(const struct kymo_registry *reg)
{
    size_t n = 0;
    for (uint32_t i = 0; i < reg->n_ending; i++)
        n += reg->ending[i].family != NULL && reg->ending[i].loc != KYMO__DEAD;
    return n;
}

static void stats_fill(struct kymo_registry *reg, struct kymo_registry_stats *stats)
{
    const struct kymo__segment *s = reg->segment;
    memset(stats, 0, sizeof(*stats));
    for (struct kymo__family *f = reg->first_family; f != NULL; f = f->next) {
        if (f->dead)
            continue;
        kymo__upkeep_wakers(f);
        stats->n_families++;
        stats->n_asleep += f->record->n_asleep;
    }
    stats->n_series = s->n_others + kymo__load_relaxed(&s->n_guarded);
    stats->n_shards = s->n_shards;
    stats->n_free_shards = shards_free(s);
    stats->segment_used_bytes = (size_t)s->used_bytes;
    stats->segment_reserved_bytes = (size_t)s->reserved_bytes;
    stats->heap_bytes = kymo__load_relaxed(&reg->heap_bytes);
    stats->max_series = s->budget;
    stats->n_ended = s->n_ended;
    stats->n_ending = endings(reg);
    stats->n_pinned = reg->n_pinned;
}

int kymo_registry_get_stats(struct kymo_registry *reg, struct kymo_registry_stats *stats)
{
    struct kymo_registry_stats all;
    if (reg == NULL || stats == NULL || stats->size < sizeof(stats->size))
        return KYMO_EINVAL;
    kymo__enter();
    pthread_mutex_lock(&reg->lock);
    stats_fill(reg, &all);
    pthread_mutex_unlock(&reg->lock);
    all.size = stats->size < sizeof(all) ? stats->size : sizeof(all); /* an older caller gets what it knows of */
    memcpy(stats, &all, all.size);
    return 0;
}
