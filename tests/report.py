#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Counts what `meson test` logged and ends with the line `N passed, N failed, N skipped`.

usage: report.py [--expect NAME]... LOG...

A LOG is meson's testlog, one JSON object per line. What must hold: nothing that did not run counts as passed. So a log
that is missing or empty counts as one failure (the build broke, or no test matched), so does a name given by --expect
that no log has, and a skipped test that does not say why (a line beginning "SKIP: "). Exit status 1 if anything failed.
"""

import argparse
import json
import pathlib
import sys

PASSED = {"OK", "EXPECTEDFAIL"}


def short_name(name):
    """The name as given to ./dev test: meson logs it as "project:suite+suite / name"."""
    return name.rsplit(" / ", 1)[-1]


def skip_reason(entry):
    """The first line beginning "SKIP: " of what the test printed, or None."""
    for stream in ("stdout", "stderr"):
        for line in (entry.get(stream) or "").splitlines():
            if line.startswith("SKIP: ") and line[len("SKIP: "):].strip():
                return line[len("SKIP: "):].strip()
    return None


def verdict(entry):
    """One of passed, failed, skipped, and a sentence where there is something to say."""
    result = entry["result"]
    if result in PASSED:
        return "passed", None
    if result == "SKIP":
        reason = skip_reason(entry)
        return ("skipped", reason) if reason else ("failed", "skipped without a reason")
    return "failed", f"{result.lower()} after {entry.get('duration', 0):.1f} s, exit {entry.get('returncode')}"


def read_log(path):
    """The verdicts of one log as (name, verdict, sentence)."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    entries = [json.loads(line) for line in lines if line.strip()]
    if not entries:
        return [(str(path), "failed", "no test ran: the build broke, or no test has that name")]
    return [(short_name(entry["name"]), *verdict(entry)) for entry in entries]


def report(logs, expected):
    """Prints what failed and what was skipped, then the one line; returns the number of failures."""
    verdicts = [(str(log), *row) for log in logs for row in read_log(log)]
    seen = {name for _, name, _, _ in verdicts}
    if not all(log.exists() and log.stat().st_size for log in logs):
        expected = []  # one failure says it already
    verdicts += [("", name, "failed", "no such test") for name in expected if name not in seen]

    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for log, name, what, why in verdicts:
        counts[what] += 1
        if what != "passed":
            where = f" [{pathlib.Path(log).parent.parent.name}]" if log and len(logs) > 1 else ""
            print(f"{what} {name}{where}: {why}")
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**counts))
    return counts["failed"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--expect", action="append", default=[], metavar="NAME")
    parser.add_argument("logs", nargs="+", type=pathlib.Path, metavar="LOG")
    args = parser.parse_args()
    return 1 if report(args.logs, args.expect) else 0


if __name__ == "__main__":
    sys.exit(main())
