/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/formats_registry.c - series of every kind that programs record themselves, in shapes formats may trip over.
 *
 * The clock stands 20 minutes before now and goes on by a second and some milliseconds with each family, so that each
 * series has a start of its own that a server can store. Exemplars say in a label which value they belong to. What
 * histograms observe is kept, for readers to count again.
 */
#include "formats_host.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#define NS_PER_S INT64_C(1000000000)
#define TICK_NS INT64_C(1037000000)

/* ---- the clock ---- */

static int64_t now_ns;

static int64_t tell_time(void *ctx)
{
    (void)ctx;
    return now_ns;
}

static void tick(void)
{
    now_ns += TICK_NS;
}

/* ---- labels that a careless writer gets wrong ---- */

static const struct kymo_label constant[] = {{"zone", "a \"quoted\\zone\"\n"}, {"rack.no", "\xe2\x84\x96 7"}};

static const char *const awkward[] = {
    "plain",
    "",
    "\"quoted\\\"",
    "line\nbreak\\n",
    "tab\tand return\r",
    "{a=\"b\",c=\"d\"} 1 # {} 1",
    "\x01\x1f\x7f",
    "d\xc3\xa9j\xc3\xa0, \xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e, \xf0\x9f\x9c\x81",
};

static const char awkward_help[] =
    "One line\nand another, a back\\slash, \\n that is none, \"quotes\", gr\xc3\xbc\xc3\x9f"
    "e {a=\"b\"}.";

void formats_constant_write(FILE *f)
{
    fputc('[', f);
    for (size_t i = 0; i < COUNT(constant); i++) {
        fputs(i == 0 ? "[" : ",[", f);
        host_json_string(f, constant[i].name);
        fputc(',', f);
        host_json_string(f, constant[i].value);
        fputc(']', f);
    }
    fputc(']', f);
}

/* ---- exemplars ---- */

/* Says which value it is of, to the bit, and when: @age_ns before the clock. */
struct trace {
    char id[24];
    struct kymo_label labels[2];
    struct kymo_exemplar exemplar;
};

static const struct kymo_exemplar *trace_of(struct trace *t, double v, int64_t age_ns)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    (void)snprintf(t->id, sizeof(t->id), "%016" PRIx64, bits);
    t->labels[0] = (struct kymo_label){"trace_id", t->id};
    t->labels[1] = (struct kymo_label){"note", "a \"\\\n\xc3\xbc"};
    t->exemplar = (struct kymo_exemplar){t->labels, 2, now_ns - age_ns};
    return &t->exemplar;
}

/* ---- counters ---- */

static void fill_counters(struct kymo_registry *reg)
{
    struct kymo_counter_family *f;
    struct kymo_counter *c;
    MUST(kymo_counter_family_new(
             reg, KYMO_DESC(.name = "events_total", .help = awkward_help, KYMO_LABELS("path", "note")), &f) == 0);
    for (size_t i = 0; i < COUNT(awkward); i++) {
        const char *values[] = {awkward[i], awkward[(i * 3 + 1) % COUNT(awkward)]};
        kymo_counter_add_int(kymo_counter_with(f, values, 2), i * i);
        tick();
    }
    MUST(kymo_counter_new(reg, KYMO_DESC(.name = "large_total", .help = "Above 2^53."), &c) == 0);
    kymo_counter_add_int(c, (UINT64_C(1) << 53) + 1);
    tick();
    MUST(kymo_counter_new(reg, KYMO_DESC(.name = "spent_seconds_total", .help = "Seconds.", .unit = "seconds"), &c) ==
         0);
    kymo_counter_add(c, 0.1);
    kymo_counter_add(c, 0.2);
    tick();
    MUST(kymo_counter_new(reg, KYMO_DESC(.name = "turns", .help = "A counter that is not called _total."), &c) == 0);
    kymo_counter_add_int(c, 42);
}

