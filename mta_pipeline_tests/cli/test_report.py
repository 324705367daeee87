"""What `mta-pipeline report` promises: a whole page and its path, or a sentence and no page."""

from __future__ import annotations

from pathlib import Path

import pytest

from mta_pipeline.domain.weeks import Week
from mta_pipeline_tests.cli.terminal import Terminal
from mta_pipeline_tests.lake_tables import write_week

WEEKS = [Week.parse("2024-01-06"), Week.parse("2024-01-13")]


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """A shell with a lake of two weeks' tables, without their files."""
    (tmp_path / "home").mkdir()
    for week in WEEKS:
        write_week(tmp_path / "lake", week)
    settings = {"MTA_LAST_WEEK": WEEKS[1].key, "MTA_LAKE_URL": str(tmp_path / "lake")}
    return Terminal(tmp_path, {**settings, "DAGSTER_HOME": str(tmp_path / "home")})


def test_it_prints_the_path_of_the_page(terminal: Terminal) -> None:
    path = terminal.folder / "new" / "page.html"
    done = terminal.run("report", WEEKS[0].key, "latest", "--output", str(path))
    assert done.stdout.splitlines() == [str(path)]
    page = path.read_text()
    assert "6 January 2024 – 19 January 2024" in page
    assert "GRD CNTRL-42 ST" in page
    assert "0 in the lake, 2 missing" in page


def test_without_ridership_there_is_a_sentence_and_no_page(terminal: Terminal) -> None:
    path = terminal.folder / "page.html"
    path.write_text("an older one")
    done = terminal.run("report", "2023-01-07", "--output", str(path), expect=1)
    assert "found no week with ridership; expected at least one to report of. mta-pipeline weeks shows" in done.stderr
    assert path.read_text() == "an older one"


def test_a_wrong_argument_is_one_as_for_a_backfill(terminal: Terminal) -> None:
    assert "Swap the two." in terminal.run("report", WEEKS[1].key, WEEKS[0].key, expect=2).stderr
    assert "MTA_LAST_WEEK" in terminal.run("report", "2024-02-10", expect=2).stderr


def test_a_place_that_cannot_be_written_is_a_sentence(terminal: Terminal) -> None:
    (terminal.folder / "file").touch()
    done = terminal.run("report", "latest", "--output", str(terminal.folder / "file" / "page.html"), expect=1)
    assert "point --output elsewhere" in done.stderr
