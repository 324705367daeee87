"""What can go wrong, as types, and the one form in which it is told.

A `Finding` is the sentence a person reads when a week is red; failed checks carry one, and so does
each error. Errors are raised where the fault is seen; `ingest` turns them into failed checks.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from mta_pipeline.domain.weeks import Week


@dataclass(frozen=True)
class Finding:
    """One fault, complete: which week, where, what was found, what was expected, what to do."""

    where: str
    found: str
    expected: str
    remedy: str
    week: Week | None = None

    def __str__(self) -> str:
        subject = f"Week {self.week.key}: " if self.week else ""
        return f"{subject}{self.where}: found {self.found}; expected {self.expected}. {self.remedy}"


class PipelineError(Exception):
    """Base of all errors that this project raises on purpose; `finding` says everything."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding)
        self.finding = finding

    def __str__(self) -> str:
        return str(self.finding)


class SettingsError(PipelineError):
    """An environment variable holds something that cannot be meant."""


class WeekError(PipelineError):
    """A week was asked for that does not exist (yet)."""


class FeedError(PipelineError):
    """The feed did not deliver a week's file, and asking again now would not change that."""


class NotPublished(FeedError):
    """The feed answered, but has no file for this week (404, or no such file in the folder)."""


class TransientFeedError(FeedError):
    """The feed failed in a way that often passes: worth asking again after `retry_after` seconds."""

    def __init__(self, finding: Finding, retry_after: float | None = None) -> None:
        super().__init__(finding)
        self.retry_after = retry_after


class StagingError(PipelineError):
    """The local scratch folder could not be written or read."""


class LakeError(PipelineError):
    """An object could not be published to the lake, or read from it."""


class CorruptObject(LakeError):
    """What the lake (or its waiting room) holds is not what was put there."""


class RecordError(PipelineError):
    """Dagster's record of runs could not be written or read."""


class Stopped(Exception):
    """We were told to stop. No fault of the week that was under way, so no `PipelineError`: it is as it was."""


@contextmanager
def disk_errors_as(error: type[PipelineError], path: Path, setting: str, week: Week | None = None) -> Iterator[None]:
    """Re-raise an `OSError` of the body as `error`, naming `path` and the `setting` that chose it."""
    try:
        yield
    except OSError as fault:
        if fault.errno in (errno.ENOSPC, errno.EDQUOT):
            remedy = f"Free some space, or point {setting} at a larger disk, and run the week again."
        elif fault.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            remedy = f"Give this user the right to write there, or point {setting} elsewhere."
        else:
            remedy = f"Check that folder, or point {setting} elsewhere, and run the week again."
        raise error(
            Finding(
                week=week,
                where=str(fault.filename or path),
                found=f"{type(fault).__name__} ({fault.strerror or fault})",
                expected="a folder that can be written and read",
                remedy=remedy,
            )
        ) from fault
