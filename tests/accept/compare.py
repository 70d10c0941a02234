# SPDX-License-Identifier: Apache-2.0
"""compare.py - what a reader has of formats_host's registry against what it should have.

Expected is what formats.py makes of the host's account. check_one() compares samples, native histograms, starts,
exemplars and families, and then changes what was got in one place after the other: the comparison must see each.
Besides, what histograms observed is counted again by the reader's own bounds.
"""

import dataclasses
import json
import math
import re
import struct

import samples
from formats import Reading, Rules, Stored
from samples import check, short

PREFIX = "host_"  # of the registry


def milliseconds(seconds):
    return round(float(seconds) * 1000)


@dataclasses.dataclass
class Job:
    """One way of asking."""

    name: str
    rules: Rules
    content_type: str = ""  # of the answer
    what: str = "metrics"  # of formats_host's pages
    settings: tuple = ()  # lines of its scrape_config
    coding: str = "gzip"
    starts: bool = False  # the server stores when series began
    slack_ms: int = 0  # times go through a double of seconds


@dataclasses.dataclass
class Got:
    """All that a reader has of one job."""

    job: Job
    stored: Stored = dataclasses.field(default_factory=Stored)
    about: dict = dataclasses.field(default_factory=dict)  # what the server says of the scrape
    scrapes: set = dataclasses.field(default_factory=set)  # when it scraped, in milliseconds


def get_account(port):
    """What formats_host says is in its registry."""
    account = json.loads(samples.get(f"http://127.0.0.1:{port}/test/expected"))
    check_shapes(account)
    return account


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
    """The library's own families move from scrape to scrape: they must be there, and nothing refused or dropped."""
    return {k: got.get(k, v) if k[0].startswith(samples.OWN) and k[0] not in samples.LOST else v
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


# ---- that a difference is seen ----


def broken(stored):
    """Copies with one thing wrong each."""
    sample = next(k for k, v in stored.samples.items() if v == 0.1 + 0.2)
    yield dataclasses.replace(stored, samples={**stored.samples, sample: 0.3})
    yield dataclasses.replace(stored, samples={**stored.samples, ("strange", ()): 1.0})
    yield dataclasses.replace(stored, samples={k: v for k, v in stored.samples.items() if k != sample})
    name = next(iter(stored.families))
    for about in (("strange", *stored.families[name][1:]), (*stored.families[name][:2], "fortnights")):
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


# ---- all of it ----


def check_one(account, got):
    """What one job should have stored is what it has."""
    expected = Reading(account, got.job.rules).stored
    wrong = differences(got.job, expected, got)
    check(samples.report(wrong), got.job.name, "has", len(wrong), "differences")
    check_the_comparison(got.job, expected, got)
    lines = len(expected.samples) + len(expected.natives)
    for about in ("scrape_samples_scraped", "scrape_samples_post_metric_relabeling"):
        check(lines == got.about.get(about, lines), got.job.name, "has", lines, "samples; the server says", got.about)
    counted = check_observations(got.stored, values_of(account))
    traces = check_traces(got.stored)
    print(f"{got.job.name}: compared {len(expected.samples)} samples, {len(expected.natives)} native histograms with "
          f"{sum(len(n.buckets) for n in expected.natives.values())} buckets, "
          f"{sum(map(len, got.stored.exemplars.values()))} exemplars ({traces} by their value), "
          f"{len(got.stored.starts)} starts, {len(expected.families)} families; {counted} buckets counted again")
