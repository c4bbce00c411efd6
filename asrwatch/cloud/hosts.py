"""Which hosts the cloud's answers may send us to, for results and uploads: a closed list."""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from asrwatch.errors import ConfigError, Problem, TemporaryError
from asrwatch.values import printable

__all__ = ["Hosts", "check_hosts"]

_VENDORS = re.compile(r"dashscope-[a-z0-9-]+\.oss-[a-z0-9-]+\.aliyuncs\.com")
"""Results and the temporary space lie in buckets of the vendor's object storage whose names begin so (contract sections
4.3 and 6.1); any customer's bucket lies beside them, so the storage as a whole is not on the list. Somebody else may
have a bucket of such a name yet: who cannot speak for the cloud cannot send us there, and no key goes there."""

_ENTRY = re.compile(
    r"(?P<scheme>https?://)?(?P<host>\.?[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])"
)
_SUSPICIOUS = re.compile(r"[\\\s@]")
"""What makes two readers of a URL see two hosts in it, or would send a password along."""


class Hosts:
    """The vendor's hosts, the one that is configured, and those somebody named.

    Plain http is taken from the vendor, whose result URLs come so (contract section 4.3; they are signed),
    from the configured host if it is spoken to so itself, and from hosts that are named with `http://`.
    No name is looked up: a host is judged by its name alone, and an address is on the list only as such.

    Args:
        base_url: of the cloud.
        trusted: more hosts: `host`, `.suffix` for every host below it, `http://host` for plain http.
    """

    def __init__(self, base_url: str, trusted: Sequence[str] = ()) -> None:
        base = urlsplit(base_url)
        self._plain: list[str] = []
        self._encrypted = [(base.hostname or "").lower()]
        if base.scheme == "http":
            self._plain.append((base.hostname or "").lower())
        for entry in trusted:
            scheme, _, host = entry.rpartition("://")
            (self._plain if scheme == "http" else self._encrypted).append(_bare(host))

    def check(self, url: str, *, what: str) -> None:
        """Refuse an address that lies elsewhere; nothing is sent there, not even a question.

        Raises:
            TemporaryError: it does (`foreign-host`), with what to do; what was paid for is not touched.
        """
        if self._is_allowed(url):
            return
        shown = printable(url.partition("?")[0])[:200]
        raise TemporaryError(
            f"The cloud says that {what} lies at {shown}, which is none of its own hosts; "
            "nothing was fetched from or sent there.",
            code="foreign-host",
            advice="If that address is right (a gateway, a private storage), add its host to "
            "cloud.trusted_hosts and restart; otherwise check cloud.base_url.",
        )

    def _is_allowed(self, url: str) -> bool:
        if not url.isascii() or not url.isprintable() or _SUSPICIOUS.search(url):
            return False
        try:
            # the reader that connects must see the same host as the one that judges
            told, parts = parse_url(url), urlsplit(url)
            _ = parts.port
        except (LocationParseError, ValueError):
            return False
        host = _bare(parts.hostname or "")
        if not host or _bare((told.host or "").strip("[]")) != host:
            return False
        if parts.scheme in {"http", "https"} and _VENDORS.fullmatch(host):
            return True
        known = {"http": self._plain, "https": self._encrypted}.get(parts.scheme, [])
        return any(host == each or (each[:1] == "." and host.endswith(each)) for each in known)


def check_hosts(trusted: Sequence[str]) -> None:
    """Refuse an entry that names no host.

    Raises:
        ConfigError: it holds a path, a port, a pattern or another scheme.
    """
    for entry in trusted:
        if not _ENTRY.fullmatch(entry):
            what = f"{entry!r} is no host; write files.example.org, .example.org or http://10.0.0.5"
            problem = Problem(where="cloud.trusted_hosts", what=what)
            raise ConfigError([problem], source="the configuration")


def _bare(host: str) -> str:
    return host.strip("[]").rstrip(".").lower()
