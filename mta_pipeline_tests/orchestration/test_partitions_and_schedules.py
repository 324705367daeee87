"""Which weeks there are, and which one the schedule asks for."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta_pipeline.domain.weeks import FIRST_PUBLISHED, NEW_YORK, Week
from mta_pipeline.orchestration import schedules
from mta_pipeline.orchestration.definitions import defs
from mta_pipeline.orchestration.partitions import SETTINGS, weekly_partitions

ALL = weekly_partitions(FIRST_PUBLISHED, None)


def new_york(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK)


def test_the_history_begins_with_the_first_regular_file() -> None:
    assert ALL.get_first_partition_key() == "2010-05-08"


def test_a_week_has_no_partition_before_its_file_is_due() -> None:
    assert "2024-01-06" not in ALL.get_partition_keys(current_time=new_york("2024-01-12T23:59:59"))
    assert "2024-01-06" in ALL.get_partition_keys(current_time=new_york("2024-01-13T00:00:00"))


def test_the_last_week_wanted_is_the_last_partition() -> None:
    weeks = weekly_partitions(Week.parse("2024-01-06"), Week.parse("2024-01-20"))
    assert weeks.get_partition_keys(current_time=new_york("2026-01-01T00:00")) == [
        "2024-01-06",
        "2024-01-13",
        "2024-01-20",
    ]


@given(st.datetimes(datetime(2010, 6, 1), datetime(2030, 1, 1), timezones=st.just(timezone.utc)))
def test_the_newest_partition_is_the_newest_published_week_at_every_moment(now: datetime) -> None:
    with dg.partition_loading_context(effective_dt=now):
        assert ALL.get_last_partition_key() == Week.newest_published(now).key


@given(st.datetimes(datetime(2010, 6, 1), datetime(2024, 1, 1), timezones=st.just(timezone.utc)))
def test_a_partitions_window_is_its_week_in_new_york(now: datetime) -> None:
    week = Week.newest_published(now)
    window = ALL.time_window_for_partition_key(week.key)
    assert window.start == week.start
    assert window.end.astimezone(NEW_YORK).date() == week.release_date


def request_at(moment: datetime) -> dg.RunRequest | dg.SkipReason:
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(instance=instance, scheduled_execution_time=moment)
        answer = schedules.weekly_ingest(context)
        assert isinstance(answer, dg.RunRequest | dg.SkipReason)
        return answer


@pytest.mark.parametrize(
    ("tick", "week"),
    [
        ("2024-01-13T12:00", "2024-01-06"),
        ("2024-03-09T12:00", "2024-03-02"),  # clocks change in the night after
        ("2024-03-16T12:00", "2024-03-09"),
        ("2024-11-09T12:00", "2024-11-02"),
        ("2016-01-02T12:00", "2015-12-26"),  # over the year's end
    ],
)
def test_a_tick_asks_for_exactly_the_newest_complete_week(tick: str, week: str) -> None:
    answer = request_at(new_york(tick))
    assert isinstance(answer, dg.RunRequest)
    assert answer.partition_key == week


def test_a_tick_that_is_evaluated_late_asks_for_the_week_of_its_own_time() -> None:
    # The daemon gives the tick's time in whatever zone it has.
    answer = request_at(datetime(2024, 1, 13, 17, 0, tzinfo=ZoneInfo("UTC")))
    assert isinstance(answer, dg.RunRequest)
    assert answer.partition_key == "2024-01-06"


def test_a_tick_after_the_last_week_wanted_says_why_it_asks_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "SETTINGS", replace(SETTINGS, last_week=Week.parse("2024-01-06")))
    answer = request_at(new_york("2024-01-20T12:00"))
    assert isinstance(answer, dg.SkipReason)
    assert "MTA_LAST_WEEK" in (answer.skip_message or "")


def test_the_schedule_ticks_on_saturdays_by_new_yorks_clock() -> None:
    schedule = defs.resolve_schedule_def("weekly_ingest")
    assert schedule.execution_timezone == "America/New_York"
    assert schedule.cron_schedule == "0 12 * * SAT"
