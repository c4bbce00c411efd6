"""Recordings as they come out of the database: rows read with their answers and outputs."""

import os
import zlib
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, func, select

from asrwatch.journey.evidence import Output
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.store import tables
from asrwatch.journey.store.database import Database, damaged
from asrwatch.journey.store.rows import recording_of
from asrwatch.values import printable

__all__ = ["NEWEST_FIRST", "WHOLE", "WITH_ANSWER", "Loading", "is_below", "listed"]

_WITH_OUTPUTS = (State.TRANSCRIBED, State.DELIVERED, State.FAILED)
_table, _outputs = tables.recordings, tables.outputs

# Statements are built once: building one takes longer than running it.
WITH_ANSWER = select(
    _table,
    tables.answers.c.raw,
    tables.answers.c.received_at,
    tables.answers.c.billed,
    tables.answers.c.ticket.label("answered_ticket"),
).select_from(_table.outerjoin(tables.answers, _table.c.answer == tables.answers.c.id))
NEWEST_FIRST = _table.c.id.desc()
WHOLE = _table.c.part_of.is_(None)
"""What people dropped, and no piece of it: all that is ever listed or counted for them."""
_OUTPUTS_OF = (
    select(_outputs.c.format, _outputs.c.path, _outputs.c.sha256)
    .where(_outputs.c.recording == bindparam("of"))
    .order_by(_outputs.c.position)
)


def listed(name: str) -> Any:
    """The values of a JSON list bound to `name`: unlike an expanded IN, compiled only once."""
    return select(func.json_each(bindparam(name)).table_valued("value").c.value)


def is_below(path: ColumnElement[bytes], folder: bytes) -> ColumnElement[bool]:
    """A range of the index on paths: everything from the slash on, up to what would follow it."""
    prefix = folder.rstrip(b"/") + b"/"
    return and_(path >= prefix, path < prefix[:-1] + b"0")


class Loading(Database):
    """Part of the store; see the module."""

    def _many(self, query: Any, chosen: Mapping[str, Any] | None = None) -> tuple[Recording, ...]:
        with self.transaction():
            rows = self._connection.execute(query, chosen or {}).all()
            try:
                return tuple(
                    recording_of(row, self._outputs_of(row.id, State(row.state))) for row in rows
                )
            except (zlib.error, ValueError) as error:
                raise damaged(
                    printable(os.fsencode(self.state_dir / "asrwatch.db")),
                    f"a row holds what cannot be ({type(error).__name__})",
                ) from error

    def _outputs_of(self, recording_id: int, state: State) -> tuple[Output, ...]:
        if state not in _WITH_OUTPUTS:
            return ()
        rows = self._connection.execute(_OUTPUTS_OF, {"of": recording_id}).all()
        return tuple(Output(format=row.format, path=row.path, sha256=row.sha256) for row in rows)
