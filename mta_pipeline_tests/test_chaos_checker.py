"""That the fault campaign's checker sees each kind of broken promise, and nothing where all is well."""

from __future__ import annotations

import gzip
import hashlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from chaos.checker import Evidence, Promise, Recorded, Seen, check, files_in, good_weeks, object_name, record_of
from chaos.watch import FolderWatch
from mta_pipeline_tests.turnstile_files import valid_file
from mta_pipeline_tests.workbench import AFTER, BEFORE, WEEK

RELEASE, OTHER_RELEASE = "240120", "240113"
NAME = "turnstile/turnstile_240120.csv.gz"
OLD, NEW = valid_file(WEEK, seed=1), valid_file(WEEK, seed=2)
OTHER = valid_file(BEFORE)


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def packed(body: bytes) -> bytes:
    return gzip.compress(body, mtime=0)


#: Two weeks that are as they should be: one whose file the publisher has replaced, and one beside it.
WELL = Evidence(
    served={RELEASE: [sha256(OLD), sha256(NEW)], OTHER_RELEASE: [sha256(OTHER)]},
    lake={NAME: packed(NEW), object_name(OTHER_RELEASE): packed(OTHER)},
    history=[Seen(NAME, packed(OLD)), Seen(object_name(OTHER_RELEASE), packed(OTHER)), Seen(NAME, packed(NEW))],
    record={RELEASE: Recorded(True, sha256(NEW)), OTHER_RELEASE: Recorded(True, sha256(OTHER))},
    staging=[{"turnstile_240120.txt": NEW, "rejected/turnstile_240113.txt": b"<html>"}],
    wanted={RELEASE: [sha256(NEW)], OTHER_RELEASE: [sha256(OTHER)]},
)


def with_object(content: bytes) -> Evidence:
    return replace(WELL, lake={**WELL.lake, NAME: content})


def with_history(*seen: Seen) -> Evidence:
    return replace(WELL, history=[*WELL.history, *seen])


def with_stray(name: str) -> Evidence:
    return replace(WELL, lake={**WELL.lake, name: packed(NEW)})


def with_staged(name: str, content: bytes = NEW) -> Evidence:
    return replace(WELL, staging=[*WELL.staging, {name: content}])


def with_record(recorded: Recorded) -> Evidence:
    return replace(WELL, record={**WELL.record, RELEASE: recorded})


def without_object(evidence: Evidence) -> Evidence:
    return replace(evidence, lake={name: body for name, body in evidence.lake.items() if name != NAME})


