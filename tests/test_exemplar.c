/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_exemplar.c - exemplars are kept as they were given or not at all, whatever happens to who writes them.
 *
 * How: what is kept is read through a visitor, as an encoder reads it. Under threads, signal handlers, jumps, forks and
 * kills every exemplar carries its value three times, as value, as time and in its labels: one that mixes two shows. The
 * store of a native histogram is compared, step for step, with a plain model of its rules.
 */
#include "torture.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/exemplar.h"

/* ---- what is kept ---- */

enum { SEEN_MAX = 128, SEEN_TEXT = 256 };

struct seen {
    const char *family;
    size_t n, n_native;
    struct kymo_exemplar_point is[SEEN_MAX], native[SEEN_MAX];
    char text[SEEN_MAX][SEEN_TEXT], native_text[SEEN_MAX][SEEN_TEXT];
};

static void copy_points(struct kymo_exemplar_point *to, char (*text)[SEEN_TEXT], const struct kymo_exemplar_point *from,
                        size_t n)
{
    REQUIRE(n <= SEEN_MAX);
    for (size_t i = 0; i < n; i++) {
        REQUIRE(from[i].labels_len < SEEN_TEXT);
        to[i] = from[i];
        memcpy(text[i], from[i].labels, from[i].labels_len);
        text[i][from[i].labels_len] = '\0';
    }
}

static int see(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    struct seen *seen = ctx;
    if (strcmp(family->name, seen->family) != 0)
        return 0;
    seen->n = point->n_exemplars;
    copy_points(seen->is, seen->text, point->exemplars, seen->n);
    const struct kymo_native_point *native = family->kind == KYMO_HISTOGRAM ? point->value.histogram.native : NULL;
    if (native != NULL) {
        seen->n_native = native->n_exemplars;
        copy_points(seen->native, seen->native_text, native->exemplars, seen->n_native);
    }
    return 0;
}

static const struct seen *look(struct kymo_registry *reg, const char *family)
{
    static struct seen seen;
    const struct kymo_visitor visitor = {sizeof(visitor), &seen, NULL, see, NULL};
    memset(&seen, 0, sizeof(seen));
    seen.family = family;
    REQUIRE(kymo_registry_visit(reg, &visitor) == 0);
    return &seen;
}

/* ---- beds ---- */

static struct {
    int64_t now_ns;
    uint64_t reads;
} watch_clock;

static int64_t read_watch_clock(void *ctx)
{
    (void)ctx;
    watch_clock.reads++;
    return watch_clock.now_ns;
}

static struct {
    struct kymo_registry *reg;
    struct kymo_counter *c;
    struct kymo_histogram *h;
} bed;

#define BED_BOUNDS KYMO_BOUNDS(1, 2, 4)

static void bed_make(uint32_t every)
{
    const struct kymo_clock clock = {sizeof(clock), NULL, read_watch_clock, read_watch_clock};
    struct kymo_registry_options o = {.size = sizeof(o), .clock = &clock, .segment_bytes = (size_t)16 << 20};
    watch_clock.now_ns = 1700000000000000000;
    REQUIRE(kymo_registry_new(&o, &bed.reg) == 0);
    REQUIRE(kymo_counter_new(bed.reg, KYMO_DESC(.name = "c_total", .help = "x", .exemplar_every = every), &bed.c) == 0);
    REQUIRE(kymo_histogram_new(bed.reg, KYMO_DESC(.name = "h", .help = "x", .exemplar_every = every, BED_BOUNDS),
                               &bed.h) == 0);
}

static struct kymo__exemplars *block_of(const void *handle)
{
    const struct kymo__cell *cell = handle;
    return kymo__exemplars_of(cell->family, kymo__at(cell->family->reg->segment, cell->series));
}

static uint64_t refusals(const void *handle, enum kymo__refusal why)
{
    return ((const struct kymo__cell *)handle)->family->record->refused[why];
}

static void inc_with(const char *name, const char *value)
{
    const struct kymo_label label = {name, value};
    const struct kymo_exemplar ex = {&label, 1, 0};
    kymo_counter_inc_exemplar(bed.c, &ex);
}

/* ---- one at a time ---- */

static void test_an_exemplar_is_kept_as_it_was_given(void)
{
    const struct kymo_label labels[] = {{"trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"}, {"q", "a\"b\\c\nd"}};
    const struct kymo_exemplar ex = {labels, 2, 1234567890123456789}, bare = {NULL, 0, 0};
    bed_make(1);
    CHECK_U64(look(bed.reg, "c_total")->n, 0);
    kymo_counter_add_exemplar(bed.c, 3, &ex);
    const struct seen *seen = look(bed.reg, "c_total");
    CHECK_U64(seen->n, 1);
    CHECK_STRING(seen->text[0], "trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\",q=\"a\\\"b\\\\c\\nd\"");
    CHECK_DOUBLE(seen->is[0].value, 3);
    CHECK(seen->is[0].timestamp_ns == 1234567890123456789 && seen->is[0].bucket == 0);
    kymo_counter_add_exemplar(bed.c, 0.25, &bare);
    seen = look(bed.reg, "c_total");
    CHECK_U64(seen->n, 1);
    CHECK_STRING(seen->text[0], "");
    CHECK_DOUBLE(seen->is[0].value, 0.25);
    CHECK(seen->is[0].timestamp_ns == watch_clock.now_ns);
    CHECK_DOUBLE(kymo_counter_value(bed.c), 3.25);
    kymo_registry_free(bed.reg);
}

