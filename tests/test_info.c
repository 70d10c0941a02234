/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_info.c - info and state sets: one series each, refused by name, changed by anybody at any moment.
 *
 * How: values are read through a visitor. Threads, signal handlers and children of fork() change bits of one set, of
 * which none may be lost; whatever fails leaves the registry as it was.
 */
#include "torture.h"

#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/core.h"

static struct heap heap = HEAP_INIT;
static struct kymo_registry *reg;

static void bed_with_shards(size_t max_shards)
{
    const struct kymo_allocator allocator = {sizeof(allocator), &heap, heap_alloc, heap_free};
    struct kymo_registry_options o = {.size = sizeof(o), .allocator = &allocator, .max_shards = max_shards};
    REQUIRE(kymo_registry_new(&o, &reg) == 0);
}

static void bed_make(void)
{
    bed_with_shards(0);
}

static void bed_end(void)
{
    kymo_registry_free(reg);
    heap_must_be_empty(&heap);
}

/* What was seen of a family: how often, its labels, its states. */
struct seen {
    const char *family;
    enum kymo_kind kind;
    size_t n;
    uint64_t states;
    char labels[1024];
};

static int see(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    struct seen *seen = ctx;
    if (strcmp(family->name, seen->family) != 0)
        return 0;
    seen->n++;
    seen->kind = family->kind;
    seen->states = point->value.states;
    (void)snprintf(seen->labels, sizeof(seen->labels), "%.*s", (int)point->labels_len, point->labels);
    return 0;
}

static struct seen look(const char *family)
{
    struct seen seen = {.family = family};
    const struct kymo_visitor visitor = {sizeof(visitor), &seen, NULL, see, NULL};
    CHECK_INT(kymo_registry_visit(reg, &visitor), 0);
    return seen;
}

static uint64_t states_of(const char *family)
{
    struct seen seen = look(family);
    CHECK_U64(seen.n, 1);
    CHECK(seen.kind == KYMO_STATESET);
    return seen.states;
}

static int info_new(const char *name, const char *a, const char *b)
{
    return kymo_info_new(reg, KYMO_DESC(.name = name, .help = "Facts.", KYMO_LABELS("version", "model")),
                         (const char *const[]){a, b});
}

static struct kymo_stateset *phases_new(void)
{
    struct kymo_stateset *set;
    REQUIRE(kymo_stateset_new(reg, KYMO_DESC(.name = "phase", .help = "Phase.", KYMO_STATES("load", "run", "stop")),
                              &set) == 0);
    return set;
}

/* 64 states: as many as there may be. */
static struct kymo_stateset *wide_new(void)
{
    static char names[64][8];
    const char *states[64];
    struct kymo_stateset *set;
    for (int i = 0; i < 64; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "s%d", i);
        states[i] = names[i];
    }
    REQUIRE(kymo_stateset_new(reg, KYMO_DESC(.name = "wide", .help = "Wide.", .states = states, .n_states = 64),
                              &set) == 0);
    return set;
}

/* ---- info ---- */

static void test_an_info_has_one_series_with_its_values(void)
{
    char version[] = "1.2\"3";
    bed_make();
    CHECK_INT(info_new("build_info", version, "m\n1"), 0);
    version[0] = '9'; /* copied */
    struct seen seen = look("build_info");
    CHECK_U64(seen.n, 1);
    CHECK(seen.kind == KYMO_INFO);
    CHECK_STRING(seen.labels, "version=\"1.2\\\"3\",model=\"m\\n1\"");
    CHECK_INT(kymo_info_new(reg, KYMO_DESC(.name = "bare_info", .help = "None."), NULL), 0);
    CHECK_U64(look("bare_info").n, 1);
    CHECK(!page_mentions(reg, "family=\"build_info\"")); /* nothing of it can be refused */
    CHECK_INT(kymo_registry_unregister(reg, "build_info"), 0);
    CHECK_U64(look("build_info").n, 0);
    CHECK_INT(info_new("build_info", "2", "m"), 0);
    CHECK_STRING(look("build_info").labels, "version=\"2\",model=\"m\"");
    bed_end();
}

