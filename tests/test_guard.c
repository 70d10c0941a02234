/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits of a family and of a registry: what finds no room is in the overflow series, to the last quarter, and counted.
 *
 * In every kind of metric: a label set has a series of its own or it shares the family's one overflow series; the
 * known ones and that one together are what was recorded; and kymo_series_dropped_total is the number of recordings that
 * found no series of their own. Limits, lists of values and the registry's budget move while it runs, memory fails at
 * every request in turn, the segment fills up: the sums stay.
 */
#include "guarded.h"

/* As a label value on a page. */
#define OTHER_VALUE "=\"" OTHER "\""

static const struct kymo_guard four = {.policy = KYMO_GUARD_LIMIT, .max_series = 4};

/* ---- the overflow series, in every kind ---- */

enum { SETS = 10, TIMES = 3 };

/* Ten label sets, three recordings each, by handle or by labels. */
static void record_sets(const struct any *any, int by_handle)
{
    char a[32];
    for (uint64_t i = 0; i < SETS; i++) {
        const char *const values[] = {numbered(a, "s", i), "x", "y"};
        if (by_handle) {
            void *h = any_with(any, values);
            EXPECT(h != NULL, "%s: no handle for set %" PRIu64, any->name, i);
            any_record(any, h, TIMES);
            any_release(any, h);
        } else {
            any_record_labels(any, values, TIMES);
        }
    }
}

/* The first four have what they got, the other six share the rest. */
static void four_and_the_rest(struct kymo_registry *reg, const struct any *any, const char *tail, const char *other)
{
    char values[80];
    struct snapshot snap = snapshot_of(reg);
    for (unsigned i = 0; i < 4; i++) {
        (void)snprintf(values, sizeof(values), "s%u%s", i, tail);
        EXPECT(snapshot_amount(&snap, any->name, values) == any_amount(any->kind, TIMES), "%s{%s} is %g, should be %g",
               any->name, values, snapshot_amount(&snap, any->name, values), any_amount(any->kind, TIMES));
    }
    EXPECT(snapshot_count(&snap, any->name) == 5, "%s has %zu series on the page, should have 4 and the overflow",
           any->name, snapshot_count(&snap, any->name));
    EXPECT(snapshot_amount(&snap, any->name, other) == any_amount(any->kind, (SETS - 4) * TIMES),
           "the overflow of %s is %g, should be %g", any->name, snapshot_amount(&snap, any->name, other),
           any_amount(any->kind, (SETS - 4) * TIMES));
    double n = snapshot_amount(&snap, "kymo_series_dropped_total", any->name);
    EXPECT(n == (SETS - 4) * TIMES, "%s: dropped %g, should be %d", any->name, n, (SETS - 4) * TIMES);
    snapshot_free(&snap);
}

static void one_kind_overflows(enum any_kind kind, int by_handle, size_t n_labels)
{
    static const char *const tails[] = {"", "", "|x", "|x|y"};
    static const char *const others[] = {"", OTHER, OTHER "|" OTHER, OTHER "|" OTHER "|" OTHER};
    struct lab lab;
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, kind, n_labels, &four);
    EXPECT(!page_mentions(lab.reg, OTHER_VALUE), "%s: an overflow series on the page before it was used", any.name);
    EXPECT(!page_mentions(lab.reg, "kymo_label_distinct_values{"), "%s: distinct values before a refusal", any.name);
    record_sets(&any, by_handle);
    four_and_the_rest(lab.reg, &any, tails[n_labels], others[n_labels]);
    EXPECT(page_mentions(lab.reg, "kymo_label_distinct_values{"), "%s: no distinct values after refusals", any.name);
    double n = dropped(lab.reg, any.name);
    EXPECT(dropped(lab.reg, any.name) == n, "%s: dropped moved by reading", any.name);
    lab_end(&lab);
}

static void each_kind_keeps_its_limit_and_loses_nothing_by_labels(void)
{
    for (unsigned kind = 0; kind < N_ANY; kind++)
        for (size_t n = 1; n <= 3; n++)
            one_kind_overflows((enum any_kind)kind, 0, n);
}

static void each_kind_keeps_its_limit_and_loses_nothing_by_handle(void)
{
    for (unsigned kind = 0; kind < N_ANY; kind++)
        for (size_t n = 1; n <= 3; n++)
            one_kind_overflows((enum any_kind)kind, 1, n);
}

/* A handle past the limit is no recording: nothing is dropped, and nothing is on the page. */
static void an_overflow_series_is_on_the_page_once_used(void)
{
    for (unsigned kind = 0; kind < N_ANY; kind++) {
        struct lab lab;
        lab_new(&lab, NULL);
        struct any any = any_new(lab.reg, (enum any_kind)kind, 1, &four);
        void *known = NULL, *past;
        char a[32];
        for (uint64_t i = 0; i < 4; i++)
            known = any_with(&any, (const char *const[]){numbered(a, "s", i)});
        past = any_with(&any, (const char *const[]){"past"});
        EXPECT(past != NULL && past != known, "%s: with past the limit gave %p", any.name, past);
        EXPECT(!page_mentions(lab.reg, OTHER_VALUE), "%s: the overflow is on the page unused", any.name);
        any_record(&any, known, 2);
        EXPECT(!page_mentions(lab.reg, OTHER_VALUE), "%s: the overflow is on the page after a known recording",
               any.name);
        any_record(&any, past, 1);
        struct snapshot snap = snapshot_of(lab.reg);
        EXPECT(snapshot_amount(&snap, any.name, OTHER) == any_amount(any.kind, 1), "%s: the overflow is %g, not %g",
               any.name, snapshot_amount(&snap, any.name, OTHER), any_amount(any.kind, 1));
        EXPECT(snapshot_amount(&snap, "kymo_series_dropped_total", any.name) == 1, "%s: dropped is %g, not 1", any.name,
               snapshot_amount(&snap, "kymo_series_dropped_total", any.name));
        const struct seen *s = snapshot_find(&snap, any.name, OTHER);
        EXPECT(s != NULL && s->start_ns >= WALL_START, "%s: the overflow has no start time", any.name);
        snapshot_free(&snap);
        lab_end(&lab);
    }
}