static void test_a_histogram_keeps_the_last_one_of_each_bucket(void)
{
    static const double values[] = {8, 0.5, 4, 1, (double)INFINITY, 0.75};
    static const struct kymo_exemplar_point kept[] = {{NULL, 0, 0.75, 0, 0, 0}, {NULL, 0, 4, 0, 2, 0}};
    const struct kymo_exemplar ex = {NULL, 0, 7};
    bed_make(1);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        kymo_histogram_observe_exemplar(bed.h, values[i], &ex);
    kymo_histogram_observe_exemplar(bed.h, (double)NAN, &ex);
    const struct seen *seen = look(bed.reg, "h");
    CHECK_U64(seen->n, 3);
    for (size_t i = 0; i < 2; i++) {
        CHECK_DOUBLE(seen->is[i].value, kept[i].value);
        CHECK_U64(seen->is[i].bucket, kept[i].bucket);
    }
    CHECK(isinf(seen->is[2].value) && seen->is[2].bucket == 3);
    CHECK_U64(kymo_histogram_value(bed.h, NULL, NULL, 0), 6);
    CHECK_U64(refused(bed.reg, "h", "nan"), 1);
    kymo_registry_free(bed.reg);
}

static void test_without_exemplars_the_recording_is_the_same(void)
{
    const struct kymo_exemplar ex = {NULL, 0, 7};
    bed_make(0);
    kymo_counter_inc_exemplar(NULL, &ex);
    kymo_counter_add_exemplar(NULL, 1, &ex);
    kymo_histogram_observe_exemplar(NULL, 1, &ex);
    kymo_counter_inc_exemplar(bed.c, &ex);
    kymo_counter_add_exemplar(bed.c, 0.5, &ex);
    kymo_counter_add_exemplar(bed.c, -1, &ex);
    kymo_histogram_observe_exemplar(bed.h, 1, &ex);
    CHECK_DOUBLE(kymo_counter_value(bed.c), 1.5);
    CHECK_U64(kymo_histogram_value(bed.h, NULL, NULL, 0), 1);
    CHECK_U64(look(bed.reg, "c_total")->n + look(bed.reg, "h")->n, 0);
    CHECK_U64(refused(bed.reg, "c_total", "negative"), 1);
    CHECK(!page_mentions(bed.reg, "exemplar_busy") && !page_mentions(bed.reg, "exemplar_bad"));
    kymo_registry_free(bed.reg);
    bed_make(1);
    kymo_counter_inc_exemplar(bed.c, NULL);
    kymo_counter_add_exemplar(bed.c, 0.5, NULL);
    kymo_histogram_observe_exemplar(bed.h, 1, NULL);
    CHECK_DOUBLE(kymo_counter_value(bed.c), 1.5);
    CHECK_U64(look(bed.reg, "c_total")->n + look(bed.reg, "h")->n, 0);
    CHECK_U64(refused(bed.reg, "c_total", "exemplar_bad") + refused(bed.reg, "c_total", "exemplar_busy"), 0);
    kymo_registry_free(bed.reg);
}

/* ---- what may be kept ---- */

static void repeat(char *to, const char *what, size_t n)
{
    *to = '\0';
    for (size_t i = 0; i < n; i++)
        strcat(to, what);
}

static void must_be_bad(const struct kymo_label *labels, size_t n)
{
    const struct kymo_exemplar ex = {labels, n, 0};
    uint64_t bad = refusals(bed.c, KYMO__EXEMPLAR_BAD), reads = watch_clock.reads;
    double value = kymo_counter_value(bed.c);
    kymo_counter_inc_exemplar(bed.c, &ex);
    CHECK_U64(refusals(bed.c, KYMO__EXEMPLAR_BAD), bad + 1);
    CHECK_U64(watch_clock.reads, reads); /* it was not going to be kept */
    CHECK_DOUBLE(kymo_counter_value(bed.c), value + 1);
}

static void test_names_must_be_legal_and_differ(void)
{
    static const char *const names[] = {NULL, "", "1a", "a b", "a-b", "a:b", "\xc3\xa9", "a.b"};
    const struct kymo_label twice[] = {{"a", "1"}, {"b", "2"}, {"a", "3"}}, no_value = {"a", NULL};
    bed_make(1);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct kymo_label label = {names[i], "v"};
        must_be_bad(&label, 1);
    }
    must_be_bad(twice, 3);
    must_be_bad(&no_value, 1);
    must_be_bad(NULL, 1);
    CHECK_U64(look(bed.reg, "c_total")->n, 0);
    CHECK_U64(refused(bed.reg, "c_total", "exemplar_bad"), 11);
    inc_with("_Az09", "v");
    CHECK_STRING(look(bed.reg, "c_total")->text[0], "_Az09=\"v\"");
    kymo_registry_free(bed.reg);
}

/* Characters are counted, not bytes; the bytes, escaped, have to fit a record as well. */
static void test_128_characters_are_the_limit_and_a_record_s_room(void)
{
    static const struct {
        const char *piece;
        size_t n; /* of them, after a name of one character, still fit */
    } limits[] = {{"x", 127}, {"\xc3\xa9", 106}, {"\xe2\x82\xac", 70}, {"\"", 106}, {"\n", 106}, {"\\", 106}};
    char value[2048], text[2048];
    bed_make(1);
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        const struct kymo_label label = {"k", value};
        repeat(value, limits[i].piece, limits[i].n);
        inc_with("k", value);
        CHECK_U64(refusals(bed.c, KYMO__EXEMPLAR_BAD), i);
        (void)snprintf(text, sizeof(text), "k=\"%s\"", value);
        if (strpbrk(value, "\"\n\\") == NULL)
            CHECK_STRING(look(bed.reg, "c_total")->text[0], text);
        repeat(value, limits[i].piece, limits[i].n + 1);
        must_be_bad(&label, 1);
    }
    repeat(value, "a", 300);
    inc_with(value, "");
    inc_with("k", value);
    CHECK_U64(refusals(bed.c, KYMO__EXEMPLAR_BAD), 8);
    kymo_registry_free(bed.reg);
}

