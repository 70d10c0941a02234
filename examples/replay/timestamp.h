/* SPDX-License-Identifier: Apache-2.0 */
/* timestamp.h - reads 2023-11-16 18:15:46.6805900. */
#ifndef REPLAY_TIMESTAMP_H
#define REPLAY_TIMESTAMP_H

#include <stdint.h>

/**
 * timestamp_parse() - nanoseconds since 1970 of a date and time without a zone, taken as UTC
 * @text: YYYY-MM-DD HH:MM:SS with up to nine decimals, year 1970 to 2099
 * Returns 0, or -1 if @text is anything else.
 */
int timestamp_parse(const char *text, int64_t *ns);

#endif
