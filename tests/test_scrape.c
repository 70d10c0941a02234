/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_scrape.c - however a page is taken, in pieces of any size, pushed or pulled, it is the same page.
 *
 * How: the bytes of kymo_registry_write() are compared with those of kymo_scrape_read() for every size of the pieces.
 * Pages are disturbed on the way: given up, with families coming and going between two pieces, by many threads at once,
 * by sinks and visitors that fail. Large series make the page grow.
 */
#include <pthread.h>

#include "page.h"

static const struct kymo_format *text;

static struct kymo_registry *registry_new(void)
{
    struct kymo_registry_options o;
    struct kymo_registry *reg;
    memset(&o, 0, sizeof(o));
    o.size = sizeof(o);
    o.no_self_metrics = 1; /* they hold durations, which differ from page to page */
    o.max_series = 20000;
    REQUIRE(kymo_registry_new(&o, &reg) == 0);
    text = kymo_format_find("text");
    REQUIRE(text != NULL);
    return reg;
}

static struct kymo_counter_family *fill(struct kymo_registry *reg, const char *name, int n)
{
    struct kymo_counter_family *f;
    char value[64];
    REQUIRE(kymo_counter_family_new(
                reg, KYMO_DESC(.name = name, .help = "Many.", KYMO_LABELS("v"), KYMO_GUARD(.max_series = 6000)), &f) ==
            0);
    for (int i = 0; i < n; i++) {
        (void)snprintf(value, sizeof(value), "a \"longer\" value %d", i);
        kymo_counter_family_add(f, i + 0.5, KYMO_VALUES(value));
    }
    return f;
}

/* Reads a page to its end in pieces of one size. */
static struct page page_in_pieces(struct kymo_registry *reg, size_t piece)
{
    struct kymo_scrape *s;
    struct page p = {NULL, 0, 0, 0};
    char *buf = malloc(piece);
    size_t n = 1;
    REQUIRE(buf != NULL && kymo_scrape_new(reg, text, &s) == 0);
    page_append(&p, "", 0);
    while (n != 0) {
        CHECK_INT(kymo_scrape_read(s, buf, piece, &n), 0);
        CHECK(n <= piece);
        page_append(&p, buf, n);
    }
    CHECK_INT(kymo_scrape_read(s, buf, piece, &n), 0); /* and again: still complete */
    CHECK_U64(n, 0);
    kymo_scrape_free(s);
    free(buf);
    return p;
}

static void test_pieces_of_every_size_make_the_same_page(void)
{
    struct kymo_registry *reg = registry_new();
    struct kymo_histogram *h;
    (void)fill(reg, "many_total", 20);
    REQUIRE(kymo_histogram_new(reg, KYMO_DESC(.name = "h", .help = "H."), &h) == 0);
    kymo_histogram_observe(h, 0.3);
    struct page whole = page_of(reg);
    for (size_t piece = 1; piece <= whole.n + 2; piece++) {
        struct page p = page_in_pieces(reg, piece);
        CHECK_STRING(p.text, whole.text);
        page_free(&p);
    }
    page_free(&whole);
    kymo_registry_free(reg);
}

static void test_a_page_of_many_chunks_is_the_same_in_pieces_and_no_chunk_is_larger_than_64_kib(void)
{
    static const size_t pieces[] = {1, 7, 4096, 65535, 65536, 65537, 1000000};
    struct kymo_registry *reg = registry_new();
    (void)fill(reg, "a_total", 6000);
    (void)fill(reg, "b_total", 3);
    (void)fill(reg, "c_total", 3000);
    struct page whole = page_of(reg);
    CHECK(whole.n > 5 * 65536);
    CHECK(whole.longest <= 65536);
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        struct page p = page_in_pieces(reg, pieces[i]);
        CHECK(p.n == whole.n && memcmp(p.text, whole.text, p.n) == 0);
        page_free(&p);
    }
    page_free(&whole);
    kymo_registry_free(reg);
}

/* Of 500 bounds, and with values as long as they can get. */
static struct kymo_histogram_family *wide_new(struct kymo_registry *reg, const double *bounds)
{
    struct kymo_histogram_family *f;
    REQUIRE(kymo_histogram_family_new(reg,
                                      KYMO_DESC(.name = "wide", .help = "W.", .bounds = bounds, .n_bounds = 500,
                                                KYMO_LABELS("l"), KYMO_GUARD(.max_value_bytes = 60000)),
                                      &f) == 0);
    return f;
}

