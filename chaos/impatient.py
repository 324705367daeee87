"""The command line as it is, but with little patience: a campaign cannot wait a minute for each stall.

`python -m chaos.impatient backfill …` is `mta-pipeline backfill …`, and `lake_object FIRST LAST` takes
what lies in staging to the lake, as the UI does when that asset alone is materialized. Only waiting
times differ from what users run; how often is tried again, and on what, does not.
"""

from __future__ import annotations

import functools
import os
import sys

from mta_pipeline.cli.home import ensure_dagster_home
from mta_pipeline.domain import feed

PATIENCE = feed.Patience(connect=2, read=0.7, attempt=1.5, first_pause=0.01, longest_pause=0.05)
GCS_TIMEOUT = (2.0, 1.0)  # seconds to connect, and between two pieces
GCS_PATIENCE = 5.0  # seconds of trying again


def hurry() -> None:
    """Make waiting times short, in this process."""
    setattr(feed, "Patience", lambda: PATIENCE)  # noqa: B010
    if not os.environ.get("MTA_LAKE_URL", "").startswith("gs://"):
        return  # Google's libraries take a second to import
    from mta_pipeline.domain import gcs

    retry = gcs.PATIENCE.with_timeout(GCS_PATIENCE).with_delay(initial=0.05, maximum=0.2)
    setattr(gcs, "GcsStore", functools.partial(gcs.GcsStore, retry=retry, timeout=GCS_TIMEOUT))  # noqa: B010


def materialize_lake_object(first: str, last: str) -> bool:
    """One run over `lake_object` alone, from what is staged; tells whether it succeeded."""
    ensure_dagster_home()
    import dagster as dg

    from mta_pipeline.orchestration.checks import LAKE_OBJECT
    from mta_pipeline.orchestration.dagster_edges import range_tags
    from mta_pipeline.orchestration.definitions import defs

    with dg.DagsterInstance.get() as instance:
        job = defs.resolve_implicit_global_asset_job_def()
        done = job.execute_in_process(
            instance=instance, asset_selection=[LAKE_OBJECT], tags=range_tags(first, last), raise_on_error=False
        )
    return done.success


def main() -> None:
    """Run the command given by the arguments."""
    hurry()
    if sys.argv[1] == "lake_object":
        sys.exit(0 if materialize_lake_object(*sys.argv[2:]) else 1)
    from mta_pipeline.cli.main import main as mta_pipeline

    mta_pipeline()


if __name__ == "__main__":
    main()
