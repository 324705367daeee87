"""What the made-up feed promises; its files are read here with `csv` and `split`, not with the project's scan."""

from __future__ import annotations

import csv
import hashlib
import re
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from functools import cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta_pipeline.domain.audit import audit
from mta_pipeline.domain.errors import WeekError
from mta_pipeline.domain.sample import BOOTHS_FILE, pieces, write_feed, write_week
from mta_pipeline.domain.scan import scan
from mta_pipeline.domain.weeks import Week

HEADER = "C/A,UNIT,SCP,STATION,LINENAME,DIVISION,DATE,TIME,DESC,ENTRIES,EXITS"
FIRST_CURRENT = "2014-10-11"
LAST_LEGACY = "2014-10-04"
WINTER, SUMMER = "2024-01-06", "2023-07-08"
SPRING_FORWARD, FALL_BACK = "2024-03-09", "2023-11-04"
AUDITED = (
    "2011-05-21", LAST_LEGACY, FIRST_CURRENT, "2020-10-31", WINTER, SPRING_FORWARD, FALL_BACK, "2026-11-07",
)  # fmt: skip


@dataclass(frozen=True)
class Reading:
    key: tuple[str, ...]  # C/A, UNIT, SCP
    station: tuple[str, ...]  # STATION, LINENAME, DIVISION; empty in legacy files
    moment: datetime  # New York's clocks
    desc: str
    entries: int
    exits: int

    @property
    def registers(self) -> tuple[int, int]:
        return self.entries, self.exits


@cache
def content(week: str, rows: int) -> bytes:
    return b"".join(pieces(Week.parse(week), rows))


@cache
def moment(day: str, time: str, form: str) -> datetime:
    return datetime.strptime(f"{day} {time}", f"{form} %H:%M:%S")


@cache
def readings(week: str, rows: int) -> Sequence[Reading]:
    text = content(week, rows).decode("ascii")
    found = []
    for f in csv.reader(text.splitlines()[1:] if text.startswith("C/A") else ()):
        at = moment(f[6], f[7], "%m/%d/%Y")
        found.append(Reading((f[0], f[1], f[2]), (f[3], f[4], f[5]), at, f[8], int(f[9]), int(f[10])))
    for line in () if text.startswith("C/A") else text.splitlines():
        f = line.rstrip().split(",")
        for n in range(3, len(f), 5):
            at = moment(f[n], f[n + 1], "%m-%d-%y")
            found.append(Reading((f[0], f[1], f[2]), (), at, f[n + 2], int(f[n + 3]), int(f[n + 4])))
    return found


@cache
def by_turnstile(week: str, rows: int) -> Mapping[tuple[str, ...], list[Reading]]:
    turnstiles: dict[tuple[str, ...], list[Reading]] = defaultdict(list)
    for reading in readings(week, rows):
        turnstiles[reading.key].append(reading)
    return turnstiles


def without_duplicates(turnstile: Iterable[Reading]) -> list[Reading]:
    first: dict[datetime, Reading] = {}
    for reading in turnstile:
        first.setdefault(reading.moment, reading)
    return list(first.values())


def steps(turnstile: Iterable[Reading]) -> list[tuple[int, int]]:
    """What entries and exits gained from each reading to the next, duplicates aside."""
    once = without_duplicates(turnstile)
    return [(after.entries - before.entries, after.exits - before.exits) for before, after in pairwise(once)]


@cache
def backward(week: str, rows: int) -> set[tuple[str, ...]]:
    return {
        key
        for key, turnstile in by_turnstile(week, rows).items()
        if all(sum(step[r] < 0 for step in steps(turnstile)) > len(turnstile) / 2 for r in (0, 1))
    }


@cache
def were_reset(week: str, rows: int) -> set[tuple[str, ...]]:
    return {
        key
        for key, turnstile in by_turnstile(week, rows).items()
        if any(min(step) < 0 for step in steps(turnstile)) and key not in backward(week, rows)
    }


def duplicates(week: str, rows: int) -> list[list[Reading]]:
    found = defaultdict(list)
    for reading in readings(week, rows):
        found[reading.key, reading.moment].append(reading)
    return [group for group in found.values() if len(group) > 1]


