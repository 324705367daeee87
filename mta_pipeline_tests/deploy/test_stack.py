"""The stack itself, as `make up` has brought it up on a Docker engine: `make test-stack`."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

pytestmark = pytest.mark.stack

UI = f"127.0.0.1:{os.environ.get('UI_PORT') or 3000}"
SERVICES = ("webserver", "daemon", "code", "postgres", "gcs", "feed")


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout


def inside(service: str, *command: str) -> str:
    return docker("exec", f"mta-pipeline-{service}-1", *command)


def fetched(url: str) -> bytes:
    """What a container of the network gets from `url`."""
    script = "import sys, urllib.request as r; sys.stdout.write(r.urlopen(sys.argv[1]).read().hex())"
    return bytes.fromhex(inside("webserver", "python", "-c", script, url))


def until(what: Callable[[], Any], seconds: float) -> Any:
    """What `what` gives once that is true."""
    end = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < end, f"nothing within {seconds} s"
        time.sleep(0.2)
    return value


def ask(query: str) -> Any:
    answer = requests.post(f"http://{UI}/graphql", json={"query": query}, timeout=30).json()
    assert "errors" not in answer, answer
    return answer["data"]


@pytest.fixture(scope="module")
def weeks() -> list[dict[str, Any]]:
    """The weeks whose files the feed has, newest first."""
    published = fetched("http://feed:8000/").decode()
    calendar = json.loads(inside("webserver", "mta-pipeline", "weeks", "--json"))["weeks"]
    return [week for week in reversed(calendar) if week["file"] in published]


def launch(week: dict[str, Any]) -> str:
    launched = ask(
        "mutation {launchRun(executionParams: {"
        "selector: "
        '{repositoryLocationName: "mta_pipeline", repositoryName: "__repository__", jobName: "ingest_weeks"}, '
        f'executionMetadata: {{tags: [{{key: "dagster/partition", value: "{week["week"]}"}}]}}'
        "}) {... on LaunchRunSuccess {run {id}} ... on PythonError {message}}}"
    )["launchRun"]
    return str(launched["run"]["id"])


def status(run: str) -> str:
    return str(ask(f'{{runOrError(runId: "{run}") {{... on Run {{status}}}}}}')["runOrError"]["status"])


def ended(run: str, seconds: float = 180) -> str:
    """How the run ended, once it has."""
    until(lambda: status(run) in ("SUCCESS", "FAILURE", "CANCELED"), seconds)
    return status(run)


def tags(run: str) -> dict[str, str]:
    found = ask(f'{{runOrError(runId: "{run}") {{... on Run {{tags {{key value}}}}}}}}')["runOrError"]["tags"]
    return {tag["key"]: tag["value"] for tag in found}


@pytest.fixture(scope="module")
def good_run(weeks: list[dict[str, Any]]) -> str:
    run = launch(weeks[0])
    assert ended(run) == "SUCCESS"
    return run


def test_every_service_is_healthy() -> None:
    for service in SERVICES:
        health = docker("inspect", "--format", "{{.State.Health.Status}}", f"mta-pipeline-{service}-1").strip()
        assert health == "healthy", service


def test_nothing_runs_as_root_but_the_database_which_steps_down_itself() -> None:
    for service in SERVICES:
        owner = docker("top", f"mta-pipeline-{service}-1", "-o", "pid,uid,args").splitlines()[1:]
        users = {line.split()[1] for line in owner if "docker-init" not in line}
        if service != "postgres":
            assert users == {"10001"}, service


def test_no_service_can_write_into_its_own_image() -> None:
    for service in SERVICES:
        state = json.loads(docker("inspect", f"mta-pipeline-{service}-1"))[0]["HostConfig"]
        assert state["ReadonlyRootfs"], service
        assert state["CapDrop"] == ["ALL"], service


def test_a_week_goes_through_a_container_of_its_own_into_the_bucket(good_run: str, weeks: list[dict[str, Any]]) -> None:
    assert tags(good_run)["dagster/image"] == "mta-pipeline:local"
    assert tags(good_run)["docker/container_id"]
    name = weeks[0]["file"].removesuffix(".txt")
    stored = fetched(f"http://gcs:4443/storage/v1/b/lake/o/turnstile%2F{name}.csv.gz?alt=media")
    assert gzip.decompress(stored) == fetched(f"http://feed:8000/{weeks[0]['file']}")


def test_the_containers_of_runs_are_gone_once_they_are_through(good_run: str) -> None:
    until(lambda: docker("ps", "--all", "--quiet", "--filter", f"label=dagster/run_id={good_run}") == "", 30)


def test_what_a_run_printed_is_in_the_logs_bucket(good_run: str) -> None:
    listed = json.loads(fetched("http://gcs:4443/storage/v1/b/logs/o"))
    assert any(good_run in item["name"] for item in listed["items"])


def test_the_command_line_works_inside_and_sees_the_same_weeks(good_run: str, weeks: list[dict[str, Any]]) -> None:
    calendar = json.loads(inside("webserver", "mta-pipeline", "weeks", "--json"))["weeks"]
    assert [week["week"] for week in calendar if week["in_lake"]][-1] == weeks[0]["week"]


def test_a_run_whose_container_is_killed_is_started_again_by_itself(weeks: list[dict[str, Any]]) -> None:
    docker("pause", "mta-pipeline-feed-1")  # so that the run is still at it
    try:
        run = launch(weeks[1])
        until(lambda: status(run) == "STARTED", 60)
        docker("kill", docker("ps", "--quiet", "--filter", f"label=dagster/run_id={run}").strip())
    finally:
        docker("unpause", "mta-pipeline-feed-1")
    assert ended(run) == "FAILURE"
    again = until(lambda: tags(run).get("dagster/auto_retry_run_id"), 120)
    assert ended(again) == "SUCCESS"


@pytest.fixture
def _stack_restarted() -> None:
    docker("restart", *(f"mta-pipeline-{service}-1" for service in ("postgres", "code", "webserver", "daemon")))
    health = "{{.State.Health.Status}}"
    until(lambda: docker("inspect", "--format", health, "mta-pipeline-daemon-1").strip() == "healthy", 120)


@pytest.mark.usefixtures("_stack_restarted")
def test_after_a_restart_the_record_is_still_there(good_run: str) -> None:
    assert status(good_run) == "SUCCESS"