static void test_128_characters_may_be_spread_over_labels(void)
{
    static char names[16][3];
    struct kymo_label labels[16];
    char want[SEEN_TEXT] = "", other[128], ascii[128];
    const struct kymo_exemplar ex = {labels, 16, 0};
    bed_make(1);
    for (unsigned i = 0; i < 16; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "%c", 'a' + (char)i);
        labels[i] = (struct kymo_label){names[i], "1234567"};
        (void)snprintf(want + strlen(want), sizeof(want) - strlen(want), "%s%s=\"1234567\"", i ? "," : "", names[i]);
    }
    kymo_counter_inc_exemplar(bed.c, &ex);
    CHECK_STRING(look(bed.reg, "c_total")->text[0], want);
    labels[7].value = "12345678";
    must_be_bad(labels, 16);
    repeat(other, "\xc3\xa9", 40); /* those with more than one byte count for what follows, too */
    repeat(ascii, "x", 100);
    const struct kymo_label long_ones[] = {{"a", other}, {"b", ascii}};
    must_be_bad(long_ones, 2);
    CHECK_STRING(look(bed.reg, "c_total")->text[0], want);
    kymo_registry_free(bed.reg);
}

static void test_values_must_be_utf8(void)
{
    static const char *const values[] = {"\xff", "a\xc3", "1234567\xc0\x80", "\xed\xa0\x80 12345678", "12345678\x80"};
    bed_make(1);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        const struct kymo_label label = {"k", values[i]};
        must_be_bad(&label, 1);
    }
    inc_with("k", "\xf0\x9f\x90\x98");
    CHECK_STRING(look(bed.reg, "c_total")->text[0], "k=\"\xf0\x9f\x90\x98\"");
    kymo_registry_free(bed.reg);
}

/* ---- which are considered ---- */

/* How many of n increments read the clock to keep their exemplar, if only each step-th brings one. */
static uint64_t kept_of(uint32_t every, unsigned n, unsigned step)
{
    const struct kymo_exemplar ex = {NULL, 0, 0};
    bed_make(every);
    uint64_t before = watch_clock.reads;
    for (unsigned i = 0; i < n; i++)
        kymo_counter_inc_exemplar(bed.c, i % step == step - 1 ? &ex : NULL);
    uint64_t kept = watch_clock.reads - before;
    CHECK_DOUBLE(kymo_counter_value(bed.c), n);
    kymo_registry_free(bed.reg);
    return kept;
}

static int is_near(uint64_t have, double want)
{
    int near = fabs((double)have - want) <= 2 + want / 50;
    if (!near)
        fprintf(stderr, "%" PRIu64 " kept, not about %g\n", have, want);
    return near;
}

static void test_one_in_n_is_considered_whatever_rhythm_they_come_in(void)
{
    static const uint32_t every[] = {2, 3, 8, 10, 64, 1000};
    static const unsigned steps[] = {1, 2, 3, 4, 8, 10, 64, 100};
    CHECK_U64(kept_of(1, 1000, 1), 1000);
    CHECK_U64(kept_of(1, 1000, 4), 250);
    CHECK_U64(kept_of(UINT32_MAX, 100000, 1), 1); /* the first */
    for (size_t i = 0; i < sizeof(every) / sizeof(every[0]); i++)
        for (size_t k = 0; k < sizeof(steps) / sizeof(steps[0]); k++)
            CHECK(is_near(kept_of(every[i], 60000, steps[k]), 60000.0 / every[i] / steps[k]));
}

/* Exactly those that the rule names: by what the bucket, or the counter, held before. */
static void test_each_bucket_is_sampled_by_its_own_count(void)
{
    const struct kymo_exemplar ex = {NULL, 0, 0};
    uint64_t random = 88172645463325252u, due = 0, count[3] = {0}, reads;
    bed_make(5);
    reads = watch_clock.reads;
    for (unsigned i = 0; i < 20000; i++) {
        unsigned bucket = (unsigned)(random_next(&random) % 3);
        due += (count[bucket]++ * 0x9e3779b97f4a7c15u) >> 32 < ((uint64_t)1 << 32) / 5;
        kymo_histogram_observe_exemplar(bed.h, bucket + 1, &ex);
    }
    CHECK_U64(watch_clock.reads - reads, due);
    CHECK(is_near(due, 4000));
    kymo_registry_free(bed.reg);
}

static void test_fractions_and_the_last_bucket_are_sampled(void)
{
    const struct kymo_exemplar ex = {NULL, 0, 0};
    for (int round = 0; round < 3; round++) {
        bed_make(16);
        if (round == 2)
            kymo_thread_detach(); /* the shared store */
        uint64_t reads = watch_clock.reads;
        for (unsigned i = 0; i < 32000; i++) {
            if (round == 0)
                kymo_histogram_observe_exemplar(bed.h, 100, &ex);
            else
                kymo_counter_add_exemplar(bed.c, 0.37, &ex);
        }
        CHECK(is_near(watch_clock.reads - reads, 2000));
        kymo_registry_free(bed.reg);
    }
}

static void test_the_shared_store_samples_by_its_pairs(void)
{
    const struct kymo_exemplar ex = {NULL, 0, 0};
    bed_make(10);
    kymo_thread_detach();
    uint64_t reads = watch_clock.reads;
    for (unsigned i = 0; i < 20000; i++)
        kymo_counter_inc_exemplar(bed.c, &ex);
    CHECK(is_near(watch_clock.reads - reads, 2000));
    reads = watch_clock.reads;
    for (unsigned i = 0; i < 20000; i++)
        kymo_histogram_observe_exemplar(bed.h, 1 + i % 4, &ex);
    CHECK(is_near(watch_clock.reads - reads, 2000));
    CHECK_U64(look(bed.reg, "h")->n, 3);
    kymo_registry_free(bed.reg);
}

