/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A series ends, is announced once with its last value, and comes back as another one with the same labels.
 *
 * Whoever ends it: forget, remove, remove_if, a list of values, idleness, heavier ones. What was told at ends, what lives
 * and what is in the overflow series is what was recorded; no two series ever have the same id and generation; pages
 * that are read piece by piece while series end and return stay good ones. Time is a clock that moves when it is told.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "guarded.h"

static const struct kymo_guard revive = {.policy = KYMO_GUARD_LIMIT};
static const struct kymo_guard to_overflow = {.policy = KYMO_GUARD_LIMIT, .after_end = KYMO_TO_OVERFLOW};
static const char *const one[] = {"one"}, *const two[] = {"two"};

/* The three who look: a sweep, a page, a visit. */
enum { LOOK_SWEEP, LOOK_PAGE, LOOK_VISIT, N_LOOKS };

static void look(struct lab *lab, int how)
{
    if (how == LOOK_SWEEP) {
        CHECK_INT(kymo_registry_sweep(lab->reg, lab->clock.monotonic_ns), 0);
    } else if (how == LOOK_PAGE) {
        struct page p = page_of(lab->reg);
        page_free(&p);
    } else {
        struct snapshot snap = snapshot_of(lab->reg);
        snapshot_free(&snap);
    }
}

static void amount_is(const struct snapshot *snap, const char *family, const char *values, double want)
{
    double have = snapshot_amount(snap, family, values);
    EXPECT(have == want, "%s{%s} is %g, should be %g", family, values, have, want);
}

static void page_amount_is(struct kymo_registry *reg, const char *family, const char *values, double want)
{
    struct snapshot snap = snapshot_of(reg);
    amount_is(&snap, family, values, want);
    snapshot_free(&snap);
}

static void ends_are(const struct lab *lab, size_t n)
{
    EXPECT(lab->ended.n == n, "%zu ends were told, should be %zu", lab->ended.n, n);
    struct kymo_registry_stats stats = stats_of(lab->reg);
    EXPECT(stats.n_ended == n && stats.n_ending == 0, "n_ended %zu, n_ending %zu, should be %zu and 0", stats.n_ended,
           stats.n_ending, n);
}

/* ---- forget ---- */

static void forget_tells_the_last_value_once_in_every_kind(void)
{
    for (unsigned kind = 0; kind < N_ANY; kind++) {
        struct lab lab;
        lab_new(&lab, NULL);
        struct any any = any_new(lab.reg, (enum any_kind)kind, 1, &revive);
        any_record_labels(&any, one, 3);
        any_record_labels(&any, two, 4);
        struct snapshot before = snapshot_of(lab.reg);
        const struct seen *was = snapshot_find(&before, any.name, "one");
        CHECK_INT(kymo_registry_forget(lab.reg, any.name, one, 1), 0);
        ends_are(&lab, 1);
        amount_is(&lab.ended, any.name, "one", any_amount(any.kind, 3));
        const struct seen *told = snapshot_find(&lab.ended, any.name, "one");
        EXPECT(was != NULL && told != NULL && was->id == told->id && was->generation == told->generation &&
                   was->start_ns == told->start_ns,
               "%s: what ended is told with another identity than it had", any.name);
        EXPECT(told == NULL || any.h == NULL || told->sum == 6, "%s: the last sum is %g, not 6", any.name,
               told != NULL ? told->sum : -1);
        EXPECT(!page_mentions(lab.reg, "{a=\"one\""), "%s: still on the page", any.name);
        page_amount_is(lab.reg, any.name, "two", any_amount(any.kind, 4));
        EXPECT(kymo_registry_forget(lab.reg, any.name, one, 1) == KYMO_ENOENT, "%s: forgotten twice", any.name);
        ends_are(&lab, 1);
        snapshot_free(&before);
        lab_end(&lab);
    }
}

static struct kymo_registry *busy_reg;
static int busy_r[3];

static double ends_series(void *ctx)
{
    (void)ctx;
    busy_r[0] = kymo_registry_forget(busy_reg, "whole_total", one, 1);
    busy_r[1] = kymo_registry_remove(busy_reg, "whole_total", NULL, 0, NULL);
    return 1;
}

static int ends_nothing(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    (void)ctx;
    (void)family;
    (void)point;
    return 0;
}

static double ends_series_if(void *ctx)
{
    (void)ctx;
    busy_r[2] = kymo_registry_remove_if(busy_reg, "whole_total", ends_nothing, NULL, NULL);
    return 1;
}

static void what_cannot_be_forgotten_is_refused_by_name(void)
{
    struct lab lab;
    struct kymo_counter *plain;
    size_t removed = 77;
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_WHOLE, 1, &revive);
    REQUIRE(kymo_counter_new(lab.reg, KYMO_DESC(.name = "plain_total", .help = "x"), &plain) == 0);
    any_record_labels(&any, one, 1);
    CHECK_INT(kymo_registry_forget(lab.reg, any.name, two, 1), KYMO_ENOENT);
    CHECK_INT(kymo_registry_forget(lab.reg, "none_total", one, 1), KYMO_ENOENT);
    CHECK_INT(kymo_registry_forget(lab.reg, "plain_total", one, 1), KYMO_EKIND);
    CHECK_INT(kymo_registry_forget(lab.reg, any.name, NULL, 1), KYMO_EINVAL);
    CHECK_INT(kymo_registry_forget(lab.reg, any.name, KYMO_VALUES("one", "two")), KYMO_EINVAL);
    CHECK_INT(kymo_registry_forget(lab.reg, NULL, one, 1), KYMO_EINVAL);
    CHECK_INT(kymo_registry_forget(NULL, any.name, one, 1), KYMO_EINVAL);
    CHECK_INT(kymo_registry_remove(lab.reg, NULL, NULL, 0, &removed), KYMO_EINVAL);
    CHECK_INT(kymo_registry_remove(lab.reg, "none_total", NULL, 0, &removed), KYMO_ENOENT);
    CHECK_INT(kymo_registry_remove_if(lab.reg, "none_total", ends_nothing, NULL, &removed), KYMO_ENOENT);
    CHECK_INT(kymo_registry_remove_if(lab.reg, any.name, NULL, NULL, &removed), KYMO_EINVAL);
    busy_reg = lab.reg;
    REQUIRE(kymo_gauge_callback(lab.reg, KYMO_DESC(.name = "ends", .help = "x"), ends_series, NULL) == 0);
    REQUIRE(kymo_gauge_callback(lab.reg, KYMO_DESC(.name = "ends_if", .help = "x"), ends_series_if, NULL) == 0);
    CHECK(page_has(lab.reg, "whole_total{a=\"one\"} 1"));
    for (int i = 0; i < 3; i++)
        EXPECT(busy_r[i] == KYMO_EBUSY, "call %d from inside a callback gave %s", i, kymo_error_name(busy_r[i]));
    ends_are(&lab, 0);
    lab_end(&lab);
}

/* ---- remove ---- */

static void record_grid(const struct any *any)
{
    char a[32], b[32];
    for (uint64_t i = 0; i < 3; i++)
        for (uint64_t k = 0; k < 3; k++)
            any_record_labels(any, (const char *const[]){numbered(a, "m", i), numbered(b, "t", k)}, 2);
}

static void remove_ends_what_has_all_the_labels(void)
{
    static const struct kymo_label m1 = {"a", "m1"}, t2 = {"b", "t2"}, none = {"z", "m1"};
    const struct kymo_label both[] = {m1, t2}, twice[] = {m1, none};
    const struct kymo_label site = {"site", "here"};
    const struct kymo_registry_options o = {
        .size = sizeof(o), .prefix = "pre_", .const_labels = &site, .n_const_labels = 1};
    struct any any[N_ANY];
    struct lab lab;
    size_t removed;
    lab_new(&lab, &o);
    for (unsigned kind = 0; kind < N_ANY; kind++) {
        any[kind] = any_new(lab.reg, (enum any_kind)kind, 2, NULL);
        record_grid(&any[kind]);
    }
    CHECK_INT(kymo_registry_remove(lab.reg, NULL, both, 2, &removed), 0);
    CHECK_U64(removed, N_ANY);
    CHECK_INT(kymo_registry_remove(lab.reg, NULL, &m1, 1, &removed), 0);
    CHECK_U64(removed, 2 * N_ANY);
    CHECK_INT(kymo_registry_remove(lab.reg, NULL, &m1, 1, &removed), 0);
    CHECK_U64(removed, 0);
    CHECK_INT(kymo_registry_remove(lab.reg, NULL, &site, 1, &removed), 0); /* constant labels do not count */
    CHECK_U64(removed, 0);
    CHECK_INT(kymo_registry_remove(lab.reg, NULL, twice, 2, &removed), 0);
    CHECK_U64(removed, 0);
    CHECK_INT(kymo_registry_remove(lab.reg, "pre_updown", &t2, 1, NULL), 0);
    CHECK_INT(kymo_registry_remove(lab.reg, "pre_level", NULL, 0, &removed), 0);
    CHECK_U64(removed, 6);
    CHECK_INT(kymo_registry_remove(lab.reg, "level", NULL, 0, &removed), KYMO_ENOENT); /* names are full ones */
    ends_are(&lab, 3 * N_ANY + 2 + 6);
    struct snapshot snap = snapshot_of(lab.reg);
    CHECK_U64(snapshot_count(&snap, "pre_level"), 0);
    CHECK_U64(snapshot_count(&snap, "pre_updown"), 4);
    CHECK_U64(snapshot_count(&snap, "pre_both"), 6);
    for (unsigned kind = 0; kind < N_ANY; kind++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "pre_%s", any_names[kind]);
        amount_is(&lab.ended, name, "m1|t2", any_amount(any[kind].kind, 2));
        double all = snapshot_total(&snap, name) + snapshot_total(&lab.ended, name);
        EXPECT(all == 9 * any_amount(any[kind].kind, 2), "%s: ended and living are %g, should be %g", name, all,
               9 * any_amount(any[kind].kind, 2));
    }
    snapshot_free(&snap);
    lab_end(&lab);
}

