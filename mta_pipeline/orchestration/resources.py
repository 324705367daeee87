"""The feed and the staging folder, as Dagster resources: configuration only, the domain does the work."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
from pydantic import Field

from mta_pipeline.domain.feed import Feed
from mta_pipeline.domain.staging import Staging


class FeedResource(dg.ConfigurableResource[Feed]):
    """Where weekly files come from."""

    url: str = Field(description="Folder that holds turnstile_YYMMDD.txt: http(s)://… or file://…")
    scale: float = Field(default=1.0, description="Size of its files beside the MTA's; below 1 for samples")

    def feed(self) -> Feed:
        """The domain's feed."""
        return Feed(self.url)


class StagingResource(dg.ConfigurableResource[Staging]):
    """Where raw files wait."""

    folder: str = Field(description="A local folder")

    def staging(self) -> Staging:
        """The domain's staging folder."""
        return Staging(Path(self.folder))
