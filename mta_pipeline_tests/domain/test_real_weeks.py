"""What the MTA really published, where it is at hand: good weeks pass, and real damage fails as it should."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

import pytest

from mta_pipeline.domain.audit import (
    COUNTERS_PLAUSIBLE,
    COVERS_ITS_WEEK,
    HEADER_MATCHES,
    ROW_COUNT_IN_RANGE,
    ROWS_WELL_FORMED,
    Check,
    Verdict,
    audit,
)
from mta_pipeline.domain.compression import compress
from mta_pipeline.domain.lake import LocalStore, rows_of
from mta_pipeline.domain.layouts import CURRENT, LEGACY
from mta_pipeline.domain.scan import scan
from mta_pipeline.domain.weeks import Week

RealFile = Callable[[str], Path]

#: Rows, as stated beside the files.
WEEKS = {"turnstile_240106.txt": 250_816, "turnstile_240113.txt": 253_022, "turnstile_240120.txt": 253_562}


def verdicts(path: Path, week: Week, neighbours: Mapping[Week, int] | None = None) -> dict[Check, Verdict]:
    return {verdict.check: verdict for verdict in audit(scan(path), week, path.name, neighbours or {})}


def failing(path: Path, week: Week) -> set[Check]:
    return {check for check, verdict in verdicts(path, week).items() if not verdict.passed}


def week_of(name: str) -> Week:
    week = Week.of_file(name)
    assert week is not None
    return week


@pytest.mark.parametrize("name", [*WEEKS, "turnstile_230603.txt"])
def test_a_whole_published_week_passes_every_check(real_file: RealFile, name: str) -> None:
    path = real_file(f"turnstile/{name}")
    week = week_of(name)
    neighbours = {week_of(other): rows for other, rows in WEEKS.items()}
    seen = scan(path)
    found = [str(verdict.finding) for verdict in audit(seen, week, name, neighbours) if verdict.finding]
    assert found == []
    assert seen.layout is CURRENT
    assert seen.rows == seen.readings == WEEKS.get(name, seen.rows)
    assert sum(seen.readings_per_day.values()) == seen.rows


@pytest.mark.parametrize("name", WEEKS)
def test_the_rows_of_a_published_week_are_told_by_its_object(real_file: RealFile, name: str, tmp_path: Path) -> None:
    compress(real_file(f"turnstile/{name}"), tmp_path / "gz")
    store = LocalStore(tmp_path / "lake")
    store.publish(tmp_path / "gz", week_of(name).object_name, {})
    assert rows_of(store, week_of(name).object_name, 1) == WEEKS[name]


def test_published_weeks_fail_under_each_others_names_for_their_days_alone(real_file: RealFile) -> None:
    path = real_file("turnstile/turnstile_240113.txt")
    assert failing(path, week_of("turnstile_240120.txt")) == {COVERS_ITS_WEEK}


def test_the_head_of_a_published_file_is_well_formed_and_too_short(real_file: RealFile, tmp_path: Path) -> None:
    data = real_file("turnstile/turnstile_170624.head.txt").read_bytes()
    path = tmp_path / "whole-rows"
    path.write_bytes(data[: data.rindex(b"\n") + 1])
    seen = scan(path)
    assert (seen.rows, seen.malformed, seen.line_ending) == (29_702, 0, "LF")
    assert ROW_COUNT_IN_RANGE in failing(path, week_of("turnstile_170624.txt"))
    assert not {HEADER_MATCHES, ROWS_WELL_FORMED} & failing(path, week_of("turnstile_170624.txt"))


def test_a_file_cut_inside_its_last_counter_is_malformed(real_file: RealFile) -> None:
    path = real_file("damaged/turnstile_170617.truncated.txt")
    found = verdicts(path, week_of("turnstile_170617.txt"))
    finding = found[ROWS_WELL_FORMED].finding
    assert finding is not None
    assert "the file ends inside this line; 1 of " in finding.found
    assert found[HEADER_MATCHES].passed


def test_a_file_under_another_weeks_name_does_not_cover_its_week(real_file: RealFile) -> None:
    found = verdicts(real_file("damaged/turnstile_110521.misnamed.txt"), Week.parse("2011-05-14"))
    assert "expected the seven days 2011-05-14 to 2011-05-20" in str(found[COVERS_ITS_WEEK].finding)
    assert "found readings of 2011-05-21 … 2011-05-27 (7 days)" in str(found[COVERS_ITS_WEEK].finding)
    assert found[HEADER_MATCHES].passed
    assert found[ROWS_WELL_FORMED].passed


def test_an_html_page_has_no_header(real_file: RealFile) -> None:
    found = verdicts(real_file("damaged/html_instead_of_csv.html"), week_of("turnstile_240113.txt"))
    assert "an HTML page" in str(found[HEADER_MATCHES].finding)
    assert not found[COVERS_ITS_WEEK].passed


def test_a_spreadsheets_copy_is_malformed(real_file: RealFile) -> None:
    found = verdicts(real_file("damaged/turnstile_211009.spreadsheet.csv"), week_of("turnstile_211009.txt"))
    assert not found[ROWS_WELL_FORMED].passed
    assert "line 2" in str(found[ROWS_WELL_FORMED].finding)


def test_a_few_stations_are_too_few_rows(real_file: RealFile) -> None:
    found = verdicts(real_file("damaged/turnstile_150627.partial.csv"), week_of("turnstile_150627.txt"))
    assert "150,000 to 400,000" in str(found[ROW_COUNT_IN_RANGE].finding)


# The legacy layout, and the same readings as somebody else has read them.

LEGACY_WEEK = week_of("turnstile_110528.txt")


def test_the_head_of_a_legacy_file_is_well_formed_and_too_short(real_file: RealFile) -> None:
    path = real_file("turnstile_legacy/turnstile_110528.head.txt")
    seen = scan(path)
    assert seen.layout is LEGACY
    assert (seen.rows, seen.malformed) == (999, 0)
    assert set(seen.readings_per_day) == set(LEGACY_WEEK.days)
    assert failing(path, LEGACY_WEEK) == {ROW_COUNT_IN_RANGE}


def test_a_legacy_file_has_as_many_readings_a_day_as_somebody_else_has_found(
    real_file: RealFile, tmp_path: Path
) -> None:
    theirs: dict[bytes, list[bytes]] = {}
    for line in real_file("turnstile_legacy/turnstile_110528.normalised.csv").read_bytes().splitlines():
        fields = line.split(b",")
        theirs.setdefault(b",".join(fields[:3]), []).append(fields[3])
    theirs.popitem()  # the last turnstile may not be there to its end
    head = real_file("turnstile_legacy/turnstile_110528.head.txt").read_bytes().splitlines(keepends=True)
    (tmp_path / "both").write_bytes(b"".join(line for line in head if b",".join(line.split(b",")[:3]) in theirs))

    seen = scan(tmp_path / "both")

    days = [datetime.strptime(day.decode(), "%m-%d-%y").date() for of in theirs.values() for day in of]
    assert len(days) > 1_500
    assert seen.readings == len(days)
    assert seen.readings_per_day == Counter(days)
    assert seen.registers.turnstiles == len(theirs)


def test_records_of_2013_are_wider_and_still_legacy(real_file: RealFile, tmp_path: Path) -> None:
    lines = real_file("turnstile_legacy/turnstile_130202.sample.txt").read_bytes().splitlines(keepends=True)
    (tmp_path / "whole").write_bytes(b"".join(line for line in lines if len(line) == len(lines[0])))
    seen = scan(tmp_path / "whole")
    assert seen.layout is LEGACY
    assert (seen.rows, seen.malformed, seen.width) == (38, 0, 501)


def test_legacy_readings_are_as_plausible_as_they_were_published(real_file: RealFile) -> None:
    found = verdicts(real_file("turnstile_legacy/turnstile_110528.head.txt"), LEGACY_WEEK)
    assert found[COUNTERS_PLAUSIBLE].passed
