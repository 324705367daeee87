"""The audit's verdicts, and the sentences in which it tells them."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta_pipeline.domain.audit import (
    ALWAYS_ALLOWED,
    CHECKS,
    COUNTERS_PLAUSIBLE,
    COVERS_ITS_WEEK,
    FILE_FETCHED,
    HEADER_MATCHES,
    MOST_BACKWARD,
    MOST_DUPLICATES,
    MOST_JUMPS,
    MOST_RESETS,
    MOST_SILENT,
    NEIGHBOUR_SHARE,
    OBJECT_INTACT,
    ROW_COUNT_IN_RANGE,
    ROWS_WELL_FORMED,
    Check,
    Verdict,
    audit,
)
from mta_pipeline.domain.layouts import CURRENT, LEGACY, Layout
from mta_pipeline.domain.scan import Malformed, Registers, Scan, scan
from mta_pipeline.domain.weeks import Week
from mta_pipeline_tests.turnstile_files import (
    HEADER,
    SCALE,
    implausible,
    line_of,
    refitted,
    regular_turnstiles,
    spreadsheet_copy,
    valid_file,
    with_line,
)
from mta_pipeline_tests.workbench import AFTER, BEFORE, LEGACY_WEEK, WEEK

WHERE = "http://feed.example/turnstile_240120.txt"


def verdicts(
    data: bytes, week: Week = WEEK, neighbours: Mapping[Week, int] | None = None, scale: float = SCALE
) -> dict[Check, Verdict]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(data)
        return {verdict.check: verdict for verdict in audit(scan(path), week, WHERE, neighbours or {}, scale)}


def failing(data: bytes, week: Week = WEEK) -> set[Check]:
    return {check for check, verdict in verdicts(data, week).items() if not verdict.passed}


def message(data: bytes, check: Check, week: Week = WEEK) -> str:
    """What `check` says of a file that it fails."""
    finding = verdicts(data, week)[check].finding
    assert finding is not None, f"{check.name} passed"
    text = str(finding)
    assert text.startswith(f"Week {week.key}: {WHERE}")
    assert finding.found
    assert finding.expected
    assert finding.remedy.endswith(".")
    return text


def sound_scan(rows: int = 200_000, layout: Layout = CURRENT, registers: Registers | None = None) -> Scan:
    """What the scan of a good file gives, without the file."""
    week = WEEK if layout is CURRENT else LEGACY_WEEK
    return Scan(
        layout=layout,
        first_line=layout.header or "A002,R051,02-00-00,05-21-11",
        size=rows * 132,
        width=132,
        line_ending="CRLF",
        rows=rows,
        readings=rows,
        ends_whole=True,
        readings_per_day=Counter(dict.fromkeys(week.days, rows // 7)),
        registers=registers or Registers(turnstiles=5_000, steps=2 * rows),
    )


def judged(
    seen: Scan, check: Check, week: Week = WEEK, neighbours: Mapping[Week, int] | None = None, scale: float = 1.0
) -> Verdict:
    (verdict,) = (v for v in audit(seen, week, WHERE, neighbours or {}, scale) if v.check is check)
    return verdict


def test_every_check_has_a_name_of_its_own_and_a_sentence_about_it() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS) == 7
    assert all(re.fullmatch(r"[a-z_]+", check.name) and check.description.endswith(".") for check in CHECKS)


def test_only_the_counters_may_be_odd_and_still_be_published() -> None:
    assert [check for check in CHECKS if not check.blocking] == [COUNTERS_PLAUSIBLE]


@pytest.mark.parametrize("newline", ["\r\n", "\n"], ids=["CRLF", "LF"])
@pytest.mark.parametrize("week", [WEEK, LEGACY_WEEK], ids=["current", "legacy"])
def test_a_good_file_passes_every_check_on_raw_files(week: Week, newline: str) -> None:
    seen = verdicts(valid_file(week, newline=newline), week)
    assert set(seen) == {check for check in CHECKS if check.about == "raw"} - {FILE_FETCHED}
    assert [str(verdict.finding) for verdict in seen.values() if verdict.finding] == []
    assert OBJECT_INTACT not in seen


def test_figures_tell_rows_days_and_turnstiles_of_a_good_file() -> None:
    seen = verdicts(valid_file(WEEK))
    assert seen[ROW_COUNT_IN_RANGE].figures["rows"] == 252
    assert seen[COVERS_ITS_WEEK].figures == {f"readings of {day:%A}": 36 for day in WEEK.days}
    assert seen[COUNTERS_PLAUSIBLE].figures["turnstiles"] == 6
    assert seen[ROWS_WELL_FORMED].figures["malformed rows"] == 0
    assert seen[ROWS_WELL_FORMED].figures["line ending"] == "CRLF"
    assert seen[HEADER_MATCHES].figures["layout"] == "current"


# header_matches


@pytest.mark.parametrize(
    ("data", "found", "remedy"),
    [
        pytest.param(b"", "an empty file", "try again later", id="an empty file"),
        pytest.param(
            b"\n<!DOCTYPE HTML PUBLIC>\n<html>\n", "an HTML page", "open the address", id="HTML behind an empty line"
        ),
        pytest.param(b"<html><body>Moved</body></html>", "an HTML page", "open the address", id="HTML on one line"),
        pytest.param(b"  <HTML>\r\n", "an HTML page", "open the address", id="HTML in capitals"),
        pytest.param(
            b"\xef\xbb\xbf" + valid_file(WEEK),
            "a byte-order mark before 'C/A,UNIT",
            "as published",
            id="byte-order mark",
        ),
        pytest.param(
            valid_file(WEEK).replace(b"EXITS", b"EXIT "), "ENTRIES,EXIT'", "as published", id="a changed header"
        ),
        pytest.param(valid_file(WEEK).split(b"\r\n", 1)[1], "'A002,R051,02-00-00,", "as published", id="no header"),
        pytest.param(b"junk\r\n" * 10 + valid_file(WEEK), "'junk'", "as published", id="junk before the header"),
        pytest.param(valid_file(LEGACY_WEEK), "'A002,R051,02-00-00,05-21-11", "another time", id="the legacy layout"),
    ],
)
def test_what_stands_in_the_headers_place_is_told(data: bytes, found: str, remedy: str) -> None:
    text = message(data, HEADER_MATCHES)
    assert f"{WHERE}, line 1: found" in text
    assert found in text.partition(" expected ")[0]
    assert f"expected the header {HEADER}" in text
    assert remedy in text


def test_a_header_before_legacy_rows_is_of_another_time() -> None:
    text = message(valid_file(WEEK), HEADER_MATCHES, LEGACY_WEEK)
    assert f"found '{HEADER}'" in text
    assert "expected no header, but rows C/A,UNIT,SCP,DATE" in text
    assert "another time" in text


def test_an_html_page_in_a_legacy_weeks_place_is_called_one() -> None:
    assert "an HTML page" in message(b"<html>\n<body>\n", HEADER_MATCHES, LEGACY_WEEK)


def test_the_padding_of_the_header_does_not_matter() -> None:
    assert verdicts(with_line(valid_file(WEEK), 1, HEADER.encode()))[HEADER_MATCHES].passed


# row_count_in_range


@pytest.mark.parametrize("layout", [CURRENT, LEGACY], ids=lambda layout: layout.name)
@pytest.mark.parametrize("scale", [1.0, 0.02])
def test_as_few_and_as_many_rows_as_usual_pass_and_one_beyond_fails(layout: Layout, scale: float) -> None:
    week = WEEK if layout is CURRENT else LEGACY_WEEK
    fewest, most = round(layout.usual_rows[0] * scale), round(layout.usual_rows[-1] * scale)
    results = {
        rows: judged(sound_scan(rows, layout), ROW_COUNT_IN_RANGE, week, scale=scale).passed
        for rows in (fewest - 1, fewest, most, most + 1)
    }
    assert list(results.values()) == [False, True, True, False], results


def test_too_few_rows_are_told_with_the_range_and_the_setting_for_samples() -> None:
    verdict = judged(sound_scan(5_000), ROW_COUNT_IN_RANGE)
    assert "found 5,000 rows; expected 150,000 to 400,000" in str(verdict.finding)
    assert "MTA_FEED_SCALE" in str(verdict.finding)


def test_too_many_rows_are_told_without_a_word_about_samples() -> None:
    verdict = judged(sound_scan(500_000), ROW_COUNT_IN_RANGE)
    assert "found 500,000 rows" in str(verdict.finding)
    assert "doubled" in str(verdict.finding)
    assert "MTA_FEED_SCALE" not in str(verdict.finding)


def test_a_week_far_below_its_fullest_neighbour_is_told_with_that_neighbour() -> None:
    neighbours = {BEFORE: 240_000, WEEK: 100_000, AFTER: 300_000}
    enough = round(NEIGHBOUR_SHARE * 300_000)
    assert judged(sound_scan(enough), ROW_COUNT_IN_RANGE, neighbours=neighbours).passed
    verdict = judged(sound_scan(enough - 1), ROW_COUNT_IN_RANGE, neighbours=neighbours)
    assert f"found {enough - 1:,} rows" in str(verdict.finding)
    assert f"at least 70% of the 300,000 that week {AFTER.key} has in the lake" in str(verdict.finding)
    assert verdict.figures[f"rows in the lake, {BEFORE.key}"] == 240_000


def test_a_week_is_held_against_what_it_had_itself_in_the_lake() -> None:
    verdict = judged(sound_scan(160_000), ROW_COUNT_IN_RANGE, neighbours={WEEK: 250_000})
    assert f"week {WEEK.key} has in the lake" in str(verdict.finding)


# rows_well_formed


GOOD = line_of(valid_file(WEEK), 7)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        pytest.param(refitted(GOOD.replace(b",BMT", b"")), f"not the fields {HEADER}", id="ten fields"),
        pytest.param(refitted(GOOD.replace(b",BMT", b",BMT,")), f"not the fields {HEADER}", id="twelve fields"),
        pytest.param(GOOD.replace(b"59 ST", b"59\0ST"), "not printable ASCII", id="a NUL byte"),
        pytest.param(GOOD[:-50] + b"-" + GOOD[-49:], "is not a number of 10 digits", id="a letter in a counter"),
        pytest.param(GOOD[:20], "20 bytes long", id="a short line"),
        pytest.param(b"", "bytes long", id="an empty line"),
    ],
)
def test_a_malformed_row_is_told_with_line_text_fault_and_count(line: bytes, fault: str) -> None:
    text = message(with_line(valid_file(WEEK), 7, line), ROWS_WELL_FORMED)
    assert f"{WHERE}, line 7: found" in text
    assert fault in text or "bytes long, the first line 132" in text
    assert "1 of 252 rows are malformed" in text
    assert "fetch it again, or from another mirror" in text


def test_a_malformed_row_is_shown_printable() -> None:
    assert "59\\x00ST" in message(valid_file(WEEK).replace(b"59 ST", b"59\0ST", 1), ROWS_WELL_FORMED)


def test_the_first_malformed_rows_are_among_the_figures() -> None:
    data = valid_file(WEEK).replace(b"59 ST", b"59\0ST")
    figures = verdicts(data)[ROWS_WELL_FORMED].figures
    assert figures["malformed rows"] == 252
    assert {"line 2", "line 3", "line 4"} <= set(figures)
    assert "line 5" not in figures


def test_a_file_cut_inside_its_last_counter_is_malformed_in_its_last_line_only() -> None:
    data = valid_file(WEEK).rstrip()[:-3]
    text = message(data, ROWS_WELL_FORMED)
    assert "line 253: found" in text
    assert "the file ends inside this line; 1 of 252 rows are malformed" in text
    assert failing(data) == {ROWS_WELL_FORMED}


def test_a_spreadsheets_copy_is_malformed_row_by_row() -> None:
    data = spreadsheet_copy(valid_file(WEEK))
    assert ROWS_WELL_FORMED in failing(data)
    assert "252 of 252 rows are malformed" in message(data, ROWS_WELL_FORMED)


def test_a_header_without_its_line_ending_is_a_file_that_ends_too_early() -> None:
    assert "ends inside its only line" in message(HEADER.encode(), ROWS_WELL_FORMED)


def test_a_file_of_no_known_layout_is_told_so() -> None:
    assert "2 lines of no known layout" in message(b"one\ntwo\nthree\n", ROWS_WELL_FORMED)


# covers_its_week


@pytest.mark.parametrize("week", [WEEK, LEGACY_WEEK], ids=["current", "legacy"])
@pytest.mark.parametrize("weeks", [-52, -1, 1, 52])
def test_another_weeks_file_is_told_with_the_days_it_holds(week: Week, weeks: int) -> None:
    other = week.shifted(weeks)
    data = valid_file(other)
    assert failing(data, week) == {COVERS_ITS_WEEK}
    text = message(data, COVERS_ITS_WEEK, week)
    assert f"readings of {other.first_day} … {other.last_day} (7 days)" in text
    assert f"expected the seven days {week.first_day} to {week.last_day}" in text


def test_a_missing_day_is_named() -> None:
    turnstiles = [
        replace(t, readings=tuple(r for r in t.readings if r.moment.date() != WEEK.days[3]))
        for t in regular_turnstiles(WEEK, 7)
    ]
    data = valid_file(WEEK, turnstiles)
    assert failing(data) == {COVERS_ITS_WEEK}
    assert f"none of {WEEK.days[3]}" in message(data, COVERS_ITS_WEEK)


def test_a_single_reading_of_the_eighth_day_is_one_too_many() -> None:
    (first, *others) = regular_turnstiles(WEEK)
    late = replace(first.readings[-1], moment=first.readings[-1].moment + timedelta(hours=4))
    data = valid_file(WEEK, [replace(first, readings=(*first.readings, late)), *others])
    assert failing(data) == {COVERS_ITS_WEEK}
    assert AFTER.first_day.isoformat() in message(data, COVERS_ITS_WEEK)


def test_a_day_that_no_calendar_has_is_a_malformed_row_and_not_a_day_of_the_year_1() -> None:
    data = with_line(valid_file(WEEK), 7, GOOD.replace(b"01/13/2024", b"02/30/2024"))
    assert "line 7: found" in message(data, ROWS_WELL_FORMED)
    assert "02/30/2024" in message(data, ROWS_WELL_FORMED)
    assert not any("0001-01-01" in str(verdict) for verdict in verdicts(data).values())


def test_a_file_without_readings_covers_nothing() -> None:
    assert "found no readings" in message(valid_file(WEEK, turnstiles=0), COVERS_ITS_WEEK)


# counters_plausible


STEPS = 400_000


@pytest.mark.parametrize(
    ("figure", "most", "name"),
    [
        ("duplicates", MOST_DUPLICATES[CURRENT] * 200_000, "duplicate readings"),
        ("backward", MOST_BACKWARD * 2 * 5_000, "registers that run backward"),
        ("resets", MOST_RESETS * STEPS, "resets"),
        ("jumps", MOST_JUMPS * STEPS, "jumps over 10,000"),
        ("silent", MOST_SILENT * 5_000, "silent turnstiles"),
    ],
)
def test_counters_are_odd_only_above_what_good_weeks_show(figure: str, most: float, name: str) -> None:
    def with_figure(value: int) -> Verdict:
        registers = Registers(turnstiles=5_000, steps=STEPS)
        setattr(registers, figure, value)
        return judged(sound_scan(registers=registers), COUNTERS_PLAUSIBLE)

    assert with_figure(int(most)).passed
    odd = with_figure(int(most) + 1)
    assert f"{int(most) + 1:,} {name}" in str(odd.finding)
    assert not odd.check.blocking
    assert odd.figures[name] == int(most) + 1


def test_legacy_files_may_repeat_readings_more_often() -> None:
    registers = Registers(turnstiles=5_000, steps=STEPS, duplicates=2_000)
    assert not judged(sound_scan(registers=registers), COUNTERS_PLAUSIBLE).passed
    legacy = sound_scan(30_000, LEGACY, registers)
    assert judged(legacy, COUNTERS_PLAUSIBLE, LEGACY_WEEK).passed


def test_a_few_oddities_are_allowed_in_the_smallest_of_files() -> None:
    few = Registers(turnstiles=6, steps=10, resets=ALWAYS_ALLOWED, jumps=ALWAYS_ALLOWED, silent=ALWAYS_ALLOWED)
    assert judged(sound_scan(10, registers=few), COUNTERS_PLAUSIBLE).passed
    one_more = replace(few, resets=ALWAYS_ALLOWED + 1)
    assert not judged(sound_scan(10, registers=one_more), COUNTERS_PLAUSIBLE).passed


def test_registers_that_keep_falling_to_zero_are_told_but_do_not_block() -> None:
    data = implausible(WEEK)
    assert failing(data) == {COUNTERS_PLAUSIBLE}
    assert re.search(r"found \d+ resets among \d+, \d+ jumps over 10,000 among \d+", message(data, COUNTERS_PLAUSIBLE))


# The sentences.


@given(st.binary(max_size=600), st.sampled_from([b"", valid_file(WEEK, 1), valid_file(LEGACY_WEEK, 1)]), st.booleans())
def test_whatever_a_file_holds_each_check_gives_one_printable_sentence_of_bounded_length(
    data: bytes, begin: bytes, legacy: bool
) -> None:
    week = LEGACY_WEEK if legacy else WEEK
    seen = verdicts(begin + data, week)
    assert len(seen) == 5
    for verdict in seen.values():
        if verdict.finding:
            assert str(verdict.finding).isprintable()
            assert len(str(verdict.finding)) < 800
        assert all(isinstance(value, int | float) or value.isprintable() for value in verdict.figures.values())


def test_one_example_is_enough_to_fail_and_the_sentence_quotes_it() -> None:
    seen = replace(sound_scan(), malformed=1, examples=[Malformed(77, "A002,R051", "not the fields")])
    verdict = judged(seen, ROWS_WELL_FORMED)
    assert "line 77: found 'A002,R051' (not the fields; 1 of 200,000 rows are malformed)" in str(verdict.finding)