static void fill_traced_counters(struct kymo_registry *reg)
{
    struct kymo_counter_family *f;
    struct trace t;
    const struct kymo_desc *desc = KYMO_DESC(.name = "traced_bytes_total", .help = "With exemplars.", .unit = "bytes",
                                             .exemplar_every = 1, KYMO_LABELS("note"));
    MUST(kymo_counter_family_new(reg, desc, &f) == 0);
    for (size_t i = 0; i < COUNT(awkward); i++) {
        const double amount = i % 2 == 0 ? (double)(i + 1) : (double)i + 0.25;
        tick();
        kymo_counter_add_exemplar(kymo_counter_with(f, &awkward[i], 1), amount,
                                  trace_of(&t, amount, INT64_C(7000000) * (int64_t)i));
    }
}

static double read_answer(void *ctx)
{
    (void)ctx;
    return 42.5;
}

/* ---- gauges ---- */

static void fill_gauges(struct kymo_registry *reg)
{
    static const struct {
        const char *name;
        double value;
    } numbers[] = {
        {"NaN", (double)NAN},
        {"+Inf", (double)INFINITY},
        {"-Inf", -(double)INFINITY},
        {"0", 0},
        {"DBL_MAX", DBL_MAX},
        {"-DBL_MAX", -DBL_MAX},
        {"smallest", 5e-324},
        {"0.1", 0.1},
        {"-2 / 3", -2.0 / 3},
        {"10^6", 1e6},
        {"10^21", 1e21},
        {"2^53", 9007199254740992.0},
        {"999999.5", 999999.5},
        {"0.00001", 0.00001},
        {"-7", -7},
    };
    struct kymo_gauge_family *f;
    struct kymo_gauge *g;
    MUST(kymo_gauge_family_new(reg, KYMO_DESC(.name = "numbers", .help = "Doubles.", KYMO_LABELS("number")), &f) == 0);
    for (size_t i = 0; i < COUNT(numbers); i++)
        kymo_gauge_set(kymo_gauge_with(f, &numbers[i].name, 1), numbers[i].value);
    MUST(kymo_gauge_new(
             reg,
             KYMO_DESC(.name = "level_bytes", .help = "Up and down.", .unit = "bytes", .gauge_mode = KYMO_GAUGE_UPDOWN),
             &g) == 0);
    kymo_gauge_sub(g, 12);
    MUST(kymo_gauge_callback(reg, KYMO_DESC(.name = "answer", .help = "Read."), read_answer, NULL) == 0);
    MUST(kymo_counter_callback(reg, KYMO_DESC(.name = "answers_total", .help = "Read."), read_answer, NULL) == 0);
}

/* Families of more than one page in every format: a protobuf message may not exceed one. */
static void fill_bulk(struct kymo_registry *reg)
{
    enum { GAUGES = 900, HISTOGRAMS = 120 };
    struct kymo_gauge_family *gauges;
    struct kymo_histogram_family *natives;
    const struct kymo_native native = {.bucket_factor = 1.5};
    MUST(kymo_gauge_family_new(reg, KYMO_DESC(.name = "bulk_ratio", .help = "Many.", KYMO_LABELS("shard", "index")),
                               &gauges) == 0);
    MUST(kymo_histogram_family_new(
             reg, KYMO_DESC(.name = "bulk_native", .help = "Many.", .native = &native, KYMO_LABELS("index")),
             &natives) == 0);
    for (int i = 0; i < GAUGES; i++) {
        char shard[64], index[16];
        (void)snprintf(shard, sizeof(shard), "a shard whose name is somewhat long: %d", i % 7);
        (void)snprintf(index, sizeof(index), "%d", i);
        const char *values[] = {shard, index};
        kymo_gauge_family_set(gauges, (i - 100) / 7.0, values, 2);
        for (int k = 0; i < HISTOGRAMS && k < 100; k++)
            kymo_histogram_family_observe(natives, pow(1.3, k - i % 40), &values[1], 1);
    }
}

/* ---- histograms ---- */

enum { MANY = 240 };

/* What one histogram is given, each value once, in this order. */
struct observations {
    size_t n;
    double values[MANY];
};

/* A single histogram; values are kept unless it starts anew on the way and forgets some. */
struct distribution {
    const char *name;
    const char *unit;
    const double *bounds;
    size_t n_bounds;
    const struct kymo_native *native;
    void (*fill)(struct observations *o);
    int64_t tick_ns; /* between two observations */
    uint32_t exemplar_every;
    int falling_times; /* of exemplars: later values have older ones */
};

