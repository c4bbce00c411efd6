"""Writes messages into the outbox: at once, or together with what else happens before a window closes."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from asrwatch.crash import crash_point
from asrwatch.journey.store import Letter, Store
from asrwatch.journey.tidings import together
from asrwatch.news import News
from asrwatch.notifiers import NotifierOptions, Occasion

__all__ = ["DEAD_KEPT", "Letterbox", "Wish"]

MOST_WAITING = 1000
"""After so many messages that wait for one notifier, whatever comes is collected into the last ones."""
MOST_DEAD = 200
DEAD_KEPT = timedelta(days=30)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What one inbox wants one notifier (`key`, for people `label`) to be told, and how."""

    inbox: str
    key: str
    label: str
    options: NotifierOptions


class Letterbox:
    """See the module. `most_waiting` and `most_dead` messages are kept for each notifier."""

    def __init__(
        self, store: Store, *, most_waiting: int = MOST_WAITING, most_dead: int = MOST_DEAD
    ) -> None:
        self._store = store
        self.most_waiting = most_waiting
        self.most_dead = most_dead

    def tell(self, wish: Wish, occasion: Occasion, news: News, now: datetime) -> None:
        """At once, or together with what else happens before the window closes."""
        store, key, kind = self._store, wish.key, occasion.value
        group = timedelta(0) if occasion in wish.options.each else wish.options.group
        if store.receiver(key).gone is not None:
            self.post(key, news, now, due=now, dead="gone")
            return
        until = store.window(key, kind) if group else None
        if until is not None and until > now + group * 2:
            until = None  # of a clock that was wrong, or of a longer `group`
        open_ = store.unsent(key, kind, after=now) if until is not None else None
        if open_ is None and store.waiting(key) >= self.most_waiting:
            open_ = store.unsent(key, kind)
        if open_ is not None:
            store.rewrite(open_.id, together(open_.news, news))
            crash_point("message-extended")
            return
        due = max(until, now) if until is not None else now
        self.post(key, news, now, due=due)
        if group:
            store.keep_window(key, kind, due + group)

    def post(
        self, key: str, news: News, now: datetime, *, due: datetime, dead: str | None = None
    ) -> None:
        """Keep a message of its own; `dead` says why it is not even tried."""
        letter = Letter(
            id=0,
            message=f"msg_{secrets.token_hex(16)}",
            notifier=key,
            kind=news.kind,
            since=now,
            due=due,
            attempts=0,
            news=news,
            dead=dead,
        )
        self._store.post(letter)
        if dead:
            self.clear(key, now)
        crash_point("message-kept")

    def clear(self, key: str, now: datetime) -> None:
        """Of what nobody took, keep the newest."""
        self._store.clear_dead(key, most=self.most_dead, before=now - DEAD_KEPT)
