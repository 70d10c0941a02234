/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children of fork(): they go on from a copy, and nothing of theirs reaches the parent (K6); parent and child count
 * exactly from the fork on (K5), generations deep, whatever other threads of the parent were in the middle of.
 *
 * A child says what it found by its exit status. An alarm ends a child that hangs, which is then a failure.
 */
#include "native_torture.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HANG_SECONDS = 60 };

static struct one_of_each m;
static struct native_three three;

/* Without the registry's own families where families come and go: the pages here are of the host's. */
static void metrics_new(int no_self_metrics)
{
    struct kymo_registry_options o = {.size = sizeof(o), .no_self_metrics = no_self_metrics};
    REQUIRE(kymo_registry_new(&o, &m.reg) == 0);
    one_of_each_new(&m);
    native_three_new(&three, m.reg);
}

static void record(unsigned i)
{
    kymo_counter_inc(m.whole);
    kymo_counter_add(m.fraction, 0.25);
    kymo_gauge_add(m.updown, 2.5);
    kymo_gauge_add(m.set, 0.25);
    kymo_histogram_observe(m.h, exact_value(i % EXACT_BUCKETS));
    kymo_counter_family_inc(m.c_labels, KYMO_VALUES("a"));
    kymo_histogram_family_observe(m.h_labels, exact_value(i % EXACT_BUCKETS), KYMO_VALUES("a"));
    native_three_record(&three, i);
}

/* What record() moves, as read back. */
struct totals {
    double whole, fraction, updown, set, observed, labels, observed_labels;
    struct native_three_counts native;
};

static struct totals totals_now(void)
{
    static struct watch watch;
    struct totals t;
    memset(&watch, 0, sizeof(watch));
    struct text_page page = watch_page(&watch, m.reg); /* K3 in it */
    t.whole = page_value(&page, "whole_total");
    t.fraction = page_value(&page, "fraction_total");
    t.updown = page_value(&page, "updown");
    t.set = page_value(&page, "set");
    t.observed = page_value(&page, "exact_h_count");
    t.labels = page_total(&page, "labels_total");
    t.observed_labels = page_total(&page, "exact_labels_count");
    t.native = native_three_counts(&three);
    text_page_free(&page);
    return t;
}

static void grown_by(const struct totals *from, uint64_t n)
{
    struct totals t = totals_now();
    CHECK_DOUBLE(t.whole, from->whole + (double)n);
    CHECK_DOUBLE(t.fraction, from->fraction + 0.25 * (double)n);
    CHECK_DOUBLE(t.updown, from->updown + 2.5 * (double)n);
    CHECK_DOUBLE(t.set, from->set + 0.25 * (double)n);
    CHECK_DOUBLE(t.observed, from->observed + (double)n);
    CHECK_DOUBLE(t.labels, from->labels + (double)n);
    CHECK_DOUBLE(t.observed_labels, from->observed_labels + (double)n);
    for (int i = 0; i < THREE; i++)
        CHECK_U64(t.native.of[i], from->native.of[i] + n);
}

static void records(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        record((unsigned)i);
}

/* ---- children ---- */

static pid_t child_begin(void)
{
    fflush(NULL);
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        alarm(HANG_SECONDS);
        test_failures = 0;
    }
    return pid;
}

static void child_end(void)
{
    fflush(NULL);
    _exit(test_failures != 0);
}

static void child_must_be_well(pid_t pid)
{
    int status = 0;
    REQUIRE(waitpid(pid, &status, 0) == pid);
    if (WIFSIGNALED(status))
        fprintf(stderr, "child ended by signal %d\n", WTERMSIG(status));
    CHECK_INT(status, 0);
}

/* ---- generations ---- */

enum { AT_ONCE = 2000 };

/*
 * Records, forks, and records on while the child does the same: both begin with the same totals. Some generations
 * look first, which settles the child; others record first, into the shared store of their copy.
 */
