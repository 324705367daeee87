"""A week's way from the lake object to `readings`: read, judged, published; and what a good week is.

The rejected rows are published before the readings, and both only when every blocking check has passed: a week
that fails leaves the lake as it was.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mta_pipeline.domain import parquet
from mta_pipeline.domain.audit import Check, Figure, Verdict
from mta_pipeline.domain.compression import damage_as_os_error, open_gzip
from mta_pipeline.domain.errors import CorruptObject, Finding, LakeError
from mta_pipeline.domain.lake import corrupt
from mta_pipeline.domain.layouts import LEGACY, layout_of
from mta_pipeline.domain.outcomes import failing, side_by_side
from mta_pipeline.domain.readings import DUPLICATE, UNREADABLE, Readings, readings_of
from mta_pipeline.domain.recipes import LAKE_OBJECT, READINGS_RECIPE
from mta_pipeline.domain.stages import stage
from mta_pipeline.domain.tables import BOOTHS, BOOTHS_OBJECT, READINGS, REJECTED
from mta_pipeline.domain.tabling import Outcome, Workshop
from mta_pipeline.domain.weeks import Week

if TYPE_CHECKING:
    import polars as pl

READINGS_MADE = Check(
    "readings_made", READINGS.name, True,
    "The week's object in the lake could be read, and its readings and rejected rows were published.",
)  # fmt: skip
KEYS_UNIQUE = Check("keys_unique", READINGS.name, True, "Each turnstile has one reading a moment.")
VALUES_IN_RANGE = Check(
    "values_in_range", READINGS.name, True,
    "Moments lie in the week, counters have no more digits than registers, and no value is missing but stations.",
)  # fmt: skip
FEW_REJECTED = Check(
    "few_rejected", READINGS.name, True,
    "Hardly a row could not be understood. Duplicates are counted, but hold nothing back.",
)  # fmt: skip
ROWS_LIKE_NEIGHBOURS = Check(
    "rows_like_neighbours", READINGS.name, False,
    "About as many readings as the weeks beside it have in the lake. Warns only.",
)  # fmt: skip
STATIONS_KNOWN = Check(
    "stations_known", READINGS.name, False,
    "Nearly all turnstiles have a station; those before 2014-10-18 by the MTA's list of booths. Warns only.",
)  # fmt: skip

READINGS_CHECKS = (
    READINGS_MADE, KEYS_UNIQUE, VALUES_IN_RANGE, FEW_REJECTED, ROWS_LIKE_NEIGHBOURS, STATIONS_KNOWN,
)  # fmt: skip

#: Of the file's lines. No audited file has one; the worst known (turnstile_120714.txt) has ten among 30,000.
MOST_UNREADABLE = 0.01
#: The four real weeks differ by 1 %; turnstiles that report more often came over months.
NEIGHBOURS_DIFFER = 0.25
#: Of turnstiles. Whole weeks since 2023 have none; the list of booths lacks 1 % of the head of 110528.
MOST_WITHOUT_STATION = 0.05


@dataclass(frozen=True)
class ReadingsWay:
    """The way from the lake's objects to `readings`."""

    shop: Workshop

    def weeks(self, weeks: Iterable[Week], workers: int = 1) -> Iterator[Outcome]:
        """The outcomes of `weeks`, each as soon as it is known; see `side_by_side`.

        One at a time, as Polars has a thread for each core itself: two take 10 % less time for twice the memory.
        """
        booths = self._booths()
        return side_by_side(
            weeks,
            lambda week: self.week(week, booths),
            lambda week, fault: Outcome(week, surprise=fault),
            workers,
            self.shop.stop,
        )

    def week(self, week: Week, booths: Booths | None) -> Outcome:
        """Make one week's readings. Raises `Stopped` soon after the workshop's signal."""
        begin, outcome = time.monotonic(), Outcome(week)
        with failing(READINGS_MADE, outcome), stage(READINGS.name, week) as told:
            # Before the source is read: who makes this week of a newer one meanwhile is not overwritten.
            over, over_rejected = (self.shop.look(table, week) for table in (READINGS, REJECTED))
            content = self._content(week)
            outcome.sources[LAKE_OBJECT] = {week: hashlib.sha256(content).hexdigest()}
            outcome.sources[BOOTHS.name] = {None: booths.version} if booths else {}
            made = readings_of(content, week, booths.rows if booths else None)
            for verdict in judged(made, week, self._neighbours(week)):
                outcome.add(verdict)
            if not outcome.failures:
                version = READINGS_RECIPE.version(week, outcome.sources)
                rejected = self.shop.store(made.rejected, REJECTED, week, version, over_rejected)
                outcome.stored = self.shop.store(made.rows, READINGS, week, version, over)
                outcome.figures.update(_figures(made), **{"rejected rows are in": rejected.published.uri})
                outcome.add(Verdict(READINGS_MADE, figures={"rows": made.rows.height, "lines": made.lines}))
            told.update(rows=made.rows.height, rejected=made.rejected.height, failures=len(outcome.failures))
        outcome.seconds = time.monotonic() - begin
        return outcome

    def _content(self, week: Week) -> bytes:
        """The published file, out of the lake."""
        name = week.object_name
        try:
            with self.shop.lake.open(name) as file, damage_as_os_error(), open_gzip(file) as lines:
                return lines.read()
        except FileNotFoundError as fault:
            remedy = "Materialize lake_object for the week first."
            raise LakeError(
                Finding(where=self.shop.lake.uri(name), found="no object", expected="the week's file", remedy=remedy)
            ) from fault
        except OSError as fault:
            raise corrupt(self.shop.lake.uri(name), str(fault)) from fault

    def _neighbours(self, week: Week) -> dict[Week, int]:
        """The rows that the weeks beside this one have in the lake; a damaged one counts as none."""
        rows = {}
        for other in (week.shifted(-1), week.shifted(1)):
            try:
                stored = self.shop.rows_in_lake(READINGS, other)
            except CorruptObject:
                stored = None
            if stored is not None:
                rows[other] = stored
        return rows

    def _booths(self) -> Booths | None:
        """The list of booths; None where the lake has none."""
        try:
            with self.shop.fetched(BOOTHS_OBJECT) as path:
                where = self.shop.lake.uri(BOOTHS_OBJECT)
                return Booths(parquet.read(path, BOOTHS, where), parquet.told_of(path, BOOTHS, where)["version"])
        except FileNotFoundError:
            return None


