"""One week's way from the feed to the lake, and many weeks' ways side by side.

Audit first, publish after, record last: a week that fails anywhere changes nothing in the lake, and
comes back as an `Outcome` whose failed verdict says why. Faults that nobody foresaw are not turned
into outcomes; they surface when all other weeks are through.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from mta_pipeline import __version__
from mta_pipeline.domain.audit import FILE_FETCHED, OBJECT_INTACT, ROW_COUNT_IN_RANGE, Check, Figure, Verdict, audit
from mta_pipeline.domain.compression import Content, compress, content, digest, sha256_of
from mta_pipeline.domain.errors import CorruptObject, Finding, PipelineError, StagingError, disk_errors_as
from mta_pipeline.domain.feed import Feed
from mta_pipeline.domain.lake import LakeStore, Published, corrupt, rows_of
from mta_pipeline.domain.layouts import layout_of
from mta_pipeline.domain.scan import Scan, scan
from mta_pipeline.domain.staging import StagedWeek, Staging
from mta_pipeline.domain.weeks import Week

log = logging.getLogger(__name__)

#: Weeks worked on at once in one run. The work is I/O and C code that frees the interpreter lock;
#: more than this gains nothing on two cores and costs some 15 MB each.
WORKERS = 3


@dataclass(frozen=True)
class RawFile:
    """A week's raw file, audited and staged."""

    path: Path
    source: str
    sha256: str
    scan: Scan
    seconds: float  #: to fetch (or read again) and audit


@dataclass(frozen=True)
class StoredObject:
    """A week's object, published and verified."""

    published: Published
    seconds: float  #: to compress, verify and publish


@dataclass
class Outcome:
    """How a week fared. `raw` and `stored` are there if they are good and were asked for."""

    week: Week
    raw: RawFile | None = None
    stored: StoredObject | None = None
    verdicts: dict[Check, Verdict] = field(default_factory=dict)

    @property
    def failures(self) -> list[Finding]:
        """Why the week is red: what its blocking checks found. Empty when it is good."""
        return [v.finding for v in self.verdicts.values() if v.finding and v.check.blocking]

    def add(self, verdict: Verdict) -> None:
        """Keep a verdict; a later one of the same check takes its place."""
        self.verdicts[verdict.check] = verdict


