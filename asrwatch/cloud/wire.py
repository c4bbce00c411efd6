"""Send one HTTP request exactly once and bring back what came, with every way to fail told apart.

Nothing of the environment steers it: no `.netrc`, no proxy or certificate variables, no cookies, no
redirects, no retries (reliability.md sections 0.11, 0.12 and 2 rule 10).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlsplit

import requests
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as Urllib3TimeoutError

from asrwatch import __version__
from asrwatch.cloud.adapter import Adapter, deadline
from asrwatch.cloud.bodies import Body
from asrwatch.crash import crash_point
from asrwatch.errors import AnswerLost, AsrwatchError, TemporaryError
from asrwatch.heartbeats import allow
from asrwatch.values import format_duration, format_size

__all__ = ["Line", "Reply", "Request", "Wire"]

_SLOWEST = 32 * 1024
"""Bytes a second: a link slower than this is given up; it is what the deadline of a body allows for."""

_PIECE = 64 * 1024

_MEGABYTE = 1024 * 1024

_SHORTEST_KEY = 8
"""Characters: what is shorter is no key, and might stand in a transcript."""

_EVIDENCE = _MEGABYTE
"""Bytes that are kept of a paid answer which is larger than any can be."""

_SLACK = timedelta(minutes=1)
"""For what no deadline of ours ends, such as asking for a host's address; whoever takes longer is stuck."""

_DEEPEST = 12
"""How many exceptions requests and urllib3 may wrap around the one that says what happened."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One request.

    `paid` decides what a missing answer means: unknown for a paid one, try again for a free one.
    `largest_answer` is in bytes, as they are after decompression.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Body | None = None
    paid: bool = False
    read_timeout: timedelta = timedelta(seconds=30)
    largest_answer: int = 16 * _MEGABYTE

    @property
    def deadline(self) -> timedelta:
        """How long everything after the connection may take, whatever trickles in meanwhile."""
        sending = len(self.body or b"") / _SLOWEST
        receiving = max(0, self.largest_answer - 16 * _MEGABYTE) / _SLOWEST / 8
        return 2 * self.read_timeout + timedelta(seconds=sending + receiving)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What came back: status, headers (any case), body, and whether the body came to its end.

    `oversized`: it was larger than an answer may be, and `body` is only its beginning.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool = True
    oversized: bool = False


class Wire:
    """Makes lines: what they have in common.

    Args:
        proxy: URL of an HTTP proxy, from the config only.
        connect_timeout: to reach the other side, TLS not included.
    """

    def __init__(self, *, proxy: str | None, connect_timeout: timedelta) -> None:
        self._proxies = {"http": proxy, "https": proxy} if proxy else {}
        self._connect_timeout = connect_timeout

    @contextmanager
    def open(self) -> Iterator["Line"]:
        """A line for one thread: reused between requests unless they ask for `Connection: close`."""
        line = Line(proxies=self._proxies, connect_timeout=self._connect_timeout)
        try:
            yield line
        finally:
            line.hang_up()

    def send(self, request: Request) -> Reply:
        """Send over a fresh connection; see `Line.send`."""
        with self.open() as line:
            return line.send(request, last=True)


class Line:
    """Connections of one thread, one request at a time."""

    def __init__(self, *, proxies: Mapping[str, str], connect_timeout: timedelta) -> None:
        self._proxies = dict(proxies)
        self._connect_timeout = connect_timeout.total_seconds()
        self._adapter = Adapter()

    def hang_up(self) -> None:
        """Close what is open."""
        self._adapter.close()

    def send(self, request: Request, *, last: bool = False) -> Reply:
        """Send once; whatever HTTP answer comes, also half of one, is the reply.

        Args:
            request: what to send.
            last: tell the other side to close, so that no stale connection is ever used for money.

        Raises:
            TemporaryError: nothing of the body was handed out, or the request costs nothing.
            AnswerLost: the request costs money, some of its body left and no answer came back.
            SourceChanged: raised by the body; the request was broken off before its end.
        """
        sending = _Sending(request, self._adapter)
        prepared = _prepared(request, sending, last=last)
        timeout = (self._connect_timeout, request.read_timeout.total_seconds())
        limit = self._connect_timeout + request.deadline.total_seconds()
        with allow(timedelta(seconds=limit) + _SLACK), deadline(limit, self._adapter.cut):
            try:
                answer = self._adapter.send(
                    prepared, stream=True, timeout=timeout, verify=True, proxies=self._proxies
                )
            except (requests.RequestException, HTTPError, OSError, ValueError) as error:
                raise self._failure(request, error, begun=sending.begun) from _bare(error)
            try:
                if request.paid:
                    crash_point("answer-begun")
                if self._adapter.was_cut:  # half a head passes for a whole one
                    raise self._failure(request, TimeoutError(), begun=sending.begun)
                return self._received(request, answer)
            finally:
                answer.close()

    def _received(self, request: Request, answer: requests.Response) -> Reply:
        pieces: list[bytes] = []
        size = 0
        whole = True
        try:
            while piece := answer.raw.read1(_PIECE, decode_content=True):
                pieces.append(piece)
                size += len(piece)
                if size > request.largest_answer:
                    return _beginning(request, answer, pieces)
                if request.paid:
                    crash_point("answer-half-read")
        except (HTTPError, OSError, ValueError):
            whole = False
        if request.paid:
            crash_point("answer-read")
        return Reply(
            status=answer.status_code,
            headers=CaseInsensitiveDict(answer.headers),
            body=_without_key(request, b"".join(pieces)),
            whole=whole and not self._adapter.was_cut,
        )

    def _failure(self, request: Request, error: Exception, *, begun: bool) -> AsrwatchError:
        host = urlsplit(request.url).netloc
        reason = _reason(error)
        if self._adapter.was_cut:
            reason = f"it took longer than {format_duration(request.deadline)}"
        if begun and request.paid:
            return AnswerLost(
                f"No answer came back from {host}: {reason}.",
                code="no-answer",
                advice="Whether the request was accepted is unknown.",
            )
        return TemporaryError(
            f"{host} could not be reached: {reason}.",
            code="no-answer" if begun else "not-sent",
            advice="Check the network, cloud.base_url and cloud.proxy.",
        )


class _Sending:
    """A body that knows whether anything of it was handed out."""

    def __init__(self, request: Request, adapter: "Adapter") -> None:
        self._request = request
        self._adapter = adapter
        self.begun = False

    def __len__(self) -> int:
        return len(self._request.body or b"")

    def __iter__(self) -> Iterator[bytes]:
        # until here the socket had the time-out for connecting, too short for a slow link's body
        self._adapter.allow(self._request.read_timeout.total_seconds())
        for number, piece in enumerate(self._request.body or ()):
            self.begun = True
            yield piece
            self._sent(number)
        crash_point("request-sent" if self._request.paid else "upload-sent")

    def _sent(self, number: int) -> None:
        match number:
            case 0:
                crash_point("request-begun" if self._request.paid else "upload-begun")
            case 1 if not self._request.paid:
                crash_point("upload-half-sent")


class _Masked(str):
    """A header's value that does not show itself where headers are printed."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def _prepared(request: Request, sending: _Sending, *, last: bool) -> requests.PreparedRequest:
    headers = {
        "User-Agent": f"asrwatch/{__version__}",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        **({"Connection": "close"} if last else {}),
        **request.headers,
    }
    masked = {
        name: _Masked(value) if name == "Authorization" else value
        for name, value in headers.items()
    }
    data = sending if len(sending) else None
    try:
        prepared = requests.Request(request.method, request.url, headers=masked, data=data)
        made = prepared.prepare()
    except (requests.RequestException, ValueError) as error:
        raise TemporaryError(
            f"A request could not be built: {_reason(error)}.",
            code="not-sent",
            advice="Check cloud.base_url and the key.",
        ) from None  # the exception repeats headers
    # a presigned URL is signed as it stands: no second opinion on its escapes (contract section 4.5)
    made.url = request.url
    return made


