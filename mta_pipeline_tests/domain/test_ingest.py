"""One week's way into the lake, and what each kind of bad input gets: a sentence, and nothing else changed."""

from __future__ import annotations

import gzip
import hashlib
import logging
import random
import re
import string
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import google_crc32c
import pytest

from mta_pipeline.domain import ingest as ingest_module
from mta_pipeline.domain import staging as staging_module
from mta_pipeline.domain.audit import (
    CHECKS,
    COUNTERS_PLAUSIBLE,
    COVERS_ITS_WEEK,
    FILE_FETCHED,
    HEADER_MATCHES,
    OBJECT_INTACT,
    ROW_COUNT_IN_RANGE,
    ROWS_WELL_FORMED,
    Check,
)
from mta_pipeline.domain.compression import compress
from mta_pipeline.domain.errors import Finding, LakeError, StagingError, Stopped
from mta_pipeline.domain.feed import MOST_BYTES, Patience
from mta_pipeline.domain.ingest import Outcome
from mta_pipeline.domain.lake import Change, LocalStore, Looked, Published
from mta_pipeline.domain.origin import path_of
from mta_pipeline.domain.staging import Staging
from mta_pipeline.domain.weeks import Week
from mta_pipeline_tests.child import TRAPS, running, wait_until_here
from mta_pipeline_tests.feed_server import (
    Answer,
    Exchange,
    chunked,
    closed_port,
    cut,
    endless,
    ranged,
    redirect,
    silent,
    stalling,
    status,
    whole,
)
from mta_pipeline_tests.turnstile_files import (
    SCALE,
    implausible,
    line_of,
    refitted,
    regular_turnstiles,
    spreadsheet_copy,
    valid_file,
    with_line,
)
from mta_pipeline_tests.workbench import (
    AFTER,
    BEFORE,
    IMPATIENT,
    LEGACY_WEEK,
    WEEK,
    Workbench,
    by_week,
    finding_of,
)

