"""What `mta-pipeline ridership` promises: the tables of all weeks in the lake, made once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mta_pipeline.domain.compression import compress
from mta_pipeline.domain.sample import write_feed
from mta_pipeline.domain.tables import READINGS
from mta_pipeline.domain.weeks import Week
from mta_pipeline_tests.cli.terminal import Terminal

LEGACY_WEEKS = (Week.parse("2014-09-27"), Week.parse("2014-10-04"))
ROWS = 300


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """A shell with a feed of two legacy weeks, which are in the lake already."""
    list(write_feed(tmp_path / "feed", LEGACY_WEEKS, ROWS))
    (tmp_path / "home").mkdir()
    settings = {
        "MTA_FEED_URL": (tmp_path / "feed").as_uri(),
        "MTA_BOOTHS_URL": (tmp_path / "feed" / "Remote-Booth-Station.csv").as_uri(),
        "MTA_FEED_SCALE": "0.0012",
        "MTA_FIRST_WEEK": LEGACY_WEEKS[0].key,
        "MTA_LAST_WEEK": LEGACY_WEEKS[1].key,
        "MTA_LAKE_URL": str(tmp_path / "lake"),
        "MTA_STAGING_DIR": str(tmp_path / "staging"),
        "DAGSTER_HOME": str(tmp_path / "home"),
    }
    terminal = Terminal(tmp_path, settings)
    terminal.object(LEGACY_WEEKS[0]).parent.mkdir(parents=True)
    for week in LEGACY_WEEKS:
        compress(terminal.feed / week.file_name, terminal.object(week))
    return terminal


def readings(terminal: Terminal, week: Week) -> Path:
    return terminal.folder / "lake" / READINGS.object_name(week)


def test_all_weeks_of_the_lake_become_tables_once_and_weeks_that_fail_hold_nothing_back(terminal: Terminal) -> None:
    bad, good = LEGACY_WEEKS
    whole = terminal.object(bad).read_bytes()
    terminal.object(bad).write_bytes(whole[:-100])
    done = terminal.run("ridership", expect=1, settings={"MTA_BOOTHS_URL": "file:///no/such/list.xls"})
    assert "readings: 2 weeks to make it of, 2 to do" in done.stderr
    assert f"FAILED  Week {bad.key}: {terminal.object(bad)}: found" in done.stderr
    assert f"{good.key}  readings" in done.stdout
    assert not readings(terminal, bad).exists()
    assert readings(terminal, good).exists()
    # A list of booths that cannot be had is no failure.
    assert "WARNING file:///no/such/list.xls: found no such file" in done.stderr
    assert "5 passed, 1 warned" in done.stdout

    terminal.object(bad).write_bytes(whole)
    done = terminal.run("ridership")
    assert "fetching the list of booths" in done.stderr
    assert "readings: 2 weeks to make it of, 1 to do" in done.stderr
    assert "6 passed" in done.stdout
    assert readings(terminal, bad).exists()


def test_stages_are_logged_where_they_are_asked_for(terminal: Terminal) -> None:
    assert "stage=" not in terminal.run("ridership").stderr
    shown = terminal.run("ridership", "--again", "-v").stderr
    for stage in ("readings", "ridership"):
        assert f"stage={stage} week={LEGACY_WEEKS[0]} at=end" in shown


def test_a_lake_with_nothing_in_it_says_what_fills_it(terminal: Terminal) -> None:
    shutil.rmtree(terminal.folder / "lake")
    done = terminal.run("ridership")
    assert "no lake_object of these weeks: `mta-pipeline backfill` brings what is missing" in done.stderr
