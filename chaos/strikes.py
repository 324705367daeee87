"""How each fault strikes: what it does to feed, bucket, disk, staging, processes or clock of a `World`.

A strike lets runs go through what it does, and leaves to `World.mend` to take that back.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Literal

from chaos.checker import Broken, Promise, release_of
from chaos.rounds import Skipped, World
from mta_pipeline.domain.weeks import Week
from mta_pipeline_tests import feed_server
from mta_pipeline_tests.feed_server import Answer, Exchange
from mta_pipeline_tests.gcs_server import Asked
from mta_pipeline_tests.gcs_server import Fault as GcsFault

HTML = b"<!DOCTYPE html>\n<html><head><title>MTA</title></head><body>Sorry, we are working on it.</body></html>\n"
LIBFAKETIME = "faketime/libfaketimeMT.so.1"
MOST_TRIES = 4  # faulty answers in a row that are survived: the fifth try is the last


@dataclass(frozen=True)
class Request:
    """What a faulty answer is made for."""

    world: World
    week: Week
    body: bytes  #: what the feed has

    @property
    def chance(self) -> random.Random:
        """The round's source of chance."""
        return self.world.chance

    def within(self, low: float = 0.05, high: float = 0.95) -> int:
        """A random place in the body, inside a line."""
        at = self.chance.randrange(int(len(self.body) * low), int(len(self.body) * high))
        return at + 3 if self.body[at - 3 : at].find(b"\n") >= 0 else at

    def line_end(self, low: float, high: float) -> int:
        """A random line's end in the body."""
        return self.body.index(b"\n", self.within(low, high)) + 1

    @property
    def etag(self) -> str:
        """A strong validator of the body."""
        return f'"{hashlib.sha256(self.body).hexdigest()[:16]}"'


def at_first(faulty: Callable[[Request], Answer], tries: int = MOST_TRIES) -> Callable[[World], None]:
    """The feed gives faulty answers to the first requests for each week, then good ones."""

    def strike(world: World) -> None:
        for week, body in world.bodies.items():
            request = Request(world, week, body)
            answers = [world.strike(faulty(request)) for _ in range(world.chance.randint(1, tries))]
            world.feed.serve(week, *answers, feed_server.whole(body))
        world.backfill()

    return strike


def always(faulty: Callable[[Request], Answer]) -> Callable[[World], None]:
    """The feed gives nothing but faulty answers."""

    def strike(world: World) -> None:
        for week, body in world.bodies.items():
            world.feed.serve(week, world.strike(faulty(Request(world, week, body))))
        world.backfill()

    return strike


def gives(damaged: Callable[[Request], bytes]) -> Callable[[Request], Answer]:
    """The feed has something wrong, and delivers it properly; now with, now without a length."""
    return lambda request: feed_server.whole(damaged(request), length=request.chance.random() < 0.5)


# The feed: the way.


def cut_without_length(request: Request, at: int) -> Answer:
    """The first `at` bytes, and then the connection is closed; nobody has said how many there should be."""
    return feed_server.whole(request.body[:at], length=False)


