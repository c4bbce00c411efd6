"""What news does to the book, with a real store and no threads."""

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from journey_helpers import FINGERPRINT, a_recording

from asrwatch import logs
from asrwatch.engines import StillOut
from asrwatch.errors import SourceChanged, TemporaryError, TicketLost, Vanished
from asrwatch.inbox.messages import FileSettled
from asrwatch.journey.keeper import Keeper
from asrwatch.journey.poller import TaskNews
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.store import Store


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What is logged."""
    stream = io.StringIO()
    logs.configure("debug", stream=stream, terminal=False)
    yield stream
    logs.configure("warning")


def _put(store: Store, recording: Recording) -> Recording:
    found = Recording.found(
        inbox=recording.inbox,
        path=recording.path,
        fingerprint=recording.fingerprint,
        now=recording.found_at,
    )
    added = store.add(found)
    return store.save(added, replace(recording, id=added.id))


def test_an_old_task_is_an_error_once_an_hour(
    keeper: Keeper, store: Store, now: datetime, log: io.StringIO
) -> None:
    """A task is logged as late once after 12 hours, as an error every hour after 20, not at every question [A07]."""
    submitted = _put(store, a_recording(State.SUBMITTED, now))
    for hours in (11, 12.1, 14, 19, 20.1, 20.5, 21.2, 21.3):
        at = now + timedelta(hours=hours)
        keeper.news(TaskNews(recording=submitted, news=StillOut(status="RUNNING")), now=at)
    keeper.take_news()
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    overdue = [line for line in lines if line["event"] == "task-overdue"]
    assert [line["level"] for line in overdue] == ["error", "error"]
    assert [line["level"] for line in lines if line["event"] == "task-late"] == ["warning"]
    assert store.outstanding()[0].due == now + timedelta(hours=21.3, seconds=20)


def test_what_has_a_successor_waits_for_nothing(
    keeper: Keeper, store: Store, now: datetime
) -> None:
    """A task failed after its file had become a recording of its own: the old one is superseded, not read for ever."""
    old = store.add(a_recording(State.SETTLED, now))
    store.add(a_recording(State.SETTLED, now))
    keeper.suffered(old, SourceChanged("It changed.", code="changed"), now=now)
    (after,) = [one for one in store.all_at(old.path) if one.id == old.id]
    assert after.state is State.FAILED
    assert after.failure is not None
    assert after.failure.code == "superseded"


@pytest.mark.parametrize(
    ("code", "state"), [("changed", State.FAILED), ("changed-while-sent", State.SETTLED)]
)
def test_what_is_asked_again_after_a_remount_is_superseded_at_once(
    keeper: Keeper, store: Store, now: datetime, code: str, state: State
) -> None:
    """Its file became a recording of its own while an answer was lost: unless it was sent, nobody waits for it."""
    old = _put(store, a_recording(State.ASKING, now))
    store.add(a_recording(State.SETTLED, now))
    keeper.suffered(old, SourceChanged("It changed.", code=code), now=now)
    (after,) = [one for one in store.all_at(old.path) if one.id == old.id]
    assert after.state is state


def test_a_file_that_returns_goes_on(keeper: Keeper, store: Store, now: datetime) -> None:
    """A file that vanished before it was paid for fails as vanished, and goes on when it is back."""
    added = store.add(a_recording(State.SETTLED, now))
    keeper.suffered(added, Vanished("It is gone.", code="vanished"), now=now)
    gone = store.latest_at(added.path)
    assert gone is not None
    assert gone.state is State.FAILED
    found = FileSettled(inbox=added.inbox, path=added.path, fingerprint=FINGERPRINT)
    keeper.settled(found, under_way={}, now=now)
    back = store.latest_at(added.path)
    assert back is not None
    assert (back.id, back.state) == (added.id, State.SETTLED)


def test_a_failed_file_that_changes_is_tried_again(
    keeper: Keeper, store: Store, now: datetime
) -> None:
    """What failed starts over by itself once its file is another one."""
    failed = _put(store, a_recording(State.FAILED, now))
    newer = replace(FINGERPRINT, mtime_ns=99)
    keeper.settled(
        FileSettled(inbox="inbox", path=failed.path, fingerprint=newer), under_way={}, now=now
    )
    again = store.get(failed.id)
    assert again is not None
    assert (again.state, again.fingerprint) == (State.SETTLED, newer)


def test_a_failed_file_that_is_only_seen_again_stays_failed(
    keeper: Keeper, store: Store, now: datetime
) -> None:
    """The same file under the same fingerprint changes nothing."""
    failed = _put(store, a_recording(State.FAILED, now))
    seen = FileSettled(inbox="inbox", path=failed.path, fingerprint=failed.fingerprint)
    keeper.settled(seen, under_way={}, now=now)
    assert store.get(failed.id) == failed


def test_requests_under_way_at_a_crash_are_lost_in_the_ledger(
    keeper: Keeper, store: Store, now: datetime
) -> None:
    """At the next start a request that was under way is unknown, and the ledger and the story say so."""
    staged = _put(store, a_recording(State.STAGED, now))
    asking = store.save(staged, replace(a_recording(State.ASKING, now), id=staged.id))
    keeper.open_up(now)
    assert store.ledger().unknown == 1
    assert "under way" in store.story(asking.id)[-1].note


def test_recordings_of_an_inbox_that_left_wait(keeper: Keeper, store: Store, now: datetime) -> None:
    """A recording whose inbox is no longer configured stays as it is."""
    staged = _put(store, a_recording(State.STAGED, now))
    assert keeper.hand_out((State.STAGED,), limit=5, under_way=(), now=now) == []
    waiting = store.get(staged.id)
    assert waiting is not None
    assert waiting.state is State.STAGED
    assert waiting.due > now


def test_an_unknown_task_is_believed_the_third_time(
    keeper: Keeper, store: Store, now: datetime
) -> None:
    """A wrong key or a lagging list does not park everything: a young task must be unknown three times [A07]."""
    submitted = _put(store, a_recording(State.SUBMITTED, now))
    lost = TaskNews(recording=submitted, news=TicketLost("Unknown.", code="UNKNOWN"))
    running = TaskNews(recording=submitted, news=StillOut(status="RUNNING"))
    states = []
    for news in (lost, lost, running, lost, lost, lost):
        keeper.news(news, now=now)
        current = store.get(submitted.id)
        assert current is not None
        states.append(current.state)
    assert states == [State.SUBMITTED] * 5 + [State.PARKED]


def test_a_copy_of_a_parked_recording_is_not_bought(
    keeper: Keeper, store: Store, now: datetime
) -> None:
    """Whether it was paid for is a person's question: a copy found later waits for the answer."""
    _put(store, a_recording(State.PARKED, now))
    later = now + timedelta(minutes=1)
    copy = replace(a_recording(State.STAGED, later, path=b"/inbox/copy.wav"), inbox="inbox")
    staged = _put(store, copy)
    assert keeper.purchases.parked_already(
        staged, staged.reading.purchase if staged.reading else "", later
    )
    failed = store.get(staged.id)
    assert failed is not None
    assert failed.failure is not None
    assert "/inbox/talk.wav" in failed.failure.message