ALL = (BEFORE, WEEK, AFTER)
SECRET = "top-secret"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is on this machine, whatever proxies there are."""
    monkeypatch.setenv("NO_PROXY", "*")


# A good week.


@pytest.mark.parametrize("week", [WEEK, LEGACY_WEEK], ids=["current", "legacy"])
def test_a_good_week_comes_to_the_lake_byte_for_byte_and_passes_every_check(bench: Workbench, week: Week) -> None:
    bench.offer(week)
    raw = bench.good[week]
    outcome = bench.ingest().week(week)
    assert outcome.failures == []
    assert tuple(outcome.verdicts) == CHECKS
    assert all(verdict.passed for verdict in outcome.verdicts.values())
    assert bench.raw_in_lake(week) == raw
    assert outcome.raw is not None
    assert outcome.raw.path == bench.staging / week.file_name
    assert outcome.raw.path.read_bytes() == raw
    assert outcome.raw.sha256 == hashlib.sha256(raw).hexdigest()
    assert outcome.raw.source == f"{bench.server.url}/{week.file_name}"
    assert outcome.stored is not None
    assert outcome.stored.published.uri == str(bench.object_of(week))
    assert outcome.stored.published.change is Change.CREATED
    assert bench.half_done() == []


def test_figures_of_the_object_are_those_of_the_bytes(bench: Workbench) -> None:
    bench.offer(WEEK)
    figures = bench.ingest().week(WEEK).verdicts[OBJECT_INTACT].figures
    stored = bench.object_of(WEEK).read_bytes()
    assert figures["bytes"] == len(bench.good[WEEK])
    assert figures["compressed bytes"] == len(stored)
    assert figures["crc32c"] == f"{google_crc32c.value(stored):08x}"
    assert figures["sha256"] == hashlib.sha256(bench.good[WEEK]).hexdigest()
    assert figures["rows"] == 252
    assert figures["change"] == "created"


def test_the_same_file_again_leaves_the_object_untouched(bench: Workbench) -> None:
    bench.offer(WEEK)
    bench.ingest().week(WEEK)
    before = bench.object_of(WEEK).stat()
    again = bench.ingest().week(WEEK)
    assert again.stored is not None
    assert again.stored.published.change is Change.UNCHANGED
    assert bench.object_of(WEEK).stat().st_mtime_ns == before.st_mtime_ns


def test_a_corrected_file_replaces_the_object(bench: Workbench) -> None:
    bench.fill_lake(WEEK)
    bench.offer(WEEK, seed=7)
    again = bench.ingest().week(WEEK)
    assert again.stored is not None
    assert again.stored.published.change is Change.REPLACED
    assert bench.raw_in_lake(WEEK) == bench.good[WEEK]


def test_without_publishing_the_file_is_staged_and_the_lake_unchanged(bench: Workbench) -> None:
    old = bench.fill_lake(WEEK)
    bench.offer(WEEK)
    outcome = bench.ingest().week(WEEK, publish=False)
    assert outcome.raw is not None
    assert outcome.stored is None
    assert OBJECT_INTACT not in outcome.verdicts
    assert outcome.raw.path.read_bytes() == bench.good[WEEK]
    assert bench.object_of(WEEK).read_bytes() == old[WEEK]


def test_without_fetching_the_staged_file_is_audited_again_and_published(bench: Workbench) -> None:
    bench.offer(WEEK)
    bench.ingest().week(WEEK, publish=False)
    bench.server.requests.clear()
    outcome = bench.ingest().week(WEEK, fetch=False)
    assert outcome.failures == []
    assert FILE_FETCHED not in outcome.verdicts
    assert outcome.verdicts[ROWS_WELL_FORMED].passed
    assert bench.raw_in_lake(WEEK) == bench.good[WEEK]
    assert not bench.server.requests_for(WEEK)


def test_without_fetching_a_week_that_is_not_staged_is_fetched_all_the_same(bench: Workbench) -> None:
    bench.offer(WEEK)
    assert bench.ingest().week(WEEK, fetch=False).failures == []
    assert bench.raw_in_lake(WEEK) == bench.good[WEEK]


def test_a_staged_file_that_fails_its_second_audit_stays_and_is_told(bench: Workbench) -> None:
    """It was good when it was staged: what has changed may be the scale, the lake, or the file itself."""
    old = bench.fill_lake(WEEK)
    bad = bench.good[WEEK][:-40]
    staged = bench.staging / WEEK.file_name
    staged.write_bytes(bad)
    outcome = bench.ingest().week(WEEK, fetch=False)
    finding = finding_of(outcome, ROWS_WELL_FORMED)
    assert str(finding).startswith(f"Week {WEEK.key}: {staged}, line ")
    assert "the file ends inside this line" in finding.found
    assert staged.read_bytes() == bad
    assert not (bench.staging / "rejected").exists()
    assert bench.object_of(WEEK).read_bytes() == old[WEEK]
    assert bench.half_done() == []


def test_a_staged_file_says_where_it_was_fetched_from_whatever_the_feed_is_by_then(bench: Workbench) -> None:
    bench.offer(WEEK)
    fetched = bench.ingest().week(WEEK, publish=False)
    lake = KeepingMetadata(bench.lake)
    outcome = replace(bench.ingest(feed_url="file:///another/feed"), lake=lake).week(WEEK, fetch=False)
    assert fetched.raw
    assert outcome.raw
    assert outcome.raw.source == fetched.raw.source == f"{bench.server.url}/{WEEK.file_name}"
    assert lake.kept["source"] == outcome.raw.source


@pytest.mark.parametrize("known", ["nothing", "of other bytes", "half of it"])
def test_a_staged_file_of_which_nobody_knows_where_it_is_from_has_no_source(bench: Workbench, known: str) -> None:
    bench.offer(WEEK)
    bench.ingest().week(WEEK, publish=False)
    staged = bench.staging / WEEK.file_name
    if known == "nothing":
        path_of(staged).unlink()
    elif known == "of other bytes":
        staged.write_bytes(valid_file(WEEK, seed=5))
    else:
        path_of(staged).write_bytes(path_of(staged).read_bytes()[:20])
    lake = KeepingMetadata(bench.lake)
    outcome = replace(bench.ingest(), lake=lake).week(WEEK, fetch=False)
    assert outcome.failures == []
    assert outcome.raw
    assert outcome.raw.source is None
    assert "source" not in lake.kept
    assert lake.kept["week"] == WEEK.key


class KeepingMetadata(LocalStore):
    """A folder that keeps what it is told of an object, as a bucket does."""

    kept: Mapping[str, str]

    def publish(self, source: Path, name: str, metadata: Mapping[str, str], over: Looked | None = None) -> Published:
        self.kept = metadata
        return super().publish(source, name, metadata, over)


def test_a_good_file_clears_the_rejected_one_away(bench: Workbench) -> None:
    bench.server.serve(WEEK, whole(b"bad"), whole(valid_file(WEEK)))
    bench.ingest().week(WEEK)
    assert (bench.staging / "rejected" / WEEK.file_name).exists()
    bench.ingest().week(WEEK)
    assert not (bench.staging / "rejected" / WEEK.file_name).exists()


# What bad input gets.


@dataclass(frozen=True)
class Bad:
    """An input, and what must be said of it."""

    input: Answer | bytes  #: what the server does, or what it sends
    check: Check
    found: str
    expected: str
    remedy: str
    where: str = ""  #: behind the address
    most_bytes: int = MOST_BYTES

    @property
    def answer(self) -> Answer:
        return whole(self.input) if isinstance(self.input, bytes) else self.input


GOOD = valid_file(WEEK)
ROW = line_of(GOOD, 77)
FIELDS = "lines of one width, C/A,UNIT,SCP"
HEADER_EXPECTED = "the header C/A,UNIT,SCP,STATION"
AGAIN_LATER = "run the week again"


def to_a_closed_port(exchange: Exchange) -> None:
    redirect(f"http://127.0.0.1:{closed_port()}/")(exchange)


def malformed(line: bytes, fault: str) -> Bad:
    """A file that is good but for one line."""
    return Bad(
        with_line(GOOD, 77, line), ROWS_WELL_FORMED, rf"{fault}; 1 of 252 rows are malformed", FIELDS,
        "fetch it again, or from another mirror", where=", line 77",
    )  # fmt: skip


BAD_INPUT = {
    "404": Bad(status(404, reason="Not Found"), FILE_FETCHED, "404 Not Found", "the week's file", "mirror"),
    "403": Bad(status(403, reason="Forbidden"), FILE_FETCHED, "403 Forbidden", "200 OK", "check MTA_FEED_URL"),
    "connection refused": Bad(
        to_a_closed_port, FILE_FETCHED, r"no connection \(.*refused.*3 times", "an answer", "Check MTA_FEED_URL",
    ),
    "unknown host": Bad(
        redirect("http://no-such-host.invalid/"), FILE_FETCHED, r"no connection \(.*3 times", "an answer",
        "Check MTA_FEED_URL",
    ),
    "a stream reset midway": Bad(
        cut(GOOD, 20_000, reset=True), FILE_FETCHED, "a stream cut after [0-9,]+ bytes", "the whole file", AGAIN_LATER
    ),
    "a chunked stream cut midway": Bad(
        chunked(GOOD[:20_480], cut=True), FILE_FETCHED, "a stream cut after 20,480 bytes", "the whole file", AGAIN_LATER
    ),
    "fewer bytes than Content-Length": Bad(
        cut(GOOD, 20_000), FILE_FETCHED, "20,000 bytes", "the whole file|as the server promised", AGAIN_LATER
    ),
    "a body that never ends": Bad(
        endless(), FILE_FETCHED, "more than 2,000,000 bytes", "a weekly file", "open the address and look",
        most_bytes=2_000_000,
    ),
    "a server that stalls": Bad(
        stalling(GOOD, 20_000), FILE_FETCHED, "silence for 0.5 s, after 20,000 bytes, 3 times", "the file", AGAIN_LATER
    ),
    "HTML with 200": Bad(
        b"<!DOCTYPE html>\n<html><title>Page not found</title></html>\n", HEADER_MATCHES,
        "an HTML page, '<!DOCTYPE html>'", HEADER_EXPECTED, "open the address", where=", line 1",
    ),
    "an empty file": Bad(
        b"", HEADER_MATCHES, "an empty file", HEADER_EXPECTED, "try again later", where=", line 1"
    ),
    "a header without rows": Bad(
        valid_file(WEEK, turnstiles=0), ROW_COUNT_IN_RANGE, "0 rows", "105 to 280", "fetch it again later"
    ),
    "a file cut inside its last counter": Bad(
        GOOD.rstrip()[:-3], ROWS_WELL_FORMED, "the file ends inside this line; 1 of 252 rows", FIELDS,
        "fetch it again", where=", line 253",
    ),
    "another week's file under this week's name": Bad(
        valid_file(BEFORE), COVERS_ITS_WEEK, "readings of 2024-01-06 … 2024-01-12",
        "the seven days 2024-01-13 to 2024-01-19", "get this week's, from another mirror",
    ),
    "junk lines before the header": Bad(
        b"junk\r\n" * 10 + GOOD, HEADER_MATCHES, "'junk'", HEADER_EXPECTED, "get it as published",
        where=", line 1",
    ),
    "a row with 10 fields": malformed(refitted(ROW.replace(b",BMT", b"")), "not the fields C/A,UNIT.*"),
    "a row with 12 fields": malformed(refitted(ROW.replace(b",BMT", b",BMT,")), "not the fields C/A,UNIT.*"),
    "letters in a counter": malformed(
        ROW.replace(ROW.split(b",")[9], b"00000O1234"), "ENTRIES is not a number of 10 digits"
    ),
    "NUL bytes": malformed(ROW.replace(b"59 ST", b"\0\0\0\0\0"), "a byte that is not printable ASCII"),
    "an empty line at the end": Bad(
        GOOD + b"\r\n", ROWS_WELL_FORMED, "2 bytes long, the first line 132; 1 of 253 rows", FIELDS,
        "fetch it again", where=", line 254",
    ),
    "a byte-order mark": Bad(
        b"\xef\xbb\xbf" + GOOD, HEADER_MATCHES, "a byte-order mark before 'C/A,UNIT", HEADER_EXPECTED,
        "get it as published", where=", line 1",
    ),
    "a spreadsheet's copy": Bad(
        spreadsheet_copy(GOOD), ROWS_WELL_FORMED, "252 of 252 rows are malformed", FIELDS,
        "re-saved: fetch it again", where=", line 2",
    ),
    "half of the usual rows": Bad(
        valid_file(WEEK, turnstiles=3), ROW_COUNT_IN_RANGE, "126 rows",
        "at least 70% of the 252 that week 2024-01-.. has in the lake", "fetch it again later",
    ),
}  # fmt: skip


def ingested(bench: Workbench, most_bytes: int = MOST_BYTES, workers: int = 3) -> dict[Week, Outcome]:
    return by_week(bench.ingest(most_bytes=most_bytes).weeks(ALL, workers=workers))


def assert_told(outcome: Outcome, bad: Bad, place: str) -> Finding:
    """The outcome's failing check says week, place, what was found, what was expected and what to do."""
    assert outcome.failures
    finding = finding_of(outcome, bad.check)
    assert bad.check.blocking
    assert finding in outcome.failures
    assert str(finding).startswith(f"Week {outcome.week.key}: {place}{bad.where}: found ")
    assert re.search(bad.found, finding.found), finding.found
    assert re.search(bad.expected, finding.expected), finding.expected
    assert re.search(bad.remedy, finding.remedy), finding.remedy
    assert all(part in str(finding) for part in (finding.found, finding.expected, finding.remedy))
    return finding


