#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_accept_formats.py MAJOR - real servers take every kind and shape in every format, and store what was recorded.

formats_host holds one registry with everything in it and answers in whatever format it is asked for. A server scrapes
it once for each way of asking: each scrape protocol, compressed or not, names in quotes or escaped, native histograms
with classic ones and without, start times in OpenMetrics. Then the server is asked for all that it stored of one
scrape, at that scrape's own time: each sample, each native histogram bucket by bucket, exemplars, start times, types,
help, units. That must be what formats.py makes of the host's account, which no encoder had a part in, and no series
more; what histograms observed is counted again by the bounds that the server says; what two formats stored must be the
same. promtool reads the text. With `client` for MAJOR, the parsers of python3-prometheus-client read the pages of lines
instead of a server, and must find the same.

Nothing is timed: the lines that formats_host prints when it was scraped are the clock; a wait has an end.
Exit: 0, 1, or 77 if there is no such server here (servers.py says where one may come from).
"""

import collections
import contextlib
import dataclasses
import json
import math
import os
import pathlib
import re
import struct
import subprocess
import sys

ROOT = pathlib.Path(os.environ["KYMO_SOURCE_ROOT"])
sys.path.insert(0, str(ROOT / "tests" / "accept"))

import samples  # noqa: E402
import servers  # noqa: E402
from formats import COUNTING, OPENMETRICS, PROTOBUF, TEXT, Exemplar, Native, Reading, Rules, Stored  # noqa: E402
from running import OF_THE_SERVER, Running, without_target  # noqa: E402
from samples import check, short  # noqa: E402

PREFIX = "host_"
SCRAPES = 400  # as many may pass, over all jobs, before a good one of each job is found in the server
RANGE_S = 3600  # series began less than this before now
TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version={}; charset=utf-8"
PROTOBUF_TYPE = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"


@dataclasses.dataclass
class Job:
    """One way of asking."""

    name: str
    rules: Rules
    content_type: str
    what: str = "metrics"  # of formats_host's pages
    settings: tuple = ()  # lines of its scrape_config
    coding: str = "gzip"
    starts: bool = False  # the server stores when series began
    slack_ms: int = 0  # times go through a double of seconds


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


def config(jobs, port):
    lines = ["global: {scrape_interval: 3s, scrape_timeout: 3s}", "scrape_configs:"]
    for job in jobs:
        lines += [f"  - job_name: {job.name}", f"    metrics_path: /{job.name}/{job.what}",
                  f"    static_configs: [{{targets: ['127.0.0.1:{port}']}}]", *(f"    {s}" for s in job.settings)]
    return "\n".join(lines) + "\n"


# ---- what a server stored ----


def milliseconds(seconds):
    return round(float(seconds) * 1000)


@dataclasses.dataclass
class Got:
    """All that a reader has of one job."""

    job: Job
    stored: Stored = dataclasses.field(default_factory=Stored)
    about: dict = dataclasses.field(default_factory=dict)  # what the server says of the scrape
    scrapes: set = dataclasses.field(default_factory=set)  # when it scraped, in milliseconds


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


# ---- the comparison ----


def differences_of_natives(expected, got):
    wrong = [f"native histogram missing: {short(k)}" for k in expected if k not in got]
    wrong += [f"unexpected native histogram: {short(k)}" for k in got if k not in expected]
    for key in set(expected) & set(got):
        said = expected[key].differs(got[key])
        wrong += [f"{short(key)} has {said}"] if said else []
    return wrong


def differences_of_starts(job, expected, got):
    if not job.starts:
        return [f"a start that nobody told: {short(k)}" for k in got]
    wrong = [f"start missing: {short(k)}" for k in expected if k not in got]
    wrong += [f"unexpected start: {short(k)}" for k in got if k not in expected]
    return wrong + [f"{short(k)} began at {got[k]}, not {t}" for k, t in expected.items()
                    if k in got and abs(got[k] - t) > job.slack_ms]


def same_exemplar(job, scrapes, want, have):
    if want.labels != have.labels or not samples.same(want.value, have.value):
        return False
    return have.time_ms in scrapes if want.time_ms is None else abs(want.time_ms - have.time_ms) <= job.slack_ms


def differences_of_exemplars(job, scrapes, expected, got):
    wrong = [f"exemplar of nobody: {short(k)}" for k in got if k not in expected]
    for key, exemplars in expected.items():
        # A server keeps those of one series by time.
        want, have = sorted(exemplars, key=lambda e: e.time_ms or 0), got.get(key, [])
        if len(want) != len(have) or not all(same_exemplar(job, scrapes, w, h) for w, h in zip(want, have)):
            wrong.append(f"{short(key)} has exemplars {have}, not {want}")
    return wrong


def untouched(expected, got):
    """The library's own families move from scrape to scrape: they must be there, and nothing refused."""
    return {k: got.get(k, v) if k[0].startswith(samples.OWN) and k[0] != "kymo_refused_total" else v
            for k, v in expected.items()}


