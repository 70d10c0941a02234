#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""formats.py --build FOLDER - the full form of the proof of kinds and formats. proof_table.py has its options.

Exit: 0 if every row is met, else 1.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import proof_table as table  # noqa: E402


def vectors(proof):
    """1: vectors, negative lists, limit strategies, indices at every schema and boundary."""
    for i, name in enumerate(("native", "openmetrics", "protobuf", "names", "exemplar", "info", "config", "catalogue",
                              "alias"), 1):
        proof.test(f"1.{i}", name)


def acceptance(proof):
    """2: programs that are not ours read every page in every format."""
    rows = (["accept_text"], ["accept_openmetrics"], ["accept_formats_client"], ["accept_formats", "2"],
            ["accept_formats", "3"])
    for i, words in enumerate(rows, 1):
        proof.script(f"2.{i}", *words)


def threads(proof):
    """3: native histograms under threads, signals, kills, forks."""
    for i, name in enumerate(("native_threads", "signals", "kill", "fork"), 1):
        proof.test(f"3.{i}", name)


def demonstration(proof):
    """7: the demonstration in three formats."""
    program = proof.build / "examples" / "replay"
    proof.run("7", [sys.executable, "tests/test_replay.py", program], "test_replay.py")


def main():
    proof, seconds = table.begin("the proof of kinds and formats")
    vectors(proof)
    acceptance(proof)
    threads(proof)
    proof.test("4", "negotiate")
    proof.fuzz("5", ("openmetrics", "protobuf", "accept", "native", "config"), seconds)
    proof.bench("6", lambda name: name.startswith(("native", "both", "bytes_per_native", "render_om", "render_proto",
                                                   "exemplar")))
    demonstration(proof)
    sys.exit(proof.finish())


if __name__ == "__main__":
    main()