def cut_at_line_ends(world: World) -> None:
    """Nothing tells a whole file from one cut so, but that the next look finds another length."""
    for week, body in world.bodies.items():
        ends = [match.end() for match in re.finditer(rb"\n", body)][:-1]
        cuts = world.chance.sample(ends[len(ends) // 20 :], world.chance.randint(1, 2))
        answers = [world.strike(feed_server.whole(body[:at], length=False)) for at in cuts]
        world.feed.serve(week, *answers, feed_server.whole(body, length=False))
    world.backfill()


def wrong_length(by: int) -> Callable[[Request], Answer]:
    """The whole body under a Content-Length that is wrong by so much."""

    def faulty(request: Request) -> Answer:
        def answer(exchange: Exchange) -> None:
            exchange.start(200, {"Content-Length": str(len(request.body) + by)}, "OK")
            exchange.send(request.body)

        return answer

    return faulty


def busy(request: Request) -> Answer:
    """429 with a Retry-After of some form, wrong ones included."""
    wait = request.chance.choice(["0", "1", "Wed, 21 Oct 2015 07:28:00 GMT", "in a while"])
    return feed_server.status(429, {"Retry-After": wait}, "Too Many Requests")


def broken_server(request: Request) -> Answer:
    """One of the errors of a server, or of a gateway before it."""
    return feed_server.status(request.chance.choice([500, 502, 503, 504]))


def in_gzip(request: Request, cut: bool) -> Answer:
    """The body as gzip, which was not asked for; with `cut` its end is missing."""
    packed = gzip.compress(request.body, mtime=0)
    if cut:
        packed = packed[: request.chance.randrange(len(packed) // 2, len(packed) - 9)]
    return feed_server.whole(packed, length=False, headers={"Content-Encoding": "gzip"})


def range_ignored(request: Request) -> Answer:
    """A stream that breaks under a strong ETag."""
    return feed_server.cut(request.body, request.within(), headers={"ETag": request.etag})


def wrong_part(request: Request) -> Answer:
    """A stream that breaks, and then goes on from somewhere else."""
    broken = feed_server.cut(request.body, request.within(), headers={"ETag": request.etag})
    begin = request.within()

    def answer(exchange: Exchange) -> None:
        asked = exchange.request.headers.get("range")
        (feed_server.part(request.body, begin, etag=request.etag) if asked else broken)(exchange)

    return answer


def replaced_between_tries(world: World) -> None:
    """A stream breaks, and the publisher replaces the file before the next try."""
    for week, old in list(world.bodies.items()):
        request = Request(world, week, old)
        broken = feed_server.cut(old, request.within(), headers={"ETag": request.etag})
        new = world.publish(week)
        world.feed.serve(week, world.strike(broken), feed_server.ranged(new, Request(world, week, new).etag))
    world.backfill()


def no_way(url: Callable[[], str]) -> Callable[[World], None]:
    """No server at the feed's address."""

    def strike(world: World) -> None:
        world.settings["MTA_FEED_URL"] = url()
        world.struck += len(world.weeks)
        world.backfill()

    return strike


# The feed: the content.


def letters(request: Request) -> bytes:
    """Some digits of counters are letters."""
    body = bytearray(request.body)
    digits = [match.start() for match in re.finditer(rb"(?<=[0-9]{8})[0-9]", request.body)]
    for at in request.chance.sample(digits, request.chance.randint(1, 5)):
        body[at] = request.chance.choice(b"OlISBx")
    return bytes(body)


def zeroed(request: Request) -> bytes:
    """A block of zero bytes, as a disk or a proxy leaves them."""
    at = request.within(0.05, 0.9)
    length = request.chance.randint(1, 500)
    return request.body[:at] + bytes(length) + request.body[at + length :]


def other_week(request: Request) -> bytes:
    """The file of another week of this round."""
    others = [week for week in request.world.weeks if week != request.week]
    return request.world.bodies[request.chance.choice(others)]


# The bucket.


def bucket(kind: str, share: float, status: int = 0, reads: bool = False) -> Callable[[World], None]:
    """So many of the uploads (or of all requests) go wrong in this way."""

    def strike(world: World) -> None:
        assert world.gcs

        def concerns(asked: Asked) -> bool:
            hit = (reads or asked.is_upload) and world.chance.random() < share
            world.struck += hit
            return hit

        fault = GcsFault(kind, concerns, 1 << 30, status)
        world.undo.callback(fault.released.set)
        world.gcs.plan(fault)
        world.backfill()

    return strike


def another_writer(world: World) -> None:
    """Between the look and the write of half the weeks, another machine puts the publisher's newer file there."""
    gcs = world.gcs
    assert gcs
    weeks = {f"lake/turnstile/turnstile_{release_of(week.key)}.csv.gz": week for week in world.weeks}
    writing = world.chance.sample(sorted(weeks), len(weeks) // 2)

    def overtake(target: str) -> None:
        if target in writing:
            writing.remove(target)
            body = world.publish(weeks[target])
            world.struck += 1
            bucket, name = target.split("/", 1)
            path = f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}"
            headers = {"Host": gcs.emulator, "Content-Type": "application/gzip"}
            gcs.forward("POST", path, headers, gzip.compress(body, mtime=0))
            assert gcs.written
            gcs.written(target)

    gcs.uploading = overtake
    world.backfill()


# Processes.


def ended_by(which: signal.Signals, times: int) -> Callable[[World], None]:
    """Runs are ended at random moments, and started again."""

    def strike(world: World) -> None:
        left = len(world.weeks)
        for number in range(times):
            asked = len(world.feed.requests)
            options = ("--only-missing",) if number else ()
            run = world.start("backfill", world.weeks[0].key, world.weeks[-1].key, *options)
            _wait_for(world, run, asked + world.chance.randint(1, max(left // 2, 1)))
            time.sleep(world.chance.uniform(0, 0.3))
            if run.poll() is None:
                world.struck += 1
                world.killed = True
                run.send_signal(which)
            world.end(run)
            left -= len(world.feed.requests) - asked

    return strike


def _wait_for(world: World, run: subprocess.Popen[bytes], requests: int) -> None:
    """Wait until the feed has been asked so often in all, or the run has ended."""
    while len(world.feed.requests) < requests and run.poll() is None:
        time.sleep(0.005)


def two_runs(kill: bool = False, machines: bool = False) -> Callable[[World], None]:
    """Two runs at once on the same weeks; the second perhaps with a staging folder of its own, one perhaps killed."""

    def strike(world: World) -> None:
        asked = len(world.feed.requests)
        other = {}
        if machines:
            world.stagings.append(world.folder / "other-staging")
            other["MTA_STAGING_DIR"] = str(world.stagings[-1])
        span = ("backfill", world.weeks[0].key, world.weeks[-1].key)
        runs = [world.start(*span), world.start(*span, **other)]
        world.struck += 1
        if kill:
            _wait_for(world, runs[0], asked + world.chance.randint(2, len(world.weeks)))
            victim = world.chance.choice(runs)
            world.killed |= victim.poll() is None
            victim.kill()
        for run in runs:
            code = world.end(run)
            if code not in (0, 1, -signal.SIGKILL):
                world.broken.append(Broken(Promise.HONEST, "one of two runs", f"ended with {code}"))

    return strike


def one_machine_behind(world: World) -> None:
    """Of two machines one gets the old file of a week, slowly, and the other the new one that replaces it."""

    def slowly(body: bytes, pause: float) -> Answer:
        def answer(exchange: Exchange) -> None:
            exchange.start(200, {"Content-Length": str(len(body))}, "OK")
            exchange.send(body[:-1])
            exchange.closing.wait(pause)
            exchange.send(body[-1:])

        return answer

    for week, old in list(world.bodies.items()):
        new = world.publish(week)
        world.racing.add(release_of(week.key))
        behind = world.strike(slowly(old, world.chance.uniform(0, 0.5)))
        world.feed.serve(week, behind, feed_server.whole(new))
    two_runs(machines=True)(world)


# Disks.


def small_disk(*places: Literal["lake", "staging", "home"]) -> Callable[[World], None]:
    """Put these folders on a disk of their own."""

    def prepare(world: World) -> None:
        if os.geteuid() != 0:
            raise Skipped("only root can mount a small disk")
        disk = world.folder / "disk"
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)]
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Skipped(f"this machine does not let root mount a small disk: {done.stderr.strip()}")
        world.stack.callback(subprocess.run, ["umount", "-l", str(disk)], check=True)
        if "lake" in places:
            world.lake = disk / "lake"
            world.settings["MTA_LAKE_URL"] = str(world.lake)
        if "staging" in places:
            world.stagings = [disk / "staging"]
            world.settings["MTA_STAGING_DIR"] = str(world.stagings[0])
        if "home" in places:
            shutil.move(world.home, disk)
            world.home = disk / "home"
            world.settings["DAGSTER_HOME"] = str(world.home)

    return prepare


def disk_fills(low: float, high: float) -> Callable[[World], None]:
    """Only so many times the size of a week's raw file are free for all weeks together."""

    def strike(world: World) -> None:
        disk = world.folder / "disk"
        week = max(map(len, world.bodies.values()))
        left = int(world.chance.uniform(low, high) * week * len(world.weeks))
        ballast = disk / "ballast"
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(shutil.disk_usage(disk).free - left, 1))
        world.undo.callback(ballast.unlink)
        world.killed = True  # a full disk may end a process anywhere
        world.struck += world.backfill_however() != 0

    return strike


def read_only(world: World) -> None:
    """The disk can be read, and no longer be written."""
    disk = str(world.folder / "disk")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    world.undo.callback(subprocess.run, ["mount", "-o", "remount,rw", disk], check=True)
    world.struck += 1
    world.backfill()


# Staging.


def staged_file_cut(world: World) -> None:
    """All is well, then half of the staged files are cut, and lake_object alone is materialized from staging."""
    world.backfill()
    for week in world.chance.sample(world.weeks, len(world.weeks) // 2):
        with (world.stagings[0] / week.file_name).open("r+b") as file:
            file.truncate(Request(world, week, world.bodies[week]).within())
        world.tampered.add(week.file_name)
        world.struck += 1
    world.end(world.start("lake_object", world.weeks[0].key, world.weeks[-1].key))


def left_behind(world: World) -> None:
    """Half-done files and locks, as killed runs leave them, lie about for half of the weeks."""
    staging, lake = world.stagings[0], world.lake / "turnstile"
    (staging / ".locks").mkdir(parents=True, exist_ok=True)
    for week in world.chance.sample(world.weeks, len(world.weeks) // 2):
        body = world.bodies[week]
        half = body[: world.chance.randrange(len(body))]
        (staging / f"{week.file_name}.part").write_bytes(half)
        (staging / f"{week.file_name}.gz.part").write_bytes(gzip.compress(half)[:-4])
        (staging / ".locks" / Path(week.file_name).stem).touch()
        (lake / f".{Path(week.object_name).name}.part").write_bytes(gzip.compress(half)[:-4])
        world.struck += 1
    world.backfill()


# The clock.

#: Weeks in which New York's clocks were changed, and the last one of a year.
ODD_WEEKS = tuple(Week.parse(day) for day in ("2014-10-11", "2023-03-11", "2023-11-04", "2022-12-31", "2024-02-24"))


def odd_week(chance: random.Random) -> Week:
    """One of `ODD_WEEKS`."""
    return chance.choice(ODD_WEEKS)


def _release(week: Week) -> datetime:
    """The midnight in New York with which the week's file is due."""
    return week.shifted(1).start


def _clock(world: World, now: datetime) -> dict[str, str]:
    """The environment of a run that takes it to be `now` when it begins."""
    library = next((path for path in Path("/usr/lib").glob(f"*/{LIBFAKETIME}")), None)
    if library is None:
        raise Skipped("there is no libfaketime (on Debian and Ubuntu: apt install faketime)")
    world.struck += 1
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME": f"@{now.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S}",
        "TZ": "UTC",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def not_due_yet(world: World) -> None:
    """Shortly before a week's file is due, it is asked for by name, and `latest` is asked for."""
    due = world.weeks[-1].shifted(1)
    now = _release(due) - timedelta(seconds=world.chance.randint(20, 60))
    if world.end(world.start("backfill", due.key, **_clock(world, now))) != 2:
        world.broken.append(Broken(Promise.HONEST, "backfill", f"took week {due.key}, which is not due yet"))
    world.end(world.start("backfill", world.weeks[0].key, "latest", **_clock(world, now)))
    if world.feed.requests_for(due):
        world.broken.append(Broken(Promise.HONEST, "backfill", f"asked for week {due.key}, which is not due yet"))


def just_due(world: World) -> None:
    """In the second in which the last week's file is due, `latest` is asked for."""
    world.end(world.start("backfill", world.weeks[0].key, "latest", **_clock(world, _release(world.weeks[-1]))))


def due_meanwhile(world: World) -> None:
    """The last week's file becomes due while a run starts or is under way."""
    now = _release(world.weeks[-1]) - timedelta(seconds=world.chance.randint(1, 6))
    world.end(world.start("backfill", world.weeks[0].key, "latest", **_clock(world, now)))


def hour_twice(world: World) -> None:
    """Runs in the hour that New York's clocks have twice, and in the one they leave out."""
    sunday = datetime(2024, 11, 3, tzinfo=timezone.utc)  # 01:00 EDT is 05:00 UTC, 01:00 EST an hour later
    for hour in (5, 6):
        now = sunday + timedelta(hours=hour, minutes=world.chance.randint(0, 59))
        world.end(world.start("backfill", world.weeks[0].key, world.weeks[-1].key, **_clock(world, now)))


def clock_goes_back(world: World) -> None:
    """A run, and then another one at a time before it: the publisher has replaced its files, clocks were set back."""
    now = _release(world.weeks[-1]) + timedelta(hours=2)
    span = ("backfill", world.weeks[0].key, world.weeks[-1].key)
    world.end(world.start(*span, **_clock(world, now)))
    for week in world.weeks:
        world.publish(week)
    world.end(world.start(*span, **_clock(world, now - timedelta(hours=1))))
