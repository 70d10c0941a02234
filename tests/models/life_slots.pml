/* SPDX-License-Identifier: Apache-2.0 */
/*
 * life_slots.pml - one series ends, for good or for being idle, sleeps and is woken, while threads record through
 * its handle; its slot goes to others and back to it. No recording is lost, doubled or in another's slot.
 *
 * Recorder 0 has an own shard, others have none (see slot_reuse.pml); all record through one handle, which is pinned
 * throughout: life_cells.pml has what happens when it is not. The keeper does everything that is under the
 * registry's lock, in any order: begins an end (for good, or because the value is the one that was seen), completes
 * what was begun, shows the page, gives a free slot to another series. Between beginning and completing others of its
 * deeds may come: who finds recorders busy for long lets go of the lock and comes back.
 *
 * The series' loc is a slot, EXPIRING + slot, ASLEEP or DEAD. Slot 0 is the overflow series'. What a recorder does
 * on its slow way: EXPIRING: takes the bit away, which whoever ends the series will see. ASLEEP: claims one of the
 * ready slots, then makes it the loc if nobody else did, else gives the claim back. Never does it touch the cell: that
 * is the keeper's, for a recorder may be late.
 *
 * TO_OVERFLOW: a series that ended is DEAD, and its cell is led to the overflow slot.
 *
 * Rules that a define can break: NO_GRACE, NO_MEMBARRIER, NO_RELOAD, NO_WAIT, NO_SHARED_WAIT, ONE_FLIP,
 * RESCUE_CELL (who rescues restores the cell too), RESCUE_BLIND (no compare-exchange), EXPIRE_BLIND (the same, of the
 * keeper), WAKE_BLIND, READ_EARLY (the last value before the grace period), CLEAR_WON (gives the claim back in any
 * case), CLEAR_NEVER, NO_LINK_FIRST (ends what was woken without having put it on the page), READY_FIRST (looks which
 * slot is ready before it claims it), CLAIM_FIRST (keeper: frees the claim before the next slot is there), GIVE_FIRST
 * (gives the slot away before zeroing it); WEAK: NO_RELEASE_CLAIM, NO_RELEASE_EVEN.
 */
#ifndef OWN_RECORDS
#define OWN_RECORDS 1
#endif
#ifndef SHARED_RECORDS
#define SHARED_RECORDS 1
#endif
#ifndef SHARERS
#define SHARERS 1
#endif
#ifndef OPS
#define OPS 6
#endif
#ifndef PLACES
#define PLACES 1
#endif
#ifdef WEAK
#define BUFFERS 2
#define DEPTH 3
#else
#define BUFFERS 1 /* in order, a keeper's buffer would only be a keeper that is late */
#define DEPTH 2
#endif
#define SLOTS (PLACES + 3) /* overflow, the first one's, ready ones, a free one */
#define BUSY 0
#define EPOCH 1
#define IN_FLIGHT 2 /* by parity */
#define CELL 4
#define LOC 5
#define CLAIM 6
#define READY (CLAIM + PLACES)
#define WORD (READY + PLACES) /* recorder 0's own word of each slot */
#define PAIR (WORD + SLOTS)   /* each slot in the shared store */
#define WORDS (PAIR + SLOTS)
#include "store_buffer.pml"

#define OWN 0
#define NOBODY 2 /* has no buffer */
#ifdef WEAK
#define KEEPER 1
#define KEEP(a, v) STORE(KEEPER, a, v)
#define KEEP_RELEASE(a, v) STORE_RELEASE(KEEPER, a, v)
#define LOOK(a, to) SEE(KEEPER, a, to) /* inside a d_step */
#define KEPT DRAINED(KEEPER)
#ifdef NO_RELEASE_CLAIM
#define KEEP_FREED(a, v) KEEP(a, v)
#endif
#else
#define KEEP(a, v) mem[a] = v
#define KEEP_RELEASE(a, v) mem[a] = v
#define LOOK(a, to) to = mem[a]
#define KEPT true
#endif
#ifndef KEEP_FREED
#define KEEP_FREED(a, v) KEEP_RELEASE(a, v)
#endif
#ifdef NO_RELEASE_EVEN
#define KIND_EVEN PLAIN
#else
#define KIND_EVEN RELEASE
#endif

#define EXPIRING 16
#define ASLEEP 32
#define DEAD 33
#define LIVES(l) ((l) < EXPIRING)
#define EXPIRES(l) ((l) / EXPIRING == 1)
#define SLOT_OF(l) ((l) % EXPIRING)
#define VALUE(s) (mem[WORD + (s)] + mem[PAIR + (s)])
#ifdef TO_OVERFLOW
#define ENDED DEAD
#else
#define ENDED ASLEEP
#endif

