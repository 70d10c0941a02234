/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_faults.c - whatever fails, fails by name, leaves nothing behind and costs no recording.
 *
 * How: each scenario is run with its first request for memory failing, then its second, and so on until it passes
 * untouched; once with that one request failing, once with all after it as well. The heap fails through struct
 * kymo_allocator; the system through mmap(), mprotect() and madvise() below, which stand in for libc's because the
 * library is linked into this program. A segment fills up by its smallest size. After each failure the page is compared
 * with the one before, and the same call must succeed once memory is back. tests/page.h has the counting allocator.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "page.h"

/* ---- a system that refuses ---- */

enum { OS_MMAP = 1, OS_MPROTECT = 2, OS_MADVISE = 4, OS_ALL = 7 };

static struct {
    unsigned kinds; /* which calls count */
    size_t calls, fail_at, failed;
    int onwards;
} os;

static void os_arm(unsigned kinds, size_t fail_at, int onwards)
{
    __atomic_store_n(&os.kinds, 0, __ATOMIC_SEQ_CST);
    os.calls = os.failed = 0;
    os.fail_at = fail_at;
    os.onwards = onwards;
    __atomic_store_n(&os.kinds, kinds, __ATOMIC_SEQ_CST);
}

static int os_fails(unsigned kind)
{
    if (!(__atomic_load_n(&os.kinds, __ATOMIC_SEQ_CST) & kind))
        return 0;
    size_t call = __atomic_add_fetch(&os.calls, 1, __ATOMIC_SEQ_CST);
    int fails = call == os.fail_at || (os.onwards && call > os.fail_at);
    __atomic_add_fetch(&os.failed, (size_t)fails, __ATOMIC_SEQ_CST);
    return fails;
}

void *mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
    if (os_fails(OS_MMAP)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
#ifdef SYS_mmap2
    return (void *)syscall(SYS_mmap2, at, bytes, prot, flags, fd, offset / 4096);
#else
    return (void *)syscall(SYS_mmap, at, bytes, prot, flags, fd, offset);
#endif
}

int mprotect(void *at, size_t bytes, int prot)
{
    if (os_fails(OS_MPROTECT)) {
        errno = ENOMEM;
        return -1;
    }
    return (int)syscall(SYS_mprotect, at, bytes, prot);
}

int madvise(void *at, size_t bytes, int advice)
{
    if (os_fails(OS_MADVISE)) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_madvise, at, bytes, advice);
}

/* ---- a registry with something in it ---- */

static struct heap heap = HEAP_INIT;

struct bed {
    struct kymo_registry *reg;
    struct kymo_counter *plain, *labelled;
    struct kymo_histogram *sizes;
    struct kymo_gauge *depth, *level;
};

/* What steps below need of the bed they run in. */
static struct kymo_counter_family *empty_family;
static struct kymo_histogram_family *wide_family;
static double wide_bounds[500];

/* More than fit anywhere here: it is memory that ends first. */
enum { MANY_SERIES = 100000 };

static int bare_new(struct kymo_registry **reg)
{
    static const struct kymo_label labels[] = {{"site", "a\"b"}, {"zone", ""}};
    const struct kymo_allocator allocator = {sizeof(allocator), &heap, heap_alloc, heap_free};
    struct kymo_registry_options o;
    memset(&o, 0, sizeof(o));
    o.size = sizeof(o);
    o.allocator = &allocator;
    o.prefix = "pre_";
    o.const_labels = labels;
    o.n_const_labels = 2;
    o.max_series = MANY_SERIES;
    return kymo_registry_new(&o, reg);
}

/* Registers what a bed holds; the first error, which leaves NULL handles, or 0. */
static int bed_fill(struct bed *bed)
{
    struct kymo_counter_family *f;
    int r[7];
    r[0] = kymo_counter_new(bed->reg, KYMO_DESC(.name = "plain_total", .help = "Plain."), &bed->plain);
    r[1] = kymo_counter_family_new(bed->reg, KYMO_DESC(.name = "l_total", .help = "By a.", KYMO_LABELS("a")), &f);
    r[2] =
        kymo_histogram_new(bed->reg, KYMO_DESC(.name = "size_bytes", .help = "Sizes.", .unit = "bytes"), &bed->sizes);
    r[3] = kymo_gauge_new(bed->reg, KYMO_DESC(.name = "depth", .help = "Depth.", .gauge_mode = KYMO_GAUGE_UPDOWN),
                          &bed->depth);
    r[4] = kymo_gauge_new(bed->reg, KYMO_DESC(.name = "level", .help = "Level."), &bed->level);
    r[5] = kymo_counter_family_new(bed->reg, KYMO_DESC(.name = "e_total", .help = "Empty.", KYMO_LABELS("a", "b")),
                                   &empty_family);
    r[6] = kymo_histogram_family_new(
        bed->reg, KYMO_DESC(.name = "wide", .help = "Wide.", .bounds = wide_bounds, .n_bounds = 500, KYMO_LABELS("i")),
        &wide_family);
    bed->labelled = kymo_counter_with(f, KYMO_VALUES("x\ny"));
    for (int i = 0; i < 7; i++)
        if (r[i] != 0)
            return r[i];
    return bed->labelled != NULL ? 0 : KYMO_ENOMEM;
}