/* What changes nothing goes nowhere: it is refused, as it would be in a series of its own, and not dropped. */
static void what_is_refused_is_not_dropped(void)
{
    static const struct kymo_guard one = {.policy = KYMO_GUARD_LIMIT, .max_series = 1};
    const double nan = strtod("nan", NULL);
    struct lab lab;
    lab_new(&lab, NULL);
    struct any c = any_new(lab.reg, ANY_WHOLE, 1, &one), h = any_new(lab.reg, ANY_CLASSIC, 1, &one);
    const char *const first[] = {"first"}, *const past[] = {"past"};
    any_record_labels(&c, first, 1);
    any_record_labels(&h, first, 1);
    struct kymo_counter *counter = any_with(&c, past);
    struct kymo_histogram *histogram = any_with(&h, past);
    for (int i = 0; i < 3; i++) {
        kymo_counter_add(counter, -1);
        kymo_counter_family_add(c.c, nan, past, 1);
        kymo_histogram_observe(histogram, nan);
        kymo_histogram_family_observe(h.h, nan, past, 1);
        kymo_histogram_observe_n(histogram, 2, 0);
    }
    EXPECT(!page_mentions(lab.reg, OTHER_VALUE), "an overflow series without a recording");
    EXPECT(dropped(lab.reg, c.name) == 0 && dropped(lab.reg, h.name) == 0, "refused recordings were dropped");
    CHECK_U64(refused(lab.reg, c.name, "nan") + refused(lab.reg, c.name, "negative"), 6);
    CHECK_U64(refused(lab.reg, h.name, "nan"), 6);
    kymo_histogram_observe_n(histogram, 2, 5);
    kymo_counter_add_int(counter, 7);
    struct snapshot snap = snapshot_of(lab.reg);
    EXPECT(snapshot_amount(&snap, h.name, OTHER) == 5 && snapshot_amount(&snap, c.name, OTHER) == 7,
           "the overflows are %g and %g, should be 5 and 7", snapshot_amount(&snap, h.name, OTHER),
           snapshot_amount(&snap, c.name, OTHER));
    snapshot_free(&snap);
    EXPECT(dropped(lab.reg, c.name) == 1 && dropped(lab.reg, h.name) == 1,
           "dropped %g and %g, should be 1 recording each", dropped(lab.reg, c.name), dropped(lab.reg, h.name));
    lab_end(&lab);
}

/* Zero is a value: a gauge that was set to 0 in the overflow was used. */
static void a_gauge_at_zero_in_the_overflow_is_on_the_page(void)
{
    struct lab lab;
    const struct kymo_guard one = {.policy = KYMO_GUARD_LIMIT, .max_series = 1};
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_LEVEL, 1, &one);
    kymo_gauge_family_set(any.g, 3, KYMO_VALUES("a"));
    kymo_gauge_family_set(any.g, 0, KYMO_VALUES("b"));
    EXPECT(page_has(lab.reg, "level{a=\"" OTHER "\"} 0"), "set to 0, it should be there");
    EXPECT(dropped(lab.reg, "level") == 1, "dropped is %g, not 1", dropped(lab.reg, "level"));
    lab_end(&lab);
}

/* Prefix, constant labels, an alias and a name in quotes: the overflow series has all that its family has. */
static void an_overflow_series_has_what_its_family_has(void)
{
    static const struct kymo_label site = {"site", "a\"b"};
    static const struct kymo_alias old = {"old_total", "2027-03"};
    const struct kymo_registry_options o = {
        .size = sizeof(o), .prefix = "pre_", .const_labels = &site, .n_const_labels = 1};
    struct lab lab;
    struct kymo_counter_family *f;
    lab_new(&lab, &o);
    REQUIRE(kymo_counter_family_new(lab.reg,
                                    KYMO_DESC(.name = "x_total", .help = "X.", KYMO_LABELS("a", "b"), .aliases = &old,
                                              .n_aliases = 1, .guard = &four),
                                    &f) == 0);
    for (uint64_t i = 0; i < SETS; i++) {
        char a[32];
        kymo_counter_family_inc(f, KYMO_VALUES(numbered(a, "s", i), "y"));
    }
    CHECK(page_has(lab.reg, "pre_x_total{site=\"a\\\"b\",a=\"" OTHER "\",b=\"" OTHER "\"} 6"));
    CHECK(page_has(lab.reg, "pre_old_total{site=\"a\\\"b\",a=\"" OTHER "\",b=\"" OTHER "\"} 6"));
    CHECK(page_has(lab.reg, "kymo_series_dropped_total{site=\"a\\\"b\",family=\"pre_x_total\"} 6"));
    CHECK(page_has(lab.reg, "kymo_series_limit{site=\"a\\\"b\",family=\"pre_x_total\"} 4"));
    lab_end(&lab);
}

/* ---- who sends __other__ ---- */

static void a_client_that_sends_other_itself_makes_no_second_line(void)
{
    for (unsigned kind = 0; kind < N_ANY; kind++) {
        struct lab lab;
        lab_new(&lab, NULL);
        struct any any = any_new(lab.reg, (enum any_kind)kind, 2, &four);
        const char *const both[] = {OTHER, OTHER}, *const half[] = {OTHER, "b"};
        void *h = any_with(&any, both);
        any_record(&any, h, 2);
        any_record_labels(&any, both, 3);
        any_record_labels(&any, half, 1);
        for (uint64_t i = 0; i < SETS; i++) {
            char a[32];
            any_record_labels(&any, (const char *const[]){numbered(a, "s", i), "b"}, 1);
        }
        any_record(&any, h, 1);
        struct snapshot snap = snapshot_of(lab.reg);
        double want = any_amount(any.kind, 6 + SETS - 3);
        EXPECT(snapshot_amount(&snap, any.name, OTHER "|" OTHER) == want, "%s: the overflow is %g, not %g", any.name,
               snapshot_amount(&snap, any.name, OTHER "|" OTHER), want);
        EXPECT(snapshot_amount(&snap, "kymo_series_dropped_total", any.name) == SETS - 3,
               "%s: dropped %g, should be %d: what was asked for as " OTHER " is not dropped", any.name,
               snapshot_amount(&snap, "kymo_series_dropped_total", any.name), SETS - 3);
        EXPECT(snapshot_amount(&snap, any.name, OTHER "|b") == any_amount(any.kind, 1),
               "%s{" OTHER ",b} is %g: a label set like others", any.name,
               snapshot_amount(&snap, any.name, OTHER "|b"));
        EXPECT(snapshot_count(&snap, any.name) == 5, "%s: %zu series, not 5", any.name,
               snapshot_count(&snap, any.name));
        snapshot_free(&snap);
        any_release(&any, h);
        lab_end(&lab);
    }
}

/* ---- limits ---- */

static void defaults_are_filled_in(void)
{
    struct lab lab;
    struct kymo_guard g;
    lab_new(&lab, NULL);
    (void)counters_new(lab.reg, "plain_total", NULL);
    (void)counters_new(lab.reg, "top_total", &(const struct kymo_guard){.policy = KYMO_GUARD_TOP});
    CHECK_INT(kymo_registry_get_guard(lab.reg, "plain_total", &g), 0);
    CHECK_U64(g.max_series, 2000);
    CHECK_U64(g.max_value_bytes, 1024);
    CHECK_INT((int)g.policy, KYMO_GUARD_PLAIN);
    CHECK(g.idle_ns == 0);
    CHECK_INT(kymo_registry_get_guard(lab.reg, "top_total", &g), 0);
    CHECK_U64(g.max_series, 100);
    CHECK_U64(g.linger_ms, 300000);
    CHECK_U64(stats_of(lab.reg).max_series, 10000);
    CHECK_DOUBLE(self_of(lab.reg, "kymo_series_limit", "plain_total"), 2000);
    CHECK_DOUBLE(self_of(lab.reg, "kymo_series_limit", "top_total"), 100);
    CHECK_DOUBLE(self_of(lab.reg, "kymo_registry_series_limit", ""), 10000);
    lab_end(&lab);
}

