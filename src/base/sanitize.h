/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/sanitize.h - whether a sanitizer watches this build.
 *
 * Where it does, code that reads a few bytes past a text, and drops them, reads no byte too many instead.
 */
#ifndef KYMO__SANITIZE_H
#define KYMO__SANITIZE_H

#define KYMO__SANITIZED 0
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#undef KYMO__SANITIZED
#define KYMO__SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#undef KYMO__SANITIZED
#define KYMO__SANITIZED 1
#endif
#endif

#endif
