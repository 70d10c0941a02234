/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_allow.c - lists of the values that a label may have: what is on one is found and nothing else is, whatever its
 * size; a list is replaced as a whole while others read it; what was replaced is freed.
 *
 * How: lists of up to 1000 values beside near misses of each of them; threads that look values up, busy or in flight as
 * recorders are, while lists that never miss a certain value take each other's place; each allocation fails in turn.
 */
#include "core/guard.h"
#include "page.h"

static struct heap heap = HEAP_INIT;

static struct kymo_registry *registry_new(void)
{
    const struct kymo_allocator allocator = {sizeof(allocator), &heap, heap_alloc, heap_free};
    struct kymo_registry_options o;
    struct kymo_registry *reg;
    memset(&o, 0, sizeof(o));
    o.size = sizeof(o);
    o.allocator = &allocator;
    o.no_self_metrics = 1;
    o.config = "";
    REQUIRE(kymo_registry_new(&o, &reg) == 0);
    return reg;
}

static struct kymo__family *family_new(struct kymo_registry *reg)
{
    struct kymo_counter_family *f;
    REQUIRE(kymo_counter_family_new(reg, KYMO_DESC(.name = "c_total", .help = "C.", KYMO_LABELS("a", "b")), &f) == 0);
    return (struct kymo__family *)f;
}

static void registry_end(struct kymo_registry *reg)
{
    kymo_registry_free(reg);
    heap_must_be_empty(&heap);
}

static int set(struct kymo__family *f, uint32_t i, const char *const *values, size_t n)
{
    pthread_mutex_lock(&f->reg->lock);
    int r = kymo__allow_set(f, i, values, n);
    pthread_mutex_unlock(&f->reg->lock);
    return r;
}

/* ---- what is on a list ---- */

enum { MANY = 1000 };

static void must_have_exactly(const struct kymo__family *f, char (*texts)[24], size_t n)
{
    char near[32];
    for (size_t i = 0; i < MANY; i++) {
        CHECK_INT(kymo__allow_has(f, 0, texts[i]), i < n);
        (void)snprintf(near, sizeof(near), "%.23s ", texts[i]);
        CHECK_INT(kymo__allow_has(f, 0, near), 0);
        near[strlen(texts[i]) - 1] = '\0';
        CHECK_INT(kymo__allow_has(f, 0, near), 0);
        CHECK_INT(kymo__allow_has(f, 1, texts[i]), 1); /* that label has no list */
    }
    CHECK_INT(kymo__allow_has(f, 0, ""), 0);
    CHECK_INT(kymo__allow_has(f, 0, "__other__"), 1);
}

static void test_what_is_on_a_list_is_found_and_nothing_else(void)
{
    static const size_t sizes[] = {1, 2, 3, 4, 5, 8, 9, 31, 32, 33, 500, MANY};
    static char texts[MANY][24];
    const char *values[MANY];
    struct kymo_registry *reg = registry_new();
    struct kymo__family *f = family_new(reg);
    for (size_t i = 0; i < MANY; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "model-%03zu/x", i);
        values[i] = texts[i];
        CHECK_INT(kymo__allow_has(f, 0, texts[i]), 1); /* no list yet */
    }
    for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
        size_t n = 0;
        CHECK_INT(set(f, 0, values, sizes[k]), 0);
        must_have_exactly(f, texts, sizes[k]);
        const char *const *have = kymo__allow_values(f, 0, &n);
        CHECK_U64(n, sizes[k]);
        for (size_t i = 0; i < n; i++)
            CHECK_STRING(have[i], texts[i]); /* in their order */
    }
    CHECK_INT(set(f, 0, NULL, 0), 0);
    CHECK_INT(kymo__allow_has(f, 0, "whatever"), 1);
    registry_end(reg);
}

static void test_a_value_named_twice_is_there_once(void)
{
    static const char *const values[] = {"b", "a", "b", "", "a", ""};
    struct kymo_registry *reg = registry_new();
    struct kymo__family *f = family_new(reg);
    size_t n = 9;
    CHECK(kymo__allow_values(f, 0, &n) == NULL && n == 0);
    CHECK_INT(set(f, 0, values, 6), 0);
    const char *const *have = kymo__allow_values(f, 0, &n);
    CHECK_U64(n, 3);
    CHECK_STRING(have[0], "b");
    CHECK_STRING(have[1], "a");
    CHECK_STRING(have[2], "");
    CHECK_INT(kymo__allow_has(f, 0, ""), 1);
    registry_end(reg);
}

static void test_longer_values_than_the_guard_takes_are_refused_with_and_without_a_list(void)
{
    static char bytes[1026];
    const char *values[] = {bytes};
    struct kymo_registry *reg = registry_new();
    struct kymo__family *f = family_new(reg);
    memset(bytes, 'v', 1025);
    CHECK_INT(kymo__allow_has(f, 0, bytes), 0);
    CHECK_INT(kymo__allow_has(f, 0, bytes + 1), 1);
    CHECK_INT(set(f, 0, values, 1), 0);
    CHECK_INT(kymo__allow_has(f, 0, bytes), 0);
    f->guard.max_value_bytes = 1025;
    CHECK_INT(kymo__allow_has(f, 0, bytes), 1);
    CHECK_INT(kymo__allow_has(f, 0, bytes + 1), 0);
    f->guard.max_value_bytes = 1;
    CHECK_INT(kymo__allow_has(f, 0, "__other__"), 1);
    f->guard.max_value_bytes = UINT32_MAX;
    CHECK_INT(kymo__allow_has(f, 0, bytes), 1);
    registry_end(reg);
}

