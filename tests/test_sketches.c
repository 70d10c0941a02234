/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves core/distinct.h, core/top_sketch.h and core/top_candidates.h: what is estimated is as close as they say,
 * whoever adds, and what recorders leave for upkeep arrives whole.
 *
 * How: numbers of distinct values against estimates, for values that differ in few characters and for many seeds,
 * single and as a mean square, since a poor hash would show there first; streams of a Zipf distribution against exact
 * counts, with the two inequalities of Space-Saving checked for each of a million keys; and threads against what one
 * thread gets, or against what every label set says about itself.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* barriers */
#endif

#include "core/distinct.h"
#include "core/top_candidates.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

enum { THREADS = 4 };

/* ---- small things ---- */

static uint64_t scramble(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* A key as label sets have them: the lowest bit is 1. */
static uint32_t key_hash(uint64_t key)
{
    return (uint32_t)scramble(key) | 1;
}

static double uniform(uint64_t *state)
{
    *state = scramble(*state);
    return ((double)(*state >> 11) + 0.5) * 0x1p-53;
}

static void run_threads(void *(*body)(void *), void *args, size_t size)
{
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, body, (char *)args + i * size) == 0);
    for (size_t i = 0; i < THREADS; i++)
        REQUIRE(pthread_join(threads[i], NULL) == 0);
}

/* ---- distinct values ---- */

/* A text with a decimal number in it that counts on in place, since printing it anew would take most of the time. */
struct counting {
    char text[64];
    size_t first, last; /* digits */
};

static const struct {
    const char *before;
    int digits;
    const char *after;
} shapes[] = {
    {"user-", 8, ""},
    {"", 8, ""}, /* a whole word, then an empty one */
    {"session/", 9, "/of/a-long-name"},
    {"00000000-0000-4000-8000-", 12, ""},
};

enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

static void counting_init(struct counting *c, size_t shape)
{
    int n = snprintf(c->text, sizeof(c->text), "%s%0*d%s", shapes[shape].before, shapes[shape].digits, 0,
                     shapes[shape].after);
    REQUIRE(n > 0 && (size_t)n < sizeof(c->text));
    c->first = strlen(shapes[shape].before);
    c->last = c->first + (size_t)shapes[shape].digits - 1;
}

static void counting_next(struct counting *c)
{
    size_t i = c->last;
    while (c->text[i] == '9' && i > c->first)
        c->text[i--] = '0';
    c->text[i]++;
}

static double estimate_of(size_t shape, uint64_t seed, uint64_t n)
{
    static uint8_t registers[KYMO__DISTINCT_BYTES];
    struct counting c;
    memset(registers, 0, sizeof(registers));
    counting_init(&c, shape);
    for (uint64_t i = 0; i < n; i++, counting_next(&c))
        kymo__distinct_add(registers, kymo__distinct_hash(c.text, seed));
    return kymo__distinct_estimate(registers);
}

static void test_estimates_are_within_5_percent_for_any_number_seed_and_shape(void)
{
    static const uint64_t numbers[] = {1, 2, 10, 100, 1000, 10000, 100000, 1000000};
    double worst = 0;
    for (size_t shape = 0; shape < SHAPES; shape++)
        for (uint64_t seed = 0; seed < 5; seed++)
            for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
                double n = (double)numbers[i], have = estimate_of(shape, scramble(seed), numbers[i]);
                double off = fabs(have - n) / n;
                worst = off > worst ? off : worst;
                CHECK(off <= 0.05);
                if (off > 0.05)
                    fprintf(stderr, "  %s..., seed %d: %.0f of %.0f\n", shapes[shape].before, (int)seed, have, n);
            }
    printf("worst of all: %.2f %%\n", worst * 100);
}

static void test_ten_million_values_are_estimated_within_5_percent(void)
{
    double have = estimate_of(0, scramble(77), 10000000);
    printf("10000000 values: %.0f\n", have);
    CHECK(fabs(have - 1e7) <= 0.05 * 1e7);
}

static void test_the_standard_error_is_what_4096_good_registers_give(void)
{
    static const struct {
        uint64_t n;
        int seeds;
        double limit; /* a fifth above what theory says */
    } cases[] = {{1000, 400, 0.0097}, {10000, 200, 0.0107}, {100000, 60, 0.0148}};
    for (size_t shape = 0; shape < SHAPES; shape++)
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            double squares = 0, sum = 0, n = (double)cases[i].n, seeds = cases[i].seeds;
            for (int seed = 0; seed < cases[i].seeds; seed++) {
                double off = estimate_of(shape, scramble((uint64_t)seed), cases[i].n) / n - 1;
                squares += off * off;
                sum += off;
            }
            CHECK(sqrt(squares / seeds) < cases[i].limit);
            CHECK(fabs(sum / seeds) < 4 * cases[i].limit / sqrt(seeds)); /* no bias */
        }
}