def test_a_copy_that_waited_for_a_parked_recording_is_not_bought(
    keeper: Keeper, store: Store, now: datetime
) -> None:
    """A copy that was there before the answer was lost waits for the person, too; what a person retried is asked."""
    parked = _put(store, a_recording(State.PARKED, now + timedelta(minutes=1)))
    copy = replace(a_recording(State.STAGED, now, path=b"/inbox/copy.wav"), inbox="inbox")
    staged = _put(store, copy)
    assert staged.reading is not None
    purchase = staged.reading.purchase
    assert keeper.purchases.parked_already(staged, purchase, now)
    also_parked = _put(
        store, replace(a_recording(State.PARKED, now, ticket="task-2"), path=b"/inbox/other.wav")
    )
    assert also_parked.reading is not None
    retried = store.save(also_parked, also_parked.retry(now=now))
    read = store.save(retried, retried.read(also_parked.reading, now=now))
    assert store.parked_with(purchase) == store.get(parked.id)
    assert not keeper.purchases.parked_already(read, purchase, now)


def test_a_request_that_never_left_is_not_called_refused(
    keeper: Keeper, store: Store, now: datetime
) -> None:
    """Nothing listening at the address: the ledger says unsent, and does not count it as asked."""
    staged = _put(store, a_recording(State.STAGED, now))
    asking = store.save(staged, replace(a_recording(State.ASKING, now), id=staged.id))
    keeper.suffered(asking, TemporaryError("Connection refused.", code="not-sent"), now=now)
    assert (store.ledger().asked, store.ledger().unsent) == (0, 1)


def test_trouble_is_one_warning(
    keeper: Keeper, store: Store, now: datetime, log: io.StringIO
) -> None:
    """An outage that meets many recordings is one warning when it begins and one line when it is over."""
    staged = [
        _put(store, a_recording(State.SETTLED, now, path=b"/inbox/%d.wav" % n)) for n in range(3)
    ]
    for recording in staged:
        keeper.suffered(recording, TemporaryError("No route.", code="not-sent"), now=now)
    for recording in staged:
        current = store.get(recording.id)
        assert current is not None
        keeper.moved(current, current.postpone(None, due=now), now=now)
    keeper.take_news()
    events = [json.loads(line)["event"] for line in log.getvalue().splitlines()]
    assert events.count("trouble") == 1
    assert events.count("trouble-over") == 1


def test_a_story_does_not_grow_by_repeats(keeper: Keeper, store: Store, now: datetime) -> None:
    """A file that is read again every minute until it settles has one line of that in its story, not sixty."""
    settled = _put(store, a_recording(State.SETTLED, now))
    changed = SourceChanged("a.wav is not the file that settled any more.", code="changed")
    current, at = settled, now
    for _ in range(5):
        at += timedelta(minutes=1)
        keeper.suffered(current, changed, now=at)
        found = store.get(settled.id)
        assert found is not None
        assert found.due > at
        current = found
    keeper.take_news()
    assert [event.note for event in store.story(settled.id)].count(changed.message) == 1
    keeper.suffered(current, TemporaryError("The disk failed.", code="eio"), now=at)
    keeper.suffered(current, changed, now=at)
    assert [event.note for event in store.story(settled.id)].count(changed.message) == 2


def test_a_newer_take_outlives_the_touch_before_it(
    keeper: Keeper, store: Store, now: datetime
) -> None:
    """A file touched, and written anew while it is read: the touch is no recording, the new take is one."""
    delivered = _put(store, a_recording(State.DELIVERED, now))
    touched, newer = (replace(FINGERPRINT, mtime_ns=number) for number in (98, 99))
    path = delivered.path
    keeper.settled(
        FileSettled(inbox="inbox", path=path, fingerprint=touched), under_way={}, now=now
    )
    read = store.latest_at(path)
    assert read is not None
    keeper.settled(
        FileSettled(inbox="inbox", path=path, fingerprint=newer),
        under_way={read.id: read},
        now=now,
    )
    assert delivered.reading is not None
    keeper.moved(read, read.read(delivered.reading, now=now), now=now)
    latest = store.latest_at(path)
    assert latest is not None
    assert (latest.state, latest.fingerprint) == (State.SETTLED, newer)
    assert store.get(read.id) is None
    assert latest.id > read.id
