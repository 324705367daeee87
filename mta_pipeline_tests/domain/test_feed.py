"""The feed: what is fetched whole, what is tried again, and what is said of the rest."""

from __future__ import annotations

import email.utils
import gzip
import hashlib
import io
import logging
import os
import random
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import requests
import tenacity
import urllib3

from mta_pipeline.domain.errors import FeedError, NotPublished, StagingError, Stopped, TransientFeedError
from mta_pipeline.domain.feed import Feed, Fetched, Patience
from mta_pipeline.domain.origin import path_of
from mta_pipeline.domain.settings import Settings
from mta_pipeline_tests.feed_server import (
    Answer,
    FeedServer,
    chunked,
    closed_port,
    cut,
    drip,
    dripping_head,
    endless,
    part,
    ranged,
    redirect,
    silent,
    stalling,
    status,
    whole,
)
from mta_pipeline_tests.turnstile_files import valid_file
from mta_pipeline_tests.workbench import AFTER, IMPATIENT, WEEK

BODY = valid_file(WEEK, turnstiles=60)  # 330 kB: more than the kernel's buffers hand over at once
OTHER = valid_file(WEEK, turnstiles=60, seed=1)
MIDDLE = len(BODY) // 2
PATIENT = Patience(connect=120, read=120, attempt=120, first_pause=120, longest_pause=120)


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "staging" / "turnstile_240120.txt.part"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is on this machine, whatever proxies there are."""
    monkeypatch.setenv("NO_PROXY", "*")


def fetched(server: FeedServer, destination: Path, *answers: Answer) -> Fetched:
    """What the fetch reports when the server answers so; the file is then the one served."""
    server.serve(WEEK, *answers)
    return Feed(server.url, IMPATIENT).fetch(WEEK, destination)


def refused(server: FeedServer, destination: Path, *answers: Answer) -> FeedError:
    """The error when the server answers so, which names the week, the address, and what to do."""
    server.serve(WEEK, *answers)
    with pytest.raises(FeedError) as caught:
        Feed(server.url, IMPATIENT).fetch(WEEK, destination)
    fault = caught.value
    assert str(fault).startswith(f"Week {WEEK.key}: {server.url}/{WEEK.file_name}: found ")
    assert fault.finding.expected
    assert fault.finding.remedy.endswith(".")
    return fault


def tries(server: FeedServer) -> int:
    return len(server.requests_for(WEEK))


def ranges(server: FeedServer) -> list[str | None]:
    return [request.headers.get("range") for request in server.requests_for(WEEK)]


# Good answers.


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(whole(BODY), id="with Content-Length"),
        pytest.param(whole(BODY, length=False), id="without Content-Length"),
        pytest.param(chunked(BODY), id="chunked"),
        pytest.param(whole(BODY, headers={"Content-Encoding": "Identity"}), id="encoded as itself"),
    ],
)
def test_a_whole_file_arrives_byte_for_byte_and_is_measured(
    feed_server: FeedServer, destination: Path, answer: Answer
) -> None:
    report = fetched(feed_server, destination, answer)
    assert destination.read_bytes() == BODY
    assert (report.size, report.sha256) == (len(BODY), hashlib.sha256(BODY).hexdigest())
    assert report.url == f"{feed_server.url}/{WEEK.file_name}"
    assert report.tries == 1


LINE_END = BODY.index(b"\n", MIDDLE) + 1


def test_a_stream_that_nothing_but_its_end_tells_the_length_of_is_looked_at_twice(
    feed_server: FeedServer, destination: Path
) -> None:
    unframed = whole(BODY[:LINE_END], length=False), whole(BODY, length=False)
    assert fetched(feed_server, destination, *unframed).tries == 2
    assert destination.read_bytes() == BODY


def test_a_second_look_that_ends_early_is_no_proof(feed_server: FeedServer, destination: Path) -> None:
    answers = whole(BODY, length=False), whole(BODY[:LINE_END], length=False), whole(BODY, length=False)
    assert fetched(feed_server, destination, *answers).tries == 2
    assert destination.read_bytes() == BODY


@pytest.mark.parametrize(("at", "needed"), [(len(BODY), 1), (LINE_END, 2)], ids=["whole", "cut"])
def test_of_a_server_that_knows_ranges_only_what_comes_next_is_asked(
    feed_server: FeedServer, destination: Path, at: int, needed: int
) -> None:
    knows_ranges = ranged(BODY, etag='"a"')
    report = fetched(feed_server, destination, whole(BODY[:at], length=False), knows_ranges)
    assert destination.read_bytes() == BODY
    assert report.tries == needed
    assert ranges(feed_server)[:2] == [None, f"bytes={at}-"]


def test_a_server_that_falls_ill_before_the_second_look_is_tried_again(
    feed_server: FeedServer, destination: Path
) -> None:
    answers = whole(BODY, length=False), status(503), whole(BODY, length=False)
    assert fetched(feed_server, destination, *answers).tries == 2
    assert destination.read_bytes() == BODY


def test_the_bytes_as_they_are_stored_are_asked_for_and_by_whom(feed_server: FeedServer, destination: Path) -> None:
    fetched(feed_server, destination, whole(BODY))
    (request,) = feed_server.requests_for(WEEK)
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["user-agent"].startswith("mta-pipeline/")
    assert "range" not in request.headers


def test_what_was_there_before_is_replaced(feed_server: FeedServer, destination: Path) -> None:
    destination.parent.mkdir()
    destination.write_bytes(b"from a killed run " * 100_000)
    fetched(feed_server, destination, whole(BODY))
    assert destination.read_bytes() == BODY


def test_an_empty_file_arrives_as_one(feed_server: FeedServer, destination: Path) -> None:
    assert fetched(feed_server, destination, whole(b"")).size == 0
    assert destination.read_bytes() == b""


def test_a_redirect_is_followed(feed_server: FeedServer, destination: Path) -> None:
    feed_server.serve_path("/elsewhere/file.txt", whole(BODY))
    report = fetched(feed_server, destination, redirect("/elsewhere/file.txt", 301))
    assert destination.read_bytes() == BODY
    assert report.tries == 1


def test_a_slash_at_the_feeds_end_changes_nothing(feed_server: FeedServer, destination: Path) -> None:
    feed_server.serve(WEEK, whole(BODY))
    Feed(feed_server.url + "/", IMPATIENT).fetch(WEEK, destination)
    assert tries(feed_server) == 1


def test_many_weeks_are_fetched_at_once_by_one_feed(feed_server: FeedServer, tmp_path: Path) -> None:
    feed = Feed(feed_server.url, IMPATIENT)
    weeks = [WEEK.shifted(n) for n in range(8)]
    bodies = {week: valid_file(week, seed=n) for n, week in enumerate(weeks)}
    for week in weeks:
        feed_server.serve(week, cut(bodies[week], 1_000), whole(bodies[week]))
    threads = [threading.Thread(target=feed.fetch, args=(week, tmp_path / week.file_name)) for week in weeks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {week: (tmp_path / week.file_name).read_bytes() for week in weeks} == bodies


# What passes by itself is tried again.


@pytest.mark.parametrize(
    "answer",
    [
        *(pytest.param(status(code), id=f"status {code}") for code in (408, 425, 429, 500, 502, 503, 504)),
        pytest.param(cut(BODY, MIDDLE), id="cut with Content-Length"),
        pytest.param(cut(BODY, 0), id="cut before the first byte"),
        pytest.param(cut(BODY, len(BODY) - 1), id="cut before the last byte"),
        pytest.param(cut(BODY, MIDDLE, reset=True), id="reset"),
        pytest.param(chunked(BODY[:MIDDLE], cut=True), id="cut between chunks"),
        pytest.param(chunked(BODY, cut=True), id="cut before the last, empty chunk"),
        pytest.param(lambda exchange: None, id="closed without an answer"),
        pytest.param(lambda exchange: exchange.reset(), id="reset without an answer"),
        pytest.param(silent, id="silence"),
        pytest.param(stalling(BODY, MIDDLE), id="silence in the middle"),
    ],
)
def test_after_a_passing_fault_the_file_arrives_whole(
    feed_server: FeedServer, destination: Path, answer: Answer
) -> None:
    report = fetched(feed_server, destination, answer, whole(BODY))
    assert destination.read_bytes() == BODY
    assert (report.size, report.sha256) == (len(BODY), hashlib.sha256(BODY).hexdigest())
    assert report.tries == tries(feed_server) == 2


def test_a_burst_of_different_faults_is_lived_through(feed_server: FeedServer, destination: Path) -> None:
    feed_server.serve(WEEK, status(503), cut(BODY, 10), status(500), chunked(BODY[:99], cut=True), whole(BODY))
    report = Feed(feed_server.url, replace(IMPATIENT, tries=5)).fetch(WEEK, destination)
    assert destination.read_bytes() == BODY
    assert report.tries == 5


def test_a_fault_that_stays_is_told_after_the_last_try_with_their_number(
    feed_server: FeedServer, destination: Path
) -> None:
    fault = refused(feed_server, destination, status(503, reason="Service Unavailable"))
    assert isinstance(fault, TransientFeedError)
    assert "503 Service Unavailable, 3 times" in str(fault)
    assert "run the week again later" in str(fault)
    assert tries(feed_server) == IMPATIENT.tries


def test_a_single_try_is_not_told_as_one_times(feed_server: FeedServer, destination: Path) -> None:
    feed_server.serve(WEEK, status(503))
    with pytest.raises(TransientFeedError) as caught:
        Feed(feed_server.url, replace(IMPATIENT, tries=1)).fetch(WEEK, destination)
    assert "1 times" not in str(caught.value)


def test_each_fault_that_is_tried_again_is_logged(
    feed_server: FeedServer, destination: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "mta_pipeline"):
        fetched(feed_server, destination, status(503), cut(BODY, 10), whole(BODY))
    first, second = (record.getMessage() for record in caplog.records)
    assert WEEK.key in first
    assert "503" in first
    assert "Trying again" in first
    assert WEEK.key in second


def test_a_stream_that_is_always_cut_is_told_with_what_came_and_what_was_promised(
    feed_server: FeedServer, destination: Path
) -> None:
    fault = refused(feed_server, destination, cut(BODY, MIDDLE))
    assert "cut" in str(fault) or "bytes" in str(fault)
    assert f"{MIDDLE:,}" in str(fault)
    assert tries(feed_server) == IMPATIENT.tries


def test_a_silent_server_is_told_with_the_time_that_was_waited(feed_server: FeedServer, destination: Path) -> None:
    fault = refused(feed_server, destination, stalling(BODY, MIDDLE))
    assert f"silence for {IMPATIENT.read:g} s" in str(fault)
    assert f"after {MIDDLE:,} bytes" in str(fault)


def test_a_drip_that_is_never_silent_meets_the_deadline_of_a_try(feed_server: FeedServer, destination: Path) -> None:
    feed_server.serve(WEEK, drip(BODY[:300], pause=0.01))
    with pytest.raises(TransientFeedError, match=r"bytes in .* too slow"):
        Feed(feed_server.url, replace(IMPATIENT, attempt=0.2, tries=2)).fetch(WEEK, destination)
    assert tries(feed_server) == 2


def test_a_refused_connection_is_told_and_tried_again(destination: Path) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    with pytest.raises(TransientFeedError) as caught:
        Feed(url, IMPATIENT).fetch(WEEK, destination)
    assert f"{url}/{WEEK.file_name}: found no connection (" in str(caught.value)
    assert "Connection refused" in str(caught.value)
    assert "3 times" in str(caught.value)
    assert "HTTPConnection" not in str(caught.value), "Python's own names are no help"
    assert "Check MTA_FEED_URL and this machine's network" in str(caught.value)


def test_an_unknown_host_is_told(destination: Path) -> None:
    with pytest.raises(TransientFeedError) as caught:
        Feed("http://no-such-host.invalid/feed", IMPATIENT).fetch(WEEK, destination)
    assert "http://no-such-host.invalid/feed" in str(caught.value)
    assert "no connection" in str(caught.value)
    assert "HTTPConnection" not in str(caught.value), "Python's own names are no help"
    assert "Check MTA_FEED_URL" in str(caught.value)


def test_headers_that_drip_meet_the_same_deadline(feed_server: FeedServer, destination: Path) -> None:
    feed_server.serve(WEEK, dripping_head(pause=0.05))
    begin = time.monotonic()
    with pytest.raises(TransientFeedError, match=r"0 bytes in .* too slow"):
        Feed(feed_server.url, replace(IMPATIENT, attempt=0.3, tries=2)).fetch(WEEK, destination)
    assert time.monotonic() - begin < 5
    assert tries(feed_server) == 2


# Pauses.


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that a fetch would make; none is made."""
    made: list[float] = []
    monkeypatch.setattr(tenacity.sleep_using_event, "__call__", lambda self, seconds: made.append(seconds))
    return made


