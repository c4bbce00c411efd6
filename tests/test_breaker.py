"""Engines that are held: nothing is paid for while the key, the money or the way is bad, and one cheap probe heals."""

import io
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial

import pytest
from money_helpers import Book

from asrwatch import logs
from asrwatch.cloud.refusals import Where, refusal
from asrwatch.errors import (
    AnswerLost,
    BillUnknown,
    EngineError,
    EngineTrouble,
    RecordingError,
    TemporaryError,
)
from asrwatch.journey.gate import Gate
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.store import EVERY_ENGINE, Store

MINUTE = timedelta(minutes=1)
REFUSALS = {
    "a bad key": (401, "InvalidApiKey", ""),
    "arrears as 400": (
        400,
        "Arrearage",
        "Access denied, please make sure your account is in good standing.",
    ),
    "arrears as 403": (403, "Arrearage", "Access denied."),
    "an overdue bill as 429": (429, "PostpaidBillOverdue", "Pay."),
    "a forbidden model": (403, "Model.AccessDenied", "Model access denied."),
    "free quota gone": (403, "AllocationQuota.FreeTierOnly", "The free tier is used up."),
    "free quota gone as 429": (429, "insufficient_quota", "Free allocated quota exceeded."),
}


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What is logged."""
    stream = io.StringIO()
    logs.configure("info", stream=stream, terminal=False)
    yield stream
    logs.configure("warning")


def events(log: io.StringIO, name: str) -> list[str]:
    """The levels of every event of a name."""
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    return [line["level"] for line in lines if line["event"] == name]


def no_key() -> EngineError:
    """What the cloud says to a bad key."""
    return EngineError("Bad key.", code="InvalidApiKey", trouble=EngineTrouble.KEY)


def lost() -> AnswerLost:
    """A paid request that nobody answered."""
    return AnswerLost("No answer came back.", code="no-answer")


@pytest.mark.parametrize("why", REFUSALS)
def test_what_a_person_must_mend_stops_every_paid_request(
    store: Store, now: datetime, log: io.StringIO, why: str
) -> None:
    """With 500 waiting, the slots' requests go out and then none; one alarm; nothing failed; a restart knows [A03]."""
    status, code, message = REFUSALS[why]
    body = json.dumps({"code": code, "message": message}).encode()
    book = Book(store, now)
    with store.transaction():
        for _ in range(500):
            book.stage()
    begun = book.ask(limit=8)
    assert len(begun) == 8
    for asking in begun:
        error = refusal(status, {}, body, where=Where.ASK)
        assert isinstance(error, EngineError)
        book.refuse(asking, error)
    for seconds in (1, 5, 9):
        book.now = now + timedelta(seconds=seconds)
        assert book.ask() == []
    assert book.states() == {State.STAGED: 500}
    assert events(log, "engine-held") == ["error"]
    book.open()
    assert book.ask() == [], "a restart forgets no hold"
    assert store.ledger().money == 0, "refusals cost nothing"


@pytest.mark.parametrize(
    "trouble", [EngineTrouble.KEY, EngineTrouble.MONEY, EngineTrouble.FORBIDDEN]
)
def test_another_key_opens_at_once(store: Store, now: datetime, trouble: EngineTrouble) -> None:
    """What lay in the key is over with the key, without waiting for the probe's date [A03]."""
    book = Book(store, now)
    for _ in range(3):
        book.stage()
    (asking,) = book.ask(limit=1)
    book.refuse(asking, EngineError("No.", code="c", trouble=trouble))
    assert book.ask() == []
    book.key = "key-2"
    book.keeper.key_glanced(now=now)
    assert len(book.ask()) == 3
    assert store.holds() == ()


def test_a_refusal_is_blamed_on_the_key_that_was_sent(store: Store, now: datetime) -> None:
    """A key that was put in while the old one's request was out is tried at once [A03]."""
    book = Book(store, now, key="key-2")
    for _ in range(3):
        book.stage()
    (asking,) = book.ask(limit=1)
    refused = EngineError("No.", code="c", trouble=EngineTrouble.KEY, key_digest="key-1")
    book.refuse(asking, refused)
    assert book.ask() == []
    book.keeper.key_glanced(now=now)
    assert len(book.ask()) == 3


