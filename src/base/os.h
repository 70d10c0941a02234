/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/os.h - all that is asked of the operating system, one implementation file per system.
 *
 * Every function may fail; what a failure costs is said at each. Nothing here knows of metrics.
 */
#ifndef KYMO__OS_H
#define KYMO__OS_H

#include <stddef.h>
#include <stdint.h>

#define KYMO__PAGE 4096u /* our unit for chunks; the system's page may be larger */

/** kymo__os_reserve() - address space without memory behind it; NULL if the system refuses. Page-aligned. */
void *kymo__os_reserve(size_t bytes);

/** kymo__os_commit() - makes part of a reserved range usable, zero-filled on first touch. 0, or -1. */
int kymo__os_commit(void *at, size_t bytes);

/** kymo__os_discard() - forgets the contents of committed pages: they read as zero and take no memory. 0, or -1: unchanged. */
int kymo__os_discard(void *at, size_t bytes);

/** kymo__os_release() - gives a range of kymo__os_reserve() or kymo__os_pages() back. */
void kymo__os_release(void *at, size_t bytes);

/** kymo__os_pages() - usable zero-filled memory, or NULL. */
void *kymo__os_pages(size_t bytes);

/**
 * kymo__os_wiped_pages() - usable zero-filled memory that is zero again in a child of fork(), or NULL
 * Where the kernel lacks MADV_WIPEONFORK, *@wiped is 0 and the caller must wipe from a fork handler.
 */
void *kymo__os_wiped_pages(size_t bytes, int *wiped);

/** kymo__os_granule() - the system's page size: commits, discards and releases are in units of it. */
size_t kymo__os_granule(void);

/**
 * kymo__os_membarrier() - after it, every other thread of this process has had a full fence; 0, or -1 if there is none
 * The other half of an asymmetric fence: recorders pay nothing, the rare reclaimer a quarter of a microsecond.
 */
int kymo__os_membarrier(void);

/** kymo__os_thread_id(), kymo__os_thread_alive() - whether a thread of this process still runs. Signal-safe. */
uint32_t kymo__os_thread_id(void);
int kymo__os_thread_alive(uint32_t id);

/** kymo__os_yield() - lets others run, for waits that are bounded elsewhere. */
void kymo__os_yield(void);
/** kymo__os_nap() - gives the CPU away for about 0.1 ms, for longer ones. */
void kymo__os_nap(void);

/** kymo__os_wall_ns(), kymo__os_monotonic_ns() - nanoseconds since 1970, and since boot. */
int64_t kymo__os_wall_ns(void);
int64_t kymo__os_monotonic_ns(void);

/** kymo__os_random() - bits that a client who chooses label values cannot guess. */
uint64_t kymo__os_random(void);

#endif
