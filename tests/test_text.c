/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_text.c - points become exactly the bytes of the text format, whole or not at all.
 *
 * How: points are built by hand (points.h) and the page is compared byte for byte; every page is also read back
 * by a strict parser that shares no code with the encoder. Below these, the strings' side: escaping and UTF-8,
 * against the parser's own decoder.
 */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kymo/kymo.h>

#include "base/escape.h"
#include "base/utf8.h"
#include "encode/lines.h"
#include "points.h"
#include "text_parser.h"

static const struct kymo_format *text;

static void expect_parsed(const char *page_text)
{
    struct text_page page;
    if (!text_parse(&page, page_text, strlen(page_text))) {
        fprintf(stderr, "refused: %s\n%s", page.error, page_text);
        exit(1);
    }
    text_page_free(&page);
}

/* The lines must be @lines, alone and after the header; the whole page must be readable. */
static void expect(const struct fixture *f, const char *lines)
{
    static const char *const words[] = {"",      "counter", "gauge",     "histogram", "gauge",
                                        "gauge", "summary", "histogram", "untyped"};
    char header[256];
    int r;
    const char *word = words[f->family.kind];
    snprintf(header, sizeof header, "# HELP %s Help.\n# TYPE %s %s\n", f->name, f->name, word);
    char *alone = encode_in(f, text, 0, ROOM, NULL, 0, &r);
    CHECK(r == 0);
    if (strcmp(alone, lines) != 0) {
        fprintf(stderr, "wanted:\n%sgot:\n%s", lines, alone);
        exit(1);
    }
    char *page = encode_in(f, text, 1, ROOM, NULL, 0, &r);
    CHECK(r == 0);
    CHECK(strncmp(page, header, strlen(header)) == 0);
    CHECK(strcmp(page + strlen(header), lines) == 0);
    expect_parsed(page);
    free(alone);
    free(page);
}

/* ---- counters and gauges ---- */

static void test_counter_has_the_labels_it_has(void)
{
    static const struct {
        const char *const_labels, *labels, *line;
    } cases[] = {
        {"", NULL, "c_total 7\n"},
        {"", "", "c_total 7\n"},
        {"", "a=\"b\"", "c_total{a=\"b\"} 7\n"},
        {"", "a=\"\"", "c_total{a=\"\"} 7\n"},
        {"x=\"y\"", NULL, "c_total{x=\"y\"} 7\n"},
        {"x=\"y\"", "", "c_total{x=\"y\"} 7\n"},
        {"x=\"y\"", "a=\"b\",c=\"d\"", "c_total{x=\"y\",a=\"b\",c=\"d\"} 7\n"},
        {"", "a=\"0123456789012345678901234567890\"", "c_total{a=\"0123456789012345678901234567890\"} 7\n"},
        {"", "a=\"a value of more than two blocks, which is 64 bytes, and then some\"",
         "c_total{a=\"a value of more than two blocks, which is 64 bytes, and then some\"} 7\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (uint64_t id = 0; id < 2; id++) {
            struct fixture *f = begin(KYMO_COUNTER, "c_total", id, cases[i].const_labels, cases[i].labels);
            f->point.value.counter.whole = 7;
            expect(f, cases[i].line);
            end(f);
        }
    }
}

