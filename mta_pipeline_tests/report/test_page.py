"""What the page and its charts promise, short of a browser."""

from __future__ import annotations

import json
import re
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

from mta_pipeline.domain.lake import LocalStore
from mta_pipeline.domain.ridership import RULES
from mta_pipeline.domain.weeks import NEW_YORK, Week
from mta_pipeline.report import page as pages
from mta_pipeline.report.charts import MOST_WEEKS_OF_DAYS, charts_of
from mta_pipeline.report.figures import Figures, figures_of
from mta_pipeline.report.page import SHADES, WeekOfLake, page
from mta_pipeline_tests.lake_tables import STATIONS, Station, write_week

FIRST = Week.parse("2024-01-06")
WEEKS = [FIRST.shifted(n) for n in range(4)]
NOW = datetime(2024, 2, 10, 12, tzinfo=NEW_YORK)
NASTY: Station = ('</script><img src=x onerror="alert(1)"> & <b>CO', "<&", '"')


def figures(folder: Path, *stations: Station) -> Figures:
    """Of four weeks, the third of which has no ridership."""
    for week in (*WEEKS[:2], WEEKS[3]):
        write_week(folder, week, [*STATIONS, *stations], joins=week != WEEKS[3])
    return figures_of(LocalStore(folder), WEEKS)


def states(failure: str | None = None) -> list[WeekOfLake]:
    return [WeekOfLake(week, in_lake=week != WEEKS[2], failure=failure if week == WEEKS[2] else None) for week in WEEKS]


class Texts(HTMLParser):
    """Elements, and texts outside scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.shown = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] not in ("script", "style"):
            self.shown += data


def without_colours(value: Any) -> Any:
    """A chart with black in the place of the style's colours, of which Plotly's Python knows nothing."""
    if isinstance(value, dict):
        return {key: without_colours(part) for key, part in value.items()}
    if isinstance(value, list):
        return [without_colours(part) for part in value]
    return "#000" if isinstance(value, str) and value.startswith("var(") else value


@pytest.mark.parametrize("name", ["over-time", "heat-map", "weekdays", "dropped", "rejected", "turnstiles"])
def test_each_chart_is_one_that_plotly_knows_in_colours_that_the_style_has(tmp_path: Path, name: str) -> None:
    chart = charts_of(figures(tmp_path))[name]
    go.Figure(without_colours(chart))  # raises for properties that do not exist
    style = (Path(pages.__file__).parent / "page.css").read_text()
    for colour in re.findall(r"var\((--[\w-]+)\)", json.dumps(chart)):
        assert style.count(f"{colour}:") >= 2, "light and dark"


def test_lines_break_where_days_are_missing(tmp_path: Path) -> None:
    exits, entries = charts_of(figures(tmp_path))["over-time"]["data"]
    assert (exits["name"], entries["name"]) == ("exits", "entries")
    missing = [day for day, people in zip(exits["x"], exits["y"], strict=True) if people is None]
    apart = {WEEKS[1].last_day, *WEEKS[2].days, WEEKS[3].first_day, WEEKS[3].last_day}
    assert missing == [day.isoformat() for day in sorted(apart)]


def test_many_weeks_are_shown_by_week_from_saturday_to_friday(tmp_path: Path) -> None:
    many = [FIRST.shifted(n) for n in range(MOST_WEEKS_OF_DAYS + 1)]
    for week in WEEKS[:3]:
        write_week(tmp_path, week)
    exits, _ = charts_of(figures_of(LocalStore(tmp_path), many))["over-time"]["data"]
    assert exits["x"] == [week.key for week in many]
    assert exits["y"][:4] == [450, 450, 450, None]


def test_the_page_says_what_is_asked_of_it(tmp_path: Path) -> None:
    shown = " ".join(Texts(page(figures(tmp_path), states(), NOW)).shown.split())
    for text in (
        "6 January 2024 – 2 February 2024",
        "Entries leave out OMNY taps.",
        "2.50 for each entry",
        "3 of 4",
        "3 in the lake, 1 missing, none failed",
        "1 of 4 weeks have no ridership",
        "2024-01-20",
        "GRD CNTRL-42 ST",
        "3 rows of the files are not among the",
        "docs/ridership.md",
        "Made 2024-02-10 12:00 EST by mta-pipeline",
    ):
        assert text in shown


def test_a_week_that_failed_is_shown_with_its_reason(tmp_path: Path) -> None:
    html = page(figures(tmp_path), states("found <nothing>; expected more."), NOW)
    assert "1 failed" in Texts(html).shown
    assert "found &lt;nothing&gt;; expected more." in html
    assert f"2024-01-20: {SHADES['failed']}" in html


def test_names_from_the_data_are_text_and_nothing_else(tmp_path: Path) -> None:
    plain = Texts(page(figures(tmp_path / "plain"), states(), NOW))
    nasty = Texts(page(figures(tmp_path / "nasty", NASTY), states(), NOW))
    assert str(NASTY[0]) in nasty.shown
    assert "img" not in nasty.tags
    assert nasty.tags.count("script") == plain.tags.count("script")


def test_the_page_names_no_address_to_load_from(tmp_path: Path) -> None:
    html = page(figures(tmp_path), states(), NOW)
    ours = re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)
    assert "default-src 'none'" in ours
    assert not re.findall(r"https?://|src=|href=|@import|url\(", ours)
    assert len(html) < 6_000_000


def test_every_rule_is_explained() -> None:
    assert set(pages.RULES) == set(RULES)
