/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_desc.c - every rule of struct kymo_desc, each broken in turn: the error has its name, the log names the culprit,
 * and the registry is as it was.
 *
 * How: tables of bad input beside tables of input that is just good enough, through the public calls of the three kinds
 * that count, and through collectors, which may announce all eight. Clashes are tried in both orders, since the second
 * to come is the one refused.
 */
#include <math.h>

#include "page.h"

static struct log_book book;

static struct kymo_registry *registry_with(const char *prefix, const char *const_label)
{
    struct kymo_label label = {const_label, "v"};
    struct kymo_registry_options o;
    struct kymo_registry *reg;
    memset(&o, 0, sizeof(o));
    o.size = sizeof(o);
    o.log = log_note;
    o.log_ctx = &book;
    o.prefix = prefix;
    o.const_labels = &label;
    o.n_const_labels = const_label != NULL;
    o.no_self_metrics = 1;
    REQUIRE(kymo_registry_new(&o, &reg) == 0);
    return reg;
}

static int report_nothing(void *ctx, struct kymo_visit *visit)
{
    (void)ctx;
    (void)visit;
    return 0;
}

/* A collector of one family. */
static int announce(struct kymo_registry *reg, enum kymo_kind kind, const struct kymo_desc *d)
{
    static unsigned n;
    char name[32];
    struct kymo_collector_ops ops;
    struct kymo_collector *c = (struct kymo_collector *)name;
    (void)snprintf(name, sizeof(name), "collector_%u", n++);
    memset(&ops, 0, sizeof(ops));
    ops.size = sizeof(ops);
    ops.name = name;
    ops.descs = d;
    ops.kinds = &kind;
    ops.n_descs = 1;
    ops.collect = report_nothing;
    int r = kymo_collector_attach(reg, &ops, NULL, &c);
    CHECK((c != NULL) == (r == 0));
    return r;
}

/* Registers a family of a kind, with labels if it has some. */
static int add(struct kymo_registry *reg, enum kymo_kind kind, const struct kymo_desc *d)
{
    if (kind > KYMO_HISTOGRAM)
        return announce(reg, kind, d);
    void *f = &f;
    int r = kind == KYMO_COUNTER ? kymo_counter_family_new(reg, d, (struct kymo_counter_family **)&f)
            : kind == KYMO_GAUGE ? kymo_gauge_family_new(reg, d, (struct kymo_gauge_family **)&f)
                                 : kymo_histogram_family_new(reg, d, (struct kymo_histogram_family **)&f);
    CHECK((f != NULL) == (r == 0));
    return r;
}

static int add_single(struct kymo_registry *reg, enum kymo_kind kind, const struct kymo_desc *d)
{
    void *h = &h;
    int r = kind == KYMO_COUNTER ? kymo_counter_new(reg, d, (struct kymo_counter **)&h)
            : kind == KYMO_GAUGE ? kymo_gauge_new(reg, d, (struct kymo_gauge **)&h)
                                 : kymo_histogram_new(reg, d, (struct kymo_histogram **)&h);
    CHECK((h != NULL) == (r == 0));
    return r;
}

static size_t families(struct kymo_registry *reg)
{
    struct kymo_registry_stats stats = {.size = sizeof(stats)};
    CHECK_INT(kymo_registry_get_stats(reg, &stats), 0);
    return stats.n_families + stats.n_series;
}

/* Both ways of registering refuse it by this name, say so in the log, and change nothing. */
static void must_refuse(struct kymo_registry *reg, enum kymo_kind kind, const struct kymo_desc *d, int error)
{
    size_t before = families(reg);
    book.n = 0;
    CHECK_INT(add(reg, kind, d), error);
    CHECK_U64(book.n, 1);
    CHECK_INT((int)book.level, KYMO_LOG_ERROR);
    if (d->name != NULL && d->name[0] != '\0' && strlen(d->name) < 256)
        CHECK(strstr(book.last, d->name) != NULL);
    CHECK(strstr(book.last, kymo_strerror(error)) != NULL);
    if (kind <= KYMO_HISTOGRAM)
        CHECK_INT(announce(reg, kind, d), error);
    if (d->n_labels == 0 && kind <= KYMO_HISTOGRAM)
        CHECK_INT(add_single(reg, kind, d), error);
    CHECK_U64(families(reg), before);
}

static void must_take(struct kymo_registry *reg, enum kymo_kind kind, const struct kymo_desc *d)
{
    int r = add(reg, kind, d);
    if (r != 0)
        fprintf(stderr, "%s: %s\n", d->name, kymo_error_name(r));
    CHECK_INT(r, 0);
}

static char *repeat(char c, size_t n)
{
    char *s = malloc(n + 1);
    REQUIRE(s != NULL);
    memset(s, c, n);
    s[n] = '\0';
    return s;
}

static void test_names(void)
{
    static const char *const bad[] = {NULL, "",   "1a",  "a-b", "a b", "a\n", "a.b",   "\xc3\xa9t\xc3\xa9",
                                      " a", "a ", "a{}", "a\"", "-",   "9",   "a\xff", "a\x7f"};
    static const char *const good[] = {"a", "_", ":", "A", "a1", "a:b", "__a", "le", "_1", "a_total", "quantile"};
    struct kymo_registry *reg = registry_with(NULL, NULL);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        for (int kind = 1; kind <= 3; kind++)
            must_refuse(reg, (enum kymo_kind)kind, KYMO_DESC(.name = bad[i], .help = "H."), KYMO_ENAME);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        must_take(reg, KYMO_GAUGE, KYMO_DESC(.name = good[i], .help = "H."));
    kymo_registry_free(reg);
}

static void test_long_names_with_and_without_prefix(void)
{
    struct kymo_registry *plain = registry_with(NULL, NULL), *prefixed = registry_with("prefix_", NULL);
    char *name = repeat('n', 300);
    name[256] = '\0';
    must_refuse(plain, KYMO_GAUGE, KYMO_DESC(.name = name, .help = "H."), KYMO_ENAME);
    name[255] = '\0';
    must_take(plain, KYMO_GAUGE, KYMO_DESC(.name = name, .help = "H."));
    name[255 - 6] = '\0';
    must_refuse(prefixed, KYMO_GAUGE, KYMO_DESC(.name = name, .help = "H."), KYMO_ENAME);
    name[255 - 7] = '\0';
    must_take(prefixed, KYMO_GAUGE, KYMO_DESC(.name = name, .help = "H."));
    free(name);
    kymo_registry_free(plain);
    kymo_registry_free(prefixed);
}

