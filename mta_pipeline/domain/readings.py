"""From a published file to readings: both layouts alike, typed, each moment of a turnstile once.

`readings_of` is a pure function from a file's bytes to rows and rejected rows. Its rules, in their order:

*Lines.* A line has the key fields of its layout and readings of five fields, or is rejected whole. The
header is no row. Fields are trimmed; names are in capital letters, with single blanks; the characters of
line names come in one order.

*Moments.* Files tell the time of New York's clocks, which is made a moment. In the autumn night an hour comes
twice: a reading is of its first coming, unless the file has a turnstile's time in that hour a second time, of
the same kind, or has gone on to a later time before it; then it is of the second. In the spring night an hour
is missing: who reads 2:30 has a clock that was not put forward yet, so it is 3:30. A reading of another week
is rejected.

*Duplicates.* Of several readings of a turnstile at one moment one is kept: REGULAR before RECOVR AUD before all
others, among equals the first in the file. The others are rejected; whether they show the same counters, the
reason tells.

Where bytes come from and where rows go is `tabling`'s business, and what a good week is that of `readings_way`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mta_pipeline.domain.layouts import Layout, layout_of
from mta_pipeline.domain.parquet import schema_of
from mta_pipeline.domain.tables import BOOTHS, READINGS, REJECTED
from mta_pipeline.domain.weeks import NEW_YORK, Week

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

#: Reasons for which something is rejected.
NOT_A_ROW = "not the fields of a row"
NO_MOMENT = "date and time are none"
OTHER_WEEK = "of another week"
NO_COUNTER = "a counter is no number"
REPEATED = "repeats another reading of this moment"
CONTRADICTS = "another reading of this moment, with other counters, is kept"
UNREADABLE = (NOT_A_ROW, NO_MOMENT, OTHER_WEEK, NO_COUNTER)
DUPLICATE = (REPEATED, CONTRADICTS)

#: The first of these that a moment has is kept; then come all other kinds.
PREFERENCE = ("REGULAR", "RECOVR AUD")

#: More than a week has.
MOST_SECONDS = 1 << 20


@dataclass(frozen=True)
class Readings:
    """A week's rows of `READINGS` and of `REJECTED`, each sorted by its key, and how they came about."""

    rows: pl.DataFrame
    rejected: pl.DataFrame
    lines: int  #: of the file, header aside
    turnstiles: int
    rejections: Mapping[str, int]  #: by reason; all reasons
    second_hour: int  #: readings taken for the second coming of the hour that comes twice
    missing_hour: int  #: readings in the hour that is missing, taken for the one after
    without_station: int  #: turnstiles whose station nobody knows


