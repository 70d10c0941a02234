#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_replay.py REPLAY - the demonstration program, from outside: totals, latencies, HTTP, errors, ends.

What must hold: the page of a replayed trace reads exactly what the trace says, whatever the speed, the number of
threads and the format. Totals come from the CSV, latencies from a second writing, here, of the simulated server that
plan.h states. Protobuf is read by a decoder of our own; OpenMetrics also by Prometheus' Python library, where it is
installed.
Traces of the world are read from ../shared/data (or $KYMO_SHARED/data) where they are present.

Nothing is timed: a wait that is too long is a time-out of the test, not a measurement.
Exit: 0, 1, or 77 if nothing ran.
"""

import bisect
import contextlib
import csv
import datetime
import heapq
import http.client
import math
import os
import pathlib
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "replay"
SMALL = EXAMPLE / "trace-small.csv"
SHARED = pathlib.Path(os.environ.get("KYMO_SHARED", ROOT.parent / "shared")) / "data"
PATIENCE_S = 60

SLOTS, PREFILL, DECODE = 64, 12000, 60
NS = 10**9

HISTOGRAMS = ("llm_request_queue_seconds", "llm_time_to_first_token_seconds", "llm_time_per_output_token_seconds",
              "llm_request_duration_seconds", "llm_request_prompt_tokens", "llm_request_completion_tokens")

REPLAY = None


class Skip(Exception):
    """A test that cannot run here, with the reason."""


def check(condition, *what):
    if not condition:
        raise AssertionError(" ".join(str(w) for w in what))


def check_equal(got, want, what):
    check(got == want, f"{what}: got {got!r}, want {want!r}")


# ---- the program under test ----


class Replay:
    """One run of the program, ended by its pid when the block ends."""

    def __init__(self, *args, port=0, config=None):
        command = [REPLAY, "--port", str(port), *args]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        env=environment(config))
        self.lines = []

    def __enter__(self):
        line = self.wait_for_line("metrics are at ")
        self.port = int(re.search(r"http://127\.0\.0\.1:(\d+)/metrics$", line).group(1))
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def wait_for_line(self, text):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if text in line:
                return self.lines[-1]
        raise AssertionError(f"no line with {text!r} in {self.lines}, stderr: {self.process.stderr.read()}")

    def wait_for_end_of_trace(self):
        return self.wait_for_line("the trace has ended")

    def signal_and_wait(self, number):
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE_S)
        check_equal(self.process.returncode, 0, f"exit status after signal {number} (stderr {err!r})")
        return out

    def request(self, method, path, **kwargs):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            connection.request(method, path, **kwargs)
            reply = connection.getresponse()
            return reply, reply.read()

    def raw(self, data, end=False):
        """Sends bytes as they are and reads up to the end of the connection; end: says that no more will come."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S) as s:
            s.sendall(data)
            if end:
                s.shutdown(socket.SHUT_WR)
            return read_all(s)

    def fetch(self, accept=None, path="/metrics"):
        """(Content-Type, body) of a page."""
        reply, body = self.request("GET", path, headers={} if accept is None else {"Accept": accept})
        check_equal(reply.status, 200, "status")
        return reply.getheader("Content-Type"), body

    def page(self):
        return parse_page(self.fetch()[1].decode())


def environment(config=None):
    """Ours, with this file of an operator's choices and no other."""
    env = {name: value for name, value in os.environ.items() if name != "KYMO_CONFIG"}
    return env if config is None else {**env, "KYMO_CONFIG": config}


def read_all(s):
    data = b""
    while True:
        piece = s.recv(65536)
        if not piece:
            return data
        data += piece


def run_to_end(*args, config=None):
    """Runs the program to its own end and returns (exit status, stdout, stderr)."""
    done = subprocess.run([REPLAY, *args], capture_output=True, text=True, timeout=PATIENCE_S, check=False,
                          env=environment(config))
    return done.returncode, done.stdout, done.stderr


def parse_page(text):
    """{'name{labels}': value as text} of a page."""
    check(text.endswith("\n"), "the page does not end in a line feed")
    series = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, value = line.rsplit(" ", 1)
        check(name not in series, "twice on the page:", name)
        series[name] = value
    return series


# ---- what the page must read ----


def read_trace(path):
    """[(arrival in ns after the first, prompt tokens, completion tokens)]"""
    rows = []
    with open(path, newline="", encoding="ascii") as file:
        for row in csv.DictReader(file):
            whole, ticks = row["TIMESTAMP"].split(".")
            moment = datetime.datetime.strptime(whole, "%Y-%m-%d %H:%M:%S").replace(tzinfo=datetime.timezone.utc)
            ns = int(moment.timestamp()) * NS + int(ticks) * 100
            rows.append((ns, int(row["ContextTokens"]), int(row["GeneratedTokens"])))
    return [(ns - rows[0][0], prompt, completion) for ns, prompt, completion in rows]


def serve(rows):
    """The simulated server: [(arrive, start, first, end)] in ns, in order of arrival."""
    slots = [0] * SLOTS
    prefill_free = 0
    moments = []
    for arrive, prompt, completion in rows:
        start = max(arrive, prefill_free, heapq.heappop(slots))
        first = prefill_free = start + prompt * NS // PREFILL
        end = first + max(completion - 1, 0) * NS // DECODE
        heapq.heappush(slots, end)
        moments.append((arrive, start, first, end))
    return moments


def observations(rows):
    """What each histogram must have seen: {name: {number of the request: value}}."""
    seen = {name: {} for name in HISTOGRAMS}
    for number, ((_, prompt, completion), (arrive, start, first, end)) in enumerate(zip(rows, serve(rows)), 1):
        seen["llm_request_queue_seconds"][number] = (start - arrive) / 1e9
        seen["llm_request_duration_seconds"][number] = (end - arrive) / 1e9
        seen["llm_request_prompt_tokens"][number] = float(prompt)
        seen["llm_request_completion_tokens"][number] = float(completion)
        if completion > 0:
            seen["llm_time_to_first_token_seconds"][number] = (first - arrive) / 1e9
        if completion > 1:
            seen["llm_time_per_output_token_seconds"][number] = (end - first) / 1e9 / (completion - 1)
    return seen


def buckets(page, name):
    """{upper bound: cumulative count} of a histogram without labels."""
    found = {}
    for series, value in page.items():
        match = re.fullmatch(re.escape(name) + r'_bucket\{le="([^"]+)"\}', series)
        if match:
            found[float(match.group(1))] = int(value)
    check(len(found) > 1, "no buckets of", name)
    return found


def check_histogram(page, name, values):
    values = sorted(values)
    for bound, count in buckets(page, name).items():
        check_equal(count, bisect.bisect_right(values, bound), f"{name} at le={bound}")
    check_equal(page[name + "_count"], str(len(values)), name + "_count")
    total = sum(values)  # added in another order than by the threads, so equal but for rounding
    check(abs(float(page[name + "_sum"]) - total) <= 1e-9 * total, f"{name}_sum:", page[name + "_sum"], "want", total)