/* More than the lock is held for at once; and the overflow series stays. */
static void remove_ends_thousands_and_leaves_the_overflow(void)
{
    const struct kymo_guard g = {.policy = KYMO_GUARD_LIMIT, .max_series = 3500};
    struct lab lab;
    size_t removed;
    lab_new(&lab, NULL);
    struct kymo_counter_family *f = counters_new(lab.reg, "n_total", &g);
    for (uint64_t i = 0; i < 4000; i++)
        count_numbered(f, "v", i);
    CHECK_INT(kymo_registry_remove(lab.reg, "n_total", NULL, 0, &removed), 0);
    CHECK_U64(removed, 3500);
    ends_are(&lab, 3500);
    struct snapshot snap = snapshot_of(lab.reg);
    CHECK_U64(snapshot_count(&snap, "n_total"), 1);
    amount_is(&snap, "n_total", OTHER, 500);
    snapshot_free(&snap);
    EXPECT(snapshot_total(&lab.ended, "n_total") == 3500, "told %g", snapshot_total(&lab.ended, "n_total"));
    for (uint64_t i = 0; i < 4000; i++)
        count_numbered(f, "v", i);
    EXPECT(dropped(lab.reg, "n_total") == 1000, "dropped %g, not 1000", dropped(lab.reg, "n_total"));
    lab_end(&lab);
}

static int heavier_than(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    return seen_amount(family->kind, point) > *(const double *)ctx;
}

static void remove_if_ends_by_value(void)
{
    struct lab lab;
    size_t removed;
    double limit = 6;
    lab_new(&lab, NULL);
    struct kymo_counter_family *f = counters_new(lab.reg, "n_total", NULL);
    struct any h = any_new(lab.reg, ANY_BOTH, 1, NULL);
    struct kymo_counter *plain;
    REQUIRE(kymo_counter_new(lab.reg, KYMO_DESC(.name = "plain_total", .help = "x"), &plain) == 0);
    kymo_counter_add(plain, 100); /* without labels: not asked about */
    for (uint64_t i = 0; i < 10; i++)
        for (uint64_t k = 0; k <= i; k++) {
            char v[32];
            count_numbered(f, "v", i);
            any_record_labels(&h, (const char *const[]){numbered(v, "v", i)}, 1);
        }
    CHECK_INT(kymo_registry_remove_if(lab.reg, "n_total", heavier_than, &limit, &removed), 0);
    CHECK_U64(removed, 4);
    CHECK_INT(kymo_registry_remove_if(lab.reg, h.name, heavier_than, &limit, NULL), 0);
    ends_are(&lab, 8);
    for (uint64_t i = 0; i < 10; i++) {
        char v[32];
        struct snapshot snap = snapshot_of(lab.reg);
        amount_is(i >= 6 ? &lab.ended : &snap, "n_total", numbered(v, "v", i), (double)i + 1);
        amount_is(i >= 6 ? &lab.ended : &snap, h.name, v, (double)i + 1);
        snapshot_free(&snap);
    }
    CHECK_DOUBLE(kymo_counter_value(plain), 100);
    lab_end(&lab);
}

static int always(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    (void)family;
    (void)point;
    ++*(size_t *)ctx;
    return 1;
}

/* Whoever ends all that has __other__ for a label: the overflow series stays, and goes on to count. */
static void the_overflow_series_stays_whatever_is_removed(void)
{
    static const struct kymo_label other = {"a", OTHER};
    const struct kymo_guard g = {.policy = KYMO_GUARD_LIMIT, .max_series = 2};
    for (unsigned kind = 0; kind < N_ANY; kind++) {
        struct lab lab;
        size_t removed, asked = 0;
        lab_new(&lab, NULL);
        struct any any = any_new(lab.reg, (enum any_kind)kind, 2, &g);
        any_record_labels(&any, (const char *const[]){OTHER, "x"}, 1); /* a label set like others */
        any_record_labels(&any, (const char *const[]){"m1", "x"}, 1);
        any_record_labels(&any, (const char *const[]){"m2", "x"}, 3);
        void *h = any_with(&any, (const char *const[]){"m3", "x"});
        any_record(&any, h, 1);
        CHECK_INT(kymo_registry_remove(lab.reg, NULL, &other, 1, &removed), 0);
        EXPECT(removed == 1, "%s: %zu removed, should be {" OTHER ",x} alone", any.name, removed);
        CHECK_INT(kymo_registry_remove_if(lab.reg, any.name, always, &asked, &removed), 0);
        EXPECT(removed == 1, "%s: %zu removed, should be {m1,x}", any.name, removed);
        int r = kymo_registry_forget(lab.reg, any.name, KYMO_VALUES(OTHER, OTHER));
        EXPECT(r == KYMO_ENOENT || r == KYMO_EKIND, "%s: forgetting the overflow gave %s", any.name,
               kymo_error_name(r));
        any_record(&any, h, 1);
        ends_are(&lab, 2);
        page_amount_is(lab.reg, any.name, OTHER "|" OTHER, any_amount(any.kind, 5));
        any_release(&any, h);
        lab_end(&lab);
    }
}

/* Values are compared as they were given, whatever stands for them on a page; names, too. */
static void labels_that_are_escaped_on_a_page_are_found(void)
{
    static const char *const values[] = {"", "a\"b", "\\", "x\ny", "\\\"", "a=\"b\",c=\"d\"", "\xc3\xa4", "{}", " "};
    enum { N = sizeof(values) / sizeof(values[0]) };
    static const char *const names[] = {"a.b", "c"};
    const struct kymo_registry_options o = {.size = sizeof(o), .utf8_names = 1};
    struct kymo_counter_family *f;
    struct lab lab;
    size_t removed;
    lab_new(&lab, &o);
    REQUIRE(kymo_counter_family_new(lab.reg, KYMO_DESC(.name = "n.total", .help = "x", .labels = names, .n_labels = 2),
                                    &f) == 0);
    for (int turn = 0; turn < 3; turn++) {
        for (size_t i = 0; i < N * N; i++)
            kymo_counter_family_add(f, (double)i + 1, KYMO_VALUES(values[i / N], values[i % N]));
        for (size_t i = 0; i < N; i++) {
            const struct kymo_label both[] = {{"c", values[i]}, {"a.b", values[i]}}, no[] = {both[0], {"c", "no"}};
            CHECK_INT(kymo_registry_remove(lab.reg, NULL, no, 2, &removed), 0);
            EXPECT(removed == 0, "%zu have two different values of one label", removed);
            CHECK_INT(kymo_registry_remove(lab.reg, "n.total", both, 2, &removed), 0);
            EXPECT(removed == 1, "%zu have \"%s\" twice", removed, values[i]);
            EXPECT(lab.ended.all[lab.ended.n - 1].amount == (double)(i * N + i + 1), "\"%s\" twice ended with %g",
                   values[i], lab.ended.all[lab.ended.n - 1].amount);
        }
        for (size_t i = 0; i < N * N; i++) {
            int r = kymo_registry_forget(lab.reg, "n.total", KYMO_VALUES(values[i / N], values[i % N]));
            EXPECT(r == (i / N == i % N ? KYMO_ENOENT : 0), "forget of \"%s\", \"%s\" gave %s", values[i / N],
                   values[i % N], kymo_error_name(r));
        }
        CHECK_INT(kymo_registry_allow(lab.reg, "n.total", "a.b", values, turn == 2 ? 0 : N), 0);
    }
    ends_are(&lab, 3 * N * N);
    lab_end(&lab);
}

