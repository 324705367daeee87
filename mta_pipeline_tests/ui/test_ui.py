"""That each thing for which people come to the UI works there, in a real browser.

The year's backfill goes on by itself meanwhile: what does not need it comes first.
"""

from __future__ import annotations

import gzip
import re

import pytest
from playwright.sync_api import expect

from mta_pipeline_tests.ui.stack import LOCATION, Stack
from mta_pipeline_tests.ui.visitor import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("backfill")]

A_RUN = 90.0  # seconds, at most: the daemon begins it within some
#: What Dagster's daemon warns of when it meets an instance for the first time. Nobody can do anything about it.
FIRST_TIME = "No cursor for event type"


def test_a_week_is_materialized_from_the_page_of_its_asset(visitor: Visitor, stack: Stack) -> None:
    dialog = visitor.materialize("lake_object")
    dialog.choose(stack.single.key)
    dialog.says("1 partition")
    visitor.takes_picture("materialize")
    dialog.launch("Launch 1 run")
    visitor.sees("Success", seconds=A_RUN)
    published = (stack.feed / stack.single.file_name).read_bytes()
    assert gzip.decompress(stack.object_of(stack.single).read_bytes()) == published


def test_a_week_that_has_not_been_published_cannot_be_chosen(visitor: Visitor, stack: Stack) -> None:
    future = stack.newest.shifted(1)
    dialog = visitor.materialize("lake_object")
    dialog.choose(future.key)
    dialog.refuses(f"Could not find partition: {future.key}")
    dialog.type(f"[{stack.newest.key}...{future.key}]")
    dialog.refuses(f"Could not find partitions for provided range: {stack.newest.key}...{future.key}")


def test_the_weekly_schedule_is_turned_on_and_tells_its_next_tick(visitor: Visitor, stack: Stack) -> None:
    visitor.open(f"/locations/{LOCATION}/schedules/weekly_ingest")
    visitor.toggle("Running")
    tick = visitor.page.get_by_role("row", name="Next tick")
    expect(tick).to_contain_text("12:00:00 PM E")  # noon in New York, in summer and in winter
    doctor = stack.examine()
    assert re.search("^ok +weekly_ingest +on$", doctor, re.MULTILINE), doctor
    assert re.search("^ok +daemon +alive", doctor, re.MULTILINE), doctor
    assert re.search(f"^ok +UI +{stack.url}", doctor, re.MULTILINE), doctor
    assert re.search("^warning +late_files +off", doctor, re.MULTILINE), doctor
    visitor.toggle("Running")
    expect(tick).to_be_hidden()


def test_a_tick_of_the_schedule_is_tried_out(visitor: Visitor) -> None:
    visitor.open(f"/locations/{LOCATION}/schedules/weekly_ingest")
    visitor.click("Preview tick result")
    visitor.click("Continue")
    visitor.sees("Requested runs (1)")


def test_the_sensor_of_late_files_is_turned_on_and_ticks(visitor: Visitor) -> None:
    visitor.open(f"/locations/{LOCATION}/sensors/late_files")
    visitor.toggle("Running")
    expect(visitor.page.get_by_role("row", name="Latest tick")).to_contain_text("runs requested", timeout=90_000)
    visitor.sees("Next tick")
    visitor.toggle("Running")
    expect(visitor.page.get_by_role("row", name="Next tick")).to_be_hidden()


def test_a_tick_of_the_sensor_is_tried_out(visitor: Visitor) -> None:
    visitor.open(f"/locations/{LOCATION}/sensors/late_files")
    visitor.click("Preview tick result")
    visitor.click("Continue")
    visitor.sees_part("Requested runs (")