/* ---- claims ---- */

static void test_a_claim_that_is_never_given_back_is_taken_over(void)
{
    bed_make(1);
    inc_with("k", "before");
    struct kymo__exemplar *record = &block_of(bed.c)->classic[0];
    REQUIRE(kymo__exemplar_claim(&record->claim) != 0); /* and no more is heard of it */
    CHECK_STRING(look(bed.reg, "c_total")->text[0], "k=\"before\"");
    for (unsigned i = 0; i < KYMO__EXEMPLAR_PATIENCE; i++)
        inc_with("k", "in between");
    CHECK_U64(refused(bed.reg, "c_total", "exemplar_busy"), KYMO__EXEMPLAR_PATIENCE);
    CHECK_STRING(look(bed.reg, "c_total")->text[0], "k=\"before\"");
    inc_with("k", "after");
    CHECK_U64(refused(bed.reg, "c_total", "exemplar_busy"), KYMO__EXEMPLAR_PATIENCE);
    CHECK_STRING(look(bed.reg, "c_total")->text[0], "k=\"after\"");
    inc_with("k", "later");
    CHECK_STRING(look(bed.reg, "c_total")->text[0], "k=\"later\"");
    CHECK_DOUBLE(kymo_counter_value(bed.c), KYMO__EXEMPLAR_PATIENCE + 3);
    kymo_registry_free(bed.reg);
}

/* One that was only slow: it may write at any moment after others took its claim over and were done. */
static void test_a_late_writer_spoils_at_most_itself(void)
{
    struct kymo__exemplar_copy copy = {.value = 17, .timestamp_ns = 18, .text_len = 9};
    memcpy(copy.text, "k=\"tardy\"", 9);
    bed_make(1);
    struct kymo__exemplar *record = &block_of(bed.c)->classic[0];
    for (unsigned word = 0; word < 6; word++) {
        uint64_t claim = kymo__exemplar_claim(&record->claim);
        REQUIRE(claim != 0);
        for (unsigned i = 0; i <= KYMO__EXEMPLAR_PATIENCE; i++)
            inc_with("k", "nimble");
        CHECK_STRING(look(bed.reg, "c_total")->text[0], "k=\"nimble\"");
        struct kymo__exemplar whole = *record;
        kymo__exemplar_put(record, &copy);
        uint64_t written = (&record->check)[word];
        memcpy(&record->check, &whole.check, sizeof(whole) - sizeof(whole.claim));
        (&record->check)[word] = written; /* as far as it has come: one word */
        CHECK_U64(look(bed.reg, "c_total")->n, 0);
        CHECK_INT(kymo__exemplar_release(&record->claim, claim), 0);
        inc_with("k", "nimble");
        CHECK_U64(look(bed.reg, "c_total")->n, 1);
    }
    kymo_registry_free(bed.reg);
}

static void test_what_cannot_be_an_exemplar_is_passed_over(void)
{
    const struct kymo_exemplar ex = {NULL, 0, 7};
    bed_make(1);
    for (int i = 0; i < 4; i++)
        kymo_histogram_observe_exemplar(bed.h, 1 << i, &ex);
    CHECK_U64(look(bed.reg, "h")->n, 4);
    block_of(bed.h)->classic[1].text_len = UINT64_MAX;
    block_of(bed.h)->classic[2].check ^= 1;
    const struct seen *seen = look(bed.reg, "h");
    CHECK_U64(seen->n, 2);
    CHECK(seen->is[0].bucket == 0 && seen->is[1].bucket == 3);
    kymo_registry_free(bed.reg);
}

/* ---- exemplars that show it if they are mixed ---- */

/* n says it all: value, time, and a text whose length differs, too. */
static void record_whole(uint64_t n, int native)
{
    char id[64];
    int len = snprintf(id, sizeof(id), "%" PRIu64 "-", n);
    while (len < (int)(8 + n % 48))
        id[len++] = (char)('a' + n % 23);
    id[len] = '\0';
    const struct kymo_label labels[] = {{"n", id}, {"m", n % 3 ? "x" : ""}};
    const struct kymo_exemplar ex = {labels, n % 5 ? 2 : 1, (int64_t)(n * 1000 + 1)};
    double v = (double)(n % 8) + (double)n / 1e9;
    kymo_histogram_observe_exemplar(bed.h, v, &ex);
    if (!native)
        kymo_counter_inc_exemplar(bed.c, &ex);
}

static uint64_t checked;

static void must_be_whole(const struct kymo_exemplar_point *p, const char *text, int is_histogram)
{
    char want[SEEN_TEXT];
    uint64_t n = (uint64_t)(p->timestamp_ns - 1) / 1000;
    int len = snprintf(want, sizeof(want), "n=\"%" PRIu64 "-", n);
    while (len < (int)(3 + 8 + n % 48))
        want[len++] = (char)('a' + n % 23);
    (void)snprintf(want + len, sizeof(want) - (size_t)len, "\"%s", n % 5 == 0 ? "" : n % 3 ? ",m=\"x\"" : ",m=\"\"");
    CHECK_STRING(text, want);
    CHECK_DOUBLE(p->value, is_histogram ? (double)(n % 8) + (double)n / 1e9 : 1);
    checked++;
}

