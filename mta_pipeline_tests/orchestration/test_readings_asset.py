"""What the step that makes readings promises: any number of weeks in a run, each standing alone."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from mta_pipeline.domain import parquet
from mta_pipeline.domain.lake import LocalStore
from mta_pipeline.domain.readings_way import READINGS_CHECKS
from mta_pipeline.domain.recipes import READINGS_RECIPE
from mta_pipeline.domain.sample import write_feed, write_week
from mta_pipeline.domain.tables import READINGS, REJECTED, Table
from mta_pipeline.domain.weeks import Week
from mta_pipeline.orchestration.dagster_edges import failed_partitions
from mta_pipeline.orchestration.definitions import defs
from mta_pipeline.orchestration.jobs import BOOTHS_JOB
from mta_pipeline.orchestration.partitions import WEEKS
from mta_pipeline_tests.orchestration.project import (
    MIDDLE,
    NEWEST,
    OLDEST,
    ROWS,
    THREE_WEEKS,
    Project,
    evaluated,
    materialized,
)

READINGS_KEY = dg.AssetKey("readings")
LEGACY = Week(date(2014, 10, 4))
IN_A_FOLDER = pytest.mark.parametrize("lake_url", ["folder"], indirect=True)


def rows(project: Project, week: Week, table: Table = READINGS) -> pl.DataFrame:
    with project.lake.store().open(table.object_name(week)) as file:
        return parquet.read(file, table)


def damage_object(project: Project, week: Week) -> bytes:
    """Cut the week's object in the lake; returns what it was."""
    store = project.lake.store()
    good = project.stored(week) or b""
    cut = project.folder / "cut"
    cut.write_bytes(good[:-100])
    store.publish(cut, week.object_name, {})
    return good


def test_a_good_week_becomes_a_materialization_and_all_its_checks_pass(project: Project) -> None:
    project.ingest(MIDDLE)
    result = project.make("readings", MIDDLE)
    assert result.success
    assert set(materialized(result)) == {("readings", MIDDLE.key)}
    checks = evaluated(result)
    assert set(checks) == {(check.name, MIDDLE.key) for check in READINGS_CHECKS}
    assert all(evaluation.passed for evaluation in checks.values())
    lines = project.file(MIDDLE).read_bytes().count(b"\n") - 1
    assert rows(project, MIDDLE).height + rows(project, MIDDLE, REJECTED).height == lines


def test_a_materialization_tells_what_people_want_to_know(project: Project) -> None:
    project.ingest(MIDDLE)
    made = materialized(project.make("readings", MIDDLE))["readings", MIDDLE.key]
    metadata = {name: value.value for name, value in made.metadata.items()}
    assert metadata["rows"] == metadata["dagster/partition_row_count"] == rows(project, MIDDLE).height
    assert metadata["dagster/uri"] == f"{project.lake_url}/readings/week={MIDDLE.key}/readings.parquet"
    assert metadata["change"] == "created"
    assert {"bytes", "seconds", "rows/s", "sha256", "turnstiles", "rejected rows", "rejected rows are in"} <= set(
        metadata
    )
    preview = made.metadata["preview"]
    assert isinstance(preview, dg.TableMetadataValue)
    assert [column.name for column in preview.schema.columns] == [column.name for column in READINGS.columns]
    assert preview.records[0].data["control_area"] == rows(project, MIDDLE)["control_area"][0]


def test_a_week_whose_object_is_damaged_is_red_alone_and_says_why(project: Project) -> None:
    project.ingest(OLDEST, NEWEST)
    damage_object(project, MIDDLE)
    result = project.make("readings", OLDEST, NEWEST)
    assert not result.success
    assert {partition for _, partition in materialized(result)} == {OLDEST.key, NEWEST.key}
    assert failed_partitions(project.instance, READINGS_KEY, WEEKS, [w.key for w in THREE_WEEKS]) == [MIDDLE.key]
    verdict = evaluated(result)["readings_made", MIDDLE.key]
    assert not verdict.passed
    assert project.address(MIDDLE) in (verdict.description or "")
    [failure] = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert failure.user_failure_data
    assert (failure.user_failure_data.description or "").startswith("1 of 3 weeks failed:\nWeek 2024-01-06: ")
    observation = project.instance.fetch_observations(READINGS_KEY, limit=1).records[0].event_log_entry
    assert "why it failed" in (observation.asset_observation.metadata if observation.asset_observation else {})