def assert_good(bench: Workbench, outcome: Outcome) -> None:
    assert outcome.failures == []
    assert bench.raw_in_lake(outcome.week) == bench.good[outcome.week]


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_fails_its_own_week_only_and_changes_nothing(bench: Workbench, name: str) -> None:
    bad = BAD_INPUT[name]
    old = bench.fill_lake(*ALL)
    staged = (bench.staging / WEEK.file_name).read_bytes()
    bench.offer(BEFORE, AFTER)
    bench.server.serve(WEEK, bad.answer)

    outcomes = ingested(bench, bad.most_bytes)

    assert set(outcomes) == set(ALL)
    assert_good(bench, outcomes[BEFORE])
    assert_good(bench, outcomes[AFTER])
    assert_told(outcomes[WEEK], bad, f"{bench.server.url}/{WEEK.file_name}")
    assert outcomes[WEEK].raw is None
    assert outcomes[WEEK].stored is None
    assert OBJECT_INTACT not in outcomes[WEEK].verdicts
    assert bench.object_of(WEEK).read_bytes() == old[WEEK]
    assert (bench.staging / WEEK.file_name).read_bytes() == staged
    assert bench.half_done() == []


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_leaves_no_object_where_there_was_none(bench: Workbench, name: str) -> None:
    bad = BAD_INPUT[name]
    if name == "half of the usual rows":
        bench.fill_lake(BEFORE, AFTER)
    bench.server.serve(WEEK, bad.answer)
    outcome = bench.ingest(most_bytes=bad.most_bytes).week(WEEK)
    assert outcome.failures
    assert not bench.object_of(WEEK).exists()
    assert not (bench.staging / WEEK.file_name).exists()
    assert bench.half_done() == []


