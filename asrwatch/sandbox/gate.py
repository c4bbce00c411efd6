"""The door of the sandbox: writes each request down, lets faults strike, asks for the key."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asrwatch.sandbox.faults import Route, Wire
from asrwatch.sandbox.refusals import Envelope, Refusal, envelope_of, refused
from asrwatch.sandbox.service import Caller, Service, new_request_id
from asrwatch.sandbox.traffic import Traffic
from asrwatch.sandbox.wire import Connections, drain, spoil, strike

__all__ = ["Gate", "route_of"]

_PATHS: Final = {
    "/compatible-mode/v1/chat/completions": Route.CHAT,
    "/api/v1/services/aigc/multimodal-generation/generation": Route.GENERATION,
    "/api/v1/services/audio/asr/transcription": Route.TRANSCRIPTION,
    "/api/v1/tasks": Route.TASKS,
    "/api/v1/tasks/": Route.TASKS,
    "/api/v1/uploads": Route.UPLOADS,
    "/api/v1/tokens": Route.TOKENS,
}
_NO_KEY: Final = frozenset({Route.CONTROL, Route.OSS_UPLOAD, Route.RESULT})


def route_of(method: str, path: str) -> Route:
    """What a request is for."""
    if path in _PATHS:
        return _PATHS[path]
    if path.startswith("/sandbox"):
        return Route.CONTROL
    if path.startswith("/oss/"):
        return Route.OSS_UPLOAD if method == "POST" else Route.RESULT
    if path.startswith("/api/v1/tasks/"):
        return Route.CANCEL if path.endswith("/cancel") else Route.TASK
    return Route.OTHER


@dataclass(frozen=True, kw_only=True)
class Gate:
    """ASGI middleware around all routes.

    Args:
        app: what comes after.
        service: what they share.
        connections: the open connections, to close one without an answer.
    """

    app: ASGIApp
    service: Service
    connections: Connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        route = route_of(request.method, scope["path"])
        number = self.service.traffic.arrived(
            at=self.service.now(),
            method=request.method,
            path=scope["path"],
            query=request.url.query,
            route=route,
            headers=dict(request.headers),
        )
        request_id = new_request_id()
        visit = _Visit(
            number=number,
            scope=scope,
            receive=receive,
            send=send,
            traffic=self.service.traffic,
            now=self.service.now,
            shown_id=request_id if self.service.knobs.request_id_header else "",
        )
        scope["asrwatch.connections"] = self.connections
        scope["asrwatch.request_id"] = request_id
        scope["asrwatch.body_complete"] = False
        scope["asrwatch.note"] = visit.note
        try:
            await self._let_in(scope, route, visit)
        except asyncio.CancelledError:
            visit.status = None  # the sandbox stops: the connection is closed already
        finally:
            visit.note()

    async def _let_in(self, scope: Scope, route: Route, visit: "_Visit") -> None:
        fault = None if route is Route.CONTROL else self.service.faults.take(route)
        if fault is None:
            await self._serve(scope, route, visit, visit.answer)
            return
        visit.fault = fault.what
        if not fault.spoils_real_answer:
            await strike(fault, scope, visit.read, visit.answer)
            return

        async def work(keep: Send) -> None:
            await self._serve(scope, route, visit, keep)

        await spoil(fault, scope, visit.read, visit.answer, work)

    async def _serve(self, scope: Scope, route: Route, visit: "_Visit", send: Send) -> None:
        if route not in _NO_KEY:
            try:
                caller = self._caller(scope)
            except Refusal as refusal:
                await drain(scope, visit.read)
                envelope = self.envelope(scope["path"])
                answer = refused(refusal, envelope, scope["asrwatch.request_id"])
                await answer(scope, visit.read, send)
                return
            scope["asrwatch.caller"] = caller
            visit.account = caller.account
        await self.app(scope, visit.read, send)

    def envelope(self, path: str) -> Envelope:
        """The envelope of a path's errors, as the knobs have it."""
        envelope = envelope_of(path)
        if envelope is Envelope.COMPATIBLE and self.service.knobs.flat_compatible_errors:
            return Envelope.NATIVE
        return envelope

    def _caller(self, scope: Scope) -> Caller:
        """Who asks (contract 7.1: before routing).

        Raises:
            Refusal: 401.
        """
        compatible = envelope_of(scope["path"]) is Envelope.COMPATIBLE
        scheme, _, key = Request(scope).headers.get("authorization", "").partition(" ")
        key = key.strip()
        account = self.service.account_of(key) if scheme.lower() == "bearer" else None
        if account is not None:
            return Caller(key=key, account=account)
        if compatible:
            raise Refusal(
                "InvalidApiKey",
                "Incorrect API key provided. For details, see: "
                "https://help.aliyun.com/zh/model-studio/error-code#apikey-error",
            )
        raise Refusal("InvalidApiKey", None if key else "No API-key provided.")


@dataclass(kw_only=True)
class _Visit:
    """One request under way: counts what comes in, notes what goes out."""

    number: int
    scope: Scope
    receive: Receive
    send: Send
    traffic: Traffic
    now: Callable[[], datetime]
    shown_id: str
    account: str = ""
    size: int = 0
    status: int | None = None
    fault: Wire | None = None

    async def read(self) -> Message:
        message = await self.receive()
        self.size += len(message.get("body", b""))
        if not message.get("more_body", False):
            self.scope["asrwatch.body_complete"] = True
        return message

    async def answer(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message.get("headers", []))
            # HTTP dates are whole seconds, cut off
            headers.append((b"date", format_datetime(self.now(), usegmt=True).encode()))
            if self.shown_id:
                headers.append((b"x-request-id", self.shown_id.encode()))
            message = {**message, "headers": headers}
            self.note()
        await self.send(message)

    def note(self) -> None:
        """Write it down before the other side can know the answer."""
        self.traffic.answered(
            self.number,
            account=self.account,
            size=self.size,
            status=self.status,
            fault=self.fault,
        )
