"""The store: what it keeps, and what it refuses."""

import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from journey_helpers import READING, STAGING, a_recording
from sqlalchemy import text

from asrwatch.errors import EngineTrouble, NeedsPerson, OurBug, StartupError
from asrwatch.journey.evidence import Answer, Output
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.store import EVERY_ENGINE, Hold, Store, StoreTrouble


def _put(store: Store, recording: Recording) -> Recording:
    """Save a recording the way it came about: found, then what it has become."""
    found = Recording.found(
        inbox=recording.inbox,
        path=recording.path,
        fingerprint=recording.fingerprint,
        now=recording.found_at,
    )
    added = store.add(found)
    return store.save(added, replace(recording, id=added.id))


@pytest.mark.parametrize("state", list(State))
def test_a_recording_comes_back_as_it_was_saved(store: Store, now: datetime, state: State) -> None:
    """Every state survives a restart with all its evidence."""
    saved = _put(store, a_recording(state, now))
    folder = store.state_dir
    store.close()
    with Store(folder) as again:
        assert again.get(saved.id) == saved


@pytest.mark.parametrize(
    ("state", "column"),
    [
        ("staged", "sha256"),
        ("staged", "ask_id"),
        ("asking", "asked_at"),
        ("submitted", "ticket"),
        ("transcribed", "answer"),
        ("delivered", "delivered_at"),
        ("failed", "failure"),
        ("parked", "failure"),
    ],
)
def test_the_database_refuses_a_state_without_its_evidence(
    store: Store, now: datetime, state: str, column: str
) -> None:
    """The schema repeats the evidence rules, so that no code can write half a move."""
    saved = _put(store, a_recording(State(state), now))
    with pytest.raises(OurBug, match="CHECK"), store.transaction():
        store._connection.execute(
            text(f"UPDATE recordings SET {column} = NULL WHERE id = :id"),  # noqa: S608 - a column's name from the table above
            {"id": saved.id},
        )


def test_two_requests_for_one_purchase_are_refused_by_the_database(
    store: Store, now: datetime
) -> None:
    """The same content, engine and options can be under way only once."""
    _put(store, a_recording(State.ASKING, now, path=b"/inbox/a.wav"))
    with pytest.raises(OurBug, match="UNIQUE"):
        _put(store, a_recording(State.ASKING, now, path=b"/inbox/b.wav"))


def test_saving_from_a_state_that_is_past_is_our_bug(store: Store, now: datetime) -> None:
    """A move is saved only if the row is still where the move started."""
    staged = _put(store, a_recording(State.STAGED, now))
    store.save(staged, replace(a_recording(State.ASKING, now), id=staged.id))
    with pytest.raises(OurBug):
        store.save(staged, replace(a_recording(State.ASKING, now), id=staged.id))


def test_a_transaction_that_fails_leaves_nothing(store: Store, now: datetime) -> None:
    """What is saved together is saved whole or not at all."""
    with pytest.raises(StoreTrouble), store.transaction():
        _put(store, a_recording(State.SETTLED, now))
        store._connection.exec_driver_sql("INSERT INTO nowhere VALUES (1)")
    assert store.latest_at(b"/inbox/talk.wav") is None


def test_an_answer_is_found_by_its_purchase_for_ever(store: Store, now: datetime) -> None:
    """What was paid for is found by content, engine and options, whatever becomes of the recording."""
    saved = _put(store, a_recording(State.TRANSCRIBED, now))
    store.forget(saved, now=now)
    answer = store.answer_for(READING.purchase)
    assert answer is not None
    assert answer.raw == b'{"text": "hi"}'
    assert store.answer_for("another") is None


def test_the_ledger_counts_asks_and_what_became_of_them(store: Store, now: datetime) -> None:
    """Every announced request is in the ledger before it is made, and its outcome after."""
    staged = _put(store, a_recording(State.STAGED, now))
    asking = store.save(staged, replace(a_recording(State.ASKING, now), id=staged.id))
    assert [(b.outcome, b.ask_id) for b in store.bought_for(asking.id)] == [
        ("open", STAGING.ask_id)
    ]
    answer = Answer(raw=b"{}", received_at=now, billed=timedelta(seconds=7))
    store.save(asking, asking.hear(answer, now=now), outcome="answered")
    assert store.ledger().billed == timedelta(seconds=7)
    assert (store.ledger().asked, store.ledger().answered) == (1, 1)
    assert store.ledger(since=now + timedelta(seconds=1)).asked == 0


def test_a_story_is_told_in_order(store: Store, now: datetime) -> None:
    """Every change of state is told, with its date and note."""
    added = store.add(a_recording(State.SETTLED, now), note="settled")
    failed = replace(a_recording(State.FAILED, now), id=added.id)
    store.save(added, failed, note="it broke")
    assert [(event.before, event.after, event.note) for event in store.story(added.id)] == [
        (None, State.SETTLED, "settled"),
        (State.SETTLED, State.FAILED, "it broke"),
    ]


