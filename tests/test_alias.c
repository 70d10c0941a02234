/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_alias.c - a family with aliases is on the page once under each name, with the same series and values, and no
 * name is ever two families'.
 */
#include "page.h"

static struct heap heap = HEAP_INIT;

static struct kymo_registry *registry_with(const char *prefix, int utf8)
{
    const struct kymo_allocator allocator = {sizeof(allocator), &heap, heap_alloc, heap_free};
    struct kymo_registry_options o;
    struct kymo_registry *reg;
    memset(&o, 0, sizeof(o));
    o.size = sizeof(o);
    o.allocator = &allocator;
    o.prefix = prefix;
    o.utf8_names = utf8;
    o.config = "";
    REQUIRE(kymo_registry_new(&o, &reg) == 0);
    return reg;
}

static struct kymo_registry *registry_new(const char *prefix)
{
    return registry_with(prefix, 0);
}

static void registry_end(struct kymo_registry *reg)
{
    kymo_registry_free(reg);
    heap_must_be_empty(&heap);
}

static const struct kymo_alias two[] = {{"old_seconds", "2027-03"}, {"older_time", NULL}};
#define WITH_TWO .aliases = two, .n_aliases = 2

/* ---- on the page ---- */

static void test_all_names_have_the_same_series_and_values(void)
{
    struct kymo_registry *reg = registry_new("p_");
    struct kymo_histogram_family *f;
    CHECK_INT(kymo_histogram_family_new(reg,
                                        KYMO_DESC(.name = "new_seconds", .help = "Time.", .unit = "seconds",
                                                  KYMO_LABELS("a"), KYMO_BOUNDS(1), WITH_TWO),
                                        &f),
              0);
    kymo_histogram_observe(kymo_histogram_with(f, KYMO_VALUES("x")), 0.5);
    kymo_histogram_observe(kymo_histogram_with(f, KYMO_VALUES("y\"")), 2);
    struct page p = page_of_own(reg);
    CHECK_STRING(p.text, "# HELP p_new_seconds Time.\n"
                         "# TYPE p_new_seconds histogram\n"
                         "p_new_seconds_bucket{a=\"x\",le=\"1.0\"} 1\n"
                         "p_new_seconds_bucket{a=\"x\",le=\"+Inf\"} 1\n"
                         "p_new_seconds_sum{a=\"x\"} 0.5\n"
                         "p_new_seconds_count{a=\"x\"} 1\n"
                         "p_new_seconds_bucket{a=\"y\\\"\",le=\"1.0\"} 0\n"
                         "p_new_seconds_bucket{a=\"y\\\"\",le=\"+Inf\"} 1\n"
                         "p_new_seconds_sum{a=\"y\\\"\"} 2\n"
                         "p_new_seconds_count{a=\"y\\\"\"} 1\n"
                         "# HELP p_old_seconds Time. (deprecated name of p_new_seconds, gone after 2027-03)\n"
                         "# TYPE p_old_seconds histogram\n"
                         "p_old_seconds_bucket{a=\"x\",le=\"1.0\"} 1\n"
                         "p_old_seconds_bucket{a=\"x\",le=\"+Inf\"} 1\n"
                         "p_old_seconds_sum{a=\"x\"} 0.5\n"
                         "p_old_seconds_count{a=\"x\"} 1\n"
                         "p_old_seconds_bucket{a=\"y\\\"\",le=\"1.0\"} 0\n"
                         "p_old_seconds_bucket{a=\"y\\\"\",le=\"+Inf\"} 1\n"
                         "p_old_seconds_sum{a=\"y\\\"\"} 2\n"
                         "p_old_seconds_count{a=\"y\\\"\"} 1\n"
                         "# HELP p_older_time Time. (deprecated name of p_new_seconds)\n"
                         "# TYPE p_older_time histogram\n"
                         "p_older_time_bucket{a=\"x\",le=\"1.0\"} 1\n"
                         "p_older_time_bucket{a=\"x\",le=\"+Inf\"} 1\n"
                         "p_older_time_sum{a=\"x\"} 0.5\n"
                         "p_older_time_count{a=\"x\"} 1\n"
                         "p_older_time_bucket{a=\"y\\\"\",le=\"1.0\"} 0\n"
                         "p_older_time_bucket{a=\"y\\\"\",le=\"+Inf\"} 1\n"
                         "p_older_time_sum{a=\"y\\\"\"} 2\n"
                         "p_older_time_count{a=\"y\\\"\"} 1\n");
    page_free(&p);
    registry_end(reg);
}

