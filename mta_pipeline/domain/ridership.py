"""Entries and exits, from what two cumulative registers of each turnstile showed: the one written rule.

`intervals_of` makes a row of each two consecutive readings, and a tally of what was counted, corrected and
left out; `slots_of` spreads these over the clock and sums them by station. All of it is integers, and no order of
rows matters. Why the rule is as it is, and how others count, says docs/ridership.md; where readings
come from, where rows go, and what a good week is, `ridership_way`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta

import polars as pl

from mta_pipeline.domain.parquet import schema_of
from mta_pipeline.domain.scan import JUMP
from mta_pipeline.domain.tables import INTERVALS, READINGS, RIDERSHIP
from mta_pipeline.domain.weeks import NEW_YORK, Week

#: A longer interval tells how many people came, but not when. Others draw the line at 24 to 96 hours; up
#: to here a count is at most a day out of place. Of the intervals of 240106 … 240120 0.014 % are longer.
LONGEST_GAP = timedelta(hours=24)

#: Nobody passes a turnstile faster for long than one person in two seconds: 7,200 in four hours, where others
#: drop or cap too. In 240106 … 240120, 1.5 million steps, the fastest real one is one person in 2.96 seconds
#: (27 in 80 s), the slowest unreal one two persons a second; nothing lies in between.
SECONDS_A_PERSON = 2
#: The shortest regular interval. A shorter one is taken for as long: a few people at once are no jump.
SHORTEST_INTERVAL = timedelta(minutes=15)
#: More than this is a jump however long it took, up to `LONGEST_GAP`; the most of a whole day there is 7,865.
MOST_PEOPLE = JUMP

#: A register counts backward if at least so many of its steps in the week do, and more than count forward.
#: One or two may be resets; of the registers that do count backward the stillest made three steps in a week.
FEWEST_BACKWARD = 3

SLOT_HOURS = 4

REGISTERS = ("entries", "exits")

#: The rules by which an interval's count of one register comes about. The first three leave it null; of
#: those the first that fits is the one.
GAP = "gap"  # readings are further apart than `LONGEST_GAP`
RESET = "reset"  # against the register's direction: set anew, and what came meanwhile is not told
TOO_MANY = "jump"  # more than can have come in that time: set anew, too
BACKWARD = "backward"  # a register that counts backward: the difference, its sign turned
DIFFERENCE = "difference"  # the difference
DROPPED = (GAP, RESET, TOO_MANY)
RULES = (DIFFERENCE, BACKWARD, *DROPPED)

TURNSTILE = READINGS.key[:3]
STATION = RIDERSHIP.key[:3]


@dataclass(frozen=True)
class Tally:
    """What one rule did with one register of all turnstiles in a week."""

    intervals: int
    people: int  #: that were counted; of the rules that drop, what registers moved by `MOST_PEOPLE` at most


@dataclass(frozen=True)
class Intervals:
    """A week's rows of `INTERVALS`, sorted by its key, and how they came about."""

    rows: pl.DataFrame
    tallies: Mapping[tuple[str, str], Tally]  #: by register and rule; all of them
    turnstiles: int
    begun: int  #: turnstiles that were not read in the week before: their first interval is missing
    ended: int | None  #: turnstiles that were read in the week before only; None without that week


def intervals_of(readings: pl.DataFrame, before: pl.DataFrame | None) -> Intervals:
    """What a week's readings, and those of the week before it (None: there are none), tell of people.

    Both are rows of `READINGS` with unique keys, in any order; of `before` only turnstile, moment and counters
    are looked at. A turnstile that was not read in the week before begins anew.
    """
    last = last_readings(readings.clear() if before is None else before)
    rows, earlier = _in_order(readings, last)
    for register in REGISTERS:
        rows = _with_rule(rows, register)
    steps = rows.filter(pl.col("began_at").is_not_null()).rename({"read_at": "ended_at"})
    begun = earlier["read_at"].null_count()
    return Intervals(
        rows=steps.select(schema_of(INTERVALS).names()),
        tallies=_tallies(steps),
        turnstiles=earlier.height,
        begun=begun,
        ended=None if before is None else last.height - (earlier.height - begun),
    )


def last_readings(readings: pl.DataFrame) -> pl.DataFrame:
    """The last reading of each turnstile: all that the week after needs of a week."""
    rows = readings.select(*TURNSTILE, "read_at", *REGISTERS).sort(*TURNSTILE, "read_at")
    return rows.filter(~_same_turnstile(-1))


def _same_turnstile(rows_before: int) -> pl.Expr:
    """Whether the row so many rows before is of the same turnstile, in rows that are in order."""
    same = (pl.col(name) == pl.col(name).shift(rows_before) for name in TURNSTILE)
    return pl.all_horizontal(*same).fill_null(value=False)