def _without_key(request: Request, body: bytes) -> bytes:
    """The answer without the key it was asked with: some gateways repeat requests, and answers are stored."""
    _, _, key = request.headers.get("Authorization", "").rpartition(" ")
    return body.replace(key.encode(), b"***") if len(key) > _SHORTEST_KEY else body


def _beginning(request: Request, answer: requests.Response, pieces: list[bytes]) -> Reply:
    """What is kept of an answer that is too large: it was paid for, and asking again would bring another.

    Raises:
        TemporaryError: it cost nothing.
    """
    if not request.paid:
        message = f"The answer is larger than {format_size(request.largest_answer)}."
        raise TemporaryError(message, code="answer-too-large")
    return Reply(
        status=answer.status_code,
        headers=CaseInsensitiveDict(answer.headers),
        body=_without_key(request, b"".join(pieces))[:_EVIDENCE],
        whole=False,
        oversized=True,
    )


def _reason(error: BaseException) -> str:
    """The innermost cause, in a few words without addresses of objects."""
    inner = error
    for _ in range(_DEEPEST):
        inner = _inside(inner) or inner
    if isinstance(inner, TimeoutError | Urllib3TimeoutError | requests.Timeout):
        return "it took too long"
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    return type(inner).__name__


def _inside(error: BaseException) -> BaseException | None:
    reason = getattr(error, "reason", None)
    candidates = (reason, *reversed(error.args), error.__cause__, error.__context__)
    return next((found for found in candidates if isinstance(found, BaseException)), None)


def _bare(error: BaseException) -> BaseException:
    """The exception and those behind it without frames or requests: both hold the key's header."""
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = None
        for held in vars(link).keys() & {"request", "pool", "conn"}:
            setattr(link, held, None)
        link = link.__cause__ or link.__context__
    return error