static void bed_record(const struct bed *bed)
{
    kymo_counter_inc(bed->plain);
    kymo_counter_add(bed->plain, 0.5);
    kymo_counter_add_int(bed->labelled, 7);
    kymo_histogram_observe(bed->sizes, 0.07);
    kymo_gauge_sub(bed->depth, 2);
    kymo_gauge_set(bed->level, 3.25);
}

static void bed_make(struct bed *bed)
{
    memset(bed, 0, sizeof(*bed));
    REQUIRE(bare_new(&bed->reg) == 0);
    REQUIRE(bed_fill(bed) == 0);
    bed_record(bed);
}

static void bed_end(struct bed *bed)
{
    kymo_registry_free(bed->reg);
    heap_must_be_empty(&heap);
    memset(bed, 0, sizeof(*bed));
}

/* ---- steps: one call each, or a few ---- */

static int step_counter(struct kymo_registry *reg)
{
    struct kymo_counter *c;
    int r = kymo_counter_new(reg, KYMO_DESC(.name = "new_total", .help = "New."), &c);
    CHECK((c != NULL) == (r == 0));
    return r;
}

static int step_gauge(struct kymo_registry *reg)
{
    struct kymo_gauge *g;
    int r = kymo_gauge_new(reg, KYMO_DESC(.name = "new_celsius", .help = "New.", .unit = "celsius"), &g);
    CHECK((g != NULL) == (r == 0));
    return r;
}

static int step_histogram(struct kymo_registry *reg)
{
    struct kymo_histogram *h;
    int r = kymo_histogram_new(reg, KYMO_DESC(.name = "new_seconds", .help = "New.", KYMO_BOUNDS(1, 2, 3)), &h);
    CHECK((h != NULL) == (r == 0));
    return r;
}

static int step_wide_histogram(struct kymo_registry *reg)
{
    struct kymo_histogram *h;
    return kymo_histogram_new(
        reg, KYMO_DESC(.name = "new_wide", .help = "New.", .bounds = wide_bounds, .n_bounds = 500), &h);
}

static int step_counter_family(struct kymo_registry *reg)
{
    struct kymo_counter_family *f;
    int r = kymo_counter_family_new(reg, KYMO_DESC(.name = "new_total", .help = "New.", KYMO_LABELS("a", "b")), &f);
    CHECK((f != NULL) == (r == 0));
    return r;
}

static int step_gauge_family(struct kymo_registry *reg)
{
    struct kymo_gauge_family *f;
    int r = kymo_gauge_family_new(reg, KYMO_DESC(.name = "new", .help = "New.", KYMO_LABELS("a")), &f);
    CHECK((f != NULL) == (r == 0));
    return r;
}

static int step_histogram_family(struct kymo_registry *reg)
{
    static const struct kymo_alias aliases[] = {{"old_seconds", "2027-03"}, {"older_seconds", NULL}};
    struct kymo_histogram_family *f;
    int r = kymo_histogram_family_new(reg,
                                      KYMO_DESC(.name = "new_seconds", .help = "New.", .unit = "seconds",
                                                KYMO_LABELS("a"), .aliases = aliases, .n_aliases = 2),
                                      &f);
    CHECK((f != NULL) == (r == 0));
    return r;
}

static int step_with(struct kymo_registry *reg)
{
    (void)reg;
    return kymo_counter_with(empty_family, KYMO_VALUES("x", "y")) != NULL ? 0 : KYMO_ENOMEM;
}

/* Enough series of a column each that the list of columns must grow; and texts that fill the segment's runs. */
static int step_many_series(struct kymo_registry *reg)
{
    char value[400];
    (void)reg;
    for (int i = 0; i < 40; i++) {
        (void)snprintf(value, sizeof(value), "%0*d", i * 9 + 1, i);
        if (kymo_histogram_with(wide_family, KYMO_VALUES(value)) == NULL)
            return KYMO_ENOMEM;
    }
    for (int i = 0; i < 300; i++) {
        (void)snprintf(value, sizeof(value), "%0350d", i);
        if (kymo_counter_with(empty_family, KYMO_VALUES(value, "y")) == NULL)
            return KYMO_ENOMEM;
    }
    return 0;
}

static double one(void *ctx)
{
    (void)ctx;
    return 1;
}

