"""The budget fuse: how much may be asked for in a day and in a month."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from journey_helpers import FAILURE
from money_helpers import Book

from asrwatch.errors import AnswerLost, EngineError, EngineTrouble, RecordingError
from asrwatch.journey.budget import Allowance, Budget, day_of, month_of
from asrwatch.journey.cost import expected_bill
from asrwatch.journey.plan import AudioFacts
from asrwatch.journey.recording import State
from asrwatch.journey.store import Store

TEN = timedelta(seconds=10)
HOUR = timedelta(hours=1)


def a_day_of(**allowed: timedelta | Decimal) -> Budget:
    """A budget for the day alone."""
    return Budget(day=Allowance(**allowed))  # type: ignore[arg-type] # either key


def test_nothing_is_asked_once_the_day_is_spent(store: Store, now: datetime) -> None:
    """The request that reaches the limit is made; the next waits for local midnight, and nothing is failed."""
    book = Book(store, now, budget=a_day_of(audio=TEN))
    for _ in range(6):
        book.stage(seconds=3)
    assert len(book.ask()) == 4, "3 + 3 + 3 s are below ten, the fourth reaches it"
    hold = book.keeper.fuse.blown(now)
    assert hold is not None
    assert hold.until == day_of(now)[1]
    assert "12s of 10s" in hold.message
    assert book.ask() == []
    assert book.states() == {State.ASKING: 4, State.STAGED: 2}
    assert book.keeper.opens(now) == hold.until


def test_the_next_day_goes_on(store: Store, now: datetime) -> None:
    """At midnight the count begins anew, by itself."""
    book = Book(store, now, budget=a_day_of(audio=TEN))
    for _ in range(4):
        book.stage(seconds=10)
    (first,) = book.ask()
    book.answer(first)
    book.now = day_of(now)[1]
    assert len(book.ask()) == 1


def test_money_is_a_limit_of_its_own(store: Store, now: datetime) -> None:
    """What a request should cost counts from its announcement: price per second times what will be billed."""
    book = Book(store, now, budget=a_day_of(money=Decimal("0.02")))
    for _ in range(9):
        book.stage(seconds=4.2)
    assert len(book.ask()) == 4, "4.2 s are billed as 5, at a thousandth each"
    hold = book.keeper.fuse.blown(now)
    assert hold is not None
    assert "0.020 CNY of 0.020 CNY" in hold.message


def test_a_month_holds_longer_than_its_days(store: Store, now: datetime) -> None:
    """With the month spent as well as the day, the date told is the next month's first."""
    spent = Allowance(audio=TEN)
    book = Book(store, now, budget=Budget(day=spent, month=spent))
    book.stage(seconds=10)
    book.stage(seconds=10)
    assert len(book.ask()) == 1
    hold = book.keeper.fuse.blown(now)
    assert hold is not None
    assert (hold.code, hold.until) == ("budget-month", month_of(now)[1])
    book.now = day_of(now)[1]
    assert book.ask() == []


def test_lost_answers_count(store: Store, now: datetime) -> None:
    """A request of unknown fate may be paid: it counts in full, and so does the one that asks again."""
    book = Book(store, now, budget=a_day_of(audio=TEN))
    for _ in range(3):
        book.stage(seconds=5)
    for asking in book.ask(limit=2):
        book.refuse(asking, AnswerLost("Lost.", code="no-answer"))
    assert book.ask() == []
    assert book.store.ledger().audio == TEN


def test_refused_requests_give_their_share_back(store: Store, now: datetime) -> None:
    """What was certainly not accepted is not billed: the budget is free for others at once."""
    book = Book(store, now, budget=a_day_of(audio=TEN))
    for _ in range(3):
        book.stage(seconds=10)
    (first,) = book.ask()
    assert book.ask() == []
    book.refuse(first, RecordingError("Bad.", code="bad"))
    assert len(book.ask()) == 1


def test_what_is_billed_counts_once_it_is_known(store: Store, now: datetime) -> None:
    """An answer that bills more than was expected counts as it was billed, upwards and downwards."""
    book = Book(store, now, budget=a_day_of(audio=TEN))
    for _ in range(4):
        book.stage(seconds=4)
    first, second = book.ask(limit=2)
    book.answer(first, billed=7)
    assert book.ask() == [], "7 and 4 are more than ten"
    book.answer(second, billed=1)
    assert len(book.ask(limit=1)) == 1, "7 and 1 are not"


