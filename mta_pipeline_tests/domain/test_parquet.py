"""What objects of tables are: the same bytes for the same rows, typed, and telling what they hold."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import polars as pl
import pytest

from mta_pipeline.domain import parquet
from mta_pipeline.domain.errors import CorruptObject
from mta_pipeline.domain.readings import readings_of
from mta_pipeline.domain.tables import BOOTHS, READINGS, REJECTED, TABLES
from mta_pipeline.domain.weeks import Week
from mta_pipeline_tests.turnstile_files import valid_file

WEEK = Week(date(2024, 1, 13))


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return readings_of(valid_file(WEEK), WEEK).rows


@pytest.fixture
def path(rows: pl.DataFrame, tmp_path: Path) -> Path:
    parquet.write(rows, READINGS, tmp_path / "readings.parquet", {"version": "abc"})
    return tmp_path / "readings.parquet"


def test_what_was_written_is_read_again(rows: pl.DataFrame, path: Path) -> None:
    assert parquet.read(path, READINGS).equals(rows)
    assert parquet.read(io.BytesIO(path.read_bytes()), READINGS).equals(rows)


def test_the_same_rows_are_the_same_bytes_in_another_process_too(path: Path, tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from mta_pipeline.domain import parquet\n"
        "from mta_pipeline.domain.tables import READINGS\n"
        "source, target = map(pathlib.Path, sys.argv[1:])\n"
        "parquet.write(parquet.read(source, READINGS), READINGS, target, {'version': 'abc'})"
    )
    other = tmp_path / "other.parquet"
    subprocess.run([sys.executable, "-c", code, path, other], check=True, env={**os.environ, "POLARS_MAX_THREADS": "1"})
    assert other.read_bytes() == path.read_bytes()


def test_an_object_tells_what_it_holds(rows: pl.DataFrame, path: Path) -> None:
    told = parquet.told_of(path, READINGS)
    assert told["rows"] == str(rows.height)
    assert told["version"] == "abc"
    assert told["description"] == READINGS.description
    assert json.loads(told["columns"]) == {column.name: column.description for column in READINGS.columns}


def test_other_engines_read_the_same_types_and_moments(rows: pl.DataFrame, path: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'America/New_York'")
        described = connection.execute(f"DESCRIBE SELECT * FROM '{path}'").fetchall()
        first = connection.execute(f"SELECT epoch(min(read_at)) FROM '{path}'").fetchone()
    assert [(name, kind) for name, kind, *_ in described] == [
        (c.name, {"string": "VARCHAR", "bigint": "BIGINT", "timestamp": "TIMESTAMP WITH TIME ZONE"}[c.type])
        for c in READINGS.columns
    ]
    assert first == (datetime(2024, 1, 13, tzinfo=ZoneInfo("America/New_York")).timestamp(),)


def test_every_table_has_a_schema_and_may_be_empty(tmp_path: Path) -> None:
    for table in (*TABLES, BOOTHS):
        empty = pl.DataFrame(schema=parquet.schema_of(table))
        parquet.write(empty, table, tmp_path / table.name, {})
        assert parquet.read(tmp_path / table.name, table).equals(empty)


def test_rows_of_another_table_are_not_written(rows: pl.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="readings_rejected"):
        parquet.write(rows, REJECTED, tmp_path / "x", {})


@pytest.mark.parametrize("damage", ["nothing", "junk", "cut"])
def test_a_damaged_object_is_told_with_its_address_and_what_to_do(path: Path, damage: str) -> None:
    content = path.read_bytes()
    path.write_bytes({"nothing": b"", "junk": b"junk" * 9, "cut": content[: len(content) // 2]}[damage])
    for look in (parquet.read, parquet.told_of):
        with pytest.raises(CorruptObject) as error:
            look(path, READINGS, "gs://there")
        assert error.value.finding.where == "gs://there"
        assert "Materialize readings for its week again" in error.value.finding.remedy


def test_an_object_of_another_table_is_told(path: Path) -> None:
    for look in (parquet.read, parquet.told_of):
        with pytest.raises(CorruptObject, match="expected the table readings_rejected"):
            look(path, REJECTED)
