"""One week's way from the feed to the lake, and many weeks' ways side by side.

Audit first, publish after, record last: a week that fails anywhere changes nothing in the lake, and
comes back as an `Outcome` whose failed verdict says why, or which has a fault that nobody foresaw.
A week that is stopped has no outcome: the lake is as it was, and what has come of the file stays.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mta_pipeline import __version__
from mta_pipeline.domain import outcomes
from mta_pipeline.domain.audit import FILE_FETCHED, OBJECT_INTACT, ROW_COUNT_IN_RANGE, Figure, Verdict, audit
from mta_pipeline.domain.compression import Content, compress, content, digest, sha256_of
from mta_pipeline.domain.errors import CorruptObject, LakeError, StagingError, Stopped, disk_errors_as
from mta_pipeline.domain.exceptions import known_fault
from mta_pipeline.domain.feed import Feed
from mta_pipeline.domain.lake import Change, LakeStore, Looked, Published, corrupt, rows_of
from mta_pipeline.domain.layouts import layout_of
from mta_pipeline.domain.origin import Origin
from mta_pipeline.domain.outcomes import failing, side_by_side
from mta_pipeline.domain.scan import Scan, scan
from mta_pipeline.domain.stages import stage
from mta_pipeline.domain.staging import StagedWeek, Staging
from mta_pipeline.domain.weeks import Week

log = logging.getLogger(__name__)

#: Weeks worked on at once in one run. The work is I/O and C code that frees the interpreter lock. On two
#: cores more than this disturb each other (three: a tenth slower) and cost 10 MB each; and over a line that
#: is far away two keep it full.
WORKERS = 2
SWEEP_EVERY = 8  #: weeks between two sweeps of staging; to look at its files for each week takes a tenth of the time


@dataclass(frozen=True)
class RawFile:
    """A week's raw file, audited and staged."""

    path: Path
    source: str | None  #: where it was fetched from; None where nobody knows any more
    sha256: str
    scan: Scan
    seconds: float  #: to fetch (or read again) and audit


@dataclass(frozen=True)
class Before:
    """What the lake held of a week until now. `rows` is None where they cannot be told."""

    content: Content
    rows: int | None


@dataclass(frozen=True)
class StoredObject:
    """A week's object, published and verified."""

    published: Published
    seconds: float  #: to compress, verify and publish
    replaced: Before | None = None  #: what it took the place of, if that was other, and whole


@dataclass
class Outcome(outcomes.Outcome):
    """How a week fared. `raw` and `stored` are there if they are good and were asked for."""

    raw: RawFile | None = None
    stored: StoredObject | None = None


