"""Watchers that see each version of each object in the lake, in the order in which they appear.

The folder's is told by the kernel (inotify), so that nothing is missed between two looks; the bucket's
by the proxy in front of it, at each write that is carried out.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import struct
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from chaos.checker import Seen
from mta_pipeline_tests.gcs_server import GcsServer

MODIFY, MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x2, 0x40, 0x80, 0x100, 0x200  # inotify(7)
EVENT = struct.Struct("iIII")


class FolderWatch:
    """Sees what becomes of the files of one folder; a context manager."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self.history: list[Seen] = []
        self._folder, self._prefix = folder, prefix
        self._thread = threading.Thread(target=self._watch)
        self._reading = threading.Lock()

    def __enter__(self) -> FolderWatch:
        libc = ctypes.CDLL(None, use_errno=True)
        self._inotify = libc.inotify_init1(os.O_CLOEXEC)
        mask = MODIFY | MOVED_FROM | MOVED_TO | CREATE | DELETE
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._inotify < 0 or libc.inotify_add_watch(self._inotify, os.fsencode(self._folder), mask) < 0:
            raise OSError(ctypes.get_errno(), f"cannot watch {self._folder}")
        self._ends, self._end = os.pipe()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._end)
        self._thread.join()
        os.close(self._ends)
        os.close(self._inotify)

    def settle(self) -> None:
        """Wait until all that has happened is in the history."""
        while True:
            with self._reading:
                if not select.select([self._inotify], [], [], 0)[0]:
                    return
            time.sleep(0.001)

    def _watch(self) -> None:
        while True:
            ready, _, _ = select.select([self._inotify, self._ends], [], [])
            if self._inotify in ready:
                with self._reading:
                    self._read(os.read(self._inotify, 1 << 16))
            elif self._ends in ready:
                return

    def _read(self, events: bytes) -> None:
        at = 0
        while at < len(events):
            _, mask, _, length = EVENT.unpack_from(events, at)
            name = events[at + EVENT.size : at + EVENT.size + length].rstrip(b"\0").decode()
            at += EVENT.size + length
            if not name.startswith("."):  # hidden ones are under way
                self._see(name, mask)

    def _see(self, name: str, mask: int) -> None:
        content = None
        if not mask & (DELETE | MOVED_FROM):
            with suppress(FileNotFoundError):  # its removal is told of next
                content = (self._folder / name).read_bytes()
            if content is None:
                return
        self.history.append(Seen(self._prefix + name, content, in_place=bool(mask & (CREATE | MODIFY))))


class BucketWatch:
    """Sees what becomes of the objects of a bucket."""

    def __init__(self, gcs: GcsServer, bucket: str) -> None:
        self.history: list[Seen] = []
        self._gcs, self._bucket = gcs, bucket
        gcs.written = self._written

    def _written(self, target: str) -> None:
        bucket, _, name = target.partition("/")
        content = read_object(self._gcs, bucket, name) if bucket == self._bucket else None
        if content is not None:  # a session that only begins has written nothing yet
            self.history.append(Seen(name, content))


def read_object(gcs: GcsServer, bucket: str, name: str) -> bytes | None:
    """What an object holds, read past the proxy; None where there is none."""
    target = f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}?alt=media"
    status, _, body = gcs.forward("GET", target, {"Host": gcs.emulator}, b"")
    return body if status == 200 else None


def objects_in(gcs: GcsServer, bucket: str) -> dict[str, bytes]:
    """All objects of a bucket, read past the proxy."""
    _, _, body = gcs.forward("GET", f"/storage/v1/b/{bucket}/o", {"Host": gcs.emulator}, b"")
    names = [str(item["name"]) for item in json.loads(body).get("items", [])]
    return {name: content for name in names if (content := read_object(gcs, bucket, name)) is not None}
