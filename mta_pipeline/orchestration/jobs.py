"""The jobs: what the schedule, the command line and the UI's job pages run."""

from __future__ import annotations

import dagster as dg

from mta_pipeline.domain.tables import BOOTHS
from mta_pipeline.orchestration.checks import LAKE_OBJECT, NO_WEEK_OVERDUE, RAW_CSV, TABLE_CHECKS

INGEST_JOB = dg.define_asset_job(
    "ingest_weeks",
    # That check is about all weeks together: nothing to ask again for each of them.
    selection=dg.AssetSelection.assets(RAW_CSV, LAKE_OBJECT) - dg.AssetSelection.checks(NO_WEEK_OVERDUE),
    description="Fetch, audit, compress and publish weeks: one, or any range.",
)

#: A job for each table, in the order in which they are made of each other. Not two tables in one run: a week that
#: fails at the first would keep the others from the second, until `flow_on` takes them there.
TABLE_JOBS = {
    name: dg.define_asset_job(
        f"{name}_weeks",
        selection=dg.AssetSelection.assets(name),
        description=f"Make {name} of weeks that are there: one, or any range.",
    )
    for name in TABLE_CHECKS
}

BOOTHS_JOB = dg.define_asset_job(
    "remote_booths_list",
    selection=dg.AssetSelection.assets(BOOTHS.name),
    description="Fetch the MTA's list of booths, for the stations of weeks before 2014-10-18.",
)
