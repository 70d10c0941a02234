/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_names.c - names that are not [a-zA-Z_:][a-zA-Z0-9_:]*: what each scheme makes of them, what a registry takes,
 * which of them would become one.
 *
 * How: the schemes against a table written by hand from their description, and against sizes announced; pair texts with
 * such names are taken apart and put together again; registries with and without utf8_names are shown to a visitor,
 * which sees every name and value as it was given.
 */
#include "base/escape.h"
#include "encode/names.h"
#include "page.h"

static struct log_book book;

static struct kymo_registry *registry_with(const char *prefix, const char *const_label, int utf8)
{
    struct kymo_label label = {const_label, "v"};
    struct kymo_registry_options o;
    struct kymo_registry *reg = NULL;
    memset(&o, 0, sizeof(o));
    o.size = sizeof(o);
    o.log = log_note;
    o.log_ctx = &book;
    o.prefix = prefix;
    o.const_labels = &label;
    o.n_const_labels = const_label != NULL;
    o.no_self_metrics = 1;
    o.utf8_names = utf8;
    o.config = "";
    (void)kymo_registry_new(&o, &reg);
    return reg;
}

/* ---- schemes ---- */

/* The name as a scheme has it, in memory of exactly the size announced. */
static char *escaped(const char *name, enum kymo_escaping escaping)
{
    size_t n = strlen(name), size = kymo__name_size(name, n, escaping);
    char *to = malloc(size + 1), *copy = malloc(n + 1);
    REQUIRE(to != NULL && copy != NULL);
    memcpy(copy, name, n);
    CHECK(kymo__name_put(to, copy, n, escaping) == to + size);
    to[size] = '\0';
    free(copy);
    return to;
}

static void must_become(const char *name, enum kymo_escaping escaping, const char *want)
{
    char *have = escaped(name, escaping);
    CHECK_STRING(have, want);
    free(have);
}

