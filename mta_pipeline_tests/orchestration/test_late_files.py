"""Weeks that are due and missing: when the sensor asks for them, and what the check says."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.selector import (
    PartitionRangeSelector,
    PartitionsByAssetSelector,
    PartitionsSelector,
)
from dagster._core.execution.backfill import PartitionBackfill

from mta_pipeline.domain.arrivals import Arrivals
from mta_pipeline.domain.audit import CHECKS
from mta_pipeline.domain.weeks import NEW_YORK, Week
from mta_pipeline.orchestration import late_files as module
from mta_pipeline.orchestration.checks import LAKE_OBJECT, NO_WEEK_OVERDUE, RAW_CSV
from mta_pipeline.orchestration.dagster_edges import last_evaluation, range_tags
from mta_pipeline.orchestration.definitions import defs
from mta_pipeline.orchestration.jobs import INGEST_JOB
from mta_pipeline.orchestration.resources import FeedResource
from mta_pipeline_tests.feed_server import FeedServer, status, whole
from mta_pipeline_tests.orchestration.project import MIDDLE, NEWEST, OLDEST, THREE_WEEKS, Project, evaluated

SATURDAY_NOON = datetime(2024, 1, 20, 12, tzinfo=NEW_YORK)  # NEWEST comes due


class Watch:
    """The sensor at work in a project, a look at a time, by a clock of its own."""

    def __init__(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        self.project = project
        self.now = SATURDAY_NOON + timedelta(hours=1)
        self.cursor: str | None = (SATURDAY_NOON + timedelta(minutes=30)).isoformat()
        self.feed_url = project.feed.as_uri()
        monkeypatch.setattr(module, "now", lambda: self.now)
        monkeypatch.setattr(module, "ARRIVALS", Arrivals(OLDEST, None, timedelta(hours=48)))

    def look(self) -> dg.SensorResult:
        """What the sensor answers; its check's evaluation is recorded, as the daemon does."""
        with dg.build_sensor_context(
            instance=self.project.instance,
            cursor=self.cursor,
            definitions=self.project.definitions,
            resources={
                "feed": FeedResource(url=self.feed_url),
                "lake": self.project.lake,
            },
        ) as context:
            result = module.late_files(context)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        for event in result.asset_events:
            self.project.instance.report_runless_asset_event(event)
        return result

    def asks_for(self) -> list[str]:
        """The weeks that the sensor requests."""
        return [request.partition_key or "" for request in self.look().run_requests or []]

    def reason(self) -> str:
        """Why it requests nothing."""
        result = self.look()
        assert not result.run_requests
        assert result.skip_reason
        return result.skip_reason.skip_message or ""

    def told(self) -> dg.AssetCheckEvaluation:
        """The check's newest evaluation on record."""
        last = last_evaluation(self.project.instance, NO_WEEK_OVERDUE)
        assert last
        return last[1]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project over a folder, whose Dagster instance keeps its record on disk."""
    (tmp_path / "home").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "home")) as instance:
        project = Project(tmp_path, instance, str(tmp_path / "lake"))
        project.publish_feed(THREE_WEEKS)
        yield project


@pytest.fixture
def watch(project: Project, monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(project, monkeypatch)


def run_in_progress(project: Project, tags: dict[str, str], state: dg.DagsterRunStatus) -> None:
    """A run that some other process has, in this state."""
    job = project.definitions.resolve_job_def(INGEST_JOB.name)
    project.instance.create_run_for_job(job, tags=tags, status=state)


def test_weeks_that_are_due_and_missing_are_asked_for_the_newest_first(watch: Watch) -> None:
    assert watch.asks_for() == [NEWEST.key, MIDDLE.key, OLDEST.key]


def test_weeks_in_the_lake_are_not_asked_for(watch: Watch) -> None:
    watch.project.ingest(OLDEST, NEWEST)
    assert "The newest weeks are in the lake" in watch.reason()


def test_a_week_is_asked_for_when_its_file_has_appeared_and_not_before(watch: Watch) -> None:
    watch.project.ingest(OLDEST, MIDDLE)
    content = watch.project.file(NEWEST).read_bytes()
    watch.project.file(NEWEST).unlink()
    assert f"Week {NEWEST}: {watch.project.file(NEWEST).as_uri()} is not there yet." in watch.reason()
    watch.project.file(NEWEST).write_bytes(content)
    assert watch.asks_for() == [NEWEST.key]


def test_what_it_asks_for_is_the_ingest_job_and_puts_the_week_into_the_lake(watch: Watch) -> None:
    watch.project.ingest(OLDEST, MIDDLE)
    [request] = watch.look().run_requests or []
    job = watch.project.definitions.resolve_job_def(INGEST_JOB.name)
    result = job.execute_in_process(
        instance=watch.project.instance,
        partition_key=request.partition_key,
        tags={"dagster/run_key": str(request.run_key)},
    )
    assert result.success
    assert watch.project.stored(NEWEST)
    assert watch.asks_for() == []


def test_the_schedule_goes_first_with_a_week_that_has_just_come_due(watch: Watch) -> None:
    watch.project.ingest(OLDEST, MIDDLE)
    watch.cursor = (SATURDAY_NOON - timedelta(minutes=1)).isoformat()
    watch.now = SATURDAY_NOON + timedelta(minutes=14)
    assert f"Week {NEWEST}: weekly_ingest goes first" in watch.reason()
    assert watch.asks_for() == [NEWEST.key]


def test_the_first_look_after_being_turned_on_only_looks(watch: Watch) -> None:
    watch.cursor = None
    assert "weekly_ingest goes first" in watch.reason()
    assert watch.asks_for() == [NEWEST.key, MIDDLE.key, OLDEST.key]


def test_a_daemon_that_was_away_over_noon_lets_the_schedule_catch_up_first(watch: Watch) -> None:
    watch.project.ingest(OLDEST, MIDDLE)
    watch.cursor = (SATURDAY_NOON - timedelta(hours=3)).isoformat()
    watch.now = SATURDAY_NOON + timedelta(hours=30)
    assert "weekly_ingest goes first" in watch.reason()


@pytest.mark.parametrize(
    "state",
    [
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.CANCELING,
    ],
)
@pytest.mark.parametrize(
    "tags",
    [{"dagster/partition": MIDDLE.key, "dagster/schedule_name": "weekly_ingest"}, range_tags(OLDEST.key, NEWEST.key)],
    ids=["a week", "a range"],
)
def test_a_week_that_a_run_has_in_hand_is_left_alone(
    watch: Watch, tags: dict[str, str], state: dg.DagsterRunStatus
) -> None:
    run_in_progress(watch.project, tags, state)
    weeks = watch.asks_for()
    assert MIDDLE.key not in weeks
    assert weeks == ([] if "dagster/asset_partition_range_start" in tags else [NEWEST.key, OLDEST.key])


def test_a_run_that_has_ended_keeps_nobody_away(watch: Watch) -> None:
    for state in (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED):
        run_in_progress(watch.project, range_tags(OLDEST.key, NEWEST.key), state)
    assert watch.asks_for() == [NEWEST.key, MIDDLE.key, OLDEST.key]


def test_a_week_that_waits_in_a_backfill_is_left_alone(watch: Watch) -> None:
    weeks = PartitionsSelector(ranges=[PartitionRangeSelector(start=MIDDLE.key, end=NEWEST.key)])
    watch.project.instance.add_backfill(
        PartitionBackfill.from_partitions_by_assets(
            backfill_id="all-but-the-oldest",
            asset_graph=watch.project.definitions.resolve_asset_graph(),
            backfill_timestamp=time.time(),
            tags={},
            dynamic_partitions_store=watch.project.instance,
            partitions_by_assets=[
                PartitionsByAssetSelector(asset_key=key, partitions=weeks) for key in (RAW_CSV, LAKE_OBJECT)
            ],
            title=None,
            description=None,
            run_config=None,
        )
    )
    assert watch.asks_for() == [OLDEST.key]
    watch.project.ingest(OLDEST)
    assert f"Week {MIDDLE}: backfill all-but-the-oldest has it in hand." in watch.reason()


def test_a_file_that_failed_in_the_schedules_run_is_not_asked_for_until_it_is_replaced(watch: Watch) -> None:
    good = watch.project.damage(NEWEST)
    watch.project.ingest(OLDEST, NEWEST)  # as the schedule, or anybody, does
    assert f"Week {NEWEST}: {watch.project.file(NEWEST).as_uri()} is the same file" in watch.reason()
    watch.project.file(NEWEST).write_bytes(good)
    assert watch.asks_for() == [NEWEST.key]


def test_one_version_of_a_file_is_asked_for_once_whatever_became_of_the_run(watch: Watch) -> None:
    watch.project.ingest(OLDEST, MIDDLE)
    [request] = watch.look().run_requests or []
    tags = {"dagster/partition": NEWEST.key, "dagster/run_key": str(request.run_key)}
    run_in_progress(watch.project, tags, dg.DagsterRunStatus.FAILURE)
    assert "is the same file" in watch.reason()
    os.utime(watch.project.file(NEWEST), (1, 1))
    [again] = watch.look().run_requests or []
    assert again.run_key != request.run_key


def test_a_feed_that_is_ill_is_asked_about_one_week_and_told_of(watch: Watch, feed_server: FeedServer) -> None:
    watch.feed_url = feed_server.url
    for week in THREE_WEEKS:
        feed_server.serve(week, status(503))
    assert f"Week {NEWEST}: {feed_server.url}/{NEWEST.file_name}: found 503" in watch.reason()
    assert len(feed_server.requests) == 1


def test_a_feed_behind_a_server_is_asked_for_headers_alone(watch: Watch, feed_server: FeedServer) -> None:
    watch.feed_url = feed_server.url
    feed_server.serve(NEWEST, status(404))
    feed_server.serve(MIDDLE, status(404))
    feed_server.serve(OLDEST, whole(b"something", headers={"ETag": '"1"'}))
    assert watch.asks_for() == [OLDEST.key]
    assert [(request.method, request.path) for request in feed_server.requests] == [
        ("HEAD", f"/{week.file_name}") for week in (NEWEST, MIDDLE, OLDEST)
    ]


def test_the_check_fails_when_a_week_is_overdue_and_names_it(watch: Watch) -> None:
    watch.project.ingest(OLDEST, MIDDLE)
    watch.project.file(NEWEST).unlink()
    watch.now = SATURDAY_NOON + timedelta(hours=47)
    watch.look()
    assert watch.told().passed
    assert watch.told().metadata["weeks"].value == []
    watch.now = SATURDAY_NOON + timedelta(hours=49)
    watch.look()
    assert not watch.told().passed
    assert not watch.told().blocking
    assert watch.told().metadata["weeks"].value == [NEWEST.key]
    assert f"no object of 1 of the 3 newest weeks: {NEWEST} (due 2024-01-20" in (watch.told().description or "")


def test_a_backfill_of_other_weeks_does_not_turn_the_check_green_and_the_missing_week_does(watch: Watch) -> None:
    watch.now = SATURDAY_NOON + timedelta(hours=49)
    watch.project.ingest(OLDEST, MIDDLE)
    watch.look()
    watch.project.publish_feed([OLDEST.shifted(-1)])
    watch.project.ingest(OLDEST.shifted(-1))
    watch.look()
    assert not watch.told().passed
    watch.project.ingest(NEWEST)
    watch.look()
    assert watch.told().passed


def test_the_sensor_repeats_the_check_only_when_there_is_news_or_a_day_has_gone(watch: Watch) -> None:
    watch.project.ingest(OLDEST, MIDDLE)
    watch.project.file(NEWEST).unlink()
    watch.now = datetime.now(timezone.utc)  # what is recorded has the real clock's time
    assert watch.look().asset_events
    assert not watch.look().asset_events
    watch.project.ingest(OLDEST)  # a newer materialization outdates the evaluation
    assert watch.look().asset_events
    assert not watch.look().asset_events
    watch.now += timedelta(hours=25)
    assert watch.look().asset_events


def test_the_check_says_the_same_when_it_is_run(watch: Watch) -> None:
    watch.project.ingest(OLDEST, MIDDLE)
    watch.now = SATURDAY_NOON + timedelta(hours=49)
    watch.look()
    job = watch.project.definitions.resolve_implicit_global_asset_job_def()
    result = job.get_subset(asset_check_selection={NO_WEEK_OVERDUE}, asset_selection=set()).execute_in_process(
        instance=watch.project.instance
    )
    assert result.success, "a failed check fails no run"
    [evaluation] = result.get_asset_check_evaluations()
    assert evaluation.partition is None
    told = watch.told()
    assert (evaluation.passed, evaluation.description) == (told.passed, told.description) == (False, told.description)
    assert evaluation.metadata["weeks"] == told.metadata["weeks"]


def test_the_ingest_job_does_not_ask_it_again_for_each_week(watch: Watch) -> None:
    assert {name for name, _ in evaluated(watch.project.ingest(OLDEST, NEWEST))} == {check.name for check in CHECKS}


def test_weeks_materialized_together_with_their_checks_from_the_ui_stay_as_they_are(watch: Watch) -> None:
    # What the dialog launches: all that can be run of the selected assets, in one run over a range.
    job = watch.project.definitions.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=watch.project.instance,
        tags=range_tags(OLDEST.key, NEWEST.key),
        asset_selection=[RAW_CSV, LAKE_OBJECT],
    )
    assert result.success
    evaluations = evaluated(result)
    assert set(evaluations) == {(check.name, week.key) for check in CHECKS for week in THREE_WEEKS} | {
        (NO_WEEK_OVERDUE.name, "")
    }


def test_with_the_last_week_in_the_past_nothing_is_asked_for_and_nothing_is_late(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = replace(module.ARRIVALS, last=Week.parse("2023-06-03"), first=Week.parse("2010-05-08"))
    monkeypatch.setattr(module, "ARRIVALS", ended)
    assert watch.reason().startswith("No week is due")
    assert watch.told().passed


def test_the_sensor_is_off_until_it_is_turned_on_as_the_schedule_is() -> None:
    assert module.late_files.default_status == dg.DefaultSensorStatus.STOPPED
    assert defs.resolve_schedule_def("weekly_ingest").default_status == dg.DefaultScheduleStatus.STOPPED
