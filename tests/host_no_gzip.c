/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/host_no_gzip.c - without zlib every reply goes out as it is, which a client must take whatever it asked for.
 */
#include "host.h"

int host_can_gzip(void)
{
    return 0;
}

void host_gzip(char **body, size_t *n)
{
    (void)body;
    (void)n;
}
