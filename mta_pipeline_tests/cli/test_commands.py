"""What `mta-pipeline` promises: exit codes, sentences, the table, the calendar."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO

import dagster as dg
import pytest
import requests
from pytest_httpserver import HTTPServer

from mta_pipeline.cli.backfill import batches
from mta_pipeline.cli.calendar import LOOKERS
from mta_pipeline.cli.home import ensure_dagster_home
from mta_pipeline.domain.weeks import Week
from mta_pipeline.orchestration.assets import FEED_POOL
from mta_pipeline.orchestration.checks import LAKE_OBJECT
from mta_pipeline.orchestration.dagster_edges import places_left
from mta_pipeline_tests.alert_sinks import SECRET, Webhook
from mta_pipeline_tests.cli.terminal import MTA_PIPELINE, PROJECT, Terminal
from mta_pipeline_tests.feed_server import Answer, FeedServer, stalling, status, whole
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


def test_verbose_logs_stages_on_standard_error_and_quiet_does_not(terminal: Terminal) -> None:
    loud = terminal.run("backfill", MIDDLE.key, "--verbose")
    assert f" INFO stage=publish week={MIDDLE} at=end " in loud.stderr
    assert "stage=" not in loud.stdout
    quiet = terminal.run("backfill", MIDDLE.key)
    assert "stage=" not in quiet.stderr


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


def test_the_calendar_asks_no_more_at_a_time_than_googles_client_keeps_connections() -> None:
    assert LOOKERS <= requests.adapters.DEFAULT_POOLSIZE


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
@pytest.mark.parametrize("where", ["server", "folder"])
def test_an_interrupted_backfill_ends_within_seconds_and_says_how_to_go_on(
    terminal: Terminal, feed_server: FeedServer, where: str, number: signal.Signals
) -> None:
    """The feed stalls, and would be waited for for a minute, five times."""
    with ExitStack() as stack:
        if where == "server":
            reached = threading.Event()
            command = stack.enter_context(over_http(terminal, feed_server, stalling(file_of(terminal), 9_000, reached)))
            assert reached.wait(60)
        else:
            command, _ = stack.enter_context(stalled(terminal, "backfill", OLDEST.key, NEWEST.key))
        instance = stack.enter_context(instance_of(terminal))
        until(lambda: {OLDEST.key, NEWEST.key} <= instance.get_materialized_partitions(LAKE_OBJECT))
        command.send_signal(number)
        begin = time.monotonic()
        output, errors = command.communicate(timeout=60)
        assert time.monotonic() - begin < 10
    assert command.returncode == 1
    assert "weeks are good" in output
    assert "FAILED" not in errors
    assert "Traceback" not in errors
    assert "1 weeks to go; the same command with --only-missing goes on" in errors
    assert not terminal.object(MIDDLE).exists()
    locks = [
        *(terminal.folder / "staging" / ".locks").iterdir(),
        *(terminal.folder / "home" / "command_line_runs").iterdir(),
    ]
    assert locks == []
    assert statuses(terminal) in (["CANCELED"], ["FAILURE"]), "nothing counts as running"
    # Once more, with what is there.
    feed_server.serve(MIDDLE, whole(file_of(terminal)))
    done = terminal.run("backfill", OLDEST.key, NEWEST.key, "--only-missing")
    assert "1 of 1 weeks are good" in done.stdout
    assert gzip.decompress(terminal.object(MIDDLE).read_bytes()) == file_of(terminal)
    assert terminal.states() == {week.key: "in_lake" for week in THREE_WEEKS}
    assert not list((terminal.folder / "staging").rglob("*.part*"))


def test_a_week_that_was_published_and_not_recorded_when_a_backfill_was_interrupted_is_not_skipped(
    terminal: Terminal, feed_server: FeedServer
) -> None:
    reached = threading.Event()
    with over_http(terminal, feed_server, stalling(file_of(terminal), 9_000, reached)) as command:
        assert reached.wait(60)
        command.send_signal(signal.SIGINT)
        command.communicate(timeout=60)
    # As if the interruption had come between the two.
    terminal.object(MIDDLE).parent.mkdir(parents=True, exist_ok=True)
    terminal.object(MIDDLE).write_bytes(gzip.compress(file_of(terminal)))
    feed_server.serve(MIDDLE, whole(file_of(terminal)))
    terminal.run("backfill", OLDEST.key, NEWEST.key, "--only-missing")
    with instance_of(terminal) as instance:
        assert instance.get_materialized_partitions(LAKE_OBJECT) == {week.key for week in THREE_WEEKS}


def file_of(terminal: Terminal) -> bytes:
    return (terminal.feed / MIDDLE.file_name).read_bytes()


def statuses(terminal: Terminal) -> list[str]:
    with instance_of(terminal) as instance:
        return sorted(run.status.value for run in instance.get_runs())


@contextmanager
def over_http(terminal: Terminal, server: FeedServer, answer: Answer) -> Iterator[subprocess.Popen[str]]:
    """A backfill of the three weeks from a server that gives `answer` for MIDDLE."""
    for week in (OLDEST, NEWEST):
        server.serve(week, whole((terminal.feed / week.file_name).read_bytes()))
    server.serve(MIDDLE, answer)
    terminal.settings |= {"MTA_FEED_URL": server.url, "NO_PROXY": "*"}
    with terminal.start("backfill", OLDEST.key, NEWEST.key) as command:
        try:
            yield command
        finally:
            command.kill()


WITH_A_BUG = """
import sys
from pathlib import Path
from mta_pipeline.cli import main
from mta_pipeline.domain import ingest

