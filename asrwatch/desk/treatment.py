"""What a person does to recordings: take them up again, or forget them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from asrwatch import logs
from asrwatch.crash import crash_point
from asrwatch.desk.pieces import take_up, why_not_forgotten
from asrwatch.desk.questions import AskForget, AskRetry
from asrwatch.desk.reports.treatment import Treated, Treatment
from asrwatch.desk.scene import Scene
from asrwatch.inbox.looks import Why
from asrwatch.journey.recording import DONE, Recording, State
from asrwatch.journey.spool import FOLDER, Spool
from asrwatch.values import printable

__all__ = ["LISTED", "forget", "retry"]

LISTED = 200
"""How many lines a report holds; its counts are of all."""

log = logs.get("desk")

_ALREADY = "It is under way at this moment; wait for how it ends."
_USELESS = frozenset({"cut-off", "unreadable-answer"})
"""How `Engine.read` says that an answer holds no usable transcript."""
_UNKNOWN = "asrwatch does not know it; `asrwatch explain` says what would happen to it."


def retry(scene: Scene, question: AskRetry, now: datetime) -> Treatment:
    """Take recordings up again, and let held engines be tried at once.

    An answer in hand is delivered again for nothing, one on the disk read again; what else is parked may be
    paid for a second time; a request under way is refused.
    """
    chosen, unknown = _chosen(scene, question)
    treated = [_retry(scene, recording, now) for recording in chosen]
    treated += [_take_up(scene, path) for path in unknown]
    if any(each.done for each in treated):
        _open_gates(scene, now)
    crash_point("retrying")
    return _report(scene, treated)


def forget(scene: Scene, question: AskForget, now: datetime) -> Treatment:
    """Drop what is known of recordings; their files are left alone until they change.

    The answers paid for and the ledger stay. A request under way is refused.
    """
    chosen, unknown = _chosen(scene, AskRetry(paths=question.paths))
    treated = [_forget(scene, recording.path, now) for recording in chosen]
    treated += [Treated(path=path, done=False, what=_unknown(scene, path)) for path in unknown]
    crash_point("forgetting")
    return _report(scene, treated)


def _chosen(scene: Scene, question: AskRetry) -> tuple[tuple[Recording, ...], tuple[bytes, ...]]:
    """The newest recording of every path that is meant, and the paths of which there is none."""
    named = ((question.failed, State.FAILED), (question.parked, State.PARKED))
    states = {state for wanted, state in named if wanted}
    if not question.paths:
        return _newest(scene.store.in_state(*states) if states else ()), ()
    chosen: list[Recording] = []
    unknown: list[bytes] = []
    for path in dict.fromkeys(question.paths):
        here = _newest((*scene.at(path)[:1], *scene.store.below(path)))
        chosen += [each for each in here if not states or each.state in states]
        if not states and (not here or scene.store.forgotten(path)):
            unknown.append(path)
    return _newest(chosen), tuple(unknown)


def _newest(recordings: Iterable[Recording]) -> tuple[Recording, ...]:
    """The newest recording of each path, in the order of the paths."""
    newest: dict[bytes, Recording] = {}
    for recording in recordings:
        known = newest.get(recording.path)
        if known is None or known.id < recording.id:
            newest[recording.path] = recording
    return tuple(newest[path] for path in sorted(newest))


def _retry(scene: Scene, recording: Recording, now: datetime) -> Treated:
    refusal = _why_not(scene, recording)
    if refusal:
        return Treated(path=recording.path, done=False, what=refusal)
    pieces = take_up(scene, recording, now)
    if recording.state not in DONE:
        again = recording.postpone(recording.trouble, due=now)
        note, outcome, what = "a person asked to go on at once", "", "It goes on at once."
    elif _is_useless(recording):
        again, note, what = _asked_anew(scene, recording, now)
        outcome = ""
    elif _may_be_read(scene, recording):
        again, outcome = recording.recall(now=now), ""
        note = "a person asked for it again: the answer on the disk is read again, nothing is asked"
        what = "Its answer lies on the disk and is read again; that costs nothing. If it is parked again, the next "
        what += "retry asks anew, which may be paid for a second time."
    else:
        again = recording.retry(now=now)
        note = "a person asked for it again"
        # What was paid is unknown, and a person decided that it may be paid again: the ledger says so.
        outcome = "again" if recording.state is State.PARKED else ""
        if again.state is State.TRANSCRIBED:
            what = "Its stored answer is delivered again; that costs nothing."
        elif pieces is not None:
            what = pieces
        elif outcome:
            what = "It starts over; it may be paid for a second time."
        else:
            what = "It starts over from the file."
    scene.store.save(recording, again, note=note, outcome=outcome)
    log.info("retried", recording=recording.id, file=printable(recording.path), was=recording.state)
    return Treated(path=recording.path, done=True, what=what)


def _asked_anew(scene: Scene, recording: Recording, now: datetime) -> tuple[Recording, str, str]:
    """Ask again where the answer in hand is of no use: an engine that was not asked yet, else the same."""
    scene.store.retire(recording)
    reading = recording.reading
    engine = reading.plan.engine if reading else ""
    retired = f"a person asked for it again; the answer of {engine} holds no usable transcript and is only kept"
    over = recording.resettle(now=now)
    if reading and scene.store.answer_for(reading.purchase) is not None:
        what = "Its content was asked about again meanwhile: that answer is delivered, which costs nothing."
        return over, retired, what
    if scene.another_takes(recording):
        what = f"The answer of {engine} is of no use; another engine is asked, which is paid for."
        other = recording.resettle(now=now, refused_by=engine)
        return other, f"{retired}; another engine is to take it", what
    what = f"The answer of {engine} is of no use; it is asked again, which is paid once more."
    return replace(over, engines_refused=()), f"{retired}; {engine} is asked again", what


def _may_be_read(scene: Scene, recording: Recording) -> bool:
    """Whether what was answered lies on the disk, and no retry has read it again since it was asked for."""
    staging, reading = recording.staging, recording.reading
    if recording.state is not State.PARKED or staging is None or reading is None:
        return False
    if scene.store.being_bought(reading.purchase):
        return False  # its answer will do for both
    into = [
        event.before
        for event in scene.store.story(recording.id)
        if event.after is State.ASKING and event.before is not State.ASKING
    ]
    spool = Spool(scene.store.state_dir / FOLDER)
    return into[-1:] != [State.PARKED] and spool.holds(staging.ask_id)


def _is_useless(recording: Recording) -> bool:
    """Whether the answer in hand, delivered as often as one likes, never makes a transcript."""
    failure = recording.failure
    return recording.answer is not None and failure is not None and failure.code in _USELESS


def _why_not(scene: Scene, recording: Recording) -> str:
    """Why a recording must be left as it is; empty where it need not."""
    if scene.is_under_way(recording):
        return _ALREADY
    match recording.state:
        case State.ASKING:
            return "A paid request for it is unaccounted for; asrwatch deals with that by itself."
        case State.SUBMITTED:
            return "The cloud is working on it and it is paid for; wait for the answer."
        case _:
            return ""


def _take_up(scene: Scene, path: bytes) -> Treated:
    """A path without a recording: what was forgotten there is taken up like new files."""
    remembered = [each for each in scene.store.forgotten(path) if scene.store.remember(each)]
    for each in remembered:
        lookout = scene.lookout_of(each)
        if lookout is not None:
            lookout.look_again(each)
    if not remembered:
        return Treated(path=path, done=False, what=_unknown(scene, path))
    many = f" ({len(remembered)} files)" if len(remembered) > 1 else ""
    return Treated(path=path, done=True, what=f"It was forgotten; it is taken up again{many}.")


def _unknown(scene: Scene, path: bytes) -> str:
    """Why there is nothing at a path to be treated."""
    file = next((each for each in scene.settling() if each.path == path), None)
    if file is None:
        return _UNKNOWN
    if file.why == Why.EMPTY.value:
        return "It has no bytes yet; it is taken up by itself when it has some."
    if file.why == Why.UNMARKED.value:
        return "It waits for its marker (the inbox's `done_marker`); it is taken up by itself then."
    if file.why == Why.UNFINISHED.value:
        return "Its writer has not finished it and still has it open; it is taken up by itself when it is closed."
    return "It is still settling; it is taken up by itself when it stops changing."


def _forget(scene: Scene, path: bytes, now: datetime) -> Treated:
    recordings = scene.store.all_at(path)
    for recording in recordings:
        refusal = _why_not(scene, recording)
        refusal = refusal or why_not_forgotten(scene, recording)
        if refusal:
            return Treated(path=path, done=False, what=refusal)
    for recording in reversed(recordings):  # the newest last: its fingerprint is the file's
        scene.store.forget(recording, now=now)
        log.info("forgotten", recording=recording.id, file=printable(path), was=recording.state)
    return Treated(
        path=path,
        done=True,
        what="It is forgotten; the file is left alone until it changes or `asrwatch retry` names it.",
    )


def _open_gates(scene: Scene, now: datetime) -> None:
    """A held engine is tried with a single request at once, instead of when its hold ends."""
    if scene.daemon is not None:
        scene.daemon.gate.open_now(now)
        return
    for hold in scene.store.holds():
        scene.store.hold(replace(hold, until=min(hold.until, now)))


def _report(scene: Scene, treated: Sequence[Treated]) -> Treatment:
    done = sum(each.done for each in treated)
    return Treatment(
        running=scene.daemon is not None,
        treated=tuple(treated[:LISTED]),
        done=done,
        refused=len(treated) - done,
    )