static void add(struct observations *o, double v)
{
    MUST(o->n < MANY);
    o->values[o->n++] = v;
}

static void fill_waits(struct observations *o)
{
    static const double values[] = {0.05, 0.1, 0.3, 0.7, 2, 2, 7, 100, 0.0002};
    for (size_t i = 0; i < COUNT(values); i++)
        add(o, values[i]);
}

static void fill_signs(struct observations *o)
{
    static const double values[] = {-1000, -10, -10, -1.5, -1, -0.0, 0, 1e-9, -1e-9, 0.5, 1, 3, 3.5, 10, 77};
    for (size_t i = 0; i < COUNT(values); i++)
        add(o, values[i]);
}

static void fill_nothing(struct observations *o)
{
    (void)o;
}

static void fill_zeros(struct observations *o)
{
    for (int i = 0; i < 5; i++)
        add(o, 0);
}

static void fill_spread(struct observations *o)
{
    for (int i = -50; i <= 50; i++) {
        add(o, pow(3, i));
        if (i % 3 == 0)
            add(o, -pow(7, i));
    }
}

static void fill_near(struct observations *o)
{
    for (int i = 0; i < MANY; i++)
        add(o, 1 + i / 50.0);
}

static void fill_small(struct observations *o)
{
    for (int i = 0; i < MANY; i++)
        add(o, i % 2 == 0 ? i / 100.0 : -i / 1000.0);
}

static void fill_extreme(struct observations *o)
{
    add(o, (double)INFINITY);
    add(o, -(double)INFINITY);
    add(o, DBL_MAX);
    add(o, -DBL_MAX);
    add(o, 5e-324);
    add(o, -5e-324);
    add(o, DBL_MIN);
    add(o, 1);
}

static const double few_bounds[] = {0.1, 0.5, 1, 5};
static const double signed_bounds[] = {-10, -1, 0, 1, 10};
static const double odd_bounds[] = {5e-324, 0.30000000000000004, 999999, 1e6, 16777216, 1e21, DBL_MAX};

static const struct kymo_native as_usual = {.bucket_factor = 0};
static const struct kymo_native wide_zero = {.bucket_factor = 1.1, .zero_threshold = 0.001};
static const struct kymo_native no_zero = {.bucket_factor = 1.1, .zero_threshold = -1};
static const struct kymo_native coarsest = {.bucket_factor = 70000};
static const struct kymo_native finest = {.bucket_factor = 1.003, .max_buckets = 1000};
static const struct kymo_native roomy = {.bucket_factor = 1.1, .max_buckets = 1000};
static const struct kymo_native narrow = {.bucket_factor = 1.003, .max_buckets = 8};
static const struct kymo_native widening = {.bucket_factor = 1.1, .max_buckets = 8, .max_zero_threshold = 1};
static const struct kymo_native resetting = {.bucket_factor = 1.1, .max_buckets = 8, .min_reset_ns = 20 * NS_PER_S};

#define BOUNDS(array) .bounds = (array), .n_bounds = COUNT(array)

static const struct distribution distributions[] = {
    {"classic_seconds", "seconds", BOUNDS(few_bounds), .fill = fill_waits},
    {"classic_signs", NULL, BOUNDS(signed_bounds), .fill = fill_signs},
    {"classic_odd", NULL, BOUNDS(odd_bounds), .fill = fill_near},
    {"classic_empty", NULL, BOUNDS(few_bounds), .fill = fill_nothing},
    {"classic_infinite", NULL, BOUNDS(signed_bounds), .fill = fill_extreme},
    {"classic_traced", NULL, BOUNDS(few_bounds), .fill = fill_waits, .exemplar_every = 1},
    {"native_seconds", "seconds", .native = &as_usual, .fill = fill_waits},
    {"native_empty", NULL, .native = &as_usual, .fill = fill_nothing},
    {"native_empty_no_zero", NULL, .native = &no_zero, .fill = fill_nothing},
    {"native_zeros", NULL, .native = &no_zero, .fill = fill_zeros},
    {"native_signs", NULL, .native = &wide_zero, .fill = fill_signs},
    {"native_spread", NULL, .native = &roomy, .fill = fill_spread},
    {"native_coarse", NULL, .native = &coarsest, .fill = fill_spread},
    {"native_fine", NULL, .native = &finest, .fill = fill_near},
    {"native_infinite", NULL, .native = &no_zero, .fill = fill_extreme},
    {"native_infinite_fine", NULL, .native = &finest, .fill = fill_extreme},
    {"native_reduced", NULL, .native = &narrow, .fill = fill_near},
    {"native_widened", NULL, .native = &widening, .fill = fill_small},
    {"native_reset", NULL, .native = &resetting, .fill = fill_small, .tick_ns = TICK_NS},
    {"native_traced", NULL, .native = &as_usual, .fill = fill_waits, .exemplar_every = 1},
    {"both_signs", NULL, BOUNDS(signed_bounds), .native = &wide_zero, .fill = fill_signs, .exemplar_every = 1},
    {"both_seconds", "seconds", BOUNDS(few_bounds), .native = &as_usual, .fill = fill_waits, .exemplar_every = 1},
    {"both_falling", NULL, BOUNDS(few_bounds), .native = &as_usual, .fill = fill_waits, .exemplar_every = 1,
     .falling_times = 1},
};

