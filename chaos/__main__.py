"""`make chaos`: arguments, rounds side by side, exit codes."""

from __future__ import annotations

import os
import platform
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from chaos import report
from chaos.faults import FAULTS
from chaos.rounds import PROJECT, Result, play

WORK = PROJECT / "chaos" / "work"
#: One of each place, the quicker ones: what CI runs.
SHORT = ("cut", "html", "replaced-between-tries", "bucket-answer-lost", "sigkill", "two-runs", "lake-full", "just-due")

WEEKS, FEW_WEEKS = 18, 6


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seed", default=1, show_default=True, help="The same seed makes the same rounds.")
@click.option("--rounds", default=1, show_default=True, help="Of each fault.")
@click.option("--weeks", type=click.IntRange(min=3), help=f"In a round. [default: {WEEKS}; with --short {FEW_WEEKS}]")
@click.option("--only", multiple=True, type=click.Choice([fault.name for fault in FAULTS]), metavar="FAULT")
@click.option("--round", "number", type=int, help="Only the round of this number, as a loss names it.")
@click.option("--short", is_flag=True, help="One round of eight faults, for CI.")
@click.option("--jobs", default=os.cpu_count() or 1, show_default=True, help="Rounds at a time.")
@click.option("--markdown", type=click.Path(dir_okay=False, path_type=Path), help="Write the table there.")
def main(
    *,
    seed: int,
    rounds: int,
    weeks: int | None,
    only: tuple[str, ...],
    number: int | None,
    short: bool,
    jobs: int,
    markdown: Path | None,
) -> None:
    """Backfills under faults, and an independent look at the lake after each.

    Ends with 1 where anything was lost.
    """
    begin = time.monotonic()
    weeks = weeks or (FEW_WEEKS if short else WEEKS)
    names = only or (SHORT if short else tuple(fault.name for fault in FAULTS))
    numbers = [number] if number is not None else [0] if short else range(rounds)
    faults = [fault for fault in FAULTS if fault.name in names]
    results: list[Result] = []
    with ThreadPoolExecutor(jobs) as pool:
        plays = [(fault, pool.submit(play, fault, seed, n, weeks, WORK)) for n in numbers for fault in faults]
        for done, (fault, playing) in enumerate(plays, 1):
            result = playing.result()
            results.append(result)
            said = report.sentence(fault, result)
            click.echo(f"{done}/{len(plays)} {fault.name}: {said}, {result.seconds:.0f} s", err=True)
    report.show(results)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    click.echo(f"seed {seed}, {weeks} weeks a round, {time.monotonic() - begin:.0f} s on {machine}")
    if markdown:
        markdown.write_text(report.markdown(results) + "\n")
    sys.exit(1 if any(result.lost for result in results) else 0)


if __name__ == "__main__":
    main()
