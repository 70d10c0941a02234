/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode/accept.h - Accept and Accept-Encoding, one entry after the other: nothing is kept of a header but the place.
 *
 * An entry is what stands between two commas, its parts between semicolons, blanks around each left out. Whatever the
 * bytes are, each entry has a name, perhaps empty, and a weight. Source: RFC 9110, sections 12.4.2, 12.5.1, 12.5.3.
 */
#ifndef KYMO__ACCEPT_H
#define KYMO__ACCEPT_H

#include <stddef.h>
#include <stdint.h>

/** struct kymo__slice - a piece of a header */
struct kymo__slice {
    const char *at;
    size_t n;
};

#define KYMO__WEIGHT_ONE 1000000000u

/**
 * struct kymo__accept_entry - one entry of a header
 * @name:   a media range or a coding
 * @params: all that follows the first semicolon
 * @weight: its q, in billionths: KYMO__WEIGHT_ONE if it has none or one that makes no sense, 0 if it is not wanted
 */
struct kymo__accept_entry {
    struct kymo__slice name;
    struct kymo__slice params;
    uint32_t weight;
};

/** kymo__accept_next() - takes the first entry off the rest of a header; 0 when none is left */
int kymo__accept_next(struct kymo__slice *rest, struct kymo__accept_entry *entry);

/** kymo__param_next() - takes the first parameter off an entry's; 0 when none is left */
int kymo__param_next(struct kymo__slice *rest, struct kymo__slice *name, struct kymo__slice *value);

/** kymo__slice_is() - whether these are the bytes of a text; kymo__slice_is_word(): in upper or lower case */
int kymo__slice_is(struct kymo__slice slice, const char *text);
int kymo__slice_is_word(struct kymo__slice slice, const char *text);

#endif
