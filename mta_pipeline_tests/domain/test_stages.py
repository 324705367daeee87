"""The lines that a stage leaves in the log."""

from __future__ import annotations

import logging
import re
import subprocess
import sys

import pytest

from mta_pipeline.domain.stages import stage
from mta_pipeline.domain.weeks import Week

WEEK = Week.parse("2024-01-06")
STARTED = "stage=fetch week=2024-01-06 at=start"


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "mta_pipeline")
    return caplog


def test_a_stage_logs_where_it_begins_and_where_it_ends_with_week_seconds_and_figures(
    log: pytest.LogCaptureFixture,
) -> None:
    with stage("fetch", WEEK) as told:
        assert log.messages == [STARTED]
        told.update(bytes=33_179_392, tries=1)
    assert log.messages[0] == STARTED
    assert re.fullmatch(
        r"stage=fetch week=2024-01-06 at=end seconds=\d+\.\d{3} bytes=33179392 tries=1", log.messages[1]
    )


def test_a_stage_that_fails_ends_with_the_class_of_its_error_and_nothing_that_could_be_secret(
    log: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(ValueError, match="hunter2"), stage("fetch", WEEK):
        raise ValueError("http://me:hunter2@feed.example")
    assert re.fullmatch(r"stage=fetch week=2024-01-06 at=failed seconds=\d+\.\d{3} error=ValueError", log.messages[1])


@pytest.mark.parametrize(
    ("call", "lines"),
    [
        ("shown()", 3),
        ("shown(verbose=False)", 1),
        ("shown(verbose=False); shown()", 1),  # the command line decides before the step does
    ],
)
def test_shown_puts_stages_or_warnings_alone_on_standard_error(call: str, lines: int) -> None:
    code = f"""
import logging
from mta_pipeline.domain.stages import shown, stage
from mta_pipeline.domain.weeks import Week
{call}
with stage("audit", Week.parse("2024-01-06")):
    logging.getLogger("mta_pipeline.domain.feed").warning("Trying again.")
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr
    assert len(told.splitlines()) == lines
    assert re.search(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING Trying again\.$", told, re.MULTILINE)


def test_where_somebody_has_set_logging_up_nothing_is_added() -> None:
    code = """
import logging
logging.basicConfig(format="mine: %(message)s", level=logging.INFO)
from mta_pipeline.domain.stages import shown, stage
from mta_pipeline.domain.weeks import Week
shown()
with stage("audit", Week.parse("2024-01-06")):
    pass
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr
    assert [line[:12] for line in told.splitlines()] == ["mine: stage="] * 2
