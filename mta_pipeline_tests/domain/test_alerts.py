"""What alerts say: one short message a run, and "all well again" once."""

from __future__ import annotations

import pytest

from mta_pipeline.domain.alerts import (
    MOST_CHARACTERS,
    MOST_WEEKS,
    SENDER,
    Kind,
    Message,
    RunReport,
    Trouble,
    of_overdue,
    of_run,
)
from mta_pipeline.domain.weeks import FIRST_PUBLISHED

UI = "https://ui.example.org"
WEEKS = [FIRST_PUBLISHED.shifted(n).key for n in range(52)]
A, B, C = WEEKS[:3]
ASSETS = {"raw_csv", "lake_object"}


def sentence(week: str) -> str:
    return f"Week {week}: http://feed/file.txt: found 404; expected the week's file. Try later."


def message(report: RunReport, healed: tuple[str, ...] = ()) -> Message:
    made = of_run(report, healed, UI)
    assert made
    return made


def test_a_failed_run_is_one_message_that_says_which_weeks_why_and_where_to_look() -> None:
    made = message(RunReport("the-run", WEEKS[:8], failed={week: [sentence(week)] for week in (C, A)}))
    assert made.kind is Kind.FAILURE
    assert made.title == f"{SENDER}: 2 of 8 weeks failed"
    assert made.body.splitlines() == [f"{UI}/runs/the-run", "Failed:", f"- {sentence(A)}", f"- {sentence(C)}"]
    assert made.run_id == "the-run"


def test_of_very_many_weeks_the_first_are_named_and_the_others_counted() -> None:
    made = message(RunReport("r", WEEKS, failed={week: [sentence(week)] for week in WEEKS}))
    assert [week for week in WEEKS if week in made.body] == WEEKS[:MOST_WEEKS]
    assert f"and {len(WEEKS) - MOST_WEEKS} more" in made.body.splitlines()


def test_a_message_of_the_worst_kind_is_still_short() -> None:
    endless = {week: [sentence(week) + "x" * 5_000] * 6 for week in WEEKS}
    made = message(RunReport("r", WEEKS, failed=endless, warned=endless, crash="y" * 5_000, missing={A: ASSETS}))
    assert len(made.body) < 2 * MOST_WEEKS * (MOST_CHARACTERS + 50) + 1_000
    assert max(map(len, made.body.splitlines())) <= MOST_CHARACTERS + 50


def test_of_a_week_that_failed_several_checks_the_first_reason_is_told_and_the_others_counted() -> None:
    made = message(RunReport("r", [A], failed={A: [sentence(A), "another", "a third"]}))
    assert f"- {sentence(A)} (and 2 more)" in made.body


def test_a_sentence_that_does_not_name_its_week_gets_it() -> None:
    assert f"- Week {A}: too few rows" in message(RunReport("r", [A], failed={A: ["too few rows"]})).body


def test_a_run_that_broke_off_tells_why_and_what_it_left_unfinished() -> None:
    made = message(
        RunReport(
            "r", [A, B, C], failed={A: [sentence(A)]}, crash="OSError: no\nmemory", missing={A: ASSETS, B: ASSETS}
        )
    )
    assert made.kind is Kind.FAILURE
    assert made.title == f"{SENDER}: a run broke off, 2 of 3 weeks failed"
    assert "The run broke off: OSError: no memory" in made.body
    assert f"It left unfinished: {B}" in made.body.splitlines()


def test_a_run_that_dagster_started_again_is_a_warning_that_leads_to_its_successor() -> None:
    made = message(RunReport("r", [A], crash="killed", retried_as="r2", missing={A: ASSETS}))
    assert made.kind is Kind.WARNING
    assert made.title == f"{SENDER}: a run broke off and was started again"
    assert f"Dagster has started it again: {UI}/runs/r2" in made.body


