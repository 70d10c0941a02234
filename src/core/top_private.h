/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/top_private.h - what this process knows of the series on the page of a family of the heaviest.
 *
 * Read core/top.h first. Whether a series is a member its loc says; what else there is to know of those on the page is
 * private, by ordinal: weights of members, who was promised and not shown, since when somebody is frozen. All of it can
 * be lost without harm: who stands by and is not known counts as promised, so that it is shown before it is recorded
 * into. Shared by top_weights.c and top_members.c; under the registry's lock.
 */
#ifndef KYMO__TOP_PRIVATE_H
#define KYMO__TOP_PRIVATE_H

#include "core/top.h"

#define KYMO__TOP_CHANGES KYMO__TOP_PLACES /* new series in one upkeep, at most */

/* Of a series on the page. */
struct kymo__standing {
    uint32_t series, generation; /* whose this is */
    int promised;                /* else it is a member, or frozen: see its loc */
    uint32_t shown_by;           /* promised: a walk that has shown it */
    uint64_t weight;             /* of a member; of all others it is in the sketch */
    uint64_t whole;              /* as a member: what it was last weighed at */
    double fraction;
    int64_t since_ns; /* frozen */
};

struct kymo__pick {
    uint64_t order;
    uint32_t series;
    uint32_t unused;
};

struct kymo__top_private {
    size_t bytes;
    uint32_t n;          /* ordinals there is room for */
    uint32_t n_promises; /* may be out */
    int64_t aged_ns;
    uint64_t heaviest;            /* member's weight */
    uint32_t n_standing;          /* in this upkeep: promised and members */
    uint32_t n_shown;             /* the same and the frozen ones */
    uint32_t n_members, n_frozen; /* as picks, lightest member and heaviest frozen one first */
    struct kymo__pick *members, *frozen;
    struct kymo__standing of[];
};

/** kymo__top_private_ensure() - room for all ordinals and those of this upkeep; NULL: no memory, all stays as it is */
struct kymo__top_private *kymo__top_private_ensure(struct kymo__family *f, int64_t now_ns);
/** kymo__top_known() - what is known of a series on the page, or NULL: nothing */
struct kymo__standing *kymo__top_known(const struct kymo__family *f, const struct kymo__series *series);
/** kymo__top_standing() - the same; what is not known begins here. After kymo__top_private_ensure(). */
struct kymo__standing *kymo__top_standing(const struct kymo__family *f, const struct kymo__series *series);
/** kymo__top_weigh() - members become heavier by what was recorded, everybody lighter by age */
void kymo__top_weigh(struct kymo__family *f, int64_t now_ns);

#endif