@dataclass(frozen=True)
class Ingest:
    """The way from one feed through one staging folder into one lake."""

    feed: Feed
    staging: Staging
    lake: LakeStore
    feed_scale: float = 1.0

    def weeks(
        self, weeks: Iterable[Week], fetch: bool = True, publish: bool = True, workers: int = WORKERS
    ) -> Iterator[Outcome]:
        """The outcomes of `weeks`, each as soon as it is known; arguments as for `week`."""
        surprises: list[BaseException] = []
        with ThreadPoolExecutor(workers, thread_name_prefix="ingest") as pool:
            futures = {pool.submit(self.week, week, fetch, publish): week for week in weeks}
            try:
                for future in as_completed(list(futures)):
                    week = futures.pop(future)
                    surprise = future.exception()
                    if surprise is None:
                        yield future.result()
                    else:
                        log.error("Week %s met a fault that nobody foresaw", week, exc_info=surprise)
                        surprises.append(surprise)
            finally:
                # When the consumer stops early, weeks under way end and the others do not begin.
                pool.shutdown(wait=False, cancel_futures=True)
        if surprises:
            raise surprises[0]

    def week(self, week: Week, fetch: bool = True, publish: bool = True) -> Outcome:
        """Bring one week to staging and, with `publish`, on to the lake.

        Without `fetch` the file that is staged already is used, if there is one; it is audited again.
        """
        outcome = Outcome(week)
        with _failing(FILE_FETCHED, outcome), self.staging.claim(week) as staged:
            self._stage(staged, outcome, fetch)
            if outcome.raw and publish:
                with _failing(OBJECT_INTACT, outcome):
                    self._publish(staged, outcome.raw, outcome)
        return outcome

    def _stage(self, staged: StagedWeek, outcome: Outcome, fetch: bool) -> None:
        """Fetch the file (or take the staged one), audit it, and stage it or put it aside."""
        begin = time.monotonic()
        week, source = staged.week, self.feed.url_of(staged.week)
        if fetch or not staged.raw.exists():
            fetched = self.feed.fetch(week, staged.incoming)
            path, sha256 = staged.incoming, fetched.sha256
            figures: dict[str, Figure] = {
                "bytes": fetched.size,
                "seconds": round(fetched.seconds, 3),
                "MB/s": round(fetched.size / 1e6 / max(fetched.seconds, 1e-6), 1),
                "tries": fetched.tries,
                "source": source,
                "version": fetched.version,
            }
            outcome.add(Verdict(FILE_FETCHED, figures=figures))
        else:
            path = staged.raw
            with disk_errors_as(StagingError, path, "MTA_STAGING_DIR", week), path.open("rb") as file:
                sha256 = sha256_of(file)
        with disk_errors_as(StagingError, path, "MTA_STAGING_DIR", week):
            seen = scan(path)
        with _failing(ROW_COUNT_IN_RANGE, outcome):
            neighbours = self._rows_in_lake(week)
        if outcome.failures:  # it is the lake that failed: nothing is known against the file
            return
        for verdict in audit(seen, week, source, neighbours, self.feed_scale):
            outcome.add(verdict)
        if outcome.failures:
            staged.reject(path)
            return
        if path == staged.incoming:
            staged.accept()
        outcome.raw = RawFile(staged.raw, source, sha256, seen, time.monotonic() - begin)

    def _rows_in_lake(self, week: Week) -> dict[Week, int]:
        """The rows of this week and its neighbours of the same layout, as far as the lake has them."""
        layout = layout_of(week)
        rows = {}
        for other in (week.shifted(-1), week, week.shifted(1)):
            if layout_of(other) is layout:
                try:
                    stored = rows_of(self.lake, other.object_name, 1 if layout.header else 0)
                except CorruptObject as error:
                    # Another week's damage is not this one's fault; this week's own is mended by it.
                    log.warning("%s", error)
                    stored = None
                if stored is not None:
                    rows[other] = stored
        return rows

    def _publish(self, staged: StagedWeek, raw: RawFile, outcome: Outcome) -> None:
        """Compress, make sure that this holds the audited bytes, publish, and see what is stored."""
        begin = time.monotonic()
        week = staged.week
        with disk_errors_as(StagingError, staged.compressed, "MTA_STAGING_DIR", week):
            compress(raw.path, staged.compressed)
            with staged.compressed.open("rb") as file:
                held = content(file)
                file.seek(0)
                compressed = digest(file)
        headers = 1 if layout_of(week).header else 0
        wanted = Content(raw.scan.size, raw.scan.rows + headers, raw.sha256)
        if held != wanted:
            raise corrupt(str(staged.compressed), f"{held}", f"{wanted}")
        metadata = {
            "week": week.key,
            "rows": str(raw.scan.rows),
            "sha256": raw.sha256,
            "source": raw.source,
            "pipeline": __version__,
        }
        published = self.lake.publish(staged.compressed, week.object_name, metadata)
        if published.digest != compressed:
            raise corrupt(published.uri, f"{published.digest}", f"{compressed}")
        outcome.stored = StoredObject(published, time.monotonic() - begin)
        outcome.add(
            Verdict(
                OBJECT_INTACT,
                figures={
                    "bytes": held.size,
                    "compressed bytes": compressed.size,
                    "crc32c": f"{compressed.crc32c:08x}",
                    "sha256": held.sha256,
                    "rows": held.lines - headers,
                    "change": published.change.value,
                },
            )
        )


@contextmanager
def _failing(check: Check, outcome: Outcome) -> Iterator[None]:
    """What the body raises on purpose is this check's failure, and this week's alone."""
    try:
        yield
    except PipelineError as error:
        outcome.add(Verdict(check, replace(error.finding, week=outcome.week)))
