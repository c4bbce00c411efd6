"""Named places where a test may kill the process, to prove that nothing is lost or paid twice there.

Inert unless the environment variable is set when the first such place is passed: ASRWATCH_CRASH=NAME, or
NAME@3 for the third time that the place is passed.
"""

import os
import signal
from dataclasses import dataclass
from functools import cache

__all__ = ["crash_point"]


@dataclass
class _Death:
    """Where this process is to die, and how often it may pass there before."""

    name: str
    left: int


@cache
def _death() -> _Death:
    """What the environment says; read once, and not at import, which a fork may have behind it."""
    name, _, hit = os.environ.get("ASRWATCH_CRASH", "").partition("@")
    return _Death(name=name, left=int(hit or 1))


def crash_point(name: str) -> None:
    """Die here and now, as if the power had gone, if this is the place the environment names."""
    death = _death()
    if name != death.name:
        return
    death.left -= 1
    if death.left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
