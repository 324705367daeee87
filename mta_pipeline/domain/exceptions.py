"""Files that were published with a fault, and will never be mended: what is wrong, and what we do about it.

The one place in which anything is let through that the audit would keep out. A week that stands here may
have so many malformed lines and no more; it goes to the lake as it was published, byte for byte, and those
lines are not in `readings`, but in `readings_rejected`. All other weeks, and all other checks, stay strict.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from mta_pipeline.domain.weeks import Week


@dataclass(frozen=True)
class KnownFault:
    """A fault of one published file."""

    release_date: date
    what: str
    lines: int  #: malformed lines at most, on top, in the middle or at the end
    source: str

    @property
    def week(self) -> Week:
        """The week of the file."""
        return Week(self.release_date).shifted(-1)

    def __str__(self) -> str:
        let = "one malformed line is" if self.lines == 1 else f"up to {self.lines} malformed lines are"
        return f"{self.week.file_name} has {self.what} ({self.source}): {let} let through"


_USERS = "told by people who read all files of that year"

#: By the Saturday in the file's name.
KNOWN_FAULTS = (
    KnownFault(date(2012, 4, 28), "an empty EXITS value", 1, _USERS),
    KnownFault(date(2012, 5, 5), "a '-' where a number should be, and a line broken in two at line 16,384", 4, _USERS),
    KnownFault(date(2012, 7, 14), "some ten lines of junk above its first reading", 20, _USERS),
    KnownFault(date(2012, 8, 25), "an odd last line", 1, _USERS),
)
_BY_WEEK = {fault.week: fault for fault in KNOWN_FAULTS}


def known_fault(week: Week) -> KnownFault | None:
    """What is known to be wrong with the week's file."""
    return _BY_WEEK.get(week)