static void test_labels(void)
{
    static const struct {
        const char *label;
        int error;
    } bad[] = {
        {NULL, KYMO_ELABEL},       {"", KYMO_ELABEL},      {"1", KYMO_ELABEL},      {"a:b", KYMO_ELABEL},
        {"a-b", KYMO_ELABEL},      {"a b", KYMO_ELABEL},   {"__x", KYMO_ERESERVED}, {"__name__", KYMO_ERESERVED},
        {"\xc3\xa9", KYMO_ELABEL}, {"first", KYMO_ELABEL}, /* a second time */
        {"constant", KYMO_ELABEL},                         /* every sample has that one */
    };
    struct kymo_registry *reg = registry_with(NULL, "constant");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        for (int kind = 1; kind <= 3; kind++)
            must_refuse(reg, (enum kymo_kind)kind,
                        KYMO_DESC(.name = "x", .help = "H.", KYMO_LABELS("first", bad[i].label)), bad[i].error);
    must_take(reg, KYMO_COUNTER, KYMO_DESC(.name = "c_total", .help = "H.", KYMO_LABELS("LE", "_", "a1", "Z_9")));
    must_refuse(reg, KYMO_COUNTER, KYMO_DESC(.name = "x", .help = "H.", .labels = NULL, .n_labels = 1), KYMO_ELABEL);

    char text[33][8];
    const char *labels[33];
    for (int i = 0; i < 33; i++) {
        (void)snprintf(text[i], sizeof(text[i]), "l%d", i);
        labels[i] = text[i];
    }
    must_refuse(reg, KYMO_GAUGE, KYMO_DESC(.name = "x", .help = "H.", .labels = labels, .n_labels = 33), KYMO_ELABEL);
    must_take(reg, KYMO_GAUGE, KYMO_DESC(.name = "x", .help = "H.", .labels = labels, .n_labels = 32));
    char *long_label = repeat('l', 256);
    must_refuse(reg, KYMO_GAUGE, KYMO_DESC(.name = "y", .help = "H.", KYMO_LABELS(long_label)), KYMO_ELABEL);
    free(long_label);
    kymo_registry_free(reg);
}

/* Of any kind that can have labels, so that whoever reads the error reads the same one everywhere. */
static const struct kymo_desc *labelled(enum kymo_kind kind, const char *const label[1], const struct kymo_guard *guard)
{
    static const char *const states[] = {"on"};
    static struct kymo_desc d;
    kymo_desc_init(&d, "x_info", "H.");
    kymo_desc_set_labels(&d, label, 1);
    if (kind == KYMO_STATESET)
        kymo_desc_set_states(&d, states, 1);
    d.guard = guard;
    return &d;
}

static void test_labels_of_the_server_and_the_formats_are_reserved_in_every_kind(void)
{
    static const char *const reserved[] = {"job", "instance", "le", "quantile", "__x", "__name__"};
    struct kymo_registry *reg = registry_with(NULL, NULL);
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
        for (int kind = KYMO_COUNTER; kind <= KYMO_UNKNOWN; kind++) {
            must_refuse(reg, (enum kymo_kind)kind, labelled((enum kymo_kind)kind, &reserved[i], NULL), KYMO_ERESERVED);
            CHECK(strstr(book.last, reserved[i]) != NULL);
        }
    must_refuse(reg, KYMO_STATESET, KYMO_DESC(.name = "job", .help = "H.", KYMO_STATES("a")), KYMO_ENAME);
    kymo_registry_free(reg);
}

static void test_constant_labels_must_not_be_reserved_either(void)
{
    static const char *const reserved[] = {"job", "instance", "le", "quantile", "__x", "__name__"};
    struct kymo_label label = {NULL, "v"};
    struct kymo_registry_options o;
    struct kymo_registry *reg;
    memset(&o, 0, sizeof(o));
    o.size = sizeof(o);
    o.log = log_note;
    o.log_ctx = &book;
    o.const_labels = &label;
    o.n_const_labels = 1;
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        label.name = reserved[i];
        CHECK_INT(kymo_registry_new(&o, &reg), KYMO_ERESERVED);
        CHECK(reg == NULL && strstr(book.last, reserved[i]) != NULL);
    }
    label.name = "ip"; /* has one value */
    CHECK_INT(kymo_registry_new(&o, &reg), 0);
    kymo_registry_free(reg);
}

/* ---- guards ---- */

static const char *const unbounded[] = {"user_id",  "customer_id", "request_id", "session_id",
                                        "trace_id", "span_id",     "email",      "ip"};

static void test_labels_without_bound_need_a_policy_in_every_kind(void)
{
    static const struct kymo_guard plain = {.policy = KYMO_GUARD_PLAIN, .max_series = 5},
                                   limit = {.policy = KYMO_GUARD_LIMIT}, top = {.policy = KYMO_GUARD_TOP};
    for (size_t i = 0; i < sizeof(unbounded) / sizeof(unbounded[0]); i++)
        for (int n = KYMO_COUNTER; n <= KYMO_UNKNOWN; n++) {
            enum kymo_kind kind = (enum kymo_kind)n;
            struct kymo_registry *reg = registry_with(NULL, NULL);
            must_refuse(reg, kind, labelled(kind, &unbounded[i], NULL), KYMO_EUNBOUNDED);
            CHECK(strstr(book.last, unbounded[i]) != NULL);
            CHECK(strstr(book.last, "KYMO_GUARD_LIMIT") != NULL);
            must_refuse(reg, kind, labelled(kind, &unbounded[i], &plain), KYMO_EUNBOUNDED);
            if (kind == KYMO_COUNTER || kind == KYMO_HISTOGRAM) {
                must_take(reg, kind, labelled(kind, &unbounded[i], &top));
                kymo_registry_free(reg);
                reg = registry_with(NULL, NULL);
            } else {
                must_refuse(reg, kind, labelled(kind, &unbounded[i], &top), KYMO_EGUARD);
            }
            must_take(reg, kind, labelled(kind, &unbounded[i], &limit));
            kymo_registry_free(reg);
        }
}

static void test_names_like_those_without_bound_are_fine(void)
{
    static const char *const fine[] = {"user", "User_id", "user_ids", "id", "ips", "mail", "_ip", "trace"};
    struct kymo_registry *reg = registry_with(NULL, NULL);
    must_take(reg, KYMO_GAUGE, KYMO_DESC(.name = "g", .help = "H.", .labels = fine, .n_labels = 8));
    kymo_registry_free(reg);
}

