"""How a week fared on its way through a stage, and many weeks' ways side by side.

Every stage has weeks that stand alone: one that fails is an `Outcome` with a failed verdict, or with a fault
that nobody foresaw, and the others go on. What a stage makes of a good week it adds in a class of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

from mta_pipeline.domain.audit import Check, Verdict
from mta_pipeline.domain.errors import Finding, PipelineError, Stopped
from mta_pipeline.domain.settings import without_credentials
from mta_pipeline.domain.weeks import Week


@dataclass
class Outcome:
    """How a week fared."""

    week: Week
    verdicts: dict[Check, Verdict] = field(default_factory=dict)
    surprise: BaseException | None = None  #: a fault that nobody foresaw, with its traceback

    @property
    def failures(self) -> list[Finding]:
        """Why the week is red: what its blocking checks found, or the surprise. Empty when it is good."""
        found = [v.finding for v in self.verdicts.values() if v.finding and v.check.blocking]
        return found + ([_unforeseen(self.week, self.surprise)] if self.surprise else [])

    def add(self, verdict: Verdict) -> None:
        """Keep a verdict; a later one of the same check takes its place."""
        self.verdicts[verdict.check] = verdict


O = TypeVar("O", bound=Outcome)  # noqa: E741


def side_by_side(
    weeks: Iterable[Week],
    way: Callable[[Week], O],
    surprised: Callable[[Week, BaseException], O],
    workers: int,
    stop: threading.Event,
) -> Iterator[O]:
    """What `way` makes of each of `weeks`, `workers` at a time, each as soon as it is known.

    Of a way that raises, the outcome is what `surprised` says. When the consumer leaves early, `stop` is set,
    which is to end the weeks under way soon, and the others do not begin. Raises `Stopped` where somebody else
    has set it.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="week")
    try:
        futures = {pool.submit(way, week): week for week in weeks}
        for future in as_completed(list(futures)):
            week = futures.pop(future)
            fault = future.exception()
            if isinstance(fault, Stopped):
                raise fault
            yield future.result() if fault is None else surprised(week, fault)
    except BaseException:  # an interruption, or the generator's end
        stop.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def failing(check: Check, outcome: Outcome) -> Iterator[None]:
    """What the body raises on purpose is this check's failure, and this week's alone."""
    try:
        yield
    except PipelineError as error:
        outcome.add(Verdict(check, replace(error.finding, week=outcome.week)))


def _unforeseen(week: Week, fault: BaseException) -> Finding:
    return Finding(
        week=week,
        where="the pipeline itself",
        found=f"a fault that nobody foresaw, {type(fault).__name__}: {without_credentials(str(fault))}",
        expected="none",
        remedy="Its traceback is in the run's log. The lake has what it had; please report this.",
    )