static void test_a_few_values_are_counted_exactly_but_for_a_few_seeds(void)
{
    static const uint64_t numbers[] = {1, 2, 5, 10, 19};
    static const int may_miss[] = {0, 2, 10, 20, 50}; /* of 1000; twice what is to be expected, from 5 on */
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        int missed = 0;
        for (uint64_t seed = 0; seed < 1000; seed++)
            missed += estimate_of(0, scramble(seed), numbers[i]) != (double)numbers[i];
        CHECK(missed <= may_miss[i]);
    }
}

static void test_any_registers_have_an_estimate(void)
{
    static uint8_t registers[KYMO__DISTINCT_BYTES];
    CHECK_DOUBLE(kymo__distinct_estimate(registers), 0);
    for (unsigned byte = 1; byte < 256; byte++) {
        memset(registers, (int)byte, sizeof(registers));
        double have = kymo__distinct_estimate(registers);
        CHECK(byte < 4 ? have == 0 : have > 1000 && have <= 1e18); /* below 4: without a highest rank, so nothing */
    }
    memset(registers, 0, sizeof(registers));
    kymo__distinct_add(registers, 0); /* the highest rank there is */
    CHECK_DOUBLE(kymo__distinct_estimate(registers), 1);
    kymo__distinct_add(registers, UINT64_MAX); /* the lowest, in another register */
    CHECK_DOUBLE(kymo__distinct_estimate(registers), 2);
}

static void test_a_register_keeps_three_ranks_in_any_order(void)
{
    /* All orders of ranks 1 to 5 in one register end at 5, with 4 and 3. */
    for (uint32_t code = 0; code < 3125; code++) {
        uint8_t registers[KYMO__DISTINCT_BYTES] = {0};
        uint32_t met = 0;
        for (uint32_t rest = code, i = 0; i < 5; i++, rest /= 5) {
            uint32_t rank = rest % 5 + 1;
            met |= 1u << rank;
            kymo__distinct_add(registers, (uint64_t)1 << (64 - KYMO__DISTINCT_BITS - rank));
        }
        uint32_t highest = 31 - (uint32_t)__builtin_clz(met);
        CHECK_U64(registers[0] >> 2, highest);
        CHECK_U64(registers[0] >> 1 & 1, met >> (highest - 1) & 1);
        CHECK_U64(registers[0] & 1, highest >= 2 ? met >> (highest - 2) & 1 : 0);
    }
}

enum { HIGHEST = 52, ROUNDS = 50 };

struct adder {
    uint8_t *registers;
    pthread_barrier_t *start;
    uint32_t first;
};

/* Every fourth rank for each register, so that no thread alone brings a register to where it ends. */
static void *add_ranks(void *arg)
{
    const struct adder *a = arg;
    pthread_barrier_wait(a->start);
    for (uint64_t at = 0; at < KYMO__DISTINCT_BYTES; at++)
        for (uint32_t rank = a->first; rank <= HIGHEST; rank += THREADS)
            kymo__distinct_add(a->registers,
                               at << (64 - KYMO__DISTINCT_BITS) | (uint64_t)1 << (64 - KYMO__DISTINCT_BITS - rank));
    return NULL;
}

static void test_threads_that_meet_in_a_register_lose_no_rank(void)
{
    static uint8_t registers[KYMO__DISTINCT_BYTES];
    pthread_barrier_t start;
    struct adder adders[THREADS];
    REQUIRE(pthread_barrier_init(&start, NULL, THREADS) == 0);
    for (int round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < THREADS; i++)
            adders[i] = (struct adder){registers, &start, i + 1};
        memset(registers, 0, sizeof(registers));
        run_threads(add_ranks, adders, sizeof(adders[0]));
        for (size_t i = 0; i < KYMO__DISTINCT_BYTES; i++)
            CHECK_U64(registers[i], HIGHEST << 2 | 3);
    }
    pthread_barrier_destroy(&start);
}

enum { SHARED_VALUES = 40000 };

struct walker {
    uint8_t *registers;
    uint64_t first, step;
};

static void *add_values(void *arg)
{
    const struct walker *w = arg;
    for (uint64_t i = 0, at = w->first; i < SHARED_VALUES; i++, at = (at + w->step) % SHARED_VALUES)
        kymo__distinct_add(w->registers, scramble(at));
    return NULL;
}

static void test_threads_that_add_the_same_values_leave_the_registers_of_one(void)
{
    static const uint64_t steps[THREADS] = {1, 3, 39999, 7}; /* none shares a factor with 40 000 */
    static uint8_t one[KYMO__DISTINCT_BYTES], many[KYMO__DISTINCT_BYTES];
    struct walker alone = {one, 0, 1}, walkers[THREADS];
    add_values(&alone);
    for (uint64_t i = 0; i < THREADS; i++)
        walkers[i] = (struct walker){many, i, steps[i]};
    run_threads(add_values, walkers, sizeof(walkers[0]));
    CHECK(memcmp(one, many, sizeof(one)) == 0);
}

