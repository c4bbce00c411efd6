"""The state table and the moves."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journey_helpers import FAILURE, FINGERPRINT, PLAN, READING, STAGING, a_recording

from asrwatch.errors import OurBug
from asrwatch.journey.evidence import Asking, Task
from asrwatch.journey.plan import Plan, purchase_key
from asrwatch.journey.recording import NEXT, Recording, State

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)


def _moves(recording: Recording) -> dict[State, Recording]:
    """Try every move that leads to another kind of state."""
    answered = a_recording(State.TRANSCRIBED, NOW)
    delivered = a_recording(State.DELIVERED, NOW)
    answer, delivery = answered.answer, delivered.delivery
    assert answer is not None
    assert delivery is not None
    tries: dict[State, Callable[[], Recording]] = {
        State.SETTLED: lambda: recording.resettle(now=LATER),
        State.CUT: lambda: recording.cut_up(STAGING, now=LATER),
        State.STAGED: lambda: recording.stage(STAGING, now=LATER),
        State.ASKING: lambda: (
            recording.recall(now=LATER)
            if recording.state is State.PARKED
            else recording.announce(Asking(asked_at=LATER, who="t"), now=LATER)
        ),
        State.SUBMITTED: lambda: recording.submit(
            Task(ticket="t", submitted_at=LATER), now=LATER, due=LATER
        ),
        State.TRANSCRIBED: lambda: recording.hear(answer, now=LATER),
        State.DELIVERED: lambda: recording.deliver(delivery, now=LATER),
        State.FAILED: lambda: recording.fail(FAILURE, now=LATER),
        State.PARKED: lambda: recording.park(FAILURE, now=LATER),
    }
    done: dict[State, Recording] = {}
    for state, move in tries.items():
        try:
            done[state] = move()
        except OurBug:
            continue
    return done


@pytest.mark.parametrize("state", list(State))
def test_moves_are_exactly_those_of_the_table(state: State) -> None:
    """Every move in the table works, and every move not in it raises."""
    assert set(_moves(a_recording(state, NOW))) == set(NEXT[state])


def test_the_table_names_every_state() -> None:
    """No state is without a line in the table, and every state but delivered can be left by itself or a person."""
    assert set(NEXT) == set(State)
    assert all(NEXT[state] for state in State)


@pytest.mark.parametrize("state", list(State))
def test_a_move_sets_its_state_and_its_date(state: State) -> None:
    """After a move the recording is in the new state, since now."""
    for target, moved in _moves(a_recording(state, NOW)).items():
        assert moved.state is target
        assert moved.changed_at == LATER


def test_an_attempt_is_counted_before_it_is_made() -> None:
    """Announcing a request counts the attempt, whatever becomes of it."""
    staged = a_recording(State.STAGED, NOW)
    assert a_recording(State.ASKING, NOW).attempts == staged.attempts + 1


def test_only_failed_and_parked_hold_a_failure() -> None:
    """A failure is evidence of failed and parked, and of nothing else."""
    for state in State:
        holds = a_recording(state, NOW).failure is not None
        assert holds == (state in {State.FAILED, State.PARKED})


def test_starting_over_forgets_what_rested_on_the_file() -> None:
    """A resettled recording holds no reading, no URL, no task and no answer."""
    over = a_recording(State.SUBMITTED, NOW).resettle(now=LATER, fingerprint=FINGERPRINT)
    assert (over.reading, over.staging, over.asking, over.task, over.answer) == (None,) * 5


def test_a_retry_with_an_answer_in_hand_only_delivers_again() -> None:
    """What was paid for is never asked for again by a retry."""
    failed = a_recording(State.TRANSCRIBED, NOW).fail(FAILURE, now=NOW)
    assert failed.retry(now=LATER).state is State.TRANSCRIBED
    assert a_recording(State.DELIVERED, NOW).retry(now=LATER).state is State.TRANSCRIBED


def test_a_retry_without_an_answer_starts_from_the_file() -> None:
    """A failed or parked recording without an answer settles anew, its attempts counted from zero."""
    for state in (State.FAILED, State.PARKED):
        again = a_recording(state, NOW).retry(now=LATER)
        assert (again.state, again.attempts, again.due) == (State.SETTLED, 0, LATER)


def test_a_naive_date_is_our_bug() -> None:
    """Dates without a time zone never get into a recording."""
    with pytest.raises(OurBug):
        Recording.found(
            inbox="i",
            path=b"/p",
            fingerprint=FINGERPRINT,
            now=datetime(2026, 1, 1),  # noqa: DTZ001 - the naive date is the point
        )


def test_a_purchase_is_the_same_whatever_the_order_of_options() -> None:
    """The same content, engine, model and options are one purchase, in whatever order they are written."""
    one = replace(PLAN, options={"a": 1, "b": [1, 2]})
    other = replace(PLAN, options={"b": [1, 2], "a": 1}, reasons=("others",), left_out=("x",))
    assert purchase_key("00", one) == purchase_key("00", other)


@given(st.sampled_from(["sha256", "engine", "model", "options"]), st.text(min_size=1))
def test_a_purchase_differs_with_everything_that_changes_the_answer(field: str, text: str) -> None:
    """Other content, another engine, model or option is another purchase."""
    base = Plan(engine="e", model="m", options={"o": ""})
    if field == "sha256":
        assert purchase_key("x" + text, base) != purchase_key("x", base)
    elif field == "options":
        assert purchase_key("x", replace(base, options={"o": text})) != purchase_key("x", base)
    else:
        other = f"other {text}"
        changed = replace(base, engine=other) if field == "engine" else replace(base, model=other)
        assert purchase_key("x", changed) != purchase_key("x", base)


def test_a_purchase_key_never_changes_between_versions() -> None:
    """The key is stored for ever: a change of it would buy everything a second time."""
    assert READING.purchase == "906957df58605e914c2826731feaffa0d4ad046403b99197484c5555717e5edb"
