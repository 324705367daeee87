"""The weekly schedule: on the Saturday of publication, by New York's clock."""

from datetime import timezone

import dagster as dg

from mta_pipeline.domain.weeks import NEW_YORK, Week
from mta_pipeline.orchestration.jobs import INGEST_JOB
from mta_pipeline.orchestration.partitions import SETTINGS


@dg.schedule(
    name="weekly_ingest",
    job=INGEST_JOB,
    cron_schedule="0 12 * * SAT",  # the file comes out in the morning
    execution_timezone=NEW_YORK.key,
    description="Asks for the newest complete week, at noon on the Saturday on which its file comes out.",
)
def weekly_ingest(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Request the week that was newest at the tick's own time, however late the tick is evaluated."""
    week = Week.newest_published(context.scheduled_execution_time.astimezone(timezone.utc))
    if SETTINGS.last_week and week > SETTINGS.last_week:
        return dg.SkipReason(f"Week {week} lies after the last one wanted, MTA_LAST_WEEK = {SETTINGS.last_week}.")
    if week < SETTINGS.first_week:
        return dg.SkipReason(f"Week {week} lies before the first one wanted, MTA_FIRST_WEEK = {SETTINGS.first_week}.")
    return dg.RunRequest(run_key=week.key, partition_key=week.key)