/* One series ends by name, all others together, while a request for memory fails; then again with memory. */
static size_t end_while_failing(enum any_kind kind, const struct kymo_guard *g, size_t fail_at, int onwards)
{
    struct lab lab;
    size_t removed[2] = {0, 0};
    char v[32];
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, kind, 1, g);
    void *h = any_with(&any, one);
    for (uint64_t i = 0; i < 100; i++)
        any_record_labels(&any, (const char *const[]){numbered(v, "v", i)}, 1);
    any_record(&any, h, 1);
    heap_arm(&lab.heap, fail_at, onwards);
    int r = kymo_registry_forget(lab.reg, any.name, one, 1);
    EXPECT((r == 0 && lab.ended.n == 1) || (r == KYMO_ENOMEM && lab.ended.n == 0), "%s: forget gave %s, %zu ended",
           any.name, kymo_error_name(r), lab.ended.n);
    any_record(&any, h, 1);
    r = kymo_registry_remove(lab.reg, any.name, NULL, 0, &removed[0]);
    EXPECT(r == 0 || r == KYMO_ENOMEM, "%s: remove gave %s", any.name, kymo_error_name(r));
    any_record(&any, h, 1);
    (void)kymo_registry_sweep(lab.reg, 0);
    size_t failed = lab.heap.failed;
    heap_arm(&lab.heap, 0, 0);
    CHECK_INT(kymo_registry_remove(lab.reg, any.name, NULL, 0, &removed[1]), 0);
    any_record(&any, h, 1);
    CHECK_INT(kymo_registry_sweep(lab.reg, 0), 0);
    struct snapshot snap = snapshot_of(lab.reg);
    double all = snapshot_total(&lab.ended, any.name) + snapshot_total(&snap, any.name);
    EXPECT(kind == ANY_LEVEL || all == any_amount(kind, 104), "%s, request %zu fails: %g in all, should be %g",
           any.name, fail_at, all, any_amount(kind, 104));
    EXPECT(removed[0] + removed[1] >= 100 && lab.ended.n == stats_of(lab.reg).n_ended,
           "%s, request %zu fails: %zu and %zu removed, %zu told, %zu ended", any.name, fail_at, removed[0], removed[1],
           lab.ended.n, stats_of(lab.reg).n_ended);
    EXPECT(stats_of(lab.reg).n_ending == 0, "%s: %zu are ending", any.name, stats_of(lab.reg).n_ending);
    snapshot_free(&snap);
    lab_end(&lab);
    return failed;
}

/* Ends that cannot be for want of memory are no ends; those that can are told; and every recording is somewhere. */
static void without_memory_nothing_ends_by_half(void)
{
    for (unsigned kind = 0; kind < N_ANY; kind++)
        for (int how = 0; how < 4; how++)
            for (size_t n = 1;
                 end_while_failing((enum any_kind)kind, how & 1 ? &revive : &to_overflow, n, how >> 1) != 0; n++)
                REQUIRE(n < 1000);
}

/* What ended makes room in a full segment: label text, table entries, slots, again and again. */
static void a_full_segment_has_room_again_when_series_end(void)
{
    for (unsigned kind = 0; kind < N_ANY; kind++) {
        static const struct kymo_guard plenty = {.policy = KYMO_GUARD_LIMIT, .max_series = 1000000};
        const struct kymo_registry_options o = {.size = sizeof(o), .max_series = 1000000, .segment_bytes = 1024 * 1024};
        struct lab lab;
        char v[128];
        size_t first = 0, removed;
        lab_new(&lab, &o);
        struct any any = any_new(lab.reg, (enum any_kind)kind, 1, &plenty);
        for (unsigned turn = 0; turn < 6; turn++) {
            for (unsigned i = 0; i < 12000; i++) {
                (void)snprintf(v, sizeof(v), "%0*u", 20 + (int)(turn * 7 + i) % 70, turn * 12000 + i);
                any_record_labels(&any, (const char *const[]){v}, 1);
            }
            CHECK_INT(kymo_registry_remove(lab.reg, any.name, NULL, 0, &removed), 0);
            first = turn == 0 ? removed : first;
            EXPECT(removed >= first - first / 4, "%s, turn %u: %zu fitted, %zu in the beginning", any.name, turn,
                   removed, first);
        }
        struct snapshot snap = snapshot_of(lab.reg);
        double all = snapshot_total(&lab.ended, any.name) + snapshot_total(&snap, any.name);
        EXPECT(any.kind == ANY_LEVEL || all == any_amount(any.kind, 72000), "%s: %g in all, should be %g", any.name,
               all, any_amount(any.kind, 72000));
        snapshot_free(&snap);
        lab_end(&lab);
    }
}

/* ---- handles after the end ---- */

static void a_handle_revives_its_series_in_every_kind(void)
{
    for (unsigned kind = 0; kind < N_ANY; kind++) {
        struct lab lab;
        lab_new(&lab, NULL);
        struct any any = any_new(lab.reg, (enum any_kind)kind, 1, &revive);
        void *h = any_with(&any, one);
        any_record(&any, h, 3);
        any_record_exemplar(&any, h);
        struct snapshot before = snapshot_of(lab.reg);
        const struct seen *was = snapshot_find(&before, any.name, "one");
        REQUIRE(was != NULL);
        EXPECT(was->n_exemplars > 0 || any.g != NULL, "%s: no exemplar was kept", any.name);
        lab_tick(&lab, 5 * SECOND);
        int64_t ended_ns = lab.clock.wall_ns;
        CHECK_INT(kymo_registry_forget(lab.reg, any.name, one, 1), 0);
        amount_is(&lab.ended, any.name, "one", any_amount(any.kind, 4));
        EXPECT(any_value(&any, h) == 0, "%s: an ended series has the value %g", any.name, any_value(&any, h));
        CHECK_U64(stats_of(lab.reg).n_asleep, 1);
        lab_tick(&lab, 5 * SECOND);
        EXPECT(!page_mentions(lab.reg, "{a=\"one\""), "%s: on the page before it is used again", any.name);
        any_record(&any, h, 2);
        EXPECT(any_value(&any, h) == any_amount(any.kind, 2), "%s: back to life at %g, should be %g", any.name,
               any_value(&any, h), any_amount(any.kind, 2));
        struct snapshot after = snapshot_of(lab.reg);
        const struct seen *is = snapshot_find(&after, any.name, "one");
        EXPECT(is != NULL && is->amount == any_amount(any.kind, 2), "%s: the page has %g", any.name,
               is != NULL ? is->amount : -1e9);
        EXPECT(is == NULL || is->start_ns >= ended_ns, "%s: its start time is %g s before its predecessor's end",
               any.name, is != NULL ? (double)(ended_ns - is->start_ns) / 1e9 : 0);
        EXPECT(is == NULL || is->id != was->id || is->generation != was->generation, "%s: not a new series", any.name);
        EXPECT(is == NULL || is->n_exemplars == 0, "%s: it has %zu exemplars of its predecessor", any.name,
               is != NULL ? is->n_exemplars : 0);
        EXPECT(any_with(&any, one) == h, "%s: another handle while the first is out", any.name);
        any_record_exemplar(&any, h);
        any_record_labels(&any, one, 1);
        page_amount_is(lab.reg, any.name, "one", any_amount(any.kind, 4));
        EXPECT(dropped(lab.reg, any.name) == 0, "%s: dropped", any.name);
        ends_are(&lab, 1);
        CHECK_U64(stats_of(lab.reg).n_asleep, 0);
        snapshot_free(&before);
        snapshot_free(&after);
        lab_end(&lab);
    }
}

static void a_handle_goes_to_the_overflow_in_every_kind(void)
{
    for (unsigned kind = 0; kind < N_ANY; kind++) {
        struct lab lab;
        lab_new(&lab, NULL);
        struct any any = any_new(lab.reg, (enum any_kind)kind, 1, &to_overflow);
        void *h = any_with(&any, one);
        any_record(&any, h, 3);
        CHECK_INT(kymo_registry_forget(lab.reg, any.name, one, 1), 0);
        CHECK_U64(stats_of(lab.reg).n_pinned, 1);
        any_record(&any, h, 2);
        any_record_exemplar(&any, h);
        struct snapshot snap = snapshot_of(lab.reg);
        amount_is(&snap, any.name, OTHER, any_amount(any.kind, 3));
        EXPECT(snapshot_find(&snap, any.name, "one") == NULL, "%s: came back", any.name);
        amount_is(&snap, "kymo_series_dropped_total", any.name, 3);
        snapshot_free(&snap);
        any_record_labels(&any, one, 1); /* who asks for the labels has a new series, and the handle has it, too */
        any_record(&any, h, 4);
        EXPECT(any_value(&any, h) == any_amount(any.kind, 5), "%s: the handle's series is %g, not %g", any.name,
               any_value(&any, h), any_amount(any.kind, 5));
        snap = snapshot_of(lab.reg);
        amount_is(&snap, any.name, "one", any_amount(any.kind, 5));
        amount_is(&snap, any.name, OTHER, any_amount(any.kind, 3));
        snapshot_free(&snap);
        EXPECT(any_with(&any, one) == h, "%s: another handle while the first is out", any.name);
        CHECK_U64(stats_of(lab.reg).n_pinned, 0);
        ends_are(&lab, 1);
        lab_end(&lab);
    }
}

/* The mode is looked at when the recording happens. */
static void after_end_changes_for_handles_that_are_out(void)
{
    struct lab lab;
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_WHOLE, 1, &revive);
    void *h = any_with(&any, one);
    any_record(&any, h, 1);
    CHECK_INT(kymo_registry_set_guard(lab.reg, any.name, &to_overflow), 0);
    CHECK_INT(kymo_registry_forget(lab.reg, any.name, one, 1), 0);
    any_record(&any, h, 2);
    page_amount_is(lab.reg, any.name, OTHER, 2);
    any_record_labels(&any, one, 1);
    CHECK_INT(kymo_registry_set_guard(lab.reg, any.name, &revive), 0);
    CHECK_INT(kymo_registry_forget(lab.reg, any.name, one, 1), 0);
    any_record(&any, h, 3);
    page_amount_is(lab.reg, any.name, "one", 3);
    page_amount_is(lab.reg, any.name, OTHER, 2);
    lab_end(&lab);
}

enum { MANY_BACK = 200, ROUNDS_BACK = 60 };

