/* SPDX-License-Identifier: Apache-2.0 */
/* say.h - how the program talks to its user: facts on stdout, complaints on stderr, each line at once. */
#ifndef REPLAY_SAY_H
#define REPLAY_SAY_H

/** say() - one line on stdout, "replay: ..." */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** complain() - one line on stderr, "replay: ..."; returns -1, so that `return complain(...)` reports and fails. */
int complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
