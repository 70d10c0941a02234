/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Native histograms, for one thread: index for index and step for step what the specification says.
 *
 * The model (native_model.h) is held to the published vectors first, by itself. Then kymo is led through the same
 * programs, in a shard of its own and in the shared store, and every part of every point is compared: written scenarios
 * with written results; each boundary of each schema with its two neighbours; every binary exponent; random programs.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* barriers */
#endif

#include <float.h>
#include <math.h>
#include <pthread.h>

#include "native_pair.h"

#define SCHEMAS (NATIVE_SCHEMA_MAX - NATIVE_SCHEMA_MIN + 1)
#define NO_LIMIT 1000 /* the most that may be asked for */

/* A factor that means a schema, well away from where another one begins. */
static double factor_of(int schema)
{
    static const double factors[SCHEMAS] = {1e6, 300, 20, 5, 2.5, 1.5, 1.2, 1.1, 1.05, 1.03, 1.015, 1.01, 1.005};
    return factors[schema - NATIVE_SCHEMA_MIN];
}

/* ---- the two stores ---- */

static struct native_bench own_shard, shared_store;

/* Has the only shard of the shared bench, so that the main thread's recordings go to the shared store. */
static struct {
    pthread_t thread;
    pthread_barrier_t turn;
} holder;

static void *hold_the_shard(void *arg)
{
    (void)arg;
    CHECK_INT(kymo_thread_attach(shared_store.reg), 0);
    pthread_barrier_wait(&holder.turn);
    pthread_barrier_wait(&holder.turn);
    return NULL;
}

static void benches_new(void)
{
    bench_new(&own_shard, 0);
    CHECK_INT(kymo_thread_attach(own_shard.reg), 0);
    bench_new(&shared_store, 1);
    shared_store.loose_sums = 1;
    pthread_barrier_init(&holder.turn, NULL, 2);
    REQUIRE(pthread_create(&holder.thread, NULL, hold_the_shard, NULL) == 0);
    pthread_barrier_wait(&holder.turn);
    CHECK_INT(kymo_thread_attach(shared_store.reg), KYMO_ELIMIT);
}

static void benches_free(void)
{
    pthread_barrier_wait(&holder.turn);
    pthread_join(holder.thread, NULL);
    pthread_barrier_destroy(&holder.turn);
    bench_free(&own_shard);
    bench_free(&shared_store);
}

static void benches_renew(void)
{
    benches_free();
    benches_new();
}

static void in_both_stores(void (*check)(struct native_bench *))
{
    benches_new();
    check(&own_shard);
    check(&shared_store);
    benches_free();
}

/* ---- the model alone ---- */

struct key_row {
    double v;
    int32_t keys[8];
};

static const int key_schemas[8] = {-4, -1, 0, 1, 2, 3, 5, 8};

/* Published: v and its key at those schemas. */
static const struct key_row key_rows[] = {
    {1.0, {0, 0, 0, 0, 0, 0, 0, 0}},
    {0x1.fffffffffffffp-1, {0, 0, 0, 0, 0, 0, 0, 0}},
    {0x1.0000000000001p+0, {1, 1, 1, 1, 1, 1, 1, 1}},
    {2.0, {1, 1, 1, 2, 4, 8, 32, 256}},
    {3.0, {1, 1, 2, 4, 7, 13, 51, 406}},
    {0.1, {0, -1, -3, -6, -13, -26, -106, -850}},
    {1e-9, {-1, -14, -29, -59, -119, -239, -956, -7653}},
    {DBL_MIN, {-63, -511, -1022, -2044, -4088, -8176, -32704, -261632}},
    {0x1p-1074, {-67, -537, -1074, -2148, -4296, -8592, -34368, -274944}},
    {1.5e-323, {-67, -536, -1072, -2144, -4289, -8579, -34317, -274538}},
    {DBL_MAX, {64, 512, 1024, 2048, 4096, 8192, 32768, 262144}},
    {INFINITY, {65, 513, 1025, 2049, 4097, 8193, 32769, 262145}},
};

enum { KEY_ROWS = sizeof(key_rows) / sizeof(key_rows[0]) };

static void the_model_has_the_published_keys(void)
{
    for (size_t i = 0; i < KEY_ROWS; i++)
        for (size_t s = 0; s < 8; s++)
            CHECK_INT(native_key(key_rows[i].v, key_schemas[s]), key_rows[i].keys[s]);
    CHECK_INT(native_key(0x1.ae89f995ad3adp-1, 2), 0); /* by exact mathematics -1, and so on */
    CHECK_INT(native_key(0x1.172b83c7d517bp-1, 3), -7);
    CHECK_INT(native_key(0x1.00b1afa5abcbfp-1, 8), -255);
}

/* Of the bits of a table, in order. */
static uint64_t table_hash(int schema)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325), bits;
    for (int i = 0; i < 1 << schema; i++) {
        memcpy(&bits, &native_table(schema)[i], sizeof(bits));
        h = (h ^ bits) * UINT64_C(0x100000001b3);
    }
    return h;
}

/* The hashes are those of the tables as client_golang publishes them, in decimal. */
static void the_model_has_the_published_tables(void)
{
    static const uint64_t hashes[NATIVE_SCHEMA_MAX + 1] = {
        UINT64_C(0xddc3bd4c8601b7df), UINT64_C(0xc39dc05377080449), UINT64_C(0x6bf2f865b3f6a9ae),
        UINT64_C(0x2115baa57ba1fd1b), UINT64_C(0x02a82cea892b4f90), UINT64_C(0x0ae9667183060346),
        UINT64_C(0x2aa8505cfb7dec5f), UINT64_C(0xeee2b58e89de57a5), UINT64_C(0x3a5489a2c419aae6)};
    for (int s = 0; s <= NATIVE_SCHEMA_MAX; s++)
        CHECK(table_hash(s) == hashes[s]);
    CHECK_DOUBLE(native_table(1)[1], 0.7071067811865475);
    CHECK_DOUBLE(native_table(8)[7], 0x1.04e5f72f654b1p-1);
    CHECK_DOUBLE(native_table(8)[255], 0x1.fe9d96b2a23d6p-1);
}

