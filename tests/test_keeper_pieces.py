"""What becomes of a recording that was cut, and of its pieces, with a real store and no threads."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from journey_helpers import FAILURE, FINGERPRINT, READING

from asrwatch.audio import cutting
from asrwatch.errors import RecordingError, SourceChanged, TemporaryError, TicketLost
from asrwatch.inbox.messages import FileSettled
from asrwatch.journey.evidence import Answer, Asking, Delivery, Staging
from asrwatch.journey.joining import pieces_in
from asrwatch.journey.keeper import Keeper
from asrwatch.journey.plan import Piece, Preparation, Prepared
from asrwatch.journey.recording import Recording, State

MINUTE = timedelta(minutes=1)
HOW = cutting.near(MINUTE, 2 * MINUTE)
CUT = replace(READING, plan=replace(READING.plan, preparation=Preparation.CUT, cut=HOW))


def _pieces(number: int = 3) -> tuple[Piece, ...]:
    return tuple(
        Piece(
            number=n + 1,
            of=number,
            begin=n * MINUTE,
            end=(n + 1) * MINUTE,
            copy=Prepared(
                name=f"c-{n}.flac",
                container="flac",
                size=1,
                sha256=str(n),
                duration=MINUTE,
                channels=1,
            ),
        )
        for n in range(number)
    )


def _cut(keeper: Keeper, now: datetime, *, path: bytes = b"/inbox/talk.wav") -> Recording:
    found = Recording.found(inbox="inbox", path=path, fingerprint=FINGERPRINT, now=now)
    read = keeper.store.add(found).read(CUT, now=now)
    keeper.store.save(found if not read.id else replace(found, id=read.id), read)
    return _cut_again(keeper, read, now)


def _cut_again(keeper: Keeper, settled: Recording, now: datetime) -> Recording:
    whole = settled.cut_up(Staging(ask_id="cut", pieces=_pieces()), now=now)
    with keeper.store.transaction():
        keeper.moved(settled, whole, now=now)
    return _there(keeper, settled.id)


def _there(keeper: Keeper, number: int) -> Recording:
    found = keeper.store.get(number)
    assert found is not None
    return found


def _rows(keeper: Keeper, whole: Recording) -> list[Recording]:
    return list(keeper.store.pieces_of(whole.id))


def _ask(keeper: Keeper, piece: Recording, now: datetime) -> Recording:
    staged = piece.stage(Staging(ask_id=f"ask-{piece.id}"), now=now)
    asking = staged.announce(Asking(asked_at=now, who="test"), now=now)
    keeper.book.save(piece, staged)
    keeper.book.save(staged, asking)
    return asking


def _hear(keeper: Keeper, asking: Recording, now: datetime) -> None:
    """Answered, and found readable."""
    answer = Answer(raw=b'{"text": "hi"}', received_at=now, billed=MINUTE)
    heard = asking.hear(answer, now=now)
    with keeper.store.transaction():
        keeper.moved(asking, heard, now=now)
        done = heard.deliver(Delivery(delivered_at=now, outputs=(), original=None), now=now)
        keeper.moved(heard, done, now=now)


def _suffer(keeper: Keeper, piece: Recording, error: Exception, now: datetime) -> None:
    with keeper.store.transaction():
        keeper.suffered(piece, error, now=now)  # type: ignore[arg-type] # errors of ours


def test_people_see_the_recording_alone(keeper: Keeper, now: datetime) -> None:
    """Pieces are rows of their own that no list, count or look-up by path tells of."""
    whole, store = _cut(keeper, now), keeper.store
    assert whole.state is State.CUT
    assert len(_rows(keeper, whole)) == 3
    assert sum(store.count_by_state().values()) == 1
    assert store.all_at(whole.path) == store.below(b"/inbox") == store.in_state(*State) == (whole,)
    assert store.latest_at(whole.path) == whole
    assert [path for path, _ in store.known("inbox")] == [whole.path]
    assert store.oldest_waiting() == whole
    assert store.left_to_do(["inbox"]) == 3
    assert {change.after.part_of for change in keeper.take_news()} == {None, whole.id}


def test_the_last_piece_makes_the_answer(keeper: Keeper, now: datetime) -> None:
    """When all are heard the recording has one answer, with what was billed for all; the pieces' rows are gone."""
    whole = _cut(keeper, now)
    for row in reversed(_rows(keeper, whole)):
        assert _there(keeper, whole.id).state is State.CUT
        _hear(keeper, _ask(keeper, row, now), now)
    whole = _there(keeper, whole.id)
    assert whole.state is State.TRANSCRIBED
    assert whole.answer is not None
    assert whole.answer.billed == 3 * MINUTE
    assert [piece.number for piece in pieces_in(whole.answer)] == [1, 2, 3]
    assert not _rows(keeper, whole)
    bought = keeper.store.bought_for(whole.id)
    assert [(one.outcome, one.piece) for one in bought] == [("answered", n) for n in (3, 2, 1)]


