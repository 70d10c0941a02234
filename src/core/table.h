/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/table.h - a family's hash table. Read core/key.h first.
 */
#ifndef KYMO__TABLE_H
#define KYMO__TABLE_H

#include "core/key.h"

/** kymo__key_read() - reads all label values once; 0 if one is NULL. */
int kymo__key_read(const struct kymo__family *f, const char *const *values, struct kymo__key *key);

/** kymo__table_find() - the series with this key, or NULL. By who is busy, in flight, or holds the registry's lock. */
struct kymo__series *kymo__table_find(const struct kymo__family *f, const char *const *values,
                                      const struct kymo__key *key);

/* What follows: under the registry's lock. */

/** kymo__table_grow() - makes sure that one more entry fits: 0, or KYMO_ENOMEM, KYMO_EFULL. */
int kymo__table_grow(struct kymo__family *f);
/** kymo__table_put() - makes a complete series findable, if it is not already. */
void kymo__table_put(struct kymo__family *f, uint32_t hash, uint32_t ref);
/** kymo__table_remove() - nobody finds it from now on; who has may still look at it. Repeatable. */
void kymo__table_remove(struct kymo__family *f, uint32_t hash, uint32_t ref);
/** kymo__table_recover() - takes back a growth whose grower died between its two stores, and counts again. */
void kymo__table_recover(struct kymo__family *f);
/** kymo__table_has() - whether an entry is there, in the table or the old one. */
int kymo__table_has(const struct kymo__family *f, uint32_t hash, uint32_t ref);
/** kymo__table_move() - moves a few entries from the table that is being replaced, if there is one. */
void kymo__table_move(struct kymo__family *f);

#endif
