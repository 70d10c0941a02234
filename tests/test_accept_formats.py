#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_accept_formats.py MAJOR - real servers take every kind and shape in every format, and store what was recorded.

formats_host holds one registry with everything in it and answers in whatever format it is asked for. A server scrapes
it once for each way of asking: each scrape protocol, compressed or not, names in quotes or escaped, native histograms
with classic ones and without, start times in OpenMetrics. Then the server is asked for all that it stored of one
scrape, at that scrape's own time: each sample, each native histogram bucket by bucket, exemplars, start times, types,
help, units. That must be what formats.py makes of the host's account, which no encoder had a part in, and no series
more; what histograms observed is counted again by the bounds that the server says; what two formats stored must be the
same. promtool reads the text.

Nothing is timed: the lines that formats_host prints when it was scraped are the clock; a wait has an end.
Exit: 0, 1, or 77 if there is no such server here (servers.py says where one may come from).
"""

import collections
import contextlib
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(os.environ["KYMO_SOURCE_ROOT"])
sys.path.insert(0, str(ROOT / "tests" / "accept"))

import samples  # noqa: E402
import servers  # noqa: E402
from compare import Got, Job, check_one, compare_formats, get_account, milliseconds  # noqa: E402
from formats import OPENMETRICS, PROTOBUF, TEXT, Exemplar, Native, Rules  # noqa: E402
from running import OF_THE_SERVER, Running, without_target  # noqa: E402
from samples import check, short  # noqa: E402

SCRAPES = 400  # as many may pass, over all jobs, before a good one of each job is found in the server
RANGE_S = 3600  # series began less than this before now
TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version={}; charset=utf-8"
PROTOBUF_TYPE = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"


# Servers up to 3.5 at least undo the escaping of label values and names, but not everywhere.
AS_IT_STANDS = {"raw_exemplars": True, "raw_names": True}


def openmetrics(name, scheme, *settings, version="1.0.0", escaping=True, **more):
    said = f"; escaping={scheme}" if escaping else ""
    return Job(name, Rules(OPENMETRICS, scheme, **AS_IT_STANDS), OPENMETRICS_TYPE.format(version) + said, slack_ms=1,
               settings=settings, **more)


FEATURES = {2: ("native-histograms", "exemplar-storage"),
            3: ("native-histograms", "exemplar-storage", "created-timestamp-zero-ingestion")}
OLD = Rules(PROTOBUF, bucket_exemplars=True, units=False)


def jobs_of(major):
    """[(features, jobs)]: a server for each."""
    if major == 2:
        # What it asks for is decided by its flags alone; the other formats it takes from pages that have no other.
        return [
            (FEATURES[2], [
                Job("protobuf", OLD, PROTOBUF_TYPE),
                Job("text", Rules(TEXT), TEXT_TYPE, what="text"),
                openmetrics("openmetrics0", "underscores", version="0.0.1", escaping=False, what="openmetrics0"),
            ]),
            (("exemplar-storage",), [openmetrics("openmetrics1", "underscores", escaping=False)]),
        ]
    utf8 = "allow-utf-8"
    only = "scrape_protocols: [{}]".format
    return [(FEATURES[3], [
        Job("protobuf", Rules(PROTOBUF), PROTOBUF_TYPE, starts=True),
        Job("protobuf_both", Rules(PROTOBUF, classics=True), PROTOBUF_TYPE, starts=True, coding="identity",
            settings=(only("PrometheusProto"), "always_scrape_classic_histograms: true", "enable_compression: false")),
        Job("text0", Rules(TEXT), TEXT_TYPE, settings=(only("PrometheusText0.0.4"),)),
        Job("text1", Rules(TEXT, utf8, **AS_IT_STANDS), TEXT_TYPE + "; escaping=allow-utf-8",
            settings=(only("PrometheusText1.0.0"),)),
        openmetrics("openmetrics0", "underscores", only("OpenMetricsText0.0.1"), version="0.0.1", escaping=False),
        openmetrics("openmetrics1", utf8, only("OpenMetricsText1.0.0")),
        openmetrics("created", utf8, only("OpenMetricsText1.0.0"), what="created", starts=True),
        openmetrics("dots", "dots", only("OpenMetricsText1.0.0"), "metric_name_escaping_scheme: dots"),
        openmetrics("values", "values", only("OpenMetricsText1.0.0"), "metric_name_escaping_scheme: values"),
    ])]


def config(server, jobs, port):
    # What the flag native-histograms does before.
    natives = ", scrape_native_histograms: true" if server.version >= (3, 8) else ""
    lines = [f"global: {{scrape_interval: 3s, scrape_timeout: 3s{natives}}}", "scrape_configs:"]
    for job in jobs:
        lines += [f"  - job_name: {job.name}", f"    metrics_path: /{job.name}/{job.what}",
                  f"    static_configs: [{{targets: ['127.0.0.1:{port}']}}]", *(f"    {s}" for s in job.settings)]
    return "\n".join(lines) + "\n"


# ---- what a server stored ----


class Asking:
    """Fills a Got with a server's answers: of the scrape at `moment`, and what lies before it."""

    def __init__(self, running, job, moment):
        self.running, self.job, self.moment = running, job, moment
        self.now_ms = milliseconds(moment)
        self.got = Got(job)
        self.stored = self.got.stored
        rows = running.ask("/api/v1/query", query=f'{{job="{job.name}"}}[{RANGE_S}s]', time=moment)["result"]
        rows.sort(key=lambda row: row["metric"]["__name__"] != "up")  # whose times are those of the scrapes
        for row in rows:
            self.series(row)
        self.stored.families = running.metadata(job.name)
        self.exemplars()

    def series(self, row):
        key = samples.key(*without_target(row["metric"]))
        times = {milliseconds(t): v for t, v in row.get("values", ())}
        natives = {milliseconds(t): Native.stored(v) for t, v in row.get("histograms", ())}
        check(not set(times) & set(natives), "a series has two values at one time:", short(key))
        if key[0] == "up":
            self.got.scrapes = set(times)
        if key[0] in OF_THE_SERVER:
            self.got.about[key[0]] = float(times[self.now_ms])
            return
        self.value(key, times.pop(self.now_ms, None), natives.pop(self.now_ms, None))
        self.start(key, {t: {**times, **natives}[t] for t in {*times, *natives} - self.got.scrapes})

    def value(self, key, number, native):
        check((number is None) != (native is None), "not in the scrape:", short(key))
        into = self.stored.samples if native is None else self.stored.natives
        check(key not in into, "the server answers a series twice:", short(key))
        into[key] = float(number) if native is None else native

    def start(self, key, others):
        """What was not scraped can only be a zero where the series began."""
        check(len(others) <= 1, "a series begins more than once:", short(key), others)
        for when, value in others.items():
            if isinstance(value, Native):
                zero = not value.buckets and value.count == value.sum == 0
            else:
                zero = float(value) == 0
            check(zero, "a series does not begin at 0:", short(key), value)
            self.stored.starts[key] = when

    def exemplars(self):
        now = float(self.moment)
        rows = self.running.ask("/api/v1/query_exemplars", query=f'{{job="{self.job.name}"}}', start=now - RANGE_S,
                                end=now + RANGE_S)
        for row in rows:
            key = samples.key(*without_target(row["seriesLabels"]))
            check(key not in self.stored.exemplars, "exemplars of a series come twice:", short(key))
            self.stored.exemplars[key] = [
                Exemplar(tuple(sorted(e["labels"].items())), float(e["value"]), milliseconds(e["timestamp"]))
                for e in row["exemplars"]]