static void test_counter_is_exact_as_long_as_it_is_whole(void)
{
    static const struct {
        uint64_t whole;
        double fraction;
        const char *line;
    } cases[] = {
        {0, 0, "c 0\n"},
        {1, -0.0, "c 1\n"},
        {22361870, 0, "c 22361870\n"},
        {UINT64_C(9007199254740993), 0, "c 9007199254740993\n"},
        {UINT64_MAX, 0, "c 18446744073709551615\n"},
        {0, 0.1 + 0.2, "c 0.30000000000000004\n"},
        {3, 0.5, "c 3.5\n"},
        {1000000, 0.25, "c 1.00000025e+06\n"},
        {5, 2.0, "c 7\n"},
        {UINT64_C(1) << 60, 0.5, "c 1.152921504606847e+18\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture *f = begin(KYMO_COUNTER, "c", 1, "", NULL);
        f->point.value.counter.whole = cases[i].whole;
        f->point.value.counter.fraction = cases[i].fraction;
        expect(f, cases[i].line);
        end(f);
    }
}

static double from_bits(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static void test_gauge_spells_every_double_as_servers_read_it(void)
{
    const struct {
        double value;
        const char *line;
    } cases[] = {
        {0, "g 0\n"},
        {-1, "g -1\n"},
        {0.1, "g 0.1\n"},
        {-2.5, "g -2.5\n"},
        {1e-5, "g 1e-05\n"},
        {1048576, "g 1048576\n"},
        {1e300, "g 1e+300\n"},
        {5e-324, "g 5e-324\n"},
        {INFINITY, "g +Inf\n"},
        {-INFINITY, "g -Inf\n"},
        {NAN, "g NaN\n"},
        {-NAN, "g NaN\n"},
        {from_bits(UINT64_C(0x7ff0000000000002)), "g NaN\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture *f = begin(KYMO_GAUGE, "g", 1, "", NULL);
        f->point.value.gauge = cases[i].value;
        expect(f, cases[i].line);
        end(f);
    }
}

/* ---- histograms ---- */

static void test_histogram_is_cumulative_and_ends_in_sum_and_count(void)
{
    static const struct {
        const char *const_labels, *labels, *lines;
    } cases[] = {
        {"", NULL,
         "h_bucket{le=\"0.005\"} 2\nh_bucket{le=\"1.0\"} 2\nh_bucket{le=\"10.0\"} 5\n"
         "h_bucket{le=\"+Inf\"} 6\nh_sum 12.5\nh_count 6\n"},
        {"", "a=\"b\"",
         "h_bucket{a=\"b\",le=\"0.005\"} 2\nh_bucket{a=\"b\",le=\"1.0\"} 2\nh_bucket{a=\"b\",le=\"10.0\"} 5\n"
         "h_bucket{a=\"b\",le=\"+Inf\"} 6\nh_sum{a=\"b\"} 12.5\nh_count{a=\"b\"} 6\n"},
        {"x=\"y\"", NULL,
         "h_bucket{x=\"y\",le=\"0.005\"} 2\nh_bucket{x=\"y\",le=\"1.0\"} 2\nh_bucket{x=\"y\",le=\"10.0\"} 5\n"
         "h_bucket{x=\"y\",le=\"+Inf\"} 6\nh_sum{x=\"y\"} 12.5\nh_count{x=\"y\"} 6\n"},
        {"x=\"y\"", "a=\"b\"",
         "h_bucket{x=\"y\",a=\"b\",le=\"0.005\"} 2\nh_bucket{x=\"y\",a=\"b\",le=\"1.0\"} 2\n"
         "h_bucket{x=\"y\",a=\"b\",le=\"10.0\"} 5\nh_bucket{x=\"y\",a=\"b\",le=\"+Inf\"} 6\n"
         "h_sum{x=\"y\",a=\"b\"} 12.5\nh_count{x=\"y\",a=\"b\"} 6\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (uint64_t id = 0; id < 2; id++) {
            struct fixture *f = begin(KYMO_HISTOGRAM, "h", id, cases[i].const_labels, cases[i].labels);
            set_histogram(f, three_bounds, 3, four_buckets, 12.5);
            expect(f, cases[i].lines);
            end(f);
        }
    }
}

static void test_histogram_without_bounds_has_the_infinite_bucket(void)
{
    static const uint64_t bucket = UINT64_MAX;
    struct fixture *f = begin(KYMO_HISTOGRAM, "h", 1, "", NULL);
    set_histogram(f, NULL, 0, &bucket, -INFINITY);
    expect(f, "h_bucket{le=\"+Inf\"} 18446744073709551615\nh_sum -Inf\nh_count 18446744073709551615\n");
    end(f);
}

/* What a collector claims as count must not contradict its own buckets in a page. */
static void test_histogram_count_is_the_sum_of_its_buckets(void)
{
    struct fixture *f = begin(KYMO_HISTOGRAM, "h", 0, "", NULL);
    set_histogram(f, three_bounds, 1, four_buckets, 1);
    f->point.value.histogram.count = 99;
    expect(f, "h_bucket{le=\"0.005\"} 2\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 2\n");
    end(f);
}

static void test_le_is_spelled_as_a_float(void)
{
    static const double bounds[] = {-DBL_MAX, -3, 0, 1e-5, 0.25, 1, 999999.5, 1000000, 1234567, 1e22};
    static const uint64_t buckets[11] = {1};
    struct fixture *f = begin(KYMO_HISTOGRAM, "h", 1, "", NULL);
    set_histogram(f, bounds, 10, buckets, 0);
    expect(f, "h_bucket{le=\"-1.7976931348623157e+308\"} 1\nh_bucket{le=\"-3.0\"} 1\nh_bucket{le=\"0.0\"} 1\n"
              "h_bucket{le=\"1e-05\"} 1\nh_bucket{le=\"0.25\"} 1\nh_bucket{le=\"1.0\"} 1\n"
              "h_bucket{le=\"999999.5\"} 1\nh_bucket{le=\"1e+06\"} 1\nh_bucket{le=\"1.234567e+06\"} 1\n"
              "h_bucket{le=\"1e+22\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 0\nh_count 1\n");
    end(f);
}

/* Every size of scratch, and scratch that holds another histogram's bounds, must give what none gives. */
static void test_scratch_changes_no_byte(void)
{
    static const double bounds[2][5] = {{-3, 0, 0.25, 1, 1e22}, {-1.7976931348623157e308, 0, 0.5, 1, 2}};
    static const uint64_t buckets[6] = {1, 2, 3, 4, 5, 6};
    uint64_t scratch[32];
    for (size_t bytes = 0; bytes <= sizeof scratch; bytes += sizeof scratch[0]) {
        memset(scratch, 0, sizeof scratch);
        for (size_t i = 0; i < 6; i++) {
            int r;
            struct fixture *f = begin(KYMO_HISTOGRAM, "h", 1, "", "a=\"b\"");
            set_histogram(f, bounds[i % 2], i < 4 ? 5 : 2, buckets, 0);
            char *without = encode_in(f, text, 0, ROOM, NULL, 0, &r);
            char *with = encode_in(f, text, 0, ROOM, scratch, bytes, &r);
            CHECK(r == 0 && strcmp(with, without) == 0);
            free(without);
            free(with);
            end(f);
        }
    }
}

/* ---- the other kinds ---- */

static void test_every_kind_has_lines_that_the_format_knows(void)
{
    static const char *const lines[] = {
        [KYMO_COUNTER] = "m{x=\"y\",a=\"b\"} 7\n",
        [KYMO_GAUGE] = "m{x=\"y\",a=\"b\"} 0.25\n",
        [KYMO_HISTOGRAM] = "m_bucket{x=\"y\",a=\"b\",le=\"0.005\"} 2\nm_bucket{x=\"y\",a=\"b\",le=\"1.0\"} 2\n"
                           "m_bucket{x=\"y\",a=\"b\",le=\"10.0\"} 5\nm_bucket{x=\"y\",a=\"b\",le=\"+Inf\"} 6\n"
                           "m_sum{x=\"y\",a=\"b\"} 12.5\nm_count{x=\"y\",a=\"b\"} 6\n",
        [KYMO_INFO] = "m{x=\"y\",a=\"b\"} 1\n",
        [KYMO_STATESET] = "m{x=\"y\",a=\"b\",m=\"on\"} 0\nm{x=\"y\",a=\"b\",m=\"o\\\"ff\\\"\"} 1\n",
        [KYMO_SUMMARY] = "m{x=\"y\",a=\"b\",quantile=\"0.0\"} 0.25\nm{x=\"y\",a=\"b\",quantile=\"0.5\"} 1\n"
                         "m{x=\"y\",a=\"b\",quantile=\"0.99\"} NaN\n"
                         "m_sum{x=\"y\",a=\"b\"} 12.5\nm_count{x=\"y\",a=\"b\"} 6\n",
        [KYMO_GAUGE_HISTOGRAM] = "m_bucket{x=\"y\",a=\"b\",le=\"0.005\"} 2\nm_bucket{x=\"y\",a=\"b\",le=\"1.0\"} 2\n"
                                 "m_bucket{x=\"y\",a=\"b\",le=\"10.0\"} 5\nm_bucket{x=\"y\",a=\"b\",le=\"+Inf\"} 6\n"
                                 "m_sum{x=\"y\",a=\"b\"} 12.5\nm_count{x=\"y\",a=\"b\"} 6\n",
        [KYMO_UNKNOWN] = "m{x=\"y\",a=\"b\"} 0.25\n",
    };
    for (size_t i = 0; i < (size_t)2 * N_KINDS; i++) {
        struct fixture *f = begin((enum kymo_kind)(1 + i / 2), "m", i & 1, "x=\"y\"", "a=\"b\"");
        set_some_value(f);
        expect(f, lines[1 + i / 2]);
        /* What only other formats show changes nothing here. */
        f->point.start_ns = 1;
        set_exemplars(f);
        expect(f, lines[1 + i / 2]);
        end(f);
    }
}

static void test_kinds_without_labels_have_no_braces(void)
{
    static const char *const states[] = {"on"};
    struct fixture *f = begin(KYMO_INFO, "build_info", 1, "", "");
    expect(f, "build_info 1\n");
    end(f);
    f = begin(KYMO_STATESET, "s", 1, "", NULL);
    set_states(f, states, 1, 1);
    expect(f, "s{s=\"on\"} 1\n");
    end(f);
    f = begin(KYMO_SUMMARY, "s", 1, "", NULL);
    set_summary(f, NULL, 0, -1);
    expect(f, "s_sum -1\ns_count 6\n");
    end(f);
}

static void test_native_buckets_alone_leave_the_infinite_one(void)
{
    static const int32_t index[] = {3};
    static const uint64_t count[] = {5};
    static const struct kymo_native_point native = {
        .schema = 3, .zero_count = 1, .positive_index = index, .positive_count = count, .n_positive = 1};
    static const uint64_t six = 6;
    struct fixture *f = begin(KYMO_HISTOGRAM, "h", 1, "", NULL);
    set_histogram(f, NULL, 0, &six, 2);
    f->point.value.histogram.native = &native;
    expect(f, "h_bucket{le=\"+Inf\"} 6\nh_sum 2\nh_count 6\n");
    end(f);
}

/* ---- names that are not [a-zA-Z_:][a-zA-Z0-9_:]* ---- */

static void expect_page(const struct fixture *f, const struct kymo_format *format, const char *wanted)
{
    int r;
    char *page = encode_in(f, format, 1, ROOM, NULL, 0, &r);
    CHECK_INT(r, 0);
    CHECK_STRING(page, wanted);
    expect_parsed(page);
    free(page);
}

static void test_names_are_escaped_or_quoted(void)
{
    static const char *const gauges[] = {
        "# HELP my_m__ Help.\n# TYPE my_m__ gauge\nmy_m__{x=\"y\",a_b=\"c\",d=\"e\"} 0.25\n",
        ("# HELP my_dot_m____ Help.\n# TYPE my_dot_m____ gauge\n"
         "my_dot_m____{x=\"y\",a_dot_b=\"c\",d=\"e\"} 0.25\n"),
        ("# HELP U__my_2e_m___e9_ Help.\n# TYPE U__my_2e_m___e9_ gauge\n"
         "U__my_2e_m___e9_{x=\"y\",U__a_2e_b=\"c\",d=\"e\"} 0.25\n"),
        ("# HELP \"my.m_\xc3\xa9\" Help.\n# TYPE \"my.m_\xc3\xa9\" gauge\n"
         "{\"my.m_\xc3\xa9\",x=\"y\",\"a.b\"=\"c\",d=\"e\"} 0.25\n"),
    };
    for (size_t i = 0; i < 8; i++) {
        struct kymo_format format = *text;
        format.escaping = (enum kymo_escaping)(i / 2);
        struct fixture *f = begin(KYMO_GAUGE, "my.m_\xc3\xa9", i & 1, "x=\"y\"", "\"a.b\"=\"c\",d=\"e\"");
        f->point.value.gauge = 0.25;
        expect_page(f, &format, gauges[i / 2]);
        end(f);
    }
}

static void test_suffixes_stand_inside_the_quotes(void)
{
    struct kymo_format format = *text;
    format.escaping = KYMO_ALLOW_UTF8;
    struct fixture *f = begin(KYMO_HISTOGRAM, "a.h", 1, "", "l=\"v\"");
    set_some_value(f);
    expect_page(f, &format,
                "# HELP \"a.h\" Help.\n# TYPE \"a.h\" histogram\n"
                "{\"a.h_bucket\",l=\"v\",le=\"0.005\"} 2\n{\"a.h_bucket\",l=\"v\",le=\"1.0\"} 2\n"
                "{\"a.h_bucket\",l=\"v\",le=\"10.0\"} 5\n{\"a.h_bucket\",l=\"v\",le=\"+Inf\"} 6\n"
                "{\"a.h_sum\",l=\"v\"} 12.5\n{\"a.h_count\",l=\"v\"} 6\n");
    end(f);
    f = begin(KYMO_SUMMARY, "a.s", 0, "", NULL);
    set_some_value(f);
    expect_page(f, &format,
                "# HELP \"a.s\" Help.\n# TYPE \"a.s\" summary\n"
                "{\"a.s\",quantile=\"0.0\"} 0.25\n{\"a.s\",quantile=\"0.5\"} 1\n"
                "{\"a.s\",quantile=\"0.99\"} NaN\n{\"a.s_sum\"} 12.5\n{\"a.s_count\"} 6\n");
    end(f);
}

static void test_a_state_set_calls_its_label_as_itself(void)
{
    static const char *const pages[] = {
        "# HELP a_s Help.\n# TYPE a_s gauge\na_s{a_s=\"on\"} 0\na_s{a_s=\"o\\\"ff\\\"\"} 1\n",
        "# HELP a_dot_s Help.\n# TYPE a_dot_s gauge\na_dot_s{a_dot_s=\"on\"} 0\na_dot_s{a_dot_s=\"o\\\"ff\\\"\"} 1\n",
        ("# HELP U__a_2e_s Help.\n# TYPE U__a_2e_s gauge\n"
         "U__a_2e_s{U__a_2e_s=\"on\"} 0\nU__a_2e_s{U__a_2e_s=\"o\\\"ff\\\"\"} 1\n"),
        ("# HELP \"a.s\" Help.\n# TYPE \"a.s\" gauge\n"
         "{\"a.s\",\"a.s\"=\"on\"} 0\n{\"a.s\",\"a.s\"=\"o\\\"ff\\\"\"} 1\n"),
    };
    for (size_t i = 0; i < 4; i++) {
        struct kymo_format format = *text;
        format.escaping = (enum kymo_escaping)i;
        struct fixture *f = begin(KYMO_STATESET, "a.s", 1, "", NULL);
        set_some_value(f);
        expect_page(f, &format, pages[i]);
        end(f);
    }
}

static void test_strange_names_with_constant_labels_alone(void)
{
    static const char *const wanted[] = {"{\"a.b\",x=\"y\"} 0\n", "a_b{x=\"y\"} 0\n"};
    static const char *const values[] = {NULL};
    for (size_t i = 0; i < 6; i++) {
        struct kymo_format format = *text;
        int r;
        format.escaping = i & 1 ? KYMO_ESCAPE_UNDERSCORES : KYMO_ALLOW_UTF8;
        struct fixture *f = begin(KYMO_GAUGE, "a.b", 0, "x=\"y\"", i < 2 ? "" : NULL);
        f->point.values = i < 4 ? NULL : values;
        char *lines = encode_in(f, &format, 0, ROOM, NULL, 0, &r);
        CHECK_STRING(lines, wanted[i & 1]);
        free(lines);
        end(f);
    }
}

static void test_quotes_come_only_where_they_are_needed(void)
{
    struct kymo_format format = *text;
    format.escaping = KYMO_ALLOW_UTF8;
    struct fixture *f = begin(KYMO_GAUGE, "g", 1, "", "\"a.b\"=\"c\"");
    f->family.utf8 = 1;
    expect_page(f, &format, "# HELP g Help.\n# TYPE g gauge\ng{\"a.b\"=\"c\"} 0\n");
    end(f);
    f = begin(KYMO_GAUGE, "\"\\\n", 1, "", NULL);
    expect_page(f, &format, "# HELP \"\\\"\\\\\\n\" Help.\n# TYPE \"\\\"\\\\\\n\" gauge\n{\"\\\"\\\\\\n\"} 0\n");
    end(f);
}

/* Label names from pair text and from a descriptor, in every scheme and at every size of a page. */
static void test_strange_names_by_text_and_by_values(void)
{
    static const char *const names[] = {"a\"b", "plain", "\xe2\x82\xac"};
    static const char *const values[] = {"1\\", "", "\"\n"};
    static const char pairs[] = "\"a\\\"b\"=\"1\\\\\",plain=\"\",\"\xe2\x82\xac\"=\"\\\"\\n\"";
    for (size_t i = 0; i < (size_t)4 * N_KINDS * 2; i++) {
        struct kymo_format format = *text;
        enum kymo_kind kind = (enum kymo_kind)(1 + i / 2 % N_KINDS);
        const char *const_labels = i % 2 == 0 ? "" : "\"s t\"=\"y\"";
        struct fixture *by_text = begin(kind, "m.\"x\"", 1, const_labels, pairs);
        struct fixture *by_values = begin(kind, "m.\"x\"", 0, const_labels, NULL);
        int r, s;
        format.escaping = (enum kymo_escaping)(i / (N_KINDS * 2));
        kymo_desc_set_labels(&by_values->desc, names, 3);
        by_values->point.values = values;
        set_some_value(by_text);
        set_some_value(by_values);
        char *a = encode_in(by_text, &format, 1, ROOM, NULL, 0, &r);
        char *b = encode_in(by_values, &format, 1, ROOM, NULL, 0, &s);
        CHECK(r == 0 && s == 0);
        CHECK_STRING(a, b);
        expect_parsed(a);
        expect_whole_or_nothing(by_text, &format, KYMO__TEXT, 1);
        expect_whole_or_nothing(by_values, &format, KYMO__TEXT, 0);
        free(a);
        free(b);
        end(by_text);
        end(by_values);
    }
}

/* ---- strings ---- */

static void test_header_escapes_help_but_not_its_quotes(void)
{
    struct fixture *f = begin(KYMO_GAUGE, "g", 1, "", NULL);
    int r;
    f->desc.help = "a \\ b\nc \"d\" \xc3\xa9";
    char *page = encode_in(f, text, 1, ROOM, NULL, 0, &r);
    CHECK(strcmp(page, "# HELP g a \\\\ b\\nc \"d\" \xc3\xa9\n# TYPE g gauge\ng 0\n") == 0);
    expect_parsed(page);
    free(page);
    f->desc.help = NULL;
    page = encode_in(f, text, 1, ROOM, NULL, 0, &r);
    CHECK(strcmp(page, "# TYPE g gauge\ng 0\n") == 0);
    free(page);
    end(f);
}

static void test_values_give_the_same_bytes_as_label_text(void)
{
    static const char *const names[] = {"a", "path"};
    static const char *const values[][2] = {
        {"", ""},
        {"x", "y"},
        {"\\", "\""},
        {"C:\\new\n", "say \"h\xc3\xa9\" \t\r"},
        {"12345678\"", "1234567\n12345678\\12345678"},
    };
    static const char *const escaped[] = {
        "a=\"\",path=\"\"",
        "a=\"x\",path=\"y\"",
        "a=\"\\\\\",path=\"\\\"\"",
        "a=\"C:\\\\new\\n\",path=\"say \\\"h\xc3\xa9\\\" \t\r\"",
        "a=\"12345678\\\"\",path=\"1234567\\n12345678\\\\12345678\"",
    };
    for (size_t i = 0; i < (size_t)5 * N_KINDS * 2; i++) {
        const char *const_labels = i % 2 == 0 ? "" : "x=\"y\"";
        const char *const *v = values[i / (N_KINDS * 2)];
        enum kymo_kind kind = (enum kymo_kind)(1 + i / 2 % N_KINDS);
        struct fixture *by_text = begin(kind, "m", 1, const_labels, escaped[i / (N_KINDS * 2)]);
        struct fixture *by_values = begin(kind, "m", 0, const_labels, NULL);
        int r, s;
        kymo_desc_set_labels(&by_values->desc, names, 2);
        by_values->point.values = v;
        set_some_value(by_text);
        set_some_value(by_values);
        char *a = encode_in(by_text, text, 1, ROOM, NULL, 0, &r);
        char *b = encode_in(by_values, text, 1, ROOM, NULL, 0, &s);
        CHECK(r == 0 && s == 0 && strcmp(a, b) == 0);
        expect_parsed(a);
        struct text_page page;
        CHECK(text_parse(&page, a, strlen(a)));
        CHECK(strcmp(text_label_value(&page, &page.samples[0], "a"), v[0]) == 0);
        CHECK(strcmp(text_label_value(&page, &page.samples[0], "path"), v[1]) == 0);
        text_page_free(&page);
        free(a);
        free(b);
        end(by_text);
        end(by_values);
    }
}

static void test_big_values_pass_whole(void)
{
    enum { BIG = 60000 };
    static const char *const name = "a";
    char *value = malloc(BIG + 1);
    CHECK(value != NULL);
    for (int c = 0; c < 2; c++) {
        memset(value, c == 0 ? 'v' : '"', BIG);
        value[BIG] = '\0';
        const char *const values[] = {value};
        struct fixture *f = begin(KYMO_HISTOGRAM, "h", 0, "", NULL);
        int r;
        kymo_desc_set_labels(&f->desc, &name, 1);
        f->point.values = values;
        set_histogram(f, three_bounds, 3, four_buckets, 1);
        free(encode_in(f, text, 1, 65536, NULL, 0, &r));
        CHECK(r == KYMO_EAGAIN);
        char *page_text = encode_in(f, text, 1, 6 * (2 * BIG + 200), NULL, 0, &r);
        struct text_page page;
        REQUIRE(r == 0 && text_parse(&page, page_text, strlen(page_text)));
        REQUIRE(page.n_samples == 6);
        for (size_t i = 0; i < 6; i++)
            CHECK(strcmp(text_label_value(&page, &page.samples[i], "a"), value) == 0);
        text_page_free(&page);
        free(page_text);
        end(f);
    }
    free(value);
}

/* ---- room ---- */

static void test_a_point_is_written_whole_or_not_at_all(void)
{
    static char many_blocks[500]; /* longer than the slack in the other lines' room could cover */
    memset(many_blocks, 'v', sizeof many_blocks - 1);
    memcpy(many_blocks, "a=\"", 3);
    many_blocks[sizeof many_blocks - 2] = '"';
    const char *const labels[] = {NULL, "a=\"b\"", many_blocks};
    for (size_t i = 0; i < (size_t)3 * N_KINDS * 2 * 2; i++) {
        enum kymo_kind kind = (enum kymo_kind)(1 + i / 4 % N_KINDS);
        struct fixture *f = begin(kind, "m_seconds", i & 1, "x=\"y\"", labels[i / (N_KINDS * 4)]);
        set_some_value(f);
        if (kind == KYMO_COUNTER)
            f->point.value.counter.whole = UINT64_MAX;
        else if (kind == KYMO_GAUGE)
            f->point.value.gauge = -1.7976931348623157e308;
        else if (kind == KYMO_HISTOGRAM)
            f->point.value.histogram.sum = 0.1 + 0.2;
        expect_whole_or_nothing(f, text, KYMO__TEXT, (int)(i >> 1 & 1));
        end(f);
    }
}

/* Each line of a state set has the family's name twice, and a state. */
static void test_room_counts_the_states(void)
{
    static char name[200], state[500], last[500];
    const char *const states[] = {state, "", last};
    memset(name, 'n', sizeof name - 1);
    memset(state, '"', sizeof state - 1);
    memset(last, 's', sizeof last - 1);
    for (size_t i = 0; i < 4; i++) {
        struct kymo_format format = *text;
        format.escaping = KYMO_ALLOW_UTF8;
        name[0] = i & 1 ? '"' : 'n';
        struct fixture *f = begin(KYMO_STATESET, name, 1, "", i & 2 ? "a=\"b\"" : NULL);
        set_states(f, states, 3, 5);
        size_t enough = lines_size(f, &format, KYMO__TEXT);
        int r;
        for (size_t room = enough - 100; room <= enough; room++) {
            free(encode_in(f, &format, 0, room, NULL, 0, &r));
            CHECK_INT(r, room == enough ? 0 : KYMO_EAGAIN);
        }
        end(f);
    }
}

/* Points one after the other, with a new page whenever one is full, are the same text as in one page. */
static void test_small_pages_join_to_the_same_text(void)
{
    static char joined[ROOM], whole[ROOM], small[400];
    struct kymo_page one = {whole, whole + ROOM, text, 1, NULL, 0};
    struct kymo_page page = {small, small + sizeof small, text, 1, NULL, 0};
    size_t n = 0, n_pages = 0;
    struct fixture *f = begin(KYMO_COUNTER, "c_total", 1, "", NULL);
    for (int i = 0; i < 200; i++) {
        char labels[16 + KYMO__SPILL] = "";
        f->point.labels_len = (size_t)snprintf(labels, 16, "i=\"%d\"", i);
        f->point.labels = labels;
        f->point.value.counter.whole = (uint64_t)i * 1000;
        CHECK(text->encoder->sample(&one, &f->family, &f->point) == 0);
        while (text->encoder->sample(&page, &f->family, &f->point) == KYMO_EAGAIN) {
            CHECK(page.at > small);
            memcpy(joined + n, small, (size_t)(page.at - small));
            n += (size_t)(page.at - small);
            page.at = small;
            n_pages++;
        }
    }
    memcpy(joined + n, small, (size_t)(page.at - small));
    n += (size_t)(page.at - small);
    CHECK(n_pages > 3 && n == (size_t)(one.at - whole) && memcmp(joined, whole, n) == 0);
    end(f);
}

/* ---- the table of formats ---- */

static void test_formats_are_found_by_name(void)
{
    CHECK(text->encoder == kymo_encoder_find("text") && strcmp(text->encoder->name, "text") == 0);
    CHECK(strcmp(text->encoder->content_type, "text/plain; version=0.0.4; charset=utf-8") == 0);
    CHECK(kymo_encoder_find("no such format") == NULL);
    CHECK(kymo_encoder_find("") == NULL);
    CHECK(kymo_encoder_find(NULL) == NULL);
    size_t n = 0;
    for (; kymo_encoder_at(n) != NULL; n++)
        CHECK(kymo_encoder_find(kymo_encoder_at(n)->name) == kymo_encoder_at(n));
    CHECK(n >= 1 && kymo_encoder_at(n + 1) == NULL && kymo_encoder_at(SIZE_MAX) == NULL);
}

/* ---- escaping ---- */

static void test_unescaping_gives_the_value_cut_at_a_character(void)
{
    static const char value[] = "a\\\"\n\xc3\xa9\xe2\x82\xac";
    static const size_t cuts[] = {0, 0, 1, 2, 3, 4, 4, 6, 6, 6, 9}; /* by cap: whole characters */
    char escaped[32], buf[16];
    size_t n = (size_t)(kymo__escape_label(escaped, value, 9) - escaped);
    CHECK(n == 12 && n == kymo__escape_label_size(value, 9));
    CHECK(kymo__unescape_label(NULL, 0, escaped, n) == 9);
    for (size_t cap = 1; cap <= 10; cap++) {
        memset(buf, 0x55, sizeof buf);
        CHECK(kymo__unescape_label(buf, cap, escaped, n) == 9);
        CHECK(strlen(buf) == cuts[cap] && memcmp(buf, value, cuts[cap]) == 0 && buf[cap] == 0x55);
    }
}

static void test_pairs_are_found_by_index(void)
{
    static const char *const names[] = {"a", "bb", "c"};
    static const char *const values[] = {"=\",\"", "", "\\"};
    char pairs[64];
    size_t n, len = kymo__label_pairs_size(names, values, 3);
    CHECK((size_t)(kymo__label_pairs(pairs, names, values, 3) - pairs) == len);
    for (size_t i = 0; i < 3; i++) {
        char value[8];
        const char *escaped = kymo__label_pairs_value(pairs, len, i, &n);
        CHECK(escaped != NULL && kymo__unescape_label(value, sizeof value, escaped, n) == strlen(values[i]));
        CHECK(strcmp(value, values[i]) == 0);
    }
    CHECK(kymo__label_pairs_value(pairs, len, 3, &n) == NULL);
    CHECK(kymo__label_pairs_value("", 0, 0, &n) == NULL);
    CHECK(kymo__label_pairs_size(names, values, 0) == 0);
    CHECK(kymo__label_pairs(pairs, names, values, 0) == pairs);
}

/* ---- UTF-8 ---- */

/* In the middle of ASCII, at every distance from the words that are read at once. */
static void check_utf8(const unsigned char *s, size_t n)
{
    char padded[24];
    int wanted = text_is_utf8((const char *)s, n);
    CHECK(kymo__utf8_valid((const char *)s, n) == wanted);
    size_t before = (s[0] + s[n - 1]) % 9u;
    memset(padded, 'x', sizeof padded);
    memcpy(padded + before, s, n);
    CHECK(kymo__utf8_valid(padded, sizeof padded) == wanted);
    CHECK(kymo__utf8_valid(padded, before + n) == wanted);
}

static void test_utf8_is_what_the_parser_decodes(void)
{
    static const unsigned char edges[] = {0, 'a', 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xff};
    unsigned char s[4];
    CHECK(kymo__utf8_valid("", 0));
    for (unsigned i = 0; i < 0x10000; i++) {
        s[0] = (unsigned char)(i >> 8);
        s[1] = (unsigned char)i;
        check_utf8(s, 1);
        check_utf8(s, 2);
        if (s[0] < 0xc0)
            continue; /* what follows one of these begins anew */
        for (size_t j = 0; j < sizeof edges; j++) {
            s[2] = edges[j];
            s[3] = edges[(j + i) % sizeof edges];
            check_utf8(s, 3);
            check_utf8(s, 4);
        }
    }
}

/* ---- the parser itself ---- */

static void test_the_parser_refuses_what_servers_refuse(void)
{
    static const char *const bad[] = {
        "x 1\n",                                                                    /* no TYPE */
        "# TYPE x gauge\n",                                                         /* empty family */
        "# TYPE x gauge\nx 1",                                                      /* no LF */
        "# TYPE x gauge\nx 1\r\n",                                                  /* CR */
        "# TYPE x gauge\r\nx 1\n",                                                  /* CR */
        "# TYPE x gauge\nx\t1\n",                                                   /* tab */
        "# TYPE x gauge\nx 1 5\n",                                                  /* timestamp */
        "# TYPE x gauge\n\nx 1\n",                                                  /* blank line */
        "# TYPE x gauge\n x 1\n",                                                   /* leading blank */
        "# TYPE x info\nx 1\n",                                                     /* not of this format */
        "# TYPE x gauge\n# TYPE x gauge\nx 1\n",                                    /* TYPE twice */
        "# HELP x a\n# HELP x a\n# TYPE x gauge\nx 1\n",                            /* HELP twice */
        "# HELP x a\nx 1\n",                                                        /* HELP alone */
        "# HELP x a\\q\n# TYPE x gauge\nx 1\n",                                     /* bad escape */
        "# TYPE x gauge\nx 1\n# TYPE y gauge\ny 1\nx 2\n",                          /* interleaved */
        "# TYPE x gauge\nx 1\n# TYPE y gauge\ny 1\n# TYPE x gauge\nx{a=\"b\"} 1\n", /* torn family */
        "# TYPE x gauge\nx 1\nx 1\n",                                               /* series twice */
        "# TYPE x gauge\nx{a=\"1\",b=\"2\"} 1\nx{b=\"2\",a=\"1\"} 1\n",             /* series twice */
        "# TYPE x gauge\nx{a=\"1\",a=\"2\"} 1\n",                                   /* label twice */
        "# TYPE x gauge\nx{} 1\n",
        "# TYPE x gauge\nx{a=\"1\",} 1\n",
        "# TYPE x gauge\nx{0=\"1\"} 1\n",
        "# TYPE x gauge\nx{a=\"\\t\"} 1\n",
        "# TYPE x gauge\nx{a=\"\n\"} 1\n",
        "# TYPE x gauge\nx{a=\"\xff\"} 1\n",
        "# TYPE x gauge\nx nan\n",
        "# TYPE x gauge\nx -nan\n",
        "# TYPE x gauge\nx inf\n",
        "# TYPE x gauge\nx 1,5\n",
        "# TYPE x gauge\nx 0x10\n",
        "# TYPE x gauge\nx 1e400\n",
        "# TYPE x gauge\nx \n",
        "# TYPE x gauge\nx 1_000\n",
        "# TYPE x counter\nx -1\n",
        "# TYPE h histogram\nh_sum 1\nh_count 1\n",
        "# TYPE h histogram\nh_bucket{le=\"1.0\"} 1\nh_sum 1\nh_count 1\n",
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
        "# TYPE h histogram\nh_bucket{le=\"1.0\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
        ("# TYPE h histogram\nh_bucket{le=\"2.0\"} 1\nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"+Inf\"} 1\n"
         "h_sum 1\nh_count 1\n"),
        "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 2\n",
        "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\n",
        "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum{a=\"b\"} 1\nh_count 1\n",
        "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1.5\nh_sum 1\nh_count 1.5\n",
        "# TYPE h histogram\nh 1\n",
        "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\nh_sum 1\n",
        "# TYPE s summary\ns{quantile=\"0.5\"} 1\n",
        "# TYPE s summary\ns 1\ns_sum 1\ns_count 1\n",
        "# TYPE s summary\ns{quantile=\"1\"} 1\ns_sum 1\ns_count 1\n",
        "# TYPE s summary\ns{quantile=\"x\"} 1\ns_sum 1\ns_count 1\n",
        "# TYPE s summary\ns{quantile=\"0.5\",a=\"b\"} 1\ns_sum{a=\"b\"} 1\ns_count{a=\"b\"} 1\n",
        "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns{quantile=\"0.1\"} 1\ns_sum 1\ns_count 1\n",
        "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum{a=\"b\"} 1\ns_count{a=\"b\"} 1\n",
        "# TYPE s summary\ns_sum 1\ns_count{a=\"b\"} 1\n",
        "# TYPE s summary\ns_sum 1\ns_count 1.5\n",
        "# TYPE s summary\ns_count 1\n",
        "# TYPE s summary\ns_sum 1\n",
        "# TYPE s summary\ns_sum 1\ns_sum 1\n",
        "# TYPE s summary\ns_bucket{le=\"1.0\"} 1\n",
        "# TYPE \"x\" gauge\nx 1\n",         /* quotes without need */
        "# TYPE \"\" gauge\n{\"\"} 1\n",     /* no name */
        "# TYPE \"a.b\" gauge\n\"a.b\" 1\n", /* a name in quotes stands in braces */
        "# TYPE \"a.b\" gauge\n\"a.b\"{} 1\n",
        "# TYPE \"a.b\" gauge\n{\"a.b\",} 1\n",
        "# TYPE \"a.b\" gauge\n{\"a.b\" 1\n",
        "# TYPE \"a.b\" gauge\n{\"a.b} 1\n",
        "# TYPE \"a.b\" gauge\n{\"a.b\",\"c\"=\"d\"} 1\n",
        "# TYPE a.b gauge\n{\"a.b\"} 1\n",
        "# TYPE x gauge\nx{\"a.b\"} 1\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct text_page page;
        if (text_parse(&page, bad[i], strlen(bad[i]))) {
            fprintf(stderr, "accepted:\n%s", bad[i]);
            exit(1);
        }
        CHECK(page.error[0] != '\0');
        text_page_free(&page);
    }
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        TEST(test_counter_has_the_labels_it_has),
        TEST(test_counter_is_exact_as_long_as_it_is_whole),
        TEST(test_gauge_spells_every_double_as_servers_read_it),
        TEST(test_histogram_is_cumulative_and_ends_in_sum_and_count),
        TEST(test_histogram_without_bounds_has_the_infinite_bucket),
        TEST(test_histogram_count_is_the_sum_of_its_buckets),
        TEST(test_le_is_spelled_as_a_float),
        TEST(test_scratch_changes_no_byte),
        TEST(test_every_kind_has_lines_that_the_format_knows),
        TEST(test_kinds_without_labels_have_no_braces),
        TEST(test_native_buckets_alone_leave_the_infinite_one),
        TEST(test_names_are_escaped_or_quoted),
        TEST(test_suffixes_stand_inside_the_quotes),
        TEST(test_a_state_set_calls_its_label_as_itself),
        TEST(test_strange_names_with_constant_labels_alone),
        TEST(test_quotes_come_only_where_they_are_needed),
        TEST(test_strange_names_by_text_and_by_values),
        TEST(test_header_escapes_help_but_not_its_quotes),
        TEST(test_values_give_the_same_bytes_as_label_text),
        TEST(test_big_values_pass_whole),
        TEST(test_a_point_is_written_whole_or_not_at_all),
        TEST(test_room_counts_the_states),
        TEST(test_small_pages_join_to_the_same_text),
        TEST(test_formats_are_found_by_name),
        TEST(test_unescaping_gives_the_value_cut_at_a_character),
        TEST(test_pairs_are_found_by_index),
        TEST(test_utf8_is_what_the_parser_decodes),
        TEST(test_the_parser_refuses_what_servers_refuse),
    };
    text = kymo_format_find("text");
    REQUIRE(text != NULL && text->encoder != NULL);
    return test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
