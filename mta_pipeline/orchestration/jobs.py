"""The ingest job: what the schedule, the command line and the UI's job page run."""

from __future__ import annotations

import dagster as dg

from mta_pipeline.orchestration.checks import LAKE_OBJECT, RAW_CSV

INGEST_JOB = dg.define_asset_job(
    "ingest_weeks",
    selection=dg.AssetSelection.assets(RAW_CSV, LAKE_OBJECT),
    description="Fetch, audit, compress and publish weeks: one, or any range.",
)