static int n_asked;

static double count_up(void *ctx)
{
    (void)ctx;
    return ++n_asked;
}

static void test_a_callback_is_asked_once_for_all_names(void)
{
    static const struct kymo_alias alias = {"before", ""};
    struct kymo_registry *reg = registry_new(NULL);
    n_asked = 0;
    CHECK_INT(kymo_gauge_callback(reg, KYMO_DESC(.name = "now", .help = "N.", .aliases = &alias, .n_aliases = 1),
                                  count_up, NULL),
              0);
    struct page p = page_of_own(reg);
    CHECK_STRING(p.text, "# HELP now N.\n# TYPE now gauge\nnow 1\n"
                         "# HELP before N. (deprecated name of now)\n# TYPE before gauge\nbefore 1\n");
    page_free(&p);
    CHECK(page_has(reg, "before 2"));
    registry_end(reg);
}

static int collect_two(void *ctx, struct kymo_visit *visit)
{
    static const char *const values[] = {"x", "y"};
    struct kymo_point point;
    (void)ctx;
    memset(&point, 0, sizeof(point));
    point.size = sizeof(point);
    int r = 0;
    for (int i = 0; i < 2 && r == 0; i++) {
        point.values = &values[i];
        point.value.gauge = i + 1;
        r = kymo_collect(visit, 0, &point);
    }
    point.values = NULL;
    return r ? r : kymo_collect(visit, 1, &point);
}

static void test_collectors_families_have_aliases_too(void)
{
    static const char *const labels[] = {"a"};
    static const struct kymo_desc descs[] = {
        {.size = sizeof(descs[0]), .name = "new", .help = "N.", .labels = labels, .n_labels = 1, WITH_TWO},
        {.size = sizeof(descs[0]), .name = "last", .help = "L."},
    };
    static const enum kymo_kind kinds[] = {KYMO_GAUGE, KYMO_GAUGE};
    static const struct kymo_collector_ops ops = {sizeof(ops), "two", descs, kinds, 2, collect_two, NULL};
    struct kymo_registry *reg = registry_new("p_");
    struct kymo_collector *c;
    struct kymo_gauge *g;
    CHECK_INT(kymo_collector_attach(reg, &ops, NULL, &c), 0);
    struct page p = page_of_own(reg);
    CHECK_STRING(p.text, "# HELP p_new N.\n# TYPE p_new gauge\np_new{a=\"x\"} 1\np_new{a=\"y\"} 2\n"
                         "# HELP p_old_seconds N. (deprecated name of p_new, gone after 2027-03)\n"
                         "# TYPE p_old_seconds gauge\np_old_seconds{a=\"x\"} 1\np_old_seconds{a=\"y\"} 2\n"
                         "# HELP p_older_time N. (deprecated name of p_new)\n"
                         "# TYPE p_older_time gauge\np_older_time{a=\"x\"} 1\np_older_time{a=\"y\"} 2\n"
                         "# HELP p_last L.\n# TYPE p_last gauge\np_last 2\n");
    page_free(&p);
    CHECK_INT(kymo_gauge_new(reg, KYMO_DESC(.name = "old_seconds", .help = "O."), &g), KYMO_EEXIST);
    CHECK_INT(kymo_collector_detach(c), 0);
    CHECK_INT(kymo_gauge_new(reg, KYMO_DESC(.name = "old_seconds", .help = "O."), &g), 0);
    registry_end(reg);
}

/* ---- what a visitor sees ---- */

struct seen {
    size_t families, samples, ends, with_id;
    char names[400];
    const struct kymo_family *now;
};

