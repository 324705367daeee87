"""How any stage's weeks are told to Dagster: one run, many weeks, each standing alone.

A good week becomes materializations with its checks; a week that fails becomes its failed checks, an observation
that says why, and no materialization, so that it alone is red; and only when all weeks are through does the step
itself fail, saying which weeks and why.

To add another stage that makes a table of weeks, such as `readings`:

1. in the domain its `recipes.Recipe` (what a week is made of, and the number of the rules), its checks, and a way
   that yields a `tabling.Outcome` for each week, as `readings_way` does: look at what is there, read the sources and
   keep their versions in `outcome.sources`, judge, store;
2. its checks in `checks.TABLE_CHECKS`, which gives them their asset;
3. a module like `readings_asset`: the spec by `tables.table_spec`, with `automation.flow_on(recipe)` where weeks
   shall flow on by themselves, and a step of three lines under `@tables.weekly_step(spec)`;
4. the step in `definitions`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import dagster as dg

from mta_pipeline.domain.audit import Verdict
from mta_pipeline.domain.errors import Finding
from mta_pipeline.domain.outcomes import Outcome
from mta_pipeline.domain.stages import shown
from mta_pipeline.domain.weeks import Week
from mta_pipeline.orchestration.checks import ASSET_OF, key_of
from mta_pipeline.orchestration.dagster_edges import (
    DATA_VERSION,
    TargetMaterialization,
    going_on,
    latest_materialization,
    provenance,
)

Metadata = dict[str, dg.MetadataValue]
Event = dg.AssetMaterialization | dg.AssetCheckEvaluation | dg.AssetObservation | dg.MaterializeResult[None]
O = TypeVar("O", bound=Outcome)  # noqa: E741


@dataclass(frozen=True)
class Made:
    """A materialization of a good week, to be told."""

    asset: dg.AssetKey
    version: str  #: of the data: what is downstream goes stale only when it changes
    metadata: Metadata
    #: What it was made of: versions of assets by partition, in order; by None of an asset without partitions.
    sources: Mapping[dg.AssetKey, Mapping[str | None, str]]


def tell(
    context: dg.AssetExecutionContext, outcomes: Iterator[O], made_of: Callable[[O], Iterable[Made]]
) -> Iterator[Event]:
    """The events of all weeks of a run, each as soon as it is through; then raises `dg.Failure` if some failed.

    `made_of` gives what was made of a good week, upstream first.
    """
    shown()
    failed: dict[Week, list[Finding]] = {}
    surprise: BaseException | None = None
    for outcome in outcomes:
        yield from events_of(outcome, () if outcome.failures else made_of(outcome), context)
        if outcome.failures:
            failed[outcome.week] = outcome.failures
        if outcome.surprise:
            surprise = outcome.surprise
            context.log.error(f"Week {outcome.week} met a fault that nobody foresaw", exc_info=surprise)
    if failed:
        raise failure_of(failed, len(context.partition_keys)) from surprise
    for spec in context.assets_def.specs:  # upstream first
        if spec.key in context.selected_asset_keys:
            yield going_on(spec.key)


def events_of(outcome: Outcome, made: Iterable[Made], context: dg.AssetExecutionContext) -> Iterator[Event]:
    """The events of one week, for the assets and checks that this run selected."""
    week, targets = outcome.week.key, dict[dg.AssetKey, TargetMaterialization | None]()
    for one in made:
        if one.asset in context.selected_asset_keys:
            tags = {DATA_VERSION: one.version, **provenance(context.instance, one.sources)}
            yield dg.AssetMaterialization(one.asset, partition=week, metadata=one.metadata, tags=tags)
        targets[one.asset] = latest_materialization(context.instance, one.asset, week)
    for verdict in outcome.verdicts.values():
        if key_of(verdict.check) in context.selected_asset_check_keys:
            yield evaluation_of(verdict, week, targets.get(ASSET_OF[verdict.check.about]))
    if outcome.failures:
        # A check's verdict is not seen on a partition's own page; this is.
        for asset in sorted(context.selected_asset_keys):
            yield dg.AssetObservation(
                asset,
                partition=week,
                description=f"Failed in run {context.run.run_id}",
                metadata={"why it failed": "\n".join(map(str, outcome.failures))},
            )


def evaluation_of(
    verdict: Verdict, partition: str | None = None, target: TargetMaterialization | None = None
) -> dg.AssetCheckEvaluation:
    """A verdict in Dagster's words; `target` is the materialization that it is about."""
    return dg.AssetCheckEvaluation(
        asset_key=ASSET_OF[verdict.check.about],
        check_name=verdict.check.name,
        passed=verdict.passed,
        partition=partition,
        blocking=verdict.check.blocking,
        severity=dg.AssetCheckSeverity.ERROR if verdict.check.blocking else dg.AssetCheckSeverity.WARN,
        description=str(verdict.finding) if verdict.finding else None,
        metadata=dict(verdict.figures),
        target_materialization_data=target,
    )


def failure_of(failed: Mapping[Week, Sequence[Finding]], of: int) -> dg.Failure:
    """The step's failure: which of its `of` weeks failed, and why, a line each."""
    lines = [str(finding) for week in sorted(failed) for finding in failed[week]]
    return dg.Failure(
        f"{len(failed)} of {of} weeks failed:\n" + "\n".join(lines),
        metadata={week.key: dg.MetadataValue.text("\n".join(map(str, findings))) for week, findings in failed.items()},
        allow_retries=False,  # what may pass by itself was tried again where it happened
    )