static int step_callback(struct kymo_registry *reg)
{
    return kymo_gauge_callback(reg, KYMO_DESC(.name = "new", .help = "New."), one, NULL);
}

static int collect_two(void *ctx, struct kymo_visit *visit)
{
    static const char *const values[] = {"v\"1", "2"};
    static const double bounds[] = {1, 2};
    static const uint64_t buckets[] = {1, 2, 3};
    struct kymo_point point;
    (void)ctx;
    memset(&point, 0, sizeof(point));
    point.size = sizeof(point);
    point.values = values;
    point.value.gauge = 4;
    int r = kymo_collect(visit, 0, &point);
    point.values = NULL;
    point.value.histogram = (struct kymo_histogram_point){6, 9, bounds, 2, buckets, NULL};
    return r != 0 ? r : kymo_collect(visit, 1, &point);
}

static int step_collector(struct kymo_registry *reg)
{
    static const char *const labels[] = {"a", "b"};
    static const struct kymo_desc descs[] = {
        {.size = sizeof(struct kymo_desc), .name = "seen", .help = "Seen.", .labels = labels, .n_labels = 2},
        {.size = sizeof(struct kymo_desc), .name = "seen_seconds", .help = "Seen.", .unit = "seconds"},
    };
    static const enum kymo_kind kinds[] = {KYMO_GAUGE, KYMO_HISTOGRAM};
    static const struct kymo_collector_ops ops = {
        sizeof(ops), "two", descs, kinds, 2, collect_two, NULL,
    };
    struct kymo_collector *c;
    int r = kymo_collector_attach(reg, &ops, NULL, &c);
    CHECK((c != NULL) == (r == 0));
    return r;
}

static int step_attach(struct kymo_registry *reg)
{
    return kymo_thread_attach(reg);
}

/* The text before the failure, for steps that write a page of their own. */
static const char *own_before;

static int step_write(struct kymo_registry *reg)
{
    struct page p;
    int r = page_write(reg, &p);
    if (r == 0) {
        page_must_parse(&p);
        page_keep_own(&p);
        CHECK_STRING(p.text, own_before);
    }
    page_free(&p);
    return r;
}

static int step_read(struct kymo_registry *reg)
{
    struct kymo_scrape *s;
    char bytes[100];
    size_t n = 1;
    int r = kymo_scrape_new(reg, kymo_format_find("text"), &s);
    CHECK((s != NULL) == (r == 0));
    while (r == 0 && n != 0)
        r = kymo_scrape_read(s, bytes, sizeof(bytes), &n);
    kymo_scrape_free(s);
    return r;
}

static int ignore_sample(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    (void)family;
    (void)point;
    ++*(size_t *)ctx;
    return 0;
}

static int step_visit(struct kymo_registry *reg)
{
    size_t seen = 0;
    const struct kymo_visitor visitor = {sizeof(visitor), &seen, NULL, ignore_sample, NULL};
    int r = kymo_registry_visit(reg, &visitor);
    CHECK(r != 0 || seen >= 5);
    return r;
}

static int step_sweep(struct kymo_registry *reg)
{
    return kymo_registry_sweep(reg, 0);
}

struct step {
    const char *name;
    int (*run)(struct kymo_registry *reg);
    int may_pass; /* goes on with less: a collector is left out, a thread stays in the shared store */
    int partial;  /* several changes, of which some may have been made */
};

static const struct step steps[] = {
    {"counter", step_counter, 1, 0}, /* may pass: the handle's thread stays in the shared store */
    {"gauge", step_gauge, 1, 0},
    {"histogram", step_histogram, 1, 0},
    {"wide histogram", step_wide_histogram, 1, 0},
    {"counter family", step_counter_family, 0, 0},
    {"gauge family", step_gauge_family, 0, 0},
    {"histogram family", step_histogram_family, 0, 0},
    {"with", step_with, 1, 0},
    {"many series", step_many_series, 1, 1},
    {"callback", step_callback, 0, 0},
    {"collector", step_collector, 0, 0},
    {"attach", step_attach, 0, 0},
    {"write", step_write, 1, 0},
    {"read", step_read, 1, 0},
    {"visit", step_visit, 1, 0},
    {"sweep", step_sweep, 1, 0},
};
#define N_STEPS (sizeof(steps) / sizeof(steps[0]))

static struct kymo_registry_stats stats_of(struct kymo_registry *reg)
{
    struct kymo_registry_stats stats;
    stats.size = sizeof(stats);
    CHECK_INT(kymo_registry_get_stats(reg, &stats), 0);
    return stats;
}

