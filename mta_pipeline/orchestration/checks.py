"""The domain's checks as Dagster's check specs, each partitioned by week like its asset."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from mta_pipeline.domain.audit import CHECKS, Check
from mta_pipeline.domain.readings_way import READINGS_CHECKS
from mta_pipeline.domain.ridership_way import RIDERSHIP_CHECKS
from mta_pipeline.domain.tables import READINGS, RIDERSHIP
from mta_pipeline.orchestration.dagster_edges import known_previews
from mta_pipeline.orchestration.partitions import WEEKS

RAW_CSV = dg.AssetKey("raw_csv")
LAKE_OBJECT = dg.AssetKey("lake_object")

#: Checks of the stages that make tables, by the table's name, which is their asset's too.
TABLE_CHECKS: dict[str, tuple[Check, ...]] = {READINGS.name: READINGS_CHECKS, RIDERSHIP.name: RIDERSHIP_CHECKS}

ASSET_OF = {"raw": RAW_CSV, "object": LAKE_OBJECT, **{name: dg.AssetKey(name) for name in TABLE_CHECKS}}


#: The one check that looks at the lake as a whole; see `late_files`.
NO_WEEK_OVERDUE = dg.AssetCheckKey(LAKE_OBJECT, "no_week_overdue")


def key_of(check: Check) -> dg.AssetCheckKey:
    """The check's name in Dagster."""
    return dg.AssetCheckKey(ASSET_OF[check.about], check.name)


def specs_of(checks: Sequence[Check]) -> list[dg.AssetCheckSpec]:
    """Check specs, partitioned by week."""
    with known_previews():
        return [
            dg.AssetCheckSpec(
                check.name,
                asset=ASSET_OF[check.about],
                description=check.description,
                blocking=check.blocking,
                partitions_def=WEEKS,
            )
            for check in checks
        ]


CHECK_SPECS = specs_of(CHECKS)