static void generation(unsigned left, unsigned depth)
{
    struct totals before = totals_now();
    if (left == 0)
        return;
    pid_t pid = child_begin();
    if (pid == 0) {
        if (depth % 3 == 1)
            grown_by(&before, 0);
        if (depth % 3 == 2)
            CHECK_INT(kymo_thread_attach(m.reg), 0);
        records(AT_ONCE + depth);
        grown_by(&before, AT_ONCE + depth);
        generation(left - 1, depth + 1);
        child_end();
    }
    records(3 * AT_ONCE);
    grown_by(&before, 3 * AT_ONCE);
    child_must_be_well(pid);
    grown_by(&before, 3 * AT_ONCE); /* K6: nothing of the child's arrived here */
}

static void parents_and_children_count_on_their_own_generations_deep(void)
{
    unsigned depth = test_long() ? 60 : 12;
    metrics_new(0);
    records(1);
    records(AT_ONCE);
    generation(depth, 0);
    printf("fork, generations: %u deep, %d recordings x 10 in each at once with its parent\n", depth, AT_ONCE);
    kymo_registry_free(m.reg);
}

/* ---- other threads in the middle of anything ---- */

enum { HAMMERS = 3 };

static _Atomic int stop_hammering;
static _Atomic uint64_t created, allowed; /* series: ended families take memory, so there is a bound */

static void *hammer_records(void *arg)
{
    (void)arg;
    for (unsigned i = 0; !atomic_load_explicit(&stop_hammering, memory_order_relaxed); i++) {
        record(i);
        if (i % 1024 == 1023)
            kymo_thread_detach();
    }
    return NULL;
}

/* New families, new series, new chunks, ended ones: whatever holds the locks. */
static void *hammer_creates(void *arg)
{
    struct kymo_counter_family *f;
    char name[32], value[32];
    (void)arg;
    for (unsigned i = 0; !atomic_load_explicit(&stop_hammering, memory_order_relaxed); i++) {
        while (atomic_load(&created) > atomic_load(&allowed) && !atomic_load(&stop_hammering))
            sched_yield();
        (void)snprintf(name, sizeof(name), "made_%u_total", i % 4);
        (void)kymo_registry_unregister(m.reg, name);
        REQUIRE(kymo_counter_family_new(m.reg, KYMO_DESC(.name = name, .help = "x", KYMO_LABELS("i")), &f) == 0);
        for (unsigned k = 0; k < 40; k++) {
            (void)snprintf(value, sizeof(value), "%u", k);
            kymo_counter_inc(kymo_counter_with(f, KYMO_VALUES(value)));
        }
        (void)kymo_thread_attach(m.reg);
        atomic_fetch_add(&created, 40);
        if (i % 8 == 7)
            kymo_thread_detach();
    }
    return NULL;
}

static int drop(void *ctx, const char *data, size_t n)
{
    (void)ctx;
    (void)data;
    (void)n;
    return 0;
}

static void *hammer_scrapes(void *arg)
{
    const struct kymo_sink sink = {sizeof(sink), NULL, drop};
    (void)arg;
    while (!atomic_load_explicit(&stop_hammering, memory_order_relaxed)) {
        CHECK_INT(kymo_registry_write(m.reg, kymo_format_find("text"), &sink), 0);
        CHECK_INT(kymo_registry_sweep(m.reg, 0), 0);
    }
    return NULL;
}

static void *record_500(void *arg)
{
    (void)arg;
    records(500);
    return NULL;
}

/* Registration, lookup, threads, pages: all of it works in the child, and counts exactly. */
static void child_of_a_busy_parent(unsigned round)
{
    pthread_t threads[2];
    struct kymo_counter *mine;
    char name[32];
    if (round % 2 == 1)
        records(10);
    struct totals before = totals_now();
    records(500);
    (void)snprintf(name, sizeof(name), "child_%u_total", round);
    CHECK_INT(kymo_counter_new(m.reg, KYMO_DESC(.name = name, .help = "x"), &mine), 0);
    kymo_counter_add_int(mine, 41);
    kymo_counter_inc(kymo_counter_with(m.c_labels, KYMO_VALUES("new in the child")));
    kymo_counter_add(mine, 1);
    for (int i = 0; i < 2; i++)
        REQUIRE(pthread_create(&threads[i], NULL, record_500, NULL) == 0);
    records(499);
    kymo_histogram_family_observe(m.h_labels, 1, KYMO_VALUES("new in the child"));
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    kymo_counter_inc(m.whole);
    kymo_counter_add(m.fraction, 0.25);
    kymo_gauge_add(m.updown, 2.5);
    kymo_gauge_add(m.set, 0.25);
    kymo_histogram_observe(m.h, 1);
    native_three_record(&three, round);
    CHECK_DOUBLE(kymo_counter_value(mine), 42);
    grown_by(&before, 2000);
}

