/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_catalogue.c - the catalogue has every family that is registered, as it is registered, and is valid JSON whatever
 * names and helps there are.
 *
 * tests/json.h checks each document with a parser of its own.
 */
#include "json.h"

static struct heap heap = HEAP_INIT;

static const struct kymo_label constants[] = {{"site", "a\"b\\c\nd\te"}, {"zone", "\xc3\xa9"}};

static struct kymo_registry *registry_new(int no_self_metrics)
{
    const struct kymo_allocator allocator = {sizeof(allocator), &heap, heap_alloc, heap_free};
    struct kymo_registry_options o;
    struct kymo_registry *reg;
    memset(&o, 0, sizeof(o));
    o.size = sizeof(o);
    o.allocator = &allocator;
    o.prefix = "p_";
    o.const_labels = constants;
    o.n_const_labels = 2;
    o.no_self_metrics = no_self_metrics;
    o.config = "";
    REQUIRE(kymo_registry_new(&o, &reg) == 0);
    return reg;
}

static void registry_end(struct kymo_registry *reg)
{
    kymo_registry_free(reg);
    heap_must_be_empty(&heap);
}

#define CONSTANT "\"constant_labels\":{\"site\":\"a\\\"b\\\\c\\nd\\u0009e\",\"zone\":\"\xc3\xa9\"}"

#define GUARD                                                                                                          \
    "\"guard\":{\"policy\":\"plain\",\"after_end\":\"revive\",\"max_series\":2000,\"max_value_bytes\":1024,"           \
    "\"linger_ms\":300000,\"idle_seconds\":0,\"touch\":\"no\",\"allow\":{}}"

/* ---- own families ---- */

static const struct kymo_alias aliases[] = {{"old_total", "2027-03"}, {"older_total", NULL}};
static const double bounds[] = {0.1, 1, 1e300};

static void register_three(struct kymo_registry *reg)
{
    struct kymo_counter_family *c;
    struct kymo_gauge *g;
    struct kymo_histogram_family *h;
    REQUIRE(kymo_counter_family_new(reg,
                                    KYMO_DESC(.name = "c_total", .help = "A \"c\".\n", KYMO_LABELS("a", "b"),
                                              .exemplar_every = 4, .aliases = aliases, .n_aliases = 2),
                                    &c) == 0);
    REQUIRE(kymo_gauge_new(reg, KYMO_DESC(.name = "g_celsius", .help = "G.", .unit = "celsius"), &g) == 0);
    REQUIRE(kymo_histogram_family_new(
                reg, KYMO_DESC(.name = "h", .help = "H.", KYMO_LABELS("a"), .bounds = bounds, .n_bounds = 3), &h) == 0);
}

static void test_families_are_as_they_were_registered(void)
{
    struct kymo_registry *reg = registry_new(1);
    struct page p = json_of(reg, kymo_registry_catalogue);
    CHECK_STRING(p.text, "{\"max_series\":10000,\"families\":[]}");
    page_free(&p);
    register_three(reg);
    p = json_of(reg, kymo_registry_catalogue);
    CHECK_STRING(
        p.text,
        "{\"max_series\":10000,\"families\":["
        "{\"name\":\"p_c_total\",\"type\":\"counter\",\"unit\":\"\",\"help\":\"A "
        "\\\"c\\\".\\n\",\"labels\":[\"a\",\"b\"]," CONSTANT ",\"exemplars\":4," GUARD
        ",\"aliases\":[{\"name\":\"p_old_total\",\"until\":\"2027-03\"},"
        "{\"name\":\"p_older_total\",\"until\":\"\"}]},"
        "{\"name\":\"p_g_celsius\",\"type\":\"gauge\",\"unit\":\"celsius\",\"help\":\"G.\",\"labels\":[]," CONSTANT
        ",\"aliases\":[]},"
        "{\"name\":\"p_h\",\"type\":\"histogram\",\"unit\":\"\",\"help\":\"H.\",\"labels\":[\"a\"]," CONSTANT
        ",\"buckets\":[0.1,1,1e+300],\"native\":{},\"exemplars\":0," GUARD ",\"aliases\":[]}]}");
    page_free(&p);
    CHECK_INT(kymo_registry_unregister(reg, "p_g_celsius"), 0);
    p = json_of(reg, kymo_registry_catalogue);
    CHECK_JSON(p.text, "families.0.name", "\"p_c_total\"");
    CHECK_JSON(p.text, "families.1.name", "\"p_h\"");
    CHECK_JSON(p.text, "families.2", "");
    page_free(&p);
    registry_end(reg);
}