/* All that is kept is whole, in its order, and where it belongs. */
static void all_must_be_whole(void)
{
    const struct seen *seen = look(bed.reg, "h");
    for (size_t i = 0; i < seen->n; i++) {
        must_be_whole(&seen->is[i], seen->text[i], 1);
        double v = seen->is[i].value;
        CHECK_U64(seen->is[i].bucket, v <= 1 ? 0 : v <= 2 ? 1 : v <= 4 ? 2 : 3);
        CHECK(i == 0 || seen->is[i - 1].bucket < seen->is[i].bucket);
    }
    for (size_t i = 0; i < seen->n_native; i++) {
        must_be_whole(&seen->native[i], seen->native_text[i], 1);
        CHECK(i == 0 || seen->native[i - 1].value <= seen->native[i].value);
    }
    seen = look(bed.reg, "c_total");
    for (size_t i = 0; i < seen->n; i++)
        must_be_whole(&seen->is[i], seen->text[i], 0);
}

static void whole_bed(int native)
{
    struct kymo_registry_options o = {.size = sizeof(o), .segment_bytes = (size_t)16 << 20};
    const struct kymo_native options = {.max_exemplars = 6, .bucket_factor = 2};
    REQUIRE(kymo_registry_new(&o, &bed.reg) == 0);
    REQUIRE(kymo_counter_new(bed.reg, KYMO_DESC(.name = "c_total", .help = "x", .exemplar_every = 1), &bed.c) == 0);
    REQUIRE(kymo_histogram_new(bed.reg,
                               KYMO_DESC(.name = "h", .help = "x", .exemplar_every = 1,
                                         .native = native ? &options : NULL, BED_BOUNDS),
                               &bed.h) == 0);
    checked = 0;
}

/* ---- threads ---- */

static _Atomic int stop;

static void *record_until_stop(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    for (unsigned i = 0; !atomic_load(&stop) || i < 1000; i++)
        record_whole(random_next(&random) % 1000000000, (int)(i & 1));
    return NULL;
}

static void threads_write_the_same_records(int native)
{
    enum { THREADS = 3 };
    pthread_t threads[THREADS];
    whole_bed(native);
    atomic_store(&stop, 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, record_until_stop, (void *)(i * 77 + 5)) == 0);
    for (unsigned i = 0; i < (test_long() ? 200000u : 4000u); i++)
        all_must_be_whole();
    atomic_store(&stop, 1);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    uint64_t n = checked;
    all_must_be_whole();
    CHECK(checked >= n + 3); /* now that nobody writes all can be seen */
    printf("exemplars, %d threads%s: %" PRIu64 " read whole, %" PRIu64 " dropped as busy\n", THREADS,
           native ? ", native" : "", checked, refusals(bed.h, KYMO__EXEMPLAR_BUSY));
    kymo_registry_free(bed.reg);
}

static void test_threads_that_meet_leave_whole_exemplars(void)
{
    threads_write_the_same_records(0);
    threads_write_the_same_records(1);
}

/* ---- handlers, also such that jump ---- */

static sigjmp_buf out;
static volatile sig_atomic_t may_jump;
static volatile uint64_t handled, jumps;

static void record_in_handler(int signal_number)
{
    (void)signal_number;
    record_whole(500000000 + handled, handled & 1);
    handled++;
    if (may_jump) {
        may_jump = 0;
        jumps++;
        siglongjmp(out, 1);
    }
}

static void alarms(long every_us)
{
    const struct itimerval often = {{0, every_us}, {0, every_us}};
    REQUIRE(setitimer(ITIMER_REAL, &often, NULL) == 0);
}

static void handlers_write_on_top(int jumping)
{
    struct sigaction action;
    static volatile uint64_t n;
    static uint64_t until;
    until = test_long() ? 60000 : 4000;
    n = handled = jumps = 0;
    whole_bed(jumping); /* the native one is jumped out of */
    memset(&action, 0, sizeof(action));
    action.sa_handler = record_in_handler;
    REQUIRE(sigaction(SIGALRM, &action, NULL) == 0);
    alarms(61);
    while (handled < until) {
        if (sigsetjmp(out, 1) == 0) {
            may_jump = jumping;
            for (unsigned i = 0; i < 40; i++)
                record_whole(n++ % 400000000, 1);
        }
        may_jump = 0;
        if (n % 8 == 0) {
            kymo_thread_detach();
            CHECK_INT(kymo_thread_attach(bed.reg), 0);
        }
        all_must_be_whole();
    }
    alarms(0);
    CHECK(checked > 100);
    CHECK(refusals(bed.h, KYMO__EXEMPLAR_BUSY) > 0);
    CHECK(!jumping || jumps > 20);
    uint64_t before = checked;
    for (unsigned i = 0; i < 100 * KYMO__EXEMPLAR_PATIENCE; i++)
        record_whole(i, 1); /* every claim that was jumped out of is taken over by now */
    all_must_be_whole();
    CHECK(checked >= before + (jumping ? 4 + 6 : 4));
    printf("exemplars, handlers%s: %" PRIu64 " handlers, %" PRIu64 " jumps, %" PRIu64 " read whole, %" PRIu64
           " dropped as busy\n",
           jumping ? " that jump" : "", handled, jumps, checked, refusals(bed.h, KYMO__EXEMPLAR_BUSY));
    kymo_registry_free(bed.reg);
}

static void test_a_handler_on_top_of_a_write_leaves_both_whole_or_dropped(void)
{
    handlers_write_on_top(0);
    handlers_write_on_top(1);
}

/* ---- processes ---- */

static void child_must_be_well(pid_t pid)
{
    int status = -1;
    REQUIRE(waitpid(pid, &status, 0) == pid);
    CHECK_INT(status, 0);
}

