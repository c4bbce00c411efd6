"""What is told once on the page after a form was sent: kept here, so that no address can make the page say things."""

import secrets
import threading
from collections import OrderedDict
from typing import Final

from asrwatch.desk.reports.treatment import Treatment

__all__ = ["Notices"]

_MOST: Final = 200


class Notices:
    """The newest of them; each is told once."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Treatment] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, treatment: Treatment) -> str:
        """Keep it; returns the name by which it is taken."""
        name = secrets.token_urlsafe(9)
        with self._lock:
            self._kept[name] = treatment
            while len(self._kept) > _MOST:
                self._kept.popitem(last=False)
        return name

    def take(self, name: str) -> Treatment | None:
        """What was kept by this name, for the only time."""
        with self._lock:
            return self._kept.pop(name, None)
