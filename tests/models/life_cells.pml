/* SPDX-License-Identifier: Apache-2.0 */
/*
 * life_cells.pml - who asks for a series by its labels, records, and lets the handle go, while the series ends, comes
 * back and its memory is freed. Nobody looks at freed memory, nothing is freed twice or never, and what is recorded
 * is in a value that was not announced yet.
 *
 * A user gets a handle (a cell, pinned), records through it, lets it go. A recorder by labels has none. The ender
 * begins ends and completes them; between the two others may have the lock. Slots are not used twice here: that they
 * can be is life_slots.pml's claim; stores are seen at once. A grace period waits for those that were in flight when
 * it began, in one step: how it comes to know them, see slot_reuse.pml.
 *
 * A series that ended is ASLEEP (it is pinned, and who records into it wakes it) or DEAD: no recorder can change that,
 * and its record is freed after a grace period. The last one to let go of what sleeps makes it DEAD by
 * compare-exchange, or finds it awake. How the ender knows of pins, and no pin is missed:
 *
 *   default      The pins and the word that the series has ended (ENDED) are one atomic word. Without ENDED, pins are
 *                taken and let go by compare-exchange; with it, under the lock only. So one exchange tells the ender
 *                how many are out. ENDED is taken away by who puts the series on the page again.
 *   KEPT_CELLS   Pins are a count. The ender changes the loc, then looks at the pins; the others take or let go, then
 *                look at the loc, in flight, and if it does not live come back with the lock. By then the cell may be
 *                free, or another's: its memory is kept, so that they can look again.
 *
 * TO_OVERFLOW: it becomes DEAD in any case; the cell is led to the overflow series before the grace period, and the
 * same labels find it (grave) as long as it is pinned. EXPIRES: ends are for being idle; a recorder may prevent them.
 *
 * Rules that a define can break: LOOSE_PINS (KEPT_CELLS, but their memory is freed), PIN_BLIND (takes a pin without
 * looking whether it has ended), UNLOCKED (lets go of what has ended without the lock), NO_RECHECK (KEPT_CELLS: does
 * not look again), NEVER_DEAD (what nobody has pinned is ASLEEP, too), NO_GRACE, FREE_PINNED, FREE_BLIND (the last one
 * to let go makes it DEAD without looking), LEAD_LATE (leads the cell to the overflow series after the grace period),
 * ONE_GRACE (frees what expired after the grace period that the decision waited for), CELL_AT_ONCE (frees a led cell
 * without one), LOCK_IN_FLIGHT (takes the lock while in flight: they wait for each other).
 */
#ifdef KEPT_CELLS
#define LOOSE_PINS
#endif
#ifndef USERS
#define USERS 2
#endif
#ifndef LABELLED
#define LABELLED 1 /* recorders by labels */
#endif
#ifndef ENDS
#define ENDS 2
#endif
#define RECORDS 4 /* record 0 is the overflow series */
#define SLOTS 8
#define PEOPLE (USERS + LABELLED)

#define EXPIRING 16
#define ASLEEP 32
#define DEAD 33
#define LIVES(l) ((l) < EXPIRING)
#define ENDED 16

typedef series_record { bool used; bool freed; byte loc; byte cell; bool linked }
typedef series_cell { bool used; bool freed; byte pins; byte record }

series_record rec[RECORDS];
series_cell cel[RECORDS];
byte table = 1; /* the record that the labels have, or 0 */
byte grave;     /* TO_OVERFLOW: the pinned cell of these labels, or 0 */
byte claim;     /* of the one ready slot: a record, or 0 */
byte ready = 2;
byte next_slot = 3;
byte in_value[SLOTS];
bool told[SLOTS]; /* announced */
byte flight[PEOPLE]; /* 1: in flight; 2: somebody waits for it to end */
bool locked;
byte finished;

init
{
    d_step {
        rec[0].used = true;
        rec[1].used = true;
        rec[1].loc = 1;
        rec[1].cell = 1;
        rec[1].linked = true;
        cel[1].used = true;
        cel[1].record = 1;
        finished = 1
    }
}

#define LOCK d_step { !locked -> locked = true }
#define UNLOCK d_step { assert(locked); locked = false }
#define FLY flight[me] = 1
#define LAND flight[me] = 0
#define R_LIVES(r) (rec[r].used && !rec[r].freed)
#define C_LIVES(c) (cel[c].used && !cel[c].freed)
#define LOC(r) rec[r].loc

/* ---- under the lock ---- */

inline GRACE(t)
{
#ifndef NO_GRACE
    d_step {
        t = 0;
        do
        :: t < PEOPLE ->
            if
            :: flight[t] == 1 -> flight[t] = 2
            :: else
            fi;
            t++
        :: else -> break
        od;
        t = 0
    };
    (flight[0] != 2 && flight[1] != 2 && flight[PEOPLE - 1] != 2)
#else
    skip
#endif
}

