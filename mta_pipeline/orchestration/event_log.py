"""Dagster's event log in SQLite, with its connections kept open; dagster.yaml names it.

Dagster's own makes an engine, and compiles its statements anew, for each of the three writes of an event, and
lets SQLite wait for the disk after each: that took longer than the work that the events tell of (see
docs/performance.md). Files and tables are the same, so that either can be put in the other's place.

A commit does not wait for the disk here (`synchronous=NORMAL`). A process that is killed loses nothing by
that; a power cut may lose the last events, never the file (https://sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import Field, StringSource
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy import create_engine, event
from sqlalchemy.pool import StaticPool

if TYPE_CHECKING:
    from dagster._config import UserConfigSchema
    from dagster._serdes import ConfigurableClassData
    from sqlalchemy.engine import Connection, Engine

#: Databases kept open: the index, and those of the runs looked at last.
MOST_OPEN = 4


class KeptSqliteEventLogStorage(SqliteEventLogStorage):
    """`SqliteEventLogStorage` that opens each database once. Safe for threads as that is: one at a time."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._tables: set[str] = set()
        self._columns: set[str] = set()
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        return {"base_dir": Field(StringSource, is_required=False)}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> KeptSqliteEventLogStorage:
        """In DAGSTER_HOME, where Dagster's own would be, or in the `base_dir` of the configuration."""
        folder = config_value.get("base_dir") or Path(os.environ["DAGSTER_HOME"]) / "history" / "runs"
        return cls(str(folder), inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock, self._engine(shard).connect() as connection:
            with connection.begin():
                yield connection
            if shard != INDEX_SHARD_NAME:
                # Writes go to the log beside it; who watches a run, as the UI does, watches this file.
                os.utime(self.path_for_shard(shard))

    def _engine(self, shard: str) -> Engine:
        """The shard's engine; the one that was not used for longest is closed for it."""
        engine = self._engines.get(shard)
        if engine is None:
            engine = create_engine(
                self.conn_string_for_shard(shard),
                poolclass=StaticPool,
                # One at a time uses it, see `_connect`.
                connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
            )
            event.listen(engine, "connect", _do_not_wait_for_the_disk)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            self._engines[shard] = engine
            if len(self._engines) > MOST_OPEN:
                _, oldest = self._engines.popitem(last=False)
                oldest.dispose()
        self._engines.move_to_end(shard)
        return engine

    def has_table(self, table_name: str) -> bool:
        """See `SqlEventLogStorage`, which asks several times an event; a table that is there stays there."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        """See `SqlEventLogStorage`, which asks for each event of an asset; a column that is there stays there."""
        if column_name not in self._columns and super()._has_asset_key_col_on_connection(conn, column_name):
            self._columns.add(column_name)
        return column_name in self._columns

    def wipe(self) -> None:
        """See `EventLogStorage`."""
        self._close_all()
        super().wipe()

    def delete_events(self, run_id: str) -> None:
        """See `EventLogStorage`; the run's database is removed too, which Dagster's leaves behind."""
        super().delete_events(run_id)
        with self._db_lock:
            engine = self._engines.pop(run_id, None)
            if engine:
                engine.dispose()
            shard = Path(self.path_for_shard(run_id))
            for path in shard.parent.glob(f"{shard.name}*"):
                path.unlink(missing_ok=True)
            self._initialized_dbs.discard(run_id)

    def dispose(self) -> None:
        """Close all databases."""
        self._close_all()
        super().dispose()

    def _close_all(self) -> None:
        with self._db_lock:
            while self._engines:
                self._engines.popitem()[1].dispose()


def _do_not_wait_for_the_disk(connection: Any, _: object) -> None:
    connection.execute("PRAGMA synchronous=NORMAL")
