/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/page_host.c - a page with everything on it, for programs that were not written here to read.
 *
 *     page_host --print              the page, to stdout
 *     page_host --json               what is on it: {"families":[{name,type,help}], "samples":[{name,labels,value}]}
 *     page_host [--seconds N]        serves GET /metrics on a free port of 127.0.0.1 for N seconds (120); prints
 *                                    "port P", then "scrape I" for each page that was sent whole
 *
 * What must hold: an expected value comes from what was recorded, never from the library: bucket counts and sums are
 * added up here, the text of each bound stands in a table, numbers are printed by printf with 17 digits. All recording
 * is over before the first byte is served. The page is two registries, one after the other: the first with a prefix,
 * constant labels and the kymo_* families, the second bare; both hold the same families.
 */
#define _GNU_SOURCE

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kymo/kymo.h>

#include "host.h"

/* One of the two registries, and what every sample of it carries. */
struct site {
    struct kymo_registry *reg;
    const char *prefix;
    const struct kymo_label *labels;
    size_t n_labels;
    int self; /* has the kymo_* families */
};

/* ---- what is expected, as JSON ---- */

struct json_list {
    FILE *file;
    char *text;
    size_t size;
    size_t n;
};

static struct json_list families, samples;

static void json_list_open(struct json_list *list)
{
    list->file = open_memstream(&list->text, &list->size);
    MUST(list->file != NULL);
}

static FILE *json_list_next(struct json_list *list)
{
    fputs(list->n++ == 0 ? "\n" : ",\n", list->file);
    return list->file;
}

static void expect_family(const struct site *s, const char *name, const char *type, const char *help)
{
    FILE *f = json_list_next(&families);
    fprintf(f, "{\"name\":\"%s%s\",\"type\":\"%s\",\"help\":", s->prefix, name, type);
    host_json_string(f, help);
    fputc('}', f);
}

/* A series' own labels; le is NULL but in buckets. */
struct row {
    const char *const *names;
    const char *const *values;
    size_t n;
    const char *le;
};

static const struct row no_labels = {NULL, NULL, 0, NULL};

static void put_json_label(FILE *f, int *first, const char *name, const char *value)
{
    fprintf(f, "%s\"%s\":", *first ? "" : ",", name);
    host_json_string(f, value);
    *first = 0;
}

static void expect_text(const struct site *s, const char *name, const char *suffix, struct row row, const char *value)
{
    FILE *f = json_list_next(&samples);
    int first = 1;
    fprintf(f, "{\"name\":\"%s%s%s\",\"labels\":{", s->prefix, name, suffix);
    for (size_t i = 0; i < s->n_labels; i++)
        put_json_label(f, &first, s->labels[i].name, s->labels[i].value);
    for (size_t i = 0; i < row.n; i++)
        put_json_label(f, &first, row.names[i], row.values[i]);
    if (row.le != NULL)
        put_json_label(f, &first, "le", row.le);
    fprintf(f, "},\"value\":\"%s\"}", value);
}

static void expect_whole(const struct site *s, const char *name, const char *suffix, struct row row, uint64_t value)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%" PRIu64, value);
    expect_text(s, name, suffix, row, text);
}

static void expect_double(const struct site *s, const char *name, const char *suffix, struct row row, double value)
{
    char text[40];
    (void)snprintf(text, sizeof(text), "%.17g", value);
    expect_text(s, name, suffix, row, isnan(value) ? "NaN" : isinf(value) ? (value < 0 ? "-Inf" : "+Inf") : text);
}

static void expect_refused(const struct site *s, const char *family, const char *reason, uint64_t n)
{
    char full[64];
    struct site bare = *s;
    bare.prefix = "";
    (void)snprintf(full, sizeof(full), "%s%s", s->prefix, family);
    const char *const names[] = {"family", "reason"};
    const char *const values[] = {full, reason};
    if (s->self)
        expect_whole(&bare, "kymo_recordings_refused_total", "", (struct row){names, values, 2, NULL}, n);
}

/* ---- label values that a careless writer gets wrong ---- */

/* Long enough for a histogram that does not fit a page of 64 KiB. */
enum { LONG_BYTES = 5000 };

