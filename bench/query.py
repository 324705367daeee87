"""How long the README's query takes over the whole history: one station's year, by DuckDB.

Fourteen years of made-up `ridership` are written as the pipeline writes it, in the size of real weeks (480 stations,
20,000 rows and 0.08 MB a week). The query is told the days only, so that every one of the 720 objects is opened.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import textwrap
import time
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from bench.ingest import WORK
from mta_pipeline.domain import parquet
from mta_pipeline.domain.ridership import SLOT_HOURS
from mta_pipeline.domain.tables import RIDERSHIP
from mta_pipeline.domain.weeks import FIRST_PUBLISHED, Week

LAKE = WORK / "query_lake"
STATIONS = 480
SEED = 20_100_508

#: The README's recipe; a test sees that it is.
QUERY = textwrap.dedent("""\
    SELECT month(day) AS month, sum(entries) AS entries, sum(exits) AS exits
    FROM read_parquet('data/lake/ridership/*/*.parquet')
    WHERE station = 'BEDFORD AV' AND year(day) = 2024
    GROUP BY month ORDER BY month
""")


def main() -> None:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weeks", type=int, default=720)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    shutil.rmtree(LAKE, ignore_errors=True)
    weeks = [FIRST_PUBLISHED.shifted(n) for n in range(arguments.weeks)]
    write_lake(LAKE, weeks)
    sizes = [(LAKE / RIDERSHIP.object_name(week)).stat().st_size for week in weeks]
    print(f"{len(weeks)} weeks of ridership, {sum(sizes) / 1e6:.0f} MB, {sum(sizes) / len(sizes) / 1e6:.2f} MB each")
    print(f"{os.cpu_count()} cores, {platform.machine()}, DuckDB {duckdb.__version__}")
    year = weeks[-1].first_day.year - 1  # the last whole one
    for title, query in {
        "one station's year, by day": QUERY,
        "the same, weeks named too": QUERY.replace(
            "WHERE", f"WHERE week BETWEEN '{year - 1}-12-25' AND '{year}-12-31' AND"
        ),
    }.items():
        print(f"{title:<28}{timed(of_lake(query, LAKE, year), arguments.rounds)}")


def of_lake(query: str, lake: Path, year: int) -> str:
    """The recipe over another lake, of another year."""
    return query.replace("data/lake", str(lake)).replace("= 2024", f"= {year}")


def timed(query: str, rounds: int) -> str:
    """Medians of wall and CPU seconds, each round in a connection of its own, that knows nothing yet."""
    walls, cpus = [], []
    for _ in range(rounds):
        wall, cpu = time.monotonic(), time.process_time()
        with duckdb.connect() as connection:
            rows = connection.sql(query).fetchall()
        walls.append(time.monotonic() - wall)
        cpus.append(time.process_time() - cpu)
        assert rows, "no month of that station"
    return f"{statistics.median(walls):.2f} s, {statistics.median(cpus):.2f} s of CPU; {len(rows)} months"


def write_lake(lake: Path, weeks: list[Week], stations: int = STATIONS) -> None:
    """A week's object of made-up ridership for each of `weeks`: the last slot of the Friday before, and 41 more."""
    numbers = np.random.default_rng(SEED)
    names = ["BEDFORD AV", *(f"{n} ST" for n in range(2, stations + 1))]
    busy = numbers.lognormal(8, 1, stations)
    for week in weeks:
        days = [week.shifted(-1).last_day, *week.days]
        clock = [(day, hour) for day in days for hour in range(0, 24, SLOT_HOURS)][5:-1]
        people = numbers.poisson(np.repeat(busy / 6, len(clock)))
        frame = pl.DataFrame(
            {
                "station": np.repeat(names, len(clock)),
                "line_names": np.repeat([f"{n % 7 + 1}" for n in range(stations)], len(clock)),
                "division": np.repeat(["BMT"], stations * len(clock)),
                "day": [day for day, _ in clock] * stations,
                "slot": [hour for _, hour in clock] * stations,
                "entries": people,
                "exits": people * 8 // 5 + 1,
            },
            schema=parquet.schema_of(RIDERSHIP),
        )
        path = lake / RIDERSHIP.object_name(week)
        path.parent.mkdir(parents=True)
        parquet.write(frame.sort(RIDERSHIP.key), RIDERSHIP, path, {"week": week.key, "version": "made up"})


if __name__ == "__main__":
    main()
