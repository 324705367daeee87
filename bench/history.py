"""The whole history, from nothing to a complete lake: what a week costs, and whether it stays that.

Every week from 2010 to 2024, both layouts, is served from this machine (`bench.history_feed`), and brought
into an empty lake by `mta-pipeline backfill` and by Dagster's daemon and run queue, as `make ui` starts
them; into a folder, and into an emulator of Cloud Storage. Beside that, over some of the weeks: what one
would do in the shell, what a published tutorial for this data does (pandas, 5,000 rows at a time), and
the physical limit, which is reading, writing, and compressing the bytes, and nothing else.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import requests

from bench.history_feed import FIRST, LAST, mean_size
from bench.ingest import MTA_PIPELINE, PROJECT, clean_environment
from mta_pipeline.domain.layouts import CURRENT, LEGACY, Layout, layout_of
from mta_pipeline.domain.weeks import Week
from mta_pipeline_tests.gcs_server import emulator_alone, free_port

WORK = PROJECT / "bench" / "work" / "history"
WEEKS = list(Week.between(FIRST, LAST))
ASSETS = ("raw_csv", "lake_object")
LAUNCH = """
mutation ($wanted: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $wanted) {
    __typename ... on LaunchBackfillSuccess {backfillId} ... on PythonError {message}
  }
}"""
SENSOR = """
{sensorOrError(sensorSelector: {
  repositoryLocationName: "mta_pipeline", repositoryName: "__repository__", sensorName: "flow_on"
}) {... on Sensor {sensorState {id selectorId}} ... on PythonError {message}}}"""
STOP = "mutation ($id: String!) {stopSensor(id: $id) {__typename ... on PythonError {message}}}"
STATUS = """
query ($backfill: String!) {partitionBackfillOrError(backfillId: $backfill) {... on PartitionBackfill {status}}}"""
LIMIT_WEEKS = 60  # it is quick, and what is sampled of short processes is not exact

LIMIT = """
import sys, urllib.request
from pathlib import Path
from isal import igzip
url, folder, *names = sys.argv[1:]
for name in names:
    raw = Path(folder, name)
    with urllib.request.urlopen(f"{url}/{name}") as answer, raw.open("wb") as file:
        with igzip.open(f"{raw}.gz", "wb", compresslevel=2) as out:
            while piece := answer.read1(1 << 18):
                file.write(piece)
                out.write(piece)
    raw.unlink()
"""

# As in Step3-Orchestration/flows/etl_web_to_gcs.py of github.com/ozkary/data-engineering-mta-turnstile, of which
# this leaves out Prefect's tasks, one a chunk.
PANDAS = """
import sys, requests, pandas as pd
from pathlib import Path
url, folder, upload, *names = sys.argv[1:]
for name in names:
    path = Path(folder, name + ".gz")
    path.unlink(missing_ok=True)
    form = dict(names=[str(n) for n in range(43)]) if name < "turnstile_141018" else {}
    for number, chunk in enumerate(pd.read_csv(f"{url}/{name}", iterator=True, chunksize=5000, **form)):
        chunk = chunk.rename(columns={"C/A": "CA"}).rename(columns=lambda n: n.strip().replace(" ", ""))
        chunk.to_csv(path, mode="a", header=number == 0, compression="gzip")
    requests.post(f"{upload}{name}.gz", data=path.open("rb")).raise_for_status()
