/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kymo/registry.h - a registry: the families of one host program, their memory, their collectors.
 *
 * A process may hold several registries; they share nothing but the threads. There is no default registry, no thread
 * of the library's own, no constructor and no exit handler.
 *
 * Fork: a child of fork() has a copy of a registry's values and may record at once; its recordings reach the child's
 * registry only. The first call of the child that may allocate takes over the shards of the parent's threads (copies,
 * in the child) and renews the locks; kymo_after_fork_child() does so explicitly and can zero the values.
 */
#ifndef KYMO_REGISTRY_H
#define KYMO_REGISTRY_H

#include <kymo/base.h>
#include <kymo/desc.h>
#include <kymo/visit.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kymo_registry;

/** struct kymo_label - a label with its value */
struct kymo_label {
    const char *name;
    const char *value;
};

/**
 * struct kymo_event - a series has ended
 * @family:     description of its family, with full name
 * @point:      the series with its last value; lent for the call
 */
struct kymo_event {
    const struct kymo_family *family;
    const struct kymo_point *point;
};

/**
 * typedef kymo_event_fn - told of each series that ends, with its last value
 * Called by the thread whose call ended the series, with the registry's lock held: must not call back into the
 * registry, should only note what it needs.
 */
typedef void (*kymo_event_fn)(void *ctx, const struct kymo_event *event);

/**
 * struct kymo_registry_options - how a registry is set up; all zero is a good choice
 * @size:             sizeof(struct kymo_registry_options)
 * @allocator:        private memory; NULL: malloc and free
 * @clock:            NULL: the system's clocks
 * @log, @log_ctx:    where sentences about failures go; NULL: nowhere
 * @event, @event_ctx: told when a series ends; NULL: nobody
 * @prefix:           put before the name of each family ("myserver_"), collectors' too, but not of kymo_*; NULL: none
 * @const_labels:     @n_const_labels labels that every sample of this registry carries
 * @segment_bytes:    most memory that series may ever take, reserved as address space, used as it fills;
 *                    0: 4 GiB (256 MiB on 32-bit). At least 1 MiB.
 * @max_shards:       most threads that record into memory of their own; 0: 1024. Threads beyond share one store, which
 *                    costs locked instructions and loses nothing.
 * @collector_bytes:  most memory for what collectors report in one scrape; 0: 16 MiB
 * @no_self_metrics:  non-zero leaves out the kymo_* families
 * @utf8_names:       non-zero: names of metrics and labels may be any UTF-8 text, "http.server.duration". Servers before
 *                    Prometheus 3 see them escaped
 * @config:           the operator's choices, as text: see docs/configuration.md; NULL: the file that the environment
 *                    variable KYMO_CONFIG names, if it is set; "": none, whatever the environment says
 * @max_series:       most series (label sets) of families with labels, all together; 0: 10 000. Past it, as past a
 *                    family's own limit, label sets share `__other__`: see struct kymo_guard
 */
struct kymo_registry_options {
    size_t size;
    const struct kymo_allocator *allocator;
    const struct kymo_clock *clock;
    kymo_log_fn log;
    void *log_ctx;
    kymo_event_fn event;
    void *event_ctx;
    const char *prefix;
    const struct kymo_label *const_labels;
    size_t n_const_labels;
    size_t segment_bytes;
    size_t max_shards;
    size_t collector_bytes;
    int no_self_metrics;
    int utf8_names;
    const char *config;
    size_t max_series;
};

/**
 * kymo_registry_new() - a registry without families
 * @options: NULL for defaults; copied, the structs it points to as well
 * @reg:     the registry, or NULL after a failure
 *
 * Errors: KYMO_EINVAL, KYMO_ENOMEM, KYMO_ENAME (prefix), KYMO_ELABEL, KYMO_ERESERVED, KYMO_EUTF8 (constant labels),
 * KYMO_ELIMIT (values of constant labels over 4096 bytes together, or too many series in all registries of the process),
 * KYMO_ESYSTEM, KYMO_ECONFIG (the operator's choices: the log says where). Constant labels family, reason and collector clash with the kymo_* metrics: KYMO_ELABEL. Threads: any. Ownership: the caller's, kymo_registry_free() ends it.
 * Cost: reserves address space; touches about 64 KiB. Since 0.1.
 */
KYMO_API int kymo_registry_new(const struct kymo_registry_options *options, struct kymo_registry **reg);

struct kymo_sink;

