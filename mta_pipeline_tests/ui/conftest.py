"""One browser before one stack, for all tests of the UI."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from mta_pipeline_tests.ui.stack import Stack, running
from mta_pipeline_tests.ui.visitor import SIZE, Visitor

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",  # which root needs
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", type=Path, help="write the pictures of the docs into this folder")


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    # Not pytest's own folder, because pictures show it; that of a test that failed is kept.
    folder = Path(tempfile.mkdtemp(prefix="mta-"))
    with running(folder) as stack:
        yield stack
    if not list(folder.glob("*.png")):
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.fail(f"no {CHROMIUM}: apt install chromium fonts-dejavu-core")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Of a test that fails, a picture of each page that is open."""
    report = yield
    browser = item.funcargs.get("chromium") if isinstance(item, pytest.Function) else None
    if report.failed and isinstance(browser, Browser) and "stack" in getattr(item, "funcargs", {}):
        folder = item.funcargs["stack"].folder  # type: ignore[attr-defined]
        pages = [page for context in browser.contexts for page in context.pages]
        for number, page in enumerate(pages):
            path = folder / f"{item.name}-{number}.png"
            page.screenshot(path=path)
            report.sections.append(("last seen", f"{page.url} {path}"))
    return report


@pytest.fixture
def visitor(chromium: Browser, stack: Stack, pytestconfig: pytest.Config) -> Iterator[Visitor]:
    """Somebody with a browser of their own before the UI."""
    with chromium.new_context(base_url=stack.url, viewport=SIZE, timezone_id="America/New_York") as context:
        yield Visitor(context.new_page(), pytestconfig.getoption("--screenshots"))


@pytest.fixture(scope="session")
def backfill(chromium: Browser, stack: Stack, pytestconfig: pytest.Config) -> str:
    """The address of a year's backfill, which is launched and goes on by itself."""
    with chromium.new_context(base_url=stack.url, viewport=SIZE) as context:
        visitor = Visitor(context.new_page(), pytestconfig.getoption("--screenshots"))
        dialog = visitor.materialize_both()
        dialog.choose(f"[{stack.year[0].key}...{stack.year[-1].key}]")
        dialog.says(f"{len(stack.year)} partitions")
        visitor.takes_picture("materialize")
        return dialog.launch("Launch backfill")


@pytest.fixture(scope="session")
def year(chromium: Browser, stack: Stack, backfill: str) -> str:
    """The address of the year's backfill when it has ended."""
    with chromium.new_context(base_url=stack.url, viewport=SIZE) as context:
        visitor = Visitor(context.new_page())
        visitor.open(backfill)
        visitor.sees_twice("100% completed", seconds=180)
    return backfill
