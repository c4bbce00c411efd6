"""Whether an inbox is there, or only the place where it would be mounted.

An unmounted share reads as an empty folder, without any error. Whoever takes that for the truth forgets every
file, fails what was queued, and meets a storm of "new" files when the share returns.
"""

import errno as errors
import os
from dataclasses import dataclass, field

from asrwatch.inbox.looks import EMPTIED, MARKER_MISSING, ScanTrouble
from asrwatch.inbox.scan import nearest_device

__all__ = ["MANY", "Presence"]

MANY = 10
"""An inbox that loses as many files at once as this, and its last folder, is held to be away for a while.
Fewer are more likely somebody's tidying, and cost nothing to look at again."""


@dataclass(kw_only=True)
class Presence:
    """Asked by the lookout's thread before it forgets, and by workers before they say that a file is gone.

    Attributes:
        root: the inbox, absolute.
        marker: a name that must exist in the inbox for it to count as present; None: judged by the device.
        stays: whether recordings stay where they are (`after: keep`); where asrwatch takes them away itself, an
            empty inbox is no sign of anything.
        expected: how many files the lookout knows; written by its thread alone.
    """

    root: bytes
    marker: str | None = None
    stays: bool = True
    expected: int = field(default=0, compare=False)

    def proof(self) -> ScanTrouble | None:
        """What the marker says: None if it is there, or if there is none to look for."""
        if self.marker is None:
            return None
        try:
            os.lstat(self.root.rstrip(b"/") + b"/" + os.fsencode(self.marker))
        except OSError as error:
            if error.errno == errors.ENOENT and os.path.lexists(self.root):
                return ScanTrouble(path=self.root, errno=MARKER_MISSING)
            return ScanTrouble(path=self.root, errno=error.errno or errors.EIO)
        return None

    def away(self, path: bytes, device: int) -> ScanTrouble | None:
        """Why a file that is not found may lie on a share that is away; None if it is really gone.

        Args:
            path: where it lay.
            device: the device it lay on.
        """
        if self.marker is not None:
            return self.proof()
        try:
            with os.scandir(self.root) as entries:
                empty = next(entries, None) is None
        except OSError as error:
            return ScanTrouble(path=self.root, errno=error.errno or errors.EIO)
        # Device numbers change with a reboot: where asrwatch takes originals away itself, an inbox that is not empty
        # has just lost the one that a crash cut short, and would be waited for in vain.
        if nearest_device(path) != device and (empty or self.stays):
            return ScanTrouble(path=self.root, errno=errors.ENODEV)
        if empty and self.emptied():
            return ScanTrouble(path=self.root, errno=EMPTIED)
        return None

    def emptied(self) -> bool:
        """Whether an inbox that is found empty has lost so much at once that nobody should believe it yet."""
        return self.marker is None and self.stays and self.expected >= MANY
