# SPDX-License-Identifier: Apache-2.0
"""samples.py - what was exposed against what somebody else read: the programs under test, expectations, the comparison.

A sample is (name, labels), both as text, and a value. Values are the same if they are the same double; every NaN is the
same as every other, and so are 0 and -0, which the page does not tell apart. What must hold: nothing that was expected
is missing, nothing else is there, each once. compare() is itself tested, in test_accept_text.py.
"""

import contextlib
import json
import os
import pathlib
import re
import select
import subprocess
import urllib.request

BUILD = pathlib.Path(os.environ["KYMO_BUILD_ROOT"])
PAGE_HOST = BUILD / "tests" / "page_host"
FORMATS_HOST = BUILD / "tests" / "formats_host"
REPLAY = BUILD / "examples" / "replay"
PATIENCE_S = 60
OWN = "kymo_"  # families the library adds of itself, whose values tell of memory and time
LOST = ("kymo_recordings_refused_total", "kymo_series_dropped_total")  # of OWN: what nobody may cause unseen


def check(condition, *what):
    if not condition:
        raise AssertionError(" ".join(str(w) for w in what))


# ---- programs ----


class Program:
    """A program started by a test, read line by line, ended by its pid when the block ends."""

    def __init__(self, *command):
        self.process = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE)
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        stop(self.process)

    def line(self, others=()):
        """The next line; an error if none comes, or one of the other processes ends meanwhile."""
        with contextlib.ExitStack() as stack:
            pidfds = {}
            for other in others:
                pidfd = os.pidfd_open(other.pid)
                stack.callback(os.close, pidfd)
                pidfds[pidfd] = other
            while b"\n" not in self.rest:
                ready = select.select([self.process.stdout, *pidfds], [], [], PATIENCE_S)[0]
                for pidfd in set(ready) & set(pidfds):
                    raise RuntimeError(f"{pidfds[pidfd].args[0]} ended early")
                piece = os.read(self.process.stdout.fileno(), 65536) if ready else b""
                if not piece:
                    raise RuntimeError(f"{self.process.args[0]} said no more, or nothing for {PATIENCE_S} s")
                self.rest += piece
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()

    def wait_for(self, pattern, others=()):
        while True:
            found = re.search(pattern, self.line(others))
            if found:
                return found


def stop(process):
    """Ends a process that this test started."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout:
        process.stdout.close()


def get(url):
    """The body of a page of this machine; no proxy is asked."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=PATIENCE_S) as reply:
        return reply.read()


# ---- expectations ----


def key(name, labels):
    return name, tuple(sorted(labels.items()))


class Expected:
    """What page_host says it recorded: samples {key: value as text}, and families {name: (type, help)}."""

    def __init__(self):
        said = subprocess.run([PAGE_HOST, "--json"], check=True, capture_output=True).stdout
        said = json.loads(said.decode())
        self.samples = {key(s["name"], s["labels"]): s["value"] for s in said["samples"]}
        self.families = {f["name"]: (f["type"], f["help"]) for f in said["families"]}
        if len(self.samples) != len(said["samples"]) or len(self.families) != len(said["families"]):
            raise AssertionError("page_host expects a sample or a family twice")


def page_host_page():
    return subprocess.run([PAGE_HOST, "--print"], check=True, capture_output=True).stdout


def without_empty_labels(samples):
    """As a server stores them: a label with an empty value is no label."""
    stored = {(name, tuple(pair for pair in labels if pair[1])): value for (name, labels), value in samples.items()}
    if len(stored) != len(samples):
        raise AssertionError("two series are told apart by an empty label alone")
    return stored


# ---- the comparison ----


def same(a, b):
    a, b = float(a), float(b)
    return a == b or (a != a and b != b)


def short(sample_key):
    text = repr(sample_key)
    return text if len(text) < 300 else text[:300] + "..."


def compare(expected, got, exempt=lambda sample_key: False):
    """How what was got differs from what was expected, as sentences; exempt(key): may be there unexpectedly."""
    wrong = [f"missing: {short(k)}" for k in expected if k not in got]
    wrong += [f"unexpected: {short(k)} = {got[k]}" for k in got if k not in expected and not exempt(k)]
    wrong += [f"{short(k)} is {got[k]}, not {v}" for k, v in expected.items() if k in got and not same(v, got[k])]
    return wrong


def own_and_untouched(got):
    """For compare(): the library's own families may be there, but a refusal or a drop that nobody caused may not."""
    return lambda k: k[0].startswith(OWN) and (k[0] not in LOST or float(got[k]) == 0)


def compare_families(expected, got):
    """The same for {name: (type, help)}."""
    wrong = [f"family missing: {name}" for name in expected if name not in got]
    wrong += [f"unexpected family: {name}" for name in got if name not in expected and not name.startswith(OWN)]
    wrong += [f"family {name} is {got[name]!r}, not {want!r}"
              for name, want in expected.items() if name in got and got[name] != want]
    return wrong


def report(wrong):
    """Prints differences, the first ones in words; whether there were none."""
    for sentence in wrong[:20]:
        print(sentence)
    if len(wrong) > 20:
        print(f"... and {len(wrong) - 20} more")
    return not wrong
