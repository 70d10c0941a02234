/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slot_reuse.pml - a removed series' slot is given to another one; no recorder through the stale handle ever
 * writes into it, and each recording is either in the final value that was announced or went the slow way,
 * knowing that it is dead.
 *
 * Recorder 0 has an own shard: it makes busy odd by a plain store and loads the handle's location again.
 * Recorder 1 has none: it counts itself in flight, by the epoch's parity as it last saw it, before it loads
 * the location. Both record through handle A, then through handle B, which begins to exist when the slot is
 * given to its series. The remover kills A's location, waits for a grace period, announces what the slot
 * holds, zeroes it and publishes B. A grace period is membarrier(), each shard's busy even or moved on, two
 * flips of the epoch with all recorders of the old one gone. Waiting is bounded in the code: who gives up
 * defers the reuse. Here that is the remover never being scheduled again.
 *
 * An earlier grace period, for another cause, precedes the removal: its flip is why one flip is not enough.
 *
 * Rules that a define can break: NO_MEMBARRIER, NO_RELOAD, NO_WAIT (for busy), NO_SHARED_WAIT, ONE_FLIP,
 * LATE_ANNOUNCE (in flight only after loading the location), PUBLISH_FIRST (zeroes after giving the slot
 * away).
 */
#ifndef RECORDS
#define RECORDS 2
#endif
#define BUFFERS 2
#define DEPTH 3
#define LOC_A 0
#define LOC_B 1
#define BUSY 2
#define WORD 3  /* recorder 0's own word of the slot */
#define PAIR 4  /* the slot in the shared store */
#define EPOCH 5
#define IN_FLIGHT 6 /* by parity */
#define WORDS 8
#include "store_buffer.pml"

#define OWN 0
#define REMOVER 1
#define SLOT 1
#define NONE 0 /* DEAD, or a series that does not exist yet */

byte begun[2], slow[2]; /* by handle: recordings begun, and those that found it dead */
byte announced;
byte finished;

init
{
    mem[LOC_A] = SLOT
}

inline RECORD_OWN(handle, y, l, u)
{
    begun[handle]++;
    LOAD(OWN, LOC_A + handle, l);
    if
    :: l == NONE -> slow[handle]++
    :: else ->
        LOAD(OWN, BUSY, y);
        STORE(OWN, BUSY, y + 1);
#ifndef NO_RELOAD
        LOAD(OWN, LOC_A + handle, l);
#endif
        if
        :: l == NONE -> slow[handle]++
        :: else ->
            LOAD(OWN, WORD, u);
            STORE(OWN, WORD, u + 1)
        fi;
        STORE_RELEASE(OWN, BUSY, y + 2)
    fi;
    d_step { y = 0; l = 0; u = 0 }
}

active proctype recorder_own()
{
    byte i, y, l, u;
    do
    :: i < RECORDS -> RECORD_OWN(0, y, l, u); i++
    :: i == RECORDS -> RECORD_OWN(1, y, l, u); i++
    :: else -> break
    od;
    i = 0;
    finished++
}

inline RECORD_SHARED(handle, e, l)
{
    begun[handle]++;
#ifdef LATE_ANNOUNCE
    l = mem[LOC_A + handle];
#endif
    e = mem[EPOCH] % 2;
    mem[IN_FLIGHT + e] = mem[IN_FLIGHT + e] + 1;
#ifndef LATE_ANNOUNCE
    l = mem[LOC_A + handle];
#endif
    if
    :: l == NONE -> slow[handle]++
    :: else -> mem[PAIR] = mem[PAIR] + 1
    fi;
    mem[IN_FLIGHT + e] = mem[IN_FLIGHT + e] - 1;
    d_step { e = 0; l = 0 }
}

/* Has no buffer: but for loads, all that it does is atomic. */
active proctype recorder_shared()
{
    byte i, e, l;
    do
    :: i < RECORDS -> RECORD_SHARED(0, e, l); i++
    :: i == RECORDS -> RECORD_SHARED(1, e, l); i++
    :: else -> break
    od;
    i = 0;
    finished++
}

inline GRACE(seen)
{
#ifndef NO_MEMBARRIER
    d_step { DRAIN(OWN); DRAIN(REMOVER) };
#endif
#ifndef NO_WAIT
    seen = mem[BUSY];
    (seen % 2 == 0 || mem[BUSY] != seen);
#endif
#ifndef NO_SHARED_WAIT
    d_step { DRAINED(REMOVER) -> seen = mem[EPOCH] % 2; mem[EPOCH] = mem[EPOCH] + 1 };
    mem[IN_FLIGHT + seen] == 0;
#ifndef ONE_FLIP
    d_step { DRAINED(REMOVER) -> seen = mem[EPOCH] % 2; mem[EPOCH] = mem[EPOCH] + 1 };
    mem[IN_FLIGHT + seen] == 0;
#endif
#endif
    seen = 0
}

active proctype remover()
{
    byte seen, own;
    mem[LOC_A] == SLOT;
    GRACE(seen);
    STORE_RELEASE(REMOVER, LOC_A, NONE);
    GRACE(seen);
    own = mem[WORD];
    announced = own + mem[PAIR];
#ifdef PUBLISH_FIRST
    STORE_RELEASE(REMOVER, LOC_B, SLOT);
#endif
    STORE(REMOVER, WORD, 0);
    STORE(REMOVER, PAIR, 0);
#ifndef PUBLISH_FIRST
    STORE_RELEASE(REMOVER, LOC_B, SLOT);
#endif
    own = 0;
    finished++
}

active proctype end_state()
{
    finished == 3 && DRAINED(OWN) && DRAINED(REMOVER);
    d_step {
        assert(announced + slow[0] == begun[0]);
        assert(mem[WORD] + mem[PAIR] + slow[1] == begun[1])
    }
}
