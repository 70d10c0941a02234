/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_top.c - families of the heaviest: each way from one state of a label set to another, and that no increment is
 * lost on any of them.
 *
 * How: time stands still but for what a test lets go by, and a visit is the only thing that shows anything. What a
 * series is at the moment is read from its loc (core/top.h); what a server would have is the sum of what each series
 * grew by between two visits, where a series that was absent has to begin at 0 (the overflow series need not).
 */
#include "guarded.h"

#include <sys/wait.h>

#include "core/guard.h"
#include "core/table.h"
#include "core/top.h"

#define HOUR (3600 * SECOND)

static const struct kymo_guard top1 = {.policy = KYMO_GUARD_TOP, .max_series = 1, .linger_ms = 60000};
static const struct kymo_guard top3 = {.policy = KYMO_GUARD_TOP, .max_series = 3, .linger_ms = 60000};
static const char *const one[] = {"one"};
static const char *const two[] = {"two"};
#define OTHER_ONLY ((const char *const[]){OTHER})

/* ---- what a label set is ---- */

enum is { NOBODY, RESTING, STANDS_BY, MEMBER, ELSE };

static struct kymo__family *family_of(const struct any *any)
{
    void *f = any->c != NULL ? (void *)any->c : (void *)any->h;
    return f;
}

static struct kymo__series *record_of(const struct any *any, const char *const *values)
{
    struct kymo__family *f = family_of(any);
    struct kymo__key key;
    REQUIRE(kymo__key_read(f, values, &key));
    return kymo__table_find(f, values, &key);
}

static enum is is_now(const struct any *any, const char *const *values)
{
    const struct kymo__series *series = record_of(any, values);
    if (series == NULL)
        return NOBODY;
    if (series->loc == KYMO__RESTING)
        return RESTING;
    return kymo__loc_stands_by(series->loc) ? STANDS_BY : kymo__loc_lives(series->loc) ? MEMBER : ELSE;
}

/* What is shown of a label set now: its amount, or -1. */
static double visited(struct lab *lab, const struct any *any, const char *values)
{
    struct snapshot snap = snapshot_of(lab->reg);
    const struct seen *s = snapshot_find(&snap, any->name, values);
    double v = s != NULL ? s->amount : -1;
    snapshot_free(&snap);
    return v;
}

static void sweep(struct lab *lab)
{
    CHECK_INT(kymo_registry_sweep(lab->reg, 0), 0);
}

/* Records so much by labels that the label set is a member after two visits. */
static void make_member(struct lab *lab, const struct any *any, const char *const *values, unsigned n)
{
    any_record_labels(any, values, n);
    CHECK_DOUBLE(visited(lab, any, values[0]), 0);
    CHECK(is_now(any, values) == MEMBER);
}

/* ---- the ways ---- */

static void who_is_heavy_is_shown_at_0_and_recorded_into_from_then_on(void)
{
    for (enum any_kind kind = 0; kind < N_ANY; kind++) {
        struct lab lab;
        if (any_is_gauge(kind))
            continue;
        lab_new(&lab, NULL);
        struct any any = any_new(lab.reg, kind, 1, &top3);
        any_record_labels(&any, one, 5);
        CHECK(is_now(&any, one) == NOBODY);
        EXPECT(visited(&lab, &any, "one") == 0, "%s: not shown at 0", any.name);
        CHECK(is_now(&any, one) == MEMBER);
        any_record_labels(&any, one, 2);
        EXPECT(visited(&lab, &any, "one") == any_amount(kind, 2), "%s: not what was recorded since", any.name);
        EXPECT(visited(&lab, &any, OTHER) == any_amount(kind, 5), "%s: not what was recorded before", any.name);
        lab_end(&lab);
    }
}

static void while_it_is_promised_recordings_go_to_the_overflow_series(void)
{
    struct lab lab;
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_WHOLE, 1, &top3);
    void *h = any_with(&any, two);
    any_record_labels(&any, one, 5);
    any_record(&any, h, 4);
    sweep(&lab);
    sweep(&lab); /* nobody was shown anything */
    CHECK(is_now(&any, one) == STANDS_BY && is_now(&any, two) == STANDS_BY);
    any_record_labels(&any, one, 1);
    any_record(&any, h, 1);
    CHECK_DOUBLE(any_value(&any, h), 0);
    CHECK_DOUBLE(visited(&lab, &any, "two"), 0);
    CHECK_DOUBLE(visited(&lab, &any, OTHER), 11);
    CHECK(is_now(&any, one) == MEMBER && is_now(&any, two) == MEMBER);
    lab_end(&lab);
}

static int stop_at_other(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    return strcmp(family->name, ctx) == 0 && point->id != 0 ? 7 : 0;
}

static void a_visit_that_stops_has_shown_nothing(void)
{
    struct lab lab;
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_WHOLE, 1, &top3);
    struct any later = any_new(lab.reg, ANY_FRACTION, 1, NULL);
    const struct kymo_visitor stops = {sizeof(stops), (void *)(uintptr_t)later.name, NULL, stop_at_other, NULL};
    any_record_labels(&any, one, 5);
    any_record_labels(&later, one, 1);
    for (int i = 0; i < 3; i++)
        CHECK_INT(kymo_registry_visit(lab.reg, &stops), 7);
    CHECK(is_now(&any, one) == STANDS_BY);
    CHECK_DOUBLE(visited(&lab, &any, "one"), 0);
    CHECK(is_now(&any, one) == MEMBER);
    lab_end(&lab);
}

