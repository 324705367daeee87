"""Small made-up tables of weeks, as the stages leave them in a lake."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from pathlib import Path

import polars as pl

from mta_pipeline.domain import parquet
from mta_pipeline.domain.ridership import SLOT_HOURS
from mta_pipeline.domain.tables import INTERVALS, READINGS, REJECTED, RIDERSHIP, Table
from mta_pipeline.domain.weeks import NEW_YORK, Week

Station = tuple[str | None, str, str]

GRAND_CENTRAL: Station = ("GRD CNTRL-42 ST", "4567S", "IRT")
BEDFORD: Station = ("BEDFORD AV", "L", "BMT")
STATIONS = (GRAND_CENTRAL, BEDFORD)
ENTRIES, EXITS = 10, 25  # of the least busy station, in each slot


def write_week(
    lake: Path, week: Week, stations: Sequence[Station] = STATIONS, joins: bool = True, rejected: int = 1
) -> None:
    """All tables of a week. `joins`: the week before is there, so that ridership begins with its last slot."""
    days = list(week.days)
    slots = [(day, hour) for day in days for hour in range(0, 24, SLOT_HOURS)][:-1]  # the last one comes a week later
    if joins:
        slots.insert(0, (week.shifted(-1).last_day, 20))
    rows = [
        {
            **_station(station), "day": day, "slot": hour,
            "entries": ENTRIES * (len(stations) - number), "exits": EXITS * (len(stations) - number),
        }
        for number, station in enumerate(stations)
        for day, hour in slots
    ]  # fmt: skip
    put(lake, RIDERSHIP, week, rows)
    readings, intervals = [], []
    for number, station in enumerate(stations):
        turnstile = {"control_area": f"A{number:03d}", "unit": f"R{number:03d}", "scp": "00-00-00", **_station(station)}
        moment = datetime.combine(week.first_day, time(4), NEW_YORK)
        readings.append({**turnstile, "read_at": moment, "audit_kind": "REGULAR", "entries": 100, "exits": 200})
        for rule in ("difference", "difference", "backward", "reset"):
            count = None if rule == "reset" else 5
            counted = {"entries": count, "exits": 5, "entries_rule": rule, "exits_rule": "difference"}
            ended = moment + timedelta(hours=4)
            intervals.append({**turnstile, "began_at": moment, "ended_at": ended, **counted})
            moment = ended
    put(lake, READINGS, week, readings)
    put(lake, INTERVALS, week, intervals)
    reasons = [{"line": line + 2, "reading": 1, "text": "?", "reason": "a made-up one"} for line in range(rejected)]
    put(lake, REJECTED, week, reasons)


def put(lake: Path, table: Table, week: Week, rows: Sequence[dict[str, object]]) -> None:
    """A week's object of rows of `table`."""
    path = lake / table.object_name(week)
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = pl.DataFrame(rows, schema=parquet.schema_of(table)).sort(table.key)
    parquet.write(frame, table, path, {"week": week.key, "version": "1"})


def _station(station: Station) -> dict[str, object]:
    return dict(zip(("station", "line_names", "division"), station, strict=True))
