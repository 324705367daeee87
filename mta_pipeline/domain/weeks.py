"""The week, as the MTA publishes it; the only place where dates are reckoned with.

A week runs from Saturday to Friday. Its file comes out on the Saturday after and is named after
that day: `turnstile_230318.txt` holds 2023-03-11 to 2023-03-17. A week is known by its first day,
which is its key everywhere: in Dagster's partitions, on the command line, in messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from mta_pipeline.domain.errors import Finding, WeekError

NEW_YORK = ZoneInfo("America/New_York")
SATURDAY = 5  # date.weekday()
A_WEEK = timedelta(days=7)


@dataclass(frozen=True, order=True)
class Week:
    """Seven days from a Saturday on, and all the names that follow from them."""

    first_day: date

    def __post_init__(self) -> None:
        if self.first_day.weekday() != SATURDAY:
            raise WeekError(
                Finding(
                    where=f"week {self.first_day.isoformat()}",
                    found=f"a {self.first_day:%A}",
                    expected="a Saturday, the first day of a week",
                    remedy=f"The week that holds this day is {Week.containing(self.first_day).key}.",
                )
            )

    @classmethod
    def containing(cls, day: date) -> Week:
        """The week in which `day` lies."""
        return cls(day - timedelta(days=(day.weekday() - SATURDAY) % 7))

    @classmethod
    def parse(cls, text: str) -> Week:
        """The week of an ISO date: its key, or any other day inside it. Raises `WeekError`."""
        try:
            # A full match, because some Pythons also read 20240106 or 2024-W01 as a date.
            if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
                raise ValueError(text)
            return cls.containing(date.fromisoformat(text))
        except (ValueError, OverflowError) as fault:
            raise WeekError(
                Finding(
                    where="the week asked for",
                    found=repr(text),
                    expected="a date as YYYY-MM-DD",
                    remedy="Give a week's first day, such as 2024-01-06, or any day inside it.",
                )
            ) from fault

    @classmethod
    def of_file(cls, name: str) -> Week | None:
        """The week of a published file's name, None where the name is not of that form."""
        match = re.fullmatch(r"turnstile_([0-9]{2})([0-9]{2})([0-9]{2})\.txt", name)
        if not match:
            return None
        year, month, day = (int(part) for part in match.groups())
        try:
            return cls(date(2000 + year, month, day) - A_WEEK)
        except (ValueError, WeekError):
            return None

    @classmethod
    def newest_published(cls, now: datetime) -> Week:
        """The newest week whose release date has come in New York at the moment `now` (aware)."""
        return cls.containing(now.astimezone(NEW_YORK).date()).shifted(-1)

    @classmethod
    def between(cls, first: Week, last: Week) -> Iterator[Week]:
        """All weeks from `first` to `last`, both included, in order."""
        week = first
        while week <= last:
            yield week
            week = week.shifted(1)

    def shifted(self, weeks: int) -> Week:
        """The week that lies `weeks` later (earlier where negative)."""
        return Week(self.first_day + weeks * A_WEEK)

    @property
    def key(self) -> str:
        """The first day in ISO form: the partition key."""
        return self.first_day.isoformat()

    @property
    def days(self) -> tuple[date, ...]:
        """Its seven days, in order."""
        return tuple(self.first_day + timedelta(days=n) for n in range(7))

    @property
    def last_day(self) -> date:
        """The Friday."""
        return self.days[-1]

    @property
    def release_date(self) -> date:
        """The Saturday on which the file comes out."""
        return self.first_day + A_WEEK

    @property
    def due(self) -> datetime:
        """Noon in New York on the release date: the file comes out in the morning, so by now it should be there."""
        return datetime.combine(self.release_date, time(12), NEW_YORK)

    @property
    def start(self) -> datetime:
        """Midnight in New York at which the week begins."""
        return datetime.combine(self.first_day, time(), NEW_YORK)

    @property
    def file_name(self) -> str:
        """The published name, e.g. `turnstile_230318.txt`."""
        return f"turnstile_{self.release_date:%y%m%d}.txt"

    @property
    def object_name(self) -> str:
        """The name in the lake, e.g. `turnstile/turnstile_230318.csv.gz`."""
        return f"turnstile/turnstile_{self.release_date:%y%m%d}.csv.gz"

    def __str__(self) -> str:
        return self.key


#: The first week with a regular Saturday file, turnstile_100515.txt. (The very first file,
#: turnstile_100505.txt, came out on a Wednesday and fits no week.)
FIRST_PUBLISHED = Week(date(2010, 5, 8))
