/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_openmetrics.c - points become exactly the bytes of OpenMetrics text, whole or not at all.
 *
 * How: as test_text.c does. Points are built by hand (points.h), the page is compared byte for byte with what the
 * standard asks for, and every page is also read back by a strict parser (openmetrics_parser.h) that shares no code
 * with the encoder; the parser itself is shown what it must refuse. Last, a registry's own page.
 */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kymo/kymo.h>

#include "encode/lines.h"
#include "openmetrics_parser.h"
#include "page.h"
#include "points.h"

static const struct kymo_format *plain;
static struct kymo_format with_created;

/* Reads a page without its EOF. */
static struct om_page parse(const char *text)
{
    struct om_page page;
    size_t n = strlen(text);
    char *whole = malloc(n + sizeof "# EOF\n");
    REQUIRE(whole != NULL);
    memcpy(whole, text, n);
    memcpy(whole + n, "# EOF\n", sizeof "# EOF\n");
    int good = om_parse(&page, whole, n + 6);
    if (!good)
        fprintf(stderr, "refused: %s\n%s", page.error, text);
    CHECK(good);
    free(whole);
    return page;
}

static void expect_page(const struct fixture *f, const struct kymo_format *format, const char *wanted)
{
    int r;
    char *text = encode_in(f, format, 1, ROOM, NULL, 0, &r);
    CHECK_INT(r, 0);
    CHECK_STRING(text, wanted);
    struct om_page page = parse(text);
    om_page_free(&page);
    free(text);
}

/* ---- every kind ---- */

#define BUCKETS                                                                                                        \
    "m_bucket{x=\"y\",a=\"b\",le=\"0.005\"} 2\nm_bucket{x=\"y\",a=\"b\",le=\"1.0\"} 2\n"                               \
    "m_bucket{x=\"y\",a=\"b\",le=\"10.0\"} 5\nm_bucket{x=\"y\",a=\"b\",le=\"+Inf\"} 6\n"

static const char *const pages[] = {
    [KYMO_COUNTER] = "# TYPE m counter\n# HELP m Help.\nm_total{x=\"y\",a=\"b\"} 7\n",
    [KYMO_GAUGE] = "# TYPE m gauge\n# HELP m Help.\nm{x=\"y\",a=\"b\"} 0.25\n",
    [KYMO_HISTOGRAM] =
        "# TYPE m histogram\n# HELP m Help.\n" BUCKETS "m_sum{x=\"y\",a=\"b\"} 12.5\nm_count{x=\"y\",a=\"b\"} 6\n",
    [KYMO_INFO] = "# TYPE m info\n# HELP m Help.\nm_info{x=\"y\",a=\"b\"} 1\n",
    [KYMO_STATESET] = "# TYPE m stateset\n# HELP m Help.\n"
                      "m{x=\"y\",a=\"b\",m=\"on\"} 0\nm{x=\"y\",a=\"b\",m=\"o\\\"ff\\\"\"} 1\n",
    [KYMO_SUMMARY] = "# TYPE m summary\n# HELP m Help.\n"
                     "m{x=\"y\",a=\"b\",quantile=\"0.0\"} 0.25\nm{x=\"y\",a=\"b\",quantile=\"0.5\"} 1\n"
                     "m{x=\"y\",a=\"b\",quantile=\"0.99\"} NaN\n"
                     "m_sum{x=\"y\",a=\"b\"} 12.5\nm_count{x=\"y\",a=\"b\"} 6\n",
    [KYMO_GAUGE_HISTOGRAM] = "# TYPE m gaugehistogram\n# HELP m Help.\n" BUCKETS
                             "m_gsum{x=\"y\",a=\"b\"} 12.5\nm_gcount{x=\"y\",a=\"b\"} 6\n",
    [KYMO_UNKNOWN] = "# TYPE m unknown\n# HELP m Help.\nm{x=\"y\",a=\"b\"} 0.25\n",
};

/* The names that kinds are registered under: with their suffix and without it. */
static const char *name_of(enum kymo_kind kind, size_t variant)
{
    if (variant != 0 || (kind != KYMO_COUNTER && kind != KYMO_INFO))
        return "m";
    return kind == KYMO_COUNTER ? "m_total" : "m_info";
}

static void test_every_kind_has_its_type_and_suffixes(void)
{
    for (size_t i = 0; i < (size_t)4 * N_KINDS; i++) {
        enum kymo_kind kind = (enum kymo_kind)(1 + i / 4);
        struct fixture *f = begin(kind, name_of(kind, i / 2 % 2), i & 1, "x=\"y\"", "a=\"b\"");
        set_some_value(f);
        expect_page(f, plain, pages[kind]);
        end(f);
    }
}

static void test_kinds_without_labels_have_no_braces(void)
{
    static const char *const states[] = {"on"};
    struct fixture *f = begin(KYMO_INFO, "build", 1, "", "");
    expect_page(f, plain, "# TYPE build info\n# HELP build Help.\nbuild_info 1\n");
    end(f);
    f = begin(KYMO_COUNTER, "c", 1, "", NULL);
    expect_page(f, plain, "# TYPE c counter\n# HELP c Help.\nc_total 0\n");
    end(f);
    f = begin(KYMO_STATESET, "s", 1, "", NULL);
    set_states(f, states, 1, 1);
    expect_page(f, plain, "# TYPE s stateset\n# HELP s Help.\ns{s=\"on\"} 1\n");
    end(f);
    f = begin(KYMO_SUMMARY, "s", 1, "", NULL);
    set_summary(f, NULL, 0, 1);
    expect_page(f, plain, "# TYPE s summary\n# HELP s Help.\ns_sum 1\ns_count 6\n");
    end(f);
}

/* A name that is nothing but a suffix keeps it. */
static void test_no_family_loses_its_whole_name(void)
{
    struct fixture *f = begin(KYMO_COUNTER, "_total", 1, "", NULL);
    expect_page(f, plain, "# TYPE _total counter\n# HELP _total Help.\n_total_total 0\n");
    end(f);
    f = begin(KYMO_INFO, "_info", 1, "", NULL);
    expect_page(f, plain, "# TYPE _info info\n# HELP _info Help.\n_info_info 1\n");
    end(f);
}

/* ---- metadata ---- */

