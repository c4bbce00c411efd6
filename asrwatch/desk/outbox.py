"""Tells how the notifiers do and what could not be told, and has it tried again."""

from datetime import datetime

from asrwatch import logs
from asrwatch.bootstrap import build_notifiers
from asrwatch.crash import crash_point
from asrwatch.desk.questions import AskTellAgain
from asrwatch.desk.reports.lines import Reason, Untold
from asrwatch.desk.reports.status import NotifierLine
from asrwatch.desk.reports.treatment import ToldAgain
from asrwatch.desk.scene import Scene
from asrwatch.errors import ConfigError
from asrwatch.journey.herald import Wish
from asrwatch.journey.store import Letter, Receiver

__all__ = ["notifiers_of", "tell_again", "untold_about", "untold_of"]

log = logs.get("desk")

LEFT = "(not in the configuration any more)"


def notifiers_of(scene: Scene) -> tuple[NotifierLine, ...]:
    """Every notifier of the configuration, and those that have left it but for their messages."""
    labels = _labels(scene)
    counts = scene.store.count_letters()
    known = {receiver.key: receiver for receiver in scene.store.receivers()}
    keys = (*labels, *(key for key in counts if key not in labels))
    return tuple(
        NotifierLine(
            notifier=labels.get(key, f"{key.partition(':')[0]} {LEFT}"),
            inboxes=tuple(wish.inbox for wish in _wishes(scene) if wish.key == key),
            waiting=counts.get(key, (0, 0))[0],
            untold=counts.get(key, (0, 0))[1],
            told_at=receiver.told_at,
            failures=receiver.failures,
            next_at=receiver.until if counts.get(key, (0, 0))[0] else None,
            gone=receiver.gone,
            trouble=_trouble(receiver),
        )
        for key in keys
        for receiver in [known.get(key, Receiver(key=key))]
    )


def untold_of(scene: Scene, *, limit: int) -> tuple[Untold, ...]:
    """The newest messages that nobody took."""
    labels = _labels(scene)
    return tuple(
        _untold(letter, labels, letter.due) for letter in scene.store.dead_letters(limit=limit)
    )


def untold_about(scene: Scene, recording_id: int) -> tuple[Untold, ...]:
    """Messages about a recording that were not told, or not yet."""
    if not scene.store.count_letters():
        return ()
    labels = _labels(scene)
    rests = {each.key: each.until for each in scene.store.receivers() if each.until is not None}
    return tuple(
        _untold(letter, labels, rests.get(letter.notifier, letter.due))
        for letter in scene.store.letters_about(recording_id)
    )


def tell_again(scene: Scene, question: AskTellAgain, now: datetime) -> ToldAgain:
    """Try what nobody took again, or throw it away."""
    store = scene.store
    with store.transaction():
        number = store.drop_dead() if question.drop else store.raise_dead(now)
        crash_point("telling-again")
    log.info("messages-dropped" if question.drop else "told-again", messages=number)
    return ToldAgain(running=scene.daemon is not None, messages=number)


def _untold(letter: Letter, labels: dict[str, str], rests_until: datetime) -> Untold:
    first = next(iter(letter.news.recordings), None)
    return Untold(
        message=letter.message,
        notifier=labels.get(letter.notifier, letter.notifier.partition(":")[0]),
        kind=letter.kind,
        since=letter.since,
        attempts=letter.attempts,
        count=letter.news.count,
        about=first.path if first else None,
        given_up=letter.dead,
        next_at=None if letter.dead else max(letter.due, rests_until),
    )


def _labels(scene: Scene) -> dict[str, str]:
    return {wish.key: wish.label for wish in _wishes(scene)}


def _wishes(scene: Scene) -> tuple[Wish, ...]:
    if scene.daemon is not None:
        return tuple(scene.daemon.house.wishes)
    try:
        return build_notifiers(scene.settings)[1]
    except ConfigError:  # `asrwatch check` says it; how things stand is told all the same
        return ()


def _trouble(receiver: Receiver) -> Reason | None:
    if receiver.code is None:
        return None
    return Reason(code=receiver.code, message=receiver.error or "", advice=receiver.advice or "")
