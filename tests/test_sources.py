# SPDX-License-Identifier: Apache-2.0
"""What the sources must not contain: atomics outside their header, output and exits, threads of our own.

Comments and strings are taken out first, so that a file may speak of what it may not do. Each rule is also tried on a
line that breaks it: a pattern that matches nothing would prove nothing.
"""

import os
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(os.environ["KYMO_SOURCE_ROOT"])

ATOMICS = re.compile(r"__atomic_|__sync_|\b_Atomic\b|stdatomic\.h|__c11_atomic|\batomic_\w+\s*\(")
# vsnprintf() writes to memory; everything else here would write to the host's terminal or end its process.
OUTPUT = re.compile(
    r"(?<![\w>.])(exit|_exit|_Exit|quick_exit|abort|atexit|printf|fprintf|vprintf|vfprintf|dprintf|puts|fputs|putchar|"
    r"fputc|fwrite|perror|syslog|vsyslog|assert|__builtin_trap|__assert_fail)\s*\(|\b(stdout|stderr)\b"
)
THREADS = re.compile(r"\b(pthread_create|thrd_create|clone|fork|vfork|posix_spawn\w*)\s*\(")
LIFE = re.compile(r"__attribute__\s*\(\(\s*(__)?(con|de)structor")
COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)
SPDX = "SPDX-License-Identifier: Apache-2.0"
WITH_SPDX = {".c", ".h", ".cpp", ".cc", ".hpp", ".py", ".in", ".build", ".options", ".sh"}


def code(path):
    """A file's text without comments and strings, includes kept; lines keep their numbers."""

    def blank(match):
        text = match.group(0)
        return text if text.startswith('"') and text.endswith('.h"') else "\n" * text.count("\n") or " "

    return COMMENT_OR_STRING.sub(blank, path.read_text(encoding="utf-8"))


def sources(*folders):
    found = [p for f in folders for p in sorted((ROOT / f).rglob("*")) if p.suffix in (".c", ".h", ".in")]
    assert found, folders
    return found


def breaches(rule, paths):
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in paths
        for number, line in enumerate(code(path).splitlines(), 1)
        if rule.search(line)
    ]


def tracked():
    """Files of the project: what git knows or would take; all files where there is no git."""
    try:
        done = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard"], capture_output=True,
                              text=True, check=True)
        names = done.stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        names = [str(p.relative_to(ROOT)) for p in ROOT.rglob("*") if "build" not in p.relative_to(ROOT).parts[0]]
    return [ROOT / n for n in names if (ROOT / n).is_file()]


class Sources(unittest.TestCase):
    def test_rules_match_what_they_forbid(self):
        for rule, line in (
            (ATOMICS, "__atomic_load_n(&x, 0);"), (ATOMICS, "#include <stdatomic.h>"), (ATOMICS, "_Atomic int x;"),
            (ATOMICS, "__sync_fetch_and_add(&x, 1)"), (OUTPUT, "exit(1);"), (OUTPUT, "    abort ();"),
            (OUTPUT, 'fprintf (stderr, "x")'), (OUTPUT, "puts(s);"), (OUTPUT, "syslog(1, s);"), (OUTPUT, "printf(s)"),
            (THREADS, "pthread_create(&t, 0, f, 0)"), (THREADS, "pid = fork();"),
            (LIFE, "__attribute__((constructor))"),
        ):
            self.assertRegex(line, rule)
        for rule, line in ((OUTPUT, "vsnprintf(a, n, f, v)"), (OUTPUT, "thread_exit(seat)"), (OUTPUT, "->exit(x)"),
                           (OUTPUT, "static_assert(1)"), (OUTPUT, "_Static_assert (1)"), (THREADS, "wipe_after_fork()"),
                           (OUTPUT, "__attribute__((format(printf, 3, 4)))")):
            self.assertNotRegex(line, rule)

    def test_atomics_are_in_one_header(self):
        paths = [p for p in sources("src", "include") if p != ROOT / "src" / "base" / "atomic.h"]
        self.assertEqual(breaches(ATOMICS, paths), [])

    def test_public_headers_have_no_atomics(self):
        self.assertEqual(breaches(re.compile(r"atomic|volatile", re.IGNORECASE), sources("include")), [])

    def test_the_library_prints_nothing_and_ends_nobody(self):
        paths = [p for p in sources("src", "include") if "tools" not in p.parts]
        self.assertEqual(breaches(OUTPUT, paths), [])

    def test_the_core_has_no_threads_of_its_own_and_no_constructors(self):
        paths = sources("src/base", "src/core", "src/encode", "include")
        self.assertEqual(breaches(THREADS, paths), [])
        self.assertEqual(breaches(LIFE, paths), [])

    def test_collectors_see_public_headers_only(self):
        folder = ROOT / "src" / "collect"
        paths = [p for p in folder.rglob("*") if p.suffix in (".c", ".h")] if folder.is_dir() else []
        private = re.compile(r'#\s*include\s+"(base|core|encode|net)/')
        self.assertEqual(breaches(private, paths), [])

    def test_every_source_file_begins_with_its_license(self):
        missing = []
        for path in tracked():
            relative = path.relative_to(ROOT)
            wanted = path.suffix in WITH_SPDX or relative.as_posix() in ("dev", ".ci/run")
            if not wanted or relative.parts[0] == "subprojects" or "corpus" in relative.parts:
                continue
            lines = path.read_text(encoding="utf-8").splitlines()[:2]
            first = lines[1:] if lines and lines[0].startswith("#!") else lines
            if not first or SPDX not in first[0]:
                missing.append(str(relative))
        self.assertEqual(missing, [])


if __name__ == "__main__":
    unittest.main()
