/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/os_linux.c - os.h on Linux, glibc or musl.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "base/os.h"
#include "base/atomic.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

/* From the kernel's interface; its header need not be installed where a program is built. */
enum { PRIVATE_EXPEDITED = 1 << 3, REGISTER_PRIVATE_EXPEDITED = 1 << 4 };

void *kymo__os_reserve(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

int kymo__os_commit(void *at, size_t bytes)
{
    return mprotect(at, bytes, PROT_READ | PROT_WRITE) == 0 ? 0 : -1;
}

int kymo__os_discard(void *at, size_t bytes)
{
    return madvise(at, bytes, MADV_DONTNEED) == 0 ? 0 : -1; /* locked memory, for one, is not discarded */
}

void kymo__os_release(void *at, size_t bytes)
{
    (void)munmap(at, bytes);
}

void *kymo__os_pages(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

void *kymo__os_wiped_pages(size_t bytes, int *wiped)
{
    void *at = kymo__os_pages(bytes);
    *wiped = at != NULL && madvise(at, bytes, MADV_WIPEONFORK) == 0;
    return at;
}

size_t kymo__os_granule(void)
{
    long n = sysconf(_SC_PAGESIZE);
    return n > (long)KYMO__PAGE ? (size_t)n : KYMO__PAGE;
}

static int membarrier_call(int command)
{
#ifdef SYS_membarrier
    return (int)syscall(SYS_membarrier, command, 0, 0);
#else
    (void)command;
    return -1;
#endif
}

int kymo__os_membarrier(void)
{
    /* Registration is inherited by fork() but not needed twice; asking again after a refusal costs one system call. */
    if (membarrier_call(PRIVATE_EXPEDITED) == 0)
        return 0;
    if (membarrier_call(REGISTER_PRIVATE_EXPEDITED) != 0)
        return -1;
    return membarrier_call(PRIVATE_EXPEDITED) == 0 ? 0 : -1;
}

uint32_t kymo__os_thread_id(void)
{
    return (uint32_t)syscall(SYS_gettid);
}

int kymo__os_thread_alive(uint32_t id)
{
    int kept = errno;
    int alive = syscall(SYS_tgkill, getpid(), (pid_t)id, 0) == 0 || errno != ESRCH;
    errno = kept;
    return alive;
}

void kymo__os_yield(void)
{
    (void)sched_yield();
}

void kymo__os_nap(void)
{
    const struct timespec t = {0, 100000};
    (void)nanosleep(&t, NULL);
}

static int64_t clock_ns(clockid_t id)
{
    struct timespec ts;
    if (clock_gettime(id, &ts) != 0)
        return 0;
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t kymo__os_wall_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

int64_t kymo__os_monotonic_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t kymo__os_random(void)
{
    uint64_t v = 0;
#ifdef SYS_getrandom
    if (syscall(SYS_getrandom, &v, sizeof(v), 1 /* GRND_NONBLOCK */) == (long)sizeof(v))
        return v;
#endif
    /* No entropy yet: addresses and time are what is left. */
    v = (uint64_t)kymo__os_monotonic_ns() * 0x9e3779b97f4a7c15u;
    return v ^ (uint64_t)(uintptr_t)&v ^ ((uint64_t)(uintptr_t)&clock_ns << 20);
}
