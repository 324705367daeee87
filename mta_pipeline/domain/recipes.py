"""What a week of each table is made of, and by which rules: from that follows the version of its data.

The version is a hash of the rules' number and of the versions of what it was made of. So the same sources always
give the same version, whoever looks can tell whether a week is made of what is there now, and new rules make
every week due again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mta_pipeline.domain.layouts import LEGACY, layout_of
from mta_pipeline.domain.tables import BOOTHS, READINGS, RIDERSHIP, TABLES, Table
from mta_pipeline.domain.weeks import Week

#: The versions of sources: by asset, of its weeks; by None of an asset without weeks.
Versions = Mapping[str, Mapping[Week | None, str]]

LAKE_OBJECT = "lake_object"


@dataclass(frozen=True)
class Recipe:
    """How a week of `table` is made."""

    table: Table
    #: The number of the rules. Raise it when the same sources give other rows: all weeks are made again then.
    rules: int
    #: The asset whose same week must be there.
    source: str
    #: So many weeks before are sources too, as far as they are there.
    weeks_before: int = 0
    #: An asset without weeks which weeks of the legacy layout need, if it is there.
    for_legacy: str | None = None

    def sources(self, week: Week) -> dict[str, Sequence[Week | None]]:
        """All that `week` is made of, as far as it is there."""
        wanted: dict[str, Sequence[Week | None]] = {
            self.source: list(Week.between(week.shifted(-self.weeks_before), week))
        }
        if self.for_legacy and layout_of(week) is LEGACY:
            wanted[self.for_legacy] = [None]
        return wanted

    def source_object(self, week: Week) -> str:
        """The name of the object in the lake of which `week` is made."""
        tables = {table.name: table for table in TABLES}
        return tables[self.source].object_name(week) if self.source in tables else week.object_name

    def version(self, week: Week, versions: Versions) -> str:
        """The version of `week`, made of sources in these versions; what else is in `versions` plays no part."""
        told = {
            name: {
                source.key if source else "": versions[name][source]
                for source in sources
                if source in versions.get(name, {})
            }
            for name, sources in self.sources(week).items()
        }
        return hashlib.sha256(json.dumps([self.table.name, self.rules, told], sort_keys=True).encode()).hexdigest()


READINGS_RECIPE = Recipe(READINGS, rules=1, source=LAKE_OBJECT, for_legacy=BOOTHS.name)
RIDERSHIP_RECIPE = Recipe(RIDERSHIP, rules=1, source=READINGS.name, weeks_before=1)

RECIPES = {recipe.table.name: recipe for recipe in (READINGS_RECIPE, RIDERSHIP_RECIPE)}
