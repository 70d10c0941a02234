#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_accept_prometheus.py MAJOR - a real Prometheus server scrapes the page, and gives back what was recorded.

The server runs on a free port of 127.0.0.1 with its data in a temporary folder, scrapes page_host and the demonstration
once a second, and is asked for everything it stored of one scrape, at that scrape's own time. Compared with what was
recorded: each value as a double, each label, each family's type and help; and that the server dropped nothing. The
demonstration is compared with the page that it shows after its trace, and its totals with the trace itself.

Nothing is timed: the lines that page_host prints when it was scraped are the clock; a wait has an end.
Exit: 0, 1, or 77 if there is no such server here (servers.py says where one may come from).
"""

import contextlib
import csv
import os
import pathlib
import re
import sys
import time

ROOT = pathlib.Path(os.environ["KYMO_SOURCE_ROOT"])
sys.path.insert(0, str(ROOT / "tests" / "accept"))

import samples  # noqa: E402
import servers  # noqa: E402
from running import OF_THE_SERVER, Running  # noqa: E402
from samples import check  # noqa: E402

SCRAPES = 60  # as many may pass, one a second, before one is found in the server
# The demonstration counts its own scrapes, so these go on moving.
MOVING = ("replay_", samples.OWN)


# ---- the server ----


def config(targets):
    jobs = "".join(f"  - job_name: {job}\n    static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n"
                   for job, port in targets.items())
    return f"global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n{jobs}"


def stored(running, host, job, after):
    """All that one scrape stored, waiting for it: (samples, what the server says of the scrape)."""
    for _ in range(SCRAPES):
        host.wait_for(r"^scrape \d+$", [running.process])
        moment = running.last_scrape(job, after)
        if moment is not None:
            got = running.query(f'{{job="{job}"}}', at=moment)
            about = {k[0]: float(got.pop(k)) for k in list(got) if k[0] in OF_THE_SERVER}
            return got, about
    raise AssertionError(f"no good scrape of {job} was stored in {SCRAPES} scrapes: {running.ask('/api/v1/targets')}")


# ---- page_host ----


def lines_with_samples(page):
    return sum(1 for line in page.split(b"\n") if line and not line.startswith(b"#"))


def compare_page_host(running, host, lines):
    expected = samples.Expected()
    got, about = stored(running, host, "page", 0)
    wrong = samples.compare(samples.without_empty_labels(expected.samples), got, samples.own_and_untouched(got))
    families = running.families("page")
    wrong += samples.compare_families(expected.families, families)
    check(samples.report(wrong), len(wrong), "differences")
    check(len(got) == lines == about["scrape_samples_scraped"] == about["scrape_samples_post_metric_relabeling"],
          len(got), "samples stored,", lines, "on the page,", about)
    print(f"compared {len(expected.samples)} samples and {len(expected.families)} families' type and help with "
          f"Prometheus {running.server.number}; it stored all {lines} lines of the page")


def check_promtool(server):
    """The promtool that belongs to the server parses the page; 2.42 and 3.x have parsers of different ages."""
    if server.promtool is None:
        print(f"there is no promtool beside Prometheus {server.number}")
        return
    page = samples.page_host_page()
    parses, lint = server.lint(page)
    check(parses, "promtool refuses the page:", lint)
    print(f"promtool {server.number} parsed {len(page)} bytes; its linter has {len(lint)} remarks")
    for line in lint:
        print(f"    {line}")


# ---- the demonstration ----


def read_plain_page(page):
    """{key: value as text} of a page whose label values hold nothing that needs escaping."""
    result = {}
    for line in page.decode().split("\n"):
        if line and not line.startswith("#"):
            name, labels, value = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line).groups()
            check("\\" not in line, "not a plain page:", line)
            pairs = re.findall(r'(\w+)="([^"]*)"', labels or "")
            result[samples.key(name, dict(pairs))] = value
    return result


def totals_of_the_trace():
    with open(ROOT / "examples" / "replay" / "trace-small.csv", newline="", encoding="ascii") as file:
        rows = list(csv.DictReader(file))
    return {
        samples.key("llm_requests_total", {}): len(rows),
        samples.key("llm_tokens_total", {"type": "prompt"}): sum(int(r["ContextTokens"]) for r in rows),
        samples.key("llm_tokens_total", {"type": "completion"}): sum(int(r["GeneratedTokens"]) for r in rows),
    }


def settled(values):
    return {k: v for k, v in values.items() if not k[0].startswith(MOVING)}


def compare_replay(running, host, url, ended):
    expected = settled(read_plain_page(samples.get(url)))
    got, about = stored(running, host, "replay", ended)
    totals = totals_of_the_trace()
    wrong = samples.compare(totals, {k: v for k, v in got.items() if k in totals})
    wrong += samples.compare(expected, settled(got))
    check(samples.report(wrong), len(wrong), "differences")
    check(len(got) == about["scrape_samples_scraped"], len(got), "samples stored,", about)
    print(f"compared {len(expected)} samples of examples/replay, {len(totals)} of them with the trace, with "
          f"Prometheus {running.server.number}")


# ---- all of it ----


def compare_all(server):
    with contextlib.ExitStack() as stack:
        host = stack.enter_context(samples.Program(samples.PAGE_HOST, "--seconds", "300"))
        targets = {"page": int(host.wait_for(r"^port (\d+)$").group(1))}
        lines = lines_with_samples(samples.get(f"http://127.0.0.1:{targets['page']}/metrics"))
        host.wait_for(r"^scrape 1$")
        if samples.REPLAY.exists():
            replay = stack.enter_context(
                samples.Program(samples.REPLAY, "--speed", "max", "--port", "0", "--seconds", "300"))
            url = replay.wait_for(r"http://127\.0\.0\.1:(\d+)/metrics")
            targets["replay"] = int(url.group(1))
            replay.wait_for("the trace has ended")
            ended = time.time()
        running = stack.enter_context(Running(server, config(targets)))
        compare_page_host(running, host, lines)
        if "replay" in targets:
            compare_replay(running, host, url.group(0), ended)
        running.check_nothing_was_dropped()
    check_promtool(server)


def main():
    major = int(sys.argv[1])
    try:
        server = servers.find(major)
    except servers.Unavailable as why:
        print(f"SKIP: {why}")
        return 77
    compare_all(server)
    return 0


if __name__ == "__main__":
    sys.exit(main())
