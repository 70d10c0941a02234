/* SPDX-License-Identifier: Apache-2.0 */
/*
 * whole.pml - a histogram in one shard: how its only writer records, how anybody reads, how an adopter
 * settles it.
 *
 * Included after store_buffer.pml by the models about histograms. A shard is SHARD_WORDS words: a control
 * line and HISTOGRAMS histograms, which share its redo record. b is where the shard begins, h which
 * histogram: 0, or HISTOGRAM_WORDS for the second. A histogram has two buckets; an observation of bucket k
 * has the value VALUE(k), so that a sum tells which ones it consists of. redo.seq is left out: it always is
 * the odd sequence plus one, published by the same store as the rest.
 *
 * Rules that a define can break, for the mutants: NO_RELEASE_ODD, NO_FENCE_ODD, NO_RELEASE_EVEN,
 * NO_FENCE_REDO (writer), IGNORE_REDO, NO_RECHECK, NO_ACQUIRE_FIRST, NO_FENCE_LAST (reader), REDO_ADDS,
 * BUSY_FIRST, NO_SETTLE (adopter).
 */
#define BUSY 0
#define REDO_LOC 1
#define REDO_INDEX 2
#define REDO_BUCKET 3
#define REDO_SUM 4
#define SEQ 5
#define SUM 6
#define BUCKET 7
#ifndef HISTOGRAMS
#define HISTOGRAMS 1
#endif
#define HISTOGRAM_WORDS 4
#define SHARD_WORDS (5 + HISTOGRAMS * HISTOGRAM_WORDS)

/* What redo.loc says of the histogram at h; 0 is no histogram. */
#define LOC(h) (1 + (h))
#define VALUE(k) (1 + 3 * (k))

#ifdef NO_RELEASE_ODD
#define KIND_ODD PLAIN
#else
#define KIND_ODD RELEASE
#endif
#ifdef NO_RELEASE_EVEN
#define KIND_EVEN PLAIN
#else
#define KIND_EVEN RELEASE
#endif

/*
 * The inner part of an observation: busy is odd already. q, s, u: bytes of the caller, zero again afterwards.
 * Own words are loaded in one step: nobody else writes them.
 */
inline OBSERVE_WORDS(who, b, h, k, q, s, u)
{
    d_step {
        SEE(who, b + h + SEQ, q);
        SEE(who, b + h + SUM, s);
        SEE(who, b + h + BUCKET + k, u)
    };
#ifdef TEAR
    STORE(who, b + h + BUCKET + k, u + 1);
    STORE(who, b + h + SUM, s + VALUE(k));
    STORE_RELEASE(who, b + h + SEQ, q + 2);
#else
#ifndef NO_FENCE_REDO
    FENCE_RELEASE(who); /* the even sequence of the update before is seen before this record */
#endif
    STORE(who, b + REDO_LOC, LOC(h));
    STORE(who, b + REDO_INDEX, k);
    STORE(who, b + REDO_BUCKET, u + 1);
    STORE(who, b + REDO_SUM, s + VALUE(k));
    PUSH(who, b + h + SEQ, q + 1, KIND_ODD);
#ifndef NO_FENCE_ODD
    FENCE_RELEASE(who); /* the odd sequence is seen before any new word */
#endif
    STORE(who, b + h + BUCKET + k, u + 1);
    STORE(who, b + h + SUM, s + VALUE(k));
    PUSH(who, b + h + SEQ, q + 2, KIND_EVEN);
#endif
    d_step { q = 0; s = 0; u = 0 }
}

/* An observation into the own shard, for threads that are never interrupted by a handler of their own. */
inline OBSERVE(who, b, h, k, y, q, s, u)
{
    LOAD(who, b + BUSY, y);
    assert(y % 2 == 0);
    STORE(who, b + BUSY, y + 1);
    OBSERVE_WORDS(who, b, h, k, q, s, u);
    STORE_RELEASE(who, b + BUSY, y + 2);
    y = 0
}

/* What a reader has in hand. */
typedef view { byte s1; byte s2; byte b0; byte b1; byte sum; byte loc; byte index; byte bucket; byte rsum; byte left }

#define L_S1 1
#define L_B0 2
#define L_B1 4
#define L_SUM 8
#define L_LOC 16
#define L_INDEX 32
#define L_BUCKET 64
#define L_RSUM 128
#define L_WORDS (L_B0 + L_B1 + L_SUM)
#define L_REDO (L_LOC + L_INDEX + L_BUCKET + L_RSUM)
#define LEFT(v, x) ((v.left & (x)) != 0)

inline TAKE(t_v, t_to, t_at, t_mask)
{
    d_step { t_to = mem[t_at]; t_v.left = t_v.left & (255 - t_mask) }
}

/*
 * Reads everything once; the reader has no stores, so its loads are of memory. Between the acquire load of
 * the sequence and the acquire fence loads have no order: each is tried in all of them where loads may be
 * reordered (WEAK).
 */
