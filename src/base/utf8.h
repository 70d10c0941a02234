/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/utf8.h - whether bytes are UTF-8.
 *
 * One page with a bad byte in one label value is refused whole by its readers, so every string is checked
 * where it comes in: at registration, when a series is created, when a collector reports. Source: RFC 3629,
 * section 4.
 */
#ifndef KYMO__UTF8_H
#define KYMO__UTF8_H

#include <stddef.h>

/**
 * kymo__utf8_valid() - 1 if the @n bytes at @s are whole UTF-8 characters, else 0
 * Strict: no overlong forms, no surrogates, nothing above U+10FFFF. NUL is a character. @n of 0 is valid.
 * Cost: ASCII about a byte in 0.1 ns.
 */
int kymo__utf8_valid(const char *s, size_t n);

#endif
