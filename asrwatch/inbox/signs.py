"""Files by which people and asrwatch speak to each other in a folder: notes on recordings, and "leave this alone"."""

import os
from collections.abc import Iterator

__all__ = ["NOTE_ENDING", "SKIP", "is_note", "skipped_by"]

NOTE_ENDING = ".asr-error.txt"
"""How the note about a recording that failed ends; such a file is never a recording."""
SKIP = ".asrwatch-skip"
"""A folder that holds a file of this name is left alone, with everything below it."""


def is_note(name: str) -> bool:
    """Whether a file of this name is a note of ours, or looks like one."""
    return name.lower().endswith(NOTE_ENDING)


def skipped_by(path: bytes, root: bytes, marker: str | None) -> bytes | None:
    """The folder that keeps a file from being a recording: the nearest to the inbox that holds the marker.

    Args:
        path: of the file, absolute.
        root: the inbox; not looked above.
        marker: what the marker is called; None: there is none.
    """
    if marker is None:
        return None
    name = os.fsencode(marker)
    return next(
        (each for each in _folders(path, root) if os.path.lexists(each + b"/" + name)), None
    )


def _folders(path: bytes, root: bytes) -> Iterator[bytes]:
    root = root.rstrip(b"/")
    if not path.startswith(root + b"/"):
        return
    yield root
    at = len(root) + 1
    while (at := path.find(b"/", at)) >= 0:
        yield path[:at]
        at += 1