/* How many of the series live, of which each was recorded into once since it ended. */
static size_t back_to_life(const struct any *any, void *const *handles)
{
    size_t n = 0;
    for (unsigned i = 0; i < MANY_BACK; i++)
        n += any_value(any, handles[i]) != 0;
    return n;
}

/*
 * 64 can come back between two upkeeps, fewer where each needs many words; what more there is goes to the overflow
 * series, and nothing is lost.
 */
static void many_come_back_at_once(void)
{
    for (unsigned kind = 0; kind < N_ANY; kind++) {
        size_t want = kind >= ANY_NATIVE ? 4 : 64, removed;
        struct lab lab;
        void *handles[MANY_BACK];
        char v[32];
        lab_new(&lab, NULL);
        struct any any = any_new(lab.reg, (enum any_kind)kind, 1, &revive);
        for (uint64_t i = 0; i < MANY_BACK; i++)
            handles[i] = any_with(&any, (const char *const[]){numbered(v, "v", i)});
        CHECK_INT(kymo_registry_remove(lab.reg, any.name, NULL, 0, &removed), 0);
        CHECK_U64(removed, MANY_BACK);
        CHECK_U64(stats_of(lab.reg).n_asleep, MANY_BACK);
        for (int round = 0; round < ROUNDS_BACK; round++) {
            CHECK_INT(kymo_registry_sweep(lab.reg, 0), 0);
            for (uint64_t i = 0; i < MANY_BACK; i++)
                any_record(&any, handles[i], 1);
            EXPECT(round > 0 || back_to_life(&any, handles) >= want, "%s: %zu came back without a lock, should be %zu",
                   any.name, back_to_life(&any, handles), want);
        }
        struct snapshot snap = snapshot_of(lab.reg);
        double all = snapshot_total(&snap, any.name);
        EXPECT(snapshot_count(&snap, any.name) == MANY_BACK + 1, "%s: %zu series, should be all %d and the overflow",
               any.name, snapshot_count(&snap, any.name), MANY_BACK);
        EXPECT(any.kind == ANY_LEVEL || all == any_amount(any.kind, MANY_BACK * ROUNDS_BACK),
               "%s: %g in all, should be %g", any.name, all, any_amount(any.kind, MANY_BACK * ROUNDS_BACK));
        double d = snapshot_amount(&snap, "kymo_series_dropped_total", any.name);
        EXPECT(snapshot_amount(&snap, any.name, OTHER) == any_amount(any.kind, d), "%s: overflow %g, dropped %g",
               any.name, snapshot_amount(&snap, any.name, OTHER), d);
        snapshot_free(&snap);
        lab_end(&lab);
    }
}

/* Coming back takes room: past the limit it does not happen. */
static void who_comes_back_keeps_the_limit(void)
{
    const struct kymo_guard g = {.policy = KYMO_GUARD_LIMIT, .max_series = 2};
    struct lab lab;
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_WHOLE, 1, &g);
    void *h = any_with(&any, one);
    any_record(&any, h, 1);
    CHECK_INT(kymo_registry_forget(lab.reg, any.name, one, 1), 0);
    any_record_labels(&any, (const char *const[]){"x"}, 1);
    any_record_labels(&any, (const char *const[]){"y"}, 1);
    any_record(&any, h, 5);
    struct snapshot snap = snapshot_of(lab.reg);
    EXPECT(snapshot_count(&snap, any.name) == 3, "%zu series: a limit of 2 and the overflow",
           snapshot_count(&snap, any.name));
    amount_is(&snap, any.name, OTHER, 5);
    amount_is(&snap, "kymo_series_dropped_total", any.name, 5);
    snapshot_free(&snap);
    CHECK_INT(kymo_registry_forget(lab.reg, any.name, KYMO_VALUES("x")), 0);
    CHECK_INT(kymo_registry_sweep(lab.reg, 0), 0);
    any_record(&any, h, 2);
    page_amount_is(lab.reg, any.name, "one", 2);
    lab_end(&lab);
}

static void equal_labels_have_one_handle_while_it_is_out(void)
{
    for (unsigned mode = 0; mode < 2; mode++)
        for (unsigned kind = 0; kind < N_ANY; kind++) {
            struct lab lab;
            lab_new(&lab, NULL);
            struct any any = any_new(lab.reg, (enum any_kind)kind, 1, mode == 0 ? &revive : &to_overflow);
            void *h = any_with(&any, one);
            for (int i = 0; i < 3; i++) {
                any_record(&any, h, 1);
                CHECK_INT(kymo_registry_forget(lab.reg, any.name, one, 1), 0);
                EXPECT(any_with(&any, one) == h, "%s, mode %u: another handle while the first is out", any.name, mode);
                any_release(&any, h); /* one of two pins */
            }
            any_release(&any, h);
            CHECK_INT(kymo_registry_forget(lab.reg, any.name, one, 1), 0);
            h = any_with(&any, one);
            any_record(&any, h, 2);
            EXPECT(any_value(&any, h) == any_amount(any.kind, 2), "%s, mode %u: after the last release %g", any.name,
                   mode, any_value(&any, h));
            CHECK_INT(kymo_registry_forget(lab.reg, any.name, one, 1), 0);
            any_release(&any, h); /* after the end */
            CHECK_U64(stats_of(lab.reg).n_asleep + stats_of(lab.reg).n_pinned, 0);
            h = any_with(&any, one);
            any_record(&any, h, 1);
            page_amount_is(lab.reg, any.name, "one", any_amount(any.kind, 1));
            lab_end(&lab);
        }
}

/* A handle that was released while its series slept, and another label set: nothing reaches another series (K7). */
static void cells_that_are_used_again_reach_their_own_series(void)
{
    enum { MANY = 200 };
    struct lab lab;
    char v[32];
    void *handles[MANY];
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_WHOLE, 1, &revive);
    for (unsigned turn = 0; turn < 10; turn++) {
        for (uint64_t i = 0; i < MANY; i++) {
            handles[i] = any_with(&any, (const char *const[]){numbered(v, "v", turn * MANY + i)});
            any_record(&any, handles[i], (unsigned)i % 7 + 1);
        }
        size_t removed;
        CHECK_INT(kymo_registry_remove(lab.reg, any.name, NULL, 0, &removed), 0);
        for (uint64_t i = 0; i < MANY; i++)
            any_release(&any, handles[i]);
    }
    for (size_t i = 0; i < lab.ended.n; i++) {
        const struct seen *s = &lab.ended.all[i];
        double want = (double)(strtoull(s->values + 1, NULL, 10) % MANY % 7 + 1);
        EXPECT(s->amount == want, "%s ended with %g, should be %g", s->values, s->amount, want);
    }
    ends_are(&lab, 10 * MANY);
    lab_end(&lab);
}

/* A slot that serves another series brings nothing of the last one along, an exemplar least of all. */
static void exemplars_end_with_their_series(void)
{
    for (unsigned mode = 0; mode < 2; mode++)
        for (unsigned kind = 0; kind < N_ANY; kind++) {
            struct lab lab;
            lab_new(&lab, NULL);
            struct any any = any_new(lab.reg, (enum any_kind)kind, 1, mode == 0 ? &revive : &to_overflow);
            for (uint64_t i = 0; i < 100; i++) {
                char v[32];
                const char *const old[] = {numbered(v, "a", i)};
                void *h = any_with(&any, old);
                any_record_exemplar(&any, h);
                CHECK_INT(kymo_registry_forget(lab.reg, any.name, old, 1), 0);
                if (i % 2 == 0)
                    any_record_exemplar(&any, h); /* where it may go now */
                any_record_labels(&any, two, 1);
                struct snapshot snap = snapshot_of(lab.reg);
                const struct seen *s = snapshot_find(&snap, any.name, "two");
                EXPECT(s != NULL && s->n_exemplars == 0, "%s, mode %u: a series begins with %zu exemplars", any.name,
                       mode, s != NULL ? s->n_exemplars : 0);
                snapshot_free(&snap);
                any_release(&any, h);
                CHECK_INT(kymo_registry_remove(lab.reg, any.name, NULL, 0, NULL), 0);
            }
            lab_end(&lab);
        }
}

/* ---- nobody waits ---- */

static struct {
    struct any f[3];
    void *living[3], *asleep[3], *past;
    pthread_t thread;
    _Atomic int go, done;
} patient;

static void *record_meanwhile(void *arg)
{
    (void)arg;
    while (!atomic_load(&patient.go))
        sched_yield();
    for (int turn = 0; turn < 100; turn++) {
        for (int i = 0; i < 3; i++) {
            any_record(&patient.f[i], patient.living[i], 1);
            any_record(&patient.f[i], patient.asleep[i], 1);
            any_record_labels(&patient.f[i], one, 1);
        }
        any_record(&patient.f[0], patient.past, 1);
    }
    atomic_store(&patient.done, 1);
    return NULL;
}

/* A visitor is called with the registry's lock held: it lets the other one record, and waits for it. */
static int wait_for_recorder(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    (void)ctx;
    (void)family;
    (void)point;
    atomic_store(&patient.go, 1);
    while (!atomic_load(&patient.done))
        sched_yield();
    return 1;
}

