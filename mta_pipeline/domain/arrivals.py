"""Which weeks should be in the lake by now, which of them are not, and for how long that is all right.

The lake itself is asked, about the newest weeks alone: what is brought in of older ones changes no answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from mta_pipeline.domain.errors import Finding
from mta_pipeline.domain.lake import LakeStore
from mta_pipeline.domain.weeks import Week

#: Weeks back from the newest one. What is missing from before them is a gap in the history, not an arrival.
LOOK_BACK = 4


@dataclass(frozen=True)
class Arrivals:
    """The weeks that are wanted as they come out, from `first` to `last` (or for ever)."""

    first: Week
    last: Week | None
    overdue_after: timedelta

    def due(self, now: datetime) -> list[Week]:
        """The newest weeks whose files are due at the moment `now` (aware), the newest first."""
        newest = Week.newest_published(now)
        if newest.due > now:
            newest = newest.shifted(-1)
        oldest = max(self.first, newest.shifted(1 - LOOK_BACK))
        return list(Week.between(oldest, min(newest, self.last or newest)))[::-1]

    def lateness(self, now: datetime, lake: LakeStore) -> Lateness:
        """What is missing from the lake at the moment `now` (aware). Raises `LakeError`."""
        due = self.due(now)
        missing = [week for week in due if not lake.exists(week.object_name)]
        # Reckoned in UTC: days on which clocks change do not have 24 hours.
        since = now.astimezone(timezone.utc) - self.overdue_after
        overdue = [week for week in missing if week.due.astimezone(timezone.utc) < since]
        return Lateness(lake.url, self.overdue_after, due, missing, overdue)


@dataclass(frozen=True)
class Lateness:
    """The weeks that are due, those of them that the lake has not, and those that it should have had long ago."""

    lake: str
    overdue_after: timedelta
    due: list[Week]
    missing: list[Week]
    overdue: list[Week]

    @property
    def finding(self) -> Finding | None:
        """What is wrong: the overdue weeks, and what to do. None where nothing is."""
        if not self.overdue:
            return None
        weeks = ", ".join(f"{week} (due {week.due:%Y-%m-%d at %H:%M} in New York)" for week in self.overdue)
        return Finding(
            where=self.lake,
            found=f"no object of {len(self.overdue)} of the {len(self.due)} newest weeks: {weeks}",
            expected=f"each within {self.overdue_after.total_seconds() / 3600:g} hours of that moment",
            remedy="`mta-pipeline weeks` says why a week failed. Where the feed has ended, as the MTA's own has, set "
            "MTA_LAST_WEEK to its last week.",
        )

    def __str__(self) -> str:
        if self.finding:
            return str(self.finding)
        if self.missing:
            return f"Due and not in the lake yet, but not overdue: {', '.join(map(str, self.missing))}."
        if self.due:
            return f"The newest weeks are in the lake, back to {self.due[-1]}: {len(self.due)} up to {self.due[0]}."
        return "No week is due: the history that is wanted (MTA_FIRST_WEEK, MTA_LAST_WEEK) has no new ones."
