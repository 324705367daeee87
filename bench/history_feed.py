"""All weeks from 2010 to 2024 from a few full-sized ones: the same readings, under each week's name and dates.

`python -m bench.history_feed` prints its address and serves until its standard input closes. A week is put
together as it is asked for (some 10 ms of this process), because 24 GB of files would measure the disk.
Like the MTA's server it tells no length. `--latency` and `--rate` make it a server that is far away.
"""

from __future__ import annotations

import argparse
import lzma
import re
import tempfile
import threading
import time
from collections.abc import Sequence
from functools import cache
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.feed_server import serve
from bench.ingest import REAL
from mta_pipeline.domain.layouts import LEGACY, Layout, layout_of
from mta_pipeline.domain.sample import write_week
from mta_pipeline.domain.weeks import Week

FIRST, LAST = Week.parse("2010-05-08"), Week.parse("2024-04-13")
#: A whole legacy week has some 30,000 lines of 400 characters, which `write_week` makes of so many readings.
LEGACY_READINGS = 240_000
CHUNK = 1 << 18


class Template:
    """A full-sized week whose dates can be exchanged."""

    def __init__(self, content: bytes, week: Week) -> None:
        layout = layout_of(week)
        self._bytes = np.frombuffer(content, np.uint8)
        places: dict[bytes, list[int]] = {f"{day:{_form(layout)}}".encode(): [] for day in week.days}
        for match in re.finditer(b"(?<=,)(?:%s)(?=,)" % b"|".join(places), content):
            places[match[0]].append(match.start())
        self._places = [np.array(at) for at in places.values()]
        self.size = len(content)

    def of(self, week: Week) -> npt.NDArray[np.uint8]:
        """The week's file."""
        layout = layout_of(week)
        content: npt.NDArray[np.uint8] = self._bytes.copy()
        # A date, seen at every position.
        date = np.dtype(f"V{layout.date_width}")
        dates = np.ndarray(len(content) - date.itemsize + 1, date, content.data, strides=(1,))
        for day, places in zip(week.days, self._places, strict=True):
            dates[places] = np.frombuffer(f"{day:{_form(layout)}}".encode(), date)[0]
        return content


def _form(layout: Layout) -> str:
    return layout.date_separator.join(("%m", "%d", "%Y" if layout.year_digits == 4 else "%y"))


@cache
def templates() -> dict[str, list[Template]]:
    """Full-sized weeks by the name of their layout: real ones where there are any, else the project's sample."""
    with tempfile.TemporaryDirectory() as folder:

        def sample(key: str, rows: int) -> Template:
            week = Week.parse(key)
            return Template(write_week(week, Path(folder), rows=rows).read_bytes(), week)

        legacy = [sample(key, LEGACY_READINGS) for key in ("2011-05-21", "2013-01-26")]
        real = [(lzma.decompress(path.read_bytes()), Week.of_file(path.stem)) for path in REAL.glob("*_??????.txt.xz")]
        current = [Template(content, week) for content, week in real if week]
        return {LEGACY.name: legacy, "current": current or [sample("2024-01-06", 250_000)]}


class Line:
    """A line of limited bandwidth that all answers share."""

    def __init__(self, rate: float) -> None:
        self._rate, self._free, self._guard = rate, time.monotonic(), threading.Lock()

    def wait(self, size: int) -> None:
        """Return when `size` bytes have gone through."""
        with self._guard:
            self._free = max(self._free, time.monotonic()) + size / self._rate
            until = self._free
        time.sleep(max(0.0, until - time.monotonic()))


class Handler(BaseHTTPRequestHandler):
    """Answers with a week, or 404."""

    protocol_version = "HTTP/1.1"
    weeks: dict[str, list[Template]]
    latency = 0.0
    line: Line | None = None

    def do_GET(self) -> None:
        """One week's file."""
        time.sleep(self.latency)
        week = Week.of_file(Path(self.path).name)
        if week is None or not FIRST <= week <= LAST:
            self.send_error(404)
            return
        content = memoryview(self._file(week))  # type: ignore[arg-type]
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for begin in range(0, len(content), CHUNK):
            piece = content[begin : begin + CHUNK]
            if self.line:
                self.line.wait(len(piece))
            self.connection.sendall(b"%x\r\n" % len(piece))
            self.connection.sendall(piece)
            self.connection.sendall(b"\r\n")
        self.connection.sendall(b"0\r\n\r\n")

    def _file(self, week: Week) -> npt.NDArray[np.uint8]:
        known = self.weeks[layout_of(week).name]
        return known[week.first_day.toordinal() // 7 % len(known)].of(week)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def mean_size(weeks: Sequence[Week]) -> float:
    """Megabytes of a week."""
    sizes = {name: [template.size for template in known] for name, known in templates().items()}
    return sum(sum(sizes[n]) / len(sizes[n]) for n in (layout_of(week).name for week in weeks)) / len(weeks) / 1e6


def main() -> None:
    """Serve until standard input closes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--rate", type=float, default=0.0, help="bytes a second, for all answers together")
    arguments = parser.parse_args()
    Handler.weeks, Handler.latency = templates(), arguments.latency
    if arguments.rate:
        Handler.line = Line(arguments.rate)
    serve(Handler)


if __name__ == "__main__":
    main()