def _in_order(readings: pl.DataFrame, last: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The readings in the order of their key, each with what leads to it, and a row a turnstile from `last`.

    New are `turnstile`, the row of the second frame; `began_at`, the moment of the reading before, be it in the week or
    in `last`; and, from there to here, `seconds`, `entries_step` and `exits_step`. They are null where there is
    none.
    """
    rows = readings.sort(*TURNSTILE, "read_at").with_columns(follows=_same_turnstile(1))
    rows = rows.with_columns(turnstile=(~pl.col("follows")).cum_sum() - 1)
    earlier = rows.filter(~pl.col("follows")).select(TURNSTILE).join(last, TURNSTILE, "left", maintain_order="left")

    def before(name: str) -> pl.Expr:
        of_last_week = pl.lit(earlier[name]).gather(pl.col("turnstile"))
        return pl.when("follows").then(pl.col(name).shift()).otherwise(of_last_week)

    rows = rows.with_columns(
        began_at=before("read_at"),
        entries_step=pl.col("entries") - before("entries"),
        exits_step=pl.col("exits") - before("exits"),
    )
    return rows.with_columns(seconds=(pl.col("read_at") - pl.col("began_at")).dt.total_seconds()), earlier


def _with_rule(rows: pl.DataFrame, register: str) -> pl.DataFrame:
    """`register` as people in the place of what it showed, and the rule by which."""
    step, seconds = pl.col(f"{register}_step"), pl.col("seconds")
    backs, forths = (step < 0).sum(), (step > 0).sum()
    turnstiles = rows.group_by("turnstile", maintain_order=True).agg(
        backward=(backs >= FEWEST_BACKWARD) & (backs > forths)
    )
    backward = pl.lit(turnstiles["backward"]).gather(pl.col("turnstile"))
    people = pl.when(backward).then(-step).otherwise(step)
    longest, shortest = (int(length.total_seconds()) for length in (LONGEST_GAP, SHORTEST_INTERVAL))
    rule = (
        pl.when(seconds > longest).then(pl.lit(GAP))
        .when(people < 0).then(pl.lit(RESET))
        .when((people > MOST_PEOPLE) | (people * SECONDS_A_PERSON > seconds.clip(shortest))).then(pl.lit(TOO_MANY))
        .when(backward).then(pl.lit(BACKWARD))
        .otherwise(pl.lit(DIFFERENCE))
    )  # fmt: skip
    return rows.with_columns(rule.alias(f"{register}_rule")).with_columns(
        pl.when(~pl.col(f"{register}_rule").is_in(DROPPED)).then(people).alias(register)
    )


def _tallies(steps: pl.DataFrame) -> Mapping[tuple[str, str], Tally]:
    """What each rule did, from rows with steps and rules."""
    tallies = {(register, rule): Tally(0, 0) for register in REGISTERS for rule in RULES}
    for register in REGISTERS:
        moved = pl.col(f"{register}_step").abs()
        figures = steps.group_by(f"{register}_rule").agg(pl.len(), moved.filter(moved <= MOST_PEOPLE).sum())
        for rule, intervals, people in figures.iter_rows():
            tallies[register, rule] = Tally(intervals, people)
    return tallies


def slots_of(week: Week, intervals: pl.DataFrame) -> pl.DataFrame:
    """Rows of `RIDERSHIP`: the counts of `intervals`, all ending in `week`, spread over the clock, by station.

    Of an interval's count the part that came until a moment is in proportion to time, in whole people, rounded
    down; a slot has what came until its end, less what came until its begin, so that none is lost and none made.
    A slot without any count is null, and has no row where no interval with a count touches it.
    """
    begins = _slot_begins(week)
    edges = pl.Series([int(moment.timestamp()) for moment in begins])
    counts = intervals.filter(pl.any_horizontal(pl.col(REGISTERS).is_not_null())).select(
        *STATION, *REGISTERS, begin=pl.col("began_at").dt.epoch("s"), end=pl.col("ended_at").dt.epoch("s")
    )
    first = edges.search_sorted(counts["begin"], side="right").cast(pl.Int64) - 1
    after_last = edges.search_sorted(counts["end"], side="left").cast(pl.Int64)
    parts = counts.with_columns(slot=pl.int_ranges(first, after_last, eager=True)).explode("slot")
    since = pl.max_horizontal("begin", pl.lit(edges).gather(pl.col("slot"))) - pl.col("begin")
    until = pl.min_horizontal("end", pl.lit(edges).gather(pl.col("slot") + 1)) - pl.col("begin")
    length = pl.col("end") - pl.col("begin")
    clock = pl.DataFrame({"day": [moment.date() for moment in begins], "slot": [moment.hour for moment in begins]})
    return (
        parts.with_columns((pl.col(name) * until // length - pl.col(name) * since // length) for name in REGISTERS)
        .group_by(*STATION, "slot")
        .agg(pl.when(pl.col(name).count() > 0).then(pl.col(name).sum()) for name in REGISTERS)
        .with_columns(pl.lit(clock[name]).gather(pl.col("slot")).alias(name) for name in clock.columns)
        .select(schema_of(RIDERSHIP).names())
        .cast(schema_of(RIDERSHIP))
        .sort(RIDERSHIP.key)
    )


def _slot_begins(week: Week) -> list[datetime]:
    """Where slots begin in the week and the one before, and where the last one ends.

    New York's clocks change at two in the morning, so that a day's first slot may have three or five hours.
    """
    days = (*week.shifted(-1).days, *week.days)
    begins = [datetime.combine(day, time(hour), NEW_YORK) for day in days for hour in range(0, 24, SLOT_HOURS)]
    return [*begins, week.shifted(1).start]


def by_weekday(slots: pl.DataFrame) -> dict[str, dict[tuple[int, int], int]]:
    """By register: people by weekday, 0 a Saturday, and slot.

    The rows of the Friday before count as Friday's, whose last ones the week after brings: so it is a whole week.
    """
    day = (pl.col("day").dt.weekday() + 1) % 7  # Polars has 6 for Saturday
    sums = slots.group_by(day.alias("weekday"), "slot").agg(pl.col(REGISTERS).sum())
    return {
        register: {(day, slot): people for day, slot, people in sums.select("weekday", "slot", register).iter_rows()}
        for register in REGISTERS
    }


def busiest(slots: pl.DataFrame, most: int) -> list[tuple[str | None, str | None, int, int]]:
    """The stations with most people, at most so many: name, line names, entries, exits."""
    sums = slots.group_by(STATION).agg(pl.col(REGISTERS).sum())
    order = sums.sort(-pl.sum_horizontal(REGISTERS), *STATION)
    return list(order.head(most).select("station", "line_names", *REGISTERS).iter_rows())
