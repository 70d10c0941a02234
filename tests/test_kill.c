/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writers that die in the middle: killed while others read the same memory, and stopped at every single instruction.
 *
 * The first part moves a registry's segment into shared memory, where its layout is at home as well: a parent reads
 * while children record, and kills them at any moment. What a child said to have recorded is there, an update it died
 * in is in whole or not at all (K5), every read is whole (K3), nothing goes back (K2); the next child settles what the
 * last one left half done, and readers see no change from that.
 *
 * The second part needs no luck: it runs one call step by step with the processor's trap flag, and at each instruction
 * forks a child that never comes back to it. The child has what a killed writer would have left, byte by byte, and
 * must go on with it: a series that was being made or ended is there whole or not at all, and all others as they were.
 */
#include "native_torture.h"

#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/core.h"

enum { HANG_SECONDS = 60 };

static struct {
    struct kymo_registry *reg;
    struct kymo_counter *whole, *fraction;
    struct kymo_gauge *updown;
    struct kymo_histogram *h[2];
    struct kymo_counter_family *labels;
    struct kymo_histogram_family *h_labels;
    struct native_three native;
} m;

static void metrics_fill(void)
{
    REQUIRE(kymo_counter_new(m.reg, KYMO_DESC(.name = "whole_total", .help = "x"), &m.whole) == 0);
    REQUIRE(kymo_counter_new(m.reg, KYMO_DESC(.name = "fraction_total", .help = "x"), &m.fraction) == 0);
    REQUIRE(kymo_gauge_new(m.reg, KYMO_DESC(.name = "updown", .help = "x", .gauge_mode = KYMO_GAUGE_UPDOWN),
                           &m.updown) == 0);
    REQUIRE(kymo_histogram_new(m.reg, EXACT_DESC(.name = "exact_a"), &m.h[0]) == 0);
    REQUIRE(kymo_histogram_new(m.reg, EXACT_DESC(.name = "exact_b"), &m.h[1]) == 0);
    REQUIRE(kymo_counter_family_new(m.reg, KYMO_DESC(.name = "labels_total", .help = "x", KYMO_LABELS("i")),
                                    &m.labels) == 0);
    REQUIRE(kymo_histogram_family_new(m.reg, EXACT_DESC(.name = "exact_labels", KYMO_LABELS("i")), &m.h_labels) == 0);
    REQUIRE(kymo_counter_with(m.labels, KYMO_VALUES("a")) != NULL);
    REQUIRE(kymo_histogram_with(m.h_labels, KYMO_VALUES("a")) != NULL);
    native_three_new(&m.native, m.reg);
}

/* What is recorded, one call after the other; the unit of each is 1 in its count. */
enum {
    WHOLE,
    FRACTION,
    UPDOWN,
    OBSERVE_A,
    OBSERVE_B,
    LABELS,
    OBSERVE_LABELS,
    NATIVE,
    ANEW = NATIVE + THREE_ANEW,
    CALLS
};

static void record(int call, unsigned i)
{
    switch (call) {
    case WHOLE:
        kymo_counter_inc(m.whole);
        break;
    case FRACTION:
        kymo_counter_add(m.fraction, 0.25);
        break;
    case UPDOWN:
        kymo_gauge_inc(m.updown);
        break;
    case OBSERVE_A:
        kymo_histogram_observe(m.h[0], exact_value(i % EXACT_BUCKETS));
        break;
    case OBSERVE_B:
        kymo_histogram_observe_n(m.h[1], exact_value(i % EXACT_BUCKETS), 3);
        break;
    case LABELS:
        kymo_counter_family_inc(m.labels, KYMO_VALUES("a"));
        break;
    case OBSERVE_LABELS:
        kymo_histogram_family_observe(m.h_labels, exact_value(i % EXACT_BUCKETS), KYMO_VALUES("a"));
        break;
    default:
        native_three_observe(&m.native, call - NATIVE, i);
    }
}

struct counts {
    uint64_t of[CALLS];
};

static struct counts counts_read(void)
{
    struct counts now;
    now.of[WHOLE] = (uint64_t)kymo_counter_value(m.whole);
    now.of[FRACTION] = (uint64_t)(kymo_counter_value(m.fraction) * 4);
    now.of[UPDOWN] = (uint64_t)kymo_gauge_value(m.updown);
    now.of[OBSERVE_A] = exact_count(m.h[0]);
    now.of[OBSERVE_B] = exact_count(m.h[1]) / 3;
    now.of[LABELS] = (uint64_t)kymo_counter_value(kymo_counter_with(m.labels, KYMO_VALUES("a")));
    now.of[OBSERVE_LABELS] = exact_count(kymo_histogram_with(m.h_labels, KYMO_VALUES("a")));
    struct native_three_counts native = native_three_counts(&m.native);
    for (int i = 0; i < THREE; i++)
        now.of[NATIVE + i] = native.of[i];
    return now;
}

static void counts_are(const struct counts *from, uint64_t more)
{
    struct counts now = counts_read();
    for (int i = 0; i < CALLS; i++)
        CHECK_U64(now.of[i], from->of[i] + more);
}