@dataclass(frozen=True)
class Booths:
    """The list of booths, as the lake has it."""

    rows: pl.DataFrame
    version: str


def judged(made: Readings, week: Week, neighbours: dict[Week, int]) -> list[Verdict]:
    """The verdicts of all checks but `READINGS_MADE`; `neighbours` are the rows of weeks beside this one."""
    return [
        _keys_unique(made, week),
        _values_in_range(made, week),
        _few_rejected(made, week),
        _rows_like_neighbours(made, week, neighbours),
        _stations_known(made, week),
    ]


def _verdict(check: Check, week: Week, figures: dict[str, Figure], wrong: tuple[str, str, str] | None) -> Verdict:
    """`wrong`: what was found, what was expected, what to do."""
    if wrong is None:
        return Verdict(check, figures=figures)
    found, expected, remedy = wrong
    where = f"readings of {week.file_name}"
    return Verdict(check, Finding(week=week, where=where, found=found, expected=expected, remedy=remedy), figures)


def _keys_unique(made: Readings, week: Week) -> Verdict:
    import polars as pl

    # They are sorted by their key, so that equal ones lie beside each other.
    key = pl.col(READINGS.key)
    repeated = int(made.rows.select(pl.all_horizontal(key.eq_missing(key.shift()))).to_series().sum())
    wrong = (f"{repeated:,} moments twice", "each once", "This is a fault of the pipeline: please report it.")
    return _verdict(KEYS_UNIQUE, week, {"repeated keys": repeated}, wrong if repeated else None)