@pytest.mark.parametrize("name", [name for name, bad in BAD_INPUT.items() if bad.check is FILE_FETCHED])
def test_what_has_not_been_fetched_is_judged_by_no_other_check(bench: Workbench, name: str) -> None:
    bench.server.serve(WEEK, BAD_INPUT[name].answer)
    outcome = bench.ingest(most_bytes=BAD_INPUT[name].most_bytes).week(WEEK)
    assert list(outcome.verdicts) == [FILE_FETCHED]


@pytest.mark.parametrize("name", [name for name, bad in BAD_INPUT.items() if isinstance(bad.input, bytes)])
def test_what_was_fetched_and_rejected_is_kept_aside_for_people_to_look_at(bench: Workbench, name: str) -> None:
    bench.fill_lake(BEFORE)
    bench.server.serve(WEEK, BAD_INPUT[name].answer)
    outcome = bench.ingest().week(WEEK)
    assert outcome.verdicts[FILE_FETCHED].passed
    assert (bench.staging / "rejected" / WEEK.file_name).read_bytes() == BAD_INPUT[name].input


@pytest.mark.parametrize(
    ("feed_url", "found"),
    [
        pytest.param(lambda: f"http://127.0.0.1:{closed_port()}", "refused", id="connection refused"),
        pytest.param(lambda: "http://no-such-host.invalid/feed", "no connection", id="unknown host"),
    ],
)
def test_a_feed_that_cannot_be_reached_fails_every_week_with_a_sentence_of_its_own(
    bench: Workbench, feed_url: Callable[[], str], found: str
) -> None:
    old = bench.fill_lake(*ALL)
    url = feed_url()
    outcomes = by_week(bench.ingest(feed_url=url).weeks(ALL))
    for week in ALL:
        finding = finding_of(outcomes[week], FILE_FETCHED)
        assert str(finding).startswith(f"Week {week.key}: {url}/{week.file_name}: found no connection")
        assert found in str(finding)
        assert "Check MTA_FEED_URL" in str(finding)
        assert bench.object_of(week).read_bytes() == old[week]
    assert bench.half_done() == []


# Only a warning.


def test_implausible_counters_are_published_with_a_warning(bench: Workbench) -> None:
    raw = implausible(WEEK)
    bench.server.serve(WEEK, whole(raw))
    outcome = bench.ingest().week(WEEK)
    assert outcome.failures == []
    finding = finding_of(outcome, COUNTERS_PLAUSIBLE)
    assert not COUNTERS_PLAUSIBLE.blocking
    assert str(finding).startswith(f"Week {WEEK.key}: {bench.server.url}/{WEEK.file_name}: found ")
    assert "resets" in finding.found
    assert "before you trust its totals" in finding.remedy
    assert bench.raw_in_lake(WEEK) == raw
    assert outcome.verdicts[OBJECT_INTACT].passed


def test_the_warning_of_a_rejected_week_does_not_say_that_it_is_in_the_lake(bench: Workbench) -> None:
    bench.server.serve(WEEK, whole(implausible(WEEK)[:-40]))
    outcome = bench.ingest().week(WEEK)
    assert outcome.failures
    assert "is in the lake" not in str(finding_of(outcome, COUNTERS_PLAUSIBLE))


# Neighbours in the lake.


def test_a_week_is_held_against_its_own_older_object(bench: Workbench) -> None:
    bench.fill_lake(WEEK)
    bench.server.serve(WEEK, whole(valid_file(WEEK, turnstiles=3)))
    finding = finding_of(bench.ingest().week(WEEK), ROW_COUNT_IN_RANGE)
    assert f"252 that week {WEEK.key} has in the lake" in finding.expected


def test_half_of_the_usual_rows_pass_where_nothing_is_known_of_the_neighbours(bench: Workbench) -> None:
    bench.server.serve(WEEK, whole(valid_file(WEEK, turnstiles=3)))
    assert bench.ingest().week(WEEK).failures == []


def test_weeks_further_away_do_not_count(bench: Workbench) -> None:
    bench.fill_lake(WEEK.shifted(-2), WEEK.shifted(2))
    bench.server.serve(WEEK, whole(valid_file(WEEK, turnstiles=3)))
    assert bench.ingest().week(WEEK).failures == []


