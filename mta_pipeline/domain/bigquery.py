"""What BigQuery is told of the files and tables in the lake: the JSON that terraform/ reads.

`make lake-tables` writes it, so that a column is called and described there as it is everywhere else; a test sees
that what is committed is what would be written.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mta_pipeline.domain.layouts import CURRENT, Column
from mta_pipeline.domain.settings import PROJECT
from mta_pipeline.domain.tables import TABLES

PATH = PROJECT / "terraform" / "lake_tables.json"

#: As BigQuery itself answers, so that Terraform sees no difference: INTEGER is INT64.
TYPES = {"string": "STRING", "bigint": "INTEGER", "date": "DATE", "timestamp": "TIMESTAMP"}


def lake_tables() -> str:
    """The JSON: columns of the files since 2014-10-18, and the tables by name."""
    content = {
        "files": {
            "schema": _schema([Column(_plain(column.name), "string", column.description) for column in CURRENT.columns])
        },
        "tables": {
            table.name: {"description": table.description, "schema": _schema(table.columns)} for table in TABLES
        },
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _schema(columns: Sequence[Column]) -> list[dict[str, str]]:
    return [
        {"name": column.name, "type": TYPES[column.type], "mode": "NULLABLE", "description": column.description}
        for column in columns
    ]


def _plain(name: str) -> str:
    """A published column's name as SQL can have it: `C/A` is `ca`."""
    return name.lower().replace("/", "")


def main(path: Path = PATH) -> None:
    """Write it."""
    path.write_text(lake_tables(), encoding="utf-8")


if __name__ == "__main__":
    main()
