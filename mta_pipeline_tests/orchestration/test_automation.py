"""What flows on by itself: exactly the weeks whose sources are new or have changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import dagster as dg
import pytest

from mta_pipeline.domain.recipes import READINGS_RECIPE, RECIPES
from mta_pipeline.domain.sample import write_feed, write_week
from mta_pipeline.domain.weeks import Week
from mta_pipeline.orchestration.checks import LAKE_OBJECT, RAW_CSV
from mta_pipeline.orchestration.dagster_edges import range_tags
from mta_pipeline.orchestration.jobs import BOOTHS_JOB
from mta_pipeline_tests.orchestration.project import MIDDLE, NEWEST, OLDEST, ROWS, Project, materialized

READINGS = dg.AssetKey("readings")

# What is asked for follows from the record alone, whatever lake there is.
pytestmark = pytest.mark.parametrize("lake_url", ["folder"], indirect=True)


class Ticks:
    """The sensor's ticks, one after another."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._cursor: object = None

    def __call__(self) -> list[str]:
        """The weeks whose readings a tick asks for."""
        result = dg.evaluate_automation_conditions(
            self._project.definitions,
            self._project.instance,
            asset_selection=dg.AssetSelection.assets(READINGS),
            cursor=self._cursor,  # type: ignore[arg-type]
        )
        self._cursor = result.cursor
        return sorted(filter(None, result.get_requested_partitions(READINGS)))


def change(project: Project, week: Week) -> None:
    """Another version of the week's file, as good as the first."""
    write_week(week, project.feed, rows=ROWS + 42)


def test_weeks_are_asked_for_once_their_objects_are_in_the_lake_whatever_weeks_they_are(project: Project) -> None:
    tick = Ticks(project)
    assert tick() == []
    project.ingest(OLDEST)
    assert tick() == [OLDEST.key]
    project.ingest(MIDDLE, NEWEST)
    assert tick() == [MIDDLE.key, NEWEST.key]
    assert tick() == []


def test_what_was_in_the_lake_before_the_first_tick_is_asked_for(project: Project) -> None:
    project.ingest(OLDEST, MIDDLE)
    assert Ticks(project)() == [OLDEST.key, MIDDLE.key]


def test_a_week_that_failed_its_audit_is_not_asked_for(project: Project) -> None:
    project.damage(MIDDLE)
    tick = Ticks(project)
    tick()
    project.ingest(OLDEST, NEWEST)
    assert tick() == [OLDEST.key, NEWEST.key]


def test_an_unchanged_week_that_is_ingested_again_asks_for_nothing(project: Project) -> None:
    tick = Ticks(project)
    project.ingest(OLDEST, NEWEST)
    tick()
    project.make("readings", OLDEST, NEWEST)
    assert tick() == []
    project.ingest(OLDEST, NEWEST)
    assert tick() == []


def test_a_changed_week_is_asked_for_again(project: Project) -> None:
    tick = Ticks(project)
    project.ingest(OLDEST, NEWEST)
    tick()
    project.make("readings", OLDEST, NEWEST)
    tick()
    change(project, MIDDLE)
    project.ingest(OLDEST, NEWEST)
    assert tick() == [MIDDLE.key]
    assert tick() == []


def test_weeks_that_somebody_made_by_hand_are_not_asked_for(project: Project) -> None:
    tick = Ticks(project)
    tick()
    project.ingest(OLDEST, NEWEST)
    project.make("readings", OLDEST, NEWEST)
    assert tick() == []


def test_a_week_that_failed_is_asked_for_again_only_when_its_source_has_changed(project: Project) -> None:
    tick = Ticks(project)
    project.ingest(MIDDLE)
    assert tick() == [MIDDLE.key]
    assert tick() == []  # it was asked for, and nothing came of it
    project.ingest(MIDDLE)
    assert tick() == []
    change(project, MIDDLE)
    project.ingest(MIDDLE)
    assert tick() == [MIDDLE.key]


def test_what_a_run_of_several_stages_left_out_is_asked_for(project: Project) -> None:
    """Dagster skips the second step of a run whose first one tells of its weeks by events."""
    tick = Ticks(project)
    tick()
    result = project.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=project.instance,
        tags=range_tags(MIDDLE.key, MIDDLE.key),
        asset_selection=[RAW_CSV, LAKE_OBJECT, READINGS],
    )
    assert result.success
    assert tick() == ([] if ("readings", MIDDLE.key) in materialized(result) else [MIDDLE.key])


def test_new_rules_make_every_week_due_again(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    tick = Ticks(project)
    project.ingest(OLDEST, MIDDLE)
    tick()
    project.make("readings", OLDEST, MIDDLE)
    assert tick() == []
    monkeypatch.setitem(RECIPES, "readings", replace(READINGS_RECIPE, rules=READINGS_RECIPE.rules + 1))
    assert tick() == [OLDEST.key, MIDDLE.key]


def test_a_new_list_of_booths_makes_legacy_weeks_due_and_no_others(project: Project) -> None:
    legacy = Week(date(2014, 10, 4))
    list(write_feed(project.feed, [legacy], ROWS))
    project.ingest(legacy)
    project.ingest(MIDDLE)
    for week in (legacy, MIDDLE):
        project.make("readings", week)
    tick = Ticks(project)
    assert tick() == []
    assert project.definitions.resolve_job_def(BOOTHS_JOB.name).execute_in_process(instance=project.instance).success
    assert tick() == [legacy.key]
    project.make("readings", legacy)
    assert tick() == []
