"""That the pages for people and the workflows speak of what is there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import mta_pipeline

PROJECT = Path(__file__).resolve().parents[1]
PAGES = [*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md")]
IMAGES = PROJECT / "docs" / "images"
WORKFLOWS = sorted(PROJECT.glob(".github/workflows/*.yml"))
MAKEFILE = (PROJECT / "Makefile").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    local = [link for link in links if "://" not in link]
    assert not [link for link in local if not _exists(page, link)]


def _exists(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path) if path else page
    if not target.exists():
        return False
    heads = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE) if anchor else []
    return not anchor or anchor in {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_every_picture_is_shown_somewhere_and_small() -> None:
    shown = {name for page in PAGES for name in re.findall(r"images/(\w+\.png)\)", page.read_text())}
    assert {path.name for path in IMAGES.iterdir()} == shown
    assert max(path.stat().st_size for path in IMAGES.iterdir()) < 150_000


def test_every_picture_is_made_by_the_tests_of_the_ui() -> None:
    sources = "".join(path.read_text() for path in (PROJECT / "mta_pipeline_tests" / "ui").glob("*.py"))
    assert {path.stem for path in IMAGES.iterdir()} == set(re.findall(r'takes_picture\("(\w+)"\)', sources))


@pytest.mark.parametrize("name", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_every_module_that_is_named_exists(name: str) -> None:
    modules = {
        path.name for folder in ("mta_pipeline", "mta_pipeline_tests") for path in PROJECT.glob(f"{folder}/**/*.py")
    }
    assert set(re.findall(r"(\w+\.py)`", (PROJECT / name).read_text())) <= modules


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    for page in [*PAGES, *WORKFLOWS]:
        assert set(re.findall(r"(?:`|\$ |run: )make ([a-z-]+)", page.read_text())) <= targets, page


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_runs_make_targets_and_may_do_no_more_than_it_needs(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    assert set(workflow["permissions"]) == {"contents"}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 30
        commands = [step["run"] for step in job["steps"] if "run" in step]
        assert any(command.startswith("make ") for command in commands)
        assert all(command.startswith(("make ", "apt-get ", "gh release ")) for command in commands)


def test_the_changelog_begins_with_the_version_of_the_package() -> None:
    first = re.search(
        r"^## (\S+) \((unreleased|20\d\d-\d\d-\d\d)\)$", (PROJECT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert first
    assert first[1] == mta_pipeline.__version__


def release(folder: Path, tag: str) -> subprocess.CompletedProcess[str]:
    """`make release` in a copy of what it looks at."""
    shutil.copytree(PROJECT / "mta_pipeline", folder / "mta_pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "pyproject.toml", "README.md"):
        shutil.copy(PROJECT / name, folder)
    dated = (PROJECT / "CHANGELOG.md").read_text().replace("(unreleased)", "(2026-01-31)")
    (folder / "CHANGELOG.md").write_text(f"{dated}\n## 0.0.1 (2025-01-01)\n\n- Older.\n")
    (folder / "run.stamp").touch()  # the environment is there: this one
    variables = [f"TAG={tag}", f"BIN={Path(sys.executable).parent}", f"VENV={folder}"]
    command = ["make", "release", *variables, f"--assume-old={folder}/run.stamp"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_a_release_is_a_wheel_and_the_notes_of_its_version(tmp_path: Path) -> None:
    done = release(tmp_path, f"v{mta_pipeline.__version__}")
    assert done.returncode == 0, done.stdout + done.stderr
    notes = (tmp_path / "dist" / "notes.md").read_text()
    assert notes.startswith(f"## {mta_pipeline.__version__} (")
    assert "Older" not in notes
    assert [path.name for path in (tmp_path / "dist").glob("*.whl")] == [
        f"mta_pipeline-{mta_pipeline.__version__}-py3-none-any.whl"
    ]


def test_a_tag_that_is_not_the_version_is_refused(tmp_path: Path) -> None:
    done = release(tmp_path, "v9.9.9")
    assert done.returncode == 2
    assert "the tag is 'v9.9.9', the version (mta_pipeline/__init__.py) is" in done.stdout
    assert not (tmp_path / "dist").exists()
