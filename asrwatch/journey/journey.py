"""One recording's journey on one page: one match, one short function per step, in travel order.

`advance` takes a recording, does one thing to the world and returns the recording that is now true; the
daemon saves it before it asks for the next step. A crash therefore repeats at most the step under way, and
every step may be repeated. `ask` is the only step that costs money, and runs only after `announce` was saved.
"""

import os
import random
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, BinaryIO, TypeVar, assert_never
from uuid import uuid4

from asrwatch import logs
from asrwatch.audio import quiet
from asrwatch.audio.containers import extension_of, mime_of
from asrwatch.audio.cutting import Stretch
from asrwatch.audio.diet import Diet, Upload, judge
from asrwatch.audio.facts import probe
from asrwatch.audio.orders import Codec
from asrwatch.audio.studio import INSTALL_CODECS, WITHOUT_CODECS
from asrwatch.clock import utc_now
from asrwatch.crash import crash_point
from asrwatch.engines import (
    Ask,
    Engine,
    Found,
    Heard,
    LocalAudio,
    NotThere,
    Pending,
    RemoteAudio,
    StillOut,
)
from asrwatch.errors import (
    AnswerLost,
    AsrwatchError,
    EngineError,
    OurBug,
    RecordingError,
    SourceChanged,
    TemporaryError,
    TooLargeToUpload,
)
from asrwatch.files import check_unchanged, hash_whole, sweep
from asrwatch.formats import Format
from asrwatch.heartbeats import vital
from asrwatch.inbox.presence import Presence
from asrwatch.journey import admission, channels, delivery, joining, silence, source
from asrwatch.journey.away import patient
from asrwatch.journey.cost import expected_bill
from asrwatch.journey.dispatch import Candidate, Question, choose, decoded_size
from asrwatch.journey.preparing import CODECS, CutOrder, Preparer
from asrwatch.journey.provenance import provenance_of
from asrwatch.journey.recording import (
    Answer,
    Asking,
    AudioFacts,
    Delivery,
    Failure,
    Piece,
    Plan,
    Preparation,
    Prepared,
    Reading,
    Recording,
    Staging,
    State,
    Task,
    Transcript,
    Wishes,
)
from asrwatch.journey.spool import UNREADABLE
from asrwatch.journey.trouble import ASKED_AGAIN, one_more_lost
from asrwatch.journey.watched import Watched
from asrwatch.storages import Published, Source, Storage
from asrwatch.values import printable

__all__ = [
    "Route",
    "advance",
    "announce",
    "answered",
    "ask",
    "awaits_its_answer",
    "candidate_of",
    "discard",
    "facts_of",
    "heard",
    "is_ours",
    "plan_for",
    "send",
    "sweep_spool",
    "tidy_up",
    "transcript_of",
    "utc_now",
]

log = logs.get("journey")

Clock = Callable[[], datetime]

WHO = f"{socket.gethostname()}/{os.getpid()}/{random.getrandbits(32):08x}"
"""Names this run of this process, so that a row left by another is known for one."""

_NEED_CODECS = frozenset({Preparation.RE_ENCODE, Preparation.CUT})

RECONCILE_AGAIN = timedelta(seconds=30)

SEVERAL_TRACKS = frozenset({"mp4", "mkv", "webm", "avi", "asf", "flv", "mpeg", "mpegts", "ogg"})
"""Containers that may hold more than one stream of sound, which their headers are not asked about."""

SAME_CLOCK = timedelta(minutes=1)
"""Two clocks that differ by no more than this tell the same time of a request."""

