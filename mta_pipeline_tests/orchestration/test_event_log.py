"""Dagster's event log with its connections kept open: the same record, in the same files."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage
from sqlalchemy import text

from mta_pipeline.orchestration.checks import LAKE_OBJECT
from mta_pipeline.orchestration.event_log import MOST_OPEN, KeptSqliteEventLogStorage
from mta_pipeline_tests.orchestration.project import MIDDLE, NEWEST, OLDEST, THREE_WEEKS, Project

KEPT = {"module": "mta_pipeline.orchestration.event_log", "class": "KeptSqliteEventLogStorage"}

THEIRS = SqliteEventLogStorage.has_table


def instance_in(home: Path) -> dg.DagsterInstance:
    home.mkdir(exist_ok=True)
    events = {**KEPT, "config": {"base_dir": str(home / "history" / "runs")}}
    return dg.DagsterInstance.local_temp(str(home), overrides={"event_log_storage": events})


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with instance_in(tmp_path / "home") as instance:
        project = Project(tmp_path, instance, str(tmp_path / "lake"))
        project.publish_feed(THREE_WEEKS)
        yield project


def test_the_projects_instance_keeps_its_events_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dagster.yaml").write_bytes((Path(__file__).parents[2] / "dagster.yaml").read_bytes())
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as instance:
        assert isinstance(instance.event_log_storage, KeptSqliteEventLogStorage)
    assert (tmp_path / "history" / "runs" / "index.db").is_file()


def test_what_it_records_dagsters_own_storage_reads_and_the_other_way_round(project: Project) -> None:
    project.ingest(OLDEST, MIDDLE)
    folder = project.folder / "home" / "history" / "runs"
    theirs = SqliteEventLogStorage(str(folder))
    assert theirs.get_materialized_partitions(LAKE_OBJECT) == {OLDEST.key, MIDDLE.key}
    with dg.DagsterInstance.local_temp(str(project.folder / "home")) as plain:
        Project(project.folder, plain, project.lake_url).ingest(NEWEST)
    storage = project.instance.event_log_storage
    assert storage.get_materialized_partitions(LAKE_OBJECT) == {week.key for week in THREE_WEEKS}


def test_a_run_can_be_watched_while_it_goes_on(project: Project) -> None:
    """The UI shows a run's events as they come, because somebody tells it that the file has changed."""
    storage = project.instance.event_log_storage
    seen = threading.Event()
    run = dg.DagsterRun(job_name="watched")
    project.instance.report_engine_event("before", run)
    storage.watch(run.run_id, None, lambda entry, _: seen.set() if "after" in entry.message else None)
    try:
        project.instance.report_engine_event("after", run)
        assert seen.wait(30)
    finally:
        storage.dispose()


def test_a_process_that_is_killed_leaves_all_it_recorded(tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
import dagster as dg
from mta_pipeline_tests.orchestration.test_event_log import instance_in
with instance_in(Path({str(tmp_path / "home")!r})) as instance:
    instance.report_runless_asset_event(dg.AssetMaterialization("kept"))
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert killed.returncode == -9, killed.stderr.decode()
    with instance_in(tmp_path / "home") as instance:
        assert instance.get_latest_materialization_event(dg.AssetKey("kept"))


def test_many_runs_do_not_keep_many_files_open(project: Project) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    runs = [dg.DagsterRun(job_name="one of many") for _ in range(3 * MOST_OPEN)]
    for run in runs[:MOST_OPEN]:
        project.instance.report_engine_event("here", run)
    full = open_files()
    for run in runs[MOST_OPEN:]:
        project.instance.report_engine_event("here", run)
    assert open_files() <= full
    assert [len(project.instance.all_logs(run.run_id)) for run in runs] == [1] * len(runs)


def test_threads_take_turns(project: Project) -> None:
    runs = [dg.DagsterRun(job_name=f"thread {n}") for n in range(6)]

    def report(run: dg.DagsterRun) -> None:
        for n in range(20):
            project.instance.report_engine_event(str(n), run)

    threads = [threading.Thread(target=report, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for run in runs:
        assert [entry.message for entry in project.instance.all_logs(run.run_id)] == [str(n) for n in range(20)]


def test_a_deleted_run_leaves_no_file(project: Project) -> None:
    run_id = project.ingest(MIDDLE).run_id
    folder = project.folder / "home" / "history" / "runs"
    assert list(folder.glob(f"{run_id}*"))
    project.instance.delete_run(run_id)
    assert not list(folder.glob(f"{run_id}*"))
    assert not project.instance.all_logs(run_id)


def test_a_wiped_log_is_empty_and_can_be_written_again(project: Project) -> None:
    project.ingest(MIDDLE)
    project.instance.event_log_storage.wipe()
    assert not project.instance.event_log_storage.get_materialized_partitions(LAKE_OBJECT)
    project.ingest(OLDEST)
    assert project.instance.event_log_storage.get_materialized_partitions(LAKE_OBJECT) == {OLDEST.key}


def test_it_is_asked_for_tables_many_times_and_looks_once_for_those_that_are_there(tmp_path: Path) -> None:
    with instance_in(tmp_path / "home") as instance:
        storage = instance.event_log_storage
        assert isinstance(storage, KeptSqliteEventLogStorage)
        assert not storage.has_table("added_later")
        with storage.index_connection() as connection:
            connection.execute(text("CREATE TABLE added_later (id INTEGER)"))
        with patch.object(SqliteEventLogStorage, "has_table", autospec=True, side_effect=THEIRS) as looks:
            assert [storage.has_table("added_later") for _ in range(3)] == [True] * 3
        assert looks.call_count == 1
