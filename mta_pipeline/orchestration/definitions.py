"""All definitions together: what workspace.yaml names and Dagster loads."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from mta_pipeline.domain.settings import Settings, without_credentials
from mta_pipeline.orchestration.alerts import alerts
from mta_pipeline.orchestration.assets import TURNSTILE_FEED, ingest
from mta_pipeline.orchestration.automation import flow_on_sensor
from mta_pipeline.orchestration.booths_asset import remote_booths
from mta_pipeline.orchestration.dagster_edges import with_links_to_code
from mta_pipeline.orchestration.io_managers import LakeIOManager
from mta_pipeline.orchestration.jobs import BOOTHS_JOB, INGEST_JOB, TABLE_JOBS
from mta_pipeline.orchestration.late_files import late_files, no_week_overdue
from mta_pipeline.orchestration.old_runs import forget_old_runs
from mta_pipeline.orchestration.partitions import SETTINGS
from mta_pipeline.orchestration.process import spare_processor_and_memory
from mta_pipeline.orchestration.readings_asset import readings
from mta_pipeline.orchestration.resources import BoothsResource, FeedResource, StagingResource
from mta_pipeline.orchestration.ridership_asset import ridership
from mta_pipeline.orchestration.schedules import weekly_ingest


def build_resources(settings: Settings) -> dict[str, object]:
    """The resources that `settings` ask for, by name."""
    return {
        "feed": FeedResource(url=_shown("MTA_FEED_URL", settings.feed_url), scale=settings.feed_scale),
        "booths": BoothsResource(url=_shown("MTA_BOOTHS_URL", settings.booths_url)),
        "staging": StagingResource(folder=str(settings.staging_dir)),
        "lake": LakeIOManager(url=settings.lake_url),
    }


def _shown(variable: str, url: str) -> str:
    """An address as the UI may show it: it shows what resources are configured with, but of an EnvVar only the name."""
    secret = without_credentials(url) != url
    return dg.EnvVar(variable) if secret else url


def build_definitions(resources: Mapping[str, object]) -> dg.Definitions:
    """The project's definitions over any resources, such as a test's."""
    return dg.Definitions(
        assets=with_links_to_code([TURNSTILE_FEED, ingest, remote_booths, readings, ridership]),
        asset_checks=[no_week_overdue],
        jobs=[INGEST_JOB, *TABLE_JOBS.values(), BOOTHS_JOB],
        schedules=[weekly_ingest],
        sensors=[late_files, alerts, flow_on_sensor(), forget_old_runs],
        resources=resources,
        # The step has its own threads; a process a step would cost seconds and gain nothing.
        executor=dg.in_process_executor,
    )


defs = build_definitions(build_resources(SETTINGS))

spare_processor_and_memory()