ValueT = TypeVar("ValueT")


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """Everything an inbox's recordings need on their way, as objects.

    `engine` is None for automatic choice; `park_unknown` parks a sync answer lost in a crash instead of
    asking again; without a `preparer` recordings are sent as they are or not at all, and nobody knows
    which are silent; those are sent only with `send_silence`. `diet` says whether smaller copies are uploaded.
    `presence` tells a file that
    is gone from one whose share is away. `care` is None for files a person names himself; `rest_within` is how long
    a file that is not whole may wait for its rest; `cut` is the length of the pieces that recordings are to be cut
    into, None cuts only what is too long. What is longer than `longest` is refused. With
    `error_notes` a note lies where a transcript is missing; a folder that holds `skip_marker` is left alone.
    """

    inbox: str
    region: str
    wishes: Wishes
    engine: str | None
    engines: Mapping[str, Engine[Any]]
    storage: Storage[Any]
    formats: Mapping[str, Format[Any]]
    rules: delivery.Rules
    patience: timedelta
    park_unknown: bool
    preparer: Preparer | None = None
    send_silence: bool = True
    diet: Diet = Diet.OFF
    presence: Presence | None = None
    care: source.Care | None = None
    error_notes: bool = False
    skip_marker: str | None = None
    rest_within: timedelta = timedelta(hours=1)
    longest: timedelta | None = None
    cut: timedelta | None = None

    def question(
        self,
        facts: AudioFacts,
        size: int | None,
        *,
        engine: str | None = None,
        refused: tuple[str, ...] = (),
    ) -> Question:
        """What the dispatcher is asked about audio with these facts and bytes.

        Args:
            facts: as far as they are known.
            size: in bytes; None where nobody has measured them.
            engine: the one that is meant, instead of the inbox's own choice.
            refused: engines that refused this audio before.
        """
        return Question(
            facts=facts,
            size=size,
            wishes=self.wishes,
            region=self.region,
            engine=engine or self.engine,
            refused=refused,
            cut=self.cut,
        )


def advance(
    recording: Recording,
    route: Route,
    *,
    clock: Clock,
    known: frozenset[str] = frozenset(),
    places: Sequence[Stretch] = (),
) -> Recording:
    """Take the one step that is next, and return what is then true.

    Args:
        recording: due, and in no other worker's hands.
        route: of the recording's inbox.
        clock: tells the date of what has become true, when it has; aware, UTC.
        known: tickets that belong to other recordings (reconciling needs them).
        places: where the same content was cut before: it is cut there again.

    Raises:
        AsrwatchError: what the daemon does next is in the class (see `journey.trouble`).
    """
    match recording.state:
        case State.SETTLED:
            _must_not_be_skipped(recording, route)
            with patient(recording, route.presence):
                if recording.reading is None:
                    return _read(recording, route, clock)
                return _stage(recording, route, clock, places)
        case State.ASKING:
            return _reconcile(recording, route, clock, known)
        case State.TRANSCRIBED if recording.piece is not None:
            return _understand(recording, route, clock)
        case State.TRANSCRIBED:
            with patient(recording, route.presence):
                return _deliver(recording, route, clock)
        case (
            State.CUT
            | State.STAGED
            | State.SUBMITTED
            | State.DELIVERED
            | State.FAILED
            | State.PARKED
        ):
            msg = f"no worker's step leads out of {recording.state}"
            raise OurBug(msg)
        case _:
            assert_never(recording.state)


def _must_not_be_skipped(recording: Recording, route: Route) -> None:
    """A piece is asked about all the same: others of its recording may be paid for already."""
    if recording.piece is None:
        source.must_not_be_skipped(recording, route.care, route.skip_marker)


def _read(recording: Recording, route: Route, clock: Clock) -> Recording:
    """Read the whole file once: what it contains, what it is, where it goes."""
    care = route.care
    with source.opened(recording, care, fingerprint=recording.fingerprint) as stream:
        source.check_arrived(stream, recording.path, care)
        facts = facts_of(stream, recording.path, route)
        sha256 = hash_whole(stream)
        root = care.root if care else None
        check_unchanged(stream, recording.path, recording.fingerprint, root=root)
    crash_point("read")
    question = route.question(
        facts,
        recording.fingerprint.size,
        engine=recording.engine_wanted,
        refused=recording.engines_refused,
    )
    read = recording.read(
        Reading(sha256=sha256, facts=facts, plan=plan_for(question, route)), now=clock()
    )
    crash_point("planned")
    if silence.is_planned(_evidence(read.reading).plan):
        return read.hear(silence.answer(clock()), now=clock())
    return _stage(read, route, clock) if _is_ready(read, route) else read


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
        return preparer.listen(stream, facts)
    if route.send_silence and facts.container not in SEVERAL_TRACKS:
        return facts
    silent = quiet.is_silent(stream, facts)
    if silent is not None:
        return replace(facts, silent=silent)
    return preparer.until_sound(stream, facts)


