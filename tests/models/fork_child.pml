/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fork_child.pml - a child of fork() begins with whole histograms, whatever its parent's other threads were
 * doing, adds its own observations to them, and takes nothing from its parent.
 *
 * The parent has two threads with a shard each: one observes while the other forks, between two observations
 * of its own. The child has a copy of memory: what was still in a store buffer is not in it (of each thread's
 * stores, in their order, the child has those up to some point, which the buffers' draining at any time
 * covers). It finds its control wiped, so it records into the shared store, is scraped, then adopts both
 * shards and records into an adopted one.
 *
 * SHARED_SEGMENT: memory is not copied; the child records into the shared store and adopts nothing, since its
 * parent lives.
 *
 * Rules that a define can break: NO_SETTLE (adopts without finishing what the copy has half done),
 * IGNORE_REDO (so does the scrape), NOT_WIPED (with SHARED_SEGMENT: the child writes its parent's shard).
 */
#ifndef OBSERVATIONS
#define OBSERVATIONS 2
#endif
#define BUFFERS 3
#ifdef WEAK
#define DEPTH 5
#else
#define DEPTH 2
#endif
#define SHARED_N 18
#define SHARED_SUM 20
#define SEGMENT_WORDS 22
#ifdef SHARED_SEGMENT
#define WORDS SEGMENT_WORDS
#define COPY 0
#else
#define WORDS (2 * SEGMENT_WORDS)
#define COPY SEGMENT_WORDS
#endif
#include "store_buffer.pml"
#include "whole.pml"

#define BUSY_THREAD 0
#define FORKER 1
#define CHILD 2
#define SHARD_0 0
#define SHARD_1 SHARD_WORDS

bool forked;
byte at_fork[2]; /* each shard's count, the update that was visibly under way included */
byte finished;

active proctype thread()
{
    byte i, k, y, q, s, u;
    do
    :: i < OBSERVATIONS ->
        k = 1 - i % 2;
        OBSERVE(BUSY_THREAD, SHARD_0, 0, k, y, q, s, u);
        i++
    :: else -> break
    od;
    i = 0;
    d_step { k = 0; finished++ }
}

active proctype forker()
{
    byte i, y, q, s, u;
    OBSERVE(FORKER, SHARD_1, 0, 0, y, q, s, u);
    d_step {
        DRAINED(FORKER) -> /* a system call */
#ifndef SHARED_SEGMENT
        do
        :: i < SEGMENT_WORDS -> mem[COPY + i] = mem[i]; i++
        :: else -> break
        od;
#endif
        i = 0;
        at_fork[0] = (mem[SHARD_0 + SEQ] + 1) / 2;
        at_fork[1] = mem[SHARD_1 + SEQ] / 2;
        forked = true
    };
    OBSERVE(FORKER, SHARD_1, 0, 1, y, q, s, u);
    finished++
}

inline OBSERVE_SHARED(k)
{
    d_step {
        DRAINED(CHILD) ->
        mem[COPY + SHARED_N + k] = mem[COPY + SHARED_N + k] + 1;
        mem[COPY + SHARED_SUM + k] = mem[COPY + SHARED_SUM + k] + VALUE(k)
    }
}

active proctype child()
{
    byte h, k, y, q, s, u, tries;
    view v;
    forked;
#ifdef SHARED_SEGMENT
#ifdef NOT_WIPED
    OBSERVE(CHILD, SHARD_1, 0, 1, y, q, s, u);
#else
    OBSERVE_SHARED(1);
#endif
    OBSERVE_SHARED(0);
#else
    OBSERVE_SHARED(1);
    d_step { FORGET(v) };
    READ_WHOLE(COPY + SHARD_0, 0, v, tries, 0);
    d_step {
        assert(IS_WHOLE(v.s1, v.b0, v.b1, v.sum));
        assert(v.s1 == at_fork[0]);
        FORGET(v)
    };
    SETTLE(CHILD, COPY + SHARD_0, y, h, q, k, u);
    SETTLE(CHILD, COPY + SHARD_1, y, h, q, k, u);
    OBSERVE(CHILD, COPY + SHARD_0, 0, 1, y, q, s, u);
#endif
    finished++
}

#define SHARD_IS_WHOLE(b) IS_WHOLE(mem[(b) + SEQ] / 2, mem[(b) + BUCKET], mem[(b) + BUCKET + 1], mem[(b) + SUM])

active proctype end_state()
{
    finished == 3 && DRAINED(BUSY_THREAD) && DRAINED(FORKER) && DRAINED(CHILD);
    d_step {
        assert(SHARD_IS_WHOLE(SHARD_0) && mem[SHARD_0 + SEQ] / 2 == OBSERVATIONS);
        assert(SHARD_IS_WHOLE(SHARD_1));
#ifdef SHARED_SEGMENT
        assert(mem[SHARD_1 + BUCKET] + mem[SHARED_N] == 2);
        assert(mem[SHARD_1 + BUCKET + 1] + mem[SHARED_N + 1] == 2);
#else
        assert(mem[SHARD_1 + SEQ] / 2 == 2);
        assert(mem[SHARED_N] == 0 && mem[SHARED_N + 1] == 0);
        assert(SHARD_IS_WHOLE(COPY + SHARD_0) && mem[COPY + SHARD_0 + SEQ] / 2 == at_fork[0] + 1);
        assert(SHARD_IS_WHOLE(COPY + SHARD_1) && mem[COPY + SHARD_1 + SEQ] / 2 == at_fork[1]);
        assert(mem[COPY + SHARED_N] == 0 && mem[COPY + SHARED_N + 1] == 1)
#endif
    }
}
