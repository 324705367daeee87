"""The tables that are made of lake objects, as data: names, columns, keys, and where a week of each is.

What Dagster shows, what the Parquet files and BigQuery's tables say of a column, and the docs all come
from here. What is in them, `readings` and `ridership` say.
"""

from __future__ import annotations

from dataclasses import dataclass

from mta_pipeline.domain.layouts import Column
from mta_pipeline.domain.weeks import Week


@dataclass(frozen=True)
class Table:
    """A table in the lake: Parquet, one object a week."""

    name: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]  #: columns that together occur once in a week's object

    def object_name(self, week: Week) -> str:
        """The week's object: hive-style, so that engines know the week without opening it."""
        return f"{self.name}/week={week.key}/{self.name}.parquet"


_TURNSTILE = (
    Column("control_area", "string", "Booth or bank of turnstiles (C/A), e.g. A002."),
    Column("unit", "string", "Remote unit: the station's number in the fare system, e.g. R051."),
    Column("scp", "string", "Subunit, channel, position: the turnstile within its control area, e.g. 02-00-00."),
)
_STATION = (
    Column("station", "string", "Name of the station; null where nobody knows it (some booths before 2014-10-18)."),
    Column("line_names", "string", "Lines that can be boarded there, a character each, in one order, e.g. 456NQRW."),
    Column("division", "string", "Line the station belonged to: BMT, IRT, IND; PTH, SRT and RIT are not the subway."),
)

READINGS = Table(
    "readings",
    "One row a reading of a turnstile's two registers, typed, both file layouts alike, duplicates resolved.",
    (
        *_TURNSTILE,
        *_STATION,
        Column("read_at", "timestamp", "Moment of the reading; its zone is America/New_York."),
        Column(
            "audit_kind", "string", "REGULAR, or RECOVR AUD for a recovered one; others before 2014 (DOOR, LOGON …)."
        ),
        Column("entries", "bigint", "Cumulative entry register; not a count of the interval."),
        Column("exits", "bigint", "Cumulative exit register; not a count of the interval."),
    ),
    ("control_area", "unit", "scp", "read_at"),
)
REJECTED = Table(
    "readings_rejected",
    "Lines of the file that are not in `readings`, each with the reason.",
    (
        Column("line", "bigint", "Number of the line in the file, from 1, the header included."),
        Column("reading", "bigint", "Which reading of the line, from 1; 0 where the whole line was rejected."),
        Column("text", "string", "The line, padding aside."),
        Column("reason", "string", "Why it is not in `readings`."),
    ),
    ("line", "reading"),
)
INTERVALS = Table(
    "ridership_intervals",
    "One row for each two consecutive readings of a turnstile, by the week in which the interval ends.",
    (
        *_TURNSTILE,
        *_STATION,
        Column("began_at", "timestamp", "Moment of the earlier reading, which may be in the week before."),
        Column("ended_at", "timestamp", "Moment of the later reading."),
        Column("entries", "bigint", "People who entered; null where the registers do not tell (see `entries_rule`)."),
        Column("exits", "bigint", "People who left; null where the registers do not tell (see `exits_rule`)."),
        Column("entries_rule", "string", "The rule by which `entries` came about; `difference` for most."),
        Column("exits_rule", "string", "The rule by which `exits` came about; `difference` for most."),
    ),
    ("control_area", "unit", "scp", "ended_at"),
)
RIDERSHIP = Table(
    "ridership",
    "Entries and exits by station, day and slot of four hours, of the intervals that end in the week. Its first "
    "rows are of the Friday before: sum over weeks.",
    (
        *_STATION,
        Column("day", "date", "Day in New York."),
        Column("slot", "bigint", "Hour in New York at which the slot begins: 0, 4, 8, 12, 16 or 20."),
        Column(
            "entries",
            "bigint",
            "People who entered; OMNY taps are left out, so exits are more. Null where no register tells.",
        ),
        Column("exits", "bigint", "People who left. Null where no register tells."),
    ),
    ("station", "line_names", "division", "day", "slot"),
)
BOOTHS = Table(
    "remote_booths",
    "The MTA's list of booths: which station a control area is in. Files before 2014-10-18 name no stations.",
    (*_TURNSTILE[:2], *_STATION),
    ("control_area", "unit"),
)

TABLES = (READINGS, REJECTED, INTERVALS, RIDERSHIP)
#: The one object of `BOOTHS`, which has no weeks.
BOOTHS_OBJECT = "lookup/remote_booths.parquet"
