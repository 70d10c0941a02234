#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_accept_openmetrics.py - the OpenMetrics page is read by a program that was not written here.

python3-prometheus-client's parser of OpenMetrics, which is stricter than a server, must read om_host's page, with start
times and without, family by family and sample by sample, exemplars included, as the table below has them. The parser
is shown broken pages as well: it must refuse them.
Exit: 0, 1, or 77 if that parser is not there.
"""

import math
import os
import pathlib
import subprocess
import sys

OM_HOST = pathlib.Path(os.environ["KYMO_BUILD_ROOT"], "tests", "om_host")
HELP = 'Help of "this" \\ and\nmore.'
SITE = {"site": 'a "b"'}
START = 1600000000.25
NUMBERS = (-1.5, 1e-9, 22361870.0, 1e300, 5e-324, math.nan, math.inf, -math.inf)


def check(condition, *what):
    if not condition:
        raise AssertionError(" ".join(str(w) for w in what))


# ---- what om_host's points are ----


def histogram(name, kind, least, sum_, sum_name, count_name, created):
    """Two series: the first has exemplars, and a label more."""
    samples = []
    for labels in ({"kind": "x"}, {}):
        exemplars = {}
        if labels:
            exemplars = {"2.5": ({}, 2.25, None), "+Inf": ({"id": "7"}, 1e7, 1700000000.0)}
        for le, count in ((least, 1), ("2.5", 3), ("1e+06", 3), ("+Inf", 7)):
            samples.append((name + "_bucket", {**labels, "le": le}, count, exemplars.get(le)))
        if sum_name:
            samples.append((name + sum_name, labels, sum_, None))
            samples.append((name + count_name, labels, 7, None))
        if created:
            samples.append((name + "_created", labels, START, None))
    return name, kind, "bytes", samples


def expected(created):
    """[(family, type, unit, [(sample, labels without the constant one, value, exemplar)])] in the page's order."""
    exemplar = ({"trace_id": "0af7651916cd43dd", "note": "\u00e9\n"}, 0.5, 1700000000.123)

    def with_start(name, labels):
        return [(name + "_created", labels, START, None)] if created else []

    first, second = {"code": "200"}, {"code": "5\\0\n0"}
    numbers = [({"i": str(i)}, v, None) for i, v in enumerate(NUMBERS)]
    queue = {"queue": "q"}
    quantiles = [("0.0", 0.25), ("0.5", 1), ("0.99", math.nan), ("1.0", 3)]
    return [
        ("requests", "counter", "",
         [("requests_total", first, 9007199254740993, exemplar), *with_start("requests", first),
          ("requests_total", second, 0.1 + 0.2, None), *with_start("requests", second)]),
        ("busy_seconds", "counter", "seconds",
         [("busy_seconds_total", {}, 0, None), *with_start("busy_seconds", {})]),
        ("depth", "gauge", "", [("depth", *n) for n in numbers]),
        ("reading", "unknown", "", [("reading", *n) for n in numbers]),
        histogram("size_bytes", "histogram", "0.0", 12.5, "_sum", "_count", created),
        histogram("change_bytes", "histogram", "-1.0", -3, None, None, created),
        histogram("held_bytes", "gaugehistogram", "0.5", 12.5, "_gsum", "_gcount", False),
        histogram("drift_bytes", "gaugehistogram", "-1.0", -3, "_gsum", "_gcount", False),
        ("wait_seconds", "summary", "seconds",
         [("wait_seconds", {**queue, "quantile": q}, v, None) for q, v in quantiles]
         + [("wait_seconds_sum", queue, 6.5, None), ("wait_seconds_count", queue, 5, None)]
         + with_start("wait_seconds", queue)),
        ("build", "info", "", [("build_info", {"version": "1.2"}, 1, None)]),
        ("mode", "stateset", "",
         [("mode", {"unit": "0", "mode": "idle"}, 0, None), ("mode", {"unit": "0", "mode": 'bu"sy'}, 1, None)]),
    ]


# ---- what the client reads ----


def same(a, b):
    return float(a) == float(b) or (math.isnan(a) and math.isnan(b))


def differences(wanted, got):
    """Sentences; wanted is as expected() has it, got as the parser does."""
    wrong = [] if len(wanted) == len(got) else [f"{len(got)} families instead of {len(wanted)}"]
    for (name, kind, unit, samples), family in zip(wanted, got):
        if (family.name, family.type, family.unit, family.documentation) != (name, kind, unit, HELP):
            wrong.append(f"{family.name!r} {family.type} {family.unit!r} {family.documentation!r} is not {name} {kind}")
        if len(samples) != len(family.samples):
            wrong.append(f"{name} has {len(family.samples)} samples instead of {len(samples)}")
        for (sample_name, labels, value, exemplar), sample in zip(samples, family.samples):
            want = (sample_name, {**SITE, **labels}, exemplar)
            have = sample.exemplar and (sample.exemplar.labels, sample.exemplar.value,
                                        sample.exemplar.timestamp and float(sample.exemplar.timestamp))
            if (sample.name, sample.labels, have) != want or not same(sample.value, value):
                wrong.append(f"{sample} is not {want} {value}")
    return wrong


def read(parser, page):
    return list(parser.text_string_to_metric_families(page.decode()))


def refuses(parser, page):
    try:
        read(parser, page)
    except ValueError:
        return True
    return False


def broken(page):
    """Pages that no reader may take."""
    yield page[:-len(b"# EOF\n")]
    yield page + b"\n"
    for good, bad in ((b"# TYPE depth gauge\n", b"# TYPE depth untyped\n"), (b"requests_total{", b"requests {"),
                      (b'le="2.5"} 3', b'le="2.5"} 3.5'), (b'le="+Inf"} 7\n', b'le="+Inf"} 2\n'),
                      (b"# UNIT busy_seconds seconds", b"# UNIT busy_seconds minutes"),
                      (b"build_info{", b"build{"), (b"depth{", b"depth {{"), (b"} -1.5\n", b"} -1,5\n"),
                      (b'quantile="0.5"', b'quantile="1.5"'), (b" # {trace_id", b" # {{trace_id")):
        check(good in page, "the page has no", good)
        yield page.replace(good, bad, 1)


def check_page(parser, created):
    page = subprocess.run([OM_HOST, *(["created"] if created else [])], check=True, capture_output=True).stdout
    got = read(parser, page)
    wrong = differences(expected(created), got)
    for sentence in wrong:
        print(sentence)
    check(not wrong, len(wrong), "differences")
    check(differences(expected(not created), got), "a difference was not seen")
    for number, bad in enumerate(broken(page)):
        check(refuses(parser, bad), "the client took broken page", number)
    print(f"read {len(page)} bytes, {len(got)} families, {sum(len(f.samples) for f in got)} samples")


def main():
    try:
        from prometheus_client.openmetrics import parser
    except ImportError:
        print(f"SKIP: {sys.executable} has no module prometheus_client (python3-prometheus-client)")
        return 77
    check_page(parser, False)
    check_page(parser, True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