static void a_child_of_a_busy_parent_works_and_counts_exactly(void)
{
    void *(*const work[HAMMERS])(void *) = {hammer_records, hammer_creates, hammer_scrapes};
    pthread_t threads[HAMMERS];
    unsigned forks = test_long() ? 3000 : 250;
    metrics_new(1);
    records(1);
    for (int i = 0; i < HAMMERS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, work[i], NULL) == 0);
    for (unsigned i = 0; i < forks; i++) {
        atomic_fetch_add(&allowed, 2000);
        pid_t pid = child_begin();
        if (pid == 0) {
            child_of_a_busy_parent(i);
            child_end();
        }
        child_must_be_well(pid);
    }
    atomic_store(&stop_hammering, 1);
    for (int i = 0; i < HAMMERS; i++)
        pthread_join(threads[i], NULL);
    printf("fork, busy parent: %u forks beside %" PRIu64 " creations and %.0f recordings x 10\n", forks,
           (uint64_t)created, kymo_counter_value(m.whole));
    kymo_registry_free(m.reg);
}

/* ---- values that begin at 0 ---- */

static void check_zeroed(void)
{
    CHECK_INT(kymo_after_fork_child((enum kymo_fork_values)7), KYMO_EINVAL);
    double set = kymo_gauge_value(m.set);
    CHECK_INT(kymo_after_fork_child(KYMO_FORK_ZERO), 0);
    struct totals zero = {0};
    zero.set = set; /* a set gauge keeps what it was set to */
    grown_by(&zero, 0);
    records(100);
    grown_by(&zero, 100);
    CHECK_INT(kymo_after_fork_child(KYMO_FORK_ZERO), 0); /* no fresh child any more */
    grown_by(&zero, 100);
}

static void a_child_may_begin_at_zero(void)
{
    metrics_new(0);
    records(1000);
    struct totals before = totals_now();
    pid_t pid = child_begin();
    if (pid == 0) {
        check_zeroed();
        child_end();
    }
    child_must_be_well(pid);
    grown_by(&before, 0);
    CHECK_INT(kymo_after_fork_child(KYMO_FORK_ZERO), 0);
    grown_by(&before, 0);
    kymo_registry_free(m.reg);
}

/* ---- a fork in a handler, on top of a recording ---- */

static volatile uint64_t done;
static volatile pid_t forked;
static volatile int am_child;
static volatile int fork_next;
static sigjmp_buf out;

static void fork_in_handler(int signal_number)
{
    (void)signal_number;
    if (!fork_next)
        return;
    fork_next = 0;
    pid_t pid = fork();
    am_child = pid == 0;
    if (pid != 0) {
        forked = pid;
        return;
    }
    record((unsigned)done); /* on top of whatever was interrupted, before the child is settled */
    siglongjmp(out, 1);
}

static void returns_in_handler(int signal_number)
{
    (void)signal_number;
    if (!fork_next)
        return;
    fork_next = 0;
    pid_t pid = fork();
    am_child = pid == 0;
    if (pid != 0)
        forked = pid;
    else
        record((unsigned)done);
}

/* In the child: the interrupted call is in whole or not at all, and counting goes on exactly. */
static void check_after_jump(void)
{
    struct totals t = totals_now();
    CHECK(t.whole >= (double)done + 1 && t.whole <= (double)done + 2);
    CHECK(t.fraction >= 0.25 * ((double)done + 1) && t.fraction <= 0.25 * ((double)done + 2));
    CHECK(t.set >= 0.25 * ((double)done + 1) && t.set <= 0.25 * ((double)done + 2));
    CHECK(t.updown >= 2.5 * ((double)done + 1) && t.updown <= 2.5 * ((double)done + 2));
    CHECK(t.observed >= (double)done + 1 && t.observed <= (double)done + 2);
    CHECK(t.labels >= (double)done + 1 && t.labels <= (double)done + 2);
    CHECK(t.observed_labels >= (double)done + 1 && t.observed_labels <= (double)done + 2);
    for (int i = 0; i < THREE; i++)
        CHECK(t.native.of[i] >= done + 1 && t.native.of[i] <= done + 2);
    records(300);
    grown_by(&t, 300);
}