def test_a_larger_budget_frees_at_once(store: Store, now: datetime) -> None:
    """After a restart with a larger budget, what waited goes on; what was spent stays spent."""
    book = Book(store, now, budget=a_day_of(audio=TEN))
    for _ in range(4):
        book.stage(seconds=10)
    (first,) = book.ask()
    book.answer(first)
    book.open()
    assert book.ask() == [], "a restart alone changes nothing"
    book.budget = a_day_of(audio=2 * TEN)
    book.open()
    assert len(book.ask()) == 1


def test_a_recording_longer_than_the_budget_goes(store: Store, now: datetime) -> None:
    """Nothing waits for ever: the fuse looks at what was asked before, not at what would be."""
    book = Book(store, now, budget=a_day_of(audio=TEN))
    book.stage(seconds=1000)
    assert len(book.ask()) == 1


def test_no_budget_is_no_limit(store: Store, now: datetime) -> None:
    """Left out, nothing is counted and nothing waits."""
    book = Book(store, now)
    for _ in range(8):
        book.stage(seconds=3600)
    assert len(book.ask()) == 8
    assert book.keeper.fuse.periods(now) == ()


def test_once_does_not_wait_for_the_next_day(store: Store, now: datetime) -> None:
    """With the budget spent, `once` has nothing left to wait for, tasks that are out excepted."""
    book = Book(store, now, budget=a_day_of(audio=TEN))
    for _ in range(3):
        book.stage(seconds=10)
    (first,) = book.ask()
    assert not book.keeper.nothing_left(now)
    submitted = book.accept(first)
    assert not book.keeper.nothing_left(now), "the task is followed to its end"
    answered = submitted.hear(book.answer_of(submitted), now=now)
    book.keeper.moved(submitted, answered, now=now)
    book.store.save(answered, answered.fail(FAILURE, now=now))
    assert book.keeper.nothing_left(now)


def test_a_rolled_back_turn_is_not_counted(store: Store, now: datetime) -> None:
    """What the database did not keep was not asked: the count is read again."""
    book = Book(store, now, budget=a_day_of(audio=TEN))
    book.stage(seconds=10)
    with pytest.raises(ZeroDivisionError), store.transaction():
        book.ask()
        assert book.keeper.fuse.blown(now) is not None
        raise ZeroDivisionError
    book.keeper.discard_news()
    assert book.keeper.fuse.blown(now) is None


def test_a_held_key_and_a_spent_budget_are_both_told(store: Store, now: datetime) -> None:
    """Every reason to wait is told, each with its date."""
    book = Book(store, now, budget=a_day_of(audio=TEN))
    for _ in range(3):
        book.stage(seconds=10)
    (first,) = book.ask()
    book.answer(first)
    book.keeper.gate.refuse(
        "some-engine",
        EngineError("No.", code="c", trouble=EngineTrouble.KEY),
        now=now,
        asked_at=now,
        key_digest=None,
    )
    assert {hold.trouble for hold in book.keeper.holds(now)} == {
        EngineTrouble.KEY,
        EngineTrouble.BUDGET,
    }


@pytest.mark.parametrize(
    ("facts", "size", "channels", "expected"),
    [
        (AudioFacts(duration=timedelta(seconds=3)), 9, 1, timedelta(seconds=3)),
        (AudioFacts(duration=timedelta(milliseconds=3001)), 9, 1, timedelta(seconds=4)),
        (AudioFacts(duration=timedelta(seconds=3)), 9, 2, timedelta(seconds=6)),
        (AudioFacts(), 7_500, 1, timedelta(seconds=10)),
        (AudioFacts(), 10**9, 1, HOUR),
        (AudioFacts(), 0, 1, HOUR),
    ],
)
def test_what_will_be_billed(
    facts: AudioFacts, size: int, channels: int, expected: timedelta
) -> None:
    """Whole seconds of each channel; an unknown length is the most it can be, never nothing."""
    assert expected_bill(facts, size, longest=HOUR, channels=channels) == expected


def test_days_and_months_end_where_they_should(now: datetime) -> None:
    """Local midnights, also over the end of a year and where a day has 23 hours."""
    begin, end = month_of(now.replace(month=12, day=31))
    assert begin.astimezone().day == end.astimezone().day == 1
    assert (begin.month, end.astimezone().month) == (12, 1)
    begin, end = day_of(now)
    assert begin <= now < end
    assert timedelta(hours=23) <= end - begin <= timedelta(hours=25)
