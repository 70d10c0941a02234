# SPDX-License-Identifier: Apache-2.0
"""formats.py - what each format makes of a registry, as a server stores it: derived from formats_host's account of it.

The account comes from a visitor, not from an encoder, and the rules here are those of the formats' documents, written
down once more. A stored sample is samples.key() and a double; a stored native histogram is a Native. What must hold:
nothing here reads a page.
"""

import dataclasses
import decimal
import math
import re

import samples

TEXT, OPENMETRICS, PROTOBUF = "text", "openmetrics", "protobuf"
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
COUNTING = ("counter", "histogram", "summary")  # kinds whose series have a beginning


# ---- names ----


def is_plain(name, colon=True):
    return re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*" if colon else r"[a-zA-Z_][a-zA-Z0-9_]*", name) is not None


def spelled(name, scheme):
    """A name of a metric or a label as an escaping scheme has it."""
    if scheme == "allow-utf-8" or is_plain(name):
        return name

    def respelled(place, c):
        if scheme == "underscores":
            return c if c in LETTERS + ":" or (c.isdigit() and c.isascii() and place) else "_"
        if c == "_":
            return "__"
        if c == "." and scheme == "dots":
            return "_dot_"
        if c in LETTERS + ":" or (c.isdigit() and c.isascii() and place):
            return c
        return "__" if scheme == "dots" else f"_{ord(c):x}_"

    return ("U__" if scheme == "values" else "") + "".join(respelled(i, c) for i, c in enumerate(name))


def bound_text(v):
    """A double as labels le and quantile have it."""
    if math.isinf(v):
        return "+Inf" if v > 0 else "-Inf"
    sign, digits, exponent = decimal.Decimal(repr(v)).normalize().as_tuple()
    digits = "".join(map(str, digits))
    power = len(digits) - 1 + exponent if v != 0 else 0
    if -4 <= power < 6:
        text = f"{decimal.Decimal(repr(v)).normalize():f}"
        return text if "." in text else text + ".0"
    fraction = "." + digits[1:] if len(digits) > 1 else ""
    return f"{'-' if sign else ''}{digits[0]}{fraction}e{'-' if power < 0 else '+'}{abs(power):02d}"


PAIR = re.compile(r'("(?:[^"\\]|\\.)*"|[^=",]+)="((?:[^"\\]|\\.)*)"(?:,|$)', re.DOTALL)


def unescaped(text):
    return re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m.group(1), m.group(1)), text, flags=re.DOTALL)


def escaped(text):
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def read_pairs(text):
    """[(name, value)] of a pair text."""
    pairs, at = [], 0
    while at < len(text):
        found = PAIR.match(text, at)
        samples.check(found, "no pair text:", text)
        name, value = found.groups()
        pairs.append((unescaped(name[1:-1]) if name.startswith('"') else name, unescaped(value)))
        at = found.end()
    return pairs


# ---- native histograms ----


def bound(index, schema):
    """The upper end of a bucket, to within rounding."""
    if index == 1024 * 2.0 ** schema:
        return 1.7976931348623157e308
    whole, rest = divmod(index, 2 ** schema) if schema > 0 else (index * 2 ** -schema, 0)
    return math.inf if whole >= 1024 else math.ldexp(2.0 ** (rest / 2 ** schema) if rest else 1.0, whole)


@dataclasses.dataclass
class Native:
    """Count, sum, and buckets by ascending bounds: (lower, upper, which ends belong to it, count)."""

    count: float
    sum: float
    buckets: list

    def differs(self, other):
        """Where another one differs, in words, or None."""
        if self.count != other.count or not samples.same(self.sum, other.sum):
            return f"count {other.count}, sum {other.sum}, not {self.count}, {self.sum}"
        if len(self.buckets) != len(other.buckets):
            return f"{len(other.buckets)} buckets, not {len(self.buckets)}"
        for mine, its in zip(self.buckets, other.buckets):
            if mine[2:] != its[2:] or not all(math.isclose(a, b, rel_tol=1e-13, abs_tol=0) for a, b in
                                              zip(mine[:2], its[:2])):
                return f"bucket {its}, not {mine}"
        return None

    @staticmethod
    def expected(point):
        native = point["native"]
        schema, width = native["schema"], float(native["zero_threshold"])
        negative = [(-bound(i, schema), -bound(i - 1, schema), "[)", float(n)) for i, n in native["negative"]]
        positive = [(bound(i - 1, schema), bound(i, schema), "(]", float(n)) for i, n in native["positive"]]
        zero = [(-width, width, "[]", float(native["zero_count"]))] if native["zero_count"] != "0" else []
        return Native(float(point["count"]), float(point["sum"]), negative[::-1] + zero + positive)

    @staticmethod
    def stored(said):
        """Of a server's JSON."""
        ends = {0: "(]", 1: "[)", 2: "()", 3: "[]"}
        return Native(float(said["count"]), float(said["sum"]),
                      [(float(low), float(high), ends[rule], float(n))
                       for rule, low, high, n in said.get("buckets") or []])

    def counts_of(self, values):
        """How many of the values lie in each bucket, going by its ends."""
        return [sum(low < v < high or (v == low and ends[0] == "[") or (v == high and ends[1] == "]")
                    for v in values) for low, high, ends, _ in self.buckets]