def test_retry_after_in_seconds_is_waited_for(feed_server: FeedServer, destination: Path, pauses: list[float]) -> None:
    patience = replace(IMPATIENT, longest_pause=60)
    feed_server.serve(WEEK, status(429, {"Retry-After": "17"}), status(503, {"Retry-After": "3"}), whole(BODY))
    Feed(feed_server.url, patience).fetch(WEEK, destination)
    assert pauses == [17, 3]


def test_retry_after_as_a_date_is_waited_for(feed_server: FeedServer, destination: Path, pauses: list[float]) -> None:
    then = datetime.now(timezone.utc) + timedelta(seconds=1_000)
    feed_server.serve(
        WEEK, status(429, {"Retry-After": email.utils.format_datetime(then, usegmt=True)}), whole(BODY)
    )  # fmt: skip
    Feed(feed_server.url, replace(IMPATIENT, longest_pause=5_000)).fetch(WEEK, destination)
    (pause,) = pauses
    assert 900 < pause <= 1_000


def test_a_date_in_the_past_is_not_waited_for(feed_server: FeedServer, destination: Path, pauses: list[float]) -> None:
    fetched(feed_server, destination, status(429, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}), whole(BODY))
    assert pauses == [0]


@pytest.mark.parametrize("value", ["86400", "9" * 400, "Fri, 31 Dec 2199 23:59:59 GMT"], ids=["a day", "ages", "2199"])
def test_no_server_can_make_us_wait_longer_than_the_longest_pause(
    feed_server: FeedServer, destination: Path, pauses: list[float], value: str
) -> None:
    fetched(feed_server, destination, status(429, {"Retry-After": value}), whole(BODY))
    assert pauses == [IMPATIENT.longest_pause]


