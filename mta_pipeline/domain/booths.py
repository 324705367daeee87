"""The MTA's list of booths, which names the stations of turnstiles: fetched, understood, kept in the lake.

`Remote-Booth-Station` is published as a spreadsheet (.xls), and found as CSV too: columns Remote, Booth,
Station, Line Name, Division. Files before 2014-10-18 have no stations of their own.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mta_pipeline.domain import parquet
from mta_pipeline.domain.errors import FeedError, Finding, StagingError, disk_errors_as
from mta_pipeline.domain.feed import Feed
from mta_pipeline.domain.readings import normalised
from mta_pipeline.domain.tables import BOOTHS, BOOTHS_OBJECT
from mta_pipeline.domain.tabling import StoredTable, Workshop

if TYPE_CHECKING:
    import polars as pl

HEADER = ("Remote", "Booth", "Station", "Line Name", "Division")
COLUMNS = ("unit", "control_area", "station", "line_names", "division")
UNIT = re.compile("R[0-9]{3}")
#: What a compound file, as .xls is, begins with ([MS-CFB], 2.2).
XLS = bytes.fromhex("d0cf11e0a1b11ae1")


@dataclass(frozen=True)
class BoothsWay:
    """The way of the list into the lake."""

    source: Feed
    shop: Workshop

    def bring(self) -> StoredTable:
        """Fetch the list and publish it. Raises `FeedError`, `StagingError`, `LakeError`, `Stopped`."""
        with self.shop.staging.scratch() as folder:
            path = folder / "Remote-Booth-Station"
            try:
                fetched = self.source.fetch(None, path, self.shop.stop)
            except FeedError as error:
                remedy = "Point MTA_BOOTHS_URL at a copy of Remote-Booth-Station (.xls or .csv)."
                raise FeedError(replace(error.finding, expected="the MTA's list of booths", remedy=remedy)) from error
            with disk_errors_as(StagingError, path, "MTA_STAGING_DIR"):
                rows = booths_in(path.read_bytes(), fetched.url)
        version = hashlib.sha256(rows.write_csv().encode()).hexdigest()
        return self.shop.store_as(BOOTHS_OBJECT, rows, BOOTHS, {"version": version, "source": fetched.url})


def booths_in(content: bytes, where: str) -> pl.DataFrame:
    """The rows of `BOOTHS` in a file, sorted by their key. Raises `FeedError`, naming the place `where`."""
    import polars as pl

    records = _records(content, where)
    header = tuple(" ".join(field.split()) for field in records[0]) if records else ()
    if header != HEADER:
        raise _wrong(where, f"the first row {', '.join(header)[:120]!r}", ", ".join(HEADER))
    for number, record in enumerate(records[1:], 2):
        if len(record) != len(HEADER) or not UNIT.fullmatch(record[0].strip()) or not all(record):
            raise _wrong(where, f"row {number}: {', '.join(record)[:120]!r}", "a unit such as R001, and four names")
    if len(records) < 2:
        raise _wrong(where, "no rows but the header", "a row for each booth")
    frame = normalised(pl.DataFrame(records[1:], schema=dict.fromkeys(COLUMNS, pl.String), orient="row"))
    twice = frame.filter(pl.struct(BOOTHS.key).is_duplicated())
    if twice.height:
        unit, area = twice.row(0)[:2]
        raise _wrong(where, f"booth {area} of {unit} more than once", "each once")
    return frame.select(parquet.schema_of(BOOTHS).names()).sort(BOOTHS.key)


def _records(content: bytes, where: str) -> Sequence[Sequence[str]]:
    """The rows of a spreadsheet or of CSV, as text."""
    if not content.startswith(XLS):
        text = content.decode("utf-8-sig", "replace")
        return [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        rows = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0).to_python()
    except CalamineError as fault:
        raise _wrong(where, f"a spreadsheet that cannot be read ({fault})", "a whole one") from fault
    # Lines such as 123 are numbers to a spreadsheet.
    return [[str(int(cell) if isinstance(cell, float) else cell) for cell in row] for row in rows]


def _wrong(where: str, found: str, expected: str) -> FeedError:
    remedy = "Point MTA_BOOTHS_URL at a copy of Remote-Booth-Station (.xls or .csv) as the MTA published it."
    return FeedError(Finding(where=where, found=found, expected=expected, remedy=remedy))