# ---- what is stored ----


@dataclasses.dataclass
class Stored:
    """Of one scrape, without labels that have no value, as a server has them."""

    samples: dict = dataclasses.field(default_factory=dict)  # {key: double}
    natives: dict = dataclasses.field(default_factory=dict)  # {key: Native}
    starts: dict = dataclasses.field(default_factory=dict)  # {key: milliseconds}, of series that have a beginning
    exemplars: dict = dataclasses.field(default_factory=dict)  # {key: [Exemplar] by time}
    families: dict = dataclasses.field(default_factory=dict)  # {name: (type, help, unit)}


@dataclasses.dataclass(frozen=True)
class Exemplar:
    labels: tuple
    value: float
    time_ms: int  # None: that of the scrape


@dataclasses.dataclass
class Rules:
    """How a page is asked for and read: what decides which series come to be."""

    dialect: str
    scheme: str = "underscores"
    natives: bool = True  # native histograms are read, where the format has them
    classics: bool = False  # and classic ones beside them
    bucket_exemplars: bool = False  # of a native histogram, the first one of its classic buckets alone is read
    totals: bool = False  # the reader adds _total to counters that are not called so
    units: bool = True  # are read, where the format has them
    raw_exemplars: bool = False  # their label values stay as they stand on an OpenMetrics page, escaped
    raw_names: bool = False  # metadata has a name in quotes as it stands between them


