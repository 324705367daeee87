"""Which engine makes readings: Polars, DuckDB and pyarrow over the same work, on one real week.

Each takes the published file's bytes and writes Parquet: the lines split and typed, the wall time made a moment of New
York's zone, sorted by turnstile and moment, of each two readings of a moment one. That is the bulk of
`mta_pipeline.domain.readings`; rejected lines and the nights on which clocks change are left out. The line `readings`
is the project's own code, with all its rules. Every engine runs in
a process of its own, several times; told are its CPU seconds (the least of the rounds, and the first, which has the
import in it) and its largest memory.
"""

from __future__ import annotations

import argparse
import io
import json
import lzma
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable

from bench.ingest import PROJECT, REAL, WORK
from mta_pipeline.domain.sample import write_week
from mta_pipeline.domain.weeks import Week

COLUMNS = ("ca", "unit", "scp", "station", "line", "division", "date", "time", "kind", "entries", "exits")
OUT = WORK / "engine.parquet"


def readings(content: bytes) -> int:
    """The project's own way, with all its rules, in Polars."""
    from mta_pipeline.domain import parquet
    from mta_pipeline.domain.readings import readings_of
    from mta_pipeline.domain.tables import READINGS

    made = readings_of(content, Week.parse("2023-12-30"))
    parquet.write(made.rows, READINGS, OUT, {})
    return made.rows.height


def polars(content: bytes) -> int:
    """Expressions."""
    import polars as pl

    wall = (pl.col("date") + " " + pl.col("time")).str.to_datetime("%m/%d/%Y %H:%M:%S", time_unit="us")
    key = pl.col("ca", "unit", "scp", "read_at")
    frame = (
        pl.read_csv(content, has_header=False, skip_rows=1, schema=dict.fromkeys(COLUMNS, pl.String), quote_char=None)
        .lazy()
        .select(
            pl.col("ca", "unit", "scp", "station", "line", "division"),
            read_at=wall.dt.replace_time_zone("America/New_York", ambiguous="earliest", non_existent="null"),
            kind="kind",
            entries=pl.col("entries").cast(pl.Int64),
            exits=pl.col("exits").str.strip_chars().cast(pl.Int64),
        )
        .sort("ca", "unit", "scp", "read_at", "kind", descending=[False] * 4 + [True])
        .filter(pl.any_horizontal(key.ne_missing(key.shift())))
        .collect()
    )
    frame.write_parquet(OUT, compression="zstd", row_group_size=65_536)
    return frame.height


def duckdb(content: bytes) -> int:
    """SQL, from a file, as DuckDB reads no bytes."""
    import duckdb as db

    path = WORK / "engine.csv"
    path.write_bytes(content)
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in COLUMNS)
    with db.connect() as connection:
        connection.execute("SET threads TO 2")
        connection.execute(
            f"""
            COPY (
                SELECT ca, unit, scp, station, line, division,
                       timezone('America/New_York', strptime(date || ' ' || time, '%m/%d/%Y %H:%M:%S')) AS read_at,
                       kind, CAST(entries AS BIGINT) AS entries, CAST(trim(exits) AS BIGINT) AS exits
                FROM read_csv('{path}', header = true, columns = {{{columns}}}, auto_detect = false, quote = '')
                QUALIFY row_number() OVER (PARTITION BY ca, unit, scp, read_at ORDER BY kind DESC) = 1
                ORDER BY ca, unit, scp, read_at
            ) TO '{OUT}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 65536)
            """  # noqa: S608
        )
        row = connection.execute(f"SELECT count(*) FROM '{OUT}'").fetchone()  # noqa: S608
    return int(row[0]) if row else 0


def pyarrow(content: bytes) -> int:
    """Arrow's compute functions; what it lacks (the duplicates) by comparing neighbours of the sorted table."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
    from pyarrow import csv

    table = csv.read_csv(
        io.BytesIO(content),
        read_options=csv.ReadOptions(column_names=list(COLUMNS), skip_rows=1),
        parse_options=csv.ParseOptions(quote_char=False),
        convert_options=csv.ConvertOptions(column_types=dict.fromkeys(COLUMNS, pa.string())),
    )
    wall = pc.strptime(
        pc.binary_join_element_wise(table["date"], table["time"], " "), format="%m/%d/%Y %H:%M:%S", unit="us"
    )
    table = table.append_column(
        "read_at", pc.assume_timezone(wall, "America/New_York", ambiguous="earliest", nonexistent="latest")
    )
    for name in ("entries", "exits"):
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, pc.cast(pc.utf8_trim_whitespace(table[name]), pa.int64()))
    table = table.drop_columns(["date", "time"]).sort_by(
        [(name, "ascending") for name in ("ca", "unit", "scp", "read_at")] + [("kind", "descending")]
    )
    table = table.combine_chunks()
    same = None
    for name in ("ca", "unit", "scp", "read_at"):
        column = table[name].combine_chunks()
        equal = pc.equal(column[1:], column[:-1])
        same = equal if same is None else pc.and_(same, equal)
    table = table.filter(pc.invert(pa.concat_arrays([pa.array([False]), same])))
    pq.write_table(table, OUT, compression="zstd", row_group_size=65536)
    return int(table.num_rows)


ENGINES: dict[str, Callable[[bytes], int]] = {
    "polars": polars,
    "duckdb": duckdb,
    "pyarrow": pyarrow,
    "readings": readings,
}


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--engine", choices=ENGINES, help="this one alone, in this process, as JSON")
    arguments = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    content = week()
    if arguments.engine:
        print(json.dumps(measured(ENGINES[arguments.engine], content, arguments.rounds)))
        return
    print(
        f"{len(content) / 1e6:.1f} MB, {content.count(10):,} lines; {os.cpu_count()} cores; {arguments.rounds} rounds"
    )
    print(f"{'':<10}{'cpu s':>8}{'first':>8}{'wall s':>8}{'peak MB':>9}{'MB out':>8}{'rows':>10}")
    for name in ENGINES:
        command = [sys.executable, "-m", "bench.engines", "--engine", name, "--rounds", str(arguments.rounds)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=PROJECT)
        told = json.loads(done.stdout)
        print(
            f"{name:<10}{told['cpu']:>8.3f}{told['first']:>8.3f}{told['wall']:>8.3f}{told['peak']:>9.0f}"
            f"{told['out']:>8.2f}{told['rows']:>10,}"
        )


def week() -> bytes:
    """A real week's file, or one of the project's own sample."""
    packed = REAL / "turnstile_240106.txt.xz"
    if packed.exists():
        return lzma.decompress(packed.read_bytes())
    return write_week(Week.parse("2023-12-30"), WORK).read_bytes()


def measured(engine: Callable[[bytes], int], content: bytes, rounds: int) -> dict[str, float]:
    """What `engine` takes."""
    cpu, wall, rows = [], [], 0
    for _ in range(rounds):
        begin, clock = time.process_time(), time.perf_counter()
        rows = engine(content)
        cpu.append(time.process_time() - begin)
        wall.append(time.perf_counter() - clock)
    return {
        "cpu": min(cpu),
        "first": cpu[0],
        "wall": min(wall),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "out": OUT.stat().st_size / 1e6,
        "rows": rows,
    }


if __name__ == "__main__":
    main()
