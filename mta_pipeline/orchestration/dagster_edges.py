"""The corners of Dagster that are not finished yet, kept in one place.

Partitioned checks (preview), backfill policies and conditions of one's own (beta) each warn once at
definition; records, the class that ties a check to its materialization, the tags of a partition range
and of a run that is started again, the places in a pool, a sensor's tick that fails and yet keeps its
cursor, and what the UI asks the storage for, have no public names.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dagster._check import not_none
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    NULL_DATA_VERSION,
    NULL_EVENT_POINTER,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)
from dagster._core.definitions.run_request import DagsterRunReaction
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._core.storage.partition_status_cache import AssetPartitionStatus
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    AUTO_RETRY_RUN_ID_TAG,
    PARTITION_NAME_TAG,
    WILL_RETRY_TAG,
)
from dagster._record import record
from dagster_shared.error import SerializableErrorInfo

from mta_pipeline import __version__

__all__ = ["record"]

DATA_VERSION = DATA_VERSION_TAG
TargetMaterialization = AssetCheckEvaluationTargetMaterializationData
FailedTick = DagsterRunReaction
#: What Dagster says of a run whose process died; why, it says in the engine event before.
MARKED_AS_FAILED = "This run has been marked as failed from outside the execution context."


BETA_PARAMETERS = ("allow_nonexistent_upstream_partitions", "backfill_policy", "use_user_code_server")


class _GatedByOurselves(logging.Filter):
    """Drops Dagster's warning that it does not see the result of a blocking check, and goes on downstream without it.

    Our results are events (see `telling`), and what failed them has not gone downstream: each week waits for its own.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return not ("Blocking asset check" in record.getMessage() and "emitted no result" in record.getMessage())


logging.getLogger("dagster._core.execution.plan.active").addFilter(_GatedByOurselves())


@contextmanager
def known_previews() -> Iterator[None]:
    """Silence these few warnings, and no others, while definitions are made."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Specifying a partitions_def on an AssetCheckSpec", dg.PreviewWarning)
        warnings.filterwarnings("ignore", rf"Parameter `({'|'.join(BETA_PARAMETERS)})`", dg.BetaWarning)
        yield


def going_on(asset: dg.AssetKey) -> dg.MaterializeResult[None]:
    """A result that is no materialization: without one Dagster skips what is downstream of the asset in the same run.

    Dagster keeps results with this mark from becoming events, for observations that it has told of already.
    """
    return dg.MaterializeResult(asset_key=asset, metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True})


def latest_materialization(
    instance: dg.DagsterInstance, key: dg.AssetKey, partition: str | None
) -> TargetMaterialization | None:
    """What a check must name so that the UI shows it beside this (partition's) materialization."""
    wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[partition] if partition else None)
    records = instance.fetch_materializations(wanted, limit=1).records
    if not records:
        return None
    return TargetMaterialization(
        storage_id=records[0].storage_id, run_id=records[0].run_id, timestamp=records[0].timestamp
    )


def provenance(instance: dg.DagsterInstance, sources: Mapping[dg.AssetKey, Mapping[str | None, str]]) -> dict[str, str]:
    """The tags that say of what a materialization was made: assets' versions by partition.

    Dagster writes them for outputs, but not for the materializations that a step yields itself. Of several
    partitions of an asset the versions stand in one tag, in order; Dagster goes by the newest materialization.
    """
    if not sources:
        return {}
    tags = {CODE_VERSION_TAG: __version__, DATA_VERSION_IS_USER_PROVIDED_TAG: "true"}
    for key, versions in sources.items():
        newest = _newest_storage_id(instance, key, list(versions))
        tags[get_input_data_version_tag(key)] = " ".join(versions.values()) or NULL_DATA_VERSION.value
        tags[get_input_event_pointer_tag(key)] = str(newest) if newest else NULL_EVENT_POINTER
    return tags


def _newest_storage_id(instance: dg.DagsterInstance, key: dg.AssetKey, partitions: Sequence[str | None]) -> int | None:
    """Of the newest materialization of these partitions."""
    kind = dg.DagsterEventType.ASSET_MATERIALIZATION
    wanted = {partition for partition in partitions if partition}
    if wanted:
        ids = instance.event_log_storage.get_latest_storage_id_by_partition(key, kind, wanted)
        return max(ids.values(), default=None)
    latest = latest_materialization(instance, key, None) if partitions else None
    return latest.storage_id if latest else None


