/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode/negotiate.c - which format, names and compression a request asks for.
 *
 * Entries count in the order of their weights, those of one weight as they stand in the header, ranges with a wildcard
 * after all others, whatever their weight: one released server sent its last resort with q=2. The first one whose
 * format this build has wins; plain text answers all else. Nothing is sorted: one pass finds the winner, a second one
 * what those before it said of names. Source: Prometheus, "Content negotiation"; Go's client library where that is
 * silent.
 */
#include <stdio.h>
#include <string.h>

#include <kymo/encode.h>

#include "encode/accept.h"

enum media { NO_MEDIA, TEXT, OPENMETRICS_0, OPENMETRICS_1, PROTOBUF, N_MEDIA };

static const struct {
    const char *encoder;
    const char *content_type;
} medias[N_MEDIA] = {
    [NO_MEDIA] = {"text", "text/plain; version=0.0.4; charset=utf-8"},
    [TEXT] = {"text", "text/plain; version=0.0.4; charset=utf-8"},
    [OPENMETRICS_0] = {"openmetrics", "application/openmetrics-text; version=0.0.1; charset=utf-8"},
    [OPENMETRICS_1] = {"openmetrics", "application/openmetrics-text; version=1.0.0; charset=utf-8"},
    [PROTOBUF] = {"protobuf",
                  "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"},
};

static const char *const schemes[] = {
    [KYMO_ESCAPE_UNDERSCORES] = "underscores",
    [KYMO_ESCAPE_DOTS] = "dots",
    [KYMO_ESCAPE_VALUES] = "values",
    [KYMO_ALLOW_UTF8] = "allow-utf-8",
};
#define UNSAID (-1) /* no scheme */

/* ---- one entry ---- */

/* A parameter's value, the last one's if it stands there twice; empty if it does not. */
static struct kymo__slice param(const struct kymo__accept_entry *entry, const char *wanted)
{
    struct kymo__slice rest = entry->params, name, value, found = {"", 0};
    while (kymo__param_next(&rest, &name, &value))
        if (kymo__slice_is_word(name, wanted))
            found = value;
    return found;
}

static int escaping_of(const struct kymo__accept_entry *entry)
{
    struct kymo__slice said = param(entry, "escaping");
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (kymo__slice_is(said, schemes[i]))
            return (int)i;
    return UNSAID;
}

static int has_wildcard(const struct kymo__accept_entry *entry)
{
    return entry->name.n > 0 && memchr(entry->name.at, '*', entry->name.n) != NULL;
}

/* What text answers: old clients write one star for two. */
static int is_text_wildcard(struct kymo__slice name)
{
    return kymo__slice_is(name, "*/*") || kymo__slice_is_word(name, "text/*") || kymo__slice_is(name, "*");
}

static enum media openmetrics_of(const struct kymo__accept_entry *entry)
{
    struct kymo__slice version = param(entry, "version");
    if (kymo__slice_is(version, "1.0.0"))
        return OPENMETRICS_1;
    return version.n == 0 || kymo__slice_is(version, "0.0.1") ? OPENMETRICS_0 : NO_MEDIA;
}

static enum media protobuf_of(const struct kymo__accept_entry *entry)
{
    int good = kymo__slice_is(param(entry, "proto"), "io.prometheus.client.MetricFamily") &&
               kymo__slice_is(param(entry, "encoding"), "delimited");
    return good ? PROTOBUF : NO_MEDIA;
}

static enum media text_of(const struct kymo__accept_entry *entry)
{
    struct kymo__slice version = param(entry, "version");
    return version.n == 0 || kymo__slice_is(version, "0.0.4") ? TEXT : NO_MEDIA;
}

/* The format that an entry asks for, if this build has it. */
static enum media media_of(const struct kymo__accept_entry *entry)
{
    enum media media = NO_MEDIA;
    if (kymo__slice_is_word(entry->name, "application/vnd.google.protobuf"))
        media = protobuf_of(entry);
    else if (kymo__slice_is_word(entry->name, "application/openmetrics-text"))
        media = openmetrics_of(entry);
    else if (kymo__slice_is_word(entry->name, "text/plain"))
        media = text_of(entry);
    else if (is_text_wildcard(entry->name))
        media = TEXT;
    return kymo_encoder_find(medias[media].encoder) != NULL ? media : NO_MEDIA;
}

/* ---- the order of entries ---- */

/* Where an entry comes: nothing else is known of it. */
struct place {
    int wildcard;
    uint32_t weight;
    size_t index;
};