/* ---- the sketch ---- */

static struct kymo__top_sketch *sketch_new(uint32_t k)
{
    size_t bytes = kymo__top_sketch_bytes(k);
    struct kymo__top_sketch *s = aligned_alloc(64, bytes);
    REQUIRE(s != NULL);
    memset(s, 0, bytes);
    kymo__top_sketch_init(s, k);
    return s;
}

/*
 * Numbers from 1 to n, of which k comes with a probability in proportion to k^-s: a point under the curve x^-s is drawn
 * by inverting its integral, then rounded to the number whose column it is over; it counts if it also is in that
 * column, which is as high as the curve in its middle.
 */
struct zipf {
    double s, low, first, high; /* of the integral, first: where the column of 1 ends */
};

static double zipf_integral(double s, double x)
{
    return s == 1 ? log(x) : (pow(x, 1 - s) - 1) / (1 - s);
}

static double zipf_inverse(double s, double y)
{
    return s == 1 ? exp(y) : pow(1 + y * (1 - s), 1 / (1 - s));
}

static struct zipf zipf_init(double s, double n)
{
    /* The curve is convex: a column is no larger than its part of the integral, but for the first, which gets its 1. */
    double first = zipf_integral(s, 1.5);
    return (struct zipf){s, first - 1, first, zipf_integral(s, n + 0.5)};
}

static uint32_t zipf_draw(const struct zipf *z, uint64_t *state)
{
    for (;;) {
        double y = z->low + uniform(state) * (z->high - z->low);
        if (y < z->first)
            return 1;
        double k = floor(zipf_inverse(z->s, y) + 0.5);
        if (y >= zipf_integral(z->s, k + 0.5) - pow(k, -z->s))
            return (uint32_t)k;
    }
}

enum { KEYS = 1000000, HEAVY = 100 };