static void the_default_limits_hold(void)
{
    static const char *const names[] = {"f0_total", "f1_total", "f2_total", "f3_total", "f4_total", "f5_total"};
    struct lab lab;
    double own = 0, all = 0;
    lab_new(&lab, NULL);
    for (unsigned k = 0; k < 6; k++) {
        struct kymo_counter_family *f = counters_new(lab.reg, names[k], NULL);
        for (uint64_t i = 0; i < 2100; i++)
            count_numbered(f, "v", i);
        struct snapshot snap = snapshot_of(lab.reg);
        size_t n = snapshot_count(&snap, names[k]);
        EXPECT(n == (k < 5 ? 2001 : 1), "%s: %zu series on the page", names[k], n);
        EXPECT(snapshot_total(&snap, names[k]) == 2100, "%s: %g in all, not 2100", names[k],
               snapshot_total(&snap, names[k]));
        own += (double)(n - 1);
        all += snapshot_amount(&snap, "kymo_series_dropped_total", names[k]);
        snapshot_free(&snap);
    }
    EXPECT(own == 10000, "%g series of their own, not 10000", own);
    EXPECT(all == 6 * 2100 - 10000, "dropped %g, not %d", all, 6 * 2100 - 10000);
    lab_end(&lab);
}

static size_t own_series(struct kymo_registry *reg, const char *family)
{
    struct snapshot snap = snapshot_of(reg);
    size_t n = snapshot_count(&snap, family) - (snapshot_find(&snap, family, OTHER) != NULL);
    snapshot_free(&snap);
    return n;
}

static void count_range(struct kymo_counter_family *f, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++)
        count_numbered(f, "v", i);
}

static void is_counted(struct kymo_registry *reg, const char *family, size_t own, double other, double n_dropped)
{
    struct snapshot snap = snapshot_of(reg);
    const struct seen *rest = snapshot_find(&snap, family, OTHER);
    size_t n = snapshot_count(&snap, family) - (rest != NULL);
    EXPECT(n == own, "%s has %zu series of their own, should have %zu", family, n, own);
    EXPECT((rest != NULL ? rest->amount : 0) == other, "the overflow of %s is %g, should be %g", family,
           rest != NULL ? rest->amount : 0, other);
    double d = snapshot_amount(&snap, "kymo_series_dropped_total", family);
    EXPECT((d < 0 ? 0 : d) == n_dropped, "%s dropped %g, should be %g", family, d, n_dropped);
    double says = snapshot_amount(&snap, "kymo_series", family);
    EXPECT(says == (double)own, "kymo_series{%s} is %g, should be %zu", family, says, own);
    snapshot_free(&snap);
}

static void a_familys_limit_moves_both_ways(void)
{
    struct lab lab;
    struct kymo_guard g = four;
    lab_new(&lab, NULL);
    struct kymo_counter_family *f = counters_new(lab.reg, "n_total", &g);
    count_range(f, 0, 10);
    is_counted(lab.reg, "n_total", 4, 6, 6);
    g.max_series = 8;
    CHECK_INT(kymo_registry_set_guard(lab.reg, "n_total", &g), 0);
    count_range(f, 0, 10); /* v4 to v7 are new ones now */
    is_counted(lab.reg, "n_total", 8, 8, 8);
    CHECK(page_has(lab.reg, "n_total{i=\"v7\"} 1"));
    CHECK(page_has(lab.reg, "n_total{i=\"v3\"} 2"));
    g.max_series = 2;
    CHECK_INT(kymo_registry_set_guard(lab.reg, "n_total", &g), 0);
    count_range(f, 0, 10); /* a lower one ends nothing */
    is_counted(lab.reg, "n_total", 8, 10, 10);
    CHECK_DOUBLE(self_of(lab.reg, "kymo_series_limit", "n_total"), 2);
    CHECK_INT(kymo_registry_forget(lab.reg, "n_total", KYMO_VALUES("v0")), 0);
    count_range(f, 0, 1); /* there is no room for it yet */
    is_counted(lab.reg, "n_total", 7, 11, 11);
    for (uint64_t i = 1; i < 7; i++) {
        char v[32];
        CHECK_INT(kymo_registry_forget(lab.reg, "n_total", KYMO_VALUES(numbered(v, "v", i))), 0);
    }
    count_range(f, 0, 2); /* v7 and one more */
    is_counted(lab.reg, "n_total", 2, 12, 12);
    lab_end(&lab);
}

/* Zeros are defaults again, and what must not change is refused and leaves the guard as it was. */
static void a_guard_changes_whole_or_not_at_all(void)
{
    struct lab lab;
    struct kymo_guard g = {.policy = KYMO_GUARD_LIMIT, .max_series = 3, .max_value_bytes = 5}, now;
    lab_new(&lab, NULL);
    (void)counters_new(lab.reg, "n_total", &g);
    struct kymo_counter *plain;
    REQUIRE(kymo_counter_new(lab.reg, KYMO_DESC(.name = "plain_total", .help = "x"), &plain) == 0);
    CHECK_INT(kymo_registry_set_guard(lab.reg, "n_total", &(const struct kymo_guard){.policy = KYMO_GUARD_TOP}),
              KYMO_EGUARD);
    CHECK_INT(kymo_registry_set_guard(lab.reg, "n_total",
                                      &(const struct kymo_guard){.policy = KYMO_GUARD_LIMIT, .idle_ns = -1}),
              KYMO_EGUARD);
    CHECK_INT(kymo_registry_set_guard(lab.reg, "plain_total", &g), KYMO_EGUARD);
    CHECK_INT(kymo_registry_set_guard(lab.reg, "none_total", &g), KYMO_ENOENT);
    CHECK_INT(kymo_registry_set_guard(lab.reg, "n_total", NULL), KYMO_EINVAL);
    CHECK_INT(kymo_registry_set_guard(NULL, "n_total", &g), KYMO_EINVAL);
    CHECK_INT(kymo_registry_get_guard(lab.reg, "plain_total", &now), KYMO_EGUARD);
    CHECK_INT(kymo_registry_get_guard(lab.reg, "none_total", &now), KYMO_ENOENT);
    CHECK_INT(kymo_registry_get_guard(lab.reg, "n_total", NULL), KYMO_EINVAL);
    CHECK_INT(kymo_registry_get_guard(lab.reg, "n_total", &now), 0);
    CHECK(now.max_series == 3 && now.max_value_bytes == 5 && now.idle_ns == 0);
    CHECK_INT(kymo_registry_set_guard(lab.reg, "n_total", &(const struct kymo_guard){.policy = KYMO_GUARD_LIMIT}), 0);
    CHECK_INT(kymo_registry_get_guard(lab.reg, "n_total", &now), 0);
    CHECK(now.max_series == 2000 && now.max_value_bytes == 1024);
    lab_end(&lab);
}

