"""`mta-pipeline ui` over a sample feed of a year and two weeks, one of which is damaged."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import requests

from mta_pipeline.domain.sample import FULL_WEEK, write_feed
from mta_pipeline.domain.weeks import Week
from mta_pipeline_tests.cli.terminal import MTA_PIPELINE, PROJECT

ROWS = 5_000
YEAR = 52  # weeks
LOCATION = "mta_pipeline"
TO_START, TO_STOP = 120.0, 20.0  # seconds, on a busy machine


def until(what: Callable[[], Any], seconds: float) -> Any:
    """What `what` gives once that is true; for what nobody tells of."""
    end = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < end, f"nothing within {seconds:g} s"
        time.sleep(0.2)
    return value


@dataclass
class Stack:
    """A user's folder, and the address of the UI over it."""

    folder: Path
    url: str
    weeks: list[Week] = field(default_factory=list)

    @property
    def year(self) -> list[Week]:
        """The weeks that are backfilled."""
        return self.weeks[:YEAR]

    @property
    def damaged(self) -> Week:
        """The week of the year whose file is cut in the middle of a line."""
        return self.weeks[29]

    @property
    def single(self) -> Week:
        """The week after the year, materialized by itself."""
        return self.weeks[YEAR]

    @property
    def newest(self) -> Week:
        """The week that is not asked for by anybody but the schedule."""
        return self.weeks[YEAR + 1]

    @property
    def feed(self) -> Path:
        return self.folder / "feed"

    @property
    def log(self) -> Path:
        """What the processes print on the user's terminal."""
        return self.folder / "ui.log"

    @property
    def settings(self) -> dict[str, str]:
        """The environment of a user who chose folders of their own."""
        others = {name: value for name, value in os.environ.items() if not name.startswith(("MTA_", "DAGSTER_"))}
        return others | {
            "MTA_FEED_URL": self.feed.as_uri(),
            "MTA_FEED_SCALE": f"{ROWS / FULL_WEEK:g}",
            "MTA_FIRST_WEEK": self.weeks[0].key,
            "MTA_LAKE_URL": str(self.folder / "lake"),
            "MTA_STAGING_DIR": str(self.folder / "staging"),
            "DAGSTER_HOME": str(self.folder / "home"),
            "MTA_UI_URL": self.url,
        }

    def examine(self) -> str:
        """What `mta-pipeline doctor` says; fails where it finds a failure."""
        command = [*MTA_PIPELINE, "doctor"]
        return subprocess.run(
            command, cwd=PROJECT, env=self.settings, check=True, capture_output=True, text=True
        ).stdout

    def object_of(self, week: Week) -> Path:
        return self.folder / "lake" / week.object_name

    def damage(self) -> None:
        """Cut the damaged week's file, as a broken line would."""
        path = self.feed / self.damaged.file_name
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2 + 47])

    def repair(self) -> None:
        """Put the week's whole file into the feed."""
        (self.feed / self.damaged.file_name).unlink()
        list(write_feed(self.feed, [self.damaged], ROWS))

    def ask(self, query: str, variables: dict[str, object] | None = None) -> Any:
        """What the webserver answers, for questions that no page shows."""
        answer = requests.post(
            f"{self.url}/graphql", json={"query": query, "variables": variables or {}}, timeout=30
        ).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def ready(self) -> bool:
        """Whether the project is loaded and the daemon is at work."""
        try:
            data = self.ask(
                "{ workspaceOrError { ... on Workspace { locationEntries { loadStatus } } }"
                "  instance { daemonHealth { allDaemonStatuses { required healthy } } } }"
            )
        except requests.ConnectionError:
            return False
        loaded = [entry["loadStatus"] for entry in data["workspaceOrError"]["locationEntries"]]
        daemons = data["instance"]["daemonHealth"]["allDaemonStatuses"]
        return loaded == ["LOADED"] and all(daemon["healthy"] for daemon in daemons if daemon["required"])


@contextmanager
def running(folder: Path) -> Iterator[Stack]:
    """The stack in `folder` on a free port, from when it is ready; all its processes are ended afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    newest = Week.newest_published(datetime.now(timezone.utc))
    stack = Stack(folder, f"http://127.0.0.1:{port}", list(Week.between(newest.shifted(-YEAR - 1), newest)))
    list(write_feed(stack.feed, stack.weeks, ROWS))
    stack.damage()
    with stack.log.open("wb") as log:
        process = subprocess.Popen(
            [*MTA_PIPELINE, "ui", "--port", str(port)],
            cwd=PROJECT,
            env=stack.settings,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # so that the group can be ended, whatever it has started
        )
    try:
        until(lambda: stack.ready() or process.poll() is not None, TO_START)
        assert process.poll() is None, stack.log.read_text()
        yield stack
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(TO_STOP)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