def differences(job, expected, got):
    wrong = samples.compare(untouched(expected.samples, got.stored.samples), got.stored.samples)
    wrong += samples.compare_families(expected.families, got.stored.families)
    wrong += differences_of_natives(expected.natives, got.stored.natives)
    wrong += differences_of_starts(job, expected.starts, got.stored.starts)
    wrong += differences_of_exemplars(job, got.scrapes, expected.exemplars, got.stored.exemplars)
    return [f"{job.name}: {sentence}" for sentence in wrong]


# ---- what was observed, counted again ----


def values_of(account):
    return {PREFIX + o["name"]: [float(v) for v in o["values"]] for o in account["observed"]}


def check_observations(stored, observed):
    """Counts observed values by the bounds that a server says; how many buckets were counted."""
    counted = 0
    for (name, labels), native in stored.natives.items():
        if name in observed:
            check(native.counts_of(observed[name]) == [n for *_, n in native.buckets], "miscounted:", name, native)
            check(native.count == len(observed[name]) == sum(n for *_, n in native.buckets), "lost:", name, native)
            counted += len(native.buckets)
    for (name, labels), n in stored.samples.items():
        values = observed.get(name[:-len("_bucket")]) if name.endswith("_bucket") else None
        if values is not None:
            le = float(dict(labels)["le"])
            check(n == sum(v <= le for v in values), "miscounted:", name, le, n)
            counted += 1
        values = observed.get(name[:-len("_sum")]) if name.endswith("_sum") else None
        if values is not None:
            check(math.isclose(n, math.fsum(v for v in values if math.isfinite(v)), rel_tol=1e-12, abs_tol=1e-12),
                  "a wrong sum:", name, n)
    return counted


def check_traces(stored):
    """An exemplar's trace_id says which value it belongs to; how many do."""
    told = 0
    for exemplars in stored.exemplars.values():
        for e in exemplars:
            trace = dict(e.labels).get("trace_id", "")
            if re.fullmatch("[0-9a-f]{16}", trace):
                check(struct.unpack(">d", bytes.fromhex(trace))[0] == e.value, "an exemplar of another value:", e)
                told += 1
    return told


# ---- the formats among each other ----


def compare_formats(gots):
    """Whatever two of them have under one name is the same; how many pairs of values were compared."""
    compared = 0
    for i, one in enumerate(gots):
        for other in gots[:i]:
            common = [k for k in one.stored.samples if k in other.stored.samples and not k[0].startswith(samples.OWN)]
            for key in common:
                check(samples.same(one.stored.samples[key], other.stored.samples[key]), "not the same in",
                      one.job.name, "and", other.job.name, short(key))
            natives = [k for k in one.stored.natives if k in other.stored.natives]
            for key in natives:
                said = one.stored.natives[key].differs(other.stored.natives[key])
                check(not said, "not the same in", one.job.name, "and", other.job.name, short(key), said)
            compared += len(common) + len(natives)
    check(compared or len(gots) == 1, "no two formats had anything in common")
    return compared


