"""Checks folders: readable, really writable, with room, on a file system that suits."""

import os
import shlex
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from asrwatch.cli._barriers import advice_on
from asrwatch.cli._finding import Finding, bad, doubtful, good
from asrwatch.cli._needs import written_folders
from asrwatch.cli._probing import Refused, try_reading, try_writing
from asrwatch.config import InboxSettings, Settings
from asrwatch.inbox.mounts import WatchMode, choose, file_system_of, is_network
from asrwatch.trust import strangers_who_may_change, strangers_who_may_read
from asrwatch.values import format_size, printable

__all__ = ["existing", "inbox_findings", "metrics_findings", "space_findings", "state_findings"]

_LITTLE_SPACE: Final = 10**9
_NO_SPACE: Final = 50 * 10**6
_MOST_FOLDERS: Final = 500_000
_WATCHES: Final = Path("/proc/sys/fs/inotify/max_user_watches")


def inbox_findings(settings: Settings) -> Iterator[Finding]:
    """Every inbox: there, readable, how it is watched; every folder written to: really writable."""
    watched = 0
    for inbox in settings.inboxes:
        about, path = f"inbox {inbox.name}", printable(str(inbox.path))
        try:
            try_reading(inbox.root)
        except Refused as refused:
            yield bad(
                about,
                f"{path} cannot be {refused.step}: {refused.reason.strerror}.",
                advice_on(inbox.path, refused.reason, write=False),
            )
            continue
        choice = choose(inbox.watch, file_system_of(inbox.root))
        folders = _count_folders(inbox)
        many = "1 folder" if folders == 1 else f"{folders} folders"
        yield good(about, f"{path}, {many}, watched by {choice.mode} ({choice.reason})")
        watched += folders if choice.mode is WatchMode.EVENTS else 0
        for what, folder in written_folders(inbox).items():
            yield _writing(f"{about} {what}", folder)
    if watched:
        yield from _watches(watched)


def state_findings(settings: Settings) -> Iterator[Finding]:
    """The state folder: on a local file system, and writable."""
    about, folder = "state_dir", settings.state_dir
    file_system = file_system_of(os.fsencode(existing(folder)))
    if is_network(file_system):
        yield bad(
            about,
            f"{printable(str(folder))} lies on {file_system}, where SQLite loses or corrupts data.",
            "Set state_dir to a folder on a local disk.",
        )
        return
    if (strangers := _strangers_in(folder)) is not None:
        yield doubtful(
            about,
            f"{printable(str(folder))} holds every transcript and what was paid, and {strangers}.",
            f"chmod 700 {shlex.quote(printable(str(folder)))}",
        )
    yield _writing(about, folder)


def metrics_findings(settings: Settings) -> Iterator[Finding]:
    """The folder of the metrics file, where one is configured."""
    if settings.metrics.textfile is not None:
        yield _writing("metrics", settings.metrics.textfile.parent)


def _strangers_in(folder: Path) -> str | None:
    """Why others can look into the state or exchange it; None where nobody can, or it is not there yet."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return (
                strangers_who_may_change(descriptor) or strangers_who_may_read(descriptor) or None
            )
        finally:
            os.close(descriptor)
    return None


def space_findings(settings: Settings) -> Iterator[Finding]:
    """Room on every file system that is written to, each once."""
    folders = [settings.state_dir]
    for inbox in settings.inboxes:
        folders += written_folders(inbox).values()
    seen: set[int] = set()
    for folder in folders:
        there = existing(folder)
        with suppress(OSError):
            device = there.stat().st_dev
            if device in seen:
                continue
            seen.add(device)
            free = shutil.disk_usage(there).free
            said = f"{format_size(free)} free for {printable(str(folder))}"
            if free < _NO_SPACE:
                yield bad("space", said, "Free some space.")
            elif free < _LITTLE_SPACE:
                yield doubtful("space", said, "Free some space soon.")
            else:
                yield good("space", said)


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there: missing ones are created when needed."""
    return next((each for each in (folder, *folder.parents) if _is_there(each)), Path("/"))


def _is_there(folder: Path) -> bool:
    """Whether something is there, or nobody may look: that is told when it is tried."""
    try:
        folder.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _writing(about: str, folder: Path) -> Finding:
    there = existing(folder)
    shown = printable(str(folder))
    try:
        try_writing(os.fsencode(there))
    except Refused as refused:
        return bad(
            about,
            f"{shown} cannot be {refused.step}: {refused.reason.strerror}.",
            advice_on(there, refused.reason, write=True),
        )
    created = "" if there == folder else " (is created when needed)"
    return good(about, f"{shown} is writable{created}")


def _count_folders(inbox: InboxSettings) -> int:
    if not inbox.recursive:
        return 1
    rule, counted = inbox.ignore_rule(), 0
    for folder, below, _ in os.walk(inbox.root):
        counted += 1
        below[:] = [name for name in below if rule.wants_folder(os.path.join(folder, name))]  # noqa: PTH118 - bytes, which pathlib cannot hold
        if counted >= _MOST_FOLDERS:
            break
    return counted


def _watches(folders: int) -> Iterator[Finding]:
    """Each watched folder takes one inotify watch, of which a user has only so many."""
    try:
        limit = int(_WATCHES.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return
    said = f"{folders} folders to watch, the system allows {limit} watches"
    if folders > limit * 0.8:
        yield doubtful(
            "inotify",
            said,
            "Raise fs.inotify.max_user_watches, or set `watch: poll`; scanning finds everything anyway.",
        )
    else:
        yield good("inotify", said)
