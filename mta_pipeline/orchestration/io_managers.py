"""The lake as an I/O manager: what reads or writes lake objects through Dagster goes through here.

Handles travel, contents don't: an input is a `LakeObject`, from which lines can be streamed, or a
dict of them by partition key; an output is the path of a gzip file. What an input is, its annotation
says, not how many weeks a run happens to have: `dict[str, LakeObject]` always gets a dict, be it of one
week or of none, and `LakeObject` always one handle.
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
        # Google's library takes a third of a second to import: only who has a bucket pays it. Its own client, which is
        # all that dagster-gcp's GCSResource gives: that one imports BigQuery, pandas and pyarrow, a second and 95 MB.
        from google.cloud import storage

        from mta_pipeline.domain.gcs import connect

        return connect(self.url, storage.Client)

    def load_input(self, context: dg.InputContext) -> LakeObject | dict[str, LakeObject]:
        """A handle of the week's object; where the input is annotated as a dict, handles by partition key."""
        store = self.store()
        objects = {key: LakeObject(Week.parse(key), store) for key in context.asset_partition_keys}
        wanted = context.dagster_type.typing_type
        if isinstance(wanted, type) and issubclass(wanted, LakeObject):
            if len(objects) == 1:
                return next(iter(objects.values()))
            raise dg.Failure(
                f"{context.asset_key.to_user_string()}: found {len(objects)} weeks for an input that is annotated as "
                "LakeObject; expected one. Annotate it as dict[str, LakeObject], or map its partitions one to one.",
                allow_retries=False,
            )
        return objects

    def handle_output(self, context: dg.OutputContext, obj: Path) -> None:
        """Publish the gzip file at `obj` as the object of the partition being materialized."""
        week = Week.parse(context.asset_partition_key)
        published = self.store().publish(obj, week.object_name, {"week": week.key})
        context.add_output_metadata(
            {"dagster/uri": published.uri, "compressed bytes": published.digest.size, "change": published.change.value}
        )
