"""Takes what a pass finds to the settler: one whole pass, a pass over dirty folders, or single looks."""

import errno as errors
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby

from asrwatch.inbox.ignore import IgnoreRule
from asrwatch.inbox.looks import Look, ScanTrouble, Why
from asrwatch.inbox.messages import PassKind
from asrwatch.inbox.scan import Folder, look_at, nearest_device, scan
from asrwatch.inbox.settle import Settler

__all__ = ["Round", "Rounds"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """What one round found; `complete` unless something in its reach could not be looked at."""

    kind: PassKind
    files: int
    troubles: tuple[ScanTrouble, ...] = ()
    gone: tuple[bytes, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether everything in reach was looked at."""
        return not self.troubles


class Rounds:
    """The rounds over one inbox. Not for several threads at once.

    Args:
        rule: the inbox and what is wanted in it.
        recursive: whether sub-folders belong to it.
        settler: takes the looks in and decides.
        settled: told of each file the moment it has settled.
        clock: monotonic seconds.
        stopping: asked between folders; True ends the round early.
    """

    def __init__(
        self,
        *,
        rule: IgnoreRule,
        recursive: bool,
        settler: Settler,
        settled: Callable[[Look], None],
        clock: Callable[[], float],
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._rule = rule
        self._recursive = recursive
        self._settler = settler
        self._settled = settled
        self._clock = clock
        self._stopping = stopping

    def whole(self) -> Round:
        """Pass over the whole inbox, and forget what is no longer in it."""
        unvisited = self._settler.folders()
        files, troubles = self._pass(None, deep=self._recursive, unvisited=unvisited)
        if not self._stopping():
            troubles += self._forget(unvisited, troubles)
        return Round(kind=PassKind.WHOLE, files=files, troubles=tuple(troubles))

    def part(self, dirty: Mapping[bytes, bool]) -> Round:
        """Pass over some folders; True where the folders below are meant, too."""
        files = 0
        troubles: list[ScanTrouble] = []
        for folder, deep in dirty.items():
            if not self._recursive and folder != self._rule.root:
                continue
            more_files, more_troubles = self._pass(folder, deep=deep and self._recursive)
            files += more_files
            troubles += more_troubles
        return Round(kind=PassKind.PART, files=files, troubles=tuple(troubles))

    def looks(self) -> Round:
        """Look again at those waiting files whose time has come, and at nothing else."""
        due = sorted(path.rpartition(b"/")[::2] for path in self._settler.due(self._clock()))
        troubles = []
        gone = []
        for folder, paths in groupby(due, key=lambda path: path[0]):
            names = (os.fsdecode(name) for _, name in paths)
            for found in look_at(self._rule, folder or b"/", names):
                if isinstance(found, Look):
                    self._take(found)
                elif isinstance(found, ScanTrouble):
                    self._settler.could_not_look(found.path, self._clock())
                    troubles.append(found)
                elif self._settler.gone(found):
                    gone.append(found)
        return Round(kind=PassKind.LOOK, files=len(due), troubles=tuple(troubles), gone=tuple(gone))

    def _pass(
        self,
        start: bytes | None,
        *,
        deep: bool,
        unvisited: dict[bytes, int | None] | None = None,
    ) -> tuple[int, list[ScanTrouble]]:
        files = 0
        troubles: list[ScanTrouble] = []
        for found in scan(self._rule, folder=start, deep=deep):
            if self._stopping():
                break
            if isinstance(found, ScanTrouble):
                troubles.append(found)
                continue
            if unvisited is not None:
                unvisited.pop(found.path, None)
            files += self._folder(found, troubles)
        return files, troubles

    def _folder(self, folder: Folder, troubles: list[ScanTrouble]) -> int:
        looks = self._settler.enter(folder.path, device=folder.device)
        for look in looks.unknown(folder.files(wanted=looks.names)):
            self._take(look)
        if folder.troubles:
            troubles += folder.troubles
        elif looks.looks_unmounted:
            troubles.append(ScanTrouble(path=folder.path, errno=errors.ENODEV))
        else:
            if looks.missing:
                self._forget_missing(folder, troubles)
            self._settler.leave(looks, device=folder.device)
        return looks.files

    def _take(self, look: Look) -> None:
        # Whether the container is whole is asked by the first step, which reads the file anyway.
        marker = self._rule.marker
        held = None if marker is None or marker.is_there(look.path) else Why.UNMARKED
        if self._settler.look(look, self._clock(), held=held):
            self._settled(look)

    def _forget_missing(self, folder: Folder, troubles: list[ScanTrouble]) -> None:
        try:
            self._settler.forget_others(folder.path, folder.names())
        except OSError as error:
            troubles.append(ScanTrouble(path=folder.path, errno=error.errno or errors.EIO))

    def _forget(
        self, unvisited: Mapping[bytes, int | None], troubles: list[ScanTrouble]
    ) -> list[ScanTrouble]:
        """Forget folders the pass did not come through, unless they may be there and just unseen."""
        unmounted: dict[bytes, ScanTrouble] = {}
        for folder, device in unvisited.items():
            if any(_holds(trouble.path, folder) for trouble in troubles):
                continue
            if device is None or nearest_device(folder) == device:
                self._settler.forget_folder(folder)
            else:
                parent = folder.rpartition(b"/")[0]
                unmounted[parent] = ScanTrouble(path=parent, errno=errors.ENODEV)
        return list(unmounted.values())


def _holds(folder: bytes, path: bytes) -> bool:
    return path == folder or path.startswith(folder.rstrip(b"/") + b"/")