/* K10, for handles of every age: who records into what ended needs no lock that a scrape has. What hangs has failed. */
static void who_records_waits_for_no_lock(void)
{
    static const struct kymo_guard guards[3] = {{.policy = KYMO_GUARD_LIMIT, .max_series = 3},
                                                {.policy = KYMO_GUARD_LIMIT, .after_end = KYMO_TO_OVERFLOW},
                                                {.policy = KYMO_GUARD_TOP, .max_series = 2}};
    static const enum any_kind kinds[3] = {ANY_WHOLE, ANY_BOTH, ANY_CLASSIC};
    const struct kymo_visitor visitor = {sizeof(visitor), NULL, NULL, wait_for_recorder, NULL};
    struct lab lab;
    memset(&patient, 0, sizeof(patient));
    lab_new(&lab, NULL);
    for (int i = 0; i < 3; i++) {
        patient.f[i] = any_new(lab.reg, kinds[i], 1, &guards[i]);
        patient.living[i] = any_with(&patient.f[i], one);
        patient.asleep[i] = any_with(&patient.f[i], two);
        any_record(&patient.f[i], patient.living[i], 1);
        any_record(&patient.f[i], patient.asleep[i], 1);
        look(&lab, LOOK_PAGE);
        CHECK_INT(kymo_registry_forget(lab.reg, patient.f[i].name, two, 1), 0);
    }
    any_record_labels(&patient.f[0], (const char *const[]){"three"}, 1);
    any_record_labels(&patient.f[0], (const char *const[]){"four"}, 1);
    patient.past = any_with(&patient.f[0], (const char *const[]){"five"});
    (void)alarm(60);
    REQUIRE(pthread_create(&patient.thread, NULL, record_meanwhile, NULL) == 0);
    CHECK_INT(kymo_registry_visit(lab.reg, &visitor), 1);
    pthread_join(patient.thread, NULL);
    (void)alarm(0);
    struct snapshot snap = snapshot_of(lab.reg);
    for (int i = 0; i < 3; i++) {
        const char *name = patient.f[i].name;
        double all = snapshot_total(&snap, name) + snapshot_total(&lab.ended, name), want = i == 0 ? 404 : 302;
        EXPECT(all == want, "%s: %g in all, should be %g", name, all, want);
    }
    snapshot_free(&snap);
    lab_end(&lab);
}

/* Names of series: id and generation together are never those of another one. */
static int by_identity(const void *a, const void *b)
{
    const struct seen *x = a, *y = b;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return x->generation < y->generation ? -1 : x->generation > y->generation;
}

static void no_two_series_have_the_same_id_and_generation(void)
{
    struct lab lab;
    struct any any[N_ANY];
    void *handles[N_ANY];
    char v[32];
    lab_new(&lab, NULL);
    for (unsigned kind = 0; kind < N_ANY; kind++) {
        any[kind] = any_new(lab.reg, (enum any_kind)kind, 1, kind % 2 == 0 ? &revive : &to_overflow);
        handles[kind] = any_with(&any[kind], one);
    }
    for (uint64_t turn = 0; turn < 500; turn++)
        for (unsigned kind = 0; kind < N_ANY; kind++) {
            const char *const value[] = {numbered(v, "v", turn % 3)};
            any_record_labels(&any[kind], value, 1);
            if (turn % 3 == 1)
                any_release(&any[kind], any_with(&any[kind], one)); /* back by with */
            else if (turn % 3 == 2)
                any_record_labels(&any[kind], one, 1); /* by labels */
            any_record(&any[kind], handles[kind], 1);
            CHECK_INT(kymo_registry_remove(lab.reg, any[kind].name, NULL, 0, NULL), 0);
            if (turn % 100 == 99) {
                CHECK_INT(kymo_registry_unregister(lab.reg, any[kind].name), 0);
                any[kind] = any_new(lab.reg, (enum any_kind)kind, 1, &revive);
                handles[kind] = any_with(&any[kind], one);
            }
        }
    EXPECT(lab.ended.n >= 500 * N_ANY, "only %zu series ended", lab.ended.n);
    qsort(lab.ended.all, lab.ended.n, sizeof(lab.ended.all[0]), by_identity);
    for (size_t i = 1; i < lab.ended.n; i++)
        EXPECT(by_identity(&lab.ended.all[i - 1], &lab.ended.all[i]) != 0 && lab.ended.all[i].id != 0,
               "%s{%s} and %s{%s} both were series %" PRIu64 ", generation %" PRIu32, lab.ended.all[i - 1].family,
               lab.ended.all[i - 1].values, lab.ended.all[i].family, lab.ended.all[i].values, lab.ended.all[i].id,
               lab.ended.all[i].generation);
    lab_end(&lab);
}

/* ---- idleness ---- */

#define IDLE (60 * SECOND)
static const struct kymo_guard idles = {.policy = KYMO_GUARD_LIMIT, .idle_ns = IDLE};

static void what_does_not_change_ends_in_every_kind(void)
{
    for (int how = 0; how < N_LOOKS; how++)
        for (unsigned kind = 0; kind < N_ANY; kind++) {
            struct lab lab;
            lab_new(&lab, NULL);
            struct any any = any_new(lab.reg, (enum any_kind)kind, 1, &idles);
            void *h = any_with(&any, one);
            any_record(&any, h, 3);
            any_record_labels(&any, two, 1);
            look(&lab, how);
            lab_tick(&lab, IDLE / 2);
            look(&lab, how);
            if (any.kind == ANY_LEVEL)
                kymo_gauge_family_set(any.g, 8, KYMO_VALUES("two"));
            else
                any_record_labels(&any, two, 1);
            look(&lab, how);
            lab_tick(&lab, IDLE / 2 - 1);
            look(&lab, how);
            EXPECT(lab.ended.n == 0, "%s, look %d: %zu ended before their time", any.name, how, lab.ended.n);
            lab_tick(&lab, 2);
            look(&lab, how);
            look(&lab, how);
            ends_are(&lab, 1);
            amount_is(&lab.ended, any.name, "one", any_amount(any.kind, 3));
            lab_tick(&lab, IDLE);
            look(&lab, how);
            look(&lab, how);
            ends_are(&lab, 2);
            amount_is(&lab.ended, any.name, "two", any.kind == ANY_LEVEL ? 8 : any_amount(any.kind, 2));
            any_record(&any, h, 1); /* and back */
            page_amount_is(lab.reg, any.name, "one", any_amount(any.kind, 1));
            lab_end(&lab);
        }
}

static void nothing_ends_where_nobody_looks(void)
{
    struct lab lab;
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_WHOLE, 1, &idles);
    size_t base = stats_of(lab.reg).n_series;
    void *h = any_with(&any, one);
    any_record(&any, h, 3);
    look(&lab, LOOK_SWEEP);
    for (int i = 0; i < 100; i++) {
        lab_tick(&lab, 10 * IDLE);
        any_record_labels(&any, two, 1);
        any_release(&any, any_with(&any, (const char *const[]){"three"}));
        (void)kymo_thread_attach(lab.reg);
        (void)kymo_counter_value(h);
    }
    ends_are(&lab, 0);
    CHECK_DOUBLE(kymo_counter_value(h), 3);
    CHECK_U64(stats_of(lab.reg).n_series, base + 3);
    lab_end(&lab);
}

/* The same value again is no change of a gauge, unless the family says so. */
static void setting_the_same_value_is_idle_unless_touched(void)
{
    for (unsigned touch = 0; touch < 2; touch++) {
        struct kymo_guard g = idles;
        struct lab lab;
        g.touch = touch;
        lab_new(&lab, NULL);
        struct any any = any_new(lab.reg, ANY_LEVEL, 1, &g);
        void *h = any_with(&any, one);
        for (int i = 0; i < 7; i++) {
            kymo_gauge_set(h, 5);
            kymo_gauge_family_set(any.g, 6, two, 1);
            look(&lab, LOOK_SWEEP);
            lab_tick(&lab, IDLE / 3);
        }
        EXPECT((lab.ended.n == 0) == (touch == 1), "touch %u: %zu series ended", touch, lab.ended.n);
        lab_end(&lab);
    }
}

/* Counters that do change stay, however long, and however small the change. */
static void what_changes_just_then_stays(void)
{
    for (int how = 0; how < N_LOOKS; how++) {
        struct lab lab;
        struct any any[N_ANY];
        void *handles[N_ANY];
        lab_new(&lab, NULL);
        for (unsigned kind = 0; kind < N_ANY; kind++) {
            any[kind] = any_new(lab.reg, (enum any_kind)kind, 1, &idles);
            handles[kind] = any_with(&any[kind], one);
        }
        for (unsigned i = 1; i <= 20; i++) {
            for (unsigned kind = 0; kind < N_ANY; kind++)
                if (kind == ANY_LEVEL)
                    kymo_gauge_set(handles[kind], i);
                else
                    any_record(&any[kind], handles[kind], 1);
            lab_tick(&lab, i % 2 == 0 ? 1 : 3 * IDLE);
            look(&lab, how);
        }
        ends_are(&lab, 0);
        for (unsigned kind = 0; kind < N_ANY; kind++)
            EXPECT(any_value(&any[kind], handles[kind]) == (kind == ANY_LEVEL ? 20 : any_amount(any[kind].kind, 20)),
                   "%s is %g", any[kind].name, any_value(&any[kind], handles[kind]));
        lab_end(&lab);
    }
}

