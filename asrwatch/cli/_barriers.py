"""Says in words what bars a folder, and which setting of the service or of the system would open it."""

import errno
import grp
import os
import pwd
import shlex
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from asrwatch.cli._dropin import HOMES, TEMPORARY, is_below
from asrwatch.inbox.mounts import Mount, find_mount, mounts_here
from asrwatch.values import printable

__all__ = ["advice_on"]

_UNIT: Final = "`asrwatch unit` prints the drop-in that opens it"
_AWAY: Final = frozenset(
    {
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.EIO,
        errno.ENOTCONN,
        errno.ESTALE,
        errno.ETIMEDOUT,
        errno.EREMOTEIO,
    }
)


def advice_on(
    folder: Path, error: OSError, *, write: bool, mounts: Sequence[Mount] | None = None
) -> str:
    """What to do about a folder that the system refuses.

    Args:
        folder: the one that was tried.
        error: the system's reason.
        write: whether it is to be written to.
        mounts: what is mounted; None looks.
    """
    mounts = mounts_here() if mounts is None else mounts
    if error.errno in {errno.EACCES, errno.ENOENT} and (hidden := _hidden(folder, mounts)):
        return f"{hidden} of the service hides it: {_UNIT}."
    match error.errno:
        case errno.EROFS:
            return _read_only(folder, mounts)
        case errno.EACCES | errno.EPERM:
            return _no_access(folder, write=write)
        case errno.ENOENT:
            return _missing(folder)
        case errno.ENOSPC | errno.EDQUOT:
            return "Free some space, or raise the quota of the user asrwatch runs as."
        case errno.ENOTDIR | errno.ELOOP:
            return "Something else is where the folder should be: move it away, or name another folder."
        case number if number in _AWAY:
            return (
                "Its disk or share does not answer: see whether it is mounted and the other side is up "
                "(dmesg tells of disks that fail)."
            )
        case _:
            return "Give the user asrwatch runs as access, or choose another folder."


def _hidden(folder: Path, mounts: Sequence[Mount]) -> str:
    """The setting that hides a folder: systemd lays an empty file system over what it hides."""
    over = find_mount(os.fsencode(os.path.abspath(folder)), mounts)  # noqa: PTH100 - resolve() would look into it
    if over is None or over.file_system != "tmpfs":
        return ""
    point = Path(os.fsdecode(over.point))
    if point in HOMES:
        return "ProtectHome="
    return "PrivateTmp=yes" if point in TEMPORARY and is_below(folder, TEMPORARY) else ""


def _read_only(folder: Path, mounts: Sequence[Mount]) -> str:
    over = find_mount(os.path.realpath(os.fsencode(folder)), mounts)
    shown = printable(str(folder))
    if over is not None and over.read_only and not over.device_read_only:
        return (
            f"Its file system is writable, but not for this process: ReadWritePaths={shown} is missing from the "
            f"service (ProtectSystem=strict), or it is mounted read-only here: {_UNIT}."
        )
    return (
        "Its whole file system is mounted read-only. Remount it writable; the kernel does this by itself "
        "after an error of the disk (see dmesg)."
    )


def _no_access(folder: Path, *, write: bool) -> str:
    """Where the way ends: at a folder above that may not be entered, or at the folder itself."""
    us = _user(os.geteuid())
    for above in reversed(folder.parents):
        if not os.access(above, os.X_OK):
            way = shlex.quote(printable(str(above)))
            return f"{_told(above)}, and {us} may not pass through it: `setfacl -m u:{us}:x {way}`."
    rights = "rwX" if write else "rX"
    place = shlex.quote(printable(str(folder)))
    return (
        f"{_told(folder)}, and asrwatch runs as {us}: "
        f"`setfacl -R -m u:{us}:{rights},d:u:{us}:{rights} {place}`, or give it to {us} with chown."
    )


def _told(folder: Path) -> str:
    shown = printable(str(folder))
    try:
        status = folder.stat()
    except OSError:
        return f"{shown} cannot be looked at"
    owner, group = _user(status.st_uid), _group(status.st_gid)
    return f"{shown} belongs to {owner}:{group} ({stat.filemode(status.st_mode)})"


def _missing(folder: Path) -> str:
    lies = "Create it, or mount what it lies on"
    if is_below(folder, HOMES):
        return f"{lies}. In a service with ProtectHome= homes look empty: {_UNIT}."
    if is_below(folder, TEMPORARY):
        return f"{lies}. A service with PrivateTmp=yes has one of its own: {_UNIT}."
    return f"{lies}. If that is mounted late, RequiresMountsFor= makes the service wait for it: {_UNIT}."


def _user(uid: int) -> str:
    with suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return str(uid)


def _group(gid: int) -> str:
    with suppress(KeyError):
        return grp.getgrgid(gid).gr_name
    return str(gid)
