"""A user's shell, for tests of the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mta_pipeline.domain.weeks import Week
from mta_pipeline_tests.orchestration.project import NEWEST, OLDEST

PROJECT = Path(__file__).resolve().parents[2]
MTA_PIPELINE = [sys.executable, "-m", "mta_pipeline.cli.main"]


@dataclass
class Terminal:
    """A user's shell: settings, and a command to type."""

    folder: Path
    settings: dict[str, str]

    def run(
        self, *arguments: str, expect: int = 0, settings: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*MTA_PIPELINE, *arguments],
            cwd=PROJECT,
            env={**os.environ, **self.settings, **(settings or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == expect, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    @property
    def feed(self) -> Path:
        return self.folder / "feed"

    def object(self, week: Week) -> Path:
        return self.folder / "lake" / week.object_name

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*MTA_PIPELINE, *arguments],
            cwd=PROJECT,
            env={**os.environ, **self.settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def states(self, first: Week = OLDEST, last: Week = NEWEST) -> dict[str, str]:
        """What `mta-pipeline weeks` says of each week."""
        window = {"MTA_FIRST_WEEK": first.key, "MTA_LAST_WEEK": last.key}
        shown = json.loads(self.run("weeks", "--json", settings=window).stdout)
        return {week["week"]: week["state"] for week in shown["weeks"]}
