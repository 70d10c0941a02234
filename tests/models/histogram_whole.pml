/* SPDX-License-Identifier: Apache-2.0 */
/*
 * histogram_whole.pml - every read of a histogram is the state after a whole number of observations, and
 * never goes back, whether its writer runs, stands still for good inside an update, or goes on later.
 *
 * One writer, OBSERVATIONS of them, each into any bucket (the first into bucket 1, if FIRST_IN_1) of any of
 * HISTOGRAMS histograms, which share one redo record; one reader of the first, READS times. The writer may
 * stop at any instruction: the search covers that, since it need never be scheduled again, and the reader
 * must come to its end all the same (assertion on its repetitions in whole.pml). The buffer's order is that
 * of store_buffer.pml.
 */
#ifndef OBSERVATIONS
#define OBSERVATIONS 2
#endif
#ifndef READS
#define READS 2
#endif
#ifndef HISTOGRAMS
#define HISTOGRAMS 1
#endif
#define WORDS (5 + HISTOGRAMS * 4)
#define BUFFERS 1
#ifdef WEAK
#define DEPTH 8
#else
#define DEPTH 2
#endif
#include "store_buffer.pml"
#include "whole.pml"

#define WRITER 0
#ifndef FIRST_IN_1
#define FIRST_IN_1 0
#endif
byte done[2]; /* observations begun of the first histogram, by bucket */

active proctype writer()
{
    byte i, h, k, y, q, s, u;
    do
    :: i < OBSERVATIONS ->
        if
        :: i > 0 || !FIRST_IN_1 -> k = 0
        :: k = 1
        fi;
        if
        :: h = 0; done[k]++
#if HISTOGRAMS > 1
        :: h = HISTOGRAM_WORDS
#endif
        fi;
        OBSERVE(WRITER, 0, h, k, y, q, s, u);
        i++
    :: else -> break
    od
}

active proctype reader()
{
    view v;
    byte i, tries, last_b0, last_b1, floor_;
    d_step { FORGET(v) };
    do
    :: i < READS ->
        d_step { floor_ = (mem[SEQ] + 1) / 2 };
        READ_WHOLE(0, 0, v, tries, 2 * OBSERVATIONS);
        d_step {
            assert(IS_WHOLE(v.s1, v.b0, v.b1, v.sum));
            assert(v.b0 >= last_b0 && v.b1 >= last_b1);
            assert(v.b0 <= done[0] && v.b1 <= done[1]);
            assert(v.s1 >= floor_); /* what began to be visible before the read is in it */
            last_b0 = v.b0;
            last_b1 = v.b1;
            floor_ = 0;
            i++;
            FORGET(v)
        }
    :: else -> break
    od
}
