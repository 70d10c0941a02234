#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Searches every model of this folder exhaustively, and every mutant of it until its fault is found.

usage: run.py [--jobs N] [--only SUBSTRING] [--long]

What must hold: a model passes only if the search was complete (no limit of depth or memory was met), found no violated
assertion and no invalid end state, and visited as many states as a model with something in it has. A mutant breaks one
rule by a define; it passes only if the search finds the fault. So neither a model that cannot fail nor a search that
was cut short counts as passed. Exit status: 0, 1 if anything did not pass, 77 without spin or a C compiler.
Read README.md first: what each model claims, and what none of them covers.
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
MEMORY_MB = 980
DEPTH = 20000
LIMIT_S = 300

# (model, defines): must hold. The longest searches stand first, so that they run beside the others.
HOLD = [
    ("life_slots", ""),
    ("adopt_after_kill", "WEAK OWNERS=2 READS=1"),
    ("histogram_whole", "WEAK READS=1 FIRST_IN_1=1"),
    ("adopt_after_kill", ""),
    ("adopt_after_kill", "DROPS READS=1"),
    ("adopt_after_kill", "HISTOGRAMS=2 READS=1"),
    ("histogram_whole", "HISTOGRAMS=2"),
    ("histogram_whole", "OBSERVATIONS=3"),
    ("signal_loses_nothing", ""),
    ("signal_loses_nothing", "JUMPS"),
    ("slot_reuse", ""),
    ("slot_reuse", "WEAK"),
    ("shared_pair", ""),
    ("shared_pair", "LOCKED"),
    ("shared_pair", "LOCKED WEAK"),
    ("counter_read_monotone", ""),
    ("counter_read_monotone", "WEAK RECORDS=1"),
    ("fork_child", ""),
    ("fork_child", "SHARED_SEGMENT"),
    ("life_slots", "OPS=5 TO_OVERFLOW"),
    ("life_cells", ""),
    ("life_cells", "EXPIRES"),
    ("life_cells", "TO_OVERFLOW"),
    ("life_cells", "KEPT_CELLS ENDS=1"),
    ("life_cells", "KEPT_CELLS TO_OVERFLOW LABELLED=0"),
]

# The same, for larger bounds: with --long, or KYMO_TEST_LONG in the environment.
HOLD_LONG = [
    ("life_slots", "OPS=4 WEAK"),
    ("life_slots", "OPS=5 OWN_RECORDS=0 SHARERS=2"),
    ("life_slots", "OPS=4 OWN_RECORDS=0 SHARERS=2 PLACES=2"),
    ("life_cells", "TO_OVERFLOW EXPIRES"),
    ("life_cells", "KEPT_CELLS EXPIRES ENDS=1"),
    ("life_cells", "KEPT_CELLS LABELLED=0"),
]

# (model, defines, mutants): with each mutant in turn, a violated assertion must be found.
CAUGHT = [
    ("histogram_whole", "", "TEAR IGNORE_REDO NO_RECHECK"),
    ("histogram_whole", "WEAK READS=1 FIRST_IN_1=1",
     "NO_FENCE_REDO NO_RELEASE_ODD NO_FENCE_ODD NO_RELEASE_EVEN NO_ACQUIRE_FIRST NO_FENCE_LAST"),
    ("adopt_after_kill", "", "REDO_ADDS BUSY_FIRST NO_SETTLE"),
    ("adopt_after_kill", "WEAK OWNERS=2 READS=1", "NO_FENCE_REDO"),
    ("signal_loses_nothing", "", "BUSY_UNCHECKED BUSY_LATE BUSY_EARLY"),
    ("slot_reuse", "",
     "NO_MEMBARRIER NO_RELOAD NO_WAIT NO_SHARED_WAIT ONE_FLIP LATE_ANNOUNCE PUBLISH_FIRST"),
    ("shared_pair", "", "SPLIT NO_RECHECK NO_ACQUIRE_FIRST NO_FENCE_LAST"),
    ("shared_pair", "LOCKED WEAK", "NO_FENCE_LOCK NO_RELEASE_UNLOCK NO_ACQUIRE_FIRST NO_FENCE_LAST"),
    ("counter_read_monotone", "", "FOLD NOT_ATOMIC TELL_EARLY"),
    ("counter_read_monotone", "WEAK RECORDS=1", "NO_RELEASE_TELL"),
    ("fork_child", "", "NO_SETTLE IGNORE_REDO"),
    ("fork_child", "SHARED_SEGMENT", "NOT_WIPED"),
    ("life_slots", "OPS=5",
     "NO_GRACE NO_MEMBARRIER NO_RELOAD NO_WAIT NO_SHARED_WAIT ONE_FLIP RESCUE_CELL RESCUE_BLIND EXPIRE_BLIND "
     "WAKE_BLIND READ_EARLY CLEAR_WON CLEAR_NEVER NO_LINK_FIRST READY_FIRST CLAIM_FIRST GIVE_FIRST"),
    ("life_slots", "OPS=4 WEAK", "NO_RELEASE_CLAIM NO_RELEASE_EVEN"),
    ("life_cells", "", "LOOSE_PINS PIN_BLIND UNLOCKED NEVER_DEAD NO_GRACE FREE_PINNED FREE_BLIND"),
    ("life_cells", "EXPIRES", "ONE_GRACE"),
    ("life_cells", "TO_OVERFLOW", "LEAD_LATE CELL_AT_ONCE"),
    ("life_cells", "KEPT_CELLS", "PIN_BLIND NO_RECHECK NO_GRACE FREE_BLIND"),
]

