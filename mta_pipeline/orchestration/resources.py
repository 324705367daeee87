"""The feed and the staging folder, as Dagster resources: configuration only, the domain does the work."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TypeVar

import dagster as dg
from pydantic import Field, PrivateAttr

from mta_pipeline.domain.feed import Feed
from mta_pipeline.domain.settings import usable_url
from mta_pipeline.domain.staging import Staging

T = TypeVar("T")


class _Working(dg.ConfigurableResource[T]):
    """A resource with which a run works, and whose signal ends that work."""

    _stop: threading.Event = PrivateAttr(default_factory=threading.Event)

    @property
    def stop(self) -> threading.Event:
        """The signal that ends all work; set when the run ends, however it ends."""
        return self._stop

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002
        """An interruption that hits Dagster's own code leaves our generators hanging, with their threads."""
        self._stop.set()


class FeedResource(_Working[Feed]):
    """Where weekly files come from."""

    url: str = Field(description="Folder that holds turnstile_YYMMDD.txt: http(s)://… or file://…")
    scale: float = Field(default=1.0, description="Size of its files beside the MTA's; below 1 for samples")

    def feed(self) -> Feed:
        """The domain's feed."""
        return Feed(usable_url("MTA_FEED_URL", self.url.strip()))


class StagingResource(_Working[Staging]):
    """Where raw files wait."""

    folder: str = Field(description="A local folder")

    def staging(self) -> Staging:
        """The domain's staging folder."""
        return Staging(Path(self.folder))


class BoothsResource(_Working[Feed]):
    """Where the MTA's list of booths comes from."""

    url: str = Field(description="Remote-Booth-Station, .xls or .csv: http(s)://… or file://…")

    def source(self) -> Feed:
        """It is fetched as the files of a feed are."""
        return Feed(usable_url("MTA_BOOTHS_URL", self.url.strip()))
