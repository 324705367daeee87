"""Weeks: names, days and release dates."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mta_pipeline.domain.errors import WeekError
from mta_pipeline.domain.weeks import FIRST_PUBLISHED, Week

#: File names have two digits for the year.
DAYS = st.dates(date(2000, 1, 8), date(2099, 12, 20))
WEEKS = DAYS.map(Week.containing)
UTC = timezone.utc
NEW_YORK = ZoneInfo("America/New_York")


def test_the_file_of_230318_holds_the_seven_days_from_11_to_17_march_2023() -> None:
    week = Week(date(2023, 3, 11))
    assert week.key == str(week) == "2023-03-11"
    assert week.file_name == "turnstile_230318.txt"
    assert week.object_name == "turnstile/turnstile_230318.csv.gz"
    assert week.days == tuple(date(2023, 3, day) for day in range(11, 18))
    assert week.last_day == date(2023, 3, 17)
    assert week.release_date == date(2023, 3, 18)


def test_the_first_regular_file_is_100515() -> None:
    assert FIRST_PUBLISHED.file_name == "turnstile_100515.txt"


@given(DAYS)
def test_any_day_lies_in_exactly_the_week_that_contains_it(day: date) -> None:
    week = Week.containing(day)
    assert day in week.days
    assert day not in week.shifted(1).days
    assert day not in week.shifted(-1).days
    assert Week.parse(day.isoformat()) == week


@given(WEEKS)
def test_key_and_file_name_lead_back_to_the_week(week: Week) -> None:
    assert Week.parse(week.key) == week
    assert Week.of_file(week.file_name) == week


@given(WEEKS)
def test_a_week_is_seven_days_in_a_row_from_saturday_to_friday(week: Week) -> None:
    assert [day.weekday() for day in week.days] == [5, 6, 0, 1, 2, 3, 4]
    assert week.days[-1] - week.days[0] == timedelta(days=6)
    assert week.release_date == week.last_day + timedelta(days=1) == week.shifted(1).first_day


@given(WEEKS, st.integers(-500, 500))
def test_shifting_there_and_back_changes_nothing_and_keeps_the_order(week: Week, weeks: int) -> None:
    other = week.shifted(weeks)
    assert other.shifted(-weeks) == week
    assert (other > week) == (weeks > 0)


@given(WEEKS, st.integers(0, 60))
def test_between_gives_every_week_once_in_order(week: Week, count: int) -> None:
    weeks = list(Week.between(week, week.shifted(count)))
    assert weeks == [week.shifted(n) for n in range(count + 1)]


def test_between_gives_nothing_when_the_last_lies_before_the_first() -> None:
    assert list(Week.between(FIRST_PUBLISHED, FIRST_PUBLISHED.shifted(-1))) == []


@given(WEEKS)
def test_a_week_starts_at_midnight_in_new_york(week: Week) -> None:
    assert week.start.tzinfo is not None
    local = week.start.astimezone(NEW_YORK)
    assert (local.date(), local.hour, local.minute) == (week.first_day, 0, 0)


@given(st.datetimes(datetime(2010, 6, 1), datetime(2060, 1, 1), timezones=st.timezones()))
@example(datetime(2024, 3, 10, 6, 59, 59, tzinfo=UTC))  # the hour before the clock goes forward
@example(datetime(2024, 3, 10, 7, tzinfo=UTC))
@example(datetime(2024, 11, 3, 5, 30, tzinfo=UTC))  # 01:30, the first of two
@example(datetime(2024, 11, 3, 6, 30, tzinfo=UTC))  # 01:30, the second
@example(datetime(2024, 3, 16, 3, 59, 59, tzinfo=UTC))  # a second before a Saturday in summer
@example(datetime(2024, 3, 16, 4, tzinfo=UTC))
def test_the_newest_published_week_has_come_out_in_new_york_and_the_next_has_not(now: datetime) -> None:
    newest = Week.newest_published(now)
    today = now.astimezone(NEW_YORK).date()
    assert newest.release_date <= today < newest.shifted(1).release_date


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        pytest.param(datetime(2024, 1, 20, 4, 59, 59, tzinfo=UTC), "2024-01-06", id="winter, a second too early"),
        pytest.param(datetime(2024, 1, 20, 5, 0, 0, tzinfo=UTC), "2024-01-13", id="winter, midnight"),
        pytest.param(datetime(2024, 7, 20, 3, 59, 59, tzinfo=UTC), "2024-07-06", id="summer, a second too early"),
        pytest.param(datetime(2024, 7, 20, 4, 0, 0, tzinfo=UTC), "2024-07-13", id="summer, midnight"),
    ],
)
def test_a_week_is_published_at_midnight_in_new_york_on_its_release_date(now: datetime, expected: str) -> None:
    assert Week.newest_published(now).key == expected


@given(DAYS.filter(lambda day: day.weekday() != 5))
def test_a_week_that_does_not_begin_on_a_saturday_is_refused_naming_the_right_one(day: date) -> None:
    with pytest.raises(WeekError) as caught:
        Week(day)
    assert day.isoformat() in str(caught.value)
    assert f"{day:%A}" in str(caught.value)
    assert Week.containing(day).key in caught.value.finding.remedy


@pytest.mark.parametrize(
    "text",
    ["", "2024", "2024-1-6", "20240106", "2024-W01", "2024-W01-6", "2024-02-30", "2024-13-01", "06/01/2024",
     " 2024-01-06", "2024-01-06\n", "2024-01-06T00:00", "0001-01-01", "yesterday", "٢٠٢٤-٠١-٠٦"],
)  # fmt: skip
def test_what_is_no_date_is_refused_with_an_example_of_one(text: str) -> None:
    with pytest.raises(WeekError) as caught:
        Week.parse(text)
    assert repr(text) in str(caught.value)
    assert "YYYY-MM-DD" in str(caught.value)
    assert "2024-01-06" in caught.value.finding.remedy


@pytest.mark.parametrize(
    "name",
    ["turnstile_100505.txt", "turnstile_240114.txt", "turnstile_241340.txt", "turnstile_240113.txt.part",
     "turnstile_240113.csv.gz", "turnstile_24113.txt", "xturnstile_240113.txt", "turnstile_240113.txt\n",
     "TURNSTILE_240113.TXT", "turnstile_240113xtxt", "turnstile_٢٤٠١١٣.txt", ""],
)  # fmt: skip
def test_a_name_that_no_week_has_belongs_to_no_week(name: str) -> None:
    assert Week.of_file(name) is None


@given(st.text(max_size=30) | st.from_regex(r"turnstile_\d{6}\.txt", fullmatch=True))
def test_a_file_belongs_to_a_week_only_under_the_very_name_that_the_week_gives_it(name: str) -> None:
    week = Week.of_file(name)
    assert week is None or week.file_name == name
