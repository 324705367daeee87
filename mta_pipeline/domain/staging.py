"""Staging: the local folder in which a raw file waits, and is looked at, before it counts.

A file arrives under `<name>.part`, takes its published name when it has passed its audit, and
moves to `rejected/` when it has not. Where it came from is kept beside it, see `origin`. One process
at a time works on a week. What is older than `KEEP_DAYS`, or over `KEEP_BYTES`, is swept as weeks come
in: the lake has the bytes. What stages need for a moment is in folders of their own (`scratch`).
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from mta_pipeline.domain.errors import StagingError, Stopped, disk_errors_as
from mta_pipeline.domain.files import locked
from mta_pipeline.domain.origin import Origin, path_of
from mta_pipeline.domain.weeks import Week

KEEP_DAYS = 14
#: Of good files, and of rejected ones again: 32 full weeks. A backfill passes them by in seconds, so that what is swept
#: has not even been written to the disk yet: Linux waits 30 s with that.
KEEP_BYTES = 1 << 30
A_DAY = 86_400
SCRATCH = ".scratch-"


@dataclass(frozen=True)
class StagedWeek:
    """One week's places in staging, claimed by this process."""

    folder: Path
    week: Week

    @property
    def raw(self) -> Path:
        """The audited file under its published name; exists only if it was accepted."""
        return self.folder / self.week.file_name

    @property
    def incoming(self) -> Path:
        """Where the file is written while it arrives and is audited."""
        return self.folder / f"{self.week.file_name}.part"

    @property
    def compressed(self) -> Path:
        """Where the object is prepared; gone when the claim ends."""
        return self.folder / f"{self.week.file_name}.gz.part"

    @property
    def rejected(self) -> Path:
        """Where a file that failed its audit is kept for people."""
        return self.folder / "rejected" / self.week.file_name

    def accept(self, origin: Origin) -> None:
        """Give the incoming file its published name, and keep where it came from."""
        with self._errors():
            self.incoming.replace(self.raw)
            origin.write(self.raw)
            self.rejected.unlink(missing_ok=True)

    def reject(self) -> None:
        """Put the incoming file aside, where a person can look at it."""
        with self._errors():
            self.rejected.parent.mkdir(exist_ok=True)
            self.incoming.replace(self.rejected)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        with disk_errors_as(StagingError, self.folder, "MTA_STAGING_DIR", self.week):
            yield


@dataclass(frozen=True)
class Staging:
    """The staging folder."""

    folder: Path

    @contextmanager
    def claim(self, week: Week, stop: threading.Event | None = None) -> Iterator[StagedWeek]:
        """One week's places, ours alone; waits for another process that is at this week.

        At the end nothing half-done is left, but for a file whose arrival was stopped: a later claim may go
        on with it. Raises `StagingError` where the folder cannot be used, `Stopped` when `stop` is set
        while it waits.
        """
        staged = StagedWeek(self.folder, week)
        half_done = [staged.compressed, staged.incoming, path_of(staged.incoming)]
        stack = ExitStack()
        with disk_errors_as(StagingError, self.folder, "MTA_STAGING_DIR", week):
            stack.enter_context(locked(self._lock(week.file_name), stop=stop))
        try:
            yield staged
        except Stopped:
            half_done = [staged.compressed]
            raise
        finally:
            with disk_errors_as(StagingError, self.folder, "MTA_STAGING_DIR", week), stack:
                for path in half_done:
                    path.unlink(missing_ok=True)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for the body alone, gone with all that is in it when it ends. Raises `StagingError`."""
        with disk_errors_as(StagingError, self.folder, "MTA_STAGING_DIR"):
            self.folder.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=self.folder))
        try:
            yield folder
        finally:
            with disk_errors_as(StagingError, self.folder, "MTA_STAGING_DIR"):
                shutil.rmtree(folder)

    def sweep(self, now: float | None = None) -> list[Path]:
        """Remove what is too old or too much, the oldest first, but for weeks being worked on.

        Good files and rejected ones do not push each other out. Half-done files of killed runs go after a day.
        Returns what was removed.
        """
        now = time.time() if now is None else now
        with disk_errors_as(StagingError, self.folder, "MTA_STAGING_DIR"):
            for stat, folder in list(_stats(self.folder.glob(f"{SCRATCH}*"))):
                if now - stat.st_mtime > A_DAY:
                    shutil.rmtree(folder, ignore_errors=True)
            removed: list[Path] = []
            for stat, path in (*self._due("turnstile_*", now), *self._due("rejected/turnstile_*", now)):
                with locked(self._lock(path.name), wait=False) as ours:
                    # Whoever had the lock may just have put a new file in this one's place.
                    if ours and [seen.st_mtime_ns for seen, _ in _stats([path])] == [stat.st_mtime_ns]:
                        path.unlink()
                        removed.append(path)
            return removed

    def _due(self, names: str, now: float) -> Iterator[tuple[os.stat_result, Path]]:
        """Of the files with such names those that are too old, or too much beside the newer ones."""
        kept = 0
        for stat, path in sorted(_stats(self.folder.glob(names)), key=lambda entry: entry[0].st_mtime, reverse=True):
            days = 1 if ".part" in path.suffixes else KEEP_DAYS
            kept += stat.st_size
            if now - stat.st_mtime > days * A_DAY or kept > KEEP_BYTES:
                yield stat, path

    def _lock(self, name: str) -> Path:
        """The lock of the week that the file `name` (or its `.part`) belongs to."""
        return self.folder / ".locks" / name.split(".", maxsplit=1)[0]


def _stats(paths: Iterable[Path]) -> Iterator[tuple[os.stat_result, Path]]:
    """What is known of files, as far as they are still there: other runs come and go meanwhile."""
    for path in paths:
        try:
            yield path.stat(), path
        except FileNotFoundError:
            continue
