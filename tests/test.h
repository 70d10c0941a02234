/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/test.h - what a test program needs: checks that say where and what, and a list of tests to run.
 *
 * A test is a function whose name is a claim. main() runs them in order and returns 1 if any check failed; a test that
 * cannot run here prints "SKIP: reason" through test_skip() and the program returns 77 if all were skipped.
 * KYMO_TEST_LONG=1 asks for the long form.
 */
#ifndef KYMO_TEST_H
#define KYMO_TEST_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int test_failures;
static int test_skips;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            __atomic_fetch_add(&test_failures, 1, __ATOMIC_RELAXED);                                                   \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
        }                                                                                                              \
    } while (0)

#define CHECK_U64(have, want)                                                                                          \
    do {                                                                                                               \
        uint64_t have_ = (uint64_t)(have), want_ = (uint64_t)(want);                                                   \
        if (have_ != want_) {                                                                                          \
            __atomic_fetch_add(&test_failures, 1, __ATOMIC_RELAXED);                                                   \
            fprintf(stderr, "%s:%d: %s is %" PRIu64 ", not %" PRIu64 "\n", __FILE__, __LINE__, #have, have_, want_);   \
        }                                                                                                              \
    } while (0)

#define CHECK_INT(have, want)                                                                                          \
    do {                                                                                                               \
        int have_ = (have), want_ = (want);                                                                            \
        if (have_ != want_) {                                                                                          \
            __atomic_fetch_add(&test_failures, 1, __ATOMIC_RELAXED);                                                   \
            fprintf(stderr, "%s:%d: %s is %d, not %d\n", __FILE__, __LINE__, #have, have_, want_);                     \
        }                                                                                                              \
    } while (0)

#define CHECK_DOUBLE(have, want)                                                                                       \
    do {                                                                                                               \
        double have_ = (have), want_ = (want);                                                                         \
        if (memcmp(&have_, &want_, sizeof(have_)) != 0 && !(have_ == 0 && want_ == 0)) {                               \
            __atomic_fetch_add(&test_failures, 1, __ATOMIC_RELAXED);                                                   \
            fprintf(stderr, "%s:%d: %s is %.17g, not %.17g\n", __FILE__, __LINE__, #have, have_, want_);               \
        }                                                                                                              \
    } while (0)

#define CHECK_STRING(have, want)                                                                                       \
    do {                                                                                                               \
        const char *have_ = (have), *want_ = (want);                                                                   \
        if (have_ == NULL || strcmp(have_, want_) != 0) {                                                              \
            __atomic_fetch_add(&test_failures, 1, __ATOMIC_RELAXED);                                                   \
            fprintf(stderr, "%s:%d: %s is\n%s\nnot\n%s\n", __FILE__, __LINE__, #have, have_ ? have_ : "(null)",        \
                    want_);                                                                                            \
        }                                                                                                              \
    } while (0)

/* For what the rest of a test stands on: stops the program. */
#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: required: %s\n", __FILE__, __LINE__, #condition);                                  \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

struct test {
    const char *name;
    void (*run)(void);
};

#define TEST(f)                                                                                                        \
    {                                                                                                                  \
#f, f                                                                                                          \
    }

static inline int test_long(void)
{
    const char *asked = getenv("KYMO_TEST_LONG");
    return asked != NULL && strcmp(asked, "1") == 0;
}

static inline void test_skip(const char *reason)
{
    printf("SKIP: %s\n", reason);
    test_skips++;
}

/* Runs all tests, or those whose name contains argv[1]. */
static inline int test_main(int argc, char **argv, const struct test *tests, size_t n)
{
    size_t ran = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < n; i++) {
        if (argc > 1 && strstr(tests[i].name, argv[1]) == NULL)
            continue;
        int before = test_failures;
        tests[i].run();
        printf("%s %s\n", test_failures == before ? "ok  " : "FAIL", tests[i].name);
        ran++;
    }
    if (ran == 0) {
        fprintf(stderr, "no test of that name\n");
        return 1;
    }
    if (test_failures != 0)
        return 1;
    return test_skips != 0 && (size_t)test_skips == ran ? 77 : 0;
}

#define TEST_MAIN(...)                                                                                                 \
    int main(int argc, char **argv)                                                                                    \
    {                                                                                                                  \
        static const struct test tests[] = {__VA_ARGS__};                                                              \
        return test_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));                                         \
    }

#endif