static void test_what_is_wrong_with_an_info_is_said_and_changes_nothing(void)
{
    static char longer[60002];
    struct kymo_registry_stats before = {.size = sizeof(before)}, after = before;
    memset(longer, 'x', sizeof(longer) - 1);
    bed_make();
    CHECK_INT(info_new("build_info", "1", "m"), 0);
    CHECK_INT(kymo_registry_get_stats(reg, &before), 0);
    CHECK_INT(info_new("build_info", "2", "m"), KYMO_EEXIST);
    CHECK_INT(info_new("build", "2", "m"), KYMO_ENAME);
    CHECK_INT(info_new("other_info", "\xff", "m"), KYMO_EUTF8);
    CHECK_INT(info_new("other_info", "1", NULL), KYMO_EINVAL);
    CHECK_INT(info_new("other_info", "1", longer), KYMO_ELIMIT);
    CHECK_INT(kymo_info_new(reg, KYMO_DESC(.name = "other_info", .help = "x", KYMO_LABELS("a")), NULL), KYMO_EINVAL);
    CHECK_INT(kymo_info_new(reg, KYMO_DESC(.name = "other_info", .help = "x", KYMO_LABELS("a", "a")),
                            (const char *const[]){"1", "2"}),
              KYMO_ELABEL);
    CHECK_INT(kymo_info_new(reg, KYMO_DESC(.name = "other_info", .help = "x", KYMO_LABELS("__a")),
                            (const char *const[]){"1"}),
              KYMO_ERESERVED);
    CHECK_INT(kymo_info_new(reg, KYMO_DESC(.name = "other_info", .help = ""), NULL), KYMO_EHELP);
    CHECK_INT(kymo_info_new(reg, NULL, NULL), KYMO_EINVAL);
    CHECK_INT(kymo_info_new(NULL, KYMO_DESC(.name = "other_info", .help = "x"), NULL), KYMO_EINVAL);
    CHECK_INT(kymo_registry_get_stats(reg, &after), 0);
    CHECK(memcmp(&before, &after, sizeof(before)) == 0);
    CHECK_INT(info_new("other_info", "1", "m"), 0);
    bed_end();
}

/* ---- state sets ---- */

static void test_states_are_set_and_switched(void)
{
    bed_make();
    struct kymo_stateset *set = phases_new();
    CHECK_U64(states_of("phase"), 0);
    kymo_stateset_set(set, 0, 1);
    kymo_stateset_set(set, 2, -5);
    CHECK_U64(states_of("phase"), 5);
    kymo_stateset_set(set, 0, 0);
    kymo_stateset_set(set, 1, 0);
    CHECK_U64(states_of("phase"), 4);
    kymo_stateset_switch(set, 1);
    CHECK_U64(states_of("phase"), 2);
    for (size_t i = 3; i < 130; i++) {
        kymo_stateset_set(set, i, 1);
        kymo_stateset_set(set, i, 0);
        kymo_stateset_switch(set, i);
    }
    kymo_stateset_switch(set, SIZE_MAX);
    kymo_stateset_set(NULL, 0, 1);
    kymo_stateset_switch(NULL, 0);
    CHECK_U64(states_of("phase"), 2);
    struct kymo_stateset *wide = wide_new();
    for (size_t i = 0; i < 64; i++)
        kymo_stateset_set(wide, i, i % 3 != 0);
    CHECK_U64(states_of("wide"), UINT64_C(0x6db6db6db6db6db6));
    kymo_stateset_switch(wide, 63);
    CHECK_U64(states_of("wide"), (uint64_t)1 << 63);
    bed_end();
}