static void test_one_series_larger_than_the_page_is_written_whole(void)
{
    static double bounds[500];
    struct kymo_registry *reg = registry_new();
    struct kymo_histogram_family *f;
    char *label = malloc(60001);
    REQUIRE(label != NULL);
    memset(label, 'x', 60000);
    label[60000] = '\0';
    (void)fill(reg, "before_total", 1000);
    for (int i = 0; i < 500; i++)
        bounds[i] = i;
    f = wide_new(reg, bounds);
    kymo_histogram_family_observe(f, 1, KYMO_VALUES(label));
    (void)fill(reg, "after_total", 1000);
    struct page whole = page_of(reg);
    CHECK(whole.n > 503 * 60000u);
    CHECK(whole.longest <= 65536);
    struct page p = page_in_pieces(reg, 100000);
    CHECK(p.n == whole.n && memcmp(p.text, whole.text, p.n) == 0);
    page_free(&p);
    page_free(&whole);
    free(label);
    kymo_registry_free(reg);
}

/* Every byte of the longest value escaped, and constant labels beside it: as large as a point can get. */
static void test_the_largest_series_there_can_be_does_not_cost_the_page(void)
{
    static double bounds[500];
    struct kymo_registry_options o;
    struct kymo_registry *reg;
    struct kymo_histogram_family *f;
    struct kymo_label site;
    char *label = malloc(60001), *constant = malloc(4097);
    REQUIRE(label != NULL && constant != NULL);
    memset(label, '\n', 60000);
    label[60000] = '\0';
    memset(constant, 'c', 4096); /* the most there can be */
    constant[4096] = '\0';
    site.name = "site";
    site.value = constant;
    memset(&o, 0, sizeof(o));
    o.size = sizeof(o);
    o.const_labels = &site;
    o.n_const_labels = 1;
    o.no_self_metrics = 1;
    REQUIRE(kymo_registry_new(&o, &reg) == 0);
    for (int i = 0; i < 500; i++)
        bounds[i] = i;
    f = wide_new(reg, bounds);
    kymo_histogram_family_observe(f, 1, KYMO_VALUES(label));
    struct page p;
    CHECK_INT(page_write(reg, &p), 0);
    CHECK(p.n > 503 * 120000u); /* it is there, escaped */
    page_free(&p);
    free(label);
    free(constant);
    kymo_registry_free(reg);
}

/* ---- sinks and visitors that fail ---- */

struct failing {
    size_t calls, fail_at;
    int error;
};

static int fail_write(void *ctx, const char *data, size_t n)
{
    struct failing *f = ctx;
    (void)data;
    (void)n;
    return ++f->calls == f->fail_at ? f->error : 0;
}

static void test_a_sink_s_error_reaches_the_caller_untouched(void)
{
    static const int errors[] = {1, -1, 42, KYMO_EAGAIN, KYMO_ENOMEM, INT32_MIN};
    struct kymo_registry *reg = registry_new();
    (void)fill(reg, "a_total", 6000);
    struct page whole = page_of(reg);
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        for (size_t at = 1; at <= 3; at++) {
            struct failing f = {0, at, errors[i]};
            const struct kymo_sink sink = {sizeof(sink), &f, fail_write};
            CHECK_INT(kymo_registry_write(reg, text, &sink), errors[i]);
            CHECK_U64(f.calls, at);
        }
    struct page again = page_of(reg);
    CHECK_STRING(again.text, whole.text);
    page_free(&again);
    page_free(&whole);
    kymo_registry_free(reg);
}

static int fail_family(void *ctx, const struct kymo_family *family)
{
    (void)family;
    return fail_write(ctx, NULL, 0);
}

static int fail_sample(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    (void)family;
    (void)point;
    return fail_write(ctx, NULL, 0);
}

static double three(void *ctx)
{
    (void)ctx;
    return 3;
}

