"""What the ingest step promises: any number of weeks in a run, each standing alone."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_representation.external_data import RepositorySnap

from mta_pipeline.domain.audit import CHECKS
from mta_pipeline.domain.compression import compress
from mta_pipeline.domain.ingest import Ingest
from mta_pipeline.domain.settings import Settings
from mta_pipeline.domain.weeks import Week
from mta_pipeline.orchestration.assets import ingest
from mta_pipeline.orchestration.checks import LAKE_OBJECT, RAW_CSV, key_of
from mta_pipeline.orchestration.dagster_edges import failed_partitions, last_failures, range_tags
from mta_pipeline.orchestration.definitions import build_definitions, build_resources
from mta_pipeline.orchestration.jobs import INGEST_JOB
from mta_pipeline.orchestration.partitions import WEEKS
from mta_pipeline_tests.feed_server import FeedServer, whole
from mta_pipeline_tests.orchestration.project import (
    MIDDLE,
    NEWEST,
    OLDEST,
    THREE_WEEKS,
    Project,
    evaluated,
    materialized,
)


def failed(project: Project) -> list[str]:
    return failed_partitions(project.instance, LAKE_OBJECT, WEEKS, [week.key for week in THREE_WEEKS])


def test_a_good_week_becomes_two_materializations_and_all_its_checks_pass(project: Project) -> None:
    result = project.ingest(MIDDLE)
    assert result.success
    assert set(materialized(result)) == {("raw_csv", MIDDLE.key), ("lake_object", MIDDLE.key)}
    checks = evaluated(result)
    assert set(checks) == {(check.name, MIDDLE.key) for check in CHECKS}
    assert all(evaluation.passed for evaluation in checks.values())
    assert project.unpacked(MIDDLE) == project.file(MIDDLE).read_bytes()


def test_a_materialization_tells_what_people_want_to_know(project: Project) -> None:
    made = materialized(project.ingest(MIDDLE))
    raw = {name: value.value for name, value in made["raw_csv", MIDDLE.key].metadata.items()}
    stored = {name: value.value for name, value in made["lake_object", MIDDLE.key].metadata.items()}
    content = project.file(MIDDLE).read_bytes()
    rows = content.count(b"\n") - 1
    compressed = len(project.stored(MIDDLE) or b"")
    for metadata in (raw, stored):
        assert metadata["rows"] == metadata["dagster/partition_row_count"] == rows
        assert metadata["bytes"] == len(content)
        assert metadata["sha256"] == hashlib.sha256(content).hexdigest()
        assert metadata["source"] == project.file(MIDDLE).as_uri()
        assert metadata["release date"] == "2024-01-13"
        assert {"seconds", "MB/s", "preview"} <= set(metadata)
    assert raw["dagster/uri"] == str(project.staging / MIDDLE.file_name)
    assert stored["dagster/uri"] == project.address(MIDDLE)
    assert stored["compressed bytes"] == compressed
    assert stored["compression ratio"] == round(len(content) / compressed, 2)


def test_the_preview_is_a_table_of_the_first_rows(project: Project) -> None:
    preview = materialized(project.ingest(MIDDLE))["raw_csv", MIDDLE.key].metadata["preview"]
    assert isinstance(preview, dg.TableMetadataValue)
    first = project.file(MIDDLE).read_text().splitlines()[1].strip().split(",")
    assert list(preview.records[0].data.values()) == first
    assert [column.name for column in preview.schema.columns][:3] == ["C/A", "UNIT", "SCP"]


def test_many_weeks_in_one_run_each_have_their_own_materializations_and_checks(project: Project) -> None:
    result = project.ingest(OLDEST, NEWEST)
    assert result.success
    assert len(materialized(result)) == 2 * len(THREE_WEEKS)
    assert len(evaluated(result)) == len(CHECKS) * len(THREE_WEEKS)


def test_a_week_that_fails_its_audit_is_red_alone_and_says_why(project: Project) -> None:
    project.damage(MIDDLE)
    result = project.ingest(OLDEST, NEWEST)
    assert not result.success
    assert {partition for _, partition in materialized(result)} == {OLDEST.key, NEWEST.key}
    assert failed(project) == [MIDDLE.key]
    reasons = last_failures(project.instance, [key_of(check) for check in CHECKS], MIDDLE.key)
    assert len(reasons) == 1
    assert MIDDLE.key in reasons[0]
    assert "the file ends inside this line" in reasons[0]
    assert project.stored(MIDDLE) is None


def test_the_step_fails_once_at_the_end_and_names_the_weeks_that_failed(project: Project) -> None:
    project.damage(MIDDLE)
    project.file(OLDEST).unlink()
    result = project.ingest(OLDEST, NEWEST)
    failures = [event for event in result.all_events if event.is_step_failure]
    assert len(failures) == 1
    failure = failures[0].step_failure_data.user_failure_data
    assert failure
    assert failure.description
    lines = failure.description.splitlines()
    assert lines[0] == "2 of 3 weeks failed:"
    assert lines[1].startswith(f"Week {OLDEST.key}: ")
    assert lines[2].startswith(f"Week {MIDDLE.key}: ")
    assert set(failure.metadata) == {OLDEST.key, MIDDLE.key}


def test_a_missing_file_fails_the_check_that_it_was_fetched(project: Project) -> None:
    project.file(MIDDLE).unlink()
    evaluations = evaluated(project.ingest(OLDEST, NEWEST))
    verdict = evaluations["file_fetched", MIDDLE.key]
    assert not verdict.passed
    assert project.file(MIDDLE).as_uri() in (verdict.description or "")
    assert [partition for name, partition in evaluations if name == "header_matches"].count(MIDDLE.key) == 0


def test_the_object_of_an_earlier_run_survives_a_later_failure_byte_for_byte(project: Project) -> None:
    project.ingest(OLDEST, NEWEST)
    before = project.stored(MIDDLE)
    project.damage(MIDDLE)
    project.ingest(OLDEST, NEWEST)
    assert project.stored(MIDDLE) == before
    assert failed(project) == [MIDDLE.key]


def test_a_second_run_with_the_good_file_heals_the_week(project: Project) -> None:
    good = project.damage(MIDDLE)
    project.ingest(OLDEST, NEWEST)
    project.file(MIDDLE).write_bytes(good)
    assert project.ingest(MIDDLE).success
    assert failed(project) == []
    assert project.unpacked(MIDDLE) == good


def test_implausible_counters_warn_and_publish_all_the_same(project: Project) -> None:
    lines = project.file(MIDDLE).read_bytes().splitlines(keepends=True)
    header, rows = lines[0], lines[1:]
    # Counters that leap between every two readings: well-formed, but no turnstile does that.
    leaping = []
    for number, row in enumerate(rows):
        fields = row.rstrip().split(b",")
        fields[9] = b"%010d" % (1_000_000 * (number % 50))
        leaping.append(b",".join(fields).ljust(130) + b"\r\n")
    project.file(MIDDLE).write_bytes(header + b"".join(leaping))
    result = project.ingest(MIDDLE)
    verdict = evaluated(result)["counters_plausible", MIDDLE.key]
    assert result.success
    assert not verdict.passed
    assert verdict.severity == dg.AssetCheckSeverity.WARN
    assert project.stored(MIDDLE) is not None


def test_a_week_that_the_publisher_changed_is_replaced_and_says_what_changed(project: Project) -> None:
    project.ingest(MIDDLE)
    was = project.unpacked(MIDDLE)
    now = b"".join(was.splitlines(keepends=True)[:-2])
    project.file(MIDDLE).write_bytes(now)
    metadata = materialized(project.ingest(MIDDLE))[("lake_object", MIDDLE.key)].metadata
    assert metadata["change"].value == "replaced"
    rows = was.count(b"\n") - 1
    assert str(metadata["what changed"].value).splitlines() == [
        f"- rows: {rows:,} → {rows - 2:,} (-2)",
        f"- bytes: {len(was):,} → {len(now):,} ({len(now) - len(was):,})",
        f"- sha256: {hashlib.sha256(was).hexdigest()} → {hashlib.sha256(now).hexdigest()}",
    ]
    assert project.unpacked(MIDDLE) == now
    assert "what changed" not in materialized(project.ingest(MIDDLE))[("lake_object", MIDDLE.key)].metadata


def test_a_damaged_object_is_replaced_with_nothing_to_compare_it_with(project: Project) -> None:
    project.ingest(MIDDLE)
    damaged = project.folder / "damaged"
    damaged.write_bytes((project.stored(MIDDLE) or b"")[:-100])
    project.lake.store().publish(damaged, MIDDLE.object_name, {})
    metadata = materialized(project.ingest(MIDDLE))[("lake_object", MIDDLE.key)].metadata
    assert metadata["change"].value == "replaced"
    assert "what changed" not in metadata


def test_a_history_that_is_not_perfect_ends_with_exactly_its_bad_weeks_red(project: Project) -> None:
    weeks = [Week(date(2012, 6, 30)).shifted(n) for n in range(6)]
    project.publish_feed(weeks)
    known, cut, gone = weeks[1], weeks[3], weeks[4]
    project.file(known).write_bytes(b"junk\r\n" * 4 + project.file(known).read_bytes())
    project.damage(cut)
    project.file(gone).unlink()
    result = project.ingest(weeks[0], weeks[-1])
    good = [week for week in weeks if week not in (cut, gone)]
    assert sorted(week for asset, week in materialized(result) if asset == "lake_object") == [w.key for w in good]
    states = failed_partitions(project.instance, LAKE_OBJECT, WEEKS, [week.key for week in weeks])
    assert sorted(states) == [cut.key, gone.key]
    [check] = [e for (n, w), e in evaluated(result).items() if (n, w) == ("rows_well_formed", known.key)]
    assert known.file_name in str(check.metadata["known fault"].value)


def test_an_unchanged_week_keeps_its_data_version_and_is_not_stored_again(project: Project) -> None:
    first, second = (materialized(project.ingest(MIDDLE))["lake_object", MIDDLE.key] for _ in range(2))
    sha256 = hashlib.sha256(project.file(MIDDLE).read_bytes()).hexdigest()
    assert (first.tags or {})["dagster/data_version"] == (second.tags or {})["dagster/data_version"] == sha256
    assert first.metadata["change"].value == "created"
    assert second.metadata["change"].value == "unchanged"


def test_checks_name_the_materialization_that_they_looked_at(project: Project) -> None:
    checks = evaluated(project.ingest(OLDEST, NEWEST))
    for week in THREE_WEEKS:
        for check in CHECKS:
            records = project.instance.fetch_materializations(
                dg.AssetRecordsFilter(asset_key=key_of(check).asset_key, asset_partitions=[week.key]), limit=1
            ).records
            target = checks[check.name, week.key].target_materialization_data
            assert target
            assert target.storage_id == records[0].storage_id


def test_the_raw_file_alone_stays_out_of_the_lake(project: Project) -> None:
    result = project.ingest(MIDDLE, only=[RAW_CSV])
    assert result.success
    assert set(materialized(result)) == {("raw_csv", MIDDLE.key)}
    assert ("object_intact", MIDDLE.key) not in evaluated(result)
    assert project.stored(MIDDLE) is None


def test_the_lake_object_alone_is_made_from_the_staged_file_without_asking_the_feed(project: Project) -> None:
    project.ingest(MIDDLE, only=[RAW_CSV])
    good = project.file(MIDDLE).read_bytes()
    project.file(MIDDLE).unlink()
    result = project.ingest(MIDDLE, only=[LAKE_OBJECT])
    assert result.success
    assert set(materialized(result)) == {("lake_object", MIDDLE.key)}
    assert project.unpacked(MIDDLE) == good


def test_the_lake_object_alone_fetches_what_is_not_staged(project: Project) -> None:
    assert project.ingest(MIDDLE, only=[LAKE_OBJECT]).success
    assert project.stored(MIDDLE) is not None


def test_both_layouts_go_the_same_way(project: Project) -> None:
    before, after = Week(date(2014, 10, 4)), Week(date(2014, 10, 11))
    project.publish_feed([before, after])
    result = project.ingest(before, after)
    assert result.success
    layouts = {
        key[1]: made.metadata["layout"].value for key, made in materialized(result).items() if key[0] == "raw_csv"
    }
    assert layouts == {before.key: "legacy", after.key: "current"}


def test_every_asset_says_what_it_is_who_owns_it_and_what_its_columns_mean(project: Project) -> None:
    for key in (RAW_CSV, LAKE_OBJECT):
        spec = project.definitions.resolve_asset_graph().get(key)
        assert spec.description
        assert spec.owners
        assert spec.group_name
        assert spec.kinds
        schema = spec.metadata["dagster/column_schema"]
        assert all(column.description for column in schema.columns)


def test_the_lineage_leads_from_the_feed_to_the_lake(project: Project) -> None:
    graph = project.definitions.resolve_asset_graph()
    assert graph.get(LAKE_OBJECT).parent_keys == {RAW_CSV}
    assert graph.get(RAW_CSV).parent_keys == {dg.AssetKey("turnstile_feed")}
    assert ingest.check_keys == {key_of(check) for check in CHECKS}


def test_a_fault_that_nobody_foresaw_fails_the_step_which_names_its_week_and_the_others_that_failed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def divide(raw: Path, compressed: Path) -> None:
        if MIDDLE.file_name in raw.name:
            _ = 1 / 0
        compress(raw, compressed)

    monkeypatch.setattr("mta_pipeline.domain.ingest.compress", divide)
    project.file(OLDEST).unlink()
    result = project.ingest(OLDEST, NEWEST)
    assert {partition for _, partition in materialized(result)} == {NEWEST.key}
    (failure,) = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert failure.user_failure_data
    lines = (failure.user_failure_data.description or "").splitlines()
    assert lines[0] == "2 of 3 weeks failed:"
    assert lines[1].startswith(f"Week {OLDEST.key}: {project.file(OLDEST).as_uri()}: found no such file")
    assert lines[2].startswith(f"Week {MIDDLE.key}: the pipeline itself: found a fault that nobody foresaw")
    assert "ZeroDivisionError: division by zero" in lines[2]
    assert failure.error
    assert failure.error.cause
    assert failure.error.cause.cls_name == "ZeroDivisionError"
    assert any("in divide" in frame for frame in failure.error.cause.stack)
    logged = [entry for entry in project.instance.all_logs(result.run_id) if "nobody foresaw" in entry.user_message]
    assert MIDDLE.key in logged[0].user_message
    assert failed(project) == [OLDEST.key, MIDDLE.key]


@pytest.mark.parametrize("partition", [None, MIDDLE.key], ids=["of no week", "of a week"])
def test_a_run_of_checks_alone_fails_with_a_sentence(project: Project, partition: str | None) -> None:
    job = project.definitions.resolve_implicit_global_asset_job_def()
    checks = [key_of(check) for check in CHECKS]
    result = job.get_subset(asset_selection=set(), asset_check_selection=set(checks)).execute_in_process(
        instance=project.instance, raise_on_error=False, partition_key=partition
    )
    (failure,) = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert failure.user_failure_data
    assert "No asset is selected" in (failure.user_failure_data.description or "")
    assert "Materialize raw_csv or lake_object" in (failure.user_failure_data.description or "")


@pytest.mark.filterwarnings("ignore:Property `ScheduleDefinition.environment_vars`")  # Dagster asks itself for it
def test_no_event_no_metadata_and_no_configuration_shows_password_or_token(
    project: Project, feed_server: FeedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = "?token=top-secret&sig=top-secret"
    feed_server.serve_path(f"/{OLDEST.file_name}{query}", whole(project.file(OLDEST).read_bytes()))
    feed_server.serve_path(f"/{MIDDLE.file_name}{query}", whole(b"<html>"))
    url = feed_server.url.replace("//", "//somebody:top-secret@") + query
    environment = {**project.environment, "MTA_FEED_URL": url}
    monkeypatch.setenv("MTA_FEED_URL", url)
    monkeypatch.setenv("NO_PROXY", "*")
    definitions = build_definitions(build_resources(Settings.from_environment(environment)))
    result = definitions.resolve_job_def(INGEST_JOB.name).execute_in_process(
        instance=project.instance, tags=range_tags(OLDEST.key, NEWEST.key), raise_on_error=False
    )
    assert ("lake_object", OLDEST.key) in materialized(result)
    logs = [dg.serialize_value(entry) for entry in project.instance.all_logs(result.run_id)]
    assert any(f"{MIDDLE.file_name}?***" in entry for entry in logs)
    assert not [entry for entry in logs if "top-secret" in entry]
    assert "top-secret" not in str(project.lake.store().metadata(OLDEST.object_name))
    assert not [path for path in project.staging.rglob("*.origin") if b"top-secret" in path.read_bytes()]
    # What the UI is told of the definitions.
    assert "top-secret" not in dg.serialize_value(RepositorySnap.from_def(definitions.get_repository_def()))


def test_the_end_of_a_run_ends_its_own_work_and_no_other_runs(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However it ends: an interruption may hit Dagster's code, and leave our generators hanging."""
    ways: list[Ingest] = []
    stopped_before: list[list[bool]] = []

    def ingest_of(*arguments: Any) -> Ingest:
        stopped_before.append([way.stop.is_set() for way in ways])
        ways.append(Ingest(*arguments))
        assert not ways[-1].stop.is_set()
        return ways[-1]

    monkeypatch.setattr("mta_pipeline.orchestration.assets.Ingest", ingest_of)
    job = project.definitions.resolve_job_def(INGEST_JOB.name)
    for week in (OLDEST, MIDDLE):
        assert job.execute_in_process(instance=project.instance, tags=range_tags(week.key, week.key)).success
    assert stopped_before == [[], [True]]
    assert ways[1].stop.is_set()