def data_versions(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[str | None, str]:
    """The data version of each partition that is materialized, in one query; by None of an asset without partitions."""
    kind = dg.DagsterEventType.ASSET_MATERIALIZATION
    tags = instance.event_log_storage.get_latest_tags_by_partition(key, kind, [DATA_VERSION_TAG])
    versions: dict[str | None, str] = {partition: values[DATA_VERSION_TAG] for partition, values in tags.items()}
    if not versions and (event := instance.get_latest_materialization_event(key)):
        made = event.asset_materialization
        versions[None] = (made.tags or {}).get(DATA_VERSION_TAG, "") if made else ""
    return versions


def range_tags(first: str, last: str) -> dict[str, str]:
    """The tags by which a run takes all partitions from `first` to `last`."""
    return {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}


def partition_bounds(run: dg.DagsterRun) -> tuple[str, str] | None:
    """The first and last partition that a run is about, None if it is about none."""
    single = run.tags.get(PARTITION_NAME_TAG)
    first, last = (
        run.tags.get(tag, single) for tag in (ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG)
    )
    return (first, last) if first and last else None


def retry_of(run: dg.DagsterRun, retries_enabled: bool) -> str | None:
    """The run that Dagster starts in the place of a failed one: its id, "" while that is open, None for none."""
    if run.tags.get(AUTO_RETRY_RUN_ID_TAG):
        return run.tags[AUTO_RETRY_RUN_ID_TAG]
    if not retries_enabled or run.remote_job_origin is None:  # what a command line ran, no daemon can start again
        return None
    return None if run.tags.get(WILL_RETRY_TAG) == "false" else ""


def events_of(instance: dg.DagsterInstance, run_id: str) -> Iterator[dg.DagsterEvent]:
    """What became of a run, its assets and checks, in order."""
    kinds = {
        dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
        dg.DagsterEventType.ASSET_MATERIALIZATION,
        dg.DagsterEventType.ASSET_CHECK_EVALUATION,
        dg.DagsterEventType.STEP_FAILURE,
        dg.DagsterEventType.ENGINE_EVENT,
        dg.DagsterEventType.RUN_FAILURE,
    }
    cursor, more = None, True
    while more:
        page = instance.get_records_for_run(run_id, cursor, kinds, limit=1000)
        cursor, more = page.cursor, page.has_more
        yield from (
            record.event_log_entry.dagster_event for record in page.records if record.event_log_entry.dagster_event
        )


def reason_of(error: SerializableErrorInfo) -> tuple[str, str]:
    """The innermost cause of an error: its class and its message."""
    while error.cause:
        error = error.cause
    return error.cls_name or "", error.message.strip()


def failed_tick(run: dg.DagsterRun, reason: str) -> FailedTick:
    """What a sensor yields for a tick that failed and yet keeps its cursor: what it did is not to be done again."""
    return FailedTick(run, SerializableErrorInfo(reason, [], None), None)


def at_work(context: dg.SensorEvaluationContext, key: dg.AssetKey, among: Sequence[str]) -> dict[str, str]:
    """The partitions of `among` that an unfinished run or backfill of the asset has before it, and which one that is.

    Partition keys must be such that their order is that of their text.
    """
    busy: dict[str, str] = {}
    graph = not_none(context.repository_def).asset_graph
    for backfill in context.instance.get_backfills(BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED])):
        asked: Container[str] = backfill.partition_names or ()
        if backfill.is_asset_backfill:
            target = backfill.get_asset_backfill_data(graph).target_subset
            asked = target.get_partitions_subset(key) if key in target.asset_keys else ()
        busy |= {partition: f"backfill {backfill.backfill_id}" for partition in among if partition in asked}
    # Runs by their partitions alone: whatever else makes something of a week can wait, and so can we.
    for run in context.instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES)):
        if bounds := partition_bounds(run):
            first, last = bounds
            busy |= {partition: f"run {run.run_id}" for partition in among if first <= partition <= last}
    return busy


def last_evaluation(
    instance: dg.DagsterInstance, check: dg.AssetCheckKey, partition: str | None = None
) -> tuple[float, dg.AssetCheckEvaluation] | None:
    """When a check was last evaluated (for one partition, if one is given), and what it said."""
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(
        [check], partition_filter=PartitionKeyFilter(key=partition) if partition else None
    )
    for execution in latest.values():
        if isinstance(execution.evaluation, dg.AssetCheckEvaluation):
            return not_none(execution.event).timestamp, execution.evaluation
    return None


