"""The asset `ridership`: what it is made of, the step that makes it, and what is shown of a week."""

from collections.abc import Iterator
from dataclasses import replace

import dagster as dg

from mta_pipeline.domain.heat_map import glance, heat_map, markdown_image
from mta_pipeline.domain.recipes import RIDERSHIP_RECIPE
from mta_pipeline.domain.ridership_way import Outcome, RidershipWay
from mta_pipeline.domain.tables import INTERVALS, READINGS, RIDERSHIP
from mta_pipeline.domain.weeks import Week
from mta_pipeline.orchestration.automation import flow_on
from mta_pipeline.orchestration.dagster_edges import known_previews
from mta_pipeline.orchestration.io_managers import LakeIOManager
from mta_pipeline.orchestration.partitions import SETTINGS
from mta_pipeline.orchestration.resources import StagingResource
from mta_pipeline.orchestration.tables import made_of, table_spec, weekly_step, workshop
from mta_pipeline.orchestration.telling import Event, Made, Metadata, tell

with known_previews():
    # The first week of the history has none before it.
    WITH_WEEK_BEFORE = dg.TimeWindowPartitionMapping(
        start_offset=-RIDERSHIP_RECIPE.weeks_before, allow_nonexistent_upstream_partitions=True
    )

SPEC = table_spec(
    RIDERSHIP,
    deps=[dg.AssetDep(READINGS.name, partition_mapping=WITH_WEEK_BEFORE)],
    group_name="5_ridership",
    automation_condition=flow_on(RIDERSHIP_RECIPE),
    more=(
        f"\n\nThe intervals it is summed from are in `{INTERVALS.name}`, beside it in the lake, each with the rule by "
        "which its counts came about. Entries leave out OMNY taps, so that exits are more. The rules are in "
        "docs/ridership.md."
    ),
)


@weekly_step(SPEC)
def ridership(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[LakeIOManager], staging: StagingResource
) -> Iterator[Event]:
    """Make ridership of readings."""
    way = RidershipWay(workshop(context, lake, staging), SETTINGS.first_week)
    yield from tell(context, way.weeks(map(Week.parse, context.partition_keys)), _made_of)


def _made_of(outcome: Outcome) -> Iterator[Made]:
    """What was made of a good week, with what is worth a look on top."""
    panels = {register.capitalize(): counts for register, counts in outcome.by_weekday.items()}
    shown: Metadata = {
        "heat map": dg.MetadataValue.md(markdown_image(glance(panels), "People by weekday and hour")),
        "heat map, in figures": dg.MetadataValue.md(markdown_image(heat_map(panels), "People by weekday and hour")),
        "busiest stations": dg.MetadataValue.table(
            [
                dg.TableRecord({"station": name or "unknown", "lines": lines or "", "entries": entries, "exits": exits})
                for name, lines, entries, exits in outcome.busiest
            ]
        ),
        "how it was counted": dg.MetadataValue.table(
            [
                dg.TableRecord(
                    {"register": register, "rule": rule, "intervals": tally.intervals, "people": tally.people}
                )
                for (register, rule), tally in outcome.tallies.items()
            ]
        ),
    }
    for made in made_of(outcome):
        yield replace(made, metadata={**shown, **made.metadata})
