"""Makes the audio reachable for its engine: re-encoded, cut, uploaded, or as it is."""

from collections.abc import Sequence
from typing import assert_never
from uuid import uuid4

from asrwatch import logs
from asrwatch.audio.cutting import Stretch
from asrwatch.audio.studio import INSTALL_CODECS, WITHOUT_CODECS
from asrwatch.crash import crash_point
from asrwatch.errors import RecordingError, TemporaryError, TooLargeToUpload
from asrwatch.journey import copies, publishing, source
from asrwatch.journey.evidence import Staging, proven
from asrwatch.journey.plan import Piece, Preparation
from asrwatch.journey.recording import Recording
from asrwatch.journey.route import Clock, Route
from asrwatch.values import printable

__all__ = ["stage"]

log = logs.get("journey")

_NEED_CODECS = frozenset({Preparation.RE_ENCODE, Preparation.CUT})


def stage(
    recording: Recording, route: Route, clock: Clock, places: Sequence[Stretch] = ()
) -> Recording:
    """Make the audio reachable: re-encode it, cut it, upload it, or neither. `places` as for `advance`.

    Raises:
        AsrwatchError: what the daemon does next is in the class (see `journey.trouble`).
    """
    reading = proven(recording.reading)
    ask_id = uuid4().hex
    if reading.piece is not None:
        return recording.stage(_stage_piece(recording, route, reading.piece, ask_id), now=clock())
    if reading.plan.preparation in _NEED_CODECS and not route.can_encode:
        raise RecordingError(WITHOUT_CODECS, code="no-codecs", advice=INSTALL_CODECS)
    try:
        match reading.plan.preparation:
            case Preparation.AS_IT_IS:
                staging = Staging(ask_id=ask_id)
                if route.needs_url(recording):
                    staging = publishing.as_it_is(recording, route, staging)
            case Preparation.RE_ENCODE:
                staging = _prepare(recording, route, ask_id)
            case Preparation.DIET:
                staging = _on_diet(recording, route, ask_id)
            case Preparation.CUT:
                staging = copies.cut(recording, route, ask_id, places)
                return recording.cut_up(staging, now=clock())
            case _:
                assert_never(reading.plan.preparation)
    except TooLargeToUpload as error:
        if not route.can_encode or not route.storage.copies:
            raise
        staging = _prepare(recording, route, ask_id, largest=error.largest)
    if staging.url is not None:
        crash_point("published")
    return recording.stage(staging, now=clock())


def _on_diet(recording: Recording, route: Route, ask_id: str) -> Staging:
    """Upload a smaller copy; where none can be made, or it is none, the original."""
    codec, prepared = route.diet.codec, None
    if codec is not None and route.can_encode and route.storage.streams:
        staging = publishing.growing_copy(recording, route, ask_id, codec)
        if staging is not None:
            return staging
    elif codec is not None and route.can_encode:
        try:
            prepared = copies.re_encoded(
                recording, route, ask_id, codecs=(codec,), every_sample=True
            )
        except (RecordingError, TemporaryError) as error:
            if error.code == "no-such-channel":
                raise
            log.info("no-smaller-copy", file=printable(recording.path), reason=error.message)
    if prepared is not None and prepared.size < recording.fingerprint.size:
        return publishing.copy(recording, route, ask_id, prepared)
    if prepared is not None:
        proven(route.preparer).discard(prepared)
    return publishing.as_it_is(recording, route, Staging(ask_id=ask_id))


def _prepare(
    recording: Recording, route: Route, ask_id: str, *, largest: int | None = None
) -> Staging:
    """Re-encode; where the engine takes bytes the copy stays in the spool until it was heard."""
    prepared = copies.re_encoded(recording, route, ask_id, largest=largest)
    if route.engine_of(recording).takes_bytes:
        return Staging(ask_id=ask_id, prepared=prepared)
    return publishing.copy(recording, route, ask_id, prepared)


def _stage_piece(recording: Recording, route: Route, piece: Piece, ask_id: str) -> Staging:
    """A piece's copy goes in the request, or is uploaded; made smaller where the storage takes no file of its size."""
    reading, copy = proven(recording.reading), proven(piece.copy)
    if route.engine_of(recording).takes_bytes:
        return Staging(ask_id=ask_id, prepared=copy)
    with source.opened(recording, route.care, fingerprint=recording.fingerprint):
        try:
            staging = publishing.copy_kept(recording, route, ask_id, copy)
        except TooLargeToUpload as error:
            preparer = proven(route.preparer)
            with preparer.open(copy) as stream:
                smaller = preparer.re_encode(
                    stream,
                    reading.facts,
                    name=ask_id,
                    channels=tuple(range(copy.channels)) if copy.channels > 1 else None,
                    largest=error.largest,
                )
            staging = publishing.copy(recording, route, ask_id, smaller)
    crash_point("piece-published")
    return staging
