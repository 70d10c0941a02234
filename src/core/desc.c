/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/desc.c - what makes a descriptor good: names, labels, help, unit, bounds, states, guard.
 *
 * The rules are those of the formats we write: a family that passes here can be exposed in any of them. Sources:
 * Prometheus data model; OpenMetrics 1.0 on units and on names that suffixes would make equal. Two kinds of label names
 * are refused for what they do to a server: those that it gives each target itself, and those whose values never end.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/name.h"
#include "base/utf8.h"
#include "core/guard.h"

#define MAX_STATES 64u
#define MAX_NATIVE_BUCKETS 1000u
#define MAX_NATIVE_EXEMPLARS 64u
#define MAX_SERIES 10000000u

/* ---- names ---- */

static int name_good(const char *name, int utf8, enum kymo__name_kind kind)
{
    if (name == NULL)
        return 0;
    size_t n = strlen(name);
    if (n == 0 || n > KYMO__MAX_NAME)
        return 0;
    return utf8 ? kymo__utf8_valid(name, n) : kymo__name_is_plain(name, n, kind);
}

int kymo__name_valid(const char *name, int utf8)
{
    return name_good(name, utf8, KYMO__METRIC_NAME);
}

int kymo__label_name_valid(const char *name, int utf8)
{
    return name_good(name, utf8, KYMO__LABEL_NAME);
}

/* As servers that take plain names only will see it; room for any name. */
static void escape(char to[KYMO__NAME_ESCAPED_MAX + 1], const char *name, enum kymo__name_kind kind,
                   enum kymo__scheme scheme)
{
    to[kymo__name_escape(to, name, strlen(name), kind, scheme, 0)] = '\0';
}

static int is_plain(const char *name, enum kymo__name_kind kind)
{
    return kymo__name_is_plain(name, strlen(name), kind);
}

/* Whether two labels' names are one, in any scheme: a server refuses the whole page for it. */
int kymo__label_names_same(const char *a, const char *b)
{
    char x[KYMO__NAME_ESCAPED_MAX + 1], y[KYMO__NAME_ESCAPED_MAX + 1];
    int same = strcmp(a, b) == 0;
    if (same || (is_plain(a, KYMO__LABEL_NAME) && is_plain(b, KYMO__LABEL_NAME)))
        return same;
    for (int scheme = KYMO__UNDERSCORES; scheme <= KYMO__VALUES && !same; scheme++) {
        escape(x, a, KYMO__LABEL_NAME, (enum kymo__scheme)scheme);
        escape(y, b, KYMO__LABEL_NAME, (enum kymo__scheme)scheme);
        same = strcmp(x, y) == 0;
    }
    return same;
}

int kymo__names_odd(const struct kymo_registry *reg, const char *name, const struct kymo_desc *d)
{
    int odd = !is_plain(name, KYMO__METRIC_NAME);
    for (size_t i = 0; i < d->n_labels && !odd; i++)
        odd = !is_plain(d->labels[i], KYMO__LABEL_NAME);
    for (size_t i = 0; i < reg->n_const_labels && !odd; i++)
        odd = !is_plain(reg->const_labels[i].name, KYMO__LABEL_NAME);
    return odd;
}

static int is_one_of(const char *name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (kymo__label_names_same(name, names[i]))
            return 1;
    return 0;
}

/* The server sets job and instance, and would rename ours; le and quantile stand in lines of other kinds. */
int kymo__label_name_reserved(const char *name)
{
    static const char *const reserved[] = {"__name__", "job", "instance", "le", "quantile"};
    return strncmp(name, "__", 2) == 0 || is_one_of(name, reserved, sizeof(reserved) / sizeof(reserved[0]));
}

/* Each value of these is one user, one request, one machine of somebody else's: there is always a next one. */
static int is_unbounded(const char *name)
{
    static const char *const unbounded[] = {"user_id",  "customer_id", "request_id", "session_id",
                                            "trace_id", "span_id",     "email",      "ip"};
    return is_one_of(name, unbounded, sizeof(unbounded) / sizeof(unbounded[0]));
}

/* ---- the parts ---- */

int kymo__desc_read(const struct kymo_desc *from, struct kymo_desc *to)
{
    memset(to, 0, sizeof(*to));
    if (from == NULL || from->size < offsetof(struct kymo_desc, unit))
        return KYMO_EINVAL;
    size_t n = from->size < sizeof(*to) ? from->size : sizeof(*to);
    memcpy(to, from, n - n % _Alignof(struct kymo_desc)); /* half a pointer is none */
    to->size = sizeof(*to);
    return 0;
}

static int is_const_label(const struct kymo_registry *reg, const char *name)
{
    for (size_t j = 0; j < reg->n_const_labels; j++)
        if (kymo__label_names_same(reg->const_labels[j].name, name))
            return 1;
    return 0;
}

