# SPDX-License-Identifier: Apache-2.0
"""The harness is tested too: tests/report.py counts nothing as passed that did not run and pass."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

REPORT = pathlib.Path(os.environ["KYMO_SOURCE_ROOT"]) / "tests" / "report.py"


def entry(name, result, stdout="", returncode=0):
    return {"name": f"kymo:fast / {name}", "result": result, "stdout": stdout, "returncode": returncode, "duration": 0.1}


class Report(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def log(self, name, *entries):
        path = self.folder / name
        path.write_text("".join(json.dumps(e) + "\n" for e in entries), encoding="utf-8")
        return str(path)

    def run_report(self, *args):
        """Runs it; returns exit status, all lines, and the last one."""
        done = subprocess.run([sys.executable, str(REPORT), *args], capture_output=True, text=True, check=False)
        self.assertEqual(done.stderr, "")
        lines = done.stdout.splitlines()
        return done.returncode, lines, lines[-1]

    def test_all_passed(self):
        status, lines, last = self.run_report(self.log("a", entry("x", "OK"), entry("y", "OK")))
        self.assertEqual((status, last), (0, "2 passed, 0 failed, 0 skipped"))
        self.assertEqual(len(lines), 1)

    def test_every_other_result_is_a_failure(self):
        for result in ("FAIL", "TIMEOUT", "ERROR", "INTERRUPT", "UNEXPECTEDPASS"):
            status, lines, last = self.run_report(self.log("a", entry("x", result, returncode=1), entry("y", "OK")))
            self.assertEqual((status, last), (1, "1 passed, 1 failed, 0 skipped"), result)
            self.assertTrue(lines[0].startswith(f"failed x: {result.lower()}"), lines)

    def test_a_skip_names_its_reason(self):
        status, lines, last = self.run_report(self.log("a", entry("x", "SKIP", "noise\nSKIP: no data\n", 77)))
        self.assertEqual((status, lines[0], last), (0, "skipped x: no data", "0 passed, 0 failed, 1 skipped"))

    def test_a_skip_without_a_reason_is_a_failure(self):
        for text in ("", "SKIP:", "SKIP: \n", "not SKIP: in the middle"):
            status, _, last = self.run_report(self.log("a", entry("x", "SKIP", text, 77)))
            self.assertEqual((status, last), (1, "0 passed, 1 failed, 0 skipped"), text)

    def test_a_missing_or_empty_log_is_a_failure(self):
        for path in (str(self.folder / "none"), self.log("empty")):
            status, _, last = self.run_report(path, self.log("a", entry("x", "OK")))
            self.assertEqual((status, last), (1, "1 passed, 1 failed, 0 skipped"))

    def test_an_expected_name_that_did_not_run_is_a_failure(self):
        status, lines, last = self.run_report("--expect", "x", "--expect", "z", self.log("a", entry("x", "OK")))
        self.assertEqual((status, last), (1, "1 passed, 1 failed, 0 skipped"))
        self.assertIn("failed z: no such test", lines)

    def test_logs_add_up(self):
        one, two = self.log("one", entry("x", "OK")), self.log("two", entry("x", "OK"), entry("y", "SKIP", "SKIP: no", 77))
        status, _, last = self.run_report(one, two)
        self.assertEqual((status, last), (0, "2 passed, 0 failed, 1 skipped"))


if __name__ == "__main__":
    unittest.main()
