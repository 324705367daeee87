"""What somebody does and sees before the UI, in their own words; what they find by role and text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Locator, Page, ViewportSize, expect

SIZE: ViewportSize = {"width": 1280, "height": 800}
SECONDS = 30.0  #: what anything may take on a busy machine, if nothing else is said


@dataclass
class Visitor:
    """A person with a page open."""

    page: Page
    pictures: Path | None = None

    def __post_init__(self) -> None:
        self.page.set_default_timeout(SECONDS * 1000)

    def open(self, path: str) -> None:
        self.page.goto(path)

    def text(self, text: str | re.Pattern[str], exact: bool = False) -> Locator:
        """What says this and can be seen: names have invisible copies, by which their widths are measured."""
        return self.page.get_by_text(text, exact=exact).filter(visible=True)

    def sees(self, text: str, seconds: float = SECONDS) -> None:
        """Wait for a text that is the whole of what some element says."""
        expect(self.text(text, exact=True).first).to_be_visible(timeout=seconds * 1000)

    def sees_part(self, text: str | re.Pattern[str], seconds: float = SECONDS) -> None:
        """Wait for a text among others."""
        expect(self.text(text).first).to_be_visible(timeout=seconds * 1000)

    def sees_twice(self, text: str, seconds: float = SECONDS) -> None:
        """Wait for a text that stands in two places."""
        expect(self.text(text, exact=True)).to_have_count(2, timeout=seconds * 1000)

    def click(self, name: str) -> None:
        self.page.get_by_role("button", name=name).click()

    def materialize(self, asset: str) -> MaterializeDialog:
        """From the asset's own page."""
        self.open(f"/assets/{asset}")
        self.page.get_by_role("button", name="Materialize…").click()
        return self._launching()

    def materialize_both(self) -> MaterializeDialog:
        """`raw_csv` with `lake_object`: one step back from the latter."""
        self.open("/assets/lake_object?view=lineage&lineageScope=upstream&lineageDepth=1")
        self.page.get_by_role("button", name="Materialize all…").click()
        return self._launching()

    def _launching(self) -> MaterializeDialog:
        launching = self.page.get_by_role("dialog").filter(has_text="Launch runs to materialize")
        sure = self.page.get_by_role("button", name="Confirm", exact=True)
        expect(launching.or_(sure).first).to_be_visible()
        if sure.is_visible():  # Dagster asks so while what is upstream was never materialized
            sure.click()
        expect(launching).to_be_visible()
        return MaterializeDialog(self.page, launching)

    def toggle(self, row: str) -> None:
        """The switch in this row of a table. (Its checkbox lies under a picture that takes the clicks.)"""
        self.page.get_by_role("row", name=row).get_by_role("checkbox").dispatch_event("click")

    def takes_picture(self, name: str) -> None:
        """For the docs, where pictures are asked for."""
        if self.pictures:
            self.page.mouse.move(0, 0)
            self.page.wait_for_load_state("networkidle")
            self.page.screenshot(path=self.pictures / f"{name}.png", animations="disabled")


@dataclass
class MaterializeDialog:
    """The dialog in which partitions are chosen."""

    page: Page
    dialog: Locator

    def choose(self, partitions: str) -> None:
        """Type partitions, of all time: the dialog begins with the last 90 days."""
        self.dialog.get_by_role("button", name="Show all partitions").click()
        self.type(partitions)

    def type(self, partitions: str) -> None:
        field = self.dialog.get_by_role("textbox").first
        field.fill(partitions)
        field.press("Enter")

    def says(self, text: str) -> None:
        expect(self.dialog.get_by_text(text, exact=True).first).to_be_visible()

    def refuses(self, text: str) -> None:
        """An error is shown, and closed; nothing can be launched."""
        error = self.page.get_by_role("dialog").filter(has_text=text)
        expect(error).to_be_visible()
        error.get_by_role("button", name="OK", exact=True).click()
        expect(error).to_be_hidden()
        self.says("0 partitions")
        expect(self.dialog.get_by_role("button", name="Launch backfill")).to_be_disabled()

    def only_failed_and_missing(self) -> None:
        self.dialog.get_by_role("checkbox", name="Backfill only failed and missing").dispatch_event("click")

    def launch(self, button: str) -> str:
        """Launch, and follow the notice to the run or backfill; returns its path."""
        self.dialog.get_by_role("button", name=button, exact=True).click()
        # In the notice, because the dialog too has a "View", of backfills that are under way.
        self.page.get_by_role("region", name="Notifications").get_by_text("View", exact=True).click()
        self.page.wait_for_url("**/runs/**")
        return urlsplit(self.page.url).path