/* A child has a copy of the exemplars, also of a claim whose owner it does not have; zeroed if it wants its values at 0. */
static void test_a_child_has_a_copy_and_is_not_kept_from_it(void)
{
    for (int zero = 0; zero < 2; zero++) {
        bed_make(1);
        inc_with("k", "parent");
        REQUIRE(kymo__exemplar_claim(&block_of(bed.c)->classic[0].claim) != 0);
        fflush(NULL);
        pid_t pid = fork();
        REQUIRE(pid >= 0);
        if (pid == 0) {
            test_failures = 0;
            CHECK_INT(kymo_after_fork_child(zero ? KYMO_FORK_ZERO : KYMO_FORK_KEEP), 0);
            CHECK_U64(look(bed.reg, "c_total")->n, zero ? 0 : 1);
            for (unsigned i = 0; i <= KYMO__EXEMPLAR_PATIENCE; i++)
                inc_with("k", "child");
            CHECK_STRING(look(bed.reg, "c_total")->text[0], "k=\"child\"");
            _exit(test_failures != 0);
        }
        child_must_be_well(pid);
        CHECK_STRING(look(bed.reg, "c_total")->text[0], "k=\"parent\"");
        kymo_registry_free(bed.reg);
    }
}

/* The same bytes at the same place, in pages that children share; all usable, since mprotect() is a process's own. */
static void segment_share(struct kymo_registry *reg)
{
    struct kymo__segment *s = reg->segment;
    size_t used = (size_t)s->committed_bytes, all = (size_t)s->reserved_bytes;
    char *kept = malloc(used);
    REQUIRE(kept != NULL);
    memcpy(kept, s, used);
    void *at = mmap(s, all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    REQUIRE(at == (void *)s);
    memcpy(s, kept, used);
    s->committed_bytes = all;
    free(kept);
}

static void test_killed_writers_leave_whole_exemplars(void)
{
    uint64_t random = 2463534242u;
    unsigned kills = test_long() ? 3000 : 150;
    uint64_t claimed = 0;
    whole_bed(1);
    kymo_thread_detach();
    segment_share(bed.reg);
    const struct kymo__exemplar_store *store =
        kymo__exemplar_store_of(((struct kymo__cell *)(void *)bed.h)->family, block_of(bed.h));
    for (unsigned i = 0; i < kills || (claimed == 0 && i < 20 * kills); i++) {
        uint64_t first = random_next(&random);
        fflush(NULL);
        pid_t pid = fork();
        REQUIRE(pid >= 0);
        if (pid == 0) {
            alarm(60);
            for (uint64_t k = 0;; k++)
                record_whole((first + k) % 1000000000, (int)(k & 1));
        }
        for (uint64_t looks = random_next(&random) % 8; looks > 0; looks--)
            all_must_be_whole();
        usleep((useconds_t)(random_next(&random) % 300));
        REQUIRE(kill(pid, SIGKILL) == 0);
        REQUIRE(waitpid(pid, NULL, 0) == pid);
        for (unsigned k = 0; k < 4; k++)
            claimed += block_of(bed.h)->classic[k].claim & 1;
        claimed += store->claim & 1;
        all_must_be_whole();
    }
    for (unsigned i = 0; i < 100 * KYMO__EXEMPLAR_PATIENCE; i++)
        record_whole(i, 0); /* what the dead still claim is taken over */
    uint64_t before = checked;
    all_must_be_whole();
    CHECK_U64(checked - before, 4 + 6 + 1);
    printf("exemplars: %u kills, records found claimed %" PRIu64 " times, %" PRIu64 " read whole\n", kills, claimed,
           checked);
    CHECK(claimed > 0);
    kymo_registry_free(bed.reg);
}

/* ---- the store of a native histogram ---- */

static void test_logarithms_are_good_to_the_last_bit_but_one(void)
{
    uint64_t random = 1234567;
    for (int i = 0; i < 200000; i++) {
        double v = fabs(kymo__double(random_next(&random))), want = log(v), have = kymo__exemplar_ln(v);
        if (!(v == v))
            continue;
        CHECK(have == want || fabs(have - want) <= nextafter(fabs(want), (double)INFINITY) - fabs(want));
    }
    CHECK(kymo__exemplar_ln(0) == -(double)INFINITY && kymo__exemplar_ln(-0.0) == -(double)INFINITY);
    CHECK(kymo__exemplar_ln((double)INFINITY) == (double)INFINITY && isnan(kymo__exemplar_ln(-1)));
    CHECK_DOUBLE(kymo__exemplar_ln(1), 0);
}

struct model {
    struct {
        double v;
        int64_t t;
    } is[65];
    int n, cap;
    int64_t ttl;
};

static void model_remove(struct model *m, int i)
{
    memmove(&m->is[i], &m->is[i + 1], (size_t)(m->n - i - 1) * sizeof(m->is[0]));
    m->n--;
}

static void model_insert(struct model *m, int i, double v, int64_t t)
{
    memmove(&m->is[i + 1], &m->is[i], (size_t)(m->n - i) * sizeof(m->is[0]));
    m->is[i].v = v;
    m->is[i].t = t;
    m->n++;
}

static double gap(double a, double b)
{
    return fabs(kymo__exemplar_ln(a) - kymo__exemplar_ln(b));
}

/* Of those that are there, who goes for a new one that would stand before index `at`. */
static int model_victim(const struct model *m, int at, double v, int64_t t)
{
    int oldest = 0, victim = 0;
    double closest = 0;
    for (int i = 1; i < m->n; i++) {
        if (m->is[i].t < m->is[oldest].t)
            oldest = i;
        if (i == 1 || gap(m->is[i].v, m->is[i - 1].v) < closest) {
            closest = gap(m->is[i].v, m->is[i - 1].v);
            victim = m->is[i].t < m->is[i - 1].t ? i : i - 1;
        }
    }
    if (m->n == 1 || t - m->is[oldest].t > m->ttl)
        return oldest;
    if (at > 0 && gap(v, m->is[at - 1].v) < closest) {
        closest = gap(v, m->is[at - 1].v);
        victim = at - 1;
    }
    return at < m->n && gap(m->is[at].v, v) < closest ? at : victim;
}

static void model_keep(struct model *m, double v, int64_t t)
{
    int at = 0, full = m->n == m->cap;
    while (at < m->n && (full ? m->is[at].v < v : m->is[at].v <= v))
        at++;
    if (full) {
        int victim = model_victim(m, at, v, t);
        model_remove(m, victim);
        at -= victim < at;
    }
    model_insert(m, at, v, t);
}

/* Values that are often equal, equally far apart, or have no distance at all. */
static double model_value(uint64_t *random)
{
    uint64_t r = random_next(random);
    switch (r % 8) {
    case 0:
        return 0;
    case 1:
        return -(double)(r >> 8 & 3);
    case 2:
        return (r >> 9) % 16 ? 3 : (double)INFINITY;
    case 3:
    case 4:
        return ldexp(1, (int)(r >> 8 & 15));
    default:
        return (double)(r >> 20) / 1e9;
    }
}

static void follow_model(uint32_t cap, int64_t ttl, uint64_t seed, unsigned steps)
{
    struct model m = {.cap = (int)cap, .ttl = ttl == 0 ? (int64_t)300 * 1000000000 : ttl};
    const struct kymo_native options = {.max_exemplars = cap, .exemplar_ttl_ns = ttl};
    int64_t now = 1000000;
    bed_make(1);
    REQUIRE(kymo_histogram_new(bed.reg, KYMO_DESC(.name = "n", .help = "x", .exemplar_every = 1, .native = &options),
                               &bed.h) == 0);
    for (unsigned i = 0; i < steps; i++) {
        double v = model_value(&seed);
        now += (int64_t)(random_next(&seed) % 5) - 1;
        const struct kymo_exemplar ex = {NULL, 0, now};
        kymo_histogram_observe_exemplar(bed.h, v, &ex);
        model_keep(&m, v, now);
        const struct seen *seen = look(bed.reg, "n");
        CHECK_U64(seen->n_native, (uint64_t)m.n);
        for (size_t k = 0; k < seen->n_native; k++) {
            CHECK_DOUBLE(seen->native[k].value, m.is[k].v);
            CHECK(seen->native[k].timestamp_ns == m.is[k].t);
        }
        if (test_failures > 10)
            break;
    }
    kymo_registry_free(bed.reg);
}

static void test_the_store_follows_its_model(void)
{
    static const uint32_t caps[] = {1, 2, 3, 4, 10, 64};
    static const int64_t ttls[] = {0, -1, 1, 7, 40};
    for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++)
        for (size_t k = 0; k < sizeof(ttls) / sizeof(ttls[0]); k++)
            follow_model(caps[i], ttls[k], 17 * i + k + 1, test_long() ? 20000 : 500);
}

