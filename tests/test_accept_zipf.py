#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_accept_zipf.py MAJOR - what a real Prometheus makes of a family whose heaviest series replace each other.

zipf_host records a stream of known sums: 10 000 amounts a second, of 20 000 label sets, into a family that has 20 series
of their own and one for the rest, with a popularity that drifts, so that series are demoted, linger, end, and others take
their place. A server scrapes it once a second, from some scrapes before the stream to some after it. Compared with what
was recorded:

1. What the server stored, exactly: over all series, all steps from one stored sample to the next, and where a value went
   back what it went back to. This is what PromQL's increase() adds up before it extrapolates. It is exact only if every
   series that came later was stored at 0 before anything was recorded into it, and once more after the last of it.
2. What a person would ask: sum(rate(x[5s])), evaluated ten times a second over the run and added up, to within 1 %. Five
   samples lie in a window, four steps between them; rate() extrapolates them to five seconds, so that each step counts
   once in all windows together. The windows lie in all phases to the scrapes, since rate() does not extrapolate to
   before a series was 0: how much of the first seconds of a new series it misses depends on the phase, and is little in
   the mean. Nothing happens in the first and the last windows. Why not one increase() over the whole run: it extrapolates
   each series by what lies between its samples and the ends of the time asked for, up to a scrape interval in all. Of
   twenty seconds that is some percent, of the server's doing; say_increase() prints it.

Nothing is timed but by the server: the lines that zipf_host prints when it was scraped are the clock; a wait has an end.
KYMO_TEST_LONG=1: a stream of 40 s and a linger of 10 s, else 20 s and 4 s.
Exit: 0, 1, or 77 if there is no such server here (servers.py says where one may come from).
"""

import contextlib
import os
import pathlib
import sys
import time

ROOT = pathlib.Path(os.environ["KYMO_SOURCE_ROOT"])
sys.path.insert(0, str(ROOT / "tests" / "accept"))

import samples  # noqa: E402
import servers  # noqa: E402
from running import Running  # noqa: E402
from samples import check  # noqa: E402

ZIPF_HOST = samples.BUILD / "tests" / "zipf_host"
LONG = os.environ.get("KYMO_TEST_LONG") == "1"
SECONDS, LINGER_MS = (40, 10000) if LONG else (20, 4000)
QUIET_SCRAPES = 6  # before the stream, and after it: a window of rate() and one more
STEP_S = 0.1
MOST_SCRAPES = 60
OVERFLOW = "__other__"


def config(port):
    return (f"global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n"
            f"scrape_configs:\n  - job_name: zipf\n    static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n")


def wait_for_scrapes(running, host, n, after):
    """Until the server has stored n more scrapes, the last one of a time after this."""
    for i in range(MOST_SCRAPES):
        host.wait_for(r"^scrape \d+$", [running.process])
        if i >= n and running.last_scrape("zipf", after) is not None:
            return
    raise AssertionError(f"no good scrape was stored in {MOST_SCRAPES}: {running.ask('/api/v1/targets')}")


def play(running, host, port):
    """Runs the stream; (when it began, when its last scrape was over, what it recorded, how many series were replaced)."""
    wait_for_scrapes(running, host, QUIET_SCRAPES, 0)
    begin = time.time()
    samples.get(f"http://127.0.0.1:{port}/start")
    said = host.wait_for(r"^recorded (\d+) in (\d+) replaced (\d+)$", [running.process])
    wait_for_scrapes(running, host, QUIET_SCRAPES, time.time())
    return begin, time.time(), int(said.group(1)), int(said.group(3))


# ---- what the server stored ----


def stored_series(running, begin, end):
    """{label: [(time, value)...]} of all samples that it has of the run."""
    span = int(end - begin) + 60
    data = running.ask("/api/v1/query", query=f"zipf_total[{span}s]", time=f"{end:.3f}")
    series = {s["metric"]["tenant"]: [(t, float(v)) for t, v in s["values"]] for s in data["result"]}
    check(len(series) == len(data["result"]), "the server has a series twice")
    return series


def growth(points):
    return sum(now - before if now >= before else now for (_, before), (_, now) in zip(points, points[1:]))


def compare_stored(running, begin, end, recorded):
    series = stored_series(running, begin, end)
    first = min(points[0][0] for points in series.values())
    bad = {tenant: points[0] for tenant, points in series.items() if points[0][0] != first and points[0][1] != 0}
    check(not bad, "first stored, after the first scrape, with a value that is not 0:", bad)
    seen = sum(growth(points) for points in series.values())
    check(seen == recorded, f"the server saw an increase of {seen:.0f} of {recorded}")
    own = sum(growth(points) for tenant, points in series.items() if tenant != OVERFLOW)
    print(f"{len(series)} series, {sum(len(points) for points in series.values())} samples: increments add up to {seen:.0f}, "
          f"exactly what was recorded; {100 * own / seen:.0f} % of it in series of their own")
    return series


def compare_rate(running, begin, end, recorded):
    data = running.ask("/api/v1/query_range", query="sum(rate(zipf_total[5s]))", start=f"{begin - 2:.3f}",
                       end=f"{end:.3f}", step=str(STEP_S))
    check(len(data["result"]) == 1, data["result"])
    total = STEP_S * sum(float(value) for _, value in data["result"][0]["values"])
    off = total / recorded - 1
    check(abs(off) < 0.01, f"rate() adds up to {total:.0f}, {100 * off:+.2f} % of {recorded}")
    print(f"sum(rate(zipf_total[5s])) adds up to {total:.0f} of {recorded}: {100 * off:+.2f} %")


def say_increase(running, begin, end, recorded):
    """What the docstring says of it, as a figure."""
    span = int(end - begin) + 2
    data = running.ask("/api/v1/query", query=f"sum(increase(zipf_total[{span}s]))", time=f"{end:.3f}")
    total = float(data["result"][0]["value"][1])
    print(f"sum(increase(zipf_total[{span}s])) at the end is {total:.0f}: {100 * (total / recorded - 1):+.2f} %, "
          "extrapolation and all")


def compare_all(server):
    with contextlib.ExitStack() as stack:
        host = stack.enter_context(
            samples.Program(ZIPF_HOST, "--seconds", str(SECONDS), "--linger-ms", str(LINGER_MS)))
        port = int(host.wait_for(r"^port (\d+)$").group(1))
        running = stack.enter_context(Running(server, config(port)))
        begin, end, recorded, replaced = play(running, host, port)
        series = compare_stored(running, begin, end, recorded)
        check(replaced >= 3 and len(series) > 20 + replaced / 2, "too few series were replaced:", replaced, len(series))
        compare_rate(running, begin, end, recorded)
        say_increase(running, begin, end, recorded)
        running.check_nothing_was_dropped()
        print(f"Prometheus {running.server.number}; {replaced} series had ended when the stream did")


def main():
    try:
        server = servers.find(int(sys.argv[1]))
    except servers.Unavailable as why:
        print(f"SKIP: {why}")
        return 77
    compare_all(server)
    return 0


if __name__ == "__main__":
    sys.exit(main())