static char long_value[LONG_BYTES + 1];

/* Inside KYMO_DESC: it stays what it is. */
#define KEEP_LONG_VALUES KYMO_GUARD(.max_value_bytes = LONG_BYTES)

static const char *const awkward[] = {
    "plain",
    "",
    "\"quoted\"",
    "\"",
    "back\\slash",
    "\\",
    "ends in a backslash\\",
    "\\n that is no line end",
    "\\\\n",
    "line\nbreak",
    "\n",
    "\"\\\n\\\"",
    "tab\tand return\r",
    "\x01\x1f\x7f",
    "{a=\"b\",c=\"d\"} 1",
    "a=b,c={d}",
    "# HELP not_a_comment x",
    "x 1\ny 2\n",
    "  blanks  ",
    "+Inf",
    "gr\xc3\xbc\xc3\x9f"
    "e, \xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e, \xf0\x9f\x9c\x81",
    "\xef\xbb\xbf"
    "byte order mark",
    "\xe2\x80\xa8"
    "line separator, next line\xc2\x85",
    "\xef\xbf\xbd \xf4\x8f\xbf\xbf \xc2\x80",
    long_value,
};

static const char awkward_help[] =
    "One line\nand another, a back\\slash, \\n that is none, \"quotes\", gr\xc3\xbc\xc3\x9f"
    "e {a=\"b\"}.";

static void fill_long_value(void)
{
    for (size_t i = 0; i < LONG_BYTES; i++)
        long_value[i] = i % 100 == 99 ? '\\' : i % 100 == 98 ? '"' : (char)('a' + i % 26);
}

/* ---- counters ---- */

static void fill_requests(const struct site *s)
{
    static const char *const names[] = {"path", "note"};
    struct kymo_counter_family *f;
    MUST(kymo_counter_family_new(
             s->reg,
             KYMO_DESC(.name = "requests_total", .help = awkward_help, KYMO_LABELS("path", "note"), KEEP_LONG_VALUES),
             &f) == 0);
    expect_family(s, "requests_total", "counter", awkward_help);
    for (size_t i = 0; i < COUNT(awkward); i++) {
        const char *values[] = {awkward[i], awkward[(i * 7 + 3) % COUNT(awkward)]};
        kymo_counter_add_int(kymo_counter_with(f, values, 2), i + 1);
        expect_whole(s, "requests_total", "", (struct row){names, values, 2, NULL}, i + 1);
    }
}

struct amount {
    const char *name;
    uint64_t whole;
    double parts[2]; /* 0: nothing is added */
};

static const struct amount amounts[] = {
    {"nothing", 0, {0, 0}},
    {"one", 1, {0, 0}},
    {"below 2^53", (UINT64_C(1) << 53) - 1, {0, 0}},
    {"2^53", UINT64_C(1) << 53, {0, 0}},
    {"above 2^53", (UINT64_C(1) << 53) + 1, {0, 0}},
    {"10^18 and 1", UINT64_C(1000000000000000001), {0, 0}},
    {"2^63 less 1", INT64_MAX, {0, 0}},
    {"0.1 and 0.2", 0, {0.1, 0.2}},
    {"3 and a quarter", 3, {0.25, 0}},
    {"a million and a half", 1000000, {0.5, 0}},
    {"smallest", 0, {5e-324, 0}},
    {"huge", 0, {1e300, 1e284}},
    {"one third", 0, {1.0 / 3, 0}},
};