@dataclass(frozen=True)
class Ingest:
    """The way from one feed through one staging folder into one lake."""

    feed: Feed
    staging: Staging
    lake: LakeStore
    feed_scale: float = 1.0
    stop: threading.Event = field(default_factory=threading.Event)  #: once it is set, all work ends soon

    def weeks(
        self, weeks: Iterable[Week], fetch: bool = True, publish: bool = True, workers: int = WORKERS
    ) -> Iterator[Outcome]:
        """The outcomes of `weeks`, each as soon as it is known; arguments as for `week`.

        When the consumer leaves early, weeks under way are stopped and the others do not begin. Raises
        `Stopped` where somebody else has set `stop`.
        """
        number = itertools.count()

        def way(week: Week) -> Outcome:
            if next(number) % SWEEP_EVERY == 0:
                self._make_room()
            return self.week(week, fetch, publish)

        return side_by_side(
            weeks,
            way,
            lambda week, fault: Outcome(week, surprise=fault),
            workers,
            self.stop,
        )

    def week(self, week: Week, fetch: bool = True, publish: bool = True) -> Outcome:
        """Bring one week to staging and, with `publish`, on to the lake.

        Without `fetch` the file that is staged already is used, if there is one; it is audited again.
        Raises `Stopped` soon after `stop` is set.
        """
        outcome = Outcome(week)
        with failing(FILE_FETCHED, outcome), self.staging.claim(week, self.stop) as staged:
            over = None
            if publish:
                with failing(OBJECT_INTACT, outcome):
                    # Before the file is asked for: another machine may get, and publish, a newer one meanwhile.
                    over = Looked(self.lake.stat(week.object_name))
            self._stage(staged, outcome, fetch)
            if outcome.raw and over:
                with failing(OBJECT_INTACT, outcome):
                    self._publish(staged, outcome.raw, outcome, over)
        return outcome

    def _make_room(self) -> None:
        """Sweep staging. Tidying up is no reason to fail: a folder that cannot be used is told of by the week."""
        try:
            self.staging.sweep()
        except StagingError as error:
            log.warning("%s", error)

    def _stage(self, staged: StagedWeek, outcome: Outcome, fetch: bool) -> None:
        """Fetch the file and audit it, and stage it or put it aside; or audit the staged one again.

        A staged file that fails stays where it is: it was good when it was staged, and what speaks against
        it now may lie elsewhere (a scale, a neighbour in the lake). It is the only copy that is here.
        """
        begin = time.monotonic()
        week = staged.week
        source: str | None
        if fetch or not staged.raw.exists():
            with stage("fetch", week) as told:
                fetched = self.feed.fetch(week, staged.incoming, self.stop)
                told.update(bytes=fetched.size, tries=fetched.tries)
            path, sha256, source = staged.incoming, fetched.sha256, fetched.url
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
                origin = Origin.of(path)
            source = origin.url if origin and origin.sha256 == sha256 else None
        with disk_errors_as(StagingError, path, "MTA_STAGING_DIR", week), stage("audit", week) as told:
            seen = scan(path)
            told.update(bytes=seen.size, rows=seen.rows, malformed=seen.malformed)
        neighbours: dict[Week, int] = {}
        if not outcome.failures:
            with failing(ROW_COUNT_IN_RANGE, outcome):
                neighbours = self._rows_in_lake(week)
        if outcome.failures:  # it is the lake that failed: nothing is known against the file
            return
        arriving = path == staged.incoming
        where = source if arriving and source else str(path)
        for verdict in audit(seen, week, where, neighbours, self.feed_scale):
            outcome.add(verdict)
        if arriving and outcome.failures:
            staged.reject()
        if outcome.failures:
            return
        if arriving and source:
            staged.accept(Origin(source, sha256))
        outcome.raw = RawFile(staged.raw, source, sha256, seen, time.monotonic() - begin)

    def _rows_in_lake(self, week: Week) -> dict[Week, int]:
        """The rows of this week and its neighbours of the same layout, as far as the lake has them."""
        layout = layout_of(week)
        rows = {}
        for other in (week.shifted(-1), week, week.shifted(1)):
            # Lines that are let through have any width, by which rows are reckoned.
            if layout_of(other) is layout and not known_fault(other):
                try:
                    stored = rows_of(self.lake, other.object_name, 1 if layout.header else 0)
                except CorruptObject as error:
                    # Another week's damage is not this one's fault; this week's own is mended by it.
                    log.warning("%s", error)
                    stored = None
                if stored is not None:
                    rows[other] = stored
        return rows

    def _publish(self, staged: StagedWeek, raw: RawFile, outcome: Outcome, over: Looked) -> None:
        """Compress, make sure that this holds the audited bytes, publish, and see what is stored."""
        begin = time.monotonic()
        week = staged.week
        with disk_errors_as(StagingError, staged.compressed, "MTA_STAGING_DIR", week), stage("compress", week) as told:
            compress(raw.path, staged.compressed)
            with staged.compressed.open("rb") as file:
                held = content(file)
                file.seek(0)
                compressed = digest(file)
            told.update(bytes=compressed.size)
        wanted = Content(raw.scan.size, raw.sha256)
        if held != wanted:
            raise corrupt(str(staged.compressed), f"{held}", f"{wanted}")
        metadata = {
            "week": week.key,
            "rows": str(raw.scan.rows),
            "sha256": raw.sha256,
            "pipeline": __version__,
        }
        if raw.source:
            metadata["source"] = raw.source
        if self.stop.is_set():
            raise Stopped
        before = self._before(week) if over.digest and over.digest != compressed else None
        with stage("publish", week) as told:
            published = self.lake.publish(staged.compressed, week.object_name, metadata, over)
            told.update(bytes=published.digest.size, change=published.change.value)
        if published.digest != compressed:
            raise corrupt(published.uri, f"{published.digest}", f"{compressed}")
        replaced = before if published.change is Change.REPLACED else None
        outcome.stored = StoredObject(published, time.monotonic() - begin, replaced)
        outcome.add(
            Verdict(
                OBJECT_INTACT,
                figures={
                    "bytes": held.size,
                    "compressed bytes": compressed.size,
                    "crc32c": f"{compressed.crc32c:08x}",
                    "sha256": held.sha256,
                    "rows": raw.scan.rows,
                    "change": published.change.value,
                },
            )
        )

    def _before(self, week: Week) -> Before | None:
        """What the lake has of a week; None where that is not whole: then it has nothing to compare with."""
        try:
            with self.lake.open(week.object_name) as file:
                held = content(file)
        except (OSError, LakeError) as fault:
            log.warning("Week %s: the object that is replaced cannot be read (%s)", week, fault)
            return None
        try:
            return Before(held, rows_of(self.lake, week.object_name, 1 if layout_of(week).header else 0))
        except LakeError:  # of lines that were let through, or of another layout
            return Before(held, None)
