"""What flows on by itself: exactly the weeks whose sources are new or have changed."""

from __future__ import annotations

import dagster as dg
import pytest

from mta_pipeline.domain.sample import write_week
from mta_pipeline.domain.weeks import Week
from mta_pipeline_tests.orchestration.project import MIDDLE, NEWEST, OLDEST, ROWS, Project

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
