/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/family.c - families: registering one, its handles, unregistering it.
 *
 * The three kinds share one private struct; the public types keep them apart for the compiler.
 */
#include <math.h>
#include <string.h>

#include "base/escape.h"
#include "core/config.h"
#include "core/native.h"

/* ---- the copy of a descriptor ---- */

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
    f->n_words = kind == KYMO_HISTOGRAM ? f->n_bounds + 2 : 1;
    if (f->desc.native != NULL) {
        f->class = KYMO__NATIVE;
        kymo__native_shape(f);
    }
}

static struct kymo__family *family_build(struct kymo_registry *reg, const struct kymo_desc *d, enum kymo_kind kind)
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

/* ---- registering ---- */

/* A family's own name, then its aliases. */
static const char *name_at(const struct kymo__family *f, size_t i)
{
    return i == 0 ? f->info.name : f->aliases[i - 1].info.name;
}

static int clash_of(const struct kymo_registry *reg, const struct kymo__family *f, const char *old,
                    const struct kymo__family *new, const char *name)
{
    int same = strcmp(old, name) == 0;
    if (!same && !kymo__names_clash(old, f->info.kind, name, new->info.kind))
        return 0;
    int r = same ? KYMO_EEXIST : KYMO_ECLASH;
    kymo__log(reg, KYMO_LOG_ERROR, "metric %s, against %s: %s", name, old, kymo_strerror(r));
    return r;
}

static int clash_in(const struct kymo_registry *reg, const struct kymo__family *list, const struct kymo__family *new)
{
    int r = 0;
    for (const struct kymo__family *f = list; f != NULL && r == 0; f = f->next)
        for (size_t i = 0; !f->dead && i <= f->desc.n_aliases && r == 0; i++)
            for (size_t k = 0; r == 0 && k <= new->desc.n_aliases; k++)
                r = clash_of(reg, f, name_at(f, i), new, name_at(new, k));
    return r;
}

static int clash_within(const struct kymo_registry *reg, const struct kymo__family *f)
{
    int r = 0;
    for (size_t i = 0; i < f->desc.n_aliases && r == 0; i++)
        for (size_t k = i + 1; k <= f->desc.n_aliases && r == 0; k++)
            r = clash_of(reg, f, name_at(f, i), f, name_at(f, k));
    return r;
}

static int record_build(struct kymo_registry *reg, struct kymo__family *f)
{
    int error = 0;
    uint32_t ref = kymo__segment_alloc(reg->segment, sizeof(struct kymo__family_record), &error);
    if (ref == 0)
        return error;
    f->record = kymo__at(reg->segment, ref);
    f->record->kind = f->info.kind;
    return 0;
}

/* Everything that can fail. A family without labels has its one series from the start. */
static int family_complete(struct kymo_registry *reg, struct kymo__family *f, int single)
{
    int r = clash_within(reg, f);
    if (r == 0)
        r = clash_in(reg, reg->first_family, f);
    if (r == 0)
        r = clash_in(reg, reg->collected, f);
    if (r == 0 && f->class == KYMO__NATIVE)
        r = kymo__native_scratch_ensure(reg, f);
    if (r == 0)
        r = record_build(reg, f);
    if (r == 0 && single)
        r = kymo__series_first(f);
    if (r != 0 && f->record != NULL)
        kymo__segment_undo(reg->segment, kymo__ref(reg->segment, f->record), sizeof(*f->record));
    return r;
}

/* A name that ended before has one account of refusals: the new family goes on with it. */
static void succeed(struct kymo_registry *reg, struct kymo__family *f)
{
    for (struct kymo__family *before = reg->first_family; before != NULL; before = before->next) {
        if (before->dead && !before->succeeded && strcmp(before->info.name, f->info.name) == 0) {
            before->succeeded = 1;
            f->next_of_name = before;
            return;
        }
    }
}

static void family_link(struct kymo_registry *reg, struct kymo__family *f, int collected)
{
    f->record->next = reg->segment->first_family;
    kymo__store_release(&reg->segment->first_family, kymo__ref(reg->segment, f->record));
    if (collected) {
        f->next = reg->collected;
        reg->collected = f;
        return;
    }
    succeed(reg, f);
    if (reg->last_family != NULL)
        reg->last_family->next = f;
    else
        reg->first_family = f;
    reg->last_family = f;
}

