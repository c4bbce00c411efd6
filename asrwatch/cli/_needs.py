"""What the service must be let do for a configuration: which folders it reads, and which it writes."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asrwatch import notifiers, parts, storages
from asrwatch.config import InboxSettings, Settings
from asrwatch.notifiers import Notifier
from asrwatch.storages import Storage

__all__ = ["Need", "folder_needs", "written_folders"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """A folder the daemon works with: what for, and whether it writes there."""

    path: Path
    why: str
    write: bool

    @property
    def real(self) -> Path:
        """Where it really lies, symbolic links followed as far as they lead."""
        return Path(os.path.realpath(self.path))


def folder_needs(settings: Settings) -> tuple[Need, ...]:
    """Every folder of the configuration, each once, the state folder aside."""
    found: dict[Path, Need] = {}
    for need in _all(settings):
        before = found.get(need.path)
        if before is None or (need.write and not before.write):
            found[need.path] = need
    return tuple(found.values())


def written_folders(inbox: InboxSettings) -> dict[str, Path]:
    """The folders an inbox's transcripts and originals are written to, by what for."""
    output = inbox.output if isinstance(inbox.output, Path) else inbox.path
    folders = {"output": output}
    if inbox.move_to is not None:
        folders["after: move"] = inbox.move_to
    if inbox.after != "keep":
        folders["after"] = inbox.path
    return folders


def _all(settings: Settings) -> Iterator[Need]:
    for inbox in settings.inboxes:
        yield Need(path=inbox.path, why=f"inbox {inbox.name}", write=False)
        for what, folder in written_folders(inbox).items():
            yield Need(path=folder, why=f"{what} of inbox {inbox.name}", write=True)
    if settings.metrics.textfile is not None:
        yield Need(path=settings.metrics.textfile.parent, why="metrics", write=True)
    for folder, inbox in _read_by_notifiers(settings):
        yield Need(path=folder, why=f"notify of inbox {inbox.name}", write=False)
    for folder in _read_by_storage(settings):
        yield Need(path=folder, why=f"storage {settings.storage.use}", write=False)


def _read_by_notifiers(settings: Settings) -> Iterator[tuple[Path, InboxSettings]]:
    """The folders of the files that notifiers' options name: secrets, certificates."""
    for inbox in settings.inboxes:
        for choice in inbox.notify:
            part: type[Notifier[Any]] = parts.find(notifiers, Notifier, choice.use)  # type: ignore[type-abstract] # a base to look for
            for _, value in part.Options.model_validate(dict(choice.options)):
                if isinstance(value, Path):
                    yield value.parent, inbox


def _read_by_storage(settings: Settings) -> Iterator[Path]:
    """Every path among the storage's options: whatever a storage names, it reads."""
    part: type[Storage[Any]] = parts.find(storages, Storage, settings.storage.use)  # type: ignore[type-abstract] # a base to look for
    options = part.Options.model_validate(dict(settings.storage.options))
    for _, value in options:
        if isinstance(value, Path):
            yield Path(os.path.abspath(value))  # noqa: PTH100 - resolve() would follow links
