/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_text.c - points become exactly the bytes of the text format, whole or not at all.
 *
 * How: points are built by hand and the page is compared byte for byte; every page is also read back by a
 * strict parser that shares no code with the encoder. Texts stand in blocks that end where the encoder's
 * right to read ends, pages in blocks that end with the page, so that sanitizers and valgrind see one byte
 * too far. Below these, the strings' side: escaping and UTF-8, against the parser's own decoder.
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
#include "text_parser.h"

#define CHECK(condition) check((condition) != 0, #condition, __func__, __LINE__)

static void check(int holds, const char *condition, const char *where, int line)
{
    if (holds)
        return;
    fprintf(stderr, "%s:%d: %s: not true: %s\n", __FILE__, line, where, condition);
    exit(1);
}

#define ROOM 8192u

/* A family and a point with the memory they need; filled by begin(), given back by end(). */
struct fixture {
    struct kymo_desc desc;
    struct kymo_family family;
    struct kymo_point point;
    char *name;
    char *labels;
    char *const_labels;
};

static const struct kymo_encoder *text;

/* A copy in a block that ends @spill bytes after the text. */
static char *copy_with_spill(const char *s, size_t spill)
{
    size_t n = strlen(s);
    char *copy = malloc(n + spill + 1);
    CHECK(copy != NULL);
    memset(copy, '#', n + spill + 1);
    memcpy(copy, s, n);
    copy[n + spill] = '\0';
    return copy;
}

/* @labels is NULL for a point that has values, or nothing. A point with an id is a registry's own. */
static struct fixture *begin(enum kymo_kind kind, const char *name, uint64_t id, const char *const_labels,
                             const char *labels)
{
    struct fixture *f = calloc(1, sizeof *f);
    CHECK(f != NULL);
    kymo_desc_init(&f->desc, name, "Help.");
    f->name = copy_with_spill(name, KYMO__SPILL);
    f->name[strlen(name)] = '\0';
    f->const_labels = copy_with_spill(const_labels, 0);
    f->family = (struct kymo_family){.size = sizeof f->family,
                                     .desc = &f->desc,
                                     .kind = kind,
                                     .name = f->name,
                                     .name_len = strlen(name),
                                     .labels = f->const_labels,
                                     .labels_len = strlen(const_labels)};
    f->point = (struct kymo_point){.size = sizeof f->point, .id = id};
    if (labels != NULL) {
        f->labels = copy_with_spill(labels, id != 0 ? KYMO__SPILL - 1 : 0);
        f->point.labels = f->labels;
        f->point.labels_len = strlen(labels);
    }
    return f;
}

static void end(struct fixture *f)
{
    free(f->name);
    free(f->labels);
    free(f->const_labels);
    free(f);
}

/* Encodes into exactly @room bytes; the bytes as a string, "" after KYMO_EAGAIN. The caller frees it. */
static char *encode_in(const struct fixture *f, int fresh, size_t room, void *scratch, size_t bytes, int *r)
{
    char *block = malloc(room + 1);
    char *written = calloc(1, room + 1);
    CHECK(block != NULL && written != NULL);
    /* Right-aligned, so that the page's end is the block's. */
    char *start = block + 1;
    memset(block, 0x55, room + 1);
    struct kymo_page page = {start, start + room, fresh, scratch, bytes};
    *r = text->sample(&page, &f->family, &f->point);
    CHECK(*r == 0 || *r == KYMO_EAGAIN);
    CHECK(block[0] == 0x55);
    if (*r == 0) {
        CHECK(page.fresh == 0 && page.at > start && page.at <= page.end);
        memcpy(written, start, (size_t)(page.at - start));
    } else {
        CHECK(page.fresh == fresh && page.at == start);
        CHECK(room == 0 || (start[0] == 0x55 && memcmp(start, start + 1, room - 1) == 0));
    }
    free(block);
    return written;
}

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
    static const char *const words[] = {"", "counter", "gauge", "histogram"};
    char header[256];
    int r;
    const char *word = words[f->family.kind];
    snprintf(header, sizeof header, "# HELP %s Help.\n# TYPE %s %s\n", f->name, f->name, word);
    char *alone = encode_in(f, 0, ROOM, NULL, 0, &r);
    CHECK(r == 0);
    if (strcmp(alone, lines) != 0) {
        fprintf(stderr, "wanted:\n%sgot:\n%s", lines, alone);
        exit(1);
    }
    char *page = encode_in(f, 1, ROOM, NULL, 0, &r);
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

