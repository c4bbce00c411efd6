"""Keeps the key inside this process: no core dump, and no look into it by other processes."""

import ctypes
import resource
from contextlib import suppress
from typing import Final

__all__ = ["guard_memory"]

_PR_SET_DUMPABLE: Final = 4


def guard_memory() -> None:
    """From here on nobody but root can read this process's memory or environment, and no crash writes it out.

    A core limit alone would not do: where the kernel hands cores to a program, it is not looked at. What
    the system does not offer is left; the unit asks for the same once more.
    """
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