static void test_guards(void)
{
    static const struct kymo_guard bad[] = {
        {.idle_ns = -1},
        {.idle_ns = INT64_MIN},
        {.policy = (enum kymo_guard_policy)3},
        {.policy = (enum kymo_guard_policy)(-1)},
        {.after_end = (enum kymo_after_end)2},
        {.max_series = 10000001},
        {.max_series = UINT32_MAX},
    };
    static const struct kymo_guard good[] = {
        {.idle_ns = INT64_MAX}, {.max_series = 10000000},        {.max_series = 1},
        {.max_value_bytes = 1}, {.max_value_bytes = UINT32_MAX}, {.linger_ms = UINT32_MAX},
        {.touch = 7},           {.policy = KYMO_GUARD_LIMIT},    {.after_end = KYMO_TO_OVERFLOW},
    };
    static const char *const label[] = {"l"};
    struct kymo_registry *reg = registry_with(NULL, NULL);
    for (int kind = KYMO_COUNTER; kind <= KYMO_UNKNOWN; kind++)
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
            must_refuse(reg, (enum kymo_kind)kind, labelled((enum kymo_kind)kind, label, &bad[i]), KYMO_EGUARD);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char name[16];
        struct kymo_desc d = *labelled(KYMO_GAUGE, label, &good[i]);
        (void)snprintf(name, sizeof(name), "g%zu", i);
        d.name = name;
        must_take(reg, KYMO_GAUGE, &d);
    }
    for (int kind = KYMO_COUNTER; kind <= KYMO_HISTOGRAM; kind++) /* without labels */
        must_refuse(reg, (enum kymo_kind)kind, KYMO_DESC(.name = "x", .help = "H.", .guard = &good[2]), KYMO_EGUARD);
    must_refuse(reg, KYMO_GAUGE,
                KYMO_DESC(.name = "x", .help = "H.", KYMO_LABELS("l"), KYMO_GUARD(.policy = KYMO_GUARD_TOP)),
                KYMO_EGUARD);
    must_take(reg, KYMO_COUNTER,
              KYMO_DESC(.name = "x", .help = "H.", KYMO_LABELS("l"), KYMO_GUARD(.policy = KYMO_GUARD_TOP)));
    must_take(reg, KYMO_HISTOGRAM,
              KYMO_DESC(.name = "h", .help = "H.", KYMO_LABELS("l"), KYMO_GUARD(.policy = KYMO_GUARD_TOP)));
    kymo_registry_free(reg);
}

/* A visitor sees the guard as it is in force; where none was given there is none to see. */
static int see_guard(void *ctx, const struct kymo_family *family)
{
    const struct kymo_guard *g = family->desc->guard, *want = ctx;
    CHECK((g != NULL) == (family->name[0] == 'g'));
    if (g != NULL) {
        CHECK_INT((int)g->policy, (int)want->policy);
        CHECK_U64(g->max_series, want->max_series);
        CHECK_U64(g->max_value_bytes, want->max_value_bytes);
        CHECK_U64(g->linger_ms, want->linger_ms);
        CHECK(g->idle_ns == want->idle_ns);
    }
    return 0;
}

static int see_nothing(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    (void)ctx;
    (void)family;
    (void)point;
    return 0;
}

static void test_zeros_of_a_guard_are_its_defaults(void)
{
    struct kymo_guard given[] = {{.idle_ns = 7}, {.policy = KYMO_GUARD_TOP}, {KYMO_GUARD_LIMIT, 0, 3, 4, 5, 6, 7}};
    struct kymo_guard want[] = {{0, 0, 2000, 1024, 300000, 0, 7},
                                {KYMO_GUARD_TOP, 0, 100, 1024, 300000, 0, 0},
                                {KYMO_GUARD_LIMIT, 0, 3, 4, 5, 6, 7}};
    for (size_t i = 0; i < 3; i++) {
        const struct kymo_visitor visitor = {sizeof(visitor), &want[i], see_guard, see_nothing, NULL};
        struct kymo_registry *reg = registry_with(NULL, NULL);
        struct kymo_counter_family *f, *without;
        REQUIRE(kymo_counter_family_new(reg, KYMO_DESC(.name = "g", .help = "H.", KYMO_LABELS("l"), .guard = &given[i]),
                                        &f) == 0);
        REQUIRE(kymo_counter_family_new(reg, KYMO_DESC(.name = "x", .help = "H.", KYMO_LABELS("l")), &without) == 0);
        memset(&given[i], 0xff, sizeof(given[i])); /* it was copied */
        kymo_counter_inc(kymo_counter_with(f, KYMO_VALUES("v")));
        kymo_counter_inc(kymo_counter_with(without, KYMO_VALUES("v")));
        CHECK_INT(kymo_registry_visit(reg, &visitor), 0);
        kymo_registry_free(reg);
    }
}

static void test_the_log_names_the_label_that_is_wrong(void)
{
    struct kymo_registry *reg = registry_with(NULL, NULL);
    must_refuse(reg, KYMO_GAUGE, KYMO_DESC(.name = "x", .help = "H.", KYMO_LABELS("fine", "not-fine")), KYMO_ELABEL);
    CHECK(strstr(book.last, "not-fine") != NULL);
    kymo_registry_free(reg);
}

