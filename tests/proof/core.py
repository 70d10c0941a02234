#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""core.py --build FOLDER - the full form of the core's proof, as a table: point, command, figure, met or not.

Each row is a command that anyone can repeat. What a test counted it prints on lines of its own (those that do not begin
with ok, FAIL or SKIP), which become the row's figure; a row is met if the command succeeded and was not skipped.
--only POINT[,POINT] runs some points, --short the tests' short forms.
Exit: 0 if every row is met, else 1.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
VERDICTS = ("ok ", "ok\t", "FAIL", "SKIP")
SKIPPED = 77


class Proof:
    def __init__(self, build, long, only):
        self.build = build
        self.only = only
        self.rows = []
        self.env = dict(os.environ, KYMO_SOURCE_ROOT=str(ROOT), KYMO_BUILD_ROOT=str(build))
        if long:
            self.env["KYMO_TEST_LONG"] = "1"

    def wants(self, point):
        return not self.only or point.split(".")[0] in self.only

    def row(self, point, command, figure, met):
        self.rows.append((point, command, figure, met))
        print(f"{point:5} {'met' if met else 'NOT MET':8} {command}\n{'':15}{figure}", flush=True)

    def run(self, point, command, shown=None, figure=None, long=True):
        """One row: runs a command; figure(stdout) makes its figure, else the lines that are no verdicts."""
        if not self.wants(point):
            return
        shown = shown or " ".join(str(word).replace(str(ROOT) + "/", "") for word in command)
        env = dict(self.env)
        if not long:
            env.pop("KYMO_TEST_LONG", None)
        done = subprocess.run([str(word) for word in command], cwd=ROOT, env=env, capture_output=True, text=True)
        text = done.stdout
        counted = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(VERDICTS)]
        said = figure(text) if figure else "; ".join(counted[-6:])
        if done.returncode == SKIPPED:
            said = next((line for line in text.splitlines() if line.startswith("SKIP")), "skipped without a reason")
        elif done.returncode != 0:
            said = f"exit {done.returncode}: {(done.stderr or text).strip().splitlines()[-1:]}"
        self.row(point, shown, said, done.returncode == 0)

    def test(self, point, name):
        self.run(point, [self.build / "tests" / f"test_{name}"], f"test_{name} (long form)")

    def last_line(self, text):
        return text.strip().splitlines()[-1] if text.strip() else "nothing was printed"


def on_paper(proof):
    """1: the documents, and the models."""
    if proof.wants("1"):
        pages = {name: len((ROOT / "docs" / name).read_text(encoding="utf-8").splitlines())
                 for name in ("architecture.md", "protocols.md")}
        proof.row("1.1", "docs/architecture.md, docs/protocols.md",
                  ", ".join(f"{name}: {n} lines" for name, n in pages.items()), True)
    proof.run("1.2", [sys.executable, "tests/models/run.py"], "python3 tests/models/run.py", proof.last_line)


def exactness(proof):
    """2: nothing lost, nothing torn."""
    for i, name in enumerate(("exact", "histogram", "kill", "signals", "fork", "threads"), 1):
        proof.test(f"2.{i}", name)


def faults(proof):
    """3: each allocation fails in turn; the sanitizers."""
    proof.test("3.1", "faults")
    for i, check in enumerate(("asan", "ubsan", "tsan", "valgrind"), 2):
        proof.run(f"3.{i}", ["./dev", "check", check], f"./dev check {check}", proof.last_line, long=False)


def acceptance(proof):
    """4: programs that are not ours read the page."""
    scripts = (("accept_text", []), ("accept_prometheus", ["2"]), ("accept_prometheus", ["3"]))
    for i, (name, words) in enumerate(scripts, 1):
        proof.run(f"4.{i}", [sys.executable, f"tests/test_{name}.py", *words],
                  f"test_{name}.py {' '.join(words)}".strip())


def fuzzing(proof, seconds):
    """5: saved inputs, and a run of each fuzzer."""
    for i, name in enumerate(("escape", "number", "desc"), 1):
        proof.run(f"5.{i}", ["./dev", "fuzz", name, str(seconds)], f"./dev fuzz {name} {seconds}",
                  lambda text: "no finding")


def speed(proof):
    """6: one row per benchmark that has a target."""
    if not proof.wants("6"):
        return
    done = subprocess.run(["./dev", "bench", "--json"], cwd=ROOT, env=proof.env, capture_output=True, text=True)
    if done.returncode != 0:
        proof.row("6", "./dev bench --json", f"exit {done.returncode}", False)
    for line in done.stdout.splitlines():
        row = json.loads(line)
        if row.get("target") is None:
            continue
        ratio = "" if row["ratio"] is None else f", {row['ratio']:.3g} x {row['baseline_name']} ({row['baseline']:.3g})"
        proof.row("6", f"bench {row['name']}", f"{row['value']:.4g} {row['unit']}{ratio}; target {row['target']}",
                  bool(row["met"]))


def front_page(proof):
    """7: the README's program, and the library as others find it."""
    proof.run("7.1", [sys.executable, "tests/test_readme.py"], "python3 tests/test_readme.py")
    proof.run("7.2", ["meson", "test", "-C", proof.build, "package", "api", "api-cpp"],
              "meson test package api api-cpp", lambda text: next(
                  (line.strip() for line in text.splitlines() if line.startswith("Ok:")), "no verdict"))


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--build", required=True, type=pathlib.Path)
    args.add_argument("--only", default="")
    args.add_argument("--short", action="store_true")
    args.add_argument("--fuzz-seconds", type=int, default=60)
    options = args.parse_args()
    proof = Proof(options.build.resolve(), not options.short, [p for p in options.only.split(",") if p])
    on_paper(proof)
    exactness(proof)
    faults(proof)
    acceptance(proof)
    if proof.wants("5"):
        fuzzing(proof, options.fuzz_seconds)
    speed(proof)
    front_page(proof)
    unmet = [f"{point} {command}" for point, command, _, met in proof.rows if not met]
    print(f"\n{len(proof.rows) - len(unmet)} of {len(proof.rows)} rows met" + "".join(f"\n  not met: {u}" for u in unmet))
    sys.exit(1 if unmet else 0)


if __name__ == "__main__":
    main()