def divide(raw, compressed, compress=ingest.compress):
    if sys.argv[1] in raw.name:
        1 / 0
    compress(raw, compressed)

ingest.compress = divide
main.main(sys.argv[2:])
"""


def test_a_record_that_cannot_be_written_is_a_sentence_and_what_it_left_is_brought_by_only_missing(
    terminal: Terminal,
) -> None:
    terminal.run("backfill", OLDEST.key, NEWEST.key)
    full = """
import dagster, sys
from sqlalchemy.exc import OperationalError
from mta_pipeline.cli.main import main
from mta_pipeline.orchestration.event_log import KeptSqliteEventLogStorage as Storage

store, count = Storage.store_event, 0
def store_until_full(self, event):
    global count
    count += 1
    if count > 4:
        raise OperationalError("INSERT", None, Exception("database or disk is full"))
    store(self, event)
Storage.store_event = store_until_full
sys.argv = ["mta-pipeline", "backfill", *sys.argv[1:]]
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", full, OLDEST.key, NEWEST.key],
        env={**os.environ, **terminal.settings}, cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert "found OperationalError (database or disk is full)" in line
    assert "Traceback" not in done.stderr
    healed = terminal.run("backfill", OLDEST.key, NEWEST.key, "--only-missing")
    assert "weeks are good" in healed.stdout, "the run that broke off had planned some, and left them"
    assert MIDDLE.key not in terminal.run("backfill", OLDEST.key, NEWEST.key, "--only-missing").stdout


def test_a_bug_is_told_with_its_week_and_hides_no_other_weeks_failure(terminal: Terminal) -> None:
    (terminal.feed / OLDEST.file_name).unlink()
    done = subprocess.run(
        [sys.executable, "-c", WITH_A_BUG, MIDDLE.file_name, "backfill", OLDEST.key, NEWEST.key],
        cwd=PROJECT,
        env={**os.environ, **terminal.settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "1 of 3 weeks are good" in done.stdout
    first, second = (line for line in done.stderr.splitlines() if line.startswith("FAILED"))
    assert f"Week {OLDEST.key}: " in first
    assert "no such file" in first
    assert f"Week {MIDDLE.key}: the pipeline itself: " in second
    assert "ZeroDivisionError: division by zero" in second


IN_THE_STEP = """
import sys
from mta_pipeline.cli import main
from mta_pipeline.orchestration.resources import FeedResource
FeedResource.feed = lambda self: 1 / 0
main.main(sys.argv[1:])
"""


def test_a_bug_before_the_first_week_is_told_with_its_innermost_reason(terminal: Terminal) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_THE_STEP, "backfill", OLDEST.key],
        cwd=PROJECT,
        env={**os.environ, **terminal.settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("FAILED")]
    assert line.startswith(f"FAILED  Week {OLDEST.key}: run ")
    assert line.endswith("ended without a word on it: ZeroDivisionError: division by zero")


def test_a_run_that_breaks_off_before_its_first_week_says_the_reason(terminal: Terminal) -> None:
    no_credentials = {"MTA_LAKE_URL": "gs://bucket", "GOOGLE_APPLICATION_CREDENTIALS": "/nowhere/key.json"}
    done = terminal.run("backfill", OLDEST.key, expect=1, settings=no_credentials)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("FAILED")]
    assert "found no Google credentials" in line
    assert "gcloud auth application-default login" in line