def test_the_probe_is_the_shortest_recording(store: Store, now: datetime) -> None:
    """When the hold's date comes, one request is made, the cheapest there is; it opens for all, or holds longer."""
    book = Book(store, now)
    for seconds in (60, 3, 500):
        book.stage(seconds=seconds)
    (asking,) = book.ask(limit=1)
    book.refuse(asking, no_key())
    first = book.keeper.gate.holds[0]
    for _ in range(2):
        book.now = book.keeper.gate.holds[0].until
        (probe,) = book.ask()
        assert probe.asking is not None
        assert probe.asking.expected == timedelta(seconds=3)
        assert book.ask() == [], "nothing beside the probe"
        book.refuse(probe, no_key())
    assert book.keeper.gate.holds[0].count == 3
    assert book.keeper.gate.holds[0].until - book.now > first.until - first.since
    book.now = book.keeper.gate.holds[0].until
    (probe,) = book.ask()
    book.answer(probe)
    assert len(book.ask()) == 2


def test_the_probe_of_a_bad_key_is_the_shortest_of_every_engine(
    store: Store, now: datetime
) -> None:
    """A key is every engine's: the cheapest question may go to another engine than the one that was refused."""
    book = Book(store, now)
    book.stage(seconds=60)
    book.stage(seconds=2, engine="other-engine")
    asking = next(
        one for one in book.ask() if one.reading and one.reading.plan.engine == "some-engine"
    )
    book.out.clear()
    other = store.in_state(State.ASKING)
    for one in other:
        book.refuse(one, no_key())
    assert asking.id in {one.id for one in other}
    book.now = book.keeper.gate.holds[0].until
    (probe,) = book.ask()
    assert probe.reading is not None
    assert probe.reading.plan.engine == "other-engine"


def test_a_probe_that_is_lost_holds_longer(store: Store, now: datetime) -> None:
    """A probe without an answer may be paid: the next one waits its time and is not made at once."""
    book = Book(store, now)
    for _ in range(4):
        book.stage()
    (asking,) = book.ask(limit=1)
    book.refuse(asking, no_key())
    book.now = book.keeper.gate.holds[0].until
    (probe,) = book.ask()
    book.refuse(probe, lost())
    assert book.keeper.gate.holds[0].until > book.now
    assert book.keeper.gate.holds[0].trouble is EngineTrouble.KEY
    assert book.ask() == []
    assert store.holds()[0].count == 2, "it is in the store as well"


def test_answers_lost_in_a_row_hold_the_engine(
    store: Store, now: datetime, log: io.StringIO
) -> None:
    """After five paid requests without an answer no more are made: one alarm, then single probes."""
    book = Book(store, now)
    for _ in range(30):
        book.stage()
    for asking in book.ask(limit=5):
        book.refuse(asking, lost())
    (hold,) = book.keeper.gate.holds
    assert (hold.trouble, hold.scope) == (EngineTrouble.UNANSWERED, "some-engine")
    assert book.ask() == []
    assert events(log, "engine-held") == ["error"]
    book.open()
    assert book.ask(limit=5) == [], "a restart forgets no hold"
    book.now = hold.until
    begun = book.ask()
    assert len(begun) == 1
    book.answer(begun[0])
    assert book.keeper.gate.holds == ()


@pytest.mark.parametrize(
    ("between", "held"),
    [
        (RecordingError("Bad file.", code="bad"), False),
        (TemporaryError("Not sent.", code="not-sent"), True),
        (None, False),
    ],
    ids=["a refusal", "one that never left", "an answer"],
)
def test_only_losses_in_a_row_count(
    store: Store, now: datetime, between: Exception | None, held: bool
) -> None:
    """Any word of the cloud's between two losses says that the way works; a request that never left says nothing."""
    book = Book(store, now, options={"lost_in_a_row": 2})
    for _ in range(3):
        book.stage()
    first, second, third = book.ask(limit=3)
    book.refuse(first, lost())
    if between is None:
        book.answer(second)
    else:
        assert isinstance(between, RecordingError | TemporaryError)
        book.refuse(second, between)
    book.refuse(third, lost())
    assert bool(book.keeper.gate.holds) is held


