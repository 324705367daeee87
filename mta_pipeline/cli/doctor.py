"""`mta-pipeline doctor`: looks at the set-up, and says what to do where something is missing.

It makes nothing: no folder, no object, no table. Where a folder is to be made, the one above it is
tried with a file that has no name; a bucket is asked what these credentials may do. The feed is asked
once, for a header. Dagster, which takes a second to import, is asked last, and only where it has been used.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

import click
import requests

from mta_pipeline import __version__
from mta_pipeline.cli.home import home_of_dagster, open_instance
from mta_pipeline.domain.arrivals import Arrivals
from mta_pipeline.domain.errors import FeedError, LakeError, PipelineError, SettingsError, StagingError, disk_errors_as
from mta_pipeline.domain.feed import Feed
from mta_pipeline.domain.settings import PROJECT, Settings, without_credentials
from mta_pipeline.domain.weeks import Week

if TYPE_CHECKING:
    from dagster import DagsterInstance

PYTHONS = ((3, 10), (3, 13))  # as pyproject.toml says
#: What should be free on a disk: a run brings 52 weeks of 33 MB to staging, the whole history some 2 GB to the lake.
ENOUGH = 2e9
#: The daemon's threads tell every 30 s that they live.
ALIVE = 120.0
AUTOMATION = ("weekly_ingest", "late_files")


class Level(Enum):
    """How bad it is, and the colour of that."""

    OK = "green"
    WARNING = "yellow"
    FAILED = "red"


@dataclass(frozen=True)
class Diagnosis:
    """What was found of one thing."""

    level: Level
    what: str
    text: str


def show() -> bool:
    """Print a line for each thing that was looked at; tells whether nothing failed."""
    good = True
    for found in diagnoses():
        good = good and found.level is not Level.FAILED
        level = click.style(f"{found.level.name.lower():8}", fg=found.level.value)
        click.echo(f"{level} {found.what:14} {found.text}")
    return good


def diagnoses() -> Iterator[Diagnosis]:
    """All that is looked at, in the order in which things depend on each other."""
    yield python()
    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        yield Diagnosis(Level.FAILED, "settings", str(error))
        return
    yield of_settings()
    home = home_of_dagster()
    yield folder("Dagster's home", home, "DAGSTER_HOME", SettingsError, settings.feed_scale)
    yield folder("staging", settings.staging_dir, "MTA_STAGING_DIR", StagingError, settings.feed_scale)
    yield lake(settings)
    yield feed(settings, datetime.now(timezone.utc))
    yield alerts(settings)
    yield ui(settings.ui_url)
    yield from automation(home)


def python() -> Diagnosis:
    """Whether this Python is one that the project is tested with."""
    version, (oldest, newest) = sys.version_info[:2], PYTHONS
    text = f"{sys.version.split()[0]}, {sys.executable}; mta-pipeline {__version__}"
    if oldest <= version <= newest:
        return Diagnosis(Level.OK, "Python", text)
    remedy = "Make the environment anew with one of these: make clean run PYTHON=python3.12"
    return Diagnosis(Level.FAILED, "Python", f"found {text}; expected 3.{oldest[1]} to 3.{newest[1]}. {remedy}")


def of_settings() -> Diagnosis:
    """Which settings are set; values are shown by the lines about what they choose."""
    names = sorted(name for name, value in os.environ.items() if name.startswith("MTA_") and value.strip())
    return Diagnosis(Level.OK, "settings", ", ".join(names) or "none is set: all have their defaults")


def folder(what: str, path: Path, setting: str, error: type[PipelineError], scale: float) -> Diagnosis:
    """Whether a folder, or the one in which it will be made, can be written, and has some room."""
    there = path
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        with disk_errors_as(error, path, setting), tempfile.TemporaryFile(dir=there) as file:
            file.write(b"0")
            file.flush()
    except PipelineError as fault:
        return Diagnosis(Level.FAILED, what, str(fault))
    free = shutil.disk_usage(there).free
    text = f"{path}, {'writable' if there == path else 'to be made'}, {free / 1e9:.1f} GB free"
    if free < ENOUGH * min(scale, 1):
        more = f"expected {ENOUGH * min(scale, 1) / 1e9:.1g} GB. Free some space, or point {setting} at a larger disk."
        return Diagnosis(Level.WARNING, what, f"{text}; {more}")
    return Diagnosis(Level.OK, what, text)


def lake(settings: Settings) -> Diagnosis:
    """Whether objects can be put into the lake."""
    if not settings.lake_url.startswith("gs://"):
        return folder("lake", Path(settings.lake_url), "MTA_LAKE_URL", LakeError, settings.feed_scale)
    from mta_pipeline.domain.gcs import GcsStore
    from mta_pipeline.orchestration.io_managers import LakeIOManager

    try:
        store = LakeIOManager(url=settings.lake_url).store()
        missing = store.missing_rights() if isinstance(store, GcsStore) else []
    except LakeError as error:
        return Diagnosis(Level.FAILED, "lake", str(error))
    if missing:
        bucket = f"gs://{urlsplit(settings.lake_url).netloc}"
        remedy = f"Grant roles/storage.objectUser on {bucket} to the account that runs the pipeline."
        text = f"{settings.lake_url}: found credentials without {', '.join(missing)}; expected them. {remedy}"
        return Diagnosis(Level.FAILED, "lake", text)
    return Diagnosis(Level.OK, "lake", f"{settings.lake_url}, the credentials may read, write and replace objects")


def feed(settings: Settings, now: datetime) -> Diagnosis:
    """Whether the feed answers, and has the newest week whose file is due."""
    url = without_credentials(settings.feed_url)
    path = Path(url2pathname(urlsplit(settings.feed_url).path))
    if settings.feed_url.startswith("file:") and not path.is_dir():
        remedy = "Correct MTA_FEED_URL; `mta-pipeline sample FOLDER` makes a feed up."
        return Diagnosis(Level.FAILED, "feed", f"{url}: found no such folder; expected weekly files. {remedy}")
    due = Arrivals(settings.first_week, settings.last_week, settings.overdue_after).due(now)
    week = due[0] if due else settings.last_week or Week.newest_published(now)
    try:
        version = Feed(settings.feed_url).published(week)
    except FeedError as error:
        return Diagnosis(Level.FAILED, "feed", str(error))
    if version is None:
        text = f"{url} answers, but has no file for the newest week, {week}: it is late, or the feed has ended."
        remedy = "Point MTA_FEED_URL at a mirror that has it, or set MTA_LAST_WEEK to the last week that there is."
        if settings.feed_url.startswith("http") and "MTA_FEED_URL" not in os.environ:
            text = f"{url}, the MTA's own address, answers, but has no file for week {week}: the MTA has retired it."
        return Diagnosis(Level.WARNING, "feed", f"{text} {remedy}")
    return Diagnosis(Level.OK, "feed", f"{url} has the newest week, {week}")


def alerts(settings: Settings) -> Diagnosis:
    """Whether somebody is told of trouble."""
    if settings.alert_urls:
        text = f"MTA_ALERT_URLS has {len(settings.alert_urls)}; `mta-pipeline alert-test` tries them"
        return Diagnosis(Level.OK, "alerts", text)
    return Diagnosis(Level.WARNING, "alerts", "MTA_ALERT_URLS is not set: nobody is told of trouble but those who look")


def ui(url: str) -> Diagnosis:
    """Whether Dagster's webserver answers where the settings say that it is."""
    try:
        with requests.Session() as session:
            # A proxy is for the world outside.
            session.trust_env = urlsplit(url).hostname not in ("127.0.0.1", "localhost")
            answer = session.get(f"{url}/server_info", timeout=3)
        version = answer.json().get("dagster_webserver_version")
    except requests.ConnectionError:
        return Diagnosis(Level.WARNING, "UI", f"nothing answers at {url}. `make ui` starts it there")
    except (requests.RequestException, ValueError, AttributeError):
        version = None
    if not version:
        remedy = (
            "Take another port: `make ui PORT=3001`, with MTA_UI_URL=http://127.0.0.1:3001 for the links of alerts."
        )
        return Diagnosis(Level.WARNING, "UI", f"{url}: found another program; expected Dagster. {remedy}")
    return Diagnosis(Level.OK, "UI", f"{url}, Dagster {version}")


