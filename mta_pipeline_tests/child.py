"""Child processes that a test stops at a certain moment, and kills there.

The child says on its standard output when it is at the moment, and then waits for ever. Run as a
module, this file is the child: it ingests one week, with a trap set at one of `TRAPS`. A trap sits
in the interpreter's or a library's own calls (file renames, gzip writes), so that it holds whatever
the pipeline's functions are called.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mta_pipeline_tests.turnstile_files import SCALE

PROJECT = Path(__file__).resolve().parents[1]
HERE = "the child is here"


def wait_to_be_killed() -> None:
    print(HERE, flush=True)
    threading.Event().wait()


def at_rename_to(suffix: str) -> None:
    """Stop just before a file gets a name that ends in `suffix`."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.rename" and str(arguments[1]).endswith(suffix):
            wait_to_be_killed()

    sys.addaudithook(hook)


def in_gzip() -> None:
    """Stop when half of a block is compressed."""
    from isal import igzip

    write = igzip.IGzipFile.write

    def write_half(self: Any, data: bytes) -> int:
        write(self, data[: len(data) // 2])
        self.flush()
        wait_to_be_killed()
        return 0

    setattr(igzip.IGzipFile, "write", write_half)  # noqa: B010


def in_copy() -> None:
    """Stop when half of a file is copied."""
    import shutil

    def copy_half(source: Any, out: Any, length: int = 0) -> None:
        data = source.read()
        out.write(data[: len(data) // 2])
        out.flush()
        wait_to_be_killed()

    setattr(shutil, "copyfileobj", copy_half)  # noqa: B010


TRAPS: dict[str, Callable[[], None]] = {
    "while fetching": lambda: at_rename_to("nothing: the feed stalls"),
    "before the staged file has its name": lambda: at_rename_to(".txt"),
    "while compressing": in_gzip,
    "while copying to the lake": in_copy,
    "before the object has its name": lambda: at_rename_to(".csv.gz"),
}


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A Python child of the project; killed at the end if it still runs."""
    with subprocess.Popen(
        [sys.executable, *arguments], cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def wait_until_here(child: subprocess.Popen[str]) -> None:
    """Wait for the child to be at its moment; fails when it ended before."""
    assert child.stdout is not None
    line = child.stdout.readline()
    assert line.strip() == HERE, f"the child ended with {child.wait()} before it was where it should be killed"


def main() -> None:
    from mta_pipeline.domain.feed import Feed
    from mta_pipeline.domain.ingest import Ingest
    from mta_pipeline.domain.lake import LocalStore
    from mta_pipeline.domain.staging import Staging
    from mta_pipeline.domain.weeks import Week

    trap, feed_url, staging, lake, week = sys.argv[1:]
    TRAPS[trap]()
    ingest = Ingest(Feed(feed_url), Staging(Path(staging)), LocalStore(Path(lake)), SCALE)
    outcome = ingest.week(Week.parse(week))
    sys.exit(f"not stopped {trap}: {outcome.failures}")


if __name__ == "__main__":
    main()