/* Two walks at once: the one that is complete has shown it, the other one, which saw it first, has not. */
static void of_two_walks_the_complete_one_counts(void)
{
    struct lab lab;
    struct kymo__walk first;
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_WHOLE, 1, &top3);
    struct any later = any_new(lab.reg, ANY_FRACTION, 1, NULL);
    const struct kymo_visitor stops = {sizeof(stops), (void *)(uintptr_t)later.name, NULL, stop_at_other, NULL};
    any_record_labels(&any, one, 5);
    any_record_labels(&later, one, 1);
    kymo__walk_begin(lab.reg, &first);
    CHECK_INT(kymo__walk_step(lab.reg, &first, &stops), 7);
    CHECK(is_now(&any, one) == STANDS_BY);
    CHECK_DOUBLE(visited(&lab, &any, "one"), 0);
    CHECK(is_now(&any, one) == MEMBER);
    any_record_labels(&any, one, 3);
    kymo__walk_end(lab.reg, &first);
    CHECK_DOUBLE(visited(&lab, &any, "one"), 3);
    lab_end(&lab);
}

/* A walk that is past the family when somebody is promised is complete, and has not shown it. */
static void a_walk_has_shown_what_it_came_by(void)
{
    struct lab lab;
    struct kymo__walk walk;
    struct snapshot rest = {NULL, 0, 0};
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_WHOLE, 1, &top3);
    struct any later = any_new(lab.reg, ANY_FRACTION, 1, NULL);
    const struct kymo_visitor stops = {sizeof(stops), (void *)(uintptr_t)later.name, NULL, stop_at_other, NULL};
    const struct kymo_visitor goes_on = {sizeof(goes_on), &rest, NULL, snapshot_add, NULL};
    any_record_labels(&later, one, 1);
    kymo__walk_begin(lab.reg, &walk);
    CHECK_INT(kymo__walk_step(lab.reg, &walk, &stops), 7);
    any_record_labels(&any, one, 5);
    sweep(&lab);
    CHECK_INT(kymo__walk_step(lab.reg, &walk, &goes_on), 0);
    CHECK(snapshot_find(&rest, any.name, "one") == NULL);
    kymo__walk_end(lab.reg, &walk);
    CHECK(is_now(&any, one) == STANDS_BY);
    CHECK_DOUBLE(visited(&lab, &any, "one"), 0);
    CHECK(is_now(&any, one) == MEMBER);
    snapshot_free(&rest);
    lab_end(&lab);
}

static void who_is_a_tenth_heavier_takes_the_place_of_the_lightest(void)
{
    struct lab lab;
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_WHOLE, 1, &top1);
    make_member(&lab, &any, one, 100);
    any_record_labels(&any, two, 105);
    CHECK_DOUBLE(visited(&lab, &any, "two"), -1);
    any_record_labels(&any, one, 10); /* 110 */
    any_record_labels(&any, two, 13); /* 118 */
    CHECK_DOUBLE(visited(&lab, &any, "two"), -1);
    CHECK(is_now(&any, one) == MEMBER);
    any_record_labels(&any, two, 7); /* 125 */
    CHECK_DOUBLE(visited(&lab, &any, "two"), 0);
    CHECK(is_now(&any, one) == STANDS_BY && is_now(&any, two) == MEMBER);
    any_record_labels(&any, one, 3);
    struct snapshot snap = snapshot_of(lab.reg);
    CHECK_DOUBLE(snapshot_amount(&snap, any.name, "one"), 10);
    CHECK_DOUBLE(snapshot_total(&snap, any.name), 238);
    snapshot_free(&snap);
    lab_end(&lab);
}

/* Frozen as it is, told with that value when it has lingered; a handle goes on, to the overflow series and back. */
static void who_is_demoted_lingers_and_its_handle_goes_on(void)
{
    struct lab lab;
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_WHOLE, 1, &top1);
    void *h = any_with(&any, one);
    CHECK(is_now(&any, one) == RESTING);
    any_record(&any, h, 10);
    CHECK_DOUBLE(visited(&lab, &any, "one"), 0);
    any_record(&any, h, 7);
    any_record_labels(&any, two, 1000);
    CHECK_DOUBLE(visited(&lab, &any, "two"), 0);
    for (int i = 0; i < 6; i++, lab_tick(&lab, 10 * SECOND - 1)) {
        any_record(&any, h, 1);
        CHECK_DOUBLE(visited(&lab, &any, "one"), 7);
        CHECK_DOUBLE(any_value(&any, h), 7);
        CHECK_U64(lab.ended.n, 0);
    }
    lab_tick(&lab, 6);
    CHECK_DOUBLE(visited(&lab, &any, "one"), -1);
    CHECK_U64(lab.ended.n, 1);
    CHECK_DOUBLE(snapshot_amount(&lab.ended, any.name, "one"), 7);
    CHECK(is_now(&any, one) == RESTING && any_with(&any, one) == h);
    any_record(&any, h, 5000);
    CHECK_DOUBLE(visited(&lab, &any, "one"), 0);
    CHECK(is_now(&any, one) == MEMBER && any_with(&any, one) == h);
    any_record(&any, h, 2);
    CHECK_DOUBLE(any_value(&any, h), 2);
    struct snapshot snap = snapshot_of(lab.reg);
    const struct seen *s = snapshot_find(&snap, any.name, "one");
    CHECK(s != NULL && s->amount == 2 && s->generation != lab.ended.all[0].generation);
    CHECK_DOUBLE(snapshot_total(&snap, any.name) + snapshot_total(&lab.ended, any.name), 6025);
    snapshot_free(&snap);
    for (int i = 0; i < 3; i++)
        any_release(&any, h);
    lab_tick(&lab, 61 * SECOND);
    sweep(&lab);
    lab_end(&lab);
}

