# SPDX-License-Identifier: Apache-2.0
"""A proof as a table: point, command, figure, met or not. The scripts in proof/ say what is in one.

Each row is a command that anyone can repeat. What a test counted it prints on lines of its own (those that do not begin
with ok, FAIL or SKIP), which become the row's figure; a row is met if the command succeeded and was not skipped.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
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

    def script(self, point, name, *words):
        self.run(point, [sys.executable, f"tests/test_{name}.py", *words],
                 f"test_{name}.py {' '.join(words)}".strip())

    def fuzz(self, point, names, seconds):
        for i, name in enumerate(names, 1):
            self.run(f"{point}.{i}", ["./dev", "fuzz", name, str(seconds)], f"./dev fuzz {name} {seconds}",
                     lambda text: "no finding")

    def bench(self, point, wanted=lambda name: True, area=None):
        """One row per benchmark that has a target, of one area or of all."""
        if not self.wants(point):
            return
        command = ["./dev", "bench", "--json"] + (["--only", area] if area else [])
        done = subprocess.run(command, cwd=ROOT, env=self.env, capture_output=True, text=True)
        if done.returncode != 0:
            self.row(point, " ".join(command), f"exit {done.returncode}", False)
        for line in done.stdout.splitlines():
            row = json.loads(line)
            if row.get("target") is None or not wanted(row["name"]):
                continue
            ratio = ("" if row["ratio"] is None else
                     f", {row['ratio']:.3g} x {row['baseline_name']} ({row['baseline']:.3g})")
            self.row(point, f"bench {row['name']}", f"{row['value']:.4g} {row['unit']}{ratio}; target {row['target']}",
                     bool(row["met"]))

    def finish(self):
        unmet = [f"{point} {command}" for point, command, _, met in self.rows if not met]
        print(f"\n{len(self.rows) - len(unmet)} of {len(self.rows)} rows met"
              + "".join(f"\n  not met: {u}" for u in unmet))
        return 1 if unmet else 0


def begin(what, flags=()):
    """The options that every proof has, and (name, help) of further ones; returns it, and for how long a fuzzer runs."""
    args = argparse.ArgumentParser(description=what)
    for name, text in flags:
        args.add_argument(name, action="store_true", help=text)
    args.add_argument("--build", required=True, type=pathlib.Path)
    args.add_argument("--only", default="", help="POINT[,POINT]")
    args.add_argument("--short", action="store_true", help="the tests' short forms")
    args.add_argument("--fuzz-seconds", type=int, default=60)
    options = args.parse_args()
    proof = Proof(options.build.resolve(), not options.short, [p for p in options.only.split(",") if p])
    proof.options = options
    return proof, options.fuzz_seconds
