"""What came of a run, read from the events that Dagster recorded, as plain values of the domain."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import dagster as dg

from mta_pipeline.domain.alerts import RunReport
from mta_pipeline.domain.errors import WeekError
from mta_pipeline.domain.weeks import Week
from mta_pipeline.orchestration.checks import LAKE_OBJECT, NO_WEEK_OVERDUE, RAW_CSV
from mta_pipeline.orchestration.dagster_edges import MARKED_AS_FAILED, events_of, partition_bounds, reason_of

INTERRUPTED = dg.DagsterExecutionInterruptedError.__name__


def report_of(instance: dg.DagsterInstance, run: dg.DagsterRun, retried_as: str | None = None) -> RunReport:
    """The report of a run that has ended; `retried_as` is the run that Dagster started in its place."""
    seen = _Seen(interrupted=run.status == dg.DagsterRunStatus.CANCELED)
    for event in events_of(instance, run.run_id):
        seen.take(event)
    weeks = _weeks(run)
    broke_off = run.status == dg.DagsterRunStatus.FAILURE and not seen.interrupted
    planned = seen.planned or {f"job {run.job_name}"}
    if not seen.planned and run.status == dg.DagsterRunStatus.SUCCESS:
        seen.brought[""] |= planned
    missing = {week: planned - seen.brought[week] for week in weeks or [""] if broke_off}
    for week, checks in seen.failed_checks.items():
        missing[week] = missing.get(week) or checks
    crash = None
    if broke_off and (seen.crashes or not seen.failed):
        crash = next(iter([*seen.crashes, *seen.reasons]), "no reason was recorded")
    return RunReport(
        run_id=run.run_id,
        weeks=weeks,
        failed=seen.failed,
        warned=seen.warned,
        crash=crash,
        retried_as=retried_as,
        missing={week: things for week, things in missing.items() if things},
        brought=seen.brought,
    )


@dataclass
class _Seen:
    """What the events of a run said, by week."""

    interrupted: bool
    planned: set[str] = field(default_factory=set)
    brought: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    failed: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    failed_checks: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    warned: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    crashes: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    engine_said: str = ""

    def take(self, event: dg.DagsterEvent) -> None:
        """Add what an event says."""
        if event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED and event.asset_key:
            self.planned.add(event.asset_key.to_user_string())
        elif event.is_step_materialization and event.asset_key:
            brought = self.brought[event.partition or ""]
            brought.add(event.asset_key.to_user_string())
            if event.asset_key == LAKE_OBJECT:
                brought.add(RAW_CSV.to_user_string())  # it is scratch: nobody misses it now
        elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            self._take_check(event.asset_check_evaluation_data)
        elif event.is_step_failure:
            self._take_step_failure(event.step_failure_data)
        elif event.is_engine_event:
            self.engine_said = event.message or ""
        elif event.is_run_failure and not self.crashes and not self.reasons:
            # No step is to blame: the process died, or no step was reached.
            error = event.job_failure_data.error if event.event_specific_data else None
            message = reason_of(error)[1] if error else event.message or ""
            self.crashes.append(self.engine_said or message if message == MARKED_AS_FAILED else message)

    def _take_check(self, check: dg.AssetCheckEvaluation) -> None:
        # Whether a week is overdue is no run's doing; its evaluations are told of by themselves.
        if check.asset_check_key == NO_WEEK_OVERDUE:
            return
        week, name = check.partition or "", check.asset_check_key.to_user_string()
        if check.passed:
            self.brought[week].add(name)
        elif check.severity == dg.AssetCheckSeverity.WARN:
            self.warned[week].append(check.description or f"{name} warned")
        else:
            self.failed[week].append(check.description or f"{name} failed")
            self.failed_checks[week].add(name)

    def _take_step_failure(self, failure: dg.StepFailureData) -> None:
        kind, message = reason_of(failure.error) if failure.error else ("", "")
        if kind == INTERRUPTED:
            self.interrupted = True
        elif failure.user_failure_data:
            self.reasons.append(failure.user_failure_data.description or message)
            # Of each week that failed, also of those that met a fault before any check was reached.
            for week, why in failure.user_failure_data.metadata.items():
                if week not in self.failed:
                    self.failed[week].extend(str(why.value).splitlines())
        else:
            self.crashes.append(message)


def _weeks(run: dg.DagsterRun) -> list[str]:
    """The keys of the weeks that a run was asked for."""
    bounds = partition_bounds(run)
    if bounds is None:
        return []
    try:
        return [week.key for week in Week.between(*map(Week.parse, bounds))]
    except WeekError:  # partitions of another kind
        return ["...".join(sorted(set(bounds)))]
