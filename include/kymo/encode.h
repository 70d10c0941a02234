/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kymo/encode.h - pages: a registry written out in a format.
 *
 * A scrape streams: it fills one page of at most 64 KiB at a time and remembers where it stopped. The registry's lock
 * is held while a page fills, never while it is sent. Encoders do no I/O; they know a page only.
 */
#ifndef KYMO_ENCODE_H
#define KYMO_ENCODE_H

#include <kymo/base.h>
#include <kymo/visit.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kymo_registry;

/**
 * struct kymo_page - where an encoder writes
 * @at, @end: room left: the encoder advances @at
 * @fresh:    set by the scrape when a family has begun and nothing of it was written: its header is due
 * @scratch:  @scratch_bytes for the encoder's own use, aligned for any type, zeros when the scrape begins and kept
 *            from page to page; may be lost at any time, may be NULL if @scratch_bytes is 0
 */
struct kymo_page {
    char *at;
    char *end;
    int fresh;
    void *scratch;
    size_t scratch_bytes;
};

/**
 * struct kymo_encoder - a format
 * @name:         for kymo_encoder_find(): "text"
 * @content_type: what an HTTP reply should say
 * @sample:       writes one point, and its family's header if page->fresh, whole or not at all: KYMO_EAGAIN if the
 *                room is too small
 * @finish:       writes what closes a page, or NULL
 */
struct kymo_encoder {
    size_t size;
    const char *name;
    const char *content_type;
    int (*sample)(struct kymo_page *page, const struct kymo_family *family, const struct kymo_point *point);
    int (*finish)(struct kymo_page *page);
};

/** kymo_encoder_find() - the encoder of this name, or NULL. Static. Threads: any. */
KYMO_API const struct kymo_encoder *kymo_encoder_find(const char *name);

/** kymo_encoder_at() - the i-th encoder of this build, or NULL past the last: to list them. */
KYMO_API const struct kymo_encoder *kymo_encoder_at(size_t i);

/**
 * struct kymo_sink - where finished bytes go
 * @write: takes all @n bytes and returns 0, or an error that ends the scrape and reaches its caller untouched
 */
struct kymo_sink {
    size_t size;
    void *ctx;
    int (*write)(void *ctx, const char *data, size_t n);
};

/**
 * kymo_registry_write() - one scrape, pushed into a sink in chunks of at most 64 KiB
 * Errors: KYMO_EINVAL, KYMO_ENOMEM, KYMO_EBUSY (from inside a callback), what the sink returns. Threads: any.
 * Cost: about 68 KiB of memory, plus what collectors report.
 */
KYMO_API int kymo_registry_write(struct kymo_registry *reg, const struct kymo_encoder *encoder,
                                 const struct kymo_sink *sink);

/* One scrape in progress, read piece by piece. */
struct kymo_scrape;

/**
 * kymo_scrape_new() - begins a scrape
 * What was recorded before this call is in it. Errors: KYMO_EINVAL, KYMO_ENOMEM, KYMO_EBUSY.
 * Ownership: the caller's, kymo_scrape_free() ends it, before the registry. Threads: one at a time per scrape.
 */
KYMO_API int kymo_scrape_new(struct kymo_registry *reg, const struct kymo_encoder *encoder,
                             struct kymo_scrape **scrape);

/**
 * kymo_scrape_read() - the next bytes of the page
 * @buf: room for @cap bytes, any size from 1
 * @n:   how many were written; 0 means the page is complete
 * Errors: KYMO_EINVAL, KYMO_ENOMEM; the page must then be given up.
 */
KYMO_API int kymo_scrape_read(struct kymo_scrape *scrape, char *buf, size_t cap, size_t *n);

/** kymo_scrape_free() - ends a scrape, complete or not. NULL is ignored. */
KYMO_API void kymo_scrape_free(struct kymo_scrape *scrape);

#ifdef __cplusplus
}
#endif
#endif
