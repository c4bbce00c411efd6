"""Weighs what proves a file whole, best first: moved in, closed and let go, quiet.

Only where every writer goes through this kernel: it does not know who writes on a share from another machine,
and there a recorder that brings its header up to date now and then looks like one that has finished.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from asrwatch import logs
from asrwatch.audio.closing import is_closed
from asrwatch.errors import AsrwatchError
from asrwatch.files import open_recording
from asrwatch.files.openers import is_being_written
from asrwatch.inbox.looks import Look, Signature
from asrwatch.inbox.mounts import events_lie, file_system_of
from asrwatch.journey.evidence import Fingerprint
from asrwatch.values import printable

__all__ = ["Evidence", "Findings", "Witness"]

log = logs.get("inbox")

# A file that was taken by its own word and written to again within this time, in seconds, was no finished one.
_WRITTEN_AGAIN = 3600.0
_TAKEN_REMEMBERED = 1000
_IN_VAIN_REMEMBERED = 50_000
_WARY_REMEMBERED = 10_000


class Evidence(StrEnum):
    """Why a file is taken to be whole, in words that follow "settled: "."""

    MOVED = "moved in by rename, complete"
    CLOSED = "whole by its own word, and nobody on this machine has it open for writing"
    QUIET = "quiet for the inbox's settle time"


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """`evidence` if the file is proven whole; `unfinished` if it says that it is not, and somebody may write to it."""

    evidence: Evidence | None = None
    unfinished: bool = False


_NOTHING = Findings()


class Witness:
    """Examines an inbox's files. Not for several threads at once.

    Args:
        root: the inbox, absolute; below it no symbolic link is followed.
        name: of the inbox, for the log.
        file_system: of a folder, where it is known.
    """

    def __init__(
        self,
        root: bytes,
        *,
        name: str = "",
        file_system: Callable[[bytes], str | None] = file_system_of,
    ) -> None:
        self._root = root
        self._name = name
        self._file_system = file_system
        self._sees_all: dict[int, bool] = {}
        self._taken: dict[bytes, tuple[Fingerprint, float]] = {}
        self._wary: set[bytes] = set()
        self._in_vain: dict[bytes, Signature] = {}
        self._trusts = True

    def begin_pass(self) -> None:
        """File systems may have been mounted anew since the last pass over everything."""
        self._sees_all.clear()

    def be_wary(self, path: bytes) -> None:
        """A file that changed after it was taken is believed only once it has been quiet."""
        if len(self._wary) >= _WARY_REMEMBERED:  # of files that are gone nobody says so
            self._wary.clear()
        self._wary.add(path)

    def settled(self, path: bytes) -> None:
        """A file has been quiet without proof."""
        self._wary.discard(path)
        self._in_vain.pop(path, None)

    def examine(self, look: Look, now: float, *, moved: bool = False) -> Findings:
        """What proves this file whole, if anything does.

        Args:
            look: at a file that is not known as it is.
            now: monotonic seconds.
            moved: whether it came by a rename, and was not opened for writing since.
        """
        if not moved and self._in_vain.get(look.path) == look.signature:
            return _NOTHING  # a burst of files is passed over again and again
        if not self._believes(look, now):
            return _NOTHING
        try:
            with open_recording(look.path, look.signature.fingerprint, root=self._root) as stream:
                descriptor = stream.fileno()
                whole = not _has_holes(descriptor, look.signature.size)
                closed = is_closed(stream) if whole else False
                written = is_being_written(descriptor)
                same = Signature.of(os.fstat(descriptor)) == look.signature
        except (AsrwatchError, OSError):  # whoever reads it next says why it cannot be read
            return _NOTHING
        if not same or closed is False or written:
            if same and not written:
                self._was_in_vain(look)
            return Findings(unfinished=closed is False and written is True)
        if moved:
            return self._proven(look, now, Evidence.MOVED)
        if closed and written is False:
            return self._proven(look, now, Evidence.CLOSED)
        self._was_in_vain(look)
        return _NOTHING

    def _believes(self, look: Look, now: float) -> bool:
        signature = look.signature
        if self._trusts and self._is_written_again(look, now):
            self._trusts = False
            log.warning(
                "written-again",
                inbox=self._name,
                file=printable(look.path),
                reason="a recording was written to after it had been closed",
                advice="Files of this inbox are taken once they are quiet from now on; `at_once: false` says so "
                "from the start.",
            )
        if not self._trusts or not signature.size or look.path in self._wary:
            return False
        if signature.device not in self._sees_all:
            folder = look.path.rpartition(b"/")[0] or b"/"
            file_system = self._file_system(folder)
            if file_system is None:  # perhaps for a moment only
                return False
            self._sees_all[signature.device] = not events_lie(file_system)
        return self._sees_all[signature.device]

    def _is_written_again(self, look: Look, now: float) -> bool:
        """Whether it was taken by proof a short time ago, and is the same file with other content."""
        taken, taken_at = self._taken.get(look.path, (None, now))
        seen = look.signature.fingerprint
        if taken is None or taken.inode != seen.inode or taken == seen:
            return False
        return now < taken_at + _WRITTEN_AGAIN and not _is_only_dated(taken, look.signature)

    def _was_in_vain(self, look: Look) -> None:
        """Nobody writes to it and it does not prove itself whole: while it looks so, nothing else will come out."""
        if len(self._in_vain) >= _IN_VAIN_REMEMBERED:
            self._in_vain.clear()
        self._in_vain[look.path] = look.signature

    def _proven(self, look: Look, now: float, evidence: Evidence) -> Findings:
        self._taken[look.path] = (look.signature.fingerprint, now)
        if len(self._taken) > _TAKEN_REMEMBERED:
            del self._taken[next(iter(self._taken))]
        return Findings(evidence=evidence)


def _is_only_dated(taken: Fingerprint, seen: Signature) -> bool:
    """Whether a program may have done no more than give the file its source's date, as copies do when they are closed.

    What is written has its date and its inode's changed in the same moment.
    """
    return taken.size == seen.size and seen.mtime_ns != seen.ctime_ns


def _has_holes(descriptor: int, size: int) -> bool:
    """Whether space was reserved in it that nobody has written to yet; False where the file system cannot tell."""
    try:
        return os.lseek(descriptor, 0, os.SEEK_HOLE) < size
    except OSError:
        return False
    finally:
        os.lseek(descriptor, 0, os.SEEK_SET)
