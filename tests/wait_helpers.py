"""Waiting for what must happen."""

import time
from collections.abc import Callable

__all__ = ["PATIENCE", "wait_for"]

PATIENCE = 60.0
"""Seconds a test waits for what must happen; nothing takes nearly as long."""


def wait_for(what: Callable[[], object], *, patience: float = PATIENCE) -> None:
    """Until it is true, or the test fails."""
    end = time.monotonic() + patience
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
