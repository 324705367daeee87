"""The lake: a store of objects by name, into which there is one way, `publish`.

An object appears whole or not at all. `LakeStore` is what any store promises; `LocalStore` keeps
the promises in a folder, `gcs.GcsStore` in a bucket.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from mta_pipeline.domain.compression import Digest, damage_as_os_error, digest, open_gzip, uncompressed_size
from mta_pipeline.domain.errors import CorruptObject, Finding, LakeError, disk_errors_as
from mta_pipeline.domain.files import whole_file


class Change(Enum):
    """What publishing did to the lake."""

    CREATED = "created"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class Published:
    """An object in the lake, as the store itself reports it after publishing."""

    uri: str
    digest: Digest
    change: Change


class LakeStore(Protocol):
    """Objects by name, such as `turnstile/turnstile_230318.csv.gz`. Safe for use by threads."""

    @property
    def url(self) -> str:
        """Where the lake is."""
        ...

    def uri(self, name: str) -> str:
        """The object's address, whether it exists or not."""
        ...

    def exists(self, name: str) -> bool:
        """Whether an object is stored under `name`."""
        ...

    def stat(self, name: str) -> Digest | None:
        """What is stored under `name`, measured by the store; None where nothing is."""
        ...

    def metadata(self, name: str) -> Mapping[str, str] | None:
        """What was published with the object, as far as the store keeps it; None where there is none."""
        ...

    def open(self, name: str) -> BinaryIO:
        """A seekable reader of the stored bytes. Raises `FileNotFoundError` naming the address."""
        ...

    def publish(self, source: Path, name: str, metadata: Mapping[str, str]) -> Published:
        """Store the file `source` as `name`, whole or not at all, replacing what was there.

        The same bytes are not stored again. `metadata` is kept with the object where the store can.
        Raises `LakeError`; what was there before is then still there.
        """
        ...


class LocalStore:
    """A lake in a folder: each object a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def url(self) -> str:
        return str(self._folder)

    def uri(self, name: str) -> str:
        return str(self._path(name))

    def exists(self, name: str) -> bool:
        path = self._path(name)
        with disk_errors_as(LakeError, path, "MTA_LAKE_URL"):
            return path.is_file()

    def stat(self, name: str) -> Digest | None:
        try:
            with self.open(name) as file:
                return digest(file)
        except FileNotFoundError:
            return None

    def metadata(self, name: str) -> Mapping[str, str] | None:
        return {} if self.exists(name) else None

    def open(self, name: str) -> BinaryIO:
        path = self._path(name)
        with disk_errors_as(LakeError, path, "MTA_LAKE_URL"):
            try:
                return path.open("rb")
            except (FileNotFoundError, NotADirectoryError):
                pass
        raise MissingObject(str(path))

    def publish(self, source: Path, name: str, metadata: Mapping[str, str]) -> Published:  # noqa: ARG002
        """See `LakeStore`. A folder has no place for `metadata`: the object itself tells it all."""
        path = self._path(name)
        with disk_errors_as(LakeError, path, "MTA_LAKE_URL"):
            with source.open("rb") as file:
                wanted = digest(file)
            stored = self.stat(name)
            if stored == wanted:
                return Published(str(path), stored, Change.UNCHANGED)
            with source.open("rb") as file, whole_file(path, durable=True) as out:
                # Writers wait here for each other: whoever was before us may have changed what we looked at.
                found = self.stat(name)
                if found not in (stored, wanted):
                    raise overtaken(str(path), found, wanted)
                shutil.copyfileobj(file, out, 1 << 20)
        written = self.stat(name)
        if written is None:
            raise LakeError(
                Finding(
                    where=str(path),
                    found="nothing right after publishing",
                    expected=f"the object of {wanted.size:,} bytes",
                    remedy="Something else deletes from the lake: find it, and run the week again.",
                )
            )
        if written != wanted:
            raise overtaken(str(path), written, wanted)
        return Published(str(path), written, Change.REPLACED if stored else Change.CREATED)

    def _path(self, name: str) -> Path:
        return self._folder.joinpath(*parts_of(name))


def parts_of(name: str) -> tuple[str, ...]:
    """The parts of an object's name. Raises `ValueError` for one that would leave the lake, or hide in it."""
    parts = PurePosixPath(name).parts
    if not parts or any(part.startswith(("/", ".")) for part in parts):
        raise ValueError(f"not the name of an object: {name!r}")
    return parts


class MissingObject(FileNotFoundError):
    """There is no object of that name in the lake."""

    def __init__(self, uri: str) -> None:
        super().__init__(errno.ENOENT, "no such object in the lake; materialize lake_object for its week", uri)


def rows_of(store: LakeStore, name: str, header_lines: int) -> int | None:
    """The rows of a stored weekly file, header aside; None where there is no such object.

    Where the store does not know: all lines of an audited file have one width, so its first line and
    the length that gzip keeps in the last four bytes tell the number without reading the rest. Raises
    `CorruptObject`, or another `LakeError`.
    """
    metadata = store.metadata(name)
    if metadata is None:
        return None
    if metadata.get("rows", "").isdigit():
        return int(metadata["rows"])
    try:
        with store.open(name) as file:
            with damage_as_os_error(), open_gzip(file) as lines:
                width = len(lines.readline())
            file.seek(-4, os.SEEK_END)
            size = uncompressed_size(file.read(4))
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise corrupt(store.uri(name), str(fault)) from fault
    if not width or size % width or size < width * header_lines:
        raise corrupt(store.uri(name), f"{size:,} bytes in lines of {width}")
    return size // width - header_lines


def overtaken(uri: str, found: Digest | None, wanted: Digest) -> LakeError:
    """The error for an object that was changed by somebody else between our looking at it and our replacing it."""
    return LakeError(
        Finding(
            where=uri,
            found=f"{found or 'no object'} that another writer left there meanwhile",
            expected=f"{wanted}",
            remedy="Two runs had this week from different files: run it again, from the feed that is right.",
        )
    )


def corrupt(uri: str, found: str, expected: str = "the gzip of a whole weekly file") -> CorruptObject:
    """The error for an object that does not hold what was put there."""
    remedy = "Materialize lake_object for its week again: a damaged object is replaced."
    return CorruptObject(Finding(where=uri, found=found, expected=expected, remedy=remedy))
