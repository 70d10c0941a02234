#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes trace-small.csv: 300 made-up requests over about a minute, the same ones each time.

    python3 make_trace.py > trace-small.csv

The lengths have the shape that chat traffic has (log-normal, cut at a context window and at a longest answer). Arrivals
are random and independent, four a second, except for ten seconds in the middle with three times as many, so that a
queue builds up and drains. Nothing in it comes from a real trace.
"""

import datetime
import math
import random
import sys

SEED = 20250101
N_REQUESTS = 300
PER_SECOND = 4.0
BURST = (20.0, 30.0, 3.0)  # from, to, how many times as many
PROMPT = (900.0, 0.8, 14000)  # median, spread, longest
COMPLETION = (150.0, 0.9, 1000)
BEGIN = datetime.datetime(2025, 1, 1, 12, 0, 0)


def normal(rng):
    """Box and Muller's way: needs random() alone, whose sequence does not change between versions."""
    return math.sqrt(-2.0 * math.log(1.0 - rng.random())) * math.cos(2.0 * math.pi * rng.random())


def length(rng, median, spread, longest):
    return max(1, min(longest, round(median * math.exp(spread * normal(rng)))))


def rate(at):
    begin, end, times = BURST
    return PER_SECOND * times if begin <= at < end else PER_SECOND


def timestamp(at):
    """Seven decimals, of which datetime knows six."""
    ticks = round(at * 10**7)
    moment = BEGIN + datetime.timedelta(seconds=ticks // 10**7)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{ticks % 10**7:07d}"


def main():
    rng = random.Random(SEED)
    at = 0.0
    print("TIMESTAMP,ContextTokens,GeneratedTokens")
    for _ in range(N_REQUESTS):
        print(f"{timestamp(at)},{length(rng, *PROMPT)},{length(rng, *COMPLETION)}")
        at -= math.log(1.0 - rng.random()) / rate(at)
    return 0


if __name__ == "__main__":
    sys.exit(main())
