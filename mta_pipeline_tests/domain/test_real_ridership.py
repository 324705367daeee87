"""Ridership of real weeks, beside a calculation of its own: plain Python over the published text.

`Calculation` shares nothing with the project but the rule as docs/ridership.md words it, so that a mistake would
have to be made twice. Both must agree in every interval and every slot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from mta_pipeline.domain.readings import readings_of
from mta_pipeline.domain.ridership import intervals_of, slots_of
from mta_pipeline.domain.weeks import Week

RealFile = Callable[[str], Path]
FILES = ("turnstile_240106.txt", "turnstile_240113.txt", "turnstile_240120.txt")
CLOCK = ZoneInfo("America/New_York")

Turnstile = tuple[str, str, str]
Station = tuple[str, str, str]
Reading = tuple[int, int, int]  # second of the epoch, entries, exits
Interval = tuple[Turnstile, Station, int, int, int | None, int | None, str, str]
Count = list[int | None]


def second_of(text: str) -> int:
    return int(datetime.strptime(text, "%m/%d/%Y %H:%M:%S").replace(tzinfo=CLOCK).timestamp())


@dataclass
class Published:
    """What one published file says."""

    stations: dict[Turnstile, Station]
    readings: dict[Turnstile, list[Reading]]

    @classmethod
    def of(cls, path: Path) -> Published:
        kept: dict[tuple[Turnstile, int], tuple[int, int, int]] = {}
        stations: dict[Turnstile, Station] = {}
        seconds: dict[str, int] = {}
        for line in path.read_text().splitlines()[1:]:
            area, unit, scp, station, names, division, date, time, kind, entries, exits = line.split(",")
            turnstile, moment = (area, unit, scp), f"{date} {time}"
            if moment not in seconds:
                seconds[moment] = second_of(moment)
            stations[turnstile] = (station, "".join(sorted(names)), division)
            # Of two readings of one moment the regular one stands.
            key, rank = (turnstile, seconds[moment]), 0 if kind == "REGULAR" else 1
            if key not in kept or rank < kept[key][0]:
                kept[key] = (rank, int(entries), int(exits))
        readings: dict[Turnstile, list[Reading]] = {turnstile: [] for turnstile in stations}
        for (turnstile, second), (_, *shown) in sorted(kept.items()):
            readings[turnstile].append((second, shown[0], shown[1]))
        return cls(stations, readings)


def people_of(steps: list[tuple[int, int]]) -> Iterator[tuple[int | None, str]]:
    """For each (seconds, step of one register) of a turnstile's week: how many people, by which rule."""
    down = len([step for _, step in steps if step < 0])
    up = len([step for _, step in steps if step > 0])
    sign = -1 if down >= 3 and down > up else 1
    for seconds, step in steps:
        people = sign * step
        if seconds > 24 * 60 * 60:
            yield None, "gap"
        elif people < 0:
            yield None, "reset"
        elif people > 10_000 or people > max(seconds, 15 * 60) / 2:
            yield None, "jump"
        else:
            yield people, "backward" if sign < 0 else "difference"


def intervals(week: Published, before: Published | None) -> Iterator[Interval]:
    for turnstile in sorted(week.readings):
        shown = week.readings[turnstile]
        if before and turnstile in before.readings:
            shown = [before.readings[turnstile][-1], *shown]
        pairs = list(pairwise(shown))
        entries = people_of([(b[0] - a[0], b[1] - a[1]) for a, b in pairs])
        exits = people_of([(b[0] - a[0], b[2] - a[2]) for a, b in pairs])
        for (a, b), (came, why_came), (left, why_left) in zip(pairs, entries, exits, strict=True):
            yield turnstile, week.stations[turnstile], a[0], b[0], came, left, why_came, why_left


