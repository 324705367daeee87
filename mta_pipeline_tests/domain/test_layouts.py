"""The layouts, held against files made after the MTA's description."""

from __future__ import annotations

from datetime import date

import pytest

from mta_pipeline.domain.layouts import CURRENT, LEGACY, Layout, layout_of
from mta_pipeline.domain.weeks import FIRST_PUBLISHED, Week
from mta_pipeline_tests.turnstile_files import HEADER, valid_file
from mta_pipeline_tests.workbench import LEGACY_WEEK, WEEK


def test_the_file_of_141018_is_the_first_of_the_current_layout() -> None:
    first = Week.of_file("turnstile_141018.txt")
    assert first is not None
    assert layout_of(first) is CURRENT
    assert layout_of(first.shifted(-1)) is LEGACY
    assert layout_of(FIRST_PUBLISHED) is LEGACY


def test_the_columns_are_those_of_the_published_header() -> None:
    assert CURRENT.header == HEADER
    assert [column.name for column in CURRENT.columns] == HEADER.split(",")
    assert LEGACY.header is None
    assert [column.name for column in LEGACY.columns] == [
        "C/A",
        "UNIT",
        "SCP",
        "DATE",
        "TIME",
        "DESC",
        "ENTRIES",
        "EXITS",
    ]


@pytest.mark.parametrize("layout", [CURRENT, LEGACY], ids=lambda layout: layout.name)
def test_every_column_says_what_it_means(layout: Layout) -> None:
    assert all(len(column.description) > 20 and column.type for column in layout.columns)


@pytest.mark.parametrize(("layout", "week"), [(CURRENT, WEEK), (LEGACY, LEGACY_WEEK)], ids=["current", "legacy"])
def test_widths_and_separators_are_those_of_published_lines(layout: Layout, week: Week) -> None:
    lines = valid_file(week).decode().splitlines()
    assert layout.padded_width == len(lines[0])
    fields = lines[-1].rstrip().split(",")
    day, counter = fields[len(layout.keys)], fields[-1]
    assert len(day) == layout.date_width
    assert day[2] == day[5] == layout.date_separator
    assert len(day) - 6 == layout.year_digits
    assert len(counter) == layout.counter_digits


def test_a_message_about_a_line_says_how_often_readings_repeat() -> None:
    assert CURRENT.expected == HEADER
    assert "up to 8 times" in LEGACY.expected


@pytest.mark.parametrize(
    ("layout", "rows"),
    [(CURRENT, 194_000), (CURRENT, 254_000), (LEGACY, 4_500 * 6)],
    ids=["current in 2015", "current in 2024", "legacy"],
)
def test_the_sizes_of_whole_published_files_are_usual(layout: Layout, rows: int) -> None:
    assert rows in layout.usual_rows
    assert rows // 2 not in layout.usual_rows


def test_the_first_release_of_the_legacy_layout_is_the_very_first_file() -> None:
    assert LEGACY.first_release == date(2010, 5, 5)