static void child_must_be_well(pid_t pid)
{
    int status = 0;
    REQUIRE(waitpid(pid, &status, 0) == pid);
    if (WIFSIGNALED(status))
        fprintf(stderr, "child ended by signal %d\n", WTERMSIG(status));
    CHECK_INT(status, 0);
}

/* ---- a segment in shared memory ---- */

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

/* The parent has no shard afterwards: children settle the shared memory, and must not take one from under it. */
static void metrics_share(void)
{
    struct kymo_registry_options o = {.size = sizeof(o), .segment_bytes = (size_t)16 << 20};
    REQUIRE(kymo_registry_new(&o, &m.reg) == 0);
    metrics_fill();
    kymo_thread_detach();
    segment_share(m.reg);
}

/* What a child says of itself, in memory that outlives it. */
static struct diary {
    _Atomic int stage;
    _Atomic uint64_t begun[CALLS], confirmed[CALLS];
} * diary;

enum { BORN, READY, GO };

/* A killed thread has done all stores before some instruction and none after: the compiler's order is enough. */
static void record_with_diary(int call, unsigned i)
{
    uint64_t n = atomic_load_explicit(&diary->begun[call], memory_order_relaxed) + 1;
    atomic_store_explicit(&diary->begun[call], n, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    record(call, i);
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&diary->confirmed[call], n, memory_order_relaxed);
}

/* Does not come back. */
static void write_until_killed(int attaches)
{
    alarm(HANG_SECONDS);
    if (attaches) {
        CHECK_INT(kymo_thread_attach(m.reg), 0);
        kymo_counter_add(m.fraction, 0);
    }
    atomic_store(&diary->stage, READY);
    while (atomic_load(&diary->stage) != GO)
        sched_yield();
    for (unsigned i = 0;; i++) {
        for (int call = 0; call < CALLS; call++)
            record_with_diary(call, i);
        for (unsigned k = 0; k < 32; k++) /* most of the time in histograms, which have the longest updates */
            record_with_diary(k & 1 ? OBSERVE_A : OBSERVE_B, k);
        for (unsigned k = 0; k < 32; k++) /* and in native ones, which change their shape under it */
            record_with_diary(NATIVE + (int)(k % THREE), 32 * i + k);
        if (attaches && i == 20)
            (void)kymo_registry_sweep(m.reg, 0); /* a chunk of fractions is asked for by now */
    }
}

static struct {
    uint64_t kills, inside, inside_histogram, reads, pages, last;
} seen;

static void note_where_it_died(void)
{
    struct kymo__segment *s = m.reg->segment;
    for (uint32_t ref = s->first_shard; ref != 0;) {
        const struct kymo__shard *shard = kymo__at(s, ref);
        const uint64_t *slot = (const uint64_t *)((const char *)&shard->ctl + shard->ctl.redo_slot);
        int busy = (int)(shard->ctl.busy & 1);
        seen.inside += (uint64_t)busy;
        seen.inside_histogram += busy && shard->ctl.redo_slot != 0 && (slot[0] & 1);
        ref = shard->next;
    }
}

static void never_less(struct counts *last)
{
    struct counts now = counts_read();
    for (int i = 0; i < ANEW; i++)
        CHECK(now.of[i] >= last->of[i]); /* K2 */
    *last = now;
    seen.reads++;
}

static pid_t writer_start(int attaches)
{
    memset(diary, 0, sizeof(*diary));
    fflush(NULL);
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0)
        write_until_killed(attaches);
    while (atomic_load(&diary->stage) != READY) {
        CHECK_INT(waitpid(pid, NULL, WNOHANG), 0);
        sched_yield();
    }
    return pid;
}

/*
 * Observations of the histogram that begins anew: when all was settled last, and begun since then. What it has ever
 * counted is known where nobody is in the middle of beginning anew: when a writer has settled what the ones before left,
 * and waits. Who died in the middle of noting what the old buckets held took that note along, so that the account may be
 * short of what no visitor will see any more; it never has anything twice.
 */
static struct {
    uint64_t settled, begun;
} anew;

static void anew_is_settled(void)
{
    uint64_t now = counts_read().of[ANEW];
    CHECK(now >= anew.settled);
    CHECK(now <= anew.settled + anew.begun);
    anew.settled = now;
    anew.begun = 0;
}

/* One life: from the counts at its birth to those after its death. */
static void kill_a_writer(struct counts *last, int attaches, uint64_t *random, struct watch *watch)
{
    struct counts base = *last;
    pid_t pid = writer_start(attaches);
    if (attaches)
        anew_is_settled();
    base.of[ANEW] = counts_read().of[ANEW];
    counts_are(&base, 0); /* settling what the last one left changed nothing that can be read */
    atomic_store(&diary->stage, GO);
    while (atomic_load(&diary->confirmed[CALLS - 1]) < random_next(random) % 64)
        sched_yield();
    for (uint64_t looks = random_next(random) % 16; looks > 0; looks--)
        never_less(last);
    for (volatile uint64_t spin = random_next(random) % 4096; spin > 0; spin--) {
    }
    REQUIRE(kill(pid, SIGKILL) == 0);
    REQUIRE(waitpid(pid, NULL, 0) == pid);
    seen.kills++;
    note_where_it_died();
    never_less(last);
    anew.begun += diary->begun[ANEW];
    for (int i = 0; i < ANEW; i++) {
        CHECK(last->of[i] >= base.of[i] + diary->confirmed[i]);
        CHECK(last->of[i] <= base.of[i] + diary->begun[i]);
    }
    if (seen.kills % 8 == 0) {
        struct text_page page = watch_page(watch, m.reg);
        text_page_free(&page);
        seen.pages++;
    }
}

