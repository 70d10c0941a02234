/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/number.c - integers and shortest doubles as text.
 *
 * The shortest decimal comes from Raffaello Giulietti's method ("The Schubfach way to render doubles", 2020):
 * scale the double and the two ends of the interval that rounds to it by one power of ten, so that the
 * interval holds at least one integer but at most one multiple of ten, and pick by comparing. The products
 * keep 64 bits more than the comparisons need; gen_pow10.py proves that this is enough for every double.
 *
 * What must hold: every store stays within KYMO__NUMBER_MAX bytes of out, whatever the value. Data decides as
 * few branches as can be, because the digits of a page full of samples are not predictable: words of eight
 * digits are stored whole and the length says afterwards how many of them count.
 *
 * Digits travel eight at a time in a uint64_t, the first digit in its lowest byte; put8() alone knows the
 * byte order.
 */
#include "number.h"

#include <string.h>

#define E8 UINT32_C(100000000)
#define E16 UINT64_C(10000000000000000)
#define ASCII_ZEROS UINT64_C(0x3030303030303030)

static void put8(char *out, uint64_t text)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    text = __builtin_bswap64(text);
#endif
    memcpy(out, &text, sizeof(text));
}

/*
 * The eight digits of v < 10^8, one a byte: halves of four, then pairs, then digits, all lanes of a word at
 * once.
 */
static uint64_t spread8(uint32_t v)
{
    uint64_t q = v / 10000;
    uint64_t w = ((uint64_t)v << 32) - q * ((UINT64_C(10000) << 32) - 1);
    q = ((w * 5243) >> 19) & UINT64_C(0x0000007f0000007f); /* x / 100 for x < 10000 */
    w = (w << 16) - q * ((UINT64_C(100) << 16) - 1);
    q = ((w * 103) >> 10) & UINT64_C(0x000f000f000f000f); /* x / 10 for x < 100 */
    return (w << 8) - q * ((UINT64_C(10) << 8) - 1);
}

/* v < 10^8 without leading zeros, at least one digit; returns how many. */
static size_t put_up_to8(char *out, uint32_t v)
{
    uint64_t w = spread8(v);
    unsigned skip = (unsigned)__builtin_ctzll(w | UINT64_C(1) << 56) & 56;
    put8(out, (w | ASCII_ZEROS) >> skip);
    return 8 - skip / 8;
}

size_t kymo__format_u64(char *out, uint64_t v)
{
    if (v < E8)
        return put_up_to8(out, (uint32_t)v);
    uint64_t high = v / E8;
    uint64_t last = spread8((uint32_t)(v - high * E8)) | ASCII_ZEROS;
    size_t n;
    if (high < E8) {
        n = put_up_to8(out, (uint32_t)high);
    } else {
        uint64_t top = high / E8;
        n = put_up_to8(out, (uint32_t)top);
        put8(out + n, spread8((uint32_t)(high - top * E8)) | ASCII_ZEROS);
        n += 8;
    }
    put8(out + n, last);
    return n + 8;
}

size_t kymo__format_i64(char *out, int64_t v)
{
    size_t sign = v < 0;
    *out = '-';
    return sign + kymo__format_u64(out + sign, sign ? 0 - (uint64_t)v : (uint64_t)v);
}

struct wide {
    uint64_t high, low;
};

#if defined(__SIZEOF_INT128__) && !defined(KYMO__NO_INT128)
static struct wide multiply(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 both;
    both p = (both)a * b;
    return (struct wide){(uint64_t)(p >> 64), (uint64_t)p};
}
#else
static struct wide multiply(uint64_t a, uint64_t b)
{
    uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
    uint64_t ll = al * bl, lh = al * bh, hl = ah * bl;
    uint64_t mid = (ll >> 32) + (uint32_t)lh + hl; /* cannot overflow: (2^32-1)^2 + 2 * (2^32-1) = 2^64 - 1 */
    return (struct wide){ah * bh + (lh >> 32) + (mid >> 32), mid << 32 | (uint32_t)ll};
}
#endif

/*
 * m * g / 2^128 with the fraction folded into the lowest bit, which is set if there is one: comparisons with
 * even integers then come out as they would with the exact product. The error of g never reaches the 64 bits
 * of fraction of an exact product that is an even integer, and no other product comes so near to one that
 * they miss it (gen_pow10.py).
 */
static uint64_t scaled(const uint64_t g[2], uint64_t m)
{
    struct wide p = multiply(g[0], m);
    uint64_t fraction = p.low + multiply(g[1], m).high;
    return (p.high + (fraction < p.low)) | (fraction != 0);
}

/* yes ? a : b without a branch, whatever the compiler thinks of it; yes is 0 or 1 */
static uint64_t pick(unsigned yes, uint64_t a, uint64_t b)
{
    return b ^ ((a ^ b) & (0 - (uint64_t)yes));
}

/* A finite double that is not zero: digits * 10^(exp10 - 16), where 10^16 <= digits < 10^17. */
struct decimal {
    uint64_t digits;
    int exp10;
};

/*
 * The shortest decimal of c * 2^q. nearer_below says that c is a power of two whose lower neighbour is only
 * half a step away. v and the ends low and high of its interval are scaled to 4 * v * 10^-k, so that halves
 * and quarters of a step are integers; the ends belong to the interval if c is even, as reading rounds ties
 * to even.
 */
