"""What a state folder says about its database from outside of it: that there was one, and how far it had come."""

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from asrwatch.errors import NeedsPerson
from asrwatch.values import printable

__all__ = ["Mark", "check_files", "close", "read", "write"]

NAME = "asrwatch.mark"
_WAL = 2
_WAL_AT = 18
"""Where a database says that it has a write-ahead log (sqlite.org/fileformat.html, offset 18)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """Written when the database is opened and closed, and after asks, with a little delay.

    `is_open` since it was opened and not closed in order; `asks` is the number of the last known ask, `at` when
    that was known, in seconds since 1970.
    """

    is_open: bool
    asks: int
    at: float


def read(state_dir: Path) -> Mark | None:
    """The mark; None where there is none, or nobody can read it."""
    with suppress(OSError, ValueError, TypeError):
        return Mark(**json.loads((state_dir / NAME).read_bytes()))
    return None


def write(state_dir: Path, mark: Mark) -> None:
    """Replace the mark, durably; where that cannot be done there is none: an old one would tell what is not true."""
    draft = state_dir / f".{NAME}"
    try:
        with draft.open("wb") as stream:
            stream.write(json.dumps(asdict(mark)).encode())
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(state_dir / NAME)
        folder = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError:
        with suppress(OSError):
            (state_dir / NAME).unlink(missing_ok=True)


def close(state_dir: Path) -> None:
    """The database was closed in order, though nobody counted once more: whatever closes it removes its log."""
    mark = read(state_dir)
    if mark is not None and mark.is_open:
        write(state_dir, replace(mark, is_open=False))


def check_files(state_dir: Path) -> None:
    """Look whether the files that were there at the last end are there still.

    Raises:
        NeedsPerson: the database or its log is gone; to begin anew without a word would pay again for everything.
    """
    mark, database = read(state_dir), state_dir / "asrwatch.db"
    if mark is None:
        return
    named = printable(os.fsencode(database))
    if not database.exists() or database.stat().st_size == 0:
        raise NeedsPerson(
            f"The database {named} is gone or empty, and it was not when asrwatch last used it.",
            code="missing-database",
            advice='Put it back, or the newest file of backup/ in its place (README, "Restoring a backup"). To begin '
            f"anew, remove {NAME} there: recordings are then found anew, and what was paid before is paid again.",
        )
    if mark.is_open and _has_log(database) and not (state_dir / "asrwatch.db-wal").exists():
        raise NeedsPerson(
            f"The file {named}-wal is gone: what was saved last was in it.",
            code="missing-log",
            advice="Put it back, or the newest file of backup/ in the database's place (README, \"Restoring a "
            f'backup"). To go on without it, remove {NAME} there: what was paid last may then be paid again.',
        )


def _has_log(database: Path) -> bool:
    with database.open("rb") as stream:
        stream.seek(_WAL_AT)
        return stream.read(1) == bytes([_WAL])
