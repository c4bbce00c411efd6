"""Says who beside us may read or change an open file: owner, mode and access list taken together."""

import errno
import grp
import os
import pwd
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

__all__ = ["strangers_who_may_change", "strangers_who_may_read"]

_READ: Final = 0o4
_WRITE: Final = 0o2
_ENTRY: Final = struct.Struct("<HHI")
_VERSION: Final = struct.Struct("<I")
_USER, _OWNING_GROUP, _GROUP, _MASK, _OTHER = 0x02, 0x04, 0x08, 0x10, 0x20
"""Tags of acl(5) entries, as the kernel stores them (linux/posix_acl_xattr.h)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rights:
    """What a file allows: bits as in a mode's last digit."""

    everybody: int
    owning_group: int
    users: Mapping[int, int] = field(default_factory=dict)
    groups: Mapping[int, int] = field(default_factory=dict)


def strangers_who_may_read(descriptor: int) -> str:
    """Why others than us and root can read an open file, in words; empty where nobody can.

    The owner counts: who owns a file can change its mode.
    """
    status = os.fstat(descriptor)
    rights = _rights_of(descriptor, status)
    return next(_strangers(status, rights, _READ, "read", private_group=False), "")


def strangers_who_may_change(descriptor: int) -> str:
    """Why others than us and root can change an open file, in words; empty where nobody can.

    A group that is its owner's alone, as many systems give to each account, is no stranger.
    """
    status = os.fstat(descriptor)
    rights = _rights_of(descriptor, status)
    private = _is_private(status.st_uid, status.st_gid)
    return next(_strangers(status, rights, _WRITE, "change", private_group=private), "")


def _strangers(
    status: os.stat_result, rights: _Rights, bit: int, verb: str, *, private_group: bool
) -> Iterator[str]:
    ours = _ours()
    mode = f"mode {status.st_mode & 0o7777:04o}"
    if status.st_uid not in ours:
        yield f"it belongs to {_user(status.st_uid)}"
    if rights.everybody & bit:
        yield f"everybody may {verb} it ({mode})"
    if rights.owning_group & bit and not private_group:
        yield f"the group {_group(status.st_gid)} may {verb} it ({mode})"
    for uid, bits in rights.users.items():
        if bits & bit and uid not in ours:
            yield f"its access list lets {_user(uid)} {verb} it"
    for gid, bits in rights.groups.items():
        if bits & bit:
            yield f"its access list lets the group {_group(gid)} {verb} it"


def _ours() -> frozenset[int]:
    """Us, root, and the user who became root by sudo."""
    own = os.geteuid()
    behind = os.environ.get("SUDO_UID", "") if own == 0 else ""
    return frozenset({own, 0, *([int(behind)] if behind.isdecimal() else [])})


def _rights_of(descriptor: int, status: os.stat_result) -> _Rights:
    """From the access list where there is one (the mode then shows its mask in the group's place)."""
    try:
        listed = os.getxattr(descriptor, "system.posix_acl_access")
    except OSError as error:
        if error.errno not in {errno.ENODATA, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}:
            raise
        return _Rights(everybody=status.st_mode & 0o7, owning_group=status.st_mode >> 3 & 0o7)
    entries = list(_ENTRY.iter_unpack(listed[_VERSION.size :]))
    mask = next((bits for tag, bits, _ in entries if tag == _MASK), 0o7)
    return _Rights(
        everybody=next((bits for tag, bits, _ in entries if tag == _OTHER), 0),
        owning_group=next((bits & mask for tag, bits, _ in entries if tag == _OWNING_GROUP), 0),
        users={who: bits & mask for tag, bits, who in entries if tag == _USER},
        groups={who: bits & mask for tag, bits, who in entries if tag == _GROUP},
    )


def _is_private(uid: int, gid: int) -> bool:
    """Whether a group is one user's own: it has that user's name, and nobody else in it."""
    with suppress(KeyError):
        user, group = pwd.getpwuid(uid), grp.getgrgid(gid)
        return user.pw_name == group.gr_name and set(group.gr_mem) <= {user.pw_name}
    return False


def _user(uid: int) -> str:

    with suppress(KeyError):
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    return f"uid {uid}"


def _group(gid: int) -> str:

    with suppress(KeyError):
        return f"{grp.getgrgid(gid).gr_name} (gid {gid})"
    return f"gid {gid}"
