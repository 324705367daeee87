"""Fixtures for the tests of the Dagster project."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from mta_pipeline_tests.gcs_server import GcsServer
from mta_pipeline_tests.orchestration.project import THREE_WEEKS, Project


@pytest.fixture(params=["folder", "bucket"])
def lake_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A lake of each kind: all that the project promises, it promises over both."""
    if request.param == "folder":
        yield str(tmp_path / "lake")
        return
    server: GcsServer = request.getfixturevalue("gcs_server")
    bucket = f"lake-{uuid.uuid4()}"
    server.create_bucket(bucket)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("STORAGE_EMULATOR_HOST", server.url)
        yield f"gs://{bucket}/some/prefix"


@pytest.fixture
def project(tmp_path: Path, lake_url: str) -> Iterator[Project]:
    """A project whose feed has three consecutive weeks."""
    with dg.DagsterInstance.ephemeral() as instance:
        project = Project(tmp_path, instance, lake_url)
        project.publish_feed(THREE_WEEKS)
        yield project