/* After a step failed as it should: nothing is half-built, and it succeeds with memory. */
static void check_after(const struct step *s, struct bed *bed, const struct page *before, int r)
{
    struct page after = page_of_own(bed->reg);
    if (r != 0 && !s->partial)
        CHECK_STRING(after.text, before->text);
    page_free(&after);
    if (r != 0)
        CHECK_INT(s->run(bed->reg), 0);
    after = page_of(bed->reg);
    page_free(&after);
    CHECK_U64(stats_of(bed->reg).heap_bytes, heap.live);
}

/* ---- the heap ---- */

static void fail_heap(const struct step *s, int onwards)
{
    for (size_t n = 1, failed = 1; failed != 0; n++) {
        struct bed bed;
        int before_failures = test_failures;
        bed_make(&bed);
        struct page before = page_of_own(bed.reg);
        own_before = before.text;
        heap_arm(&heap, n, onwards);
        int r = s->run(bed.reg);
        failed = heap.failed;
        heap_arm(&heap, 0, 0);
        if (failed == 0 || (s->may_pass && r == 0))
            CHECK_INT(r, 0);
        else
            CHECK_INT(r, KYMO_ENOMEM);
        check_after(s, &bed, &before, r);
        page_free(&before);
        bed_end(&bed);
        if (test_failures != before_failures)
            fprintf(stderr, "... in step \"%s\", request %zu %s\n", s->name, n, onwards ? "and on" : "alone");
        REQUIRE(n < 1000);
    }
}

static void test_each_failing_allocation_is_an_error_by_name_and_leaves_nothing(void)
{
    for (size_t i = 0; i < N_STEPS; i++) {
        fail_heap(&steps[i], 0);
        fail_heap(&steps[i], 1);
    }
}

static void test_a_call_that_keeps_failing_takes_no_more_memory(void)
{
    for (size_t i = 0; i < N_STEPS; i++) {
        for (size_t n = 1, failed = 1; failed != 0 && !steps[i].partial; n++) {
            struct bed bed;
            struct kymo_registry_stats early = {0}, late;
            bed_make(&bed);
            own_before = NULL;
            struct page before = page_of_own(bed.reg);
            own_before = before.text;
            int r = KYMO_ENOMEM;
            for (int turn = 0; turn < 40 && r != 0; turn++) {
                heap_arm(&heap, n, 1);
                r = steps[i].run(bed.reg);
                failed = heap.failed;
                heap_arm(&heap, 0, 0);
                if (turn == 1)
                    early = stats_of(bed.reg);
            }
            late = stats_of(bed.reg);
            if (r != 0 &&
                (late.heap_bytes != early.heap_bytes || late.segment_used_bytes != early.segment_used_bytes)) {
                fprintf(stderr, "step \"%s\", request %zu: ", steps[i].name, n);
                CHECK_U64(late.heap_bytes, early.heap_bytes);
                CHECK_U64(late.segment_used_bytes, early.segment_used_bytes);
            }
            page_free(&before);
            bed_end(&bed);
        }
    }
}

/* In a registry without columns the first series fails where its column is made known: its words must not be lost. */
static void test_a_column_that_cannot_be_made_known_is_not_lost(void)
{
    for (size_t n = 1, failed = 1; failed != 0; n++) {
        struct kymo_registry *reg;
        size_t used[2] = {0, 0};
        int r = KYMO_ENOMEM;
        REQUIRE(bare_new(&reg) == 0);
        for (int turn = 0; turn < 30 && r != 0; turn++) {
            heap_arm(&heap, n, 1);
            r = step_wide_histogram(reg);
            failed = heap.failed;
            heap_arm(&heap, 0, 0);
            used[turn > 1] = stats_of(reg).segment_used_bytes;
        }
        if (r != 0)
            CHECK_U64(used[1], used[0]);
        kymo_registry_free(reg);
        heap_must_be_empty(&heap);
    }
}

static void test_each_failing_allocation_of_a_new_registry(void)
{
    for (int onwards = 0; onwards < 2; onwards++) {
        for (size_t n = 1, failed = 1; failed != 0; n++) {
            struct kymo_registry *reg = (struct kymo_registry *)&heap;
            heap_arm(&heap, n, onwards);
            int r = bare_new(&reg);
            failed = heap.failed;
            heap_arm(&heap, 0, 0);
            CHECK_INT(r, failed != 0 ? KYMO_ENOMEM : 0);
            CHECK((reg != NULL) == (r == 0));
            if (r != 0)
                heap_must_be_empty(&heap);
            kymo_registry_free(reg);
            heap_must_be_empty(&heap);
            REQUIRE(n < 1000);
        }
    }
}

