"""What a person's questions about a recording that was cut come to for its pieces."""

from dataclasses import replace
from datetime import datetime

from asrwatch.desk.reports.explanation import PieceLine
from asrwatch.desk.scene import Scene
from asrwatch.desk.story import reason_of
from asrwatch.journey.cutting_up import IN_FLIGHT
from asrwatch.journey.joining import pieces_in
from asrwatch.journey.recording import UNPAID, Recording, State
from asrwatch.journey.spool import FOLDER, Spool

__all__ = ["lines_of", "take_up", "why_not_forgotten"]

_USELESS = frozenset({"cut-off", "unreadable-answer"})


def lines_of(scene: Scene, whole: Recording) -> tuple[PieceLine, ...]:
    """Every piece of a recording: those on their way from their rows, those that were heard from its answer."""
    rows = [row for row in scene.store.pieces_of(whole.id) if row.piece is not None]
    if whole.answer is not None:
        return tuple(
            PieceLine(
                number=piece.number,
                begin=piece.begin,
                end=piece.end,
                channel=piece.channel,
                state=State.DELIVERED,
                ticket=piece.ticket,
                billed=piece.billed,
            )
            for piece in pieces_in(whole.answer)
        )
    known = {row.piece.place: row for row in rows if row.piece is not None}
    cut = whole.staging.pieces if whole.staging else ()
    places = cut or tuple(row.piece for row in rows if row.piece is not None)
    told = []
    for piece in places:
        row = known.get(piece.place)
        answer = row.answer if row else None
        told.append(
            PieceLine(
                number=piece.number,
                begin=piece.begin,
                end=piece.end,
                channel=piece.channel,
                state=row.state if row else None,
                ticket=row.task.ticket if row and row.task else answer.ticket if answer else None,
                billed=answer.billed if answer else None,
                reason=reason_of(row.failure) if row and row.failure else None,
            )
        )
    return tuple(sorted(told, key=lambda line: line.number))


def why_not_forgotten(scene: Scene, whole: Recording) -> str:
    """Why a recording must be left as it is for its pieces' sake; empty where it need not."""
    rows = scene.store.pieces_of(whole.id)
    out = sum(row.state in IN_FLIGHT or scene.is_under_way(row) for row in rows)
    if not out:
        return ""
    return f"The cloud is working on {out} of its pieces, which are paid for; wait for the answers."


def take_up(scene: Scene, whole: Recording, now: datetime) -> str | None:
    """When a recording that was cut is taken up again: what happens to its pieces; None of one that was not.

    Those that were heard stay; of the others, an answer that lies on the disk is read again before anything is
    asked again.
    """
    rows = scene.store.pieces_of(whole.id)
    twice = recalled = False
    spool = Spool(scene.store.state_dir / FOLDER)
    for row in rows:
        if row.state in UNPAID and not scene.is_under_way(row):
            scene.store.save(row, replace(row, due=now))
        elif row.state is State.FAILED:
            if row.failure is not None and row.failure.code in _USELESS:
                scene.store.retire(row)
            scene.store.drop(row)
        elif row.state is State.PARKED:
            kept = row.staging is not None and spool.holds(row.staging.ask_id)
            if kept and not _was_recalled(scene, row):
                scene.store.save(row, row.recall(now=now), note="its answer is read again")
                recalled = True
                continue
            note = "a person asked for it again"
            scene.store.save(row, row.retry(now=now), note=note, outcome="again")
            scene.store.drop(row)
            twice = True
    if not rows:
        return None
    said = "It is cut again where it was; only pieces that were not heard are asked about."
    if twice:
        said += " A piece may be paid for a second time."
    if recalled:
        said += " An answer that lies on the disk is read again, which costs nothing."
    return said


def _was_recalled(scene: Scene, piece: Recording) -> bool:
    """Whether a retry has read what is on the disk already since it was asked for."""
    into = [
        event.before
        for event in scene.store.story(piece.id)
        if event.after is State.ASKING and event.before is not State.ASKING
    ]
    return into[-1:] == [State.PARKED]