static struct observations observed[COUNT(distributions)];

static void observe(struct kymo_histogram *h, const struct distribution *d, double v, size_t i)
{
    const int64_t age_ns = INT64_C(11000000) * (int64_t)(d->falling_times ? i : MANY - i);
    struct trace t;
    if (d->exemplar_every != 0)
        kymo_histogram_observe_exemplar(h, v, trace_of(&t, v, age_ns));
    else
        kymo_histogram_observe(h, v);
    now_ns += d->tick_ns;
}

static void fill_distribution(struct kymo_registry *reg, const struct distribution *d, struct observations *o)
{
    struct kymo_histogram *h;
    const struct kymo_desc *desc =
        KYMO_DESC(.name = d->name, .help = awkward_help, .unit = d->unit, .bounds = d->bounds, .n_bounds = d->n_bounds,
                  .native = d->native, .exemplar_every = d->exemplar_every);
    tick();
    MUST(kymo_histogram_new(reg, desc, &h) == 0);
    d->fill(o);
    for (size_t i = 0; i < o->n; i++)
        observe(h, d, o->values[i], i);
}

static void fill_distributions(struct kymo_registry *reg)
{
    for (size_t i = 0; i < COUNT(distributions); i++)
        fill_distribution(reg, &distributions[i], &observed[i]);
}

void formats_observed_write(FILE *f)
{
    const char *between = "";
    fputc('[', f);
    for (size_t i = 0; i < COUNT(distributions); i++) {
        if (distributions[i].tick_ns != 0)
            continue;
        fprintf(f, "%s\n{\"name\":\"%s\",\"values\":[", between, distributions[i].name);
        between = ",";
        for (size_t k = 0; k < observed[i].n; k++) {
            fputs(k == 0 ? "" : ",", f);
            formats_double_write(f, observed[i].values[k]);
        }
        fputs("]}", f);
    }
    fputc(']', f);
}

/* ---- facts, states, names ---- */

static void fill_facts(struct kymo_registry *reg)
{
    static const char *const states[] = {"starting", "on \"line\"", "gr\xc3\xbc\xc3\x9f", "back\\slash"};
    static const char *const values[] = {"1.2.3", "a \"model\"\\\n", ""};
    struct kymo_stateset *phase;
    MUST(kymo_info_new(reg, KYMO_DESC(.name = "build_info", .help = "Facts.", KYMO_LABELS("version", "model", "none")),
                       values) == 0);
    MUST(kymo_stateset_new(reg,
                           KYMO_DESC(.name = "phase", .help = "States.", .states = states, .n_states = COUNT(states)),
                           &phase) == 0);
    kymo_stateset_set(phase, 1, 1);
    kymo_stateset_set(phase, 3, 1);
}

