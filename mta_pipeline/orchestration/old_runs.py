"""The sensor `forget_old_runs`: keeps years of runs from filling the disk with what nobody asks any more.

Dagster keeps every run with all its events and logs. Which weeks are good, which failed, and why, the UI
reads from the newest run of each week: those stay for ever, and their number is bounded by that of the
weeks. What ended long ago and has been overtaken by later runs goes.
"""

from collections.abc import Iterator
from datetime import datetime, timezone

import dagster as dg

from mta_pipeline.orchestration.dagster_edges import forget, is_ours, newest_runs
from mta_pipeline.orchestration.partitions import SETTINGS

AN_HOUR = 3600  # seconds
#: At most so many in a tick, of which Dagster stops those that take longer than a minute.
RUNS_A_TICK = 50
ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


@dg.sensor(
    name="forget_old_runs",
    minimum_interval_seconds=AN_HOUR,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Removes the events and logs of runs that ended more than `MTA_KEEP_RUNS_DAYS` ago, but for those that tell "
        "how a week stands now."
    ),
)
def forget_old_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Forget up to `RUNS_A_TICK` runs, the oldest first."""
    before = datetime.now(timezone.utc) - SETTINGS.keep_runs
    old = list(_old_runs(context, before))
    for run in old:
        forget(context.instance, run)
    return dg.SkipReason(f"{len(old)} runs forgotten that ended before {before:%Y-%m-%d} and tell nothing of today")


def _old_runs(context: dg.SensorEvaluationContext, before: datetime) -> Iterator[dg.DagsterRun]:
    records = context.instance.get_run_records(
        dg.RunsFilter(statuses=ENDED, updated_before=before), order_by="id", ascending=True
    )
    ours = [record.dagster_run for record in records if is_ours(context, record.dagster_run)]
    if not ours:
        return
    needed = newest_runs(context.instance)
    yield from [run for run in ours if run.run_id not in needed][:RUNS_A_TICK]
