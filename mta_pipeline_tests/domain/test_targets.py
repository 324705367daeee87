"""That messages arrive, over mail and a webhook of this machine, and what is said when they don't."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator

import apprise
import pytest
import requests
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from mta_pipeline.domain.alerts import Kind, Message
from mta_pipeline.domain.targets import Target, send, targets_of
from mta_pipeline_tests.alert_sinks import SECRET, MailSink, Webhook, serving_mail

MESSAGE = Message(
    Kind.FAILURE, "MTA turnstiles: 1 of 8 weeks failed", "Failed:\n- Week 2024-01-06: <no> file\nhttp://ui"
)


@pytest.fixture
def mail() -> Iterator[MailSink]:
    with serving_mail() as sink:
        yield sink


@pytest.fixture
def webhook(httpserver: HTTPServer) -> Webhook:
    return Webhook(httpserver)


def one(url: str, patience: float = 10.0) -> str:
    """What is said of the one target, which does not take the message."""
    [finding] = send(MESSAGE, targets_of([url]), patience).values()
    assert finding
    return str(finding)


def test_a_mail_has_the_title_as_its_subject_and_says_the_whole_message(mail: MailSink) -> None:
    assert send(MESSAGE, targets_of([mail.url])) == {"1 (mailto)": None}
    [received] = mail.mails
    assert received["Subject"] == MESSAGE.title
    assert received["To"] == "ops@example.org"
    body = received.get_body()
    assert body
    assert body.get_content().strip().splitlines() == MESSAGE.body.splitlines()


def test_a_webhook_gets_title_message_and_kind(webhook: Webhook) -> None:
    assert send(MESSAGE, targets_of([webhook.url])) == {"1 (json)": None}
    [received] = webhook.messages
    assert (received["title"], received["message"], received["type"]) == (MESSAGE.title, MESSAGE.body, "failure")


def test_what_is_too_long_for_a_service_is_cut_at_its_end(webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    service = apprise.Apprise.instantiate(webhook.url)
    assert service
    monkeypatch.setattr(type(service), "body_maxlen", 100)
    send(Message(Kind.FAILURE, "a title", "http://ui/runs/1\n" + "x" * 5_000), targets_of([webhook.url]))
    [received] = webhook.messages
    assert received["message"].startswith("http://ui/runs/1")
    assert len(received["message"]) <= 100


def test_one_broken_target_takes_nothing_from_the_others(mail: MailSink, webhook: Webhook) -> None:
    findings = send(MESSAGE, targets_of(["slak://x", mail.url, "json://127.0.0.1:1/", webhook.url]))
    assert [name for name, finding in findings.items() if finding] == ["1 (slak)", "3 (json)"]
    assert len(mail.mails) == len(webhook.messages) == 1


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (f"slack://{SECRET}", "1 (slack)"),
        (f"slak://{SECRET}/x", "1 (slak)"),
        (f"hooks.slack.com/{SECRET}", "1 (no address)"),
        (f"json://[::1/{SECRET}", "1 (json)"),
        (f"mailto://{SECRET}", "1 (mailto)"),
    ],
)
def test_an_address_that_cannot_be_used_is_said_to_be_one_without_being_shown(url: str, name: str) -> None:
    text = one(url)
    assert text.startswith(f"alert target {name}: found an address that Apprise cannot use")
    assert "MTA_ALERT_URLS" in text
    assert SECRET not in text


def test_an_answer_that_is_no_success_is_told(webhook: Webhook) -> None:
    webhook.answer(403)
    assert "error=403" in one(webhook.url)


def test_a_wrong_password_for_mail_is_told_without_it(mail: MailSink) -> None:
    text = one(mail.url.replace(SECRET, "wrongpassword"))
    assert "wrongpassword" not in text
    assert not mail.mails


def test_nobody_there_is_told() -> None:
    assert "Connection error" in one(f"json://127.0.0.1:1/{SECRET}")


def test_a_target_that_never_answers_costs_no_more_than_its_time(httpserver: HTTPServer) -> None:
    released = threading.Event()

    def stall(request: Request) -> Response:
        released.wait(60)
        return Response("")

    httpserver.expect_request("/").respond_with_handler(stall)
    begin = time.monotonic()
    try:
        text = one(f"json://{httpserver.host}:{httpserver.port}/?rto=60", patience=0.5)
    finally:
        released.set()
    assert "no answer within 0.5 s" in text
    assert time.monotonic() - begin < 30


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """All that reaches the root logger, debug messages too; not through caplog, which listens elsewhere as well."""
    lines: list[str] = []
    handler = logging.Handler(logging.DEBUG)
    # The two servers are no part of us, and say what they were asked for.
    handler.addFilter(lambda record: record.name not in ("werkzeug", "mail.log"))
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    root, requests_logger = logging.getLogger(), logging.getLogger("urllib3")
    level, requests_level = root.level, requests_logger.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    requests_logger.setLevel(logging.DEBUG)  # Kubernetes' client, for one, quietens it
    try:
        yield lines
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        requests_logger.setLevel(requests_level)


def test_no_part_of_an_address_is_shown_or_logged(
    webhook: Webhook, mail: MailSink, logged: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    requests.get(webhook.server.url_for("/a-request-of-others"), timeout=10)
    assert any("/a-request-of-others" in line for line in logged), "what others ask for is logged"
    webhook.answer(500)
    urls = [webhook.url, mail.url, f"slack://{SECRET}", f"jsons://127.0.0.1:1/x?+token={SECRET}"]
    targets = targets_of([*urls, f"pagerduty://{SECRET}@{SECRET}", f"x{SECRET}"])
    shown = f"{targets} {send(MESSAGE, targets)}"
    captured = capfd.readouterr()
    assert SECRET not in f"{shown} {logged} {captured.out} {captured.err}"


def test_targets_are_known_by_place_and_kind() -> None:
    assert targets_of(["SLACK://a/b/c", "mailto://x"]) == [
        Target("1 (slack)", "SLACK://a/b/c"),
        Target("2 (mailto)", "mailto://x"),
    ]


def test_without_targets_nothing_is_sent() -> None:
    assert send(MESSAGE, []) == {}