def _is_ready(recording: Recording, route: Route) -> bool:
    """Whether it can be asked about as it lies there."""
    as_it_is = _evidence(recording.reading).plan.preparation is Preparation.AS_IT_IS
    return as_it_is and not _needs_url(recording, route)


def _stage(
    recording: Recording, route: Route, clock: Clock, places: Sequence[Stretch] = ()
) -> Recording:
    """Make the audio reachable: re-encode it, cut it, upload it, or neither."""
    reading = _evidence(recording.reading)
    ask_id = uuid4().hex
    if reading.piece is not None:
        return recording.stage(_stage_piece(recording, route, reading.piece, ask_id), now=clock())
    if reading.plan.preparation in _NEED_CODECS and not _can_encode(route):
        raise RecordingError(WITHOUT_CODECS, code="no-codecs", advice=INSTALL_CODECS)
    try:
        match reading.plan.preparation:
            case Preparation.AS_IT_IS:
                staging = Staging(ask_id=ask_id)
                if _needs_url(recording, route):
                    staging = _publish(recording, route, staging)
            case Preparation.RE_ENCODE:
                staging = _prepare(recording, route, ask_id)
            case Preparation.DIET:
                staging = _on_diet(recording, route, ask_id)
            case Preparation.CUT:
                return recording.cut_up(_cut(recording, route, ask_id, places), now=clock())
            case _:
                assert_never(reading.plan.preparation)
    except TooLargeToUpload as error:
        if not _can_encode(route) or not route.storage.copies:
            raise
        staging = _prepare(recording, route, ask_id, largest=error.largest)
    if staging.url is not None:
        crash_point("published")
    return recording.stage(staging, now=clock())


def _on_diet(recording: Recording, route: Route, ask_id: str) -> Staging:
    """Upload a smaller copy; where none can be made, or it is none, the original."""
    codec, prepared = route.diet.codec, None
    if codec is not None and _can_encode(route) and route.storage.streams:
        staging = _published_growing(recording, route, ask_id, codec)
        if staging is not None:
            return staging
    elif codec is not None and _can_encode(route):
        try:
            prepared = _copied(recording, route, ask_id, codecs=(codec,), every_sample=True)
        except (RecordingError, TemporaryError) as error:
            if error.code == "no-such-channel":
                raise
            log.info("no-smaller-copy", file=printable(recording.path), reason=error.message)
    if prepared is not None and prepared.size < recording.fingerprint.size:
        return _publish_copy(recording, route, ask_id, prepared)
    if prepared is not None:
        _evidence(route.preparer).discard(prepared)
    return _publish(recording, route, Staging(ask_id=ask_id))


def _published_growing(
    recording: Recording, route: Route, ask_id: str, codec: Codec
) -> Staging | None:
    """Upload the copy while it is being made; None where it cannot be made."""
    reading, preparer = _evidence(recording.reading), _evidence(route.preparer)
    begun = time.monotonic()
    with source.opened(recording, route.care, fingerprint=recording.fingerprint) as stream:
        kept = _channels_kept(recording, route)
        with preparer.growing(stream, reading.facts, channels=kept, codec=codec) as growing:
            try:
                published = route.storage.publish_stream(
                    growing,
                    extension=codec.extension,
                    mime=mime_of(codec.container, os.fsencode(f"a.{codec.extension}")),
                    ask_id=ask_id,
                    model=reading.plan.model,
                )
            except AsrwatchError:
                failure = growing.failure
                if failure is None or failure.code == "no-such-channel":
                    raise
                log.info("no-smaller-copy", file=printable(recording.path), reason=failure.message)
                return None
            took = timedelta(seconds=time.monotonic() - begun - growing.waited)
            preparer.meter.uploaded(growing.size, took=took)
            name = f"{ask_id}.{codec.extension}"
            prepared = preparer.grown(growing, reading.facts, name, codec)
        _check_prepared(stream, recording, route, (prepared,))
    return Staging(
        ask_id=ask_id, prepared=prepared, url=published.url, url_expires=published.expires
    )


def _prepare(
    recording: Recording, route: Route, ask_id: str, *, largest: int | None = None
) -> Staging:
    """Re-encode; where the engine takes bytes the copy stays in the spool until it was heard."""
    prepared = _copied(recording, route, ask_id, largest=largest)
    if route.engines[_evidence(recording.reading).plan.engine].takes_bytes:
        return Staging(ask_id=ask_id, prepared=prepared)
    return _publish_copy(recording, route, ask_id, prepared)


def _copied(
    recording: Recording,
    route: Route,
    ask_id: str,
    *,
    codecs: Sequence[Codec] = CODECS,
    largest: int | None = None,
    every_sample: bool = False,
) -> Prepared:
    """A re-encoded copy in the spool, of the content that was read."""
    reading, preparer = _evidence(recording.reading), _evidence(route.preparer)
    engine = route.engines[reading.plan.engine]
    fits = _most_bytes(engine)
    with source.opened(recording, route.care, fingerprint=recording.fingerprint) as stream:
        prepared = preparer.re_encode(
            stream,
            reading.facts,
            name=ask_id,
            channels=_channels_kept(recording, route),
            largest=fits if largest is None else min(fits, largest),
            codecs=codecs,
            every_sample=every_sample,
        )
        _check_prepared(stream, recording, route, (prepared,))
    return prepared


def _cut(recording: Recording, route: Route, ask_id: str, places: Sequence[Stretch]) -> Staging:
    """Cut it; the copies of its pieces stay in the spool until each was heard."""
    reading, preparer = _evidence(recording.reading), _evidence(route.preparer)
    engine, how = route.engines[reading.plan.engine], _evidence(reading.plan.cut)
    with source.opened(recording, route.care, fingerprint=recording.fingerprint) as stream:
        order = CutOrder(
            how=how,
            name=ask_id,
            channels=_channels_kept(recording, route),
            largest=_most_bytes(engine),
            places=tuple(places),
        )
        pieces, missing = preparer.cut(stream, reading.facts, order)
        _check_prepared(stream, recording, route, [piece.copy for piece in pieces if piece.copy])
    return Staging(ask_id=ask_id, pieces=pieces, missing=missing)


def _stage_piece(recording: Recording, route: Route, piece: Piece, ask_id: str) -> Staging:
    """A piece's copy goes in the request, or is uploaded; made smaller where the storage takes no file of its size."""
    reading, copy = _evidence(recording.reading), _evidence(piece.copy)
    if route.engines[reading.plan.engine].takes_bytes:
        return Staging(ask_id=ask_id, prepared=copy)
    with source.opened(recording, route.care, fingerprint=recording.fingerprint):
        try:
            staging = _published_copy(recording, route, ask_id, copy)
        except TooLargeToUpload as error:
            preparer = _evidence(route.preparer)
            with preparer.open(copy) as stream:
                smaller = preparer.re_encode(
                    stream,
                    reading.facts,
                    name=ask_id,
                    channels=tuple(range(copy.channels)) if copy.channels > 1 else None,
                    largest=error.largest,
                )
            staging = _publish_copy(recording, route, ask_id, smaller)
    crash_point("piece-published")
    return staging


def _check_prepared(
    stream: BinaryIO, recording: Recording, route: Route, copies: Sequence[Prepared]
) -> None:
    """What was prepared must be of what was read when the purchase was decided; else it goes at once."""
    root = route.care.root if route.care else None
    try:
        check_unchanged(stream, recording.path, recording.fingerprint, root=root)
        if hash_whole(stream) != _evidence(recording.reading).sha256:
            raise SourceChanged(
                "The file changed while it was being re-encoded.",
                code="changed-while-prepared",
                advice="It is taken up again once it has settled.",
            )
    except AsrwatchError:
        for prepared in copies:
            _evidence(route.preparer).discard(prepared)
        raise


def _channels_kept(recording: Recording, route: Route) -> tuple[int, ...] | None:
    """The channels of a copy for an engine that tells them apart; None mixes them."""
    if not route.engines[_evidence(recording.reading).plan.engine].channels:
        return None
    return tuple(range(max(_wishes(recording, route).channels) + 1))


def _most_bytes(engine: Engine[Any]) -> int:
    largest = engine.options.largest
    return decoded_size(largest) if engine.base64 else largest


def _publish_copy(recording: Recording, route: Route, ask_id: str, prepared: Prepared) -> Staging:
    """Upload the copy, and remove it: afterwards nobody needs it here."""
    try:
        return _published_copy(recording, route, ask_id, prepared)
    finally:
        _evidence(route.preparer).discard(prepared)


def _published_copy(recording: Recording, route: Route, ask_id: str, prepared: Prepared) -> Staging:
    """Upload the copy; it stays in the spool, too."""
    with _evidence(route.preparer).open(prepared) as stream:
        published = _timed_publish(
            route,
            Source(
                path=recording.path,
                stream=stream,
                size=prepared.size,
                extension=extension_of(prepared.container, os.fsencode(prepared.name)),
                mime=mime_of(prepared.container, os.fsencode(prepared.name)),
            ),
            ask_id=ask_id,
            model=_evidence(recording.reading).plan.model,
        )
    return Staging(
        ask_id=ask_id, prepared=prepared, url=published.url, url_expires=published.expires
    )


def _publish(recording: Recording, route: Route, staging: Staging) -> Staging:
    """Upload it as it is."""
    reading = _evidence(recording.reading)
    with source.opened(recording, route.care, fingerprint=recording.fingerprint) as stream:
        watched = Watched(stream)
        published = _timed_publish(
            route,
            Source(
                path=recording.path,
                stream=watched,
                size=recording.fingerprint.size,
                extension=extension_of(reading.facts.container, recording.path),
                mime=mime_of(reading.facts.container, recording.path),
            ),
            ask_id=staging.ask_id,
            model=reading.plan.model,
        )
        source.check_sent(watched, stream, recording, route.care)
    return replace(staging, url=published.url, url_expires=published.expires)


def _timed_publish(route: Route, file: Source, *, ask_id: str, model: str) -> Published:
    """Publish, and learn how quick the uplink is where something is uploaded."""
    begun = time.monotonic()
    published = route.storage.publish(file, ask_id=ask_id, model=model)
    if route.storage.copies and route.preparer is not None:
        took = timedelta(seconds=time.monotonic() - begun)
        route.preparer.meter.uploaded(file.size, took=took)
    return published


def _can_encode(route: Route) -> bool:
    return route.preparer is not None and route.preparer.can_encode


def announce(recording: Recording, route: Route, *, now: datetime) -> Recording:
    """Say that a paid request is about to be made, and what it should cost. The daemon saves this before `ask`."""
    reading = _evidence(recording.reading)
    engine = route.engines[reading.plan.engine]
    asking = Asking(
        asked_at=now,
        who=WHO,
        uptime=_uptime(),
        expected=expected_bill(
            reading.facts,
            recording.fingerprint.size,
            longest=engine.options.longest,
            channels=engine.billed_channels(_wishes(recording, route)),
        ),
        price=engine.price_per_second,
    )
    return recording.announce(asking, now=now)


def _uptime() -> timedelta:
    return timedelta(seconds=time.clock_gettime(time.CLOCK_BOOTTIME))


def _is_of_this_clock(asking: Asking, now: datetime) -> bool:
    """Whether as much time went by since then by the wall's clock as by the machine's own, which nobody sets.

    After another boot it did not, and whether the wall's clock was right before, nobody can tell.
    """
    if asking.uptime is None:
        return False
    return abs((now - asking.asked_at) - (_uptime() - asking.uptime)) <= SAME_CLOCK


def is_ours(recording: Recording) -> bool:
    """Whether the request was announced by this run, and not by one that ended."""
    return recording.asking is not None and recording.asking.who == WHO


def awaits_its_answer(recording: Recording) -> bool:
    """Whether its paid request was made by this run, and nothing was heard of it yet, not even that it is lost."""
    trouble = recording.trouble
    told = trouble is not None and trouble.lost_at == recording.attempts
    return recording.state is State.ASKING and is_ours(recording) and not told


def ask(recording: Recording, route: Route, *, clock: Clock) -> Recording:
    """Make the paid request that was announced. Only the request itself lies inside the window.

    Raises:
        AnswerLost: it may have been accepted; every other error says that it was not.
    """
    _must_not_be_skipped(recording, route)
    crash_point("before-request")
    with patient(recording, route.presence):
        outcome = send(recording, route)
    crash_point("after-request")
    return answered(recording, outcome, now=clock())


def send(recording: Recording, route: Route) -> Heard | Pending:
    """The request alone, as `ask` makes it."""
    reading, staging = _evidence(recording.reading), _evidence(recording.staging)
    engine = route.engines[reading.plan.engine]
    if staging.url is not None:
        return _start(engine, staging, RemoteAudio(url=staging.url), _wishes(recording, route))
    if staging.prepared is not None:
        return _send_prepared(recording, route, staging.prepared)
    with source.opened(recording, route.care, fingerprint=recording.fingerprint) as stream:
        watched = Watched(stream)
        local = LocalAudio(
            stream=watched,
            size=recording.fingerprint.size,
            mime=mime_of(reading.facts.container, recording.path),
        )
        heard = _start(engine, staging, local, _wishes(recording, route))
        if watched.all_read and watched.digest != reading.sha256:
            raise SourceChanged(
                "The file changed while it was being sent; what was answered is not about it.",
                code="changed-while-sent",
                advice="It is taken up again once it has settled.",
            )
    return heard


def _send_prepared(recording: Recording, route: Route, prepared: Prepared) -> Heard | Pending:
    """Send the copy, provided that the recording is still the one that it was made of."""
    reading, staging = _evidence(recording.reading), _evidence(recording.staging)
    with (
        source.opened(recording, route.care, fingerprint=recording.fingerprint),
        _evidence(route.preparer).open(prepared) as stream,
    ):
        local = LocalAudio(
            stream=stream,
            size=prepared.size,
            mime=mime_of(prepared.container, os.fsencode(prepared.name)),
        )
        wishes = _wishes(recording, route)
        return _start(route.engines[reading.plan.engine], staging, local, wishes)


def _start(
    engine: Engine[Any], staging: Staging, audio: LocalAudio | RemoteAudio, wishes: Wishes
) -> Heard | Pending:
    with vital():
        return engine.start(Ask(id=staging.ask_id, audio=audio, wishes=wishes))


def _wishes(recording: Recording, route: Route) -> Wishes:
    """What is wanted of this recording: of its channels, those that its plan chose."""
    return channels.wished(route.wishes, _evidence(recording.reading).plan)


def answered(recording: Recording, outcome: Heard | Pending, *, now: datetime) -> Recording:
    """What is true once the request came back: heard, or accepted as a task."""
    match outcome:
        case Heard(answer=answer):
            return recording.hear(answer, now=now)
        case Pending(ticket=ticket, wait=wait):
            task = Task(ticket=ticket, submitted_at=now)
            return recording.submit(task, now=now, due=now + wait)
        case _:
            assert_never(outcome)


def _reconcile(
    recording: Recording, route: Route, clock: Clock, known: frozenset[str]
) -> Recording:
    """Find out what became of a request whose answer was lost, without paying for it again unasked.

    Raises:
        AnswerLost: still unknown, as the cloud could not be asked.
        TicketLost: nobody can tell any more.
    """
    reading, staging = _evidence(recording.reading), _evidence(recording.staging)
    asking = _evidence(recording.asking)
    engine = route.engines[reading.plan.engine]
    crash_point("reconciling")
    recalled = _recalled(engine, staging.ask_id)
    if recalled is not None:
        return answered(recording, recalled, now=clock())
    if not engine.tasks:
        trouble = recording.trouble
        if trouble is None or trouble.lost_at != recording.attempts:
            # nobody lived to tell: a request that kills asrwatch must not be paid for at every start
            trouble = one_more_lost(recording, UNKNOWN_ANSWER, now=clock())
        if route.park_unknown or trouble.lost >= ASKED_AGAIN:
            return recording.park(UNKNOWN_ANSWER, now=clock())
        return recording.unsend(now=clock(), due=clock()).postpone(trouble, due=clock())
    try:
        outcome = engine.reconcile(
            staging.ask_id,
            since=asking.asked_at,
            sure=_is_of_this_clock(asking, clock()),
            known=known,
            url=staging.url,
        )
    except (EngineError, TemporaryError) as error:
        # of a request these say "not accepted"; of the question what became of one they say nothing
        raise AnswerLost(
            f"What became of a paid request cannot be found out now: {error.message}",
            code=error.code,
            advice=error.advice,
        ) from error
    crash_point("reconciled")
    match outcome:
        case Found(ticket=ticket):
            task = Task(ticket=ticket, submitted_at=min(asking.asked_at, clock()))
            return recording.submit(task, now=clock(), due=clock())
        case NotThere():
            return recording.unsend(now=clock(), due=clock())
        case StillOut():
            return replace(recording, due=clock() + RECONCILE_AGAIN)
        case _:
            assert_never(outcome)


def _recalled(engine: Engine[Any], ask_id: str) -> Heard | Pending | None:
    """The answer that came before a crash, or that a fault of ours kept from being read, if it was kept.

    Raises:
        AsrwatchError: what the answer means, as for `ask`; or it cannot be read now.
    """
    try:
        return engine.recall(ask_id)
    except AnswerLost as lost:
        if lost.code == UNREADABLE:
            raise
        return None  # what was kept is no whole answer


def _deliver(recording: Recording, route: Route, clock: Clock) -> Recording:
    """Render the stored answer in every format, put the files in place, then deal with the original."""
    answer = _evidence(recording.answer)
    source.check_still_current(recording, route.care, route.presence)
    transcript = heard(recording, route)
    provenance = provenance_of(recording, transcript, region=route.region)
    rendered = tuple(
        delivery.Rendered.of(name, part.render(transcript, provenance))
        for name, part in route.formats.items()
    )
    discard(recording, route)  # what was heard is heard
    crash_point("rendered")
    outputs = delivery.write(recording, route.rules, rendered)
    crash_point("written")
    if silence.is_silence(answer) and route.rules.after == "delete":
        original = delivery.Original(path=recording.path, left_alone=silence.KEPT)
    else:
        original = delivery.finish(recording, route.rules)
    crash_point("finished")
    now = clock()
    delivered = Delivery(
        delivered_at=now,
        outputs=outputs,
        original=original.path,
        left_alone=original.left_alone,
        said=transcript.spoken,
    )
    return recording.deliver(delivered, now=now)


def heard(recording: Recording, route: Route) -> Transcript:
    """What the answer in hand says, its channels named as the inbox names them.

    Raises:
        RecordingError: the answer holds no usable transcript.
    """
    reading, answer = _evidence(recording.reading), _evidence(recording.answer)
    engine = route.engines[reading.plan.engine]
    return channels.with_speakers(
        transcript_of(answer, engine),
        route.wishes,
        reading.facts,
        reading.plan,
        tells_apart=engine.channels,
    )


def _understand(recording: Recording, route: Route, clock: Clock) -> Recording:
    """A piece is done once its answer can be read; its recording is delivered when all of them are."""
    reading, answer = _evidence(recording.reading), _evidence(recording.answer)
    transcript_of(answer, route.engines[reading.plan.engine])
    discard(recording, route)
    now = clock()
    return recording.deliver(Delivery(delivered_at=now, outputs=(), original=None), now=now)


def transcript_of(answer: Answer, engine: Engine[Any]) -> Transcript:
    """What an answer says, whoever it came from: the engine, the joining of pieces, our own ears.

    Raises:
        RecordingError: it holds no usable transcript.
    """
    if joining.is_joined(answer):
        return joining.read(answer, engine.read)
    return silence.transcript() if silence.is_silence(answer) else engine.read(answer)


def tidy_up(recording: Recording, route: Route) -> None:
    """Remove the drafts that a killed process left where this recording was being delivered."""
    discard(recording, route)
    folders = {os.path.dirname(output.path) for output in recording.outputs}  # noqa: PTH120 - paths are bytes
    if isinstance(route.rules.after, bytes):
        below = os.path.relpath(os.path.dirname(recording.path), route.rules.inbox)  # noqa: PTH120 - same
        folders.add(os.path.normpath(os.path.join(route.rules.after, below)))  # noqa: PTH118 - same
    for folder in folders:
        sweep(folder)


def discard(recording: Recording, route: Route) -> None:
    """Remove the re-encoded copy of a recording, or piece, that needs it no longer."""
    if route.preparer is not None:
        route.preparer.discard(recording.staging.prepared if recording.staging else None)
        route.preparer.discard(recording.piece.copy if recording.piece else None)


