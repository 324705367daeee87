"""The scan, held against a slow count in plain Python over files with random damage."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mta_pipeline.domain import scan as scan_module
from mta_pipeline.domain.layouts import CURRENT, LEGACY
from mta_pipeline.domain.scan import Scan, scan
from mta_pipeline.domain.weeks import Week
from mta_pipeline_tests.turnstile_files import (
    HEADER,
    Reading,
    Turnstile,
    current_file,
    legacy_file,
    line_of,
    refitted,
    regular_turnstiles,
    valid_file,
    with_line,
)
from mta_pipeline_tests.workbench import LEGACY_WEEK, WEEK

JUMP = 10_000


def scanned(data: bytes) -> Scan:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(data)
        return scan(path)


# The same count, naively.


@dataclass
class Count:
    """What a person would count, line by line."""

    rows: int = 0
    readings: int = 0
    malformed: list[int] = field(default_factory=list)  #: line numbers, from 1
    ends_whole: bool = False
    days: Counter[date] = field(default_factory=Counter)
    turnstiles: int = 0
    steps: int = 0
    duplicates: int = 0
    backward: int = 0
    resets: int = 0
    jumps: int = 0
    silent: int = 0


def is_number(text: str, digits: int) -> bool:
    return len(text) == digits and text.isascii() and text.isdigit()


def is_date(text: str, separator: str, year_digits: int) -> bool:
    parts = text.split(separator)
    return (
        len(parts) == 3
        and is_number(parts[0], 2)
        and is_number(parts[1], 2)
        and is_number(parts[2], year_digits)
        and 1 <= int(parts[0]) <= 12
        and 1 <= int(parts[1]) <= 31
    )


def is_time(text: str) -> bool:
    parts = text.split(":")
    return (
        len(parts) == 3
        and all(is_number(part, 2) for part in parts)
        and int(parts[0]) < 24
        and int(parts[1]) < 60
        and int(parts[2]) < 60
    )


def readings_of(line: bytes, ending: bytes, width: int, legacy: bool) -> list[tuple[str, Reading]] | None:
    """The readings of a line with its ending; None where the line is malformed."""
    if len(line) != width or not line.endswith(ending):
        return None
    text_bytes = line[: -len(ending)]
    if not all(32 <= byte <= 126 for byte in text_bytes):
        return None
    fields = text_bytes.decode("ascii").split(",")
    keys, digits = (3, 9) if legacy else (6, 10)
    separator, year_digits = ("-", 2) if legacy else ("/", 4)
    groups, rest = divmod(len(fields) - keys, 5)
    if rest or not 1 <= groups <= (8 if legacy else 1):
        return None
    if len(fields[-1]) > digits and not fields[-1][digits:].strip(" "):
        fields[-1] = fields[-1][:digits]
    key = ",".join(fields[:3])
    if len(key) > 32:
        return None
    result = []
    for begin in range(keys, len(fields), 5):
        day, clock, description, entries, exits = fields[begin : begin + 5]
        if not (is_date(day, separator, year_digits) and is_time(clock)):
            return None
        if not (is_number(entries, digits) and is_number(exits, digits)):
            return None
        month, day_of_month, year = (int(part) for part in day.split(separator))
        try:
            moment = datetime(year + 2000 * legacy, month, day_of_month)
        except ValueError:  # 31 February, year 0
            return None
        hours, minutes, seconds = (int(part) for part in clock.split(":"))
        moment += timedelta(hours=hours, minutes=minutes, seconds=seconds)
        result.append((key, Reading(moment, int(entries), int(exits), description)))
    return result


def naive(data: bytes, legacy: bool) -> Count:
    """Count everything in a file whose first line is sound."""
    count = Count()
    *lines, rest = data.split(b"\n")
    lines = [line + b"\n" for line in lines]
    width = len(lines[0])
    ending = b"\r\n" if lines[0].endswith(b"\r\n") else b"\n"
    count.ends_whole = not rest
    runs: list[tuple[str, list[Reading]]] = []
    for number, line in enumerate([*lines, *([rest] if rest else [])], start=1):
        if number == 1 and not legacy:
            continue
        count.rows += 1
        readings = readings_of(line, ending, width, legacy) if line.endswith(b"\n") else None
        if readings is None:
            count.malformed.append(number)
            continue
        for key, reading in readings:
            count.readings += 1
            count.days[reading.moment.date()] += 1
            if not runs or runs[-1][0] != key:
                runs.append((key, []))
            runs[-1][1].append(reading)
    for _, run in runs:
        count.turnstiles += 1
        pairs = list(pairwise(run))
        count.duplicates += sum(a.moment == b.moment for a, b in pairs)
        moved = False
        for steps in ([b.entries - a.entries for a, b in pairs], [b.exits - a.exits for a, b in pairs]):
            back, forth = sum(step < 0 for step in steps), sum(step > 0 for step in steps)
            moved |= back + forth > 0
            count.steps += len(steps)
            count.jumps += sum(step > JUMP for step in steps)
            if back > forth:
                count.backward += 1
            else:
                count.resets += back
        count.silent += not moved
    return count


def as_count(seen: Scan) -> Count:
    """The scan's figures in the naive count's form (but for which lines are malformed)."""
    registers = seen.registers
    return Count(
        rows=seen.rows,
        readings=seen.readings,
        malformed=[],
        ends_whole=seen.ends_whole,
        days=seen.readings_per_day,
        turnstiles=registers.turnstiles,
        steps=registers.steps,
        duplicates=registers.duplicates,
        backward=registers.backward,
        resets=registers.resets,
        jumps=registers.jumps,
        silent=registers.silent,
    )


def assert_agree(seen: Scan, counted: Count) -> None:
    malformed, counted.malformed = counted.malformed, []
    assert as_count(seen) == counted
    assert seen.malformed == len(malformed)
    assert [example.line for example in seen.examples] == malformed[:3]
    assert all(example.fault for example in seen.examples)


# Random files, and random damage.


@st.composite
def turnstiles_with_life(draw: st.DrawFn) -> list[Turnstile]:
    """A few turnstiles that count up, down, jump, fall to zero, repeat a moment, or stand still."""
    result = []
    for index in range(draw(st.integers(1, 4))):
        entries, exits = draw(st.integers(0, 10**8)), draw(st.integers(0, 10**8))
        moment = datetime.combine(WEEK.first_day, time())
        readings = []
        for _ in range(draw(st.integers(1, 12))):
            readings.append(Reading(moment, entries, exits, draw(st.sampled_from(["REGULAR", "RECOVR AUD"]))))
            step = st.sampled_from([0, 1, 500, JUMP, JUMP + 1, -1, -700, -(10**8)])
            entries, exits = (max(0, value + draw(step)) for value in (entries, exits))
            moment += timedelta(hours=draw(st.sampled_from([0, 4, 4, 4, 26])))
        result.append(Turnstile(f"A{index:03d}", "R051", "02-00-00", tuple(readings)))
    return result


Damage = Callable[[bytes, int, int], bytes]


def replaced(with_what: bytes) -> Damage:
    return lambda data, at, _: data[:at] + with_what + data[at + len(with_what) :]


def inserted(what: bytes) -> Damage:
    return lambda data, at, _: data[:at] + what + data[at:]


def on_a_line(change: Callable[[bytes], bytes]) -> Damage:
    """Damage that turns a whole line (with its ending) into something else."""

    def damage(data: bytes, at: int, _: int) -> bytes:
        begin = data.rfind(b"\n", 0, at) + 1
        end = data.find(b"\n", at) + 1 or len(data)
        return data[:begin] + change(data[begin:end]) + data[end:]

    return damage


def moved_padding(line: bytes) -> bytes:
    """A blank less at the end, and one more inside the line."""
    text = line.rstrip(b"\r\n")
    return text[:5] + b" " + text[5:-1] + line[len(text) :]


DAMAGES: list[Damage] = [
    *(
        replaced(what)
        for what in (b"x", b"7", b",", b" ", b"-", b"/", b":", b"\n", b"\r", b"\0", b"\xff", b"99", b"0,1")
    ),
    *(inserted(what) for what in (b"x", b"7", b",", b" ", b"\n", b"\r", b"\r\n", b"\xef\xbb\xbf", b",,,,,")),
    lambda data, at, size: data[:at] + data[at + size :],
    lambda data, at, size: data[:at] + data[at : at + size] * 2 + data[at + size :],
    on_a_line(lambda line: b""),
    on_a_line(lambda line: line * 2),
    on_a_line(lambda line: b"\r\n" if line.endswith(b"\r\n") else b"\n"),
    on_a_line(lambda line: line.replace(b"\r\n", b" \n")),
    on_a_line(lambda line: line.replace(b" \n", b"\r\n")),
    on_a_line(lambda line: line.replace(b"\r\n", b"X\n")),
    on_a_line(lambda line: line.replace(b",", b"", 1)),
    on_a_line(lambda line: b",".join(line.split(b",")[::-1])),
    on_a_line(lambda line: b"," * (len(line) - 2) + line[-2:]),
    on_a_line(moved_padding),
]


@contextmanager
def reading_in_blocks_of(size: int) -> Iterator[None]:
    """Small blocks, so that small files meet the seams of large ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan_module, "BLOCK", size)
        yield


