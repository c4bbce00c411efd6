"""Where a lookout's thread sleeps, and what wakes it: folders to look at, files to look at again, stop."""

import threading
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Errands", "Heard", "Nudge", "Nudges"]

# More dirty folders than this are one pass over everything; Syncthing's aggregator draws the line here, too.
_MOST_FOLDERS = 512
# Where so many files have news at once, passes over their folders, which are paced, cost less than looks at each.
_MOST_FILES = 64


class Nudge(Protocol):
    """Asks for another look at a folder; `deep`: at the whole tree below it."""

    def __call__(self, folder: bytes, *, deep: bool) -> None:
        """Ask, without blocking."""
        ...


class Heard(Protocol):
    """Asks for a look at one file, of which something was heard."""

    def __call__(self, path: bytes, *, moved: bool, at_once: bool) -> None:
        """Ask, without blocking; `moved`: by a rename, `at_once`: it may be whole now."""
        ...


@dataclass(kw_only=True, slots=True)
class Errands:
    """What is to be done: everything, or these folders (True: and those below), files to look at or to forget.

    `files` are True where they were moved in, and not written to since, False where they were written to, None where
    they are just there; with `at_once` one of them may be whole.
    `crowded` folders have had news of too many files to look at each.
    """

    everything: bool = False
    folders: dict[bytes, bool] = field(default_factory=dict)
    files: dict[bytes, bool | None] = field(default_factory=dict)
    at_once: bool = False
    crowded: set[bytes] = field(default_factory=set)
    again: set[bytes] = field(default_factory=set)

    def add_file(self, path: bytes, *, moved: bool | None) -> None:
        """Have one file looked at; where there are too many, their folders, until that was done."""
        folder = path.rpartition(b"/")[0] or b"/"
        if self.everything or folder in self.crowded:
            return
        self.files[path] = self.files.get(path) if moved is None else moved
        if len(self.files) > _MOST_FILES:
            files, self.files = self.files, {}
            for each in files:
                self.crowded.add(each.rpartition(b"/")[0] or b"/")
            for each in self.crowded:
                self.add_folder(each, deep=False)

    def add_folder(self, folder: bytes, *, deep: bool) -> None:
        """Mark a folder dirty; too many of them make everything dirty."""
        if self.everything:
            return
        self.folders[folder] = deep or self.folders.get(folder, False)
        if len(self.folders) > _MOST_FOLDERS:
            self.everything = True
            self.folders.clear()
            self.files.clear()


class Nudges:
    """One sleeper, any number of nudgers; nudging never blocks for longer than adding to a set."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._errands = Errands()
        self._stopping = False

    @property
    def stopping(self) -> bool:
        """Whether the thread has been told to end."""
        return self._stopping

    def everything(self) -> None:
        """Ask for a pass over the whole inbox."""
        with self._changed:
            self._errands.everything = True
            self._errands.folders.clear()
            self._errands.files.clear()
            self._changed.notify()

    def folder(self, folder: bytes, *, deep: bool) -> None:
        """Ask for a pass over one folder, or the tree below it."""
        with self._changed:
            self._errands.add_folder(folder, deep=deep)
            self._changed.notify()

    def file(self, path: bytes, *, moved: bool, at_once: bool) -> None:
        """Ask for a look at one file; `at_once` where it may be whole."""
        with self._changed:
            self._errands.add_file(path, moved=moved if at_once else None)
            self._errands.at_once |= at_once and bool(self._errands.files)
            self._changed.notify()

    def again(self, path: bytes) -> None:
        """Ask for one file to be forgotten and looked at anew."""
        with self._changed:
            self._errands.again.add(path)
            self._changed.notify()

    def stop(self) -> None:
        """Tell the thread to end."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def wait(self, seconds: float, *, for_folders: bool = True, for_files: bool = True) -> Errands:
        """Sleep until there is an errand, the time is over or the end has come; take the errands.

        Args:
            seconds: how long to sleep at most.
            for_folders: whether a dirty folder is reason enough to wake up, or is picked up later.
            for_files: the same for files that are to be looked at at once.
        """

        def awake() -> bool:
            errands = self._errands
            return (
                self._stopping
                or errands.everything
                or bool(errands.again)
                or (for_folders and bool(errands.folders or errands.files))
                or (for_files and errands.at_once and bool(errands.files))
            )

        with self._changed:
            self._changed.wait_for(awake, timeout=max(0.0, seconds))
            taken, self._errands = self._errands, Errands()
        return taken