static void a_guard_that_cannot_be_is_refused_at_registration(void)
{
    struct lab lab;
    struct kymo_counter *c;
    struct kymo_counter_family *cf;
    struct kymo_gauge_family *gf;
    lab_new(&lab, NULL);
    CHECK_INT(kymo_counter_new(lab.reg, KYMO_DESC(.name = "a_total", .help = "x", KYMO_GUARD(.max_series = 3)), &c),
              KYMO_EGUARD);
    CHECK_INT(
        kymo_gauge_family_new(
            lab.reg, KYMO_DESC(.name = "g", .help = "x", KYMO_LABELS("a"), KYMO_GUARD(.policy = KYMO_GUARD_TOP)), &gf),
        KYMO_EGUARD);
    CHECK_INT(kymo_counter_family_new(
                  lab.reg, KYMO_DESC(.name = "a_total", .help = "x", KYMO_LABELS("a"), KYMO_GUARD(.idle_ns = -1)), &cf),
              KYMO_EGUARD);
    CHECK(cf == NULL && gf == NULL && c == NULL);
    lab_end(&lab);
}

static int with_label(struct kymo_registry *reg, const char *label, const struct kymo_guard *guard)
{
    struct kymo_counter_family *f;
    int r = kymo_counter_family_new(
        reg, KYMO_DESC(.name = "l_total", .help = "x", KYMO_LABELS("a", label), .guard = guard), &f);
    CHECK((f != NULL) == (r == 0));
    if (r == 0)
        CHECK_INT(kymo_registry_unregister(reg, "l_total"), 0);
    return r;
}

static void labels_without_a_bound_need_a_guard_that_names_a_policy(void)
{
    static const char *const unbounded[] = {"user_id",  "customer_id", "request_id", "session_id",
                                            "trace_id", "span_id",     "email",      "ip"};
    static const char *const reserved[] = {"job", "instance", "le", "quantile", "__name__", "__x"};
    static const struct kymo_guard plain = {.max_series = 5}, top = {.policy = KYMO_GUARD_TOP};
    struct lab lab;
    lab_new(&lab, NULL);
    for (size_t i = 0; i < sizeof(unbounded) / sizeof(unbounded[0]); i++) {
        EXPECT(with_label(lab.reg, unbounded[i], NULL) == KYMO_EUNBOUNDED, "%s without a guard", unbounded[i]);
        EXPECT(with_label(lab.reg, unbounded[i], &plain) == KYMO_EUNBOUNDED, "%s with a plain guard", unbounded[i]);
        EXPECT(with_label(lab.reg, unbounded[i], &four) == 0, "%s with a limit", unbounded[i]);
        EXPECT(with_label(lab.reg, unbounded[i], &top) == 0, "%s with the top policy", unbounded[i]);
    }
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
        EXPECT(with_label(lab.reg, reserved[i], &four) == KYMO_ERESERVED, "%s is reserved whatever the guard",
               reserved[i]);
    CHECK_INT(with_label(lab.reg, "user", NULL), 0);
    lab_end(&lab);
}

/* ---- the registry's budget ---- */

static void the_registrys_budget_is_for_all_families_with_labels(void)
{
    const struct kymo_registry_options o = {.size = sizeof(o), .max_series = 5};
    struct lab lab;
    lab_new(&lab, &o);
    for (unsigned i = 0; i < 10; i++) { /* those without labels do not count */
        char name[32];
        struct kymo_counter *c;
        REQUIRE(kymo_counter_new(lab.reg, KYMO_DESC(.name = numbered(name, "plain", i), .help = "x"), &c) == 0);
        kymo_counter_inc(c);
    }
    struct kymo_counter_family *a = counters_new(lab.reg, "a_total", NULL), *b = counters_new(lab.reg, "b_total", NULL);
    count_range(a, 0, 3);
    count_range(b, 0, 4);
    count_range(a, 0, 4);
    is_counted(lab.reg, "a_total", 3, 1, 1);
    is_counted(lab.reg, "b_total", 2, 2, 2);
    CHECK_INT(kymo_registry_set_max_series(lab.reg, 6), 0);
    count_range(b, 3, 5);
    is_counted(lab.reg, "b_total", 3, 3, 3);
    CHECK_U64(stats_of(lab.reg).max_series, 6);
    CHECK_DOUBLE(self_of(lab.reg, "kymo_registry_series_limit", ""), 6);
    CHECK_INT(kymo_registry_set_max_series(lab.reg, 1), 0);
    count_range(a, 0, 4); /* ends nothing */
    is_counted(lab.reg, "a_total", 3, 2, 2);
    CHECK_INT(kymo_registry_set_max_series(lab.reg, 0), 0);
    CHECK_U64(stats_of(lab.reg).max_series, 10000);
    count_range(a, 0, 4);
    is_counted(lab.reg, "a_total", 4, 2, 2);
    CHECK_INT(kymo_registry_set_max_series(NULL, 1), KYMO_EINVAL);
    lab_end(&lab);
}

/* What ends, by forget or with its family, makes room in the budget. */
static void room_comes_back_when_series_end(void)
{
    const struct kymo_registry_options o = {.size = sizeof(o), .max_series = 3};
    struct lab lab;
    lab_new(&lab, &o);
    struct kymo_counter_family *a = counters_new(lab.reg, "a_total", NULL), *b = counters_new(lab.reg, "b_total", NULL);
    for (unsigned turn = 0; turn < 50; turn++) {
        char v[32];
        count_range(a, 3 * turn, 3 * turn + 4);
        for (uint64_t i = 3 * turn; i < 3 * turn + 3; i++)
            CHECK_INT(kymo_registry_forget(lab.reg, "a_total", KYMO_VALUES(numbered(v, "v", i))), 0);
    }
    is_counted(lab.reg, "a_total", 0, 50, 50);
    count_range(a, 0, 3);
    count_range(b, 0, 1);
    is_counted(lab.reg, "b_total", 0, 1, 1);
    CHECK_INT(kymo_registry_unregister(lab.reg, "a_total"), 0);
    count_range(b, 0, 3);
    is_counted(lab.reg, "b_total", 3, 1, 1);
    lab_end(&lab);
}

/* The family ends: so does its overflow series, whose last value is told; a new one begins at nothing. */
static void an_overflow_series_ends_with_its_family(void)
{
    for (unsigned kind = 0; kind < N_ANY; kind++) {
        struct lab lab;
        lab_new(&lab, NULL);
        struct any any = any_new(lab.reg, (enum any_kind)kind, 1, &four);
        record_sets(&any, 0);
        CHECK_INT(kymo_registry_unregister(lab.reg, any.name), 0);
        EXPECT(lab.ended.n == 5, "%s: %zu ends told, not 4 and the overflow", any.name, lab.ended.n);
        EXPECT(snapshot_amount(&lab.ended, any.name, OTHER) == any_amount(any.kind, 6 * TIMES),
               "%s: the overflow's last value is %g, not %g", any.name, snapshot_amount(&lab.ended, any.name, OTHER),
               any_amount(any.kind, 6 * TIMES));
        any = any_new(lab.reg, (enum any_kind)kind, 1, &four);
        EXPECT(!page_mentions(lab.reg, "{a=\"" OTHER), "%s: an old overflow on a new family's page", any.name);
        record_sets(&any, 1);
        struct snapshot snap = snapshot_of(lab.reg);
        EXPECT(snapshot_amount(&snap, any.name, OTHER) == any_amount(any.kind, 6 * TIMES), "%s: the overflow is %g",
               any.name, snapshot_amount(&snap, any.name, OTHER));
        snapshot_free(&snap);
        lab_end(&lab);
    }
}

