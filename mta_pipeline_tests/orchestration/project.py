"""A whole project of a test's own: a feed of small sample weeks, a lake, a Dagster instance."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg

from mta_pipeline.domain.sample import BOOTHS_FILE, write_week
from mta_pipeline.domain.settings import Settings
from mta_pipeline.domain.weeks import Week
from mta_pipeline.orchestration.dagster_edges import range_tags
from mta_pipeline.orchestration.definitions import build_definitions, build_resources
from mta_pipeline.orchestration.io_managers import LakeIOManager
from mta_pipeline.orchestration.jobs import INGEST_JOB, TABLE_JOBS

ROWS = 300
SCALE = ROWS / 250_000

OLDEST = Week(date(2023, 12, 30))
MIDDLE = OLDEST.shifted(1)
NEWEST = OLDEST.shifted(2)
THREE_WEEKS = (OLDEST, MIDDLE, NEWEST)


@dataclass
class Project:
    """The project's definitions over folders of a test's own."""

    folder: Path
    instance: dg.DagsterInstance
    lake_url: str

    @property
    def feed(self) -> Path:
        return self.folder / "feed"

    @property
    def lake(self) -> LakeIOManager:
        return LakeIOManager(url=self.lake_url)

    @property
    def staging(self) -> Path:
        return self.folder / "staging"

    @property
    def environment(self) -> dict[str, str]:
        """The settings, as environment variables."""
        return {
            "MTA_FEED_URL": self.feed.as_uri(),
            "MTA_BOOTHS_URL": (self.feed / BOOTHS_FILE).as_uri(),
            "MTA_FEED_SCALE": str(SCALE),
            "MTA_LAKE_URL": self.lake_url,
            "MTA_STAGING_DIR": str(self.staging),
        }

    @property
    def definitions(self) -> dg.Definitions:
        return build_definitions(build_resources(Settings.from_environment(self.environment)))

    def publish_feed(self, weeks: Iterable[Week]) -> None:
        """Put sample weeks into the feed."""
        self.feed.mkdir(exist_ok=True)
        for week in weeks:
            write_week(week, self.feed, rows=ROWS)

    def file(self, week: Week) -> Path:
        """The week's file in the feed."""
        return self.feed / week.file_name

    def address(self, week: Week) -> str:
        """Where the week's object is, or would be."""
        return f"{self.lake_url}/{week.object_name}"

    def stored(self, week: Week) -> bytes | None:
        """The week's object in the lake, byte for byte."""
        try:
            with self.lake.store().open(week.object_name) as file:
                return file.read()
        except FileNotFoundError:
            return None

    def unpacked(self, week: Week) -> bytes:
        """What the week's object holds."""
        return gzip.decompress(self.stored(week) or b"")

    def damage(self, week: Week) -> bytes:
        """Cut the week's file inside its last counter; returns what it was."""
        good = self.file(week).read_bytes()
        self.file(week).write_bytes(good[: len(good.rstrip()) - 2])
        return good

    def ingest(
        self, first: Week, last: Week | None = None, only: Sequence[dg.AssetKey] = ()
    ) -> dg.ExecuteInProcessResult:
        """Run the ingest job over a range of weeks; failing runs come back as they are."""
        return self.definitions.resolve_job_def(INGEST_JOB.name).execute_in_process(
            instance=self.instance,
            tags=range_tags(first.key, (last or first).key),
            asset_selection=list(only) or None,
            raise_on_error=False,
        )

    def make(self, table: str, first: Week, last: Week | None = None) -> dg.ExecuteInProcessResult:
        """Run the job that makes a table over a range of weeks; failing runs come back as they are."""
        return self.definitions.resolve_job_def(TABLE_JOBS[table].name).execute_in_process(
            instance=self.instance, tags=range_tags(first.key, (last or first).key), raise_on_error=False
        )

    def make_tables(self, first: Week, last: Week | None = None) -> dg.ExecuteInProcessResult:
        """Make all tables, one after another; what comes back is of the last."""
        *_, last_run = [self.make(table, first, last) for table in TABLE_JOBS]
        return last_run


def materialized(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], dg.AssetMaterialization]:
    """The run's materializations by asset and partition."""
    return {
        (event.asset_key.to_user_string(), event.partition or ""): event.step_materialization_data.materialization
        for event in result.all_events
        if event.is_step_materialization and event.asset_key
    }


def evaluated(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], dg.AssetCheckEvaluation]:
    """The run's check evaluations by check and partition."""
    return {
        (evaluation.check_name, evaluation.partition or ""): evaluation
        for evaluation in result.get_asset_check_evaluations()
    }
