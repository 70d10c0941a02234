/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_names_refused.c - every name, label and value that is not taken, and what whoever gave it is told.
 *
 * How: tables. Each row is tried, compared with the error and the whole sentence that stand beside it, which are written
 * here by hand, and printed, so that the test's output is the table itself. What is refused in a recording has no
 * sentence: there the reason counts under which kymo_recordings_refused_total has it, or the line that the page shows.
 */
#include <math.h>

#include "page.h"

#define NOT_A_NAME "not a metric name: [a-zA-Z_:][a-zA-Z0-9_:]*, or set utf8_names; an info ends in _info"
#define NOT_A_LABEL "not a label name: [a-zA-Z_][a-zA-Z0-9_]*, or set utf8_names; each once, at most 32"
#define RESERVED "a reserved label: job and instance are the server's, le, quantile and __... the format's"
#define UNBOUNDED                                                                                                      \
    "this label has no bound: give the family a guard, or put the id into an exemplar; a guard's policy has to be "    \
    "named: KYMO_GUARD_LIMIT"
#define OR_TOP " or KYMO_GUARD_TOP"
#define BAD_GUARD "guard: needs labels; top is for counters and histograms; limits as in struct kymo_guard"
#define NOT_UTF8 "a string is not valid UTF-8: recode it before handing it over"
#define TOO_MUCH "a limit of the registry was reached: raise it in the options or record less"

static struct log_book book;

static int registry_try(const struct kymo_label *constant, size_t n, int utf8, struct kymo_registry **reg)
{
    struct kymo_registry_options o;
    memset(&o, 0, sizeof(o));
    memset(&book, 0, sizeof(book));
    o.size = sizeof(o);
    o.log = log_note;
    o.log_ctx = &book;
    o.const_labels = constant;
    o.n_const_labels = n;
    o.utf8_names = utf8;
    o.config = "";
    return kymo_registry_new(&o, reg);
}

static struct kymo_registry *registry_new(int utf8)
{
    struct kymo_registry *reg;
    REQUIRE(registry_try(NULL, 0, utf8, &reg) == 0);
    return reg;
}

/* ---- the table ---- */

/* At most @max bytes; what is no ASCII as C would have it. */
static void print_text(const char *s, size_t max)
{
    size_t n = s != NULL ? strlen(s) : 0;
    if (s == NULL)
        printf("NULL");
    for (size_t i = 0; i < n && i < max; i++) {
        if ((unsigned char)s[i] < 0x20 || (unsigned char)s[i] > 0x7e)
            printf("\\x%02x", (unsigned)(unsigned char)s[i]);
        else
            putchar(s[i]);
    }
    if (n > max)
        printf("... (%zu bytes)", n);
}

static void print_row(const char *kind, const char *what, const char *answer, const char *sentence)
{
    printf("  %-14s [", kind);
    print_text(what, 40);
    printf("] %s: ", answer);
    print_text(sentence, 600);
    putchar('\n');
}

/* Compares what happened with what the table says, and prints it. */
static void row_is(const char *kind, const char *what, int have, int want, const char *sentence)
{
    int before = test_failures;
    CHECK_INT(have, want);
    CHECK_U64(book.n, 1);
    CHECK(book.level == KYMO_LOG_ERROR);
    CHECK_STRING(book.last, sentence);
    print_row(kind, what, kymo_error_name(have), book.last);
    if (test_failures != before)
        fprintf(stderr, "... %s %s\n", kind, what ? what : "NULL");
}

/* ---- registering any kind ---- */

static const char *const kind_words[] = {"",         "counter", "gauge",          "histogram", "info",
                                         "stateset", "summary", "gaugehistogram", "unknown"};
static const char *const states[] = {"on"};

static int report_nothing(void *ctx, struct kymo_visit *visit)
{
    (void)ctx;
    (void)visit;
    return 0;
}

static int announce(struct kymo_registry *reg, enum kymo_kind kind, const struct kymo_desc *d)
{
    const struct kymo_collector_ops ops = {sizeof(ops), "c", d, &kind, 1, report_nothing, NULL};
    return kymo_collector_attach(reg, &ops, NULL, NULL);
}

