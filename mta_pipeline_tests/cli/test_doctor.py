"""What `mta-pipeline doctor` promises: a line for each thing, what to do, an exit code, and no trace of its own."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster._daemon.types import DaemonHeartbeat
from pytest_httpserver import HTTPServer

from mta_pipeline.cli import doctor
from mta_pipeline.cli.main import main
from mta_pipeline.domain.sample import write_feed
from mta_pipeline.domain.weeks import Week
from mta_pipeline_tests.feed_server import FeedServer, status, whole
from mta_pipeline_tests.gcs_server import GcsServer

WEEK = Week.parse("2024-01-06")
Setup = Callable[..., dict[str, tuple[str, str]]]


@pytest.fixture
def examine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setup:
    """Run the doctor in a user's shell with these settings; gives level and text by what was looked at."""
    for name in os.environ:
        if name.startswith(("MTA_", "DAGSTER_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    list(write_feed(tmp_path / "feed", [WEEK], rows=300))
    defaults = {
        "MTA_FEED_URL": (tmp_path / "feed").as_uri(),
        "MTA_FEED_SCALE": "0.0012",
        "MTA_FIRST_WEEK": WEEK.key,
        "MTA_LAST_WEEK": WEEK.key,
        "MTA_LAKE_URL": str(tmp_path / "lake"),
        "MTA_STAGING_DIR": str(tmp_path / "staging"),
        "DAGSTER_HOME": str(tmp_path / "home"),
        "MTA_UI_URL": f"http://127.0.0.1:{_free_port()}",
    }

    def run(expect: int = 0, **settings: str) -> dict[str, tuple[str, str]]:
        for name, value in (defaults | settings).items():
            monkeypatch.setenv(name, value)
        done = CliRunner().invoke(main, ["doctor"])
        assert done.exit_code == expect, done.output
        # Level and name stand in columns of fixed widths.
        lines = [(line[:9].strip(), line[9:24].strip(), line[24:]) for line in done.output.splitlines()]
        return {what: (level, text) for level, what, text in lines}

    return run


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_good_set_up_that_was_never_used_fails_nowhere_and_is_left_as_it_was(examine: Setup, tmp_path: Path) -> None:
    found = examine()
    assert found["Python"][0] == "ok"
    assert found["lake"] == ("ok", f"{tmp_path / 'lake'}, to be made, {found['lake'][1].split(', ')[-1]}")
    assert found["feed"] == ("ok", f"{(tmp_path / 'feed').as_uri()} has the newest week, {WEEK}")
    assert found["alerts"][0] == found["UI"][0] == found["daemon"][0] == "warning"
    assert "`make ui` starts it" in found["UI"][1]
    assert [path.name for path in tmp_path.iterdir()] == ["feed"]


def test_a_feed_without_the_newest_week_is_a_warning(examine: Setup, feed_server: FeedServer) -> None:
    feed_server.serve(WEEK, status(404))
    level, text = examine(MTA_FEED_URL=feed_server.url)["feed"]
    assert level == "warning"
    assert f"answers, but has no file for the newest week, {WEEK}" in text
    assert "MTA_LAST_WEEK" in text


def test_a_feed_is_asked_for_no_more_than_a_header(examine: Setup, feed_server: FeedServer) -> None:
    feed_server.serve(WEEK, whole(b"x" * 1000))
    assert examine(MTA_FEED_URL=feed_server.url)["feed"][0] == "ok"
    assert [request.method for request in feed_server.requests] == ["HEAD"]


def test_a_feed_that_cannot_be_reached_fails_without_its_password(examine: Setup) -> None:
    level, text = examine(expect=1, MTA_FEED_URL=f"http://me:secret@127.0.0.1:{_free_port()}/feed")["feed"]
    assert level == "failed"
    assert "found no connection" in text
    assert "secret" not in text


def test_a_proxy_that_refuses_is_named_as_the_culprit(examine: Setup) -> None:
    proxy = f"http://me:secret@127.0.0.1:{_free_port()}"
    level, text = examine(expect=1, MTA_FEED_URL="http://feed.example/turnstile", HTTP_PROXY=proxy, http_proxy=proxy)[
        "feed"
    ]
    assert level == "failed"
    assert "no way through the proxy" in text
    assert "HTTP_PROXY" in text
    assert "secret" not in text


def test_a_feed_folder_that_is_not_there_fails(examine: Setup, tmp_path: Path) -> None:
    level, text = examine(expect=1, MTA_FEED_URL=(tmp_path / "elsewhere").as_uri())["feed"]
    assert level == "failed"
    assert "found no such folder" in text


def test_a_folder_that_nobody_may_write_fails(examine: Setup, unwritable: Path) -> None:
    found = examine(expect=1, MTA_LAKE_URL=str(unwritable))
    assert found["lake"][0] == "failed"
    assert "MTA_LAKE_URL" in found["lake"][1]
    assert found["staging"][0] == "ok"


def test_a_disk_that_is_nearly_full_is_a_warning(examine: Setup, small_disk: Path) -> None:
    level, text = examine(MTA_STAGING_DIR=str(small_disk / "staging"), MTA_FEED_SCALE="1")["staging"]
    assert level == "warning"
    assert "0.0 GB free; expected 2 GB" in text


def test_a_setting_that_cannot_be_meant_fails_and_ends_the_examination(examine: Setup) -> None:
    found = examine(expect=1, MTA_LAST_WEEK="yesterday")
    assert list(found) == ["Python", "settings"]
    assert found["settings"][0] == "failed"
    assert "expected a date as YYYY-MM-DD" in found["settings"][1]


def test_a_python_that_is_too_old_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2, "final", 0))
    found = doctor.python()
    assert found.level is doctor.Level.FAILED
    assert "expected 3.10 to 3.13" in found.text


