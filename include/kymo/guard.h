/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kymo/guard.h - limits of a registry while it runs, and the ends of series.
 *
 * What a series costs is bounded by struct kymo_guard (desc.h) and kymo_registry_options.max_series; here both are read
 * and changed. Series end because somebody says so (forget, remove), because they are idle (guard.idle_ns), or because
 * heavier ones took their place (KYMO_GUARD_TOP). Then:
 * - the event callback is told, with the last value, once no recording into it can be under way any more: before the
 *   call returns or, if a recorder was stopped right inside, in a later scrape, visit or sweep;
 * - label text, table entry and slot are given to series to come. A handle keeps a cell of 24 bytes until it is released;
 * - what is recorded through such a handle goes where guard.after_end says. Coming back to life takes one of some ready
 *   slots, no lock: 64 series of a family (4 of native histograms) can do so between two scrapes, sweeps or calls of
 *   `with`; what more there is goes to the overflow series and is counted in kymo_series_dropped_total;
 * - labels that are asked for again get a new series, with a new start time and, if a handle is still out, its cell.
 *
 * Families are named by their full name, with the registry's prefix. Collectors' families have no series here.
 */
#ifndef KYMO_GUARD_H
#define KYMO_GUARD_H

#include <kymo/base.h>
#include <kymo/desc.h>
#include <kymo/registry.h>
#include <kymo/visit.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- limits ---- */

/**
 * kymo_registry_get_guard() - the guard of a family as it is in force, defaults filled in
 * Errors: KYMO_EINVAL, KYMO_ENOENT, KYMO_EGUARD (it has no labels). Threads: any.
 */
KYMO_API int kymo_registry_get_guard(struct kymo_registry *reg, const char *family, struct kymo_guard *guard);

/**
 * kymo_registry_set_guard() - changes the guard of a family
 * @guard: copied; zeros mean the defaults, as at registration
 *
 * A lower max_series ends nothing: no new series come until there is room; with KYMO_GUARD_TOP the lightest ones leave
 * at the next scrape. Errors: KYMO_EINVAL, KYMO_ENOENT, KYMO_EGUARD (no labels; the policy would change to or from
 * KYMO_GUARD_TOP; idle_ns is negative), KYMO_EUNBOUNDED (such labels need a policy). Threads: any.
 */
KYMO_API int kymo_registry_set_guard(struct kymo_registry *reg, const char *family, const struct kymo_guard *guard);

/** kymo_registry_set_max_series() - changes the registry's budget; 0 means 10 000. KYMO_EINVAL. Threads: any. */
KYMO_API int kymo_registry_set_max_series(struct kymo_registry *reg, size_t n);

/**
 * kymo_registry_allow() - the values that a label may have
 * @values: @n of them, at most 4095 bytes each, copied; n = 0: any value
 *
 * From then on a value that is not on its label's list stands as `__other__`; the other labels keep theirs. Series that
 * have such a value end; what is recorded through their handles goes to the overflow series. Errors: KYMO_EINVAL,
 * KYMO_ENOENT (no such family, or label of it), KYMO_EGUARD (it has no labels), KYMO_EUTF8, KYMO_ENOMEM, KYMO_EBUSY as
 * kymo_registry_forget(): the list is in force then, and some of those series live. Threads: any. Cost: one look at each
 * series.
 */
KYMO_API int kymo_registry_allow(struct kymo_registry *reg, const char *family, const char *label,
                                 const char *const *values, size_t n);

/* ---- ends ---- */

/**
 * kymo_registry_forget() - ends the series with these label values
 * Errors: KYMO_EINVAL, KYMO_ENOENT (no such family or series), KYMO_EKIND (a family without labels: unregister it),
 * KYMO_EBUSY (from inside a callback, or too many series are ending: a recorder was stopped inside one of them for long;
 * call again). Threads: any; recording waits for nothing. Cost: a lookup and, as a rule, one membarrier.
 */
KYMO_API int kymo_registry_forget(struct kymo_registry *reg, const char *family, const char *const *values, size_t n);

/**
 * kymo_registry_remove() - ends all series that have these labels: everything of a model, adapter, tenant, job
 * @family:  one family, or NULL: all
 * @match:   @n label names and values; a series must have them all. Constant labels do not count. n = 0 needs a family
 * @removed: how many ended; may be NULL
 *
 * The overflow series stays. Errors: KYMO_EINVAL, KYMO_ENOENT (no such family), KYMO_EKIND (it has no labels), KYMO_EBUSY
 * as above: @removed of them have ended then. Threads: any. Cost: one comparison for each series of families that have
 * these labels; the registry's lock is free again after every 1000.
 */
KYMO_API int kymo_registry_remove(struct kymo_registry *reg, const char *family, const struct kymo_label *match,
                                  size_t n, size_t *removed);

/**
 * typedef kymo_match_fn - whether a series is to end: 0 keeps it
 * Called with the registry's lock held, as a visitor is: must not call back into the registry.
 */
typedef int (*kymo_match_fn)(void *ctx, const struct kymo_family *family, const struct kymo_point *point);

/** kymo_registry_remove_if() - ends the series for which @match says so; else as kymo_registry_remove() with n = 0. */
KYMO_API int kymo_registry_remove_if(struct kymo_registry *reg, const char *family, kymo_match_fn match, void *ctx,
                                     size_t *removed);

#ifdef __cplusplus
}
#endif
#endif
