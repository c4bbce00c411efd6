"""Decides when a file has settled: fed with looks and the time, it does no I/O and has no clock.

A file has settled when its signature stayed the same for the inbox's quiet time, over two looks at least,
and nothing else is known to be missing (its first byte, its marker); or as soon as it is proven to be whole.
The time is seconds on a monotonic clock; a file's own dates are compared with nothing but themselves,
since recorders, shares and copying tools set them as they like.
"""

import os
from collections import OrderedDict
from collections.abc import Container, Iterable, Iterator
from dataclasses import replace
from datetime import timedelta

from asrwatch.inbox.looks import Look, Signature, Waiting, Why
from asrwatch.journey.evidence import Fingerprint

__all__ = ["FolderLooks", "Settler"]

# A quiet file that lacks something is looked at again by every pass and on every event. This slower round in
# between is for placeholders of synchronisers (recorders.md 1.1) on file systems that report nothing.
_HELD_LOOK = 30.0
# One look cannot tell a file at rest from one between two writes, even with a quiet time of nothing.
_LOOKS = 2


class Settler:
    """Remembers every file of an inbox: known, still settling, or quiet and held.

    Args:
        settle: the quiet time.
        empty_for: how long a file may be empty; then it is reported as it is, for a person to see.
        known: paths, each with the fingerprint the store has it under; of several for one path the last
            counts. They are not reported until their fingerprint changes.
    """

    def __init__(
        self,
        *,
        settle: timedelta,
        empty_for: timedelta = timedelta(hours=1),
        known: Iterable[tuple[bytes, Fingerprint]] = (),
    ) -> None:
        self._quiet = settle.total_seconds()
        self._empty_for = max(empty_for, settle).total_seconds()
        self._held_look = min(_HELD_LOOK, max(self._empty_for, 1.0))
        # Folder -> name -> 64 bits of the fingerprint: about 180 bytes per file, and one look-up in a pass.
        self._known: dict[bytes, dict[str, int]] = {}
        self._devices: dict[bytes, int] = {}
        # Both ordered by when their next look is due, which is a constant after what they are ordered by.
        self._settling: OrderedDict[bytes, Waiting] = OrderedDict()
        self._held: OrderedDict[bytes, tuple[float, Waiting]] = OrderedDict()
        for path, fingerprint in known:
            self._know(
                path,
                hash(
                    (
                        fingerprint.device,
                        fingerprint.inode,
                        fingerprint.size,
                        fingerprint.mtime_ns,
                    )
                ),
            )

    def enter(self, folder: bytes, *, device: int) -> "FolderLooks":
        """Begin to compare a folder's listing with what is known of it."""
        return FolderLooks(
            folder=folder,
            known=self._known.get(folder, {}),
            moved=self._devices.get(folder, device) != device,
        )

    def leave(self, looks: "FolderLooks", *, device: int) -> None:
        """Take note that the folder was listed to its end, on this device."""
        if looks.folder in self._known:
            self._devices[looks.folder] = device

    def is_news(self, look: Look) -> bool:
        """Whether a file is not known as it looks: it is new, has changed, or still settles."""
        return self._waiting(look.path) is not None or not self._is_known(look.path, look.signature)

    def quiet_since(self, look: Look, now: float) -> float:
        """When a file began to look as it does, on the monotonic clock."""
        before = self._waiting(look.path)
        same = before is not None and before.signature == look.signature
        return before.unchanged_since if before is not None and same else now

    def look(
        self, look: Look, now: float, *, held: Why | None = None, proven: bool = False
    ) -> bool:
        """Take in one look, made at `now`; True if the file has settled with it, once per fingerprint.

        Args:
            look: what was seen.
            now: seconds on the monotonic clock.
            held: what the file lacks however quiet it is.
            proven: whether it is whole for certain, and needs no quiet time.
        """
        path, signature, _ = look
        before = self._waiting(path)
        if before is None and self._is_known(path, signature):
            return False
        if proven and held is None:
            self._drop(path)
            self._know(path, _mark(signature))
            return True
        if before is None or not before.looks or before.signature != signature:
            self._start_over(look, now, first_seen=before.first_seen if before else now)
            return False
        after = replace(before, looks=before.looks + 1, held=None)
        quiet = self._quiet if signature.size else self._empty_for
        if after.looks >= _LOOKS and now >= before.unchanged_since + quiet:
            if held is None:
                self._drop(path)
                self._know(path, _mark(signature))
                return True
            self._hold(replace(after, held=held), now)
        elif signature.size:
            self._settling[path] = after
        else:
            self._hold(after, now)
        return False

    def could_not_look(self, path: bytes, now: float) -> None:
        """A look at a waiting file failed: its quiet time begins anew with the next that does not."""
        before = self._waiting(path)
        if before is None:
            return
        after = replace(before, unchanged_since=now, looks=0, held=None)
        if after.size:
            self._drop(path)
            self._settling[path] = after
        else:
            self._hold(after, now)

    def gone(self, path: bytes) -> bool:
        """The file is no longer there; True if it was still waiting."""
        waited = self._waiting(path) is not None
        self.forget(path)
        return waited

    def next_look(self) -> float | None:
        """When the first of the waiting files wants to be looked at again; None if nothing waits."""
        due = []
        if self._settling:
            due.append(next(iter(self._settling.values())).unchanged_since + self._quiet)
        if self._held:
            due.append(next(iter(self._held.values()))[0] + self._held_look)
        return min(due, default=None)

    def due(self, now: float) -> tuple[bytes, ...]:
        """The waiting files whose next look is due."""
        paths = []
        for path, waiting in self._settling.items():
            if now < waiting.unchanged_since + self._quiet:
                break
            paths.append(path)
        for path, (looked, _) in self._held.items():
            if now < looked + self._held_look:
                break
            paths.append(path)
        return tuple(paths)

    def waiting(self) -> tuple[Waiting, ...]:
        """Every file that has not settled: the longest quiet first, those that lack something last."""
        return (*self._settling.values(), *(waiting for _, waiting in self._held.values()))

    def forget(self, path: bytes) -> None:
        """Know nothing of this file: it settles and is reported like a new one."""
        self._drop(path)
        folder, name = _split(path)
        names = self._known.get(folder)
        if names is not None and names.pop(name, None) is not None and not names:
            self.forget_folder(folder)

    def settle_again(self, path: bytes) -> None:
        """A file that was reported is to be reported once more; one that waits is on its way there already.

        To begin its waiting anew, every time somebody stumbles over it, would be to wait for ever.
        """
        if self._waiting(path) is None:
            self.forget(path)

    def forget_others(self, folder: bytes, names: Iterable[str]) -> None:
        """Of the known files in `folder`, forget those that are not among `names`."""
        vanished = set(self._known.get(folder, ()))
        vanished.difference_update(names)
        for name in vanished:
            del self._known[folder][name]
        if folder in self._known and not self._known[folder]:
            self.forget_folder(folder)

    def forget_folder(self, folder: bytes) -> None:
        """Know nothing of the files in this folder any more, as it is no longer there."""
        self._known.pop(folder, None)
        self._devices.pop(folder, None)

    def folders(self) -> dict[bytes, int | None]:
        """The folders that hold known files, each with the device it was last seen on."""
        return {folder: self._devices.get(folder) for folder in self._known}

    @property
    def known_count(self) -> int:
        """How many files are known."""
        return sum(map(len, self._known.values()))

    def _waiting(self, path: bytes) -> Waiting | None:
        settling = self._settling.get(path)
        if settling is not None:
            return settling
        held = self._held.get(path)
        return None if held is None else held[1]

    def _drop(self, path: bytes) -> None:
        self._settling.pop(path, None)
        self._held.pop(path, None)

    def _hold(self, waiting: Waiting, now: float) -> None:
        self._drop(waiting.path)
        self._held[waiting.path] = (now, waiting)

    def _start_over(self, look: Look, now: float, *, first_seen: float) -> None:
        self.forget(look.path)
        waiting = Waiting(
            path=look.path,
            signature=look.signature,
            first_seen=first_seen,
            unchanged_since=now,
            looks=1,
        )
        if waiting.size:
            self._settling[look.path] = waiting
        else:
            self._hold(waiting, now)

    def _is_known(self, path: bytes, signature: Signature) -> bool:
        folder, name = _split(path)
        return self._known.get(folder, {}).get(name) == _mark(signature)

    def _know(self, path: bytes, mark: int) -> None:
        folder, name = _split(path)
        self._known.setdefault(folder, {})[name] = mark


