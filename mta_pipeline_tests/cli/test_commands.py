"""What `mta-pipeline` promises: exit codes, sentences, the table, the calendar."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO

import dagster as dg
import pytest

from mta_pipeline.cli.backfill import batches
from mta_pipeline.domain.weeks import Week
from mta_pipeline.orchestration.assets import FEED_POOL
from mta_pipeline.orchestration.checks import LAKE_OBJECT
from mta_pipeline.orchestration.dagster_edges import places_left
from mta_pipeline_tests.cli.terminal import MTA_PIPELINE, PROJECT, Terminal
from mta_pipeline_tests.orchestration.project import MIDDLE, NEWEST, OLDEST, ROWS, THREE_WEEKS

NEWEST_PUBLISHED = Week.newest_published(datetime.now(timezone.utc))


@contextmanager
def stalled(terminal: Terminal, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], BinaryIO]]:
    """A command that hangs at MIDDLE: its file is a pipe, to which nobody writes until it is closed."""
    path = terminal.feed / MIDDLE.file_name
    content = path.read_bytes()
    path.unlink()
    os.mkfifo(path)
    with terminal.start(*arguments) as command:
        try:
            with path.open("wb") as pipe:  # opens when the command has opened it to read
                until(lambda: terminal.object(OLDEST).exists() and terminal.object(NEWEST).exists())
                yield command, pipe
        finally:
            command.kill()
            path.unlink()
            path.write_bytes(content)


@contextmanager
def instance_of(terminal: Terminal) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance that the terminal's commands record into."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DAGSTER_HOME", terminal.settings["DAGSTER_HOME"])
        with dg.DagsterInstance.get() as instance:
            yield instance


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for something that nobody tells of."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def sample_feed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "feed"
    subprocess.run(
        [*MTA_PIPELINE, "sample", str(folder), "--weeks", "3", "--last", NEWEST.key, "--rows", str(ROWS)],
        cwd=PROJECT,
        check=True,
    )
    return folder


@pytest.fixture
def terminal(tmp_path: Path, sample_feed: Path) -> Terminal:
    """A shell with the sample feed's own settings in it, and a lake and an instance of its own."""
    (tmp_path / "home").mkdir()
    (tmp_path / "feed").mkdir()
    for file in sample_feed.glob("turnstile_*.txt"):
        (tmp_path / "feed" / file.name).write_bytes(file.read_bytes())
    lines = (sample_feed / "feed.env").read_text().splitlines()
    settings = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    settings["MTA_FEED_URL"] = (tmp_path / "feed").as_uri()
    settings |= {
        "MTA_LAKE_URL": str(tmp_path / "lake"),
        "MTA_STAGING_DIR": str(tmp_path / "staging"),
        "DAGSTER_HOME": str(tmp_path / "home"),
    }
    return Terminal(tmp_path, settings)


def test_a_backfill_of_good_weeks_ends_with_the_table_and_exit_code_0(terminal: Terminal) -> None:
    done = terminal.run("backfill", OLDEST.key, NEWEST.key)
    table = done.stdout.splitlines()
    assert table[0].split() == ["week", "file", "rows", "size", "compressed", "checks", "object"]
    for week, line in zip(THREE_WEEKS, table[1:4], strict=True):
        content = (terminal.feed / week.file_name).read_bytes()
        assert week.key in line
        assert week.file_name in line
        assert f"{content.count(10) - 1:,}" in line
        assert "7 passed" in line
        assert str(terminal.object(week)) in line
        assert gzip.decompress(terminal.object(week).read_bytes()) == content
    assert "3 of 3 weeks are good" in done.stdout


def test_a_failed_week_gets_one_line_that_says_why_and_exit_code_1(terminal: Terminal) -> None:
    bad = terminal.feed / MIDDLE.file_name
    bad.write_bytes(bad.read_bytes()[:-40])
    done = terminal.run("backfill", OLDEST.key, NEWEST.key, expect=1)
    reasons = [line for line in done.stderr.splitlines() if line.startswith("FAILED")]
    assert len(reasons) == 1
    assert f"Week {MIDDLE.key}: {bad.as_uri()}, line " in reasons[0]
    assert "the file ends inside this line" in reasons[0]
    assert "2 of 3 weeks are good" in done.stdout
    assert not terminal.object(MIDDLE).exists()
    assert terminal.object(NEWEST).exists()


