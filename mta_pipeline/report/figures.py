"""The figures of the report, from the tables in the lake.

Weeks are read one by one and summed at once, so that fourteen years need no more memory than one week. A week's
`ridership` begins with the last hours of the Friday before: days are summed over weeks, and only days that are
whole count for averages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TypeVar

import polars as pl

from mta_pipeline.domain import parquet
from mta_pipeline.domain.errors import CorruptObject, Finding, PipelineError
from mta_pipeline.domain.lake import LakeStore
from mta_pipeline.domain.ridership import DROPPED, REGISTERS, STATION, TURNSTILE
from mta_pipeline.domain.tables import INTERVALS, READINGS, REJECTED, RIDERSHIP, Table
from mta_pipeline.domain.weeks import Week

READERS = 4  # weeks at a time; of each at most one object of some megabytes is in memory

T = TypeVar("T")
RULES_OF = tuple(f"{register}_rule" for register in REGISTERS)


class NothingToReport(PipelineError):
    """None of the weeks asked for has ridership."""


@dataclass(frozen=True)
class Quality:
    """How good a week's data are; None where the lake does not have the table that tells."""

    counts: Mapping[str, int] | None  #: counts of both registers by the rule that made them
    turnstiles: int | None
    readings: int | None
    rejected: int | None

    @property
    def dropped(self) -> Mapping[str, float] | None:
        """By rule that leaves counts out: the share of all counts."""
        if self.counts is None:
            return None
        total = max(sum(self.counts.values()), 1)
        return {rule: self.counts.get(rule, 0) / total for rule in DROPPED}


@dataclass(frozen=True)
class Figures:
    """What the report shows of `weeks`, which follow each other."""

    weeks: Sequence[Week]
    with_ridership: frozenset[Week]
    #: A row a day that has any count: day, slot-wise sums `entries` and `exits`, and whether it is `whole`.
    days: pl.DataFrame
    #: People a day by `weekday` (0 is Monday) and `slot`, over whole days: `entries`, `exits`.
    hours: pl.DataFrame
    #: A row a station: `station`, `line_names`, `division`, `entries`, `exits`; the busiest first.
    stations: pl.DataFrame
    quality: Mapping[Week, Quality]
    damaged: Sequence[Finding] = field(default=())  #: objects that could not be read, and are left out

    @property
    def whole_days(self) -> pl.DataFrame:
        """The days on which averages rest."""
        return self.days.filter("whole")

    def total(self, register: str) -> int:
        """People in all days, whole or not."""
        return int(self.days[register].sum())

    def a_day(self, register: str) -> float | None:
        """People on an average day; None where no day is whole."""
        mean = self.whole_days[register].mean()
        return float(mean) if isinstance(mean, (int, float)) else None

    @property
    def busiest_day(self) -> tuple[date, int] | None:
        """The whole day on which most people left. Exits, because entries leave out OMNY."""
        if self.whole_days.is_empty():
            return None
        day, exits = self.whole_days.sort("exits", "day", descending=[True, False]).select("day", "exits").row(0)
        return day, exits

    @property
    def counts(self) -> dict[str, int]:
        """Counts by rule, of all weeks."""
        sums: dict[str, int] = {}
        for quality in self.quality.values():
            for rule, count in (quality.counts or {}).items():
                sums[rule] = sums.get(rule, 0) + count
        return sums


@dataclass
class _Part:
    """What one week adds."""

    week: Week
    slots: pl.DataFrame | None = None  # day, slot, entries, exits
    stations: pl.DataFrame | None = None
    joins: bool = False  # to the week before: it has the last hours of its Friday
    quality: Quality | None = None
    damaged: list[Finding] = field(default_factory=list)


