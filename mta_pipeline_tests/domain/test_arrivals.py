"""Which weeks are due, missing, and overdue."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mta_pipeline.domain.arrivals import LOOK_BACK, Arrivals, Lateness
from mta_pipeline.domain.lake import LocalStore
from mta_pipeline.domain.weeks import FIRST_PUBLISHED, NEW_YORK, Week

UTC = timezone.utc
TWO_DAYS = timedelta(days=2)
MOMENTS = st.datetimes(datetime(2011, 1, 1), datetime(2060, 1, 1), timezones=st.timezones())
PATIENCE = st.timedeltas(timedelta(0), timedelta(days=40))
FOR_EVER = Arrivals(FIRST_PUBLISHED, None, TWO_DAYS)


def new_york(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK)


def late(now: datetime, lake: Path, arrivals: Arrivals = FOR_EVER) -> Lateness:
    return arrivals.lateness(now, LocalStore(lake))


def store(lake: Path, *weeks: Week) -> None:
    for week in weeks:
        path = lake / week.object_name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"anything")


@pytest.mark.parametrize(
    ("now", "newest"),
    [
        pytest.param(datetime(2024, 1, 20, 16, 59, 59, tzinfo=UTC), "2024-01-06", id="winter, a second too early"),
        pytest.param(datetime(2024, 1, 20, 17, tzinfo=UTC), "2024-01-13", id="winter, noon"),
        pytest.param(datetime(2024, 7, 20, 15, 59, 59, tzinfo=UTC), "2024-07-06", id="summer, a second too early"),
        pytest.param(datetime(2024, 7, 20, 16, tzinfo=UTC), "2024-07-13", id="summer, noon"),
        pytest.param(new_york("2024-03-10T12:00"), "2024-03-02", id="the Sunday on which the clock goes forward"),
    ],
)
def test_a_week_is_due_from_noon_in_new_york_on_its_release_date(now: datetime, newest: str) -> None:
    assert FOR_EVER.due(now)[0].key == newest


@given(MOMENTS)
@example(datetime(2024, 3, 9, 17, tzinfo=UTC))
@example(datetime(2024, 11, 2, 16, tzinfo=UTC))
def test_due_are_the_newest_weeks_in_a_row_the_newest_first(now: datetime) -> None:
    due = FOR_EVER.due(now)
    assert len(due) == LOOK_BACK
    assert due == [due[0].shifted(-n) for n in range(LOOK_BACK)]
    assert due[0].due.astimezone(UTC) <= now.astimezone(UTC) < due[0].shifted(1).due.astimezone(UTC)


@given(MOMENTS, st.integers(-8, 8), st.integers(0, 8))
def test_due_are_only_weeks_that_are_wanted(now: datetime, shift: int, length: int) -> None:
    first = FOR_EVER.due(now)[0].shifted(shift)
    last = first.shifted(length)
    assert Arrivals(first, last, TWO_DAYS).due(now) == [week for week in FOR_EVER.due(now) if first <= week <= last]


@given(now=MOMENTS, patience=PATIENCE)
def test_a_week_is_overdue_when_so_many_real_hours_have_passed(
    tmp_path_factory: pytest.TempPathFactory, now: datetime, patience: timedelta
) -> None:
    lateness = late(now, tmp_path_factory.getbasetemp() / "empty", Arrivals(FIRST_PUBLISHED, None, patience))
    assert lateness.missing == lateness.due
    assert lateness.overdue == [
        w for w in lateness.due if now.timestamp() - w.due.timestamp() > patience.total_seconds()
    ]


@pytest.mark.parametrize(
    ("due", "week"),
    [
        pytest.param("2024-03-09T12:00", "2024-03-02", id="a day of 23 hours"),
        pytest.param("2024-11-02T12:00", "2024-10-26", id="a day of 25 hours"),
    ],
)
def test_hours_are_counted_over_a_change_of_clocks(tmp_path: Path, due: str, week: str) -> None:
    moment = new_york(due).astimezone(UTC) + TWO_DAYS
    newest = Week.parse(week)
    assert newest not in late(moment, tmp_path).overdue
    assert newest in late(moment + timedelta(seconds=1), tmp_path).overdue
    assert newest in late((moment + timedelta(seconds=1)).astimezone(NEW_YORK), tmp_path).overdue


NOW = new_york("2024-01-31T08:00")  # a Wednesday
OLDEST, OLD, NEW, NEWEST = FOR_EVER.due(NOW)[::-1]


def test_what_is_in_the_lake_is_not_missing(tmp_path: Path) -> None:
    store(tmp_path, OLDEST, NEW)
    assert late(NOW, tmp_path).missing == [NEWEST, OLD]
    assert late(NOW, tmp_path).overdue == [NEWEST, OLD]
    assert "2023-12-30" in OLDEST.key


def test_the_sentence_names_each_overdue_week_and_what_to_do(tmp_path: Path) -> None:
    store(tmp_path, OLDEST, NEW)
    finding = late(NOW, tmp_path).finding
    assert finding
    assert str(late(NOW, tmp_path)) == str(finding)
    assert str(tmp_path) in str(finding)
    assert "2 of the 4 newest weeks: 2024-01-20 (due 2024-01-27 at 12:00 in New York), 2024-01-06 (" in finding.found
    assert "48 hours" in finding.expected
    assert "MTA_LAST_WEEK" in finding.remedy


def test_old_weeks_that_a_backfill_brings_change_nothing(tmp_path: Path) -> None:
    before = late(NOW, tmp_path)
    store(tmp_path, *Week.between(Week(date(2023, 1, 7)), OLDEST.shifted(-1)))
    assert late(NOW, tmp_path) == before


def test_a_week_that_is_missing_but_not_overdue_is_told_without_a_finding(tmp_path: Path) -> None:
    store(tmp_path, OLDEST, OLD, NEW)
    lateness = late(new_york("2024-01-28T09:00"), tmp_path)
    assert lateness.missing == [NEWEST]
    assert lateness.finding is None
    assert str(lateness) == "Due and not in the lake yet, but not overdue: 2024-01-20."


def test_all_weeks_there_is_told_with_their_range(tmp_path: Path) -> None:
    store(tmp_path, OLDEST, OLD, NEW, NEWEST)
    assert str(late(NOW, tmp_path)) == "The newest weeks are in the lake, back to 2023-12-30: 4 up to 2024-01-20."


def test_a_history_with_an_end_in_the_past_is_never_late(tmp_path: Path) -> None:
    ended = Arrivals(FIRST_PUBLISHED, Week(date(2023, 4, 15)), timedelta(0))
    lateness = late(NOW, tmp_path, ended)
    assert lateness.due == lateness.missing == lateness.overdue == []
    assert "MTA_LAST_WEEK" in str(lateness)


def test_a_history_that_begins_in_the_future_is_not_late_either(tmp_path: Path) -> None:
    assert late(NOW, tmp_path, Arrivals(NEWEST.shifted(1), None, timedelta(0))).due == []
