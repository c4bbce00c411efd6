"""What the operating system's errors about files mean here: an error of ours, with an advice."""

import errno
import os
import stat
from collections.abc import Callable

from asrwatch.errors import AsrwatchError, RecordingError, TemporaryError
from asrwatch.values import printable

__all__ = ["kind_of", "trouble"]

_AGAIN = "it is tried again by itself"
# What is not listed here is temporary too: the inbox's `patience` ends it.
_TEMPORARY = {
    errno.ENOSPC: ("disk-full", f"Free some space there; {_AGAIN}."),
    errno.EDQUOT: ("quota", f"Free some space or raise the quota; {_AGAIN}."),
    errno.EFBIG: ("file-too-large", f"Raise the limit on file sizes (ulimit -f); {_AGAIN}."),
    errno.EROFS: ("read-only", f"Mount the file system writable; {_AGAIN}."),
    errno.EACCES: ("no-permission", f"Give the user asrwatch runs as access; {_AGAIN}."),
    errno.EPERM: ("no-permission", f"Give the user asrwatch runs as access; {_AGAIN}."),
    errno.EIO: ("io-error", f"Look at the disk or the share; {_AGAIN}."),
    errno.ESTALE: ("share-gone", f"Look whether the share is mounted; {_AGAIN}."),
    errno.ENOTCONN: ("share-gone", f"Look whether the share is mounted; {_AGAIN}."),
    errno.EHOSTDOWN: ("share-gone", f"Look whether the share is mounted; {_AGAIN}."),
    errno.EMFILE: ("too-many-open-files", f"Raise the limit on open files; {_AGAIN}."),
    errno.ENFILE: ("too-many-open-files", f"Raise the limit on open files; {_AGAIN}."),
}
# What waiting does not mend.
_LASTING = {
    errno.ENOTDIR: (
        "not-a-folder",
        "A folder is needed there: move what is in its way, then retry.",
    ),
    errno.ELOOP: ("symlink", "Symbolic links are not followed there: replace it, then retry."),
    errno.ENAMETOOLONG: (
        "name-too-long",
        "Shorten the names of the file or its folders, then retry.",
    ),
}
_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISREG, "regular file"),
    (stat.S_ISLNK, "symbolic link"),
    (stat.S_ISDIR, "folder"),
    (stat.S_ISFIFO, "named pipe"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISBLK, "block device"),
    (stat.S_ISCHR, "character device"),
)


def trouble(error: OSError, doing: str, path: bytes) -> AsrwatchError:
    """The error of ours that `error`, met while `doing` something with `path`, stands for."""
    number = error.errno or 0
    said = os.strerror(number) if number else str(error)
    message = f"Cannot {doing} {printable(path)}: {said}."
    if number in _LASTING:
        code, advice = _LASTING[number]
        return RecordingError(message, code=code, advice=advice)
    unlisted = (errno.errorcode.get(number, "os-error").lower(), f"{_AGAIN.capitalize()}.")
    code, advice = _TEMPORARY.get(number, unlisted)
    return TemporaryError(message, code=code, advice=advice)


def kind_of(mode: int) -> str:
    """What a file of this `st_mode` is, in a word a person knows."""
    return next((word for is_kind, word in _KINDS if is_kind(mode)), "special file")
