"""What reads or writes lake objects through Dagster."""

from __future__ import annotations

import gzip
from pathlib import Path

import dagster as dg
import pytest

from mta_pipeline.orchestration.checks import LAKE_OBJECT
from mta_pipeline.orchestration.io_managers import LakeIOManager, LakeObject
from mta_pipeline.orchestration.partitions import WEEKS
from mta_pipeline_tests.orchestration.project import MIDDLE, NEWEST, OLDEST, THREE_WEEKS, Project


def read_size(handle: LakeObject) -> int:
    with handle.open() as lines:
        return len(lines.read())


def test_an_asset_downstream_streams_the_object_of_its_week(project: Project) -> None:
    project.ingest(MIDDLE)

    @dg.asset(partitions_def=WEEKS)
    def first_line(lake_object: LakeObject) -> str:
        with lake_object.open() as lines:
            return str(lines.readline().decode().strip())

    result = dg.materialize(
        [dg.AssetSpec(LAKE_OBJECT, partitions_def=WEEKS).with_io_manager_key("lake"), first_line],
        partition_key=MIDDLE.key,
        resources={"lake": project.lake},
        instance=project.instance,
    )
    assert result.output_for_node("first_line").startswith("C/A,UNIT,SCP,")


def test_an_asset_over_many_weeks_gets_a_handle_for_each(project: Project) -> None:
    project.ingest(OLDEST, NEWEST)

    @dg.asset
    def sizes(lake_object: dict[str, LakeObject]) -> dict[str, int]:
        return {key: read_size(handle) for key, handle in lake_object.items()}

    weeks = dg.StaticPartitionsDefinition([week.key for week in THREE_WEEKS])
    result = dg.materialize(
        [dg.AssetSpec(LAKE_OBJECT, partitions_def=weeks).with_io_manager_key("lake"), sizes],
        resources={"lake": project.lake},
        instance=project.instance,
        selection=[sizes],
    )
    assert result.output_for_node("sizes") == {week.key: project.file(week).stat().st_size for week in THREE_WEEKS}


def test_a_missing_object_is_an_error_that_names_its_address(tmp_path: Path) -> None:
    lake = LakeIOManager(url=str(tmp_path))
    handle = LakeObject(MIDDLE, lake.store())
    with pytest.raises(FileNotFoundError, match=r"turnstile_240113\.csv\.gz"), handle.open():
        pass


def test_an_asset_that_returns_a_gzip_file_publishes_it_as_its_weeks_object(tmp_path: Path) -> None:
    source = tmp_path / "made.gz"
    source.write_bytes(gzip.compress(b"made elsewhere\n"))

    @dg.asset(partitions_def=WEEKS, io_manager_key="lake")
    def mended_week() -> Path:
        return source

    result = dg.materialize(
        [mended_week], partition_key=MIDDLE.key, resources={"lake": LakeIOManager(url=str(tmp_path / "lake"))}
    )
    stored = tmp_path / "lake" / MIDDLE.object_name
    assert stored.read_bytes() == source.read_bytes()
    [made] = result.get_asset_materialization_events()
    assert made.materialization.metadata["dagster/uri"].value == str(stored)