static int on_family(void *ctx, const struct kymo_family *family)
{
    struct seen *s = ctx;
    s->families++;
    CHECK(s->now == NULL);
    s->now = family;
    CHECK(family->desc->n_aliases == 0 || strcmp(family->name, "p_new_seconds") == 0);
    CHECK_STRING(family->name + 2, family->desc->name);
    CHECK_U64(family->name_len, strlen(family->name));
    size_t n = strlen(s->names);
    (void)snprintf(s->names + n, sizeof(s->names) - n, "%s(%s) ", family->name,
                   family->desc->unit ? family->desc->unit : "");
    return 0;
}

static int on_sample(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    struct seen *s = ctx;
    CHECK(s->now == family);
    s->samples++;
    s->with_id += point->id != 0;
    return 0;
}

static int on_end(void *ctx, const struct kymo_family *family)
{
    struct seen *s = ctx;
    CHECK(s->now == family);
    s->now = NULL;
    s->ends++;
    return 0;
}

static void test_visitors_see_each_name_as_a_family(void)
{
    struct kymo_registry_options o;
    struct kymo_registry *reg;
    struct kymo_counter_family *f;
    struct seen s;
    const struct kymo_visitor visitor = {sizeof(visitor), &s, on_family, on_sample, on_end};
    memset(&s, 0, sizeof(s));
    memset(&o, 0, sizeof(o));
    o.size = sizeof(o);
    o.prefix = "p_";
    o.no_self_metrics = 1;
    REQUIRE(kymo_registry_new(&o, &reg) == 0);
    CHECK_INT(
        kymo_counter_family_new(
            reg, KYMO_DESC(.name = "new_seconds", .help = "N.", .unit = "seconds", KYMO_LABELS("a"), WITH_TWO), &f),
        0);
    CHECK(kymo_counter_with(f, KYMO_VALUES("x")) != NULL && kymo_counter_with(f, KYMO_VALUES("y")) != NULL);
    CHECK_INT(kymo_registry_visit(reg, &visitor), 0);
    CHECK_STRING(s.names, "p_new_seconds(seconds) p_old_seconds(seconds) p_older_time() ");
    CHECK_U64(s.families, 3);
    CHECK_U64(s.ends, 3);
    CHECK_U64(s.samples, 6);
    CHECK_U64(s.with_id, 2); /* a cache of references would otherwise take one for the other */
    kymo_registry_free(reg);
}

/* ---- small pages ---- */

#define ROOM 8192

struct taken {
    char text[1024 * 1024];
    size_t n;
};

/* One page after the other through buffers of one byte and of many: the place is kept within an alias, too. */
static void read_in_pieces(struct kymo_registry *reg, size_t piece, struct taken *to)
{
    static char buf[ROOM];
    struct kymo_scrape *s;
    size_t n = 1;
    to->n = 0;
    REQUIRE(kymo_scrape_new(reg, NULL, &s) == 0);
    while (n != 0) {
        REQUIRE(kymo_scrape_read(s, buf, piece, &n) == 0);
        REQUIRE(to->n + n < sizeof(to->text));
        memcpy(to->text + to->n, buf, n);
        to->n += n;
    }
    to->text[to->n] = '\0';
    kymo_scrape_free(s);
}

static int report_many(void *ctx, struct kymo_visit *visit)
{
    char value[300];
    const char *values[] = {value};
    struct kymo_point point;
    memset(&point, 0, sizeof(point));
    point.size = sizeof(point);
    point.values = values;
    int r = 0;
    (void)ctx;
    for (int i = 0; i < 400 && r == 0; i++) {
        (void)snprintf(value, sizeof(value), "%0250d", i);
        point.value.gauge = i;
        r = kymo_collect(visit, 0, &point);
    }
    return r;
}

