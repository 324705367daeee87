"""What a week's readings must be to be published, and what is told of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from mta_pipeline.domain.audit import Check, Verdict
from mta_pipeline.domain.compression import compress
from mta_pipeline.domain.lake import LocalStore
from mta_pipeline.domain.parquet import read
from mta_pipeline.domain.readings import readings_of
from mta_pipeline.domain.readings_way import (
    FEW_REJECTED,
    KEYS_UNIQUE,
    READINGS_CHECKS,
    READINGS_MADE,
    ROWS_LIKE_NEIGHBOURS,
    STATIONS_KNOWN,
    VALUES_IN_RANGE,
    ReadingsWay,
    judged,
)
from mta_pipeline.domain.staging import Staging
from mta_pipeline.domain.tables import READINGS, REJECTED
from mta_pipeline.domain.tabling import Outcome, Workshop
from mta_pipeline.domain.weeks import Week
from mta_pipeline_tests.turnstile_files import valid_file, with_line

WEEK = Week(date(2024, 1, 13))
GOOD = readings_of(valid_file(WEEK), WEEK)


def verdict(of: Check, rows: pl.DataFrame = GOOD.rows, neighbours: dict[Week, int] | None = None) -> Verdict:
    [found] = [one for one in judged(replace(GOOD, rows=rows), WEEK, neighbours or {}) if one.check is of]
    return found


def test_good_readings_pass_every_check() -> None:
    assert all(one.passed for one in judged(GOOD, WEEK, {WEEK.shifted(-1): GOOD.rows.height}))


def test_a_moment_that_is_there_twice_fails() -> None:
    assert not verdict(KEYS_UNIQUE, pl.concat([GOOD.rows.head(1), GOOD.rows])).passed


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (pl.lit(-1).alias("entries"), "252 counters out of range"),
        (pl.lit(10**10).alias("exits"), "252 counters out of range"),
        (pl.col("read_at").dt.offset_by("-1d"), "36 moments of other weeks"),
        (pl.lit(None, pl.String).alias("audit_kind"), "252 missing values"),
    ],
)
def test_values_out_of_range_fail_and_are_counted(change: pl.Expr, found: str) -> None:
    finding = verdict(VALUES_IN_RANGE, GOOD.rows.with_columns(change)).finding
    assert finding
    assert finding.found == found


def test_a_week_without_readings_fails() -> None:
    assert not verdict(VALUES_IN_RANGE, GOOD.rows.head(0)).passed


@pytest.mark.parametrize(("damaged", "passes"), [(2, True), (3, False)])
def test_hardly_a_row_may_be_unreadable(damaged: int, passes: bool) -> None:
    file = valid_file(WEEK)
    for number in range(damaged):
        file = with_line(file, 10 + number, b"junk")
    [found] = [one for one in judged(readings_of(file, WEEK), WEEK, {}) if one.check is FEW_REJECTED]
    assert found.passed is passes
    assert found.figures["not the fields of a row"] == damaged
    if found.finding:
        assert f"{damaged} not the fields of a row" in found.finding.found
        assert "line 10, 'junk'" in found.finding.found


@pytest.mark.parametrize(("share", "passes"), [(0.76, False), (0.9, True), (1.1, True), (1.4, False)])
def test_a_week_unlike_its_neighbour_is_a_warning(share: float, passes: bool) -> None:
    found = verdict(ROWS_LIKE_NEIGHBOURS, neighbours={WEEK.shifted(1): round(GOOD.rows.height * share)})
    assert found.passed is passes
    assert not found.check.blocking


def test_turnstiles_without_stations_are_a_warning() -> None:
    legacy = Week(date(2011, 5, 21))
    [found] = [
        one for one in judged(readings_of(valid_file(legacy), legacy), legacy, {}) if one.check is STATIONS_KNOWN
    ]
    assert not found.check.blocking
    assert found.finding
    assert "materialize remote_booths" in found.finding.remedy


def made(folder: Path, content: bytes, week: Week = WEEK) -> Outcome:
    """The outcome of a week with this file in the lake."""
    lake = folder / "lake"
    (lake / week.object_name).parent.mkdir(parents=True, exist_ok=True)
    (folder / "file").write_bytes(content)
    compress(folder / "file", lake / week.object_name)
    [outcome] = ReadingsWay(Workshop(LocalStore(lake), Staging(folder / "staging"))).weeks([week])
    return outcome


def test_a_week_with_some_junk_is_published_and_its_junk_is_beside_it(tmp_path: Path) -> None:
    outcome = made(tmp_path, with_line(valid_file(WEEK), 7, b"\x1b junk"))
    assert set(outcome.verdicts) == set(READINGS_CHECKS)
    assert outcome.stored
    assert outcome.stored.rows == 251
    assert outcome.figures["rejected rows"] == 1
    rejected = read(tmp_path / "lake" / REJECTED.object_name(WEEK), REJECTED)
    assert rejected.rows() == [(7, 0, "\x1b junk", "not the fields of a row")]


def test_a_week_that_fails_changes_nothing(tmp_path: Path) -> None:
    made(tmp_path, valid_file(WEEK))
    tables = [tmp_path / "lake" / table.object_name(WEEK) for table in (READINGS, REJECTED)]
    before = [path.read_bytes() for path in tables]
    outcome = made(tmp_path, b"junk\n" * 300)
    assert {one.check for one in outcome.verdicts.values() if not one.passed} == {VALUES_IN_RANGE, FEW_REJECTED}
    assert outcome.stored is None
    assert [path.read_bytes() for path in tables] == before


def test_a_damaged_table_beside_it_counts_as_none(tmp_path: Path) -> None:
    neighbour = tmp_path / "lake" / READINGS.object_name(WEEK.shifted(1))
    neighbour.parent.mkdir(parents=True)
    neighbour.write_bytes(b"junk")
    outcome = made(tmp_path, valid_file(WEEK))
    assert not outcome.failures
    assert outcome.verdicts[ROWS_LIKE_NEIGHBOURS].figures == {"rows": 252}


def test_what_another_writer_left_meanwhile_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lake" / READINGS.object_name(WEEK)

    def overtaken(content: bytes, *arguments: object) -> object:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"newer")
        return readings_of(content, WEEK)

    monkeypatch.setattr("mta_pipeline.domain.readings_way.readings_of", overtaken)
    outcome = made(tmp_path, valid_file(WEEK))
    finding = outcome.verdicts[READINGS_MADE].finding
    assert finding
    assert "another writer" in finding.found
    assert path.read_bytes() == b"newer"


def test_real_weeks_pass_every_check(real_file: Callable[[str], Path], tmp_path: Path) -> None:
    for name in ("turnstile_240106.txt", "turnstile_240113.txt"):
        week = Week.of_file(name)
        assert week
        outcome = made(tmp_path, real_file(f"turnstile/{name}").read_bytes(), week)
        assert [one.finding for one in outcome.verdicts.values() if one.finding] == []
    assert outcome.verdicts[ROWS_LIKE_NEIGHBOURS].figures["rows, 2023-12-30"] == 250_814
