"""Live updates: one broadcaster looks, once for all visitors, when the daemon's saves nudge it.

While nobody looks it sleeps without an end. What changed is sent as rows that were filled once in each language;
the rest of the first page (health, holds, spending) is looked at every few seconds, and sent where it changed.
"""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import anyio
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from asrwatch import logs
from asrwatch.errors import AsrwatchError
from asrwatch.journey.store import Listed
from asrwatch.web import overview
from asrwatch.web.bell import Bell
from asrwatch.web.rendering import Rendering
from asrwatch.web.sight import Sight
from asrwatch.words import LANGUAGES, Language, accepted

__all__ = ["Live"]

log = logs.get("web")

MOST_VISITORS: Final = 40
GLANCE: Final = timedelta(seconds=4)
"""So often the inboxes' health is looked at while somebody looks at it."""
LEAST_PAUSE: Final = timedelta(milliseconds=300)
SHARE: Final = 10.0
"""Of the time, at most a tenth goes into looking."""
MOST_ROWS: Final = 60
_BREATH: Final = timedelta(seconds=20)
_MOST_WAITING: Final = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One event: `mark` is the moment up to which whoever got it knows everything."""

    kind: str
    told: Mapping[str, Any]
    mark: str = ""

    def __str__(self) -> str:
        mark = f"id: {self.mark}\n" if self.mark else ""
        return f"{mark}event: {self.kind}\ndata: {json.dumps(self.told)}\n\n"


@dataclass(eq=False)
class _Visitor:
    """Somebody who listens: in which language, and what was not sent yet."""

    language: Language
    waiting: "asyncio.Queue[Message]" = field(
        default_factory=lambda: asyncio.Queue(maxsize=_MOST_WAITING)
    )

    def tell(self, message: Message) -> None:
        """Send it; who cannot follow is told to look at everything anew."""
        try:
            self.waiting.put_nowait(message)
        except asyncio.QueueFull:
            while not self.waiting.empty():
                self.waiting.get_nowait()
            self.waiting.put_nowait(Message(kind="reload", told={}))


class Live:
    """The broadcaster, and the route at which it is heard.

    Args:
        sight: what is looked at.
        rendering: fills rows and parts.
        bell: rung by the daemon's thread at every change.
    """

    def __init__(self, sight: Sight, rendering: Rendering, bell: Bell) -> None:
        self._sight = sight
        self._rendering = rendering
        self._bell = bell
        self._visitors: set[_Visitor] = set()
        self._lock = threading.Lock()
        self._changed: set[int] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._nudged = asyncio.Event()
        self._somebody = asyncio.Event()
        self._parts: dict[Language, str] = {}

    def routes(self) -> list[BaseRoute]:
        """What is served."""
        return [Route("/events", self._listen, methods=["GET"])]

    @asynccontextmanager
    async def living(self) -> AsyncIterator[None]:
        """Broadcast until the block ends; an error that nobody foresaw ends the block, and the page is served anew.

        Raises:
            ExceptionGroup: that error, such as that no more threads are to be had.
        """
        self._loop = asyncio.get_running_loop()
        async with anyio.create_task_group() as beside:
            beside.start_soon(self._broadcast)
            try:
                yield
            finally:
                self._bell.listen(None)
                beside.cancel_scope.cancel()

    def _rung(self, recording_id: int) -> None:
        """In the daemon's thread: note it, and wake the broadcaster if it is not awake yet."""
        with self._lock:
            is_first = not self._changed
            self._changed.add(recording_id)
        if is_first and self._loop is not None:
            with suppress(RuntimeError):  # the loop was closed this very moment
                self._loop.call_soon_threadsafe(self._nudged.set)

    async def _listen(self, request: Request) -> Response:
        if len(self._visitors) >= MOST_VISITORS:
            return PlainTextResponse("Too many listen already.\n", status_code=503)
        visitor = _Visitor(language=accepted(request.headers.get("accept-language")))
        since = request.headers.get("last-event-id") or request.query_params.get("since", "")
        return _Events(visitor, lambda each: self._comes(each, since), self._goes)

    def _comes(self, visitor: _Visitor, since: str) -> None:
        """From now on he is told what changes; what changed since his page was filled is told to all once more."""
        self._visitors.add(visitor)
        self._bell.listen(self._rung)
        self._somebody.set()
        part = self._parts.get(visitor.language)
        if part is not None:
            visitor.tell(Message(kind="now", told={"html": part}))
        missed = self._bell.since(since)
        if missed is None:
            visitor.tell(Message(kind="reload", told={}, mark=self._bell.mark))
        for recording in missed or ():
            self._rung(recording)

    def _goes(self, visitor: _Visitor) -> None:
        self._visitors.discard(visitor)
        if not self._visitors:
            self._bell.listen(None)
            self._somebody.clear()

    async def _broadcast(self) -> None:
        while True:
            await self._somebody.wait()
            begun = asyncio.get_running_loop().time()
            try:
                await self._look()
            except AsrwatchError as error:
                log.debug("page-not-refreshed", error=error.message)
            took = asyncio.get_running_loop().time() - begun
            await asyncio.sleep(max(LEAST_PAUSE.total_seconds(), SHARE * took))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._nudged.wait(), GLANCE.total_seconds())

    async def _look(self) -> None:
        self._nudged.clear()
        mark = self._bell.mark
        with self._lock:
            changed, self._changed = self._changed, set()
        languages = {visitor.language for visitor in self._visitors}
        told = await to_thread.run_sync(self._found, changed, languages, mark)
        for visitor in self._visitors:
            for message in told.get(visitor.language, ()):
                visitor.tell(message)

    def _found(
        self, changed: set[int], languages: set[Language], mark: str
    ) -> Mapping[Language, list[Message]]:
        """In a thread that may read: what there is to tell, filled once in each language."""
        lines: tuple[Listed, ...] = ()
        if changed:
            with self._sight.readers.one() as reader:
                lines = reader.lines(sorted(changed)[-MOST_ROWS:])
        seen = overview.now(self._sight)
        found: dict[Language, list[Message]] = {each: [] for each in languages}
        for language in languages:
            if changed:
                rows = {
                    line.id: self._rendering.part("row.html", language, line=line) for line in lines
                }
                told = {"ids": sorted(changed), "rows": rows}
                found[language].append(Message(kind="change", told=told, mark=mark))
            part = self._rendering.part("now.html", language, **seen)
            if self._parts.get(language) != part:
                self._parts[language] = part
                found[language].append(Message(kind="now", told={"html": part}))
        for language in LANGUAGES:
            if language not in languages:
                self._parts.pop(language, None)
        return found


class _Events(Response):
    """Server-sent events to one visitor, until he goes."""

    media_type = "text/event-stream"

    def __init__(
        self,
        visitor: _Visitor,
        comes: Callable[[_Visitor], None],
        goes: Callable[[_Visitor], None],
    ) -> None:
        self._visitor = visitor
        self._comes = comes
        self._goes = goes
        self.status_code = 200
        self.background = None
        self.init_headers({"content-type": self.media_type, "x-accel-buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what there is to tell, and a breath now and then."""
        del scope
        self._comes(self._visitor)
        try:
            async with anyio.create_task_group() as both:
                both.start_soon(self._until_gone, receive, both.cancel_scope.cancel)
                await self._tell(send)
        finally:
            self._goes(self._visitor)

    async def _until_gone(self, receive: Receive, over: Callable[[], None]) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        over()

    async def _tell(self, send: Send) -> None:
        headers = [pair for pair in self.raw_headers if pair[0] != b"content-length"]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        text = "retry: 2000\n\n"
        while True:
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
            try:
                text = str(
                    await asyncio.wait_for(self._visitor.waiting.get(), _BREATH.total_seconds())
                )
            except TimeoutError:
                text = ": still here\n\n"
