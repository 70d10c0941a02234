/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_config.c - what the operator wrote is what metrics become, or is refused with the line and what would be right.
 *
 * Every text goes through kymo_registry_new(), as a host hands it over; what came of it is read back as JSON and off
 * the page. The examples of docs/configuration.md are among the texts.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include <fcntl.h>
#include <locale.h>
#include <sys/stat.h>
#include <unistd.h>

#include "json.h"

static struct log_book book;
static struct heap heap = HEAP_INIT;

static int registry_try(const char *config, const char *prefix, struct kymo_registry **reg)
{
    const struct kymo_allocator allocator = {sizeof(allocator), &heap, heap_alloc, heap_free};
    struct kymo_registry_options o;
    memset(&o, 0, sizeof(o));
    memset(&book, 0, sizeof(book));
    o.size = sizeof(o);
    o.allocator = &allocator;
    o.log = log_note;
    o.log_ctx = &book;
    o.prefix = prefix;
    o.config = config;
    int r = kymo_registry_new(&o, reg);
    CHECK((*reg != NULL) == (r == 0));
    if (r != 0)
        heap_must_be_empty(&heap);
    return r;
}

static struct kymo_registry *registry_of(const char *config)
{
    struct kymo_registry *reg;
    int r = registry_try(config, NULL, &reg);
    if (r != 0)
        fprintf(stderr, "%s\n%s\n", book.last, config);
    REQUIRE(r == 0);
    return reg;
}

static void registry_end(struct kymo_registry *reg)
{
    kymo_registry_free(reg);
    heap_must_be_empty(&heap);
}

/* The value at a path of what is in force, after one histogram and one counter were registered. */
static void must_become(const char *config, const struct kymo_desc *d, const char *path, const char *want)
{
    struct kymo_registry *reg = registry_of(config);
    struct kymo_histogram *h;
    CHECK_INT(kymo_histogram_new(reg, d, &h), 0);
    struct page p = json_of(reg, kymo_registry_config);
    CHECK_JSON(p.text, path, want);
    page_free(&p);
    registry_end(reg);
}

#define PLAIN KYMO_DESC(.name = "step_seconds", .help = "Steps.", .unit = "seconds", KYMO_BOUNDS(1, 2))

/* ---- errors ---- */

static void must_refuse(const char *config, const char *sentence)
{
    struct kymo_registry *reg;
    CHECK_INT(registry_try(config, NULL, &reg), KYMO_ECONFIG);
    CHECK_U64(book.n, 1);
    CHECK(book.level == KYMO_LOG_ERROR);
    CHECK_STRING(book.last, sentence);
    kymo_registry_free(reg);
}

#define ALL_KEYS                                                                                                       \
    "buckets, native, native.max_buckets, native.zero_threshold, native.max_zero_threshold, native.min_reset, "        \
    "native.max_exemplars, native.exemplar_ttl, exemplars, max_series, guard, after_end, max_value_bytes, linger, "    \
    "idle, touch, allow.<label>"

static void test_an_error_says_its_line_and_what_is_allowed(void)
{
    must_refuse("buckets = 1",
                "config line 1: buckets stands before any section: write [*] above it if all metrics are "
                "meant");
    must_refuse("\n# x\n[a", "config line 3: a section has no ] at its end: write [name], [name_*] or [*]");
    must_refuse("[", "config line 1: a section has no ] at its end: write [name], [name_*] or [*]");
    must_refuse("[ ]",
                "config line 1: a section needs the name of a metric, at most 255 bytes: write [name], [name_*] or "
                "[*]");
    must_refuse("[a]\r\nbucket = 1\r\n", "config line 2: unknown key bucket: did you mean buckets?");
    must_refuse("[a]\nnative.min_rest=1h",
                "config line 2: unknown key native.min_rest: did you mean native.min_reset?");
    must_refuse("[a]\nspeed = 1", "config line 2: unknown key speed: there are " ALL_KEYS);
    must_refuse("[a]\n = 1", "config line 2: unknown key : there are " ALL_KEYS);
    must_refuse("[a]\nbuckets", "config line 2: neither a [section] nor key = value: buckets");
    must_refuse("[a]\nnative = yes\n\nnative = no", "config line 4: native is set twice in the section of line 1");
    must_refuse("[a]\nnative = Yes", "config line 2: native = Yes: give yes, no, or a factor above 1 such as 1.1");
    must_refuse("[a]\nexemplars = -1",
                "config line 2: exemplars = -1: give 0 for none, or a number n: each n-th recording "
                "that brings one is considered");
    must_refuse("[a]\nnative.min_reset = 5",
                "config line 2: native.min_reset = 5: give a time from 0 to 30000d, with a "
                "unit: ms, s, m, h or d");
    must_refuse("[a]\nbuckets = 1, 0.5",
                "config line 2: buckets = 1, 0.5: give 1 to 500 numbers from small to large "
                "without +Inf, with commas between them, or none, or one of web, latency, ttft, "
                "itl, e2e, tokens");
}

static void must_not_be_value(const char *line)
{
    struct kymo_registry *reg;
    char config[200];
    (void)snprintf(config, sizeof(config), "[a]\n%s\n", line);
    CHECK_INT(registry_try(config, NULL, &reg), KYMO_ECONFIG);
    CHECK(strncmp(book.last, "config line 2: ", 15) == 0);
    if (reg != NULL)
        fprintf(stderr, "was accepted: %s\n", line);
    kymo_registry_free(reg);
}

