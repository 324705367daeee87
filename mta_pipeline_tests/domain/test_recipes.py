"""What weeks are made of, and that their version follows from it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from mta_pipeline.domain.recipes import READINGS_RECIPE, RECIPES, Recipe, Versions
from mta_pipeline.domain.tables import RIDERSHIP
from mta_pipeline.domain.weeks import Week

LEGACY, WEEK = Week(date(2011, 5, 21)), Week(date(2024, 1, 13))
BEFORE = WEEK.shifted(-1)
GOLD = Recipe(RIDERSHIP, rules=1, source="readings", weeks_before=1)


def test_readings_are_made_of_the_lake_object_and_legacy_ones_of_the_list_of_booths_too() -> None:
    assert READINGS_RECIPE.sources(WEEK) == {"lake_object": [WEEK]}
    assert READINGS_RECIPE.sources(LEGACY) == {"lake_object": [LEGACY], "remote_booths": [None]}
    assert READINGS_RECIPE.source_object(WEEK) == WEEK.object_name


def test_a_recipe_may_take_weeks_before_as_well() -> None:
    assert GOLD.sources(WEEK) == {"readings": [BEFORE, WEEK]}
    assert GOLD.source_object(WEEK) == "readings/week=2024-01-13/readings.parquet"


def test_the_version_changes_with_each_source_and_with_the_rules_and_with_nothing_else() -> None:
    one = GOLD.version(WEEK, {"readings": {WEEK: "a"}})
    both = GOLD.version(WEEK, {"readings": {WEEK: "a", BEFORE: "b"}})
    versions = [
        one,
        both,
        GOLD.version(WEEK, {"readings": {WEEK: "a", BEFORE: "c"}}),
        GOLD.version(WEEK, {"readings": {WEEK: "b", BEFORE: "a"}}),
        replace(GOLD, rules=2).version(WEEK, {"readings": {WEEK: "a", BEFORE: "b"}}),
    ]
    assert len(set(versions)) == len(versions)
    others: Versions = {"readings": {BEFORE: "b", WEEK: "a", WEEK.shifted(1): "x"}, "remote_booths": {None: "y"}}
    assert GOLD.version(WEEK, others) == both


def test_the_list_of_booths_counts_for_legacy_weeks_alone() -> None:
    def versions(week: Week) -> set[str]:
        lake: dict[str, dict[Week | None, str]] = {"lake_object": {week: "a"}}
        return {READINGS_RECIPE.version(week, {**lake, "remote_booths": {None: list_}}) for list_ in "xyz"} | {
            READINGS_RECIPE.version(week, lake)
        }

    assert len(versions(WEEK)) == 1
    assert len(versions(LEGACY)) == 4


def test_recipes_are_found_by_their_tables_names() -> None:
    assert all(name == recipe.table.name for name, recipe in RECIPES.items())