static void without_handles_nothing_is_left_of_who_has_ended(void)
{
    struct lab lab;
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_CLASSIC, 1, &top1);
    make_member(&lab, &any, one, 10);
    any_record_labels(&any, two, 1000);
    sweep(&lab);
    lab_tick(&lab, 60 * SECOND);
    sweep(&lab);
    CHECK(is_now(&any, one) == NOBODY);
    CHECK_U64(stats_of(lab.reg).n_asleep, 0);
    CHECK_U64(lab.ended.n, 1);
    lab_end(&lab);
}

static void who_is_frozen_and_heavy_again_goes_on_where_it_was(void)
{
    struct lab lab;
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_BOTH, 1, &top1);
    void *h = any_with(&any, one);
    make_member(&lab, &any, one, 10);
    any_record(&any, h, 4);
    struct snapshot was = snapshot_of(lab.reg);
    any_record_labels(&any, two, 1000);
    CHECK_DOUBLE(visited(&lab, &any, "two"), 0);
    any_record_labels(&any, one, 3000);
    sweep(&lab); /* at once: it has been on the page all the time */
    CHECK(is_now(&any, one) == MEMBER && is_now(&any, two) == STANDS_BY);
    any_record_labels(&any, two, 2400); /* 3400 with what it weighed before: 3014 is not enough */
    sweep(&lab);
    CHECK(is_now(&any, one) == STANDS_BY && is_now(&any, two) == MEMBER);
    any_record_labels(&any, one, 1000);
    sweep(&lab);
    CHECK(is_now(&any, one) == MEMBER && is_now(&any, two) == STANDS_BY);
    any_record(&any, h, 2);
    CHECK_DOUBLE(any_value(&any, h), 6);
    struct snapshot is = snapshot_of(lab.reg);
    const struct seen *a = snapshot_find(&was, any.name, "one"), *b = snapshot_find(&is, any.name, "one");
    CHECK(a != NULL && b != NULL && a->id == b->id && a->generation == b->generation && a->start_ns == b->start_ns);
    CHECK(b != NULL && b->amount == 6);
    CHECK_DOUBLE(snapshot_total(&is, any.name), 7416);
    snapshot_free(&was);
    snapshot_free(&is);
    lab_end(&lab);
}

static void weights_age(void)
{
    struct lab lab;
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_WHOLE, 1, &top1);
    make_member(&lab, &any, one, 1000);
    any_record_labels(&any, two, 300);
    CHECK_DOUBLE(visited(&lab, &any, "two"), -1);
    lab_tick(&lab, HOUR); /* 500 */
    any_record_labels(&any, two, 300);
    CHECK_DOUBLE(visited(&lab, &any, "two"), -1); /* 300: what was recorded since the last visit is halved, too */
    lab_tick(&lab, HOUR);
    any_record_labels(&any, two, 300);
    CHECK_DOUBLE(visited(&lab, &any, "two"), 0); /* 250, 300 */
    CHECK(is_now(&any, one) == STANDS_BY);
    lab_tick(&lab, 100 * HOUR); /* all is forgotten */
    any_record_labels(&any, one, 1);
    CHECK_DOUBLE(visited(&lab, &any, "one"), -1); /* it has lingered */
    any_record_labels(&any, one, 2);
    CHECK_DOUBLE(visited(&lab, &any, "one"), 0);
    lab_end(&lab);
}

static void a_clock_that_goes_back_makes_them_linger_anew(void)
{
    struct lab lab;
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_WHOLE, 1, &top1);
    make_member(&lab, &any, one, 10);
    any_record_labels(&any, two, 1000);
    CHECK_DOUBLE(visited(&lab, &any, "two"), 0);
    lab_tick(&lab, -500 * SECOND);
    CHECK_DOUBLE(visited(&lab, &any, "one"), 0);
    lab_tick(&lab, 60 * SECOND - 1);
    CHECK_DOUBLE(visited(&lab, &any, "one"), 0);
    lab_tick(&lab, 1);
    CHECK_DOUBLE(visited(&lab, &any, "one"), -1);
    lab_end(&lab);
}

static void who_is_idle_is_frozen_and_comes_back_when_it_is_recorded(void)
{
    struct lab lab;
    struct kymo_guard g = top3;
    g.idle_ns = 100 * SECOND;
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_WHOLE, 1, &g);
    make_member(&lab, &any, one, 1000);
    any_record_labels(&any, one, 5);
    for (int i = 0; i < 12; i++, lab_tick(&lab, 10 * SECOND))
        CHECK_DOUBLE(visited(&lab, &any, "one"), 5);
    CHECK(is_now(&any, one) == STANDS_BY);
    any_record_labels(&any, one, 1);
    CHECK_DOUBLE(visited(&lab, &any, "one"), 5);
    CHECK_DOUBLE(visited(&lab, &any, "one"), 5);
    CHECK(is_now(&any, one) == MEMBER); /* it has not been idle for long */
    any_record_labels(&any, one, 1);
    CHECK_DOUBLE(visited(&lab, &any, "one"), 6);
    for (int i = 0; i < 18; i++, lab_tick(&lab, 10 * SECOND))
        sweep(&lab);
    CHECK(is_now(&any, one) == NOBODY);
    CHECK_DOUBLE(snapshot_amount(&lab.ended, any.name, "one"), 6);
    CHECK_U64(lab.ended.n, 1);
    lab_end(&lab);
}

