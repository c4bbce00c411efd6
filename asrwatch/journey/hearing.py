"""What an answer says, whoever it came from."""

from typing import Any

from asrwatch.engines import Engine
from asrwatch.journey import channels, joining, silence
from asrwatch.journey.evidence import Answer, proven
from asrwatch.journey.recording import Recording
from asrwatch.journey.route import Route
from asrwatch.journey.transcript import Transcript

__all__ = ["heard", "transcript_of"]


def heard(recording: Recording, route: Route) -> Transcript:
    """What the answer in hand says, its channels named as the inbox names them.

    Raises:
        RecordingError: the answer holds no usable transcript.
    """
    reading, answer = proven(recording.reading), proven(recording.answer)
    engine = route.engine_of(recording)
    return channels.with_speakers(
        transcript_of(answer, engine),
        route.wishes,
        reading.facts,
        reading.plan,
        tells_apart=engine.channels,
    )


def transcript_of(answer: Answer, engine: Engine[Any]) -> Transcript:
    """What an answer says, whoever it came from: the engine, the joining of pieces, our own ears.

    Raises:
        RecordingError: it holds no usable transcript.
    """
    if joining.is_joined(answer):
        return joining.read(answer, engine.read)
    return silence.transcript() if silence.is_silence(answer) else engine.read(answer)
