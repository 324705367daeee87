"""What flows on by itself: weeks whose sources are there, and were not made of just those yet.

`flow_on` is the condition of an asset that is made by a recipe. A week is asked for when its source is there, and
again when what it is made of has changed, or the rules have; never because something was made again and is the
same, and never because other weeks are missing. A week that failed is asked for again only when a source has
changed. Dagster's `eager` looks at the newest week alone, and waits for all that is upstream.

The sensor evaluates the conditions in this project's own process, because `OutOfDate` is no condition of
Dagster's. More than one week at a time becomes a backfill, so that there are few runs.
"""

from collections.abc import Iterable

import dagster as dg
from dagster import AutomationCondition, AutomationContext, AutomationResult

from mta_pipeline.domain.recipes import RECIPES, Recipe
from mta_pipeline.domain.weeks import Week
from mta_pipeline.orchestration.checks import TABLE_CHECKS
from mta_pipeline.orchestration.dagster_edges import data_versions, known_previews, record

EVERY = 30  # seconds


@record
class OutOfDate(AutomationCondition):  # type: ignore[type-arg] # a record knows no parameters
    """True for weeks whose source is there, and whose version is not that which follows from what is there now."""

    table: str

    @property
    def name(self) -> str:
        return f"out_of_date({self.table})"

    def evaluate(self, context: AutomationContext[dg.AssetKey]) -> AutomationResult[dg.AssetKey]:
        """See `AutomationCondition`."""
        candidates = [Week.parse(key) for key in context.candidate_subset.expensively_compute_partition_keys()]
        due = out_of_date(context.asset_graph_view.instance, RECIPES[self.table], candidates)
        return AutomationResult(
            context, context.candidate_subset.compute_intersection_with_partition_keys({week.key for week in due})
        )


def out_of_date(instance: dg.DagsterInstance, recipe: Recipe, weeks: Iterable[Week]) -> set[Week]:
    """Those of `weeks` whose source is there, and which are not made of what is there now, as the record tells."""
    names = [name for name in (recipe.source, recipe.for_legacy) if name]
    there = {name: _versions(instance, dg.AssetKey(name)) for name in names}
    made = _versions(instance, dg.AssetKey(recipe.table.name))
    return {week for week in weeks if week in there[recipe.source] and made.get(week) != recipe.version(week, there)}


def _versions(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[Week | None, str]:
    """The data versions of an asset's weeks, as far as they are materialized; by None of an asset without weeks."""
    return {Week.parse(name) if name else None: version for name, version in data_versions(instance, key).items()}


def flow_on(recipe: Recipe) -> AutomationCondition[dg.AssetKey]:
    """The condition of the asset that is made by `recipe`."""
    due = OutOfDate(table=recipe.table.name)
    changed = AutomationCondition.any_deps_match(AutomationCondition.data_version_changed())
    news = (due.newly_true() | changed).since(AutomationCondition.newly_requested())
    return news.with_label("news since it was asked for") & due & ~AutomationCondition.in_progress()


def flow_on_sensor() -> dg.AutomationConditionSensorDefinition:
    """The sensor that asks for what has come, for all tables."""
    with known_previews():
        return dg.AutomationConditionSensorDefinition(
            "flow_on",
            target=dg.AssetSelection.assets(*TABLE_CHECKS),
            use_user_code_server=True,
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=EVERY,
            description=(
                "Takes weeks on as soon as they are in the lake: asks for the readings of lake objects that are new or "
                "have changed, and so on. Many weeks become one backfill; a week that failed waits for a change."
            ),
        )
