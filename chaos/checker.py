"""What the pipeline promises, checked by code that shares nothing with it: the standard library alone.

What is known of the layout of lake, staging and Dagster's record is written down here a second time,
from the README and from Dagster's tables, so that a mistake of the pipeline cannot excuse itself.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import sqlite3
import tempfile
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import Enum
from pathlib import Path

OBJECT = re.compile(r"turnstile/turnstile_([0-9]{6})\.csv\.gz")
HALF_OBJECT = re.compile(r"turnstile/\.turnstile_([0-9]{6})\.csv\.gz\.part")
STAGED = re.compile(r"turnstile_([0-9]{6})\.txt")
REJECTED = re.compile(r"rejected/turnstile_([0-9]{6})\.txt")
ORIGIN = re.compile(r"turnstile_([0-9]{6})\.txt\.origin")
HALF_STAGED = re.compile(
    r"\.locks/turnstile_[0-9]{6}|turnstile_[0-9]{6}\.txt(?:\.gz)?\.part(?:\.origin)?|\.turnstile_[0-9]{6}\.txt.*\.part"
)
LAKE_OBJECT = '["lake_object"]'  # as Dagster writes asset keys


class Promise(Enum):
    """What has to hold, whatever happens."""

    WHOLE = "every object is whole, and equals what the feed served"
    NOT_WORSE = "no object is replaced by something worse"
    GREEN = "no week is green without its object"
    RECORDED = "no object without its green week after the healing run"
    HEALED = "the healing run brings every week"
    NOTHING_ELSE = "nothing else in the lake, or visible in staging"
    HONEST = "a run says what it has done"


@dataclass(frozen=True)
class Broken:
    """A promise that did not hold; `release` is the week's YYMMDD where one week is concerned."""

    promise: Promise
    where: str
    what: str
    release: str = ""

    def __str__(self) -> str:
        return f"{self.promise.value}: {self.where}: {self.what}"


@dataclass(frozen=True)
class Seen:
    """What a name in the lake held at a moment; None: it was gone."""

    name: str
    content: bytes | None
    in_place: bool = False  #: it was written under its visible name, instead of appearing there


@dataclass(frozen=True)
class Recorded:
    """What Dagster's record says of a week's lake_object."""

    green: bool
    sha256: str  #: of the newest materialization; empty where there is none


@dataclass(frozen=True)
class Evidence:
    """All that is looked at. Weeks are known by the date of their release, YYMMDD."""

    served: Mapping[str, Sequence[str]]  #: sha256 of each good file that the feed had, oldest first
    lake: Mapping[str, bytes]  #: all that is there, by name
    history: Sequence[Seen]  #: all that was seen there, oldest first
    record: Mapping[str, Recorded]
    staging: Sequence[Mapping[str, bytes]]  #: all that is in each staging folder, by path
    wanted: Mapping[str, Collection[str]] = field(default_factory=dict)  #: what the objects must hold in the end
    tampered: Collection[str] = ()  #: what the fault itself has damaged in staging
    racing: Collection[str] = ()  #: weeks that two machines recorded at once, from two good versions


class Damaged(Exception):
    """These bytes are not one whole gzip stream."""


def check(evidence: Evidence, healed: bool, half_done: bool = False) -> list[Broken]:
    """Every promise that does not hold. `half_done`: a run was killed, and its hidden files may lie about."""
    broken = [
        *_objects(evidence),
        *_history(evidence),
        *_record(evidence),
        *_strays(evidence, healed, half_done),
    ]
    if healed:
        broken += _healing(evidence)
    return broken


def good_weeks(evidence: Evidence) -> set[str]:
    """The releases of the wanted weeks that are green, and whose objects hold what is wanted."""
    green = {release for release, recorded in evidence.record.items() if recorded.green}
    return {
        release
        for release, wanted in evidence.wanted.items()
        if release in green and _held(evidence.lake.get(object_name(release), b"")) in wanted
    }


def _held(content: bytes) -> str:
    """The sha256 of what an object holds; empty where it is damaged."""
    try:
        return sha256_of_object(content)
    except Damaged:
        return ""


def _objects(evidence: Evidence) -> Iterator[Broken]:
    for name, content in sorted(evidence.lake.items()):
        match = OBJECT.fullmatch(name)
        if match:
            yield from _wrong_content(name, match[1], content, evidence.served)


def _wrong_content(name: str, release: str, content: bytes, served: Mapping[str, Sequence[str]]) -> Iterator[Broken]:
    try:
        found = sha256_of_object(content)
    except Damaged as damage:
        yield Broken(Promise.WHOLE, name, f"{len(content):,} bytes that are damaged: {damage}", release)
        return
    if found not in served.get(release, ()):
        yield Broken(Promise.WHOLE, name, f"holds {found[:12]}, which no good file of the feed had", release)


def _history(evidence: Evidence) -> Iterator[Broken]:
    newest: dict[str, int] = {}
    for seen in evidence.history:
        match = OBJECT.fullmatch(seen.name)
        if not match:
            continue  # `_strays` sees what stays; what was hidden meanwhile is the pipeline's business
        name, release = f"{seen.name}, meanwhile", match[1]
        if seen.in_place:
            yield Broken(Promise.WHOLE, name, "was written under its visible name", release)
        if seen.content is None:
            yield Broken(Promise.NOT_WORSE, name, "was removed", release)
            continue
        wrong = list(_wrong_content(name, release, seen.content, evidence.served))
        yield from wrong
        if wrong:
            if release in newest:
                yield Broken(Promise.NOT_WORSE, name, "a good object was replaced by this one", release)
            continue
        version = list(evidence.served[release]).index(sha256_of_object(seen.content))
        if version < newest.get(release, 0):
            what = f"version {newest[release] + 1} was replaced by the older version {version + 1}"
            yield Broken(Promise.NOT_WORSE, name, what, release)
        newest[release] = version
    for release in sorted(newest):
        if object_name(release) not in evidence.lake:
            yield Broken(Promise.NOT_WORSE, object_name(release), "was there, and is gone", release)