/* State sets with labels, and the last three kinds, come from collectors alone. */
static int add(struct kymo_registry *reg, enum kymo_kind kind, struct kymo_desc d)
{
    static const char *const values[] = {"a", "b"};
    void *f;
    book.n = 0;
    if (kind == KYMO_STATESET)
        kymo_desc_set_states(&d, states, 1);
    switch (kind) {
    case KYMO_COUNTER:
        return kymo_counter_family_new(reg, &d, (struct kymo_counter_family **)&f);
    case KYMO_GAUGE:
        return kymo_gauge_family_new(reg, &d, (struct kymo_gauge_family **)&f);
    case KYMO_HISTOGRAM:
        return kymo_histogram_family_new(reg, &d, (struct kymo_histogram_family **)&f);
    case KYMO_INFO:
        return kymo_info_new(reg, &d, values);
    default:
        return announce(reg, kind, &d);
    }
}

static struct kymo_desc named(const char *name)
{
    struct kymo_desc d;
    kymo_desc_init(&d, name, "H.");
    return d;
}

static struct kymo_desc labelled(const char *const *labels, size_t n, const struct kymo_guard *guard)
{
    struct kymo_desc d = named("x_info");
    kymo_desc_set_labels(&d, labels, n);
    kymo_desc_set_guard(&d, guard);
    return d;
}

/* ---- names of metrics ---- */

