"""A week's way to `ridership` over a lake in a folder, and what each check sees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from mta_pipeline.domain import parquet
from mta_pipeline.domain.audit import Check, Verdict
from mta_pipeline.domain.lake import Change, LocalStore
from mta_pipeline.domain.recipes import RIDERSHIP_RECIPE
from mta_pipeline.domain.ridership import Intervals, Tally, intervals_of, slots_of
from mta_pipeline.domain.ridership_way import (
    CONTINUOUS,
    FEW_DROPPED,
    KEYS_UNIQUE,
    RIDERSHIP_CHECKS,
    RIDERSHIP_MADE,
    TOTALS_NEAR_NEIGHBOURS,
    VALUES_IN_RANGE,
    Outcome,
    RidershipWay,
    judged,
)
from mta_pipeline.domain.staging import Staging
from mta_pipeline.domain.tables import INTERVALS, READINGS, RIDERSHIP, Table
from mta_pipeline.domain.tabling import Workshop
from mta_pipeline.domain.weeks import Week
from mta_pipeline_tests.domain.test_ridership import readings, shown_every

FIRST = Week.parse("2024-01-06")
WEEK = FIRST.shifted(1)


def week_of_readings(week: Week, people: int = 20) -> pl.DataFrame:
    """Two turnstiles, every four hours; each reading has `people` more than the one before, over weeks."""
    since = (week.first_day - FIRST.first_day).days * 6
    counters = range(1_000 + since * people, 1_000 + (since + 42) * people, people)
    shown = [
        (text, entries, entries) for text, entries, _ in shown_every(4, *counters, start=f"{week.first_day} 00:00:00")
    ]
    return pl.concat([readings(*shown, turnstile=turnstile) for turnstile in ("00-00-00", "00-00-01")])


@pytest.fixture
def way(tmp_path: Path) -> RidershipWay:
    return RidershipWay(Workshop(LocalStore(tmp_path / "lake"), Staging(tmp_path / "staging")), FIRST)


def put(way: RidershipWay, rows: pl.DataFrame, week: Week, version: str = "1") -> None:
    way.shop.store(rows, READINGS, week, version, way.shop.look(READINGS, week))


def stored(way: RidershipWay, table: Table, week: Week) -> pl.DataFrame:
    with way.shop.fetched(table.object_name(week)) as path:
        return parquet.read(path, table)


def failed(outcome: Outcome) -> dict[str, str]:
    return {check.name: str(verdict.finding) for check, verdict in outcome.verdicts.items() if verdict.finding}


def test_a_week_is_made_of_its_readings_and_those_of_the_week_before(way: RidershipWay) -> None:
    put(way, week_of_readings(FIRST), FIRST, "a")
    put(way, week_of_readings(WEEK), WEEK, "b")
    outcome = way.week(WEEK)
    assert failed(outcome) == {}
    assert tuple(outcome.verdicts) != ()
    assert set(outcome.verdicts) == set(RIDERSHIP_CHECKS)
    assert outcome.stored
    assert outcome.stored.version == RIDERSHIP_RECIPE.version(WEEK, {"readings": {FIRST: "a", WEEK: "b"}})
    assert outcome.sources == {"readings": {FIRST: "a", WEEK: "b"}}
    intervals, slots = stored(way, INTERVALS, WEEK), stored(way, RIDERSHIP, WEEK)
    assert intervals.height == 2 * 42
    # The interval that ends as the week begins is of the Friday's last slot.
    assert slots.height == 42
    assert slots.row(0)[3:] == (FIRST.last_day, 20, 40, 40)
    assert slots["entries"].sum() == 2 * 42 * 20
    assert outcome.figures["entries"] == 2 * 42 * 20


def test_the_same_readings_change_nothing(way: RidershipWay) -> None:
    put(way, week_of_readings(WEEK), WEEK)
    way.week(WEEK)
    again = way.week(WEEK).stored
    assert again
    assert again.published.change is Change.UNCHANGED


def test_a_week_without_readings_is_red_and_says_what_to_do(way: RidershipWay) -> None:
    put(way, week_of_readings(FIRST), FIRST)
    outcome = way.week(WEEK)
    assert failed(outcome) == {
        RIDERSHIP_MADE.name: f"Week {WEEK}: {way.shop.lake.uri(READINGS.object_name(WEEK))}: found no object; expected "
        "the week's readings. Materialize readings for the week first."
    }
    assert outcome.stored is None
    assert not way.shop.lake.exists(INTERVALS.object_name(WEEK))


def test_readings_of_the_week_before_that_are_damaged_are_no_missing_ones(way: RidershipWay, tmp_path: Path) -> None:
    put(way, week_of_readings(WEEK), WEEK)
    (tmp_path / "damaged").write_bytes(b"PAR1")
    way.shop.lake.publish(tmp_path / "damaged", READINGS.object_name(FIRST), {})
    outcome = way.week(WEEK)
    assert "Materialize readings for its week again" in failed(outcome)[RIDERSHIP_MADE.name]
    assert outcome.stored is None


def test_without_the_week_before_a_week_is_made_and_warns(way: RidershipWay) -> None:
    put(way, week_of_readings(WEEK), WEEK)
    outcome = way.week(WEEK)
    assert outcome.failures == []
    assert outcome.stored
    assert failed(outcome) == {
        CONTINUOUS.name: f"Week {WEEK}: ridership: found no readings of week {FIRST}: the first interval of all 2 "
        "turnstiles is missing; expected each turnstile's last reading of the week before. "
        f"Bring week {FIRST} to the lake and make its readings, then this week again."
    }


def test_the_first_week_of_the_history_has_none_before_it_and_passes(way: RidershipWay) -> None:
    put(way, week_of_readings(FIRST), FIRST)
    outcome = way.week(FIRST)
    assert failed(outcome) == {}
    said = outcome.verdicts[CONTINUOUS].figures["week before"]
    assert said == f"none: {FIRST} is the first week of the history (MTA_FIRST_WEEK)"


def test_a_week_far_from_its_neighbours_warns(way: RidershipWay) -> None:
    for week in (FIRST, WEEK):
        put(way, week_of_readings(week), week)
        assert failed(way.week(week)) == {}
    put(way, week_of_readings(WEEK, people=30), WEEK, "2")
    outcome = way.week(WEEK)
    assert outcome.stored
    assert "entries beside 1,640 of week 2024-01-06" in failed(outcome)[TOTALS_NEAR_NEIGHBOURS.name]


def test_weeks_stand_alone(way: RidershipWay) -> None:
    weeks = [FIRST, WEEK, WEEK.shifted(1)]
    for week in (FIRST, WEEK.shifted(1)):
        put(way, week_of_readings(week), week)
    outcomes = {outcome.week: outcome for outcome in way.weeks(weeks)}
    assert [week for week in weeks if outcomes[week].stored] == [FIRST, WEEK.shifted(1)]
    assert way.shop.staging.folder.exists()
    assert list(way.shop.staging.folder.iterdir()) == []


# Each check, on rows that are wrong.


@pytest.fixture
def made() -> Intervals:
    return intervals_of(week_of_readings(WEEK), week_of_readings(FIRST))


def verdict(check: Check, made: Intervals, slots: pl.DataFrame | None = None) -> Verdict:
    slots = slots_of(WEEK, made.rows) if slots is None else slots
    return {verdict.check: verdict for verdict in judged(made, slots, WEEK, FIRST, {})}[check]


def test_all_is_well_with_good_rows(made: Intervals) -> None:
    for check in (KEYS_UNIQUE, VALUES_IN_RANGE, FEW_DROPPED, CONTINUOUS, TOTALS_NEAR_NEIGHBOURS):
        assert verdict(check, made).passed, check


def test_a_key_that_comes_twice_is_found(made: Intervals) -> None:
    slots = slots_of(WEEK, made.rows)
    twice = replace(made, rows=pl.concat([made.rows.head(1), made.rows]))
    assert verdict(KEYS_UNIQUE, twice, slots).figures == {
        "repeated keys of ridership_intervals": 1, "repeated keys of ridership": 0
    }  # fmt: skip
    unknown = slots.with_columns(station=pl.lit(None, pl.String))
    assert "1 repeated keys of ridership" in str(
        verdict(KEYS_UNIQUE, made, pl.concat([unknown.head(1), unknown])).finding
    )


@pytest.mark.parametrize(
    ("change", "figure"),
    [
        (pl.col("ended_at").dt.offset_by("7d").alias("ended_at"), "intervals that end in another week"),
        (pl.col("ended_at").alias("began_at"), "intervals without any length"),
        ((pl.col("entries") - 21).alias("entries"), "entries out of range"),
        ((pl.col("exits") + 10_000).alias("exits"), "exits out of range"),
        (pl.lit(None, pl.Int64).alias("exits"), "exits without a count or a reason"),
        (pl.lit("reset").alias("entries_rule"), "entries without a count or a reason"),
    ],
)
def test_values_out_of_range_are_found(made: Intervals, change: pl.Expr, figure: str) -> None:
    slots = slots_of(WEEK, made.rows)
    found = verdict(VALUES_IN_RANGE, replace(made, rows=made.rows.with_columns(change)), slots)
    assert found.figures[figure] == 84
    assert not found.passed


def test_people_that_are_lost_on_the_way_to_slots_are_found(made: Intervals) -> None:
    found = verdict(VALUES_IN_RANGE, made, slots_of(WEEK, made.rows).slice(1))
    assert "40 entries lost or made in slots, 40 exits lost or made in slots" in str(found.finding)


def test_too_many_dropped_counts_warn_with_their_number(made: Intervals) -> None:
    few = replace(made, tallies={**made.tallies, ("entries", "gap"): Tally(3, 100)})
    assert verdict(FEW_DROPPED, few).passed
    many = replace(made, tallies={**made.tallies, ("entries", "gap"): Tally(3, 100), ("exits", "reset"): Tally(1, 7)})
    found = verdict(FEW_DROPPED, many)
    assert "found 4 of 168 counts dropped" in str(found.finding)
    assert found.figures["entries, gap: not counted"] == 100
    assert not found.check.blocking


def test_turnstiles_that_are_read_in_one_week_only_warn_when_they_are_many(made: Intervals) -> None:
    few = replace(made, turnstiles=1_000, begun=30, ended=30)
    assert verdict(CONTINUOUS, few).passed
    for many in (replace(few, begun=31), replace(few, ended=31)):
        assert "3% at most" in str(verdict(CONTINUOUS, many).finding)