static void test_a_visitor_s_error_stops_the_visit_and_reaches_the_caller_untouched(void)
{
    struct kymo_registry *reg = registry_new();
    (void)fill(reg, "a_total", 3);
    REQUIRE(kymo_gauge_callback(reg, KYMO_DESC(.name = "g", .help = "G."), three, NULL) == 0);
    for (size_t at = 1; at <= 8; at++) { /* a: begin, 3 points, end; g: begin, point, end */
        struct failing f = {0, at, 77};
        const struct kymo_visitor visitor = {sizeof(visitor), &f, fail_family, fail_sample, fail_family};
        CHECK_INT(kymo_registry_visit(reg, &visitor), 77);
        CHECK_U64(f.calls, at);
    }
    struct failing f = {0, 0, 0};
    struct kymo_visitor visitor = {sizeof(visitor), &f, fail_family, fail_sample, fail_family};
    CHECK_INT(kymo_registry_visit(reg, &visitor), 0);
    CHECK_U64(f.calls, 8);
    visitor.family = visitor.end = NULL;
    f.calls = 0;
    CHECK_INT(kymo_registry_visit(reg, &visitor), 0);
    CHECK_U64(f.calls, 4);
    visitor.sample = NULL;
    CHECK_INT(kymo_registry_visit(reg, &visitor), KYMO_EINVAL);
    visitor.sample = fail_sample;
    visitor.size = 0;
    CHECK_INT(kymo_registry_visit(reg, &visitor), KYMO_EINVAL);
    CHECK_INT(kymo_registry_visit(reg, NULL), KYMO_EINVAL);
    CHECK_INT(kymo_registry_visit(NULL, &visitor), KYMO_EINVAL);
    kymo_registry_free(reg);
}

static void test_bad_arguments_are_refused_by_name(void)
{
    struct kymo_registry *reg = registry_new();
    struct kymo_format broken = *text;
    struct kymo_encoder mute = *text->encoder;
    struct kymo_scrape *s = (struct kymo_scrape *)&broken;
    struct failing f = {0, 0, 0};
    struct kymo_sink sink = {sizeof(sink), &f, fail_write};
    char byte;
    size_t n = 7;
    CHECK_INT(kymo_scrape_new(NULL, text, &s), KYMO_EINVAL);
    CHECK(s == NULL);
    CHECK_INT(kymo_scrape_new(reg, text, NULL), KYMO_EINVAL);
    broken.encoder = NULL;
    CHECK_INT(kymo_scrape_new(reg, &broken, &s), KYMO_EINVAL);
    broken.encoder = &mute;
    mute.sample = NULL;
    CHECK_INT(kymo_scrape_new(reg, &broken, &s), KYMO_EINVAL);
    broken = *text;
    broken.size = 0;
    CHECK_INT(kymo_scrape_new(reg, &broken, &s), KYMO_EINVAL);
    CHECK_INT(kymo_registry_write(NULL, text, &sink), KYMO_EINVAL);
    CHECK_INT(kymo_registry_write(reg, text, NULL), KYMO_EINVAL);
    sink.write = NULL;
    CHECK_INT(kymo_registry_write(reg, text, &sink), KYMO_EINVAL);
    sink.write = fail_write;
    sink.size = 0;
    CHECK_INT(kymo_registry_write(reg, text, &sink), KYMO_EINVAL);
    REQUIRE(kymo_scrape_new(reg, text, &s) == 0);
    CHECK_INT(kymo_scrape_read(NULL, &byte, 1, &n), KYMO_EINVAL);
    CHECK_INT(kymo_scrape_read(s, NULL, 1, &n), KYMO_EINVAL);
    CHECK_INT(kymo_scrape_read(s, &byte, 0, &n), KYMO_EINVAL);
    CHECK_INT(kymo_scrape_read(s, &byte, 1, NULL), KYMO_EINVAL);
    CHECK_INT(kymo_scrape_read(s, &byte, 1, &n), 0);
    CHECK_U64(n, 0); /* an empty registry has an empty page */
    kymo_scrape_free(s);
    kymo_scrape_free(NULL);
    CHECK(kymo_encoder_find(NULL) == NULL && kymo_encoder_find("nonsense") == NULL);
    size_t found = 0, at = 0;
    for (; kymo_encoder_at(at) != NULL; at++)
        found += kymo_encoder_at(at) == text->encoder;
    CHECK_U64(found, 1);
    CHECK(kymo_encoder_at(at + 1) == NULL && kymo_encoder_at(SIZE_MAX) == NULL);
    kymo_registry_free(reg);
}

/* ---- the families that were asked for ---- */

static int report_one(void *ctx, struct kymo_visit *visit)
{
    struct kymo_point point;
    memset(&point, 0, sizeof(point));
    point.size = sizeof(point);
    (*(int *)ctx)++;
    return kymo_collect(visit, 0, &point);
}

static double count_calls(void *ctx)
{
    return ++*(int *)ctx;
}

struct asked {
    struct kymo_registry *reg;
    int collected, read; /* how often collector and callback were called */
};

