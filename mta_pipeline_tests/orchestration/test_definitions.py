"""That the project loads: quickly, silently, and with the wall between domain and Dagster standing."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from mta_pipeline.orchestration.definitions import defs

PROJECT = Path(__file__).resolve().parents[2]


def test_definitions_can_be_loaded_by_dagster() -> None:
    dg.Definitions.validate_loadable(defs)


def test_loading_brings_no_warning_and_none_of_the_heavy_libraries() -> None:
    code = (
        "import sys, mta_pipeline.orchestration.definitions\n"
        "heavy = {'pandas', 'duckdb', 'pyarrow', 'polars', 'matplotlib', 'apprise'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    # Dagster's own imports may warn, so only warnings that our modules cause count.
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "mta_pipeline" not in done.stderr


def test_a_bucket_brings_none_of_the_heavy_libraries() -> None:
    code = (
        "import sys\n"
        "from mta_pipeline.orchestration.io_managers import LakeIOManager\n"
        "LakeIOManager(url='gs://lake').store()\n"
        "heavy = {'pandas', 'pyarrow', 'google.cloud.bigquery'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    nobody = {**os.environ, "STORAGE_EMULATOR_HOST": "http://localhost:9", "GOOGLE_CLOUD_PROJECT": "test"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, env=nobody, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "module", sorted((PROJECT / "mta_pipeline" / "domain").glob("*.py")), ids=lambda path: path.name
)
def test_the_domain_knows_no_dagster(module: Path) -> None:
    imported = {
        name
        for node in ast.walk(ast.parse(module.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert not {
        name for name in imported if name.startswith(("dagster", "mta_pipeline.orchestration", "mta_pipeline.cli"))
    }


def test_a_wrong_setting_is_told_in_one_sentence_when_the_project_loads() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import mta_pipeline.orchestration.definitions"],
        cwd=PROJECT,
        env={**os.environ, "MTA_FIRST_WEEK": "yesterday"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "MTA_FIRST_WEEK: found 'yesterday'; expected a date as YYYY-MM-DD" in done.stderr
