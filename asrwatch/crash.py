"""Named places where a test may kill the process, to prove that nothing is lost or paid twice there.

Inert unless the environment variable is set when asrwatch starts: ASRWATCH_CRASH=NAME, or NAME@3 for the
third time that the place is passed.
"""

import os
import signal

__all__ = ["crash_point"]

_NAME, _, _HIT = os.environ.get("ASRWATCH_CRASH", "").partition("@")
_left = int(_HIT or 1)


def crash_point(name: str) -> None:
    """Die here and now, as if the power had gone, if this is the place the environment names."""
    if name != _NAME:
        return
    global _left  # noqa: PLW0603 - a counter of the process, for tests only
    _left -= 1
    if _left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
