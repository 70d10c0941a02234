/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kymo/base.h - version, export macro, errors, allocator, clock, log.
 *
 * Contract shared by all of kymo's headers:
 * - Fallible calls return 0 or a negative KYMO_E... code; results come through the last parameter and are NULL (or
 *   untouched, where said) after a failure. A failed call leaves nothing half-built.
 * - Recording calls (metric.h) return void and cannot fail; what they refuse is counted in kymo_recordings_refused_total.
 * - A struct the caller fills begins with `size_t size`, set to sizeof of that struct; a shorter one from an older
 *   caller is read as if zeros followed, and zero always means the default.
 * - Strings are UTF-8 and NUL-terminated and are copied by the call unless it says otherwise.
 * - "Threads: any" means safe to call at the same time from any number of threads.
 */
#ifndef KYMO_BASE_H
#define KYMO_BASE_H

#include <stddef.h>
#include <stdint.h>

#define KYMO_VERSION_MAJOR 0
#define KYMO_VERSION_MINOR 1
#define KYMO_VERSION_PATCH 0
/* The version this header belongs to, comparable as a number: 0x00MMmmpp. */
#define KYMO_VERSION ((KYMO_VERSION_MAJOR << 16) | (KYMO_VERSION_MINOR << 8) | KYMO_VERSION_PATCH)

#if defined(KYMO_STATIC)
#define KYMO_API
#elif defined(_WIN32) && defined(KYMO_BUILDING)
#define KYMO_API __declspec(dllexport)
#elif defined(_WIN32)
#define KYMO_API __declspec(dllimport)
#else
#define KYMO_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Every error: name, value, sentence. Values lie in a range of our own and never change meaning. The sentence says
 * what to do; the name of the culprit goes to the log callback (struct kymo_registry_options).
 */
#define KYMO_ERROR_MAP(X)                                                                                              \
    X(KYMO_EINVAL, -2001, "an argument is NULL, out of range, or its size field is not set: see the call's comment")   \
    X(KYMO_ENOMEM, -2002, "out of memory: nothing was changed, the call may be repeated")                              \
    X(KYMO_EFULL, -2003, "the registry's segment is full: create the registry with a larger segment_bytes")            \
    X(KYMO_ELIMIT, -2004, "a limit of the registry was reached: raise it in the options or record less")               \
    X(KYMO_ENAME, -2005, "not a metric name: [a-zA-Z_:][a-zA-Z0-9_:]*, or set utf8_names; an info ends in _info")      \
    X(KYMO_ELABEL, -2006, "not a label name: [a-zA-Z_][a-zA-Z0-9_]*, or set utf8_names; each once, at most 32")        \
    X(KYMO_ERESERVED, -2007,                                                                                           \
      "a reserved label: job and instance are the server's, le, quantile and __... the format's")                      \
    X(KYMO_EHELP, -2008, "help is missing: say in one sentence what is counted and in which unit")                     \
    X(KYMO_EUTF8, -2009, "a string is not valid UTF-8: recode it before handing it over")                              \
    X(KYMO_EUNIT, -2010, "the unit must be the last part of the name, before _total: name_seconds, unit seconds")      \
    X(KYMO_EBUCKETS, -2011, "bucket bounds must be finite, strictly increasing, and at most 500")                      \
    X(KYMO_EEXIST, -2012, "this name is registered already: keep the first handle, or unregister it first")            \
    X(KYMO_ECLASH, -2013, "this name would clash with a line of another family (x_sum, x_count, x_bucket, x_total)")   \
    X(KYMO_ENOENT, -2014, "no such family, format or collector: look at the spelling and the prefix")                  \
    X(KYMO_EKIND, -2015, "wrong kind of metric for this call, or a family that the collector did not announce")        \
    X(KYMO_ENOTSUP, -2016, "not supported by this build or platform")                                                  \
    X(KYMO_EBUSY, -2017, "called from inside a callback that this call would have to wait for")                        \
    X(KYMO_EAGAIN, -2018, "not enough room in the page: hand over the same item again with an empty one")              \
    X(KYMO_ESYSTEM, -2019, "the operating system refused a call: errno has the reason")                                \
    X(KYMO_ECONFIG, -2020, "the operator's configuration has an error: the log says in which line")                    \
    X(KYMO_ENATIVE, -2021, "native histogram: bucket_factor must be > 1, thresholds finite, at most 1000 buckets")     \
    X(KYMO_ESTATES, -2022, "a state set needs 1 to 64 different UTF-8 states, and no label of its own name")           \
    X(KYMO_EUNBOUNDED, -2023, "this label has no bound: give the family a guard, or put the id into an exemplar")      \
    X(KYMO_EGUARD, -2024, "guard: needs labels; top is for counters and histograms; limits as in struct kymo_guard")

enum kymo_error {
#define KYMO_X(name, value, text) name = value,
    KYMO_ERROR_MAP(KYMO_X)
#undef KYMO_X
};

/**
 * kymo_strerror() - the sentence of an error code
 * Returns a static string, never NULL; "success" for 0 and "unknown error" for a code that is not ours.
 * Threads: any. Signal-safe.
 */
KYMO_API const char *kymo_strerror(int error);

/** kymo_error_name() - the name of an error code ("KYMO_ENAME"); static, never NULL. Threads: any. Signal-safe. */
KYMO_API const char *kymo_error_name(int error);

/** kymo_version() - KYMO_VERSION of the library that is loaded. Threads: any. Signal-safe. */
KYMO_API unsigned kymo_version(void);

/**
 * kymo_has() - whether the loaded library can do something
 * @feature: "encoder:text", "wipe-on-fork", "asymmetric-fence", "pair-cas" ...; unknown names answer 0
 * Returns 1 or 0. Threads: any.
 */
KYMO_API int kymo_has(const char *feature);

/**
 * struct kymo_allocator - where a registry's private memory comes from
 * @ctx:   handed back to both functions
 * @alloc: @bytes of memory aligned for any type, contents undefined, or NULL
 * @free:  gives back what @alloc returned; @bytes is the size asked for then; @ptr is never NULL
 *
 * Called from registration, scrape and teardown, by any thread, never while recording. The registry's segment (label
 * text, slots) is not heap memory: it comes from mmap, in a reserved range that fills step by step.
 */
struct kymo_allocator {
    size_t size;
    void *ctx;
    void *(*alloc)(void *ctx, size_t bytes);
    void (*free)(void *ctx, void *ptr, size_t bytes);
};

/**
 * struct kymo_clock - where time comes from, for tests and simulations
 * @wall_ns:      nanoseconds since 1970 UTC; default clock_gettime(CLOCK_REALTIME)
 * @monotonic_ns: nanoseconds since any fixed point, never going back; default CLOCK_MONOTONIC
 *
 * Recording reads no clock, but as metric.h says; kymo_gauge_set_to_now() and the timers do, registration and snapshots
 * too.
 */
struct kymo_clock {
    size_t size;
    void *ctx;
    int64_t (*wall_ns)(void *ctx);
    int64_t (*monotonic_ns)(void *ctx);
};

enum kymo_log_level { KYMO_LOG_ERROR = 1, KYMO_LOG_WARNING = 2, KYMO_LOG_INFO = 3 };

/**
 * typedef kymo_log_fn - receives what the library would otherwise have to print
 * @message: one sentence, no newline, valid during the call
 * Called by the thread that made the failing call, never while recording; must not call back into the registry.
 */
typedef void (*kymo_log_fn)(void *ctx, enum kymo_log_level level, const char *message);

#ifdef __cplusplus
}
#endif
#endif
