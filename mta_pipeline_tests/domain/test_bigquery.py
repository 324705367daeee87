"""That BigQuery is told what everybody is told."""

from __future__ import annotations

import json

from mta_pipeline.domain.bigquery import PATH, lake_tables
from mta_pipeline.domain.tables import TABLES


def test_what_is_committed_is_what_make_lake_tables_writes() -> None:
    assert PATH.read_text(encoding="utf-8") == lake_tables(), "run make lake-tables"


def test_every_column_of_every_table_has_its_own_description() -> None:
    told = json.loads(lake_tables())["tables"]
    assert {name: [(c["name"], c["description"]) for c in table["schema"]] for name, table in told.items()} == {
        table.name: [(column.name, column.description) for column in table.columns] for table in TABLES
    }


def test_the_files_columns_have_names_that_sql_can_have() -> None:
    names = [column["name"] for column in json.loads(lake_tables())["files"]["schema"]]
    assert names == ["ca", "unit", "scp", "station", "linename", "division", "date", "time", "desc", "entries", "exits"]