/* 800 series of 260 bytes under three names: more than nine pages. */
static void test_pages_that_end_within_an_alias_go_on_there(void)
{
    static const char *const labels[] = {"a"};
    static const struct kymo_alias more[] = {{"c_old", NULL}, {"c_older", NULL}};
    static const struct kymo_desc desc = {.size = sizeof(desc),
                                          .name = "c",
                                          .help = "C.",
                                          .labels = labels,
                                          .n_labels = 1,
                                          .aliases = more,
                                          .n_aliases = 2};
    static const enum kymo_kind kind = KYMO_GAUGE;
    static const struct kymo_collector_ops ops = {sizeof(ops), "many", &desc, &kind, 1, report_many, NULL};
    static struct taken a, b;
    struct kymo_registry_options o;
    struct kymo_registry *reg;
    struct kymo_gauge_family *f;
    char value[300];
    memset(&o, 0, sizeof(o));
    o.size = sizeof(o);
    o.no_self_metrics = 1;
    REQUIRE(kymo_registry_new(&o, &reg) == 0);
    REQUIRE(kymo_gauge_family_new(reg, KYMO_DESC(.name = "n", .help = "N.", KYMO_LABELS("a"), WITH_TWO), &f) == 0);
    for (int i = 0; i < 400; i++) {
        (void)snprintf(value, sizeof(value), "%0250d", i);
        kymo_gauge_set(kymo_gauge_with(f, KYMO_VALUES(value)), i);
    }
    REQUIRE(kymo_collector_attach(reg, &ops, NULL, NULL) == 0);
    read_in_pieces(reg, 1, &a);
    read_in_pieces(reg, ROOM, &b);
    CHECK_STRING(a.text, b.text);
    struct page p = page_of(reg); /* parses: no family twice, none torn apart */
    CHECK_STRING(p.text, a.text);
    CHECK(p.n > 9 * 65536 && p.longest <= 65536);
    size_t lines = 0;
    for (const char *at = p.text; *at != '\0'; at = strchr(at, '\n') + 1)
        lines += *at != '#';
    CHECK_U64(lines, 400 * 3 * 2);
    CHECK_U64(lines_like(p.text, "# HELP older_time N. (deprecated name of n)"), 1);
    CHECK_U64(lines_like(p.text, "# HELP c_older C. (deprecated name of c)"), 1);
    page_free(&p);
    kymo_registry_free(reg);
}

/* ---- names that are somebody's ---- */

static int try_gauge(struct kymo_registry *reg, const char *name, const struct kymo_alias *aliases, size_t n)
{
    struct kymo_gauge *g;
    struct page before = page_of_own(reg);
    int r = kymo_gauge_new(reg, KYMO_DESC(.name = name, .help = "G.", .aliases = aliases, .n_aliases = n), &g);
    CHECK((g != NULL) == (r == 0));
    struct page after = page_of_own(reg);
    if (r != 0)
        CHECK_STRING(after.text, before.text);
    page_free(&before);
    page_free(&after);
    return r;
}

static int try_alias(struct kymo_registry *reg, const char *name, const char *alias)
{
    const struct kymo_alias a = {alias, NULL};
    return try_gauge(reg, name, &a, 1);
}

static void test_a_name_that_is_someone_else_s_is_refused(void)
{
    static const struct kymo_alias same[] = {{"b", NULL}, {"b", NULL}}, clash[] = {{"q_total", NULL}, {"q", NULL}};
    struct kymo_registry *reg = registry_new("p_");
    struct kymo_histogram *h;
    struct kymo_counter *c;
    CHECK_INT(kymo_histogram_new(reg, KYMO_DESC(.name = "h_seconds", .help = "H.", WITH_TWO), &h), 0);
    CHECK_INT(try_alias(reg, "a", "h_seconds"), KYMO_EEXIST);
    CHECK_INT(try_alias(reg, "a", "old_seconds"), KYMO_EEXIST);
    CHECK_INT(try_alias(reg, "a", "older_time"), KYMO_EEXIST);
    CHECK_INT(try_alias(reg, "a", "h_seconds_count"), KYMO_ECLASH);
    CHECK_INT(try_alias(reg, "a", "old_seconds_bucket"), KYMO_ECLASH);
    CHECK_INT(try_alias(reg, "old_seconds", "b"), KYMO_EEXIST);
    CHECK_INT(try_alias(reg, "older_time_sum", "b"), KYMO_ECLASH);
    CHECK_INT(try_alias(reg, "a", "a"), KYMO_EEXIST);
    CHECK_INT(try_gauge(reg, "a", same, 2), KYMO_EEXIST);
    CHECK_INT(kymo_counter_new(reg, KYMO_DESC(.name = "a_total", .help = "A.", .aliases = clash, .n_aliases = 2), &c),
              KYMO_ECLASH);
    CHECK_INT(try_alias(reg, "a", "b"), 0);
    CHECK_INT(try_alias(reg, "b", "d"), KYMO_EEXIST);
    CHECK_INT(try_alias(reg, "d", "kymo_recordings_refused_total"), KYMO_EEXIST);
    registry_end(reg);
}

