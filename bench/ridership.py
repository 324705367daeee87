"""What ridership counts, beside what others' rules count; and what a week of it costs.

The first table takes full weeks (real ones under other weeks' names, or the project's sample) from lake objects
through the steps `readings` and `ridership` in Dagster, with a record on disk, in a process of its own.

The others are of the three consecutive real weeks 240106, 240113 and 240120 together (`../shared/data` or
MTA_TEST_DATA), differences across files included. Others' rules are as people who use this data write them: rows
sorted by turnstile, moment and DESC, the difference to the row before, and a condition. What lies between the
first of them and ours is told step by step.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Mapping
from itertools import pairwise

import polars as pl

from bench.ingest import FIRST, PROJECT, REAL, WORK, clean_environment, make_feed
from mta_pipeline.domain.compression import compress
from mta_pipeline.domain.lake import LocalStore
from mta_pipeline.domain.readings import readings_of
from mta_pipeline.domain.ridership import DROPPED, LONGEST_GAP, REGISTERS, TURNSTILE, intervals_of
from mta_pipeline.domain.weeks import Week

FILES = ("turnstile_240106.txt", "turnstile_240113.txt", "turnstile_240120.txt")
COLUMNS = (*TURNSTILE, "station", "line", "division", "date", "time", "desc", *REGISTERS)
TABLES = WORK / "tables"
DAY = int(LONGEST_GAP.total_seconds())


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weeks", type=int, default=20)
    parser.add_argument("--measure", action="store_true", help="be the process that is measured")
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measured(arguments.weeks)))
        return
    # First, because a child's largest memory counts from its parent's.
    print_costs(arguments.weeks)
    packed = [REAL / f"{name}.xz" for name in FILES]
    if all(path.exists() for path in packed):
        print_totals({name: lzma.decompress(path.read_bytes()) for name, path in zip(FILES, packed, strict=True)})
    else:
        print(f"\nSKIPPED the totals: {REAL} has not {', '.join(FILES)}")


def print_totals(content: Mapping[str, bytes]) -> None:
    """What each rule makes of three weeks."""
    rows = pl.concat([published(text) for text in content.values()]).sort(
        *TURNSTILE, "moment", "desc", maintain_order=True
    )
    others = with_steps(rows)
    without_duplicates = with_steps(
        rows.sort(*TURNSTILE, "moment", pl.col("desc") != "REGULAR").unique(
            [*TURNSTILE, "moment"], keep="first", maintain_order=True
        )
    )
    counted, dropped = ours(content)
    print(f"\n{'millions of people in 240106, 240113, 240120':<56}{'entries':>12}{'exits':>12}")
    step, seconds = pl.col("step"), pl.col("seconds")
    for title, people in {
        "|difference| under 10,000": step.abs().filter(step.abs() < 10_000),
        "… and gaps up to 24 h": step.abs().filter((step.abs() < 10_000) & (seconds <= DAY)),
        "difference, clipped to 0 … 7,200": step.clip(0, 7_200),
        "difference, positive and under 10,000": step.filter((step > 0) & (step < 10_000)),
    }.items():
        totals = [
            others.select(pl.col(f"{r}_step").alias("step"), "seconds").select(people.sum()).item() for r in REGISTERS
        ]
        print(f"{title:<56}" + "".join(f"{total / 1e6:>12.2f}" for total in totals))
    print(f"{'ridership':<56}" + "".join(f"{counted[register] / 1e6:>12.2f}" for register in REGISTERS))

    print(f"\n{'from the first rule to ours, in people':<56}{'entries':>12}{'exits':>12}")
    first, once = (
        {r: int(frame[f"{r}_step"].abs().filter(frame[f"{r}_step"].abs() < 10_000).sum()) for r in REGISTERS}
        for frame in (others, without_duplicates)
    )
    lines = [
        ("|difference| under 10,000", first),
        ("steps between two readings of one moment", {r: once[r] - first[r] for r in REGISTERS}),
        *((f"{rule}s of less than 10,000", {r: -dropped[r, rule] for r in REGISTERS}) for rule in DROPPED),
        ("ridership", counted),
    ]
    for title, totals_of in lines:
        print(f"{title:<56}" + "".join(f"{totals_of[register]:>12,}" for register in REGISTERS))
    for register in REGISTERS:
        told = sum(totals_of[register] for _, totals_of in lines[:-1])
        assert told == counted[register], f"{told - counted[register]} {register} are not explained"


def published(content: bytes) -> pl.DataFrame:
    """A file's rows, and the moment of each by the wall."""
    rows = pl.read_csv(content, has_header=False, skip_rows=1, schema=dict.fromkeys(COLUMNS, pl.String))
    return rows.select(
        *TURNSTILE,
        "desc",
        moment=(pl.col("date") + " " + pl.col("time")).str.to_datetime("%m/%d/%Y %H:%M:%S"),
        entries=pl.col("entries").cast(pl.Int64),
        exits=pl.col("exits").str.strip_chars().cast(pl.Int64),
    )