int kymo__family_prepare(struct kymo_registry *reg, const struct kymo_desc *desc, enum kymo_kind kind,
                         enum kymo__registration how, struct kymo__family **family)
{
    struct kymo_desc d;
    struct kymo_native native;
    uint32_t configured = 0;
    int labelled = how == KYMO__REGISTER_LABELLED || how == KYMO__REGISTER_COLLECTED;
    *family = NULL;
    int r = reg == NULL ? KYMO_EINVAL : kymo__desc_read(desc, &d);
    if (r == 0)
        r = kymo__desc_check(reg, &d, kind);
    if (r == 0 && !labelled && d.n_labels != 0) {
        r = KYMO_EKIND;
        kymo__log(reg, KYMO_LOG_ERROR, "metric %s has labels, so it is a family: use kymo_..._family_new()", d.name);
    }
    if (r == 0)
        r = kymo__aliases_check(reg, &d, kind);
    if (r != 0)
        return r;
    kymo__enter();
    if (how == KYMO__REGISTER_SINGLE || how == KYMO__REGISTER_LABELLED)
        configured = kymo__config_apply(reg, kind, &d, &native);
    *family = family_build(reg, &d, kind);
    if (*family == NULL)
        return KYMO_ENOMEM;
    (*family)->configured = configured;
    return 0;
}

int kymo__families_register(struct kymo_registry *reg, struct kymo__family **families, size_t n,
                            enum kymo__registration how)
{
    int r = 0;
    pthread_mutex_lock(&reg->lock);
    for (size_t i = 0; i < n && r == 0; i++) {
        r = family_complete(reg, families[i], how == KYMO__REGISTER_SINGLE);
        if (r == 0)
            family_link(reg, families[i], how == KYMO__REGISTER_COLLECTED);
        for (size_t k = 0; r != 0 && k < i; k++)
            kymo__family_unlink(reg, families[k]);
    }
    pthread_mutex_unlock(&reg->lock);
    return r;
}

/* Only for collectors' families, which no walk looks at: the first of the list is the last that was linked. */
void kymo__family_unlink(struct kymo_registry *reg, struct kymo__family *f)
{
    struct kymo__family **link = &reg->collected;
    while (*link != NULL && *link != f)
        link = &(*link)->next;
    if (*link != NULL)
        *link = f->next;
}

static int family_new(struct kymo_registry *reg, const struct kymo_desc *desc, enum kymo_kind kind,
                      enum kymo__registration how, struct kymo__family **family)
{
    int r = kymo__family_prepare(reg, desc, kind, how, family);
    if (r == 0)
        r = kymo__families_register(reg, family, 1, how);
    if (r != 0 && *family != NULL) {
        kymo__family_discard(reg, *family);
        *family = NULL;
    }
    return r;
}

static int single_new(struct kymo_registry *reg, const struct kymo_desc *desc, enum kymo_kind kind,
                      struct kymo__cell **cell)
{
    struct kymo__family *f;
    *cell = NULL;
    int r = family_new(reg, desc, kind, KYMO__REGISTER_SINGLE, &f);
    if (r != 0)
        return r;
    struct kymo__series *series = kymo__at(reg->segment, f->record->first_series);
    *cell = kymo__cell_of(f, series);
    kymo__add_relaxed(&(*cell)->pins, 1);
    (void)kymo__ensure_self(reg, (uint32_t)(series->loc >> KYMO__WORD_BITS)); /* else the shared store serves */
    return 0;
}

/* ---- with ---- */

static struct kymo__cell *with(struct kymo__family *f, const char *const *values, size_t n)
{
    int error;
    if (f == NULL)
        return NULL;
    struct kymo__series *series = kymo__series_get(f, values, n, &error);
    if (series == NULL) {
        kymo__refuse(f, kymo__refusal_of(error));
        return NULL;
    }
    struct kymo__cell *cell = kymo__cell_of(f, series);
    kymo__add_relaxed(&cell->pins, 1);
    uint64_t loc = kymo__load_relaxed(&series->loc);
    if (!(loc & KYMO__DEAD_BIT))
        (void)kymo__ensure_self(f->reg, (uint32_t)(loc >> KYMO__WORD_BITS)); /* else the shared store serves */
    return cell;
}

static void release(struct kymo__cell *cell)
{
    if (cell != NULL)
        kymo__add_relaxed(&cell->pins, (uint32_t)-1); /* a count: nothing is freed by it yet */
}

/* ---- the kinds ---- */

int kymo_counter_new(struct kymo_registry *reg, const struct kymo_desc *desc, struct kymo_counter **counter)
{
    struct kymo__cell *cell;
    if (counter == NULL)
        return KYMO_EINVAL;
    int r = single_new(reg, desc, KYMO_COUNTER, &cell);
    *counter = (struct kymo_counter *)cell;
    return r;
}

int kymo_gauge_new(struct kymo_registry *reg, const struct kymo_desc *desc, struct kymo_gauge **gauge)
{
    struct kymo__cell *cell;
    if (gauge == NULL)
        return KYMO_EINVAL;
    int r = single_new(reg, desc, KYMO_GAUGE, &cell);
    *gauge = (struct kymo_gauge *)cell;
    return r;
}

