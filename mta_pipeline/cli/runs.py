"""Runs that the command line executes itself, and what becomes of those that were killed.

Dagster's monitoring knows nothing of them: a killed one would count as running for ever, and two of
them would keep the queue of the UI and the pool of the feed shut. So each holds a lock while it
lives, which the kernel drops with the process, and whoever comes next reports the dead as failed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import dagster as dg

from mta_pipeline.domain.files import locked
from mta_pipeline.orchestration.assets import FEED_POOL
from mta_pipeline.orchestration.dagster_edges import free_places, places_left

A_MOMENT = 1.0  # seconds
#: One whose record could not be written to its end (a full disk) has not even started.
BEGUN = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
TAGS = {"mta_pipeline/executed_by": "command line"}


@contextmanager
def living(run_id: str) -> Iterator[None]:
    """Show that the run `run_id` is alive, as long as the body lasts."""
    with locked(_lock(run_id)):
        yield


def report_killed(instance: dg.DagsterInstance) -> list[str]:
    """Report the command line's runs that are recorded as begun, but dead, as failed; returns their ids."""
    dead = []
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=BEGUN, tags=TAGS)):
        with locked(_lock(run.run_id), wait=False) as ours:
            if ours:
                instance.report_run_failed(run, "The process of mta-pipeline backfill was killed.")
                free_places(instance, run.run_id)
                dead.append(run.run_id)
    return dead


def wait_for_place(instance: dg.DagsterInstance) -> None:
    """Wait until fewer runs ask the feed than may at once, and say so.

    Dagster would wait too, but in silence, with a processor busy, and for the dead as well.
    """
    told = False
    while not places_left(instance, FEED_POOL) and not report_killed(instance):
        if not told:
            click.echo(f"waiting for another run to end: the pool {FEED_POOL} is full (dagster.yaml)", err=True)
            told = True
        time.sleep(A_MOMENT)


def _lock(run_id: str) -> Path:
    return Path(os.environ["DAGSTER_HOME"]) / "command_line_runs" / run_id