static unsigned members_of(const struct any *any, unsigned n)
{
    unsigned members = 0;
    char v[32];
    for (unsigned i = 0; i < n; i++)
        members += is_now(any, (const char *const[]){numbered(v, "s", i)}) == MEMBER;
    return members;
}

static void record_numbered(const struct any *any, uint64_t i, unsigned n)
{
    char v[32];
    any_record_labels(any, (const char *const[]){numbered(v, "s", i)}, n);
}

static void a_limit_can_be_changed(void)
{
    struct lab lab;
    char v[32];
    struct kymo_guard g = top3;
    g.max_series = 6;
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_WHOLE, 1, &g);
    for (unsigned i = 0; i < 10; i++)
        record_numbered(&any, i, 10 * (i + 1));
    (void)visited(&lab, &any, OTHER);
    CHECK_U64(members_of(&any, 10), 6);
    g.max_series = 2;
    CHECK_INT(kymo_registry_set_guard(lab.reg, any.name, &g), 0);
    (void)visited(&lab, &any, OTHER);
    CHECK_U64(members_of(&any, 10), 2);
    CHECK(is_now(&any, (const char *const[]){numbered(v, "s", 9)}) == MEMBER);
    CHECK(is_now(&any, (const char *const[]){numbered(v, "s", 8)}) == MEMBER);
    record_numbered(&any, 0, 10000); /* there are four frozen ones: it has to wait */
    CHECK_DOUBLE(visited(&lab, &any, "s0"), -1);
    lab_tick(&lab, 60 * SECOND);
    CHECK_U64(lab.ended.n, 0);
    record_numbered(&any, 0, 1);
    CHECK_DOUBLE(visited(&lab, &any, "s0"), 0);
    CHECK_U64(lab.ended.n, 4);
    g.max_series = 5;
    CHECK_INT(kymo_registry_set_guard(lab.reg, any.name, &g), 0);
    for (unsigned turn = 0; turn < 2; turn++) { /* that there is room is known after the first */
        for (unsigned i = 0; i < 10; i++)
            record_numbered(&any, i, 10);
        (void)visited(&lab, &any, OTHER);
    }
    CHECK_U64(members_of(&any, 10), 5);
    struct snapshot snap = snapshot_of(lab.reg);
    CHECK_DOUBLE(snapshot_total(&snap, any.name) + snapshot_total(&lab.ended, any.name), 550 + 10001 + 200);
    snapshot_free(&snap);
    lab_end(&lab);
}

/* The registry's budget holds here, too; who is frozen needs nothing of it to come back. */
static void past_the_budget_nobody_is_promised(void)
{
    struct lab lab;
    struct kymo_registry_options o = {.size = sizeof(o), .max_series = 2};
    lab_new(&lab, &o);
    struct any any = any_new(lab.reg, ANY_WHOLE, 1, &top3);
    for (unsigned i = 0; i < 10; i++)
        record_numbered(&any, i, 10 * (i + 1));
    (void)visited(&lab, &any, OTHER);
    (void)visited(&lab, &any, OTHER);
    CHECK_U64(members_of(&any, 10), 2);
    lab_end(&lab);
}

/* ---- labels ---- */

static void values_stand_as_they_may(void)
{
    struct lab lab;
    const char *const known[] = {"m1", "m2"}, *const asked[] = {"unknown", "a"}, *const stands[] = {OTHER, "a"};
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_WHOLE, 2, &top3);
    CHECK_INT(kymo_registry_allow(lab.reg, any.name, "a", known, 2), 0);
    any_record_labels(&any, (const char *const[]){"unknown", OTHER}, 7); /* nobody but the overflow series */
    const struct kymo__family *f = family_of(&any);
    const struct kymo__series *overflow = kymo__at(f->reg->segment, f->record->overflow);
    CHECK_U64(kymo__top_sketch_get(kymo__top_sketch_of(kymo__top_of(f)), overflow->hash), 0);
    void *h = any_with(&any, asked);
    any_record_labels(&any, asked, 5);
    any_record(&any, h, 5);
    CHECK_DOUBLE(visited(&lab, &any, OTHER "|a"), 0);
    CHECK(is_now(&any, stands) == MEMBER && is_now(&any, asked) == NOBODY);
    any_record_labels(&any, asked, 3);
    any_record(&any, h, 4);
    CHECK_DOUBLE(visited(&lab, &any, OTHER "|a"), 7);
    any_record_labels(&any, (const char *const[]){"unknown", "b"}, 5);
    CHECK_DOUBLE(visited(&lab, &any, OTHER "|b"), 0);
    any_record_labels(&any, (const char *const[]){"unheard of", "b"}, 5);
    CHECK_DOUBLE(visited(&lab, &any, OTHER "|b"), 5);
    any_record_labels(&any, (const char *const[]){"unknown", OTHER}, 1000);
    CHECK_DOUBLE(visited(&lab, &any, OTHER "|" OTHER), 1022);
    lab_end(&lab);
}

