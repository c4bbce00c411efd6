"""The gate before every page: whose request this is, where it comes from, and what a browser may do with the answer.

A page of another site must neither act here nor read: its requests are told by Sec-Fetch-Site and Origin, forms
carry a token bound to the session, and a name that was pointed at this machine (DNS rebinding) is not in `Host`.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asrwatch.address import Address
from asrwatch.web.session import Sessions

__all__ = ["Guard", "hosts_of", "is_known_host"]

LARGEST_FORM: Final = 16_384
SLOWEST_FORM: Final = 20.0
"""Seconds."""
SAFE: Final = frozenset({"GET", "HEAD"})
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_ALWAYS: Final[Mapping[str, str]] = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """ASGI middleware; what passes has `form` and `session` (the cookie's value) in its state.

    Args:
        app: behind the gate.
        address: where the page is served.
        hosts: names it is reached by besides.
        sessions: who is known.
        cookie: its name.
        opened: paths that need no token; those that end with a slash, all below them.
        clock: tells the date, aware.
        mark: names this moment, before anything is looked up; browsers ask later what changed since.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        address: Address,
        hosts: Collection[str],
        sessions: Sessions,
        cookie: str,
        opened: Collection[str],
        clock: Callable[[], datetime],
        mark: Callable[[], str],
    ) -> None:
        self._app = app
        self._mark = mark
        self._address = address
        self._hosts = hosts_of(address, hosts)
        self._sessions = sessions
        self._cookie = cookie
        self._opened = opened
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        session, is_new = self._session(request)
        scope.setdefault("state", {})["session"] = session
        scope["state"]["form"] = {}
        scope["state"]["mark"] = self._mark()
        answer = self._refused(request, known=bool(session) and not is_new)
        if answer is None and request.method not in SAFE:
            answer = await self._read_form(request, "" if is_new else session)
        behind: Any = self._app if answer is None else answer
        fresh = session if is_new else None

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._head(MutableHeaders(scope=message), request, fresh)
            await send(message)

        await behind(scope, receive, guarded)

    def _session(self, request: Request) -> tuple[str, bool]:
        """The visitor's cookie; a new one for who has none, where no token is asked for."""
        cookie = request.cookies.get(self._cookie, "")
        now = self._clock()
        if cookie and self._sessions.is_good(cookie, now):
            return cookie, False
        return ("", False) if self._sessions.asks_for_token else (self._sessions.cookie(now), True)

    def _refused(self, request: Request, *, known: bool) -> Response | None:
        """The answer to a request that goes no further."""
        headers = request.headers
        if not is_known_host(headers.get("host", ""), self._hosts, self._address):
            return _no(
                421,
                "This page is not known by that name. Add it to web.hosts in asrwatch's configuration, "
                "or use the address that `asrwatch status` tells.",
            )
        if request.method not in SAFE | {"POST"}:
            return _no(405, "Method not allowed.")
        if _is_foreign(request):
            return _no(403, "Another site asked for this; it is refused.")
        if known or not self._sessions.asks_for_token or self._is_open(request.url.path):
            return None
        if self._bears_token(headers):
            request.state.bearer = True
            return None
        if request.method in SAFE and "text/html" in headers.get("accept", ""):
            place = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/login?next={quote(place)}", status_code=303)
        return PlainTextResponse(
            "A token is required.\n", status_code=401, headers={"www-authenticate": "Bearer"}
        )

    def _is_open(self, path: str) -> bool:
        return any(
            path == each or (each.endswith("/") and path.startswith(each)) for each in self._opened
        )

    def _bears_token(self, headers: Headers) -> bool:
        kind, _, token = headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and self._sessions.is_token(token.strip())

    async def _read_form(self, request: Request, session: str) -> Response | None:
        """Read what was sent, once and for all; refuse what no form of this session sent."""
        body = bytearray()
        try:
            async with asyncio.timeout(SLOWEST_FORM):
                async for piece in request.stream():
                    body += piece
                    if len(body) > LARGEST_FORM:
                        return _no(413, "That is too much for a form.")
        except TimeoutError:
            return _no(408, "That took too long for a form.")
        try:
            form = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=50))
        except ValueError:
            return _no(400, "That is no form.")
        request.state.form = form
        if getattr(request.state, "bearer", False) or self._is_open(request.url.path):
            return None
        if not self._sessions.is_form_token(form.get("form", ""), session):
            return _no(
                403,
                "This form is too old, or was not made here. Go back, reload the page and try again.",
            )
        return None

    def _head(self, headers: MutableHeaders, request: Request, fresh: str | None) -> None:
        for name, told in _ALWAYS.items():
            headers.setdefault(name, told)
        headers.setdefault("cache-control", "no-store")
        if fresh is not None and headers.get("content-type", "").startswith("text/html"):
            headers.append("set-cookie", cookie_header(self._cookie, fresh, request))


def cookie_header(name: str, value: str, request: Request, *, ends: bool = False) -> str:
    """A Set-Cookie header; `Secure` where a proxy says that the browser speaks TLS."""
    parts = [f"{name}={value}", "HttpOnly", "SameSite=Strict", "Path=/"]
    parts.append("Max-Age=0" if ends else "Max-Age=2592000")
    if request.headers.get("x-forwarded-proto") == "https":
        parts.append("Secure")
    return "; ".join(parts)


def hosts_of(address: Address, hosts: Collection[str]) -> frozenset[str]:
    """The names by which a page at this address is known."""
    names = {host.lower() for host in hosts}
    if address.is_loopback or address.path is not None:
        names |= {"localhost"}
    else:
        names |= {address.host.lower(), socket.gethostname().lower()}
    return frozenset(names)


def is_known_host(header: str, names: Collection[str], address: Address) -> bool:
    """Whether a Host header names this page: by a name we know, or by an address, which no name was pointed at."""
    try:
        split = urlsplit(f"//{header}")
        host, _ = split.hostname, split.port
    except ValueError:
        return False
    if not host or split.username is not None or split.path:
        return False
    if host in names:
        return True
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        return False
    return number.is_loopback if address.is_private else True


def _is_foreign(request: Request) -> bool:
    """Whether another site's page sent this. A link that a person followed may read, and no more."""
    headers = request.headers
    site, mode = headers.get("sec-fetch-site"), headers.get("sec-fetch-mode")
    reads = request.method in SAFE
    if site in {"cross-site", "same-site"} and not (reads and mode == "navigate"):
        return True
    origin = headers.get("origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
    except ValueError:
        return True


def _no(status: int, why: str) -> Response:
    return PlainTextResponse(f"{why}\n", status_code=status)