static void test_a_scrape_short_of_memory_shows_own_series_or_fails(void)
{
    struct bed bed;
    bed_make(&bed);
    CHECK_INT(step_collector(bed.reg), 0);
    struct page whole = page_of_own(bed.reg);
    size_t passed = 0;
    for (size_t n = 1, failed = 1; failed != 0; n++) {
        struct page p;
        heap_arm(&heap, n, 1);
        int r = page_write(bed.reg, &p);
        failed = heap.failed;
        heap_arm(&heap, 0, 0);
        CHECK(r == 0 || r == KYMO_ENOMEM);
        if (r == 0) {
            page_must_parse(&p);
            CHECK_U64(lines_like(p.text, "pre_plain_total{site=\"a\\\"b\",zone=\"\"} 1.5"), 1);
            passed++;
        }
        page_free(&p);
    }
    CHECK(passed > 0);
    struct page again = page_of_own(bed.reg);
    CHECK_STRING(again.text, whole.text);
    page_free(&again);
    page_free(&whole);
    CHECK(page_mentions(bed.reg, "kymo_collector_failures_total{site=\"a\\\"b\",zone=\"\",collector=\"two\"}"));
    bed_end(&bed);
}

/* ---- the system ---- */

/* Runs in a child, where the library has not been used yet; 1 if something failed on purpose, so that there is more. */
static int in_child(int (*run)(const void *arg, size_t n), const void *arg, size_t n)
{
    int status = 0;
    fflush(NULL);
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        test_failures = 0;
        (void)alarm(60); /* what never ends has failed, too */
        int more = run(arg, n);
        fflush(NULL);
        _exit(test_failures != 0 ? 1 : more ? 2 : 0);
    }
    REQUIRE(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) != 1);
    return WIFEXITED(status) && WEXITSTATUS(status) == 2;
}

static int child_first_registry(const void *arg, size_t n)
{
    struct bed bed = {0};
    int onwards = *(const int *)arg;
    os_arm(OS_ALL, n, onwards);
    int r = bare_new(&bed.reg);
    int filled = r == 0 ? bed_fill(&bed) : r;
    size_t failed = os.failed;
    bed_record(&bed);
    os_arm(0, 0, 0);
    CHECK(r == 0 || (r == KYMO_ENOMEM && bed.reg == NULL));
    CHECK(filled == 0 || filled == KYMO_ENOMEM);
    CHECK(failed != 0 || filled == 0);
    if (r == 0 && filled == 0) {
        bed_record(&bed);
        CHECK_DOUBLE(kymo_counter_value(bed.plain), 3.0);
        CHECK_DOUBLE(kymo_counter_value(bed.labelled), 14.0);
        CHECK_U64(kymo_histogram_value(bed.sizes, NULL, NULL, 0), 2);
        CHECK_DOUBLE(kymo_gauge_value(bed.depth), -4.0);
        CHECK_DOUBLE(kymo_gauge_value(bed.level), 3.25);
    }
    if (r == 0) {
        struct page p = page_of(bed.reg);
        page_free(&p);
    }
    kymo_registry_free(bed.reg);
    heap_must_be_empty(&heap);
    bed_make(&bed); /* and now with memory */
    struct page p = page_of_own(bed.reg);
    CHECK_U64(lines_like(p.text, "pre_plain_total{site=\"a\\\"b\",zone=\"\"} 1.5"), 1);
    page_free(&p);
    bed_end(&bed);
    return failed != 0;
}

static void test_the_first_registry_of_a_process_when_the_system_refuses(void)
{
    for (int onwards = 0; onwards < 2; onwards++)
        for (size_t n = 1; in_child(child_first_registry, &onwards, n); n++)
            REQUIRE(n < 1000);
}

/* All keys of the process taken: the real limit, met for real. */
static int child_no_keys(const void *arg, size_t n)
{
    static pthread_key_t keys[4096];
    struct kymo_registry *reg;
    size_t n_keys = 0;
    (void)arg;
    (void)n;
    while (n_keys < 4096 && pthread_key_create(&keys[n_keys], NULL) == 0)
        n_keys++;
    REQUIRE(n_keys < 4096);
    CHECK_INT(bare_new(&reg), KYMO_ESYSTEM);
    CHECK(reg == NULL);
    heap_must_be_empty(&heap);
    while (n_keys > 0)
        (void)pthread_key_delete(keys[--n_keys]);
    CHECK_INT(bare_new(&reg), 0);
    kymo_registry_free(reg);
    heap_must_be_empty(&heap);
    return 0;
}

static void test_a_process_without_keys_is_refused_by_name(void)
{
    (void)in_child(child_no_keys, NULL, 0);
}

struct os_case {
    const struct step *step;
    int onwards;
};

static int child_step(const void *arg, size_t n)
{
    const struct os_case *c = arg;
    struct bed bed;
    bed_make(&bed);
    struct page before = page_of_own(bed.reg);
    own_before = before.text;
    os_arm(OS_ALL, n, c->onwards);
    int r = c->step->run(bed.reg);
    size_t failed = os.failed;
    os_arm(0, 0, 0);
    if (failed == 0 || (c->step->may_pass && r == 0))
        CHECK_INT(r, 0);
    else
        CHECK_INT(r, KYMO_ENOMEM);
    check_after(c->step, &bed, &before, r);
    page_free(&before);
    bed_end(&bed);
    if (test_failures != 0)
        fprintf(stderr, "... in step \"%s\", system call %zu %s\n", c->step->name, n, c->onwards ? "and on" : "alone");
    return failed != 0;
}

