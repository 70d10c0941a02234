/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/atomic.h - every atomic operation of the library, the order in its name.
 *
 * A closed list: a test greps that no other file uses atomics. Shared words are plain integers that are only ever
 * touched through these, by their address. Each acquire and release names its partner where it is used; each relaxed
 * one says there why that is enough. Stand-alone fences are invisible to ThreadSanitizer, so the order they give is
 * shown by the models in tests/models, not by it.
 */
#ifndef KYMO__ATOMIC_H
#define KYMO__ATOMIC_H

#include <stdint.h>
#include <string.h>

#define kymo__load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define kymo__load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define kymo__store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define kymo__store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define kymo__add_relaxed(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define kymo__or_relaxed(p, v) __atomic_fetch_or((p), (v), __ATOMIC_RELAXED)
#define kymo__and_relaxed(p, v) __atomic_fetch_and((p), (v), __ATOMIC_RELAXED)
/* Full order: what comes after cannot be seen before it, nor what comes before after it. */
#define kymo__add_full(p, v) __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)
#define kymo__exchange_full(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
/* Strong compare-exchange, full order: on failure *e holds what was found. */
#define kymo__cas_full(p, e, v) __atomic_compare_exchange_n((p), (e), (v), 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
#define kymo__cas_relaxed(p, e, v) __atomic_compare_exchange_n((p), (e), (v), 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED)
#define kymo__fence_acquire() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define kymo__fence_release() __atomic_thread_fence(__ATOMIC_RELEASE)
/* Orders this thread against its own signal handlers, and against whoever issues a membarrier: no instruction. */
#define kymo__fence_signal() __atomic_signal_fence(__ATOMIC_SEQ_CST)

static inline uint64_t kymo__bits(double v)
{
    uint64_t u;
    memcpy(&u, &v, sizeof(u));
    return u;
}

static inline double kymo__double(uint64_t u)
{
    double v;
    memcpy(&v, &u, sizeof(v));
    return v;
}

/* Adds v to the double whose bits are at p; lock-free. Returns nothing: the order of additions is whatever happens. */
static inline void kymo__add_double_relaxed(uint64_t *p, double v)
{
    uint64_t old = kymo__load_relaxed(p);
    while (!kymo__cas_relaxed(p, &old, kymo__bits(kymo__double(old) + v))) {
    }
}

/*
 * A bucket of the shared store: how many observations it holds and their sum, moved together. A reader that finds n
 * unchanged around sum has a pair that belongs together, since every move makes n grow.
 */
struct kymo__pair {
    _Alignas(16) uint64_t n;
    uint64_t sum; /* bits of a double */
};

/* clang decides by the command line (-mcx16, which the build gives), gcc can be told here as well. */
#if defined(KYMO__NO_PAIR_CAS)
#define KYMO__PAIR_CAS 0
#elif defined(__GCC_HAVE_SYNC_COMPARE_AND_SWAP_16) || defined(__aarch64__) ||                                          \
    (defined(__x86_64__) && !defined(__clang__))
#define KYMO__PAIR_CAS 1
#else
#define KYMO__PAIR_CAS 0
#endif
#if defined(__x86_64__) && !defined(__clang__)
#define KYMO__PAIR_TARGET __attribute__((target("cx16")))
#else
#define KYMO__PAIR_TARGET
#endif

/**
 * kymo__pair_cas() - strong compare-exchange of a pair, full order: 1, or 0 and *old is what was found, or -1
 * Lock-free where the machine has a 16-byte compare-exchange, and then never -1. Elsewhere the top bit of n is a lock
 * that is tried a bounded number of times, so that a signal handler on top of its holder cannot hang: -1.
 */
#if KYMO__PAIR_CAS
KYMO__PAIR_TARGET static inline int kymo__pair_cas(struct kymo__pair *p, struct kymo__pair *old, struct kymo__pair new)
{
    __extension__ typedef unsigned __int128 both;
    union {
        struct kymo__pair pair;
        both whole;
    } expected = {*old}, wanted = {new}, seen;
    seen.whole = __sync_val_compare_and_swap((both *)(void *)p, expected.whole, wanted.whole);
    *old = seen.pair;
    return seen.whole == expected.whole;
}
#else
#define KYMO__PAIR_LOCKED ((uint64_t)1 << 63)
static inline int kymo__pair_cas(struct kymo__pair *p, struct kymo__pair *old, struct kymo__pair new)
{
    for (int tries = 0; tries < 100000; tries++) {
        uint64_t n = kymo__load_relaxed(&p->n) & ~KYMO__PAIR_LOCKED;
        if (!kymo__cas_full(&p->n, &n, n | KYMO__PAIR_LOCKED))
            continue;
        uint64_t sum = kymo__load_relaxed(&p->sum);
        int same = n == old->n && sum == old->sum;
        old->n = n;
        old->sum = sum;
        kymo__fence_release(); /* the lock is seen before the sum changes */
        kymo__store_relaxed(&p->sum, same ? new.sum : sum);
        kymo__store_release(&p->n, same ? new.n : n); /* with kymo__pair_read() */
        return same;
    }
    return -1;
}
#endif

/** kymo__pair_add() - adds n observations of sum v as one whole; 0, or -1 if kymo__pair_cas() gave up */
KYMO__PAIR_TARGET static inline int kymo__pair_add(struct kymo__pair *p, uint64_t n, double v)
{
    struct kymo__pair old = {kymo__load_relaxed(&p->n), kymo__load_relaxed(&p->sum)}, new;
    int r;
    do {
        new.n = old.n + n;
        new.sum = kymo__bits(kymo__double(old.sum) + v);
        r = kymo__pair_cas(p, &old, new);
    } while (r == 0);
    return r > 0 ? 0 : -1;
}

/*
 * Reads a pair that belongs together. Lock-free: it repeats only if another update went through meanwhile. With the
 * lock bit it gives up waiting for a holder that was jumped out of, and takes the pair as it lies.
 */
static inline void kymo__pair_read(struct kymo__pair *p, uint64_t *n, double *sum)
{
    for (int looks = 0;; looks++) {
        uint64_t before = kymo__load_acquire(&p->n); /* with kymo__pair_add() */
        uint64_t bits = kymo__load_relaxed(&p->sum);
        kymo__fence_acquire(); /* sum is read before n is read again */
        int whole = kymo__load_relaxed(&p->n) == before;
#if !KYMO__PAIR_CAS
        whole = (whole && !(before & KYMO__PAIR_LOCKED)) || looks > 1000000;
        before &= ~KYMO__PAIR_LOCKED;
#endif
        if (whole) {
            *n = before;
            *sum = kymo__double(bits);
            return;
        }
    }
}

#endif
