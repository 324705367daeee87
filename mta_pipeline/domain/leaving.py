"""Reading from what may never answer, such that one can leave at any moment.

A thread that is blocked in a read (or in a look-up of a name, or in opening a file on a network disk)
cannot be interrupted. So the reading is done in a thread of its own, and whoever waits for it can go.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import closing
from typing import TypeVar

from mta_pipeline.domain.errors import Stopped

T = TypeVar("T")

LOOK_EVERY = 0.1  # seconds between two looks at the signal to stop, while nothing comes
AHEAD = 16  # items read before they are taken, at most
HANDFUL = 4  # items for which the taker is woken; fewer it takes when it looks


class Late(Exception):
    """The deadline has passed."""


def read_apart(items: Generator[T], stop: threading.Event, deadline: float) -> Generator[T]:
    """The `items`, read in a thread of their own.

    Raises what `items` raise; `Stopped` soon after `stop` is set; `Late` soon after `time.monotonic()` is
    past `deadline`. A read that is blocked then is left behind: its thread ends when it returns, or with
    the process.
    """
    came: list[T | _End] = []
    changed = threading.Condition()
    left = threading.Event()

    def put(item: T | _End, first: bool = False) -> None:
        with changed:
            changed.wait_for(lambda: len(came) < AHEAD or left.is_set())
            came.append(item)
            # To wake somebody costs more than a piece of a file does.
            if first or len(came) >= HANDFUL or isinstance(item, _End):
                changed.notify()

    def read() -> None:
        end = _End()
        try:
            with closing(items):
                for number, item in enumerate(items):
                    put(item, first=number == 0)
                    if left.is_set():
                        return
        except BaseException as fault:  # noqa: BLE001 # it is raised again, over there
            end.fault = fault
        put(end)

    def look() -> None:
        if stop.is_set():
            raise Stopped
        if time.monotonic() > deadline:
            raise Late

    look()
    threading.Thread(target=read, name=f"{threading.current_thread().name} reading", daemon=True).start()
    try:
        while True:
            look()
            with changed:
                if not came:
                    changed.wait(LOOK_EVERY)
                taken, came[:] = came[:], []
                changed.notify()
            for item in taken:
                look()
                if not isinstance(item, _End):
                    yield item
                elif item.fault is None:
                    return
                else:
                    raise item.fault
    finally:
        with changed:
            left.set()
            changed.notify()


class _End:
    """Nothing more comes; `fault` says why where it is not the end of the items."""

    fault: BaseException | None = None