def test_what_is_nearest_its_end_is_due_first(store: Store, now: datetime) -> None:
    """Answers in hand are delivered before new files are begun."""
    for number, state in enumerate((State.SETTLED, State.STAGED, State.TRANSCRIBED)):
        _put(
            store,
            a_recording(
                state, now, path=b"/%d" % number, sha256=f"{number:064}", ticket=f"t{number}"
            ),
        )
    found = [recording.state for recording in store.due(now, limit=9)]
    assert found == [State.TRANSCRIBED, State.STAGED, State.SETTLED]


def test_waiting_engines_and_later_dates_are_passed_over(store: Store, now: datetime) -> None:
    """A held engine's recordings and those due later are not handed out, and do not wake the daemon."""
    saved = _put(store, a_recording(State.STAGED, now))
    assert store.due(now, limit=9, waiting_engines=["some-engine"]) == ()
    assert store.next_due(waiting_engines=["some-engine"]) is None
    assert store.due(now - timedelta(seconds=1), limit=9) == ()
    assert store.due(now, limit=9, under_way=[saved.id]) == ()
    assert store.next_due() == now


def test_names_of_any_bytes_are_kept(store: Store, now: datetime) -> None:
    """A path is bytes: newlines and what is not UTF-8 come back unchanged."""
    path = b"/inbox/\xff\n\x1b[31m.wav"
    saved = _put(store, a_recording(State.DELIVERED, now, path=path))
    again = store.latest_at(path)
    assert again == saved
    assert store.owner_of(path + b".txt") == saved.id


def test_a_forgotten_file_is_known_until_it_changes(store: Store, now: datetime) -> None:
    """`forget` drops the story; the file counts as seen, so that nothing is paid for it again."""
    saved = _put(store, a_recording(State.PARKED, now))
    store.forget(saved, now=now)
    assert store.all_at(saved.path) == ()
    assert dict(store.known("inbox")) == {saved.path: saved.fingerprint}
    assert store.remember(saved.path)
    assert dict(store.known("inbox")) == {}


def test_what_asrwatch_took_away_itself_is_not_known(store: Store, now: datetime) -> None:
    """A start does not load the names of everything that was ever moved or deleted once it was delivered."""
    kept = _put(store, a_recording(State.DELIVERED, now))
    moved = a_recording(State.DELIVERED, now, path=b"/inbox/moved.wav", ticket="task-2")
    assert moved.delivery is not None
    _put(store, replace(moved, delivery=replace(moved.delivery, original=b"/done/moved.wav")))
    assert dict(store.known("inbox")) == {kept.path: kept.fingerprint}


def test_outputs_are_owned_by_one_recording(store: Store, now: datetime) -> None:
    """Where an output goes is known before it is written, and to whom it belongs."""
    saved = _put(store, a_recording(State.TRANSCRIBED, now))
    owning = saved.owning((Output(format="txt", path=b"/out/talk.txt", sha256=""),))
    store.save(saved, owning)
    assert store.owner_of(b"/out/talk.txt") == saved.id
    assert store.get(saved.id) == owning


def test_holds_survive_a_restart(store: Store, now: datetime) -> None:
    """A hold is still there, with its reason, when asrwatch comes back."""
    hold = Hold(
        scope=EVERY_ENGINE,
        since=now,
        until=now,
        count=2,
        trouble=EngineTrouble.KEY,
        code="InvalidApiKey",
        message="Bad key.",
        advice="Mend it.",
        key_digest="1234",
    )
    store.hold(hold)
    folder = store.state_dir
    store.close()
    with Store(folder) as again:
        assert again.holds() == (hold,)
        again.release(EVERY_ENGINE)
        assert again.holds() == ()


def test_a_second_opener_is_refused(store: Store) -> None:
    """Two daemons on one state folder: the second is told so at once."""
    with pytest.raises(StartupError, match="Another asrwatch"):
        Store(store.state_dir)


def test_a_killed_opener_leaves_no_lock(tmp_path: Path) -> None:
    """A lock ends with its process, however that ends."""
    code = (
        "import os, sys; from pathlib import Path; from asrwatch.journey.store import Store; "
        "Store(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    with Store(tmp_path) as again:
        assert again.count_by_state()[State.SETTLED] == 0


def test_a_newer_database_is_refused(store: Store) -> None:
    """A database of a later asrwatch is left alone, with the way out said."""
    with store.transaction():
        store._connection.exec_driver_sql("PRAGMA user_version = 99")
    folder = store.state_dir
    store.close()
    with pytest.raises(StartupError, match="newer asrwatch"):
        Store(folder)


def test_a_damaged_database_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """A file that is no database stops the start with what to do. [S07]."""
    (tmp_path / "asrwatch.db").write_bytes(b"this is not a database" * 100)
    with pytest.raises(NeedsPerson, match="is damaged"):
        Store(tmp_path)


def test_every_commit_is_synced(store: Store) -> None:
    """WAL with synchronous=FULL: an acknowledged commit survives a power cut (reliability.md finding 9)."""
    with store.transaction():
        assert store._connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert store._connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_an_id_is_never_anothers(store: Store, now: datetime) -> None:
    """What was dropped or forgotten leaves its number behind: the ledger's rows can name nobody else by it."""
    first = store.add(a_recording(State.SETTLED, now))
    store.drop(first)
    second = store.add(a_recording(State.SETTLED, now))
    assert second.id > first.id