static void test_names_of_metrics(void)
{
    static const struct {
        enum kymo_kind kind;
        const char *name, *sentence;
    } rows[] = {
        {KYMO_COUNTER, NULL, "metric (no name): " NOT_A_NAME},
        {KYMO_COUNTER, "", "metric : " NOT_A_NAME},
        {KYMO_COUNTER, "1st_total", "metric 1st_total: " NOT_A_NAME},
        {KYMO_GAUGE, "queue-depth", "metric queue-depth: " NOT_A_NAME},
        {KYMO_GAUGE, "queue depth", "metric queue depth: " NOT_A_NAME},
        {KYMO_GAUGE, "queue.depth", "metric queue.depth: " NOT_A_NAME},
        {KYMO_HISTOGRAM, "d{le=\"1\"}", "metric d{le=\"1\"}: " NOT_A_NAME},
        {KYMO_HISTOGRAM,
         "dur\xc3\xa9"
         "e",
         "metric dur\xc3\xa9"
         "e: " NOT_A_NAME},
        {KYMO_HISTOGRAM, "\xff", "metric \xff: " NOT_A_NAME},
        {KYMO_INFO, "build", "metric build: " NOT_A_NAME},
        {KYMO_INFO, "_info", "metric _info: " NOT_A_NAME},
        {KYMO_STATESET, "a:b", "metric a:b: " NOT_A_NAME}, /* its states are told apart by a label of that name */
        {KYMO_STATESET, "__s", "metric __s: " NOT_A_NAME},
        {KYMO_STATESET, "job", "metric job: " NOT_A_NAME},
        {KYMO_STATESET, "le", "metric le: " NOT_A_NAME},
        {KYMO_SUMMARY, "a b", "metric a b: " NOT_A_NAME},
        {KYMO_GAUGE_HISTOGRAM, "", "metric : " NOT_A_NAME},
        {KYMO_UNKNOWN, "9", "metric 9: " NOT_A_NAME},
    };
    struct kymo_registry *reg = registry_new(0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        row_is(kind_words[rows[i].kind], rows[i].name, add(reg, rows[i].kind, named(rows[i].name)), KYMO_ENAME,
               rows[i].sentence);
    char name[257], sentence[600];
    memset(name, 'n', 256);
    name[256] = '\0';
    (void)snprintf(sentence, sizeof(sentence), "metric %.255s: " NOT_A_NAME, name);
    row_is("gauge", name, add(reg, KYMO_GAUGE, named(name)), KYMO_ENAME, sentence);
    kymo_registry_free(reg);
}

/* ---- names of labels ---- */

static const struct label_row {
    const char *label;
    int error;
} label_rows[] = {
    {"job", KYMO_ERESERVED},
    {"instance", KYMO_ERESERVED},
    {"le", KYMO_ERESERVED},
    {"quantile", KYMO_ERESERVED},
    {"__name__", KYMO_ERESERVED},
    {"__address__", KYMO_ERESERVED},
    {"user_id", KYMO_EUNBOUNDED},
    {"customer_id", KYMO_EUNBOUNDED},
    {"request_id", KYMO_EUNBOUNDED},
    {"session_id", KYMO_EUNBOUNDED},
    {"trace_id", KYMO_EUNBOUNDED},
    {"span_id", KYMO_EUNBOUNDED},
    {"email", KYMO_EUNBOUNDED},
    {"ip", KYMO_EUNBOUNDED},
    {"", KYMO_ELABEL},
    {"1st", KYMO_ELABEL},
    {"a:b", KYMO_ELABEL},
    {"a-b", KYMO_ELABEL},
    {"user.id", KYMO_ELABEL},
    {"\xff", KYMO_ELABEL},
    {"good", KYMO_ELABEL}, /* twice */
};

static const char *text_of(int error)
{
    return error == KYMO_ERESERVED ? RESERVED : error == KYMO_EUNBOUNDED ? UNBOUNDED : NOT_A_LABEL;
}

static void one_label(struct kymo_registry *reg, enum kymo_kind kind, const struct label_row *row)
{
    const char *const labels[] = {"good", row->label};
    char sentence[400];
    int has_top = row->error == KYMO_EUNBOUNDED && (kind == KYMO_COUNTER || kind == KYMO_HISTOGRAM);
    (void)snprintf(sentence, sizeof(sentence), "metric x_info, label %s: %s%s", row->label, text_of(row->error),
                   has_top ? OR_TOP : "");
    row_is(kind_words[kind], row->label, add(reg, kind, labelled(labels, 2, NULL)), row->error, sentence);
}

static void test_names_of_labels_in_every_kind(void)
{
    struct kymo_registry *reg = registry_new(0);
    for (int kind = KYMO_COUNTER; kind <= KYMO_UNKNOWN; kind++)
        for (size_t i = 0; i < sizeof(label_rows) / sizeof(label_rows[0]); i++)
            one_label(reg, (enum kymo_kind)kind, &label_rows[i]);
    kymo_registry_free(reg);
}

/* With a policy the author says that there is a bound; what is reserved stays so. */
static void test_a_policy_takes_labels_without_bound_and_no_others(void)
{
    static const struct kymo_guard limit = {.policy = KYMO_GUARD_LIMIT};
    for (int n = KYMO_COUNTER; n <= KYMO_UNKNOWN; n++) {
        enum kymo_kind kind = (enum kymo_kind)n;
        for (size_t i = 0; i < sizeof(label_rows) / sizeof(label_rows[0]); i++) {
            const char *const labels[] = {"good", label_rows[i].label};
            struct kymo_registry *reg = registry_new(0);
            int want = label_rows[i].error == KYMO_EUNBOUNDED ? 0 : label_rows[i].error;
            CHECK_INT(add(reg, kind, labelled(labels, 2, &limit)), want);
            kymo_registry_free(reg);
        }
    }
}

static void test_names_that_become_refused_ones_when_they_are_escaped(void)
{
    static const struct {
        const char *label, *sentence;
        int error;
    } rows[] = {
        {"user.id", "metric x_info, label user.id: " UNBOUNDED, KYMO_EUNBOUNDED},
        {"user-id", "metric x_info, label user-id: " UNBOUNDED, KYMO_EUNBOUNDED},
        {"trace\xc3\xa9id", "metric x_info, label trace\xc3\xa9id: " UNBOUNDED, KYMO_EUNBOUNDED},
        {"..name..", "metric x_info, label ..name..: " RESERVED, KYMO_ERESERVED},
        {"__x.y", "metric x_info, label __x.y: " RESERVED, KYMO_ERESERVED},
        {"a\xff", "metric x_info, label a\xff: " NOT_A_LABEL, KYMO_ELABEL},
    };
    struct kymo_registry *reg = registry_new(1);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        row_is("gauge, UTF-8", rows[i].label, add(reg, KYMO_GAUGE, labelled(&rows[i].label, 1, NULL)), rows[i].error,
               rows[i].sentence);
    kymo_registry_free(reg);
}

/* ---- constant labels ---- */

static void test_constant_labels(void)
{
    static char long_value[4098];
    const struct {
        struct kymo_label label;
        int error;
        const char *sentence;
    } rows[] = {
        {{"job", "v"}, KYMO_ERESERVED, "constant label job: " RESERVED},
        {{"instance", "v"}, KYMO_ERESERVED, "constant label instance: " RESERVED},
        {{"le", "v"}, KYMO_ERESERVED, "constant label le: " RESERVED},
        {{"quantile", "v"}, KYMO_ERESERVED, "constant label quantile: " RESERVED},
        {{"__x", "v"}, KYMO_ERESERVED, "constant label __x: " RESERVED},
        {{"a-b", "v"}, KYMO_ELABEL, "constant label a-b: " NOT_A_LABEL},
        {{"", "v"}, KYMO_ELABEL, "constant label : " NOT_A_LABEL},
        {{NULL, "v"}, KYMO_ELABEL, "constant label (no name): " NOT_A_LABEL},
        {{"first", "v"}, KYMO_ELABEL, "constant label first: " NOT_A_LABEL}, /* twice */
        {{"site", NULL}, KYMO_EUTF8, "constant label site: " NOT_UTF8},
        {{"site", "\xff"}, KYMO_EUTF8, "constant label site: " NOT_UTF8},
        {{"site", long_value}, KYMO_ELIMIT, "constant label site: " TOO_MUCH},
    };
    memset(long_value, 'v', sizeof(long_value) - 1);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct kymo_label labels[] = {{"first", ""}, rows[i].label};
        struct kymo_registry *reg;
        row_is("constant label", rows[i].label.name, registry_try(labels, 2, 0, &reg), rows[i].error, rows[i].sentence);
        CHECK(reg == NULL);
    }
}

