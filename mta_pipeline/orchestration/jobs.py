"""The ingest job: what the schedule, the command line and the UI's job page run."""

from __future__ import annotations

import dagster as dg

from mta_pipeline.orchestration.checks import LAKE_OBJECT, NO_WEEK_OVERDUE, RAW_CSV

INGEST_JOB = dg.define_asset_job(
    "ingest_weeks",
    # That check is about all weeks together: nothing to ask again for each of them.
    selection=dg.AssetSelection.assets(RAW_CSV, LAKE_OBJECT) - dg.AssetSelection.checks(NO_WEEK_OVERDUE),
    description="Fetch, audit, compress and publish weeks: one, or any range.",
)
