"""What the stages that make tables have in common: rows become objects of the lake, and an outcome tells of them.

A stage, such as `readings_way`, makes one week's rows of one table from what the lake has. Here stand the ways
into the lake and out of it, and what is told of a week's table; the orchestration tells Dagster of any such
outcome alike.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mta_pipeline import __version__
from mta_pipeline.domain import outcomes, parquet
from mta_pipeline.domain.audit import Figure
from mta_pipeline.domain.compression import BLOCK, digest, sha256_of
from mta_pipeline.domain.errors import LakeError, StagingError, Stopped, disk_errors_as
from mta_pipeline.domain.lake import LakeStore, Looked, Published, corrupt
from mta_pipeline.domain.staging import Staging
from mta_pipeline.domain.tables import Table
from mta_pipeline.domain.weeks import Week

if TYPE_CHECKING:
    import polars as pl

PREVIEW = 10  # rows


@dataclass(frozen=True)
class StoredTable:
    """A week's rows of a table, published."""

    table: Table
    published: Published
    rows: int
    sha256: str  #: of the object
    version: str  #: of the data, see `recipes`
    preview: list[dict[str, Any]]  #: the first rows


@dataclass
class Outcome(outcomes.Outcome):
    """How a week fared in a stage that makes a table. `stored` is there if it is good."""

    stored: StoredTable | None = None
    #: What it was made of.
    sources: dict[str, dict[Week | None, str]] = field(default_factory=dict)
    #: What else people want to know of it, with units in the names.
    figures: dict[str, Figure] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Workshop:
    """Where the stages work: the lake, scratch beside it, and the signal that ends their work."""

    lake: LakeStore
    staging: Staging
    stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def fetched(self, name: str) -> Iterator[Path]:
        """A copy of an object of the lake for the body. Raises `FileNotFoundError`, `LakeError`, `StagingError`."""
        with self.staging.scratch() as folder, self.lake.open(name) as source:
            path = folder / "fetched"
            with disk_errors_as(StagingError, path, "MTA_STAGING_DIR"), path.open("wb") as file:
                shutil.copyfileobj(source, file, BLOCK)
            yield path

    def look(self, table: Table, week: Week) -> Looked:
        """What the lake has of a week, to be asked before its sources are read: only that may be replaced."""
        return Looked(self.lake.stat(table.object_name(week)))

    def store(self, rows: pl.DataFrame, table: Table, week: Week, version: str, over: Looked) -> StoredTable:
        """Publish a week's rows, sorted by the table's key, over what was looked at; the same rows change nothing."""
        return self.store_as(table.object_name(week), rows, table, {"week": week.key, "version": version}, over)

    def store_as(
        self, name: str, rows: pl.DataFrame, table: Table, told: Mapping[str, str], over: Looked | None = None
    ) -> StoredTable:
        """Publish rows under a name of their own; `told` says more of them, as their "version".

        Raises `LakeError`, `StagingError`, `Stopped`.
        """
        with self.staging.scratch() as folder:
            path = folder / "made.parquet"
            with disk_errors_as(StagingError, path, "MTA_STAGING_DIR"):
                parquet.write(rows, table, path, told)
                with path.open("rb") as file:
                    wanted = digest(file)
                    file.seek(0)
                    sha256 = sha256_of(file)
            if self.stop.is_set():
                raise Stopped
            metadata = {**told, "rows": str(rows.height), "sha256": sha256, "pipeline": __version__}
            published = self.lake.publish(path, name, metadata, over)
        if published.digest != wanted:
            raise corrupt(published.uri, f"{published.digest}", f"{wanted}")
        return StoredTable(table, published, rows.height, sha256, told["version"], rows.head(PREVIEW).to_dicts())

    def rows_in_lake(self, table: Table, week: Week) -> int | None:
        """The rows that the lake has of a week; None where it has no such object. Raises `LakeError`."""
        name = table.object_name(week)
        metadata = self.lake.metadata(name)
        if metadata is None:
            return None
        if metadata.get("rows", "").isdecimal():
            return int(metadata["rows"])
        try:
            with self.lake.open(name) as file, disk_errors_as(LakeError, Path(name), "MTA_LAKE_URL"):
                return int(parquet.told_of(file, table, self.lake.uri(name))["rows"])
        except FileNotFoundError:
            return None
