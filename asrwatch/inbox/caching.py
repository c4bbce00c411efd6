"""How long a share's client may show an old size and date of a file, and so how quiet a file must be at least.

Somebody else's writing is seen once the client asks its server again. Two looks inside one such span see the
same numbers whatever happens, so a quiet time must hold at least two.
"""

from collections.abc import Mapping
from datetime import timedelta

from asrwatch.inbox.mounts import Mount

__all__ = ["attribute_cache", "least_settle"]

# nfs(5): acregmin, which a file that changed a moment ago begins with; mount.cifs(8): actimeo.
_DEFAULTS: Mapping[str, int] = {"nfs": 3, "nfs4": 3, "cifs": 1, "smb3": 1}
_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "nfs": ("acregmin",),
    "nfs4": ("acregmin",),
    "cifs": ("acregmax", "actimeo"),
    "smb3": ("acregmax", "actimeo"),
}


def attribute_cache(mount: Mount) -> timedelta:
    """For how long a file's size and date may be old on this mount; nothing where the kernel sees every write."""
    if mount.file_system not in _DEFAULTS or "noac" in mount.options:
        return timedelta(0)
    written = dict(option.partition("=")[::2] for option in mount.options)
    for name in _OPTIONS[mount.file_system]:
        if written.get(name, "").isdecimal():
            return timedelta(seconds=int(written[name]))
    return timedelta(seconds=_DEFAULTS[mount.file_system])


def least_settle(mount: Mount | None) -> timedelta:
    """The shortest quiet time that can be believed there."""
    return timedelta(0) if mount is None else 2 * attribute_cache(mount)