def test_the_last_legacy_week_is_not_held_against_the_first_week_of_the_current_layout(bench: Workbench) -> None:
    first = Week(date(2014, 10, 11))
    last = first.shifted(-1)
    bench.fill_lake(first)
    bench.offer(last)
    assert bench.ingest().week(last).failures == []
    bench.offer(first, seed=3)
    assert bench.ingest().week(first).failures == []


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "nothing left": lambda data: b"",
    "cut in the middle": lambda data: data[: len(data) // 2],
    "all zeros": lambda data: bytes(len(data)),
    "tail of zeros": lambda data: data[:-100] + bytes(100),
    "no gzip": lambda data: b"<html>" * 100,
    "begin overwritten": lambda data: data[:12] + b"\xff" * 60 + data[72:],
    "one bit flipped": lambda data: data[:-200] + bytes([data[-200] ^ 1]) + data[-199:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_object_is_mended_by_ingesting_its_week_again(bench: Workbench, damage: str) -> None:
    old = bench.fill_lake(WEEK)
    bench.object_of(WEEK).write_bytes(DAMAGES[damage](old[WEEK]))
    outcome = bench.ingest().week(WEEK)
    assert outcome.failures == []
    assert bench.object_of(WEEK).read_bytes() == old[WEEK]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_neighbours_damaged_object_is_not_this_weeks_fault(bench: Workbench, damage: str) -> None:
    old = bench.fill_lake(BEFORE)
    bench.object_of(BEFORE).write_bytes(DAMAGES[damage](old[BEFORE]))
    bench.offer(WEEK)
    assert_good(bench, bench.ingest().week(WEEK))


def test_a_neighbours_damaged_object_is_logged_with_its_address(
    bench: Workbench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.fill_lake(BEFORE)
    bench.object_of(BEFORE).write_bytes(b"no gzip")
    bench.offer(WEEK)
    with caplog.at_level(logging.WARNING, "mta_pipeline"):
        bench.ingest().week(WEEK)
    assert str(bench.object_of(BEFORE)) in caplog.text


def test_each_stage_of_a_week_leaves_a_line_at_its_start_and_at_its_end(
    bench: Workbench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mta_pipeline")
    bench.offer(WEEK)
    bench.ingest().week(WEEK)
    stages = [message.split(" seconds=")[0] for message in caplog.messages]
    assert stages == [
        f"stage={stage} week={WEEK} at={at}"
        for stage in ("fetch", "audit", "compress", "publish")
        for at in ("start", "end")
    ]
    assert f"bytes={bench.object_of(WEEK).stat().st_size} change=created" in caplog.messages[-1]


def test_the_stage_that_failed_is_the_last_one_in_the_log(bench: Workbench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mta_pipeline")
    bench.ingest().week(WEEK)
    assert f"stage=fetch week={WEEK} at=failed" in caplog.messages[-1]
    assert caplog.messages[-1].endswith("error=NotPublished")


def test_a_lake_that_cannot_be_read_is_not_told_as_a_fetch_that_failed(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = bench.fill_lake(WEEK)
    bench.offer(WEEK)
    where = str(bench.object_of(WEEK))

    def denied(self: LocalStore, name: str) -> None:
        raise LakeError(Finding(where=where, found="permission denied", expected="an object", remedy="Ask for it."))

    monkeypatch.setattr(LocalStore, "open", denied)
    outcome = bench.ingest().week(WEEK)
    assert [finding.where for finding in outcome.failures] == [where]
    assert outcome.verdicts[FILE_FETCHED].passed, "the feed has delivered the file, whole"
    assert bench.object_of(WEEK).read_bytes() == old[WEEK]


# What is stored is what was audited.


def test_bytes_other_than_the_audited_ones_do_not_reach_the_lake(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = bench.fill_lake(WEEK)
    bench.offer(WEEK)

    def compress_something_else(source: Path, destination: Path) -> None:
        (bench.folder / "else").write_bytes(source.read_bytes()[:-132])
        compress(bench.folder / "else", destination)

    monkeypatch.setattr("mta_pipeline.domain.ingest.compress", compress_something_else)
    outcome = bench.ingest().week(WEEK)
    finding = finding_of(outcome, OBJECT_INTACT)
    assert outcome.stored is None
    assert finding.week == WEEK
    assert "33,264 bytes" in finding.found
    assert "33,396 bytes" in finding.expected
    assert "Content(" not in str(finding), "Python's own names are no help"
    assert bench.object_of(WEEK).read_bytes() == old[WEEK]
    assert bench.half_done() == []


def test_a_store_that_has_stored_something_else_is_told(bench: Workbench) -> None:
    class Cutting(LocalStore):
        """Loses the last bytes of what it is given."""

        def publish(
            self, source: Path, name: str, metadata: Mapping[str, str], over: Looked | None = None
        ) -> Published:
            with source.open("r+b") as file:
                file.truncate(source.stat().st_size - 5)
            return super().publish(source, name, {}, over)

    bench.offer(WEEK)
    outcome = replace(bench.ingest(), lake=Cutting(bench.lake)).week(WEEK)
    finding = finding_of(outcome, OBJECT_INTACT)
    assert outcome.stored is None
    assert str(finding).startswith(f"Week {WEEK.key}: {bench.object_of(WEEK)}: found ")
    assert "Digest(" not in str(finding), "Python's own names are no help"
    assert "lake_object" in finding.remedy


# Disks.


def test_a_full_staging_disk_fails_the_week_that_does_not_fit(bench: Workbench, small_disk: Path) -> None:
    bench.staging = small_disk
    old = bench.fill_lake(*ALL)
    bench.offer(BEFORE, AFTER)
    bench.server.serve(WEEK, whole(b"0" * 3_000_000))
    outcomes = ingested(bench, workers=1)
    assert_good(bench, outcomes[BEFORE])
    assert_good(bench, outcomes[AFTER])
    full = Bad(
        status(0), FILE_FETCHED, "No space left on device", "a folder that can be written", "Free .* MTA_STAGING_DIR"
    )
    assert_told(outcomes[WEEK], full, f"{small_disk / WEEK.file_name}.part")
    assert bench.object_of(WEEK).read_bytes() == old[WEEK]
    assert bench.half_done() == []


def incompressible(week: Week) -> bytes:
    """A good file whose station names no algorithm can make smaller."""
    chance = random.Random(5)
    letters = string.ascii_letters + string.digits + "-/"
    turnstiles = []
    for t in regular_turnstiles(week):
        turnstiles += [replace(t, station="".join(chance.choices(letters, k=45)), readings=(r,)) for r in t.readings]
    return valid_file(week, turnstiles)


def leave_free(disk: Path, size: int) -> None:
    """Fill a disk up to `size` bytes."""
    with (disk / "filler").open("wb", buffering=0) as file:
        with suppress(OSError):
            while file.write(bytes(4096)):
                pass
        file.truncate(file.tell() - size)


def test_a_full_lake_disk_fails_the_week_that_does_not_fit(bench: Workbench, small_disk: Path) -> None:
    bench.lake = small_disk / "lake"
    old = bench.fill_lake(*ALL)
    bench.offer(BEFORE, AFTER)
    bench.server.serve(WEEK, whole(incompressible(WEEK)))
    leave_free(small_disk, 8_192)
    outcomes = ingested(bench, workers=1)
    assert_good(bench, outcomes[BEFORE])
    assert_good(bench, outcomes[AFTER])
    full = Bad(
        status(0), OBJECT_INTACT, "No space left on device", "a folder that can be written", "Free .* MTA_LAKE_URL"
    )
    assert_told(outcomes[WEEK], full, str(bench.object_of(WEEK)))
    assert outcomes[WEEK].raw is not None, "the raw file is good, and stays staged"
    assert bench.object_of(WEEK).read_bytes() == old[WEEK]
    assert bench.half_done() == []


def test_a_full_staging_disk_while_compressing_leaves_the_object_as_it_was(bench: Workbench, small_disk: Path) -> None:
    bench.staging = small_disk
    old = bench.fill_lake(WEEK)
    raw = incompressible(WEEK)
    bench.server.serve(WEEK, whole(raw))
    (small_disk / WEEK.file_name).unlink()
    room = -(-len(raw) // 4096) * 4096 + 4096
    leave_free(small_disk, room)
    outcome = bench.ingest().week(WEEK)
    full = Bad(
        status(0), OBJECT_INTACT, "No space left on device", "a folder that can be written", "Free .* MTA_STAGING_DIR"
    )
    assert_told(outcome, full, f"{small_disk / WEEK.file_name}.gz.part")
    assert bench.object_of(WEEK).read_bytes() == old[WEEK]
    (small_disk / "filler").unlink()
    assert bench.half_done() == []


def test_a_staging_folder_that_cannot_be_written_is_told_for_each_week(bench: Workbench, unwritable: Path) -> None:
    old = bench.fill_lake(*ALL)
    bench.staging = unwritable
    outcomes = ingested(bench)
    denied = Bad(
        status(0), FILE_FETCHED, "PermissionError", "a folder that can be written",
        "Give this user the right to write there, or point MTA_STAGING_DIR elsewhere",
    )  # fmt: skip
    for week in ALL:
        assert_told(outcomes[week], denied, str(unwritable))
        assert bench.object_of(week).read_bytes() == old[week]


def test_a_lake_that_cannot_be_written_is_told_for_each_week(bench: Workbench, unwritable: Path) -> None:
    bench.offer(*ALL)
    bench.lake = unwritable
    outcomes = ingested(bench)
    denied = Bad(
        status(0), OBJECT_INTACT, "PermissionError", "a folder that can be written",
        "Give this user the right to write there, or point MTA_LAKE_URL elsewhere",
    )  # fmt: skip
    for week in ALL:
        assert_told(outcomes[week], denied, str(unwritable))
        assert outcomes[week].raw is not None
    assert bench.half_done() == []


def test_something_in_one_objects_place_fails_that_week_only(bench: Workbench) -> None:
    bench.offer(*ALL)
    (bench.object_of(WEEK) / "inside").mkdir(parents=True)
    outcomes = ingested(bench)
    assert_good(bench, outcomes[BEFORE])
    assert_good(bench, outcomes[AFTER])
    finding = finding_of(outcomes[WEEK], OBJECT_INTACT)
    assert str(finding).startswith(f"Week {WEEK.key}: {bench.object_of(WEEK)}: found ")
    assert bench.half_done() == []


# Many weeks.


def held_until(released: threading.Event, body: bytes) -> Answer:
    def answer(exchange: Exchange) -> None:
        assert released.wait(20)
        whole(body)(exchange)

    return answer


def test_an_outcome_is_told_as_soon_as_it_is_known(bench: Workbench) -> None:
    released = threading.Event()
    bench.offer(*ALL)
    bench.server.serve(BEFORE, held_until(released, bench.good[BEFORE]))
    patience = replace(IMPATIENT, read=20)
    outcomes = bench.ingest(patience=patience).weeks(ALL)
    try:
        assert {next(outcomes).week, next(outcomes).week} == {WEEK, AFTER}
    finally:
        released.set()
    assert [outcome.week for outcome in outcomes] == [BEFORE]


def test_no_weeks_have_no_outcomes(bench: Workbench) -> None:
    assert list(bench.ingest().weeks([])) == []


def test_many_weeks_are_all_told_once(bench: Workbench) -> None:
    weeks = list(Week.between(WEEK, WEEK.shifted(11)))
    bench.offer(*weeks)
    outcomes = list(bench.ingest().weeks(weeks))
    assert sorted(outcome.week for outcome in outcomes) == weeks
    for outcome in outcomes:
        assert_good(bench, outcome)
    assert bench.half_done() == []


def test_staging_keeps_the_newest_weeks_while_a_history_comes_in(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    weeks = list(Week.between(WEEK, WEEK.shifted(7)))
    bench.offer(*weeks)
    monkeypatch.setattr(staging_module, "KEEP_BYTES", 3 * max(map(len, bench.good.values())))
    monkeypatch.setattr(ingest_module, "SWEEP_EVERY", 2)
    for outcome in bench.ingest().weeks(weeks, workers=1):
        assert_good(bench, outcome)
        assert len(list(bench.staging.glob("turnstile_??????.txt"))) <= 3 + ingest_module.SWEEP_EVERY
    assert not (bench.staging / weeks[0].file_name).exists()
    assert (bench.staging / weeks[-1].file_name).exists()


def test_a_sweep_that_fails_is_logged_and_harms_no_week(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Staging) -> None:
        raise StagingError(Finding(where="staging", found="a fault", expected="none", remedy="Look at it."))

    monkeypatch.setattr(Staging, "sweep", fail)
    bench.offer(WEEK)
    with caplog.at_level(logging.WARNING, "mta_pipeline"):
        [outcome] = bench.ingest().weeks([WEEK])
    assert_good(bench, outcome)
    assert "a fault" in caplog.text


def test_a_fault_that_nobody_foresaw_is_told_with_its_week_and_its_traceback_and_hides_no_other_week(
    bench: Workbench,
) -> None:
    class Broken(LocalStore):
        """Meets a bug at one week."""

        def publish(
            self, source: Path, name: str, metadata: Mapping[str, str], over: Looked | None = None
        ) -> Published:
            if name == WEEK.object_name:
                raise ZeroDivisionError(f"a bug at http://user:{SECRET}@example.org/x?token={SECRET}")
            return super().publish(source, name, {}, over)

    old = bench.fill_lake(WEEK)
    bench.offer(BEFORE, WEEK)
    bench.server.serve(AFTER, status(404))
    outcomes = by_week(replace(bench.ingest(), lake=Broken(bench.lake)).weeks(ALL))
    assert_good(bench, outcomes[BEFORE])
    assert finding_of(outcomes[AFTER], FILE_FETCHED)
    surprise = outcomes[WEEK].surprise
    assert isinstance(surprise, ZeroDivisionError)
    assert surprise.__traceback__
    (finding,) = outcomes[WEEK].failures
    assert str(finding).startswith(f"Week {WEEK.key}: the pipeline itself: found a fault that nobody foresaw")
    assert "ZeroDivisionError: a bug at http://***@example.org" in finding.found
    assert SECRET not in str(finding)
    assert bench.object_of(WEEK).read_bytes() == old[WEEK]
    assert bench.half_done() == []


# Stopped.

PATIENT = Patience(connect=120, read=120, attempt=120, tries=5, first_pause=120, longest_pause=120)
SOON = 5  # seconds, where the patience is minutes


def pausing(reached: threading.Event) -> Answer:
    """So busy that it is to be asked again in two minutes."""

    def answer(exchange: Exchange) -> None:
        status(503, {"Retry-After": "120"})(exchange)
        reached.set()

    return answer


def mute(reached: threading.Event) -> Answer:
    def answer(exchange: Exchange) -> None:
        reached.set()
        silent(exchange)

    return answer


WAITS: dict[str, Callable[[bytes, threading.Event], Answer]] = {
    "for the answer": lambda body, reached: mute(reached),
    "for the rest of the body": lambda body, reached: stalling(body, 20_000, reached),
    "before it tries again": lambda body, reached: pausing(reached),
}


@pytest.mark.parametrize("wait", WAITS)
def test_when_the_caller_stops_weeks_under_way_end_soon_and_the_others_do_not_begin(
    bench: Workbench, wait: str
) -> None:
    weeks = list(Week.between(WEEK, WEEK.shifted(6)))
    old = bench.fill_lake(weeks[1])
    bench.server.requests.clear()
    bench.offer(*weeks)
    reached = threading.Event()
    bench.server.serve(weeks[1], WAITS[wait](bench.good[weeks[1]], reached))
    outcomes = bench.ingest(patience=PATIENT).weeks(weeks, workers=1)
    assert next(outcomes).week == weeks[0]
    assert reached.wait(20)
    begin = time.monotonic()
    outcomes.close()  # type: ignore[attr-defined]
    assert time.monotonic() - begin < SOON
    assert [week for week in weeks if bench.server.requests_for(week)] == weeks[:2]
    assert bench.object_of(weeks[1]).read_bytes() == old[weeks[1]]
    assert not [name for name in threading.enumerate() if name.name.startswith("ingest") and not name.daemon]


def test_a_stopped_week_goes_on_in_a_later_run_where_it_was(bench: Workbench) -> None:
    bench.offer(WEEK)
    body, reached = bench.good[WEEK], threading.Event()
    bench.server.serve(WEEK, stalling(body, 20_000, reached, {"ETag": '"a"'}), ranged(body, '"a"'))
    ingest = bench.ingest(patience=PATIENT)
    with ThreadPoolExecutor(1) as pool:
        week = pool.submit(ingest.week, WEEK)
        wait_for_bytes(bench.staging / f"{WEEK.file_name}.part")
        ingest.stop.set()
        with pytest.raises(Stopped):
            week.result(timeout=SOON)
    kept = (bench.staging / f"{WEEK.file_name}.part").read_bytes()
    assert kept
    assert body[:20_000].startswith(kept)  # what was on its way from the socket to the file may be lost
    assert not list((bench.staging / ".locks").iterdir())
    assert not bench.object_of(WEEK).exists()
    assert_good(bench, bench.ingest().week(WEEK))
    assert bench.server.requests_for(WEEK)[-1].headers["range"] == f"bytes={len(kept)}-"
    assert bench.half_done() == []


def test_nothing_is_published_once_we_are_told_to_stop(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    old = bench.fill_lake(WEEK)
    bench.offer(WEEK)
    ingest = bench.ingest()

    def compress_and_stop(source: Path, destination: Path) -> None:
        compress(source, destination)
        ingest.stop.set()

    monkeypatch.setattr("mta_pipeline.domain.ingest.compress", compress_and_stop)
    with pytest.raises(Stopped):
        ingest.week(WEEK)
    assert bench.object_of(WEEK).read_bytes() == old[WEEK]
    assert bench.half_done() == []


def test_a_week_that_another_process_is_at_is_waited_for_until_we_are_told_to_stop(bench: Workbench) -> None:
    bench.offer(WEEK)
    ingest = bench.ingest()
    with ThreadPoolExecutor(1) as pool, bench.ingest().staging.claim(WEEK):
        waiting = pool.submit(ingest.week, WEEK)
        assert wait([waiting], timeout=0.3).not_done
        ingest.stop.set()
        with pytest.raises(Stopped):
            waiting.result(timeout=SOON)
    assert bench.server.requests_for(WEEK) == []


def test_weeks_tell_that_they_were_stopped_by_somebody_else(bench: Workbench) -> None:
    bench.offer(*ALL)
    ingest = bench.ingest()
    ingest.stop.set()
    with pytest.raises(Stopped):
        list(ingest.weeks(ALL))


def test_two_at_one_week_take_turns_and_agree(bench: Workbench) -> None:
    released = threading.Event()
    bench.offer(WEEK)
    bench.server.serve(WEEK, held_until(released, bench.good[WEEK]))
    patience = replace(IMPATIENT, read=20)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(bench.ingest(patience=patience).week, WEEK) for _ in range(2)]
        assert not wait(both, timeout=0.1).done
        assert len(bench.server.requests_for(WEEK)) <= 1, "two fetch into one place"
        released.set()
        outcomes = [one.result(timeout=20) for one in both]
    for outcome in outcomes:
        assert_good(bench, outcome)
    changes = [outcome.stored.published.change for outcome in outcomes if outcome.stored]
    assert sorted(changes, key=str) == [Change.CREATED, Change.UNCHANGED]
    assert bench.half_done() == []


# Killed.


def wait_for_bytes(path: Path) -> None:
    """Wait until a child has written something to `path`."""
    pause = threading.Event()
    for _ in range(2_000):
        if path.exists() and path.stat().st_size:
            return
        pause.wait(0.01)
    pytest.fail(f"nothing came to {path.name}")


@pytest.mark.parametrize("in_lake", [True, False], ids=["replacing an object", "first time"])
@pytest.mark.parametrize("trap", TRAPS)
def test_a_killed_run_shows_nothing_half_done_and_the_next_one_makes_it_good(
    bench: Workbench, trap: str, in_lake: bool
) -> None:
    old = bench.fill_lake(*ALL) if in_lake else bench.fill_lake(BEFORE, AFTER)
    bench.offer(WEEK)
    if trap == "while fetching":
        bench.server.serve(WEEK, stalling(bench.good[WEEK], 20_000))
    arguments = (bench.server.url, str(bench.staging), str(bench.lake), WEEK.key)
    with running("-m", "mta_pipeline_tests.child", trap, *arguments) as child:
        if trap == "while fetching":
            wait_for_bytes(bench.staging / f"{WEEK.file_name}.part")
        else:
            wait_until_here(child)
        child.kill()
        child.wait()

    visible = {path: path.read_bytes() for path in bench.lake.rglob("*.csv.gz")}
    assert visible == {bench.object_of(week): data for week, data in old.items()}
    assert not [path for path in bench.lake.rglob("[!.]*") if path.is_file() and path not in visible]
    for path in bench.staging.glob("turnstile_??????.txt"):
        assert len(path.read_bytes()) == len(bench.good[WEEK]), "half a file under a published name"

    bench.offer(WEEK)
    assert_good(bench, bench.ingest().week(WEEK))
    for week in set(old) - {WEEK}:
        assert bench.object_of(week).read_bytes() == old[week]
    assert all(gzip.decompress(path.read_bytes()) for path in bench.lake.rglob("*.csv.gz"))
    assert bench.half_done() == []


def test_the_scale_of_test_files_is_that_of_the_rows_they_have() -> None:
    """The cases above rest on it: six turnstiles are a whole week, three are half of one, still in range."""
    assert 150_000 * SCALE < 126 < 0.7 * 252 < 252 < 400_000 * SCALE