static void a_killed_writer_leaves_whole_updates(void)
{
    static struct watch watch;
    uint64_t random = 362436069u;
    unsigned kills = test_long() ? 4000 : 400;
    metrics_share();
    diary = mmap(NULL, sizeof(*diary), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(diary != MAP_FAILED);
    struct counts last = counts_read();
    for (unsigned i = 0; i < kills; i++)
        kill_a_writer(&last, i % 4 != 3, &random, &watch); /* every fourth through the shared store */
    printf("kill: %" PRIu64 " kills, %" PRIu64 " inside an update, %" PRIu64 " of them a histogram's; %" PRIu64
           " x %d values read, %" PRIu64 " pages, %" PRIu64 " observations\n",
           seen.kills, seen.inside, seen.inside_histogram, seen.reads, CALLS, seen.pages,
           last.of[OBSERVE_A] + 3 * last.of[OBSERVE_B]);
    CHECK(seen.inside > 0);
    CHECK(!test_long() || seen.inside_histogram > 0);
    munmap(diary, sizeof(*diary));
    kymo_registry_free(m.reg);
}

/* ---- K6, where it would show: a child that was never settled, in memory that it shares with its parent ---- */

static void all_calls(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        for (int call = 0; call < CALLS; call++)
            record(call, i);
}

static void a_child_writes_nowhere_its_parent_writes(void)
{
    enum { CHILDREN = 2 };
    unsigned n = test_long() ? 5000000 : 300000;
    pid_t children[CHILDREN];
    metrics_share();
    CHECK_INT(kymo_thread_attach(m.reg), 0);
    all_calls(100);
    struct counts before = counts_read();
    fflush(NULL);
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        REQUIRE(children[i] >= 0);
        if (children[i] == 0) {
            alarm(10 * HANG_SECONDS);
            all_calls(n);
            _exit(0);
        }
    }
    all_calls(n);
    for (int i = 0; i < CHILDREN; i++)
        child_must_be_well(children[i]);
    counts_are(&before, (CHILDREN + 1) * (uint64_t)n);
    printf("kill, one segment: a parent and %d children x %u x %d recordings at once\n", CHILDREN, n, CALLS);
    kymo_registry_free(m.reg);
}

/* ---- step by step ---- */

#if defined(__x86_64__)

#define TRAP_FLAG 0x100u

/* Memory for the registry that may be asked for at any instruction: malloc() may not, under a child's feet. */
static struct {
    char *at, *end;
} arena;

static void *arena_alloc(void *ctx, size_t bytes)
{
    (void)ctx;
    bytes = (bytes + 31) & ~(size_t)31;
    if ((size_t)(arena.end - arena.at) < bytes)
        return NULL;
    arena.at += bytes;
    return arena.at - bytes;
}

static void arena_free(void *ctx, void *ptr, size_t bytes)
{
    (void)ctx;
    (void)ptr;
    (void)bytes;
}

/* The system's clock is read again if it ticked meanwhile: in single steps, again and again. */
static struct stopped_clock stopped;

/* How often the end of the series "gone" was announced, and of one of the same labels that came after it. */
static struct {
    unsigned of_first, of_second;
} ends;

enum { FIRST_VALUE = 5 };

static void note_end(void *ctx, const struct kymo_event *event)
{
    int counter = event->family->kind == KYMO_COUNTER;
    (void)ctx;
    if (event->point->labels_len != 8 || memcmp(event->point->labels, "i=\"gone\"", 8) != 0)
        return;
    uint64_t v = counter ? event->point->value.counter.whole : event->point->value.histogram.count;
    ends.of_first += v == FIRST_VALUE;
    ends.of_second += v != FIRST_VALUE;
}

static void metrics_in_arena(void)
{
    const size_t bytes = (size_t)256 << 20;
    const struct kymo_allocator allocator = {sizeof(allocator), NULL, arena_alloc, arena_free};
    stopped = (struct stopped_clock){1700000000000000000, 0};
    const struct kymo_clock clock = {sizeof(clock), &stopped, stopped_wall, stopped_monotonic};
    struct kymo_registry_options o = {
        .size = sizeof(o), .allocator = &allocator, .clock = &clock, .event = note_end, .no_self_metrics = 1};
    arena.at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    REQUIRE(arena.at != MAP_FAILED);
    arena.end = arena.at + bytes;
    REQUIRE(kymo_registry_new(&o, &m.reg) == 0);
    metrics_fill();
}