def test_a_week_may_be_named_by_any_day_inside_it(terminal: Terminal) -> None:
    done = terminal.run("backfill", "2024-01-10")
    assert MIDDLE.key in done.stdout
    assert terminal.object(MIDDLE).exists()


def test_only_missing_leaves_weeks_alone_that_are_in_the_lake(terminal: Terminal) -> None:
    terminal.run("backfill", MIDDLE.key)
    before = terminal.object(MIDDLE).stat().st_mtime_ns
    done = terminal.run("backfill", OLDEST.key, NEWEST.key, "--only-missing")
    assert "1 of 3 weeks are in the lake already" in done.stderr
    assert MIDDLE.key not in done.stdout
    assert "2 of 2 weeks are good" in done.stdout
    assert terminal.object(MIDDLE).stat().st_mtime_ns == before
    again = terminal.run("backfill", OLDEST.key, NEWEST.key, "--only-missing")
    assert "3 of 3 weeks are in the lake already" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([NEWEST_PUBLISHED.shifted(1).key], "a week whose file is due on Saturday"),
        ([NEWEST.key, OLDEST.key], "a week before FIRST"),
        (["2010-05-07"], "a week before the first one"),
        (["2024-13-01"], "'2024-13-01'; expected a date as YYYY-MM-DD"),
        (["yesterday"], "'yesterday'; expected a date as YYYY-MM-DD"),
        ([MIDDLE.key, "--weeks-per-run", "0"], "0 is not in the range x>=1"),
    ],
    ids=["future", "last-before-first", "before-the-first", "no-such-date", "no-date", "empty-runs"],
)
def test_a_wrong_argument_gets_a_sentence_and_exit_code_2(
    terminal: Terminal, arguments: list[str], sentence: str
) -> None:
    done = terminal.run("backfill", *arguments, expect=2, settings={"MTA_FIRST_WEEK": ""})
    assert sentence in done.stderr


def test_a_wrong_setting_gets_a_sentence_and_exit_code_2(terminal: Terminal) -> None:
    done = terminal.run("weeks", expect=2, settings={"MTA_LAKE_URL": "s3://bucket"})
    assert "MTA_LAKE_URL: found 's3://bucket'; expected a folder, or gs://bucket" in done.stderr


def test_output_that_is_no_terminal_is_plain(terminal: Terminal) -> None:
    done = terminal.run("backfill", OLDEST.key, NEWEST.key)
    assert "\x1b" not in done.stdout + done.stderr
    assert "backfill: 3 weeks done, 0 failed, 0 to go" in done.stderr


def test_runs_may_be_smaller_than_the_range(terminal: Terminal) -> None:
    done = terminal.run("backfill", OLDEST.key, NEWEST.key, "--weeks-per-run", "2")
    assert "3 of 3 weeks are good" in done.stdout


def test_batches_are_unbroken_ranges() -> None:
    weeks = [OLDEST.shifted(n) for n in (0, 1, 2, 3, 5, 6, 9)]
    assert [[week.key for week in batch] for batch in batches(weeks, 3)] == [
        [weeks[0].key, weeks[1].key, weeks[2].key],
        [weeks[3].key],
        [weeks[4].key, weeks[5].key],
        [weeks[6].key],
    ]


def test_the_calendar_tells_weeks_in_the_lake_from_failed_and_missing_ones(terminal: Terminal) -> None:
    (terminal.feed / MIDDLE.file_name).unlink()
    terminal.run("backfill", OLDEST.key, MIDDLE.key, expect=1)
    window = {"MTA_FIRST_WEEK": OLDEST.key, "MTA_LAST_WEEK": NEWEST.key}
    assert terminal.states() == {OLDEST.key: "in_lake", MIDDLE.key: "failed", NEWEST.key: "missing"}
    shown = terminal.run("weeks", settings=window).stdout
    assert "1 in the lake" in shown
    assert "1 failed" in shown
    assert "1 missing" in shown
    years = {line[:4]: line[6:] for line in shown.splitlines() if line[:4].isdigit()}
    assert years == {"2023": " " * 51 + "■", "2024": "x·"}
    assert f"x Week {MIDDLE.key}: " in shown


