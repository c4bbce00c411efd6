"""What can go wrong between two machines: strikes a request with a fault instead of its answer."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Message, Receive, Scope, Send

from asrwatch.sandbox.faults import Fault, Wire
from asrwatch.sandbox.refusals import Refusal, envelope_of, refused

__all__ = ["Connection", "Connections", "drain", "hang_up", "request_id_of", "spoil", "strike"]


@dataclass(frozen=True, kw_only=True)
class Connection:
    """An open connection; `closed` is set when it no longer is."""

    transport: asyncio.Transport
    closed: asyncio.Event = field(default_factory=asyncio.Event)


Connections = MutableMapping[tuple[str, int], Connection]
Work = Callable[[Send], Awaitable[None]]

_BAD_GATEWAY: Final = (
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    "<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n"
    "</body>\r\n</html>\r\n"
)
_NOT_JSON: Final = "<html><head><title>Welcome</title></head><body>Please log in.</body></html>\n"
_BLOCK: Final = b" " * 65_536
# An endless answer need not be a fast one: some 60 MB a second, and the rest of the machine stays usable.
_PAUSE_SECONDS: Final = 0.001


def request_id_of(request: Request) -> str:
    """The id the gate gave this request."""
    return str(request.scope["asrwatch.request_id"])


async def hang_up(request: Request) -> None:
    """Close the connection of a request now, whatever was sent."""
    await close_connection(request.scope)


async def close_connection(scope: Scope, *, abort: bool = False) -> None:
    """Close a request's connection and give the server the time to notice."""
    connection = scope["asrwatch.connections"].get(tuple(scope["client"]))
    if connection is None:
        return
    scope["asrwatch.note"]()
    if abort:
        connection.transport.abort()
    else:
        connection.transport.close()
    await connection.closed.wait()


async def drain(scope: Scope, receive: Receive) -> None:
    """Read a request's body to its end, so that its sender is ready to listen to an answer."""
    more = not scope["asrwatch.body_complete"]
    while more:
        message = await receive()
        more = message["type"] == "http.request" and message.get("more_body", False)


async def strike(fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request with a fault."""
    match fault.what:
        case Wire.RESET:
            await close_connection(scope, abort=True)
        case Wire.HANG_UP:
            await drain(scope, receive)
            await close_connection(scope)
        case Wire.ENDLESS:
            await drain(scope, receive)
            await _pour(None, receive, send)
        case Wire.HUGE:
            await drain(scope, receive)
            await _pour(fault.size, receive, send)
        case _:
            await drain(scope, receive)
            await _answer_of(fault, scope)(scope, receive, send)


def _answer_of(fault: Fault, scope: Scope) -> Response:
    match fault.what:
        case Wire.BAD_GATEWAY:
            return HTMLResponse(_BAD_GATEWAY, status_code=502)
        case Wire.NOT_JSON:
            return HTMLResponse(_NOT_JSON)
        case Wire.REDIRECT:
            query = scope["query_string"].decode("latin-1")
            place = scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
            return Response(status_code=307, headers={"Location": place})
        case _:
            refusal = Refusal(fault.code, fault.message, status=fault.status)
            return refused(refusal, envelope_of(scope["path"]), scope["asrwatch.request_id"])


async def _pour(size: int | None, receive: Receive, send: Send) -> None:
    """Send white space, so much of it or until the other side has had enough."""
    headers = [(b"content-type", b"application/json")]
    if size is not None:
        headers.append((b"content-length", str(size).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    gone = asyncio.ensure_future(receive())
    left = size
    while not gone.done() and (left is None or left > 0):
        block = _BLOCK if left is None else _BLOCK[:left]
        await send({"type": "http.response.body", "body": block, "more_body": True})
        left = None if left is None else left - len(block)
        await asyncio.sleep(0 if size is not None else _PAUSE_SECONDS)
    gone.cancel()
    await send({"type": "http.response.body", "body": b""})


async def spoil(fault: Fault, scope: Scope, receive: Receive, send: Send, work: Work) -> None:
    """Let a request be worked on, then do to its answer what the fault says."""
    answer: list[Message] = []

    async def keep(message: Message) -> None:
        answer.append(message)

    await work(keep)
    body = b"".join(message.get("body", b"") for message in answer)
    match fault.what:
        case Wire.SLOW:
            await asyncio.sleep(fault.span.total_seconds())
            for message in answer:
                await send(message)
        case Wire.TRICKLE:
            await send(_with_length(answer[0], len(body)))
            for position in range(len(body)):
                await asyncio.sleep(fault.span.total_seconds())
                byte = body[position : position + 1]
                await send({"type": "http.response.body", "body": byte, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        case Wire.TRUNCATED:
            await send(_with_length(answer[0], len(body)))
            half = body[: len(body) // 2]
            await send({"type": "http.response.body", "body": half, "more_body": True})
            await close_connection(scope)
        case _:
            await strike(fault, scope, receive, send)


def _with_length(start: Message, length: int) -> dict[str, Any]:
    """The start of an answer, its Content-Length that of the whole body."""
    headers = [
        (name, value) for name, value in start["headers"] if name.lower() != b"content-length"
    ]
    return {**start, "headers": [*headers, (b"content-length", str(length).encode())]}
