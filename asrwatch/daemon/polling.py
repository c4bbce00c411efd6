"""Asks about the tasks that are out, one round at a time."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from asrwatch import crew
from asrwatch.clock import Clock, is_set
from asrwatch.daemon.mail import PollingDone
from asrwatch.engines import Engine
from asrwatch.heartbeats import Heartbeats
from asrwatch.journey import poller
from asrwatch.journey.poller import TaskNews
from asrwatch.journey.recording import Recording
from asrwatch.journey.store import Store

__all__ = ["Rounds"]

ASKED_ABOUT_AGAIN = 1.1
"""Seconds between two questions about one task, at least."""


class Rounds:
    """See the module. `usual` is how long a round may go without a sign that it moves."""

    def __init__(
        self,
        store: Store,
        engines: Mapping[str, Engine[Any]],
        *,
        clock: Clock,
        hearts: Heartbeats,
        usual: timedelta,
        post: Callable[[TaskNews | PollingDone], None],
    ) -> None:
        self._store = store
        self._engines = engines
        self._clock = clock
        self._hearts = hearts
        self._usual = usual
        self._post = post
        self._poller = ThreadPoolExecutor(1, thread_name_prefix="poller")
        self._asked_about: dict[int, float] = {}
        self.under_way: frozenset[int] = frozenset()

    def due(self) -> tuple[Recording, ...]:
        """The tasks to ask about now, none while a round is under way."""
        now = self._clock.now()
        next_poll = None if self.under_way else self._store.next_poll()
        if next_poll is None or next_poll > now or not is_set(now):
            return ()
        batch = poller.soon(self._store.outstanding(), due=lambda recording: recording.due <= now)
        # whatever the clock does between two lines of this: no task is asked about more often
        earliest = self._clock.monotonic() - ASKED_ABOUT_AGAIN
        self._asked_about = {n: at for n, at in self._asked_about.items() if at > earliest}
        return tuple(recording for recording in batch if recording.id not in self._asked_about)

    def begin(self, batch: tuple[Recording, ...], *, go_on: Callable[[], bool]) -> bool:
        """Begin a round; answers whether there was somebody to do it."""
        if not batch:
            return True
        self.under_way = frozenset(recording.id for recording in batch)
        self._asked_about |= dict.fromkeys(self.under_way, self._clock.monotonic())

        def work() -> None:
            with self._hearts.pulse(
                f"asking about {len(batch)} tasks", usual=self._usual, vital=True
            ):
                error = ask()
            self._post(PollingDone(error=error))

        def ask() -> Exception | None:
            try:
                poller.ask_about(batch, self._engines, self._post, go_on=go_on)
            except Exception as surprise:  # noqa: BLE001 - a round is a step: its failure is not the daemon's
                return surprise
            return None

        return crew.handed(self._poller, work)

    def ended(self) -> None:
        """The round is over."""
        self.under_way = frozenset()

    def shut_down(self, *, wait: bool) -> None:
        """No round begins any more."""
        self._poller.shutdown(wait=wait, cancel_futures=True)
