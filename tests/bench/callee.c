/* SPDX-License-Identifier: Apache-2.0 */
/*
 * callee.c - a shared library with one empty function: baseline C, the price of a call through the PLT.
 *
 * What must hold: a library of its own and no link-time optimisation, so that the call stays a call.
 */
#include "bench.h"

__attribute__((visibility("default"))) void bench_callee_empty(void *object)
{
    (void)object;
}
