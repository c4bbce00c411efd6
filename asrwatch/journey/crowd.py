"""How many worker slots one inbox has, and whether it may have more: a dead share must leave some to the others."""

from collections import Counter
from collections.abc import Iterable

__all__ = ["Crowd"]


class Crowd:
    """Counts slots by inbox.

    Args:
        inboxes: of every step under way.
        most: how many slots one inbox may have; None where it may have all.
    """

    def __init__(self, inboxes: Iterable[str] = (), *, most: int | None = None) -> None:
        self._slots = Counter(inboxes)
        self._most = most

    @property
    def full(self) -> frozenset[str]:
        """Inboxes that have as many slots as they may."""
        most = self._most
        if most is None:
            return frozenset()
        return frozenset(inbox for inbox, slots in self._slots.items() if slots >= most)

    def take(self, inbox: str) -> None:
        """An inbox gets another slot."""
        self._slots[inbox] += 1
