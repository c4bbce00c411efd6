"""Fills the templates: everything is escaped, dates and spans are written the way people read them."""

from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from asrwatch import __version__
from asrwatch.journey.recording import State
from asrwatch.values import format_duration, format_hours, format_money, format_size, printable
from asrwatch.web.session import Sessions
from asrwatch.words import Language, accepted, shown

__all__ = ["STATIC", "Rendering"]

_HERE: Final = Path(__file__).parent
STATIC: Final = _HERE / "static"


class Rendering:
    """Turns values into pages.

    Args:
        sessions: make the token that forms carry.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=select_autoescape(default=True, default_for_string=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.filters.update(
            shown=printable,
            name=_name,
            folder=_folder,
            when=_when,
            duration=format_duration,
            hours=format_hours,
            size=format_size,
        )
        self._templates.globals.update(
            version=__version__, static=_static, money=format_money, states=tuple(State)
        )

    def page(
        self, request: Request, template: str, *, status: int = 200, **values: Any
    ) -> Response:
        """A whole page, in the language that the browser likes best."""
        session = request.state.session
        text = self.part(
            template,
            accepted(request.headers.get("accept-language")),
            path=request.url.path,
            mark=request.state.mark,
            form_token=self._sessions.form_token(session) if session else "",
            logged_in=bool(session) and self._sessions.asks_for_token,
            **values,
        )
        return HTMLResponse(text, status_code=status, headers={"vary": "accept-language"})

    def part(self, template: str, language: Language, **values: Any) -> str:
        """A page, or a part of one, as text."""

        def say(text: object) -> str:
            return shown(printable(str(text)), language)

        return self._templates.get_template(template).render(_=say, lang=language, **values)

    def trouble(self, request: Request, status: int, message: str, advice: str = "") -> Response:
        """A page that says what is wrong, and what to do."""
        return self.page(request, "trouble.html", status=status, message=message, advice=advice)


def _name(path: bytes) -> str:
    return printable(path.rpartition(b"/")[2])


def _folder(path: bytes) -> str:
    return printable(path.rpartition(b"/")[0] or b"/")


def _when(moment: datetime | None, none: str = "-") -> Markup | str:
    """A date by this machine's clock; what the browser gets besides is exact."""
    if moment is None:
        return none
    local = moment.astimezone()
    today = datetime.now(tz=UTC).astimezone().date()
    near = abs(today - local.date()) < timedelta(days=1)
    shown = local.strftime("%H:%M:%S" if near else "%Y-%m-%d %H:%M")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        local.isoformat(timespec="seconds"), local.strftime("%Y-%m-%d %H:%M:%S %Z"), shown
    )


@cache
def _static(name: str) -> str:
    """The address of a file of ours, which changes with its content, so that browsers may keep it."""
    content = (STATIC / name).read_bytes()
    return f"/static/{name}?v={sha256(content).hexdigest()[:12]}"
