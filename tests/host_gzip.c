/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/host_gzip.c - compressed replies, where there is zlib; host_no_gzip.c stands in for it elsewhere.
 */
#include "host.h"

#include <limits.h>
#include <string.h>

#include <zlib.h>

int host_can_gzip(void)
{
    return 1;
}

void host_gzip(char **body, size_t *n)
{
    enum { GZIP = 16 };
    z_stream z;
    memset(&z, 0, sizeof(z));
    MUST(*n <= UINT_MAX / 2);
    MUST(deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS | GZIP, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    uLong room = deflateBound(&z, (uLong)*n);
    char *packed = malloc(room);
    MUST(packed != NULL);
    z.next_in = (Bytef *)*body;
    z.avail_in = (uInt)*n;
    z.next_out = (Bytef *)packed;
    z.avail_out = (uInt)room;
    MUST(deflate(&z, Z_FINISH) == Z_STREAM_END && deflateEnd(&z) == Z_OK);
    free(*body);
    *body = packed;
    *n = z.total_out;
}
