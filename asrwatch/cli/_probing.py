"""Does to a folder, once, all that a transcript needs, and tells which step was refused."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from asrwatch.files import TEMPORARY_PREFIX

__all__ = ["Refused", "probe_name", "try_reading", "try_writing"]

_PROBE: Final = b"asrwatch check\n"


class Refused(Exception):
    """A step that the system refused: what was to be done, and the system's reason."""

    def __init__(self, step: str, reason: OSError) -> None:
        super().__init__(step, reason)
        self.step = step
        self.reason = reason


def try_reading(folder: bytes) -> None:
    """Open a folder and list it.

    Raises:
        Refused: one of both.
    """
    with _step("opened"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with _step("listed"), os.scandir(descriptor) as entries:
            next(entries, None)
    finally:
        os.close(descriptor)


def try_writing(folder: bytes) -> None:
    """Create a file, put it and its name on the disk, rename and remove it.

    Its name is one that no inbox takes up, and that is swept away should we die in between.

    Raises:
        Refused: one of them.
    """
    name = probe_name()
    with _step("opened"):
        within = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _try_file(within, name)
        with _step("synced"):
            os.fsync(within)
        with _step("renamed into"):
            os.rename(name, name + b"-2", src_dir_fd=within, dst_dir_fd=within)
        with _step("cleaned up"):
            os.unlink(name + b"-2", dir_fd=within)
            os.fsync(within)
    finally:
        for left in (name, name + b"-2"):
            with suppress(OSError):
                os.unlink(left, dir_fd=within)
        os.close(within)


def probe_name() -> bytes:
    """A name that nothing has, for one trial."""
    return TEMPORARY_PREFIX + b"check-" + secrets.token_hex(8).encode()


def _try_file(within: int, name: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with _step("written"):
        descriptor = os.open(name, flags, 0o600, dir_fd=within)
        try:
            os.write(descriptor, _PROBE)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _step(done: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Refused(done, error) from error
