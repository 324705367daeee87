"""A week's way from `readings` to `ridership`: read, counted, judged, published; and what a good week is.

The week before is a source too, for each turnstile's last reading there. Where it is missing the week is made
without it, and says so. Intervals are published before ridership, and both only when every blocking check has
passed: a week that fails leaves the lake as it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mta_pipeline.domain import parquet, tabling
from mta_pipeline.domain.audit import ALWAYS_ALLOWED, Check, Figure, Verdict
from mta_pipeline.domain.errors import CorruptObject, Finding, LakeError
from mta_pipeline.domain.outcomes import failing, side_by_side
from mta_pipeline.domain.recipes import RIDERSHIP_RECIPE
from mta_pipeline.domain.stages import stage
from mta_pipeline.domain.tables import INTERVALS, READINGS, RIDERSHIP
from mta_pipeline.domain.tabling import Workshop
from mta_pipeline.domain.weeks import Week

if TYPE_CHECKING:
    import polars as pl

    from mta_pipeline.domain.ridership import Intervals, Tally

RIDERSHIP_MADE = Check(
    "ridership_made", RIDERSHIP.name, True,
    "The week's readings could be read, and its intervals and ridership were published.",
)  # fmt: skip
KEYS_UNIQUE = Check(
    "keys_unique", RIDERSHIP.name, True,
    "Each turnstile has one interval that ends at a moment, and each station one row a slot.",
)  # fmt: skip
VALUES_IN_RANGE = Check(
    "values_in_range", RIDERSHIP.name, True,
    "Intervals end in the week after they began, no count is below 0 or above what can pass a turnstile, those "
    "that are missing have a rule that says why, and slots hold exactly the people of the intervals.",
)  # fmt: skip
FEW_DROPPED = Check(
    "few_dropped", RIDERSHIP.name, False,
    "Gaps, resets and jumps, whose intervals have no count, are as rare as in good weeks. Warns only.",
)  # fmt: skip
CONTINUOUS = Check(
    "continuous_with_week_before", RIDERSHIP.name, False,
    "The week before is there, and nearly all turnstiles were read in both, so that no interval is missing where "
    "they meet. Warns only.",
)  # fmt: skip
TOTALS_NEAR_NEIGHBOURS = Check(
    "totals_near_neighbours", RIDERSHIP.name, False,
    "About as many entries and exits as the weeks beside it have in the lake. Warns only.",
)  # fmt: skip

RIDERSHIP_CHECKS = (
    RIDERSHIP_MADE, KEYS_UNIQUE, VALUES_IN_RANGE, FEW_DROPPED, CONTINUOUS, TOTALS_NEAR_NEIGHBOURS,
)  # fmt: skip

#: Of intervals, each of two registers; three times the worst of 230603, 240106, 240113 and 240120, 0.000 37.
MOST_DROPPED = 0.001
#: Of turnstiles that are read in one week only; nine times the worst of 240106 … 240120, 17 of 5,015.
MOST_IN_ONE_WEEK = 0.03
#: 240106 … 240120, with New Year and a holiday, differ by 8 %. A week without buses, trains or people is news.
NEIGHBOURS_DIFFER = 0.3

BUSIEST = 10  # stations


@dataclass
class Outcome(tabling.Outcome):
    """How a week fared, and what people want to see of it."""

    tallies: Mapping[tuple[str, str], Tally] = field(default_factory=dict)  #: by register and rule
    #: By register: people by weekday (0 is Saturday) and hour at which the slot begins.
    by_weekday: Mapping[str, Mapping[tuple[int, int], int]] = field(default_factory=dict)
    #: Stations with most people: name, lines, entries, exits.
    busiest: Sequence[tuple[str | None, str | None, int, int]] = ()


@dataclass(frozen=True)
class RidershipWay:
    """The way from `readings` to `ridership`. `first_week` is the history's: there is nothing before it."""

    shop: Workshop
    first_week: Week

    def weeks(self, weeks: Iterable[Week], workers: int = 1) -> Iterator[Outcome]:
        """The outcomes of `weeks`, each as soon as it is known; see `side_by_side`, and `ReadingsWay` for workers."""
        return side_by_side(
            weeks, self.week, lambda week, fault: Outcome(week, surprise=fault), workers, self.shop.stop
        )

    def week(self, week: Week) -> Outcome:
        """Make one week's ridership. Raises `Stopped` soon after the workshop's signal."""
        from mta_pipeline.domain.ridership import REGISTERS, busiest, by_weekday, intervals_of, last_readings, slots_of

        begin, outcome = time.monotonic(), Outcome(week)
        with failing(RIDERSHIP_MADE, outcome), stage(RIDERSHIP.name, week) as told:
            # Before the sources are read: who makes this week of newer ones meanwhile is not overwritten.
            over, over_intervals = (self.shop.look(table, week) for table in (RIDERSHIP, INTERVALS))
            before = week.shifted(-1)
            found = {of: self._readings(of, last_readings if of == before else None) for of in (before, week)}
            sources = {of: source for of, source in found.items() if source}
            if week not in sources:
                raise self._missing(week)
            outcome.sources[READINGS.name] = {of: version for of, (_, version) in sources.items()}
            made = intervals_of(sources[week][0], sources[before][0] if before in sources else None)
            slots = slots_of(week, made.rows)
            for verdict in judged(made, slots, week, self.first_week, self._neighbours(week)):
                outcome.add(verdict)
            if not outcome.failures:
                version = RIDERSHIP_RECIPE.version(week, outcome.sources)
                intervals = self.shop.store(made.rows, INTERVALS, week, version, over_intervals)
                outcome.stored = self.shop.store(slots, RIDERSHIP, week, version, over)
                outcome.figures.update({register: int(slots[register].sum()) for register in REGISTERS})
                outcome.figures.update(
                    {
                        "intervals": made.rows.height,
                        "turnstiles": made.turnstiles,
                        "stations": slots.select(RIDERSHIP.key[:3]).n_unique(),
                        "intervals are in": intervals.published.uri,
                    }
                )
                outcome.tallies = made.tallies
                outcome.by_weekday, outcome.busiest = by_weekday(slots), busiest(slots, BUSIEST)
                outcome.add(Verdict(RIDERSHIP_MADE, figures={"rows": slots.height, "intervals": made.rows.height}))
            told.update(rows=slots.height, intervals=made.rows.height, failures=len(outcome.failures))
        outcome.seconds = time.monotonic() - begin
        return outcome

    def _readings(
        self, week: Week, part: Callable[[pl.DataFrame], pl.DataFrame] | None
    ) -> tuple[pl.DataFrame, str] | None:
        """A week's readings, or that part of them, and their version; None where there are none. Raises `LakeError`."""
        name = READINGS.object_name(week)
        where = self.shop.lake.uri(name)
        try:
            with self.shop.fetched(name) as path:
                rows = parquet.read(path, READINGS, where)
                return part(rows) if part else rows, parquet.told_of(path, READINGS, where)["version"]
        except FileNotFoundError:
            return None

    def _missing(self, week: Week) -> LakeError:
        where = self.shop.lake.uri(READINGS.object_name(week))
        remedy = "Materialize readings for the week first."
        return LakeError(Finding(where=where, found="no object", expected="the week's readings", remedy=remedy))

    def _neighbours(self, week: Week) -> dict[Week, dict[str, int]]:
        """The totals that the weeks beside this one have in the lake; a damaged one counts as none."""
        from mta_pipeline.domain.ridership import REGISTERS

        totals = {}
        for other in (week.shifted(-1), week.shifted(1)):
            name = RIDERSHIP.object_name(other)
            try:
                with self.shop.fetched(name) as path:
                    slots = parquet.read(path, RIDERSHIP, self.shop.lake.uri(name))
            except (FileNotFoundError, CorruptObject):
                continue
            totals[other] = {register: int(slots[register].sum()) for register in REGISTERS}
        return totals


