/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/allow.c - the values that labels may have: a list a label, read by recorders without a lock.
 *
 * A list never changes once it can be seen: another takes its place, by one store. Recorders look at it while they are
 * busy or in flight, so it may be freed after a grace period (core/segment.h); where there is none to be had it is kept
 * until a later replacement finds one, or until the family's end. Read core/guard.h first.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include <string.h>

#include "base/utf8.h"
#include "core/guard.h"

/* As long as a recorder may keep a list that was replaced from being freed at once. */
#define QUIET_NS ((int64_t)5 * 1000000)

/* One block of memory: this, the values, the table, the texts. */
struct list {
    struct list *next; /* among those that wait to be freed */
    size_t bytes;
    uint32_t n;
    uint32_t mask;       /* entries of the table - 1 */
    const char **values; /* n of them, in the order in which they were given, each once */
    uint32_t *table;     /* index + 1, or 0; at most half full */
};

struct kymo__allow {
    struct list *replaced;
    struct list *lists[KYMO__MAX_LABELS]; /* NULL: any value */
};

/* ---- a list ---- */

static uint32_t hash_of(const char *s, size_t n)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)s[i]) * 16777619u;
    return h ^ h >> 15;
}

/* Where a value stands in the table, or would. */
static uint32_t place_of(const struct list *list, const char *value, size_t n)
{
    uint32_t at = hash_of(value, n) & list->mask;
    while (list->table[at] != 0 && strcmp(list->values[list->table[at] - 1], value) != 0)
        at = (at + 1) & list->mask;
    return at;
}

static int values_check(const char *const *values, size_t n)
{
    if (n > UINT32_MAX / 16 || (n != 0 && values == NULL))
        return KYMO_EINVAL;
    for (size_t i = 0; i < n; i++) {
        if (values[i] == NULL)
            return KYMO_EINVAL;
        if (!kymo__utf8_valid(values[i], strlen(values[i])))
            return KYMO_EUTF8;
    }
    return 0;
}

/* Room for n values, none of them there yet. */
static struct list *list_alloc(struct kymo_registry *reg, const char *const *values, size_t n)
{
    size_t bytes = sizeof(struct list) + n * sizeof(char *), entries = 4;
    while (entries < 2 * n)
        entries *= 2;
    bytes += entries * sizeof(uint32_t);
    for (size_t i = 0; i < n; i++)
        bytes += strlen(values[i]) + 1;
    struct list *list = kymo__heap_alloc(reg, bytes);
    if (list == NULL)
        return NULL;
    list->bytes = bytes;
    list->mask = (uint32_t)entries - 1;
    list->values = (const char **)(list + 1);
    list->table = (uint32_t *)(void *)(list->values + n);
    return list;
}

static struct list *list_build(struct kymo_registry *reg, const char *const *values, size_t n)
{
    struct list *list = list_alloc(reg, values, n);
    if (list == NULL)
        return NULL;
    char *text = (char *)(list->table + list->mask + 1);
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(values[i]);
        uint32_t at = place_of(list, values[i], len);
        if (list->table[at] != 0) /* named twice */
            continue;
        memcpy(text, values[i], len + 1);
        list->values[list->n++] = text;
        list->table[at] = list->n;
        text += len + 1;
    }
    return list;
}

/* ---- replacing ---- */

static void lists_free(struct kymo_registry *reg, struct list **lists)
{
    for (struct list *list = *lists, *next; list != NULL; list = next) {
        next = list->next;
        kymo__heap_free(reg, list, list->bytes);
    }
    *lists = NULL;
}

/* All that were ever replaced may go at once: each grace period is theirs, too. */
static void list_retire(struct kymo__family *f, struct list *list)
{
    list->next = f->allow->replaced;
    f->allow->replaced = list;
    if (kymo__grace_within(f->reg->segment, QUIET_NS))
        lists_free(f->reg, &f->allow->replaced);
}

static int allow_ensure(struct kymo__family *f)
{
    if (f->allow != NULL)
        return 0;
    struct kymo__allow *allow = kymo__heap_alloc(f->reg, sizeof(*allow));
    if (allow == NULL)
        return KYMO_ENOMEM;
    kymo__store_release(&f->allow, allow); /* with list_of() */
    return 0;
}

int kymo__allow_set(struct kymo__family *f, uint32_t i, const char *const *values, size_t n)
{
    struct list *list = NULL;
    int r = values_check(values, n);
    if (r == 0 && n != 0)
        r = allow_ensure(f);
    if (r != 0 || f->allow == NULL)
        return r;
    if (n != 0 && (list = list_build(f->reg, values, n)) == NULL)
        return KYMO_ENOMEM;
    struct list *before = f->allow->lists[i];
    kymo__store_release(&f->allow->lists[i], list); /* with list_of() */
    if (before != NULL)
        list_retire(f, before);
    return 0;
}

void kymo__allow_free(struct kymo_registry *reg, struct kymo__family *f)
{
    if (f->allow == NULL)
        return;
    lists_free(reg, &f->allow->replaced);
    for (uint32_t i = 0; i < KYMO__MAX_LABELS; i++)
        lists_free(reg, &f->allow->lists[i]); /* whose next is NULL as long as it is in force */
    kymo__heap_free(reg, f->allow, sizeof(*f->allow));
    f->allow = NULL;
}

/* ---- reading ---- */

static const struct list *list_of(const struct kymo__family *f, uint32_t i)
{
    const struct kymo__allow *allow = kymo__load_acquire(&f->allow);    /* with allow_ensure() */
    return allow != NULL ? kymo__load_acquire(&allow->lists[i]) : NULL; /* with kymo__allow_set() */
}

int kymo__allow_has(const struct kymo__family *f, uint32_t i, const char *value)
{
    /* relaxed: a limit that was changed just now is as good as the one before */
    size_t max = kymo__load_relaxed(&f->guard.max_value_bytes), n = strnlen(value, max + (max < SIZE_MAX));
    const struct list *list = list_of(f, i);
    if (n <= max && (list == NULL || list->table[place_of(list, value, n)] != 0))
        return 1;
    return strcmp(value, KYMO__OTHER) == 0;
}

const char *const *kymo__allow_values(const struct kymo__family *f, uint32_t i, size_t *n)
{
    const struct list *list = list_of(f, i);
    *n = list != NULL ? list->n : 0;
    return list != NULL ? list->values : NULL;
}
