/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signal handlers that record on the thread they interrupted, while it records the same metrics.
 *
 * Nothing is lost: what the thread counted and what the handler counted is the total (K5, K8). Nothing is torn (K3). A
 * handler may also jump out of the recording it interrupted: that one is in whole or not at all, and all later ones
 * are in. How often a handler found its thread inside an update is counted, so that the rest is known to mean
 * something.
 */
#include "native_torture.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/core.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static struct one_of_each m;
static struct native_three three;

static void metrics_new(size_t max_shards)
{
    m.reg = registry_with_shards(max_shards);
    one_of_each_new(&m);
    native_three_new(&three, m.reg);
    REQUIRE(kymo_counter_with(m.c_labels, KYMO_VALUES("a")) != NULL); /* handlers must not create series */
    REQUIRE(kymo_histogram_with(m.h_labels, KYMO_VALUES("a")) != NULL);
}

/* One of each: a handler's may interrupt any instruction of a thread's. */
static void record(unsigned i)
{
    kymo_counter_inc(m.whole);
    kymo_counter_add(m.fraction, 0.25);
    kymo_gauge_add(m.updown, i & 1 ? 2 : 0.5);
    kymo_gauge_add(m.set, 0.25);
    kymo_histogram_observe(m.h, exact_value(i % EXACT_BUCKETS));
    kymo_histogram_observe_n(m.h, exact_value(i % EXACT_BUCKETS), 2);
    kymo_counter_family_inc(m.c_labels, KYMO_VALUES("a"));
    kymo_counter_family_add(m.c_labels, 0.25, KYMO_VALUES("a"));
    kymo_histogram_family_observe(m.h_labels, exact_value(i % EXACT_BUCKETS), KYMO_VALUES("a"));
    native_three_record(&three, i);
}

/* After n calls of record(), of which n_odd had an odd argument. */
static void totals_are(uint64_t n, uint64_t n_odd)
{
    static struct watch watch;
    memset(&watch, 0, sizeof(watch));
    struct text_page page = watch_page(&watch, m.reg);
    CHECK_DOUBLE(page_value(&page, "whole_total"), (double)n);
    CHECK_DOUBLE(page_value(&page, "fraction_total"), 0.25 * (double)n);
    CHECK_DOUBLE(page_value(&page, "updown"), 2.0 * (double)n_odd + 0.5 * (double)(n - n_odd));
    CHECK_DOUBLE(page_value(&page, "set"), 0.25 * (double)n);
    CHECK_DOUBLE(page_value(&page, "exact_h_count"), 3.0 * (double)n);
    CHECK_DOUBLE(page_value(&page, "labels_total"), 1.25 * (double)n);
    CHECK_DOUBLE(page_value(&page, "exact_labels_count"), (double)n);
    native_three_are(&three, n);
    text_page_free(&page);
}

/* Whether the calling thread is inside an update of memory of its own. */
static int inside_update(void)
{
    const struct kymo__thread *t = kymo__self;
    const struct kymo__ctl *ctl = m.reg->home < t->n ? t->dir[m.reg->home].ctl : NULL;
    return ctl != NULL && (ctl->busy & 1);
}

/* ---- a timer that interrupts one thread ---- */

static void handle_with(int signal_number, void (*handler)(int))
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    REQUIRE(sigaction(signal_number, &action, NULL) == 0);
}

static void signals_block(int how)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    REQUIRE(pthread_sigmask(how, &set, NULL) == 0);
}