def check_page(page, rows):
    check_equal(page["llm_requests_total"], str(len(rows)), "llm_requests_total")
    check_equal(page['llm_tokens_total{type="prompt"}'], str(sum(r[1] for r in rows)), "prompt tokens")
    check_equal(page['llm_tokens_total{type="completion"}'], str(sum(r[2] for r in rows)), "completion tokens")
    check_equal(page["llm_requests_waiting"], "0", "llm_requests_waiting")
    check_equal(page["llm_requests_running"], "0", "llm_requests_running")
    for name, values in observations(rows).items():
        check_histogram(page, name, values.values())
    # An exemplar that met another one being written is dropped and counted; its observation is not.
    refused = {s: v for s, v in page.items()
               if s.startswith("kymo_recordings_refused_total") and v != "0" and 'reason="exemplar_busy"' not in s}
    check_equal(refused, {}, "refused recordings")


def replay_and_check(path, *args):
    with Replay("--trace", str(path), "--seconds", "30", *args) as replay:
        replay.wait_for_end_of_trace()
        page = replay.page()
        check_page(page, read_trace(path))
        return page


def shared_trace(name):
    path = SHARED / name
    if not path.exists():
        raise Skip(f"{name} is not in ../shared/data nor in $KYMO_SHARED/data")
    return path


# ---- totals and latencies ----


def test_without_a_trace_given_the_small_one_is_replayed_exactly():
    with Replay("--speed", "max", "--seconds", "30") as replay:
        ended = replay.wait_for_end_of_trace()
        rows = read_trace(SMALL)
        check_page(replay.page(), rows)
        check(f" {len(rows)} requests," in ended and " 0 running, 0 waiting," in ended, ended)


def test_neither_speed_nor_threads_change_what_the_page_reads():
    for args in (["--threads", "1"], ["--threads", "16"], ["--threads", "256"]):
        page = replay_and_check(SMALL, "--speed", "max", *args)
        check_equal(page["llm_replay_speed"], "+Inf", "llm_replay_speed")
    page = replay_and_check(SMALL, "--speed", "200", "--threads", "3")
    check_equal(page["llm_replay_speed"], "200", "llm_replay_speed")


def test_the_conversation_trace_ends_at_its_published_figures():
    page = replay_and_check(shared_trace("azure-llm-2023-conv.csv"), "--speed", "max")
    check_equal(page["llm_requests_total"], "19366", "requests")
    check_equal(page['llm_tokens_total{type="prompt"}'], "22361870", "prompt tokens")
    check_equal(page['llm_tokens_total{type="completion"}'], "4088665", "completion tokens")
    cumulative = buckets(page, "llm_request_completion_tokens")
    check_equal([cumulative[le] for le in (20, 50, 100, 200, 500, 1000)],
                [380, 1658, 7440, 12186, 18737, 19366], "completion buckets")


def test_the_code_trace_ends_at_its_published_figures():
    page = replay_and_check(shared_trace("azure-llm-2023-code.csv"), "--speed", "max")
    check_equal(page["llm_requests_total"], "8819", "requests")
    check_equal(page['llm_tokens_total{type="prompt"}'], "18059974", "prompt tokens")
    check_equal(page['llm_tokens_total{type="completion"}'], "245896", "completion tokens")


def test_counters_never_go_back_while_the_trace_is_replayed():
    with Replay("--speed", "100", "--seconds", "30") as replay:
        before, last = -1, len(read_trace(SMALL))
        while before < last:
            now = int(replay.page()["llm_requests_total"])
            check(before <= now <= last, "from", before, "to", now)
            before = now


def test_answers_without_tokens_have_no_first_token():
    with trace_file(HEADER + "2025-01-01 12:00:00,0,0\n2025-01-01 12:00:00,10,1") as path:
        with Replay("--trace", path, "--speed", "max", "--seconds", "30") as replay:
            replay.wait_for_end_of_trace()
            page = replay.page()
    check_equal(page["llm_requests_total"], "2", "requests")
    check_equal(page["llm_time_to_first_token_seconds_count"], "1", "first tokens")
    check_equal(page["llm_time_per_output_token_seconds_count"], "0", "gaps")


def test_the_small_trace_is_what_its_script_writes():
    done = subprocess.run([sys.executable, str(EXAMPLE / "make_trace.py")], capture_output=True, check=True)
    check(done.stdout == SMALL.read_bytes(), "make_trace.py and trace-small.csv differ")


# ---- protobuf, as far as it is needed ----

# {number: (name, what it is)}; in brackets: repeated
MESSAGES = {
    "family": {1: ("name", "text"), 2: ("help", "text"), 3: ("type", "int"), 4: ("metric", ["metric"]),
               5: ("unit", "text")},
    "metric": {1: ("label", ["pair"]), 2: ("gauge", "value"), 3: ("counter", "counter"), 7: ("histogram", "histogram")},
    "pair": {1: ("name", "text"), 2: ("value", "text")},
    "value": {1: ("value", "double")},
    "counter": {1: ("value", "double"), 2: ("exemplar", "exemplar"), 3: ("start", "time")},
    "histogram": {1: ("count", "int"), 2: ("sum", "double"), 3: ("bucket", ["bucket"]), 5: ("schema", "sint"),
                  6: ("zero_threshold", "double"), 7: ("zero_count", "int"), 9: ("negative_span", ["span"]),
                  10: ("negative_delta", ["sint"]), 12: ("positive_span", ["span"]), 13: ("positive_delta", ["sint"]),
                  15: ("start", "time"), 16: ("exemplar", ["exemplar"])},
    "bucket": {1: ("count", "int"), 2: ("bound", "double"), 3: ("exemplar", "exemplar")},
    "span": {1: ("offset", "sint"), 2: ("length", "int")},
    "exemplar": {1: ("label", ["pair"]), 2: ("value", "double"), 3: ("time", "time")},
    "time": {1: ("seconds", "int"), 2: ("nanos", "int")},
}
COUNTER, GAUGE, HISTOGRAM = 0, 1, 4
VARINT, EIGHT_BYTES, LENGTH = 0, 1, 2
ABSENT = {"int": 0, "sint": 0, "double": 0.0, "text": ""}


def read_varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value, at


def read_fields(data):
    """(number, wire type, value) of each field."""
    at = 0
    while at < len(data):
        key, at = read_varint(data, at)
        if key & 7 == VARINT:
            value, at = read_varint(data, at)
        else:
            check(key & 7 in (EIGHT_BYTES, LENGTH), "wire type", key & 7)
            size, at = (8, at) if key & 7 == EIGHT_BYTES else read_varint(data, at)
            check(at + size <= len(data), "cut short")
            value, at = data[at:at + size], at + size
        yield key >> 3, key & 7, value