def readings_of(content: bytes, week: Week, booths: pl.DataFrame | None = None) -> Readings:
    """The readings in the file of `week`, and what was rejected.

    `booths` are rows of `BOOTHS`: files of the legacy layout have the stations from there, and none without it.
    Nothing that a file may hold is an error.
    """
    import polars as pl

    layout = layout_of(week)
    lines = _lines(content, layout)
    fields = lines["text"].str.split(",")
    keys, group = len(layout.keys), len(layout.reading)
    in_groups = fields.list.len().cast(pl.Int64) - keys
    fits = (in_groups > 0) & (in_groups % group == 0) & (in_groups <= group * layout.readings_per_line)
    whole, fields, count = lines["line"].filter(fits), fields.filter(fits), (in_groups // group).filter(fits)

    run, named = _turnstiles([fields.list.get(place) for place in range(keys)], booths)
    values = fields.list.slice(keys).list.explode()
    date, time, kind, entries, exits = (values.gather_every(group, place) for place in range(group))
    stamp = f"%m{layout.date_separator}%d{layout.date_separator}%{'Y' if layout.year_digits == 4 else 'y'} %H:%M:%S"
    read = pl.DataFrame(
        {
            "line": whole.repeat_by(count).list.explode(),
            "reading": pl.int_ranges(1, count + 1, eager=True).list.explode(),
            "run": run.repeat_by(count).list.explode(),
            "turnstile": named["turnstile"].gather(run).repeat_by(count).list.explode(),
            "kind": kind.str.strip_chars(),
            "wall": (date.str.strip_chars() + " " + time.str.strip_chars()).str.to_datetime(
                stamp, time_unit="us", strict=False
            ),
            "entries": entries.str.strip_chars().cast(pl.Int64, strict=False),
            "exits": exits.str.strip_chars().cast(pl.Int64, strict=False),
        }
    )
    read, second_hour, missing_hour = _with_moments(read, week)
    read = _with_reasons(read, week)
    kept, repeated = _without_duplicates(read.filter(pl.col("reason").is_null()), week)
    rejected = pl.concat(
        [
            lines.filter(~fits).select("line", reading=pl.lit(0, pl.Int64), reason=pl.lit(NOT_A_ROW)),
            read.filter(pl.col("reason").is_not_null()).select("line", "reading", "reason"),
            repeated.select("line", "reading", "reason"),
        ]
    )
    reasons = dict(rejected["reason"].value_counts().iter_rows())
    at = kept["run"]
    schema = schema_of(READINGS)
    return Readings(
        rows=kept.with_columns(named[name].gather(at) for name in named.columns if name in schema)
        .rename({"kind": "audit_kind"})
        .select(schema.names()),
        rejected=rejected.join(lines, on="line").select(schema_of(REJECTED).names()).sort(REJECTED.key),
        lines=lines.height,
        turnstiles=named["turnstile"].n_unique(),
        rejections={reason: reasons.get(reason, 0) for reason in (*UNREADABLE, *DUPLICATE)},
        second_hour=second_hour,
        missing_hour=missing_hour,
        without_station=named.filter(pl.col("station").is_null())["turnstile"].n_unique(),
    )


def _lines(content: bytes, layout: Layout) -> pl.DataFrame:
    """`line` (its number, from 1) and `text` (padding aside) of each but the header."""
    import polars as pl

    # No published file has other characters. What has them must be kept all the same.
    if not content.isascii():
        content = content.decode("utf-8", "backslashreplace").encode()
    lines = pl.read_lines(content, name="text", row_index_name="line", row_index_offset=1).select(
        pl.col("line").cast(pl.Int64), pl.col("text").str.strip_chars_end()
    )
    has_header = lines.height > 0 and lines["text"][0] == layout.header
    return lines.slice(1 if has_header else 0)


def _turnstiles(keys: list[pl.Series], booths: pl.DataFrame | None) -> tuple[pl.Series, pl.DataFrame]:
    """Of key fields line by line: which run of equal ones a line is in, and for each run its names.

    Files have the lines of a turnstile one after another, so there is one run for some fifty lines, and what is
    done for runs costs nothing. `turnstile` is the place of a run's turnstile in the order of its key.
    """
    import polars as pl

    names = ["control_area", "unit", "scp", "station", "line_names", "division"][: len(keys)]
    lines = pl.DataFrame(keys, schema=names)
    begins = lines.select(pl.any_horizontal(pl.all().ne_missing(pl.all().shift()))).to_series()
    named = normalised(lines.filter(begins))
    if "station" not in names:
        if booths is None:
            booths = pl.DataFrame(schema=schema_of(BOOTHS))
        named = named.join(booths, on=BOOTHS.key, how="left", maintain_order="left")
    turnstile = pl.struct(READINGS.key[:3]).rank("dense").cast(pl.Int64)
    return begins.cast(pl.UInt32).cum_sum() - 1, named.with_columns(turnstile=turnstile)


def normalised(named: pl.DataFrame) -> pl.DataFrame:
    """Names in capital letters, with single blanks; line names in one order; null where there is nothing."""
    import polars as pl

    named = named.with_columns(
        pl.all().str.strip_chars().str.to_uppercase().str.replace_all(r"\s+", " "),
    )
    if "line_names" in named.columns:
        letters = pl.col("line_names").str.replace_all(" ", "", literal=True).str.split("")
        named = named.with_columns(line_names=letters.list.sort().list.join(""))
    return named.with_columns(pl.when(pl.col(name) != "").then(pl.col(name)) for name in named.columns)


def _with_moments(read: pl.DataFrame, week: Week) -> tuple[pl.DataFrame, int, int]:
    """`read_at` from `wall`; and how many were taken for the hour's second coming, and for the hour after."""
    import polars as pl

    def moment(wall: pl.Expr, which: Literal["earliest", "latest"] = "earliest") -> pl.Expr:
        return wall.dt.replace_time_zone(NEW_YORK.key, ambiguous=which, non_existent="null")

    wall = pl.col("wall")
    read = read.with_columns(read_at=moment(wall))
    if week.start.utcoffset() == week.shifted(1).start.utcoffset():
        return read, 0, 0
    again = (
        read.lazy()
        .with_columns(later=moment(wall, "latest"))
        .filter(pl.col("later") != pl.col("read_at"))
        .select(
            "line",
            "reading",
            "later",
            second=(wall.cum_count().over("turnstile", "wall", "kind") > 1) | (wall < wall.cum_max().over("turnstile")),
        )
        .filter("second")
        .drop("second")
        .collect()
    )
    missing = read.select(wall.is_not_null() & pl.col("read_at").is_null()).to_series()
    read = read.join(again, on=("line", "reading"), how="left", maintain_order="left").with_columns(
        read_at=pl.coalesce("later", "read_at", moment(wall + pl.duration(hours=1)))
    )
    return read.drop("later"), again.height, int(missing.sum())


def _with_reasons(read: pl.DataFrame, week: Week) -> pl.DataFrame:
    """`reason`, for which a reading is rejected; null for most."""
    import polars as pl

    counters = pl.min_horizontal(pl.col("entries", "exits").fill_null(-1))
    in_week = pl.col("read_at").is_between(pl.lit(week.start), pl.lit(week.shifted(1).start), closed="left")
    return read.with_columns(
        reason=pl.when(pl.col("read_at").is_null())
        .then(pl.lit(NO_MOMENT))
        .when(~in_week)
        .then(pl.lit(OTHER_WEEK))
        .when(counters < 0)
        .then(pl.lit(NO_COUNTER))
    )


def _without_duplicates(read: pl.DataFrame, week: Week) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The readings sorted by turnstile and moment, each moment once; and the others, with the reason.

    `read` is in the order of the file. One number is sorted by, and only the few moments that come more than once
    are looked at closely: this is the most that a week costs.
    """
    import polars as pl

    seconds = (pl.col("read_at") - pl.lit(week.start)).dt.total_seconds()
    moment, before, after = pl.col("moment"), pl.col("moment").shift(), pl.col("moment").shift(-1)
    ordered = read.with_columns(moment=pl.col("turnstile") * MOST_SECONDS + seconds).sort("moment", maintain_order=True)
    shared = ordered.with_row_index("place").filter((moment == before) | (moment == after))
    preference = pl.col("kind").replace_strict(
        PREFERENCE, range(len(PREFERENCE)), default=len(PREFERENCE), return_dtype=pl.Int8
    )
    ranked = shared.sort("moment", preference, "place")
    first = pl.all().exclude("moment").first().over("moment", mapping_strategy="group_to_rows")
    kept = ranked.select(first)
    same = (ranked["entries"] == kept["entries"]) & (ranked["exits"] == kept["exits"])
    others = ranked.with_columns(
        reason=pl.when(same).then(pl.lit(REPEATED)).otherwise(pl.lit(CONTRADICTS)), first=kept["place"]
    ).filter(pl.col("place") != pl.col("first"))
    keep = pl.repeat(True, ordered.height, eager=True).scatter(others["place"], False)
    return ordered.filter(keep), others
