"""Fixtures for all tests."""

from __future__ import annotations

import lzma
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from mta_pipeline_tests.feed_server import FeedServer
from mta_pipeline_tests.gcs_server import GcsServer, serving_gcs
from mta_pipeline_tests.workbench import Workbench

# No timings: a busy machine is no failure.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def feed_server() -> Iterator[FeedServer]:
    with FeedServer() as server:
        yield server


@pytest.fixture
def bench(feed_server: FeedServer, tmp_path: Path) -> Workbench:
    return Workbench(feed_server, tmp_path)


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[GcsServer]:
    """A GCS on this machine."""
    with serving_gcs() as server:
        yield server


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real published files, which is not part of a clone."""
    folder = Path(os.environ.get("MTA_TEST_DATA") or REAL_DATA)
    if not (folder / "turnstile").is_dir():
        pytest.skip(f"no real turnstile files in {folder}; set MTA_TEST_DATA to a folder that has them")
    return folder


@pytest.fixture(scope="session")
def real_file(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the real file of a name such as `turnstile/turnstile_240106.txt`, unpacked where need be."""
    folder = tmp_path_factory.mktemp("real")

    def unpacked(name: str) -> Path:
        if (real_data / name).exists():
            return real_data / name
        path = folder / Path(name).name
        if not path.exists():
            with lzma.open(real_data / f"{name}.xz") as packed, path.open("wb") as file:
                shutil.copyfileobj(packed, file, 1 << 20)
        return path

    return unpacked


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """An empty disk of one megabyte."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "small-disk"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mount.returncode:
        pytest.skip(f"this machine does not let root mount a small disk: {mount.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def unwritable(tmp_path: Path) -> Iterator[Path]:
    """A folder (that does not exist yet) which nobody may create."""
    if os.geteuid() == 0:
        # Rights don't bind root, but the kernel's own file system does.
        if not Path("/sys/kernel").is_dir():
            pytest.skip("root may write everywhere where there is no /sys")
        yield Path("/sys/mta")
        return
    parent = tmp_path / "read-only"
    parent.mkdir()
    parent.chmod(0o555)
    try:
        yield parent / "mta"
    finally:
        parent.chmod(0o755)
