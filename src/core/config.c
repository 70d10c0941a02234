/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/config.c - the operator's choices: lines into rules, rules onto descriptors. Read core/config.h first.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "core/config.h"

struct reader {
    struct kymo__config_place place;
    struct kymo__config *config;
};

int kymo__config_error(const struct kymo__config_place *place, const char *format, ...)
{
    char what[400];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    kymo__log(place->reg, KYMO_LOG_ERROR, "config line %zu: %s%s%.90s%s", place->line, what,
              place->file ? " (file " : "", place->file ? place->file : "", place->file ? ")" : "");
    return KYMO_ECONFIG;
}

/* ---- lines ---- */

static int is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Blanks at both ends are nobody's. */
static char *trim(char *s, size_t n)
{
    while (n > 0 && is_blank(s[n - 1]))
        n--;
    s[n] = '\0';
    return s + strspn(s, " \t");
}

#define ALLOW "allow."

/* Values that the operator may put in quotes have a # of their own there. */
static int has_quotes(const char *s, size_t n)
{
    while (n > 0 && is_blank(*s)) {
        s++;
        n--;
    }
    return n > strlen(ALLOW) && memcmp(s, ALLOW, strlen(ALLOW)) == 0;
}

/* Where a comment begins: a # that is first or has a blank before it. */
static size_t comment_at(const char *s, size_t n)
{
    int quotes = has_quotes(s, n), inside = 0;
    for (size_t i = 0; i < n; i++) {
        if (quotes && s[i] == '"')
            inside = !inside;
        else if (inside && s[i] == '\\' && i + 1 < n)
            i++;
        else if (!inside && s[i] == '#' && (i == 0 || is_blank(s[i - 1])))
            return i;
    }
    return n;
}

static int characters_check(const struct reader *r, const char *s, size_t n)
{
    if (!kymo__utf8_valid(s, n))
        return kymo__config_error(&r->place, "not UTF-8: save the file as UTF-8");
    for (size_t i = 0; i < n; i++)
        if (((unsigned char)s[i] < 0x20 && s[i] != '\t') || s[i] == 0x7f)
            return kymo__config_error(&r->place, "a control character (0x%02x) at byte %zu of the line",
                                      (unsigned)(unsigned char)s[i], i + 1);
    return 0;
}

#define REGISTRY "@registry"

/* No pattern begins with @: so there is room for what is no metric. */
static int section_check(const struct reader *r, const char *pattern)
{
    if (pattern[0] != '@' || strcmp(pattern, REGISTRY) == 0)
        return 0;
    return kymo__config_error(&r->place, "a section [%.60s]: with @ there is [" REGISTRY "] alone", pattern);
}

/* [pattern] */
static int section_read(struct reader *r, char *s)
{
    struct kymo_registry *reg = r->place.reg;
    size_t n = strlen(s);
    if (s[n - 1] != ']')
        return kymo__config_error(&r->place, "a section has no ] at its end: write [name], [name_*] or [*]");
    char *pattern = trim(s + 1, n - 2);
    if (pattern[0] == '\0' || strlen(pattern) > KYMO__MAX_NAME)
        return kymo__config_error(&r->place,
                                  "a section needs the name of a metric, at most %u bytes: write [name], "
                                  "[name_*] or [*]",
                                  KYMO__MAX_NAME);
    int error = section_check(r, pattern);
    if (error != 0)
        return error;
    struct kymo__config_rule *rule = kymo__heap_alloc(reg, sizeof(*rule));
    if (rule == NULL)
        return KYMO_ENOMEM;
    if (r->config->last != NULL)
        r->config->last->next = rule;
    else
        r->config->first = rule;
    r->config->last = rule;
    rule->line = r->place.line;
    rule->of_registry = pattern[0] == '@';
    rule->pattern = kymo__heap_text(reg, pattern, "");
    return rule->pattern != NULL ? 0 : KYMO_ENOMEM;
}