static struct {
    sigjmp_buf out;
    volatile uint64_t steps, children;
    uint64_t stride;
    int give_up; /* at so many failures: what is wrong at one instruction is so at the next */
    volatile int in_child;
} stepper;

/* After each instruction of the call. The handler itself runs without the flag. */
static void on_step(int signal_number)
{
    (void)signal_number;
    if (stepper.steps++ % stepper.stride != 0 || test_failures >= stepper.give_up)
        return;
    pid_t pid = fork();
    if (pid == 0) {
        stepper.in_child = 1;
        siglongjmp(stepper.out, 1);
    }
    REQUIRE(pid > 0);
    stepper.children++;
    child_must_be_well(pid);
}

static void trap_flag(int on)
{
    unsigned long long flags = __builtin_ia32_readeflags_u64();
    __builtin_ia32_writeeflags_u64(on ? flags | TRAP_FLAG : flags & ~(unsigned long long)TRAP_FLAG);
}

/* A call to be stopped everywhere, and what a child does that finds it half done. */
struct stepped {
    const char *name;
    void (*call)(unsigned round);
    void (*survive)(unsigned round);
    unsigned rounds, thorough; /* the round in which no instruction is passed over */
};

static void step_through(const struct stepped *what, unsigned round)
{
    if (sigsetjmp(stepper.out, 1) == 0) {
        trap_flag(1);
        what->call(round);
        trap_flag(0);
        return;
    }
    alarm(HANG_SECONDS);
    test_failures = 0;
    what->survive(round);
    if (test_failures != 0)
        fprintf(stderr, "after instruction %" PRIu64 " of %s, round %u\n", stepper.steps, what->name, round);
    fflush(NULL);
    _exit(test_failures != 0);
}

static void stop_everywhere_in(const struct stepped *what)
{
    struct sigaction action, before;
    memset(&action, 0, sizeof(action));
    action.sa_handler = on_step;
    REQUIRE(sigaction(SIGTRAP, &action, &before) == 0);
    stepper.steps = stepper.children = 0;
    stepper.give_up = test_failures + 10;
    uint64_t stride = stepper.stride;
    for (unsigned round = 0; round < what->rounds; round++) {
        stepper.stride = round == what->thorough ? 1 : stride;
        step_through(what, round);
    }
    stepper.stride = stride;
    REQUIRE(sigaction(SIGTRAP, &before, NULL) == 0);
    printf("kill, stopped in %s: %" PRIu64 " instructions, %" PRIu64 " children went on\n", what->name, stepper.steps,
           stepper.children);
    CHECK(stepper.steps > 50);
}

/* ---- what every survivor must be able to do ---- */

/* Counts of the fixed metrics before the call, and at most how much the call may add to each. */
static struct counts known;
static struct counts may_add;

static void page_must_be_good(void)
{
    static struct watch watch;
    memset(&watch, 0, sizeof(watch));
    struct text_page page = watch_page(&watch, m.reg);
    text_page_free(&page);
}

static void survive_recording(unsigned round)
{
    (void)round;
    page_must_be_good();
    struct counts now = counts_read();
    for (int i = 0; i < CALLS; i++)
        CHECK(now.of[i] >= known.of[i] && now.of[i] <= known.of[i] + may_add.of[i]);
    all_calls(20);
    counts_are(&now, 20);
    CHECK_INT(kymo_thread_attach(m.reg), 0);
    counts_are(&now, 20);
    all_calls(20);
    CHECK_INT(kymo_registry_sweep(m.reg, 0), 0);
    all_calls(20);
    counts_are(&now, 60);
    page_must_be_good();
}

static void call_recording(unsigned round)
{
    record((int)round % CALLS, round);
}

/* Series of the family "made": from the table's first to its third size. */
enum { MADE = 40 };
static struct kymo_counter_family *made;
static struct kymo_counter *made_handles[MADE];
static char made_values[MADE + 2][8];

static void call_with(unsigned round)
{
    made_handles[round] = kymo_counter_with(made, KYMO_VALUES(made_values[round]));
}

/* Tables grow and take the place of those that were outgrown; afterwards each series has its own value still. */
static void survive_growth(void)
{
    struct kymo_counter_family *others[3] = {made};
    struct kymo_counter *c[3][2 * MADE];
    char value[16];
    (void)kymo_registry_sweep(m.reg, 0);
    CHECK_INT(
        kymo_counter_family_new(m.reg, KYMO_DESC(.name = "other_total", .help = "x", KYMO_LABELS("i")), &others[1]), 0);
    CHECK_INT(
        kymo_counter_family_new(m.reg, KYMO_DESC(.name = "third_total", .help = "x", KYMO_LABELS("i")), &others[2]), 0);
    for (unsigned i = 0; i < 2 * MADE; i++) {
        (void)snprintf(value, sizeof(value), "more %u", i);
        for (unsigned k = 0; k < 3; k++) {
            c[k][i] = kymo_counter_with(others[k], KYMO_VALUES(value));
            kymo_counter_add_int(c[k][i], 100 * k + i);
        }
        if (i % 8 == 7)
            (void)kymo_registry_sweep(m.reg, 0);
    }
    for (unsigned i = 0; i < 2 * MADE; i++) {
        (void)snprintf(value, sizeof(value), "more %u", i);
        for (unsigned k = 0; k < 3; k++) {
            CHECK(kymo_counter_with(others[k], KYMO_VALUES(value)) == c[k][i]);
            CHECK_DOUBLE(kymo_counter_value(c[k][i]), 100 * k + i);
        }
    }
}

