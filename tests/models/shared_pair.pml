/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shared_pair.pml - the shared store loses no update and no reader has half of one: a bucket's {n, sum} move
 * together.
 *
 * Two writers, UPDATES each, one reader, READS times. Writer w adds one observation of value VALUE(w). By
 * default the pair is moved by one compare-exchange of both words, and each repetition of the reader is owed
 * to an update that went through. LOCKED is the form for machines without such an instruction: the top bit of
 * n is a lock. There a writer that stops inside (STOPS) blocks whoever comes after: a limit of that form,
 * which this model shows rather than hides.
 *
 * In WEAK the lock's compare-exchange may become visible after younger stores of its thread, though nobody
 * else can take the lock meanwhile: so it is where load-exclusive and store-exclusive make one.
 *
 * Rules that a define can break: SPLIT (two additions instead of one move), NO_RECHECK, NO_FENCE_LAST,
 * NO_ACQUIRE_FIRST (reader), NO_FENCE_LOCK, NO_RELEASE_UNLOCK (writer).
 */
#define UPDATES 2
#define READS 2
#define WORDS 2
#define BUFFERS 2
#define DEPTH 4
#include "store_buffer.pml"

#define N 0
#define PSUM 1
#define LOCK 128
#define VALUE(w) (1 + 3 * (w))

byte sum_at[2 * UPDATES + 1]; /* what the sum is once n is this */
byte finished;
byte stopped;

#ifdef NO_RELEASE_UNLOCK
#define KIND_UNLOCK PLAIN
#else
#define KIND_UNLOCK RELEASE
#endif

inline MOVE(me)
{
    n = mem[N];
    s = mem[PSUM]; /* may belong to another n: the exchange refuses it then */
    do
    :: d_step {
        mem[N] == n && mem[PSUM] == s ->
        mem[N] = n + 1;
        mem[PSUM] = s + VALUE(me);
        sum_at[n + 1] = s + VALUE(me)
    }; break
    :: d_step { (mem[N] != n || mem[PSUM] != s) -> n = mem[N]; s = mem[PSUM] }
    od
}

inline TWO_ADDITIONS(me)
{
    d_step { mem[N] = mem[N] + 1; sum_at[mem[N]] = sum_at[mem[N] - 1] + VALUE(me) };
    mem[PSUM] = mem[PSUM] + VALUE(me)
}

/* Nobody's store to n is on its way: then the value in memory is the one a compare-exchange acts on. */
#define N_SETTLED(w) (sb[w].n == 0 || (sb[w].e[0].at != N && (sb[w].n < 2 || sb[w].e[1].at != N) \
    && (sb[w].n < 3 || sb[w].e[2].at != N) && (sb[w].n < 4 || sb[w].e[3].at != N)))

inline LOCK_AND_STORE(me)
{
    atomic {
        N_SETTLED(0) && N_SETTLED(1) && mem[N] < LOCK ->
        n = mem[N];
        STORE_RELEASE(me, N, n + LOCK)
    };
#ifndef NO_FENCE_LOCK
    FENCE_RELEASE(me);
#endif
#ifdef STOPS
    if
    :: stopped == 0 -> stopped = 1; goto over
    :: true
    fi;
#endif
    LOAD(me, PSUM, s);
    d_step { s = s + VALUE(me); sum_at[n + 1] = s };
    STORE(me, PSUM, s);
    PUSH(me, N, n + 1, KIND_UNLOCK)
}

active [2] proctype writer()
{
    byte me, i, n, s;
    me = _pid - BUFFERS;
    do
    :: i < UPDATES ->
#if defined(LOCKED)
        LOCK_AND_STORE(me);
#elif defined(SPLIT)
        TWO_ADDITIONS(me);
#else
        MOVE(me);
#endif
        n = 0;
        d_step { s = 0; i++ }
    :: else -> break
    od;
over:
    finished++
}

active proctype reader()
{
    byte i, before, sum, after, last, tries;
    do
    :: i < READS ->
        do
        :: true ->
#ifdef NO_ACQUIRE_FIRST
            if
            :: before = mem[N]; sum = mem[PSUM]
            :: sum = mem[PSUM]; before = mem[N]
            fi;
#else
            before = mem[N];
            sum = mem[PSUM];
#endif
#ifdef NO_FENCE_LAST
            if
            :: after = mem[N]
            :: d_step { after = before; sum = 0 }; after = mem[N]; sum = mem[PSUM]
            fi;
#else
            after = mem[N];
#endif
#ifdef NO_RECHECK
            break
#else
            if
            :: before == after && before < LOCK -> break
#ifdef LOCKED
            :: before >= LOCK -> mem[N] != before
            :: before < LOCK && before != after
#else
            :: before != after -> tries++; assert(tries <= 2 * UPDATES)
#endif
            fi
#endif
        od;
        before = before & (LOCK - 1);
        d_step {
            assert(sum == sum_at[before]);
            assert(before >= last);
            last = before;
            before = 0; sum = 0; after = 0; tries = 0;
            i++
        }
    :: else -> break
    od
}

active proctype end_state()
{
    finished == 2 && DRAINED(0) && DRAINED(1);
    d_step {
        assert(stopped || mem[N] == 2 * UPDATES);
        assert(stopped || mem[PSUM] == UPDATES * (VALUE(0) + VALUE(1)))
    }
}
