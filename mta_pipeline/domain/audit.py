"""What a good week is: the checks, their thresholds, and their verdicts on what `scan` saw.

The checks are data (`CHECKS`), so that Dagster's specs, the table of the command line and the docs
speak of the same ones. Each verdict carries figures, and where it failed a `Finding`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mta_pipeline.domain.errors import Finding
from mta_pipeline.domain.exceptions import KNOWN_FAULTS, known_fault
from mta_pipeline.domain.layouts import CURRENT, LEGACY, Layout, layout_of
from mta_pipeline.domain.scan import JUMP, Scan
from mta_pipeline.domain.weeks import Week

Figure = int | float | str


@dataclass(frozen=True)
class Check:
    """A promise about a week's file (`raw`), about its object in the lake (`object`), or about a table, by its name."""

    name: str
    about: str
    blocking: bool  #: whether what fails it is kept out of the lake
    description: str


FILE_FETCHED = Check(
    "file_fetched", "raw", True,
    "The feed delivered the week's file, whole: the promised length, within the byte and time caps.",
)  # fmt: skip
HEADER_MATCHES = Check(
    "header_matches", "raw", True,
    "The first line is the header as published, trailing blanks aside; before 2014-10-18 files have "
    "no header, and begin with three key fields and groups of five.",
)  # fmt: skip
ROW_COUNT_IN_RANGE = Check(
    "row_count_in_range", "raw", True,
    "As many rows as whole files of this layout have, and not far fewer than this week and its "
    "neighbours already have in the lake.",
)  # fmt: skip
ROWS_WELL_FORMED = Check(
    "rows_well_formed", "raw", True,
    "Every row has its fields, dates and times are ones, counters are digits, every line is as wide "
    "as the first, and the file ends with a line ending.\n\nFaults with which a file was published, and which are let "
    "through:\n\n" + "\n".join(f"- {fault}." for fault in KNOWN_FAULTS),
)  # fmt: skip
COVERS_ITS_WEEK = Check(
    "covers_its_week", "raw", True,
    "The days are exactly the seven of this week: the file is not another week's under this name.",
)  # fmt: skip
COUNTERS_PLAUSIBLE = Check(
    "counters_plausible", "raw", False,
    "Duplicates, backward registers, resets, jumps and silent turnstiles are as rare as in good weeks. "
    "Warns only.",
)  # fmt: skip
OBJECT_INTACT = Check(
    "object_intact", "object", True,
    "What is stored decompresses to exactly the staged bytes: size, crc32c, sha256 and rows.",
)  # fmt: skip

#: All checks, in the order of the data's way.
CHECKS = (
    FILE_FETCHED, HEADER_MATCHES, ROW_COUNT_IN_RANGE, ROWS_WELL_FORMED, COVERS_ITS_WEEK,
    COUNTERS_PLAUSIBLE, OBJECT_INTACT,
)  # fmt: skip

#: A week with less than this share of a neighbour's rows has lost some: good neighbours differ by
#: 1 % (240106 … 240120), and even 2015's weeks have 0.76 of 2024's.
NEIGHBOUR_SHARE = 0.7

#: What at most may be odd, as shares; three to four times the worst of 230603, 240106, 240113 and
#: 240120 and of the head of 170624 (legacy: of the head of 110528, where each opened door repeats a reading).
MOST_DUPLICATES: Mapping[Layout, float] = {CURRENT: 0.000_5, LEGACY: 0.12}  # of readings; seen 0.000 14 and 0.039
MOST_BACKWARD = 0.03  # of registers; seen 0.010
MOST_RESETS = 0.001  # of steps; seen 0.000 24
MOST_JUMPS = 0.000_2  # of steps; seen 0.000 05
MOST_SILENT = 0.10  # of turnstiles; seen 0.030
#: So many are never too many: shares mean nothing in a file of a few turnstiles.
ALWAYS_ALLOWED = 3