static void asked_init(struct asked *a)
{
    static const struct kymo_desc info = {.size = sizeof(info), .name = "host_info", .help = "I."};
    static const enum kymo_kind kind = KYMO_INFO;
    struct kymo_collector_ops ops;
    struct kymo_registry_options o;
    struct kymo_histogram *h;
    struct kymo_gauge *g;
    memset(&o, 0, sizeof(o));
    o.size = sizeof(o);
    o.no_self_metrics = 1;
    o.utf8_names = 1;
    *a = (struct asked){NULL, 0, 0};
    REQUIRE(kymo_registry_new(&o, &a->reg) == 0);
    (void)fill(a->reg, "many_total", 3000);
    REQUIRE(kymo_histogram_new(a->reg, KYMO_DESC(.name = "h", .help = "H.", KYMO_BOUNDS(1)), &h) == 0);
    REQUIRE(kymo_gauge_new(a->reg, KYMO_DESC(.name = "g.h", .help = "G."), &g) == 0);
    REQUIRE(kymo_gauge_callback(a->reg, KYMO_DESC(.name = "called", .help = "C."), count_calls, &a->read) == 0);
    memset(&ops, 0, sizeof(ops));
    ops.size = sizeof(ops);
    ops.name = "host";
    ops.descs = &info;
    ops.kinds = &kind;
    ops.n_descs = 1;
    ops.collect = report_one;
    REQUIRE(kymo_collector_attach(a->reg, &ops, &a->collected, NULL) == 0);
}

/* Which families are on the page: M h g c i, in this order. */
static void must_show(struct asked *a, enum kymo_escaping escaping, const char *const *names, size_t n,
                      const char *want)
{
    struct kymo_format f = *kymo_format_find("text");
    struct page p = {NULL, 0, 0, 0};
    const struct kymo_sink sink = {sizeof(sink), &p, page_append};
    char have[8] = "";
    f.escaping = escaping;
    f.names = names;
    f.n_names = n;
    page_append(&p, "", 0);
    CHECK_INT(kymo_registry_write(a->reg, &f, &sink), 0);
    (void)strcat(have, strstr(p.text, "many_total{") != NULL ? "M" : "");
    (void)strcat(have, strstr(p.text, "# TYPE h ") != NULL ? "h" : "");
    (void)strcat(have, strstr(p.text, "# HELP ") != NULL && strstr(p.text, " G.\n") != NULL ? "g" : "");
    (void)strcat(have, strstr(p.text, "# TYPE called ") != NULL ? "c" : "");
    (void)strcat(have, strstr(p.text, "# TYPE host_info ") != NULL ? "i" : "");
    CHECK_STRING(have, want);
    if (strcmp(have, want) != 0)
        fprintf(stderr, "... %s\n", names[0] ? names[0] : "(null)");
    CHECK((p.n > 65536) == (want[0] == 'M'));
    CHECK(want[0] != '\0' || p.n == 0);
    page_free(&p);
}

static void test_only_families_that_were_asked_for_are_on_the_page(void)
{
    static const struct {
        const char *name, *want;
    } rows[] = {
        {"many_total", "M"},
        {"many", "M"},
        {"many_created", "M"},
        {"many_to", ""},
        {"many_sum", ""},
        {"h", "h"},
        {"h_bucket", "h"},
        {"h_sum", "h"},
        {"h_count", "h"},
        {"h_created", "h"},
        {"h_total", ""},
        {"h_", ""},
        {"", ""},
        {"H", ""},
        {"called", "c"},
        {"called_total", ""},
        {"host_info", "i"},
        {"host", "i"},
        {"host_info_info", ""},
        {"g.h", "g"},
        {"g_h", "g"},
        {"g_dot_h", ""},
        {"U__g_2e_h", ""},
        {"nothing", ""},
    };
    static const char *const several[] = {"h_sum", "nothing", "many", "h", NULL, "g.h"};
    struct asked a;
    asked_init(&a);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        must_show(&a, KYMO_ESCAPE_UNDERSCORES, &rows[i].name, 1, rows[i].want);
    must_show(&a, KYMO_ESCAPE_UNDERSCORES, several, 6, "Mhg");
    must_show(&a, KYMO_ESCAPE_UNDERSCORES, several, 0, "Mhgci");
    must_show(&a, KYMO_ESCAPE_DOTS, (const char *const[]){"g_dot_h"}, 1, "g");
    must_show(&a, KYMO_ESCAPE_DOTS, (const char *const[]){"g_h"}, 1, "");
    must_show(&a, KYMO_ESCAPE_VALUES, (const char *const[]){"U__g_2e_h"}, 1, "g");
    must_show(&a, KYMO_ALLOW_UTF8, (const char *const[]){"g.h"}, 1, "g");
    must_show(&a, KYMO_ALLOW_UTF8, (const char *const[]){"g_h"}, 1, "");
    kymo_registry_free(a.reg);
}

