"""The asset `readings`: what it is made of, and the step that makes it."""

from collections.abc import Iterator

import dagster as dg

from mta_pipeline.domain.readings_way import ReadingsWay
from mta_pipeline.domain.recipes import READINGS_RECIPE
from mta_pipeline.domain.tables import BOOTHS, READINGS, REJECTED
from mta_pipeline.domain.weeks import Week
from mta_pipeline.orchestration.automation import flow_on
from mta_pipeline.orchestration.checks import LAKE_OBJECT
from mta_pipeline.orchestration.io_managers import LakeIOManager
from mta_pipeline.orchestration.resources import StagingResource
from mta_pipeline.orchestration.tables import made_of, table_spec, weekly_step, workshop
from mta_pipeline.orchestration.telling import Event, tell

SPEC = table_spec(
    READINGS,
    deps=[LAKE_OBJECT, dg.AssetKey(BOOTHS.name)],
    group_name="4_readings",
    automation_condition=flow_on(READINGS_RECIPE),
    more=(
        f"\n\nLines that are not in it are in `{REJECTED.name}`, beside it in the lake, each with the reason. The "
        "rules are in docs/ridership.md."
    ),
)


@weekly_step(SPEC)
def readings(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[LakeIOManager], staging: StagingResource
) -> Iterator[Event]:
    """Make readings of lake objects."""
    way = ReadingsWay(workshop(context, lake, staging))
    yield from tell(context, way.weeks(map(Week.parse, context.partition_keys)), made_of)
