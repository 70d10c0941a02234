#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""core.py --build FOLDER - the full form of the core's proof. proof_table.py has its options and says what a row is.

Exit: 0 if every row is met, else 1.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import proof_table as table  # noqa: E402


def on_paper(proof):
    """1: the documents, and the models."""
    if proof.wants("1"):
        pages = {name: len((table.ROOT / "docs" / name).read_text(encoding="utf-8").splitlines())
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
    for i, words in enumerate((["accept_text"], ["accept_prometheus", "2"], ["accept_prometheus", "3"]), 1):
        proof.script(f"4.{i}", *words)


def front_page(proof):
    """7: the README's program, and the library as others find it."""
    proof.script("7.1", "readme")
    proof.run("7.2", ["meson", "test", "-C", proof.build, "package", "api", "api-cpp"],
              "meson test package api api-cpp", lambda text: next(
                  (line.strip() for line in text.splitlines() if line.startswith("Ok:")), "no verdict"))


def main():
    proof, seconds = table.begin("the core's proof")
    on_paper(proof)
    exactness(proof)
    faults(proof)
    acceptance(proof)
    proof.fuzz("5", ("escape", "number", "desc"), seconds)
    proof.bench("6")
    front_page(proof)
    sys.exit(proof.finish())


if __name__ == "__main__":
    main()
