"""What looking at an inbox tells: looks at files, files that wait, and trouble on the way."""

import errno as errors
import os
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

from asrwatch.journey.evidence import Fingerprint
from asrwatch.values import printable

__all__ = [
    "ABSENT",
    "EMPTIED",
    "MARKER_MISSING",
    "Look",
    "ScanTrouble",
    "Signature",
    "Waiting",
    "Why",
]

# What a share says whose server is away (FUSE, NFS, SMB): the files are absent, which is not the same as gone.
ABSENT = frozenset({errors.ENOTCONN, errors.ESTALE, errors.EHOSTDOWN, errors.EIO, errors.ETIMEDOUT})
# Absences that no system call reports, under numbers that none of those we make returns.
MARKER_MISSING = errors.ENOMEDIUM
EMPTIED = errors.ENODATA


class Signature(NamedTuple):
    """What must not change while a file settles.

    `blocks` and `ctime_ns` tell a file that is being filled where its size and its date stay the same:
    space is reserved first, copying tools put the date back.
    """

    device: int
    inode: int
    size: int
    blocks: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, stat: os.stat_result) -> "Signature":
        """The signature in an `lstat` answer."""
        return cls(
            stat.st_dev,
            stat.st_ino,
            stat.st_size,
            stat.st_blocks,
            stat.st_mtime_ns,
            stat.st_ctime_ns,
        )

    @property
    def fingerprint(self) -> Fingerprint:
        """What the store remembers of it; blocks and ctime may still move when a file has long settled."""
        return Fingerprint(
            device=self.device, inode=self.inode, size=self.size, mtime_ns=self.mtime_ns
        )


class Look(NamedTuple):
    """One look at one regular file: its absolute path, its signature, how many names it has."""

    path: bytes
    signature: Signature
    nlink: int


class Why(StrEnum):
    """Why a file has not settled yet."""

    CHANGING = "changing"
    EMPTY = "empty"
    UNMARKED = "unmarked"
    UNFINISHED = "unfinished"


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A file that has not settled: what it looked like last, and since when on the monotonic clock.

    `first_seen` and `unchanged_since` are seconds; `looks` counts those that found `signature`. `held` is
    what it lacks although it is quiet.
    """

    path: bytes
    signature: Signature
    first_seen: float
    unchanged_since: float
    looks: int
    held: Why | None = None

    @property
    def size(self) -> int:
        """Bytes when it was last looked at."""
        return self.signature.size

    @property
    def why(self) -> Why:
        """What it waits for: quiet, its first byte, its marker, or its writer's end."""
        return (self.held or Why.CHANGING) if self.signature.size else Why.EMPTY

    def age(self, now: float) -> timedelta:
        """How long it has been waiting, at `now` on the same clock."""
        return timedelta(seconds=now - self.first_seen)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanTrouble:
    """A folder or file that could not be looked at, so that nothing is known about it now."""

    path: bytes
    errno: int

    @property
    def absent(self) -> bool:
        """Whether the place behind it is away, as a share is whose server does not answer."""
        return self.errno in ABSENT

    def __str__(self) -> str:
        return f"{printable(self.path)}: {os.strerror(self.errno)}"
