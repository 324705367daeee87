"""Weeks whose file is due and that the lake has not: the check that tells of them, the sensor that asks for them.

Which weeks these are, `mta_pipeline.domain.arrivals` says. The sensor leaves the first word to the
schedule: it asks the feed only about weeks that were due at its last look already, when
`weekly_ingest` had its turn, and that nothing is at work on.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import dagster as dg

from mta_pipeline.domain.arrivals import Arrivals, Lateness
from mta_pipeline.domain.audit import FILE_FETCHED
from mta_pipeline.domain.errors import FeedError
from mta_pipeline.domain.feed import Feed
from mta_pipeline.domain.weeks import Week
from mta_pipeline.orchestration.checks import LAKE_OBJECT, NO_WEEK_OVERDUE, key_of
from mta_pipeline.orchestration.dagster_edges import at_work, last_evaluation
from mta_pipeline.orchestration.io_managers import LakeIOManager
from mta_pipeline.orchestration.jobs import INGEST_JOB
from mta_pipeline.orchestration.partitions import SETTINGS
from mta_pipeline.orchestration.resources import FeedResource

EVERY = 900  # seconds
A_DAY = timedelta(days=1)
ARRIVALS = Arrivals(SETTINGS.first_week, SETTINGS.last_week, SETTINGS.overdue_after)


def now() -> datetime:
    """The clock of this module."""
    return datetime.now(timezone.utc)


# After the weeks of a run that has both: the lake is then as that run leaves it.
@dg.op(name="lake_object_no_week_overdue", out=dg.Out(dg.Nothing), tags={"dagster/priority": "-1"})
def _ask_the_lake(lake: dg.ResourceParam[LakeIOManager]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(**_verdict(ARRIVALS.lateness(now(), lake.store())))


# Not by @asset_check, whose step waits for an output of `ingest`; that has none (its weeks are events), so
# the check would be skipped.
no_week_overdue = dg.AssetChecksDefinition.create(
    keys_by_input_name={},
    node_def=_ask_the_lake,
    check_specs_by_output_name={
        "result": dg.AssetCheckSpec(
            NO_WEEK_OVERDUE.name,
            asset=LAKE_OBJECT,
            description=(
                "The newest weeks are in the lake, but for those whose file was due less than `MTA_OVERDUE_HOURS` "
                "ago. The lake itself is asked, so that a backfill of old weeks does not turn this green."
            ),
        )
    },
    can_subset=False,
)


@dg.sensor(
    name="late_files",
    job=INGEST_JOB,
    minimum_interval_seconds=EVERY,
    description=(
        "Looks every quarter of an hour whether the files of due and missing weeks have appeared in the feed, and asks "
        "for those weeks, once for each version of a file. Keeps `no_week_overdue` up to date."
    ),
)
def late_files(
    context: dg.SensorEvaluationContext, feed: FeedResource, lake: dg.ResourceParam[LakeIOManager]
) -> dg.SensorResult:
    """Request what has appeared, and tell of the rest in the reason for which nothing is requested."""
    moment = now()
    last_look = datetime.fromisoformat(context.cursor) if context.cursor else None
    # First what is at work, then the lake: a run that ends in between has its week in the lake.
    busy = at_work(context, LAKE_OBJECT, [week.key for week in ARRIVALS.due(moment)])
    lateness = ARRIVALS.lateness(moment, lake.store())
    requests: list[dg.RunRequest] = []
    reasons = [str(lateness)]
    for week in lateness.missing:
        if week.key in busy:
            reasons.append(f"Week {week}: {busy[week.key]} has it in hand.")
        elif last_look is None or last_look < week.due:
            reasons.append(f"Week {week}: weekly_ingest goes first; the feed is asked at the next look.")
        else:
            try:
                answer = _ask(context.instance, feed.feed(), week)
            except FeedError as error:
                context.log.warning(str(error))
                reasons.append(str(error))
                break  # a feed that is ill is not asked about more weeks
            if isinstance(answer, dg.RunRequest):
                requests.append(answer)
            else:
                reasons.append(answer)
    evaluation = dg.AssetCheckEvaluation(
        asset_key=LAKE_OBJECT, check_name=NO_WEEK_OVERDUE.name, blocking=False, **_verdict(lateness)
    )
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else " ".join(reasons),
        cursor=moment.isoformat(),
        asset_events=[evaluation] if _is_news(context.instance, evaluation, moment) else [],
    )


def _ask(instance: dg.DagsterInstance, feed: Feed, week: Week) -> dg.RunRequest | str:
    """A request for the week where the feed has a version of its file that nobody has tried, else why not."""
    version = feed.published(week)
    if version is None:
        return f"Week {week}: {feed.url_of(week)} is not there yet."
    request = dg.RunRequest(run_key=f"{week} {version}", partition_key=week.key)
    fetched = last_evaluation(instance, key_of(FILE_FETCHED), week.key)
    tried = fetched and fetched[1].passed and fetched[1].metadata.get("version") == dg.TextMetadataValue(version)
    asked = instance.get_runs(dg.RunsFilter(tags={"dagster/run_key": request.run_key or ""}), limit=1)
    if tried or asked:
        return (
            f"Week {week}: {feed.url_of(week)} is the same file ({version or 'as far as can be told'}) that was tried "
            "before. Another one would be asked for; to try this one again, materialize the week."
        )
    return request


def _verdict(lateness: Lateness) -> Mapping[str, Any]:
    """What the check says, in the words that its two forms share."""
    return {
        "passed": not lateness.overdue,
        "severity": dg.AssetCheckSeverity.ERROR,
        "description": str(lateness),
        "metadata": {
            "weeks": dg.MetadataValue.json([week.key for week in lateness.overdue]),
            "due and missing": dg.MetadataValue.json([week.key for week in lateness.missing]),
        },
    }


def _is_news(instance: dg.DagsterInstance, evaluation: dg.AssetCheckEvaluation, moment: datetime) -> bool:
    """Whether this evaluation says something else than the last one, or the last one is no longer current."""
    last = last_evaluation(instance, NO_WEEK_OVERDUE)
    if last is None:
        return True
    told_at, told = last
    made = instance.get_latest_materialization_event(LAKE_OBJECT)
    return (
        (told.passed, told.description) != (evaluation.passed, evaluation.description)
        or moment.timestamp() - told_at > A_DAY.total_seconds()
        or (made is not None and made.timestamp > told_at)  # the UI would call it outdated
    )
