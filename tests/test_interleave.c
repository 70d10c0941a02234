/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recording at every instruction of what ends a series, or brings one back: it is in one place, whoever was where.
 *
 * A call runs step by step with the processor's trap flag; at each instruction, or at some of them, there is a recording
 * through old handles: in the trap's signal handler, on top of the call, or by another thread while the call stands
 * still. Nothing may wait: a recording that needed the lock that the call holds would never return. The sums of what was
 * told at ends, of what lives and of the overflow series are what was recorded. test_kill.c stops calls for ever, at
 * every instruction; here they go on.
 */
#include "guarded.h"

#include <signal.h>

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

#define IDLE (10 * SECOND)
enum { N_LIVES = 4, N_KINDS = 4 };

static const enum any_kind kinds[N_KINDS] = {ANY_WHOLE, ANY_BOTH, ANY_UPDOWN, ANY_CLASSIC};
static const struct kymo_guard lives[N_LIVES] = {
    {.policy = KYMO_GUARD_LIMIT, .max_series = 50},
    {.policy = KYMO_GUARD_LIMIT, .max_series = 50, .after_end = KYMO_TO_OVERFLOW},
    {.policy = KYMO_GUARD_LIMIT, .max_series = 50, .idle_ns = IDLE},
    {.policy = KYMO_GUARD_TOP, .max_series = 1, .linger_ms = 15000},
};

static struct {
    struct lab lab;
    struct any f;    /* the family that it is about */
    void *handle;    /* of its series "a" */
    uint64_t n;      /* recordings through it */
    uint64_t stride; /* a recording at each stride-th instruction */
    uint64_t steps;
    int elsewhere;    /* another thread records */
    _Atomic int turn; /* of the other thread: 1; to end: 2 */
} m;

/* ---- steps ---- */

static void record_now(void)
{
    if (!m.elsewhere) {
        any_record_once(m.f.kind, m.handle);
    } else {
        atomic_store(&m.turn, 1);
        while (atomic_load(&m.turn) == 1)
            sched_yield();
    }
    m.n++;
}

static void on_step(int signal_number)
{
    (void)signal_number;
    if (++m.steps % m.stride == 0)
        record_now();
}

static void *record_when_asked(void *arg)
{
    (void)arg;
    (void)kymo_thread_attach(m.lab.reg);
    for (;;) {
        int turn = atomic_load(&m.turn);
        if (turn == 2)
            return NULL;
        if (turn == 1) {
            any_record_once(m.f.kind, m.handle);
            atomic_store(&m.turn, 0);
        } else {
            sched_yield();
        }
    }
}

static void trap_flag(int on)
{
    unsigned long long flags = __builtin_ia32_readeflags_u64();
    __builtin_ia32_writeeflags_u64(on ? flags | 0x100 : flags & ~0x100ull);
}

/* ---- calls ---- */

static const char *const a[] = {"a"};

static void call_forget(void)
{
    (void)kymo_registry_forget(m.lab.reg, m.f.name, a, 1);
}

static void call_remove(void)
{
    (void)kymo_registry_remove(m.lab.reg, m.f.name, NULL, 0, NULL);
}

static void call_sweep(void)
{
    (void)kymo_registry_sweep(m.lab.reg, 0);
}

static int count_sample(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    (void)family;
    (void)point;
    ++*(size_t *)ctx;
    return 0;
}

static void call_visit(void)
{
    size_t n = 0;
    const struct kymo_visitor visitor = {sizeof(visitor), &n, NULL, count_sample, NULL};
    (void)kymo_registry_visit(m.lab.reg, &visitor);
}

static void call_with(void)
{
    any_release(&m.f, any_with(&m.f, a));
}

static void call_by_labels(void)
{
    any_record_labels(&m.f, a, 1);
    m.n++;
}

static void call_allow(void)
{
    static const char *const only_b[] = {"b"};
    (void)kymo_registry_allow(m.lab.reg, m.f.name, "a", only_b, 1);
}

static void call_allow_all(void)
{
    (void)kymo_registry_allow(m.lab.reg, m.f.name, "a", NULL, 0);
}

static void (*const calls[])(void) = {call_forget, call_with,  call_visit,     call_remove, call_by_labels,
                                      call_sweep,  call_allow, call_allow_all, call_forget, call_sweep};
enum { N_CALLS = sizeof(calls) / sizeof(calls[0]) };

/* One call, step by step; then time goes by, so that a sweep has something to end. */
static void step_through(void (*call)(void), uint64_t stride)
{
    m.stride = stride;
    m.steps = stride == 1 ? 0 : m.steps % stride; /* another phase in each call */
    trap_flag(1);
    call();
    trap_flag(0);
    lab_tick(&m.lab, IDLE / 3);
}