def gain(week: str, rows: int) -> int:
    """Entries of the turnstiles that count forward all week."""
    odd = backward(week, rows) | were_reset(week, rows)
    return sum(sum(step[0] for step in steps(t)) for key, t in by_turnstile(week, rows).items() if key not in odd)


# Layout


def test_a_current_file_is_as_published_to_the_byte() -> None:
    lines = content(WINTER, 2_000).split(b"\r\n")
    assert lines.pop() == b""
    assert {len(line) for line in lines} == {130}
    assert lines[0].decode().rstrip() == HEADER
    row = r"[A-Z]+\d+,R\d{3},\d\d-\d\d-\d\d,[^,]+,[A-Z0-9]+,(BMT|IND|IRT|PTH),\d\d/\d\d/\d{4},\d\d:\d\d:\d\d,"
    for line in lines[1:]:
        assert re.fullmatch(row + r"(REGULAR|RECOVR AUD),\d{10},\d{10} *", line.decode())


def test_a_legacy_file_is_as_published_to_the_byte() -> None:
    lines = content("2011-05-21", 25_000).split(b"\r\n")
    assert lines.pop() == b""
    assert {len(line) for line in lines} == {400}
    group = r",\d\d-\d\d-\d\d,\d\d:\d\d:\d\d,(REGULAR|RECOVR AUD|DOOR OPEN|DOOR CLOSE|LOGON),\d{9},\d{9}"
    for line in lines:
        assert re.fullmatch(r"[A-Z]+\d+,R\d{3},\d\d-\d\d-\d\d" + f"({group}){{1,8}} *", line.decode())


def test_only_the_last_line_of_a_legacy_turnstile_has_fewer_than_eight_readings() -> None:
    lines = [line.rstrip().split(b",") for line in content("2011-05-21", 2_000).splitlines()]
    for before, after in pairwise(lines):
        assert len(before) == 3 + 8 * 5 or before[:3] != after[:3]


@pytest.mark.parametrize("week", [LAST_LEGACY, FIRST_CURRENT])
def test_the_layout_changes_with_the_file_of_2014_10_18(week: str) -> None:
    assert content(week, 300).startswith(b"C/A") is (week == FIRST_CURRENT)


@pytest.mark.parametrize("week", AUDITED)
def test_a_file_is_sorted_by_turnstile_and_time_and_holds_exactly_its_seven_days(week: str) -> None:
    found = readings(week, 5_000)
    order = [(reading.key, reading.moment) for reading in found]
    assert order == sorted(order)
    first = date.fromisoformat(week)
    assert {reading.moment.date() for reading in found} == {first + timedelta(days=n) for n in range(7)}


@pytest.mark.parametrize("rows", [200, 230, 300, 999, 1_000, 1_500, 1_784, 1_785, 2_000, 4_300, 25_000, 250_000])
@pytest.mark.parametrize("week", [FIRST_CURRENT, SPRING_FORWARD, FALL_BACK])
def test_a_current_file_has_about_as_many_rows_as_asked_for(week: str, rows: int) -> None:
    lines = sum(piece.count(b"\n") for piece in pieces(Week.parse(week), rows)) - 1
    assert lines == pytest.approx(rows, rel=0.2 if rows < 1_000 else 0.1)


def test_pieces_come_one_turnstile_at_a_time() -> None:
    header, *turnstiles = pieces(Week.parse(WINTER), 300)
    assert header.count(b"\n") == 1
    assert [len({line[:18] for line in piece.splitlines()}) for piece in turnstiles] == [1] * 7


# The same bytes, always


def test_a_current_week_is_the_same_bytes_everywhere() -> None:
    assert (
        hashlib.sha256(content(WINTER, 2_000)).hexdigest()
        == "5a0b3dc9d8f2a85705165094521ab40f5eb0a061f07106a10959e615b35adddf"
    )


def test_a_legacy_week_is_the_same_bytes_everywhere() -> None:
    assert (
        hashlib.sha256(content("2011-05-21", 2_000)).hexdigest()
        == "937dbbd74e5e7bf32445a13a2100f14dd9d72b26e7fdd7c8a69f69e1ca4952a5"
    )


def test_a_week_does_not_depend_on_what_was_written_before(tmp_path: Path) -> None:
    weeks = [Week.parse(key) for key in (WINTER, FIRST_CURRENT, LAST_LEGACY)]
    for week in weeks:
        assert write_week(week, tmp_path, 300).read_bytes() == content(week.key, 300)


