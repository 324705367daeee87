"""`mta-pipeline weeks`: which weeks are in the lake, failed or missing.

The lake tells what is in it, Dagster's record what failed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby

import click
from rich.console import Console
from rich.text import Text

from mta_pipeline.cli.home import open_instance
from mta_pipeline.domain.audit import CHECKS
from mta_pipeline.domain.lake import LakeStore
from mta_pipeline.domain.settings import Settings
from mta_pipeline.domain.weeks import Week
from mta_pipeline.orchestration.checks import LAKE_OBJECT, key_of
from mta_pipeline.orchestration.dagster_edges import failed_partitions, last_failures
from mta_pipeline.orchestration.io_managers import LakeIOManager
from mta_pipeline.orchestration.partitions import WEEKS

LOOKERS = 8  # requests at a time to a lake behind a network; Google's client keeps 10 connections
MOST_REASONS = 20


@dataclass(frozen=True)
class WeekState:
    """What is known of a week. `failure` says why its last run failed, if it did."""

    week: Week
    in_lake: bool
    failure: str | None

    @property
    def name(self) -> str:
        """One of in_lake, failed (which may still have an older object in the lake), missing."""
        if self.failure is not None:
            return "failed"
        return "in_lake" if self.in_lake else "missing"

    @property
    def symbol(self) -> tuple[str, str]:
        """A character and its colour."""
        if self.failure is not None:
            return ("!", "yellow") if self.in_lake else ("x", "red")
        return ("■", "green") if self.in_lake else ("·", "dim")


def show(settings: Settings, weeks: Sequence[Week], as_json: bool) -> None:
    """Print the state of `weeks`."""
    states = states_of(weeks, LakeIOManager(url=settings.lake_url).store())
    if as_json:
        click.echo(json.dumps({"lake": settings.lake_url, "weeks": [_as_json(state) for state in states]}, indent=1))
    else:
        _print_calendar(states)


def states_of(weeks: Sequence[Week], store: LakeStore) -> list[WeekState]:
    """What the lake and Dagster's record say of `weeks`."""
    with ThreadPoolExecutor(LOOKERS) as pool:
        present = pool.map(lambda week: store.exists(week.object_name), weeks)
    with open_instance() as instance:
        failed = failed_partitions(instance, LAKE_OBJECT, WEEKS, [week.key for week in weeks])
        keys = [key_of(check) for check in CHECKS if check.blocking]
        reasons = {key: last_failures(instance, keys, key) for key in failed}
    return [
        WeekState(week, in_lake, _reason(reasons[week.key]) if week.key in reasons else None)
        for week, in_lake in zip(weeks, present, strict=True)
    ]


def _reason(failures: Sequence[str]) -> str:
    return "; ".join(failures) or "its run broke off, and no check says why; open the run in the UI"


def _as_json(state: WeekState) -> dict[str, object]:
    return {
        "week": state.week.key,
        "file": state.week.file_name,
        "object": state.week.object_name,
        "state": state.name,
        "in_lake": state.in_lake,
        "failure": state.failure,
    }


def _print_calendar(states: Sequence[WeekState]) -> None:
    """A line a year, a character a week; each week in the column of its first day's week of year."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text("      " + _ruler(), style="dim"))
    for year, group in groupby(states, key=lambda state: state.week.first_day.year):
        line = Text(f"{year}  ")
        column = 0
        for state in group:
            place = (state.week.first_day.timetuple().tm_yday - 1) // 7
            line.append(" " * (place - column))
            line.append(*state.symbol)
            column = place + 1
        console.print(line)
    counts = {name: sum(state.name == name for state in states) for name in ("in_lake", "failed", "missing")}
    console.print(
        f"\n[green]■[/green] {counts['in_lake']} in the lake   [red]x[/red] {counts['failed']} failed "
        f"([yellow]![/yellow] with an older object in the lake)   · {counts['missing']} missing"
    )
    failures = [state for state in states if state.failure]
    for state in failures[-MOST_REASONS:]:
        console.print(Text(f"{state.symbol[0]} {state.failure}"))
    if len(failures) > MOST_REASONS:
        console.print(f"… and {len(failures) - MOST_REASONS} earlier ones (--json lists all)")


def _ruler() -> str:
    """The months over the columns."""
    ruler = [" "] * 53
    for month, day in enumerate((1, 32, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335)):
        ruler[(day - 1) // 7] = "JFMAMJJASOND"[month]
    return "".join(ruler)