static void test_each_scheme_escapes_as_described(void)
{
    static const struct {
        const char *name, *underscores, *dots, *values;
    } rows[] = {
        {"my.metric_\xc3\xa9", "my_metric__", "my_dot_metric____", "U__my_2e_metric___e9_"},
        {"a.b", "a_b", "a_dot_b", "U__a_2e_b"},
        {"http.server.duration_total", "http_server_duration_total", "http_dot_server_dot_duration__total",
         "U__http_2e_server_2e_duration__total"},
        {"1a", "_a", "__a", "U___31_a"},
        {"1", "_", "__", "U___31_"},
        {"a1.2", "a1_2", "a1_dot_2", "U__a1_2e_2"},
        {"a:b.c", "a:b_c", "a:b_dot_c", "U__a:b_2e_c"},
        {" ", "_", "__", "U___20_"},
        {"a\nb", "a_b", "a__b", "U__a_a_b"},
        {"a\tb", "a_b", "a__b", "U__a_9_b"},
        {"\x7f", "_", "__", "U___7f_"},
        {"\xc4\x80", "_", "__", "U___100_"},
        {"\xe2\x82\xac", "_", "__", "U___20ac_"},
        {"\xf0\x9f\x98\x80x", "_x", "__x", "U___1f600_x"},
        {"\xf4\x8f\xbf\xbf", "_", "__", "U___10ffff_"},
        {"\xef\xbf\xbd", "_", "__", "U___fffd_"},
        {"a\xff", "a_", "a__", "U__a_FFFD_"},
        {"\xc3", "_", "__", "U___FFFD_"},
        {"\xc3z", "_z", "__z", "U___FFFD_z"},
        {"\xed\xa0\x80", "___", "______", "U___FFFD__FFFD__FFFD_"},
        {"__.__", "_____", "_____dot_____", "U_______2e_____"},
        {"..", "__", "_dot__dot_", "U___2e__2e_"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CHECK(!kymo__name_plain(rows[i].name, strlen(rows[i].name)));
        must_become(rows[i].name, KYMO_ESCAPE_UNDERSCORES, rows[i].underscores);
        must_become(rows[i].name, KYMO_ESCAPE_DOTS, rows[i].dots);
        must_become(rows[i].name, KYMO_ESCAPE_VALUES, rows[i].values);
        must_become(rows[i].name, KYMO_ALLOW_UTF8, rows[i].name);
    }
}

static void test_a_plain_name_is_the_same_in_every_scheme(void)
{
    static const char *const names[] = {"a", "_", ":", "a_b", "a:b", "a1", "__name__", "U__a_2e_b", "a_dot_b", "Z9_"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        for (int scheme = KYMO_ESCAPE_UNDERSCORES; scheme <= KYMO_ALLOW_UTF8; scheme++) {
            CHECK(kymo__name_plain(names[i], strlen(names[i])));
            must_become(names[i], (enum kymo_escaping)scheme, names[i]);
        }
    CHECK(!kymo__name_plain("", 0));
    CHECK(kymo__name_plain("a.b", 1) && !kymo__name_plain("a.b", 2));
}

static void test_what_is_no_scheme_is_the_default(void)
{
    must_become("a.b", (enum kymo_escaping)17, "a_b");
    must_become("a.b", (enum kymo_escaping)4, "a_b");
}

/* ---- pair texts ---- */

static char *pairs_of(const char *const *names, const char *const *values, size_t n, size_t *len)
{
    *len = kymo__label_pairs_size(names, values, n);
    char *text = malloc(*len + 1);
    REQUIRE(text != NULL);
    CHECK(kymo__label_pairs(text, names, values, n) == text + *len);
    text[*len] = '\0';
    return text;
}

static void must_put(const char *text, enum kymo_escaping escaping, const char *want)
{
    size_t len = strlen(text), size = kymo__pairs_size(text, len, escaping);
    char *to = malloc(size + 1);
    REQUIRE(to != NULL);
    CHECK(kymo__pairs_put(to, text, len, escaping) == to + size);
    to[size] = '\0';
    CHECK_STRING(to, want);
    free(to);
}

static void test_pair_text_has_quotes_around_odd_names_and_only_there(void)
{
    static const char *const names[] = {"a", "b.c", "d\"e\\f\ng", "h:i", "1", "\xc3\xa9"};
    static const char *const values[] = {"1", "=\",{}", "", "x", "\xe2\x82\xac", "\\"};
    size_t len, n;
    char *text = pairs_of(names, values, 6, &len);
    CHECK_STRING(text, "a=\"1\",\"b.c\"=\"=\\\",{}\",\"d\\\"e\\\\f\\ng\"=\"\",\"h:i\"=\"x\",\"1\"=\"\xe2\x82\xac\","
                       "\"\xc3\xa9\"=\"\\\\\"");
    for (size_t i = 0; i < 6; i++) {
        char value[16];
        const char *at = kymo__label_pairs_value(text, len, i, &n);
        REQUIRE(at != NULL);
        CHECK_U64(kymo__unescape_label(value, sizeof(value), at, n), strlen(values[i]));
        CHECK_STRING(value, values[i]);
    }
    CHECK(kymo__label_pairs_value(text, len, 6, &n) == NULL);
    must_put(text, KYMO_ALLOW_UTF8, text);
    must_put(text, KYMO_ESCAPE_UNDERSCORES,
             "a=\"1\",b_c=\"=\\\",{}\",d_e_f_g=\"\",h_i=\"x\",_=\"\xe2\x82\xac\",_=\"\\\\\"");
    must_put(text, KYMO_ESCAPE_DOTS,
             "a=\"1\",b_dot_c=\"=\\\",{}\",d__e__f__g=\"\",h__i=\"x\",__=\"\xe2\x82\xac\",__=\"\\\\\"");
    must_put(text, KYMO_ESCAPE_VALUES,
             "a=\"1\",U__b_2e_c=\"=\\\",{}\",U__d_22_e_5c_f_a_g=\"\",U__h_3a_i=\"x\",U___31_=\"\xe2\x82\xac\","
             "U___e9_=\"\\\\\"");
    free(text);
    must_put("", KYMO_ESCAPE_VALUES, "");
}

static void test_pairs_are_taken_off_one_by_one(void)
{
    static const char text[] = "a=\"x\\\"y\",\"b\\\"=.c\"=\"\",d=\"\\\\\"";
    static const struct {
        const char *name, *value;
        int quoted;
    } want[] = {{"a", "x\\\"y", 0}, {"b\\\"=.c", "", 1}, {"d", "\\\\", 0}};
    const char *at = text;
    size_t len = sizeof(text) - 1;
    struct kymo__pair_text pair;
    for (size_t i = 0; i < 3; i++) {
        REQUIRE(kymo__pair_next(&at, &len, &pair));
        CHECK(pair.name_len == strlen(want[i].name) && memcmp(pair.name, want[i].name, pair.name_len) == 0);
        CHECK(pair.value_len == strlen(want[i].value) && memcmp(pair.value, want[i].value, pair.value_len) == 0);
        CHECK_INT(pair.quoted, want[i].quoted);
    }
    CHECK(len == 0 && !kymo__pair_next(&at, &len, &pair));
}

static void test_a_broken_pair_text_ends_at_the_breach(void)
{
    static const char *const broken[] = {"a",     "a=",     "a=\"",    "a=\"x", "\"a",
                                         "\"a\"", "\"a\"=", "\"a\"=x", "=",     "\"a\\\""};
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        struct kymo__pair_text pair;
        size_t len = strlen(broken[i]), n;
        char *copy = malloc(len); /* of exactly its size: valgrind sees what is read past it */
        REQUIRE(copy != NULL);
        memcpy(copy, broken[i], len);
        const char *at = copy;
        CHECK(!kymo__pair_next(&at, &len, &pair));
        CHECK(kymo__label_pairs_value(copy, strlen(broken[i]), 0, &n) == NULL);
        CHECK_U64(kymo__pairs_size(copy, strlen(broken[i]), KYMO_ESCAPE_DOTS), 0);
        free(copy);
    }
}

/* ---- registries ---- */

static int add(struct kymo_registry *reg, const char *name)
{
    struct kymo_gauge_family *f;
    return kymo_gauge_family_new(reg, KYMO_DESC(.name = name, .help = "H."), &f);
}

static int add_label(struct kymo_registry *reg, const char *a, const char *b)
{
    struct kymo_gauge_family *f;
    return kymo_gauge_family_new(reg, KYMO_DESC(.name = "labelled", .help = "H.", KYMO_LABELS(a, b)), &f);
}

static void test_only_a_registry_that_was_asked_to_takes_odd_names(void)
{
    static const char *const names[] = {"a.b", "1", " ", "\xc3\xa9", "a\nb", "{}", "\"", "a=b"};
    struct kymo_registry *plain = registry_with(NULL, NULL, 0), *utf8 = registry_with(NULL, NULL, 1);
    REQUIRE(plain != NULL && utf8 != NULL);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        CHECK_INT(add(plain, names[i]), KYMO_ENAME);
        CHECK(strstr(book.last, "utf8_names") != NULL);
        CHECK_INT(add_label(plain, "fine", names[i]), KYMO_ELABEL);
        CHECK(strstr(book.last, "utf8_names") != NULL);
        struct kymo_registry *alone = registry_with(NULL, NULL, 1); /* some of them are one when escaped */
        CHECK_INT(add(alone, names[i]), 0);
        CHECK_INT(add_label(alone, "fine", names[i]), 0);
        kymo_registry_free(alone);
    }
    CHECK_INT(add(utf8, ""), KYMO_ENAME);
    CHECK_INT(add(utf8, NULL), KYMO_ENAME);
    CHECK_INT(add(utf8, "a\xff"), KYMO_ENAME);
    CHECK_INT(add(utf8, "\xed\xa0\x80"), KYMO_ENAME);
    CHECK_INT(add_label(utf8, "fine", ""), KYMO_ELABEL);
    CHECK_INT(add_label(utf8, "fine", "\xc0\x80"), KYMO_ELABEL);
    CHECK_INT(add_label(utf8, "fine", "__x.y"), KYMO_ERESERVED);
    CHECK_INT(add_label(utf8, "fine", "..name.."), KYMO_ERESERVED); /* __name__, escaped */
    CHECK_INT(add_label(utf8, "fine", "\xc3\xa9name\xc3\xa9"), KYMO_ERESERVED);
    kymo_registry_free(plain);
    kymo_registry_free(utf8);
}