/* The half-made series can be had, and one more; none takes what is recorded into another (K7). */
static void survive_with(unsigned round)
{
    page_must_be_good();
    struct kymo_counter *half = kymo_counter_with(made, KYMO_VALUES(made_values[round]));
    struct kymo_counter *next = kymo_counter_with(made, KYMO_VALUES(made_values[round + 1]));
    CHECK(half != NULL && next != NULL && half != next);
    kymo_counter_add_int(half, 1000);
    kymo_counter_add_int(next, 3000);
    kymo_counter_family_inc(made, KYMO_VALUES(made_values[round]));
    for (unsigned i = 0; i < round; i++) {
        CHECK(kymo_counter_with(made, KYMO_VALUES(made_values[i])) == made_handles[i]);
        kymo_counter_add_int(made_handles[i], i + 1);
    }
    for (unsigned i = 0; i < round; i++)
        CHECK_DOUBLE(kymo_counter_value(made_handles[i]), i + 1);
    survive_growth();
    CHECK_DOUBLE(kymo_counter_value(half), 1001);
    CHECK_DOUBLE(kymo_counter_value(next), 3000);
    CHECK(kymo_counter_with(made, KYMO_VALUES(made_values[round])) == half);
    survive_recording(round);
}

static void survive_reclaim(unsigned round)
{
    survive_growth();
    survive_recording(round);
}

static void call_sweep(unsigned round)
{
    (void)round;
    (void)kymo_registry_sweep(m.reg, 0);
}

static void call_register(unsigned round)
{
    struct kymo_histogram *h;
    (void)round;
    (void)kymo_histogram_new(m.reg, EXACT_DESC(.name = "exact_new", .unit = NULL), &h);
}

static void survive_register(unsigned round)
{
    struct kymo_histogram *h;
    int r = kymo_histogram_new(m.reg, EXACT_DESC(.name = "exact_new"), &h);
    CHECK(r == 0 || r == KYMO_EEXIST);
    if (r == KYMO_EEXIST) {
        CHECK_INT(kymo_registry_unregister(m.reg, "exact_new"), 0);
        CHECK_INT(kymo_histogram_new(m.reg, EXACT_DESC(.name = "exact_new"), &h), 0);
    }
    kymo_histogram_observe_n(h, 4, 5);
    CHECK_U64(exact_count(h), 5);
    survive_recording(round);
}

static void call_unregister(unsigned round)
{
    (void)round;
    (void)kymo_registry_unregister(m.reg, "exact_new");
}

static void call_attach(unsigned round)
{
    (void)round;
    (void)kymo_thread_attach(m.reg);
}

static void call_detach(unsigned round)
{
    (void)round;
    kymo_thread_detach();
}

static int drop(void *ctx, const char *data, size_t n)
{
    (void)ctx;
    (void)data;
    (void)n;
    return 0;
}

static void call_scrape(unsigned round)
{
    const struct kymo_sink sink = {sizeof(sink), NULL, drop};
    (void)round;
    (void)kymo_registry_write(m.reg, kymo_format_find("text"), &sink);
}

/* ---- what a survivor must find where a series was ending ---- */

enum { FORGOTTEN, IDLE };              /* why it ends */
enum { REVIVED, REPLACED, NO_HANDLE }; /* with a handle out and KYMO_REVIVE or KYMO_TO_OVERFLOW, or with none */

/* A family with the series "gone", which ends with 5 in it, and "stays", which has 7. */
static struct {
    int why, mode, histogram;
    struct kymo_counter_family *c;
    struct kymo_histogram_family *h;
    void *gone, *stays; /* handles */
} ending;

static void *ending_with(const char *value)
{
    return ending.histogram ? (void *)kymo_histogram_with(ending.h, KYMO_VALUES(value))
                            : (void *)kymo_counter_with(ending.c, KYMO_VALUES(value));
}

static void ending_add(void *handle, unsigned n)
{
    if (ending.histogram)
        kymo_histogram_observe_n(handle, 4, n);
    else
        kymo_counter_add_int(handle, n);
}

static uint64_t ending_value(const void *handle)
{
    return ending.histogram ? exact_count(handle) : (uint64_t)kymo_counter_value(handle);
}

/* Through the old handle, or by labels if there is none. */
static void ending_add_to_gone(unsigned n)
{
    if (ending.mode != NO_HANDLE)
        ending_add(ending.gone, n);
    for (unsigned i = 0; ending.mode == NO_HANDLE && i < n; i++) {
        if (ending.histogram)
            kymo_histogram_family_observe(ending.h, 4, KYMO_VALUES("gone"));
        else
            kymo_counter_family_inc(ending.c, KYMO_VALUES("gone"));
    }
}