static void test_defaults_are_shown_as_what_they_are(void)
{
    static const struct kymo_native defaults = {0};
    static const struct kymo_native native = {.bucket_factor = 2,
                                              .zero_threshold = -1,
                                              .max_zero_threshold = 0.5,
                                              .max_buckets = 7,
                                              .max_exemplars = 3,
                                              .min_reset_ns = 1500000000,
                                              .exemplar_ttl_ns = -1};
    struct kymo_registry *reg = registry_new(1);
    struct kymo_histogram *h;
    CHECK_INT(kymo_histogram_new(reg, KYMO_DESC(.name = "a", .help = "A."), &h), 0);
    CHECK_INT(kymo_histogram_new(reg, KYMO_DESC(.name = "b", .help = "B.", .native = &defaults), &h), 0);
    CHECK_INT(kymo_histogram_new(reg, KYMO_DESC(.name = "c", .help = "C.", .native = &native, KYMO_BOUNDS(1)), &h), 0);
    struct page p = json_of(reg, kymo_registry_catalogue);
    CHECK_JSON(p.text, "families.0.buckets", "[0.005,0.01,0.025,0.05,0.1,0.25,0.5,1,2.5,5,10]");
    CHECK_JSON(p.text, "families.1.buckets", "[]");
    CHECK_JSON(p.text, "families.1.native",
               "{\"bucket_factor\":1.1,\"zero_threshold\":2.938735877055719e-39,\"max_zero_threshold\":0,"
               "\"max_buckets\":160,\"min_reset_seconds\":0,\"max_exemplars\":10,\"exemplar_ttl_seconds\":300}");
    CHECK_JSON(p.text, "families.2.native",
               "{\"bucket_factor\":2,\"zero_threshold\":0,\"max_zero_threshold\":0.5,"
               "\"max_buckets\":7,\"min_reset_seconds\":1.5,\"max_exemplars\":3,\"exemplar_ttl_seconds\":0}");
    page_free(&p);
    registry_end(reg);
}

static void test_guards_are_shown_as_they_are_in_force(void)
{
    static const struct kymo_guard given = {KYMO_GUARD_LIMIT, KYMO_TO_OVERFLOW, 9, 99, 999, 7, 1500000000};
    static const char *const models[] = {"b", "a \"q\"", "b", ""};
    struct kymo_registry *reg = registry_new(1);
    struct kymo_gauge_family *g;
    struct kymo_counter *c;
    CHECK_INT(kymo_counter_new(reg, KYMO_DESC(.name = "c_total", .help = "C."), &c), 0);
    CHECK_INT(kymo_gauge_family_new(
                  reg, KYMO_DESC(.name = "g", .help = "G.", KYMO_LABELS("user_id", "model"), .guard = &given), &g),
              0);
    CHECK_INT(kymo_registry_allow(reg, "p_g", "model", models, 4), 0);
    struct page p = json_of(reg, kymo_registry_catalogue);
    CHECK_JSON(p.text, "families.0.guard", "");
    CHECK_JSON(p.text, "families.1.guard",
               "{\"policy\":\"limit\",\"after_end\":\"overflow\",\"max_series\":9,\"max_value_bytes\":99,"
               "\"linger_ms\":999,\"idle_seconds\":1.5,\"touch\":\"yes\","
               "\"allow\":{\"model\":[\"b\",\"a \\\"q\\\"\",\"\"]}}");
    page_free(&p);
    CHECK_INT(kymo_registry_allow(reg, "p_g", "model", NULL, 0), 0);
    CHECK_INT(
        kymo_registry_set_guard(reg, "p_g", &(struct kymo_guard){.policy = KYMO_GUARD_LIMIT, .idle_ns = 5000000000}),
        0);
    CHECK_INT(kymo_registry_set_max_series(reg, 55), 0);
    p = json_of(reg, kymo_registry_catalogue);
    CHECK_JSON(p.text, "max_series", "55");
    CHECK_JSON(p.text, "families.1.guard",
               "{\"policy\":\"limit\",\"after_end\":\"revive\",\"max_series\":2000,\"max_value_bytes\":1024,"
               "\"linger_ms\":300000,\"idle_seconds\":5,\"touch\":\"no\",\"allow\":{}}");
    page_free(&p);
    registry_end(reg);
}