static void test_bad_names_are_refused(void)
{
    char longest[256];
    struct kymo_registry *reg = registry_new("p_");
    static const struct kymo_alias bad_until = {"b", "\xff"};
    memset(longest, 'a', sizeof(longest));
    longest[254] = '\0';
    CHECK_INT(try_alias(reg, "a", longest), KYMO_ENAME); /* 254 and the prefix */
    longest[253] = '\0';
    CHECK_INT(try_alias(reg, "a", longest), 0);
    CHECK_INT(try_alias(reg, "c", ""), KYMO_ENAME);
    CHECK_INT(try_alias(reg, "c", NULL), KYMO_ENAME);
    CHECK_INT(try_alias(reg, "c", "a b"), KYMO_ENAME);
    CHECK_INT(try_gauge(reg, "c", &bad_until, 1), KYMO_EUTF8);
    CHECK_INT(try_gauge(reg, "c", NULL, 1), KYMO_EINVAL);
    registry_end(reg);
}

static void test_an_alias_may_need_quotes_where_the_name_does_not(void)
{
    struct kymo_registry *reg = registry_with(NULL, 1);
    CHECK_INT(try_alias(reg, "new", "http.old"), 0);
    CHECK(page_has(reg, "new 0"));
    CHECK(page_has(reg, "http_old 0")); /* the plain format escapes it */
    CHECK_INT(try_alias(reg, "http_old", "b"), KYMO_ECLASH);
    registry_end(reg);
}

/* ---- the end ---- */

static int n_events;

static void on_event(void *ctx, const struct kymo_event *event)
{
    (void)ctx;
    n_events++;
    CHECK_STRING(event->family->name, "new");
}

static void test_unregistering_frees_all_names_and_tells_once(void)
{
    struct kymo_registry_options o;
    struct kymo_registry *reg;
    struct kymo_gauge *g;
    memset(&o, 0, sizeof(o));
    o.size = sizeof(o);
    o.event = on_event;
    n_events = 0;
    REQUIRE(kymo_registry_new(&o, &reg) == 0);
    CHECK_INT(kymo_gauge_new(reg, KYMO_DESC(.name = "new", .help = "N.", WITH_TWO), &g), 0);
    CHECK_INT(kymo_registry_unregister(reg, "older_time"), KYMO_ENOENT); /* by its own name only */
    CHECK(page_has(reg, "older_time 0"));
    CHECK_INT(kymo_registry_unregister(reg, "new"), 0);
    CHECK_INT(n_events, 1);
    CHECK(!page_mentions(reg, "old"));
    CHECK_INT(try_alias(reg, "older_time", "old_seconds"), 0);
    CHECK(page_has(reg, "older_time 0"));
    kymo_registry_free(reg);
}

TEST_MAIN(TEST(test_all_names_have_the_same_series_and_values), TEST(test_a_callback_is_asked_once_for_all_names),
          TEST(test_collectors_families_have_aliases_too), TEST(test_visitors_see_each_name_as_a_family),
          TEST(test_pages_that_end_within_an_alias_go_on_there), TEST(test_a_name_that_is_someone_else_s_is_refused),
          TEST(test_bad_names_are_refused), TEST(test_an_alias_may_need_quotes_where_the_name_does_not),
          TEST(test_unregistering_frees_all_names_and_tells_once))
