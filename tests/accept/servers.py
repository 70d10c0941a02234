# SPDX-License-Identifier: Apache-2.0
"""servers.py - where a Prometheus server of a wanted major version is found.

Version 2 is what the system has in PATH. Version 3 is that too where it is new enough; elsewhere Debian's package of a
later suite is downloaded and unpacked into a cache folder, once, and used from there. What must hold: nothing is
installed, no file of the system's apt or dpkg is written, no privilege is needed, and none is harmful. apt runs with a
state of its own in a temporary folder, on the machine's own Debian source entry (and with its proxies), in which only
the suite's name is replaced. What cannot be had raises Unavailable with the reason.
"""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

NEWEST_SUITE = "sid"
OLDEST = {2: (2, 0), 3: (3, 5)}  # the oldest version that will do, by major version
PACKAGES = ("prometheus", "promtool")
PATIENCE_S = 240  # for all that apt does
ROOM_BYTES = 1 << 30


class Unavailable(Exception):
    """No such server can be had here; the text says why."""


class Server:
    """A Prometheus server that runs on this machine, with its promtool (or None)."""

    def __init__(self, prometheus, promtool, version):
        self.prometheus, self.promtool, self.version = prometheus, promtool, version

    @property
    def number(self):
        return ".".join(str(part) for part in self.version)

    def lint(self, page):
        """promtool's verdict on a page: (whether it parses, the lines it says)."""
        done = subprocess.run([self.promtool, "check", "metrics"], input=page, capture_output=True, timeout=60,
                              check=False)
        said = (done.stdout + done.stderr).decode().splitlines()
        if (done.returncode, bool(said)) not in ((0, False), (3, True)):
            return False, said or [f"exit {done.returncode}"]
        return True, said


