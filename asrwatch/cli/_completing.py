"""What a shell may complete: names that stand in the configuration, and names of parts.

Asked while somebody types: whatever goes wrong, nothing is offered and nothing is said.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from asrwatch import engines, formats, parts, storages
from asrwatch.config import AUTOMATIC, find_file, load
from asrwatch.errors import AsrwatchError

__all__ = ["formats_there_are", "inboxes_there_are", "models_there_are", "parts_there_are"]


def inboxes_there_are(ctx: Any, incomplete: str) -> list[str]:
    """The names of the configuration's inboxes; of the one that `-c` names, if it was typed already."""
    with suppress(AsrwatchError, OSError):
        named = ctx.params.get("config")
        settings = load(find_file(Path(named) if named else None), ())
        return list(_beginning(incomplete, (inbox.name for inbox in settings.inboxes)))
    return []


def models_there_are(incomplete: str) -> list[str]:
    """The engines, which are called as their models are, and `auto`."""
    return list(_beginning(incomplete, (AUTOMATIC, *parts.names(engines))))


def formats_there_are(incomplete: str) -> list[str]:
    """The formats of transcripts."""
    return list(_beginning(incomplete, parts.names(formats)))


def parts_there_are(incomplete: str) -> list[str]:
    """Every part there is."""
    named = (name for room in (engines, formats, storages) for name in parts.names(room))
    return list(_beginning(incomplete, named))


def _beginning(incomplete: str, names: Iterable[str]) -> Iterator[str]:
    return (name for name in names if name.startswith(incomplete))
