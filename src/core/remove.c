/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/remove.c - ends that hosts ask for: of one series, of all with some labels, of those that a predicate chooses.
 */
#include <string.h>

#include "base/escape.h"
#include "core/guard.h"
#include "core/table.h"

#define STEP 1000u      /* series that are looked at under one lock */
#define VALUE_MAX 4095u /* bytes of a value on an allow-list */

/* ---- one ---- */

static int forget(struct kymo__family *f, const char *const *values)
{
    struct kymo__key key;
    if (!kymo__key_read(f, values, &key))
        return KYMO_EINVAL;
    struct kymo__series *series = kymo__table_find(f, values, &key);
    uint64_t loc = series != NULL ? kymo__load_relaxed(&series->loc) : KYMO__DEAD;
    if (loc == KYMO__ASLEEP || loc == KYMO__RESTING || loc == KYMO__DEAD || kymo__is_overflow(f, series))
        return KYMO_ENOENT;
    return kymo__life_end(f, series, KYMO__END);
}

int kymo_registry_forget(struct kymo_registry *reg, const char *family, const char *const *values, size_t n)
{
    int r;
    if (reg == NULL || family == NULL || values == NULL)
        return KYMO_EINVAL;
    if (kymo__collecting)
        return KYMO_EBUSY;
    kymo__enter();
    pthread_mutex_lock(&reg->lock);
    struct kymo__family *f = kymo__family_guarded(reg, family, &r);
    if (f != NULL)
        r = n == f->n_labels ? forget(f, values) : KYMO_EINVAL;
    if (r == KYMO_EGUARD)
        r = KYMO_EKIND;
    kymo__life_finish(reg);
    pthread_mutex_unlock(&reg->lock);
    return r;
}

/* ---- many ---- */

/* Which series: those for which all of it says so. */
struct choice {
    const struct kymo_label *match;
    size_t n_match;
    kymo_match_fn ask;
    void *ctx;
    const struct kymo__family *barred; /* those with a value that may not stand; NULL: not asked */
    enum kymo__end how;
};

static uint32_t label_index(const struct kymo__family *f, const char *name)
{
    uint32_t i = 0;
    while (i < f->n_labels && strcmp(f->desc.labels[i], name) != 0)
        i++;
    return i;
}

static int has_labels(const struct kymo__family *f, const struct choice *c)
{
    for (size_t k = 0; k < c->n_match; k++)
        if (label_index(f, c->match[k].name) == f->n_labels)
            return 0;
    return 1;
}

/* Whether label i of the series has this value: compared with its text, escaped as it is there. */
static int has_value(const struct kymo__series *series, uint32_t i, const char *value)
{
    size_t n;
    const char *text = kymo__label_pairs_value(series->text, series->text_len, i, &n);
    return text != NULL && kymo__same_escaped_value(text, value) != NULL;
}

int kymo__series_barred(const struct kymo__family *f, const struct kymo__series *series)
{
    struct kymo_point point = kymo__point_of(f, series);
    char value[VALUE_MAX + 1];
    for (uint32_t i = 0; i < f->n_labels; i++) {
        size_t n, len = kymo_point_value(&f->info, &point, i, value, sizeof(value));
        if (len <= VALUE_MAX ? !kymo__allow_has(f, i, value) : kymo__allow_values(f, i, &n) != NULL)
            return 1;
    }
    return 0;
}

static int is_chosen(struct kymo__family *f, const struct kymo__series *series, const struct choice *c)
{
    uint64_t buckets[KYMO__MAX_BOUNDS + 1], loc = kymo__load_relaxed(&series->loc) & KYMO__SLOT_MASK;
    if (kymo__is_overflow(f, series))
        return 0;
    for (size_t k = 0; k < c->n_match; k++)
        if (!has_value(series, label_index(f, c->match[k].name), c->match[k].value))
            return 0;
    if (c->barred != NULL && !kymo__series_barred(f, series))
        return 0;
    if (c->ask == NULL)
        return 1;
    struct kymo_point point = kymo__point_of(f, series);
    kymo__read_one(f, loc, buckets, &point);
    return c->ask(c->ctx, &f->info, &point) != 0;
}