# Turnstiles


def test_turnstiles_are_unique_and_their_keys_at_most_19_bytes() -> None:
    fields = [piece.split(b",")[:6] for piece in pieces(Week.parse(WINTER), 250_000)][1:]
    keys = {b",".join(field[:3]) for field in fields}
    assert len(keys) == len(fields)
    assert 4_500 < len(keys) < 5_500
    assert max(len(key) for key in keys) <= 19
    assert len({field[0] for field in fields}) > 700
    assert len({tuple(field[3:]) for field in fields}) == 40


@pytest.mark.parametrize("rows", [300, 5_000])
def test_the_turnstiles_are_the_same_in_all_weeks_and_both_layouts(rows: int) -> None:
    assert len({tuple(by_turnstile(week, rows)) for week in AUDITED}) == 1


def test_a_control_area_is_in_one_station_and_has_one_unit() -> None:
    areas = {(reading.key[0], reading.key[1], reading.station) for reading in readings(WINTER, 25_000)}
    assert len(areas) == len({area for area, *_ in areas})


# Times


@pytest.mark.parametrize(("week", "hours"), [(WINTER, {3, 7, 11, 15, 19, 23}), (SUMMER, {0, 4, 8, 12, 16, 20})])
def test_most_turnstiles_read_every_four_hours_on_a_grid_in_utc(week: str, hours: set[int]) -> None:
    turnstiles = by_turnstile(week, 25_000).values()
    on_grid = [t for t in turnstiles if all(r.moment.hour in hours and not r.moment.minute for r in t)]
    assert 0.82 < len(on_grid) / len(turnstiles) < 0.88
    assert all(len({r.moment for r in t}) == 42 for t in on_grid)


def test_path_keeps_times_of_its_own() -> None:
    path = [t for t in by_turnstile(WINTER, 25_000).values() if t[0].station[2] == "PTH" and len(t) < 600]
    assert {reading.moment.second for turnstile in path for reading in turnstile} == {21}
    assert len({reading.moment.time() for turnstile in path for reading in turnstile}) > 100


def test_few_turnstiles_report_every_15_minutes_and_none_in_small_or_legacy_files() -> None:
    def fast(week: str, rows: int) -> int:
        return sum(len(turnstile) > 600 for turnstile in by_turnstile(week, rows).values())

    assert fast(WINTER, 1_500) == fast("2011-05-21", 25_000) == 0
    assert fast(WINTER, 25_000) / len(by_turnstile(WINTER, 25_000)) == pytest.approx(0.014, abs=0.002)


@pytest.mark.parametrize("week", [SPRING_FORWARD, "2011-03-12"])
def test_in_spring_no_reading_has_a_time_that_clocks_skip(week: str) -> None:
    new_york = ZoneInfo("America/New_York")
    for reading in readings(week, 25_000):
        there_and_back = reading.moment.replace(tzinfo=new_york).astimezone(timezone.utc).astimezone(new_york)
        assert there_and_back.replace(tzinfo=None) == reading.moment


@pytest.mark.parametrize("week", [FALL_BACK, "2010-11-06"])
def test_in_autumn_no_time_comes_twice_but_of_duplicates(week: str) -> None:
    for regular, recovered in duplicates(week, 25_000):
        assert (regular.desc, recovered.desc) == ("REGULAR", "RECOVR AUD")
    repeated = date.fromisoformat(week) + timedelta(days=1)
    quarters = [r.moment for r in readings(week, 25_000) if r.moment.date() == repeated and r.moment.hour == 1]
    assert quarters


# Oddities


@pytest.mark.parametrize("rows", [300, 2_000, 25_000])
@pytest.mark.parametrize("week", [WINTER, "2011-05-21"])
def test_of_the_readings_one_in_a_hundred_or_somewhat_less_is_a_recovered_audit(week: str, rows: int) -> None:
    count = Counter(reading.desc for reading in readings(week, rows))
    assert 0.005 <= count["RECOVR AUD"] / count.total() <= 0.011


