"""Which file system an inbox lies on, and so whether its events can be believed."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

__all__ = [
    "Choice",
    "Mount",
    "WatchMode",
    "choose",
    "events_lie",
    "file_system_of",
    "find_mount",
    "is_network",
    "mounts_here",
    "parse_mountinfo",
]

# Every change to these passes through this kernel, so it is seen. Whatever is not named here is taken to
# lie: nfs, cifs, fuse.*, 9p, overlay ... change behind our back (reliability.md section 6).
_EVENTS_TELL = frozenset(
    {
        "apfs",
        "bcachefs",
        "btrfs",
        "ecryptfs",
        "exfat",
        "ext2",
        "ext3",
        "ext4",
        "f2fs",
        "fuseblk",  # a local block device through FUSE (ntfs-3g): one host, one writer's view
        "hfs",
        "hfsplus",
        "jfs",
        "msdos",
        "nilfs2",
        "ntfs",
        "ntfs3",
        "ramfs",
        "reiserfs",
        "tmpfs",
        "ubifs",
        "udf",
        "vfat",
        "xfs",
        "zfs",
    }
)
# SQLite needs locks and shared memory that all writers see: not to be had over these.
_NETWORK = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "davfs2",
        "fuse",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "prl_fs",
        "smb2",
        "smb3",
        "smbfs",
        "vboxsf",
        "virtiofs",
        "vmhgfs",
    }
)
_OCTAL = re.compile(rb"\\([0-7]{3})")
_LAST_FIXED_FIELD = 5
_FIELDS_AFTER_DASH = 2


class WatchMode(StrEnum):
    """How changes are noticed between scans: by the kernel's events, or not at all."""

    AUTO = "auto"
    EVENTS = "events"
    POLL = "poll"


@dataclass(frozen=True, kw_only=True, slots=True)
class Mount:
    """A mounted file system: where, and its type as the kernel names it ("ext4", "fuse.sshfs").

    `read_only` is said of this mount, `device_read_only` of the whole file system behind it, whose own
    `options` are the kernel's.
    """

    point: bytes
    file_system: str
    read_only: bool = False
    device_read_only: bool = False
    options: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """How an inbox is watched, never `AUTO`, and why."""

    mode: WatchMode
    reason: str


def choose(wish: WatchMode, file_system: str | None) -> Choice:
    """Decide how to watch; `file_system` is None where it is unknown."""
    if wish is not WatchMode.AUTO:
        return Choice(mode=wish, reason=f"the inbox says `watch: {wish}`")
    if events_lie(file_system):
        where = file_system or "an unknown file system"
        return Choice(mode=WatchMode.POLL, reason=f"{where} does not report every change")
    return Choice(mode=WatchMode.EVENTS, reason=f"{file_system} reports changes")


def events_lie(file_system: str | None) -> bool:
    """Whether files can change there without an event; so for everything that is not well known."""
    return file_system not in _EVENTS_TELL


def is_network(file_system: str | None) -> bool:
    """Whether a database there is at risk: network, host-shared and FUSE file systems."""
    return file_system is not None and (file_system in _NETWORK or file_system.startswith("fuse."))


def file_system_of(path: bytes) -> str | None:
    """The type of the file system that holds `path`, symlinks followed; None where nobody tells."""
    try:
        real = os.path.realpath(path)
    except OSError:  # what was a link a moment ago is a folder by now
        return None
    mount = find_mount(real, mounts_here())
    return None if mount is None else mount.file_system


def mounts_here() -> tuple[Mount, ...]:
    """Everything that is mounted as this process sees it; nothing where nobody tells."""
    try:
        return parse_mountinfo(Path("/proc/self/mountinfo").read_bytes())
    except OSError:  # not Linux, or /proc is hidden
        return ()


def parse_mountinfo(text: bytes) -> tuple[Mount, ...]:
    """Read `/proc/self/mountinfo` (proc(5)): lines that are not understood are left out."""
    mounts = []
    for line in text.split(b"\n"):  # a mount point may hold a carriage return
        fields = line.split(b" ")
        try:
            dash = fields.index(b"-", _LAST_FIXED_FIELD)
        except ValueError:
            continue
        if len(fields) >= dash + _FIELDS_AFTER_DASH:
            file_system = fields[dash + 1].decode("ascii", "replace")
            mounts.append(
                Mount(
                    point=_unescaped(fields[4]),
                    file_system=file_system,
                    read_only=b"ro" in fields[5].split(b","),
                    device_read_only=b"ro" in fields[-1].split(b","),
                    options=tuple(fields[-1].decode("ascii", "replace").split(",")),
                )
            )
    return tuple(mounts)


def find_mount(path: bytes, mounts: Iterable[Mount]) -> Mount | None:
    """The mount `path` (absolute, no symlinks in it) lies on: the longest; the last of equals is on top."""
    found: Mount | None = None
    for mount in mounts:
        prefix = mount.point.rstrip(b"/") + b"/"
        if not (path + b"/").startswith(prefix):
            continue
        if found is None or len(mount.point) >= len(found.point):
            found = mount
    return found


def _unescaped(field: bytes) -> bytes:
    return _OCTAL.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), field)