def figures_of(store: LakeStore, weeks: Sequence[Week]) -> Figures:
    """The figures of `weeks`, at least one, which follow each other. Raises `LakeError`, `NothingToReport`."""
    after = weeks[-1].shifted(1)  # has the last hours of the last Friday
    with ThreadPoolExecutor(READERS, thread_name_prefix="report") as pool:
        parts = list(pool.map(lambda week: _part(store, week, weeks[0], weeks[-1]), (*weeks, after)))
    slots = [part.slots for part in parts if part.slots is not None]
    stations = [part.stations for part in parts if part.stations is not None]
    with_ridership = frozenset(part.week for part in parts if part.slots is not None and part.week != after)
    if not with_ridership:
        raise NothingToReport(
            Finding(
                where=f"{store.url}, weeks {weeks[0]} to {weeks[-1]}",
                found="no week with ridership",
                expected="at least one to report of",
                remedy="mta-pipeline weeks shows what is in the lake, mta-pipeline ridership makes it of what is there."
                + "".join(f" {finding}" for part in parts[:-1] for finding in part.damaged[:1]),
            )
        )
    joining = {part.week for part in parts if part.joins}
    whole = [day for week in with_ridership for day in week.days if _whole(day, week, joining)]
    clock = pl.concat(slots).group_by("day", "slot").agg(pl.col(REGISTERS).sum())
    days = clock.group_by("day").agg(pl.col(REGISTERS).sum()).sort("day").with_columns(whole=pl.col("day").is_in(whole))
    return Figures(
        weeks=weeks,
        with_ridership=with_ridership,
        days=days,
        hours=_hours(clock.filter(pl.col("day").is_in(whole)), whole),
        stations=pl.concat(stations)
        .group_by(STATION)
        .agg(pl.col(REGISTERS).sum())
        .sort(-pl.sum_horizontal(REGISTERS), *STATION),
        quality={part.week: part.quality for part in parts if part.quality},
        damaged=[finding for part in parts for finding in part.damaged],
    )


def _whole(day: date, week: Week, joining: set[Week]) -> bool:
    """Whether a day of a week with ridership has all its hours: its ends come from the weeks beside it."""
    if day == week.first_day:
        return week in joining
    return day != week.last_day or week.shifted(1) in joining


def _hours(clock: pl.DataFrame, whole: Sequence[date]) -> pl.DataFrame:
    """People a day by weekday and slot."""
    number = pl.DataFrame({"day": whole}, schema={"day": pl.Date}).select(weekday=_weekday()).group_by("weekday")
    return (
        clock.group_by(_weekday().alias("weekday"), "slot")
        .agg(pl.col(REGISTERS).sum())
        .join(number.agg(days=pl.len()), "weekday")
        .select("weekday", "slot", *(pl.col(register) / pl.col("days") for register in REGISTERS))
        .sort("weekday", "slot")
    )


def _weekday() -> pl.Expr:
    return pl.col("day").dt.weekday().cast(pl.Int64) - 1


def _part(store: LakeStore, week: Week, first: Week, last: Week) -> _Part:
    """What one week adds to the figures of the days from `first` to `last`."""
    part = _Part(week)
    friday_before = first.first_day - timedelta(days=1)
    slots = _looked_at(store, RIDERSHIP, week, part, lambda file, where: parquet.read(file, RIDERSHIP, where))
    if slots is not None:
        part.joins = not slots.filter(pl.col("day") < week.first_day).is_empty()
        wanted = slots.filter(pl.col("day") > friday_before, pl.col("day") <= last.last_day)
        part.slots = wanted.group_by("day", "slot").agg(pl.col(REGISTERS).sum())
        part.stations = wanted.group_by(STATION).agg(pl.col(REGISTERS).sum())
    if week > last:
        return part
    columns = (*TURNSTILE, *RULES_OF)
    intervals = _looked_at(
        store, INTERVALS, week, part, lambda file, where: parquet.read(file, INTERVALS, where, columns)
    )
    counts: dict[str, int] | None = None
    turnstiles: int | None = None
    if intervals is not None:
        counts = {}
        for column in RULES_OF:
            for rule, count in intervals[column].value_counts().iter_rows():
                counts[rule] = counts.get(rule, 0) + count
        turnstiles = intervals.select(pl.struct(TURNSTILE).n_unique()).item()
    readings, rejected = (
        _looked_at(store, table, week, part, lambda file, where, table=table: parquet.told_of(file, table, where))
        for table in (READINGS, REJECTED)
    )
    part.quality = Quality(
        counts, turnstiles, int(readings["rows"]) if readings else None, int(rejected["rows"]) if rejected else None
    )
    return part


def _looked_at(store: LakeStore, table: Table, week: Week, part: _Part, look: Callable[..., T]) -> T | None:
    """What `look` says of a week's object; None where there is none, or a damaged one, which is noted."""
    name = table.object_name(week)
    try:
        with store.open(name) as file:
            return look(file, store.uri(name))
    except FileNotFoundError:
        return None
    except CorruptObject as error:
        part.damaged.append(error.finding)
        return None