static int unknown_key(const struct reader *r, const char *key, enum kymo__config_key near)
{
    char names[320];
    if (near != KYMO__KEY_NONE)
        return kymo__config_error(&r->place, "unknown key %.60s: did you mean %s?", key, kymo__config_key_name(near));
    kymo__config_key_names(names, sizeof(names));
    return kymo__config_error(&r->place, "unknown key %.60s: there are %s", key, names);
}

/* What a key means here; *value is its text. */
static int value_read(struct reader *r, enum kymo__config_key key, const char *name, char *value)
{
    struct kymo__config_rule *rule = r->config->last;
    const char *label = key == KYMO__KEY_ALLOW ? name + strlen(ALLOW) : NULL;
    if (rule == NULL)
        return kymo__config_error(&r->place,
                                  "%s stands before any section: write [*] above it if all metrics are meant", name);
    if (rule->of_registry && key != KYMO__KEY_MAX_SERIES)
        return kymo__config_error(&r->place, "%.60s is of metrics: in [" REGISTRY "] there is max_series", name);
    if (label != NULL ? kymo__config_allow_of(rule, label) != NULL : (rule->choices.set & KYMO__KEY_BIT(key)) != 0)
        return kymo__config_error(&r->place, "%.60s is set twice in the section of line %zu", name, rule->line);
    if (label != NULL)
        return kymo__config_allow_read(&r->place, label, value, &rule->choices);
    return kymo__config_value_read(&r->place, key, value, &rule->choices);
}

/* key = value */
static int key_read(struct reader *r, char *s)
{
    enum kymo__config_key near;
    char *equals = strchr(s, '=');
    if (equals == NULL)
        return kymo__config_error(&r->place, "neither a [section] nor key = value: %.60s", s);
    char *name = trim(s, (size_t)(equals - s));
    char *value = trim(equals + 1, strlen(equals + 1));
    enum kymo__config_key key = kymo__config_key_find(name, &near);
    if (key == KYMO__KEY_NONE)
        return unknown_key(r, name, near);
    return value_read(r, key, name, value);
}

/* One line; s[n] is the newline, or behind the text. */
static int line_read(struct reader *r, char *s, size_t n)
{
    if (n > 0 && s[n - 1] == '\r')
        n--;
    int error = characters_check(r, s, n);
    if (error != 0)
        return error;
    s = trim(s, comment_at(s, n));
    if (s[0] == '\0')
        return 0;
    return s[0] == '[' ? section_read(r, s) : key_read(r, s);
}

int kymo__config_parse(struct kymo_registry *reg, char *text, size_t n, const char *file)
{
    struct reader r = {{reg, file, 0}, kymo__heap_alloc(reg, sizeof(struct kymo__config))};
    if (r.config == NULL)
        return KYMO_ENOMEM;
    reg->config = r.config; /* what comes of it is freed with the registry, whatever happens */
    if (file != NULL && (r.config->file = kymo__heap_text(reg, file, "")) == NULL)
        return KYMO_ENOMEM;
    int error = 0;
    size_t at = n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0; /* a mark that some editors write */
    while (at < n && error == 0) {
        char *newline = memchr(text + at, '\n', n - at);
        size_t end = newline != NULL ? (size_t)(newline - text) : n;
        r.place.line++;
        error = line_read(&r, text + at, end - at);
        at = end + 1;
    }
    return error;
}

void kymo__config_free(struct kymo_registry *reg)
{
    if (reg->config == NULL)
        return;
    for (struct kymo__config_rule *rule = reg->config->first, *next; rule != NULL; rule = next) {
        next = rule->next;
        kymo__heap_free(reg, (void *)(uintptr_t)rule->choices.bounds, rule->choices.n_bounds * sizeof(double));
        kymo__config_allow_free(reg, &rule->choices);
        kymo__heap_text_free(reg, rule->pattern);
        kymo__heap_free(reg, rule, sizeof(*rule));
    }
    kymo__heap_text_free(reg, reg->config->file);
    kymo__heap_free(reg, reg->config, sizeof(*reg->config));
    reg->config = NULL;
}

