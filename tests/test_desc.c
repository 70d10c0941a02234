/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_desc.c - every rule of struct kymo_desc, each broken in turn: the error has its name, the log names the culprit,
 * and the registry is as it was.
 *
 * How: tables of bad input beside tables of input that is just good enough, both through the public calls of all three
 * kinds. Clashes are tried in both orders, since the second to come is the one refused.
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

/* Registers a family of a kind, with labels if it has some. */
static int add(struct kymo_registry *reg, enum kymo_kind kind, const struct kymo_desc *d)
{
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
    if (d->n_labels == 0)
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
    must_refuse(reg, KYMO_HISTOGRAM, KYMO_DESC(.name = "x", .help = "H.", KYMO_LABELS("le")), KYMO_ERESERVED);
    must_take(reg, KYMO_COUNTER, KYMO_DESC(.name = "c_total", .help = "H.", KYMO_LABELS("le", "_", "a1", "Z_9")));
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

static void test_a_constant_le_shuts_histograms_out(void)
{
    struct kymo_registry *reg = registry_with(NULL, "le");
    must_refuse(reg, KYMO_HISTOGRAM, KYMO_DESC(.name = "h", .help = "H."), KYMO_ERESERVED);
    must_take(reg, KYMO_COUNTER, KYMO_DESC(.name = "c_total", .help = "H."));
    kymo_registry_free(reg);
}

/* The label itself is named too: the family may have thirty of them. */
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
    CHECK_INT(add(reg, KYMO_COUNTER, KYMO_DESC(.name = "kymo_refused_total", .help = "H.")), KYMO_EEXIST);
    CHECK_INT(add(reg, KYMO_COUNTER, KYMO_DESC(.name = "kymo_refused", .help = "H.")), KYMO_ECLASH);
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
    CHECK_INT(N, 19);
    CHECK_STRING(kymo_strerror(0), "success");
    CHECK_STRING(kymo_strerror(1), "unknown error");
    CHECK_STRING(kymo_strerror(-1), "unknown error");
    CHECK_STRING(kymo_strerror(-2000 - N - 1), "unknown error");
    CHECK(kymo_error_name(1) != NULL && kymo_error_name(0) != NULL);
}

TEST_MAIN(TEST(test_names), TEST(test_long_names_with_and_without_prefix), TEST(test_labels),
          TEST(test_a_constant_le_shuts_histograms_out), TEST(test_the_log_names_the_label_that_is_wrong),
          TEST(test_help), TEST(test_units), TEST(test_bounds), TEST(test_gauge_modes),
          TEST(test_labels_on_a_single_series), TEST(test_aliases_are_checked),
          TEST(test_names_that_would_write_each_other_s_lines_clash_in_both_orders),
          TEST(test_a_clash_ends_when_the_family_does), TEST(test_the_library_s_own_names_are_taken), TEST(test_sizes),
          TEST(test_a_descriptor_may_go_away_after_the_call),
          TEST(test_each_error_has_a_name_and_a_sentence_of_its_own))