@pytest.mark.parametrize("value", ["", "soon", "-5", "1.5", "\xb2", "Wed, 99 Oct 2015 07:28:00 GMT"])
def test_a_retry_after_that_says_nothing_is_as_none(
    feed_server: FeedServer, destination: Path, pauses: list[float], value: str
) -> None:
    fetched(feed_server, destination, status(429, {"Retry-After": value}), whole(BODY))
    assert destination.read_bytes() == BODY
    assert len(pauses) == 1
    assert 0 <= pauses[0] <= IMPATIENT.longest_pause


def test_pauses_are_random_below_a_bound_that_doubles_up_to_the_longest(
    feed_server: FeedServer, destination: Path, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    bounds: list[tuple[float, float]] = []

    def highest(low: float, high: float) -> float:
        bounds.append((low, high))
        return high

    monkeypatch.setattr(random, "uniform", highest)
    feed_server.serve(WEEK, status(503))
    with pytest.raises(TransientFeedError):
        Feed(feed_server.url, replace(IMPATIENT, tries=6, first_pause=1, longest_pause=6)).fetch(WEEK, destination)
    assert pauses == [1, 2, 4, 6, 6]
    assert {low for low, _ in bounds} == {0}


# What does not pass fails at once.


@pytest.mark.parametrize("code", [404, 410])
def test_a_file_that_is_not_there_is_not_published(feed_server: FeedServer, destination: Path, code: int) -> None:
    fault = refused(feed_server, destination, status(code, reason="Gone Fishing"))
    assert isinstance(fault, NotPublished)
    assert f"found {code} Gone Fishing; expected the week's file" in str(fault)
    assert "retired" in str(fault)
    assert "MTA_FEED_URL" in str(fault)
    assert tries(feed_server) == 1


@pytest.mark.parametrize("code", [204, 304, 400, 401, 403, 405, 451, 501])
def test_any_other_answer_is_final(feed_server: FeedServer, destination: Path, code: int) -> None:
    # These two statuses have no body.
    fault = refused(feed_server, destination, status(code, reason="No", body=b"" if code in (204, 304) else b"no"))
    assert not isinstance(fault, NotPublished | TransientFeedError)
    assert f"found {code} No" in str(fault)
    assert "check MTA_FEED_URL and your access" in str(fault)
    assert tries(feed_server) == 1


def test_a_body_without_end_is_cut_off_at_the_cap(feed_server: FeedServer, destination: Path) -> None:
    feed_server.serve(WEEK, endless())
    with pytest.raises(FeedError, match=r"found more than 5,000,000 bytes; expected a weekly file") as caught:
        Feed(feed_server.url, IMPATIENT, most_bytes=5_000_000).fetch(WEEK, destination)
    assert not isinstance(caught.value, TransientFeedError)
    assert destination.stat().st_size <= 5_000_000
    assert tries(feed_server) == 1


def test_a_file_of_exactly_as_many_bytes_as_allowed_arrives(feed_server: FeedServer, destination: Path) -> None:
    feed_server.serve(WEEK, whole(BODY))
    assert Feed(feed_server.url, IMPATIENT, most_bytes=len(BODY)).fetch(WEEK, destination).size == len(BODY)
    with pytest.raises(FeedError, match="more than"):
        Feed(feed_server.url, IMPATIENT, most_bytes=len(BODY) - 1).fetch(WEEK, destination)


@pytest.mark.parametrize("encoding", ["gzip", "br", "GZIP", "identity, gzip", "nonsense"])
@pytest.mark.parametrize("length", [True, False], ids=["with Content-Length", "without"])
def test_an_encoding_that_nobody_asked_for_is_refused(
    feed_server: FeedServer, destination: Path, encoding: str, length: bool
) -> None:
    """Cut midway it would unpack to half a file, and nothing would tell."""
    cut_off = gzip.compress(BODY)[:10_000]
    fault = refused(feed_server, destination, whole(cut_off, length, {"Content-Encoding": encoding}))
    assert not isinstance(fault, TransientFeedError)
    assert f"found an answer in the encoding {encoding!r}; expected the file as it is" in str(fault)
    assert "compresses unasked: point MTA_FEED_URL at another mirror" in str(fault)
    assert tries(feed_server) == 1


def test_a_redirect_in_circles_is_told_and_not_tried_again(feed_server: FeedServer, destination: Path) -> None:
    fault = refused(feed_server, destination, redirect(f"/{WEEK.file_name}"))
    assert not isinstance(fault, TransientFeedError)
    assert "redirects" in str(fault)
    assert "Point MTA_FEED_URL at its final address" in str(fault)
    assert tries(feed_server) == 6


@pytest.mark.parametrize("location", ["ftp://example.invalid/file", "http://[::1", "http://example.invalid:port/"])
def test_a_redirect_to_an_address_that_cannot_be_used_is_a_feed_error(
    feed_server: FeedServer, destination: Path, location: str
) -> None:
    refused(feed_server, destination, redirect(location))


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("ftp://example.invalid/file", "http to ftp://example.invalid/file"),
        ("file:///etc/passwd", "http to file:///etc/passwd"),
        (f"ftp://u:{'top-secret'}@example.invalid/f?token=top-secret", "http to ftp://***@example.invalid/f?***"),
    ],
)
def test_a_redirect_to_what_is_no_web_address_is_not_followed(
    feed_server: FeedServer, destination: Path, location: str, told: str
) -> None:
    fault = refused(feed_server, destination, redirect(location))
    assert not isinstance(fault, TransientFeedError)
    assert f"found a redirect from {told}; expected one to an http(s):// address" in str(fault)
    assert tries(feed_server) == 1


