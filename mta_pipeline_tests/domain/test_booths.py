"""What the list of booths must be, and what becomes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mta_pipeline.domain.booths import XLS, BoothsWay, booths_in
from mta_pipeline.domain.errors import FeedError
from mta_pipeline.domain.feed import Feed
from mta_pipeline.domain.lake import Change, LocalStore
from mta_pipeline.domain.parquet import read, schema_of, told_of
from mta_pipeline.domain.staging import Staging
from mta_pipeline.domain.tables import BOOTHS, BOOTHS_OBJECT
from mta_pipeline.domain.tabling import Workshop

HEADER = b"Remote,Booth,Station,Line Name,Division\r\n"
LIST = HEADER + b"R052,A003,5 AV,RNQ,BMT\r\nR051,A002,59  st,NQR456W,BMT\r\n"
ROWS = [("A002", "R051", "59 ST", "456NQRW", "BMT"), ("A003", "R052", "5 AV", "NQR", "BMT")]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "with a byte-order mark"])
def test_a_list_in_csv_becomes_rows_in_the_tables_form(mark: bytes) -> None:
    frame = booths_in(mark + LIST, "here")
    assert frame.schema == schema_of(BOOTHS)
    assert frame.rows() == ROWS


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "the first row ''"),
        (b"<html><body>404</body></html>", "<html>"),
        (b"Remote,Booth\r\n", "Remote, Booth"),
        (HEADER, "no rows but the header"),
        (HEADER + b"R051,A002,59 ST,NQR\r\n", "row 2"),
        (HEADER + b"R051,A002,,NQR,BMT\r\n", "row 2"),
        (HEADER + b"051,A002,59 ST,NQR,BMT\r\n", "row 2"),
        (LIST + b"R051,A002,60 ST,NQR,BMT\r\n", "booth A002 of R051 more than once"),
        (XLS + b"and nothing more", "a spreadsheet that cannot be read"),
    ],
)
def test_what_is_no_list_is_refused_with_the_place_and_what_to_do(content: bytes, found: str) -> None:
    with pytest.raises(FeedError) as error:
        booths_in(content, "file:///there")
    assert error.value.finding.where == "file:///there"
    assert found in error.value.finding.found
    assert "MTA_BOOTHS_URL" in error.value.finding.remedy


def way_of(folder: Path) -> BoothsWay:
    source = Feed((folder / "list.csv").as_uri())
    return BoothsWay(source, Workshop(LocalStore(folder / "lake"), Staging(folder / "staging")))


def test_the_list_comes_into_the_lake_and_the_same_one_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(LIST)
    first = way_of(tmp_path).bring()
    (tmp_path / "list.csv").write_bytes(LIST.replace(b"\r\n", b"\n"))
    second = way_of(tmp_path).bring()
    assert (first.published.change, second.published.change) == (Change.CREATED, Change.UNCHANGED)
    assert first.version == second.version
    assert read(tmp_path / "lake" / BOOTHS_OBJECT, BOOTHS).rows() == ROWS
    assert told_of(tmp_path / "lake" / BOOTHS_OBJECT, BOOTHS)["version"] == first.version
    (tmp_path / "list.csv").write_bytes(LIST.replace(b"5 AV", b"6 AV"))
    assert way_of(tmp_path).bring().version != first.version
    assert not [path for path in (tmp_path / "staging").iterdir() if path.name.startswith(".scratch")]


def test_a_list_that_cannot_be_had_is_told_with_its_own_setting(tmp_path: Path) -> None:
    with pytest.raises(FeedError) as error:
        way_of(tmp_path).bring()
    assert "no such file" in error.value.finding.found
    assert "MTA_BOOTHS_URL" in error.value.finding.remedy
    assert "MTA_FEED_URL" not in str(error.value)


def test_the_published_spreadsheet_and_its_csv_are_the_same_list(real_data: Path) -> None:
    files = [real_data / "lookup" / f"Remote-Booth-Station.{kind}" for kind in ("xls", "csv")]
    sheet, text = (booths_in(path.read_bytes(), str(path)) for path in files)
    assert sheet.equals(text)
    assert sheet.height == 768