/* Inside a d_step: a slot that nobody had. */
inline NEW_SLOT(to)
{
    assert(next_slot < SLOTS);
    to = next_slot;
    next_slot++
}

/* Inside a d_step. */
inline FREE_RECORD(r)
{
    assert(r != 0 && R_LIVES(r));
    rec[r].freed = true;
    rec[r].linked = false
}

inline FREE_CELL(c)
{
    assert(C_LIVES(c));
    cel[c].freed = true
}

/* The series is on the page, and may be pinned by anybody: the last step of coming back. */
inline NOT_ENDED(c)
{
    d_step { assert(C_LIVES(c)); cel[c].pins = cel[c].pins % ENDED }
}

/* If a recorder woke r: on the page with it, and another slot is made ready. */
inline LINK(r)
{
    if
    :: d_step { claim == r && LOC(r) == ready -> assert(r != 0 && R_LIVES(r)) };
        d_step { assert(!rec[r].linked); rec[r].linked = true; NEW_SLOT(ready) };
        claim = 0;
        t = rec[r].cell;
        NOT_ENDED(t);
        t = 0
    :: else
    fi
}

/* A record that has not been used leaves r not 0. */
inline CREATE(r, c, t)
{
    d_step {
        r = 1;
        do
        :: r < RECORDS && rec[r].used -> r++
        :: else -> break
        od;
        if
        :: r < RECORDS ->
            c = (grave -> grave : r);
#ifdef KEPT_CELLS
            c = (c == r && r > 1 && cel[r - 1].freed -> r - 1 : c); /* the one that was free last */
            cel[c].freed = false;
#endif
            grave = 0;
            rec[r].used = true;
            rec[r].cell = c;
            rec[r].linked = true;
            NEW_SLOT(LOC(r));
            cel[c].used = true
        :: else -> r = 0
        fi
    };
    if
    :: r != 0 -> cel[c].record = r; NOT_ENDED(c); table = r
    :: else
    fi
}

/* Finds, brings back or makes what the labels name; its cell, pinned by pin (0 or 1), or 0: the overflow series. */
inline ASK(pin, r, c)
{
    LOCK;
    r = table;
    if
    :: r == 0 -> CREATE(r, c, t)
    :: else ->
        c = rec[r].cell;
        if
        :: d_step { LOC(r) == ASLEEP -> NEW_SLOT(LOC(r)); rec[r].linked = true };
            NOT_ENDED(c)
        :: LOC(r) != ASLEEP -> LINK(r)
        fi
    fi;
    if
    :: r != 0 -> d_step { assert(C_LIVES(c)); cel[c].pins = cel[c].pins + pin }
    :: else -> c = 0
    fi;
    UNLOCK;
    r = 0
}

/* ---- recorders ---- */

/* Of record s, in flight: what it finds to record into is in l; DEAD if there is none. */
inline LOOK(s, l, p)
{
    do
    :: d_step { assert(R_LIVES(s)); l = LOC(s) };
        if
        :: LIVES(l) || l == DEAD -> break
        :: l == ASLEEP ->
            if
            :: d_step { claim == 0 -> claim = s };
                p = ready;
                assert(R_LIVES(s));
                if
                :: d_step { LOC(s) == ASLEEP -> LOC(s) = p; l = p }; p = 0; break
                :: LOC(s) != ASLEEP -> claim = 0; p = 0
                fi
            :: claim != 0 -> l = 0; break
            fi
        :: l / EXPIRING == 1 ->
            assert(R_LIVES(s));
            if
            :: d_step { LOC(s) == l -> LOC(s) = l % EXPIRING; l = l % EXPIRING }; break
            :: LOC(s) != l
            fi
        fi
    od
}

inline ADD(l)
{
    d_step {
        if
        :: l == DEAD -> l = 0
        :: else
        fi;
        assert(!told[l]);
        in_value[l]++;
        l = 0
    }
}

inline RECORD(c, s, l, p)
{
    FLY;
    d_step { assert(C_LIVES(c)); s = cel[c].record };
    LOOK(s, l, p);
    ADD(l);
    s = 0;
    LAND
}

