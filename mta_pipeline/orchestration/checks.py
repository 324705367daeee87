"""The domain's checks as Dagster's check specs, each partitioned by week like its asset."""

from __future__ import annotations

import dagster as dg

from mta_pipeline.domain.audit import CHECKS, Check
from mta_pipeline.orchestration.dagster_edges import known_previews
from mta_pipeline.orchestration.partitions import WEEKS

RAW_CSV = dg.AssetKey("raw_csv")
LAKE_OBJECT = dg.AssetKey("lake_object")

ASSET_OF = {"raw": RAW_CSV, "object": LAKE_OBJECT}


#: The one check that looks at the lake as a whole; see `late_files`.
NO_WEEK_OVERDUE = dg.AssetCheckKey(LAKE_OBJECT, "no_week_overdue")


def key_of(check: Check) -> dg.AssetCheckKey:
    """The check's name in Dagster."""
    return dg.AssetCheckKey(ASSET_OF[check.about], check.name)


with known_previews():
    CHECK_SPECS = [
        dg.AssetCheckSpec(
            check.name,
            asset=ASSET_OF[check.about],
            description=check.description,
            blocking=check.blocking,
            partitions_def=WEEKS,
        )
        for check in CHECKS
    ]