/* ---- values that labels may have ---- */

static const char *const models[] = {"m1", "m2"};

static void a_value_that_is_not_on_the_list_stands_as_other_alone(void)
{
    for (unsigned kind = 0; kind < N_ANY; kind++) {
        struct lab lab;
        lab_new(&lab, NULL);
        struct any any = any_new(lab.reg, (enum any_kind)kind, 2, NULL);
        CHECK_INT(kymo_registry_allow(lab.reg, any.name, "a", models, 2), 0);
        any_record_labels(&any, (const char *const[]){"m1", "x"}, 1);
        any_record_labels(&any, (const char *const[]){"m3", "x"}, 2);
        any_record_labels(&any, (const char *const[]){"m4", "x"}, 3);
        any_record_labels(&any, (const char *const[]){"", "y"}, 1);
        void *h = any_with(&any, (const char *const[]){"m5", "x"});
        EXPECT(h == any_with(&any, (const char *const[]){OTHER, "x"}), "%s: not the handle of its label set", any.name);
        any_record(&any, h, 2);
        struct snapshot snap = snapshot_of(lab.reg);
        EXPECT(snapshot_amount(&snap, any.name, "m1|x") == any_amount(any.kind, 1), "%s{m1,x} is %g", any.name,
               snapshot_amount(&snap, any.name, "m1|x"));
        EXPECT(snapshot_amount(&snap, any.name, OTHER "|x") == any_amount(any.kind, 7), "%s{" OTHER ",x} is %g",
               any.name, snapshot_amount(&snap, any.name, OTHER "|x"));
        EXPECT(snapshot_amount(&snap, any.name, OTHER "|y") == any_amount(any.kind, 1), "%s{" OTHER ",y} is %g",
               any.name, snapshot_amount(&snap, any.name, OTHER "|y"));
        EXPECT(snapshot_count(&snap, any.name) == 3, "%s: %zu series, not 3", any.name,
               snapshot_count(&snap, any.name));
        EXPECT(snapshot_amount(&snap, "kymo_series_dropped_total", any.name) <= 0, "%s: what has a series was dropped",
               any.name);
        snapshot_free(&snap);
        lab_end(&lab);
    }
}

/* Set, replaced, taken away, with handles of before in use all the time. */
static void a_list_changes_while_it_is_in_use(void)
{
    static const char *const only_m2[] = {"m2"};
    struct lab lab;
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_WHOLE, 2, NULL);
    const char *const m1[] = {"m1", "x"}, *const m2[] = {"m2", "x"}, *const m3[] = {"m3", "x"};
    void *h1 = any_with(&any, m1), *h2 = any_with(&any, m2), *h3 = any_with(&any, m3);
    any_record(&any, h1, 1);
    any_record(&any, h2, 2);
    any_record(&any, h3, 3);
    CHECK_INT(kymo_registry_allow(lab.reg, any.name, "a", models, 2), 0);
    EXPECT(lab.ended.n == 1 && snapshot_amount(&lab.ended, any.name, "m3|x") == 3, "m3 should have ended at 3");
    any_record(&any, h3, 10); /* goes to the overflow series */
    any_record_labels(&any, m3, 5);
    any_record(&any, h1, 1);
    struct snapshot snap = snapshot_of(lab.reg);
    EXPECT(snapshot_amount(&snap, any.name, OTHER "|" OTHER) == 10, "the overflow is %g, not 10",
           snapshot_amount(&snap, any.name, OTHER "|" OTHER));
    EXPECT(snapshot_amount(&snap, any.name, OTHER "|x") == 5, "{" OTHER ",x} is %g, not 5",
           snapshot_amount(&snap, any.name, OTHER "|x"));
    EXPECT(snapshot_amount(&snap, any.name, "m1|x") == 2, "m1 is %g, not 2", snapshot_amount(&snap, any.name, "m1|x"));
    snapshot_free(&snap);
    CHECK_INT(kymo_registry_allow(lab.reg, any.name, "a", only_m2, 1), 0);
    EXPECT(lab.ended.n == 2 && snapshot_amount(&lab.ended, any.name, "m1|x") == 2, "m1 should have ended at 2");
    any_record(&any, h1, 1);
    any_record(&any, h2, 1);
    CHECK_INT(kymo_registry_allow(lab.reg, any.name, "a", NULL, 0), 0);
    any_record_labels(&any, m3, 1); /* any value again */
    snap = snapshot_of(lab.reg);
    EXPECT(snapshot_amount(&snap, any.name, "m3|x") == 1, "m3 is %g, not 1", snapshot_amount(&snap, any.name, "m3|x"));
    EXPECT(snapshot_amount(&snap, any.name, "m2|x") == 3, "m2 is %g, not 3", snapshot_amount(&snap, any.name, "m2|x"));
    double amount, all = snapshot_total(&snap, any.name) + snapshot_total(&lab.ended, any.name);
    EXPECT(all == 1 + 2 + 3 + 10 + 5 + 1 + 1 + 1 + 1, "%g in all, not 25", all);
    amount = snapshot_amount(&snap, "kymo_series_dropped_total", any.name);
    EXPECT(amount == 11, "dropped %g, should be the 11 through handles of values that are not on the list", amount);
    EXPECT(any_with(&any, m3) == h3, "labels asked for again have another cell while the old one is pinned");
    any_record(&any, h3, 1);
    EXPECT(any_value(&any, h3) == 2, "m3 through its old handle is %g, not 2", any_value(&any, h3));
    snapshot_free(&snap);
    lab_end(&lab);
}

static void a_list_that_cannot_be_changes_nothing(void)
{
    static const char *const bad[] = {"m1", "\xff"};
    struct lab lab;
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_WHOLE, 2, NULL);
    CHECK_INT(kymo_registry_allow(lab.reg, any.name, "a", bad, 2), KYMO_EUTF8);
    CHECK_INT(kymo_registry_allow(lab.reg, any.name, "z", models, 2), KYMO_ENOENT);
    CHECK_INT(kymo_registry_allow(lab.reg, "no_total", "a", models, 2), KYMO_ENOENT);
    CHECK_INT(kymo_registry_allow(lab.reg, any.name, "a", NULL, 2), KYMO_EINVAL);
    CHECK_INT(kymo_registry_allow(lab.reg, any.name, NULL, models, 2), KYMO_EINVAL);
    CHECK_INT(kymo_registry_allow(NULL, any.name, "a", models, 2), KYMO_EINVAL);
    any_record_labels(&any, (const char *const[]){"m9", "x"}, 1);
    CHECK(page_has(lab.reg, "whole_total{a=\"m9\",b=\"x\"} 1"));
    lab_end(&lab);
}