static void test_a_callback_that_was_not_asked_for_is_not_called(void)
{
    static const char *const names[] = {"h"}, *const called[] = {"called"};
    struct asked a;
    asked_init(&a);
    must_show(&a, KYMO_ESCAPE_UNDERSCORES, names, 1, "h");
    CHECK_INT(a.read, 0);
    must_show(&a, KYMO_ESCAPE_UNDERSCORES, called, 1, "c");
    CHECK_INT(a.read, 1);
    CHECK_INT(a.collected, 2); /* a collector's families are known by what it reports */
    kymo_registry_free(a.reg);
}

/* ---- disturbed pages ---- */

static void test_a_scrape_given_up_halfway_leaves_nothing(void)
{
    struct heap heap = HEAP_INIT;
    const struct kymo_allocator allocator = {sizeof(allocator), &heap, heap_alloc, heap_free};
    struct kymo_registry_options o;
    struct kymo_registry *reg;
    char buf[50];
    size_t n;
    memset(&o, 0, sizeof(o));
    o.size = sizeof(o);
    o.allocator = &allocator;
    REQUIRE(kymo_registry_new(&o, &reg) == 0);
    (void)fill(reg, "a_total", 3000);
    size_t live = heap.live;
    for (int reads = 0; reads < 4000; reads += reads < 3 ? 1 : 997) {
        struct kymo_scrape *s;
        REQUIRE(kymo_scrape_new(reg, text, &s) == 0);
        for (int i = 0; i < reads; i++)
            CHECK_INT(kymo_scrape_read(s, buf, sizeof(buf), &n), 0);
        kymo_scrape_free(s);
        CHECK_U64(heap.live, live);
    }
    kymo_registry_free(reg);
    heap_must_be_empty(&heap);
}

static void test_families_may_come_and_go_between_two_pieces(void)
{
    struct kymo_registry *reg = registry_new();
    struct kymo_scrape *s;
    char buf[1000];
    size_t n = 1, turn = 0;
    struct page p = {NULL, 0, 0, 0};
    (void)fill(reg, "first_total", 3000);
    (void)fill(reg, "second_total", 2000);
    (void)fill(reg, "third_total", 2000);
    REQUIRE(kymo_scrape_new(reg, text, &s) == 0);
    page_append(&p, "", 0);
    while (n != 0) {
        CHECK_INT(kymo_scrape_read(s, buf, sizeof(buf), &n), 0);
        page_append(&p, buf, n);
        turn++;
        if (turn == 3)
            CHECK_INT(kymo_registry_unregister(reg, "first_total"), 0); /* the one being shown */
        if (turn == 4)
            CHECK_INT(kymo_registry_unregister(reg, "second_total"), 0); /* the next one */
        if (turn == 5)
            (void)fill(reg, "fourth_total", 10);
        if (turn == 6)
            (void)fill(reg, "first_total", 1); /* the name of the one that was half shown */
    }
    kymo_scrape_free(s);
    CHECK(strstr(p.text, "second_total") == NULL);
    CHECK_U64(lines_like(p.text, "third_total{v=\"a \\\"longer\\\" value 1999\"} 1999.5"), 1);
    /* A page is not one cut across families, but it is one that a server takes: no family twice. */
    page_must_parse(&p);
    page_free(&p);
    kymo_registry_free(reg);
}

static int stop;

static void *scrape_until_stopped(void *arg)
{
    struct kymo_registry *reg = arg;
    for (int i = 0; i < 30 && !__atomic_load_n(&stop, __ATOMIC_RELAXED); i++) {
        struct page p = i % 2 ? page_in_pieces(reg, 3000) : page_of(reg);
        page_must_parse(&p);
        CHECK(strstr(p.text, "\nsteady_total{v=\"a \\\"longer\\\" value 499\"} 499.5\n") != NULL);
        page_free(&p);
    }
    return NULL;
}

