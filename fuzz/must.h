/* SPDX-License-Identifier: Apache-2.0 */
/*
 * must.h - what the fuzz targets share: a condition that ends the process, which a fuzzer takes for a finding.
 *
 * FUZZ_NAME is the target's name, defined before this is included.
 */
#ifndef KYMO_FUZZ_MUST_H
#define KYMO_FUZZ_MUST_H

#include <stdio.h>
#include <stdlib.h>

static inline void must(int holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, FUZZ_NAME ": not so: %s\n", what);
    abort();
}

/* Zeroed memory, or the end. */
static inline void *room(size_t bytes)
{
    void *at = calloc(1, bytes);
    must(at != NULL, "there is memory");
    return at;
}

#endif
