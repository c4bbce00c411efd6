"""The inboxes' lookouts: each inbox has one as long as the daemon lives."""

from collections import UserDict
from collections.abc import Callable, Mapping
from datetime import timedelta

from asrwatch import logs
from asrwatch.clock import Clock
from asrwatch.daemon.workers import unmanned
from asrwatch.heartbeats import Heartbeats
from asrwatch.inbox.lookout import Lookout
from asrwatch.journey.store import Store, StoreTrouble

__all__ = ["Lookouts"]

log = logs.get("daemon")

REPLACED_AGAIN = timedelta(seconds=10)
"""A lookout that dies at once, again and again, is not replaced in a busy loop."""
END = 1.0
"""Seconds that an end waits for all of them."""


class Lookouts(UserDict[str, Lookout]):
    """Those who look, by inbox. `made` makes one from what is known of its inbox already.

    Used in the daemon's main thread; `post` is where they say what they see.
    """

    def __init__(
        self,
        made: Mapping[str, Callable[..., Lookout]],
        *,
        store: Store,
        clock: Clock,
        hearts: Heartbeats,
        post: Callable[..., None],
    ) -> None:
        super().__init__()
        self._made = made
        self._store = store
        self._clock = clock
        self._hearts = hearts
        self._post = post
        self._next_replacement = clock.monotonic()

    def begin(self) -> None:
        """Begin to look at every inbox."""
        for inbox in self._made:
            self._look_at(inbox)

    def nudge(self) -> None:
        """Have every inbox looked at again, soon."""
        for lookout in self.values():
            lookout.nudge()

    def replace_the_dead(self) -> None:
        """A lookout lives as long as the daemon, unless a fault of ours has ended it."""
        for inbox, lookout in list(self.items()):
            if not lookout.alive and self._clock.monotonic() >= self._next_replacement:
                self._next_replacement = self._clock.monotonic() + REPLACED_AGAIN.total_seconds()
                log.error(
                    "lookout-died",
                    inbox=inbox,
                    advice="Another one has taken over. Please report this with the log.",
                )
                try:
                    self._look_at(inbox)
                except RuntimeError:  # what threading raises where no more threads are to be had
                    unmanned()
                except (
                    StoreTrouble
                ) as error:  # what is known cannot be read now; soon it is tried again
                    log.warning("lookout-not-replaced", inbox=inbox, error=error.message)

    def tell_to_stop(self) -> None:
        """Nobody looks any more, soon."""
        for lookout in self.values():
            lookout.stop(timedelta(0))

    def stop(self) -> None:
        """Nobody looks any more; who does not answer is not waited for."""
        self.tell_to_stop()
        end = self._clock.monotonic() + END
        for lookout in self.values():
            lookout.stop(timedelta(seconds=max(end - self._clock.monotonic(), 0)))

    def _look_at(self, inbox: str) -> None:
        """Begin to look at an inbox, or begin anew where whoever looked has died."""
        lookout = self._made[inbox](
            known=self._store.known(inbox), post=self._post, hearts=self._hearts
        )
        self[inbox] = lookout
        lookout.start()
