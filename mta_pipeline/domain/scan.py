"""One pass over a weekly file that counts everything the audit wants to know, and judges nothing.

The file is read in blocks of whole lines, each looked at as an array of bytes: where the line ends
and commas are tells where every field is, in both layouts, so that a full week (33 MB, 250,000
rows) takes 0.06 s and a few megabytes, whatever the file's size. Figures come out as
a `Scan`; `audit` says what they mean.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from mta_pipeline.domain.layouts import CURRENT, LEGACY, Layout

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]

BLOCK = 1 << 21  # bytes a read: the arrays of one block stay in the processor's cache
LONGEST_LINE = 1 << 16  # bytes; published lines have 402 at most
WORD = 8  # bytes; text is read in words wherever it can be, which takes an eighth of the operations
KEY_WIDTH = 4 * WORD  # bytes; the longest published turnstile key, "C/A,UNIT,SCP", has 19
JUMP = 10_000  # counts between two readings; nothing real lies between 2,918 and this (see docs)
NEWLINE, RETURN, COMMA, BLANK, TILDE = b"\n\r, ~"
DAYS_OF_MONTH = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
FEBRUARY = 2
DEEPEST_JUNK = 50  # lines below the first in which a line of a known layout is looked for
TIME = b"00:00:00"  # each 0 is any digit
SHOWN = 3  # malformed lines kept as examples


@dataclass(frozen=True)
class Malformed:
    """A line that is not as the layout says; `line` counts from 1, the header included."""

    line: int
    text: str
    fault: str


@dataclass
class Registers:
    """How the registers of all turnstiles behave over the week; each turnstile has two.

    A step is the difference between two consecutive readings of one register.
    """

    turnstiles: int = 0
    steps: int = 0
    duplicates: int = 0  #: readings with the turnstile and time of the one before
    backward: int = 0  #: registers that step backward more often than forward
    resets: int = 0  #: backward steps of all other registers
    jumps: int = 0  #: forward steps of more than `JUMP`
    silent: int = 0  #: turnstiles of which neither register moves


@dataclass
class Scan:
    """What stands in a file. `layout` is None where no known layout could be recognised."""

    layout: Layout | None = None
    first_line: str = ""
    size: int = 0  #: bytes
    width: int = 0  #: bytes of the first line, line ending included
    line_ending: str = ""
    rows: int = 0  #: lines, the header aside
    readings: int = 0  #: of well-formed lines; equals `rows` in the current layout
    malformed: int = 0
    examples: list[Malformed] = field(default_factory=list)
    ends_whole: bool = False  #: the last line has its line ending
    readings_per_day: Counter[date] = field(default_factory=Counter)
    registers: Registers = field(default_factory=Registers)
    head: list[str] = field(default_factory=list)  #: the first rows, padding aside


class Block(NamedTuple):
    """Whole lines of a file."""

    padded: Bytes  #: the lines, and bytes behind them, whatever they are, over which windows reach
    size: int  #: bytes of the lines


def scan(path: Path, preview: int = 5) -> Scan:
    """Look through the file at `path` once; `preview` rows are kept as text. Raises `OSError`."""
    result = Scan(size=path.stat().st_size)
    tracker = _RegisterTracker(result.registers)
    with path.open("rb") as file:
        first = file.readline(LONGEST_LINE)
        _recognise(first, result)
        if result.layout is None:
            _look_below(first, file, result)
        elif result.layout.header is None:
            file.seek(0)
        for block in _blocks(file, result):
            _look_at(block, result, tracker, preview)
    tracker.finish()
    return result


def _recognise(first: bytes, result: Scan) -> None:
    """Tell layout, width and line ending from the first line."""
    result.first_line = _shown(first)
    result.width = len(first)
    result.line_ending = "CRLF" if first.endswith(b"\r\n") else "LF" if first.endswith(b"\n") else ""
    result.layout = _layout_of(first)


def _layout_of(line: bytes) -> Layout | None:
    fields = line.strip().split(b",")
    # A byte-order mark or a damaged header is still the current layout: its rows are worth counting.
    if b"C/A" in fields[0] and len(fields) > len(CURRENT.keys):
        return CURRENT
    if len(fields) > len(LEGACY.keys) and fields[3][2:3] == LEGACY.date_separator.encode():
        return LEGACY
    return None


def _look_below(first: bytes, file: BinaryIO, result: Scan) -> None:
    """Where the first line is of no known layout, look for one that is below it; what lies above is malformed.

    `file` is left where the rows begin: behind a header, or else where it was.
    """
    here, above = file.tell(), [first]
    for line in itertools.islice(iter(lambda: file.readline(LONGEST_LINE), b""), DEEPEST_JUNK):
        layout = _layout_of(line)
        if layout:
            told = result.first_line
            _recognise(line, result)
            result.first_line = told
            for row, junk in enumerate(above):
                _note(result, row, junk, "not the fields of any layout")
            result.rows = len(above)
            if layout.header is None:
                file.seek(-len(line), os.SEEK_CUR)
            return
        above.append(line)
    file.seek(here)


def _blocks(file: BinaryIO, result: Scan) -> Iterator[Block]:
    """The rest of `file` in blocks of whole lines; notes how the file ends.

    All blocks are read into the same bytes: one is good until the next.
    """
    result.ends_whole = bool(result.line_ending)
    reach = max(KEY_WIDTH, result.width)
    buffer = bytearray(LONGEST_LINE + BLOCK + reach)
    padded = np.frombuffer(buffer, np.uint8)
    rest = 0  # bytes of a line that goes on
    with memoryview(buffer) as view:
        while rest <= LONGEST_LINE and (came := file.readinto(view[rest : rest + BLOCK])):  # type: ignore[attr-defined]
            end = rest + came
            size = buffer.rfind(b"\n", rest, end) + 1
            if size:
                yield Block(padded[: size + reach], size)
            rest = end - size
            view[:rest] = bytes(view[size:end])
        if rest:
            result.ends_whole = False
            too_long = rest > LONGEST_LINE
            fault = f"longer than {LONGEST_LINE:,} bytes" if too_long else "the file ends inside this line"
            _note(result, result.rows, bytes(view[:rest]), fault)
            result.rows += 1


def _look_at(block: Block, result: Scan, tracker: _RegisterTracker, preview: int) -> None:
    """Add one block of whole lines to `result`."""
    padded = block.padded
    data = padded[: block.size]
    controls = int(np.count_nonzero(data < BLANK))
    ends = _line_ends(data, result.width, controls)
    starts = np.concatenate(([0], ends[:-1] + 1))
    if len(result.head) < preview:
        lines = data[: ends[min(preview, len(ends)) - 1]].tobytes().split(b"\n")
        result.head += [_shown(line) for line in lines[: preview - len(result.head)]]
    layout = result.layout
    before = result.rows
    result.rows += len(ends)
    if layout is None:
        return
    faults = _Faults(len(ends))
    faults.add(ends + 1 - starts != result.width, f"{{length}} bytes long, the first line {result.width}")
    text_ends = ends - (result.line_ending == "CRLF")
    returns = text_ends[data[text_ends] == RETURN]
    if result.line_ending == "CRLF" and len(returns) < len(ends):
        faults.add(data[text_ends] != RETURN, "no carriage return before the line's end, as the first line has")
    if data.max() > TILDE or controls != len(ends) + len(returns):
        odd = (data < BLANK) | (data > TILDE)
        odd[ends] = False
        odd[returns] = False
        faults.add(np.bincount(np.searchsorted(ends, np.flatnonzero(odd)), minlength=len(ends)) > 0,
                   "a byte that is not printable ASCII")  # fmt: skip
    commas = np.flatnonzero(data == COMMA)
    first, groups = _fields(layout, commas, starts, text_ends, faults)
    line = np.repeat(np.arange(len(ends)), groups)
    if len(line):
        _read(_Readings(layout, padded, commas, first, groups, line, starts, text_ends), faults, result, tracker)
    for index in faults.lines(SHOWN - len(result.examples)):
        text = data[starts[index] : ends[index] + 1].tobytes()
        _note(result, before + index, text, faults.why(index).format(length=len(text)), count=0)
    result.malformed += faults.count


def _line_ends(data: Bytes, width: int, controls: int) -> Integers:
    """Where the newlines are; `controls` is the number of control characters, newlines included."""
    ends = np.arange(width - 1, len(data), width)
    if (data[ends] == NEWLINE).all() and controls == len(ends) + np.count_nonzero(data[ends - 1] == RETURN):
        return ends  # lines are as wide as the first, and no newline is left to be elsewhere
    return np.flatnonzero(data == NEWLINE)


class _Faults:
    """Which lines of a block are malformed, and the first reason found for each."""

    def __init__(self, lines: int) -> None:
        self._reasons: list[str] = [""]
        self._reason = np.zeros(lines, np.int64)

    def add(self, flags: Flags, reason: str) -> None:
        """Flag lines (an array over all lines of the block)."""
        if flags.any():
            self._reasons.append(reason)
            self._reason[flags & (self._reason == 0)] = len(self._reasons) - 1

    def add_readings(self, flags: Flags, line: Integers, reason: str) -> None:
        """Flag the lines of readings (an array over readings; `line` tells each one's line)."""
        if flags.any():
            self.add(np.bincount(line[flags], minlength=len(self._reason)) > 0, reason)

    @property
    def count(self) -> int:
        return int(np.count_nonzero(self._reason))

    def good(self, line: Integers) -> Flags:
        """For each reading whether its line (an index in `line`) has no fault."""
        fine: Flags = self._reason[line] == 0
        return fine

    def lines(self, most: int) -> list[int]:
        """The first faulty lines, `most` at the most."""
        return [int(index) for index in np.flatnonzero(self._reason)[: max(most, 0)]]

    def why(self, index: int) -> str:
        return self._reasons[int(self._reason[index])]


def _fields(
    layout: Layout, commas: Integers, starts: Integers, ends: Integers, faults: _Faults
) -> tuple[Integers, Integers]:
    """For each line the index of its first comma, and how many readings it holds (0: malformed)."""
    of_keys, of_reading = len(layout.keys), len(layout.reading)
    usual = of_keys + of_reading - 1
    by_line = commas.reshape(-1, usual) if len(commas) == usual * len(starts) else None
    if by_line is not None and (by_line[:, 0] > starts).all() and (by_line[:, -1] < ends).all():
        return np.arange(len(starts)) * usual, np.ones(len(starts), np.int64)
    first = np.searchsorted(commas, starts)
    number = np.searchsorted(commas, ends) - first + 1
    groups, rest = np.divmod(number - of_keys, of_reading)
    wrong = (rest != 0) | (groups < 1) | (groups > layout.readings_per_line)
    faults.add(wrong, f"not the fields {layout.expected}")
    groups[wrong] = 0
    return first, groups


@dataclass
class _Readings:
    """All readings of a block: arrays over readings, in the file's order."""

    layout: Layout
    padded: Bytes  # the block, and some bytes
    commas: Integers
    first: Integers  # over lines: index of the first comma
    groups: Integers  # over lines: number of readings
    line: Integers  # the line each reading stands in
    starts: Integers  # over lines
    ends: Integers  # over lines, line ending aside

    def __post_init__(self) -> None:
        nth = np.arange(len(self.line)) - np.repeat(np.cumsum(self.groups) - self.groups, self.groups)
        of_keys, of_reading = len(self.layout.keys), len(self.layout.reading)
        comma = self.first[self.line] + of_keys - 1 + of_reading * nth
        self.last_of_line = nth == self.groups[self.line] - 1
        # Where each field (0: DATE … 4: EXITS) begins and ends; a line's last one ends with the line, padding included.
        self.begins = [self.commas[comma + column] + 1 for column in range(of_reading)]
        after = self.commas[np.minimum(comma + of_reading, len(self.commas) - 1)]
        last = np.where(self.last_of_line, self.ends[self.line], after)
        self.lengths = [
            end - begin for begin, end in zip(self.begins, [*(b - 1 for b in self.begins[1:]), last], strict=True)
        ]

    def words(self, at: Integers, number: int = 1) -> Words:
        """So many words of the block's text from each position of `at`: shape (len(at), number)."""
        # As items of all these bytes, one at each position: those are taken three times as fast as rows.
        size = number * WORD
        items: npt.NDArray[np.void] = np.ndarray(len(self.padded) - size + 1, f"V{size}", self.padded, strides=(1,))
        return items[at].view("<u8").reshape(-1, number)


def _read(readings: _Readings, faults: _Faults, result: Scan, tracker: _RegisterTracker) -> None:
    """Take the values out of a block's readings, flagging the lines where that fails."""
    layout, line = readings.layout, readings.line

    day, good_date = _date(readings.words(readings.begins[0], 2), layout)
    good_date &= readings.lengths[0] == layout.date_width
    faults.add_readings(~good_date, line, f"DATE is not written as {layout.reading[0].description.split(', ')[-1]}")
    second, good_time = _time(readings.words(readings.begins[1])[:, 0])
    good_time &= readings.lengths[1] == len(TIME)
    faults.add_readings(~good_time, line, "TIME is not written as HH:MM:SS")
    width = layout.counter_digits
    counters, digits = _number(readings.words(np.concatenate(readings.begins[3:]), 2), width)
    (entries, exits), (good_entries, good_exits) = counters.reshape(2, -1), digits.reshape(2, -1)
    good_entries &= readings.lengths[3] == width
    good_exits &= (readings.lengths[4] == width) | (readings.last_of_line & (readings.lengths[4] >= width))
    faults.add_readings(~good_entries, line, f"ENTRIES is not a number of {width} digits")
    faults.add_readings(~good_exits, line, f"EXITS is not a number of {width} digits")
    _padding(readings, faults, result.width)

    # A field's key is cut off behind SCP, so that equal turnstiles are equal words.
    behind_scp = np.minimum(readings.first + 2, len(readings.commas) - 1)
    key_length = readings.commas[behind_scp] - readings.starts
    faults.add((key_length > KEY_WIDTH) & (readings.groups > 0), f"C/A,UNIT,SCP longer than {KEY_WIDTH} bytes")
    keys = readings.words(readings.starts, KEY_WIDTH // WORD) & _first(np.clip(key_length, 0, KEY_WIDTH), KEY_WIDTH)

    good = faults.good(line)
    if not good.all():
        line, day, second, entries, exits = (values[good] for values in (line, day, second, entries, exits))
    result.readings += len(line)
    _count_days(day, result.readings_per_day)
    tracker.add(keys[line], day * 86_400 + second, entries, exits)


def _like(words: Words, pattern: bytes) -> tuple[Words, Flags]:
    """Read words of text that is like `pattern`, of eight bytes: "0" stands for any digit, the rest for itself.

    The bytes of the words returned are the digits' values, and 0 for the rest; the flags tell which words are like it.
    """
    digits = words ^ _word(pattern)
    # In a byte, what is more than 9 (more than 0 where no digit is wanted) makes the highest bit, and carries nothing.
    most = _word(bytes(0x76 if byte == ord("0") else 0x7F for byte in pattern))
    high = _word(b"\x80" * WORD)
    wrong = ((digits & ~high) + most | digits) & high
    return digits, wrong == 0


def _word(text: bytes) -> np.uint64:
    """Eight bytes of text as the word that they are in memory."""
    word: np.uint64 = np.uint64(int.from_bytes(text, "little"))
    return word


def _pairs(digits: Words) -> Bytes:
    """For words of digits the number that each two neighbours are: shape (len(digits), 8), the last is none."""
    pairs: Words = digits * np.uint64(10) + (digits >> np.uint64(8))
    return pairs.view(np.uint8).reshape(-1, WORD)


def _value(digits: Words) -> Integers:
    """For words of eight digits the numbers that they are."""
    value = digits
    for bits in (8, 16, 32):  # digits to pairs, those to fours, those to eights
        half = np.uint64(sum(((1 << bits) - 1) << place for place in range(0, 64, 2 * bits)))
        value = value * np.uint64(10 ** (bits // 8)) + (value >> np.uint64(bits)) & half
    return value.view(np.int64)


def _number(words: Words, width: int) -> tuple[Integers, Flags]:
    """The value of each row's first `width` bytes, 8 to 16, and whether they are digits only; two words a row."""
    first, second = words.T
    others = 2 * WORD - width  # bytes of the second word that are others: pushed out by zeros before it
    second = second << np.uint64(8 * others) | _word((b"0" * others).ljust(WORD, b"\0"))
    # All at once: many operations on few numbers have threads wait for each other.
    digits, good = _like(np.concatenate((first, second)), b"0" * WORD)
    high, low = np.split(_value(digits), 2)
    return high * 10 ** (width - WORD) + low, np.logical_and(*np.split(good, 2))


def _first(lengths: Integers, most: int) -> Words:
    """For each length, up to `most`, the words in whose bytes all bits are set, so many from the first: a mask."""
    masks = np.where(np.arange(most) < np.arange(most + 1)[:, None], 0xFF, 0).astype(np.uint8)
    return masks.view(f"V{most}")[:, 0][lengths].view("<u8").reshape(-1, most // WORD)


def _date(words: Words, layout: Layout) -> tuple[Integers, Flags]:
    """Each row's day as the number YYYYMMDD, and whether it is written as the layout says; two words a row."""
    # A turnstile's readings of a day stand together: their date is read once.
    behind = _first(np.array([layout.date_width]), 2 * WORD)
    words = words & behind
    changes = (words[1:, 0] != words[:-1, 0]) | (words[1:, 1] != words[:-1, 1])
    first = np.concatenate(([0], np.flatnonzero(changes) + 1))
    times = np.diff(np.append(first, len(words)))
    pattern = layout.date_pattern.encode().ljust(2 * WORD, b"\0")
    digits, good = _like(words[first, 0], pattern[:WORD])
    more, also_good = _like(words[first, 1], pattern[WORD:])
    month, day, year = (_pairs(digits)[:, at].astype(np.int64) for at in (0, 3, 6))
    year = 2000 + year if layout.year_digits == 2 else year * 100 + _pairs(more)[:, 0]
    good &= also_good & (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    good &= day <= DAYS_OF_MONTH[np.clip(month, 1, 12)] + (leap & (month == FEBRUARY))
    return np.repeat(year * 10_000 + month * 100 + day, times), np.repeat(good, times)


def _time(words: Words) -> tuple[Integers, Flags]:
    """Each word's second of the day, and whether it is written as HH:MM:SS."""
    digits, good = _like(words, TIME)
    hour, minute, second = (_pairs(digits)[:, at].astype(np.int64) for at in (0, 3, 6))
    good &= (hour < 24) & (minute < 60) & (second < 60)
    return hour * 3600 + minute * 60 + second, good


def _padding(readings: _Readings, faults: _Faults, width: int) -> None:
    """Flag lines that hold anything but blanks behind their last counter."""
    line = readings.line
    begins = readings.begins[4] + readings.layout.counter_digits
    # Lines of another width than the file's are malformed already, and could be of any length.
    last = readings.last_of_line & faults.good(line) & (readings.ends[line] - readings.starts[line] < width)
    length = readings.ends[line] - begins
    last &= length > 0
    begins, line, length = begins[last], line[last], length[last]
    widest = -(-int(length.max(initial=0)) // WORD) * WORD
    if widest:
        other = (readings.words(begins, widest // WORD) ^ _word(b" " * WORD)) & _first(length, widest)
        if other.any():
            faults.add_readings(
                np.asarray(other.any(axis=1)), line, "something other than blanks behind the last counter"
            )


def _count_days(day: Integers, counts: Counter[date]) -> None:
    """Count readings by day; rows of a day stand together, so only the changes are looked at."""
    if not len(day):
        return
    changes = np.flatnonzero(np.diff(day)) + 1
    begin = np.concatenate(([0], changes))
    length = np.diff(np.concatenate((begin, [len(day)])))
    days, which = np.unique(day[begin], return_inverse=True)
    for number, count in zip(days.tolist(), np.bincount(which, weights=length).tolist(), strict=True):
        counts[date(number // 10_000, number // 100 % 100, number % 100)] += int(count)


class _RegisterTracker:
    """Follows each turnstile's registers from reading to reading, across blocks.

    The file is sorted by turnstile, so the last turnstile of a block is held back until the next
    block has shown that it is complete.
    """

    def __init__(self, registers: Registers) -> None:
        self._registers = registers
        self._held: tuple[Words, Integers, Integers, Integers] | None = None

    def add(self, keys: Words, moment: Integers, entries: Integers, exits: Integers) -> None:
        if self._held is not None:
            held = self._held
            keys = np.concatenate((held[0], keys))
            moment, entries, exits = (
                np.concatenate(pair) for pair in zip(held[1:], (moment, entries, exits), strict=True)
            )
        if len(keys):
            differ = keys[1:] != keys[:-1]
            new = np.flatnonzero(differ[:, 0] | differ[:, 1] | differ[:, 2] | differ[:, 3]) + 1
            cut = int(new[-1]) if len(new) else 0
            self._count(np.concatenate(([0], new))[:-1], moment[:cut], entries[:cut], exits[:cut])
            self._held = (keys[cut:], moment[cut:], entries[cut:], exits[cut:])

    def finish(self) -> None:
        if self._held is not None:
            _, moment, entries, exits = self._held
            self._count(np.array([0]), moment, entries, exits)
            self._held = None

    def _count(self, begins: Integers, moment: Integers, entries: Integers, exits: Integers) -> None:
        """Count whole turnstiles; each begins at one index of `begins`."""
        if not len(moment):
            return
        total = self._registers
        turnstile = np.repeat(np.arange(len(begins)), np.diff(np.append(begins, len(moment))))
        same = turnstile[1:] == turnstile[:-1]
        of = turnstile[1:][same]
        moving = np.zeros(len(begins), np.bool_)
        for register in (entries, exits):
            step = np.diff(register)[same]
            backs = np.bincount(of[step < 0], minlength=len(begins))
            forths = np.bincount(of[step > 0], minlength=len(begins))
            backward = backs > forths
            moving |= backs + forths > 0
            total.steps += len(step)
            total.backward += int(np.count_nonzero(backward))
            total.resets += int(backs[~backward].sum())
            total.jumps += int(np.count_nonzero(step > JUMP))
        total.turnstiles += len(begins)
        total.duplicates += int(np.count_nonzero(np.diff(moment)[same] == 0))
        total.silent += int(np.count_nonzero(~moving))


def _note(result: Scan, row: int, line: bytes, fault: str, count: int = 1) -> None:
    """Record a malformed line, the file's row number `row` (from 0)."""
    result.malformed += count
    if len(result.examples) < SHOWN:
        headers = 1 if result.layout and result.layout.header else 0
        result.examples.append(Malformed(row + 1 + headers, _shown(line), fault))


def _shown(line: bytes) -> str:
    """A line for people: padding cut, length bounded, odd bytes made visible."""
    text = line[:400].rstrip(b"\r\n ").decode("ascii", "backslashreplace")
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:160])
