/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/buckets.c - preset bucket bounds, and helpers that compute others.
 */
#include <math.h>

#include "core/core.h"

const double kymo_buckets_web[kymo_buckets_web_n] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
const double kymo_buckets_latency[kymo_buckets_latency_n] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                                             0.05,   0.1,     0.25,   0.5,   1,      5,     15,   60};
const double kymo_buckets_ttft[kymo_buckets_ttft_n] = {
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560};
const double kymo_buckets_itl[kymo_buckets_itl_n] = {0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5,
                                                     0.75, 1,     2.5,  5,     7.5, 10,   20,  40,  80};
const double kymo_buckets_e2e[kymo_buckets_e2e_n] = {0.3, 0.5, 0.8, 1,  1.5, 2,   2.5, 5,   10,   15,  20,
                                                     30,  40,  50,  60, 120, 240, 480, 960, 1920, 7680};
const double kymo_buckets_tokens[kymo_buckets_tokens_n] = {1,    2,    5,    10,    20,    50,    100,    200,   500,
                                                           1000, 2000, 5000, 10000, 20000, 50000, 100000, 200000};

static int arguments_check(const double *bounds, size_t n)
{
    if (bounds == NULL || n == 0)
        return KYMO_EINVAL;
    return n > KYMO__MAX_BOUNDS ? KYMO_EBUCKETS : 0;
}

static int increasing(const double *bounds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(bounds[i]) || (i > 0 && !(bounds[i] > bounds[i - 1])))
            return KYMO_EBUCKETS;
    return 0;
}

int kymo_buckets_linear(double *bounds, size_t n, double start, double width)
{
    int r = arguments_check(bounds, n);
    if (r == 0 && !(width > 0))
        r = KYMO_EBUCKETS;
    for (size_t i = 0; r == 0 && i < n; i++)
        bounds[i] = start + (double)i * width;
    return r != 0 ? r : increasing(bounds, n);
}

int kymo_buckets_exponential(double *bounds, size_t n, double start, double factor)
{
    int r = arguments_check(bounds, n);
    if (r == 0 && !(start > 0 && factor > 1))
        r = KYMO_EBUCKETS;
    double bound = start;
    for (size_t i = 0; r == 0 && i < n; i++, bound *= factor)
        bounds[i] = bound;
    return r != 0 ? r : increasing(bounds, n);
}
