"""Listens to a recording for a person who asks what it is, as far as that takes no longer than a person waits."""

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import BinaryIO

from asrwatch.audio.facts import probe
from asrwatch.desk.reports.explanation import Story
from asrwatch.desk.reports.lines import SoundLine
from asrwatch.errors import AsrwatchError
from asrwatch.files import open_recording
from asrwatch.journey.plan import AudioFacts
from asrwatch.journey.preparing import Preparer

__all__ = ["completed", "looked_into", "sound_of", "with_sound"]

LISTENED_TO = timedelta(hours=1)
"""Longer recordings are not decoded while a person waits; what was heard on their way is told all the same."""
_MOST_BYTES = 1 << 30


def completed(stream: BinaryIO, facts: AudioFacts, preparer: Preparer | None) -> AudioFacts:
    """What headers and the way to an engine need not tell, from decoding all of it; what it is not long enough for.

    Args:
        stream: the recording, open.
        facts: what is known of it.
        preparer: decodes; None where nobody does.
    """
    if preparer is None or not preparer.can_encode or _is_complete(facts):
        return facts
    size = os.fstat(stream.fileno()).st_size
    if size > _MOST_BYTES or (facts.duration is not None and facts.duration > LISTENED_TO):
        return facts
    try:
        return preparer.listen(stream, facts)
    except AsrwatchError:  # what it would fail with on its way is told by whoever plans that
        return facts


def looked_into(path: bytes, preparer: Preparer | None) -> AudioFacts | None:
    """What a file is, wherever it lies; None if it is no recording or cannot be read."""
    try:
        with open_recording(path) as stream:
            facts = probe(stream, path)
            return completed(stream, facts, preparer) if facts.container else None
    except (AsrwatchError, OSError):
        return None


def with_sound(story: Story, preparer: Callable[[], Preparer | None]) -> Story:
    """A recording's story with what was not found out on its way, if its file still lies there.

    Args:
        story: as it is known.
        preparer: gives who decodes, if that is needed.
    """
    told, path = story.sound, story.original or story.path
    if told is not None and told.silent is not None and not _is_stereo_of_unknown_kind(told):
        return story
    try:
        if os.lstat(path).st_size != story.size:
            return story
    except OSError:
        return story
    facts = looked_into(path, preparer())
    return story if facts is None else replace(story, sound=sound_of(facts))


def sound_of(facts: AudioFacts) -> SoundLine:
    """The facts as they are told."""
    source = "" if facts.duration is None else "decoding" if facts.decoded else "headers"
    return SoundLine(
        container=facts.container,
        codec=facts.codec,
        duration=facts.duration,
        duration_from=source,
        sample_rate=facts.sample_rate,
        channels=facts.channels,
        silent=facts.silent,
        same_channels=facts.same_channels,
        silent_channels=facts.silent_channels,
        tracks=facts.tracks,
        track=facts.track,
        pictures=facts.pictures,
    )


def _is_stereo_of_unknown_kind(told: SoundLine) -> bool:
    return told.same_channels is None and told.channels != 1


def _is_complete(facts: AudioFacts) -> bool:
    alike = facts.channels == 1 or facts.same_channels is not None
    streams = facts.container in {"wav", "w64", "flac", "mp3", "aiff", "amr", "au", "caf", "aac"}
    return facts.silent is not None and alike and (streams or facts.pictures is not None)
