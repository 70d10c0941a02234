/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves src/base/number.h: the text of every kind of number is the one that the formats ask for.
 *
 * How: fixed vectors; the C library as an oracle, trying 1 to 17 digits until strtod() gives the double back,
 * for all places where the method could go wrong (powers of two and ten and their neighbours, subnormals,
 * both ends of the range) and for random ones; reading back some millions of random bit patterns; and guard
 * bytes around every call. The oracle relies on printf() and strtod() rounding correctly, as those of glibc
 * and musl do.
 */
#include "base/number.h"

#include <float.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int n_failed;

__attribute__((format(printf, 3, 4))) static void fail(int line, const char *claim, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    n_failed++;
    fprintf(stderr, "%s:%d: %s: ", __FILE__, line, claim);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

#define CHECK(ok, ...) ((ok) ? (void)0 : fail(__LINE__, #ok, __VA_ARGS__))

/* The destination of every call: room for any number, and bytes on both sides that must stay as they are. */
#define GUARD 16
static unsigned char room[GUARD + KYMO__NUMBER_MAX + GUARD];
#define DEST ((char *)room + GUARD)

static void prepare(void)
{
    memset(room, 0xa5, sizeof(room));
}

/* What a call left at DEST, as a string; lives until the next call. */
static const char *finish(size_t n)
{
    static char text[KYMO__NUMBER_MAX + 1];
    int n_broken = 0;
    for (size_t i = 0; i < GUARD; i++)
        n_broken += (room[i] != 0xa5) + (room[GUARD + KYMO__NUMBER_MAX + i] != 0xa5);
    CHECK(n >= 1 && n <= KYMO__NUMBER_LEN, "length %zu", n);
    n = n <= KYMO__NUMBER_MAX ? n : KYMO__NUMBER_MAX;
    memcpy(text, DEST, n);
    text[n] = '\0';
    CHECK(n_broken == 0, "%d bytes outside were written for %s", n_broken, text);
    return text;
}

static const char *g(double v)
{
    prepare();
    return finish(kymo__format_g(DEST, v));
}

static const char *value(double v)
{
    prepare();
    return finish(kymo__format_value(DEST, v));
}

static const char *le(double v)
{
    prepare();
    return finish(kymo__format_le(DEST, v));
}

static const char *u64(uint64_t v)
{
    prepare();
    return finish(kymo__format_u64(DEST, v));
}

static const char *i64(int64_t v)
{
    prepare();
    return finish(kymo__format_i64(DEST, v));
}

static double from_bits(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

static uint64_t to_bits(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    return bits;
}

/* splitmix64: the same numbers in every run, so that a failure can be repeated. */
static uint64_t random_bits(void)
{
    static uint64_t state;
    uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static double random_finite(void)
{
    double v;
    do
        v = from_bits(random_bits());
    while (!isfinite(v));
    return v;
}

static unsigned long times(unsigned long n)
{
    return getenv("KYMO_TEST_LONG") ? 20 * n : n;
}

/* digits * 10^exp10 in form G, made from strings; digits has no zero at its end. */
static void render_g(char out[64], int negative, uint64_t digits, int exp10)
{
    char d[32];
    int n = snprintf(d, sizeof(d), "%" PRIu64, digits);
    int e = exp10 + n - 1;
    const char *sign = negative ? "-" : "";
    if (e < -4 || e >= 6)
        snprintf(out, 64, "%s%.1s%s%se%c%02d", sign, d, n > 1 ? "." : "", d + 1, e < 0 ? '-' : '+', abs(e));
    else if (e < 0)
        snprintf(out, 64, "%s0.%.*s%s", sign, -e - 1, "000", d);
    else if (n > e + 1)
        snprintf(out, 64, "%s%.*s.%s", sign, e + 1, d, d + e + 1);
    else
        snprintf(out, 64, "%s%s%.*s", sign, d, e + 1 - n, "00000");
}

/* Does digits * 10^exp10 read back as v, which is positive? */
static int reads_back(uint64_t digits, int exp10, double v)
{
    char text[48];
    snprintf(text, sizeof(text), "%" PRIu64 "e%d", digits, exp10);
    return strtod(text, NULL) == v;
}

/*
 * The first that reads back: the n-digit decimal nearest to v, or else the one above or below it. 0: none
 * does.
 */
static uint64_t trial(double v, int n, int *exp10)
{
    char text[48];
    snprintf(text, sizeof(text), "%.*e", n - 1, v);
    char *e = strchr(text, 'e');
    *exp10 = atoi(e + 1) - (n - 1);
    *e = '\0';
    if (n > 1)
        memmove(text + 1, text + 2, strlen(text + 2) + 1);
    uint64_t nearest = strtoull(text, NULL, 10);
    if (reads_back(nearest, *exp10, v))
        return nearest;
    if (reads_back(nearest + 1, *exp10, v))
        return nearest + 1;
    return reads_back(nearest - 1, *exp10, v) ? nearest - 1 : 0;
}

static void check_by_trial(double v)
{
    char expected[64];
    int exp10 = 0;
    uint64_t digits = 0;
    for (int n = 1; n <= 17 && digits == 0; n++)
        digits = trial(fabs(v), n, &exp10);
    for (; digits > 0 && digits % 10 == 0; exp10++)
        digits /= 10;
    render_g(expected, v < 0, digits, exp10);
    const char *text = g(v);
    CHECK(strcmp(text, expected) == 0, "%s is not %s (%a)", text, expected, v);
}

/* bits and their neighbours on both sides, as far as they are finite and not zero. */
static void check_around(uint64_t bits)
{
    for (uint64_t b = bits - 1; b != bits + 2; b++) {
        double v = from_bits(b);
        if (isfinite(v) && v != 0)
            check_by_trial(v);
    }
}

static void test_vectors(void)
{
    static const struct {
        double v;
        const char *g, *value, *le;
    } vectors[] = {
        {0.0, "0", "0", "0.0"},
        {-0.0, "0", "0", "0.0"},
        {1, "1", "1", "1.0"},
        {-1, "-1", "-1", "-1.0"},
        {10, "10", "10", "10.0"},
        {0.5, "0.5", "0.5", "0.5"},
        {0.1 + 0.2, "0.30000000000000004", "0.30000000000000004", "0.30000000000000004"},
        {99999, "99999", "99999", "99999.0"},
        {100000, "100000", "100000", "100000.0"},
        {-100000, "-100000", "-100000", "-100000.0"},
        {999999, "999999", "999999", "999999.0"},
        {999999.5, "999999.5", "999999.5", "999999.5"},
        {999999.9999999999, "999999.9999999999", "999999.9999999999", "999999.9999999999"},
        {1e6, "1e+06", "1000000", "1e+06"},
        {-1e6, "-1e+06", "-1000000", "-1e+06"},
        {1234567, "1.234567e+06", "1234567", "1.234567e+06"},
        {1234567.5, "1.2345675e+06", "1.2345675e+06", "1.2345675e+06"},
        {22361870, "2.236187e+07", "22361870", "2.236187e+07"},
        {16777216, "1.6777216e+07", "16777216", "1.6777216e+07"},
        {1e15, "1e+15", "1000000000000000", "1e+15"},
        {1e16, "1e+16", "1e+16", "1e+16"},
        {1e21, "1e+21", "1e+21", "1e+21"},
        {9007199254740991, "9.007199254740991e+15", "9007199254740991", "9.007199254740991e+15"},
        {-9007199254740991, "-9.007199254740991e+15", "-9007199254740991", "-9.007199254740991e+15"},
        {9007199254740992, "9.007199254740992e+15", "9.007199254740992e+15", "9.007199254740992e+15"},
        {-9007199254740992, "-9.007199254740992e+15", "-9.007199254740992e+15", "-9.007199254740992e+15"},
        {0.001, "0.001", "0.001", "0.001"},
        {0.0001, "0.0001", "0.0001", "0.0001"},
        {-0.000123456789012345, "-0.000123456789012345", "-0.000123456789012345", "-0.000123456789012345"},
        {0.00009999999999999999, "9.999999999999999e-05", "9.999999999999999e-05", "9.999999999999999e-05"},
        {1e-5, "1e-05", "1e-05", "1e-05"},
        {1e23, "1e+23", "1e+23", "1e+23"},
        {9.5e-99, "9.5e-99", "9.5e-99", "9.5e-99"},
        {1e-100, "1e-100", "1e-100", "1e-100"},
        {5e-324, "5e-324", "5e-324", "5e-324"},
        {1e-323, "1e-323", "1e-323", "1e-323"},
        {DBL_MIN, "2.2250738585072014e-308", "2.2250738585072014e-308", "2.2250738585072014e-308"},
        {-DBL_MIN, "-2.2250738585072014e-308", "-2.2250738585072014e-308", "-2.2250738585072014e-308"},
        {DBL_MAX, "1.7976931348623157e+308", "1.7976931348623157e+308", "1.7976931348623157e+308"},
        {0x1p-44, "5.684341886080802e-14", "5.684341886080802e-14", "5.684341886080802e-14"},
        {INFINITY, "+Inf", "+Inf", "+Inf"},
        {-INFINITY, "-Inf", "-Inf", "-Inf"},
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        double v = vectors[i].v;
        CHECK(strcmp(g(v), vectors[i].g) == 0, "%a: %s", v, g(v));
        CHECK(strcmp(value(v), vectors[i].value) == 0, "%a: %s", v, value(v));
        CHECK(strcmp(le(v), vectors[i].le) == 0, "%a: %s", v, le(v));
    }
}

/* Either sign, quiet and signalling, canonical and stale. */
static void test_every_nan_is_plain_nan(void)
{
    static const uint64_t nans[] = {
        UINT64_C(0x7ff8000000000001), UINT64_C(0x7ff0000000000002), UINT64_C(0x7ff0000000000001),
        UINT64_C(0xfff8000000000000), UINT64_C(0xffffffffffffffff), UINT64_C(0x7ff4000000000000),
    };
    for (size_t i = 0; i < sizeof(nans) / sizeof(nans[0]); i++) {
        double v = from_bits(nans[i]);
        CHECK(strcmp(g(v), "NaN") == 0, "%s", g(v));
        CHECK(strcmp(value(v), "NaN") == 0, "%s", value(v));
        CHECK(strcmp(le(v), "NaN") == 0, "%s", le(v));
    }
}

static void test_powers_of_two_are_shortest(void)
{
    for (uint64_t exponent = 0; exponent <= 0x7ff; exponent++) {
        check_around(exponent << 52);
        check_by_trial(-from_bits((exponent < 0x7ff ? exponent : 1) << 52 | (UINT64_C(1) << 51)));
    }
    for (int i = 0; i < 52; i++)
        check_around(UINT64_C(1) << i); /* the subnormal ones */
}

static void test_powers_of_ten_are_shortest(void)
{
    for (int e = -323; e <= 308; e++) {
        char text[16];
        snprintf(text, sizeof(text), "1e%d", e);
        check_around(to_bits(strtod(text, NULL)));
    }
}

static void test_ends_of_the_plain_form(void)
{
    static const double ends[] = {1e-5, 1e-4, 1e-3, 0.01, 0.1, 1, 10, 100, 1e3, 1e4, 1e5, 999999.5, 1e6, 1e7};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        for (int64_t d = -200; d <= 200; d++)
            check_by_trial(from_bits(to_bits(ends[i]) + (uint64_t)d));
    }
}

/*
 * Where the decimals of 17 digits lie about as dense as the doubles themselves, halves and quarters make
 * ties.
 */
static void test_halves_and_quarters(void)
{
    for (int i = 1; i < 4000; i++) {
        check_by_trial(i / 8.0);
        check_by_trial(i / 1024.0);
    }
    for (int bits = 44; bits <= 56; bits++) {
        for (int i = 0; i < 200; i++) {
            double v = (double)(random_bits() >> (64 - bits));
            check_by_trial(v + 0.25);
            check_by_trial(v + 0.5);
            check_by_trial(-v - 0.75);
        }
    }
}

static void test_random_doubles_are_shortest(void)
{
    for (unsigned long n = times(20000); n > 0; n--) {
        double v = random_finite();
        if (v != 0)
            check_by_trial(v);
        check_by_trial(from_bits(1 + (random_bits() >> (12 + random_bits() % 52)))); /* subnormal */
    }
}

/* Up to 15 digits survive a trip through a double, so that they, and no others, must come out again. */
static void test_short_decimals_come_back(void)
{
    for (unsigned long n = times(200000); n > 0; n--) {
        char text[48], expected[64];
        uint64_t digits = 1 + random_bits() % UINT64_C(999999999999999) / (UINT64_C(1) << random_bits() % 48);
        int exp10 = n % 2 ? -(int)(random_bits() % 12) : (int)(random_bits() % 580) - 290;
        snprintf(text, sizeof(text), "%" PRIu64 "e%d", digits, exp10);
        double v = strtod(text, NULL);
        for (; digits % 10 == 0; exp10++)
            digits /= 10;
        render_g(expected, 0, digits, exp10);
        CHECK(strcmp(g(v), expected) == 0, "%s is not %s", g(v), expected);
    }
}

static void test_every_text_reads_back(void)
{
    for (unsigned long n = times(2000000); n > 0; n--) {
        double v = random_finite();
        const char *text = value(v);
        double back = strtod(text, NULL);
        CHECK(v == 0 ? back == 0 : to_bits(back) == to_bits(v), "%s is not %a", text, v);
    }
}

/*
 * Integers are digits below 2^53 and form G from there; le gets ".0" unless something else tells that it is a
 * float.
 */
static void test_forms_of_integral_doubles(void)
{
    for (unsigned long n = times(200000); n > 0; n--) {
        double v = (double)(int64_t)random_bits() / (double)(UINT64_C(1) << random_bits() % 64);
        char expected[64];
        v = trunc(v);
        if (fabs(v) < 0x1p53)
            snprintf(expected, sizeof(expected), "%" PRId64, (int64_t)v);
        else
            snprintf(expected, sizeof(expected), "%s", g(v));
        CHECK(strcmp(value(v), expected) == 0, "%s is not %s", value(v), expected);
        snprintf(expected, sizeof(expected), "%s", g(v));
        if (strpbrk(expected, ".e") == NULL)
            memcpy(expected + strlen(expected), ".0", 3);
        CHECK(strcmp(le(v), expected) == 0, "%s is not %s", le(v), expected);
    }
}

static void check_integer(uint64_t v)
{
    char expected[32];
    snprintf(expected, sizeof(expected), "%" PRIu64, v);
    CHECK(strcmp(u64(v), expected) == 0, "%s is not %s", u64(v), expected);
    int64_t s;
    memcpy(&s, &v, sizeof(s));
    snprintf(expected, sizeof(expected), "%" PRId64, s);
    CHECK(strcmp(i64(s), expected) == 0, "%s is not %s", i64(s), expected);
}

static void test_integers(void)
{
    for (uint64_t v = 0; v < 20000; v++)
        check_integer(v);
    for (uint64_t p = 1, i = 0; i < 20; i++, p *= 10) {
        for (uint64_t d = 0; d < 3; d++) {
            check_integer(p - 1 + d);
            check_integer(p / 3 * 2 + d);
        }
    }
    for (int i = 0; i < 64; i++) {
        for (uint64_t d = 0; d < 3; d++) {
            check_integer((UINT64_C(1) << i) - 1 + d);
            check_integer(0 - (UINT64_C(1) << i) - 1 + d);
        }
    }
    for (unsigned long n = times(200000); n > 0; n--)
        check_integer(random_bits() >> random_bits() % 64);
    CHECK(strcmp(u64(UINT64_MAX), "18446744073709551615") == 0, "%s", u64(UINT64_MAX));
    CHECK(strcmp(i64(INT64_MIN), "-9223372036854775808") == 0, "%s", i64(INT64_MIN));
}

/* Every group of eight digits is made by the same arithmetic, so that all of its values can be tried. */
static void test_all_groups_of_digits(void)
{
    uint32_t step = getenv("KYMO_TEST_LONG") ? 1 : 397;
    for (uint32_t v = 0; v < 100000000; v += step) {
        char expected[8];
        uint32_t rest = v;
        for (int i = 7; i >= 0; i--, rest /= 10)
            expected[i] = (char)('0' + rest % 10);
        prepare();
        size_t n = kymo__format_u64(DEST, UINT64_C(100000000) + v);
        CHECK(n == 9 && memcmp(DEST + 1, expected, 8) == 0, "%" PRIu32, v);
    }
}

static const char *set_comma_locale(void)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "pt_BR.UTF-8"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (setlocale(LC_ALL, names[i]) && strcmp(localeconv()->decimal_point, ",") == 0)
            return names[i];
    }
    return NULL;
}

static void test_locale_does_not_matter(void)
{
    const char *name = set_comma_locale();
    if (name == NULL) {
        printf("not tried: another locale, since none with a decimal comma is installed\n");
        return;
    }
    char text[8];
    snprintf(text, sizeof(text), "%.1f", 1.5);
    CHECK(strcmp(text, "1,5") == 0, "%s does not write a comma: %s", name, text);
    test_vectors();
    setlocale(LC_ALL, "C");
}

int main(void)
{
    test_vectors();
    test_every_nan_is_plain_nan();
    test_powers_of_two_are_shortest();
    test_powers_of_ten_are_shortest();
    test_ends_of_the_plain_form();
    test_halves_and_quarters();
    test_random_doubles_are_shortest();
    test_short_decimals_come_back();
    test_every_text_reads_back();
    test_forms_of_integral_doubles();
    test_integers();
    test_all_groups_of_digits();
    test_locale_does_not_matter();
    printf("%d checks failed\n", n_failed);
    return n_failed ? 1 : 0;
}
