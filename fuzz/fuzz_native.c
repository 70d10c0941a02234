/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The property: whatever is observed, in whatever order and with whatever options, every look at a native histogram shows
 * what the model of the specification has; above all each value in the bucket where the published table has it.
 *
 * An input is five bytes of options (see read_options()), then steps: a byte that says what, and what it takes. A value is
 * a double of eight bytes in the machine's order, or one byte for a small number; what is missing at the end is zeros.
 */
#include <float.h>
#include <math.h>

#include "native_pair.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *at, *end;
};

static uint8_t read_byte(struct input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

static uint64_t read_word(struct input *in)
{
    uint64_t word = 0;
    size_t left = (size_t)(in->end - in->at), n = left < sizeof(word) ? left : sizeof(word);
    memcpy(&word, in->at, n);
    in->at += n;
    return word;
}

static double read_double(struct input *in)
{
    uint64_t word = read_word(in);
    double v;
    memcpy(&v, &word, sizeof(v));
    return v;
}

/* Schema, threshold, how far it widens, limit (255: the highest), reset and classic bounds. */
static void read_options(struct input *in, struct native_program *p)
{
    static const double factors[] = {0, 1e6, 300, 20, 5, 2.5, 1.5, 1.2, 1.1, 1.05, 1.03, 1.015, 1.01, 1.005, 2, 65536};
    static const double thresholds[] = {0, -1, 0x1p-1074, 1e-3, 0.5, 1, 100, 1e300};
    static const double widest[] = {0, 0x1p-1074, 1e-10, 0.5, 1.2, 10, 1e10, DBL_MAX};
    static const int64_t resets[] = {0, 1, MINUTE_NS, 5 * MINUTE_NS};
    static const double bounds[] = {-1, 0, 1, 10};
    p->options = (struct kymo_native){.bucket_factor = factors[read_byte(in) % 16]};
    p->options.zero_threshold = thresholds[read_byte(in) % 8];
    p->options.max_zero_threshold = widest[read_byte(in) % 8];
    uint8_t limit = read_byte(in), rest = read_byte(in);
    p->options.max_buckets = limit == 255 ? 1000 : limit;
    p->options.min_reset_ns = resets[rest % 4];
    p->bounds = bounds;
    p->n_bounds = rest / 4 % 5;
}

static double small_number(uint8_t byte)
{
    return (double)(int8_t)byte / 8;
}

/* What follows the byte that says what. */
static struct native_step read_step(struct input *in)
{
    struct native_step step = {STEP_OBSERVE, 0, 1, 0};
    uint8_t what = read_byte(in);
    switch (what % 8) {
    case 0:
        step.what = STEP_LOOK;
        break;
    case 1:
        step.what = STEP_ADVANCE;
        step.ns = what == 1 ? MINUTE_NS : read_byte(in) * MINUTE_NS / 64;
        break;
    case 2:
        step.n = read_byte(in);
        step.v = read_double(in);
        break;
    case 3:
        step.v = small_number(read_byte(in));
        break;
    case 4:
        step.v = what & 8 ? nextafter(small_number(read_byte(in)), what & 16 ? HUGE_VAL : -HUGE_VAL)
                          : ldexp(what & 16 ? 1 : -1, (int)read_byte(in) * 8 - 1074);
        break;
    default:
        step.v = read_double(in);
    }
    return step;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct native_program program;
    static struct native_bench bench;
    struct input in = {data, data + size};
    if (bench.reg != NULL && bench.used > 400)
        bench_free(&bench);
    if (bench.reg == NULL) {
        bench_new(&bench, 0);
        REQUIRE(kymo_thread_attach(bench.reg) == 0);
    }
    read_options(&in, &program);
    for (program.n = 0; program.n < PROGRAM_STEPS && in.at < in.end; program.n++)
        program.steps[program.n] = read_step(&in);
    if (!program_holds(&bench, &program, NULL))
        abort();
    return 0;
}