def read_value(kind, wire, value):
    wanted = VARINT if kind in ("int", "sint") else EIGHT_BYTES if kind == "double" else LENGTH
    check_equal(wire, wanted, f"wire type of {kind}")
    if kind == "sint":
        return (value >> 1) ^ -(value & 1)
    if kind == "double":
        return struct.unpack("<d", value)[0]
    return value if kind == "int" else value.decode() if kind == "text" else read_message(kind, value)


def read_packed(kind, data):
    at = 0
    while at < len(data):
        value, at = read_varint(data, at)
        yield read_value(kind, VARINT, value)


def read_message(kind, data):
    """{field: value}; what is absent is 0, "", [] or None."""
    message = {name: [] if isinstance(what, list) else ABSENT.get(what) for name, what in MESSAGES[kind].values()}
    for number, wire, value in read_fields(data):
        check(number in MESSAGES[kind], "unknown field", number, "of", kind)
        name, what = MESSAGES[kind][number]
        if what == ["sint"] and wire == LENGTH:
            message[name] += read_packed("sint", value)
        elif isinstance(what, list):
            message[name].append(read_value(what[0], wire, value))
        else:
            message[name] = read_value(what, wire, value)
    return message


def read_families(body):
    """Every family of a page, {name: family}; one that came in several messages is put together."""
    families, at = {}, 0
    while at < len(body):
        size, at = read_varint(body, at)
        check(at + size <= len(body), "a family is cut short")
        family, at = read_message("family", body[at:at + size]), at + size
        whole = families.setdefault(family["name"], {**family, "metric": []})
        check_equal((family["type"], family["unit"]), (whole["type"], whole["unit"]), family["name"])
        whole["metric"] += family["metric"]
    return families


# ---- one shape for pages of all formats: {(name, labels): value} ----


def key_of(name, labels):
    return name, tuple(sorted((n, float(v) if n == "le" else v) for n, v in labels.items()))


def samples_of_text(body):
    found = {}
    for series, value in parse_page(body.decode()).items():
        name, _, labels = series.partition("{")
        found[key_of(name, dict(re.findall(r'(\w+)="([^"\\]*)"', labels)))] = float(value)
    return found


EXEMPLAR = re.compile(r' # \{trace_id="([0-9a-f]{32})"\} (\S+) (\d+\.?\d*)$', re.MULTILINE)


def samples_of_openmetrics(body):
    text = body.decode()
    check(text.endswith("\n# EOF\n"), "the end of the page:", text[-100:])
    return samples_of_text(EXEMPLAR.sub("", text).encode())


def histogram_parts(name, histogram):
    bounds = [(bucket["bound"], bucket["count"]) for bucket in histogram["bucket"]]
    for bound, count in bounds if bounds and math.isinf(bounds[-1][0]) else [*bounds, (math.inf, histogram["count"])]:
        yield name + "_bucket", {"le": bound}, count
    yield name + "_sum", {}, histogram["sum"]
    yield name + "_count", {}, histogram["count"]


def samples_of_protobuf(body):
    found = {}
    for name, family in read_families(body).items():
        for metric in family["metric"]:
            if family["type"] == HISTOGRAM:
                parts = histogram_parts(name, metric["histogram"])
            else:
                check(family["type"] in (COUNTER, GAUGE), name, "has type", family["type"])
                parts = [(name, {}, metric["counter" if family["type"] == COUNTER else "gauge"]["value"])]
            labels = {pair["name"]: pair["value"] for pair in metric["label"]}
            for part, more, value in parts:
                key = key_of(part, {**labels, **more})
                check(key not in found, "twice on the page:", key)
                found[key] = value
    return found


def get_histogram(replay, name):
    """A histogram with all that protobuf has of it."""
    content_type, body = replay.fetch(PROTOBUF, "/metrics?name[]=" + name)
    check_equal(content_type, "application/vnd.google.protobuf; "
                "proto=io.prometheus.client.MetricFamily; encoding=delimited", "Content-Type")
    families = read_families(body)
    check_equal(list(families), [name], "families on the page")
    check_equal((families[name]["type"], len(families[name]["metric"])), (HISTOGRAM, 1), "type, and series")
    return families[name]["metric"][0]["histogram"]


# ---- formats ----

OPENMETRICS = "application/openmetrics-text;version=1.0.0"
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
# What a scrape itself changes.
MOVING = ("replay_scrapes_total", "replay_http_replies_total", "kymo_registry_", "kymo_collector_")


def still(samples):
    return {key: value for key, value in samples.items() if not key[0].startswith(MOVING)}


def check_same(got, want, what):
    check_equal(got.keys() ^ want.keys(), set(), what + ": series on one page only")
    differing = {key: (value, want[key]) for key, value in got.items() if value != want[key]}
    check_equal(still(differing), {}, what)


def check_formats(path):
    with Replay("--trace", str(path), "--speed", "max", "--seconds", "60") as replay:
        replay.wait_for_end_of_trace()
        _, text = replay.fetch()
        check_page(parse_page(text.decode()), read_trace(path))
        want = samples_of_text(text)
        check_same(samples_of_openmetrics(replay.fetch(OPENMETRICS)[1]), want, "OpenMetrics and text")
        check_same(samples_of_protobuf(replay.fetch(PROTOBUF)[1]), want, "protobuf and text")


def test_three_formats_agree_value_by_value():
    check_formats(SMALL)


def test_three_formats_agree_on_the_conversation_trace():
    check_formats(shared_trace("azure-llm-2023-conv.csv"))


def test_a_strict_reader_of_openmetrics_reads_the_same():
    try:
        from prometheus_client.openmetrics import parser  # pylint: disable=import-outside-toplevel
    except ImportError as error:
        raise Skip(f"no prometheus_client for {sys.executable}: {error}") from error
    with Replay("--speed", "max", "--seconds", "60") as replay:
        replay.wait_for_end_of_trace()
        body = replay.fetch(OPENMETRICS)[1]
    families = {family.name: family for family in parser.text_string_to_metric_families(body.decode())}
    samples = [s for family in families.values() for s in family.samples]
    check_same({key_of(s.name, s.labels): s.value for s in samples}, samples_of_openmetrics(body), "samples")
    check_equal(sum(s.exemplar is not None for s in samples), len(EXEMPLAR.findall(body.decode())), "exemplars")
    check_equal({name: (families[name].type, families[name].unit) for name in
                 ("llm_requests", "llm_tokens", "llm_request_queue_seconds", "replay_build", "replay_state")},
                {"llm_requests": ("counter", ""), "llm_tokens": ("counter", "tokens"), "replay_state": ("stateset", ""),
                 "llm_request_queue_seconds": ("histogram", "seconds"), "replay_build": ("info", "")},
                "types and units")


