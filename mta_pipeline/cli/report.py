"""`mta-pipeline report`: the page of pictures, over what the lake and Dagster's record say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from mta_pipeline.cli.calendar import states_of
from mta_pipeline.domain.errors import LakeError, disk_errors_as
from mta_pipeline.domain.files import whole_file
from mta_pipeline.domain.settings import Settings
from mta_pipeline.domain.weeks import NEW_YORK, Week
from mta_pipeline.orchestration.io_managers import LakeIOManager
from mta_pipeline.report.figures import figures_of
from mta_pipeline.report.page import WeekOfLake, page


def write(weeks: Sequence[Week], settings: Settings, output: Path) -> None:
    """Write the report of `weeks` to `output`, whole or not at all. Raises `NothingToReport`, `LakeError`."""
    store = LakeIOManager(url=settings.lake_url).store()
    figures = figures_of(store, weeks)
    lake = [WeekOfLake(state.week, state.in_lake, state.failure) for state in states_of(weeks, store)]
    text = page(figures, lake, datetime.now(NEW_YORK))
    with disk_errors_as(LakeError, output, "--output"), whole_file(output) as file:
        file.write(text.encode())
