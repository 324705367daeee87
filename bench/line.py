"""A feed that is far away: 50 ms and 20 MB/s for all that is under way. Does the pipeline fill the line?"""

from __future__ import annotations

import argparse

from bench.history import WEEKS, by_command, serving_history
from bench.history_feed import mean_size


def main() -> None:
    """Run the simulation and print its line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weeks", type=int, default=40)
    parser.add_argument("--latency", type=float, default=0.05, help="seconds before each answer")
    parser.add_argument("--rate", type=float, default=20e6, help="bytes a second, for all downloads together")
    given = parser.parse_args()
    weeks = WEEKS[-given.weeks :]
    size = mean_size(weeks)
    with serving_history("--latency", str(given.latency), "--rate", str(given.rate)) as feed:
        way = by_command("line", weeks, feed, "")
    each = way.wall / way.weeks
    print(
        f"a line of {given.latency * 1e3:.0f} ms and {given.rate / 1e6:.0f} MB/s, {len(weeks)} weeks of {size:.1f} MB"
    )
    print(f"{each:.2f} s a week, {way.cpu / way.weeks:.2f} s of CPU; {size / each:.1f} MB/s")
    alone = size * 1e6 / given.rate
    print(f"the line alone would take {alone:.2f} s a week: {alone / each:.0%} of it is used")


if __name__ == "__main__":
    main()
