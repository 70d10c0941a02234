/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/family_build.c - a family as a copy of its descriptor, before anybody can see it.
 */
#include <math.h>
#include <string.h>

#include "base/escape.h"
#include "core/guard.h"
#include "core/native.h"
#include "core/top.h"

static void labels_free(struct kymo_registry *reg, struct kymo__family *f)
{
    const char **labels = (const char **)(uintptr_t)f->desc.labels;
    for (size_t i = 0; labels != NULL && i < f->desc.n_labels; i++)
        kymo__heap_text_free(reg, (char *)(uintptr_t)labels[i]);
    if (labels != NULL)
        kymo__heap_free(reg, labels, f->desc.n_labels * sizeof(char *));
}

static void states_free(struct kymo_registry *reg, struct kymo__family *f)
{
    const char **states = (const char **)(uintptr_t)f->desc.states;
    for (size_t i = 0; states != NULL && i < f->desc.n_states; i++)
        kymo__heap_text_free(reg, (char *)(uintptr_t)states[i]);
    if (states != NULL)
        kymo__heap_free(reg, states, f->desc.n_states * sizeof(char *));
}

static void aliases_free(struct kymo_registry *reg, struct kymo__family *f)
{
    struct kymo_alias *aliases = (struct kymo_alias *)(uintptr_t)f->desc.aliases;
    for (size_t i = 0; aliases != NULL && i < f->desc.n_aliases; i++) {
        kymo__heap_text_free(reg, (char *)(uintptr_t)aliases[i].name);
        kymo__heap_text_free(reg, (char *)(uintptr_t)aliases[i].until);
    }
    if (aliases != NULL)
        kymo__heap_free(reg, aliases, f->desc.n_aliases * sizeof(*aliases));
}

/* Bounds are kept with +Inf behind them: the bucket search takes four at a time. */
#define BOUNDS_PAD 4

static size_t bounds_bytes(size_t n)
{
    return (n + BOUNDS_PAD) * sizeof(double);
}

void kymo__family_discard(struct kymo_registry *reg, struct kymo__family *f)
{
    if (f == NULL)
        return;
    kymo__kept_free(reg, &f->kept);
    kymo__aliases_free(reg, f);
    kymo__allow_free(reg, f);
    kymo__idle_free(f);
    kymo__graves_free(f);
    kymo__top_free(f);
    labels_free(reg, f);
    states_free(reg, f);
    aliases_free(reg, f);
    if (f->bounds != NULL)
        kymo__heap_free(reg, (void *)(uintptr_t)f->bounds, bounds_bytes(f->n_bounds));
    kymo__heap_text_free(reg, (char *)(uintptr_t)f->desc.help);
    kymo__heap_text_free(reg, (char *)(uintptr_t)f->desc.unit);
    kymo__heap_text_free(reg, (char *)(uintptr_t)f->info.name);
    kymo__heap_free(reg, f, sizeof(*f));
}

static int labels_copy(struct kymo_registry *reg, struct kymo__family *f, const struct kymo_desc *d)
{
    if (d->n_labels == 0)
        return 0;
    const char **labels = kymo__heap_alloc(reg, d->n_labels * sizeof(char *));
    if (labels == NULL)
        return KYMO_ENOMEM;
    f->desc.labels = labels;
    f->desc.n_labels = d->n_labels;
    f->n_labels = (uint32_t)d->n_labels;
    for (size_t i = 0; i < d->n_labels; i++) {
        labels[i] = kymo__heap_text(reg, d->labels[i], "");
        if (labels[i] == NULL)
            return KYMO_ENOMEM;
        f->label_len[i] = (uint32_t)kymo__label_name_size(labels[i]); /* as it stands in a series' text */
        f->names_len += f->label_len[i] + 4;                          /* name="", */
    }
    f->names_len--; /* no comma behind the last */
    return 0;
}

static int states_copy(struct kymo_registry *reg, struct kymo__family *f, const struct kymo_desc *d)
{
    if (d->n_states == 0)
        return 0;
    const char **states = kymo__heap_alloc(reg, d->n_states * sizeof(char *));
    if (states == NULL)
        return KYMO_ENOMEM;
    f->desc.states = states;
    f->desc.n_states = d->n_states;
    for (size_t i = 0; i < d->n_states; i++)
        if ((states[i] = kymo__heap_text(reg, d->states[i], "")) == NULL)
            return KYMO_ENOMEM;
    return 0;
}

static int aliases_copy(struct kymo_registry *reg, struct kymo__family *f, const struct kymo_desc *d)
{
    if (d->n_aliases == 0)
        return 0;
    struct kymo_alias *aliases = kymo__heap_alloc(reg, d->n_aliases * sizeof(*aliases));
    if (aliases == NULL)
        return KYMO_ENOMEM;
    f->desc.aliases = aliases;
    f->desc.n_aliases = d->n_aliases;
    for (size_t i = 0; i < d->n_aliases; i++) {
        aliases[i].name = kymo__heap_text(reg, d->aliases[i].name, "");
        aliases[i].until = kymo__heap_text(reg, d->aliases[i].until ? d->aliases[i].until : "", "");
        if (aliases[i].name == NULL || aliases[i].until == NULL)
            return KYMO_ENOMEM;
    }
    return 0;
}