/* ---- collectors' ---- */

static int collect_nothing(void *ctx, struct kymo_visit *visit)
{
    (void)ctx;
    (void)visit;
    return 0;
}

static const char *const states[] = {"on", "off \"x\""};
static const struct kymo_alias one_alias[] = {{"s_before", "2028"}};
static const struct kymo_desc outside[] = {
    {.size = sizeof(struct kymo_desc), .name = "k_info", .help = "I."},
    {.size = sizeof(struct kymo_desc), .name = "k_state", .help = "S.", .states = states, .n_states = 2},
    {.size = sizeof(struct kymo_desc), .name = "k_summary", .help = "S.", .aliases = one_alias, .n_aliases = 1},
    {.size = sizeof(struct kymo_desc), .name = "k_sizes", .help = "S."},
    {.size = sizeof(struct kymo_desc), .name = "k_unknown", .help = "U."},
    {.size = sizeof(struct kymo_desc), .name = "k_h", .help = "H."},
};
static const enum kymo_kind outside_kinds[] = {KYMO_INFO,    KYMO_STATESET, KYMO_SUMMARY, KYMO_GAUGE_HISTOGRAM,
                                               KYMO_UNKNOWN, KYMO_HISTOGRAM};

static double one(void *ctx)
{
    (void)ctx;
    return 1;
}

static void test_every_kind_is_named_and_collectors_are_too(void)
{
    static const struct kymo_collector_ops ops = {sizeof(ops), "out", outside, outside_kinds, 6, collect_nothing, NULL};
    struct kymo_registry *reg = registry_new(1);
    struct kymo_collector *c;
    CHECK_INT(kymo_counter_callback(reg, KYMO_DESC(.name = "cb_total", .help = "C."), one, NULL), 0);
    CHECK_INT(kymo_collector_attach(reg, &ops, NULL, &c), 0);
    struct page p = json_of(reg, kymo_registry_catalogue);
    CHECK_JSON(p.text, "families.0",
               "{\"name\":\"p_cb_total\",\"type\":\"counter\",\"unit\":\"\",\"help\":\"C.\",\"labels\":[]," CONSTANT
               ",\"aliases\":[]}");
    CHECK_JSON(p.text, "families.1.type", "\"info\"");
    CHECK_JSON(p.text, "families.2",
               "{\"name\":\"p_k_state\",\"type\":\"stateset\",\"unit\":\"\",\"help\":\"S.\",\"labels\":[]," CONSTANT
               ",\"states\":[\"on\",\"off \\\"x\\\"\"],\"collector\":\"out\",\"aliases\":[]}");
    CHECK_JSON(p.text, "families.3",
               "{\"name\":\"p_k_summary\",\"type\":\"summary\",\"unit\":\"\",\"help\":\"S.\",\"labels\":[]," CONSTANT
               ",\"collector\":\"out\",\"aliases\":[{\"name\":\"p_s_before\",\"until\":\"2028\"}]}");
    CHECK_JSON(p.text, "families.4.type", "\"gaugehistogram\"");
    CHECK_JSON(p.text, "families.5.type", "\"unknown\"");
    CHECK_JSON(p.text, "families.6.type", "\"histogram\"");
    CHECK_JSON(p.text, "families.6.buckets", ""); /* each value brings its own */
    CHECK_JSON(p.text, "families.6.guard", "");
    CHECK_JSON(p.text, "families.7", "");
    page_free(&p);
    CHECK_INT(kymo_collector_detach(c), 0);
    p = json_of(reg, kymo_registry_catalogue);
    CHECK_JSON(p.text, "families.1", "");
    page_free(&p);
    registry_end(reg);
}

