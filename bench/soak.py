"""Whether a long life costs anything: thousands of small weeks through one process, and what it holds on to.

The same weeks are brought to a lake again and again, by the code of `mta-pipeline backfill`, from two
feeds in turn, so that each time all of them are fetched, audited, compressed and replaced. After every
run of 52 weeks memory, open files and threads are read from /proc, and after every pass the size of
Dagster's record. It fails if the last quarter needs more than the second.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mta_pipeline.domain.sample import write_week
from mta_pipeline.domain.weeks import FIRST_PUBLISHED, Week

WORK = Path(__file__).resolve().parent / "work" / "soak"
ROWS = 300
#: Megabytes by which memory may wander: what the allocator keeps of the largest run so far.
ALLOWED = 8.0


@dataclass(frozen=True)
class Holds:
    """What the process holds after so many weeks."""

    weeks: int
    megabytes: float
    files: int
    threads: int
    seconds: float  #: a week, since the last look


def main() -> None:
    """Run the soak and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weeks", type=int, default=520, help="different weeks")
    parser.add_argument("--passes", type=int, default=4)
    arguments = parser.parse_args()
    weeks = [FIRST_PUBLISHED.shifted(n) for n in range(arguments.weeks)]
    shutil.rmtree(WORK, ignore_errors=True)
    for feed, rows in (("a", ROWS), ("b", ROWS + 20)):
        (WORK / feed).mkdir(parents=True)
        for week in weeks:
            write_week(week, WORK / feed, rows=rows)
    os.environ |= {
        "DAGSTER_HOME": str(WORK / "home"),
        "MTA_FEED_URL": (WORK / "feed").as_uri(),
        "MTA_FEED_SCALE": str(ROWS / 250_000),
        "MTA_LAKE_URL": str(WORK / "lake"),
        "MTA_STAGING_DIR": str(WORK / "staging"),
        "MTA_LAST_WEEK": weeks[-1].key,
    }
    looks = soak(weeks, arguments.passes)
    second, last = (looks[len(looks) // 4 : len(looks) // 2], looks[-(len(looks) // 4) :])
    grown = statistics.median(h.megabytes for h in last) - statistics.median(h.megabytes for h in second)
    print(f"\nmedian of the last quarter less that of the second: {grown:+.1f} MB")
    if grown > ALLOWED or any(max(map(of, last)) > max(map(of, second)) for of in (_files, _threads)):
        sys.exit("it holds on to something")


def soak(weeks: Sequence[Week], passes: int) -> list[Holds]:
    """What the process holds after each run."""
    from mta_pipeline.cli.backfill import batches, run
    from mta_pipeline.cli.home import ensure_dagster_home
    from mta_pipeline.domain.settings import Settings
    from mta_pipeline.orchestration.assets import WEEKS_PER_RUN

    ensure_dagster_home()
    settings = Settings.from_environment()
    looks: list[Holds] = []
    print(f"{len(weeks)} weeks of {ROWS} rows, {passes} times, in one process\n")
    print(f"{'weeks':>6}{'MB':>8}{'files':>7}{'threads':>9}{'s a week':>10}{'record MB':>11}")
    for number in range(passes):
        (WORK / "feed").unlink(missing_ok=True)
        (WORK / "feed").symlink_to(WORK / "ab"[number % 2])
        for batch in batches(weeks, WEEKS_PER_RUN):
            begin = time.perf_counter()
            told = io.StringIO()
            with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
                good = run(batch, settings, only_missing=False, weeks_per_run=None)
            if not good:
                sys.exit(told.getvalue())
            done = len(batch) + (looks[-1].weeks if looks else 0)
            looks.append(_look(done, (time.perf_counter() - begin) / len(batch)))
        last = looks[-1]
        print(
            f"{last.weeks:>6}{last.megabytes:>8.1f}{last.files:>7}{last.threads:>9}{last.seconds:>10.3f}"
            f"{_megabytes(WORK / 'home'):>11.1f}",
            flush=True,
        )
    return looks


def _look(weeks: int, seconds: float) -> Holds:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    files = len(list(Path("/proc/self/fd").iterdir())) - 1  # less the one that lists them
    return Holds(weeks, int(status["VmRSS"].split()[0]) / 1024, files, int(status["Threads"]), seconds)


def _files(holds: Holds) -> int:
    return holds.files


def _threads(holds: Holds) -> int:
    return holds.threads


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


if __name__ == "__main__":
    main()
