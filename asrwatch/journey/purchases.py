"""Keeps the same content from being paid for twice."""

from dataclasses import replace
from datetime import datetime, timedelta

from asrwatch.journey.book import Book
from asrwatch.journey.evidence import Failure
from asrwatch.journey.recording import Recording, State
from asrwatch.values import printable

__all__ = ["Purchases"]

SAME_PURCHASE = timedelta(seconds=5)
"""How long a recording waits for another of the same content that is being transcribed."""

_RESTORED = Failure(
    error="AnswerLost",
    code="restored",
    message="The state was restored from a backup that lacks requests made after it; this recording's may be one "
    "of them.",
    advice="Look whether its transcript is there: then `asrwatch forget`; else `asrwatch retry` asks, which may be "
    "paid for a second time.",
)


class Purchases:
    """See the module. Who answers yes has saved what becomes of the recording instead of a request."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def paid_already(self, recording: Recording, now: datetime) -> bool:
        """The same content was transcribed before, with the same engine and options: never buy it again."""
        if recording.reading is None:
            return False
        answer = self._book.store.answer_for(recording.reading.purchase)
        if answer is None:
            return False
        self._book.save(
            recording,
            recording.hear(answer, now=now),
            note="the same content was transcribed before: delivered from that answer, not paid again",
        )
        return True

    def parked_already(self, recording: Recording, purchase: str, now: datetime) -> bool:
        """Whether this content was paid for is already a person's question: a copy does not answer it."""
        other = self._book.store.parked_with(purchase)
        if other is None or self._was_parked(recording):
            return False
        failure = Failure(
            error="AnswerLost",
            code="answer-lost",
            message=f"The same content is parked as {printable(other.path)}: whether it was paid is unknown.",
            advice=f"`asrwatch retry {printable(other.path)}` asks for it again, which may be paid a second "
            "time; after that a retry of this one is delivered from the answer, for nothing.",
        )
        self._book.save(recording, recording.fail(failure, now=now), note=failure.message)
        return True

    def _was_parked(self, recording: Recording) -> bool:
        """Whether a person has decided about this very recording: nothing else leads out of `parked`."""
        return any(event.after is State.PARKED for event in self._book.store.story(recording.id))

    def being_bought(self, recording: Recording, purchase: str, now: datetime) -> bool:
        """Another recording of this content is being transcribed: its answer will do for both."""
        if not self._book.store.being_bought(purchase):
            return False
        self._book.save(recording, replace(recording, due=now + SAME_PURCHASE))
        return True

    def perhaps_asked_before(self, recording: Recording, now: datetime) -> bool:
        """The state is a restored one, and what it lacks may be the request for this recording."""
        if not self._book.store.perhaps_asked_before(recording):
            return False
        self._book.save(recording, recording.fail(_RESTORED, now=now), note=_RESTORED.message)
        return True
