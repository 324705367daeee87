"""What the step that makes ridership promises: any number of weeks in a run, each standing alone."""

from __future__ import annotations

import base64
import logging
import re
from typing import Any
from xml.etree import ElementTree as ET

import dagster as dg
import pytest

from mta_pipeline.domain import parquet
from mta_pipeline.domain.lake import Change
from mta_pipeline.domain.ridership_way import CONTINUOUS, RIDERSHIP_CHECKS, RIDERSHIP_MADE
from mta_pipeline.domain.sample import write_week
from mta_pipeline.domain.tables import INTERVALS, READINGS, RIDERSHIP
from mta_pipeline.domain.weeks import Week
from mta_pipeline.orchestration.dagster_edges import DATA_VERSION, range_tags
from mta_pipeline.orchestration.ridership_asset import SPEC
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

KEY = SPEC.key
READINGS_KEY = dg.AssetKey(READINGS.name)


def make_both(project: Project, first: Week, last: Week | None = None) -> dg.ExecuteInProcessResult:
    """Readings, then ridership."""
    project.make(READINGS.name, first, last)
    return project.make(RIDERSHIP.name, first, last)


def weeks_of(result: dg.ExecuteInProcessResult, asset: str = "ridership") -> set[str]:
    return {week for name, week in materialized(result) if name == asset}


def version(result: dg.ExecuteInProcessResult, week: Week) -> str:
    return (materialized(result)["ridership", week.key].tags or {})[DATA_VERSION]


def test_good_weeks_become_materializations_and_their_checks_pass(project: Project) -> None:
    project.ingest(OLDEST, NEWEST)
    result = make_both(project, OLDEST, NEWEST)
    assert result.success
    assert weeks_of(result) == {week.key for week in THREE_WEEKS}
    checks = {key: evaluation for key, evaluation in evaluated(result).items() if evaluation.asset_key == KEY}
    assert set(checks) == {(check.name, week.key) for check in RIDERSHIP_CHECKS for week in THREE_WEEKS}
    # Nothing is there before the oldest, and it is not the first week of the history.
    assert [key for key, evaluation in checks.items() if not evaluation.passed] == [(CONTINUOUS.name, OLDEST.key)]
    store = project.lake.store()
    for table in (INTERVALS, RIDERSHIP):
        name = table.object_name(MIDDLE)
        with store.open(name) as file:
            rows = parquet.read(file, table, name)
        assert rows.height > 50
        assert rows["entries"].sum() == materialized(result)["ridership", MIDDLE.key].metadata["entries"].value


def test_a_week_shows_when_and_where_people_came(project: Project) -> None:
    project.ingest(OLDEST, MIDDLE)
    shown = materialized(make_both(project, OLDEST, MIDDLE))["ridership", MIDDLE.key].metadata
    sizes = {}
    for name in ("heat map", "heat map, in figures"):
        text = str(shown[name].value)
        sizes[name] = len(text)
        picture = re.fullmatch(r"!\[[\w ]+\]\(data:image/svg\+xml;base64,([\w+/=]+)\)", text)
        assert picture
        assert ET.fromstring(base64.b64decode(picture[1])).tag == "{http://www.w3.org/2000/svg}svg"
    assert sizes["heat map"] < 1_000  # the UI shows longer Markdown only after a click
    assert sizes["heat map, in figures"] < 20_000
    stations, rules = shown["busiest stations"], shown["how it was counted"]
    assert isinstance(stations, dg.TableMetadataValue)
    assert isinstance(rules, dg.TableMetadataValue)
    assert set(stations.records[0].data) == {"station", "lines", "entries", "exits"}
    assert sum(int(str(record.data["intervals"])) for record in rules.records) == 2 * int(str(shown["intervals"].value))