static const char *ending_name(void)
{
    return ending.histogram ? "exact_ending" : "ending_total";
}

static int ending_forget(const char *value)
{
    return kymo_registry_forget(m.reg, ending_name(), KYMO_VALUES(value));
}

/* What a page shows; -1: it is not there. */
struct shown {
    double gone, stays, fresh, others; /* fresh: "new", others: "__other__" */
};

static struct shown ending_shown(void)
{
    static struct watch watch;
    struct shown shown = {-1, -1, -1, -1};
    const char *name = ending.histogram ? "exact_ending_count" : "ending_total";
    const struct text_sample *s;
    memset(&watch, 0, sizeof(watch));
    struct text_page page = watch_page(&watch, m.reg);
    for (size_t i = 0; (s = text_find(&page, name, i)) != NULL; i++) {
        const char *value = text_label_value(&page, s, "i");
        double *of = strcmp(value, "gone") == 0        ? &shown.gone
                     : strcmp(value, "stays") == 0     ? &shown.stays
                     : strcmp(value, "new") == 0       ? &shown.fresh
                     : strcmp(value, "__other__") == 0 ? &shown.others
                                                       : NULL;
        CHECK(of == NULL || *of == -1); /* no series twice */
        if (of != NULL)
            *of = s->value;
    }
    text_page_free(&page);
    CHECK_DOUBLE(shown.stays, 7);
    return shown;
}

/* Whether it has ended by now: then it was announced, once, or a second time if it was stopped right after that. */
static int has_ended(void)
{
    CHECK(ends.of_first <= 2 && ends.of_second == 0);
    return ends.of_first != 0;
}

/* The three that were recorded are where the labels live, and if nothing lives, in the overflow series. */
static void three_are_there(struct shown now, int was_ready)
{
    if (!has_ended()) {
        CHECK_DOUBLE(now.gone, FIRST_VALUE + 3);
        CHECK_DOUBLE(now.others, -1);
    } else if (ending.mode == REPLACED || (!was_ready && now.gone == -1)) {
        CHECK_DOUBLE(now.gone, -1);
        CHECK_DOUBLE(now.others, 3);
        CHECK(ending.mode != NO_HANDLE);
    } else {
        CHECK_DOUBLE(now.gone, 3);
        CHECK_DOUBLE(now.others, -1);
    }
}

/* Its labels are asked for again, and others: each has a series of its own, among many more. */
static void survive_end_and_create(void)
{
    enum { MORE = 24 };
    void *more[MORE], *gone = ending_with("gone"), *fresh = ending_with("new");
    char value[8];
    CHECK(gone != NULL && fresh != NULL && gone != fresh);
    CHECK(ending.mode == NO_HANDLE || gone == ending.gone);
    CHECK(ending_with("stays") == ending.stays);
    uint64_t before = ending_value(gone);
    ending_add(gone, 10);
    ending_add(fresh, 20);
    for (unsigned i = 0; i < MORE; i++) {
        (void)snprintf(value, sizeof(value), "%u", i);
        more[i] = ending_with(value);
        CHECK_U64(ending_value(more[i]), 0); /* K7 */
        ending_add(more[i], 100 + i);
    }
    for (unsigned i = 0; i < MORE; i++)
        CHECK_U64(ending_value(more[i]), 100 + i);
    CHECK_U64(ending_value(gone), before + 10);
    CHECK_U64(ending_value(fresh), 20);
    CHECK_U64(ending_value(ending.stays), 7);
    struct shown now = ending_shown();
    CHECK_DOUBLE(now.gone, (double)before + 10);
    CHECK_DOUBLE(now.fresh, 20);
}

/* What was asked for again ends again, as a series should. */
static void survive_end_and_forget(void)
{
    unsigned announced = ends.of_second;
    struct shown before = ending_shown();
    CHECK_INT(ending_forget("gone"), 0);
    CHECK_U64(ends.of_second, announced + 1);
    CHECK_INT(ending_forget("new"), 0);
    CHECK_INT(ending_forget("gone"), KYMO_ENOENT);
    struct shown now = ending_shown();
    CHECK(now.gone == -1 && now.fresh == -1 && now.others == before.others);
    ending_add_to_gone(2);
    now = ending_shown();
    CHECK_DOUBLE(now.gone, ending.mode == REPLACED ? -1 : 2);
    CHECK_DOUBLE(now.others, ending.mode != REPLACED ? before.others : before.others == -1 ? 2 : before.others + 2);
    void *fresh = ending_with("new");
    CHECK(fresh != NULL);
    CHECK_U64(ending_value(fresh), 0); /* K7 */
}

