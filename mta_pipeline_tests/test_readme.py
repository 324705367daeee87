"""That the README's recipes work as they stand there, on a lake of sample weeks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import duckdb
import pytest

from bench.query import QUERY, of_lake
from mta_pipeline.cli.main import main
from mta_pipeline.domain.audit import CHECKS
from mta_pipeline.domain.feed import Feed
from mta_pipeline.domain.ingest import Ingest
from mta_pipeline.domain.lake import LocalStore
from mta_pipeline.domain.readings_way import ReadingsWay
from mta_pipeline.domain.ridership_way import RidershipWay
from mta_pipeline.domain.sample import write_feed
from mta_pipeline.domain.staging import Staging
from mta_pipeline.domain.tabling import Workshop
from mta_pipeline.domain.weeks import Week
from mta_pipeline.orchestration.checks import NO_WEEK_OVERDUE, TABLE_CHECKS
from mta_pipeline_tests.lake_tables import ENTRIES, EXITS, write_week

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()
#: Of the sections on ridership and on lake objects, which follow each other.
RECIPES = README.partition("\n## Ridership")[2].partition("\n## Query the tables")[0]
QUERIES = README.partition("\n## Query the tables")[2].partition("\n## ")[0]
WEEKS = [Week.parse("2024-01-06"), Week.parse("2024-01-13")]


def blocks(language: str, section: str = RECIPES) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


def run(recipe: str, folder: Path) -> str:
    """What a recipe in Python prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", recipe], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data/lake in it, as `make run` leaves it."""
    folder = tmp_path_factory.mktemp("clone")
    list(write_feed(folder / "feed", WEEKS, rows=2_000))
    way = Ingest(
        Feed((folder / "feed").as_uri()), Staging(folder / "data/staging"), LocalStore(folder / "data/lake"), 0.008
    )
    assert [outcome.failures for outcome in way.weeks(WEEKS)] == [[], []]
    readings = ReadingsWay(Workshop(way.lake, way.staging))
    assert [outcome.failures for outcome in readings.weeks(WEEKS)] == [[], []]
    assert [outcome.failures for outcome in RidershipWay(readings.shop, WEEKS[0]).weeks(WEEKS)] == [[], []]
    return folder


@pytest.mark.parametrize(
    "recipe",
    [block for block in blocks("python") if "import" in block],
    ids=["ridership", "pandas", "duckdb", "polars"],
)
def test_a_recipe_in_python_names_the_busiest_stations(folder: Path, recipe: str) -> None:
    assert "GRD CNTRL-42 ST" in run(recipe, folder)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data/lake in it, whose sums are known."""
    folder = tmp_path_factory.mktemp("known")
    for week in WEEKS:
        write_week(folder / "data/lake", week)
    return folder


def test_each_query_of_the_tables_prints_what_is_in_them(known: Path) -> None:
    by_duckdb, by_polars, by_pandas = blocks("python", QUERIES)
    # 2 weeks of 42 slots: the first is of the Friday before, and the last Friday lacks its last.
    assert re.search(rf" 1 *│ *{84 * ENTRIES} *│ *{84 * EXITS} ", run(by_duckdb, known))
    night = run(by_polars, known)
    assert night.index("GRD CNTRL-42 ST") < night.index("BEDFORD AV")
    assert str(2 * 14 * EXITS) in night
    assert re.search(rf"Wednesday +{18 * ENTRIES}\.0 +{18 * EXITS}\.0", run(by_pandas, known))


def test_the_query_for_bigquery_is_one_over_the_columns_of_the_table(known: Path) -> None:
    [query] = blocks("sql", QUERIES)
    # No BigQuery here; DuckDB reads the same SQL, and the table's columns and names of objects are the same.
    there = query.replace("mta.ridership", "read_parquet('data/lake/ridership/*/*.parquet', hive_partitioning = true)")
    assert there != query
    printed = run(f'import duckdb; print(duckdb.sql("""{there}"""))', known)
    assert printed.index("GRD CNTRL-42 ST") < printed.index("BEDFORD AV")


def test_the_query_that_is_timed_is_the_recipe(known: Path) -> None:
    assert textwrap.indent(QUERY, "    ").strip() in QUERIES
    assert len(duckdb.execute(of_lake(QUERY, known / "data/lake", 2024)).fetchall()) == 1


def test_the_recipe_for_the_shell_prints_rows(folder: Path) -> None:
    [recipe] = blocks("sh")
    done = subprocess.run(["sh", "-c", recipe], cwd=folder, capture_output=True, text=True, check=False)
    assert len(done.stdout.splitlines()) == 3
    assert all(",59 ST," in line for line in done.stdout.splitlines())


def test_every_check_is_explained() -> None:
    table = README.partition("## What the checks mean")[2].partition("\n## ")[0]
    checks = [*CHECKS, *(check for checks in TABLE_CHECKS.values() for check in checks)]
    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == [*(check.name for check in checks), NO_WEEK_OVERDUE.name]


def test_every_setting_that_the_code_reads_is_in_the_table() -> None:
    sources = (Path(__file__).resolve().parents[1] / "mta_pipeline").rglob("*.py")
    read = {name for source in sources for name in re.findall(r'"(MTA_[A-Z_]+)"', source.read_text())}
    table = README.partition("## Settings")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(MTA_\w+)`", table, re.MULTILINE)) == read


def test_every_command_is_mentioned() -> None:
    assert all(re.search(rf"\b{name}\b", README) for name in main.commands)


def test_every_make_target_that_the_readme_names_exists() -> None:
    makefile = (Path(__file__).resolve().parents[1] / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)`", README)) <= targets
    assert os.access(Path(__file__).resolve().parents[1] / ".ci" / "run", os.X_OK)


def test_make_clean_leaves_data_alone_and_clean_data_says_what_goes() -> None:
    def commands(target: str) -> str:
        command = ["make", "--no-print-directory", "-n", target]
        folder = Path(__file__).resolve().parents[1]
        return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout

    removed = {word for line in commands("clean").splitlines() if line.startswith("rm") for word in line.split()}
    assert ".venv" in removed
    assert not {"data", ".dagster_home"} & removed
    assert commands("clean-data").split() == ["rm", "-rf", "data", ".dagster_home"]
