"""Answers to paid requests are on the disk before anybody reads them."""

import errno
import io
import json
import os
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cloud_helpers import Answer as Served
from cloud_helpers import Server, cloud_at, engine_named, json_answer
from desk_helpers import settings_of
from money_helpers import Book

from asrwatch.cloud.wire import Reply
from asrwatch.desk import Desk
from asrwatch.desk.questions import AskRetry
from asrwatch.desk.reports.treatment import Treatment
from asrwatch.engines import Ask, Engine, Heard, LocalAudio, Pending, RemoteAudio
from asrwatch.errors import AnswerLost, RecordingError
from asrwatch.journey import journey
from asrwatch.journey.plan import Wishes
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.spool import FOLDER, UNREADABLE, Spool
from asrwatch.journey.store import Store
from asrwatch.journey.trouble import READ_AGAIN

ASK = "a" * 32
REPLY = Reply(status=200, headers={"x-request-id": "r"}, body=b'{"text":\n "h\xff"}', whole=False)
GOOD = {
    "output": {"task_id": "t-1", "task_status": "PENDING"},
    "choices": [{"finish_reason": "stop", "message": {"content": "hello"}}],
    "usage": {"seconds": 3},
}
NAMES = ("qwen3-asr-flash", "qwen3-asr-flash-filetrans", "qwen-audio-asr")


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """An empty spool."""
    return Spool(tmp_path / "answers")


def ask_for(engine: Engine[Any]) -> Ask:
    """A request that the engine takes."""
    if not engine.takes_bytes:
        return Ask(id=ASK, audio=RemoteAudio(url="http://127.0.0.1:9/a.wav"), wishes=Wishes())
    stream = io.BytesIO(b"RIFF....")
    return Ask(id=ASK, audio=LocalAudio(stream=stream, size=8, mime="audio/wav"), wishes=Wishes())


def test_an_answer_comes_back_as_it_was_kept(spool: Spool, tmp_path: Path) -> None:
    """Status, headers, body and whether it was whole: bytes of any kind, in a file only we may read."""
    assert spool.recall(ASK) is None
    spool.keep(ASK, REPLY)
    assert spool.recall(ASK) == REPLY
    (file,) = (tmp_path / "answers").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    spool.drop(ASK)
    assert spool.recall(ASK) is None
    spool.drop(ASK)


def test_a_start_sweeps_what_nobody_needs(spool: Spool, tmp_path: Path) -> None:
    """Answers of requests whose end is known go, and drafts of a killed process; others stay."""
    spool.sweep(())
    for name in (ASK, "b" * 32):
        spool.keep(name, REPLY)
    (tmp_path / "answers" / "c.part").write_bytes(b"half")
    spool.sweep({ASK})
    assert [file.stem for file in (tmp_path / "answers").iterdir()] == [ASK]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_disk_that_takes_nothing_loses_no_answer(tmp_path: Path) -> None:
    """Where an answer cannot be kept it still goes on to its row: only the second safety is missing."""
    (tmp_path / "state").mkdir(mode=0o500)
    Spool(tmp_path / "state" / "answers").keep(ASK, REPLY)


def test_a_full_disk_loses_no_answer(tmp_path: Path) -> None:
    """A folder that cannot be made is no reason to drop what was paid for."""
    (tmp_path / "state").write_text("a file where a folder should be")
    Spool(tmp_path / "state" / "answers").keep(ASK, REPLY)


def test_an_answer_that_cannot_be_read_now_stays_unknown(spool: Spool, tmp_path: Path) -> None:
    """With an answer on a failing disk nothing is asked again: it would be paid twice for certain."""
    (tmp_path / "answers" / f"{ASK}.answer").mkdir(parents=True)
    with pytest.raises(AnswerLost) as raised:
        spool.recall(ASK)
    assert raised.value.code == UNREADABLE
    assert os.strerror(errno.EISDIR) in str(raised.value)


@pytest.mark.parametrize("name", NAMES)
def test_every_engine_keeps_and_recalls(name: str, spool: Spool) -> None:
    """What `start` answered can be had again for nothing, from the file alone."""
    with Server(lambda _: json_answer(GOOD)) as server:
        engine = engine_named(name, cloud_at(server.url, spool=spool))
        assert engine.recall(ASK) is None
        first = engine.start(ask_for(engine))
        again = engine.recall(ASK)
        assert len(server.asked) == 1
    match first, again:
        case Heard(answer=there), Heard(answer=here):
            assert (here.raw, here.billed) == (there.raw, timedelta(seconds=3))
        case Pending(ticket="t-1"), Pending(ticket="t-1"):
            pass
        case _:
            pytest.fail(f"{first} and {again}")


@pytest.mark.parametrize("name", NAMES)
def test_a_refusal_is_not_kept(name: str, spool: Spool) -> None:
    """Only what may have been paid for is worth two syncs of the disk."""
    body = json.dumps({"code": "InvalidParameter", "message": "no"}).encode()
    with Server(lambda _: Served(status=400, body=body)) as server:
        engine = engine_named(name, cloud_at(server.url, spool=spool))
        with pytest.raises(RecordingError):
            engine.start(ask_for(engine))
    assert spool.recall(ASK) is None


class Recalling:
    """How `some-engine` recalls."""

    def __init__(self, outcome: Heard | Exception) -> None:
        self.outcome = outcome

    def __call__(self, ask_id: str) -> Heard:
        """The answer that was kept."""
        assert ask_id
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def _reconciled(book: Book, asking: Recording, outcome: Heard | Exception) -> Recording:
    route = book.keeper.routes["inbox"]
    engine = route.engines["some-engine"]
    engine.recall = Recalling(outcome)  # type: ignore[method-assign] # of this one engine
    return journey.advance(asking, route, clock=lambda: book.now)


def test_a_kept_answer_is_not_asked_for_again(store: Store, now: datetime) -> None:
    """After a crash between answer and row, the next start reads the file: one payment, one answer."""
    book = Book(store, now)
    book.stage()
    (asking,) = book.ask()
    book.open()
    after = _reconciled(book, asking, Heard(answer=book.answer_of(asking)))
    book.keeper.moved(asking, after, now=now)
    assert book.states() == {State.TRANSCRIBED: 1}
    ledger = store.ledger()
    assert (ledger.asked, ledger.answered, ledger.perhaps_twice) == (1, 1, 0)


def test_a_kept_fragment_is_no_answer(store: Store, now: datetime) -> None:
    """What was cut off on its way is asked for again, as the inbox says."""
    book = Book(store, now)
    book.stage()
    (asking,) = book.ask()
    after = _reconciled(book, asking, AnswerLost("Half.", code="unreadable-answer"))
    assert after.state is State.STAGED


def test_an_unreadable_disk_asks_nothing_again(store: Store, now: datetime) -> None:
    """The answer is there: its recording stays unknown until the disk gives it back."""
    book = Book(store, now)
    book.stage()
    (asking,) = book.ask()
    with pytest.raises(AnswerLost):
        _reconciled(book, asking, AnswerLost("Bad disk.", code=UNREADABLE))


def test_a_fault_in_reading_is_never_paid_for(store: Store, now: datetime) -> None:
    """An answer that asrwatch itself stumbles over is read a few times, then parked; never asked for again."""
    book = Book(store, now)
    book.stage()
    (asking,) = book.ask()
    for _ in range(READ_AGAIN):
        book.keeper.surprised(asking, RecursionError(), now=book.now)
        found = store.get(asking.id)
        assert found is not None
        asking = found
        book.now += timedelta(minutes=1)
    assert asking.state is State.PARKED
    assert asking.failure is not None
    assert "answers" in asking.failure.advice
    assert store.ledger().asked == 1


def _parked(book: Book, asking: Recording) -> Recording:
    """Its answer lies on the disk, and asrwatch stumbles over it until a person has to look."""
    while asking.state is State.ASKING:
        book.keeper.surprised(asking, RecursionError(), now=book.now)
        found = book.store.get(asking.id)
        assert found is not None
        asking = found
        book.now += timedelta(minutes=1)
    assert asking.state is State.PARKED
    return asking


def test_a_retry_reads_what_is_on_the_disk_first(
    store: Store, now: datetime, tmp_path: Path
) -> None:
    """What a fault of ours kept from being read is read by the mended version, and not paid for a second time."""
    book = Book(store, now)
    book.stage()
    (asking,) = book.ask()
    assert asking.staging is not None
    Spool(store.state_dir / FOLDER).keep(asking.staging.ask_id, replace(REPLY, whole=True))
    _parked(book, asking)
    report = Desk(settings_of(tmp_path), store).answer(AskRetry(parked=True))
    assert isinstance(report, Treatment)
    assert "costs nothing" in report.treated[0].what
    (again,) = store.in_state(State.ASKING)
    after = _reconciled(book, again, Heard(answer=book.answer_of(again)))
    book.keeper.moved(again, after, now=book.now)
    assert book.states() == {State.TRANSCRIBED: 1}
    ledger = store.ledger()
    assert (ledger.asked, ledger.answered, ledger.perhaps_twice) == (1, 1, 0)


def test_a_second_retry_asks_anew(store: Store, now: datetime, tmp_path: Path) -> None:
    """An answer that stays unreadable is paid for again when a person says so twice, and the ledger knows."""
    book = Book(store, now)
    book.stage()
    (asking,) = book.ask()
    assert asking.staging is not None
    Spool(store.state_dir / FOLDER).keep(asking.staging.ask_id, replace(REPLY, whole=True))
    _parked(book, asking)
    desk = Desk(settings_of(tmp_path), store)
    desk.answer(AskRetry(parked=True))
    _parked(book, *store.in_state(State.ASKING))
    report = desk.answer(AskRetry(parked=True))
    assert isinstance(report, Treatment)
    assert "second time" in report.treated[0].what
    assert book.states() == {State.SETTLED: 1}
    assert (store.ledger().asked, store.ledger().perhaps_twice) == (1, 1)


def test_what_is_on_its_way_and_what_is_kept_are_told_apart(spool: Spool) -> None:
    """A second answer to the same request takes the place of the first."""
    spool.keep(ASK, REPLY)
    spool.keep(ASK, replace(REPLY, whole=True))
    kept = spool.recall(ASK)
    assert kept is not None
    assert kept.whole