/**
 * kymo_registry_config() - what of the operator's choices is in force, as JSON
 * kymo_registry_catalogue() - what is registered, as JSON: name, type, unit, help, labels, buckets, aliases
 * @sink: receives it in pieces
 * Errors: KYMO_EINVAL, KYMO_ENOMEM, KYMO_EBUSY (from inside a callback), what the sink returns. Threads: any.
 */
KYMO_API int kymo_registry_config(struct kymo_registry *reg, const struct kymo_sink *sink);
KYMO_API int kymo_registry_catalogue(struct kymo_registry *reg, const struct kymo_sink *sink);

/**
 * kymo_registry_free() - ends a registry, its families and all handles
 * @reg: may be NULL
 * No thread may record into it, or hold a scrape of it, any more. Detaches its collectors. Since 0.1.
 */
KYMO_API void kymo_registry_free(struct kymo_registry *reg);

/**
 * kymo_registry_unregister() - ends the family of this name and all its series
 * @name: full name, with the registry's prefix
 *
 * Handles stay safe: what is recorded through them afterwards is counted as refused (reason "unregistered"). Each
 * series that ends is reported to the event callback with its last value. The name may be registered again. Waits for
 * a callback of this family that is running, and up to 0.2 s for recordings into it that are under way; if one takes
 * longer, the ends are reported by a later scrape, visit or sweep. Errors: KYMO_EINVAL, KYMO_ENOENT, KYMO_EBUSY (from
 * inside a callback or collector). Threads: any.
 */
KYMO_API int kymo_registry_unregister(struct kymo_registry *reg, const char *name);

/**
 * kymo_registry_sweep() - does the upkeep that otherwise happens during scrapes
 * @now_ns: the registry's monotonic clock, or 0 to read it
 *
 * Looks which series have changed and ends those that are idle, gives shards and chunks to threads that asked for them,
 * takes back those of dead threads, reclaims memory no recorder can still be using. For programs that are scraped
 * rarely. Returns 0 or KYMO_EINVAL. Threads: any. Cost: about 20 ns for each series of families that expire.
 */
KYMO_API int kymo_registry_sweep(struct kymo_registry *reg, int64_t now_ns);

/**
 * kymo_thread_attach() - gives the calling thread memory of its own to record into
 *
 * Never needed for correctness: without it a thread's first recordings go to the shared store, with locked
 * instructions, until some call that may allocate provides for it. Returns 0, KYMO_EINVAL, KYMO_ENOMEM, KYMO_EFULL or
 * KYMO_ELIMIT (max_shards); after a failure recordings still count. Threads: any; not in signal handlers.
 */
KYMO_API int kymo_thread_attach(struct kymo_registry *reg);

/**
 * kymo_thread_detach() - gives the calling thread's memory, in all registries, to threads to come
 * Happens by itself when a thread ends. Values are kept. Threads: any; not in signal handlers.
 */
KYMO_API void kymo_thread_detach(void);

enum kymo_fork_values {
    KYMO_FORK_KEEP = 0, /* the child goes on from its copy of the parent's values */
    KYMO_FORK_ZERO = 1, /* counters, up/down gauges and histograms of the child start at 0 */
};

/**
 * kymo_after_fork_child() - settles all registries in a child of fork()
 * Optional: the first call that may allocate does it with KYMO_FORK_KEEP. Call it while the child has one thread.
 * Returns 0, or KYMO_EINVAL. In a process that is no fresh child it does nothing and returns 0.
 */
KYMO_API int kymo_after_fork_child(enum kymo_fork_values values);

/** struct kymo_registry_stats - what a registry holds and costs, in bytes and counts */
struct kymo_registry_stats {
    size_t size;
    size_t n_families;
    size_t n_series;
    size_t n_shards;
    size_t n_free_shards;
    size_t segment_used_bytes; /* of the reserved range; pages nobody wrote take no memory */
    size_t segment_reserved_bytes;
    size_t heap_bytes; /* from the allocator */
    size_t max_series; /* the budget in force */
    size_t n_ended;    /* series that have ended, ever */
    size_t n_ending;   /* of which were recorded into just now: they are announced by a later upkeep */
    size_t n_asleep;   /* label texts kept for handles of ended series that may come back to life */
    size_t n_pinned;   /* cells kept for handles of ended series that may not */
};

/**
 * kymo_registry_get_stats() - fills @stats, whose size field the caller has set
 * Errors: KYMO_EINVAL. Threads: any. Cost: a lock and a few loads.
 */
KYMO_API int kymo_registry_get_stats(struct kymo_registry *reg, struct kymo_registry_stats *stats);

#ifdef __cplusplus
}
#endif
#endif