# What servers send, and what they must be told that they get. None: no such field.
TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROTOBUF_TYPE = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
ACCEPTED = {
    "2.42": ("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
             "text/plain;version=0.0.4;q=0.5,*/*;q=0.1", OPENMETRICS_TYPE),
    "2.42, native histograms": (
        PROTOBUF + ",application/openmetrics-text;version=1.0.0;q=0.8,"
        "application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", PROTOBUF_TYPE),
    "2.49": ("application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
             "text/plain;version=0.0.4;q=0.3,*/*;q=2", OPENMETRICS_TYPE),
    "2.53": ("application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
             "text/plain;version=0.0.4;q=0.3,*/*;q=0.2", OPENMETRICS_TYPE),
    "3.5": ("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
            "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
            "text/plain;version=0.0.4;q=0.3,*/*;q=0.2", OPENMETRICS_TYPE + "; escaping=allow-utf-8"),
    "3.5, protobuf first": (
        PROTOBUF + ";q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
        "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
        "text/plain;version=0.0.4;q=0.2,*/*;q=0.1", PROTOBUF_TYPE),
    "3.5, text only": ("text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.4",
                       TEXT_TYPE + "; escaping=allow-utf-8"),
    "a browser": ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", TEXT_TYPE),
    "curl": ("*/*", TEXT_TYPE),
    "nobody": (None, TEXT_TYPE),
}
READERS = {"text/plain": samples_of_text, "application/openmetrics-text": samples_of_openmetrics,
           "application/vnd.google.protobuf": samples_of_protobuf}


def test_what_prometheus_accepts_is_what_it_gets():
    with Replay("--speed", "max", "--seconds", "60") as replay:
        replay.wait_for_end_of_trace()
        for who, (accept, wanted) in ACCEPTED.items():
            content_type, body = replay.fetch(accept)
            check_equal(content_type, wanted, who)
            samples = READERS[content_type.partition(";")[0]](body)
            check_equal(samples[key_of("llm_requests_total", {})], 300, who)