static int label_check(const struct kymo_registry *reg, const struct kymo_desc *d, size_t i)
{
    const char *name = d->labels[i];
    if (!kymo__label_name_valid(name, reg->utf8_names))
        return KYMO_ELABEL;
    if (kymo__label_name_reserved(name))
        return KYMO_ERESERVED;
    for (size_t j = 0; j < i; j++)
        if (kymo__label_names_same(name, d->labels[j]))
            return KYMO_ELABEL;
    return is_const_label(reg, name) ? KYMO_ELABEL : 0;
}

/* *culprit: the label that is wrong, where one is. */
static int labels_check(const struct kymo_registry *reg, const struct kymo_desc *d, const char **culprit)
{
    if (d->n_labels > KYMO__MAX_LABELS || (d->n_labels != 0 && d->labels == NULL))
        return KYMO_ELABEL;
    for (size_t i = 0; i < d->n_labels; i++) {
        *culprit = d->labels[i];
        int r = label_check(reg, d, i);
        if (r != 0)
            return r;
    }
    *culprit = NULL;
    return 0;
}

static int ends_in(const char *name, size_t n, const char *end)
{
    size_t len = strlen(end);
    return n > len + 1 && name[n - len - 1] == '_' && memcmp(name + n - len, end, len) == 0;
}

static int unit_check(const struct kymo_desc *d, enum kymo_kind kind)
{
    if (d->unit == NULL || d->unit[0] == '\0')
        return 0;
    if (kind == KYMO_INFO || kind == KYMO_STATESET)
        return KYMO_EUNIT;
    size_t n = strlen(d->name);
    if (kind == KYMO_COUNTER && ends_in(d->name, n, "total"))
        n -= strlen("_total");
    return ends_in(d->name, n, d->unit) ? 0 : KYMO_EUNIT;
}

static int bounds_check(const struct kymo_desc *d, enum kymo_kind kind)
{
    if (kind != KYMO_HISTOGRAM)
        return d->bounds == NULL && d->n_bounds == 0 ? 0 : KYMO_EKIND;
    if (d->n_bounds > KYMO__MAX_BOUNDS || (d->bounds == NULL) != (d->n_bounds == 0))
        return KYMO_EBUCKETS;
    for (size_t i = 0; i < d->n_bounds; i++)
        if (!isfinite(d->bounds[i]) || (i > 0 && !(d->bounds[i] > d->bounds[i - 1])))
            return KYMO_EBUCKETS;
    return 0;
}

static int native_check(const struct kymo_desc *d, enum kymo_kind kind)
{
    const struct kymo_native *n = d->native;
    if (n == NULL)
        return 0;
    if (kind != KYMO_HISTOGRAM)
        return KYMO_EKIND;
    if (!isfinite(n->bucket_factor) || (n->bucket_factor != 0 && !(n->bucket_factor > 1)))
        return KYMO_ENATIVE;
    if (!isfinite(n->zero_threshold) || !isfinite(n->max_zero_threshold) || n->max_zero_threshold < 0)
        return KYMO_ENATIVE;
    return n->max_buckets > MAX_NATIVE_BUCKETS || n->max_exemplars > MAX_NATIVE_EXEMPLARS || n->min_reset_ns < 0
               ? KYMO_ENATIVE
               : 0;
}

/* What gauges and exemplars ask for, where they can be. */
static int options_check(const struct kymo_desc *d, enum kymo_kind kind)
{
    if (d->exemplar_every != 0 && kind != KYMO_COUNTER && kind != KYMO_HISTOGRAM)
        return KYMO_EKIND;
    if (d->gauge_mode == KYMO_GAUGE_SET)
        return 0;
    if (kind != KYMO_GAUGE)
        return KYMO_EKIND;
    return d->gauge_mode == KYMO_GAUGE_UPDOWN ? 0 : KYMO_EINVAL;
}

/* ---- states ---- */

static void full_name(char full[KYMO__MAX_NAME + 1], const struct kymo_registry *reg, const char *name)
{
    (void)snprintf(full, KYMO__MAX_NAME + 1, "%s%s", kymo__prefix_of(reg, name), name);
}

/* A state set writes one label of its own: its name. */
static int own_label_is_taken(const struct kymo_registry *reg, const struct kymo_desc *d)
{
    char full[KYMO__MAX_NAME + 1];
    full_name(full, reg, d->name);
    for (size_t i = 0; i < d->n_labels; i++)
        if (kymo__label_names_same(d->labels[i], full))
            return 1;
    return is_const_label(reg, full);
}

