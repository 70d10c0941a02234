/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/exemplar_store.c - the exemplars of a native histogram: as many as were asked for, spread over its values.
 *
 * A new one takes the place of the oldest if that is too old; else of the one whose going leaves the rest spread widest,
 * in distances of logarithms. For one thread the choice is that of Go's client library, to the bit of a logarithm:
 * distances are often equal but for their rounding. Source: client_golang, prometheus/histogram.go, nativeExemplars.
 *
 * Ranks are written under the store's claim; a claim that was taken over may have left them torn. Nothing here relies
 * on them: who writes looks whether every record has one rank, and else begins anew; who reads takes each record once.
 */
#include <math.h>
#include <string.h>

#include "core/exemplar.h"

/* ---- logarithms ---- */

/* ln(1 + f), |f| small, by s = f / (2 + f): a polynomial in s^2, even and odd powers apart. */
static double ln_near_one(double f, double k)
{
    const double s = f / (2 + f), s2 = s * s, s4 = s2 * s2, half = 0.5 * f * f;
    const double odd =
        s2 * (6.666666666666735130e-01 +
              s4 * (2.857142874366239149e-01 + s4 * (1.818357216161805012e-01 + s4 * 1.479819860511658591e-01)));
    const double even =
        s4 * (3.999999999940941908e-01 + s4 * (2.222219843214978396e-01 + s4 * 1.531383769920937332e-01));
    /* ln 2 in two parts, so that k times the upper one is exact */
    return k * 6.93147180369123816490e-01 - ((half - (s * (half + (odd + even)) + k * 1.90821492927058770002e-10)) - f);
}

double kymo__exemplar_ln(double v)
{
    const double root_half = 7.07106781186547524401e-01;
    int64_t exponent = 0;
    if (!(v > 0))
        return v == 0 ? -(double)INFINITY : (double)NAN;
    if (isinf(v))
        return v;
    if (v < 0x1p-1022) {
        v *= 0x1p64;
        exponent = -64;
    }
    uint64_t bits = kymo__bits(v), mantissa = bits & (UINT64_MAX >> 12);
    exponent += (int64_t)(bits >> 52) - 1022;
    double part = kymo__double((uint64_t)1022 << 52 | mantissa); /* 0.5 up to 1 */
    if (part < root_half) {
        part *= 2;
        exponent--;
    }
    return ln_near_one(part - 1, (double)exponent);
}

/* ---- ranks: relaxed throughout, the store's claim gives the order ---- */

static struct kymo__exemplar_rank rank_at(const struct kymo__exemplar_store *store, uint32_t i)
{
    struct kymo__exemplar_rank rank = {
        kymo__load_relaxed(&store->rank[i].value), kymo__load_relaxed(&store->rank[i].timestamp),
        kymo__load_relaxed(&store->rank[i].ln), kymo__load_relaxed(&store->rank[i].record)};
    return rank;
}

static void rank_set(struct kymo__exemplar_store *store, uint32_t i, struct kymo__exemplar_rank rank)
{
    kymo__store_relaxed(&store->rank[i].value, rank.value);
    kymo__store_relaxed(&store->rank[i].timestamp, rank.timestamp);
    kymo__store_relaxed(&store->rank[i].ln, rank.ln);
    kymo__store_relaxed(&store->rank[i].record, rank.record);
}

/* The records that have ranks, each once; as many as there are. */
static uint32_t records_in_order(const struct kymo__family *f, const struct kymo__exemplar_store *store,
                                 uint8_t *records)
{
    uint64_t n = kymo__load_relaxed(&store->n), seen = 0;
    uint32_t found = 0, cap = f->native.max_exemplars;
    for (uint32_t i = 0; i < (n < cap ? n : cap); i++) {
        uint64_t record = kymo__load_relaxed(&store->rank[i].record);
        if (record >= cap || (seen >> record & 1))
            continue;
        seen |= (uint64_t)1 << record;
        records[found++] = (uint8_t)record;
    }
    return found;
}

uint32_t kymo__exemplar_store_order(const struct kymo__family *f, const struct kymo__exemplar_store *store,
                                    uint8_t *records)
{
    uint32_t n = 0;
    for (int looks = 0; looks < KYMO__EXEMPLAR_LOOKS; looks++) {
        uint64_t before = kymo__load_acquire(&store->claim); /* with kymo__exemplar_release() */
        n = records_in_order(f, store, records);
        kymo__fence_acquire(); /* the ranks before the second look */
        if (!(before & 1) && kymo__load_relaxed(&store->claim) == before)
            break;
    }
    return n;
}

