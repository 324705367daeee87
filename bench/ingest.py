"""What a week costs from feed to lake, beside what one would do in the shell.

Full-sized weeks (real ones from `../shared/data` or MTA_TEST_DATA, each under twenty weeks' names
with their dates; without these the project's own sample) are served from this machine.
`mta-pipeline backfill` then takes them into an empty lake with an empty Dagster instance, in turn
with `curl | gzip -6` in a shell loop, which audits, verifies and records nothing. Everything is
counted: process start, fetch, audit, compress, verify, publish, Dagster's events.
"""

from __future__ import annotations

import argparse
import lzma
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mta_pipeline.domain.sample import write_week
from mta_pipeline.domain.weeks import Week

PROJECT = Path(__file__).resolve().parents[1]
WORK = PROJECT / "bench" / "work"
REAL = Path(os.environ.get("MTA_TEST_DATA", PROJECT.parent / "shared" / "data")) / "turnstile"
FIRST = Week.parse("2023-01-07")
MTA_PIPELINE = Path(sys.executable).with_name("mta-pipeline")


@dataclass(frozen=True)
class Cost:
    """What a command took: seconds, and megabytes of its largest process."""

    wall: float
    cpu: float
    peak: float


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weeks", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    weeks = [FIRST.shifted(n) for n in range(arguments.weeks)]
    kind = make_feed(weeks)
    size = sum((WORK / "feed" / week.file_name).stat().st_size for week in weeks)
    print(f"{len(weeks)} {kind} weeks, {size / 1e6 / len(weeks):.1f} MB each; {arguments.rounds} rounds in turn")
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}")
    ours: list[Cost] = []
    shell: list[Cost] = []
    with serving(WORK / "feed") as url:
        for _ in range(arguments.rounds):
            ours.append(cost(backfill_command(weeks), fresh_environment(url)))
            shell.append(cost(shell_command(url, weeks), clean_environment()))
    wrong = [str(MTA_PIPELINE), "backfill", "2009-01-01"]
    start = [cost(wrong, clean_environment(), expect=2) for _ in range(arguments.rounds)]
    print(f"\n{'median':<34}{'s a week':>10}{'cpu s a week':>14}{'MB/s':>8}{'peak MB':>9}")
    for name, costs in (("mta-pipeline backfill", ours), ("curl | gzip -6", shell)):
        wall, cpu = (statistics.median(getattr(c, what) for c in costs) for what in ("wall", "cpu"))
        peak = max(c.peak for c in costs)
        print(f"{name:<34}{wall / len(weeks):>10.3f}{cpu / len(weeks):>14.3f}{size / 1e6 / wall:>8.0f}{peak:>9.0f}")
    ratios = sorted(a.wall / b.wall for a, b in zip(ours, shell, strict=True))
    print(f"\nwall time, ours / shell, pair by pair: {', '.join(f'{ratio:.2f}' for ratio in ratios)}")
    print(f"of which process start without Dagster: {statistics.median(c.wall for c in start):.2f} s a backfill")


def make_feed(weeks: Sequence[Week]) -> str:
    """Fill the feed's folder once; tells what kind of weeks it holds."""
    folder = WORK / "feed"
    folder.mkdir(parents=True, exist_ok=True)
    real = sorted(REAL.glob("turnstile_??????.txt.xz"))
    for number, week in enumerate(weeks):
        path = folder / week.file_name
        if path.exists():
            continue
        if real:
            source = real[number % len(real)]
            path.write_bytes(redated(lzma.decompress(source.read_bytes()), Week.of_file(source.stem), week))
        else:
            write_week(week, folder, rows=250_000)
    return "real" if real else "sample"


def redated(content: bytes, source: Week | None, target: Week) -> bytes:
    """The same readings, on the days of another week."""
    assert source
    # By way of bytes that occur nowhere, because a day of the one may be a day of the other.
    for place, day in enumerate(source.days):
        content = content.replace(f",{day:%m/%d/%Y},".encode(), b",%10d\0," % place)
    for place, day in enumerate(target.days):
        content = content.replace(b",%10d\0," % place, f",{day:%m/%d/%Y},".encode())
    return content


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of a server of `folder`, in a process of its own."""
    command = [sys.executable, "-m", "bench.feed_server", str(folder), "--chunked"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT) as server:
        assert server.stdin
        assert server.stdout
        yield server.stdout.readline().strip()
        server.stdin.close()


def backfill_command(weeks: Sequence[Week]) -> list[str]:
    """Our way."""
    return [str(MTA_PIPELINE), "backfill", weeks[0].key, weeks[-1].key]


def shell_command(url: str, weeks: Sequence[Week]) -> list[str]:
    """What one would do without us."""
    target = WORK / "shell"
    target.mkdir(exist_ok=True)
    names = " ".join(week.file_name for week in weeks)
    return ["sh", "-ec", f"for f in {names}; do curl -sS {url}/$f | gzip -6 > {target}/$f.gz; done"]


def clean_environment() -> dict[str, str]:
    """The process's environment without any settings of the pipeline."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MTA_")}


def fresh_environment(url: str) -> dict[str, str]:
    """An empty lake, staging folder and Dagster instance."""
    for name in ("lake", "staging", "home"):
        shutil.rmtree(WORK / name, ignore_errors=True)
    (WORK / "home").mkdir()
    shutil.copy(PROJECT / "dagster.yaml", WORK / "home")
    return {
        **clean_environment(),
        "DAGSTER_HOME": str(WORK / "home"),
        "MTA_FEED_URL": url,
        "MTA_LAKE_URL": str(WORK / "lake"),
        "MTA_STAGING_DIR": str(WORK / "staging"),
    }


def cost(command: Sequence[str], environment: Mapping[str, str], expect: int = 0) -> Cost:
    """Run a command to its end; its output is shown only if it fails."""
    begin = time.perf_counter()
    with subprocess.Popen(
        command, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=PROJECT
    ) as child:
        assert child.stdout
        output = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != expect:
        sys.exit(f"{command} ended with {child.returncode}:\n{output.decode(errors='replace')}")
    return Cost(time.perf_counter() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


if __name__ == "__main__":
    main()
