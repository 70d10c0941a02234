/* SPDX-License-Identifier: Apache-2.0 */
/*
 * no_protobuf_c.c - stands for test_protobuf.c where its decoder was not there when the build was set up.
 */
#include <stdio.h>

int main(void)
{
    puts("SKIP: no protoc-c or no libprotobuf-c (Debian: protobuf-c-compiler libprotobuf-c-dev)");
    return 77;
}