BLOCKS = st.sampled_from([7, 64, 131, 132, 133, 300, 401, 402, 1_000, 5_000, 1 << 20])


@given(turnstiles_with_life(), st.booleans(), st.sampled_from(["\n", "\r\n"]), BLOCKS)
@hypothesis_settings(max_examples=100)
def test_the_scan_of_a_sound_file_agrees_with_a_naive_count(
    turnstiles: list[Turnstile], legacy: bool, newline: str, block: int
) -> None:
    data = legacy_file(turnstiles, newline) if legacy else current_file(turnstiles, newline)
    with reading_in_blocks_of(block):
        seen = scanned(data)
    assert seen.malformed == 0
    assert seen.layout is (LEGACY if legacy else CURRENT)
    assert seen.line_ending == ("CRLF" if newline == "\r\n" else "LF")
    assert_agree(seen, naive(data, legacy))


@given(st.data(), turnstiles_with_life(), st.booleans(), st.sampled_from(["\n", "\r\n"]), BLOCKS)
@hypothesis_settings(max_examples=300)
def test_the_scan_of_a_damaged_file_agrees_with_a_naive_count(
    data: st.DataObject, turnstiles: list[Turnstile], legacy: bool, newline: str, block: int
) -> None:
    file = legacy_file(turnstiles, newline) if legacy else current_file(turnstiles, newline)
    for _ in range(data.draw(st.integers(1, 3), label="number of damages")):
        # The first line stays sound: it is what all others are measured by.
        first = file.index(b"\n") + 1
        if first < len(file):
            damage = data.draw(st.sampled_from(DAMAGES), label="damage")
            at = data.draw(st.integers(first, len(file) - 1), label="at")
            file = damage(file, at, data.draw(st.integers(1, 200), label="size"))
    with reading_in_blocks_of(block):
        seen = scanned(file)
    assert_agree(seen, naive(file, legacy))