def check_metadata(running, gots):
    """The server's index of all families has exactly what its targets said."""
    said = running.ask("/api/v1/metadata")
    want = collections.defaultdict(set)
    for got in gots:
        for name, about in got.stored.families.items():
            want[name].add(about)
    have = {name: {(r["type"], r["help"], r["unit"]) for r in rows} for name, rows in said.items()}
    check(have == dict(want), "the server's metadata is not that of its targets")


# ---- that a difference is seen ----


def broken(stored):
    """Copies with one thing wrong each."""
    sample = next(k for k, v in stored.samples.items() if v == 0.1 + 0.2)
    yield dataclasses.replace(stored, samples={**stored.samples, sample: 0.3})
    yield dataclasses.replace(stored, samples={**stored.samples, ("strange", ()): 1.0})
    yield dataclasses.replace(stored, samples={k: v for k, v in stored.samples.items() if k != sample})
    name = next(iter(stored.families))
    for about in (("gauge", *stored.families[name][1:]), (*stored.families[name][:2], "fortnights")):
        yield dataclasses.replace(stored, families={**stored.families, name: about})
    for key, native in list(stored.natives.items())[:1]:
        low, high, ends, n = native.buckets[0]
        for bucket in ((low, high, ends, n + 1), (low, high * (1 + 1e-9), ends, n), (low, high, "()", n)):
            wrong = dataclasses.replace(native, buckets=[bucket, *native.buckets[1:]])
            yield dataclasses.replace(stored, natives={**stored.natives, key: wrong})
        yield dataclasses.replace(stored, natives={k: v for k, v in stored.natives.items() if k != key})
    for key, when in list(stored.starts.items())[:1]:
        yield dataclasses.replace(stored, starts={**stored.starts, key: when + 2})
        yield dataclasses.replace(stored, starts={k: v for k, v in stored.starts.items() if k != key})
    for key, (exemplar, *rest) in list(stored.exemplars.items())[:1]:
        for wrong in (dataclasses.replace(exemplar, value=7.0), dataclasses.replace(exemplar, labels=()),
                      dataclasses.replace(exemplar, time_ms=(exemplar.time_ms or 0) + 2)):
            yield dataclasses.replace(stored, exemplars={**stored.exemplars, key: [wrong, *rest]})
        yield dataclasses.replace(stored, exemplars={**stored.exemplars, key: rest})


def check_the_comparison(job, expected, got):
    """What was compared without a difference must have one where something is wrong."""
    for number, wrong in enumerate(broken(got.stored)):
        seen = differences(job, expected, dataclasses.replace(got, stored=wrong))
        check(len(seen) == 1, job.name, "change", number, "was not seen, or twice:", seen)


def check_shapes(account):
    """The registry has what it is said to have: histograms that had to keep their limits, in each way."""
    points = {f["name"]: f["points"][0] for f in account["families"]}
    native = {name: points[f"{PREFIX}native_{name}"]["native"] for name in ("fine", "reduced", "widened", "spread")}
    check(native["fine"]["schema"] == 8 and native["reduced"]["schema"] < 8, "no schema was reduced")
    check(float(native["widened"]["zero_threshold"]) > 1e-6, "no zero bucket was widened")
    check(int(points[PREFIX + "native_reset"]["count"]) < 240, "no histogram started anew")
    index = [i for i, _ in native["spread"]["positive"]]
    check(sum(b - a > 3 for a, b in zip(index, index[1:])) > 50, "no histogram has many spans")


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


def get_account(port):
    account = json.loads(samples.get(f"http://127.0.0.1:{port}/test/expected"))
    check_shapes(account)
    return account


def check_answers(jobs, answers, can_gzip):
    for job in jobs:
        want = (job.coding if can_gzip else "identity", job.content_type)
        check(answers[job.name] == want, job.name, "was answered with", answers[job.name], "not", want)


def check_log(running):
    """Nothing to complain of."""
    found = [line for line in running.log().splitlines()
             if re.search(r"level=(warn|error)", line, re.IGNORECASE) and "scrape" in line]
    check(not found, "the server complains:", *found[:3])