/* A list of many values, and another label's list beside it. */
static void lists_of_many_values_and_of_two_labels(void)
{
    enum { MANY = 1500 };
    static char text[MANY][32];
    static const char *many[MANY];
    struct lab lab;
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_WHOLE, 2, NULL);
    for (uint64_t i = 0; i < MANY; i++)
        many[i] = numbered(text[i], "v", 2 * i);
    CHECK_INT(kymo_registry_allow(lab.reg, any.name, "a", many, MANY), 0);
    CHECK_INT(kymo_registry_allow(lab.reg, any.name, "b", models, 2), 0);
    for (uint64_t i = 0; i < 2 * MANY; i++) {
        char v[32];
        any_record_labels(&any, (const char *const[]){numbered(v, "v", i), i % 3 == 0 ? "m2" : "m7"}, 1);
    }
    struct snapshot snap = snapshot_of(lab.reg);
    CHECK_DOUBLE(snapshot_amount(&snap, any.name, "v0|m2"), 1);
    CHECK_DOUBLE(snapshot_amount(&snap, any.name, "v2|" OTHER), 1);
    CHECK_DOUBLE(snapshot_amount(&snap, any.name, OTHER "|m2"), MANY / 3);
    CHECK_DOUBLE(snapshot_amount(&snap, any.name, OTHER "|" OTHER), MANY - MANY / 3);
    CHECK_DOUBLE(snapshot_total(&snap, any.name), 2 * MANY);
    snapshot_free(&snap);
    lab_end(&lab);
}

/* The operator's lists and limits are there from the start, and the programme may change them later. */
static void lists_and_limits_come_from_the_configuration_too(void)
{
    static const char *const later[] = {"z"};
    const struct kymo_registry_options o = {.size = sizeof(o),
                                            .config = "[*_total]\nallow.a = m1, \"m 2\"\nmax_series = 3\n"
                                                      "[level]\nidle = 2m\nafter_end = overflow\n"
                                                      "[@registry]\nmax_series = 7\n"};
    struct kymo_guard g;
    struct lab lab;
    lab_new(&lab, &o);
    struct any any = any_new(lab.reg, ANY_WHOLE, 2, NULL), level = any_new(lab.reg, ANY_LEVEL, 2, NULL);
    CHECK_U64(stats_of(lab.reg).max_series, 7);
    CHECK_INT(kymo_registry_get_guard(lab.reg, any.name, &g), 0);
    CHECK_U64(g.max_series, 3);
    CHECK_INT(kymo_registry_get_guard(lab.reg, level.name, &g), 0);
    CHECK(g.idle_ns == 120 * SECOND && g.after_end == KYMO_TO_OVERFLOW && g.max_series == 2000);
    any_record_labels(&any, (const char *const[]){"m1", "x"}, 1);
    any_record_labels(&any, (const char *const[]){"m 2", "x"}, 2);
    any_record_labels(&any, (const char *const[]){"m3", "x"}, 3);
    any_record_labels(&any, (const char *const[]){"m1", "y"}, 4); /* a fourth label set */
    struct snapshot snap = snapshot_of(lab.reg);
    CHECK_DOUBLE(snapshot_amount(&snap, any.name, "m1|x"), 1);
    CHECK_DOUBLE(snapshot_amount(&snap, any.name, "m 2|x"), 2);
    CHECK_DOUBLE(snapshot_amount(&snap, any.name, OTHER "|x"), 3);
    CHECK_DOUBLE(snapshot_amount(&snap, any.name, OTHER "|" OTHER), 4);
    snapshot_free(&snap);
    CHECK_INT(kymo_registry_allow(lab.reg, any.name, "a", later, 1), 0);
    any_record_labels(&any, (const char *const[]){"z", "x"}, 5);
    CHECK(page_has(lab.reg, "whole_total{a=\"z\",b=\"x\"} 5"));
    EXPECT(lab.ended.n == 2 && snapshot_total(&lab.ended, any.name) == 3, "%zu ended with %g, should be m1 and m 2",
           lab.ended.n, snapshot_total(&lab.ended, any.name));
    lab_end(&lab);
}

static void a_longer_value_stands_as_other_alone(void)
{
    static char longest[1026];
    const struct kymo_guard eight = {.policy = KYMO_GUARD_LIMIT, .max_value_bytes = 8};
    struct lab lab;
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_WHOLE, 2, NULL), small = any_new(lab.reg, ANY_CLASSIC, 2, &eight);
    memset(longest, 'z', 1025);
    any_record_labels(&any, (const char *const[]){longest, "x"}, 1);
    longest[1024] = '\0';
    any_record_labels(&any, (const char *const[]){longest, "x"}, 2);
    any_record_labels(&small, (const char *const[]){"12345678", "x"}, 1);
    any_record_labels(&small, (const char *const[]){"123456789", "x"}, 2);
    any_record_labels(&small, (const char *const[]){"1234567\xc3\xa4", "123456789"}, 3); /* bytes, not characters */
    struct snapshot snap = snapshot_of(lab.reg);
    CHECK_DOUBLE(snapshot_amount(&snap, any.name, OTHER "|x"), 1);
    CHECK_U64(snapshot_count(&snap, any.name), 2);
    CHECK_DOUBLE(snapshot_amount(&snap, small.name, "12345678|x"), 1);
    CHECK_DOUBLE(snapshot_amount(&snap, small.name, OTHER "|x"), 2);
    CHECK_DOUBLE(snapshot_amount(&snap, small.name, OTHER "|" OTHER), 3);
    snapshot_free(&snap);
    struct kymo_guard g = eight;
    g.max_value_bytes = 9;
    CHECK_INT(kymo_registry_set_guard(lab.reg, small.name, &g), 0);
    any_record_labels(&small, (const char *const[]){"123456789", "x"}, 4);
    snap = snapshot_of(lab.reg);
    CHECK_DOUBLE(snapshot_amount(&snap, small.name, "123456789|x"), 4);
    snapshot_free(&snap);
    lab_end(&lab);
}

/* ---- how many different values ---- */

static void distinct_is(struct kymo_registry *reg, const char *values, double want)
{
    double have = self_of(reg, "kymo_label_distinct_values", values);
    EXPECT(have >= 0.95 * want && have <= 1.05 * want, "kymo_label_distinct_values{%s} is %g, should be %g within 5 %%",
           values, have, want);
}

/* n values of label a, five of label b, into a family with room for four; what is made of them. */
static void estimate(uint64_t n, double *a, double *b)
{
    struct lab lab;
    char user[32], code[32];
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_WHOLE, 2, &four);
    for (uint64_t i = 0; i < 4; i++)
        any_record_labels(&any, (const char *const[]){numbered(user, "u", i), numbered(code, "c", i)}, 1);
    EXPECT(!page_mentions(lab.reg, "kymo_label_distinct_values{"), "estimated before a refusal");
    for (uint64_t i = 4; i < n; i++)
        any_record_labels(&any, (const char *const[]){numbered(user, "u", i), numbered(code, "c", i % 5)}, 2);
    *a = self_of(lab.reg, "kymo_label_distinct_values", "whole_total|a");
    *b = self_of(lab.reg, "kymo_label_distinct_values", "whole_total|b");
    lab_end(&lab);
}