/* Defaults where nothing was said. */
static void native_copy(struct kymo__family *f, const struct kymo_native *from)
{
    f->native = *from;
    if (f->native.bucket_factor == 0)
        f->native.bucket_factor = 1.1;
    if (f->native.zero_threshold == 0)
        f->native.zero_threshold = 0x1p-128;
    if (f->native.max_buckets == 0)
        f->native.max_buckets = 160;
    if (f->native.max_exemplars == 0)
        f->native.max_exemplars = 10;
    if (f->native.exemplar_ttl_ns == 0)
        f->native.exemplar_ttl_ns = (int64_t)300 * 1000000000;
    f->desc.native = &f->native;
}

struct kymo_guard kymo__guard_fill(const struct kymo_guard *from)
{
    struct kymo_guard g = {KYMO_GUARD_PLAIN, KYMO_REVIVE, 0, 0, 0, 0, 0};
    if (from != NULL)
        g = *from;
    if (g.max_series == 0)
        g.max_series = g.policy == KYMO_GUARD_TOP ? KYMO__TOP_DEFAULT : KYMO__SERIES_DEFAULT;
    if (g.max_value_bytes == 0)
        g.max_value_bytes = KYMO__VALUE_DEFAULT;
    if (g.linger_ms == 0)
        g.linger_ms = KYMO__LINGER_DEFAULT;
    return g;
}

static void guard_copy(struct kymo__family *f, const struct kymo_guard *from)
{
    f->guard = kymo__guard_fill(from);
    if (from != NULL)
        f->desc.guard = &f->guard;
}

static int bounds_copy(struct kymo_registry *reg, struct kymo__family *f, const struct kymo_desc *d)
{
    int preset = d->n_bounds == 0 && d->native == NULL;
    const double *from = preset ? kymo_buckets_web : d->bounds;
    size_t n = preset ? (size_t)kymo_buckets_web_n : d->n_bounds;
    double *bounds = kymo__heap_alloc(reg, bounds_bytes(n));
    if (bounds == NULL)
        return KYMO_ENOMEM;
    if (n != 0)
        memcpy(bounds, from, n * sizeof(double));
    for (size_t i = 0; i < BOUNDS_PAD; i++)
        bounds[n + i] = (double)INFINITY;
    f->bounds = bounds;
    f->n_bounds = (uint32_t)n;
    f->desc.bounds = bounds;
    f->desc.n_bounds = n;
    return 0;
}

/* Names that begin with kymo_ are the library's own, the same in every host. */
const char *kymo__prefix_of(const struct kymo_registry *reg, const char *name)
{
    return reg->prefix == NULL || strncmp(name, "kymo_", 5) == 0 ? "" : reg->prefix;
}

static int desc_copy(struct kymo_registry *reg, struct kymo__family *f, const struct kymo_desc *d, enum kymo_kind kind)
{
    const char *prefix = kymo__prefix_of(reg, d->name);
    f->desc.size = sizeof(f->desc);
    f->desc.gauge_mode = d->gauge_mode;
    f->info.name = kymo__heap_text(reg, prefix, d->name);
    f->desc.help = kymo__heap_text(reg, d->help, "");
    if (f->info.name == NULL || f->desc.help == NULL)
        return KYMO_ENOMEM;
    if (d->unit != NULL && d->unit[0] != '\0' && (f->desc.unit = kymo__heap_text(reg, d->unit, "")) == NULL)
        return KYMO_ENOMEM;
    f->desc.name = f->info.name + strlen(prefix);
    f->desc.exemplar_every = d->exemplar_every;
    if (d->exemplar_every != 0)
        f->exemplar_limit = ((uint64_t)1 << 32) / d->exemplar_every;
    if (d->native != NULL)
        native_copy(f, d->native);
    guard_copy(f, d->guard);
    int r = labels_copy(reg, f, d);
    if (r == 0)
        r = states_copy(reg, f, d);
    if (r == 0)
        r = aliases_copy(reg, f, d);
    return r != 0 || kind != KYMO_HISTOGRAM ? r : bounds_copy(reg, f, d);
}

static void shape(struct kymo__family *f, enum kymo_kind kind)
{
    f->info.size = sizeof(f->info);
    f->info.desc = &f->desc;
    f->info.kind = kind;
    f->info.name_len = strlen(f->info.name);
    f->info.labels = f->reg->const_text ? f->reg->const_text : "";
    f->info.labels_len = f->reg->const_text_len;
    f->info.utf8 = kymo__names_odd(f->reg, f->info.name, &f->desc);
    f->class = kind == KYMO_HISTOGRAM                                       ? KYMO__HISTOGRAMS
               : kind == KYMO_GAUGE && f->desc.gauge_mode == KYMO_GAUGE_SET ? KYMO__SHARED
               : kind == KYMO_INFO || kind == KYMO_STATESET                 ? KYMO__SHARED
                                                                            : KYMO__SINGLE;
    f->plain_set = f->class == KYMO__SHARED && !f->guard.touch;
    f->n_words = kind == KYMO_HISTOGRAM ? f->n_bounds + 2 : 1;
    if (f->desc.native != NULL) {
        f->class = KYMO__NATIVE;
        kymo__native_shape(f);
    }
}

struct kymo__family *kymo__family_build(struct kymo_registry *reg, const struct kymo_desc *d, enum kymo_kind kind)
{
    struct kymo__family *f = kymo__heap_alloc(reg, sizeof(*f));
    if (f == NULL)
        return NULL;
    f->reg = reg;
    int r = desc_copy(reg, f, d, kind);
    if (r == 0) {
        shape(f, kind);
        r = kymo__aliases_build(reg, f);
    }
    if (r != 0) {
        kymo__family_discard(reg, f);
        return NULL;
    }
    return f;
}