static const double three_bounds[] = {0.005, 1, 10};
static const uint64_t four_buckets[] = {2, 0, 3, 1};

static void set_histogram(struct fixture *f, const double *le, size_t n, const uint64_t *counts, double sum)
{
    f->point.value.histogram =
        (struct kymo_histogram_point){.sum = sum, .bounds = le, .n_bounds = n, .buckets = counts};
    for (size_t i = 0; i <= n; i++)
        f->point.value.histogram.count += counts[i];
}

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
            char *without = encode_in(f, 0, ROOM, NULL, 0, &r);
            char *with = encode_in(f, 0, ROOM, scratch, bytes, &r);
            CHECK(r == 0 && strcmp(with, without) == 0);
            free(without);
            free(with);
            end(f);
        }
    }
}

/* ---- strings ---- */

static void test_header_escapes_help_but_not_its_quotes(void)
{
    struct fixture *f = begin(KYMO_GAUGE, "g", 1, "", NULL);
    int r;
    f->desc.help = "a \\ b\nc \"d\" \xc3\xa9";
    char *page = encode_in(f, 1, ROOM, NULL, 0, &r);
    CHECK(strcmp(page, "# HELP g a \\\\ b\\nc \"d\" \xc3\xa9\n# TYPE g gauge\ng 0\n") == 0);
    expect_parsed(page);
    free(page);
    f->desc.help = NULL;
    page = encode_in(f, 1, ROOM, NULL, 0, &r);
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
    static const enum kymo_kind kinds[] = {KYMO_COUNTER, KYMO_GAUGE, KYMO_HISTOGRAM};
    for (size_t i = 0; i < 5 * 3 * 2; i++) {
        const char *const_labels = i % 2 == 0 ? "" : "x=\"y\"";
        const char *const *v = values[i / 6];
        struct fixture *by_text = begin(kinds[i / 2 % 3], "m", 1, const_labels, escaped[i / 6]);
        struct fixture *by_values = begin(kinds[i / 2 % 3], "m", 0, const_labels, NULL);
        int r, s;
        kymo_desc_set_labels(&by_values->desc, names, 2);
        by_values->point.values = v;
        if (kinds[i / 2 % 3] == KYMO_HISTOGRAM) {
            set_histogram(by_text, three_bounds, 3, four_buckets, 1);
            set_histogram(by_values, three_bounds, 3, four_buckets, 1);
        }
        char *a = encode_in(by_text, 1, ROOM, NULL, 0, &r);
        char *b = encode_in(by_values, 1, ROOM, NULL, 0, &s);
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
        free(encode_in(f, 1, 65536, NULL, 0, &r));
        CHECK(r == KYMO_EAGAIN);
        char *page_text = encode_in(f, 1, 6 * (2 * BIG + 200), NULL, 0, &r);
        struct text_page page;
        CHECK(r == 0 && text_parse(&page, page_text, strlen(page_text)));
        CHECK(page.n_samples == 6);
        for (size_t i = 0; i < 6; i++)
            CHECK(strcmp(text_label_value(&page, &page.samples[i], "a"), value) == 0);
        text_page_free(&page);
        free(page_text);
        end(f);
    }
    free(value);
}

/* ---- room ---- */

