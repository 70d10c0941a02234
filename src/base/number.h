/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/number.h - numbers as text, for every format that is text.
 *
 * What all of these share: they write at most KYMO__NUMBER_LEN characters at out, end in no NUL and return
 * how many they wrote. They may overwrite any of the first KYMO__NUMBER_MAX bytes at out, and no others, so
 * that they can store whole words: the caller keeps that much room, whatever the value. They call nothing,
 * allocate nothing, know no locale and can be used by any thread and in signal handlers.
 *
 * Form G is the shortest decimal that reads back as the same double and, of those, the one nearest to it. It
 * has an exponent, of a sign and two digits or three, if the decimal exponent of its first digit is below -4
 * or above 5.
 */
#ifndef KYMO__NUMBER_H
#define KYMO__NUMBER_H

#include <stddef.h>
#include <stdint.h>

#define KYMO__NUMBER_LEN 24 /* -2.2250738585072014e-308 */
#define KYMO__NUMBER_MAX 32

/* v in decimal: 0 .. 18446744073709551615. */
size_t kymo__format_u64(char *out, uint64_t v);

/* v in decimal, with a sign if it is negative. */
size_t kymo__format_i64(char *out, int64_t v);

/* v in form G: 100000, 1e+06, 0.1, 5e-324. Both zeros are 0; what is not finite is NaN, +Inf or -Inf. */
size_t kymo__format_g(char *out, double v);

/* v as the value of a sample: plain digits if it is an integer of magnitude below 2^53 (22361870), else G. */
size_t kymo__format_value(char *out, double v);

/* v as the value of le or quantile: form G, and ".0" after a number with neither a point nor an exponent. */
size_t kymo__format_le(char *out, double v);

/* For number.c alone: 10^(i + KYMO__POW10_MIN), high and low word of 128 bits; pow10.c says how scaled. */
#define KYMO__POW10_MIN (-292)
#define KYMO__POW10_MAX 324
extern const uint64_t kymo__pow10[KYMO__POW10_MAX - KYMO__POW10_MIN + 1][2];

#endif
