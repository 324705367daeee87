"""The sensor that looks for late files, and the check that tells of overdue weeks."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from mta_pipeline.domain.arrivals import Arrivals
from mta_pipeline.domain.settings import Settings
from mta_pipeline.orchestration import late_files as module
from mta_pipeline.orchestration.checks import LAKE_OBJECT, NO_WEEK_OVERDUE
from mta_pipeline.orchestration.dagster_edges import last_evaluation, range_tags
from mta_pipeline.orchestration.definitions import build_definitions, build_resources
from mta_pipeline.orchestration.jobs import INGEST_JOB
from mta_pipeline.orchestration.schedules import weekly_ingest
from mta_pipeline_tests.feed_server import FeedServer, status, whole
from mta_pipeline_tests.orchestration.project import MIDDLE, NEWEST, OLDEST, Project

A_RUN = "00000000-0000-0000-0000-000000000001"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def lake_url(tmp_path: Path) -> str:
    """In a folder alone: the sensor asks the store, which is tested over both."""
    return str(tmp_path / "lake")


@dataclass
class Sensor:
    """The sensor with its cursor and its clock, as the daemon keeps them from tick to tick."""

    project: Project
    monkeypatch: pytest.MonkeyPatch
    clock: datetime
    cursor: str | None = None
    requested: list[str] = field(default_factory=list)
    feed_url: str = ""

    def tick(self, later: timedelta = timedelta(minutes=15)) -> SensorExecutionData:
        self.clock += later
        self.monkeypatch.setattr(module, "now", lambda: self.clock)
        environment = self.project.environment | ({"MTA_FEED_URL": self.feed_url} if self.feed_url else {})
        resources = build_resources(Settings.from_environment(environment))
        repository = build_definitions(resources).get_repository_def()
        with dg.build_sensor_context(
            self.project.instance, cursor=self.cursor, repository_def=repository, resources=resources
        ) as context:
            answer = module.late_files.evaluate_tick(context)
        self.cursor = answer.cursor
        for evaluation in answer.asset_events:
            self.project.instance.report_runless_asset_event(evaluation)
        self.requested += [request.partition_key or "" for request in answer.run_requests or ()]
        return answer


@pytest.fixture
def sensor(project: Project, monkeypatch: pytest.MonkeyPatch) -> Sensor:
    """The sensor, two hours after NEWEST was due, past its first tick; the two weeks before are in the lake."""
    monkeypatch.setattr(module, "ARRIVALS", Arrivals(OLDEST, None, timedelta(hours=48)))
    project.ingest(OLDEST, MIDDLE)
    sensor = Sensor(project, monkeypatch, NEWEST.due + 2 * HOUR)
    sensor.tick()
    assert sensor.requested == []
    return sensor


def test_a_late_file_is_asked_for_once_it_has_appeared_and_only_once(sensor: Sensor) -> None:
    file = sensor.project.file(NEWEST)
    content = file.read_bytes()
    file.unlink()
    assert "is not there yet" in (sensor.tick().skip_message or "")
    file.write_bytes(content)
    [request] = sensor.tick().run_requests or ()
    assert request.partition_key == NEWEST.key
    # The daemon starts the run under the request's key; a key is never used twice.
    sensor.project.instance.add_run(
        dg.DagsterRun(
            INGEST_JOB.name, status=dg.DagsterRunStatus.FAILURE, tags={"dagster/run_key": request.run_key or ""}
        )
    )
    assert "tried before" in (sensor.tick().skip_message or "")


def test_a_file_that_failed_is_not_asked_for_again_but_its_successor_is(sensor: Sensor) -> None:
    good = sensor.project.damage(NEWEST)
    assert not sensor.project.ingest(NEWEST).success
    assert "tried before" in (sensor.tick().skip_message or "")
    sensor.project.file(NEWEST).write_bytes(good)
    sensor.tick()
    assert sensor.requested == [NEWEST.key]


def test_a_week_in_the_lake_is_not_asked_for(sensor: Sensor) -> None:
    sensor.project.ingest(NEWEST)
    assert "The newest weeks are in the lake" in (sensor.tick().skip_message or "")
    assert sensor.requested == []


def test_the_first_word_is_the_schedules(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ARRIVALS", Arrivals(OLDEST, None, timedelta(hours=48)))
    project.ingest(OLDEST, MIDDLE)
    sensor = Sensor(project, monkeypatch, NEWEST.due - 20 * MINUTE)
    sensor.tick()
    # Five minutes before the moment, and ten after it: the schedule's own tick lies between.
    assert "weekly_ingest goes first" in (sensor.tick().skip_message or "")
    request = weekly_ingest(dg.build_schedule_context(scheduled_execution_time=NEWEST.due))
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == NEWEST.key


@pytest.mark.parametrize("tags", [{"dagster/partition": NEWEST.key}, range_tags(MIDDLE.key, NEWEST.key)])
@pytest.mark.parametrize("state", [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED])
def test_a_week_that_a_run_has_before_it_is_left_to_it(
    sensor: Sensor, tags: dict[str, str], state: dg.DagsterRunStatus
) -> None:
    sensor.project.instance.add_run(dg.DagsterRun(INGEST_JOB.name, run_id=A_RUN, status=state, tags=tags))
    assert f"Week {NEWEST}: run {A_RUN} has it in hand." in (sensor.tick().skip_message or "")
    assert sensor.requested == []


def test_a_feed_that_is_ill_is_asked_once_and_the_tick_says_what_it_said(
    sensor: Sensor, feed_server: FeedServer
) -> None:
    sensor.project.lake.store()
    for week in (MIDDLE, NEWEST):
        Path(sensor.project.address(week)).unlink(missing_ok=True)
        feed_server.serve(week, status(503))
    sensor.feed_url = feed_server.url
    assert "503" in (sensor.tick().skip_message or "")
    assert len(feed_server.requests) == 1


def test_a_feed_over_http_is_asked_for_a_header_only(sensor: Sensor, feed_server: FeedServer) -> None:
    feed_server.serve(NEWEST, whole(sensor.project.file(NEWEST).read_bytes(), headers={"ETag": '"1"'}))
    sensor.feed_url = feed_server.url
    sensor.tick()
    assert sensor.requested == [NEWEST.key]
    assert [request.method for request in feed_server.requests] == ["HEAD"]


def overdue(sensor: Sensor) -> dg.AssetCheckEvaluation:
    last = last_evaluation(sensor.project.instance, NO_WEEK_OVERDUE)
    assert last is not None
    return last[1]


def test_a_week_becomes_overdue_after_the_set_time_and_is_well_once_it_is_there(sensor: Sensor) -> None:
    content = sensor.project.file(NEWEST).read_bytes()
    sensor.project.file(NEWEST).unlink()
    sensor.tick()
    assert overdue(sensor).passed
    sensor.tick(later=48 * HOUR)
    evaluation = overdue(sensor)
    assert not evaluation.passed
    assert evaluation.metadata["weeks"].value == [NEWEST.key]
    assert NEWEST.key in (evaluation.description or "")
    assert "MTA_LAST_WEEK" in (evaluation.description or "")
    sensor.project.file(NEWEST).write_bytes(content)
    sensor.project.ingest(NEWEST)
    sensor.tick()
    assert overdue(sensor).passed


def test_a_backfill_of_older_weeks_leaves_an_overdue_week_overdue(sensor: Sensor) -> None:
    sensor.tick(later=48 * HOUR)
    assert not overdue(sensor).passed
    sensor.project.ingest(OLDEST, MIDDLE)
    sensor.tick()
    assert not overdue(sensor).passed


def test_the_check_is_not_evaluated_anew_while_it_says_the_same(sensor: Sensor) -> None:
    # Dagster notes whole seconds: one evaluation may look older than the materialization just before it.
    end = time.monotonic() + 5
    while sensor.tick(later=MINUTE).asset_events:
        assert time.monotonic() < end


def test_a_history_that_has_ended_has_no_late_weeks(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ARRIVALS", Arrivals(OLDEST, MIDDLE, timedelta(hours=48)))
    sensor = Sensor(project, monkeypatch, NEWEST.due + timedelta(weeks=10))
    assert "No week is due" in (sensor.tick().skip_message or "")
    assert overdue(sensor).passed


def test_the_check_can_be_asked_by_itself(sensor: Sensor) -> None:
    sensor.clock += 48 * HOUR
    sensor.monkeypatch.setattr(module, "now", lambda: sensor.clock)
    definitions = sensor.project.definitions
    result = (
        definitions.resolve_implicit_global_asset_job_def()
        .get_subset(asset_check_selection={NO_WEEK_OVERDUE}, asset_selection=set())
        .execute_in_process(instance=sensor.project.instance)
    )
    [evaluation] = result.get_asset_check_evaluations()
    assert evaluation.asset_key == LAKE_OBJECT
    assert not evaluation.passed


def test_a_run_of_weeks_does_not_ask_it(sensor: Sensor) -> None:
    names = {e.check_name for e in sensor.project.ingest(NEWEST).get_asset_check_evaluations()}
    assert NO_WEEK_OVERDUE.name not in names
    assert "object_intact" in names
