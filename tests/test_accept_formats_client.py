#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_accept_formats_client.py - python3-prometheus-client reads all that formats_host has to show.

Its parsers of the text format and of OpenMetrics, the stricter one, must find on the pages what the host's account
says, as servers must in test_accept_formats.py: samples, exemplars, start times, types, help, units; both the same.
Exit: 0, 1, or 77 if the parsers are not there.
"""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(os.environ["KYMO_SOURCE_ROOT"], "tests", "accept")))

import samples  # noqa: E402
from compare import Got, Job, check_one, compare_formats, get_account, milliseconds  # noqa: E402
from formats import COUNTING, OPENMETRICS, TEXT, Exemplar, Reading, Rules  # noqa: E402
from samples import check, short  # noqa: E402


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


def main():
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
            job = Job(what, rules, starts=starts, slack_ms=1)
            page = samples.get(f"http://127.0.0.1:{port}/client/{what}")
            gots.append(read_by_client(reader, job, page, Reading(account, rules).stored))
            check_one(account, gots[-1])
        print(f"{compare_formats(gots)} pairs of values compared among them")
    return 0


if __name__ == "__main__":
    sys.exit(main())
