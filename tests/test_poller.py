"""Polling dates and rounds."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from fake_engine import FakeEngine, fake_engine
from hypothesis import given
from hypothesis import strategies as st
from journey_helpers import a_recording

from asrwatch.engines import Heard, StillOut
from asrwatch.errors import AsrwatchError, TemporaryError, TicketLost
from asrwatch.journey.evidence import Answer
from asrwatch.journey.poller import TaskNews, ask_about, next_wait, soon
from asrwatch.journey.recording import Recording, State

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def _tasks(number: int) -> list[Recording]:
    return [replace(a_recording(State.SUBMITTED, NOW, ticket=f"t{n}"), id=n) for n in range(number)]


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=2)))
def test_waits_grow_from_five_to_twenty_seconds(age: timedelta) -> None:
    """Tasks are asked about every 5 to 20 seconds, the younger the more often."""
    assert timedelta(seconds=5) <= next_wait(age) <= timedelta(seconds=20)
    assert next_wait(age) <= next_wait(age + timedelta(minutes=1))


def test_tasks_due_soon_are_taken_along() -> None:
    """If one is due, those due within two seconds are asked about with it, the others are not."""
    first, second, third = _tasks(3)
    tasks = (
        first,
        replace(second, due=NOW + timedelta(seconds=1)),
        replace(third, due=NOW + timedelta(seconds=9)),
    )
    taken = soon(tasks, due=lambda recording: recording.due <= NOW)
    assert [recording.id for recording in taken] == [0, 1]
    assert soon(tasks, due=lambda recording: recording.due < NOW) == ()


class _Checking(FakeEngine):
    """Answers each ticket by a script; an error in the script is raised there."""

    script: Sequence[tuple[str, Heard | StillOut | AsrwatchError] | AsrwatchError] = ()

    def check(
        self, tickets: Sequence[str]
    ) -> Iterator[tuple[str, Heard | StillOut | AsrwatchError]]:
        assert tickets
        for line in self.script:
            if isinstance(line, AsrwatchError):
                raise line
            yield line


def _round(*script: tuple[str, Heard | StillOut | AsrwatchError] | AsrwatchError) -> list[TaskNews]:
    engine = fake_engine(_Checking)
    engine.script = script
    told: list[TaskNews] = []
    ask_about(_tasks(3), {"some-engine": engine}, told.append, go_on=lambda: True)
    return told


def test_every_task_of_a_round_gets_news() -> None:
    """Answers, errors about a task, and silence about one all come back, each with its recording."""
    heard = Heard(answer=Answer(raw=b"{}", received_at=NOW))
    told = _round(("t1", heard), ("t0", TicketLost("Gone.", code="UNKNOWN")))
    assert [(news.recording.id, type(news.news)) for news in told] == [
        (1, Heard),
        (0, TicketLost),
        (2, StillOut),
    ]


def test_trouble_on_the_way_says_nothing_of_a_task() -> None:
    """When the way to the cloud is barred, the tasks it was to answer for are not touched by it."""
    told = _round(("t2", StillOut(status="RUNNING")), TemporaryError("No way.", code="no-way"))
    assert [(news.recording.id, news.final) for news in told] == [(2, True), (0, False), (1, False)]


def test_a_round_stops_when_told_to() -> None:
    """A clean stop does not wait for hundreds of queries."""
    engine = fake_engine(_Checking)
    engine.script = [(f"t{n}", StillOut(status="RUNNING")) for n in range(3)]
    told: list[TaskNews] = []
    ask_about(_tasks(3), {"some-engine": engine}, told.append, go_on=lambda: False)
    assert len(told) == 1
