"""What a new user stumbles over before anything runs is told in a sentence: make's part, and a port that is taken."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def make(folder: Path, *arguments: str) -> str:
    """What `make` says when it fails in `folder`."""
    shutil.copy(PROJECT / "Makefile", folder)
    done = subprocess.run(
        ["make", "--no-print-directory", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stdout + done.stderr
    return done.stdout


def test_a_python_of_the_wrong_version_is_named(tmp_path: Path) -> None:
    old = script(tmp_path / "old", 'case "$1" in --version) echo Python 3.9.2;; *) exit 1;; esac')
    said = make(tmp_path, "run", f"PYTHON={old}")
    assert "Python 3.10 to 3.13 is needed" in said
    assert "is Python 3.9.2" in said
    assert "Try: make PYTHON=python3.12 run" in said


def test_no_python_at_all_is_told(tmp_path: Path) -> None:
    assert "Python 3.10 to 3.13 is needed" in make(tmp_path, "run", "PYTHON=python-that-is-not-there")


def test_a_python_that_makes_no_environments_names_the_package_that_is_missing(tmp_path: Path) -> None:
    python = script(tmp_path / "bare", f'case "$2" in *ensurepip*) exit 1;; esac; exec {sys.executable} "$@"')
    said = make(tmp_path, "run", f"PYTHON={python}")
    assert "apt install python3-venv" in said
    assert not (tmp_path / ".venv").exists()


def test_a_folder_that_cannot_be_written_is_no_fault_of_python(small_disk: Path) -> None:
    shutil.copy(PROJECT / "Makefile", small_disk)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    command = ["make", "run", f"PYTHON={sys.executable}"]
    said = subprocess.run(command, cwd=small_disk, capture_output=True, text=True, check=False).stdout
    assert f"No right to write in {small_disk}" in said
    assert "python3-venv" not in said


def test_packages_that_cannot_be_fetched_end_with_a_word_on_proxies(tmp_path: Path) -> None:
    script(tmp_path / ".venv/bin/pip", "echo ERROR: no network >&2; exit 1")
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    (tmp_path / ".venv/python.stamp").touch()
    assert "Behind a proxy set HTTPS_PROXY" in make(tmp_path, "run")
    assert not (tmp_path / ".venv/run.stamp").exists()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_port_that_is_taken_ends_in_a_sentence(tmp_path: Path, host: str) -> None:
    with socket.socket() as other:
        other.bind((host, 0))
        other.listen()
        port = other.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "mta_pipeline.cli.main", "ui", "--port", str(port)],
            cwd=PROJECT,
            env={**os.environ, "DAGSTER_HOME": str(tmp_path / "home")},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert f"port {port}: found another program listening there; expected a free port" in done.stderr
    assert f"make ui PORT={port + 1}" in done.stderr
    assert not (tmp_path / "home").exists()