/* ---- guards ---- */

static void test_guards(void)
{
    static const struct {
        enum kymo_kind kind;
        const char *what;
        struct kymo_guard guard;
        size_t n_labels;
    } rows[] = {
        {KYMO_COUNTER, "any guard without labels", {.max_series = 5}, 0},
        {KYMO_GAUGE, "any guard without labels", {.policy = KYMO_GUARD_LIMIT}, 0},
        {KYMO_GAUGE, "the top policy", {.policy = KYMO_GUARD_TOP}, 1},
        {KYMO_INFO, "the top policy", {.policy = KYMO_GUARD_TOP}, 1},
        {KYMO_STATESET, "the top policy", {.policy = KYMO_GUARD_TOP}, 1},
        {KYMO_SUMMARY, "the top policy", {.policy = KYMO_GUARD_TOP}, 1},
        {KYMO_GAUGE_HISTOGRAM, "the top policy", {.policy = KYMO_GUARD_TOP}, 1},
        {KYMO_UNKNOWN, "the top policy", {.policy = KYMO_GUARD_TOP}, 1},
        {KYMO_COUNTER, "a policy that there is not", {.policy = (enum kymo_guard_policy)3}, 1},
        {KYMO_COUNTER, "an after_end that there is not", {.after_end = (enum kymo_after_end)2}, 1},
        {KYMO_HISTOGRAM, "idle_ns below 0", {.idle_ns = -1}, 1},
        {KYMO_HISTOGRAM, "max_series over 10 000 000", {.max_series = 10000001}, 1},
    };
    static const char *const label[] = {"l"};
    struct kymo_registry *reg = registry_new(0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        row_is(kind_words[rows[i].kind], rows[i].what,
               add(reg, rows[i].kind, labelled(label, rows[i].n_labels, &rows[i].guard)), KYMO_EGUARD,
               "metric x_info: " BAD_GUARD);
    kymo_registry_free(reg);
}

/* ---- values ---- */

static char bytes_16[17], bytes_17[18], bytes_60000[60001], bytes_60001[60002];

/* Families of three kinds that take values of 16 bytes, and of models two. */
struct families {
    struct kymo_registry *reg;
    struct kymo_counter_family *c;
    struct kymo_gauge_family *g;
    struct kymo_histogram_family *h;
};

static struct families families_new(uint32_t max_value_bytes)
{
    static const char *const models[] = {"m1", "m2"}, *const names[] = {"c_total", "g", "h"};
    const struct kymo_guard guard = {.policy = KYMO_GUARD_LIMIT, .max_value_bytes = max_value_bytes};
    struct families f = {registry_new(0), NULL, NULL, NULL};
    REQUIRE(kymo_counter_family_new(
                f.reg, KYMO_DESC(.name = "c_total", .help = "C.", KYMO_LABELS("user_id", "model"), .guard = &guard),
                &f.c) == 0);
    REQUIRE(kymo_gauge_family_new(
                f.reg, KYMO_DESC(.name = "g", .help = "G.", KYMO_LABELS("user_id", "model"), .guard = &guard), &f.g) ==
            0);
    REQUIRE(kymo_histogram_family_new(
                f.reg,
                KYMO_DESC(.name = "h", .help = "H.", KYMO_LABELS("user_id", "model"), .guard = &guard, KYMO_BOUNDS(1)),
                &f.h) == 0);
    for (size_t i = 0; i < 3; i++)
        CHECK_INT(kymo_registry_allow(f.reg, names[i], "model", models, 2), 0);
    return f;
}

struct value_row {
    const char *what;
    const char *user, *model;
    size_t n;           /* values that are handed over */
    const char *answer; /* the reason, or the pairs that stand on the page */
    int is_reason;
};

static const struct value_row value_rows[] = {
    {"good values", "u1", "m2", 2, "user_id=\"u1\",model=\"m2\"", 0},
    {"a value that is NULL", NULL, "m1", 2, "labels", 1},
    {"the other value is NULL", "u1", NULL, 2, "labels", 1},
    {"one value too few", "u1", "m1", 1, "labels", 1},
    {"one value too many", "u1", "m1", 3, "labels", 1},
    {"no values", "u1", "m1", 0, "labels", 1},
    {"not UTF-8", "u\xff", "m1", 2, "utf8", 1},
    {"not UTF-8, in the label with a list", "u1", "\xc0\x80", 2, "utf8", 1},
    {"cut in a character", "\xe2\x82", "m1", 2, "utf8", 1},
    {"60001 bytes", bytes_60001, "m1", 2, "too_long", 1},
    {"60000 bytes and 2", bytes_60000, "m1", 2, "too_long", 1},
    {"59998 bytes and 2: over the family's limit", bytes_60000 + 2, "m1", 2, "user_id=\"__other__\",model=\"m1\"", 0},
    {"17 bytes: over the family's limit", bytes_17, "m1", 2, "user_id=\"__other__\",model=\"m1\"", 0},
    {"16 bytes", bytes_16, "m1", 2, "user_id=\"aaaaaaaaaaaaaaaa\",model=\"m1\"", 0},
    {"not on the list", "u1", "m3", 2, "user_id=\"u1\",model=\"__other__\"", 0},
    {"not on the list, by case", "u1", "M1", 2, "user_id=\"u1\",model=\"__other__\"", 0},
    {"not on the list, empty", "u1", "", 2, "user_id=\"u1\",model=\"__other__\"", 0},
    {"both", bytes_17, "m3", 2, "user_id=\"__other__\",model=\"__other__\"", 0},
    {"empty", "", "m1", 2, "user_id=\"\",model=\"m1\"", 0},
    {"__other__ itself", "u1", "__other__", 2, "user_id=\"u1\",model=\"__other__\"", 0},
    {"all of them __other__", "__other__", "__other__", 2, "user_id=\"__other__\",model=\"__other__\"", 0},
};

/* A 1 into all three, by handle or by labels; whether there were handles. */
static int record(const struct families *f, const char *const *values, size_t n, int by_handle)
{
    if (!by_handle) {
        kymo_counter_family_inc(f->c, values, n);
        kymo_gauge_family_set(f->g, 1, values, n);
        kymo_histogram_family_observe(f->h, 1, values, n);
        return 0;
    }
    struct kymo_counter *c = kymo_counter_with(f->c, values, n);
    struct kymo_gauge *g = kymo_gauge_with(f->g, values, n);
    struct kymo_histogram *h = kymo_histogram_with(f->h, values, n);
    kymo_counter_inc(c);
    kymo_gauge_set(g, 1);
    kymo_histogram_observe(h, 1);
    CHECK((c != NULL) == (g != NULL) && (g != NULL) == (h != NULL));
    return c != NULL;
}

/* Of all families, for whatever reason. */
static uint64_t sum_of(struct kymo_registry *reg, const char *name)
{
    struct page p = page_of(reg);
    struct text_page parsed;
    const struct text_sample *sample;
    uint64_t n = 0;
    CHECK(text_parse(&parsed, p.text, p.n));
    for (size_t i = 0; (sample = text_find(&parsed, name, i)) != NULL; i++)
        n += strtoull(sample->raw, NULL, 10);
    text_page_free(&parsed);
    page_free(&p);
    return n;
}

static void is_refused(const struct families *f, const char *reason)
{
    static const char *const names[] = {"c_total", "g", "h"};
    for (size_t i = 0; i < 3; i++)
        CHECK_U64(refused(f->reg, names[i], reason), 1);
    CHECK_U64(sum_of(f->reg, "kymo_recordings_refused_total"), 3);
    CHECK_U64(sum_of(f->reg, "kymo_series_dropped_total"), 0);
    CHECK(!page_mentions(f->reg, "user_id="));
}

static void stands_as(const struct families *f, const char *pairs)
{
    static const char *const before[] = {"c_total{", "g{", "h_count{"};
    for (size_t i = 0; i < 3; i++) {
        char line[200];
        (void)snprintf(line, sizeof(line), "%s%s} 1", before[i], pairs);
        CHECK(page_has(f->reg, line));
    }
    CHECK_U64(sum_of(f->reg, "kymo_recordings_refused_total"), 0);
    if (strstr(pairs, "user_id=\"__other__\",model=\"__other__\"") == NULL) /* it has a series of its own */
        CHECK_U64(sum_of(f->reg, "kymo_series_dropped_total"), 0);
}

static void one_value(const struct value_row *row, int by_handle)
{
    const char *const values[] = {row->user, row->model, "third"};
    struct families f = families_new(16);
    int before = test_failures, handles = record(&f, values, row->n, by_handle);
    CHECK_INT(handles, by_handle && !row->is_reason);
    if (row->is_reason)
        is_refused(&f, row->answer);
    else
        stands_as(&f, row->answer);
    if (!by_handle)
        print_row(row->is_reason ? "refused" : "stands as", row->what, row->is_reason ? "reason" : "{}", row->answer);
    if (test_failures != before)
        fprintf(stderr, "... %s, by %s\n", row->what, by_handle ? "handle" : "labels");
    kymo_registry_free(f.reg);
}

static void test_values_of_labels(void)
{
    for (size_t i = 0; i < sizeof(value_rows) / sizeof(value_rows[0]); i++)
        for (int by_handle = 0; by_handle < 2; by_handle++)
            one_value(&value_rows[i], by_handle);
}

/* Without a limit of the family's own a value may have 1024 bytes. */
static void test_a_value_may_have_1024_bytes(void)
{
    const char *const shown[] = {bytes_60000 + 60000 - 1024, "m1"}, *const too_long[] = {bytes_60000 + 60000 - 1025,
                                                                                         "m1"};
    struct families f = families_new(0);
    (void)record(&f, shown, 2, 0);
    CHECK(!page_mentions(f.reg, "=\"__other__\""));
    CHECK(page_mentions(f.reg, shown[0]));
    (void)record(&f, too_long, 2, 0);
    CHECK(page_has(f.reg, "c_total{user_id=\"__other__\",model=\"m1\"} 1"));
    CHECK(!page_mentions(f.reg, too_long[0]));
    kymo_registry_free(f.reg);
}

static void test_the_values_of_an_info_are_refused_at_once(void)
{
    static const struct {
        const char *what, *value;
        int error;
    } rows[] = {
        {"NULL", NULL, KYMO_EINVAL},
        {"not UTF-8", "\xff", KYMO_EUTF8},
        {"60001 bytes", bytes_60001, KYMO_ELIMIT},
    };
    struct kymo_registry *reg = registry_new(0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int r = kymo_info_new(reg, KYMO_DESC(.name = "x_info", .help = "H.", KYMO_LABELS("a")), &rows[i].value);
        CHECK_INT(r, rows[i].error);
        print_row("info", rows[i].what, kymo_error_name(r), kymo_strerror(r));
    }
    CHECK(!page_mentions(reg, "x_info"));
    kymo_registry_free(reg);
}

/* ---- amounts ---- */

static void test_amounts(void)
{
    static const struct {
        const char *what, *reason;
        double amount;
    } rows[] = {
        {"a counter is added -1", "negative", -1},
        {"a counter is added NaN", "nan", (double)NAN},
        {"a counter is added +Inf", "infinite", (double)INFINITY},
    };
    static const char *const values[] = {"u1", "m1"};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct families f = families_new(16);
        kymo_counter_family_add(f.c, rows[i].amount, values, 2);
        CHECK_U64(refused(f.reg, "c_total", rows[i].reason), 1);
        CHECK(!page_mentions(f.reg, "c_total{user_id=\"u1\",model=\"m1\"} 1"));
        print_row("refused", rows[i].what, "reason", rows[i].reason);
        kymo_registry_free(f.reg);
    }
    struct families f = families_new(16);
    kymo_histogram_family_observe(f.h, (double)NAN, values, 2);
    CHECK_U64(refused(f.reg, "h", "nan"), 1);
    print_row("refused", "a histogram observes NaN", "reason", "nan");
    CHECK_INT(kymo_registry_unregister(f.reg, "c_total"), 0);
    kymo_counter_family_inc(f.c, values, 2);
    CHECK_U64(refused(f.reg, "c_total", "unregistered"), 1);
    print_row("refused", "the family is gone", "reason", "unregistered");
    kymo_registry_free(f.reg);
}