static void who_may_not_stand_any_more_is_not_promised(void)
{
    struct lab lab;
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_WHOLE, 1, &top3);
    void *h = any_with(&any, one), *m = any_with(&any, two);
    make_member(&lab, &any, two, 10);
    CHECK_INT(kymo_registry_allow(lab.reg, any.name, "a", KYMO_VALUES("three")), 0);
    any_record(&any, h, 5);
    any_record(&any, m, 5);
    any_record_labels(&any, one, 5);
    CHECK_DOUBLE(visited(&lab, &any, OTHER), 25);
    CHECK_DOUBLE(visited(&lab, &any, "one"), -1);
    CHECK_DOUBLE(visited(&lab, &any, "two"), -1);
    lab_end(&lab);
}

/* A label set too long to be offered by its values has to be asked for by `with`: then its record is offered. */
static void long_labels_with_a_handle_may_be_heavy(void)
{
    struct lab lab;
    char text[2000];
    struct kymo_guard g = top3;
    g.max_value_bytes = sizeof(text);
    lab_new(&lab, NULL);
    memset(text, '"', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    struct any any = any_new(lab.reg, ANY_WHOLE, 1, &g);
    any_record_labels(&any, (const char *const[]){text}, 5);
    CHECK_DOUBLE(visited(&lab, &any, OTHER), 5);
    void *h = any_with(&any, (const char *const[]){text});
    any_record(&any, h, 5);
    (void)visited(&lab, &any, OTHER);
    CHECK(is_now(&any, (const char *const[]){text}) == MEMBER);
    any_record_labels(&any, (const char *const[]){text}, 3);
    any_record(&any, h, 1);
    CHECK_DOUBLE(any_value(&any, h), 4);
    lab_end(&lab);
}

/* Amounts far beyond what a weight can hold, or below its unit: the heaviest are found all the same. */
static void amounts_of_any_size_are_weighed(void)
{
    struct lab lab;
    char v[32];
    static const double sizes[] = {1e13, 3e18, 1e-9, 1, 1e-7};
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_FRACTION, 1, &top1);
    for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++, lab_tick(&lab, 100 * HOUR)) {
        for (unsigned turn = 0; turn < 40; turn++, lab_tick(&lab, HOUR / 2)) {
            for (unsigned i = 0; i < 5; i++)
                kymo_counter_family_add(any.c, sizes[k] * (double)(1 + (i + k) % 5),
                                        (const char *const[]){numbered(v, "s", i)}, 1);
            (void)visited(&lab, &any, OTHER);
        }
        unsigned heaviest = (unsigned)(4 - k % 5);
        EXPECT(is_now(&any, (const char *const[]){numbered(v, "s", heaviest)}) == MEMBER,
               "of amounts of %g the heaviest is no member", sizes[k]);
    }
    lab_end(&lab);
}

/* ---- nothing is lost ---- */

struct account {
    struct lab lab;
    struct any any;
    struct snapshot last;
    double recorded;   /* since the last visit */
    uint32_t max_page; /* series of their own */
    uint64_t random;
};

static const struct seen *same_series(const struct snapshot *snap, const struct seen *s)
{
    for (size_t i = 0; i < snap->n; i++)
        if (snap->all[i].id == s->id && snap->all[i].generation == s->generation &&
            strcmp(snap->all[i].family, s->family) == 0)
            return &snap->all[i];
    return NULL;
}

static void account_visit(struct account *a)
{
    struct snapshot now = snapshot_of(a->lab.reg);
    double grown = 0;
    uint32_t own = 0;
    for (size_t i = 0; i < now.n; i++) {
        const struct seen *s = &now.all[i], *was = same_series(&a->last, s);
        if (strcmp(s->family, a->any.name) != 0)
            continue;
        int other = strcmp(s->values, OTHER) == 0;
        EXPECT(was != NULL || other || s->amount == 0, "%s{%s} begins at %g", s->family, s->values, s->amount);
        EXPECT(was == NULL || s->amount >= was->amount, "%s{%s} goes back", s->family, s->values);
        grown += s->amount - (was != NULL ? was->amount : 0);
        own += !other;
    }
    EXPECT(grown == a->recorded, "%s: grown by %g, recorded %g", a->any.name, grown, a->recorded);
    EXPECT(own <= a->max_page, "%s: %u series on the page, at most %u", a->any.name, own, a->max_page);
    snapshot_free(&a->last);
    a->last = now;
    a->recorded = 0;
}

/* Which series stand by, and what they hold. */
static size_t frozen_now(const struct kymo__family *f, const struct kymo__series **to, double *at)
{
    uint64_t buckets[KYMO__MAX_BOUNDS + 1];
    size_t n = 0;
    for (uint32_t ref = f->record->first_series; ref != 0;) {
        const struct kymo__series *series = kymo__at(f->reg->segment, ref);
        ref = series->next;
        if (!kymo__loc_stands_by(series->loc))
            continue;
        struct kymo_point point = kymo__point_of(f, series);
        kymo__read_one(f, series->loc & KYMO__SLOT_MASK, buckets, &point);
        to[n] = series;
        at[n++] = seen_amount(f->info.kind, &point);
    }
    return n;
}

/* An eighth of the draws are below 8, another eighth below 64, and so on: near enough to Zipf's law. */
static uint64_t draw(uint64_t *random, uint64_t shift)
{
    uint64_t r = random_next(random), span = UINT64_C(8) << 3 * (r >> 8 & 3);
    return (r >> 16) % span + shift;
}

