"""What two runs on one week at once come to: processes of their own, on one machine or on two."""

from __future__ import annotations

import errno
import gzip
import os
import subprocess
import time
from pathlib import Path

import pytest

from mta_pipeline.domain.sample import write_week
from mta_pipeline.orchestration.io_managers import LakeIOManager
from mta_pipeline_tests.cli.terminal import MTA_PIPELINE, PROJECT
from mta_pipeline_tests.orchestration.project import MIDDLE, SCALE


class Run:
    """A run of the ingest job over one week, which waits for its feed's file."""

    def __init__(self, folder: Path, machine: Path, lake_url: str, rows: int) -> None:
        folder.mkdir(parents=True)
        self.file = folder / MIDDLE.file_name
        self.content = write_week(MIDDLE, folder, rows).read_bytes()
        self.file.unlink()
        os.mkfifo(self.file)
        settings = {
            "MTA_FEED_URL": folder.as_uri(),
            "MTA_FEED_SCALE": str(SCALE),
            "MTA_LAKE_URL": lake_url,
            "MTA_STAGING_DIR": str(machine / "staging"),
            "DAGSTER_HOME": str(machine / "home"),
        }
        self.process = subprocess.Popen(
            [*MTA_PIPELINE, "backfill", MIDDLE.key],
            cwd=PROJECT,
            env={**os.environ, **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_until_it_asks(self) -> int:
        """The open pipe that it reads from."""
        while (pipe := self.asking()) is None:
            assert self.process.poll() is None, self.process.communicate()
        return pipe

    def asking(self) -> int | None:
        """The open pipe if it reads from it."""
        try:
            pipe = os.open(self.file, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:  # nobody reads there yet
                raise
            time.sleep(0.01)
            return None
        os.set_blocking(pipe, True)
        return pipe

    def answer(self, pipe: int) -> None:
        with os.fdopen(pipe, "wb") as out:
            out.write(self.content)

    def end(self) -> tuple[int, str]:
        """The exit code, and what it said."""
        output, errors = self.process.communicate(timeout=120)
        assert "Traceback" not in errors
        return self.process.returncode, output + errors


def unpacked(lake_url: str) -> bytes:
    with LakeIOManager(url=lake_url).store().open(MIDDLE.object_name) as file:
        return gzip.decompress(file.read())


@pytest.mark.parametrize("rows", [(300, 400), (300, 300)], ids=["different files", "the same file"])
def test_two_machines_at_one_week_leave_one_whole_object_and_who_is_overtaken_says_so(
    tmp_path: Path, lake_url: str, rows: tuple[int, int]
) -> None:
    runs = [Run(tmp_path / f"feed-{n}", tmp_path / f"machine-{n}", lake_url, rows[n]) for n in range(2)]
    pipes = [run.wait_until_it_asks() for run in runs]
    for run, pipe in zip(runs, pipes, strict=True):
        run.answer(pipe)
    ends = [run.end() for run in runs]
    good = [run for run, (code, _) in zip(runs, ends, strict=True) if code == 0]
    assert good, ends
    assert unpacked(lake_url) in [run.content for run in good]
    for code, said in ends:
        assert code == 0 or (code == 1 and "that another writer left there meanwhile" in said), said
    if runs[0].content == runs[1].content:
        assert len(good) == 2


def test_two_runs_on_one_machine_have_a_week_one_after_the_other(tmp_path: Path, lake_url: str) -> None:
    runs = [Run(tmp_path / f"feed-{n}", tmp_path / "machine", lake_url, rows) for n, rows in enumerate((300, 400))]
    # Only who has claimed the week opens its feed's file; which of them that is, nobody knows.
    pipes: dict[Run, int] = {}
    while not pipes:
        assert any(run.process.poll() is None for run in runs)
        pipes = {run: pipe for run in runs if (pipe := run.asking()) is not None}
    [first] = pipes
    [second] = set(runs) - {first}
    first.answer(pipes[first])
    second.answer(second.wait_until_it_asks())
    assert [run.end()[0] for run in runs] == [0, 0]
    assert unpacked(lake_url) == second.content