/* Every other child records before anything was settled. */
static void survive_end(unsigned round)
{
    int early = (int)(stepper.steps / stepper.stride % 2);
    if (early)
        ending_add_to_gone(3);
    struct shown now = ending_shown();
    if (!early) {
        CHECK_DOUBLE(now.gone, has_ended() ? -1 : FIRST_VALUE);
        CHECK_DOUBLE(now.others, -1);
        ending_add_to_gone(3);
        now = ending_shown();
    }
    three_are_there(now, !early);
    survive_end_and_create();
    survive_end_and_forget();
    survive_recording(round);
}

static void call_end(unsigned round)
{
    (void)round;
    if (ending.why == IDLE)
        (void)kymo_registry_sweep(m.reg, 0);
    else
        (void)ending_forget("gone");
}

/* ---- the calls ---- */

static void recordings_are_stopped_everywhere(void)
{
    const struct stepped own = {"a recording in its own shard", call_recording, survive_recording, CALLS, 0};
    const struct stepped shared = {"a recording in the shared store", call_recording, survive_recording, CALLS, 0};
    metrics_in_arena();
    CHECK_INT(kymo_thread_attach(m.reg), 0);
    all_calls(10);
    CHECK_INT(kymo_registry_sweep(m.reg, 0), 0); /* fractions, too */
    all_calls(10);
    known = counts_read();
    for (int i = 0; i < CALLS; i++)
        may_add.of[i] = 1;
    stepper.stride = 1;
    stop_everywhere_in(&own);
    counts_are(&known, 1);
    known = counts_read();
    kymo_thread_detach();
    stop_everywhere_in(&shared);
    counts_are(&known, 1);
    memset(&may_add, 0, sizeof(may_add));
    kymo_registry_free(m.reg);
}

/* Round after round a value that needs a bucket of its own: buckets are merged, the zero bucket widens, it begins anew. */
static void call_native(unsigned round)
{
    stopped.wall_ns += 150000; /* it may begin anew every 200000 */
    stopped.monotonic_ns += 150000;
    native_three_observe(&m.native, round % 2 == 0 ? THREE_MERGED : THREE_ANEW, 37 * round);
}

static void survive_native(unsigned round)
{
    known.of[NATIVE + THREE_MERGED] += (round + 1) / 2;
    known.of[NATIVE + THREE_ANEW] += round / 2;
    survive_recording(round);
}

static void natives_are_stopped_everywhere(void)
{
    struct stepped own = {"a native observation in its own shard", call_native, survive_native, 1, UINT_MAX};
    struct stepped shared = {"a native observation in the shared store", call_native, survive_native, 1, UINT_MAX};
    const unsigned rounds = test_long() ? 80 : 40;
    metrics_in_arena();
    own.rounds = shared.rounds = rounds;
    CHECK_INT(kymo_thread_attach(m.reg), 0);
    for (int i = 0; i < 2; i++) {
        known = counts_read();
        memset(&may_add, 0, sizeof(may_add));
        may_add.of[NATIVE + THREE_MERGED] = may_add.of[NATIVE + THREE_ANEW] = 1;
        stepper.stride = test_long() ? 7 : 97;
        stop_everywhere_in(i == 0 ? &own : &shared);
        struct counts now = counts_read();
        CHECK_U64(now.of[NATIVE + THREE_MERGED], known.of[NATIVE + THREE_MERGED] + rounds / 2);
        CHECK_U64(now.of[NATIVE + THREE_ANEW], known.of[NATIVE + THREE_ANEW] + rounds / 2);
        kymo_thread_detach();
    }
    memset(&may_add, 0, sizeof(may_add));
    kymo_registry_free(m.reg);
}

static void creations_are_stopped_everywhere(void)
{
    /* Round 14 makes a table of 16 entries grow. */
    const struct stepped with = {"the creation of a series", call_with, survive_with, test_long() ? MADE : 17, 14};
    const struct stepped reclaim = {"a sweep that takes tables back", call_sweep, survive_reclaim, 1, 0};
    const struct stepped enter = {"the registration of a family", call_register, survive_register, 1, 1};
    const struct stepped leave = {"its end", call_unregister, survive_register, 1, 1};
    metrics_in_arena();
    all_calls(10);
    known = counts_read();
    stepper.stride = test_long() ? 1 : 13;
    REQUIRE(kymo_counter_family_new(m.reg, KYMO_DESC(.name = "made_total", .help = "x", KYMO_LABELS("i")), &made) == 0);
    for (unsigned i = 0; i < MADE + 2; i++)
        (void)snprintf(made_values[i], sizeof(made_values[i]), "%u", i);
    for (unsigned i = 0; i < MADE; i++)
        made_handles[i] = NULL;
    stop_everywhere_in(&with);
    stop_everywhere_in(&reclaim); /* of the table that was outgrown */
    stepper.stride = test_long() ? 1 : 5;
    stop_everywhere_in(&enter);
    stop_everywhere_in(&leave);
    counts_are(&known, 0);
    kymo_registry_free(m.reg);
}

