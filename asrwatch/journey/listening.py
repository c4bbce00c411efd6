"""What a recording is: told by its headers, and by listening to it where they do not tell enough."""

from dataclasses import replace
from typing import BinaryIO

from asrwatch.audio import quiet
from asrwatch.audio.facts import probe
from asrwatch.journey import admission, channels
from asrwatch.journey.plan import AudioFacts
from asrwatch.journey.route import Route

__all__ = ["facts_of"]

SEVERAL_TRACKS = frozenset({"mp4", "mkv", "webm", "avi", "asf", "flv", "mpeg", "mpegts", "ogg"})
"""Containers that may hold more than one stream of sound, which their headers are not asked about."""


def facts_of(stream: BinaryIO, path: bytes, route: Route) -> AudioFacts:
    """What a recording is: told by its headers, and by decoding it where they do not tell enough.

    Raises:
        RecordingError: it is no recording, cannot be decoded, or is longer than the inbox allows.
        TemporaryError: the process that decoded it died.
    """
    facts = probe(stream, path, whole=route.care is not None)
    admission.check_length(facts, path, route.longest)
    facts = _listened(stream, facts, route)
    admission.check_length(facts, path, route.longest)
    return facts


def _listened(stream: BinaryIO, facts: AudioFacts, route: Route) -> AudioFacts:
    preparer = route.preparer
    if preparer is None or not preparer.can_encode:
        return facts
    if facts.duration is None or channels.needs_listening(route.wishes, facts):
        return _with_what_lies_behind(stream, preparer.listen(stream, facts))
    if route.send_silence and facts.container not in SEVERAL_TRACKS:
        return facts
    silent = quiet.is_silent(stream, facts)
    if silent is not None:
        return replace(facts, silent=silent)
    return preparer.until_sound(stream, facts)


def _with_what_lies_behind(stream: BinaryIO, heard: AudioFacts) -> AudioFacts:
    """Decoders end where the header says; a recorder that died before it wrote its last sizes had gone on."""
    if not heard.silent or quiet.is_silent(stream, heard) is not False:
        return heard
    return replace(heard, silent=False, silent_channels=(), same_channels=None)