class FolderLooks:
    """One folder's listing compared with what was known of the folder when the pass entered it.

    Attributes:
        folder: its path.
        files: how many wanted files it holds, so far.
        names: those of the known files.
    """

    __slots__ = ("_known", "_known_before", "_moved", "_seen", "files", "folder", "names")

    def __init__(self, *, folder: bytes, known: dict[str, int], moved: bool) -> None:
        self.folder = folder
        self.files = 0
        self.names: Container[str] = known
        self._known = known
        self._known_before = len(known)
        self._moved = moved
        self._seen = 0

    def unknown(self, files: Iterable[tuple[str, os.stat_result]]) -> Iterator[Look]:
        """Those of the files that are not known as they are: new, changed or still settling."""
        known = self._known.get
        prefix = self.folder.rstrip(b"/") + b"/"
        for name, status in files:
            self.files += 1
            mark = known(name)
            if mark is not None:
                self._seen += 1
                # The same four that _mark takes, without building a Signature: this is the hot loop.
                if mark == hash((status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)):
                    continue
            yield Look(prefix + os.fsencode(name), Signature.of(status), status.st_nlink)

    @property
    def missing(self) -> bool:
        """Whether known files were not among those listed."""
        return self._seen < self._known_before

    @property
    def looks_unmounted(self) -> bool:
        """Whether the folder is on another device than before and holds nothing of what was known.

        That is how an unmounted disk or share reads: an empty folder, and no error.
        """
        return self._moved and not self.files and bool(self._known_before)


def _mark(signature: Signature) -> int:
    device, inode, size, _, mtime_ns, _ = signature
    return hash((device, inode, size, mtime_ns))


def _split(path: bytes) -> tuple[bytes, str]:
    folder, _, name = path.rpartition(b"/")
    return folder or b"/", os.fsdecode(name)