static void test_values_that_mean_nothing_are_refused(void)
{
    static const char *const lines[] = {
        "buckets =",
        "buckets = ,",
        "buckets = 1,",
        "buckets = 1,,2",
        "buckets = 1 2",
        "buckets = 1;2",
        "buckets = 1, 1",
        "buckets = 1, +Inf",
        "buckets = nan",
        "buckets = 0x10",
        "buckets = 1e400",
        "buckets = Web",
        "buckets = 1, web",
        "buckets = -0, 0",
        "buckets = 1.2.3",
        "buckets = --1",
        "buckets = e5",
        "buckets = 1e",
        "native =",
        "native = 1",
        "native = 0.9",
        "native = -2",
        "native = 1e999",
        "native = yes no",
        "native.max_buckets = 0",
        "native.max_buckets = 1001",
        "native.max_buckets = 1e3",
        "native.max_buckets = 1.5",
        "native.max_buckets = +5",
        "native.max_buckets = 99999999999999999999",
        "native.zero_threshold = -1",
        "native.zero_threshold = inf",
        "native.max_zero_threshold = -0.1",
        "native.min_reset = 1",
        "native.min_reset = -1s",
        "native.min_reset = 1 y",
        "native.min_reset = h",
        "native.min_reset = 1h30m",
        "native.min_reset = 30001d",
        "native.max_exemplars = 0",
        "native.max_exemplars = 65",
        "native.exemplar_ttl = 5",
        "exemplars = 1000000001",
        "exemplars = 1.0",
        "exemplars = many",
        "max_series = 0",
        "max_series = 10000001",
        "max_series = -1",
        "guard = plain",
        "guard = Top",
        "guard =",
        "guard = 1",
        "after_end = overflowing",
        "after_end =",
        "max_value_bytes = 15",
        "max_value_bytes = 60001",
        "linger = 0",
        "linger = 0s",
        "linger = 50d",
        "linger = 5",
        "idle = 5",
        "idle = -1s",
        "idle = never",
        "touch = 1",
        "touch = maybe",
        "buckets = 0.0000000000000000000000000000000000000000000000000000000000000000001",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        must_not_be_value(lines[i]);
}

static void test_bytes_that_no_text_has_are_refused(void)
{
    must_refuse("[a]\nnative\x01 = yes", "config line 2: a control character (0x01) at byte 7 of the line");
    must_refuse("[a\xff]", "config line 1: not UTF-8: save the file as UTF-8");
    must_refuse("# \x80", "config line 1: not UTF-8: save the file as UTF-8"); /* in a comment, too */
    must_refuse("[a]\rnative = no", "config line 1: a control character (0x0d) at byte 4 of the line");
}

static void test_bounds_are_at_most_500(void)
{
    char config[8000] = "[step_seconds]\nbuckets = 0";
    size_t n = strlen(config);
    for (int i = 1; i < 500; i++)
        n += (size_t)snprintf(config + n, sizeof(config) - n, ",%d", i);
    must_become(config, PLAIN, "families.0.buckets.499", "499");
    (void)snprintf(config + n, sizeof(config) - n, ",500");
    struct kymo_registry *reg;
    CHECK_INT(registry_try(config, NULL, &reg), KYMO_ECONFIG);
    CHECK(strncmp(book.last, "config line 2: buckets = 0,1,2,", 31) == 0);
    kymo_registry_free(reg);
}

/* ---- what becomes of metrics ---- */

static void test_buckets_are_the_operator_s(void)
{
    must_become("[step_seconds]\nbuckets = 0.005, 0.01 ,0.1,\t1e0, 10\n", PLAIN, "families.0.buckets",
                "[0.005,0.01,0.1,1,10]");
    must_become("[step_seconds]\nbuckets = -1.5e-3,+2", PLAIN, "families.0.buckets", "[-0.0015,2]");
    must_become("[*]\nbuckets=itl", PLAIN, "families.0.buckets.0", "0.01");
    must_become("[*]\nbuckets=web", PLAIN, "families.0.buckets.10", "10");
    must_become("[*]\nbuckets=latency", PLAIN, "families.0.buckets.15", "60");
    must_become("[*]\nbuckets=ttft", PLAIN, "families.0.buckets.21", "2560");
    must_become("[*]\nbuckets=e2e", PLAIN, "families.0.buckets.20", "7680");
    must_become("[*]\nbuckets=tokens", PLAIN, "families.0.buckets.16", "200000");
    must_become("[*]\nbuckets = 3", PLAIN, "families.0.keys", "[\"buckets\"]");
    must_become("[*]\nbuckets = 3", PLAIN, "families.0.native", "{}");
}

static void test_the_page_has_the_operator_s_buckets(void)
{
    struct kymo_registry *reg = registry_of("[step_seconds]\nbuckets = 0.25, 0.75\n");
    struct kymo_histogram *h;
    struct kymo_histogram_family *f;
    CHECK_INT(kymo_histogram_new(reg, PLAIN, &h), 0);
    CHECK_INT(kymo_histogram_family_new(reg, KYMO_DESC(.name = "other", .help = "O.", KYMO_LABELS("a")), &f), 0);
    kymo_histogram_observe(h, 0.5);
    CHECK(page_has(reg, "step_seconds_bucket{le=\"0.25\"} 0"));
    CHECK(page_has(reg, "step_seconds_bucket{le=\"0.75\"} 1"));
    CHECK(page_has(reg, "step_seconds_bucket{le=\"+Inf\"} 1"));
    CHECK(!page_mentions(reg, "step_seconds_bucket{le=\"1.0\"}"));
    struct page p = json_of(reg, kymo_registry_config);
    CHECK_JSON(p.text, "families.1", "");
    page_free(&p);
    registry_end(reg);
}

static void test_native_is_switched_on_and_off(void)
{
    static const struct kymo_native coarse = {.bucket_factor = 2, .max_buckets = 40};
    const struct kymo_desc *native = KYMO_DESC(.name = "step_seconds", .help = "Steps.", .native = &coarse);
    must_become("[*]\nnative = yes", PLAIN, "families.0.native.bucket_factor", "1.1");
    must_become("[*]\nnative = yes", PLAIN, "families.0.buckets", "[1,2]"); /* they stay */
    must_become("[*]\nnative = yes", KYMO_DESC(.name = "a", .help = "A."), "families.0.buckets.0", "0.005");
    must_become("[*]\nnative = 1.5", PLAIN, "families.0.native.bucket_factor", "1.5");
    must_become("[*]\nnative = yes\nbuckets = none", PLAIN, "families.0.buckets", "[]");
    must_become("[*]\nnative = yes", native, "families.0.native.bucket_factor", "2");
    must_become("[*]\nnative = 1.5", native, "families.0.native.bucket_factor", "1.5");
    must_become("[*]\nnative = 1.5", native, "families.0.native.max_buckets", "40");
    must_become("[*]\nnative = 1.5", native, "families.0.buckets", "[]");
    must_become("[*]\nbuckets = 7", native, "families.0.native.bucket_factor", "2");
    must_become("[*]\nbuckets = 7", native, "families.0.buckets", "[7]");
    must_become("[*]\nnative = no", native, "families.0.native", "{}");
    must_become("[*]\nnative = no", native, "families.0.buckets.10", "10"); /* the preset web */
    must_become("[*]\nnative = no\nbuckets = 7", native, "families.0.buckets", "[7]");
    must_become("[*]\nnative.max_buckets = 7", PLAIN, "families", "[]"); /* says how, not whether */
}

static void test_details_of_native_histograms(void)
{
#define NATIVE_LINE(line) "[*]\nnative = yes\n" line
    must_become(NATIVE_LINE("native.max_buckets = 1000"), PLAIN, "families.0.native.max_buckets", "1000");
    must_become(NATIVE_LINE("native.zero_threshold = 1e-6"), PLAIN, "families.0.native.zero_threshold", "1e-06");
    must_become(NATIVE_LINE("native.zero_threshold = 0"), PLAIN, "families.0.native.zero_threshold", "0");
    must_become(NATIVE_LINE(""), PLAIN, "families.0.native.zero_threshold", "2.938735877055719e-39");
    must_become(NATIVE_LINE("native.max_zero_threshold=1"), PLAIN, "families.0.native.max_zero_threshold", "1");
    must_become(NATIVE_LINE("native.min_reset = 1.5h"), PLAIN, "families.0.native.min_reset_seconds", "5400");
    must_become(NATIVE_LINE("native.min_reset = 250 ms"), PLAIN, "families.0.native.min_reset_seconds", "0.25");
    must_become(NATIVE_LINE("native.min_reset = 0"), PLAIN, "families.0.native.min_reset_seconds", "0");
    must_become(NATIVE_LINE("native.max_exemplars = 64"), PLAIN, "families.0.native.max_exemplars", "64");
    must_become(NATIVE_LINE("native.exemplar_ttl = 7d"), PLAIN, "families.0.native.exemplar_ttl_seconds", "604800");
    must_become(NATIVE_LINE("native.exemplar_ttl = 0s"), PLAIN, "families.0.native.exemplar_ttl_seconds", "0");
    must_become(NATIVE_LINE("native.exemplar_ttl = 2m"), PLAIN, "families.0.keys",
                "[\"native\",\"native.exemplar_ttl\"]");
}

static void test_a_histogram_is_left_some_buckets(void)
{
    struct kymo_registry *reg = registry_of("[*]\nbuckets = none\n");
    struct kymo_histogram *h;
    CHECK_INT(kymo_histogram_new(reg, PLAIN, &h), 0);
    CHECK(book.level == KYMO_LOG_WARNING);
    CHECK(strstr(book.last, "step_seconds") != NULL);
    kymo_histogram_observe(h, 1);
    CHECK(page_has(reg, "step_seconds_bucket{le=\"1.0\"} 1"));
    struct page p = json_of(reg, kymo_registry_config);
    CHECK_JSON(p.text, "families", "[]");
    page_free(&p);
    registry_end(reg);
}

static void test_exemplars_of_histograms_and_counters(void)
{
    struct kymo_registry *reg = registry_of("[*_total]\nexemplars = 8\nbuckets = 1\n[step*]\nexemplars = 0\n");
    struct kymo_counter *c;
    struct kymo_histogram *h;
    struct kymo_gauge *g;
    CHECK_INT(kymo_counter_new(reg, KYMO_DESC(.name = "a_total", .help = "A."), &c), 0);
    CHECK_INT(kymo_histogram_new(reg, KYMO_DESC(.name = "step", .help = "S.", .exemplar_every = 4), &h), 0);
    CHECK_INT(kymo_gauge_new(reg, KYMO_DESC(.name = "g_total", .help = "G."), &g), 0); /* has none to choose */
    struct page p = json_of(reg, kymo_registry_config);
    CHECK_JSON(p.text, "families.0",
               "{\"name\":\"a_total\",\"type\":\"counter\",\"lines\":[1],\"keys\":[\"exemplars\"],\"exemplars\":8}");
    CHECK_JSON(p.text, "families.1.exemplars", "0");
    CHECK_JSON(p.text, "families.2", "");
    page_free(&p);
    registry_end(reg);
}

/* ---- guards ---- */

/* The same with a family that has labels, of any kind. */
static void must_guard(const char *config, enum kymo_kind kind, const struct kymo_desc *d, const char *at,
                       const char *want)
{
    struct kymo_registry *reg = registry_of(config);
    void *f;
    CHECK_INT(kind == KYMO_COUNTER ? kymo_counter_family_new(reg, d, (struct kymo_counter_family **)&f)
              : kind == KYMO_GAUGE ? kymo_gauge_family_new(reg, d, (struct kymo_gauge_family **)&f)
                                   : kymo_histogram_family_new(reg, d, (struct kymo_histogram_family **)&f),
              0);
    struct page p = json_of(reg, kymo_registry_config);
    CHECK_JSON(p.text, at, want);
    page_free(&p);
    registry_end(reg);
}

#define TENANTS KYMO_DESC(.name = "t_total", .help = "T.", KYMO_LABELS("tenant", "model"))

static void test_the_keys_of_a_guard(void)
{
    static const struct {
        const char *line, *at, *want;
    } rows[] = {
        {"max_series = 7", "families.0.guard.max_series", "7"},
        {"max_series = 10000000", "families.0.guard.max_series", "10000000"},
        {"guard = limit", "families.0.guard.policy", "\"limit\""},
        {"guard = limit", "families.0.guard.max_series", "2000"},
        {"guard = top", "families.0.guard.policy", "\"top\""},
        {"guard = top", "families.0.guard.max_series", "100"},
        {"after_end = overflow", "families.0.guard.after_end", "\"overflow\""},
        {"after_end = revive", "families.0.guard.after_end", "\"revive\""},
        {"max_value_bytes = 16", "families.0.guard.max_value_bytes", "16"},
        {"max_value_bytes = 60000", "families.0.guard.max_value_bytes", "60000"},
        {"linger = 1m", "families.0.guard.linger_ms", "60000"},
        {"linger = 0.1ms", "families.0.guard.linger_ms", "1"}, /* rounded up */
        {"linger = 49d", "families.0.guard.linger_ms", "4233600000"},
        {"idle = 10m", "families.0.guard.idle_seconds", "600"},
        {"idle = 0", "families.0.guard.idle_seconds", "0"},
        {"idle = 250ms", "families.0.guard.idle_seconds", "0.25"},
        {"touch = yes", "families.0.guard.touch", "\"yes\""},
        {"touch = no", "families.0.guard.touch", "\"no\""},
        {"touch = no", "families.0.keys", "[\"touch\"]"},
        {"touch = no", "families.0.exemplars", "0"},
        {"touch = no", "families.0.guard.policy", "\"plain\""},
        {"idle = 1h\nmax_series = 5 # of them", "families.0.keys", "[\"max_series\",\"idle\"]"},
        {"idle = 1h\n[t_*]\nidle = 2h", "families.0.guard.idle_seconds", "7200"},
        {"idle = 1h\n[other]\nidle = 2h", "families.0.lines", "[1]"},
        {"max_series = 3\nguard = top\nafter_end = overflow\nmax_value_bytes = 20\nlinger = 2s\nidle = 3s\ntouch = yes",
         "families.0.guard",
         "{\"policy\":\"top\",\"after_end\":\"overflow\",\"max_series\":3,\"max_value_bytes\":20,\"linger_ms\":2000,"
         "\"idle_seconds\":3,\"touch\":\"yes\",\"allow\":{}}"},
        {"max_series = 3\nguard = top\nafter_end = revive\nmax_value_bytes = 20\nlinger = 2s\nidle = 0\ntouch = no",
         "rules.0",
         "{\"line\":1,\"pattern\":\"*\",\"max_series\":3,\"guard\":\"top\",\"after_end\":\"revive\","
         "\"max_value_bytes\":20,\"linger\":2,\"idle\":0,\"touch\":\"no\"}"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char config[200];
        (void)snprintf(config, sizeof(config), "[*]\n%s\n", rows[i].line);
        must_guard(config, KYMO_COUNTER, TENANTS, rows[i].at, rows[i].want);
    }
}

static void test_a_guard_keeps_what_the_operator_does_not_mention(void)
{
    static const struct kymo_guard own = {KYMO_GUARD_TOP, KYMO_TO_OVERFLOW, 9, 99, 999, 1, 5000000000};
    const struct kymo_desc *d = KYMO_DESC(.name = "t_total", .help = "T.", KYMO_LABELS("user_id"), .guard = &own);
    must_guard(
        "[*]\nidle = 0", KYMO_COUNTER, d, "families.0.guard",
        "{\"policy\":\"top\",\"after_end\":\"overflow\",\"max_series\":9,\"max_value_bytes\":99,\"linger_ms\":999,"
        "\"idle_seconds\":0,\"touch\":\"yes\",\"allow\":{}}");
    must_guard("[*]\nguard = limit", KYMO_COUNTER, d, "families.0.guard.max_series", "9");
    must_guard("[*]\ntouch = no\nafter_end = revive", KYMO_COUNTER, d, "families.0.guard.after_end", "\"revive\"");
}

static void test_a_gauge_has_no_heaviest(void)
{
    const struct kymo_desc *d = KYMO_DESC(.name = "g", .help = "G.", KYMO_LABELS("tenant"));
    must_guard("[*]\nguard = top", KYMO_GAUGE, d, "families", "[]");
    CHECK(book.level == KYMO_LOG_WARNING);
    CHECK_STRING(book.last, "metric g: its configuration says guard = top, which gauges cannot have: it keeps its "
                            "policy");
    must_guard("[*]\nguard = top\nidle = 1s", KYMO_GAUGE, d, "families.0.keys", "[\"idle\"]");
    must_guard("[*]\nguard = limit", KYMO_GAUGE, d, "families.0.guard.policy", "\"limit\"");
    must_guard("[*]\nguard = top", KYMO_HISTOGRAM, d, "families.0.guard.policy", "\"top\"");
    CHECK_U64(book.n, 0);
}

static double one(void *ctx)
{
    (void)ctx;
    return 1;
}

static void test_what_has_no_labels_has_no_guard(void)
{
    static const char config[] = "[*]\nguard = top\nidle = 1s\nmax_series = 1\nallow.os = bsd\n";
    struct kymo_registry *reg = registry_of(config);
    struct kymo_counter *c;
    CHECK_INT(kymo_counter_new(reg, KYMO_DESC(.name = "c_total", .help = "C."), &c), 0);
    CHECK_INT(kymo_gauge_callback(reg, KYMO_DESC(.name = "cb", .help = "C."), one, NULL), 0);
    CHECK_INT(kymo_info_new(reg, KYMO_DESC(.name = "host_info", .help = "H.", KYMO_LABELS("os")),
                            (const char *const[]){"linux"}),
              0);
    struct page p = json_of(reg, kymo_registry_config);
    CHECK_JSON(p.text, "families", "[]");
    page_free(&p);
    CHECK(page_has(reg, "host_info{os=\"linux\"} 1"));
    CHECK_U64(book.n, 0);
    registry_end(reg);
}

static void test_lists_of_values(void)
{
    static const struct {
        const char *config, *lists, *keys;
    } rows[] = {
        {"allow.model = a", "{\"model\":[\"a\"]}", "[\"allow.model\"]"},
        {"allow.model=b,a , c\t,a", "{\"model\":[\"b\",\"a\",\"c\"]}", "[\"allow.model\"]"},
        {"allow.model = \"a, b\",\" # c\", \"\", d # e", "{\"model\":[\"a, b\",\" # c\",\"\",\"d\"]}",
         "[\"allow.model\"]"},
        {"allow.model = \"6\\\"\", \"\\\\x\", a\\b#c # d", "{\"model\":[\"6\\\"\",\"\\\\x\",\"a\\\\b#c\"]}",
         "[\"allow.model\"]"},
        {"allow.model = a\nallow.tenant = b", "{\"tenant\":[\"b\"],\"model\":[\"a\"]}",
         "[\"allow.tenant\",\"allow.model\"]"},
        {"allow.model = a\nallow.tenant = b\n[t_*]\nallow.model = c\n", "{\"tenant\":[\"b\"],\"model\":[\"c\"]}",
         "[\"allow.tenant\",\"allow.model\"]"},
        {"idle = 0\nallow.other = a", "{}", "[\"idle\"]"},
        {"allow.model = \xc3\xa9", "{\"model\":[\"\xc3\xa9\"]}", "[\"allow.model\"]"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char config[200];
        (void)snprintf(config, sizeof(config), "[*]\n%s\n", rows[i].config);
        must_guard(config, KYMO_COUNTER, TENANTS, "families.0.keys", rows[i].keys);
        must_guard(config, KYMO_COUNTER, TENANTS, "families.0.guard.allow", rows[i].lists);
    }
    must_guard("[*]\nallow.other = a", KYMO_COUNTER, TENANTS, "families", "[]");
    must_guard("[*]\nallow.model = a\n[t_total]\nallow.x = a\n[t*]\nallow.model = b", KYMO_COUNTER, TENANTS,
               "families.0.lines", "[1,5]");
    must_guard("[*]\nallow.model = b, \"c d\"\nallow.tenant=e", KYMO_COUNTER, TENANTS, "rules.0",
               "{\"line\":1,\"pattern\":\"*\",\"allow.model\":[\"b\",\"c d\"],\"allow.tenant\":[\"e\"]}");
}

static void test_a_list_s_errors_say_what_is_allowed(void)
{
#define ALLOWED                                                                                                        \
    ": give values with commas between them, in quotes those that have blanks, commas or quotes: a, \"b c\", "         \
    "\"6\\\"\""
    must_refuse("[a]\nallow.x = a b", "config line 2: allow.x = a b" ALLOWED);
    must_refuse("[a]\nallow.x =", "config line 2: allow.x = " ALLOWED);
    must_refuse("[a]\nallow.x = a, # b", "config line 2: allow.x = a," ALLOWED);
    must_refuse("[a]\nallow.x = ,a", "config line 2: allow.x = ,a" ALLOWED);
    must_refuse("[a]\nallow.x = a,,b", "config line 2: allow.x = a,,b" ALLOWED);
    must_refuse("[a]\nallow.x = \"a # b", "config line 2: allow.x = \"a # b" ALLOWED);
    must_refuse("[a]\nallow.x = \"a\\", "config line 2: allow.x = \"a\\" ALLOWED);
    must_refuse("[a]\nallow.x = \"\\n\"", "config line 2: allow.x = \"\\n\"" ALLOWED);
    must_refuse("[a]\nallow.x = \"a\"b", "config line 2: allow.x = \"a\"b" ALLOWED);
    must_refuse("[a]\nallow.x = a\"b\"", "config line 2: allow.x = a\"b\"" ALLOWED);
    must_refuse("[a]\nallow.x = a\nallow.y = b\nallow.x = c",
                "config line 4: allow.x is set twice in the section of line 1");
    must_refuse("[a]\nallow. = a", "config line 2: unknown key allow.: did you mean allow.<label>?");
    must_refuse("[a]\nallow = a", "config line 2: unknown key allow: did you mean allow.<label>?");
    must_refuse("[a]\nalow.model = a", "config line 2: unknown key alow.model: did you mean allow.<label>?");
    must_refuse("[a]\nallow.a-b = a", "config line 2: allow.a-b: that is no name of a label");
    must_refuse("allow.x = a", "config line 1: allow.x stands before any section: write [*] above it if all metrics "
                               "are meant");
}

static void test_the_registry_has_a_section(void)
{
    struct kymo_registry_stats stats = {.size = sizeof(stats)};
    must_become("[@registry]\nmax_series = 77", PLAIN, "max_series", "77");
    must_become("[@registry]\nmax_series = 77\n[*]\nidle = 0\n[ @registry ]\nmax_series = 78", PLAIN, "max_series",
                "78");
    must_become("[@registry]\nmax_series = 77", PLAIN, "rules",
                "[{\"line\":1,\"pattern\":\"@registry\",\"max_series\":77}]");
    must_become("[@registry]\n[*]\nmax_series = 5", PLAIN, "max_series", "10000");
    must_guard("[@registry]\nmax_series = 77", KYMO_COUNTER, TENANTS, "families", "[]");
    must_refuse("[@registry]\nmax_series = 0", "config line 2: max_series = 0: give a number from 1 to 10000000");
    must_refuse("[@registry]\nidle = 0", "config line 2: idle is of metrics: in [@registry] there is max_series");
    must_refuse("[@registry]\nallow.a = b", "config line 2: allow.a is of metrics: in [@registry] there is max_series");
    must_refuse("\n[@other]", "config line 2: a section [@other]: with @ there is [@registry] alone");
    struct kymo_registry *reg = registry_of("[@registry]\nmax_series = 77\n");
    CHECK_INT(kymo_registry_get_stats(reg, &stats), 0);
    CHECK_U64(stats.max_series, 77);
    registry_end(reg);
}

static void test_lists_and_limits_are_in_force(void)
{
    struct kymo_registry *reg = registry_of("[@registry]\nmax_series = 3\n[t_*]\nallow.model = m1, \"m 2\"\n"
                                            "max_value_bytes = 16\n[c_total]\nmax_series = 1\n");
    struct kymo_counter_family *t, *c;
    CHECK_INT(kymo_counter_family_new(reg, TENANTS, &t), 0);
    CHECK_INT(kymo_counter_family_new(reg, KYMO_DESC(.name = "c_total", .help = "C.", KYMO_LABELS("x")), &c), 0);
    kymo_counter_family_inc(c, KYMO_VALUES("a"));
    kymo_counter_family_inc(c, KYMO_VALUES("b")); /* over the family's limit */
    kymo_counter_family_inc(t, KYMO_VALUES("a", "m 2"));
    kymo_counter_family_inc(t, KYMO_VALUES("a", "m3"));                /* not on the list */
    kymo_counter_family_inc(t, KYMO_VALUES("a", "M1"));                /* nor that one: the same series */
    kymo_counter_family_inc(t, KYMO_VALUES("b", "m1"));                /* over the registry's */
    kymo_counter_family_inc(t, KYMO_VALUES("seventeen letters", "x")); /* both */
    CHECK(page_has(reg, "c_total{x=\"a\"} 1"));
    CHECK(page_has(reg, "c_total{x=\"__other__\"} 1"));
    CHECK(page_has(reg, "t_total{tenant=\"a\",model=\"m 2\"} 1"));
    CHECK(page_has(reg, "t_total{tenant=\"a\",model=\"__other__\"} 2"));
    CHECK(page_has(reg, "t_total{tenant=\"__other__\",model=\"__other__\"} 2"));
    registry_end(reg);
}

/* ---- names ---- */

static void test_later_sections_win_key_by_key(void)
{
    static const char config[] = "[*]\nnative = 1.5\nbuckets = 1\nexemplars = 2\n"
                                 "[step_*]\nbuckets = 2 # here too\n"
                                 "[other]\nbuckets = 3\n"
                                 "[step_seconds]\nexemplars = 4\n";
    must_become(config, PLAIN, "families.0.native.bucket_factor", "1.5");
    must_become(config, PLAIN, "families.0.buckets", "[2]");
    must_become(config, PLAIN, "families.0.exemplars", "4");
    must_become(config, PLAIN, "families.0.lines", "[1,5,9]");
    must_become(config, PLAIN, "families.0.keys", "[\"buckets\",\"native\",\"exemplars\"]");
    must_become("[*]\nnative = 1.5\n[step*]\nnative = yes", PLAIN, "families.0.native.bucket_factor", "1.1");
    must_become("[*]\nnative = 1.5\n[step*]\nnative = no", PLAIN, "families.0.native", "{}");
    must_become("[*]\nbuckets = 1, 2, 3\n[step*]\nbuckets=none\nnative=yes", PLAIN, "families.0.buckets", "[]");
}

static void must_match(const char *pattern, const char *prefix, const char *name, int want)
{
    struct kymo_registry *reg;
    struct kymo_histogram *h;
    char config[200];
    (void)snprintf(config, sizeof(config), "[%s]\nbuckets = 1\n", pattern);
    REQUIRE(registry_try(config, prefix, &reg) == 0);
    CHECK_INT(kymo_histogram_new(reg, KYMO_DESC(.name = name, .help = "H."), &h), 0);
    struct page p = json_of(reg, kymo_registry_config);
    char *found = json_get(p.text, "families.0.name");
    if ((found[0] != '\0') != want)
        fprintf(stderr, "pattern %s, name %s\n", pattern, name);
    CHECK_INT(found[0] != '\0', want);
    free(found);
    page_free(&p);
    registry_end(reg);
}

static void test_patterns(void)
{
    must_match("abc", NULL, "abc", 1);
    must_match(" abc\t", NULL, "abc", 1);
    must_match("abc", NULL, "abcd", 0);
    must_match("abc", NULL, "ab", 0);
    must_match("ABC", NULL, "abc", 0);
    must_match("*", NULL, "abc", 1);
    must_match("***", NULL, "abc", 1);
    must_match("a*", NULL, "abc", 1);
    must_match("*c", NULL, "abc", 1);
    must_match("*b", NULL, "abc", 0);
    must_match("a*b*c", NULL, "a_b_b_c", 1);
    must_match("a*b*d", NULL, "a_b_b_c", 0);
    must_match("*ab", NULL, "aab", 1);
    must_match("a?c", NULL, "abc", 1);
    must_match("???", NULL, "abc", 1);
    must_match("??", NULL, "abc", 0);
    must_match("????", NULL, "abc", 0);
    must_match("*?c", NULL, "abc", 1);
    must_match("abc?", NULL, "abc", 0);
    must_match("abc*", NULL, "abc", 1);
    must_match("p_abc", "p_", "abc", 1);
    must_match("abc", "p_", "abc", 0);
}

static void test_a_family_is_found_by_the_names_it_had(void)
{
    static const struct kymo_alias aliases[] = {{"iteration_seconds", NULL}};
    const struct kymo_desc *d = KYMO_DESC(.name = "step_seconds", .help = "S.", .aliases = aliases, .n_aliases = 1);
    must_become("[iteration_seconds]\nbuckets = 5\n", d, "families.0.buckets", "[5]");
    must_become("[iteration_seconds]\nbuckets = 5\n", d, "families.0.lines", "[1]");
    must_become("[iteration]\nbuckets = 5\n", d, "families", "[]");
}

/* ---- where the text comes from ---- */

static void test_nothing_said_is_nothing_changed(void)
{
    static const char *const texts[] = {"", "\n", "# only a comment", "\xef\xbb\xbf# made by an editor\r\n",
                                        "[a]\n[b]"};
    for (size_t i = 0; i < 5; i++)
        must_become(texts[i], PLAIN, "families", "[]");
    must_become("", PLAIN, "source", "\"none\"");
    must_become("# x", PLAIN, "source", "\"options\"");
    struct kymo_registry *reg = registry_of(NULL);
    struct page p = json_of(reg, kymo_registry_config);
    CHECK_STRING(p.text, "{\"source\":\"none\",\"rules\":[],\"max_series\":10000,\"families\":[]}");
    page_free(&p);
    registry_end(reg);
}

static char path[4200]; /* of a file of this process */

static void file_write(const char *text, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    REQUIRE(fd >= 0);
    for (size_t done = 0; done < n;) {
        ssize_t wrote = write(fd, text + done, n - done);
        REQUIRE(wrote > 0);
        done += (size_t)wrote;
    }
    REQUIRE(close(fd) == 0);
}

static void test_the_environment_names_a_file(void)
{
    static const char text[] = "[step_seconds]\nbuckets = 4\n";
    char want[5000];
    file_write(text, strlen(text));
    REQUIRE(setenv("KYMO_CONFIG", path, 1) == 0);
    must_become(NULL, PLAIN, "families.0.buckets", "[4]");
    (void)snprintf(want, sizeof(want), "\"%s\"", path);
    must_become(NULL, PLAIN, "file", want);
    must_become(NULL, PLAIN, "source", "\"file\"");
    must_become("", PLAIN, "source", "\"none\""); /* whatever the environment says */
    must_become("[*]\nbuckets=3", PLAIN, "families.0.buckets", "[3]");
    REQUIRE(setenv("KYMO_CONFIG", "", 1) == 0);
    must_become(NULL, PLAIN, "source", "\"none\"");
    REQUIRE(unsetenv("KYMO_CONFIG") == 0);
    must_become(NULL, PLAIN, "source", "\"none\"");
    REQUIRE(unlink(path) == 0);
}

static void must_fail_from_file(const char *file, const char *sentence)
{
    char want[2000];
    struct kymo_registry *reg;
    REQUIRE(setenv("KYMO_CONFIG", file, 1) == 0);
    CHECK_INT(registry_try(NULL, NULL, &reg), KYMO_ECONFIG);
    (void)snprintf(want, sizeof(want), sentence, file);
    CHECK_STRING(book.last, want);
    REQUIRE(unsetenv("KYMO_CONFIG") == 0);
}

static void test_a_file_that_cannot_be_read_is_an_error_with_its_name(void)
{
    char *large = calloc(1, 1024 * 1024 + 1);
    REQUIRE(large != NULL);
    must_fail_from_file(path, "config file %s, which KYMO_CONFIG names, cannot be read: No such file or directory");
    must_fail_from_file("/", "config file %s, which KYMO_CONFIG names, cannot be read: Is a directory");
    file_write("[a]\nnative = perhaps\n", 21);
    must_fail_from_file(path,
                        "config line 2: native = perhaps: give yes, no, or a factor above 1 such as 1.1 (file %s)");
    memset(large, '\n', 1024 * 1024 + 1);
    file_write(large, 1024 * 1024 + 1);
    must_fail_from_file(path, "config %s is longer than 1048576 bytes");
    file_write(large, 1024 * 1024);
    REQUIRE(setenv("KYMO_CONFIG", path, 1) == 0);
    must_become(NULL, PLAIN, "rules", "[]");
    file_write("[a]\n\0", 5);
    must_fail_from_file(path, "config line 2: a control character (0x00) at byte 1 of the line (file %s)");
    free(large);
    REQUIRE(unlink(path) == 0);
}

static void test_a_text_in_the_options_has_a_limit_too(void)
{
    char *large = calloc(1, 1024 * 1024 + 2);
    struct kymo_registry *reg;
    REQUIRE(large != NULL);
    memset(large, ' ', 1024 * 1024 + 1);
    CHECK_INT(registry_try(large, NULL, &reg), KYMO_ECONFIG);
    CHECK_STRING(book.last, "config text is longer than 1048576 bytes");
    large[1024 * 1024] = '\0';
    CHECK_INT(registry_try(large, NULL, &reg), 0);
    registry_end(reg);
    free(large);
}

/* ---- the rest ---- */

static void test_rules_can_be_read_back(void)
{
    struct kymo_registry *reg = registry_of("# c\n[a_*]\nbuckets = none\nnative = 1.25\nnative.zero_threshold = 0\n"
                                            "native.min_reset = 1h\nexemplars = 3\n\n[\"q\\]\nnative = no\n");
    struct page p = json_of(reg, kymo_registry_config);
    CHECK_STRING(p.text, "{\"source\":\"options\",\"rules\":[{\"line\":2,\"pattern\":\"a_*\",\"buckets\":\"none\","
                         "\"native\":1.25,\"native.zero_threshold\":0,\"native.min_reset\":3600,\"exemplars\":3},"
                         "{\"line\":9,\"pattern\":\"\\\"q\\\\\",\"native\":\"no\"}],\"max_series\":10000,"
                         "\"families\":[]}");
    page_free(&p);
    registry_end(reg);
}

static void test_numbers_are_read_as_written_in_any_locale(void)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "ru_RU.UTF-8", "de_DE", "fr_FR"};
    for (size_t i = 0; i < 6 && strcmp(localeconv()->decimal_point, ",") != 0; i++)
        (void)setlocale(LC_ALL, names[i]);
    if (strcmp(localeconv()->decimal_point, ",") != 0)
        test_skip("no locale with a decimal comma is installed");
    must_become("[*]\nbuckets = 0.5, 1.25", PLAIN, "families.0.buckets", "[0.5,1.25]");
    must_become("[*]\nbuckets = 0.1, 0.30000000000000004", PLAIN, "families.0.buckets", "[0.1,0.30000000000000004]");
    must_become("[*]\nnative=yes\nnative.min_reset=0.5s", PLAIN, "families.0.native.min_reset_seconds", "0.5");
    (void)setlocale(LC_ALL, "C");
}

static void test_each_failing_allocation_leaves_nothing(void)
{
    static const char config[] = "[a]\nbuckets = 1,2\n[b*]\nbuckets = web\nnative = 1.1\nallow.x = a, \"b c\"\n"
                                 "allow.y = d\n[@registry]\nmax_series = 5\n";
    file_write(config, strlen(config));
    REQUIRE(setenv("KYMO_CONFIG", path, 1) == 0);
    for (int from_file = 0; from_file < 2; from_file++) {
        for (size_t n = 1, failed = 1; failed != 0; n++) {
            struct kymo_registry *reg;
            heap_arm(&heap, n, 0);
            int r = registry_try(from_file ? NULL : config, NULL, &reg);
            failed = heap.failed;
            heap_arm(&heap, 0, 0);
            CHECK_INT(r, failed != 0 ? KYMO_ENOMEM : 0);
            registry_end(reg);
            REQUIRE(n < 1000);
        }
    }
    REQUIRE(unsetenv("KYMO_CONFIG") == 0);
    REQUIRE(unlink(path) == 0);
}

static void test_each_failing_allocation_of_a_list_registers_nothing(void)
{
    for (size_t n = 1, failed = 1; failed != 0; n++) {
        struct kymo_registry *reg = registry_of("[*]\nallow.tenant = a, b\nallow.model = c\n");
        struct kymo_registry_stats stats = {.size = sizeof(stats)};
        struct kymo_counter_family *f;
        heap_arm(&heap, n, 0);
        int r = kymo_counter_family_new(reg, TENANTS, &f);
        failed = heap.failed;
        heap_arm(&heap, 0, 0);
        CHECK_INT(r, failed != 0 ? KYMO_ENOMEM : 0);
        CHECK_INT(kymo_registry_get_stats(reg, &stats), 0);
        CHECK_U64(stats.n_families, failed == 0);
        registry_end(reg);
        REQUIRE(n < 1000);
    }
}

static void first_example_does_what_it_says(const char *config)
{
    must_become(config, KYMO_DESC(.name = "http_request_duration_seconds", .help = "H."), "families.0.buckets",
                "[0.05,0.1,0.2,0.3,0.5,1,2,5]");
    must_become(config, KYMO_DESC(.name = "engine_request_tokens", .help = "H."), "families.0.native.bucket_factor",
                "1.05");
    must_become(config, PLAIN, "max_series", "20000");
    must_guard(config, KYMO_COUNTER,
               KYMO_DESC(.name = "llm_tenant_tokens_total", .help = "T.", KYMO_LABELS("tenant", "model")),
               "families.0.guard",
               "{\"policy\":\"top\",\"after_end\":\"revive\",\"max_series\":50,\"max_value_bytes\":1024,"
               "\"linger_ms\":300000,\"idle_seconds\":3600,\"touch\":\"no\","
               "\"allow\":{\"model\":[\"llama-70b\",\"qwen-7b\",\"phi 4, mini\"]}}");
}

/* Each block of the document that begins with ```ini, as it stands there. */
static void test_the_examples_of_the_document_are_good(void)
{
    static char text[65536];
    char name[4200];
    const char *root = getenv("KYMO_SOURCE_ROOT");
    size_t n_blocks = 0;
    if (root == NULL) {
        test_skip("KYMO_SOURCE_ROOT does not say where docs/configuration.md is");
        return;
    }
    (void)snprintf(name, sizeof(name), "%s/docs/configuration.md", root);
    FILE *file = fopen(name, "rb");
    REQUIRE(file != NULL);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    (void)fclose(file);
    for (char *at = strstr(text, "```ini\n"); at != NULL; at = strstr(at, "```ini\n")) {
        char *config = at + 7;
        at = strstr(config, "```");
        REQUIRE(at != NULL);
        *at++ = '\0';
        registry_end(registry_of(config));
        n_blocks++;
        if (n_blocks == 1)
            first_example_does_what_it_says(config);
    }
    CHECK(n_blocks >= 2);
}

static int refuse_bytes(void *ctx, const char *data, size_t n)
{
    (void)data;
    (void)n;
    return *(int *)ctx;
}

static void test_bad_arguments_are_refused(void)
{
    int says = -7;
    struct kymo_registry *reg = registry_of("");
    struct kymo_sink sink = {sizeof(sink), &says, refuse_bytes};
    CHECK_INT(kymo_registry_config(NULL, &sink), KYMO_EINVAL);
    CHECK_INT(kymo_registry_config(reg, NULL), KYMO_EINVAL);
    CHECK_INT(kymo_registry_config(reg, &sink), -7); /* untouched */
    sink.size = 0;
    CHECK_INT(kymo_registry_config(reg, &sink), KYMO_EINVAL);
    sink = (struct kymo_sink){sizeof(sink), NULL, NULL};
    CHECK_INT(kymo_registry_config(reg, &sink), KYMO_EINVAL);
    registry_end(reg);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        TEST(test_an_error_says_its_line_and_what_is_allowed),
        TEST(test_values_that_mean_nothing_are_refused),
        TEST(test_bytes_that_no_text_has_are_refused),
        TEST(test_bounds_are_at_most_500),
        TEST(test_buckets_are_the_operator_s),
        TEST(test_the_page_has_the_operator_s_buckets),
        TEST(test_native_is_switched_on_and_off),
        TEST(test_details_of_native_histograms),
        TEST(test_a_histogram_is_left_some_buckets),
        TEST(test_exemplars_of_histograms_and_counters),
        TEST(test_the_keys_of_a_guard),
        TEST(test_a_guard_keeps_what_the_operator_does_not_mention),
        TEST(test_a_gauge_has_no_heaviest),
        TEST(test_what_has_no_labels_has_no_guard),
        TEST(test_lists_of_values),
        TEST(test_a_list_s_errors_say_what_is_allowed),
        TEST(test_the_registry_has_a_section),
        TEST(test_lists_and_limits_are_in_force),
        TEST(test_each_failing_allocation_of_a_list_registers_nothing),
        TEST(test_later_sections_win_key_by_key),
        TEST(test_patterns),
        TEST(test_a_family_is_found_by_the_names_it_had),
        TEST(test_nothing_said_is_nothing_changed),
        TEST(test_the_environment_names_a_file),
        TEST(test_a_file_that_cannot_be_read_is_an_error_with_its_name),
        TEST(test_a_text_in_the_options_has_a_limit_too),
        TEST(test_rules_can_be_read_back),
        TEST(test_numbers_are_read_as_written_in_any_locale),
        TEST(test_each_failing_allocation_leaves_nothing),
        TEST(test_the_examples_of_the_document_are_good),
        TEST(test_bad_arguments_are_refused),
    };
    const char *folder = getenv("TMPDIR");
    (void)snprintf(path, sizeof(path), "%s/kymo_test_config.%ld", folder ? folder : "/tmp", (long)getpid());
    (void)unsetenv("KYMO_CONFIG");
    return test_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
