"""Tables of weeks as assets: their specs, the step that makes them, and what is told of a week."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from mta_pipeline.domain.audit import Figure
from mta_pipeline.domain.errors import PipelineError
from mta_pipeline.domain.tables import Table
from mta_pipeline.domain.tabling import Outcome, StoredTable, Workshop
from mta_pipeline.orchestration.assets import OWNERS, WEEKS_PER_RUN
from mta_pipeline.orchestration.checks import TABLE_CHECKS, specs_of
from mta_pipeline.orchestration.dagster_edges import known_previews
from mta_pipeline.orchestration.io_managers import LakeIOManager
from mta_pipeline.orchestration.partitions import WEEKS
from mta_pipeline.orchestration.resources import StagingResource
from mta_pipeline.orchestration.telling import Made, Metadata


def table_spec(
    table: Table,
    *,
    deps: Sequence[dg.AssetDep | dg.AssetKey],
    group_name: str,
    automation_condition: dg.AutomationCondition[dg.AssetKey] | None = None,
    more: str = "",
    kinds: set[str] | None = None,
) -> dg.AssetSpec:
    """The asset of a table of weeks, named as the table; `more` is added to the table's own description."""
    return dg.AssetSpec(
        table.name,
        deps=deps,
        description=f"{table.description}\n\nParquet, `{table.name}/week=…/{table.name}.parquet` in the lake.{more}",
        group_name=group_name,
        kinds=kinds or {"parquet", "polars"},
        owners=OWNERS,
        metadata={"dagster/column_schema": column_schema(table)},
        skippable=True,
        automation_condition=automation_condition,
    )


def weekly_step(spec: dg.AssetSpec) -> Callable[[Callable[..., Iterator[Any]]], dg.AssetsDefinition]:
    """Decorates the step that makes the table of `spec`, any number of weeks in a run, with its checks."""
    with known_previews():
        return dg.multi_asset(
            name=f"make_{spec.key.to_python_identifier()}",
            specs=[spec],
            check_specs=specs_of(TABLE_CHECKS[spec.key.to_user_string()]),
            partitions_def=WEEKS,
            can_subset=True,
            backfill_policy=dg.BackfillPolicy.multi_run(weeks_per_run(spec.key.to_user_string())),
        )


def weeks_per_run(table: str) -> int:
    """Weeks in one run of a backfill; for each stage another number.

    Assets of one policy Dagster takes into one run, where one week that fails holds the others up (`jobs.TABLE_JOBS`).
    """
    return WEEKS_PER_RUN * (2 + list(TABLE_CHECKS).index(table))


def workshop(context: dg.AssetExecutionContext, lake: LakeIOManager, staging: StagingResource) -> Workshop:
    """Where a step works. Raises `dg.Failure` where it cannot begin."""
    if not context.selected_asset_keys:
        raise dg.Failure(
            "No asset is selected: these checks are verdicts on a week while it is made. Materialize the asset for "
            "the weeks in question, its checks come with it.",
            allow_retries=False,
        )
    try:
        return Workshop(lake.store(), staging.staging(), staging.stop)
    except PipelineError as error:
        raise dg.Failure(str(error), allow_retries=False) from error


def column_schema(table: Table) -> dg.TableSchema:
    """A table's columns with their descriptions."""
    return dg.TableSchema([dg.TableColumn(c.name, c.type, description=c.description) for c in table.columns])


def made_of(outcome: Outcome) -> Iterator[Made]:
    """What was made of a good week."""
    stored = outcome.stored
    if stored is None:
        return
    published, seconds = stored.published, outcome.seconds
    metadata: Metadata = {
        "dagster/uri": dg.MetadataValue.path(published.uri),
        "dagster/partition_row_count": dg.MetadataValue.int(stored.rows),
        "rows": dg.MetadataValue.int(stored.rows),
        "bytes": dg.MetadataValue.int(published.digest.size),
        "bytes a row": dg.MetadataValue.float(round(published.digest.size / max(stored.rows, 1), 2)),
        "seconds": dg.MetadataValue.float(round(seconds, 3)),
        "rows/s": dg.MetadataValue.int(round(stored.rows / max(seconds, 1e-6))),
        "sha256": dg.MetadataValue.text(stored.sha256),
        "change": dg.MetadataValue.text(published.change.value),
        **{name: _figure(value) for name, value in outcome.figures.items()},
        "preview": preview_of(stored),
    }
    sources: dict[dg.AssetKey, Mapping[str | None, str]] = {
        dg.AssetKey(name): {week.key if week else None: version for week, version in versions.items()}
        for name, versions in outcome.sources.items()
    }
    yield Made(dg.AssetKey(stored.table.name), stored.version, metadata, sources)


def _figure(value: Figure) -> dg.MetadataValue:
    if isinstance(value, str):
        return dg.MetadataValue.text(value)
    return dg.MetadataValue.float(value) if isinstance(value, float) else dg.MetadataValue.int(value)


def preview_of(stored: StoredTable) -> dg.MetadataValue:
    """The first rows as a table; moments and days as text."""
    records = [
        dg.TableRecord(
            {name: value if isinstance(value, (str, int, float)) else str(value or "") for name, value in row.items()}
        )
        for row in stored.preview
    ]
    return dg.MetadataValue.table(records, column_schema(stored.table))
