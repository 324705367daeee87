"""The assets, and the step that materializes them: any number of weeks in a run, each standing alone.

`ingest` is the heart of the project; how its weeks are told to Dagster, `telling` says.
"""

from collections.abc import Iterator

import dagster as dg

from mta_pipeline.domain.errors import PipelineError
from mta_pipeline.domain.ingest import Ingest
from mta_pipeline.domain.weeks import Week
from mta_pipeline.orchestration.checks import CHECK_SPECS, LAKE_OBJECT, RAW_CSV
from mta_pipeline.orchestration.dagster_edges import known_previews
from mta_pipeline.orchestration.events import column_schema, made_of
from mta_pipeline.orchestration.io_managers import LakeIOManager
from mta_pipeline.orchestration.partitions import SETTINGS, WEEKS
from mta_pipeline.orchestration.resources import FeedResource, StagingResource
from mta_pipeline.orchestration.telling import Event, tell

#: Weeks in one run of a backfill. A run costs some seconds to start, a week a fifth of one.
WEEKS_PER_RUN = 52
#: However many runs there are, only as many of their steps ask the feed at once as this pool has places
#: (dagster.yaml); each has `WORKERS` downloads under way at most.
FEED_POOL = "mta_feed"
OWNERS = ["team:data-engineering"]
# Groups are listed by name: numbers keep those in the order of the data's way that would not stand so by themselves.

TURNSTILE_FEED = dg.AssetSpec(
    "turnstile_feed",
    description=(
        "The weekly files of the subway's turnstiles as the MTA published them from 2010 to 2024, each on the Saturday "
        "after its week (`MTA_FEED_URL`).\n\nNothing is materialized here: the files are the MTA's, or a mirror's. "
        "The MTA told of them on [its own page](http://web.mta.info/developers/turnstile.html); the readings of 2014 "
        "to 2022 are also [at data.ny.gov](https://data.ny.gov/d/k7j9-jnct), in years."
    ),
    group_name="1_feed",
    kinds={"csv"},
    owners=OWNERS,
)

ASSETS = [
    dg.AssetSpec(
        RAW_CSV,
        deps=[TURNSTILE_FEED.key],
        description=(
            "A week's turnstile readings, byte for byte as published, audited, in the staging folder "
            "(`MTA_STAGING_DIR`), from which they are swept after two weeks.\n\n"
            "ENTRIES and EXITS are cumulative registers of each turnstile: riders are the differences of "
            "consecutive readings. Entries leave out OMNY taps.\n\nA red week failed one of the blocking checks: "
            "*Checks* → the red one → *Partitions* → the week says why, and what to do. The file itself is in "
            "`rejected/` in that folder."
        ),
        group_name="2_staging",
        kinds={"csv", "file"},
        owners=OWNERS,
        metadata={"dagster/column_schema": column_schema()},
        skippable=True,
    ),
    dg.AssetSpec(
        LAKE_OBJECT,
        deps=[RAW_CSV],
        description=(
            "The same bytes as `raw_csv`, gzipped, one object a week: `turnstile/turnstile_YYMMDD.csv.gz`, "
            "named after the Saturday of release, in the lake (`MTA_LAKE_URL`).\n\n"
            "An object appears whole or not at all, only after its audit, and the same bytes always give the same "
            "object. A week that fails leaves what was there.\n\n"
            "Read one with `pandas.read_csv`, DuckDB's `read_csv`, or `zcat`."
        ),
        group_name="3_lake",
        kinds={"csv", "gcs" if SETTINGS.lake_url.startswith("gs://") else "file"},
        owners=OWNERS,
        metadata={"dagster/column_schema": column_schema()},
        skippable=True,
    ).with_io_manager_key("lake"),
]

with known_previews():

    @dg.multi_asset(
        specs=ASSETS,
        check_specs=CHECK_SPECS,
        partitions_def=WEEKS,
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.multi_run(WEEKS_PER_RUN),
        pool=FEED_POOL,
    )
    def ingest(
        context: dg.AssetExecutionContext,
        feed: FeedResource,
        staging: StagingResource,
        lake: dg.ResourceParam[LakeIOManager],
    ) -> Iterator[Event]:
        """Bring weeks from the feed through audit and staging into the lake."""
        if not context.selected_asset_keys:
            raise dg.Failure(
                "No asset is selected: these checks are verdicts on a week while it is brought to the lake. "
                "Materialize raw_csv or lake_object for the weeks in question, their checks come with them.",
                allow_retries=False,
            )
        try:
            way = Ingest(feed.feed(), staging.staging(), lake.store(), feed.scale, feed.stop)
        except PipelineError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        weeks = [Week.parse(key) for key in context.partition_keys]
        fetch, publish = (asset in context.selected_asset_keys for asset in (RAW_CSV, LAKE_OBJECT))
        yield from tell(context, way.weeks(weeks, fetch, publish), made_of)