def judged(
    made: Intervals, slots: pl.DataFrame, week: Week, first_week: Week, neighbours: Mapping[Week, Mapping[str, int]]
) -> list[Verdict]:
    """The verdicts of all checks but `RIDERSHIP_MADE`; `neighbours` are the totals of weeks beside this one."""
    return [
        _keys_unique(made, slots, week),
        _values_in_range(made, slots, week),
        _few_dropped(made, week),
        _continuous(made, week, first_week),
        _totals_near_neighbours(slots, week, neighbours),
    ]


def _verdict(check: Check, week: Week, figures: dict[str, Figure], wrong: tuple[str, str, str] | None) -> Verdict:
    """`wrong`: what was found, what was expected, what to do."""
    if wrong is None:
        return Verdict(check, figures=figures)
    found, expected, remedy = wrong
    return Verdict(
        check, Finding(week=week, where=RIDERSHIP.name, found=found, expected=expected, remedy=remedy), figures
    )


OUR_FAULT = (
    "This is a fault of the pipeline, or of a damaged object of readings: make those again, and please report it."
)
HOLDS_NOTHING_BACK = "This holds nothing back; look at these weeks before you trust their totals."


def _keys_unique(made: Intervals, slots: pl.DataFrame, week: Week) -> Verdict:
    import polars as pl

    figures: dict[str, Figure] = {}
    for rows, table in ((made.rows, INTERVALS), (slots, RIDERSHIP)):
        # They are sorted by their key, so that equal ones lie beside each other.
        key = pl.col(table.key)
        same = rows.select(pl.all_horizontal(key.eq_missing(key.shift()))).to_series()
        figures[f"repeated keys of {table.name}"] = int(same.slice(1).sum())
    odd = [f"{count:,} {name}" for name, count in figures.items() if count]
    return _verdict(KEYS_UNIQUE, week, figures, (", ".join(odd), "each once", OUR_FAULT) if odd else None)