enum { KEYS = 8 << 9, HANDLES = 40, TOP_K = 8 };

static void account_record(struct account *a, void *const *handles, uint64_t shift)
{
    char v[32];
    uint64_t key = draw(&a->random, shift);
    unsigned n = 1 + (unsigned)(a->random >> 60);
    if (key < HANDLES && a->random >> 59 & 1)
        any_record(&a->any, handles[key], n);
    else
        any_record_labels(&a->any, (const char *const[]){numbered(v, "s", key)}, n);
    a->recorded += any_amount(a->any.kind, n);
}

static void each_increment_is_seen(enum any_kind kind)
{
    struct account a = {.max_page = 2 * TOP_K, .random = 88172645463325252u + (unsigned)kind};
    struct kymo_guard g = {.policy = KYMO_GUARD_TOP, .max_series = TOP_K, .linger_ms = 30000};
    const struct kymo__series *frozen[2 * TOP_K + 1];
    double at[2 * TOP_K + 1];
    void *handles[HANDLES];
    char v[32];
    size_t ever_frozen = 0;
    lab_new(&a.lab, NULL);
    a.any = any_new(a.lab.reg, kind, 1, &g);
    for (uint64_t i = 0; i < HANDLES; i++)
        handles[i] = any_with(&a.any, (const char *const[]){numbered(v, "s", i)});
    for (uint64_t turn = 0; turn < 200; turn++, lab_tick(&a.lab, (int64_t)(a.random % 20) * SECOND)) {
        if (turn % 50 == 49)
            lab_tick(&a.lab, 2 * HOUR);
        for (unsigned i = 0; i < 300; i++)
            account_record(&a, handles, turn / 20 * 4);
        if (turn % 7 == 3)
            sweep(&a.lab);
        account_visit(&a);
        size_t n = frozen_now(family_of(&a.any), frozen, at);
        ever_frozen += n;
        for (unsigned i = 0; i < 300; i++)
            account_record(&a, handles, turn / 20 * 4);
        const struct kymo__series *again[2 * TOP_K + 1];
        double later[2 * TOP_K + 1];
        size_t m = frozen_now(family_of(&a.any), again, later);
        EXPECT(m == n && memcmp(at, later, n * sizeof(*at)) == 0, "%s: what is frozen has changed", a.any.name);
    }
    EXPECT(ever_frozen > 100, "%s: only %zu frozen", a.any.name, ever_frozen);
    EXPECT(a.lab.ended.n > 10, "%s: only %zu ended", a.any.name, a.lab.ended.n);
    snapshot_free(&a.last);
    lab_end(&a.lab);
}

static void each_increment_is_seen_by_every_kind(void)
{
    each_increment_is_seen(ANY_WHOLE);
    each_increment_is_seen(ANY_FRACTION);
    each_increment_is_seen(ANY_CLASSIC);
    each_increment_is_seen(ANY_NATIVE);
    each_increment_is_seen(ANY_BOTH);
}

/* The same with a heap that fails at the n-th request, or from it on, while series come and go. */
static void without_memory_nothing_is_lost(void)
{
    for (int onwards = 0; onwards < 2; onwards++)
        for (size_t n = 1, failed = 1; failed != 0; n++) {
            struct account a = {.max_page = 2 * 3, .random = 7};
            void *handles[HANDLES];
            char v[32];
            lab_new(&a.lab, NULL);
            a.any = any_new(a.lab.reg, ANY_WHOLE, 1, &top3);
            for (uint64_t i = 0; i < HANDLES; i++)
                handles[i] = any_with(&a.any, (const char *const[]){numbered(v, "s", i)});
            account_visit(&a);
            heap_arm(&a.lab.heap, n, onwards);
            for (unsigned turn = 0; turn < 12; turn++, lab_tick(&a.lab, 20 * SECOND)) {
                for (unsigned i = 0; i < 100; i++)
                    account_record(&a, handles, turn);
                sweep(&a.lab);
            }
            failed = a.lab.heap.failed;
            heap_arm(&a.lab.heap, 0, 0);
            a.recorded -= snapshot_total(&a.lab.ended, a.any.name); /* it ended, and was told, between two visits */
            for (unsigned turn = 0; turn < 3; turn++) {
                account_visit(&a);
                for (unsigned i = 0; i < 100; i++)
                    account_record(&a, handles, 0);
            }
            account_visit(&a);
            REQUIRE(is_now(&a.any, (const char *const[]){"s1"}) != NOBODY && members_of(&a.any, KEYS) == 3);
            snapshot_free(&a.last);
            lab_end(&a.lab);
            REQUIRE(n < 1000);
        }
}

static void a_full_segment_loses_nothing(void)
{
    struct lab lab;
    struct kymo_registry_options o = {.size = sizeof(o), .segment_bytes = 1024 * 1024};
    struct kymo_counter_family *fill;
    lab_new(&lab, &o);
    struct any any = any_new(lab.reg, ANY_WHOLE, 1, &top3);
    REQUIRE(kymo_counter_family_new(lab.reg, KYMO_DESC(.name = "fill_total", .help = "x", KYMO_LABELS("a")), &fill) ==
            0);
    for (uint64_t i = 0; i < 20000; i++) {
        count_numbered(fill, "fill-", i);
        if (i % 100 == 0)
            record_numbered(&any, i / 100 % 8, 3);
    }
    for (unsigned turn = 0; turn < 10; turn++, lab_tick(&lab, 30 * SECOND)) {
        record_numbered(&any, turn, 1000);
        (void)visited(&lab, &any, OTHER);
    }
    struct snapshot snap = snapshot_of(lab.reg);
    CHECK_DOUBLE(snapshot_total(&snap, any.name) + snapshot_total(&lab.ended, any.name), 600 + 10000);
    snapshot_free(&snap);
    lab_end(&lab);
}