static int ascending(const void *a, const void *b)
{
    return *(const double *)a < *(const double *)b ? -1 : *(const double *)a > *(const double *)b;
}

/*
 * Each registry has a hash of its own, so that an estimate is an experiment: five of them. The one in the middle is as
 * near as was promised; none is off by twice that. Two of five values may be taken for one.
 */
static void distinct_values_are_estimated_from_the_first_refusal_on(void)
{
    static const unsigned numbers[] = {40, 500, 3000, 20000};
    for (size_t k = 0; k < sizeof(numbers) / sizeof(numbers[0]); k++) {
        double n = numbers[k], a[5], b[5];
        for (int i = 0; i < 5; i++)
            estimate(numbers[k], &a[i], &b[i]);
        qsort(a, 5, sizeof(a[0]), ascending);
        qsort(b, 5, sizeof(b[0]), ascending);
        EXPECT(a[2] >= 0.95 * n && a[2] <= 1.05 * n, "%g values: estimated %g (median), should be within 5 %%", n,
               a[2]);
        EXPECT(a[0] >= 0.9 * n && a[4] <= 1.1 * n, "%g values: estimated %g to %g", n, a[0], a[4]);
        EXPECT(b[2] == 5 && b[0] >= 4 && b[4] == 5, "5 values: estimated %g to %g", b[0], b[4]);
    }
}

/* Values whose label sets have series count, too: half of those here. */
static void distinct_values_are_those_of_the_known_and_of_the_refused(void)
{
    struct lab lab;
    const struct kymo_guard g = {.policy = KYMO_GUARD_LIMIT, .max_series = 1000};
    lab_new(&lab, NULL);
    struct kymo_counter_family *f = counters_new(lab.reg, "n_total", &g);
    count_range(f, 0, 2000);
    count_range(f, 0, 2000);
    distinct_is(lab.reg, "n_total|i", 2000);
    is_counted(lab.reg, "n_total", 1000, 2000, 2000);
    lab_end(&lab);
}

/* ---- from threads ---- */

enum { THREADS = 4 };

struct crowd {
    pthread_t thread;
    unsigned index;
    const struct any *any;
    void *known;
    uint64_t n, sets, recorded;
};

static void *crowd_records(void *arg)
{
    struct crowd *c = arg;
    uint64_t state = 0x9e3779b97f4a7c15u + c->index;
    char a[32];
    for (uint64_t i = 0; i < c->n; i++) {
        const char *const values[] = {numbered(a, "s", random_next(&state) % c->sets)};
        any_record(c->any, c->known, 1);
        if (i % 3 == 0) {
            void *h = any_with(c->any, values);
            any_record(c->any, h, 3);
            c->recorded += 3;
            any_release(c->any, h);
        } else {
            any_record_labels(c->any, values, 2);
            c->recorded += 2;
        }
    }
    c->recorded += c->n;
    return NULL;
}

/* All is there, and what is in the overflow series is what was dropped. */
static void crowd_is_counted(struct kymo_registry *reg, const struct any *any, double n)
{
    struct snapshot snap = snapshot_of(reg);
    double all = snapshot_total(&snap, any->name), other = snapshot_amount(&snap, any->name, OTHER);
    double d = snapshot_amount(&snap, "kymo_series_dropped_total", any->name);
    EXPECT(any->kind == ANY_LEVEL || all == any_amount(any->kind, n), "%s: %g in all, should be %g", any->name, all,
           any_amount(any->kind, n));
    EXPECT(any->kind == ANY_LEVEL || other == any_amount(any->kind, d), "%s: overflow %g, dropped %g times %g",
           any->name, other, d, any_weights[any->kind]);
    EXPECT(d > 0 && snapshot_count(&snap, any->name) == 9, "%s: %zu series, dropped %g", any->name,
           snapshot_count(&snap, any->name), d);
    snapshot_free(&snap);
}

static void threads_past_the_limit_are_counted_exactly(void)
{
    const struct kymo_guard eight = {.policy = KYMO_GUARD_LIMIT, .max_series = 8};
    uint64_t n = test_long() ? 400000 : 6000;
    for (unsigned kind = 0; kind < N_ANY; kind++) {
        struct crowd crowd[THREADS];
        double recorded = 0;
        const struct kymo_registry_options o = {.size = sizeof(o), .max_shards = kind % 2 == 0 ? 2 : 0};
        struct lab lab;
        lab_new(&lab, &o);
        struct any any = any_new(lab.reg, (enum any_kind)kind, 1, &eight);
        void *known = any_with(&any, (const char *const[]){"known"});
        for (unsigned i = 0; i < THREADS; i++) {
            crowd[i] = (struct crowd){.index = i, .any = &any, .known = known, .n = n, .sets = 50};
            REQUIRE(pthread_create(&crowd[i].thread, NULL, crowd_records, &crowd[i]) == 0);
        }
        for (unsigned i = 0; i < THREADS; i++) {
            struct page p = page_of(lab.reg);
            page_free(&p);
            pthread_join(crowd[i].thread, NULL);
            recorded += (double)crowd[i].recorded;
        }
        crowd_is_counted(lab.reg, &any, recorded);
        lab_end(&lab);
    }
}

/* ---- no memory ---- */

/* Recordings for new labels while a request for memory fails: counted in a series, in the overflow, or refused. */
static size_t one_failing_request(enum any_kind kind, size_t fail_at, int onwards, int by_handle)
{
    struct lab lab;
    char a[32];
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, kind, 1, NULL);
    any_record_labels(&any, (const char *const[]){"known"}, 1);
    heap_arm(&lab.heap, fail_at, onwards);
    for (uint64_t i = 0; i < 3; i++) {
        const char *const values[] = {numbered(a, "s", i)};
        void *h = by_handle ? any_with(&any, values) : NULL;
        EXPECT(!by_handle || h != NULL, "%s: no handle where request %zu fails", any.name, fail_at);
        if (by_handle)
            any_record(&any, h, 2);
        else
            any_record_labels(&any, values, 2);
        any_release(&any, h);
    }
    size_t failed = lab.heap.failed;
    heap_arm(&lab.heap, 0, 0);
    struct snapshot snap = snapshot_of(lab.reg);
    double refused_n = snapshot_total(&snap, "kymo_recordings_refused_total");
    double d = snapshot_amount(&snap, "kymo_series_dropped_total", any.name);
    double other = snapshot_amount(&snap, any.name, OTHER), all = snapshot_total(&snap, any.name);
    EXPECT(any.kind == ANY_LEVEL || all == any_amount(kind, 7), "%s: %g in all where request %zu%s fails, not %g",
           any.name, all, fail_at, onwards ? " and on" : "", any_amount(kind, 7));
    EXPECT(refused_n == 0, "%s: %g refused where request %zu fails", any.name, refused_n, fail_at);
    EXPECT(any_amount(kind, d > 0 ? d : 0) == (d > 0 ? other : 0), "%s: dropped %g, overflow %g", any.name, d, other);
    snapshot_free(&snap);
    any_record_labels(&any, (const char *const[]){"later"}, 1); /* with memory again */
    EXPECT(own_series(lab.reg, any.name) >= 2, "%s: no series of its own after memory is back", any.name);
    lab_end(&lab);
    return failed;
}