static void test_bad_lists_change_nothing(void)
{
    static const char *const good[] = {"a"}, *const not_utf8[] = {"b", "\xff"}, *const null[] = {"b", NULL};
    struct kymo_registry *reg = registry_new();
    struct kymo__family *f = family_new(reg);
    CHECK_INT(set(f, 0, good, 1), 0);
    CHECK_INT(set(f, 0, not_utf8, 2), KYMO_EUTF8);
    CHECK_INT(set(f, 0, null, 2), KYMO_EINVAL);
    CHECK_INT(set(f, 0, NULL, 2), KYMO_EINVAL);
    CHECK_INT(kymo__allow_has(f, 0, "a"), 1);
    CHECK_INT(kymo__allow_has(f, 0, "b"), 0);
    registry_end(reg);
}

static void test_each_failing_allocation_changes_nothing(void)
{
    static const char *const before[] = {"a"}, *const after[] = {"b"};
    for (int replaced = 0; replaced < 2; replaced++) {
        for (size_t n = 1, failed = 1; failed != 0; n++) {
            struct kymo_registry *reg = registry_new();
            struct kymo__family *f = family_new(reg);
            if (replaced)
                CHECK_INT(set(f, 0, before, 1), 0);
            heap_arm(&heap, n, 0);
            int r = set(f, 0, after, 1);
            failed = heap.failed;
            heap_arm(&heap, 0, 0);
            CHECK_INT(r, failed != 0 ? KYMO_ENOMEM : 0);
            CHECK_INT(kymo__allow_has(f, 0, "b"), failed == 0 || !replaced);
            CHECK_INT(kymo__allow_has(f, 0, "a"), failed != 0);
            registry_end(reg);
            REQUIRE(n < 10);
        }
    }
}

/* ---- while others read ---- */

struct reader {
    struct kymo__family *f;
    int stop;
    size_t n_looks;
};

/* As a recorder in flight: what it may look at is not freed before it left. */
static void *look_up(void *arg)
{
    struct reader *r = arg;
    while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
        int64_t *counter = kymo__in_flight_enter(r->f->reg->segment);
        CHECK_INT(kymo__allow_has(r->f, 0, "always"), 1);
        CHECK_INT(kymo__allow_has(r->f, 0, "never"), 0);
        kymo__in_flight_leave(counter);
        __atomic_fetch_add(&r->n_looks, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void test_a_list_is_replaced_while_others_read_it(void)
{
    static const char *const lists[3][4] = {{"always", "a"}, {"b", "c", "always", "d"}, {"e", "always", "e", "f"}};
    static const size_t sizes[3] = {2, 4, 4};
    struct kymo_registry *reg = registry_new();
    struct reader r = {family_new(reg), 0, 0};
    pthread_t threads[2];
    CHECK_INT(set(r.f, 0, lists[0], 2), 0);
    for (int i = 0; i < 2; i++)
        REQUIRE(pthread_create(&threads[i], NULL, look_up, &r) == 0);
    for (int i = 0; i < 2000 || __atomic_load_n(&r.n_looks, __ATOMIC_RELAXED) < 2000; i++)
        CHECK_INT(set(r.f, 0, lists[i % 3], sizes[i % 3]), 0);
    __atomic_store_n(&r.stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < 2; i++)
        REQUIRE(pthread_join(threads[i], NULL) == 0);
    registry_end(reg);
}

/* One that is stopped inside keeps what was replaced, for as long as that takes and no longer. */
static void test_what_may_still_be_read_is_kept_and_freed_later(void)
{
    static const char *const one[] = {"one"}, *const two[] = {"two"};
    struct kymo_registry *reg = registry_new();
    struct kymo__family *f = family_new(reg);
    CHECK_INT(set(f, 0, one, 1), 0);
    CHECK_INT(set(f, 0, two, 1), 0);
    size_t before = heap.live;
    if (kymo__os_membarrier() != 0)
        test_skip("this system has no membarrier: nothing is freed before the family is");
    int64_t *counter = kymo__in_flight_enter(reg->segment);
    size_t n;
    const char *const *read = kymo__allow_values(f, 0, &n);
    CHECK_INT(set(f, 0, one, 1), 0);
    CHECK_INT(set(f, 0, two, 1), 0);
    CHECK(heap.live > before);
    CHECK_STRING(read[0], "two");
    kymo__in_flight_leave(counter);
    CHECK_INT(set(f, 0, one, 1), 0);
    CHECK(kymo__os_membarrier() != 0 || heap.live == before);
    registry_end(reg);
}

TEST_MAIN(TEST(test_what_is_on_a_list_is_found_and_nothing_else), TEST(test_a_value_named_twice_is_there_once),
          TEST(test_longer_values_than_the_guard_takes_are_refused_with_and_without_a_list),
          TEST(test_bad_lists_change_nothing), TEST(test_each_failing_allocation_changes_nothing),
          TEST(test_a_list_is_replaced_while_others_read_it), TEST(test_what_may_still_be_read_is_kept_and_freed_later))