inline WITH(r, c, l)
{
    FLY;
    r = table;
    if
    :: r != 0 ->
        d_step { assert(R_LIVES(r)); c = rec[r].cell };
        d_step {
            assert(C_LIVES(c));
            if
#if !defined(LOOSE_PINS) && !defined(PIN_BLIND)
            :: cel[c].pins / ENDED == 1 -> c = 0
#endif
            :: else -> cel[c].pins = cel[c].pins + 1
            fi
        };
#if defined(LOOSE_PINS) && !defined(PIN_BLIND)
        d_step { assert(R_LIVES(r)); l = LOC(r) };
        if
        :: !LIVES(l) -> d_step { assert(C_LIVES(c)); cel[c].pins = cel[c].pins - 1; c = 0 }
        :: else
        fi;
        l = 0;
#endif
    :: else
    fi;
#ifndef LOCK_IN_FLIGHT
    LAND;
#endif
    if
    :: c == 0 -> ASK(1, r, c)
    :: else -> r = 0
    fi
#ifdef LOCK_IN_FLIGHT
    ;
    LAND
#endif
}

/* Under the lock: nobody has pinned c, and its series has ended. */
inline LAST_ONE(c, s)
{
    s = cel[c].record;
    if
    :: s == 0 ->
        grave = 0;
#ifndef CELL_AT_ONCE
        GRACE(t);
#endif
        d_step { FREE_CELL(c) }
    :: else ->
        if
#ifdef FREE_BLIND
        :: LOC(s) = DEAD;
#else
        :: d_step { LOC(s) == ASLEEP -> assert(R_LIVES(s)); LOC(s) = DEAD };
#endif
            assert(table == s);
            table = 0;
            GRACE(t);
            d_step { FREE_RECORD(s); FREE_CELL(c) }
#ifndef FREE_BLIND
        :: LOC(s) != ASLEEP -> LINK(s)
#endif
        fi
    fi;
    s = 0
}

inline LET_GO(c, s, l)
{
#ifdef LOOSE_PINS
    FLY;
    d_step { assert(C_LIVES(c)); cel[c].pins = cel[c].pins - 1; l = cel[c].pins };
    if
    :: l == 0 ->
        d_step { assert(C_LIVES(c)); s = cel[c].record };
        d_step { assert(R_LIVES(s)); l = (s == 0 || !LIVES(LOC(s))) }
    :: else -> l = 0
    fi;
    LAND;
    if
    :: l > 0 ->
        LOCK;
#if defined(KEPT_CELLS) && !defined(NO_RECHECK)
        d_step { s = cel[c].record; l = (C_LIVES(c) && cel[c].pins == 0 && (s == 0 || !LIVES(LOC(s)))) };
#else
        assert(C_LIVES(c));
        l = (cel[c].pins == 0);
#endif
        if
        :: l > 0 -> LAST_ONE(c, s)
        :: else
        fi;
        UNLOCK
    :: else
    fi;
    l = 0;
    s = 0;
#else
    if
    :: d_step { cel[c].pins < ENDED -> assert(C_LIVES(c)); cel[c].pins = cel[c].pins - 1 }
    :: cel[c].pins >= ENDED ->
#ifndef UNLOCKED
        LOCK;
#endif
        d_step { assert(C_LIVES(c)); cel[c].pins = cel[c].pins - 1 };
        if
        :: cel[c].pins == ENDED -> LAST_ONE(c, s)
        :: else
        fi;
#ifndef UNLOCKED
        UNLOCK
#else
        skip
#endif
    fi;
#endif
    c = 0
}

active [USERS] proctype user()
{
    byte me, r, c, s, l, p, t;
    d_step { finished > 0 -> me = _pid - 1 };
    WITH(r, c, l);
    if
    :: c != 0 ->
        RECORD(c, s, l, p);
        LET_GO(c, s, l)
    :: else
    fi;
    me = 0;
    finished++
}

/* What the labels name may end again before it gets there: then it goes to the overflow series. */
active [LABELLED] proctype labelled()
{
    byte me, i, r, c, s, l, p, t;
    d_step { finished > 0 -> me = _pid - 1 };
    do
    :: FLY;
        s = table;
        l = DEAD;
        if
        :: s != 0 -> LOOK(s, l, p)
        :: else
        fi;
        if
        :: l == DEAD && i == 0 -> LAND; l = 0; s = 0; ASK(0, r, c); c = 0; i++
        :: else -> ADD(l); LAND; break
        fi
    od;
    i = 0;
    s = 0;
    me = 0;
    finished++
}

/* ---- the ender ---- */

/* How many have pinned it is in p from here on: until ENDED is taken away, it changes under the lock only. */
inline MARK_ENDED(c, p)
{
#ifdef LOOSE_PINS
    p = cel[c].pins
#else
    d_step { p = cel[c].pins; cel[c].pins = p + ENDED }
#endif
}

#ifdef TO_OVERFLOW
#define SLEEPS(p) false
#elif defined(NEVER_DEAD)
#define SLEEPS(p) true
#else
#define SLEEPS(p) (p > 0)
#endif

