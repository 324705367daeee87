"""One line in the log where a stage of a week's way begins, and one where it ends: key=value, to be searched.

    stage=fetch week=2024-01-06 at=start
    stage=fetch week=2024-01-06 at=end seconds=0.132 bytes=33179392

Which stage a slow or killed run was at, and what each costs, is then a matter of `grep`. The lines go to
this module's logger; `shown` puts them, and the project's warnings, on standard error, which is where
Dagster takes a run's log from. (As events of Dagster they would cost more than some stages do.)
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from mta_pipeline.domain.weeks import Week

log = logging.getLogger(__name__)
project = logging.getLogger("mta_pipeline")


@contextmanager
def stage(name: str, week: Week) -> Iterator[dict[str, object]]:
    """Log the begin and the end of the body; what it puts into the mapping is told at the end.

    A body that raises ends `at=failed`, with the class of its error; why, the week's checks tell.
    """
    told: dict[str, object] = {}
    begin = time.monotonic()
    log.info("stage=%s week=%s at=start", name, week)
    try:
        yield told
    except BaseException as fault:
        _ended(name, week, "failed", begin, {"error": type(fault).__name__})
        raise
    _ended(name, week, "end", begin, told)


def _ended(name: str, week: Week, how: str, begin: float, told: dict[str, object]) -> None:
    pairs = "".join(f" {key}={value}" for key, value in told.items())
    log.info("stage=%s week=%s at=%s seconds=%.3f%s", name, week, how, time.monotonic() - begin, pairs)


class _StandardError(logging.StreamHandler):  # type: ignore[type-arg] # no class of it in Python 3.10
    """Writes to whatever standard error is at the time: Dagster, and tests, put others in its place."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
        formatter.converter = time.gmtime
        self.setFormatter(formatter)

    @property
    def stream(self) -> TextIO:
        return sys.stderr


def shown(verbose: bool = True) -> None:
    """Show the project's log on standard error: all of it, or its warnings.

    The first call decides for the process; where somebody has set logging up already, none does.
    """
    if not project.hasHandlers():
        project.addHandler(_StandardError())
        project.setLevel(logging.INFO if verbose else logging.WARNING)