def test_neither_password_nor_token_is_shown_or_written_anywhere(terminal: Terminal, feed_server: FeedServer) -> None:
    query = "?token=top-secret&X-Amz-Signature=top-secret"
    feed_server.serve_path(f"/{OLDEST.file_name}{query}", whole((terminal.feed / OLDEST.file_name).read_bytes()))
    feed_server.serve_path(f"/{MIDDLE.file_name}{query}", status(503, {"Retry-After": "0"}))
    url = feed_server.url.replace("//", "//somebody:top-secret@") + query
    done = terminal.run("backfill", OLDEST.key, NEWEST.key, expect=1, settings={"MTA_FEED_URL": url, "NO_PROXY": "*"})
    assert "1 of 3 weeks are good" in done.stdout
    assert f"{MIDDLE.file_name}?***: found 503" in done.stderr
    assert "top-secret" not in done.stdout + done.stderr
    assert "top-secret" not in terminal.run("weeks").stdout
    files = [path for path in terminal.folder.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert not [path for path in files if b"top-secret" in path.read_bytes()]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--weeks", "100000000000"], "more weeks than were published up to"),
        (["--weeks", "3", "--last", "2010-05-15"], "expected at most 2. Ask for fewer"),
        (["--last", "0001-01-06"], "expected at most 0"),
        (["--last", "9999-12-25"], "a week that is not published yet"),
        (["--rows", "1"], "1 is not in the range"),
    ],
    ids=["ages", "before the first", "the first year", "the last year", "too few rows"],
)
def test_a_sample_that_cannot_be_is_refused_with_a_sentence_and_exit_code_2(
    terminal: Terminal, arguments: list[str], sentence: str
) -> None:
    folder = terminal.folder / "another"
    assert sentence in terminal.run("sample", str(folder), *arguments, expect=2).stderr
    assert not folder.exists()


def test_a_sample_that_cannot_be_written_is_told_with_a_sentence(terminal: Terminal, unwritable: Path) -> None:
    done = terminal.run("sample", str(unwritable), "--weeks", "1", expect=1)
    assert f"Error: {unwritable}" in done.stderr
    assert "PermissionError" in done.stderr
    assert "expected a folder that can be written" in done.stderr


def test_a_home_that_cannot_be_written_is_told_with_its_setting(terminal: Terminal, unwritable: Path) -> None:
    done = terminal.run("weeks", expect=2, settings={"DAGSTER_HOME": str(unwritable)})
    assert str(unwritable) in done.stderr
    assert "point DAGSTER_HOME elsewhere" in done.stderr


def test_the_settings_of_dagster_are_written_when_they_differ_whole_and_not_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setattr("mta_pipeline.cli.home.PROJECT", tmp_path)
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    theirs = ensure_dagster_home() / "dagster.yaml"
    first = theirs.stat()
    assert ensure_again(monkeypatch) == theirs
    assert (theirs.stat().st_ino, theirs.stat().st_mtime_ns) == (first.st_ino, first.st_mtime_ns)
    with theirs.open() as reader:
        (tmp_path / "dagster.yaml").write_text("nux: {enabled: false}\n")
        ensure_again(monkeypatch)
        assert reader.read() == "telemetry: {enabled: false}\n", "who has begun to read reads on in what he began"
    assert theirs.read_text() == "nux: {enabled: false}\n"


def ensure_again(environment: pytest.MonkeyPatch) -> Path:
    environment.delenv("DAGSTER_HOME")
    return ensure_dagster_home() / "dagster.yaml"


def test_a_test_message_goes_to_each_target_and_each_gets_a_line(terminal: Terminal, httpserver: HTTPServer) -> None:
    webhook = Webhook(httpserver)
    urls = f"{webhook.url}, slak://{SECRET}/x"
    done = terminal.run("alert-test", expect=1, settings={"MTA_ALERT_URLS": urls, "MTA_UI_URL": "https://ui.example"})
    good, bad = done.stdout.splitlines()
    assert good == "sent    alert target 1 (json)"
    assert bad.startswith("FAILED  alert target 2 (slak): found an address that Apprise cannot use; expected one as ")
    assert SECRET not in done.stdout + done.stderr
    assert [message["message"] for message in webhook.messages] == ["Alerts reach you. The UI is at https://ui.example"]
    terminal.run("alert-test", settings={"MTA_ALERT_URLS": webhook.url})


def test_a_test_message_without_targets_says_what_to_set(terminal: Terminal) -> None:
    done = terminal.run("alert-test", expect=2, settings={"MTA_ALERT_URLS": ""})
    assert "MTA_ALERT_URLS: found nothing; expected one address or several" in done.stderr


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