@dataclass(frozen=True)
class Verdict:
    """What one check says of one week. `finding` is None where it passed."""

    check: Check
    finding: Finding | None = None
    figures: Mapping[str, Figure] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether nothing was found wanting."""
        return self.finding is None


def audit(scan: Scan, week: Week, where: str, neighbours: Mapping[Week, int], scale: float = 1.0) -> Sequence[Verdict]:
    """Judge a scanned file: one verdict for each check on `raw` but `FILE_FETCHED`.

    `where` names the file in messages; `neighbours` are the rows of `week` and the weeks beside it
    that are in the lake already; `scale` is the size of this feed's files beside the MTA's.
    """
    judge = _Judge(scan, week, where, layout_of(week))
    return (
        judge.header_matches(),
        judge.row_count_in_range(neighbours, scale),
        judge.rows_well_formed(),
        judge.covers_its_week(),
        judge.counters_plausible(),
    )


@dataclass(frozen=True)
class _Judge:
    scan: Scan
    week: Week
    where: str
    layout: Layout  # the one this week was published in

    def _finding(self, where: str, found: str, expected: str, remedy: str) -> Finding:
        place = f"{self.where}, {where}" if where else self.where
        return Finding(week=self.week, where=place, found=found, expected=expected, remedy=remedy)

    def header_matches(self) -> Verdict:
        scan, layout = self.scan, self.layout
        figures: dict[str, Figure] = {
            "layout": scan.layout.name if scan.layout else "unknown",
            "first line": scan.first_line[:120],
        }
        if scan.layout is layout and (layout.header is None or scan.first_line == layout.header):
            return Verdict(HEADER_MATCHES, None, figures)
        expected = f"the header {layout.header}" if layout.header else f"no header, but rows {layout.expected}"
        return Verdict(
            HEADER_MATCHES,
            self._finding("line 1", self._first_line(), expected, self._header_remedy()),
            figures,
        )

    def _first_line(self) -> str:
        line = self.scan.first_line
        if not self.scan.size:
            return "an empty file"
        if line.startswith("\\xef\\xbb\\xbf"):
            return f"a byte-order mark before {line[12:60]!r}"
        if _is_html(self.scan):
            return f"an HTML page, {line[:60]!r}"
        return repr(line[:120])

    def _header_remedy(self) -> str:
        if not self.scan.size or _is_html(self.scan):
            return "The server answered with something other than the data: open the address, and try again later."
        if self.scan.layout is not None and self.scan.layout is not self.layout:
            return "The file is of another time: get this week's from another mirror."
        return "Somebody re-saved or edited the file: get it as published, from another mirror."

    def row_count_in_range(self, neighbours: Mapping[Week, int], scale: float) -> Verdict:
        rows, usual = self.scan.rows, self.layout.usual_rows
        low, high = round(usual.start * scale), round((usual.stop - 1) * scale)
        figures: dict[str, Figure] = {"rows": rows, "fewest rows expected": low, "most rows expected": high}
        for week, stored in neighbours.items():
            figures[f"rows in the lake, {week.key}"] = stored
        fullest = max(neighbours, key=lambda week: neighbours[week], default=None)
        finding = None
        if not low <= rows <= high:
            finding = self._finding(
                "",
                f"{rows:,} rows",
                f"{low:,} to {high:,}, as whole files have",
                "Part of the week is missing or doubled: fetch it again later or from another mirror"
                + (" (for a feed of small samples set MTA_FEED_SCALE)." if rows < low else "."),
            )
        elif fullest and rows < NEIGHBOUR_SHARE * neighbours[fullest]:
            finding = self._finding(
                "",
                f"{rows:,} rows",
                f"at least {NEIGHBOUR_SHARE:.0%} of the {neighbours[fullest]:,} that week {fullest} has in the lake",
                "Part of the week is missing: fetch it again later or from another mirror.",
            )
        return Verdict(ROW_COUNT_IN_RANGE, finding, figures)

    def rows_well_formed(self) -> Verdict:
        scan = self.scan
        figures: dict[str, Figure] = {
            "malformed rows": scan.malformed,
            "line width, bytes": scan.width,
            "line ending": scan.line_ending or "none",
        }
        fault = known_fault(self.week)
        if fault:
            figures["known fault"] = str(fault)
        for example in scan.examples:
            figures[f"line {example.line}"] = f"{example.fault}: {example.text}"
        expected = f"lines of one width, {self.layout.expected}"
        remedy = "The file is damaged or was re-saved: fetch it again, or from another mirror."
        finding = None
        if scan.malformed > (fault.lines if fault else 0):
            first = scan.examples[0]
            found = f"'{first.text[:120]}' ({first.fault}; {scan.malformed:,} of {scan.rows:,} rows are malformed)"
            finding = self._finding(f"line {first.line}", found, expected, remedy)
        elif scan.layout is None:
            finding = self._finding("", f"{scan.rows:,} lines of no known layout", expected, remedy)
        elif not scan.ends_whole and not scan.malformed:
            finding = self._finding("line 1", "a file that ends inside its only line", expected, remedy)
        return Verdict(ROWS_WELL_FORMED, finding, figures)

    def covers_its_week(self) -> Verdict:
        counts = self.scan.readings_per_day
        wanted = set(self.week.days)
        # By weekday, so that one plot compares the weeks.
        figures: dict[str, Figure] = {f"readings of {day:%A}": counts[day] for day in self.week.days}
        strange = sorted(day for day in counts if day not in wanted)
        missing = sorted(day for day in wanted if not counts[day])
        finding = None
        if strange or missing:
            found = f"readings of {_days(sorted(counts))}" if counts else "no readings"
            if missing and not strange:
                found += f", none of {_days(missing)}"
            finding = self._finding(
                "",
                found,
                f"the seven days {self.week.first_day} to {self.week.last_day}",
                "The file holds another week or part of one: get this week's, from another mirror if need be.",
            )
        for day in strange[:7]:
            figures[f"readings of {day}"] = counts[day]
        return Verdict(COVERS_ITS_WEEK, finding, figures)

    def counters_plausible(self) -> Verdict:
        seen = self.scan.registers
        measures = (
            ("duplicate readings", seen.duplicates, self.scan.readings, MOST_DUPLICATES[self.layout]),
            ("registers that run backward", seen.backward, 2 * seen.turnstiles, MOST_BACKWARD),
            ("resets", seen.resets, seen.steps, MOST_RESETS),
            (f"jumps over {JUMP:,}", seen.jumps, seen.steps, MOST_JUMPS),
            ("silent turnstiles", seen.silent, seen.turnstiles, MOST_SILENT),
        )
        figures: dict[str, Figure] = {"turnstiles": seen.turnstiles}
        odd: list[str] = []
        allowed: list[str] = []
        for name, count, total, share in measures:
            figures[name] = count
            figures[f"{name}, share"] = round(count / total, 6) if total else 0.0
            if count > max(share * total, ALWAYS_ALLOWED):
                odd.append(f"{count:,} {name} among {total:,}")
                allowed.append(f"{share:.3%} {name}")
        if not odd:
            return Verdict(COUNTERS_PLAUSIBLE, None, figures)
        return Verdict(
            COUNTERS_PLAUSIBLE,
            self._finding(
                "",
                ", ".join(odd),
                f"at most {', '.join(allowed)}",
                "This keeps nothing out of the lake; look at these turnstiles before you trust its totals.",
            ),
            figures,
        )


def _is_html(scan: Scan) -> bool:
    # Pages often begin with an empty line, so the rows at hand are looked at too.
    return any(line.lstrip().lower().startswith(("<!doctype html", "<html")) for line in (scan.first_line, *scan.head))


def _days(days: Sequence[object]) -> str:
    """Days in a sentence: all of a few, the ends of many."""
    texts = [str(day) for day in days]
    return ", ".join(texts) if len(texts) <= 3 else f"{texts[0]} … {texts[-1]} ({len(texts)} days)"
