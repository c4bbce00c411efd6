"""Marker files: how some senders say that a recording is whole."""

import os
import re

from asrwatch.errors import ConfigError, Problem

__all__ = ["Marker"]

_PLACES = re.compile(r"\{(name|stem)\}")


class Marker:
    """The name of the marker that belongs to a recording, such as `{name}.done` for `talk.wav.done`.

    `{name}` stands for the recording's whole name, `{stem}` for the name without its ending. When the
    marker comes is all the same: the recording is taken once both are there.

    Raises:
        ConfigError: the pattern names no recording, or a place that is not the recording's folder.
    """

    def __init__(self, pattern: str) -> None:
        literal = _PLACES.sub("", pattern)
        if not _PLACES.search(pattern) or not literal or "/" in pattern or "{" in literal:
            what = 'must be a name with {name} or {stem} in it, such as "{name}.done"'
            raise ConfigError([Problem(where="done_marker", what=what)], source="the marker's name")
        self.pattern = pattern
        self._matches = re.compile(
            "".join(
                ".+" if _PLACES.fullmatch(piece) else re.escape(piece)
                for piece in re.split(r"(\{name\}|\{stem\})", pattern)
            ),
            re.DOTALL,
        ).fullmatch

    def is_one(self, name: str) -> bool:
        """Whether a file of this name is a marker, and so never a recording."""
        return self._matches(name) is not None

    def of(self, name: str) -> str:
        """What the marker of the recording `name` is called."""
        stem = os.path.splitext(name)[0]  # noqa: PTH122 - a name, not a path
        return _PLACES.sub(lambda place: name if place[1] == "name" else stem, self.pattern)

    def is_there(self, path: bytes) -> bool:
        """Whether the marker of the recording at `path` lies beside it, whatever it is."""
        folder, _, name = path.rpartition(b"/")
        return os.path.lexists(folder + b"/" + os.fsencode(self.of(os.fsdecode(name))))
