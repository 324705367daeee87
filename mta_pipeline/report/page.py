"""The report as one HTML page, which needs nothing beside itself.

Styles, scripts and data are inside; a content policy in its head keeps the page from asking any network for anything.
What comes from the data is escaped by the template, and in JSON here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2

from mta_pipeline import __version__
from mta_pipeline.domain.ridership import BACKWARD, DIFFERENCE, GAP, LONGEST_GAP, RESET, STATION, TOO_MANY
from mta_pipeline.domain.weeks import Week
from mta_pipeline.report.charts import charts_of, of_days, short
from mta_pipeline.report.figures import Figures

HERE = Path(__file__).parent
STATIONS = 25
MOST_LISTED = 30

#: What each rule did, for readers who have not read docs/ridership.md.
RULES = {
    DIFFERENCE: "the difference of two readings, as it should be",
    BACKWARD: "the register counts backward: its sign was turned",
    GAP: f"left out: more than {LONGEST_GAP.total_seconds() / 3600:.0f} hours between the readings",
    RESET: "left out: the register was set back",
    TOO_MANY: "left out: more people than can have passed",
}

#: The colour of a line's bullet, as on the MTA's map; dark letters on the yellow ones.
_BULLETS = {
    "123": "red", "456": "green", "7": "purple", "ACE": "blue", "BDFM": "orange", "G": "lime", "JZ": "brown",
    "L": "grey", "NQRW": "yellow", "S": "dark",
}  # fmt: skip
BULLETS = {line: colour for lines, colour in _BULLETS.items() for line in lines}


@dataclass(frozen=True)
class WeekOfLake:
    """What is known of a week: `state` is in_lake, failed or missing, as `mta-pipeline weeks` has it."""

    week: Week
    in_lake: bool
    failure: str | None = None

    def shade(self, with_ridership: bool) -> str:
        """Its class in the calendar."""
        if self.failure is not None:
            return "failed-older" if self.in_lake else "failed"
        if with_ridership:
            return "ridership"
        return "in-lake" if self.in_lake else "missing"


SHADES = {
    "ridership": "with ridership",
    "in-lake": "in the lake, no ridership yet",
    "failed": "failed, nothing in the lake",
    "failed-older": "failed, an older object in the lake",
    "missing": "missing",
}


def page(figures: Figures, lake: Sequence[WeekOfLake], now: datetime) -> str:
    """The page. `lake` are the states of `figures.weeks`, in order; `now` is when it was made."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(short=short, day=_day, number=lambda count: f"{count:,.0f}")
    without = [week for week in figures.weeks if week not in figures.with_ridership]
    shades = [state.shade(state.week in figures.with_ridership) for state in lake]
    return environment.get_template("page.html").render(
        style=_inside("page.css"),
        script=_inside("page.js"),
        plotly=(files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8"),
        charts=_json(charts_of(figures)),
        figures=figures,
        first=figures.weeks[0].first_day,
        last=figures.weeks[-1].last_day,
        of_days=of_days(figures),
        exits_an_entry=_ratio(figures.total("exits"), figures.total("entries")),
        partial=figures.days.filter(~figures.days["whole"])["day"].to_list(),
        without=without,
        spans=_spans(without),
        most_listed=MOST_LISTED,
        stations=_stations(figures),
        calendar=_calendar(lake, shades),
        shades=[(shade, told, shades.count(shade)) for shade, told in SHADES.items()],
        failed=[state for state in lake if state.failure is not None],
        missing=sum(not state.in_lake for state in lake),
        in_lake=sum(state.in_lake for state in lake),
        rules=_rules(figures.counts),
        rejected=sum(quality.rejected or 0 for quality in figures.quality.values()),
        readings=sum(quality.readings or 0 for quality in figures.quality.values()),
        now=now,
        version=__version__,
    )


def _inside(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _json(value: object) -> str:
    """JSON that can stand in a script element: no `<` ends it."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _day(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def _spans(weeks: Sequence[Week]) -> list[str]:
    """Weeks in a sentence: those that follow each other as first … last."""
    spans: list[list[Week]] = []
    for week in weeks:
        if spans and spans[-1][-1].shifted(1) == week:
            spans[-1].append(week)
        else:
            spans.append([week])
    return [span[0].key if len(span) == 1 else f"{span[0]} … {span[-1]}" for span in spans]


def _ratio(one: int, other: int) -> float | None:
    return one / other if other else None


def _stations(figures: Figures) -> list[dict[str, Any]]:
    """The busiest stations, with how wide their bars are and their share of all exits."""
    rows = figures.stations.head(STATIONS).to_dicts()
    widest = max((row["entries"] + row["exits"] for row in rows), default=0) or 1
    total = figures.total("entries") + figures.total("exits") or 1
    for row in rows:
        row["name"] = row[STATION[0]] or "(unknown)"
        row["lines"] = [(line, BULLETS.get(line, "dark")) for line in row[STATION[1]] or ""]
        row["both"] = row["entries"] + row["exits"]
        row["share"] = row["both"] / total
        row["exits_width"] = 100 * row["exits"] / widest
        row["entries_width"] = 100 * row["entries"] / widest
    return rows


def _calendar(lake: Sequence[WeekOfLake], shades: Sequence[str]) -> list[tuple[int, list[tuple[int, str, str]]]]:
    """By year: column (the first day's week of year), shade and text of each week."""
    years: dict[int, list[tuple[int, str, str]]] = {}
    for state, shade in zip(lake, shades, strict=True):
        day = state.week.first_day
        cells = years.setdefault(day.year, [])
        cells.append(((day.timetuple().tm_yday - 1) // 7, shade, f"{state.week.key}: {SHADES[shade]}"))
    return list(years.items())


def _rules(counts: Mapping[str, int]) -> list[tuple[str, str, int, float]]:
    """Rule, what it did, counts, their share; the known ones first."""
    total = sum(counts.values()) or 1
    names = [*RULES, *sorted(set(counts) - set(RULES))]
    return [(name, RULES.get(name, name), counts.get(name, 0), counts.get(name, 0) / total) for name in names]
