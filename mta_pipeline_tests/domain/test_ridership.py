"""The rule by which registers become people: each case made by hand, then what holds for all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from mta_pipeline.domain.parquet import schema_of
from mta_pipeline.domain.ridership import Intervals, Tally, intervals_of, slots_of
from mta_pipeline.domain.tables import INTERVALS, READINGS, RIDERSHIP
from mta_pipeline.domain.weeks import NEW_YORK, Week

WEEK = Week.parse("2024-01-13")
Shown = tuple[str, int, int]  # moment in New York, entries, exits
STATION = ("14 ST", "123", "IRT")


def readings(*shown: Shown, turnstile: str = "00-00-00", station: Sequence[str | None] = STATION) -> pl.DataFrame:
    rows = [
        (
            "A001",
            "R001",
            turnstile,
            *station,
            datetime.fromisoformat(text).replace(tzinfo=NEW_YORK),
            "REGULAR",
            *counters,
        )
        for text, *counters in shown
    ]
    return pl.DataFrame(rows, schema_of(READINGS), orient="row")


def counted(made: Intervals, register: str = "entries") -> list[tuple[int | None, str]]:
    return list(made.rows.select(register, f"{register}_rule").iter_rows())


def shown_every(hours: float, *entries: int, exits: int = 0, start: str = "2024-01-13 00:00:00") -> list[Shown]:
    begin = datetime.fromisoformat(start)
    return [(str(begin + timedelta(hours=hours * n)), counter, exits) for n, counter in enumerate(entries)]


def slots(made: Intervals, week: Week = WEEK, register: str = "entries") -> dict[tuple[str, int], int | None]:
    rows = slots_of(week, made.rows)
    assert rows.schema == schema_of(RIDERSHIP)
    return {(str(day), slot): count for day, slot, count in rows.select("day", "slot", register).iter_rows()}


# Intervals: each two consecutive readings.


def test_each_register_is_counted_by_the_difference_to_the_reading_before() -> None:
    made = intervals_of(readings(("2024-01-13 03:00", 100, 1_000), ("2024-01-13 07:00", 130, 1_010)), None)
    assert made.rows.schema == schema_of(INTERVALS)
    assert made.rows.to_dicts() == [
        {
            "control_area": "A001", "unit": "R001", "scp": "00-00-00",
            "station": "14 ST", "line_names": "123", "division": "IRT",
            "began_at": datetime(2024, 1, 13, 3, tzinfo=NEW_YORK),
            "ended_at": datetime(2024, 1, 13, 7, tzinfo=NEW_YORK),
            "entries": 30, "exits": 10, "entries_rule": "difference", "exits_rule": "difference",
        }
    ]  # fmt: skip


def test_a_weeks_first_interval_begins_in_the_week_before() -> None:
    before = readings(("2024-01-12 15:00", 10, 0), ("2024-01-12 23:00", 40, 0))
    made = intervals_of(readings(("2024-01-13 03:00", 50, 0), ("2024-01-13 07:00", 51, 0)), before)
    assert counted(made) == [(10, "difference"), (1, "difference")]
    assert made.rows["began_at"][0] == datetime(2024, 1, 12, 23, tzinfo=NEW_YORK)
    assert (made.turnstiles, made.begun, made.ended) == (1, 0, 0)


def test_without_the_week_before_the_first_interval_is_missing_and_said_so() -> None:
    made = intervals_of(readings(("2024-01-13 03:00", 50, 0), ("2024-01-13 07:00", 51, 0)), None)
    assert counted(made) == [(1, "difference")]
    assert (made.turnstiles, made.begun, made.ended) == (1, 1, None)


def test_turnstiles_that_come_and_go_between_weeks_are_told() -> None:
    def at(text: str, *turnstiles: str) -> pl.DataFrame:
        return pl.concat([readings((text, 1, 1), turnstile=turnstile) for turnstile in turnstiles])

    made = intervals_of(at("2024-01-13 03:00", "b", "c", "d"), at("2024-01-12 23:00", "a", "b"))
    assert (made.turnstiles, made.begun, made.ended) == (3, 2, 1)
    assert made.rows["scp"].to_list() == ["b"]


def test_a_turnstile_is_never_taken_for_its_neighbour() -> None:
    made = intervals_of(
        pl.concat(
            [
                readings(("2024-01-13 03:00", 100, 100), turnstile="00-00-00"),
                readings(("2024-01-13 07:00", 110, 110), turnstile="00-00-01"),
            ]
        ),
        None,
    )
    assert made.rows.is_empty()
    assert made.rows.schema == schema_of(INTERVALS)
    assert slots(made) == {}


def test_an_interval_is_of_the_station_that_its_later_reading_names() -> None:
    before = readings(("2024-01-12 23:00", 10, 0), station=("OLD NAME", "1", "IRT"))
    made = intervals_of(readings(("2024-01-13 03:00", 50, 0)), before)
    assert made.rows["station"].to_list() == ["14 ST"]


# Direction.


def test_a_register_that_counts_backward_is_counted_all_the_same_and_named() -> None:
    made = intervals_of(readings(*shown_every(4, 900, 870, 870, 860, 800)), None)
    assert counted(made) == [(30, "backward"), (0, "backward"), (10, "backward"), (60, "backward")]
    assert counted(made, "exits") == [(0, "difference")] * 4


def test_direction_is_of_a_register_not_of_its_turnstile() -> None:
    shown = [(text, entries, 100 + n) for n, (text, entries, _) in enumerate(shown_every(4, 9, 8, 7, 6))]
    made = intervals_of(readings(*shown), None)
    assert counted(made) == [(1, "backward")] * 3
    assert counted(made, "exits") == [(1, "difference")] * 3


def test_one_or_two_backward_steps_are_no_direction() -> None:
    made = intervals_of(readings(*shown_every(4, 900, 0, 0, 0)), None)
    assert counted(made) == [(None, "reset"), (0, "difference"), (0, "difference")]


def test_as_many_steps_forward_as_backward_are_no_direction() -> None:
    made = intervals_of(readings(*shown_every(4, 50, 40, 50, 40, 50, 40, 50)), None)
    assert counted(made) == [(None, "reset"), (10, "difference")] * 3


def test_the_interval_over_the_week_boundary_tells_of_the_direction_too() -> None:
    before = readings(("2024-01-12 20:00", 103, 0))
    made = intervals_of(readings(*shown_every(4, 102, 101, 100)), before)
    assert counted(made) == [(1, "backward")] * 3


def test_the_week_before_has_no_say_in_the_direction_otherwise() -> None:
    before = readings(*shown_every(4, 5, 6, 7, 8, 9, start="2024-01-12 00:00:00"))
    made = intervals_of(readings(*shown_every(4, 8, 7, 6)), before)
    assert counted(made) == [(1, "backward")] * 3


# What is not counted.


def test_a_step_against_the_direction_is_not_guessed() -> None:
    made = intervals_of(readings(*shown_every(4, 500_000, 500_100, 40, 90)), None)
    assert counted(made) == [(100, "difference"), (None, "reset"), (50, "difference")]


def test_a_backward_register_that_is_reset_goes_up_once() -> None:
    made = intervals_of(readings(*shown_every(4, 50, 40, 30, 9_000, 8_990)), None)
    assert counted(made) == [(10, "backward"), (10, "backward"), (None, "reset"), (10, "backward")]


@pytest.mark.parametrize(
    ("seconds", "people", "rule"),
    [
        (4 * 3_600, 7_200, "difference"),  # one in two seconds
        (4 * 3_600, 7_201, "jump"),
        (900, 450, "difference"),
        (900, 451, "jump"),
        (80, 27, "difference"),  # the fastest that was seen
        (10, 450, "difference"),  # what is shorter is taken for a quarter of an hour
        (10, 451, "jump"),
        (24 * 3_600, 10_000, "difference"),  # no turnstile has so many in a day
        (24 * 3_600, 10_001, "jump"),
    ],
)
def test_more_than_can_have_come_is_a_jump(seconds: int, people: int, rule: str) -> None:
    made = intervals_of(readings(*shown_every(seconds / 3_600, 100, 100 + people)), None)
    assert counted(made) == [(people if rule == "difference" else None, rule)]


def test_a_backward_register_jumps_backward() -> None:
    made = intervals_of(readings(*shown_every(4, 100_000, 99_999, 99_998, 50_000, 49_999)), None)
    assert counted(made) == [(1, "backward"), (1, "backward"), (None, "jump"), (1, "backward")]


@pytest.mark.parametrize(("seconds", "rule"), [(86_400, "difference"), (86_401, "gap")])
def test_a_gap_of_more_than_a_day_is_not_counted(seconds: int, rule: str) -> None:
    made = intervals_of(readings(*shown_every(seconds / 3_600, 100, 150)), None)
    assert counted(made) == [(50 if rule == "difference" else None, rule)]


def test_a_gap_is_one_whatever_the_register_did() -> None:
    made = intervals_of(readings(*shown_every(25, 100, 100, 40, 1_000_000)), None)
    assert counted(made) == [(None, "gap")] * 3


def test_a_day_is_twenty_four_hours_of_time_not_of_the_clock() -> None:
    # Clocks are put back in the night to the fifth of November.
    made = intervals_of(
        readings(("2023-11-04 12:00", 1, 0), ("2023-11-05 11:00", 2, 0), ("2023-11-06 11:00", 3, 0)), None
    )
    assert counted(made) == [(1, "difference")] * 2
    made = intervals_of(readings(("2023-11-04 12:00", 1, 0), ("2023-11-05 11:00:01", 2, 0)), None)
    assert counted(made) == [(None, "gap")]


def test_what_became_of_every_interval_is_tallied() -> None:
    shown = [*shown_every(4, 100, 130, 20, 60_000, 60_007), ("2024-01-15 12:00", 60_057, 0)]
    made = intervals_of(readings(*shown), None)
    assert {rule: tally for (register, rule), tally in made.tallies.items() if register == "entries"} == {
        "difference": Tally(2, 37),
        "backward": Tally(0, 0),
        "reset": Tally(1, 110),
        "jump": Tally(1, 0),  # the step is too large to be of people
        "gap": Tally(1, 50),
    }
    assert made.tallies["exits", "difference"] == Tally(4, 0)
    assert made.tallies["exits", "gap"] == Tally(1, 0)


# Slots.


def test_an_interval_inside_a_slot_counts_there() -> None:
    made = intervals_of(readings(*shown_every(4, 0, 30, 50)), None)
    assert slots(made) == {("2024-01-13", 0): 30, ("2024-01-13", 4): 20}


def test_an_interval_over_two_slots_is_shared_by_time() -> None:
    made = intervals_of(readings(*shown_every(4, 0, 40, 60, start="2024-01-13 03:00:00")), None)
    assert slots(made) == {("2024-01-13", 0): 10, ("2024-01-13", 4): 30 + 5, ("2024-01-13", 8): 15}


def test_shares_are_whole_people_and_none_is_lost() -> None:
    # Of 10 people in 12 hours from 2:00, until 4:00 came 1.67, until 8:00 5, until 12:00 8.33.
    made = intervals_of(readings(("2024-01-13 02:00", 0, 0), ("2024-01-13 14:00", 10, 0)), None)
    assert slots(made) == {
        ("2024-01-13", 0): 1, ("2024-01-13", 4): 4, ("2024-01-13", 8): 3, ("2024-01-13", 12): 2
    }  # fmt: skip


def test_the_first_rows_are_of_the_friday_before() -> None:
    made = intervals_of(readings(("2024-01-13 03:00", 40, 0)), readings(("2024-01-12 23:00", 0, 0)))
    assert slots(made) == {("2024-01-12", 20): 10, ("2024-01-13", 0): 30}


def test_the_night_when_clocks_are_put_on_has_a_slot_of_three_hours() -> None:
    week = Week.parse("2024-03-09")
    made = intervals_of(readings(("2024-03-09 20:00", 0, 0), ("2024-03-10 08:00", 110, 0)), None)
    # Eleven hours: four, three and four.
    assert slots(made, week) == {("2024-03-09", 20): 40, ("2024-03-10", 0): 30, ("2024-03-10", 4): 40}


def test_the_night_when_clocks_are_put_back_has_a_slot_of_five_hours() -> None:
    week = Week.parse("2023-11-04")
    made = intervals_of(readings(("2023-11-04 20:00", 0, 0), ("2023-11-05 08:00", 130, 0)), None)
    assert slots(made, week) == {("2023-11-04", 20): 40, ("2023-11-05", 0): 50, ("2023-11-05", 4): 40}


def test_both_hours_that_the_clock_calls_one_are_told_apart() -> None:
    first, second = (datetime(2023, 11, 5, 1, 30, tzinfo=NEW_YORK, fold=fold) for fold in (0, 1))
    rows = readings(("2023-11-05 01:30", 10, 0), ("2023-11-05 01:30", 25, 0)).with_columns(
        read_at=pl.Series([first.astimezone(timezone.utc), second.astimezone(timezone.utc)])
        .dt.convert_time_zone(NEW_YORK.key)
        .cast(schema_of(READINGS)["read_at"])
    )
    made = intervals_of(rows, None)
    assert counted(made) == [(15, "difference")]
    assert slots(made, Week.parse("2023-11-04")) == {("2023-11-05", 0): 15}


def test_turnstiles_of_a_station_are_summed_and_stations_of_one_name_are_not() -> None:
    shown = shown_every(4, 0, 7)
    there, elsewhere = ("14 ST", "123", "IRT"), ("14 ST", "FM", "IND")
    made = intervals_of(
        pl.concat(
            [
                readings(*shown, turnstile="a", station=there),
                readings(*shown, turnstile="b", station=there),
                readings(*shown, turnstile="c", station=elsewhere),
                readings(*shown, turnstile="d", station=(None, None, None)),
            ]
        ),
        None,
    )
    rows = slots_of(WEEK, made.rows)
    assert [row[:3] + row[5:] for row in rows.iter_rows()] == [
        (None, None, None, 7, 0), ("14 ST", "123", "IRT", 14, 0), ("14 ST", "FM", "IND", 7, 0)
    ]  # fmt: skip


def test_a_slot_of_which_no_register_tells_is_null_and_not_zero() -> None:
    shown = [("2024-01-13 00:00", 900, 10), ("2024-01-13 04:00", 0, 15), ("2024-01-13 08:00", 5, 16)]
    made = intervals_of(readings(*shown), None)
    assert slots(made) == {("2024-01-13", 0): None, ("2024-01-13", 4): 5}
    assert slots(made, register="exits") == {("2024-01-13", 0): 5, ("2024-01-13", 4): 1}


def test_beside_others_what_is_not_told_is_left_out() -> None:
    made = intervals_of(
        pl.concat([readings(*shown_every(4, 900, 0), turnstile="a"), readings(*shown_every(4, 0, 6), turnstile="b")]),
        None,
    )
    assert slots(made) == {("2024-01-13", 0): 6}


def test_a_gap_has_no_slots() -> None:
    made = intervals_of(readings(*shown_every(30, 0, 50)), None)
    assert slots(made) == {}


# Whatever registers do.

START = int(WEEK.shifted(-1).start.timestamp())
SECONDS = 7 * 86_400


@st.composite
def two_weeks(draw: st.DrawFn) -> pl.DataFrame:
    """Readings of some turnstiles over `WEEK` and the week before, whatever their registers do."""
    rows = []
    for turnstile in range(draw(st.integers(1, 4))):
        station = draw(st.sampled_from([STATION, ("14 ST", "FM", "IND"), (None, None, None)]))
        moments = draw(st.lists(st.integers(0, 2 * SECONDS - 1), unique=True, max_size=12).map(sorted))
        for moment in moments:
            counters = (draw(st.integers(0, 20_000)) for _ in range(2))
            read_at = datetime.fromtimestamp(START + moment, timezone.utc)
            rows.append(("A001", "R001", f"00-00-0{turnstile}", *station, read_at, "REGULAR", *counters))
    return _frame(rows)


def _frame(rows: Sequence[tuple[object, ...]]) -> pl.DataFrame:
    schema = schema_of(READINGS)
    utc = {**schema, "read_at": pl.Datetime("us", "UTC")}
    return pl.DataFrame(rows, utc, orient="row").with_columns(pl.col("read_at").dt.convert_time_zone(NEW_YORK.key))


def of_week(rows: pl.DataFrame, week: Week) -> pl.DataFrame:
    return rows.filter(pl.col("read_at").is_between(pl.lit(week.start), pl.lit(week.shifted(1).start), closed="left"))


@given(two_weeks())
def test_slots_hold_exactly_what_the_intervals_brought(rows: pl.DataFrame) -> None:
    made = intervals_of(of_week(rows, WEEK), of_week(rows, WEEK.shifted(-1)))
    by_slot = slots_of(WEEK, made.rows)
    for register in ("entries", "exits"):
        counts = made.rows.group_by(*RIDERSHIP.key[:3]).agg(pl.col(register).sum()).filter(pl.col(register) > 0)
        spread = by_slot.group_by(*RIDERSHIP.key[:3]).agg(pl.col(register).sum()).filter(pl.col(register) > 0)
        assert_frame_equal(counts, spread, check_row_order=False)
    assert by_slot.filter(pl.any_horizontal(pl.col("entries", "exits") < 0)).is_empty()
    assert by_slot.select(RIDERSHIP.key).is_unique().all()
    days = (WEEK.shifted(-1).last_day, *WEEK.days)
    assert set(by_slot["day"]) <= set(days)


@given(two_weeks(), st.integers(0, 1_000))
def test_the_order_of_readings_does_not_matter(rows: pl.DataFrame, seed: int) -> None:
    this, last = of_week(rows, WEEK), of_week(rows, WEEK.shifted(-1))
    made, again = (
        intervals_of(f(this), f(last))
        for f in (lambda frame: frame, lambda frame: frame.sample(fraction=1, shuffle=True, seed=seed))
    )
    assert_frame_equal(made.rows, again.rows)
    assert made.tallies == again.tallies
    assert_frame_equal(slots_of(WEEK, made.rows), slots_of(WEEK, again.rows))


@given(two_weeks())
def test_every_interval_is_accounted_for_by_exactly_one_rule(rows: pl.DataFrame) -> None:
    made = intervals_of(of_week(rows, WEEK), of_week(rows, WEEK.shifted(-1)))
    for register in ("entries", "exits"):
        tallies = {rule: tally for (of, rule), tally in made.tallies.items() if of == register}
        assert sum(tally.intervals for tally in tallies.values()) == made.rows.height
        nulls = sum(tallies[rule].intervals for rule in ("gap", "reset", "jump"))
        assert made.rows[register].null_count() == nulls
        assert made.rows[register].sum() == tallies["difference"].people + tallies["backward"].people


@given(st.lists(st.tuples(st.integers(1, 40 * 3_600), st.integers(0, 400)), min_size=3, max_size=120))
def test_weeks_one_by_one_give_what_one_long_stretch_gives(steps: list[tuple[int, int]]) -> None:
    rows, moment, shown = [], START, 1_000
    for seconds, people in steps:
        moment, shown = moment + seconds, shown + people
        rows.append(
            ("A001", "R001", "00", *STATION, datetime.fromtimestamp(moment, timezone.utc), "REGULAR", shown, shown)
        )
    whole = _frame(rows)
    weeks = list(Week.between(WEEK.shifted(-1), Week.containing(date.fromtimestamp(moment) + timedelta(1))))
    apart = pl.concat([intervals_of(of_week(whole, w), of_week(whole, w.shifted(-1))).rows for w in weeks])
    at_once = intervals_of(whole, None).rows
    # Only over weeks without any reading is there an interval that no week has; it is a gap.
    told = pl.col("entries").is_not_null()
    assert_frame_equal(apart.filter(told), at_once.filter(told))
    assert apart.height <= at_once.height