@pytest.mark.parametrize("rows", [2_000, 5_000, 25_000, 60_000])
def test_a_few_readings_have_a_recovered_duplicate_with_other_counters_between_its_neighbours(rows: int) -> None:
    found = duplicates(WINTER, rows)
    assert 1 <= len(found) <= max(1, 0.000_14 * len(readings(WINTER, rows)))
    turnstiles = by_turnstile(WINTER, rows)
    for regular, recovered in found:
        assert (regular.desc, recovered.desc) == ("REGULAR", "RECOVR AUD")
        following = next(r for r in turnstiles[regular.key] if r.moment > regular.moment)
        for first, second, third in zip(regular.registers, recovered.registers, following.registers, strict=True):
            assert first < second < third


def test_doors_are_opened_now_and_then_in_legacy_files_only() -> None:
    visits = [r.desc for r in readings("2011-05-21", 25_000) if r.desc not in ("REGULAR", "RECOVR AUD")]
    assert visits == ["DOOR OPEN", "LOGON", "DOOR CLOSE"] * (len(visits) // 3)
    assert visits
    assert {r.desc for r in readings(FIRST_CURRENT, 25_000)} == {"REGULAR", "RECOVR AUD"}


@pytest.mark.parametrize(("rows", "number"), [(300, 1), (5_000, 1), (25_000, 3)])
def test_the_same_few_turnstiles_count_backward_in_all_weeks(rows: int, number: int) -> None:
    assert len(backward(WINTER, rows)) == number
    assert len({frozenset(backward(week, rows)) for week in AUDITED}) == 1


@pytest.mark.parametrize("rows", [300, 5_000, 25_000])
@pytest.mark.parametrize("week", ["2010-05-08", *AUDITED])
def test_some_turnstile_is_reset_to_near_zero_once_in_the_week(week: str, rows: int) -> None:
    reset = were_reset(week, rows)
    assert 1 <= len(reset) <= 3
    for key in reset:
        turnstile = by_turnstile(week, rows)[key]
        for register in (0, 1):
            drops = [n for n, step in enumerate(steps(turnstile), 1) if step[register] < 0]
            assert len(drops) == 1
            assert without_duplicates(turnstile)[drops[0]].registers[register] < 1_500


def test_resets_reach_another_turnstile_in_the_next_week() -> None:
    assert not were_reset(WINTER, 5_000) & were_reset("2024-01-13", 5_000)


def test_one_turnstile_in_forty_is_silent() -> None:
    turnstiles = by_turnstile(WINTER, 25_000).values()
    silent = [turnstile for turnstile in turnstiles if len({reading.registers for reading in turnstile}) == 1]
    assert len(silent) / len(turnstiles) == pytest.approx(0.025, abs=0.003)


# Registers


@pytest.mark.parametrize("week", AUDITED)
def test_registers_never_step_back_inside_a_week_but_where_reset_or_running_backward(week: str) -> None:
    odd = backward(week, 5_000) | were_reset(week, 5_000)
    for key, turnstile in by_turnstile(week, 5_000).items():
        sign = -1 if key in backward(week, 5_000) else 1
        if sign < 0 or key not in odd:
            assert all(0 <= sign * gained < 2_918 for step in steps(turnstile) for gained in step)


@pytest.mark.parametrize("rows", [300, 5_000])
@pytest.mark.parametrize("first", ["2010-05-08", "2014-09-20", "2020-03-07", "2023-10-28", "2024-03-02"])
def test_consecutive_weeks_continue_each_others_registers(first: str, rows: int) -> None:
    start = Week.parse(first)
    down = backward(first, rows)
    for number in range(5):  # the second of these weeks begins with 2014-09-27, the last with 2014-10-25
        before, after = (by_turnstile(start.shifted(n).key, rows) for n in (number, number + 1))
        assert before.keys() == after.keys()
        for key, turnstile in before.items():
            for old, new in zip(turnstile[-1].registers, after[key][0].registers, strict=True):
                assert 0 <= (old - new if key in down else new - old) < 1_500


def test_as_much_passes_between_two_weeks_as_between_two_days() -> None:
    week, following = by_turnstile("2023-09-09", 25_000), by_turnstile("2023-09-16", 25_000)
    odd = backward("2023-09-09", 25_000) | were_reset("2023-09-09", 25_000)
    nights: Counter[int] = Counter()
    for key in week.keys() - odd:
        turnstile = [*without_duplicates(week[key]), without_duplicates(following[key])[0]]
        if len(turnstile) == 43 and turnstile[0].moment.hour == 0:
            for day in (3, 4, 5, 6, 7):  # 20:00 to midnight
                nights[day] += turnstile[day * 6].entries - turnstile[day * 6 - 1].entries
    assert nights[7] == pytest.approx(nights[6], rel=0.1)


def test_rush_hours_and_workdays_are_busier() -> None:
    by_hour: Counter[tuple[bool, int]] = Counter()
    odd = backward(WINTER, 25_000) | were_reset(WINTER, 25_000)
    for key, turnstile in by_turnstile(WINTER, 25_000).items():
        if key not in odd and len({r.moment.hour for r in turnstile}) == 6:
            for before, after in pairwise(turnstile):
                by_hour[after.moment.weekday() < 5, after.moment.hour] += after.entries - before.entries
    workday = [by_hour[True, hour] / 5 for hour in (3, 7, 11, 15, 19, 23)]
    weekend = [by_hour[False, hour] / 2 for hour in (3, 7, 11, 15, 19, 23)]
    assert max(workday) == workday[4]
    assert workday[2] > workday[3] > workday[5] > workday[0]
    assert sum(workday) > 1.3 * sum(weekend)


def test_ridership_has_a_season_and_breaks_down_in_2020() -> None:
    assert gain("2019-10-12", 5_000) > 1.05 * gain("2019-08-10", 5_000)
    assert gain("2020-04-18", 5_000) < 0.15 * gain("2019-04-20", 5_000)
    assert gain("2019-04-20", 5_000) > gain("2023-04-15", 5_000) > 1.5 * gain("2020-10-10", 5_000) > 0


def test_two_weeks_are_not_alike() -> None:
    first, second = ([steps(t) for t in by_turnstile(week, 300).values()] for week in ("2023-09-09", "2023-09-16"))
    assert all(a != b for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("week", [LAST_LEGACY, "2026-11-07"])
def test_registers_always_have_room_in_nine_digits(week: str) -> None:
    largest = max(int(number) for number in re.findall(rb"\d{9,10}", content(week, 250_000)))
    assert 500_000_000 < largest < 999_999_999


# The audit


@pytest.mark.parametrize("rows", [300, 1_000, 5_000, 25_000, 250_000])
@pytest.mark.parametrize("key", AUDITED)
def test_every_size_and_kind_of_week_passes_the_audit(key: str, rows: int, tmp_path: Path) -> None:
    assert_passes(Week.parse(key), rows, tmp_path)


WEEKS = st.integers(0, 861).map(Week.parse("2010-05-08").shifted)


@settings(deadline=None, max_examples=25)
@given(week=WEEKS, rows=st.integers(200, 3_000))
def test_any_week_of_any_small_size_passes_the_audit(
    week: Week, rows: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert_passes(week, rows, tmp_path_factory.mktemp("week"))


def assert_passes(week: Week, rows: int, folder: Path) -> None:
    verdicts = audit(scan(write_week(week, folder, rows)), week, "x", {}, scale=rows / 250_000)
    assert [str(verdict.finding) for verdict in verdicts if not verdict.passed] == []
    assert "counters_plausible" in {verdict.check.name for verdict in verdicts}


# Writing


def test_a_week_is_written_under_its_published_name_and_nothing_else_remains(tmp_path: Path) -> None:
    path = write_week(Week.parse(WINTER), tmp_path / "new", 300)
    assert path == tmp_path / "new" / "turnstile_240113.txt"
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_week_that_cannot_be_made_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(WeekError, match=r"2010-05-01.*before the first published one"):
        write_week(Week.parse("2010-05-01"), tmp_path, 300)
    with pytest.raises(ValueError, match="199 rows"):
        write_week(Week.parse(WINTER), tmp_path, 199)
    assert list(tmp_path.iterdir()) == []


def sourced(folder: Path) -> dict[str, str]:
    """The settings that a shell has after `set -a; . feed.env`."""
    script = 'set -a; . "$1/feed.env"; env'
    output = subprocess.run(["sh", "-euc", script, "sh", folder], env={}, check=True, capture_output=True, text=True)
    return dict(line.split("=", 1) for line in output.stdout.splitlines() if line.startswith("MTA_"))


def test_a_feed_holds_its_weeks_and_settings_that_a_shell_can_source(tmp_path: Path) -> None:
    folder = tmp_path / "it's a $feed; 100%"
    weeks = [Week.parse(key) for key in (FIRST_CURRENT, WINTER, LAST_LEGACY)]
    written = list(write_feed(folder, weeks, 300))
    assert sorted(written) == sorted(folder / week.file_name for week in weeks)
    assert {path.name for path in folder.iterdir()} == {"feed.env", BOOTHS_FILE, *(path.name for path in written)}
    values = sourced(folder)
    assert values.keys() == {"MTA_FEED_URL", "MTA_BOOTHS_URL", "MTA_FEED_SCALE", "MTA_FIRST_WEEK"}
    assert values["MTA_BOOTHS_URL"] == f"{values['MTA_FEED_URL']}/{BOOTHS_FILE}"
    assert Path(unquote(urlsplit(values["MTA_FEED_URL"]).path)) == folder
    assert values["MTA_FEED_URL"].startswith("file:///")
    assert (values["MTA_FEED_SCALE"], values["MTA_FIRST_WEEK"]) == ("0.0012", LAST_LEGACY)


@pytest.mark.parametrize(("rows", "scale"), [(200, "0.0008"), (12_345, "0.04938"), (25_000, "0.1")])
def test_the_scale_is_a_short_decimal(rows: int, scale: str, tmp_path: Path) -> None:
    list(write_feed(tmp_path, [Week.parse("2010-05-08")], rows))
    assert sourced(tmp_path)["MTA_FEED_SCALE"] == scale


def test_a_relative_folder_gets_an_absolute_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    list(write_feed(Path("feed"), [Week.parse(WINTER)], 300))
    assert sourced(tmp_path / "feed")["MTA_FEED_URL"] == (tmp_path / "feed").as_uri()


def test_a_feed_comes_week_by_week(tmp_path: Path) -> None:
    feed = write_feed(tmp_path, [Week.parse(LAST_LEGACY), Week.parse(FIRST_CURRENT)], 300)
    assert next(feed).name == "turnstile_141011.txt"
    assert not (tmp_path / "turnstile_141018.txt").exists()


def test_weeks_that_are_there_already_are_kept_and_count_for_the_first_week(tmp_path: Path) -> None:
    list(write_feed(tmp_path, [Week.parse(LAST_LEGACY)], 300))
    kept = tmp_path / "turnstile_141011.txt"
    kept.write_bytes(b"kept")
    both = [Week.parse(LAST_LEGACY), Week.parse(WINTER)]
    assert list(write_feed(tmp_path, both, 300)) == [kept, tmp_path / "turnstile_240113.txt"]
    list(write_feed(tmp_path, [Week.parse(WINTER)], 300))
    assert kept.read_bytes() == b"kept"
    assert sourced(tmp_path)["MTA_FIRST_WEEK"] == LAST_LEGACY


def test_another_size_makes_all_weeks_of_the_folder_anew(tmp_path: Path) -> None:
    list(write_feed(tmp_path, [Week.parse(LAST_LEGACY), Week.parse(FIRST_CURRENT)], 300))
    list(write_feed(tmp_path, [Week.parse(FIRST_CURRENT), Week.parse(WINTER)], 1_000))
    for week in (LAST_LEGACY, FIRST_CURRENT, WINTER):
        assert (tmp_path / Week.parse(week).file_name).read_bytes() == content(week, 1_000)
    assert sourced(tmp_path)["MTA_FEED_SCALE"] == "0.004"


def test_sizes_do_not_mix_after_an_interruption(tmp_path: Path) -> None:
    weeks = [Week.parse(LAST_LEGACY), Week.parse(FIRST_CURRENT)]
    for rows in (300, 1_000, 300):
        next(write_feed(tmp_path, weeks, rows))
    list(write_feed(tmp_path, weeks, 1_000))
    for week in weeks:
        assert (tmp_path / week.file_name).read_bytes() == content(week.key, 1_000)


def test_a_feed_that_cannot_be_made_leaves_the_folder_as_it_is(tmp_path: Path) -> None:
    list(write_feed(tmp_path, [Week.parse(WINTER)], 300))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(WeekError):
        next(write_feed(tmp_path, [Week.parse(WINTER), Week.parse("2010-05-01")], 1_000))
    with pytest.raises(ValueError, match="too few"):
        next(write_feed(tmp_path, [Week.parse(WINTER)], 100))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