static void a_family_that_ends_gives_its_memory_back(void)
{
    struct lab lab;
    size_t used = 0;
    lab_new(&lab, NULL);
    for (unsigned turn = 0; turn < 20; turn++) {
        struct any any = any_new(lab.reg, ANY_WHOLE, 1, &top3);
        make_member(&lab, &any, one, 5);
        any_record_labels(&any, one, 1);
        CHECK_INT(kymo_registry_unregister(lab.reg, any.name), 0);
        EXPECT(turn < 2 || stats_of(lab.reg).segment_used_bytes <= used + 8192, "family %u: %zu bytes more", turn,
               stats_of(lab.reg).segment_used_bytes - used);
        used = stats_of(lab.reg).segment_used_bytes;
    }
    lab_end(&lab);
}

/* ---- fork ---- */

/* In the child: what was promised has to be shown again; what was a member goes on, from 0 if values were zeroed. */
static void child_of_fork(struct lab *lab, struct any *any, void *h, int zero)
{
    test_failures = 0;
    CHECK_INT(kymo_after_fork_child(zero ? KYMO_FORK_ZERO : KYMO_FORK_KEEP), 0);
    CHECK(is_now(any, one) == MEMBER && is_now(any, two) == STANDS_BY);
    any_record(any, h, 7);
    any_record_labels(any, two, 100);
    CHECK_DOUBLE(any_value(any, h), zero ? 7 : 27);
    CHECK_DOUBLE(visited(lab, any, "two"), 0);
    CHECK(is_now(any, two) == MEMBER);
    any_record_labels(any, two, 1000);
    any_record_labels(any, one, 1);
    CHECK_DOUBLE(visited(lab, any, "two"), 1000);
    CHECK_DOUBLE(visited(lab, any, "one"), zero ? 8 : 28);
    record_numbered(any, 1, 1100); /* heavier than {one}, lighter than {two}, unless that weighed what it lost */
    record_numbered(any, 2, 1100);
    (void)visited(lab, any, OTHER);
    CHECK(is_now(any, one) == STANDS_BY && members_of(any, 3) == 1);
}

static void a_child_of_fork_goes_on(void)
{
    for (int zero = 0; zero < 2; zero++) {
        struct lab lab;
        struct kymo_guard g = top3;
        int status = 0;
        g.max_series = 2;
        lab_new(&lab, NULL);
        struct any any = any_new(lab.reg, ANY_WHOLE, 1, &g);
        void *h = any_with(&any, one);
        make_member(&lab, &any, one, 10);
        any_record(&any, h, 20);
        any_record_labels(&any, two, 20);
        sweep(&lab);
        pid_t pid = fork();
        if (pid == 0) {
            child_of_fork(&lab, &any, h, zero);
            _exit(test_failures != 0);
        }
        REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid);
        EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child says %d", status);
        CHECK_DOUBLE(visited(&lab, &any, "one"), 20);
        lab_end(&lab);
    }
}

/* Whoever died in between: the cell says what the loc says. */
static void after_a_fork_cells_lead_where_the_loc_says(void)
{
    struct lab lab;
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_WHOLE, 1, &top1);
    make_member(&lab, &any, one, 10);
    any_record_labels(&any, two, 1000);
    sweep(&lab);
    struct kymo__family *f = family_of(&any);
    struct kymo__cell *frozen = kymo__cell_of(f, record_of(&any, one));
    struct kymo__cell *other = kymo__cell_at(f, record_of(&any, OTHER_ONLY)->ordinal);
    uint64_t other_loc = other->loc;
    frozen->loc = other_loc;
    other->loc = KYMO__DEAD;
    kymo__top_recover(f);
    CHECK_U64(frozen->loc, KYMO__DEAD);
    CHECK_U64(other->loc, other_loc);
    lab_end(&lab);
}

/* ---- threads ---- */

enum { THREADS = 4 };

struct team {
    struct any any;
    void *handles[HANDLES];
    atomic_uint left;
    unsigned n;
};

static void *recorder(void *ctx)
{
    struct team *team = ctx;
    uint64_t random = 0x9e3779b97f4a7c15u ^ (uintptr_t)&random;
    char v[32];
    for (unsigned i = 0; i < team->n; i++) {
        uint64_t key = draw(&random, i * UINT64_C(30) / team->n);
        if (key < HANDLES && random >> 59 & 1)
            any_record(&team->any, team->handles[key], 1);
        else
            any_record_labels(&team->any, (const char *const[]){numbered(v, "s", key)}, 1);
    }
    atomic_fetch_sub(&team->left, 1);
    return NULL;
}

