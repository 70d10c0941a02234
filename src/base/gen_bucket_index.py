# SPDX-License-Identifier: Apache-2.0
#
# Writes src/base/bucket_index.c, the boundaries of native buckets between two powers of two, at the finest schema.
#
#   python3 gen_bucket_index.py                    prints the table
#   python3 gen_bucket_index.py bucket_index.c     the same, and fails if that file differs
#
# The boundaries are those that servers print and Go's client library uses, not correctly rounded roots: each schema
# has those of the coarser one, and between two of them the lower one times a fixed factor, in plain binary64. A
# Python float is one, and is multiplied without anything fused. The committed file is what gets built.
import struct
import sys

FACTORS = [
    '0x1.6a09e667f3bccp+0', '0x1.306fe0a31b715p+0', '0x1.172b83c7d517bp+0', '0x1.0b5586cf9890fp+0',
    '0x1.059b0d3158574p+0', '0x1.02c9a3e778061p+0', '0x1.0163da9fb3335p+0', '0x1.00b1afa5abcbfp+0',
]
MANTISSA = 2**52 - 1


def boundaries():
    table = [0.5]
    for factor in FACTORS:
        table = [v for low in table for v in (low, low * float.fromhex(factor))]
    assert len(table) == 256 and table == sorted(set(table)) and table[-1] < 1
    return [struct.unpack('<Q', struct.pack('<d', v))[0] & MANTISSA for v in table]


def firsts(bounds):
    """For each value of the mantissa's top 8 bits: the first boundary that is not below all mantissas with them."""
    for cell in range(256):
        low, high = cell << 44, ((cell + 1) << 44) - 1
        first = sum(b < low for b in bounds)
        assert sum(low <= b <= high for b in bounds) <= 2, 'bucket_index.h makes two comparisons'
        yield first


def table():
    bounds = boundaries()
    first = list(firsts(bounds))
    yield '/* SPDX-License-Identifier: Apache-2.0 */'
    yield '/*'
    yield ' * base/bucket_index.c - boundaries of native buckets. Written by gen_bucket_index.py; do not edit.'
    yield ' *'
    yield ' * kymo__boundary[i] is the 52-bit mantissa of the i-th boundary of schema 8 in [1, 2); one more above all of them.'
    yield ' * kymo__boundary_first[c] is the first one that is not below every mantissa whose top 8 bits are c.'
    yield ' */'
    yield '#include "bucket_index.h"'
    yield ''
    yield '/* clang-format off */'
    yield 'const uint64_t kymo__boundary[257] = {'
    for b in bounds:
        yield '    UINT64_C(0x%013x),' % b
    yield '    UINT64_MAX,'
    yield '};'
    yield ''
    yield 'const uint16_t kymo__boundary_first[256] = {'
    for i in range(0, 256, 16):
        yield '    ' + ' '.join('%d,' % v for v in first[i:i + 16])
    yield '};'


def main():
    text = '\n'.join(table()) + '\n'
    if len(sys.argv) < 2:
        sys.stdout.write(text)
    elif open(sys.argv[1]).read() != text:
        sys.exit(sys.argv[1] + ' is not what gen_bucket_index.py writes')


if __name__ == '__main__':
    main()