static void fill_amounts(const struct site *s)
{
    static const char *const names[] = {"amount"};
    struct kymo_counter_family *f;
    MUST(kymo_counter_family_new(
             s->reg, KYMO_DESC(.name = "amounts_total", .help = "Amounts added up.", KYMO_LABELS("amount")), &f) == 0);
    expect_family(s, "amounts_total", "counter", "Amounts added up.");
    for (size_t i = 0; i < COUNT(amounts); i++) {
        const struct amount *a = &amounts[i];
        const struct row row = {names, &a->name, 1, NULL};
        struct kymo_counter *c = kymo_counter_with(f, &a->name, 1);
        kymo_counter_add_int(c, a->whole);
        kymo_counter_add(c, a->parts[0]);
        kymo_counter_add(c, a->parts[1]);
        if (a->parts[0] == 0)
            expect_whole(s, "amounts_total", "", row, a->whole);
        else
            expect_double(s, "amounts_total", "", row, (double)a->whole + (a->parts[0] + a->parts[1]));
    }
    struct kymo_counter *one = kymo_counter_with(f, KYMO_VALUES("one"));
    kymo_counter_add(one, (double)NAN);
    kymo_counter_add(one, -1);
    kymo_counter_add(one, -0.5);
    kymo_counter_add(one, (double)INFINITY);
    kymo_counter_family_inc(f, KYMO_VALUES("\xff"));
    expect_refused(s, "amounts_total", "nan", 1);
    expect_refused(s, "amounts_total", "negative", 2);
    expect_refused(s, "amounts_total", "infinite", 1);
    expect_refused(s, "amounts_total", "utf8", 1);
}

enum { THREADS = 4, ROUNDS = 25000, BULK = 300 };

struct shared_work {
    struct kymo_counter *turns;
    struct kymo_gauge *level;
};

static void *record_rounds(void *ctx)
{
    const struct shared_work *work = ctx;
    for (int i = 0; i < ROUNDS; i++) {
        kymo_counter_inc(work->turns);
        kymo_gauge_inc(work->level);
    }
    return NULL;
}

static void fill_threads(const struct site *s)
{
    struct shared_work work;
    pthread_t threads[THREADS];
    MUST(kymo_counter_new(s->reg, KYMO_DESC(.name = "turns_total", .help = "Turns of all threads."), &work.turns) == 0);
    MUST(kymo_gauge_new(s->reg,
                        KYMO_DESC(.name = "level", .help = "An up/down gauge.", .gauge_mode = KYMO_GAUGE_UPDOWN),
                        &work.level) == 0);
    for (int i = 0; i < THREADS; i++)
        MUST(pthread_create(&threads[i], NULL, record_rounds, &work) == 0);
    for (int i = 0; i < THREADS; i++)
        MUST(pthread_join(threads[i], NULL) == 0);
    kymo_gauge_sub(work.level, 2.0 * THREADS * ROUNDS);
    expect_family(s, "turns_total", "counter", "Turns of all threads.");
    expect_whole(s, "turns_total", "", no_labels, (uint64_t)THREADS * ROUNDS);
    expect_family(s, "level", "gauge", "An up/down gauge.");
    expect_double(s, "level", "", no_labels, -1.0 * THREADS * ROUNDS);
}

/* Enough lines for several chunks of a page. */
static void fill_bulk(const struct site *s)
{
    static const char *const names[] = {"shard", "index"};
    struct kymo_gauge_family *f;
    MUST(kymo_gauge_family_new(s->reg, KYMO_DESC(.name = "bulk_ratio", .help = "Many.", KYMO_LABELS("shard", "index")),
                               &f) == 0);
    expect_family(s, "bulk_ratio", "gauge", "Many.");
    for (int i = 0; i < BULK; i++) {
        char shard[16], index[16];
        (void)snprintf(shard, sizeof(shard), "%d", i % 7);
        (void)snprintf(index, sizeof(index), "%d", i);
        const char *values[] = {shard, index};
        kymo_gauge_family_set(f, (i - 100) / 7.0, values, 2);
        expect_double(s, "bulk_ratio", "", (struct row){names, values, 2, NULL}, (i - 100) / 7.0);
    }
}

/* ---- gauges ---- */

struct number {
    const char *name;
    double value;
};