/* A claim is free, taken, or closed: no slot was left to be ready. */
#define FREE 0
#define TAKEN 1
#define CLOSED 2

byte begun;     /* recordings */
byte announced; /* the sum of last values */
byte finished;
/* What only the keeper looks at: */
bool free[SLOTS];
bool linked;             /* on the page */
byte other;              /* the slot that the other series was given, or 0 */
byte expiring;           /* the slot, or 0 */
byte judged;             /* its value then */
byte shown;              /* the value that the page had last, of this incarnation */
byte ending[2], last[2]; /* slots, and what was shown of them last */
byte n_ending;

init
{
    d_step {
        mem[CELL] = 1;
        mem[LOC] = 1;
        linked = true;
        mem[READY] = 2;
#if PLACES > 1
        mem[READY + 1] = 3;
#endif
        free[SLOTS - 1] = true
    }
}

/* ---- recorders ---- */

/* Leaves the slot in l, or ASLEEP: no slot was ready, or somebody else was first (then again). */
inline WAKE(k, l, p)
{
    do
    :: k < PLACES ->
#ifdef READY_FIRST
        p = mem[READY + k];
#endif
        if
        :: d_step { mem[CLAIM + k] == FREE -> mem[CLAIM + k] = TAKEN };
#ifndef READY_FIRST
            p = mem[READY + k];
#endif
            if
#ifdef WAKE_BLIND
            :: mem[LOC] = p; l = p
#else
            :: d_step { mem[LOC] == ASLEEP -> mem[LOC] = p; l = p }
            :: mem[LOC] != ASLEEP ->
#ifndef CLEAR_NEVER
                mem[CLAIM + k] = FREE
#endif
#endif
            fi;
#ifdef CLEAR_WON
            mem[CLAIM + k] = FREE;
#endif
            p = 0;
            break
        :: mem[CLAIM + k] != FREE -> k++
        fi
    :: else -> l = 0; break
    od;
    k = 0
}

/* In flight; who has a buffer finds it empty after that. */
inline RECORD_SLOW(who, e, k, l, p)
{
    e = mem[EPOCH] % 2;
    d_step { (who == NOBODY || DRAINED(who % 2)) -> mem[IN_FLIGHT + e] = mem[IN_FLIGHT + e] + 1 };
    do
    :: l = mem[LOC];
        if
        :: LIVES(l) -> break
        :: l == DEAD -> l = 0; break
        :: EXPIRES(l) ->
            if
#ifdef RESCUE_BLIND
            :: mem[LOC] = SLOT_OF(l); l = SLOT_OF(l); break
#else
            :: d_step { mem[LOC] == l -> mem[LOC] = SLOT_OF(l); l = SLOT_OF(l) };
#ifdef RESCUE_CELL
                mem[CELL] = l;
#endif
                break
            :: mem[LOC] != l
#endif
            fi
        :: l == ASLEEP ->
            WAKE(k, l, p);
            if
            :: l != ASLEEP -> break
            :: else
            fi
        fi
    od;
    mem[PAIR + l] = mem[PAIR + l] + 1;
    mem[IN_FLIGHT + e] = mem[IN_FLIGHT + e] - 1;
    d_step { e = 0; l = 0 }
}

active proctype recorder_own()
{
    byte i, y, u, e, k, l, p;
    mem[LOC] != 0; /* init has been */
    do
    :: i < OWN_RECORDS ->
        begun++;
        LOAD(OWN, CELL, l);
        if
        :: LIVES(l) ->
            LOAD(OWN, BUSY, y);
            STORE(OWN, BUSY, y + 1);
#ifndef NO_RELOAD
            u = l;
            LOAD(OWN, CELL, l);
            l = (l == u -> l : DEAD); /* changed is as good as dead here */
            u = 0;
#endif
            if
            :: LIVES(l) ->
                LOAD(OWN, WORD + l, u);
                STORE(OWN, WORD + l, u + 1)
            :: else
            fi;
            PUSH(OWN, BUSY, y + 2, KIND_EVEN)
        :: else
        fi;
        d_step { y = 0; u = 0 };
        if
        :: LIVES(l) -> l = 0
        :: else -> RECORD_SLOW(OWN, e, k, l, p)
        fi;
        i++
    :: else -> break
    od;
    i = 0;
    finished++
}