/* In every room from none to plenty: all of the bytes or none, and all from kymo__lines_size() on. */
static void expect_whole_or_nothing(const struct fixture *f, int fresh)
{
    size_t enough = kymo__lines_size(&f->family, &f->point) + (fresh ? 128 : 0);
    int r, before = KYMO_EAGAIN;
    char *wanted = encode_in(f, fresh, enough, NULL, 0, &r);
    CHECK(r == 0 && strlen(wanted) + KYMO__SLOP <= enough);
    for (size_t room = 0; room <= enough; room++) {
        char *got = encode_in(f, fresh, room, NULL, 0, &r);
        CHECK(r == 0 || before == KYMO_EAGAIN);
        CHECK(strcmp(got, r == 0 ? wanted : "") == 0);
        before = r;
        free(got);
    }
    CHECK(before == 0);
    free(wanted);
}

static void test_a_point_is_written_whole_or_not_at_all(void)
{
    static const enum kymo_kind kinds[] = {KYMO_COUNTER, KYMO_GAUGE, KYMO_HISTOGRAM};
    static char many_blocks[500]; /* longer than the slack in the other lines' room could cover */
    memset(many_blocks, 'v', sizeof many_blocks - 1);
    memcpy(many_blocks, "a=\"", 3);
    many_blocks[sizeof many_blocks - 2] = '"';
    const char *const labels[] = {NULL, "a=\"b\"", many_blocks};
    for (size_t i = 0; i < 3 * 3 * 2 * 2; i++) {
        enum kymo_kind kind = kinds[i / 4 % 3];
        struct fixture *f = begin(kind, "m_seconds", i & 1, "x=\"y\"", labels[i / 12]);
        if (kind == KYMO_COUNTER)
            f->point.value.counter.whole = UINT64_MAX;
        else if (kind == KYMO_GAUGE)
            f->point.value.gauge = -1.7976931348623157e308;
        else
            set_histogram(f, three_bounds, 3, four_buckets, 0.1 + 0.2);
        expect_whole_or_nothing(f, (int)(i >> 1 & 1));
        end(f);
    }
}

/* Points one after the other, with a new page whenever one is full, are the same text as in one page. */
static void test_small_pages_join_to_the_same_text(void)
{
    static char joined[ROOM], whole[ROOM], small[400];
    struct kymo_page one = {whole, whole + ROOM, 1, NULL, 0};
    struct kymo_page page = {small, small + sizeof small, 1, NULL, 0};
    size_t n = 0, n_pages = 0;
    struct fixture *f = begin(KYMO_COUNTER, "c_total", 1, "", NULL);
    for (int i = 0; i < 200; i++) {
        char labels[16 + KYMO__SPILL] = "";
        f->point.labels_len = (size_t)snprintf(labels, 16, "i=\"%d\"", i);
        f->point.labels = labels;
        f->point.value.counter.whole = (uint64_t)i * 1000;
        CHECK(text->sample(&one, &f->family, &f->point) == 0);
        while (text->sample(&page, &f->family, &f->point) == KYMO_EAGAIN) {
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
    CHECK(strcmp(text->name, "text") == 0);
    CHECK(strcmp(text->content_type, "text/plain; version=0.0.4; charset=utf-8") == 0);
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

int main(void)
{
    text = kymo_encoder_find("text");
    CHECK(text != NULL);
    test_counter_has_the_labels_it_has();
    test_counter_is_exact_as_long_as_it_is_whole();
    test_gauge_spells_every_double_as_servers_read_it();
    test_histogram_is_cumulative_and_ends_in_sum_and_count();
    test_histogram_without_bounds_has_the_infinite_bucket();
    test_histogram_count_is_the_sum_of_its_buckets();
    test_le_is_spelled_as_a_float();
    test_scratch_changes_no_byte();
    test_header_escapes_help_but_not_its_quotes();
    test_values_give_the_same_bytes_as_label_text();
    test_big_values_pass_whole();
    test_a_point_is_written_whole_or_not_at_all();
    test_small_pages_join_to_the_same_text();
    test_formats_are_found_by_name();
    test_unescaping_gives_the_value_cut_at_a_character();
    test_pairs_are_found_by_index();
    test_utf8_is_what_the_parser_decodes();
    test_the_parser_refuses_what_servers_refuse();
    return 0;
}