def test_a_redirect_out_of_tls_is_not_followed(destination: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def send(adapter: object, request: requests.PreparedRequest, **_: object) -> requests.Response:
        asked.append(request.url or "")
        answer = requests.Response()
        answer.request = request
        answer.status_code, answer.url, answer.raw = 302, request.url or "", urllib3.HTTPResponse(io.BytesIO())
        step = asked[-1].rpartition("/")[2]
        answer.headers["Location"] = {WEEK.file_name: "https://b.invalid/1", "1": "http://c.invalid/2"}[step]
        return answer

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    with pytest.raises(FeedError) as caught:
        Feed("http://a.invalid", IMPATIENT).fetch(WEEK, destination)
    assert "a redirect from https to http://c.invalid/2; expected one to an https:// address" in str(caught.value)
    assert asked == [f"http://a.invalid/{WEEK.file_name}", "https://b.invalid/1"]


@pytest.mark.parametrize(("number", "arrives"), [(5, True), (6, False)])
def test_five_redirects_are_followed_and_no_more(
    feed_server: FeedServer, destination: Path, number: int, arrives: bool
) -> None:
    for n in range(1, number):
        feed_server.serve_path(f"/{n}", redirect(f"/{n + 1}"))
    feed_server.serve_path(f"/{number}", whole(BODY))
    if arrives:
        fetched(feed_server, destination, redirect("/1"))
        assert destination.read_bytes() == BODY
    else:
        assert "found more than 5 redirects" in str(refused(feed_server, destination, redirect("/1")))


@pytest.mark.parametrize("url", ["http://localhost:port/feed", "http:///feed", "http://[::1/feed", "http://*/feed"])
def test_an_address_that_cannot_be_used_is_a_feed_error(destination: Path, url: str) -> None:
    with pytest.raises(FeedError, match="MTA_FEED_URL"):
        Feed(url, IMPATIENT).fetch(WEEK, destination)


# Resuming.


def test_a_cut_stream_goes_on_where_it_broke_off_if_the_server_proves_it_can(
    feed_server: FeedServer, destination: Path
) -> None:
    report = fetched(feed_server, destination, cut(BODY, MIDDLE, headers={"ETag": '"a"'}), ranged(BODY, '"a"'))
    assert destination.read_bytes() == BODY
    assert (report.size, report.sha256) == (len(BODY), hashlib.sha256(BODY).hexdigest())
    assert ranges(feed_server) == [None, f"bytes={MIDDLE}-"]
    assert feed_server.requests_for(WEEK)[1].headers["if-range"] == '"a"'


def test_several_cuts_are_resumed_one_after_the_other(feed_server: FeedServer, destination: Path) -> None:
    fetched(
        feed_server,
        destination,
        cut(BODY, 1_000, headers={"ETag": '"a"'}),
        # Right range, but the connection ends before its end.
        part(BODY, 1_000, MIDDLE, claimed=f"bytes 1000-{len(BODY) - 1}/{len(BODY)}", etag='"a"'),
        ranged(BODY, '"a"'),
    )
    assert destination.read_bytes() == BODY
    assert ranges(feed_server) == [None, "bytes=1000-", f"bytes={MIDDLE}-"]


def test_a_file_that_changed_between_two_tries_is_fetched_from_its_beginning(
    feed_server: FeedServer, destination: Path
) -> None:
    report = fetched(feed_server, destination, cut(BODY, MIDDLE, headers={"ETag": '"a"'}), ranged(OTHER, '"b"'))
    assert destination.read_bytes() == OTHER
    assert report.sha256 == hashlib.sha256(OTHER).hexdigest()


def test_a_shorter_new_file_leaves_nothing_of_the_longer_old_one(feed_server: FeedServer, destination: Path) -> None:
    short = BODY[: MIDDLE // 2]
    fetched(feed_server, destination, cut(BODY, MIDDLE, headers={"ETag": '"a"'}), ranged(short, '"b"'))
    assert destination.read_bytes() == short


@pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"a"'}], ids=["no ETag", "weak ETag"])
def test_without_a_strong_etag_nothing_is_resumed(
    feed_server: FeedServer, destination: Path, headers: dict[str, str]
) -> None:
    fetched(feed_server, destination, cut(BODY, MIDDLE, headers=headers), whole(BODY))
    assert destination.read_bytes() == BODY
    assert ranges(feed_server) == [None, None]


def test_a_server_that_knows_no_ranges_sends_all_again(feed_server: FeedServer, destination: Path) -> None:
    fetched(feed_server, destination, cut(BODY, MIDDLE, headers={"ETag": '"a"'}), whole(BODY))
    assert destination.read_bytes() == BODY


def wrong_range(begin: int) -> Answer:
    return part(BODY, begin, etag='"a"')


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(wrong_range(0), id="206 with the whole file"),
        pytest.param(wrong_range(MIDDLE - 1), id="206 from a byte too early"),
        pytest.param(wrong_range(MIDDLE + 1), id="206 from a byte too late"),
        pytest.param(part(BODY, MIDDLE, claimed="nonsense"), id="206 with nonsense for a range"),
        pytest.param(status(416, {"Content-Range": f"bytes */{len(BODY)}"}), id="416"),
    ],
)
def test_a_wrong_answer_to_a_range_is_not_taken_and_the_file_is_fetched_from_its_beginning(
    feed_server: FeedServer, destination: Path, answer: Answer
) -> None:
    cut_off = cut(BODY, MIDDLE, headers={"ETag": '"a"'})
    report = fetched(feed_server, destination, cut_off, answer, whole(BODY))
    assert destination.read_bytes() == BODY
    assert report.sha256 == hashlib.sha256(BODY).hexdigest()
    assert ranges(feed_server) == [None, f"bytes={MIDDLE}-", None]