# ---- one server ----


def wait_for_scrapes(running, host, jobs):
    """{job's name: the time of a good scrape}, and how each was answered."""
    moments, answers = {}, {}
    for _ in range(SCRAPES):
        name, coding, content_type = host.wait_for(r"^scrape (\S+) (\S+) (.*)$", [running.process]).groups()
        answers[name] = (coding, content_type)
        if len(answers) < len(jobs):
            continue
        for job in jobs:
            if job.name not in moments:
                moments[job.name] = running.last_scrape(job.name, 0)
        moments = {name: moment for name, moment in moments.items() if moment}
        if len(moments) == len(jobs):
            return moments, answers
    raise AssertionError(f"no good scrape of each job in {SCRAPES}: {running.ask('/api/v1/targets')}")


def check_metadata(running, gots):
    """The server's index of all families has exactly what its targets said."""
    said = running.ask("/api/v1/metadata")
    want = collections.defaultdict(set)
    for got in gots:
        for name, about in got.stored.families.items():
            want[name].add(about)
    have = {name: {(r["type"], r["help"], r["unit"]) for r in rows} for name, rows in said.items()}
    check(have == dict(want), "the server's metadata is not that of its targets")


def check_answers(jobs, answers, can_gzip):
    for job in jobs:
        want = (job.coding if can_gzip else "identity", job.content_type)
        check(answers[job.name] == want, job.name, "was answered with", answers[job.name], "not", want)


def check_log(running):
    """Nothing to complain of."""
    found = [line for line in running.log().splitlines()
             if re.search(r"level=(warn|error)", line, re.IGNORECASE) and "scrape" in line]
    check(not found, "the server complains:", *found[:3])


def compare_server(server, features, jobs):
    with contextlib.ExitStack() as stack:
        host = stack.enter_context(samples.Program(samples.FORMATS_HOST, "--seconds", "300"))
        port = int(host.wait_for(r"^port (\d+)$").group(1))
        account = get_account(port)
        running = stack.enter_context(Running(server, config(server, jobs, port), features))
        moments, answers = wait_for_scrapes(running, host, jobs)
        check_answers(jobs, answers, account["gzip"])
        gots = [Asking(running, job, moments[job.name]).got for job in jobs]
        for got in gots:
            check_one(account, got)
        compared = compare_formats(gots)
        check_metadata(running, gots)
        running.check_nothing_was_dropped()
        check_log(running)
    print(f"Prometheus {server.number} with {', '.join(features)}: {len(jobs)} ways of asking, {compared} pairs of "
          f"values compared among them; compressed: {'yes' if account['gzip'] else 'no, built without zlib'}")


def check_promtool(server):
    """2.42 and 3.x have parsers of different ages; neither of their promtools takes names in quotes."""
    if server.promtool is None:
        print(f"there is no promtool beside Prometheus {server.number}")
        return
    page = subprocess.run([samples.FORMATS_HOST, "--page", TEXT_TYPE], check=True, capture_output=True).stdout
    parses, lint = server.lint(page)
    check(parses, "promtool refuses the page:", lint)
    torn = page.replace(b'le="0.5"} ', b'le="0.5} ', 1)
    check(torn != page and not server.lint(torn)[0], "promtool took a broken page")
    print(f"promtool {server.number} parsed {len(page)} bytes; its linter has {len(lint)} remarks")
    for line in lint:
        print(f"    {line}")


def main():
    major = int(sys.argv[1])
    try:
        server = servers.find(major)
    except servers.Unavailable as why:
        print(f"SKIP: {why}")
        return 77
    for features, jobs in jobs_of(major):
        compare_server(server, features, jobs)
    check_promtool(server)
    return 0


if __name__ == "__main__":
    sys.exit(main())
