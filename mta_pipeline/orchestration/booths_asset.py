"""The asset `remote_booths`: the MTA's list of booths, which has no weeks. Readings do without it, but then lack
the stations of files before 2014-10-18.
"""

import dagster as dg

from mta_pipeline.domain.booths import BoothsWay
from mta_pipeline.domain.errors import PipelineError
from mta_pipeline.domain.tables import BOOTHS, BOOTHS_OBJECT
from mta_pipeline.domain.tabling import Workshop
from mta_pipeline.orchestration.assets import OWNERS
from mta_pipeline.orchestration.io_managers import LakeIOManager
from mta_pipeline.orchestration.resources import BoothsResource, StagingResource
from mta_pipeline.orchestration.tables import column_schema, preview_of


@dg.asset(
    name=BOOTHS.name,
    description=f"{BOOTHS.description}\n\nFetched from `MTA_BOOTHS_URL`; Parquet, `{BOOTHS_OBJECT}` in the lake.",
    group_name="1_feed",
    kinds={"parquet"},
    owners=OWNERS,
    metadata={"dagster/column_schema": column_schema(BOOTHS)},
)
def remote_booths(
    booths: BoothsResource, lake: dg.ResourceParam[LakeIOManager], staging: StagingResource
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Fetch the list, look at it, and publish it."""
    try:
        stored = BoothsWay(booths.source(), Workshop(lake.store(), staging.staging(), staging.stop)).bring()
    except PipelineError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    return dg.MaterializeResult(
        data_version=dg.DataVersion(stored.version),
        metadata={
            "dagster/uri": dg.MetadataValue.path(stored.published.uri),
            "dagster/row_count": stored.rows,
            "rows": stored.rows,
            "change": stored.published.change.value,
            "preview": preview_of(stored),
        },
    )
