"""The lake as an I/O manager: what reads or writes lake objects through Dagster goes through here.

Handles travel, contents don't: an input is a `LakeObject` (or, of several partitions, a dict of
them by partition key) from which lines can be streamed; an output is the path of a gzip file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from mta_pipeline.domain.compression import open_gzip
from mta_pipeline.domain.lake import LakeStore, LocalStore
from mta_pipeline.domain.weeks import Week

if TYPE_CHECKING:
    from isal import igzip


@dataclass(frozen=True)
class LakeObject:
    """A week's object in the lake."""

    week: Week
    store: LakeStore

    @property
    def uri(self) -> str:
        """Its path, or its gs:// address."""
        return self.store.uri(self.week.object_name)

    @contextmanager
    def open(self) -> Iterator[igzip.IGzipFile]:
        """Read the file as published, decompressed on the way; raises `FileNotFoundError` naming the address."""
        with self.store.open(self.week.object_name) as file, open_gzip(file) as lines:
            yield lines


class LakeIOManager(dg.ConfigurableIOManager):
    """Lake objects by week, in a folder or a bucket."""

    url: str = Field(description="A folder, or gs://bucket[/prefix]")

    def store(self) -> LakeStore:
        """The store itself, which the ingest step publishes through as `handle_output` does."""
        if not self.url.startswith("gs://"):
            return LocalStore(Path(self.url))
        # Google's libraries take a second to import: only who has a bucket pays it.
        from dagster_gcp.gcs.resources import GCSResource

        from mta_pipeline.domain.gcs import connect

        return connect(self.url, GCSResource().get_client)

    def load_input(self, context: dg.InputContext) -> LakeObject | dict[str, LakeObject]:
        """A handle of the week's object; a dict by partition key where several weeks are read."""
        store = self.store()
        objects = {key: LakeObject(Week.parse(key), store) for key in context.asset_partition_keys}
        return objects if len(objects) > 1 else next(iter(objects.values()))

    def handle_output(self, context: dg.OutputContext, obj: Path) -> None:
        """Publish the gzip file at `obj` as the object of the partition being materialized."""
        week = Week.parse(context.asset_partition_key)
        published = self.store().publish(obj, week.object_name, {"week": week.key})
        context.add_output_metadata(
            {"dagster/uri": published.uri, "compressed bytes": published.digest.size, "change": published.change.value}
        )