def test_a_year_is_green_but_for_the_damaged_week(visitor: Visitor, stack: Stack, year: str) -> None:
    visitor.open(year)
    for row in ("raw_csv", "lake_object"):
        visitor.sees(row)
    visitor.sees_twice(str(len(stack.year) - 1))
    visitor.open("/assets/lake_object?view=partitions")
    visitor.sees("Failed (1)")
    visitor.sees_part(
        re.compile(rf"Materialized \(({len(stack.year) - 1}|{len(stack.year)})\)")
    )  # or with the single one
    visitor.takes_picture("year")


@pytest.mark.usefixtures("year")
def test_the_damaged_week_says_why_it_failed(visitor: Visitor, stack: Stack) -> None:
    visitor.open(f"/assets/lake_object?view=partitions&partition={stack.damaged.key}")
    visitor.sees_part("and did not materialize this asset")
    visitor.click("View all historical events (1)")
    events = visitor.page.get_by_role("dialog").filter(has_text="Historical events")
    events.get_by_role("button", name="arrow_drop_down").click()
    expect(events).to_contain_text(f"{stack.damaged.file_name}, line")
    expect(events).to_contain_text("the file ends inside this line")
    visitor.takes_picture("why")
    events.get_by_role("button", name="OK", exact=True).click()
    visitor.page.get_by_text("View logs").click()
    visitor.sees_part("1 of 52 weeks failed")


@pytest.mark.usefixtures("year")
def test_a_check_has_figures_and_plots_and_a_verdict_on_each_week(visitor: Visitor, stack: Stack) -> None:
    visitor.open("/assets/raw_csv?view=checks&checkDetail=row_count_in_range")
    visitor.sees("Evaluation result")
    visitor.sees("fewest expected")
    expect(visitor.page.locator("canvas").first).to_be_visible()
    visitor.takes_picture("checks")
    visitor.page.get_by_role("tab", name="Partitions").last.click()
    visitor.sees("Failed (1)")
    visitor.page.get_by_placeholder("Filter by partition…").fill(stack.damaged.key)
    visitor.text(stack.damaged.key).last.click()
    visitor.sees_part("fetch it again later or from another mirror")


@pytest.mark.usefixtures("year")
def test_a_repaired_week_alone_runs_when_only_failed_and_missing_are_asked_for(visitor: Visitor, stack: Stack) -> None:
    stack.repair()
    dialog = visitor.materialize_both()
    dialog.choose(f"[{stack.year[0].key}...{stack.year[-1].key}]")
    dialog.only_failed_and_missing()
    dialog.says("1 partition")
    dialog.launch("Launch 1 run")
    visitor.sees(f"partition: {stack.damaged.key}")
    visitor.sees("Success", seconds=A_RUN)
    visitor.open("/assets/lake_object?view=partitions")
    visitor.sees("Failed (0)")
    published = (stack.feed / stack.damaged.file_name).read_bytes()
    assert gzip.decompress(stack.object_of(stack.damaged).read_bytes()) == published


@pytest.mark.usefixtures("year")
def test_a_week_tells_what_came_of_it_with_its_first_rows_as_a_table(visitor: Visitor, stack: Stack) -> None:
    visitor.open(f"/assets/lake_object?view=partitions&partition={stack.year[-1].key}")
    visitor.sees("sha256")
    table = visitor.page.get_by_role("table").filter(has_text="LINENAME").last
    expect(table).to_contain_text("59 ST")
    visitor.takes_picture("week")


@pytest.mark.usefixtures("year")
def test_the_lineage_begins_with_the_feed(visitor: Visitor) -> None:
    visitor.open("/assets/lake_object?view=lineage&lineageScope=neighbors&lineageDepth=5")
    for asset in ("turnstile_feed", "raw_csv", "lake_object"):
        visitor.sees(asset)
    visitor.takes_picture("lineage")


def test_nothing_of_all_this_brought_a_warning_onto_the_terminal(stack: Stack) -> None:
    log = stack.log.read_text()
    noise = [line for line in log.splitlines() if re.search("warn|deprecat|supersed", line, re.IGNORECASE)]
    assert not [line for line in noise if FIRST_TIME not in line]