static void test_the_store_begins_anew_after_its_ranks_were_torn(void)
{
    const struct kymo_native options = {.max_exemplars = 4};
    const struct kymo_exemplar ex = {NULL, 0, 7};
    bed_make(1);
    REQUIRE(kymo_histogram_new(bed.reg, KYMO_DESC(.name = "n", .help = "x", .exemplar_every = 1, .native = &options),
                               &bed.h) == 0);
    const struct kymo__family *f = ((struct kymo__cell *)(void *)bed.h)->family;
    struct kymo__exemplar_store *store = kymo__exemplar_store_of(f, block_of(bed.h));
    for (int i = 0; i < 4; i++)
        kymo_histogram_observe_exemplar(bed.h, 1 << i, &ex);
    CHECK_U64(look(bed.reg, "n")->n_native, 4);
    store->rank[2].record = store->rank[1].record;
    CHECK_U64(look(bed.reg, "n")->n_native, 3);
    store->rank[2].record = UINT64_MAX;
    store->n = 77;
    CHECK_U64(look(bed.reg, "n")->n_native, 3);
    kymo_histogram_observe_exemplar(bed.h, 5, &ex);
    const struct seen *seen = look(bed.reg, "n");
    CHECK_U64(seen->n_native, 1);
    CHECK_DOUBLE(seen->native[0].value, 5);
    for (int i = 4; i >= 2; i--)
        kymo_histogram_observe_exemplar(bed.h, i, &ex);
    store->rank[0].record = store->rank[1].record; /* a gap among the ranks, none among the records before the last */
    CHECK_U64(look(bed.reg, "n")->n_native, 3);
    kymo_histogram_observe_exemplar(bed.h, 6, &ex);
    CHECK_U64(look(bed.reg, "n")->n_native, 1);
    kymo_registry_free(bed.reg);
}

/* ---- memory ---- */

static size_t segment_used(void)
{
    struct kymo_registry_stats stats = {.size = sizeof(stats)};
    CHECK_INT(kymo_registry_get_stats(bed.reg, &stats), 0);
    return stats.segment_used_bytes;
}

static void test_a_block_serves_another_series_and_is_empty_then(void)
{
    size_t used = 0;
    bed_make(1);
    for (int i = 0; i < 300; i++) {
        uint32_t before = kymo__ref(bed.reg->segment, block_of(bed.c));
        inc_with("k", "gone");
        CHECK_INT(kymo_registry_unregister(bed.reg, "c_total"), 0);
        inc_with("k", "late");
        CHECK_INT(kymo_counter_new(bed.reg, KYMO_DESC(.name = "c_total", .help = "x", .exemplar_every = 1), &bed.c), 0);
        CHECK_U64(kymo__ref(bed.reg->segment, block_of(bed.c)), before);
        CHECK_U64(look(bed.reg, "c_total")->n, 0);
        if (i == 1)
            used = segment_used();
    }
    CHECK(segment_used() <= used + 256 * 1024);
    CHECK_U64(refused(bed.reg, "c_total", "unregistered"), 300);
    kymo_registry_free(bed.reg);
}

