/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/series_parts.h - what series.c, series_get.c and series_parts.c share: the parts of a series. Registry's lock.
 */
#ifndef KYMO__SERIES_PARTS_H
#define KYMO__SERIES_PARTS_H

#include "core/table.h"

/* ---- series_parts.c ---- */

/** kymo__ordinal_ensure() - makes sure that there is an ordinal whose cell is nobody's; KYMO_ENOMEM. */
int kymo__ordinal_ensure(struct kymo__family *f);
/** kymo__ordinal_take() - that ordinal. */
uint32_t kymo__ordinal_take(struct kymo__family *f);
/** kymo__record_build() - what a series is called, without a slot; NULL and *error. */
struct kymo__series *kymo__record_build(struct kymo__family *f, const char *const *values, const struct kymo__key *key,
                                        size_t text_len, int *error);
/** kymo__series_furnish() - slot and exemplars for a record that has none; KYMO__DEAD and *error. */
uint64_t kymo__series_furnish(struct kymo__family *f, struct kymo__series *series, int64_t now, int *error);
/** kymo__series_build() - both: a series that lives, and that nobody can see yet. */
struct kymo__series *kymo__series_build(struct kymo__family *f, const char *const *values, const struct kymo__key *key,
                                        size_t text_len, int *error);
/** kymo__values_check() - whether values can become label text, and how long it is; KYMO_ELABEL (too long), KYMO_EUTF8. */
int kymo__values_check(const struct kymo__family *f, const char *const *values, size_t *text_len);

/* ---- series.c ---- */

/** kymo__series_create() - a new series, on the page and findable; NULL and *error. */
struct kymo__series *kymo__series_create(struct kymo__family *f, const char *const *values, const struct kymo__key *key,
                                         size_t text_len, int *error);
/** kymo__series_revive() - a series that sleeps gets a slot again; NULL and *error. Some recorder may be quicker. */
struct kymo__series *kymo__series_revive(struct kymo__family *f, struct kymo__series *series, int *error);

#endif