/* ---- matching ---- */

static size_t character_len(const char *s)
{
    size_t n = 1;
    while (((unsigned char)s[n] & 0xc0) == 0x80)
        n++;
    return n;
}

/* * is any characters, ? is one. A * that turns out too short takes one character more: no recursion. */
static int glob(const char *pattern, const char *name)
{
    const char *star = NULL, *after = NULL;
    while (*name != '\0') {
        if (*pattern == '*') {
            star = ++pattern;
            after = name;
        } else if (*pattern == '?') {
            pattern++;
            name += character_len(name);
        } else if (*pattern == *name) {
            pattern++;
            name++;
        } else if (star != NULL) {
            pattern = star;
            name = after += character_len(after);
        } else {
            return 0;
        }
    }
    return pattern[strspn(pattern, "*")] == '\0';
}

int kymo__config_matches(const struct kymo__config_rule *rule, const char *prefix, const char *name)
{
    char whole[2 * KYMO__MAX_NAME + 1];
    (void)snprintf(whole, sizeof(whole), "%s%s", prefix, name);
    return !rule->of_registry && glob(rule->pattern, whole);
}

int kymo__config_concerns(const struct kymo__config_rule *rule, const struct kymo__family *f)
{
    int matches = kymo__config_matches(rule, "", f->info.name);
    for (size_t i = 0; i < f->desc.n_aliases && !matches; i++)
        matches = kymo__config_matches(rule, "", f->aliases[i].info.name);
    return matches;
}

/* A section may name a family as it was called before. */
static int concerns(const struct kymo_registry *reg, const struct kymo__config_rule *rule, const struct kymo_desc *d)
{
    if (kymo__config_matches(rule, kymo__prefix_of(reg, d->name), d->name))
        return 1;
    for (size_t i = 0; i < d->n_aliases; i++)
        if (kymo__config_matches(rule, kymo__prefix_of(reg, d->aliases[i].name), d->aliases[i].name))
            return 1;
    return 0;
}

/* ---- applying ---- */

static const uint32_t histogram_keys = KYMO__KEY_BIT(KYMO__KEY_EXEMPLARS + 1) - 1;
static const uint32_t guard_keys = KYMO__KEY_BIT(KYMO__KEY_ALLOW) - KYMO__KEY_BIT(KYMO__KEY_MAX_SERIES);
static const uint32_t native_keys = KYMO__KEY_BIT(KYMO__KEY_MAX_BUCKETS) | KYMO__KEY_BIT(KYMO__KEY_ZERO_THRESHOLD) |
                                    KYMO__KEY_BIT(KYMO__KEY_MAX_ZERO_THRESHOLD) | KYMO__KEY_BIT(KYMO__KEY_MIN_RESET) |
                                    KYMO__KEY_BIT(KYMO__KEY_MAX_EXEMPLARS) | KYMO__KEY_BIT(KYMO__KEY_EXEMPLAR_TTL);

static void native_apply(struct kymo__choices *c, struct kymo_desc *d, struct kymo_native *room)
{
    struct kymo__choices whole;
    int native = c->set & KYMO__KEY_BIT(KYMO__KEY_NATIVE) ? c->native : d->native != NULL;
    if (!native) {
        d->native = NULL;
        c->set &= ~native_keys;
        return;
    }
    if (d->native == NULL && d->n_bounds == 0) { /* what the programme meant by nothing */
        d->bounds = kymo_buckets_web;
        d->n_bounds = kymo_buckets_web_n;
    }
    memset(&whole, 0, sizeof(whole));
    if (d->native != NULL)
        whole.details = *d->native;
    double factor = whole.details.bucket_factor;
    kymo__choices_merge(&whole, c);
    *room = whole.details;
    if (room->bucket_factor == 0)
        room->bucket_factor = factor;
    d->native = room;
}

