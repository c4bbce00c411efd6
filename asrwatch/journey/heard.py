"""The text of a recording that was transcribed, for those who are told of it with its text."""

from collections.abc import Mapping
from typing import Final

from asrwatch.errors import AsrwatchError
from asrwatch.journey.journey import Route, transcript_of
from asrwatch.journey.recording import Recording

__all__ = ["text_of"]

LARGEST: Final = 2 * 2**20
"""Bytes of an answer that is read for this in the daemon's own thread: some hours of speech with all their words."""


def text_of(recording: Recording, routes: Mapping[str, Route]) -> str:
    """What was heard; empty where the answer is not in hand, of no use or too large to be looked into here."""
    route, reading, answer = routes.get(recording.inbox), recording.reading, recording.answer
    if route is None or reading is None or answer is None or len(answer.raw) > LARGEST:
        return ""
    engine = route.engines.get(reading.plan.engine)
    try:
        return transcript_of(answer, engine).text if engine else ""
    except AsrwatchError:
        return ""
