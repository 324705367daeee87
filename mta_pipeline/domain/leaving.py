"""Reading from what may never answer, such that one can leave at any moment.

A thread that is blocked in a read (or in a look-up of a name, or in opening a file on a network disk)
cannot be interrupted. So the reading is done in a thread of its own, and whoever waits for it can go.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Generator
from contextlib import closing
from typing import TypeVar

from mta_pipeline.domain.errors import Stopped

T = TypeVar("T")

LOOK_EVERY = 0.1  # seconds between two looks at the signal to stop, while nothing comes
AHEAD = 8  # items read before they are taken


class Late(Exception):
    """The deadline has passed."""


def read_apart(items: Generator[T], stop: threading.Event, deadline: float) -> Generator[T]:
    """The `items`, read in a thread of their own.

    Raises what `items` raise; `Stopped` soon after `stop` is set; `Late` soon after `time.monotonic()` is
    past `deadline`. A read that is blocked then is left behind: its thread ends when it returns, or with
    the process.
    """
    if stop.is_set():
        raise Stopped
    came: queue.Queue[T | _End] = queue.Queue(AHEAD)
    left = threading.Event()

    def put(item: T | _End) -> None:
        while not left.is_set():
            try:
                came.put(item, timeout=LOOK_EVERY)
                break
            except queue.Full:
                continue

    def read() -> None:
        end = _End()
        try:
            with closing(items):
                for item in items:
                    put(item)
                    if left.is_set():
                        return
        except BaseException as fault:  # noqa: BLE001 # it is raised again, over there
            end.fault = fault
        put(end)

    threading.Thread(target=read, name=f"{threading.current_thread().name} reading", daemon=True).start()
    try:
        while True:
            if stop.is_set():
                raise Stopped
            if time.monotonic() > deadline:
                raise Late
            try:
                item = came.get(timeout=LOOK_EVERY)
            except queue.Empty:
                continue
            if not isinstance(item, _End):
                yield item
            elif item.fault is None:
                return
            else:
                raise item.fault
    finally:
        left.set()


class _End:
    """Nothing more comes; `fault` says why where it is not the end of the items."""

    fault: BaseException | None = None
