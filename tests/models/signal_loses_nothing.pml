/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signal_loses_nothing.pml - a signal handler records on the thread it interrupts, at any instruction of that
 * thread's own recording or of another handler's, and nothing is lost, doubled or torn.
 *
 * One thread, RECORDS recordings, each into a counter or a histogram; two handlers, which may run on top of
 * it or of each other, each recording into both. All share one shard, one busy word and one store buffer; who
 * finds busy odd takes the shared store. A handler's instructions come before the interrupted thread's next
 * one, so processes run by level.
 *
 * JUMPS: a handler may also never return but jump to the thread's next recording. What it cut off is in the
 * totals whole or not at all; all else is.
 *
 * Rules that a define can break: BUSY_UNCHECKED (a handler uses the own shard regardless), BUSY_LATE (the
 * word is loaded before busy is odd, as a compiler might do without a signal fence), BUSY_EARLY (even before
 * the last store).
 */
#define RECORDS 2
#define BUFFERS 1
#define DEPTH 3
#define COUNTER 9
#define SHARED_COUNTER 10
#define SHARED_N 11   /* by bucket */
#define SHARED_SUM 13 /* by bucket */
#define WORDS 15
#include "store_buffer.pml"
#include "whole.pml"

#define THREAD 0
byte level;       /* who runs: 0 the thread, else the handler's number */
byte below[3];    /* what a handler interrupted */
bool begun[3];
bool recording;   /* the thread is inside a recording */
bool jumped;
byte finished;
byte counted, observed[2];      /* recordings begun */
byte cut_counted, cut_observed[2]; /* of these, abandoned by a jump */

#ifdef BUSY_UNCHECKED
#define IN_UPDATE(y) false
#else
#define IN_UPDATE(y) ((y) % 2)
#endif

inline COUNT()
{
#ifdef BUSY_LATE
    LOAD(THREAD, COUNTER, u);
#endif
    LOAD(THREAD, BUSY, y);
    if
    :: IN_UPDATE(y) -> ATOMIC_ADD(THREAD, SHARED_COUNTER, 1)
    :: else ->
        STORE(THREAD, BUSY, y + 1);
#ifndef BUSY_LATE
        LOAD(THREAD, COUNTER, u);
#endif
#ifdef BUSY_EARLY
        STORE_RELEASE(THREAD, BUSY, y + 2);
        STORE(THREAD, COUNTER, u + 1)
#else
        STORE(THREAD, COUNTER, u + 1);
        STORE_RELEASE(THREAD, BUSY, y + 2)
#endif
    fi;
    d_step { u = 0; y = 0 }
}

inline OBSERVE_ANYWHERE(k)
{
    LOAD(THREAD, BUSY, y);
    if
    :: IN_UPDATE(y) ->
        d_step {
            DRAINED(THREAD) ->
            mem[SHARED_N + k] = mem[SHARED_N + k] + 1;
            mem[SHARED_SUM + k] = mem[SHARED_SUM + k] + VALUE(k)
        }
    :: else ->
        STORE(THREAD, BUSY, y + 1);
        OBSERVE_WORDS(THREAD, 0, 0, k, q, s, u);
        STORE_RELEASE(THREAD, BUSY, y + 2)
    fi;
    y = 0
}

active proctype thread() provided (level == 0)
{
    byte i, what, y, q, s, u;
    do
    :: i < RECORDS ->
        {
            if
            :: d_step { what = 2; counted++; recording = true }; COUNT()
            :: d_step { what = 0; observed[0]++; recording = true }; OBSERVE_ANYWHERE(0)
            :: d_step { what = 1; observed[1]++; recording = true }; OBSERVE_ANYWHERE(1)
            fi;
            recording = false
        } unless {
            d_step {
                jumped ->
                jumped = false;
                recording = false;
                if
                :: what == 2 -> cut_counted++
                :: else -> cut_observed[what]++
                fi;
                y = 0; q = 0; s = 0; u = 0
            }
        };
        d_step { what = 0; i++ }
    :: else -> break
    od;
    finished++
}

#define ME (_pid - BUFFERS)

active [2] proctype handler() provided (level == _pid - BUFFERS || !begun[_pid - BUFFERS])
{
    byte y, q, s, u;
    if
    :: d_step { begun[ME] = true; below[ME] = level; level = ME };
        counted++;
        COUNT();
        observed[1]++;
        OBSERVE_ANYWHERE(1);
        if
        :: d_step { level = below[ME]; begun[ME] = false }
#ifdef JUMPS
        :: d_step { below[ME] == 0 && recording -> jumped = true; level = 0; begun[ME] = false }
#endif
        fi
    :: true /* no signal comes */
    fi;
    finished++
}

active proctype end_state()
{
    view v;
    byte tries;
    finished == 3 && DRAINED(THREAD);
    d_step { FORGET(v) };
    READ_WHOLE(0, 0, v, tries, 0);
    d_step {
        assert(IS_WHOLE(v.s1, v.b0, v.b1, v.sum));
        assert(mem[SHARED_SUM] == mem[SHARED_N] * VALUE(0) && mem[SHARED_SUM + 1] == mem[SHARED_N + 1] * VALUE(1));
        v.b0 = v.b0 + mem[SHARED_N];
        v.b1 = v.b1 + mem[SHARED_N + 1];
        v.s2 = mem[COUNTER] + mem[SHARED_COUNTER];
        assert(v.s2 <= counted && v.s2 + cut_counted >= counted);
        assert(v.b0 <= observed[0] && v.b0 + cut_observed[0] >= observed[0]);
        assert(v.b1 <= observed[1] && v.b1 + cut_observed[1] >= observed[1])
    }
}