static void fill_aliases(struct kymo_registry *reg)
{
    static const struct kymo_alias of_counter[] = {{"formerly_total", "2027-03"}, {"once_seconds_total", ""}};
    static const struct kymo_alias of_native[] = {{"formerly_seconds", "2027-03"}};
    struct kymo_counter *c;
    struct kymo_histogram *h;
    MUST(kymo_counter_new(reg,
                          KYMO_DESC(.name = "today_seconds_total", .help = "Renamed.", .unit = "seconds",
                                    .aliases = of_counter, .n_aliases = COUNT(of_counter)),
                          &c) == 0);
    tick();
    MUST(kymo_histogram_new(reg,
                            KYMO_DESC(.name = "today_native_seconds", .help = "Renamed.", .unit = "seconds",
                                      .aliases = of_native, .n_aliases = COUNT(of_native), .native = &as_usual,
                                      BOUNDS(few_bounds)),
                            &h) == 0);
    kymo_counter_add(c, 1.5);
    kymo_histogram_observe(h, 0.25);
}

/* Names that servers before Prometheus 3 see escaped; no two of them become the same. */
static void fill_odd_names(struct kymo_registry *reg)
{
    static const char *const states[] = {"off", "on"};
    static const char *const values[] = {"b"};
    struct kymo_counter_family *requests;
    struct kymo_gauge *g;
    struct kymo_histogram_family *f;
    struct kymo_stateset *s;
    struct trace t;
    MUST(kymo_counter_family_new(reg,
                                 KYMO_DESC(.name = "http.requests_total", .help = awkward_help, .exemplar_every = 1,
                                           KYMO_LABELS("http.method", "plain", "\xc3\xa9t\xc3\xa9 \"\\\n")),
                                 &requests) == 0);
    kymo_counter_add_exemplar(kymo_counter_with(requests, KYMO_VALUES("GET", "x", "y\"z")), 3, trace_of(&t, 3, 0));
    tick();
    MUST(kymo_counter_family_new(reg, KYMO_DESC(.name = "http.turns", .help = "Odd.", KYMO_LABELS("a b")), &requests) ==
         0);
    kymo_counter_inc(kymo_counter_with(requests, KYMO_VALUES("")));
    MUST(kymo_gauge_new(reg, KYMO_DESC(.name = "odd \"name\"\\ with\nall", .help = "Odd."), &g) == 0);
    kymo_gauge_set(g, 7);
    tick();
    MUST(kymo_histogram_family_new(reg,
                                   KYMO_DESC(.name = "http.server.duration_seconds", .help = "Odd.", .unit = "seconds",
                                             .native = &as_usual, .exemplar_every = 1, KYMO_LABELS("http.method"),
                                             BOUNDS(few_bounds)),
                                   &f) == 0);
    kymo_histogram_observe_exemplar(kymo_histogram_with(f, KYMO_VALUES("GET")), 0.25, trace_of(&t, 0.25, 0));
    MUST(kymo_info_new(reg, KYMO_DESC(.name = "\xe6\x97\xa5\xe6\x9c\xac_info", .help = "Odd.", KYMO_LABELS("a.b")),
                       values) == 0);
    MUST(kymo_stateset_new(reg, KYMO_DESC(.name = "odd.phase", .help = "Odd.", .states = states, .n_states = 2), &s) ==
         0);
    kymo_stateset_switch(s, 1);
}

/* ---- all of it ---- */

static void complain(void *ctx, enum kymo_log_level level, const char *message)
{
    (void)ctx;
    (void)level;
    fprintf(stderr, "formats_host: %s\n", message);
}

struct kymo_registry *formats_registry_new(void)
{
    static const struct kymo_clock clock = {sizeof(clock), NULL, tell_time, tell_time};
    const struct kymo_registry_options options = {.size = sizeof(options),
                                                  .clock = &clock,
                                                  .log = complain,
                                                  .prefix = "host_",
                                                  .const_labels = constant,
                                                  .n_const_labels = COUNT(constant),
                                                  .utf8_names = 1,
                                                  .config = ""};
    struct kymo_registry *reg;
    now_ns = ((int64_t)time(NULL) - 20 * 60) * NS_PER_S + 123000000;
    MUST(kymo_registry_new(&options, &reg) == 0);
    fill_counters(reg);
    fill_traced_counters(reg);
    fill_gauges(reg);
    fill_distributions(reg);
    fill_facts(reg);
    fill_aliases(reg);
    fill_odd_names(reg);
    fill_bulk(reg);
    tick();
    formats_collector_attach(reg, now_ns);
    return reg;
}