/* In the order of the page, which leaves out what has no points yet. */
static void test_the_library_s_own_families_are_in_it(void)
{
    struct kymo_registry *reg = registry_new(0);
    struct kymo_gauge *g;
    REQUIRE(kymo_gauge_new(reg, KYMO_DESC(.name = "g", .help = "G."), &g) == 0);
    struct page page = page_of(reg), p = json_of(reg, kymo_registry_catalogue);
    const char *next = p.text;
    size_t n = 0;
    for (const char *at = page.text; (at = strstr(at, "# TYPE ")) != NULL; n++) {
        char want[300];
        at += strlen("# TYPE ");
        (void)snprintf(want, sizeof(want), "{\"name\":\"%.*s\",\"type\"", (int)strcspn(at, " "), at);
        next = strstr(next, want);
        REQUIRE(next != NULL);
    }
    CHECK(n >= 5);
    CHECK_JSON(p.text, "families.1.collector", "\"kymo\"");
    CHECK(strstr(p.text, "\"kymo_label_distinct_values\"") != NULL); /* of which nobody has refused any yet */
    CHECK(strstr(page.text, "kymo_label_distinct_values") == NULL);
    page_free(&p);
    page_free(&page);
    registry_end(reg);
}

/* ---- the sink ---- */

struct slow_sink {
    struct kymo_registry *reg;
    struct kymo_collector *c;
    struct page got;
    size_t n_calls;
};

/* What would wait for ever if a lock were held: registering, and detaching what is being listed. */
static int use_the_registry(void *ctx, const char *data, size_t n)
{
    struct slow_sink *s = ctx;
    struct kymo_gauge *g;
    char name[40];
    page_append(&s->got, data, n);
    (void)snprintf(name, sizeof(name), "meanwhile_%zu", s->n_calls++);
    CHECK_INT(kymo_gauge_new(s->reg, KYMO_DESC(.name = name, .help = "M."), &g), 0);
    if (s->c != NULL)
        CHECK_INT(kymo_collector_detach(s->c), 0);
    s->c = NULL;
    return 0;
}

static void test_a_slow_sink_keeps_nobody_waiting(void)
{
    static const struct kymo_collector_ops ops = {sizeof(ops), "out", outside, outside_kinds, 6, collect_nothing, NULL};
    struct slow_sink s = {registry_new(0), NULL, {NULL, 0, 0, 0}, 0};
    const struct kymo_sink sink = {sizeof(sink), &s, use_the_registry};
    char name[40];
    for (int i = 0; i < 500; i++) {
        struct kymo_gauge *g;
        (void)snprintf(name, sizeof(name), "g_%d", i);
        REQUIRE(kymo_gauge_new(s.reg, KYMO_DESC(.name = name, .help = "A gauge among many."), &g) == 0);
    }
    REQUIRE(kymo_collector_attach(s.reg, &ops, NULL, &s.c) == 0);
    CHECK_INT(kymo_registry_catalogue(s.reg, &sink), 0);
    CHECK(s.n_calls > 2 && s.got.longest < 40000);
    CHECK(json_valid(s.got.text, s.got.n));
    CHECK(strstr(s.got.text, "p_meanwhile_") == NULL); /* for the next one */
    CHECK(strstr(s.got.text, "p_k_state") == NULL);    /* detached before its turn */
    CHECK(strstr(s.got.text, "p_g_499") != NULL && strstr(s.got.text, "kymo_recordings_refused_total") != NULL);
    page_free(&s.got);
    registry_end(s.reg);
}

/* Detaches the collector whose families are being listed: it must not go before they are. */
static int detach_in_the_middle(void *ctx, const char *data, size_t n)
{
    struct slow_sink *s = ctx;
    page_append(&s->got, data, n);
    if (s->c != NULL && strstr(s->got.text, "p_many_0\"") != NULL) {
        s->n_calls++;
        CHECK_INT(kymo_collector_detach(s->c), 0);
        s->c = NULL;
    }
    return 0;
}

static void test_a_collector_may_go_while_it_is_listed(void)
{
    enum { MANY = 300 };
    static char names[MANY][16];
    static struct kymo_desc many[MANY];
    static enum kymo_kind gauges[MANY];
    static const struct kymo_collector_ops ops = {sizeof(ops), "many", many, gauges, MANY, collect_nothing, NULL};
    struct slow_sink s = {registry_new(0), NULL, {NULL, 0, 0, 0}, 0};
    const struct kymo_sink sink = {sizeof(sink), &s, detach_in_the_middle};
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "many_%d", i);
        kymo_desc_init(&many[i], names[i], "One of many.");
        gauges[i] = KYMO_GAUGE;
    }
    REQUIRE(kymo_collector_attach(s.reg, &ops, NULL, &s.c) == 0);
    CHECK_INT(kymo_registry_catalogue(s.reg, &sink), 0);
    CHECK_U64(s.n_calls, 1);
    CHECK(json_valid(s.got.text, s.got.n));
    CHECK(strstr(s.got.text, "p_many_0\"") != NULL && strstr(s.got.text, "p_many_299\"") == NULL);
    page_free(&s.got);
    registry_end(s.reg);
}

