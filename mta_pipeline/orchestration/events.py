"""How a week's outcome is told to Dagster: materializations with metadata, checks with figures.

A week that failed has no materialization, only the verdicts that were reached; Dagster then shows
its partition red and leaves what an earlier run recorded as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from mta_pipeline.domain.audit import Verdict
from mta_pipeline.domain.errors import Finding
from mta_pipeline.domain.ingest import Before, Outcome, RawFile, StoredObject
from mta_pipeline.domain.layouts import CURRENT, Layout
from mta_pipeline.domain.weeks import Week
from mta_pipeline.orchestration.checks import ASSET_OF, LAKE_OBJECT, RAW_CSV, key_of
from mta_pipeline.orchestration.dagster_edges import (
    DATA_VERSION,
    TargetMaterialization,
    latest_materialization,
    provenance,
)

Metadata = dict[str, dg.MetadataValue]
Event = dg.AssetMaterialization | dg.AssetCheckEvaluation | dg.AssetObservation


def events_of(outcome: Outcome, context: dg.AssetExecutionContext) -> Iterator[Event]:
    """The events of one week, for the assets and checks that this run selected."""
    targets: dict[dg.AssetKey, TargetMaterialization | None] = {}
    if not outcome.failures:
        yield from _materializations(outcome, context, targets)
    for verdict in outcome.verdicts.values():
        if key_of(verdict.check) in context.selected_asset_check_keys:
            yield _evaluation(verdict, outcome.week, targets.get(ASSET_OF[verdict.check.about]))
    if outcome.failures:
        # A check's verdict is not seen on a partition's own page; this is.
        for asset in sorted(context.selected_asset_keys):
            yield dg.AssetObservation(
                asset,
                partition=outcome.week.key,
                description=f"Failed in run {context.run.run_id}",
                metadata={"why it failed": "\n".join(map(str, outcome.failures))},
            )


def _materializations(
    outcome: Outcome, context: dg.AssetExecutionContext, targets: dict[dg.AssetKey, TargetMaterialization | None]
) -> Iterator[dg.AssetMaterialization]:
    """A good week's materializations, of what was selected, upstream first; `targets` gets where they are recorded.

    The version of the data is the hash of its bytes: what is downstream goes stale only when they change.
    """
    week, raw, stored = outcome.week, outcome.raw, outcome.stored
    if raw and RAW_CSV in context.selected_asset_keys:
        tags = {DATA_VERSION: raw.sha256}
        yield dg.AssetMaterialization(RAW_CSV, partition=week.key, metadata=_raw_metadata(week, raw), tags=tags)
    targets[RAW_CSV] = latest_materialization(context.instance, RAW_CSV, week.key)
    if raw and stored and LAKE_OBJECT in context.selected_asset_keys:
        tags = {DATA_VERSION: raw.sha256, **provenance(RAW_CSV, raw.sha256, targets[RAW_CSV])}
        metadata = _stored_metadata(week, raw, stored)
        yield dg.AssetMaterialization(LAKE_OBJECT, partition=week.key, metadata=metadata, tags=tags)
        targets[LAKE_OBJECT] = latest_materialization(context.instance, LAKE_OBJECT, week.key)


def failure_of(failed: Mapping[Week, Sequence[Finding]], of: int) -> dg.Failure:
    """The step's failure: which of its `of` weeks failed, and why, a line each."""
    lines = [str(finding) for week in sorted(failed) for finding in failed[week]]
    return dg.Failure(
        f"{len(failed)} of {of} weeks failed:\n" + "\n".join(lines),
        metadata={week.key: dg.MetadataValue.text("\n".join(map(str, findings))) for week, findings in failed.items()},
        allow_retries=False,  # what may pass by itself was tried again where it happened
    )


def column_schema(layout: Layout = CURRENT) -> dg.TableSchema:
    """A layout's columns with their descriptions."""
    return dg.TableSchema([dg.TableColumn(c.name, c.type, description=c.description) for c in layout.columns])


def _evaluation(verdict: Verdict, week: Week, target: TargetMaterialization | None) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=ASSET_OF[verdict.check.about],
        check_name=verdict.check.name,
        passed=verdict.passed,
        partition=week.key,
        blocking=verdict.check.blocking,
        severity=dg.AssetCheckSeverity.ERROR if verdict.check.blocking else dg.AssetCheckSeverity.WARN,
        description=str(verdict.finding) if verdict.finding else None,
        metadata=dict(verdict.figures),
        target_materialization_data=target,
    )


def _raw_metadata(week: Week, raw: RawFile) -> Metadata:
    return {
        **_common_metadata(week, raw, raw.seconds),
        "dagster/uri": dg.MetadataValue.path(str(raw.path)),
        "readings": dg.MetadataValue.int(raw.scan.readings),
        "layout": dg.MetadataValue.text(raw.scan.layout.name if raw.scan.layout else "unknown"),
    }


def _stored_metadata(week: Week, raw: RawFile, stored: StoredObject) -> Metadata:
    published = stored.published
    return {
        **_common_metadata(week, raw, stored.seconds),
        "dagster/uri": dg.MetadataValue.path(published.uri),
        "compressed bytes": dg.MetadataValue.int(published.digest.size),
        "compression ratio": dg.MetadataValue.float(round(raw.scan.size / published.digest.size, 2)),
        "crc32c": dg.MetadataValue.text(f"{published.digest.crc32c:08x}"),
        "change": dg.MetadataValue.text(published.change.value),
        **({"what changed": _what_changed(raw, stored.replaced)} if stored.replaced else {}),
    }


def _what_changed(raw: RawFile, before: Before) -> dg.MetadataValue:
    """The week before and now: a publisher's correction, or the trace of something wrong."""
    lines = [] if before.rows is None else [_difference("rows", before.rows, raw.scan.rows)]
    lines += [_difference("bytes", before.content.size, raw.scan.size)]
    return dg.MetadataValue.md("\n".join([*lines, f"- sha256: {before.content.sha256} → {raw.sha256}"]))


def _difference(what: str, before: int, now: int) -> str:
    return f"- {what}: {before:,} → {now:,} ({now - before:+,})"


def _common_metadata(week: Week, raw: RawFile, seconds: float) -> Metadata:
    metadata: Metadata = {}
    if raw.source:
        web = raw.source.startswith("http")
        metadata["source"] = dg.MetadataValue.url(raw.source) if web else dg.MetadataValue.path(raw.source)
    return {
        **metadata,
        "dagster/partition_row_count": dg.MetadataValue.int(raw.scan.rows),
        "rows": dg.MetadataValue.int(raw.scan.rows),
        "bytes": dg.MetadataValue.int(raw.scan.size),
        "seconds": dg.MetadataValue.float(round(seconds, 3)),
        "MB/s": dg.MetadataValue.float(round(raw.scan.size / 1e6 / max(seconds, 1e-6), 1)),
        "sha256": dg.MetadataValue.text(raw.sha256),
        "release date": dg.MetadataValue.text(week.release_date.isoformat()),
        "preview": _preview(raw),
    }


def _preview(raw: RawFile) -> dg.MetadataValue:
    """The first rows as a table; of the legacy layout's many readings in a line, the first."""
    layout = raw.scan.layout or CURRENT
    names = [column.name for column in layout.columns]
    records = [dg.TableRecord(dict(zip(names, line.split(","), strict=False))) for line in raw.scan.head]
    return dg.MetadataValue.table(records, dg.TableSchema([dg.TableColumn(name) for name in names]))