def _values_in_range(made: Readings, week: Week) -> Verdict:
    import polars as pl

    rows, most = made.rows, 10 ** layout_of(week).counter_digits
    required = [name for name in rows.columns if name not in ("station", "line_names", "division")]
    figures: dict[str, Figure] = {
        "missing values": int(rows.select(pl.sum_horizontal(pl.col(required).null_count())).item()),
        "counters out of range": int(
            rows.select(pl.sum_horizontal((~pl.col("entries", "exits").is_between(0, most - 1)).sum())).item()
        ),
        "moments of other weeks": int(
            rows.select(
                (~pl.col("read_at").is_between(pl.lit(week.start), pl.lit(week.shifted(1).start), closed="left")).sum()
            ).item()
        ),
        "rows": rows.height,
    }
    odd = [f"{count:,} {name}" for name, count in figures.items() if name != "rows" and count]
    if not rows.height:
        odd = ["no reading at all"]
    wrong = (
        ", ".join(odd),
        f"readings of {week.first_day} to {week.last_day}, counters of {layout_of(week).counter_digits} digits at most",
        "Look at the lake object; fetch the week again, from another mirror if need be.",
    )
    return _verdict(VALUES_IN_RANGE, week, figures, wrong if odd else None)


def _few_rejected(made: Readings, week: Week) -> Verdict:
    figures: dict[str, Figure] = {**made.rejections}
    unreadable, duplicates = (sum(made.rejections[reason] for reason in group) for group in (UNREADABLE, DUPLICATE))
    readings = max(made.rows.height + unreadable + duplicates, 1)
    figures["unreadable rows, share"] = round(unreadable / readings, 6)
    figures["duplicates, share"] = round(duplicates / readings, 6)
    figures["rejected rows, share"] = round((unreadable + duplicates) / readings, 6)
    wrong = None
    if unreadable > MOST_UNREADABLE * readings:
        reasons = ", ".join(f"{made.rejections[reason]:,} {reason}" for reason in UNREADABLE if made.rejections[reason])
        first = made.rejected.filter(made.rejected["reason"].is_in(UNREADABLE)).row(0, named=True)
        wrong = (
            f"{unreadable:,} rows of {readings:,} that cannot be read ({reasons}); the first is line {first['line']}, "
            f"'{first['text'][:120]}'",
            f"{MOST_UNREADABLE:.0%} at most",
            "Look at the lake object; fetch the week again, from another mirror if need be.",
        )
    return _verdict(FEW_REJECTED, week, figures, wrong)


def _rows_like_neighbours(made: Readings, week: Week, neighbours: dict[Week, int]) -> Verdict:
    figures: dict[str, Figure] = {"rows": made.rows.height}
    figures.update({f"rows, {other.key}": rows for other, rows in neighbours.items()})
    odd = [
        f"{rows:,} of week {other}"
        for other, rows in neighbours.items()
        if abs(made.rows.height - rows) > NEIGHBOURS_DIFFER * rows
    ]
    wrong = (
        f"{made.rows.height:,} readings beside {' and '.join(odd)}",
        f"a difference of {NEIGHBOURS_DIFFER:.0%} at most",
        "This holds nothing back; compare the weeks before you trust their totals.",
    )
    return _verdict(ROWS_LIKE_NEIGHBOURS, week, figures, wrong if odd else None)


def _stations_known(made: Readings, week: Week) -> Verdict:
    share = made.without_station / max(made.turnstiles, 1)
    figures: dict[str, Figure] = {
        "turnstiles": made.turnstiles,
        "turnstiles without a station": made.without_station,
        "turnstiles without a station, share": round(share, 6),
    }
    wrong = (
        f"{made.without_station:,} of {made.turnstiles:,} turnstiles without a station",
        f"{MOST_WITHOUT_STATION:.0%} at most",
        "Files before 2014-10-18 name none: materialize remote_booths (MTA_BOOTHS_URL), then this week again."
        if layout_of(week) is LEGACY
        else "This holds nothing back; the file itself lacks the names.",
    )
    return _verdict(STATIONS_KNOWN, week, figures, wrong if share > MOST_WITHOUT_STATION else None)


def _figures(made: Readings) -> dict[str, Figure]:
    return {
        "turnstiles": made.turnstiles,
        "rejected rows": made.rejected.height,
        "readings of the hour that came twice, taken for the second": made.second_hour,
        "readings of the missing hour, taken for the hour after": made.missing_hour,
        "turnstiles without a station": made.without_station,
    }