/* ---- lists ---- */

static void test_lists_of_values(void)
{
    static const char *const good[] = {"a"}, *const not_utf8[] = {"a", "\xff"}, *const null[] = {"a", NULL};
    struct families f = families_new(16);
    const struct {
        const char *what, *family, *label;
        const char *const *values;
        size_t n;
        int error;
    } rows[] = {
        {"no family", NULL, "model", good, 1, KYMO_EINVAL},
        {"a family that there is not", "d_total", "model", good, 1, KYMO_ENOENT},
        {"a label that it has not", "c_total", "tenant", good, 1, KYMO_ENOENT},
        {"no label", "c_total", NULL, good, 1, KYMO_EINVAL},
        {"no values", "c_total", "model", NULL, 1, KYMO_EINVAL},
        {"a value that is NULL", "c_total", "model", null, 2, KYMO_EINVAL},
        {"a value that is not UTF-8", "c_total", "model", not_utf8, 2, KYMO_EUTF8},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int r = kymo_registry_allow(f.reg, rows[i].family, rows[i].label, rows[i].values, rows[i].n);
        CHECK_INT(r, rows[i].error);
        print_row("list", rows[i].what, kymo_error_name(r), kymo_strerror(r));
    }
    kymo_counter_family_inc(f.c, KYMO_VALUES("u1", "a")); /* the list is as it was */
    CHECK(page_has(f.reg, "c_total{user_id=\"u1\",model=\"__other__\"} 1"));
    kymo_registry_free(f.reg);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        TEST(test_names_of_metrics),
        TEST(test_names_of_labels_in_every_kind),
        TEST(test_a_policy_takes_labels_without_bound_and_no_others),
        TEST(test_names_that_become_refused_ones_when_they_are_escaped),
        TEST(test_constant_labels),
        TEST(test_guards),
        TEST(test_values_of_labels),
        TEST(test_a_value_may_have_1024_bytes),
        TEST(test_the_values_of_an_info_are_refused_at_once),
        TEST(test_amounts),
        TEST(test_lists_of_values),
    };
    memset(bytes_16, 'a', 16);
    memset(bytes_17, 'a', 17);
    memset(bytes_60000, 'a', 60000);
    memset(bytes_60001, 'a', 60001);
    return test_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