static void test_help(void)
{
    static const char *const not_utf8[] = {"\xff", "a\x80", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"};
    struct kymo_registry *reg = registry_with(NULL, NULL);
    must_refuse(reg, KYMO_COUNTER, KYMO_DESC(.name = "x", .help = NULL), KYMO_EHELP);
    must_refuse(reg, KYMO_COUNTER, KYMO_DESC(.name = "x", .help = ""), KYMO_EHELP);
    for (size_t i = 0; i < sizeof(not_utf8) / sizeof(not_utf8[0]); i++)
        must_refuse(reg, KYMO_COUNTER, KYMO_DESC(.name = "x", .help = not_utf8[i]), KYMO_EUTF8);
    struct kymo_counter *c;
    CHECK_INT(kymo_counter_new(reg, KYMO_DESC(.name = "x_total", .help = "a\\b\"c\nd \xe2\x82\xac"), &c), 0);
    CHECK(page_has(reg, "# HELP x_total a\\\\b\"c\\nd \xe2\x82\xac"));
    kymo_registry_free(reg);
}

static void test_units(void)
{
    static const struct {
        enum kymo_kind kind;
        const char *name, *unit;
        int error;
    } cases[] = {
        {KYMO_COUNTER, "a_seconds_total", "seconds", 0},
        {KYMO_COUNTER, "b_seconds", "seconds", 0},
        {KYMO_GAUGE, "c_bytes", "bytes", 0},
        {KYMO_GAUGE, "d", "", 0},
        {KYMO_HISTOGRAM, "e_seconds", "seconds", 0},
        {KYMO_COUNTER, "x_total", "total", KYMO_EUNIT},
        {KYMO_COUNTER, "x_seconds_total_total", "seconds", KYMO_EUNIT},
        {KYMO_GAUGE, "x_seconds_total", "seconds", KYMO_EUNIT}, /* only counters end in _total */
        {KYMO_GAUGE, "seconds", "seconds", KYMO_EUNIT},
        {KYMO_GAUGE, "_seconds", "seconds", KYMO_EUNIT},
        {KYMO_GAUGE, "x_seconds_x", "seconds", KYMO_EUNIT},
        {KYMO_GAUGE, "xseconds", "seconds", KYMO_EUNIT},
        {KYMO_GAUGE, "x", "seconds", KYMO_EUNIT},
        {KYMO_HISTOGRAM, "x_second", "seconds", KYMO_EUNIT},
        {KYMO_SUMMARY, "f_seconds", "seconds", 0},
        {KYMO_GAUGE_HISTOGRAM, "g_seconds", "seconds", 0},
        {KYMO_UNKNOWN, "h_seconds", "seconds", 0},
        {KYMO_SUMMARY, "x_seconds_sum", "seconds", KYMO_EUNIT},
        {KYMO_UNKNOWN, "x_seconds_total", "seconds", KYMO_EUNIT},
        {KYMO_INFO, "x_seconds_info", "seconds", KYMO_EUNIT},
        {KYMO_INFO, "x_info", "info", KYMO_EUNIT},
        {KYMO_INFO, "i_info", "", 0},
        {KYMO_HISTOGRAM, "x_bytes", "\xff", KYMO_EUNIT},
    };
    struct kymo_registry *reg = registry_with(NULL, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct kymo_desc *d = KYMO_DESC(.name = cases[i].name, .help = "H.", .unit = cases[i].unit);
        if (cases[i].error != 0)
            must_refuse(reg, cases[i].kind, d, cases[i].error);
        else
            must_take(reg, cases[i].kind, d);
    }
    kymo_registry_free(reg);
}

static void test_bounds(void)
{
    static double many[501];
    static const double bad[][3] = {{1, 1, 2},
                                    {2, 1, 3},
                                    {0, -0.0, 1},
                                    {(double)NAN, 1, 2},
                                    {1, 2, (double)NAN},
                                    {1, 2, (double)INFINITY},
                                    {-(double)INFINITY, 1, 2}};
    struct kymo_registry *reg = registry_with(NULL, NULL);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        must_refuse(reg, KYMO_HISTOGRAM, KYMO_DESC(.name = "h", .help = "H.", .bounds = bad[i], .n_bounds = 3),
                    KYMO_EBUCKETS);
    for (int i = 0; i < 501; i++)
        many[i] = i;
    must_refuse(reg, KYMO_HISTOGRAM, KYMO_DESC(.name = "h", .help = "H.", .bounds = many, .n_bounds = 501),
                KYMO_EBUCKETS);
    must_refuse(reg, KYMO_HISTOGRAM, KYMO_DESC(.name = "h", .help = "H.", .bounds = NULL, .n_bounds = 3),
                KYMO_EBUCKETS);
    must_refuse(reg, KYMO_HISTOGRAM, KYMO_DESC(.name = "h", .help = "H.", .bounds = many, .n_bounds = 0),
                KYMO_EBUCKETS);
    must_refuse(reg, KYMO_COUNTER, KYMO_DESC(.name = "c", .help = "H.", .bounds = many, .n_bounds = 3), KYMO_EKIND);
    must_refuse(reg, KYMO_GAUGE, KYMO_DESC(.name = "g", .help = "H.", .bounds = many), KYMO_EKIND);
    must_refuse(reg, KYMO_GAUGE, KYMO_DESC(.name = "g", .help = "H.", .n_bounds = 3), KYMO_EKIND);
    must_take(reg, KYMO_HISTOGRAM, KYMO_DESC(.name = "h500", .help = "H.", .bounds = many, .n_bounds = 500));
    must_take(reg, KYMO_HISTOGRAM, KYMO_DESC(.name = "h1", .help = "H.", KYMO_BOUNDS(0)));
    must_take(reg, KYMO_HISTOGRAM, KYMO_DESC(.name = "hp", .help = "H.", KYMO_BUCKETS(kymo_buckets_ttft)));
    kymo_registry_free(reg);
}

static void test_gauge_modes(void)
{
    struct kymo_registry *reg = registry_with(NULL, NULL);
    must_refuse(reg, KYMO_COUNTER, KYMO_DESC(.name = "c", .help = "H.", .gauge_mode = KYMO_GAUGE_UPDOWN), KYMO_EKIND);
    must_refuse(reg, KYMO_HISTOGRAM, KYMO_DESC(.name = "h", .help = "H.", .gauge_mode = KYMO_GAUGE_UPDOWN), KYMO_EKIND);
    must_refuse(reg, KYMO_GAUGE, KYMO_DESC(.name = "g", .help = "H.", .gauge_mode = (enum kymo_gauge_mode)7),
                KYMO_EINVAL);
    must_take(reg, KYMO_GAUGE, KYMO_DESC(.name = "g", .help = "H.", .gauge_mode = KYMO_GAUGE_UPDOWN));
    kymo_registry_free(reg);
}

static void test_kinds_that_there_are_not(void)
{
    struct kymo_registry *reg = registry_with(NULL, NULL);
    const struct kymo_desc *d = KYMO_DESC(.name = "x_info", .help = "H.");
    CHECK_INT(announce(reg, (enum kymo_kind)0, d), KYMO_EINVAL);
    CHECK_INT(announce(reg, (enum kymo_kind)9, d), KYMO_EINVAL);
    CHECK_INT(announce(reg, (enum kymo_kind)(-1), d), KYMO_EINVAL);
    must_take(reg, KYMO_INFO, d);
    kymo_registry_free(reg);
}

static void test_an_info_says_so_at_its_end(void)
{
    static const char *const bad[] = {"x", "info", "_info", "x_info_", "x_infos", "xinfo", "x_INFO"};
    static const struct kymo_alias alias = {"old", "2027-03"}, good = {"old_info", "2027-03"};
    struct kymo_registry *reg = registry_with("p_", NULL);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        must_refuse(reg, KYMO_INFO, KYMO_DESC(.name = bad[i], .help = "H."), KYMO_ENAME);
    must_refuse(reg, KYMO_INFO, KYMO_DESC(.name = "x_info", .help = "H.", .aliases = &alias, .n_aliases = 1),
                KYMO_ENAME);
    must_take(reg, KYMO_INFO, KYMO_DESC(.name = "x_info", .help = "H.", .aliases = &good, .n_aliases = 1));
    must_take(reg, KYMO_GAUGE, KYMO_DESC(.name = "y_info", .help = "H."));
    kymo_registry_free(reg);
}

static void must_refuse_states(struct kymo_registry *reg, const char *const *states, size_t n)
{
    must_refuse(reg, KYMO_STATESET, KYMO_DESC(.name = "s", .help = "H.", .states = states, .n_states = n),
                KYMO_ESTATES);
}

static void test_states(void)
{
    static const char *const bad[][2] = {{"a", NULL}, {"a", ""}, {"a", "a"}, {"a", "\xff"}, {"\xc0\x80", "a"}};
    static const char *const good[] = {"a", "A", "a b", "\"", "\xe2\x82\xac", "__x", "le"};
    struct kymo_registry *reg = registry_with(NULL, NULL);
    char text[65][4];
    const char *many[65];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        must_refuse_states(reg, bad[i], 2);
    for (int i = 0; i < 65; i++) {
        (void)snprintf(text[i], sizeof(text[i]), "%d", i);
        many[i] = text[i];
    }
    must_refuse_states(reg, many, 65);
    must_refuse_states(reg, many, 0);
    must_refuse_states(reg, NULL, 0);
    must_refuse_states(reg, NULL, 2);
    must_take(reg, KYMO_STATESET, KYMO_DESC(.name = "s64", .help = "H.", .states = many, .n_states = 64));
    must_take(reg, KYMO_STATESET, KYMO_DESC(.name = "s1", .help = "H.", .states = many, .n_states = 1));
    must_take(reg, KYMO_STATESET, KYMO_DESC(.name = "s7", .help = "H.", .states = good, .n_states = 7));
    for (int kind = KYMO_COUNTER; kind <= KYMO_UNKNOWN; kind++)
        if (kind != KYMO_STATESET) {
            must_refuse(reg, (enum kymo_kind)kind,
                        KYMO_DESC(.name = "x_info", .help = "H.", .states = many, .n_states = 1), KYMO_EKIND);
            must_refuse(reg, (enum kymo_kind)kind, KYMO_DESC(.name = "x_info", .help = "H.", .states = many),
                        KYMO_EKIND);
            must_refuse(reg, (enum kymo_kind)kind, KYMO_DESC(.name = "x_info", .help = "H.", .n_states = 1),
                        KYMO_EKIND);
        }
    kymo_registry_free(reg);
}

/* Its states are told apart by a label that has its name. */
static void test_a_state_set_s_name_is_the_name_of_a_label(void)
{
    struct kymo_registry *reg = registry_with("p_", "p_constant"), *colon = registry_with("p:", NULL);
    must_refuse(reg, KYMO_STATESET, KYMO_DESC(.name = "s", .help = "H.", KYMO_LABELS("x", "p_s"), KYMO_STATES("a")),
                KYMO_ESTATES);
    must_refuse(reg, KYMO_STATESET, KYMO_DESC(.name = "constant", .help = "H.", KYMO_STATES("a")), KYMO_ESTATES);
    must_refuse(reg, KYMO_STATESET, KYMO_DESC(.name = "a:b", .help = "H.", KYMO_STATES("a")), KYMO_ENAME);
    must_refuse(colon, KYMO_STATESET, KYMO_DESC(.name = "s", .help = "H.", KYMO_STATES("a")), KYMO_ENAME);
    must_refuse(reg, KYMO_STATESET, KYMO_DESC(.name = "s_bytes", .help = "H.", .unit = "bytes", KYMO_STATES("a")),
                KYMO_EUNIT);
    must_take(reg, KYMO_STATESET, KYMO_DESC(.name = "s", .help = "H.", KYMO_LABELS("x", "s"), KYMO_STATES("a")));
    kymo_registry_free(reg);
    reg = registry_with(NULL, NULL);
    must_refuse(reg, KYMO_STATESET, KYMO_DESC(.name = "__s", .help = "H.", KYMO_STATES("a")), KYMO_ENAME);
    kymo_registry_free(reg);
    kymo_registry_free(colon);
}

static void test_native_options(void)
{
    static const struct kymo_native bad[] = {
        {.bucket_factor = 1},
        {.bucket_factor = 0.5},
        {.bucket_factor = -2},
        {.bucket_factor = (double)NAN},
        {.bucket_factor = (double)INFINITY},
        {.zero_threshold = (double)NAN},
        {.zero_threshold = (double)INFINITY},
        {.zero_threshold = -(double)INFINITY},
        {.max_zero_threshold = -1},
        {.max_zero_threshold = (double)NAN},
        {.max_zero_threshold = (double)INFINITY},
        {.max_buckets = 1001},
        {.max_exemplars = 65},
        {.min_reset_ns = -1},
    };
    static const struct kymo_native good[] = {
        {.bucket_factor = 0},   {.bucket_factor = 1.0000001},  {.bucket_factor = 1e300},
        {.zero_threshold = -1}, {.max_zero_threshold = 1e300}, {.max_buckets = 1000},
        {.max_exemplars = 64},  {.min_reset_ns = INT64_MAX},   {.exemplar_ttl_ns = -1},
    };
    struct kymo_registry *reg = registry_with(NULL, NULL);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        must_refuse(reg, KYMO_HISTOGRAM, KYMO_DESC(.name = "h", .help = "H.", .native = &bad[i]), KYMO_ENATIVE);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "h%zu", i);
        must_take(reg, KYMO_HISTOGRAM, KYMO_DESC(.name = name, .help = "H.", .native = &good[i]));
    }
    must_take(reg, KYMO_HISTOGRAM, KYMO_DESC(.name = "both", .help = "H.", KYMO_NATIVE(0), KYMO_BOUNDS(1, 2)));
    must_refuse(reg, KYMO_HISTOGRAM, KYMO_DESC(.name = "both_", .help = "H.", KYMO_NATIVE(0), KYMO_BOUNDS(2, 1)),
                KYMO_EBUCKETS);
    for (int kind = KYMO_COUNTER; kind <= KYMO_UNKNOWN; kind++)
        if (kind != KYMO_HISTOGRAM)
            must_refuse(reg, (enum kymo_kind)kind, KYMO_DESC(.name = "x_info", .help = "H.", KYMO_NATIVE(0)),
                        KYMO_EKIND);
    kymo_registry_free(reg);
}

