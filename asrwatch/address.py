"""Addresses that the status page may listen at: a host and port, or a unix socket."""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Address", "parse_address"]

_HOST_AND_PORT: Final = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s:/\[\]]+)):(?P<port>\d{1,5})"
)
_LARGEST_PORT: Final = 65_535
_LONGEST_PATH: Final = 107
"""Bytes; sockaddr_un holds 108 with the closing zero (unix(7))."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """Where to listen: `host` and `port`, or the unix socket `path`; never both."""

    host: str = ""
    port: int = 0
    path: Path | None = None

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it by network."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def is_private(self) -> bool:
        """Whether nobody at another machine can reach it: loopback, or a socket in a folder."""
        return self.path is not None or self.is_loopback

    @property
    def url(self) -> str:
        """What to type into a browser; for a socket, its name."""
        if self.path is not None:
            return str(self)
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        return self.url.removeprefix("http://").rstrip("/")


def parse_address(written: str) -> Address:
    """Read "127.0.0.1:8760", "[::1]:8760", "localhost:8760" or "unix:/run/asrwatch/page.sock".

    Raises:
        ValueError: it is none of these; says what it must look like.
    """
    if written.startswith("unix:"):
        path = Path(written.removeprefix("unix:"))
        if not path.is_absolute() or path.name in {"", ".."}:
            msg = "a unix socket is written unix:/and/its/absolute/path"
            raise ValueError(msg)
        if len(str(path).encode()) > _LONGEST_PATH:
            msg = f"the path of a unix socket has at most {_LONGEST_PATH} bytes"
            raise ValueError(msg)
        return Address(path=path)
    match = _HOST_AND_PORT.fullmatch(written.strip())
    if match is None or int(match["port"]) > _LARGEST_PORT:
        msg = f"{written!r} is no address; write 127.0.0.1:8760, [::1]:8760 or unix:/path"
        raise ValueError(msg)
    if match["six"]:
        try:
            ipaddress.IPv6Address(match["six"])
        except ValueError:
            msg = f"{match['six']} is no IPv6 address"
            raise ValueError(msg) from None
    return Address(host=match["six"] or match["host"], port=int(match["port"]))