def test_a_failed_piece_fails_the_recording(keeper: Keeper, now: datetime) -> None:
    """It fails with the piece's place; what was not asked is dropped, what is in flight stays, asked only once."""
    whole = _cut(keeper, now)
    first, second, _ = _rows(keeper, whole)
    flying = _ask(keeper, first, now)
    refused = RecordingError("Refused.", code="refused", advice="Look.")
    _suffer(keeper, _ask(keeper, second, now), refused, now)
    whole = _there(keeper, whole.id)
    assert whole.state is State.FAILED
    assert whole.failure is not None
    assert whole.failure.message == "Piece 2 of 3, 1:00-2:00: Refused."
    assert [row.state for row in _rows(keeper, whole)] == [State.ASKING, State.FAILED]
    _hear(keeper, flying, now)
    assert _there(keeper, whole.id).state is State.FAILED
    again = whole.retry(now=now).read(CUT, now=now)
    keeper.store.save(whole, again)
    whole = _cut_again(keeper, again, now)
    rows = {row.piece.number: row for row in _rows(keeper, whole) if row.piece}
    assert [rows[n].state for n in (1, 2, 3)] == [State.DELIVERED, State.SETTLED, State.SETTLED]
    assert rows[1].id == first.id


def test_a_piece_that_was_let_go_under_way_is_no_fault(keeper: Keeper, now: datetime) -> None:
    """A worker that brings back a piece nobody waits for any more, in whatever state, leaves the books as they are."""
    whole = _cut(keeper, now)
    first, second, third = _rows(keeper, whole)
    _suffer(keeper, _ask(keeper, first, now), RecordingError("No.", code="no"), now)
    before = (_there(keeper, whole.id), _rows(keeper, whole))
    assert [row.state for row in before[1]] == [State.FAILED]
    with keeper.store.transaction():
        keeper.moved(second, second.stage(Staging(ask_id="late"), now=now), now=now)
    _suffer(keeper, third, SourceChanged("Its copy is gone.", code="not-prepared"), now)
    with keeper.store.transaction():
        keeper.surprised(third, ValueError("of a worker"), now=now)
    assert (_there(keeper, whole.id), _rows(keeper, whole)) == before


def test_an_answer_in_flight_is_waited_for(keeper: Keeper, now: datetime) -> None:
    """Taken up again while a piece of before is still out, that one counts for its place, and is not bought twice."""
    whole = _cut(keeper, now)
    first, second, _ = _rows(keeper, whole)
    flying = _ask(keeper, first, now)
    _suffer(keeper, _ask(keeper, second, now), RecordingError("No.", code="no"), now)
    whole = _there(keeper, whole.id)
    again = whole.retry(now=now).read(CUT, now=now)
    keeper.store.save(whole, again)
    whole = _cut_again(keeper, again, now)
    for row in _rows(keeper, whole):
        if row.state is State.SETTLED:
            _hear(keeper, _ask(keeper, row, now), now)
    assert _there(keeper, whole.id).state is State.CUT
    _hear(keeper, flying, now)
    assert _there(keeper, whole.id).state is State.TRANSCRIBED


def test_a_parked_piece_parks_the_recording(keeper: Keeper, now: datetime) -> None:
    """Whether a piece was paid is unknown: a person decides about the recording."""
    whole = _cut(keeper, now)
    asking = _ask(keeper, _rows(keeper, whole)[1], now)
    _suffer(keeper, asking, TicketLost("Forgotten.", code="forgotten"), now)
    whole = _there(keeper, whole.id)
    assert whole.state is State.PARKED
    assert whole.failure is not None
    assert whole.failure.message.startswith("Piece 2 of 3")


def test_passing_trouble_is_the_piece_s_own(keeper: Keeper, now: datetime) -> None:
    """A piece that meets passing trouble waits by itself; its recording and its neighbours do not."""
    whole = _cut(keeper, now)
    asking = _ask(keeper, _rows(keeper, whole)[0], now)
    _suffer(keeper, asking, TemporaryError("Down.", code="down"), now)
    states = [(row.state, row.due > now) for row in _rows(keeper, whole)]
    assert states == [(State.STAGED, True), (State.SETTLED, False), (State.SETTLED, False)]
    assert _there(keeper, whole.id).state is State.CUT


def test_a_file_that_changed_starts_over(keeper: Keeper, now: datetime) -> None:
    """The file is another one when a piece is to be sent: the recording settles again, and nothing more is asked."""
    whole = _cut(keeper, now)
    first, second, _ = _rows(keeper, whole)
    flying = _ask(keeper, first, now)
    _suffer(keeper, _ask(keeper, second, now), SourceChanged("Changed.", code="changed"), now)
    whole = _there(keeper, whole.id)
    assert whole.state is State.SETTLED
    assert whole.reading is None
    assert [row.id for row in _rows(keeper, whole)] == [flying.id]