static int state_good(const struct kymo_desc *d, size_t i)
{
    const char *state = d->states[i];
    if (state == NULL || state[0] == '\0' || !kymo__utf8_valid(state, strlen(state)))
        return 0;
    for (size_t j = 0; j < i; j++)
        if (strcmp(state, d->states[j]) == 0)
            return 0;
    return 1;
}

static int states_check(const struct kymo_registry *reg, const struct kymo_desc *d, enum kymo_kind kind)
{
    if (kind != KYMO_STATESET)
        return d->states == NULL && d->n_states == 0 ? 0 : KYMO_EKIND;
    if (d->states == NULL || d->n_states == 0 || d->n_states > MAX_STATES)
        return KYMO_ESTATES;
    for (size_t i = 0; i < d->n_states; i++)
        if (!state_good(d, i))
            return KYMO_ESTATES;
    return own_label_is_taken(reg, d) ? KYMO_ESTATES : 0;
}

/* ---- the guard ---- */

static int guard_good(const struct kymo_guard *g, const struct kymo_desc *d, enum kymo_kind kind)
{
    if (d->n_labels == 0 || g->idle_ns < 0 || g->max_series > MAX_SERIES)
        return 0;
    if (g->after_end != KYMO_REVIVE && g->after_end != KYMO_TO_OVERFLOW)
        return 0;
    if (g->policy == KYMO_GUARD_TOP)
        return kind == KYMO_COUNTER || kind == KYMO_HISTOGRAM;
    return g->policy == KYMO_GUARD_PLAIN || g->policy == KYMO_GUARD_LIMIT;
}

int kymo__guard_check(const struct kymo_desc *d, enum kymo_kind kind, const char **culprit)
{
    if (d->guard != NULL && !guard_good(d->guard, d, kind))
        return KYMO_EGUARD;
    if (d->guard != NULL && d->guard->policy != KYMO_GUARD_PLAIN)
        return 0;
    for (size_t i = 0; i < d->n_labels; i++) {
        if (is_unbounded(d->labels[i])) {
            *culprit = d->labels[i];
            return KYMO_EUNBOUNDED;
        }
    }
    return 0;
}

/* ---- the whole ---- */

/* A state set's name is a label's name too. */
static int name_good_as_label(const struct kymo_registry *reg, const char *name)
{
    char full[KYMO__MAX_NAME + 1];
    full_name(full, reg, name);
    return strchr(full, ':') == NULL && !kymo__label_name_reserved(full);
}

/* A name that a family of this kind may have, prefix included. */
static int name_check(const struct kymo_registry *reg, const char *name, enum kymo_kind kind)
{
    if (!kymo__name_valid(name, reg->utf8_names))
        return KYMO_ENAME;
    const char *prefix = kymo__prefix_of(reg, name);
    size_t n = strlen(name);
    if (n + strlen(prefix) > KYMO__MAX_NAME || (kind == KYMO_INFO && !ends_in(name, n, "info")))
        return KYMO_ENAME;
    return kind == KYMO_STATESET && !name_good_as_label(reg, name) ? KYMO_ENAME : 0;
}

static int aliases_check(const struct kymo_registry *reg, const struct kymo_desc *d, enum kymo_kind kind)
{
    if (d->n_aliases != 0 && d->aliases == NULL)
        return KYMO_EINVAL;
    for (size_t i = 0; i < d->n_aliases; i++) {
        int r = name_check(reg, d->aliases[i].name, kind);
        if (r != 0)
            return r;
    }
    return 0;
}

static int texts_check(const struct kymo_registry *reg, const struct kymo_desc *d, enum kymo_kind kind)
{
    if (kind < KYMO_COUNTER || kind > KYMO_UNKNOWN)
        return KYMO_EINVAL;
    int r = name_check(reg, d->name, kind);
    if (r == 0 && (d->help == NULL || d->help[0] == '\0'))
        r = KYMO_EHELP;
    if (r == 0 && !kymo__utf8_valid(d->help, strlen(d->help)))
        r = KYMO_EUTF8;
    return r;
}

static int desc_check(const struct kymo_registry *reg, const struct kymo_desc *d, enum kymo_kind kind,
                      const char **culprit)
{
    int r = texts_check(reg, d, kind);
    if (r == 0)
        r = labels_check(reg, d, culprit);
    if (r == 0)
        r = kymo__guard_check(d, kind, culprit);
    if (r == 0)
        r = unit_check(d, kind);
    if (r == 0)
        r = bounds_check(d, kind);
    if (r == 0)
        r = native_check(d, kind);
    if (r == 0)
        r = states_check(reg, d, kind);
    if (r == 0)
        r = options_check(d, kind);
    return r == 0 ? aliases_check(reg, d, kind) : r;
}

