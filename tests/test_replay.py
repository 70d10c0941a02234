#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_replay.py REPLAY - the demonstration program, from outside: totals, latencies, HTTP, errors, ends.

What must hold: the page of a replayed trace reads exactly what the trace says, whatever the speed and the number of
threads. Totals come from the CSV, latencies from a second writing, here, of the simulated server that plan.h states.
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
import os
import pathlib
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "replay"
SMALL = EXAMPLE / "trace-small.csv"
SHARED = pathlib.Path(os.environ.get("KYMO_SHARED", ROOT.parent / "shared")) / "data"
PATIENCE_S = 60

SLOTS, PREFILL, DECODE = 64, 12000, 60
NS = 10**9

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

    def __init__(self, *args, port=0):
        command = [REPLAY, "--port", str(port), *args]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
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

    def page(self):
        reply, body = self.request("GET", "/metrics")
        check_equal(reply.status, 200, "status")
        return parse_page(body.decode())


def read_all(s):
    data = b""
    while True:
        piece = s.recv(65536)
        if not piece:
            return data
        data += piece


def run_to_end(*args):
    """Runs the program to its own end and returns (exit status, stdout, stderr)."""
    done = subprocess.run([REPLAY, *args], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
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
    """What each histogram must have seen."""
    seen = {name: [] for name in ("llm_request_queue_seconds", "llm_time_to_first_token_seconds",
                                  "llm_time_per_output_token_seconds", "llm_request_duration_seconds")}
    for (_, _, completion), (arrive, start, first, end) in zip(rows, serve(rows)):
        seen["llm_request_queue_seconds"].append((start - arrive) / 1e9)
        seen["llm_request_duration_seconds"].append((end - arrive) / 1e9)
        if completion > 0:
            seen["llm_time_to_first_token_seconds"].append((first - arrive) / 1e9)
        if completion > 1:
            seen["llm_time_per_output_token_seconds"].append((end - first) / 1e9 / (completion - 1))
    seen["llm_request_prompt_tokens"] = [float(row[1]) for row in rows]
    seen["llm_request_completion_tokens"] = [float(row[2]) for row in rows]
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
        check_histogram(page, name, values)
    refused = {s: v for s, v in page.items() if s.startswith("kymo_refused_total") and v != "0"}
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
    for text in ("--trace", "--speed", "--port", "--seconds", "--threads", f"{PREFILL} tokens/s", f"{DECODE} tokens/s"):
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
        except (AssertionError, OSError, KeyError, ValueError, http.client.HTTPException,
                subprocess.SubprocessError) as error:
            result, why = "FAIL", f": {type(error).__name__}: {error}"
        counts[result] += 1
        print(f"{result}{': ' if result == 'SKIP' else ' '}{name}{why}", flush=True)
    if counts["FAIL"]:
        return 1
    return 0 if counts["ok"] else 77


if __name__ == "__main__":
    sys.exit(main())
