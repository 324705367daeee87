"""What the step that makes readings promises: any number of weeks in a run, each standing alone."""

from __future__ import annotations

from mta_pipeline.domain.readings_way import READINGS_CHECKS
from mta_pipeline_tests.orchestration.project import (
    MIDDLE,
    Project,
    evaluated,
    materialized,
)


def test_a_good_week_becomes_a_materialization_and_all_its_checks_pass(project: Project) -> None:
    project.ingest(MIDDLE)
    result = project.make("readings", MIDDLE)
    assert result.success
    assert set(materialized(result)) == {("readings", MIDDLE.key)}
    checks = evaluated(result)
    assert set(checks) == {(check.name, MIDDLE.key) for check in READINGS_CHECKS}
    assert all(evaluation.passed for evaluation in checks.values())
