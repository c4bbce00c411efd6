"""Rung by the daemon at every change; costs it nothing while nobody looks."""

from collections.abc import Callable

from asrwatch.journey.book import Change

__all__ = ["Bell"]


class Bell:
    """Hands changes on to whoever listens, in the thread that rings."""

    def __init__(self) -> None:
        self._listener: Callable[[int], None] | None = None

    def listen(self, listener: Callable[[int], None] | None) -> None:
        """From now on, have this called with the number of each recording that changed; None: nobody listens."""
        self._listener = listener

    def ring(self, change: Change) -> None:
        """A recording has become something else, and that is saved."""
        listener = self._listener
        if listener is not None:
            listener(change.after.id)
