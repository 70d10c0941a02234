/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_accept.c - any two headers get one of the answers there are, and the one that the rules say.
 *
 * Input: the Accept header up to a NUL, then Accept-Encoding. The second opinion below is written from the rules alone,
 * the slow way: all entries are copied and sorted, then gone through from the first. Nothing else in it is like
 * src/encode/negotiate.c, which keeps nothing and sorts nothing.
 */
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kymo/kymo.h>

#define FUZZ_NAME "fuzz_accept"
#include "must.h"

#define MAX_PARAMS 16u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- a list of entries, each with its name, its parameters, its weight as ten digits ---- */

struct entry {
    char *name;
    char *params[MAX_PARAMS][2]; /* in lower case, and as it stands there */
    size_t n_params;
    char weight[11];
};

static char *trimmed(const char *from, const char *to)
{
    while (from < to && strchr(" \t", *from) != NULL)
        from++;
    while (from < to && strchr(" \t", to[-1]) != NULL)
        to--;
    char *copy = calloc(1, (size_t)(to - from) + 1);
    must(copy != NULL, "there is memory");
    memcpy(copy, from, (size_t)(to - from));
    return copy;
}

static char *lowered(char *s)
{
    for (char *c = s; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    return s;
}

static const char *find_or_end(const char *from, const char *to, char sign)
{
    while (from < to && *from != sign)
        from++;
    return from;
}

/* 1000000000 for one, 0500000000 for a half; what is no weight is one. */
static void read_weight(char weight[11], const char *text)
{
    size_t whole = strspn(text, "0123456789");
    const char *fraction = text[whole] == '.' ? text + whole + 1 : text + whole;
    size_t part = strspn(fraction, "0123456789");
    (void)strcpy(weight, "1000000000");
    if (fraction[part] != '\0' || whole + part == 0 || strspn(text, "0") < whole || (part > 0 && text[whole] != '.'))
        return;
    (void)strcpy(weight, "0000000000");
    memcpy(weight + 1, fraction, part < 9 ? part : 9);
    if (strspn(weight, "0") == 10 && strspn(fraction, "0") < part)
        weight[9] = '1';
}

static void read_entry(struct entry *e, const char *from, const char *to)
{
    const char *end = find_or_end(from, to, ';');
    memset(e, 0, sizeof(*e));
    e->name = lowered(trimmed(from, end));
    (void)strcpy(e->weight, "1000000000");
    while (end < to && e->n_params < MAX_PARAMS) {
        const char *next = find_or_end(end + 1, to, ';'), *equals = find_or_end(end + 1, next, '=');
        char **param = e->params[e->n_params++];
        param[0] = lowered(trimmed(end + 1, equals));
        param[1] = trimmed(equals < next ? equals + 1 : next, next);
        if (strcmp(param[0], "q") == 0)
            read_weight(e->weight, param[1]);
        end = next;
    }
}

struct list {
    struct entry *entries;
    size_t n;
};

/* Or 0 if an entry has more parameters than this opinion cares for. */
static int read_list(struct list *list, const char *header)
{
    const char *to = header + strlen(header), *at = header;
    int whole = 1;
    *list = (struct list){calloc(strlen(header) + 1, sizeof(struct entry)), 0};
    must(list->entries != NULL, "there is memory");
    for (;;) {
        const char *end = find_or_end(at, to, ',');
        read_entry(&list->entries[list->n], at, end);
        whole = list->entries[list->n++].n_params < MAX_PARAMS && whole;
        if (end == to)
            return whole;
        at = end + 1;
    }
}

static void free_list(struct list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        free(list->entries[i].name);
        for (size_t k = 0; k < list->entries[i].n_params; k++) {
            free(list->entries[i].params[k][0]);
            free(list->entries[i].params[k][1]);
        }
    }
    free(list->entries);
}

static const char *param_of(const struct entry *e, const char *name)
{
    for (size_t i = e->n_params; i-- > 0;)
        if (strcmp(e->params[i][0], name) == 0)
            return e->params[i][1];
    return "";
}

/* Stable: an entry goes down only past heavier ones that are no wildcard, or wildcards alike. */
static int goes_before(const struct entry *a, const struct entry *b)
{
    int a_wild = strchr(a->name, '*') != NULL, b_wild = strchr(b->name, '*') != NULL;
    return a_wild != b_wild ? b_wild : strcmp(a->weight, b->weight) > 0;
}

static void sort(struct list *list)
{
    for (size_t i = 1; i < list->n; i++)
        for (size_t k = i; k > 0 && goes_before(&list->entries[k], &list->entries[k - 1]); k--) {
            struct entry swap = list->entries[k];
            list->entries[k] = list->entries[k - 1];
            list->entries[k - 1] = swap;
        }
}

/* ---- the second opinion ---- */

static const char *const schemes[] = {"underscores", "dots", "values", "allow-utf-8"}; /* by enum kymo_escaping */

struct opinion {
    const char *encoder, *content_type;
    int scheme; /* or -1 */
    int gzip;
};

#define TEXT "text/plain; version=0.0.4; charset=utf-8"
#define OPENMETRICS "application/openmetrics-text; version="
#define PROTOBUF "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

