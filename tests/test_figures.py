"""Sums for dashboards: from the ledger, and kept for ever."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from journey_helpers import a_recording

from asrwatch.journey.evidence import Answer
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.store import Store
from asrwatch.journey.store.figures import BEYOND, STEPS, bucket_of, waited


def delivered(store: Store, now: datetime, *, took: timedelta, path: bytes) -> Recording:
    """A recording that was found and, after a while, delivered."""
    found = store.add(replace(a_recording(State.SETTLED, now), path=path))
    after = a_recording(State.DELIVERED, now)
    assert after.delivery is not None
    assert after.reading is not None
    reading = replace(after.reading, sha256=path.hex().ljust(64, "0"))
    done = replace(
        after,
        id=found.id,
        path=path,
        reading=reading,
        outputs=(),
        task=replace(after.task, ticket=path.hex()) if after.task else None,
        delivery=replace(after.delivery, delivered_at=found.found_at + took, outputs=()),
    )
    return store.save(found, done)


def test_waits_are_counted_by_bucket_and_for_ever(store: Store, now: datetime) -> None:
    """How long recordings took is kept by inbox and bucket, also when they are forgotten."""
    spans = (timedelta(seconds=4), timedelta(seconds=5), timedelta(minutes=4), timedelta(days=3))
    for number, took in enumerate(spans):
        last = delivered(store, now, took=took, path=b"/inbox/%d.wav" % number)
    store.forget(last, now=now)
    waits = store.waits()["inbox"]
    assert waits.numbers == {
        timedelta(seconds=5): 2,
        timedelta(minutes=5): 1,
        BEYOND: 1,
    }
    assert waits.total == sum(spans, timedelta())


def test_a_second_delivery_is_not_counted(store: Store, now: datetime) -> None:
    """A recording that is delivered again, because a person wanted it, is not counted once more."""
    done = delivered(store, now, took=timedelta(seconds=9), path=b"/inbox/talk.wav")
    again = store.save(
        done, replace(a_recording(State.TRANSCRIBED, now), id=done.id, path=done.path)
    )
    store.save(again, replace(done, changed_at=now + timedelta(days=9)))
    assert sum(store.waits()["inbox"].numbers.values()) == 1


def test_pieces_are_not_counted(store: Store, now: datetime) -> None:
    """A recording that was cut is one wait, however many pieces it was cut into."""
    whole = store.add(a_recording(State.SETTLED, now))
    after = a_recording(State.DELIVERED, now)
    piece = replace(after, id=whole.id, part_of=7, outputs=())
    before = replace(piece, state=State.TRANSCRIBED, delivery=None)
    with store.transaction():
        store._count_wait(before, piece)
    assert store.waits() == {}
    with store.transaction():
        store._count_wait(replace(before, part_of=None), replace(piece, part_of=None))
    assert len(store.waits()) == 1


def test_a_wait_begins_when_the_file_was_closed(now: datetime) -> None:
    """From the file's own date where that is fresh; copies that keep old dates count from when they were found."""
    done = a_recording(State.DELIVERED, now)
    assert done.delivery is not None
    delivery = replace(done.delivery, delivered_at=now + timedelta(seconds=30))

    def written(ago: timedelta) -> Recording:
        stamp = int((now - ago).timestamp() * 1e9)
        mark = replace(done.fingerprint, mtime_ns=stamp)
        return replace(done, found_at=now, delivery=delivery, fingerprint=mark)

    assert waited(written(timedelta(seconds=10))) == timedelta(seconds=40)
    assert waited(written(timedelta(days=400))) == timedelta(seconds=30)
    assert waited(written(timedelta(days=-1))) == timedelta(seconds=30)


@pytest.mark.parametrize(
    ("wait", "bucket"),
    [
        (timedelta(0), STEPS[0]),
        (STEPS[0], STEPS[0]),
        (STEPS[0] + timedelta(milliseconds=1), STEPS[1]),
        (STEPS[-1], STEPS[-1]),
        (STEPS[-1] + timedelta(seconds=1), BEYOND),
    ],
)
def test_buckets_hold_what_is_not_longer(wait: timedelta, bucket: timedelta) -> None:
    """A wait belongs to the first bucket that is not shorter."""
    assert bucket_of(wait) == bucket


def test_requests_are_summed_by_engine_and_outcome(store: Store, now: datetime) -> None:
    """Numbers, billed time, cost and bytes come from the ledger."""
    staged = store.add(a_recording(State.SETTLED, now))
    staged = store.save(staged, replace(a_recording(State.STAGED, now), id=staged.id))
    asked = replace(a_recording(State.ASKING, now), id=staged.id)
    assert asked.asking is not None
    priced = replace(asked, asking=replace(asked.asking, price=Decimal("0.00022")))
    asking = store.save(staged, priced)
    (open_,) = store.requests()
    assert (open_.outcome, open_.number, open_.sent) == ("open", 1, asking.fingerprint.size)
    answer = Answer(raw=b"{}", received_at=now, billed=timedelta(seconds=7))
    store.save(asking, asking.hear(answer, now=now), outcome="answered")
    (answered,) = store.requests()
    assert (answered.outcome, answered.billed) == ("answered", timedelta(seconds=7))
    assert answered.cost == Decimal("0.00154")


def test_tasks_are_summed_by_engine(store: Store, now: datetime) -> None:
    """What the cloud works on is counted, with the date of the oldest."""
    found = store.add(a_recording(State.SETTLED, now))
    submitted = store.save(found, replace(a_recording(State.SUBMITTED, now), id=found.id))
    assert submitted.task is not None
    (tasks,) = store.tasks()
    assert (tasks.number, tasks.oldest) == (1, submitted.task.submitted_at)
