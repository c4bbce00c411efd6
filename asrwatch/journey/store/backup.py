"""Copies of the database: taken by its one connection, verified by another, thinned out."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

from asrwatch.errors import TemporaryError
from asrwatch.files.oserrors import trouble
from asrwatch.values import printable

__all__ = ["FOLDER", "copy", "kept", "put_in_place", "taken_at"]

FOLDER = "backup"
_NAME = "asrwatch-%Y%m%d-%H%M%S.db"
_DRAFT = ".asrwatch-draft.db"
_PAGES_AT_ONCE = 4096


def copy(
    connection: sqlite3.Connection, state_dir: Path, beat: Callable[[], None] = lambda: None
) -> Path:
    """Copy the database, page by page, into a draft that nobody takes for a backup yet.

    Runs in the thread that owns the connection, outside any transaction: no second connection ever reads
    the database itself.

    Raises:
        TemporaryError: no room, no permission, a failing disk; no draft is left.
    """
    folder = state_dir / FOLDER
    draft = folder / _DRAFT
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        _remove(draft)
        room, size = os.statvfs(folder), (state_dir / "asrwatch.db").stat().st_size
        if room.f_bavail * room.f_frsize < 2 * size:
            raise TemporaryError(
                f"There is no room for a backup in {printable(os.fsencode(folder))}.",
                code="disk-full",
                advice="Make room there, or set backup.keep lower.",
            )
        with closing(sqlite3.connect(draft, isolation_level=None)) as target:
            draft.chmod(0o600)
            connection.backup(target, pages=_PAGES_AT_ONCE, progress=lambda *_: beat())
            # A backup is one file: whoever puts it in place needs no second one beside it.
            target.execute("PRAGMA journal_mode=DELETE")
    except OSError as error:
        _remove(draft)
        raise trouble(error, "write to", os.fsencode(folder)) from error
    except sqlite3.Error as error:
        _remove(draft)
        raise TemporaryError(
            f"The database cannot be copied to {printable(os.fsencode(folder))}: {printable(str(error))}.",
            code="backup-failed",
        ) from error
    return draft


def put_in_place(draft: Path, *, now: datetime, keep: int) -> Path:
    """Verify a draft by opening it and checking it whole; only then it is a backup, and older ones may go.

    Raises:
        TemporaryError: it is not whole, or cannot be kept; what was kept before stays.
    """
    try:
        with closing(sqlite3.connect(f"{draft.as_uri()}?mode=ro", uri=True)) as opened:
            found = opened.execute("PRAGMA integrity_check(3)").fetchall()
            orphans = opened.execute("PRAGMA foreign_key_check").fetchall()
            opened.execute("SELECT count(*) FROM recordings").fetchone()
        if found != [("ok",)] or orphans:
            said = "; ".join(str(line[0]) for line in found)
            _remove(draft)
            raise TemporaryError(
                f"The database is damaged: {printable(said)}.",
                code="database-damaged",
                advice='Restore the newest backup (README, "Restoring a backup"); the backups there are stay.',
            )
        descriptor = os.open(draft, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        place = draft.with_name(now.astimezone(UTC).strftime(_NAME))
        draft.rename(place)
        _sync(draft.parent)
        for old in kept(draft.parent.parent)[keep:]:
            _remove(old)
    except sqlite3.Error as error:
        _remove(draft)
        raise TemporaryError(
            f"The copy of the database cannot be read: {printable(str(error))}.",
            code="backup-failed",
            advice="The backups there are stay.",
        ) from error
    except OSError as error:
        raise trouble(error, "keep a backup in", os.fsencode(draft.parent)) from error
    return place


def kept(state_dir: Path) -> list[Path]:
    """Every backup, newest first; none where nobody can look now."""
    try:
        return sorted((state_dir / FOLDER).glob("asrwatch-*.db"), reverse=True)
    except OSError:  # the main thread asks, and may not die of it
        return []


def taken_at(backup: Path) -> datetime | None:
    """When a backup was taken, by its name."""
    with suppress(ValueError):
        return datetime.strptime(backup.name, _NAME).replace(tzinfo=UTC)
    return None


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