def test_a_bucket_is_asked_what_the_credentials_may_do_and_nothing_is_put_there(
    examine: Setup, httpserver: HTTPServer
) -> None:
    held = {"permissions": ["storage.objects.get", "storage.objects.create", "storage.objects.delete"]}
    httpserver.expect_request("/storage/v1/b/ours/iam/testPermissions").respond_with_json(held)
    host = httpserver.url_for("").rstrip("/")
    assert examine(MTA_LAKE_URL="gs://ours/lake", STORAGE_EMULATOR_HOST=host)["lake"][0] == "ok"
    assert [request.method for request, _ in httpserver.log] == ["GET"]


def test_a_stand_in_for_a_bucket_that_knows_no_rights_is_looked_at(examine: Setup, gcs_server: GcsServer) -> None:
    gcs_server.recover()
    gcs_server.create_bucket("doctors")
    gcs_server.requests.clear()
    assert examine(MTA_LAKE_URL="gs://doctors/lake", STORAGE_EMULATOR_HOST=gcs_server.url)["lake"][0] == "ok"
    assert {asked.method for asked in gcs_server.requests} == {"GET"}


def test_credentials_that_lack_a_right_fail(examine: Setup, httpserver: HTTPServer) -> None:
    held = {"permissions": ["storage.objects.get"]}
    httpserver.expect_request("/storage/v1/b/lent/iam/testPermissions").respond_with_json(held)
    host = httpserver.url_for("").rstrip("/")
    level, text = examine(expect=1, MTA_LAKE_URL="gs://lent", STORAGE_EMULATOR_HOST=host)["lake"]
    assert level == "failed"
    assert "without storage.objects.create, storage.objects.delete" in text
    assert "roles/storage.objectUser on gs://lent" in text


def test_a_bucket_that_does_not_exist_fails(examine: Setup, httpserver: HTTPServer) -> None:
    answer = {"error": {"code": 404, "message": "The specified bucket does not exist."}}
    httpserver.expect_request("/storage/v1/b/gone/iam/testPermissions").respond_with_json(answer, status=404)
    host = httpserver.url_for("").rstrip("/")
    level, text = examine(expect=1, MTA_LAKE_URL="gs://gone", STORAGE_EMULATOR_HOST=host)["lake"]
    assert level == "failed"
    assert "no such bucket" in text


def test_another_program_at_the_address_of_the_ui_is_told_from_dagster(examine: Setup, httpserver: HTTPServer) -> None:
    address = httpserver.url_for("").rstrip("/")
    httpserver.expect_request("/server_info").respond_with_data("hello")
    level, text = examine(MTA_UI_URL=address)["UI"]
    assert (level, "found another program" in text) == ("warning", True)
    httpserver.clear()
    httpserver.expect_request("/server_info").respond_with_data(json.dumps({"dagster_webserver_version": "1.13.27"}))
    assert examine(MTA_UI_URL=address)["UI"] == ("ok", f"{address}, Dagster 1.13.27")


@pytest.mark.parametrize(("ago", "level"), [(10.0, "ok"), (600.0, "warning")])
def test_a_daemon_that_was_not_heard_of_for_minutes_does_not_run(
    examine: Setup, tmp_path: Path, ago: float, level: str
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - ago, "SENSOR", None, None))
    found = examine()
    assert found["daemon"][0] == level
    assert found["weekly_ingest"] == (
        "warning",
        "off: new weeks come only when asked for. In the UI: Automation → weekly_ingest",
    )


def test_no_heartbeat_means_that_the_daemon_never_ran(examine: Setup, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "dagster.yaml").write_text("telemetry: {enabled: false}")
    with dg.DagsterInstance.from_config(str(tmp_path / "home")):
        pass
    assert "has never run" in examine()["daemon"][1]