/* What is shown and what was told in the end is what was recorded, whoever was inside of what when it changed. */
static void threads_lose_nothing(enum any_kind kind)
{
    struct lab lab;
    struct team team = {.n = test_long() ? 2000000 : 100000};
    struct kymo_guard g = {.policy = KYMO_GUARD_TOP, .max_series = TOP_K, .linger_ms = 1};
    pthread_t threads[THREADS];
    char v[32];
    unsigned visits = 0;
    lab_new(&lab, NULL);
    team.any = any_new(lab.reg, kind, 1, &g);
    atomic_store(&team.left, THREADS);
    for (uint64_t i = 0; i < HANDLES; i++)
        team.handles[i] = any_with(&team.any, (const char *const[]){numbered(v, "s", i)});
    for (int i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, recorder, &team) == 0);
    for (; atomic_load(&team.left) != 0; visits++) {
        (void)visited(&lab, &team.any, OTHER);
        lab_tick(&lab, visits % 16 == 15 ? HOUR : 400000);
    }
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    struct snapshot snap = snapshot_of(lab.reg);
    CHECK_DOUBLE(snapshot_total(&snap, team.any.name) + snapshot_total(&lab.ended, team.any.name),
                 any_amount(kind, (double)team.n * THREADS));
    printf("threads, %s: %u visits, %zu ended\n", team.any.name, visits, lab.ended.n);
    snapshot_free(&snap);
    lab_end(&lab);
}

static void threads_lose_nothing_of_any_kind(void)
{
    threads_lose_nothing(ANY_WHOLE);
    threads_lose_nothing(ANY_FRACTION);
    threads_lose_nothing(ANY_BOTH);
}

/* ---- who is found ---- */

enum { ZIPF_KEYS = 100000, ZIPF_TOP = 100, ZIPF_SCRAPES = 50, ZIPF_RECORDINGS = 1000000 };

static size_t zipf_draw(const double *sums, uint64_t r)
{
    double v = (double)(r >> 11) * 0x1p-53 * sums[ZIPF_KEYS - 1];
    size_t low = 0, high = ZIPF_KEYS - 1;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (sums[middle] > v)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static int heavier_first(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x < y) - (x > y);
}

/* How many of the members are as heavy as the hundredth, by exact count. */
static unsigned found_of_top(const struct any *any, uint32_t *counts)
{
    static uint32_t sorted[ZIPF_KEYS];
    unsigned found = 0;
    char v[32];
    memcpy(sorted, counts, sizeof(sorted));
    qsort(sorted, ZIPF_KEYS, sizeof(*sorted), heavier_first);
    for (size_t i = 0; i < ZIPF_KEYS; i++)
        found += counts[i] >= sorted[ZIPF_TOP - 1] && is_now(any, (const char *const[]){numbered(v, "s", i)}) == MEMBER;
    return found;
}

static void the_heaviest_of_a_zipf_stream_are_found(void)
{
    static double sums[ZIPF_KEYS];
    static uint32_t counts[ZIPF_KEYS];
    struct lab lab;
    uint64_t random = 88172645463325252u;
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_WHOLE, 1, &(const struct kymo_guard){.policy = KYMO_GUARD_TOP});
    for (size_t i = 0; i < ZIPF_KEYS; i++)
        sums[i] = (i != 0 ? sums[i - 1] : 0) + 1 / (double)(i + 1);
    for (unsigned n = 1; n <= ZIPF_RECORDINGS; n++) {
        size_t key = zipf_draw(sums, random_next(&random));
        counts[key]++;
        record_numbered(&any, key, 1);
        if (n % (ZIPF_RECORDINGS / ZIPF_SCRAPES) == 0) {
            (void)visited(&lab, &any, OTHER);
            lab_tick(&lab, 15 * SECOND);
        }
    }
    unsigned found = found_of_top(&any, counts);
    printf("zipf s=1 over %d keys, %d recordings, %d scrapes: %u of the top %d, %zu ended\n", ZIPF_KEYS,
           ZIPF_RECORDINGS, ZIPF_SCRAPES, found, ZIPF_TOP, lab.ended.n);
    CHECK(found >= 90);
    lab_end(&lab);
}

TEST_MAIN(TEST(who_is_heavy_is_shown_at_0_and_recorded_into_from_then_on),
          TEST(while_it_is_promised_recordings_go_to_the_overflow_series), TEST(a_visit_that_stops_has_shown_nothing),
          TEST(of_two_walks_the_complete_one_counts), TEST(a_walk_has_shown_what_it_came_by),
          TEST(who_is_a_tenth_heavier_takes_the_place_of_the_lightest),
          TEST(who_is_demoted_lingers_and_its_handle_goes_on), TEST(without_handles_nothing_is_left_of_who_has_ended),
          TEST(who_is_frozen_and_heavy_again_goes_on_where_it_was), TEST(weights_age),
          TEST(a_clock_that_goes_back_makes_them_linger_anew),
          TEST(who_is_idle_is_frozen_and_comes_back_when_it_is_recorded), TEST(a_limit_can_be_changed),
          TEST(past_the_budget_nobody_is_promised), TEST(values_stand_as_they_may),
          TEST(who_may_not_stand_any_more_is_not_promised), TEST(long_labels_with_a_handle_may_be_heavy),
          TEST(amounts_of_any_size_are_weighed), TEST(each_increment_is_seen_by_every_kind),
          TEST(without_memory_nothing_is_lost), TEST(a_full_segment_loses_nothing),
          TEST(a_family_that_ends_gives_its_memory_back), TEST(a_child_of_fork_goes_on),
          TEST(after_a_fork_cells_lead_where_the_loc_says), TEST(threads_lose_nothing_of_any_kind),
          TEST(the_heaviest_of_a_zipf_stream_are_found))