@dataclass
class Clock:
    """In which slot a second of the epoch lies, and where that ends."""

    known: dict[int, tuple[str, int, int]] = field(default_factory=dict)

    def slot(self, second: int) -> tuple[str, int, int]:
        quarter = second // 900
        if quarter not in self.known:
            here = datetime.fromtimestamp(second, CLOCK)
            begin = here.replace(hour=here.hour // 4 * 4, minute=0, second=0, fold=0)
            after = (
                begin.replace(hour=0) + timedelta(days=1) if begin.hour == 20 else begin.replace(hour=begin.hour + 4)
            )
            self.known[quarter] = (str(begin.date()), begin.hour, int(after.timestamp()))
        return self.known[quarter]


def slots(of: list[Interval], clock: Clock) -> dict[tuple[Station, str, int], Count]:
    """Entries and exits by station, day and hour."""
    found: dict[tuple[Station, str, int], Count] = {}
    for _, station, begin, end, *counts, _, _ in of:
        if counts == [None, None]:
            continue
        at = begin
        while at < end:
            day, hour, ends = clock.slot(at)
            to = min(ends, end)
            sums = found.setdefault((station, day, hour), [None, None])
            for register, people in enumerate(counts):
                if people is not None:
                    part = people * (to - begin) // (end - begin) - people * (at - begin) // (end - begin)
                    sums[register] = (sums[register] or 0) + part
            at = to
    return found


@pytest.fixture(scope="module")
def published(real_file: RealFile) -> dict[str, Published]:
    return {name: Published.of(real_file(f"turnstile/{name}")) for name in FILES}


@pytest.fixture(scope="module")
def readings(real_file: RealFile) -> dict[str, pl.DataFrame]:
    weeks = {name: Week.of_file(name) for name in FILES}
    return {n: readings_of(real_file(f"turnstile/{n}").read_bytes(), week).rows for n, week in weeks.items() if week}


@pytest.mark.parametrize(("before", "name"), [(None, FILES[0]), *pairwise(FILES)])
def test_another_calculation_finds_the_same_in_every_interval_and_every_slot(
    published: dict[str, Published], readings: dict[str, pl.DataFrame], before: str | None, name: str
) -> None:
    week = Week.of_file(name)
    assert week is not None
    made = intervals_of(readings[name], readings[before] if before else None)
    by_slot = slots_of(week, made.rows)

    theirs = list(intervals(published[name], published[before] if before else None))

    moments = [pl.col(moment).dt.epoch("s") for moment in ("began_at", "ended_at")]
    ours = made.rows.with_columns(moments)
    found = [(row[:3], row[3:6], *row[6:]) for row in ours.iter_rows()]
    assert found == theirs

    expected = {(*station, day, hour): tuple(sums) for (station, day, hour), sums in slots(theirs, Clock()).items()}
    rows = by_slot.with_columns(pl.col("day").cast(pl.String)).iter_rows()
    assert {row[:5]: row[5:] for row in rows} == expected

    totals = {
        "entries": sum(came or 0 for *_, came, _, _, _ in theirs),
        "exits": sum(left or 0 for *_, left, _, _ in theirs),
    }
    for register, total in totals.items():
        assert made.rows[register].sum() == by_slot[register].sum() == total


def test_the_three_weeks_hold_what_the_docs_say(readings: dict[str, pl.DataFrame]) -> None:
    made = [
        intervals_of(readings[name], readings[before] if before else None)
        for before, name in ((None, FILES[0]), *pairwise(FILES))
    ]
    totals = {register: sum(int(week.rows[register].sum()) for week in made) for register in ("entries", "exits")}
    assert totals == {"entries": 33_856_280, "exits": 62_421_329}
    tallies = {
        key: (sum(week.tallies[key].intervals for week in made), sum(week.tallies[key].people for week in made))
        for key in made[0].tallies
    }
    assert tallies == {
        ("entries", "difference"): (745_913, 33_343_354),
        ("entries", "backward"): (6_200, 512_926),
        ("entries", "gap"): (108, 26_999),
        ("entries", "reset"): (70, 66_216),
        ("entries", "jump"): (12, 0),
        ("exits", "difference"): (748_717, 61_976_448),
        ("exits", "backward"): (3_403, 444_881),
        ("exits", "gap"): (108, 60_583),
        ("exits", "reset"): (64, 61_929),
        ("exits", "jump"): (11, 0),
    }
