/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/bucket_index.h - which native bucket a value lies in, and where a bucket ends.
 *
 * Bucket i of schema s holds what is above base^(i-1) and not above base^i, base = 2^(2^-s), by the boundaries that
 * Prometheus and its Go library use, which are not always the correctly rounded ones. The boundaries of a coarser
 * schema are among those of a finer one: an index at schema 8, halved and rounded up 8 - s times, is the index at s.
 * Source: Prometheus, "Native Histograms"; client_golang, histogram.go, for the boundaries.
 */
#ifndef KYMO__BUCKET_INDEX_H
#define KYMO__BUCKET_INDEX_H

#include <stdint.h>
#include <string.h>

#define KYMO__SCHEMA_MIN (-4)
#define KYMO__SCHEMA_MAX 8

extern const uint64_t kymo__boundary[257];
extern const uint16_t kymo__boundary_first[256];

/** kymo__index_reduce() - the index, `steps` schemas coarser, of the bucket that holds this one */
static inline int32_t kymo__index_reduce(int32_t index, unsigned steps)
{
    return (int32_t)(((int64_t)index + ((int64_t)1 << steps) - 1) >> steps); /* arithmetic: rounds up, also below 0 */
}

/** kymo__index_finest() - the index at schema 8 of the bucket that |v| lies in; v is not 0 and not NaN */
static inline int32_t kymo__index_finest(double v)
{
    uint64_t bits;
    int32_t below = 0;
    memcpy(&bits, &v, sizeof(bits));
    bits &= UINT64_MAX >> 1;
    if (__builtin_expect(bits < (uint64_t)1 << 52, 0)) { /* subnormal: 2^64 times as large it is not */
        double larger = v * 0x1p64;
        memcpy(&bits, &larger, sizeof(bits));
        bits &= UINT64_MAX >> 1;
        below = 64 * 256;
    }
    bits += bits >> 52 == 0x7ff; /* an infinity lies just above the largest double's bucket */
    uint64_t mantissa = bits & (UINT64_MAX >> 12);
    uint32_t i = kymo__boundary_first[mantissa >> 44];
    i += mantissa > kymo__boundary[i];
    i += mantissa > kymo__boundary[i];
    return (int32_t)i + ((int32_t)(bits >> 52) - 1023) * 256 - below;
}

/** kymo__index() - the index at a schema */
static inline int32_t kymo__index(double v, int schema)
{
    return kymo__index_reduce(kymo__index_finest(v), (unsigned)(KYMO__SCHEMA_MAX - schema));
}

/** kymo__index_bound() - the upper bound of a bucket: at most the largest double, but +Inf for the bucket of infinities */
static inline double kymo__index_bound(int32_t index, int schema)
{
    int64_t finest = (int64_t)index * ((int64_t)1 << (KYMO__SCHEMA_MAX - schema));
    int64_t exponent = finest >> 8;
    uint64_t bits = kymo__boundary[finest & 255];
    double v;
    if (exponent >= 1024) {
        bits = finest == 1024 * 256 ? 0x7fefffffffffffffu : 0x7ff0000000000000u;
        memcpy(&v, &bits, sizeof(v));
        return v;
    }
    if (exponent < -1022) { /* subnormal: rounded as the multiplication rounds it */
        bits |= (uint64_t)1023 << 52;
        memcpy(&v, &bits, sizeof(v));
        return exponent < -1080 ? 0 : v * 0x1p-540 * 0x1p-482 / (double)((uint64_t)1 << (-1022 - exponent));
    }
    bits |= (uint64_t)(exponent + 1023) << 52;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

#endif