static struct place place_of(const struct kymo__accept_entry *entry, size_t index)
{
    return (struct place){has_wildcard(entry), entry->weight, index};
}

static int comes_before(struct place a, struct place b)
{
    if (a.wildcard != b.wildcard)
        return b.wildcard;
    return a.weight != b.weight ? a.weight > b.weight : a.index < b.index;
}

/* The entry that wins; with NO_MEDIA the place is after all others. */
struct choice {
    enum media media;
    struct place place;
    int escaping; /* its own */
};

static int is_range(struct kymo__slice name)
{
    return kymo__slice_is(name, "*") || (name.n > 0 && memchr(name.at, '/', name.n) != NULL);
}

/* The next entry that counts: a media range that is wanted. */
static int next_wanted(struct kymo__slice *rest, struct kymo__accept_entry *entry, size_t *index)
{
    while (kymo__accept_next(rest, entry)) {
        ++*index;
        if (entry->weight != 0 && is_range(entry->name))
            return 1;
    }
    return 0;
}

static struct choice choose(struct kymo__slice header)
{
    struct choice best = {NO_MEDIA, {1, 0, SIZE_MAX}, UNSAID};
    struct kymo__accept_entry entry;
    size_t index = 0;
    while (next_wanted(&header, &entry, &index)) {
        struct place place = place_of(&entry, index);
        if (!comes_before(place, best.place))
            continue;
        enum media media = media_of(&entry);
        if (media != NO_MEDIA)
            best = (struct choice){media, place, escaping_of(&entry)};
    }
    return best;
}

/* What the last entry up to the winner that spoke of names said. */
static int escaping_until(struct kymo__slice header, struct place winner)
{
    struct kymo__accept_entry entry;
    struct place last = {0, UINT32_MAX, 0};
    int escaping = UNSAID;
    size_t index = 0;
    while (next_wanted(&header, &entry, &index)) {
        struct place place = place_of(&entry, index);
        if (comes_before(winner, place) || comes_before(place, last))
            continue;
        int said = escaping_of(&entry);
        if (said != UNSAID) {
            escaping = said;
            last = place;
        }
    }
    return escaping;
}

/* ---- compression ---- */

/* Preferences for the two codings there are; -1: not mentioned. */
struct codings {
    int64_t gzip, identity, any;
};

static void note(int64_t *weight, const struct kymo__accept_entry *entry)
{
    if (entry->weight > *weight)
        *weight = entry->weight;
}

/* Compressed only if the client prefers it to the plain page: one that says * does not care. */
static int wants_gzip(struct kymo__slice header)
{
    struct codings c = {-1, -1, -1};
    struct kymo__accept_entry entry;
    while (kymo__accept_next(&header, &entry)) {
        if (kymo__slice_is_word(entry.name, "gzip"))
            note(&c.gzip, &entry);
        else if (kymo__slice_is_word(entry.name, "identity"))
            note(&c.identity, &entry);
        else if (kymo__slice_is(entry.name, "*"))
            note(&c.any, &entry);
    }
    int64_t gzip = c.gzip >= 0 ? c.gzip : c.any;
    int64_t identity = c.identity >= 0 ? c.identity : c.any;
    return gzip > 0 && gzip > identity;
}

/* ---- the answer ---- */

static struct kymo__slice slice_of(const char *header)
{
    return (struct kymo__slice){header != NULL ? header : "", header != NULL ? strlen(header) : 0};
}

static void put_content_type(struct kymo_format *format, enum media media, int escaping)
{
    (void)snprintf(format->content_type, sizeof(format->content_type), "%s%s%s", medias[media].content_type,
                   escaping != UNSAID ? "; escaping=" : "", escaping != UNSAID ? schemes[escaping] : "");
}

void kymo_negotiate(const char *accept, const char *accept_encoding, struct kymo_format *format)
{
    if (format == NULL)
        return;
    struct kymo__slice header = slice_of(accept);
    struct choice choice = choose(header);
    int escaping = choice.media == OPENMETRICS_1 ? choice.escaping : escaping_until(header, choice.place);
    memset(format, 0, sizeof(*format));
    format->size = sizeof(*format);
    format->encoder = kymo_encoder_find(medias[choice.media].encoder);
    format->escaping = escaping != UNSAID ? (enum kymo_escaping)escaping : KYMO_ESCAPE_UNDERSCORES;
    format->gzip = wants_gzip(slice_of(accept_encoding));
    put_content_type(format, choice.media, escaping);
}