static void test_units_stand_where_they_may(void)
{
    static const struct {
        enum kymo_kind kind;
        const char *name, *unit, *header;
    } cases[] = {
        {KYMO_COUNTER, "c_seconds_total", "seconds", "# TYPE c_seconds counter\n# UNIT c_seconds seconds\n"},
        {KYMO_COUNTER, "c_seconds", "seconds", "# TYPE c_seconds counter\n# UNIT c_seconds seconds\n"},
        {KYMO_GAUGE, "g_bytes", "bytes", "# TYPE g_bytes gauge\n# UNIT g_bytes bytes\n"},
        {KYMO_GAUGE, "g_bytes", "", "# TYPE g_bytes gauge\n"},
        {KYMO_GAUGE, "g_bytes", "ytes", "# TYPE g_bytes gauge\n"},
        {KYMO_GAUGE, "g_bytes", "g_bytes", "# TYPE g_bytes gauge\n"},
        {KYMO_GAUGE, "_bytes", "bytes", "# TYPE _bytes gauge\n"},
        {KYMO_GAUGE, "g_bytes_total", "bytes", "# TYPE g_bytes_total gauge\n"},
        {KYMO_HISTOGRAM, "h_seconds", "seconds", "# TYPE h_seconds histogram\n# UNIT h_seconds seconds\n"},
        {KYMO_GAUGE_HISTOGRAM, "h_seconds", "seconds", "# TYPE h_seconds gaugehistogram\n# UNIT h_seconds seconds\n"},
        {KYMO_SUMMARY, "s_seconds", "seconds", "# TYPE s_seconds summary\n# UNIT s_seconds seconds\n"},
        {KYMO_UNKNOWN, "u_seconds", "seconds", "# TYPE u_seconds unknown\n# UNIT u_seconds seconds\n"},
        {KYMO_INFO, "i_seconds", "seconds", "# TYPE i_seconds info\n"},
        {KYMO_STATESET, "s_seconds", "seconds", "# TYPE s_seconds stateset\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int r;
        struct fixture *f = begin(cases[i].kind, cases[i].name, 1, "", NULL);
        set_some_value(f);
        f->desc.unit = cases[i].unit;
        f->desc.help = i % 2 == 0 ? "" : NULL;
        char *text = encode_in(f, plain, 1, ROOM, NULL, 0, &r);
        size_t n = strlen(cases[i].header);
        CHECK(strncmp(text, cases[i].header, n) == 0 && text[n] != '#');
        struct om_page page = parse(text);
        om_page_free(&page);
        free(text);
        end(f);
    }
}

static void test_help_escapes_its_quotes_too(void)
{
    struct fixture *f = begin(KYMO_GAUGE, "g", 1, "", NULL);
    f->desc.help = "a \\ b\nc \"d\" \xc3\xa9";
    expect_page(f, plain, "# TYPE g gauge\n# HELP g a \\\\ b\\nc \\\"d\\\" \xc3\xa9\ng 0\n");
    end(f);
}

static void test_eof_comes_whole_or_not_at_all(void)
{
    char room[8];
    for (size_t n = 0; n <= sizeof room; n++) {
        struct kymo_page page = {room, room + n, plain, 0, NULL, 0};
        memset(room, 0x55, sizeof room);
        CHECK_INT(plain->encoder->finish(&page), n < 6 ? KYMO_EAGAIN : 0);
        CHECK(page.at == room + (n < 6 ? 0 : 6));
        CHECK(memcmp(room, n < 6 ? "UUUUUUUU" : "# EOF\nUU", sizeof room) == 0);
    }
}

static void test_the_format_says_what_it_is(void)
{
    const char *type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    CHECK(plain->encoder == kymo_encoder_find("openmetrics"));
    CHECK_STRING(plain->encoder->content_type, type);
    CHECK_STRING(plain->content_type, type);
}

/* ---- values that the standard does not know ---- */

static void test_a_histogram_with_a_negative_bound_has_no_sum(void)
{
    static const double bounds[] = {-1, 2};
    static const uint64_t buckets[] = {1, 2, 3};
    struct fixture *f = begin(KYMO_HISTOGRAM, "h", 1, "", NULL);
    set_histogram(f, bounds, 2, buckets, 5);
    expect_page(f, plain,
                "# TYPE h histogram\n# HELP h Help.\n"
                "h_bucket{le=\"-1.0\"} 1\nh_bucket{le=\"2.0\"} 3\nh_bucket{le=\"+Inf\"} 6\n");
    end(f);
    f = begin(KYMO_GAUGE_HISTOGRAM, "h", 1, "", NULL);
    set_histogram(f, bounds, 2, buckets, -5);
    expect_page(f, plain,
                "# TYPE h gaugehistogram\n# HELP h Help.\n"
                "h_bucket{le=\"-1.0\"} 1\nh_bucket{le=\"2.0\"} 3\nh_bucket{le=\"+Inf\"} 6\nh_gsum -5\nh_gcount 6\n");
    end(f);
}

static void test_sums_that_readers_refuse_are_left_out(void)
{
    const double sums[] = {-DBL_MIN, -(double)INFINITY, (double)NAN};
    static const uint64_t one = 1;
    for (size_t i = 0; i < 3; i++) {
        struct fixture *f = begin(KYMO_HISTOGRAM, "h", 1, "", NULL);
        set_histogram(f, NULL, 0, &one, sums[i]);
        expect_page(f, plain, "# TYPE h histogram\n# HELP h Help.\nh_bucket{le=\"+Inf\"} 1\n");
        end(f);
        f = begin(KYMO_GAUGE_HISTOGRAM, "h", 1, "", NULL);
        set_histogram(f, NULL, 0, &one, sums[i]);
        expect_page(f, plain, "# TYPE h gaugehistogram\n# HELP h Help.\nh_bucket{le=\"+Inf\"} 1\n");
        end(f);
        f = begin(KYMO_SUMMARY, "s", 1, "", NULL);
        set_summary(f, NULL, 0, sums[i]);
        expect_page(f, plain, "# TYPE s summary\n# HELP s Help.\ns_count 6\n");
        end(f);
    }
}

static void test_quantiles_that_readers_refuse_are_left_out(void)
{
    static const struct kymo_quantile quantiles[] = {{-0.5, 1}, {0.25, -1}, {0.5, 0}, {1, 2}, {1.5, 3}};
    struct fixture *f = begin(KYMO_SUMMARY, "s", 1, "", NULL);
    set_summary(f, quantiles, 5, 1);
    expect_page(f, plain,
                "# TYPE s summary\n# HELP s Help.\ns{quantile=\"0.5\"} 0\ns{quantile=\"1.0\"} 2\ns_sum 1\ns_count 6\n");
    end(f);
}

static void test_whole_numbers_have_all_their_digits(void)
{
    static const uint64_t most = UINT64_MAX;
    struct fixture *f = begin(KYMO_COUNTER, "c_total", 1, "", NULL);
    f->point.value.counter.whole = UINT64_C(9007199254740993);
    expect_page(f, plain, "# TYPE c counter\n# HELP c Help.\nc_total 9007199254740993\n");
    f->point.value.counter.fraction = 0.5;
    expect_page(f, plain, "# TYPE c counter\n# HELP c Help.\nc_total 9.007199254740992e+15\n");
    end(f);
    f = begin(KYMO_HISTOGRAM, "h", 1, "", NULL);
    set_histogram(f, NULL, 0, &most, 1e22);
    expect_page(f, plain,
                "# TYPE h histogram\n# HELP h Help.\nh_bucket{le=\"+Inf\"} 18446744073709551615\nh_sum 1e+22\n"
                "h_count 18446744073709551615\n");
    end(f);
}

/* ---- exemplars and start times ---- */

static void test_counters_and_buckets_show_their_exemplars(void)
{
    struct fixture *f = begin(KYMO_COUNTER, "c_total", 1, "", "a=\"b\"");
    set_exemplars(f);
    expect_page(f, plain,
                "# TYPE c counter\n# HELP c Help.\n"
                "c_total{a=\"b\"} 0 # {trace_id=\"a\\\"b\"} 0.001 1700000000.123456789\n");
    end(f);
    f = begin(KYMO_HISTOGRAM, "h", 1, "", "a=\"b\"");
    set_some_value(f);
    set_exemplars(f);
    expect_page(f, plain,
                "# TYPE h histogram\n# HELP h Help.\n"
                "h_bucket{a=\"b\",le=\"0.005\"} 2 # {trace_id=\"a\\\"b\"} 0.001 1700000000.123456789\n"
                "h_bucket{a=\"b\",le=\"1.0\"} 2 # {} 0.5\n"
                "h_bucket{a=\"b\",le=\"10.0\"} 5\n"
                "h_bucket{a=\"b\",le=\"+Inf\"} 6 # {trace_id=\"\xc3\xa9\",span_id=\"7\"} 1048576 1700000000.5\n"
                "h_sum{a=\"b\"} 12.5\nh_count{a=\"b\"} 6\n");
    end(f);
}

static void test_nothing_else_shows_exemplars(void)
{
    for (size_t i = 0; i < N_KINDS; i++) {
        enum kymo_kind kind = (enum kymo_kind)(1 + i);
        if (kind == KYMO_COUNTER || kind == KYMO_HISTOGRAM || kind == KYMO_GAUGE_HISTOGRAM)
            continue;
        struct fixture *f = begin(kind, "m", 1, "x=\"y\"", "a=\"b\"");
        set_some_value(f);
        set_exemplars(f);
        expect_page(f, plain, pages[kind]);
        end(f);
    }
}

/* Where there are native buckets alone, exemplars belong to buckets that have no lines. */
static void test_native_buckets_alone_show_no_exemplars(void)
{
    static const int32_t index[] = {3};
    static const uint64_t six = 6;
    static const struct kymo_native_point native = {.positive_index = index,
                                                    .positive_count = &six,
                                                    .n_positive = 1,
                                                    .exemplars = three_exemplars,
                                                    .n_exemplars = 3};
    struct fixture *f = begin(KYMO_HISTOGRAM, "h", 1, "", NULL);
    set_histogram(f, NULL, 0, &six, 2);
    set_exemplars(f);
    f->point.value.histogram.native = &native;
    expect_page(f, plain, "# TYPE h histogram\n# HELP h Help.\nh_bucket{le=\"+Inf\"} 6\nh_sum 2\nh_count 6\n");
    f->point.value.histogram.native = NULL;
    expect_page(f, plain,
                "# TYPE h histogram\n# HELP h Help.\n"
                "h_bucket{le=\"+Inf\"} 6 # {trace_id=\"a\\\"b\"} 0.001 1700000000.123456789\nh_sum 2\nh_count 6\n");
    end(f);
}

static void test_start_times_are_shown_to_those_who_ask(void)
{
    static const char *const created[] = {
        [KYMO_COUNTER] = "m_created{x=\"y\",a=\"b\"} 1700000000.00000001\n",
        [KYMO_HISTOGRAM] = "m_created{x=\"y\",a=\"b\"} 1700000000.00000001\n",
        [KYMO_SUMMARY] = "m_created{x=\"y\",a=\"b\"} 1700000000.00000001\n",
        [KYMO_UNKNOWN] = NULL,
    };
    for (size_t i = 0; i < (size_t)2 * N_KINDS; i++) {
        enum kymo_kind kind = (enum kymo_kind)(1 + i / 2);
        char wanted[1024];
        struct fixture *f = begin(kind, name_of(kind, i & 1), 1, "x=\"y\"", "a=\"b\"");
        set_some_value(f);
        expect_page(f, &with_created, pages[kind]);
        f->point.start_ns = INT64_C(1700000000000000010);
        expect_page(f, plain, pages[kind]);
        (void)snprintf(wanted, sizeof wanted, "%s%s", pages[kind], created[kind] != NULL ? created[kind] : "");
        expect_page(f, &with_created, wanted);
        end(f);
    }
}

static void test_times_are_exact_decimals(void)
{
    static const struct {
        int64_t ns;
        const char *text;
    } cases[] = {
        {1, "0.000000001"},
        {-1, "-0.000000001"},
        {1000000000, "1"},
        {-1500000000, "-1.5"},
        {INT64_C(10000000000), "10"},
        {INT64_C(123456789012345678), "123456789.012345678"},
        {INT64_MAX, "9223372036.854775807"},
        {INT64_MIN, "-9223372036.854775808"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char wanted[256];
        const struct kymo_exemplar_point e = {"", 0, 1, cases[i].ns, 0, 0};
        struct fixture *f = begin(KYMO_COUNTER, "c_total", 1, "", NULL);
        f->point.start_ns = cases[i].ns;
        f->point.exemplars = &e;
        f->point.n_exemplars = 1;
        (void)snprintf(wanted, sizeof wanted, "# TYPE c counter\n# HELP c Help.\nc_total 0 # {} 1 %s\nc_created %s\n",
                       cases[i].text, cases[i].text);
        expect_page(f, &with_created, wanted);
        end(f);
    }
}

/* ---- names that are not [a-zA-Z_:][a-zA-Z0-9_:]* ---- */

static void test_names_are_escaped_or_quoted(void)
{
    static const char *const wanted[] = {
        ("# TYPE my_m counter\n# HELP my_m Help.\n"
         "my_m_total{x=\"y\",a_b=\"c\",d=\"e\"} 7 # {t_id=\"a,\\\"\",u=\"v\"} 1\n"
         "my_m_created{x=\"y\",a_b=\"c\",d=\"e\"} 1\n"),
        ("# TYPE my_dot_m_ counter\n# HELP my_dot_m_ Help.\n"
         "my_dot_m__total{x=\"y\",a_dot_b=\"c\",d=\"e\"} 7 # {t_dot_id=\"a,\\\"\",u=\"v\"} 1\n"
         "my_dot_m__created{x=\"y\",a_dot_b=\"c\",d=\"e\"} 1\n"),
        ("# TYPE U__my_2e_m_ counter\n# HELP U__my_2e_m_ Help.\n"
         "U__my_2e_m__total{x=\"y\",U__a_2e_b=\"c\",d=\"e\"} 7 # {U__t_2e_id=\"a,\\\"\",u=\"v\"} 1\n"
         "U__my_2e_m__created{x=\"y\",U__a_2e_b=\"c\",d=\"e\"} 1\n"),
        ("# TYPE \"my.m\" counter\n# HELP \"my.m\" Help.\n"
         "{\"my.m_total\",x=\"y\",\"a.b\"=\"c\",d=\"e\"} 7 # {\"t.id\"=\"a,\\\"\",u=\"v\"} 1\n"
         "{\"my.m_created\",x=\"y\",\"a.b\"=\"c\",d=\"e\"} 1\n"),
    };
    static const char exemplar_labels[] = "\"t.id\"=\"a,\\\"\",u=\"v\"";
    const struct kymo_exemplar_point e = {exemplar_labels, sizeof exemplar_labels - 1, 1, 0, 0, 0};
    for (size_t i = 0; i < 8; i++) {
        struct kymo_format format = with_created;
        format.escaping = (enum kymo_escaping)(i / 2);
        struct fixture *f = begin(KYMO_COUNTER, "my.m_total", i & 1, "x=\"y\"", "\"a.b\"=\"c\",d=\"e\"");
        set_some_value(f);
        f->point.start_ns = 1000000000;
        f->point.exemplars = &e;
        f->point.n_exemplars = 1;
        expect_page(f, &format, wanted[i / 2]);
        end(f);
    }
}

/* The labels of exemplars are not the family's: names in them may be strange where all others are plain. */
static void test_strange_names_in_exemplars_alone(void)
{
    static const char *const wanted[] = {"{a=\",\",t_id=\"7\"}", "{a=\",\",t_dot_id=\"7\"}",
                                         "{a=\",\",U__t_2e_id=\"7\"}", "{a=\",\",\"t.id\"=\"7\"}"};
    static const char labels[] = "a=\",\",\"t.id\"=\"7\"";
    const struct kymo_exemplar_point e = {labels, sizeof labels - 1, 1, 0, 0, 0};
    for (size_t i = 0; i < 4; i++) {
        char page[256];
        struct kymo_format format = *plain;
        struct fixture *f = begin(KYMO_COUNTER, "c_total", 1, "", NULL);
        format.escaping = (enum kymo_escaping)i;
        f->point.exemplars = &e;
        f->point.n_exemplars = 1;
        (void)snprintf(page, sizeof page, "# TYPE c counter\n# HELP c Help.\nc_total 0 # %s 1\n", wanted[i]);
        expect_page(f, &format, page);
        end(f);
    }
}

static void test_suffixes_stand_inside_the_quotes(void)
{
    struct kymo_format format = with_created;
    format.escaping = KYMO_ALLOW_UTF8;
    struct fixture *f = begin(KYMO_GAUGE_HISTOGRAM, "a.h", 1, "", "l=\"v\"");
    set_some_value(f);
    expect_page(f, &format,
                "# TYPE \"a.h\" gaugehistogram\n# HELP \"a.h\" Help.\n"
                "{\"a.h_bucket\",l=\"v\",le=\"0.005\"} 2\n{\"a.h_bucket\",l=\"v\",le=\"1.0\"} 2\n"
                "{\"a.h_bucket\",l=\"v\",le=\"10.0\"} 5\n{\"a.h_bucket\",l=\"v\",le=\"+Inf\"} 6\n"
                "{\"a.h_gsum\",l=\"v\"} 12.5\n{\"a.h_gcount\",l=\"v\"} 6\n");
    end(f);
    f = begin(KYMO_INFO, "a.i_info", 1, "", NULL);
    expect_page(f, &format, "# TYPE \"a.i\" info\n# HELP \"a.i\" Help.\n{\"a.i_info\"} 1\n");
    end(f);
    f = begin(KYMO_STATESET, "a.s", 1, "", NULL);
    set_some_value(f);
    expect_page(f, &format,
                "# TYPE \"a.s\" stateset\n# HELP \"a.s\" Help.\n"
                "{\"a.s\",\"a.s\"=\"on\"} 0\n{\"a.s\",\"a.s\"=\"o\\\"ff\\\"\"} 1\n");
    end(f);
}

/* A unit is held against the name as it stands on the page. */
static void test_units_of_strange_names(void)
{
    static const struct {
        const char *name, *unit;
        enum kymo_escaping escaping;
        int due;
    } cases[] = {
        {"a.b_seconds", "seconds", KYMO_ESCAPE_UNDERSCORES, 1},
        {"a.b_seconds", "seconds", KYMO_ESCAPE_VALUES, 1},
        {"a.b_seconds", "seconds", KYMO_ALLOW_UTF8, 1},
        {"a.b.seconds", "seconds", KYMO_ESCAPE_UNDERSCORES, 1},
        {"a.b.seconds", "seconds", KYMO_ESCAPE_DOTS, 1},
        {"a.b.seconds", "seconds", KYMO_ALLOW_UTF8, 0},
        {"a_\xc2\xb5s", "\xc2\xb5s", KYMO_ALLOW_UTF8, 0},
        {"a_\xc2\xb5s", "\xc2\xb5s", KYMO_ESCAPE_VALUES, 0},
        {"a.b_\ns", "\ns", KYMO_ALLOW_UTF8, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int r;
        struct kymo_format format = *plain;
        struct fixture *f = begin(KYMO_GAUGE, cases[i].name, 1, "", NULL);
        format.escaping = cases[i].escaping;
        f->desc.unit = cases[i].unit;
        char *text = encode_in(f, &format, 1, ROOM, NULL, 0, &r);
        struct om_page page = parse(text);
        CHECK(page.n_families == 1);
        CHECK_STRING(page.families[0].unit, cases[i].due ? cases[i].unit : "");
        om_page_free(&page);
        free(text);
        end(f);
    }
}

/* ---- room ---- */

static struct fixture *full_fixture(enum kymo_kind kind, size_t strange, uint64_t id, const char *labels)
{
    struct fixture *f = begin(kind, strange ? "m.\"x\"_seconds" : "m_seconds", id, "x=\"y\"", labels);
    set_some_value(f);
    if (kind == KYMO_COUNTER)
        f->point.value.counter.whole = UINT64_MAX;
    else if (kind == KYMO_GAUGE)
        f->point.value.gauge = -1.7976931348623157e308;
    f->desc.unit = "seconds";
    f->point.start_ns = INT64_MIN;
    set_exemplars(f);
    return f;
}

static void test_a_point_is_written_whole_or_not_at_all(void)
{
    static char many_blocks[500]; /* longer than the slack in the other lines' room could cover */
    memset(many_blocks, 'v', sizeof many_blocks - 1);
    memcpy(many_blocks, "a=\"", 3);
    many_blocks[sizeof many_blocks - 2] = '"';
    const char *const labels[] = {NULL, "a=\"b\"", many_blocks};
    for (size_t i = 0; i < (size_t)3 * N_KINDS * 2 * 4; i++) {
        enum kymo_kind kind = (enum kymo_kind)(1 + i / 8 % N_KINDS);
        struct kymo_format format = with_created;
        format.created = (int)(i >> 1 & 1);
        format.escaping = KYMO_ALLOW_UTF8;
        struct fixture *f = full_fixture(kind, i >> 2 & 1, i & 1, labels[i / (N_KINDS * 8)]);
        expect_whole_or_nothing(f, &format, KYMO__OPENMETRICS, (int)(i & 1));
        end(f);
    }
}

/* Label names from pair text and from a descriptor, in every scheme and at every size of a page. */
static void test_values_give_the_same_bytes_as_label_text(void)
{
    static const char *const names[] = {"a\"b", "plain", "\xe2\x82\xac"};
    static const char *const values[] = {"1\\", "", "\"\n"};
    static const char pairs[] = "\"a\\\"b\"=\"1\\\\\",plain=\"\",\"\xe2\x82\xac\"=\"\\\"\\n\"";
    for (size_t i = 0; i < (size_t)4 * N_KINDS; i++) {
        struct kymo_format format = with_created;
        enum kymo_kind kind = (enum kymo_kind)(1 + i % N_KINDS);
        struct fixture *by_text = full_fixture(kind, 1, 1, pairs);
        struct fixture *by_values = full_fixture(kind, 1, 0, NULL);
        int r, s;
        format.escaping = (enum kymo_escaping)(i / N_KINDS);
        kymo_desc_set_labels(&by_values->desc, names, 3);
        by_values->point.values = values;
        char *a = encode_in(by_text, &format, 1, ROOM, NULL, 0, &r);
        char *b = encode_in(by_values, &format, 1, ROOM, NULL, 0, &s);
        CHECK(r == 0 && s == 0);
        CHECK_STRING(a, b);
        struct om_page page = parse(a);
        CHECK(format.escaping == KYMO_ALLOW_UTF8 ? page.n_quoted > 0 : page.n_quoted == 0);
        om_page_free(&page);
        expect_whole_or_nothing(by_text, &format, KYMO__OPENMETRICS, 1);
        expect_whole_or_nothing(by_values, &format, KYMO__OPENMETRICS, 0);
        free(a);
        free(b);
        end(by_text);
        end(by_values);
    }
}

/* Every size of scratch, and scratch that holds another histogram's bounds, must give what none gives. */
static void test_scratch_changes_no_byte(void)
{
    uint64_t scratch[24];
    for (size_t bytes = 0; bytes <= sizeof scratch; bytes += sizeof scratch[0]) {
        memset(scratch, 0, sizeof scratch);
        for (size_t i = 0; i < 4; i++) {
            int r;
            struct fixture *f = full_fixture(KYMO_HISTOGRAM, i & 1, 1, "a=\"b\"");
            f->point.value.histogram.bounds = three_bounds + i % 2;
            f->point.value.histogram.n_bounds = 2;
            char *without = encode_in(f, &with_created, 0, ROOM, NULL, 0, &r);
            char *with = encode_in(f, &with_created, 0, ROOM, scratch, bytes, &r);
            CHECK_STRING(with, without);
            free(without);
            free(with);
            end(f);
        }
    }
}

/* ---- a registry's page ---- */

static void test_a_registry_writes_a_page_that_strict_readers_take(void)
{
    struct kymo_registry *reg;
    struct kymo_counter_family *requests;
    struct kymo_histogram *step;
    struct page page = {NULL, 0, 0, 0};
    struct om_page parsed;
    const struct kymo_sink sink = {sizeof(sink), &page, page_append};
    REQUIRE(kymo_registry_new(NULL, &reg) == 0);
    REQUIRE(kymo_counter_family_new(reg, KYMO_DESC(.name = "requests_total", .help = "R.", KYMO_LABELS("code")),
                                    &requests) == 0);
    REQUIRE(kymo_histogram_new(reg, KYMO_DESC(.name = "step_seconds", .help = "S.", .unit = "seconds"), &step) == 0);
    for (int i = 0; i < 2000; i++) {
        char code[16];
        (void)snprintf(code, sizeof code, "%d", i);
        kymo_counter_add_int(kymo_counter_with(requests, KYMO_VALUES(code)), (uint64_t)i);
    }
    kymo_histogram_observe(step, 0.03);
    CHECK_INT(kymo_registry_write(reg, &with_created, &sink), 0);
    int good = om_parse(&parsed, page.text, page.n);
    if (!good)
        fprintf(stderr, "refused: %s\n", parsed.error);
    REQUIRE(good);
    CHECK(parsed.n_families > 2 && parsed.n_samples >= 2000 + 14);
    CHECK_STRING(parsed.families[0].name, "requests");
    for (size_t i = 0, n = 0; i < parsed.n_samples; i++) {
        const char *code = om_label_value(&parsed, parsed.samples[i].labels, "code");
        if (strcmp(parsed.samples[i].name, "requests_total") == 0)
            CHECK(code != NULL && parsed.samples[i].value == strtod(code, NULL) && n++ < 2000);
    }
    om_page_free(&parsed);
    page_free(&page);
    kymo_registry_free(reg);
}

/* ---- the parser itself ---- */

#define H(lines) "# TYPE h histogram\n" lines "# EOF\n"
#define G(lines) "# TYPE g gaugehistogram\n" lines "# EOF\n"
#define S(lines) "# TYPE s summary\n" lines "# EOF\n"
#define C(lines) "# TYPE c counter\n" lines "# EOF\n"
#define X(lines) "# TYPE x gauge\n" lines "# EOF\n"

static const char *const bad_pages[] = {
    "",
    "# TYPE x gauge\nx 1\n",          /* no EOF */
    "# TYPE x gauge\nx 1\n# EOF",     /* no LF */
    "# TYPE x gauge\nx 1\n# EOF\n\n", /* something after it */
    "# EOF\n# TYPE x gauge\nx 1\n# EOF\n",
    "x 1\n# EOF\n",            /* no TYPE */
    "# TYPE x gauge\n# EOF\n", /* no samples */
    "# TYPE x untyped\nx 1\n# EOF\n",
    "# TYPE x Gauge\nx 1\n# EOF\n",
    "# TYPE x gauge \nx 1\n# EOF\n",
    "# TYPE x  gauge\nx 1\n# EOF\n",
    "#  TYPE x gauge\nx 1\n# EOF\n",
    "# TYPE\tx gauge\nx 1\n# EOF\n",
    "# TYPE 0x gauge\n0x 1\n# EOF\n",
    X("\nx 1\n"),
    X("# a comment\nx 1\n"),
    X("x 1\r\n"),
    X(" x 1\n"),
    X("x  1\n"),
    X("x\t1\n"),
    X("x 1 \n"),
    X("x 1 5\n"),
    X("x\n"),
    X("x \n"),
    X("x{} 1\n"),
    X("x{a=\"1\",} 1\n"),
    X("x{,a=\"1\"} 1\n"),
    X("x{a=\"1\" } 1\n"),
    X("x{a =\"1\"} 1\n"),
    X("x{a=\"1\"}1\n"),
    X("x {a=\"1\"} 1\n"),
    X("x{a=\"1\"b=\"2\"} 1\n"),
    X("x{a=1} 1\n"),
    X("x{0=\"1\"} 1\n"),
    X("x{a:b=\"1\"} 1\n"),
    X("x{a=\"1\",a=\"2\"} 1\n"),
    X("x{a=\"\\t\"} 1\n"),
    X("x{a=\"\n\"} 1\n"),
    X("x{a=\"\xff\"} 1\n"),
    X("x nan\n"),
    X("x -NaN\n"),
    X("x Inf\n"),
    X("x 0x10\n"),
    X("x 1_0\n"),
    X("x 1,5\n"),
    X("x 1e400\n"),
    X("x .5\n"),
    X("x 5.\n"),
    X("x 1e5\n"), /* what we write has a sign there */
    X("x 1\nx 2\n"),
    X("x{a=\"1\",b=\"2\"} 1\nx{b=\"2\",a=\"1\"} 1\n"),
    X("x 1 # {a=\"b\"} 1\n"), /* an exemplar on a gauge */
    X("x_total 1\n"),
    X("x_created 1\n"),
    X("y 1\n"),
    /* metadata */
    X("# TYPE x gauge\nx 1\n"),
    X("x 1\n# TYPE x gauge\nx{a=\"b\"} 1\n"),
    X("x 1\n# TYPE y gauge\ny 1\nx{a=\"b\"} 1\n"),
    X("x 1\n# HELP x a\n"),
    X("# HELP x a\n# HELP x a\nx 1\n"),
    X("# HELP y a\nx 1\n"),
    X("# HELP x \nx 1\n"),
    X("# HELP x\nx 1\n"),
    X("# HELP x a\"b\nx 1\n"),
    X("# HELP x a\\b\nx 1\n"),
    X("# HELP x a\xff\nx 1\n"),
    "# HELP x a\n# TYPE x gauge\nx 1\n# EOF\n",
    "# TYPE x_s gauge\n# HELP x_s a\n# UNIT x_s s\nx_s 1\n# EOF\n",
    "# TYPE x_s gauge\n# UNIT x_s s\n# UNIT x_s s\nx_s 1\n# EOF\n",
    "# TYPE x_s gauge\n# UNIT x_s \nx_s 1\n# EOF\n",
    "# TYPE x_s gauge\n# UNIT x_s t\nx_s 1\n# EOF\n",
    "# TYPE xs gauge\n# UNIT xs s\nxs 1\n# EOF\n",
    "# TYPE s gauge\n# UNIT s s\ns 1\n# EOF\n",
    "# TYPE x_s counter\n# UNIT x_s_total s\nx_s_total 1\n# EOF\n",
    "# TYPE x_s info\n# UNIT x_s s\nx_s_info 1\n# EOF\n",
    "# TYPE x_s stateset\n# UNIT x_s s\nx_s{x_s=\"a\"} 1\n# EOF\n",
    /* clashes */
    "# TYPE a counter\na_total 1\n# TYPE a_total gauge\na_total{b=\"c\"} 1\n# EOF\n",
    "# TYPE a counter\na_total 1\n# TYPE a_created gauge\na_created 1\n# EOF\n",
    "# TYPE h_count gauge\nh_count 1\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\n# EOF\n",
    "# TYPE a counter\na_total 1\n# TYPE a info\na_info 1\n# EOF\n",
    "# TYPE a_info gauge\na_info 1\n# TYPE a info\na_info{b=\"c\"} 1\n# EOF\n",
    /* counters */
    C("c 1\n"),
    C("c_total -1\n"),
    C("c_total NaN\n"),
    C("c_created 1\n"),
    C("c_created 1\nc_total 1\n"),
    C("c_total 1\nc_total 1\n"),
    C("c_total 1\nc_created 1\nc_created 1\n"),
    C("c_total{a=\"1\"} 1\nc_created{a=\"2\"} 1\n"),
    C("c_total{a=\"1\"} 1\nc_total{a=\"2\"} 1\nc_created{a=\"1\"} 1\n"), /* torn apart */
    C("c_total 1 # {a=\"b\"}\n"),
    C("c_total 1 # {a=\"b\"} x\n"),
    C("c_total 1 # {a=\"b\"} 1 x\n"),
    C("c_total 1 # {a=\"b\"} 1 1e+09\n"),
    C("c_total 1 # {a=\"b\"} 1 1 1\n"),
    C("c_total 1 # {a=\"b\",} 1\n"),
    C("c_total 1 # {a=\"b\",a=\"c\"} 1\n"),
    C("c_total 1 # a 1\n"),
    C("c_total 1 #{} 1\n"),
    C("c_total 1  # {} 1\n"),
    C("c_total 1\nc_created 1 # {} 1\n"),
    C("c_total 1 # {a=\"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123"
      "456789012345678901234567890123456\\\\\"} 1\n"),
    /* histograms */
    H("h 1\n"),
    H("h_sum 1\nh_count 1\n"),
    H("h_bucket{le=\"1.0\"} 1\n"),
    H("h_bucket 1\n"),
    H("h_bucket{le=\"x\"} 1\nh_bucket{le=\"+Inf\"} 1\n"),
    H("h_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\n"),
    H("h_bucket{le=\"NaN\"} 1\nh_bucket{le=\"+Inf\"} 1\n"),
    H("h_bucket{le=\"1.0\"} 2\nh_bucket{le=\"+Inf\"} 1\n"),
    H("h_bucket{le=\"2.0\"} 1\nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"+Inf\"} 1\n"),
    H("h_bucket{le=\"+Inf\"} 1\nh_bucket{le=\"+Inf\"} 1\n"),
    H("h_bucket{le=\"+Inf\"} 1.5\n"),
    H("h_bucket{le=\"+Inf\"} -1\n"),
    H("h_bucket{le=\"+Inf\"} NaN\n"),
    H("h_bucket{le=\"+Inf\"} 1\nh_sum 1\n"),
    H("h_bucket{le=\"+Inf\"} 1\nh_count 1\n"),
    H("h_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 2\n"),
    H("h_bucket{le=\"+Inf\"} 1\nh_sum -1\nh_count 1\n"),
    H("h_bucket{le=\"+Inf\"} 1\nh_sum NaN\nh_count 1\n"),
    H("h_bucket{le=\"-1.0\"} 0\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n"),
    H("h_bucket{le=\"+Inf\"} 1\nh_sum{a=\"b\"} 1\nh_count{a=\"b\"} 1\n"),
    H("h_bucket{le=\"+Inf\"} 1\nh_created 1\nh_sum 1\nh_count 1\n"),
    H("h_bucket{le=\"+Inf\"} 1\nh_gsum 1\nh_gcount 1\n"),
    H("h_bucket{a=\"1\",le=\"1.0\"} 1\nh_bucket{a=\"2\",le=\"+Inf\"} 1\nh_bucket{a=\"1\",le=\"+Inf\"} 1\n"),
    H("h_bucket{le=\"1.0\"} 1 # {} 2\nh_bucket{le=\"+Inf\"} 1\n"),
    H("h_bucket{le=\"1.0\"} 1\nh_bucket{le=\"+Inf\"} 1 # {} 1\n"),
    H("h_bucket{le=\"+Inf\"} 1 # {} NaN\n"),
    H("h_bucket{le=\"+Inf\"} 1\nh_sum 1 # {} 1\nh_count 1\n"),
    G("g_bucket{le=\"+Inf\"} 1\ng_sum 1\ng_count 1\n"),
    G("g_bucket{le=\"+Inf\"} 1\ng_gsum 1\n"),
    G("g_bucket{le=\"+Inf\"} 1\ng_gcount 1\n"),
    G("g_bucket{le=\"+Inf\"} 1\ng_gsum -1\ng_gcount 1\n"),
    G("g_bucket{le=\"+Inf\"} 1\ng_gsum NaN\ng_gcount 1\n"),
    G("g_bucket{le=\"+Inf\"} 1\ng_gsum 1\ng_gcount 2\n"),
    G("g_bucket{le=\"+Inf\"} 1\ng_created 1\n"),
    G("g_gsum 1\ng_gcount 1\n"),
    /* the others */
    S("s 1\n"),
    S("s{quantile=\"1\"} 1\n"),
    S("s{quantile=\"-0.5\"} 1\n"),
    S("s{quantile=\"1.5\"} 1\n"),
    S("s{quantile=\"0.5\"} -1\n"),
    S("s{quantile=\"0.5\"} 1\ns{quantile=\"0.1\"} 1\n"),
    S("s_sum -1\ns_count 1\n"),
    S("s_sum NaN\ns_count 1\n"),
    S("s_sum 1\ns_count 1.5\n"),
    S("s_sum 1\ns_sum 1\n"),
    S("s_bucket{le=\"+Inf\"} 1\n"),
    S("s{quantile=\"0.5\"} 1 # {} 1\n"),
    "# TYPE i info\ni 1\n# EOF\n",
    "# TYPE i info\ni_info 2\n# EOF\n",
    "# TYPE i info\ni_info 1\ni_created 1\n# EOF\n",
    "# TYPE e stateset\ne 1\n# EOF\n",
    "# TYPE e stateset\ne{f=\"a\"} 1\n# EOF\n",
    "# TYPE e stateset\ne{e=\"a\"} 2\n# EOF\n",
    "# TYPE e stateset\ne{e=\"a\"} 1\ne{e=\"a\"} 0\n# EOF\n",
    "# TYPE e stateset\ne_created 1\n# EOF\n",
    "# TYPE u unknown\nu_total 1\n# EOF\n",
    "# TYPE u unknown\nu 1 # {} 1\n# EOF\n",
    /* quotes */
    "# TYPE \"x\" gauge\nx 1\n# EOF\n",
    "# TYPE \"\" gauge\n{\"\"} 1\n# EOF\n",
    "# TYPE \"a.b\" gauge\n\"a.b\" 1\n# EOF\n",
    "# TYPE \"a.b\" gauge\n\"a.b\"{c=\"d\"} 1\n# EOF\n",
    "# TYPE \"a.b\" gauge\n{\"a.b\",} 1\n# EOF\n",
    "# TYPE \"a.b\" gauge\n{\"a.b\" 1\n# EOF\n",
    "# TYPE \"a.b\" gauge\n{\"a.b\",\"c\"=\"d\"} 1\n# EOF\n",
    "# TYPE \"a.b\" gauge\n{c=\"d\",\"a.b\"} 1\n# EOF\n",
    "# TYPE a.b gauge\n{\"a.b\"} 1\n# EOF\n",
    "# TYPE \"a\\.b\" gauge\n{\"a\\.b\"} 1\n# EOF\n",
};

static void test_the_parser_refuses_what_strict_readers_refuse(void)
{
    for (size_t i = 0; i < sizeof bad_pages / sizeof bad_pages[0]; i++) {
        struct om_page page;
        int good = om_parse(&page, bad_pages[i], strlen(bad_pages[i]));
        if (good)
            fprintf(stderr, "accepted:\n%s", bad_pages[i]);
        CHECK(!good && page.error[0] != '\0');
        om_page_free(&page);
    }
}

/* Next to what it refuses: a parser that took nothing would pass the test above. */
static void test_the_parser_takes_what_is_good(void)
{
    static const char *const good_pages[] = {
        "# EOF\n",
        X("x 1\n"),
        X("x -1.5e-05\nx{a=\"\"} NaN\nx{a=\"b\\\"\\\\\\n\"} +Inf\n"),
        X("# HELP x a \\\"b\\\" \\\\ \\n\nx 1\n"),
        C("c_total 1 # {a=\"b\"} 1 -1.5\nc_created 1\n"),
        C("c_total 1 # "
          "{a=\"01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901"
          "2345678901234567890123456789012345\\\\\"} 1\n"),
        H("h_bucket{le=\"-1.0\"} 0\nh_bucket{le=\"+Inf\"} 1\n"),
        H("h_bucket{le=\"1.0\"} 1 # {} 1\nh_bucket{le=\"+Inf\"} 17.0 # {} 1.5\nh_sum 1\nh_count 17\nh_created 1\n"),
        H("h_bucket{a=\"1\",le=\"+Inf\"} 1\nh_bucket{le=\"+Inf\",a=\"2\"} 1\n"),
        G("g_bucket{le=\"-1.0\"} 0\ng_bucket{le=\"+Inf\"} 1\ng_gsum -1\ng_gcount 1\n"),
        S("s{quantile=\"0.0\"} 1\ns{quantile=\"1.0\"} NaN\n"),
        S("s_sum 1\ns_count 1\ns_created 1\n"),
        "# TYPE e stateset\ne{e=\"a\"} 1\ne{e=\"b\"} 0\ne{c=\"d\",e=\"a\"} 1\n# EOF\n",
        "# TYPE \"a.b\" gauge\n{\"a.b\"} 1\n{\"a.b\",\"c.d\"=\"e\"} 1\n# EOF\n",
        "# TYPE a gauge\na 1\n# TYPE a_total gauge\na_total 1\n# TYPE x_s counter\n# UNIT x_s s\nx_s_total 1\n# EOF\n",
    };
    for (size_t i = 0; i < sizeof good_pages / sizeof good_pages[0]; i++) {
        struct om_page page;
        int good = om_parse(&page, good_pages[i], strlen(good_pages[i]));
        if (!good)
            fprintf(stderr, "refused: %s\n%s", page.error, good_pages[i]);
        CHECK(good);
        om_page_free(&page);
    }
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        TEST(test_every_kind_has_its_type_and_suffixes),
        TEST(test_kinds_without_labels_have_no_braces),
        TEST(test_no_family_loses_its_whole_name),
        TEST(test_units_stand_where_they_may),
        TEST(test_help_escapes_its_quotes_too),
        TEST(test_eof_comes_whole_or_not_at_all),
        TEST(test_the_format_says_what_it_is),
        TEST(test_a_histogram_with_a_negative_bound_has_no_sum),
        TEST(test_sums_that_readers_refuse_are_left_out),
        TEST(test_quantiles_that_readers_refuse_are_left_out),
        TEST(test_whole_numbers_have_all_their_digits),
        TEST(test_counters_and_buckets_show_their_exemplars),
        TEST(test_nothing_else_shows_exemplars),
        TEST(test_native_buckets_alone_show_no_exemplars),
        TEST(test_start_times_are_shown_to_those_who_ask),
        TEST(test_times_are_exact_decimals),
        TEST(test_names_are_escaped_or_quoted),
        TEST(test_strange_names_in_exemplars_alone),
        TEST(test_suffixes_stand_inside_the_quotes),
        TEST(test_units_of_strange_names),
        TEST(test_a_point_is_written_whole_or_not_at_all),
        TEST(test_values_give_the_same_bytes_as_label_text),
        TEST(test_scratch_changes_no_byte),
        TEST(test_a_registry_writes_a_page_that_strict_readers_take),
        TEST(test_the_parser_refuses_what_strict_readers_refuse),
        TEST(test_the_parser_takes_what_is_good),
    };
    plain = kymo_format_find("openmetrics");
    REQUIRE(plain != NULL && plain->encoder != NULL && plain->encoder->finish != NULL);
    with_created = *plain;
    with_created.created = 1;
    return test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
