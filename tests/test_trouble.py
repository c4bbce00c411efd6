"""What every error does to a recording."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journey_helpers import a_recording

from asrwatch.errors import (
    AnswerLost,
    AsrwatchError,
    BillUnknown,
    DoesNotFit,
    EngineError,
    EngineTrouble,
    RecordingError,
    SourceChanged,
    TemporaryError,
    TicketLost,
    UrlExpired,
)
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.trouble import LONGEST_WAIT, Suffered, backoff, suffer, unexpected

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
PATIENCE = timedelta(days=3)


def _suffer(
    recording: Recording, error: AsrwatchError, *, now: datetime = NOW, automatic: bool = True
) -> Suffered:
    return suffer(
        recording, error, now=now, patience=PATIENCE, automatic=automatic, chance=lambda: 0.5
    )


def _error(kind: type[AsrwatchError]) -> AsrwatchError:
    return kind("It happened.", code="c", advice="Do.")


@pytest.mark.parametrize(
    ("error", "state", "becomes", "outcome"),
    [
        (_error(RecordingError), State.SETTLED, State.FAILED, ""),
        (_error(RecordingError), State.ASKING, State.FAILED, "refused"),
        (_error(TemporaryError), State.SETTLED, State.SETTLED, ""),
        (_error(TemporaryError), State.ASKING, State.STAGED, "refused"),
        (_error(TemporaryError), State.TRANSCRIBED, State.TRANSCRIBED, ""),
        (_error(TemporaryError), State.SUBMITTED, State.SETTLED, "bill_unknown"),
        (_error(UrlExpired), State.ASKING, State.SETTLED, "refused"),
        (_error(UrlExpired), State.SUBMITTED, State.SETTLED, "bill_unknown"),
        (_error(BillUnknown), State.ASKING, State.STAGED, "bill_unknown"),
        (_error(SourceChanged), State.SETTLED, State.SETTLED, ""),
        (_error(SourceChanged), State.ASKING, State.SETTLED, "refused"),
        (_error(DoesNotFit), State.ASKING, State.SETTLED, "refused"),
        (_error(AnswerLost), State.ASKING, State.ASKING, "lost"),
        (_error(TicketLost), State.SUBMITTED, State.PARKED, "lost"),
        (
            EngineError("No.", code="c", trouble=EngineTrouble.KEY),
            State.ASKING,
            State.STAGED,
            "refused",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, AsrwatchError) else str(value),
)
def test_the_class_of_an_error_says_what_happens(
    error: AsrwatchError, state: State, becomes: State, outcome: str
) -> None:
    """Each class of error has one effect on a recording in each state it can meet."""
    after, note, ledger = _suffer(a_recording(state, NOW), error)
    assert (after.state, ledger) == (becomes, outcome)
    assert note


def test_an_unexpected_error_fails_one_recording() -> None:
    """An error of our own fails the recording, with how to go on."""
    after, _, _ = unexpected(a_recording(State.TRANSCRIBED, NOW), ZeroDivisionError(), now=NOW)
    assert after.state is State.FAILED
    assert after.failure is not None
    assert after.failure.error == "ZeroDivisionError"


def test_an_unexpected_error_with_money_under_way_is_reconciled() -> None:
    """Whatever goes wrong of our own while a paid request is out, its fate is found out, not guessed."""
    after, _, outcome = unexpected(a_recording(State.ASKING, NOW), ZeroDivisionError(), now=NOW)
    assert (after.state, outcome) == (State.ASKING, "lost")
    assert after.due > NOW


def test_a_lost_answer_is_never_aged_into_failure() -> None:
    """Unknown stays unknown; when patience ends a person decides about the money."""
    lost, _, _ = _suffer(a_recording(State.ASKING, NOW), _error(AnswerLost))
    later, _, _ = _suffer(lost, _error(AnswerLost), now=NOW + PATIENCE + timedelta(seconds=1))
    assert later.state is State.PARKED


def test_patience_ends() -> None:
    """Temporary trouble that outlasts the inbox's patience fails the recording with the last reason."""
    first, _, _ = _suffer(a_recording(State.SETTLED, NOW), _error(TemporaryError))
    assert first.trouble is not None
    assert first.trouble.count == 1
    last, _, _ = _suffer(first, _error(TemporaryError), now=NOW + PATIENCE + timedelta(seconds=1))
    assert last.state is State.FAILED
    assert last.failure is not None
    assert last.failure.message == "It happened."


