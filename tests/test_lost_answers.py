"""Requests whose answer is lost or odd: nothing is guessed, and nothing silently bought twice."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from money_helpers import Book

from asrwatch.cloud.clocks import clock_trouble
from asrwatch.daemon.slots import CHORES
from asrwatch.errors import BillUnknown, EngineError, EngineTrouble, RecordingError, TemporaryError
from asrwatch.journey.recording import State
from asrwatch.journey.request import WHO
from asrwatch.journey.store import Store


def test_an_ask_says_everything_before_it_is_made(store: Store, now: datetime) -> None:
    """The row that is synced before the first byte holds content, size, price, clocks, process and where it went."""
    book = Book(store, now)
    book.stage(seconds=4.2, url="http://127.0.0.1:9/a.wav")
    (asking,) = book.ask()
    assert asking.attempts == 1, "counted before it is made"
    assert asking.reading is not None
    (row,) = store.bought_for(asking.id)
    assert (row.outcome, row.expected, row.cost is not None) == ("open", timedelta(seconds=5), True)
    assert (row.inbox, row.sha256, row.size) == ("inbox", asking.reading.sha256, 100)
    assert (row.url, row.who) == ("http://127.0.0.1:9/a.wav", WHO)
    assert row.uptime


def test_a_task_that_is_anothers_is_no_answer(store: Store, now: datetime) -> None:
    """A cloud that names the same task twice has answered the second request with nothing: it is looked for [A07]."""
    book = Book(store, now)
    book.stage()
    book.stage()
    first, second = book.ask()
    task = book.accept(first).task
    assert task is not None
    book.keeper.moved(second, second.submit(task, now=now, due=now), now=now)
    found = store.get(second.id)
    assert found is not None
    assert (found.state, found.task) == (State.ASKING, None)
    assert found.trouble is not None
    assert found.trouble.last.code == "duplicate-ticket"
    assert store.ledger().unknown == 1


def test_the_bill_of_an_error_is_unknown(store: Store, now: datetime) -> None:
    """After an error of the cloud's own the recording goes on, and the ledger counts what it may have cost [A10]."""
    book = Book(store, now)
    book.stage(seconds=3)
    (asking,) = book.ask()
    book.refuse(asking, BillUnknown("Oops.", code="InternalError"))
    ledger = store.ledger()
    assert (ledger.bill_unknown, ledger.refused, ledger.audio) == (1, 0, timedelta(seconds=3))
    assert book.states() == {State.STAGED: 1}


def test_a_task_that_failed_may_be_billed(store: Store, now: datetime) -> None:
    """No page says what a failed task costs: the ledger does not call it free [A10]."""
    book = Book(store, now)
    book.stage(seconds=3)
    (asking,) = book.ask()
    submitted = book.accept(asking)
    book.refuse(submitted, RecordingError("Bad file.", code="DECODE_ERROR"))
    assert store.ledger().bill_unknown == 1
    assert book.states() == {State.FAILED: 1}


def test_what_never_left_costs_nothing(store: Store, now: datetime) -> None:
    """A host that cannot be reached: no unknown request, nothing asked, nothing spent [A01]."""
    book = Book(store, now)
    book.stage()
    (asking,) = book.ask()
    book.refuse(asking, TemporaryError("No way.", code="not-sent"))
    ledger = store.ledger()
    assert (ledger.asked, ledger.unsent, ledger.unknown) == (0, 1, 0)
    assert not ledger.money


def test_a_crash_leaves_at_most_the_slots_in_doubt(store: Store, now: datetime) -> None:
    """Of a hundred waiting, eight were under way: these are unknown, each with a row, and no other."""
    book = Book(store, now)
    for _ in range(100):
        book.stage()
    assert len(book.ask(limit=8)) == 8
    book.open()
    ledger = store.ledger()
    assert (ledger.asked, ledger.unknown) == (8, 8)
    assert len(store.doubts(limit=50)) == 8


def test_two_engines_are_two_purchases(store: Store, now: datetime) -> None:
    """The same content in two inboxes whose engines differ is bought for each, and the ledger names both [A13]."""
    book = Book(store, now, inboxes=("a", "b"))
    one = book.stage(inbox="a")
    other = book.stage(inbox="b", engine="other-engine")
    assert one.reading is not None
    assert other.reading is not None
    same = replace(other.reading, sha256=one.reading.sha256)
    store.save(other, replace(other, reading=same))
    begun = book.ask()
    for asking in begun:
        book.answer(asking)
    bought = [row for asking in begun for row in store.bought_for(asking.id)]
    assert {row.engine for row in bought} == {"some-engine", "other-engine"}
    assert store.ledger().answered == 2


@pytest.mark.parametrize("inbox", ["a", "b"])
def test_the_same_content_is_never_bought_again(store: Store, now: datetime, inbox: str) -> None:
    """A copy in whichever inbox is delivered from the stored answer, also while the engine is held."""
    book = Book(store, now, inboxes=("a", "b"))
    one = book.stage(inbox="a")
    (asking,) = book.ask()
    book.answer(asking)
    copy = book.stage(inbox=inbox)
    assert one.reading is not None
    store.save(copy, replace(copy, reading=one.reading))
    assert book.ask() == []
    assert book.states() == {State.TRANSCRIBED: 2}
    assert store.ledger().asked == 1


def test_a_copy_is_delivered_although_nothing_may_be_asked(store: Store, now: datetime) -> None:
    """What was paid for before needs no engine: read, it goes straight on to its delivery."""
    book = Book(store, now)
    one = book.stage()
    (asking,) = book.ask()
    book.answer(asking)
    no_key = EngineError("No.", code="c", trouble=EngineTrouble.KEY)
    book.keeper.gate.refuse("some-engine", no_key, now=now, asked_at=now, key_digest=None)
    found = book.found()
    assert one.reading is not None
    read = found.read(one.reading, now=now)
    book.keeper.moved(found, read, now=now)
    assert book.states() == {State.TRANSCRIBED: 2}
    with store.transaction():
        assert len(book.keeper.hand_out(CHORES, limit=8, under_way=(), now=now)) == 2


@pytest.mark.parametrize(
    ("offset", "told"),
    [
        (timedelta(hours=2), "2h 00m ahead of"),
        (timedelta(days=-400), "400d 0h behind"),
        (timedelta(minutes=4), None),
    ],
)
def test_a_wrong_clock_is_named(now: datetime, offset: timedelta, told: str | None) -> None:
    """A refused upload whose answer is dated otherwise than this machine is held until the clock is right [A11]."""
    headers = {"date": format_datetime(now.astimezone(UTC), usegmt=True)}
    refused = TemporaryError("Too skewed.", code="RequestTimeTooSkewed")
    found = clock_trouble(headers, now + offset, refused)
    if told is None:
        assert found is None
    else:
        assert found is not None
        assert told in found.message
        assert found.trouble is EngineTrouble.DOWN


@pytest.mark.parametrize("date", ["", "yesterday", "Sun, 22 Nov 2026 10:00:00 -0000"])
def test_a_date_that_is_none_says_nothing(now: datetime, date: str) -> None:
    """Without a readable date the refusal stands for itself [A11]."""
    refused = TemporaryError("Too skewed.", code="RequestTimeTooSkewed")
    assert clock_trouble({"Date": date}, now + timedelta(days=9), refused) is None