def check_one(account, got):
    """What one job should have stored is what it has."""
    expected = Reading(account, got.job.rules).stored
    wrong = differences(got.job, expected, got)
    check(samples.report(wrong), got.job.name, "has", len(wrong), "differences")
    check_the_comparison(got.job, expected, got)
    lines = len(expected.samples) + len(expected.natives)
    for about in ("scrape_samples_scraped", "scrape_samples_post_metric_relabeling"):
        check(lines == got.about.get(about, lines), got.job.name, "has", lines, "samples, but the server says", got.about)
    counted = check_observations(got.stored, values_of(account))
    traces = check_traces(got.stored)
    print(f"{got.job.name}: compared {len(expected.samples)} samples, {len(expected.natives)} native histograms with "
          f"{sum(len(n.buckets) for n in expected.natives.values())} buckets, "
          f"{sum(map(len, got.stored.exemplars.values()))} exemplars ({traces} by their value), "
          f"{len(got.stored.starts)} starts, {len(expected.families)} families; {counted} buckets counted again")


def compare_server(server, features, jobs):
    with contextlib.ExitStack() as stack:
        host = stack.enter_context(samples.Program(samples.FORMATS_HOST, "--seconds", "300"))
        port = int(host.wait_for(r"^port (\d+)$").group(1))
        account = get_account(port)
        running = stack.enter_context(Running(server, config(jobs, port), features))
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


# ---- python3-prometheus-client ----


def client_exemplar(exemplar):
    when = exemplar.timestamp and milliseconds(exemplar.timestamp)
    return Exemplar(tuple(sorted(exemplar.labels.items())), exemplar.value, when)


def read_family(stored, family, name):
    """One family of the client's parser, its start times turned into those of its samples."""
    check(name not in stored.families, "a family comes twice:", name)
    stored.families[name] = (family.type, family.documentation, family.unit)
    own = {id(s): samples.key("", {n: v for n, v in s.labels.items() if n not in ("le", "quantile")})
           for s in family.samples}
    is_start = {id(s): family.type in COUNTING and s.name.endswith("_created") for s in family.samples}
    starts = {own[id(s)]: milliseconds(s.value) for s in family.samples if is_start[id(s)]}
    for s in family.samples:
        if is_start[id(s)]:
            continue
        sample_key = samples.key(s.name, {n: v for n, v in s.labels.items() if v})
        check(sample_key not in stored.samples, "a sample comes twice:", short(sample_key))
        stored.samples[sample_key] = float(s.value)
        if own[id(s)] in starts:
            stored.starts[sample_key] = starts[own[id(s)]]
        if s.exemplar:
            stored.exemplars[sample_key] = [client_exemplar(s.exemplar)]


def read_by_client(parser, job, page, expected):
    got = Got(job, scrapes={None})  # what has no time has none here
    for family in parser.text_string_to_metric_families(page.decode()):
        total = family.name + "_total"
        read_family(got.stored, family, total if total in expected.families else family.name)
    return got


def compare_client():
    try:
        from prometheus_client import parser
        from prometheus_client.openmetrics import parser as openmetrics_parser
    except ImportError:
        print(f"SKIP: {sys.executable} has no module prometheus_client (python3-prometheus-client)")
        return 77
    with samples.Program(samples.FORMATS_HOST, "--seconds", "60") as host:
        port = int(host.wait_for(r"^port (\d+)$").group(1))
        account = get_account(port)
        gots = []
        for what, reader, rules, starts in (("text", parser, Rules(TEXT, totals=True), False),
                                            ("openmetrics1", openmetrics_parser, Rules(OPENMETRICS), False),
                                            ("created1", openmetrics_parser, Rules(OPENMETRICS), True)):
            job = Job(what, rules, "", starts=starts, slack_ms=1)
            page = samples.get(f"http://127.0.0.1:{port}/client/{what}")
            gots.append(read_by_client(reader, job, page, Reading(account, rules).stored))
            check_one(account, gots[-1])
        print(f"{compare_formats(gots)} pairs of values compared among them")
    return 0


def main():
    if sys.argv[1] == "client":
        return compare_client()
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