static void test_each_refusal_of_the_system_is_an_error_by_name_and_leaves_nothing(void)
{
    for (size_t i = 0; i < N_STEPS; i++) {
        for (int onwards = 0; onwards < 2; onwards++) {
            const struct os_case c = {&steps[i], onwards};
            for (size_t n = 1; in_child(child_step, &c, n); n++)
                REQUIRE(n < 1000);
        }
    }
}

/* ---- recording while there is no memory ---- */

enum { THREADS = 4, RECORDS = 5000 };

static void *record_many(void *arg)
{
    const struct bed *bed = arg;
    for (int i = 0; i < RECORDS; i++) {
        kymo_counter_inc(bed->plain);
        kymo_counter_add(bed->labelled, 0.25);
        kymo_histogram_observe(bed->sizes, 0.07);
        kymo_gauge_inc(bed->depth);
        kymo_gauge_add(bed->level, 1);
    }
    return NULL;
}

static void record_from_threads(struct bed *bed)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, record_many, bed) == 0);
    for (int i = 0; i < THREADS; i++)
        REQUIRE(pthread_join(threads[i], NULL) == 0);
}

static int child_record_in_want(const void *arg, size_t n)
{
    const double all = (double)THREADS * RECORDS;
    struct bed bed;
    (void)arg;
    bed_make(&bed);
    heap_arm(&heap, 1, 1);
    os_arm(OS_MMAP | OS_MPROTECT, 1, 1);
    for (int turn = 0; turn < 3; turn++) {
        record_from_threads(&bed);
        (void)kymo_registry_sweep(bed.reg, 0); /* tries to provide, and cannot */
    }
    (void)n;
    heap_arm(&heap, 0, 0);
    os_arm(0, 0, 0);
    CHECK_U64(refused(bed.reg, "pre_plain_total", "memory"), 0);
    record_from_threads(&bed);
    CHECK_DOUBLE(kymo_counter_value(bed.plain), 1.5 + 4 * all);
    CHECK_DOUBLE(kymo_counter_value(bed.labelled), 7 + all);
    CHECK_U64(kymo_histogram_value(bed.sizes, NULL, NULL, 0), (uint64_t)(1 + 4 * all));
    CHECK_DOUBLE(kymo_gauge_value(bed.depth), -2 + 4 * all);
    CHECK_DOUBLE(kymo_gauge_value(bed.level), 3.25 + 4 * all);
    struct page p = page_of(bed.reg);
    CHECK_U64(lines_like(p.text, "pre_depth{site=\"a\\\"b\",zone=\"\"} 79998"), 1);
    page_free(&p);
    bed_end(&bed);
    return 0;
}

static void test_recordings_all_count_while_memory_is_short(void)
{
    (void)in_child(child_record_in_want, NULL, 0);
}

/* ---- pages that the system will not forget ---- */

static struct kymo_counter_family *numbered(struct kymo_registry *reg, const char *name)
{
    struct kymo_counter_family *f;
    REQUIRE(kymo_counter_family_new(
                reg,
                KYMO_DESC(.name = name, .help = "Numbered.", KYMO_LABELS("i"), KYMO_GUARD(.max_series = MANY_SERIES)),
                &f) == 0);
    return f;
}

static void number_from_to(struct kymo_counter_family *f, int from, int to)
{
    char value[16];
    for (int i = from; i < to; i++) {
        (void)snprintf(value, sizeof(value), "%d", i);
        kymo_counter_family_inc(f, KYMO_VALUES(value));
    }
}

/*
 * A table that was outgrown is used again by the next family of that size. Where its pages are locked, the system
 * refuses to drop them, and the old entries must not come back.
 */
static int child_no_discard(const void *arg, size_t n)
{
    struct kymo_registry *reg;
    (void)arg;
    (void)n;
    REQUIRE(bare_new(&reg) == 0);
    os_arm(OS_MADVISE, 1, 1);
    struct kymo_counter_family *a = numbered(reg, "a_total"), *b = numbered(reg, "b_total");
    number_from_to(a, 0, 20000);
    CHECK_INT(kymo_registry_sweep(reg, 0), 0);
    number_from_to(b, 0, 20000);
    os_arm(0, 0, 0);
    struct page p = page_of(reg);
    size_t found[2] = {0, 0};
    for (const char *at = p.text; *at != '\0'; at = strchr(at, '\n') + 1) {
        found[0] += strncmp(at, "pre_a_total{", 12) == 0;
        found[1] += strncmp(at, "pre_b_total{", 12) == 0;
    }
    CHECK_U64(found[0], 20000);
    CHECK_U64(found[1], 20000);
    page_free(&p);
    kymo_registry_free(reg);
    heap_must_be_empty(&heap);
    return 0;
}

