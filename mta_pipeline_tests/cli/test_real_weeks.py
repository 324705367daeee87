"""Real weeks, from an HTTP server on this machine through `mta-pipeline backfill` into the lake."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from mta_pipeline.domain.weeks import Week
from mta_pipeline_tests.cli.terminal import Terminal
from mta_pipeline_tests.feed_server import FeedServer, whole

MAY = Week.parse("2023-05-27")  # turnstile_230603
FIRST, MIDDLE, LAST = (Week.parse(key) for key in ("2023-12-30", "2024-01-06", "2024-01-13"))  # 240106 to 240120

RealFile = Callable[[str], Path]


@pytest.fixture
def terminal(tmp_path: Path, feed_server: FeedServer, real_file: RealFile) -> Terminal:
    """A shell over a server that has the four weeks, at the MTA's own scale."""
    (tmp_path / "home").mkdir()
    for week in (MAY, FIRST, MIDDLE, LAST):
        feed_server.serve(week, whole(real_file(f"turnstile/{week.file_name}").read_bytes()))
    settings = {
        "MTA_FEED_URL": feed_server.url,
        "MTA_LAKE_URL": str(tmp_path / "lake"),
        "MTA_STAGING_DIR": str(tmp_path / "staging"),
        "DAGSTER_HOME": str(tmp_path / "home"),
    }
    return Terminal(tmp_path, settings)


def test_real_weeks_are_stored_as_exactly_the_served_bytes(terminal: Terminal, real_file: RealFile) -> None:
    assert "1 of 1 weeks are good" in terminal.run("backfill", "2023-06-02").stdout
    table = terminal.run("backfill", FIRST.key, LAST.key).stdout
    assert "3 of 3 weeks are good" in table
    assert table.count("7 passed") == 3
    for week in (MAY, FIRST, MIDDLE, LAST):
        served = real_file(f"turnstile/{week.file_name}").read_bytes()
        assert gzip.decompress(terminal.object(week).read_bytes()) == served


def test_a_truncated_file_is_red_alone_and_a_second_run_with_the_good_one_heals_it(
    terminal: Terminal, feed_server: FeedServer, real_file: RealFile
) -> None:
    feed_server.serve(MIDDLE, whole(real_file("damaged/turnstile_170617.truncated.txt").read_bytes()))
    done = terminal.run("backfill", FIRST.key, LAST.key, expect=1)
    assert "2 of 3 weeks are good" in done.stdout
    assert f"FAILED  Week {MIDDLE.key}: " in done.stderr
    assert "the file ends inside this line" in done.stderr
    assert terminal.states(FIRST, LAST) == {FIRST.key: "in_lake", MIDDLE.key: "failed", LAST.key: "in_lake"}
    before = {week: terminal.object(week).stat().st_mtime_ns for week in (FIRST, LAST)}
    good = real_file(f"turnstile/{MIDDLE.file_name}").read_bytes()
    feed_server.serve(MIDDLE, whole(good))
    assert "1 of 1 weeks are good" in terminal.run("backfill", FIRST.key, LAST.key, "--only-missing").stdout
    assert gzip.decompress(terminal.object(MIDDLE).read_bytes()) == good
    assert terminal.states(FIRST, LAST) == {week.key: "in_lake" for week in (FIRST, MIDDLE, LAST)}
    assert {week: terminal.object(week).stat().st_mtime_ns for week in (FIRST, LAST)} == before
