"""One recording's journey on one page: one match, one short function per step, in travel order.

`advance` takes a recording, does one thing to the world and returns the recording that is now true; the
daemon saves it before it asks for the next step. A crash therefore repeats at most the step under way, and
every step may be repeated. `ask` is the only step that costs money, and runs only after `announce` was saved.
Two steps are longer than a screen: making the audio reachable (`staging.py`), and finding out what became of a
request whose answer was lost (`reconciling.py`).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import assert_never

from asrwatch.audio.cutting import Stretch
from asrwatch.crash import crash_point
from asrwatch.errors import OurBug
from asrwatch.files import check_unchanged, hash_whole
from asrwatch.journey import delivery, silence, source
from asrwatch.journey.away import patient
from asrwatch.journey.cost import expected_bill
from asrwatch.journey.evidence import Asking, Delivery, Reading, proven
from asrwatch.journey.hearing import heard, transcript_of
from asrwatch.journey.leftovers import discard
from asrwatch.journey.listening import facts_of
from asrwatch.journey.plan import Preparation
from asrwatch.journey.planning import plan_for
from asrwatch.journey.provenance import provenance_of
from asrwatch.journey.reconciling import reconcile
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.request import WHO, answered, send, uptime
from asrwatch.journey.route import Clock, Route
from asrwatch.journey.staging import stage

__all__ = ["advance", "announce", "ask"]


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
            with patient(recording, route.presence), source.disk_trouble(recording):
                if recording.reading is None:
                    return _read(recording, route, clock)
                return stage(recording, route, clock, places)
        case State.ASKING:
            return reconcile(recording, route, clock, known)
        case State.TRANSCRIBED if recording.piece is not None:
            return _understand(recording, route, clock)
        case State.TRANSCRIBED:
            with patient(recording, route.presence), source.disk_trouble(recording):
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
    plan = plan_for(question, route)
    read = recording.read(Reading(sha256=sha256, facts=facts, plan=plan), now=clock())
    crash_point("planned")
    if silence.is_planned(plan):
        return read.hear(silence.answer(clock()), now=clock())
    as_it_lies = plan.preparation is Preparation.AS_IT_IS and not route.needs_url(read)
    return stage(read, route, clock) if as_it_lies else read


def announce(recording: Recording, route: Route, *, now: datetime) -> Recording:
    """Say that a paid request is about to be made, and what it should cost. The daemon saves this before `ask`."""
    reading, engine = proven(recording.reading), route.engine_of(recording)
    asking = Asking(
        asked_at=now,
        who=WHO,
        uptime=uptime(),
        expected=expected_bill(
            reading.facts,
            recording.fingerprint.size,
            longest=engine.options.longest,
            channels=engine.billed_channels(route.wishes_for(recording)),
        ),
        price=engine.price_per_second,
    )
    return recording.announce(asking, now=now)


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


def _understand(recording: Recording, route: Route, clock: Clock) -> Recording:
    """A piece is done once its answer can be read; its recording is delivered when all of them are."""
    transcript_of(proven(recording.answer), route.engine_of(recording))
    discard(recording, route)
    now = clock()
    return recording.deliver(Delivery(delivered_at=now, outputs=(), original=None), now=now)


def _deliver(recording: Recording, route: Route, clock: Clock) -> Recording:
    """Render the stored answer in every format, put the files in place, then deal with the original."""
    answer = proven(recording.answer)
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
