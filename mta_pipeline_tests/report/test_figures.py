"""What the report's figures are made of."""

from __future__ import annotations

import uuid
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from google.cloud.storage import Client
from google.oauth2.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from mta_pipeline.domain.gcs import GcsStore
from mta_pipeline.domain.lake import LocalStore
from mta_pipeline.domain.tables import INTERVALS, RIDERSHIP, TABLES
from mta_pipeline.domain.weeks import Week
from mta_pipeline.report.charts import short
from mta_pipeline.report.figures import NothingToReport, figures_of
from mta_pipeline_tests.gcs_server import GcsServer
from mta_pipeline_tests.lake_tables import ENTRIES, EXITS, STATIONS, write_week

FIRST = Week.parse("2024-01-06")
WEEKS = [FIRST.shifted(n) for n in range(3)]
A_SLOT = 1 + 2  # times the people of the least busy station: there are two


def test_a_day_is_whole_when_the_weeks_beside_it_are_there(tmp_path: Path) -> None:
    write_week(tmp_path, WEEKS[0], joins=False)
    write_week(tmp_path, WEEKS[1])
    figures = figures_of(LocalStore(tmp_path), WEEKS[:2])
    partial = figures.days.filter(~pl.col("whole"))["day"].to_list()
    assert partial == [WEEKS[0].first_day, WEEKS[1].last_day]  # nobody knows what is before and after
    assert figures.whole_days["exits"].unique().to_list() == [6 * A_SLOT * EXITS]
    assert figures.a_day("entries") == 6 * A_SLOT * ENTRIES
    assert figures.busiest_day == (date(2024, 1, 7), 6 * A_SLOT * EXITS)


def test_the_last_friday_is_completed_by_the_week_after_the_last(tmp_path: Path) -> None:
    for week in WEEKS:
        write_week(tmp_path, week)
    figures = figures_of(LocalStore(tmp_path), WEEKS[:2])
    assert figures.days["day"].to_list() == [day for week in WEEKS[:2] for day in week.days]  # and no Friday before
    assert figures.days["whole"].all()
    assert figures.total("exits") == 14 * 6 * A_SLOT * EXITS
    assert figures.stations["exits"].sum() == figures.total("exits")
    assert set(figures.quality) == set(WEEKS[:2])


def test_hours_are_people_of_an_average_whole_day(tmp_path: Path) -> None:
    for week in WEEKS:
        write_week(tmp_path, week)
    hours = figures_of(LocalStore(tmp_path), WEEKS[:2]).hours
    assert hours.select("weekday", "slot").rows() == [(day, slot) for day in range(7) for slot in range(0, 24, 4)]
    assert hours["exits"].unique().to_list() == [A_SLOT * EXITS]


def test_a_week_without_ridership_is_in_no_figure_and_its_neighbours_ends_count_for_no_average(tmp_path: Path) -> None:
    write_week(tmp_path, WEEKS[0])
    write_week(tmp_path, WEEKS[2], joins=False)
    figures = figures_of(LocalStore(tmp_path), WEEKS)
    assert figures.with_ridership == {WEEKS[0], WEEKS[2]}
    assert figures.whole_days.height == 6 + 5
    assert figures.a_day("exits") == 6 * A_SLOT * EXITS


def test_stations_come_with_the_busiest_first(tmp_path: Path) -> None:
    write_week(tmp_path, FIRST, [*STATIONS, (None, "", "IND")])
    assert figures_of(LocalStore(tmp_path), [FIRST]).stations["station"].to_list() == [
        STATIONS[0][0], STATIONS[1][0], None
    ]  # fmt: skip


def test_quality_tells_how_counts_came_about(tmp_path: Path) -> None:
    write_week(tmp_path, FIRST, rejected=3)
    figures = figures_of(LocalStore(tmp_path), [FIRST])
    quality = figures.quality[FIRST]
    assert figures.counts == {"difference": 2 * (4 + 2), "backward": 2, "reset": 2}
    assert quality.dropped == {"gap": 0, "reset": 2 / 16, "jump": 0}
    assert (quality.turnstiles, quality.readings, quality.rejected) == (2, 2, 3)


def test_a_table_that_is_not_there_is_nothing_known(tmp_path: Path) -> None:
    write_week(tmp_path, FIRST)
    (tmp_path / INTERVALS.object_name(FIRST)).unlink()
    quality = figures_of(LocalStore(tmp_path), [FIRST]).quality[FIRST]
    assert (quality.counts, quality.turnstiles, quality.dropped, quality.rejected) == (None, None, None, 1)


def test_a_damaged_object_is_left_out_and_told_of(tmp_path: Path) -> None:
    for week in WEEKS[:2]:
        write_week(tmp_path, week)
    (tmp_path / RIDERSHIP.object_name(WEEKS[1])).write_bytes(b"PAR1 it is not")
    figures = figures_of(LocalStore(tmp_path), WEEKS[:2])
    assert figures.with_ridership == {WEEKS[0]}
    [finding] = figures.damaged
    assert finding.where == str(tmp_path / RIDERSHIP.object_name(WEEKS[1]))


def test_a_bucket_gives_the_same_figures_as_a_folder(tmp_path: Path, gcs_server: GcsServer) -> None:
    bucket = f"bucket-{uuid.uuid4()}"
    gcs_server.recover()
    gcs_server.create_bucket(bucket)
    client = Client("tests", Credentials(token="anything"), client_options={"api_endpoint": gcs_server.url})
    lake = GcsStore(client, bucket, "lake")
    for week in WEEKS:
        write_week(tmp_path, week)
        for table in TABLES:
            lake.publish(tmp_path / table.object_name(week), table.object_name(week), {})
    there, here = figures_of(lake, WEEKS), figures_of(LocalStore(tmp_path), WEEKS)
    assert there.days.equals(here.days)
    assert there.stations.equals(here.stations)
    assert there.quality == here.quality
    assert there.damaged == []


def test_without_any_ridership_there_is_a_sentence(tmp_path: Path) -> None:
    write_week(tmp_path, WEEKS[2])  # after the weeks asked for
    with pytest.raises(NothingToReport, match=r"2024-01-06 to 2024-01-13: found no week with ridership; .* ridership"):
        figures_of(LocalStore(tmp_path), WEEKS[:2])


@given(st.integers(min_value=0, max_value=10**13))
def test_a_short_count_is_within_half_a_percent(count: int) -> None:
    number, _, unit = short(count).partition(" ")
    value = float(number) * {"": 1, "k": 1e3, "M": 1e6, "bn": 1e9}[unit]
    assert abs(value - count) <= 0.005_1 * count
    assert len(number) <= 4 or unit == "bn"
