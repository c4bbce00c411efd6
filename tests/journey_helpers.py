"""Recordings in every state, made the way the daemon makes them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from asrwatch.errors import RecordingError
from asrwatch.journey.evidence import (
    Answer,
    Asking,
    Delivery,
    Failure,
    Fingerprint,
    Output,
    Reading,
    Staging,
    Task,
)
from asrwatch.journey.gate import Gate
from asrwatch.journey.herald import Wish
from asrwatch.journey.keeper import Keeper
from asrwatch.journey.plan import AudioFacts, Plan
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.store import Store

FINGERPRINT = Fingerprint(device=1, inode=2, size=3, mtime_ns=4)
PLAN = Plan(engine="some-engine", model="some-model", options={"language": "en"}, reasons=("why",))
FACTS = AudioFacts(container="wav", codec="pcm", duration=timedelta(seconds=3), channels=1)
READING = Reading(sha256="ab" * 32, facts=FACTS, plan=PLAN)
STAGING = Staging(ask_id="a" * 32, url="oss://bucket/key")
FAILURE = Failure.of(RecordingError("It broke.", code="broke", advice="Mend it."))


def a_recording(
    state: State,
    now: datetime,
    *,
    path: bytes = b"/inbox/talk.wav",
    sha256: str = READING.sha256,
    ticket: str = "task-1",
) -> Recording:
    """A recording that went all the way to `state`."""
    reading = replace(READING, sha256=sha256)
    settled = Recording.found(inbox="inbox", path=path, fingerprint=FINGERPRINT, now=now)
    staged = settled.read(reading, now=now).stage(STAGING, now=now)
    asking = staged.announce(Asking(asked_at=now, who="test"), now=now)
    submitted = asking.submit(Task(ticket=ticket, submitted_at=now), now=now, due=now)
    answer = Answer(
        raw=b'{"text": "hi"}', received_at=now, billed=timedelta(seconds=3), ticket=ticket
    )
    transcribed = submitted.hear(answer, now=now)
    written = (Output(format="txt", path=path + b".txt", sha256="cd" * 32),)
    delivery = Delivery(delivered_at=now, outputs=written, original=path)
    return {
        State.SETTLED: settled,
        State.CUT: settled.read(reading, now=now).cut_up(Staging(ask_id="c" * 32), now=now),
        State.STAGED: staged,
        State.ASKING: asking,
        State.SUBMITTED: submitted,
        State.TRANSCRIBED: transcribed,
        State.DELIVERED: transcribed.deliver(delivery, now=now),
        State.FAILED: submitted.fail(FAILURE, now=now),
        State.PARKED: submitted.park(FAILURE, now=now),
    }[state]


def a_keeper(store: Store, *, wishes: Sequence[Wish] = (), currency: str = "") -> Keeper:
    """A keeper without routes, of one engine, whom chance never surprises."""
    return Keeper(
        store=store,
        routes={},
        gate=Gate({"some-engine": 100}, (), chance=lambda: 0.5),
        key_digest=lambda: None,
        chance=lambda: 0.5,
        wishes=wishes,
        currency=currency,
    )
