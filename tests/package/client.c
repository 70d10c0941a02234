/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest client: prints the version of the library it runs with, and fails if its header is of another one. */
#include <kymo/kymo.h>

#include <stdio.h>

int main(void)
{
    const unsigned v = kymo_version();
    printf("%u.%u.%u\n", v >> 16, v >> 8 & 0xff, v & 0xff);
    return v == KYMO_VERSION ? 0 : 1;
}
