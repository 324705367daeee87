"""A made-up feed: weekly files in both published layouts, with the oddities that real ones have.

Nothing is simulated from 2010 on: what a register has counted up to any moment is a closed formula,
so that weeks continue each other in whatever order they are written. Everything is reckoned in
integers from the raw PCG64 stream, whose values are fixed for good, so that a week of so many rows
is the same bytes everywhere. What good weeks look like, `audit` says; the layouts stand in `layouts`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np

from mta_pipeline.domain.errors import Finding, WeekError
from mta_pipeline.domain.files import whole_file
from mta_pipeline.domain.layouts import CURRENT, LEGACY, Layout, layout_of
from mta_pipeline.domain.scan import Flags, Integers
from mta_pipeline.domain.weeks import FIRST_PUBLISHED, NEW_YORK, Week

FULL_WEEK = 250_000  # rows; the MTA's files of 2023 and 2024 have 251,000 to 254,000
BOOTHS_FILE = "Remote-Booth-Station.csv"
FEWEST_ROWS = 200  # five turnstiles, one of which counts backward

HOUR, DAY, WEEK = 3_600, 86_400, 604_800  # seconds
USUAL_PERIOD = 4 * HOUR  # on a grid in UTC: New York sees 3, 7, 11 … in winter and 0, 4, 8 … in summer
FAST_PERIOD = HOUR // 4
PATH_PERIOD = 4 * HOUR + 720  # PATH's audits come every 4 h 12 min, at 21 seconds

# Shares as in 230603 and 240106 … 240120, in turnstiles if nothing else is said.
ROWS_PER_FAST = 3_570  # 1.4 % report every 15 minutes: one with 672 rows on 69 with 42
BACKWARD = 8  # of 1,000
SILENT = 25  # of 1,000
OFF_GRID = 115  # of 1,000, PATH's aside
TURNSTILES_PER_RESET = 200  # a week; real ones 170
RECOVERED_EVERY = 125  # readings: 0.8 %
MOST_DUPLICATES = 14  # of 100,000 readings
FEWEST_WITH_DUPLICATES = 1_000  # readings: in fewer, one would be too large a share
OPENED = 30  # of 1,000 turnstiles, in legacy files, a week; real ones are opened far more often

REGULAR, RECOVERED, OPEN, LOGON, CLOSE = range(5)
DESC = ("REGULAR", "RECOVR AUD", "DOOR OPEN", "LOGON", "DOOR CLOSE")

SWAY = 150  # thousandths of the time between two readings
LEAST_VOLUME, VOLUME_SPREAD = 300, 14_000  # counts a week; real exits of 2024: median 2,600, most 40,000
BACKWARD_FROM = 950_000_000  # counts; legacy files have room for 999,999,999

#: Ridership in thousandths of 2019's, roughly; linear from one day to the next. (MTA, day-by-day ridership.)
LEVEL_DAYS = np.array(
    ["2010-05-08", "2015-06-01", "2020-03-07", "2020-03-28", "2020-05-01", "2020-10-01", "2021-06-01", "2022-06-01",
     "2024-01-01", "2100-01-01"], "datetime64[D]")  # fmt: skip
LEVELS = np.array([940, 1010, 990, 90, 85, 310, 420, 590, 660, 660], np.int64)
MONTHS = np.array([960, 980, 1020, 1030, 1040, 1020, 970, 940, 1000, 1050, 1000, 980], np.int64)  # thousandths

#: What the hours 0 … 23 weigh, for entries and exits: tenths of a count in 15 minutes of week 2024-01-13.
WORKDAY = (
    (7, 4, 3, 3, 7, 24, 57, 86, 79, 50, 38, 33, 40, 48, 65, 95, 84, 84, 60, 38, 32, 27, 30, 14),
    (25, 13, 6, 4, 7, 13, 40, 77, 104, 64, 52, 49, 57, 63, 75, 104, 123, 139, 147, 88, 46, 33, 37, 37),
)
WEEKEND = (
    (10, 6, 2, 2, 4, 10, 19, 23, 27, 28, 29, 30, 42, 42, 46, 48, 51, 47, 44, 33, 25, 23, 20, 15),
    (16, 15, 8, 5, 5, 7, 13, 30, 42, 47, 46, 56, 63, 77, 76, 87, 90, 101, 88, 68, 60, 45, 40, 40),
)
HOURS = np.array([weekend * 2 + day * 5 + (0,) for weekend, day in zip(WEEKEND, WORKDAY, strict=True)], np.int64)

#: STATION, LINENAME, DIVISION as published. Control areas and units are made up.
STATIONS = (
    ("59 ST", "NQR456W", "BMT"), ("TIMES SQ-42 ST", "1237ACENQRSW", "IRT"), ("34 ST-PENN STA", "ACE", "IND"),
    ("GRD CNTRL-42 ST", "4567S", "IRT"), ("PATH NEW WTC", "1", "PTH"), ("14 ST-UNION SQ", "LNQR456W", "BMT"),
    ("FULTON ST", "2345ACJZ", "IRT"), ("34 ST-HERALD SQ", "BDFMNQRW", "IND"), ("ATL AV-BARCLAY", "2345BDNQR", "IRT"),
    ("FLUSHING-MAIN", "7", "IRT"), ("JAY ST-METROTEC", "ACF", "IND"), ("CANAL ST", "JNQRZ6W", "BMT"),
    ("59 ST COLUMBUS", "ABCD1", "IND"), ("86 ST", "456", "IRT"), ("BEDFORD AV", "L", "BMT"),
    ("LEXINGTON AV/53", "EM6", "IND"), ("WALL ST", "45", "IRT"), ("SUTPHIN-ARCHER", "EJZ", "IND"),
    ("CONEY IS-STILLW", "DFNQ", "BMT"), ("161/YANKEE STAD", "4BD", "IRT"), ("42 ST-PORT AUTH", "ACENQRS1237W", "IND"),
    ("BOROUGH HALL", "2345R", "IRT"), ("ASTORIA BLVD", "NQW", "BMT"), ("JKSN HT-ROOSVLT", "EFMR7", "IND"),
    ("96 ST", "123", "IRT"), ("DEKALB AV", "BDNQR", "BMT"), ("47-50 STS ROCK", "BDFM", "IND"),
    ("BOWLING GREEN", "45", "IRT"), ("KINGS HWY", "BQ", "BMT"), ("JAMAICA 179 ST", "F", "IND"),
    ("CROWN HTS-UTICA", "34", "IRT"), ("MYRTLE-WYCKOFF", "LM", "BMT"), ("125 ST", "ACBD", "IND"),
    ("SOUTH FERRY", "1RW", "IRT"), ("57 ST-7 AV", "NQRW", "BMT"), ("FOREST HILLS 71", "EFMR", "IND"),
    ("PELHAM BAY PARK", "6", "IRT"), ("49 ST", "NQRW", "BMT"), ("INWOOD-207 ST", "A", "IND"),
    ("FLATBUSH AV-B.C", "25", "IRT"),
)  # fmt: skip
AREA_LETTERS = {"BMT": "A", "IND": "N", "IRT": "R"}
TURNSTILES_PER_AREA = 6


def write_feed(folder: Path, weeks: Iterable[Week], rows: int = FULL_WEEK) -> Iterator[Path]:
    """Make `folder` a feed of `weeks` with about `rows` rows each; yields each file once it is there.

    Files that exist are kept, unless feed.env tells that they were made in another size: then all weeks
    in the folder are made anew, so that sizes never mix. feed.env is written ahead of the files, so that
    this holds after an interruption too; sourced with `set -a`, it is the settings for this feed. The list of
    booths is beside the files.
    Raises what `pieces` does before anything is touched, and `OSError`. `weeks` are one or more.
    """
    settings, scale = folder / "feed.env", f"{rows / FULL_WEEK:.7g}"
    held = {week for path in folder.glob("turnstile_*.txt") if (week := Week.of_file(path.name))}
    made = re.search("^MTA_FEED_SCALE=(.*)$", settings.read_text() if settings.exists() else "", re.MULTILINE)
    stale = held if made and made[1] != scale else set()
    wanted = sorted(stale.union(weeks))
    _refuse_impossible(wanted[0], rows)
    for week in stale:
        (folder / week.file_name).unlink(missing_ok=True)
    first = min({wanted[0], *held})
    booths = folder / BOOTHS_FILE
    values = {
        "MTA_FEED_URL": folder.resolve().as_uri(),
        "MTA_BOOTHS_URL": booths.resolve().as_uri(),
        "MTA_FEED_SCALE": scale,
        "MTA_FIRST_WEEK": first.key,
    }
    with whole_file(settings) as file:
        file.writelines(f"{name}={shlex.quote(value)}\n".encode() for name, value in values.items())
    with whole_file(booths) as file:
        file.writelines(_booths(rows))
    for week in wanted:
        path = folder / week.file_name
        yield path if path.exists() else write_week(week, folder, rows)


def write_week(week: Week, folder: Path, rows: int = FULL_WEEK) -> Path:
    """Write the file of `week` into `folder`, whole or not at all; raises what `pieces` does, and `OSError`."""
    path = folder / week.file_name
    with whole_file(path) as file:
        file.writelines(pieces(week, rows))
    return path


def pieces(week: Week, rows: int = FULL_WEEK) -> Iterator[bytes]:
    """The file of `week` in pieces of whole lines: the header if there is one, then each turnstile.

    In the current layout there are about `rows` lines; a legacy week has the same turnstiles, in some
    `rows` / 8 lines. Raises `WeekError` for a week before the first published one, and `ValueError`
    for less than `FEWEST_ROWS`.
    """
    _refuse_impossible(week, rows)
    layout = layout_of(week)
    turnstiles = _turnstiles(rows, layout)
    readings = _with_duplicates(_readings(week, turnstiles, layout), _number(week))
    moments, moment = np.unique(readings.wall, return_inverse=True)
    year = "%Y" if layout.year_digits == 4 else "%y"
    days = [day.strftime(layout.date_separator.join(("%m", "%d", year))) for day in week.days]
    stamps = [f"{days[s // DAY]},{s // HOUR % 24:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in moments.tolist()]
    reading = f"%s,%s,%0{layout.counter_digits}d,%0{layout.counter_digits}d"
    if layout.header:
        yield layout.header.ljust(layout.padded_width).encode() + b"\r\n"
    columns = (moment, readings.desc, *readings.registers)
    begins = np.flatnonzero(np.diff(readings.who, prepend=-1, append=-1)).tolist()
    for begin, end in pairwise(begins):
        values = zip(*(column[begin:end].tolist() for column in columns), strict=True)
        texts = [reading % (stamps[at], DESC[desc], entries, exits) for at, desc, entries, exits in values]
        name, most = turnstiles.names[readings.who[begin]], layout.readings_per_line
        groups = (texts[at : at + most] for at in range(0, len(texts), most))
        lines = [",".join((name, *group)).ljust(layout.padded_width) for group in groups]
        yield "\r\n".join([*lines, ""]).encode()


def _refuse_impossible(week: Week, rows: int) -> None:
    if week < FIRST_PUBLISHED:
        found, expected = "a week before the first published one", f"{FIRST_PUBLISHED} or a later one"
        raise WeekError(Finding("the sample asked for", found, expected, "Begin later, or take fewer weeks.", week))
    if rows < FEWEST_ROWS:
        raise ValueError(f"{rows} rows a week are too few; {FEWEST_ROWS} at least")


@dataclass(frozen=True)
class _Turnstiles:
    """All turnstiles of a feed, in the order of its files: arrays over them, (2, n) for entries and exits."""

    names: list[str]  # the layout's key fields
    period: Integers  # seconds between readings
    phase: Integers  # seconds by which readings come after multiples of the period in UTC
    volume: Integers  # (2, n) counts in a week of 2019
    base: Integers  # (2, n) registers at the beginning of the first published week
    backward: Flags
    resettable: Integers  # those that are reset at times, in the order of their turns

    def counted(self, who: Integers, number: int | Integers, wall: Integers, factors: Integers) -> Integers:
        """(2, k) What has passed `who` from the first published week to the moment `wall` of week `number`."""
        done = np.cumsum(HOURS, axis=1) - HOURS
        whole = done[:, -1:] * HOUR
        part = done[:, wall // HOUR] * HOUR + HOURS[:, wall // HOUR] * (wall % HOUR)
        weeks_before = np.cumsum(factors) - factors
        passed: Integers = (weeks_before[number] * whole + factors[number] * part) * self.volume[:, who]
        return passed // (1_000 * whole)


def _turnstiles(rows: int, layout: Layout) -> _Turnstiles:
    """As many as have about `rows` readings a week in the current layout."""
    fast = (rows + ROWS_PER_FAST // 2) // ROWS_PER_FAST
    n = fast + round((rows - fast * WEEK // FAST_PERIOD) * USUAL_PERIOD / WEEK)
    keys = sorted(_key(index) for index in range(n))
    # One random order, cut into pieces, keeps the odd ones apart from each other.
    order = np.argsort(_draw("order", 0, 1 << 62, n), kind="stable")
    backward, after = max(1, n * BACKWARD // 1_000), n * SILENT // 1_000
    after += backward
    path = np.array([key[5] == "PTH" for key in keys])
    period = np.where(path, PATH_PERIOD, USUAL_PERIOD)
    phase = np.where(path, _draw("path", 0, PATH_PERIOD // 60, n) * 60 + 21, 0)
    off_grid = order[n - n * OFF_GRID // 1_000 :]
    phase[off_grid] += FAST_PERIOD * (1 + _draw("phase", 0, USUAL_PERIOD // FAST_PERIOD - 1, len(off_grid)))
    if layout is CURRENT:  # in truth since about 2020; here in all current files, so that they are of one size
        period[order[after : after + fast]] = FAST_PERIOD
        phase[order[after : after + fast]] = 0
    # The product of two even draws is about as skewed as real volumes are, an eighth power as registers are.
    volume = LEAST_VOLUME + _draw("one", 0, 1_000, 2 * n) * _draw("other", 0, 1_000, 2 * n) * VOLUME_SPREAD // 1_000_000
    base = _draw("base", 0, 1 << 16, 2 * n)
    for _ in range(3):
        base = base * base >> 16
    base = 10_000 * (1 + base) + _draw("low", 0, 10_000, 2 * n)
    volume, base = volume.reshape(2, n), base.reshape(2, n)
    volume[:, order[backward:after]] = 0
    return _Turnstiles(
        names=[",".join(key[: len(layout.keys)]) for key in keys],
        period=period,
        phase=phase,
        volume=volume,
        base=base,
        backward=np.isin(np.arange(n), order[:backward]),
        resettable=order[after:],
    )


def _booths(rows: int) -> Iterator[bytes]:
    """The list of booths, as the MTA published it in CSV: legacy files name no stations."""
    areas = range(0, len(_turnstiles(rows, LEGACY).names), TURNSTILES_PER_AREA)
    yield b"Remote,Booth,Station,Line Name,Division\r\n"
    for area, unit, _, *station in sorted({_key(index) for index in areas}):
        yield ",".join((unit, area, *station)).encode() + b"\r\n"


def _key(index: int) -> tuple[str, ...]:
    """C/A, UNIT, SCP, STATION, LINENAME, DIVISION of the turnstile `index`; the first three have 19 bytes at most."""
    area, place = divmod(index, TURNSTILES_PER_AREA)
    station = STATIONS[area % len(STATIONS)]
    letter = AREA_LETTERS.get(station[2])
    name = f"{letter}{1 + area:03d}" if letter else f"{station[2]}{1 + area // len(STATIONS):02d}"
    return name, f"R{1 + area % 572:03d}", f"{area % 3:02d}-{place // 3 * 3:02d}-{place % 3:02d}", *station


@dataclass(frozen=True)
class _Readings:
    """Readings in the order of the file: arrays over them."""

    who: Integers  # index of the turnstile
    wall: Integers  # seconds of New York's clocks since the week began
    desc: Integers  # index in DESC
    registers: Integers  # (2, n)


def _readings(week: Week, turnstiles: _Turnstiles, layout: Layout) -> _Readings:
    """All of a week but the duplicates."""
    start, end = (int(moment.start.timestamp()) for moment in (week, week.shifted(1)))
    first = turnstiles.phase - (turnstiles.phase - start) // turnstiles.period * turnstiles.period
    count = -((first - end) // turnstiles.period)
    who = np.repeat(np.arange(len(count)), count)
    nth = np.arange(len(who)) - np.repeat(np.cumsum(count) - count, count)
    since_start = first[who] + nth * turnstiles.period[who] - start
    # In the hour that clocks repeat in autumn nothing is read, as its times have been there before.
    hours = [datetime.fromtimestamp(second, NEW_YORK) for second in range(start, end, HOUR)]
    wall_of = np.array([-1 if h.fold else (h.date() - week.first_day).days * DAY + h.hour * HOUR for h in hours])
    once = wall_of[since_start // HOUR] >= 0
    who, wall = who[once], (wall_of[since_start // HOUR] + since_start % HOUR)[once]
    desc = np.full(len(who), REGULAR)
    if layout is LEGACY:
        who, wall, desc = _with_visits(who, wall, desc, len(count), _number(week))
    # At most one in eight readings in a row, or a legacy line would be longer than its 400 bytes.
    recovered = _spread("recovered", _number(week), round(len(who) / RECOVERED_EVERY), len(who))
    desc[recovered[desc[recovered] == REGULAR]] = RECOVERED
    return _Readings(who, wall, desc, _registers(turnstiles, _number(week), who, wall))


def _with_visits(
    who: Integers, wall: Integers, desc: Integers, turnstiles: int, number: int
) -> tuple[Integers, Integers, Integers]:
    """The readings and, among them, those of turnstiles that somebody opened on a weekday after ten."""
    opened = _spread("opened", number, max(1, turnstiles * OPENED // 1_000), turnstiles)
    day, minute = _draw("day", number, 5, len(opened)), _draw("minute", number, 60, len(opened))
    # 31, 41 and 51 seconds past: no other reading comes then.
    moment = (2 + day) * DAY + 10 * HOUR + minute * 60 + 31
    who = np.concatenate((who, np.repeat(opened, 3)))
    wall = np.concatenate((wall, (moment[:, None] + (0, 70, 80)).ravel()))
    desc = np.concatenate((desc, np.tile((OPEN, LOGON, CLOSE), len(opened))))
    order = np.lexsort((wall, who))
    return who[order], wall[order], desc[order]


def _registers(turnstiles: _Turnstiles, number: int, who: Integers, wall: Integers) -> Integers:
    """(2, k) What the registers show."""
    factors = _factors(number)
    # Turnstiles take turns in being reset: the last time of each before this week, and this week's turns.
    n, in_turn = len(turnstiles.names), turnstiles.resettable
    each = 1 + n // TURNSTILES_PER_RESET
    turn = np.arange(max(0, number * each - len(in_turn)), (number + 1) * each)
    zeroed, week = in_turn[turn % len(in_turn)], turn // each
    zeroed_at = DAY + _draw("reset", 0, 5 * DAY, (number + 1) * each)[turn]
    shown = -turnstiles.counted(zeroed, week, zeroed_at, factors)
    past, now = week < number, week == number
    before = turnstiles.base.copy()
    before[:, zeroed[past]] = shown[:, past]
    after = before.copy()
    after[:, zeroed[now]] = shown[:, now]
    reset_at = np.full(n, 2 * WEEK)
    reset_at[zeroed[now]] = zeroed_at[now]
    # No two weeks are alike, as each reading counts until somewhat sooner or later than it says; but never
    # past half way to the reading beside it, nor out of the week.
    until_next, first = np.append(wall[1:], WEEK) - wall, np.flatnonzero(np.diff(who)) + 1
    until_next[first - 1] = WEEK - wall[first - 1]
    since_last = np.append(wall[0], until_next[:-1])
    since_last[first] = wall[first]
    sway = _draw("sway", number, 2 * SWAY + 1, len(who)) - SWAY
    until = wall + sway * np.where(sway < 0, since_last, until_next) // 1_000
    registers = turnstiles.counted(who, number, until, factors)
    registers += np.where(until < reset_at[who], before[:, who], after[:, who])
    backward = turnstiles.backward[who]
    registers[:, backward] = BACKWARD_FROM - registers[:, backward]
    return registers


def _with_duplicates(readings: _Readings, number: int) -> _Readings:
    """The readings and, of a few, a second one at the same time: recovered, with counters halfway to the next."""
    step = np.diff(readings.registers)
    fit = (step >= 2).all(axis=0) & (np.diff(readings.who) == 0) & (readings.desc[:-1] == REGULAR)
    candidates = np.flatnonzero(fit)
    most = max(1, len(readings.who) * MOST_DUPLICATES // 100_000)
    count = int(_draw("duplicates", number, most, 1)[0]) + 1 if len(readings.who) >= FEWEST_WITH_DUPLICATES else 0
    chosen = candidates[_spread("duplicate", number, min(count, len(candidates)), len(candidates))]
    at = np.insert(np.arange(len(readings.who)), chosen + 1, chosen)
    second = chosen + 1 + np.arange(len(chosen))
    desc, registers = readings.desc[at], readings.registers[:, at]
    desc[second] = RECOVERED
    registers[:, second] += step[:, chosen] // 2
    return _Readings(readings.who[at], readings.wall[at], desc, registers)


def _factors(last: int) -> Integers:
    """Ridership in thousandths of 2019's for each week from the first published one to number `last`."""
    days = np.datetime64(FIRST_PUBLISHED.first_day, "D") + 7 * np.arange(last + 1)
    month = days.astype("datetime64[M]").astype(np.int64) % 12
    piece = np.minimum(np.searchsorted(LEVEL_DAYS, days, side="right"), len(LEVELS) - 1) - 1
    x, knots = days.astype(np.int64), LEVEL_DAYS.astype(np.int64)
    rise = (LEVELS[piece + 1] - LEVELS[piece]) * (x - knots[piece]) // (knots[piece + 1] - knots[piece])
    factors: Integers = (LEVELS[piece] + rise) * MONTHS[month] // 1_000
    return factors


def _number(week: Week) -> int:
    """Weeks since the first published one."""
    return (week.first_day - FIRST_PUBLISHED.first_day).days // 7


def _draw(purpose: str, number: int, below: int, count: int) -> Integers:
    """`count` integers from 0 to `below` - 1: always the same for a purpose and number, and the first ones of more."""
    # Raw values, as numpy may change what a Generator makes of them.
    raw = np.random.PCG64([int.from_bytes(purpose.encode(), "big"), number]).random_raw(count)
    values: Integers = (raw % np.uint64(below)).astype(np.int64)
    return values


def _spread(purpose: str, number: int, count: int, n: int) -> Integers:
    """`count` of the indices below `n`, far from each other: one in the first half of each of `count` equal runs."""
    runs = max(count, 1)
    return np.arange(count) * n // runs + _draw(purpose, number, max(n // runs // 2, 1), count)
