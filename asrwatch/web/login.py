"""Logging in with the token, and out."""

from collections.abc import Callable
from datetime import datetime

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from asrwatch import logs
from asrwatch.web.guard import cookie_header
from asrwatch.web.rendering import Rendering
from asrwatch.web.session import Attempts, Sessions

__all__ = ["Login"]

log = logs.get("web")


class Login:
    """The pages for it.

    Args:
        sessions: know the token.
        rendering: of the pages.
        cookie: its name.
        clock: tells the date, aware.
    """

    def __init__(
        self,
        sessions: Sessions,
        rendering: Rendering,
        *,
        cookie: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._sessions = sessions
        self._rendering = rendering
        self._cookie = cookie
        self._clock = clock
        self._attempts = Attempts()

    def routes(self) -> list[BaseRoute]:
        """What is served."""
        return [
            Route("/login", self._show, methods=["GET"]),
            Route("/login", self._try, methods=["POST"]),
            Route("/logout", self._leave, methods=["POST"]),
        ]

    async def _show(self, request: Request) -> Response:
        if not self._sessions.asks_for_token:
            return RedirectResponse("/", status_code=303)
        return self._page(request, _place(request.query_params.get("next", "/")))

    async def _try(self, request: Request) -> Response:
        form, now = request.state.form, self._clock()
        place = _place(form.get("next", "/"))
        if wait := self._attempts.wait(now):
            seconds = str(int(wait.total_seconds()) + 1)
            answer = self._page(request, place, status=429, failed="many")
            answer.headers["retry-after"] = seconds
            return answer
        if not self._sessions.is_token(form.get("token", "").strip()):
            self._attempts.failed(now)
            log.warning("page-login-failed", client=request.client.host if request.client else "")
            return self._page(request, place, status=403, failed="wrong")
        answer = RedirectResponse(place, status_code=303)
        answer.headers.append(
            "set-cookie", cookie_header(self._cookie, self._sessions.cookie(now), request)
        )
        return answer

    async def _leave(self, request: Request) -> Response:
        answer = RedirectResponse("/login", status_code=303)
        answer.headers.append("set-cookie", cookie_header(self._cookie, "", request, ends=True))
        return answer

    def _page(
        self, request: Request, place: str, *, status: int = 200, failed: str = ""
    ) -> Response:
        return self._rendering.page(
            request, "login.html", status=status, place=place, failed=failed
        )


def _place(wanted: str) -> str:
    """Where to go afterwards: a page of ours, never another site."""
    fits = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isprintable()
    return wanted if fits else "/"
