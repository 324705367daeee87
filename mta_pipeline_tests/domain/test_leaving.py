"""Reading apart: what comes is handed on whole and in order, and whoever waits can go."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta_pipeline.domain.errors import Stopped
from mta_pipeline.domain.leaving import AHEAD, HANDFUL, Late, read_apart

LONG = 60.0


def apart(items: Generator[int], stop: threading.Event | None = None, seconds: float = LONG) -> Generator[int]:
    return read_apart(items, stop or threading.Event(), time.monotonic() + seconds)


def counting(number: int) -> Generator[int]:
    yield from range(number)


@given(st.integers(0, 3 * AHEAD))
def test_everything_comes_once_and_in_order(number: int) -> None:
    assert list(apart(counting(number))) == list(range(number))


@pytest.mark.parametrize("number", range(HANDFUL + 2))
def test_what_has_come_is_taken_while_the_rest_is_waited_for(number: int) -> None:
    go_on = threading.Event()

    def stalling() -> Generator[int]:
        yield from range(number)
        assert go_on.wait(LONG)
        yield number

    with closing(apart(stalling())) as items:
        assert [next(items) for _ in range(number)] == list(range(number))
        go_on.set()
        assert next(items) == number


@pytest.mark.parametrize("number", [0, 1, HANDFUL, AHEAD + 1])
def test_a_fault_is_raised_behind_what_came_before_it(number: int) -> None:
    def broken() -> Generator[int]:
        yield from range(number)
        raise OSError("the stream broke")

    items = apart(broken())
    assert [next(items) for _ in range(number)] == list(range(number))
    with pytest.raises(OSError, match="the stream broke"):
        next(items)


@pytest.fixture
def silent() -> Iterator[Generator[int]]:
    """A source that never says anything, until the test ends."""
    end = threading.Event()

    def waiting() -> Generator[int]:
        assert end.wait(LONG)
        yield 0

    yield waiting()
    end.set()


def test_one_who_waits_is_stopped(silent: Generator[int]) -> None:
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    with pytest.raises(Stopped):
        next(apart(silent, stop))


def test_one_who_waits_too_long_is_told(silent: Generator[int]) -> None:
    with pytest.raises(Late):
        next(apart(silent, seconds=0.05))


def test_when_the_taker_leaves_the_reader_ends_and_closes_its_source() -> None:
    closed = threading.Event()

    def endless() -> Generator[int]:
        try:
            while True:
                yield 0
        finally:
            closed.set()

    with closing(apart(endless())) as items:
        next(items)
    assert closed.wait(LONG)