active [SHARERS] proctype recorder_shared()
{
    byte i, e, k, l, p;
    mem[LOC] != 0; /* init has been */
    do
    :: i < SHARED_RECORDS -> begun++; RECORD_SLOW(NOBODY, e, k, l, p); i++
    :: else -> break
    od;
    i = 0;
    finished++
}

/* ---- the keeper ---- */

inline GRACE(seen)
{
#ifndef NO_GRACE
#ifndef NO_MEMBARRIER
#ifdef WEAK
    d_step { DRAIN(OWN); DRAIN(KEEPER) };
#else
    d_step { DRAIN(OWN) };
#endif
#endif
#ifndef NO_WAIT
    seen = mem[BUSY];
    (seen % 2 == 0 || mem[BUSY] != seen);
#endif
#ifndef NO_SHARED_WAIT
    d_step { KEPT -> seen = mem[EPOCH] % 2; mem[EPOCH] = 1 - mem[EPOCH] };
    mem[IN_FLIGHT + seen] == 0;
#ifndef ONE_FLIP
    d_step { KEPT -> seen = mem[EPOCH] % 2; mem[EPOCH] = 1 - mem[EPOCH] };
    mem[IN_FLIGHT + seen] == 0;
#endif
#endif
    seen = 0
#else
    skip
#endif
}

/* Inside a d_step: a free slot, or 0. */
inline TAKE_SLOT(t)
{
    t = SLOTS - 1;
    do
    :: t > 0 && !free[t] -> t--
    :: else -> break
    od;
    free[t] = false
}

/* A place whose slot is in use: the next one. */
inline FILL(k, t)
{
    d_step { TAKE_SLOT(t) };
    if
    :: t == 0 -> KEEP_RELEASE(CLAIM + k, CLOSED)
    :: else ->
#ifdef CLAIM_FIRST
        KEEP_RELEASE(CLAIM + k, FREE);
        KEEP(READY + k, t)
#else
        KEEP(READY + k, t);
        KEEP_FREED(CLAIM + k, FREE)
#endif
    fi;
    t = 0
}

/* Puts what was woken on the page. */
inline LINK(k, l, t)
{
    do
    :: k < PLACES ->
        d_step { LOOK(CLAIM + k, t) };
        if
        :: t == TAKEN ->
            d_step { LOOK(LOC, l); LOOK(READY + k, t) };
            if
            :: l == t ->
                assert(!linked);
                d_step { linked = true; shown = 0 };
                KEEP_RELEASE(CELL, l);
                FILL(k, t)
            :: else
            fi
        :: t == CLOSED -> FILL(k, t)
        :: else
        fi;
        d_step { l = 0; t = 0; k++ }
    :: else -> break
    od;
    k = 0
}

inline BEGIN_END(k, l, t)
{
    d_step { LOOK(LOC, l) };
    if
    :: l < ASLEEP && n_ending < 2 ->
        l = 0;
#ifndef NO_LINK_FIRST
        LINK(k, l, t);
#endif
        d_step { LOOK(LOC, l) };
        KEEP(CELL, DEAD);
        KEEP(LOC, ENDED);
        d_step {
            linked = false;
            expiring = 0;
            judged = 0;
            ending[n_ending] = SLOT_OF(l);
            last[n_ending] = shown;
            n_ending++;
            shown = 0
        }
    :: else
    fi;
    l = 0
}

inline BEGIN_EXPIRY(l)
{
    d_step { LOOK(LOC, l) };
    if
    :: linked && expiring == 0 && n_ending < 2 ->
        d_step { expiring = l; judged = VALUE(l) };
        KEEP(CELL, DEAD);
        KEEP(LOC, EXPIRING + l)
    :: else
    fi;
    l = 0
}

/* Nobody can be writing into the slot of ending[t] any more. */
inline ANNOUNCE(t, l)
{
    d_step { l = ending[t]; ending[t] = 0 };
#ifndef READ_EARLY
    d_step { assert(VALUE(l) >= last[t]); announced = announced + VALUE(l); last[t] = 0 };
#endif
#ifdef GIVE_FIRST
    free[l] = true;
    LINK(k, p, q);
#endif
    KEEP(WORD + l, 0);
    KEEP(PAIR + l, 0);
    d_step { free[l] = true; l = 0 }
}

