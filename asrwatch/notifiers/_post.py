"""Posts something once, to an address that was looked at first, and reads no more of the answer than it needs.

Nothing of the environment steers it: no proxy, no `.netrc`, no cookies, no redirects, no retries.
"""

import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import certifi
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from asrwatch import __version__
from asrwatch.cloud.adapter import deadline
from asrwatch.errors import TemporaryError
from asrwatch.heartbeats import allow
from asrwatch.notifiers._addresses import addresses_of, check_addresses
from asrwatch.values import format_duration, printable

__all__ = ["Answer", "Target", "post"]

_MOST_ADDRESSES = 4
"""Of a host, are tried in one go: each may take the whole time."""
_LEEWAY = timedelta(minutes=1)
"""Beside its own time limit, until a request counts as one that never ends."""
_MOST_READ = 16 * 1024
"""Bytes of an answer that are read: enough for the connection to end in order where it is a short one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where to post, and what is allowed there."""

    url: str
    private: bool
    ca_file: Path | None
    timeout: timedelta
    resolve: Callable[[str, int], Sequence[str]] | None = None

    @property
    def host(self) -> str:
        """The host's name."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port, the scheme's own where none is written."""
        parts = urlsplit(self.url)
        return parts.port or (443 if parts.scheme == "https" else 80)

    def addresses(self) -> Sequence[str]:
        """The host's addresses, all of them allowed.

        Raises:
            TemporaryError: it has none, or one that is not.
        """
        resolve = self.resolve or addresses_of
        try:
            found = resolve(self.host, self.port)
        except (OSError, UnicodeError) as error:
            raise TemporaryError(
                f"{printable(self.host)} has no address: {_reason(error)}.",
                code="no-address",
                advice="Check `url:` and the network.",
            ) from error
        if not found:
            raise TemporaryError(f"{printable(self.host)} has no address.", code="no-address")
        if not self.private:
            check_addresses(self.host, found)
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The status that came back, and the header that asks for patience."""

    status: int
    wait: str | None = None

    def retry_after(self, now: float) -> timedelta | None:
        """How long to wait, from `now` (seconds since 1970), where the answer says."""
        if not self.wait:
            return None
        if self.wait.strip().isdecimal():
            return timedelta(seconds=min(int(self.wait), 10**6))
        try:
            until = parsedate_to_datetime(self.wait)
        except ValueError:
            return None
        aware = until if until.tzinfo else until.replace(tzinfo=UTC)
        return max(aware - datetime.fromtimestamp(now, tz=UTC), timedelta(0))


def post(target: Target, headers: Mapping[str, str], body: bytes) -> Answer:
    """Post once; whatever HTTP answer comes is the answer.

    The connection goes to the very address that was looked at: the name is not asked for again, and only stands in
    the certificate and the request.

    Raises:
        TemporaryError: no answer came, or nothing may be sent there.
    """
    trouble: TemporaryError | None = None
    for address in target.addresses()[:_MOST_ADDRESSES]:
        connection = _connection(target, address)
        with closing(connection), allow(target.timeout + _LEEWAY):
            try:
                return _posted(target, connection, headers, body)
            except _Unreachable as error:
                trouble = error.told
    assert trouble is not None  # noqa: S101 - there is at least one address, and it was not reached
    raise trouble


class _Unreachable(Exception):
    """An address did not answer; another one may."""

    def __init__(self, told: TemporaryError) -> None:
        super().__init__(str(told))
        self.told = told


def _posted(
    target: Target, connection: HTTPConnection, headers: Mapping[str, str], body: bytes
) -> Answer:
    was_cut = []

    def cut() -> None:
        was_cut.append(True)
        sock = connection.sock
        if isinstance(sock, socket.socket):
            try:
                # not the TLS socket's own shutdown, which takes its state away under the reader
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            except OSError:
                return  # closed meanwhile

    connected = False
    try:
        with deadline(target.timeout.total_seconds(), cut):
            connection.connect()
            connected = True
            connection.request(
                "POST",
                _path(target.url),
                body=body,
                headers={
                    "Host": urlsplit(target.url).netloc,
                    "User-Agent": f"asrwatch/{__version__}",
                    "Accept-Encoding": "identity",
                    "Connection": "close",
                    **headers,
                },
                preload_content=False,
                decode_content=False,
            )
            answer = connection.getresponse()
            if was_cut:  # half a head passes for a whole one
                raise TimeoutError
            told = Answer(status=answer.status, wait=answer.headers.get("Retry-After"))
            _read_a_little(answer.read)
            return told
    except (HTTPError, HTTPException, OSError, ValueError) as error:
        reason = _reason(error)
        if was_cut or isinstance(error, TimeoutError):
            reason = f"it took longer than {format_duration(target.timeout)}"
        told_error = TemporaryError(
            f"{printable(urlsplit(target.url).netloc)} gave no answer: {reason}.",
            code="no-answer" if connected else "not-reached",
            advice="Check the receiver and the network.",
        )
        if connected or was_cut:
            raise told_error from error
        raise _Unreachable(told_error) from error


def _read_a_little(read: Callable[[int], bytes]) -> None:
    """So much of the answer that a short one ends in order; a status that came stands, whatever follows it."""
    try:
        read(_MOST_READ)
    except (HTTPError, HTTPException, OSError, ValueError):
        return


def _connection(target: Target, address: str) -> HTTPConnection:
    timeout = target.timeout.total_seconds()
    if urlsplit(target.url).scheme == "http":
        return HTTPConnection(address, target.port, timeout=timeout)
    return HTTPSConnection(
        address,
        target.port,
        timeout=timeout,
        cert_reqs="CERT_REQUIRED",
        ca_certs=str(target.ca_file) if target.ca_file else certifi.where(),
        server_hostname=target.host,
        assert_hostname=target.host,
    )


def _path(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _reason(error: BaseException) -> str:
    """The innermost cause in a few words: urllib3's own hold addresses of objects and URLs."""
    inner: BaseException = error
    while inner.__cause__ is not None or inner.__context__ is not None:
        inner = inner.__cause__ or inner.__context__ or inner
    if isinstance(inner, TimeoutError):
        return "it took too long"
    if isinstance(inner, OSError) and (inner.strerror or inner.args):
        return printable(str(inner.strerror or inner.args[-1]))
    return type(inner).__name__