def begin_with_next_run(instance: dg.DagsterInstance) -> None:
    """Let a daemon that meets this instance for the first time leave alone what ran before, without a word.

    It does so anyway, but warns of it twice, which is what a new user would see first.
    """
    from dagster._daemon.auto_run_reexecution.event_log_consumer import DAGSTER_EVENT_TYPES, _create_cursor_key

    cursors = instance.daemon_cursor_storage
    keys = {_create_cursor_key(kind) for kind in DAGSTER_EVENT_TYPES}
    if new := keys - cursors.get_cursor_values(keys).keys():
        newest = instance.event_log_storage.get_maximum_record_id() or 0
        cursors.set_cursor_values({key: str(newest) for key in new})


def places_left(instance: dg.DagsterInstance, pool: str) -> bool:
    """Whether a step of this pool could begin now."""
    info = instance.event_log_storage.get_concurrency_info(pool)
    return info.limit is None or len(info.pending_steps) < info.limit


def free_places(instance: dg.DagsterInstance, run_id: str) -> None:
    """Give back the places in pools that a dead run holds."""
    instance.event_log_storage.free_concurrency_slots_for_run(run_id)


def is_ours(context: dg.SensorEvaluationContext, run: dg.DagsterRun) -> bool:
    """Whether a run is of this code location. What a command line ran belongs to none, and counts as ours."""
    here, origin = context.code_location_origin, run.remote_job_origin
    return here is None or origin is None or origin.location_name == here.location_name


def newest_runs(instance: dg.DagsterInstance) -> set[str]:
    """The runs that tell how any partition of any asset stands: its newest materialization, or attempt at one."""
    storage = instance.event_log_storage
    runs: set[str] = set()
    for key in storage.all_asset_keys():
        ids = storage.get_latest_storage_id_by_partition(key, dg.DagsterEventType.ASSET_MATERIALIZATION)
        if ids:
            records = instance.fetch_materializations(
                dg.AssetRecordsFilter(asset_key=key, storage_ids=list(ids.values())), limit=len(ids)
            ).records
            runs |= {record.run_id for record in records}
        attempts = storage.get_latest_asset_partition_materialization_attempts_without_materializations(key)
        runs |= {run for run, _ in attempts.values()}
        newest = instance.get_latest_materialization_event(key)
        if newest:
            runs.add(newest.run_id)
    return runs


def forget(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Remove a run, its events and its logs."""
    instance.compute_log_manager.delete_logs(prefix=[run.run_id])
    instance.delete_run(run.run_id)


def failed_partitions(
    instance: dg.DagsterInstance, key: dg.AssetKey, partitions: dg.PartitionsDefinition, among: Sequence[str]
) -> list[str]:
    """The partitions of `among` whose last run failed, as the UI counts them."""
    states = instance.get_status_by_partition(key, among, partitions) or {}
    return [partition for partition, state in states.items() if state is AssetPartitionStatus.FAILED]


def broken_off_partitions(instance: dg.DagsterInstance, key: dg.AssetKey) -> set[str]:
    """The partitions whose last run has ended, failed or canceled, without materializing them.

    The UI counts a canceled run's partitions as neither failed nor in progress.
    """
    storage = instance.event_log_storage
    attempts = storage.get_latest_asset_partition_materialization_attempts_without_materializations(key)
    runs = instance.get_runs(dg.RunsFilter(run_ids=sorted({run for run, _ in attempts.values()}))) if attempts else []
    ended = {run.run_id for run in runs if run.is_finished}
    return {partition for partition, (run, _) in attempts.items() if run in ended}


def last_failures(instance: dg.DagsterInstance, checks: Sequence[dg.AssetCheckKey], partition: str) -> list[str]:
    """What those checks said that failed when this partition was last evaluated."""
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(
        checks, partition_filter=PartitionKeyFilter(key=partition)
    )
    # A check whose run broke off has a plan in the place of an evaluation.
    evaluations = [e for one in latest.values() if isinstance(e := one.evaluation, dg.AssetCheckEvaluation)]
    return [e.description or e.check_name for e in evaluations if not e.passed]


def with_links_to_code(assets: Sequence[dg.AssetsDefinition | dg.AssetSpec]) -> list[Any]:
    """The assets, each with a link to its code on its page in the UI (for those who run it beside the code).

    That is beta, and warns.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r".*(code_reference|CodeReference)", dg.BetaWarning)
        return list(dg.with_source_code_references(assets))
