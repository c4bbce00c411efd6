"""A recording, its states, and the table of legal moves between them.

A state is named by what is already true and safely on disk (design section 3). Moves are methods that set
exactly their state's evidence and return a new value; an illegal move is our bug and raises.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from asrwatch.errors import OurBug
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
    Trouble,
)
from asrwatch.journey.plan import Piece

__all__ = ["DONE", "NEXT", "SUPERSEDED", "UNFINISHED", "UNPAID", "VANISHED", "Recording", "State"]


class State(StrEnum):
    """What is already true of a recording, and on disk."""

    SETTLED = "settled"
    CUT = "cut"
    STAGED = "staged"
    ASKING = "asking"
    SUBMITTED = "submitted"
    TRANSCRIBED = "transcribed"
    DELIVERED = "delivered"
    FAILED = "failed"
    PARKED = "parked"


NEXT: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        # read (stays settled, with sha256 and plan), published, or found among the answers paid already
        State.SETTLED: frozenset(
            {State.SETTLED, State.CUT, State.STAGED, State.TRANSCRIBED, State.FAILED}
        ),
        # its last piece was heard, the file is no longer what it was, or a piece waits for a person
        State.CUT: frozenset({State.SETTLED, State.TRANSCRIBED, State.FAILED, State.PARKED}),
        # announced; or the file or its URL is no longer what it was
        State.STAGED: frozenset({State.ASKING, State.SETTLED, State.TRANSCRIBED, State.FAILED}),
        # accepted, answered, refused (staged or settled again), lost
        State.ASKING: frozenset(
            {
                State.SUBMITTED,
                State.TRANSCRIBED,
                State.STAGED,
                State.SETTLED,
                State.FAILED,
                State.PARKED,
            }
        ),
        # finished, refused for its URL or size (settled again), forgotten by the cloud
        State.SUBMITTED: frozenset({State.TRANSCRIBED, State.SETTLED, State.FAILED, State.PARKED}),
        State.TRANSCRIBED: frozenset({State.DELIVERED, State.FAILED}),
        # `retry` delivers the stored answer once more, for nothing
        # another engine was asked for by name: from the file on
        State.DELIVERED: frozenset({State.TRANSCRIBED, State.SETTLED}),
        # `retry`, or the file changed; with an answer in hand only the delivery is repeated
        State.FAILED: frozenset({State.SETTLED, State.TRANSCRIBED}),
        # `retry`: the answer on the disk is read again, or a person said it may be paid again
        State.PARKED: frozenset({State.SETTLED, State.ASKING}),
    }
)

SUPERSEDED = "superseded"
"""The code of a recording whose answer is for content that its file no longer has; what the file has now is
another recording, even if `lstat` says the same of both."""

VANISHED = "vanished"
"""The code of a recording whose file was gone before anything was paid: with the file back, it goes on."""

UNPAID = frozenset({State.SETTLED, State.STAGED})
"""Nothing was asked for these, or what was asked is known to have cost nothing."""

DONE = frozenset({State.DELIVERED, State.FAILED, State.PARKED})
"""Nothing happens to these by themselves any more."""

UNFINISHED = frozenset(State) - DONE

_KEEPS_TROUBLE = frozenset({State.SETTLED, State.CUT, State.STAGED, State.ASKING, State.SUBMITTED})
"""Until an answer is in hand, patience counts from the first trouble."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """A file in an inbox and everything that is true of it. Immutable: every move returns a new value.

    `id` is 0 until the store has given it one. `due` is the date before which nothing is to be done.
    `attempts` counts paid requests announced, before they are made. `engine_wanted` is one that a person asked
    for by name, whatever the inbox says. `part_of` is the id of the recording that this is a piece of (see
    `Piece`); None of all that people dropped.
    """

    inbox: str
    path: bytes
    fingerprint: Fingerprint
    found_at: datetime
    changed_at: datetime
    due: datetime
    id: int = 0
    part_of: int | None = None
    state: State = State.SETTLED
    attempts: int = 0
    engines_refused: tuple[str, ...] = ()
    engine_wanted: str | None = None
    trouble: Trouble | None = None
    reading: Reading | None = None
    staging: Staging | None = None
    asking: Asking | None = None
    task: Task | None = None
    answer: Answer | None = None
    outputs: tuple[Output, ...] = ()
    delivery: Delivery | None = None
    failure: Failure | None = None

    def __post_init__(self) -> None:
        for moment in (self.found_at, self.changed_at, self.due):
            if moment.utcoffset() is None:
                msg = f"a naive date in a recording: {moment!r}"
                raise OurBug(msg)

    @classmethod
    def found(
        cls, *, inbox: str, path: bytes, fingerprint: Fingerprint, now: datetime
    ) -> "Recording":
        """A file that has stopped changing."""
        return cls(
            inbox=inbox,
            path=path,
            fingerprint=fingerprint,
            found_at=now,
            changed_at=now,
            due=now,
        )

    @property
    def piece(self) -> Piece | None:
        """Which piece of its recording it is; None of a whole one."""
        return self.reading.piece if self.reading else None

    # Moves, in travel order.

    def read(self, reading: Reading, *, now: datetime) -> "Recording":
        """The content was read once, and where it goes is decided."""
        return self._to(State.SETTLED, now, reading=reading)

    def cut_up(self, staging: Staging, *, now: datetime) -> "Recording":
        """It was cut; its pieces are on their way, and it waits for them."""
        return self._to(State.CUT, now, staging=staging)

    def stage(self, staging: Staging, *, now: datetime) -> "Recording":
        """The engine can reach the audio."""
        return self._to(State.STAGED, now, staging=staging)

    def announce(self, asking: Asking, *, now: datetime) -> "Recording":
        """From here on a paid request may be on its way; the attempt is counted first."""
        moved = self._to(State.ASKING, now, asking=asking)
        return replace(moved, attempts=self.attempts + 1)

    def submit(self, task: Task, *, now: datetime, due: datetime) -> "Recording":
        """The cloud accepted the recording as a task."""
        return replace(self._to(State.SUBMITTED, now, task=task), due=due)

    def hear(self, answer: Answer, *, now: datetime) -> "Recording":
        """We hold the raw answer."""
        return self._to(State.TRANSCRIBED, now, answer=answer)

    def deliver(self, delivery: Delivery, *, now: datetime) -> "Recording":
        """Every output is in its place and the original is dealt with."""
        moved = self._to(State.DELIVERED, now, delivery=delivery)
        return replace(moved, outputs=delivery.outputs)

    def fail(self, failure: Failure, *, now: datetime) -> "Recording":
        """A person must look at the recording."""
        return self._to(State.FAILED, now, failure=failure)

    def park(self, failure: Failure, *, now: datetime) -> "Recording":
        """A person must decide about money."""
        return self._to(State.PARKED, now, failure=failure)

    # Moves back, and staying.

    def unsend(self, *, now: datetime, due: datetime) -> "Recording":
        """The request was certainly not accepted: it may be announced again when due."""
        moved = self._to(State.STAGED, now, staging=self.staging)
        return replace(moved, due=due)

    def resettle(
        self,
        *,
        now: datetime,
        fingerprint: Fingerprint | None = None,
        refused_by: str | None = None,
        due: datetime | None = None,
    ) -> "Recording":
        """Start over from the file: its content or URL changed, or an engine refused it.

        Trouble is kept, since patience counts from its beginning, unless the file is another one.
        """
        refused = (*self.engines_refused, refused_by) if refused_by else self.engines_refused
        moved = self._to(State.SETTLED, now)
        return replace(
            moved,
            due=due or now,
            fingerprint=fingerprint or self.fingerprint,
            engines_refused=() if fingerprint else refused,
            engine_wanted=None if fingerprint else self.engine_wanted,
            trouble=None if fingerprint else self.trouble,
        )

    def retry(self, *, now: datetime) -> "Recording":
        """A person says: again. An answer in hand is delivered again; otherwise from the file on."""
        if self.answer is not None and self.state in {State.FAILED, State.DELIVERED}:
            return replace(self._to(State.TRANSCRIBED, now, answer=self.answer), trouble=None)
        moved = self._to(State.SETTLED, now)
        return replace(moved, trouble=None, attempts=0, engines_refused=())

    def ask_another(self, engine: str, *, now: datetime) -> "Recording":
        """A person says: from the file on, with this engine, whatever the inbox says."""
        moved = self._to(State.SETTLED, now)
        return replace(moved, trouble=None, attempts=0, engines_refused=(), engine_wanted=engine)

    def recall(self, *, now: datetime) -> "Recording":
        """A person says: again, and what was answered lies on the disk: it is looked at, nothing is asked."""
        moved = self._to(State.ASKING, now)
        if self.failure is None:
            return moved
        told = Trouble(since=now, count=1, last=self.failure, lost=1, lost_at=self.attempts)
        return replace(moved, trouble=told)

    def refreshed(self, fingerprint: Fingerprint) -> "Recording":
        """The same content under a new fingerprint: a remount, a touch."""
        return replace(self, fingerprint=fingerprint)

    def postpone(self, trouble: Trouble | None, *, due: datetime) -> "Recording":
        """The same state, later."""
        return replace(self, trouble=trouble, due=due)

    def owning(self, outputs: tuple[Output, ...]) -> "Recording":
        """Remember where outputs go before the first of them is written."""
        return replace(self, outputs=outputs)

    def _to(
        self,
        state: State,
        now: datetime,
        *,
        reading: Reading | None = None,
        staging: Staging | None = None,
        asking: Asking | None = None,
        task: Task | None = None,
        answer: Answer | None = None,
        delivery: Delivery | None = None,
        failure: Failure | None = None,
    ) -> "Recording":
        """Move: evidence of earlier states stays as far as `state` still rests on it."""
        if state not in NEXT[self.state]:
            msg = f"recording {self.id} cannot go from {self.state} to {state}"
            raise OurBug(msg)
        start_over = state is State.SETTLED and self.part_of is None
        keep_staging = state in {State.ASKING, State.SUBMITTED, State.TRANSCRIBED, State.PARKED}
        return replace(
            self,
            state=state,
            changed_at=now,
            due=now,
            trouble=self.trouble if state in _KEEPS_TROUBLE else None,
            reading=reading or (None if start_over else self.reading),
            staging=staging or (self.staging if keep_staging or failure or delivery else None),
            asking=asking or (self.asking if state not in {State.SETTLED, State.STAGED} else None),
            task=task
            or (self.task if state not in {State.SETTLED, State.STAGED, State.ASKING} else None),
            answer=answer or (self.answer if state in {State.DELIVERED, State.FAILED} else None),
            delivery=delivery,
            failure=failure,
        )