class Reading:
    """One page's way into a server: fills a Stored, family by family."""

    def __init__(self, account, rules):
        self.rules, self.stored = rules, Stored()
        self.constant = [(spelled(n, rules.scheme), v) for n, v in account["constant"]]
        for family in account["families"]:
            self.family(family)

    # ---- families ----

    def family(self, family):
        kind, name = family["kind"], spelled(family["name"], self.rules.scheme)
        base = name
        for suffix in {"counter": ("_total",), "info": ("_info",)}.get(kind, ()):
            if self.rules.dialect == OPENMETRICS and name.endswith(suffix) and name != suffix:
                base = name[:-len(suffix)]
        if family["points"]:
            index = escaped(base) if self.rules.raw_names and not is_plain(base) else base
            samples.check(index not in self.stored.families, "two families named", base)
            kind_word = self.type_of(kind, family["points"][0])
            self.stored.families[index] = (kind_word, family["help"], self.unit_of(family, base))
        for point in family["points"]:
            labels = self.constant + [(spelled(n, self.rules.scheme), v) for n, v in point["labels"]]
            getattr(self, "put_" + kind)(family, point, name, labels)

    def type_of(self, kind, point):
        if self.rules.dialect == OPENMETRICS:
            return kind
        # Old servers know no classic gauge histograms in any other format.
        if kind == "gaugehistogram" and (self.rules.dialect == TEXT or "native" not in point):
            return "histogram"
        return {"info": "gauge", "stateset": "gauge"}.get(kind, kind)

    def unit_of(self, family, base):
        """Only what a reader takes for the end of the family's name, without a counter's suffix."""
        if not self.rules.units or self.rules.dialect == TEXT or family["kind"] in ("info", "stateset"):
            return ""
        if family["kind"] == "counter" and base.endswith("_total"):
            base = base[:-len("_total")]
        return family["unit"] if base.endswith("_" + family["unit"]) else ""

    # ---- samples ----

    def put(self, name, labels, value, family=None, point=None):
        key = samples.key(name, {n: v for n, v in labels if v})
        into = self.stored.natives if isinstance(value, Native) else self.stored.samples
        samples.check(key not in into, "a series comes twice:", key)
        into[key] = value
        if family and family["kind"] in COUNTING and point["start_ns"] != "0":
            self.stored.starts[key] = int(point["start_ns"]) // 1000000
        return key

    def exemplars(self, key, exemplars, needs_time=False):
        """What is exemplary of one series, by time."""
        kept = []
        for e in exemplars:
            when = int(e["timestamp_ns"]) // 1000000 or None
            pairs = [(spelled(n, self.rules.scheme), self.exemplar_text(v)) for n, v in read_pairs(e["labels"])]
            if self.rules.dialect != TEXT and (when or not needs_time):
                kept.append(Exemplar(tuple(sorted(pairs)), float(e["value"]), when))
        if kept:
            self.stored.exemplars[key] = kept

    def exemplar_text(self, value):
        return escaped(value) if self.rules.raw_exemplars else value

    def put_counter(self, family, point, name, labels):
        if (self.rules.dialect == OPENMETRICS or self.rules.totals) and not name.endswith("_total"):
            name += "_total"
        # The whole part is exact; what is stored is the nearest double.
        value = float(int(point["whole"])) + float(point["fraction"])
        self.exemplars(self.put(name, labels, value, family, point), point["exemplars"])

    def put_gauge(self, _, point, name, labels):
        self.put(name, labels, float(point["value"]))

    put_unknown = put_gauge

    def put_info(self, _, __, name, labels):
        if self.rules.dialect == OPENMETRICS and not name.endswith("_info"):
            name += "_info"
        self.put(name, labels, 1.0)

    def put_stateset(self, family, point, name, labels):
        for i, state in enumerate(family["states"]):
            self.put(name, labels + [(name, state)], float(int(point["states"]) >> i & 1))

    def put_summary(self, family, point, name, labels):
        openmetrics = self.rules.dialect == OPENMETRICS
        for q, v in point["quantiles"]:
            if not (openmetrics and float(v) < 0):
                self.put(name, labels + [("quantile", bound_text(float(q)))], float(v), family, point)
        if not (openmetrics and float(point["sum"]) < 0):
            self.put(name + "_sum", labels, float(point["sum"]), family, point)
        self.put(name + "_count", labels, float(point["count"]), family, point)

    # ---- histograms ----

    def put_histogram(self, family, point, name, labels):
        native = self.rules.dialect == PROTOBUF and self.rules.natives and "native" in point
        if native:
            key = self.put(name, labels, Native.expected(point), family, point)
            if self.rules.bucket_exemplars:
                self.exemplars(key, point["exemplars"][:1])
            else:
                self.exemplars(key, point["native"]["exemplars"] or point["exemplars"], needs_time=True)
        # Beside native buckets the server takes classic ones if the page has any: one for an exemplar will do.
        if not native or (self.rules.classics and (point["bounds"] or point["exemplars"])):
            self.put_classic(family, point, name, labels)

    put_gaugehistogram = put_histogram

    def put_classic(self, family, point, name, labels):
        bounds = [float(b) for b in point["bounds"]]
        counts = [int(n) for n in point["buckets"]] or [int(point["count"])]
        for i, le in enumerate([*bounds, math.inf]):
            below = float(sum(counts[:i + 1]))
            key = self.put(name + "_bucket", labels + [("le", bound_text(le))], below, family, point)
            if bounds or self.rules.dialect == PROTOBUF or "native" not in point:
                self.exemplars(key, [e for e in point["exemplars"] if e["bucket"] == i])
        if self.sum_may_stand(family["kind"], bounds, float(point["sum"])):
            g = "g" if self.rules.dialect == OPENMETRICS and family["kind"] == "gaugehistogram" else ""
            self.put(f"{name}_{g}sum", labels, float(point["sum"]), family, point)
            self.put(f"{name}_{g}count", labels, float(sum(counts)), family, point)

    def sum_may_stand(self, kind, bounds, total):
        """In OpenMetrics a sum is a counter, and goes below 0 only in a gauge histogram with such a bound."""
        if self.rules.dialect != OPENMETRICS:
            return True
        below = bool(bounds) and bounds[0] < 0
        return total >= 0 and not below if kind == "histogram" else total >= 0 or below
