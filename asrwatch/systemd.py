"""Tell systemd how the daemon is: ready, alive, stopping (sd_notify's protocol, by hand)."""

import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress
from datetime import timedelta

from asrwatch.values import printable

__all__ = ["Notifier"]

# systemd reads at most a page; nothing of ours comes near.
_LONGEST_STATUS = 500


class Notifier:
    """Speaks to the service manager that started us; says nothing where there is none.

    Nothing here raises: a manager that does not listen is no reason to stop working.

    Args:
        address: of the manager's datagram socket; a leading `@` marks an abstract one. None is nobody.
        watchdog: within which time `alive` must be called again and again; None is never.
    """

    def __init__(self, address: str | None = None, *, watchdog: timedelta | None = None) -> None:
        self._address = address
        self.watchdog = watchdog

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str] = os.environ) -> "Notifier":
        """The manager named in the environment, which is read once and cleaned.

        The variables are removed so that no child process can speak for us.
        """
        address = environ.pop("NOTIFY_SOCKET", "")
        microseconds = environ.pop("WATCHDOG_USEC", "")
        process = environ.pop("WATCHDOG_PID", "")
        meant = not process or process == str(os.getpid())
        watchdog = (
            timedelta(microseconds=int(microseconds))
            if meant and microseconds.isascii() and microseconds.isdigit() and int(microseconds)
            else None
        )
        # Other kinds of addresses (`vsock:`) are for virtual machines as a whole.
        return cls(address if address.startswith(("/", "@")) else None, watchdog=watchdog)

    def watchdog_interval(self) -> timedelta | None:
        """How often to call `alive`: half of what systemd allows, as it recommends; None is never."""
        return self.watchdog / 2 if self.watchdog is not None else None

    def ready(self) -> None:
        """Start-up is finished: database open, lock held, inboxes watched."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={printable(text)[:_LONGEST_STATUS]}")

    def alive(self) -> None:
        """Every part of the daemon has moved lately."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The daemon has begun to stop."""
        self._send("STOPPING=1")

    def extend_timeout(self, span: timedelta) -> None:
        """Starting or stopping takes up to `span` longer from now; to be said again before it is over."""
        self._send(f"EXTEND_TIMEOUT_USEC={max(0, span // timedelta(microseconds=1))}")

    def _send(self, state: str) -> None:
        if self._address is None:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        # A full queue must not block the daemon: the next ping says the same.
        with (
            suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel,
        ):
            channel.settimeout(0)
            channel.sendto(state.encode("utf-8", "backslashreplace"), address)