def test_a_failure_over_an_older_object_is_marked_as_such(terminal: Terminal) -> None:
    terminal.run("backfill", MIDDLE.key)
    (terminal.feed / MIDDLE.file_name).write_bytes(b"<html>out of order</html>\n")
    terminal.run("backfill", MIDDLE.key, expect=1)
    only_middle = {"MTA_FIRST_WEEK": MIDDLE.key, "MTA_LAST_WEEK": MIDDLE.key}
    [week] = json.loads(terminal.run("weeks", "--json", settings=only_middle).stdout)["weeks"]
    assert week["state"] == "failed"
    assert week["in_lake"]
    assert "an HTML page" in week["failure"]


def test_a_killed_backfill_keeps_what_it_finished_and_the_next_one_does_the_rest(terminal: Terminal) -> None:
    with stalled(terminal, "backfill", OLDEST.key, NEWEST.key) as (command, _):
        with instance_of(terminal) as instance:
            until(lambda: {OLDEST.key, NEWEST.key} <= instance.get_materialized_partitions(LAKE_OBJECT))
        command.send_signal(signal.SIGKILL)
        assert command.wait() == -signal.SIGKILL
    assert sorted((terminal.folder / "lake").rglob("*.gz")) == [terminal.object(OLDEST), terminal.object(NEWEST)]
    for week in (OLDEST, NEWEST):
        assert gzip.decompress(terminal.object(week).read_bytes()) == (terminal.feed / week.file_name).read_bytes()
    done = terminal.run("backfill", OLDEST.key, NEWEST.key, "--only-missing")
    assert "2 of 3 weeks are in the lake already" in done.stderr
    assert "1 of 1 weeks are good" in done.stdout
    assert terminal.states() == {week.key: "in_lake" for week in THREE_WEEKS}
    assert not list((terminal.folder / "staging").rglob("*.part"))
    with instance_of(terminal) as instance:
        statuses = sorted(run.status.value for run in instance.get_runs())
        assert statuses == ["FAILURE", "SUCCESS"], "the killed run counts as running no longer"


def test_a_backfill_waits_for_its_place_in_the_pool_and_says_so_and_takes_that_of_a_killed_one(
    terminal: Terminal,
) -> None:
    with instance_of(terminal) as instance:
        instance.event_log_storage.set_concurrency_slots(FEED_POOL, 1)
    with (
        stalled(terminal, "backfill", OLDEST.key, NEWEST.key) as (first, _),
        terminal.start("backfill", OLDEST.key) as second,
    ):
        assert second.stderr
        assert f"waiting for another run to end: the pool {FEED_POOL} is full" in second.stderr.readline()
        assert second.poll() is None
        first.kill()
        output, _ = second.communicate()
    assert second.returncode == 0
    assert "1 of 1 weeks are good" in output
    with instance_of(terminal) as instance:
        assert places_left(instance, FEED_POOL)


def test_the_pool_of_the_feed_has_a_limit_by_default(terminal: Terminal) -> None:
    terminal.run("backfill", OLDEST.key)
    with instance_of(terminal) as instance:
        pool = instance.event_log_storage.get_concurrency_info(FEED_POOL)
    assert (pool.slot_count, pool.using_default_limit, pool.claimed_slots) == (2, True, [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_an_interrupted_backfill_ends_with_the_table_and_says_how_to_go_on(
    terminal: Terminal, number: signal.Signals
) -> None:
    with stalled(terminal, "backfill", OLDEST.key, NEWEST.key) as (command, pipe):
        command.send_signal(number)
        pipe.close()  # the week under way ends before the command does
        output, errors = command.communicate()
    assert command.returncode == 1
    assert "weeks are good" in output
    assert "FAILED" not in errors
    assert "weeks to go; the same command with --only-missing goes on" in errors


def test_a_sample_feed_comes_with_the_settings_to_use_it(tmp_path: Path) -> None:
    folder = tmp_path / "a feed"
    command = " ".join(MTA_PIPELINE)
    script = (
        f'{command} sample "{folder}" --weeks 2 --last {NEWEST.key} --rows 300 && '
        f'set -a && . "{folder}/feed.env" && set +a && {command} backfill "$MTA_FIRST_WEEK" {NEWEST.key}'
    )
    (tmp_path / "home").mkdir()
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=PROJECT,
        env={
            **os.environ,
            "DAGSTER_HOME": str(tmp_path / "home"),
            "MTA_LAKE_URL": str(tmp_path / "lake"),
            "MTA_STAGING_DIR": str(tmp_path / "staging"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "2 of 2 weeks are good" in done.stdout
