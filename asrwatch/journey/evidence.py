"""The evidence that a recording's state rests on."""

from typing import TypeVar

from asrwatch.errors import OurBug

__all__ = ["proven"]

ValueT = TypeVar("ValueT")


def proven(value: ValueT | None) -> ValueT:
    """Evidence that is there, since the recording's state says so.

    Raises:
        OurBug: it is not.
    """
    if value is None:
        msg = "a recording lacks the evidence of its state"
        raise OurBug(msg)
    return value
