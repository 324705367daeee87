"""The Dagster instance that the command line and the UI share.

`DAGSTER_HOME` where it is set, otherwise `.dagster_home` in the project, with a copy of the root
`dagster.yaml` in it. (Without a home Dagster would forget every run, without that file it would
send its makers statistics.)
"""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from mta_pipeline.domain.errors import SettingsError, disk_errors_as
from mta_pipeline.domain.files import locked, whole_file
from mta_pipeline.domain.settings import PROJECT

if TYPE_CHECKING:
    from dagster import DagsterInstance


def home_of_dagster() -> Path:
    """Where the instance's folder is, or will be."""
    given = os.environ.get("DAGSTER_HOME")
    return Path(given).absolute() if given else PROJECT / ".dagster_home"


def ensure_dagster_home() -> Path:
    """Make the instance's folder, and point this process and its children at it. Raises `SettingsError`."""
    given, home = os.environ.get("DAGSTER_HOME"), home_of_dagster()
    ours, theirs = PROJECT / "dagster.yaml", home / "dagster.yaml"
    with disk_errors_as(SettingsError, home, "DAGSTER_HOME"):
        home.mkdir(parents=True, exist_ok=True)
        # A home that the user chose keeps its own file, if it has one.
        if ours.is_file() and not (given and theirs.exists()):
            content = ours.read_bytes()
            # Others (a UI that runs, say) may be reading it: they find a whole file, and mostly the one they know.
            if not theirs.is_file() or theirs.read_bytes() != content:
                with whole_file(theirs) as file:
                    file.write(content)
    os.environ["DAGSTER_HOME"] = str(home)
    return home


def open_instance() -> DagsterInstance:
    """The instance of DAGSTER_HOME, to be closed by the caller.

    Of two processes that make SQLite's tables at the same time Dagster lets one fail: here they take turns. A
    home that cannot be written holds no tables.
    """
    from dagster import DagsterInstance

    home = Path(os.environ["DAGSTER_HOME"])
    with locked(home / ".opening") if os.access(home, os.W_OK) else nullcontext():
        return DagsterInstance.get()
