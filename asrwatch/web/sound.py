"""Recordings and transcripts to listen to and to take away: by a recording's number, and from nowhere else.

Which file that is stands in the database; it is opened the way the daemon opens it, through the folders of its inbox
or output without following a link, and a recording only if it is the very file that was transcribed.
"""

import os
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import BinaryIO, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from asrwatch.audio.containers import mime_of
from asrwatch.config import InboxSettings, Settings
from asrwatch.desk.scene import is_below
from asrwatch.errors import AsrwatchError
from asrwatch.files import open_recording
from asrwatch.journey.store import Place
from asrwatch.values import printable
from asrwatch.web.asked import recording_in
from asrwatch.web.rendering import Rendering
from asrwatch.web.sight import Sight

__all__ = ["PLAYABLE", "is_playable", "open_sound", "routes"]

PLAYABLE: Final = frozenset({"wav", "mp3", "aac", "flac", "ogg", "mp4", "webm"})
"""Containers that browsers play; whether they know what is in it, they find out themselves."""
_SILENT_CODECS: Final = frozenset(
    {"amr_nb", "amr_wb", "alac", "speex", "adpcm_ima_wav", "adpcm_ms", "gsm_ms"}
)
_TEXT: Final = "text/plain; charset=utf-8"


def routes(sight: Sight, rendering: Rendering) -> list[BaseRoute]:
    """What is served."""
    del rendering

    def sound(request: Request) -> Response:
        place = _place(sight, request)
        try:
            stream = open_sound(place, sight.settings)
        except AsrwatchError as error:
            raise HTTPException(404, f"{error.message} {error.advice}".strip()) from error
        away = "download" in request.query_params
        path = place.original or place.path
        return _Open(
            stream,
            media_type=mime_of(place.container, path)
            if is_playable(place) or away
            else "application/octet-stream",
            name=printable(os.path.basename(path)),  # noqa: PTH119 - bytes, which pathlib cannot hold
            away=away,
        )

    def output(request: Request) -> Response:
        place = _place(sight, request)
        wanted = request.path_params["format"]
        found = next((each for each in place.outputs if each.format == wanted), None)
        inbox = _inbox(place, sight.settings)
        if found is None or not found.sha256 or inbox is None:
            raise HTTPException(404, "There is no such transcript.")
        root = inbox.root if inbox.output == "beside" else os.fsencode(inbox.output)
        _must_be_below(found.path, root)
        try:
            stream = open_recording(found.path, root=root)
        except AsrwatchError as error:
            raise HTTPException(404, error.message) from error
        name = printable(os.path.basename(found.path))  # noqa: PTH119 - same
        return _Open(stream, media_type=_TEXT, name=name, away=True)

    return [
        Route("/recordings/{id}/sound", sound, methods=["GET"]),
        Route("/recordings/{id}/transcripts/{format}", output, methods=["GET"]),
    ]


def is_playable(place: Place) -> bool:
    """Whether a browser may be able to play it."""
    return place.container in PLAYABLE and place.codec not in _SILENT_CODECS


def open_sound(place: Place, settings: Settings) -> BinaryIO:
    """A recording's file, where it lies now.

    Raises:
        AsrwatchError: it is gone, changed, elsewhere than its inbox says, or cannot be read.
    """
    inbox = _inbox(place, settings)
    if inbox is None:
        raise HTTPException(404, "Its inbox is not in the configuration any more.")
    path = place.original or place.path
    if path == place.path:
        _must_be_below(path, inbox.root)
        return open_recording(path, place.fingerprint, root=inbox.root)
    folder = os.fsencode(inbox.move_to) if inbox.move_to else inbox.root
    _must_be_below(path, folder)
    stream = open_recording(path, root=folder)
    if os.fstat(stream.fileno()).st_size != place.fingerprint.size:
        stream.close()
        raise HTTPException(404, "What lies there is not the recording that was transcribed.")
    return stream


def _must_be_below(path: bytes, folder: bytes) -> None:
    """What the database names is served only where the configuration still says that it is ours."""
    if not is_below(path, folder):
        raise HTTPException(404, "It lies in no folder of the configuration any more.")


def _inbox(place: Place, settings: Settings) -> InboxSettings | None:
    return next((inbox for inbox in settings.inboxes if inbox.name == place.inbox), None)


def _place(sight: Sight, request: Request) -> Place:
    with sight.readers.one() as reader:
        place = reader.place(recording_in(request))
    if place is None:
        raise HTTPException(404, "There is no such recording.")
    return place


class _Open(FileResponse):
    """An open file, whole or in ranges (RFC 9110), closed at the end."""

    def __init__(self, stream: BinaryIO, *, media_type: str, name: str, away: bool) -> None:
        self._stream = stream
        status = os.fstat(stream.fileno())
        changed = datetime.fromtimestamp(status.st_mtime, tz=UTC)
        super().__init__(
            f"/dev/fd/{stream.fileno()}",
            media_type=media_type,
            filename=name,
            stat_result=status,
            content_disposition_type="attachment" if away else "inline",
            headers={
                "etag": f'"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}"',
                "last-modified": format_datetime(changed, usegmt=True),
                "content-security-policy": "default-src 'none'; sandbox",
            },
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        with self._stream:
            await super().__call__(scope, receive, send)