def test_a_restart_forgets_no_loss(store: Store, now: datetime) -> None:
    """Answers that were lost before a restart are in a row with those after it; an answer ends the row."""
    book = Book(store, now, options={"lost_in_a_row": 3})
    for _ in range(9):
        book.stage()
    for lost_before in range(3):
        assert store.lost_in_a_row().get("some-engine", 0) == lost_before
        assert store.holds() == ()
        begun: list[Recording] = []
        while not begun:  # what was lost before is reconciled first, and never ends
            begun = book.ask(limit=1)
        book.refuse(begun[0], lost())
        book.open()
    (hold,) = store.holds()
    assert hold.trouble is EngineTrouble.UNANSWERED
    book.now = hold.until
    (probe,) = book.ask()
    book.answer(probe)
    assert store.lost_in_a_row() == {}


def test_errors_whose_bill_is_unknown_hold_the_engine(store: Store, now: datetime) -> None:
    """What may be billed and brings nothing is bounded like lost answers: for the engine and for the recording."""
    book = Book(store, now, options={"lost_in_a_row": 3})
    for _ in range(5):
        book.stage()
    for asking in book.ask(limit=3):
        book.refuse(asking, BillUnknown("Oops.", code="InternalError"))
    assert [hold.trouble for hold in store.holds()] == [EngineTrouble.UNANSWERED]
    assert book.ask() == []
    book.open()
    assert store.lost_in_a_row() == {"some-engine": 3}


def test_one_loss_told_twice_counts_once(store: Store, now: datetime) -> None:
    """A reconciling that fails, over and over, tells of no further loss."""
    book = Book(store, now, options={"lost_in_a_row": 2})
    book.stage()
    (asking,) = book.ask()
    for _ in range(4):
        current = store.get(asking.id)
        assert current is not None
        book.refuse(current, lost())
    assert book.keeper.gate.holds == ()


def test_our_own_surprise_counts_as_a_loss(store: Store, now: datetime) -> None:
    """A fault of asrwatch in reading answers is paid for a few times, not for every recording there is."""
    book = Book(store, now, options={"lost_in_a_row": 3})
    for _ in range(9):
        book.stage()
    for asking in book.ask(limit=3):
        book.keeper.surprised(asking, ZeroDivisionError(), now=now)
    assert [hold.trouble for hold in book.keeper.gate.holds] == [EngineTrouble.UNANSWERED]


def test_an_answer_of_before_does_not_lift_a_hold(store: Store, now: datetime) -> None:
    """A request made before the account ran dry, and answered after it, says nothing of the money there is now."""
    book = Book(store, now)
    for _ in range(9):
        book.stage()
    slow, quick = book.ask(limit=2)
    book.now += timedelta(seconds=2)
    book.refuse(quick, EngineError("Pay.", code="Arrearage", trouble=EngineTrouble.MONEY))
    book.answer(slow)
    assert [hold.scope for hold in book.keeper.gate.holds] == [EVERY_ENGINE]
    assert book.ask() == []


def test_after_throttling_the_pace_grows_back_slowly(now: datetime) -> None:
    """Not from nothing to everything: eight times the distance at first, half of it every ten seconds [A04]."""
    gate = Gate({"fast": 600}, (), chance=lambda: 0.5)
    throttled = EngineError("Slow.", code="Throttling", trouble=EngineTrouble.THROTTLED)
    gate.refuse("fast", throttled, now=now, asked_at=now, key_digest=None)
    start = gate.holds[0].until
    gate.take("fast", start)
    gate.succeed("fast", now=start, asked_at=start)
    made = []
    moment = start
    while moment < start + MINUTE:
        if gate.is_open("fast", moment):
            gate.take("fast", moment)
            made.append(moment)
        moment += timedelta(milliseconds=50)
    first, later = start + timedelta(seconds=5), start + timedelta(seconds=50)
    early = sum(when < first for when in made)
    late = sum(later <= when < later + timedelta(seconds=5) for when in made)
    assert 5 <= early <= 12, "about a sixth of the pace"
    assert 45 <= late <= 51, "the whole pace"


def test_waits_after_throttling_have_jitter(now: datetime) -> None:
    """Two that were throttled together do not come back together [A04]."""
    ends = set()
    for chance in (0.0, 0.5, 0.99):
        gate = Gate({"fast": 600}, (), chance=partial(float, chance))
        throttled = EngineError("Slow.", code="Throttling", trouble=EngineTrouble.THROTTLED)
        gate.refuse("fast", throttled, now=now, asked_at=now, key_digest=None)
        ends.add(gate.holds[0].until)
    assert len(ends) == 3
