/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_buffer.pml - memory as the recorders see it: every thread's stores pass through a buffer of its own.
 *
 * A model defines WORDS (of memory), BUFFERS (threads that have one) and DEPTH (stores one can hold), then
 * includes this file. What must hold in it:
 *
 *   default   total store order: a buffer drains from its head only, at any time; loads see the thread's own newest
 *             store first. That is x86.
 *   WEAK      a store may drain before older ones, except: stores to one address keep their order; a RELEASE store
 *             waits for all that is older; nothing passes a FENCE (a release fence). Younger stores do pass a RELEASE
 *             store: it orders what is before it only, as on aarch64. Loads that may be reordered are for the reader
 *             that issues them to show: see whole.pml.
 *
 * An atomic read-modify-write waits until its thread's buffer is empty and acts on memory. DRAIN_ALL is what
 * membarrier() does: a full fence on every running thread at once, at whatever instruction it is.
 */
#define PLAIN 0
#define RELEASE 1
#define FENCE 2

typedef entry { byte at; byte val; byte kind }
typedef buffer { byte n; entry e[DEPTH] }

byte mem[WORDS];
buffer sb[BUFFERS];
hidden byte sb_i;
hidden byte sb_ok;

inline PUSH(p_who, p_at, p_val, p_kind)
{
    d_step {
        sb[p_who].n < DEPTH ->
        sb[p_who].e[sb[p_who].n].at = p_at;
        sb[p_who].e[sb[p_who].n].val = p_val;
        sb[p_who].e[sb[p_who].n].kind = p_kind;
        sb[p_who].n++
    }
}
#define STORE(who, a, v) PUSH(who, a, v, PLAIN)
#define STORE_RELEASE(who, a, v) PUSH(who, a, v, RELEASE)

/* In total store order every store is a release, so a fence would only be an entry without effect. */
#ifdef WEAK
#define FENCE_RELEASE(who) PUSH(who, 0, 0, FENCE)
#else
#define FENCE_RELEASE(who) skip
#endif

/* Inside a d_step: what this thread would load. */
inline SEE(s_who, s_at, s_to)
{
    s_to = mem[s_at];
    sb_i = 0;
    do
    :: sb_i < sb[s_who].n ->
        if
        :: sb[s_who].e[sb_i].kind != FENCE && sb[s_who].e[sb_i].at == s_at -> s_to = sb[s_who].e[sb_i].val
        :: else
        fi;
        sb_i++
    :: else -> break
    od;
    sb_i = 0
}

inline LOAD(l_who, l_at, l_to)
{
    d_step { SEE(l_who, l_at, l_to) }
}

/* Inside a d_step: entry i of a buffer reaches memory; what is free again is zero, to keep states canonical. */
inline POP(o_who, o_i)
{
    if
    :: sb[o_who].e[o_i].kind != FENCE -> mem[sb[o_who].e[o_i].at] = sb[o_who].e[o_i].val
    :: else
    fi;
    sb[o_who].n--;
    sb_i = o_i;
    do
    :: sb_i < sb[o_who].n ->
        sb[o_who].e[sb_i].at = sb[o_who].e[sb_i + 1].at;
        sb[o_who].e[sb_i].val = sb[o_who].e[sb_i + 1].val;
        sb[o_who].e[sb_i].kind = sb[o_who].e[sb_i + 1].kind;
        sb_i++
    :: else -> break
    od;
    sb[o_who].e[sb_i].at = 0;
    sb[o_who].e[sb_i].val = 0;
    sb[o_who].e[sb_i].kind = 0;
    sb_i = 0
}

/* Inside a d_step: drains one buffer, all buffers. */
inline DRAIN(who)
{
    do
    :: sb[who].n > 0 -> POP(who, 0)
    :: else -> break
    od
}

/* A locked instruction: waits for the thread's own stores, then acts on memory in one step. */
#define DRAINED(who) (sb[who].n == 0)

inline ATOMIC_ADD(who, a, v)
{
    d_step { DRAINED(who) -> mem[a] = mem[a] + v }
}

/* Inside a d_step: sb_ok = entry i may drain now. */
inline MAY_DRAIN(m_who, m_i)
{
    sb_ok = (sb[m_who].e[m_i].kind == PLAIN || m_i == 0);
    sb_i = 0;
    do
    :: sb_i < m_i ->
        if
        :: sb[m_who].e[sb_i].kind == FENCE || sb[m_who].e[sb_i].at == sb[m_who].e[m_i].at -> sb_ok = false
        :: else
        fi;
        sb_i++
    :: else -> break
    od;
    sb_i = 0
}

active [BUFFERS] proctype memory()
{
    byte i;
end:
    do
    :: d_step { sb[_pid].n > 0 -> POP(_pid, 0) }
#ifdef WEAK
    :: atomic {
        sb[_pid].n > 1 -> i = 1;
        do
        :: i + 1 < sb[_pid].n -> i++
        :: break
        od;
        d_step {
            MAY_DRAIN(_pid, i);
            if
            :: sb_ok -> POP(_pid, i)
            :: else
            fi;
            sb_ok = false;
            i = 0
        }
    }
#endif
    od
}
