"""Puts the pages behind the gate."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from asrwatch import logs
from asrwatch.config import WebSettings
from asrwatch.errors import AsrwatchError
from asrwatch.web import acting, listed, overview, probes, sound, story
from asrwatch.web.bell import Bell
from asrwatch.web.guard import Guard
from asrwatch.web.live import Live
from asrwatch.web.login import Login
from asrwatch.web.rendering import STATIC, Rendering
from asrwatch.web.session import Sessions
from asrwatch.web.sight import Sight

__all__ = ["OPEN", "ROUTES", "Served", "build_app"]

log = logs.get("web")

ROUTES: Final[tuple[Callable[[Sight, Rendering], list[BaseRoute]], ...]] = (
    overview.routes,
    listed.routes,
    probes.routes,
    story.routes,
    sound.routes,
    acting.routes,
)
"""Everything that is served; each module of pages brings its own."""

OPEN: Final = ("/login", "/static/")
"""Paths that are answered without the token."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """The page as an ASGI application, and what must run beside it."""

    app: ASGIApp
    living: Callable[[], AbstractAsyncContextManager[None]]


def build_app(sight: Sight, web: WebSettings, token: str | None, bell: Bell) -> Served:
    """The whole page.

    Args:
        sight: what it shows.
        web: where it is served, and who may come.
        token: that visitors must know, None for none.
        bell: rung at every change.
    """
    sessions = Sessions(token)
    rendering = Rendering(sessions)
    cookie = f"asrwatch-{sha256(bytes(sight.settings.state_dir)).hexdigest()[:8]}"
    live = Live(sight, rendering, bell)
    login = Login(sessions, rendering, cookie=cookie, clock=sight.clock)
    app = Starlette(
        routes=[
            *(route for of in ROUTES for route in of(sight, rendering)),
            *live.routes(),
            *login.routes(),
            Mount("/static", StaticFiles(directory=STATIC)),
        ]
    )
    app.router.redirect_slashes = False

    async def on_no_page(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for it below
        return rendering.trouble(request, error.status_code, error.detail)

    async def on_trouble(request: Request, error: Exception) -> Response:
        assert isinstance(error, AsrwatchError)  # noqa: S101 - registered for it below
        return rendering.trouble(request, 503, error.message, error.advice)

    async def on_surprise(request: Request, error: Exception) -> Response:
        log.error("page-failed", path=request.url.path, exc_info=error)
        return rendering.trouble(
            request,
            500,
            "The page ran into an error of its own. Recordings are not touched by it.",
            "asrwatch's log holds the traceback; please report it.",
        )

    app.add_exception_handler(HTTPException, on_no_page)
    app.add_exception_handler(AsrwatchError, on_trouble)
    app.add_exception_handler(Exception, on_surprise)
    guard = Guard(
        app,
        address=web.address,
        hosts=web.hosts,
        sessions=sessions,
        cookie=cookie,
        opened=(*OPEN, *(probes.PROBES if web.address.is_private else ())),
        clock=sight.clock,
        mark=lambda: bell.mark,
    )
    return Served(app=guard, living=live.living)
