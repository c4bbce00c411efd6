"""Says beside the database which steps an orderly end left, where the database can take nothing any more."""

import json
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

__all__ = ["forget", "note", "noted"]

NAME = "asrwatch.left"


def note(state_dir: Path, recordings: Collection[int]) -> None:
    """These were left in order. Not synced: it is to outlive the process, and a power cut is no orderly end."""
    with suppress(
        OSError
    ):  # a disk that takes nothing at all: they are tried alone then, and cleared
        (state_dir / NAME).write_text(json.dumps(sorted(recordings)))


def noted(state_dir: Path) -> frozenset[int]:
    """What the last end left in order and could not write into the database."""
    with suppress(OSError, ValueError, TypeError):
        return frozenset(json.loads((state_dir / NAME).read_bytes()))
    return frozenset()


def forget(state_dir: Path) -> None:
    """It is in the database now."""
    with suppress(OSError):
        (state_dir / NAME).unlink(missing_ok=True)
