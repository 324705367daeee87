"""What the ingest step promises: any number of weeks in a run, each standing alone."""

from __future__ import annotations

import hashlib
from datetime import date

import dagster as dg

from mta_pipeline.domain.audit import CHECKS
from mta_pipeline.domain.weeks import Week
from mta_pipeline.orchestration.assets import ingest
from mta_pipeline.orchestration.checks import LAKE_OBJECT, RAW_CSV, key_of
from mta_pipeline.orchestration.dagster_edges import failed_partitions, last_failures
from mta_pipeline.orchestration.partitions import WEEKS
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
