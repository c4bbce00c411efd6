"""Takes what a pass finds to the settler: one whole pass, a pass over dirty folders, or single looks."""

import errno as errors
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby

from asrwatch.inbox.evidence import Evidence, Findings, Witness
from asrwatch.inbox.ignore import IgnoreRule
from asrwatch.inbox.looks import EMPTIED, Look, ScanTrouble, Why
from asrwatch.inbox.messages import PassKind
from asrwatch.inbox.presence import Presence
from asrwatch.inbox.scan import Folder, look_at, nearest_device, scan
from asrwatch.inbox.settle import FolderLooks, Settler

__all__ = ["Round", "Rounds"]

# Seconds that may be spent looking for proof at once, and the share of the time from then on. In a burst of thousands
# that would take longer than their quiet time; those that are left wait for that, or for the next round.
_EXAMINING = 0.5
_EXAMINING_SHARE = 0.1
# How long, in seconds, an inbox that lost everything at once is taken to be away and not to be tidied.
_EMPTIED_BELIEVED = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """What one round found; `complete` unless something in its reach could not be looked at.

    `folders` are the inodes of the folders that a whole pass entered.
    """

    kind: PassKind
    files: int
    troubles: tuple[ScanTrouble, ...] = ()
    gone: tuple[bytes, ...] = ()
    folders: frozenset[int] = frozenset()

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
        settled: told of each file the moment it has settled, and by what evidence.
        clock: monotonic seconds.
        witness: says which files are whole without a quiet time; None waits for that with all.
        rest_within: how long, in seconds, a quiet file may be open whose writer has not finished it.
        presence: tells an emptied inbox from one that is away.
        stopping: asked between folders; True ends the round early.
    """

    def __init__(
        self,
        *,
        rule: IgnoreRule,
        recursive: bool,
        settler: Settler,
        settled: Callable[[Look, Evidence], None],
        clock: Callable[[], float],
        witness: Witness | None = None,
        rest_within: float = 3600.0,
        presence: Presence | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._rule = rule
        self._recursive = recursive
        self._settler = settler
        self._settled = settled
        self._clock = clock
        self._witness = witness
        self._rest_within = rest_within
        self._presence = presence or Presence(root=rule.root)
        self._stopping = stopping
        self._examining_left, self._examined_at = _EXAMINING, clock()
        self._root_device: int | None = None
        self._emptied_at: float | None = None
        self._folders: set[int] = set()

    def whole(self) -> Round:
        """Pass over the whole inbox, and forget what is no longer in it."""
        away = self._presence.proof()
        if away is not None:
            return Round(kind=PassKind.WHOLE, files=0, troubles=(away,))
        unvisited = self._settler.folders()
        self._folders.clear()
        if self._witness is not None:
            self._witness.begin_pass()
        files, troubles = self._pass(None, deep=self._recursive, unvisited=unvisited)
        if not self._stopping():
            troubles += self._forget(unvisited, troubles)
        self._presence.expected = self._settler.known_count
        return Round(
            kind=PassKind.WHOLE,
            files=files,
            troubles=tuple(troubles),
            folders=frozenset(self._folders),
        )

    def part(self, dirty: Mapping[bytes, bool]) -> Round:
        """Pass over some folders; True where the folders below are meant, too."""
        away = self._presence.proof()
        if away is not None:
            return Round(kind=PassKind.PART, files=0, troubles=(away,))
        files = 0
        troubles: list[ScanTrouble] = []
        for folder, deep in dirty.items():
            if not self._recursive and folder != self._rule.root:
                continue
            more_files, more_troubles = self._pass(folder, deep=deep and self._recursive)
            files += more_files
            troubles += more_troubles
        self._presence.expected = self._settler.known_count
        return Round(kind=PassKind.PART, files=files, troubles=tuple(troubles))

    def looks(self) -> Round:
        """Look again at those waiting files whose time has come, and at nothing else."""
        return self._looks_at(dict.fromkeys(self._settler.due(self._clock()), False))

    def heard_of(self, files: Mapping[bytes, bool | None]) -> Round:
        """Look at files of which there was news; True where they were moved in, and not written to since."""
        away = self._presence.proof()
        if away is not None:
            return Round(kind=PassKind.LOOK, files=0, troubles=(away,))
        return self._looks_at(
            {
                path: moved is True
                for path, moved in files.items()
                if self._recursive or path.rpartition(b"/")[0] == self._rule.root.rstrip(b"/")
            }
        )

    def _looks_at(self, files: Mapping[bytes, bool]) -> Round:
        due = sorted(path.rpartition(b"/")[::2] for path in files)
        troubles = []
        gone = []
        devices: dict[bytes, int] = {}
        for folder, paths in groupby(due, key=lambda path: path[0]):
            names = (os.fsdecode(name) for _, name in paths)
            for found in look_at(self._rule, folder or b"/", names):
                if isinstance(found, Look):
                    self._take(found, moved=files[found.path])
                elif isinstance(found, ScanTrouble):
                    self._settler.could_not_look(found.path, self._clock())
                    troubles.append(found)
                elif away := self._away(found, devices):
                    self._settler.could_not_look(found, self._clock())
                    troubles.append(away)
                elif found in devices and self._settler.gone(found):
                    gone.append(found)
        return Round(kind=PassKind.LOOK, files=len(due), troubles=tuple(troubles), gone=tuple(gone))

    def _away(self, path: bytes, devices: dict[bytes, int]) -> ScanTrouble | None:
        """Why a waiting file that is not found may be there all the same; `devices` is filled at the first."""
        if not devices:
            devices |= {each.path: each.signature.device for each in self._settler.waiting()}
        return self._presence.away(path, devices[path]) if path in devices else None

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
            self._folders.add(found.identity[1])
            files += self._folder(found, troubles)
        return files, troubles

    def _folder(self, folder: Folder, troubles: list[ScanTrouble]) -> int:
        looks = self._settler.enter(folder.path, device=folder.device)
        for look in looks.unknown(folder.files(wanted=looks.names)):
            self._take(look)
        if folder.troubles:
            troubles += folder.troubles
        elif looks.looks_unmounted and (folder.path != self._rule.root or not self._is_proven):
            troubles.append(ScanTrouble(path=folder.path, errno=errors.ENODEV))
        elif folder.path == self._rule.root and self._is_emptied(folder, looks):
            troubles.append(ScanTrouble(path=folder.path, errno=EMPTIED))
        else:
            if looks.missing:
                self._forget_missing(folder, troubles)
            self._settler.leave(looks, device=folder.device)
        return looks.files

    @property
    def _is_proven(self) -> bool:
        """Whether a marker has said that the inbox is there: rounds do not begin without it."""
        return self._presence.marker is not None

    def _is_emptied(self, root: Folder, looks: FolderLooks) -> bool:
        """Whether everything went at once, and too short a time ago to be believed."""
        self._presence.expected = self._settler.known_count
        if looks.files or root.has_folders or not self._presence.emptied():
            self._emptied_at = None
            return False
        now = self._clock()
        if self._emptied_at is None:
            self._emptied_at = now
        return now < self._emptied_at + _EMPTIED_BELIEVED

    def be_wary(self, path: bytes) -> None:
        """A file changed after it had been taken: it is not taken again before it is quiet."""
        if self._witness is not None:
            self._witness.be_wary(path)

    def _take(self, look: Look, *, moved: bool = False) -> None:
        marker = self._rule.marker
        held = None if marker is None or marker.is_there(look.path) else Why.UNMARKED
        found = self._examined(look, moved=moved) if held is None else Findings()
        now = self._clock()
        if found.unfinished and now < self._settler.quiet_since(look, now) + self._rest_within:
            held = Why.UNFINISHED
        proven = found.evidence is not None
        if self._settler.look(look, now, held=held, proven=proven):
            folder, device = look.path.rpartition(b"/")[0] or b"/", look.signature.device
            # Should the share go before the next pass, it is known where the folder lay.
            self._settler.leave(self._settler.enter(folder, device=device), device=device)
            if self._witness is not None and not proven:
                self._witness.settled(look.path)
            self._settled(look, found.evidence or Evidence.QUIET)

    def _examined(self, look: Look, *, moved: bool) -> Findings:
        if self._witness is None or not self._settler.is_news(look):
            return Findings()
        begun = self._clock()
        earned = (begun - self._examined_at) * _EXAMINING_SHARE
        self._examining_left = min(_EXAMINING, self._examining_left + earned)
        self._examined_at = begun
        if self._examining_left <= 0:
            return Findings()
        found = self._witness.examine(look, begun, moved=moved)
        self._examining_left -= self._clock() - begun
        return found

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
        root = self._rule.root
        if any(trouble.path == root for trouble in troubles):
            return []
        before, self._root_device = self._root_device, nearest_device(root + b"/.")
        for folder, device in unvisited.items():
            if any(_holds(trouble.path, folder) for trouble in troubles):
                continue
            # Where the whole inbox came back under another number, a folder that it lost is gone.
            remounted = device == before != self._root_device
            if device is None or remounted or nearest_device(folder) == device:
                self._settler.forget_folder(folder)
            else:
                parent = folder.rpartition(b"/")[0]
                unmounted[parent] = ScanTrouble(path=parent, errno=errors.ENODEV)
        return list(unmounted.values())


def _holds(folder: bytes, path: bytes) -> bool:
    return path == folder or path.startswith(folder.rstrip(b"/") + b"/")
