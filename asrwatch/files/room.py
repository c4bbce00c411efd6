"""How much room a file system has, and a file that keeps some of it for what was paid."""

import errno
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from asrwatch.errors import AsrwatchError
from asrwatch.files.folders import TEMPORARY_PREFIX
from asrwatch.files.oserrors import trouble

__all__ = ["Reserve", "Space", "space_at", "try_to_write"]

_PROBE = 65_536
"""How much `try_to_write` writes: a short transcript."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Space:
    """What is left for us: bytes, and files (None where the file system does not count them)."""

    free: int
    files: int | None = None


def space_at(folder: bytes) -> Space:
    """What is left where a folder lies, or will lie: of the nearest folder above it that exists.

    A quota shows only where the file system tells it as free space; otherwise in what is refused.

    Raises:
        AsrwatchError: it cannot be written to at all (read-only, no permission), or not be looked at.
    """
    there = folder
    while True:
        try:
            told = os.statvfs(there)
            break
        except FileNotFoundError as error:
            above = os.path.dirname(there.rstrip(b"/"))  # noqa: PTH120 - bytes
            if above in {there, b""}:
                raise trouble(error, "look at", folder) from error
            there = above
        except OSError as error:
            raise trouble(error, "look at", folder) from error
    if told.f_flag & os.ST_RDONLY:
        raise trouble(OSError(errno.EROFS, ""), "write to", folder)
    if not os.access(there, os.W_OK | os.X_OK, effective_ids=True):
        raise trouble(OSError(errno.EACCES, ""), "write to", folder)
    return Space(
        free=told.f_bavail * told.f_frsize, files=told.f_favail if told.f_files > 0 else None
    )


def try_to_write(folder: bytes) -> None:
    """Write a little to a temporary file in a folder, sync and remove it: the only way to learn of some refusals.

    Raises:
        AsrwatchError: what was refused.
    """
    name = TEMPORARY_PREFIX + secrets.token_hex(8).encode()
    path = os.path.join(folder, name)  # noqa: PTH118 - bytes
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            left = memoryview(bytes(_PROBE))
            while left:
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
            os.unlink(path)  # noqa: PTH108 - bytes
    except FileNotFoundError:
        return  # the folder itself is still to be made
    except OSError as error:
        raise trouble(error, "write to", folder) from error


class Reserve:
    """Room that is taken before it is needed: given up when a paid result finds none, taken again later.

    Args:
        path: of the file.
        size: in bytes; 0 keeps nothing.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.size = size

    def is_whole(self) -> bool:
        """Whether it is there in its full size."""
        try:
            return self.size == 0 or self.path.lstat().st_size == self.size
        except OSError:
            return False

    def take(self) -> None:
        """Make it whole, or leave nothing of it.

        Raises:
            AsrwatchError: there is no room for it.
        """
        if self.is_whole():
            return
        try:
            self._take()
        except OSError as error:
            self.give_up()
            raise self._trouble(error) from error

    def give_up(self) -> bool:
        """Free its room; answers whether there was any to free."""
        with suppress(OSError):
            self.path.unlink()
            return True
        return False

    def _take(self) -> None:
        with suppress(FileNotFoundError):
            self.path.unlink()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self.path, flags, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self.size)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _trouble(self, error: OSError) -> AsrwatchError:
        return trouble(error, "keep room in", os.fsencode(self.path))