/* Every 15 us to the calling thread; a multiple of nothing that the loops below do. */
static timer_t timer_on_this_thread(void)
{
    struct sigevent event;
    timer_t timer;
    const struct itimerspec every = {{0, 15331}, {0, 15331}};
    memset(&event, 0, sizeof(event));
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGALRM;
    event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
    REQUIRE(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    REQUIRE(timer_settime(timer, 0, &every, NULL) == 0);
    return timer;
}

/* ---- handlers that record ---- */

static struct {
    volatile uint64_t handled, odd, inside;
} seen;

static void record_in_handler(int signal_number)
{
    (void)signal_number;
    uint64_t i = seen.handled;
    seen.inside += (uint64_t)inside_update();
    record((unsigned)i);
    seen.odd += i & 1;
    seen.handled = i + 1;
}

static void interrupted_recordings(const char *what, size_t max_shards, uint64_t n_signals)
{
    uint64_t n = 0, whole = 0, reads = 0;
    memset((void *)&seen, 0, sizeof(seen));
    metrics_new(max_shards);
    handle_with(SIGALRM, record_in_handler);
    timer_t timer = timer_on_this_thread();
    for (; seen.handled < n_signals; n++) {
        record((unsigned)n);
        if (n % 1024 == 0) {
            uint64_t now = exact_count(m.h);
            CHECK(now >= whole); /* K2 */
            whole = now;
            reads++;
        }
    }
    timer_delete(timer);
    signals_block(SIG_BLOCK);
    totals_are(n + seen.handled, n / 2 + seen.odd);
    printf("signals, %s: %" PRIu64 " handlers (%" PRIu64 " inside an update) on %" PRIu64 " x 12 recordings, %" PRIu64
           " reads\n",
           what, seen.handled, seen.inside, n, reads);
    CHECK(max_shards != 0 || seen.inside > 0);
    signals_block(SIG_UNBLOCK);
    kymo_registry_free(m.reg);
}

static void a_handler_on_top_of_a_recording_loses_nothing(void)
{
    interrupted_recordings("own shard", 0, test_long() ? 120000 : 20000);
}

/* ---- handlers in threads that nobody provided for ---- */

enum { THREADS = 3 };

static struct crowd {
    pthread_t thread;
    _Atomic uint64_t handled, odd;
    uint64_t n;
    int ready;
} crowd[THREADS];
static _Thread_local struct crowd *me;
static _Atomic int crowd_stop;
static _Atomic int crowd_ready;

static void record_in_crowd(int signal_number)
{
    (void)signal_number;
    uint64_t i = atomic_load(&me->handled);
    record((unsigned)i);
    atomic_fetch_add(&me->odd, i & 1);
    atomic_store(&me->handled, i + 1);
}

static void *crowd_records(void *arg)
{
    me = arg;
    atomic_fetch_add(&crowd_ready, 1);
    for (uint64_t i = 0; !atomic_load_explicit(&crowd_stop, memory_order_relaxed); i++, me->n = i) {
        record((unsigned)i);
        if (i % 256 == 255) {
            kymo_thread_detach(); /* so that spare seats are claimed again, in a handler or under one */
            sched_yield();
        }
    }
    return NULL;
}

/* Each signal is sent after the last one to that thread was handled: none is merged. */
static void crowd_signal(uint64_t n_signals, struct watch *watch, uint64_t *sent)
{
    uint64_t to[THREADS] = {0};
    for (; *sent < n_signals; ++*sent) {
        unsigned i = (unsigned)(*sent % THREADS);
        while (atomic_load(&crowd[i].handled) < to[i])
            sched_yield();
        to[i]++;
        REQUIRE(pthread_kill(crowd[i].thread, SIGUSR1) == 0);
        if (*sent % 64 == 0) {
            struct text_page page = watch_page(watch, m.reg); /* which provides for who left a mark */
            text_page_free(&page);
        }
    }
    for (unsigned i = 0; i < THREADS; i++)
        while (atomic_load(&crowd[i].handled) < to[i])
            sched_yield();
}

static void handlers_may_interrupt_a_thread_that_claims_its_seat(void)
{
    static struct watch watch;
    uint64_t n = 0, odd = 0, sent = 0, handled = 0;
    metrics_new(0);
    handle_with(SIGUSR1, record_in_crowd);
    for (unsigned i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&crowd[i].thread, NULL, crowd_records, &crowd[i]) == 0);
    while (atomic_load(&crowd_ready) < THREADS)
        sched_yield();
    crowd_signal(test_long() ? 60000 : 4000, &watch, &sent);
    atomic_store(&crowd_stop, 1);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(crowd[i].thread, NULL);
        n += crowd[i].n + crowd[i].handled;
        odd += crowd[i].n / 2 + crowd[i].odd;
        handled += crowd[i].handled;
    }
    CHECK_U64(handled, sent);
    totals_are(n, odd);
    printf("signals, %d threads: %" PRIu64 " handlers, %" PRIu64 " x 12 recordings, %" PRIu64 " pages\n", THREADS, sent,
           n, watch.n_pages);
    kymo_registry_free(m.reg);
}

/* ---- handlers that jump out of what they interrupted ---- */

static sigjmp_buf out;
static volatile sig_atomic_t may_jump, waited;
/* Calls that were begun and that returned, by what they record. */
enum { CUT_OFF = 3 + THREE };
static volatile uint64_t begun[CUT_OFF], returned[CUT_OFF];

static void jump_out(int signal_number)
{
    (void)signal_number;
    seen.inside += (uint64_t)inside_update();
    record_in_handler(signal_number);
    /* A handler that takes longer than the timer lets nothing but the next one run: out, in the end, in any case. */
    if (may_jump || ++waited > 3) {
        may_jump = waited = 0;
        siglongjmp(out, 1);
    }
}

