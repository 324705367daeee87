"""What people are told of: which weeks are in trouble and why, in one short message a run.

`RunReport` is what came of a run, as plain values; `Trouble` remembers which weeks wait to be good
again; the functions make messages of them. `targets` sends those.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

#: Weeks that a message names, and characters of what it says of one: it is read on a telephone.
MOST_WEEKS = 10
MOST_CHARACTERS = 400
SENDER = "MTA turnstiles"
OVERDUE = "overdue"


class Kind(Enum):
    """How grave a message is, by the names that Apprise has for it."""

    FAILURE = "failure"
    WARNING = "warning"
    WELL = "success"
    TEST = "info"


@dataclass(frozen=True)
class Message:
    """What is sent: plain text, the link first, because some services cut what is long.

    `run_id` is the run that it is about, if it is about one.
    """

    kind: Kind
    title: str
    body: str
    run_id: str | None = None


@dataclass(frozen=True)
class RunReport:
    """What came of a run. Weeks are given by their keys; work that belongs to no week has the key "".

    `missing` holds, by week, what the run was to bring and did not (assets, or checks that passed),
    `brought` what it brought: a week is well again when all that it missed was brought.
    """

    run_id: str
    weeks: Sequence[str] = ()
    failed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    warned: Mapping[str, Sequence[str]] = field(default_factory=dict)
    #: Why the run broke off, or None.
    crash: str | None = None
    #: The run that Dagster started in the place of this one.
    retried_as: str | None = None
    missing: Mapping[str, Collection[str]] = field(default_factory=dict)
    brought: Mapping[str, Collection[str]] = field(default_factory=dict)


@dataclass
class Trouble:
    """Which weeks are in trouble, and what each of them misses; kept from run to run."""

    missing: dict[str, list[str]] = field(default_factory=dict)
    #: Weeks that were in trouble, and are good again while others are not.
    healed: list[str] = field(default_factory=list)

    def hear(self, report: RunReport) -> None:
        """Take a run into account."""
        for week, things in report.missing.items():
            self._add(week, things)
        for week, things in report.brought.items():
            self._remove(week, things)

    def hear_overdue(self, weeks: Collection[str]) -> list[str]:
        """Take into account that exactly `weeks` are overdue; returns those that were not before."""
        known = [week for week, things in self.missing.items() if OVERDUE in things]
        for week in known:
            if week not in weeks:
                self._remove(week, [OVERDUE])
        new = [week for week in weeks if week not in known]
        for week in new:
            self._add(week, [OVERDUE])
        return new

    def all_well(self) -> list[str]:
        """The weeks to say "all well again" of: empty while any is in trouble, and after it was said."""
        if self.missing:
            return []
        healed, self.healed = sorted(self.healed), []
        return healed

    def _add(self, week: str, things: Iterable[str]) -> None:
        self.missing[week] = sorted({*self.missing.get(week, ()), *things})
        if week in self.healed:
            self.healed.remove(week)

    def _remove(self, week: str, things: Collection[str]) -> None:
        if week not in self.missing:
            return
        left = [thing for thing in self.missing[week] if thing not in things]
        if left:
            self.missing[week] = left
        else:
            del self.missing[week]
            self.healed.append(week)


def of_run(report: RunReport, healed: Sequence[str], ui_url: str) -> Message | None:
    """The one message about a run; None where there is nothing to tell.

    `healed` are the weeks of which all are good again. A run that was started again is a warning: its
    successor decides whether something is wrong.
    """
    failed = {**{week: () for week in report.missing if report.crash}, **report.failed}
    told: list[str] = []
    if report.failed:
        told += ["Failed:", *_lines(report.failed)]
    if report.crash:
        told.append(f"The run broke off: {_short(report.crash)}")
        without_a_word = [week for week in failed if week and week not in report.failed]
        if without_a_word:
            told.append(f"It left unfinished: {_named(without_a_word)}")
        if report.retried_as:
            told.append(f"Dagster has started it again: {_run(ui_url, report.retried_as)}")
    if report.warned:
        told += ["Warned:", *_lines(report.warned)]
    if healed:
        told.append(_well(healed))
    if not told:
        return None
    if failed or report.crash:
        kind = Kind.WARNING if report.retried_as else Kind.FAILURE
        weeks = [week for week in failed if week]
        title = f"{len(weeks)} of {len(report.weeks)} weeks failed" if weeks else "a run failed"
        if len(report.weeks) == 1 and weeks:
            title = f"week {weeks[0]} failed"
        if report.crash:
            title = f"a run broke off, {title}" if weeks else "a run broke off"
        if report.retried_as:
            title = "a run broke off and was started again"
    elif report.warned:
        kind, title = Kind.WARNING, f"{_count(len(report.warned))} with a warning"
    else:
        kind, title = Kind.WELL, "all well again"
    return Message(kind, f"{SENDER}: {title}", "\n".join([_run(ui_url, report.run_id), *told]), report.run_id)


def of_overdue(weeks: Sequence[str], why: str, link: str) -> Message:
    """The message that weeks are overdue; `why` is the sentence of the check that found it."""
    named = [week for week in weeks if week]
    title = f"{_count(len(named))} overdue" if named else "a week is overdue"
    told = [link, _short(why), *([f"Overdue: {_named(named)}"] if named else [])]
    return Message(Kind.WARNING, f"{SENDER}: {title}", "\n".join(told))


def of_all_well(healed: Sequence[str], link: str) -> Message:
    """The message that all is well again, where no run is to be told of."""
    return Message(Kind.WELL, f"{SENDER}: all well again", f"{link}\n{_well(healed)}")


def of_test(ui_url: str) -> Message:
    """The message that `mta-pipeline alert-test` sends."""
    return Message(Kind.TEST, f"{SENDER}: a test", f"Alerts reach you. The UI is at {ui_url}")


def _lines(sentences: Mapping[str, Sequence[str]]) -> list[str]:
    """A line a week, its first sentence, for as many weeks as a message names."""
    lines = []
    for week in sorted(sentences)[:MOST_WEEKS]:
        first, *others = sentences[week] or ("no reason was recorded",)
        text = first if not week or week in first else f"Week {week}: {first}"
        lines.append(f"- {_short(text)}" + (f" (and {len(others)} more)" if others else ""))
    left = len(sentences) - len(lines)
    return [*lines, f"and {left} more"] if left else lines


def _named(weeks: Collection[str]) -> str:
    named = ", ".join(sorted(weeks)[:MOST_WEEKS])
    left = len(weeks) - MOST_WEEKS
    return f"{named} and {left} more" if left > 0 else named


def _well(healed: Sequence[str]) -> str:
    weeks = [week for week in healed if week]
    return f"Good again: {_named(weeks)}" if weeks else "What failed before went well."


def _count(weeks: int) -> str:
    return f"{weeks} week{'' if weeks == 1 else 's'}"


def _short(text: str) -> str:
    """One line, not too long, without the user and password of an address in it."""
    line = re.sub(r"://[^/?#@\s]*@", "://***@", " ".join(text.split()))
    return line if len(line) <= MOST_CHARACTERS else f"{line[: MOST_CHARACTERS - 1]}…"


def _run(ui_url: str, run_id: str) -> str:
    return f"{ui_url}/runs/{run_id}"