def _record(evidence: Evidence) -> Iterator[Broken]:
    for release, recorded in sorted(evidence.record.items()):
        name = object_name(release)
        content = evidence.lake.get(name)
        if content is None:
            if recorded.sha256:
                yield Broken(Promise.GREEN, name, "is recorded, and not there", release)
        elif recorded.green:
            found = _held(content)
            fit = evidence.served[release] if release in evidence.racing else [found]
            if found and recorded.sha256 not in fit:  # damage is told already
                what = f"the record says {recorded.sha256[:12]}, it holds {found[:12]}"
                yield Broken(Promise.GREEN, name, what, release)


def _strays(evidence: Evidence, healed: bool, half_done: bool) -> Iterator[Broken]:
    for name in sorted(evidence.lake):
        if OBJECT.fullmatch(name) or (half_done and HALF_OBJECT.fullmatch(name)):
            continue
        yield Broken(Promise.NOTHING_ELSE, f"lake, {name}", "a file that has no business there")
    for name, content in sorted(item for folder in evidence.staging for item in folder.items()):
        staged = STAGED.fullmatch(name)
        if staged:
            fit = evidence.served.get(staged[1], ())
            if hashlib.sha256(content).hexdigest() not in fit and (healed or name not in evidence.tampered):
                what = "is staged as audited, and no good file of the feed was so"
                yield Broken(Promise.NOTHING_ELSE, f"staging, {name}", what, staged[1])
        elif not any(known.fullmatch(name) for known in (REJECTED, ORIGIN, *([HALF_STAGED] if half_done else []))):
            yield Broken(Promise.NOTHING_ELSE, f"staging, {name}", "a file that has no business there")


def _healing(evidence: Evidence) -> Iterator[Broken]:
    green = {release for release, recorded in evidence.record.items() if recorded.green}
    for name in sorted(evidence.lake):
        match = OBJECT.fullmatch(name)
        if match and match[1] not in green:
            yield Broken(Promise.RECORDED, name, "its week is not green", match[1])
    for release, wanted in sorted(evidence.wanted.items()):
        name = object_name(release)
        if name not in evidence.lake:
            yield Broken(Promise.HEALED, name, "is not there", release)
            continue
        found = _held(evidence.lake[name])
        if found and found not in wanted:  # damage is told already
            yield Broken(Promise.HEALED, name, f"holds {found[:12]}, not what the feed has now", release)


def sha256_of_object(content: bytes) -> str:
    """The sha256 of what one gzip stream holds. Raises `Damaged`, also for what comes after its end."""
    stream = zlib.decompressobj(wbits=31)
    try:
        raw = stream.decompress(content)
    except zlib.error as fault:
        raise Damaged(str(fault)) from fault
    if not stream.eof:
        raise Damaged("it ends too early")
    if stream.unused_data:
        raise Damaged(f"{len(stream.unused_data):,} bytes follow its end")
    return hashlib.sha256(raw).hexdigest()


def object_name(release: str) -> str:
    """Where the README says that the week's object is."""
    return f"turnstile/turnstile_{release}.csv.gz"


def release_of(partition: str) -> str:
    """YYMMDD of the Saturday after the week that begins on the day `partition`."""
    return f"{date.fromisoformat(partition) + timedelta(days=7):%y%m%d}"


def files_in(folder: Path) -> dict[str, bytes]:
    """All files under `folder`, by their path in it."""
    found = {}
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.is_file():
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found


def record_of(dagster_home: Path) -> dict[str, Recorded]:
    """What Dagster's own tables say of each week of lake_object.

    A week is green when it was materialized, and no run that failed has planned it since: as the UI counts.
    """
    history = dagster_home / "history"
    if not (history / "runs" / "index.db").is_file() or not (history / "runs.db").is_file():
        return {}
    with tempfile.TemporaryDirectory() as folder:
        # SQLite cannot even read on a disk that is full.
        copy = Path(shutil.copytree(history, Path(folder) / "history", ignore=shutil.ignore_patterns("*-shm")))
        return _record_in(copy)


def _record_in(history: Path) -> dict[str, Recorded]:
    with closing(sqlite3.connect(history / "runs.db")) as runs:
        state = dict(runs.execute("SELECT run_id, status FROM runs"))
    with closing(sqlite3.connect(history / "runs" / "index.db")) as index:
        last = "SELECT partition, max(id), run_id FROM event_logs WHERE asset_key = ? AND dagster_event_type = ? "
        last += "AND partition IS NOT NULL GROUP BY partition"
        planned = list(index.execute(last, (LAKE_OBJECT, "ASSET_MATERIALIZATION_PLANNED")))
        made = {row[0]: row[1] for row in index.execute(last, (LAKE_OBJECT, "ASSET_MATERIALIZATION"))}
        tags = "SELECT event_id, value FROM asset_event_tags WHERE key = 'dagster/data_version'"
        versions: dict[int, str] = dict(index.execute(tags))
    red = {part for part, number, run in planned if number > made.get(part, 0) and state.get(run) != "SUCCESS"}
    return {
        release_of(part): Recorded(part in made and part not in red, versions.get(made.get(part, 0), ""))
        for part in {row[0] for row in planned} | set(made)
    }
