"""What is told to Dagster of a week that was brought to the lake: two materializations, with metadata."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from mta_pipeline.domain.ingest import Before, Outcome, RawFile, StoredObject
from mta_pipeline.domain.layouts import CURRENT, Layout
from mta_pipeline.domain.weeks import Week
from mta_pipeline.orchestration.checks import LAKE_OBJECT, RAW_CSV
from mta_pipeline.orchestration.telling import Made, Metadata


def made_of(outcome: Outcome) -> Iterator[Made]:
    """What was made of a good week, upstream first; the version of the data is the hash of the file's bytes."""
    week, raw, stored = outcome.week, outcome.raw, outcome.stored
    if raw:
        yield Made(RAW_CSV, raw.sha256, _raw_metadata(week, raw), {})
    if raw and stored:
        yield Made(LAKE_OBJECT, raw.sha256, _stored_metadata(week, raw, stored), {RAW_CSV: {week.key: raw.sha256}})


def column_schema(layout: Layout = CURRENT) -> dg.TableSchema:
    """A layout's columns with their descriptions."""
    return dg.TableSchema([dg.TableColumn(c.name, c.type, description=c.description) for c in layout.columns])


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