def test_an_engine_is_given_up_once() -> None:
    """A recording refused for its size goes to another engine, and is not sent to the first again."""
    first, _, _ = _suffer(a_recording(State.ASKING, NOW), _error(DoesNotFit))
    assert first.engines_refused == ("some-engine",)
    again = replace(a_recording(State.ASKING, NOW), engines_refused=first.engines_refused)
    assert _suffer(again, _error(DoesNotFit))[0].state is State.FAILED


def test_an_engine_named_by_the_inbox_is_not_replaced() -> None:
    """Where a person chose the engine, its refusal fails the recording."""
    after, _, _ = _suffer(a_recording(State.ASKING, NOW), _error(DoesNotFit), automatic=False)
    assert after.state is State.FAILED


def test_a_url_that_stays_unreachable_is_given_up() -> None:
    """The audio is published afresh a few times, then the recording fails with the cloud's reason."""
    recording = a_recording(State.SUBMITTED, NOW)
    for _ in range(3):
        after, _, _ = _suffer(recording, _error(UrlExpired))
        assert after.state is State.SETTLED
        recording = replace(a_recording(State.SUBMITTED, NOW), trouble=after.trouble)
    assert _suffer(recording, _error(UrlExpired))[0].state is State.FAILED


def test_a_task_that_keeps_failing_is_not_bought_for_ever() -> None:
    """A task the cloud failed for a passing reason is submitted once more, not for days."""
    after, _, _ = _suffer(a_recording(State.SUBMITTED, NOW), _error(TemporaryError))
    again = replace(a_recording(State.SUBMITTED, NOW), trouble=after.trouble)
    assert _suffer(again, _error(TemporaryError))[0].state is State.FAILED


def test_an_error_whose_bill_is_unknown_is_not_bought_for_days() -> None:
    """The third in a row parks the recording: each may be billed, and a person decides."""
    recording = a_recording(State.ASKING, NOW)
    for number in (2, 3):
        after, _, outcome = _suffer(recording, _error(BillUnknown))
        assert (after.state, outcome) == (State.STAGED, "bill_unknown")
        recording = replace(a_recording(State.ASKING, NOW), trouble=after.trouble, attempts=number)
    parked, _, outcome = _suffer(recording, _error(BillUnknown))
    assert (parked.state, outcome) == (State.PARKED, "bill_unknown")
    assert parked.failure is not None
    assert "asrwatch retry" in parked.failure.advice


def test_retry_after_is_honoured_but_bounded() -> None:
    """What the other side asks for is waited, an absurd wish is not [A04]."""
    for asked, waited in (
        (timedelta(minutes=2), timedelta(minutes=2)),
        (timedelta(days=9), LONGEST_WAIT),
    ):
        error = TemporaryError("Later.", code="c", retry_after=asked)
        after, _, _ = _suffer(a_recording(State.SETTLED, NOW), error)
        assert after.due == NOW + waited


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_waits_grow_with_jitter_and_are_bounded(count: int, chance: float) -> None:
    """A wait is never zero, never beyond the longest, and at least half of its doubling."""
    wait = backoff(count, lambda: chance)
    assert timedelta(seconds=2.5) <= wait <= LONGEST_WAIT
    assert wait >= backoff(max(count - 1, 1), lambda: 0.0)


def test_what_may_cost_money_is_counted_by_itself() -> None:
    """A night without network leaves every recording its second task, its fresh URLs and its asking again."""
    recording = a_recording(State.STAGED, NOW)
    for _ in range(9):
        recording, _, _ = _suffer(recording, _error(TemporaryError))
    night = recording.trouble
    for kind, state, becomes in (
        (TemporaryError, State.SUBMITTED, State.SETTLED),
        (UrlExpired, State.SUBMITTED, State.SETTLED),
        (AnswerLost, State.ASKING, State.ASKING),
    ):
        after, _, _ = _suffer(replace(a_recording(state, NOW), trouble=night), _error(kind))
        assert after.state is becomes
        assert after.trouble is not None
        assert (after.trouble.tasks, after.trouble.urls, after.trouble.lost).count(1) == 1


def test_one_loss_counts_once() -> None:
    """However often the loss of one request's answer is told, one answer was lost; the next one's is another."""
    recording = a_recording(State.ASKING, NOW)
    for _ in range(3):
        recording, _, _ = _suffer(recording, _error(AnswerLost))
    assert recording.trouble is not None
    assert (recording.trouble.count, recording.trouble.lost) == (3, 1)
    again, _, _ = _suffer(replace(recording, attempts=2), _error(AnswerLost))
    assert again.trouble is not None
    assert again.trouble.lost == 2