/* idle_ns comes and goes while the family runs. */
static void idleness_can_be_changed(void)
{
    struct lab lab;
    struct kymo_guard g = idles;
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_WHOLE, 1, &revive);
    any_record_labels(&any, one, 1);
    look(&lab, LOOK_SWEEP);
    lab_tick(&lab, 100 * IDLE);
    look(&lab, LOOK_SWEEP);
    ends_are(&lab, 0);
    CHECK_INT(kymo_registry_set_guard(lab.reg, any.name, &g), 0);
    for (int i = 0; i < 4; i++) {
        look(&lab, LOOK_SWEEP);
        lab_tick(&lab, IDLE / 2 + 1);
    }
    ends_are(&lab, 1);
    any_record_labels(&any, one, 1);
    look(&lab, LOOK_SWEEP);
    CHECK_INT(kymo_registry_set_guard(lab.reg, any.name, &revive), 0);
    lab_tick(&lab, 100 * IDLE);
    look(&lab, LOOK_SWEEP);
    look(&lab, LOOK_SWEEP);
    ends_are(&lab, 1);
    lab_end(&lab);
}

/* A sweep may be told a time; an overflow series and families without labels do not end. */
static void a_sweep_believes_its_caller(void)
{
    struct kymo_guard g = idles;
    struct lab lab;
    struct kymo_counter *plain;
    g.max_series = 2;
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_WHOLE, 1, &g);
    REQUIRE(kymo_counter_new(lab.reg, KYMO_DESC(.name = "plain_total", .help = "x"), &plain) == 0);
    kymo_counter_inc(plain);
    for (uint64_t i = 0; i < 5; i++) {
        char v[32];
        any_record_labels(&any, (const char *const[]){numbered(v, "v", i)}, 1);
    }
    int64_t now = lab.clock.monotonic_ns;
    for (int i = 0; i < 5; i++)
        CHECK_INT(kymo_registry_sweep(lab.reg, now + i * (IDLE + 1)), 0);
    ends_are(&lab, 2);
    page_amount_is(lab.reg, any.name, OTHER, 3);
    page_amount_is(lab.reg, "plain_total", "", 1);
    CHECK_INT(kymo_registry_sweep(NULL, 0), KYMO_EINVAL);
    lab_end(&lab);
}

/* ---- a page in pieces, while series end and return ---- */

enum { LASTING = 40, PASSING = 40 };

/* Something between two reads: series end and come back, by labels and by handle, in the order of chance. */
static void disturb(struct lab *lab, const struct any *any, void *const *handles, uint64_t *state)
{
    char v[32];
    uint64_t r = random_next(state), i = r / 16 % PASSING;
    const char *const value[] = {numbered(v, "p", i)};
    switch (r % 4) {
    case 0:
        (void)kymo_registry_forget(lab->reg, any->name, value, 1);
        break;
    case 1:
        any_record_labels(any, value, 1);
        break;
    case 2:
        any_record(any, handles[i], 1);
        break;
    default:
        any_record_labels(any, (const char *const[]){numbered(v, "l", i)}, 1);
    }
}

/* One page in pieces of cap bytes; what it is parsed into has every lasting series once. */
static void page_in_pieces(struct lab *lab, const struct any *any, void *const *handles, size_t cap, uint64_t *state)
{
    struct kymo_scrape *scrape;
    struct page p = {NULL, 0, 0, 0};
    struct text_page parsed;
    char buf[256], line[64];
    size_t n = 1, pieces = 0;
    page_append(&p, "", 0);
    REQUIRE(kymo_scrape_new(lab->reg, kymo_format_find("text"), &scrape) == 0);
    for (; n != 0; pieces++) {
        CHECK_INT(kymo_scrape_read(scrape, buf, cap, &n), 0);
        page_append(&p, buf, n);
        if (cap > 8 || pieces % 16 == 0)
            disturb(lab, any, handles, state);
    }
    kymo_scrape_free(scrape);
    int good = text_parse(&parsed, p.text, p.n);
    EXPECT(good, "pieces of %zu bytes: the parser says %s", cap, parsed.error);
    const char *tail = any->h != NULL ? "_count" : "";
    for (uint64_t i = 0; i < LASTING; i++) {
        (void)snprintf(line, sizeof(line), "\n%s%s{a=\"l%" PRIu64 "\"} ", any->name, tail, i);
        const char *first = strstr(p.text, line);
        EXPECT(first != NULL && strstr(first + 1, line) == NULL, "pieces of %zu bytes: %s is there %s", cap, line + 1,
               first == NULL ? "not at all" : "twice");
    }
    text_page_free(&parsed);
    page_free(&p);
}

static void a_page_in_pieces_stays_good_while_series_end_and_return(void)
{
    static const size_t caps[] = {1, 3, 7, 40, 63, 64, 65, 200, 256};
    for (unsigned kind = 0; kind < N_ANY; kind++) {
        struct lab lab;
        void *handles[PASSING];
        char v[32];
        uint64_t state = 77 + kind;
        lab_new(&lab, NULL);
        struct any any = any_new(lab.reg, (enum any_kind)kind, 1, &revive);
        for (uint64_t i = 0; i < LASTING; i++) {
            any_record_labels(&any, (const char *const[]){numbered(v, "l", i)}, 1);
            handles[i] = any_with(&any, (const char *const[]){numbered(v, "p", i)});
        }
        for (int turn = 0; turn < (test_long() ? 200 : 4); turn++)
            for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++)
                page_in_pieces(&lab, &any, handles, caps[i], &state);
        EXPECT(lab.ended.n > 20, "%s: only %zu series ended meanwhile", any.name, lab.ended.n);
        lab_end(&lab);
    }
}

/* So many that a page has several parts of 64 KiB, between which the registry's lock is free. */
static void a_long_page_stays_good_while_a_thousand_series_end(void)
{
    enum { MANY = 6000 };
    const struct kymo_guard g = {.policy = KYMO_GUARD_LIMIT, .max_series = 10000};
    struct lab lab;
    char buf[4096], line[64];
    size_t n = 1, reads = 0;
    uint64_t state = 5;
    struct page p = {NULL, 0, 0, 0};
    struct kymo_scrape *scrape;
    lab_new(&lab, NULL);
    struct kymo_counter_family *f = counters_new(lab.reg, "n_total", &g);
    for (uint64_t i = 0; i < MANY; i++)
        count_numbered(f, "v", i);
    page_append(&p, "", 0);
    REQUIRE(kymo_scrape_new(lab.reg, NULL, &scrape) == 0);
    for (; n != 0; reads++) {
        CHECK_INT(kymo_scrape_read(scrape, buf, sizeof(buf), &n), 0);
        page_append(&p, buf, n);
        for (int i = 0; i < 60; i++) {
            char v[32];
            uint64_t at = random_next(&state) % MANY | 1; /* the even ones last */
            CHECK_INT(kymo_registry_forget(lab.reg, "n_total", KYMO_VALUES(numbered(v, "v", at))), 0);
            count_numbered(f, "v", at);
        }
    }
    kymo_scrape_free(scrape);
    page_must_parse(&p);
    for (uint64_t i = 0; i < MANY; i += 2) {
        (void)snprintf(line, sizeof(line), "n_total{i=\"v%" PRIu64 "\"} 1", i);
        EXPECT(lines_like(p.text, line) == 1, "%s is there %zu times", line, lines_like(p.text, line));
    }
    EXPECT(lab.ended.n == 60 * reads, "%zu ended, not %zu", lab.ended.n, 60 * reads);
    page_free(&p);
    lab_end(&lab);
}

/* ---- fork ---- */

/* What the child does with its copy: all that can end a series. */
static int child_uses_it(struct lab *lab, const struct any *any, void *h)
{
    test_failures = 0;
    size_t told = lab->ended.n, removed;
    (void)alarm(60);
    any_record(any, h, 2);
    EXPECT(any_value(any, h) == any_amount(any->kind, 5), "%s in the child: %g", any->name, any_value(any, h));
    CHECK_INT(kymo_registry_forget(lab->reg, any->name, one, 1), 0);
    EXPECT(lab->ended.n == told + 1 && lab->ended.all[told].amount == any_amount(any->kind, 5),
           "%s in the child: told %zu ends, the last with %g", any->name, lab->ended.n - told,
           lab->ended.n != 0 ? lab->ended.all[lab->ended.n - 1].amount : -1);
    any_record(any, h, 1);
    page_amount_is(lab->reg, any->name, "one", any_amount(any->kind, 1));
    CHECK_INT(kymo_registry_remove(lab->reg, any->name, NULL, 0, &removed), 0);
    CHECK_U64(removed, 2);
    lab_tick(lab, 100 * IDLE);
    look(lab, LOOK_PAGE);
    fflush(NULL);
    return test_failures != 0;
}

static void a_child_ends_series_of_its_own_copy(void)
{
    for (unsigned kind = 0; kind < N_ANY; kind++) {
        struct lab lab;
        int status = 0;
        lab_new(&lab, NULL);
        struct any any = any_new(lab.reg, (enum any_kind)kind, 1, &idles);
        void *h = any_with(&any, one);
        any_record(&any, h, 3);
        any_record_labels(&any, two, 1);
        CHECK_INT(kymo_registry_forget(lab.reg, any.name, two, 1), 0);
        any_record_labels(&any, two, 2);
        fflush(NULL);
        pid_t pid = fork();
        REQUIRE(pid >= 0);
        if (pid == 0)
            _exit(child_uses_it(&lab, &any, h));
        any_record(&any, h, 1);
        REQUIRE(waitpid(pid, &status, 0) == pid);
        EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: the child says %d", any.name, status);
        page_amount_is(lab.reg, any.name, "one", any_amount(any.kind, 4));
        ends_are(&lab, 1);
        lab_end(&lab);
    }
}

