"""Copies of a recording in the spool, made of the content that was read: re-encoded, or cut into pieces."""

from collections.abc import Sequence
from typing import Any, BinaryIO

from asrwatch.audio.cutting import Stretch
from asrwatch.audio.orders import Codec
from asrwatch.engines import Engine
from asrwatch.errors import AsrwatchError, SourceChanged
from asrwatch.files import check_unchanged, hash_whole
from asrwatch.journey import source
from asrwatch.journey.dispatch import decoded_size
from asrwatch.journey.evidence import Staging, proven
from asrwatch.journey.plan import Prepared
from asrwatch.journey.preparing import CODECS, CutOrder
from asrwatch.journey.recording import Recording
from asrwatch.journey.route import Route

__all__ = ["channels_kept", "check", "cut", "re_encoded"]


def re_encoded(
    recording: Recording,
    route: Route,
    ask_id: str,
    *,
    codecs: Sequence[Codec] = CODECS,
    largest: int | None = None,
    every_sample: bool = False,
) -> Prepared:
    """A re-encoded copy in the spool.

    Args:
        recording: was read.
        route: of its inbox; can encode.
        ask_id: names the copy.
        codecs: to choose from, the best one first.
        largest: in bytes, where less is wanted than the engine takes.
        every_sample: a copy that lacks anything is refused, where headers count exactly what there is.

    Raises:
        RecordingError: it cannot be decoded, or made small enough.
        SourceChanged: it is not what was read any more.
        TemporaryError: no room, or the child process died.
    """
    reading, preparer = proven(recording.reading), proven(route.preparer)
    engine = route.engine_of(recording)
    fits = _most_bytes(engine)
    with source.opened(recording, route.care, fingerprint=recording.fingerprint) as stream:
        prepared = preparer.re_encode(
            stream,
            reading.facts,
            name=ask_id,
            channels=channels_kept(recording, route),
            largest=fits if largest is None else min(fits, largest),
            codecs=codecs,
            every_sample=every_sample,
        )
        check(stream, recording, route, (prepared,))
    return prepared


def cut(recording: Recording, route: Route, ask_id: str, places: Sequence[Stretch]) -> Staging:
    """Cut it at pauses, or at `places` where they are known; raises what `re_encoded` raises.

    The copies of its pieces stay in the spool until each was heard.
    """
    reading, preparer = proven(recording.reading), proven(route.preparer)
    engine, how = route.engine_of(recording), proven(reading.plan.cut)
    with source.opened(recording, route.care, fingerprint=recording.fingerprint) as stream:
        order = CutOrder(
            how=how,
            name=ask_id,
            channels=channels_kept(recording, route),
            largest=_most_bytes(engine),
            places=tuple(places),
        )
        pieces, missing = preparer.cut(stream, reading.facts, order)
        check(stream, recording, route, [piece.copy for piece in pieces if piece.copy])
    return Staging(ask_id=ask_id, pieces=pieces, missing=missing)


def check(stream: BinaryIO, recording: Recording, route: Route, copies: Sequence[Prepared]) -> None:
    """What was prepared must be of what was read when the purchase was decided; else it goes at once.

    Raises:
        SourceChanged: it is not.
    """
    root = route.care.root if route.care else None
    try:
        check_unchanged(stream, recording.path, recording.fingerprint, root=root)
        if hash_whole(stream) != proven(recording.reading).sha256:
            raise SourceChanged(
                "The file changed while it was being re-encoded.",
                code="changed-while-prepared",
                advice="It is taken up again once it has settled.",
            )
    except AsrwatchError:
        for prepared in copies:
            proven(route.preparer).discard(prepared)
        raise


def channels_kept(recording: Recording, route: Route) -> tuple[int, ...] | None:
    """The channels of a copy for an engine that tells them apart; None mixes them."""
    if not route.engine_of(recording).channels:
        return None
    return tuple(range(max(route.wishes_for(recording).channels) + 1))


def _most_bytes(engine: Engine[Any]) -> int:
    largest = engine.options.largest
    return decoded_size(largest) if engine.base64 else largest