static void test_exemplars_are_of_counters_and_histograms(void)
{
    struct kymo_registry *reg = registry_with(NULL, NULL);
    for (int kind = KYMO_COUNTER; kind <= KYMO_UNKNOWN; kind++)
        if (kind != KYMO_COUNTER && kind != KYMO_HISTOGRAM)
            must_refuse(reg, (enum kymo_kind)kind,
                        KYMO_DESC(.name = "x_info", .help = "H.", .exemplar_every = 1,
                                  .states = kind == KYMO_STATESET ? (const char *const[]){"a"} : NULL,
                                  .n_states = kind == KYMO_STATESET),
                        KYMO_EKIND);
    must_take(reg, KYMO_COUNTER, KYMO_DESC(.name = "c_total", .help = "H.", .exemplar_every = 1));
    must_take(reg, KYMO_HISTOGRAM, KYMO_DESC(.name = "h", .help = "H.", .exemplar_every = UINT32_MAX));
    kymo_registry_free(reg);
}

static void test_labels_on_a_single_series(void)
{
    struct kymo_registry *reg = registry_with(NULL, NULL);
    for (int kind = 1; kind <= 3; kind++) {
        book.n = 0;
        CHECK_INT(add_single(reg, (enum kymo_kind)kind, KYMO_DESC(.name = "x_y", .help = "H.", KYMO_LABELS("a"))),
                  KYMO_EKIND);
        CHECK(book.n == 1 && strstr(book.last, "x_y") != NULL);
    }
    CHECK_U64(families(reg), 0);
    kymo_registry_free(reg);
}

