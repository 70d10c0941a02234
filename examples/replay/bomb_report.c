/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bomb_report.c - what came of the bomb, read back from the registry as any program can: by a visitor.
 *
 * The numbers about a family are the library's own metrics, kymo_..., the same that stand on the page and that alerts
 * are made of. The sum is taken over all series that are shown, the overflow series among them.
 */
#include "bomb.h"

#include "say.h"

#include <stdio.h>
#include <string.h>

enum { NAME_CHARS = 64, MAX_LABELS = 3, N_COUNTED = 3 };

/* What the registry says of itself, by family. */
static const char *const counted[N_COUNTED] = {"kymo_series", "kymo_series_limit", "kymo_series_dropped_total"};
enum { SERIES, LIMIT, DROPPED };

/** struct facts - of one family: counted[], estimates of distinct values, the sum of its series, and of __other__ alone */
struct facts {
    double about[N_COUNTED];
    size_t n_labels;
    char labels[MAX_LABELS][NAME_CHARS];
    double distinct[MAX_LABELS];
    double sum;
    double rest;
};

static double value_of(const struct kymo_family *family, const struct kymo_point *point)
{
    if (family->kind == KYMO_COUNTER)
        return (double)point->value.counter.whole + point->value.counter.fraction;
    return point->value.gauge;
}

static int find(const char *const *names, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

/* An overflow series is one whose labels all are `__other__`. */
static void add_value(struct facts *f, const struct kymo_family *family, const struct kymo_point *point)
{
    char value[NAME_CHARS];
    kymo_point_value(family, point, 0, value, sizeof(value));
    f->sum += value_of(family, point);
    if (strcmp(value, "__other__") == 0)
        f->rest += value_of(family, point);
}

static void note_distinct(struct facts *f, const struct kymo_family *family, const struct kymo_point *point)
{
    if (f->n_labels == MAX_LABELS)
        return;
    kymo_point_value(family, point, 1, f->labels[f->n_labels], NAME_CHARS);
    f->distinct[f->n_labels++] = value_of(family, point);
}

/* Labels of kymo_... families: the first says of which family, the second, if there is one, of which label. */
static int note_point(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    struct facts *facts = ctx;
    const int own = find(bomb_names, N_BOMB_TARGETS, family->name);
    if (own >= 0)
        add_value(&facts[own], family, point);
    const int about = find(counted, N_COUNTED, family->name);
    const int distinct = strcmp(family->name, "kymo_label_distinct_values") == 0;
    if (about < 0 && !distinct)
        return 0;
    char name[NAME_CHARS];
    kymo_point_value(family, point, 0, name, sizeof(name));
    const int of = find(bomb_names, N_BOMB_TARGETS, name);
    if (of >= 0 && distinct)
        note_distinct(&facts[of], family, point);
    else if (of >= 0)
        facts[of].about[about] = value_of(family, point);
    return 0;
}

/* ---- in words ---- */

static size_t find_culprit(const struct facts *f)
{
    size_t culprit = 0;
    for (size_t i = 1; i < f->n_labels; i++)
        if (f->distinct[i] > f->distinct[culprit])
            culprit = i;
    return culprit;
}

static void say_distinct(const struct facts *f)
{
    const size_t culprit = find_culprit(f);
    for (size_t i = 0; i < f->n_labels; i++)
        say("bomb:   kymo_label_distinct_values of %s: %.0f%s", f->labels[i], f->distinct[i],
            i == culprit ? "  <- the culprit" : "");
}

static void say_family(const char *name, const struct facts *f, uint64_t sent)
{
    say("bomb: %s", name);
    say("bomb:   kymo_series %.0f, kymo_series_limit %.0f, kymo_series_dropped_total %.0f", f->about[SERIES],
        f->about[LIMIT], f->about[DROPPED]);
    say_distinct(f);
    say("bomb:   sent %llu, on the page %.0f, of it as __other__ %.0f", (unsigned long long)sent, f->sum, f->rest);
}

void bomb_report(const struct bomb *b)
{
    struct facts facts[N_BOMB_TARGETS] = {{{0}, 0, {{0}}, {0}, 0, 0}};
    const struct kymo_visitor visitor = {.size = sizeof(visitor), .ctx = facts, .sample = note_point};
    const int r = kymo_registry_visit(b->registry, &visitor);
    if (r != 0) {
        complain("cannot read the registry: %s", kymo_strerror(r));
        return;
    }
    say("bomb: %lu requests, of which %lu came with a model or tenant that never was before", b->n_requests,
        b->n_invented);
    say("bomb: bytes of the page: %zu before, %zu after a tenth of them, %zu after all", b->before.page_bytes,
        b->early.page_bytes, b->after.page_bytes);
    say("bomb: bytes of the registry: %zu before, %zu after a tenth of them, %zu after all", b->before.memory_bytes,
        b->early.memory_bytes, b->after.memory_bytes);
    for (size_t i = 0; i < N_BOMB_TARGETS; i++)
        say_family(bomb_names[i], &facts[i], b->sent[i]);
}