static void test_what_is_wrong_with_a_state_set_is_said(void)
{
    struct kymo_stateset *set = (struct kymo_stateset *)&heap;
    bed_make();
    CHECK_INT(kymo_stateset_new(reg, KYMO_DESC(.name = "phase", .help = "x"), &set), KYMO_ESTATES);
    CHECK(set == NULL);
    CHECK_INT(kymo_stateset_new(reg, KYMO_DESC(.name = "phase", .help = "x", KYMO_STATES("a"), KYMO_LABELS("i")), &set),
              KYMO_EKIND);
    CHECK_INT(kymo_stateset_new(reg, KYMO_DESC(.name = "phase", .help = "x", KYMO_STATES("a", "a")), &set),
              KYMO_ESTATES);
    CHECK_INT(kymo_stateset_new(reg, KYMO_DESC(.name = "phase", .help = "x", KYMO_STATES("a")), NULL), KYMO_EINVAL);
    CHECK_INT(kymo_stateset_new(NULL, KYMO_DESC(.name = "phase", .help = "x", KYMO_STATES("a")), &set), KYMO_EINVAL);
    (void)phases_new();
    CHECK_INT(kymo_stateset_new(reg, KYMO_DESC(.name = "phase", .help = "x", KYMO_STATES("a")), &set), KYMO_EEXIST);
    CHECK(set == NULL);
    bed_end();
}

static void test_an_ended_state_set_is_never_written_again(void)
{
    bed_make();
    for (int round = 0; round < 20; round++) {
        struct kymo_stateset *set = phases_new(), *next;
        kymo_stateset_switch(set, 2);
        CHECK_INT(kymo_registry_unregister(reg, "phase"), 0);
        next = phases_new(); /* in the same slot */
        if (round & 1)
            kymo_thread_detach();
        kymo_stateset_switch(set, 0);
        kymo_stateset_set(set, 1, 1);
        CHECK_U64(states_of("phase"), 0);
        kymo_stateset_set(next, 1, 1);
        CHECK_U64(states_of("phase"), 2);
        CHECK_INT(kymo_registry_unregister(reg, "phase"), 0);
    }
    (void)phases_new();
    CHECK_U64(refused(reg, "phase", "unregistered"), 40);
    bed_end();
}

/* ---- by many ---- */

enum { THREADS = 4, SHARE = 64 / THREADS };
static struct kymo_stateset *shared;
static int attached;
static pthread_barrier_t begin;

static uint64_t states_now(const struct kymo_stateset *set)
{
    struct kymo_point point;
    return kymo__read_cell((const struct kymo__cell *)(const void *)set, NULL, &point) ? point.value.states : 0;
}

/* Each has states of its own: what it last said of them is what they are. */
static void *flip_own_states(void *arg)
{
    size_t first = (size_t)(uintptr_t)arg * SHARE;
    uint64_t random = first + 1, mine = 0;
    unsigned n = test_long() ? 2000000 : 200000;
    if (attached)
        CHECK_INT(kymo_thread_attach(reg), 0);
    pthread_barrier_wait(&begin);
    for (unsigned i = 0; i < n; i++) {
        size_t state = random_next(&random) % SHARE;
        int holds = (int)(random >> 32 & 1);
        kymo_stateset_set(shared, first + state, holds);
        mine = (mine & ~((uint64_t)1 << state)) | (uint64_t)holds << state;
        CHECK_U64(states_now(shared) >> first & 0xffff, mine);
    }
    for (size_t i = 0; i < SHARE; i++)
        kymo_stateset_set(shared, first + i, (int)(0xa53c >> i & 1));
    return NULL;
}

