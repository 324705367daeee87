"""Known faults of published files: let through to the letter, and nowhere else."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from mta_pipeline.domain.audit import COVERS_ITS_WEEK, HEADER_MATCHES, ROWS_WELL_FORMED, Verdict, audit
from mta_pipeline.domain.exceptions import KNOWN_FAULTS, known_fault
from mta_pipeline.domain.scan import scan
from mta_pipeline.domain.weeks import Week
from mta_pipeline_tests.feed_server import FeedServer, whole
from mta_pipeline_tests.turnstile_files import SCALE, line_of, valid_file, with_line
from mta_pipeline_tests.workbench import LEGACY_WEEK, WEEK, Workbench

JUNK = b"".join(b"junk, that somebody left here: line %d\r\n" % n for n in range(4))


def emptied(file: bytes) -> bytes:
    """An empty EXITS value, the line no longer."""
    line = line_of(file, 5).rstrip()
    return with_line(file, 5, line[: line.rindex(b",") + 1])


def broken(file: bytes) -> bytes:
    """A "-" for a number, and a line broken in two."""
    line = line_of(file, 6).rstrip()
    file = with_line(file, 6, line[: line.rindex(b",") + 1] + b"-")
    half = file.index(b"\n", len(file) // 2) + 40
    return file[:half] + b"\r\n" + file[half:]


def cut(file: bytes) -> bytes:
    """An odd last line."""
    return file.rstrip()[:-2]


FAULTS: dict[date, Callable[[bytes], bytes]] = {
    date(2012, 4, 28): emptied,
    date(2012, 5, 5): broken,
    date(2012, 7, 14): lambda file: JUNK + file,
    date(2012, 8, 25): cut,
}


def verdicts(data: bytes, week: Week) -> dict[str, Verdict]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(data)
        return {verdict.check.name: verdict for verdict in audit(scan(path), week, "the feed", {}, SCALE)}


def failing(data: bytes, week: Week) -> list[str]:
    return [name for name, verdict in verdicts(data, week).items() if verdict.finding and verdict.check.blocking]


faults = pytest.mark.parametrize("release", list(FAULTS), ids=str)


def test_each_fault_is_of_one_published_week_and_has_its_source() -> None:
    assert [fault.release_date for fault in KNOWN_FAULTS] == sorted(FAULTS)
    assert all(known_fault(fault.week) is fault and fault.source and 0 < fault.lines <= 20 for fault in KNOWN_FAULTS)
    assert known_fault(WEEK) is None


@faults
def test_the_fault_of_a_week_is_let_through_in_that_week_and_said(release: date) -> None:
    week = Week(release).shifted(-1)
    judged = verdicts(FAULTS[release](valid_file(week)), week)
    assert [v.finding for v in judged.values() if v.check.blocking and v.finding] == []
    assert week.file_name in str(judged[ROWS_WELL_FORMED.name].figures["known fault"])
    assert judged[ROWS_WELL_FORMED.name].figures["malformed rows"]


@faults
def test_the_same_fault_in_another_week_keeps_that_out(release: date) -> None:
    assert ROWS_WELL_FORMED.name in failing(FAULTS[release](valid_file(LEGACY_WEEK)), LEGACY_WEEK)


@faults
def test_more_of_it_than_is_known_keeps_the_week_out(release: date) -> None:
    week = Week(release).shifted(-1)
    data = FAULTS[release](valid_file(week))
    for number in range(8, 8 + 25):
        data = with_line(data, number, b"more junk")
    assert ROWS_WELL_FORMED.name in failing(data, week)


@faults
def test_all_else_stays_strict_in_such_a_week(release: date) -> None:
    week = Week(release).shifted(-1)
    data = FAULTS[release](valid_file(week.shifted(5)))
    assert COVERS_ITS_WEEK.name in failing(data, week)


def test_the_checks_description_names_each_fault() -> None:
    for fault in KNOWN_FAULTS:
        assert f"- {fault}." in ROWS_WELL_FORMED.description


def test_junk_above_a_header_is_no_header() -> None:
    assert failing(JUNK + valid_file(WEEK), WEEK) == [HEADER_MATCHES.name, ROWS_WELL_FORMED.name]


def test_what_is_let_through_goes_to_the_lake_byte_for_byte(feed_server: FeedServer, tmp_path: Path) -> None:
    bench = Workbench(feed_server, tmp_path)
    weeks = [Week(date(2012, 7, 7)).shifted(n) for n in (-1, 0, 1)]
    bench.offer(*weeks)
    published = JUNK + bench.good[weeks[1]]
    feed_server.serve(weeks[1], whole(published))
    for _ in range(2):  # beside its neighbours, and over itself
        for week in weeks:
            assert not bench.ingest().week(week).failures
    assert bench.raw_in_lake(weeks[1]) == published
