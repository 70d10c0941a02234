# SPDX-License-Identifier: Apache-2.0
"""running.py - a Prometheus server that runs while a test asks it what it stored.

It listens on a free port of 127.0.0.1 and keeps its data in a temporary folder. What must hold: it is ended by its pid
when the block ends, whatever happened in it.
"""

import contextlib
import json
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse

import samples
from samples import check

OF_THE_SERVER = {"up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling",
                 "scrape_series_added"}
# What a server counts where it did not store all that it was shown.
DROPPED = re.compile(r"prometheus_target_scrapes?_(sample_(duplicate|out_of)|exceeded|exemplar_out_of)")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def without_target(series):
    """A series' labels as a server answers them, without those it added."""
    labels = dict(series)
    check(labels.pop("job", None) and labels.pop("instance", None), "a series without job or instance")
    return labels.pop("__name__", ""), labels


class Running:
    """A Prometheus with a configuration, and features by name, until the block ends."""

    def __init__(self, server, config, features=()):
        self.server, self.config = server, config
        self.flags = [f"--enable-feature={','.join(features)}"] if features else []
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        folder = pathlib.Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "config.yml").write_text(self.config, encoding="utf-8")
        self.port = free_port()
        self.log_path = folder / "log"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [self.server.prometheus, f"--config.file={folder / 'config.yml'}",
                 f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{self.port}", *self.flags],
                cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.stack.callback(samples.stop, self.process)
        return self

    def __exit__(self, *failure):
        # After an error the temporary folder's log is all there is to see why.
        if failure[0] is not None:
            print(self.log()[-8000:], file=sys.stderr)
        return self.stack.__exit__(*failure)

    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    # ---- questions ----

    def ask(self, path, **parameters):
        query = urllib.parse.urlencode(parameters)
        reply = json.loads(samples.get(f"http://127.0.0.1:{self.port}{path}?{query}"))
        check(reply["status"] == "success", path, parameters, reply)
        check(not reply.get("warnings"), path, parameters, reply.get("warnings"))
        return reply["data"]

    def query(self, expression, at=None):
        """{key: value as text} of an instant query, without the labels job and instance."""
        data = self.ask("/api/v1/query", query=expression, **({} if at is None else {"time": at}))
        result = {samples.key(*without_target(s["metric"])): s["value"][1] for s in data["result"]}
        check(len(result) == len(data["result"]), "the server answers a series twice")
        return result

    def metadata(self, job):
        """{name: (type, help, unit)} as the server remembers families."""
        rows = self.ask("/api/v1/targets/metadata", match_target=f'{{job="{job}"}}')
        families = {row["metric"]: (row["type"], row["help"], row["unit"]) for row in rows}
        check(len(families) == len(rows), "the server answers a family twice")
        return families

    def families(self, job):
        """The same without units."""
        return {name: said[:2] for name, said in self.metadata(job).items()}

    def own_metrics(self):
        """The server's page about itself: {line's head: value}."""
        page = samples.get(f"http://127.0.0.1:{self.port}/metrics").decode()
        return dict(line.rsplit(" ", 1) for line in page.split("\n") if line and not line.startswith("#"))

    def last_scrape(self, job, after):
        """The time of the last good scrape of a job that began at `after` or later, as text; or None."""
        try:
            times = self.query(f'timestamp(up{{job="{job}"}})')
        except urllib.error.HTTPError as error:
            if error.code == 503:  # it scrapes a moment before it answers
                return None
            raise
        for moment in times.values():
            moment = f"{float(moment):.3f}"
            up = self.query(f'up{{job="{job}"}}', at=moment)
            if float(moment) >= after and list(up.values()) == ["1"]:
                return moment
        return None

    def check_nothing_was_dropped(self):
        """Of its scrapes; the server counts what it refused."""
        counted = {head: float(value) for head, value in self.own_metrics().items() if DROPPED.match(head)}
        check(counted, "the server counts nothing of its scrapes")
        check(not any(counted.values()), "the server dropped samples:", counted)