static void the_model_has_the_published_schemas(void)
{
    static const struct {
        double factor;
        int schema;
    } rows[] = {{1.0027, 8}, {1.01, 7}, {1.05, 4},  {1.1, 3},   {1.2, 2},    {1.5, 1},    {2, 0},      {4, -1},
                {16, -2},    {17, -2},  {256, -3},  {300, -3},  {65536, -4}, {1e300, -4}, {1.0001, 8}, {1.99, 1},
                {2.01, 0},   {3.99, 0}, {4.01, -1}, {15.9, -1}, {255, -2},   {65535, -3}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        CHECK_INT(native_schema(rows[i].factor), rows[i].schema);
    for (int s = NATIVE_SCHEMA_MIN; s <= NATIVE_SCHEMA_MAX; s++)
        CHECK_INT(native_schema(factor_of(s)), s);
}

static void the_model_s_bounds_end_its_buckets(void)
{
    for (int s = NATIVE_SCHEMA_MIN; s <= NATIVE_SCHEMA_MAX; s++) {
        CHECK_DOUBLE(native_bound(0, s), 1.0);
        CHECK_DOUBLE(native_bound(native_key(DBL_MAX, s), s), DBL_MAX);
        CHECK(isinf(native_bound(native_key(INFINITY, s), s)));
        CHECK_DOUBLE(native_bound(native_key(0x1p-128, s), s), 0x1p-128);
        int32_t last = native_key(DBL_MAX, s), step = s > 4 ? 97 : 1;
        for (int32_t k = native_key(DBL_MIN, s) + 1; k < last; k += step) {
            CHECK_INT(native_key(native_bound(k, s), s), k);
            CHECK_INT(native_key(nextafter(native_bound(k, s), INFINITY), s), k + 1);
        }
    }
    CHECK_DOUBLE(native_bound(1, 2), 1.189207115002721);
    CHECK_DOUBLE(native_bound(1, -4), 65536);
}

/* ---- written scenarios ---- */

/*
 * A program is a row of words: a number is observed a minute after what came before, "3x2.5" is three at once, "+5" are
 * five minutes in which nothing happens, "look" is a visit. At the end there is a visit.
 */
struct scenario {
    const char *name;
    struct kymo_native options;
    const char *program;
    const char *result;
};

#define SMALL_ROW "0 1 1.1 1.2 1.4 1.8 2 3"
#define LONG_ROW "0 1 1.1 1.2 1.4 1.8 2 5 5.1 3 4"
#define ZERO "2.938735877055719e-39" /* 2^-128, the threshold that nobody chose */

static const struct scenario scenarios[] = {
    /* Published. */
    {"no limit",
     {.bucket_factor = 1.1, .max_buckets = NO_LIMIT},
     "0 1 2 3",
     "schema 3, zero 1 in " ZERO ", + 0:1 8:1 13:1, -, count 4, sum 6, start +0"},
    {"halved",
     {.bucket_factor = 1.2, .max_buckets = 4},
     SMALL_ROW,
     "schema 1, zero 1 in " ZERO ", + 0:1 1:3 2:2 4:1, -, count 8, sum 11.5, start +0"},
    {"widened",
     {.bucket_factor = 1.2, .max_buckets = 4, .max_zero_threshold = 1.2},
     SMALL_ROW,
     "schema 2, zero 2 in 1, + 1:1 2:2 4:2 7:1, -, count 8, sum 11.5, start +0"},
    {"widened twice",
     {.bucket_factor = 1.2, .max_buckets = 4, .max_zero_threshold = 1.2},
     SMALL_ROW " 4",
     "schema 2, zero 3 in 1.189207115002721, + 2:2 4:2 7:1 8:1, -, count 9, sum 15.5, start +0"},
    {"anew at once",
     {.bucket_factor = 1.2, .max_buckets = 4, .max_zero_threshold = 1.2, .min_reset_ns = 5 * MINUTE_NS},
     SMALL_ROW " 4",
     "schema 2, zero 0 in " ZERO ", + 7:1 8:1, -, count 2, sum 7, start +480"},
    {"anew when it was due",
     {.bucket_factor = 1.2, .max_buckets = 4, .min_reset_ns = 9 * MINUTE_NS},
     LONG_ROW,
     "schema 2, zero 0 in " ZERO ", + 7:1 8:1 10:1, -, count 3, sum 12.1, start +540"},
    {"widened, and anew when it was due",
     {.bucket_factor = 1.2, .max_buckets = 4, .max_zero_threshold = 1.2, .min_reset_ns = 9 * MINUTE_NS},
     LONG_ROW,
     "schema 2, zero 0 in " ZERO ", + 7:1 8:1 10:1, -, count 3, sum 12.1, start +540"},
    /* No limit is reached. */
    {"nothing observed", {.bucket_factor = 2}, "", "schema 0, zero 0 in " ZERO ", +, -, count 0, sum 0, start +0"},
    {"both sides",
     {.bucket_factor = 2, .max_buckets = NO_LIMIT},
     "1 -1 2 -2 -3 4 8 -0.25 0.25 0",
     "schema 0, zero 1 in " ZERO ", + -2:1 0:1 1:1 2:1 3:1, - -2:1 0:1 1:1 2:1, count 10, sum 9, start +0"},
    {"a factor of nothing is 1.1",
     {.max_buckets = 100},
     "1 1.1 3",
     "schema 3, zero 0 in " ZERO ", + 0:1 2:1 13:1, -, count 3, sum 5.1, start +0"},
    {"just at the limit",
     {.bucket_factor = 1.2, .max_buckets = 4},
     "1 1.2 -1 -2 1.1 -1.9 0",
     "schema 1, zero 1 in " ZERO ", + 0:1 1:2, - 0:1 2:2, count 7, sum -1.6, start +0"},
    {"the zero bucket is not limited",
     {.bucket_factor = 1.2, .max_buckets = 1},
     "0 -0.0 1e-40 5e-324 -2e-39 -5e-324 2.9e-39 7",
     "schema 2, zero 7 in " ZERO ", + 12:1, -, count 8, sum 7, start +0"},
    {"the threshold belongs to the zero bucket",
     {.bucket_factor = 2, .max_buckets = 8, .zero_threshold = 1},
     "1 -1 1.0000000000000002 -1.0000000000000002 0.5",
     "schema 0, zero 3 in 1, + 1:1, - 1:1, count 5, sum 0.5, start +0"},
    {"zero alone",
     {.bucket_factor = 2, .max_buckets = 8, .zero_threshold = -1},
     "0 -0.0 5e-324 -5e-324 1e-310 -1e-310",
     "schema 0, zero 2 in 0, + -1074:1 -1029:1, - -1074:1 -1029:1, count 6, sum 0, start +0"},
    {"NaN is nothing",
     {.bucket_factor = 2, .max_buckets = 1},
     "nan 1 nan 7xnan",
     "schema 0, zero 0 in " ZERO ", + 0:1, -, count 1, sum 1, start +0"},
    {"infinities",
     {.bucket_factor = 2, .max_buckets = 8},
     "inf -inf 1 2xinf 1.7976931348623157e308",
     "schema 0, zero 0 in " ZERO ", + 0:1 1024:1 1025:3, - 1025:1, count 6, sum 1.797693134862316e+308, start +0"},
    {"many at once",
     {.bucket_factor = 2, .max_buckets = 8},
     "3x2.5 1000000x-7 4294967295x0 2.5 0x9",
     "schema 0, zero 4294967295 in " ZERO ", + 2:4, - 3:1000000, count 4295967299, sum -6999990, start +0"},
    /* Wider zero buckets. */
    {"the negative side is nearer",
     {.bucket_factor = 1.2, .max_buckets = 2, .max_zero_threshold = 10},
     "-1 5 8 -3 -0.5",
     "schema 2, zero 3 in 3.363585661014858, + 10:1 12:1, -, count 5, sum 8.5, start +0"},
    {"both sides at once",
     {.bucket_factor = 2, .max_buckets = 3, .max_zero_threshold = 2},
     "1 -1 -8 8",
     "schema 0, zero 2 in 1, + 3:1, - 3:1, count 4, sum 0, start +0"},
    {"only as far as it may",
     {.bucket_factor = 2, .max_buckets = 2, .max_zero_threshold = 0.9},
     "0.5 1 2 4",
     "schema -1, zero 1 in 0.5, + 0:1 1:2, -, count 4, sum 7.5, start +0"},
    {"not wider at all, by a hair",
     {.bucket_factor = 2, .max_buckets = 2, .max_zero_threshold = 0.49},
     "0.5 1 2 4",
     "schema -1, zero 0 in " ZERO ", + 0:2 1:2, -, count 4, sum 7.5, start +0"},
    {"as wide as it may be already",
     {.bucket_factor = 2, .max_buckets = 2, .zero_threshold = 1, .max_zero_threshold = 1},
     "2 4 8 16",
     "schema -1, zero 0 in 1, + 1:2 2:2, -, count 4, sum 30, start +0"},
    {"wider than it may be already",
     {.bucket_factor = 2, .max_buckets = 2, .zero_threshold = 1, .max_zero_threshold = 0.5},
     "2 4 8 16",
     "schema -1, zero 0 in 1, + 1:2 2:2, -, count 4, sum 30, start +0"},
    {"as wide as can be",
     {.bucket_factor = 2, .max_buckets = 1, .max_zero_threshold = DBL_MAX},
     "1e300 1.7976931348623157e308 inf -inf",
     "schema -4, zero 2 in 1.797693134862316e+308, + 65:1, - 65:1, count 4, sum inf, start +0"},
    {"what was folded falls in at once",
     {.bucket_factor = 2, .max_buckets = 2, .max_zero_threshold = 4},
     "1 2 4 0.5 -0.7 3 -4 5",
     "schema 0, zero 7 in 4, + 3:1, -, count 8, sum 10.8, start +0"},
    {"subnormals",
     {.bucket_factor = 2, .max_buckets = 2, .zero_threshold = -1, .max_zero_threshold = 1e-300},
     "5e-324 1e-323 -2e-323 1e-310 1",
     "schema 0, zero 3 in 1.976262583364986e-323, + -1029:1 0:1, -, count 5, sum 1, start +0"},
    /* Halving. */
    {"the negative side only",
     {.bucket_factor = 1.2, .max_buckets = 4},
     "-1 -1.1 -1.2 -1.4 -1.8 -2 -3",
     "schema 1, zero 0 in " ZERO ", +, - 0:1 1:3 2:2 4:1, count 7, sum -11.5, start +0"},
    {"one bucket",
     {.bucket_factor = 1.1, .max_buckets = 1},
     "1 1.05 1.2",
     "schema -4, zero 0 in " ZERO ", + 0:1 1:2, -, count 3, sum 3.25, start +0"},
    {"one step an observation",
     {.bucket_factor = 1.005, .max_buckets = 1},
     "1.3 1.9 1.3 look 1.3",
     "schema 0, zero 0 in " ZERO ", + 1:4, -, count 4, sum 5.8, start +0"},
    {"in vain",
     {.bucket_factor = 1.005, .max_buckets = 2},
     "1 -1 2 1 1 1",
     "schema -4, zero 0 in " ZERO ", + 0:4 1:1, - 0:1, count 6, sum 5, start +0"},
    {"the coarsest is exceeded",
     {.bucket_factor = 65536, .max_buckets = 2},
     "1 70000 1e10 1e15 1e300 -1",
     "schema -4, zero 0 in " ZERO ", + 0:1 2:1 3:1 4:1 63:1, - 0:1, count 6, sum 1e+300, start +0"},
    {"down to the coarsest",
     {.bucket_factor = 256, .max_buckets = 2},
     "1e-300 1e-100 1 1e100 1e300",
     "schema -4, zero 2 in " ZERO ", + 0:1 21:1 63:1, -, count 5, sum 1e+300, start +0"},
    {"infinities in coarser buckets",
     {.bucket_factor = 1.005, .max_buckets = 3},
     "inf -inf 1.7976931348623157e308 -1.7976931348623157e308 1",
     "schema -4, zero 0 in " ZERO ", + 0:1 64:1 65:1, - 64:1 65:1, count 5, sum 1, start +0"},
    /* Beginning anew. */
    {"too early for it",
     {.bucket_factor = 1.2, .max_buckets = 4, .min_reset_ns = 600 * MINUTE_NS},
     SMALL_ROW,
     "schema 1, zero 1 in " ZERO ", + 0:1 1:3 2:2 4:1, -, count 8, sum 11.5, start +0"},
    {"not a moment too early",
     {.bucket_factor = 2, .max_buckets = 1, .min_reset_ns = 2 * MINUTE_NS},
     "1 2",
     "schema 0, zero 0 in " ZERO ", + 1:1, -, count 1, sum 2, start +120"},
    {"anew, with all that were observed at once",
     {.bucket_factor = 2, .max_buckets = 1, .min_reset_ns = 2 * MINUTE_NS},
     "1 5x3",
     "schema 0, zero 0 in " ZERO ", + 2:5, -, count 5, sum 15, start +120"},
    {"anew, again and again",
     {.bucket_factor = 2, .max_buckets = 1, .min_reset_ns = 1},
     "1 2 4 4 8 -8",
     "schema 0, zero 0 in " ZERO ", +, - 3:1, count 1, sum -8, start +360"},
    {"due while nothing happens",
     {.bucket_factor = 2, .max_buckets = 1, .min_reset_ns = 5 * MINUTE_NS},
     "1 2 +60",
     "schema 0, zero 0 in " ZERO ", +, -, count 0, sum 0, start +300"},
    {"due once, long ago",
     {.bucket_factor = 2, .max_buckets = 1, .min_reset_ns = 5 * MINUTE_NS},
     "1 2 +60 4 2",
     "schema 0, zero 0 in " ZERO ", + 1:1, -, count 1, sum 2, start +3840"},
    {"due, and nothing was over the limit since",
     {.bucket_factor = 2, .max_buckets = 1, .min_reset_ns = 5 * MINUTE_NS},
     "1 2 +1 2 look 2",
     "schema 0, zero 0 in " ZERO ", + 1:1, -, count 1, sum 2, start +300"},
    {"the threshold begins anew",
     {.bucket_factor = 2, .max_buckets = 1, .max_zero_threshold = 100, .min_reset_ns = 5 * MINUTE_NS},
     "1 2 4 8 1 1",
     "schema 0, zero 0 in " ZERO ", + 0:2, -, count 2, sum 2, start +300"},
    {"the schema begins anew",
     {.bucket_factor = 1.005, .max_buckets = 2, .min_reset_ns = 6 * MINUTE_NS},
     "1 2 4 8 16 1 1.1",
     "schema 8, zero 0 in " ZERO ", + 0:1 36:1, -, count 2, sum 2.1, start +360"},
    {"anew by what goes into the zero bucket later",
     {.bucket_factor = 2, .max_buckets = 1, .zero_threshold = 0.5, .min_reset_ns = 3 * MINUTE_NS},
     "1 0.25 8 0.25",
     "schema 0, zero 1 in 0.5, + 3:1, -, count 2, sum 8.25, start +180"},
    {"an infinity begins anew",
     {.bucket_factor = 2, .max_buckets = 1, .min_reset_ns = 1},
     "1 inf",
     "schema 0, zero 0 in " ZERO ", + 1025:1, -, count 1, sum 0, start +120"},
    /* A look takes the steps that are left. */
    {"a look is never over the limit",
     {.bucket_factor = 1.005, .max_buckets = 2},
     "1 1.5 1.25",
     "schema 0, zero 0 in " ZERO ", + 0:1 1:2, -, count 3, sum 3.75, start +0"},
    {"a look widens first",
     {.bucket_factor = 1.005, .max_buckets = 1, .max_zero_threshold = 1.3},
     "1.2 2 1.25",
     "schema 8, zero 2 in 1.251986277866316, + 256:1, -, count 3, sum 4.45, start +0"},
};

enum { SCENARIOS = sizeof(scenarios) / sizeof(scenarios[0]) };

/* The next word of a scenario, done to the pair or, without one, to the model alone. */
static void scenario_word(const char *word, struct native_bench *b, struct native_pair *p, struct native_model *m)
{
    const char *times = strchr(word, 'x');
    uint64_t n = times != NULL ? strtoull(word, NULL, 10) : 1;
    if (word[0] == '+') {
        bench_advance(b, strtoll(word + 1, NULL, 10) * MINUTE_NS);
    } else if (strcmp(word, "look") == 0) {
        if (p != NULL)
            CHECK(pair_look(p, 1) == NULL);
        else
            native_model_expose(m, b->clock.wall_ns);
    } else {
        double v = strtod(times != NULL ? times + 1 : word, NULL);
        bench_advance(b, MINUTE_NS);
        if (p != NULL)
            pair_observe(p, v, n);
        else
            native_model_observe(m, v, n, b->clock.wall_ns);
    }
}

static void scenario_words(const struct scenario *s, struct native_bench *b, struct native_pair *p,
                           struct native_model *m)
{
    char words[256], *rest = words;
    (void)snprintf(words, sizeof(words), "%s look", s->program);
    for (char *word = strtok_r(words, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
        scenario_word(word, b, p, m);
}

static void the_model_obeys_the_written_scenarios(void)
{
    for (size_t i = 0; i < SCENARIOS; i++) {
        struct native_bench clock_only = {.clock = {BENCH_EPOCH_NS, 0}};
        struct native_model m;
        native_model_init(&m, &scenarios[i].options, NULL, 0, BENCH_EPOCH_NS);
        scenario_words(&scenarios[i], &clock_only, NULL, &m);
        char *have = native_model_text(&m, BENCH_EPOCH_NS);
        CHECK_STRING(have, scenarios[i].result);
        if (strcmp(have, scenarios[i].result) != 0)
            fprintf(stderr, "in: %s\n", scenarios[i].name);
        free(have);
        native_model_free(&m);
    }
}

/* With and without classic buckets, which begin anew with the others. */
static void check_scenarios(struct native_bench *b)
{
    static const double bounds[] = {-2, -1, 0, 0.5, 1, 2, 3.5, 1e9};
    for (size_t i = 0; i < 2 * SCENARIOS; i++) {
        const struct scenario *s = &scenarios[i / 2];
        struct native_pair p;
        int before = test_failures;
        b->clock = (struct stopped_clock){BENCH_EPOCH_NS, 0};
        pair_new(&p, b, &s->options, bounds, i % 2 == 0 ? 0 : sizeof(bounds) / sizeof(bounds[0]));
        scenario_words(s, b, &p, NULL);
        if (test_failures != before)
            fprintf(stderr, "in: %s, %s, %s\n", s->name, b == &own_shard ? "own shard" : "shared store",
                    i % 2 == 0 ? "native" : "both");
        pair_end(&p);
    }
}

static void kymo_obeys_the_written_scenarios(void)
{
    in_both_stores(check_scenarios);
}

/* ---- every value into its bucket ---- */

static struct {
    double *v;
    size_t n, cap;
} values;

static void values_add(double v)
{
    if (values.n == values.cap) {
        values.cap = 2 * values.cap + 1024;
        values.v = realloc(values.v, values.cap * sizeof(*values.v));
        REQUIRE(values.v != NULL);
    }
    values.v[values.n++] = v;
}

static void values_add_both(double v)
{
    values_add(v);
    values_add(-v);
}

/* Observes some of the values together, each so often that no two mistakes make up for each other. */
static const char *observe_values(struct native_bench *b, int schema, const double *v, size_t n, int prints)
{
    const struct kymo_native native = {
        .bucket_factor = factor_of(schema), .zero_threshold = -1, .max_buckets = NO_LIMIT};
    struct native_pair p;
    pair_new(&p, b, &native, NULL, 0);
    for (size_t i = 0; i < n; i++)
        pair_observe(&p, v[i], 1 + i * 7919 % 65521);
    const char *wrong = pair_look(&p, prints);
    CHECK(p.model.steps.halved == 0 && p.model.schema == schema);
    pair_end(&p);
    return wrong;
}

/* Empties the list; what is wrong together is looked for one by one. */
static void values_agree(struct native_bench *b, int schema)
{
    const char *wrong = observe_values(b, schema, values.v, values.n, 0);
    CHECK(wrong == NULL);
    for (size_t i = 0, shown = 0; wrong != NULL && i < values.n && shown < 5; i++) {
        if (observe_values(b, schema, &values.v[i], 1, 0) != NULL) {
            shown++;
            fprintf(stderr, "schema %d, value %a\n", schema, values.v[i]);
            (void)observe_values(b, schema, &values.v[i], 1, 1);
        }
    }
    values.n = 0;
}

static void check_published_keys(struct native_bench *b)
{
    for (int schema = NATIVE_SCHEMA_MIN; schema <= NATIVE_SCHEMA_MAX; schema++) {
        for (size_t i = 0; i < KEY_ROWS; i++) {
            values_add_both(key_rows[i].v);
            values_agree(b, schema);
        }
        values_add_both(0x1.ae89f995ad3adp-1);
        values_add_both(0x1.172b83c7d517bp-1);
        values_add_both(0x1.00b1afa5abcbfp-1);
        values_agree(b, schema);
    }
}

static void kymo_has_the_published_keys(void)
{
    in_both_stores(check_published_keys);
}

static double double_of(uint64_t exponent, uint64_t mantissa)
{
    uint64_t bits = exponent << 52 | (mantissa & ((UINT64_C(1) << 52) - 1));
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

static uint64_t random_bits(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

/* Exponent 0 is that of the subnormals. */
static void check_exponents(struct native_bench *b)
{
    uint64_t random = 88172645463325252u;
    unsigned each = test_long() ? 40 : 4;
    for (int schema = NATIVE_SCHEMA_MIN; schema <= NATIVE_SCHEMA_MAX; schema++) {
        for (uint64_t e = 0; e < 2047; e++) {
            values_add_both(double_of(e, 0));
            values_add_both(double_of(e, ~UINT64_C(0)));
            for (unsigned i = 0; i < each; i++)
                values_add_both(double_of(e, random_bits(&random)));
            if (values.n + 2 * (each + 2) > NO_LIMIT)
                values_agree(b, schema);
        }
        values_agree(b, schema);
        for (unsigned shift = 0; shift < 52; shift++)
            values_add_both(double_of(0, random_bits(&random) >> (12 + shift)));
        values_agree(b, schema);
    }
}

static void every_exponent_falls_into_its_buckets(void)
{
    in_both_stores(check_exponents);
}

/* Powers of two where the bounds of one doubling are tried: both ends, the subnormals, around 1. */
static const int octaves[] = {-1075, -1074, -1073, -1023, -1022, -1021, -512, -128, -1, 0, 1, 2, 63, 1000, 1022, 1023};

enum { OCTAVES = sizeof(octaves) / sizeof(octaves[0]) };

/* The keys of one octave: those whose bounds are above 2^o, up to 2^(o+1). At least one, though it may be wider. */
static int32_t octave_first(int schema, int o)
{
    return schema >= 0 ? o * (1 << schema) + 1 : native_key(ldexp(1, o < -1074 ? -1074 : o), schema);
}

static int32_t octave_last(int schema, int o)
{
    return schema >= 0 ? (o + 1) * (1 << schema) : octave_first(schema, o);
}

static void check_bounds(struct native_bench *b)
{
    for (int schema = NATIVE_SCHEMA_MIN; schema <= NATIVE_SCHEMA_MAX; schema++) {
        for (size_t o = 0; o < OCTAVES; o++) {
            for (int32_t k = octave_first(schema, octaves[o]); k <= octave_last(schema, octaves[o]); k++) {
                double bound = native_bound(k, schema);
                values_add_both(bound);
                values_add_both(nextafter(bound, INFINITY));
                values_add_both(nextafter(bound, 0));
            }
            values_agree(b, schema);
        }
    }
}

static void every_bound_parts_its_neighbours(void)
{
    in_both_stores(check_bounds);
}

/*
 * The zero bucket widens from bound to bound, which shows every one of them. In the shared store the entries that it grows
 * over stay in use, so that about a thousand of these steps, without a beginning anew, are what a histogram can take before
 * it falls back to the coarsest schema: there each octave has its own, where an octave has many bounds.
 */
static void check_thresholds(struct native_bench *b)
{
    for (int schema = NATIVE_SCHEMA_MIN; schema <= NATIVE_SCHEMA_MAX; schema++) {
        const struct kymo_native native = {
            .bucket_factor = factor_of(schema), .zero_threshold = -1, .max_zero_threshold = DBL_MAX, .max_buckets = 1};
        struct native_pair p;
        const char *wrong = NULL;
        uint64_t widened = 0;
        double last = 0;
        pair_new(&p, b, &native, NULL, 0);
        for (size_t o = 0; o < OCTAVES; o++) {
            for (int32_t k = octave_first(schema, octaves[o]); k <= octave_last(schema, octaves[o]); k++) {
                double bound = native_bound(k, schema);
                if (bound <= last || wrong != NULL)
                    continue;
                pair_observe(&p, k % 2 == 0 ? bound : -bound, 1);
                wrong = pair_look(&p, 1);
                last = bound;
            }
            if (b == &shared_store && schema > 4 && wrong == NULL && o + 1 < OCTAVES) {
                widened += p.model.steps.widened;
                pair_end(&p);
                pair_new(&p, b, &native, NULL, 0);
            }
        }
        CHECK(wrong == NULL);
        CHECK(widened + p.model.steps.widened > 4 && p.model.schema == schema);
        pair_end(&p);
    }
}

static void every_bound_can_be_a_threshold(void)
{
    in_both_stores(check_thresholds);
}

/* ---- limits of every size ---- */

/* As many buckets as the limit, then one more. */
static void limit_is(struct native_bench *b, uint32_t given, uint32_t meant, int schema)
{
    const struct kymo_native native = {.bucket_factor = factor_of(schema), .max_buckets = given};
    struct native_pair p;
    pair_new(&p, b, &native, NULL, 0);
    for (uint32_t i = 0; i < meant; i++) {
        double v = native_bound((int32_t)(i / 2) - 4000, schema);
        pair_observe(&p, i % 2 == 0 ? v : -v, 1);
    }
    CHECK(pair_look(&p, 0) == NULL);
    CHECK_INT(p.model.schema, schema);
    CHECK_U64(native_model_populated(&p.model), meant);
    pair_observe(&p, 1e300, 1);
    CHECK(pair_look(&p, 0) == NULL);
    CHECK_INT(p.model.schema, schema - 1);
    pair_end(&p);
}

static void check_limits(struct native_bench *b)
{
    limit_is(b, 0, 160, 8);
    limit_is(b, 160, 160, 8);
    limit_is(b, 40, 40, 8);
    limit_is(b, 161, 161, 7);
    limit_is(b, 999, 999, 8);
    limit_is(b, 1000, 1000, 8);
}

static void a_limit_is_reached_and_not_passed(void)
{
    in_both_stores(check_limits);
}

/* ---- beginning anew, very often ---- */

/* In a shard of its own, where there is one. */
static void *observe_twice(void *arg)
{
    const struct native_pair *p = arg;
    (void)kymo_thread_attach(p->bench->reg);
    for (int round = 0; round < 2; round++) {
        kymo_histogram_observe(p->h, 3);
        kymo_histogram_observe(p->h, 3e30); /* outside of a window around the first */
        kymo_registry_sweep(p->bench->reg, 0);
    }
    return NULL;
}

/*
 * Epochs have numbers that come round after 32 768: what a thread, its shard or an entry of the table was left with long
 * ago must not count again then.
 */
static void check_many_beginnings(struct native_bench *b)
{
    enum { TIMES = 3 * 32768 + 5000 };
    const struct kymo_native native = {.bucket_factor = 2, .max_buckets = 2, .min_reset_ns = 1};
    struct native_pair p;
    pthread_t other;
    uint64_t wrong = 0;
    pair_new(&p, b, &native, NULL, 0);
    REQUIRE(pthread_create(&other, NULL, observe_twice, &p) == 0 && pthread_join(other, NULL) == 0);
    for (int round = 0; round < 2; round++) {
        native_model_observe(&p.model, 3, 1, b->clock.wall_ns);
        native_model_observe(&p.model, 3e30, 1, b->clock.wall_ns);
    }
    for (int i = 0; i < TIMES && wrong == 0; i++) {
        bench_advance(b, 10);
        for (int k = 0; k < 3; k++) /* another bucket each time for a while: entries of many epochs stay behind */
            pair_observe(&p, ldexp(1, (i < 500 ? i % 50 : 3) + 2 * k), 1);
        wrong += kymo_histogram_value(p.h, NULL, NULL, 0) != p.model.count;
        if (i % 1000 == 0)
            wrong += pair_look(&p, 1) != NULL;
    }
    CHECK_U64(wrong, 0);
    CHECK(p.model.steps.resets >= TIMES);
    pair_end(&p);
}

static void what_was_left_behind_does_not_come_back(void)
{
    in_both_stores(check_many_beginnings);
}

/* ---- random programs ---- */

static double pick_double(uint64_t *random, const double *from, size_t n)
{
    return from[random_bits(random) % n];
}

#define PICK(random, ...)                                                                                              \
    pick_double(random, (const double[]){__VA_ARGS__}, sizeof((double[]){__VA_ARGS__}) / sizeof(double))

static double uniform(uint64_t *random)
{
    return (double)(random_bits(random) >> 11) * 0x1p-53;
}

static double sign(uint64_t *random, double v)
{
    return random_bits(random) & 1 ? v : -v;
}

/* Values as one program observes them: it keeps to one profile. */
static double random_value(uint64_t *random, unsigned profile)
{
    switch (profile) {
    case 0:
        return floor(uniform(random) * 40) - 10;
    case 1:
        return exp(4 * uniform(random) - 2);
    case 2:
        return sign(random, exp(20 * uniform(random) - 10));
    case 3:
        return double_of(random_bits(random) % 2047, random_bits(random)) * sign(random, 0.5);
    case 4:
        return sign(random, ldexp(1 + (floor(uniform(random) * 3) - 1) * 0x1p-52, (int)(random_bits(random) % 12) - 6));
    case 5:
        return -exp(60 * uniform(random) - 30);
    case 6:
        return sign(random, native_bound((int32_t)(random_bits(random) % 41) - 20, (int)(random_bits(random) % 9)));
    default:
        return PICK(random, 0, -0.0, INFINITY, -INFINITY, NAN, 0x1p-1074, -0x1p-1074, DBL_MAX, -DBL_MAX, DBL_MIN,
                    0x1p-128, 0x1.0000000000001p-128, -0x1.0000000000001p-128, 1, 1.5, -2, 1e-310);
    }
}

enum { PROFILES = 8 };

static struct kymo_native random_options(uint64_t *random)
{
    struct kymo_native o;
    memset(&o, 0, sizeof(o));
    o.bucket_factor = factor_of((int)(random_bits(random) % SCHEMAS) + NATIVE_SCHEMA_MIN);
    if (random_bits(random) % 16 == 0)
        o.bucket_factor = 0;
    o.zero_threshold = PICK(random, 0, 0, -1, 1e-3, 0.5, 1, 0x1p-1074, 1e10);
    o.max_zero_threshold = PICK(random, 0, 0, 0x1p-1074, 0.01, 0.5, 1.2, 10, 1e10, DBL_MAX);
    o.max_buckets = (uint32_t)PICK(random, 0, 1, 2, 3, 4, 5, 8, 20, 160, NO_LIMIT);
    o.min_reset_ns = (int64_t)PICK(random, 0, 0, 1, 1e9, 6e10, 3e11, 3.6e12);
    return o;
}

static struct native_step random_step(uint64_t *random, const struct native_program *p, unsigned profile,
                                      unsigned looks)
{
    uint64_t r = random_bits(random) % 100;
    struct native_step step = {STEP_OBSERVE, 0, 1, 0};
    if (r < looks) {
        step.what = STEP_LOOK;
    } else if (r < looks + 10) {
        step.what = STEP_ADVANCE;
        step.ns = (int64_t)(uniform(random) * 1.5 * (double)(p->options.min_reset_ns + 2));
        if (random_bits(random) % 3 == 0)
            step.ns = p->options.min_reset_ns;
    } else {
        step.v = random_value(random, random_bits(random) % 10 == 0 ? PROFILES - 1 : profile);
        if (random_bits(random) % 8 == 0)
            step.n = random_bits(random) % 5;
    }
    return step;
}

static void random_program(struct native_program *p, uint64_t seed)
{
    static const double bounds[] = {-100, -1, 0, 0.5, 1, 2, 10, 1e6};
    uint64_t random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (int i = 0; i < 4; i++)
        (void)random_bits(&random);
    unsigned profile = (unsigned)(random_bits(&random) % PROFILES);
    unsigned looks = (unsigned)PICK(&random, 0, 0, 2, 20, 60);
    p->options = random_options(&random);
    p->bounds = bounds;
    p->n_bounds = random_bits(&random) % 2 == 0 ? 0 : 1 + random_bits(&random) % (sizeof(bounds) / sizeof(bounds[0]));
    p->n = 1 + random_bits(&random) % (random_bits(&random) % 4 == 0 ? PROGRAM_STEPS : 60);
    for (size_t i = 0; i < p->n; i++)
        p->steps[i] = random_step(&random, p, profile, looks);
}

static void steps_sum(struct native_steps *all, const struct native_steps *more)
{
    all->resets += more->resets;
    all->scheduled += more->scheduled;
    all->due += more->due;
    all->widened += more->widened;
    all->halved += more->halved;
    all->halved_in_vain += more->halved_in_vain;
    all->refused += more->refused;
}

/* KYMO_NATIVE_SEED=n begins there. */
static void random_programs_agree(void)
{
    static struct native_program program;
    const char *asked = getenv("KYMO_NATIVE_SEED");
    uint64_t first = asked != NULL ? strtoull(asked, NULL, 10) : 1, n = test_long() ? 100000 : 6000;
    struct native_steps all, steps;
    memset(&all, 0, sizeof(all));
    benches_new();
    int give_up = test_failures + 5;
    for (uint64_t seed = first; seed < first + n && test_failures < give_up; seed++) {
        random_program(&program, seed);
        struct native_bench *b = seed % 4 == 0 ? &shared_store : &own_shard;
        int good = program_holds(b, &program, &steps);
        CHECK(good);
        if (!good)
            fprintf(stderr, "of seed %" PRIu64 ", in %s\n", seed,
                    b == &own_shard ? "its own shard" : "the shared store");
        steps_sum(&all, &steps);
        if (seed % 500 == 0)
            benches_renew();
    }
    benches_free();
    printf("native: %" PRIu64 " programs: %" PRIu64 " x anew at once, %" PRIu64 " when due (%" PRIu64
           " scheduled), %" PRIu64 " x widened, %" PRIu64 " x halved, %" PRIu64 " of them in vain; %" PRIu64 " NaN\n",
           n, all.resets, all.due, all.scheduled, all.widened, all.halved, all.halved_in_vain, all.refused);
    CHECK(all.resets > n / 20 && all.due > n / 20 && all.widened > n / 20 && all.halved > n / 20 && all.refused > 0);
}

/* ---- what surrounds a histogram ---- */

static void nan_is_refused_and_counted(void)
{
    struct kymo_registry *reg;
    struct kymo_histogram *h;
    REQUIRE(kymo_registry_new(NULL, &reg) == 0);
    REQUIRE(kymo_histogram_new(reg, KYMO_DESC(.name = "native", .help = "x", KYMO_NATIVE(.bucket_factor = 2)), &h) ==
            0);
    CHECK_INT(kymo_thread_attach(reg), 0);
    kymo_histogram_observe(h, (double)NAN);
    kymo_histogram_observe_n(h, (double)NAN, 3);
    kymo_histogram_observe_n(h, 1, UINT64_MAX);
    kymo_histogram_observe_n(h, 1, 0);
    kymo_histogram_observe(h, 1);
    CHECK_U64(refused(reg, "native", "nan"), 2);
    CHECK_U64(refused(reg, "native", "overflow"), 1);
    CHECK_U64(kymo_histogram_value(h, NULL, NULL, 0), 1);
    kymo_registry_free(reg);
}

static int try_native(struct native_bench *b, struct kymo_native native)
{
    struct kymo_histogram *h;
    int r = kymo_histogram_new(b->reg, KYMO_DESC(.name = "native", .help = "x", .native = &native), &h);
    CHECK((r == 0) == (h != NULL));
    if (r == 0)
        CHECK_INT(kymo_registry_unregister(b->reg, "native"), 0);
    return r;
}

static void options_that_mean_nothing_are_refused(void)
{
    struct kymo_counter *c;
    benches_new();
    struct native_bench *b = &own_shard;
    CHECK_INT(try_native(b, (struct kymo_native){.bucket_factor = 1}), KYMO_ENATIVE);
    CHECK_INT(try_native(b, (struct kymo_native){.bucket_factor = 0.5}), KYMO_ENATIVE);
    CHECK_INT(try_native(b, (struct kymo_native){.bucket_factor = -2}), KYMO_ENATIVE);
    CHECK_INT(try_native(b, (struct kymo_native){.bucket_factor = (double)NAN}), KYMO_ENATIVE);
    CHECK_INT(try_native(b, (struct kymo_native){.zero_threshold = (double)NAN}), KYMO_ENATIVE);
    CHECK_INT(try_native(b, (struct kymo_native){.zero_threshold = (double)INFINITY}), KYMO_ENATIVE);
    CHECK_INT(try_native(b, (struct kymo_native){.max_zero_threshold = (double)NAN}), KYMO_ENATIVE);
    CHECK_INT(try_native(b, (struct kymo_native){.max_zero_threshold = (double)INFINITY}), KYMO_ENATIVE);
    CHECK_INT(try_native(b, (struct kymo_native){.max_buckets = 1001}), KYMO_ENATIVE);
    CHECK_INT(try_native(b, (struct kymo_native){.bucket_factor = 1.0000001}), 0);
    CHECK_INT(try_native(b, (struct kymo_native){.bucket_factor = DBL_MAX}), 0);
    CHECK_INT(try_native(b, (struct kymo_native){.max_buckets = 1000, .max_zero_threshold = DBL_MAX}), 0);
    CHECK_INT(try_native(b, (struct kymo_native){.bucket_factor = 0}), 0);
    CHECK(kymo_counter_new(b->reg, KYMO_DESC(.name = "c_total", .help = "x", KYMO_NATIVE(.bucket_factor = 2)), &c) !=
          0);
    benches_free();
}

/* What a visitor saw of the series of a family. */
struct series_seen {
    unsigned n;
    uint64_t count[3];
    int32_t schema[3];
};

static int see_series(void *ctx, const struct kymo_family *family, const struct kymo_point *point)
{
    struct series_seen *seen = ctx;
    char value[8];
    if (strcmp(family->name, "by") != 0)
        return 0;
    (void)kymo_point_value(family, point, 0, value, sizeof(value));
    unsigned i = (unsigned)(value[0] - 'a') % 3;
    CHECK(native_point_wrong(&point->value.histogram, 2) == NULL);
    seen->n++;
    seen->count[i] = point->value.histogram.count;
    seen->schema[i] = point->value.histogram.native->schema;
    return 0;
}

/* One is halved, one begins late, one stays at its first resolution. */
static void check_series(struct native_bench *b)
{
    struct kymo_histogram_family *f;
    struct series_seen seen;
    const struct kymo_visitor visitor = {sizeof(visitor), &seen, NULL, see_series, NULL};
    REQUIRE(kymo_histogram_family_new(b->reg,
                                      KYMO_DESC(.name = "by", .help = "x", KYMO_LABELS("i"),
                                                KYMO_NATIVE(.bucket_factor = 2, .max_buckets = 2)),
                                      &f) == 0);
    struct kymo_histogram *a = kymo_histogram_with(f, KYMO_VALUES("a"));
    struct kymo_histogram *second = kymo_histogram_with(f, KYMO_VALUES("b"));
    for (int i = 0; i < 4; i++) {
        kymo_histogram_observe(a, ldexp(1, i));
        kymo_histogram_observe(second, i % 2 == 0 ? 1 : -1);
        kymo_histogram_family_observe(f, 1, KYMO_VALUES("b"));
    }
    kymo_histogram_family_observe(f, 1e9, KYMO_VALUES("c"));
    memset(&seen, 0, sizeof(seen));
    CHECK_INT(kymo_registry_visit(b->reg, &visitor), 0);
    CHECK_U64(seen.n, 3);
    CHECK_U64(seen.count[0], 4);
    CHECK_U64(seen.count[1], 8);
    CHECK_U64(seen.count[2], 1);
    CHECK_INT(seen.schema[0], -2);
    CHECK_INT(seen.schema[1], 0);
    CHECK_INT(seen.schema[2], 0);
    CHECK_INT(kymo_registry_unregister(b->reg, "by"), 0);
    kymo_histogram_observe(a, 1);
    kymo_histogram_observe_n(second, (double)INFINITY, 3);
}

static void series_of_a_family_keep_apart(void)
{
    in_both_stores(check_series);
}

TEST_MAIN(TEST(the_model_has_the_published_keys), TEST(the_model_has_the_published_tables),
          TEST(the_model_has_the_published_schemas), TEST(the_model_s_bounds_end_its_buckets),
          TEST(the_model_obeys_the_written_scenarios), TEST(kymo_obeys_the_written_scenarios),
          TEST(kymo_has_the_published_keys), TEST(every_exponent_falls_into_its_buckets),
          TEST(every_bound_parts_its_neighbours), TEST(every_bound_can_be_a_threshold),
          TEST(a_limit_is_reached_and_not_passed), TEST(what_was_left_behind_does_not_come_back),
          TEST(random_programs_agree), TEST(nan_is_refused_and_counted), TEST(options_that_mean_nothing_are_refused),
          TEST(series_of_a_family_keep_apart))
