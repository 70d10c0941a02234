/* SPDX-License-Identifier: Apache-2.0 */
/*
 * adopt_after_kill.pml - a shard whose owner was killed at any instruction is taken over with its values, and
 * what a reader sees before, during and after is whole and never goes back. The observation cut off is in it
 * whole or not at all.
 *
 * OWNERS own the shard one after the other; each first settles what it found, then makes OBSERVATIONS of its
 * own. All but the last may be killed anywhere, in settling too. A killed thread's stores were made: its
 * buffer drains, and an adopter starts only then (it learns of the death from the kernel, after the dead
 * thread's last switch). DROPS lets the kill lose what is still in the buffer as well, which covers machines
 * that would do so.
 */
#ifndef OBSERVATIONS
#define OBSERVATIONS 1
#endif
#ifndef OWNERS
#define OWNERS 3
#endif
#ifndef READS
#define READS 2
#endif
#ifndef HISTOGRAMS
#define HISTOGRAMS 1
#endif
#define WORDS (5 + HISTOGRAMS * 4)
#define BUFFERS 1 /* one thread at a time has stores to make: the next owner waits until the last one's are made */
#define OWNER 0
#ifdef WEAK
#define DEPTH 5
#else
#define DEPTH 1
#endif
#include "store_buffer.pml"
#include "whole.pml"

byte turn;         /* the owner that lives */
bool killed[OWNERS];
bool finished;
byte done[2], kept[2]; /* observations of the first histogram begun, and those among them that were not cut off */

active [OWNERS] proctype owner()
{
    byte me, i, h, k, y, q, s, u;
    me = _pid - BUFFERS;
end: /* nobody was killed: nothing to adopt */
    turn == me && (me == 0 || DRAINED(OWNER));
    {
        SETTLE(OWNER, 0, y, h, q, k, u);
        do
        :: i < OBSERVATIONS ->
            if
            :: me != 1 -> k = 1
            :: me == 1 -> k = 0
#ifdef ANY_BUCKET
            :: me == 1 -> k = 1
#endif
            fi;
            if
            :: h = 0; done[k]++
#if HISTOGRAMS > 1
            :: h = HISTOGRAM_WORDS
#endif
            fi;
            OBSERVE(OWNER, 0, h, k, y, q, s, u);
            d_step {
                if
                :: h == 0 -> kept[k]++
                :: else
                fi;
                i++
            }
        :: else -> break
        od;
        finished = true
    } unless {
        d_step {
            killed[me] && !finished ->
            turn++;
            i = 0; h = 0; k = 0; y = 0; q = 0; s = 0; u = 0
        }
    }
}

active proctype killer()
{
    byte who;
    do
    :: d_step {
            who + 1 < OWNERS && turn == who && !finished ->
            killed[who] = true;
#ifdef DROPS
            do
            :: sb[OWNER].n > 0 ->
                sb[OWNER].n--;
                sb[OWNER].e[sb[OWNER].n].at = 0;
                sb[OWNER].e[sb[OWNER].n].val = 0;
                sb[OWNER].e[sb[OWNER].n].kind = 0
            :: else -> break
            od;
#endif
            who++
        }
    :: break
    od
}

active proctype reader()
{
    view v;
    byte i, tries, last_b0, last_b1, floor_;
#ifdef WEAK
end:
    killed[0]; /* a running writer is histogram_whole.pml's */
#endif
    d_step { FORGET(v) };
    do
    :: i < READS ->
        d_step { floor_ = (mem[SEQ] + 1) / 2 };
        READ_WHOLE(0, 0, v, tries, 2 * OBSERVATIONS * OWNERS);
        d_step {
            assert(IS_WHOLE(v.s1, v.b0, v.b1, v.sum));
            assert(v.b0 >= last_b0 && v.b1 >= last_b1);
            assert(v.b0 <= done[0] && v.b1 <= done[1]);
            assert(v.s1 >= floor_);
            last_b0 = v.b0;
            last_b1 = v.b1;
            floor_ = 0;
            i++;
            FORGET(v)
        }
    :: else -> break
    od
}

active proctype end_state()
{
    finished && DRAINED(OWNER);
    d_step {
        assert(mem[SEQ] % 2 == 0 && mem[BUSY] % 2 == 0);
        assert(IS_WHOLE(mem[SEQ] / 2, mem[BUCKET], mem[BUCKET + 1], mem[SUM]));
        assert(mem[BUCKET] >= kept[0] && mem[BUCKET] <= done[0]);
        assert(mem[BUCKET + 1] >= kept[1] && mem[BUCKET + 1] <= done[1])
    }
}
