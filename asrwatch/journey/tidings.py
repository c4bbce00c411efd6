"""Makes news of recordings, holds and full disks: what is told of them, and nothing secret. Pure."""

import base64
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from asrwatch import logs
from asrwatch.errors import EngineTrouble
from asrwatch.journey.recording import Recording
from asrwatch.journey.room import Shortage
from asrwatch.journey.store import Hold
from asrwatch.news import About, News, Standstill
from asrwatch.values import printable

__all__ = ["LISTED", "about", "shown_path", "standing", "together"]

LISTED = 100
"""How many recordings one message names; it counts all of them."""
LASTING = timedelta(minutes=10)
"""Trouble that may pass by itself (a throttled engine, a server that is down) is told after this long."""
MOST_TEXT = 64 * 1024
"""Characters of a transcript that go along; beyond as many, those of others in the same message do not."""

_AT_ONCE = frozenset(
    {
        EngineTrouble.KEY,
        EngineTrouble.MONEY,
        EngineTrouble.FORBIDDEN,
        EngineTrouble.UNANSWERED,
        EngineTrouble.BUDGET,
    }
)


def about(recording: Recording, *, text: bool) -> About:
    """A recording as it is told; with `text`, what was said in it."""
    path, exact = shown_path(recording.path)
    reading, failure = recording.reading, recording.failure
    told = _text_of(recording) if text else None
    return About(
        id=recording.id,
        inbox=recording.inbox,
        path=path,
        path_base64=exact,
        state=recording.state.value,
        at=recording.changed_at,
        code=failure.code if failure else None,
        message=logs.masked(failure.message) if failure else None,
        advice=logs.masked(failure.advice) if failure else None,
        duration=reading.facts.duration if reading else None,
        engine=reading.plan.engine if reading else None,
        model=reading.plan.model if reading else None,
        outputs=tuple(shown_path(output.path)[0] for output in recording.outputs),
        text=told[:MOST_TEXT] if told is not None else None,
        text_is_cut=told is not None and len(told) > MOST_TEXT,
    )


def standing(
    holds: Iterable[Hold], shortages: Iterable[Shortage], now: datetime
) -> Iterator[tuple[str, Standstill]]:
    """What keeps recordings waiting and somebody should know of, by subject."""
    for hold in holds:
        if hold.trouble in _AT_ONCE or now - hold.since >= LASTING:
            yield (
                f"engine:{hold.scope}",
                Standstill(
                    what="engine",
                    which=hold.scope,
                    since=hold.since,
                    until=hold.until,
                    code=hold.code,
                    message=logs.masked(hold.message),
                    advice=logs.masked(hold.advice),
                ),
            )
    for shortage in shortages:
        which, _ = shown_path(shortage.folder)
        yield (
            f"disk:{which}",
            Standstill(
                what="disk",
                which=which,
                since=now,
                code=shortage.code,
                message=shortage.message,
                advice=shortage.advice,
            ),
        )


def together(news: News, more: News) -> News:
    """One message that tells both; it names only the first of many."""
    room = max(0, LISTED - len(news.recordings))
    named = more.recordings[:room]
    if sum(len(each.text or "") for each in news.recordings) >= MOST_TEXT:
        named = tuple(replace(each, text=None, text_is_cut=each.text is not None) for each in named)
    stood = max(0, LISTED - len(news.standstills))
    return replace(
        news,
        count=news.count + more.count,
        recordings=(*news.recordings, *named),
        standstills=(*news.standstills, *more.standstills[:stood]),
        reasons=_sum(news.reasons, more.reasons),
        inboxes=_sum(news.inboxes, more.inboxes),
    )


def _text_of(recording: Recording) -> str | None:
    """What was said, a sentence a line; None where nothing was delivered."""
    delivery = recording.delivery
    if delivery is None or delivery.said is None:
        return None
    return "\n".join(sentence.text for sentence in delivery.said)


def _sum(some: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    return {name: some.get(name, 0) + more.get(name, 0) for name in (*some, *more)}


def shown_path(path: bytes) -> tuple[str, str | None]:
    """A path as text, exactly; with its bytes beside it where there is no exact text."""
    try:
        return path.decode("utf-8"), None
    except UnicodeDecodeError:
        return printable(os.fsencode(path)), base64.b64encode(path).decode()