THEN = "Sat, 20 Jan 2024 12:00:00 GMT"
LATER = "Sun, 21 Jan 2024 12:00:00 GMT"


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (
            part(BODY, MIDDLE, claimed=f"bytes {MIDDLE}-{len(BODY) - 1}/{len(BODY) + 9}"),
            "the rest of a file of [0-9,]+ bytes",
        ),
        (part(OTHER, MIDDLE, etag='"b"'), 'the rest of a file with the ETag "b"'),
        (part(OTHER, MIDDLE, etag='"a"', more={"Last-Modified": LATER}), f"the rest of a file of {LATER}"),
    ],
    ids=["another length", "another ETag", "another date"],
)
def test_the_rest_of_another_file_is_not_taken_for_the_rest_of_this_one(
    feed_server: FeedServer, destination: Path, answer: Answer, found: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the server makes of If-Range."""
    cut_off = cut(BODY, MIDDLE, headers={"ETag": '"a"', "Last-Modified": THEN})
    fetched(feed_server, destination, cut_off, answer, whole(BODY))
    assert destination.read_bytes() == BODY
    assert ranges(feed_server) == [None, f"bytes={MIDDLE}-", None]
    assert re.search(f"found {found}; expected the rest of", caplog.text)


def test_a_part_of_unknown_length_is_held_against_the_length_that_was_promised_first(
    feed_server: FeedServer, destination: Path
) -> None:
    short = part(BODY, 1_000, MIDDLE, claimed=f"bytes 1000-{MIDDLE - 1}/*", etag='"a"')
    fetched(feed_server, destination, cut(BODY, 1_000, headers={"ETag": '"a"'}), short, ranged(BODY, '"a"'))
    assert destination.read_bytes() == BODY
    assert ranges(feed_server) == [None, "bytes=1000-", f"bytes={MIDDLE}-"]


def stopped(server: FeedServer, destination: Path, headers: dict[str, str]) -> int:
    """A fetch that was stopped when some of the file was there: how many bytes, half of it at most."""
    stop = threading.Event()
    server.serve(WEEK, stalling(BODY, MIDDLE, headers=headers))
    fetch = threading.Thread(
        target=lambda: suppressed(Stopped, Feed(server.url, PATIENT).fetch, WEEK, destination, stop)
    )
    fetch.start()
    while not (destination.exists() and destination.stat().st_size):
        assert not stop.wait(0.01)
    stop.set()
    fetch.join(10)
    assert not fetch.is_alive()
    server.requests.clear()
    return destination.stat().st_size


def suppressed(kind: type[Exception], call: Callable[..., object], *arguments: object) -> None:
    with suppress(kind):
        call(*arguments)


def test_a_stopped_fetch_is_resumed_by_the_next_one(feed_server: FeedServer, destination: Path) -> None:
    kept = stopped(feed_server, destination, {"ETag": '"a"'})
    assert kept <= MIDDLE
    report = fetched(feed_server, destination, ranged(BODY, '"a"'))
    assert ranges(feed_server) == [f"bytes={kept}-"]
    assert destination.read_bytes() == BODY
    assert (report.size, report.sha256) == (len(BODY), hashlib.sha256(BODY).hexdigest())
    assert list(destination.parent.iterdir()) == [destination]


@pytest.mark.parametrize("spoilt", ["no ETag", "other bytes", "no origin", "another feed", "another file"])
def test_a_stopped_fetch_that_cannot_be_resumed_begins_at_the_beginning(
    feed_server: FeedServer, destination: Path, spoilt: str
) -> None:
    kept = stopped(feed_server, destination, {} if spoilt == "no ETag" else {"ETag": '"a"'})
    if spoilt == "other bytes":
        destination.write_bytes(OTHER[:MIDDLE])
    elif spoilt == "no origin":
        path_of(destination).unlink()
    elif spoilt == "another feed":
        path_of(destination).write_text(path_of(destination).read_text().replace(feed_server.url, "http://elsewhere"))
    fetched(feed_server, destination, ranged(BODY, '"b"' if spoilt == "another file" else '"a"'))
    assert destination.read_bytes() == BODY
    assert ranges(feed_server) == [f"bytes={kept}-" if spoilt == "another file" else None]


def test_a_part_that_nobody_asked_for_is_not_taken_for_the_file(feed_server: FeedServer, destination: Path) -> None:
    refused(feed_server, destination, part(BODY, MIDDLE))
    assert ranges(feed_server) == [None] * IMPATIENT.tries


def test_a_chunked_part_that_ends_too_early_is_not_taken_for_the_rest(
    feed_server: FeedServer, destination: Path
) -> None:
    """Nothing but Content-Range says how much is missing."""
    fetched(
        feed_server,
        destination,
        cut(BODY, 1_000, headers={"ETag": '"a"'}),
        part(BODY, 1_000, MIDDLE, claimed=f"bytes 1000-{len(BODY) - 1}/{len(BODY)}", etag='"a"', in_chunks=True),
        ranged(BODY, '"a"'),
    )
    assert destination.read_bytes() == BODY


def test_after_an_error_page_in_between_the_resumption_still_goes_on_at_the_right_byte(
    feed_server: FeedServer, destination: Path
) -> None:
    cut_off = cut(BODY, MIDDLE, headers={"ETag": '"a"'})
    fetched(feed_server, destination, cut_off, status(503, {"ETag": '"error page"'}), ranged(BODY, '"a"'))
    assert destination.read_bytes() == BODY
    assert ranges(feed_server) == [None, f"bytes={MIDDLE}-", f"bytes={MIDDLE}-"]


# Passwords.


SECRET = "top-secret"


def with_password(url: str) -> str:
    return url.replace("http://", f"http://somebody:{SECRET}@") + f"?token={SECRET}&X-Amz-Signature={SECRET}"


def serve_with_token(server: FeedServer, *answers: Answer) -> None:
    server.serve_path(f"/{WEEK.file_name}?token={SECRET}&X-Amz-Signature={SECRET}", *answers)


def test_password_and_token_are_sent_but_never_shown(feed_server: FeedServer, destination: Path) -> None:
    serve_with_token(feed_server, whole(BODY))
    feed = Feed(with_password(feed_server.url), IMPATIENT)
    report = feed.fetch(WEEK, destination)
    assert feed_server.requests[0].headers["authorization"].startswith("Basic ")
    assert destination.read_bytes() == BODY
    assert SECRET not in report.url + feed.url_of(WEEK)
    assert feed.url_of(WEEK).endswith(f"@{feed_server.url.removeprefix('http://')}/{WEEK.file_name}?***")


@pytest.mark.parametrize(
    "answer",
    [
        status(404),
        status(403),
        status(503),
        cut(BODY, 10),
        silent,
        endless(),
        redirect(f"/{WEEK.file_name}?token=top-secret&X-Amz-Signature=top-secret"),
        redirect("http://no-such-host.invalid/file?sig=top-secret"),
        redirect("http://u:top-secret@[::1/?sig=top-secret"),
    ],
    ids=["404", "403", "503", "cut", "silence", "endless", "redirects", "redirect elsewhere", "redirect nowhere"],
)
def test_no_error_and_no_log_line_shows_password_or_token(
    feed_server: FeedServer, destination: Path, answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    serve_with_token(feed_server, answer)
    patience = replace(IMPATIENT, tries=2, read=0.2)
    with caplog.at_level(logging.INFO, "mta_pipeline"), pytest.raises(FeedError) as caught:
        Feed(with_password(feed_server.url), patience, most_bytes=1_000_000).fetch(WEEK, destination)
    assert SECRET not in str(caught.value)
    assert SECRET not in caplog.text


def test_not_even_the_http_library_logs_password_or_token(
    feed_server: FeedServer, destination: Path, caplog: pytest.LogCaptureFixture
) -> None:
    serve_with_token(feed_server, whole(BODY, headers={"no colon\r\nBroken": "header"}))
    with caplog.at_level(logging.DEBUG):
        Feed(with_password(feed_server.url), IMPATIENT).fetch(WEEK, destination)
    assert "Failed to parse headers" in caplog.text
    assert f"{WEEK.file_name}?***" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    "url",
    [f"http://somebody:{SECRET}@localhost:port/feed", f"http://somebody:{SECRET}@no-such-host.invalid/feed",
     f"http://somebody:{SECRET}@/feed", f"http://somebody:{SECRET}@*/feed",
     f"http://no-such-host.invalid/feed?token={SECRET}", f"http://localhost:port/feed?token={SECRET}",
     f"http://*/feed?{SECRET}"],
    ids=["no port", "unknown host", "no host", "no such host name", "unknown host, token", "no port, token",
         "no such host name, token"],
)  # fmt: skip
def test_no_error_about_the_address_shows_password_or_token(destination: Path, url: str) -> None:
    with pytest.raises(FeedError) as caught:
        Feed(url, replace(IMPATIENT, tries=1)).fetch(WEEK, destination)
    assert SECRET not in str(caught.value)


# A folder as the feed.


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "a feed, 100% local"
    folder.mkdir()
    return folder


def test_a_file_is_copied_from_a_folder(folder: Path, destination: Path) -> None:
    (folder / WEEK.file_name).write_bytes(BODY)
    report = Feed(folder.as_uri(), IMPATIENT).fetch(WEEK, destination)
    assert destination.read_bytes() == BODY
    assert (report.size, report.sha256, report.tries) == (len(BODY), hashlib.sha256(BODY).hexdigest(), 1)


def test_a_scheme_in_capitals_means_the_same(folder: Path, destination: Path) -> None:
    (folder / WEEK.file_name).write_bytes(BODY)
    url = Settings.from_environment({"MTA_FEED_URL": folder.as_uri().replace("file:", "FILE:")}).feed_url
    Feed(url, IMPATIENT).fetch(WEEK, destination)
    assert destination.read_bytes() == BODY


def a_file(folder: Path) -> Path:
    (folder / "a file").write_bytes(b"")
    return folder / "a file"


@pytest.mark.parametrize(
    "feed", [lambda folder: folder, lambda folder: folder / "nothing", a_file], ids=["no file", "no folder", "a file"]
)
def test_a_file_missing_in_a_folder_is_not_published(
    folder: Path, destination: Path, feed: Callable[[Path], Path]
) -> None:
    with pytest.raises(NotPublished) as caught:
        Feed(feed(folder).as_uri(), IMPATIENT).fetch(AFTER, destination)
    assert str(caught.value).startswith(f"Week {AFTER.key}: {feed(folder).as_uri()}/{AFTER.file_name}: ")
    assert "no such file" in str(caught.value)
    assert "MTA_FEED_URL" in str(caught.value)


def test_a_folder_in_the_files_place_is_a_feed_error_that_says_so(folder: Path, destination: Path) -> None:
    (folder / WEEK.file_name).mkdir()
    with pytest.raises(FeedError, match="IsADirectoryError"):
        Feed(folder.as_uri(), IMPATIENT).fetch(WEEK, destination)


def test_a_folder_that_fails_while_it_is_read_is_not_told_as_a_fault_of_staging(
    folder: Path, destination: Path
) -> None:
    """`/proc/self/mem` can be opened, and its first byte cannot be read."""
    (folder / WEEK.file_name).symlink_to("/proc/self/mem")
    with pytest.raises(FeedError) as caught:
        Feed(folder.as_uri(), IMPATIENT).fetch(WEEK, destination)
    assert f"{folder.as_uri()}/{WEEK.file_name}: found OSError (Input/output error)" in str(caught.value)
    assert "MTA_FEED_URL" in str(caught.value)


def test_a_folder_that_does_not_answer_meets_the_deadline(folder: Path, destination: Path) -> None:
    os.mkfifo(folder / WEEK.file_name)
    with pytest.raises(TransientFeedError, match=r"0 bytes in .* too slow"):
        Feed(folder.as_uri(), replace(IMPATIENT, attempt=0.2, tries=2)).fetch(WEEK, destination)
    for _ in range(2):  # let the two readers go that wait for a writer
        os.close(os.open(folder / WEEK.file_name, os.O_RDWR | os.O_NONBLOCK))


def test_a_local_file_beyond_the_cap_is_refused(folder: Path, destination: Path) -> None:
    (folder / WEEK.file_name).write_bytes(BODY)
    with pytest.raises(FeedError, match="more than 1,000 bytes"):
        Feed(folder.as_uri(), IMPATIENT, most_bytes=1_000).fetch(WEEK, destination)


# Where it goes.


def test_a_destination_that_cannot_be_written_is_a_staging_error(feed_server: FeedServer, unwritable: Path) -> None:
    feed_server.serve(WEEK, whole(BODY))
    with pytest.raises(StagingError, match="MTA_STAGING_DIR") as caught:
        Feed(feed_server.url, IMPATIENT).fetch(WEEK, unwritable / "file")
    assert WEEK.key in str(caught.value)
    assert tries(feed_server) == 0


def test_a_full_disk_is_a_staging_error_and_not_tried_again(feed_server: FeedServer, small_disk: Path) -> None:
    feed_server.serve(WEEK, whole(b"0" * 3_000_000))
    with pytest.raises(StagingError) as caught:
        Feed(feed_server.url, IMPATIENT).fetch(WEEK, small_disk / "file")
    assert "No space left on device" in str(caught.value)
    assert "Free some space" in str(caught.value)
    assert str(small_disk / "file") in str(caught.value)
    assert tries(feed_server) == 1


def test_the_time_that_a_fetch_took_is_told(feed_server: FeedServer, destination: Path) -> None:
    begin = time.monotonic()
    report = fetched(feed_server, destination, whole(BODY))
    assert 0 < report.seconds <= time.monotonic() - begin


@pytest.mark.parametrize("code", [404, 410])
def test_a_week_that_is_not_out_has_no_version_and_is_asked_about_once(feed_server: FeedServer, code: int) -> None:
    feed_server.serve(WEEK, status(code))
    assert Feed(feed_server.url, IMPATIENT).published(WEEK) is None
    assert [request.method for request in feed_server.requests] == ["HEAD"]


@pytest.mark.parametrize(
    ("headers", "version"),
    [
        ({"Last-Modified": "Sat, 20 Jan 2024 09:00:00 GMT", "ETag": '"a"'}, "Sat, 20 Jan 2024 09:00:00 GMT"),
        ({"ETag": '"a"'}, '"a"'),
        ({}, ""),
    ],
)
def test_the_version_of_a_file_is_the_same_before_and_after_it_is_fetched(
    feed_server: FeedServer, destination: Path, headers: dict[str, str], version: str
) -> None:
    feed_server.serve(WEEK, whole(BODY, headers=headers))
    feed = Feed(feed_server.url, IMPATIENT)
    assert feed.published(WEEK) == version
    assert feed.fetch(WEEK, destination).version == version


@pytest.mark.parametrize("code", [405, 501])
def test_a_server_that_knows_no_head_is_asked_for_one_byte(feed_server: FeedServer, code: int) -> None:
    feed_server.serve(WEEK, status(code), part(BODY, 0, 1, etag='"a"'))
    assert Feed(feed_server.url, IMPATIENT).published(WEEK) == '"a"'
    assert [request.method for request in feed_server.requests] == ["HEAD", "GET"]
    assert feed_server.requests[1].headers["range"] == "bytes=0-0"


def test_a_server_that_sends_the_whole_file_all_the_same_is_not_listened_to(feed_server: FeedServer) -> None:
    feed_server.serve(WEEK, status(501), endless())
    assert Feed(feed_server.url, IMPATIENT).published(WEEK) == ""


@pytest.mark.parametrize("answer", [status(503), silent, status(403)], ids=["503", "silence", "403"])
def test_asking_is_not_tried_again(feed_server: FeedServer, answer: Answer) -> None:
    feed_server.serve(WEEK, answer)
    with pytest.raises(FeedError) as caught:
        Feed(feed_server.url, IMPATIENT).published(WEEK)
    assert WEEK.key in str(caught.value)
    assert len(feed_server.requests) == 1


def test_a_redirect_is_followed_when_asking(feed_server: FeedServer) -> None:
    feed_server.serve(WEEK, redirect("/elsewhere"))
    feed_server.serve_path("/elsewhere", whole(BODY, headers={"ETag": '"b"'}))
    assert Feed(feed_server.url, IMPATIENT).published(WEEK) == '"b"'


def test_a_file_in_a_folder_has_a_version_from_when_it_is_there_and_another_when_it_is_replaced(
    tmp_path: Path, destination: Path
) -> None:
    feed = Feed(tmp_path.as_uri())
    assert feed.published(WEEK) is None
    (tmp_path / WEEK.file_name).write_bytes(b"one")
    version = feed.published(WEEK)
    assert version
    assert feed.fetch(WEEK, destination).version == version
    (tmp_path / WEEK.file_name).write_bytes(b"another")
    assert feed.published(WEEK) not in (None, version)