def test_a_check_that_warned_is_a_warning() -> None:
    made = message(RunReport("r", [A, B], warned={B: [sentence(B)]}))
    assert made.kind is Kind.WARNING
    assert made.title == f"{SENDER}: 1 week with a warning"
    assert made.body.splitlines() == [f"{UI}/runs/r", "Warned:", f"- {sentence(B)}"]


def test_a_good_run_has_nothing_to_tell() -> None:
    assert of_run(RunReport("r", [A], brought={A: ASSETS}), [], UI) is None


def test_all_well_again_names_the_weeks_that_were_in_trouble() -> None:
    made = message(RunReport("r", [A, B], brought={A: ASSETS, B: ASSETS}), (A, B))
    assert made.kind is Kind.WELL
    assert made.title == f"{SENDER}: all well again"
    assert made.body.splitlines() == [f"{UI}/runs/r", f"Good again: {A}, {B}"]


def test_a_password_in_the_address_of_a_crash_is_left_out() -> None:
    made = message(RunReport("r", [A], crash="cannot reach http://me:hunter2@feed.example/x", missing={A: ASSETS}))
    assert "hunter2" not in made.body
    assert "http://***@feed.example/x" in made.body


def test_overdue_weeks_are_named_with_the_sentence_of_their_check() -> None:
    made = of_overdue([A, B], "2 weeks are overdue.", f"{UI}/assets/lake_object")
    assert made.title == f"{SENDER}: 2 weeks overdue"
    assert made.body.splitlines() == [f"{UI}/assets/lake_object", "2 weeks are overdue.", f"Overdue: {A}, {B}"]


def test_all_is_well_again_once_and_only_when_the_last_week_is_good() -> None:
    trouble = Trouble()
    trouble.hear(RunReport("1", missing={A: ASSETS, B: ASSETS}, brought={C: ASSETS}))
    assert trouble.all_well() == []
    trouble.hear(RunReport("2", brought={A: ASSETS}))
    assert trouble.all_well() == []
    trouble.hear(RunReport("3", brought={B: ASSETS}))
    assert trouble.all_well() == [A, B]
    trouble.hear(RunReport("4", brought={B: ASSETS}))
    assert trouble.all_well() == []


def test_a_week_that_is_only_half_there_is_not_good_again() -> None:
    trouble = Trouble()
    trouble.hear(RunReport("1", missing={A: ASSETS}))
    trouble.hear(RunReport("2", brought={A: {"raw_csv"}}))
    assert trouble.all_well() == []


def test_a_week_that_fails_again_is_not_counted_among_the_good_ones() -> None:
    trouble = Trouble()
    trouble.hear(RunReport("1", missing={A: ASSETS, B: ASSETS}))
    trouble.hear(RunReport("2", brought={A: ASSETS}))
    trouble.hear(RunReport("3", missing={A: ASSETS}, brought={B: ASSETS}))
    assert trouble.all_well() == []
    trouble.hear(RunReport("4", brought={A: ASSETS}))
    assert trouble.all_well() == [A, B]


@pytest.mark.parametrize("passed_first", ["the check", "the run"])
def test_an_overdue_week_that_also_failed_is_good_again_when_both_are_mended(passed_first: str) -> None:
    trouble = Trouble()
    trouble.hear(RunReport("1", missing={A: ASSETS}))
    assert trouble.hear_overdue([A]) == [A]
    steps = [lambda: trouble.hear_overdue([]), lambda: trouble.hear(RunReport("2", brought={A: ASSETS}))]
    first, second = steps if passed_first == "the check" else reversed(steps)
    first()
    assert trouble.all_well() == []
    second()
    assert trouble.all_well() == [A]


def test_a_week_that_stays_overdue_is_new_only_once() -> None:
    trouble = Trouble()
    assert trouble.hear_overdue([A]) == [A]
    assert trouble.hear_overdue([A]) == []
    assert trouble.hear_overdue([A, B]) == [B]
    assert trouble.hear_overdue([B]) == []
    assert trouble.all_well() == []
    assert trouble.hear_overdue([]) == []
    assert trouble.all_well() == [A, B]