inline DECIDE_EXPIRY(l)
{
#ifdef READ_EARLY
    if
    :: d_step { early != judged -> l = DEAD }
    :: else
    fi;
#else
    if
    :: d_step { VALUE(expiring) != judged -> l = DEAD }
    :: else
    fi;
#endif
    if
    :: l != DEAD && n_ending < 2 ->
        if
#ifdef EXPIRE_BLIND
        :: KEEP(LOC, ENDED);
#else
        :: d_step { KEPT && mem[LOC] == EXPIRING + expiring -> mem[LOC] = ENDED };
#endif
            d_step {
                linked = false;
                ending[n_ending] = expiring;
                last[n_ending] = shown;
                n_ending++;
                shown = 0
            }
        :: mem[LOC] == expiring -> KEEP_RELEASE(CELL, expiring)
        fi
    :: else ->
        if
        :: d_step { KEPT && mem[LOC] == EXPIRING + expiring -> mem[LOC] = expiring }
        :: mem[LOC] == expiring
        fi;
        KEEP_RELEASE(CELL, expiring)
    fi;
    d_step { l = 0; expiring = 0; judged = 0 }
}

inline FINISH(k, l, t)
{
#ifdef READ_EARLY
    d_step {
        early = VALUE(expiring);
        t = 0;
        do
        :: t < n_ending -> announced = announced + VALUE(ending[t]); t++
        :: else -> break
        od;
        t = 0
    };
#endif
    GRACE(k);
    if
    :: expiring != 0 -> DECIDE_EXPIRY(l)
    :: else
    fi;
    do
    :: t < n_ending -> ANNOUNCE(t, l); t++
    :: else -> break
    od;
#ifdef TO_OVERFLOW
    if
    :: n_ending > 0 -> KEEP_RELEASE(CELL, 0)
    :: else
    fi;
#endif
    t = 0;
    n_ending = 0
}

inline SHOW(k, l, t)
{
    LINK(k, l, t);
    d_step { LOOK(LOC, l) };
    if
    :: linked -> d_step { l = SLOT_OF(l); assert(VALUE(l) >= shown); shown = VALUE(l) }
    :: else
    fi;
    l = 0
}

active proctype keeper()
{
    byte i, k, l, t;
#ifdef GIVE_FIRST
    byte p, q;
#endif
#ifdef READ_EARLY
    byte early;
#endif
    mem[LOC] != 0; /* init has been */
    do
    :: i < OPS ->
        if
        :: BEGIN_END(k, l, t)
        :: BEGIN_EXPIRY(l)
        :: n_ending > 0 || expiring != 0 -> FINISH(k, l, t)
        :: SHOW(k, l, t)
        :: d_step { other == 0 -> TAKE_SLOT(other) }
        fi;
        i++
    :: else -> break
    od;
    i = 0;
    finished++
}

/* ---- when all have finished ---- */

/* Inside a d_step: the slot s is nobody else's, and holds nothing. */
inline CHECK_SPARE(s, uses)
{
    assert((uses & (1 << (s))) == 0 && VALUE(s) == 0);
    uses = uses | (1 << (s))
}

active proctype end_state()
{
    byte k, uses, sum;
    finished == 2 + SHARERS && DRAINED(OWN) && KEPT;
    d_step {
        sum = announced + VALUE(0);
        uses = 1;
        do
        :: k < n_ending ->
            assert((uses & (1 << ending[k])) == 0);
            uses = uses | (1 << ending[k]);
            sum = sum + VALUE(ending[k]);
            k++
        :: else -> break
        od;
        if
        :: mem[LOC] < ASLEEP ->
            k = SLOT_OF(mem[LOC]);
            assert((uses & (1 << k)) == 0);
            uses = uses | (1 << k);
            sum = sum + VALUE(k)
        :: else -> assert(!linked)
        fi;
        assert(sum == begun);
        k = 0;
        do
        :: k < PLACES && mem[CLAIM + k] == TAKEN -> assert(!linked && mem[READY + k] == mem[LOC]); linked = true; k++
        :: k < PLACES && mem[CLAIM + k] == FREE -> CHECK_SPARE(mem[READY + k], uses); k++
        :: k < PLACES && mem[CLAIM + k] == CLOSED -> k++
        :: else -> break
        od;
        assert(linked == (mem[LOC] < ASLEEP));
        assert(LIVES(mem[CELL]) -> (mem[CELL] == mem[LOC] || (mem[CELL] == 0 && mem[LOC] == DEAD)) : true);
        if
        :: other != 0 -> CHECK_SPARE(other, uses)
        :: else
        fi;
        k = 1;
        do
        :: k < SLOTS && free[k] -> CHECK_SPARE(k, uses); k++
        :: k < SLOTS && !free[k] -> k++
        :: else -> break
        od;
        assert(uses == (1 << SLOTS) - 1);
        k = 0; uses = 0; sum = 0
    }
}