# What random files meet too seldom.


@pytest.mark.parametrize("week", [WEEK, LEGACY_WEEK], ids=["current", "legacy"])
def test_every_byte_in_every_place_of_a_line_is_judged_as_by_a_naive_count(week: Week) -> None:
    file = valid_file(week, regular_turnstiles(week, 1))
    *above, line = file.splitlines(keepends=True)[:2]
    damaged = [line[:at] + bytes([byte]) + line[at + 1 :] for at in range(len(line)) for byte in range(256)]
    data = b"".join([*above, line, *damaged])
    assert_agree(scanned(data), naive(data, week is LEGACY_WEEK))


@pytest.mark.parametrize("week", [WEEK, LEGACY_WEEK], ids=["current", "legacy"])
def test_a_file_of_more_than_one_block_is_counted_whole(week: Week) -> None:
    turnstiles = regular_turnstiles(week, 250)
    data = valid_file(week, turnstiles)
    seen = scanned(data)
    assert seen.size == len(data)
    assert seen.readings == 250 * 42
    assert seen.rows == (250 * 42 if week is WEEK else 250 * 6)
    assert seen.readings_per_day == Counter(dict.fromkeys(week.days, 250 * 6))
    assert seen.registers.turnstiles == 250
    assert seen.registers.steps == 2 * 250 * 41
    assert seen.malformed == 0


def test_the_size_of_blocks_changes_nothing() -> None:
    data = valid_file(WEEK)
    seen = []
    for size in (1, 100, 1 << 20):
        with reading_in_blocks_of(size):
            seen.append(scanned(data))
    assert seen[0] == seen[1] == seen[2]


def test_the_first_rows_are_kept_as_text_without_padding() -> None:
    data = valid_file(WEEK)
    expected = [line.rstrip() for line in data.decode().splitlines()[1:6]]
    assert scanned(data).head == expected
    with reading_in_blocks_of(100):
        assert scanned(data).head == expected