static void test_a_table_used_again_is_empty_even_if_pages_are_locked(void)
{
    (void)in_child(child_no_discard, NULL, 0);
}

/* ---- a full segment ---- */

static struct kymo_registry *smallest(struct log_book *book)
{
    const struct kymo_allocator allocator = {sizeof(allocator), &heap, heap_alloc, heap_free};
    struct kymo_registry_options o;
    struct kymo_registry *reg;
    memset(&o, 0, sizeof(o));
    o.size = sizeof(o);
    o.allocator = &allocator;
    o.segment_bytes = 1024 * 1024;
    o.max_series = MANY_SERIES;
    o.log = log_note;
    o.log_ctx = book;
    REQUIRE(kymo_registry_new(&o, &reg) == 0);
    return reg;
}

/* Makes series until one finds no room; how many have theirs. The handle after the last one is the overflow's. */
static size_t fill_up(struct kymo_registry *reg, struct kymo_counter_family *f, struct kymo_counter **handles)
{
    char value[128];
    for (size_t n = 0; n < MANY_SERIES; n++) {
        (void)snprintf(value, sizeof(value), "%0100zu", n);
        handles[n] = kymo_counter_with(f, KYMO_VALUES(value));
        REQUIRE(handles[n] != NULL);
        if (stats_of(reg).n_series == n)
            return n;
        kymo_counter_inc(handles[n]);
        if (n % 500 == 0) {
            struct page p = page_of(reg);
            page_free(&p);
        }
    }
    return MANY_SERIES;
}

/* A hundred label sets more have one handle together, of which all that is recorded is counted, and take no memory. */
static void overflow_further(struct kymo_registry *reg, struct kymo_counter_family *f, struct kymo_counter *overflow)
{
    char value[128];
    CHECK(page_labelled(reg, "n_total", "i", "__other__") == -1); /* nothing was recorded there yet */
    CHECK_DOUBLE(page_labelled(reg, "kymo_series_dropped_total", "family", "n_total"), 0);
    size_t used = stats_of(reg).segment_used_bytes;
    for (int i = 0; i < 100; i++) {
        (void)snprintf(value, sizeof(value), "%0100d", 200000 + i);
        struct kymo_counter *c = kymo_counter_with(f, KYMO_VALUES(value));
        CHECK(c == overflow);
        kymo_counter_add_int(c, 2);
        kymo_counter_family_inc(f, KYMO_VALUES(value));
    }
    CHECK_DOUBLE(page_labelled(reg, "n_total", "i", "__other__"), 300);
    CHECK_DOUBLE(kymo_counter_value(overflow), 0); /* it has no series of its own */
    CHECK_DOUBLE(page_labelled(reg, "kymo_series_dropped_total", "family", "n_total"), 200);
    CHECK_U64(refused(reg, "n_total", "memory"), 0);
    CHECK_U64(stats_of(reg).segment_used_bytes, used);
}

static void test_what_finds_no_room_in_a_full_segment_goes_to_the_overflow_series(void)
{
    struct log_book book = {0};
    struct kymo_registry *reg = smallest(&book);
    struct kymo_counter_family *f = numbered(reg, "n_total");
    static struct kymo_counter *handles[MANY_SERIES];
    char value[128];
    size_t n = fill_up(reg, f, handles);
    REQUIRE(n > 1000 && n < MANY_SERIES);
    overflow_further(reg, f, handles[n]);
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(value, sizeof(value), "%0100zu", i);
        CHECK(kymo_counter_with(f, KYMO_VALUES(value)) == handles[i]);
        kymo_counter_inc(handles[i]);
        kymo_counter_family_inc(f, KYMO_VALUES(value));
        CHECK_DOUBLE(kymo_counter_value(handles[i]), 3);
    }
    CHECK_U64(stats_of(reg).n_series, n);
    kymo_registry_free(reg);
    heap_must_be_empty(&heap);
}