# (model, defines): a known limit, or a mutant's fault, which the search must run into: somebody waits for ever.
BLOCKS = [("shared_pair", "LOCKED STOPS"), ("life_cells", "LOCK_IN_FLIGHT")]


class Case:
    """One search: what to build and what must come of it (held, assertion or blocked)."""

    def __init__(self, model, defines, expected):
        self.model, self.defines, self.expected = model, defines.split(), expected
        self.name = " ".join([model, *self.defines])


def all_cases(long):
    cases = [Case(model, defines, "held") for model, defines in (HOLD_LONG if long else []) + HOLD]
    for model, defines, mutants in CAUGHT:
        cases += [Case(model, f"{defines} {mutant}", "assertion") for mutant in mutants.split()]
    return cases + [Case(model, defines, "blocked") for model, defines in BLOCKS]


def compiler_flags(case):
    # Partial order reduction is not sound beside `provided` clauses, so that model is searched without it.
    text = (HERE / f"{case.model}.pml").read_text(encoding="utf-8")
    reduce_off = ["-DNOREDUCE"] if "provided" in text else []
    # Many states of the same few parts: folded, they take less than half of the memory.
    fold = ["-DCOLLAPSE"] if case.model.startswith("life_") else []
    # A mutant's search is over soon: there, compiling is most of the time.
    return ["-O2" if case.expected == "held" else "-O0", "-w", "-DSAFETY", f"-DMEMLIM={MEMORY_MB}", *reduce_off, *fold]


def execute(command, folder):
    return subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S, check=False)


def verdict(output):
    """(outcome, states) of what pan printed; the outcome `truncated` is never what is expected."""
    states = re.search(r"(\d+) states, stored", output)
    n_states = int(states.group(1)) if states else 0
    if "assertion violated" in output:
        return "assertion", n_states
    if "invalid end state (" in output:
        return "blocked", n_states
    cut = "Search not completed" in output or "max search depth too small" in output or "limit" in output
    if cut or "errors: 0" not in output or n_states < 1000:
        return "truncated", n_states
    return "held", n_states


def search(case):
    """(case, outcome, states, seconds, output)"""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kymo-model-") as folder:
        build = [["spin", "-a", *("-D" + d for d in case.defines), str(HERE / f"{case.model}.pml")],
                 [os.environ.get("CC", "gcc"), *compiler_flags(case), "-o", "pan", "pan.c"]]
        try:
            for command in build:
                done = execute(command, folder)
                if done.returncode != 0 or "Error" in done.stdout:
                    return case, "not built", 0, time.monotonic() - began, done.stdout
            output = execute(["./pan", f"-m{DEPTH}", "-n"], folder).stdout
        except subprocess.TimeoutExpired:
            return case, "timed out", 0, time.monotonic() - began, ""
    return case, *verdict(output), time.monotonic() - began, output


def report(result):
    """Prints one line, and what pan said where it is not what it should be; true if passed."""
    case, outcome, states, seconds, output = result
    passed = outcome == case.expected
    said = {"held": "holds", "assertion": "fault found", "blocked": "blocks, as it must"}.get(outcome, outcome)
    print(f"{'ok  ' if passed else 'FAIL'} {case.name}: {said}, {states} states, {seconds:.1f} s", flush=True)
    if not passed:
        print(output)
    return passed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--only", default="")
    parser.add_argument("--long", action="store_true", default=bool(os.environ.get("KYMO_TEST_LONG")))
    args = parser.parse_args()
    for tool in ("spin", os.environ.get("CC", "gcc")):
        if shutil.which(tool) is None:
            print(f"SKIP: no {tool} here, and the models are searched with it")
            return 77
    cases = [case for case in all_cases(args.long) if args.only in case.name]
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        passed = [report(result) for result in pool.map(search, cases)]
    print(f"{sum(passed)} of {len(passed)} as expected")
    return 0 if passed and all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