static int decide(const struct entry *e, struct opinion *o)
{
    const char *version = param_of(e, "version");
    if (strcmp(e->name, "application/openmetrics-text") == 0 && kymo_encoder_find("openmetrics") != NULL) {
        o->encoder = "openmetrics";
        if (strcmp(version, "1.0.0") == 0)
            o->content_type = OPENMETRICS "1.0.0; charset=utf-8";
        else if (strcmp(version, "") == 0 || strcmp(version, "0.0.1") == 0)
            o->content_type = OPENMETRICS "0.0.1; charset=utf-8";
        else
            o->encoder = NULL;
    }
    if (strcmp(e->name, "application/vnd.google.protobuf") == 0 && kymo_encoder_find("protobuf") != NULL &&
        strcmp(param_of(e, "proto"), "io.prometheus.client.MetricFamily") == 0 &&
        strcmp(param_of(e, "encoding"), "delimited") == 0) {
        o->encoder = "protobuf";
        o->content_type = PROTOBUF;
    }
    if ((strcmp(e->name, "text/plain") == 0 && (strcmp(version, "") == 0 || strcmp(version, "0.0.4") == 0)) ||
        strcmp(e->name, "*/*") == 0 || strcmp(e->name, "text/*") == 0 || strcmp(e->name, "*") == 0)
        o->encoder = "text";
    return o->encoder != NULL;
}

static int scheme_of(const struct entry *e)
{
    for (int i = 0; i < 4; i++)
        if (strcmp(param_of(e, "escaping"), schemes[i]) == 0)
            return i;
    return -1;
}

static void judge(struct list *list, struct opinion *o)
{
    sort(list);
    *o = (struct opinion){NULL, TEXT, -1, 0};
    for (size_t i = 0; i < list->n; i++) {
        const struct entry *e = &list->entries[i];
        int is_range = strchr(e->name, '/') != NULL || strcmp(e->name, "*") == 0;
        if (!is_range || strcmp(e->weight, "0000000000") == 0)
            continue;
        int said = scheme_of(e), done = decide(e, o);
        if (said >= 0 || (done && strstr(o->content_type, "1.0.0") != NULL))
            o->scheme = said;
        if (done)
            return;
    }
    o->encoder = "text";
}

/* The heaviest entry of this name, or of * if there is none, or NULL. */
static const char *preference(const struct list *list, const char *name)
{
    const char *best = NULL;
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->entries[i].name, name) == 0 && (best == NULL || strcmp(list->entries[i].weight, best) > 0))
            best = list->entries[i].weight;
    return best != NULL || strcmp(name, "*") == 0 ? best : preference(list, "*");
}

static int judge_gzip(const struct list *list)
{
    const char *gzip = preference(list, "gzip"), *identity = preference(list, "identity");
    if (gzip == NULL || strcmp(gzip, "0000000000") == 0)
        return 0;
    return identity == NULL || strcmp(gzip, identity) > 0;
}

/* ---- the property ---- */

static void must_agree(const struct kymo_format *f, const struct opinion *o)
{
    char content_type[sizeof(f->content_type)];
    (void)snprintf(content_type, sizeof(content_type), "%s%s%s", o->content_type, o->scheme >= 0 ? "; escaping=" : "",
                   o->scheme >= 0 ? schemes[o->scheme] : "");
    must(f->encoder == kymo_encoder_find(o->encoder), "both choose one encoder");
    must((int)f->escaping == (o->scheme >= 0 ? o->scheme : 0), "both choose one scheme");
    must(strcmp(f->content_type, content_type) == 0, "both say one content type");
    must(f->gzip == o->gzip, "both agree on compression");
}

static void must_be_an_answer(const struct kymo_format *f)
{
    static const char *const known[] = {TEXT, OPENMETRICS "0.0.1; charset=utf-8", OPENMETRICS "1.0.0; charset=utf-8",
                                        PROTOBUF};
    size_t found = 0;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        const char *rest = f->content_type + strlen(known[i]);
        if (strncmp(f->content_type, known[i], strlen(known[i])) == 0)
            found += *rest == '\0' || (strncmp(rest, "; escaping=", 11) == 0 &&
                                       strcmp(rest + 11, schemes[(size_t)f->escaping % 4]) == 0);
    }
    must(found == 1 && f->encoder != NULL, "the answer is one of those there are");
    must(f->size == sizeof(*f) && f->n_names == 0 && f->created == 0, "and nothing else was asked");
    must(f->gzip == 0 || f->gzip == 1, "compression is a yes or a no");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kymo_format f;
    struct list accept, encoding;
    struct opinion o;
    char *bytes = calloc(1, size + 2);
    must(bytes != NULL, "there is memory");
    if (size != 0)
        memcpy(bytes, data, size);
    const char *second = bytes + strlen(bytes) + 1;
    memset(&f, 0xff, sizeof(f));
    kymo_negotiate(bytes, second, &f);
    must_be_an_answer(&f);
    int whole = read_list(&accept, bytes);
    whole = read_list(&encoding, second) && whole;
    judge(&accept, &o);
    o.gzip = judge_gzip(&encoding);
    if (whole)
        must_agree(&f, &o);
    free_list(&accept);
    free_list(&encoding);
    free(bytes);
    return 0;
}