def with_steps(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows that have one of their turnstile before them, with the steps from there."""
    steps = {f"{register}_step": pl.col(register).diff().over(TURNSTILE) for register in REGISTERS}
    seconds = pl.col("moment").diff().over(TURNSTILE).dt.total_seconds()
    return rows.with_columns(seconds=seconds, **steps).filter(pl.col("seconds").is_not_null())


def ours(content: Mapping[str, bytes]) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
    """Counted people by register; those that were dropped by register and rule, of steps up to 10,000."""
    readings = [readings_of(text, week, None).rows for name, text in content.items() if (week := Week.of_file(name))]
    made = [intervals_of(readings[0], None), *(intervals_of(week, before) for before, week in pairwise(readings))]
    counted = {register: sum(int(week.rows[register].sum()) for week in made) for register in REGISTERS}
    tallies = [week.tallies for week in made]
    dropped = {(r, rule): sum(tally[r, rule].people for tally in tallies) for r in REGISTERS for rule in DROPPED}
    return counted, dropped


def print_costs(number: int) -> None:
    """What weeks cost in a process of their own."""
    weeks = [FIRST.shifted(n) for n in range(number)]
    kind = make_feed(weeks)
    shutil.rmtree(TABLES, ignore_errors=True)
    TABLES.mkdir(parents=True)
    store = LocalStore(TABLES / "lake")
    for week in weeks:
        compress(WORK / "feed" / week.file_name, TABLES / "object")
        store.publish(TABLES / "object", week.object_name, {})
    (TABLES / "home").mkdir()
    shutil.copy(PROJECT / "dagster.yaml", TABLES / "home")
    environment = {
        **clean_environment(),
        "DAGSTER_HOME": str(TABLES / "home"),
        "MTA_LAKE_URL": str(TABLES / "lake"),
        "MTA_STAGING_DIR": str(TABLES / "staging"),
        "MTA_FIRST_WEEK": FIRST.key,
    }
    command = [sys.executable, "-m", "bench.ridership", "--measure", "--weeks", str(number)]
    done = subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    told = json.loads(done.stdout.splitlines()[-1])
    print(f"{number} {kind} weeks, {os.cpu_count()} cores: CPU seconds a week, process start aside")
    for name in ("readings", "ridership"):
        print(f"{name:<12}{told[name]:>8.3f}")
    print(f"{'together':<12}{told['readings'] + told['ridership']:>8.3f}   at most {told['peak']:.0f} MB")


def measured(number: int) -> dict[str, float]:
    """CPU seconds a week of each step, and the process's largest memory in megabytes."""
    import dagster as dg

    from mta_pipeline.orchestration.dagster_edges import range_tags
    from mta_pipeline.orchestration.definitions import defs
    from mta_pipeline.orchestration.jobs import TABLE_JOBS

    told = {}
    with dg.DagsterInstance.get() as instance:
        for name in ("readings", "ridership"):
            job = defs.resolve_job_def(TABLE_JOBS[name].name)
            tags = range_tags(FIRST.key, FIRST.shifted(number - 1).key)
            begin = cpu()
            assert job.execute_in_process(instance=instance, tags=tags).success
            told[name] = (cpu() - begin) / number
    return {**told, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def cpu() -> float:
    """Seconds that this process has used, all its threads together."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