static void test_the_length_of_odd_names_is_limited_too(void)
{
    struct kymo_registry *reg = registry_with("\xc3\xa9.", NULL, 1);
    char name[300];
    REQUIRE(reg != NULL);
    memset(name, '.', sizeof(name));
    name[255 - 3 + 1] = '\0';
    CHECK_INT(add(reg, name), KYMO_ENAME);
    name[255 - 3] = '\0';
    CHECK_INT(add(reg, name), 0); /* and 1275 bytes when it is escaped: compared below with another one */
    name[0] = '-';
    CHECK_INT(add(reg, name), KYMO_ECLASH);
    memset(name, '.', sizeof(name));
    name[256] = '\0';
    CHECK_INT(add_label(reg, "x", name), KYMO_ELABEL);
    name[255] = '\0';
    CHECK_INT(add_label(reg, "x", name), 0);
    kymo_registry_free(reg);
}

static void test_prefix_and_constant_labels_may_be_odd_if_asked(void)
{
    CHECK(registry_with("a.", NULL, 0) == NULL && strstr(book.last, "prefix") != NULL);
    CHECK(registry_with(NULL, "a.b", 0) == NULL && strstr(book.last, "constant label") != NULL);
    CHECK(registry_with("a\xff", NULL, 1) == NULL);
    CHECK(registry_with(NULL, "a\xff", 1) == NULL);
    CHECK(registry_with(NULL, "..name..", 1) == NULL);
    struct kymo_registry *reg = registry_with("a.", "b.c", 1);
    REQUIRE(reg != NULL);
    CHECK_INT(add(reg, "x"), 0);
    CHECK_INT(add_label(reg, "b_c", "y"), KYMO_ELABEL); /* the constant one, escaped */
    CHECK_INT(add_label(reg, "b_dot_c", "y"), KYMO_ELABEL);
    CHECK_INT(add_label(reg, "bc", "y"), 0);
    kymo_registry_free(reg);
}

