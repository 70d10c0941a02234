# SPDX-License-Identifier: Apache-2.0
#
# Writes src/base/pow10.c, the powers of ten that number.c multiplies by, from exact integers.
#
#   python3 gen_pow10.py            proves the table wide enough, then prints it
#   python3 gen_pow10.py pow10.c    the same, and fails if that file differs
#
# The committed file is what gets built; this runs only when somebody wants to see where it comes from. What
# must hold is checked in prove(): 128 bits tell apart every case that number.c has to tell apart. Read next:
# number.c, scaled().
import sys

MIN, MAX = -292, 324  # 10^-k for every exponent k that decimal_of() can choose
FRACTION_BITS = 64    # of the product, that number.c looks at
ERROR_BITS = 69       # the table's error in half the product is below 2^-69


def ceil_div(a, b):
    return -(-a // b)


def floor_log2_pow10(e):
    return (10**e).bit_length() - 1 if e >= 0 else -(10**-e - 1).bit_length()


def significand(e):
    """10^e / 2^floor_log2_pow10(e), times 2^127, rounded up: its top bit is bit 127."""
    shift = 127 - floor_log2_pow10(e)
    num = 10**max(e, 0) << max(shift, 0)
    return ceil_div(num, 10**max(-e, 0) << max(-shift, 0))


def first_in(a, m, low, high):
    """The least x >= 0 with low <= a*x mod m <= high, or None; Euclid's algorithm on the range."""
    a %= m
    if low == 0:
        return 0
    if a == 0:
        return None
    x = ceil_div(low, a)
    if x * a <= high:
        return x
    y = first_in(m, a, -high % a, -low % a)
    return None if y is None else ceil_div(low + m * y, a)


def tells_apart(num, den, limit):
    """
    Scaled by a power of ten that is too large by less than one part in 2^127, does m * num / den keep its
    relation to every even integer, for all m from 1 to limit? Half of it must not be so little above an
    integer that the 64 bits of fraction would be 0, nor so little below one that the error would carry it
    there.
    """
    den *= 2
    above = (den - 1) >> (FRACTION_BITS + 1)
    below = den >> ERROR_BITS
    hits = []
    if above:
        hits.append(first_in(num, den, 1, above))
    if below:
        hits.append(first_in(num, den, den - below, den - 1))
    return all(m is None or m > limit for m in hits)


def prove():
    """
    number.c scales m = 4c and 4c +- 2, c < 2^53, by 2^q * 10^-k, and compares the whole part, its lowest bit
    set if there is a fraction, with even integers. The entry of the table is too large by less than 1 and is
    multiplied by m * 2^h < 2^60 before 128 bits are cut off, so what is computed is too large by less than
    2^-68. Near an odd integer that changes nothing, since the lowest bit is set on both sides of it. Near an
    even one it could; here is why it does not.
    """
    for q in range(-1074, 972):
        k = (q * 1262611) >> 22
        num, den = 2**max(q, 0) * 10**max(-k, 0), 2**max(-q, 0) * 10**max(k, 0)
        assert den <= num < 10 * den, 'k is not the logarithm of the step'
        prove_table_fits(q, k)
        assert tells_apart(num, den, 2**55 + 2), q
        prove_power_of_two(q)


def prove_table_fits(q, k):
    log2 = floor_log2_pow10(-k)
    assert MIN <= -k <= MAX and log2 == (-k * 1741647) >> 19 and 1 <= q + log2 + 1 <= 4


def prove_power_of_two(q):
    """The same for c = 2^52, whose lower neighbour is nearer and whose k is that of 3/4 of the step."""
    k = (q * 1262611 - 524031) >> 22
    num, den = 2**max(q, 0) * 10**max(-k, 0), 2**max(-q, 0) * 10**max(k, 0)
    assert 4 * den <= 3 * num < 40 * den, 'k is not the logarithm of 3/4 of the step'
    prove_table_fits(q, k)
    for m in (2**54 - 1, 2**54, 2**54 + 2):
        assert tells_apart(m * num, den, 1), q


def table():
    yield '/* SPDX-License-Identifier: Apache-2.0 */'
    yield '/*'
    yield ' * base/pow10.c - the powers of ten as 128-bit significands. Written by gen_pow10.py; do not edit.'
    yield ' *'
    yield ' * Entry i is 10^(i + KYMO__POW10_MIN) scaled by a power of two into [2^127, 2^128), rounded up:'
    yield ' * high word, low word.'
    yield ' */'
    yield '#include "number.h"'
    yield ''
    yield '/* clang-format off */'
    yield 'const uint64_t kymo__pow10[KYMO__POW10_MAX - KYMO__POW10_MIN + 1][2] = {'
    for e in range(MIN, MAX + 1):
        g = significand(e)
        assert g.bit_length() == 128
        yield '    {UINT64_C(0x%016x), UINT64_C(0x%016x)}, /* %d */' % (g >> 64, g & (2**64 - 1), e)
    yield '};'


def main():
    sys.setrecursionlimit(10000)
    prove()
    text = '\n'.join(table()) + '\n'
    if len(sys.argv) < 2:
        sys.stdout.write(text)
    elif open(sys.argv[1]).read() != text:
        sys.exit(sys.argv[1] + ' is not what gen_pow10.py writes')


if __name__ == '__main__':
    main()
