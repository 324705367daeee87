"""Progress bars on a terminal, and a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

T = TypeVar("T")

PLAIN_EVERY = 5.0  # seconds


class WeekProgress:
    """Weeks done, failed and to go, and the rate. A context manager; writes to standard error."""

    def __init__(self, what: str, total: int) -> None:
        self.done = self.failed = 0
        self._what, self._total = what, total
        self._begin = self._told = time.monotonic()
        self._bar: Progress | None = None
        if sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("[bold]{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[state]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._task = self._bar.add_task(what, total=total, state="")

    def __enter__(self) -> WeekProgress:
        if self._bar:
            self._bar.start()
        return self

    def advance(self, failed: bool = False) -> None:
        """One more week is through."""
        self.done += 1
        self.failed += failed
        if self._bar:
            self._bar.update(self._task, completed=self.done, state=self._state)
        elif time.monotonic() - self._told > PLAIN_EVERY:
            self._tell()

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()
        else:
            self._tell()

    @property
    def _state(self) -> str:
        rate = self.done / max(time.monotonic() - self._begin, 1e-6)
        return f"{self.failed} failed, {self._total - self.done} to go, {rate:.1f} weeks/s"

    def _tell(self) -> None:
        self._told = time.monotonic()
        print(f"{self._what}: {self.done} weeks done, {self._state}", file=sys.stderr)


def counted(items: Iterable[T], what: str, total: int) -> Iterator[T]:
    """The items, with progress shown while they are taken."""
    with WeekProgress(what, total) as progress:
        for item in items:
            progress.advance()
            yield item
