"""The Dagster instance that the command line and the UI share.

`DAGSTER_HOME` where it is set, otherwise `.dagster_home` in the project, with a copy of the root
`dagster.yaml` in it. (Without a home Dagster would forget every run, without that file it would
send its makers statistics.)
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from mta_pipeline.domain.settings import PROJECT


def ensure_dagster_home() -> Path:
    """Make the instance's folder, and point this process and its children at it."""
    given = os.environ.get("DAGSTER_HOME")
    home = Path(given).absolute() if given else PROJECT / ".dagster_home"
    home.mkdir(parents=True, exist_ok=True)
    ours, theirs = PROJECT / "dagster.yaml", home / "dagster.yaml"
    # A home that the user chose keeps its own file, if it has one.
    if ours.is_file() and not (given and theirs.exists()):
        shutil.copyfile(ours, theirs)
    os.environ["DAGSTER_HOME"] = str(home)
    return home