/* What an error's own sentence has no room for. */
static const char *advice_on(int error, enum kymo_kind kind)
{
    if (error != KYMO_EUNBOUNDED)
        return "";
    return kind == KYMO_COUNTER || kind == KYMO_HISTOGRAM
               ? "; a guard's policy has to be named: KYMO_GUARD_LIMIT or KYMO_GUARD_TOP"
               : "; a guard's policy has to be named: KYMO_GUARD_LIMIT";
}

int kymo__desc_check(const struct kymo_registry *reg, const struct kymo_desc *d, enum kymo_kind kind)
{
    const char *culprit = NULL;
    int r = desc_check(reg, d, kind, &culprit);
    if (r != 0)
        kymo__log(reg, KYMO_LOG_ERROR, "metric %.255s%s%.64s: %s%s", d->name ? d->name : "(no name)",
                  culprit ? ", label " : "", culprit ? culprit : "", kymo_strerror(r), advice_on(r, kind));
    return r;
}

/* ---- clashes ---- */

/* What a kind's lines may be called, in any format, besides the family's own name. */
static const char *const *suffixes_of(enum kymo_kind kind)
{
    static const char *const counter[] = {"_total", "_created", NULL};
    static const char *const histogram[] = {"_bucket", "_count", "_sum", "_created", NULL};
    static const char *const gauge_histogram[] = {"_bucket", "_gcount", "_gsum", "_count", "_sum", NULL};
    static const char *const summary[] = {"_count", "_sum", "_created", NULL};
    static const char *const info[] = {"_info", NULL};
    static const char *const none[] = {NULL};
    static const char *const *const all[] = {
        [KYMO_COUNTER] = counter,     [KYMO_GAUGE] = none,
        [KYMO_HISTOGRAM] = histogram, [KYMO_INFO] = info,
        [KYMO_STATESET] = none,       [KYMO_SUMMARY] = summary,
        [KYMO_UNKNOWN] = none,        [KYMO_GAUGE_HISTOGRAM] = gauge_histogram,
    };
    return all[kind];
}

/* The name of an OpenMetrics family: a counter's loses its _total, an info's its _info. */
static size_t base_len(const char *name, enum kymo_kind kind)
{
    size_t n = strlen(name);
    const char *end = kind == KYMO_COUNTER ? "total" : kind == KYMO_INFO ? "info" : NULL;
    return end != NULL && ends_in(name, n, end) ? n - strlen(end) - 1 : n;
}

/* Whether some line of family a, in any format, would bear the name that the first n bytes of b are. */
static int writes_line(const char *a, enum kymo_kind kind, const char *b, size_t n)
{
    size_t base = base_len(a, kind);
    if (n <= base || strncmp(a, b, base) != 0)
        return 0;
    for (const char *const *suffix = suffixes_of(kind); *suffix != NULL; suffix++)
        if (n - base == strlen(*suffix) && memcmp(b + base, *suffix, n - base) == 0)
            return 1;
    return 0;
}

int kymo__name_covers(const char *name, enum kymo_kind kind, const char *asked)
{
    size_t n = strlen(asked), base = base_len(name, kind);
    return strcmp(name, asked) == 0 || (n == base && memcmp(name, asked, n) == 0) || writes_line(name, kind, asked, n);
}

/* The name itself, and what OpenMetrics calls the family. */
static int writes_name(const char *a, enum kymo_kind a_kind, const char *b, enum kymo_kind b_kind)
{
    return writes_line(a, a_kind, b, strlen(b)) || writes_line(a, a_kind, b, base_len(b, b_kind));
}

static int plain_names_clash(const char *a, enum kymo_kind a_kind, const char *b, enum kymo_kind b_kind)
{
    size_t a_len = base_len(a, a_kind), b_len = base_len(b, b_kind);
    if (a_len == b_len && memcmp(a, b, a_len) == 0)
        return 1;
    return writes_name(a, a_kind, b, b_kind) || writes_name(b, b_kind, a, a_kind);
}

int kymo__names_clash(const char *a, enum kymo_kind a_kind, const char *b, enum kymo_kind b_kind)
{
    char x[KYMO__NAME_ESCAPED_MAX + 1], y[KYMO__NAME_ESCAPED_MAX + 1];
    int clash = plain_names_clash(a, a_kind, b, b_kind);
    if (clash || (is_plain(a, KYMO__METRIC_NAME) && is_plain(b, KYMO__METRIC_NAME)))
        return clash;
    for (int scheme = KYMO__UNDERSCORES; scheme <= KYMO__VALUES && !clash; scheme++) {
        escape(x, a, KYMO__METRIC_NAME, (enum kymo__scheme)scheme);
        escape(y, b, KYMO__METRIC_NAME, (enum kymo__scheme)scheme);
        clash = plain_names_clash(x, a_kind, y, b_kind);
    }
    return clash;
}
