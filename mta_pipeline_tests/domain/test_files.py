"""Files that appear whole or not at all, and locks that nobody can leave behind."""

from __future__ import annotations

import os
import stat
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from mta_pipeline.domain.files import locked, whole_file
from mta_pipeline_tests.child import HERE, running, wait_until_here

OLD = b"what was there before"


def test_a_file_is_there_with_all_its_bytes_when_the_body_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "that is new" / "file"
    with whole_file(path) as file:
        file.write(b"a" * 100_000)
        file.write(b"b")
    assert path.read_bytes() == b"a" * 100_000 + b"b"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("durable", [False, True])
def test_until_the_body_has_ended_the_old_file_is_there(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "file"
    path.write_bytes(OLD)
    with whole_file(path, durable) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == OLD
        assert [other.name for other in tmp_path.glob("[!.]*")] == ["file"], "half a file is visible"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("fault", [ValueError, OSError, KeyboardInterrupt, SystemExit])
def test_a_body_that_fails_changes_nothing_and_leaves_nothing(tmp_path: Path, fault: type[BaseException]) -> None:
    path = tmp_path / "file"
    path.write_bytes(OLD)

    def write_and_fail() -> None:
        with whole_file(path) as file:
            file.write(b"new")
            raise fault("on the way")

    with pytest.raises(fault):
        write_and_fail()
    assert path.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [path]


def test_a_shorter_file_replaces_a_longer_one_wholly(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"long " * 1000, b"short"):
        with whole_file(path) as file:
            file.write(content)
    assert path.read_bytes() == b"short"


def test_what_a_killed_writer_left_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "file"
    script = (
        "import sys; from pathlib import Path; from mta_pipeline.domain.files import whole_file\n"
        "from mta_pipeline_tests.child import wait_to_be_killed\n"
        "with whole_file(Path(sys.argv[1])) as file:\n"
        "    file.write(b'half' * 1000); file.flush(); wait_to_be_killed()\n"
    )
    with running("-c", script, str(path)) as child:
        wait_until_here(child)
        child.kill()
        child.wait()
    assert not path.exists()
    assert not list(tmp_path.glob("[!.]*"))
    with whole_file(path) as file:
        file.write(b"whole")
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]


def test_of_many_writers_at_once_each_writes_whole_and_readers_see_only_whole_files(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = {bytes([letter]) * 50_000 for letter in b"abcdefgh"}
    started = threading.Barrier(len(contents) + 1)
    done = threading.Event()

    def write(content: bytes) -> None:
        started.wait()
        for _ in range(10):
            with whole_file(path) as file:
                for begin in range(0, len(content), 5_000):
                    file.write(content[begin : begin + 5_000])
                    file.flush()

    def read() -> set[bytes]:
        seen = set()
        started.wait()
        while not done.is_set():
            if path.exists():
                seen.add(path.read_bytes())
        return seen

    with ThreadPoolExecutor(len(contents) + 1) as pool:
        reader = pool.submit(read)
        try:
            for writer in [pool.submit(write, content) for content in contents]:
                writer.result()
        finally:
            done.set()
        seen = reader.result() | {path.read_bytes()}
    assert seen <= contents, "pieces of different writers are mixed, or a file was seen half-written"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_files_place_is_told_as_an_os_error_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    (path / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="file"), whole_file(path) as file:
        file.write(b"new")
    assert list(tmp_path.iterdir()) == [path]


def test_others_may_read_a_finished_file(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with whole_file(tmp_path / "file") as file:
            file.write(b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644


def test_a_lock_is_held_once_and_gone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "week"
    with locked(path) as first:
        assert first
        with locked(path, wait=False) as second:
            assert not second
        # The one who was turned away has not taken the other's lock with him.
        with locked(path, wait=False) as third:
            assert not third
    assert not path.exists()
    with locked(path, wait=False) as again:
        assert again


def test_a_lock_is_gone_after_a_body_that_fails(tmp_path: Path) -> None:
    path = tmp_path / "week"
    with pytest.raises(ValueError, match="inside"), locked(path):
        raise ValueError("inside")
    assert not path.exists()


def in_turn(enter: Callable[[], AbstractContextManager[object]]) -> int:
    """Let eight threads through `enter` many times; returns how many were inside at once at most."""
    inside = most = 0
    start = threading.Barrier(8)

    def work() -> None:
        nonlocal inside, most
        start.wait()
        for _ in range(40):
            with enter():
                inside += 1
                os.sched_yield()
                most = max(most, inside)
                inside -= 1

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(work) for _ in range(8)]:
            future.result()
    return most


def test_never_two_threads_hold_a_lock_although_its_file_comes_and_goes(tmp_path: Path) -> None:
    path = tmp_path / "week"
    assert in_turn(lambda: locked(path)) == 1
    assert not path.exists()


def held_elsewhere(path: Path) -> tuple[str, ...]:
    """Arguments for a child that takes the lock `path`."""
    script = (
        "import sys; from pathlib import Path; from mta_pipeline.domain.files import locked\n"
        "from mta_pipeline_tests.child import wait_to_be_killed\n"
        "with locked(Path(sys.argv[1])): wait_to_be_killed()\n"
    )
    return "-c", script, str(path)


def test_another_processs_lock_holds_until_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "week"
    with running(*held_elsewhere(path)) as child:
        wait_until_here(child)
        with locked(path, wait=False) as ours:
            assert not ours
        child.kill()
        child.wait()
    with locked(path, wait=False) as ours:
        assert ours
    assert not path.exists()


def test_who_waits_for_a_lock_gets_it_when_its_holder_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "week"
    with running(*held_elsewhere(path)) as child, running(*held_elsewhere(path)) as waiting:
        # Either may be the first; the other says nothing until that one is gone.
        first, second = both = [child, waiting]
        said = threading.Event()
        heard: list[subprocess.Popen[str]] = []

        def listen(to: subprocess.Popen[str]) -> None:
            assert to.stdout is not None
            if to.stdout.readline().strip() == HERE:
                heard.append(to)
                said.set()

        listeners = [threading.Thread(target=listen, args=(one,)) for one in both]
        for listener in listeners:
            listener.start()
        try:
            assert said.wait(20)
            with locked(path, wait=False) as ours:
                assert not ours
            assert len(heard) == 1
            heard[0].kill()
            heard[0].wait()
            for listener in listeners:
                listener.join(20)
            assert heard in ([first, second], [second, first])
        finally:
            for one in both:
                one.kill()
            for listener in listeners:
                listener.join(20)
