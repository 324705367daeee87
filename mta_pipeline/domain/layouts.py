"""The two layouts in which turnstile files were published, as data.

Both are lines of comma-separated fields padded with blanks to one width: some key fields, then one
or more readings of five fields (DATE, TIME, DESC, ENTRIES, EXITS). That common shape is all that
`scan` and `sample` need; nothing else in the project tells the layouts apart.
Source: the MTA's field descriptions (ts_Field_Description, and the one "pre-10-18-2014").
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from mta_pipeline.domain.weeks import Week


@dataclass(frozen=True)
class Column:
    """A column as published: its name, its type in SQL's words, and what it means."""

    name: str
    type: str
    description: str


_TURNSTILE = (
    Column("C/A", "string", "Control area: the booth or bank of turnstiles, e.g. A002."),
    Column("UNIT", "string", "Remote unit: the station's number in the fare system, e.g. R051."),
    Column("SCP", "string", "Subunit, channel, position: the turnstile within its area, e.g. 02-00-00."),
)
_STATION = (
    Column("STATION", "string", "Name of the station the turnstile is in."),
    Column("LINENAME", "string", "Lines that can be boarded there, a character each, e.g. NQR456W."),
    Column("DIVISION", "string", "Line the station belonged to: BMT, IRT, IND, or PTH, SRT, RIT."),
)


def _reading(date_format: str, digits: int) -> tuple[Column, ...]:
    return (
        Column("DATE", "string", f"Day of the reading in New York, {date_format}."),
        Column("TIME", "string", "Time of the reading in New York, HH:MM:SS, normally every four hours."),
        Column("DESC", "string", "REGULAR, or RECOVR AUD for a missed audit that was recovered; others before 2014."),
        Column("ENTRIES", "bigint", f"Cumulative entry register, {digits} digits; not a count of the interval."),
        Column("EXITS", "bigint", f"Cumulative exit register, {digits} digits; not a count of the interval."),
    )  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """How the lines of a file are built."""

    name: str
    first_release: date
    header: str | None  #: without its padding; None where files have none
    keys: tuple[Column, ...]
    reading: tuple[Column, ...]
    readings_per_line: int  #: at most
    date_separator: str
    year_digits: int  #: dates are month, day, year
    counter_digits: int
    padded_width: int  #: without line ending; differs between years, so a file is held to its own
    usual_rows: range  #: lines that whole files of this layout have, header aside

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of a line's first reading."""
        return self.keys + self.reading

    @property
    def date_pattern(self) -> str:
        """A date with all digits zero."""
        return self.date_separator.join(("00", "00", "0" * self.year_digits))

    @property
    def date_width(self) -> int:
        """Characters of a date."""
        return len(self.date_pattern)

    @property
    def expected(self) -> str:
        """What a line looks like, for messages."""
        fields = ",".join(column.name for column in self.columns)
        return fields if self.readings_per_line == 1 else f"{fields}, the last five up to 8 times"


#: Since turnstile_141018.txt. About 194,000 rows a week in 2015, 254,000 in 2024.
CURRENT = Layout(
    name="current",
    first_release=date(2014, 10, 18),
    header="C/A,UNIT,SCP,STATION,LINENAME,DIVISION,DATE,TIME,DESC,ENTRIES,EXITS",
    keys=_TURNSTILE + _STATION,
    reading=_reading("MM/DD/YYYY", 10),
    readings_per_line=1,
    date_separator="/",
    year_digits=4,
    counter_digits=10,
    padded_width=130,
    usual_rows=range(150_000, 400_001),
)

#: Until turnstile_141011.txt. About 4,500 turnstiles with six lines each.
LEGACY = Layout(
    name="legacy",
    first_release=date(2010, 5, 5),
    header=None,
    keys=_TURNSTILE,
    reading=_reading("MM-DD-YY", 9),
    readings_per_line=8,
    date_separator="-",
    year_digits=2,
    counter_digits=9,
    padded_width=400,
    usual_rows=range(18_000, 60_001),
)


def layout_of(week: Week) -> Layout:
    """The layout in which `week` was published."""
    return CURRENT if week.release_date >= CURRENT.first_release else LEGACY
