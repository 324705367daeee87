"""A staging folder and a lake under a temporary folder, fed by the scripted server."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from mta_pipeline.domain.audit import Check
from mta_pipeline.domain.errors import Finding
from mta_pipeline.domain.feed import MOST_BYTES, Feed, Patience
from mta_pipeline.domain.ingest import Ingest, Outcome
from mta_pipeline.domain.lake import LocalStore
from mta_pipeline.domain.origin import path_of
from mta_pipeline.domain.staging import Staging
from mta_pipeline.domain.weeks import Week
from mta_pipeline_tests.feed_server import FeedServer, whole
from mta_pipeline_tests.turnstile_files import SCALE, valid_file

#: Three weeks side by side; the one in the middle is the one that tests hurt.
BEFORE, WEEK, AFTER = (Week(date(2024, 1, day)) for day in (6, 13, 20))
LEGACY_WEEK = Week(date(2011, 5, 21))

#: Three tries in well under two seconds, and yet no false alarm on a busy machine.
IMPATIENT = Patience(connect=2, read=0.5, attempt=5, tries=3, first_pause=0.001, longest_pause=0.002)


@dataclass
class Workbench:
    """Where a test's weeks come from and go to."""

    server: FeedServer
    folder: Path
    staging: Path = field(init=False)
    lake: Path = field(init=False)
    #: What the server gives out for the good weeks.
    good: dict[Week, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.staging = self.folder / "staging"
        self.lake = self.folder / "lake"

    def ingest(self, feed_url: str = "", patience: Patience = IMPATIENT, most_bytes: int = MOST_BYTES) -> Ingest:
        feed = Feed(feed_url or self.server.url, patience, most_bytes)
        return Ingest(feed, Staging(self.staging), LocalStore(self.lake), SCALE)

    def offer(self, *weeks: Week, seed: int = 0) -> None:
        """Let the server have a good file for each week."""
        for week in weeks:
            self.good[week] = valid_file(week, seed=seed)
            self.server.serve(week, whole(self.good[week], length=False))

    def fill_lake(self, *weeks: Week, seed: int = 99) -> dict[Week, bytes]:
        """Ingest good files; returns the objects' bytes. What is offered later differs from them."""
        self.offer(*weeks, seed=seed)
        for outcome in self.ingest().weeks(weeks):
            assert not outcome.failures, outcome.failures
        return {week: self.object_of(week).read_bytes() for week in weeks}

    def object_of(self, week: Week) -> Path:
        return self.lake / week.object_name

    def raw_in_lake(self, week: Week) -> bytes:
        """What the week's object holds, read by Python's own gzip."""
        return gzip.decompress(self.object_of(week).read_bytes())

    def half_done(self) -> list[Path]:
        """All that nobody should find in staging or lake between two runs."""
        files = [path for folder in (self.staging, self.lake) for path in folder.rglob("*") if path.is_file()]
        allowed = set(self.staging.glob("turnstile_??????.txt")) | set(
            self.staging.glob("rejected/turnstile_??????.txt")
        )
        allowed |= {path_of(path) for path in self.staging.glob("turnstile_??????.txt")}
        allowed |= set(self.lake.glob("turnstile/turnstile_??????.csv.gz"))
        return [path for path in files if path not in allowed]


def by_week(outcomes: Iterable[Outcome]) -> dict[Week, Outcome]:
    return {outcome.week: outcome for outcome in outcomes}


def finding_of(outcome: Outcome, check: Check) -> Finding:
    """What `check` found wrong; fails where it passed or was not run."""
    assert check in outcome.verdicts, f"{check.name} was not run"
    finding = outcome.verdicts[check].finding
    assert finding is not None, f"{check.name} passed"
    return finding