def test_accept_may_stand_in_several_lines():
    with Replay("--speed", "max", "--seconds", "60") as replay:
        for fields, wanted in (
            (b"aCCept:" + OPENMETRICS.encode() + b"\r\nAccept: text/plain;q=0.5\r\n", OPENMETRICS_TYPE),
            (b"Accept: " + OPENMETRICS.encode() + b";q=0.4\r\nX: y\r\nAccept: text/plain\r\n", TEXT_TYPE),
            (b"Accept-Charset: " + OPENMETRICS.encode() + b"\r\n", TEXT_TYPE),
        ):
            got = replay.raw(b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n")
            check(f"\r\nContent-Type: {wanted}\r\n".encode() in got, fields, "->", got)


def test_caches_are_told_and_nothing_is_compressed():
    with Replay("--speed", "max", "--seconds", "60") as replay:
        reply, body = replay.request("GET", "/metrics", headers={"Accept-Encoding": "gzip", "Accept": OPENMETRICS})
        check_equal(reply.getheader("Vary"), "Accept, Accept-Encoding", "Vary")
        check(reply.getheader("Content-Encoding") is None, "Content-Encoding", reply.getheader("Content-Encoding"))
        check(body.startswith(b"# TYPE "), body[:100])


def test_name_in_the_query_chooses_families():
    requests = key_of("llm_requests_total", {})
    with Replay("--speed", "max", "--seconds", "60") as replay:
        replay.wait_for_end_of_trace()
        for query, wanted in (
            ("name[]=llm_requests_total", {requests[0]}),
            ("name%5B%5D=llm_requests_total&x=y", {requests[0]}),
            ("name[]=llm_%72equests_total&name[]=llm_replay_speed", {requests[0], "llm_replay_speed"}),
            ("name[]=llm_request_prompt_tokens_count", {"llm_request_prompt_tokens" + s for s in
                                                        ("_bucket", "_sum", "_count")}),
            ("name[]=nothing", set()),
            ("name[]", set()),
        ):
            for accept, read in ((None, samples_of_text), (PROTOBUF, samples_of_protobuf)):
                _, body = replay.fetch(accept, "/metrics?" + query)
                check_equal({name for name, _ in read(body)} if body else set(), wanted, query)
        check(requests in samples_of_text(replay.fetch(path="/metrics?names=x&name=y")[1]), "name[] alone chooses")


def test_a_malformed_query_is_refused():
    with Replay("--speed", "max", "--seconds", "60") as replay:
        for query in ("name[]=%", "name[]=%4", "name[]=%4g", "name[]=%00", "%zz=1"):
            check_equal(replay.request("GET", "/metrics?" + query)[0].status, 400, query)


# ---- twins, exemplars, times, states ----


def bound_of(schema, index):
    """Exact at powers of two, elsewhere as near as a double can be."""
    per_octave = 2**schema
    return math.ldexp(2 ** (index % per_octave / per_octave), index // per_octave)


def native_buckets(histogram):
    """{index: count}, and no bucket that nobody observed."""
    found, index, count, deltas = {}, 0, 0, iter(histogram["positive_delta"])
    for span in histogram["positive_span"]:
        index += span["offset"]
        for _ in range(span["length"]):
            count += next(deltas, math.nan)
            found[index] = count
            index += 1
    check(next(deltas, None) is None and count == count, "as many deltas as the spans have room for")
    check_equal((histogram["negative_span"], histogram["negative_delta"]), ([], []), "negative buckets")
    return {index: count for index, count in found.items() if count != 0}


def expected_native(values, schema):
    """(zero count, {index: count}) of these observations."""
    found = {}
    for value in values:
        if value > 0:
            index = math.ceil(math.log2(value) * 2**schema)
            index += (value > bound_of(schema, index)) - (value <= bound_of(schema, index - 1))
            found[index] = found.get(index, 0) + 1
    return sum(value == 0 for value in values), found


def check_twin(name, histogram, values):
    """One observation, two representations: neither may say what the other rules out."""
    schema, zero, native = histogram["schema"], histogram["zero_count"], native_buckets(histogram)
    check_equal((schema, zero, native), (3, *expected_native(values, 3)), name + ": schema 3, zero and native buckets")
    check_equal(histogram["count"], len(values), name + ": count")
    check_equal(zero + sum(native.values()), histogram["count"], name + ": native buckets and count")
    check(histogram["bucket"], name, "has no classic buckets")
    for bucket in histogram["bucket"]:
        le = bucket["bound"]
        least = zero + sum(n for index, n in native.items() if bound_of(schema, index) <= le)
        most = zero + sum(n for index, n in native.items() if bound_of(schema, index - 1) < le)
        check(least <= bucket["count"] <= most, f"{name} at le={le}:", bucket["count"], "not in", least, "to", most)


def check_twins(path):
    with Replay("--trace", str(path), "--speed", "max", "--seconds", "60") as replay:
        replay.wait_for_end_of_trace()
        text = replay.page()
        for name, values in observations(read_trace(path)).items():
            histogram = get_histogram(replay, name)
            check_twin(name, histogram, values.values())
            check_equal((str(histogram["count"]), histogram["sum"]),
                        (text[name + "_count"], float(text[name + "_sum"])), name + ": count and sum, in both formats")


def test_twins_agree():
    check_twins(SMALL)


def test_twins_agree_on_the_conversation_trace():
    check_twins(shared_trace("azure-llm-2023-conv.csv"))


def test_twins_agree_on_the_code_trace():
    check_twins(shared_trace("azure-llm-2023-code.csv"))


def trace_id_of(number):
    """Sixteen digits of splitmix64, sixteen of the number."""
    z = number * 0x9E3779B97F4A7C15 % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return f"{z ^ z >> 31:016x}{number:016x}"


def check_exemplar(exemplar, values, what):
    """It stands for a request of the trace, and has the value that this request was counted with."""
    labels = [(pair["name"], pair["value"]) for pair in exemplar["label"]]
    check_equal([name for name, _ in labels], ["trace_id"], what)
    number = int(labels[0][1][16:], 16)
    check_equal(labels[0][1], trace_id_of(number), what)
    check_equal(exemplar["value"], values.get(number), f"{what}: value of request {number}")


def test_exemplars_lead_to_the_requests_behind_the_numbers():
    rows = read_trace(SMALL)
    before = time.time_ns()
    with Replay("--speed", "max", "--seconds", "60") as replay:
        replay.wait_for_end_of_trace()
        after = time.time_ns()
        for name, values in observations(rows).items():
            histogram, low, n_found = get_histogram(replay, name), -math.inf, 0
            for bucket in histogram["bucket"]:
                exemplar = bucket["exemplar"]
                if exemplar is not None:
                    check_exemplar(exemplar, values, name)
                    check(low < exemplar["value"] <= bucket["bound"], name, low, exemplar["value"], bucket["bound"])
                    n_found += 1
                low = bucket["bound"]
            kept = histogram["exemplar"]
            check(n_found > 0 and 0 < len(kept) <= 10, name, n_found, "exemplars of buckets,", len(kept), "others")
            check(kept == sorted(kept, key=lambda e: e["value"]), name, "are not in order")
            for exemplar in kept:
                check_exemplar(exemplar, values, name)
                check(before <= exemplar["time"]["seconds"] * NS + exemplar["time"]["nanos"] <= after, name, exemplar)
        found = EXEMPLAR.findall(replay.fetch(OPENMETRICS, "/metrics?name[]=llm_requests_total")[1].decode())
        check_equal([(trace, value) for trace, value, _ in found], [(trace_id_of(int(found[0][0][16:], 16)), "1")],
                    "llm_requests_total")


def test_protobuf_says_when_series_began():
    before = time.time_ns()
    with Replay("--speed", "max", "--seconds", "60") as replay:
        families = read_families(replay.fetch(PROTOBUF)[1])
        after = time.time_ns()
    starts = [metric[part]["start"] for family in families.values() for metric in family["metric"]
              for part in ("counter", "histogram") if metric[part] and not family["name"].startswith("kymo_")]
    check(len(starts) > len(HISTOGRAMS), len(starts), "series that count")
    for start in starts:
        check(start is not None and before <= start["seconds"] * NS + start["nanos"] <= after, before, start, after)


def states_of(page):
    return [s for s in ("starting", "replaying", "ended") if page[f'replay_state{{replay_state="{s}"}}'] == "1"]


def test_the_page_says_where_the_replay_stands():
    with Replay("--speed", "0.001") as replay:
        check_equal(states_of(replay.page()), ["replaying"], "while it is replayed")
    with Replay("--speed", "max", "--seconds", "60") as replay:
        replay.wait_for_end_of_trace()
        check_equal(states_of(replay.page()), ["ended"], "after the end")


def test_the_page_says_what_was_built():
    with Replay("--speed", "max", "--seconds", "60") as replay:
        facts = [labels for (name, labels), value in samples_of_text(replay.fetch()[1]).items()
                 if name == "replay_build_info" and value == 1]
    check_equal(len(facts), 1, "series of replay_build_info")
    said = dict(facts[0])
    check(re.fullmatch(r"\d+\.\d+\.\d+", said.pop("kymo_version")), facts)
    check_equal(said, {"slots": str(SLOTS), "prefill_tokens_per_second": str(PREFILL),
                       "decode_tokens_per_second": str(DECODE)}, "the simulated server")


# ---- the operator's choices ----


@contextlib.contextmanager
def config_file(content):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "metrics.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)
        yield path


def test_the_operator_chooses_buckets():
    values = observations(read_trace(SMALL))
    with config_file("[*_seconds]\nnative = no\nbuckets = 1, 2.5\n[llm_request_prompt_tokens]\nbuckets = none\n"
                     "[llm_requests_total]\nexemplars = 0\n") as path:
        with Replay("--speed", "max", "--seconds", "60", config=path) as replay:
            replay.wait_for_end_of_trace()
            page = replay.page()
            classic = get_histogram(replay, "llm_request_duration_seconds")
            native = get_histogram(replay, "llm_request_prompt_tokens")
            requests = replay.fetch(OPENMETRICS, "/metrics?name[]=llm_requests_total")[1]
    check_equal(list(buckets(page, "llm_request_duration_seconds")), [1, 2.5, math.inf], "classic buckets")
    check_histogram(page, "llm_request_duration_seconds", values["llm_request_duration_seconds"].values())
    check_equal((classic["positive_span"], classic["zero_threshold"]), ([], 0), "native buckets, where there are none")
    bounds = [bucket["bound"] for bucket in native["bucket"] if bucket["bound"] < math.inf]
    check_equal(bounds, [], "classic buckets, where there are none")
    wanted = expected_native(values["llm_request_prompt_tokens"].values(), 3)[1]
    check_equal(native_buckets(native), wanted, "native buckets")
    check_equal(EXEMPLAR.findall(requests.decode()), [], "exemplars of requests")


def test_a_mistake_of_the_operator_is_named():
    with config_file("[*]\nbucket = 1\n") as path:
        status, out, err = run_to_end("--speed", "max", "--port", "0", "--seconds", "0", config=path)
        check_equal((status, out), (1, ""), "status and stdout")
        check(err.startswith("replay: config line 2: unknown key bucket"), err)


# ---- traces, good and broken ----


@contextlib.contextmanager
def trace_file(content):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "trace.csv")
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        yield path


def test_line_ends_column_order_and_further_columns_are_free():
    for content in (
        "TIMESTAMP,ContextTokens,GeneratedTokens\r\n2025-01-01 12:00:00.5,10,20\r\n",
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2025-01-01 12:00:00.5,10,20",
        "Extra,GeneratedTokens,ContextTokens,TIMESTAMP\r\nx,20,10,2025-01-01 12:00:00.5000000",
    ):
        with trace_file(content) as path:
            status, out, err = run_to_end("--trace", path, "--speed", "max", "--port", "0", "--seconds", "0")
            check_equal((status, err), (0, ""), f"status and stderr for {content!r}")
            check(" 1 requests, 10 + 20 tokens," in out, out)


HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
GOOD = "2025-01-01 12:00:00.0000000,10,20\n"

# (what is wrong, content, line, what the message says)
BROKEN = [
    ("empty file", "", 1, "the file is empty"),
    ("header only", HEADER, 2, "no request follows the header"),
    ("no header", GOOD, 1, "no column TIMESTAMP"),
    ("no column", "TIMESTAMP,ContextTokens\n", 1, "no column GeneratedTokens"),
    ("no prompt column", "TIMESTAMP,Context,GeneratedTokens\n", 1, "no column ContextTokens"),
    ("too few fields", HEADER + GOOD + "2025-01-01 12:00:01,10\n", 3, "2 fields where the header has 3"),
    ("too many fields", HEADER + "2025-01-01 12:00:01,10,20,30\n", 2, "4 fields where the header has 3"),
    ("empty line", HEADER + GOOD + "\n" + GOOD, 3, "1 fields where the header has 3"),
    ("not a number", HEADER + GOOD + GOOD.replace(",10,", ",ten,"), 3, 'ContextTokens is not a whole number: "ten"'),
    ("a fraction", HEADER + GOOD.replace(",20", ",2.5"), 2, 'GeneratedTokens is not a whole number: "2.5"'),
    ("nothing", HEADER + GOOD.replace(",10,", ",,"), 2, 'ContextTokens is not a whole number: ""'),
    ("a lone sign", HEADER + GOOD.replace(",10,", ",-,"), 2, 'ContextTokens is not a whole number: "-"'),
    ("an escape", HEADER + GOOD.replace("2025", "\x1b[2J"), 2, '"?[2J-01-01 '),
    ("a blank", HEADER + GOOD.replace(",10,", ", 10,"), 2, 'ContextTokens is not a whole number: " 10"'),
    ("negative", HEADER + GOOD * 3 + GOOD.replace(",20", ",-20"), 5, 'GeneratedTokens is negative: "-20"'),
    ("huge", HEADER + GOOD.replace(",10,", ",10000001,"), 2, "ContextTokens is above the limit"),
    ("beyond 64 bits", HEADER + GOOD.replace(",10,", "," + "9" * 30 + ","), 2, "ContextTokens is above the limit"),
    ("unsorted", HEADER + GOOD + GOOD.replace("12:00:00", "11:59:59"), 3, "is earlier than on the line before"),
    ("no timestamp", HEADER + GOOD.replace("2025-01-01 ", ""), 2, "TIMESTAMP does not look like"),
    ("a zone", HEADER + GOOD.replace(".0000000", ".0000000Z"), 2, "TIMESTAMP does not look like"),
    ("a lone point", HEADER + GOOD.replace(".0000000", "."), 2, "TIMESTAMP does not look like"),
    ("February 29", HEADER + GOOD.replace("01-01", "02-29"), 2, "TIMESTAMP does not look like"),
    ("month 13", HEADER + GOOD.replace("01-01", "13-01"), 2, "TIMESTAMP does not look like"),
    ("hour 24", HEADER + GOOD.replace("12:00", "24:00"), 2, "TIMESTAMP does not look like"),
    ("year 1969", HEADER + GOOD.replace("2025", "1969"), 2, "TIMESTAMP does not look like"),
    ("a NUL byte", (HEADER + GOOD).encode() + b"2025-01-01 12:00:00,1\0,2\n", 3, "a NUL byte"),
    ("a long line", HEADER + GOOD + "x" * 1025 + "\n", 3, "longer than 1024 bytes"),
    ("many fields", HEADER + GOOD + "," * 100 + "\n", 3, "more than 32 fields"),
]


def test_a_broken_trace_is_refused_with_its_line():
    for what, content, line, message in BROKEN:
        with trace_file(content) as path:
            status, out, err = run_to_end("--trace", path, "--speed", "max", "--port", "0", "--seconds", "0")
            check_equal((status, out), (1, ""), f"{what}: status and stdout")
            check(err.startswith(f"replay: {path}:{line}: ") and message in err, what, ":", err)
            check_equal(err.count("\n"), 1, f"{what}: lines of the error")


def test_an_unreadable_trace_is_named():
    with tempfile.TemporaryDirectory() as folder:
        for path, message in ((folder + "/none.csv", "No such file"), (folder, "Is a directory")):
            status, out, err = run_to_end("--trace", path)
            check_equal((status, out), (1, ""), path)
            check(err.startswith(f"replay: cannot read {path}: {message}"), err)


# ---- HTTP ----


def test_get_streams_the_page_in_chunks():
    with Replay("--speed", "max", "--seconds", "30") as replay:
        reply, body = replay.request("GET", "/metrics")
        check_equal(reply.status, 200, "status")
        check_equal(reply.getheader("Content-Type"), "text/plain; version=0.0.4; charset=utf-8", "Content-Type")
        check_equal(reply.getheader("Connection"), "close", "Connection")
        check_equal(reply.getheader("Transfer-Encoding"), "chunked", "Transfer-Encoding")
        check(reply.getheader("Content-Length") is None, "a chunked reply has no Content-Length")
        check(b"# TYPE llm_requests_total counter\n" in body, body[:300])


def test_http_1_0_gets_the_page_up_to_the_end_of_the_connection():
    with Replay("--speed", "max", "--seconds", "30") as replay:
        head, body = replay.raw(b"GET /metrics HTTP/1.0\r\n\r\n").split(b"\r\n\r\n", 1)
        check(head.startswith(b"HTTP/1.1 200 OK\r\n") and b"chunked" not in head, head)
        check(body.startswith(b"# HELP ") and body.endswith(b"\n"), body[:100])
        parse_page(body.decode())


def test_head_has_the_headers_of_get_and_no_body():
    with Replay("--speed", "max", "--seconds", "30") as replay:
        got = replay.raw(b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        check(got.startswith(b"HTTP/1.1 200 OK\r\n") and got.endswith(b"\r\n\r\n"), got)
        check(b"Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n" in got, got)
        got = replay.raw(b"HEAD /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
        check(got.startswith(b"HTTP/1.1 404 ") and got.endswith(b"\r\n\r\n"), got)


def test_other_paths_and_methods_are_refused():
    with Replay("--speed", "max", "--seconds", "30") as replay:
        for method, path, status in (("GET", "/", 404), ("GET", "/metrics/", 404), ("GET", "/Metrics", 404),
                                     ("POST", "/nothing", 404), ("DELETE", "/metrics", 405)):
            reply, body = replay.request(method, path)
            check_equal(reply.status, status, f"{method} {path}")
            check_equal(reply.getheader("Content-Length"), str(len(body)), "Content-Length")
        reply, _ = replay.request("POST", "/metrics", body=b"x" * 200000)  # more than the server ever reads at once
        check_equal((reply.status, reply.getheader("Allow")), (405, "GET, HEAD"), "POST /metrics")


def test_the_target_may_be_absolute_or_have_a_query():
    with Replay("--speed", "max", "--seconds", "30") as replay:
        for target in (b"/metrics?name[]=x", b"http://127.0.0.1:1/metrics"):
            got = replay.raw(b"\r\nGET " + target + b" HTTP/1.1\nhOST:\n\n")
            check(got.startswith(b"HTTP/1.1 200 OK\r\n"), target, got[:100])


def test_malformed_requests_are_refused():
    host = b"Host: x\r\n"
    for data, status in (
        (b"nonsense\r\n\r\n", 400),
        (b"GET /metrics\r\n\r\n", 400),
        (b"GET  /metrics HTTP/1.1\r\n" + host + b"\r\n", 400),
        (b"G@T /metrics HTTP/1.1\r\n" + host + b"\r\n", 400),
        (b"GET /metrics HTTP/1.1 \r\n" + host + b"\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\n" + host + host + b"\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\n" + host + b"no colon\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\n" + host + b"Space : x\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\n" + host + b" folded\r\n\r\n", 400),
        (b"GET /metrics\0 HTTP/1.1\r\n" + host + b"\r\n", 400),
        (b"GET /metrics HTTP/2.0\r\n" + host + b"\r\n", 505),
        (b"GET /metrics HTTP/1.1\r\n" + host + b"Big: " + b"x" * 20000 + b"\r\n\r\n", 431),
    ):
        with Replay("--speed", "max", "--seconds", "30") as replay:
            got = replay.raw(data)
            check(got.startswith(b"HTTP/1.1 %d " % status), data[:60], "->", got[:60])
            check_equal(replay.page()['replay_http_replies_total{code="%d"}' % status], "1", "replies counted")


def test_a_request_cut_short_is_refused_and_an_empty_one_ignored():
    with Replay("--speed", "max", "--seconds", "30") as replay:
        check(replay.raw(b"GET /metrics HTTP/1.1\r\nHo", end=True).startswith(b"HTTP/1.1 400 "), "cut short")
        check_equal(replay.raw(b"", end=True), b"", "nothing sent")


def test_silent_clients_do_not_keep_others_from_the_page():
    with Replay("--speed", "max", "--seconds", "60") as replay, contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(("127.0.0.1", replay.port))) for _ in range(3)]
        silent[1].sendall(b"GET /met")
        check("llm_requests_total" in replay.page(), "the page, while three clients say nothing")
        for client in silent:
            client.settimeout(PATIENCE_S)
            check(read_all(client).startswith(b"HTTP/1.1 408 "), "what a silent client is told")


def test_scrapes_are_counted():
    with Replay("--speed", "max", "--seconds", "30") as replay:
        replay.wait_for_end_of_trace()
        replay.page()
        replay.request("HEAD", "/metrics")
        page = replay.page()
        check_equal(page["replay_scrapes_total"], "1", "pages sent, before this one")
        check_equal(page['replay_http_replies_total{code="200"}'], "2", "replies, before this one")


# ---- ports, options, ends ----


def test_a_port_in_use_is_named():
    with Replay("--speed", "max", "--seconds", "30") as replay:
        status, out, err = run_to_end("--speed", "max", "--port", str(replay.port), "--seconds", "0")
        check_equal((status, out), (1, ""), "status and stdout")
        check(err.startswith(f"replay: cannot listen on 127.0.0.1:{replay.port}: Address already in use"), err)


def test_a_port_can_be_taken_again_at_once():
    with Replay("--speed", "max", "--seconds", "30") as replay:
        port = replay.port
        replay.page()
        replay.signal_and_wait(signal.SIGTERM)
    with Replay("--speed", "max", "--seconds", "30", port=port) as again:
        check_equal(again.port, port, "port")


def test_bad_options_are_refused_with_a_sentence():
    for args, message in (
        (["--speed", "0"], "--speed takes a number"),
        (["--speed", "nan"], "--speed takes a number"),
        (["--speed", "inf"], "--speed takes a number"),
        (["--speed", "fast"], "--speed takes a number"),
        (["--port", "65536"], "--port takes a whole number from 0 to 65535"),
        (["--port", ""], "--port takes a whole number"),
        (["--seconds", "-1"], "--seconds takes a whole number"),
        (["--seconds", "1e3"], "--seconds takes a whole number"),
        (["--threads=0"], "--threads takes a whole number from 1"),
        (["--threads"], "--threads needs a value"),
        (["--trac", "x"], 'unknown option "--trac"'),
        (["trace.csv"], 'unknown option "trace.csv"'),
    ):
        status, out, err = run_to_end(*args)
        check_equal((status, out), (2, ""), f"{args}: status and stdout")
        check(message in err, args, err)


def test_help_states_the_rates():
    status, out, _ = run_to_end("--help")
    check_equal(status, 0, "status")
    for text in ("--trace", "--speed", "--port", "--seconds", "--threads", "--bomb", "KYMO_CONFIG", f"{PREFILL} tokens/s",
                 f"{DECODE} tokens/s"):
        check(text in out, text, "is not in", out)


def test_without_seconds_it_serves_until_a_signal():
    for number in (signal.SIGINT, signal.SIGTERM):
        with Replay("--speed", "max") as replay:
            replay.wait_for_line("serving until Ctrl-C")
            check("llm_requests_total" in replay.page(), "the page after the trace")
            check(replay.signal_and_wait(number).endswith("replay: stopped\n"), "last line")


def test_a_signal_ends_a_replay_that_would_take_hours():
    with Replay("--speed", "0.001") as replay:
        check(replay.page()["llm_requests_total"] == "0", "nothing can have finished yet")
        check("interrupted" in replay.signal_and_wait(signal.SIGTERM), "what it says")


def test_a_signal_ends_a_replay_that_would_take_ages():
    with trace_file(HEADER + "1970-01-01 00:00:00,1,1\n2099-12-31 23:59:59,10000000,10000000\n") as path:
        with Replay("--trace", path, "--speed", "0.001") as replay:
            check("interrupted" in replay.signal_and_wait(signal.SIGINT), "what it says")


def test_a_silent_client_does_not_delay_the_end():
    with Replay("--speed", "max") as replay, socket.create_connection(("127.0.0.1", replay.port)):
        replay.wait_for_end_of_trace()
        replay.signal_and_wait(signal.SIGTERM)


def test_it_ends_by_itself_after_the_seconds_given():
    status, out, err = run_to_end("--speed", "max", "--port", "0", "--seconds", "0")
    check_equal((status, err), (0, ""), "status and stderr")
    check(out.endswith("replay: stopped\n"), out)


def test_a_terminal_sees_a_live_line():
    try:
        master, slave = pty.openpty()
    except OSError as error:
        raise Skip(f"no terminal to be had: {error}") from error
    with subprocess.Popen([REPLAY, "--port", "0"], stdout=slave, stderr=slave) as process:
        os.close(slave)
        try:
            seen = b""
            while not re.search(rb"\r\x1b\[K[0-9]+ requests, ", seen):
                check(select.select([master], [], [], PATIENCE_S)[0], "no live line in", seen)
                seen += os.read(master, 4096)
        finally:
            process.terminate()
    os.close(master)
    check_equal(process.returncode, 0, "exit status")


# ---- the bomb ----

# What bomb.c sends: of four requests one is honest, one has a model that is unknown, two a tenant that is.
BOMB_REQUESTS = 400000
HONEST = ("ash", "birch", "cedar", "elm", "fir", "larch", "oak", "pine")
HONEST_TOKENS, UNKNOWN_TOKENS = {"prompt": 400, "completion": 150}, {"prompt": 3, "completion": 1}
# family: (limit, what was sent)
BOMBED = {
    "llm_requests_rejected_total": (50, BOMB_REQUESTS // 4),
    "llm_tenant_requests_total": (20, BOMB_REQUESTS * 3 // 4),
    "llm_tenant_tokens_total": (40, BOMB_REQUESTS // 4 * sum(HONEST_TOKENS.values())
                                + BOMB_REQUESTS // 2 * sum(UNKNOWN_TOKENS.values())),
}


def said_of_the_bomb(lines):
    return [line.removeprefix("replay: bomb: ") for line in lines if line.startswith("replay: bomb: ")]


def numbers_of(said, begin):
    """The numbers of the first line that begins so."""
    line = next((line for line in said if line.startswith(begin)), None)
    check(line is not None, "no line", begin, "in", said)
    return [int(n) for n in re.findall(r"(?<![\w.])\d+(?![\w.])", line[len(begin):])]


def series_of(page, family):
    return {series: float(value) for series, value in page.items() if series.startswith(family + "{")}


def check_bombed_family(page, said, family):
    limit, sent = BOMBED[family]
    series = series_of(page, family)
    check_equal(sum(series.values()), sent, f"sum of {family}")
    # Of the heaviest, as many as have just left still stand there.
    check(len(series) <= (2 * limit if "tenant" in family else limit) + 1, family, "has", len(series), "series")
    own = {"kymo_series": len(series) - 1, "kymo_series_limit": limit}
    check_equal({name: int(page[f'{name}{{family="{family}"}}']) for name in own}, own, "what the page says")
    rest = sum(value for name, value in series.items() if '="__other__"' in name)
    about = said[said.index(family) + 1:]
    check_equal(numbers_of(about, "  kymo_series ")[:2], [*own.values()], "what it said")
    check_equal(numbers_of(about, "  sent "), [sent, sent, rest], "sent, on the page, and as __other__")
    check(0 < rest < sent, family, "has", rest, "of", sent, "as __other__")


def test_what_is_dropped_is_counted_and_its_label_is_named():
    with Replay("--bomb", "--speed", "max", "--seconds", "60") as replay:
        replay.wait_for_end_of_trace()
        page = replay.page()
    said = said_of_the_bomb(replay.lines)
    family, n_models = "llm_requests_rejected_total", BOMB_REQUESTS // 4
    dropped = n_models - BOMBED[family][0]  # each model is asked for once
    check_equal(numbers_of(said, "  kymo_series ")[2], dropped, "dropped, as it said")
    check_equal(page[f'kymo_series_dropped_total{{family="{family}"}}'], str(dropped), "dropped, on the page")
    estimate, = numbers_of(said, "  kymo_label_distinct_values of model:")
    check(abs(estimate / n_models - 1) < 0.05, "models are estimated at", estimate, "not", n_models)
    check_equal(page[f'kymo_label_distinct_values{{family="{family}",label="model"}}'], str(estimate), "on the page")
    check_equal([line for line in said if line.endswith("  <- the culprit")],
                [f"  kymo_label_distinct_values of model: {estimate}  <- the culprit"], "the culprits")


def test_a_bomb_of_labels_leaves_page_and_memory_their_size():
    with Replay("--bomb", "--speed", "max", "--seconds", "60") as replay:
        replay.wait_for_end_of_trace()
        page = replay.page()
    said = said_of_the_bomb(replay.lines)
    check_page(page, read_trace(SMALL))
    check_equal(numbers_of(said, ""), [BOMB_REQUESTS, BOMB_REQUESTS * 3 // 4], "requests, and invented values")
    for family in BOMBED:
        check_bombed_family(page, said, family)
    for what in ("page", "registry"):
        before, early, after = numbers_of(said, f"bytes of the {what}: ")
        check(0 < before < early and after < early * 1.03, what, "had", before, early, after, "bytes")


def test_honest_tenants_keep_their_series_under_the_bomb():
    with Replay("--bomb", "--speed", "max", "--seconds", "60") as replay:
        replay.wait_for_end_of_trace()
        series = series_of(replay.page(), "llm_tenant_tokens_total")
    for tenant in HONEST:
        for kind, tokens in HONEST_TOKENS.items():
            name = f'llm_tenant_tokens_total{{tenant="{tenant}",model="chat",type="{kind}"}}'
            sent = BOMB_REQUESTS // 4 // len(HONEST) * tokens
            check(0.8 * sent < series.get(name, 0) <= sent, name, "is", series.get(name), "of", sent)


def test_the_bomb_is_told_of_before_a_long_trace_has_ended():
    with Replay("--bomb", "--speed", "1") as replay:
        replay.wait_for_line("llm_tenant_tokens_total")
        sent, shown, _ = numbers_of(said_of_the_bomb([replay.wait_for_line("  sent ")]), "  sent ")
        check_equal(shown, sent, "on the page")
        check("interrupted" in replay.signal_and_wait(signal.SIGTERM), "what it says then")


def test_a_signal_ends_the_bomb():
    with Replay("--bomb", "--speed", "0.001") as replay:
        out = replay.signal_and_wait(signal.SIGTERM)
        check("interrupted" in out and out.count(" sent ") == len(BOMBED), out)


# ---- the runner ----


def main():
    global REPLAY
    if len(sys.argv) != 2:
        print("usage: test_replay.py REPLAY", file=sys.stderr)
        return 1
    REPLAY = os.path.abspath(sys.argv[1])
    counts = {"ok": 0, "SKIP": 0, "FAIL": 0}
    for name, test in [(n, t) for n, t in globals().items() if n.startswith("test_")]:
        try:
            test()
            result, why = "ok", ""
        except Skip as skip:
            result, why = "SKIP", f": {skip}"
        except Exception as error:  # whatever a page makes a test stumble over is a failure of that test alone
            result, why = "FAIL", f": {type(error).__name__}: {error}"
        counts[result] += 1
        print(f"{result}{': ' if result == 'SKIP' else ' '}{name}{why}", flush=True)
    if counts["FAIL"]:
        return 1
    return 0 if counts["ok"] else 77


if __name__ == "__main__":
    sys.exit(main())
