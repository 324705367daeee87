"""Tables in the lake as Parquet: how a week of one is written, and read again.

What a column is called, is, and means stands in `tables`; here it becomes Polars' types. The same frame
gives the same bytes, so that publishing it again changes nothing. Polars is imported where it is used,
because Dagster loads the project often, and mostly reads nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from mta_pipeline import __version__
from mta_pipeline.domain.errors import CorruptObject, Finding
from mta_pipeline.domain.tables import Table
from mta_pipeline.domain.weeks import NEW_YORK

if TYPE_CHECKING:
    import polars as pl

# Polars' allocator gives memory back to the system within a second, and asks for it again for the next week: a quarter
# of a week's CPU. It reads this when Polars is first imported.
os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:10000,muzzy_decay_ms:10000")

#: Rows of a row group. A week's readings are four of them, and a station, whose turnstiles lie beside each
#: other, in one or two: a month of it is read from a handful, which their statistics tell.
ROW_GROUP = 1 << 16
LEVEL = 3  # of zstd; 1 saves nothing to speak of, 9 takes twice the time for 5 %


def schema_of(table: Table) -> pl.Schema:
    """The table's columns in Polars' types."""
    import polars as pl

    types: dict[str, pl.DataType] = {
        "string": pl.String(),
        "bigint": pl.Int64(),
        "date": pl.Date(),
        "timestamp": pl.Datetime("us", NEW_YORK.key),
    }
    return pl.Schema({column.name: types[column.type] for column in table.columns})


def write(frame: pl.DataFrame, table: Table, path: Path, told: Mapping[str, str]) -> None:
    """Write rows of `table`, sorted by its key, to `path`. Raises `OSError`, and `ValueError` for other columns.

    The file says what it holds: the table's and the columns' descriptions, and the number of rows, are in its
    key-value metadata, and what is `told` of it, such as its version.
    """
    schema = schema_of(table)
    if frame.schema != schema:
        raise ValueError(f"{table.name}: columns {dict(frame.schema)} in the place of {dict(schema)}")
    frame.write_parquet(
        path,
        compression="zstd",
        compression_level=LEVEL,
        statistics=True,
        row_group_size=ROW_GROUP,
        metadata={
            "table": table.name,
            "description": table.description,
            "columns": json.dumps({column.name: column.description for column in table.columns}),
            "key": json.dumps(table.key),
            "rows": str(frame.height),
            "pipeline": __version__,
            **told,
        },
    )


def read(source: Path | IO[bytes], table: Table, where: str = "", columns: Sequence[str] | None = None) -> pl.DataFrame:
    """The rows of an object of `table`, in its columns, or in some of them.

    `where` names it in the message of `CorruptObject`.
    """
    import polars as pl

    place = where or str(source)
    try:
        frame = pl.read_parquet(source, columns=list(columns) if columns else None)
    except pl.exceptions.PolarsError as fault:
        raise _corrupt(table, place, f"no Parquet ({str(fault).splitlines()[0][:200]})") from fault
    schema = schema_of(table)
    if frame.schema != (pl.Schema({name: schema[name] for name in columns}) if columns else schema):
        raise _corrupt(table, place, f"the columns {', '.join(frame.columns)}")
    return frame


def told_of(source: Path | IO[bytes], table: Table, where: str = "") -> dict[str, str]:
    """What an object of `table` says of itself, among it `rows` and `version`. Raises as `read` does."""
    import polars as pl

    place = where or str(source)
    try:
        told = pl.read_parquet_metadata(source)
    except pl.exceptions.PolarsError as fault:
        raise _corrupt(table, place, f"no Parquet ({str(fault).splitlines()[0][:200]})") from fault
    if told.get("table") != table.name or not told.get("rows", "").isdecimal():
        raise _corrupt(table, place, f"Parquet of {told.get('table', 'another origin')}")
    return told


def _corrupt(table: Table, where: str, found: str) -> CorruptObject:
    remedy = f"Materialize {table.name} for its week again: a damaged object is replaced."
    return CorruptObject(Finding(where=where, found=found, expected=f"the table {table.name}", remedy=remedy))
