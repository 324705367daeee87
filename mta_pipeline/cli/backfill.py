"""`mta-pipeline backfill`: runs the ingest job in this process, and shows what came of each week. Other jobs over
weeks (`cli.tables`) are run the same way.

All that is shown is read from the events that Dagster records, so that the table and the UI can
never say different things.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import click
import dagster as dg
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sqlalchemy.exc import SQLAlchemyError

from mta_pipeline.cli.home import open_instance
from mta_pipeline.cli.progress import WeekProgress
from mta_pipeline.cli.runs import TAGS, living, report_killed, wait_for_place
from mta_pipeline.domain.errors import Finding, RecordError
from mta_pipeline.domain.settings import Settings
from mta_pipeline.domain.weeks import Week
from mta_pipeline.orchestration.checks import LAKE_OBJECT
from mta_pipeline.orchestration.dagster_edges import broken_off_partitions, range_tags
from mta_pipeline.orchestration.definitions import defs
from mta_pipeline.orchestration.io_managers import LakeIOManager
from mta_pipeline.orchestration.jobs import INGEST_JOB

#: Weeks in a run. They follow each other here, unlike the daemon's: nothing is fetched for half a second between two.
WEEKS_PER_RUN = 104
INTERRUPTED = dg.DagsterExecutionInterruptedError.__name__
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Work:
    """What is done with weeks: the job, the asset whose materialization says that a week is done, and the table."""

    title: str
    job: str
    asset: dg.AssetKey
    columns: Sequence[str]  #: of the table
    row: Callable[[WeekResult], tuple[str, ...]]
    wait: Callable[[dg.DagsterInstance], None] | None = None  #: before each run


@dataclass
class WeekResult:
    """What the events of a run said of one week."""

    week: Week
    metadata: dict[str, object] | None = None  #: of the materialization that counts
    checks: int = 0
    warnings: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def begun(self) -> bool:
        """Whether there is a word on it at all."""
        return self.metadata is not None or bool(self.failures)

    @property
    def good(self) -> bool:
        """Whether it is in the lake, every blocking check passed."""
        return self.metadata is not None and not self.failures

    @property
    def passed(self) -> str:
        """The checks in a word or two."""
        if self.metadata is None:
            return f"[red]{len(self.failures)} failed[/red]"
        if self.warnings:
            return f"[yellow]{self.checks - len(self.warnings)} passed, {len(self.warnings)} warned[/yellow]"
        return f"{self.checks} passed"


def run(weeks: Sequence[Week], settings: Settings, only_missing: bool, weeks_per_run: int | None) -> bool:
    """Backfill `weeks`; tells whether all are good."""
    with open_instance() as instance:
        report_killed(instance)
        wanted = _missing(weeks, settings, instance) if only_missing else list(weeks)
        if len(wanted) < len(weeks):
            click.echo(f"{len(weeks) - len(wanted)} of {len(weeks)} weeks are in the lake already", err=True)
        if not wanted:
            return True
        good, interrupted = do(BACKFILL, wanted, weeks_per_run or WEEKS_PER_RUN, instance)
    if interrupted:
        click.echo(
            f"interrupted with {interrupted} weeks to go; the same command with --only-missing goes on", err=True
        )
    return good


def do(work: Work, weeks: Sequence[Week], weeks_per_run: int, instance: dg.DagsterInstance) -> tuple[bool, int]:
    """Do the work with `weeks`, and show what came of each: whether all are good, and how many were not reached."""
    results = {week: WeekResult(week) for week in weeks}
    with WeekProgress(work.title, len(weeks)) as progress:
        for batch in batches(weeks, weeks_per_run):
            if _run_batch(work, batch, instance, results, progress):
                break
    begun = [result for result in results.values() if result.begun]
    _show(work, begun)
    return all(result.good for result in results.values()), len(weeks) - len(begun)


def _missing(weeks: Sequence[Week], settings: Settings, instance: dg.DagsterInstance) -> list[Week]:
    """The weeks without an object, and those whose last run left them: it may have ended before it recorded them."""
    store = LakeIOManager(url=settings.lake_url).store()
    left = broken_off_partitions(instance, LAKE_OBJECT)
    return [week for week in weeks if week.key in left or not store.exists(week.object_name)]


def batches(weeks: Sequence[Week], most: int) -> Iterator[list[Week]]:
    """Split weeks in order into runs: unbroken, because a Dagster run takes a range of partitions."""
    batch: list[Week] = []
    for week in weeks:
        if batch and (len(batch) == most or week != batch[-1].shifted(1)):
            yield batch
            batch = []
        batch.append(week)
    if batch:
        yield batch


def _run_batch(
    work: Work,
    batch: Sequence[Week],
    instance: dg.DagsterInstance,
    results: dict[Week, WeekResult],
    progress: WeekProgress,
) -> bool:
    """One run of the job; its events fill `results` as they happen. Tells whether it was interrupted."""

    def hear(entry: dg.EventLogEntry) -> None:
        if entry.dagster_event:
            _take(work.asset, entry.dagster_event, results, progress)

    try:
        if work.wait:
            work.wait(instance)
    except KeyboardInterrupt:
        return True
    run_id = str(uuid.uuid4())
    instance.add_event_listener(run_id, hear)
    with living(run_id), _record_errors():
        outcome = defs.resolve_job_def(work.job).execute_in_process(
            instance=instance,
            run_id=run_id,
            run_config=QUIET,
            tags={**TAGS, **range_tags(batch[0].key, batch[-1].key)},
            raise_on_error=False,
        )
    failures = [event.step_failure_data for event in outcome.all_events if event.is_step_failure]
    interrupted = any(failure.error and failure.error.cls_name == INTERRUPTED for failure in failures)
    told = {
        week: str(value.value)
        for failure in failures
        if failure.user_failure_data
        for week, value in failure.user_failure_data.metadata.items()
    }
    for week in batch:
        result = results[week]
        if not result.begun and not interrupted:
            broke_off = f"Week {week}: run {run_id} ended without a word on it: {_reason(failures)}"
            result.failures.append(told.get(week.key, broke_off))
            progress.advance(failed=True)
    return interrupted


@contextmanager
def _record_errors() -> Iterator[None]:
    """What the database of Dagster's record says, where the run itself cannot be told of it."""
    try:
        yield
    except SQLAlchemyError as fault:
        raise RecordError(
            Finding(
                where=os.environ["DAGSTER_HOME"],
                found=f"{type(fault).__name__} ({getattr(fault, 'orig', None) or fault})",
                expected="Dagster's record of runs, which can be read and written",
                remedy="Free some space there, or see to its database; the same command with --only-missing goes on.",
            )
        ) from fault


