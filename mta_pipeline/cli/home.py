"""The Dagster instance that the command line and the UI share.

`DAGSTER_HOME` where it is set; otherwise `.dagster_home` in the project, with a copy of the root
`dagster.yaml` in it. (Without a home Dagster would forget every run.)
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from mta_pipeline.domain.settings import PROJECT


def ensure_dagster_home() -> Path:
    """Make the instance's folder, and point this process and its children at it."""
    given = os.environ.get("DAGSTER_HOME")
    if given:
        return Path(given)
    home = PROJECT / ".dagster_home"
    home.mkdir(exist_ok=True)
    if (PROJECT / "dagster.yaml").is_file():
        shutil.copyfile(PROJECT / "dagster.yaml", home / "dagster.yaml")
    os.environ["DAGSTER_HOME"] = str(home)
    return home