@IN_A_FOLDER
def test_a_week_that_is_not_in_the_lake_says_what_to_do(project: Project) -> None:
    verdict = evaluated(project.make("readings", MIDDLE))["readings_made", MIDDLE.key]
    assert "Materialize lake_object for the week first" in (verdict.description or "")


def test_a_week_that_fails_leaves_the_lake_as_it_was(project: Project) -> None:
    project.ingest(MIDDLE)
    project.make("readings", MIDDLE)
    before = rows(project, MIDDLE)
    damage_object(project, MIDDLE)
    assert not project.make("readings", MIDDLE).success
    assert rows(project, MIDDLE).equals(before)


def test_an_unchanged_week_gives_the_same_object_and_the_same_version(project: Project) -> None:
    project.ingest(MIDDLE)
    first, second = (materialized(project.make("readings", MIDDLE))["readings", MIDDLE.key] for _ in range(2))
    assert (first.tags or {})["dagster/data_version"] == (second.tags or {})["dagster/data_version"]
    assert second.metadata["change"].value == "unchanged"


@IN_A_FOLDER
def test_the_version_follows_from_the_object_of_which_the_week_was_made(project: Project) -> None:
    lake_object = materialized(project.ingest(MIDDLE))["lake_object", MIDDLE.key]
    version = (lake_object.tags or {})["dagster/data_version"]
    tags = materialized(project.make("readings", MIDDLE))["readings", MIDDLE.key].tags or {}
    assert tags["dagster/data_version"] == READINGS_RECIPE.version(MIDDLE, {"lake_object": {MIDDLE: version}})
    assert tags["dagster/input_data_version/lake_object"] == version
    write_week(MIDDLE, project.feed, rows=ROWS + 42)
    project.ingest(MIDDLE)
    changed = materialized(project.make("readings", MIDDLE))["readings", MIDDLE.key].tags or {}
    assert changed["dagster/data_version"] != tags["dagster/data_version"]


def test_legacy_weeks_have_their_stations_from_the_list_of_booths(project: Project) -> None:
    list(write_feed(project.feed, [LEGACY], ROWS))
    project.ingest(LEGACY)
    warned = evaluated(project.make("readings", LEGACY))["stations_known", LEGACY.key]
    assert not warned.passed
    assert warned.severity == dg.AssetCheckSeverity.WARN
    assert "materialize remote_booths" in (warned.description or "")
    assert rows(project, LEGACY)["station"].null_count() == rows(project, LEGACY).height
    job = project.definitions.resolve_job_def(BOOTHS_JOB.name)
    assert job.execute_in_process(instance=project.instance).success
    assert evaluated(project.make("readings", LEGACY))["stations_known", LEGACY.key].passed
    assert rows(project, LEGACY)["station"].null_count() == 0


@IN_A_FOLDER
def test_a_list_of_booths_that_is_none_is_red_and_says_what_to_do(project: Project) -> None:
    job = project.definitions.resolve_job_def(BOOTHS_JOB.name)
    result = job.execute_in_process(instance=project.instance, raise_on_error=False)
    [failure] = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert failure.user_failure_data
    assert "Point MTA_BOOTHS_URL at a copy of Remote-Booth-Station" in (failure.user_failure_data.description or "")


@IN_A_FOLDER
def test_nothing_half_done_is_left_in_staging_or_lake(project: Project) -> None:
    project.ingest(OLDEST, NEWEST)
    damage_object(project, MIDDLE)
    project.make("readings", OLDEST, NEWEST)
    assert not list(project.staging.glob(".scratch*"))
    assert isinstance(project.lake.store(), LocalStore)
    assert not list(Path(project.lake_url).rglob(".*.part"))


def test_tables_say_what_they_are_who_owns_them_and_what_their_columns_mean() -> None:
    spec = defs.resolve_assets_def(READINGS_KEY).specs_by_key[READINGS_KEY]
    assert spec.owners
    assert spec.kinds == {"parquet", "polars"}
    schema = spec.metadata["dagster/column_schema"]
    assert isinstance(schema, dg.TableSchema)
    assert [(c.name, c.type, c.description) for c in schema.columns] == [
        (c.name, c.type, c.description) for c in READINGS.columns
    ]


def test_no_two_stages_go_into_one_run_of_a_backfill() -> None:
    """Dagster takes assets of one policy into one run, in which the second step would be skipped."""
    assets = [one for one in defs.assets or [] if isinstance(one, dg.AssetsDefinition)]
    weekly = [one.backfill_policy for one in assets if one.backfill_policy]
    assert len(weekly) >= 2
    assert len({policy.max_partitions_per_run for policy in weekly}) == len(weekly)