def test_one_run_brings_weeks_from_the_feed_to_ridership(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    stages = ("raw_csv", "lake_object", "readings", "ridership")
    result = project.definitions.resolve_job_def("__ASSET_JOB").execute_in_process(
        instance=project.instance,
        tags=range_tags(OLDEST.key, NEWEST.key),
        asset_selection=[dg.AssetKey(name) for name in stages],
    )
    for stage in stages:
        assert weeks_of(result, stage) == {week.key for week in THREE_WEEKS}, stage
    assert len(materialized(result)) == len([event for event in result.all_events if event.is_step_materialization])
    assert not [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_each_stage_leaves_its_lines_in_the_log(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="mta_pipeline")
    project.ingest(OLDEST)
    make_both(project, OLDEST)
    ends = [message for message in caplog.messages if f"week={OLDEST} at=end" in message]
    assert [message.split()[0].removeprefix("stage=") for message in ends] == [
        "fetch", "audit", "compress", "publish", "readings", "ridership",
    ]  # fmt: skip
    for message in ends[-2:]:
        assert re.search(r" seconds=\d+\.\d{3} rows=\d+ .*failures=\d$", message)


def test_a_week_without_readings_is_red_and_stops_no_other(project: Project) -> None:
    project.damage(MIDDLE)
    project.ingest(OLDEST, NEWEST)
    result = make_both(project, OLDEST, NEWEST)
    assert not result.success
    assert weeks_of(result) == {OLDEST.key, NEWEST.key}
    checks = evaluated(result)
    made = checks[RIDERSHIP_MADE.name, MIDDLE.key]
    assert not made.passed
    assert "Materialize readings for the week first." in str(made.description)
    after = checks[CONTINUOUS.name, NEWEST.key]
    assert not after.passed
    assert f"found no readings of week {MIDDLE}: the first interval of all" in str(after.description)
    assert after.severity == dg.AssetCheckSeverity.WARN


def test_when_the_week_before_comes_later_the_week_is_another_version_and_whole(project: Project) -> None:
    project.ingest(OLDEST, NEWEST)
    alone = make_both(project, MIDDLE)
    again = make_both(project, MIDDLE)
    assert version(alone, MIDDLE) == version(again, MIDDLE)
    assert materialized(again)["ridership", MIDDLE.key].metadata["change"].value == Change.UNCHANGED.value
    project.make(READINGS.name, OLDEST)
    whole = project.make(RIDERSHIP.name, MIDDLE)
    assert version(whole, MIDDLE) != version(alone, MIDDLE)
    assert evaluated(whole)[CONTINUOUS.name, MIDDLE.key].passed
    counts = [int(str(materialized(r)["ridership", MIDDLE.key].metadata["intervals"].value)) for r in (alone, whole)]
    turnstiles = int(str(materialized(whole)["ridership", MIDDLE.key].metadata["turnstiles"].value))
    assert counts[1] == counts[0] + turnstiles


def test_a_week_that_fails_leaves_what_was_there(project: Project) -> None:
    project.ingest(MIDDLE)
    make_both(project, MIDDLE)
    store = project.lake.store()
    before = store.stat(RIDERSHIP.object_name(MIDDLE))
    readings = project.folder / "broken.parquet"
    readings.write_bytes(b"PAR1 and nothing else")
    store.publish(readings, READINGS.object_name(MIDDLE), {})
    result = project.make(RIDERSHIP.name, MIDDLE)
    assert not result.success
    assert "Materialize readings for its week again" in str(
        evaluated(result)[RIDERSHIP_MADE.name, MIDDLE.key].description
    )
    assert store.stat(RIDERSHIP.object_name(MIDDLE)) == before


def test_a_week_needs_its_readings_and_those_of_the_week_before(project: Project) -> None:
    graph = project.definitions.resolve_asset_graph()
    mapping = graph.get_partition_mapping(KEY, READINGS_KEY)
    weeks = graph.get(READINGS_KEY).partitions_def
    assert weeks

    def upstream(week: str) -> set[str]:
        of = graph.get(KEY).partitions_def
        assert of
        found = mapping.get_upstream_mapped_partitions_result_for_partitions(
            of.subset_with_partition_keys([week]), of, weeks
        )
        return set(found.partitions_subset.get_partition_keys())

    assert upstream(MIDDLE.key) == {OLDEST.key, MIDDLE.key}
    assert upstream("2010-05-08") == {"2010-05-08"}  # the first week of the history


@pytest.mark.parametrize("lake_url", ["folder"], indirect=True)
def test_a_change_makes_its_week_and_the_one_after_due_and_no_others(project: Project) -> None:
    cursor: Any = None

    def tick() -> list[str]:
        nonlocal cursor
        result = dg.evaluate_automation_conditions(
            project.definitions, project.instance, asset_selection=dg.AssetSelection.assets(KEY), cursor=cursor
        )
        cursor = result.cursor
        return sorted(filter(None, result.get_requested_partitions(KEY)))

    assert tick() == []
    project.ingest(OLDEST, NEWEST)
    assert tick() == []
    project.make(READINGS.name, OLDEST, NEWEST)
    assert tick() == [week.key for week in THREE_WEEKS]
    project.make(RIDERSHIP.name, OLDEST, NEWEST)
    assert tick() == []
    write_week(OLDEST, project.feed, rows=ROWS + 42)
    project.ingest(OLDEST)
    project.make(READINGS.name, OLDEST)
    assert tick() == [OLDEST.key, MIDDLE.key]
    project.make(RIDERSHIP.name, OLDEST, MIDDLE)
    assert tick() == []