static void buckets_apply(const struct kymo_registry *reg, struct kymo__choices *c, struct kymo_desc *d)
{
    if (!(c->set & KYMO__KEY_BIT(KYMO__KEY_BUCKETS)))
        return;
    if (c->n_bounds == 0 && d->native == NULL) {
        kymo__log(reg, KYMO_LOG_WARNING,
                  "metric %.255s: its configuration leaves it neither buckets nor native ones: it keeps its buckets",
                  d->name);
        c->set &= ~KYMO__KEY_BIT(KYMO__KEY_BUCKETS);
        return;
    }
    d->bounds = c->n_bounds != 0 ? c->bounds : NULL;
    d->n_bounds = c->n_bounds;
}

static void guard_apply(const struct kymo_registry *reg, enum kymo_kind kind, struct kymo__choices *c,
                        struct kymo_desc *d, struct kymo_guard *room)
{
    struct kymo__choices whole;
    uint32_t policy = KYMO__KEY_BIT(KYMO__KEY_GUARD);
    if ((c->set & policy) && c->guard.policy == KYMO_GUARD_TOP && kind == KYMO_GAUGE) {
        kymo__log(reg, KYMO_LOG_WARNING,
                  "metric %.255s: its configuration says guard = top, which gauges cannot have: it keeps its policy",
                  d->name);
        c->set &= ~policy;
    }
    if (!(c->set & guard_keys))
        return;
    memset(&whole, 0, sizeof(whole));
    if (d->guard != NULL)
        whole.guard = *d->guard;
    kymo__choices_merge(&whole, c);
    *room = whole.guard;
    d->guard = room;
}

static void apply(const struct kymo_registry *reg, enum kymo_kind kind, struct kymo__choices *c, struct kymo_desc *d,
                  struct kymo__config_room *room)
{
    if (c->set & histogram_keys & ~KYMO__KEY_BIT(KYMO__KEY_EXEMPLARS)) {
        native_apply(c, d, &room->native);
        buckets_apply(reg, c, d);
    }
    if (c->set & KYMO__KEY_BIT(KYMO__KEY_EXEMPLARS))
        d->exemplar_every = c->exemplar_every;
    guard_apply(reg, kind, c, d, &room->guard);
}

static uint32_t keys_for(enum kymo_kind kind, size_t n_labels)
{
    uint32_t keys = kind == KYMO_HISTOGRAM ? histogram_keys
                    : kind == KYMO_COUNTER ? KYMO__KEY_BIT(KYMO__KEY_EXEMPLARS)
                                           : 0;
    return n_labels != 0 && (keys != 0 || kind == KYMO_GAUGE) ? keys | guard_keys : keys;
}

uint32_t kymo__config_apply(const struct kymo_registry *reg, enum kymo_kind kind, struct kymo_desc *desc,
                            struct kymo__config_room *room)
{
    struct kymo__choices c;
    struct kymo_desc changed = *desc;
    uint32_t keys = keys_for(kind, desc->n_labels);
    memset(&c, 0, sizeof(c));
    if (reg->config == NULL || keys == 0)
        return 0;
    for (const struct kymo__config_rule *rule = reg->config->first; rule != NULL; rule = rule->next)
        if (concerns(reg, rule, desc))
            kymo__choices_merge(&c, &rule->choices);
    c.set &= keys;
    apply(reg, kind, &c, &changed, room);
    if (c.set == 0)
        return 0;
    if (kymo__desc_check(reg, &changed, kind) != 0) {
        kymo__log(reg, KYMO_LOG_WARNING, "metric %.255s: its configuration does not suit it and is left out",
                  desc->name);
        return 0;
    }
    *desc = changed;
    return c.set;
}