def test_a_file_that_was_touched_keeps_its_pieces(keeper: Keeper, now: datetime) -> None:
    """Another date and the same content: what waits in pieces goes on as pieces of the file as it lies there now."""
    whole = _cut(keeper, now)
    flying = _ask(keeper, _rows(keeper, whole)[0], now)
    touched = replace(FINGERPRINT, mtime_ns=FINGERPRINT.mtime_ns + 1)
    settled = FileSettled(inbox="inbox", path=whole.path, fingerprint=touched)
    with keeper.store.transaction():
        keeper.settled(settled, under_way={}, now=now)
    found = keeper.store.latest_at(whole.path)
    assert found is not None
    with keeper.store.transaction():
        keeper.moved(found, found.read(CUT, now=now), now=now)
    assert keeper.store.get(found.id) is None
    assert {row.fingerprint for row in _rows(keeper, whole)} == {touched}
    _hear(keeper, flying, now)
    states = [row.state for row in _rows(keeper, whole)]
    assert states == [State.DELIVERED, State.SETTLED, State.SETTLED]


def test_a_file_with_a_successor_is_superseded(keeper: Keeper, now: datetime) -> None:
    """The file settled with other content meanwhile: the cut recording gives way to it, unpaid from there on."""
    whole = _cut(keeper, now)
    found = FileSettled(inbox="inbox", path=whole.path, fingerprint=replace(FINGERPRINT, size=99))
    keeper.settled(found, under_way={}, now=now)
    asking = _ask(keeper, _rows(keeper, whole)[0], now)
    _suffer(keeper, asking, SourceChanged("Changed.", code="changed"), now)
    whole = _there(keeper, whole.id)
    assert whole.failure is not None
    assert whole.failure.code == "superseded"
    assert keeper.store.latest_at(whole.path) != whole


def test_the_same_content_is_cut_at_the_same_places(keeper: Keeper, now: datetime) -> None:
    """Where a recording was cut is remembered; a copy's pieces are heard from the answers, and nothing is asked."""
    whole = _cut(keeper, now)
    assert keeper.pieces.places(replace(whole, state=State.SETTLED)) == tuple(
        cutting.Stretch(begin=n * 60_000, end=(n + 1) * 60_000) for n in range(3)
    )
    for row in _rows(keeper, whole):
        _hear(keeper, _ask(keeper, row, now), now)
    copy = _cut(keeper, now, path=b"/inbox/copy.wav")
    assert {row.state for row in _rows(keeper, copy)} == {State.TRANSCRIBED}


@pytest.mark.parametrize("changed", ["content", "options"])
def test_other_content_is_never_joined(keeper: Keeper, now: datetime, changed: str) -> None:
    """Pieces of earlier content, or asked with other options, count for nothing, though they lie at the same place."""
    whole = _cut(keeper, now)
    first, second, _ = _rows(keeper, whole)
    flying = _ask(keeper, second, now)
    _hear(keeper, _ask(keeper, first, now), now)
    over = _there(keeper, whole.id).resettle(now=now)
    keeper.book.save(_there(keeper, whole.id), over)
    plan = replace(CUT.plan, options={"language": "zh"})
    other = replace(CUT, sha256="ff" * 32) if changed == "content" else replace(CUT, plan=plan)
    read = over.read(other, now=now)
    keeper.store.save(over, read)
    whole = _cut_again(keeper, read, now)
    fresh = [row for row in _rows(keeper, whole) if row.state is State.SETTLED]
    assert len(fresh) == 3
    for row in fresh:
        _hear(keeper, _ask(keeper, row, now), now)
    assert _there(keeper, whole.id).state is State.CUT
    _hear(keeper, flying, now)
    assert _there(keeper, whole.id).state is State.TRANSCRIBED


def test_a_person_decides_for_all_pieces(keeper: Keeper, now: datetime) -> None:
    """After a restored backup a piece waits for a person, and once the recording was retried it does not."""
    whole, store = _cut(keeper, now), keeper.store
    piece = _rows(keeper, whole)[0]
    assert not store.perhaps_asked_before(piece)
    with store.transaction():
        store._connection.exec_driver_sql(
            "INSERT INTO restored (at, missing) VALUES (?, 1)",
            (int((now - MINUTE).timestamp() * 1e6),),
        )
    store._restored = None
    assert store.perhaps_asked_before(piece)
    keeper.book.save(whole, whole.fail(FAILURE, now=now))
    assert not store.perhaps_asked_before(piece)
