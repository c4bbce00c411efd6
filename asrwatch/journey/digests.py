"""Tells the day: once for each local day, whatever the clock does, and not where nothing happened."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from datetime import time as time_of_day

from asrwatch.journey.letterbox import Letterbox, Wish
from asrwatch.journey.store import Store
from asrwatch.journey.tidings import LISTED, about
from asrwatch.news import Day, News, Standstill
from asrwatch.notifiers import Occasion

__all__ = ["Digests"]


class Digests:
    """See the module.

    Args:
        store: knows what happened, and which days were told.
        letterbox: takes the messages.
        wishes: of all inboxes; those that want no digest do not count.
        alarms: what is the matter now.
        currency: of what was spent.
    """

    def __init__(
        self,
        store: Store,
        letterbox: Letterbox,
        wishes: Iterable[Wish],
        *,
        alarms: Mapping[str, Standstill],
        currency: str,
    ) -> None:
        self._store = store
        self._letterbox = letterbox
        self._wishes = tuple(wish for wish in wishes if Occasion.DIGEST in wish.options.on)
        self._alarms = alarms
        self._currency = currency

    def look(self, now: datetime) -> None:
        """Tell everybody whose time it is."""
        for wish in self._wishes:
            self._look(wish, now)

    def opens(self, now: datetime) -> datetime | None:
        """When the next one is due."""
        dates = (
            last_time(wish.options.digest_time, now) + timedelta(days=1) for wish in self._wishes
        )
        return min(dates, default=None)

    def _inboxes_of(self, key: str) -> tuple[str, ...]:
        return tuple(wish.inbox for wish in self._wishes if wish.key == key)

    def _look(self, wish: Wish, now: datetime) -> None:
        """Once for each local day, whatever the clock does: what happened since the last one."""
        receiver = self._store.receiver(wish.key)
        due = last_time(wish.options.digest_time, now)
        today = now.astimezone().date()
        told = receiver.digest_of
        if told is None or told > today + timedelta(days=1):
            # the first look, or a clock that was years ahead: the next one is tomorrow's, or today's later
            begun = replace(receiver, digest_of=due.date(), digest_until=now)
            self._store.keep_receiver(begun)
            return
        if due.date() <= told:
            return
        begin = receiver.digest_until
        if begin is None or begin >= due:
            begin = due - timedelta(days=1)
        self._store.keep_receiver(replace(receiver, digest_of=due.date(), digest_until=due))
        news = self._day(wish, begin, due, now)
        if news is not None:
            self._letterbox.post(
                wish.key, news, now, due=now, dead="gone" if receiver.gone is not None else None
            )

    def _day(self, wish: Wish, begin: datetime, end: datetime, now: datetime) -> News | None:
        """None where nothing happened in it."""
        inboxes = self._inboxes_of(wish.key)
        did = self._store.day_figures(inboxes, begin, end)
        if not (did.delivered or did.failed or did.parked or did.requests):
            return None
        waiting = self._store.for_a_person(inboxes, limit=LISTED)
        return News(
            kind=Occasion.DIGEST.value,
            at=now,
            count=1,
            recordings=tuple(about(each, text=False) for each in waiting),
            standstills=tuple(
                each
                for each in self._alarms.values()
                if each.what != "inbox" or each.which in inboxes
            ),
            day=Day(
                begin=begin,
                end=end,
                delivered=did.delivered,
                failed=did.failed,
                parked=did.parked,
                audio=did.audio,
                requests=did.requests,
                billed=did.billed,
                money=did.money,
                currency=self._currency,
                waiting_failed=did.waiting_failed,
                waiting_parked=did.waiting_parked,
            ),
        )


def last_time(at: time_of_day, now: datetime) -> datetime:
    """The last moment at which a local time of day was reached."""
    local = now.astimezone()
    day: date = local.date()
    moment = datetime.combine(day, at).astimezone()
    if moment > local:
        moment = datetime.combine(day - timedelta(days=1), at).astimezone()
    return moment
