"""How processes that have loaded the definitions use processor and memory."""

from __future__ import annotations

import atexit
import ctypes
import gc
from contextlib import suppress

FEWER_COLLECTIONS = 10_000  # new objects before garbage is looked for, where Python has 700: a few events make those
M_ARENA_MAX = -8  # malloc.h
ARENAS = 2


def spare_processor_and_memory() -> None:
    """Have Python's collector and glibc's heaps fit what runs do. To be called when everything is imported.

    What was imported stays: the collector would go through its 160,000 objects again and again while weeks are told
    of, and took a tenth of a backfill's processor time. And a heap for each of a dozen threads, most of which wait for
    the interpreter lock anyway, costs 10 MB that are never given back.
    """
    gc.freeze()
    atexit.register(gc.unfreeze)  # what is frozen then is never ended, and libraries that count say that it leaked
    gc.set_threshold(FEWER_COLLECTIONS, *gc.get_threshold()[1:])
    with suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)
