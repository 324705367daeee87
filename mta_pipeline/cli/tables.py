"""`mta-pipeline ridership`: makes the tables of weeks, one table after the other, for those without a daemon."""

from __future__ import annotations

from collections.abc import Sequence

import click
import dagster as dg
from rich.markup import escape

from mta_pipeline.cli.backfill import QUIET, WeekResult, Work, do, megabytes
from mta_pipeline.cli.home import open_instance
from mta_pipeline.cli.runs import TAGS, report_killed
from mta_pipeline.domain.lake import LakeStore
from mta_pipeline.domain.layouts import LEGACY, layout_of
from mta_pipeline.domain.recipes import RECIPES, Recipe
from mta_pipeline.domain.settings import Settings
from mta_pipeline.domain.tables import BOOTHS_OBJECT
from mta_pipeline.domain.weeks import Week
from mta_pipeline.orchestration.automation import out_of_date
from mta_pipeline.orchestration.definitions import defs
from mta_pipeline.orchestration.io_managers import LakeIOManager
from mta_pipeline.orchestration.jobs import BOOTHS_JOB, TABLE_JOBS
from mta_pipeline.orchestration.tables import weeks_per_run


def run(weeks: Sequence[Week], settings: Settings, again: bool) -> bool:
    """Make all tables of those of `weeks` that the lake has; tells whether all are good."""
    store = LakeIOManager(url=settings.lake_url).store()
    good = True
    with open_instance() as instance:
        report_killed(instance)
        for name, job in TABLE_JOBS.items():
            recipe = RECIPES[name]
            there = [week for week in weeks if store.exists(recipe.source_object(week))]
            wanted = there if again else _due(there, recipe, store, instance)
            click.echo(f"{name}: {len(there)} weeks to make it of, {len(wanted)} to do", err=True)
            if not there:
                click.echo(
                    f"no {recipe.source} of these weeks: `mta-pipeline backfill` brings what is missing", err=True
                )
            if not wanted:
                continue
            if recipe.for_legacy and any(layout_of(week) is LEGACY for week in wanted):
                _fetch_booths(store, instance)
            work = Work(name, job.name, dg.AssetKey(name), ("week", "table", "rows", "size", "checks", "object"), _row)
            all_good, left = do(work, wanted, weeks_per_run(name), instance)
            good &= all_good
            if left:
                click.echo(f"interrupted with {left} weeks to go; the same command goes on", err=True)
                return False
    return good


def _due(there: Sequence[Week], recipe: Recipe, store: LakeStore, instance: dg.DagsterInstance) -> list[Week]:
    """Weeks that are not in the lake, or made of something else than it has now."""
    changed = out_of_date(instance, recipe, there)
    return [week for week in there if week in changed or not store.exists(recipe.table.object_name(week))]


def _fetch_booths(store: LakeStore, instance: dg.DagsterInstance) -> None:
    """Have the list of booths, if it can be had: without it weeks are good too, but know no stations."""
    if store.exists(BOOTHS_OBJECT):
        return
    click.echo("fetching the list of booths, which names the stations of weeks before 2014-10-18", err=True)
    done = defs.resolve_job_def(BOOTHS_JOB.name).execute_in_process(
        instance=instance, tags=TAGS, raise_on_error=False, run_config=QUIET
    )
    for event in done.all_events:
        if event.is_step_failure and event.step_failure_data.user_failure_data:
            click.secho(f"WARNING {event.step_failure_data.user_failure_data.description}", fg="yellow", err=True)


def _row(result: WeekResult) -> tuple[str, ...]:
    metadata = result.metadata
    if metadata is None:
        return (result.week.key, "", "", "", result.passed, "not published")
    uri = str(metadata["dagster/uri"])
    return (
        result.week.key,
        uri.rpartition("/")[2].removesuffix(".parquet"),
        f"{metadata['rows']:,}",
        megabytes(metadata["bytes"]),
        result.passed,
        escape(uri),
    )
