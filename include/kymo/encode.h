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
 * enum kymo_escaping - what becomes of names that are not [a-zA-Z_:][a-zA-Z0-9_:]*
 * Others stay as they are in every scheme. Source: Prometheus, "Escaping schemes".
 */
enum kymo_escaping {
    KYMO_ESCAPE_UNDERSCORES = 0, /* each other character becomes _ */
    KYMO_ESCAPE_DOTS = 1,        /* . becomes _dot_, _ becomes __, others __ */
    KYMO_ESCAPE_VALUES = 2,      /* U__ in front, others become _hex_: can be undone */
    KYMO_ALLOW_UTF8 = 3,         /* as it is, in quotes */
};

struct kymo_encoder;

/**
 * struct kymo_format - how a page is to be written
 * @size:     sizeof(struct kymo_format)
 * @encoder:  the format
 * @escaping: of names
 * @created:  non-zero: OpenMetrics shows start times, as _created samples. The receiver must know what they are
 * @gzip:     non-zero: the client wants the body compressed. For who sends it: pages themselves never are
 * @names:    @n_names families to write, by the name of the family or one of its samples; n_names 0: all
 * @content_type: what an HTTP reply says, version and escaping included
 */
struct kymo_format {
    size_t size;
    const struct kymo_encoder *encoder;
    enum kymo_escaping escaping;
    int created;
    int gzip;
    const char *const *names;
    size_t n_names;
    char content_type[160];
};

/**
 * struct kymo_page - where an encoder writes
 * @at, @end: room left: the encoder advances @at
 * @format:   what was asked for
 * @fresh:    set by the scrape when a family has begun and nothing of it was written: its header is due
 * @scratch:  @scratch_bytes for the encoder's own use, aligned for any type, zeros when the scrape begins and kept
 *            from page to page; may be lost at any time, may be NULL if @scratch_bytes is 0
 */
struct kymo_page {
    char *at;
    char *end;
    const struct kymo_format *format;
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

/**
 * kymo_format_find() - the plain way of writing an encoder's format, or NULL
 * @name: of the encoder: "text", "openmetrics", "protobuf"
 * Static: to change something, copy it. Names are escaped with underscores, all families are written. Threads: any.
 */
KYMO_API const struct kymo_format *kymo_format_find(const char *name);

/**
 * kymo_negotiate() - the format that a client's request asks for
 * @accept:          its Accept header, or NULL
 * @accept_encoding: its Accept-Encoding header, or NULL
 * @format:          filled in; any header, however malformed, has an answer
 * Source: Prometheus, "Content negotiation"; Go's client library where that is silent. Threads: any. Allocates nothing.
 */
KYMO_API void kymo_negotiate(const char *accept, const char *accept_encoding, struct kymo_format *format);

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
 * @format: NULL means text; lent for the call
 * Errors: KYMO_EINVAL, KYMO_ENOMEM, KYMO_EBUSY (from inside a callback), what the sink returns. Threads: any.
 * Cost: about 68 KiB of memory, plus what collectors report.
 */
KYMO_API int kymo_registry_write(struct kymo_registry *reg, const struct kymo_format *format,
                                 const struct kymo_sink *sink);

/* One scrape in progress, read piece by piece. */
struct kymo_scrape;

/**
 * kymo_scrape_new() - begins a scrape
 * @format: NULL means text; copied, but its names are lent until kymo_scrape_free()
 * What was recorded before this call is in it. Errors: KYMO_EINVAL, KYMO_ENOMEM, KYMO_EBUSY.
 * Ownership: the caller's, kymo_scrape_free() ends it, before the registry. Threads: one at a time per scrape.
 */
KYMO_API int kymo_scrape_new(struct kymo_registry *reg, const struct kymo_format *format, struct kymo_scrape **scrape);

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
