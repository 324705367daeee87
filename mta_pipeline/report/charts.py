"""The charts of the report, as data for Plotly's JavaScript: traces and layouts, without colours of their own.

A colour is given as a property of the page's style (`var(--exits)`), so that page.js can draw the same chart dark and
light. No text in them comes from the data: Plotly would read some tags in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from mta_pipeline.domain.ridership import DROPPED, REGISTERS, SLOT_HOURS
from mta_pipeline.domain.weeks import Week
from mta_pipeline.report.figures import Figures, Quality

Chart = dict[str, Any]  # as Plotly takes it: data, layout

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
SLOTS = range(0, 24, SLOT_HOURS)
#: With more weeks than this a line of days is a thick band: the line is of weeks then.
MOST_WEEKS_OF_DAYS = 53


def short(count: float) -> str:
    """A count of people in three digits or so: 950, 12.3 k, 1.25 M."""
    for limit, divisor, unit in ((999.5, 1, ""), (999_500, 1_000, "k"), (999_500_000, 1_000_000, "M")):
        if abs(count) < limit:
            value = count / divisor
            digits = 0 if not unit or abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2
            return f"{value:.{digits}f}{' ' if unit else ''}{unit}"
    return f"{count / 1e9:.2f} bn"


def charts_of(figures: Figures) -> dict[str, Chart]:
    """All charts, by the id of their place in the page."""
    return {
        "over-time": over_time(figures),
        "heat-map": heat_map(figures),
        "weekdays": weekdays(figures),
        "dropped": dropped(figures.weeks, figures.quality),
        "rejected": rejected(figures.weeks, figures.quality),
        "turnstiles": turnstiles(figures.weeks, figures.quality),
    }


def of_days(figures: Figures) -> bool:
    """Whether ridership over time is shown by day, or else by week."""
    return len(figures.weeks) <= MOST_WEEKS_OF_DAYS


def over_time(figures: Figures) -> Chart:
    """Entries and exits by day, or (of many weeks) an average day of each week; lines break where days are missing."""
    first, last = figures.weeks[0].first_day, figures.weeks[-1].last_day
    calendar = pl.DataFrame({"day": pl.date_range(first, last, eager=True)})
    days = calendar.join(figures.whole_days, "day", "left", maintain_order="left")
    if not of_days(figures):
        week = pl.col("day").dt.offset_by("2d").dt.truncate("1w").dt.offset_by("-2d")  # Polars' weeks begin on Mondays
        days = days.group_by(week, maintain_order=True).agg(pl.col(REGISTERS).mean().round())
    x = [day.isoformat() for day in days["day"]]
    unit = "%{x|%a, %-d %b %Y}" if of_days(figures) else "week of %{x|%-d %b %Y}, a day"
    traces = [
        {
            "type": "scatter",
            "mode": "lines+markers" if len(x) <= 60 else "lines",
            "name": register,
            "x": x,
            "y": _numbers(days[register].to_list()),
            "line": {"color": f"var(--{register})", "width": 2.5 if len(x) <= 60 else 1.5},
            "marker": {"size": 5},
            "connectgaps": False,
            "hovertemplate": f"{unit}<br>%{{y:,.0f}} {register}<extra></extra>",
        }
        for register in reversed(REGISTERS)
    ]
    return _chart(traces, xaxis={"type": "date"}, yaxis={"rangemode": "tozero", "tickformat": "~s"}, showlegend=True)


def heat_map(figures: Figures) -> Chart:
    """Two heat maps, of which the page shows one: people by weekday and slot on an average day."""
    by = {(row["weekday"], row["slot"]): row for row in figures.hours.to_dicts()}
    traces = []
    for number, register in enumerate(reversed(REGISTERS)):
        rows = [
            [None if (day, slot) not in by else round(by[day, slot][register] or 0) for slot in SLOTS]
            for day in range(7)
        ]
        traces.append(
            {
                "type": "heatmap",
                "name": register,
                "visible": number == 0,
                "x": [f"{slot}–{slot + SLOT_HOURS}" for slot in SLOTS],
                "y": list(WEEKDAYS),
                "z": rows,
                "text": [["" if count is None else short(count) for count in row] for row in rows],
                "texttemplate": "%{text}",
                "xgap": 2,
                "ygap": 2,
                "showscale": False,
                "colorscale": [[0, "var(--heat-0)"], [0.5, "var(--heat-1)"], [1, "var(--heat-2)"]],
                "zmin": 0,
                "zmax": max((count for row in rows for count in row if count is not None), default=0) or 1,
                "hovertemplate": f"%{{y}}, %{{x}} h<br>%{{z:,}} {register} a day<extra></extra>",
            }
        )
    return _chart(
        traces,
        xaxis={"type": "category", "side": "top", "showgrid": False},
        yaxis={"type": "category", "autorange": "reversed", "showgrid": False},
        margin={"t": 28, "b": 6},
    )


def weekdays(figures: Figures) -> Chart:
    """Entries and exits of an average day, by weekday."""
    days = figures.hours.group_by("weekday").agg(pl.col(REGISTERS).sum()).to_dicts()
    by = {row["weekday"]: row for row in days}
    traces = [
        {
            "type": "bar",
            "name": register,
            "x": list(WEEKDAYS),
            "y": [round(by[day][register]) if day in by else None for day in range(7)],
            "marker": {"color": f"var(--{register})"},
            "hovertemplate": f"%{{x}}<br>%{{y:,}} {register} a day<extra></extra>",
        }
        for register in reversed(REGISTERS)
    ]
    return _chart(traces, xaxis={"type": "category"}, yaxis={"tickformat": "~s"}, showlegend=True)


def dropped(weeks: Sequence[Week], quality: Mapping[Week, Quality]) -> Chart:
    """The share of counts left out, by rule, one bar a week."""
    traces = []
    for rule in DROPPED:
        shares = [quality[week].dropped if week in quality else None for week in weeks]
        y = [round(share[rule], 7) if share else None for share in shares]
        traces.append(_bars(rule, weeks, y, f"%{{y:.3%}} of counts: {rule}", f"var(--{rule})"))
    return _chart(
        traces, xaxis=_week_axis(weeks), yaxis={"tickformat": "~%", "rangemode": "tozero"}, barmode="stack",
        showlegend=True,
    )  # fmt: skip


def rejected(weeks: Sequence[Week], quality: Mapping[Week, Quality]) -> Chart:
    """Rows of the files that are not in readings, one bar a week."""
    y = [quality[week].rejected if week in quality else None for week in weeks]
    traces = [_bars("rejected", weeks, y, "%{y:,} rows", "var(--reset)")]
    return _chart(traces, xaxis=_week_axis(weeks), yaxis={"rangemode": "tozero", "tickformat": ",~d"})


def turnstiles(weeks: Sequence[Week], quality: Mapping[Week, Quality]) -> Chart:
    """Turnstiles that were read at least twice, week by week."""
    y = [quality[week].turnstiles if week in quality else None for week in weeks]
    traces = [_bars("turnstiles", weeks, y, "%{y:,} turnstiles", "var(--gap)")]
    return _chart(traces, xaxis=_week_axis(weeks), yaxis={"rangemode": "tozero", "tickformat": ",~d"})


def _week_axis(weeks: Sequence[Week]) -> Chart:
    """An axis of weeks; of a few, each with its first day."""
    if len(weeks) > 4:
        return {"type": "date"}
    return {"type": "date", "tickvals": [week.key for week in weeks], "tickformat": "%-d %b<br>%Y"}


def _bars(name: str, weeks: Sequence[Week], y: Sequence[float | None], told: str, colour: str) -> Chart:
    return {
        "type": "bar",
        "name": name,
        "x": [week.key for week in weeks],
        "y": list(y),
        "marker": {"color": colour, "line": {"width": 0}},
        "hovertemplate": f"week of %{{x|%-d %b %Y}}<br>{told}<extra></extra>",
    }


def _numbers(values: Sequence[float | None]) -> list[int | None]:
    return [None if value is None else round(value) for value in values]


def _chart(traces: Sequence[Chart], **layout: Any) -> Chart:
    return {"data": list(traces), "layout": layout}
