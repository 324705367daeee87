"""What reads or writes lake objects through Dagster."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path

import dagster as dg
import pytest

from mta_pipeline.domain.weeks import Week
from mta_pipeline.orchestration.checks import LAKE_OBJECT
from mta_pipeline.orchestration.dagster_edges import range_tags
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


UPSTREAM = dg.AssetSpec(LAKE_OBJECT, partitions_def=WEEKS).with_io_manager_key("lake")
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "Parameter `allow_nonexistent_upstream_partitions`", dg.BetaWarning)
    THE_WEEK_BEFORE = dg.TimeWindowPartitionMapping(
        start_offset=-1, end_offset=-1, allow_nonexistent_upstream_partitions=True
    )


def over_range(project: Project, asset: dg.AssetsDefinition, first: Week, last: Week) -> dg.ExecuteInProcessResult:
    """One run of `asset` over a range of weeks."""
    return dg.materialize(
        [UPSTREAM, asset],
        selection=[asset],
        tags=range_tags(first.key, last.key),
        resources={"lake": project.lake},
        instance=project.instance,
        raise_on_error=False,
    )


@pytest.mark.parametrize("weeks", [(OLDEST, NEWEST), (MIDDLE, MIDDLE)], ids=["three weeks", "a range of one week"])
def test_what_is_annotated_as_a_dict_gets_one_however_many_weeks_the_run_has(
    project: Project, weeks: tuple[Week, Week]
) -> None:
    project.ingest(OLDEST, NEWEST)
    seen: list[dict[str, int]] = []

    @dg.asset(partitions_def=WEEKS)
    def sizes(lake_object: dict[str, LakeObject]) -> None:
        seen.append({key: read_size(handle) for key, handle in lake_object.items()})

    assert over_range(project, sizes, *weeks).success
    assert seen == [{week.key: project.file(week).stat().st_size for week in Week.between(*weeks)}]


def test_an_input_without_upstream_weeks_is_an_empty_dict(project: Project) -> None:
    first = Week.parse(WEEKS.get_first_partition_key() or "")
    seen: list[object] = []

    @dg.asset(partitions_def=WEEKS, ins={"lake_object": dg.AssetIn(partition_mapping=THE_WEEK_BEFORE)})
    def change(lake_object: dict[str, LakeObject]) -> None:
        seen.append(lake_object)

    assert over_range(project, change, first, first).success
    assert seen == [{}]


def test_a_single_handle_where_there_are_no_weeks_or_many_is_refused_with_a_sentence(project: Project) -> None:
    first = Week.parse(WEEKS.get_first_partition_key() or "")

    @dg.asset(partitions_def=WEEKS, ins={"lake_object": dg.AssetIn(partition_mapping=THE_WEEK_BEFORE)})
    def change(lake_object: LakeObject) -> None:
        pytest.fail("there is none")

    @dg.asset(partitions_def=WEEKS)
    def sum_of_sizes(lake_object: LakeObject) -> None:
        pytest.fail("there are three")

    for asset, weeks, number in ((change, (first, first), 0), (sum_of_sizes, (OLDEST, NEWEST), 3)):
        result = over_range(project, asset, *weeks)
        (failure,) = [event.step_failure_data for event in result.all_events if event.is_step_failure]
        assert f"found {number} weeks for an input that is annotated as LakeObject; expected one" in str(failure)
        assert "dict[str, LakeObject]" in str(failure)


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
