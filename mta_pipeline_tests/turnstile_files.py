"""Small valid turnstile files in both layouts, made without any of the project's code but `Week`.

What a published file looks like is written down here a second time, from the MTA's description of
it, so that a mistake in the project's own reading of the layouts cannot hide in the tests.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta

from mta_pipeline.domain.weeks import Week

HEADER = "C/A,UNIT,SCP,STATION,LINENAME,DIVISION,DATE,TIME,DESC,ENTRIES,EXITS"
FIRST_RELEASE_WITH_HEADER = date(2014, 10, 18)
CURRENT_WIDTH = 130
LEGACY_WIDTHS = (400, 500)  # of 2011 and of 2013
READINGS_PER_LEGACY_LINE = 8

#: With six turnstiles (252 rows, legacy: 36 lines) a file is inside the usual range at this scale,
#: and with three (126 rows) still so, but far below its neighbours.
SCALE = 0.0007


@dataclass(frozen=True)
class Reading:
    """What both registers of a turnstile showed at a moment."""

    moment: datetime
    entries: int
    exits: int
    description: str = "REGULAR"


@dataclass(frozen=True)
class Turnstile:
    """A turnstile and its readings, in order."""

    control_area: str
    unit: str
    scp: str
    readings: tuple[Reading, ...]
    station: str = "59 ST"
    lines: str = "NQR456W"
    division: str = "BMT"


def has_header(week: Week) -> bool:
    return week.release_date >= FIRST_RELEASE_WITH_HEADER


def regular_turnstiles(week: Week, count: int = 6, per_day: int = 6, seed: int = 0) -> list[Turnstile]:
    """Turnstiles that report `per_day` times on each of the week's days and count upward."""
    chance = random.Random(seed)
    result = []
    for index in range(count):
        entries, exits = chance.randrange(10**8), chance.randrange(10**8)
        readings = []
        for n in range(7 * per_day):
            moment = datetime.combine(week.first_day, time()) + n * timedelta(hours=24 / per_day)
            readings.append(Reading(moment, entries, exits))
            entries += chance.randrange(1, 900)
            exits += chance.randrange(1, 900)
        result.append(
            Turnstile(f"A{index // 4 + 2:03d}", f"R{index // 4 + 51:03d}", f"02-00-{index % 4:02d}", tuple(readings))
        )
    return result


def valid_file(
    week: Week,
    turnstiles: int | Sequence[Turnstile] = 6,
    per_day: int = 6,
    seed: int = 0,
    newline: str = "\r\n",
) -> bytes:
    """The file of `week` in the layout of its time."""
    if isinstance(turnstiles, int):
        turnstiles = regular_turnstiles(week, turnstiles, per_day, seed)
    return current_file(turnstiles, newline) if has_header(week) else legacy_file(turnstiles, newline)


def current_file(turnstiles: Iterable[Turnstile], newline: str = "\r\n") -> bytes:
    """A header, then one reading a line."""
    lines = [HEADER]
    for t in turnstiles:
        key = f"{t.control_area},{t.unit},{t.scp},{t.station},{t.lines},{t.division}"
        lines += [
            f"{key},{r.moment:%m/%d/%Y,%H:%M:%S},{r.description},{r.entries:010d},{r.exits:010d}" for r in t.readings
        ]
    return "".join(line.ljust(CURRENT_WIDTH) + newline for line in lines).encode("ascii")


def legacy_file(turnstiles: Iterable[Turnstile], newline: str = "\r\n") -> bytes:
    """No header, up to eight readings a line."""
    lines = []
    for t in turnstiles:
        texts = [f"{r.moment:%m-%d-%y,%H:%M:%S},{r.description},{r.entries:09d},{r.exits:09d}" for r in t.readings]
        for begin in range(0, len(texts), READINGS_PER_LEGACY_LINE):
            group = texts[begin : begin + READINGS_PER_LEGACY_LINE]
            lines.append(",".join([t.control_area, t.unit, t.scp, *group]))
    longest = max((len(line) for line in lines), default=0)
    width = next(width for width in LEGACY_WIDTHS if width >= longest)
    return "".join(line.ljust(width) + newline for line in lines).encode("ascii")


def with_line(file: bytes, number: int, line: bytes) -> bytes:
    """`file` with line `number` (from 1) replaced; `line` comes without its ending."""
    lines = file.split(b"\r\n")
    lines[number - 1] = line
    return b"\r\n".join(lines)


def line_of(file: bytes, number: int) -> bytes:
    """Line `number` (from 1) without its ending."""
    return file.split(b"\r\n")[number - 1]


def refitted(line: bytes) -> bytes:
    """`line` padded or cut to the width of published lines, so that only its fields tell the damage."""
    return line.rstrip().ljust(CURRENT_WIDTH)[:CURRENT_WIDTH]


def implausible(week: Week, turnstiles: int = 6, seed: int = 0) -> bytes:
    """A well-formed file in which every fifth reading of each turnstile falls back to nothing."""
    result = [
        replace(
            t,
            readings=tuple(
                replace(r, entries=0, exits=0) if index % 5 == 4 else r for index, r in enumerate(t.readings)
            ),
        )
        for t in regular_turnstiles(week, turnstiles, seed=seed)
    ]
    return valid_file(week, result)


def spreadsheet_copy(file: bytes) -> bytes:
    """What a spreadsheet makes of a file on "save as CSV": no padding, no leading zeros, other dates."""
    lines = []
    for number, line in enumerate(file.decode("ascii").splitlines()):
        fields = line.rstrip().split(",")
        if number:
            month, day, year = fields[6].split("/")
            fields[6] = f"{int(month)}/{int(day)}/{year}"
            fields[7] = fields[7].lstrip("0") if not fields[7].startswith("00") else fields[7][1:]
            fields[9], fields[10] = str(int(fields[9])), str(int(fields[10]))
        lines.append(",".join(fields) + "\r\n")
    return "".join(lines).encode("ascii")