/* A signal that was waiting is let in first, and jumps nowhere: the next one finds a call to cut off. */
static void record_until_jumped_out(void)
{
    for (unsigned i = 0;; i = i + 1, may_jump = 1) {
        begun[0]++;
        kymo_counter_inc(m.whole);
        returned[0]++;
        begun[1]++;
        kymo_counter_add(m.fraction, 0.25);
        returned[1]++;
        begun[2]++;
        kymo_histogram_observe(m.h, exact_value(i % EXACT_BUCKETS));
        returned[2]++;
        for (int which = 0; which < THREE; which++) {
            begun[3 + which]++;
            native_three_observe(&three, which, i);
            returned[3 + which]++;
        }
    }
}

/* All that is known: each interrupted call is in whole or not at all. */
static void in_whole_or_not_at_all(void)
{
    double whole = kymo_counter_value(m.whole) - (double)seen.handled;
    double fractions = kymo_counter_value(m.fraction) * 4 - (double)seen.handled;
    double observed = (double)exact_count(m.h) - 3 * (double)seen.handled;
    CHECK(whole >= (double)returned[0] && whole <= (double)begun[0]);
    CHECK(fractions >= (double)returned[1] && fractions <= (double)begun[1]);
    CHECK(observed >= (double)returned[2] && observed <= (double)begun[2]);
    struct native_three_counts native = native_three_counts(&three);
    for (int i = 0; i < THREE; i++) {
        uint64_t own = native.of[i] - seen.handled;
        CHECK(own >= returned[3 + i] && own <= begun[3 + i]);
    }
}

/* With signals blocked, so that what a jump left behind is all that could disturb. */
static void later_recordings_are_all_counted(void)
{
    double whole = kymo_counter_value(m.whole), fraction = kymo_counter_value(m.fraction);
    double set = kymo_gauge_value(m.set), updown = kymo_gauge_value(m.updown);
    uint64_t observed = exact_count(m.h);
    struct native_three_counts native = native_three_counts(&three);
    for (unsigned i = 0; i < 20; i++)
        record(i);
    CHECK_DOUBLE(kymo_counter_value(m.whole), whole + 20);
    CHECK_DOUBLE(kymo_counter_value(m.fraction), fraction + 5);
    CHECK_DOUBLE(kymo_gauge_value(m.set), set + 5);
    CHECK_DOUBLE(kymo_gauge_value(m.updown), updown + 25);
    CHECK_U64(exact_count(m.h), observed + 60);
    struct native_three_counts now = native_three_counts(&three);
    for (int i = 0; i < THREE; i++)
        CHECK_U64(now.of[i], native.of[i] + 20);
    for (int i = 0; i < CUT_OFF; i++) {
        begun[i] += i == 2 ? 60 : 20;
        returned[i] += i == 2 ? 60 : 20;
    }
}

/* Half of the time the thread detaches after the jump, and adopts the shard that it left in the middle of an update. */
static void a_jump_out_of_a_recording_leaves_it_whole_or_undone(void)
{
    static uint64_t jumps, want;
    want = test_long() ? 60000 : 8000;
    memset((void *)&seen, 0, sizeof(seen));
    metrics_new(0);
    handle_with(SIGALRM, jump_out);
    signals_block(SIG_BLOCK);
    timer_t timer = timer_on_this_thread();
    /* The mask is not saved: a handler that jumps leaves the signal blocked, which is what is wanted here. */
    for (volatile uint64_t i = 0; i < want; i++) {
        if (sigsetjmp(out, 0) == 0) {
            signals_block(SIG_UNBLOCK);
            record_until_jumped_out();
        }
        in_whole_or_not_at_all();
        later_recordings_are_all_counted();
        if (i & 1)
            kymo_thread_detach();
        if (i % 4 == 3)
            CHECK_INT(kymo_thread_attach(m.reg), 0);
        jumps = i + 1;
    }
    timer_delete(timer);
    in_whole_or_not_at_all();
    printf("signals, jumps: %" PRIu64 " out of recordings, %" PRIu64 " inside an update; %" PRIu64 " to %" PRIu64
           " observations\n",
           jumps, seen.inside / 2, returned[2], begun[2]);
    /* Where the way back takes longer than the timer, every signal waits until it is let in: no call is cut off then. */
    uint64_t cut_off = 0;
    for (int i = 0; i < CUT_OFF; i++)
        cut_off += begun[i] - returned[i];
    CHECK(seen.inside > 0 || cut_off == 0);
    kymo_registry_free(m.reg);
}

TEST_MAIN(TEST(a_handler_on_top_of_a_recording_loses_nothing),
          TEST(handlers_may_interrupt_a_thread_that_claims_its_seat),
          TEST(a_jump_out_of_a_recording_leaves_it_whole_or_undone))
