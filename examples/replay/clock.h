/* SPDX-License-Identifier: Apache-2.0 */
/* clock.h - the clock by which the program waits. Trace time is another matter: see plan.h. */
#ifndef REPLAY_CLOCK_H
#define REPLAY_CLOCK_H

#include <stdint.h>

#define NS_PER_S INT64_C(1000000000)

/** clock_now_ns() - nanoseconds since a fixed point, never going back, deaf to changes of the date */
int64_t clock_now_ns(void);

#endif
