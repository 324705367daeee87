"""What becomes of a published file: each reading once, as a moment, or rejected with the reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mta_pipeline.domain.parquet import schema_of
from mta_pipeline.domain.readings import (
    CONTRADICTS,
    NO_COUNTER,
    NO_MOMENT,
    NOT_A_ROW,
    OTHER_WEEK,
    REPEATED,
    Readings,
    readings_of,
)
from mta_pipeline.domain.tables import BOOTHS, READINGS, REJECTED
from mta_pipeline.domain.weeks import Week
from mta_pipeline_tests.turnstile_files import Reading, Turnstile, line_of, regular_turnstiles, valid_file, with_line

NEW_YORK = ZoneInfo("America/New_York")
LEGACY, WEEK = Week(date(2011, 5, 21)), Week(date(2024, 1, 13))
BOTH = pytest.mark.parametrize("week", [LEGACY, WEEK], ids=["legacy", "current"])
AUTUMN, SPRING = Week(date(2023, 11, 4)), Week(date(2024, 3, 9))
LEGACY_AUTUMN = Week(date(2011, 11, 5))


def one(week: Week, *readings: tuple[str, int] | tuple[str, int, str]) -> bytes:
    """A file of one turnstile: readings by wall time, entries and, if it is not REGULAR, their kind."""
    made = [Reading(datetime.fromisoformat(wall), entries, 7, *kind) for wall, entries, *kind in readings]
    return valid_file(week, [Turnstile("A002", "R051", "02-00-00", tuple(made))])


def seen(made: Readings) -> list[tuple[str, int]]:
    """What became of `one`: the moments in ISO form, with their offset, and entries."""
    return [(moment.isoformat(), entries) for moment, entries in made.rows.select("read_at", "entries").iter_rows()]


def rejected(made: Readings) -> list[tuple[int, int, str]]:
    return made.rejected.select("line", "reading", "reason").rows()


@BOTH
def test_every_reading_of_a_good_file_becomes_a_row(week: Week) -> None:
    turnstiles = regular_turnstiles(week)
    made = readings_of(valid_file(week, turnstiles), week)
    wanted = [
        (t.control_area, t.unit, t.scp, r.moment.replace(tzinfo=NEW_YORK), r.description, r.entries, r.exits)
        for t in turnstiles
        for r in t.readings
    ]
    columns = [*READINGS.key, "audit_kind", "entries", "exits"]
    assert made.rows.select(columns).rows() == wanted
    assert made.rejected.height == 0
    assert made.turnstiles == 6


@BOTH
def test_rows_have_the_tables_columns_and_are_sorted_by_its_key(week: Week) -> None:
    turnstiles = regular_turnstiles(week)
    made = readings_of(valid_file(week, turnstiles[::-1]), week)
    assert made.rows.schema == schema_of(READINGS)
    assert made.rejected.schema == schema_of(REJECTED)
    assert made.rows.equals(made.rows.sort(READINGS.key))
    assert made.rows.equals(readings_of(valid_file(week, turnstiles), week).rows)


@pytest.mark.parametrize("newline", ["\r\n", "\n"])
def test_line_endings_and_padding_play_no_part(newline: str) -> None:
    file = valid_file(WEEK, newline=newline)
    bare = newline.join(line.rstrip() for line in file.decode().split(newline)).encode()
    assert readings_of(file, WEEK).rows.equals(readings_of(bare, WEEK).rows)


def test_names_are_trimmed_in_capital_letters_and_lines_in_one_order() -> None:
    [turnstile] = regular_turnstiles(WEEK, 1)
    odd = replace(turnstile, station=" 4 av-9   st ", lines="NQR456W", division="bmt ")
    [names] = (
        readings_of(valid_file(WEEK, [odd]), WEEK).rows.select("station", "line_names", "division").unique().rows()
    )
    assert names == ("4 AV-9 ST", "456NQRW", "BMT")


def test_a_name_that_is_not_there_is_null() -> None:
    [turnstile] = regular_turnstiles(WEEK, 1)
    made = readings_of(valid_file(WEEK, [replace(turnstile, station="")]), WEEK)
    assert made.rows["station"].null_count() == made.rows.height == 42
    assert made.without_station == 1


def test_stations_of_legacy_files_come_from_the_list_of_booths() -> None:
    booths = pl.DataFrame([("A002", "R051", "59 ST", "456NQRW", "BMT")], schema=schema_of(BOOTHS), orient="row")
    made = readings_of(valid_file(LEGACY), LEGACY, booths)
    names = made.rows.select("control_area", "station", "line_names", "division").unique().sort("control_area").rows()
    assert names == [("A002", "59 ST", "456NQRW", "BMT"), ("A003", None, None, None)]
    assert made.without_station == 2


def test_without_the_list_of_booths_legacy_files_have_no_stations() -> None:
    made = readings_of(valid_file(LEGACY), LEGACY)
    assert made.rows["station"].null_count() == made.rows.height
    assert made.without_station == 6


@BOTH
@pytest.mark.parametrize(
    "junk",
    [
        b"", b"    ", b"-", b"A002,R051,02-00-00", b",,,,,,,,,,", b"\xff\xfe\x00junk", b'"quoted', b"a,b,c,d,e,f,g,h,i",
    ],
)  # fmt: skip
def test_a_damaged_line_is_kept_whole_with_its_reason_and_the_rest_of_the_file_is_used(week: Week, junk: bytes) -> None:
    file = valid_file(week)
    made = readings_of(with_line(file, 3, junk), week)
    text = junk.decode("ascii", "backslashreplace").rstrip()
    assert made.rejected.rows()[0][:3:2] == (3, text)
    assert made.rejected.height == 1
    per_line = 8 if week is LEGACY else 1
    assert made.rows.height == readings_of(file, week).rows.height - per_line


@BOTH
@pytest.mark.parametrize(
    ("pattern", "replacement", "reason"),
    [
        ("{date}", "13-32-11", NO_MOMENT),
        ("{time}", "25:00:00", NO_MOMENT),
        ("{time}", "", NO_MOMENT),
        ("{date}", "{next}", OTHER_WEEK),
        ("{counter}", "-", NO_COUNTER),
        ("{counter}", "", NO_COUNTER),
        ("{counter}", "-12", NO_COUNTER),
    ],
)
def test_a_reading_that_cannot_be_understood_is_rejected_alone(
    week: Week, pattern: str, replacement: str, reason: str
) -> None:
    file = valid_file(week)
    line = line_of(file, 2).decode()
    keys = 3 if week is LEGACY else 6
    date_, time_, _, counter = line.split(",")[keys : keys + 4]
    new = "05-28-11" if week is LEGACY else "01/20/2024"
    old = pattern.format(date=date_, time=time_, counter=counter)
    damaged = line.replace(f",{old}", f",{replacement.format(next=new)}", 1)
    made = readings_of(with_line(file, 2, damaged.encode()), week)
    assert rejected(made) == [(2, 1, reason)]
    assert made.rejected["text"].to_list() == [damaged.rstrip()]
    assert made.rows.height == readings_of(file, week).rows.height - 1


def test_which_reading_of_a_line_was_rejected_is_told() -> None:
    fields = line_of(valid_file(LEGACY), 2).decode().rstrip().split(",")
    fields[3 + 5 * 4 + 1] = "noon"
    assert rejected(readings_of(with_line(valid_file(LEGACY), 2, ",".join(fields).encode()), LEGACY)) == [
        (2, 5, NO_MOMENT)
    ]


def test_a_header_that_is_not_the_published_one_is_a_rejected_line() -> None:
    made = readings_of(with_line(valid_file(WEEK), 1, b"something else"), WEEK)
    assert rejected(made) == [(1, 0, NOT_A_ROW)]


@pytest.mark.parametrize("content", [b"", b"\n", b"\x00\xff", b"<html></html>\n" * 3])
@BOTH
def test_no_content_is_an_error(week: Week, content: bytes) -> None:
    made = readings_of(content, week)
    assert made.rows.height == 0
    assert made.rejected.height == made.lines


# Duplicates.


@BOTH
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_readings_of_a_moment_the_regular_one_is_kept(week: Week, order: Sequence[int]) -> None:
    moment = f"{week.first_day}T04:00:00"
    both = [(moment, 10, "REGULAR"), (moment, 15, "RECOVR AUD")]
    made = readings_of(one(week, *(both[place] for place in order)), week)
    assert [entries for _, entries in seen(made)] == [10]
    assert [reason for *_, reason in rejected(made)] == [CONTRADICTS]


@BOTH
def test_recovered_readings_go_before_those_of_opened_doors(week: Week) -> None:
    moment = f"{week.first_day}T04:00:00"
    made = readings_of(one(week, (moment, 10, "DOOR OPEN"), (moment, 11, "RECOVR AUD"), (moment, 10, "LOGON")), week)
    assert made.rows.select("audit_kind", "entries").rows() == [("RECOVR AUD", 11)]
    assert made.rejected.height == 2


@BOTH
def test_among_equals_the_first_is_kept_and_what_only_repeats_it_says_so(week: Week) -> None:
    moment = f"{week.first_day}T04:00:00"
    made = readings_of(one(week, (moment, 10), (moment, 10), (moment, 12)), week)
    assert [entries for _, entries in seen(made)] == [10]
    assert [reason for *_, reason in rejected(made)] == [REPEATED, CONTRADICTS]


# The nights on which clocks change.


def test_moments_have_the_offset_of_their_season() -> None:
    assert seen(readings_of(one(WEEK, ("2024-01-13T04:00:00", 1)), WEEK)) == [("2024-01-13T04:00:00-05:00", 1)]
    assert seen(readings_of(one(LEGACY, ("2011-05-21T04:00:00", 1)), LEGACY)) == [("2011-05-21T04:00:00-04:00", 1)]


def test_a_single_reading_in_the_hour_that_comes_twice_is_of_its_first_coming() -> None:
    made = readings_of(
        one(AUTUMN, ("2023-11-05T00:30:00", 1), ("2023-11-05T01:30:00", 2), ("2023-11-05T05:30:00", 3)), AUTUMN
    )
    assert [moment[11:] for moment, _ in seen(made)] == ["00:30:00-04:00", "01:30:00-04:00", "05:30:00-05:00"]
    assert made.second_hour == 0


@pytest.mark.parametrize("week", [AUTUMN, LEGACY_AUTUMN], ids=["current", "legacy"])
@pytest.mark.parametrize(
    "file_order",
    [("01:00", "01:30", "01:00", "01:30", "02:00"), ("01:00", "01:00", "01:30", "01:30", "02:00")],
    ids=["as time goes", "sorted by the clock"],
)
def test_a_turnstile_that_has_the_hour_twice_has_both_comings(week: Week, file_order: Sequence[str]) -> None:
    day = week.days[1]
    made = readings_of(one(week, *((f"{day}T{at}:00", count) for count, at in enumerate(file_order))), week)
    ends = [moment[11:16] + moment[19:] for moment, _ in seen(made)]
    assert ends == ["01:00-04:00", "01:30-04:00", "01:00-05:00", "01:30-05:00", "02:00-05:00"]
    assert made.second_hour == 2
    assert made.rejected.height == 0


def test_a_clock_that_runs_backward_in_the_file_is_in_the_second_coming() -> None:
    made = readings_of(one(AUTUMN, ("2023-11-05T01:45:00", 1), ("2023-11-05T01:15:00", 2)), AUTUMN)
    assert seen(made) == [("2023-11-05T01:45:00-04:00", 1), ("2023-11-05T01:15:00-05:00", 2)]


def test_regular_and_recovered_readings_of_that_hour_are_one_moment_as_ever() -> None:
    at = "2023-11-05T01:30:00"
    made = readings_of(one(AUTUMN, (at, 1), (at, 2, "RECOVR AUD")), AUTUMN)
    assert seen(made) == [("2023-11-05T01:30:00-04:00", 1)]
    assert [reason for *_, reason in rejected(made)] == [CONTRADICTS]


def test_a_reading_in_the_missing_hour_has_a_clock_that_was_not_put_forward() -> None:
    made = readings_of(
        one(SPRING, ("2024-03-10T01:30:00", 1), ("2024-03-10T02:30:00", 2), ("2024-03-10T04:30:00", 3)), SPRING
    )
    assert [moment[11:] for moment, _ in seen(made)] == ["01:30:00-05:00", "03:30:00-04:00", "04:30:00-04:00"]
    assert made.missing_hour == 1


@given(
    week=st.sampled_from([AUTUMN, SPRING, WEEK, LEGACY_AUTUMN]),
    seconds=st.lists(st.integers(0, 604_799), min_size=1, max_size=40, unique=True),
    kinds=st.lists(st.sampled_from(["REGULAR", "RECOVR AUD", "DOOR OPEN"]), min_size=40, max_size=40),
)
def test_whatever_a_turnstile_tells_is_a_row_or_rejected_and_each_moment_is_there_once(
    week: Week, seconds: list[int], kinds: list[str]
) -> None:
    """Wall times of the week in any order, on a grid so coarse that many are equal."""
    start = datetime.combine(week.first_day, datetime.min.time())
    walls = [(start + timedelta(seconds=second - second % 900)).isoformat() for second in seconds]
    made = readings_of(one(week, *((wall, 1, kind) for wall, kind in zip(walls, kinds, strict=False))), week)
    assert made.rows.height + made.rejected.height == len(seconds)
    moments = made.rows["read_at"].to_list()
    assert sorted(set(moments)) == moments
    assert made.second_hour == 0 or week in (AUTUMN, LEGACY_AUTUMN)
    assert {moment.date() for moment in moments} <= set(week.days)


@given(st.integers(0, 167), st.sampled_from([AUTUMN, SPRING, WEEK]))
def test_what_was_read_by_true_time_comes_back_as_that_moment(hours: int, week: Week) -> None:
    """A turnstile that is read every quarter of an hour, and whose clock shows what New York's show."""
    begin = week.start.timestamp() + hours * 3_600
    true = [datetime.fromtimestamp(begin + 900 * n, NEW_YORK) for n in range(12)]
    assume(not true[0].fold)  # nothing tells of the second coming then
    true = [moment for moment in true if moment < week.shifted(1).start]
    walls = [(moment.replace(tzinfo=None).isoformat(), count) for count, moment in enumerate(true)]
    assert [moment for moment, _ in seen(readings_of(one(week, *walls), week))] == [m.isoformat() for m in true]


