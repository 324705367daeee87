"""What of Dagster's record is forgotten, and what is not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from mta_pipeline.domain.settings import Settings
from mta_pipeline.orchestration import old_runs as module
from mta_pipeline.orchestration.checks import LAKE_OBJECT, RAW_CSV
from mta_pipeline.orchestration.dagster_edges import failed_partitions
from mta_pipeline.orchestration.old_runs import forget_old_runs
from mta_pipeline.orchestration.partitions import WEEKS
from mta_pipeline_tests.orchestration.project import MIDDLE, NEWEST, OLDEST, THREE_WEEKS, Project
from mta_pipeline_tests.orchestration.test_event_log import instance_in


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project with its record on disk, whose runs are old as soon as they have ended."""
    with instance_in(tmp_path / "home") as instance:
        project = Project(tmp_path, instance, str(tmp_path / "lake"))
        project.publish_feed(THREE_WEEKS)
        keep(monkeypatch, timedelta(0))
        yield project


def keep(monkeypatch: pytest.MonkeyPatch, keep_runs: timedelta) -> None:
    settings = Settings.from_environment({})
    monkeypatch.setattr(module, "SETTINGS", type(settings)(**{**vars(settings), "keep_runs": keep_runs}))


def tick(project: Project) -> str:
    context = dg.build_sensor_context(project.instance)
    return forget_old_runs.evaluate_tick(context).skip_message or ""


def runs_of(project: Project) -> set[str]:
    return {run.run_id for run in project.instance.get_runs()}


def test_a_run_that_later_ones_have_overtaken_is_forgotten_with_its_events_and_logs(project: Project) -> None:
    first = project.ingest(OLDEST, NEWEST).run_id
    logs = project.folder / "home" / "storage" / first
    logs.mkdir(parents=True, exist_ok=True)
    second = project.ingest(OLDEST, NEWEST).run_id
    assert tick(project).startswith("1 runs forgotten")
    assert runs_of(project) == {second}
    assert not logs.exists()
    assert not list((project.folder / "home").rglob(f"{first}*"))
    assert tick(project).startswith("0 runs forgotten")


def test_what_tells_how_a_week_stands_now_stays_however_old(project: Project) -> None:
    whole = project.ingest(OLDEST, NEWEST).run_id
    project.damage(MIDDLE)
    failed = project.ingest(MIDDLE).run_id
    staged_only = project.ingest(NEWEST, only=[RAW_CSV]).run_id
    before = project.instance.get_status_by_partition(LAKE_OBJECT, [w.key for w in THREE_WEEKS], WEEKS)
    assert tick(project).startswith("0 runs forgotten")
    assert runs_of(project) == {whole, failed, staged_only}
    assert project.instance.get_status_by_partition(LAKE_OBJECT, [w.key for w in THREE_WEEKS], WEEKS) == before
    assert failed_partitions(project.instance, LAKE_OBJECT, WEEKS, [MIDDLE.key]) == [MIDDLE.key]


def test_a_week_that_is_good_again_needs_its_failed_run_no_more(project: Project) -> None:
    good = project.damage(MIDDLE)
    failed = project.ingest(MIDDLE).run_id
    project.file(MIDDLE).write_bytes(good)
    healed = project.ingest(MIDDLE).run_id
    tick(project)
    assert runs_of(project) == {healed}
    assert failed not in runs_of(project)
    assert not failed_partitions(project.instance, LAKE_OBJECT, WEEKS, [MIDDLE.key])


def test_young_runs_and_those_that_have_not_ended_stay(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        project.ingest(MIDDLE)
    running = create_run_for_test(project.instance, job_name="ingest_weeks", status=dg.DagsterRunStatus.STARTED)
    keep(monkeypatch, timedelta(days=1))
    assert tick(project).startswith("0 runs forgotten")
    keep(monkeypatch, timedelta(0))
    assert tick(project).startswith("1 runs forgotten")
    assert running.run_id in runs_of(project)


def test_a_backlog_is_forgotten_a_part_a_tick(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RUNS_A_TICK", 2)
    runs = [project.ingest(MIDDLE).run_id for _ in range(4)]
    tick(project)
    assert runs_of(project) == set(runs[2:])
    tick(project)
    assert runs_of(project) == {runs[3]}