def test_the_number_of_rows_kept_is_the_callers(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(valid_file(WEEK))
    assert len(scan(tmp_path / "file", preview=2).head) == 2
    assert scan(tmp_path / "file", preview=0).head == []


def test_an_empty_file_has_nothing_and_no_layout() -> None:
    seen = scanned(b"")
    assert (seen.size, seen.rows, seen.readings, seen.layout, seen.first_line) == (0, 0, 0, None, "")
    assert not seen.ends_whole


def test_a_header_without_rows_is_a_header_without_rows() -> None:
    seen = scanned(valid_file(WEEK, turnstiles=0))
    assert seen.layout is CURRENT
    assert seen.first_line == HEADER
    assert (seen.rows, seen.malformed) == (0, 0)


def test_a_file_that_is_no_turnstile_file_has_no_layout_but_its_lines_are_counted() -> None:
    seen = scanned(b"<html>\n<body>\nsorry\n</body></html>\n")
    assert seen.layout is None
    assert seen.first_line == "<html>"
    assert seen.head == ["<body>", "sorry", "</body></html>"]


@pytest.mark.parametrize(
    "data",
    [b"\n", b"\r\n", b"\0", b",", b"," * 50, b"\n" * 50, b"C/A", b"C/A,,,,,,,", b"C/A" + b"," * 20 + b"\n\n\n",
     b"a,b,c,05-21-11", b"a,b,c,05-21-11\n", b"a,b,c,05-21-11,\n" * 3, b"\xff\xfe\x00" * 100,
     b"x" * 200_000, b"x" * 200_000 + b"\n" + b"y" * 200_000, b"C/A,,,,,,,,,,\n" + b"\0" * 200_000],
    ids=lambda data: repr(data[:16]),
)  # fmt: skip
@pytest.mark.parametrize("block", [1, 50, 1 << 20])
def test_no_bytes_are_too_strange_to_be_looked_at(data: bytes, block: int) -> None:
    with reading_in_blocks_of(block):
        seen = scanned(data)
    assert seen.size == len(data)
    assert seen.readings == 0
    assert seen.malformed <= seen.rows


@given(st.binary(max_size=3_000), BLOCKS)
def test_no_random_bytes_make_the_scan_fail(data: bytes, block: int) -> None:
    with reading_in_blocks_of(block):
        assert scanned(data).size == len(data)


@given(st.binary(max_size=400), st.booleans(), BLOCKS)
def test_no_random_bytes_behind_a_sound_begin_make_the_scan_fail(data: bytes, legacy: bool, block: int) -> None:
    begin = valid_file(LEGACY_WEEK if legacy else WEEK, 1)
    with reading_in_blocks_of(block):
        seen = scanned(begin + data)
    assert_agree(seen, naive(begin + data, legacy))


def test_a_line_longer_than_any_published_one_is_malformed_once_and_called_too_long() -> None:
    seen = scanned(valid_file(WEEK, 1) + b"x" * 3_000_000)
    assert (seen.rows, seen.malformed) == (43, 1)
    assert [example.line for example in seen.examples] == [44]
    assert "longer than" in seen.examples[0].fault


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        scan(tmp_path / "nothing")


def spoilt(line: bytes) -> Scan:
    """The scan of a good file whose fifth line is `line`."""
    return scanned(with_line(valid_file(WEEK), 5, line))


GOOD = line_of(valid_file(WEEK), 5)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        pytest.param(GOOD[:-1], "bytes long, the first line 132", id="a byte too few"),
        pytest.param(GOOD + b" ", "bytes long, the first line 132", id="a byte too many"),
        pytest.param(refitted(GOOD.replace(b",BMT", b"")), "not the fields C/A", id="a field too few"),
        pytest.param(refitted(GOOD.replace(b",BMT", b",BMT,")), "not the fields C/A", id="a field too many"),
        pytest.param(GOOD.replace(b"59 ST", b"59\0ST"), "not printable ASCII", id="a NUL byte"),
        pytest.param(GOOD.replace(b"59 ST", b"59\xe9ST"), "not printable ASCII", id="a letter that is not ASCII"),
        pytest.param(GOOD.replace(b"/2024", b"/20x4"), "DATE is not written as MM/DD/YYYY", id="a letter in the date"),
        pytest.param(GOOD.replace(b"01/13", b"02/30"), "DATE is not", id="a day that February never has"),
        pytest.param(GOOD.replace(b"01/", b"13/"), "DATE is not written as MM/DD/YYYY", id="a thirteenth month"),
        pytest.param(GOOD.replace(b"01/", b"00/"), "DATE is not written as MM/DD/YYYY", id="month 0"),
        pytest.param(GOOD.replace(b"01/13", b"01/00"), "DATE is not", id="day 0"),
        pytest.param(GOOD.replace(b"12:00:00", b"24:00:00"), "TIME is not written as HH:MM:SS", id="hour 24"),
        pytest.param(GOOD.replace(b":00,", b":60,"), "TIME is not written as HH:MM:SS", id="second 60"),
        pytest.param(GOOD.replace(b":00:00", b":60:00"), "TIME is not written as HH:MM:SS", id="a sixtieth minute"),
        pytest.param(
            GOOD.replace(GOOD.rstrip().split(b",")[9], b"00000123x5"), "ENTRIES is not a number of 10 digits",
            id="a letter in ENTRIES",
        ),
        pytest.param(
            GOOD.replace(GOOD.rstrip().split(b",")[10], b"000012 345"), "EXITS is not a number of 10 digits",
            id="a blank in EXITS",
        ),
        pytest.param(
            GOOD.replace(GOOD.rstrip().split(b",")[10], b"000012345 "), "EXITS is not a number of 10 digits",
            id="nine digits in EXITS",
        ),
        pytest.param(
            GOOD.replace(GOOD.rstrip().split(b",")[9], b"-000012345"), "ENTRIES is not a number of 10 digits",
            id="a sign in ENTRIES",
        ),
        pytest.param(GOOD[:-3] + b"x  ", "something other than blanks", id="something in the padding"),
    ],
)  # fmt: skip
def test_a_malformed_line_is_named_by_number_text_and_fault(line: bytes, fault: str) -> None:
    seen = spoilt(line)
    assert seen.malformed == 1
    (example,) = seen.examples
    assert example.line == 5
    assert fault in example.fault
    assert example.text.startswith("A002,R051,02-00-00,59")
    assert example.text.isprintable()
    assert seen.readings == seen.rows - 1