# Real files.


@pytest.mark.parametrize(("name", "duplicates"), [("230603", None), ("240106", 2), ("240113", None), ("240120", None)])
def test_real_weeks_become_readings(real_file: Callable[[str], Path], name: str, duplicates: int | None) -> None:
    path = real_file(f"turnstile/turnstile_{name}.txt")
    content = path.read_bytes()
    week = Week.of_file(path.name)
    assert week
    made = readings_of(content, week)
    assert made.lines == content.count(b"\n") - 1
    assert made.rows.height + made.rejected.height == made.lines
    assert set(made.rejected["reason"]) <= {CONTRADICTS}
    assert made.rejected.height <= 36  # UPSTREAM: 0 to 36 a week, always one REGULAR and one RECOVR AUD
    assert duplicates in (None, made.rejected.height)
    assert made.without_station == 0
    assert not made.rows.select(READINGS.key).is_duplicated().any()
    assert made.rows["read_at"].dt.date().unique().sort().to_list() == list(week.days)


def test_a_real_legacy_head_becomes_what_somebody_else_made_of_it(real_data: Path) -> None:
    folder = real_data / "turnstile_legacy"
    made = readings_of((folder / "turnstile_110528.head.txt").read_bytes(), LEGACY)
    theirs = pl.read_csv(
        folder / "turnstile_110528.normalised.csv",
        has_header=False,
        new_columns=["control_area", "unit", "scp", "day", "time", "kind", "entries", "exits"],
        infer_schema=False,
    ).with_columns(pl.col("entries", "exits").str.strip_chars().cast(pl.Int64))
    ours = made.rows.select(
        "control_area", "unit", "scp", pl.col("read_at").dt.strftime("%m-%d-%y").alias("day"),
        pl.col("read_at").dt.strftime("%H:%M:%S").alias("time"), "entries", "exits",
    ).rows()  # fmt: skip
    some = theirs.select(pl.exclude("kind")).rows()
    assert set(some) <= set(ours)
    assert len(some) > 1_000
    assert set(made.rejections.values()) == {0, 286}
    assert made.rejections[REPEATED] == 286
