"""Inboxes take turns: a flood in one of them does not starve the others."""

from datetime import datetime, timedelta

from money_helpers import Book

from asrwatch.daemon.slots import CHORES
from asrwatch.journey.evidence import Fingerprint
from asrwatch.journey.recording import Recording
from asrwatch.journey.store import Store

FLOOD = 150


def _flooded(store: Store, now: datetime) -> Book:
    """A flood that came first, and after it a few recordings in two other inboxes."""
    book = Book(store, now, inboxes=("flood", "quiet", "calm"))
    with store.transaction():
        for _ in range(FLOOD):
            book.stage(inbox="flood")
        book.now += timedelta(seconds=1)
        for _ in range(4):
            book.stage(inbox="quiet")
            book.stage(inbox="calm")
    return book


def test_a_flood_in_one_inbox_does_not_starve_another(store: Store, now: datetime) -> None:
    """Requests are handed out inbox by inbox: eight recordings that came last are among the first twelve [X10]."""
    book = _flooded(store, now)
    first = book.ask(limit=12)
    assert len(first) == 12
    assert sum(one.inbox != "flood" for one in first) == 8


def test_turns_are_taken_over_many_rounds(store: Store, now: datetime) -> None:
    """With one request at a time, as the pace allows, the turn is still passed on and never stays with one [X10]."""
    book = _flooded(store, now)
    served = []
    for _ in range(6):
        (asking,) = book.ask(limit=1)
        served.append(asking.inbox)
        book.answer(asking)
    assert sorted(served[:3]) == ["calm", "flood", "quiet"]
    assert served[:3] == served[3:]


def test_turns_are_passed_on_where_the_pace_allows_one(store: Store, now: datetime) -> None:
    """Eight free workers and a pace of one a second: who was chosen and not asked has not had its turn [X10]."""
    book = Book(store, now, inboxes=("a", "b"), options={"requests_per_minute": 60})
    for _ in range(20):
        book.stage(inbox="a")
        book.stage(inbox="b")
    served = []
    for _ in range(6):
        (asking,) = book.ask(limit=8)
        served.append(asking.inbox)
        book.answer(asking)
        book.now += timedelta(seconds=1)
    assert sorted(served) == ["a", "a", "a", "b", "b", "b"]


def test_a_flood_alone_gets_everything(store: Store, now: datetime) -> None:
    """Where nobody else waits, no slot stays empty."""
    book = Book(store, now, inboxes=("flood", "quiet"))
    for _ in range(20):
        book.stage(inbox="flood")
    assert len(book.ask(limit=8)) == 8


def test_an_inbox_that_left_does_not_stop_the_others(store: Store, now: datetime) -> None:
    """Recordings of an inbox that is no longer configured are put off for an hour, also in a flood."""
    book = _flooded(store, now)
    book.inboxes = ("quiet",)
    book.open()
    assert len(book.ask(limit=4)) == 4
    assert all(one.inbox == "quiet" for one in store.due(now, limit=9, inbox="quiet"))


def test_readings_take_turns_as_well(store: Store, now: datetime) -> None:
    """Files of a quiet inbox are read, uploaded and delivered between those of a flood [X10]."""
    book = Book(store, now, inboxes=("flood", "quiet"))
    for number in range(40):
        inbox = "quiet" if number == 39 else "flood"
        path = f"/{inbox}/{number}.wav".encode()
        fingerprint = Fingerprint(device=1, inode=number, size=9, mtime_ns=1)
        store.add(Recording.found(inbox=inbox, path=path, fingerprint=fingerprint, now=now))
    with store.transaction():
        steps = book.keeper.hand_out(CHORES, limit=2, under_way=(), now=now)
    assert {recording.inbox for recording, _ in steps} == {"flood", "quiet"}


def test_one_inbox_cannot_lengthen_the_others_wait_without_bound(
    store: Store, now: datetime
) -> None:
    """Of every three requests made while three inboxes have work, each has one [X10]."""
    book = _flooded(store, now)
    for _ in range(4):
        begun = book.ask(limit=3)
        assert {one.inbox for one in begun} == {"flood", "quiet", "calm"}
        for asking in begun:
            book.answer(asking)
