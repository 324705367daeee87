"""The report in a real browser, wide and narrow, with no network to ask."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from mta_pipeline.domain.lake import LocalStore
from mta_pipeline.domain.weeks import NEW_YORK, Week
from mta_pipeline.report.figures import figures_of
from mta_pipeline.report.page import WeekOfLake, page
from mta_pipeline_tests.cli.terminal import MTA_PIPELINE
from mta_pipeline_tests.lake_tables import write_week
from mta_pipeline_tests.ui.visitor import SIZE, Visitor

pytestmark = pytest.mark.browser

WEEKS = [Week.parse("2024-01-06").shifted(n) for n in range(6)]
CHARTS = ("over-time", "heat-map", "weekdays", "dropped", "rejected", "turnstiles")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of six weeks, one of which has no ridership."""
    folder = tmp_path_factory.mktemp("report")
    names = [f"A STATION WITH A LONG NAME {n}" for n in range(30)]
    for week in WEEKS[:3] + WEEKS[4:]:
        write_week(folder, week, [(name, "1237ACENQRSW", "IND") for name in names])
    lake = [WeekOfLake(week, in_lake=week != WEEKS[3]) for week in WEEKS]
    path = folder / "report.html"
    path.write_text(page(figures_of(LocalStore(folder), WEEKS), lake, datetime.now(NEW_YORK)))
    return path


@contextmanager
def opened(chromium: Browser, report: Path, width: int, scheme: str = "light") -> Iterator[Page]:
    """The report before somebody; whatever it asks for besides, and says in the console, is a failure."""
    complaints: list[str] = []
    with chromium.new_context(offline=True, viewport={"width": width, "height": 800}) as context:
        page = context.new_page()
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.append(request.url))
        page.goto(report.as_uri())
        page.wait_for_selector(f"#{CHARTS[-1]} svg.main-svg")
        yield page
        assert complaints == [report.as_uri()]


@pytest.mark.parametrize("width", [1280, 390])
def test_all_charts_are_drawn_and_nothing_is_beyond_the_side(chromium: Browser, report: Path, width: int) -> None:
    with opened(chromium, report, width) as page:
        for chart in CHARTS:
            box = page.locator(f"#{chart} svg.main-svg").first.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
            assert box["height"] > 150
        assert page.locator("#over-time .scatterlayer .trace").count() == 2
        assert page.locator("#weekdays .bars .point").count() == 14
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.fixture(scope="module")
def sample_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the README's commands make of a sample feed."""
    folder = tmp_path_factory.mktemp("sample")
    subprocess.run([*MTA_PIPELINE, "sample", str(folder / "feed"), "--last", "2024-03-30"], check=True)
    settings = dict(
        line.split("=", 1) for line in (folder / "feed" / "feed.env").read_text().splitlines() if "=" in line
    )
    environment = {
        **os.environ,
        **{name.removeprefix("export "): value.strip("'\"") for name, value in settings.items()},
        "DAGSTER_HOME": str(folder / "home"),
        "MTA_LAKE_URL": str(folder / "lake"),
        "MTA_STAGING_DIR": str(folder / "staging"),
    }
    (folder / "home").mkdir()
    output = folder / "report.html"
    for command in (["backfill"], ["ridership"], ["report", "--output", str(output)]):
        name, *options = command
        subprocess.run([*MTA_PIPELINE, name, "2024-02-10", "2024-03-30", *options], env=environment, check=True)
    return output


def test_the_readmes_commands_make_a_report_of_a_sample(
    chromium: Browser, sample_report: Path, pytestconfig: pytest.Config
) -> None:
    with opened(chromium, sample_report, SIZE["width"]) as page:
        assert page.get_by_text("8 of 8").count() == 1
        assert page.get_by_text("59 ST", exact=True).count()
        Visitor(page, pytestconfig.getoption("--screenshots")).takes_picture("report")


def test_a_click_shows_entries_in_the_heat_map(chromium: Browser, report: Path) -> None:
    with opened(chromium, report, 390) as page:
        shown = page.locator("#heat-map .heatmap-label").all_text_contents()
        page.get_by_role("button", name="entries").click()
        page.wait_for_function(
            "before => document.querySelector('#heat-map .heatmap-label').textContent != before", arg=shown[0]
        )
        assert page.get_by_role("button", name="entries").get_attribute("aria-pressed") == "true"
        assert len(page.locator("#heat-map .heatmap-label").all_text_contents()) == len(shown) == 42


def test_charts_take_the_colours_of_the_night(chromium: Browser, report: Path) -> None:
    with opened(chromium, report, 1280) as page:
        line = page.locator("#over-time .scatterlayer .js-line").first

        def colour() -> str:
            return str(line.evaluate("line => getComputedStyle(line).stroke"))

        day = colour()
        page.emulate_media(color_scheme="dark")
        page.wait_for_function(
            "day => getComputedStyle(document.querySelector('#over-time .scatterlayer .js-line')).stroke != day",
            arg=day,
        )
        assert colour() == "rgb(110, 163, 255)"
