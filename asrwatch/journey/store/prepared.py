"""Statements compiled once and run on the driver's own cursor, for the few that every recording needs.

SQLAlchemy's execution of a small statement takes ten times as long as SQLite's (98 us against 8 us measured),
and the daemon's one writing thread runs a dozen of them between two requests of a worker slot. Statements are
still written as SQLAlchemy's, so that tables, names and types stand in one place.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Delete, Insert, Select, Update
from sqlalchemy.dialects import sqlite

__all__ = ["Prepared"]

_DIALECT = sqlite.dialect(paramstyle="named")


class Prepared:
    """One statement, ready to run.

    Args:
        statement: with every value a `bindparam` or a constant; no expanding `IN`.
        columns: of an INSERT or UPDATE: those that are given values when it is run.
    """

    def __init__(
        self,
        statement: Select[Any] | Insert | Update | Delete,
        columns: Iterable[str] | None = None,
    ) -> None:
        compiled = statement.compile(
            dialect=_DIALECT, column_keys=list(columns) if columns is not None else None
        )
        self._sql = str(compiled)
        converted = {name: _converter(bind.type) for name, bind in compiled.binds.items()}
        self._converters = {name: convert for name, convert in converted.items() if convert}
        self._constants = {
            name: self._convert(name, bind.value)
            for name, bind in compiled.binds.items()
            if not bind.required and bind.value is not None
        }

    def run(self, connection: Connection, values: Mapping[str, Any]) -> sqlite3.Cursor:
        """Run with these values, in the connection's transaction; results are as SQLite has them.

        Raises:
            sqlite3.Error: what SQLite says.
        """
        cursor: sqlite3.Cursor = _driver(connection).execute(self._sql, self._bound(values))
        return cursor

    def run_many(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run once for each of the rows.

        Raises:
            sqlite3.Error: what SQLite says.
        """
        _driver(connection).executemany(self._sql, [self._bound(values) for values in rows])

    def _bound(self, values: Mapping[str, Any]) -> dict[str, Any]:
        bound = {**self._constants, **values}
        for name, convert in self._converters.items():
            if name in values:
                bound[name] = convert(values[name])
        return bound

    def _convert(self, name: str, value: Any) -> Any:
        convert = self._converters.get(name)
        return convert(value) if convert else value


def _converter(kind: Any) -> Callable[[Any], Any] | None:
    processor: Callable[[Any], Any] | None = kind.dialect_impl(_DIALECT).bind_processor(_DIALECT)
    return processor


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection
