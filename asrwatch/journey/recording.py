"""A recording, its states, and the table of legal moves between them.

A state is named by what is already true and safely on disk (design section 3). Moves are methods that set
exactly their state's evidence and return a new value; an illegal move is our bug and raises.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType

from pydantic import JsonValue

from asrwatch.errors import AsrwatchError, OurBug

__all__ = [
    "DONE",
    "NEXT",
    "SUPERSEDED",
    "UNFINISHED",
    "UNPAID",
    "VANISHED",
    "Answer",
    "Asking",
    "AudioFacts",
    "Cut",
    "Delivery",
    "Failure",
    "Fingerprint",
    "Output",
    "Piece",
    "PieceTold",
    "Plan",
    "Preparation",
    "Prepared",
    "Provenance",
    "Reading",
    "Recording",
    "Sentence",
    "Staging",
    "State",
    "Task",
    "Transcript",
    "Trouble",
    "Wishes",
    "Word",
    "purchase_key",
]


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
class Fingerprint:
    """What `lstat` says of the settled file: device, inode, size in bytes, mtime in nanoseconds."""

    device: int
    inode: int
    size: int
    mtime_ns: int


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioFacts:
    """What the file's own headers tell, and decoding where they do not; `None` is unknown, never zero.

    What follows is only known of what was listened to: `silent` if nobody could hear anything in it, `same_channels`
    if every channel carries the same sound, `silent_channels` those in which nobody could hear anything. `tracks` is
    how many streams of sound there are, `track` the one that everything else is said of; both, like channels, count
    from 0. `decoded` says that the length was counted and not told by headers, `pictures` whether it is a video.
    """

    container: str | None = None
    codec: str | None = None
    duration: timedelta | None = None
    sample_rate: int | None = None
    channels: int | None = None
    silent: bool | None = None
    same_channels: bool | None = None
    silent_channels: tuple[int, ...] = ()
    tracks: int | None = None
    track: int = 0
    decoded: bool = False
    pictures: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Wishes:
    """What is wanted of a transcript: the inbox's keys, or the seed's normalized request.

    Languages are codes of contract section 2.1; channels count from 0; `timestamps` is set where an output
    needs times (subtitles, words). An engine says of each option whether it honours it. `split` wants every channel
    there is, each as a speaker of its own, whatever `channels` says; `speakers` are their names, from the first on.
    """

    language: str | None = None
    language_hints: tuple[str, ...] = ()
    context: str = ""
    words: bool = False
    timestamps: bool = False
    channels: tuple[int, ...] = (0,)
    split: bool = False
    speakers: tuple[str, ...] = ()
    sample_rate: int | None = None
    vocabulary_id: str | None = None
    disfluency_removal: bool | None = None


class Preparation(StrEnum):
    """What is done to the audio before it is sent."""

    AS_IT_IS = "as_it_is"
    RE_ENCODE = "re_encode"
    DIET = "diet"
    """A smaller copy is uploaded; where none can be made, the original."""
    CUT = "cut"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """How a recording is cut: pieces of about `target`, none longer than `longest`.

    A pause is looked for as far as `reach` from where a piece should end; where there is none, the next piece
    begins `overlap` before that. With `cues` every piece is about one stretch of speech, so that its place tells
    when it was said, and pauses between pieces are not sent. `channels` are pieces of their own, counted from 0;
    None mixes all of them into one (or leaves them to an engine that tells channels apart).
    """

    target: timedelta
    longest: timedelta
    reach: timedelta
    overlap: timedelta = timedelta(seconds=2)
    cues: bool = False
    channels: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Which engine gets the recording, how, and why.

    `options` are those that go over the wire and can change the answer; `left_out` names the wishes the
    engine cannot honour, one sentence each; `reasons` explain the choice, in the order they were found; `sends` is
    about how many bytes go up, None where that is the file as it is. `channels` are those that are asked about,
    counted from 0; None in plans of versions that took the inbox's. `cut` says how it is cut where the preparation is
    to cut it.
    """

    engine: str
    model: str
    preparation: Preparation = Preparation.AS_IT_IS
    cut: Cut | None = None
    options: Mapping[str, JsonValue] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    channels: tuple[int, ...] | None = None
    sends: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A copy made fit for the engine: its name in the spool, its container, size in bytes, sha256, length, channels.

    `tracks` is how many streams of sound the recording has; the copy is of one. `missing` is for how long the
    recording holds no sound that could be decoded, where that is worth telling.
    """

    name: str
    container: str
    size: int
    sha256: str
    duration: timedelta
    channels: int
    tracks: int = 1
    missing: timedelta = timedelta(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """One piece of a recording that was cut, which is asked about, paid for and remembered by itself.

    It is a row among the recordings, whose `part_of` is the recording it was cut from; it travels like any other
    and is `delivered` once its answer can be read. When all pieces of a cut are, their transcripts are joined.

    Args:
        number: from 1 to `of`, in the order of `begin`, then `channel`.
        begin: where it lies in the recording, in whole milliseconds; `end` likewise.
        overlap: how much of its beginning the piece before it (of the same channel) ends with, as no pause was
            near; words that both have are joined into one.
        channel: which one it is, counted from 0. None: all mixed into one, or all kept apart for an engine whose
            answer names channels itself. With a channel, every sentence of its transcript gets that channel when
            pieces are joined: `channels: split` on an engine that hears one channel is a `Cut` with `channels`,
            one piece for each of them (times as many as its length needs).
        copy: its audio in the spool.
    """

    number: int
    of: int
    begin: timedelta
    end: timedelta
    overlap: timedelta = timedelta(0)
    channel: int | None = None
    copy: Prepared | None = None

    @property
    def place(self) -> tuple[timedelta, timedelta, int | None]:
        """What is bought with it: from where to where, of which channel."""
        return self.begin, self.end, self.channel


@dataclass(frozen=True, kw_only=True)  # no slots: the purchase is worked out once
class Reading:
    """Evidence of having read the file once from end to end.

    Of a `piece` the facts are its own; the hash is that of the whole file.
    """

    sha256: str
    facts: AudioFacts
    plan: Plan
    piece: Piece | None = None

    @cached_property
    def purchase(self) -> str:
        """What would be bought: same content, engine and options are never paid for twice."""
        return purchase_key(self.sha256, self.plan, self.piece)


@dataclass(frozen=True, kw_only=True, slots=True)
class Staging:
    """Evidence that the engine can reach the audio.

    `url` is None where the bytes go in the request, `prepared` where they are the recording's own. With both, a copy
    was uploaded, and `prepared` tells what it was: it is not in the spool any more. `pieces` are those that it was cut
    into; each of them is a row with its copy in the spool. `missing` is what a recording that was cut lacks.
    """

    ask_id: str
    prepared: Prepared | None = None
    pieces: tuple[Piece, ...] = ()
    url: str | None = None
    url_expires: datetime | None = None
    missing: timedelta = timedelta(0)

    @property
    def lacks(self) -> timedelta:
        """For how long the recording holds no sound that could be decoded, as far as somebody decoded it."""
        return self.prepared.missing if self.prepared else self.missing


@dataclass(frozen=True, kw_only=True, slots=True)
class Asking:
    """Evidence of an announced request: since when, and who sends it (host, process).

    `uptime` is the machine's own clock beside `asked_at`, which may jump. `expected` is how much audio it should
    be billed for, `price` what a second of it costs, None where that is not known.
    """

    asked_at: datetime
    who: str
    uptime: timedelta | None = None
    expected: timedelta | None = None
    price: Decimal | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """Evidence of an accepted task: the cloud's id for it, and since when."""

    ticket: str
    submitted_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The cloud's answer as it came, JSON in UTF-8; kept for ever, read again by the engine at will.

    `billed` is what the answer says was billed, None where it does not say. `id` is 0 until the store has
    given it one.
    """

    raw: bytes
    received_at: datetime
    billed: timedelta | None = None
    ticket: str | None = None
    id: int = field(default=0, compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """A file we wrote: which format, where, and the sha256 of its content when we wrote it."""

    format: str
    path: bytes
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """Evidence that every output is in its place; `original` is where the recording lies now.

    `left_alone` says why the original was not moved or deleted although it should have been; it becomes a
    note of the recording's story. `said` is what was delivered, for the search; None where it is not in hand.
    """

    delivered_at: datetime
    outputs: tuple[Output, ...]
    original: bytes | None
    left_alone: str = ""
    said: "tuple[Sentence, ...] | None" = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why a person must look: class and code for machines, message and advice for people."""

    error: str
    code: str
    message: str
    advice: str

    @classmethod
    def of(cls, error: AsrwatchError) -> "Failure":
        """The failure an error stands for."""
        return cls(
            error=type(error).__name__,
            code=error.code,
            message=error.message,
            advice=error.advice,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """Temporary trouble on the way to an answer: since when, how often, and what it was last.

    What may cost money is counted by itself: `lost` answers (the last of them that of attempt `lost_at`),
    `tasks` that the cloud failed, and `urls` that it could not fetch.
    """

    since: datetime
    count: int
    last: Failure
    lost: int = 0
    lost_at: int = 0
    tasks: int = 0
    urls: int = 0


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """A word: times from the start of the recording, `punctuation` that follows it in the text."""

    begin: timedelta
    end: timedelta
    text: str
    punctuation: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentence:
    """A sentence or, where the engine gives no times, a whole channel's text."""

    text: str
    begin: timedelta | None = None
    end: timedelta | None = None
    channel: int | None = None
    language: str | None = None
    emotion: str | None = None
    speaker: str | None = None
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcript:
    """What was heard, in one shape for every engine.

    `no_speech` marks an engine's finding that nothing was said: the text is then empty.
    `duration` is the recording's length as the engine tells it, where it does. `voices` names the speaker of each
    channel that was asked about as one, by its number; each sentence's `speaker` then says who spoke.
    """

    text: str
    sentences: tuple[Sentence, ...] = ()
    language: str | None = None
    emotion: str | None = None
    no_speech: bool = False
    billed: timedelta | None = None
    duration: timedelta | None = None
    voices: Mapping[int, str] = field(default_factory=dict)

    @property
    def spoken(self) -> tuple[Sentence, ...]:
        """Everything that was said: the sentences or, where there are none, the text as one."""
        return self.sentences or ((Sentence(text=self.text),) if self.text else ())


@dataclass(frozen=True, kw_only=True, slots=True)
class PieceTold:
    """One of the pieces that a transcript was joined from, and what was paid for it."""

    begin: timedelta
    end: timedelta
    channel: int | None
    task_id: str | None
    billed: timedelta | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """Where a transcript comes from: everything the JSON output tells beside the words.

    `raw` is the answer as it came, already parsed; dates are aware, UTC. `facts` are those of the recording;
    `track` is which of its streams of sound was heard, None where the engine chose; `missing` is for how long there is
    no sound in it that could be decoded. `pieces` are there if it was cut.
    """

    source: str
    sha256: str | None
    recorded_at: datetime | None
    duration: timedelta | None
    engine: str
    model: str
    options: Mapping[str, JsonValue]
    left_out: tuple[str, ...]
    region: str
    task_id: str | None
    status: str
    billed: timedelta | None
    asrwatch: str
    found_at: datetime | None
    asked_at: datetime | None
    answered_at: datetime | None
    raw: JsonValue
    facts: AudioFacts | None = None
    track: int | None = None
    missing: timedelta | None = None
    pieces: tuple[PieceTold, ...] = ()


def purchase_key(sha256: str, plan: Plan, piece: Piece | None = None) -> str:
    """Name what would be bought, stable over versions: content, engine, model, options sent, and which piece.

    Args:
        sha256: of the recording's content, in hexadecimal.
        plan: whose engine, model and options decide the answer, and how it is cut; how the audio travels does not.
        piece: of which nothing but its place counts, however the rest of the recording was cut.
    """
    bought: dict[str, JsonValue] = {
        "version": 1,
        "sha256": sha256,
        "engine": plan.engine,
        "model": plan.model,
        "preparation": Preparation.AS_IT_IS.value,  # of the first version, when there was no other
        "options": dict(plan.options),
    }
    if piece is not None:
        bought["piece"] = [
            _milliseconds(piece.begin),
            _milliseconds(piece.end),
            -1 if piece.channel is None else piece.channel,
        ]
    elif plan.cut is not None:
        cut = plan.cut
        bought["cut"] = {
            "target": _milliseconds(cut.target),
            "longest": _milliseconds(cut.longest),
            "cues": cut.cues,
            "channels": list(cut.channels) if cut.channels is not None else None,
        }
    canonical = json.dumps(bought, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _milliseconds(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)