static void every_100us(void)
{
    const struct itimerval every = {{0, 97}, {0, 97}};
    REQUIRE(setitimer(ITIMER_REAL, &every, NULL) == 0);
}

static void handle(void (*handler)(int))
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    REQUIRE(sigaction(SIGALRM, &action, NULL) == 0);
}

static void handler_child(int jumped)
{
    const struct itimerval none = {{0, 0}, {0, 0}};
    const struct totals nothing = {0};
    (void)setitimer(ITIMER_REAL, &none, NULL);
    handle(SIG_DFL);
    test_failures = 0;
    alarm(HANG_SECONDS);
    if (jumped)
        check_after_jump();
    else
        grown_by(&nothing, done + 1); /* the interrupted call went on, and all is there */
    if (!jumped) {
        records(300);
        grown_by(&nothing, done + 301);
    }
    child_end();
}

static void record_until_forked(void)
{
    forked = 0;
    fork_next = 1;
    while (forked == 0 && !am_child) {
        record((unsigned)done);
        done++;
    }
    if (am_child)
        handler_child(0);
}

static void forks_in_handlers(int jumps, unsigned n)
{
    const struct itimerval none = {{0, 0}, {0, 0}};
    metrics_new(0);
    record(0); /* the series by labels exist from here on: a handler must not create them */
    done = 1;
    handle(jumps ? fork_in_handler : returns_in_handler);
    every_100us();
    for (volatile unsigned i = 0; i < n; i++) {
        if (sigsetjmp(out, 1) == 0)
            record_until_forked();
        if (am_child)
            handler_child(1);
        child_must_be_well(forked);
    }
    (void)setitimer(ITIMER_REAL, &none, NULL);
    handle(SIG_DFL);
    const struct totals nothing = {0};
    grown_by(&nothing, done);
    printf("fork, in handlers on top of %" PRIu64 " recordings x 10: %u children that %s\n", done, n,
           jumps ? "jumped out" : "returned");
    kymo_registry_free(m.reg);
}

static void a_handler_may_fork_on_top_of_a_recording(void)
{
    forks_in_handlers(0, test_long() ? 2000 : 200);
    forks_in_handlers(1, test_long() ? 2000 : 200);
}

/* ---- many short ones ---- */

static void short_lived_children_cost_their_parent_nothing(void)
{
    struct kymo_registry_stats first = {.size = sizeof(first)}, last = {.size = sizeof(last)};
    unsigned n = test_long() ? 10000 : 800;
    metrics_new(0);
    records(1);
    struct totals before = totals_now();
    CHECK_INT(kymo_registry_get_stats(m.reg, &first), 0);
    for (unsigned i = 0; i < n; i++) {
        pid_t pid = child_begin();
        if (pid == 0) {
            records(1 + i % 50);
            CHECK_DOUBLE(kymo_counter_value(m.whole), before.whole + i + 1 + i % 50);
            if (i % 4 == 0)
                CHECK_INT(kymo_after_fork_child(KYMO_FORK_KEEP), 0);
            records(1);
            CHECK_DOUBLE(kymo_counter_value(m.whole), before.whole + i + 2 + i % 50);
            child_end();
        }
        records(1);
        child_must_be_well(pid);
    }
    grown_by(&before, n);
    CHECK_INT(kymo_registry_get_stats(m.reg, &last), 0);
    CHECK_U64(last.n_shards, first.n_shards);
    CHECK_U64(last.segment_used_bytes, first.segment_used_bytes);
    printf("fork, short-lived: %u children\n", n);
    kymo_registry_free(m.reg);
}

TEST_MAIN(TEST(parents_and_children_count_on_their_own_generations_deep),
          TEST(a_child_of_a_busy_parent_works_and_counts_exactly), TEST(a_child_may_begin_at_zero),
          TEST(a_handler_may_fork_on_top_of_a_recording), TEST(short_lived_children_cost_their_parent_nothing))