def _values_in_range(made: Intervals, slots: pl.DataFrame, week: Week) -> Verdict:
    import polars as pl

    from mta_pipeline.domain.ridership import DROPPED, MOST_PEOPLE, REGISTERS

    def among(rows: pl.DataFrame, wrong: pl.Expr) -> int:
        return int(rows.select(wrong.fill_null(value=False).sum()).item())

    ended, began = pl.col("ended_at"), pl.col("began_at")
    in_week = ended.is_between(pl.lit(week.start), pl.lit(week.shifted(1).start), closed="left")
    figures: dict[str, Figure] = {
        "intervals that end in another week": among(made.rows, ~in_week),
        "intervals without any length": among(made.rows, ended <= began),
        "slots of other days": among(slots, ~pl.col("day").is_in([week.shifted(-1).last_day, *week.days])),
    }
    for register in REGISTERS:
        count, rule = pl.col(register), pl.col(f"{register}_rule")
        figures[f"{register} out of range"] = among(made.rows, ~count.is_between(0, MOST_PEOPLE)) + among(
            slots, count < 0
        )
        figures[f"{register} without a count or a reason"] = among(made.rows, count.is_null() != rule.is_in(DROPPED))
        figures[f"{register} lost or made in slots"] = abs(int(made.rows[register].sum()) - int(slots[register].sum()))
    odd = [f"{count:,} {name}" for name, count in figures.items() if count]
    expected = f"intervals that end in the week, of 0 to {MOST_PEOPLE:,} people, and all of them in slots"
    return _verdict(VALUES_IN_RANGE, week, figures, (", ".join(odd), expected, OUR_FAULT) if odd else None)


def _few_dropped(made: Intervals, week: Week) -> Verdict:
    from mta_pipeline.domain.ridership import DROPPED, REGISTERS

    figures: dict[str, Figure] = {}
    for register in REGISTERS:
        for rule in DROPPED:
            tally = made.tallies[register, rule]
            figures[f"{register}, {rule}: intervals"] = tally.intervals
            figures[f"{register}, {rule}: not counted"] = tally.people
    dropped = sum(made.tallies[register, rule].intervals for register in REGISTERS for rule in DROPPED)
    of = len(REGISTERS) * made.rows.height
    figures["dropped, share"] = round(dropped / max(of, 1), 6)
    wrong = (
        f"{dropped:,} of {of:,} counts dropped (gaps, resets, jumps)",
        f"{MOST_DROPPED:.1%} at most",
        HOLDS_NOTHING_BACK,
    )
    return _verdict(FEW_DROPPED, week, figures, wrong if dropped > max(MOST_DROPPED * of, ALWAYS_ALLOWED) else None)


def _continuous(made: Intervals, week: Week, first_week: Week) -> Verdict:
    before = week.shifted(-1)
    figures: dict[str, Figure] = {
        "turnstiles": made.turnstiles,
        "turnstiles whose first interval is missing": made.begun,
    }
    if made.ended is None:
        first = week <= first_week
        figures["week before"] = (
            f"none: {first_week} is the first week of the history (MTA_FIRST_WEEK)" if first else "missing"
        )
        wrong = (
            f"no readings of week {before}: the first interval of all {made.turnstiles:,} turnstiles is missing",
            "each turnstile's last reading of the week before",
            f"Bring week {before} to the lake and make its readings, then this week again.",
        )
        return _verdict(CONTINUOUS, week, figures, None if first else wrong)
    figures["week before"] = before.key
    figures["turnstiles that were read in the week before only"] = made.ended
    most = max(MOST_IN_ONE_WEEK * made.turnstiles, ALWAYS_ALLOWED)
    wrong = (
        f"{made.begun:,} turnstiles of {made.turnstiles:,} that were not read in week {before}, and {made.ended:,} "
        "that were read there only",
        f"{MOST_IN_ONE_WEEK:.0%} at most",
        HOLDS_NOTHING_BACK,
    )
    return _verdict(CONTINUOUS, week, figures, wrong if max(made.begun, made.ended) > most else None)


def _totals_near_neighbours(slots: pl.DataFrame, week: Week, neighbours: Mapping[Week, Mapping[str, int]]) -> Verdict:
    figures: dict[str, Figure] = {}
    odd = []
    for register in ("entries", "exits"):
        total = figures[register] = int(slots[register].sum())
        for other, totals in neighbours.items():
            theirs = figures[f"{register}, {other.key}"] = totals[register]
            if abs(total - theirs) > NEIGHBOURS_DIFFER * max(total, theirs):
                odd.append(f"{total:,} {register} beside {theirs:,} of week {other}")
    wrong = (", ".join(odd), f"a difference of {NEIGHBOURS_DIFFER:.0%} at most", HOLDS_NOTHING_BACK)
    return _verdict(TOTALS_NEAR_NEIGHBOURS, week, figures, wrong if odd else None)