static void test_aliases_are_checked(void)
{
    static const struct kymo_alias bad[] = {{"good", NULL}, {"not good", "2027-03"}}, none = {NULL, NULL};
    struct kymo_registry *reg = registry_with(NULL, NULL);
    must_refuse(reg, KYMO_GAUGE, KYMO_DESC(.name = "g", .help = "H.", .aliases = bad, .n_aliases = 2), KYMO_ENAME);
    must_refuse(reg, KYMO_GAUGE, KYMO_DESC(.name = "g", .help = "H.", .aliases = &none, .n_aliases = 1), KYMO_ENAME);
    must_refuse(reg, KYMO_GAUGE, KYMO_DESC(.name = "g", .help = "H.", .aliases = NULL, .n_aliases = 1), KYMO_EINVAL);
    kymo_registry_free(reg);
}

static void test_names_that_would_write_each_other_s_lines_clash_in_both_orders(void)
{
    static const struct {
        enum kymo_kind a_kind;
        const char *a;
        enum kymo_kind b_kind;
        const char *b;
        int error;
    } cases[] = {
        {KYMO_COUNTER, "x", KYMO_COUNTER, "x_total", KYMO_ECLASH},
        {KYMO_GAUGE, "x", KYMO_COUNTER, "x_total", KYMO_ECLASH},
        {KYMO_HISTOGRAM, "x", KYMO_COUNTER, "x_total", KYMO_ECLASH},
        {KYMO_COUNTER, "x_total", KYMO_GAUGE, "x_created", KYMO_ECLASH},
        {KYMO_COUNTER, "x", KYMO_GAUGE, "x_created", KYMO_ECLASH},
        {KYMO_COUNTER, "x", KYMO_GAUGE, "x_total", KYMO_ECLASH},
        {KYMO_HISTOGRAM, "x", KYMO_GAUGE, "x_sum", KYMO_ECLASH},
        {KYMO_HISTOGRAM, "x", KYMO_GAUGE, "x_count", KYMO_ECLASH},
        {KYMO_HISTOGRAM, "x", KYMO_GAUGE, "x_bucket", KYMO_ECLASH},
        {KYMO_HISTOGRAM, "x", KYMO_GAUGE, "x_created", KYMO_ECLASH},
        {KYMO_HISTOGRAM, "x", KYMO_COUNTER, "x_sum", KYMO_ECLASH},
        {KYMO_HISTOGRAM, "x", KYMO_HISTOGRAM, "x_count", KYMO_ECLASH},
        {KYMO_COUNTER, "x", KYMO_COUNTER, "x", KYMO_EEXIST},
        {KYMO_COUNTER, "x", KYMO_GAUGE, "x", KYMO_EEXIST},
        {KYMO_HISTOGRAM, "x", KYMO_GAUGE, "x", KYMO_EEXIST},
        {KYMO_GAUGE, "x", KYMO_GAUGE, "x_sum", 0},
        {KYMO_GAUGE, "x", KYMO_GAUGE, "x_total", 0},
        {KYMO_GAUGE, "x", KYMO_GAUGE, "x_created", 0},
        {KYMO_COUNTER, "x_total", KYMO_GAUGE, "x_sum", 0},
        {KYMO_COUNTER, "x_total", KYMO_COUNTER, "x_total_total", KYMO_ECLASH}, /* x_total: a line, and a family */
        {KYMO_HISTOGRAM, "x", KYMO_COUNTER, "x_sum_total", KYMO_ECLASH},       /* so in OpenMetrics */
        {KYMO_HISTOGRAM, "x", KYMO_GAUGE, "x_sums", 0},
        {KYMO_HISTOGRAM, "x_sum", KYMO_GAUGE, "x_sum_of", 0},
        {KYMO_HISTOGRAM, "x", KYMO_HISTOGRAM, "y", 0},
        {KYMO_SUMMARY, "x", KYMO_GAUGE, "x_sum", KYMO_ECLASH},
        {KYMO_SUMMARY, "x", KYMO_GAUGE, "x_count", KYMO_ECLASH},
        {KYMO_SUMMARY, "x", KYMO_UNKNOWN, "x_created", KYMO_ECLASH},
        {KYMO_SUMMARY, "x", KYMO_GAUGE, "x_bucket", 0},
        {KYMO_SUMMARY, "x", KYMO_GAUGE, "x", KYMO_EEXIST},
        {KYMO_SUMMARY, "x", KYMO_COUNTER, "x_total", KYMO_ECLASH},
        {KYMO_GAUGE_HISTOGRAM, "x", KYMO_GAUGE, "x_bucket", KYMO_ECLASH},
        {KYMO_GAUGE_HISTOGRAM, "x", KYMO_GAUGE, "x_gcount", KYMO_ECLASH},
        {KYMO_GAUGE_HISTOGRAM, "x", KYMO_GAUGE, "x_gsum", KYMO_ECLASH},
        {KYMO_GAUGE_HISTOGRAM, "x", KYMO_GAUGE, "x_count", KYMO_ECLASH}, /* so in text */
        {KYMO_GAUGE_HISTOGRAM, "x", KYMO_GAUGE, "x_sum", KYMO_ECLASH},
        {KYMO_GAUGE_HISTOGRAM, "x", KYMO_GAUGE, "x_created", 0},
        {KYMO_HISTOGRAM, "x", KYMO_GAUGE, "x_gcount", 0},
        {KYMO_INFO, "x_info", KYMO_COUNTER, "x_total", KYMO_ECLASH}, /* one OpenMetrics family */
        {KYMO_INFO, "x_info", KYMO_COUNTER, "x", KYMO_ECLASH},
        {KYMO_INFO, "x_info", KYMO_GAUGE, "x", KYMO_ECLASH},
        {KYMO_INFO, "x_info", KYMO_UNKNOWN, "x", KYMO_ECLASH},
        {KYMO_INFO, "x_info", KYMO_GAUGE, "x_info", KYMO_EEXIST},
        {KYMO_INFO, "x_info", KYMO_INFO, "x_info_info", KYMO_ECLASH},
        {KYMO_INFO, "x_info", KYMO_COUNTER, "x_info_total", KYMO_ECLASH},
        {KYMO_INFO, "x_info", KYMO_GAUGE, "x_total", 0},
        {KYMO_INFO, "x_sum_info", KYMO_HISTOGRAM, "x", KYMO_ECLASH}, /* named x_sum in OpenMetrics */
        {KYMO_UNKNOWN, "x", KYMO_COUNTER, "x_total", KYMO_ECLASH},
        {KYMO_UNKNOWN, "x", KYMO_GAUGE, "x_total", 0},
        {KYMO_UNKNOWN, "x", KYMO_GAUGE, "x_info", 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (int swapped = 0; swapped < 2; swapped++) {
            struct kymo_registry *reg = registry_with("p_", NULL);
            const struct kymo_desc *a = KYMO_DESC(.name = cases[i].a, .help = "H.");
            const struct kymo_desc *b = KYMO_DESC(.name = cases[i].b, .help = "H.");
            int before = test_failures;
            must_take(reg, swapped ? cases[i].b_kind : cases[i].a_kind, swapped ? b : a);
            if (cases[i].error == 0)
                must_take(reg, swapped ? cases[i].a_kind : cases[i].b_kind, swapped ? a : b);
            else
                must_refuse(reg, swapped ? cases[i].a_kind : cases[i].b_kind, swapped ? a : b, cases[i].error);
            if (test_failures != before)
                fprintf(stderr, "... %s and %s\n", cases[i].a, cases[i].b);
            kymo_registry_free(reg);
        }
}

static void test_a_state_set_clashes_like_a_gauge(void)
{
    struct kymo_registry *reg = registry_with(NULL, NULL);
    must_take(reg, KYMO_STATESET, KYMO_DESC(.name = "x", .help = "H.", KYMO_STATES("a")));
    must_refuse(reg, KYMO_COUNTER, KYMO_DESC(.name = "x_total", .help = "H."), KYMO_ECLASH);
    must_refuse(reg, KYMO_INFO, KYMO_DESC(.name = "x_info", .help = "H."), KYMO_ECLASH);
    must_refuse(reg, KYMO_GAUGE, KYMO_DESC(.name = "x", .help = "H."), KYMO_EEXIST);
    must_take(reg, KYMO_HISTOGRAM, KYMO_DESC(.name = "y", .help = "H."));
    must_refuse(reg, KYMO_STATESET, KYMO_DESC(.name = "y_sum", .help = "H.", KYMO_STATES("a")), KYMO_ECLASH);
    must_take(reg, KYMO_GAUGE, KYMO_DESC(.name = "x_state", .help = "H."));
    kymo_registry_free(reg);
}

static void test_a_clash_ends_when_the_family_does(void)
{
    struct kymo_registry *reg = registry_with(NULL, NULL);
    must_take(reg, KYMO_HISTOGRAM, KYMO_DESC(.name = "x", .help = "H."));
    must_refuse(reg, KYMO_GAUGE, KYMO_DESC(.name = "x_sum", .help = "H."), KYMO_ECLASH);
    CHECK_INT(kymo_registry_unregister(reg, "x"), 0);
    must_take(reg, KYMO_GAUGE, KYMO_DESC(.name = "x_sum", .help = "H."));
    kymo_registry_free(reg);
}

static void test_the_library_s_own_names_are_taken(void)
{
    struct kymo_registry *reg;
    REQUIRE(kymo_registry_new(NULL, &reg) == 0);
    CHECK_INT(add(reg, KYMO_COUNTER, KYMO_DESC(.name = "kymo_recordings_refused_total", .help = "H.")), KYMO_EEXIST);
    CHECK_INT(add(reg, KYMO_COUNTER, KYMO_DESC(.name = "kymo_recordings_refused", .help = "H.")), KYMO_ECLASH);
    kymo_registry_free(reg);
}

/* A longer struct comes from a newer caller, a shorter one from an older: what we know is read, the rest is zero. */
static void test_sizes(void)
{
    struct {
        struct kymo_desc d;
        char more[64];
    } newer;
    struct kymo_registry *reg = registry_with(NULL, NULL);
    struct kymo_desc d;
    memset(&newer, 0xff, sizeof(newer));
    kymo_desc_init(&newer.d, "newer", "H.");
    newer.d.size = sizeof(newer);
    CHECK_INT(add(reg, KYMO_GAUGE, &newer.d), 0);
    memset(&d, 0xff, sizeof(d));
    d.size = offsetof(struct kymo_desc, unit);
    d.name = "older";
    d.help = "H.";
    CHECK_INT(add(reg, KYMO_GAUGE, &d), 0);
    CHECK_INT(add_single(reg, KYMO_HISTOGRAM, &d), KYMO_EEXIST);
    kymo_desc_init(&d, "unset", "H.");
    d.size = 0;
    CHECK_INT(add(reg, KYMO_GAUGE, &d), KYMO_EINVAL);
    d.size = offsetof(struct kymo_desc, help);
    CHECK_INT(add(reg, KYMO_GAUGE, &d), KYMO_EINVAL);
    for (size_t left = 0; left < sizeof(void *); left++) { /* part of the last pointer is no pointer */
        char name[16];
        (void)snprintf(name, sizeof(name), "cut_%zu", left);
        kymo_desc_init(&d, name, "H.");
        memset(&d.guard, 0xff, sizeof(d.guard));
        d.size = offsetof(struct kymo_desc, guard) + left;
        CHECK_INT(add(reg, KYMO_GAUGE, &d), 0);
    }
    CHECK_INT(add(reg, KYMO_GAUGE, NULL), KYMO_EINVAL);
    CHECK_INT(add(NULL, KYMO_GAUGE, KYMO_DESC(.name = "x", .help = "H.")), KYMO_EINVAL);
    CHECK_INT(add_single(NULL, KYMO_COUNTER, KYMO_DESC(.name = "x", .help = "H.")), KYMO_EINVAL);
    CHECK_INT(kymo_counter_new(reg, KYMO_DESC(.name = "x", .help = "H."), NULL), KYMO_EINVAL);
    CHECK_INT(kymo_gauge_new(reg, KYMO_DESC(.name = "x", .help = "H."), NULL), KYMO_EINVAL);
    CHECK_INT(kymo_histogram_new(reg, KYMO_DESC(.name = "x", .help = "H."), NULL), KYMO_EINVAL);
    CHECK_INT(kymo_counter_family_new(reg, KYMO_DESC(.name = "x", .help = "H."), NULL), KYMO_EINVAL);
    CHECK_INT(kymo_gauge_family_new(reg, KYMO_DESC(.name = "x", .help = "H."), NULL), KYMO_EINVAL);
    CHECK_INT(kymo_histogram_family_new(reg, KYMO_DESC(.name = "x", .help = "H."), NULL), KYMO_EINVAL);
    CHECK(!page_mentions(reg, "\nx"));
    kymo_registry_free(reg);
}

static void test_a_descriptor_may_go_away_after_the_call(void)
{
    struct kymo_registry *reg = registry_with(NULL, NULL);
    char name[] = "gone_seconds", help[] = "Help.", unit[] = "seconds", label[] = "l";
    double bounds[] = {1, 2};
    const char *labels[] = {label};
    struct kymo_histogram_family *f;
    struct kymo_desc d;
    kymo_desc_init(&d, name, help);
    kymo_desc_set_unit(&d, unit);
    kymo_desc_set_labels(&d, labels, 1);
    kymo_desc_set_bounds(&d, bounds, 2);
    REQUIRE(kymo_histogram_family_new(reg, &d, &f) == 0);
    memset(name, 'z', sizeof(name));
    memset(help, 'z', sizeof(help));
    memset(unit, 'z', sizeof(unit));
    memset(label, 'z', sizeof(label));
    memset(bounds, 0, sizeof(bounds));
    memset(&d, 0xff, sizeof(d));
    kymo_histogram_family_observe(f, 1.5, KYMO_VALUES("v"));
    struct page p = page_of(reg);
    CHECK_STRING(p.text, "# HELP gone_seconds Help.\n# TYPE gone_seconds histogram\n"
                         "gone_seconds_bucket{l=\"v\",le=\"1.0\"} 0\ngone_seconds_bucket{l=\"v\",le=\"2.0\"} 1\n"
                         "gone_seconds_bucket{l=\"v\",le=\"+Inf\"} 1\ngone_seconds_sum{l=\"v\"} 1.5\n"
                         "gone_seconds_count{l=\"v\"} 1\n");
    page_free(&p);
    kymo_registry_free(reg);
}

static void test_each_error_has_a_name_and_a_sentence_of_its_own(void)
{
    static const struct {
        int value;
        const char *name, *text;
    } all[] = {
#define ROW(name, value, text) {name, #name, text},
        KYMO_ERROR_MAP(ROW)
#undef ROW
    };
    enum { N = sizeof(all) / sizeof(all[0]) };
    for (size_t i = 0; i < N; i++) {
        CHECK_STRING(kymo_error_name(all[i].value), all[i].name);
        CHECK_STRING(kymo_strerror(all[i].value), all[i].text);
        CHECK_INT(all[i].value, -2001 - (int)i); /* values never change meaning */
        for (size_t j = 0; j < i; j++)
            CHECK(strcmp(all[i].text, all[j].text) != 0);
    }
    CHECK_INT(N, 24);
    CHECK_STRING(kymo_strerror(0), "success");
    CHECK_STRING(kymo_strerror(1), "unknown error");
    CHECK_STRING(kymo_strerror(-1), "unknown error");
    CHECK_STRING(kymo_strerror(-2000 - N - 1), "unknown error");
    CHECK(kymo_error_name(1) != NULL && kymo_error_name(0) != NULL);
}

TEST_MAIN(TEST(test_names), TEST(test_long_names_with_and_without_prefix), TEST(test_labels),
          TEST(test_labels_of_the_server_and_the_formats_are_reserved_in_every_kind),
          TEST(test_constant_labels_must_not_be_reserved_either),
          TEST(test_labels_without_bound_need_a_policy_in_every_kind),
          TEST(test_names_like_those_without_bound_are_fine), TEST(test_guards),
          TEST(test_zeros_of_a_guard_are_its_defaults), TEST(test_the_log_names_the_label_that_is_wrong),
          TEST(test_help), TEST(test_units), TEST(test_bounds), TEST(test_gauge_modes),
          TEST(test_kinds_that_there_are_not), TEST(test_an_info_says_so_at_its_end), TEST(test_states),
          TEST(test_a_state_set_s_name_is_the_name_of_a_label), TEST(test_native_options),
          TEST(test_exemplars_are_of_counters_and_histograms), TEST(test_labels_on_a_single_series),
          TEST(test_aliases_are_checked), TEST(test_names_that_would_write_each_other_s_lines_clash_in_both_orders),
          TEST(test_a_state_set_clashes_like_a_gauge), TEST(test_a_clash_ends_when_the_family_does),
          TEST(test_the_library_s_own_names_are_taken), TEST(test_sizes),
          TEST(test_a_descriptor_may_go_away_after_the_call),
          TEST(test_each_error_has_a_name_and_a_sentence_of_its_own))