static int heavier_first(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

/* How many of the heaviest by estimate are among the heaviest by count. Words: weight above, key below. */
static int recall(const uint64_t *counts, struct kymo__top_sketch *s)
{
    uint64_t *order = malloc((KEYS + 1) * sizeof(*order));
    REQUIRE(order != NULL);
    memcpy(order, counts, (KEYS + 1) * sizeof(*order));
    qsort(order, KEYS + 1, sizeof(*order), heavier_first);
    uint64_t least = order[HEAVY - 1];
    for (uint64_t key = 0; key <= KEYS; key++)
        order[key] = kymo__top_sketch_get(s, key_hash(key)) << 20 | key;
    qsort(order, KEYS + 1, sizeof(*order), heavier_first);
    int hits = 0;
    for (int i = 0; i < HEAVY; i++)
        hits += counts[order[i] & 0xfffff] >= least;
    free(order);
    return hits;
}

/* T1 and T2 for every key. */
static void check_bounds(const uint64_t *counts, struct kymo__top_sketch *s)
{
    uint64_t low = 0, lost = 0;
    for (uint64_t key = 0; key <= KEYS; key++) {
        uint32_t hash = key_hash(key);
        uint64_t weight = kymo__top_sketch_get(s, hash), least = UINT64_MAX;
        const uint64_t *bucket = s->words + (size_t)(hash >> 1 & s->bucket_mask) * KYMO__TOP_WAYS;
        for (size_t i = 0; i < KYMO__TOP_WAYS; i++) {
            uint64_t there = bucket[i] & KYMO__TOP_WEIGHT_MAX;
            least = there < least ? there : least;
        }
        low += weight != 0 && weight < counts[key] * KYMO__TOP_UNIT;
        lost += weight == 0 && counts[key] * KYMO__TOP_UNIT > least;
    }
    CHECK_U64(low, 0);
    CHECK_U64(lost, 0);
}

static void test_the_heaviest_of_a_million_keys_are_found(void)
{
    static const double exponents[] = {0.8, 1.0, 1.2};
    uint64_t *counts = calloc(KEYS + 1, sizeof(*counts)), n = test_long() ? 50000000 : 5000000;
    REQUIRE(counts != NULL);
    for (size_t e = 0; e < 3; e++) {
        struct kymo__top_sketch *s = sketch_new(HEAVY);
        struct zipf z = zipf_init(exponents[e], KEYS);
        uint64_t state = 1 + e;
        memset(counts, 0, (KEYS + 1) * sizeof(*counts));
        for (uint64_t i = 0; i < n; i++) {
            uint32_t key = zipf_draw(&z, &state);
            counts[key]++;
            kymo__top_sketch_add(s, key_hash(key), kymo__top_weight(1));
        }
        int hits = recall(counts, s);
        printf("Zipf %.1f: %d of the heaviest %d\n", exponents[e], hits, HEAVY);
        CHECK(hits >= 95);
        check_bounds(counts, s);
        free(s);
    }
    free(counts);
}

static void test_the_sampler_draws_what_it_says(void)
{
    static const double exponents[] = {0.8, 1.0, 1.2};
    for (size_t e = 0; e < 3; e++) {
        enum { N = 20, DRAWS = 200000 };
        double counts[N + 1] = {0}, sum = 0, squares = 0;
        struct zipf z = zipf_init(exponents[e], N);
        uint64_t state = 99;
        for (int i = 0; i < DRAWS; i++)
            counts[zipf_draw(&z, &state)]++;
        for (int k = 1; k <= N; k++)
            sum += pow(k, -exponents[e]);
        for (int k = 1; k <= N; k++) {
            double want = DRAWS * pow(k, -exponents[e]) / sum;
            squares += (counts[k] - want) * (counts[k] - want) / want;
        }
        CHECK_DOUBLE(counts[0], 0);
        CHECK(squares < 43.8); /* chi-square, 19 degrees of freedom: one in a thousand is above */
    }
}

static void test_memory_is_ten_buckets_for_each_key_wanted(void)
{
    CHECK_U64(kymo__top_sketch_bytes(100), 64 + 1024 * 64);
    CHECK_U64(kymo__top_sketch_bytes(102), 64 + 1024 * 64);
    CHECK_U64(kymo__top_sketch_bytes(103), 64 + 2048 * 64);
    CHECK_U64(kymo__top_sketch_bytes(0), 64 + 16 * 64);
    CHECK_U64(kymo__top_sketch_bytes(UINT32_MAX), 64 + 1048576 * (uint64_t)64);
}

static void test_amounts_become_weights_above_nothing_and_below_too_much(void)
{
    CHECK_U64(kymo__top_weight(1), 1024);
    CHECK_U64(kymo__top_weight(2.5), 2560);
    CHECK_U64(kymo__top_weight(1e-9), 1);
    CHECK_U64(kymo__top_weight(5e-324), 1);
    CHECK_U64(kymo__top_weight(0), 0);
    CHECK_U64(kymo__top_weight(-0.0), 0);
    CHECK_U64(kymo__top_weight(-3), 0);
    CHECK_U64(kymo__top_weight((double)NAN), 0);
    CHECK_U64(kymo__top_weight(-(double)INFINITY), 0);
    CHECK_U64(kymo__top_weight((double)INFINITY), KYMO__TOP_WEIGHT_MAX);
    CHECK_U64(kymo__top_weight(1e300), KYMO__TOP_WEIGHT_MAX);
    CHECK_U64(kymo__top_weight(4294967296.0), KYMO__TOP_WEIGHT_MAX);
    CHECK_U64(kymo__top_weight(4294967295.0), UINT64_C(4294967295) * 1024);
}

/* Nine keys of one bucket: bucket 0 of a sketch for 100. The first has the fingerprint that stands in for 0. */
static uint32_t neighbour(uint32_t i)
{
    return i << 11 | 1;
}

static void test_a_full_bucket_gives_the_place_and_weight_of_the_lightest(void)
{
    struct kymo__top_sketch *s = sketch_new(100);
    for (uint32_t i = 1; i <= 8; i++)
        CHECK_U64(kymo__top_sketch_add(s, neighbour(i), i == 5 ? 7 : 100 + i), i == 5 ? 7 : 100 + i);
    CHECK_U64(kymo__top_sketch_add(s, neighbour(9), 0), 0); /* nothing takes nobody's place */
    CHECK_U64(kymo__top_sketch_get(s, neighbour(5)), 7);
    CHECK_U64(kymo__top_sketch_add(s, neighbour(9), 3), 10);
    CHECK_U64(kymo__top_sketch_get(s, neighbour(5)), 0);
    CHECK_U64(kymo__top_sketch_get(s, neighbour(9)), 10);
    CHECK_U64(kymo__top_sketch_add(s, neighbour(5), 1), 11);
    for (uint32_t i = 1; i <= 8; i++)
        if (i != 5)
            CHECK_U64(kymo__top_sketch_get(s, neighbour(i)), 100 + i);
    free(s);
}

static void test_a_key_whose_fingerprint_is_0_is_not_found_in_an_empty_word(void)
{
    struct kymo__top_sketch *s = sketch_new(100);
    CHECK_U64(kymo__top_sketch_get(s, neighbour(0)), 0);
    CHECK_INT(kymo__top_sketch_offer(s, neighbour(0)), 0);
    kymo__top_sketch_add(s, neighbour(7), 5);
    kymo__top_sketch_add(s, neighbour(0), 6);
    CHECK_U64(kymo__top_sketch_take(s, neighbour(7)), 5); /* an empty word before it */
    CHECK_U64(kymo__top_sketch_add(s, neighbour(0), 6), 12);
    CHECK_U64(kymo__top_sketch_take(s, neighbour(0)), 12);
    CHECK_U64(kymo__top_sketch_get(s, neighbour(0)), 0);
    free(s);
}

static void test_keys_leave_with_their_weight_and_come_back_with_it(void)
{
    struct kymo__top_sketch *s = sketch_new(100);
    kymo__top_sketch_add(s, neighbour(3), 50);
    CHECK_U64(kymo__top_sketch_take(s, neighbour(3)), 50);
    CHECK_U64(kymo__top_sketch_take(s, neighbour(3)), 0);
    kymo__top_sketch_put(s, neighbour(3), 80);
    CHECK_U64(kymo__top_sketch_get(s, neighbour(3)), 80);
    kymo__top_sketch_put(s, neighbour(3), 5); /* to what was recorded meanwhile */
    CHECK_U64(kymo__top_sketch_get(s, neighbour(3)), 85);
    for (uint32_t i = 10; i < 17; i++)
        kymo__top_sketch_add(s, neighbour(i), 60);
    kymo__top_sketch_put(s, neighbour(4), 60); /* no heavier than the lightest */
    CHECK_U64(kymo__top_sketch_get(s, neighbour(4)), 0);
    kymo__top_sketch_put(s, neighbour(4), 61); /* with its own weight alone */
    CHECK_U64(kymo__top_sketch_get(s, neighbour(4)), 61);
    CHECK_U64(kymo__top_sketch_get(s, neighbour(3)), 85);
    kymo__top_sketch_put(s, neighbour(5), UINT64_MAX);
    CHECK_U64(kymo__top_sketch_get(s, neighbour(5)), KYMO__TOP_WEIGHT_MAX);
    free(s);
}

static void test_weights_saturate_and_ask_to_be_halved(void)
{
    struct kymo__top_sketch *s = sketch_new(100);
    kymo__top_sketch_add(s, neighbour(1), KYMO__TOP_WEIGHT_MAX - 10);
    kymo__top_sketch_add(s, neighbour(2), 7);
    kymo__top_sketch_add(s, neighbour(3), 1);
    CHECK_INT(kymo__top_sketch_saturated(s), 0);
    CHECK_INT(kymo__top_sketch_offer(s, neighbour(1)), 1);
    uint64_t most = KYMO__TOP_WEIGHT_MAX | KYMO__TOP_OFFERED;
    CHECK_U64(kymo__top_sketch_add(s, neighbour(1), 1000), most);
    CHECK_U64(kymo__top_sketch_add(s, neighbour(1), UINT64_MAX), most);
    CHECK_INT(kymo__top_sketch_saturated(s), 1);
    kymo__top_sketch_halve(s);
    CHECK_INT(kymo__top_sketch_saturated(s), 0);
    CHECK_U64(kymo__top_sketch_get(s, neighbour(1)), KYMO__TOP_WEIGHT_MAX / 2);
    CHECK_U64(kymo__top_sketch_get(s, neighbour(2)), 3);
    CHECK_U64(kymo__top_sketch_get(s, neighbour(3)), 0);
    CHECK_INT(kymo__top_sketch_offer(s, neighbour(1)), 0); /* the offer stands */
    for (int i = 0; i < 42; i++)
        kymo__top_sketch_halve(s);
    for (size_t i = 0; i < 1024 * KYMO__TOP_WAYS; i++)
        CHECK_U64(s->words[i], 0);
    free(s);
}

static void test_a_key_is_offered_once_until_offers_are_cleared(void)
{
    struct kymo__top_sketch *s = sketch_new(100);
    CHECK_INT(kymo__top_sketch_offer(s, neighbour(1)), 0); /* not there */
    CHECK(kymo__top_due(kymo__top_sketch_add(s, neighbour(1), 20), 19));
    CHECK(!kymo__top_due(kymo__top_sketch_add(s, neighbour(1), 1), 21));
    CHECK_INT(kymo__top_sketch_offer(s, neighbour(1)), 1);
    CHECK_INT(kymo__top_sketch_offer(s, neighbour(1)), 0);
    CHECK(!kymo__top_due(kymo__top_sketch_add(s, neighbour(1), 1), 0));
    CHECK_U64(kymo__top_sketch_get(s, neighbour(1)), 22);
    kymo__top_sketch_clear_offers(s);
    CHECK(kymo__top_due(kymo__top_sketch_add(s, neighbour(1), 1), 22));
    CHECK_INT(kymo__top_sketch_offer(s, neighbour(1)), 1);
    for (uint32_t i = 2; i <= 9; i++) /* whoever takes its place has not been offered */
        kymo__top_sketch_add(s, neighbour(i), 30);
    CHECK_U64(kymo__top_sketch_get(s, neighbour(1)), 0);
    CHECK_INT(kymo__top_sketch_offer(s, neighbour(9)), 1);
    free(s);
}

enum { COMMON = 200, COMMON_ROUNDS = 2000 };

static void *add_common_keys(void *arg)
{
    struct kymo__top_sketch *s = *(struct kymo__top_sketch **)arg;
    for (uint32_t round = 0; round < COMMON_ROUNDS; round++)
        for (uint32_t key = 0; key < COMMON; key++)
            kymo__top_sketch_add(s, key_hash(key), 3);
    return NULL;
}

static void test_threads_lose_nothing_of_keys_that_have_room(void)
{
    struct kymo__top_sketch *s = sketch_new(100), *args[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        args[i] = s;
    run_threads(add_common_keys, args, sizeof(args[0]));
    for (uint32_t key = 0; key < COMMON; key++)
        CHECK_U64(kymo__top_sketch_get(s, key_hash(key)), (uint64_t)3 * THREADS * COMMON_ROUNDS);
    free(s);
}

struct stream {
    struct kymo__top_sketch *sketch;
    uint64_t state;
};

static void *add_stream(void *arg)
{
    struct stream *stream = arg;
    struct zipf z = zipf_init(1.0, KEYS);
    for (int i = 0; i < 300000; i++)
        kymo__top_sketch_add(stream->sketch, key_hash(zipf_draw(&z, &stream->state)), 1024);
    return NULL;
}

static void test_threads_that_fight_for_places_leave_the_heaviest_in(void)
{
    struct kymo__top_sketch *s = sketch_new(100);
    struct stream streams[THREADS];
    double n = 300000.0 * THREADS * 1024 / 14.4; /* of key 1: its share is 1 / (the sum of 1/k up to a million) */
    for (uint64_t i = 0; i < THREADS; i++)
        streams[i] = (struct stream){s, 1000 + i};
    run_threads(add_stream, streams, sizeof(streams[0]));
    for (uint32_t key = 1; key <= 20; key++) {
        double have = (double)kymo__top_sketch_get(s, key_hash(key));
        CHECK(have > 0.9 * n / key && have < 1.2 * n / key);
    }
    free(s);
}

/* ---- candidates ---- */

struct kit {
    struct kymo__top_sketch *sketch;
    struct kymo__top_candidates *candidates;
};

static struct kit kit_new(void)
{
    struct kit kit = {sketch_new(100), aligned_alloc(64, sizeof(struct kymo__top_candidates))};
    REQUIRE(kit.candidates != NULL);
    memset(kit.candidates, 0, sizeof(*kit.candidates));
    return kit;
}

static void kit_free(struct kit kit)
{
    free(kit.sketch);
    free(kit.candidates);
}

/* What a recording does, with two labels. */
static int record(struct kit kit, uint32_t hash, uint64_t weight, const char *a, const char *b)
{
    const char *values[] = {a, b};
    uint64_t added = kymo__top_sketch_add(kit.sketch, hash, weight);
    return kymo__top_due(added, 0) ? kymo__top_offer(kit.candidates, kit.sketch, hash, added, values, 2) : 0;
}

static int take(struct kit kit, struct kymo__top_candidate *out)
{
    return kymo__top_candidate_take(kit.candidates, kit.sketch, out);
}

static void test_label_sets_arrive_whole_and_the_heaviest_first(void)
{
    struct kit kit = kit_new();
    struct kymo__top_candidate got;
    CHECK_INT(take(kit, &got), 0);
    CHECK_INT(record(kit, key_hash(1), 10, "acme", "a model"), 1);
    CHECK_INT(record(kit, key_hash(2), 30, "", ""), 1);
    CHECK_INT(record(kit, key_hash(3), 20, "x", ""), 1);
    CHECK_INT(record(kit, key_hash(1), 90, "acme", "a model"), 0); /* offered, and heavier since */
    CHECK_INT(take(kit, &got), 1);
    CHECK_U64(got.hash, key_hash(1));
    CHECK_U64(got.weight, 100);
    CHECK_U64(got.n_labels, 2);
    CHECK_STRING(got.values[0], "acme");
    CHECK_STRING(got.values[1], "a model");
    CHECK_INT(take(kit, &got), 1);
    CHECK_U64(got.weight, 30);
    CHECK_STRING(got.values[0], "");
    CHECK_STRING(got.values[1], "");
    CHECK_INT(take(kit, &got), 1);
    CHECK_STRING(got.values[0], "x");
    CHECK_INT(take(kit, &got), 0);
    CHECK_INT(record(kit, key_hash(2), 1, "", ""), 0);
    kymo__top_candidates_clear(kit.candidates, kit.sketch);
    CHECK_INT(record(kit, key_hash(2), 1, "", ""), 1);
    kit_free(kit);
}

static void test_label_sets_of_481_bytes_are_not_offered(void)
{
    struct kit kit = kit_new();
    struct kymo__top_candidate got;
    char text[500];
    memset(text, 'x', sizeof(text));
    text[KYMO__TOP_TEXT - 2] = '\0'; /* 478 and a NUL: the other one may only be empty */
    CHECK_INT(record(kit, key_hash(1), 1, text, "y"), 0);
    CHECK_INT(record(kit, key_hash(1), 1, text, "y"), 0);
    CHECK_INT(record(kit, key_hash(2), 1, text, ""), 1);
    CHECK_INT(take(kit, &got), 1);
    CHECK_STRING(got.values[0], text);
    CHECK_STRING(got.values[1], "");
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    CHECK_INT(record(kit, key_hash(3), 1, "", text), 0);
    CHECK_INT(take(kit, &got), 0);
    kit_free(kit);
}

static void test_as_many_labels_as_a_family_may_have_are_kept(void)
{
    struct kit kit = kit_new();
    struct kymo__top_candidate got;
    char text[KYMO__MAX_LABELS + 1][8];
    const char *values[KYMO__MAX_LABELS + 1];
    for (uint32_t i = 0; i <= KYMO__MAX_LABELS; i++) {
        snprintf(text[i], sizeof(text[i]), "v%d", (int)i);
        values[i] = text[i];
    }
    kymo__top_sketch_add(kit.sketch, key_hash(1), 1);
    kymo__top_sketch_add(kit.sketch, key_hash(2), 1);
    CHECK_INT(kymo__top_offer(kit.candidates, kit.sketch, key_hash(1), 1, values, KYMO__MAX_LABELS), 1);
    CHECK_INT(kymo__top_offer(kit.candidates, kit.sketch, key_hash(2), 1, values, KYMO__MAX_LABELS + 1), 0);
    CHECK_INT(take(kit, &got), 1);
    CHECK_U64(got.n_labels, KYMO__MAX_LABELS);
    for (uint32_t i = 0; i < KYMO__MAX_LABELS; i++)
        CHECK_STRING(got.values[i], values[i]);
    kit_free(kit);
}

static void test_the_lightest_of_64_gives_way_to_a_heavier_one(void)
{
    struct kit kit = kit_new();
    struct kymo__top_candidate got;
    for (uint32_t i = 1; i <= KYMO__TOP_PLACES; i++)
        CHECK_INT(record(kit, key_hash(i), 100 + i, "a", "b"), 1);
    CHECK_INT(record(kit, key_hash(1000), 101, "no", "room"), 0); /* no heavier than the lightest */
    CHECK_U64(kit.candidates->enough, 101);
    CHECK_INT(record(kit, key_hash(1000), 1, "now", "heavier"), 1); /* it was not marked as offered */
    CHECK_INT(record(kit, key_hash(1001), 500, "the", "heaviest"), 1);
    CHECK_INT(take(kit, &got), 1);
    CHECK_STRING(got.values[1], "heaviest");
    int n = 1, seen = 0;
    while (take(kit, &got)) {
        n++;
        seen += got.hash == key_hash(1) || got.hash == key_hash(1000);
    }
    CHECK_INT(n, KYMO__TOP_PLACES);
    CHECK(seen <= 1); /* 101 gave way to 102, and one of 102 to 500: key 2 or 1000 */
    kymo__top_candidates_clear(kit.candidates, kit.sketch);
    CHECK_INT(record(kit, key_hash(2000), 1, "light", "but there is room"), 1);
    kit_free(kit);
}

static void test_a_recorder_that_dies_costs_its_place_and_an_upkeep_that_dies_nothing(void)
{
    struct kit kit = kit_new();
    struct kymo__top_candidate got;
    enum { WRITING = 1, READY = 2, TAKING = 3 };
    for (uint32_t i = 0; i < KYMO__TOP_PLACES; i++)
        kit.candidates->heads[i] = i % 2 == 0 ? WRITING : 0;
    for (int upkeep = 0; upkeep < 3; upkeep++) {
        for (uint32_t i = 1; i <= KYMO__TOP_PLACES; i++)
            record(kit, key_hash(i), 100, "a", "b");
        for (uint32_t i = 1; upkeep == 1 && i < KYMO__TOP_PLACES; i += 2) {
            CHECK_U64(kit.candidates->heads[i] & 3, READY);
            kit.candidates->heads[i] |= TAKING;
        }
        uint32_t n = 0;
        while (take(kit, &got))
            n++;
        CHECK_U64(n, KYMO__TOP_PLACES / 2);
        kymo__top_candidates_clear(kit.candidates, kit.sketch);
    }
    for (uint32_t i = 0; i < KYMO__TOP_PLACES; i++)
        kit.candidates->heads[i] = WRITING;
    CHECK_INT(record(kit, key_hash(1), KYMO__TOP_WEIGHT_MAX, "a", "b"), 0);
    CHECK_INT(take(kit, &got), 0);
    kit_free(kit);
}

/* A label set says its number twice, at a length that depends on it. */
static void number_values(uint32_t number, char a[160], char b[300])
{
    snprintf(a, 160, "%0*d", (int)(number % 150) + 4, (int)number);
    snprintf(b, 300, "%0*d", (int)(number % 287) + 4, (int)number);
}

enum { NUMBERS = 3000, TAKEN = 20000 };

struct offerer {
    struct kit kit;
    uint64_t state;
    uint32_t n_offered;
};

static int enough_taken;

static void *offer_numbers(void *arg)
{
    struct offerer *o = arg;
    while (!__atomic_load_n(&enough_taken, __ATOMIC_RELAXED)) {
        char a[160], b[300];
        uint32_t number = (uint32_t)(uniform(&o->state) * NUMBERS);
        uint64_t weight = (uint64_t)(uniform(&o->state) * 1e6) + 1;
        number_values(number, a, b);
        o->n_offered += (uint32_t)record(o->kit, key_hash(number), weight, a, b);
    }
    return NULL;
}

static void check_number(const struct kymo__top_candidate *got)
{
    char a[160], b[300];
    CHECK_U64(got->n_labels, 2);
    uint32_t number = (uint32_t)strtoul(got->values[0], NULL, 10);
    number_values(number, a, b);
    CHECK_STRING(got->values[0], a);
    CHECK_STRING(got->values[1], b);
    CHECK_U64(got->hash, key_hash(number));
}

static void wait_until_all_places_are_taken(struct kymo__top_candidates *c)
{
    for (uint32_t i = 0; i < KYMO__TOP_PLACES; i++)
        while (__atomic_load_n(&c->heads[i], __ATOMIC_RELAXED) == 0)
            sched_yield();
}

static void test_no_label_set_is_torn_whoever_offers_and_takes(void)
{
    struct offerer offerers[THREADS];
    struct kit kit = kit_new();
    struct kymo__top_candidate got;
    pthread_t threads[THREADS];
    uint32_t n_taken = 0, n_offered = 0, rounds = 0;
    enough_taken = 0;
    for (uint64_t i = 0; i < THREADS; i++) {
        offerers[i] = (struct offerer){kit, scramble(i), 0};
        REQUIRE(pthread_create(&threads[i], NULL, offer_numbers, &offerers[i]) == 0);
    }
    for (; n_taken < TAKEN; rounds++) {
        if (rounds % 2 == 0) /* so that recorders push each other, and run into an upkeep that does not know it */
            wait_until_all_places_are_taken(kit.candidates);
        for (int i = 0; i < 40 && take(kit, &got); i++, n_taken++) {
            check_number(&got);
            kymo__top_sketch_take(kit.sketch, got.hash);
        }
        kymo__top_candidates_clear(kit.candidates, kit.sketch);
    }
    __atomic_store_n(&enough_taken, 1, __ATOMIC_RELAXED);
    for (size_t i = 0; i < THREADS; i++) {
        REQUIRE(pthread_join(threads[i], NULL) == 0);
        n_offered += offerers[i].n_offered;
    }
    printf("%u label sets offered, %u taken in %u rounds\n", n_offered, n_taken, rounds);
    CHECK(n_taken <= n_offered);
    kit_free(kit);
}

TEST_MAIN(TEST(test_estimates_are_within_5_percent_for_any_number_seed_and_shape),
          TEST(test_ten_million_values_are_estimated_within_5_percent),
          TEST(test_the_standard_error_is_what_4096_good_registers_give),
          TEST(test_a_few_values_are_counted_exactly_but_for_a_few_seeds), TEST(test_any_registers_have_an_estimate),
          TEST(test_a_register_keeps_three_ranks_in_any_order), TEST(test_threads_that_meet_in_a_register_lose_no_rank),
          TEST(test_threads_that_add_the_same_values_leave_the_registers_of_one),
          TEST(test_the_sampler_draws_what_it_says), TEST(test_the_heaviest_of_a_million_keys_are_found),
          TEST(test_memory_is_ten_buckets_for_each_key_wanted),
          TEST(test_amounts_become_weights_above_nothing_and_below_too_much),
          TEST(test_a_full_bucket_gives_the_place_and_weight_of_the_lightest),
          TEST(test_a_key_whose_fingerprint_is_0_is_not_found_in_an_empty_word),
          TEST(test_keys_leave_with_their_weight_and_come_back_with_it),
          TEST(test_weights_saturate_and_ask_to_be_halved), TEST(test_a_key_is_offered_once_until_offers_are_cleared),
          TEST(test_threads_lose_nothing_of_keys_that_have_room),
          TEST(test_threads_that_fight_for_places_leave_the_heaviest_in),
          TEST(test_label_sets_arrive_whole_and_the_heaviest_first), TEST(test_label_sets_of_481_bytes_are_not_offered),
          TEST(test_as_many_labels_as_a_family_may_have_are_kept),
          TEST(test_the_lightest_of_64_gives_way_to_a_heavier_one),
          TEST(test_a_recorder_that_dies_costs_its_place_and_an_upkeep_that_dies_nothing),
          TEST(test_no_label_set_is_torn_whoever_offers_and_takes))