def _reason(failures: Sequence[dg.StepFailureData]) -> str:
    """What the step says, else what is at the bottom: Dagster wraps what happened into errors of its own."""
    if failures and failures[0].user_failure_data and failures[0].user_failure_data.description:
        return str(failures[0].user_failure_data.description)
    error = failures[0].error if failures else None
    while error and error.cause:
        error = error.cause
    return error.message.strip() if error else "look at it in the UI"


def _take(
    asset: dg.AssetKey, event: dg.DagsterEvent, results: Mapping[Week, WeekResult], progress: WeekProgress
) -> None:
    """Add what an event says to its week's result, and count the week when that decides it."""
    if event.is_step_materialization and event.asset_key == asset and event.partition:
        metadata = event.step_materialization_data.materialization.metadata
        results[Week.parse(event.partition)].metadata = {name: value.value for name, value in metadata.items()}
        progress.advance()
    elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        evaluation = event.asset_check_evaluation_data
        result = results[Week.parse(evaluation.partition or "")]
        result.checks += 1
        if not evaluation.passed and evaluation.blocking:
            if not result.failures:
                progress.advance(failed=True)
            result.failures.append(evaluation.description or evaluation.check_name)
        elif not evaluation.passed:
            result.warnings.append(evaluation.description or evaluation.check_name)


def _show(work: Work, results: Sequence[WeekResult]) -> None:
    """The table, then a line for each week that failed or has a warning."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)  # a pipe has no width: lines stay whole, so that they can be searched
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in work.columns:
        number = name in ("rows", "size", "compressed")
        table.add_column(name, justify="right" if number else "left", no_wrap=name != "object", overflow="fold")
    for result in results:
        table.add_row(*work.row(result))
    console.print(table)
    good = sum(result.good for result in results)
    console.print(f"{good} of {len(results)} weeks are good", highlight=False)
    for result in results:
        for text in result.failures:
            click.secho(f"FAILED  {text}", fg="red", err=True)
        for text in result.warnings:
            click.secho(f"WARNING {text}", fg="yellow", err=True)


def _row(result: WeekResult) -> tuple[str, ...]:
    week, metadata = result.week, result.metadata
    if metadata is None:
        return (week.key, week.file_name, "", "", "", result.passed, "not published")
    return (
        week.key,
        week.file_name,
        f"{metadata['rows']:,}",
        megabytes(metadata["bytes"]),
        megabytes(metadata["compressed bytes"]),
        result.passed,
        escape(str(metadata["dagster/uri"])),
    )


def megabytes(size: object) -> str:
    """Bytes as people read them."""
    return f"{float(str(size)) / 1e6:.2f} MB"


BACKFILL = Work(
    "backfill",
    INGEST_JOB.name,
    LAKE_OBJECT,
    ("week", "file", "rows", "size", "compressed", "checks", "object"),
    _row,
    wait_for_place,
)