"""


@dataclass
class Way:
    """What one way of bringing weeks cost."""

    name: str
    weeks: int
    wall: float
    cpu: float
    peak: float  #: MB of its largest process
    home: Path | None = None


@dataclass
class Processes:
    """Seconds of processor time and megabytes of all processes that have a mark in their environment."""

    mark: str
    cpu: dict[int, float] = field(default_factory=dict)
    peak: float = 0.0
    _ours: dict[int, bool] = field(default_factory=dict)

    def look(self) -> None:
        """Take down what they have used so far."""
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            pid = int(folder.name)
            try:
                if not self._is_ours(pid, folder):
                    continue
                numbers = (folder / "stat").read_text().rpartition(")")[2].split()
                status = (folder / "status").read_text()
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            self.cpu[pid] = (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")
            if "VmHWM:" in status:
                self.peak = max(self.peak, int(status.split("VmHWM:")[1].split()[0]) / 1024)

    def _is_ours(self, pid: int, folder: Path) -> bool:
        # A child has its parent's environment until it is another program.
        if not self._ours.get(pid):
            self._ours[pid] = self.mark.encode() in (folder / "environ").read_bytes()
        return self._ours[pid]

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look often during the body."""
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(0.2):
                self.look()

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            self.look()
            stop.set()
            thread.join()


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weeks", type=int, default=len(WEEKS), help="the last so many of the history")
    parser.add_argument("--loop-weeks", type=int, default=12, help="weeks for the loops beside it")
    parser.add_argument("--ways", default="command,daemon,command-gcs,daemon-gcs", help="which ways")
    parser.add_argument("--cores", type=int, help="cores for all but the feed (default: all)")
    arguments = parser.parse_args()
    weeks = WEEKS[-arguments.weeks :]
    loop = weeks[:: max(1, len(weeks) // arguments.loop_weeks)][: arguments.loop_weeks]
    size = mean_size(weeks)
    print(f"{len(weeks)} weeks, {weeks[0]} to {weeks[-1]}, {size:.1f} MB each on average")
    cores = f"{arguments.cores} of {os.cpu_count()}" if arguments.cores else f"{os.cpu_count()}"
    print(f"{cores} cores, {platform.machine()}, Python {platform.python_version()}\n")
    ways: list[Way] = []
    print(f"{'':<32}{'s a week':>10}{'cpu s a week':>14}{'MB/s':>7}{'peak MB':>9}{'in all':>9}")
    with serving_history() as feed:
        if arguments.cores:
            os.sched_setaffinity(0, range(arguments.cores))
        for name in arguments.ways.split(","):
            with bucket(name.endswith("-gcs")) as gcs:
                way = {"command": by_command, "daemon": by_daemon}[name.split("-")[0]](name, weeks, feed, gcs)
            ways.append(way)
            show(way, size)
        size = mean_size(loop)
        with bucket(True) as gcs:
            upload = f"{gcs}/upload/storage/v1/b/lake/o?uploadType=media&name="
            loops = [
                by_loop("curl | gzip -6 | upload", loop, ["sh", "-ec", shell_loop(feed, upload, loop)]),
                by_loop("pandas, 5,000 rows at a time", loop, python(PANDAS, feed, str(WORK), upload, loop)),
                by_limit(weeks[:: max(1, len(weeks) // LIMIT_WEEKS)], feed),
            ]
        for way in loops:
            show(way, size)
    print("\nratios of wall time a week")
    for way in ways:
        ratios = [f"{way.wall / way.weeks / (other.wall / other.weeks):.2f} of {other.name}" for other in loops]
        print(f"  {way.name}: {', '.join(ratios)}")
    for way in ways:
        flatness(way)


def show(way: Way, size: float) -> None:
    """A line of the table."""
    each = way.wall / way.weeks
    print(
        f"{way.name:<32}{each:>10.3f}{way.cpu / way.weeks:>14.3f}{size / each:>7.0f}{way.peak:>9.0f}{way.wall:>7.0f} s",
        flush=True,
    )


def flatness(way: Way) -> None:
    """How the pace of a layout's runs changes from the first to the last, two or else one; and what is stored.

    Two runs of the daemon are a hundred weeks, two of the command two hundred. A run's pace is taken between its
    first week and its last; what starts cost is in the table.
    """
    assert way.home
    print(f"\n{way.name}: Dagster's record of {way.weeks} weeks")
    for layout in (LEGACY, CURRENT):
        paces = paces_of_runs(way.home, layout)
        number = min(2, len(paces) // 2)
        if not number:
            continue
        first, last = statistics.mean(paces[:number]), statistics.mean(paces[-number:])
        print(
            f"  {layout.name} layout, of {len(paces)} runs the first {number}: {first:.3f} s a week, "
            f"the last {number}: {last:.3f}, ratio {last / first:.2f}"
        )
    events, size = stored(way.home)
    print(
        f"  {events:,} events, {events / way.weeks:.1f} a week; "
        f"{size / 1e6:.0f} MB, {size / way.weeks / 1e3:.0f} kB a week"
    )


def paces_of_runs(home: Path, layout: Layout) -> list[float]:
    """Seconds a week of each run that brought weeks of this layout alone, in the order in which the runs began."""
    with sqlite3.connect(home / "history" / "runs" / "index.db") as index:
        rows = index.execute(
            "SELECT run_id, partition, timestamp FROM event_logs "
            "WHERE dagster_event_type = 'ASSET_MATERIALIZATION' AND asset_key = '[\"lake_object\"]' ORDER BY timestamp"
        ).fetchall()
    runs: dict[str, list[tuple[Week, float]]] = {}
    for run, partition, moment in rows:
        runs.setdefault(run, []).append((Week.parse(partition), datetime.fromisoformat(moment).timestamp()))
    return [
        (weeks[-1][1] - weeks[0][1]) / (len(weeks) - 1)
        for weeks in runs.values()
        if len(weeks) > 1 and all(layout_of(week) is layout for week, _ in weeks)
    ]


def stored(home: Path) -> tuple[int, int]:
    """Events in Dagster's record, and bytes of it."""
    events = 0
    for path in (home / "history" / "runs").glob("*.db"):
        with sqlite3.connect(path) as database:
            events += database.execute("SELECT count(*) FROM event_logs").fetchone()[0]
    return events, sum(path.stat().st_size for path in home.rglob("*") if path.is_file())


@contextmanager
def serving_history(*options: str) -> Iterator[str]:
    """The address of the feed, in a process of its own."""
    command = [sys.executable, "-m", "bench.history_feed", *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT) as server:
        assert server.stdin
        assert server.stdout
        yield server.stdout.readline().strip()
        server.stdin.close()


@contextmanager
def bucket(wanted: bool) -> Iterator[str]:
    """The address of an emulator with the bucket `lake`, or "" if none is wanted."""
    if not wanted:
        yield ""
        return
    with emulator_alone() as emulator:
        url = f"http://{emulator}"
        requests.post(f"{url}/storage/v1/b", json={"name": "lake"}, timeout=10).raise_for_status()
        yield url


def environment(name: str, feed: str, gcs: str) -> dict[str, str]:
    """An empty lake, staging folder and Dagster instance; and a mark by which processes are known."""
    folder = WORK / name
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "home").mkdir(parents=True)
    shutil.copy(PROJECT / "dagster.yaml", folder / "home")
    return {
        **clean_environment(),
        "DAGSTER_HOME": str(folder / "home"),
        "MTA_FEED_URL": feed,
        "MTA_LAKE_URL": "gs://lake/history" if gcs else str(folder / "lake"),
        "MTA_STAGING_DIR": str(folder / "staging"),
        "MTA_LAST_WEEK": LAST.key,
        **({"STORAGE_EMULATOR_HOST": gcs, "GOOGLE_CLOUD_PROJECT": "bench"} if gcs else {}),
    }


def by_command(name: str, weeks: Sequence[Week], feed: str, gcs: str) -> Way:
    """`mta-pipeline backfill`."""
    given = environment(name, feed, gcs)
    processes = Processes(given["DAGSTER_HOME"])
    begin = time.perf_counter()
    with processes.watched():
        done = subprocess.run(
            [str(MTA_PIPELINE), "backfill", weeks[0].key, weeks[-1].key],
            env=given, cwd=PROJECT, capture_output=True, text=True, check=False,
        )  # fmt: skip
    wall = time.perf_counter() - begin
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    title = f"mta-pipeline backfill{', bucket' if gcs else ''}"
    return Way(title, len(weeks), wall, sum(processes.cpu.values()), processes.peak, Path(given["DAGSTER_HOME"]))


def by_daemon(name: str, weeks: Sequence[Week], feed: str, gcs: str) -> Way:
    """Daemon and run queue, asked by the UI's own API; the time from the question to the last week."""
    given, port = environment(name, feed, gcs), free_port()
    command = [str(MTA_PIPELINE), "ui", "--port", str(port)]
    with (WORK / name / "ui.log").open("wb") as log:
        ui = subprocess.Popen(command, env=given, cwd=PROJECT, stdout=log, stderr=log, start_new_session=True)
    processes = Processes(given["DAGSTER_HOME"])
    try:
        ask = _Asking(f"http://127.0.0.1:{port}/graphql")
        ask.until_ready()
        ask.stop_what_flows_on()
        processes.look()
        before = sum(processes.cpu.values())
        begin = time.perf_counter()
        with processes.watched():
            ask.backfill([week.key for week in weeks])
        wall = time.perf_counter() - begin
    finally:
        _end(ui)
    cpu = sum(processes.cpu.values()) - before
    title = f"Dagster's daemon{', bucket' if gcs else ''}"
    return Way(title, len(weeks), wall, cpu, processes.peak, Path(given["DAGSTER_HOME"]))


def _end(ui: subprocess.Popen[bytes]) -> None:
    """End `dagster dev` with all its children, some of which do not end with it."""
    ui.terminate()
    with suppress(subprocess.TimeoutExpired):
        ui.wait(20)
    with suppress(ProcessLookupError):
        os.killpg(ui.pid, signal.SIGKILL)
    ui.wait()


class _Asking:
    """Dagster's GraphQL."""

    def __init__(self, url: str) -> None:
        self._url = url

    def until_ready(self) -> None:
        """Wait until the code location is loaded."""
        query = "{repositoriesOrError {... on RepositoryConnection {nodes {name}}}}"
        for _ in range(600):
            try:
                if self._ask(query)["repositoriesOrError"].get("nodes"):
                    return
            except requests.ConnectionError:
                pass
            time.sleep(0.2)
        sys.exit("the UI did not come up")

    def stop_what_flows_on(self) -> None:
        """Let readings and ridership wait: this is about the way to the lake."""
        state = self._ask(SENSOR)["sensorOrError"]["sensorState"]
        stopped = self._ask(STOP, id=state["id"])["stopSensor"]
        if stopped["__typename"] != "StopSensorMutationResult":
            sys.exit(str(stopped))

    def backfill(self, partitions: Sequence[str]) -> None:
        """Launch a backfill and wait until it is completed."""
        wanted = {"assetSelection": [{"path": [name]} for name in ASSETS], "partitionNames": list(partitions)}
        launched = self._ask(LAUNCH, wanted=wanted)["launchPartitionBackfill"]
        if "backfillId" not in launched:
            sys.exit(str(launched))
        while (status := self._status(launched["backfillId"])) in ("REQUESTED", "CANCELING"):
            time.sleep(0.5)
        if status not in ("COMPLETED_SUCCESS", "COMPLETED"):
            sys.exit(f"the backfill ended with {status}")

    def _status(self, backfill: str) -> str:
        return str(self._ask(STATUS, backfill=backfill)["partitionBackfillOrError"]["status"])

    def _ask(self, query: str, **variables: object) -> Any:
        answer = requests.post(self._url, json={"query": query, "variables": variables}, timeout=60).json()
        if "errors" in answer:
            sys.exit(str(answer["errors"]))
        return answer["data"]


def shell_loop(feed: str, upload: str, weeks: Sequence[Week]) -> str:
    """What one would write in a shell."""
    names = " ".join(week.file_name for week in weeks)
    return (
        f"for f in {names}; do curl -sS {feed}/$f | gzip -6 > {WORK}/$f.gz; "
        f'curl -sS -o /dev/null --data-binary @{WORK}/$f.gz "{upload}$f.gz"; done'
    )


def python(program: str, *given: str | Sequence[Week]) -> list[str]:
    """A program with its arguments, weeks by the names of their files."""
    texts = [[item] if isinstance(item, str) else [week.file_name for week in item] for item in given]
    return [sys.executable, "-c", program, *(text for part in texts for text in part)]


def by_loop(name: str, weeks: Sequence[Week], command: Sequence[str]) -> Way:
    """A command that brings `weeks`."""
    WORK.mkdir(parents=True, exist_ok=True)
    given = {**clean_environment(), "BENCH_LOOP": name}
    processes = Processes(f"BENCH_LOOP={name}")
    begin = time.perf_counter()
    with processes.watched():
        subprocess.run(command, env=given, cwd=PROJECT, check=True)
    wall = time.perf_counter() - begin
    return Way(name, len(weeks), wall, sum(processes.cpu.values()), processes.peak)


def by_limit(weeks: Sequence[Week], feed: str) -> Way:
    """Reading, writing and compressing alone, in as many processes as there are cores."""
    cores = os.cpu_count() or 1
    parts = [python(LIMIT, feed, str(WORK), weeks[n::cores]) for n in range(cores)]
    command = " & ".join(shlex.join(part) for part in parts) + " & wait"
    return by_loop("read, write, compress alone", weeks, ["sh", "-ec", command])


if __name__ == "__main__":
    main()
