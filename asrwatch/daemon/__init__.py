"""The daemon: one mailbox for everything that happens, worker slots, the clock, the clean stop."""

from asrwatch.daemon.daemon import Daemon
from asrwatch.daemon.house import House

__all__ = ["Daemon", "House"]
