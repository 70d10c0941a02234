/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/distinct.c - from registers to a number of different values. Read core/distinct.h first.
 *
 * The number is the one that makes the registers most likely. Let r be the number of values for each register. Whether
 * a register has met rank k is, but for a negligible part, independent of its other ranks, and happens with probability
 * 1 - exp(-r / 2^k). Of each register some ranks are known to have been met, some not to have been: all above its
 * highest together count as one of probability 2^-highest. With seen[k] registers that met rank k, and unseen the sum
 * of the probabilities of what was not met, the logarithm of the likelihood is
 *
 *   sum over k of seen[k] * log(1 - exp(-r / 2^k))  -  r * unseen
 *
 * and its derivative by r, times r, is
 *
 *   sum over k of seen[k] * fall(r / 2^k)  -  r * unseen,   with fall(x) = x / (exp(x) - 1).
 *
 * It falls with r and is convex, so Newton's method from below climbs to its zero and never jumps over it. No special
 * case is needed for few values or for many.
 */
#include "core/distinct.h"

#define RANKS 64 /* as many as six bits can say, so that any bytes at all are safe to read */

/* What the registers say. */
struct facts {
    double seen[RANKS];
    double unseen;
};

static double probability(uint32_t rank)
{
    return 1.0 / (double)((uint64_t)1 << rank);
}

/* One rank that n registers kept a bit for. Rank 0 and lower do not exist. */
static void facts_add_bit(struct facts *facts, uint32_t highest, uint32_t lower, uint32_t met, uint32_t n)
{
    if (highest <= lower)
        return;
    if (met)
        facts->seen[highest - lower] += n;
    else
        facts->unseen += n * probability(highest - lower);
}

/* What n registers of the same value say. */
static void facts_add(struct facts *facts, uint32_t value, uint32_t n)
{
    uint32_t highest = value >> 2;
    facts->unseen += n * probability(highest); /* of all ranks above it; for an empty register, of all */
    if (highest == 0)
        return;
    facts->seen[highest] += n;
    facts_add_bit(facts, highest, 1, value & 2, n);
    facts_add_bit(facts, highest, 2, value & 1, n);
}

static void facts_read(struct facts *facts, const uint8_t *registers)
{
    uint32_t n[256] = {0};
    for (size_t i = 0; i < KYMO__DISTINCT_BYTES; i++)
        n[kymo__load_relaxed(&registers[i])]++; /* one byte depends on no other */
    *facts = (struct facts){{0}, 0};
    for (uint32_t value = 0; value < 256; value++)
        if (n[value] != 0)
            facts_add(facts, value, n[value]);
}

/*
 * The derivative at r, as above, and its slope. fall() needs no exp(): it is 1 - x / 2 for the smallest x, and
 * fall(2x) = fall(x) * 2 / (exp(x) + 1), where exp(x) = 1 + x / fall(x). Its slope is fall * (1 - x - fall) / x.
 */
static double derivative(const struct facts *facts, double r, double *slope)
{
    double x = r * probability(RANKS - 1), fall = 1 - x / 2, sum = -r * facts->unseen, slopes = 0;
    for (uint32_t k = RANKS - 1; k > 0; k--) {
        sum += facts->seen[k] * fall;
        slopes += facts->seen[k] * fall * (1 - x - fall);
        fall = 2 * fall * fall / (2 * fall + x);
        x *= 2;
    }
    *slope = slopes / r - facts->unseen;
    return sum;
}

/* Below the zero of the derivative: fall(x) is nowhere under 1 - x / 2. */
static double first_guess(const struct facts *facts)
{
    double n = 0, weight = 0;
    for (uint32_t k = 1; k < RANKS; k++) {
        n += facts->seen[k];
        weight += facts->seen[k] * probability(k);
    }
    return n / (facts->unseen + weight / 2);
}

double kymo__distinct_estimate(const uint8_t *registers)
{
    struct facts facts;
    facts_read(&facts, registers);
    double r = first_guess(&facts);
    for (int i = 0; r > 0 && i < 100; i++) { /* ten do, unless somebody chose the hashes */
        double slope, excess = derivative(&facts, r, &slope);
        r -= excess / slope;
        if (excess <= -1e-9 * r * slope)
            break;
    }
    double n = r * (double)KYMO__DISTINCT_BYTES;
    return n < 1e18 ? (double)(uint64_t)(n + 0.5) : 1e18;
}