static void test_each_failing_allocation_leaves_nothing(void)
{
    static struct heap heap = HEAP_INIT;
    const struct kymo_allocator allocator = {sizeof(allocator), &heap, heap_alloc, heap_free};
    struct kymo_registry_options o = {.size = sizeof(o), .allocator = &allocator};
    const struct kymo_exemplar ex = {NULL, 0, 7};
    for (size_t n = 1, failed = 1; failed != 0; n++) {
        struct kymo_registry *reg;
        struct kymo_histogram *h;
        static struct seen seen;
        const struct kymo_visitor visitor = {sizeof(visitor), &seen, NULL, see, NULL};
        REQUIRE(n < 1000 && kymo_registry_new(&o, &reg) == 0);
        memset(&seen, 0, sizeof(seen));
        seen.family = "h";
        heap_arm(&heap, n, 1);
        int r = kymo_histogram_new(reg, KYMO_DESC(.name = "h", .help = "x", .exemplar_every = 1, BED_BOUNDS), &h);
        kymo_histogram_observe_exemplar(h, 1, &ex);
        if (r == 0)
            r = kymo_registry_visit(reg, &visitor);
        failed = heap.failed;
        heap_arm(&heap, 0, 0);
        CHECK(r == 0 || r == KYMO_ENOMEM);
        CHECK(r != 0 || failed != 0 || seen.n == 1);
        kymo_registry_free(reg);
        heap_must_be_empty(&heap);
    }
}

/*
 * The smallest segment, filled with blocks: who finds no room shares the overflow series, which has a block of its own;
 * that costs no memory, and what is there works.
 */
static void test_a_full_segment_is_an_overflow_and_no_more(void)
{
    struct kymo_registry_options o = {.size = sizeof(o), .segment_bytes = (size_t)1 << 20};
    struct kymo_histogram_family *f;
    struct kymo_histogram *first, *h, *last = NULL;
    const struct kymo_exemplar ex = {NULL, 0, 7};
    char value[16];
    unsigned n = 0;
    REQUIRE(kymo_registry_new(&o, &bed.reg) == 0);
    REQUIRE(kymo_histogram_family_new(bed.reg,
                                      KYMO_DESC(.name = "h", .help = "x", .exemplar_every = 1, KYMO_LABELS("i"),
                                                BED_BOUNDS, KYMO_GUARD(.max_series = 10000)),
                                      &f) == 0);
    first = h = kymo_histogram_with(f, KYMO_VALUES("first"));
    REQUIRE(first != NULL);
    for (; h != last && n < 10000; n++) {
        (void)snprintf(value, sizeof(value), "%u", n);
        last = h;
        h = kymo_histogram_with(f, KYMO_VALUES(value));
        REQUIRE(h != NULL);
    }
    CHECK(h == last && h != first && n > 100 && n < 5000);
    size_t used = segment_used();
    for (int i = 0; i < 50; i++)
        CHECK(kymo_histogram_with(f, KYMO_VALUES("one more")) == h);
    CHECK_U64(segment_used(), used);
    CHECK_DOUBLE(page_labelled(bed.reg, "kymo_series", "family", "h"), n - 1); /* and the first, but not the last two */
    kymo_histogram_observe_exemplar(first, 1, &ex);
    CHECK_U64(block_of(first)->classic[0].claim >> 16, 1);
    kymo_histogram_observe_exemplar(h, 1, &ex);
    CHECK_DOUBLE(page_labelled(bed.reg, "h_count", "i", "__other__"), 1);
    CHECK_DOUBLE(page_labelled(bed.reg, "kymo_series_dropped_total", "family", "h"), 1);
    CHECK_U64(refused(bed.reg, "h", "memory"), 0);
    CHECK_U64(look(bed.reg, "h")->n, 1); /* its exemplar: it is the last on the page */
    kymo_registry_free(bed.reg);
}

TEST_MAIN(TEST(test_an_exemplar_is_kept_as_it_was_given), TEST(test_a_histogram_keeps_the_last_one_of_each_bucket),
          TEST(test_without_exemplars_the_recording_is_the_same), TEST(test_names_must_be_legal_and_differ),
          TEST(test_128_characters_are_the_limit_and_a_record_s_room),
          TEST(test_128_characters_may_be_spread_over_labels), TEST(test_values_must_be_utf8),
          TEST(test_one_in_n_is_considered_whatever_rhythm_they_come_in),
          TEST(test_each_bucket_is_sampled_by_its_own_count), TEST(test_fractions_and_the_last_bucket_are_sampled),
          TEST(test_the_shared_store_samples_by_its_pairs), TEST(test_a_claim_that_is_never_given_back_is_taken_over),
          TEST(test_a_late_writer_spoils_at_most_itself), TEST(test_what_cannot_be_an_exemplar_is_passed_over),
          TEST(test_threads_that_meet_leave_whole_exemplars),
          TEST(test_a_handler_on_top_of_a_write_leaves_both_whole_or_dropped),
          TEST(test_a_child_has_a_copy_and_is_not_kept_from_it), TEST(test_killed_writers_leave_whole_exemplars),
          TEST(test_logarithms_are_good_to_the_last_bit_but_one), TEST(test_the_store_follows_its_model),
          TEST(test_the_store_begins_anew_after_its_ranks_were_torn),
          TEST(test_a_block_serves_another_series_and_is_empty_then), TEST(test_each_failing_allocation_leaves_nothing),
          TEST(test_a_full_segment_is_an_overflow_and_no_more))