static void test_no_state_is_lost_between_threads(void)
{
    pthread_t threads[THREADS];
    REQUIRE(pthread_barrier_init(&begin, NULL, THREADS) == 0);
    for (attached = 0; attached < 2; attached++) {
        bed_with_shards(attached ? THREADS + 1 : 1); /* the one is this thread's: others go the slow way */
        shared = wide_new();
        for (uintptr_t i = 0; i < THREADS; i++)
            REQUIRE(pthread_create(&threads[i], NULL, flip_own_states, (void *)i) == 0);
        for (unsigned i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
        CHECK_U64(states_of("wide"), UINT64_C(0xa53ca53ca53ca53c));
        bed_end();
    }
    pthread_barrier_destroy(&begin);
}

static volatile uint64_t handled;

static void flip_in_handler(int signal_number)
{
    (void)signal_number;
    kymo_stateset_set(shared, 40 + handled % 8, (int)(handled >> 3 & 1));
    handled++;
}

/* The handler has states of its own as well; so has the child its set. */
static void test_handlers_and_children_change_states(void)
{
    const struct itimerval often = {{0, 61}, {0, 61}}, never = {{0, 0}, {0, 0}};
    struct sigaction action;
    bed_make();
    shared = wide_new();
    memset(&action, 0, sizeof(action));
    action.sa_handler = flip_in_handler;
    REQUIRE(sigaction(SIGALRM, &action, NULL) == 0);
    REQUIRE(setitimer(ITIMER_REAL, &often, NULL) == 0);
    uint64_t want = 0;
    for (unsigned i = 0; handled < 4000; i++) {
        kymo_stateset_set(shared, i % 40, (int)(i / 40 & 1));
        want = (want & ~((uint64_t)1 << i % 40)) | (uint64_t)(i / 40 & 1) << i % 40;
        if (i % 1000 == 0)
            CHECK_U64(states_of("wide") & 0xffffffffffu, want);
    }
    REQUIRE(setitimer(ITIMER_REAL, &never, NULL) == 0);
    for (uint64_t i = handled - 8; i < handled; i++)
        want |= (i >> 3 & 1) << (40 + i % 8);
    CHECK_U64(states_of("wide"), want);
    fflush(NULL);
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        test_failures = 0;
        kymo_stateset_set(shared, 63, 1); /* before anything may allocate */
        CHECK_U64(states_of("wide"), want | (uint64_t)1 << 63);
        CHECK_INT(kymo_after_fork_child(KYMO_FORK_ZERO), 0);
        kymo_stateset_switch(shared, 1);
        CHECK_U64(states_of("wide"), 2);
        _exit(test_failures != 0);
    }
    int status = -1;
    REQUIRE(waitpid(pid, &status, 0) == pid);
    CHECK_INT(status, 0);
    CHECK_U64(states_of("wide"), want);
    bed_end();
}

/* ---- memory ---- */

static int make_both(struct kymo_stateset **set)
{
    *set = NULL;
    int r = info_new("build_info", "1", "m");
    return r != 0 ? r
                  : kymo_stateset_new(reg, KYMO_DESC(.name = "phase", .help = "x", KYMO_STATES("load", "run")), set);
}

static void test_each_failing_allocation_leaves_nothing(void)
{
    for (int onwards = 0; onwards < 2; onwards++) {
        for (size_t n = 1, failed = 1; failed != 0; n++) {
            struct kymo_stateset *set;
            REQUIRE(n < 1000);
            bed_make();
            heap_arm(&heap, n, onwards);
            int r = make_both(&set);
            failed = heap.failed;
            heap_arm(&heap, 0, 0);
            CHECK(r == 0 || (r == KYMO_ENOMEM && failed != 0 && set == NULL));
            kymo_stateset_switch(set, 1); /* also where the thread got no memory of its own */
            CHECK(r != 0 || states_of("phase") == 2);
            if (r != 0)
                CHECK_U64(look("phase").n, 0);
            if (r != 0 && look("build_info").n == 1)
                CHECK_INT(kymo_registry_unregister(reg, "build_info"), 0);
            if (r != 0)
                CHECK_INT(make_both(&set), 0);
            bed_end();
        }
    }
}

TEST_MAIN(TEST(test_an_info_has_one_series_with_its_values),
          TEST(test_what_is_wrong_with_an_info_is_said_and_changes_nothing), TEST(test_states_are_set_and_switched),
          TEST(test_what_is_wrong_with_a_state_set_is_said), TEST(test_an_ended_state_set_is_never_written_again),
          TEST(test_no_state_is_lost_between_threads), TEST(test_handlers_and_children_change_states),
          TEST(test_each_failing_allocation_leaves_nothing))
