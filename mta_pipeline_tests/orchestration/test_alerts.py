"""What the sensor `alerts` promises, over runs that really happened: one message a run, and none lost."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.remote_origin import ManagedGrpcPythonEnvCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.test_utils import create_run_for_test
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from pytest_httpserver import HTTPServer

from mta_pipeline.cli.runs import report_killed
from mta_pipeline.domain.arrivals import Arrivals
from mta_pipeline.domain.settings import Settings
from mta_pipeline.domain.weeks import Week
from mta_pipeline.orchestration import alerts as module
from mta_pipeline.orchestration import late_files
from mta_pipeline.orchestration.alerts import CURSOR, MOST_WAITING, TRIES, State, alerts
from mta_pipeline.orchestration.checks import LAKE_OBJECT, NO_WEEK_OVERDUE, RAW_CSV
from mta_pipeline_tests.alert_sinks import SECRET, MailSink, Webhook, serving_mail
from mta_pipeline_tests.cli.terminal import Terminal
from mta_pipeline_tests.cli.test_commands import instance_of, stalled
from mta_pipeline_tests.orchestration.project import MIDDLE, NEWEST, OLDEST, THREE_WEEKS, Project

UI = "https://ui.example.org"
EIGHT_WEEKS = [Week(date(2023, 12, 2)).shifted(n) for n in range(8)]


@dataclass
class Sensor:
    """The sensor with its cursor, as the daemon keeps it from tick to tick."""

    instance: dg.DagsterInstance
    cursor: str | None = None

    def tick(self) -> SensorExecutionData:
        answer = alerts.evaluate_tick(dg.build_sensor_context(self.instance, cursor=self.cursor))
        self.cursor = answer.cursor
        assert SECRET not in str(answer)
        return answer

    @property
    def state(self) -> State:
        return CURSOR.validate_json(self.cursor or "{}")


def settings_with(monkeypatch: pytest.MonkeyPatch, *urls: str) -> None:
    settings = Settings.from_environment({"MTA_ALERT_URLS": " ".join(urls), "MTA_UI_URL": UI})
    monkeypatch.setattr(module, "SETTINGS", settings)


@pytest.fixture
def webhook(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Webhook:
    webhook = Webhook(httpserver)
    settings_with(monkeypatch, webhook.url)
    return webhook


@pytest.fixture
def mail() -> Iterator[MailSink]:
    with serving_mail() as sink:
        yield sink


@pytest.fixture
def lake_url(tmp_path: Path) -> str:
    """In a folder alone: what is told of runs does not depend on the lake."""
    return str(tmp_path / "lake")


@pytest.fixture
def sensor(project: Project, webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> Sensor:
    """The sensor, past its first tick, with the webhook set and a feed that has ended: nothing is overdue by itself."""
    monkeypatch.setattr(late_files, "ARRIVALS", Arrivals(OLDEST, NEWEST, timedelta(hours=48)))
    sensor = Sensor(project.instance)
    sensor.tick()
    return sensor


def run_id_of(result: dg.ExecuteInProcessResult) -> str:
    return result.dagster_run.run_id


def test_without_addresses_it_skips_and_says_so(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    settings_with(monkeypatch)
    assert Sensor(project.instance).tick().skip_message == "MTA_ALERT_URLS is not set"


def test_three_failed_weeks_of_eight_are_one_message(project: Project, sensor: Sensor, webhook: Webhook) -> None:
    project.publish_feed(EIGHT_WEEKS)
    bad = [EIGHT_WEEKS[n] for n in (1, 4, 6)]
    for week in bad[:2]:
        project.damage(week)
    project.file(bad[2]).unlink()
    result = project.ingest(EIGHT_WEEKS[0], EIGHT_WEEKS[-1])
    assert sensor.tick().skip_message == "messages sent: 1"
    [message] = webhook.messages
    assert message["title"] == "MTA turnstiles: 3 of 8 weeks failed"
    assert message["type"] == "failure"
    lines = message["message"].splitlines()
    assert lines[:2] == [f"{UI}/runs/{run_id_of(result)}", "Failed:"]
    assert [line[2:18] for line in lines[2:]] == [f"Week {week.key}:" for week in bad]
    assert "the file ends inside this line" in lines[2]
    assert "expected the week's file" in lines[4]
    assert sensor.tick().skip_message == "nothing to tell"
    assert len(webhook.messages) == 1


def test_a_good_run_is_no_news(project: Project, sensor: Sensor, webhook: Webhook) -> None:
    assert project.ingest(OLDEST, NEWEST).success
    assert sensor.tick().skip_message == "nothing to tell"
    assert webhook.messages == []


def test_the_message_comes_by_mail_too(
    project: Project, sensor: Sensor, mail: MailSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings_with(monkeypatch, mail.url)
    project.damage(MIDDLE)
    result = project.ingest(OLDEST, NEWEST)
    sensor.tick()
    [received] = mail.mails
    assert received["Subject"] == "MTA turnstiles: 1 of 3 weeks failed"
    body = received.get_body()
    assert body
    assert f"Week {MIDDLE.key}: " in body.get_content()
    assert f"{UI}/runs/{run_id_of(result)}" in body.get_content()


def test_a_check_that_warned_is_told_though_the_run_went_well(
    project: Project, sensor: Sensor, webhook: Webhook
) -> None:
    header, *rows = project.file(MIDDLE).read_bytes().splitlines(keepends=True)
    leaping = []
    for number, row in enumerate(rows):
        fields = row.rstrip().split(b",")
        fields[9] = b"%010d" % (1_000_000 * (number % 50))
        leaping.append(b",".join(fields).ljust(130) + b"\r\n")
    project.file(MIDDLE).write_bytes(header + b"".join(leaping))
    assert project.ingest(OLDEST, NEWEST).success
    sensor.tick()
    [message] = webhook.messages
    assert message["title"] == "MTA turnstiles: 1 week with a warning"
    assert message["type"] == "warning"
    assert f"- Week {MIDDLE.key}: " in message["message"]


def test_all_is_well_again_once_when_the_last_week_is_good(project: Project, sensor: Sensor, webhook: Webhook) -> None:
    good = {week: project.damage(week) for week in (OLDEST, MIDDLE)}
    project.ingest(OLDEST, NEWEST)
    sensor.tick()
    for week, content in good.items():
        project.file(week).write_bytes(content)
        project.ingest(week)
        sensor.tick()
    project.ingest(OLDEST, NEWEST)
    sensor.tick()
    assert webhook.titles == ["2 of 3 weeks failed", "all well again"]
    assert f"Good again: {OLDEST.key}, {MIDDLE.key}" in webhook.messages[1]["message"]
    assert webhook.messages[1]["type"] == "success"


def test_failures_and_their_mending_between_two_ticks_are_told_in_order(
    project: Project, sensor: Sensor, webhook: Webhook
) -> None:
    good = project.damage(MIDDLE)
    project.ingest(MIDDLE)
    project.file(MIDDLE).write_bytes(good)
    project.ingest(MIDDLE)
    sensor.tick()
    assert webhook.titles == [f"week {MIDDLE.key} failed", "all well again"]


def test_a_week_that_lacks_only_its_raw_file_is_good_again_with_its_object(
    project: Project, sensor: Sensor, webhook: Webhook
) -> None:
    good = project.damage(MIDDLE)
    project.ingest(MIDDLE)
    project.file(MIDDLE).write_bytes(good)
    project.ingest(MIDDLE, only=[RAW_CSV])
    sensor.tick()
    assert webhook.titles == [f"week {MIDDLE.key} failed"], "a staged file is not in the lake yet"
    project.ingest(MIDDLE, only=[LAKE_OBJECT])
    sensor.tick()
    assert webhook.titles == [f"week {MIDDLE.key} failed", "all well again"]


def test_a_fault_that_nobody_foresaw_is_told_by_its_innermost_cause(
    project: Project, sensor: Sensor, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug in the scan of http://me:hunter2@feed.example")

    monkeypatch.setattr("mta_pipeline.domain.ingest.scan", broken)
    project.ingest(OLDEST, NEWEST)
    sensor.tick()
    [message] = webhook.messages
    assert message["title"] == "MTA turnstiles: 3 of 3 weeks failed"
    for week in THREE_WEEKS:
        assert f"Week {week.key}" in message["message"]
    assert "RuntimeError: a bug in the scan of http://***@feed.example" in message["message"]


def test_the_first_tick_tells_nothing_of_what_was_before(project: Project, webhook: Webhook) -> None:
    project.damage(MIDDLE)
    project.ingest(OLDEST, NEWEST)
    sensor = Sensor(project.instance)
    assert sensor.tick().skip_message == "nothing to tell"
    project.ingest(MIDDLE)
    sensor.tick()
    assert webhook.titles == [f"week {MIDDLE.key} failed"]


def test_addresses_set_later_tell_nothing_of_what_was_before(
    project: Project, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings_with(monkeypatch)
    sensor = Sensor(project.instance)
    sensor.tick()
    project.damage(MIDDLE)
    project.ingest(MIDDLE)
    sensor.tick()
    webhook = Webhook(httpserver)
    settings_with(monkeypatch, webhook.url)
    sensor.tick()
    sensor.tick()
    assert webhook.messages == []


def test_a_cursor_of_another_kind_is_begun_anew(project: Project, webhook: Webhook) -> None:
    sensor = Sensor(project.instance, cursor="17")
    assert sensor.tick().skip_message == "nothing to tell"
    project.damage(MIDDLE)
    project.ingest(MIDDLE)
    sensor.tick()
    assert len(webhook.messages) == 1


def test_a_killed_run_is_told_of_with_the_weeks_that_it_left(
    tmp_path: Path, webhook: Webhook, project: Project
) -> None:
    (tmp_path / "home").mkdir()
    home = {"DAGSTER_HOME": str(tmp_path / "home")}
    terminal = Terminal(tmp_path, {**project.environment, **home})
    terminal.run("weeks", settings={"MTA_FIRST_WEEK": OLDEST.key, "MTA_LAST_WEEK": NEWEST.key})  # makes the home
    with instance_of(terminal) as instance:
        sensor = Sensor(instance)
        sensor.tick()
        with stalled(terminal, "backfill", OLDEST.key, NEWEST.key) as (command, _):
            command.send_signal(signal.SIGKILL)
            command.wait()
        sensor.tick()
        assert webhook.messages == [], "nobody knows of it yet"
        [run_id] = report_killed(instance)
        sensor.tick()
    [message] = webhook.messages
    assert message["title"].startswith("MTA turnstiles: a run broke off")
    assert "was killed" in message["message"]
    assert MIDDLE.key in message["message"]
    assert message["message"].startswith(f"{UI}/runs/{run_id}\n")


def test_an_interrupted_run_is_nobodys_alarm(tmp_path: Path, webhook: Webhook, project: Project) -> None:
    (tmp_path / "home").mkdir()
    terminal = Terminal(tmp_path, {**project.environment, "DAGSTER_HOME": str(tmp_path / "home")})
    terminal.run("weeks", settings={"MTA_FIRST_WEEK": OLDEST.key, "MTA_LAST_WEEK": NEWEST.key})
    with instance_of(terminal) as instance:
        sensor = Sensor(instance)
        sensor.tick()
        with stalled(terminal, "backfill", OLDEST.key, NEWEST.key) as (command, pipe):
            command.send_signal(signal.SIGINT)
            pipe.close()
            command.communicate()
        assert instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])) == 0
        assert sensor.tick().skip_message == "nothing to tell"
    assert webhook.messages == []


@pytest.fixture
def retrying_instance() -> Iterator[dg.DagsterInstance]:
    """An instance that starts crashed runs again, as ours does."""
    retries = {"enabled": True, "max_retries": 1, "retry_on_asset_or_op_failure": False}
    with dg.instance_for_test(overrides={"run_retries": retries}) as instance:
        yield instance


def origin_of(location: str) -> ManagedGrpcPythonEnvCodeLocationOrigin:
    target = LoadableTargetOrigin(module_name="mta_pipeline.orchestration.definitions")
    return ManagedGrpcPythonEnvCodeLocationOrigin(target, location)


def crashed_run(instance: dg.DagsterInstance, location: str = "here") -> dg.DagsterRun:
    """A run that the daemon launched for one week, and whose process died."""
    repository = RemoteRepositoryOrigin(origin_of(location), "__repository__")
    run: dg.DagsterRun = create_run_for_test(
        instance,
        job_name="ingest_weeks",
        status=dg.DagsterRunStatus.STARTED,
        tags={"dagster/partition": MIDDLE.key},
        remote_job_origin=RemoteJobOrigin(repository, "ingest_weeks"),
    )
    # As the code server does it.
    instance.report_engine_event("Run execution process unexpectedly exited with exit code -9.", run)
    instance.report_run_failed(run)
    return run


def test_a_crashed_run_is_told_of_when_it_is_known_whether_dagster_starts_it_again(
    retrying_instance: dg.DagsterInstance, webhook: Webhook
) -> None:
    sensor = Sensor(retrying_instance)
    sensor.tick()
    run = crashed_run(retrying_instance)
    assert sensor.tick().skip_message == "nothing to tell"
    retrying_instance.add_run_tags(run.run_id, {"dagster/auto_retry_run_id": "the-next"})
    sensor.tick()
    sensor.tick()
    [message] = webhook.messages
    assert message["title"] == "MTA turnstiles: a run broke off and was started again"
    assert message["type"] == "warning"
    assert "The run broke off: Run execution process unexpectedly exited with exit code -9." in message["message"]
    assert f"Dagster has started it again: {UI}/runs/the-next" in message["message"]


def test_a_crashed_run_that_is_not_started_again_is_an_alarm(
    retrying_instance: dg.DagsterInstance, webhook: Webhook
) -> None:
    sensor = Sensor(retrying_instance)
    sensor.tick()
    run = crashed_run(retrying_instance)
    sensor.tick()
    retrying_instance.add_run_tags(run.run_id, {"dagster/will_retry": "false"})
    sensor.tick()
    [message] = webhook.messages
    assert message["title"] == f"MTA turnstiles: a run broke off, week {MIDDLE.key} failed"
    assert message["type"] == "failure"


def test_a_crashed_run_is_told_of_though_nobody_decides(
    retrying_instance: dg.DagsterInstance, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor = Sensor(retrying_instance)
    sensor.tick()
    crashed_run(retrying_instance)
    sensor.tick()
    monkeypatch.setattr(module, "TIME_TO_DECIDE", 0.0)
    sensor.tick()
    assert webhook.titles == [f"a run broke off, week {MIDDLE.key} failed"]


def evaluate_overdue(project: Project, *weeks: Week) -> None:
    project.instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=NO_WEEK_OVERDUE.asset_key,
            check_name=NO_WEEK_OVERDUE.name,
            passed=not weeks,
            severity=dg.AssetCheckSeverity.ERROR,
            description=f"{len(weeks)} weeks should be in the lake.",
            metadata={"weeks": [week.key for week in weeks]},
        )
    )


def test_overdue_weeks_are_told_of_when_they_come_to_be_and_when_all_is_well(
    project: Project, sensor: Sensor, webhook: Webhook
) -> None:
    for weeks in ([], [OLDEST], [OLDEST], [OLDEST, MIDDLE], [MIDDLE], []):
        evaluate_overdue(project, *weeks)
        sensor.tick()
        sensor.tick()
    assert webhook.titles == ["1 week overdue", "2 weeks overdue", "all well again"]
    first, _, last = webhook.messages
    link = f"{UI}/assets/lake_object?view=checks&checkDetail=no_week_overdue"
    assert first["message"].splitlines() == [link, "1 weeks should be in the lake.", f"Overdue: {OLDEST.key}"]
    assert last["message"].splitlines() == [link, f"Good again: {OLDEST.key}, {MIDDLE.key}"]


def test_all_is_not_well_while_a_week_is_overdue(project: Project, sensor: Sensor, webhook: Webhook) -> None:
    good = project.damage(MIDDLE)
    project.ingest(MIDDLE)
    evaluate_overdue(project, NEWEST)
    sensor.tick()
    project.file(MIDDLE).write_bytes(good)
    project.ingest(MIDDLE)
    sensor.tick()
    assert "all well again" not in webhook.titles
    evaluate_overdue(project)
    sensor.tick()
    assert webhook.titles == [f"week {MIDDLE.key} failed", "1 week overdue", "all well again"]


def test_a_broken_target_takes_nothing_from_a_good_one_and_gets_its_messages_later_in_order(
    project: Project, sensor: Sensor, httpserver: HTTPServer, mail: MailSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook = Webhook(httpserver, status=503)
    settings_with(monkeypatch, webhook.url, mail.url)
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.0)
    good = project.damage(MIDDLE)
    result = project.ingest(MIDDLE)
    answer = sensor.tick()
    assert len(mail.mails) == 1
    [reaction] = answer.dagster_run_reactions or []
    assert reaction.dagster_run
    assert reaction.dagster_run.run_id == run_id_of(result)
    assert reaction.error, "the tick is red"
    assert reaction.error.message.startswith("alert target 1 (json): found ")
    assert "error=503" in reaction.error.message
    project.file(MIDDLE).write_bytes(good)
    project.ingest(MIDDLE)
    sensor.tick()
    webhook.answer(200)
    assert sensor.tick().skip_message == "messages sent: 2"
    assert webhook.titles == [f"week {MIDDLE.key} failed", "all well again"]
    assert [received["Subject"].partition(": ")[2] for received in mail.mails] == webhook.titles
    assert sensor.state.outbox == []


def test_a_message_waits_before_it_is_tried_again_and_is_given_up_at_last(
    project: Project, sensor: Sensor, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook.answer(503)
    project.damage(MIDDLE)
    project.ingest(MIDDLE)
    sensor.tick()
    assert len(webhook.server.log) == 1
    sensor.tick()
    assert len(webhook.server.log) == 1, "half a minute is not over"
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.0)
    due_now = json.loads(sensor.cursor or "")
    due_now["outbox"][0]["due"] = 0
    sensor.cursor = json.dumps(due_now)
    for _ in range(TRIES + 3):
        sensor.tick()
    assert len(webhook.server.log) == TRIES
    assert sensor.state.outbox == []


def test_messages_for_a_target_that_is_taken_out_of_the_setting_are_dropped(
    project: Project, sensor: Sensor, httpserver: HTTPServer, mail: MailSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings_with(monkeypatch, Webhook(httpserver, status=503).url)
    project.damage(MIDDLE)
    project.ingest(MIDDLE)
    sensor.tick()
    assert len(sensor.state.outbox) == 1
    settings_with(monkeypatch, mail.url)
    sensor.tick()
    assert sensor.state.outbox == []
    assert mail.mails == []


def test_the_messages_that_wait_are_bounded(project: Project, sensor: Sensor, webhook: Webhook) -> None:
    webhook.answer(503)
    project.damage(MIDDLE)
    project.ingest(MIDDLE)
    sensor.tick()
    state = sensor.state
    state.outbox *= MOST_WAITING + 5
    sensor.cursor = CURSOR.dump_json(state).decode()
    answer = sensor.tick()
    assert len(sensor.state.outbox) == MOST_WAITING
    assert "too many wait" in str(answer.dagster_run_reactions)


def test_a_broken_target_changes_nothing_about_a_run(
    project: Project, sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings_with(monkeypatch, f"slak://{SECRET}", f"json://127.0.0.1:1/{SECRET}")
    result = project.ingest(OLDEST, NEWEST)
    sensor.tick()
    run = project.instance.get_run_by_id(run_id_of(result))
    assert run
    assert run.status == dg.DagsterRunStatus.SUCCESS


def test_addresses_stand_neither_in_the_cursor_nor_in_the_ticks_log(
    project: Project, sensor: Sensor, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings_with(monkeypatch, Webhook(httpserver, status=503).url, f"slack://{SECRET}", f"pagerduty://{SECRET}@x")
    project.damage(MIDDLE)
    project.ingest(MIDDLE)
    with dg.build_sensor_context(project.instance, cursor=sensor.cursor) as context:
        answer = alerts.evaluate_tick(context)
    assert [*CURSOR.validate_json(answer.cursor or "").outbox[0].tries] == ["1 (json)", "2 (slack)", "3 (pagerduty)"]
    assert SECRET not in str(answer)


@pytest.mark.parametrize(
    ("location", "titles"), [("elsewhere", []), ("here", ["a run broke off and was started again"])]
)
def test_only_runs_of_our_own_code_location_are_told_of(
    retrying_instance: dg.DagsterInstance, webhook: Webhook, location: str, titles: list[str]
) -> None:
    sensor = Sensor(retrying_instance)
    sensor.tick()
    run = crashed_run(retrying_instance, location)
    retrying_instance.add_run_tags(run.run_id, {"dagster/auto_retry_run_id": "the-next"})
    context = dg.build_sensor_context(retrying_instance, cursor=sensor.cursor)
    context._code_location_origin = origin_of("here")  # as the daemon gives it
    alerts.evaluate_tick(context)
    assert webhook.titles == titles
