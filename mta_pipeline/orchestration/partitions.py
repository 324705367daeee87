"""The weeks, as Dagster's partitions.

A partition is a week, its key the first day. It exists from the midnight in New York at which its
file is due, so nobody can ask for a file of the future.
"""

from __future__ import annotations

import dagster as dg

from mta_pipeline.domain.settings import Settings
from mta_pipeline.domain.weeks import NEW_YORK, Week


def weekly_partitions(first: Week, last: Week | None) -> dg.WeeklyPartitionsDefinition:
    """One partition a week from `first` to `last`, or for ever."""
    return dg.WeeklyPartitionsDefinition(
        start_date=first.key,
        end_date=last.release_date.isoformat() if last else None,
        day_offset=6,  # Saturday, counted as cron does
        timezone=NEW_YORK.key,
    )


SETTINGS = Settings.from_environment()
WEEKS = weekly_partitions(SETTINGS.first_week, SETTINGS.last_week)