/* How many of a kind fit; the one that does not must say so by name and leave the page as it was. */
static size_t fill_with(struct kymo_registry *reg, enum kymo_kind kind, size_t n_bounds)
{
    char name[32];
    for (size_t i = 0; i < 5000; i++) {
        struct kymo_counter *c;
        struct kymo_histogram *h;
        struct page before = page_of_own(reg);
        (void)snprintf(name, sizeof(name), "m%d_%zu_%zu", (int)kind, n_bounds, i);
        int r =
            kind == KYMO_COUNTER
                ? kymo_counter_new(reg, KYMO_DESC(.name = name, .help = "Many."), &c)
                : kymo_histogram_new(
                      reg, KYMO_DESC(.name = name, .help = "Many.", .bounds = wide_bounds, .n_bounds = n_bounds), &h);
        struct page after = page_of_own(reg);
        if (r != 0) {
            CHECK_INT(r, KYMO_EFULL);
            CHECK_STRING(after.text, before.text);
        }
        page_free(&before);
        page_free(&after);
        if (r != 0)
            return i;
    }
    return 5000;
}

static void test_a_full_segment_refuses_registrations_by_name(void)
{
    static const size_t bounds[] = {500, 100, 12};
    struct log_book book = {0};
    struct kymo_registry *reg = smallest(&book);
    struct kymo_counter *first;
    REQUIRE(kymo_counter_new(reg, KYMO_DESC(.name = "first_total", .help = "First."), &first) == 0);
    kymo_counter_inc(first);
    size_t fitted = 0;
    for (size_t i = 0; i < 3; i++)
        fitted += fill_with(reg, KYMO_HISTOGRAM, bounds[i]);
    CHECK(fitted > 50);
    CHECK(fill_with(reg, KYMO_COUNTER, 0) < 5000);
    kymo_counter_inc(first);
    CHECK_DOUBLE(kymo_counter_value(first), 2);
    CHECK(page_has(reg, "first_total 2"));
    kymo_registry_free(reg);
    heap_must_be_empty(&heap);
}

/* Threads that find no room for memory of their own lose nothing. */
static void test_threads_in_a_full_segment_record_in_the_shared_store(void)
{
    struct log_book book = {0};
    struct bed bed = {.reg = smallest(&book)};
    struct kymo_counter_family *f;
    REQUIRE(bed_fill(&bed) == 0);
    f = numbered(bed.reg, "n_total");
    number_from_to(f, 0, 60000);
    double kept = page_labelled(bed.reg, "kymo_series", "family", "n_total");
    double others = page_labelled(bed.reg, "n_total", "i", "__other__");
    CHECK(kept > 0 && others > 0 && kept + others == 60000);
    CHECK_DOUBLE(page_labelled(bed.reg, "kymo_series_dropped_total", "family", "n_total"), others);
    CHECK_U64(refused(bed.reg, "n_total", "memory"), 0);
    record_from_threads(&bed);
    CHECK_INT(kymo_registry_sweep(bed.reg, 0), 0);
    record_from_threads(&bed);
    CHECK(book.n > 0 && book.level == KYMO_LOG_WARNING);
    CHECK_DOUBLE(kymo_counter_value(bed.plain), 2.0 * THREADS * RECORDS);
    CHECK_DOUBLE(kymo_counter_value(bed.labelled), 0.5 * THREADS * RECORDS);
    CHECK_U64(kymo_histogram_value(bed.sizes, NULL, NULL, 0), 2 * THREADS * RECORDS);
    kymo_registry_free(bed.reg);
    heap_must_be_empty(&heap);
}

/* ---- what is left of all this ---- */

static size_t open_files(void)
{
    DIR *folder = opendir("/proc/self/fd");
    size_t n = 0;
    REQUIRE(folder != NULL);
    while (readdir(folder) != NULL)
        n++;
    closedir(folder);
    return n;
}

static size_t files_at_start;

static void test_no_file_is_left_open(void)
{
    CHECK_U64(open_files(), files_at_start);
}

static const struct test tests[] = {
    /* in children, so before this process uses the library */
    TEST(test_the_first_registry_of_a_process_when_the_system_refuses),
    TEST(test_a_process_without_keys_is_refused_by_name),
    TEST(test_each_refusal_of_the_system_is_an_error_by_name_and_leaves_nothing),
    TEST(test_recordings_all_count_while_memory_is_short),
    TEST(test_a_table_used_again_is_empty_even_if_pages_are_locked),
    TEST(test_each_failing_allocation_of_a_new_registry),
    TEST(test_each_failing_allocation_is_an_error_by_name_and_leaves_nothing),
    TEST(test_a_call_that_keeps_failing_takes_no_more_memory),
    TEST(test_a_column_that_cannot_be_made_known_is_not_lost),
    TEST(test_a_scrape_short_of_memory_shows_own_series_or_fails),
    TEST(test_what_finds_no_room_in_a_full_segment_goes_to_the_overflow_series),
    TEST(test_a_full_segment_refuses_registrations_by_name),
    TEST(test_threads_in_a_full_segment_record_in_the_shared_store),
    TEST(test_no_file_is_left_open),
};

int main(int argc, char **argv)
{
    for (int i = 0; i < 500; i++)
        wide_bounds[i] = i + 1;
    files_at_start = open_files();
    return test_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