/* How many ranks are in use; 0, to begin anew, if they are not those of the first n records, each once. */
static uint32_t ranks_in_use(const struct kymo__family *f, const struct kymo__exemplar_store *store)
{
    uint8_t records[KYMO__EXEMPLAR_STORE_MAX];
    uint64_t n = kymo__load_relaxed(&store->n);
    uint32_t found = records_in_order(f, store, records);
    if (found != n)
        return 0;
    for (uint32_t i = 0; i < found; i++)
        if (records[i] >= found)
            return 0;
    return found;
}

/* ---- who goes ---- */

/* A new one comes before rank `at` of the old ones, whose rank `victim` goes; n is the rank after the last. */
struct choice {
    uint32_t at, victim;
};

/* What is known of a full store. */
struct survey {
    uint32_t at; /* the first that is not less than the new one, or n */
    uint32_t oldest;
    uint32_t closest; /* of the pair that lies closest together, the older one */
    int64_t oldest_ns;
    double distance; /* of that pair; NaN: none that can be compared */
};

static struct survey survey_of(const struct kymo__exemplar_store *store, uint32_t n, double v)
{
    struct survey s = {n, 0, 0, INT64_MAX, -1};
    struct kymo__exemplar_rank last = {0, 0, 0, 0};
    for (uint32_t i = 0; i < n; i++) {
        struct kymo__exemplar_rank rank = rank_at(store, i);
        double distance = fabs(kymo__double(rank.ln) - kymo__double(last.ln));
        if (i == 0 || (int64_t)rank.timestamp < s.oldest_ns) {
            s.oldest_ns = (int64_t)rank.timestamp;
            s.oldest = i;
        }
        if (s.at == n && v <= kymo__double(rank.value))
            s.at = i;
        if (i > 0 && (i == 1 || distance < s.distance)) {
            s.distance = distance;
            s.closest = (int64_t)rank.timestamp < (int64_t)last.timestamp ? i : i - 1;
        }
        last = rank;
    }
    return s;
}

/* Whether the new one is later than then by more than ttl; times may be anything. */
static int is_older(int64_t then, int64_t now, int64_t ttl)
{
    int64_t age;
    if (__builtin_sub_overflow(now, then, &age))
        age = now < then ? INT64_MIN : INT64_MAX;
    return age > ttl;
}

static struct choice choose(const struct kymo__exemplar_store *store, uint32_t n,
                            const struct kymo__exemplar_copy *copy, double ln, int64_t ttl)
{
    struct survey s = survey_of(store, n, copy->value);
    if (n == 1)
        return (struct choice){0, 0};
    if (is_older(s.oldest_ns, copy->timestamp_ns, ttl))
        return (struct choice){s.at, s.oldest};
    if (s.at > 0) {
        double distance = fabs(ln - kymo__double(rank_at(store, s.at - 1).ln));
        if (distance < s.distance) {
            s.distance = distance;
            s.closest = s.at - 1;
        }
    }
    if (s.at < n && fabs(kymo__double(rank_at(store, s.at).ln) - ln) < s.distance)
        s.closest = s.at;
    return (struct choice){s.at, s.closest};
}

/* While there is room nobody goes; among equals the new one is last. */
static struct choice choose_free(const struct kymo__exemplar_store *store, uint32_t n, double v)
{
    uint32_t at = 0;
    while (at < n && !(v < kymo__double(rank_at(store, at).value)))
        at++;
    return (struct choice){at, n};
}

/* Closes the gap of the victim and opens one for the new one; returns its rank. */
static uint32_t ranks_move(struct kymo__exemplar_store *store, struct choice choice)
{
    uint32_t i = choice.victim;
    for (; i + 1 < choice.at; i++)
        rank_set(store, i, rank_at(store, i + 1));
    for (; i > choice.at; i--)
        rank_set(store, i, rank_at(store, i - 1));
    return i;
}

int kymo__exemplar_store_keep(const struct kymo__family *f, struct kymo__exemplar_store *store,
                              struct kymo__exemplar_copy *copy)
{
    uint64_t claim = kymo__exemplar_claim(&store->claim);
    if (claim == 0)
        return 0;
    kymo__exemplar_stamp(f, copy);
    double ln = kymo__exemplar_ln(copy->value);
    uint32_t n = ranks_in_use(f, store);
    int full = n == f->native.max_exemplars;
    struct choice choice =
        full ? choose(store, n, copy, ln, f->native.exemplar_ttl_ns) : choose_free(store, n, copy->value);
    uint64_t record = full ? rank_at(store, choice.victim).record : n;
    struct kymo__exemplar_rank rank = {kymo__bits(copy->value), (uint64_t)copy->timestamp_ns, kymo__bits(ln), record};
    kymo__exemplar_put(kymo__exemplar_store_record(f, store, record), copy);
    rank_set(store, ranks_move(store, choice), rank);
    kymo__store_relaxed(&store->n, full ? n : n + 1);
    return kymo__exemplar_release(&store->claim, claim);
}