CUT_AT_LINE_END = NEW[: NEW.index(b"\n", len(NEW) * 9 // 10) + 1]

BROKEN: dict[str, tuple[Evidence, Promise]] = {
    "a truncated object": (with_object(packed(NEW)[:-100]), Promise.WHOLE),
    "an object without its last checksum": (with_object(packed(NEW)[:-8]), Promise.WHOLE),
    "an object with a flipped bit": (with_object(packed(NEW)[:-6] + b"\0" + packed(NEW)[-5:]), Promise.WHOLE),
    "an object with something behind it": (with_object(packed(NEW) + b"\n"), Promise.WHOLE),
    "two objects in one": (with_object(packed(OLD) + packed(NEW)), Promise.WHOLE),
    "an empty object": (with_object(b""), Promise.WHOLE),
    "an object that is no gzip": (with_object(NEW), Promise.WHOLE),
    "an object of content that was never served": (with_object(packed(valid_file(WEEK, seed=3))), Promise.WHOLE),
    "an object cut at a line's end": (with_object(packed(CUT_AT_LINE_END)), Promise.WHOLE),
    "another week's file": (with_object(packed(OTHER)), Promise.WHOLE),
    "an object of an unknown week": (with_stray("turnstile/turnstile_240127.csv.gz"), Promise.WHOLE),
    "an old version after a new one": (with_history(Seen(NAME, packed(OLD))), Promise.NOT_WORSE),
    "an object that was damaged for a moment": (
        with_history(Seen(NAME, packed(NEW)[:-9]), Seen(NAME, packed(NEW))),
        Promise.NOT_WORSE,
    ),
    "an object that was gone for a moment": (
        with_history(Seen(NAME, None), Seen(NAME, packed(NEW))),
        Promise.NOT_WORSE,
    ),
    "an object that is gone without a trace": (without_object(WELL), Promise.NOT_WORSE),
    "an object written in place": (with_history(Seen(NAME, packed(NEW), in_place=True)), Promise.WHOLE),
    "a green week without its object": (without_object(WELL), Promise.GREEN),
    "a green week with another object": (with_object(packed(OLD)), Promise.GREEN),
    "a week that was green once, without its object": (
        without_object(with_record(Recorded(False, sha256(NEW)))),
        Promise.GREEN,
    ),
    "an object without a record": (
        replace(WELL, record={OTHER_RELEASE: WELL.record[OTHER_RELEASE]}),
        Promise.RECORDED,
    ),
    "an object of a red week": (with_record(Recorded(False, sha256(NEW))), Promise.RECORDED),
    "a week that was not healed": (without_object(WELL), Promise.HEALED),
    "a week left at its old version": (
        replace(with_record(Recorded(True, sha256(OLD))), lake=with_object(packed(OLD)).lake, history=WELL.history[:2]),
        Promise.HEALED,
    ),
    "a stray file in the lake": (with_stray("turnstile/notes.txt"), Promise.NOTHING_ELSE),
    "a stray file beside the lake's folder": (with_stray("turnstile_240120.csv.gz"), Promise.NOTHING_ELSE),
    "a half-done object": (with_stray("turnstile/.turnstile_240120.csv.gz.part"), Promise.NOTHING_ELSE),
    "a stray file in staging": (with_staged("core"), Promise.NOTHING_ELSE),
    "a half-done file in staging": (with_staged("turnstile_240120.txt.part"), Promise.NOTHING_ELSE),
    "a lock left in staging": (with_staged(".locks/turnstile_240120"), Promise.NOTHING_ELSE),
    "a staged file that was cut": (with_staged("turnstile_240120.txt", NEW[:-1]), Promise.NOTHING_ELSE),
}


def test_where_all_is_well_nothing_is_reported() -> None:
    assert check(WELL, healed=True) == []
    assert good_weeks(WELL) == {RELEASE, OTHER_RELEASE}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_promise_is_reported(name: str) -> None:
    evidence, promise = BROKEN[name]
    assert promise in {broken.promise for broken in check(evidence, healed=True)}


@pytest.mark.parametrize("name", [name for name, (_, promise) in BROKEN.items() if promise is Promise.HEALED])
def test_a_week_that_lacks_something_is_not_good(name: str) -> None:
    assert good_weeks(BROKEN[name][0]) == {OTHER_RELEASE}


def test_of_two_machines_that_raced_either_may_have_recorded_last_but_nobody_else() -> None:
    raced = replace(with_record(Recorded(True, sha256(OLD))), racing={RELEASE})
    assert check(raced, healed=False) == []
    assert check(replace(raced, record={RELEASE: Recorded(True, sha256(OTHER))}), healed=False)


def test_what_a_fault_has_damaged_in_staging_is_borne_until_the_healing_run() -> None:
    tampered = replace(with_staged("turnstile_240120.txt", NEW[:-1]), tampered={"turnstile_240120.txt"})
    assert check(tampered, healed=False) == []
    assert check(tampered, healed=True)


def test_hidden_files_are_borne_after_a_kill_alone_and_visible_ones_never() -> None:
    for name in ("turnstile_240120.txt.part", "turnstile_240120.txt.gz.part", ".locks/turnstile_240120"):
        assert check(with_staged(name), healed=False, half_done=True) == []
    assert check(with_stray("turnstile/.turnstile_240120.csv.gz.part"), healed=False, half_done=True) == []
    assert check(with_stray("turnstile/notes.txt"), healed=False, half_done=True)


def test_the_record_is_read_as_the_ui_counts(tmp_path: Path) -> None:
    runs, index = tmp_path / "history" / "runs.db", tmp_path / "history" / "runs" / "index.db"
    index.parent.mkdir(parents=True)
    with closing(sqlite3.connect(runs)) as base:
        base.execute("CREATE TABLE runs (run_id TEXT, status TEXT)")
        base.executemany("INSERT INTO runs VALUES (?, ?)", [("good", "SUCCESS"), ("bad", "FAILURE")])
        base.commit()
    planned, made = "ASSET_MATERIALIZATION_PLANNED", "ASSET_MATERIALIZATION"
    events = [
        (1, "good", planned, BEFORE.key), (2, "good", made, BEFORE.key),
        (3, "good", planned, WEEK.key), (4, "good", made, WEEK.key), (5, "bad", planned, WEEK.key),
        (6, "bad", planned, AFTER.key),
    ]  # fmt: skip
    with closing(sqlite3.connect(index)) as base:
        base.execute("CREATE TABLE event_logs (id, run_id, dagster_event_type, partition, asset_key)")
        base.executemany("INSERT INTO event_logs VALUES (?, ?, ?, ?, '[\"lake_object\"]')", events)
        base.execute("CREATE TABLE asset_event_tags (event_id, key, value)")
        base.executemany("INSERT INTO asset_event_tags VALUES (?, 'dagster/data_version', ?)", [(2, "aa"), (4, "bb")])
        base.commit()
    assert record_of(tmp_path) == {
        "240113": Recorded(True, "aa"),
        "240120": Recorded(False, "bb"),
        "240127": Recorded(False, ""),
    }


def rename(folder: Path) -> None:
    (folder / ".new.part").write_bytes(b"new")
    (folder / ".new.part").rename(folder / "new")


CHANGES: dict[str, tuple[Callable[[Path], object], list[Seen]]] = {
    "a file that appears by its rename": (rename, [Seen("lake/new", b"new")]),
    "a file that is removed": (lambda folder: (folder / "old").unlink(), [Seen("lake/old", None)]),
    "a file that is renamed away": (lambda folder: (folder / "old").rename(folder / ".x"), [Seen("lake/old", None)]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_watcher_of_a_folder_sees(name: str, tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"old")
    change, seen = CHANGES[name]
    with FolderWatch(tmp_path, "lake/") as watch:
        change(tmp_path)
        watch.settle()
        assert watch.history == seen


def test_the_watcher_of_a_folder_sees_what_is_written_in_place(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"old")
    with FolderWatch(tmp_path, "lake/") as watch:
        with (tmp_path / "old").open("r+b") as file:
            file.write(b"new")
        watch.settle()
        assert watch.history
        assert all(seen.in_place for seen in watch.history)


def test_files_are_found_hidden_ones_too(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".b").write_bytes(b"c")
    assert files_in(tmp_path) == {"a/.b": b"c"}
    assert files_in(tmp_path / "nowhere") == {}