int kymo_histogram_new(struct kymo_registry *reg, const struct kymo_desc *desc, struct kymo_histogram **histogram)
{
    struct kymo__cell *cell;
    if (histogram == NULL)
        return KYMO_EINVAL;
    int r = single_new(reg, desc, KYMO_HISTOGRAM, &cell);
    *histogram = (struct kymo_histogram *)cell;
    return r;
}

int kymo_counter_family_new(struct kymo_registry *reg, const struct kymo_desc *desc,
                            struct kymo_counter_family **family)
{
    if (family == NULL)
        return KYMO_EINVAL;
    struct kymo__family *f;
    int r = family_new(reg, desc, KYMO_COUNTER, KYMO__REGISTER_LABELLED, &f);
    *family = (struct kymo_counter_family *)f;
    return r;
}

int kymo_gauge_family_new(struct kymo_registry *reg, const struct kymo_desc *desc, struct kymo_gauge_family **family)
{
    if (family == NULL)
        return KYMO_EINVAL;
    struct kymo__family *f;
    int r = family_new(reg, desc, KYMO_GAUGE, KYMO__REGISTER_LABELLED, &f);
    *family = (struct kymo_gauge_family *)f;
    return r;
}

int kymo_histogram_family_new(struct kymo_registry *reg, const struct kymo_desc *desc,
                              struct kymo_histogram_family **family)
{
    if (family == NULL)
        return KYMO_EINVAL;
    struct kymo__family *f;
    int r = family_new(reg, desc, KYMO_HISTOGRAM, KYMO__REGISTER_LABELLED, &f);
    *family = (struct kymo_histogram_family *)f;
    return r;
}

struct kymo_counter *kymo_counter_with(struct kymo_counter_family *f, const char *const *values, size_t n)
{
    return (struct kymo_counter *)with((struct kymo__family *)f, values, n);
}

struct kymo_gauge *kymo_gauge_with(struct kymo_gauge_family *f, const char *const *values, size_t n)
{
    return (struct kymo_gauge *)with((struct kymo__family *)f, values, n);
}

struct kymo_histogram *kymo_histogram_with(struct kymo_histogram_family *f, const char *const *values, size_t n)
{
    return (struct kymo_histogram *)with((struct kymo__family *)f, values, n);
}

void kymo_counter_release(struct kymo_counter *c)
{
    release((struct kymo__cell *)c);
}

void kymo_gauge_release(struct kymo_gauge *g)
{
    release((struct kymo__cell *)g);
}

void kymo_histogram_release(struct kymo_histogram *h)
{
    release((struct kymo__cell *)h);
}

/* ---- callbacks ---- */

static int callback_new(struct kymo_registry *reg, const struct kymo_desc *desc, enum kymo_kind kind,
                        kymo_value_fn read, void *ctx)
{
    struct kymo__family *f;
    if (read == NULL)
        return KYMO_EINVAL;
    int r = kymo__family_prepare(reg, desc, kind, KYMO__REGISTER_CALLBACK, &f);
    if (r != 0)
        return r;
    f->read = read; /* before it can be seen */
    f->read_ctx = ctx;
    r = kymo__families_register(reg, &f, 1, KYMO__REGISTER_CALLBACK);
    if (r != 0)
        kymo__family_discard(reg, f);
    return r;
}

int kymo_counter_callback(struct kymo_registry *reg, const struct kymo_desc *desc, kymo_value_fn read, void *ctx)
{
    return callback_new(reg, desc, KYMO_COUNTER, read, ctx);
}

int kymo_gauge_callback(struct kymo_registry *reg, const struct kymo_desc *desc, kymo_value_fn read, void *ctx)
{
    return callback_new(reg, desc, KYMO_GAUGE, read, ctx);
}

/* ---- unregistering ---- */

int kymo_registry_unregister(struct kymo_registry *reg, const char *name)
{
    if (reg == NULL || name == NULL)
        return KYMO_EINVAL;
    if (kymo__collecting)
        return KYMO_EBUSY;
    kymo__enter();
    int r = KYMO_ENOENT;
    pthread_mutex_lock(&reg->collect_lock); /* no callback of it is running */
    pthread_mutex_lock(&reg->lock);
    for (struct kymo__family *f = reg->first_family; f != NULL; f = f->next) {
        if (!f->dead && strcmp(f->info.name, name) == 0) {
            kymo__family_end(f);
            r = 0;
            break;
        }
    }
    pthread_mutex_unlock(&reg->lock);
    pthread_mutex_unlock(&reg->collect_lock);
    return r;
}