def test_a_nul_byte_is_seen_although_another_line_has_lost_its_carriage_return() -> None:
    """Both are control characters: counted together, one too many hides one too few."""
    file = valid_file(WEEK)
    lines = file.split(b"\r\n")
    lines[6] = lines[6].replace(b"59 ST", b"59\0ST")
    data = b"\r\n".join(lines).replace(lines[3] + b"\r\n", lines[3] + b" \n")
    seen = scanned(data)
    assert 7 in [example.line for example in seen.examples]


@pytest.mark.parametrize("stray", [b"X", b"7", b","], ids=["a letter", "a digit", "a comma"])
def test_a_line_with_something_else_in_the_place_of_its_carriage_return_is_malformed(stray: bytes) -> None:
    data = valid_file(WEEK)
    seen = scanned(data.replace(GOOD + b"\r\n", GOOD + stray + b"\n"))
    assert [example.line for example in seen.examples] == [5]


def test_something_behind_the_last_counter_is_seen_although_an_earlier_line_is_short() -> None:
    lines = valid_file(WEEK).split(b"\r\n")
    lines[1] = b"A,B,C,D,E,F,,,,,"
    lines[4] = lines[4].rstrip() + b"9" + lines[4][len(lines[4].rstrip()) + 1 :]
    seen = scanned(b"\r\n".join(lines))
    assert [example.line for example in seen.examples] == [2, 5]


@pytest.mark.parametrize("number", [2, 100, 253], ids=["first", "middle", "last"])
def test_an_empty_line_is_malformed_wherever_it_stands(number: int) -> None:
    seen = scanned(with_line(valid_file(WEEK), number, b""))
    assert (seen.rows, seen.malformed) == (252, 1)
    assert seen.examples[0].line == number


def test_ten_fields_in_one_line_are_not_made_good_by_twelve_in_the_next() -> None:
    lines = valid_file(WEEK).split(b"\r\n")
    lines[4] = refitted(lines[4].replace(b",BMT", b""))
    lines[5] = refitted(lines[5].replace(b",BMT", b",BMT,"))
    seen = scanned(b"\r\n".join(lines))
    assert [example.line for example in seen.examples] == [5, 6]


def test_only_three_malformed_lines_are_shown_but_all_are_counted() -> None:
    seen = scanned(valid_file(WEEK).replace(b",BMT,", b",,BMT"))
    assert seen.malformed == seen.rows == 252
    assert [example.line for example in seen.examples] == [2, 3, 4]


def test_a_last_line_without_its_ending_is_a_row_cut_off() -> None:
    seen = scanned(valid_file(WEEK)[:-2])
    assert not seen.ends_whole
    assert (seen.rows, seen.malformed) == (252, 1)
    assert "ends inside this line" in seen.examples[0].fault


def test_a_file_that_ends_inside_its_last_counter_is_cut_off_although_it_has_all_fields() -> None:
    data = valid_file(WEEK).rstrip()
    seen = scanned(data[:-3])
    assert data[:-3].rpartition(b"\n")[2].count(b",") == 10
    assert not seen.ends_whole
    assert seen.malformed == 1
