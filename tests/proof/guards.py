#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""guards.py --build FOLDER - the full form of the proof of limits and of the life of series. proof_table.py has its
options; --sanitizers on top builds with AddressSanitizer and ThreadSanitizer too, and takes long.

Exit: 0 if every row is met, else 1.
"""

import collections
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import proof_table as table  # noqa: E402

NEXT_LINE = "\n" + 15 * " "
CHURNING = ("guard", "life", "churn", "bomb", "zipf", "top")


def claims(text):
    """What a test counted, or else how many claims it made."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    counted = [line for line in lines if not line.startswith(table.VERDICTS)]
    return NEXT_LINE.join(counted) or f"{sum(line.startswith('ok') for line in lines)} claims hold"


def test(proof, point, name):
    proof.run(point, [proof.build / "tests" / f"test_{name}"], f"test_{name} (long form)", claims)


def bombs(proof):
    """1: label sets by the million: memory, sum, what was dropped, which label it was, by what estimate."""
    for i, name in enumerate(("bomb", "guard", "sketches"), 1):
        test(proof, f"1.{i}", name)


def heaviest(proof):
    """2: the heaviest series, by exact counts and as a real server sees them."""
    test(proof, "2.1", "zipf")
    test(proof, "2.2", "top")
    for i, major in enumerate(("2", "3"), 3):
        proof.script(f"2.{i}", "accept_zipf", major)


def churn(proof):
    """3: series that end and come back while threads record: tests, models, sanitizers."""
    for i, name in enumerate(("churn", "life", "kill", "fork", "signals"), 1):
        test(proof, f"3.{i}", name)
    proof.run("3.6", [sys.executable, "tests/models/run.py", "--long", "--only", "life"], "python3 tests/models/run.py --long --only life",
              proof.last_line)
    if proof.options.sanitizers:
        for check, setting in (("asan", "ASAN_OPTIONS=detect_stack_use_after_return=1"),
                               ("tsan", "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1")):
            sanitized(proof, check, setting)


def sanitized(proof, check, setting):
    """All tests in their short form, then those of this proof in their long form, in the same build."""
    proof.run(f"3.{check}", ["./dev", "check", check], f"./dev check {check}", proof.last_line, long=False)
    for name in CHURNING:
        proof.run(f"3.{check}.{name}", ["env", setting, table.ROOT / f"build-{check}" / "tests" / f"test_{name}"],
                  f"{check}: test_{name} (long form)")


def refusals(text):
    """How many names, labels and values were refused, and one of each error: the test prints all of them."""
    rows = [line.strip() for line in text.splitlines() if " KYMO_E" in line]
    errors = collections.Counter(re.search(r"\] (KYMO_E\w+)", row).group(1) for row in rows)
    examples = [next(row for row in rows if f"] {error}" in row) for error in errors]
    return f"{len(rows)} refused, each with a sentence; of each error the first:" + "".join(
        f"{NEXT_LINE}{errors[error]:4} {example}" for error, example in zip(errors, examples))


def names(proof):
    """4: bad names, labels, values and guards, and what is said of each."""
    proof.run("4", [proof.build / "tests" / "test_names_refused"], "test_names_refused", refusals)


def demonstration(proof):
    """6: the demonstration while a client invents models and tenants."""
    program = proof.build / "examples" / "replay"
    proof.run("6.1", [program, "--bomb", "--speed", "max", "--port", "0", "--seconds", "0"], "examples/replay --bomb",
              figure=lambda text: NEXT_LINE.join(line.removeprefix("replay: bomb: ") for line in text.splitlines()
                                                 if line.startswith("replay: bomb: ")))
    proof.run("6.2", [sys.executable, "tests/test_replay.py", program], "test_replay.py", claims)


def main():
    proof, _ = table.begin("the proof of limits and of the life of series",
                           [("--sanitizers", "point 3 under the sanitizers as well")])
    bombs(proof)
    heaviest(proof)
    churn(proof)
    names(proof)
    proof.bench("5", area="guards")
    demonstration(proof)
    sys.exit(proof.finish())


if __name__ == "__main__":
    main()