static struct decimal decimal_of(uint64_t c, int q, unsigned nearer_below)
{
    /* 10^k <= step < 10^(k+1); this relies on >> rounding down, as gcc's and clang's do. */
    int k = (q * 1262611 - (nearer_below ? 524031 : 0)) >> 22;
    int h = q + ((-k * 1741647) >> 19) + 1;
    const uint64_t *g = kymo__pow10[-k - KYMO__POW10_MIN];
    uint64_t odd = c & 1;
    uint64_t low = scaled(g, (4 * c - 2 + nearer_below) << h) + odd;
    uint64_t v = scaled(g, (4 * c) << h);
    uint64_t high = scaled(g, (4 * c + 2) << h) - odd;

    /* One digit fewer: the multiples of ten around v. At most one of them is inside. */
    uint64_t s = v / 4, tens = s / 10;
    unsigned tens_inside = low <= 40 * tens, tens_up_inside = 40 * tens + 40 <= high;
    /* All digits: the nearer integer, the even one in a tie, the upper one if the lower is outside. */
    unsigned up = (unsigned)((v & 3) + (s & 1) > 2) | (low > 4 * s);
    uint64_t digits = pick(tens_inside != tens_up_inside, 10 * (tens + tens_up_inside), s + up);

    unsigned sixteen = digits < E16;
    digits = pick(sixteen, digits * 10, digits);
    k -= (int)sixteen;
    while (__builtin_expect(digits < E16, 0)) { /* subnormals have fewer */
        digits *= 10;
        k--;
    }
    return (struct decimal){digits, k + 16};
}

static size_t put_exponent(char *out, int e)
{
    unsigned a = (unsigned)(e < 0 ? -e : e);
    unsigned hundreds = a / 100, rest = a % 100, tens = rest / 10;
    out[0] = 'e';
    out[1] = "+-"[e < 0];
    out[2] = (char)('0' + hundreds);
    out += hundreds != 0;
    out[2] = (char)('0' + tens);
    out[3] = (char)('0' + rest % 10);
    return 4 + (hundreds != 0);
}

/*
 * Seventeen digits taken apart for storing: one and twice eight, and how many are left without the zeros at
 * the end.
 */
struct digits {
    char first;
    uint64_t text1, text9; /* the digits from the second on, and from the tenth on */
    unsigned n;
};

static struct digits take_apart(uint64_t v)
{
    uint32_t nine = (uint32_t)(v / E8), first = nine / E8;
    uint64_t d1 = spread8(nine - first * E8), d9 = spread8((uint32_t)(v - (uint64_t)nine * E8));
    uint64_t tail = pick(d9 == 0, d1, d9);
    unsigned zeros = ((unsigned)__builtin_clzll(tail | 1) >> 3) + (tail == 0);
    return (struct digits){(char)('0' + first), d1 | ASCII_ZEROS, d9 | ASCII_ZEROS, (d9 ? 17 : 9) - zeros};
}

/* 0.ddd with the first digit that is not zero at 10^e, -4 <= e < 0. */
static size_t put_below_one(char *out, const struct digits *d, int e)
{
    size_t at = (size_t)(1 - e);
    memcpy(out, "0.000000", 8);
    out[at] = d->first;
    put8(out + at + 1, d->text1);
    put8(out + at + 9, d->text9);
    return at + d->n;
}

/* d.ddd with the point after the digit of 10^e, 0 <= e < 6; no point if nothing follows it. */
static size_t put_above_one(char *out, const struct digits *d, unsigned e)
{
    put8(out, d->text1 << 8 | (unsigned char)d->first);
    out[e + 1] = '.';
    put8(out + e + 2, d->text1 >> (8 * e)); /* its last e bytes are put right by the next store */
    put8(out + 10, d->text9);
    return d->n <= e + 1 ? e + 1 : d->n + 1;
}

static size_t put_decimal(char *out, struct decimal v)
{
    struct digits d = take_apart(v.digits);
    if (v.exp10 < -4 || v.exp10 >= 6) {
        size_t n = put_above_one(out, &d, 0);
        return n + put_exponent(out + n, v.exp10);
    }
    return v.exp10 < 0 ? put_below_one(out, &d, v.exp10) : put_above_one(out, &d, (unsigned)v.exp10);
}

static size_t put_special(char *out, uint64_t bits)
{
    if (bits << 12) {
        memcpy(out, "NaN", 3);
        return 3;
    }
    memcpy(out, bits >> 63 ? "-Inf" : "+Inf", 4);
    return 4;
}

size_t kymo__format_g(char *out, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    uint64_t fraction = bits & ((UINT64_C(1) << 52) - 1);
    int exponent = (int)(bits >> 52 & 0x7ff);
    size_t sign = (size_t)(bits >> 63);

    if (exponent == 0x7ff)
        return put_special(out, bits);
    *out = '-';
    if (exponent != 0) {
        uint64_t c = fraction | UINT64_C(1) << 52;
        return sign + put_decimal(out + sign, decimal_of(c, exponent - 1075, fraction == 0 && exponent > 1));
    }
    if (fraction != 0)
        return sign + put_decimal(out + sign, decimal_of(fraction, -1074, 0));
    *out = '0';
    return 1;
}

/* Is v an integer of magnitude below limit? limit is at most 2^53; NaN is none. */
static int is_integer_below(double v, double limit)
{
    return v > -limit && v < limit && (double)(int64_t)v == v;
}

size_t kymo__format_value(char *out, double v)
{
    if (!is_integer_below(v, 9007199254740992.0))
        return kymo__format_g(out, v);
    return kymo__format_i64(out, (int64_t)v);
}

size_t kymo__format_le(char *out, double v)
{
    if (!is_integer_below(v, 1e6))
        return kymo__format_g(out, v); /* has a point or an exponent, or is a name */
    size_t n = kymo__format_i64(out, (int64_t)v);
    memcpy(out + n, ".0", 2);
    return n + 2;
}