def automation(home: Path) -> Iterator[Diagnosis]:
    """Whether the daemon lives, and what it has been told to do."""
    # A home that somebody else has configured may keep its tables elsewhere, in Postgres for instance.
    ours, theirs = PROJECT / "dagster.yaml", home / "dagster.yaml"
    used = (home / "history" / "runs.db").exists()
    elsewhere = theirs.is_file() and ours.is_file() and theirs.read_bytes() != ours.read_bytes()
    if not os.access(home, os.W_OK) or not (used or elsewhere):
        yield Diagnosis(
            Level.WARNING, "daemon", "has never run: schedules, sensors and backfills need it. See `make ui`"
        )
        return
    os.environ["DAGSTER_HOME"] = str(home)
    with open_instance() as instance:
        yield daemon(instance)
        running = switched_on(instance)
    for name in AUTOMATION:
        if name in running:
            yield Diagnosis(Level.OK, name, "on")
        else:
            yield Diagnosis(
                Level.WARNING, name, f"off: new weeks come only when asked for. In the UI: Automation → {name}"
            )


def daemon(instance: DagsterInstance) -> Diagnosis:
    """Whether the daemon has told lately that it lives."""
    beats = [beat.timestamp for beat in instance.get_daemon_heartbeats().values()]
    if not beats:
        text = "has never run: schedules, sensors and backfills need it. `make ui` starts it"
        return Diagnosis(Level.WARNING, "daemon", text)
    ago = time.time() - max(beats)
    if ago > ALIVE:
        last = datetime.fromtimestamp(max(beats), timezone.utc)
        text = f"does not run, last seen {last:%Y-%m-%d %H:%M} UTC: schedules, sensors and backfills wait for `make ui`"
        return Diagnosis(Level.WARNING, "daemon", text)
    return Diagnosis(Level.OK, "daemon", f"alive {ago:.0f} s ago")


def switched_on(instance: DagsterInstance) -> set[str]:
    """The schedules and sensors that were turned on."""
    return {state.instigator_name for state in instance.all_instigator_state() if state.is_running}
