"""Fixtures for the tests of the Dagster project."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from mta_pipeline_tests.orchestration.project import THREE_WEEKS, Project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project whose feed has three consecutive weeks."""
    with dg.DagsterInstance.ephemeral() as instance:
        project = Project(tmp_path, instance)
        project.publish_feed(THREE_WEEKS)
        yield project
