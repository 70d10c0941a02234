#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_readme.py - the README's program, pasted as it stands, compiles, runs and prints what it should.

Compiled with the strictest warnings against the public headers and the shared library of the build folder.
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


def program():
    blocks = re.findall(r"```c\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    if len(blocks) != 1:
        sys.exit(f"README.md has {len(blocks)} C programs, not one")
    return blocks[0]


def main_lines(text):
    """Lines inside main()'s braces and the declarations before it that are code: what a reader pastes and counts."""
    return [line for line in text.splitlines() if line.strip() and line.strip() not in "{}"]


def main():
    text = program()
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
    print(f"{len(lines)} lines, {len(page)} lines of page")


if __name__ == "__main__":
    main()
