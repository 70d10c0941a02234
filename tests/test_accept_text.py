#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_accept_text.py - the text page is read by programs that were not written here.

promtool must parse it; what its linter says of the page's odd names is listed, what it says of the library's own
families, or of the demonstration's, is a failure. python3-prometheus-client's parser must read every sample, label by
label, and every family as page_host recorded it; whole numbers must stand on the page in all their digits. promtool is
shown broken pages first, and the comparison wrong samples last: they must refuse them.
Exit: 0, 1, or 77 if one of the two readers is not there.
"""

import os
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(os.environ["KYMO_SOURCE_ROOT"], "tests", "accept")))

import samples  # noqa: E402
import servers  # noqa: E402


def check(condition, *what):
    if not condition:
        raise AssertionError(" ".join(str(w) for w in what))


# ---- promtool ----


def replay_page():
    """The demonstration's page after its trace, or None if it was not built."""
    if not samples.REPLAY.exists():
        return None
    with samples.Program(samples.REPLAY, "--speed", "max", "--port", "0", "--seconds", "60") as replay:
        url = replay.wait_for(r"http://\S+/metrics").group(0)
        replay.wait_for("the trace has ended")
        return samples.get(url)


def check_promtool(system):
    page = samples.page_host_page()
    for broken in (page.replace(b'reason="nan"', b'reason="nan', 1), page.replace(b" 1\n", b" 1,5\n", 1), page[:-1]):
        check(broken != page and not system.lint(broken)[0], "promtool took a broken page")
    parses, lint = system.lint(page)
    check(parses, "promtool refuses the page:", lint)
    ours = [line for line in lint if line.startswith(samples.OWN)]
    check(not ours, "promtool finds fault with the library's own families:", ours)
    print(f"promtool {system.number} parsed {len(page)} bytes; "
          f"its linter has {len(lint)} remarks")
    for line in lint:
        print(f"    {line}")
    demonstration = replay_page()
    if demonstration is not None:
        parses, lint = system.lint(demonstration)
        check(parses and not lint, "promtool on the demonstration's page:", lint)
        print(f"promtool parsed {len(demonstration)} bytes of the demonstration's page; its linter has no remarks")


# ---- python3-prometheus-client ----


def read_by_client(parser, page):
    """({key: value}, {family: (type, help)}) as the client's parser reads them."""
    got, families = {}, {}
    for family in parser.text_string_to_metric_families(page.decode()):
        # It calls counters by another name than the page; their samples keep theirs.
        name = family.name + ("_total" if family.type == "counter" else "")
        check(name not in families, "a family comes twice:", name)
        families[name] = (family.type, family.documentation)
        for sample in family.samples:
            sample_key = samples.key(sample.name, sample.labels)
            check(sample_key not in got, "a sample comes twice:", samples.short(sample_key))
            got[sample_key] = sample.value
    return got, families


def check_the_comparison(expected, got):
    """A nudged value, a lost and a strange sample must each be seen."""
    exempt = samples.own_and_untouched(got)
    some = next(k for k, v in expected.samples.items() if v == "0.10000000000000001")
    nudged = {**got, some: 0.10000000000000002}
    lost = {k: v for k, v in got.items() if k != some}
    strange = {**got, ("strange", ()): 1.0}
    refused = {**got, ("kymo_recordings_refused_total", (("family", "x"), ("reason", "nan"))): 1.0}
    dropped = {**got, ("kymo_series_dropped_total", (("family", "x"),)): 1.0}
    for wrong in (nudged, lost, strange):
        check(len(samples.compare(expected.samples, wrong, exempt)) == 1, "a difference was not seen")
    for wrong in (refused, dropped):
        check(len(samples.compare(expected.samples, wrong, samples.own_and_untouched(wrong))) == 1, "nor a refusal")


def digits_on_the_page(page):
    """The text of each value, in the order of the lines."""
    for line in page.decode().split("\n"):
        if line and not line.startswith("#"):
            yield line.rsplit(" ", 1)[1]


def check_digits(expected, got, page):
    """Whole expected values stand on the page with exactly these digits."""
    # The parser yields samples in the order of the lines.
    texts = list(digits_on_the_page(page))
    check(len(texts) == len(got), len(texts), "lines, but", len(got), "samples")
    whole = 0
    for sample_key, text in zip(got, texts):
        want = expected.samples.get(sample_key, "")
        if re.fullmatch(r"\d+", want) and not sample_key[0].endswith("numbers"):
            check(text == want, samples.short(sample_key), "reads", text, "not", want)
            whole += 1
    return whole


def check_client(parser, version):
    expected = samples.Expected()
    page = samples.page_host_page()
    got, families = read_by_client(parser, page)
    wrong = samples.compare(expected.samples, got, samples.own_and_untouched(got))
    wrong += samples.compare_families(expected.families, families)
    check(samples.report(wrong), len(wrong), "differences")
    check_the_comparison(expected, got)
    whole = check_digits(expected, got, page)
    print(f"compared {len(expected.samples)} samples and {len(expected.families)} families with "
          f"python3-prometheus-client {version}; {whole} whole values digit by digit")


# ---- both ----


def client_parser():
    try:
        from prometheus_client import parser
    except ImportError:
        return None, None
    try:
        from importlib.metadata import version
        return parser, version("prometheus_client")
    except Exception:  # the package's metadata is a nicety
        return parser, "(version unknown)"


def main():
    system = servers.installed()
    parser, version = client_parser()
    ran = 0
    if system and system.promtool:
        check_promtool(system)
        ran += 1
    else:
        print("SKIP: the system has no promtool in PATH")
    if parser:
        check_client(parser, version)
        ran += 1
    else:
        print(f"SKIP: {sys.executable} has no module prometheus_client (python3-prometheus-client)")
    return 0 if ran == 2 else 77


if __name__ == "__main__":
    sys.exit(main())
