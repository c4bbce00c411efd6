"""What a recording that is silent throughout comes to: nothing is sent, nothing paid, and it is said so."""

import json
from datetime import datetime, timedelta

from asrwatch.audio.orders import SILENT_BELOW
from asrwatch.journey.evidence import Answer
from asrwatch.journey.plan import AudioFacts, Plan
from asrwatch.journey.transcript import Transcript

__all__ = [
    "KEPT",
    "REASON",
    "answer",
    "is_not_sent",
    "is_planned",
    "is_silence",
    "planned",
    "transcript",
]

REASON = f"not sent: nothing in it is louder than {SILENT_BELOW:g} dB of full scale, or than A-law's silence"
KEPT = "The original stays, as nobody has listened to it: it is silent by our own judgement."
_MARK = "asrwatch"


def is_not_sent(facts: AudioFacts, *, send_silence: bool) -> bool:
    """Whether a recording is silent throughout, and its inbox has no such recordings sent."""
    return facts.silent is True and not send_silence


def planned(plan: Plan) -> Plan:
    """The plan of a silent recording: its own purchase, so that it never stands for one that was asked about."""
    return Plan(
        engine=plan.engine,
        model=plan.model,
        options={_MARK: "silence is not sent"},
        reasons=(*plan.reasons, REASON),
    )


def is_planned(plan: Plan) -> bool:
    """Whether nothing is sent, as the recording, or every channel of it that is wanted, is silent."""
    return _MARK in plan.options


def answer(now: datetime) -> Answer:
    """In the place of the cloud's answer."""
    raw = json.dumps({_MARK: {"no_speech": True, "reason": REASON}}).encode()
    return Answer(raw=raw, received_at=now, billed=timedelta(0))


def is_silence(stored: Answer) -> bool:
    """Whether a stored answer is ours and not the cloud's."""
    return stored.raw.startswith(b'{"asrwatch": {"no_speech": true')


def transcript() -> Transcript:
    """What such an answer says."""
    return Transcript(text="", no_speech=True, billed=timedelta(0))
