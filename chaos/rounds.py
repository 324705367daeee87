"""A round: some weeks, a feed, a lake, runs under one fault, a healing run, and what the checker says of it.

A `World` is all that a round has; a fault acts on it (see `faults`). Runs are real processes of the
command line (`impatient`), so that a kill is a kill.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from chaos.checker import Broken, Evidence, Promise, check, files_in, good_weeks, record_of, release_of
from chaos.watch import BucketWatch, FolderWatch, objects_in
from mta_pipeline.domain.weeks import FIRST_PUBLISHED, Week
from mta_pipeline_tests.feed_server import Answer, Exchange, FeedServer, whole
from mta_pipeline_tests.gcs_server import GcsServer, serving_gcs
from mta_pipeline_tests.turnstile_files import valid_file

if TYPE_CHECKING:
    from chaos.faults import Fault

PROJECT = Path(__file__).resolve().parents[1]
BUCKET = "lake"
LAST_WEEK = Week.parse("2024-12-28")  # of those that rounds are about
LONGEST_RUN = 180  # seconds; a run that takes longer hangs
SOME_FAILED = 1  # exit code
SIZES = (6, 12, 40)  # turnstiles in a file: 33, 66 and 220 kB
SCALE = 0.001 / 6  # of a turnstile: 42 rows of what are 252,000 rows in a whole file


class Skipped(Exception):
    """This machine cannot do such a round; says why."""


@dataclass(frozen=True)
class Result:
    """What came of a round. The counts are of weeks; `lost` has one for each that broke a promise."""

    fault: str
    seed: int
    number: int  #: of the round of this fault
    weeks: int
    tried: int = 0
    struck: int = 0  #: how often the fault really happened
    survived: int = 0
    healed: int = 0
    lost: int = 0
    seconds: float = 0.0
    broken: Sequence[str] = ()
    skipped: str = ""

    @property
    def again(self) -> str:
        """The command that repeats it."""
        return f'make chaos CHAOS="--seed {self.seed} --only {self.fault} --round {self.number} --weeks {self.weeks}"'


@dataclass
class World:
    """The weeks, feed, lake, staging, Dagster's home and processes of a round."""

    folder: Path
    weeks: list[Week]
    chance: random.Random
    feed: FeedServer
    gcs: GcsServer | None
    turnstiles: int
    stack: ExitStack
    served: dict[str, list[str]] = field(default_factory=dict)
    bodies: dict[Week, bytes] = field(default_factory=dict)  #: what the feed has now
    struck: int = 0
    killed: bool = False  #: hidden files of killed runs may lie about
    broken: list[Broken] = field(default_factory=list)  #: what a fault saw itself
    racing: set[str] = field(default_factory=set)  #: weeks whose last two versions two machines have at once
    tampered: set[str] = field(default_factory=set)  #: what a fault has damaged in staging
    watch: FolderWatch | BucketWatch = field(init=False)
    settings: dict[str, str] = field(init=False)  #: environment of all runs; a fault may change it until it is mended
    stagings: list[Path] = field(init=False)
    undo: ExitStack = field(default_factory=ExitStack)  #: how a fault is taken back

    def __post_init__(self) -> None:
        self.lake, self.home = self.folder / "lake", self.folder / "home"
        self.stagings = [self.folder / "staging"]
        self.home.mkdir()
        # Dagster's own file, as a user's home has it.
        shutil.copy(PROJECT / "dagster.yaml", self.home)
        self.settings = {
            "MTA_FEED_URL": self.feed.url,
            "MTA_FEED_SCALE": str(SCALE * self.turnstiles),
            "MTA_LAKE_URL": f"gs://{BUCKET}" if self.gcs else str(self.lake),
            "MTA_STAGING_DIR": str(self.stagings[0]),
            "MTA_FIRST_WEEK": "",
            "MTA_LAST_WEEK": "",
            "DAGSTER_HOME": str(self.home),
        }
        if self.gcs:
            self.gcs.create_bucket(BUCKET)
            self.settings |= {"STORAGE_EMULATOR_HOST": self.gcs.url, "GOOGLE_CLOUD_PROJECT": "chaos"}
            self.watch = BucketWatch(self.gcs, BUCKET)

    def begin(self) -> None:
        """All is in its place: watch the lake from now on."""
        self._usual = dict(self.settings)
        if not self.gcs:
            self.watch = self.stack.enter_context(FolderWatch(self.lake / "turnstile", "turnstile/"))

    # What the feed has.

    def publish(self, week: Week) -> bytes:
        """A new version of the week's file, which the feed gives out from now on."""
        release = release_of(week.key)
        versions = self.served.setdefault(release, [])
        body = valid_file(week, self.turnstiles, seed=self.chance.getrandbits(32))
        versions.append(hashlib.sha256(body).hexdigest())
        self.bodies[week] = body
        self.feed.serve(week, whole(body, length=False))
        return body

    def strike(self, answer: Answer) -> Answer:
        """The answer, counted as a strike when it is given."""

        def counted(exchange: Exchange) -> None:
            self.struck += 1
            answer(exchange)

        return counted

    def mend(self) -> None:
        """Let nothing go wrong any more."""
        self.undo.close()
        self.settings |= self._usual
        for week, body in self.bodies.items():
            self.feed.serve(week, whole(body))
        if self.gcs:
            self.gcs.uploading = None
            self.gcs.recover()

    # Runs.

    def start(self, *arguments: str, **settings: str) -> subprocess.Popen[bytes]:
        """A run of the command line; what it says is in log.txt."""
        with (self.folder / "log.txt").open("ab") as log:
            log.write(f"\n$ {' '.join(arguments)} {settings or ''}\n".encode())
            log.flush()
            process = subprocess.Popen(
                [sys.executable, "-m", "chaos.impatient", *arguments],
                cwd=PROJECT,
                env={**os.environ, **self.settings, **settings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.stack.callback(process.kill)
        return process

    def end(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for a run to end; one that hangs breaks a promise."""
        try:
            return process.wait(LONGEST_RUN)
        except subprocess.TimeoutExpired:
            self.broken.append(Broken(Promise.HONEST, "a run", f"hangs for {LONGEST_RUN} s"))
            process.kill()
            self.killed = True
            return process.wait()

    def backfill_however(self, *options: str, **settings: str) -> int:
        """A run over all weeks, to its end."""
        return self.end(self.start("backfill", self.weeks[0].key, self.weeks[-1].key, *options, **settings))

    def backfill(self, *options: str, **settings: str) -> int:
        """A run over all weeks, to its end; its exit code must be one that the README knows."""
        code = self.backfill_however(*options, **settings)
        if code not in (0, SOME_FAILED):
            self.broken.append(Broken(Promise.HONEST, "backfill", f"ended with {code}"))
        if code == 0:
            record = record_of(self.home)
            for release in (release_of(week.key) for week in self.weeks):
                if release not in record or not record[release].green:
                    self.broken.append(Broken(Promise.HONEST, "backfill", "ended with 0, not all is green", release))
        return code

    # What is there.

    def evidence(self) -> Evidence:
        """All that the checker looks at."""
        if isinstance(self.watch, FolderWatch):
            self.watch.settle()
        return Evidence(
            served=self.served,
            lake=objects_in(self.gcs, BUCKET) if self.gcs else files_in(self.lake),
            history=list(self.watch.history),
            record=record_of(self.home),
            staging=[files_in(folder) for folder in self.stagings],
            wanted={release: self.served[release][-2 if release in self.racing else -1 :] for release in self.releases},
            tampered=self.tampered,
            racing=self.racing,
        )

    @property
    def releases(self) -> list[str]:
        """The weeks by the dates of their release, as the checker knows them."""
        return [release_of(week.key) for week in self.weeks]


def play(fault: Fault, seed: int, number: int, weeks: int, work: Path) -> Result:
    """The round `number` of a fault: the same seed and number are the same round.

    It begins with a lake that has older versions of half of its weeks. All happens in a folder under
    `work`, which is kept where something was lost.
    """
    begin = time.monotonic()
    folder = work / f"{fault.name}-{seed}-{number}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        with ExitStack() as stack:
            world = _world(fault, folder, random.Random(f"{seed} {fault.name} {number}"), weeks, stack)
            stack.callback(world.undo.close)
            _fill(world)
            for week in world.weeks:
                world.publish(week)
            survived = _under_fault(fault, world)
    except Skipped as reason:
        shutil.rmtree(folder)
        return Result(fault.name, seed, number, weeks, skipped=str(reason))
    broken = list(dict.fromkeys(world.broken))
    # What concerns no single week is lost once.
    lost = {b.release or str(b) for b in broken}
    survived -= lost
    if not lost:
        shutil.rmtree(folder)
    return Result(
        fault=fault.name,
        seed=seed,
        number=number,
        weeks=weeks,
        tried=len(world.weeks),
        struck=world.struck,
        survived=len(survived),
        healed=len(set(world.releases) - survived - lost),
        lost=len(lost),
        seconds=time.monotonic() - begin,
        broken=[str(b) for b in broken],
    )


def _under_fault(fault: Fault, world: World) -> set[str]:
    """Runs under the fault and after it; returns the weeks that were good before the healing run."""
    fault.strike(world)
    if not world.struck:
        world.broken.append(Broken(Promise.HONEST, "the round", "nothing went wrong in it, so that it proves nothing"))
    evidence = world.evidence()
    world.broken += check(evidence, healed=False, half_done=world.killed)
    world.mend()
    world.backfill("--only-missing")
    world.broken += check(world.evidence(), healed=True)
    return good_weeks(evidence)


def _world(fault: Fault, folder: Path, chance: random.Random, weeks: int, stack: ExitStack) -> World:
    """The world of a round, before anything has happened in it."""
    last = fault.last_week(chance) if fault.last_week else None
    span = (LAST_WEEK.first_day - FIRST_PUBLISHED.first_day).days // 7
    first = last.shifted(1 - weeks) if last else FIRST_PUBLISHED.shifted(chance.randrange(span - weeks))
    world = World(
        folder=folder,
        weeks=[first.shifted(n) for n in range(weeks)],
        chance=chance,
        feed=stack.enter_context(FeedServer()),
        gcs=stack.enter_context(serving_gcs()) if fault.lake == "bucket" else None,
        turnstiles=chance.choice(SIZES),
        stack=stack,
    )
    if fault.prepare:
        fault.prepare(world)
    world.begin()
    return world


def _fill(world: World) -> None:
    """Bring the first half of the weeks into the lake, in versions that will be old soon."""
    half = world.weeks[: len(world.weeks) // 2]
    for week in half:
        world.publish(week)
    if world.end(world.start("backfill", half[0].key, half[-1].key)):
        raise RuntimeError(f"the round cannot begin:\n{(world.folder / 'log.txt').read_text()}")