def sweep_spool(
    waiting: Iterable[Recording],
    routes: Mapping[str, Route],
    *,
    unchanged_for: timedelta = timedelta(0),
) -> None:
    """Remove re-encoded copies that nobody needs; those of recordings that wait to be asked about stay."""
    needed = frozenset(
        copy.name
        for one in waiting
        for copy in (
            one.piece.copy if one.piece else None,
            one.staging.prepared if one.staging else None,
        )
        if copy is not None
    )
    for preparer in {id(route.preparer): route.preparer for route in routes.values()}.values():
        if preparer is not None:
            preparer.sweep(needed, unchanged_for=unchanged_for)


def plan_for(question: Question, route: Route) -> Plan:
    """Decide where a recording goes and what would be sent.

    Raises:
        RecordingError: nowhere; the message says why.
    """
    able = _can_encode(route) and question.size is not None
    facts, wishes = question.facts, question.wishes
    chosen = channels.choose(wishes, facts, send_silence=route.send_silence)
    wishes = replace(wishes, channels=chosen.channels or (0,), split=False)
    question = replace(question, can_encode=able, can_publish=route.storage.copies, wishes=wishes)
    choice = choose(question, [candidate_of(engine) for engine in route.engines.values()])
    engine = route.engines[choice.engine]
    sent = engine.sent(channels.left_to_the_engine(wishes, choice.cut))
    plan = Plan(
        engine=choice.engine,
        model=engine.options.model,
        preparation=choice.preparation,
        cut=choice.cut,
        options=sent.options,
        left_out=sent.left_out,
        reasons=(
            *choice.reasons,
            *chosen.reasons,
            *channels.billing(
                facts,
                asked=len(wishes.channels),
                billed=channels.billed(choice.cut, engine.billed_channels(wishes)),
                can_split=engine.channels,
                cut=choice.cut,
            ),
        ),
        channels=wishes.channels,
    )
    unsent = silence.is_not_sent(facts, send_silence=route.send_silence) or not chosen.channels
    return silence.planned(plan) if unsent else _with_diet(plan, question, route)


def _with_diet(plan: Plan, question: Question, route: Route) -> Plan:
    """The plan, with what is uploaded and why where something is."""
    engine, size = route.engines[plan.engine], question.size
    uploads = not engine.takes_bytes and route.storage.copies
    if not uploads or not question.can_encode or size is None or route.preparer is None:
        return plan
    if plan.preparation is not Preparation.AS_IT_IS:
        return plan
    sent = max(question.wishes.channels) + 1 if engine.channels else 1
    verdict = judge(
        Upload(facts=question.facts, size=size, channels=sent, overlaps=route.storage.streams),
        route.diet,
        route.preparer.meter.speeds(),
    )
    return replace(
        plan,
        preparation=Preparation.DIET if verdict.codec else Preparation.AS_IT_IS,
        sends=verdict.sends,
        reasons=(*plan.reasons, verdict.reason),
    )


def candidate_of(engine: Engine[Any]) -> Candidate:
    """What the dispatcher needs to know of an engine."""
    return Candidate(
        name=engine.name,
        takes_bytes=engine.takes_bytes,
        base64=engine.base64,
        timestamps=engine.timestamps,
        channels=engine.channels,
        tasks=engine.tasks,
        automatic=engine.automatic,
        regions=engine.regions,
        containers=engine.containers,
        longest=engine.options.longest,
        longest_copy=engine.longest_copy,
        largest=engine.options.largest,
        codecs=engine.codecs,
        fastest_rate=engine.fastest_rate,
    )


UNKNOWN_ANSWER = Failure(
    error="AnswerLost",
    code="answer-lost",
    message="A paid request was under way when its answer was lost; whether it was accepted is unknown.",
    advice="`asrwatch retry` asks again, which may be paid a second time; `asrwatch forget` leaves it.",
)


def _needs_url(recording: Recording, route: Route) -> bool:
    return not route.engines[_evidence(recording.reading).plan.engine].takes_bytes


def _evidence(value: ValueT | None) -> ValueT:
    if value is None:
        msg = "a recording lacks the evidence of its state"
        raise OurBug(msg)
    return value