static double from_bits(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

static void fill_numbers(const struct site *s)
{
    static const char *const names[] = {"number"};
    const struct number numbers[] = {
        {"NaN", (double)NAN},
        {"-NaN", -(double)NAN},
        {"the bits of a stale marker", from_bits(UINT64_C(0x7ff0000000000002))},
        {"+Inf", (double)INFINITY},
        {"-Inf", -(double)INFINITY},
        {"0", 0.0},
        {"-0", -0.0},
        {"smallest", 5e-324},
        {"negative smallest", -5e-324},
        {"largest subnormal", 2.225073858507201e-308},
        {"smallest normal", DBL_MIN},
        {"DBL_MAX", DBL_MAX},
        {"-DBL_MAX", -DBL_MAX},
        {"0.1 + 0.2", 0.1 + 0.2},
        {"0.1", 0.1},
        {"1 + epsilon", 1 + DBL_EPSILON},
        {"1 - epsilon / 2", 1 - DBL_EPSILON / 2},
        {"-2 / 3", -2.0 / 3},
        {"0.0001", 0.0001},
        {"0.00001", 0.00001},
        {"999999.5", 999999.5},
        {"10^6", 1e6},
        {"1234567.25", 1234567.25},
        {"2^31", 2147483648.0},
        {"-2^31", -2147483648.0},
        {"2^53 - 1", 9007199254740991.0},
        {"2^53", 9007199254740992.0},
        {"2^53 + 2", 9007199254740994.0},
        {"-2^53", -9007199254740992.0},
        {"2^63", 9223372036854775808.0},
        {"2^64", 18446744073709551616.0},
        {"10^15", 1e15},
        {"10^16", 1e16},
        {"10^17", 1e17},
        {"10^21", 1e21},
        {"10^22", 1e22},
        {"10^23", 1e23},
        {"9.5e-7", 9.5e-7},
        {"seconds since 1970", 1767225599.123456},
    };
    struct kymo_gauge_family *f;
    MUST(kymo_gauge_family_new(s->reg, KYMO_DESC(.name = "numbers", .help = "Doubles.", KYMO_LABELS("number")), &f) ==
         0);
    expect_family(s, "numbers", "gauge", "Doubles.");
    for (size_t i = 0; i < COUNT(numbers); i++) {
        kymo_gauge_set(kymo_gauge_with(f, &numbers[i].name, 1), numbers[i].value);
        expect_double(s, "numbers", "", (struct row){names, &numbers[i].name, 1, NULL}, numbers[i].value);
    }
}

/* ---- histograms ---- */

struct observation {
    double v;
    uint64_t n;
};

/* Bounds with the text that `le` must have. */
struct scale {
    const double *bounds;
    const char *const *le;
    size_t n;
};

static void expect_histogram(const struct site *s, const char *name, struct row row, const struct scale *scale,
                             const struct observation *seen, size_t n_seen)
{
    uint64_t count = 0;
    double sum = 0;
    for (size_t i = 0; i < n_seen; i++) {
        count += seen[i].n;
        sum += isinf(seen[i].v) ? 0 : seen[i].v * (double)seen[i].n;
    }
    for (size_t b = 0; b < scale->n; b++) {
        uint64_t below = 0;
        for (size_t i = 0; i < n_seen; i++)
            below += seen[i].v <= scale->bounds[b] ? seen[i].n : 0;
        row.le = scale->le[b];
        expect_whole(s, name, "_bucket", row, below);
    }
    row.le = "+Inf";
    expect_whole(s, name, "_bucket", row, count);
    row.le = NULL;
    expect_double(s, name, "_sum", row, sum);
    expect_whole(s, name, "_count", row, count);
}

static void observe_all(struct kymo_histogram *h, const struct observation *seen, size_t n_seen)
{
    for (size_t i = 0; i < n_seen; i++) {
        if (seen[i].n == 1)
            kymo_histogram_observe(h, seen[i].v);
        else
            kymo_histogram_observe_n(h, seen[i].v, seen[i].n);
    }
}

static const double wide_bounds[] = {-DBL_MAX, -1000000, -100, -2.5,   -1,  -5e-324,  0,   0.1, 0.30000000000000004,
                                     1,        10,       1000, 999999, 1e6, 16777216, 1e21};
static const char *const wide_le[] = {
    "-1.7976931348623157e+308", "-1e+06", "-100.0", "-2.5",   "-1.0",     "-5e-324", "0.0",           "0.1",
    "0.30000000000000004",      "1.0",    "10.0",   "1000.0", "999999.0", "1e+06",   "1.6777216e+07", "1e+21"};
static const struct scale wide = {wide_bounds, wide_le, COUNT(wide_bounds)};

/* Whole and dyadic values, whose sum is exact in any order; some lie on a bound. */
static const struct observation wide_seen[] = {
    {-2000000, 1},  {-1000000, 2}, {-2.5, 1}, {-1, 3},      {-0.0, 1},
    {0.0625, 1000}, {1, 5},        {10.5, 1}, {1000000, 1}, {16777217, 7},
};

static void fill_wide(const struct site *s)
{
    static const char *const names[] = {"note"};
    const char help[] = "Bounds of all kinds.";
    struct kymo_histogram_family *f;
    const struct kymo_desc *desc = KYMO_DESC(.name = "wide", .help = help, .bounds = wide_bounds,
                                             .n_bounds = COUNT(wide_bounds), KYMO_LABELS("note"), KEEP_LONG_VALUES);
    MUST(kymo_histogram_family_new(s->reg, desc, &f) == 0);
    expect_family(s, "wide", "histogram", help);
    for (size_t i = 0; i < COUNT(awkward); i++) {
        const size_t n = i % (COUNT(wide_seen) + 1); /* from none to all */
        struct kymo_histogram *h = kymo_histogram_with(f, &awkward[i], 1);
        MUST(h != NULL);
        observe_all(h, wide_seen, n);
        expect_histogram(s, "wide", (struct row){names, &awkward[i], 1, NULL}, &wide, wide_seen, n);
    }
}

static void fill_default_buckets(const struct site *s)
{
    static const double bounds[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
    static const char *const le[] = {"0.005", "0.01", "0.025", "0.05", "0.1", "0.25",
                                     "0.5",   "1.0",  "2.5",   "5.0",  "10.0"};
    static const struct scale scale = {bounds, le, COUNT(bounds)};
    const struct observation seen[] = {{0.1, 1}, {0.2, 1}, {(double)INFINITY, 2}, {-(double)INFINITY, 1}};
    struct kymo_histogram *h;
    const struct kymo_desc *desc = KYMO_DESC(.name = "wait_seconds", .help = "Waits.", .unit = "seconds");
    MUST(kymo_histogram_new(s->reg, desc, &h) == 0);
    observe_all(h, seen, COUNT(seen));
    kymo_histogram_observe(h, (double)NAN);
    expect_family(s, "wait_seconds", "histogram", "Waits.");
    expect_histogram(s, "wait_seconds", no_labels, &scale, seen, COUNT(seen));
    expect_refused(s, "wait_seconds", "nan", 1);
}

static void fill_many_buckets(const struct site *s)
{
    enum { N = 120 };
    static double bounds[N];
    static char text[N][8];
    static const char *le[N];
    static const struct scale scale = {bounds, le, N};
    static const struct observation seen[] = {{1, 1}, {60, 10}, {60.5, 10}, {120, 1}, {1e300, 1}};
    for (int i = 0; i < N; i++) {
        bounds[i] = i + 1;
        (void)snprintf(text[i], sizeof(text[i]), "%d.0", i + 1);
        le[i] = text[i];
    }
    struct kymo_histogram *h;
    const struct kymo_desc *desc = KYMO_DESC(.name = "steps", .help = "Whole bounds.", .bounds = bounds, .n_bounds = N);
    MUST(kymo_histogram_new(s->reg, desc, &h) == 0);
    observe_all(h, seen, COUNT(seen));
    expect_family(s, "steps", "histogram", "Whole bounds.");
    expect_histogram(s, "steps", no_labels, &scale, seen, COUNT(seen));
}

/* ---- callbacks and a collector ---- */

static double read_value(void *ctx)
{
    return *(const double *)ctx;
}

static void fill_callbacks(const struct site *s)
{
    static double spent = 42.5, unknown, ratio;
    unknown = (double)NAN;
    ratio = 0.7;
    MUST(kymo_counter_callback(s->reg, KYMO_DESC(.name = "spent_total", .help = "Read."), read_value, &spent) == 0);
    MUST(kymo_counter_callback(s->reg, KYMO_DESC(.name = "left_out_total", .help = "Read as NaN: no sample."),
                               read_value, &unknown) == 0);
    MUST(kymo_gauge_callback(s->reg, KYMO_DESC(.name = "unknown", .help = "Read as NaN."), read_value, &unknown) == 0);
    MUST(kymo_gauge_callback(s->reg, KYMO_DESC(.name = "filled_ratio", .help = "Read.", .unit = "ratio"), read_value,
                             &ratio) == 0);
    expect_family(s, "spent_total", "counter", "Read.");
    expect_double(s, "spent_total", "", no_labels, spent);
    expect_family(s, "unknown", "gauge", "Read as NaN.");
    expect_double(s, "unknown", "", no_labels, unknown);
    expect_family(s, "filled_ratio", "gauge", "Read.");
    expect_double(s, "filled_ratio", "", no_labels, ratio);
}

/* The collector reports one point of each family for each awkward value. */
enum { OUTSIDE_COUNTER, OUTSIDE_GAUGE, OUTSIDE_HISTOGRAM, OUTSIDE_FAMILIES };

static const char *const outside_labels[] = {"note"};
static const double outside_bounds[] = {-1, 2};
static const char *const outside_le[] = {"-1.0", "2.0"};
static const struct scale outside_scale = {outside_bounds, outside_le, 2};
static const struct observation outside_seen[] = {{-3, 1}, {1.5, 2}, {8, 4}};
static const uint64_t outside_buckets[] = {1, 2, 4};

#define OUTSIDE(name_, help_, bounds_, n_)                                                                             \
    {                                                                                                                  \
        .size = sizeof(struct kymo_desc), .name = name_, .help = help_, .labels = outside_labels, .n_labels = 1,       \
        .bounds = bounds_, .n_bounds = n_                                                                              \
    }

static const struct kymo_desc outside_descs[OUTSIDE_FAMILIES] = {
    [OUTSIDE_COUNTER] = OUTSIDE("outside_total", awkward_help, NULL, 0),
    [OUTSIDE_GAUGE] = OUTSIDE("outside_celsius", "Reported by a collector.", NULL, 0),
    [OUTSIDE_HISTOGRAM] = OUTSIDE("outside_size", "Reported by a collector.", outside_bounds, 2),
};
static const enum kymo_kind outside_kinds[] = {KYMO_COUNTER, KYMO_GAUGE, KYMO_HISTOGRAM};

static void set_outside_value(struct kymo_point *point, size_t family, size_t i)
{
    static const struct kymo_histogram_point histogram = {7, -3 + 2 * 1.5 + 4 * 8, outside_bounds,
                                                          2, outside_buckets,      NULL};
    if (family == OUTSIDE_COUNTER) {
        point->value.counter.whole = (UINT64_C(1) << 53) + 1 + 2 * i;
    } else if (family == OUTSIDE_GAUGE) {
        point->value.gauge = -273.15 + (double)i / 3;
    } else {
        point->value.histogram = histogram;
    }
}

static int collect_outside(void *ctx, struct kymo_visit *visit)
{
    int r = 0;
    (void)ctx;
    for (size_t family = 0; family < OUTSIDE_FAMILIES; family++) {
        for (size_t i = 0; i < COUNT(awkward) && r == 0; i++) {
            struct kymo_point point = {.size = sizeof(point), .values = &awkward[i]};
            set_outside_value(&point, family, i);
            r = kymo_collect(visit, family, &point);
        }
    }
    return r;
}

static void fill_collector(const struct site *s)
{
    static const struct kymo_collector_ops ops = {sizeof(ops),      "outside",       outside_descs, outside_kinds,
                                                  OUTSIDE_FAMILIES, collect_outside, NULL};
    MUST(kymo_collector_attach(s->reg, &ops, NULL, NULL) == 0);
    expect_family(s, "outside_total", "counter", awkward_help);
    expect_family(s, "outside_celsius", "gauge", "Reported by a collector.");
    expect_family(s, "outside_size", "histogram", "Reported by a collector.");
    for (size_t i = 0; i < COUNT(awkward); i++) {
        const struct row row = {outside_labels, &awkward[i], 1, NULL};
        expect_whole(s, "outside_total", "", row, (UINT64_C(1) << 53) + 1 + 2 * i);
        expect_double(s, "outside_celsius", "", row, -273.15 + (double)i / 3);
        expect_histogram(s, "outside_size", row, &outside_scale, outside_seen, COUNT(outside_seen));
    }
}

/* ---- what must not be on the page ---- */

static void fill_absent(const struct site *s)
{
    char full[64];
    struct kymo_counter *gone;
    struct kymo_gauge_family *empty;
    MUST(kymo_counter_new(s->reg, KYMO_DESC(.name = "gone_total", .help = "Unregistered."), &gone) == 0);
    MUST(kymo_gauge_family_new(s->reg, KYMO_DESC(.name = "empty", .help = "No series.", KYMO_LABELS("a")), &empty) ==
         0);
    kymo_counter_inc(gone);
    (void)snprintf(full, sizeof(full), "%sgone_total", s->prefix);
    MUST(kymo_registry_unregister(s->reg, full) == 0);
}

/* ---- the two registries ---- */

static const struct kymo_label const_labels[] = {{"zone", "a \"quoted\\zone\"\n"}, {"rack", "\xe2\x84\x96 7"}};

static struct site sites[] = {{NULL, "host_", const_labels, COUNT(const_labels), 1}, {NULL, "", NULL, 0, 0}};

static void sites_fill(void)
{
    fill_long_value();
    json_list_open(&families);
    json_list_open(&samples);
    for (size_t i = 0; i < COUNT(sites); i++) {
        struct site *s = &sites[i];
        const struct kymo_registry_options options = {.size = sizeof(options),
                                                      .prefix = s->prefix[0] ? s->prefix : NULL,
                                                      .const_labels = s->labels,
                                                      .n_const_labels = s->n_labels,
                                                      .no_self_metrics = !s->self};
        MUST(kymo_registry_new(&options, &s->reg) == 0);
        fill_absent(s);
        fill_requests(s);
        fill_amounts(s);
        fill_threads(s);
        fill_numbers(s);
        fill_wide(s);
        fill_default_buckets(s);
        fill_many_buckets(s);
        fill_callbacks(s);
        fill_collector(s);
        fill_bulk(s);
    }
    MUST(fclose(families.file) == 0 && fclose(samples.file) == 0);
}

static void sites_free(void)
{
    for (size_t i = 0; i < COUNT(sites); i++)
        kymo_registry_free(sites[i].reg);
    free(families.text);
    free(samples.text);
}

static int write_file(void *ctx, const char *data, size_t n)
{
    return fwrite(data, 1, n, ctx) == n ? 0 : KYMO_ESYSTEM;
}

static void print_page(FILE *file)
{
    const struct kymo_sink sink = {sizeof(sink), file, write_file};
    for (size_t i = 0; i < COUNT(sites); i++)
        MUST(kymo_registry_write(sites[i].reg, kymo_format_find("text"), &sink) == 0);
}

/* ---- serving it ---- */

static int answer(const struct host_request *request, struct host_reply *reply)
{
    static unsigned scrapes;
    if (strcmp(request->path, "/metrics") != 0)
        return 0;
    print_page(reply->body);
    (void)snprintf(reply->content_type, sizeof(reply->content_type), "%s", kymo_encoder_find("text")->content_type);
    (void)snprintf(reply->said, sizeof(reply->said), "scrape %u", ++scrapes);
    return 1;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "--seconds";
    long seconds = host_seconds(argc > 2 ? argv[2] : NULL, 120);
    int serving = strcmp(what, "--seconds") == 0 && seconds > 0;
    if (!serving && strcmp(what, "--print") != 0 && strcmp(what, "--json") != 0) {
        fputs("usage: page_host --print | --json | [--seconds N], N from 1 to 3600\n", stderr);
        return 2;
    }
    sites_fill();
    if (serving)
        host_serve(seconds, answer);
    else if (strcmp(what, "--print") == 0)
        print_page(stdout);
    else
        printf("{\"families\":[%s],\n\"samples\":[%s]}\n", families.text, samples.text);
    sites_free();
    return fflush(stdout) == 0 ? 0 : 1;
}
