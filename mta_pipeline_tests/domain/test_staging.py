"""Staging: one process at a week, nothing half-done left, and the sweep."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from mta_pipeline.domain import staging as staging_module
from mta_pipeline.domain.errors import StagingError, Stopped
from mta_pipeline.domain.files import locked
from mta_pipeline.domain.origin import Origin
from mta_pipeline.domain.staging import KEEP_DAYS, Staging
from mta_pipeline.domain.weeks import Week
from mta_pipeline_tests.child import running, wait_until_here
from mta_pipeline_tests.workbench import AFTER, BEFORE, WEEK

NOW = 1_700_000_000.0
A_DAY = 86_400
ORIGIN = Origin("https://example.org/feed", "its sha256")


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(tmp_path / "staging")


def files_in(staging: Staging) -> list[str]:
    return sorted(str(path.relative_to(staging.folder)) for path in staging.folder.rglob("*") if path.is_file())


def weeks_in(staging: Staging) -> list[str]:
    """All files but those that say where others come from."""
    return [name for name in files_in(staging) if not name.endswith(".origin")]


def test_an_accepted_file_has_its_published_name_and_nothing_else_remains(staging: Staging) -> None:
    with staging.claim(WEEK) as staged:
        staged.incoming.write_bytes(b"raw")
        staged.compressed.write_bytes(b"gz")
        assert not staged.raw.exists()
        staged.accept(ORIGIN)
        assert staged.raw.read_bytes() == b"raw"
    assert weeks_in(staging) == [WEEK.file_name]


def test_an_accepted_file_replaces_the_one_before_and_the_rejected_one(staging: Staging) -> None:
    for content, accepted in ((b"first", True), (b"bad", False), (b"second", True)):
        with staging.claim(WEEK) as staged:
            staged.incoming.write_bytes(content)
            if accepted:
                staged.accept(ORIGIN)
            else:
                staged.reject()
                assert staged.raw.read_bytes() == b"first"
                assert staged.rejected.read_bytes() == b"bad"
    assert weeks_in(staging) == [WEEK.file_name]
    assert (staging.folder / WEEK.file_name).read_bytes() == b"second"


def test_a_rejected_file_is_put_aside_under_its_name(staging: Staging) -> None:
    with staging.claim(WEEK) as staged:
        staged.incoming.write_bytes(b"bad")
        staged.reject()
    assert files_in(staging) == [f"rejected/{WEEK.file_name}"]


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt])
def test_a_claim_that_fails_leaves_what_was_there_and_nothing_half_done(
    staging: Staging, fault: type[BaseException]
) -> None:
    def fail() -> None:
        with staging.claim(WEEK) as staged:
            staged.incoming.write_bytes(b"half")
            staged.compressed.write_bytes(b"half")
            raise fault("on the way")

    staging.folder.mkdir()
    (staging.folder / WEEK.file_name).write_bytes(b"before")
    with pytest.raises(fault):
        fail()
    assert weeks_in(staging) == [WEEK.file_name]
    assert (staging.folder / WEEK.file_name).read_bytes() == b"before"


def test_what_is_half_done_has_a_name_that_no_reader_of_txt_files_finds(staging: Staging) -> None:
    with staging.claim(WEEK) as staged:
        staged.incoming.write_bytes(b"half")
        staged.compressed.write_bytes(b"half")
        assert list(staging.folder.glob("*.txt")) == []
        assert list(staging.folder.glob("*.gz")) == []


def test_a_second_claim_on_a_week_waits_for_the_first(staging: Staging) -> None:
    events: list[str] = []
    second_is_about_to = threading.Event()

    def second() -> None:
        second_is_about_to.set()
        with staging.claim(WEEK):
            events.append("second is in")

    with ThreadPoolExecutor(1) as pool:
        with staging.claim(WEEK):
            waiting = pool.submit(second)
            assert second_is_about_to.wait(10)
            assert wait([waiting], timeout=0.1).not_done
            events.append("first goes")
        waiting.result(timeout=10)
    assert events == ["first goes", "second is in"]


def test_claims_on_other_weeks_do_not_wait(staging: Staging) -> None:
    with staging.claim(BEFORE), staging.claim(WEEK), staging.claim(AFTER):
        assert {path.name for path in (staging.folder / ".locks").iterdir()} == {
            week.file_name.removesuffix(".txt") for week in (BEFORE, WEEK, AFTER)
        }


def test_many_claims_at_once_never_share_a_week(staging: Staging) -> None:
    start = threading.Barrier(6)

    def work(content: bytes) -> None:
        start.wait()
        for _ in range(15):
            with staging.claim(WEEK) as staged:
                assert not staged.incoming.exists()
                staged.incoming.write_bytes(content)
                assert staged.incoming.read_bytes() == content
                staged.accept(ORIGIN)
                assert staged.raw.read_bytes() == content

    with ThreadPoolExecutor(6) as pool:
        for future in [pool.submit(work, bytes([number]) * 5_000) for number in range(6)]:
            future.result()
    assert weeks_in(staging) == [WEEK.file_name]


CLAIM = (
    "import sys; from pathlib import Path\n"
    "from mta_pipeline.domain.staging import Staging; from mta_pipeline.domain.weeks import Week\n"
    "from mta_pipeline_tests.child import wait_to_be_killed\n"
    "with Staging(Path(sys.argv[1])).claim(Week.parse(sys.argv[2])) as staged:\n"
    "    staged.incoming.write_bytes(b'half'); wait_to_be_killed()\n"
)


def test_another_processs_claim_is_waited_for_and_falls_when_it_is_killed(staging: Staging) -> None:
    def claim() -> str:
        with staging.claim(WEEK) as staged:
            staged.incoming.write_bytes(b"ours")
            staged.accept(ORIGIN)
        return "claimed"

    with running("-c", CLAIM, str(staging.folder), WEEK.key) as child, ThreadPoolExecutor(1) as pool:
        wait_until_here(child)
        ours = pool.submit(claim)
        try:
            assert wait([ours], timeout=0.1).not_done
        finally:
            child.kill()
            child.wait()
        assert ours.result(timeout=10) == "claimed"
    assert weeks_in(staging) == [WEEK.file_name]


def test_a_folder_that_cannot_be_written_is_told_with_week_and_setting(unwritable: Path) -> None:
    with pytest.raises(StagingError) as caught, Staging(unwritable).claim(WEEK):
        pytest.fail("the folder could be claimed")
    assert str(caught.value).startswith(f"Week {WEEK.key}: {unwritable}")
    assert "PermissionError" in str(caught.value)
    assert "Give this user the right to write there, or point MTA_STAGING_DIR elsewhere" in str(caught.value)


def test_a_file_in_the_folders_place_is_told_with_week_and_setting(tmp_path: Path) -> None:
    (tmp_path / "staging").write_bytes(b"a file")
    with pytest.raises(StagingError) as caught, Staging(tmp_path / "staging").claim(WEEK):
        pytest.fail("the folder could be claimed")
    assert WEEK.key in str(caught.value)
    assert str(tmp_path / "staging") in str(caught.value)
    assert "MTA_STAGING_DIR" in str(caught.value)


@pytest.mark.parametrize("leftover", ["incoming", "compressed"])
def test_what_cannot_be_cleared_away_is_told_with_week_and_setting_and_the_lock_is_gone(
    staging: Staging, leftover: str
) -> None:
    with pytest.raises(StagingError) as caught, staging.claim(WEEK) as staged:
        getattr(staged, leftover).mkdir()
    assert str(caught.value).startswith(f"Week {WEEK.key}: {getattr(staged, leftover)}: found ")
    assert "MTA_STAGING_DIR" in str(caught.value)
    with staging.claim(BEFORE):
        assert [path.name for path in (staging.folder / ".locks").iterdir()] == [BEFORE.file_name.removesuffix(".txt")]


def test_a_lock_that_cannot_be_removed_is_told_with_week_and_setting(staging: Staging) -> None:
    lock = staging.folder / ".locks" / WEEK.file_name.removesuffix(".txt")

    def claim() -> None:
        with staging.claim(WEEK):
            lock.unlink()
            lock.mkdir()

    with pytest.raises(StagingError) as caught:
        claim()
    assert str(caught.value).startswith(f"Week {WEEK.key}: {lock}: found ")
    assert "MTA_STAGING_DIR" in str(caught.value)


def test_a_stopped_claim_leaves_what_has_come_and_nothing_else(staging: Staging) -> None:

    def stopped() -> None:
        with staging.claim(WEEK) as staged:
            staged.incoming.write_bytes(b"half")
            ORIGIN.write(staged.incoming)
            staged.compressed.write_bytes(b"half")
            raise Stopped

    with pytest.raises(Stopped):
        stopped()
    assert files_in(staging) == [f"{WEEK.file_name}.part", f"{WEEK.file_name}.part.origin"]
    with staging.claim(WEEK):
        pass
    assert files_in(staging) == []


def test_an_accepted_file_keeps_where_it_came_from(staging: Staging) -> None:
    with staging.claim(WEEK) as staged:
        staged.incoming.write_bytes(b"raw")
        staged.accept(ORIGIN)
    assert Origin.of(staged.raw) == ORIGIN


# The sweep.


def put(staging: Staging, name: str, days_old: float, size: int = 10) -> Path:
    path = staging.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(path, (NOW - days_old * A_DAY,) * 2)
    return path


def test_raw_files_go_after_two_weeks_and_not_before(staging: Staging) -> None:
    old = put(staging, BEFORE.file_name, KEEP_DAYS + 0.1)
    put(staging, WEEK.file_name, KEEP_DAYS - 0.1)
    old_rejected = put(staging, f"rejected/{BEFORE.file_name}", KEEP_DAYS + 0.1)
    put(staging, f"rejected/{WEEK.file_name}", KEEP_DAYS - 0.1)
    assert sorted(staging.sweep(NOW)) == sorted([old, old_rejected])
    assert files_in(staging) == sorted([f"rejected/{WEEK.file_name}", WEEK.file_name])


def test_what_killed_runs_left_goes_after_a_day_and_not_before(staging: Staging) -> None:
    old = [put(staging, f"{BEFORE.file_name}{suffix}", 1.1) for suffix in (".part", ".gz.part", ".part.origin")]
    put(staging, f"{WEEK.file_name}.part", 0.9)
    assert sorted(staging.sweep(NOW)) == sorted(old)
    assert files_in(staging) == [f"{WEEK.file_name}.part"]


def test_files_of_others_are_left_alone(staging: Staging) -> None:
    put(staging, "notes.txt", 100)
    put(staging, "rejected/notes.txt", 100)
    put(staging, "archive/turnstile_100515.txt", 100)
    assert staging.sweep(NOW) == []
    assert len(files_in(staging)) == 3


def test_a_week_that_somebody_works_on_is_not_swept(staging: Staging) -> None:
    put(staging, WEEK.file_name, 100)
    put(staging, f"{WEEK.file_name}.part", 100)
    other = put(staging, BEFORE.file_name, 100)
    with staging.claim(WEEK) as staged:
        assert staging.sweep(NOW) == [other]
        assert staged.raw.exists()
        assert staged.incoming.exists()
    assert staging.sweep(NOW) == [staged.raw]


def test_of_too_many_bytes_the_oldest_go(staging: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging_module, "KEEP_BYTES", 25)
    weeks = list(Week.between(WEEK, WEEK.shifted(3)))
    paths = [put(staging, week.file_name, days_old) for week, days_old in zip(weeks, (3, 1, 4, 2), strict=True)]
    assert sorted(staging.sweep(NOW)) == sorted([paths[0], paths[2]])
    assert files_in(staging) == sorted([weeks[1].file_name, weeks[3].file_name])


def test_good_weeks_that_come_in_do_not_push_out_what_people_shall_look_at(
    staging: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging_module, "KEEP_BYTES", 25)
    bad = put(staging, f"rejected/{BEFORE.file_name}", 5)
    for days_old, week in enumerate(Week.between(WEEK, WEEK.shifted(3))):
        put(staging, week.file_name, days_old)
    assert len(staging.sweep(NOW)) == 2
    assert bad.exists()


def test_sweeping_a_folder_that_is_not_there_does_nothing(staging: Staging) -> None:
    assert staging.sweep(NOW) == []
    assert not staging.folder.exists()


def test_a_sweep_leaves_no_locks_behind(staging: Staging) -> None:
    put(staging, WEEK.file_name, 100)
    staging.sweep(NOW)
    assert files_in(staging) == []


def test_a_file_that_vanishes_during_the_sweep_does_not_disturb_it(
    staging: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process renames its `.part` between the listing and the look at it."""
    old = put(staging, BEFORE.file_name, 100)
    glob = Path.glob

    def with_a_vanished_file(self: Path, pattern: str) -> Iterator[Path]:
        yield self / f"{WEEK.file_name}.part"
        yield from glob(self, pattern)

    monkeypatch.setattr(Path, "glob", with_a_vanished_file)
    assert staging.sweep(NOW) == [old]


def test_a_file_that_was_staged_anew_during_the_sweep_stays(staging: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at an old file and its removal, another process stages the week again."""
    path = put(staging, WEEK.file_name, 100)

    def after_another_has_finished(lock: Path, wait: bool = True) -> object:
        put(staging, WEEK.file_name, 0)
        return locked(lock, wait)

    monkeypatch.setattr(staging_module, "locked", after_another_has_finished)
    assert staging.sweep(NOW) == []
    assert path.exists()


def test_scratch_is_a_folder_of_ones_own_gone_when_the_work_ends(tmp_path: Path) -> None:
    staging = Staging(tmp_path / "staging")
    with staging.scratch() as one, staging.scratch() as other:
        assert one != other
        (one / "file").write_bytes(b"x")
    assert list((tmp_path / "staging").iterdir()) == []


def test_scratch_that_a_killed_process_left_is_swept_after_a_day(tmp_path: Path) -> None:
    staging = Staging(tmp_path)
    with staging.scratch() as folder:
        (folder / "file").write_bytes(b"x")
        staging.sweep()
        assert (folder / "file").exists()
        staging.sweep(folder.stat().st_mtime + 90_000)
        assert not folder.exists()
        folder.mkdir()