static int refuse(void *ctx, const char *data, size_t n)
{
    (void)data;
    (void)n;
    ++*(int *)ctx;
    return 7;
}

static struct kymo_registry *inside_of;

static double call_from_inside(void *ctx)
{
    int calls = 0;
    const struct kymo_sink sink = {sizeof(sink), &calls, refuse};
    (void)ctx;
    CHECK_INT(kymo_registry_catalogue(inside_of, &sink), KYMO_EBUSY);
    CHECK_INT(kymo_registry_config(inside_of, &sink), KYMO_EBUSY);
    CHECK_INT(calls, 0);
    return 1;
}

static void test_errors(void)
{
    int calls = 0;
    struct kymo_registry *reg = registry_new(0);
    struct kymo_sink sink = {sizeof(sink), &calls, refuse};
    CHECK_INT(kymo_registry_catalogue(NULL, &sink), KYMO_EINVAL);
    CHECK_INT(kymo_registry_catalogue(reg, NULL), KYMO_EINVAL);
    CHECK_INT(kymo_registry_catalogue(reg, &sink), 7);
    CHECK_INT(calls, 1);
    sink.size = 8;
    CHECK_INT(kymo_registry_catalogue(reg, &sink), KYMO_EINVAL);
    inside_of = reg;
    CHECK_INT(kymo_gauge_callback(reg, KYMO_DESC(.name = "cb", .help = "C."), call_from_inside, NULL), 0);
    CHECK(page_has(reg, "p_cb{site=\"a\\\"b\\\\c\\nd\te\",zone=\"\xc3\xa9\"} 1"));
    registry_end(reg);
}

static int swallow(void *ctx, const char *data, size_t n)
{
    (void)ctx;
    (void)data;
    (void)n;
    return 0;
}

static void test_each_failing_allocation_is_an_error_and_leaves_nothing(void)
{
    const struct kymo_sink sink = {sizeof(sink), NULL, swallow};
    struct kymo_registry *reg = registry_new(0);
    register_three(reg);
    size_t live = heap.live;
    for (size_t n = 1, failed = 1; failed != 0; n++) {
        heap_arm(&heap, n, 1);
        int r = kymo_registry_catalogue(reg, &sink);
        failed = heap.failed;
        heap_arm(&heap, 0, 0);
        CHECK_INT(r, failed != 0 ? KYMO_ENOMEM : 0);
        CHECK_U64(heap.live, live);
        REQUIRE(n < 100);
    }
    registry_end(reg);
}

/* Any byte that a help may hold. */
static void test_helps_of_all_characters_are_valid(void)
{
    char help[600];
    size_t n = 0;
    struct kymo_gauge *g;
    struct kymo_registry *reg = registry_new(1);
    for (int c = 1; c < 128; c++)
        help[n++] = (char)c;
    for (int c = 0x80; c < 0x100; c++) {
        help[n++] = (char)(0xc0 | c >> 6);
        help[n++] = (char)(0x80 | (c & 0x3f));
    }
    help[n] = '\0';
    CHECK_INT(kymo_gauge_new(reg, KYMO_DESC(.name = "g", .help = help), &g), 0);
    struct page p = json_of(reg, kymo_registry_catalogue);
    CHECK(strstr(p.text, "\\u0001\\u0002") != NULL && strstr(p.text, "\\u001f !\\\"#$") != NULL);
    CHECK(strstr(p.text, "[\\\\]") != NULL && strstr(p.text, "\xc3\xbf\"") != NULL);
    page_free(&p);
    registry_end(reg);
}

TEST_MAIN(TEST(test_families_are_as_they_were_registered), TEST(test_defaults_are_shown_as_what_they_are),
          TEST(test_guards_are_shown_as_they_are_in_force), TEST(test_every_kind_is_named_and_collectors_are_too),
          TEST(test_the_library_s_own_families_are_in_it), TEST(test_a_slow_sink_keeps_nobody_waiting),
          TEST(test_a_collector_may_go_while_it_is_listed), TEST(test_errors),
          TEST(test_each_failing_allocation_is_an_error_and_leaves_nothing),
          TEST(test_helps_of_all_characters_are_valid))