/* ---- figures ---- */

static void stats_say_what_is_kept(void)
{
    struct lab lab;
    struct kymo_registry_stats s;
    lab_new(&lab, NULL);
    struct any a = any_new(lab.reg, ANY_WHOLE, 1, &revive), b = any_new(lab.reg, ANY_CLASSIC, 1, &to_overflow);
    size_t base = stats_of(lab.reg).n_series;
    void *a1 = any_with(&a, one), *b1 = any_with(&b, one), *b2 = any_with(&b, two);
    any_record_labels(&a, two, 1);
    s = stats_of(lab.reg);
    EXPECT(s.n_series == base + 4, "n_series %zu, should be %zu", s.n_series, base + 4);
    CHECK_INT(kymo_registry_remove(lab.reg, a.name, NULL, 0, NULL), 0);
    CHECK_INT(kymo_registry_remove(lab.reg, b.name, NULL, 0, NULL), 0);
    s = stats_of(lab.reg);
    EXPECT(s.n_series == base && s.n_ended == 4 && s.n_asleep == 1 && s.n_pinned == 2 && s.n_ending == 0,
           "series %zu, ended %zu, asleep %zu, pinned %zu, ending %zu; should be %zu, 4, 1, 2, 0", s.n_series,
           s.n_ended, s.n_asleep, s.n_pinned, s.n_ending, base);
    any_release(&b, b1);
    any_record(&a, a1, 1);
    s = stats_of(lab.reg);
    EXPECT(s.n_series == base + 1 && s.n_asleep == 0 && s.n_pinned == 1,
           "series %zu, asleep %zu, pinned %zu; should be %zu, 0, 1", s.n_series, s.n_asleep, s.n_pinned, base + 1);
    any_release(&b, b2);
    any_release(&a, a1);
    s = stats_of(lab.reg);
    EXPECT(s.n_series == base + 1 && s.n_asleep == 0 && s.n_pinned == 0, "asleep %zu, pinned %zu; should be 0",
           s.n_asleep, s.n_pinned);
    lab_end(&lab);
}

/* ---- the heaviest ---- */

enum { TOP_K = 3, TOP_SETS = 30 };
#define LINGER (20 * SECOND)
static const struct kymo_guard top3 = {
    .policy = KYMO_GUARD_TOP, .max_series = TOP_K, .linger_ms = (uint32_t)(LINGER / 1000000)};

static const struct seen *same_series(const struct snapshot *snap, const struct seen *s)
{
    for (size_t i = 0; i < snap->n; i++)
        if (snap->all[i].id == s->id && snap->all[i].generation == s->generation &&
            strcmp(snap->all[i].family, s->family) == 0)
            return &snap->all[i];
    return NULL;
}

/*
 * What a server makes of two pages: the sum of what each series grew by. A series it had not seen counts from 0 only if
 * it stood there with 0 first: so it must, but the overflow series may begin with something.
 */
static double growth(const char *name, const struct snapshot *before, const struct snapshot *now)
{
    double sum = 0;
    for (size_t i = 0; i < now->n; i++) {
        const struct seen *s = &now->all[i];
        if (strcmp(s->family, name) != 0)
            continue;
        const struct seen *was = same_series(before, s);
        int other = strcmp(s->values, OTHER) == 0;
        EXPECT(was != NULL || s->amount == 0 || other, "%s{%s} is new on the page and begins at %g, not 0", name,
               s->values, s->amount);
        EXPECT(was == NULL || s->amount >= was->amount, "%s{%s} went back from %g to %g", name, s->values,
               was != NULL ? was->amount : 0, s->amount);
        sum += s->amount - (was != NULL ? was->amount : 0);
    }
    return sum;
}

/* One interval: three heavy label sets from first on, all others light; by labels and by handle. */
static double top_interval(const struct any *any, void *const *handles, uint64_t first, unsigned heavy)
{
    double n = 0;
    char v[32];
    for (uint64_t i = 0; i < TOP_SETS; i++) {
        unsigned times = i >= first && i < first + TOP_K ? heavy + (unsigned)(i % 7) : 1;
        if (i % 2 == 0)
            any_record(any, handles[i], times);
        else
            any_record_labels(any, (const char *const[]){numbered(v, "s", i)}, times);
        n += times;
    }
    return any_amount(any->kind, n);
}

static size_t own_in(const struct snapshot *snap, const char *name)
{
    return snapshot_count(snap, name) - (snapshot_find(snap, name, OTHER) != NULL);
}

/* Whether the label sets first, first + 1, ... each have a series that grows. */
static unsigned growing(const char *name, const struct snapshot *before, const struct snapshot *now, uint64_t first)
{
    unsigned n = 0;
    char v[32];
    for (uint64_t i = first; i < first + TOP_K; i++) {
        const struct seen *s = snapshot_find(now, name, numbered(v, "s", i));
        const struct seen *was = s != NULL ? same_series(before, s) : NULL;
        n += was != NULL && s->amount > was->amount;
    }
    return n;
}

static int stop_at_once(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    (void)ctx;
    (void)family;
    (void)point;
    return 1;
}

static int take_nothing(void *ctx, const char *data, size_t n)
{
    (void)ctx;
    (void)data;
    (void)n;
    return 0;
}

/* None of these shows the family's series: who was promised one does not have it by then. */
static void show_nothing(struct lab *lab, unsigned how)
{
    static const char *const names[] = {"kymo_registry_shards"};
    const struct kymo_visitor visitor = {sizeof(visitor), NULL, NULL, stop_at_once, NULL};
    const struct kymo_sink sink = {sizeof(sink), NULL, take_nothing};
    struct kymo_format format = *kymo_format_find("text");
    struct kymo_scrape *scrape;
    char buf[20];
    size_t n;
    switch (how % 4) {
    case 0:
        CHECK_INT(kymo_registry_sweep(lab->reg, 0), 0);
        break;
    case 1: /* begun and given up */
        CHECK_INT(kymo_scrape_new(lab->reg, NULL, &scrape), 0);
        CHECK_INT(kymo_scrape_read(scrape, buf, sizeof(buf), &n), 0);
        kymo_scrape_free(scrape);
        break;
    case 2: /* of other families */
        format.names = names;
        format.n_names = 1;
        CHECK_INT(kymo_registry_write(lab->reg, &format, &sink), 0);
        break;
    default:
        CHECK_INT(kymo_registry_visit(lab->reg, &visitor), 1);
    }
}

/* Twelve intervals with three heavy ones, then twelve with three heavier; each page is compared with the one before. */
static void top_keeps_the_heaviest(enum any_kind kind)
{
    struct lab lab;
    void *handles[TOP_SETS];
    char v[32];
    double all = 0;
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, kind, 1, &top3);
    for (uint64_t i = 0; i < TOP_SETS; i++)
        handles[i] = any_with(&any, (const char *const[]){numbered(v, "s", i)});
    struct snapshot before = snapshot_of(lab.reg);
    EXPECT(snapshot_total(&before, any.name) == 0, "%s begins at %g", any.name, snapshot_total(&before, any.name));
    for (unsigned turn = 0; turn < 24; turn++) {
        uint64_t first = turn < 12 ? 4 : 17;
        double n = top_interval(&any, handles, first, turn < 12 ? 200 : 1500);
        show_nothing(&lab, turn);
        n += top_interval(&any, handles, first, 1);
        all += n;
        struct snapshot now = snapshot_of(lab.reg);
        double grown = growth(any.name, &before, &now);
        EXPECT(grown == n, "%s, interval %u: pages grew by %g, recorded %g", any.name, turn, grown, n);
        double kept = snapshot_total(&now, any.name) + snapshot_total(&lab.ended, any.name);
        EXPECT(kept == all, "%s, interval %u: %g in all, recorded %g", any.name, turn, kept, all);
        EXPECT(own_in(&now, any.name) <= 3 * TOP_K, "%s, interval %u: %zu series for a top of %d", any.name, turn,
               own_in(&now, any.name), TOP_K);
        if (turn % 12 >= 8)
            EXPECT(growing(any.name, &before, &now, first) == TOP_K, "%s, interval %u: %u of the 3 heaviest grow",
                   any.name, turn, growing(any.name, &before, &now, first));
        snapshot_free(&before);
        before = now;
        lab_tick(&lab, 10 * SECOND);
    }
    for (int i = 0; i < 4; i++, lab_tick(&lab, LINGER))
        CHECK_INT(kymo_registry_sweep(lab.reg, 0), 0);
    struct snapshot last = snapshot_of(lab.reg);
    EXPECT(own_in(&last, any.name) <= TOP_K, "%s: %zu series after all lingered, for a top of %d", any.name,
           own_in(&last, any.name), TOP_K);
    EXPECT(snapshot_total(&last, any.name) + snapshot_total(&lab.ended, any.name) == all, "%s: not all is there",
           any.name);
    EXPECT(snapshot_amount(&last, "kymo_series_dropped_total", any.name) <= 0, "%s: the rest is not dropped", any.name);
    snapshot_free(&last);
    snapshot_free(&before);
    lab_end(&lab);
}