static void test_names_that_become_one_are_refused(void)
{
    static const struct {
        const char *a, *b;
        int error;
    } rows[] = {
        {"a.b", "a_b", KYMO_ECLASH},
        {"a.b", "a-b", KYMO_ECLASH},
        {"a.b", "a.b", KYMO_EEXIST},
        {"a.b", "a_dot_b", KYMO_ECLASH},
        {"a.b", "U__a_2e_b", KYMO_ECLASH},
        {"\xc3\xa9", "\xc3\xa8", KYMO_ECLASH},
        {"\xc3\xa9", "_", KYMO_ECLASH},
        {"a.b", "a.c", 0},
        {"a.b", "ab", 0},
        {"a.b", "a__b", 0},
        {"1a", "2a", KYMO_ECLASH},
        {"a.b_c", "a.b.c", KYMO_ECLASH},
        {"\xc3\xa9\xc3\xa9", "\xc3\xa9", 0}, /* two characters are two underscores, by all schemes more than one is */
        {"a_dot_b", "a_b", 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (int swapped = 0; swapped < 2; swapped++) {
            struct kymo_registry *reg = registry_with(NULL, NULL, 1);
            REQUIRE(reg != NULL);
            int before = test_failures;
            CHECK_INT(add(reg, swapped ? rows[i].b : rows[i].a), 0);
            CHECK_INT(add(reg, swapped ? rows[i].a : rows[i].b), rows[i].error);
            if (rows[i].error != 0)
                CHECK_INT(add_label(reg, rows[i].a, rows[i].b), KYMO_ELABEL);
            else
                CHECK_INT(add_label(reg, rows[i].a, rows[i].b), 0);
            if (test_failures != before)
                fprintf(stderr, "... %s and %s\n", rows[i].a, rows[i].b);
            kymo_registry_free(reg);
        }
}

static void test_units_and_lines_of_other_families_count_as_ever(void)
{
    struct kymo_registry *reg = registry_with(NULL, NULL, 1);
    struct kymo_histogram_family *h;
    struct kymo_counter_family *c;
    struct kymo_gauge_family *g;
    REQUIRE(reg != NULL);
    CHECK_INT(kymo_histogram_family_new(reg, KYMO_DESC(.name = "a.b_seconds", .help = "H.", .unit = "seconds"), &h), 0);
    CHECK_INT(kymo_gauge_family_new(reg, KYMO_DESC(.name = "b.seconds", .help = "H.", .unit = "seconds"), &g),
              KYMO_EUNIT);
    CHECK_INT(add(reg, "a.b_seconds_sum"), KYMO_ECLASH);
    CHECK_INT(add(reg, "a_b_seconds_sum"), KYMO_ECLASH);
    CHECK_INT(add(reg, "a.b_seconds.sum"), KYMO_ECLASH); /* as a_b_seconds_sum */
    CHECK_INT(kymo_counter_family_new(reg, KYMO_DESC(.name = "c.d_total", .help = "H."), &c), 0);
    CHECK_INT(add(reg, "c.d"), KYMO_ECLASH);
    CHECK_INT(add(reg, "c_d"), KYMO_ECLASH);
    kymo_registry_free(reg);
}

/* ---- what visitors see ---- */

struct seen {
    char name[64], constants[64], labels[256];
    int utf8;
    size_t points;
    char values[3][16];
};

static int see(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    struct seen *seen = ctx;
    (void)snprintf(seen->name, sizeof(seen->name), "%s", family->name);
    (void)snprintf(seen->constants, sizeof(seen->constants), "%.*s", (int)family->labels_len, family->labels);
    (void)snprintf(seen->labels, sizeof(seen->labels), "%.*s", (int)point->labels_len, point->labels);
    seen->utf8 = family->utf8;
    seen->points++;
    for (size_t i = 0; i < family->desc->n_labels && i < 3; i++)
        (void)kymo_point_value(family, point, i, seen->values[i], sizeof(seen->values[i]));
    return 0;
}

static struct seen visit(struct kymo_registry *reg)
{
    struct seen seen;
    const struct kymo_visitor visitor = {sizeof(visitor), &seen, NULL, see, NULL};
    memset(&seen, 0, sizeof(seen));
    CHECK_INT(kymo_registry_visit(reg, &visitor), 0);
    return seen;
}

static void test_a_series_with_odd_label_names_is_found_again(void)
{
    static const char *const values[][3] = {
        {"1", "2", "3"}, {"\"", "\\", "\n"}, {"", "", ""}, {"=\"", "12345678", "\xc3\xa9"}};
    struct kymo_registry *reg = registry_with("p.", "c.d", 1);
    struct kymo_counter_family *f;
    REQUIRE(reg != NULL);
    REQUIRE(kymo_counter_family_new(
                reg, KYMO_DESC(.name = "a.b_total", .help = "H.", KYMO_LABELS("x.y", "plain", "q\"=\\")), &f) == 0);
    for (size_t i = 0; i < 4; i++) {
        struct kymo_counter *c = kymo_counter_with(f, values[i], 3);
        CHECK(c != NULL && kymo_counter_with(f, values[i], 3) == c);
        kymo_counter_family_inc(f, values[i], 3);
        struct seen seen = visit(reg); /* the last one created comes last */
        CHECK_U64(seen.points, i + 1);
        CHECK_STRING(seen.name, "p.a.b_total");
        CHECK_STRING(seen.constants, "\"c.d\"=\"v\"");
        CHECK_INT(seen.utf8, 1);
        for (size_t k = 0; k < 3; k++)
            CHECK_STRING(seen.values[k], values[i][k]);
        if (i == 0)
            CHECK_STRING(seen.labels, "\"x.y\"=\"1\",plain=\"2\",\"q\\\"=\\\\\"=\"3\"");
    }
    kymo_registry_free(reg);
}

static void test_a_family_is_odd_if_any_of_its_names_is(void)
{
    static const struct {
        const char *prefix, *constant, *name, *label;
        int odd;
    } rows[] = {
        {NULL, NULL, "a", "b", 0},   {NULL, NULL, "a.b", "b", 1}, {NULL, NULL, "a", "b.c", 1},
        {NULL, "c.d", "a", "b", 1},  {"a.", NULL, "a", "b", 1},   {"a_", "c", "a", "b", 0},
        {NULL, NULL, "a:b", "b", 0}, {NULL, NULL, "a", "b:c", 1}, {NULL, NULL, "1", "b", 1},
        {NULL, NULL, "a", "1", 1},   {"a", NULL, "1", "b", 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct kymo_registry *reg = registry_with(rows[i].prefix, rows[i].constant, 1);
        struct kymo_gauge_family *f;
        REQUIRE(reg != NULL);
        int r =
            kymo_gauge_family_new(reg, KYMO_DESC(.name = rows[i].name, .help = "H.", KYMO_LABELS(rows[i].label)), &f);
        CHECK_INT(r, 0);
        CHECK(kymo_gauge_with(f, KYMO_VALUES("v")) != NULL);
        CHECK_INT(visit(reg).utf8, rows[i].odd);
        kymo_registry_free(reg);
    }
}

TEST_MAIN(TEST(test_each_scheme_escapes_as_described), TEST(test_a_plain_name_is_the_same_in_every_scheme),
          TEST(test_what_is_no_scheme_is_the_default), TEST(test_pair_text_has_quotes_around_odd_names_and_only_there),
          TEST(test_pairs_are_taken_off_one_by_one), TEST(test_a_broken_pair_text_ends_at_the_breach),
          TEST(test_only_a_registry_that_was_asked_to_takes_odd_names),
          TEST(test_the_length_of_odd_names_is_limited_too), TEST(test_prefix_and_constant_labels_may_be_odd_if_asked),
          TEST(test_names_that_become_one_are_refused), TEST(test_units_and_lines_of_other_families_count_as_ever),
          TEST(test_a_series_with_odd_label_names_is_found_again), TEST(test_a_family_is_odd_if_any_of_its_names_is))
