"""Files by path: recordings are opened safely, outputs written atomically, leftovers swept.

Nothing here trusts a name for longer than one system call: recordings are recognised by their
fingerprint, targets are written through an open folder (`folders.py`).
"""

import errno
import fcntl
import hashlib
import os
import stat
from contextlib import ExitStack, suppress
from datetime import timedelta
from time import time
from typing import BinaryIO

from asrwatch.errors import RecordingError, SourceChanged, Vanished
from asrwatch.files.folders import TEMPORARY_PREFIX, descend, open_folder
from asrwatch.files.oserrors import kind_of, trouble
from asrwatch.heartbeats import beat
from asrwatch.journey.evidence import Fingerprint
from asrwatch.journey.recording import VANISHED
from asrwatch.values import printable

__all__ = [
    "TEMPORARY_PREFIX",
    "changed",
    "check_unchanged",
    "fingerprint_of",
    "hash_whole",
    "open_recording",
    "split_below",
    "sweep",
    "write_atomically",
]

_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_COPY_AT_ONCE = 2**20
_STALE_AFTER = timedelta(days=1)


def fingerprint_of(status: os.stat_result) -> Fingerprint:
    """What tells this file from any other, and from itself after a change."""
    return Fingerprint(
        device=status.st_dev,
        inode=status.st_ino,
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
    )


def open_recording(
    path: bytes, fingerprint: Fingerprint | None = None, *, root: bytes | None = None
) -> BinaryIO:
    """The recording, open at its start; never a link, never something that blocks.

    Args:
        path: where it lies.
        fingerprint: of the file that settled; None takes any regular file.
        root: a folder above `path`, below which symbolic links to folders are not followed either;
            None follows them, as a person who names a file himself expects.

    Raises:
        Vanished: there is no such file any more.
        RecordingError: it is not a regular file.
        SourceChanged: it is not the file that settled.
        TemporaryError: it cannot be opened now (permissions, a share that is away).
    """
    folder, name = os.path.split(path)
    try:
        with descend(*split_below(folder or b".", root)) as above:
            _must_be_regular(os.stat(name, dir_fd=above, follow_symlinks=False), path)
            descriptor = os.open(name, _READ_FLAGS, dir_fd=above)
        with ExitStack() as on_trouble:
            stream = open(path, "rb", opener=lambda *_: descriptor)  # noqa: SIM115 - a name for messages; the caller's to close
            on_trouble.callback(stream.close)
            seen = os.fstat(stream.fileno())
            on_trouble.pop_all()
    except OSError as error:
        raise _reading_trouble(error, path) from error
    with ExitStack() as on_trouble:
        on_trouble.callback(stream.close)
        _must_be_regular(seen, path)
        if fingerprint is not None and fingerprint_of(seen) != fingerprint:
            raise changed(path)
        on_trouble.pop_all()
    return stream


def check_unchanged(
    stream: BinaryIO, path: bytes, fingerprint: Fingerprint, *, root: bytes | None = None
) -> None:
    """Make sure that what was read from `stream` is the whole settled file, which still lies there.

    Args:
        stream: what was read.
        path: where it lay when it was opened.
        fingerprint: of the file that settled.
        root: as for `open_recording`.

    Raises:
        SourceChanged: written to, or replaced, while it was read.
        Vanished: renamed or deleted while it was read.
        TemporaryError: it cannot be looked at now.
    """
    folder, name = os.path.split(path)
    try:
        read = os.fstat(stream.fileno())
        with descend(*split_below(folder or b".", root)) as above:
            lying = os.stat(name, dir_fd=above, follow_symlinks=False)
    except OSError as error:
        raise _reading_trouble(error, path) from error
    if fingerprint_of(read) != fingerprint or fingerprint_of(lying) != fingerprint:
        raise changed(path)


def changed(path: bytes) -> SourceChanged:
    """The error to raise where `path` turns out to be another file than the one that settled."""
    return SourceChanged(
        f"{printable(path)} is not the file that settled any more.",
        code="changed",
        advice="It settles again by itself.",
    )


def hash_whole(stream: BinaryIO) -> str:
    """The sha256 of all of a stream, in hexadecimal; the stream is at its start again after it.

    Raises:
        TemporaryError: it cannot be read now.
    """
    try:
        stream.seek(0)
        digest = hashlib.sha256()
        while piece := stream.read(_COPY_AT_ONCE):
            digest.update(piece)
            beat()
        stream.seek(0)
    except OSError as error:
        name = stream.name
        raise trouble(error, "read", name if isinstance(name, bytes) else b"the file") from error
    return digest.hexdigest()


def write_atomically(
    target: bytes, content: bytes, *, replace: bool = True, root: bytes | None = None
) -> bool:
    """Put a file of `content` at `target`: complete and durable, or not at all.

    Args:
        target: where; missing folders above it are created.
        content: all of it.
        replace: take the place of a file of that name.
        root: a folder above `target`, below which symbolic links to folders are not followed.

    Returns:
        False if the name is taken and `replace` is not set; nothing was changed then.

    Raises:
        TemporaryError: no space, no permission, a failing disk; nothing half-written stays.
        RecordingError: a folder has the name, or something else is where a folder is needed.
    """
    folder, name = os.path.split(target)
    with open_folder(*split_below(folder or b".", root)) as opened:
        return opened.write(name, content, replace=replace)


def sweep(folder: bytes) -> int:
    """Remove the temporary files a crash left in `folder`, and say how many.

    A file somebody still writes is locked and stays. Where the share has no locks, a day of silence
    decides. What cannot be looked at or removed stays for the next time.
    """
    swept = 0
    try:
        with os.scandir(folder) as entries:
            ours = [entry.name for entry in entries if entry.name.startswith(TEMPORARY_PREFIX)]
    except OSError:
        return 0
    for name in ours:
        path = os.path.join(folder, name)  # noqa: PTH118 - bytes, which pathlib cannot hold
        with suppress(OSError):
            if _is_abandoned(path):
                os.unlink(path)  # noqa: PTH108 - bytes, which pathlib cannot hold
                swept += 1
    return swept


def split_below(folder: bytes, root: bytes | None) -> tuple[bytes, bytes]:
    """`folder` as the root and the steps below it; its own root where it is not below `root`."""
    if root is None:
        return folder, b""
    below = root.rstrip(b"/") + b"/"
    steps = folder[len(below) :].split(b"/")
    if folder.rstrip(b"/") == root.rstrip(b"/"):
        return root, b""
    if not folder.startswith(below) or b".." in steps:
        return folder, b""
    return root, folder[len(below) :]


def _must_be_regular(status: os.stat_result, path: bytes) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = kind_of(status.st_mode)
        raise RecordingError(
            f"{printable(path)} is a {kind}, not a regular file; it was not opened.",
            code=kind.replace(" ", "-"),
            advice="Put the recording itself there.",
        )


def _reading_trouble(error: OSError, path: bytes) -> Exception:
    match error.errno:
        # a folder on the way that became a link is no folder of the inbox any more
        case errno.ENOENT | errno.ENOTDIR | errno.ELOOP:
            return Vanished(
                f"{printable(path)} is gone.",
                code=VANISHED,
                advice="Nothing was paid; put it back to have it transcribed.",
            )
        case _:
            return trouble(error, "open", path)


def _is_abandoned(path: bytes) -> bool:
    descriptor = os.open(path, _READ_FLAGS)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return time() - status.st_mtime > _STALE_AFTER.total_seconds()
        return True
    finally:
        os.close(descriptor)
