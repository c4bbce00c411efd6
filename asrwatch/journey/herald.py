"""Decides who is told what, in the transaction of what it tells of.

Runs in the daemon's main thread. Its clerks: `tidings` says what is told, `letterbox` writes it into the outbox,
`postman` hands out what is due and hears what became of it, `digests` tells the day.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime

from asrwatch.clock import is_set
from asrwatch.journey.book import Book
from asrwatch.journey.digests import Digests
from asrwatch.journey.letterbox import Letterbox, Wish
from asrwatch.journey.postman import Postman
from asrwatch.journey.recording import SUPERSEDED, Recording, State
from asrwatch.journey.remembered import Remembered
from asrwatch.journey.room import Shortage
from asrwatch.journey.store import Hold
from asrwatch.journey.tidings import about, shown_path, standing
from asrwatch.news import News, Standstill
from asrwatch.notifiers import Occasion

__all__ = ["Herald", "Wish"]

_OCCASIONS = {
    State.DELIVERED: Occasion.DELIVERED,
    State.FAILED: Occasion.FAILED,
    State.PARKED: Occasion.PARKED,
}


class Herald:
    """See the module. Every method is called from the main thread, inside a transaction.

    Args:
        book: whose store holds the outbox.
        wishes: of all inboxes.
        currency: of what was spent.
        chance: for jitter, from 0 up to 1.
        places: the inboxes and folders of the configuration, by what a standstill calls them (`inbox`, `disk`); what
            an earlier one had is over. Nothing is known of what is left out or empty.
    """

    def __init__(
        self,
        book: Book,
        wishes: Iterable[Wish],
        *,
        currency: str,
        chance: Callable[[], float],
        places: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        self._store = book.store
        self._places = places or {}
        self._wishes: dict[str, list[Wish]] = {}
        for wish in wishes:
            self._wishes.setdefault(wish.key, []).append(wish)
        self._alarms: Remembered[str, Standstill] = book.memory()
        self._inboxes: Remembered[str, Standstill | None] = book.memory()
        self._disks: set[str] = set()
        if self._wishes:
            self._alarms.update(self._store.alarms())
            self._alarms.keep()
        self.letterbox = Letterbox(self._store)
        everybody = [wish for wishes in self._wishes.values() for wish in wishes]
        self._digests = Digests(
            self._store, self.letterbox, everybody, alarms=self._alarms, currency=currency
        )
        self._postman = Postman(book, self.letterbox, self._wishes, chance)

        # What the daemon asks of the clerks.
        self.letters = self._postman.letters
        self.answered = self._postman.answered
        self.release = self._postman.release
        self.clock_stepped = self._postman.clock_stepped

    def opens(self, now: datetime, *, busy: Iterable[str]) -> datetime | None:
        """When there is something to send, or a digest to be made."""
        if not self._wishes or not is_set(now):
            return None
        dates = (self._digests.opens(now), self._postman.opens(busy=busy))
        return min((date for date in dates if date is not None), default=None)

    # What happens.

    def changed(self, before: Recording | None, after: Recording) -> None:
        """A recording has become something else."""
        occasion = _OCCASIONS.get(after.state)
        if (
            after.part_of is not None
            or occasion is None
            or (before is not None and before.state is after.state)
        ):
            return
        failure = after.failure
        if failure is not None and failure.code == SUPERSEDED:
            return  # nobody needs to do anything: what the file holds now is a recording of its own
        for wish in self._wanting(occasion):
            if wish.inbox == after.inbox:
                told = about(after, text=wish.options.text)
                news = News(
                    kind=occasion.value,
                    at=after.changed_at,
                    recordings=(told,),
                    reasons={failure.code: 1} if failure else {},
                    inboxes={after.inbox: 1},
                )
                self.letterbox.tell(wish, occasion, news, after.changed_at)

    def inbox_seen(self, inbox: str, trouble: Standstill | None) -> None:
        """What is the matter with an inbox as a whole, as of now."""
        if self._wishes and (trouble is not None or inbox in self._inboxes):
            self._inboxes[inbox] = trouble

    def inbox_known(self, inbox: str) -> None:
        """It was looked at whole: what an earlier run said of it is over, unless it was said again."""
        if self._wishes:
            self._inboxes.setdefault(inbox, None)

    def disk_seen(self, folder: bytes) -> None:
        """Somebody looked how much room there is in a folder."""
        if self._wishes:
            self._disks.add(shown_path(folder)[0])

    def look(self, now: datetime, *, holds: Iterable[Hold], shortages: Iterable[Shortage]) -> None:
        """Tell what began and what ended since the last look, and the day's digest when it is time."""
        if not self._wishes or not is_set(now):
            return
        current = dict(standing(holds, shortages, now))
        for inbox, trouble in self._inboxes.items():
            if trouble is not None:
                current[f"inbox:{inbox}"] = trouble
        for subject, standstill in current.items():
            known = self._alarms.get(subject)
            if known is None or known.code != standstill.code:
                self._alarm(subject, standstill, now)
        for subject, standstill in list(self._alarms.items()):
            if subject not in current and self._is_known(standstill):
                self._all_clear(subject, standstill, now)
        self._digests.look(now)

    def _is_known(self, standstill: Standstill) -> bool:
        """Whether it was looked at since the start: what was the matter before may be the matter still."""
        places = self._places.get(standstill.what)
        if places and standstill.which not in places:
            return True  # it has left the configuration: nothing waits for it any more
        match standstill.what:
            case "inbox":
                return standstill.which in self._inboxes
            case "disk":
                return standstill.which in self._disks
            case _:
                return True

    def _alarm(self, subject: str, standstill: Standstill, now: datetime) -> None:
        self._store.keep_alarm(subject, standstill)
        self._alarms[subject] = standstill
        self._spread(Occasion.HELD, standstill, now)

    def _all_clear(self, subject: str, standstill: Standstill, now: datetime) -> None:
        self._store.keep_alarm(subject, None)
        del self._alarms[subject]
        self._spread(Occasion.HEALED, standstill, now)

    def _spread(self, occasion: Occasion, standstill: Standstill, now: datetime) -> None:
        """Once to each notifier, however many inboxes want it."""
        news = News(
            kind=occasion.value,
            at=now,
            standstills=(standstill,),
            reasons={standstill.code: 1},
        )
        told = set()
        for wish in self._wanting(occasion):
            concerned = standstill.what != "inbox" or standstill.which == wish.inbox
            if concerned and wish.key not in told:
                told.add(wish.key)
                self.letterbox.tell(wish, occasion, news, now)

    def _wanting(self, occasion: Occasion) -> Iterator[Wish]:
        for wishes in self._wishes.values():
            for wish in wishes:
                if occasion in wish.options.on:
                    yield wish
