/* SPDX-License-Identifier: Apache-2.0 */
/*
 * counter_read_monotone.pml - a counter's total, put together word by word while threads record, die and are
 * replaced, never goes back from one scrape to the next; it holds what was recorded before the scrape began,
 * and nothing twice.
 *
 * Two shards and the shared store. Owner 0 of shard 0 may be killed at any instruction and owner 1 adopts the
 * shard as it is, values included; one more thread has shard 1 and, when interrupted, the shared store
 * (either, at any recording). It tells what it has recorded by a release store, as a program would that
 * scrapes after an event. In WEAK the scraper's loads have any order among themselves.
 *
 * Rules that a define can break: FOLD (owner 1 adds the dead shard's value to a shard of its own and zeroes
 * it), NOT_ATOMIC (the shared store is written by load, add, store), TELL_EARLY (before the recording),
 * NO_RELEASE_TELL.
 */
#ifndef RECORDS
#define RECORDS 2
#endif
#define SCRAPES 2
#define BUFFERS 2
#define DEPTH 2
#define WORD_0 0
#define WORD_1 1
#define SHARED 2
#define WORD_2 3 /* owner 1's own shard, for FOLD */
#define TOLD 4
#define WORDS 5
#include "store_buffer.pml"

#ifdef FOLD
#define ALL 15
#else
#define ALL 7
#endif

#define MORTAL 0 /* buffer of owner 0, then owner 1 */
#define OTHER 1

#ifdef NO_RELEASE_TELL
#define KIND_TELL PLAIN
#else
#define KIND_TELL RELEASE
#endif

bool killed;
bool dead;
byte begun, kept; /* recordings begun, and those that were not cut off */
byte finished;

inline ADD(who, at, u)
{
    begun++;
    LOAD(who, at, u);
    STORE(who, at, u + 1);
    d_step { u = 0; kept++ }
}

active proctype owner_0()
{
    byte u;
    {
        ADD(MORTAL, WORD_0, u);
        ADD(MORTAL, WORD_0, u)
    } unless {
        killed
    };
    d_step { u = 0; dead = true }
}

active proctype killer()
{
    if
    :: killed = true
    :: true
    fi
}

active proctype owner_1()
{
    byte u;
    dead && DRAINED(MORTAL);
#ifdef FOLD
    LOAD(MORTAL, WORD_0, u);
    STORE(MORTAL, WORD_2, u);
    STORE_RELEASE(MORTAL, WORD_0, 0);
    ADD(MORTAL, WORD_2, u);
#else
    ADD(MORTAL, WORD_0, u);
#endif
    finished++
}

active proctype other()
{
    byte i, u;
    do
    :: i < RECORDS ->
#ifdef TELL_EARLY
        STORE_RELEASE(OTHER, TOLD, i + 1);
#endif
        if
        :: ADD(OTHER, WORD_1, u)
        :: begun++;
#ifdef NOT_ATOMIC
            u = mem[SHARED];
            mem[SHARED] = u + 1;
#else
            ATOMIC_ADD(OTHER, SHARED, 1);
#endif
            d_step { u = 0; kept++ }
        fi;
#ifndef TELL_EARLY
        PUSH(OTHER, TOLD, i + 1, KIND_TELL);
#endif
        i++
    :: else -> break
    od;
    i = 0;
    finished++
}

/* A handler on top of some other thread, once: the shared store's second writer. */
active proctype visitor()
{
    byte u;
    begun++;
#ifdef NOT_ATOMIC
    u = mem[SHARED];
    mem[SHARED] = u + 1;
    u = 0;
#else
    mem[SHARED] = mem[SHARED] + 1;
#endif
    kept++;
    finished++
}

active proctype scraper()
{
    byte i, told, total, last, left;
    do
    :: i < SCRAPES ->
        d_step { told = mem[TOLD]; left = ALL };
        do
#ifdef WEAK
        :: left & 1 -> d_step { total = total + mem[WORD_0]; left = left - 1 }
        :: left & 2 -> d_step { total = total + mem[WORD_1]; left = left - 2 }
        :: left & 4 -> d_step { total = total + mem[SHARED]; left = left - 4 }
#ifdef FOLD
        :: left & 8 -> d_step { total = total + mem[WORD_2]; left = left - 8 }
#endif
#else
        :: left == ALL -> total = total + mem[WORD_0]; left--
        :: left == ALL - 1 -> total = total + mem[WORD_1]; left = left - 2
        :: left == ALL - 3 && left > 0 -> d_step { total = total + mem[SHARED]; left = left - 4 }
        :: left == 8 -> total = total + mem[WORD_2]; left = 0
#endif
        :: left == 0 -> break
        od;
        i++;
        d_step {
            assert(total >= last);
            assert(total >= told);
            assert(total <= begun);
            last = total;
            total = 0; told = 0
        }
    :: else -> break
    od
}

active proctype end_state()
{
    finished == 3 && DRAINED(MORTAL) && DRAINED(OTHER);
    d_step {
        assert(mem[WORD_0] + mem[WORD_1] + mem[SHARED] + mem[WORD_2] >= kept);
        assert(mem[WORD_0] + mem[WORD_1] + mem[SHARED] + mem[WORD_2] <= begun)
    }
}
