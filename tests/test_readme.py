#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_readme.py - the README's program, pasted as it stands, compiles, runs and prints what it should.

Compiled with the strictest warnings against the public headers and the shared library of the build folder.
Excerpts of programs compile as well.
Exit: 0 or 1.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(os.environ["KYMO_SOURCE_ROOT"])
BUILD = pathlib.Path(os.environ["KYMO_BUILD_ROOT"])
WANTED = ["# HELP requests_total Requests.", "# TYPE requests_total counter", 'requests_total{code="200"} 1']


def blocks():
    """The program, and excerpts of programs."""
    every = re.findall(r"```c\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    programs = [block for block in every if "int main(" in block]
    if len(programs) != 1:
        sys.exit(f"README.md has {len(programs)} C programs, not one")
    return programs[0], [block for block in every if block not in programs]


def excerpt_compiles(text):
    """Each line as what it is: part of a descriptor, or a statement among things of the names that README uses."""
    lines = [f'(void)KYMO_DESC(.name = "x", .help = "x", {line});' if line.startswith("KYMO_GUARD(") else line
             for line in text.splitlines()]
    source = ["#include <kymo/kymo.h>", "int excerpt(struct kymo_registry *, const char *const *, size_t);",
              "int excerpt(struct kymo_registry *reg, const char *const *codes, size_t n)", "{", *lines,
              "    return reg != NULL && codes != NULL && n != 0;", "}"]
    subprocess.run(["cc", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{ROOT / 'include'}",
                    "-fsyntax-only", "-xc", "-"], input="\n".join(source) + "\n", check=True, text=True)


def main_lines(text):
    """Lines inside main()'s braces and the declarations before it that are code: what a reader pastes and counts."""
    return [line for line in text.splitlines() if line.strip() and line.strip() not in "{}"]


def main():
    text, excerpts = blocks()
    for excerpt in excerpts:
        excerpt_compiles(excerpt)
    lines = main_lines(text)
    if len(lines) > 15:
        sys.exit(f"the README promises fifteen lines of C, there are {len(lines)}")
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "first.c")
        binary = pathlib.Path(folder, "first")
        source.write_text(text, encoding="utf-8")
        subprocess.run(
            ["cc", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{ROOT / 'include'}", str(source),
             "-o", str(binary), f"-L{BUILD / 'src'}", "-lkymo", f"-Wl,-rpath,{BUILD / 'src'}"],
            check=True)
        page = subprocess.run([str(binary)], check=True, capture_output=True, text=True).stdout.splitlines()
    missing = [line for line in WANTED if line not in page]
    if missing:
        sys.exit(f"not on the page: {missing}")
    print(f"{len(lines)} lines, {len(page)} lines of page; {len(excerpts)} excerpts that compile")


if __name__ == "__main__":
    main()