static void without_memory_recordings_go_to_the_overflow_series(void)
{
    for (unsigned kind = 0; kind < N_ANY; kind++)
        for (int how = 0; how < 4; how++)
            for (size_t n = 1; one_failing_request((enum any_kind)kind, n, how & 1, how >> 1) != 0; n++)
                REQUIRE(n < 1000);
}

/* Lists and guards, too: they change whole or not at all. */
static void without_memory_lists_stay_as_they_were(void)
{
    for (size_t n = 1, failed = 1; failed != 0; n++) {
        struct lab lab;
        lab_new(&lab, NULL);
        struct any any = any_new(lab.reg, ANY_WHOLE, 1, NULL);
        CHECK_INT(kymo_registry_allow(lab.reg, any.name, "a", models, 1), 0);
        heap_arm(&lab.heap, n, 1);
        int r = kymo_registry_allow(lab.reg, any.name, "a", models, 2);
        failed = lab.heap.failed;
        heap_arm(&lab.heap, 0, 0);
        CHECK_INT(r, failed != 0 ? KYMO_ENOMEM : 0);
        any_record_labels(&any, (const char *const[]){"m2"}, 1);
        any_record_labels(&any, (const char *const[]){"m1"}, 1);
        EXPECT(page_mentions(lab.reg, "\"m2\"") == (r == 0), "request %zu fails: the list is half changed", n);
        CHECK(page_has(lab.reg, "whole_total{a=\"m1\"} 1"));
        lab_end(&lab);
    }
}

/* Registration of a family with labels has much to make ready: all of it or none. */
static void without_memory_a_family_is_registered_whole_or_not(void)
{
    for (unsigned top = 0; top < 2; top++)
        for (size_t n = 1, failed = 1; failed != 0; n++) {
            const struct kymo_guard g = {.policy = top ? KYMO_GUARD_TOP : KYMO_GUARD_LIMIT, .max_series = 3};
            struct kymo_counter_family *f;
            struct lab lab;
            lab_new(&lab, NULL);
            struct page before = page_of_own(lab.reg);
            heap_arm(&lab.heap, n, 1);
            int r = kymo_counter_family_new(
                lab.reg, KYMO_DESC(.name = "n_total", .help = "x", KYMO_LABELS("i"), .guard = &g), &f);
            failed = lab.heap.failed;
            heap_arm(&lab.heap, 0, 0);
            CHECK_INT(r, failed != 0 ? KYMO_ENOMEM : 0);
            CHECK((f != NULL) == (r == 0));
            struct page after = page_of_own(lab.reg);
            CHECK_STRING(after.text, before.text);
            page_free(&before);
            page_free(&after);
            if (r != 0)
                f = counters_new(lab.reg, "n_total", &g);
            count_range(f, 0, 10);
            struct snapshot snap = snapshot_of(lab.reg);
            EXPECT(snapshot_total(&snap, "n_total") == 10, "request %zu failed: %g counted, not 10", n,
                   snapshot_total(&snap, "n_total"));
            snapshot_free(&snap);
            lab_end(&lab);
            REQUIRE(n < 1000);
        }
}

/* ---- a full segment ---- */

static void in_a_full_segment_recordings_go_to_the_overflow_series(void)
{
    static const struct kymo_guard plenty = {.policy = KYMO_GUARD_LIMIT, .max_series = 1000000};
    for (unsigned kind = 0; kind < N_ANY; kind++) {
        const struct kymo_registry_options o = {.size = sizeof(o), .max_series = 1000000, .segment_bytes = 1024 * 1024};
        char a[128];
        uint64_t n = 20000, i;
        struct lab lab;
        lab_new(&lab, &o);
        struct any any = any_new(lab.reg, (enum any_kind)kind, 1, &plenty);
        for (i = 0; i < n; i++) {
            (void)snprintf(a, sizeof(a), "%0100" PRIu64, i);
            void *h = any_with(&any, (const char *const[]){a});
            EXPECT(h != NULL, "%s: no handle for set %" PRIu64, any.name, i);
            any_record(&any, h, 1);
            any_record_labels(&any, (const char *const[]){a}, 1);
            any_release(&any, h);
        }
        struct snapshot snap = snapshot_of(lab.reg);
        double all = snapshot_total(&snap, any.name), other = snapshot_amount(&snap, any.name, OTHER);
        double d = snapshot_amount(&snap, "kymo_series_dropped_total", any.name);
        size_t own = snapshot_count(&snap, any.name) - 1;
        EXPECT(own > 10 && own < n, "%s: %zu series fitted", any.name, own);
        EXPECT(any.kind == ANY_LEVEL || all == any_amount(any.kind, 2.0 * (double)n), "%s: %g in all, should be %g",
               any.name, all, any_amount(any.kind, 2.0 * (double)n));
        EXPECT(d == 2.0 * (double)(n - own), "%s: dropped %g, should be %g", any.name, d, 2.0 * (double)(n - own));
        EXPECT(other == any_amount(any.kind, d), "%s: the overflow is %g, dropped %g", any.name, other, d);
        snapshot_free(&snap);
        lab_end(&lab);
    }
}

TEST_MAIN(TEST(each_kind_keeps_its_limit_and_loses_nothing_by_labels),
          TEST(each_kind_keeps_its_limit_and_loses_nothing_by_handle),
          TEST(an_overflow_series_is_on_the_page_once_used), TEST(what_is_refused_is_not_dropped),
          TEST(a_gauge_at_zero_in_the_overflow_is_on_the_page), TEST(an_overflow_series_has_what_its_family_has),
          TEST(a_client_that_sends_other_itself_makes_no_second_line), TEST(defaults_are_filled_in),
          TEST(the_default_limits_hold), TEST(a_familys_limit_moves_both_ways),
          TEST(a_guard_changes_whole_or_not_at_all), TEST(a_guard_that_cannot_be_is_refused_at_registration),
          TEST(labels_without_a_bound_need_a_guard_that_names_a_policy),
          TEST(the_registrys_budget_is_for_all_families_with_labels), TEST(room_comes_back_when_series_end),
          TEST(an_overflow_series_ends_with_its_family), TEST(a_value_that_is_not_on_the_list_stands_as_other_alone),
          TEST(a_list_changes_while_it_is_in_use), TEST(a_list_that_cannot_be_changes_nothing),
          TEST(lists_of_many_values_and_of_two_labels), TEST(lists_and_limits_come_from_the_configuration_too),
          TEST(a_longer_value_stands_as_other_alone), TEST(distinct_values_are_estimated_from_the_first_refusal_on),
          TEST(distinct_values_are_those_of_the_known_and_of_the_refused),
          TEST(threads_past_the_limit_are_counted_exactly), TEST(without_memory_recordings_go_to_the_overflow_series),
          TEST(without_memory_lists_stay_as_they_were), TEST(without_memory_a_family_is_registered_whole_or_not),
          TEST(in_a_full_segment_recordings_go_to_the_overflow_series))