static void test_many_scrapes_at_once_while_families_come_and_go(void)
{
    struct kymo_registry *reg = registry_new();
    pthread_t threads[6];
    (void)fill(reg, "steady_total", 500);
    __atomic_store_n(&stop, 0, __ATOMIC_RELAXED);
    for (int i = 0; i < 6; i++)
        REQUIRE(pthread_create(&threads[i], NULL, scrape_until_stopped, reg) == 0);
    for (int i = 0; i < 40; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "passing_%d_total", i);
        (void)fill(reg, name, 40);
        if (i % 2)
            CHECK_INT(kymo_registry_unregister(reg, name), 0);
    }
    for (int i = 0; i < 6; i++)
        REQUIRE(pthread_join(threads[i], NULL) == 0);
    kymo_registry_free(reg);
}

/* ---- values of a point ---- */

static int check_values(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    const char *const *want = ctx;
    char buf[64];
    for (size_t i = 0; i < family->desc->n_labels; i++) {
        size_t whole = strlen(want[i]);
        CHECK_U64(kymo_point_value(family, point, i, NULL, 0), whole);
        for (size_t cap = 1; cap < sizeof(buf); cap++) {
            memset(buf, '#', sizeof(buf));
            CHECK_U64(kymo_point_value(family, point, i, buf, cap), whole);
            size_t n = strlen(buf);
            CHECK(n < cap && memcmp(buf, want[i], n) == 0);
            CHECK(text_is_utf8(buf, n));
            CHECK(cap <= whole ? n + 4 >= cap : n == whole); /* at most three bytes of a character are cut */
        }
    }
    CHECK_U64(kymo_point_value(family, point, family->desc->n_labels, buf, sizeof(buf)), 0);
    CHECK_STRING(buf, "");
    return 0;
}

static int check_values_remembered(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    struct kymo_point other = *point;
    int r = check_values(ctx, family, point);
    other.labels = NULL; /* the same by values */
    other.values = ctx;
    return r != 0 ? r : check_values(ctx, family, &other);
}

static void test_values_are_unescaped_and_cut_at_characters(void)
{
    static const char *const values[] = {"a\"b\\c\nd", "", "\xe2\x82\xac\xf0\x9f\x98\x80\xc3\xa9", "x,y=\"z\"", "\\n"};
    struct kymo_registry *reg = registry_new();
    struct kymo_counter_family *f;
    const struct kymo_visitor visitor = {sizeof(visitor), (void *)(uintptr_t)values, NULL, check_values_remembered,
                                         NULL};
    REQUIRE(kymo_counter_family_new(
                reg, KYMO_DESC(.name = "x_total", .help = "X.", KYMO_LABELS("a", "b", "c", "d", "e")), &f) == 0);
    kymo_counter_family_inc(f, values, 5);
    CHECK_INT(kymo_registry_visit(reg, &visitor), 0);
    kymo_registry_free(reg);
}

static void test_what_was_recorded_before_the_scrape_began_is_in_it(void)
{
    struct kymo_registry *reg = registry_new();
    struct kymo_counter *c;
    struct kymo_scrape *s;
    char buf[200];
    size_t n;
    REQUIRE(kymo_counter_new(reg, KYMO_DESC(.name = "x_total", .help = "X."), &c) == 0);
    for (int i = 1; i < 100; i++) {
        char line[32];
        kymo_counter_inc(c);
        REQUIRE(kymo_scrape_new(reg, text, &s) == 0);
        CHECK_INT(kymo_scrape_read(s, buf, sizeof(buf) - 1, &n), 0);
        buf[n] = '\0';
        (void)snprintf(line, sizeof(line), "x_total %d", i);
        CHECK_U64(lines_like(buf, line), 1);
        kymo_scrape_free(s);
    }
    kymo_registry_free(reg);
}

TEST_MAIN(TEST(test_pieces_of_every_size_make_the_same_page),
          TEST(test_a_page_of_many_chunks_is_the_same_in_pieces_and_no_chunk_is_larger_than_64_kib),
          TEST(test_one_series_larger_than_the_page_is_written_whole),
          TEST(test_the_largest_series_there_can_be_does_not_cost_the_page),
          TEST(test_a_sink_s_error_reaches_the_caller_untouched),
          TEST(test_a_visitor_s_error_stops_the_visit_and_reaches_the_caller_untouched),
          TEST(test_bad_arguments_are_refused_by_name), TEST(test_only_families_that_were_asked_for_are_on_the_page),
          TEST(test_a_callback_that_was_not_asked_for_is_not_called),
          TEST(test_a_scrape_given_up_halfway_leaves_nothing), TEST(test_families_may_come_and_go_between_two_pieces),
          TEST(test_many_scrapes_at_once_while_families_come_and_go),
          TEST(test_values_are_unescaped_and_cut_at_characters),
          TEST(test_what_was_recorded_before_the_scrape_began_is_in_it))