#ifdef WEAK
inline READ_ONCE(b, h, v)
{
#ifdef NO_ACQUIRE_FIRST
    v.left = L_S1 + L_WORDS + L_REDO;
#else
    d_step {
        v.s1 = mem[b + h + SEQ];
        v.left = (v.s1 % 2 -> L_WORDS + L_REDO : L_WORDS)
    };
#endif
    do
#ifdef NO_ACQUIRE_FIRST
    :: LEFT(v, L_S1) -> TAKE(v, v.s1, b + h + SEQ, L_S1)
#endif
    :: LEFT(v, L_B0) -> TAKE(v, v.b0, b + h + BUCKET, L_B0)
    :: LEFT(v, L_B1) -> TAKE(v, v.b1, b + h + BUCKET + 1, L_B1)
    :: LEFT(v, L_SUM) -> TAKE(v, v.sum, b + h + SUM, L_SUM)
    :: LEFT(v, L_LOC) -> TAKE(v, v.loc, b + REDO_LOC, L_LOC)
    :: LEFT(v, L_INDEX) -> TAKE(v, v.index, b + REDO_INDEX, L_INDEX)
    :: LEFT(v, L_BUCKET) -> TAKE(v, v.bucket, b + REDO_BUCKET, L_BUCKET)
    :: LEFT(v, L_RSUM) -> TAKE(v, v.rsum, b + REDO_SUM, L_RSUM)
#ifdef NO_FENCE_LAST
    :: v.s2 == 255 -> v.s2 = mem[b + h + SEQ]
    :: v.left == 0 && v.s2 != 255 -> break
#else
    :: v.left == 0 -> break
#endif
    od;
#ifndef NO_FENCE_LAST
    v.s2 = mem[b + h + SEQ];
#endif
    v.left = 0
}
#else
inline READ_ONCE(b, h, v)
{
    v.s1 = mem[b + h + SEQ];
    if
    :: v.s1 % 2 ->
        v.loc = mem[b + REDO_LOC];
        v.index = mem[b + REDO_INDEX];
        v.bucket = mem[b + REDO_BUCKET];
        v.rsum = mem[b + REDO_SUM]
    :: else
    fi;
    v.b0 = mem[b + h + BUCKET];
    v.b1 = mem[b + h + BUCKET + 1];
    v.sum = mem[b + h + SUM];
    v.s2 = mem[b + h + SEQ]
}
#endif

/* Inside a d_step. */
inline FORGET(f_v)
{
    f_v.s1 = 0; f_v.s2 = 255; f_v.b0 = 0; f_v.b1 = 0; f_v.sum = 0;
    f_v.loc = 0; f_v.index = 0; f_v.bucket = 0; f_v.rsum = 0; f_v.left = 0
}

#ifdef NO_RECHECK
#define STABLE(v) true
#else
#define STABLE(v) (v.s1 == v.s2 && (v.s1 % 2 == 0 || v.loc == LOC(h)))
#endif

/*
 * Reads until what was read belongs together, then leaves count (of observations), sum and both buckets in
 * v.s1, v.sum, v.b0 and v.b1. tries counts the repetitions; each is owed to a step of the sequence, of which
 * there are at most moves: a writer that stands still makes nobody wait.
 */
inline READ_WHOLE(b, h, v, tries, moves)
{
    tries = 0;
    do
    :: READ_ONCE(b, h, v);
        if
        :: STABLE(v) -> break
        :: else ->
            d_step { tries++; FORGET(v) };
            assert(tries <= moves)
        fi
    od;
    tries = 0;
    d_step {
        if
#ifndef IGNORE_REDO
        :: v.s1 % 2 ->
            v.sum = v.rsum;
            if
            :: v.index == 0 -> v.b0 = v.bucket
            :: else -> v.b1 = v.bucket
            fi;
            v.s1 = v.s1 + 1
#endif
        :: else
        fi;
        v.s1 = v.s1 / 2
    }
}

#define IS_WHOLE(count, b0, b1, sum) ((count) == (b0) + (b1) && (sum) == (b0) * VALUE(0) + (b1) * VALUE(1))

/*
 * Finishes what a dead owner left half done. May be cut off anywhere and begun again by another: that holds
 * since the record has absolute values and the sequence turns even only after both words, busy only after the
 * sequence.
 */
inline SETTLE(who, b, y, h, q, k, u)
{
#ifdef NO_SETTLE
    skip
#else
    LOAD(who, b + BUSY, y);
    if
    :: y % 2 ->
#ifdef BUSY_FIRST
        STORE_RELEASE(who, b + BUSY, y + 1);
#endif
        LOAD(who, b + REDO_LOC, h);
        if
        :: h > 0 ->
            h = h - LOC(0);
            LOAD(who, b + h + SEQ, q)
        :: else -> skip
        fi;
        if
        :: q % 2 ->
            LOAD(who, b + REDO_INDEX, k);
#ifdef REDO_ADDS
            LOAD(who, b + h + BUCKET + k, u);
            STORE(who, b + h + BUCKET + k, u + 1);
            LOAD(who, b + h + SUM, u);
            STORE(who, b + h + SUM, u + VALUE(k));
#else
            LOAD(who, b + REDO_SUM, u);
            STORE(who, b + h + SUM, u);
            LOAD(who, b + REDO_BUCKET, u);
            STORE(who, b + h + BUCKET + k, u);
#endif
            STORE_RELEASE(who, b + h + SEQ, q + 1)
        :: else
        fi;
#ifndef BUSY_FIRST
        STORE_RELEASE(who, b + BUSY, y + 1)
#endif
    :: else
    fi;
    d_step { y = 0; h = 0; q = 0; k = 0; u = 0 }
#endif
}