def version_of(program):
    """The version a program of Prometheus says it is, as (major, minor, patch), or None if it does not run."""
    try:
        said = subprocess.run([str(program), "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"version (\d+)\.(\d+)\.(\d+)", said.stdout + said.stderr)
    return tuple(int(part) for part in found.groups()) if found and said.returncode == 0 else None


def fits(version, major):
    return version is not None and version[0] == major and version >= OLDEST[major]


def installed():
    """The server in PATH, or None."""
    program = shutil.which("prometheus")
    version = version_of(program) if program else None
    return Server(program, shutil.which("promtool"), version) if version else None


def find(major):
    """A server of this major version, at least OLDEST, fetched if need be and possible."""
    system = installed()
    if system and fits(system.version, major):
        return system
    has = f"the system has Prometheus {system.number}" if system else "the system has no Prometheus in PATH"
    if major < 3:
        raise Unavailable(f"{has}, not {major}.x")
    try:
        return cached(major) or fetch(major)
    except Unavailable as why:
        raise Unavailable(f"{has}, and {why}") from None


# ---- the cache ----


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = pathlib.Path(base, "kymo-tests", "servers")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"there is no cache folder: {error}") from None
    return folder


def unpacked(root):
    """The server of an unpacked package, or None if it does not run here."""
    program = root / "usr/bin/prometheus"
    version = version_of(program)
    return Server(str(program), str(root / "usr/bin/promtool"), version) if version else None


def cached(major):
    """The newest one that was unpacked before, or None."""
    servers = [unpacked(root) for root in cache_folder().glob("prometheus-*")]
    return max((s for s in servers if s and fits(s.version, major)), key=lambda s: s.version, default=None)


# ---- the machine's Debian source entry, with another suite ----


def debian_suites():
    """Names under which sources know the suite of this Debian."""
    try:
        lines = pathlib.Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    release = dict(line.split("=", 1) for line in lines if "=" in line)
    if release.get("ID", "").strip('"') != "debian":
        raise Unavailable("this is no Debian, whose packages could be unpacked")
    code = release.get("VERSION_CODENAME", "").strip('"')
    return {code, "stable", "oldstable", "testing", "unstable", NEWEST_SUITE} - {""}


def stanzas(text):
    """The entries of a .sources file as {field in lower case: value, with its continuation lines}."""
    for block in re.split(r"\n[ \t]*\n", text):
        fields, last = {}, None
        for line in block.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in (" ", "\t") and last:
                fields[last] += "\n" + line
            elif ":" in line:
                last, value = line.split(":", 1)
                last = last.strip().lower()
                fields[last] = value.strip()
        if fields:
            yield fields


def one_line_entries(text):
    """The entries of a .list file in the same form."""
    for line in text.splitlines():
        found = re.match(r"\s*(deb)\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]+)", line)
        if found:
            kind, options, uri, suite, components = found.groups()
            fields = {"types": kind, "uris": uri, "suites": suite, "components": components.strip()}
            for option in (options or "").split():
                name, _, value = option.partition("=")
                fields[{"arch": "architectures"}.get(name, name)] = value.replace(",", " ")
            yield fields


def source_entries():
    """The machine's entries for this Debian itself, with the suite replaced; the most likely first."""
    suites = debian_suites()
    etc = pathlib.Path("/etc/apt")
    parts = etc / "sources.list.d"
    files = [etc / "sources.list", parts / "debian.sources"]
    files += sorted(parts.glob("*.sources")) + sorted(parts.glob("*.list"))
    entries = []
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
        except OSError:
            continue
        for entry in stanzas(text) if file.suffix == ".sources" else one_line_entries(text):
            named = suites & set(entry.get("suites", "").split())
            if (named and "deb" in entry.get("types", "").split() and "main" in entry.get("components", "").split()
                    and entry.get("enabled", "yes").lower() not in ("no", "false", "0")):
                entry.update({"types": "deb", "suites": NEWEST_SUITE, "targets": "Packages"})
                if entry not in entries:
                    entries.append(entry)
    if not entries:
        raise Unavailable("apt has no source entry for this Debian")
    return entries


# ---- apt, with a state of its own ----


def apt_config(folder):
    """Read after the system's settings: these win, and what the system does after an update is not done."""
    return f"""
Dir::Etc::sourcelist "{folder}/debian.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "{folder}/state";
Dir::State::status "/dev/null";
Dir::Cache "{folder}/cache";
Dir::Log "{folder}/log";
APT::Sandbox::User "root";
APT::Default-Release "";
APT::Update::Error-Mode "any";
Acquire::Retries "1";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
#clear APT::Architectures;
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""


def run(command, folder, end):
    """Standard output of a command that must succeed before the monotonic clock shows end."""
    try:
        done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
                              timeout=max(end - time.monotonic(), 1), check=False)
    except FileNotFoundError:
        raise Unavailable(f"there is no {command[0]} here") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{command[0]} was not ready after {PATIENCE_S} s in all") from None
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit {done.returncode}"]
        raise Unavailable(f"{command[0]} says: {lines[0]}")
    return done.stdout


def download(entry, folder, end):
    """Unpacks PACKAGES of one source entry under folder/root."""
    for name in ("state/lists/partial", "cache/archives/partial", "log", "root"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "debian.sources").write_text("".join(f"{k}: {v}\n" for k, v in entry.items()), encoding="utf-8")
    (folder / "apt.conf").write_text(apt_config(folder), encoding="utf-8")
    # The native architecture only, whatever else the system holds.
    native = run(["dpkg", "--print-architecture"], folder, end).strip()
    apt = ["apt-get", "-q", "-c", str(folder / "apt.conf"), "-o", f"APT::Architectures={native}"]
    run([*apt, "update"], folder, end)
    run([*apt, "download", *PACKAGES], folder, end)
    for package in sorted(folder.glob("*.deb")):
        run(["dpkg-deb", "-x", str(package), str(folder / "root")], folder, end)


def fetch(major):
    """Downloads, unpacks and keeps a server; another process may do the same at the same time."""
    cache = cache_folder()
    if shutil.disk_usage(cache).free < ROOM_BYTES:
        raise Unavailable(f"there is less than {ROOM_BYTES >> 20} MiB of room for another one")
    why, end = None, time.monotonic() + PATIENCE_S
    for entry in source_entries():
        with tempfile.TemporaryDirectory(dir=cache, prefix="apt-") as name:
            folder = pathlib.Path(name)
            try:
                download(entry, folder, end)
            except Unavailable as failed:
                why = why or failed
                continue
            server = unpacked(folder / "root")
            if server is None or not fits(server.version, major):
                said = server.number if server else "one that does not run here"
                why = why or Unavailable(f"suite {NEWEST_SUITE} has {said}")
                continue
            keep(folder / "root", cache / f"prometheus-{server.number}")
            return cached(major)
    raise Unavailable(f"another one could not be fetched: {why}")


def keep(root, place):
    try:
        os.rename(root, place)
    except OSError:  # another process was first
        if unpacked(place) is None:
            raise
