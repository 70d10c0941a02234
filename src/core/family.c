/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/family.c - families: registering one, with everything that its name may not clash with, and unregistering it.
 */
#include <string.h>

#include "core/config.h"
#include "core/guard.h"
#include "core/native.h"

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
    f->record->limit = UINT32_MAX;
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
    if (r == 0 && f->guarded)
        r = kymo__guard_new(f);
    if (r != 0 && f->record != NULL)
        kymo__segment_give(reg->segment, kymo__ref(reg->segment, f->record), sizeof(*f->record));
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
    struct kymo__config_room room;
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
        configured = kymo__config_apply(reg, kind, &d, &room);
    *family = kymo__family_build(reg, &d, kind);
    if (*family == NULL)
        return KYMO_ENOMEM;
    (*family)->configured = configured;
    (*family)->guarded = how == KYMO__REGISTER_LABELLED && kind != KYMO_INFO && d.n_labels != 0;
    return 0;
}

int kymo__families_register(struct kymo_registry *reg, struct kymo__family **families, size_t n,
                            enum kymo__registration how)
{
    int r = 0;
    pthread_mutex_lock(&reg->lock);
    for (size_t i = 0; i < n && r == 0; i++) {
        if (how == KYMO__REGISTER_LABELLED)
            r = kymo__config_allow(families[i]);
        if (r == 0)
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

int kymo__family_new(struct kymo_registry *reg, const struct kymo_desc *desc, enum kymo_kind kind,
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