static void ending_new(int why, int mode, int histogram)
{
    const struct kymo_guard guard = {.after_end = mode == REPLACED ? KYMO_TO_OVERFLOW : KYMO_REVIVE,
                                     .idle_ns = why == IDLE ? 1000000000 : 0};
    memset(&ends, 0, sizeof(ends));
    memset(&ending, 0, sizeof(ending));
    ending.why = why;
    ending.mode = mode;
    ending.histogram = histogram;
    if (histogram)
        REQUIRE(kymo_histogram_family_new(
                    m.reg, EXACT_DESC(.name = "exact_ending", .exemplar_every = 1, KYMO_LABELS("i"), .guard = &guard),
                    &ending.h) == 0);
    else
        REQUIRE(kymo_counter_family_new(
                    m.reg, KYMO_DESC(.name = "ending_total", .help = "x", KYMO_LABELS("i"), .guard = &guard),
                    &ending.c) == 0);
    ending.gone = ending_with("gone");
    ending.stays = ending_with("stays");
    ending_add(ending.gone, FIRST_VALUE);
    ending_add(ending.stays, 6);
    if (mode == NO_HANDLE && histogram)
        kymo_histogram_release(ending.gone);
    else if (mode == NO_HANDLE)
        kymo_counter_release(ending.gone);
    stopped.monotonic_ns = 1000000000;
    CHECK_INT(kymo_registry_sweep(m.reg, 0), 0); /* sees both change; from here on, only one does */
    stopped.monotonic_ns += why == IDLE ? 2000000000 : 0;
    ending_add(ending.stays, 1);
}

/* The same in the process that went through it. */
static void ending_is_over(void)
{
    struct shown now = ending_shown();
    CHECK_U64(ends.of_first, 1);
    CHECK_DOUBLE(now.gone, -1);
    ending_add_to_gone(3);
    three_are_there(ending_shown(), 1);
    counts_are(&known, 0);
}

static void ends_are_stopped_everywhere(void)
{
    static const char *const whys[] = {"the forgetting of a", "an idle sweep over a"};
    static const char *const kinds[] = {"counter", "histogram"};
    static const char *const modes[] = {"to be revived", "to be replaced", "without a handle"};
    char name[80];
    for (int i = 0; i < 12; i++) {
        const struct stepped end = {name, call_end, survive_end, 1, 1};
        (void)snprintf(name, sizeof(name), "%s %s %s", whys[i / 6], kinds[i % 2], modes[i / 2 % 3]);
        metrics_in_arena();
        all_calls(10);
        known = counts_read();
        ending_new(i / 6, i / 2 % 3, i % 2);
        stepper.stride = test_long() ? 1 : 29;
        stop_everywhere_in(&end);
        ending_is_over();
        kymo_registry_free(m.reg);
    }
}

/* Another thread has the shard that there is, so that this one gets a new one, chunk by chunk. */
static pthread_barrier_t meet;

static void *own_the_shard(void *arg)
{
    (void)arg;
    metrics_in_arena();
    all_calls(10);
    pthread_barrier_wait(&meet);
    pthread_barrier_wait(&meet);
    return NULL;
}

static void shards_that_change_hands_are_stopped_everywhere(void)
{
    const struct stepped first = {"the making of a shard", call_attach, survive_recording, 1, 1};
    const struct stepped leave = {"the end of a thread", call_detach, survive_recording, 1, 1};
    const struct stepped adopt = {"the adoption of a shard", call_attach, survive_recording, 1, 1};
    const struct stepped sweep = {"a sweep that makes a chunk", call_sweep, survive_recording, 1, 1};
    const struct stepped scrape = {"a scrape", call_scrape, survive_recording, 1, 1};
    pthread_t thread;
    pthread_barrier_init(&meet, NULL, 2);
    REQUIRE(pthread_create(&thread, NULL, own_the_shard, NULL) == 0);
    pthread_barrier_wait(&meet);
    known = counts_read();
    stepper.stride = test_long() ? 1 : 3;
    kymo_thread_detach();
    stop_everywhere_in(&first);
    stop_everywhere_in(&leave);
    stop_everywhere_in(&adopt);
    all_calls(1); /* asks for a chunk of fractions */
    known = counts_read();
    stop_everywhere_in(&sweep);
    stepper.stride = test_long() ? 3 : 31;
    stop_everywhere_in(&scrape);
    counts_are(&known, 0);
    pthread_barrier_wait(&meet);
    pthread_join(thread, NULL);
    kymo_registry_free(m.reg);
}

#else

static void recordings_are_stopped_everywhere(void)
{
    test_skip("stepping through calls uses the trap flag of x86-64");
}

#define natives_are_stopped_everywhere recordings_are_stopped_everywhere
#define creations_are_stopped_everywhere recordings_are_stopped_everywhere
#define shards_that_change_hands_are_stopped_everywhere recordings_are_stopped_everywhere
#define ends_are_stopped_everywhere recordings_are_stopped_everywhere

#endif

TEST_MAIN(TEST(a_killed_writer_leaves_whole_updates), TEST(a_child_writes_nowhere_its_parent_writes),
          TEST(recordings_are_stopped_everywhere), TEST(natives_are_stopped_everywhere),
          TEST(creations_are_stopped_everywhere), TEST(ends_are_stopped_everywhere),
          TEST(shards_that_change_hands_are_stopped_everywhere))
