"""The jobs: what the schedule, the command line and the UI's job pages run."""

from __future__ import annotations

import dagster as dg

from mta_pipeline.orchestration.checks import LAKE_OBJECT, NO_WEEK_OVERDUE, RAW_CSV, TABLE_CHECKS

INGEST_JOB = dg.define_asset_job(
    "ingest_weeks",
    # That check is about all weeks together: nothing to ask again for each of them.
    selection=dg.AssetSelection.assets(RAW_CSV, LAKE_OBJECT) - dg.AssetSelection.checks(NO_WEEK_OVERDUE),
    description="Fetch, audit, compress and publish weeks: one, or any range.",
)

TABLES_JOB = dg.define_asset_job(
    "make_tables",
    selection=dg.AssetSelection.assets(*TABLE_CHECKS),
    description="Make what is made of weeks in the lake: one, or any range.",
)