static void is_in_one_place(const char *when)
{
    struct snapshot snap = snapshot_of(m.lab.reg);
    double told = snapshot_total(&m.lab.ended, m.f.name), living = snapshot_total(&snap, m.f.name);
    double want = any_amount(m.f.kind, (double)m.n);
    EXPECT(told + living == want, "%s, %s: recorded %.17g, but %.17g: %.17g told at %zu ends, %.17g living", m.f.name,
           when, want, told + living, told, m.lab.ended.n, living);
    snapshot_free(&snap);
}

/* ---- all of it ---- */

/* A rival that is heavier now and then, and one that makes label "b" exist. */
static void rivals(uint64_t round)
{
    const char *const b[] = {"b"};
    unsigned n = round % 5 == 4 ? 20000 : 1;
    any_record_labels(&m.f, b, n);
    m.n += n;
}

/*
 * Rare ones leave a series idle for long enough. What is read or moved by compare-exchange is tried again if it changed
 * meanwhile: a histogram, the weight of a label set. Were that more often than it can be tried, it would never end.
 */
enum { N_STRIDES = 3 };
static const uint64_t strides_of_numbers[N_STRIDES] = {1, 997, 61};
static const uint64_t strides_of_tops[N_STRIDES] = {29, 997, 61};
static const uint64_t strides_of_histograms[N_STRIDES] = {7001, 19997, 11003};

static void run_family(enum any_kind kind, const struct kymo_guard *guard, int elsewhere, uint64_t rounds)
{
    pthread_t other;
    const uint64_t *strides = kind >= ANY_CLASSIC               ? strides_of_histograms
                              : guard->policy == KYMO_GUARD_TOP ? strides_of_tops
                                                                : strides_of_numbers;
    uint64_t steps = 0;
    lab_new(&m.lab,
            &(const struct kymo_registry_options){.size = sizeof(struct kymo_registry_options), .no_self_metrics = 1});
    m.steps = 0;
    m.f = any_new(m.lab.reg, kind, 1, guard);
    m.handle = any_with(&m.f, a);
    m.n = 0;
    m.elsewhere = elsewhere;
    atomic_store(&m.turn, 0);
    if (elsewhere)
        REQUIRE(pthread_create(&other, NULL, record_when_asked, NULL) == 0);
    for (uint64_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < N_CALLS; i++) {
            uint64_t before = m.steps;
            step_through(calls[i], strides[round % N_STRIDES]);
            steps += m.steps - (m.steps > before ? before : 0);
        }
        rivals(round);
        is_in_one_place(round % N_STRIDES == 0 ? "a recording at each instruction" : "a recording now and then");
    }
    if (elsewhere) {
        atomic_store(&m.turn, 2);
        pthread_join(other, NULL);
    }
    EXPECT(m.lab.ended.n > 0 || guard->policy == KYMO_GUARD_TOP, "%s: only %zu ended", m.f.name, m.lab.ended.n);
    printf("interleave, %s, life %td, %s: %" PRIu64 " steps, %" PRIu64 " recordings, %zu ends\n", m.f.name,
           guard - lives, elsewhere ? "by another thread" : "in a handler", steps, m.n, m.lab.ended.n);
    any_release(&m.f, m.handle);
    lab_end(&m.lab);
}

static void run(int elsewhere, uint64_t rounds)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = on_step;
    REQUIRE(sigaction(SIGTRAP, &action, NULL) == 0);
    for (size_t life = 0; life < N_LIVES; life++)
        for (size_t kind = 0; kind < (test_long() ? N_KINDS : 1); kind++)
            if (lives[life].policy != KYMO_GUARD_TOP || !any_is_gauge(kinds[kind]))
                run_family(kinds[kind], &lives[life], elsewhere, rounds);
}

static void a_handler_records_at_every_instruction_of_an_end(void)
{
    run(0, test_long() ? 2 * N_STRIDES : 2);
}

static void another_thread_records_at_every_instruction_of_an_end(void)
{
    run(1, test_long() ? 2 * N_STRIDES : 2);
}

#else

static void a_handler_records_at_every_instruction_of_an_end(void)
{
    test_skip("stepping through calls uses the trap flag of x86-64, and sanitizers need it for themselves");
}

static void another_thread_records_at_every_instruction_of_an_end(void)
{
    test_skip("stepping through calls uses the trap flag of x86-64, and sanitizers need it for themselves");
}

#endif

TEST_MAIN(TEST(a_handler_records_at_every_instruction_of_an_end),
          TEST(another_thread_records_at_every_instruction_of_an_end))
