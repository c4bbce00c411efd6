"""Where a transcript comes from, told from the recording alone, so that a repeated delivery says the same."""

import os
from datetime import UTC, datetime
from pathlib import Path

from asrwatch import __version__
from asrwatch.journey.joining import parsed, pieces_in
from asrwatch.journey.plan import AudioFacts, Plan, Preparation
from asrwatch.journey.recording import Recording
from asrwatch.journey.transcript import PieceTold, Provenance, Transcript

__all__ = ["parsed", "provenance_of"]


def provenance_of(recording: Recording, transcript: Transcript, *, region: str) -> Provenance:
    """Everything the JSON output tells beside the words; no clock is read.

    Args:
        recording: transcribed, with its reading and answer.
        transcript: read from that answer.
        region: of the cloud that answered.
    """
    reading, answer = recording.reading, recording.answer
    plan = reading.plan if reading else None
    facts = reading.facts if reading else None
    return Provenance(
        source=Path(os.fsdecode(recording.path)).name,
        sha256=reading.sha256 if reading else None,
        recorded_at=_moment(recording.fingerprint.mtime_ns),
        duration=(facts.duration if facts else None) or transcript.duration,
        engine=plan.engine if plan else "",
        model=plan.model if plan else "",
        options=plan.options if plan else {},
        left_out=plan.left_out if plan else (),
        region=region,
        task_id=answer.ticket if answer else None,
        status="SUCCEEDED",
        billed=answer.billed if answer else None,
        asrwatch=__version__,
        found_at=recording.found_at,
        asked_at=recording.asking.asked_at if recording.asking else None,
        answered_at=answer.received_at if answer else None,
        raw=parsed(answer) if answer else None,
        facts=facts,
        track=_track(plan, facts),
        missing=recording.staging.lacks if recording.staging else None,
        pieces=tuple(
            PieceTold(
                begin=piece.begin,
                end=piece.end,
                channel=piece.channel,
                task_id=piece.ticket,
                billed=piece.billed,
            )
            for piece in (pieces_in(answer) if answer else ())
        ),
    )


def _track(plan: Plan | None, facts: AudioFacts | None) -> int | None:
    """Which of a recording's streams of sound was heard; of one sent as it is, with several, nobody knows."""
    if plan is None or facts is None or facts.tracks is None:
        return None
    chosen = facts.tracks == 1 or plan.preparation is not Preparation.AS_IT_IS
    return facts.track if chosen else None


def _moment(mtime_ns: int) -> datetime | None:
    """The file's own date, where it is one a calendar knows."""
    try:
        return datetime.fromtimestamp(mtime_ns / 1e9, tz=UTC)
    except (OverflowError, ValueError, OSError):
        return None