/* Under the registry's lock, which is free for a moment after each STEP. */
static int remove_from(struct kymo__family *f, const struct choice *c, size_t *removed)
{
    struct kymo__walk cursor;
    struct kymo__series *series;
    int r = 0;
    if (f->dead || !f->guarded || !has_labels(f, c))
        return 0;
    kymo__upkeep_wakers(f);
    kymo__cursor_begin(&cursor, f);
    for (uint32_t n = 1; r == 0 && (series = kymo__cursor_next(&cursor)) != NULL; n++) {
        if (is_chosen(f, series, c)) {
            r = kymo__life_end(f, series, c->how);
            *removed += r == 0;
        }
        if (n % STEP == 0) {
            kymo__life_finish(f->reg);
            if (!kymo__cursor_pause(&cursor))
                break;
        }
    }
    kymo__life_finish(f->reg);
    kymo__cursor_end(&cursor);
    return r;
}

static int remove_all(struct kymo_registry *reg, const char *family, const struct choice *c, size_t *removed)
{
    size_t n = 0;
    int r = 0;
    if (kymo__collecting)
        return KYMO_EBUSY;
    kymo__enter();
    pthread_mutex_lock(&reg->lock);
    if (family != NULL) {
        struct kymo__family *f = kymo__family_guarded(reg, family, &r);
        r = f != NULL ? remove_from(f, c, &n) : r == KYMO_EGUARD ? KYMO_EKIND : r;
    } else {
        for (struct kymo__family *f = reg->first_family; f != NULL && r == 0; f = f->next)
            r = remove_from(f, c, &n);
    }
    pthread_mutex_unlock(&reg->lock);
    if (removed != NULL)
        *removed = n;
    return r;
}

int kymo_registry_remove(struct kymo_registry *reg, const char *family, const struct kymo_label *match, size_t n,
                         size_t *removed)
{
    struct choice c = {match, n, NULL, NULL, NULL, KYMO__END};
    if (removed != NULL)
        *removed = 0;
    if (reg == NULL || (n != 0 && match == NULL) || (n == 0 && family == NULL) || n > KYMO__MAX_LABELS)
        return KYMO_EINVAL;
    for (size_t i = 0; i < n; i++)
        if (match[i].name == NULL || match[i].value == NULL)
            return KYMO_EINVAL;
    return remove_all(reg, family, &c, removed);
}

int kymo_registry_remove_if(struct kymo_registry *reg, const char *family, kymo_match_fn match, void *ctx,
                            size_t *removed)
{
    struct choice c = {NULL, 0, match, ctx, NULL, KYMO__END};
    if (removed != NULL)
        *removed = 0;
    if (reg == NULL || match == NULL)
        return KYMO_EINVAL;
    return remove_all(reg, family, &c, removed);
}

/* ---- what may not stand any more ---- */

int kymo_registry_allow(struct kymo_registry *reg, const char *family, const char *label, const char *const *values,
                        size_t n)
{
    struct choice c = {NULL, 0, NULL, NULL, NULL, KYMO__END_BARRED};
    size_t removed = 0;
    int r;
    if (reg == NULL || family == NULL || label == NULL || (n != 0 && values == NULL))
        return KYMO_EINVAL;
    for (size_t k = 0; k < n; k++)
        if (values[k] == NULL || strlen(values[k]) > VALUE_MAX)
            return KYMO_EINVAL;
    if (kymo__collecting)
        return KYMO_EBUSY;
    kymo__enter();
    pthread_mutex_lock(&reg->lock);
    struct kymo__family *f = kymo__family_guarded(reg, family, &r);
    uint32_t i = f != NULL ? label_index(f, label) : 0;
    if (f != NULL)
        r = i < f->n_labels ? kymo__allow_set(f, i, values, n) : KYMO_ENOENT;
    if (f != NULL && r == 0 && n != 0) {
        c.barred = f;
        r = remove_from(f, &c, &removed);
    }
    pthread_mutex_unlock(&reg->lock);
    return r;
}