static void the_heaviest_have_series_of_their_own_and_no_increment_is_lost(void)
{
    top_keeps_the_heaviest(ANY_WHOLE);
    top_keeps_the_heaviest(ANY_FRACTION);
    top_keeps_the_heaviest(ANY_CLASSIC);
    top_keeps_the_heaviest(ANY_NATIVE);
    top_keeps_the_heaviest(ANY_BOTH);
}

/*
 * A page that was begun before a series was promised, and had passed its family by then, has not shown it: the page is
 * longer than what is written at once, and others come between its parts.
 */
static void a_page_that_passed_before_the_promise_has_not_shown_it(void)
{
    struct lab lab;
    struct kymo_scrape *scrape;
    static char buf[16384];
    size_t n = 1;
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_WHOLE, 1, &top3);
    struct kymo_counter_family *many =
        counters_new(lab.reg, "many_total", &(const struct kymo_guard){.max_series = 9000});
    for (uint64_t i = 0; i < 8000; i++)
        count_numbered(many, "a_long_value_of_a_label_", i);
    for (int turn = 0; turn < 6; turn++) {
        char v[32];
        const char *const value[] = {numbered(v, "new", (uint64_t)turn)};
        unsigned weight = 1u << (4 * turn); /* always heavier than what was before */
        CHECK_INT(kymo_scrape_new(lab.reg, NULL, &scrape), 0);
        CHECK_INT(kymo_scrape_read(scrape, buf, sizeof(buf), &n), 0); /* its family is in here, or has passed */
        kymo_counter_family_add(any.c, weight, value, 1);
        CHECK_INT(kymo_registry_sweep(lab.reg, 0), 0);
        while (n != 0)
            CHECK_INT(kymo_scrape_read(scrape, buf, sizeof(buf), &n), 0);
        kymo_scrape_free(scrape);
        kymo_counter_family_add(any.c, weight, value, 1);
        struct snapshot snap = snapshot_of(lab.reg);
        const struct seen *s = snapshot_find(&snap, any.name, value[0]);
        EXPECT(s == NULL || s->amount == 0, "turn %d: {%s} is shown for the first time, with %g", turn, value[0],
               s != NULL ? s->amount : -1);
        snapshot_free(&snap);
        for (int i = 0; i < 3; i++, lab_tick(&lab, LINGER)) {
            kymo_counter_family_add(any.c, weight, value, 1);
            look(&lab, LOOK_PAGE);
        }
    }
    lab_end(&lab);
}

/* Counters by amount: one recording of a million is heavier than a thousand of one. */
static void counters_are_weighed_by_amount(void)
{
    struct lab lab;
    struct kymo_guard g = top3;
    g.max_series = 1;
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_WHOLE, 1, &g);
    for (unsigned turn = 0; turn < 10; turn++) {
        any_record_labels(&any, two, 1000);
        kymo_counter_family_add(any.c, 1000000, one, 1);
        look(&lab, LOOK_PAGE);
        lab_tick(&lab, 10 * SECOND);
    }
    struct snapshot snap = snapshot_of(lab.reg);
    const struct seen *s = snapshot_find(&snap, any.name, "one");
    EXPECT(s != NULL && s->amount >= 3000000, "{one} is %g", s != NULL ? s->amount : -1);
    EXPECT(snapshot_find(&snap, any.name, "two") == NULL, "{two} has a series after %d intervals", 10);
    snapshot_free(&snap);
    lab_end(&lab);
}

/* Demoted: as it is for linger_ms, then it ends, and is told. */
static void who_is_demoted_stays_frozen_and_then_ends(void)
{
    struct lab lab;
    struct kymo_guard g = top3;
    double frozen = -1, last = -1;
    int64_t since = 0, ended_at = 0;
    g.max_series = 1;
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_WHOLE, 1, &g);
    void *h = any_with(&any, one);
    for (int i = 0; i < 8; i++, lab_tick(&lab, 5 * SECOND)) {
        any_record(&any, h, 100);
        look(&lab, LOOK_PAGE);
    }
    EXPECT(any_value(&any, h) >= 300, "the only label set has no series: %g", any_value(&any, h));
    for (int i = 0; i < 30; i++, lab_tick(&lab, 2 * SECOND)) {
        any_record_labels(&any, two, 100000);
        any_record(&any, h, 1);
        struct snapshot snap = snapshot_of(lab.reg);
        const struct seen *s = snapshot_find(&snap, any.name, "one");
        if (s == NULL && ended_at == 0)
            ended_at = lab.clock.monotonic_ns;
        EXPECT(s == NULL || frozen < 0 || s->amount == frozen, "{one} was frozen at %g and is %g", frozen,
               s != NULL ? s->amount : 0);
        if (s != NULL && s->amount == last && frozen < 0) {
            since = lab.clock.monotonic_ns - 2 * SECOND; /* of the page before */
            frozen = last;
        }
        last = s != NULL ? s->amount : -1;
        snapshot_free(&snap);
    }
    EXPECT(frozen >= 0 && ended_at != 0, "{one} was frozen at %g; ended at %g s", frozen, (double)ended_at / 1e9);
    EXPECT(ended_at - since >= LINGER - 2 * SECOND && ended_at - since <= LINGER + 4 * SECOND,
           "it lingered %g s, should be 20", (double)(ended_at - since) / 1e9);
    amount_is(&lab.ended, any.name, "one", frozen);
    struct snapshot snap = snapshot_of(lab.reg);
    double all = snapshot_total(&snap, any.name) + snapshot_total(&lab.ended, any.name);
    EXPECT(all == 800 + 30 * 100001, "%g in all, should be %d", all, 800 + 30 * 100001);
    snapshot_free(&snap);
    lab_end(&lab);
}

/* A lower limit: the lightest leave at the next scrape. */
static void a_lower_top_lets_the_lightest_go(void)
{
    struct lab lab;
    struct kymo_guard g = top3;
    lab_new(&lab, NULL);
    struct any any = any_new(lab.reg, ANY_WHOLE, 1, &g);
    for (int turn = 0; turn < 12; turn++, lab_tick(&lab, LINGER / 2)) {
        kymo_counter_family_add(any.c, 1000, one, 1);
        kymo_counter_family_add(any.c, 300, two, 1);
        kymo_counter_family_add(any.c, 100, KYMO_VALUES("three"));
        look(&lab, LOOK_PAGE);
        if (turn == 5) {
            EXPECT(stats_of(lab.reg).n_ended == 0, "%zu ended while there was room", stats_of(lab.reg).n_ended);
            g.max_series = 1;
            CHECK_INT(kymo_registry_set_guard(lab.reg, any.name, &g), 0);
        }
    }
    struct snapshot snap = snapshot_of(lab.reg);
    EXPECT(own_in(&snap, any.name) == 1 && snapshot_find(&snap, any.name, "one") != NULL, "%zu series of their own",
           own_in(&snap, any.name));
    double all = snapshot_total(&snap, any.name) + snapshot_total(&lab.ended, any.name);
    EXPECT(all == 12 * 1400, "%g in all, should be %d", all, 12 * 1400);
    snapshot_free(&snap);
    lab_end(&lab);
}

TEST_MAIN(TEST(forget_tells_the_last_value_once_in_every_kind), TEST(what_cannot_be_forgotten_is_refused_by_name),
          TEST(remove_ends_what_has_all_the_labels), TEST(remove_ends_thousands_and_leaves_the_overflow),
          TEST(remove_if_ends_by_value), TEST(the_overflow_series_stays_whatever_is_removed),
          TEST(labels_that_are_escaped_on_a_page_are_found), TEST(without_memory_nothing_ends_by_half),
          TEST(a_full_segment_has_room_again_when_series_end), TEST(a_handle_revives_its_series_in_every_kind),
          TEST(a_handle_goes_to_the_overflow_in_every_kind), TEST(after_end_changes_for_handles_that_are_out),
          TEST(many_come_back_at_once), TEST(who_comes_back_keeps_the_limit),
          TEST(equal_labels_have_one_handle_while_it_is_out), TEST(cells_that_are_used_again_reach_their_own_series),
          TEST(exemplars_end_with_their_series), TEST(who_records_waits_for_no_lock),
          TEST(no_two_series_have_the_same_id_and_generation), TEST(what_does_not_change_ends_in_every_kind),
          TEST(nothing_ends_where_nobody_looks), TEST(setting_the_same_value_is_idle_unless_touched),
          TEST(what_changes_just_then_stays), TEST(idleness_can_be_changed), TEST(a_sweep_believes_its_caller),
          TEST(a_page_in_pieces_stays_good_while_series_end_and_return),
          TEST(a_long_page_stays_good_while_a_thousand_series_end), TEST(a_child_ends_series_of_its_own_copy),
          TEST(stats_say_what_is_kept), TEST(the_heaviest_have_series_of_their_own_and_no_increment_is_lost),
          TEST(a_page_that_passed_before_the_promise_has_not_shown_it), TEST(counters_are_weighed_by_amount),
          TEST(who_is_demoted_stays_frozen_and_then_ends), TEST(a_lower_top_lets_the_lightest_go))
