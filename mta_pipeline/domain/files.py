"""Files that appear whole or not at all, and locks that a killed process cannot leave behind."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from mta_pipeline.domain.errors import Stopped

log = logging.getLogger(__name__)

LOOK_EVERY = 0.1  # seconds between two tries for a lock, where one may be told to stop waiting


@contextmanager
def whole_file(path: Path, durable: bool = False) -> Iterator[BinaryIO]:
    """A file to write that takes `path`'s place when the body ends well, and vanishes otherwise.

    The bytes wait in the hidden `.<name>.part` beside it, where the body may read them again. Of two
    writers at once the second waits for the first; what a killed one left is written over. With
    `durable` the bytes are on disk before the name is. Raises `OSError`; then `path` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with exclusive(part) as file:
        try:
            file.truncate()
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    if durable:
        try:
            _sync_folder(path.parent)
        except OSError as fault:
            # The file is there, whole, for all to see: that only a power cut might undo it is no failure.
            log.warning("%s may be lost in a power cut: its folder could not be synchronized (%s)", path, fault)


class HeldElsewhere(Exception):
    """Somebody else has the lock."""


@contextmanager
def locked(path: Path, wait: bool = True, stop: threading.Event | None = None) -> Iterator[bool]:
    """Hold the lock file `path` during the body; the file is gone afterwards.

    Yields whether the lock is held: always so with `wait`, else false where another has it. Raises
    `Stopped` when `stop` is set while it waits.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive(path, wait, stop))
            stack.callback(path.unlink, missing_ok=True)
            held = True
        except HeldElsewhere:
            held = False
        yield held


@contextmanager
def exclusive(path: Path, wait: bool = True, stop: threading.Event | None = None) -> Iterator[BinaryIO]:
    """Open `path` for writing, created where missing, as the only process and thread that has it so.

    The kernel drops the lock when the process ends, however it ends. Without `wait` raises
    `HeldElsewhere` where another holds it; `Stopped` when `stop` is set while it waits.
    """
    while True:
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait and not stop else fcntl.LOCK_NB))
            except BlockingIOError:
                if not (wait and stop):
                    raise HeldElsewhere(path) from None
                if stop.wait(LOOK_EVERY):
                    raise Stopped from None
                continue
            # Whoever had it before us may have renamed or removed the file that we waited for.
            if _same_file(file, path):
                yield file
                return


def _same_file(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