#ifdef TO_OVERFLOW
#define LEAD(r, c, p) if :: p > 0 -> cel[c].record = 0; grave = c :: else fi
#else
#define LEAD(r, c, p) skip
#endif

/* The loc has changed: out of the table, unless it sleeps with pins. */
inline TAKE_OUT(r, c, p)
{
    rec[r].linked = false;
    if
    :: p == 0 || !SLEEPS(p) -> table = 0
    :: else
    fi;
#ifndef LEAD_LATE
    LEAD(r, c, p)
#else
    skip
#endif
}

/* After a grace period. */
inline FREE_ENDED(r, c, p)
{
#ifdef FREE_PINNED
    d_step { FREE_RECORD(r); FREE_CELL(c) };
#else
    if
    :: p == 0 -> d_step { FREE_RECORD(r); FREE_CELL(c) }
    :: p > 0 && !SLEEPS(p) -> d_step { FREE_RECORD(r) }
    :: else
    fi;
#endif
#ifdef LEAD_LATE
    LEAD(r, c, p)
#else
    skip
#endif
}

/* Somebody was recording for too long. */
inline OTHERS_FIRST()
{
    if
    :: UNLOCK; LOCK
    :: skip
    fi
}

inline END(r, c, l, p)
{
#ifdef LOOSE_PINS
#ifdef TO_OVERFLOW
    LOC(r) = DEAD;
    MARK_ENDED(c, p);
#else
    LOC(r) = ASLEEP;
    MARK_ENDED(c, p);
    if
    :: d_step { p == 0 && LOC(r) == ASLEEP -> LOC(r) = DEAD }
    :: p == 0 && LOC(r) != ASLEEP -> p = 1
    :: p > 0
    fi;
#endif
#else
    MARK_ENDED(c, p);
    LOC(r) = (SLEEPS(p) -> ASLEEP : DEAD);
#endif
    TAKE_OUT(r, c, p);
    OTHERS_FIRST();
    GRACE(t);
    told[l] = true;
    FREE_ENDED(r, c, p)
}

inline EXPIRE(r, c, l, p, v)
{
    v = in_value[l];
    LOC(r) = EXPIRING + l;
    OTHERS_FIRST();
    GRACE(t);
    if
    :: in_value[l] == v ->
        MARK_ENDED(c, p);
        if
        :: d_step { LOC(r) == EXPIRING + l -> LOC(r) = (SLEEPS(p) -> ASLEEP : DEAD) };
            told[l] = true;
            TAKE_OUT(r, c, p);
#ifndef ONE_GRACE
            OTHERS_FIRST();
            GRACE(t);
#endif
            FREE_ENDED(r, c, p)
        :: LOC(r) == l -> NOT_ENDED(c)
        fi
    :: else ->
        if
        :: d_step { LOC(r) == EXPIRING + l -> LOC(r) = l }
        :: LOC(r) == l
        fi
    fi;
    v = 0
}

active proctype ender()
{
    byte i, r, c, l, p, t, v;
    finished > 0;
    do
    :: i < ENDS ->
        LOCK;
        r = table;
        if
        :: r != 0 ->
            if
            :: d_step { !rec[r].linked -> assert(R_LIVES(r)) }; LINK(r)
            :: else
            fi;
            d_step { l = LOC(r); c = rec[r].cell };
            if
            :: rec[r].linked ->
#ifdef EXPIRES
                EXPIRE(r, c, l, p, v)
#else
                END(r, c, l, p)
#endif
            :: else
            fi
        :: else
        fi;
        d_step { r = 0; c = 0; l = 0; p = 0; i++ };
        UNLOCK
    :: else -> break
    od;
    i = 0;
    finished++
}

active proctype end_state()
{
    byte k, sum;
    finished == PEOPLE + 2;
    d_step {
        assert(!locked && grave == 0);
        assert(claim == 0 || (claim == table && LOC(claim) == ready && !rec[claim].linked));
        k = 1;
        do
        :: k < RECORDS ->
            assert(R_LIVES(k) == (k == table));
            assert(C_LIVES(k) -> (table != 0 && rec[table].cell == k && cel[k].record == table) : true);
            assert(C_LIVES(k) -> cel[k].pins % ENDED == 0 : true);
            k++
        :: else -> break
        od;
        assert(table == 0 || (LIVES(LOC(table)) && (rec[table].linked || claim == table)));
        k = 0;
        do
        :: k < SLOTS ->
            sum = sum + in_value[k];
            assert(in_value[k] == 0 || k == 0 || told[k] || (table != 0 && LOC(table) == k));
            k++
        :: else -> break
        od;
        assert(sum == PEOPLE || sum < PEOPLE && rec[RECORDS - 1].used);
        k = 0; sum = 0
    }
}
